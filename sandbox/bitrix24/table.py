"""Tables of the portal: rows kept as JSON bytes, found by filter, order and page the way Bitrix24 does.

Answers are spliced from the stored bytes, so a page costs no encoding. Filters on the key are a bisect and
windows on the modification stamp use an index; anything else reads the rows once and remembers the ids found
until the next write.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from sandbox.company.model import MOSCOW
from sandbox.store import Collection, Record

PAGE = 50
MAX_CACHED_FINDS = 32
MAX_CACHED_SHAPES = 8
MAX_FILTER_DEPTH = 10
OPERATORS = (
    "!=%",
    "!%=",
    "!><",
    ">=",
    "<=",
    "=%",
    "%=",
    "!%",
    "!@",
    "!=",
    "><",
    ">",
    "<",
    "@",
    "%",
    "=",
    "!",
)

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode

Kind = str
"""int, float, str, flag (Y/N), datetime, date, list (of ids)."""


class BadFilterError(ValueError):
    """`field` is not in the table (`invalid` False) or its value cannot be read (`invalid` True)."""

    def __init__(self, field: str, invalid: bool) -> None:
        super().__init__(field)
        self.field = field
        self.invalid = invalid


class Condition(NamedTuple):
    field: str
    op: str
    value: Any  # a comparable, or a list of them for @ and !@


@dataclass(frozen=True)
class Where:
    """A filter: conditions and groups joined by AND, or by OR when `any_of`."""

    conditions: tuple[Condition, ...] = ()
    groups: tuple[Where, ...] = ()
    any_of: bool = False


class Page(NamedTuple):
    ids: Sequence[int]
    total: int | None  # None when counting was switched off
    next: int | None


class Table:
    """Rows of one kind. `stamp` names the field with the modification time (ISO 8601 text)."""

    def __init__(
        self, kinds: Mapping[str, Kind], key: str, stamp: str | None = None, overlay: Collection | None = None
    ) -> None:
        self.kinds = kinds
        self.key = key
        self._stamp = stamp
        self._overlay = overlay
        self._rows: dict[int, bytes] = {}
        self._ids: list[int] = []
        self._stamps: dict[int, int] = {}
        self._by_stamp: list[tuple[int, int]] = []
        self._finds: dict[Any, list[int]] = {}
        self._shapes: dict[Any, dict[int, bytes]] = {}

    def seed(self, rows: Iterable[Record]) -> None:
        """Fill with rows that need no journal, then lay what was written since (the overlay) over them."""
        for row in rows:
            key = int(row[self.key])
            self._rows[key] = encode(row)
            if self._stamp is not None:
                self._stamps[key] = int(datetime.fromisoformat(row[self._stamp]).timestamp())
        for text, row in self._overlay.items() if self._overlay is not None else ():
            if row:
                self._rows[int(text)] = encode(row)
                if self._stamp is not None:
                    self._stamps[int(text)] = epoch(row[self._stamp])
            else:
                self._rows.pop(int(text), None)
                self._stamps.pop(int(text), None)
        self._ids = sorted(self._rows)
        self._by_stamp = sorted((stamp, key) for key, stamp in self._stamps.items())

    def __contains__(self, key: int) -> bool:
        return key in self._rows

    def __len__(self) -> int:
        return len(self._ids)

    def get(self, key: int) -> Record | None:
        row = self._rows.get(key)
        return None if row is None else decode(row)

    def put(self, row: Record) -> None:
        key = int(row[self.key])
        if self._overlay is not None:
            self._overlay.put(str(key), row)
        if key not in self._rows:
            insort(self._ids, key)
        self._rows[key] = encode(row)
        if self._stamp is not None:
            self._drop_stamp(key)
            self._stamps[key] = epoch(row[self._stamp])
            insort(self._by_stamp, (self._stamps[key], key))
        self._forget(key)

    def delete(self, key: int) -> None:
        """Raises KeyError when there is no such row."""
        del self._rows[key]
        if self._overlay is not None:
            self._overlay.put(str(key), {})
        del self._ids[bisect_left(self._ids, key)]
        self._drop_stamp(key)
        self._forget(key)

    def where(self, field: str, value: int | str) -> list[Record]:
        """The rows whose field has this value."""
        return [row for key in self._ids if (row := decode(self._rows[key])).get(field) == value]

    def raw(self, key: int) -> bytes:
        return self._rows[key]

    def shaped(self, shape: Any, make: Callable[[bytes], bytes], ids: Sequence[int]) -> list[bytes]:
        """Rows in another shape (fewer fields, other names), made once each and remembered by `shape`."""
        made = self._shapes.get(shape)
        if made is None:
            while len(self._shapes) >= MAX_CACHED_SHAPES:
                self._shapes.pop(next(iter(self._shapes)))
            made = self._shapes[shape] = {}
        for key in ids:
            if key not in made:
                made[key] = make(self._rows[key])
        return [made[key] for key in ids]

    def page(self, where: Where, order: Sequence[tuple[str, bool]], start: int) -> Page:
        """One page. `order` is (field, descending); `start=-1` switches counting off, as with the vendor."""
        by_key = not order or order[0][0] == self.key
        if by_key:
            ids, lo, hi = self._keyset(where)
            descending = bool(order) and order[0][1]
        else:
            ids = self._sorted(where, tuple(order))
            lo, hi, descending = 0, len(ids), False
        offset = max(start, 0)
        if descending:
            chosen = ids[max(hi - offset - PAGE, lo) : max(hi - offset, lo)][::-1]
        else:
            chosen = ids[lo + offset : min(lo + offset + PAGE, hi)]
        if start < 0:
            return Page(chosen, None, None)
        total = hi - lo
        return Page(chosen, total, offset + PAGE if offset + PAGE < total else None)

    def _keyset(self, where: Where) -> tuple[list[int], int, int]:
        """Ids in ascending order and the part of them that the conditions on the key leave."""
        if where.any_of:
            ids = self._matching(where)
            return ids, 0, len(ids)
        ranges = [c for c in where.conditions if c.field == self.key and c.op in (">", ">=", "<", "<=")]
        rest = tuple(c for c in where.conditions if c not in ranges)
        ids = self._matching(Where(rest, where.groups))
        lo, hi = 0, len(ids)
        for condition in ranges:
            if condition.op == ">":
                lo = max(lo, bisect_right(ids, condition.value))
            elif condition.op == ">=":
                lo = max(lo, bisect_left(ids, condition.value))
            elif condition.op == "<":
                hi = min(hi, bisect_left(ids, condition.value))
            else:
                hi = min(hi, bisect_right(ids, condition.value))
        return ids, lo, max(lo, hi)

    def _matching(self, where: Where) -> list[int]:
        """All ids that match, ascending, remembered until the next write."""
        if not where.conditions and not where.groups:
            return self._ids
        memo = repr(where)
        found = self._finds.get(memo)
        if found is None:
            found = self._remember(memo, self._scan(where))
        return found

    def _sorted(self, where: Where, order: tuple[tuple[str, bool], ...]) -> list[int]:
        memo = (repr(where), order)
        found = self._finds.get(memo)
        if found is not None:
            return found
        ids, lo, hi = self._keyset(where)
        part = ids[lo:hi]
        rows = {key: decode(self._rows[key]) for key in part}
        for field, descending in reversed(order):
            kind = self.kinds[field]
            values = {key: sort_key(comparable(kind, row.get(field))) for key, row in rows.items()}
            part.sort(key=values.__getitem__, reverse=descending)
        return self._remember(memo, part)

    def _scan(self, where: Where) -> list[int]:
        candidates: Iterable[int] = self._ids
        rest = where
        if not where.any_of:
            exact = [c for c in where.conditions if c.field == self.key and c.op in ("=", "@")]
            stamped = [
                c for c in where.conditions if c.field == self._stamp and c.op in (">", ">=", "<", "<=")
            ]
            if exact:
                wanted = exact[0].value if exact[0].op == "@" else [exact[0].value]
                candidates = sorted({key for key in wanted if key in self._rows})
                rest = Where(tuple(c for c in where.conditions if c is not exact[0]), where.groups)
            elif stamped:
                candidates = self._window(stamped)
                rest = Where(tuple(c for c in where.conditions if c not in stamped), where.groups)
        if not rest.conditions and not rest.groups:
            return list(candidates)
        return [key for key in candidates if matches(rest, decode(self._rows[key]), self.kinds)]

    def _window(self, conditions: Iterable[Condition]) -> list[int]:
        lo, hi = 0, len(self._by_stamp)
        for condition in conditions:
            whole = int(condition.value)
            if condition.op in (">", ">="):
                at = whole + 1 if condition.op == ">" else whole
                lo = max(lo, bisect_left(self._by_stamp, (at, -1)))
            else:
                at = whole if condition.op == "<" else whole + 1
                hi = min(hi, bisect_left(self._by_stamp, (at, -1)))
        return sorted(key for _, key in self._by_stamp[lo:hi])

    def _remember(self, memo: Any, ids: list[int]) -> list[int]:
        while len(self._finds) >= MAX_CACHED_FINDS:
            self._finds.pop(next(iter(self._finds)))
        self._finds[memo] = ids
        return ids

    def _forget(self, key: int) -> None:
        self._finds.clear()
        for made in self._shapes.values():
            made.pop(key, None)

    def _drop_stamp(self, key: int) -> None:
        old = self._stamps.pop(key, None)
        if old is not None:
            del self._by_stamp[bisect_left(self._by_stamp, (old, key))]


def read_where(said: Any, kinds: Mapping[str, Kind], strict: bool, depth: int = 0) -> Where:
    """A filter as sent -> Where. `strict` raises BadFilterError on unknown fields, else they are ignored.

    The old methods ignore what they do not know; `crm.item.list` refuses it (crm-item-list.md, errors).
    """
    if depth > MAX_FILTER_DEPTH:
        raise BadFilterError("filter", invalid=True)
    items = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    conditions: list[Condition] = []
    groups: list[Where] = []
    any_of = False
    for raw, value in items:
        name = str(raw)
        if name.lower() == "logic":
            any_of = str(value).upper() == "OR"
        elif name.isdigit():
            groups.append(read_where(value, kinds, strict, depth + 1))
        else:
            op = next((o for o in OPERATORS if name.startswith(o)), "")
            field = known_name(name[len(op) :], kinds)
            if field in kinds:
                conditions.append(_condition(field, op, value, kinds[field]))
            elif strict:
                raise BadFilterError(field, invalid=False)
    return Where(tuple(conditions), tuple(groups), any_of)


def known_name(name: str, kinds: Mapping[str, Kind]) -> str:
    """The table's own name of a field: ID, STAGE_ID and UF_CRM_X are understood for id, stageId and ufCrmX.

    The vendor's pages show camelCase only; its own SDK sends `order[ID]` to every list (call_list_fast.py).
    """
    if name in kinds or not name.isupper():
        return name
    first, *rest = name.lower().split("_")
    camel = first + "".join(part.capitalize() for part in rest)
    return camel if camel in kinds else name


def matches(where: Where, row: Record, kinds: Mapping[str, Kind]) -> bool:
    results = (
        *(_holds(c, comparable(kinds[c.field], row.get(c.field))) for c in where.conditions),
        *(matches(group, row, kinds) for group in where.groups),
    )
    return any(results) if where.any_of else all(results)


def comparable(kind: Kind, value: Any) -> Any:
    """What a value compares as: numbers, text without case, seconds since 1970, days as ISO text.

    None for what is empty. Raises ValueError when the value is not of the kind.
    """
    if kind == "list":
        return [int(v) for v in value or ()]
    if value is None:
        return None
    if kind == "int":
        return int(value) if value != "" else 0
    if kind == "float":
        return float(value) if value != "" else 0.0
    if kind == "datetime":
        return epoch(value) if value != "" else None
    if kind == "date":
        return datetime.fromtimestamp(epoch(value), MOSCOW).date().isoformat() if value != "" else None
    if isinstance(value, bool):
        return ("y" if value else "n") if kind == "flag" else ("1" if value else "")
    return str(value).lower()


def epoch(value: Any) -> int:
    """Seconds since 1970 of a time as the portal reads it: without an offset it is the server's."""
    text = str(value).strip().replace(" ", "T", 1) if not str(value).startswith("+") else ""
    if len(text) >= 10 and text[2] == "." and text[5] == ".":
        text = f"{text[6:10]}-{text[3:5]}-{text[:2]}{text[10:]}"
    if len(text) > 19 and text[19] == "T":
        text = text[:19] + "+" + text[20:]  # a plus sign that was lost in form encoding
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=MOSCOW)).astimezone(UTC).timestamp())


def sort_key(value: Any) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)


def _condition(field: str, op: str, value: Any, kind: Kind) -> Condition:
    try:
        if isinstance(value, dict):
            value = list(value.values())
        if op in ("><", "!><"):
            low, high = value
            return Condition(field, op, [comparable(kind, low), comparable(kind, high)])
        scalar = "int" if kind == "list" else kind
        if isinstance(value, list):
            inside = [comparable(scalar, v) for v in value]
            return Condition(field, "!@" if op.startswith("!") else "@", inside)
        if op in ("@", "!@"):
            return Condition(field, op, [comparable(scalar, value)])
        if "%" in op:
            return Condition(field, op, str(value).lower())
        one = comparable(scalar, value)
    except (ValueError, TypeError) as error:
        raise BadFilterError(field, invalid=True) from error
    return Condition(field, {"": "=", "!": "!="}.get(op, op), one)


def _holds(condition: Condition, value: Any) -> bool:
    _, op, wanted = condition
    if op.startswith("!"):
        return not _holds(Condition(condition.field, op[1:] or "=", wanted), value)
    if isinstance(value, list):
        return any(w in value for w in (wanted if isinstance(wanted, list) else [wanted]))
    if op == "@":
        return any(_equal(value, w) for w in wanted)
    if op == "=":
        return _equal(value, wanted)
    if value is None or wanted is None:
        return False
    if op == "><":
        return bool(wanted[0] <= value <= wanted[1])
    if op == "%":
        return wanted in str(value)
    if op in ("=%", "%="):
        return _like(str(value), wanted)
    return bool(
        (op == ">" and value > wanted)
        or (op == ">=" and value >= wanted)
        or (op == "<" and value < wanted)
        or (op == "<=" and value <= wanted)
    )


def _equal(value: Any, wanted: Any) -> bool:
    return bool((value or None) == (wanted or None))


def _like(text: str, pattern: str) -> bool:
    body = pattern.strip("%")
    if pattern.startswith("%") and pattern.endswith("%"):
        return body in text
    if pattern.startswith("%"):
        return text.endswith(body)
    return text.startswith(body) if pattern.endswith("%") else text == body
