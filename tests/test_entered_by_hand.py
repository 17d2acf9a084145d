"""A counterparty that somebody enters in accounting between our plan and our write stands there once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from mappings import load
from pipelines import sync
from pipelines.operations.carried import Carried
from pipelines.operations.phrases import in_russian
from pipelines.sync import Road
from resources.accounting.onec.connector import OneC
from resources.accounting.quickbooks.connector import QuickBooks
from resources.accounting.sap import Sap, paths
from resources.accounting.sap.entities import PARTNERS
from resources.connector import SearchesBeforeCreate, Target
from resources.warehouse import Warehouse
from tests.sandbox_process import Running, running
from tests.whole_road import COUNTERPARTIES, DEMO, addresses, sync_road

READY = Path(__file__).parents[1] / "mappings" / "accounting"
NAME = "Заведён бухгалтером"

_PLANNED = """
    select key, subject, body from ops.operation
    where kind = 'counterparty' and action = 'create' and state in ('planned', 'approved')
      and {number} order by key limit 1
"""
NUMBER = {"onec": "ИНН", "sap": "to_BusinessPartnerTax[BPTaxType=RU1].BPTaxNumber", "quickbooks": "ResaleNum"}


@pytest.fixture
def sandbox(warehouse: Warehouse) -> Iterator[Running]:
    with running("--deals", "40", "--no-limits") as found:
        yield found


@pytest.fixture(params=["onec", "sap", "quickbooks"])
def road(
    request: pytest.FixtureRequest,
    sandbox: Running,
    warehouse: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Road]:
    name, folder = request.param, tmp_path / "mappings"
    folder.mkdir()
    accounting = ((DEMO if name == "onec" else READY) / f"{name}.yaml").read_text(encoding="utf-8")
    (folder / f"{name}.yaml").write_text(
        accounting.replace("approval: manual ", "approval: auto "), encoding="utf-8"
    )
    crm = (DEMO / "bitrix24.yaml").read_text(encoding="utf-8")
    if name == "sap":  # takes orders alone
        crm = crm.replace("documents: [invoice", "documents: [order")
    (folder / "bitrix24.yaml").write_text(crm, encoding="utf-8")
    given = addresses(sandbox, tmp_path)
    if name != "onec":
        said = sandbox.control(f"accounting/{name}/connection")
        given |= {f"SVERKA_{name}_{key}".upper(): str(value) for key, value in said.items()}
    if name == "quickbooks":
        given |= {"SVERKA_QUICKBOOKS_RATE_PER_SECOND": "1000", "SVERKA_QUICKBOOKS_BURST": "1100"}
    for key, value in given.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("SVERKA_MAPPINGS", str(folder))
    made = Road(warehouse, load(folder), "test")
    sync.prepare(made)
    yield made
    made.close()


def test_a_counterparty_entered_by_hand_between_plan_and_carry_is_not_doubled(
    road: Road, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = NUMBER[road.accounting.name]
    met: dict[str, Any] = {}
    carry = sync.carry_operations

    def carried(road: Road, **how: Any) -> Any:
        if not met:
            ((key, subject, body),) = warehouse.rows(
                _PLANNED.format(number=f"coalesce(body ->> '{number}', '') <> ''")
            )
            met.update(key=key, subject=subject, number=body[number])
            enter(road.target(road.accounting), body)
        return carry(road, **how)

    monkeypatch.setattr(sync, "carry_operations", carried)
    first = sync_road(road)
    assert first.errors == []
    state, reason, attempts = states(warehouse, met["key"])
    assert (state, attempts) == ("held", 0)
    assert reason.startswith(
        f"accounting has this counterparty by now, entered by hand: '{NAME}', tax number {met['number']}"
    )
    assert in_russian(reason).startswith("эту запись (контрагент) уже завели в учёте вручную: «Заведён")
    assert first.carried.held == 1
    assert first.carried.verified["counterparty create"] > 0, "only the one is held"

    second = sync_road(road)
    assert states(warehouse, met["key"])[0] == "superseded"
    ((origin, taken),) = warehouse.rows(
        "select origin, counterparty_key from documents.counterparty where counterparty_id = %s",
        [met["subject"]],
    )
    assert origin == "found"
    assert taken != f"{road.accounting.name}:{met['key']}"
    assert second.carried.written > 0, "what waited for it has gone"
    named = warehouse.rows(
        "select count(*) from ledger.document where counterparty_key = %s and not is_deleted", [taken]
    )
    assert named[0][0] > 0
    assert bearing(road, warehouse, met["number"]) == [NAME]
    third = sync_road(road)
    assert (third.planned.quiet, third.carried.written) == (True, 0)


@pytest.mark.parametrize("road", ["onec"], indirect=True)
def test_a_create_that_still_waits_goes_once_accounting_has_the_counterparty(
    road: Road, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as waiting:
        waiting.setattr(sync, "carry_operations", lambda road, **how: Carried())
        sync_road(road)
    ((key, _, body),) = warehouse.rows(_PLANNED.format(number="coalesce(body ->> 'ИНН', '') <> ''"))
    assert states(warehouse, key)[0] == "approved"
    enter(road.target(road.accounting), body)
    second = sync_road(road)
    assert states(warehouse, key)[0] == "superseded"
    assert second.carried.held == 0
    assert bearing(road, warehouse, body["ИНН"]) == [NAME]


def states(warehouse: Warehouse, key: str) -> tuple[str, str, int]:
    ((state, reason, attempts),) = warehouse.rows(
        "select state, reason, attempts from ops.operation where kind = 'counterparty' and key = %s", [key]
    )
    return state, reason, attempts


def bearing(road: Road, warehouse: Warehouse, number: str) -> list[str]:
    """Names of the living counterparties that have this number, as the last sync read them."""
    sync.read(road, road.accounting, ["counterparty"])
    sync.refresh_stage(road, "core")
    rows = warehouse.rows(
        "select name from core.accounting_counterparty where tax_number = %s and not is_deleted", [number]
    )
    return [name for (name,) in rows]


def enter(target: Target, body: Mapping[str, Any]) -> None:
    """What an accountant does: the same company, by another name, under no key of ours."""
    assert isinstance(target, SearchesBeforeCreate)
    match target:
        case OneC():
            made = httpx.post(
                f"{os.environ['SVERKA_ONEC_URL']}{COUNTERPARTIES}",
                json={
                    "Description": NAME,
                    "НаименованиеПолное": NAME,
                    "ИНН": body["ИНН"],
                    "КПП": body["КПП"],
                },
                auth=(os.environ["SVERKA_ONEC_USER"], os.environ["SVERKA_ONEC_PASSWORD"]),
            )
            made.raise_for_status()
        case Sap():
            sent = paths.nested({**body, "OrganizationBPName1": NAME, "OrganizationBPName2": ""})
            target.session.write("POST", PARTNERS, "A_BusinessPartner", "by hand", sent)
        case QuickBooks():
            sent = {"DisplayName": NAME, "CompanyName": NAME, "ResaleNum": body["ResaleNum"]}
            target.company.write("customer", {}, sent, "by hand")
