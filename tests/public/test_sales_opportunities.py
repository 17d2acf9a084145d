"""The public sample of sales opportunities, carried by `sverka real`: what arrives, and the marts beside pandas on the files.

The figures stand in docs/public-data.md. Amounts of the sample are whole.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from resources import postgres
from resources.warehouse import Warehouse
from tests.conftest import PROJECT, _server_home

pytestmark = [pytest.mark.shared_data, pytest.mark.timeout(600)]

END = date(2017, 12, 31)  # of the sample


@dataclass(frozen=True)
class Carried:
    """What `sverka real` said, its warehouse, and the files: opportunities with the `sector` of their account."""

    code: int
    said: str
    warehouse: Warehouse
    deals: pd.DataFrame

    @property
    def won(self) -> pd.DataFrame:
        return self.deals[self.deals.deal_stage == "Won"]

    def named(self, query: str) -> dict[Any, Any]:
        """Of rows of two columns: the second by the first."""
        return dict(self.warehouse.rows(query))


@pytest.fixture(scope="module")
def carried(shared_data: Path) -> Iterator[Carried]:
    data = shared_data / "crm_sales_opportunities"
    if not data.is_dir():
        pytest.skip(f"the sample of sales opportunities is not at {data}")
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SVERKA_") and name != "DAGSTER_HOME"
    }
    with _server_home() as home:
        ran = subprocess.run(
            [sys.executable, "-m", "pipelines.cli", "real", str(data)],
            env={**environ, "SVERKA_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1", "COLUMNS": "200"},
            cwd=PROJECT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        with postgres.server(home, durable=False) as url:
            yield Carried(ran.returncode, ran.stdout + ran.stderr, Warehouse(url), _deals(data))


def _deals(data: Path) -> pd.DataFrame:
    deals = pd.read_csv(data / "sales_pipeline.csv", parse_dates=["engage_date", "close_date"])
    deals["product"] = deals["product"].replace({"GTXPro": "GTX Pro"})
    return deals.merge(pd.read_csv(data / "accounts.csv")[["account", "sector"]], on="account", how="left")


def _sums(won: pd.DataFrame, column: str) -> dict[str, int]:
    return {str(key): int(value) for key, value in won.groupby(column).close_value.sum().items()}


def test_every_won_opportunity_is_carried_to_the_last_unit_of_money(carried: Carried) -> None:
    """4,238 won opportunities; 729 of them name a product by a spelling that needs an alias."""
    assert carried.code == 0, carried.said[-5000:]
    without, _, rest = carried.said.partition("2. The alias is added")
    with_alias, _, again = rest.partition("3. Another sync")
    assert _figures(without, "won deals") == ("4,238", "10 005 534.00")
    assert _figures(without, "realizations, posted") == ("3,509", "6 494 956.00")
    assert _figures(without, "held") == ("729", "3 510 578.00")
    assert "reasons: 1" in without
    for kind in ("invoices", "realizations, posted"):
        assert _figures(with_alias, kind) == ("4,238", "10 005 534.00")
    assert _figures(with_alias, "held")[0] == "0"
    assert "variances 0, documents there twice 0" in with_alias
    assert "operations planned: 0" in again
    assert "No variance." in again


def test_the_funnel_counts_what_stands_in_each_stage(carried: Carried) -> None:
    found = carried.named("select stage, sum(deals) from marts.sales_funnel group by 1")
    assert found == carried.deals.deal_stage.value_counts().to_dict()
    assert found == {"Won": 4238, "Lost": 2473, "Engaging": 1589, "Prospecting": 500}
    assert (
        carried.warehouse.scalar("select sum(amount) from marts.sales_funnel where stage = 'Won'")
        == 10_005_534
    )
    by_month = carried.deals.groupby(carried.deals.engage_date.dt.strftime("%Y-%m-01"), dropna=False)
    rows = carried.warehouse.rows(
        "select coalesce(month::text, ''), cohort_deals, cohort_won from marts.sales_funnel"
        " where stage = 'Won' order by 1"
    )
    assert rows == sorted(
        ("" if pd.isna(month) else str(month), len(deals), int((deals.deal_stage == "Won").sum()))
        for month, deals in by_month
    )


def test_each_agent_has_won_what_the_file_says_and_accounting_sold_it(carried: Carried) -> None:
    won, closed = carried.won, carried.deals.dropna(subset="close_date")
    assert int(won.close_value.sum()) == 10_005_534
    by_agent = _sums(won, "sales_agent")
    kpi = "select manager, sum({}) from marts.manager_kpi_as_of('2017-12-31') group by 1 having sum(deals_won) > 0"
    assert carried.named(kpi.format("won_amount")) == by_agent
    assert carried.named(kpi.format("deals_won")) == won.sales_agent.value_counts().to_dict()
    assert carried.named(kpi.format("invoiced")) == by_agent
    lost = closed[closed.deal_stage == "Lost"]
    assert carried.named(kpi.format("deals_lost")) == lost.sales_agent.value_counts().to_dict()


def test_the_days_from_engaged_to_won_are_those_of_the_file(carried: Carried) -> None:
    won = carried.won.assign(days=lambda deals: (deals.close_date - deals.engage_date).dt.days)
    days = won.groupby("sales_agent").days.sum()
    assert carried.named(
        "select manager, sum(days_to_close) from marts.deal where outcome = 'won' group by 1"
    ) == {agent: int(value) for agent, value in days.items()}
    rated = carried.named(
        "select manager, average_days_to_close from marts.manager_rating_as_of('2017-12-31', 12) where deals_won > 0"
    )
    assert {agent: float(value) for agent, value in rated.items()} == pytest.approx(
        won.groupby("sales_agent").days.mean().to_dict(), abs=0.06
    )
    assert carried.warehouse.rows(
        "select round(avg(days_to_close), 2), percentile_cont(0.5) within group (order by days_to_close)"
        " from marts.deal where outcome = 'won'"
    ) == [(round(Decimal(int(won.days.sum())) / len(won), 2), won.days.median())]


def test_revenue_by_product_and_by_sector_is_what_was_won(carried: Carried) -> None:
    assert carried.named("select product, sum(net) from marts.revenue_by_product group by 1") == _sums(
        carried.won, "product"
    )
    # The sector is kept in `raw` alone: no column of ours is for it.
    assert carried.named(
        "select a.payload ->> 'sector', sum(r.net) from marts.revenue_by_client r"
        " join core.client_member m using (client_id) join core.client_record c using (client_record_id)"
        " join raw.crm_account a on a.is_current and a.source_id = c.source_id group by 1"
    ) == _sums(carried.won, "sector")


def _figures(said: str, label: str) -> tuple[str, str]:
    """Count and sum of the line that begins with the label."""
    line = next(line for line in said.splitlines() if line.strip().startswith(label))
    count, *money = line.strip().removeprefix(label).split("reasons")[0].split()
    return count, " ".join(money)
