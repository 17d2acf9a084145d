"""Marts as files: CSV by COPY, Parquet with true types, money as decimal; a page of rows in memory at a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

from psycopg import sql

from pipelines.table import Column, Table, tables
from resources.warehouse import Connection, Warehouse

Form = Literal["csv", "parquet"]
PAGE: Final = 20_000  # rows in memory at a time
MAX_DIGITS: Final = 38  # of a decimal of Parquet
_SCALED: Final = re.compile(r"numeric\((\d+), ?(\d+)\)")
_AS_THEY_ARE: Final = {
    "text",
    "date",
    "timestamptz",
    "bigint",
    "integer",
    "boolean",
    "text[]",
    "double precision",
}


class CannotExport(ValueError):
    """A mart cannot be exported so; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A mart, or its function of a day."""

    table: Table
    as_of: date | None

    @property
    def relation(self) -> sql.Composable:
        name = sql.Identifier("marts", self.table.short_name)
        if not self.table.arguments:
            return name
        return sql.SQL("{}({})").format(name, sql.Literal(self.as_of))


def asked(mart: str, as_of: date | None, today: date) -> Asked:
    """What to read for a mart of this name, as of a day if one is given. Raises CannotExport."""
    short = mart.removeprefix("marts.")
    if f"marts.{short}" not in tables():
        raise CannotExport(f"there is no mart {short}; docs/marts.md lists them")
    found = tables()[f"marts.{short}"]
    if as_of is not None and not found.arguments:
        twin = tables().get(f"marts.{short}_as_of")
        if twin is None:
            raise CannotExport(f"{short} is told as it stands now, of no past day; leave --as-of out")
        found = twin
    if found.arguments:
        first, *others = (argument.strip() for argument in found.arguments.split(","))
        if not first.startswith("as_of ") or any("default" not in argument for argument in others):
            raise CannotExport(f"{short} takes ({found.arguments}); ask it with SQL (docs/bi.md)")
    return Asked(found, (as_of or today) if found.arguments else None)


def all_marts(as_of: date | None) -> list[str]:
    """Names of all marts that can be exported together: the views; with a day those that can tell of one."""
    views = [
        table.short_name for table in tables().values() if table.stage == "marts" and not table.arguments
    ]
    return [name for name in views if as_of is None or f"marts.{name}_as_of" in tables()]


def export(warehouse: Warehouse, wanted: Asked, form: Form, output: Path) -> int:
    """Write a file; the number of its rows. It is there whole or not at all. Raises CannotExport and OSError."""
    part = output.with_name(f"{output.name}.part")
    try:
        with warehouse.transaction() as conn:
            conn.execute("set transaction isolation level repeatable read, read only")
            count = _csv(conn, wanted, part) if form == "csv" else _parquet(conn, wanted, part)
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    return count


def _csv(conn: Connection, wanted: Asked, output: Path) -> int:
    query = sql.SQL("copy (select * from {}) to stdout with (format csv, header)").format(wanted.relation)
    with output.open("wb") as file, conn.cursor() as cursor:
        with cursor.copy(query) as rows:
            for data in rows:
                file.write(data)
        return max(cursor.rowcount, 0)


def _parquet(conn: Connection, wanted: Asked, output: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = wanted.table.columns
    schema = pa.schema(
        [_field(pa, column, scale) for column, scale in zip(columns, _scales(conn, wanted), strict=True)]
    )
    read = sql.SQL(", ").join(map(_read, columns))
    count = 0
    with conn.cursor(name="export") as cursor, pq.ParquetWriter(output, schema, compression="zstd") as writer:
        cursor.execute(sql.SQL("select {} from {}").format(read, wanted.relation))
        while rows := cursor.fetchmany(PAGE):
            try:
                page = pa.record_batch(
                    [
                        pa.array(values, type=field.type)
                        for values, field in zip(zip(*rows, strict=True), schema, strict=True)
                    ],
                    schema=schema,
                )
            except pa.ArrowInvalid as error:
                raise CannotExport(
                    f"{wanted.table.short_name}: a number does not fit into {MAX_DIGITS} digits ({error}); export it as csv"
                ) from error
            writer.write_batch(page)
            count += len(rows)
    return count


def _scales(conn: Connection, wanted: Asked) -> Sequence[int | None]:
    """Digits behind the point of each column: as its type says, or the most that any row has; None of what is no numeric."""
    columns = wanted.table.columns
    bare = [c.name for c in columns if c.type == "numeric"]
    most: dict[str, int] = {}
    if bare:
        query = sql.SQL("select {} from {}").format(
            sql.SQL(", ").join(
                sql.SQL("coalesce(max(scale({})), 0)").format(sql.Identifier(name)) for name in bare
            ),
            wanted.relation,
        )
        most = dict(zip(bare, conn.execute(query).fetchone() or (), strict=True))
    return [most.get(c.name, int(m[2]) if (m := _SCALED.fullmatch(c.type)) else None) for c in columns]


def _read(column: Column) -> sql.Composable:
    """A column as it is, or as text where Parquet has no such type: jsonb, uuid."""
    name = sql.Identifier(column.name)
    if column.type in _AS_THEY_ARE or column.type.startswith("numeric"):
        return name
    return sql.SQL("{}::text").format(name)


def _field(pa: Any, column: Column, scale: int | None) -> Any:
    types = {
        "date": pa.date32(), "timestamptz": pa.timestamp("us", tz="UTC"), "bigint": pa.int64(), "integer": pa.int32(),
        "boolean": pa.bool_(), "text[]": pa.list_(pa.string()), "double precision": pa.float64(),
    }  # fmt: skip
    if scale is not None:
        fixed = _SCALED.fullmatch(column.type)
        kind = pa.decimal128(int(fixed[1]) if fixed else MAX_DIGITS, scale)
    else:
        kind = types.get(column.type, pa.string())
    return pa.field(column.name, kind, metadata={"comment": column.comment})
