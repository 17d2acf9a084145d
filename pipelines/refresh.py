"""Bring a table up to date: rebuild the scopes that a change upstream touches, and only those.

One statement makes the rows of any set of scopes, so an increment and a rebuild run the same SQL
and differ only in the set (law 2), and the work grows with what changed (law 11). What really
differs is written and told to consumers through `ops.change_log`; rows that come out equal are
left alone, so a quiet upstream stays quiet all the way down (law 6).

All of it happens in the caller's transaction: a crash leaves the table and its watermarks as they were.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from psycopg import Connection

from pipelines.history import (
    History,
    first_times,
    keep_late,
    keep_not_refilled,
    keep_replaced,
    take_the_time,
    tell_known,
    times_of_what_comes,
)
from pipelines.table import Table
from resources.warehouse import trusted

EVERYTHING = "*"
MAX_LOGGED_KEYS = 50_000  # beyond it a change is told as "everything": cheaper than its list
LARGE = 50_000  # scopes, from which on memory and bulk are worth their setting up
LARGE_BYTES = 16_000_000  # of what a table is made from: about as many scopes
WORK_MEMORY = "256MB"  # of one sort or join of such a refresh: what does not fit goes to the disk and back
MANY_SCOPES = 500  # from so many on, a bad plan costs more than fresh statistics
FEW_BYTES = 1_000_000  # that a temporary table may take before truncating it costs less than deleting


@dataclass(frozen=True, slots=True)
class RawRead:
    """One raw table that a mapping reads into this table: compiled statements."""

    raw_table: str  # "raw.bitrix24_deal"
    changed: str
    all: str
    rows: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a refresh did. Counts are rows; `scopes` is how many scope keys were rebuilt."""

    table: str
    scopes: int
    written: int
    removed: int

    @property
    def quiet(self) -> bool:
        return self.written == 0 and self.removed == 0

    def after(self, earlier: Outcome) -> Outcome:
        """Both refreshes of one table as one."""
        return Outcome(
            self.table,
            self.scopes + earlier.scopes,
            self.written + earlier.written,
            self.removed + earlier.removed,
        )


def refresh(
    conn: Connection,
    table: Table,
    sources: Sequence[RawRead] = (),
    *,
    everything: bool = False,
    before_rows: Callable[[Connection], None] | None = None,
    history: History | None = None,
) -> Outcome:
    """Refresh one table from what changed since its watermarks; `everything` rebuilds it whole.

    `before_rows` runs once the temporary table `scope(key)` is filled (value cleaning). `history`: of a table that
    mappings fill, how late versions are told; without it only what is replaced is kept.
    """
    lock_changes(conn)
    pending = _pending(conn, table, sources)
    if not pending and not everything:
        return Outcome(table.name, 0, 0, 0)
    rebuild = everything or _means_everything(table, pending)
    scopes = _fill_scope(conn, table, sources, pending, rebuild)
    first = rebuild and _is_empty(conn, table.name)
    if scopes >= LARGE:
        conn.execute(trusted(f"set local work_mem = '{WORK_MEMORY}'"))
    if scopes and before_rows is not None:
        before_rows(conn)
    written, removed = _write(conn, table, sources, history, first=first, scopes=scopes)
    _advance(conn, table, pending, sources)
    return Outcome(table.name, scopes, written, removed)


def stirred(conn: Connection, upstreams: Mapping[str, Collection[str]]) -> set[str]:
    """Which of these tables (by name, what each reads) have news that they have not seen: the others need no look.

    Asked without the lock: news that is being written is seen by the next look, since no watermark moves here.
    """
    pairs = [(consumer, upstream) for consumer, read in upstreams.items() for upstream in read]
    rows = conn.execute(
        """
        select distinct p.consumer from unnest(%s::text[], %s::text[]) as p(consumer, upstream)
        left join ops.watermark w using (consumer, upstream)
        where w.seq is null
           or exists (select from ops.change_log log where log.table_name = p.upstream and log.seq > w.seq)
        """,
        [[consumer for consumer, _ in pairs], [upstream for _, upstream in pairs]],
    ).fetchall()
    return {name for (name,) in rows}


@contextlib.contextmanager
def changed_scope(conn: Connection, consumer: Table, *, everything: bool = False) -> Iterator[int]:
    """For what Python works out: the temporary table `scope(key)` of what changed, and how many keys.

    Watermarks advance when the block ends; an error leaves them, with the transaction, as they were.
    """
    lock_changes(conn)
    pending = _pending(conn, consumer, ())
    if not pending and not everything:
        empty_scope(conn)
        yield 0
        return
    rebuild = everything or _means_everything(consumer, pending)
    yield _fill_scope(conn, consumer, (), pending, rebuild)
    _advance(conn, consumer, pending, ())


def empty_scope(conn: Connection) -> None:
    """Make sure of an empty temporary table `scope(key)`, and of `change(key)` beside it."""
    conn.execute(
        "create temporary table if not exists scope (key text primary key);"
        " create temporary table if not exists change (key text primary key)"
    )
    empty(conn, "scope", "change")


def empty(conn: Connection, *names: str) -> None:
    """Empty temporary tables that stay for as long as the connection does: making, dropping or truncating a table
    costs ten times what deleting a few rows does."""
    for name in names:
        row = conn.execute(trusted(f"select pg_relation_size('{name}') > {FEW_BYTES}")).fetchone()
        conn.execute(trusted(f"truncate {name}" if row and row[0] else f"delete from {name}"))


def lock_changes(conn: Connection) -> None:
    """Let writers of `ops.change_log` take turns, so that a seq read is a seq committed."""
    conn.execute("select ops.lock_changes()")


def log_everything(conn: Connection, *names: str) -> None:
    """Tell consumers that everything under these names may have changed."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into ops.change_log (table_name, key) values (%s, %s)", [(n, EVERYTHING) for n in names]
        )


def prune_changes(conn: Connection) -> int:
    """Forget what every consumer has seen. Returns the number of rows forgotten."""
    lock_changes(conn)
    return conn.execute(
        """
        delete from ops.change_log log using (
            select upstream, min(seq) as seen from ops.watermark group by upstream) w
        where log.table_name = w.upstream and log.seq <= w.seen
        """
    ).rowcount


@dataclass(frozen=True, slots=True)
class _Pending:
    until: int
    since: int
    all: bool


def _means_everything(table: Table, pending: Mapping[str, _Pending]) -> bool:
    return any(change.all for change in pending.values()) or any(
        not changed.sql and changed.upstream in pending for changed in table.changed
    )


def upstreams_of(table: Table, sources: Sequence[RawRead] = ()) -> list[str]:
    """The names in `ops.change_log` of what a table reads."""
    return [*(c.upstream for c in table.changed), *dict.fromkeys(s.raw_table for s in sources)]


def _pending(conn: Connection, table: Table, sources: Sequence[RawRead]) -> dict[str, _Pending]:
    rows = conn.execute(
        """
        select u.name, coalesce(newest.seq, 0), coalesce(w.seq, 0),
               w.seq is null
               or exists (select from ops.change_log log
                           where log.table_name = u.name and log.seq > w.seq and log.key = '*')
        from (select distinct name from unnest(%s::text[]) as given(name)) u
        left join ops.watermark w on w.consumer = %s and w.upstream = u.name
        left join lateral (
            -- Only the end of the log is looked at, however much other tables have not seen yet.
            select log.seq from ops.change_log log
            where log.table_name = u.name and log.seq > coalesce(w.seq, 0)
            order by log.table_name desc, log.seq desc limit 1
        ) newest on true
        where newest.seq is not null or w.seq is null
        """,
        [upstreams_of(table, sources), table.name],
    ).fetchall()
    return {name: _Pending(until, since, everything) for name, until, since, everything in rows}


def _fill_scope(
    conn: Connection,
    table: Table,
    sources: Sequence[RawRead],
    pending: Mapping[str, _Pending],
    rebuild: bool,
) -> int:
    empty_scope(conn)
    if rebuild:
        statements = [table.all_sql] if table.all_sql else []
        statements += [source.all for source in sources]
        if table.scope:
            statements.append(f"select distinct {table.scope}::text as key from {table.name}")
        _add_every_scope(conn, table, sources, statements)
    else:
        by_upstream: dict[str, list[str]] = {}
        for changed in table.changed:
            by_upstream.setdefault(changed.upstream, []).append(changed.sql)
        for source in sources:
            by_upstream.setdefault(source.raw_table, []).append(source.changed)
        for upstream, window in pending.items():
            conn.execute("delete from change")
            conn.execute(
                "insert into change select distinct key from ops.change_log"
                " where table_name = %s and seq > %s and seq <= %s",
                [upstream, window.since, window.until],
            )
            conn.execute("analyze change")
            for statement in by_upstream.get(upstream, []):
                if statement:
                    _add_scope(conn, statement)
    conn.execute("analyze scope")
    row = conn.execute("select count(*) from scope").fetchone()
    scopes = int(row[0]) if row else 0
    if scopes >= MANY_SCOPES:
        _refresh_statistics(
            conn, {changed.table for changed in table.changed} | {s.raw_table for s in sources}
        )
    return scopes


def _refresh_statistics(conn: Connection, names: Collection[str]) -> None:
    """Analyze what was written since it was last analyzed: the planner knows nothing of a table just filled,
    and joined 8,000 documents row by row for 100 s that take it 1 s. What was analyzed by the transaction that filled it
    counts as written since; it is known by its number of rows."""
    stale = conn.execute(
        """
        select format('%%I.%%I', s.schemaname, s.relname)
        from pg_stat_all_tables s join pg_class c on c.oid = s.relid
        where s.schemaname || '.' || s.relname = any(%s) and s.n_mod_since_analyze > greatest(500, s.n_live_tup / 5)
          and not (s.last_analyze is not null and s.n_tup_upd = 0 and s.n_tup_del = 0 and c.reltuples >= s.n_live_tup * 0.8)
        """,
        [list(names)],
    ).fetchall()
    for (name,) in stale:
        conn.execute(trusted(f"analyze {name}"))


def _add_scope(conn: Connection, statement: str) -> None:
    conn.execute(
        trusted(
            f"insert into scope select key::text from ({statement}) s where key is not null on conflict do nothing"
        )
    )


def _add_every_scope(
    conn: Connection, table: Table, sources: Sequence[RawRead], statements: Sequence[str]
) -> None:
    """All scopes at once. Of many, the key is made when they are in: in no order, a key for each row costs several times that."""
    names = {table.name, *table.upstreams, *(source.raw_table for source in sources)}
    row = conn.execute(
        "select sum(pg_relation_size(to_regclass(name))) from unnest(%s::text[]) as given(name)",
        [list(names)],
    ).fetchone()
    if not row or (row[0] or 0) < LARGE_BYTES:
        for statement in statements:
            _add_scope(conn, statement)
        return
    every = " union ".join(f"select key::text from ({statement}) s" for statement in statements)
    conn.execute(trusted(f"set local work_mem = '{WORK_MEMORY}'"))
    conn.execute("alter table scope drop constraint scope_pkey")
    conn.execute(trusted(f"insert into scope select key from ({every}) s where key is not null"))
    conn.execute("alter table scope add primary key (key)")


def _select(table: Table, sources: Sequence[RawRead]) -> str:
    """The rows of the scope, columns in the table's order."""
    if table.rows == "mapping":
        if not sources:
            columns = ", ".join(f"null::{c.type} as {c.name}" for c in table.columns)
            if table.has_versions:
                columns += (
                    ", null::timestamptz as _valid, null::timestamptz as _changed, null::timestamptz as _seen"
                )
            return f"select {columns} where false"
        return "\nunion all\n".join(f"({source.rows})" for source in sources)
    return table.rows_sql


def _columns(table: Table) -> str:
    return ", ".join(column.name for column in table.columns)


def _write(
    conn: Connection,
    table: Table,
    sources: Sequence[RawRead] = (),
    history: History | None = None,
    *,
    first: bool = False,
    scopes: int = 1,
) -> tuple[int, int]:
    """Bring the rows of `scope` up to date, where it holds any, and keep what they said; rows (written, removed)."""
    versions = (history or History(())) if table.has_versions else None
    if versions:
        take_the_time(conn)
    written = removed = 0
    if scopes and first:
        written = _first_load(conn, table, sources, bulk=scopes >= LARGE)
    elif scopes:
        written, removed = _replace(conn, table, sources, versions)
    if versions:
        told = keep_not_refilled(conn, table) if first else 0
        if table.is_told_by_sources:
            told += keep_late(conn, table, versions, first=first)
        if first or written or removed or told:
            tell_known(conn, table, wrote=bool(written or removed or told))
    return written, removed


def _first_load(conn: Connection, table: Table, sources: Sequence[RawRead], *, bulk: bool = False) -> int:
    """Fill an empty table. `bulk`: its keys and indexes are made when it is full, not row by row; and where nobody
    copies the server's log (`wal_level = minimal`, as the embedded server has it), the rows are not written to it."""
    indexes: list[str] = []
    if bulk:
        indexes = _taken_off(conn, table)
        conn.execute(trusted(f"truncate {table.name}"))  # a table begun in this transaction needs no log
    names, into, beside, clock = _columns(table), "", "", ""
    if table.has_versions:
        into, beside, clock = _times(table), f", {first_times(conn, table)}", " cross join clock"
    listed = ", ".join(f"r.{column.name}" for column in table.columns)
    count = conn.execute(
        trusted(
            f"insert into {table.name} ({names}{into}) select {listed}{beside} from (\n{_select(table, sources)}\n) r{clock}"
        )
    ).rowcount
    for statement in indexes:
        conn.execute(trusted(statement))
    conn.execute(trusted(f"analyze {table.name}"))
    log_everything(conn, table.name, *(f"{table.name}.{column}" for column in table.emits))
    return count


def _taken_off(conn: Connection, table: Table) -> list[str]:
    """Drop the primary key of a table and its indexes, but for others that say what may not be twice; the statements that
    make them again. A key that something else rests on (a view, a foreign key) stays."""
    taken = conn.execute(
        """
        select format('drop index %%s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid)
        from pg_index i where i.indrelid = %(table)s::regclass and not i.indisunique
        union all
        select format('alter table %%s drop constraint %%I', c.conrelid::regclass, c.conname),
               format('alter table %%s add constraint %%I %%s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))
        from pg_constraint c
        where c.conrelid = %(table)s::regclass and c.contype = 'p'
          and not exists (
              select from pg_depend d
              where d.deptype = 'n' and ((d.refclassid = 'pg_constraint'::regclass and d.refobjid = c.oid)
                                         or (d.refclassid = 'pg_class'::regclass and d.refobjid = c.conindid)))
        order by 2
        """,
        {"table": table.name},
    ).fetchall()
    for drop, _ in taken:
        conn.execute(trusted(drop))
    return [again for _, again in taken]


def _times(table: Table, alias: str = "") -> str:
    """SQL, begun with a comma: the times of a row."""
    return "".join(f", {alias}{name}" for name in table.times)


def _replace(
    conn: Connection, table: Table, sources: Sequence[RawRead], history: History | None
) -> tuple[int, int]:
    names, key, into = _columns(table), table.key, _times(table)
    casts = ", ".join(f"r.{c.name}::{c.type} as {c.name}" for c in table.columns)
    made, stood, came, gone = casts, f"{names}{into}", "came.*", "gone.*"
    came_of = gone_of = ""
    if history:  # compared without their times, and told with them
        gone = f"gone.*{_times(table, 's.')}, f.{key} is null as is_absent"
        gone_of = f" join stored s on s.{key} = gone.{key} left join fresh f on f.{key} = gone.{key}"
        times, came_of = times_of_what_comes(table)
        came = f"came.*, {times}, false"
        if table.is_told_by_sources:
            made = f"{casts}, r._valid, r._changed"
    conn.execute(
        trusted(
            f"""create temporary table differing on commit drop as
        with fresh as materialized (select {made} from (\n{_select(table, sources)}\n) r),
        stored as materialized (
            select {stood} from {table.name} where {table.scope}::text in (select key from scope))
        select false as came, {gone} from (select {names} from stored except all select {names} from fresh) gone{gone_of}
        union all
        select true, {came} from (select {names} from fresh except all select {names} from stored) came{came_of}"""
        )
    )
    if history:
        keep_replaced(conn, table, history)
    removed = conn.execute(
        trusted(f"delete from {table.name} t using differing d where not d.came and t.{key} = d.{key}")
    ).rowcount
    written = conn.execute(
        trusted(f"insert into {table.name} ({names}{into}) select {names}{into} from differing where came")
    ).rowcount
    if removed or written:
        _log(conn, table.name, table.scope)
        for column in table.emits:
            _log(conn, f"{table.name}.{column}", column)
    conn.execute("drop table differing")
    return written, removed


def _log(conn: Connection, name: str, column: str) -> None:
    told = conn.execute(
        trusted(
            f"""with touched as materialized (select distinct coalesce({column}::text, '-') as key from differing)
        insert into ops.change_log (table_name, key)
        select %s, key from touched where (select count(*) from touched) <= %s"""
        ),
        [name, MAX_LOGGED_KEYS],
    ).rowcount
    if not told:
        log_everything(conn, name)


def _advance(
    conn: Connection, table: Table, pending: Mapping[str, _Pending], sources: Sequence[RawRead]
) -> None:
    last = conn.execute("select coalesce(max(seq), 0) from ops.change_log").fetchone()
    newest = int(last[0]) if last else 0
    rows = [
        (table.name, name, pending[name].until if name in pending else None, newest)
        for name in upstreams_of(table, sources)
    ]
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            insert into ops.watermark (consumer, upstream, seq) values (%s, %s, coalesce(nullif(%s, 0), %s))
            on conflict (consumer, upstream) do update set seq = greatest(ops.watermark.seq, excluded.seq)
            """,
            [row for row in rows if row[1] in pending],
        )


def _is_empty(conn: Connection, name: str) -> bool:
    row = conn.execute(trusted(f"select not exists (select from {name})")).fetchone()
    return bool(row and row[0])


def refresh_scopes(
    conn: Connection,
    table: Table,
    keys: Sequence[str],
    before_rows: Callable[[Connection], None] | None = None,
) -> Outcome:
    """Rebuild the named scopes of a table, whatever changed. The watermarks stay where they are."""
    lock_changes(conn)
    empty_scope(conn)
    conn.execute("insert into scope select distinct unnest(%s::text[])", [list(keys)])
    conn.execute("analyze scope")
    if before_rows is not None:
        before_rows(conn)
    return Outcome(table.name, len(set(keys)), *_write(conn, table))


def rebuild_scope(conn: Connection, table: Table) -> Outcome:
    """Rebuild the scopes that the temporary table `scope(key)` holds. The watermarks stay where they are."""
    lock_changes(conn)
    row = conn.execute("select count(*) from scope").fetchone()
    scopes = int(row[0]) if row else 0
    return Outcome(table.name, scopes, *_write(conn, table, first=_is_empty(conn, table.name)))
