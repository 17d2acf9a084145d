"""The one store: connections to PostgreSQL with our settings, locks and migrations.

Every connection is in UTC, names itself, and ends statements that run past a bound. Errors that a
person can act on (server away, no such database, disk full) come as WarehouseError with the cause and
the remedy; errors of the SQL itself (constraints, types) stay psycopg's own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

Connection = psycopg.Connection[TupleRow]
Query = str | sql.SQL | sql.Composed
Params = Sequence[Any] | Mapping[str, Any] | None

CONNECT_ATTEMPTS: Final = 6
CONNECT_TIMEOUT_SECONDS: Final = 10
FIRST_PAUSE_SECONDS: Final = 0.1  # doubles: about 3 s in all before giving up
STATEMENT_TIMEOUT: Final = timedelta(minutes=30)
MIGRATION_WAIT_SECONDS: Final = 120.0
MAX_IDLE: Final = 4
OLDEST_VERSION: Final = 150000
DAGSTER_SCHEMA: Final = "dagster"
PROJECT: Final = Path(__file__).resolve().parents[1]


class WarehouseError(Exception):
    """The warehouse cannot be used as it is; the message names the cause and the remedy.

    `retriable`: the same call may succeed later without anybody's doing.
    """

    def __init__(self, message: str, *, retriable: bool = False) -> None:
        super().__init__(message)
        self.retriable = retriable


class LockHeld(WarehouseError):
    """Somebody else holds the named lock."""


class Warehouse:
    """A PostgreSQL database by its URL. Threads may share it; it holds connections only within `kept`."""

    def __init__(
        self, url: str, *, application: str = "sverka", statement_timeout: timedelta = STATEMENT_TIMEOUT
    ) -> None:
        """`url` is a libpq URL; SQLAlchemy's driver suffix and `postgres://` are accepted too."""
        self.url = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url.strip())
        self._application = application
        self._statement_timeout = statement_timeout
        self._idle: list[Connection] | None = None  # None: a connection ends with its transaction

    def __repr__(self) -> str:
        return f"Warehouse({self.place})"

    @classmethod
    def from_environment(cls, *, application: str = "sverka") -> Warehouse:
        """The server of `SVERKA_DATABASE_URL`; without it the embedded one of `SVERKA_HOME`, started
        if need be. Raises WarehouseError."""
        if url := os.environ.get("SVERKA_DATABASE_URL", "").strip():
            return cls(url, application=application)
        from resources import postgres

        try:
            return cls(postgres.ensure_server(home_folder()), application=application)
        except postgres.ServerError as error:
            raise WarehouseError(str(error)) from error

    @property
    def place(self) -> str:
        """`host:port/database`, without user and password."""
        try:
            parts = conninfo_to_dict(self.url)
        except psycopg.ProgrammingError:
            return "(the URL cannot be read)"
        return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"

    def connect(self) -> Connection:
        """A new connection: autocommit off, UTC, named, statements bounded. Close it, or use `with`.

        Tries CONNECT_ATTEMPTS times where waiting can help (server starting, too many connections).
        """
        try:
            parts = conninfo_to_dict(self.url)
        except psycopg.ProgrammingError as error:
            raise WarehouseError(
                "SVERKA_DATABASE_URL cannot be read; it looks like postgresql://USER:PASSWORD@HOST:5432/DATABASE"
            ) from error
        milliseconds = int(self._statement_timeout.total_seconds() * 1000)
        ours = f"-c TimeZone=UTC -c statement_timeout={milliseconds}"
        conninfo = make_conninfo(
            self.url,
            application_name=self._application,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            options=f"{parts.get('options') or ''} {ours}".strip(),
        )
        for attempt in range(1, CONNECT_ATTEMPTS + 1):
            try:
                return psycopg.connect(conninfo)
            except psycopg.OperationalError as error:
                explained = self._explain(error, connecting=True)
                if not explained.retriable or attempt == CONNECT_ATTEMPTS:
                    raise explained from error
                time.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
        raise AssertionError("unreachable: the last attempt raises")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection of its own for one transaction: committed at the end, rolled back on an error."""
        with self.explained():
            conn = self._idle_connection() or self.connect()
            with contextlib.ExitStack() as stack:
                stack.enter_context(conn)  # ends it, unless it came so far that another may have it
                yield conn
                conn.commit()
                if self._idle is not None and len(self._idle) < MAX_IDLE:
                    stack.pop_all()
                    self._idle.append(conn)

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Within the block the next transaction gets the connection of one that has ended well: making one
        costs 5 ms on either side, and a sync has some 200 transactions. A block within another changes nothing.
        """
        if self._idle is not None:
            yield
            return
        self._idle = []
        try:
            yield
        finally:
            idle, self._idle = self._idle, None
            for conn in idle:
                conn.close()

    def _idle_connection(self) -> Connection | None:
        while self._idle:
            conn = self._idle.pop()
            # Whatever an idle server has to say is that the connection ends.
            if not conn.closed and not select.select([conn.fileno()], [], [], 0)[0]:
                return conn
            conn.close()
        return None

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Whatever a server does to a connection in the block comes as WarehouseError, with the remedy."""
        try:
            yield
        except psycopg.OperationalError as error:
            raise self._explain(error, connecting=False) from error

    def execute(self, query: Query, params: Params = None) -> int:
        """Run one statement in its own transaction; the number of rows it touched."""
        with self.transaction() as conn:
            return conn.execute(_text(query), params).rowcount

    def rows(self, query: Query, params: Params = None) -> list[tuple[Any, ...]]:
        """All rows as tuples: for small answers."""
        with self.transaction() as conn:
            return conn.execute(_text(query), params).fetchall()

    def scalar(self, query: Query, params: Params = None) -> Any:
        """The first column of the first row, or None where there is no row."""
        with self.transaction() as conn:
            row = conn.execute(_text(query), params).fetchone()
            return None if row is None else row[0]

    @contextlib.contextmanager
    def lock(self, conn: Connection, name: str, *, wait_seconds: float = 0.0) -> Iterator[None]:
        """Hold the advisory lock `name` of this database on `conn`, across its transactions.

        Raises LockHeld, naming the holder, when it is not free within `wait_seconds`. The lock also
        goes when the connection ends, however it ends.
        """
        deadline = time.monotonic() + wait_seconds
        while not self._try_lock(conn, name):
            if time.monotonic() >= deadline:
                raise LockHeld(self._held_by(conn, name), retriable=True)
            time.sleep(0.05)
        try:
            yield
        finally:
            if not conn.closed:
                if conn.info.transaction_status == TransactionStatus.INERROR:
                    conn.rollback()
                _outside(conn, "SELECT pg_advisory_unlock(hashtextextended(%s, 0))", name)

    def migrate(self, script_location: str = "pipelines:migrations") -> bool:
        """Bring the schema to the newest migration; False when it was there already (one query).

        `script_location` is Alembic's `package:folder`. Two processes at once are safe: the second
        waits for the first. Raises WarehouseError for a server older than PostgreSQL 15, or a
        database that a newer Sverka has migrated.
        """
        folder = _folder(script_location)
        newest = newest_revision(folder)
        with self.explained(), self.connect() as conn:
            if _revision(conn) == newest:
                return False
            if (version := conn.info.server_version) < OLDEST_VERSION:
                raise WarehouseError(
                    f"{self.place} runs PostgreSQL {version // 10000}; "
                    "15 or newer is needed: upgrade the server"
                )
            conn.commit()
            with self.lock(conn, "sverka migrations", wait_seconds=MIGRATION_WAIT_SECONDS):
                current = _revision(conn)
                conn.commit()
                if current == newest:
                    return False
                if current is not None and current > newest:
                    raise WarehouseError(
                        f"{self.place} was migrated to {current} by a newer version, "
                        f"this one knows {newest}: install the newer version"
                    )
                self._upgrade(folder)
        return True

    def dagster_url(self) -> str:
        """The URL for Dagster's own storage: the same database, schema `dagster`. Its commits do not wait for
        the disk: a crash may cost the last events of a run, never the road's own rows."""
        joint = "&" if "?" in self.url else "?"
        return f"{self.url}{joint}options=-csearch_path%3D{DAGSTER_SCHEMA}%20-csynchronous_commit%3Doff"

    def _upgrade(self, folder: Path) -> None:
        from alembic import command
        from alembic.config import Config
        from sqlalchemy import NullPool, create_engine

        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        engine = create_engine("postgresql+psycopg://", creator=self.connect, poolclass=NullPool)
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def _try_lock(self, conn: Connection, name: str) -> bool:
        return bool(_outside(conn, "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", name))

    def _held_by(self, conn: Connection, name: str) -> str:
        holder = _outside(
            conn,
            """
            SELECT format('%%s, process %%s of the database server, connected since %%s',
                          coalesce(nullif(a.application_name, ''), 'unnamed'), a.pid,
                          to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'))
            FROM pg_locks AS l
            JOIN pg_stat_activity AS a USING (pid)
            CROSS JOIN (SELECT hashtextextended(%s, 0) AS key) AS k
            WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND (l.classid::bigint << 32 | l.objid::bigint) = k.key
            """,
            name,
        )
        return (
            f"the lock '{name}' in {self.place} is held by {holder or 'a connection that just ended'}; "
            "wait until that run ends, or end it, and try again"
        )

    def _explain(self, error: psycopg.OperationalError, *, connecting: bool) -> WarehouseError:
        said = " ".join(str(error).split()) or type(error).__name__
        otherwise = (
            "check that the server runs and SVERKA_DATABASE_URL names it"
            if connecting
            else "the connection was lost; what was not committed is undone: run it again"
        )
        retriable, remedy = next(
            ((retriable, remedy) for matches, retriable, remedy in _REMEDIES if matches(error, said)),
            (True, otherwise),
        )
        return WarehouseError(f"PostgreSQL at {self.place}: {said}; {remedy}", retriable=retriable)


def home_folder() -> Path:
    """Where everything local of a company lives: `SVERKA_HOME`, else `.sverka/<name of its mapping folder>`.

    A folder a company: the demo's records and operations never mix with anybody's own. The default lies in
    the project's folder, whatever folder a command is called from.
    """
    if given := os.environ.get("SVERKA_HOME"):
        try:
            return Path(given).expanduser().resolve()
        except RuntimeError as error:  # a link to itself, a user whom nobody knows
            raise WarehouseError(
                f"SVERKA_HOME is no folder ({error}); set it to one that is there, or can be made"
            ) from error
    company = Path(os.environ.get("SVERKA_MAPPINGS") or "demo").absolute().name
    return PROJECT / ".sverka" / company


def newest_revision(folder: Path) -> str:
    """The newest migration by file name: `0007_anything.py` is revision 0007, and they form one line."""
    found = [path.name[:4] for path in (folder / "versions").glob("[0-9][0-9][0-9][0-9]_*.py")]
    if not found:
        raise WarehouseError(f"no migrations in {folder}: the installation is incomplete, install again")
    return max(found)


_Match = Callable[[psycopg.OperationalError, str], bool]


def _is(*kinds: type[psycopg.Error]) -> _Match:
    return lambda error, _: isinstance(error, kinds)


def _says(pattern: str) -> _Match:
    return lambda _, said: re.search(pattern, said) is not None


# (what went wrong, can waiting help, what to do). libpq gives no code for a failed connection, so
# these few are known by the server's words.
_REMEDIES: Final[list[tuple[_Match, bool, str]]] = [
    (_is(errors.DiskFull), False, "free disk space for the database server, then run it again"),
    (
        _is(errors.QueryCanceled),
        False,
        "the statement ran past its bound or was cancelled; look for locks in pg_stat_activity, run it again",
    ),
    (_is(errors.LockNotAvailable), True, "another transaction holds what this one needs; run it again"),
    (_is(errors.DeadlockDetected, errors.SerializationFailure), True, "run it again"),
    (
        _is(errors.OutOfMemory),
        False,
        "the server is out of memory; lower work_mem or give it more, then run it again",
    ),
    (
        _says(r'database "[^"]*" does not exist'),
        False,
        "create it with CREATE DATABASE, or correct SVERKA_DATABASE_URL",
    ),
    (
        _says(
            r'password authentication failed|role "[^"]*" does not exist|no pg_hba\.conf entry|no password'
        ),
        False,
        "correct user and password in SVERKA_DATABASE_URL",
    ),
    (
        _says(r"could not translate host name|Name or service not known|failed to resolve host"),
        False,
        "correct the host in SVERKA_DATABASE_URL",
    ),
    (
        _says(r"too many clients|remaining connection slots"),
        True,
        "close connections or raise max_connections",
    ),
]


def trusted(statement: str) -> sql.SQL:
    """A statement made of our own files (table files, compiled mappings), never of data."""
    return sql.SQL(statement)


def _text(query: Query) -> bytes | sql.SQL | sql.Composed:
    return query.encode() if isinstance(query, str) else query


def _outside(conn: Connection, query: str, name: str) -> Any:
    """Run a query that belongs to no transaction, leaving the connection as idle as it was."""
    idle = conn.info.transaction_status == TransactionStatus.IDLE
    row = conn.execute(_text(query), (name,)).fetchone()
    if idle and not conn.autocommit:
        conn.commit()
    return None if row is None else row[0]


def _folder(script_location: str) -> Path:
    package, _, folder = script_location.partition(":")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise WarehouseError(f"the package {package} is not installed; install the project again")
    return Path(spec.submodule_search_locations[0]) / folder


def _revision(conn: Connection) -> str | None:
    found = conn.execute("SELECT to_regclass('ops.alembic_version')").fetchone()
    if found is None or found[0] is None:
        return None
    row = conn.execute("SELECT version_num FROM ops.alembic_version").fetchone()
    return None if row is None else str(row[0])
