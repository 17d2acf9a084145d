"""One Dataverse environment: its tables over the desk, its switches, and what a row looks like in JSON."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from sandbox.crm.dynamics.columns import CURRENCIES
from sandbox.crm.dynamics.filter import Field
from sandbox.crm.dynamics.masters import CURRENCY_NAMES, masters
from sandbox.crm.dynamics.model import CHOICES, LOOKUPS, Column, Table, no_property, no_segment
from sandbox.crm.dynamics.rows import Rows
from sandbox.crm.dynamics.tables import sales
from sandbox.desk.records import Desk, Item

MAX_CACHED_BYTES: Final = 256 * 1024 * 1024
FORMATTED: Final = "OData.Community.Display.V1.FormattedValue"
LOGICAL_NAME: Final = "Microsoft.Dynamics.CRM.lookuplogicalname"
NAVIGATION: Final = "Microsoft.Dynamics.CRM.associatednavigationproperty"
encode = msgspec.json.Encoder(decimal_format="number").encode
decode = msgspec.json.Decoder(float_hook=Decimal).decode
_SYMBOLS: Final = {number: CURRENCY_NAMES[code][1] for code, number in CURRENCIES.items()}


@dataclass
class Options:
    """Readings that the vendor's pages leave open; POST …/control/options changes them.

    closed          editable: a closed opportunity takes ordinary updates over the API, as other inactive rows do
                    (only quotes, orders and invoices are locked); read_only: it refuses them
    in_operator     refused: 501 "The query node In is not supported", as observed; accepted: as OData 4.01 has it
    expired_delta   the status of an expired delta token, 400 or 410
    """

    closed: Literal["editable", "read_only"] = "editable"
    in_operator: Literal["refused", "accepted"] = "refused"
    expired_delta: Literal[400, 410] = 400
    untracked: list[str] = field(
        default_factory=list
    )  # tables whose change tracking is off besides the fixed ones


class Space:
    """The tables of one environment and their rows."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.options = Options()
        self.era = 0  # delta tokens of an earlier era are too old
        known = [*sales(desk), *masters(desk)]
        self.tables: dict[str, Table] = {table.name: table for table in known}
        self.sets: dict[str, Table] = {table.plural: table for table in known}
        self.rows: dict[str, Rows] = {table.name: Rows(desk, table) for table in known}
        self._shapes: OrderedDict[tuple[str, tuple[str, ...], frozenset[str]], Shape] = OrderedDict()
        self.cached = 0

    def table(self, plural: str) -> Table:
        found = self.sets.get(plural)
        if found is None:
            raise no_segment(plural)
        return found

    def tracked(self, table: Table) -> bool:
        return table.tracked and table.name not in self.options.untracked

    def target(self, column: Column, item: Item | None = None) -> Table:
        """The table that a lookup points to; one of several as the row has it."""
        for target, kept in column.also.values():
            if item is not None and item.body.get(kept):
                return self.tables[target]
        return self.tables[column.target]

    def version(self) -> int:
        return self.desk.version

    def guid_reader(self, column: Column) -> Callable[[Item], str | None]:
        """Of a lookup: the GUID that it shows."""
        read = column.read

        def guid(item: Item) -> str | None:
            number = read(item)
            return self.target(column, item).shown(number) if number else None

        return guid

    def field_of(self, table: Table) -> Callable[[str], Field]:
        """How $filter and $orderby read a property; `nav/property` goes one lookup further."""

        def found(path: str) -> Field:
            head, slash, tail = path.partition("/")
            if slash:
                nav = table.navs.get(head)
                if nav is None:
                    raise no_property(head, table.name)
                inner, rows = self.field_of(self.target(nav))(tail), self.rows[nav.target]

                number_of = numbers(nav)

                def read(item: Item) -> Any:
                    number = number_of(item)
                    other = rows.get(number) if number else None
                    return inner.read(other) if other is not None else None

                return Field(read, inner.kind)
            column = table.columns.get(path)
            if column is None:
                raise no_property(path, table.name)
            return Field(
                self.guid_reader(column) if column.kind in LOOKUPS else column.read, column.kind, path
            )

        return found

    def related(self, table: Table, nav: str, item: Item) -> list[Item]:
        """The rows of a collection-valued navigation property, by key."""
        name, through = table.collections[nav]
        other = self.tables[name]
        column = other.columns[through]
        if other.entity == "line" and column.keep == "deal":
            return self.desk.children("line", item.number)
        return [row for row in self.rows[name].all() if column.read(row) == item.number]

    def shape(
        self, table: Table, columns: Iterable[str] | None, notes: frozenset[str] = frozenset()
    ) -> Shape:
        """How rows look with these properties (None for all) and annotations; kept, so that rows are encoded once."""
        chosen = tuple(columns) if columns is not None else tuple(table.columns)
        key = (table.name, chosen, notes)
        found = self._shapes.get(key)
        if found is None:
            found = self._shapes[key] = Shape(self, table, chosen, notes)
        self._shapes.move_to_end(key)
        while self.cached > MAX_CACHED_BYTES and len(self._shapes) > 1:
            self._shapes.popitem(last=False)[1].forget()
        return found


class Shape:
    """Rows of one table with one choice of properties. Encoded rows are kept by number and version."""

    def __init__(self, space: Space, table: Table, columns: tuple[str, ...], notes: frozenset[str]) -> None:
        self._space, self.table = space, table
        chosen = [table.columns[name] for name in columns]
        if table.key not in columns:
            chosen.append(table.columns[table.key])
        self.columns = chosen
        self._readers = [(column.property, _reader(space, column)) for column in chosen]
        self._notes = [_notes(space, column, notes) for column in chosen] if notes else []
        self._seen = [space.rows[c.target] for c in chosen if notes and c.kind in LOOKUPS]
        self._epoch = 0
        self._kept: dict[int, tuple[int, bytes]] = {}
        self.bytes = 0

    def encode(self, item: Item) -> bytes:
        kept = self._kept.get(item.number)
        if kept is not None and kept[0] == item.version:
            return kept[1]
        made = encode(self.row(item))
        grown = len(made) - (len(kept[1]) if kept is not None else 0)
        self._kept[item.number] = (item.version, made)
        self.bytes += grown
        self._space.cached += grown
        return made

    def encode_all(self, items: list[Item]) -> list[bytes]:
        self.refresh()
        encode_one, kept = self.encode, self._kept
        found: list[bytes] = []
        for item in items:
            known = kept.get(item.number)
            found.append(known[1] if known is not None and known[0] == item.version else encode_one(item))
        return found

    def row(self, item: Item) -> dict[str, Any]:
        row: dict[str, Any] = {"@odata.etag": f'W/"{item.version}"'}
        if not self._notes:
            for name, read in self._readers:
                row[name] = read(item)
            return row
        for (name, read), note in zip(self._readers, self._notes, strict=True):
            note(item, row)
            row[name] = read(item)
        return row

    def refresh(self) -> None:
        """Labels of lookups are other rows' names: when those may have changed, nothing kept is good."""
        epoch = sum(rows.touched for rows in self._seen)
        if epoch != self._epoch or self.bytes > MAX_CACHED_BYTES:
            self.forget()
            self._epoch = epoch

    def forget(self) -> None:
        self._space.cached -= self.bytes
        self._kept.clear()
        self.bytes = 0


def numbers(column: Column) -> Callable[[Item], int | None]:
    """Reads the number that a lookup, or a column that holds a bare GUID of another table, points to."""
    return column.read if column.kind in LOOKUPS else lambda item: item.body.get(column.keep)


def stamp(moment: datetime) -> str:
    """A time as the vendor words it: UTC, whole seconds."""
    return f"{moment.astimezone(UTC).isoformat()[:19]}Z"


def _reader(space: Space, column: Column) -> Callable[[Item], Any]:
    """The value as JSON has it: money and decimals with all the digits that the vendor shows."""
    read = column.read
    if column.kind in LOOKUPS:
        return space.guid_reader(column)
    if column.kind == "DateTime":
        return lambda item: stamp(value) if (value := read(item)) is not None else None
    if column.kind in ("Money", "Decimal"):
        shape = f".{column.scale}f"
        return lambda item: (
            msgspec.Raw(format(value, shape).encode()) if (value := read(item)) is not None else None
        )
    return read


def _notes(space: Space, column: Column, notes: frozenset[str]) -> Callable[[Item, dict[str, Any]], None]:
    """Adds the annotations of one column to a row."""
    name, label = column.property, formatted(space, column)
    is_lookup = column.kind in LOOKUPS

    def add(item: Item, row: dict[str, Any]) -> None:
        said = label(item)
        if said is None:
            return
        if FORMATTED in notes:
            row[f"{name}@{FORMATTED}"] = said
        if is_lookup and NAVIGATION in notes and column.nav != column.name:
            row[f"{name}@{NAVIGATION}"] = column.nav
        if is_lookup and LOGICAL_NAME in notes:
            row[f"{name}@{LOGICAL_NAME}"] = space.target(column, item).name

    return add


def formatted(space: Space, column: Column) -> Callable[[Item], str | None]:
    """The value as a person reads it, or None where the vendor adds no formatted value."""
    read = column.read
    if column.kind in LOOKUPS:

        def of_lookup(item: Item) -> str | None:
            number, target = read(item), space.target(column, item)
            other = space.rows[target.name].get(number) if number else None
            return str(target.columns[target.title].read(other) or "") if other is not None else None

        return of_lookup
    if column.kind in CHOICES:
        return lambda item: column.options.get(read(item))
    if column.kind == "Boolean":
        return lambda item: ("No", "Yes")[read(item)]
    if column.kind == "Money":
        return lambda item: _money(read(item), item)
    if column.kind in ("Decimal", "Integer", "BigInt"):
        return lambda item: f"{value:,}" if (value := read(item)) is not None else None
    if column.kind in ("DateTime", "DateOnly"):
        return lambda item: _when(value) if (value := read(item)) is not None else None
    return lambda item: None


def _money(value: Decimal | None, item: Item) -> str | None:
    if value is None:
        return None
    symbol = _SYMBOLS.get(CURRENCIES.get(item.body.get("currency") or "RUB", 1), "₽")
    return f"{symbol}{value:,.2f}"


def _when(value: date) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%d.%m.%Y %H:%M}"
    return f"{value:%d.%m.%Y}"
