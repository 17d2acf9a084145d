"""Dagster's event log on PostgreSQL, told a step at a time instead of an event at a time.

A sync tells of every table it looked at: with nothing to do 365 events in some 1,500 statements, more than
half of its processor time. What a step says at its end is kept here and written together when the next step
begins, when somebody reads, or when the run ends: a few statements a step. A process that is killed loses
no more than the news of the step it was in, which the next run tells again.

Each table and each check that a step tells of asks for the last news of the tables before it, one at a time.
They are asked for together, once; what this process tells of a table that it knows is known without asking.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Final

from dagster import AssetKey, DagsterEventType, EventLogEntry, EventLogRecord
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluation,
    AssetCheckEvaluationPlanned,
)
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecordStatus as CheckStatus,
)
from dagster._core.storage.event_log.base import AssetRecord
from dagster._core.storage.event_log.migration import ASSET_KEY_INDEX_COLS
from dagster_postgres import PostgresEventLogStorage
from dagster_shared.record import copy
from sqlalchemy import Connection, TextClause, text

from pipelines.dagster_storage import Kept

MAX_KEPT: Final = 500  # events kept at most
KNOWN_SECONDS: Final = 5.0  # how long the last news of a table may be another process's last but one

Numbered = tuple[EventLogEntry, int]  # an event and its number in the log
Written = tuple[EventLogEntry, int, str]  # and its text there

# What a step tells on its way and at its end, and before a run begins, what it is to make. Everything else
# (a step begins, fails, a run ends, a line somebody logs) is written at once, with what was kept before it.
KEPT: Final = frozenset(
    {
        DagsterEventType.ASSET_CHECK_EVALUATION,
        DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
        DagsterEventType.ASSET_MATERIALIZATION,
        DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
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
        self._untold: set[AssetKey] = set()  # what the kept events tell of
        self._told: set[AssetKey] = set()  # of what was written since it was asked for
        self._known: dict[AssetKey, AssetRecord | None] = {}
        self._known_since = 0.0
        super().__init__(*arguments, **named)

    def store_event(self, event: EventLogEntry) -> None:
        """Keep or write an event. What was kept is written first, so that their order stays."""
        with self._lock:
            self._kept.append(event)
            if _tells_of_an_asset(event) and (said := event.get_dagster_event().asset_key):
                self._untold.add(said)
            if event.dagster_event_type not in KEPT or len(self._kept) >= MAX_KEPT:
                self._write()

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Write events of any kinds together: what a run is to make, for one."""
        with self._lock:
            self._write()
            if events:
                self._write_together(events)

    def get_asset_records(self, asset_keys: Sequence[AssetKey] | None = None) -> Sequence[AssetRecord]:
        """As Dagster does. In a process that tells of tables, the news of others may be KNOWN_SECONDS old."""
        if not asset_keys or not (self._untold or self._told):
            return super().get_asset_records(asset_keys)
        with self._lock:
            if time.monotonic() - self._known_since > KNOWN_SECONDS:
                self._known, self._known_since = {}, time.monotonic()
            if not self._untold.isdisjoint(asset_keys):
                self._write()
            if any(key not in self._known for key in asset_keys):
                wanted = {key for key in (*asset_keys, *self._told) if key not in self._known}
                found = {
                    record.asset_entry.asset_key: record for record in super().get_asset_records([*wanted])
                }
                self._known |= {key: found.get(key) for key in wanted}
            return [record for key in dict.fromkeys(asset_keys) if (record := self._known[key])]

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
        return self._has(table_name)

    def has_asset_key_col(self, column_name: str) -> bool:
        return self._has("asset_keys", column_name)

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        return self._has("asset_keys", column_name)

    @property
    def has_default_pool_limit_col(self) -> bool:
        return self._has("concurrency_limits", "using_default_limit")

    def _write(self) -> None:
        events, self._kept, self._untold = self._kept, [], set()
        if events:
            self._write_together(events)

    def _write_together(self, events: Sequence[EventLogEntry]) -> None:
        """Write events as Dagster does, except that each table gets all of its rows in one statement."""
        plain = not any(_tells_of_an_asset(event) or _tells_of_a_check(event) for event in events)
        others: list[Numbered] = []
        of_assets: list[Numbered] = []
        with self._connect() if plain else self.index_transaction() as conn:
            rows = [self._event_to_row(event) for event in events]
            inserted = conn.execute(_EVENTS, {name: [row[name] for row in rows] for name in rows[0]})
            if not plain:
                numbered = list(zip(events, sorted(int(row[0]) for row in inserted), strict=True))
                of_assets = [one for one in numbered if _tells_of_an_asset(one[0])]
                self._write_of_assets(conn, of_assets)
                of_checks = [
                    (event, number, str(row["event"]))
                    for (event, number), row in zip(numbered, rows, strict=True)
                    if _tells_of_a_check(event)
                ]
                self._write_planned_checks(conn, of_checks)
                others = self._write_evaluated_checks(conn, of_checks)
        self._know(of_assets)
        for event, number in others:
            self.store_asset_check_event(event, number)

    def _know(self, numbered: Sequence[Numbered]) -> None:
        """What was written of a table is its last news, as a reader would find it; of an unknown one, ask."""
        for event, number in numbered:
            said = event.get_dagster_event()
            if (key := said.asset_key) is None:
                continue
            known = self._known.pop(key, None)
            if known and said.is_step_materialization:
                entry = copy(
                    known.asset_entry,
                    last_materialization_record=EventLogRecord(storage_id=number, event_log_entry=event),
                    last_run_id=event.run_id,
                )
                self._known[key] = copy(known, asset_entry=entry)
            else:
                self._told.add(key)

    def _write_of_assets(self, conn: Connection, numbered: Sequence[Numbered]) -> None:
        """Their tags, and the last news of each."""
        tags: list[tuple[Any, ...]] = []
        shown: dict[str, dict[str, Any]] = {}
        for event, number in numbered:
            asset = event.get_dagster_event().asset_key
            key = asset.to_string() if asset else ""
            tags += [(number, key, *tag, _at(event)) for tag in self._tags_for_asset_event(event).items()]
            row = shown.setdefault(key, dict.fromkeys(_SHOWN))
            row |= self._get_asset_entry_values(event, number, self.has_secondary_index(ASSET_KEY_INDEX_COLS))
        _insert(conn, _TAGS, ("event_id", "asset_key", "key", "value", "at"), tags)
        # In the order of their keys: two who write together must not wait for each other.
        _insert(conn, _ASSETS, ("asset_key", *_SHOWN), [(key, *shown[key].values()) for key in sorted(shown)])

    def _write_planned_checks(self, conn: Connection, numbered: Sequence[Written]) -> None:
        rows = []
        for event, number, written in numbered:
            planned = _data_of(event)
            if isinstance(planned, AssetCheckEvaluationPlanned):
                partitions = planned.partitions_subset
                key = (planned.asset_key.to_string(), planned.check_name, event.run_id)
                rows += [
                    (*key, CheckStatus.PLANNED.value, written, _at(event), number, partition)
                    for partition in (partitions.get_partition_keys() if partitions else [None])
                ]
        _insert(conn, _PLANNED_CHECKS, (*_CHECK, "partition"), rows)

    def _write_evaluated_checks(self, conn: Connection, numbered: Sequence[Written]) -> list[Numbered]:
        """Into the rows of the planned checks. Returns what has none, or is not that simple."""
        rows: dict[tuple[str, str, str], tuple[Any, ...]] = {}
        about: dict[tuple[str, str, str], Numbered] = {}
        others: list[Numbered] = []
        for event, number, written in numbered:
            found = _data_of(event)
            if not isinstance(found, AssetCheckEvaluation):
                continue
            key = (found.asset_key.to_string(), found.check_name, event.run_id)
            if found.partition is not None or not event.run_id or key in rows:
                others.append((event, number))
                continue
            status = CheckStatus.SUCCEEDED if found.passed else CheckStatus.FAILED
            of = found.target_materialization_data
            rows[key] = (*key, status.value, written, _at(event), number, of and of.storage_id)
            about[key] = (event, number)
        done = _insert(conn, _EVALUATED_CHECKS, (*_CHECK, "of"), list(rows.values()))
        return [about[key] for key in about if key not in done] + others


# Each takes its rows as one array a column: one statement, however many rows, and none of it put together anew.
_EVENTS: Final = text(
    """
    insert into event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
    select run_id, event, kind, at, step_key, asset_key, partition
    from unnest(cast(:run_id as text[]), cast(:event as text[]), cast(:dagster_event_type as text[]),
                cast(:timestamp as timestamp[]), cast(:step_key as text[]), cast(:asset_key as text[]),
                cast(:partition as text[]))
         with ordinality as e (run_id, event, kind, at, step_key, asset_key, partition, place)
    order by place returning id
    """
)
_TAGS: Final = text(
    """
    insert into asset_event_tags (event_id, asset_key, key, value, event_timestamp)
    select * from unnest(cast(:event_id as bigint[]), cast(:asset_key as text[]), cast(:key as text[]),
                         cast(:value as text[]), cast(:at as timestamp[]))
    """
)
_SHOWN: Final = ("last_materialization", "last_run_id", "last_materialization_timestamp")
_ASSETS: Final = text(
    """
    insert into asset_keys (asset_key, last_materialization, last_run_id, last_materialization_timestamp)
    select * from unnest(cast(:asset_key as text[]), cast(:last_materialization as text[]),
                         cast(:last_run_id as text[]), cast(:last_materialization_timestamp as timestamptz[]))
    on conflict (asset_key) do update set
        last_materialization = coalesce(excluded.last_materialization, asset_keys.last_materialization),
        last_run_id = coalesce(excluded.last_run_id, asset_keys.last_run_id),
        last_materialization_timestamp =
            coalesce(excluded.last_materialization_timestamp, asset_keys.last_materialization_timestamp)
    """
)
_CHECK: Final = ("asset_key", "check_name", "run_id", "status", "event", "at", "event_id")
_CHECK_ROWS: Final = """
    unnest(cast(:asset_key as text[]), cast(:check_name as text[]), cast(:run_id as text[]),
           cast(:status as text[]), cast(:event as text[]), cast(:at as timestamp[]), cast(:event_id as bigint[]),
"""
_PLANNED_CHECKS: Final = text(
    f"""
    insert into asset_check_executions (asset_key, check_name, run_id, execution_status, evaluation_event,
                                        evaluation_event_timestamp, evaluation_event_storage_id, partition)
    select * from {_CHECK_ROWS} cast(:partition as text[]))
    """
)
_EVALUATED_CHECKS: Final = text(
    f"""
    update asset_check_executions e
    set execution_status = n.status, evaluation_event = n.event, evaluation_event_timestamp = n.at,
        evaluation_event_storage_id = n.event_id, materialization_event_storage_id = n.about
    from {_CHECK_ROWS} cast(:of as bigint[]))
         as n (asset_key, check_name, run_id, status, event, at, event_id, about)
    where e.asset_key = n.asset_key and e.check_name = n.check_name and e.run_id = n.run_id and e.partition is null
    returning e.asset_key, e.check_name, e.run_id
    """
)


def _insert(
    conn: Connection, statement: TextClause, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> set[tuple[Any, ...]]:
    """Give the statement its rows, a tuple each; what it returns."""
    if not rows:
        return set()
    given = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
    result = conn.execute(statement, given)
    return {tuple(row) for row in result} if result.returns_rows else set()


def _tells_of_an_asset(event: EventLogEntry) -> bool:
    said = event.dagster_event
    return said is not None and said.event_type in ASSET_EVENTS and said.asset_key is not None


def _tells_of_a_check(event: EventLogEntry) -> bool:
    return event.dagster_event_type in ASSET_CHECK_EVENTS


def _data_of(event: EventLogEntry) -> Any:
    return event.dagster_event.event_specific_data if event.dagster_event else None


def _at(event: EventLogEntry) -> datetime:
    """UTC without saying so, as these columns have it."""
    return datetime.fromtimestamp(event.timestamp, UTC).replace(tzinfo=None)
