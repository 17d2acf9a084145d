"""Dagster's event log on PostgreSQL, told a step at a time instead of an event at a time.

A sync tells of every table it looked at: with nothing to do 365 events in some 1,500 statements, more than
half of its processor time. What a step says at its end is kept here and written together when the next step
begins, when somebody reads, or when the run ends: a few statements a step. A process that is killed loses
no more than the news of the step it was in, which the next run tells again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from dagster import DagsterEventType, EventLogEntry
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.migration import ASSET_KEY_INDEX_COLS
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)
from dagster._serdes import serialize_value
from dagster_postgres import PostgresEventLogStorage
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.functions import coalesce

from pipelines.dagster_storage import Kept

MAX_KEPT: Final = 500  # events kept at most
PLANNED: Final = DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
SHOWN: Final = ("last_materialization", "last_run_id", "last_materialization_timestamp")  # of an asset

# What a step tells on its way and at its end. Everything else (a step begins, fails, a run ends, a line
# somebody logs) is written at once, with what was kept before it.
KEPT: Final = frozenset(
    {
        DagsterEventType.ASSET_CHECK_EVALUATION,
        DagsterEventType.ASSET_MATERIALIZATION,
        DagsterEventType.HANDLED_OUTPUT,
        DagsterEventType.LOADED_INPUT,
        DagsterEventType.STEP_INPUT,
        DagsterEventType.STEP_OUTPUT,
        DagsterEventType.STEP_SUCCESS,
    }
)


class StepwiseEventLog(Kept, PostgresEventLogStorage):
    """Dagster's own storage, except that `store_event` may keep an event until the next one that matters."""

    LAST_TABLE = "event_logs"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._kept: list[EventLogEntry] = []
        self._lock = threading.RLock()
        super().__init__(*arguments, **named)

    def store_event(self, event: EventLogEntry) -> None:
        """Keep or write an event. What was kept is written first, so that their order stays."""
        with self._lock:
            self._kept.append(event)
            if event.dagster_event_type not in KEPT or len(self._kept) >= MAX_KEPT:
                self._write()

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Write events of any kinds together: what a run is to make, for one."""
        with self._lock:
            self._write()
            self._write_together(events)

    def _connect(self) -> AbstractContextManager[Connection]:
        """Whoever reads finds everything that was told before."""
        with self._lock:
            self._write()
        return super()._connect()

    def dispose(self) -> None:
        with self._lock:
            self._write()
        super().dispose()

    def has_table(self, table_name: str) -> bool:
        return self._once(f"table {table_name}", partial(super().has_table, table_name))

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        ask = partial(super()._has_asset_key_col_on_connection, conn, column_name)
        return self._once(f"column {column_name}", ask)

    def has_asset_key_col(self, column_name: str) -> bool:
        return self._once(f"column {column_name}", partial(super().has_asset_key_col, column_name))

    def _write(self) -> None:
        events, self._kept = self._kept, []
        if events:
            self._write_together(events)

    def _write_together(self, events: Sequence[EventLogEntry]) -> None:
        """Write events as Dagster does, except that each table gets all of its rows in one statement."""
        plain = not any(_tells_of_an_asset(event) or _tells_of_a_check(event) for event in events)
        with self._connect() if plain else self.index_transaction() as conn:
            table = SqlEventLogStorageTable
            inserted = conn.execute(
                table.insert().returning(table.c.id, sort_by_parameter_order=True),
                [self._event_to_row(event) for event in events],
            )
            numbered = list(zip(events, (int(row[0]) for row in inserted), strict=True))
            of_assets = [(event, n) for event, n in numbered if _tells_of_an_asset(event)]
            if of_assets:
                self._store_asset_event_tags(conn, [e for e, _ in of_assets], [n for _, n in of_assets])
                self._show_assets(conn, of_assets)
            self._plan_checks(conn, numbered)
        for event, number in numbered:
            if _tells_of_a_check(event) and event.dagster_event_type != PLANNED:
                self.store_asset_check_event(event, number)

    def _show_assets(self, conn: Connection, numbered: Sequence[tuple[EventLogEntry, int]]) -> None:
        """The last news of each asset, in the order of their keys: two who write together must not lock each other."""
        rows: dict[str, dict[str, Any]] = {}
        for event, number in numbered:
            asset = event.get_dagster_event().asset_key
            key = asset.to_string() if asset else ""
            row = rows.setdefault(key, {"asset_key": key, **dict.fromkeys(SHOWN)})
            row |= self._get_asset_entry_values(event, number, self.has_secondary_index(ASSET_KEY_INDEX_COLS))
        insert = postgresql.insert(AssetKeyTable)
        newer = {name: coalesce(insert.excluded[name], AssetKeyTable.c[name]) for name in SHOWN}
        upsert = insert.on_conflict_do_update(index_elements=[AssetKeyTable.c.asset_key], set_=newer)
        # What is to be returned is sent as one statement; without it, as one a row.
        conn.execute(upsert.returning(AssetKeyTable.c.id), [rows[key] for key in sorted(rows)])

    def _plan_checks(self, conn: Connection, numbered: Sequence[tuple[EventLogEntry, int]]) -> None:
        rows = []
        for event, number in numbered:
            planned = event.dagster_event.event_specific_data if event.dagster_event else None
            if not isinstance(planned, AssetCheckEvaluationPlanned):
                continue
            of = planned.partitions_subset.get_partition_keys() if planned.partitions_subset else [None]
            rows += [
                {
                    "asset_key": planned.asset_key.to_string(),
                    "check_name": planned.check_name,
                    "partition": partition,
                    "run_id": event.run_id,
                    "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
                    "evaluation_event": serialize_value(event),
                    "evaluation_event_timestamp": datetime.fromtimestamp(event.timestamp, UTC).replace(
                        tzinfo=None
                    ),
                    "evaluation_event_storage_id": number,
                }
                for partition in of
            ]
        if rows:
            conn.execute(AssetCheckExecutionsTable.insert(), rows)


def _tells_of_an_asset(event: EventLogEntry) -> bool:
    said = event.dagster_event
    return said is not None and said.event_type in ASSET_EVENTS and said.asset_key is not None


def _tells_of_a_check(event: EventLogEntry) -> bool:
    return event.dagster_event_type in ASSET_CHECK_EVENTS
