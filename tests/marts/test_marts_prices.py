"""Prices of the CRM against those of accounting, and what may be sold. The figures: docs/marts.md."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from resources.warehouse import Warehouse
from tests.marts.company import insert, refresh_table
from tests.marts.shop import SEEN

pytest_plugins = ("tests.marts.fixtures",)

PRICES = (
    "select product, price_list, crm_price, currency, price_type, accounting_price, compared_price, difference,"
    " price_state, drift_since, drift_changed from marts.price_and_stock order by product, price_list"
)
DRIFT = ("Клапан", "BASE", 50, "RUB", "Розничная", 55, 55, -5, "drift", date(2026, 2, 10), "accounting")


def number(text: str) -> Decimal:
    return Decimal(text)


def test_each_price_of_the_crm_stands_against_that_of_accounting(counter: Warehouse) -> None:
    nothing: tuple[Any, ...] = (None, None, None)
    assert counter.rows(PRICES) == [
        DRIFT,
        ("Клапан", "Оптовая", 45, "RUB", "Оптовая", *nothing, "no accounting price", None, None),
        ("Лампа", "BASE", 70, "RUB", "Розничная", *nothing, "not in accounting", None, None),
        ("Манометр", None, None, None, None, *nothing, "no crm price", None, None),
        # accounting's price is in roubles
        ("Монтаж", "BASE", 500, "USD", "Розничная", *nothing, "no accounting price", None, None),
        ("Насос", "BASE", 120, "RUB", "Розничная", 120, 120, 0, "same", None, None),
        # 100 and 22 % of VAT
        ("Насос", "Оптовая", 122, "RUB", "Оптовая", 100, 122, 0, "same", None, None),
        # withdrawn in March
        ("Насос новый", "BASE", 10, "RUB", "Розничная", *nothing, "no accounting price", None, None),
        ("Насос новый", "Дилеры", 8, "RUB", None, *nothing, "not compared", None, None),
    ]


def test_a_seller_sees_what_may_be_sold_and_what_is_below_zero(counter: Warehouse) -> None:
    rows = counter.rows(
        "select distinct product, on_hand, reserved, available, places, stock_state from marts.price_and_stock order by product"
    )
    assert rows == [
        ("Клапан", -2, None, -2, 1, "below zero"),
        ("Лампа", None, None, None, 0, "not in accounting"),
        ("Манометр", 5, 7, -2, 1, "all reserved"),
        ("Монтаж", None, None, None, 0, "service"),
        ("Насос", 40, 5, 35, 2, "in stock"),
        ("Насос новый", 0, 0, 0, 1, "nothing left"),
    ]


def test_goods_that_accounting_does_not_list_have_no_quantity_rather_than_none(
    own_counter: Warehouse,
) -> None:
    own_counter.execute("update ledger.stock set is_deleted = true where product_key = 'P'")
    rows = own_counter.rows(
        "select distinct on_hand, stock_state from marts.price_and_stock where product_id = 'crm:P'"
    )
    assert rows == [(None, "not listed")]


def test_a_price_holds_from_its_day_to_the_day_of_the_last_reading(own_counter: Warehouse) -> None:
    own_counter.execute("update ops.cursor set read_until = '2026-06-01 09:00Z'")
    with own_counter.transaction() as conn:
        refresh_table(conn, "ledger.price_drift")
    assert own_counter.rows(f"select * from ({PRICES}) p where price_state = 'drift'") == [
        ("Клапан", "BASE", 50, "RUB", "Розничная", 60, 60, -10, "drift", date(2026, 2, 10), "accounting")
    ]


def test_without_a_word_the_base_list_alone_is_compared(own_counter: Warehouse) -> None:
    own_counter.execute("delete from ops.setting where name = 'price_types'")
    own_counter.execute("update core.product set price = 122, currency = 'RUB' where product_id = 'crm:P'")
    with own_counter.transaction() as conn:
        refresh_table(conn, "ledger.price_drift")
    rows = own_counter.rows(
        "select price_list, price_type, compared_price, price_state, drift_since from marts.price_and_stock"
        " where product_id = 'crm:P' order by price_list"
    )
    # the list with the product's own price is the base one; of the types the one for retail
    assert rows == [
        ("BASE", None, None, "not compared", None),
        ("Оптовая", "Розничная", 120, "drift", date(2026, 1, 1)),
    ]


def test_what_drifts_here_is_what_drifts_in_the_ledger(own_counter: Warehouse) -> None:
    with own_counter.transaction() as conn:
        said = {"is_deleted": False, "problems": [], "said_from": SEEN, "known_from": SEEN}
        known = {"source": "crm", **said}
        prices = [(f"crm:{n}", f"Товар {n}", n % 7, "RUB") for n in range(40)]
        insert(conn, "core.product", known, "product_id name price currency", prices)
        products = [(f"k{n}", f"Товар {n}") for n in range(40)]
        books = {"source": "onec", **said}
        insert(conn, "core.accounting_product", books, "product_key name", products)
        same = {"origin": "found", "matches": 1, "is_service": False}
        insert(
            conn,
            "documents.product",
            same,
            "product_id product_key",
            [(f"crm:{n}", f"k{n}") for n in range(40)],
        )
        stated = [
            (f"k{n}/{day}", f"k{n}", price_type, f"2026-0{day}-01", (n * day) % 7)
            for n in range(40)
            for day in (1, 2, 3, 5)
            for price_type in (("Основная", "Розничная")[n % 2],)
        ]
        books |= {"currency_key": "onec:rub"}
        insert(
            conn, "core.accounting_price", books, "price_key product_key price_type valid_from price", stated
        )
        conn.execute("delete from ops.setting where name = 'price_types'")
        refresh_table(conn, "ledger.price_drift")
    both = own_counter.rows(
        "select count(*), count(*) filter (where m.compared_price = d.compared_price and m.crm_price = d.crm_price and"
        " m.drift_since is not distinct from d.since)"
        " from (select * from marts.price_and_stock where price_state = 'drift') m"
        " full join ledger.price_drift d on d.product_id = m.product_id and d.price_list is not distinct from m.price_list"
        "   and d.price_type = m.price_type"
    )
    ((rows, agreeing),) = both
    assert rows == agreeing > 10
