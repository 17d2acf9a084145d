"""What a batch received, told apart from what is stored: new, changed, unchanged, deleted, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import psycopg

from pipelines.raw.batch import Batch, Incoming, ensure_indexes, raw_table, scalar
from pipelines.refresh import MAX_LOGGED_KEYS, empty, lock_changes, log_everything
from resources.warehouse import Connection, trusted

GUARD_FROM = 20  # records: fewer may go all at once
GUARD_SHARE = 0.5  # of the living; more at once is refused

# How long after we saw a version an older one can still come of a copy that lags behind, or of a slower read of ours.
# One that is there after that has won: a long transaction, which bears the time of its beginning, was committed late.
LAG = timedelta(minutes=30)

ANALYZED_FROM = 1_000  # records: of fewer the planner guesses well enough

MAX_STEPS = 100  # from a record to the survivor of all survivors

_SAID = "source_id text, parent_id text, modified_at timestamptz, deleted boolean, payload jsonb"
_TABLES = trusted(
    f"create temporary table if not exists settled ({_SAID}); create temporary table if not exists news"
    f" ({_SAID}, replaces bigint, was_deleted boolean, old_payload jsonb)"
)

# Of stored `c`: another reader stored it after this batch began, which cannot say that it is gone. What was seen later
# than now was seen by a clock that was ahead, before it.
NOT_SINCE = """(c.seen_at < (select b.started_at from ops.batch b where b.batch_id = {batch})
    or c.seen_at > clock_timestamp())"""

# Since when a stored version is so in the source.
VALID = "coalesce({of}.said_from, {of}.modified_at, {of}.seen_at)"

# Where a row of a file stands, which is no part of what it says.
PLACE = ("_file", "_row")


def settle_all(
    conn: Connection,
    system: str,
    opened: Mapping[str, Incoming],
    echo: Mapping[str, Sequence[str]],
    errors: Mapping[str, str],
    until: datetime,
    volatile: Sequence[str] = (),
) -> list[Batch]:
    """Settle all that was read together. Of most entities nothing came: those are done at once."""
    quiet = {name: incoming for name, incoming in opened.items() if incoming.is_quiet}
    _settle_quiet(conn, system, quiet, errors, until)
    return [
        Batch(system, name, incoming.mode, error=errors[name], batch_id=incoming.batch_id)
        if name in quiet
        else settle(
            conn,
            system,
            incoming,
            echo.get(name, ()),
            errors[name],
            until if incoming.asked else None,
            volatile,
        )
        for name, incoming in opened.items()
    ]


def _settle_quiet(
    conn: Connection, system: str, quiet: Mapping[str, Incoming], errors: Mapping[str, str], until: datetime
) -> None:
    if not quiet:
        return
    conn.execute(
        """
        update ops.batch b set finished_at = clock_timestamp(), status = case q.error when '' then 'loaded' else 'failed' end,
               received = 0, added = 0, changed = 0, unchanged = 0, deleted = 0, rejected = 0, message = nullif(q.error, '')
        from unnest(%s::bigint[], %s::text[]) as q(batch_id, error) where b.batch_id = q.batch_id
        """,
        [[incoming.batch_id for incoming in quiet.values()], [errors[name] for name in quiet]],
    )
    conn.execute(
        _READ_UNTIL,
        {
            "source": system,
            "entities": [name for name in quiet if not errors[name]],
            "until": until,
            "whole": None,
        },
    )


def settle(
    conn: Connection,
    system: str,
    incoming: Incoming,
    echo: Sequence[str],
    error: str,
    until: datetime | None,
    volatile: Sequence[str] = (),
) -> Batch:
    """Tell what was received apart from what is stored, and store it.

    A change of `volatile` fields alone, which the system stamps by itself, or of `echo` fields, which we write,
    is no change of the record.
    """
    name, temporary = raw_table(system, incoming.entity.name), incoming.temporary
    # A full read is the whole truth only where nothing was set apart and rows cannot lie elsewhere;
    # otherwise `keys()` decides what was deleted.
    surely = incoming.entity.deletions == "sweep" and not incoming.rejected and not incoming.parents
    whole = not error and (incoming.complete or (incoming.mode == "full" and surely))
    lock_changes(conn)
    changed = deleted = added = told = 0
    if incoming.direct:
        added = _index_first(conn, incoming, name)
    elif incoming.opened or whole:
        incoming.open(conn)
        gone = []
        if incoming.parents:
            gone.append(f"c.parent_id in (select parent_id from {temporary} where source_id is null)")
        if whole and not incoming.rejected:  # what was set apart may be any of those that did not come
            gone.append("true")
        _tell_apart(conn, name, incoming, [*PLACE, *volatile, *echo], error, told=not echo)
        told = scalar(conn, "select count(*) from news where deleted and replaces is not null")
        if whole and not incoming.complete and not incoming.allow_deletions:
            missing = (
                f"{NOT_SINCE.format(batch=incoming.batch_id)}"
                " and not exists (select from settled s where s.source_id = c.source_id)"
            )
            error = guard(conn, system, incoming.entity.name, missing)
        if gone and not error:
            conn.execute(
                trusted(
                    f"""insert into news
                select c.source_id, c.parent_id, c.modified_at, true, c.payload, c.version_id, false, c.payload
                from {name} c
                where c.is_current and not c.deleted and ({" or ".join(gone)})
                  and {NOT_SINCE.format(batch=incoming.batch_id)}
                  and not exists (select from settled s where s.source_id = c.source_id)
                  and not exists (select from ops.quarantine q where q.batch_id = %s
                                  and q.place = q.entity || ' ' || c.source_id)"""
                ),
                [incoming.batch_id],
            )
        changed, deleted, added = store(conn, name, incoming.batch_id)
        empty(conn, "settled", "news")
    if incoming.opened:
        _forget_undone(conn, system, incoming, name)
    # Also of records that are as they were: they are called otherwise from now on, or have a survivor.
    if retold := [*incoming.aliased, *_survivors_learned(conn, system, incoming)]:
        conn.execute(
            "insert into ops.change_log (table_name, key) select %s, unnest(%s::text[])", [name, retold]
        )
    batch = Batch(
        system,
        incoming.entity.name,
        incoming.mode,
        received=incoming.received,
        added=added,
        changed=changed,
        deleted=deleted,
        # What was said twice is unchanged the second time.
        unchanged=incoming.received - incoming.rejected - added - changed - told,
        rejected=incoming.rejected,
        error=error,
        batch_id=incoming.batch_id,
    )
    _finish(conn, batch, until, whole)
    came = name if incoming.direct else temporary if incoming.opened else None
    _settle_quarantine(conn, batch, came, incoming.files)
    incoming.close(conn)
    return batch


def _survivors_learned(conn: Connection, system: str, incoming: Incoming) -> list[str]:
    """Keep who was merged into whom; the records of which that is news.

    A sweep, or a webhook, may have found the loser gone before anybody told where it went. A survivor lived then: where it
    was said to have gone, by a way that leads to its loser, that was undone, and is forgotten.
    """
    if not incoming.merged:
        return []
    rows = conn.execute(
        """
        insert into ops.merged as m (source, entity, source_id, into_id)
        select %s, %s, lost, kept from unnest(%s::text[], %s::text[]) t (lost, kept)
        on conflict (source, entity, source_id) do update set into_id = excluded.into_id
        where m.into_id <> excluded.into_id
        returning source_id
        """,
        [system, incoming.entity.name, list(incoming.merged), list(incoming.merged.values())],
    ).fetchall()
    news = [lost for (lost,) in rows]
    names = {"source": system, "entity": incoming.entity.name, "news": news, "steps": MAX_STEPS}
    undone = conn.execute(_CIRCLES, names).fetchall() if news else []
    return [*news, *(kept for (kept,) in undone)]


_CIRCLES: Final = """
    with recursive way as (
        select m.source_id as lost, m.into_id as kept, m.into_id as at, 1 as steps from ops.merged m
        where m.source = %(source)s and m.entity = %(entity)s and m.source_id = any(%(news)s)
        union all
        select w.lost, w.kept, m.into_id, w.steps + 1 from way w
        join ops.merged m on m.source = %(source)s and m.entity = %(entity)s and m.source_id = w.at
        where w.at <> w.lost and w.steps < %(steps)s)
    delete from ops.merged m using way w
    where m.source = %(source)s and m.entity = %(entity)s and w.at = w.lost and m.source_id = w.kept
    returning m.source_id
"""


def _forget_undone(conn: Connection, system: str, incoming: Incoming, name: str) -> None:
    """Forget the merges of records that live again: deleted one day, they would be said to have gone into another."""
    conn.execute(
        trusted(
            f"""delete from ops.merged m using {name} c
            where m.source = %s and m.entity = %s and c.source_id = m.source_id and c.is_current and not c.deleted"""
        ),
        [system, incoming.entity.name],
    )


def _index_first(conn: Connection, incoming: Incoming, name: str) -> int:
    """Index what was copied straight into its table; of a record that came twice the newest stays. Rows kept."""
    kept = incoming.received - incoming.rejected
    try:
        with conn.transaction():
            ensure_indexes(conn, name)
    except psycopg.errors.UniqueViolation:
        kept -= conn.execute(
            trusted(
                f"""delete from {name} c using (
                select version_id, row_number() over (partition by source_id
                    order by modified_at desc nulls last, version_id desc) as place from {name}) n
                where n.version_id = c.version_id and n.place > 1"""
            )
        ).rowcount
        ensure_indexes(conn, name)
    _tell(conn, name, f"{name} where batch_id = {incoming.batch_id}", kept)
    return kept


def _tell_apart(
    conn: Connection, name: str, incoming: Incoming, ignored: Sequence[str], error: str, *, told: bool
) -> None:
    """Fill `settled`, every record received once, and `news`, what of it differs from what is stored.

    A record with an older stamp is kept beside what is current (`_keep_late`). It is news once the stored version was seen
    LAG before this batch began; one that was deleted comes back so by a full read alone.
    """
    ensure_indexes(conn, name)
    made(conn)
    conn.execute(
        trusted(
            f"""insert into settled
        select distinct on (source_id) source_id, parent_id, modified_at, deleted, payload
        from {incoming.temporary} where source_id is not null
        order by source_id, modified_at desc nulls last, position desc"""
        )
    )
    if incoming.received >= ANALYZED_FROM:
        conn.execute("analyze settled")
    # A deletion told again, without the record, is nothing new.
    same = """c.deleted = s.deleted and ((c.deleted and s.payload = '{}')
              or c.payload - %(ignored)s::text[] = s.payload - %(ignored)s::text[])"""
    conn.execute(
        trusted(
            f"""insert into news
        select s.*, c.version_id as replaces, c.deleted as was_deleted, c.payload as old_payload
        from settled s
        left join {name} c on c.source_id = s.source_id and c.is_current
        where c.version_id is null
           or (c.parent_id is distinct from s.parent_id or not ({same}))
              and (s.modified_at is null or c.modified_at is null or s.modified_at >= c.modified_at
                or not s.deleted and (%(full)s or not c.deleted) and c.seen_at < (
                    select started_at from ops.batch where batch_id = %(batch)s) - %(lag)s::interval)"""
        ),
        {"ignored": ignored, "full": incoming.mode == "full", "lag": LAG, "batch": incoming.batch_id},
    )
    # The payload stays that of the version: what is derived of it may not change without being told.
    # Where the newest of several records decides a row, a newer stamp is told; of a record that we write
    # to ourselves it is our own echo. What failed may lack the record's lines: its stamp waits.
    conn.execute(
        trusted(
            f"""with stamped as (
            update {name} c set modified_at = s.modified_at, said_from = {VALID.format(of="c")}
            from settled s where %(sound)s and c.source_id = s.source_id and c.is_current
              and c.modified_at < s.modified_at and {same}
            returning c.source_id)
        insert into ops.change_log (table_name, key) select %(name)s, source_id from stamped where %(told)s"""
        ),
        {"ignored": ignored, "sound": not error, "name": name, "told": told},
    )
    _keep_late(conn, name, incoming.batch_id, ignored)


def _keep_late(conn: Connection, name: str, batch_id: int, ignored: Sequence[str]) -> None:
    """Keep what came late and is current no more, unless the same is known of that time.

    Where the record was by then again what it had been before, that is said once more, at the later stamp.
    """
    if not scalar(
        conn,
        f"select exists (select from settled s join {name} c on c.source_id = s.source_id and c.is_current"
        f" where s.modified_at < c.modified_at and not exists (select from news n where n.source_id = s.source_id))",
    ):
        return
    conn.execute(
        trusted(
            f"""with late as (
            select s.*, c.version_id as current_id, c.modified_at as current_at, {VALID.format(of="c")} as current_from, p.payload as before
            from settled s
            join {name} c on c.source_id = s.source_id and c.is_current
            left join lateral (
                select v.*, {VALID.format(of="v")} as said_at from (
                    select * from {name} where is_current and source_id = s.source_id
                    union all select * from {name} where not is_current and source_id = s.source_id) v
                where {VALID.format(of="v")} <= s.modified_at
                order by {VALID.format(of="v")} desc, v.version_id desc limit 1) p on true
            where s.modified_at < c.modified_at
              and not exists (select from news n where n.source_id = s.source_id)
              and not (coalesce(p.said_at = s.modified_at and p.parent_id is not distinct from s.parent_id
                                and p.deleted = s.deleted, false)
                       and (p.deleted and s.payload = '{{}}'
                            or p.payload - %(ignored)s::text[] = s.payload - %(ignored)s::text[]))
        ), kept as (
            insert into {name} (source_id, parent_id, modified_at, seen_at, batch_id, is_current, deleted, payload)
            select source_id, parent_id, modified_at, now(), %(batch)s, false, deleted,
                   case when deleted and payload = '{{}}' then coalesce(before, payload) else payload end
            from late
            union all
            select c.source_id, c.parent_id, l.current_at, now(), %(batch)s, false, c.deleted, c.payload
            from late l join {name} c on c.version_id = l.current_id
            where l.current_from < l.modified_at
        )
        insert into ops.change_log (table_name, key) select %(name)s, source_id from late"""
        ),
        {"ignored": ignored, "name": name, "batch": batch_id},
    )


def made(conn: Connection) -> None:
    """Make sure of the temporary tables `settled` and `news`, which are empty between batches."""
    conn.execute(_TABLES)


def store(conn: Connection, name: str, batch_id: int) -> tuple[int, int, int]:
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
            (source_id, parent_id, modified_at, seen_at, batch_id, is_current, deleted, said_from, payload)
            select n.source_id, n.parent_id, n.modified_at, now(), %s, true, n.deleted,
                   -- What takes the place of a version follows it, whatever its stamp says; of what is found to be gone
                   -- the stamp is that of its last change.
                   case when coalesce(n.modified_at, now()) < {VALID.format(of="o")}
                          or n.deleted and n.modified_at <= {VALID.format(of="o")}
                        then greatest(now(), {VALID.format(of="o")}) end,
                   case when n.deleted and n.payload = '{{}}'::jsonb then coalesce(n.old_payload, n.payload) else n.payload end
            from news n left join {name} o on o.version_id = n.replaces"""
            ),
            [batch_id],
        )
        _tell(conn, name, "news", changed + deleted + added)
    return changed, deleted, added


def _tell(conn: Connection, name: str, rows: str, count: int) -> None:
    """Tell consumers of a raw table's new versions: each, or, of many, that everything may have changed."""
    if count > MAX_LOGGED_KEYS:
        log_everything(conn, name)
        conn.execute(trusted(f"analyze {name}"))
    else:
        conn.execute(
            trusted(f"insert into ops.change_log (table_name, key) select %s, source_id from {rows}"), [name]
        )


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
        _READ_UNTIL,
        {
            "source": batch.source,
            "entities": [batch.entity],
            "until": until,
            "whole": until if whole else None,
        },
    )


_READ_UNTIL: Final = """
    insert into ops.cursor (source, entity, read_until, full_read_at, swept_at)
    select %(source)s, read.entity, %(until)s::timestamptz, %(whole)s::timestamptz, %(whole)s::timestamptz
    from unnest(%(entities)s::text[]) as read(entity)
    on conflict (source, entity) do update set read_until = greatest(ops.cursor.read_until, excluded.read_until),
        full_read_at = coalesce(excluded.full_read_at, ops.cursor.full_read_at),
        swept_at = coalesce(excluded.swept_at, ops.cursor.swept_at)
"""


def _settle_quarantine(conn: Connection, batch: Batch, came: str | None, files: Sequence[str]) -> None:
    """What was set apart before and is not now is mended, if it was read again: by a read of everything, by
    itself, or in its file, whatever became of other files. Tells of the deals concerned."""
    itself = (
        f"exists (select from {came} i where q.place = q.entity || ' ' || i.source_id)" if came else "false"
    )
    conn.execute(
        trusted(
            f"""with mended as (
            update ops.quarantine q set resolved_at = now()
            where q.source = %(source)s and q.entity = %(entity)s and q.resolved_at is null
              and q.last_seen_at < (select started_at from ops.batch where batch_id = %(batch)s)
              and (%(full)s
                or regexp_replace(q.place, ', (line|row) [0-9]+$', '') = any(%(files)s::text[])
                or {itself})
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
            "files": files,
            "full": batch.mode == "full" and not batch.error,
        },
    )


def guard(conn: Connection, system: str, entity: str, missing: str) -> str:
    """A sentence when most of an entity would be deleted at once; empty where that is not so."""
    living = scalar(
        conn, f"select count(*) from {raw_table(system, entity)} where is_current and not deleted"
    )
    if living < GUARD_FROM:
        return ""
    # In `where`, not in a `filter`: only there does the planner join once instead of looking row by row.
    gone = scalar(
        conn,
        f"select count(*) from {raw_table(system, entity)} c where c.is_current and not c.deleted and {missing}",
    )
    if gone <= living * GUARD_SHARE:
        return ""
    return (
        f"{system}: {gone} of {living} records of {entity} are gone at once, so none was deleted here; see whether"
        " the user of the connection lost a right, or run `sverka sync --sweep --allow-deletions` if it is true"
    )
