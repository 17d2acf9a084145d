"""Reports of stages, schedules, objects and calls as they were known: what comes later changes none that was recorded.

The ledger's own reports: tests/marts/test_marts_known.py, tests/laws/test_known.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from pipelines import sync
from pipelines.raw.load import store_page
from pipelines.table import tables
from resources.connector import Capabilities, Entity, Page, Record
from resources.warehouse import Warehouse
from tests.laws.known_books import BOOKS, SHOP, Company, known_road
from tests.mapping.mapping_road import write_folder

SCHEDULES = """  core.payment_schedule:
    from: instalment
    fields:
      kind: kind
      contract_number: contract
      deal_id: {from: deal, ref: core.deal}
      position: {from: position, as: integer}
      said_on: {from: said, as: date}
      due_on: {from: due, as: date}
      amount: {from: amount, as: money}
      currency: {constant: RUB}
  core.property_object:
    from: object
    fields:
      complex: complex
      number: number
      area: {from: area, as: quantity}
      price: {from: price, as: money}
      currency: {constant: RUB}
      contract_number: contract
"""
CONTRACTS = """  core.accounting_contract:
    from: contract
    fields:
      code: code
      counterparty_key: {from: buyer, ref: core.accounting_counterparty}
      is_with_buyer: {constant: true}
"""
ENTITIES = {
    "shop": ("employee", "stage", "deal", "instalment", "object"),
    "books": ("buyer", "currency", "contract", "document", "payment"),
}
CAPABILITIES = {
    system: Capabilities(entities=tuple(Entity(name, incremental=True) for name in names))
    for system, names in ENTITIES.items()
}
REPORTS = (
    "stage_time_as_of", "stage_flow_as_of", "stuck_deal_as_of", "open_pipeline_as_of", "payment_promise_as_of",
    "payment_schedule_as_of", "contract_schedule_as_of", "property_object_as_of", "property_complex_as_of", "call_today_as_of",
)  # fmt: skip
LATER = datetime.now(UTC).date() + timedelta(days=40)
"""Looked from: far enough for what is said today to be forgotten."""

Rows = dict[str, list[tuple[Any, ...]]]


@dataclass
class Town(Company):
    """The books of `tests.laws.known_books`, with schedules, objects and contracts."""

    told: list[tuple[datetime, Rows]] = field(default_factory=list)

    def say(
        self, system: str, entity: str, number: str, payload: dict[str, Any] | None, *, shared: bool = False
    ) -> None:
        key = number if shared else f"{self.prefix}{number}"
        page = Page(entity, [Record(key, msgspec.json.encode(payload or {}), deleted=payload is None)])
        store_page(self.road.warehouse, system, CAPABILITIES[system], page)

    def record(self) -> None:
        """Bring the tables up to date, and keep what the reports say now with the moment to ask by."""
        for stage in ("core", "ledger"):
            sync.refresh_stage(self.road, stage)
        with self.look() as conn:
            (moment,) = conn.execute("select up_to from marts.known").fetchone() or (None,)
        assert moment is not None
        self.told.append((moment, self.reports("infinity")))

    def reports(self, moment: datetime | str) -> Rows:
        with self.look() as conn:
            return {
                report: conn.execute(
                    f"select r.* from marts.{report}(%s, %s) r order by r::text".encode(), [LATER, moment]
                ).fetchall()
                for report in REPORTS
            }


@pytest.fixture(scope="module")
def town(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"create database marts_known_later template {template} strategy file_copy")
        folder = write_folder(tmp_path_factory.mktemp("town"), shop=SHOP + SCHEDULES, books=_with_contracts())
        warehouse = Warehouse(f"{server_url.rsplit('/', 1)[0]}/marts_known_later")
        yield _told_twice(Town(known_road(warehouse, folder), [LATER], "x-"))
        conn.execute("drop database marts_known_later with (force)")


def _with_contracts() -> str:
    line = "      payment_key: {parent: true}\n"
    assert line in BOOKS
    named = f"{line}      contract_key: {{from: contract, ref: core.accounting_contract}}\n"
    return BOOKS.replace(line, named) + CONTRACTS


def _told_twice(town: Town) -> Town:
    _say(
        town,
        manager="Роза",
        stage="OPEN",
        amount=100,
        paid=200,
        owed=300,
        agreed=400,
        price=8000,
        contract="Л-1",
    )
    town.deal("1", "n", "OPEN", 200)
    town.record()
    _say(
        town,
        manager="Мак",
        stage="WON",
        amount=150,
        paid=450,
        owed=900,
        agreed=700,
        price=9000,
        contract="Л-2",
    )
    town.record()
    return town


def _say(town: Town, *, manager: str, stage: str, amount: int, paid: int, owed: int, agreed: int, price: int,
         contract: str) -> None:  # fmt: skip
    """All that the systems hold; whatever is another figure than before is a change."""
    town.say("shop", "employee", "m", {"name": manager})
    town.say("shop", "employee", "n", {"name": "Лён"})
    town.deal("0", "m", stage, amount)
    town.say("books", "buyer", "a", {"name": f"{manager} ООО"})
    town.say("books", "contract", "k", {"code": contract, "buyer": "x-a"})
    town.document("i0", "a", date(2026, 1, 10), 600)
    town.document("i1", "a", date(2026, 1, 12), owed)
    line = {"n": "1", "invoice": "x-i0", "amount": str(paid), "contract": "x-k"}
    town.say(
        "books", "payment", "p0",
        {"kind": "receipt", "number": "p0", "date": "2026-01-15", "posted": True, "deleted": False, "buyer": "x-a",
         "currency": "rub", "amount": str(paid), "lines": [line]},
    )  # fmt: skip
    due = {"said": "2026-01-05", "position": 1, "amount": str(agreed)}
    town.say("shop", "instalment", "s0", due | {"kind": "agreed", "contract": "Л-1", "due": "2026-02-01"})
    town.say("shop", "instalment", "s1", due | {"kind": "promised", "deal": "x-0", "due": "2026-01-20"})
    town.say(
        "shop",
        "object",
        "o",
        {"complex": "Заря", "number": "1", "area": "50", "price": str(price), "contract": "Л-1"},
    )


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_as_known_then_is_what_it_was_whatever_came_later(town: Town, report: str) -> None:
    (then, first), (now, second) = ((moment, rows[report]) for moment, rows in town.told)
    assert first, "a report without rows would prove nothing"
    assert first != second, "and one that nothing changed neither"
    assert town.reports(then)[report] == first
    assert town.reports(now)[report] == second


def test_before_anything_was_known_these_reports_are_empty(town: Town) -> None:
    (then, _), _ = town.told
    before = town.reports(then - timedelta(days=1))
    assert {report: rows for report, rows in before.items() if rows} == {}


# Which client a record is, and what it is called, in a report as known then too: docs/history.md says why.
TOLD_AS_NOW = (
    "core.client_member",
    "core.client",
    "core.client_field",
    "core.counterparty",
    "core.client_counterparty",
)


def test_a_function_that_takes_known_at_passes_it_on() -> None:
    """What is made of reports as of a day, or of tables that keep what they said, asks for them as known then too."""
    for mart in tables().values():
        if mart.stage != "marts" or "known_at" not in mart.arguments:
            continue
        for read in mart.upstreams:
            upstream = tables().get(read)
            if upstream is None:
                continue
            if "known_at" in upstream.arguments:
                assert f"{read}(" in mart.rows_sql, (mart.name, read)
                calls = mart.rows_sql.split(f"{read}(")[1:]
                assert all("known_at" in call.partition(")")[0] for call in calls), (mart.name, read)
            elif upstream.has_versions and read not in TOLD_AS_NOW:
                bare = [f"{word} {read} " in mart.rows_sql for word in ("from", "join")]
                assert not any(bare), (mart.name, read)
