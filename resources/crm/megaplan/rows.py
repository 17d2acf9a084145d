"""Rows of an answer, each made to stand by itself, without touching what it says.

In one answer a linked record is whole where it first occurs, and a bare `{"contentType", "id"}` everywhere after.
Left so, a deal would change with the neighbours that it is listed with. Therefore, within each row:

- a link to a record that is read by itself (`OWN`) is a bare link everywhere;
- any other linked record (a unit, a tax, an invoice) is whole everywhere: its first place is looked up;
- a `DateOnly`, whose month the vendor counts from 0, gains `value`, the same day as ISO 8601 text.

Everything else stays the vendor's bytes: numbers are never decoded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from typing import Final

import msgspec

from resources.crm.megaplan.entities import OWN
from resources.crm.rows import moment

MAX_DEPTH: Final = 20  # of a row: deeper parts are left as they came

Raws = list[msgspec.Raw]
Key = tuple[str, str]

# Values that hold no record: passed on as they are, by their first bytes where these are written closely.
_PLAIN: Final = frozenset({"Money", "DateTime", "DateInterval", "Discount"})
_OPEN: Final = frozenset(b"{[")
_LIST: Final = ord("[")
SHORT: Final = 200  # bytes: a value that comes again and again is as short, and worked out once
_PLAIN_STARTS: Final = tuple(f'{{"contentType":"{name}"'.encode() for name in sorted(_PLAIN))


class Head(msgspec.Struct, rename={"type": "contentType"}):
    """What tells a record from others."""

    type: str | None = None
    id: str | int | None = None


class _Day(msgspec.Struct):
    year: int | None = None
    month: int | None = None
    day: int | None = None


class _Stamp(msgspec.Struct):
    value: str | None = None


class Stamped(
    msgspec.Struct, rename={"type": "contentType", "updated": "timeUpdated", "dropped": "isDropped"}
):
    """A row's key, the time it was changed at, and whether it was dropped."""

    type: str | None = None
    id: str | int | None = None
    updated: _Stamp | None = None
    dropped: bool | None = None

    @property
    def at(self) -> datetime | None:
        """When it was changed, UTC."""
        return moment(self.updated.value) if self.updated is not None else None


_head = msgspec.json.Decoder(Head).decode
_stamped = msgspec.json.Decoder(Stamped).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_day = msgspec.json.Decoder(_Day).decode
_encode = msgspec.json.encode


def heads(rows: Iterable[msgspec.Raw]) -> list[Stamped | None]:
    """Key and stamp of each row; None for a row that is no record."""
    found: list[Stamped | None] = []
    for row in rows:
        try:
            head = _stamped(row)
        except msgspec.DecodeError:
            head = None
        found.append(head if head is not None and head.id not in (None, "") else None)
    return found


class Standing:
    """One answer, whose rows are made to stand by themselves.

    `whole`: types read by themselves that stay whole all the same, because nothing else brings them.
    """

    def __init__(self, rows: Sequence[msgspec.Raw], whole: frozenset[str] = frozenset()) -> None:
        self._rows = rows
        self._own = OWN - whole
        self._known: dict[Key, msgspec.Raw] = {}
        self._met: dict[bytes, msgspec.Raw] = {}  # short texts, such as bare links, and what they come to

    def rows(self, keep: Iterable[str] | None = None) -> Raws:
        """The rows; with `keep`, only these of their fields (and their key). One that is no object stays as it is."""
        names = None if keep is None else {"contentType", "id", *keep}
        made: Raws = []
        for row in self._rows:
            try:
                fields = _object(row)
            except msgspec.DecodeError:
                made.append(row)
                continue
            if names is not None:
                fields = {name: value for name, value in fields.items() if name in names}
            made.append(self._inside(fields, 0))
        return made

    def _inside(self, fields: dict[str, msgspec.Raw], depth: int) -> msgspec.Raw:
        for name, value in fields.items():
            text = bytes(value)
            if text[0] in _OPEN and not text.startswith(_PLAIN_STARTS):
                fields[name] = self._value(value, text, depth + 1)
        return msgspec.Raw(_encode(fields))

    def _value(self, value: msgspec.Raw, text: bytes, depth: int) -> msgspec.Raw:
        """An object or a list. `text` is the value's own."""
        if depth > MAX_DEPTH or len(text) == 2:
            return value
        if text[0] == _LIST:
            parts = _array(text)
            for place, part in enumerate(parts):
                inner = bytes(part)
                if inner[0] in _OPEN and not inner.startswith(_PLAIN_STARTS):
                    parts[place] = self._value(part, inner, depth + 1)
            return msgspec.Raw(_encode(parts))
        if len(text) > SHORT:
            return self._object(value, text, depth)
        made = self._met.get(text)
        if made is None:
            made = self._met[text] = self._object(value, text, depth)
        return made

    def _object(self, value: msgspec.Raw, text: bytes, depth: int) -> msgspec.Raw:
        try:
            head = _head(text)
        except msgspec.DecodeError:
            return value  # `id` is something else: no record
        kind = head.type or ""
        if kind in _PLAIN:
            return value
        if kind == "DateOnly":
            return _with_day(value)
        if head.id is None or not kind:
            return self._inside(_object(text), depth)
        if kind in self._own:
            return msgspec.Raw(_encode({"contentType": kind, "id": str(head.id)}))
        fields = _object(text)
        key = (kind, str(head.id))
        if len(fields) <= 2:
            return self._found(key, value, depth)
        made = self._inside(fields, depth)
        self._known.setdefault(key, made)
        return made

    def _found(self, key: Key, bare: msgspec.Raw, depth: int) -> msgspec.Raw:
        """The record whole: met before, or, where it was met within a record that is left out, looked up."""
        if key not in self._known:
            self._known[key] = bare  # should it name itself somewhere inside
            kind, number = key[0].encode(), key[1].encode()
            for row in self._rows:
                text = bytes(row)
                if kind in text and number in text:
                    found: dict[Key, msgspec.Raw] = {}
                    _collect(row, found, 0)
                    if key in found:
                        self._known[key] = self._inside(_object(found[key]), depth)
                        break
        return self._known[key]


def _collect(value: msgspec.Raw, found: dict[Key, msgspec.Raw], depth: int) -> None:
    """Every record that is whole somewhere in a value, at its first place."""
    text = bytes(value)
    if text[:1] not in b"{[" or text.startswith(_PLAIN_STARTS) or depth > MAX_DEPTH:
        return
    if text[:1] == b"[":
        for part in _array(text):
            _collect(part, found, depth + 1)
        return
    try:
        fields, head = _object(text), _head(text)
    except msgspec.DecodeError:
        return
    if head.type and head.id is not None and len(fields) > 2:
        found.setdefault((head.type, str(head.id)), value)
    for inner in fields.values():
        _collect(inner, found, depth + 1)


def _with_day(value: msgspec.Raw) -> msgspec.Raw:
    try:
        said = _day(value)
        day = date(said.year or 0, (said.month if said.month is not None else -1) + 1, said.day or 0)
    except (ValueError, msgspec.DecodeError):
        return value  # no day that there is: left for the mapping to tell
    return msgspec.Raw(_encode({**_object(value), "value": day.isoformat()}))


def stages(rows: Sequence[msgspec.Raw]) -> Raws:
    """The states of programs as rows of their own, with their program and their place in it, from 1."""
    made: Raws = []
    for row in rows:
        try:
            program, head = _object(row), _head(row)
            states = [_object(state) for state in _array(program.get("states") or b"[]")]
        except msgspec.DecodeError:
            made.append(row)  # no program: set apart where its key is missed
            continue
        for place, fields in enumerate(states, start=1):
            fields["program"] = msgspec.Raw(_encode({"contentType": "Program", "id": str(head.id)}))
            fields["position"] = msgspec.Raw(str(place).encode())
            made.append(msgspec.Raw(_encode(fields)))
    return made


def link_of(row: msgspec.Raw, name: str) -> str:
    """The id of the record that a field of a row names; "" for none."""
    try:
        inner = _object(row).get(name)
        head = _head(inner) if inner is not None else None
    except msgspec.DecodeError:
        return ""
    return "" if head is None or head.id is None else str(head.id)


def parts_of(row: msgspec.Raw, name: str) -> Raws:
    """What a list in a row holds, as it stands; nothing where there is none."""
    try:
        inner = _object(row).get(name)
        return _array(inner) if inner is not None else []
    except msgspec.DecodeError:
        return []


def key_of(row: msgspec.Raw) -> str:
    """The id of a row; "" for none."""
    (head,) = heads([row])
    return "" if head is None else str(head.id)


def fields_in(row: msgspec.Raw) -> Collection[str]:
    """The names of a row's fields."""
    try:
        return _object(row)
    except msgspec.DecodeError:
        return ()


def owned(parts: Iterable[msgspec.Raw], name: str, owner: Stamped) -> Raws:
    """Parts of a row, each with a link to their owner under `name` unless it has one."""
    link = msgspec.Raw(_encode({"contentType": owner.type, "id": str(owner.id)}))
    made: Raws = []
    for part in parts:
        try:
            fields = _object(part)
        except msgspec.DecodeError:
            made.append(part)
            continue
        made.append(part if name in fields else msgspec.Raw(_encode({**fields, name: link})))
    return made
