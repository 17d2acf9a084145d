"""A retailer's 148,117 lines through accounting's tables into the marts; every total beside the same of pandas.

The figures stand in docs/public-data.md. pandas reads the files itself and shares nothing with what loads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest

from pipelines import sync
from pipelines.sync import Road
from pipelines.table import tables
from resources.warehouse import Warehouse
from tests.public.retailer import bring, open_books, rows_of

pytestmark = pytest.mark.shared_data

LAST_DAY = "2011-04-06"
END_OF_MARCH = "2011-03-31"
NOBODY = ""  # of a document that names no customer


@dataclass(frozen=True)
class Retailer:
    road: Road
    lines: pd.DataFrame

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.road.warehouse.rows(query)

    def named(self, query: str) -> dict[Any, Any]:
        """Of rows of two columns: the second by the first."""
        return dict(self.rows(query))

    @property
    def sales(self) -> pd.DataFrame:
        return self.lines[self.lines.kind == "realization"]


@pytest.fixture(scope="module")
def retailer(
    shared_data: Path, server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Retailer]:
    folder = shared_data / "online_retail"
    if not folder.is_dir():
        pytest.skip(f"the retailer's invoices are not at {folder}")
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"create database public_retail template {template} strategy file_copy")
        road = open_books(
            Warehouse(f"{server_url.rsplit('/', 1)[0]}/public_retail"), tmp_path_factory.mktemp("retail")
        )
        bring(road, rows_of(folder))
        yield Retailer(road, _frame(folder))
        conn.execute("drop database public_retail with (force)")


def _frame(folder: Path) -> pd.DataFrame:
    """Lines with `kind`, `amount` in pence and signed, `customer`, `day` of the document; worked out by pandas alone."""
    found = pd.concat(
        pd.read_csv(path, dtype=str, keep_default_na=False) for path in sorted(folder.glob("*.csv"))
    )
    found["quantity"] = found.Quantity.astype("int64")
    found["amount"] = found.quantity * (found.UnitPrice.astype("float64") * 100).round().astype("int64")
    found["customer"] = found.CustomerID.str.replace(r"\.0$", "", regex=True)
    found["day"] = pd.to_datetime(found.groupby("InvoiceNo").InvoiceDate.transform("min")).dt.normalize()
    found["month"] = found.day.dt.strftime("%Y-%m-01")
    found["kind"] = "realization"
    found.loc[found.InvoiceNo.str.startswith("C"), "kind"] = "return"
    found.loc[found.InvoiceNo.str.startswith("A"), "kind"] = "bad debt"
    found.loc[(found.kind == "realization") & (found.quantity < 0), "kind"] = "stock adjustment"
    return found


def pounds(pence: Any) -> Decimal:
    return Decimal(int(pence)) / 100


def by(frame: pd.DataFrame, column: str) -> dict[str, Decimal]:
    return {str(key): pounds(value) for key, value in frame.groupby(column).amount.sum().items()}


def test_sales_credit_notes_and_stock_adjustments_stand_apart_and_come_to_the_same_sum(
    retailer: Retailer,
) -> None:
    assert len(retailer.lines) == 148_117
    assert retailer.lines.InvoiceNo.nunique() == 7_272
    counts = retailer.lines.groupby("kind").InvoiceNo.nunique().to_dict()
    assert counts == {"realization": 5_673, "return": 1_173, "stock adjustment": 426}, "and no bad debt yet"
    sums = by(retailer.lines, "kind")
    assert sums == {
        "realization": Decimal("2869753.98"), "return": Decimal("-277490.89"), "stock adjustment": 0,
    }  # fmt: skip
    held = (
        "select kind, count(*), sum(amount * ops.sign(kind)) from ledger.document group by kind order by kind"
    )
    sold = "select kind, count(*), sum(net) from marts.sale_profit group by kind order by kind"
    told = [(kind, counts[kind], sums[kind]) for kind in ("realization", "return")]
    assert retailer.rows(held) == retailer.rows(sold) == told
    assert retailer.rows("select sum(net) from marts.sale_profit") == [(Decimal("2592263.09"),)]
    lines = retailer.lines[retailer.lines.kind != "stock adjustment"]
    assert retailer.rows(
        "select count(*), sum(l.amount * ops.sign(d.kind)) from ledger.document_line l join ledger.document d using (document_key)"
    ) == [(len(lines), Decimal("2592263.09"))]
    assert sync.ignored_records(retailer.road, tables()["ledger.document"]) == {"stock_adjustment": 426}
    for table in ("ledger.document", "ledger.document_line", "ledger.entry"):
        assert retailer.rows(f"select count(*) from {table} where problems <> '{{}}'") == [(0,)]


def test_the_entries_and_the_turnover_of_settlements_come_to_the_same_sum(retailer: Retailer) -> None:
    assert retailer.rows(
        "select dr.code, cr.code, sum(e.amount) from ledger.entry e"
        " join core.accounting_account dr on dr.account_key = e.account_dr_key"
        " join core.accounting_account cr on cr.account_key = e.account_cr_key group by 1, 2 order by 1"
    ) == [
        ("62.01", "90.01.1", Decimal("2869753.98")), ("90.01.1", "62.01", Decimal("277490.89")),
    ]  # fmt: skip
    turnover = (
        "select coalesce(p.code, ''), sum(t.closing) from marts.settlement_turnover('2010-12-01', '2011-04-06') t"
        " left join core.accounting_counterparty p using (counterparty_key) group by 1"
    )
    owed = by(retailer.lines[retailer.lines.kind != "stock adjustment"], "customer")
    assert {key: value for key, value in retailer.named(turnover).items() if value} == {
        key: value for key, value in owed.items() if value
    }


def test_what_each_customer_and_each_month_brought_is_what_pandas_adds_up(retailer: Retailer) -> None:
    lines = retailer.lines[retailer.lines.kind != "stock adjustment"]
    profit = f"marts.client_profit_as_of('{LAST_DAY}') c left join core.accounting_counterparty p using (counterparty_key)"
    assert retailer.named(f"select coalesce(p.code, ''), sum(c.revenue) from {profit} group by 1") == by(
        lines, "customer"
    )
    months = retailer.named(f"select c.month::text, sum(c.revenue) from {profit} group by 1 order by 1")
    assert months == by(lines, "month")
    assert [*months.values()] == [
        Decimal(text) for text in ("748957.02", "560000.26", "498062.65", "683267.08", "101976.08")
    ]
    assert retailer.named("select month::text, sum(net) from marts.revenue_by_client group by 1") == by(
        retailer.sales, "month"
    )


def test_customers_without_a_number_are_money_of_nobody_and_no_client(retailer: Retailer) -> None:
    nobody = retailer.lines[(retailer.lines.customer == NOBODY) & (retailer.lines.kind != "stock adjustment")]
    documents = nobody.groupby("kind").InvoiceNo.nunique().to_dict()
    assert retailer.rows(
        "select buyer, counterparty_key, sum(documents), sum(revenue)"
        f" from marts.client_profit_as_of('{LAST_DAY}') where buyer_key is null group by 1, 2"
    ) == [(None, None, documents["realization"], pounds(nobody.amount.sum()))]
    for mart in (
        "client_rfm",
        "client_churn",
        "client_life",
        "client_value",
        "client_abc_xyz",
    ):
        assert retailer.rows(
            f"select count(*) from marts.{mart}_as_of('{LAST_DAY}') where buyer_key is null"
            " or buyer_key not in (select buyer_key from marts.buyer)"
        ) == [(0,)]


def test_products_fall_into_the_classes_that_pandas_finds(retailer: Retailer) -> None:
    assert retailer.named("select code, sum(net) from marts.revenue_by_product group by 1") == by(
        retailer.sales, "StockCode"
    )
    sold = retailer.sales[retailer.sales.day <= END_OF_MARCH]
    revenue = sold.groupby("StockCode").amount.sum().sort_index().sort_values(ascending=False, kind="stable")
    above = (revenue.cumsum() - revenue) / revenue.clip(lower=0).sum()
    abc = pd.Series("C", index=revenue.index)
    abc[(above < 0.95) & (revenue > 0)] = "B"
    abc[(above < 0.8) & (revenue > 0)] = "A"
    months = sold.pivot_table(
        index="StockCode", columns="month", values="quantity", aggfunc="sum"
    ).sort_index(axis=1)
    first = months.notna().cummax(axis=1)
    counted = months.fillna(0).where(first)
    variation = counted.std(axis=1, ddof=0) / counted.mean(axis=1)
    xyz = pd.cut(variation, [-1, 0.1, 0.25, float("inf")], labels=["X", "Y", "Z"]).astype(object)
    xyz[counted.count(axis=1) < 3] = None
    found = retailer.rows(
        f"select code, revenue, abc, xyz from marts.product_abc_xyz_as_of('{END_OF_MARCH}') order by code"
    )
    assert {code: (amount, a, x) for code, amount, a, x in found} == {
        code: (pounds(amount), abc[code], xyz[code] if xyz.notna()[code] else None)
        for code, amount in revenue.items()
    }
    assert abc.value_counts().to_dict() == {"A": 655, "B": 816, "C": 1733}


def test_recency_frequency_and_money_are_those_of_pandas(retailer: Retailer) -> None:
    named = retailer.lines[(retailer.lines.customer != NOBODY) & (retailer.lines.kind != "stock adjustment")]
    sales = named[named.kind == "realization"].groupby("customer")
    table = pd.DataFrame({"last": sales.day.max(), "often": sales.InvoiceNo.nunique()})
    table["money"] = named.groupby("customer").amount.sum()
    fifths = ((table.rank(method="min") - 1) * 5 // len(table) + 1).astype(int)
    found = retailer.rows(
        "select p.code, c.last_on, c.frequency, c.monetary, c.recency, c.often, c.money, c.clients"
        f" from marts.client_rfm_as_of('{LAST_DAY}') c join core.accounting_counterparty p using (counterparty_key)"
    )
    assert {row[0]: row[1:] for row in found} == {
        key: (
            table["last"][key].date(), table.often[key], pounds(table.money[key]),
            fifths["last"][key], fifths.often[key], fifths.money[key], len(table),
        )
        for key in table.index
    }  # fmt: skip


def test_cohorts_come_back_as_pandas_counts_them(retailer: Retailer) -> None:
    sales = retailer.sales[retailer.sales.customer != NOBODY]
    documents = sales.groupby(["customer", "InvoiceNo"]).month.first().reset_index()
    documents["cohort"] = documents.groupby("customer").month.transform("min")
    active = documents.groupby(["cohort", "month"]).customer.nunique()
    clients = documents.groupby("cohort").customer.nunique()
    found = retailer.rows(
        f"select cohort::text, month::text, clients, active from marts.client_cohort_as_of('{LAST_DAY}') order by 1, 2"
    )
    assert found == [
        (cohort, month, clients[cohort], int(active.get((cohort, month), 0)))
        for cohort in clients.index
        for month in clients.index
        if month >= cohort
    ]
    assert [row[3] for row in found if row[0] == "2010-12-01"] == [885, 324, 286, 340, 86]


def test_a_bad_debt_adjustment_moves_what_is_owed_and_no_sale(retailer: Retailer) -> None:
    """The hundred days have none. These three are of August of the same data."""
    before = retailer.rows("select kind, count(*), sum(net) from marts.sale_profit group by 1 order by 1")
    row = {"StockCode": "B", "Description": "Adjust bad debt", "Quantity": "1", "CustomerID": ""}
    bring(
        retailer.road,
        [
            row | {"InvoiceNo": number, "UnitPrice": price, "InvoiceDate": f"2011-08-12 {time}:00"}
            for number, price, time in (
                ("A563185", "11062.06", "14:50"), ("A563186", "-11062.06", "14:51"), ("A563187", "-11062.06", "14:52"),
            )
        ],
    )  # fmt: skip
    assert (
        retailer.rows("select kind, count(*), sum(net) from marts.sale_profit group by 1 order by 1")
        == before
    )
    assert sync.ignored_records(retailer.road, tables()["ledger.document"]) == {
        "stock_adjustment": 426, "bad_debt": 3,
    }  # fmt: skip
    assert retailer.rows(
        "select sum(debit), sum(credit) from marts.settlement_turnover('2011-08-01', '2011-08-31')"
    ) == [(Decimal("11062.06"), Decimal("22124.12"))]
