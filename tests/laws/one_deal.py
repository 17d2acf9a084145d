"""A company that sells by one deal alone: how it comes about, comes to rest, and is asked about."""

from __future__ import annotations

from typing import Any

from pipelines.operations.decide import answer, questions
from tests.laws.town import Done, Town, add_deal


def only(town: Town, company: str, **deal: Any) -> None:
    """Leave nothing that calls for a document but one new deal of this company."""
    for old in list(town.portal.all("deal")):
        town.portal.change("deal", old, stageId="NEW", categoryId="0")
    for key in list(town.sheets.all("sale")):
        town.sheets.drop("sale", key)
    add_deal(town.portal, company, **deal)


def deal_of(town: Town) -> str:
    return list(town.portal.all("deal"))[-1]


def settle(town: Town) -> Done:
    """A sync after which the laws hold, and then another one that has nothing to do."""
    done = town.sync()
    for _ in range(3):
        assert [law.sentence for law in done.laws if not law.holds] == []
        again = town.sync()
        if again.planned.quiet and not again.carried.written:
            return done
    raise AssertionError(f"it does not come to rest: {again.planned}")


def reprice(town: Town, deal: str, price: str) -> None:
    """The CRM gives the deal's first line another price."""
    town.portal.put_line(deal, next(iter(town.portal.lines(deal))), price=price)


def asked(town: Town) -> list[dict[str, Any]]:
    with town.warehouse.transaction() as conn:
        return [dict(question) for question in questions(conn)]


def say(town: Town, action: str) -> str:
    """Answer the only question that stands; what is said against it, or nothing where it is done."""
    (question,) = asked(town)
    with town.warehouse.transaction() as conn:
        told = answer(conn, town.road.accounting, str(question["question_id"]), action, "Анна", "as agreed")
    return "" if told.done else told.sentence
