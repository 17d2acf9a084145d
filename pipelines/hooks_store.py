"""Hints on their way into `ops.hook`: a short queue, one connection, and a bound of time on every write.

Whoever waits is answered soon, whatever the database does: what finds the queue full, or cannot be written within
WRITE_SECONDS, is refused, and the vendor sends it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pipelines.hooks_log import Tally
from resources.warehouse import Warehouse

WRITE_SECONDS: Final = 0.8  # for one write, connecting included
CONNECT_SECONDS: Final = 2  # libpq's smallest; WRITE_SECONDS ends it sooner
MOST_WAITING: Final = 256  # webhooks in the queue
AT_ONCE: Final = 64  # of them in one transaction
DEAD_AFTER_MS: Final = 3_000  # a server that acknowledges nothing for so long is away

Connection = psycopg.AsyncConnection[tuple[object, ...]]


class StoreAway(Exception):
    """The hints could not be stored now. What was sent may be sent again."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A row of `ops.hook`: hints of one entity. `digest` tells one that came before."""

    system: str
    entity: str
    ids: Sequence[str]
    digest: str


@dataclass(slots=True)
class _Parcel:
    rows: Sequence[Heard]
    stored: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class HookStore:
    """Writes hints, many webhooks in one transaction when they come fast. `keep` works within `running`."""

    def __init__(self, warehouse: Warehouse, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = warehouse.place
        given = conninfo_to_dict(warehouse.url).get("options") or ""
        milliseconds = int(WRITE_SECONDS * 1000)
        self._conninfo = make_conninfo(
            warehouse.url,
            application_name="sverka hooks",
            connect_timeout=CONNECT_SECONDS,
            tcp_user_timeout=DEAD_AFTER_MS,
            options=f"{given} -c TimeZone=UTC -c statement_timeout={milliseconds}".strip(),
        )
        self._queue: asyncio.Queue[_Parcel] = asyncio.Queue(MOST_WAITING)
        self._conn: Connection | None = None
        self._tally = Tally(clock)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write in the background while the block lasts."""
        self._queue = asyncio.Queue(MOST_WAITING)  # of the loop that runs now
        writer = asyncio.create_task(self._write(), name="hooks")
        try:
            yield
        finally:
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            await self._drop_connection()

    async def keep(self, rows: Sequence[Heard]) -> None:
        """Store these rows; returns when they are committed. Raises StoreAway."""
        if not rows:
            return
        parcel = _Parcel(rows)
        try:
            self._queue.put_nowait(parcel)
        except asyncio.QueueFull:
            self._tally.count("", f"more than {MOST_WAITING} webhooks wait to be stored; one was refused")
            raise StoreAway from None
        await parcel.stored

    async def _write(self) -> None:
        while True:
            parcels = [await self._queue.get()]
            while len(parcels) < AT_ONCE and not self._queue.empty():
                parcels.append(self._queue.get_nowait())
            trouble = await self._try(parcels)
            for parcel in parcels:
                if parcel.stored.done():
                    continue  # nobody waits any more
                if trouble:
                    parcel.stored.set_exception(StoreAway())
                else:
                    parcel.stored.set_result(None)

    async def _try(self, parcels: Sequence[_Parcel]) -> bool:
        """Write them in one transaction; whether it failed."""
        # In one order everywhere, so that two receivers never wait for each other.
        rows = sorted((row for p in parcels for row in p.rows), key=lambda r: (r.system, r.entity, r.digest))
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                if self._conn is None or self._conn.closed:
                    self._conn = await psycopg.AsyncConnection.connect(self._conninfo)
                await _insert(self._conn, rows)
        except (psycopg.Error, OSError, TimeoutError) as error:
            cause = next(iter(str(error).strip().splitlines()), "") or f"no answer in {WRITE_SECONDS:g} s"
            self._tally.count(
                type(error).__name__,
                f"webhooks cannot be stored in PostgreSQL at {self._place} ({cause}); they are answered 503, so that "
                "they are sent again: see that the server runs",
            )
            await self._drop_connection()
            return True
        return False

    async def _drop_connection(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await conn.close()


async def _insert(conn: Connection, rows: Sequence[Heard]) -> None:
    async with conn.transaction(), conn.cursor() as cursor:
        await cursor.executemany(
            """
            insert into ops.hook (system, entity, ids, digest) values (%s, %s, %s, %s)
            on conflict (system, entity, digest) where seen_at is null
            do update set times = ops.hook.times + 1, last_at = excluded.last_at
            """,
            [(row.system, row.entity, list(row.ids), row.digest) for row in rows],
        )
