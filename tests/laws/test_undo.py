"""What is not in the books as we left it is neither taken back nor corrected by a document of ours."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pipelines.operations.decide import Told
from pipelines.operations.revisions import undo
from resources.connector import SourceError
from tests.laws.conftest import Towns
from tests.laws.one_deal import asked, deal_of, only, reprice, say, settle
from tests.laws.test_reconsidered import OLD, allow, buyers, held, lose, refuse, sale
from tests.laws.test_revisions import documents, shipped
from tests.laws.town import Town


def take_back(town: Town, deal: str) -> Told:
    with town.warehouse.transaction() as conn:
        return undo(conn, town.road.accounting, f"bitrix24:{deal}", "realization", "Анна", "a mistake")


def edit(town: Town) -> None:
    """The accountant gives the sale another price."""
    (line,) = town.books.all("realization")[sale(town)]["Товары"]
    line = {**line, "Цена": Decimal("990.00"), "Сумма": Decimal("990.00"), "СуммаНДС": Decimal("178.52")}
    town.books.change("realization", sale(town), СуммаДокумента=Decimal("990.00"), Товары=[line])


# ---- undo --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, SourceError("429", retriable=True)])
def test_what_is_not_posted_yet_cannot_be_undone(towns: Towns, error: Exception | None) -> None:
    with towns() as town:
        town.remap("follows", "follows_read", "mixed")
        only(town, "21", lines=1)
        deal = deal_of(town)
        refuse(town, "post", "realization", error)
        town.sync()
        town.sync()
        assert documents(town, deal) == [("realization", False, OLD)]
        told = take_back(town, deal)
        assert (told.done, "not posted" in told.sentence or "being written" in told.sentence) == (False, True)
        allow(town, "post")
        for _ in range(3):
            town.sync()
        assert [kind for kind, _, _ in documents(town, deal)] == ["realization"]


@pytest.mark.parametrize("change", [{"Posted": False}, {"Posted": False, "DeletionMark": True}, {}])
def test_what_a_person_unposted_deleted_or_changed_cannot_be_undone(
    towns: Towns, change: dict[str, Any]
) -> None:
    with shipped(towns, "mixed") as (town, deal):
        if change:
            town.books.change("realization", sale(town), **change)
        else:
            edit(town)
        town.sync()
        told = take_back(town, deal)
        assert not told.done
        assert "is not as we left it" in told.sentence
        before = held(town, deal)
        town.sync()
        assert held(town, deal) == before


def test_an_edit_that_was_not_read_yet_is_met_before_the_return_leaves(towns: Towns) -> None:
    with shipped(towns, "mixed") as (town, deal):
        edit(town)
        assert take_back(town, deal).done
        for _ in range(3):
            town.sync()
        assert held(town, deal) == Decimal("990.00")
        (reason,) = town.rows("select reason from ops.operation where kind = 'return' and action = 'create'")
        assert "was changed in accounting since it was read" in reason[0]


def test_what_is_on_its_way_cannot_be_undone(towns: Towns) -> None:
    with shipped(towns, "updated") as (town, deal):
        lose(town, "unpost", "realization", done=True)
        reprice(town, deal, "900.00")
        town.sync()
        assert "is being written" in take_back(town, deal).sentence
        allow(town, "unpost", "find")
        settle(town)
        assert documents(town, deal) == [("realization", True, Decimal("900.00"))]


def test_a_correction_that_was_never_posted_is_passed_over(towns: Towns) -> None:
    with shipped(towns, "mixed") as (town, deal):
        refuse(town, "post", "correction")
        reprice(town, deal, "900.00")
        town.sync()
        town.sync()
        assert take_back(town, deal).done
        allow(town, "post")
        for _ in range(3):
            town.sync()
        assert held(town, deal) == 0


# ---- policies and answers ----------------------------------------------------------------------


@pytest.mark.parametrize("then", ["price", "lost", "company"])
@pytest.mark.parametrize("more", [(), ("asked_sale",)])
def test_a_sale_that_a_person_unposted_is_not_followed_by_anything(
    towns: Towns, then: str, more: tuple[str, ...]
) -> None:
    with shipped(towns, "mixed", *more) as (town, deal):
        town.books.change("realization", sale(town), Posted=False)
        town.sync()
        if then == "price":
            reprice(town, deal, "900.00")
        elif then == "lost":
            town.portal.change("deal", deal, stageId="NEW")
        else:
            town.portal.change("deal", deal, companyId=23)
        for _ in range(2):
            town.sync()
        assert documents(town, deal) == [("realization", False, OLD)]
        assert asked(town)


@pytest.mark.parametrize("kind", ["correction", "realization"])
def test_a_corrected_sale_of_which_a_person_unposted_a_part_is_asked_about(towns: Towns, kind: str) -> None:
    with shipped(towns, "mixed") as (town, deal):
        reprice(town, deal, "900.00")
        settle(town)
        town.books.change(kind, next(iter(town.books.all(kind))), Posted=False)
        town.sync()
        town.portal.change("deal", deal, stageId="NEW")
        for _ in range(2):
            town.sync()
        assert "return" not in [kind for kind, _, _ in documents(town, deal)]
        assert asked(town)


def test_an_answer_that_would_not_lead_to_what_the_deal_says_is_refused_with_the_reason(towns: Towns) -> None:
    with shipped(towns, "mixed") as (town, deal):
        edit(town)
        town.sync()
        town.portal.change("deal", deal, companyId=23)
        town.sync()
        assert "it is not as we left it (changed)" in say(town, "reversal")
        assert say(town, "leave") == ""
        settle(town)
        assert len(buyers(town, deal)) == 1


@pytest.mark.parametrize("then", ["price", "lost", "company"])
def test_a_deal_that_changes_while_its_sale_is_unposted_for_another_change(towns: Towns, then: str) -> None:
    with shipped(towns, "mixed") as (town, deal):
        lose(town, "unpost", "realization", done=True)
        town.portal.change("deal", deal, closedate="2026-03-12T03:00:00+03:00")
        town.sync()
        if then == "price":
            reprice(town, deal, "900.00")
        elif then == "lost":
            town.portal.change("deal", deal, stageId="NEW")
        else:
            town.portal.change("deal", deal, companyId=23)
        town.sync(write=False)
        allow(town, "unpost", "find")
        for _ in range(4):
            town.sync()
        due = {"price": Decimal("900.00"), "lost": Decimal(0), "company": OLD}[then]
        assert held(town, deal) == due or asked(town)
        assert [law.sentence for law in town.sync().laws if not law.holds] == []


@pytest.mark.parametrize("undone", ["unposted", "deleted"])
def test_what_is_undone_in_accounting_is_asked_about_after_a_correction_too(
    towns: Towns, undone: str
) -> None:
    with shipped(towns, "mixed", "asked_sale") as (town, deal):
        reprice(town, deal, "900.00")
        settle(town)
        town.books.change("realization", sale(town), Posted=False, DeletionMark=undone == "deleted")
        for _ in range(2):
            town.sync()
        assert [question["fields"] for question in asked(town)] == [[undone]]
        if undone == "unposted":
            assert say(town, "post") == ""
            settle(town)
            assert held(town, deal) == Decimal("900.00")


def test_a_question_is_asked_anew_when_the_payment_that_it_spoke_of_is_gone(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.laws.books import COUNTERPARTY
    from tests.laws.town import REWORDINGS

    policy = '    policy: {posted: {"*": update}, paid: {"*": ask}}\n'
    monkeypatch.setitem(REWORDINGS, "paid_asks", ("onec.yaml", "    policy: {}\n", policy))
    with shipped(towns, "paid_asks") as (town, deal):
        key, invoice = next(iter(town.books.all("invoice").items()))
        payment = town.books.add(
            "payment", Date="2026-04-02T00:00:00", Контрагент=invoice["Контрагент_Key"], Контрагент_Type=COUNTERPARTY,
            НазначениеПлатежа="Оплата", ВалютаДокумента_Key=invoice["ВалютаДокумента_Key"], СуммаДокумента=OLD,
            РасшифровкаПлатежа=[{"LineNumber": "1", "СчетНаОплату_Key": key, "СуммаПлатежа": OLD}],
        )  # fmt: skip
        town.sync()
        reprice(town, deal, "900.00")
        town.sync()
        assert {question["state"] for question in asked(town)} == {"paid"}
        town.books.change("payment", payment, DeletionMark=True, Posted=False)
        for _ in range(3):
            town.sync()
        assert documents(town, deal) == [("realization", True, Decimal("900.00"))]
