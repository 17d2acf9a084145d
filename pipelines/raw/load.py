"""Bring what a source says into `raw`, unchanged: every version once, deletions as tombstones.

Pages are copied into temporary tables as they come (memory stays flat), then told apart from what is
stored in one transaction: new, changed, unchanged, deleted. A version is kept when its content differs
from the current one, leaving aside what the system stamps itself and what we write back (so our own
write never comes round as a change). An older version that arrives late changes nothing.

A read that fails half-way keeps what it received and leaves the cursor where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
import psycopg

from pipelines.refresh import MAX_LOGGED_KEYS, lock_changes, log_everything
from resources.connector import Capabilities, Entity, Page, Record, Reject, Source, SourceError
from resources.warehouse import Connection, Warehouse, WarehouseError, trusted

Mode = Literal["full", "incremental", "sweep"]

SWEEP_ALWAYS_UNDER = 5_000  # records: so few keys cost a request or two, so every read compares them
GUARD_FROM = 20  # records: fewer may go all at once
GUARD_SHARE = 0.5  # of the living; more at once is refused
SWEEP_EVERY = timedelta(hours=24)
EVER = datetime(1970, 1, 1, tzinfo=UTC)

# What systems stamp on a record by themselves: a change of these alone is no change of the record.
VOLATILE = (
    "updatedTime", "updatedBy", "movedTime", "movedBy", "lastActivityTime", "lastActivityBy",
    "DATE_MODIFY", "MODIFY_BY_ID", "timestampX", "LAST_LOGIN", "LAST_ACTIVITY_DATE", "TIMESTAMP_X",
    "_file", "_row",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Batch:
    """One entity of one read: what came and what it changed. Counts are records."""

    source: str
    entity: str
    mode: Mode
    received: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    rejected: int = 0
    error: str = ""
    batch_id: int = 0

    @property
    def quiet(self) -> bool:
        return self.added == 0 and self.changed == 0 and self.deleted == 0


@dataclass
class _Incoming:
    """What has been received of one entity in this read, beside its temporary table."""

    entity: Entity
    batch_id: int
    mode: Mode
    received: int = 0
    rejected: int = 0
    complete: bool = False
    parents: bool = False
    allow_deletions: bool = False
    asked: bool = True
    temporary: str = field(init=False)

    def __post_init__(self) -> None:
        self.temporary = f"incoming_{self.entity.name}"


def raw_table(source: str, entity: str) -> str:
    """`raw.bitrix24_deal`: where an entity of a connected system is kept."""
    return f"raw.{source}_{entity}"


def ensure_tables(conn: Connection, source: str, entities: Iterable[str]) -> None:
    """Create the raw tables of a system that are not there yet."""
    for entity in entities:
        name = raw_table(source, entity)
        short = f"{source}_{entity}"
        if conn.execute("select to_regclass(%s)", [name]).fetchone() != (None,):
            continue
        conn.execute(
            trusted(
                f"""
            create table if not exists {name} (
                version_id   bigint generated always as identity primary key,
                source_id    text not null,
                parent_id    text,
                modified_at  timestamptz,
                seen_at      timestamptz not null,
                batch_id     bigint not null,
                is_current   boolean not null,
                deleted      boolean not null,
                payload      jsonb not null,
                payload_hash uuid not null
            );
            create unique index if not exists {short}_current on {name} (source_id) where is_current;
            create index if not exists {short}_parent on {name} (parent_id) where is_current;
            create index if not exists {short}_batch on {name} (batch_id);
            comment on table {name} is 'What {source} said of every {entity}, unchanged: all versions.';
            comment on column {name}.payload is 'The source''s own JSON.';
            comment on column {name}.deleted is 'The record was gone from the source when this was seen.';
            comment on column {name}.is_current is 'The newest version of the record.';
            """
            )
        )


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
) -> list[Batch]:
    """Read what changed in a system (or all of it) into its raw tables.

    `full` reads every record; `rescan` asks for changes since ever (a source that compares versions
    fetches only what differs); `sweep` compares every key. When most of an entity is gone at once, nothing
    is deleted unless `allow_deletions`: more often a right was lost than half the clients.
    `echo`: by entity, the payload fields that we write ourselves and that therefore are no change.
    `now` bounds the read from above, UTC. A SourceError does not rise: it stands in `Batch.error`,
    since what was received before it is kept. Raises WarehouseError.
    """
    moment = now or datetime.now(UTC)
    known = {entity.name: entity for entity in source.capabilities.entities}
    wanted = [known[name] for name in (entities or list(known)) if name in known]
    with warehouse.transaction() as conn:
        ensure_tables(conn, source.system, [e.name for e in wanted])
    tell_known(warehouse, source, wanted)
    contents = _contents(source)
    batches: list[Batch] = []
    for since, group in _windows(warehouse, source, wanted, moment, full=full, rescan=rescan):
        batches += _read(warehouse, source, group, since, moment, run_id, echo or {}, allow_deletions)
    _remember_contents(warehouse, source, contents, batches)
    for entity in wanted:
        failed = any(batch.error for batch in batches if batch.entity in (entity.name, entity.parent))
        if (
            not failed
            and entity.deletions != "tombstones"
            and _sweep_due(warehouse, source, entity, sweep, moment)
        ):
            batch, unknown = _sweep(warehouse, source, entity, moment, run_id, allow_deletions)
            batches.append(batch)
            if unknown and not hasattr(
                source, "known_contents"
            ):  # back-dated, or missed by the source's own stamps: read the entity whole
                batches += _read(
                    warehouse, source, [entity], None, moment, run_id, echo or {}, allow_deletions
                )
    return batches


def store_page(
    warehouse: Warehouse, system: str, capabilities: Capabilities, page: Page, run_id: str = ""
) -> Batch:
    """Store records in hand (read back after writing) as an incremental batch; the cursor stays."""
    entity = next(e for e in capabilities.entities if e.name == page.entity)
    moment = datetime.now(UTC)
    with warehouse.connect() as conn:
        ensure_tables(conn, system, [entity.name])
        incoming = _open(conn, system, entity, "incremental", moment, moment, run_id)
        conn.commit()
        _receive(conn, system, incoming, page)
        batch = _settle(conn, system, incoming, (), "", None)
        conn.commit()
    return batch


def _windows(
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


def _read(
    warehouse: Warehouse,
    source: Source,
    group: Sequence[Entity],
    since: datetime | None,
    until: datetime,
    run_id: str,
    echo: Mapping[str, Sequence[str]],
    allow_deletions: bool,
) -> list[Batch]:
    mode: Mode = "full" if since is None else "incremental"
    opened: dict[str, _Incoming] = {}
    error = ""
    with warehouse.connect() as conn:
        for entity in group:
            opened[entity.name] = _open(conn, source.system, entity, mode, since, until, run_id)
            opened[entity.name].allow_deletions = allow_deletions
        conn.commit()
        try:
            more = _highest(conn, source, group) if source.capabilities.extra.get("known_max") else {}
            for page in source.read([entity.name for entity in group], since, until, **more):
                if page.entity not in opened:  # what belongs to a record read comes along unasked
                    entity = next(e for e in source.capabilities.entities if e.name == page.entity)
                    ensure_tables(conn, source.system, [entity.name])
                    opened[page.entity] = _open(conn, source.system, entity, mode, since, until, run_id)
                    opened[page.entity].asked = False
                _receive(conn, source.system, opened[page.entity], page)
        except SourceError as failure:
            error = str(failure)
        batches = [
            _settle(
                conn, source.system, incoming, echo.get(name, ()), error, until if incoming.asked else None
            )
            for name, incoming in opened.items()
        ]
        conn.commit()
    return batches


def _open(
    conn: Connection,
    system: str,
    entity: Entity,
    mode: Mode,
    since: datetime | None,
    until: datetime,
    run_id: str,
) -> _Incoming:
    row = conn.execute(
        "insert into ops.batch (source, entity, mode, window_from, window_to, started_at, status, run_id)"
        " values (%s, %s, %s, %s, %s, now(), 'reading', %s) returning batch_id",
        [system, entity.name, mode, since, until, run_id],
    ).fetchone()
    incoming = _Incoming(entity, row[0] if row else 0, mode)
    conn.execute(
        trusted(
            f"""create temporary table {incoming.temporary} (
            position bigint generated always as identity, source_id text, parent_id text,
            modified_at timestamptz, deleted boolean, payload jsonb)"""
        )
    )
    conn.execute(trusted(f"create temporary table {incoming.temporary}_parents (parent_id text)"))
    return incoming


def _receive(conn: Connection, system: str, incoming: _Incoming, page: Page) -> None:
    try:
        _copy(conn, incoming, page.records)
    except (*UNREADABLE, UnicodeDecodeError):
        conn.rollback()
        page = _without_unreadable(conn, incoming, page)
        _copy(conn, incoming, page.records)
    if page.complete_parents:
        incoming.parents = True
        with conn.cursor().copy(trusted(f"copy {incoming.temporary}_parents (parent_id) from stdin")) as copy:
            for parent in page.complete_parents:
                copy.write_row((parent,))
    for reject in page.rejects:
        conn.execute(
            """
            insert into ops.quarantine
                (batch_id, source, entity, place, reason, payload, parent_id, first_seen_at, last_seen_at)
            values (%s, %s, %s, %s, %s, %s, %s, now(), now())
            on conflict (source, entity, place, reason)
            do update set last_seen_at = now(), resolved_at = null, payload = excluded.payload,
                          first_seen_at = case when quarantine.resolved_at is null then quarantine.first_seen_at else now() end,
                          parent_id = excluded.parent_id, batch_id = excluded.batch_id
            """,
            [incoming.batch_id, system, page.entity, reject.place, reject.reason,
             reject.payload.decode("utf-8", "replace").replace("\x00", ""), reject.parent_id],
        )  # fmt: skip
    incoming.received += len(page.records) + len(page.rejects)
    incoming.rejected += len(page.rejects)
    incoming.complete = incoming.complete or page.complete
    conn.commit()


UNREADABLE = (
    psycopg.errors.InvalidTextRepresentation,
    psycopg.errors.UntranslatableCharacter,
    psycopg.errors.DataException,
    psycopg.DataError,
)


def _copy(conn: Connection, incoming: _Incoming, records: Sequence[Record]) -> None:
    with conn.cursor().copy(
        trusted(f"copy {incoming.temporary} (source_id, parent_id, modified_at, deleted, payload) from stdin")
    ) as copy:
        for record in records:
            copy.write_row(
                (
                    record.source_id,
                    record.parent_id,
                    record.modified_at,
                    record.deleted,
                    record.payload.decode(),
                )
            )


def _without_unreadable(conn: Connection, incoming: _Incoming, page: Page) -> Page:
    """The page without the records that cannot be kept as JSON; these are set apart, and hold their deal."""
    good: list[Record] = []
    rejects = list(page.rejects)
    for record in page.records:
        try:
            with conn.transaction(force_rollback=True):
                _copy(conn, incoming, [record])
            good.append(record)
        except (*UNREADABLE, UnicodeDecodeError) as error:
            entity = incoming.entity
            deal = (
                record.source_id
                if entity.name == "deal"
                else record.parent_id
                if entity.parent == "deal"
                else None
            )
            reason = (
                f"its JSON cannot be read ({str(error).splitlines()[0]}); correct the record in the source"
            )
            rejects.append(
                Reject(f"{entity.name} {record.source_id}", reason, record.payload, parent_id=deal)
            )
    return replace(page, records=good, rejects=rejects)


def _settle(
    conn: Connection,
    system: str,
    incoming: _Incoming,
    echo: Sequence[str],
    error: str,
    until: datetime | None,
) -> Batch:
    """Tell what was received apart from what is stored, and store it."""
    name, temporary = raw_table(system, incoming.entity.name), incoming.temporary
    ignored = [*VOLATILE, *echo]
    # A full read is the whole truth only where nothing was set apart and rows cannot lie elsewhere;
    # otherwise `keys()` decides what was deleted.
    surely = incoming.entity.deletions == "sweep" and not incoming.rejected and not incoming.parents
    whole = not error and (incoming.complete or (incoming.mode == "full" and surely))
    lock_changes(conn)
    stored = _scalar(conn, f"select exists (select from {name})")
    conn.execute(
        trusted(
            f"""create temporary table settled on commit drop as
        select distinct on (source_id) source_id, parent_id, modified_at, deleted, payload,
               md5((payload - %s::text[])::text)::uuid as payload_hash
        from {temporary}
        order by source_id, modified_at desc nulls last, position desc"""
        ),
        [ignored],
    )
    if stored:
        conn.execute("create unique index on settled (source_id)")
        conn.execute("analyze settled")
    conn.execute(
        trusted(
            f"""create temporary table news on commit drop as
        select s.*, c.version_id as replaces, c.deleted as was_deleted, c.payload as old_payload
        from settled s
        left join {name} c on c.source_id = s.source_id and c.is_current
        where c.version_id is null
           or ((c.payload_hash <> s.payload_hash or c.deleted <> s.deleted or c.parent_id is distinct from s.parent_id)
               and (s.modified_at is null or c.modified_at is null or s.modified_at >= c.modified_at))"""
            if stored
            else "create temporary table news on commit drop as select s.*, null::bigint as replaces,"
            " null::boolean as was_deleted, null::jsonb as old_payload from settled s"
        )
    )
    if stored:
        # The payload stays that of the version: what is derived of it may not change without being told.
        # Where the newest of several records decides a row, a newer stamp is told; of a record that we write
        # to ourselves it is our own echo.
        told = "false" if echo else "true"
        conn.execute(
            trusted(
                f"""with stamped as (
                update {name} c set modified_at = s.modified_at
                from settled s where c.source_id = s.source_id and c.is_current and c.modified_at < s.modified_at
                 and c.payload_hash = s.payload_hash and c.deleted = s.deleted
                returning c.source_id)
            insert into ops.change_log (table_name, key) select '{name}', source_id from stamped where {told}"""
            )
        )
        gone = []
        if incoming.parents:
            gone.append(f"c.parent_id in (select parent_id from {temporary}_parents)")
        if whole:
            gone.append("true")
        if whole and not incoming.complete and not incoming.allow_deletions:
            missing = "not exists (select from settled s where s.source_id = c.source_id)"
            error = _guard(conn, system, incoming.entity.name, missing)
        if gone and not error:
            conn.execute(
                trusted(
                    f"""insert into news
                select c.source_id, c.parent_id, c.modified_at, true, c.payload, c.payload_hash,
                       c.version_id, false, c.payload
                from {name} c
                where c.is_current and not c.deleted and ({" or ".join(gone)})
                  and not exists (select from settled s where s.source_id = c.source_id)"""
                )
            )
    changed, deleted, added = _store(conn, name, incoming.batch_id)
    batch = Batch(
        system,
        incoming.entity.name,
        incoming.mode,
        received=incoming.received,
        added=added,
        changed=changed,
        deleted=deleted,
        unchanged=incoming.received
        - incoming.rejected
        - added
        - changed,  # said twice: unchanged the second time
        rejected=incoming.rejected,
        error=error,
        batch_id=incoming.batch_id,
    )
    _finish(conn, batch, until, whole)
    _settle_quarantine(conn, batch, temporary)
    conn.execute(trusted(f"drop table settled, news, {temporary}, {temporary}_parents"))
    return batch


def _store(conn: Connection, name: str, batch_id: int) -> tuple[int, int, int]:
    """Put the rows of `news` as current versions; (changed, deleted, added), and tell consumers."""
    row = conn.execute(
        "select count(*) filter (where replaces is not null and not deleted),"
        " count(*) filter (where deleted and replaces is not null), count(*) filter (where replaces is null) from news"
    ).fetchone()
    changed, deleted, added = row if row else (0, 0, 0)
    if changed or deleted:
        conn.execute(
            trusted(f"update {name} c set is_current = false from news n where c.version_id = n.replaces")
        )
    if changed or deleted or added:
        conn.execute(
            trusted(
                f"""insert into {name}
            (source_id, parent_id, modified_at, seen_at, batch_id, is_current, deleted, payload, payload_hash)
            select source_id, parent_id, modified_at, now(), %s, true, deleted,
                   case when deleted and payload = '{{}}'::jsonb then coalesce(old_payload, payload) else payload end,
                   payload_hash
            from news"""
            ),
            [batch_id],
        )
        if changed + deleted + added > MAX_LOGGED_KEYS:
            log_everything(conn, name)
            conn.execute(trusted(f"analyze {name}"))
        else:
            conn.execute(
                "insert into ops.change_log (table_name, key) select %s, source_id from news", [name]
            )
    return changed, deleted, added


def _finish(conn: Connection, batch: Batch, until: datetime | None, whole: bool) -> None:
    conn.execute(
        """
        update ops.batch set finished_at = clock_timestamp(), status = %s, received = %s, added = %s, changed = %s,
               unchanged = %s, deleted = %s, rejected = %s, message = nullif(%s, '')
        where batch_id = %s
        """,
        ["failed" if batch.error else "loaded", batch.received, batch.added, batch.changed, batch.unchanged,
         batch.deleted, batch.rejected, batch.error, batch.batch_id],
    )  # fmt: skip
    if batch.error or until is None:
        return
    conn.execute(
        """
        insert into ops.cursor (source, entity, read_until, full_read_at, swept_at)
        values (%(source)s, %(entity)s, %(until)s, %(whole)s, %(whole)s)
        on conflict (source, entity) do update set read_until = greatest(ops.cursor.read_until, excluded.read_until),
            full_read_at = coalesce(excluded.full_read_at, ops.cursor.full_read_at),
            swept_at = coalesce(excluded.swept_at, ops.cursor.swept_at)
        """,
        {"source": batch.source, "entity": batch.entity, "until": until, "whole": until if whole else None},
    )


def _settle_quarantine(conn: Connection, batch: Batch, temporary: str) -> None:
    """What was set apart before and is not now is mended, if it was read again: by a read of everything, or
    because it stood in a file that was read. Tells of the deals concerned."""
    conn.execute(
        trusted(
            f"""with mended as (
            update ops.quarantine q set resolved_at = now()
            where q.source = %(source)s and q.entity = %(entity)s and q.resolved_at is null
              and q.last_seen_at < (select started_at from ops.batch where batch_id = %(batch)s)
              and %(received)s
              and (%(full)s or exists (
                select from {temporary} i where starts_with(q.place, i.payload->>'_file' || ', ')
                                             or q.place = q.entity || ' ' || i.source_id))
            returning q.parent_id
        ), told as (
            select parent_id from mended
            union
            select parent_id from ops.quarantine where batch_id = %(batch)s
               and first_seen_at >= (select started_at from ops.batch where batch_id = %(batch)s)
        )
        insert into ops.change_log (table_name, key)
        select 'ops.quarantine', %(source)s::text || ':' || parent_id from told where parent_id is not null"""
        ),
        {
            "source": batch.source,
            "entity": batch.entity,
            "batch": batch.batch_id,
            "received": not batch.error and batch.received > 0,
            "full": batch.mode == "full",
        },
    )


def _sweep_due(warehouse: Warehouse, source: Source, entity: Entity, asked: bool, moment: datetime) -> bool:
    row = warehouse.rows(
        "select swept_at from ops.cursor where source = %s and entity = %s", [source.system, entity.name]
    )
    swept_at = row[0][0] if row else None
    if swept_at is not None and swept_at >= moment:
        return False  # this very read was whole
    if asked or swept_at is None or moment - swept_at >= SWEEP_EVERY:
        return True
    name = raw_table(source.system, entity.name)
    few = warehouse.scalar(
        f"select count(*) < %s from (select from {name} where is_current and not deleted limit %s) c",
        [SWEEP_ALWAYS_UNDER, SWEEP_ALWAYS_UNDER],
    )
    return bool(few)


def _guard(conn: Connection, system: str, entity: str, missing: str) -> str:
    """A sentence when most of an entity would be deleted at once; empty where that is not so."""
    living = _scalar(
        conn, f"select count(*) from {raw_table(system, entity)} where is_current and not deleted"
    )
    if living < GUARD_FROM:
        return ""
    # In `where`, not in a `filter`: only there does the planner join once instead of looking row by row.
    gone = _scalar(
        conn,
        f"select count(*) from {raw_table(system, entity)} c where c.is_current and not c.deleted and {missing}",
    )
    if gone <= living * GUARD_SHARE:
        return ""
    return (
        f"{system}: {gone} of {living} records of {entity} are gone at once, so none was deleted here; see whether"
        " the user of the connection lost a right, or run `sverka sync --sweep --allow-deletions` if it is true"
    )


def _sweep(
    warehouse: Warehouse, source: Source, entity: Entity, moment: datetime, run_id: str, allow_deletions: bool
) -> tuple[Batch, int]:
    """Compare the ids that live in the source with those stored; the missing ones are deleted.

    Also counts the ids that the source has and we do not.
    """
    name = raw_table(source.system, entity.name)
    with warehouse.connect() as conn:
        incoming = _open(conn, source.system, entity, "sweep", None, moment, run_id)
        count, error = 0, ""
        try:
            for keys in source.keys(entity.name):
                with conn.cursor().copy(trusted(f"copy {incoming.temporary} (source_id) from stdin")) as copy:
                    for key in keys:
                        copy.write_row((key,))
                count += len(keys)
        except SourceError as failure:
            error = str(failure)
        lock_changes(conn)
        if not error and not allow_deletions:
            missing = f"not exists (select from {incoming.temporary} i where i.source_id = c.source_id)"
            error = _guard(conn, source.system, entity.name, missing)
        condition = "false" if error else "true"
        conn.execute(
            trusted(
                f"""create temporary table news on commit drop as
            select c.source_id, c.parent_id, c.modified_at, true as deleted, c.payload, c.payload_hash,
                   c.version_id as replaces, false as was_deleted, c.payload as old_payload
            from {name} c
            where {condition} and c.is_current and not c.deleted
              and not exists (select from {incoming.temporary} i where i.source_id = c.source_id)"""
            )
        )
        _, deleted, _ = _store(conn, name, incoming.batch_id)
        unknown = _scalar(
            conn,
            f"select count(*) from {incoming.temporary} i where not exists"
            f" (select from {name} c where c.source_id = i.source_id and c.is_current and not c.deleted)",
        )
        batch = Batch(source.system, entity.name, "sweep", received=count, unchanged=count, deleted=deleted,
                      error=error, batch_id=incoming.batch_id)  # fmt: skip
        conn.execute(
            "update ops.batch set finished_at = clock_timestamp(), status = %s, received = %s, unchanged = %s,"
            " deleted = %s, message = nullif(%s, '') where batch_id = %s",
            ["failed" if error else "loaded", count, count, deleted, error, incoming.batch_id],
        )
        if not error:
            conn.execute(
                "update ops.cursor set swept_at = %s where source = %s and entity = %s",
                [moment, source.system, entity.name],
            )
        conn.execute(trusted(f"drop table news, {incoming.temporary}, {incoming.temporary}_parents"))
        conn.commit()
    return batch, 0 if error else int(unknown)


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


def _highest(conn: Connection, source: Source, group: Sequence[Entity]) -> dict[str, Any]:
    """The highest numeric id stored of each entity: records imported with old stamps lie above it."""
    found = {}
    for entity in group:
        name = raw_table(source.system, entity.name)
        highest = _scalar(
            conn,
            f"select max(source_id::bigint)::text from {name} where is_current and source_id ~ '^[0-9]{{1,18}}$'",
        )
        if highest is not None:
            found[entity.name] = highest
    return {"known_max": found}


def _contents(source: Source) -> dict[str, list[str]]:
    """Versions of the files that a file source is about to read, by entity."""
    if not hasattr(source, "known_contents"):
        return {}
    found: dict[str, list[str]] = {}
    for change in source.changes(datetime.min.replace(tzinfo=UTC)):
        found.setdefault(change.entity, []).append(change.version or "")
    return found


def _remember_contents(
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


def _scalar(conn: Connection, statement: str) -> Any:
    row = conn.execute(trusted(statement)).fetchone()
    return row[0] if row else None


__all__ = ["Batch", "Mode", "WarehouseError", "ensure_tables", "raw_table", "read_source"]
