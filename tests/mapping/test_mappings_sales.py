"""What the ready mapping files read for the marts of sales, and what they may say of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mappings import load
from mappings.sales import Sales
from resources.warehouse import Warehouse
from tests.mapping.mapping_road import ACCOUNTING, MAPPINGS, crm, open_road, write_folder

LOST: dict[str, dict[str, Any]] = {
    "amocrm": {
        "id": 1,
        "pipeline_id": 7,
        "status_id": 143,
        "loss_reason_id": 3,
        "_embedded": {"loss_reason": [{"id": 3, "name": "Цена"}]},
    },
    "zoho": {"id": "1", "Stage": "Closed Lost", "Currency": "USD", "Reason_For_Loss__s": "Price"},
    "dynamics": {"opportunityid": "1", "stageid": "s", "statecode": 2, "statuscode": 5},
}
SAID = {"amocrm": "Цена", "zoho": "Price", "dynamics": "Out-Sold"}


@pytest.mark.parametrize("name", SAID)
def test_why_a_deal_was_lost_is_read_where_the_crm_says_it(
    warehouse: Warehouse, tmp_path: Path, name: str
) -> None:
    for file in ("demo/onec.yaml", f"crm/{name}.yaml"):
        shutil.copy(MAPPINGS / file, tmp_path)
    road = open_road(warehouse, load(tmp_path, {}, connected=False).system(name), "core.deal")
    try:
        road.put("deal", "1", LOST[name])
        road.refresh("core.deal")
        assert road.row("core.deal")["loss_reason"] == SAID[name]
        without = {
            **LOST[name],
            "_embedded": {"loss_reason": []},
            "Reason_For_Loss__s": None,
            "statecode": 0,
            "statuscode": 1,
        }
        road.put("deal", "1", without)
        road.refresh("core.deal")
        row = road.row("core.deal")
        assert row["loss_reason"] is None
        assert not [problem for problem in row["problems"] if "loss" in problem]
    finally:
        road.conn.close()


def test_thresholds_of_sales_are_settings_of_accounting(tmp_path: Path) -> None:
    said = ACCOUNTING + "sales:\n  stuck: {share: 0.8, forgotten_days: 10}\n"
    (found,) = load(write_folder(tmp_path, books=said), {}, connected=False).systems
    assert found.file.sales.settings() == {
        "sales_stuck": {"share": "0.8", "forgotten_days": 10},
    }
    assert json.dumps(Sales().settings()) == "{}"


def test_a_crm_says_nothing_of_the_marts_of_sales(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="sales"):
        crm(tmp_path, "sales: {stuck: {deals: 3}}\n")


def test_a_rating_of_nothing_is_refused(tmp_path: Path) -> None:
    weights = ", ".join(
        f"{name}: 0" for name in ("revenue", "paid", "margin", "won", "conversion", "cycle", "overdue")
    )
    with pytest.raises(Exception, match="nothing is rated"):
        load(
            write_folder(tmp_path, books=f"{ACCOUNTING}sales: {{rating: {{{weights}}}}}\n"),
            {},
            connected=False,
        )
