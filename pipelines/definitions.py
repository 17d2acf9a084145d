"""The code location: everything that Dagster shows and runs, assembled in one place."""

from __future__ import annotations

import os

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import dagster as dg

from mappings import load
from pipelines.assets import all_assets
from pipelines.deploy import reads_of
from pipelines.sensors import all_schedules, all_sensors, sync_jobs
from pipelines.sync import mappings_folder


@dg.definitions
def sverka() -> dg.Definitions:
    """The road of the company whose mapping files `SVERKA_MAPPINGS` names."""
    mappings = load(mappings_folder(), connected=False)
    return dg.Definitions(
        assets=all_assets(mappings, reads_of(mappings)),
        jobs=sync_jobs(mappings),
        sensors=list(all_sensors(mappings)),
        schedules=list(all_schedules()),
        executor=dg.in_process_executor,
        metadata={"company": mappings_folder().name, "mappings": mappings.fingerprint},
    )
