"""What a correction or a return rests on is posted anew, taken out of the books or changed before they leave or are posted."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pipelines import sync
from resources.connector import SourceError
from tests.laws.conftest import Towns
from tests.laws.one_deal import asked, reprice, settle
from tests.laws.test_reconsidered import allow, held, refuse, sale
from tests.laws.test_revisions import documents, shipped, variances
from tests.laws.test_undo import take_back
from tests.laws.test_undo_meanwhile import carry, correction, rest
from tests.laws.town import REWORDINGS, Town

NEW = Decimal("900.00")


@pytest.fixture(autouse=True)
def manual(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rewording by which a person approves all that is written."""
    monkeypatch.setitem(REWORDINGS, "manual", ("onec.yaml", "approval: auto", "approval: manual"))


def refused(town: Town) -> list[str]:
    return [reason for (reason,) in town.rows("select reason from ops.operation where state = 'rejected'")]


# ---- posted anew: nothing but its version is another -------------------------------------------


@pytest.mark.parametrize("policy", ["corrected", "reversed"])
@pytest.mark.parametrize("approval", ["auto", "manual"])
def test_a_sale_posted_anew_before_what_follows_it_leaves_is_followed_by_the_next_sync(
    towns: Towns, policy: str, approval: str
) -> None:
    with shipped(towns, policy) as (town, deal):
        reprice(town, deal, "900.00")
        town.sync(write=False)
        town.books.change("realization", sale(town))
        if approval == "manual":  # what was approved before stays so
            town.remap("manual")
        carry(town)
        (reason,) = refused(town)
        assert reason.endswith("the next sync looks at it again")
        town.sync()
        assert refused(town) == []
        assert held(town, deal) == NEW
        assert variances(town) == []
        settle(town)


def test_a_sale_posted_anew_before_its_return_leaves_is_taken_back_by_the_next_sync(towns: Towns) -> None:
    with shipped(towns, "mixed") as (town, deal):
        town.books.change("realization", sale(town))
        assert take_back(town, deal).done
        town.sync()
        assert held(town, deal) == Decimal("1000.10")
        town.sync()
        assert held(town, deal) == 0
        rest(town)


def test_a_sale_that_was_changed_and_is_put_right_is_taken_back_by_the_next_sync(towns: Towns) -> None:
    with shipped(towns, "mixed") as (town, deal):
        town.books.change("realization", sale(town), Posted=False)
        assert take_back(town, deal).done
        for _ in range(3):
            town.sync()
        assert [kind for kind, _, _ in documents(town, deal)] == ["realization"]
        tries = len(town.rows("select from ops.operation_event where to_state = 'sent'"))
        sync.plan_operations(town.road, everything=True)
        town.sync()
        assert len(town.rows("select from ops.operation_event where to_state = 'sent'")) == tries
        town.books.change("realization", sale(town), Posted=True)
        town.sync()
        town.sync()
        assert held(town, deal) == 0
        rest(town)


@pytest.mark.parametrize("then", ["corrected", "undone", "lost"])
def test_a_correction_posted_anew_is_still_the_one_that_we_wrote(towns: Towns, then: str) -> None:
    with shipped(towns, "mixed") as (town, deal):
        reprice(town, deal, "900.00")
        settle(town)
        town.books.change("correction", correction(town))
        town.sync()
        match then:
            case "corrected":
                reprice(town, deal, "950.00")
            case "undone":
                assert take_back(town, deal).done
            case "lost":
                town.portal.change("deal", deal, stageId="NEW")
        rest(town)
        assert asked(town) == []
        assert held(town, deal) == (Decimal("950.00") if then == "corrected" else 0)


@pytest.mark.parametrize("change", ["sum", "lines"])
def test_a_correction_that_was_changed_is_followed_by_nothing_until_it_is_put_right(
    towns: Towns, change: str
) -> None:
    with shipped(towns, "mixed") as (town, deal):
        reprice(town, deal, "900.00")
        settle(town)
        ours = town.books.all("correction")[correction(town)]
        (line,) = ours["Товары"]
        other: dict[str, Any] = {"СуммаДокумента": Decimal("-90.10")}
        if change == "lines":
            other = {"Товары": [{**line, "Количество": Decimal(7)}]}
        town.books.change("correction", correction(town), **other)
        town.sync()
        reprice(town, deal, "950.00")
        for _ in range(3):
            town.sync()
        assert len(town.books.all("correction")) == 1
        assert asked(town) or "has other lines in accounting than we wrote" in refused(town)[0]
        town.books.change(
            "correction", correction(town), Товары=ours["Товары"], СуммаДокумента=ours["СуммаДокумента"]
        )
        rest(town)
        assert held(town, deal) == Decimal("950.00")


# ---- between what was written and its posting ---------------------------------------------------


@pytest.mark.parametrize("policy", ["corrected", "reversed"])
@pytest.mark.parametrize("how", [{"Posted": False}, {"Posted": False, "DeletionMark": True}])
def test_nothing_is_posted_that_rests_on_what_is_not_in_the_books(
    towns: Towns, policy: str, how: dict[str, Any]
) -> None:
    with shipped(towns, policy) as (town, deal):
        kind = "correction" if policy == "corrected" else "return"
        refuse(town, "post", kind, SourceError("429", retriable=True))
        reprice(town, deal, "900.00")
        town.sync()
        assert (kind, False) in [found[:2] for found in documents(town, deal)]
        town.books.change("realization", sale(town), **how)
        allow(town, "post")
        for _ in range(3):
            town.sync()
        assert held(town, deal) == 0, "what corrects or takes back nothing is in the books"
        town.books.change("realization", sale(town), Posted=True, DeletionMark=False)
        rest(town)
        assert held(town, deal) == NEW
        assert variances(town) == []
