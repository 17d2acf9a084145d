"""A person takes a document back while something that was planned of it before has not left."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pipelines import sync
from pipelines.operations import revisions
from resources.connector import SourceError
from tests.laws.conftest import Towns
from tests.laws.one_deal import deal_of, only, reprice, settle
from tests.laws.test_reconsidered import OLD, allow, held, refuse, sale
from tests.laws.test_revisions import FOLLOWS, documents, shipped, variances
from tests.laws.test_undo import take_back
from tests.laws.town import Done, Town

SOLD = ("realization", True, OLD)


def carry(town: Town) -> None:
    """The rest of a sync whose plan is made."""
    sync.carry_operations(town.road)
    town.settle(Done())


def rest(town: Town) -> None:
    for _ in range(3):
        done = town.sync()
    assert [law.sentence for law in done.laws if not law.holds] == []


def correction(town: Town) -> str:
    return next(iter(town.books.all("correction")))


# ---- what was planned before ------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["mixed", "updated", "reversed"])
def test_what_was_planned_before_does_not_leave(towns: Towns, policy: str) -> None:
    with shipped(towns, policy) as (town, deal):
        reprice(town, deal, "900.00")
        town.sync(write=False)
        assert take_back(town, deal).done
        carry(town)
        assert documents(town, deal) == [SOLD]
        rest(town)
        assert documents(town, deal) == [SOLD, ("return", True, OLD)]
        assert "realized" not in [measure for measure, _, _ in variances(town)]


@pytest.mark.parametrize("policy", ["mixed", "updated"])
def test_the_carrier_looks_whether_it_is_still_decided(
    towns: Towns, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    with shipped(towns, policy) as (town, deal):
        reprice(town, deal, "900.00")
        town.sync(write=False)
        monkeypatch.setattr(revisions, "_NOT_LEFT", "select 1")
        assert take_back(town, deal).done
        carry(town)
        assert documents(town, deal) == [SOLD]


def test_what_cannot_be_undone_stays_decided(towns: Towns) -> None:
    with shipped(towns, "mixed") as (town, deal):
        reprice(town, deal, "900.00")
        town.sync(write=False)
        town.books.change("realization", sale(town), Posted=False)
        town.settle(Done())
        assert not take_back(town, deal).done
        assert town.rows("select ending from ops.revision") == [("corrected",)]


@pytest.mark.parametrize("how", ["refused", "planned", "draft"])
def test_the_return_takes_what_the_corrections_in_the_books_came_to(towns: Towns, how: str) -> None:
    with shipped(towns, "mixed") as (town, deal):
        reprice(town, deal, "900.00")
        settle(town)
        if how == "refused":
            town.books.refused_kinds = {"correction"}
        elif how == "draft":
            refuse(town, "post", "correction")
        reprice(town, deal, "950.00")
        town.sync(write=how != "planned")
        assert take_back(town, deal).done
        rest(town)
        assert ("return", True, Decimal("900.00")) in documents(town, deal)
        assert held(town, deal) == 0


# ---- what a return or a correction rests on ---------------------------------------------------


@pytest.mark.parametrize(
    "how", [{"Posted": False}, {"Posted": False, "DeletionMark": True}, {"СуммаДокумента": Decimal("-50.10")}]
)
@pytest.mark.parametrize("follows", ["return", "correction"])
def test_a_correction_that_a_person_touches_is_met_before_anything_follows(
    towns: Towns, follows: str, how: dict[str, Any]
) -> None:
    with shipped(towns, "mixed") as (town, deal):
        reprice(town, deal, "900.00")
        settle(town)
        if follows == "return":
            assert take_back(town, deal).done
        else:
            reprice(town, deal, "950.00")
        town.sync(write=False)
        town.books.change("correction", correction(town), **how)
        before = documents(town, deal)
        carry(town)
        rest(town)
        assert documents(town, deal) == before


@pytest.mark.parametrize("then", [{"Posted": True}, {"DeletionMark": True}])
def test_a_draft_of_a_correction_that_a_return_passes_over(towns: Towns, then: dict[str, Any]) -> None:
    with shipped(towns, "mixed") as (town, deal):
        refuse(town, "post", "correction")
        reprice(town, deal, "900.00")
        town.sync()
        assert take_back(town, deal).done
        town.sync(write=False)
        town.books.change("correction", correction(town), **then)
        carry(town)
        assert (("return", True, OLD) in documents(town, deal)) == ("DeletionMark" in then)


@pytest.mark.parametrize("error", [None, SourceError("429", retriable=True)])
def test_a_draft_that_corrects_nothing_any_more_is_to_be_deleted(
    towns: Towns, error: Exception | None
) -> None:
    with shipped(towns, "mixed") as (town, deal):
        refuse(town, "post", "correction", error)
        reprice(town, deal, "900.00")
        town.sync()
        assert take_back(town, deal).done
        allow(town, "post")
        rest(town)
        assert ("correction", False, Decimal("-100.10")) in documents(town, deal)
        ((english, russian),) = town.rows(
            "select sentence, sentence_ru from ledger.variance where reason = 'unposted'"
        )
        assert english.endswith("corrects nothing any more: mark it for deletion in accounting")
        assert russian.endswith("больше ничего не исправляет: пометьте документ в учёте на удаление")
        town.books.change("correction", correction(town), DeletionMark=True)
        rest(town)
        assert "realized" not in [measure for measure, _, _ in variances(town)]


# ---- what the return and the correction say ---------------------------------------------------


def test_the_gate_does_not_hold_a_return_for_good(towns: Towns) -> None:
    with shipped(towns, "mixed") as (town, deal):
        reprice(town, deal, "0.00")
        rest(town)
        assert town.rows("select check_name from documents.held")
        assert take_back(town, deal).done
        rest(town)
        assert "return" in [kind for kind, _, _ in documents(town, deal)]
        assert held(town, deal) == 0


def test_a_correction_keeps_the_rate_of_what_it_corrects(towns: Towns) -> None:
    with towns() as town:
        town.remap(*FOLLOWS, "mixed")
        only(town, "21", lines=1, currency="USD")
        deal = deal_of(town)
        rest(town)
        dollar = next(key for key, row in town.books.all("currency").items() if row["Code"] == "840")
        rate = {"Period": "2026-03-09T00:00:00", "Валюта_Key": dollar, "Курс": "90.5", "Кратность": "1"}
        town.books.save("currency_rate", f"2026-03-09T00:00:00:{dollar}", rate)
        reprice(town, deal, "900.00")
        rest(town)
        assert "correction" in [kind for kind, _, _ in documents(town, deal)]
        rates = town.rows(
            "select distinct rate, rate_units, rate_on, rate_source from documents.document where kind in ('realization', 'correction')"
        )
        assert len(rates) == 1
