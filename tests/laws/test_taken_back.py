"""A posted document that we took back to a draft to change it, and the change does not come about: it is posted again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from pipelines.operations.revisions import undo
from resources.connector import Refused, SourceError, Uncertain, Written
from tests.laws.conftest import Towns
from tests.laws.one_deal import asked, reprice, say, settle
from tests.laws.test_revisions import documents, shipped, variances
from tests.laws.town import Town

OLD, NEW = Decimal("1000.10"), Decimal("900.00")


@contextmanager
def taken_back(towns: Towns) -> Iterator[tuple[Town, str]]:
    """A company whose only realization was unposted for an update that accounting refuses then; it takes updates again."""
    with shipped(towns, "updated") as (town, deal):
        update = town.books.update

        def refused(kind: str, key: str, *more: Any) -> Written:
            if kind == "realization":
                raise Refused("no right to change it", code="-1")
            return update(kind, key, *more)

        town.books.update = refused  # type: ignore[method-assign]
        reprice(town, deal, str(NEW))
        town.sync()
        town.sync()
        assert documents(town, deal) == [("realization", False, OLD)]
        town.books.update = update  # type: ignore[method-assign]
        yield town, deal


def writes(town: Town, since: int) -> list[str]:
    return [verb for verb, kind, _ in town.books.writes[since:] if kind == "realization"]


def test_a_deal_that_says_again_what_it_said_has_its_document_posted_as_it_was(towns: Towns) -> None:
    with taken_back(towns) as (town, deal):
        reprice(town, deal, str(OLD))
        since = len(town.books.writes)
        settle(town)
        assert writes(town, since) == ["post"]
        assert documents(town, deal) == [("realization", True, OLD)]
        assert variances(town) == []
        # The same change once more is a change of a posted document.
        reprice(town, deal, str(NEW))
        since = len(town.books.writes)
        settle(town)
        assert writes(town, since) == ["unpost", "update", "post"]
        assert documents(town, deal) == [("realization", True, NEW)]


def test_a_deal_that_says_something_else_by_now_has_its_draft_changed_and_posted_once(towns: Towns) -> None:
    with taken_back(towns) as (town, deal):
        reprice(town, deal, "800.00")
        since = len(town.books.writes)
        settle(town)
        assert writes(town, since) == ["update", "post"]
        assert documents(town, deal) == [("realization", True, Decimal("800.00"))]


def test_to_and_fro_before_anything_leaves_it_is_posted_once(towns: Towns) -> None:
    with taken_back(towns) as (town, deal):
        for price in (OLD, NEW, OLD, NEW):
            reprice(town, deal, str(price))
            town.sync(write=False)
        since = len(town.books.writes)
        settle(town)
        assert writes(town, since) == ["update", "post"]
        assert documents(town, deal) == [("realization", True, NEW)]


def test_an_unposting_whose_answer_was_lost_is_followed_by_a_posting(towns: Towns) -> None:
    with shipped(towns, "updated") as (town, deal):
        unpost, find = town.books.unpost, town.books.find
        silent = False

        def lost(kind: str, key: str) -> Written:
            nonlocal silent
            unpost(kind, key)
            silent = True
            raise Uncertain("no answer")

        def mute(kind: str, keys: Any) -> Any:
            if silent:
                raise SourceError("no answer", retriable=True)
            return find(kind, keys)

        town.books.unpost, town.books.find = lost, mute  # type: ignore[method-assign]
        reprice(town, deal, str(NEW))
        town.sync()
        reprice(town, deal, str(OLD))
        town.sync(write=False)
        town.books.unpost, town.books.find = unpost, find  # type: ignore[method-assign]
        silent = False
        for _ in range(3):
            town.sync()
        assert documents(town, deal) == [("realization", True, OLD)]


@pytest.mark.parametrize("price", [OLD, NEW])
def test_in_a_closed_period_it_is_posted_once_the_period_is_open_again(towns: Towns, price: Decimal) -> None:
    with taken_back(towns) as (town, deal):
        town.books.closed_until = date(2026, 3, 31)
        reprice(town, deal, str(price))
        since = len(town.books.writes)
        town.sync()
        town.sync()
        assert writes(town, since) == []
        assert [q["state"] for q in asked(town) if q["kind"] == "realization"] == ["closed"] * (price == NEW)
        town.books.closed_until = None
        for _ in range(3):
            town.sync()
        assert documents(town, deal) == [("realization", True, price)]
        assert variances(town) == []


def test_of_a_deal_that_is_lost_meanwhile_it_is_asked_as_of_a_draft(towns: Towns) -> None:
    with taken_back(towns) as (town, deal):
        town.portal.change("deal", deal, stageId="NEW")
        town.sync()
        (question,) = asked(town)
        assert (question["state"], question["fields"]) == ("draft", ["cancelled"])
        assert "we unposted it to change it" in question["told"]
        assert "nothing to take back" in say(town, "reversal")
        assert say(town, "leave") == ""
        town.sync()
        assert documents(town, deal) == [("realization", False, OLD)]
        town.portal.change("deal", deal, stageId="WON")
        settle(town)
        assert documents(town, deal) == [("realization", True, NEW)]


def test_what_is_not_in_the_books_is_not_taken_back_by_a_return(towns: Towns) -> None:
    with taken_back(towns) as (town, deal):
        with town.warehouse.transaction() as conn:
            told = undo(conn, town.road.accounting, f"bitrix24:{deal}", "realization", "Анна", "by mistake")
        assert not told.done
        assert "there is nothing to take back" in told.sentence
        reprice(town, deal, str(OLD))
        settle(town)
        with town.warehouse.transaction() as conn:
            told = undo(conn, town.road.accounting, f"bitrix24:{deal}", "realization", "Анна", "by mistake")
        assert told.done
        settle(town)
        assert documents(town, deal) == [("realization", True, OLD), ("return", True, OLD)]


def test_what_a_person_posted_meanwhile_is_not_posted_again(towns: Towns) -> None:
    with taken_back(towns) as (town, deal):
        town.books.change("realization", next(iter(town.books.all("realization"))), Posted=True)
        town.sync(write=False)
        reprice(town, deal, str(OLD))
        since = len(town.books.writes)
        town.sync()
        town.sync()
        assert writes(town, since) == []
        assert documents(town, deal) == [("realization", True, OLD)]


def test_what_a_person_posted_anew_before_we_came_is_taken_back_as_it_is_known_by_now(towns: Towns) -> None:
    """Only its version moved: our unposting is refused, and planned again once the new version is read."""
    with shipped(towns, "updated") as (town, deal):
        town.books.change("realization", next(iter(town.books.all("realization"))))
        reprice(town, deal, str(NEW))
        town.sync()
        assert documents(town, deal) == [("realization", True, OLD)]
        since = len(town.books.writes)
        town.sync()
        assert writes(town, since) == ["unpost", "update", "post"]
        assert documents(town, deal) == [("realization", True, NEW)]
        assert town.sync().planned.quiet


def test_what_a_person_changed_before_we_came_is_asked(towns: Towns) -> None:
    with shipped(towns, "updated") as (town, deal):
        key = next(iter(town.books.all("realization")))
        town.books.change("realization", key, СуммаДокумента=Decimal("999.99"))
        reprice(town, deal, str(NEW))
        town.sync()
        town.sync()
        (question,) = asked(town)
        assert "accounting changed it too" in question["told"]
        assert documents(town, deal) == [("realization", True, Decimal("999.99"))]
