"""What a Dataverse table is made of: columns with their types, ids, and the refusals of the Web API.

    column.read(item)      the value as Python knows it: str, int, bool, Decimal, date, aware datetime, or, of a
                           lookup, the desk's number of the row that it points to
    table.shown(number)    the row's GUID
    table.number(guid)     and back; None for a GUID that is nobody's

An empty text is null in Dataverse, so texts are read as None when empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal

from sandbox.desk.records import Item

Kind = Literal[
    "String", "Memo", "Integer", "BigInt", "Decimal", "Money", "DateTime", "DateOnly", "Boolean", "Picklist",
    "State", "Status", "Lookup", "Customer", "Owner", "Uniqueidentifier",
]  # fmt: skip
EDM: Final[dict[str, str]] = {
    "String": "Edm.String", "Memo": "Edm.String", "Integer": "Edm.Int32", "BigInt": "Edm.Int64",
    "Decimal": "Edm.Decimal", "Money": "Edm.Decimal", "DateTime": "Edm.DateTimeOffset", "DateOnly": "Edm.Date",
    "Boolean": "Edm.Boolean", "Picklist": "Edm.Int32", "State": "Edm.Int32", "Status": "Edm.Int32",
    "Lookup": "Edm.Guid", "Customer": "Edm.Guid", "Owner": "Edm.Guid", "Uniqueidentifier": "Edm.Guid",
}  # fmt: skip
LOOKUPS: Final = frozenset({"Lookup", "Customer", "Owner"})
CHOICES: Final = frozenset({"Picklist", "State", "Status"})
GUID: Final = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_SPREAD: Final = 2_654_435_761


class DataverseError(Exception):
    """A refusal in the vendor's own words: HTTP status, hexadecimal code ('' where none is known), message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def bad_request(message: str, code: str = "0x0") -> DataverseError:
    return DataverseError(400, code, message)


def no_property(name: str, table: str) -> DataverseError:
    return bad_request(f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table}'.")


def no_segment(name: str) -> DataverseError:
    return DataverseError(404, "0x8006088a", f"Resource not found for the segment '{name}'.")


def no_row(table: str, guid: str) -> DataverseError:
    return DataverseError(404, "0x80040217", f"{table} With Id = {guid} Does Not Exist")


@lru_cache(maxsize=1 << 16)
def guid_of(code: int, number: int) -> str:
    """The GUID of a number in the table of this code.

    Its text does not sort as the number does, while SQL Server's order of unique identifiers (last group first),
    which is the order of a list without $orderby, does.
    """
    return f"{(number * _SPREAD + code * 97) & 0xFFFFFFFF:08x}-{code:04x}-f011-8c4d-{number:012x}"


def number_of(code: int, guid: str) -> int | None:
    """The number that `guid_of` was given, or None for any other GUID."""
    guid = guid.lower()
    try:
        number = int(guid[24:], 16)
    except ValueError:
        return None
    return number if guid_of(code, number) == guid else None


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `keep` is the field of the desk's record that a write lands in; '' for a read-only one."""

    name: str
    kind: Kind
    read: Callable[[Item], Any]
    keep: str = ""
    target: str = ""  # of a lookup: the table that it points to
    nav: str = ""  # of a lookup: its single-valued navigation property
    options: Mapping[int, str] = field(default_factory=dict)
    length: int = 0
    scale: int = 10
    schema: str = ""
    custom: bool = False
    also: Mapping[str, tuple[str, str]] = field(
        default_factory=dict
    )  # of a lookup of several: target and field by nav

    @property
    def property(self) -> str:
        """The name in JSON: lookups are read as `_name_value`."""
        return f"_{self.name}_value" if self.kind in LOOKUPS else self.name


def _aimed(column: Column, nav: str, target: str, field: str) -> Column:
    """A lookup of several as its property for one of them."""
    return replace(
        column, read=lambda item: item.body.get(field), keep=field, target=target, nav=nav, also={}
    )


@dataclass
class Table:
    """One table. `entity` is the desk's, or '' when `fixed` holds all its rows."""

    name: str
    plural: str
    code: int
    title: str  # the primary name column
    columns: dict[str, Column]  # by property
    entity: str = ""
    key: str = ""
    fixed: dict[int, Item] = field(default_factory=dict)
    collections: dict[str, tuple[str, str]] = field(default_factory=dict)
    keys: tuple[str, ...] = ()  # columns that are alternate keys
    merges: bool = False
    tracked: bool = True
    writable: bool = False
    schema: str = ""
    chosen: dict[int, str] = field(default_factory=dict)  # GUIDs that clients chose for new rows
    _numbers: dict[str, int] = field(default_factory=dict)
    navs: dict[str, Column] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.key = self.key or f"{self.name}id"
        self.navs = {column.nav: column for column in self.columns.values() if column.nav}
        for column in list(self.navs.values()):
            self.navs |= {nav: _aimed(column, nav, *other) for nav, other in column.also.items()}

    def shown(self, number: int) -> str:
        return self.chosen.get(number) or guid_of(self.code, number)

    def number(self, guid: str) -> int | None:
        found = self._numbers.get(guid.lower())
        return found if found is not None else number_of(self.code, guid)

    def choose(self, number: int, guid: str) -> None:
        """Let a row be shown under a GUID that its creator chose."""
        self.chosen[number] = guid.lower()
        self._numbers[guid.lower()] = number

    def visible(self, item: Item) -> bool:
        """A merged row stays, deactivated; a deleted one is gone."""
        return item.deleted is None or (self.merges and item.merged_into is not None)

    def stamp(self, item: Item) -> datetime:
        """When the row was last changed: merging changes the row that is merged away."""
        return item.modified if item.deleted is None else max(item.modified, item.deleted)
