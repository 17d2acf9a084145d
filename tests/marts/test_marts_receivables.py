"""Who owes what on a day, and that it adds up to the ledger. The company's figures: docs/marts.md."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

import pytest

from resources.warehouse import Warehouse
from tests.marts.company import BOOKS, DOLLAR, ROUBLE, allocate, deploy_empty, insert, refresh_table

pytest_plugins = ("tests.marts.fixtures",)

END_OF_MARCH = date(2026, 3, 31)
AFTER_ALL = date(2099, 1, 1)


def receivables(warehouse: Warehouse, as_of: date) -> list[tuple[Any, ...]]:
    columns = (
        "counterparty, client, manager, number, due_on, amount, paid, debt, days_overdue, bucket, currency"
    )
    return warehouse.rows(
        f"select {columns} from marts.receivables_as_of(%s) order by document_key",
        [as_of],
    )


def test_receivables_are_what_was_unpaid_on_the_day(company: Warehouse) -> None:
    romashka, sever = ("Ромашка ООО", "Ромашка"), ("Север ООО", "Север")
    february_19, december, march_22 = date(2026, 2, 19), date(2025, 12, 1), date(2026, 3, 22)
    assert receivables(company, END_OF_MARCH) == [
        (*romashka, "Анна Орлова", "2", february_19, 600, 250, 350, 40, "31-60", "RUB"),
        # entered by hand, without a deal
        ("Север ООО", None, None, "77", december, 80, 30, 50, 120, "over 90", "RUB"),
        # its deal was deleted in the CRM
        (*sever, "Анна Орлова", "5", march_22, 70, 0, 70, 9, "1-30", "RUB"),
        (*sever, "Борис Лис", "8", date(2026, 4, 10), 1000, 400, 600, 0, "not due", "RUB"),
    ]


def test_a_day_before_everything_owes_nothing(company: Warehouse) -> None:
    assert receivables(company, date(2025, 11, 30)) == []
    assert company.rows("select * from marts.receivables_ageing_as_of('2025-11-30')") == []
    assert company.rows("select * from marts.manager_kpi_as_of('2025-11-30')") == []


def test_a_deal_without_client_owes_through_its_counterparty(company: Warehouse) -> None:
    rows = company.rows(
        "select counterparty, client_id, manager, debt, currency from marts.receivables_as_of('2026-02-28')"
        " where deal_id = 'd3'"
    )
    assert rows == [("Acme Inc", None, "Анна Орлова", 500, "USD")]


def test_an_overpaid_invoice_is_no_receivable_but_stands_in_the_ageing(company: Warehouse) -> None:
    assert [row for row in receivables(company, END_OF_MARCH) if row[-1] == "USD"] == []
    rows = company.rows(
        "select debt, overpaid from marts.obligation_as_of(%s) where document_key = 'o3'", [END_OF_MARCH]
    )
    assert rows == [(0, 20)]


def test_later_payments_and_documents_leave_a_past_day_as_it_was(own_company: Warehouse) -> None:
    days = [date(2026, 1, 31), date(2026, 2, 28), END_OF_MARCH]

    def figures(day: date) -> tuple[Any, ...]:
        ageing = own_company.rows("select * from marts.receivables_ageing_as_of(%s) order by 1, 3", [day])
        managers = own_company.rows("select * from marts.manager_kpi_as_of(%s) order by 1, 3, 4", [day])
        return receivables(own_company, day), ageing, managers

    before = [figures(day) for day in days]
    assert all(all(parts) for parts in before), "each of the days has figures"
    with own_company.transaction() as conn:
        insert(
            conn,
            "ledger.payment",
            BOOKS | {"kind": "receipt", "is_posted": True, "currency_key": ROUBLE, "paid_on": "2026-04-01"},
            "payment_key counterparty_key amount",
            [("p20", "B", 50), ("p21", "B", 70)],
        )
        allocate(conn, "p20 o4", "p21 o5")
        insert(
            conn,
            "ledger.obligation",
            {"kind": "invoice", "deal_id": "d1", "counterparty_key": "A", "currency_key": ROUBLE},
            "document_key number document_date due_on amount",
            [("o9", "9", "2026-04-01", "2026-04-02", 5000)],
        )
    assert [figures(day) for day in days] == before
    assert [row[3] for row in receivables(own_company, date(2026, 4, 1))] == ["2", "8", "9"]


@pytest.mark.parametrize(
    ("due_on", "days", "bucket"),
    [
        ("2026-03-01", -1, "not due"),
        ("2026-02-28", 0, "not due"),
        ("2026-02-27", 1, "1-30"),
        ("2026-01-29", 30, "1-30"),
        ("2026-01-28", 31, "31-60"),
        ("2025-12-30", 60, "31-60"),
        ("2025-12-29", 61, "61-90"),
        ("2025-11-30", 90, "61-90"),
        ("2025-11-29", 91, "over 90"),
    ],
)
def test_a_bucket_ends_on_its_last_day(own_company: Warehouse, due_on: str, days: int, bucket: str) -> None:
    own_company.execute("update ledger.obligation set due_on = %s where document_key = 'o4'", [due_on])
    rows = own_company.rows(
        "select date '2026-02-28' - due_on, days_overdue, bucket"
        " from marts.receivables_as_of('2026-02-28') where number = '77'"
    )
    assert rows == [(days, max(days, 0), bucket)]


def test_ageing_goes_from_debt_to_balance_through_named_steps(company: Warehouse) -> None:
    rows = company.rows(
        """
        select counterparty, currency, documents, not_due, days_1_30, days_31_60, days_61_90, over_90, debt,
               overdue, overpaid, unallocated, refunded, settled_by_others, balance
        from marts.receivables_ageing_as_of(%s) order by counterparty_key
        """,
        [END_OF_MARCH],
    )
    assert rows == [
        ("Ромашка ООО", "RUB", 1, 0, 0, 350, 0, 0, 350, 350, 0, 40, 15, -30, 295),
        ("Север ООО", "RUB", 3, 600, 70, 0, 0, 50, 720, 120, 0, 0, 0, 30, 750),
        ("Acme Inc", "USD", 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, -20),
    ]


def test_money_paid_before_its_invoice_is_an_advance_until_the_invoices_day(company: Warehouse) -> None:
    advance = "select unallocated from marts.receivables_ageing_as_of(%s) where counterparty_key = 'B'"
    assert company.scalar(advance, [date(2026, 3, 19)]) == 0
    assert company.scalar(advance, [date(2026, 3, 20)]) == 400
    assert company.scalar(advance, [date(2026, 3, 24)]) == 400
    assert company.scalar(advance, [date(2026, 3, 25)]) == 0


def test_receivables_and_managers_tell_the_same_debt(company: Warehouse) -> None:
    owed = company.rows(
        "select currency, sum(debt), sum(debt) filter (where days_overdue > 0)"
        " from marts.receivables_as_of(%s) where deal_id is not null group by currency",
        [END_OF_MARCH],
    )
    managers = company.rows(
        "select currency, sum(debt), sum(overdue) from marts.manager_kpi_as_of(%s)"
        " group by currency having sum(debt) > 0",
        [END_OF_MARCH],
    )
    assert owed == managers == [("RUB", 1020, 420)]


@pytest.mark.parametrize("name", ["receivables", "receivables_ageing", "manager_kpi"])
def test_todays_view_is_the_function_of_today(company: Warehouse, name: str) -> None:
    view, function = f"table marts.{name}", f"select * from marts.{name}_as_of(current_date)"
    assert company.rows(view) != []
    assert company.rows(f"({view} except all {function}) union all ({function} except all {view})") == []


def test_balances_of_any_company_reconcile_with_the_ledger(warehouse: Warehouse) -> None:
    deploy_empty(warehouse)
    seed = 20260331
    first = date(2026, 1, 1)
    _any_company(warehouse, random.Random(seed), first)
    others = "select count(*) from ledger.allocation a join ledger.obligation o using (document_key)"
    assert warehouse.scalar(f"{others} where a.counterparty_key <> o.counterparty_key") > 0, f"seed {seed}"

    # the settlement leaves documents out on which nothing is paid: nothing differs there yet
    unequal = warehouse.rows(
        """
        with untouched as (
            select counterparty_key, currency, sum(amount) as amount
            from marts.obligation_as_of(%(day)s) where paid = 0 group by counterparty_key, currency
        )
        select s.counterparty_key, s.difference, a.balance, u.amount
        from (select counterparty_key, currency_key, sum(expected - actual) as difference
              from ledger.settlement group by counterparty_key, currency_key) s
        join marts.currency c on c.currency_key = s.currency_key
        full join marts.receivables_ageing_as_of(%(day)s) a
          on a.counterparty_key = s.counterparty_key and a.currency = c.currency
        left join untouched u on u.counterparty_key = a.counterparty_key and u.currency = a.currency
        where s.difference is distinct from a.balance - coalesce(u.amount, 0)
        """,
        {"day": AFTER_ALL},
    )
    assert unequal == [], f"seed {seed}"

    for day in (first, first + timedelta(days=45), first + timedelta(days=100), AFTER_ALL):
        steps = warehouse.rows(
            "select debt - overpaid - unallocated + refunded + settled_by_others - balance,"
            "       not_due + days_1_30 + days_31_60 + days_61_90 + over_90 - debt"
            " from marts.receivables_ageing_as_of(%s)",
            [day],
        )
        assert {step for row in steps for step in row} == {0}, f"seed {seed}, {day}"
        ledger = warehouse.scalar(
            """
            select (select sum(amount) from ledger.obligation where document_date <= %(day)s)
                 - coalesce((select sum(case kind when 'refund' then -amount else amount end)
                             from ledger.payment where paid_on <= %(day)s), 0)
            """,
            {"day": day},
        )
        total = warehouse.scalar("select sum(balance) from marts.receivables_ageing_as_of(%s)", [day])
        assert total == ledger, f"seed {seed}, {day}"

    owed = warehouse.scalar("select sum(debt - overpaid) from marts.obligation_as_of(%s)", [AFTER_ALL])
    assert owed == warehouse.scalar(
        "select (select sum(amount) from ledger.obligation) - (select sum(amount) from ledger.allocation)"
    ), f"seed {seed}"


def _any_company(warehouse: Warehouse, chance: random.Random, first: date) -> None:
    """120 invoices, 120 receipts and refunds, and parts of payments stated for anybody's invoice."""

    def day() -> date:
        return first + timedelta(days=chance.randrange(120))

    def whose() -> tuple[str, str, int]:
        return chance.choice("ABC"), chance.choice((ROUBLE, DOLLAR)), chance.randrange(1, 30) * 100

    kinds = ("receipt", "receipt", "receipt", "refund")
    with warehouse.transaction() as conn:
        insert(
            conn,
            "ledger.obligation",
            {"kind": "invoice"},
            "document_key number document_date due_on counterparty_key currency_key amount",
            [("o0", "0", first, first, "A", ROUBLE, 100)]
            + [(f"o{n}", str(n), day(), day(), *whose()) for n in range(1, 120)],
        )
        insert(
            conn,
            "ledger.payment",
            BOOKS | {"is_posted": True},
            "payment_key kind paid_on purpose counterparty_key currency_key amount",
            [
                (f"p{n}", chance.choice(kinds), day(), f"счёт {chance.randrange(200)}", *whose())
                for n in range(120)
            ],
        )
        insert(
            conn,
            "ledger.payment_line",
            BOOKS,
            "line_key payment_key invoice_key amount",
            [(f"l{n}", f"p{n}", f"o{chance.randrange(120)}", 50) for n in range(0, 120, 3)],
        )
        refresh_table(conn, "ledger.allocation")
        conn.execute(
            "insert into ledger.position"
            " (document_key, kind, is_posting_kind, is_marked, is_deal_deleted, has_other_lines, is_apart)"
            " select document_key, 'invoice', false, false, false, false, true from ledger.obligation"
        )
        refresh_table(conn, "ledger.variance")  # a settlement without its variances is refused
        refresh_table(conn, "ledger.settlement")
