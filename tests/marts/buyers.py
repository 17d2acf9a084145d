"""Six buyers of half a year, with what accounting's entries say of cost: the worked example of the marts of clients.

Sales are without VAT. Альфа is a client with two counterparties, the others are counterparties without a deal. The
figures that follow are worked out by hand in docs/marts.md.
"""

from __future__ import annotations

from typing import Any

from resources.warehouse import Connection, Warehouse
from tests.marts.company import BOOKS, CRM, DOLLAR, ROUBLE, deploy_empty, insert, worked_out

BUYERS = (
    ("A1", "Альфа ООО"),
    ("A2", "Альфа Плюс ООО"),
    ("B", "Бета ООО"),
    ("C", "Вега ООО"),
    ("D", "Дельта ООО"),
    ("E", "Енисей ООО"),
    ("F", "Foreign Inc"),
)
SALES = (
    # key, buyer, day, revenue, cost; no cost: accounting publishes no entries of it
    ("a1", "A1", "2026-01-15", 100, 60),
    ("a2", "A2", "2026-02-15", 100, 60),
    ("a3", "A1", "2026-03-15", 100, 60),
    ("a4", "A2", "2026-04-15", 100, 60),
    ("a5", "A1", "2026-05-15", 100, 60),
    ("a6", "A2", "2026-06-15", 100, 60),
    ("b1", "B", "2026-01-10", 300, 200),
    ("b2", "B", "2026-03-11", 300, 200),
    ("c1", "C", "2026-02-01", 50, 20),
    ("c2", "C", "2026-02-11", 50, 20),
    ("c3", "C", "2026-02-21", 50, 20),
    ("c4", "C", "2026-03-03", 50, 20),
    ("d1", "D", "2026-04-05", 1000, None),
)
SALE = {"kind": "realization", "is_posted": True}
POSITION = {
    "is_posting_kind": True,
    "is_marked": False,
    "is_deal_deleted": False,
    "has_other_lines": False,
    "is_apart": False,
    "is_posted": True,
}


def found_buyers(warehouse: Warehouse) -> None:
    deploy_empty(warehouse)
    with worked_out(warehouse) as conn:
        settings = [("onec", "currency", '"RUB"'), ("onec", "cost_accounts", '["90.02"]')]
        insert(conn, "ops.setting", {}, "system name value", settings)
        accounts = [
            ("acc:90.02.1", "90.02.1"),
            ("acc:90.020", "90.020"),
            ("acc:41", "41.01"),
            ("acc:62", "62.01"),
        ]
        insert(
            conn, "core.accounting_account", BOOKS, "account_key code", [*accounts, ("acc:90.01", "90.01.1")]
        )
        insert(conn, "core.accounting_counterparty", BOOKS, "counterparty_key name", BUYERS)
        goods = [("X", "Насос", False), ("Y", "Монтаж", True)]
        insert(conn, "core.accounting_product", BOOKS, "product_key name is_service", goods)
        _alpha(conn)
        for key, buyer, day, revenue, cost in SALES:
            sell(conn, key, buyer, day, revenue, cost)
        sell(conn, "e1", "E", "2026-05-20", 80, 0, product="Y")  # services: entries, and none of them a cost
        sell(conn, "f1", "F", "2026-01-05", 500, 300, currency_key=DOLLAR)
        _returned(conn)


def sell(
    conn: Connection,
    key: str,
    buyer: str,
    day: str,
    revenue: int,
    cost: int | None,
    *,
    product: str = "X",
    currency_key: str = ROUBLE,
    **changes: Any,
) -> None:
    """A posted realization of one line; `cost` as its entry has it, 0: entries without one, None: no entries."""
    document = SALE | {"counterparty_key": buyer, "currency_key": currency_key, **changes}
    insert(
        conn, "ledger.document", BOOKS | document, "document_key document_date amount", [(key, day, revenue)]
    )
    line = (f"{key}/1", key, product, 1, revenue, 0)
    insert(
        conn,
        "ledger.document_line",
        BOOKS,
        "line_key document_key product_key quantity amount vat_amount",
        [line],
    )
    deal_id = "deal-alpha-" + buyer if buyer.startswith("A") else None
    insert(
        conn, "ledger.position", POSITION | {"kind": "realization"}, "document_key deal_id", [(key, deal_id)]
    )
    if cost is not None:
        book(conn, key, day, revenue, cost)


def book(conn: Connection, key: str, day: str, revenue: int, cost: int) -> None:
    rows = [(f"{key}:1", key, day, "acc:62", "acc:90.01", revenue)]
    if cost:
        rows.append((f"{key}:2", key, day, "acc:90.02.1", "acc:41", cost))
    columns = "entry_key document_key booked_on account_dr_key account_cr_key amount"
    insert(conn, "ledger.entry", BOOKS | {"is_active": True}, columns, rows)


def _alpha(conn: Connection) -> None:
    """One client, two deals, one by each of its counterparties."""
    insert(conn, "core.employee", CRM, "employee_id full_name", [("anna", "Анна Орлова")])
    insert(conn, "core.client_record", CRM, "client_record_id name", [("alpha", "Альфа")])
    insert(conn, "core.client_member", {}, "client_record_id client_id rule", [("alpha", "alpha", "alone")])
    client = {"sources": ["crm"], "is_deleted": False, "problems": [], "records": 1}
    columns = "client_id name phone employee_id"
    insert(conn, "core.client", client, columns, [("alpha", "Альфа", "+79161234567", "anna")])
    deals = [("deal-alpha-A1", "alpha", "anna"), ("deal-alpha-A2", "alpha", "anna")]
    insert(conn, "core.deal", CRM, "deal_id client_record_id employee_id", deals)


def _returned(conn: Connection) -> None:
    """Бета takes a third of its second purchase back: 100 of revenue, 70 of cost; accounting books it below zero."""
    back = BOOKS | {"kind": "return", "is_posted": True, "counterparty_key": "B", "currency_key": ROUBLE}
    insert(
        conn, "ledger.document", back, "document_key document_date amount base_key",
        [("b3", "2026-04-10", 100, "b2")],
    )  # fmt: skip
    actual = {"actual_counterparty_key": "B", "actual_currency_key": ROUBLE, "actual_date": "2026-04-10"}
    insert(
        conn,
        "ledger.position",
        POSITION | actual | {"kind": "return"},
        "document_key actual_amount",
        [("b3", -100)],
    )
    book(conn, "b3", "2026-04-10", -100, -70)
