"""What marketing brought for what it cost. The figures: docs/marts.md."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from resources.warehouse import Warehouse
from tests.marts.company import BOOKS, CRM, insert

pytest_plugins = ("tests.marts.fixtures",)

END_OF_MARCH = date(2026, 3, 31)
DECEMBER, JANUARY, FEBRUARY = date(2025, 12, 1), date(2026, 1, 1), date(2026, 2, 1)
SPENT = (
    ("s1", "2026-01-03", "сайт", "Осень", 300),
    ("s2", "2026-01-10", " Сайт", "осень ", 50),
    ("s3", "2026-02-05", "Сайт", None, 200),
    ("s4", "2026-01-08", "Радио", None, 70),
)


@pytest.fixture
def advertised(own_company: Warehouse) -> Warehouse:
    """The company with what it spent, one campaign, and a cost of 600 for the realization of d1."""
    with own_company.transaction() as conn:
        settings = [("onec", "currency", '"RUB"'), ("onec", "cost_accounts", '["90.02"]')]
        insert(conn, "ops.setting", {}, "system name value", settings)
        insert(conn, "core.campaign", CRM, "campaign_id name", [("autumn", "Осень")])
        conn.execute("update core.deal set campaign_id = 'autumn' where deal_id = 'd1'")
        columns = "spend_id spent_on lead_source_name campaign_name amount"
        insert(conn, "core.marketing_spend", CRM | {"currency": "RUB"}, columns, SPENT)
        accounts = [("cost", "90.02.1"), ("goods", "41.01")]
        insert(conn, "core.accounting_account", BOOKS, "account_key code", accounts)
        entry = BOOKS | {"is_active": True, "account_dr_key": "cost", "account_cr_key": "goods"}
        insert(conn, "ledger.entry", entry, "entry_key document_key amount", [("r1:1", "r1", 600)])
    return own_company


def roi(warehouse: Warehouse, columns: str, as_of: date = END_OF_MARCH, where: str = "true") -> list[Any]:
    return warehouse.rows(
        f"select month, lead_source, campaign, currency, {columns} from marts.marketing_roi_as_of(%s) where {where}"
        " order by month, lead_source, campaign nulls last, currency",
        [as_of],
    )


def test_spend_stands_beside_the_deals_that_came_by_it(advertised: Warehouse) -> None:
    assert roi(advertised, "spend, leads, won, new_clients, revenue, margin, state") == [
        # the client's first deal that names a source came a month later
        (DECEMBER, "Сайт", "Осень", "RUB", 0, 1, 1, 0, 0, None, "deals without spend"),
        (JANUARY, "Радио", None, "RUB", 70, 0, 0, 0, 0, None, "spend without deals"),
        (JANUARY, "Сайт", "Осень", "RUB", 350, 2, 2, 1, 1500, 400, "spend and deals"),
        (JANUARY, "Сайт", None, "RUB", 0, 2, 0, 0, 0, None, "deals without spend"),
        (JANUARY, "Сайт", None, "USD", 0, 1, 1, 0, 500, None, "deals without spend"),
        (FEBRUARY, "Сайт", None, "RUB", 200, 2, 0, 0, 0, None, "spend and deals"),
    ]


def test_what_a_client_costs_and_when_it_is_paid_back(advertised: Warehouse) -> None:
    columns = "cost_per_lead, cac, revenue_costed, roi, paid_back_on, payback_days, reasons"
    assert roi(advertised, columns, where="spend > 0") == [
        (JANUARY, "Радио", None, "RUB", None, None, 0, None, None, None, ["no new clients", "nothing sold", "not paid back"]),
        (JANUARY, "Сайт", "Осень", "RUB", 175, 350, 1000, Decimal("0.1429"), date(2026, 1, 15), 12, []),
        (FEBRUARY, "Сайт", None, "RUB", 100, None, 0, None, None, None, ["no new clients", "nothing sold", "not paid back"]),
    ]  # fmt: skip


def test_a_client_is_new_where_it_was_first_touched(advertised: Warehouse) -> None:
    """Север came by the site in January; its first deal is won in April."""
    found = roi(
        advertised,
        "won, new_clients",
        date(2026, 4, 10),
        "campaign is null and currency = 'RUB' and leads > 0",
    )
    assert found == [(JANUARY, "Сайт", None, "RUB", 0, 1), (FEBRUARY, "Сайт", None, "RUB", 1, 0)]


def test_all_spend_and_all_deals_are_there_once(advertised: Warehouse) -> None:
    query = "select sum(spend), sum(leads), sum(won) from marts.marketing_roi_as_of(%s)"
    assert advertised.rows(query, [END_OF_MARCH]) == [(620, 8, 4)]
    assert advertised.scalar("select count(*) from marts.marketing_roi_as_of('2025-11-30')") == 0
    sold = "select sum(revenue) from marts.marketing_roi_as_of('2026-03-31') where currency = 'RUB'"
    ours = "select sum(net) from marts.sale_profit where deal_id is not null and currency = 'RUB'"
    assert advertised.scalar(sold) == advertised.scalar(ours) == 1500


def test_what_has_no_readable_date_is_still_there(advertised: Warehouse) -> None:
    advertised.execute("update core.marketing_spend set spent_on = null where spend_id = 's4'")
    advertised.execute("update core.deal set created_at = null where deal_id = 'd3'")
    found = roi(advertised, "spend, leads, revenue, state", where="month is null")
    assert found == [
        (None, "Радио", None, "RUB", 70, 0, 0, "spend without deals"),
        (None, "Сайт", None, "USD", 0, 1, 500, "deals without spend"),
    ]
