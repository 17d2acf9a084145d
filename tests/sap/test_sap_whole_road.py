"""From the CRM down into SAP and back: orders are written once, what SAP bills of them is what the deals expect."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from mappings import load
from pipelines import sync
from pipelines.sync import Road
from resources.warehouse import Warehouse
from tests.mapping.mapping_road import MAPPINGS
from tests.owed import each_deal_owes_its_sum_once
from tests.sandbox_process import Running, running
from tests.whole_road import DEMO, addresses, sync_road

DEALS = 40
KOPECKS = Decimal("0.05")  # of rounding: SAP adds the tax to the net sum, the CRM has it in each line


@pytest.fixture
def sandbox(warehouse: Warehouse) -> Iterator[Running]:
    with running("--deals", str(DEALS), "--no-limits") as found:
        yield found


@pytest.fixture
def road(
    sandbox: Running, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Road]:
    folder = tmp_path / "mappings"
    folder.mkdir()
    accounting = (MAPPINGS / "accounting" / "sap.yaml").read_text(encoding="utf-8")
    accounting = accounting.replace("approval: manual ", "approval: auto ")
    (folder / "sap.yaml").write_text(accounting, encoding="utf-8")
    text = (DEMO / "bitrix24.yaml").read_text(encoding="utf-8")
    text = text.replace("documents: [invoice, realization]", "documents: [order, realization]")
    text = text.replace("documents: [invoice]", "documents: [order]")
    (folder / "bitrix24.yaml").write_text(text, encoding="utf-8")
    for name, value in addresses(sandbox, tmp_path).items():
        monkeypatch.setenv(name, value)
    for name, value in sandbox.control("accounting/sap/connection").items():
        monkeypatch.setenv(f"SVERKA_SAP_{name.upper()}", str(value))
    monkeypatch.setenv("SVERKA_MAPPINGS", str(folder))
    made = Road(warehouse, load(folder), "test")
    sync.prepare(made)
    yield made
    made.close()


def test_deals_become_orders_once_and_billing_becomes_their_realizations(
    sandbox: Running, road: Road, warehouse: Warehouse
) -> None:
    sandbox.control("faults", {"where": "sap", "kind": "drop_after", "match": "$batch", "times": 2})
    first = sync_road(road)
    assert first.errors == []
    assert first.carried.stopped == ""
    assert (
        warehouse.rows(
            "select kind, subject, reason from ops.operation where state not in ('verified', 'held')"
        )
        == []
    )
    orders = warehouse.rows(
        """select p.deal_id, p.expected_amount, p.actual_amount from ledger.position p
            where p.kind = 'order' and p.expected_amount is not null and p.hold_reason is null"""
    )
    assert len(orders) > 5
    for deal, expected, actual in orders:
        assert abs(expected - actual) <= KOPECKS, deal
    assert [law.sentence for law in first.laws if not law.holds] == []

    second = sync_road(road)
    assert (second.planned.quiet, second.carried.written) == (True, 0)

    assert warehouse.rows("select * from ledger.obligation where deal_id is not null") == [], (
        "an order is no bill"
    )
    sandbox.control("accounting/sap/tick", {"days": 20, "seed": 3})
    third = sync_road(road)
    assert [law.sentence for law in third.laws if not law.holds] == []
    assert each_deal_owes_its_sum_once(warehouse, "realization") > 0, "nobody has paid in full"
    billed = warehouse.rows(
        """select deal_id, expected_amount, actual_amount from ledger.position
            where kind = 'realization' and expected_amount is not null and actual_amount is not null"""
    )
    assert billed, "nothing that SAP billed was taken for what a deal expects"
    # SAP reckons the tax anew on the day of billing: a rate that rose meanwhile is a difference, and told as one.
    apart = {deal for deal, expected, actual in billed if abs(expected - actual) > KOPECKS}
    assert len(apart) < len(billed), billed
    told = warehouse.rows("select deal_id from ledger.variance where measure = 'realized' and amount <> 0")
    assert apart <= {deal for (deal,) in told}
    assert sync_road(road).planned.new == 0
