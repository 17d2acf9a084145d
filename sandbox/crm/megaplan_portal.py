"""One account: the desk, what is looked up beside it, and rows as JSON in which a link is whole only once.

A row is encoded once for its version and choice of fields, and kept as pieces of bytes with links between
them. Putting an answer together then only joins bytes: the first mention of an entity in an answer becomes its
whole form, every later one `{"contentType":…,"id":…}`, as the vendor does it.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.crm import megaplan_cards as cards
from sandbox.crm.megaplan_manners import Manners
from sandbox.crm.megaplan_protocol import encode
from sandbox.crm.megaplan_values import CONTENT_TYPES, Link, source_id
from sandbox.desk import Body, Desk, Happening, Item
from sandbox.office import Office

MAX_KEPT: Final = 100_000
"""Rows kept encoded; the oldest goes when another comes."""
MAX_DEPTH: Final = 12
_MARK = re.compile(rb'"\\u0001([a-z]+):([^"\\]*)\\u0001"')
Pieces = list[bytes | tuple[str, int | str]]


@dataclass
class Portal:
    """One office's account, with the readings that it plays."""

    office: Office
    manners: Manners = field(default_factory=Manners)
    journal: dict[tuple[str, int], list[Happening]] = field(default_factory=dict)
    orders: dict[Any, tuple[list[list[Item]], Any]] = field(default_factory=dict)
    _owned: dict[tuple[str, str], dict[int, dict[int, None]]] = field(default_factory=dict)
    _kept: dict[tuple[str, int | str, tuple[str, ...]], tuple[Any, Pieces]] = field(default_factory=dict)
    _bare: dict[tuple[str, int | str], bytes] = field(default_factory=dict)
    _mixed: tuple[list[Item], list[Item], list[tuple[str, Item]]] | None = None

    def __post_init__(self) -> None:
        for happening in self.desk.diary:
            self._note(happening)
        self.desk.listeners.append(self._note)

    @property
    def desk(self) -> Desk:
        return self.office.desk

    # ---- Looking up ---------------------------------------------------------------------------

    def owned(self, entity: str, by: str, parent: int) -> list[Item]:
        """The living records of an entity whose field `by` names a parent, by number."""
        index = self._owned.get((entity, by))
        if index is None:
            index = self._owned[entity, by] = {}
            for item in self.desk.tables[entity].values():
                if (owner := item.body.get(by)) is not None:
                    index.setdefault(owner, {})[item.number] = None
        rows = self.desk.tables[entity]
        return [rows[n] for n in sorted(index.get(parent, ())) if rows[n].deleted is None]

    def contractors(self) -> list[tuple[str, Item]]:
        """Companies and people together, by id."""
        companies, people = self.desk.living("client"), self.desk.living("contact")
        known = self._mixed
        if known is None or known[0] is not companies or known[1] is not people:
            rows = [("client", item) for item in companies] + [("contact", item) for item in people]
            rows.sort(key=lambda row: (row[1].number, row[0] == "contact"))
            known = self._mixed = (companies, people, rows)
        return known[2]

    def changes(self, entity: str, number: int) -> list[tuple[Happening, Body]]:
        """What happened to a record since the sandbox opened, each with the body that it had afterwards."""
        found: list[tuple[Happening, Body]] = []
        after = self.desk.tables[entity][number].body
        for happening in reversed(self.journal.get((entity, number), [])):
            found.append((happening, after))
            after = happening.before if happening.before is not None else after
        return found[::-1]

    # ---- Rows as JSON -------------------------------------------------------------------------

    def listed(self, rows: Iterable[tuple[str, int]], names: Callable[[str], tuple[str, ...]]) -> list[bytes]:
        """The JSON of some rows with a choice of fields for each kind, commas between them."""
        out: list[bytes] = []
        seen: set[tuple[str, int | str]] = set()
        for kind, number in rows:
            if out:
                out.append(b",")
            seen.add((kind, number))
            self._join(out, self._pieces(kind, number, names(kind)), seen, MAX_DEPTH)
        return out

    def card(self, kind: str, number: int) -> bytes:
        """One record with all its fields."""
        return b"".join(self.listed([(kind, number)], cards.on_card))

    def told(self, value: Any) -> bytes:
        """Any value that mentions entities by links."""
        out: list[bytes] = []
        self._join(out, _pieces(encode(_marked(value))), set(), MAX_DEPTH)
        return b"".join(out)

    def _join(self, out: list[bytes], pieces: Pieces, seen: set[tuple[str, int | str]], depth: int) -> None:
        for piece in pieces:
            if isinstance(piece, bytes):
                out.append(piece)
            elif piece in seen or depth == 0 or not self._is_known(*piece):
                out.append(self._bare_link(*piece))
            else:
                seen.add(piece)
                inside = self._pieces(*piece, cards.in_collection(piece[0]))
                self._join(out, inside, seen, depth - 1)

    def _pieces(self, kind: str, key: int | str, names: tuple[str, ...]) -> Pieces:
        stamp = cards.stamp(self, kind, key, names)
        known = self._kept.get((kind, key, names))
        if known is not None and known[0] == stamp:
            return known[1]
        said = {"contentType": CONTENT_TYPES[kind], "id": shown_key(kind, key)}
        said |= cards.fields_of(self, kind, key, names)
        pieces = _pieces(encode(_marked(said)))
        if len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[kind, key, names] = (stamp, pieces)
        return pieces

    def _is_known(self, kind: str, key: int | str) -> bool:
        return kind not in self.desk.tables or key in self.desk.tables[kind]

    def _bare_link(self, kind: str, key: int | str) -> bytes:
        found = self._bare.get((kind, key))
        if found is None:
            if len(self._bare) >= MAX_KEPT:
                self._bare.clear()
            found = encode({"contentType": CONTENT_TYPES[kind], "id": shown_key(kind, key)})
            self._bare[kind, key] = found
        return found

    def forget(self) -> None:
        """Encode every row anew: a reading changed."""
        self._kept.clear()

    # ---- What happens -------------------------------------------------------------------------

    def _note(self, happening: Happening) -> None:
        entity, number = happening.entity, happening.number
        self.journal.setdefault((entity, number), []).append(happening)
        item = self.desk.tables[entity][number]
        before = happening.before or {}
        for (table, by), index in self._owned.items():
            if table != entity:
                continue
            old, new = before.get(by), item.body.get(by)
            if old is not None and old != new:
                index.get(old, {}).pop(number, None)
            if new is not None:
                index.setdefault(new, {})[number] = None


_PORTALS: weakref.WeakValueDictionary[int, Portal] = weakref.WeakValueDictionary()


def portal_of(office: Office) -> Portal:
    """The account of an office, the same for as long as somebody holds it."""
    found = _PORTALS.get(id(office))
    if found is None:
        found = _PORTALS[id(office)] = Portal(office)
    return found


def shown_key(kind: str, key: int | str) -> str:
    """The id of a record of the desk, or of a thing that only the vendor has."""
    return (
        source_id(kind, key) if isinstance(key, int) and kind in cards.OF_DESK else cards.static_id(kind, key)
    )


def _marked(value: Any) -> Any:
    """Links as marks that survive the encoding."""
    if isinstance(value, Link):
        return f"\x01{value.kind}:{value.key}\x01"
    if isinstance(value, dict):
        return {key: _marked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_marked(item) for item in value]
    return value


def _pieces(encoded: bytes) -> Pieces:
    parts = _MARK.split(encoded)
    pieces: Pieces = []
    for place in range(0, len(parts), 3):
        pieces.append(parts[place])
        if place + 2 < len(parts):
            kind, key = parts[place + 1].decode(), parts[place + 2].decode()
            pieces.append((kind, int(key) if kind in cards.OF_DESK or kind == "loose" else key))
    return pieces
