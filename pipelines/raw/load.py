"""Bring what a source says into `raw`, unchanged: every version once, deletions as tombstones.

Pages are copied into temporary tables as they come (memory stays flat; the source makes the next one
meanwhile), then told apart from what is stored in one transaction: new, changed, unchanged, deleted. A
version is kept when its content differs from the current one, leaving aside what the system stamps itself
and what we write back (so our own write never comes round as a change). An older version that arrives
late is kept, and not current. What has no row yet is copied straight into its raw table, in one transaction, and
indexed at the end.

A read that fails half-way keeps what it received and leaves the cursor where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime

from pipelines.raw.batch import (
    Batch,
    Incoming,
    Mode,
    ensure_tables,
    open_batch,
    open_batches,
    raw_table,
    read_directly,
    take_turns,
)
from pipelines.raw.hints import read_hinted, take
from pipelines.raw.memory import (
    highest,
    remember_clock,
    remember_contents,
    remember_places,
    take_back_the_future,
    tell_known,
    windows,
)
from pipelines.raw.receive import gathered, keepable, receive
from pipelines.raw.refused import Watch, refuse, refused_of
from pipelines.raw.settle import settle, settle_all
from pipelines.raw.stumbles import each
from pipelines.raw.sweep import sweep_entity, sweeps_due
from resources.connector import Capabilities, Entity, MeetsAll, Page, ReadsFiles, Source, SourceError
from resources.parallel import ahead
from resources.warehouse import Warehouse


def read_source(
    warehouse: Warehouse,
    source: Source,
    *,
    entities: Sequence[str] | None = None,
    full: bool = False,
    rescan: bool = False,
    sweep: bool = False,
    allow_deletions: bool = False,
    now: datetime | None = None,
    run_id: str = "",
    echo: Mapping[str, Sequence[str]] | None = None,
    watch: Watch | None = None,
) -> list[Batch]:
    """Read what changed in a system (or all of it) into its raw tables.

    After that the records that webhooks hinted at before it began are read by key (`hints.py`).
    `full` reads every record; `rescan` asks for changes since ever (a source that compares versions
    fetches only what differs); `sweep` compares every key. When most of an entity is gone at once, nothing
    is deleted unless `allow_deletions`: more often a right was lost than half the clients.
    `echo`: by entity, the payload fields that we write ourselves and that therefore are no change.
    `watch`: which entities lack what the mapping reads of them. These are not read, and what comes of them beside
    others is not stored; each has a failed batch that says why.
    `now` is when the read began, UTC: as far as it says to have read, and no bound of what may come, since a
    source stamps by a clock of its own. A SourceError does not rise: it stands in `Batch.error`,
    since what was received before it is kept. Raises WarehouseError.
    """
    moment = now or datetime.now(UTC)
    known = {entity.name: entity for entity in source.capabilities.entities}
    wanted = [known[name] for name in (entities or list(known)) if name in known]
    with warehouse.transaction() as conn:
        ensure_tables(conn, source.system, [e.name for e in wanted])
        refused = dict(watch.refused) if watch else {}
        stopped = [e for e in wanted if not refused.keys().isdisjoint((e.name, e.parent))]
        mode: Mode = "full" if full else "incremental"
        batches = refuse(conn, source.system, stopped, refused, mode, moment, run_id)
    wanted = [entity for entity in wanted if entity not in stopped]
    take_back_the_future(warehouse, source.system, moment)
    tell_known(warehouse, source)
    hooks = take(warehouse, source.system, [entity.name for entity in wanted])
    for since, group in windows(warehouse, source, wanted, moment, full=full, rescan=rescan):
        batches += _read(warehouse, source, group, since, moment, run_id, echo or {}, allow_deletions, watch)
    if hooks:
        batches += read_hinted(
            warehouse, source, hooks, batches, moment, run_id, echo or {}, allow_deletions, watch
        )
    failed = {batch.entity for batch in batches if batch.error}
    sound = [entity for entity in wanted if failed.isdisjoint((entity.name, entity.parent))]
    read = {batch.entity: batch.batch_id for batch in batches}
    for entity in sweeps_due(warehouse, source, sound, sweep, moment):
        met = source.met(entity.name) if isinstance(source, MeetsAll) and entity.name in read else None
        batch, unknown = sweep_entity(
            warehouse, source, entity, moment, run_id, allow_deletions,
            met=None if met is None else (met, read[entity.name]),
        )  # fmt: skip
        batches.append(batch)
        # Back-dated, or missed by the source's own stamps: read the entity whole, and what belongs to it.
        if unknown and not isinstance(source, ReadsFiles):
            family = [entity, *(e for e in wanted if e.parent == entity.name)]
            batches += _read(
                warehouse, source, family, None, moment, run_id, echo or {}, allow_deletions, watch
            )
    return batches


def store_page(
    warehouse: Warehouse, system: str, capabilities: Capabilities, page: Page, run_id: str = ""
) -> Batch:
    """Store records in hand (read back after writing) as an incremental batch; the cursor stays."""
    entity = next(e for e in capabilities.entities if e.name == page.entity)
    moment = datetime.now(UTC)
    with warehouse.transaction() as conn:
        ensure_tables(conn, system, [entity.name])
        incoming = open_batch(conn, system, entity, "incremental", moment, moment, run_id)
        conn.commit()
        receive(conn, system, incoming, page)
        take_turns(conn, system)
        batch = settle(conn, system, incoming, (), "", None, capabilities.volatile)
        conn.commit()
    return batch


def _read(
    warehouse: Warehouse,
    source: Source,
    group: Sequence[Entity],
    since: datetime | None,
    until: datetime,
    run_id: str,
    echo: Mapping[str, Sequence[str]],
    allow_deletions: bool,
    watch: Watch | None,
) -> list[Batch]:
    mode: Mode = "full" if since is None else "incremental"
    opened: dict[str, Incoming] = {}
    error = ""
    with warehouse.transaction() as conn:
        opened |= open_batches(conn, source.system, group, mode, since, until, run_id)
        for incoming in opened.values():
            incoming.allow_deletions = allow_deletions
        conn.commit()
        if mode == "full":
            read_directly(conn, source.system, opened.values())
        try:
            more = highest(conn, source, group) if source.capabilities.known_max else {}
            names = [entity.name for entity in group]
            reading = each(source.system, lambda: source.read(names, since, until, **more))
            with closing(ahead(gathered(reading), source.system)) as pages:
                for page in pages:
                    if page.entity not in opened:  # what belongs to a record read comes along unasked
                        entity = next(e for e in source.capabilities.entities if e.name == page.entity)
                        ensure_tables(conn, source.system, [entity.name])
                        opened[page.entity] = open_batch(
                            conn, source.system, entity, mode, until, until, run_id
                        )
                        opened[page.entity].asked = False
                        if not any(incoming.direct for incoming in opened.values()):
                            conn.commit()
                    receive(conn, source.system, opened[page.entity], page)
        except SourceError as failure:
            error = keepable(str(failure))
            if watch is not None:
                watch.failed(failure)
        if isinstance(source, ReadsFiles):
            for file in source.finished:
                opened[file.entity].files.append(file.source_id)
        refused = refused_of(conn, source.system, opened, watch)
        take_turns(conn, source.system)
        errors = {name: refused.get(name, error) for name in opened}
        batches = settle_all(conn, source.system, opened, echo, errors, until, source.capabilities.volatile)
        # What a guard refused to store is no content loaded; what was read before an error is.
        remember_contents(conn, source, [batch.entity for batch in batches if batch.error in ("", error)])
        remember_places(conn, source, [batch.entity for batch in batches if not batch.error])
        remember_clock(conn, source, [batch.entity for batch in batches if not batch.error])
        conn.commit()
    return batches


__all__ = [
    "Batch",
    "ensure_tables",
    "raw_table",
    "read_source",
    "store_page",
    "tell_known",
]
