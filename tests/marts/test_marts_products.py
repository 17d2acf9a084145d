"""ABC, XYZ and BCG of products, and how they moved. The figures: docs/marts.md."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from resources.warehouse import Warehouse
from tests.marts.shop import found_stock, set_goods

pytest_plugins = ("tests.marts.fixtures",)

END_OF_MARCH = date(2026, 3, 31)


def classes(warehouse: Warehouse, columns: str, as_of: date = END_OF_MARCH, where: str = "true") -> list[Any]:
    return warehouse.rows(
        f"select product_key, {columns} from marts.product_abc_xyz_as_of(%s) where {where}"
        " order by currency nulls last, revenue desc, product_key",
        [as_of],
    )


def number(text: str) -> Decimal:
    return Decimal(text)


def test_products_are_classed_by_what_they_bring_and_how_evenly_they_sell(shop: Warehouse) -> None:
    rows = classes(
        shop, "revenue, revenue_share, abc, months, mean_quantity, variation, xyz", where="currency = 'RUB'"
    )
    assert rows == [
        # 50 dollars' worth in January count among the quantities: 10, 15, 10, 10
        ("P", 4000, number("0.4"), "A", 4, number("11.25"), number("0.1925"), "Y"),
        ("S", 2000, number("0.2"), "A", 4, 1, 0, "X"),
        ("V", 2000, number("0.2"), "A", 4, 10, number("0.2"), "Y"),
        ("M", 1000, number("0.1"), "B", 4, 5, number("1.7321"), "Z"),
        ("N", 900, number("0.09"), "B", 2, 2, None, None),
        ("W", 100, number("0.01"), "C", 4, 1, 0, "X"),
        ("G", 0, 0, None, None, None, None, None),
    ]


def test_growth_and_share_make_stars_cows_questions_and_dogs(shop: Warehouse) -> None:
    rows = classes(shop, "revenue_before, growth, bcg", where="currency = 'RUB'")
    # six products were sold: a share of 1/6 counts much
    assert rows == [
        ("P", 4000, 0, "cow"),
        ("S", 1000, 1, "star"),
        ("V", 4000, number("-0.5"), "cow"),
        ("M", 500, 1, "question"),
        ("N", 0, None, None),
        ("W", 200, number("-0.5"), "dog"),
        ("G", 300, -1, None),
    ]


def test_a_product_says_what_it_was_before_and_why_a_class_is_missing(shop: Warehouse) -> None:
    rows = classes(shop, "abc_before, xyz_before, moved, reasons", where="currency = 'RUB'")
    assert rows == [
        ("P", "A", "X", "AX -> AY", ["no cost"]),
        ("S", "B", "X", "BX -> AX", ["no cost"]),
        ("V", "A", "X", "AX -> AY", ["no cost"]),
        ("M", "B", "Z", "same", ["no cost"]),
        ("N", None, None, "new", ["no cost", "few months", "new"]),
        ("W", "C", "X", "same", ["no cost"]),
        ("G", "C", None, "gone", ["not sold"]),
    ]


def test_another_currency_is_classed_by_itself(shop: Warehouse) -> None:
    rows = classes(
        shop,
        "currency, revenue, revenue_share, abc, xyz, moved, reasons",
        where="currency <> 'RUB' or currency is null",
    )
    assert rows == [
        ("P", "USD", 50, 1, "A", "Y", "new", ["other currency", "new"]),
        # a gift: no revenue to have a share of, and a currency that no rule names
        ("F", None, 0, None, None, "Z", "new", ["no revenue", "other currency", "new"]),
    ]


def test_the_period_is_of_months_that_are_over(shop: Warehouse) -> None:
    days = "select distinct from_day, to_day from marts.product_abc_xyz_as_of(%s)"
    december, august = date(2025, 12, 1), date(2025, 8, 1)
    assert shop.rows(days, [END_OF_MARCH]) == [(december, END_OF_MARCH)]
    assert shop.rows(days, [date(2026, 4, 29)]) == [(december, END_OF_MARCH)]
    assert shop.rows(days, [date(2025, 12, 30)]) == [(august, date(2025, 11, 30))]
    assert shop.rows(days, [date(2020, 1, 1)]) == []


def test_margin_stands_where_the_cost_is_known(own_shop: Warehouse) -> None:
    with own_shop.transaction() as conn:
        found_stock(conn)
    rows = classes(own_shop, "unit_cost, margin, abc_margin", where="currency = 'RUB'")
    assert rows == [
        ("P", 60, 1600, "A"),  # 4,000 less 40 at (1,800 + 600) / (30 + 10)
        ("S", None, None, None),
        ("V", None, None, None),  # what was sold before it came says no cost
        ("M", 60, -200, "C"),
        ("N", None, None, None),
        ("W", 10, 60, "C"),  # 1,600 of 1,660 are above it
        ("G", None, None, None),
    ]


def test_thresholds_are_the_mappings(own_shop: Warehouse) -> None:
    with own_shop.transaction() as conn:
        set_goods(
            conn, "classes", months=4, least_months=2, a_up_to="0.4", b_up_to="0.8", x_up_to="0.2", y_up_to="0.5",
            growth_from="-0.5", share_from="0.05",
        )  # fmt: skip
    rows = classes(own_shop, "abc, xyz, bcg", where="currency = 'RUB'")
    assert rows == [
        ("P", "A", "X", "star"),
        ("S", "B", "X", "star"),
        ("V", "B", "X", "star"),
        ("M", "C", "Z", "star"),
        ("N", "C", "X", None),
        ("W", "C", "X", "question"),
        ("G", None, None, None),
    ]


def test_every_product_sold_has_a_row_in_each_of_its_currencies_and_all_revenue_is_there(
    shop: Warehouse,
) -> None:
    query = """
        select (select sum(revenue) from marts.product_abc_xyz_as_of('2026-03-31') where currency = 'RUB'),
               (select sum(net) from marts.revenue_line
                where product_key is not null and currency = 'RUB' and document_date between '2025-12-01' and '2026-03-31')
    """
    assert shop.rows(query) == [(10000, 10000)]
