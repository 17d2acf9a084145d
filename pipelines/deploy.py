"""Make the tables of the road what their files say.

A table whose shape changed is made anew and filled from what it is derived of; one whose rows are made
differently (its SQL, or a mapping) is rebuilt at the next refresh. What cannot be derived lives in `ops`, which
migrations alone change, and in `raw`, whose tables are all of one shape and made by `pipelines/raw/batch.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from mappings import Cleaning, CompiledRead, Mappings, compile_read, write_rules
from pipelines import as_known
from pipelines.core.clean_values import forget_other_cleaning
from pipelines.history import RawVersions, keep_before_it_goes
from pipelines.ledger.reasons import PHRASES
from pipelines.raw.load import ensure_tables
from pipelines.refresh import RawRead
from pipelines.table import PLANNED, VERSION_COLUMNS, Table, tables
from resources.warehouse import Connection, Warehouse, trusted

DEPLOY_LOCK = "deploy"
# What a row says next hangs on what it says: a record that is gone stays where it was.
REMEMBERS = ("core.client_member",)
MAX_COMPILED = 16  # states of the mapping files whose reads are kept: a change of them is often taken back


@dataclass(frozen=True, slots=True)
class Reads:
    """What the mappings read into one table."""

    sources: tuple[RawRead, ...]
    compiled: tuple[CompiledRead, ...]
    versions: tuple[RawVersions, ...] = ()

    @property
    def cleaning(self) -> list[Cleaning]:
        return [cleaning for one in self.compiled for cleaning in one.cleaning]

    @property
    def cleaning_earlier(self) -> list[Cleaning]:
        """The same of earlier versions of records."""
        return [cleaning for one in self.compiled if one.versions for cleaning in one.versions.cleaning]


def reads_of(mappings: Mappings) -> Mapping[str, Reads]:
    """Compiled reads by table name; compiled once for each of the last few states of the mapping files."""
    if (found := _COMPILED.pop(mappings.fingerprint, None)) is None:
        found = _compile(mappings)
    _COMPILED[mappings.fingerprint] = found  # behind all others, as the one used last
    while len(_COMPILED) > MAX_COMPILED:
        _COMPILED.pop(next(iter(_COMPILED)), None)
    return found


_COMPILED: dict[str, Mapping[str, Reads]] = {}


def _compile(mappings: Mappings) -> dict[str, Reads]:
    found: dict[str, list[CompiledRead]] = {}
    road = tables()
    for system in mappings.systems:
        for read in system.reads:
            found.setdefault(read.table, []).append(compile_read(system, read, road[read.table]))
    return {
        name: Reads(
            tuple(RawRead(c.raw_table, c.changed, c.all, c.rows) for c in compiled),
            tuple(compiled),
            tuple(
                RawVersions(c.raw_table, v.times, v.moments, v.after, v.rows)
                for c in compiled
                if (v := c.versions) is not None
            ),
        )
        for name, compiled in found.items()
    }


def deploy(warehouse: Warehouse, mappings: Mappings) -> list[str]:
    """Bring schema, tables, views and mapping rules up to date. Returns the names that changed."""
    warehouse.migrate()
    reads = reads_of(mappings)
    with warehouse.transaction() as conn:
        conn.execute("select pg_advisory_xact_lock(hashtext(%s))", [DEPLOY_LOCK])
        changed = [f"mapping {name}" for name in write_rules(conn, mappings)]
        known = {
            name: (shape, meaning)
            for name, shape, meaning in conn.execute(
                "select table_name, split_part(fingerprint, '/', 1), split_part(fingerprint, '/', 2) from ops.table_version"
            ).fetchall()
        }
        there = _there(conn)
        _make_raw(conn, mappings, reads)
        if forget_other_cleaning(conn):
            conn.execute(
                "delete from ops.watermark where consumer = any(%s)",
                [[name for name, found in reads.items() if found.cleaning]],
            )
            changed.append("ops.clean_value")
        fresh_shapes = False
        for table in tables().values():
            sources = reads[table.name].sources if table.name in reads else ()
            meaning = _meaning(table, sources)
            shape_before, meaning_before = known.get(table.name, ("", ""))
            missing = table.name not in known or table.name not in there
            differs = missing or shape_before != table.shape or meaning_before != meaning
            if table.is_view:
                differs = differs or fresh_shapes
                if differs:
                    _make_view(conn, table)
            elif missing or shape_before != table.shape:
                _make_table(conn, table)
                fresh_shapes = True
            elif differs:
                conn.execute("delete from ops.watermark where consumer = %s", [table.name])
            if differs:
                changed.append(table.name)
                _note(conn, table.name, f"{table.shape}/{meaning}")
            versions_made = table.has_versions and _make_versions(conn, table)
            if versions_made or (differs and table.name in there):
                there = _there(conn)  # what stood on it may have gone with it
        if conn.execute("select from pg_roles where rolname = 'analyst'").fetchone() is not None:
            conn.execute("grant select on all tables in schema core, documents, ledger, marts to analyst")
    return changed


def _make_raw(conn: Connection, mappings: Mappings, reads: Mapping[str, Reads]) -> None:
    """Raw tables of every entity that is read, with the indexes its mapping wants: empty until it is read."""
    for system in mappings.systems:
        ensure_tables(conn, system.name, system.entities)
    wanted = {ddl for found in reads.values() for compiled in found.compiled for ddl in compiled.indexes}
    for ddl in sorted(wanted):
        conn.execute(trusted(ddl))


def _meaning(table: Table, sources: Sequence[RawRead]) -> str:
    text = table.meaning + "".join(s.raw_table + s.changed + s.all + s.rows for s in sources)
    text += PHRASES if table.name == "ledger.position" else ""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _there(conn: Connection) -> set[str]:
    """Names of the road's tables, views and functions that are there."""
    known = tables().values()
    rows = conn.execute(
        "select name from unnest(%s::text[]) name where to_regclass(name) is not null"
        " union all select name from unnest(%s::text[]) name where to_regproc(name) is not null",
        [[t.name for t in known if not t.arguments], [t.name for t in known if t.arguments]],
    ).fetchall()
    return {name for (name,) in rows}


def _note(conn: Connection, name: str, fingerprint: str) -> None:
    conn.execute(
        """
        insert into ops.table_version (table_name, fingerprint, deployed_at)
        values (%s, %s, now())
        on conflict (table_name) do update set fingerprint = excluded.fingerprint,
            deployed_at = excluded.deployed_at, lineage = null, metadata = null
        """,
        [name, fingerprint],
    )


def _make_versions(conn: Connection, table: Table) -> bool:
    """What shows the versions of a table, where it is not there as it should be: it goes with a table that is made anew."""
    statements, view = as_known.functions(table), f"{table.name}_versions"
    mark = hashlib.sha256("".join(statements).encode()).hexdigest()[:16]
    there = conn.execute(
        "select bool_and(to_regprocedure(name) is not null) and to_regclass(%(view)s) is not null and exists ("
        " select from ops.table_version where table_name = %(view)s and fingerprint = %(mark)s)"
        " from unnest(%(names)s::text[]) name",
        {"view": view, "mark": mark, "names": list(as_known.names(table))},
    ).fetchone()
    if there and there[0]:
        return False
    for statement in statements:
        conn.execute(trusted(statement))
    _note(conn, view, mark)
    return True


def _make_table(conn: Connection, table: Table) -> None:
    carried = table.name in REMEMBERS and _set_aside(conn, table)
    if table.has_versions and not carried:
        keep_before_it_goes(conn, table)
    conn.execute(trusted(f"drop table if exists {table.name} cascade"))
    conn.execute(trusted(table.create_sql))
    if carried:
        _put_back(conn, table)
    _comment(conn, table, "table")
    conn.execute("delete from ops.watermark where consumer = %s", [table.name])


def _set_aside(conn: Connection, table: Table) -> bool:
    """Keep the rows of a table that is made anew in `set_aside`; whether it is there and has what its rows must have."""
    missing = conn.execute(
        "select to_regclass(%(name)s) is null or exists (select from unnest(%(needed)s::text[]) as needed(name)"
        " where not exists (select from pg_attribute a where a.attrelid = to_regclass(%(name)s) and a.attname = needed.name))",
        {"name": table.name, "needed": [column.name for column in table.columns if not column.nullable]},
    ).fetchone()
    if missing is None or missing[0]:
        return False
    conn.execute("drop table if exists pg_temp.set_aside")
    conn.execute(trusted(f"create temporary table set_aside on commit drop as select * from {table.name}"))
    return True


def _put_back(conn: Connection, table: Table) -> None:
    """Rows without a time of their own are known from now on."""
    names = [
        name
        for (name,) in conn.execute(
            "select attname::text from pg_attribute where attrelid = 'pg_temp.set_aside'::regclass and attnum > 0"
            " and attname = any(%s) order by attnum",
            [[*(column.name for column in table.columns), *table.times]],
        ).fetchall()
    ]
    values = dict.fromkeys(table.times, "now()") | {name: name for name in names}
    conn.execute(
        trusted(
            f"insert into {table.name} ({', '.join(values)}) select {', '.join(values.values())} from set_aside"
        )
    )
    conn.execute("drop table set_aside")


def _make_view(conn: Connection, table: Table) -> None:
    if table.arguments:
        _make_function(conn, table, table.name, table.rows_sql)
        return
    conn.execute(trusted(f"drop view if exists {table.name} cascade"))
    columns = ", ".join(f'v."{c.name}"::{c.type} as "{c.name}"' for c in table.columns)
    rows = f"select {columns} from (\n{table.rows_sql}\n) v"
    conn.execute(trusted(f"drop function if exists {table.name}_planned"))
    if table.planned:  # a view has no settings of its own, and a function forgets how many decimals there are
        _make_function(conn, table, f"{table.name}_planned", rows)
        rows = f"select {columns} from {table.name}_planned() v"
    conn.execute(trusted(f"create view {table.name} as {rows}"))
    _comment(conn, table, "view")


def _make_function(conn: Connection, table: Table, name: str, rows: str) -> None:
    returns = ", ".join(f'"{c.name}" {c.type}' for c in table.columns)
    conn.execute(trusted(f"drop function if exists {name} cascade"))
    conn.execute(
        trusted(
            f"create function {name}({table.arguments}) returns table ({returns})"
            f" language sql stable {PLANNED[table.planned]} as $function$\n{rows}\n$function$"
        )
    )
    conn.execute(trusted(f"comment on function {name} is {_quoted(table.description)}"))


def _comment(conn: Connection, table: Table, what: str) -> None:
    lines = [f"comment on {what} {table.name} is {_quoted(table.description)};"]
    lines += [f"comment on column {table.name}.{c.name} is {_quoted(c.comment)};" for c in table.columns]
    lines += [f"comment on column {table.name}.{n} is {_quoted(VERSION_COLUMNS[n])};" for n in table.times]
    conn.execute(trusted("\n".join(lines)))


def _quoted(text: str) -> str:
    return sql.Literal(text).as_string(None)


def upstream_tables(table: Table, reads: Mapping[str, Reads]) -> list[str]:
    """Every table that this one is made from, raw ones included."""
    raw = [source.raw_table for source in reads[table.name].sources] if table.name in reads else []
    return [*dict.fromkeys(raw), *table.upstreams]
