"""Deals in front of the gate: good ones, and what the gate says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

from psycopg.types.json import Jsonb

from pipelines.refresh import refresh
from pipelines.table import tables
from resources.warehouse import Connection, Warehouse

TODAY = date(2026, 7, 1)
TABLES = ("documents.deal", "documents.document_line", "documents.failure", "documents.held")

DEAL: dict[str, Any] = {
    "source": "b24",
    "title": "Boilers",
    "client_id": "b24:1",
    "client_name": "Volga Trade",
    "employee_id": "b24:7",
    "manager": "Anna",
    "pipeline_code": "0",
    "stage_code": "WON",
    "stage_name": "Won",
    "stage_is_deleted": False,
    "rule": "b24.yaml:12",
    "documents": ["invoice"],
    "document_date": date(2026, 6, 30),
    "due_on": date(2026, 7, 10),
    "counterparty_id": "RU:7701:77",
    "counterparties": 1,
    "legal_name": "Volga Trade OOO",
    "country": "RU",
    "tax_number": "7701234567",
    "tax_number_given": "7701234567",
    "tax_number_missing": False,
    "counterparty_key": "1c:a",
    "counterparty_origin": "found",
    "counterparty_matches": 1,
    "contract_id": "RU:7701:77/RUB",
    "currency": "RUB",
    "currency_key": "1c:rub",
    "rate": 1,
    "rate_units": 1,
    "amount": Decimal("1200.00"),
    "line_amount": Decimal("1200.00"),
    "lines": 1,
}
LINE: dict[str, Any] = {
    "position": 1,
    "product_name": "Boiler",
    "product_id": "b24:5",
    "product_key": "1c:p",
    "product_origin": "found",
    "product_matches": 1,
    "is_service": False,
    "unit": "шт",
    "unit_key": "1c:u",
    "quantity": 2,
    "price": 600,
    "amount": Decimal("1200.00"),
    "vat_rate": 20,
    "vat": "НДС20",
    "vat_amount": Decimal("200.00"),
    "given_price": 600,
    "given_amount": Decimal("1200.00"),
}


def create(conn: Connection) -> None:
    for name in TABLES:
        conn.execute(tables()[name].create_sql)


def put(
    conn: Connection, number: int, line: Mapping[str, Any] | None = None, source: str = "b24", **deal: Any
) -> str:
    """Deal `number` of a CRM with one line, both good but for what is given; its id."""
    deal_id = f"{source}:{number}"
    _insert(
        conn,
        "documents.deal",
        {**DEAL, "deal_id": deal_id, "source": source, "source_id": str(number), **deal},
    )
    _insert(
        conn,
        "documents.document_line",
        {"line_id": f"{source}:l{number}", "deal_id": deal_id, **LINE, **(line or {})},
    )
    tell(conn, deal_id)
    return deal_id


def _insert(conn: Connection, table: str, row: Mapping[str, Any]) -> None:
    names, holes = ", ".join(row), ", ".join(["%s"] * len(row))
    conn.execute(f"insert into {table} ({names}) values ({holes})", list(row.values()))


def tell(conn: Connection, *deal_ids: str) -> None:
    """Note in the log of changes what a refresh would."""
    for deal_id in deal_ids:
        conn.execute("insert into ops.change_log (table_name, key) values ('documents.deal', %s)", [deal_id])


def failures(conn: Connection) -> dict[str, set[str]]:
    """Names of the failing checks by deal."""
    found: dict[str, set[str]] = {}
    for deal_id, check in conn.execute("select deal_id, check_name from documents.failure"):
        found.setdefault(deal_id, set()).add(check)
    return found


def held(conn: Connection) -> set[str]:
    refresh(conn, tables()["documents.held"])
    return {row[0] for row in conn.execute("select deal_id from documents.held")}


@contextmanager
def undone(warehouse: Warehouse) -> Iterator[Connection]:
    """A transaction that is rolled back, so that each example begins with nothing."""
    with warehouse.connect() as conn:
        yield conn
        conn.rollback()


def set_(conn: Connection, name: str, value: object) -> None:
    """A setting of the accounting system, which is called `sverka` here."""
    conn.execute("delete from ops.setting where name = any(%s)", [[name, "accounting_system"]])
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into ops.setting (system, name, value) values ('sverka', %s, %s)",
            [("accounting_system", Jsonb("sverka")), (name, Jsonb(value))],
        )
