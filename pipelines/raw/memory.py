"""What is remembered of earlier reads: how far each entity was read, and what a connector may ask of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
)
from resources.warehouse import Connection, Warehouse

EVER = datetime(1970, 1, 1, tzinfo=UTC)
# How long before a read a stamp must lie for the read to have seen all that it stands for. A portal stamps whole
# seconds: read within its second, a record may change once more and keep its stamp. More than a second, since
# the stamp is by the portal's clock and the read by ours.
STAMP_STANDS_AFTER = timedelta(seconds=30)


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
    cursors = dict(
        warehouse.rows("select entity, read_until from ops.cursor where source = %s", [source.system])
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
