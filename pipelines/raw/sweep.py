"""The completeness sweep: ids that live in the source beside those stored; what is missing there is deleted."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from pipelines.raw.batch import Batch, open_batch, raw_table, scalar, take_turns
from pipelines.raw.receive import keepable
from pipelines.raw.settle import ANALYZED_FROM, NOT_SINCE, guard, made, store
from pipelines.raw.stumbles import each, stumbles
from pipelines.refresh import empty, lock_changes
from resources.connector import EVERY_CHILD, CountsEntities, Entity, Source, SourceError
from resources.warehouse import Connection, Warehouse, trusted

SWEEP_ALWAYS_UNDER = 5_000  # records: so few keys cost a request or two, so every read compares them
SWEEP_EVERY = timedelta(hours=24)


def sweeps_due(
    warehouse: Warehouse, source: Source, entities: Sequence[Entity], asked: bool, moment: datetime
) -> list[Entity]:
    """Which entities to sweep: all once a day, few records at every read, unless the source can count them
    (`counts`) and has as many as are stored. What comes with its parents waits for the day's sweep then."""
    due, small = [], []
    swept = dict(warehouse.rows("select entity, swept_at from ops.cursor where source = %s", [source.system]))
    for entity in entities:
        swept_at = swept.get(entity.name)
        if entity.deletions == "tombstones" or (swept_at is not None and swept_at >= moment):
            continue  # deletions come by themselves, or this very read was whole
        if asked or swept_at is None or moment - swept_at >= SWEEP_EVERY:
            due.append(entity)
        else:
            small.append(entity.name)
    few = _few(warehouse, source.system, small)
    counted: Mapping[str, int] | None = None
    if few and isinstance(source, CountsEntities):
        with contextlib.suppress(SourceError), stumbles(source.system):  # the sweep will tell
            counted = source.counts(list(few))
    if counted is not None:
        few = {
            name: stored
            for name, stored in few.items()
            if name in counted and counted[name] != stored + _set_apart(warehouse, source.system, name)
        }
    return [entity for entity in entities if entity in due or entity.name in few]


def _few(warehouse: Warehouse, system: str, entities: Sequence[str]) -> dict[str, int]:
    """How many records of an entity live in its raw table; without those of which they are not few."""
    counts = [
        f"select %s, (select count(*) from (select from {raw_table(system, name)}"
        " where is_current and not deleted limit %s) c)"
        for name in entities
    ]
    given = [value for name in entities for value in (name, SWEEP_ALWAYS_UNDER)]
    rows = warehouse.rows(" union all ".join(counts), given) if counts else []
    return {name: stored for name, stored in rows if stored < SWEEP_ALWAYS_UNDER}


def _set_apart(warehouse: Warehouse, system: str, entity: str) -> int:
    """How many records the source has and we could not keep, so that they mask no deletion."""
    return int(
        warehouse.scalar(
            f"""select count(distinct q.place) from ops.quarantine q
            where q.source = %s and q.entity = %s and q.resolved_at is null and starts_with(q.place, q.entity || ' ')
              and not exists (select from {raw_table(system, entity)} c where c.is_current and not c.deleted
                              and c.source_id = substr(q.place, length(q.entity) + 2))""",
            [system, entity],
        )
        or 0
    )


def sweep_entity(
    warehouse: Warehouse,
    source: Source,
    entity: Entity,
    moment: datetime,
    run_id: str,
    allow_deletions: bool,
    *,
    met: tuple[Sequence[str], int] | None = None,
) -> tuple[Batch, int]:
    """Compare the ids that live in the source with those stored; the missing ones are deleted.

    Also counts the ids that the source has and we do not. `met`: those that live, as the read of this batch met them;
    what another reader stored since that one began is not missing. Without it the source is asked.
    """
    name = raw_table(source.system, entity.name)
    with warehouse.transaction() as conn:
        incoming = open_batch(conn, source.system, entity, "sweep", None, moment, run_id)
        conn.execute("create temporary table if not exists living_key (source_id text)")
        count, error, of_parents = 0, "", False
        try:
            listed = [met[0]] if met else each(source.system, lambda: source.keys(entity.name))
            for keys in listed:
                with conn.cursor().copy("copy living_key (source_id) from stdin") as copy:
                    for key in keys:
                        copy.write_row((keepable(key),))
                        of_parents = of_parents or key.endswith(EVERY_CHILD)
                count += len(keys)
        except SourceError as failure:
            error = keepable(str(failure))
        if count >= ANALYZED_FROM:
            conn.execute("analyze living_key")
        take_turns(conn, source.system)
        lock_changes(conn)
        missing = (
            f"{NOT_SINCE.format(batch=met[1] if met else incoming.batch_id)}"
            " and not exists (select from living_key i where i.source_id = c.source_id)"
        )
        if of_parents:
            missing += f" and not exists (select from living_key i where i.source_id = c.parent_id || '{EVERY_CHILD}')"
        gone = 0 if error else _missing(conn, name, missing)
        if gone and not allow_deletions:
            error = guard(conn, source.system, entity.name, missing)
        deleted = _delete(conn, name, incoming.batch_id, missing) if gone and not error else 0
        unknown = scalar(
            conn,
            "select count(*) from living_key i where not exists"
            f" (select from {name} c where c.source_id = i.source_id and c.is_current and not c.deleted)"
            # What is set apart is known; to read all again for it would be no help. A parent without children may have none.
            " and not exists (select from ops.quarantine q where q.source = %s and q.entity = %s"
            " and q.resolved_at is null and q.place = q.entity || ' ' || i.source_id)"
            " and right(i.source_id, length(%s)) <> %s",
            [source.system, entity.name, EVERY_CHILD, EVERY_CHILD],
        )
        batch = Batch(source.system, entity.name, "sweep", received=count, unchanged=count, deleted=deleted,
                      error=error, batch_id=incoming.batch_id)  # fmt: skip
        conn.execute(
            _FINISH,
            {"status": "failed" if error else "loaded", "count": count, "deleted": deleted, "error": error,
             "batch": incoming.batch_id, "moment": moment},
        )  # fmt: skip
        if count < ANALYZED_FROM:
            conn.execute("delete from living_key")
        else:
            empty(conn, "living_key")
        conn.commit()
    return batch, 0 if error else int(unknown)


_FINISH: Final = """
    with finished as (
        update ops.batch set finished_at = clock_timestamp(), status = %(status)s, received = %(count)s,
               unchanged = %(count)s, deleted = %(deleted)s, message = nullif(%(error)s, '')
        where batch_id = %(batch)s returning source, entity)
    update ops.cursor c set swept_at = %(moment)s from finished f
    where c.source = f.source and c.entity = f.entity and %(error)s = ''
"""


def _missing(conn: Connection, name: str, missing: str) -> int:
    """How many living records are missing. Counted, not looked for: for the first row the planner would compare each with
    each."""
    return int(scalar(conn, f"select count(*) {_living(name, missing)}"))


def _living(name: str, missing: str) -> str:
    return f"from {name} c where c.is_current and not c.deleted and {missing}"


def _delete(conn: Connection, name: str, batch_id: int, missing: str) -> int:
    """Mark the living records that are missing as deleted; how many."""
    made(conn)
    conn.execute(
        trusted(
            f"""insert into news
        select c.source_id, c.parent_id, c.modified_at, true as deleted, c.payload,
               c.version_id as replaces, false as was_deleted, c.payload as old_payload {_living(name, missing)}"""
        )
    )
    _, deleted, _ = store(conn, name, batch_id)
    empty(conn, "news")
    return deleted
