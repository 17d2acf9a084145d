"""Is there anything new in a system? A few requests, and the answer in words; what sensors ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from mappings import System
from pipelines.raw.hints import unseen, waiting
from pipelines.raw.load import raw_table, tell_known
from pipelines.raw.memory import STAMP_STANDS_AFTER, go_back, take_back_the_future
from pipelines.raw.stumbles import each
from pipelines.sync import Road, read
from resources.connector import Change, SourceError

NO_NEWS = ("activity",)  # comes along with what it is about, and the tasks that we write are some too
MAX_HINTS = 100_000  # looked at before it is simply called news
LOOK_BACK = timedelta(days=1)  # of a source that has been read: stamps may come late or be back-dated


@dataclass(frozen=True, slots=True)
class News:
    """What a run would find; read by it, it is news no more."""

    system: str
    count: int
    newest: str


def news(road: Road, system: System, now: datetime | None = None) -> News | None:
    """What changed in a system since it was last read, or what a webhook hints at; None when nothing did.
    Raises SourceError, WarehouseError.

    What `raw` has is no news, and neither is what was set apart since it changed. Of others only the content tells:
    of what was read within STAMP_STANDS_AFTER of its stamp, since it may have changed again within the same second; and
    of what bears the stamp that our own write-back gave it (`ops.echo`) or has a webhook about that, since a robot
    of the CRM may have answered our write before we read it back. They are read here, which settles them until they change
    again, and are news where more than our own fields is otherwise.
    """
    moment = now or datetime.now(UTC)
    source = road.source(system)
    take_back_the_future(road.warehouse, system.name, moment)
    cursors = road.warehouse.rows(
        "select entity, read_until from ops.cursor where source = %s and read_until is not null",
        [system.name],
    )
    if not cursors:
        return News(system.name, 0, "it has never been read")
    entities = [e for e in source.capabilities.entities if e.name in system.entities]
    tell_known(road.warehouse, source)
    since = min(read_until for _, read_until in cursors) - LOOK_BACK
    wanted = {entity.name for entity in entities}
    changes = each(system.name, lambda: source.changes(min(since, moment)))
    hints = islice((c for c in changes if c.entity in wanted), MAX_HINTS)
    certain, doubtful = _sorted_out(road, system, hints, dict(cursors))
    if certain:
        go_back(road.warehouse, source, certain)
        newest = max(certain, key=lambda c: (c.modified_at or moment, c.version or "", c.source_id))
        return News(system.name, len(certain), f"{newest.entity} {newest.source_id}")
    for hinted in waiting(road.warehouse, {system.name: [entity.name for entity in entities]}):
        return News(system.name, hinted.count, f"{hinted.newest}, by a webhook")
    of_our_own = unseen(road.warehouse, system.name, [entity.name for entity in entities])
    return _settled(road, system, sorted({*(change.entity for change in doubtful), *of_our_own}))


def _sorted_out(
    road: Road, system: System, hints: Iterable[Change], read_until: Mapping[str, datetime]
) -> tuple[list[Change], list[Change]]:
    """Hints that nothing explains, and those that another change may hide behind."""
    certain: list[Change] = []
    doubtful: list[Change] = []
    by_entity: dict[str, list[Change]] = {}
    for hint in hints:
        by_entity.setdefault(hint.entity, []).append(hint)
    for entity, found in by_entity.items():
        if any(change.modified_at is None or change.version is not None for change in found):
            certain += found  # the connector compared versions itself with what we know
            continue
        explained = _Explained(road, system, entity, [change.source_id for change in found])
        for change in found:
            assert change.modified_at is not None
            if not explained.is_kept(change.source_id, change.modified_at):
                is_ours = _same_stamp(explained.written.get(change.source_id), change.modified_at)
                (doubtful if is_ours else certain).append(change)
            elif (
                explained.stored.get(change.source_id) == change.modified_at
                and entity in read_until
                and change.modified_at >= read_until[entity] - STAMP_STANDS_AFTER
            ):
                doubtful.append(change)
    return certain, doubtful


def _settled(road: Road, system: System, entities: Sequence[str]) -> News | None:
    """Read what may have changed unseen; the news is what had. Raises SourceError."""
    if not entities:
        return None
    # Lines come with their deals: without them they would count as read.
    family = [e.name for e in road.source(system).capabilities.entities if e.parent in entities]
    batches = read(road, system, [*entities, *(name for name in family if name in system.entities)])
    if error := next((batch.error for batch in batches if batch.error), ""):
        raise SourceError(error, retriable=True)
    count = sum(
        batch.added + batch.changed + batch.deleted for batch in batches if batch.entity not in NO_NEWS
    )
    return (
        News(
            system.name,
            count,
            f"within a second of an earlier change or of our own, in {', '.join(entities)}",
        )
        if count
        else None
    )


class _Explained:
    """Why a stamp of a record may be no news: `raw` has it, it was set apart, or we wrote it."""

    def __init__(self, road: Road, system: System, entity: str, keys: Sequence[str]) -> None:
        rows = road.warehouse.rows
        self.stored: Mapping[str, datetime | None] = dict(
            rows(
                f"select source_id, modified_at from {raw_table(system.name, entity)}"
                " where is_current and source_id = any(%s)",
                [list(keys)],
            )
        )
        self.written: Mapping[str, str | None] = dict(
            rows(
                "select key, version from ops.echo where system = %s and kind = %s and key = any(%s)",
                [system.name, entity, list(keys)],
            )
        )
        self.set_apart: Mapping[str, datetime] = dict(
            rows(
                "select substr(place, length(entity) + 2), max(last_seen_at) from ops.quarantine"
                " where source = %s and entity = %s and resolved_at is null and place = any(%s) group by 1",
                [system.name, entity, [f"{entity} {key}" for key in keys]],
            )
        )

    def is_kept(self, key: str, stamp: datetime) -> bool:
        """Whether it was read since."""
        seen = (self.stored.get(key), self.set_apart.get(key))
        return any(at is not None and at >= stamp for at in seen)


def _same_stamp(echo: str | None, modified_at: datetime) -> bool:
    if not echo:
        return False
    try:
        return datetime.fromisoformat(echo) == modified_at
    except ValueError:
        return False
