"""One account: the desk, what is looked up beside it, and rows as JSON in which a link is whole only once.

A row is encoded once for its version and choice of fields, and kept as pieces of bytes with links between
them. Putting an answer together then only joins bytes: the first mention of an entity in an answer becomes its
whole form, every later one `{"contentType":…,"id":…}`, as the vendor does it.
"""

from __future__ import annotations

import re
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from sandbox.crm.megaplan import cards
from sandbox.crm.megaplan.manners import Manners
from sandbox.crm.megaplan.protocol import encode
from sandbox.crm.megaplan.values import CONTENT_TYPES, Link, source_id
from sandbox.desk.records import Body, Desk, Happening, Item
from sandbox.office import Office

MAX_KEPT: Final = 250_000
"""Rows kept encoded; the oldest goes when another comes."""
MAX_DEPTH: Final = 12
_MARK = re.compile(rb'"\\u0001([a-z]+):([^"\\]*)\\u0001"')
Key = tuple[str, int | str]


class Mention:
    """A link inside a row: whom it names, and how it reads when that one was whole before."""

    __slots__ = ("bare", "key", "known")

    def __init__(self, key: Key, bare: bytes, known: bool) -> None:
        self.key, self.bare, self.known = key, bare, known


Pieces = tuple[bytes, tuple[Mention, ...]]
"""The JSON of a row with a NUL in the place of each mention, and the mentions in order."""


@dataclass
class Portal:
    """One office's account, with the readings that it plays."""

    office: Office
    manners: Manners = field(default_factory=Manners)
    journal: dict[tuple[str, int], list[Happening]] = field(default_factory=dict)
    orders: dict[Any, tuple[list[list[Item]], Any]] = field(default_factory=dict)
    _owned: dict[tuple[str, str], dict[int, dict[int, None]]] = field(default_factory=dict)
    _kept: OrderedDict[tuple[str, int | str, tuple[str, ...]], tuple[Any, Pieces]] = field(
        default_factory=OrderedDict
    )
    _mentions: dict[tuple[bytes, bytes], Mention] = field(default_factory=dict)
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
        seen: set[Key] = set()
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
        self._join(out, self._split(_encode(value)), set(), MAX_DEPTH)
        return b"".join(out)

    def _join(self, out: list[bytes], pieces: Pieces, seen: set[Key], depth: int) -> None:
        text, mentions = pieces
        first, *others = text.split(b"\0")
        out.append(first)
        for mention, part in zip(mentions, others, strict=True):
            key = mention.key
            if key in seen or depth == 0 or not mention.known:
                out.append(mention.bare)
            else:
                seen.add(key)
                self._join(out, self._pieces(*key, cards.in_collection(key[0])), seen, depth - 1)
            out.append(part)

    def _pieces(self, kind: str, key: int | str, names: tuple[str, ...]) -> Pieces:
        stamp = cards.stamp(self, kind, key, names)
        known = self._kept.get((kind, key, names))
        if known is not None and known[0] == stamp:
            return known[1]
        said = {"contentType": CONTENT_TYPES[kind], "id": shown_key(kind, key)}
        said |= cards.fields_of(self, kind, key, names)
        pieces = self._split(_encode(said))
        if len(self._kept) >= MAX_KEPT:
            self._kept.popitem(last=False)
        self._kept[kind, key, names] = (stamp, pieces)
        return pieces

    def _split(self, encoded: bytes) -> Pieces:
        parts = _MARK.split(encoded)
        mentions = tuple(map(self._mention, parts[1::3], parts[2::3]))
        return b"\0".join(parts[::3]), mentions

    def _mention(self, kind_said: bytes, key_said: bytes) -> Mention:
        found = self._mentions.get((kind_said, key_said))
        if found is not None:
            return found
        kind, text = kind_said.decode(), key_said.decode()
        key: int | str = int(text) if kind in cards.OF_DESK or kind == "loose" else text
        bare = encode({"contentType": CONTENT_TYPES[kind], "id": shown_key(kind, key)})
        known = kind not in self.desk.tables or key in self.desk.tables[kind]
        found = Mention((kind, key), bare, known)
        if known:  # what is not there yet may come
            if len(self._mentions) >= MAX_KEPT:
                self._mentions.clear()
            self._mentions[kind_said, key_said] = found
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


def _mark(value: Any) -> str:
    """A link as a mark that survives the encoding."""
    if not isinstance(value, Link):
        raise NotImplementedError(type(value).__name__)
    return f"\x01{value.kind}:{value.key}\x01"


_encode = msgspec.json.Encoder(enc_hook=_mark).encode
