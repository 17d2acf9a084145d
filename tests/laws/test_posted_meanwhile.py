"""Accountants post while we read: balances and documents of different moments are no difference in the books."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines import laws, stages, sync
from pipelines.laws import LOOKS, Law
from pipelines.table import stage_tables
from resources.connector import Page
from tests.laws.acts import Act, do
from tests.laws.acts_accounting import _currency
from tests.laws.books import COUNTERPARTY, Books
from tests.laws.conftest import Towns
from tests.laws.town import Town

CONTEXT: Any = SimpleNamespace(log=logging.getLogger(__name__))
LEDGER = [table.name for table in stage_tables("ledger") if table.rows != "python" and not table.is_view]


def traded(town: Town) -> None:
    for number in range(6):
        do(town, Act("new_deal", number, 4, 2))
    town.sync()
    assert all(law.holds for law in town.sync().laws)


def posting(town: Town, before: str, times: int) -> list[list[str]]:
    """Somebody posts a payment whenever this is asked for, so many times. What is asked for, as it comes."""
    asked: list[list[str]] = []
    buyer = next(iter(town.books.all("invoice").values()))["Контрагент_Key"]
    rouble = _currency(town.books, "643")

    def read(entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        nonlocal times
        asked.append(list(entities))
        for entity in entities:
            if entity == before and times:
                times -= 1
                town.books.add(
                    "payment", Date="2026-04-03T00:00:00", Контрагент=buyer, Контрагент_Type=COUNTERPARTY,
                    ВалютаДокумента_Key=rouble, СуммаДокумента=Decimal(10), РасшифровкаПлатежа=[],
                )  # fmt: skip
            yield from Books.read(town.books, [entity], since, until)

    town.books.read = read  # type: ignore[method-assign]
    return asked


def settled(town: Town) -> tuple[list[Law], int]:
    """What the step of the ledger finds, and at how many moments every document was looked at."""
    sync.read(town.road, town.road.accounting, sync.document_entities(town.road))
    sync.refresh_stage(town.road, "ledger", only=LEDGER)
    outcomes = {name: sync.Outcome(name, 0, 0, 0) for name in LEDGER}
    found = stages.compared_ledger(CONTEXT, town.road, LEDGER, outcomes)
    ((whole,),) = town.rows(
        "select count(distinct window_until) from (select window_to as window_until from ops.batch"
        " where source = 'onec' and entity = 'payment' and extract(year from window_from) = 1970) b"
    )
    return found, int(whole)


@pytest.mark.parametrize(
    ("before", "times"), [("invoice", 1), ("invoice", 99), ("balance", 1), ("balance", LOOKS)]
)
def test_what_is_posted_while_we_read_is_no_difference(towns: Towns, before: str, times: int) -> None:
    with towns(traded) as town:
        posting(town, before, times)
        found, whole = settled(town)
        assert [law.sentence for law in found if not law.holds] == []
        assert whole == 0, "every document was looked at, for nothing"


def test_posting_without_end_is_told_after_so_many_looks_and_holds_when_it_is_quiet(towns: Towns) -> None:
    with towns(traded) as town:
        asked = posting(town, "balance", 99)
        found, whole = settled(town)
        assert [law.name for law in found if not law.holds] == [laws.DEBIT_EQUALS_CREDIT]
        assert asked.count(["balance"]) == 1 + LOOKS + 1 + LOOKS
        assert whole == 1
        posting(town, "balance", 0)
        assert all(law.holds for law in settled(town)[0])


def test_what_really_differs_is_told_after_one_look_at_everything(towns: Towns) -> None:
    with towns(traded) as town:
        town.books.entries[next(iter(town.books.entries))][0]["Сумма"] += 1  # no new version: no read sees it
        asked = posting(town, "balance", 0)
        found, whole = settled(town)
        assert [law.name for law in found if not law.holds] == [laws.DEBIT_EQUALS_CREDIT]
        assert whole == 1
        assert asked.count(["balance"]) == 4, "the step's, one look, everything, and one look more"


def test_balances_are_read_after_the_documents_behind_them(towns: Towns) -> None:
    with towns(traded) as town:
        asked = posting(town, "", 0)
        sync.read(town.road, town.road.accounting, sync.document_entities(town.road))
        apart = [[entity] for entity in sync._aside(town.road.accounting)]
        *documents, last = [batch for batch in asked if batch not in apart]
        assert last == ["balance"]
        assert documents
        assert all("balance" not in entities for entities in documents)
