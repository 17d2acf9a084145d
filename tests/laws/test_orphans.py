"""Drafts of ours in accounting that nothing calls for any more: each is told, with what to do about it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pipelines.operations.release import release
from resources.connector import Refused, SourceError, Uncertain, Written
from tests.laws.conftest import Towns
from tests.laws.one_deal import deal_of, only, reprice, settle
from tests.laws.test_operations import spoiled
from tests.laws.test_reconsidered import allow, refuse
from tests.laws.test_revisions import documents, shipped
from tests.laws.town import Town

TOLD = """
    select reason, amount, expected, actual, sentence, sentence_ru from ledger.variance
    where document_key = 'onec:' || %s and measure = 'realized'
"""


def told(town: Town, key: str) -> list[tuple[Any, ...]]:
    return town.rows(TOLD, [key])


def rest(town: Town) -> None:
    for _ in range(3):
        done = town.sync()
    assert [law.sentence for law in done.laws if not law.holds] == []


def delete(town: Town, kind: str, key: str) -> None:
    town.books.change(kind, key, DeletionMark=True)
    rest(town)


@pytest.mark.parametrize("then", ["lost", "company", "back"])
def test_a_correction_that_came_after_its_decision_was_dropped_is_told(towns: Towns, then: str) -> None:
    """Its first request is lost on its way, the second is refused; then the deal says something else, and the first comes."""
    with shipped(towns, "mixed") as (town, deal):
        tries: list[tuple[Any, ...]] = []
        create = type(town.books).create

        def late(kind: str, *more: Any) -> Written:
            if kind != "correction":
                return create(town.books, kind, *more)
            tries.append((kind, *more))
            raise Uncertain("no answer") if len(tries) == 1 else Refused("no right", code="-1")

        town.books.create = late  # type: ignore[method-assign]
        reprice(town, deal, "900.00")
        town.sync()
        match then:
            case "lost":
                town.portal.change("deal", deal, stageId="NEW")
            case "company":
                town.portal.change("deal", deal, companyId=23)
            case "back":
                reprice(town, deal, "1000.10")
        town.sync()
        del town.books.create
        kind, key, body = tries[0]
        town.books.create(kind, key, body)
        rest(town)
        assert ("correction", False, Decimal("-100.10")) in documents(town, deal)
        ((reason, amount, expected, actual, english, russian),) = told(town, key)
        assert (reason, amount, expected, actual) == ("missing_in_crm", 0, "none", "-100.10 (not posted)")
        assert english.endswith(
            "does not call for it any more, and is not posted; mark it for deletion in accounting"
        )
        assert russian.endswith(
            "которая его больше не требует, и не проведён; пометьте его в учёте на удаление"
        )
        delete(town, "correction", key)
        assert told(town, key) == []


def test_what_was_saved_by_half_of_a_deal_that_was_lost_then_is_told_when_it_is_released(
    towns: Towns,
) -> None:
    with towns() as town:
        only(town, "21", lines=1)
        key = spoiled(town, "realization")
        deal = deal_of(town)
        town.sync()
        town.portal.change("deal", deal, stageId="NEW")
        town.sync()
        with town.warehouse.transaction() as conn:
            assert release(conn, town.road.accounting, f"bitrix24:{deal}", "Анна", "ещё раз").done
        rest(town)
        ((reason, amount, _, actual, _, _),) = told(town, key)
        assert (reason, amount, actual) == ("missing_in_crm", 0, "1.11 (not posted)")
        delete(town, "realization", key)
        assert told(town, key) == []


@pytest.mark.parametrize("gone", [False, True])
def test_a_draft_whose_deal_is_lost_or_deleted_before_it_is_posted_is_told(towns: Towns, gone: bool) -> None:
    with towns() as town:
        only(town, "21", lines=1)
        deal = deal_of(town)
        refuse(town, "post", "realization", SourceError("429", retriable=True))
        town.sync()
        ((key, row),) = town.books.all("realization").items()
        assert not row["Posted"]
        if gone:
            town.portal.drop("deal", deal)
        else:
            town.portal.change("deal", deal, stageId="NEW")
        allow(town, "post")
        rest(town)
        ((reason, amount, *_),) = told(town, key)
        assert (reason, amount) == ("deleted_in_crm" if gone else "missing_in_crm", 0)


def test_a_draft_that_is_still_due_is_told_as_not_posted_alone(towns: Towns) -> None:
    with towns() as town:
        only(town, "21", lines=1)
        refuse(town, "post", "realization")
        town.sync()
        (key,) = town.books.all("realization")
        assert [reason for reason, *_ in told(town, key)] == ["unposted"]
        allow(town, "post")
        settle(town)
