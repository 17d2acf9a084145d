"""Is there anything new in a system? A few requests, and the answer in words; what sensors ask."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from mappings import System
from pipelines.raw.load import raw_table, tell_known
from pipelines.sync import Road
from resources.connector import Change

MAX_HINTS = 100_000  # looked at before it is simply called news
LOOK_BACK = timedelta(days=1)  # of a source that has been read: stamps may come late or be back-dated


@dataclass(frozen=True, slots=True)
class News:
    """`token` is the same for the same news, so that one change asks for one run."""

    system: str
    count: int
    newest: str
    token: str


def news(road: Road, system: System, now: datetime | None = None) -> News | None:
    """What changed in a system since it was last read; None when nothing did. Raises SourceError.

    Our own write-back is no news: the stamp that it gave the record stands in `ops.echo`, and what was
    read back after writing stands in `raw`.
    """
    moment = now or datetime.now(UTC)
    source = road.source(system)
    cursors = road.warehouse.rows(
        "select entity, read_until from ops.cursor where source = %s and read_until is not null",
        [system.name],
    )
    if not cursors:
        return News(system.name, 0, "it has never been read", f"{system.name}/first")
    entities = [e for e in source.capabilities.entities if e.name in system.entities]
    tell_known(road.warehouse, source, entities)
    since = min(read_until for _, read_until in cursors) - LOOK_BACK
    wanted = {entity.name for entity in entities}
    hints = islice((c for c in source.changes(min(since, moment)) if c.entity in wanted), MAX_HINTS)
    unknown = list(_unknown(road, system, hints))
    if not unknown:
        return None
    newest = max(unknown, key=lambda c: (c.modified_at or moment, c.version or "", c.source_id))
    stamp = newest.version or (newest.modified_at.isoformat() if newest.modified_at else "")
    return News(
        system.name,
        len(unknown),
        f"{newest.entity} {newest.source_id}",
        f"{system.name}/{newest.entity}/{newest.source_id}/{stamp}/{len(unknown)}",
    )


def _unknown(road: Road, system: System, hints: Iterable[Change]) -> Iterable[Change]:
    """Hints that neither `raw` nor our own writing explains."""
    by_entity: dict[str, list[Change]] = {}
    for hint in hints:
        by_entity.setdefault(hint.entity, []).append(hint)
    for entity, found in by_entity.items():
        if any(change.modified_at is None or change.version is not None for change in found):
            yield from found  # the connector compared versions itself with what we know
            continue
        name = raw_table(system.name, entity)
        keys = [change.source_id for change in found]
        known = dict(
            road.warehouse.rows(
                f"select source_id, modified_at from {name} where is_current and source_id = any(%s)", [keys]
            )
        )
        echoes = dict(
            road.warehouse.rows(
                "select key, version from ops.echo where system = %s and kind = %s and key = any(%s)",
                [system.name, entity, keys],
            )
        )
        for change in found:
            seen = known.get(change.source_id)
            if seen is not None and change.modified_at is not None and seen >= change.modified_at:
                continue
            if change.modified_at is not None and _same_stamp(
                echoes.get(change.source_id), change.modified_at
            ):
                continue
            yield change


def _same_stamp(echo: str | None, modified_at: datetime) -> bool:
    if not echo:
        return False
    try:
        return datetime.fromisoformat(echo) == modified_at
    except ValueError:
        return False
