"""What a CRM of the company holds, before any vendor's manners: records in neutral words, with their stamps.

A vendor's stand-in asks the desk for records, tells it what was written over its API, and words both in its
own protocol. Nothing of a vendor is known here. Numbers count per entity from 1; a vendor makes ids of them.

    desk = Desk(company, store, "zoho", founded, Traits())
    desk.living("deal")[17].body["title"]
    desk.put("deal", 17, {**body, "title": "…"})        # moves the stamp
    desk.remove("deal", 17); desk.merge("client", 3, 8)  # 8 goes into 3

Money in bodies is Decimal as text would show it, dates are `date`, stamps are aware datetimes of whole seconds.
What differs from the founded state is kept in the store, so that a restarted stand-in goes on.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, Literal

from sandbox.company.days import Event
from sandbox.company.model import Company
from sandbox.store import Store

Body = dict[str, Any]
Kind = Literal["added", "changed", "deleted", "restored", "merged"]
ENTITIES: Final = (
    "employee", "pipeline", "stage", "source", "campaign", "product", "price_list", "price", "client", "requisite",
    "contact", "deal", "line", "invoice", "task", "call", "letter", "meeting",
)  # fmt: skip
"""In the order in which they may refer to each other. Their fields stand in `base`."""
PARENTS: Final = {
    "line": "deal", "requisite": "client", "price": "product", "call": "deal", "letter": "deal", "meeting": "deal",
}  # fmt: skip
"""Whose records go with another's: a deleted deal takes its lines along."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What this CRM can hold, so that the desk gives it nothing that it has no place for."""

    requisites: bool = False  # legal entities in records of their own; else each one is a client
    list_prices: bool = False  # a deal's lines have no price of their own: they sell at the price of the list
    backdates: bool = False  # an import may set the stamps of creation and change
    activities: tuple[str, ...] = ()  # which of call, letter and meeting have records of their own


@dataclass(slots=True)
class Item:
    """One record. `version` grows with every change of anything; `modified` only with what the CRM stamps."""

    number: int
    body: Body
    created: datetime
    modified: datetime
    version: int
    deleted: datetime | None = None
    merged_into: int | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the desk's diary, in the order in which things became visible."""

    place: int
    at: datetime
    kind: Kind
    entity: str
    number: int
    other: int | None = None  # of a merge: the survivor
    before: Body | None = None


@dataclass
class Desk:
    """The records of one CRM. `portal` counts the portals of one vendor: the second shows a part of the
    company under the same numbers."""

    company: Company
    store: Store
    name: str
    founded: datetime
    traits: Traits = field(default_factory=Traits)
    portal: int = 1
    clock: Callable[[], datetime] = lambda: datetime.now(UTC).replace(microsecond=0)
    tables: dict[str, dict[int, Item]] = field(default_factory=dict)
    diary: list[Happening] = field(default_factory=list)
    listeners: list[Callable[[Happening], None]] = field(default_factory=list)
    version: int = 0
    _orders: dict[str, dict[str, list[Item]]] = field(default_factory=dict)
    _children: dict[str, dict[int, dict[int, None]]] = field(default_factory=dict)
    _owners: dict[str, dict[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from sandbox.desk.base import found

        self.tables = {entity: {} for entity in ENTITIES}
        self._children = {entity: {} for entity in PARENTS}
        self._owners = {entity: {} for entity in PARENTS}
        for entity, number, body, created, modified in found(self):
            self._seat(entity, Item(number, body, created, modified, self._next_version()))
        self._kept = self.store.collection(f"desk.{self.name}")
        for key, said in list(self._kept.items()):
            entity, _, place = key.partition(":")
            self._seat(entity, _item(int(place), said))
        self.version = max((i.version for t in self.tables.values() for i in t.values()), default=0)

    # ---- Reading ------------------------------------------------------------------------------

    def get(self, entity: str, number: int) -> Item | None:
        """A living record, or None."""
        item = self.tables[entity].get(number)
        return item if item is not None and item.deleted is None else None

    def living(self, entity: str) -> list[Item]:
        """All living records, by number."""
        return self.ordered(entity, "number")

    def gone(self, entity: str) -> list[Item]:
        """Deleted and merged records, the earliest first."""
        found = [item for item in self.tables[entity].values() if item.deleted is not None]
        return sorted(found, key=lambda item: (item.deleted, item.number))

    def ordered(self, entity: str, by: Literal["number", "modified", "created", "version"]) -> list[Item]:
        """All living records in an order: another list after every change, so that one in hand stays as it was."""
        kept = self._orders.setdefault(entity, {})
        if by not in kept:
            kept[by] = sorted(
                (item for item in self.tables[entity].values() if item.deleted is None), key=_KEYS[by]
            )
        return kept[by]

    def children(self, entity: str, parent: int) -> list[Item]:
        """The living records of an entity that belong to a parent, by number."""
        rows = self.tables[entity]
        found = [rows[number] for number in self._children[entity].get(parent, ())]
        return [item for item in found if item.deleted is None]

    # ---- Changing -----------------------------------------------------------------------------

    def add(
        self, entity: str, body: Mapping[str, Any], *, at: datetime | None = None, number: int | None = None
    ) -> Item:
        """A new record under the next number. `at` back-dates both stamps, where an import may."""
        now = at or self.clock()
        number = number or max(self.tables[entity], default=0) + 1
        item = Item(number, dict(body), now, now, self._next_version())
        self._keep(entity, item)
        self._tell("added", entity, item)
        return item

    def put(
        self,
        entity: str,
        number: int,
        body: Mapping[str, Any],
        *,
        touch: bool = True,
        at: datetime | None = None,
    ) -> Item:
        """Replace a living record's body. `touch=False` leaves the stamp; `at` sets it to a time of one's own."""
        item = self._living(entity, number)
        before = item.body
        self._lift(entity, item)
        item.body = dict(body)
        if touch:
            item.modified = max(at, item.created) if at is not None else self.clock()
        item.version = self._next_version()
        self._keep(entity, item)
        self._tell("changed", entity, item, before=before)
        return item

    def remove(self, entity: str, number: int) -> Item:
        """Delete a living record and what belongs to it."""
        item = self._living(entity, number)
        self._lift(entity, item)
        item.deleted = self.clock()
        item.version = self._next_version()
        self._keep(entity, item)
        self._tell("deleted", entity, item)
        for child, parent in PARENTS.items():
            if parent == entity:
                for row in self.children(child, number):
                    self.remove(child, row.number)
        return item

    def restore(self, entity: str, number: int) -> Item:
        """Bring a deleted record back; what belonged to it comes too."""
        item = self.tables[entity][number]
        gone_at = item.deleted
        item.deleted, item.merged_into = None, None
        item.modified, item.version = self.clock(), self._next_version()
        self._keep(entity, item)
        self._tell("restored", entity, item)
        for child, parent in PARENTS.items():
            if parent == entity:
                for row in [self.tables[child][n] for n in self._children[child].get(number, ())]:
                    if row.deleted is not None and gone_at is not None and row.deleted >= gone_at:
                        self.restore(child, row.number)
        return item

    def merge(self, entity: str, winner: int, loser: int, *, touch_children: bool = False) -> Item:
        """The loser goes into the winner: its deals, contacts and requisites follow, with their stamps left
        alone unless `touch_children`. Returns the winner, whose stamp moves."""
        kept, lost = self._living(entity, winner), self._living(entity, loser)
        for table, rows in self.tables.items():
            for row in list(rows.values()):
                if row.deleted is None and row.body.get(entity) == loser:
                    self.put(table, row.number, {**row.body, entity: winner}, touch=touch_children)
        self._lift(entity, lost)
        lost.deleted, lost.merged_into = self.clock(), winner
        lost.version = self._next_version()
        self._keep(entity, lost)
        self._tell("merged", entity, lost, other=winner)
        return self.put(entity, winner, kept.body)

    def show(self, events: list[Event]) -> None:
        """Show what happened in the sales department, as far as it concerns this CRM."""
        from sandbox.desk.base import show

        show(self, events)

    # ---- Inside -------------------------------------------------------------------------------

    def _living(self, entity: str, number: int) -> Item:
        item = self.get(entity, number)
        if item is None:
            raise KeyError(f"{entity} {number}")
        return item

    def _next_version(self) -> int:
        self.version += 1
        return self.version

    def _seat(self, entity: str, item: Item) -> None:
        self.tables[entity][item.number] = item
        if (parent := PARENTS.get(entity)) is not None:
            owner, owners = item.body[parent], self._owners[entity]
            if owners.get(item.number, owner) != owner:
                del self._children[entity][owners[item.number]][item.number]
            owners[item.number] = owner
            self._children[entity].setdefault(owner, {})[item.number] = None

    def _lift(self, entity: str, item: Item) -> None:
        """Take a record out of the orders, before what they go by changes."""
        kept = self._orders.get(entity, {})
        for by, rows in kept.items():
            at = bisect_left(rows, _KEYS[by](item), key=_KEYS[by])
            if at < len(rows) and rows[at] is item:
                kept[by] = rows[:at] + rows[at + 1 :]

    def _keep(self, entity: str, item: Item) -> None:
        self._seat(entity, item)
        kept = self._orders.get(entity, {})
        for by, rows in kept.items():
            if item.deleted is None:
                kept[by] = rows = rows.copy()  # who holds the list before goes on with what it was
                insort(rows, item, key=_KEYS[by])
        self._kept.put(f"{entity}:{item.number}", _plain(item))

    def _tell(
        self, kind: Kind, entity: str, item: Item, *, other: int | None = None, before: Body | None = None
    ) -> None:
        happening = Happening(len(self.diary) + 1, self.clock(), kind, entity, item.number, other, before)
        self.diary.append(happening)
        for listener in self.listeners:
            listener(happening)


_KEYS: Final[dict[str, Callable[[Item], Any]]] = {
    "number": attrgetter("number"),
    "modified": attrgetter("modified", "number"),
    "created": attrgetter("created", "number"),
    "version": attrgetter("version", "number"),
}


def _plain(item: Item) -> dict[str, Any]:
    return {
        "body": {name: _said(value) for name, value in item.body.items()},
        "created": item.created.isoformat(),
        "modified": item.modified.isoformat(),
        "version": item.version,
        "deleted": item.deleted.isoformat() if item.deleted else None,
        "merged_into": item.merged_into,
    }


def _item(number: int, said: Mapping[str, Any]) -> Item:
    return Item(
        number,
        {name: _heard(value) for name, value in said["body"].items()},
        datetime.fromisoformat(said["created"]),
        datetime.fromisoformat(said["modified"]),
        said["version"],
        datetime.fromisoformat(said["deleted"]) if said["deleted"] else None,
        said["merged_into"],
    )


def _said(value: Any) -> Any:
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, date):
        return {"date": value.isoformat()}
    return value


def _heard(value: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1:
        if "decimal" in value:
            return Decimal(value["decimal"])
        if "time" in value:
            return datetime.fromisoformat(value["time"])
        if "date" in value:
            return date.fromisoformat(value["date"])
    return value
