"""Periods that accounting closes while something of ours waits: nothing goes into them, and it goes when they are open again."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from pipelines.operations import breaker
from resources.connector import SourceError, Uncertain, Written
from tests.laws.conftest import Towns
from tests.laws.one_deal import deal_of, only, reprice, settle
from tests.laws.test_revisions import documents, shipped
from tests.laws.town import Town

CLOSED = date(2026, 3, 31)
HELD = "the period up to 2026-03-31 is closed in accounting; open it, or date the deal later"
HELD_THERE = (
    "the period up to 2026-03-31 is closed in accounting, and the document is dated there; open it: another date of the deal"
    " does not help"
)


def days(town: Town) -> dict[str, str]:
    return {
        kind: row["Date"][:10] for kind in ("invoice", "realization") for row in town.books.all(kind).values()
    }


def held(town: Town) -> list[tuple[Any, ...]]:
    return town.rows("select kind, action, reason from ops.operation where state = 'held' order by 1, 2")


def begin(town: Town, *policy: str) -> str:
    """A company under this policy that sells by one deal alone, which nobody has carried yet."""
    town.remap("follows", "follows_read", *policy)
    only(town, "21", lines=1)
    return deal_of(town)


@pytest.mark.parametrize("policy", [("updated",), ()])
def test_no_document_is_moved_into_a_closed_period_before_it_is_open_again(
    towns: Towns, policy: tuple[str, ...]
) -> None:
    with towns() as town:
        deal = begin(town, *policy)
        town.portal.change("deal", deal, closedate="2026-04-10T03:00:00+03:00")
        settle(town)
        town.books.closed_until = CLOSED
        town.sync()
        town.portal.change("deal", deal, closedate="2026-03-10T03:00:00+03:00")
        since = len(town.books.writes)
        for _ in range(3):
            town.sync()
        assert town.books.writes[since:] == []
        steps = [("invoice", "update", HELD)]
        if policy:  # without one the posted realization is asked about
            steps += [("realization", action, HELD) for action in ("post", "unpost", "update")]
        assert held(town) == sorted(steps)
        town.books.closed_until = None
        settle(town)
        assert days(town) == {
            "invoice": "2026-03-10",
            "realization": "2026-03-10" if policy else "2026-04-10",
        }
        assert held(town) == []


def test_a_move_into_a_closed_period_that_the_deal_takes_back_is_forgotten(towns: Towns) -> None:
    with towns() as town:
        deal = begin(town, "updated")
        town.portal.change("deal", deal, closedate="2026-04-10T03:00:00+03:00")
        settle(town)
        town.books.closed_until = CLOSED
        town.portal.change("deal", deal, closedate="2026-03-10T03:00:00+03:00")
        town.sync()
        town.portal.change("deal", deal, closedate="2026-04-10T03:00:00+03:00")
        reprice(town, deal, "900.00")
        settle(town)
        assert documents(town, deal) == [("realization", True, Decimal("900.00"))]
        assert days(town) == {"invoice": "2026-04-10", "realization": "2026-04-10"}


def test_a_posting_that_waits_does_not_go_once_its_period_is_closed(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    with towns() as town:
        monkeypatch.setattr(breaker, "OPENS_AFTER", 1)
        deal = begin(town, "updated")
        post = town.books.post
        monkeypatch.setattr(town.books, "post", _busy)
        town.sync()
        monkeypatch.setattr(town.books, "post", post)
        breaker.retry(town.warehouse, "onec")
        town.books.closed_until = CLOSED
        since = len(town.books.writes)
        for _ in range(3):
            town.sync()
        assert town.books.writes[since:] == []
        assert held(town) == [("realization", "post", HELD_THERE)]
        town.books.closed_until = None
        settle(town)
        assert documents(town, deal) == [("realization", True, Decimal("1000.10"))]


def test_a_document_whose_answer_was_lost_is_not_posted_once_its_period_is_closed(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    with towns() as town:
        deal = begin(town, "updated")
        create = town.books.create

        def lost(kind: str, *written: Any) -> Written:
            made = create(kind, *written)
            if kind == "realization":
                monkeypatch.setattr(town.books, "find", _silent)
                raise Uncertain("no answer")
            return made

        find = town.books.find
        monkeypatch.setattr(town.books, "create", lost)
        town.sync()
        monkeypatch.setattr(town.books, "create", create)
        monkeypatch.setattr(town.books, "find", find)
        town.books.closed_until = CLOSED
        for _ in range(3):
            town.sync()
        assert documents(town, deal) == [("realization", False, Decimal("1000.10"))]
        town.books.closed_until = None
        settle(town)
        assert documents(town, deal) == [("realization", True, Decimal("1000.10"))]


def _silent(kind: str, keys: Any) -> Any:
    raise SourceError("no answer", retriable=True)


def _busy(kind: str, key: str) -> None:
    raise SourceError("429", retriable=True)


def test_the_sum_of_a_sale_in_a_closed_period_is_corrected_with_its_lines(towns: Towns) -> None:
    with shipped(towns, "mixed") as (town, deal):
        town.books.closed_until = CLOSED
        reprice(town, deal, "900.00")
        for _ in range(3):
            town.sync()
        assert documents(town, deal) == [
            ("correction", True, Decimal("-100.10")),
            ("realization", True, Decimal("1000.10")),
        ]
