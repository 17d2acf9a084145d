"""What the report's blocks say of a past day is what was so on it: nothing dated later, and less what was taken back by then."""

from __future__ import annotations

from datetime import date
from typing import Any

from pipelines.report.content import answer
from pipelines.report.sections import SECTIONS
from resources.warehouse import Warehouse
from tests.marts.company import BOOKS, ROUBLE, insert

pytest_plugins = ["tests.marts.fixtures"]

BLOCKS = {block.name: block for section in SECTIONS for block in section.blocks}
THEN = date(2026, 1, 12)
JANUARY, MARCH = date(2026, 1, 1), date(2026, 3, 1)


def rows(warehouse: Warehouse, name: str, as_of: date) -> list[dict[str, Any]]:
    with warehouse.transaction() as conn:
        return answer(conn, BLOCKS[name], as_of).rows


def test_a_block_of_a_past_day_is_the_same_whatever_is_dated_later(own_company: Warehouse) -> None:
    then = {name: rows(own_company, name, THEN) for name, block in BLOCKS.items() if not block.is_now}
    assert then["revenue"]
    with own_company.transaction() as conn:
        for kind, key in (("realization", "late"), ("return", "back")):
            insert(
                conn, "ledger.document", BOOKS, "document_key kind counterparty_key currency_key document_date amount is_posted",
                [(key, kind, "A", ROUBLE, "2026-01-13", 600, True)],
            )  # fmt: skip
            insert(
                conn, "ledger.document_line", BOOKS, "line_key document_key product_key quantity amount vat_amount",
                [(f"{key}/1", key, "X", 6, 600, 100)],
            )  # fmt: skip
            position = {"is_posting_kind": True, "is_marked": False, "is_deal_deleted": False, "has_other_lines": False,
                        "is_apart": False, "is_posted": True, "actual_counterparty_key": "A", "actual_currency_key": ROUBLE,
                        "actual_date": "2026-01-13", "actual_amount": 600 if kind == "realization" else -600}  # fmt: skip
            insert(conn, "ledger.position", position, "document_key kind", [(key, kind)])
        insert(
            conn, "ledger.payment", BOOKS, "payment_key kind number paid_on amount is_posted counterparty_key currency_key",
            [("late", "receipt", "99", "2026-01-13", 777, True, "A", ROUBLE)],
        )  # fmt: skip
    assert {name: rows(own_company, name, THEN) for name in then} == then
    assert [row["gross"] for row in rows(own_company, "revenue", THEN)] == [80], "1,200 came on the 15th"
    assert [row["gross"] for row in rows(own_company, "products", THEN)] == [80]


def test_revenue_is_less_what_was_taken_back_in_its_month(own_company: Warehouse) -> None:
    with own_company.transaction() as conn:
        insert(
            conn, "ledger.document", BOOKS, "document_key kind counterparty_key currency_key document_date amount is_posted",
            [("back", "return", "A", ROUBLE, "2026-03-20", 240, True)],
        )  # fmt: skip
        insert(conn, "ledger.document_line", BOOKS, "line_key document_key product_key quantity amount vat_amount",
               [("back/1", "back", "X", 1, 240, 40)])  # fmt: skip
        insert(
            conn, "ledger.position",
            {"is_posting_kind": True, "is_marked": False, "is_deal_deleted": False, "has_other_lines": False, "is_apart": False},
            "document_key kind is_posted actual_counterparty_key actual_currency_key actual_date actual_amount",
            [("back", "return", True, "A", ROUBLE, "2026-03-20", -240)],
        )  # fmt: skip
    found = rows(own_company, "revenue", date(2026, 3, 31))
    roubles = [
        (row["month"], row["documents"], row["gross"], row["vat"], row["net"])
        for row in found
        if row["currency"] == "RUB"
    ]
    assert roubles == [(JANUARY, 2, 1280, 200, 1080), (MARCH, 1, 600 - 240, 100 - 40, 500 - 200)]
