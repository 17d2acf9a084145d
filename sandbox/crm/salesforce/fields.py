"""What a Salesforce object and its fields are made of, and how values of each type are worded.

Numbers are Java doubles in text, as the vendor's servers write them: 1500.0, and 1.25E7 from ten millions on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec

from sandbox.crm.salesforce.ids import record_id
from sandbox.desk.records import Body, Item

NUMBERS: Final = frozenset({"currency", "double", "percent", "int"})
TEXTS: Final = frozenset({"string", "textarea", "email", "phone", "url", "picklist"})
Choice = tuple[str, str]
"""A picklist's value and its label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field. `get` gives a Python value: str, bool, int, Decimal, date, datetime (aware) or None.

    `key` is what a write sets in the desk's body, `write` does more than that; with neither it is read-only.
    `local` says that the value depends on the record alone, so that encoded rows may be kept by its version.
    """

    name: str
    kind: str
    get: Callable[[Item], Any]
    label: str = ""
    key: str = ""
    write: Callable[[Body, Any], None] | None = None
    length: int = 0
    precision: int = 0
    scale: int = 0
    nillable: bool = True
    required: bool = False
    create: bool = False
    update: bool = False
    unique: bool = False
    external: bool = False
    refers: tuple[str, ...] = ()
    relation: str = ""
    number: Callable[[Item], int | None] | None = None
    choices: tuple[Choice, ...] = ()
    restricted: bool = False
    local: bool = True

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")


@dataclass(slots=True, kw_only=True)
class SObject:
    """One object over an entity of the desk, or over fixed `rows`."""

    name: str
    label: str
    plural: str
    prefix: str
    entity: str
    fields: dict[str, Field]
    rows: Sequence[Item] | None = None
    children: dict[str, tuple[str, str]] = field(default_factory=dict)  # relation -> (object, its field)
    creates: bool = False
    updates: bool = False
    deletes: bool = False
    merges: bool = False
    blank: Callable[[], Body] = dict
    by_name: dict[str, Field] = field(init=False)

    def __post_init__(self) -> None:
        self.by_name = {name.lower(): found for name, found in self.fields.items()}

    @property
    def bin(self) -> bool:
        """Whether deleted records can be seen at all."""
        return "IsDeleted" in self.fields


def own(number: int, prefix: str) -> str:
    return record_id(prefix, number)


def stamp_of(item: Item) -> datetime:
    """When the record last changed in any way; of a deleted one, when it was deleted."""
    return item.deleted or item.modified


@lru_cache(maxsize=1 << 16)
def instant(value: datetime) -> str:
    """2013-05-07T22:07:19.000+0000: UTC, milliseconds printed, seconds kept."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


@lru_cache(maxsize=1 << 16)
def double(value: Decimal) -> str:
    """A number as Java prints a double: at least one decimal, and an exponent from 10^7 and below 10^-3."""
    if not value:
        return "0.0"
    sign, digits, exponent = value.normalize().as_tuple()
    text = "".join(map(str, digits))
    point = len(text) + int(exponent)
    if -3 < point <= 7:
        if point <= 0:
            body = "0." + "0" * -point + text
        elif point >= len(text):
            body = text + "0" * (point - len(text)) + ".0"
        else:
            body = f"{text[:point]}.{text[point:]}"
    else:
        body = f"{text[0]}.{text[1:] or '0'}E{point - 1}"
    return f"-{body}" if sign else body


@lru_cache(maxsize=1 << 16)
def _raw(value: Decimal) -> msgspec.Raw:
    return msgspec.Raw(double(value).encode())


def worded(kind: str, value: Any) -> Any:
    """A value as JSON shows it."""
    if value is None or kind in TEXTS:
        return value
    if kind == "datetime":
        return instant(value)
    if kind in NUMBERS and isinstance(value, Decimal):
        return _raw(value)
    return value.isoformat() if isinstance(value, date) else value


def shown(found: Field) -> Callable[[Item], Any]:
    """The getter whose values JSON can take as they are."""
    get, kind = found.get, found.kind
    if kind == "datetime":
        return lambda item: None if (value := get(item)) is None else instant(value)
    if kind in NUMBERS and kind != "int":
        return lambda item: None if (value := get(item)) is None else _raw(value)
    if kind == "date":
        return lambda item: None if (value := get(item)) is None else value.isoformat()
    return get


def cell(kind: str, value: Any) -> str:
    """A value as a CSV file shows it: null is empty, stamps end in Z."""
    if value is None:
        return ""
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "datetime":
        return instant(value).replace("+0000", "Z")
    if kind in NUMBERS and isinstance(value, Decimal):
        return double(value)
    return value.isoformat() if isinstance(value, date) else str(value)
