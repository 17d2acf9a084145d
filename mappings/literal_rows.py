"""Rows that are written out in a mapping file: a source without a table for its stages names them there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mappings.quoting import identifier, literal
from mappings.tables import TableLike


def compile_rows(system: str, rows: Sequence[Mapping[str, Any]], table: TableLike) -> tuple[str, str]:
    """(all, rows) of literal rows. A row is named by its key column, else by its codes, name or place."""
    tuples, keys = [], []
    for place, row in enumerate(rows):
        name = row_name(row, table, place)
        keys.append(f"({literal(f'{system}:{name}')})")
        cells = []
        for column in table.columns:
            match column.name:
                case table.key:
                    cell = literal(f"{system}:{name}")
                case "source":
                    cell = literal(system)
                case "source_id":
                    cell = literal(name)
                case "is_deleted":
                    cell = "false"
                case "merged_into":
                    cell = "null"
                case "problems":
                    cell = "'{}'"
                case _:
                    cell = literal(row.get(column.name))
            cells.append(f"{cell}::{column.type}")
        tuples.append(f"({', '.join(cells)})")
    names = ", ".join(identifier(column.name) for column in table.columns)
    if not tuples:
        empty = ", ".join(f"null::{column.type} as {identifier(column.name)}" for column in table.columns)
        return "select null::text as key where false", f"select {empty} where false"
    scope = identifier(table.scope)
    return (
        f"select key from (values {', '.join(keys)}) k(key)",
        f"select {names} from (values\n  " + ",\n  ".join(tuples) + f"\n) t({names})\n"
        f"where {scope} in (select key from scope)",
    )


def row_name(row: Mapping[str, Any], table: TableLike, place: int) -> str:
    """The id of a literal row, without its system."""
    if row.get(table.key) is not None:
        return str(row[table.key])
    codes = [
        str(row[c.name]) for c in table.columns if c.name.endswith("code") and row.get(c.name) is not None
    ]
    return "/".join(codes) or str(row.get("name") or place + 1)
