"""Every connected CRM down the whole road: into 1C, reconciled, and back into the CRM without an echo."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from stdnum.ru import inn

from mappings import load
from pipelines import sync
from pipelines.news import news
from pipelines.sync import Road
from resources.warehouse import Warehouse
from tests.crms.stand_in import MAPPINGS, StandIn, vendors
from tests.crms.truth import Truth, sold
from tests.crms.written_back import Shown, Task, about_duplicates, refused, to_be_done, to_be_shown
from tests.sandbox_process import running
from tests.whole_road import Company, addresses, sync_road

DEALS = 90
INVOICED = ("PREPAYMENT_INVOICE", "EXECUTING", "FINAL_INVOICE", "WON", "C1:EXECUTING", "C1:WON")
REALIZED = ("FINAL_INVOICE", "WON", "C1:WON")
VAT_RISE, NEW_RATE = "2026-01-01", 22
FEW_KOPECKS = Decimal("0.05")  # VAT of lines that are sold without it, summed by each side in its own order


@pytest.fixture(params=vendors())
def stand_in(request: pytest.FixtureRequest) -> Iterator[tuple[StandIn, Company]]:
    with running("--deals", str(DEALS), "--no-limits") as sandbox:
        company = Company(sandbox, request.getfixturevalue("warehouse"), Path())
        yield StandIn(request.param, sandbox.address, sandbox.http), company


def test_deals_become_documents_and_payments_come_back_without_an_echo(
    stand_in: tuple[StandIn, Company], warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm, company = stand_in
    shutil.copy(MAPPINGS / "crm" / f"{crm.name}.yaml", tmp_path)
    shutil.copy(MAPPINGS / "demo" / "onec.yaml", tmp_path)
    for name, value in {**addresses(company.sandbox, tmp_path), **crm.environment()}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SVERKA_MAPPINGS", str(tmp_path))
    road = Road(warehouse, load(tmp_path), "test")
    with warehouse.kept(), closing(road):
        sync.prepare(road)
        first = sync_road(road)
        assert first.errors == []
        truth = crm.truth()
        found, due = _documents(company, crm.name), _due(truth)
        assert found == due, {
            key: company.held().get(f"{crm.name}:{key}") for key in due.keys() - found.keys()
        }
        assert {law.name: law.holds for law in first.laws} == {
            "every_kopeck_is_explained": True,
            "debit_equals_credit": True,
        }
        today = datetime.now(UTC).date()
        made = to_be_done(warehouse, crm.name, today)
        said = crm.control("tick", {"days": 12, "deals": 0})
        assert said["accounting"], "nobody has paid in these days"
        sync_road(road)
        truth = crm.truth()
        shown = to_be_shown(warehouse, tmp_path / f"{crm.name}.yaml", today)
        assert _shown(truth) == shown
        assert len({payment for payment, _, _ in shown.values()}) > 2, "paid, overdue and others"
        made |= to_be_done(warehouse, crm.name, today)  # a task stays when its document was paid
        tasks = _tasks(truth)
        # A CRM may refuse a task for somebody who has left: then it is told, and nobody has it.
        assert made - tasks == refused(warehouse, crm.name)
        assert tasks
        assert not tasks - made
        assert len(truth.of("task")) - tasks.total() == about_duplicates(warehouse, crm.name)

        third = sync_road(road)
        assert third.planned.new == 0
        assert third.written_back[0].startswith(f"{crm.name}: 0 planned, 0 written back"), third.written_back
        assert news(road, road.mappings.system(crm.name)) is None, "our own write-back is told as news"
        assert _tasks(crm.truth()) == tasks


def _documents(company: Company, system: str) -> dict[str, tuple[set[str], Decimal]]:
    """By deal the kinds of documents that 1C has, and what its invoice comes to."""
    found: dict[str, tuple[set[str], Decimal]] = {}
    for (deal, kind), rows in company.ours().items():
        assert len(rows) == 1, f"{deal} has {len(rows)} documents {kind}"
        kinds, amount = found.get(deal.removeprefix(f"{system}:"), (set(), Decimal(0)))
        if kind == "invoice":
            amount = Decimal(rows[0]["СуммаДокумента"])
        found[deal.removeprefix(f"{system}:")] = (kinds | {kind}, amount)
    return found


def _due(truth: Truth) -> dict[str, tuple[set[str], Decimal]]:
    """By deal what accounting must hold: of clean deals in a stage that calls for documents."""
    lines: dict[str, list[tuple[str | None, Decimal]]] = {}
    for deal, product, _, amount in sold(truth):
        lines.setdefault(deal, []).append((product, amount))
    due = {}
    for key, body in truth.deals().items():
        stage = truth.of("stage")[body["stage"]]["code"]
        if stage not in INVOICED or not _is_clean(truth, body, lines.get(key, [])):
            continue
        kinds = {"invoice"} | ({"realization"} if stage in REALIZED else set())
        due[key] = (kinds, sum((amount for _, amount in lines[key]), Decimal(0)))
    return due


def _is_clean(truth: Truth, deal: Mapping[str, Any], lines: list[tuple[str | None, Decimal]]) -> bool:
    total = sum((amount for _, amount in lines), Decimal(0))
    if not lines or not deal["client"] or any(product is None for product, _ in lines):
        return False
    if abs(total - Decimal(deal["amount"])) > FEW_KOPECKS:
        return False
    if truth.list_prices and (deal["closed_on"] or deal["created"]) < VAT_RISE:
        # The list has the rate of today, which was not yet in force then: such a deal is held.
        rates = {truth.of("product")[product]["vat_rate"] for product, _ in lines if product}
        if NEW_RATE in rates:
            return False
    payer = truth.of("client")[deal["client"]]
    if truth.of("requisite"):
        if not deal["requisite"]:
            return [r["client"] for r in truth.of("requisite").values()].count(deal["client"]) == 1
        payer = truth.of("requisite")[deal["requisite"]]
    digits = payer["inn"].zfill(12 if len(payer["inn"]) > 10 else 10)
    return bool(payer["country"] != "RU" or (payer["inn"] and inn.is_valid(digits)))


def _shown(truth: Truth) -> dict[str, Shown]:
    """By deal what the CRM shows, of those that show anything."""
    return {
        key: (deal["payment_status"] or "", deal["shipment_status"] or "", Decimal(deal["debt"] or 0))
        for key, deal in truth.of("deal").items()
        if deal["payment_status"] or deal["shipment_status"]
    }


def _tasks(truth: Truth) -> Counter[Task]:
    """Tasks of deals; those about duplicates are of companies."""
    return Counter((task["deal"], task["employee"]) for task in truth.of("task").values() if task["deal"])
