"""What fields accounting has, and which kinds of records wait because some that the mapping names are gone.

A target that publishes its shape (1C's `$metadata`) ignores unknown names of a write without a word, and a field that
is gone reads as empty. So its shape is kept in `ops.shape` and compared before a plan. What the comparison finds holds the
kinds that it touches, and nothing else. The answer may be tens of megabytes: it is asked for once in SHAPE_STANDS at
most, and a shape that is as it was leaves no trace but its time, so that a quiet sync stays quiet.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from mappings import System
from pipelines.refresh import lock_changes
from resources.connector import KnowsItsShape, SourceError
from resources.warehouse import Connection, Warehouse

log = logging.getLogger(__name__)

SHAPE_STANDS = timedelta(hours=1)  # how long an answer counts; a write that lost a field shows when read back

Shape = Mapping[str, str]


def keep_shape(
    warehouse: Warehouse, system: System, target: Any, *, at_once: bool = False, now: datetime | None = None
) -> bool:
    """Keep what fields the target has; True where something changed. `at_once`: however lately it was asked.

    Where the target does not say, what was known stays. Raises WarehouseError.
    """
    moment = now or datetime.now(UTC)
    if not isinstance(target, KnowsItsShape) or not (at_once or _is_due(warehouse, system, moment)):
        return False
    try:
        said = target.shape()
    except SourceError as error:
        log.warning("%s; its fields are taken to be as they were", error)
        return False
    named = {*system.entities, *(rule.entity or kind for kind, rule in system.write.items())}
    with warehouse.transaction() as conn:
        known = _known(conn, system.name)
        changed = False
        for entity in sorted(named & set(said)):
            changed |= _keep(conn, system.name, entity, dict(said[entity]), known.get(entity), moment)
        if changed:
            lock_changes(conn)
            conn.execute(
                "insert into ops.change_log (table_name, key) values ('ops.shape', %s)", [system.name]
            )
    return changed


def _is_due(warehouse: Warehouse, system: System, moment: datetime) -> bool:
    seen = warehouse.scalar("select min(seen_at) from ops.shape where system = %s", [system.name])
    return seen is None or seen <= moment - SHAPE_STANDS


def _known(conn: Connection, system: str) -> dict[str, tuple[Shape, list[str]]]:
    rows = conn.execute("select entity, fields, lost from ops.shape where system = %s", [system]).fetchall()
    return {entity: (fields, lost) for entity, fields, lost in rows}


def _keep(
    conn: Connection,
    system: str,
    entity: str,
    fields: Shape,
    known: tuple[Shape, list[str]] | None,
    moment: datetime,
) -> bool:
    before, lost = known or ({}, [])
    gone = sorted((set(before) | set(lost)) - set(fields))
    conn.execute(
        """
        insert into ops.shape (system, entity, fingerprint, fields, lost, seen_at)
        values (%s, %s, %s, %s::jsonb, %s, %s)
        on conflict (system, entity) do update
            set fingerprint = excluded.fingerprint, fields = excluded.fields, lost = excluded.lost,
                seen_at = excluded.seen_at
        """,
        [system, entity, fingerprint(fields), msgspec.json.encode(fields).decode(), gone, moment],
    )
    return known is None or dict(before) != dict(fields) or gone != lost


def fingerprint(fields: Shape) -> str:
    """Equal for equal fields, in whatever order they were told."""
    return hashlib.sha256(repr(sorted(fields.items())).encode()).hexdigest()[:16]


def fields_written(system: System) -> dict[str, tuple[str, ...]]:
    """By kind the fields that its bodies name, those of table parts as `Part/Field`; paths of other kinds left out."""
    found = {}
    for kind, rule in system.write.items():
        names = [*rule.fields]
        for lines in rule.lines:
            names += [lines.into, *(f"{lines.into}/{name}" for name in lines.fields)]
        found[kind] = tuple(dict.fromkeys(name for name in names if _PLAIN.fullmatch(name)))
    return found


def missing(conn: Connection, system: System, kind: str) -> str | None:
    """What a kind names and accounting does not have (any more), in a sentence; None where all is there.

    A field that is written counts when it is not there; one that is only read, when it was there once: a mapping
    file may offer alternatives for several configurations.
    """
    rule = system.write[kind]
    entity = rule.entity or kind
    known = _known(conn, system.name).get(entity)
    if known is None:
        return None
    fields, lost = known
    written = [name for name in fields_written(system)[kind] if not _has(fields, name)]
    read = [name for name in system.fields_read().get(entity, ()) if name in lost and name not in written]
    place = fields.get("") or entity
    told = [_told(place, written, "writes", system)] if written else []
    told += [_told(place, read, "reads", system)] if read else []
    return "; ".join(told) or None


def _has(fields: Shape, name: str) -> bool:
    """A field that the base keeps as a key of a catalog stands as `…_Key`: the connector puts the key in."""
    return name in fields or f"{name}_Key" in fields


def _told(place: str, names: Iterable[str], does: str, system: System) -> str:
    return (
        f"{place} has no {', '.join(names)}, which {system.path.name} {does}; give the field back in accounting, or"
        " correct the mapping file"
    )


_PLAIN = re.compile(r"[^\[\].]+")
