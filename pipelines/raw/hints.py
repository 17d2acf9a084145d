"""What webhooks hinted at (`ops.hook`): which records to read by key after the ordinary read of their system.

A hint is never data. It makes a read happen sooner and names records for it; one that is lost, repeated, late or
forged therefore changes nothing wrongly. Hints are taken before a read begins and marked seen in the transaction
that stores what was read; what came meanwhile stays unseen, and so does what could not be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipelines.raw.batch import Batch, Incoming, open_batch, raw_table, scalar, take_turns
from pipelines.raw.receive import keepable, receive
from pipelines.raw.refused import Watch, refused_of
from pipelines.raw.settle import GUARD_FROM, GUARD_SHARE, guard, settle
from pipelines.raw.stumbles import Stumbled, each
from resources.connector import ReadsByKey, Source, SourceError
from resources.warehouse import Connection, Warehouse, trusted

MAX_KEYS = 2_000  # records read by key in one run; the rest wait for the next
MAX_HOOKS = 10_000  # webhooks looked at in one run
MAX_TRIES = 3  # refusals after which a hint is given up: the ordinary read and the sweep find the change
OUR_OWN_WITHIN = timedelta(minutes=5)  # of our writing a record: a webhook about it most likely tells of that
KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Hints of a system that no read has seen."""

    system: str
    count: int  # webhooks
    oldest: int  # its hook_id: the same at the next look, no read has seen it
    newest: str  # what it names, for people: "deal 4711"


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook's hints of one entity, and how often it had come when it was taken."""

    hook_id: int
    times: int
    entity: str
    ids: Sequence[str]


def waiting(warehouse: Warehouse, entities: Mapping[str, Sequence[str]]) -> list[Waiting]:
    """Systems with hints that no read has seen. `entities`: by system, those that are read.

    Hints of what we wrote ourselves within OUR_OWN_WITHIN wait for the next read, or look of a sensor (`unseen`), and ask
    for no sync. Raises WarehouseError.
    """
    found = []
    for system, names in entities.items():
        rows = warehouse.rows(
            """
            select count(*), min(hook_id), (array_agg(concat_ws(' ', entity, nullif(ids[1], '')) order by hook_id desc))[1]
            from (
                select h.hook_id, h.entity, h.ids from ops.hook h
                where h.system = %(system)s and h.entity = any(%(entities)s) and h.seen_at is null
                  and exists (select from unnest(h.ids) i (id) where not exists (
                      select from ops.echo e
                      where e.system = h.system and e.kind = h.entity and e.key = i.id
                        and h.last_at between e.at - %(within)s and e.at + %(within)s))
                order by h.hook_id limit %(most)s) unseen
            having count(*) > 0""",
            {"system": system, "entities": list(names), "within": OUR_OWN_WITHIN, "most": MAX_HOOKS},
        )
        found += [Waiting(system, count, oldest, newest) for count, oldest, newest in rows]
    return found


def unseen(warehouse: Warehouse, system: str, entities: Sequence[str]) -> list[str]:
    """Those of these entities of which any hint is there that no read has seen. Raises WarehouseError."""
    rows = warehouse.rows(
        "select distinct entity from ops.hook where system = %s and entity = any(%s) and seen_at is null",
        [system, list(entities)],
    )
    return [entity for (entity,) in rows]


def take(warehouse: Warehouse, system: str, entities: Sequence[str]) -> list[Hook]:
    """The oldest unseen hints of these entities, of MAX_KEYS records at most. Raises WarehouseError."""
    taken: list[Hook] = []
    keys: set[tuple[str, str]] = set()
    for row in warehouse.rows(
        "select hook_id, times, entity, ids from ops.hook"
        " where system = %s and entity = any(%s) and seen_at is null order by hook_id limit %s",
        [system, list(entities), MAX_HOOKS],
    ):
        hook = Hook(*row)
        keys.update((hook.entity, number) for number in hook.ids if number)
        if len(keys) > MAX_KEYS and taken:
            break
        taken.append(hook)
    return taken


def read_hinted(
    warehouse: Warehouse,
    source: Source,
    hooks: Sequence[Hook],
    batches: Sequence[Batch],
    moment: datetime,
    run_id: str,
    echo: Mapping[str, Sequence[str]],
    allow_deletions: bool = False,
    watch: Watch | None = None,
) -> list[Batch]:
    """Read by key what the hints name, entity by entity, each stored in a transaction with its hints.

    `batches`: the ordinary reads, begun after the hints were taken. An entity that they read whole needs no
    more; one that they could not read keeps its hints. A SourceError stands in `Batch.error`, as in `read_source`.
    """
    failed = {batch.entity for batch in batches if batch.error}
    whole = {batch.entity for batch in batches if batch.mode == "full"} - failed
    found: list[Batch] = []
    by_entity: dict[str, list[Hook]] = {}
    for hook in hooks:
        if hook.entity not in failed:
            by_entity.setdefault(hook.entity, []).append(hook)
    for name, named in by_entity.items():
        keys = list(dict.fromkeys(number for hook in named for number in hook.ids if number))
        if keys and name not in whole and isinstance(source, ReadsByKey):
            found += _read_keys(
                warehouse, source, name, keys, named, moment, run_id, echo, allow_deletions, watch
            )
        else:
            with warehouse.transaction() as conn:
                _mark_seen(conn, named)
    return found


def forget_hooks(conn: Connection) -> int:
    """Forget what came longer than KEPT ago, seen or not; how many rows."""
    return conn.execute("delete from ops.hook where received_at < now() - %s", [KEPT]).rowcount


def _read_keys(
    warehouse: Warehouse,
    source: Source,
    name: str,
    keys: Sequence[str],
    hooks: Sequence[Hook],
    moment: datetime,
    run_id: str,
    echo: Mapping[str, Sequence[str]],
    allow_deletions: bool = False,
    watch: Watch | None = None,
) -> list[Batch]:
    assert isinstance(source, ReadsByKey)
    known = {entity.name: entity for entity in source.capabilities.entities}
    opened: dict[str, Incoming] = {}
    error, for_good = "", False
    with warehouse.transaction() as conn:

        def incoming_of(entity: str) -> Incoming:
            if entity not in opened:
                opened[entity] = open_batch(
                    conn, source.system, known[entity], "incremental", moment, moment, run_id
                )
                conn.commit()
            return opened[entity]

        incoming_of(name)
        try:
            for page in each(source.system, lambda: source.read_keys(name, keys)):
                # Children that nobody has asked for have no table.
                if (
                    scalar(conn, "select to_regclass(%s)", [raw_table(source.system, page.entity)])
                    is not None
                ):
                    receive(conn, source.system, incoming_of(page.entity), page)
        except SourceError as failure:
            error, for_good = keepable(str(failure)), not failure.retriable or isinstance(failure, Stumbled)
        refused = refused_of(conn, source.system, opened, watch)
        error = error or refused.get(name, "")
        take_turns(conn, source.system)
        _leave_out_stale(conn, source.system, opened, name)
        if not error and not allow_deletions:
            error = _guarded(conn, source.system, opened[name])
            for_good = bool(error)
        batches = [
            settle(
                conn,
                source.system,
                incoming,
                echo.get(entity, ()),
                refused.get(entity, error),
                None,
                source.capabilities.volatile,
            )
            for entity, incoming in opened.items()
        ]
        if not error:
            _mark_seen(conn, hooks)
        elif for_good:
            _mark_tried(conn, hooks)
        conn.commit()
    return batches


def _leave_out_stale(conn: Connection, system: str, opened: Mapping[str, Incoming], name: str) -> None:
    """Drop what would undo a deletion without a newer stamp, with its children, and tombstones of the unknown."""
    incoming = opened[name]
    if not incoming.opened:
        return
    stored = raw_table(system, name)
    conn.execute(
        trusted(
            f"""delete from {incoming.temporary} i where i.deleted and not exists (
                select from {stored} c where c.source_id = i.source_id and c.is_current and not c.deleted)"""
        )
    )
    # As a sweep does: a tombstone keeps its record's stamp, so that an older version which comes late stays out.
    conn.execute(
        trusted(
            f"""update {incoming.temporary} i set modified_at = c.modified_at from {stored} c
            where c.source_id = i.source_id and c.is_current and i.deleted and i.modified_at is null"""
        )
    )
    undone = conn.execute(
        trusted(
            f"""delete from {incoming.temporary} i using {stored} c
            where c.source_id = i.source_id and c.is_current and c.deleted
              and not i.deleted and i.modified_at <= c.modified_at
            returning i.source_id"""
        )
    ).fetchall()
    for child in opened.values():
        if undone and child is not incoming and child.opened:
            conn.execute(
                trusted(f"delete from {child.temporary} where parent_id = any(%s)"),
                [[number for (number,) in undone]],
            )
    _count(conn, opened.values())


def _guarded(conn: Connection, system: str, incoming: Incoming) -> str:
    """A sentence where most of an entity would go at once; its tombstones are left out then."""
    if not incoming.opened:
        return ""
    told = f"select from {incoming.temporary} i where i.deleted"
    if scalar(conn, f"select count(*) from ({told}) t") <= GUARD_FROM * GUARD_SHARE:
        return ""
    sentence = guard(conn, system, incoming.entity.name, f"exists ({told} and i.source_id = c.source_id)")
    if sentence:
        conn.execute(trusted(f"delete from {incoming.temporary} where deleted"))
        _count(conn, [incoming])
    return sentence


def _count(conn: Connection, opened: Iterable[Incoming]) -> None:
    """What is left counts as received."""
    for incoming in opened:
        if incoming.opened:
            rows = f"select count(*) from {incoming.temporary} where source_id is not null"
            incoming.received = incoming.rejected + scalar(conn, rows)


def _mark_seen(conn: Connection, hooks: Sequence[Hook]) -> None:
    """Those that have come once more since they were taken stay unseen: the record may have changed after our read."""
    conn.execute(
        """update ops.hook h set seen_at = clock_timestamp()
        from unnest(%s::bigint[], %s::integer[]) t (hook_id, times)
        where h.hook_id = t.hook_id and h.times = t.times""",
        [[hook.hook_id for hook in hooks], [hook.times for hook in hooks]],
    )


def _mark_tried(conn: Connection, hooks: Sequence[Hook]) -> None:
    """Asking again cannot help, or may not, so it is not asked for ever."""
    conn.execute(
        """update ops.hook set tries = tries + 1,
               seen_at = case when tries + 1 >= %s then clock_timestamp() end
        where hook_id = any(%s)""",
        [MAX_TRIES, [hook.hook_id for hook in hooks]],
    )
