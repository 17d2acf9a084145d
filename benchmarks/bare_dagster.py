"""Dagster with nothing of ours: three assets that do nothing, one after the other, in one process.

What `benchmarks/runs.py` is held against: the same machine in the same minutes, Dagster's own launcher and storages on
PostgreSQL, and no queue, which Dagster looks into every five seconds.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import yaml


@dg.asset
def first() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows": 0})


@dg.asset(deps=[first])
def second() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows": 0})


@dg.asset(deps=[second])
def third() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows": 0})


defs = dg.Definitions(
    assets=[first, second, third],
    jobs=[dg.define_asset_job("sync", executor_def=dg.in_process_executor)],
)


def write_home(folder: Path, database_url: str) -> Path:
    """A DAGSTER_HOME as dagster-postgres documents it; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    storage = {"postgres": {"postgres_url": database_url}}
    coordinator = {"module": "dagster.core.run_coordinator", "class": "DefaultRunCoordinator"}
    settings = {
        "storage": storage,
        "run_coordinator": coordinator,
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
    }
    (folder / "dagster.yaml").write_text(yaml.safe_dump(settings))
    return folder
