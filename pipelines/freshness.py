"""How fresh each source is: until when it was read, how far that lies back, and what is wrong; asked of the database alone.

A source is *unread* while the last reading of any of its entities failed, or the last look at it was refused for
good. It is *behind* when it was not read for longer than it may be: the interval at which its sensor looks, and
`behind_after` of its connection beyond it. A look that found nothing new counts as a reading: what was changed
before it is in `raw`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from mappings import MappingError, Mappings, System
from pipelines import sync
from pipelines.raw.load import Batch
from pipelines.raw.memory import AHEAD, READ_BY_NOW
from pipelines.raw.receive import keepable
from pipelines.sync import Road
from resources.connection import DAY, environment_seconds, number
from resources.connector import SourceError
from resources.language import Language
from resources.warehouse import Connection, Warehouse, trusted

EVERY_SECONDS: Final = 300  # SVERKA_SENSOR_SECONDS, or `every_seconds` in a system's connection
BEHIND_SECONDS: Final = 3600  # SVERKA_BEHIND_SECONDS, or `behind_after` in a system's connection

State = Literal["fresh", "behind", "unread"]


@dataclass(frozen=True, slots=True)
class Freshness:
    """One source as it stands at `at`. Times are UTC."""

    system: str
    title: str
    at: datetime
    read_until: datetime | None  # everything that changed before is in `raw`; None: never read
    known_since: datetime  # when it was first known here
    every: timedelta  # at which its sensor looks
    allowed: timedelta  # how far back `read_until` may lie
    failed: tuple[str, ...] = ()  # entities whose last reading failed
    error: str = ""  # of that reading, or of the last look; a sentence
    failing_since: datetime | None = None
    refused: bool = False  # asking again cannot help

    @property
    def lag(self) -> timedelta:
        """How far the reading lies back; of a source that was never read, since when it is known."""
        return max(self.at - (self.read_until or self.known_since), timedelta(0))

    @property
    def is_behind(self) -> bool:
        return self.lag > self.allowed

    @property
    def is_unread(self) -> bool:
        """Whether it cannot be read. A look that nobody answered is no reason yet: the next one may be answered."""
        return bool(self.failed) or self.refused

    @property
    def state(self) -> State:
        return "unread" if self.is_unread else "behind" if self.is_behind else "fresh"

    def sentence(self, language: Language = "en") -> str:
        """What is wrong, or that nothing is."""
        wrong = self.error.rstrip(".")
        if self.failed and language == "ru":
            return f"не читается с {moment_of(self.failing_since)}: {wrong}"
        if self.failed:
            return f"not read since {moment_of(self.failing_since)}: {wrong}"
        if self.error and language == "ru":
            return f"не отвечает с {moment_of(self.failing_since)}: {wrong}"
        if self.error:
            return f"does not answer since {moment_of(self.failing_since)}: {wrong}"
        if self.is_behind and language == "ru":
            return f"отстаёт: допустимо {span(self.allowed, 'ru')}; работает ли `sverka up`?"
        if self.is_behind:
            return f"behind: {span(self.allowed)} are allowed; is `sverka up` running?"
        return ""


def interval(system: System) -> timedelta:
    """How often the sensor of a system looks for changes.

    Raises SourceError where its connection or the environment says no number of seconds.
    """
    usual = environment_seconds("SVERKA_SENSOR_SECONDS", EVERY_SECONDS)
    seconds = number(system.name, system.given, "every_seconds", usual, most=31 * DAY, whole=True)
    return timedelta(seconds=seconds)


def allowed(system: System) -> timedelta:
    """How far back the last reading of a system may lie. Raises as `interval`."""
    given = system.file.behind_after
    beyond = environment_seconds("SVERKA_BEHIND_SECONDS", BEHIND_SECONDS) if given is None else given
    return interval(system) + timedelta(seconds=beyond)


def freshness(warehouse: Warehouse, mappings: Mappings, now: datetime | None = None) -> list[Freshness]:
    """Every connected system, in the order of the mapping files. Raises WarehouseError."""
    with warehouse.transaction() as conn:
        return freshness_of(conn, mappings.systems, now or datetime.now(UTC))


def freshness_of(conn: Connection, systems: Iterable[System], now: datetime) -> list[Freshness]:
    """See `freshness`; in a transaction at hand."""
    return [_freshness(conn, system, now) for system in systems]


def _freshness(conn: Connection, system: System, now: datetime) -> Freshness:
    named = {"system": system.name, "entities": list(system.entities), "now": now, "latest": now + AHEAD}
    # What lies ahead of now was kept while our clock was ahead.
    conn.execute(
        "insert into ops.look (system, first_at) values (%(system)s, %(now)s)"
        " on conflict (system) do update set first_at = excluded.first_at where ops.look.first_at > excluded.first_at",
        named,
    )
    row = conn.execute(
        trusted(f"""
        with last as (
            -- of a reading whose process died nothing is known; the one before it speaks
            select e.entity, {READ_BY_NOW} as read_until, c.read_until is not null as was_read,
                   b.status, b.message, b.batch_id
            from unnest(%(entities)s::text[]) e(entity)
            left join ops.cursor c on c.source = %(system)s and c.entity = e.entity
            left join lateral (
                select b.status, b.message, b.batch_id from ops.batch b
                where b.source = %(system)s and b.entity = e.entity and b.status <> 'reading'
                order by b.batch_id desc limit 1) b on true
        ), failing as (
            select f.entity, f.message, f.batch_id, f.read_until,
                   (select min(b.finished_at) from ops.batch b
                    where b.source = %(system)s and b.entity = f.entity and b.status = 'failed'
                      and b.batch_id > coalesce((select max(g.batch_id) from ops.batch g
                          where g.source = %(system)s and g.entity = f.entity and g.status = 'loaded'), 0)) as since
            from last f where f.status = 'failed'
        )
        select l.first_at, case when l.read_until <= %(latest)s then l.read_until end, l.error, l.is_final, l.failing_since,
               (select min(read_until) from last),
               (select array_agg(entity order by entity) from failing),
               (select message from failing order by batch_id desc limit 1),
               (select min(since) from failing),
               (select coalesce(bool_or(read_until is null), false) from failing)
                   or (select coalesce(bool_or(was_read and read_until is null), false) from last)
        from ops.look l where l.system = %(system)s
        """),
        named,
    ).fetchone()
    assert row is not None
    first_at, looked, look_error, is_final, look_failing, cursor, failed, message, since, never = row
    if failed:  # a look may be answered while a right to some entity is gone
        looked = None
    times = [] if never or cursor is None else [at for at in (cursor, looked) if at is not None]
    return Freshness(
        system.name,
        system.title,
        now,
        max(times, default=None),
        first_at,
        interval(system),
        allowed(system),
        tuple(failed or ()),
        (message or "no message") if failed else (look_error or ""),
        since if failed else look_failing,
        bool(look_error) and bool(is_final),
    )


def looked(warehouse: Warehouse, system: str, began: datetime, *, found: bool) -> None:
    """Keep that a look at a system was answered, and whether it `found` anything new. Raises WarehouseError.

    `began`, UTC: what changes later is seen by the next look.
    """
    warehouse.execute(
        """
        insert into ops.look (system, first_at, looked_at, read_until)
        values (%(system)s, %(at)s, %(at)s, case when not %(found)s then %(at)s::timestamptz end)
        on conflict (system) do update set looked_at = excluded.looked_at, error = null, is_final = false,
            failing_since = null,
            read_until = case when ops.look.read_until > excluded.looked_at then excluded.read_until
                              else greatest(ops.look.read_until, excluded.read_until) end
        """,
        {"system": system, "at": began, "found": found},
    )


def looked_in_vain(warehouse: Warehouse, system: str, at: datetime, error: Exception) -> None:
    """Keep that a look at a system was not answered, and why. Raises WarehouseError."""
    final = not (isinstance(error, SourceError) and error.retriable)
    warehouse.execute(
        """
        insert into ops.look (system, first_at, error, is_final, failing_since)
        values (%(system)s, %(at)s, %(error)s, %(final)s, %(at)s)
        on conflict (system) do update set error = excluded.error, is_final = excluded.is_final,
            failing_since = coalesce(ops.look.failing_since, excluded.failing_since)
        """,
        {"system": system, "at": at, "error": keepable(str(error)), "final": final},
    )


def read(road: Road, system: System, entities: Sequence[str], **how: bool) -> list[Batch]:
    """Read a system whatever its state: one that cannot even be opened has failed batches, as one that fails later.

    `how` as in `sync.read`. A token that was revoked, a variable that is not set: these come before any
    reading, and would else end the run for everybody. Raises WarehouseError.
    """
    try:
        return sync.read(road, system, entities, **how)
    except (SourceError, MappingError) as error:
        return _not_opened(road, system, entities, keepable(str(error)))


def _not_opened(road: Road, system: System, entities: Sequence[str], error: str) -> list[Batch]:
    batches = []
    with road.warehouse.transaction() as conn:
        for entity in entities:
            row = conn.execute(
                "insert into ops.batch (source, entity, mode, started_at, finished_at, status, message, run_id)"
                " values (%s, %s, 'incremental', now(), clock_timestamp(), 'failed', %s, %s) returning batch_id",
                [system.name, entity, error, road.run_id],
            ).fetchone()
            batches.append(
                Batch(system.name, entity, "incremental", error=error, batch_id=row[0] if row else 0)
            )
    return batches


def read_until(warehouse: Warehouse, system: str) -> Mapping[str, datetime]:
    """By entity, how far it was read, UTC. Raises WarehouseError."""
    return dict(
        warehouse.rows(
            "select entity, read_until from ops.cursor where source = %s and read_until is not null", [system]
        )
    )


def failing(warehouse: Warehouse, system: System) -> str:
    """A word for what of a system could not be read the last time, the same while that lasts; empty where all was.

    Raises WarehouseError.
    """
    row = warehouse.scalar(
        """
        select min(f.batch_id) from unnest(%(entities)s::text[]) e(entity)
        cross join lateral (
            select min(b.batch_id) as batch_id from ops.batch b
            where b.source = %(system)s and b.entity = e.entity and b.status = 'failed'
              and b.batch_id > coalesce((select max(g.batch_id) from ops.batch g
                  where g.source = %(system)s and g.entity = e.entity and g.status = 'loaded'), 0)) f
        """,
        {"system": system.name, "entities": list(system.entities)},
    )
    return f"failed-{row}" if row is not None else ""


def span(length: timedelta, language: Language = "en") -> str:
    """2 days 3 h, 1 h 5 min, 40 s: two units at most."""
    seconds = int(length.total_seconds())
    words = (
        {"d": "дн.", "h": "ч", "m": "мин", "s": "с"}
        if language == "ru"
        else {"d": "d", "h": "h", "m": "min", "s": "s"}
    )
    parts = [
        (seconds // 86400, "d"),
        (seconds % 86400 // 3600, "h"),
        (seconds % 3600 // 60, "m"),
        (seconds % 60, "s"),
    ]
    first = next((at for at, (count, _) in enumerate(parts) if count), 3)
    told = [f"{count} {words[unit]}" for count, unit in parts[first : first + 2] if count]
    return " ".join(told) or f"0 {words['s']}"


def moment_of(at: datetime | None) -> str:
    """17.11.2026 12:05 UTC"""
    return f"{at:%d.%m.%Y %H:%M} UTC" if at else "?"
