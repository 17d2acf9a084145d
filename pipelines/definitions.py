"""The code location: everything that Dagster shows and runs, assembled in one place."""

from __future__ import annotations

import os
from collections.abc import Mapping

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import dagster as dg

from mappings import Mappings
from pipelines.assets import all_assets
from pipelines.company import company_mappings, mappings_folder
from pipelines.deploy import reads_of
from pipelines.sensors import all_schedules, all_sensors, sync_jobs


@dg.definitions
def sverka() -> dg.Definitions:
    """The road of the company whose mapping files `SVERKA_MAPPINGS` names; assembled once while these and the
    environment stay as they are."""
    mappings = company_mappings()
    around = {name: value for name, value in os.environ.items() if not name.startswith("DAGSTER")}
    if not _ASSEMBLED or _ASSEMBLED[0][:2] != (mappings.fingerprint, around):
        _ASSEMBLED[:] = [(mappings.fingerprint, around, _assemble(mappings))]
    return _ASSEMBLED[0][2]


_ASSEMBLED: list[tuple[str, Mapping[str, str], dg.Definitions]] = []  # the last one, if any


def _assemble(mappings: Mappings) -> dg.Definitions:
    return dg.Definitions(
        assets=all_assets(mappings, reads_of(mappings)),
        jobs=sync_jobs(mappings),
        sensors=list(all_sensors(mappings)),
        schedules=list(all_schedules()),
        executor=dg.in_process_executor,
        metadata={"company": mappings_folder().name, "mappings": mappings.fingerprint},
    )
