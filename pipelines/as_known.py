"""What a table said, as PostgreSQL shows it: functions of a time, and a view of all versions.

    core.deal_as_of(valid, known)     the rows as of a time in the source, as known at a time of ours
    ledger.payment_as_known(known)    the rows as the table had them at a time of ours; `infinity`: as it has them
    core.deal_versions                every version, with its times as intervals
    core.deal_versions_as_known(known)  those that were known at a time of ours, with the intervals that they had then

Of `infinity` nothing but the table itself is read, so what shows the present by these functions costs no more than the
table does.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from pipelines.history import NEVER
from pipelines.table import VERSION_COLUMNS, Table


def functions(table: Table) -> Sequence[str]:
    """DDL of all that shows what a table said; made anew where it was there."""
    both = [_as_of(table)] if table.is_told_by_sources else []
    made = [*both, _as_known(table), _versions(table)]
    return [*made, _versions_as_known(table)] if both else made


def names(table: Table) -> Sequence[str]:
    """Signatures of these functions, as `to_regprocedure` reads them."""
    both = (
        [f"{table.name}_as_of(timestamptz,timestamptz)", f"{table.name}_versions_as_known(timestamptz)"]
        if table.is_told_by_sources
        else []
    )
    return [*both, f"{table.name}_as_known(timestamptz)"]


def shown_table(name: str) -> str:
    """The table whose rows one of these shows: `ledger.payment` of `ledger.payment_as_known`, `ledger.payment_versions` and
    `ledger.payment_versions_as_known`."""
    return name.removesuffix("_as_known").removesuffix("_versions")


def _as_of(table: Table) -> str:
    """A record is its version with the latest `said_from` up to `valid` among those known by `known`, the row one of them."""
    row, version = _columns(table)
    # Written by hand, a row has no times, and counts as of ever.
    counts = (
        "(t.said_from <= valid or t.said_from is null) and (t.known_from <= known or t.known_from is null)"
    )
    return _function(
        table,
        "as_of",
        "valid timestamptz, known timestamptz default now()",
        f"""
    with kept as materialized (
        select distinct on (v.key) v.key, v.said_from, v.known_from, v.row from {table.stage}.kept_version v
        where (valid < 'infinity' or known < 'infinity')
          and v.table_name = '{table.name}' and v.said_from <= valid and v.known_from <= known
        order by v.key desc, v.said_from desc, v.known_from desc
    ), won as materialized (
        select k.* from kept k
        where not exists (
            select from {table.name} t
            where t.{table.key} = k.key and {counts} and (t.said_from, t.known_from) >= (k.said_from, k.known_from))
    )
    select {row} from {table.name} t
    where {counts} and not exists (select from won k where k.key = t.{table.key})
    union all
    select {version} from won k
    cross join lateral jsonb_populate_record(null::{table.name}, k.row) r
    where k.row is not null""",
        "As of a time in the source (valid), as known at a time of ours (known; else now).",
    )


def _as_known(table: Table) -> str:
    """The row, where it was known by then: none is valid later. Else the version that was the row then."""
    row, version = _columns(table)
    counts = "(t.known_from <= known or t.known_from is null)"
    return _function(
        table,
        "as_known",
        "known timestamptz default 'infinity'",
        f"""
    select {row} from {table.name} t where {counts}
    union all
    select {version} from (
        select distinct on (v.key) v.key, v.said_from, v.known_from, v.row from {table.stage}.kept_version v
        where known < 'infinity' and v.table_name = '{table.name}' and v.known_from <= known
          and not exists (select from {table.name} t where t.{table.key} = v.key and {counts})
        order by v.key desc, v.said_from desc, v.known_from desc
    ) k
    cross join lateral jsonb_populate_record(null::{table.name}, k.row) r
    where k.row is not null""",
        "As the table had them at a time of ours; infinity: as it has them.",
    )


def _columns(table: Table) -> tuple[str, str]:
    """SQL: the columns of the row `t`; those of the version `k`, whose values are in `r`."""
    values = [column.name for column in table.columns]
    row = ", ".join(f"t.{name}" for name in [*values, *table.times])
    return row, ", ".join([*(f"r.{name}" for name in values), *(f"k.{name}" for name in table.times)])


def _function(table: Table, what: str, arguments: str, body: str, said: str, returns: str = "") -> str:
    name = f"{table.name}_{what}"
    signature = f"{name}({', '.join('timestamptz' for _ in arguments.split(','))})"
    return f"""drop function if exists {signature} cascade;
create function {name}({arguments})
returns setof {returns or table.name} language sql stable parallel safe as $function${body}
$function$;
comment on function {name} is {_literal(f"{table.description} {said}")};"""


def _versions(table: Table) -> str:
    view, both, times = f"{table.name}_versions", table.is_told_by_sources, _intervals(table)
    ends = {
        "said_to": "when the next version begins in the source; empty: it is the last",
        "known_to": "when another reading of the same time took its place; empty: it stands"
        if both
        else "when another took its place, or it went; empty: it stands",
    }
    comments = {column.name: column.comment for column in table.columns}
    comments |= {name: said for name, said in (VERSION_COLUMNS | ends).items() if name in times.split(", ")}
    said = f"{table.description} Every version that is known, in {'the source’s time and in ours' if both else 'our time'}."
    told = [f"comment on view {view} is {_literal(said)};"]
    told += [f"comment on column {view}.{n} is {_literal(c)};" for n, c in comments.items()]
    return f"""drop view if exists {view} cascade;
create view {view} as
    {_every(table, "ops.row_version")};
""" + "\n".join(told)


def _versions_as_known(table: Table) -> str:
    """The same of what was known by a time: where a version ends is told by those that were known by then."""
    return _function(
        table,
        "versions_as_known",
        "known timestamptz default 'infinity'",
        f"""
    {_every(table, f"{table.stage}.kept_version", "where known_from <= known or known_from is null")}""",
        "Every version that was known at a time of ours; infinity: that is known.",
        returns=f"{table.name}_versions",
    )


def _every(table: Table, kept_in: str, where: str = "") -> str:
    """SQL: the row and the versions that `kept_in` holds of it, with their times as intervals; `where`: which of them count."""
    columns = ", ".join(column.name for column in table.columns)
    stored = ", ".join(f"t.{column.name}" for column in table.columns)
    kept = ", ".join(f"r.{column.name}" for column in table.columns)
    return f"""select {columns}, {_intervals(table)} from (
        select s.*,
               min(said_from) over (partition by {table.key} order by said_from
                                     groups between 1 following and unbounded following) as said_to,
               lead(known_from) over (partition by {table.key}, said_from order by known_from) as known_to
        from (
            select {stored}, {"t.said_from" if table.is_told_by_sources else f"{NEVER} as said_from"}, t.known_from, true as is_there
            from {table.name} t
            union all
            select {kept}, v.said_from, v.known_from, v.row is not null from {kept_in} v
            cross join lateral jsonb_populate_record(
                null::{table.name}, coalesce(v.row, jsonb_build_object('{table.key}', v.key))) r
            where v.table_name = '{table.name}'
        ) s {where}
    ) w where is_there"""


def _intervals(table: Table) -> str:
    return "said_from, said_to, known_from, known_to" if table.is_told_by_sources else "known_from, known_to"


def _literal(text: str) -> str:
    return sql.Literal(text).as_string(None)
