"""Rows of an answer as records: the vendor's bytes, with only key, stamp and parent decoded.

    shape = Shape("deal", key="id", stamp="Modified_Time")
    records, rejects = shape.records("zoho", rows)      # rows: Sequence[msgspec.Raw]

A row without a usable key becomes a Reject with its place; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec

from resources.connector import Record, Reject

MAX_STAMP = 4_102_444_800  # 2100: whole seconds since 1970 beyond it are no stamp


@dataclass(frozen=True, slots=True)
class Shape:
    """How the rows of an entity name themselves. Paths have a dot where a key lies deeper: `Account.id`.

    `stamp` is an ISO 8601 text with an offset or Z, or whole seconds since 1970; of several the first that is
    not empty counts. `merged` names the survivor of a record that was merged; such a row, and one whose
    `deleted` field is true, becomes a tombstone.
    """

    entity: str
    key: str = "id"
    stamp: tuple[str, ...] = ()
    parent: str = ""
    deleted: str = ""
    merged: str = ""

    def records(self, system: str, rows: Sequence[msgspec.Raw]) -> tuple[list[Record], list[Reject]]:
        """Records in the order of the rows, and what cannot be one."""
        read = _reading(self)
        records: list[Record] = []
        rejects: list[Reject] = []
        for row in rows:
            try:
                records.append(read(row))
            except (msgspec.DecodeError, ValueError) as error:
                number = self.key_of(row)
                place = f"{system}, {self.entity}, a row without a usable {self.key}"
                reason = f"{error}; look at the record in {system}"
                rejects.append(
                    Reject(
                        place if number is None else f"{self.entity} {number}",
                        reason,
                        bytes(row),
                        number if self.entity == "deal" else None,
                    )
                )
        return records, rejects

    def key_of(self, row: bytes | msgspec.Raw) -> str | None:
        """The key of a row of which all else may be unreadable; None where it has none."""
        try:
            for name in self.key.split("."):
                row = _members(row)[name]
            found = msgspec.json.decode(row)
        except (msgspec.DecodeError, ValueError, KeyError, RecursionError):
            return None
        return str(found) if isinstance(found, str | int) and found != "" else None


def moment(value: str | float | None) -> datetime | None:
    """A vendor's stamp as UTC: ISO 8601 with an offset (`Z`, `+0000`, `+03:00`), or seconds since 1970."""
    if value is None or value == "":
        return None
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC) if 0 <= value < MAX_STAMP else None
    try:
        stamp = datetime.fromisoformat(value)
        return stamp if stamp.tzinfo is UTC else stamp.astimezone(UTC) if stamp.tzinfo else None
    except (ValueError, OverflowError):  # in UTC it may lie outside the calendar
        return None


@cache
def _reading(shape: Shape) -> Callable[[msgspec.Raw], Record]:
    """A function from a row to its record, its ways looked up once."""
    paths = [shape.key, *shape.stamp, shape.parent, shape.deleted, shape.merged]
    named = list(dict.fromkeys(path for path in paths if path))
    decode: Any = msgspec.json.Decoder(_struct(tuple(sorted(named))), strict=False).decode
    get = _getter(named)
    place = {path: index for index, path in enumerate(named)}
    # What a shape does not name is looked up behind the values, and is None.
    parent, deleted, merged = (place.get(p, len(named)) for p in (shape.parent, shape.deleted, shape.merged))
    stamps = [place[path] for path in shape.stamp]

    def read(row: msgspec.Raw) -> Record:
        values = (*get(decode(row)), None)
        number = values[0]
        if number is None or number == "":
            raise ValueError(f"the row has no {shape.key}")
        stamp = None
        for index in stamps:
            if (stamp := moment(values[index])) is not None:
                break
        owner, survivor = values[parent], values[merged]
        return Record(
            str(number),
            bytes(row),
            stamp,
            None if owner is None or owner == "" else str(owner),
            bool(survivor or values[deleted]),
            merged_into=str(survivor) if survivor else None,
        )

    return read


def _getter(paths: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """A function from a head to the values of these paths."""
    if all("." not in path for path in paths):
        one = attrgetter(*map(_attribute, paths))
        return one if len(paths) > 1 else lambda head: (one(head),)
    ways = [[_attribute(name) for name in path.split(".")] for path in paths]

    def get(head: Any) -> tuple[Any, ...]:
        values = []
        for way in ways:
            value = head
            for name in way:
                value = None if value is None else getattr(value, name)
            values.append(value)
        return tuple(values)

    return get


def _attribute(name: str) -> str:
    """A key of JSON as a name that Python takes."""
    return "f_" + "".join(c if c.isalnum() and c.isascii() else f"_{ord(c):x}_" for c in name)


def _struct(paths: tuple[str, ...]) -> type:
    """A struct of these paths, nested where they are; what else a row holds is passed over."""
    below: dict[str, list[str]] = {}
    for path in paths:
        name, _, rest = path.partition(".")
        below.setdefault(name, [])
        if rest:
            below[name].append(rest)
    fields: list[Any] = []
    renamed: dict[str, str] = {}
    for name, deeper in below.items():
        inner: Any = _struct(tuple(deeper)) | None if deeper else str | int | float | bool | None
        fields.append((_attribute(name), inner, None))
        renamed[_attribute(name)] = name
    return msgspec.defstruct("Head", fields, rename=renamed)


_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
