"""One vendor's stand-in and a road that is connected to it by its ready mapping file."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

import resources.crm
from mappings import load
from pipelines import sync
from pipelines.raw.load import Batch
from pipelines.sync import Road
from resources.warehouse import Warehouse
from tests.crms.truth import Truth
from tests.sandbox_process import Running

MAPPINGS = Path(__file__).parents[2] / "mappings"
ACCOUNTING = {
    "SVERKA_ONEC_URL": "http://127.0.0.1:9/odata/",
    "SVERKA_ONEC_USER": "nobody",
    "SVERKA_ONEC_PASSWORD": "nobody",
    "SVERKA_ONEC_ALLOW_HTTP": "1",
}
"""Accounting is not read in these tests; its mapping file belongs to every set-up."""


def vendors() -> list[str]:
    """Every CRM with a ready mapping file; a new one is tested by having one."""
    return sorted(path.stem for path in (MAPPINGS / "crm").glob("*.yaml"))


def connectors() -> dict[str, ModuleType]:
    """Every connector of a CRM by its name; a new one is found by having `connect`."""
    found = {
        one.name: importlib.import_module(f"resources.crm.{one.name}")
        for one in pkgutil.iter_modules(resources.crm.__path__)
    }
    return {name: module for name, module in found.items() if hasattr(module, "connect")}


@dataclass(frozen=True)
class StandIn:
    """A vendor in a running sandbox."""

    name: str
    address: str
    http: httpx.Client

    def control(self, path: str, said: Any = None, method: str = "") -> Any:
        answer = self.http.request(
            method or ("GET" if said is None else "POST"), f"{self.address}/control/{path}", json=said
        )
        assert answer.is_success, answer.text
        return answer.json()

    def truth(self) -> Truth:
        said = self.control(f"crm/{self.name}")
        return Truth(self.name.partition("-")[0], said["entities"], said["merged"], said["list_prices"])

    def people_work(self, seed: int, count: int, kinds: Sequence[str] | None = None) -> list[dict[str, Any]]:
        said: dict[str, Any] = {"seed": seed, "count": count}
        if kinds is not None:
            said["kinds"] = list(kinds)
        done: list[dict[str, Any]] = self.control(f"crm/{self.name}/change", said)["done"]
        return done

    def environment(self) -> dict[str, str]:
        """The connection as the mapping file's variables: SVERKA_ZOHO_CLIENT_ID and so on."""
        connection: Mapping[str, Any] = self.control(f"crm/{self.name}/connection")
        vendor = self.name.partition("-")[0].upper()
        return {f"SVERKA_{vendor}_{key.upper()}": str(value) for key, value in connection.items()}

    @contextlib.contextmanager
    def faults(self, *rules: Mapping[str, Any]) -> Iterator[None]:
        for rule in rules:
            self.control("faults", {"where": self.name, **rule})
        try:
            yield
        finally:
            self.control("faults", method="DELETE")

    @contextlib.contextmanager
    def road(self, warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Road]:
        """A road of this CRM alone, by its ready mapping file."""
        file = MAPPINGS / "crm" / f"{self.name}.yaml"
        with _prepared(file, self.environment(), warehouse, folder, monkeypatch) as road:
            yield road


@contextlib.contextmanager
def lasting_road(
    name: str, sandbox: Running, warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Road]:
    """A road of one CRM, Bitrix24 too, beside others of the same sandbox: of its tokens those that work more than once."""
    if name == "bitrix24":
        file, given = MAPPINGS / "demo" / "bitrix24.yaml", {"SVERKA_BITRIX24_URL": sandbox.webhook}
    else:
        file = MAPPINGS / "crm" / f"{name}.yaml"
        given = StandIn(name, sandbox.address, sandbox.http).environment()
        given.pop("SVERKA_AMOCRM_REFRESH_TOKEN", None)
    with _prepared(file, given, warehouse, folder, monkeypatch) as road:
        yield road


@contextlib.contextmanager
def _prepared(
    file: Path,
    environment: Mapping[str, str],
    warehouse: Warehouse,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Road]:
    folder.mkdir(exist_ok=True)
    for path in (file, MAPPINGS / "demo" / "onec.yaml"):
        shutil.copy(path, folder)
    for name, value in {**ACCOUNTING, **environment}.items():
        monkeypatch.setenv(name, value)
    road = Road(warehouse, load(folder), "test")
    with warehouse.kept(), contextlib.closing(road):
        sync.prepare(road)
        yield road


def read(road: Road, name: str, *, full: bool = False, sweep: bool = False) -> list[Batch]:
    """Read the CRM and bring core up to date."""
    batches = sync.read(road, road.mappings.system(name), full=full, sweep=sweep)
    sync.refresh_stage(road, "core")
    return batches


def hand_over_tokens(before: Warehouse, after: Warehouse) -> None:
    """Give another warehouse the tokens of the first: a refresh token is good for one use in some CRMs."""
    columns = "system, access_token, refresh_token, expires_at, extra::text, granted_by"
    for row in before.rows(f"select {columns} from ops.token"):
        after.execute(
            "insert into ops.token (system, access_token, refresh_token, expires_at, extra, granted_by)"
            " values (%s, %s, %s, %s, %s::jsonb, %s)",
            list(row),
        )


def errors(batches: Sequence[Batch]) -> list[str]:
    return [batch.error for batch in batches if batch.error]
