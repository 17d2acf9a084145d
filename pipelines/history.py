"""What a row said before, in two times: valid by the source's time, known by ours.

A row that mappings fill carries since when it is valid (`said_from`) and since when it is known (`known_from`); one that is
worked out here (`@known`) the second alone. When it is replaced or goes, what it said is kept in `ops.row_version`; a row
that never changed has no version there, so a first load writes none. What a source tells late (a version of a raw record
that was never current when a table was refreshed) is read by the mapping's own statement as of its own valid time, and
known from now.

As of (valid V, known K) a record is its version with the latest `said_from` up to V among those known by K; of several
the one known last. A version without a row says that there was none. A changed rule or cleaning is a change of our
reading: valid as the source's version is, known from the refresh on; what was known before stays as it was read.
What is worked out here is valid since ever (NEVER): only when we knew it tells its versions apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from psycopg import Connection

from pipelines.table import Table, tables
from resources.warehouse import trusted

MAX_LOGGED_SCOPES = 50_000  # beyond it late versions are told as "everything"
NEVER = "'-infinity'::timestamptz"
"""SQL: of a row that somebody wrote by hand, without its times, too."""


@dataclass(frozen=True, slots=True)
class RawVersions:
    """What one raw table says of earlier versions of its records: compiled statements (`CompiledVersions`)."""

    raw_table: str
    times: str
    moments: str
    after: str
    rows: str


@dataclass(frozen=True, slots=True)
class History:
    """How the versions of a table are told. `clean` runs once `moment(key, row_key, at, seen_at)` is filled."""

    sources: Sequence[RawVersions]
    clean: Callable[[Connection], None] | None = None


def first_times(conn: Connection, table: Table) -> str:
    """SQL of the times of rows `r` that an empty table is filled with.

    What stood in raw before the table was ever filled is known since raw saw it.
    """
    if not table.is_told_by_sources:
        return "clock.now"
    before = conn.execute(
        "select exists (select from ops.row_version where table_name = %(name)s)"
        " or exists (select from ops.version_mark where table_name = %(name)s)",
        {"name": table.name},
    ).fetchone()
    if before == (False,):
        return "coalesce(r._valid, clock.now), coalesce(r._seen, clock.now)"
    latest = _latest(table, "r")
    return f"coalesce(greatest(r._changed, {latest}), clock.now), clock.now"


def times_of_what_comes(table: Table) -> tuple[str, str]:
    """SQL: the times of a row `came` that replaces others or is new, and the joins that they need, behind `came`.

    `fresh` are the rows as they are made now, with `_valid` and `_changed`, `stored` those of the table.
    """
    if not table.is_told_by_sources:
        return "clock.now", " cross join clock"
    key = table.key
    return (
        "coalesce(greatest(case when p.latest is null then f._valid else f._changed end, p.latest), clock.now), clock.now",
        f""" cross join clock join fresh f on f.{key} = came.{key} left join stored s on s.{key} = came.{key}
        cross join lateral (select greatest(
            {_latest(table, "came")}, case when s.{key} is not null then coalesce(s.said_from, {NEVER}) end) as latest) p""",
    )


def keep_replaced(conn: Connection, table: Table, history: History) -> None:
    """Keep what the rows of `differing` said that go; `is_absent`: they do not come again."""
    columns = ", ".join(f"d.{column.name}" for column in table.columns)
    gone = conn.execute(
        trusted(
            f"""insert into ops.row_version (table_name, key, scope, said_from, known_from, row)
        select '{table.name}', d.{table.key}, {_scope(table, "d")}, {since(table, "d")},
               (select to_jsonb(r) from (select {columns}) r)
        from differing d where not d.came
        on conflict do nothing"""
        )
    ).rowcount
    if gone:
        _keep_absent(conn, table, history)


def _keep_absent(conn: Connection, table: Table, history: History) -> None:
    """Of rows that go and do not come again: since when the source has them no more."""
    row = conn.execute("select exists (select from differing where is_absent)").fetchone()
    if not (row and row[0]):
        return
    if not table.is_told_by_sources:
        conn.execute(
            trusted(
                f"""insert into ops.row_version (table_name, key, scope, said_from, known_from, row)
            select '{table.name}', d.{table.key}, {_scope(table, "d")}, {NEVER}, clock.now, null
            from clock, differing d where d.is_absent"""
            )
        )
        return
    times = " union all ".join(source.times for source in history.sources)
    times = times or "select null::text as row_key, null::text as scope_key, null::timestamptz as at"
    conn.execute(
        trusted(
            f"""with gone as materialized (
            select d.{table.key} as key, d.{table.scope}::text as scope from differing d where d.is_absent
        ), times as materialized ({times})
        insert into ops.row_version (table_name, key, scope, said_from, known_from, row)
        select '{table.name}', d.key, d.scope, greatest(coalesce(t.at, clock.now), {_latest(table, "d", "key")}), clock.now, null
        from clock, gone d
        left join lateral (
            select max(t.at) as at from times t where t.row_key = d.key or t.scope_key = d.scope) t on true
        on conflict do nothing"""
        )
    )


def keep_late(conn: Connection, table: Table, history: History, *, first: bool) -> int:
    """Tell of raw versions that came since the last refresh and are not current; how many versions that makes.

    At the very first (`first`, and no mark yet) all that raw holds, known since raw saw them.
    """
    told = 0
    for raw_table in dict.fromkeys(source.raw_table for source in history.sources):
        row = conn.execute(
            trusted(
                f"""select m.version_id, coalesce((select max(version_id) from {raw_table}), 0), exists (
                select from {raw_table} r where not r.is_current and r.version_id > coalesce(m.version_id, 0))
            from (select) one left join ops.version_mark m on m.table_name = %s and m.raw_table = %s"""
            ),
            [table.name, raw_table],
        ).fetchone()
        mark, newest, are_late = row or (None, 0, False)
        if are_late:
            late = f"select version_id from {raw_table} where not is_current and version_id > {mark or 0}"
            told += _late_of(conn, table, history, raw_table, late, known_since_seen=first and mark is None)
        if newest != mark:
            conn.execute(
                "insert into ops.version_mark (table_name, raw_table, version_id) values (%s, %s, %s)"
                " on conflict (table_name, raw_table) do update set version_id = excluded.version_id",
                [table.name, raw_table, newest],
            )
    return told


def _late_of(
    conn: Connection, table: Table, history: History, raw_table: str, late: str, *, known_since_seen: bool
) -> int:
    """`late`: SQL of the versions."""
    conn.execute(
        "create temporary table if not exists late (version_id bigint primary key);"
        " create temporary table if not exists moment (key text, row_key text, at timestamptz, seen_at timestamptz)"
    )
    conn.execute("truncate late")
    conn.execute(trusted(f"insert into late {late}"))
    conn.execute("analyze late")
    sources = [source for source in history.sources if source.raw_table == raw_table]
    told = 0
    for moments in ([s.moments for s in sources], [s.after for s in sources]):
        conn.execute("truncate moment")
        conn.execute(
            trusted(
                "insert into moment select key, row_key, at, min(seen_at) from ("
                + " union all ".join(moments)
                + ") m where key is not null group by key, row_key, at"
            )
        )
        conn.execute("analyze moment")
        if history.clean is not None:
            history.clean(conn)
        if kept := _told(conn, table, history, "m.seen_at" if known_since_seen else "clock.now"):
            _log_versions(conn, table)
        told += kept
    return told


def _log_versions(conn: Connection, table: Table) -> None:
    """Tell those who read a table's versions (`@changed core.deal.versions`) of the scopes in `moment`: its rows need not differ."""
    name = f"{table.name}.versions"
    if any(changed.upstream == name for other in tables().values() for changed in other.changed):
        conn.execute(
            "with touched as materialized (select distinct key from moment)"
            " insert into ops.change_log (table_name, key)"
            " select %(name)s, key from touched where (select count(*) from touched) <= %(most)s"
            " union all select %(name)s, '*' where (select count(*) from touched) > %(most)s",
            {"name": name, "most": MAX_LOGGED_SCOPES},
        )


def _told(conn: Connection, table: Table, history: History, known: str) -> int:
    """Keep what the rows of `moment` were at that time, where it is not what is known of it."""
    columns = ", ".join(f"r.{c.name}::{c.type} as {c.name}" for c in table.columns)
    rows = "\nunion all\n".join(f"({source.rows})" for source in history.sources)
    return conn.execute(
        trusted(
            f"""with told as materialized (
            select r.{table.key} as key, r._scope as scope, r._at as at,
                   (select to_jsonb(w) from (select {columns}) w) as row
            from (\n{rows}\n) r
        ), known as materialized (
            select m.key as scope, t.{table.key} as key from (select distinct key from moment) m
            join {table.name} t on t.{table.scope}::text = m.key
            union
            select m.key, v.key from (select distinct key from moment) m
            join ops.row_version v on v.table_name = '{table.name}' and v.scope = m.key
        ), said as (
            select key, scope, at, row from told
            union all
            select k.key, m.key, m.at, null from moment m
            join known k on k.scope = m.key and k.key = coalesce(m.row_key, k.key)
            where not exists (select from told t where t.key = k.key and t.at = m.at)
        )
        insert into ops.row_version (table_name, key, scope, said_from, known_from, row)
        select '{table.name}', s.key, s.scope, s.at, {known}, s.row
        from said s
        join moment m on m.key = s.scope and m.at = s.at and s.key = coalesce(m.row_key, s.key)
        cross join clock
        left join lateral ({_as_of(table, "s.key", "s.at")}) o on true
        where o.row is distinct from s.row and (s.row is not null or o.row ->> '{table.scope}' = s.scope)
        on conflict do nothing"""
        )
    ).rowcount


def _as_of(table: Table, key: str, at: str) -> str:
    """SQL: what is known by now of a key as of a time, as JSON; no row where nothing is."""
    columns = ", ".join(f"t.{column.name}" for column in table.columns)
    return f"""select x.row from (
            select v.row, v.said_from, v.known_from from ops.row_version v
            where v.table_name = '{table.name}' and v.key = {key} and v.said_from <= {at}
            union all
            select (select to_jsonb(r) from (select {columns}) r), t.said_from, t.known_from from {table.name} t
            where t.{table.key} = {key} and t.said_from <= {at}) x
        order by x.said_from desc, x.known_from desc limit 1"""


def _latest(table: Table, alias: str, key: str = "") -> str:
    """SQL: since when the newest version of the row `alias` is valid; null where there is none."""
    return (
        f"(select max(v.said_from) from ops.row_version v"
        f" where v.table_name = '{table.name}' and v.key = {alias}.{key or table.key})"
    )


def take_the_time(conn: Connection) -> None:
    """The moment from which on what this transaction finds is known, in `clock`; behind the lock of changes."""
    conn.execute(
        "create temporary table if not exists clock (now timestamptz);"
        " delete from clock; insert into clock select clock_timestamp()"
    )


def tell_known(conn: Connection, table: Table, *, wrote: bool) -> None:
    """Note the moment of `clock`: since then the table knows something, or (`wrote`) something more."""
    conn.execute(
        """
        insert into ops.known_moment (table_name, first_at, last_at) select %s, now, now from clock
        on conflict (table_name) do update set last_at = excluded.last_at where %s
        """,
        [table.name, wrote],
    )


def keep_before_it_goes(conn: Connection, table: Table) -> None:
    """Keep all rows of a table that is about to be made anew in another shape."""
    there = conn.execute(
        "select array_agg(attname::text) from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
        [table.name],
    ).fetchone()
    names = set((there and there[0]) or ())
    if not {table.key, table.scope, *table.times} <= names:
        return
    conn.execute(
        trusted(
            f"""insert into ops.row_version (table_name, key, scope, said_from, known_from, row)
        select '{table.name}', t.{table.key}, {_scope(table, "t")}, {since(table, "t")},
               to_jsonb(t) - array['said_from', 'known_from']
        from {table.name} t on conflict do nothing"""
        )
    )


def keep_not_refilled(conn: Connection, table: Table) -> int:
    """Of a table that was made anew and filled again: what it said before and says no more is gone since now."""
    return conn.execute(
        trusted(
            f"""insert into ops.row_version (table_name, key, scope, said_from, known_from, row)
        select '{table.name}', v.key, v.scope,
               {"greatest(clock.now, v.said_from)" if table.is_told_by_sources else NEVER}, clock.now, null
        from clock, (
            select distinct on (key) key, scope, said_from, row from ops.row_version where table_name = '{table.name}'
            order by key desc, said_from desc, known_from desc) v
        where v.row is not null and not exists (select from {table.name} t where t.{table.key} = v.key)
        on conflict do nothing"""
        )
    ).rowcount


def _scope(table: Table, alias: str) -> str:
    """SQL: what is told of late is looked up by the scope that a row was in."""
    return f"{alias}.{table.scope}::text" if table.is_told_by_sources else "null"


def since(table: Table, alias: str) -> str:
    """SQL of `said_from, known_from` of the row `alias`."""
    said = f"coalesce({alias}.said_from, {NEVER})" if table.is_told_by_sources else NEVER
    return f"{said}, coalesce({alias}.known_from, {NEVER})"
