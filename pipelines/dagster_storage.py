"""Dagster's own storages on PostgreSQL, with connections that are kept and a schema that is asked for once.

Dagster opens a connection for each statement outside its web server, 5 ms on either side, and asks the
database's catalogue which columns its tables have before it reads a run or an asset: half of what the
database had to do for a sync with nothing to do. The tables are of the version that is installed, so what
was once there is there for as long as the process lives.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from dagster_postgres import PostgresRunStorage, PostgresScheduleStorage
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError

if TYPE_CHECKING:
    from dagster._serdes import ConfigurableClassData

KEPT_CONNECTIONS: Final = 2  # of each of the three storages of a process
MORE_CONNECTIONS: Final = 20  # at most at once beside these; they end when they are given back
STATEMENT_MILLISECONDS: Final = 60_000
OLDEST_SECONDS: Final = 3_600  # of a connection that is given out again


def kept_engine(url: str, statement_milliseconds: int = STATEMENT_MILLISECONDS) -> Engine:
    """An engine whose connections are used again, unless the server has ended them meanwhile."""
    engine = create_engine(
        url, isolation_level="AUTOCOMMIT", pool_size=KEPT_CONNECTIONS, max_overflow=MORE_CONNECTIONS,
        pool_recycle=OLDEST_SECONDS,
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

    return engine


class Kept:
    """For a storage of Dagster's: its engine keeps connections, and what is once there is not asked for again."""

    _engine: Engine
    postgres_url: str
    LAST_TABLE: ClassVar[str]  # where it is, there are all

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._found: set[str] = set()
        engine = kept_engine(postgres_url)
        try:
            with engine.connect() as conn:
                there = conn.execute(text("select to_regclass(:name)"), {"name": self.LAST_TABLE}).scalar()
        except SQLAlchemyError:
            there = None  # Dagster's own way tries again, and says what is wrong
        super().__init__(postgres_url, should_autocreate_tables=there is None, inst_data=inst_data)  # type: ignore[call-arg]
        self._engine = engine

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        return cls(pg_url_from_config(config_value), inst_data)

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """Only the bound of a statement: connections are kept anyway."""
        self._engine.dispose()
        self._engine = kept_engine(self.postgres_url, statement_timeout)

    def dispose(self) -> None:
        super().dispose()  # type: ignore[misc]
        self._engine.dispose()

    def _once(self, what: str, ask: Callable[[], bool]) -> bool:
        """Whether `what` is there; asked for until it is."""
        if what not in self._found and ask():
            self._found.add(what)
        return what in self._found


class KeptRunStorage(Kept, PostgresRunStorage):
    """Dagster's own storage of runs, except that it looks at its tables' columns once."""

    LAST_TABLE = "instance_info"

    def has_run_stats_index_cols(self) -> bool:
        return self._once("run stats", super().has_run_stats_index_cols)

    def has_backfill_id_column(self) -> bool:
        return self._once("backfill id", super().has_backfill_id_column)

    def has_bulk_actions_selector_cols(self) -> bool:
        return self._once("bulk actions selector", super().has_bulk_actions_selector_cols)

    def has_bulk_action_job_name_column(self) -> bool:
        return self._once("bulk action job name", super().has_bulk_action_job_name_column)

    def has_backfill_tags_table(self) -> bool:
        return self._once("backfill tags", super().has_backfill_tags_table)


class KeptScheduleStorage(Kept, PostgresScheduleStorage):
    """Dagster's own storage of schedules and sensors, except that it looks for its tables once."""

    LAST_TABLE = "jobs"

    def has_instigators_table(self) -> bool:
        return self._once("instigators", super().has_instigators_table)

    def has_secondary_index_table(self) -> bool:
        return self._once("secondary index", super().has_secondary_index_table)

    def _has_instigators_table(self, conn: Any) -> bool:
        return self._once("instigators", partial(super()._has_instigators_table, conn))

    def _has_asset_daemon_asset_evaluations_table(self, conn: Any) -> bool:
        return self._once("evaluations", partial(super()._has_asset_daemon_asset_evaluations_table, conn))
