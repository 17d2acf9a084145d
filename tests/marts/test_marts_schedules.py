"""Schedules of contracts and objects of property against accounting's payments. The figures: docs/marts.md."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from resources.warehouse import Warehouse
from tests.marts.company import BOOKS, CRM, insert

pytest_plugins = ("tests.marts.fixtures",)

END_OF_MARCH = date(2026, 3, 31)
FEBRUARY_1, APRIL_5, APRIL_10 = date(2026, 2, 1), date(2026, 4, 5), date(2026, 4, 10)
AGREED = (
    # id, contract, INN, number of a deal, position, due, amount
    ("l1", "л-15 ", "7707083893", None, 1, "2026-02-10", 600),
    ("l2", "л-15 ", "7707083893", None, 2, "2026-03-10", 600),
    ("l3", "л-15 ", "7707083893", None, 3, "2026-04-10", 600),
    ("i1", None, None, "d2", 1, "2026-02-12", 300),
    ("i2", None, None, "d2", 2, "2026-03-12", 300),
    ("n1", "Нет-1", None, None, 1, "2026-04-01", 100),
)
OBJECTS = (
    # number, area, price, contract, INN, number of a deal
    ("12", "54.3", 8145000, "л-15 ", "7707083893", None),
    ("13", 40, 6200000, None, None, "d2"),
    ("14", "61.5", 9225000, None, None, None),
    ("15", 0, 100, None, None, "d4"),  # its deal is lost
    ("16", 50, None, "Нет-1", None, None),
)


@pytest.fixture
def agreed(own_company: Warehouse) -> Warehouse:
    """The company with a contract of leasing, instalments for a deal, and five objects."""
    with own_company.transaction() as conn:
        conn.execute(
            "update core.accounting_counterparty set tax_number = '7707083893' where counterparty_key = 'A'"
        )
        contracts = [("K1", "Л-15", "A"), ("K2", "Л-15", "B")]  # two buyers have contracts of one number
        insert(conn, "core.accounting_contract", BOOKS, "contract_key code counterparty_key", contracts)
        parts = [
            ("p1", "K1", 1200),
            ("p2", "K1", 250),
            ("p9", "K1", 15),
            ("p10", "K1", 999),
            ("p6", "K2", 400),
        ]
        rows = [(f"{payment}/1", payment, contract, amount) for payment, contract, amount in parts]
        insert(conn, "ledger.payment_line", BOOKS, "line_key payment_key contract_key amount", rows)
        columns = "instalment_id contract_number tax_number deal_number position due_on amount"
        said = {"kind": "agreed", "currency": "RUB", "contract_kind": "лизинг"}
        insert(conn, "core.payment_schedule", CRM | said, columns, AGREED)
        promised = [("promise", "d2", "2026-05-01", 1)]
        insert(
            conn,
            "core.payment_schedule",
            CRM | {"kind": "promised"},
            "instalment_id deal_id due_on amount",
            promised,
        )
        columns = "object_id number area price contract_number tax_number deal_number"
        objects = [(f"o{row[0]}", *row) for row in OBJECTS]
        insert(conn, "core.property_object", CRM | {"complex": "Заря", "currency": "RUB"}, columns, objects)
    return own_company


def rows(warehouse: Warehouse, mart: str, columns: str, rest: str, as_of: date = END_OF_MARCH) -> list[Any]:
    return warehouse.rows(f"select {columns} from marts.{mart}_as_of(%s) {rest}", [as_of])


def number(text: str) -> Decimal:
    return Decimal(text)


def test_payments_fill_the_oldest_instalment_first(agreed: Warehouse) -> None:
    columns = "instalment_id, counterparty, paid, debt, paid_on, days_overdue, state, reason"
    assert rows(agreed, "payment_schedule", columns, "order by agreement_key, position") == [
        ("n1", None, 0, 100, None, 0, "to come", "not in accounting"),
        ("l1", "Ромашка ООО", 600, 0, FEBRUARY_1, 0, "paid", None),
        ("l2", "Ромашка ООО", 600, 0, FEBRUARY_1, 0, "paid", None),
        # 1,200 + 250 - 15 given back, less two instalments
        ("l3", "Ромашка ООО", 235, 365, None, 0, "to come", None),
        ("i1", None, 250, 50, None, 47, "overdue", None),
        ("i2", None, 0, 300, None, 19, "overdue", None),
    ]  # fmt: skip
    later = "where instalment_id in ('l3', 'i1', 'i2', 'n1') order by instalment_id"
    assert rows(
        agreed, "payment_schedule", "instalment_id, debt, paid_on, days_overdue, state", later, APRIL_10
    ) == [
        ("i1", 0, APRIL_5, 0, "paid"),
        ("i2", 0, APRIL_5, 0, "paid"),
        ("l3", 365, None, 0, "due today"),
        ("n1", 100, None, 9, "overdue"),
    ]


def test_a_contract_says_what_was_due_paid_and_comes_next(agreed: Warehouse) -> None:
    columns = (
        "contract_number, deal_id, manager, instalments, agreed, due, paid, paid_ahead, overdue, instalments_overdue,"
        " days_overdue, left_to_pay, next_due_on, next_amount, reason"
    )
    assert rows(agreed, "contract_schedule", columns, "order by agreed desc") == [
        ("л-15 ", None, None, 3, 1800, 1200, 1435, 235, 0, 0, 0, 365, APRIL_10, 365, None),
        (None, "d2", "Анна Орлова", 2, 600, 600, 250, 0, 350, 2, 47, 350, None, None, None),
        ("Нет-1", None, None, 1, 100, 0, 0, 0, 0, 0, 0, 100, date(2026, 4, 1), 100, "not in accounting"),
    ]


def test_what_is_paid_beyond_all_that_was_agreed_is_told(agreed: Warehouse) -> None:
    agreed.execute("update ledger.payment_line set amount = 2000 where line_key = 'p1/1'")
    columns = "agreed, paid, left_to_pay, overpaid, next_due_on"
    told = rows(agreed, "contract_schedule", columns, "where contract_number = 'л-15 '")
    assert told == [(1800, 1800, 0, 2000 + 250 - 15 - 1800, None)]
    others = rows(agreed, "contract_schedule", "overpaid", "where contract_number is distinct from 'л-15 '")
    assert others == [(0,), (0,)]


def test_a_contract_that_several_fit_is_taken_for_none(agreed: Warehouse) -> None:
    agreed.execute("update core.payment_schedule set tax_number = null")
    agreed.execute("update core.property_object set tax_number = null")
    found = rows(agreed, "contract_schedule", "paid, reason", "where contract_number = 'л-15 '")
    assert found == [(0, "not in accounting")]


def test_an_object_is_sold_by_its_first_payment(agreed: Warehouse) -> None:
    columns = "number, price_per_metre, state, sold_on, paid, deal_id, reason"
    assert rows(agreed, "property_object", columns, "order by number") == [
        ("12", 150000, "sold", FEBRUARY_1, 1435, None, None),
        ("13", 155000, "sold", date(2026, 2, 15), 250, "d2", None),
        ("14", 150000, "free", None, 0, None, None),
        ("15", None, "free", None, 0, "d4", None),
        ("16", None, "reserved", None, 0, None, "not in accounting"),
    ]
    states = [rows(agreed, "property_object", "state", "where number = '13'", day) for day in
              (date(2026, 1, 9), date(2026, 2, 14), date(2026, 2, 15))]  # fmt: skip
    assert states == [[("free",)], [("reserved",)], [("sold",)]]


def test_what_was_given_back_whole_frees_an_object_again(agreed: Warehouse) -> None:
    agreed.execute("update ledger.payment_line set amount = 1450 where payment_key = 'p9'")
    assert rows(agreed, "property_object", "state, sold_on, paid", "where number = '12'") == [
        ("reserved", None, 0)
    ]


def test_a_metre_costs_all_prices_through_all_areas(agreed: Warehouse) -> None:
    columns = (
        "objects, free, reserved, sold, area, area_sold, value_left, price_per_metre, price_per_metre_free,"
        " price_per_metre_sold, sold_share"
    )
    assert rows(agreed, "property_complex", columns, "") == [
        (5, 2, 1, 2, number("205.80"), number("94.30"), 9225100, number("151283.70"), 150000, number("152120.89"), number("0.4")),
    ]  # fmt: skip
