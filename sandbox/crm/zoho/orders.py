"""Sales orders: one for each deal that has lines. The desk keeps lines; here they become a record of their own.

A sales order is numbered as its deal, and its stamp is that of the line that changed last: editing rows touches
the order, not the deal. It is gone when its last line is.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal, Protocol

from sandbox.desk.records import Desk, Happening, Item

Order = Literal["number", "modified", "created"]
RESORT: Final = 500
"""With more orders than this to put in their places, sorting anew is cheaper."""


class Rows(Protocol):
    """What a module's records are read from."""

    def get(self, number: int) -> Item | None:
        """A living record."""

    def ordered(self, by: Order) -> list[Item]:
        """All living records. Do not change the list."""

    def gone(self) -> list[Item]:
        """Deleted and merged records, the earliest first."""


class DeskRows:
    """The records of one entity of the desk."""

    def __init__(self, desk: Desk, entity: str) -> None:
        self._desk, self._entity = desk, entity

    def get(self, number: int) -> Item | None:
        return self._desk.get(self._entity, number)

    def ordered(self, by: Order) -> list[Item]:
        return self._desk.ordered(self._entity, by)

    def gone(self) -> list[Item]:
        return self._desk.gone(self._entity)


class OrderRows:
    """The sales orders, brought up to date when somebody asks."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lines: dict[int, dict[int, None]] = {}
        self._items: dict[int, Item] = {}
        self._sorted: dict[Order, list[Item]] = {}
        self._dirty: dict[int, None] = {}
        for line in desk.tables["line"].values():
            self._lines.setdefault(line.body["deal"], {})[line.number] = None
        for deal in self._lines:
            self._items[deal] = self._made(deal)
        desk.listeners.append(self._heard)

    def get(self, number: int) -> Item | None:
        self._settle()
        item = self._items.get(number)
        return item if item is not None and item.deleted is None else None

    def ordered(self, by: Order) -> list[Item]:
        self._settle()
        if by not in self._sorted:
            living = [item for item in self._items.values() if item.deleted is None]
            self._sorted[by] = sorted(living, key=_KEYS[by])
        return self._sorted[by]

    def gone(self) -> list[Item]:
        self._settle()
        found = [item for item in self._items.values() if item.deleted is not None]
        return sorted(found, key=lambda item: (item.deleted, item.number))

    def _heard(self, happening: Happening) -> None:
        if happening.entity == "line":
            line = self._desk.tables["line"][happening.number]
            self._lines.setdefault(line.body["deal"], {})[line.number] = None
            self._dirty[line.body["deal"]] = None
        elif happening.entity == "deal" and happening.number in self._lines:
            self._dirty[happening.number] = None  # its order shows the deal's client and name

    def _settle(self) -> None:
        if not self._dirty:
            return
        anew = len(self._dirty) > RESORT
        if anew:
            self._sorted.clear()
        for deal in self._dirty:
            old, new = self._items.get(deal), self._made(deal)
            self._items[deal] = new
            for by, items in self._sorted.items():
                key = _KEYS[by]
                if old is not None and old.deleted is None:
                    del items[bisect_left(items, key(old), key=key)]
                if new.deleted is None:
                    insort(items, new, key=key)
        self._dirty.clear()

    def _made(self, deal: int) -> Item:
        table = self._desk.tables["line"]
        lines = [table[number] for number in self._lines[deal]]
        living = [line for line in lines if line.deleted is None]
        ends = [line.deleted for line in lines if line.deleted is not None]
        touched: list[datetime] = [line.modified for line in lines] + ends
        return Item(
            deal, {"deal": deal}, min(line.created for line in lines), max(touched),
            max(line.version for line in lines), None if living else max(ends),
        )  # fmt: skip


_KEYS: dict[Order, Callable[[Item], Any]] = {
    "number": lambda item: item.number,
    "modified": lambda item: (item.modified, item.number),
    "created": lambda item: (item.created, item.number),
}
