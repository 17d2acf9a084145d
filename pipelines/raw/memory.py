"""What is remembered of earlier reads: how far each entity was read, and what a connector may ask of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from pipelines.raw.batch import raw_table, scalar
from resources.connector import (
    Change,
    ComparesVersions,
    Entity,
    KeepsPlaces,
    PassesOverOurOwn,
    ReadsFiles,
    Record,
    Source,
    TellsItsTime,
)
from resources.warehouse import Connection, Warehouse

log = logging.getLogger(__name__)

EVER = datetime(1970, 1, 1, tzinfo=UTC)
# Of cursor `c`: until when it was read, if no later than %(latest)s, else until when it had been read by then; null where none had.
# A reading of single records has an empty window.
READ_BY_NOW = """case when c.read_until <= %(latest)s then c.read_until else (
    select max(b.window_to) from ops.batch b
    where b.source = c.source and b.entity = c.entity and b.status = 'loaded' and b.mode <> 'sweep'
      and b.window_from is distinct from b.window_to and b.window_to <= %(latest)s) end"""
# How long before a read a stamp must lie for the read to have seen all that it stands for. A portal stamps whole
# seconds: read within its second, a record may change once more and keep its stamp. More than a second, since
# the stamp is by the portal's clock and the read by ours.
STAMP_STANDS_AFTER = timedelta(seconds=30)

# Of cursor `c`: until when it was read by the vendor's clock, as far as that lay behind ours.
_STAMPED_UNTIL = "c.read_until - coalesce((c.state ->> 'behind')::double precision, 0) * interval '1 second'"
# What one of our clocks may be ahead of another unheeded: less than any overlap of what is asked for by time.
AHEAD = timedelta(minutes=5)
CLOCK_SKEW = 60.0  # seconds between two clocks that an overlap covers anyway
FURTHEST_BEHIND = 7 * 86_400.0  # seconds: an answer that says more tells of no clock


def take_back_the_future(warehouse: Warehouse, system: str, moment: datetime) -> None:
    """Take back cursors that lie ahead of `moment` and of the present: our clock was ahead when they were set.

    What changed since the last reading before is read again, all of it where there was none. Says so, once.
    """
    rows = warehouse.rows(
        f"""
        update ops.cursor c set read_until = {READ_BY_NOW},
            full_read_at = case when full_read_at <= %(latest)s then full_read_at end,
            swept_at = case when swept_at <= %(latest)s then swept_at end
        where source = %(system)s and greatest(read_until, full_read_at, swept_at) > %(latest)s
        returning entity, read_until
        """,
        {"system": system, "latest": max(moment, datetime.now(UTC)) + AHEAD},
    )
    if rows:
        since = min((at for _, at in rows if at is not None), default=None)
        log.warning(
            "%s: our clock was ahead when %s was read last; what changed %s is read again",
            system,
            ", ".join(sorted(entity for entity, _ in rows)),
            f"since {since:%d.%m.%Y %H:%M} UTC" if since and all(at for _, at in rows) else "at any time",
        )


def windows(
    warehouse: Warehouse,
    source: Source,
    wanted: Sequence[Entity],
    moment: datetime,
    *,
    full: bool,
    rescan: bool,
) -> list[tuple[datetime | None, list[Entity]]]:
    """Entities by the time from which they are read; None is everything."""
    # In the vendor's own time: the stamps that are asked for are its own.
    cursors = dict(
        warehouse.rows(
            f"select entity, {_STAMPED_UNTIL} from ops.cursor c where source = %s", [source.system]
        )
    )
    overlap = timedelta(seconds=source.capabilities.overlap_seconds)
    groups: dict[datetime | None, list[Entity]] = {}
    asked_by_time = {e.name: e.incremental for e in source.capabilities.entities}
    for entity in wanted:
        read_until: datetime | None = cursors.get(entity.parent or entity.name)
        # Children come with the parents that changed.
        by_time = entity.incremental or asked_by_time.get(entity.parent or "", False)
        since = None
        if read_until is not None and entity.name in cursors and by_time and not full:
            since = EVER if rescan else read_until - overlap
        groups.setdefault(since, []).append(entity)
    return sorted(groups.items(), key=lambda item: (item[0] is not None, item[0] or moment))


def tell_known(warehouse: Warehouse, source: Source) -> None:
    """Give a connector that asks for it what is stored: versions, counts, files, whose rows came from where."""
    known = _Known(warehouse, source.system)
    if isinstance(source, ComparesVersions):
        source.known_versions = known.known_versions
    if isinstance(source, PassesOverOurOwn):
        source.known_stamps = known.known_stamps
    if isinstance(source, KeepsPlaces):
        source.known_places = known.known_places()
    if isinstance(source, ReadsFiles):
        source.known_count = known.known_count
        source.known_contents = known.known_contents
        source.known_parents = known.known_parents
        source.known_rejects = known.known_rejects


class _Known:
    """What is stored of one system, asked by the connector when it needs it."""

    def __init__(self, warehouse: Warehouse, system: str) -> None:
        self.warehouse, self.system = warehouse, system

    def known_versions(self, entity: str) -> Mapping[str, str]:
        name = raw_table(self.system, entity)
        if self.warehouse.scalar("select to_regclass(%s)", [name]) is None:
            return {}  # no mapping reads it
        return dict(
            self.warehouse.rows(
                f"select source_id, payload->>'DataVersion' from {name} where is_current and not deleted"
            )
        )

    def known_stamps(self, entity: str, ids: Sequence[str]) -> Mapping[str, datetime]:
        """Stamps that our own writing gave, of records that were read whole since, some time after it.

        What a person changed is read for as long as it lies in the overlap: its lines may change again
        without a new stamp. A read that failed has read nothing whole.
        """
        name = raw_table(self.system, entity)
        return dict(
            self.warehouse.rows(
                f"""select c.source_id, c.modified_at from {name} c
                join ops.batch b on b.batch_id = c.batch_id and b.status = 'loaded'
                join ops.echo e on e.system = %(system)s and e.kind = %(entity)s and e.key = c.source_id
                join ops.cursor k on k.source = %(system)s and k.entity = %(entity)s
                where c.source_id = any(%(ids)s) and c.is_current and not c.deleted
                  and c.modified_at < k.read_until - %(stands_after)s
                  and case when e.version ~ '^[0-9]{{4}}-' then e.version::timestamptz end = c.modified_at""",
                {
                    "system": self.system,
                    "entity": entity,
                    "ids": list(ids),
                    "stands_after": STAMP_STANDS_AFTER,
                },
            )
        )

    def known_places(self) -> Mapping[str, str]:
        return dict(
            self.warehouse.rows(
                "select entity, state ->> 'place' from ops.cursor where source = %s and state ->> 'place' <> ''",
                [self.system],
            )
        )

    def known_count(self, entity: str) -> int:
        name = raw_table(self.system, entity)
        return int(
            self.warehouse.scalar(f"select count(*) from {name} where is_current and not deleted") or 0
        )

    def known_contents(self, entity: str) -> Sequence[Change]:
        found = self.warehouse.scalar(
            "select state -> 'contents' from ops.cursor where source = %s and entity = %s",
            [self.system, entity],
        )
        return [_content(entity, content) for content in found or ()]

    def known_parents(self, entity: str, parents: Sequence[str]) -> Sequence[Record]:
        name = raw_table(self.system, entity)
        return [
            Record(source_id, payload.encode(), modified_at, parent_id)
            for source_id, parent_id, modified_at, payload in self.warehouse.rows(
                f"""select distinct on (parent_id, payload->>'_file')
                       source_id, parent_id, modified_at, payload::text
                from {name} where is_current and not deleted and parent_id = any(%s)
                order by parent_id, payload->>'_file', modified_at desc nulls last""",
                [list(parents)],
            )
        ]

    def known_rejects(self, entity: str) -> Sequence[str]:
        return [
            place
            for (place,) in self.warehouse.rows(
                "select distinct place from ops.quarantine"
                " where source = %s and entity = %s and resolved_at is null",
                [self.system, entity],
            )
        ]


def _content(entity: str, kept: str | Mapping[str, str]) -> Change:
    if isinstance(kept, str):  # kept before names and times were
        return Change(entity, "", None, kept)
    return Change(entity, kept["file"], datetime.fromisoformat(kept["stamp"]), kept["version"])


def highest(conn: Connection, source: Source, group: Sequence[Entity]) -> dict[str, Any]:
    """The highest numeric id stored of each entity: records imported with old stamps lie above it."""
    found = {}
    for entity in group:
        name = raw_table(source.system, entity.name)
        highest = scalar(
            conn,
            f"select max(source_id::bigint)::text from {name} where is_current and source_id ~ '^[0-9]{{1,18}}$'",
        )
        if highest is not None:
            found[entity.name] = highest
    return {"known_max": found}


def remember_places(conn: Connection, source: Source, entities: Sequence[str]) -> None:
    """Keep the marks from which a source goes on, in the transaction that stores what came before them."""
    for entity, place in source.places.items() if isinstance(source, KeepsPlaces) else ():
        if entity in entities:
            conn.execute(
                """
                insert into ops.cursor (source, entity, state) values (%s, %s, jsonb_build_object('place', %s::text))
                on conflict (source, entity) do update
                    set state = coalesce(ops.cursor.state, '{}') || excluded.state
                """,
                [source.system, entity, place],
            )


def remember_clock(conn: Connection, source: Source, entities: Sequence[str]) -> None:
    """Keep with the cursors how far the vendor's clock lies behind ours, so that the next window begins as much earlier:
    its stamps look older than they are."""
    behind = source.clock_behind() if isinstance(source, TellsItsTime) else 0.0
    conn.execute(
        """
        update ops.cursor set state = coalesce(state, '{}') - 'behind'
            || case when %(behind)s > 0 then jsonb_build_object('behind', %(behind)s) else '{}' end
        where source = %(source)s and entity = any(%(entities)s) and (%(behind)s > 0 or state ? 'behind')
        """,
        {
            "source": source.system,
            "entities": list(entities),
            "behind": round(behind) if CLOCK_SKEW < behind <= FURTHEST_BEHIND else 0,
        },
    )


def go_back(warehouse: Warehouse, source: Source, seen: Iterable[Change]) -> None:
    """Set cursors back to the stamps of changes that were `seen` and that the next windows would leave out."""
    overlap = timedelta(seconds=source.capabilities.overlap_seconds)
    parents = {entity.name: entity.parent for entity in source.capabilities.entities}
    oldest: dict[str, datetime] = {}
    for change in seen:
        for entity in (change.entity, parents.get(change.entity)):
            if entity and change.modified_at is not None:
                oldest[entity] = min(oldest.get(entity, change.modified_at), change.modified_at)
    if oldest:
        warehouse.execute(
            f"""
            update ops.cursor c set read_until = s.stamp
            from unnest(%(entities)s::text[], %(stamps)s::timestamptz[]) s (entity, stamp)
            where c.source = %(source)s and c.entity = s.entity and s.stamp < {_STAMPED_UNTIL} - %(overlap)s
            """,
            {
                "source": source.system,
                "entities": list(oldest),
                "stamps": list(oldest.values()),
                "overlap": overlap,
            },
        )


def remember_contents(conn: Connection, source: Source, entities: Sequence[str]) -> None:
    """Keep which files a file source has just read to the end, in the transaction that stores their rows."""
    loaded: dict[str, list[dict[str, str]]] = {}
    for change in source.loaded if isinstance(source, ReadsFiles) else ():
        if change.entity not in entities:
            continue
        stamp = change.modified_at.isoformat() if change.modified_at else EVER.isoformat()
        kept = {"file": change.source_id, "stamp": stamp, "version": change.version or ""}
        loaded.setdefault(change.entity, []).append(kept)
    for entity, contents in loaded.items():
        conn.execute(
            """
            insert into ops.cursor (source, entity, state)
            values (%s, %s, jsonb_build_object('contents', %s::jsonb))
            on conflict (source, entity) do update set state = coalesce(ops.cursor.state, '{}')
                || jsonb_build_object('contents', coalesce(ops.cursor.state -> 'contents', '[]')
                                                  || (excluded.state -> 'contents'))
            """,
            [source.system, entity, msgspec.json.encode(contents).decode()],
        )
