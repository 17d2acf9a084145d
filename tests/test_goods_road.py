"""Prices and stock of every accounting system over HTTP, down to the drift: held against what the sandbox knows is true."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mappings import load
from pipelines import sync
from pipelines.sync import Road
from resources.warehouse import Warehouse
from tests.sandbox_process import Running, running
from tests.whole_road import DEMO, addresses, environment

READY = Path(__file__).parents[1] / "mappings" / "accounting"
BASES = {"onec": "onec", "onec_trade": "onec-trade", "onec_small_firm": "onec-smallfirm"}
SYSTEMS = (*BASES, "sap", "quickbooks")
SOLD = ("product", "product_price", "price_list", "vat_rate")
GOODS = ("core.accounting_price", "ledger.stock")
PAIRS = {
    "sap": "[{list: BASE, type: PPR0, adds_vat: true}, {list: Оптовая, type: PPR0 02, adds_vat: true}]",
    "quickbooks": "[{list: BASE, type: Sales price}]",
}
USUAL = "[{list: BASE, type: Розничная}, {list: Оптовая, type: Оптовая}]"
Drift = tuple[str, str, Decimal, Decimal, date | None, str]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with running("--deals", "10", "--no-limits") as found:
        yield found


@pytest.fixture(params=SYSTEMS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def road(sandbox: Running, warehouse: Warehouse, tmp_path: Path, name: str) -> Iterator[Road]:
    with opened(sandbox, warehouse, tmp_path, name) as made:
        yield made


@contextmanager
def opened(sandbox: Running, warehouse: Warehouse, folder: Path, name: str) -> Iterator[Road]:
    """The demo's CRM and the ready file of an accounting system."""
    place = folder / "mappings"
    place.mkdir()
    (place / f"{name}.yaml").write_text(
        (READY / f"{name}.yaml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    crm = (DEMO / "bitrix24.yaml").read_text(encoding="utf-8")
    head, pairs, rest = crm.partition("prices:\n")
    crm = f"{head}prices: {PAIRS.get(name, USUAL)}\n{rest[rest.index('products:') :]}" if pairs else crm
    owed = "order" if name in ("onec_trade", "sap") else "invoice"
    (place / "bitrix24.yaml").write_text(
        crm.replace("documents: [invoice", f"documents: [{owed}"), encoding="utf-8"
    )
    values = addresses(sandbox, folder)
    if name in BASES:
        values["SVERKA_ONEC_URL"] = values["SVERKA_ONEC_URL"].replace("/onec/", f"/{BASES[name]}/")
    else:
        said = sandbox.control(f"accounting/{name}/connection")
        values |= {f"SVERKA_{name.upper()}_{key.upper()}": str(value) for key, value in said.items()}
    with environment({**values, "SVERKA_MAPPINGS": str(place)}):
        made = Road(warehouse, load(place), "test")
        sync.prepare(made)
        try:
            yield made
        finally:
            made.close()


def read(road: Road) -> None:
    """Products and prices of both sides, and stock, down to the drift."""
    accounting, (crm,) = road.accounting, road.mappings.sources()
    stock = [e for table in GOODS for e in accounting.entities_of(table)] + ["free_stock"]
    wanted = [e for e in accounting.entities if e in (*sync.CATALOGUES, *stock)]
    batches = [*sync.read(road, crm, SOLD), *sync.read(road, accounting, wanted)]
    assert [batch.error for batch in batches if batch.error] == []
    assert [batch.rejected for batch in batches if batch.rejected] == []
    sync.refresh_stage(road, "core")
    sync.refresh_stage(road, "documents", only=["documents.product"])
    sync.refresh_stage(road, "ledger", only=["ledger.stock", "ledger.price_drift"])


def drifts(road: Road) -> set[Drift]:
    """(article, price list, price in the CRM, in accounting as compared, since, what changed)."""
    rows = road.warehouse.rows(
        "select p.code, d.price_list, d.crm_price, d.compared_price, d.since, d.changed"
        " from ledger.price_drift d join core.product p using (product_id)"
    )
    return {(code, listed, crm, books, since, changed) for code, listed, crm, books, since, changed in rows}


def truth(sandbox: Running, name: str) -> set[Drift]:
    """What drifted before the sandbox was started."""
    if name in BASES:
        said = sandbox.control(f"onec/truth/{BASES[name]}").values()
    else:
        acts = sandbox.control(f"accounting/{name}")["acts"]
        said = acts if isinstance(acts, list) else acts.values()
    lists = {"Розничная": "BASE", "Оптовая": "Оптовая"}
    return {
        (row["code"], lists[row["price_list"]], Decimal(row["crm"]), Decimal(row["accounting"]),
         date.fromisoformat(row["since"]), "accounting")
        for row in said
        if row["act"] == "price_drift"
    }  # fmt: skip


def told(found: set[Drift], name: str) -> set[tuple[object, ...]]:
    """To the kopeck; SAP's net prices, to which VAT is added, to ten."""
    return {(*row[:3], round(row[3], 1 if name == "sap" else 2), *row[4:]) for row in found}


def test_exactly_the_prices_that_drifted_are_told_since_the_very_day_and_a_second_sync_is_quiet(
    road: Road, sandbox: Running, name: str
) -> None:
    entities = {e for table in GOODS for e in road.accounting.entities_of(table)}
    # it leaves a record of its own in a base that it never looked at, which is news
    checked = [
        f for f in road.source(road.accounting).check() if f.subject.removesuffix(" fields") in entities
    ]
    assert {finding.subject for finding in checked} >= entities
    assert [finding.message for finding in checked if not finding.ok] == []
    read(road)
    assert len(truth(sandbox, name)) >= 2
    assert told(drifts(road), name) == told(truth(sandbox, name), name)
    seller = road.warehouse.rows(
        "select code, price_list, crm_price, compared_price, drift_since, drift_changed from marts.price_and_stock"
        " where price_state = 'drift'"
    )
    assert set(seller) == drifts(road)
    for table in GOODS:
        assert road.warehouse.rows(f"select problems from {table} where problems <> '{{}}'") == []
        assert int(road.warehouse.scalar(f"select count(*) from {table} where product_key is not null")) > 3
    before = int(road.warehouse.scalar("select max(seq) from ops.change_log"))
    read(road)
    assert int(road.warehouse.scalar("select max(seq) from ops.change_log")) == before, (
        "a quiet sync is not quiet"
    )


@pytest.mark.parametrize(
    ("base", "reading", "said"),
    [
        ("onec", "slices", "records"),
        ("onec", "stock_by", "place"),
        ("onec", "stock_by", "item"),
        ("onec_trade", "free_stock", "free"),
    ],
)
def test_where_no_source_says_how_a_base_shows_them_both_readings_give_the_same(
    sandbox: Running, warehouse: Warehouse, tmp_path: Path, base: str, reading: str, said: str
) -> None:
    with opened(sandbox, warehouse, tmp_path, base) as road:
        read(road)
        before, drifted = stock(road), drifts(road)
        with read_as(sandbox, base, **{reading: said}):
            read(road)
            assert drifts(road) == drifted
            assert stock(road) == before


def test_a_price_that_names_no_currency_is_in_that_of_its_type(
    sandbox: Running, warehouse: Warehouse, tmp_path: Path
) -> None:
    with (
        read_as(sandbox, "onec", price_currency="type"),
        opened(sandbox, warehouse, tmp_path, "onec") as road,
    ):
        read(road)
        assert drifts(road) == truth(sandbox, "onec")


def test_an_update_that_takes_a_property_of_prices_away_stops_prices_alone(
    sandbox: Running, warehouse: Warehouse, tmp_path: Path
) -> None:
    with opened(sandbox, warehouse, tmp_path, "onec") as road:
        read(road)
        drifted = drifts(road)
        with read_as(sandbox, "onec", price_currency="type"):
            sync.read_shape(road, at_once=True)
            batches = sync.read(road, road.accounting, sync.catalogue_entities(road))
            wrong = {batch.entity: batch.error for batch in batches if batch.error}
            assert set(wrong) == {"price"}
            assert (
                "_RecordType has no Валюта_Key, which onec.yaml reads; give the field back" in wrong["price"]
            )
            assert drifts(road) == drifted
        sync.read_shape(road, at_once=True)
        read(road)


@contextmanager
def read_as(sandbox: Running, base: str, **readings: str) -> Iterator[None]:
    """A base that shows prices and stock in another way that the facts allow."""
    sandbox.control("onec", {"where": BASES[base], "readings": readings})
    try:
        yield
    finally:
        sandbox.control("onec", {"where": BASES[base]}, method="DELETE")


def stock(road: Road) -> dict[str, Decimal]:
    """By article what is in stock."""
    return dict(
        road.warehouse.rows(
            "select p.code, sum(s.quantity) from ledger.stock s join core.accounting_product p using (product_key)"
            " where not s.is_deleted group by p.code"
        )
    )


def do(sandbox: Running, name: str, act: str, key: str, **said: Any) -> None:
    """A deed in accounting."""
    if name in BASES:
        sandbox.control("onec/do", {"where": BASES[name], "act": act, "document": key, **said})
    else:
        named = "product" if name == "sap" else "document"
        sandbox.control(f"accounting/{name}/do", {"do": act, named: key, **said})


def test_a_new_price_and_goods_that_come_in_are_seen_by_the_next_sync(
    road: Road, sandbox: Running, name: str
) -> None:
    read(road)
    before, drifted = stock(road), drifts(road)
    quiet = {row[0] for row in drifted}
    key, code, own = road.warehouse.rows(
        "select p.source_id, p.code, c.price from core.accounting_product p join core.product c using (code)"
        " join ledger.stock s using (product_key) where not p.is_deleted and s.quantity > 0 and p.code <> all(%s)"
        " order by p.code limit 1",
        [sorted(quiet)],
    )[0]
    new = Decimal(own) + 11
    net = Decimal(round(new / Decimal("1.22"), 2))
    today = datetime.now(UTC).date() - timedelta(days=1)
    more = {"price_type": "Розничная"} if name in BASES else {}
    dated = {} if name == "quickbooks" else {"date": today.isoformat()}
    do(sandbox, name, "price", key, price=str(net if name == "sap" else new), **more, **dated)
    do(sandbox, name, "receive", key, quantity="12", cost="10")
    read(road)
    assert stock(road)[code] == before[code] + 12
    (told,) = drifts(road) - drifted
    assert told[:3] == (code, "BASE", own)
    assert abs(told[3] - new) <= Decimal("0.01")
    assert told[5] == "accounting"
    if dated:
        assert told[4] == today
