"""From the CRM down into Управление торговлей and Управление небольшой фирмой: once, to the kopeck, quiet afterwards.

What the base holds is read over OData by itself, without our connector.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from mappings import load
from pipelines import sync
from pipelines.sync import Road
from resources.warehouse import Warehouse
from tests.owed import each_deal_owes_its_sum_once
from tests.sandbox_process import running
from tests.whole_road import DEMO, Company, addresses, environment, sync_road

DEALS = 60
READY = Path(__file__).parents[2] / "mappings" / "accounting"
SALES = {
    "onec_trade": {"order": "Document_ЗаказКлиента", "realization": "Document_РеализацияТоваровУслуг"},
    "onec_small_firm": {"invoice": "Document_СчетНаОплату", "realization": "Document_РасходнаяНакладная"},
}
FIRST = {name: next(iter(kinds)) for name, kinds in SALES.items()}  # what is due before a shipment
BASES = {"onec_trade": "onec-trade", "onec_small_firm": "onec-smallfirm"}


@pytest.fixture(params=sorted(SALES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def found(warehouse: Warehouse, tmp_path: Path, name: str) -> Iterator[Company]:
    """The demo's CRM and the ready file of the base; in trade, deals owe an order in place of an invoice."""
    folder = tmp_path / "mappings"
    folder.mkdir()
    accounting = (READY / f"{name}.yaml").read_text(encoding="utf-8")
    (folder / f"{name}.yaml").write_text(
        accounting.replace("approval: manual ", "approval: auto "), encoding="utf-8"
    )
    crm = (DEMO / "bitrix24.yaml").read_text(encoding="utf-8")
    (folder / "bitrix24.yaml").write_text(
        crm.replace("documents: [invoice", f"documents: [{FIRST[name]}"), encoding="utf-8"
    )
    with running("--deals", str(DEALS), "--no-limits") as sandbox:
        onec = sandbox.info["onec"]
        onec["odata"] = onec["odata"].replace("/onec/", f"/{BASES[name]}/")
        with environment({**addresses(sandbox, tmp_path), "SVERKA_MAPPINGS": str(folder)}):
            yield Company(sandbox, warehouse, tmp_path)


@pytest.fixture
def road(found: Company, warehouse: Warehouse, tmp_path: Path) -> Iterator[Road]:
    made = Road(warehouse, load(tmp_path / "mappings"), "test")
    sync.prepare(made)
    yield made
    made.close()


def test_deals_become_posted_documents_once_though_answers_are_lost_and_a_second_sync_is_quiet(
    found: Company, road: Road, name: str
) -> None:
    for kind in SALES[name].values():
        rule = {"where": BASES[name], "kind": "drop_after", "match": kind, "times": 1}
        found.sandbox.control("faults", rule)
    first = sync_road(road)
    assert first.errors == []
    assert first.carried.probed > 0
    assert [law.name for law in first.laws if not law.holds] == []
    waiting = "select kind, subject, state, reason from ops.operation where state in ('uncertain', 'rejected', 'sent')"
    assert road.warehouse.rows(waiting) == []

    deals = {str(deal["bitrix24"]): deal for deal in found.sandbox.control("truth")["deals"].values()}
    ours = documents(found, name)
    due = {
        (number, kind.replace("invoice", FIRST[name]))
        for number, deal in deals.items()
        if deal["outcome"] == "load" and "product_alias" not in deal["dirt"]
        for kind in deal["documents"]
    }
    assert due
    assert due <= ours.keys()
    for (number, kind), rows in ours.items():
        assert [Decimal(row["СуммаДокумента"]) for row in rows] == [Decimal(deals[number]["total"])], (
            number,
            kind,
        )
        assert rows[0]["Posted"], (number, kind)

    second = sync_road(road)
    assert (second.planned.quiet, second.carried.written) == (True, 0)
    assert second.written_back == ["bitrix24: 0 planned, 0 written back"]
    assert {key: len(rows) for key, rows in documents(found, name).items()} == dict.fromkeys(ours, 1)

    assert each_deal_owes_its_sum_once(road.warehouse, FIRST[name]) == 0
    found.sandbox.control("tick", {"days": 14, "deals": 0})
    third = sync_road(road)
    assert [law.sentence for law in third.laws if not law.holds] == []
    assert each_deal_owes_its_sum_once(road.warehouse, FIRST[name]) > 0, "nobody has paid in full"


def documents(found: Company, name: str) -> dict[tuple[str, str], list[dict[str, str]]]:
    """Living documents that carry a deal, by the deal's number and kind."""
    ours: dict[tuple[str, str], list[dict[str, str]]] = {}
    for kind, place in SALES[name].items():
        for row in found.odata(place):
            if not row["DeletionMark"] and row["Комментарий"].startswith("crm:bitrix24:"):
                number = row["Комментарий"].removeprefix("crm:bitrix24:")
                ours.setdefault((number, kind), []).append(row)
    return ours
