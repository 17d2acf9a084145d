"""Books whose records are edited, and reports that are recorded when they are made and asked for again later."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from mappings import load
from pipelines import sync
from pipelines.raw.load import store_page
from pipelines.refresh import Outcome
from pipelines.sync import Road
from pipelines.table import tables
from resources.connector import Capabilities, Entity, Page, Record
from resources.warehouse import Connection, Warehouse
from tests.mapping.mapping_road import write_folder

SHOP = """system: shop
connector: files
role: crm
title: Shop
timezone: Europe/Moscow
read:
  core.employee: {from: employee, fields: {full_name: name}}
  core.stage: {from: stage, fields: {pipeline_code: {constant: P}, stage_code: code, name: code, outcome: outcome}}
  core.deal:
    from: deal
    fields:
      title: title
      employee_id: {from: manager, ref: core.employee}
      pipeline_code: {constant: P}
      stage_code: stage
      amount: {from: amount, as: money}
      currency: {constant: RUB}
      closed_on: {from: closed, as: date}
"""
BOOKS = """system: books
connector: onec
role: accounting
title: Books
timezone: Europe/Moscow
without: {invoice: nobody asks us for one}
currency: RUB
currencies: [{code: RUB, value: "643"}, {code: USD, value: "840"}]
read:
  core.accounting_counterparty: {from: buyer, fields: {name: name}}
  core.accounting_currency: {from: currency, fields: {code: code, name: name}}
  ledger.document:
    from: document
    deleted: deleted
    fields: &fields
      kind: kind
      number: number
      document_date: {from: date, as: date}
      is_posted: posted
      counterparty_key: {from: buyer, ref: core.accounting_counterparty}
      currency_key: {from: currency, ref: core.accounting_currency}
      amount: {from: amount, as: money}
  ledger.payment:
    from: payment
    deleted: deleted
    fields:
      kind: kind
      number: number
      paid_on: {from: date, as: date}
      is_posted: posted
      counterparty_key: {from: buyer, ref: core.accounting_counterparty}
      currency_key: {from: currency, ref: core.accounting_currency}
      amount: {from: amount, as: money}
  ledger.payment_line:
    from: payment
    each: lines
    key: n
    deleted: /deleted
    fields:
      payment_key: {parent: true}
      invoice_key: {from: invoice, ref: ledger.document}
      amount: {from: amount, as: money}
"""
ENTITIES = {"shop": ("employee", "stage", "deal"), "books": ("buyer", "currency", "document", "payment")}
CAPABILITIES = {
    system: Capabilities(entities=tuple(Entity(name, incremental=True) for name in names))
    for system, names in ENTITIES.items()
}
REPORTS = {
    "obligation_as_of": "document_key, counterparty_key, counterparty, deal_id, manager, currency, amount, paid, debt, overpaid, bucket",
    "receivables_as_of": "document_key, counterparty_key, manager, currency, debt, days_overdue",
    "receivables_ageing_as_of": "counterparty_key, counterparty, currency, documents, debt, overpaid, unallocated, refunded,"
    " settled_by_others, balance",
    "manager_kpi_as_of": "manager, month, currency, deals_won, deals_open, won_amount, invoiced, paid, debt, overdue",
}
READ = (
    *(
        f"core.{name}"
        for name in (
            "employee",
            "stage",
            "deal",
            "deal_step",
            "accounting_counterparty",
            "accounting_currency",
        )
    ),
    *(
        f"ledger.{name}"
        for name in ("document", "payment", "payment_line", "position", "obligation", "allocation", "sale")
    ),
)
"""What the reports are made of: the rest of the ledger is not looked at here."""
_numbers = itertools.count(1)

Figures = dict[tuple[str, date], list[tuple[Any, ...]]]


def folder_of(place: Path) -> Path:
    return write_folder(place, shop=SHOP, books=BOOKS)


def known_road(warehouse: Warehouse, folder: Path) -> Road:
    """A road with nothing on it yet, whose tables were filled once."""
    road = Road(warehouse, load(folder, {}))
    sync.prepare(road)
    for stage in ("core", "ledger"):
        sync.refresh_stage(road, stage, everything=True)
    return road


@dataclass
class Company:
    """Two CRM deals with an invoice each, and whatever accounting writes; apart from others by its prefix."""

    road: Road
    days: Sequence[date]
    prefix: str = field(default_factory=lambda: f"{next(_numbers)}-")
    recorded: list[tuple[datetime, Figures]] = field(default_factory=list)
    said: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for code, name in (("643", "rub"), ("840", "usd")):
            self.say("books", "currency", name, {"code": code, "name": name}, shared=True)
        for code, outcome in (("OPEN", "open"), ("WON", "won")):
            self.say("shop", "stage", code, {"code": code, "outcome": outcome}, shared=True)
        with self.road.warehouse.transaction() as conn:
            for number in (0, 1):
                self._expect(conn, number)

    def _expect(self, conn: Connection, number: int) -> None:
        """That a document is of a deal: the road's own part, which is not what is looked at here."""
        conn.execute(
            "insert into documents.document (document_key, kind, deal_id, revision, has_goods, has_services, document_date)"
            " values (%s, 'invoice', %s, 1, true, false, '2026-01-01')",
            [self.key("books", f"i{number}"), self.key("shop", str(number))],
        )
        conn.execute(
            "insert into ops.change_log (table_name, key) values ('documents.document.document_key', %s)",
            [self.key("books", f"i{number}")],
        )

    def key(self, system: str, number: str) -> str:
        return f"{system}:{self.prefix}{number}"

    def say(
        self, system: str, entity: str, number: str, payload: dict[str, Any] | None, *, shared: bool = False
    ) -> None:
        """The record says this from now on; None: it is gone, if it was ever there."""
        name = number if shared else f"{self.prefix}{number}"
        last = self.said.get((entity, name))
        if payload is None and last is None:
            return
        self.said[entity, name] = payload or last or {}
        record = Record(name, msgspec.json.encode(payload or last), deleted=payload is None)
        store_page(self.road.warehouse, system, CAPABILITIES[system], Page(entity, [record]))

    def document(self, number: str, buyer: str, day: date, amount: Any, **more: Any) -> None:
        row = {
            "kind": "invoice",
            "posted": True,
            "deleted": False,
            "currency": "rub",
            "number": number,
            **more,
        }
        row |= {"buyer": f"{self.prefix}{buyer}", "date": day.isoformat(), "amount": str(amount)}
        self.say("books", "document", number, row)

    def payment(
        self, number: str, buyer: str, day: date, amount: Any, invoice: str = "", **more: Any
    ) -> None:
        """`invoice`: the one that it is stated to pay."""
        lines = [{"n": "1", "invoice": f"{self.prefix}{invoice}", "amount": str(amount)}] if invoice else []
        row = {
            "kind": "receipt",
            "posted": True,
            "deleted": False,
            "currency": "rub",
            "number": number,
            **more,
        }
        row |= {
            "buyer": f"{self.prefix}{buyer}",
            "date": day.isoformat(),
            "amount": str(amount),
            "lines": lines,
        }
        self.say("books", "payment", number, row)

    def deal(self, number: str, manager: str, stage: str, amount: int) -> None:
        row = {"title": number, "manager": f"{self.prefix}{manager}", "stage": stage, "amount": amount}
        self.say("shop", "deal", number, row | {"closed": "2026-01-20"})

    def sync(self, *, everything: bool = False) -> list[Outcome]:
        """Bring the tables up to date, and record what the reports say now, with the moment that they may be asked by."""
        chosen = [tables()[name] for name in READ]
        outcomes = sync.refresh_tables(self.road, chosen, everything=everything)
        self.recorded.append(self.report())
        return outcomes

    def report(self) -> tuple[datetime, Figures]:
        with self.look() as conn:
            (moment,) = conn.execute("select up_to from marts.known").fetchone() or (None,)
            assert moment is not None
            return moment, self._figures(conn, "infinity")

    def as_known(self, moment: datetime | str) -> Figures:
        with self.look() as conn:
            return self._figures(conn, moment)

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """All that is asked within is of one and the same state."""
        with self.road.warehouse.connect() as conn:
            conn.execute("set transaction isolation level repeatable read, read only")
            yield conn

    def _figures(self, conn: Connection, moment: datetime | str) -> Figures:
        found: Figures = {}
        for report, day in itertools.product(REPORTS, self.days):
            whose = {"manager_kpi_as_of": "employee_id", "receivables_ageing_as_of": "counterparty_key"}.get(
                report, "document_key"
            )
            system = "shop" if whose == "employee_id" else "books"
            found[report, day] = conn.execute(
                f"select {REPORTS[report]} from marts.{report}(%s, %s) where starts_with({whose}, %s) order by 1, 2, 3, 4".encode(),
                [day, moment, f"{system}:{self.prefix}"],
            ).fetchall()
        return found

    def restated(
        self, report: str, day: date, then: datetime | str, now: datetime | str
    ) -> list[dict[str, Any]]:
        """Rows of a restatement."""
        with self.look() as conn:
            cursor = conn.execute(
                f"select * from marts.{report}(%s, %s, %s) where starts_with(counterparty_key, %s) order by 1, 3".encode(),
                [day, then, now, self.key("books", "")],
            )
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def total(self, column: str, day: date, moment: datetime | str) -> Decimal:
        report = "receivables_ageing_as_of" if column == "balance" else "receivables_as_of"
        with self.look() as conn:
            row = conn.execute(
                f"select coalesce(sum({column}), 0) from marts.{report}(%s, %s) where starts_with(counterparty_key, %s)".encode(),
                [day, moment, self.key("books", "")],
            ).fetchone()
        assert row is not None
        return Decimal(row[0])
