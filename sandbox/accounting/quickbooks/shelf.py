"""The records of one kind with the orders and indexes that queries need, kept up as records change.

Three orders stand ready: by id, by the time of the last change, and the one in which the vendor lists without
ORDERBY (name lists by name, transactions newest date first: as recorded; not promised). Each change costs a
few binary searches, so that the hundred-thousandth record is written as fast as the first.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from sandbox.accounting.quickbooks.kinds import Kind
from sandbox.accounting.quickbooks.values import Row, encode, id_of, revive, seconds_of
from sandbox.store import Collection

ID_WIDTH: Final = 19
MOST_ENCODED: Final = 150_000
"""Records of a kind that are kept as bytes; when there are more, all are encoded anew."""


def sort_id(key: str) -> str:
    """Ids are numbers written as text (TAX and NON apart); padded they sort as numbers."""
    return key.rjust(ID_WIDTH, "0")


def own_id(padded: str) -> str:
    return padded.lstrip("0") or "0"


def folded(value: Any) -> str:
    """The text by which an exact match is looked up: of a reference its id, case ignored."""
    return (id_of(value) if isinstance(value, dict) else str(value)).casefold()


class Shelf:
    """All records of one kind. `version` grows with every change."""

    def __init__(self, kind: Kind, rows: Collection) -> None:
        self.kind, self.rows, self.version = kind, rows, 0
        self.by_id: list[str] = []
        self.natural: list[tuple[str, str]] = []
        self.updated: list[tuple[int, str]] = []
        self.exact: dict[str, dict[str, dict[str, None]]] = {name: {} for name in kind.exact}
        self._encoded: dict[str, msgspec.Raw] = {}
        self._seals: dict[str, tuple[tuple[str, str], tuple[int, str], tuple[tuple[str, str], ...]]] = {}
        for key, row in rows.items():
            self._seals[key] = seal = self._seal(key, revive(row))
            self.by_id.append(sort_id(key))
            self.natural.append(seal[0])
            self.updated.append(seal[1])
            self._index(key, seal[2])
        for order in (self.by_id, self.natural, self.updated):
            order.sort()

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, key: str) -> Row | None:
        return self.rows.get(key)

    def encoded(self, key: str) -> msgspec.Raw:
        """A record as JSON, kept until it is put again."""
        found = self._encoded.get(key)
        if found is None:
            if len(self._encoded) >= MOST_ENCODED:
                self._encoded.clear()
            found = self._encoded[key] = msgspec.Raw(encode(self.rows[key]))
        return found

    def put(self, row: Row) -> None:
        """Write a record, new or changed."""
        key = row["Id"]
        self._encoded.pop(key, None)
        seal, old = self._seal(key, row), self._seals.get(key)
        if old is None:
            insort(self.by_id, sort_id(key))
            insort(self.natural, seal[0])
            insort(self.updated, seal[1])
            self._index(key, seal[2])
        elif old != seal:
            if old[0] != seal[0]:
                _drop(self.natural, old[0])
                insort(self.natural, seal[0])
            if old[1] != seal[1]:
                _drop(self.updated, old[1])
                insort(self.updated, seal[1])
            if old[2] != seal[2]:
                self._unindex(key, old[2])
                self._index(key, seal[2])
        self._seals[key] = seal
        self.rows.put(key, row)
        self.version += 1

    def remove(self, key: str) -> None:
        seal = self._seals.pop(key)
        self._encoded.pop(key, None)
        _drop(self.by_id, sort_id(key))
        _drop(self.natural, seal[0])
        _drop(self.updated, seal[1])
        self._unindex(key, seal[2])
        self.rows.delete(key)
        self.version += 1

    def found(self, name: str, value: Any) -> Iterable[str]:
        """Ids of the records whose indexed field equals `value`, case ignored."""
        return self.exact[name].get(folded(value), {})

    def one(self, name: str, value: Any) -> Row | None:
        for key in self.found(name, value):
            return self.rows[key]
        return None

    def changed_since(self, seconds: float) -> list[str]:
        """Ids of the records changed at or after a moment, oldest change first."""
        start = bisect_left(self.updated, (seconds, ""))
        return [own_id(padded) for _, padded in self.updated[start:]]

    def _seal(
        self, key: str, row: Row
    ) -> tuple[tuple[str, str], tuple[int, str], tuple[tuple[str, str], ...]]:
        padded = sort_id(key)
        first = (
            str(row.get(self.kind.title, "")).casefold() if self.kind.title else str(row.get("TxnDate", ""))
        )
        changed = int(seconds_of(row["MetaData"]["LastUpdatedTime"]) or 0)
        marks = tuple(
            (name, folded(row[name])) for name in self.kind.exact if row.get(name) not in (None, "")
        )
        return (first, padded), (changed, padded), marks

    def _index(self, key: str, marks: Iterable[tuple[str, str]]) -> None:
        for name, value in marks:
            self.exact[name].setdefault(value, {})[key] = None

    def _unindex(self, key: str, marks: Iterable[tuple[str, str]]) -> None:
        for name, value in marks:
            known = self.exact[name][value]
            del known[key]
            if not known:
                del self.exact[name][value]


def _drop(order: list[Any], one: Any) -> None:
    del order[bisect_left(order, one)]
