"""Pairs of records that share a key, as many as grow with the records: a value that too many hold makes none, or of a tax
number those of all others with the first."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pipelines.identity.keys import rows
from pipelines.identity.model import Model, load

if TYPE_CHECKING:
    import pyarrow as pa

FAN_OUT: Final = 100  # records that may hold a value which still finds candidates
SURE: Final = "tax_number"  # joins whoever holds it: beyond FAN_OUT each is a pair with the first by id alone
MEMORY: Final = "2GB"  # of DuckDB


def pairs(
    keys: pa.Table, touched: Sequence[str] | None = None, limit: int = FAN_OUT, model: str = "clients"
) -> pa.Table:
    """Candidates among keyed records: left_id < right_id by their letters' codes, each pair once.

    `keys`: record_id, kind, value (others are passed over). All rows of a value must be there, for a value is left
    out by how many records hold it (of SURE: paired with the first alone). `touched`: only pairs with at least one of these records.
    """
    import pyarrow as pa

    kinds = [key.kind for key in load(model).keys if key.pairs]
    with connected() as connection:
        connection.register("given", keys)
        connection.register("kinds", pa.table({"kind": pa.array(kinds, pa.string())}))
        connection.execute(
            "create table held as select distinct record_id, kind, value from given semi join kinds using (kind)"
        )
        within = f"select kind, value from held group by all having count(*) between 2 and {limit}"
        first = "held"
        if touched is not None:
            connection.register("touched", pa.table({"record_id": pa.array(list(touched), pa.string())}))
            connection.execute("create table fresh as select * from held semi join touched using (record_id)")
            first = "fresh"
        of_touched = (
            ""
            if touched is None
            else "and (hub in (select record_id from touched) or h.record_id in (select record_id from touched))"
        )
        return connection.sql(f"""
            with hubs as (
                select value, min(record_id) as hub from held where kind = '{SURE}' group by value having count(*) > {limit}
            )
            select hub as left_id, h.record_id as right_id
            from hubs join held h on h.kind = '{SURE}' and h.value = hubs.value and h.record_id <> hub {of_touched}
            union
            select least(l.record_id, r.record_id) as left_id, greatest(l.record_id, r.record_id) as right_id
            from {first} l
            join ({within}) using (kind, value)
            join held r using (kind, value)
            where l.record_id <> r.record_id
        """).to_arrow_table()


def all_pairs(features: pa.Table, limit: int = FAN_OUT, model: str = "clients") -> pa.Table:
    """The same of all records at once, from nothing: what `pairs(keys(features))` gives, a kind at a time."""
    with connected() as connection:
        connection.register("given", features)
        connection.execute("create table features as select *, row_number() over () - 1 as row from given")
        connection.execute("create table found (l bigint, r bigint)")
        for key in load(model).keys:
            if key.kind == SURE:
                connection.execute(f"""
                    insert into found
                    with groups as (
                        select list(row) as rows, arg_min(row, record_id) as hub
                        from ({rows(key, "row")}) join (select row, record_id from features) using (row)
                        group by value having count(*) > {limit}
                    ), both_ as (select hub, unnest(rows) as other from groups)
                    select least(hub, other), greatest(hub, other) from both_ where hub <> other
                """)
        for key in load(model).keys:
            if key.pairs:
                connection.execute(f"""
                    insert into found
                    with groups as (
                        select list(row) as rows from ({rows(key, "row")}) group by value
                        having count(*) between 2 and {limit}
                    ), lefts as (select unnest(rows) as l, rows from groups),
                    both_ as (select l, unnest(rows) as r from lefts)
                    select l, r from both_ where l < r
                """)
        return connection.sql("""
            with once as (select distinct l, r from found)
            select least(a.record_id, b.record_id) as left_id, greatest(a.record_id, b.record_id) as right_id
            from once join features a on a.row = l join features b on b.row = r
        """).to_arrow_table()


def fan_out(features: pa.Table, model: str = "clients") -> pa.Table:
    """Values that are not rare: kind, value, records (that hold it), names (different ones, of tax numbers; else null).

    Only kinds with buckets and tax numbers, and only values of more than one record; a value that is not in it counts
    as rare.
    """
    with connected() as connection:
        connection.register("features", features)
        return connection.sql(" union all ".join(_counted(load(model)))).to_arrow_table()


def _counted(model: Model) -> list[str]:
    made = [
        "select null::varchar as kind, null::varchar as value, 0::bigint as records, 0::bigint as names where false"
    ]
    made += [
        f"select '{key.kind}' as kind, value, count(*) as records, null::bigint as names from ({rows(key)}) "
        "group by value having count(*) > 1"
        for key in model.keys
        if key.buckets
    ]
    if any(key.kind == "tax_number" for key in model.keys):
        made.append(
            "select 'tax_number' as kind, value, count(*) as records, count(distinct name) as names "
            "from (select record_id, name, unnest(tax_numbers) as value from features) group by value having count(*) > 1"
        )
    return made


@contextmanager
def connected() -> Iterator[Any]:
    """A DuckDB in memory that keeps within MEMORY; what does not fit goes to a folder of its own, for as long as it lives."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="identity-") as folder, duckdb.connect() as connection:
        connection.execute(f"set memory_limit = '{MEMORY}'")
        connection.execute("set preserve_insertion_order = false")
        connection.execute(f"set temp_directory = '{folder}'")
        yield connection
