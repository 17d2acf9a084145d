"""Values that Python cleans, once each: the dictionary `ops.clean_value` that mappings read them from."""

from __future__ import annotations

from typing import Final

from pipelines.core.cleaning import clean, fingerprint
from pipelines.refresh import lock_changes
from resources.warehouse import Connection, trusted

MAX_DISTINCT_VALUES: Final = 1_000_000  # cleaned in one go


def clean_values(conn: Connection, kind: str, country: str, statement: str) -> int:
    """Clean the distinct values that the statement selects, once each, into `ops.clean_value`."""
    values = [row[0] for row in conn.execute(trusted(statement)).fetchmany(MAX_DISTINCT_VALUES)]
    if not values:
        return 0
    with conn.cursor().copy(
        "copy ops.clean_value (kind, country, raw_value, value, problem) from stdin"
    ) as copy:
        for raw_value, cleaned in zip(values, clean(kind, values, country), strict=True):
            copy.write_row((kind, country, raw_value, cleaned.value, cleaned.problem))
    return len(values)


def forget_other_cleaning(conn: Connection) -> bool:
    """Empty the dictionary where another cleaning than this one filled it; whether there was anything in it."""
    mark = fingerprint()
    row = conn.execute(
        "select fingerprint from ops.table_version where table_name = 'ops.clean_value'"
    ).fetchone()
    if row is not None and row[0] == mark:
        return False
    lock_changes(conn)  # nobody reads by it meanwhile
    emptied = conn.execute("delete from ops.clean_value").rowcount
    conn.execute(
        "insert into ops.table_version (table_name, fingerprint, deployed_at) values ('ops.clean_value', %s, now())"
        " on conflict (table_name) do update set fingerprint = excluded.fingerprint, deployed_at = now()",
        [mark],
    )
    return emptied > 0
