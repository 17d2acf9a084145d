from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from psycopg.rows import dict_row

from pipelines.lineage import column_lineage
from pipelines.table import Table, tables
from resources.warehouse import Warehouse, trusted
from tests.marts.company import DOLLAR, ROUBLE, insert

pytest_plugins = ("tests.marts.fixtures",)

MARTS = [table for table in tables().values() if table.stage == "marts"]
END_OF_MARCH = date(2026, 3, 31)
NEVER_EMPTY = {
    "marts.buyer_rule",
    "marts.currency",
    "marts.document_kind",
    "marts.goods_rule",
    "marts.known",
    "marts.sales_rule",
    "marts.zone",
}


def amount(text: str | int) -> Decimal:
    return Decimal(text)


def test_postgres_says_the_columns_that_every_mart_declares(empty: Warehouse) -> None:
    for mart in MARTS:
        if mart.arguments:
            said = empty.scalar("select pg_get_function_result(%s::regproc)", [mart.name])
            columns = [
                line.replace(chr(34), "").split(" ", 1)
                for line in said.removeprefix("TABLE(").removesuffix(")").split(", ")
            ]
        else:
            columns = [
                list(row)
                for row in empty.rows(
                    "select attname, format_type(atttypid, atttypmod) from pg_attribute"
                    " where attrelid = %s::regclass and attnum > 0 order by attnum",
                    [mart.name],
                )
            ]
        assert [(name, _plain(kind)) for name, kind in columns] == [(c.name, c.type) for c in mart.columns], (
            mart.name
        )


def test_every_column_of_a_mart_has_its_comment_in_the_database(empty: Warehouse) -> None:
    for mart in MARTS:
        if mart.arguments:
            assert (
                empty.scalar("select obj_description(%s::regproc, 'pg_proc')", [mart.name])
                == mart.description
            )
            continue
        comments = empty.rows(
            "select col_description(attrelid, attnum) from pg_attribute"
            " where attrelid = %s::regclass and attnum > 0 order by attnum",
            [mart.name],
        )
        assert [row[0] for row in comments] == [c.comment for c in mart.columns], mart.name


def test_a_mart_names_every_table_that_it_reads(empty: Warehouse) -> None:
    known = {
        *tables(),
        *(
            row[0]
            for row in empty.rows(
                "select 'ops.' || relname from pg_class where relnamespace = 'ops'::regnamespace and relkind in ('r', 'p', 'v')"
            )
        ),
    }
    for mart in MARTS:
        read = {name for name in known if _names(mart.rows_sql, name, tables().get(name))}
        assert read == set(mart.upstreams), mart.name


def test_a_mart_knows_what_its_columns_are_made_of() -> None:
    for mart in MARTS:
        assert column_lineage(mart), mart.name


def test_only_conveniences_ask_for_the_time_of_day() -> None:
    asking = {mart.name for mart in MARTS if "current_date" in mart.rows_sql or "now()" in mart.rows_sql}
    assert asking == {
        "marts.bought_together",
        "marts.call_today",
        "marts.client_abc_xyz",
        "marts.client_churn",
        "marts.client_cohort",
        "marts.client_profit",
        "marts.client_rfm",
        "marts.client_value",
        "marts.contract_schedule",
        "marts.debt_turnover",
        "marts.discount_tier",
        "marts.marketing_roi",
        "marts.open_order_missing",
        "marts.product_abc_xyz",
        "marts.receivables",
        "marts.receivables_ageing",
        "marts.receivables_by_client",
        "marts.payment_promise",
        "marts.payment_schedule",
        "marts.property_complex",
        "marts.property_object",
        "marts.repeat_sale",
        "marts.manager_kpi",
        "marts.manager_rating",
        "marts.open_pipeline",
        "marts.stage_flow",
        "marts.stage_time",
        "marts.stuck_deal",
        "marts.integration_health",
        "marts.variance",
    }
    for name in asking:
        assert "current_date" in tables()[name].description or "now()" in tables()[name].description, name


def test_an_analyst_reads_every_mart_and_changes_none(company: Warehouse) -> None:
    with company.transaction() as conn:
        conn.execute("set role analyst")
        for mart in MARTS:
            conn.execute(f"select * from {_call(mart, END_OF_MARCH)}")
        privileges = conn.execute(
            "select count(*) from information_schema.role_table_grants"
            " where grantee = 'analyst' and privilege_type <> 'SELECT'"
        ).fetchone()
        assert privileges == (0,)
        assert conn.execute(
            "select has_schema_privilege('ops', 'usage'), has_schema_privilege('marts', 'create')"
        ).fetchone() == (False, False)


def test_a_company_without_data_has_empty_marts(empty: Warehouse) -> None:
    for mart in MARTS:
        if mart.name not in NEVER_EMPTY:
            rows = _records(empty, f"select * from {_call(mart, END_OF_MARCH)}")
            # how many deals are held is told even when there is none
            assert [row for row in rows if row.get("subject") != "all checks"] == [], mart.name


def test_the_funnel_counts_the_deals_of_each_month_stage_by_stage(company: Warehouse) -> None:
    rows = _records(
        company,
        "select stage_code, deals, amount, reached, went_on, conversion, average_days_to_close,"
        "       cohort_deals, share_won"
        " from marts.sales_funnel where month = '2026-01-01' and currency = 'RUB' and lead_source = 'Сайт'"
        " order by stage_order",
    )
    assert [tuple(row.values()) for row in rows] == [
        ("NEW", 1, 100, 4, 3, amount("0.7500"), None, 4, amount("0.5")),
        ("OFFER", 1, 300, 3, 2, amount("0.6667"), None, 4, amount("0.5")),
        ("WON", 2, 1800, 2, None, None, amount("20.0"), 4, amount("0.5")),
        ("LOST", 0, 0, None, None, None, None, 4, amount("0.5")),
    ]


def test_the_funnel_keeps_currencies_apart_and_shows_stages_without_deals(company: Warehouse) -> None:
    rows = company.rows(
        "select stage_code, deals, amount, reached, share_won from marts.sales_funnel"
        " where currency = 'USD' order by stage_order"
    )
    assert rows == [
        ("NEW", 0, 0, 1, 1),
        ("OFFER", 0, 0, 1, 1),
        ("WON", 1, 500, 1, 1),
        ("LOST", 0, 0, None, 1),
    ]


def test_a_deal_belongs_to_the_month_of_the_crms_own_time_zone(company: Warehouse) -> None:
    rows = company.rows("select month, sum(deals) from marts.sales_funnel group by month order by month")
    # d4 was created at half past one of 1 February in Moscow, 31 January in UTC; nothing in March
    assert rows == [(date(2025, 12, 1), 1), (date(2026, 1, 1), 5), (date(2026, 2, 1), 2)]


def test_a_deal_in_a_stage_that_the_crm_lists_no_more_is_still_counted(own_company: Warehouse) -> None:
    own_company.execute("update core.deal set stage_code = 'GONE' where deal_id = 'd6'")
    rows = own_company.rows(
        "select stage_code, outcome, deals, reached from marts.sales_funnel"
        " where month = '2026-01-01' and currency = 'RUB' order by stage_order"
    )
    assert rows == [
        ("NEW", "open", 0, 3),
        ("OFFER", "open", 1, 3),
        ("WON", "won", 2, 2),
        ("LOST", "lost", 0, None),
        ("GONE", None, 1, None),
    ]


def test_every_living_deal_is_in_the_funnel_once(company: Warehouse) -> None:
    assert company.scalar("select sum(deals) from marts.sales_funnel") == 8
    assert company.scalar("select sum(amount) from marts.sales_funnel where currency = 'RUB'") == 4110


def test_managers_answer_for_what_they_closed_and_what_is_owed_for_it(company: Warehouse) -> None:
    rows = company.rows(
        "select manager, month, currency, deals_won, deals_lost, deals_open, won_amount, average_deal,"
        "       conversion, average_days_to_close, invoiced, paid, debt, overdue, activities"
        " from marts.manager_kpi_as_of(%s) order by manager, month, currency",
        [END_OF_MARCH],
    )
    december, january, february = date(2025, 12, 1), date(2026, 1, 1), date(2026, 2, 1)
    assert rows == [
        ("Анна Орлова", december, "RUB", 1, 0, 0, 10, 10, 1, 19, 0, 0, 0, 0, 0),
        ("Анна Орлова", january, "RUB", 1, 0, 0, 1200, 1200, 1, 10, 1200, 1200, 0, 0, 1),
        ("Анна Орлова", january, "USD", 1, 0, 0, 500, 500, 1, 5, 500, 520, 0, 0, 1),
        ("Анна Орлова", february, "RUB", 1, 0, 0, 600, 600, 1, 30, 600, 250, 350, 350, 2),
        # d7 is gone from the CRM, its invoice is still owed
        ("Анна Орлова", None, "RUB", 0, 0, 0, 0, None, None, None, 70, 0, 70, 70, None),
        ("Борис Лис", february, "RUB", 0, 1, 0, 0, None, 0, None, 0, 0, 0, 0, 0),
        # he called, and closed nothing
        ("Борис Лис", date(2026, 3, 1), None, 0, 0, 0, 0, None, None, None, 0, 0, 0, 0, 1),
        ("Борис Лис", None, "RUB", 0, 0, 3, 0, None, None, None, 1000, 400, 600, 0, None),
    ]


def test_a_deal_closed_after_the_day_is_open_on_it(company: Warehouse) -> None:
    for as_of, expected in ((date(2026, 4, 9), (None, 0, 3)), (date(2026, 4, 10), (date(2026, 4, 1), 1, 0))):
        rows = company.rows(
            "select month, deals_won, deals_open from marts.manager_kpi_as_of(%s)"
            " where employee_id = 'boris' and (deals_won > 0 or deals_open = 3)",
            [as_of],
        )
        assert rows == [expected]


def test_revenue_by_client_is_what_accounting_posted(company: Warehouse) -> None:
    rows = company.rows(
        "select month, client, counterparty, currency, documents, gross, vat, net"
        " from marts.revenue_by_client order by month, counterparty_key"
    )
    january, march = date(2026, 1, 1), date(2026, 3, 1)
    assert rows == [
        (january, "Ромашка", "Ромашка ООО", "RUB", 1, 1200, 200, 1000),
        (january, None, "Север ООО", "RUB", 1, 80, 0, 80),
        (january, None, "Acme Inc", "USD", 1, 500, 0, 500),
        (march, "Ромашка", "Ромашка ООО", "RUB", 1, 600, 100, 500),
    ]


def test_revenue_by_product_carries_what_lines_do_not(company: Warehouse) -> None:
    rows = company.rows(
        "select month, product, currency, documents, quantity, gross, vat, net from marts.revenue_by_product"
        " order by month, product_key, currency"
    )
    january, march = date(2026, 1, 1), date(2026, 3, 1)
    assert rows == [
        (january, "Насос", "RUB", 1, 2, 1000, amount("166.67"), amount("833.33")),
        (january, "Насос", "USD", 1, 1, 500, 0, 500),
        (january, "Монтаж", "RUB", 1, 1, 200, amount("33.33"), amount("166.67")),
        (january, None, "RUB", 1, None, 80, 0, 80),
        (march, "Насос", "RUB", 1, 1, amount("599.99"), 100, amount("499.99")),
        (march, None, "RUB", 1, None, amount("0.01"), 0, amount("0.01")),
    ]


def test_both_revenues_add_up_to_the_posted_documents(company: Warehouse) -> None:
    sums = "select month, currency, sum(gross), sum(vat), sum(net)"
    by = sums + " from marts.revenue_by_{} group by month, currency order by month, currency"
    clients, products = company.rows(by.format("client")), company.rows(by.format("product"))
    assert clients == products
    posted = company.scalar(
        "select sum(amount) from ledger.document where kind = 'realization' and is_posted and not is_deleted"
    )
    assert sum(row[2] for row in clients) == posted == 2380


def test_a_variance_is_told_with_names_owner_and_age(company: Warehouse) -> None:
    rows = _records(
        company, "select *, current_date - date '2026-01-31' as days from marts.variance order by amount desc"
    )
    first, missing, payment = rows
    _shows(
        first,
        counterparty="Ромашка ООО",
        deal="Сделка d2",
        client="Ромашка",
        manager="Анна Орлова",
        amount=350,
        currency="RUB",
        owner="Анна",
        note="обещали в марте",
        status="open",
        first_seen_on=date(2026, 1, 31),
        last_seen_on=date(2026, 2, 9),
        age_days=first["days"],
        sentence="See to it.",
        sentence_ru="Разберитесь.",
    )
    _shows(
        missing, counterparty="Север из CRM ООО", client="Север", currency="RUB", owner="sales", number=None
    )
    _shows(
        payment, counterparty="Ромашка ООО", deal=None, first_seen_on=None, age_days=None, owner="accountants"
    )


def test_held_deals_stand_under_every_check_that_holds_them(company: Warehouse) -> None:
    rows = company.rows(
        "select check_name, currency, deals, amount, share_of_deals, example from marts.held_by_reason"
        " order by check_name, currency"
    )
    assert rows == [
        ("known_product", "RUB", 1, 300, amount("0.25"), "Mend d5."),
        ("tax_number", "RUB", 2, 1500, amount("0.5"), "Mend d1."),
        ("tax_number", "USD", 1, 500, amount("0.25"), "Mend d3."),
    ]


def test_postings_are_timed_from_the_best_known_moment_of_winning(company: Warehouse) -> None:
    rows = company.rows(
        "select deal_id, hours_from_won, hours_from_planned, is_backlog from marts.posting order by deal_id"
    )
    assert rows == [
        ("d0", amount("646.00"), amount("1.00"), True),
        ("d1", amount("2.00"), amount("0.50"), False),
        # changed again after the posting (by our own write-back): counted from midnight in Moscow
        ("d2", amount("10.00"), amount("1.00"), False),
        ("d3", amount("4.00"), amount("0.50"), False),
    ]


def test_health_tells_speed_held_variances_freshness_and_failures(company: Warehouse) -> None:
    rows = _records(
        company, "select * from marts.integration_health_as_of('2026-02-10 00:00Z') order by position"
    )
    assert [
        (r["section"], r["subject"], r["value"], r["unit"], r["amount"], r["currency"], r["age_days"])
        for r in rows
    ] == [
        ("won to posted", "realization, 90 %", amount("8.80"), "hours", None, None, amount("0.7")),
        ("won to posted", "realization, median", amount("4.00"), "hours", None, None, amount("0.7")),
        (
            "won to posted",
            "realization, 90 % of our own part",
            amount("0.90"),
            "hours",
            None,
            None,
            amount("0.7"),
        ),
        ("held", "all checks", amount("0.7500"), "share", None, None, None),
        ("held", "tax_number", 2, "deals", 1500, "RUB", None),
        ("held", "known_product", 1, "deals", 300, "RUB", None),
        ("held", "tax_number", 1, "deals", 500, "USD", None),
        ("operations", "onec, planned", 3, "operations", None, None, rows[7]["age_days"]),
        ("operations", "onec, held", 1, "operations", None, None, rows[8]["age_days"]),
        ("variances", "missing_in_accounting", 1, "variances", 300, "RUB", amount("1.0")),
        ("variances", "partial_payment", 1, "variances", 350, "RUB", amount("10.0")),
        ("variances", "unallocated", 1, "variances", -40, "RUB", None),
        ("variances by age", "8-30 days", 1, "variances", 350, "RUB", amount("10.0")),
        ("variances by age", "not remembered yet", 1, "variances", -40, "RUB", None),
        ("variances by age", "up to 7 days", 1, "variances", 300, "RUB", amount("1.0")),
        ("sources", "onec", amount("12.00"), "hours", None, None, amount("0.5")),
        ("sources", "crm", amount("2.00"), "hours", None, None, amount("0.1")),
        ("failures", "onec, invoice", 1, "readings", None, None, amount("0.0")),
    ]
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
    assert "503" in rows[-1]["sentence"]
    assert "period is closed" in rows[8]["sentence"]


def test_a_failure_ends_with_the_next_good_reading(own_company: Warehouse) -> None:
    failures = "select count(*) from marts.integration_health_as_of('2026-02-12') where section = 'failures'"
    assert own_company.scalar(failures) == 1
    with own_company.transaction() as conn:
        insert(
            conn,
            "ops.batch",
            {"mode": "incremental", "status": "loaded"},
            "source entity started_at finished_at",
            [("onec", "invoice", "2026-02-10 01:00Z", "2026-02-10 01:01Z")],
        )
    assert own_company.scalar(failures) == 0


def test_several_letters_of_one_currency_double_no_money(own_company: Warehouse) -> None:
    assert own_company.rows("select currency_key, currency from marts.currency order by 1") == [
        (ROUBLE, "RUB"),
        (DOLLAR, "USD"),
    ]
    own_company.execute("delete from ops.currency_rule where value = '840'")
    assert (
        own_company.scalar("select currency from marts.currency where currency_key = %s", [DOLLAR]) == "USD"
    )


def _plain(kind: str) -> str:
    return kind.replace("timestamp with time zone", "timestamptz")


def _names(statement: str, name: str, table: Table | None) -> bool:
    code = re.sub(r"--[^\n]*", "", statement)
    shown = (
        r"(?:_as_known(?=\()|_versions(?:_as_known(?=\())?)?"
        if table is not None and table.has_versions
        else ""
    )
    return re.search(rf"\b(?:from|join)\s+{re.escape(name)}{shown}\b(?!\.)", code) is not None


def _call(mart: Table, as_of: date) -> str:
    asked = [a for a in mart.arguments.split(", ") if a and " default " not in a]
    given = ", ".join([f"'{as_of}'"] * len(asked))
    return f"{mart.name}({given})" if mart.arguments else mart.name


def _records(warehouse: Warehouse, query: str) -> list[dict[str, Any]]:
    with warehouse.transaction() as conn, conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(trusted(query)).fetchall()


def _shows(row: Mapping[str, Any], **expected: Any) -> None:
    assert {name: row[name] for name in expected} == expected
