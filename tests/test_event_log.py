"""Dagster's news of a run, written a step at a time: all of it, in its order, and there for whoever reads."""

# No `from __future__ import annotations` here: Dagster reads the annotations as objects.
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_postgres import PostgresEventLogStorage

from pipelines.event_log import StepwiseEventLog
from pipelines.processes import write_dagster_home
from resources.warehouse import Warehouse

FIRST, SECOND = dg.AssetKey("first"), dg.AssetKey("second")


@dg.multi_asset(
    specs=[dg.AssetSpec(FIRST), dg.AssetSpec(SECOND, deps=[FIRST])],
    check_specs=[dg.AssetCheckSpec("whole", asset=FIRST)],
)
def both(context: dg.AssetExecutionContext) -> Iterator[Any]:
    yield dg.MaterializeResult(asset_key=FIRST, metadata={"rows": 7})
    found = context.instance.get_latest_materialization_event(FIRST)
    assert found is not None
    assert found.run_id == context.run_id, "what was told a moment ago is there"
    yield dg.MaterializeResult(asset_key=SECOND)
    yield dg.AssetCheckResult(check_name="whole", asset_key=FIRST, passed=False)


@dg.asset(deps=[SECOND])
def third() -> None: ...


@dg.asset(deps=[SECOND])
def broken() -> None:
    raise ValueError("no")


@pytest.fixture
def instance(warehouse: Warehouse, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(write_dagster_home(tmp_path, warehouse.dagster_url()))) as found:
        assert isinstance(found.event_log_storage, StepwiseEventLog)
        yield found


def test_a_run_tells_the_same_as_with_dagster_s_own_storage(instance: dg.DagsterInstance) -> None:
    ours = dg.materialize([both, third], instance=instance)
    with dg.DagsterInstance.ephemeral() as plain:
        theirs = dg.materialize([both, third], instance=plain)
        expected = [(e.dagster_event_type, e.step_key) for e in plain.all_logs(theirs.run_id)]
    assert [(e.dagster_event_type, e.step_key) for e in instance.all_logs(ours.run_id)] == expected


def test_assets_and_checks_show_what_the_run_told_of_them(instance: dg.DagsterInstance) -> None:
    run = dg.materialize([both, third], instance=instance)
    latest = instance.get_latest_materialization_event(FIRST)
    assert latest is not None
    assert latest.asset_materialization is not None
    assert latest.asset_materialization.metadata["rows"].value == 7
    record = instance.get_asset_records([SECOND])[0]
    assert record.asset_entry.last_materialization_record is not None
    assert record.asset_entry.last_run_id == run.run_id
    (check,) = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(FIRST, "whole"), limit=5
    )
    assert check.status.value == "FAILED"


def test_what_a_process_knows_of_its_own_tables_is_what_another_finds(
    instance: dg.DagsterInstance, warehouse: Warehouse, tmp_path: Path
) -> None:
    for _ in range(2):  # the second run knows the records of the first, and tells of them anew
        run = dg.materialize([both, third], instance=instance)
        known = instance.get_asset_records([FIRST, SECOND])
        home = write_dagster_home(tmp_path, warehouse.dagster_url())
        with dg.DagsterInstance.from_config(str(home)) as other:
            assert sorted(known, key=str) == sorted(other.get_asset_records([FIRST, SECOND]), key=str)
        assert {record.asset_entry.last_run_id for record in known} == {run.run_id}


def test_a_failed_step_leaves_no_news_untold(instance: dg.DagsterInstance, warehouse: Warehouse) -> None:
    run = dg.materialize([both, broken], instance=instance, raise_on_error=False)
    assert not run.success
    told = warehouse.rows("select dagster_event_type from dagster.event_logs where run_id = %s", [run.run_id])
    assert {"ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION", "STEP_FAILURE", "PIPELINE_FAILURE"} <= {
        kind for (kind,) in told
    }


def test_the_tables_hold_what_dagster_s_own_storage_would_have_written(
    instance: dg.DagsterInstance, warehouse: Warehouse
) -> None:
    run = dg.materialize([both, third, broken], instance=instance, raise_on_error=False)
    again = dg.materialize([both, third], instance=instance)
    warehouse.execute("create schema plain")
    theirs = PostgresEventLogStorage(warehouse.dagster_url().replace("dagster", "plain"))
    for run_id in (run.run_id, again.run_id):
        for event in instance.all_logs(run_id):
            theirs.store_event(event)
    for query in COMPARED:
        ours = warehouse.rows(query.format(schema="dagster"))
        assert ours, query
        assert ours == warehouse.rows(query.format(schema="plain")), query


COMPARED = (
    """
    select run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition
    from {schema}.event_logs where run_id <> '' order by id
    """,
    """
    select asset_key, last_run_id, last_materialization_timestamp, wipe_timestamp,
           last_materialization::jsonb - 'storage_id'
    from {schema}.asset_keys order by asset_key
    """,
    "select asset_key, key, value, event_timestamp from {schema}.asset_event_tags order by 1, 2, 4, 3",
    """
    select asset_key, check_name, run_id, partition, execution_status, evaluation_event,
           evaluation_event_timestamp, materialization_event_storage_id
    from {schema}.asset_check_executions order by asset_key, check_name, id
    """,
)
