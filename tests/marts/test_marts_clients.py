"""What clients bring, are worth, how they come back and fall silent. The figures: docs/marts.md."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from resources.warehouse import Warehouse
from tests.marts.buyers import sell

pytest_plugins = ("tests.marts.fixtures",)

END_OF_JUNE = date(2026, 6, 30)
ALPHA = "client alpha"


def rows(warehouse: Warehouse, mart: str, columns: str, rest: str, as_of: date = END_OF_JUNE) -> list[Any]:
    return warehouse.rows(f"select {columns} from marts.{mart}_as_of(%s) {rest}", [as_of])


def number(text: str) -> Decimal:
    return Decimal(text)


def test_cost_is_what_accounting_booked_for_the_document_and_else_its_absence_has_a_reason(
    buyers: Warehouse,
) -> None:
    found = buyers.rows(
        "select document_key, buyer_key, net, cost, margin, reason from marts.sale_profit"
        " where document_key in ('a1', 'b3', 'd1', 'e1', 'f1') order by document_key"
    )
    assert found == [
        ("a1", ALPHA, 100, 60, 40, None),
        ("b3", "counterparty B", -100, -70, -30, None),
        ("d1", "counterparty D", 1000, None, None, "no entries"),
        ("e1", "counterparty E", 80, 0, 80, None),
        ("f1", "counterparty F", 500, None, None, "other currency"),
    ]


def test_goods_whose_cost_is_not_booked_yet_have_no_margin(own_buyers: Warehouse) -> None:
    own_buyers.execute("delete from ledger.entry where document_key = 'a1'")
    with own_buyers.transaction() as conn:
        sell(conn, "g1", "E", "2026-06-01", 70, 0)
    found = own_buyers.rows(
        "select document_key, margin, reason from marts.sale_profit where document_key in ('a1', 'g1') order by 1"
    )
    assert found == [("a1", None, "no entries"), ("g1", None, "no cost entry")]


def test_a_client_brings_what_all_its_counterparties_bought(buyers: Warehouse) -> None:
    found = rows(
        buyers, "client_profit",
        "buyer, month, documents, revenue, revenue_costed, cost, margin, margin_share, reasons",
        "where month between '2026-04-01' and '2026-05-01' order by month, buyer_key",
    )  # fmt: skip
    april, may = date(2026, 4, 1), date(2026, 5, 1)
    assert found == [
        ("Альфа", april, 1, 100, 100, 60, 40, number("0.4"), []),
        ("Бета ООО", april, 0, -100, -100, -70, -30, None, []),
        ("Дельта ООО", april, 1, 1000, 0, None, None, None, ["no entries"]),
        ("Альфа", may, 1, 100, 100, 60, 40, number("0.4"), []),
        ("Енисей ООО", may, 1, 80, 80, 0, 80, 1, []),
    ]


def test_all_revenue_of_accounting_is_somebodys(buyers: Warehouse) -> None:
    sums = rows(buyers, "client_profit", "currency, sum(revenue)", "group by currency order by currency")
    assert sums == [("RUB", 2380), ("USD", 500)]
    assert (
        buyers.rows("select currency, sum(gross) from marts.sold_document group by currency order by 1")
        == sums
    )


def test_a_client_is_worth_its_margin_and_what_older_ones_brought_at_its_age(buyers: Warehouse) -> None:
    found = rows(
        buyers, "client_value",
        "buyer, months, months_bought, revenue, margin, expected_months, expected_revenue, expected_margin, value, reason",
        "where currency = 'RUB' order by buyer_key",
    )  # fmt: skip
    assert found == [
        ("Альфа", 6, 6, 600, 240, 0, None, None, None, "no older client"),
        ("Бета ООО", 6, 2, 500, 170, 0, None, None, None, "no older client"),
        ("Вега ООО", 5, 2, 200, 120, 1, 50, 20, 140, None),
        # (0 + 100 / 3 + 50) of months 3 to 5; its own margin is not known
        ("Дельта ООО", 3, 1, 1000, None, 3, number("83.33"), number("36.67"), None, "no cost"),
        ("Енисей ООО", 2, 1, 80, 80, 4, number("183.33"), number("83.33"), number("163.33"), None),
    ]


def test_a_month_that_is_not_over_is_not_counted_in_a_value(buyers: Warehouse) -> None:
    found = rows(
        buyers,
        "client_value",
        "months, revenue, margin",
        "where buyer_key = 'client alpha'",
        date(2026, 6, 29),
    )
    assert found == [(5, 500, 200)]


def test_cohorts_show_who_is_still_there(buyers: Warehouse) -> None:
    found = rows(
        buyers, "client_cohort",
        "age, clients, active, retention, repeated, repeat_share, revenue, revenue_to_date, margin",
        "where currency = 'RUB' and cohort = '2026-01-01' order by age",
    )  # fmt: skip
    assert found == [
        (0, 2, 2, 1, 0, 0, 400, 400, 140),
        (1, 2, 1, number("0.5"), 1, number("0.5"), 100, 500, 40),
        (2, 2, 2, 1, 2, 1, 400, 900, 140),
        # the return of April is no purchase, and takes 100 of revenue and 30 of margin
        (3, 2, 1, number("0.5"), 2, 1, 0, 900, 10),
        (4, 2, 1, number("0.5"), 2, 1, 100, 1000, 40),
        (5, 2, 1, number("0.5"), 2, 1, 100, 1100, 40),
    ]


def test_quintiles_compare_clients_of_one_currency(buyers: Warehouse) -> None:
    found = rows(
        buyers, "client_rfm",
        "buyer, recency_days, frequency, monetary, recency, often, money, segment, reason",
        "order by currency, buyer_key",
    )  # fmt: skip
    assert found == [
        ("Альфа", 15, 6, 600, 5, 5, 4, "best", None),
        ("Бета ООО", 111, 2, 500, 2, 3, 3, "at risk", None),
        ("Вега ООО", 119, 4, 200, 1, 4, 2, "at risk", None),
        # two bought once: both are better than none of five
        ("Дельта ООО", 86, 1, 1000, 3, 1, 5, "other", None),
        ("Енисей ООО", 41, 1, 80, 4, 1, 1, "new", None),
        ("Foreign Inc", 176, 1, 500, None, None, None, None, "fewer than 5 clients"),
    ]


def test_a_client_is_late_by_its_own_habit(buyers: Warehouse) -> None:
    columns = "buyer, silent_days, intervals, median_days, usual_days, times_usual, expected_on, state"
    assert rows(buyers, "client_churn", columns, "where buyer_key < 'counterparty D' order by buyer_key") == [
        # 31, 28, 31, 30 and 31 days apart: nine of ten are not longer than 31
        ("Альфа", 15, 5, 31, 31, number("0.48"), date(2026, 7, 16), "usual"),
        ("Бета ООО", 111, 1, 60, None, None, None, "few sales"),
        ("Вега ООО", 119, 3, 10, 10, number("11.90"), date(2026, 3, 13), "gone"),
    ]
    later = "where buyer_key in ('client alpha', 'counterparty C') order by buyer_key"
    assert rows(buyers, "client_churn", "silent_days, state", later, date(2026, 3, 20)) == [
        (5, "few sales"),
        (17, "late"),
    ]


def test_repeat_sales_are_those_to_who_bought_before(buyers: Warehouse) -> None:
    found = rows(
        buyers, "repeat_sale",
        "month, clients, new_clients, repeat_clients, repeat_share, documents, repeat_documents, revenue,"
        " repeat_revenue, repeat_revenue_share, median_days",
        "where currency = 'RUB' and month <= '2026-03-01' order by month",
    )  # fmt: skip
    assert found == [
        (date(2026, 1, 1), 2, 2, 0, 0, 2, 0, 400, 0, 0, None),
        # Вега is new in February and bought twice more in it
        (date(2026, 2, 1), 2, 1, 2, 1, 4, 3, 250, 200, number("0.8"), 10),
        (date(2026, 3, 1), 3, 0, 3, 1, 3, 3, 450, 450, 1, 28),
    ]


@pytest.mark.parametrize(
    "mart",
    ["client_profit", "client_value", "client_cohort", "client_rfm", "client_churn", "repeat_sale", "client_abc_xyz"],
)  # fmt: skip
def test_a_day_before_everything_has_no_rows_and_today_is_the_function_of_today(
    buyers: Warehouse, mart: str
) -> None:
    assert rows(buyers, mart, "*", "", date(2020, 1, 1)) == []
    assert buyers.scalar(f"select count(*) from marts.{mart}") == buyers.scalar(
        f"select count(*) from marts.{mart}_as_of(current_date)"
    )


def test_later_sales_leave_a_past_day_as_it_was(own_buyers: Warehouse) -> None:
    marts = (
        "client_profit",
        "client_value",
        "client_cohort",
        "client_rfm",
        "client_churn",
        "repeat_sale",
        "client_abc_xyz",
    )
    before = [sorted(rows(own_buyers, mart, "*", "", date(2026, 3, 31)), key=str) for mart in marts]
    assert all(before)
    with own_buyers.transaction() as conn:
        sell(conn, "z1", "C", "2026-07-01", 999, 1)
        sell(conn, "z2", "F", "2026-07-01", 999, 1)
    assert [sorted(rows(own_buyers, mart, "*", "", date(2026, 3, 31)), key=str) for mart in marts] == before


def test_clients_are_classed_as_products_are(own_buyers: Warehouse) -> None:
    own_buyers.execute("insert into ops.setting values ('onec', 'buyers_classes', '{\"months\": 3}')")
    found = rows(
        own_buyers, "client_abc_xyz",
        "buyer, revenue, revenue_share, abc, margin, abc_margin, months, variation, xyz, revenue_before, growth, bcg, moved, reasons",
        "where currency = 'RUB' order by revenue desc",
    )  # fmt: skip
    assert found == [
        ("Дельта ООО", 1000, number("0.7246"), "A", None, None, 3, number("1.4142"), "Z", 0, None, None, "new", ["no cost", "new"]),
        # 0.7246 of 1,380 stands above it: still A
        ("Альфа", 300, number("0.2174"), "A", 120, "A", 3, 0, "X", 300, 0, "dog", "same", []),
        ("Енисей ООО", 80, number("0.0580"), "B", 80, "A", 2, None, None, 0, None, None, "new", ["few months", "new"]),
        ("Вега ООО", 0, 0, None, None, None, None, None, None, 200, -1, None, "gone", ["not sold"]),
        # nothing but a return: no revenue to be even in
        ("Бета ООО", -100, number("-0.0725"), "C", -30, "C", 3, None, None, 600, number("-1.1667"), "dog", "AZ -> C-", ["no mean"]),
    ]  # fmt: skip
