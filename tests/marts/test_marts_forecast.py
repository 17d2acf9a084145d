"""What is foretold of sales, and how wrong it was: figures of docs/marts.md."""

from __future__ import annotations

import logging
import math
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines import stages as steps
from pipelines.assets import asset_key
from pipelines.forecast import (
    METHODS,
    Method,
    NotForetoldError,
    errors,
    foretell,
    later,
    naive,
    of_history,
    seasonal_naive,
    series,
    theta,
)  # fmt: skip
from resources.warehouse import Warehouse
from tests.marts.company import BOOKS, ROUBLE, insert

pytest_plugins = ("tests.marts.fixtures",)

MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)
YEAR = [Decimal(amount) for amount in (100, 90, 110, 120, 130, 140, 90, 80, 120, 150, 170, 300)]
SHOWN = "select method, horizon, month, amount, reason from marts.sales_forecast where currency = %s order by method, horizon"


def seasonal(months: int) -> list[Decimal]:
    """Growing by 2 a month, with every December at three times the rest."""
    return [Decimal(100 + 2 * i) * (3 if i % 12 == 11 else 1) for i in range(months)]


def test_an_open_deal_is_worth_what_became_of_those_before_it(own_stages: Warehouse) -> None:
    asked = (
        "select deal_id, closed, won, chance, expected_amount, usual_days, expected_on, reason"
        " from marts.open_pipeline_as_of('2026-01-31') order by deal_id"
    )
    few = "{} of the deals that stood in this stage are closed; 5 are needed"
    assert own_stages.rows(asked) == [
        ("s4", 3, 2, None, None, 17, None, few.format(3)),
        ("s7", 2, 2, None, None, 12, None, few.format(2)),
    ]
    own_stages.execute(
        """insert into ops.setting (system, name, value) values ('onec', 'sales_forecast', '{"deals": 2}')"""
    )
    own_stages.execute("update core.deal set amount = 1000 where deal_id = 's4'")
    # NEW: s1 and s2 were won, after 16 and 18 days, s3 was lost
    assert own_stages.rows(asked) == [
        ("s4", 3, 2, Decimal("0.6667"), Decimal("666.67"), 17, date(2026, 1, 31), None),
        ("s7", 2, 2, 1, 100, 12, date(2026, 1, 31), None),
    ]
    # on the 16th s4 had stood for 6.5 days: 10.5 to go; of NEW's three two are not closed yet
    assert own_stages.rows(asked.replace("2026-01-31", "2026-01-16")) == [
        (deal, 0, 0, None, None, None, None, few.format(0).replace("5 are", "2 are"))
        for deal in ("s1", "s2", "s3", "s4", "s5", "s7")
    ]


def test_every_method_stands_in_one_table_with_what_it_lacks(own_company: Warehouse) -> None:
    with own_company.transaction() as conn:
        assert foretell(conn, date(2026, 3, 15)) == 2 * 4 * 6
        assert foretell(conn, date(2026, 3, 16)) == 2 * 4 * 6, "in place of yesterday's"
    rows = own_company.rows(SHOWN, ["RUB"])
    assert len(rows) == 4 * 6
    assert rows[0] == ("naive", 1, MARCH, 1450, "not tried yet: 1 complete months of payments, 2 are needed")
    assert [row[3] for row in rows if row[0] == "theta"] == [None] * 6
    assert rows[-1][4] == "1 complete months of payments, 6 are needed"
    assert {row[4] for row in rows if row[0] == "pipeline"} == {
        "there is no open deal whose chance and time are known"
    }
    # the first dollars came in March itself
    assert {row[3:] for row in own_company.rows(SHOWN, ["USD"]) if row[0] == "naive"} == {
        (None, "0 complete months of payments, 1 are needed")
    }


def test_what_was_foretold_is_held_against_what_came(own_company: Warehouse) -> None:
    with own_company.transaction() as conn:
        foretell(conn, date(2026, 3, 15))
        foretell(conn, date(2026, 4, 15))
    rows = own_company.rows(
        "select foretold_in, month, amount, actual, is_latest from marts.sales_forecast"
        " where currency = 'RUB' and method = 'naive' and horizon = 1 order by 1"
    )
    # March: 400 + 30 + 40 received, 15 refunded
    assert rows == [(MARCH, MARCH, 1450, 455, False), (APRIL, APRIL, 455, 350, True)]


def test_errors_are_those_of_forecasts_made_without_knowing_what_came() -> None:
    history = [Decimal(amount) for amount in (100, 120, 90, 110)]
    made = errors(Method("naive", 1, naive), history, 2)
    # one month ahead: +20, -30, +20; two months ahead: 90 - 100, 110 - 120
    assert (made[1].origins, made[1].mean, made[1].mean_absolute) == (3, Decimal("3.33"), Decimal("23.33"))
    assert made[1].share_of_actual == Decimal("0.2188")  # 70 / 320
    assert (made[2].origins, made[2].mean, made[2].mean_absolute) == (2, -10, 10)
    assert made[1].skill == 0, "the naive forecast is as good as itself"


def test_a_season_is_foretold_by_the_year_before() -> None:
    assert seasonal_naive(YEAR, 14) == [*YEAR, *YEAR[:2]]


def test_theta_sees_a_season_and_helps_where_there_is_one() -> None:
    history = seasonal(48)
    (december,) = theta(history[:47], 1)
    assert december == pytest.approx(history[47], rel=Decimal("0.15"))
    by = {row.method: row for row in of_history("RUB", history, APRIL, 6) if row.horizon == 1}
    assert (by["theta"].errors.origins, by["theta"].reason) == (12, None)
    assert (by["theta"].errors.skill or 0) > Decimal("0.5")
    assert theta(history, 6) == theta(history, 6), "nothing in it is random"


@pytest.mark.parametrize("months", range(0, 26, 5))
@pytest.mark.parametrize("course", ["nothing", "constant", "one big", "refunds", "noise"])
def test_no_history_is_too_odd(months: int, course: str) -> None:
    history = {
        "nothing": [Decimal(0)] * months,
        "constant": [Decimal(700)] * months,
        "one big": [Decimal(0)] * max(months - 1, 0) + [Decimal("9e11")] * min(months, 1),
        "refunds": [Decimal(-100 * (i % 3)) for i in range(months)],
        "noise": [Decimal(round(1000 * abs(math.sin(7 * i)))) for i in range(months)],
    }[course]
    rows = of_history("RUB", history, APRIL, 3)
    assert len(rows) == 3 * len(METHODS)
    for row in rows:
        assert row.amount is not None or row.reason is not None
        assert row.errors.skill is not None or row.reason is not None
        assert row.method != "theta" or row.amount is None or row.amount >= 0 or course == "refunds"


def test_what_a_method_cannot_tell_is_said_with_the_reason() -> None:
    def fails(history: object, months: int) -> list[Decimal]:
        raise NotForetoldError("it ends at no number")

    assert [m.name for m in METHODS] == ["theta", "seasonal_naive", "naive"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.forecast.METHODS", (Method("theta", 1, fails),))
        (row,) = of_history("RUB", YEAR, APRIL, 1)
    assert (row.amount, row.reason) == (
        None,
        (
            "the method finds no forecast: it ends at no number",
            "метод не даёт прогноза: it ends at no number",
        ),
    )


def test_a_forecast_of_nothing_says_so() -> None:
    history = [*YEAR, *[Decimal(0)] * 3]
    (row,) = (r for r in of_history("RUB", history, APRIL, 1) if r.method == "naive")
    assert (row.amount, row.reason) == (
        0,
        (
            "0 is foretold: of the last 12 complete months 3 brought nothing",
            "прогноз 0: из последних полных месяцев (12) без оплат 3",
        ),
    )


def test_months_without_payments_count_as_nothing() -> None:
    assert series({date(2025, 11, 1): Decimal(5), date(2026, 2, 1): Decimal(7)}, APRIL) == [5, 0, 0, 7, 0]
    assert series({}, APRIL) == []
    assert later(date(2025, 12, 1), 1) == date(2026, 1, 1)


def test_the_pipeline_stands_beside_the_payments(own_stages: Warehouse) -> None:
    own_stages.execute(
        """insert into ops.setting (system, name, value) values ('onec', 'sales_forecast', '{"deals": 2, "months": 2}')"""
    )
    with own_stages.transaction() as conn:
        foretell(conn, date(2026, 1, 31))
    rows = own_stages.rows(SHOWN, ["RUB"])
    # 66.67 of s4 and 100 of s7
    assert [row[:4] for row in rows if row[0] == "pipeline"] == [
        ("pipeline", 1, date(2026, 1, 1), Decimal("166.67")),
        ("pipeline", 2, date(2026, 2, 1), 0),
    ]
    assert [row[3:] for row in rows if row[0] == "naive"] == [
        (None, "0 complete months of payments, 1 are needed")
    ] * 2
    with own_stages.transaction() as conn:
        insert(
            conn,
            "ledger.payment",
            BOOKS | {"is_posted": True, "kind": "receipt", "currency_key": ROUBLE},
            "payment_key paid_on amount",
            [("p", "2025-12-05", 50)],
        )
        foretell(conn, date(2026, 1, 31))
    assert [row[3] for row in own_stages.rows(SHOWN, ["RUB"]) if row[0] == "naive"] == [50, 50]


def test_the_step_of_the_marts_foretells(own_company: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    road: Any = SimpleNamespace(warehouse=own_company, reads={})
    monkeypatch.setitem(steps._ROADS, "night", road)
    context: Any = SimpleNamespace(
        run_id="night",
        log=logging.getLogger(__name__),
        selected_asset_keys={asset_key("marts.sales_forecast")},
        selected_asset_check_keys=set(),
    )
    (told,) = steps.refresh_stage(context, "marts")
    assert told.asset_key == asset_key("marts.sales_forecast")
    assert (
        own_company.scalar(
            "select count(*) from marts.sales_forecast where is_latest and foretold_in = date_trunc('month', current_date)"
        )
        == 2 * 4 * 6
    )
