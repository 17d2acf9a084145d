"""A base whose configuration changed under the road: what its metadata says, met over HTTP."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mappings import System, load
from pipelines import shapes
from resources.accounting.onec.connector import OneC, connect
from resources.connector import Finding

ROOT = Path(__file__).parents[2]
SET = ("ONEC_URL", "ONEC_USER", "ONEC_PASSWORD", "BITRIX24_URL", "DROP_FOLDER")
ENVIRON = dict.fromkeys((f"SVERKA_{name}" for name in SET), "https://base/")
BASES = {"onec": "onec", "onec_trade": "onec-trade", "onec_small_firm": "onec-smallfirm"}
SALE = "Document_РеализацияТоваровУслуг"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--deals", "20"]
    command += ["--state", str(tmp_path_factory.mktemp("town"))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said.startswith("sandbox ready "), said
            yield said.split()[-1]
        finally:
            process.terminate()


def mapped(name: str, folder: Path) -> System:
    owed = "order" if name == "onec_trade" else "invoice"  # trade enters invoices on the basis of orders
    for other in ("bitrix24", "branch"):
        crm = (ROOT / "mappings" / "demo" / f"{other}.yaml").read_text(encoding="utf-8")
        crm = crm.replace("documents: [invoice", f"documents: [{owed}")
        (folder / f"{other}.yaml").write_text(crm, encoding="utf-8")
    shutil.copy(ROOT / "mappings" / "accounting" / f"{name}.yaml", folder)
    return load(folder, ENVIRON).accounting()


def opened(town: str, system: System) -> OneC:
    given = httpx.get(f"{town}/control/onec").json()[BASES[system.name]]
    onec = connect(
        system.name,
        {
            "url": given["odata"],
            "user": given["user"],
            "password": given["password"],
            "timezone": "Europe/Moscow",
            "profile": system.connection["profile"],
        },
    )
    onec.fields_read, onec.fields_written = system.fields_read(), shapes.fields_written(system)
    return onec


def wrong(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.subject, finding.message) for finding in findings if not finding.ok]


@pytest.mark.parametrize("name", BASES)
def test_a_base_of_each_configuration_has_all_that_its_ready_file_names(
    town: str, name: str, tmp_path: Path
) -> None:
    assert wrong(opened(town, mapped(name, tmp_path)).check()) == []


def test_a_field_that_a_release_drops_is_missed_by_name_in_shape_and_check(town: str, tmp_path: Path) -> None:
    onec = opened(town, mapped("onec", tmp_path))
    before: dict[str, Any] = dict(onec.shape()["realization"])
    assert before[""] == SALE
    assert {"Комментарий", "Товары", "Товары/СтавкаНДС"} <= set(before)
    control = {"where": "onec", "drop": [SALE, "Комментарий"]}
    httpx.post(f"{town}/control/onec", json=control).raise_for_status()
    try:
        assert set(before) - set(onec.shape()["realization"]) == {"Комментарий"}
        [(subject, message)] = wrong(onec.check())
        assert subject == "realization fields"
        assert f"{SALE} has no Комментарий" in message
    finally:
        httpx.delete(f"{town}/control/onec").raise_for_status()
    assert dict(onec.shape()["realization"]) == before
