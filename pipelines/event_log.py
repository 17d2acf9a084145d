"""Dagster's event log on PostgreSQL, told a step at a time instead of an event at a time.

A sync tells of every table it looked at: with nothing to do 365 events in some 1,500 statements, more than
half of its processor time. What a step says at its end is kept here and written together when the next step
begins, when somebody reads, or when the run ends: a few statements a step. A process that is killed loses
no more than the news of the step it was in, which the next run tells again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, Self

from dagster import DagsterEventType, EventLogEntry
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster_postgres import PostgresEventLogStorage
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy import Connection

if TYPE_CHECKING:
    from dagster._serdes import ConfigurableClassData

MAX_KEPT: Final = 500  # events kept at most

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


class StepwiseEventLog(PostgresEventLogStorage):
    """Dagster's own storage, except that `store_event` may keep an event until the next one that matters."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._kept: list[EventLogEntry] = []
        self._lock = threading.RLock()
        super().__init__(*arguments, **named)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        return cls(postgres_url=pg_url_from_config(config_value), inst_data=inst_data)

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

    def _write(self) -> None:
        events, self._kept = self._kept, []
        if len(events) == 1:
            super().store_event(events[0])
        elif events:
            self._write_together(events)

    def _write_together(self, events: Sequence[EventLogEntry]) -> None:
        table = SqlEventLogStorageTable
        rows = [self._event_to_row(event) for event in events]
        with self.index_transaction() as conn:
            inserted = conn.execute(table.insert().returning(table.c.id, sort_by_parameter_order=True), rows)
            ids = [int(row[0]) for row in inserted]
            numbered = list(zip(events, ids, strict=True))
            of_assets = [(event, n) for event, n in numbered if _tells_of_an_asset(event)]
            if of_assets:
                self._store_asset_event_tags(conn, [e for e, _ in of_assets], [n for _, n in of_assets])
            for event, number in of_assets:
                self._store_asset_event(conn, event, number)
        for event, number in numbered:
            if event.dagster_event_type in ASSET_CHECK_EVENTS:
                self.store_asset_check_event(event, number)


def _tells_of_an_asset(event: EventLogEntry) -> bool:
    said = event.dagster_event
    return said is not None and said.event_type in ASSET_EVENTS and said.asset_key is not None
