"""$select and $expand: which properties of a row and of its neighbours are shown.

    wanted = Wanted.read(space, table, {"$select": "name", "$expand": "customerid_account($select=name)"}, notes)
    wanted.rows(items, root)         encoded rows
    wanted.context()                 "(name,customerid_account(name))" for @odata.context

A collection is followed by its @odata.nextLink also when all of it stands there, as the vendor's samples show.
Source: the vendor's page on joining tables; 15 expands a query at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sandbox.crm.dynamics.filter import Filter
from sandbox.crm.dynamics.model import Column, Table, bad_request, no_property
from sandbox.crm.dynamics.request import MAX_PAGE, cut
from sandbox.crm.dynamics.space import Shape, Space, encode, numbers
from sandbox.desk.records import Item

MAX_EXPANDS: Final = 15


@dataclass
class Inner:
    """One expanded navigation property."""

    nav: str
    options: dict[str, str]
    wanted: Wanted
    column: Column | None  # None for a collection
    reference: bool = False


@dataclass
class Wanted:
    space: Space
    table: Table
    select: tuple[str, ...] | None
    shape: Shape
    inner: list[Inner]

    @classmethod
    def read(cls, space: Space, table: Table, options: Mapping[str, str], notes: frozenset[str]) -> Wanted:
        """Raises 400 for a property that the table has not."""
        select = _select(table, options.get("$select"))
        inner = [_inner(space, table, part, notes) for part in cut(options.get("$expand", ""), ",")]
        if len(inner) > MAX_EXPANDS:
            raise bad_request(f"Number of $expand options exceeds the limit of {MAX_EXPANDS}.", "0x80060888")
        return cls(space, table, select, space.shape(table, select, notes), inner)

    def rows(self, items: list[Item], root: str) -> list[bytes]:
        found = self.shape.encode_all(items)
        if not self.inner:
            return found
        gathered = [_gather(self.space, self.table, inner, items) for inner in self.inner]
        return [
            b"".join((
                row[:-1],
                *(self._beside(inner, others, item, root)
                  for inner, others in zip(self.inner, gathered, strict=True)),
                b"}",
            ))
            for row, item in zip(found, items, strict=True)
        ]  # fmt: skip

    def _beside(self, inner: Inner, others: dict[int, list[Item]], item: Item, root: str) -> bytes:
        name = b',"' + inner.nav.encode() + b'":'
        found = others.get(item.number, [])
        if inner.column is not None:
            if not found:
                return name + b"null"
            if inner.reference:
                other = inner.wanted.table
                return name + encode({"@odata.id": f"{root}/{other.plural}({other.shown(found[0].number)})"})
            return name + _without_etag(inner.wanted.rows(found, root)[0])
        select = f"?$select={inner.options['$select']}" if "$select" in inner.options else ""
        link = f"{root}/{self.table.plural}({self.table.shown(item.number)})/{inner.nav}{select}"
        rows = b",".join(inner.wanted.rows(found[:MAX_PAGE], root))
        return name + b"[" + rows + b'],"' + inner.nav.encode() + b'@odata.nextLink":' + encode(link)

    def context(self) -> str:
        parts = [*(self.select or ())]
        parts += [inner.nav + (inner.wanted.context() or "()") for inner in self.inner]
        return f"({','.join(parts)})" if parts else ""


def _without_etag(row: bytes) -> bytes:
    """A row behind a lookup has no etag of its own in the vendor's answers."""
    return b"{" + row[row.index(b",") + 1 :]


def _select(table: Table, said: str | None) -> tuple[str, ...] | None:
    if said is None or said.strip() in ("", "*"):
        return None
    names = [name.strip() for name in said.split(",") if name.strip()]
    found = []
    for name in names:
        column = table.columns.get(name) or table.columns.get(f"_{name}_value") or table.navs.get(name)
        if column is None:
            raise no_property(name, table.name)
        found.append(column.property)
    return tuple(dict.fromkeys(found))


def _inner(space: Space, table: Table, part: str, notes: frozenset[str]) -> Inner:
    name, bracket, rest = part.partition("(")
    name, slash, reference = name.strip().partition("/")
    options: dict[str, str] = {}
    for option in cut(rest[:-1] if bracket else "", ";"):
        key, _, value = option.partition("=")
        options[key.strip()] = value
    column = table.navs.get(name)
    if column is None and name not in table.collections:
        raise no_property(name, table.name)
    if slash and (column is None or reference != "$ref"):
        raise bad_request(
            "Expand with $ref is only supported on lookup type navigation property.", "0x80060888"
        )
    other = space.tables[column.target if column is not None else table.collections[name][0]]
    return Inner(name, options, Wanted.read(space, other, options, notes), column, bool(slash))


def _gather(space: Space, table: Table, inner: Inner, items: list[Item]) -> dict[int, list[Item]]:
    """The neighbours of each row: one row of a lookup, or the filtered and sorted rows of a collection."""
    column = inner.column
    if column is not None:
        rows, found = space.rows[column.target], {}
        read = numbers(column)
        for item in items:
            number = read(item)
            other = rows.get(number) if number else None
            if other is not None:
                found[item.number] = [other]
        return found
    gathered = _children(space, table, inner, items)
    other_table = inner.wanted.table
    field_of = space.field_of(other_table)
    if "$filter" in inner.options:
        check = Filter(inner.options["$filter"], field_of, {}).parse().check
        gathered = {number: [row for row in rows if check(row)] for number, rows in gathered.items()}
    for part in reversed(cut(inner.options.get("$orderby", ""), ",")):
        name, _, way = part.partition(" ")
        read_by = field_of(name).read
        for found_rows in gathered.values():
            found_rows.sort(
                key=lambda row: (read_by(row) is not None, read_by(row)), reverse=way.strip() == "desc"
            )
    if "$top" in inner.options:
        gathered = {number: rows[: int(inner.options["$top"])] for number, rows in gathered.items()}
    return gathered


def _children(space: Space, table: Table, inner: Inner, items: list[Item]) -> dict[int, list[Item]]:
    name, through = table.collections[inner.nav]
    if len(items) == 1 or space.tables[name].entity == "line":
        return {item.number: list(space.related(table, inner.nav, item)) for item in items}
    read, wanted = space.tables[name].columns[through].read, {item.number for item in items}
    found: dict[int, list[Item]] = {}
    for row in space.rows[name].all():
        number = read(row)
        if number in wanted:
            found.setdefault(number, []).append(row)
    return found
