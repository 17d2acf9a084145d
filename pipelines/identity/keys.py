"""Keys: values that records are found by, a row a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.identity.model import Key, load

if TYPE_CHECKING:
    import pyarrow as pa


def keys(features: pa.Table, model: str = "clients") -> pa.Table:
    """Every key of every record: record_id, kind, value; each once.

    `features`: of `features.derive`. Kinds that find candidates and kinds that are only counted (see
    `model.Key.pairs`) stand side by side.
    """
    import duckdb

    with duckdb.connect() as connection:
        connection.register("features", features)
        return connection.sql(
            " union all ".join(
                f"select record_id, '{key.kind}' as kind, value from ({rows(key)})"
                for key in load(model).keys
            )
        ).to_arrow_table()


def rows(key: Key, record: str = "record_id") -> str:
    """SQL for one kind: `record_id` (or what `record` says) and `value` of a table `features`."""
    if key.many:
        return (
            f"select distinct {record}, value from (select {record}, unnest({key.sql}) as value from features) "
            "where value is not null"
        )
    return f"select {record}, {key.sql} as value from features where {key.sql} is not null"
