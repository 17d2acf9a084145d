"""Dagster's own storages on PostgreSQL, with connections that are kept and a schema that is asked for once.

Dagster opens a connection for each statement outside its web server, 5 ms on either side, and asks the
database's catalogue which columns its tables have before it reads a run or an asset: half of what the
database had to do for a sync with nothing to do. The tables are of the version that is installed, so what
was once there is there for as long as the process lives.
"""

from __future__ import annotations

import select
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self
from weakref import WeakValueDictionary

from dagster_postgres import PostgresRunStorage, PostgresScheduleStorage
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError

if TYPE_CHECKING:
    from dagster._serdes import ConfigurableClassData

KEPT_CONNECTIONS: Final = 2  # of a process
MORE_CONNECTIONS: Final = 20  # at most at once beside these; they end when they are given back
STATEMENT_MILLISECONDS: Final = 60_000
OLDEST_SECONDS: Final = 3_600  # of a connection that is given out again

_ENGINES: WeakValueDictionary[tuple[str, int], Engine] = WeakValueDictionary()


def kept_engine(url: str, statement_milliseconds: int = STATEMENT_MILLISECONDS) -> Engine:
    """This process's engine for the URL: its connections are used again, unless the server has ended them."""
    found = _ENGINES.get((url, statement_milliseconds))
    if found is not None:
        return found
    engine = create_engine(
        url, isolation_level="AUTOCOMMIT", pool_size=KEPT_CONNECTIONS, max_overflow=MORE_CONNECTIONS,
        pool_recycle=OLDEST_SECONDS, use_native_hstore=False,
    )  # fmt: skip

    @event.listens_for(engine, "connect")
    def bound(connection: Any, _: Any) -> None:
        with connection, connection.cursor() as cursor:
            cursor.execute(f"set statement_timeout = {int(statement_milliseconds)}")

    @event.listens_for(engine, "checkout")
    def alive(connection: Any, *_: Any) -> None:
        # Whatever an idle server has to say is that the connection ends; the pool then makes another.
        if select.select([connection.fileno()], [], [], 0)[0]:
            raise DisconnectionError("the server has ended this connection")

    return _ENGINES.setdefault((url, statement_milliseconds), engine)


class Kept:
    """For a storage of Dagster's: its engine keeps connections, and what is once there is not asked for again."""

    _engine: Engine
    postgres_url: str
    LAST_TABLE: ClassVar[str]  # where it is, there are all

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._found: set[tuple[str, ...]] = set()
        self._engine = kept_engine(postgres_url)
        try:
            there = self._has(self.LAST_TABLE)
        except SQLAlchemyError:
            there = False  # Dagster's own way tries again, and says what is wrong
        super().__init__(postgres_url, should_autocreate_tables=not there, inst_data=inst_data)  # type: ignore[call-arg]
        self._engine = kept_engine(postgres_url)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        return cls(pg_url_from_config(config_value), inst_data)

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """Only the bound of a statement: connections are kept anyway."""
        self._engine = kept_engine(self.postgres_url, statement_timeout)

    def dispose(self) -> None:
        super().dispose()  # type: ignore[misc]
        self._engine.dispose()

    def _has(self, table: str, *columns: str) -> bool:
        """Whether there is such a table with such columns; asked for until there is."""
        asked = (table, *columns)
        if asked not in self._found:
            with self._engine.connect() as conn:
                if conn.execute(_IS_THERE, {"table": table, "columns": list(columns)}).scalar():
                    self._found.add(asked)
        return asked in self._found


_IS_THERE: Final = text(
    """
    select to_regclass(:table) is not null and not exists (
        select from unnest(cast(:columns as text[])) as wanted (name)
        where not exists (
            select from pg_attribute a
            where a.attrelid = to_regclass(:table) and a.attname = wanted.name and not a.attisdropped))
    """
)


class KeptRunStorage(Kept, PostgresRunStorage):
    """Dagster's own storage of runs, except that it looks at its tables' columns once."""

    LAST_TABLE = "instance_info"

    def has_run_stats_index_cols(self) -> bool:
        return self._has("runs", "start_time", "end_time")

    def has_backfill_id_column(self) -> bool:
        return self._has("runs", "backfill_id")

    def has_bulk_actions_selector_cols(self) -> bool:
        return self._has("bulk_actions", "selector_id")

    def has_bulk_action_job_name_column(self) -> bool:
        return self._has("bulk_actions", "job_name")

    def has_backfill_tags_table(self) -> bool:
        return self._has("backfill_tags")


class KeptScheduleStorage(Kept, PostgresScheduleStorage):
    """Dagster's own storage of schedules and sensors, except that it looks for its tables once."""

    LAST_TABLE = "jobs"

    def has_instigators_table(self) -> bool:
        return self._has("instigators")

    def has_secondary_index_table(self) -> bool:
        return self._has("secondary_indexes")

    def _has_instigators_table(self, conn: Any) -> bool:
        return self._has("instigators")

    def _has_asset_daemon_asset_evaluations_table(self, conn: Any) -> bool:
        return self._has("asset_daemon_asset_evaluations")
