"""An answer is good for what was asked: the same state, fields and version of the document, until both sides agree."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from pipelines.operations.plan import plan
from tests.laws.conftest import Towns
from tests.laws.one_deal import asked, reprice, say
from tests.laws.test_revisions import documents, shipped
from tests.laws.town import Town

CLOSED = date(2026, 3, 31)


def sale(town: Town) -> str:
    return next(iter(town.books.all("realization")))


def writes(town: Town, since: int) -> list[str]:
    """What was done to realizations."""
    return [verb for verb, kind, _ in town.books.writes[since:] if kind == "realization"]


def sync(town: Town, times: int = 2) -> None:
    for _ in range(times):
        town.sync()


# ---- the period closes ------------------------------------------------------------------------


def test_an_update_that_was_answered_before_its_period_closed_is_not_done_and_asked_about_again(
    towns: Towns,
) -> None:
    with shipped(towns) as (town, deal):
        reprice(town, deal, "900.00")
        town.sync()
        assert say(town, "update") == ""
        town.books.closed_until = CLOSED
        since = len(town.books.writes)
        sync(town)
        assert writes(town, since) == []
        assert [question["state"] for question in asked(town)] == ["closed"]
        town.books.closed_until = None
        sync(town)
        assert [question["state"] for question in asked(town)] == ["posted"]
        assert say(town, "update") == ""
        sync(town)
        assert documents(town, deal) == [("realization", True, Decimal("900.00"))]


def test_a_posting_that_was_answered_before_its_period_closed_is_not_done_and_asked_about_again(
    towns: Towns,
) -> None:
    with shipped(towns, "asked_sale") as (town, _):
        town.books.change("realization", sale(town), Posted=False)
        sync(town)
        assert say(town, "post") == ""
        town.books.closed_until = CLOSED
        since = len(town.books.writes)
        sync(town)
        assert writes(town, since) == []
        assert [question["state"] for question in asked(town)] == ["closed"]


def test_what_was_answered_to_be_left_is_left_in_a_closed_period_too(towns: Towns) -> None:
    with shipped(towns) as (town, deal):
        reprice(town, deal, "900.00")
        town.sync()
        assert say(town, "leave") == ""
        town.sync()
        town.books.closed_until = CLOSED
        town.sync()
        plan(town.warehouse, town.road.accounting, everything=True)
        assert asked(town) == []


# ---- accounting changes it meanwhile ----------------------------------------------------------


@pytest.mark.parametrize("seen", [0, 1])
def test_an_answer_given_without_knowing_of_accountings_edit_does_not_overwrite_it(
    towns: Towns, seen: int
) -> None:
    with shipped(towns) as (town, deal):
        reprice(town, deal, "900.00")
        town.sync()
        town.books.change("realization", sale(town), СуммаДокумента=Decimal("999.99"))
        sync(town, seen)
        assert "accounting changed it too" not in asked(town)[0]["told"]
        assert say(town, "update") == ""
        sync(town, 3)
        assert documents(town, deal) == [("realization", True, Decimal("999.99"))]
        (question,) = asked(town)
        assert "accounting changed it too" in question["told"]


def test_a_question_that_stands_is_asked_anew_once_accounting_changes_the_document(towns: Towns) -> None:
    with shipped(towns) as (town, deal):
        reprice(town, deal, "900.00")
        town.sync()
        town.books.change("realization", sale(town), СуммаДокумента=Decimal("999.99"))
        sync(town)
        (question,) = asked(town)
        assert "accounting changed it too" in question["told"]
        assert say(town, "update") == ""
        sync(town)
        assert documents(town, deal) == [("realization", True, Decimal("900.00"))]
        assert asked(town) == []


# ---- back and forth ---------------------------------------------------------------------------


def test_an_answer_that_a_newer_one_followed_is_asked_for_again(towns: Towns) -> None:
    with shipped(towns) as (town, deal):
        reprice(town, deal, "900.00")
        town.sync()
        assert say(town, "leave") == ""
        town.sync()
        reprice(town, deal, "800.00")
        town.sync()
        assert say(town, "update") == ""
        sync(town)
        assert documents(town, deal) == [("realization", True, Decimal("800.00"))]
        reprice(town, deal, "900.00")
        sync(town)
        assert len(asked(town)) == 1


def test_an_answer_is_spent_once_both_sides_agreed_again(towns: Towns) -> None:
    with shipped(towns) as (town, deal):
        reprice(town, deal, "900.00")
        town.sync()
        assert say(town, "leave") == ""
        town.sync()
        reprice(town, deal, "1000.10")
        sync(town)
        reprice(town, deal, "900.00")
        sync(town)
        assert len(asked(town)) == 1


def test_a_deal_that_is_lost_a_second_time_is_asked_about_a_second_time(towns: Towns) -> None:
    with shipped(towns) as (town, deal):
        town.portal.change("deal", deal, stageId="NEW")
        town.sync()
        assert say(town, "leave") == ""
        town.sync()
        town.portal.change("deal", deal, stageId="WON")
        reprice(town, deal, "800.00")
        town.sync()
        assert say(town, "update") == ""
        sync(town)
        town.portal.change("deal", deal, stageId="NEW")
        sync(town)
        assert [question["fields"] for question in asked(town)] == [["cancelled"]]


# ---- deleted ----------------------------------------------------------------------------------


def test_a_deleted_document_is_asked_about_though_its_deal_changes(towns: Towns) -> None:
    with shipped(towns, "updated", "asked_sale") as (town, deal):
        town.books.change("realization", sale(town), DeletionMark=True, Posted=False)
        sync(town)
        reprice(town, deal, "900.00")
        sync(town)
        assert [question["fields"] for question in asked(town)] == [["deleted"]]
        assert say(town, "leave") == ""
        since = len(town.books.writes)
        sync(town)
        assert (asked(town), writes(town, since)) == ([], [])


@pytest.mark.parametrize("policy", ["updated", "corrected", "reversed"])
def test_a_document_that_was_deleted_while_its_deal_changed_follows_the_policy_once_it_is_restored(
    towns: Towns, policy: str
) -> None:
    with shipped(towns, policy) as (town, deal):
        town.books.change("realization", sale(town), DeletionMark=True, Posted=False)
        sync(town)
        reprice(town, deal, "900.00")
        since = len(town.books.writes)
        sync(town)
        assert writes(town, since) == []
        town.books.change("realization", sale(town), DeletionMark=False, Posted=True)
        sync(town, 4)
        worth = {"realization": 1, "correction": 1, "return": -1}
        assert sum(worth[kind] * amount for kind, _, amount in documents(town, deal)) == Decimal("900.00")
        assert all(is_posted for _, is_posted, _ in documents(town, deal))
