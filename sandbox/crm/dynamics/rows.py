"""A table's rows in the orders in which they are asked for, kept up to date change by change.

rows.order("modified").after((stamp, 17))     where the rows behind a paging cookie begin
rows.dead                                     numbers of deleted rows with the version of their deletion
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from datetime import UTC
from typing import Any, Literal

from sandbox.crm.dynamics.model import Table
from sandbox.desk.records import Desk, Happening, Item

By = Literal["number", "modified", "created", "version"]
Key = tuple[Any, ...]


class Order:
    """The visible rows sorted by one stamp and, within it, by number."""

    def __init__(self, table: Table, by: By, items: Iterable[Item]) -> None:
        self._table, self._by = table, by
        pairs = sorted(((self.key(item), item) for item in items), key=lambda pair: pair[0])
        self.keys: list[Key] = [key for key, _ in pairs]
        self.items: list[Item] = [item for _, item in pairs]
        self._places: dict[int, Key] = {item.number: key for key, item in pairs}

    def key(self, item: Item) -> Key:
        if self._by == "number":
            return (item.number,)
        if self._by == "version":
            return (item.version, item.number)
        stamp = self._table.stamp(item) if self._by == "modified" else item.created
        return (stamp.astimezone(UTC), item.number)  # of one zone, which compares faster

    def after(self, key: Key) -> int:
        return bisect_right(self.keys, key)

    def before(self, key: Key) -> int:
        return bisect_left(self.keys, key)

    def put(self, item: Item) -> None:
        old, new = self._places.get(item.number), self.key(item)
        if old == new:
            return
        if old is not None:
            self.drop(item)
        at = bisect_left(self.keys, new)
        self.keys.insert(at, new)
        self.items.insert(at, item)
        self._places[item.number] = new

    def drop(self, item: Item) -> None:
        old = self._places.pop(item.number, None)
        if old is not None:
            at = bisect_left(self.keys, old)
            del self.keys[at], self.items[at]


class KeyIndex:
    """Numbers of rows by the value of one column; rows without a value are not in it."""

    def __init__(self, read: Callable[[Item], Any]) -> None:
        self._read = read
        self.numbers: dict[Any, int] = {}
        self._values: dict[int, Any] = {}

    def put(self, item: Item) -> None:
        value = self._read(item)
        if self._values.get(item.number) == value:
            return
        self.drop(item.number)
        if value is not None:
            self.numbers[value], self._values[item.number] = item.number, value

    def drop(self, number: int) -> None:
        value = self._values.pop(number, None)
        if value is not None and self.numbers.get(value) == number:
            del self.numbers[value]


class Rows:
    """The rows of one table. `touched` grows with every change of any of them."""

    def __init__(self, desk: Desk, table: Table) -> None:
        self._desk, self.table = desk, table
        self._orders: dict[By, Order] = {}
        self._keyed: dict[str, KeyIndex] = {}
        self.touched = 0
        self.dead: dict[int, int] = {}
        if table.entity:
            self.dead = {
                item.number: item.version
                for item in desk.tables[table.entity].values()
                if not table.visible(item)
            }
            for item in desk.tables[table.entity].values() if table.writable else ():
                if (guid := item.body.get("guid")) is not None:
                    table.choose(item.number, guid)
            desk.listeners.append(self._note)

    def get(self, number: int) -> Item | None:
        item = self.table.fixed.get(number)
        if item is None and self.table.entity:
            item = self._desk.tables[self.table.entity].get(number)
        return item if item is not None and self.table.visible(item) else None

    def all(self) -> list[Item]:
        return self.order("number").items

    def order(self, by: By) -> Order:
        found = self._orders.get(by)
        if found is None:
            found = self._orders[by] = Order(self.table, by, self._items())
        return found

    def keyed(self, column: str, value: str) -> Item | None:
        """The row with this value in a column that is an alternate key."""
        index = self._keyed.get(column)
        if index is None:
            index = self._keyed[column] = KeyIndex(self.table.columns[column].read)
            for item in self._items():
                index.put(item)
        number = index.numbers.get(value)
        return self.get(number) if number is not None else None

    def _items(self) -> list[Item]:
        items = list(self.table.fixed.values())
        if self.table.entity:
            items += [i for i in self._desk.tables[self.table.entity].values() if self.table.visible(i)]
        return items

    def _note(self, happening: Happening) -> None:
        if happening.entity != self.table.entity:
            return
        self.touched += 1
        item = self._desk.tables[self.table.entity][happening.number]
        guid = item.body.get("guid") if self.table.writable else None
        if guid is not None and item.number not in self.table.chosen:
            self.table.choose(item.number, guid)
        if self.table.visible(item):
            self.dead.pop(item.number, None)
            for index in self._keyed.values():
                index.put(item)
            for order in self._orders.values():
                order.put(item)
        else:
            self.dead[item.number] = item.version
            for index in self._keyed.values():
                index.drop(item.number)
            for order in self._orders.values():
                order.drop(item)
