"""What managers brought in, and how they are rated: figures of docs/marts.md."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from resources.warehouse import Warehouse
from tests.marts.company import BOOKS, insert

pytest_plugins = ("tests.marts.fixtures",)

END_OF_MARCH = date(2026, 3, 31)
ASKED = (
    "select manager, currency, period_from, deals_won, deals_lost, won_amount, average_deal, conversion,"
    " average_days_to_close, revenue, paid, debt, overdue, overdue_share, rating, figures, rating_reason"
    " from marts.manager_rating_as_of(%s) order by manager, currency"
)


def number(text: str) -> Decimal:
    return Decimal(text)


def _write_off(warehouse: Warehouse) -> None:
    """Of r1, goods for 600 at cost, a hundred of which were put back; its VAT stands on another account."""
    with warehouse.transaction() as conn:
        insert(
            conn,
            "ops.setting",
            {},
            "system name value",
            [("onec", "currency", '"RUB"'), ("onec", "cost_accounts", '["90.02"]')],
        )
        accounts = [("c", "90.02.1"), ("v", "90.03"), ("g", "41.01"), ("n", "90.021")]
        insert(conn, "core.accounting_account", BOOKS, "account_key code", accounts)
        insert(
            conn,
            "ledger.entry",
            {**BOOKS, "document_key": "r1", "is_active": True},
            "entry_key account_dr_key account_cr_key amount",
            [
                ("r1:1", "c", "g", 700),
                ("r1:2", "g", "c", 100),
                ("r1:3", "v", "g", 200),
                ("r1:4", "n", "g", 50),
            ],
        )
        insert(
            conn,
            "ledger.entry",
            {**BOOKS, "document_key": "r2", "is_active": True},
            "entry_key account_dr_key account_cr_key amount",
            [("r2:1", "c", "g", 9000)],  # roubles, the document is in dollars
        )


def test_managers_are_rated_by_their_places(company: Warehouse) -> None:
    january = date(2026, 1, 1)
    assert company.rows(ASKED, [END_OF_MARCH]) == [
        (
            "Анна Орлова",
            "RUB",
            january,
            2,
            0,
            1800,
            900,
            1,
            20,
            1500,
            1450,
            420,
            420,
            number("0.2246"),
            80,
            5,
            None,
        ),
        (
            "Анна Орлова",
            "USD",
            january,
            1,
            0,
            500,
            500,
            1,
            5,
            500,
            520,
            0,
            0,
            0,
            None,
            0,
            "nobody to compare with in this currency",
        ),
        ("Борис Лис", "RUB", january, 0, 1, 0, None, 0, None, 0, 400, 600, 0, 0, 20, 5, None),
    ]


def test_the_period_may_be_told(company: Warehouse) -> None:
    rows = company.rows(
        "select manager, period_from, deals_won, revenue, paid from marts.manager_rating_as_of('2026-01-31', 1)"
        " where currency = 'RUB' and deals_won > 0"
    )
    assert rows == [("Анна Орлова", date(2026, 1, 1), 1, 1000, 0)]


def test_margin_is_told_where_accounting_says_the_cost(own_company: Warehouse) -> None:
    _write_off(own_company)
    rows = own_company.rows(
        "select manager, currency, documents, documents_with_cost, cost, margin, margin_share"
        " from marts.manager_rating_as_of(%s) order by manager, currency",
        [END_OF_MARCH],
    )
    assert rows == [
        ("Анна Орлова", "RUB", 2, 1, 600, 400, number("0.4")),
        ("Анна Орлова", "USD", 1, 0, None, None, None),
        ("Борис Лис", "RUB", 0, 0, None, None, None),
    ]


def test_a_weight_of_nothing_leaves_a_figure_out(own_company: Warehouse) -> None:
    own_company.execute(
        """insert into ops.setting (system, name, value) values ('onec', 'sales_rating', '{"overdue": "0", "won": "3"}')"""
    )
    rows = own_company.rows(
        "select manager, rating, figures from marts.manager_rating_as_of(%s) where currency = 'RUB' order by manager",
        [END_OF_MARCH],
    )
    assert rows == [("Анна Орлова", 100, 4), ("Борис Лис", 0, 4)]


def test_equal_figures_share_a_place(own_company: Warehouse) -> None:
    """Three managers, of whom two won nothing: 100, 25 and 25 by the number of won deals alone."""
    own_company.execute(
        "insert into ops.setting (system, name, value) values ('onec', 'sales_rating',"
        """ '{"overdue": "0", "revenue": "0", "paid": "0", "margin": "0", "conversion": "0", "cycle": "0"}')"""
    )
    own_company.execute(
        "insert into core.employee (employee_id, source, source_id, full_name, is_deleted, problems)"
        " values ('vera', 'crm', 'vera', 'Вера', false, '{}')"
    )
    own_company.execute(
        "update core.deal set employee_id = 'vera', stage_code = 'LOST', closed_on = '2026-02-01' where deal_id = 'd6'"
    )
    rows = own_company.rows(
        "select manager, rating from marts.manager_rating_as_of(%s) where currency = 'RUB' order by manager",
        [END_OF_MARCH],
    )
    assert rows == [("Анна Орлова", 100), ("Борис Лис", 25), ("Вера", 25)]


def test_calls_letters_and_meetings_are_counted_by_the_day_of_the_crm(company: Warehouse) -> None:
    rows = company.rows(
        "select manager, happened_on, calls, letters, meetings, activities from marts.manager_activity order by 2"
    )
    assert rows == [
        ("Анна Орлова", date(2026, 1, 14), 1, 0, 0, 1),
        ("Анна Орлова", date(2026, 2, 1), 0, 1, 0, 1),
        ("Анна Орлова", date(2026, 2, 5), 0, 0, 1, 1),
        ("Борис Лис", date(2026, 3, 10), 1, 0, 0, 1),
        ("Анна Орлова", date(2026, 4, 2), 1, 0, 0, 1),
    ]


def test_the_rating_shows_activities_of_the_period_in_every_currency_of_the_manager(
    company: Warehouse,
) -> None:
    asked = (
        "select manager, currency, activities from marts.manager_rating_as_of(%s) order by manager, currency"
    )
    assert company.rows(asked, [END_OF_MARCH]) == [
        ("Анна Орлова", "RUB", 3),
        ("Анна Орлова", "USD", 3),
        ("Борис Лис", "RUB", 1),
    ]


def test_whoever_only_calls_is_told_without_a_currency_and_is_rated_with_nobody(
    own_company: Warehouse,
) -> None:
    before = own_company.rows(ASKED, [END_OF_MARCH])
    for name in ("vera", "gleb"):
        own_company.execute(
            "insert into core.employee (employee_id, source, source_id, full_name, is_deleted, problems)"
            " values (%s, 'crm', %s, %s, false, '{}')",
            [name, name, name],
        )
        own_company.execute(
            "insert into core.activity (activity_id, source, source_id, kind, employee_id, happened_at, is_done,"
            " is_deleted, problems) values (%s, 'crm', '1', 'call', %s, '2026-03-02', true, false, '{}')",
            [name, name],
        )
    rows = own_company.rows(
        "select manager, currency, deals_won, paid, activities, rating, figures, rating_reason"
        " from marts.manager_rating_as_of(%s) where currency is null order by manager",
        [END_OF_MARCH],
    )
    reason = "no deals and no money in the period"
    assert rows == [("gleb", None, 0, 0, 1, None, 0, reason), ("vera", None, 0, 0, 1, None, 0, reason)]
    assert [row for row in own_company.rows(ASKED, [END_OF_MARCH]) if row[1] is not None] == before


def test_where_the_crm_tells_of_no_activities_nobody_knows_how_many_there_were(
    own_company: Warehouse,
) -> None:
    figures = (
        "select activities from marts.manager_rating_as_of('2026-03-31')",
        "select activities from marts.manager_kpi_as_of('2026-03-31')",
    )
    # The mapping file names what was never read.
    own_company.execute(
        """update ops.setting set value = '["activity", "letter"]' where name = 'activity_entities'"""
    )
    for asked in figures:
        assert {row[0] for row in own_company.rows(asked)} == {None}
    own_company.execute("update ops.setting set value = '[]' where name = 'activity_entities'")
    for asked in figures:
        assert {row[0] for row in own_company.rows(asked)} == {None}


def test_an_activity_that_was_heard_of_later_counts_in_no_report_as_known_before(
    own_company: Warehouse,
) -> None:
    asked = "select sum(activities) from marts.manager_kpi_as_of('2026-03-31', %s) where month = '2026-02-01'"
    own_company.execute("update core.activity set known_from = '2026-03-20' where activity_id = 'a3'")
    assert own_company.rows(asked, ["2026-03-21"]) == [(2,)]
    assert own_company.rows(asked, ["2026-03-19"]) == [(1,)]
    # nothing was read by then: nobody knew how many there were
    assert own_company.rows(asked, ["2025-12-31"]) == [(None,)]
