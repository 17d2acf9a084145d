"""The rows of the system: tables with the indexes that reads and writes need, and units of work that hold or vanish.

A row is kept under its key with leading zeros, so the order of keys is that of the system and what belongs to a
document is what begins with its key. Tables without rows of their own are views on others.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sandbox.accounting.sap.edm import EntityType
from sandbox.accounting.sap.values import padded
from sandbox.books import Books

Row = dict[str, Any]
BREAK: Final = "\x1f"
END: Final = "\x7f"


class Table:
    """Stored rows of one kind. `equal` and `ranged` name the properties that are indexed."""

    def __init__(
        self, db: Database, name: str, kind: EntityType, equal: Sequence[str] = (), ranged: Sequence[str] = ()
    ) -> None:
        self.name, self.kind, self._db = name, kind, db
        self._rows = db.books.rows(name)
        self.keys: list[str] = sorted(self._rows)
        self.equal: dict[str, dict[Any, dict[str, None]]] = {field: {} for field in equal}
        self.ranged: dict[str, list[tuple[str, str]]] = {field: [] for field in ranged}
        for key, row in self._rows.items():
            self._enter(key, row, sort=False)
        for index in self.ranged.values():
            index.sort()

    def __len__(self) -> int:
        return len(self.keys)

    def key_of(self, row: Row) -> str:
        return self.key(*(row.get(name) or self.kind.properties[name].empty or "" for name in self.kind.keys))

    def key(self, *values: str) -> str:
        """The key of these values, in the order of the type's key properties; the first ones alone are a prefix."""
        props = [self.kind.properties[name] for name in self.kind.keys]
        return BREAK.join(
            padded(prop, value) if prop.code in "kn" else value
            for prop, value in zip(props, values, strict=False)
        )

    def get(self, *values: str) -> Row | None:
        return self._rows.get(self.key(*values))

    def at(self, key: str) -> Row | None:
        return self._rows.get(key)

    def put(self, row: Row) -> Row:
        """Keep a new row, or a changed one in the place of the old: never change a kept row itself."""
        key = self.key_of(row)
        old = self._rows.get(key)
        self._db.note(self, key, old)
        self._swap(key, old, row)
        return row

    def change(self, row: Row, **values: Any) -> Row:
        return self.put({**row, **values})

    def delete(self, row: Row) -> None:
        key = self.key_of(row)
        old = self._rows[key]
        self._db.note(self, key, old)
        self._swap(key, old, None)

    def under(self, *values: str) -> list[Row]:
        """The rows whose key begins with these values, in the order of keys."""
        return [self._rows[key] for key in self.keys_under(self.key(*values), whole=len(values))]

    def keys_under(self, prefix: str, *, whole: int) -> list[str]:
        if whole == len(self.kind.keys):
            return [prefix] if prefix in self._rows else []
        return self.keys[bisect_left(self.keys, prefix + BREAK) : bisect_left(self.keys, prefix + END)]

    def where(self, field: str, value: Any) -> list[Row]:
        """The rows with this value of an indexed property, in the order of keys."""
        return [self._rows[key] for key in sorted(self.equal[field].get(value, ()))]

    def rows(self) -> Iterator[Row]:
        for key in list(self.keys):
            row = self._rows.get(key)
            if row is not None:
                yield row

    def newest(self, field: str) -> str:
        index = self.ranged[field]
        return index[-1][0] if index else ""

    def restore(self, key: str, old: Row | None) -> None:
        self._swap(key, self._rows.get(key), old)

    def _swap(self, key: str, old: Row | None, new: Row | None) -> None:
        if old is not None:
            self._leave(key, old)
        if new is None:
            if old is not None:
                self._rows.delete(key)
                del self.keys[bisect_left(self.keys, key)]
            return
        self._rows.put(key, new)
        if old is None:
            if not self.keys or key > self.keys[-1]:
                self.keys.append(key)
            else:
                insort(self.keys, key)
        self._enter(key, new)

    def _enter(self, key: str, row: Row, *, sort: bool = True) -> None:
        for field, found in self.equal.items():
            value = row.get(field)
            if value:  # an empty one is nothing to be looked up by
                found.setdefault(value, {})[key] = None
        for field, index in self.ranged.items():
            value = row.get(field)
            if value is not None:
                if sort:
                    insort(index, (value, key))
                else:
                    index.append((value, key))

    def _leave(self, key: str, row: Row) -> None:
        for field, found in self.equal.items():
            value = row.get(field)
            same = found.get(value) if value else None
            if same is not None:
                same.pop(key, None)
                if not same:
                    del found[value]
        for field, index in self.ranged.items():
            value = row.get(field)
            if value is not None:
                place = bisect_left(index, (value, key))
                if place < len(index) and index[place] == (value, key):
                    del index[place]

    def between(self, field: str, low: str | None, high: str | None) -> Sequence[tuple[str, str]]:
        """(value, key) of an indexed property from `low` up to `high`, both included."""
        index = self.ranged[field]
        start = bisect_left(index, (low, "")) if low is not None else 0
        end = bisect_right(index, (high, "\uffff")) if high is not None else len(index)
        return index[start:end]


class View(Table):
    """Rows that stand inside the rows of another table: `split` gives them."""

    def __init__(
        self, db: Database, name: str, kind: EntityType, source: Table, split: Callable[[Row], list[Row]]
    ):
        super().__init__(db, name, kind)
        self._source, self._split = source, split

    def __len__(self) -> int:
        return sum(1 for _ in self.rows())

    def get(self, *values: str) -> Row | None:
        return self.at(self.key(*values))

    def at(self, key: str) -> Row | None:
        parent = BREAK.join(key.split(BREAK)[: len(self._source.kind.keys)])
        row = self._source.at(parent)
        return next((each for each in self._split(row) if self.key_of(each) == key), None) if row else None

    def under(self, *values: str) -> list[Row]:
        given = values[: len(self._source.kind.keys)]
        prefix = self.key(*values)
        rows = [each for row in self._source.under(*given) for each in self._split(row)]
        return [row for row in rows if self.key_of(row).startswith(prefix)]

    def rows(self) -> Iterator[Row]:
        for row in self._source.rows():
            yield from self._split(row)


class Database:
    """All tables by name, and what the unit of work in progress has changed."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.tables: dict[str, Table] = {}
        self._changed: list[tuple[Table, str, Row | None]] | None = None

    def __getitem__(self, name: str) -> Table:
        return self.tables[name]

    def add(
        self, name: str, kind: EntityType, equal: Sequence[str] = (), ranged: Sequence[str] = ()
    ) -> Table:
        self.tables[name] = Table(self, name, kind, equal, ranged)
        return self.tables[name]

    def view(self, name: str, kind: EntityType, source: str, split: Callable[[Row], list[Row]]) -> None:
        self.tables[name] = View(self, name, kind, self.tables[source], split)

    def note(self, table: Table, key: str, old: Row | None) -> None:
        if self._changed is not None:
            self._changed.append((table, key, old))

    @contextmanager
    def unit(self) -> Iterator[None]:
        """All that happens inside holds, or nothing of it; numbers that were drawn stay drawn."""
        if self._changed is not None:
            yield
            return
        self._changed = []
        with self.books.store.together():
            try:
                yield
            except BaseException:
                changed, self._changed = self._changed, None
                for table, key, old in reversed(changed):
                    table.restore(key, old)
                raise
            finally:
                self._changed = None

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Inside a unit: what this block did is undone when it raises, and the unit goes on."""
        if self._changed is None:
            with self.unit():
                yield
            return
        mark = len(self._changed)
        try:
            yield
        except BaseException:
            for table, key, old in reversed(self._changed[mark:]):
                table.restore(key, old)
            del self._changed[mark:]
            raise
