"""Buyers, what they owe, and payments, straight in the ledger's tables; each example is rolled back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pipelines.refresh import Outcome, refresh
from pipelines.table import tables
from resources.warehouse import Connection
from tests.marts.company import BOOKS
from tests.money.test_lines import put

ROUBLE, DOLLAR = "onec:643", "onec:840"
ROSE, NORTH = "onec:rose", "onec:north"


def buyers(conn: Connection) -> None:
    for key, name, number in ((ROSE, "Ромашка ООО", "7707083893"), (NORTH, "Север АО", "5190100391")):
        put(conn, "core.accounting_counterparty", counterparty_key=key, **BOOKS, source_id=key, name=name,
            tax_number=number)  # fmt: skip


def owes(conn: Connection, name: str, amount: int | str, buyer: str = ROSE, **row: Any) -> None:
    """An invoice by this name; dated 1 March and due on the 10th unless said otherwise."""
    put(conn, "ledger.obligation", **{
        "document_key": name, "kind": "invoice", "number": name, "counterparty_key": buyer, "currency_key": ROUBLE,
        "document_date": "2026-03-01", "due_on": "2026-03-10", "amount": Decimal(amount), "asked": Decimal(amount), **row,
    })  # fmt: skip


def pays(conn: Connection, name: str, amount: int | str, buyer: str | None = ROSE, **row: Any) -> None:
    put(conn, "ledger.payment", **{
        "payment_key": name, **BOOKS, "source_id": name, "number": name, "kind": "receipt", "is_posted": True,
        "paid_on": "2026-04-01", "counterparty_key": buyer, "currency_key": ROUBLE, "amount": Decimal(amount), **row,
    })  # fmt: skip


def states(conn: Connection, payment: str, document: str, amount: int | str) -> None:
    put(conn, "ledger.payment_line", line_key=f"{payment}/{document}", source="onec", source_id=payment,
        payment_key=payment, invoice_key=document, amount=Decimal(amount), is_deleted=False, problems=[])  # fmt: skip


def told(conn: Connection, table: str, *keys: str) -> None:
    """As a refresh of that table would have told."""
    for key in keys:
        conn.execute("insert into ops.change_log (table_name, key) values (%s, %s)", [table, key])


def refreshed(conn: Connection, name: str = "ledger.allocation", *, everything: bool = False) -> Outcome:
    return refresh(conn, tables()[name], everything=everything)


def allocations(conn: Connection) -> list[tuple[str, str, str, int]]:
    return conn.execute(
        "select payment_key, document_key, rule, amount from ledger.allocation order by 1, 2, 3"
    ).fetchall()
