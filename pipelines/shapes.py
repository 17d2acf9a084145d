"""What fields accounting has, and which kinds of records wait because some that the mapping names are gone.

A target that publishes its shape (1C's `$metadata`) ignores unknown names of a write without a word, and a field that
is gone reads as empty. So its shape is kept in `ops.shape` and compared before a read and before a plan. What the comparison
finds holds the kinds that it touches and stops the reading of the entities that it touches, and nothing else: what is stored of
these stays as it was. A whole set that is gone is told likewise. All of it goes on by itself when the field is back, or the
mapping file names another. The answer may be tens of megabytes: it is asked for once in SHAPE_STANDS at
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
from resources.connector import KnowsItsShape, Refused, SourceError
from resources.warehouse import Connection, Warehouse

log = logging.getLogger(__name__)

SHAPE_STANDS = timedelta(hours=1)  # how long an answer counts; a write that lost a field shows when read back

Shape = Mapping[str, str]
STAYS = "until then what was read of it before stays as it is"


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
        for entity in sorted(named & {*said, *known}):
            fields = dict(said.get(entity, ()))
            if not fields and entity not in known:
                continue  # it never was there
            if not fields and (place := known[entity][0].get("")):
                fields = {"": place}  # gone: only its name is left
            changed |= _keep(conn, system.name, entity, fields, known.get(entity), moment)
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
    if _is_gone(fields, lost):
        return _told_gone(fields.get("") or entity, system)
    written = [name for name in fields_written(system)[kind] if not _has(fields, name)]
    read = [name for name in system.fields_read().get(entity, ()) if name in lost and name not in written]
    place = fields.get("") or entity
    told = [_told(place, written, "writes", system)] if written else []
    told += [_told(place, read, "reads", system)] if read else []
    return "; ".join(told) or None


def unreadable(conn: Connection, system: System) -> dict[str, str]:
    """By entity a sentence why it may not be read now: what the mapping reads of it was there once and is gone."""
    known = _known(conn, system.name)
    found = {}
    for entity, names in fields_read(system).items():
        fields, lost = known.get(entity, ({}, []))
        place = fields.get("") or entity
        absent = [name for name in names if name in lost]
        if _is_gone(fields, lost):
            found[entity] = f"{_told_gone(place, system)}; {STAYS}"
        elif absent:
            found[entity] = f"{_told(place, absent, 'reads', system)}; {STAYS}"
    return found


def fields_read(system: System) -> dict[str, tuple[str, ...]]:
    """By raw entity the fields that any rule reads, those of table parts as `Part/Field`."""
    found = {entity: dict.fromkeys(names) for entity, names in system.fields_read().items()}
    for read in system.reads:
        rule = read.rule
        if read.entity and not read.join and rule.each and _PLAIN.fullmatch(rule.each):
            texts = [text for field in rule.fields.values() for text in field.from_]
            texts += rule.key.from_ if rule.key else ()
            inner = [text for text in texts if _PLAIN.fullmatch(text) and not text.startswith(("/", "@"))]
            found.setdefault(read.entity, {}).update(dict.fromkeys(f"{rule.each}/{name}" for name in inner))
    return {entity: tuple(names) for entity, names in found.items()}


class Watched:
    """The shape of a system while it is read: what may not be stored, and what records have to show. See `read_source`.

    An hour may pass between two looks at a shape, and records without a field that was there may come at once. So
    records are looked at too: where those that are stored have a field and none of those that came has it, the shape
    is asked for anew, once a read.
    """

    def __init__(self, warehouse: Warehouse, system: System, target: Any) -> None:
        self.warehouse, self.system, self.target = warehouse, system, target
        self.refused = self._unreadable()
        self._asked = False

    def _unreadable(self) -> dict[str, str]:
        with self.warehouse.transaction() as conn:
            return unreadable(conn, self.system)

    def expected(self, conn: Connection, entity: str) -> list[str]:
        """The fields that records of an entity have by what is known of its shape, and that the mapping reads."""
        if self._asked or not getattr(self.target, "rows_are_whole", False):
            return []
        fields, _ = _known(conn, self.system.name).get(entity, ({}, []))
        return [name for name in fields_read(self.system).get(entity, ()) if name in fields]

    def failed(self, failure: SourceError) -> None:
        """See whether a set is gone, where a read was refused as one of what is not published."""
        unpublished = getattr(self.target, "unpublished", None)
        if isinstance(failure, Refused) and failure.code == unpublished and not self._asked:
            self.look_again()

    def look_again(self) -> None:
        """Ask for the shape, however lately it was asked for."""
        self._asked = True
        keep_shape(self.warehouse, self.system, self.target, at_once=True)
        self.refused = self._unreadable()


def _is_gone(fields: Shape, lost: Iterable[str]) -> bool:
    return bool(lost) and not set(fields) - {""}


def _told_gone(place: str, system: System) -> str:
    return (
        f"accounting does not publish {place} any more, which {system.path.name} names; publish it again in accounting, or"
        " correct the mapping file"
    )


def _has(fields: Shape, name: str) -> bool:
    """A field that the base keeps as a key of a catalog stands as `…_Key`: the connector puts the key in."""
    return name in fields or f"{name}_Key" in fields


def _told(place: str, names: Iterable[str], does: str, system: System) -> str:
    return (
        f"{place} has no {', '.join(names)}, which {system.path.name} {does}; give the field back in accounting, or"
        " correct the mapping file"
    )


_PLAIN = re.compile(r"[^\[\].]+")
