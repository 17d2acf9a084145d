"""Records that lack a field which the mapping reads are not stored: an empty value would pass for the truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from pipelines.raw.batch import Batch, Incoming, Mode, open_batch, raw_table, scalar
from resources.connector import Entity, SourceError
from resources.warehouse import Connection, trusted

LOOKED_AT = 1_000  # stored records that may show that a field was there


class Watch(Protocol):
    """What is known of the shape of a system that is read; see `pipelines.shapes.Watched`."""

    @property
    def refused(self) -> Mapping[str, str]: ...

    def expected(self, conn: Connection, entity: str) -> Sequence[str]: ...

    def look_again(self) -> None: ...

    def failed(self, failure: SourceError) -> None: ...


def refuse(
    conn: Connection,
    system: str,
    entities: Iterable[Entity],
    refused: Mapping[str, str],
    mode: Mode,
    moment: datetime,
    run_id: str,
) -> list[Batch]:
    """Batches of entities that are not read now, each with its sentence."""
    batches = []
    for entity in entities:
        sentence = refused.get(entity.name) or refused[str(entity.parent)]
        incoming = open_batch(conn, system, entity, mode, None, moment, run_id)
        conn.execute(
            "update ops.batch set finished_at = clock_timestamp(), status = 'failed', message = %s where batch_id = %s",
            [sentence, incoming.batch_id],
        )
        batches.append(Batch(system, entity.name, mode, error=sentence, batch_id=incoming.batch_id))
    return batches


def refused_of(
    conn: Connection, system: str, opened: Mapping[str, Incoming], watch: Watch | None
) -> dict[str, str]:
    """Of what has been received the entities that may not be stored, with their sentences; their records are dropped.

    Asks for the shape of the system anew where records make one doubt it.
    """
    if watch is None:
        return {}
    looked_at = {name: i for name, i in opened.items() if i.opened and not i.direct}
    if any(doubtful(conn, system, i, watch.expected(conn, name)) for name, i in looked_at.items()):
        watch.look_again()
    found = {name: watch.refused[name] for name in opened if name in watch.refused}
    for name in found:
        drop(conn, system, opened[name])
    return found


def doubtful(conn: Connection, system: str, incoming: Incoming, fields: Sequence[str]) -> bool:
    """Whether no record that came has one of these fields, though those that are stored of the entity have it."""
    came = f"{incoming.temporary} i where i.source_id is not null and not i.deleted"
    stored = raw_table(system, incoming.entity.name)
    for within, field in map(_paths, fields):
        absent = scalar(
            conn,
            f"select exists (select from {came} and i.payload @? %s::jsonpath)"
            f" and not exists (select from {came} and i.payload @? %s::jsonpath)",
            [within, field],
        )
        if absent and scalar(
            conn,
            f"""select exists (select from {came} and exists (select from {stored} c
                    where c.source_id = i.source_id and c.is_current and c.payload @? %s::jsonpath))
                or exists (select from {came} and not exists (select from {stored} c
                        where c.source_id = i.source_id and c.is_current))
                    and exists (select from (select payload from {stored} where is_current and not deleted
                        order by version_id desc limit {LOOKED_AT}) c where c.payload @? %s::jsonpath)""",
            [field, field],
        ):
            return True
    return False


def drop(conn: Connection, system: str, incoming: Incoming) -> None:
    """Forget what came of an entity that may not be stored, and read it whole once it may: what came beside records
    that are stored would not come again."""
    if incoming.opened:
        conn.execute(trusted(f"truncate {incoming.temporary}"))
    incoming.parents = incoming.complete = False
    incoming.received = incoming.rejected
    incoming.aliased.clear()
    incoming.merged.clear()
    read_whole(conn, system, incoming.entity.name)


def read_whole(conn: Connection, system: str, entity: str) -> None:
    """Let the next read of an entity be one of everything."""
    conn.execute(
        "update ops.cursor set read_until = null where source = %s and entity = %s", [system, entity]
    )


def _paths(field: str) -> tuple[str, str]:
    """The JSON path of what a field is in, and its own; `Part/Field` is one of the rows of a part."""
    part, slash, name = field.rpartition("/")
    within = f"$.{_quoted(part)}[*]" if slash else "$"
    return within, f"{within}.{_quoted(name)}"


def _quoted(name: str) -> str:
    return msgspec.json.encode(name).decode()
