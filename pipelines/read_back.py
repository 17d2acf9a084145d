"""Records read back after writing are kept in `raw` at once, as what the next read would find."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from mappings import System
from pipelines.operations.carried import ReadBack
from pipelines.raw.load import ensure_tables, raw_table, store_page
from pipelines.raw.refused import read_whole
from pipelines.raw.stumbles import each
from pipelines.shapes import unreadable
from resources.connector import AssignsKeys, ComparesVersions, Page, ReadsByKey, Record, SourceError
from resources.warehouse import trusted

if TYPE_CHECKING:
    from pipelines.sync import Road

log = logging.getLogger(__name__)

_JSON = msgspec.json.Encoder(decimal_format="number")


def keep_read_back(road: Road, system: System) -> ReadBack:
    """Records read back after writing are what the source says: the next read need not fetch them.

    A document that is posted, or was when it was last read, is read by key instead, since what posting made of it
    comes with it, however old it is. Its entries are stored before it, and both before it counts as verified: whatever
    ends us in between leaves it with a version that is not known, or with an operation to be verified once more.
    """

    def keep(kind: str, bodies: Mapping[str, Mapping[str, Any]]) -> None:
        target = road.target(system)
        entity = entity_of(system, kind)
        number = target.key_of if isinstance(target, AssignsKeys) else None
        posted = target.capabilities.posted
        if posted and number is None:
            moved = [key for key, body in bodies.items() if body.get(posted)]
            moved += _stored_as_posted(road, system, entity, posted, bodies.keys() - moved)
            _read_with_entries(road, system, entity, moved)
            bodies = {key: body for key, body in bodies.items() if key not in moved}
        records = [
            Record(number(kind, body), _JSON.encode(body), our_key=key)
            if number
            else Record(key, _JSON.encode(body))
            for key, body in bodies.items()
        ]
        if records:
            store_records(road, system, entity, records)

    return keep


def _stored_as_posted(
    road: Road, system: System, entity: str, posted: str, keys: Collection[str]
) -> list[str]:
    """Those of these documents that were posted when they were last read."""
    with road.warehouse.transaction() as conn:
        ensure_tables(conn, system.name, [entity])
        rows = conn.execute(
            trusted(
                f"select source_id from {raw_table(system.name, entity)}"
                " where is_current and source_id = any(%s) and coalesce(payload ->> %s, '') = 'true'"
            ),
            [list(keys), posted],
        ).fetchall()
    return [key for (key,) in rows]


def _read_with_entries(road: Road, system: System, entity: str, keys: Sequence[str]) -> None:
    """Read documents by key, their entries before them. What does not answer now is found by the next read, whose
    versions do not know it."""
    source = road.source(system)
    if not keys or not (isinstance(source, ReadsByKey) and isinstance(source, ComparesVersions)):
        return
    refused = _refused(road, system)
    try:
        for page in each(system.name, lambda: source.read_keys(entity, keys)):
            if page.entity in refused:
                _read_later(road, system, page.entity)
            elif page.entity in system.entities:
                store_page(road.warehouse, system.name, source.capabilities, page, road.run_id)
    except SourceError as error:
        log.warning("%s; documents that were just posted are read later", error)


def _refused(road: Road, system: System) -> Collection[str]:
    """Entities that lack what the mapping reads of them, and are not stored until they have it again."""
    with road.warehouse.transaction() as conn:
        return unreadable(conn, system) if system.role == "accounting" else ()


def _read_later(road: Road, system: System, entity: str) -> None:
    with road.warehouse.transaction() as conn:
        read_whole(conn, system.name, entity)


def entity_of(system: System, kind: str) -> str:
    """The entity as which records of a written kind are read."""
    return (system.write[kind].entity if kind in system.write else None) or kind


def store_records(road: Road, system: System, entity: str, records: Sequence[Record]) -> None:
    """Store records in hand as a small incremental batch, without moving the entity's cursor."""
    if entity in _refused(road, system):
        _read_later(road, system, entity)
        return
    store_page(
        road.warehouse, system.name, road.source(system).capabilities, Page(entity, records), road.run_id
    )
