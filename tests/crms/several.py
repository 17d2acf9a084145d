"""A company with several CRMs in one set-up: two portals of amoCRM, Bitrix24, and every other CRM with a ready file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from pipelines.definitions import sverka
from resources.warehouse import Warehouse
from tests.crms.stand_in import MAPPINGS, StandIn, vendors
from tests.whole_road import Company, addresses, environment

PORTALS = {"amocrm_north": "amocrm", "amocrm_south": "amocrm-2"}
"""Two systems of one connector, and their stand-ins, which show the same numbers."""


@dataclass(frozen=True)
class Several:
    """The company: its stand-ins by the name of their system, and what carries its deals."""

    company: Company
    stand_ins: Mapping[str, StandIn]

    @property
    def warehouse(self) -> Warehouse:
        return self.company.warehouse

    def sync(self, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
        """The job `sync`, as Dagster runs it."""
        return sverka().resolve_job_def("sync").execute_in_process(instance=instance, raise_on_error=False)


@contextmanager
def several(company: Company, folder: Path) -> Iterator[Several]:
    """Write the mapping files of the company into `folder`, and set the variables that they name."""
    folder.mkdir(parents=True)
    ready = [name for name in vendors() if name not in ("amocrm", "bitrix24")]
    stand_ins = {
        system: StandIn(name, company.sandbox.address, company.sandbox.http)
        for system, name in {**PORTALS, **{name: name for name in ready}}.items()
    }
    variables: dict[str, str | None] = {**addresses(company.sandbox, company.drop)}
    for system, stand_in in stand_ins.items():
        vendor = stand_in.name.partition("-")[0]
        old, new = f"SVERKA_{vendor.upper()}_", f"SVERKA_{system.upper()}_"
        text = (MAPPINGS / "crm" / f"{vendor}.yaml").read_text(encoding="utf-8")
        text = text.replace(f"system: {vendor}\n", f"system: {system}\n").replace(old, new)
        (folder / f"{system}.yaml").write_text(text, encoding="utf-8")
        variables |= {name.replace(old, new): value for name, value in stand_in.environment().items()}
    for name in ("bitrix24", "onec"):
        text = (MAPPINGS / "demo" / f"{name}.yaml").read_text(encoding="utf-8")
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    with environment({**variables, "SVERKA_MAPPINGS": str(folder)}):
        yield Several(company, stand_ins)
