"""Dagster's storages with connections that are kept: the same answers, few connections, none that is dead."""

# No `from __future__ import annotations` here: Dagster reads the annotations as objects.
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.controller import create_daemon_of_type
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon

from pipelines.dagster_storage import KeptRunStorage, KeptScheduleStorage
from pipelines.launcher import LOOK_SECONDS
from pipelines.processes import SYNC_TAG, write_dagster_home
from resources.warehouse import Warehouse

OF_DAGSTER = (
    "datname = current_database() and query ilike '%%' and application_name = '' and pid <> pg_backend_pid()"
)


@dg.asset
def one() -> None: ...


@dg.asset(deps=[one])
def two() -> None: ...


@pytest.fixture
def instance(warehouse: Warehouse, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(write_dagster_home(tmp_path, warehouse.dagster_url()))) as found:
        assert isinstance(found.run_storage, KeptRunStorage)
        assert isinstance(found.schedule_storage, KeptScheduleStorage)
        yield found


def _sessions(warehouse: Warehouse) -> int:
    """Connections that this database has had so far."""
    warehouse.execute("select pg_stat_force_next_flush()")
    return int(
        warehouse.scalar("select sessions from pg_stat_database where datname = current_database()") or 0
    )


def test_a_run_opens_a_handful_of_connections_and_not_one_a_statement(
    instance: dg.DagsterInstance, warehouse: Warehouse
) -> None:
    before = _sessions(warehouse)
    assert dg.materialize([one, two], instance=instance).success
    assert _sessions(warehouse) - before < 10


def test_a_connection_that_the_server_ended_is_not_given_out_again(
    instance: dg.DagsterInstance, warehouse: Warehouse
) -> None:
    instance.get_runs(limit=1)
    ended = warehouse.scalar(
        f"select count(pg_terminate_backend(pid, 10_000)) from pg_stat_activity where {OF_DAGSTER}"
    )
    assert ended
    assert instance.get_runs(limit=1) == []
    assert instance.all_asset_keys() == []
    assert instance.all_instigator_state() == []


def test_the_daemon_looks_into_the_queue_twice_a_second_and_lets_one_sync_run(
    instance: dg.DagsterInstance,
) -> None:
    daemon = create_daemon_of_type(QueuedRunCoordinatorDaemon.daemon_type(), instance)
    assert isinstance(daemon, QueuedRunCoordinatorDaemon)
    assert daemon.interval_seconds == LOOK_SECONDS == 0.5
    limits = instance.get_concurrency_config().run_queue_config
    assert limits is not None
    assert limits.tag_concurrency_limits == [{"key": SYNC_TAG, "limit": 1}]


def test_the_same_is_told_of_tables_as_by_dagster_s_own_storage(instance: dg.DagsterInstance) -> None:
    assert instance.run_storage.has_run_stats_index_cols()  # type: ignore[attr-defined]
    assert instance.run_storage.has_backfill_tags_table()  # type: ignore[attr-defined]
    assert instance.event_log_storage.has_table("asset_keys")  # type: ignore[attr-defined]
    assert instance.event_log_storage.has_asset_key_col("cached_status_data")  # type: ignore[attr-defined]
    for _ in range(2):
        assert not instance.event_log_storage.has_table("no_such_table")  # type: ignore[attr-defined]
        assert not instance.event_log_storage.has_asset_key_col("no_such_column")  # type: ignore[attr-defined]


def test_what_was_not_there_is_asked_for_again(instance: dg.DagsterInstance, warehouse: Warehouse) -> None:
    log = instance.event_log_storage
    assert not log.has_table("late")  # type: ignore[attr-defined]
    warehouse.execute("create table dagster.late ()")
    assert log.has_table("late")  # type: ignore[attr-defined]
