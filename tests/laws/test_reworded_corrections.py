"""Corrections whose mapping is worded otherwise afterwards: one decision of a document, whatever was answered, and how often."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pipelines.operations.decide import answer
from pipelines.operations.revisions import undo
from tests.laws import town as town_module
from tests.laws.conftest import Towns
from tests.laws.one_deal import asked, reprice, settle
from tests.laws.test_revisions import documents, shipped
from tests.laws.town import REWORDINGS, Town, add_deal

BEFORE = "          КоличествоДоИзменения: {from: quantity_before, as: quantity}\n"
REVERSING = (
    '    policy: {posted: {amount: correction, lines: correction, cancelled: reversal, "*": reversal}}\n'
)
ASKING = """    policy: {posted: {date: update, due_on: update, comment: update, amount: correction, lines: correction,
                      counterparty: reversal, contract: reversal, cancelled: reversal, "*": ask},
             paid: {"*": ask}, closed: {amount: correction, "*": ask}}
"""


@pytest.fixture(autouse=True)
def rewordings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two policies, and corrections that say one thing more than before."""
    for name, text in (("asking", ASKING), ("reversing", REVERSING)):
        monkeypatch.setitem(REWORDINGS, name, ("onec.yaml", "    policy: {}\n", text))
    more = f"{BEFORE}          ЦенаДоИзменения: {{from: price_before, as: quantity}}\n"
    monkeypatch.setitem(REWORDINGS, "worded", ("onec.yaml", BEFORE, more))
    monkeypatch.setattr(town_module, "POLICIES", (*town_module.POLICIES, "asking", "reversing"))


def in_the_books(town: Town, deal: str) -> Decimal:
    found = [
        amount if kind != "return" else -amount for kind, posted, amount in documents(town, deal) if posted
    ]
    return sum(found, Decimal(0))


def answer_all(town: Town, said: str) -> None:
    for question in asked(town):
        with town.warehouse.transaction() as conn:
            answer(conn, town.road.accounting, str(question["question_id"]), said, "Анна", "так верно")


def others_go_on(town: Town) -> bool:
    deal = add_deal(town.portal, "23", lines=1, price="5.00")
    settle(town)
    return documents(town, deal) == [("realization", True, Decimal("5.00"))]


@pytest.mark.parametrize("said", ["reversal", "correction"])
@pytest.mark.parametrize("prices", [("900.00",), ("900.00", "950.00")])
def test_of_corrections_worded_otherwise_the_last_alone_is_asked_about_and_followed_once(
    towns: Towns, prices: tuple[str, ...], said: str
) -> None:
    with shipped(towns, "asking") as (town, deal):
        for price in prices:
            reprice(town, deal, price)
            settle(town)
        town.remap("worded")
        settle(town)
        assert [question["kind"] for question in asked(town)] == ["correction"]
        answer_all(town, said)
        settle(town)
        once = documents(town, deal)
        settle(town)
        assert documents(town, deal) == once
        assert in_the_books(town, deal) == Decimal(prices[-1])
        assert others_go_on(town)


@pytest.mark.parametrize("back", ["undone", "lost"])
@pytest.mark.parametrize("policy", ["asking", "reversing"])
def test_nothing_follows_a_correction_of_a_sale_that_was_taken_back(
    towns: Towns, policy: str, back: str
) -> None:
    with shipped(towns, policy) as (town, deal):
        reprice(town, deal, "900.00")
        settle(town)
        if back == "lost":
            town.portal.change("deal", deal, stageId="NEW")
        else:
            with town.warehouse.transaction() as conn:
                assert undo(
                    conn, town.road.accounting, f"bitrix24:{deal}", "realization", "Анна", "ошибка"
                ).done
        settle(town)
        assert in_the_books(town, deal) == 0
        town.remap("worded")
        settle(town)
        assert not [question for question in asked(town) if question["kind"] == "correction"]
        assert in_the_books(town, deal) == 0
        assert others_go_on(town)


def test_a_correction_worded_otherwise_is_taken_back_with_its_sale_once_where_the_policy_says_so(
    towns: Towns,
) -> None:
    with shipped(towns, "reversing") as (town, deal):
        for price in ("900.00", "950.00"):
            reprice(town, deal, price)
            settle(town)
        town.remap("worded")
        settle(town)
        assert in_the_books(town, deal) == Decimal("950.00")
        assert [kind for kind, _, _ in documents(town, deal)].count("return") == 1
        assert others_go_on(town)
