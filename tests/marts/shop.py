"""A small shop for the marts of goods: who bought what together, and how each product sold month by month.

The figures that follow from it are worked out by hand in docs/marts.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from resources.warehouse import Connection, Warehouse
from tests.marts.company import BOOKS, CRM, DOLLAR, ROUBLE, deploy_empty, insert, refresh_table, worked_out

PRODUCTS = (
    # key, article, name, service
    ("P", "A-1", "Насос", False),
    ("V", "A-2", "Клапан", False),
    ("M", "A-3", "Манометр", False),
    ("S", None, "Монтаж", True),
    ("N", "A-5", "Насос новый", False),
    ("G", "A-6", "Прокладка", False),
    ("W", "A-7", "Хомут", False),
    ("F", "A-8", "Каталог", False),
)
TOGETHER = ("PV", "PV", "PVM", "PV", "P", "VS", "MS", "M", "S", "MS")
"""What stands on each of ten realizations of the year up to 31 March 2026."""
Line = tuple[str, object, object]
"""(product, quantity, sum with VAT)."""


def sell(
    conn: Connection, key: str, day: str, lines: Sequence[Line], currency_key: str = ROUBLE, **changes: Any
) -> None:
    """A posted realization of accounting; `changes` are columns of ledger.document."""
    document = {"kind": "realization", "counterparty_key": "A", "is_posted": True, **changes}
    amount = sum((float(str(line[2])) for line in lines), 0.0)
    columns = "document_key document_date currency_key amount"
    insert(conn, "ledger.document", BOOKS | document, columns, [(key, day, currency_key, amount)])
    rows = [(f"{key}/{n}", key, *line) for n, line in enumerate(lines, 1)]
    insert(conn, "ledger.document_line", BOOKS, "line_key document_key product_key quantity amount", rows)


def set_goods(conn: Connection, name: str, **said: Any) -> None:
    """What the mapping file says under `goods`."""
    conn.execute(
        "insert into ops.setting (system, name, value) values ('onec', %s, %s)"
        " on conflict (system, name) do update set value = excluded.value",
        [f"goods_{name}", json.dumps(said)],
    )


def found_catalogue(conn: Connection) -> None:
    insert(conn, "ops.setting", {"system": "onec"}, "name value", [("currency", '"RUB"')])
    insert(conn, "core.accounting_counterparty", BOOKS, "counterparty_key name", [("A", "Ромашка ООО")])
    columns = "product_key code name is_service"
    insert(conn, "core.accounting_product", BOOKS, columns, PRODUCTS)


def found_basket(warehouse: Warehouse) -> None:
    """Ten realizations of a year, three older ones, some that do not count; and three deals of the CRM."""
    deploy_empty(warehouse)
    with worked_out(warehouse) as conn:
        found_catalogue(conn)
        for number, products in enumerate(TOGETHER, 1):
            day = date(2025, 4, 1) if number == 1 else date(2026, 1, number)
            lines: list[Line] = [(product, 2, 100) for product in products]
            if number == 1:
                lines.append(("V", 1, 50))  # the same product twice on one document
            currency = DOLLAR if number == 2 else ROUBLE
            sell(conn, f"r{number}", day.isoformat(), lines, currency)
        for number in (11, 12, 13):
            sell(conn, f"r{number}", "2025-03-31", [("P", 1, 1), ("M", 1, 1)])  # a day too old
        sell(conn, "r14", "2026-02-01", [("P", 1, 1), ("S", 1, 1)], is_posted=False)
        sell(conn, "r15", "2026-02-01", [("P", 1, 1), ("S", 1, 1)], is_deleted=True)
        sell(conn, "r16", "2026-04-01", [("P", 1, 1), ("S", 1, 1)])  # after the day
        sell(conn, "r17", "2026-02-02", [])  # without lines
        _deals(conn)


def _deals(conn: Connection) -> None:
    stages = [("crm:new", "NEW", 10, "open"), ("crm:won", "WON", 30, "won")]
    insert(conn, "core.stage", CRM | {"pipeline_code": "P"}, "stage_id stage_code position outcome", stages)
    insert(conn, "core.employee", CRM, "employee_id full_name", [("anna", "Анна Орлова")])
    deals = [("d1", "NEW"), ("d2", "NEW"), ("d3", "WON"), ("d4", "NEW")]
    insert(
        conn,
        "core.deal",
        CRM | {"pipeline_code": "P", "employee_id": "anna", "currency": "RUB"},
        "deal_id stage_code",
        deals,
    )
    conn.execute("update core.deal set title = 'Сделка ' || deal_id, is_deleted = deal_id = 'd4'")
    products = [(f"crm:{key}", name, code) for key, code, name, _ in PRODUCTS if key in "PVM"]
    insert(conn, "core.product", CRM, "product_id name code", products)
    known = {"origin": "found", "matches": 1, "is_service": False}
    pairs = [(f"crm:{key}", key) for key in "PVM"]
    insert(conn, "documents.product", known, "product_id product_key", pairs)
    lines = [
        ("d1/1", "d1", "crm:P"),
        ("d1/2", "d1", None),  # a line that names nothing of the catalogue
        ("d2/1", "d2", "crm:P"),
        ("d2/2", "d2", "crm:V"),
        ("d3/1", "d3", "crm:P"),
        ("d4/1", "d4", "crm:P"),
    ]
    insert(conn, "core.deal_line", CRM, "line_id deal_id product_id", lines)


MONTHS = ("2025-12", "2026-01", "2026-02", "2026-03")
MONTHS_BEFORE = ("2025-08", "2025-09", "2025-10", "2025-11")
SOLD = {
    # product: (price, quantities of the four months up to March 2026)
    "P": (100, (10, 10, 10, 10)),
    "V": (50, (8, 12, 8, 12)),
    "M": (50, (0, 0, 20, 0)),
    "S": (500, (1, 1, 1, 1)),
    "N": (225, (0, 0, 2, 2)),
    "W": (25, (1, 1, 1, 1)),
}
SOLD_BEFORE = {
    "P": (100, (10, 10, 10, 10)),
    "V": (50, (20, 20, 20, 20)),
    "S": (250, (1, 1, 1, 1)),
    "M": (50, (0, 10, 0, 0)),
    "G": (100, (0, 0, 3, 0)),
    "W": (25, (2, 2, 2, 2)),
}


def found_months(warehouse: Warehouse) -> None:
    """Eight months of sales, in two periods of four; a sale in dollars, a gift in a currency that nobody lists."""
    deploy_empty(warehouse)
    with worked_out(warehouse) as conn:
        found_catalogue(conn)
        set_goods(conn, "classes", months=4)
        for months, sold in ((MONTHS, SOLD), (MONTHS_BEFORE, SOLD_BEFORE)):
            for product, month, quantity, amount in _sales(months, sold):
                sell(conn, f"{product}{month}", f"{month}-15", [(product, quantity, amount)])
        sell(conn, "usd", "2026-01-20", [("P", 5, 50)], DOLLAR)
        sell(conn, "gift", "2026-01-20", [("F", 1, 0)], "onec:unlisted")
        sell(conn, "after", "2026-04-02", [("P", 1000, 100000)])


def _sales(
    months: Sequence[str], sold: Mapping[str, tuple[int, tuple[int, ...]]]
) -> Iterator[tuple[str, str, int, int]]:
    for product, (price, quantities) in sold.items():
        for month, quantity in zip(months, quantities, strict=True):
            if quantity:
                yield product, month, quantity, quantity * price


def found_stock(conn: Connection) -> None:
    """What lies where, and what it cost: pumps in two places, valves sold before they came."""
    rows = [
        ("w1/P", "P", "w1", 30, 5, 1800),
        ("w2/P", "P", "w2", 10, 0, 600),
        ("w1/V", "V", "w1", -2, 0, -50),
        ("w1/M", "M", "w1", 5, 7, 300),
        ("w1/W", "W", "w1", 4, None, 40),
    ]
    insert(conn, "ledger.stock", BOOKS, "stock_key product_key warehouse_key quantity reserved cost", rows)


SEEN = "2026-01-05 12:00Z"  # when prices were read for the first time
PAIRS = [
    {"list": "BASE", "type": "Розничная", "adds_vat": False},
    {"list": "Оптовая", "type": "Оптовая", "adds_vat": True},
]
"""What the CRM's lists are compared with: `prices` in its mapping file."""


def found_counter(warehouse: Warehouse) -> None:
    """What stands on a seller's counter: prices of both sides, up to 20 April 2026, and what lies in two warehouses."""
    deploy_empty(warehouse)
    with worked_out(warehouse) as conn:
        found_catalogue(conn)
        settings = [("onec", "price_entities", '["price"]'), ("crm", "price_types", json.dumps(PAIRS))]
        insert(conn, "ops.setting", {}, "system name value", settings)
        insert(conn, "ops.cursor", {}, "source entity read_until", [("onec", "price", "2026-04-20 09:00Z")])
        names = [
            (f"crm:{key}", name, code, service) for key, code, name, service in PRODUCTS if key in "PVMSN"
        ]
        products = [*names, ("crm:X", "Лампа", "A-9", False)]
        insert(conn, "core.product", CRM | {"vat_rate": 22}, "product_id name code is_service", products)
        known = {"origin": "found", "matches": 1, "is_service": False}
        pairs = [(product[0], product[0][4:] if product[0] != "crm:X" else None) for product in products]
        insert(conn, "documents.product", known, "product_id product_key", pairs)
        listed = [
            ("crm:P", "BASE", 120, "RUB"),
            ("crm:P", "Оптовая", 122, "RUB"),
            ("crm:V", "BASE", 50, "RUB"),
            ("crm:V", "Оптовая", 45, "RUB"),
            ("crm:S", "BASE", 500, "USD"),
            ("crm:N", "BASE", 10, "RUB"),
            ("crm:N", "Дилеры", 8, "RUB"),
            ("crm:X", "BASE", 70, "RUB"),
        ]
        rows = [(f"{product}/{name}", product, name, price, code) for product, name, price, code in listed]
        said = {"said_from": SEEN, "known_from": SEEN}
        insert(conn, "core.price", CRM | said, "price_id product_id price_list price currency", rows)
        stated = [
            ("P", "Розничная", "2026-01-01", 120, False),
            ("P", "Оптовая", "2026-01-01", 100, False),  # 122 with VAT
            ("V", "Розничная", "2026-01-01", 50, False),
            ("V", "Розничная", "2026-02-10", 55, False),
            ("V", "Розничная", "2026-06-01", 60, False),  # not yet
            ("M", "Розничная", "2026-01-01", 300, False),
            ("S", "Розничная", "2026-01-01", 500, False),  # roubles, and dollars in the CRM
            ("N", "Розничная", "2026-01-01", 10, False),
            ("N", "Розничная", "2026-03-01", None, True),
        ]
        insert(
            conn,
            "core.accounting_price",
            BOOKS | said | {"currency_key": ROUBLE},
            "price_key product_key price_type valid_from price is_withdrawn",
            [(f"{row[0]}/{row[1]}/{row[2]}", *row) for row in stated],
        )
        stock = [
            ("w1/P", "P", "w1", 30, 5),
            ("w2/P", "P", "w2", 10, None),
            ("w1/V", "V", "w1", -2, None),
            ("w1/M", "M", "w1", 5, 7),
            ("w1/N", "N", "w1", 0, 0),
        ]
        insert(conn, "ledger.stock", BOOKS, "stock_key product_key warehouse_key quantity reserved", stock)
        refresh_table(conn, "ledger.price_drift")
