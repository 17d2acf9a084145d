"""What is remembered of earlier reads: how far each entity was read, and what a connector may ask of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from pipelines.raw.batch import Batch, raw_table, scalar
from resources.connector import Entity, Source
from resources.warehouse import Connection, Warehouse

EVER = datetime(1970, 1, 1, tzinfo=UTC)


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


def tell_known(warehouse: Warehouse, source: Source, wanted: Sequence[Entity]) -> None:
    """Give a connector that asks for it what is stored: versions, highest ids, counts."""

    def versions(entity: str) -> Mapping[str, str]:
        name = raw_table(source.system, entity)
        return dict(
            warehouse.rows(
                f"select source_id, payload->>'DataVersion' from {name} where is_current and not deleted"
            )
        )

    def count(entity: str) -> int:
        name = raw_table(source.system, entity)
        return int(warehouse.scalar(f"select count(*) from {name} where is_current and not deleted") or 0)

    def contents(entity: str) -> Sequence[str]:
        found = warehouse.scalar(
            "select state -> 'contents' from ops.cursor where source = %s and entity = %s",
            [source.system, entity],
        )
        return list(found or ())

    for attribute, answer in (
        ("known_versions", versions),
        ("known_count", count),
        ("known_contents", contents),
    ):
        if hasattr(source, attribute):
            setattr(source, attribute, answer)


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


def contents_to_read(source: Source) -> dict[str, list[str]]:
    """Versions of the files that a file source is about to read, by entity."""
    if not hasattr(source, "known_contents"):
        return {}
    found: dict[str, list[str]] = {}
    for change in source.changes(datetime.min.replace(tzinfo=UTC)):
        found.setdefault(change.entity, []).append(change.version or "")
    return found


def remember_contents(
    warehouse: Warehouse, source: Source, contents: Mapping[str, Sequence[str]], batches: Sequence[Batch]
) -> None:
    for batch in batches:
        if batch.entity in contents and not batch.error:
            warehouse.execute(
                """
                update ops.cursor set state = jsonb_build_object('contents',
                    coalesce(state -> 'contents', '[]'::jsonb) || %s::jsonb)
                where source = %s and entity = %s
                """,
                [msgspec.json.encode(list(contents[batch.entity])).decode(), source.system, batch.entity],
            )
