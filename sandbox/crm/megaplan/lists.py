"""Lists: which rows, in which order, from which row on, with which fields.

A page is named by a row, not by a number: `pageAfter`, `pageBefore`, `pageWith` take a link
{contentType, id}. Without `sortBy` rows come by id. Kept orders are searched, not walked, so that a page deep
in the list costs what the first one does.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal, TypeVar

from sandbox.crm.megaplan import cards
from sandbox.crm.megaplan.filter import EARLIEST, LATEST, Chosen, chosen
from sandbox.crm.megaplan.portal import Portal, shown_key
from sandbox.crm.megaplan.protocol import RefusedError, encode, not_found, page, wrong_type
from sandbox.crm.megaplan.values import CONTENT_TYPES, OF_TYPE, RATES, Said, number_of
from sandbox.desk.records import Item

Row = tuple[str, Item]
Key = Callable[[Item], Any]
T = TypeVar("T")
LIMIT: Final = 100
MAX_ORDERS: Final = 8
"""Orders kept that no list of the desk has; pages of one walk share theirs."""
INVOICE_ROWS: Final = 100
"""The plain list of invoices ends here: integrators read them from their deals."""
_KEPT: Final[dict[str, Literal["created", "modified"]]] = {
    "timeCreated": "created",
    "timeUpdated": "modified",
}
_SORTS: Final[dict[str, dict[str, Key]]] = {
    "deal": {"name": lambda i: i.body["title"], "number": lambda i: i.number,
             "price": lambda i: i.body["amount"], "cost": lambda i: i.body["amount"],
             "state": lambda i: i.body["stage"], "program": lambda i: i.body["pipeline"]},
    "client": {"name": lambda i: i.body["name"]}, "contact": {"name": lambda i: i.body["last_name"]},
    "product": {"name": lambda i: i.body["name"], "article": lambda i: i.body["code"],
                "price": lambda i: i.body["price"]},
    "employee": {"name": lambda i: i.body["last_name"]}, "requisite": {"name": lambda i: i.body["name"]},
    "task": {"name": lambda i: i.body["text"], "activity": lambda i: i.modified},
    "invoice": {"number": lambda i: i.body["number"]},
}  # fmt: skip
_UNSTAMPED: Final = frozenset(
    {"task", "requisite", "employee", "pipeline", "stage", "source", "line", "invoice"}
)
"""Kinds whose lists do not sort by stamps."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What an address lists. `rows` is given for the few records of one parent, else all living ones."""

    kinds: tuple[str, ...]
    filter_type: str = ""
    rows: Sequence[Item] | None = None


def listed(portal: Portal, listing: Listing, said: Said) -> bytes:
    """The envelope of one page. `said` are the parameters of the query. Raises RefusedError."""
    limit = limit_of(said.get("limit"), portal.manners.max_limit)
    names = {kind: wanted_fields(listing.kinds, kind, said) for kind in listing.kinds}
    if listing.kinds == ("invoice",) and listing.rows is None:
        if said.get("pageAfter") is not None:
            return page(0, [], min(limit, INVOICE_ROWS))
        limit = min(limit, INVOICE_ROWS)
    found = Chosen()
    if listing.filter_type and said.get("filter") is not None:
        found = chosen(portal, listing.kinds[0], said["filter"], listing.filter_type)
    rows = [(kind, item.number) for kind, item in _page(portal, listing, said, found, limit)]
    return page(len(rows), portal.listed(rows, names.__getitem__), limit)


def wanted_fields(kinds: tuple[str, ...], kind: str, said: Said) -> tuple[str, ...]:
    """The fields of a row: those of the collection and those asked for, or the latter alone."""
    asked = _names(said.get("fields"))
    unknown = [name for name in asked if not any(name in cards.FIELDS[each] for each in kinds)]
    unknown = [name for name in unknown if name not in ("id", "contentType")]
    if unknown:
        raise RefusedError(422, f"{CONTENT_TYPES[kind]} have not this fields: {', '.join(unknown)}")
    plain = () if said.get("onlyRequestedFields") is True else cards.in_collection(kind)
    wanted = {*plain, *asked}
    return tuple(name for name in cards.on_card(kind) if name in wanted)


def limit_of(said: Any, most: int) -> int:
    """The rows of a page: 100 unless asked, never more than the account gives. Raises RefusedError."""
    if said is None:
        return min(LIMIT, most)
    if isinstance(said, bool) or not isinstance(said, int) or said < 1:
        raise wrong_type(said, "integer")
    return min(said, most)


def dictionary(portal: Portal, kind: str) -> bytes:
    """A whole dictionary of the account: currencies, taxes, units."""
    keys: Sequence[str] = {
        "currency": tuple(RATES), "unit": cards.UNITS, "tax": ("0", "10", "20", "22"), "department": ("1",),
        "kind": ("1",), "country": tuple(cards.COUNTRIES), "category": ("1", "2"),
    }[kind]  # fmt: skip
    rows: list[bytes] = []
    for key in keys:
        said = {"contentType": CONTENT_TYPES[kind], "id": shown_key(kind, key)}
        rows += [b"," if rows else b"", encode(said | cards.static(portal, kind, key))]
    return page(len(keys), rows, LIMIT)


def _page(portal: Portal, listing: Listing, said: Said, found: Chosen, limit: int) -> list[Row]:
    order = _order(portal, listing, said.get("sortBy"), found)
    test = found.test
    for name in ("pageAfter", "pageBefore", "pageWith"):
        if said.get(name) is None:
            continue
        anchor = _anchor(portal, listing, said[name])
        if anchor is None:
            return []
        if name == "pageBefore":
            rows_from = order.before(anchor)
            return list(islice((row for row in rows_from if test is None or test(row[1])), limit))[::-1]
        rows_from = order.after(anchor, include=name == "pageWith")
        return list(islice((row for row in rows_from if test is None or test(row[1])), limit))
    return list(islice((row for row in order.all() if test is None or test(row[1])), limit))


def _anchor(portal: Portal, listing: Listing, said: Any) -> Row | None:
    """The row that a page is named by; None for an empty page after a lost one."""
    wanted = "|".join(CONTENT_TYPES[kind] for kind in listing.kinds)
    kind = OF_TYPE.get(str(said.get("contentType"))) if isinstance(said, dict) else None
    if kind not in listing.kinds or kind is None:
        raise wrong_type(said, wanted)
    number = number_of(kind, said.get("id"))
    item = portal.desk.tables[kind].get(number) if number is not None else None
    if item is None:
        raise not_found(CONTENT_TYPES[kind], str(said.get("id")))
    if item.deleted is not None:
        if portal.manners.lost_anchor == "refuse":
            raise not_found(CONTENT_TYPES[kind], str(said.get("id")))
        if portal.manners.lost_anchor == "empty":
            return None
    return kind, item


@dataclass(frozen=True, slots=True)
class _Order:
    """Rows in ascending order of `key`; read from the end where `desc`. `of` makes a row of what is kept."""

    kept: Sequence[Any]
    of: Callable[[Any], Row]
    key: Callable[[Row], Any]
    desc: bool = False

    def all(self) -> Iterator[Row]:
        return self._walk(len(self.kept) - 1 if self.desc else 0, -1 if self.desc else 1)

    def after(self, anchor: Row, *, include: bool) -> Iterator[Row]:
        place = self._place(anchor, right=include is self.desc)
        return self._walk(place - 1, -1) if self.desc else self._walk(place, 1)

    def before(self, anchor: Row) -> Iterator[Row]:
        """The rows in front of one, the nearest first."""
        place = self._place(anchor, right=self.desc)
        return self._walk(place, 1) if self.desc else self._walk(place - 1, -1)

    def _place(self, anchor: Row, *, right: bool) -> int:
        cut = bisect_right if right else bisect_left
        return cut(self.kept, self.key(anchor), key=lambda kept: self.key(self.of(kept)))

    def _walk(self, place: int, step: int) -> Iterator[Row]:
        stop = -1 if step < 0 else len(self.kept)
        return (self.of(self.kept[at]) for at in range(place, stop, step))


def _order(portal: Portal, listing: Listing, said: Any, found: Chosen) -> _Order:
    sorts = _sorts(portal, listing, said)
    kind = listing.kinds[0]
    single = len(listing.kinds) == 1
    bounded = found.since > EARLIEST or found.until < LATEST
    if not sorts and not bounded and listing.rows is None:
        if single:
            return _Order(portal.desk.living(kind), lambda item: (kind, item), lambda row: row[1].number)
        return _Order(portal.contractors(), lambda row: row, _id)
    if len(sorts) == 1 and single and listing.rows is None and sorts[0][0] in _KEPT:
        by = _KEPT[sorts[0][0]]
        kept = portal.desk.ordered(kind, by)
        if bounded and by == "modified":
            kept = _between(kept, found)
        return _Order(
            kept, lambda item: (kind, item), lambda row: (getattr(row[1], by), row[1].number), sorts[0][1]
        )
    if listing.rows is not None:
        return _sorted([(kind, item) for item in listing.rows], sorts)
    key = (listing.kinds, found.since, found.until, tuple(sorts))
    sources = [portal.desk.ordered(each, "modified") for each in listing.kinds]
    known = portal.orders.get(key)
    if known is not None and all(a is b for a, b in zip(known[0], sources, strict=True)):
        made: _Order = known[1]
        return made
    rows = [(each, i) for each, r in zip(listing.kinds, sources, strict=True) for i in _between(r, found)]
    if len(portal.orders) >= MAX_ORDERS:
        del portal.orders[next(iter(portal.orders))]
    made = _sorted(rows, sorts)
    portal.orders[key] = (sources, made)
    return made


def _sorted(rows: list[Row], sorts: list[tuple[str, bool]]) -> _Order:
    """An order made for these rows; by several fields the last is sorted first, each keeping what was."""
    if not sorts:
        return _Order(sorted(rows, key=_id), lambda row: row, _id)
    if len(sorts) == 1:
        value, desc = _value_of(sorts[0][0]), sorts[0][1]
        return _Order(
            sorted(rows, key=lambda row: (value(row), _id(row))),
            lambda row: row,
            lambda row: (value(row), _id(row)),
            desc,
        )
    rows = sorted(rows, key=_id)
    for name, desc in reversed(sorts):
        rows.sort(key=_value_of(name), reverse=desc)
    places = {(kind, item.number): place for place, (kind, item) in enumerate(rows)}
    return _Order(rows, lambda row: row, lambda row: places.get((row[0], row[1].number), len(places)))


def _value_of(name: str) -> Callable[[Row], Any]:
    if (stamp := _KEPT.get(name)) is not None:
        return lambda row: getattr(row[1], stamp)
    return lambda row: _SORTS[row[0]][name](row[1])


def _between(rows: list[Item], found: Chosen) -> list[Item]:
    low = bisect_left(rows, found.since, key=lambda item: item.modified)
    return rows[low : bisect_left(rows, found.until, key=lambda item: item.modified)]


def _id(row: Row) -> tuple[int, bool]:
    return row[1].number, row[0] == "contact"


def _sorts(portal: Portal, listing: Listing, said: Any) -> list[tuple[str, bool]]:
    """Field names and whether descending. Raises RefusedError on what is not a SortField."""
    if said is None:
        return []
    if not isinstance(said, list) or not all(
        isinstance(row, dict)
        and row.get("contentType") == "SortField"
        and isinstance(row.get("fieldName"), str)
        for row in said
    ):
        raise RefusedError(422, "'array' is not assignable to 'SortField[]'", "sortBy")
    sorts = [(row["fieldName"], row.get("desc") is True) for row in said]
    for name, _ in sorts:
        stamped = name in _KEPT and listing.kinds[0] not in _UNSTAMPED
        stamped = stamped or (name == "timeCreated" and listing.kinds[0] in ("task", "employee"))
        if name == "timeUpdated" and not portal.manners.sort_times:
            stamped = False
        if not stamped and not all(name in _SORTS.get(kind, {}) for kind in listing.kinds):
            raise RefusedError(422, f"Field {name} is not sortable", "sortBy")
    return sorts


def _names(said: Any) -> list[str]:
    """Field names of `fields`: an array of names, or of objects whose keys are names."""
    if said is None:
        return []
    if isinstance(said, str):
        return [said]
    if isinstance(said, dict):
        return [str(name) for name in said]
    if not isinstance(said, list):
        raise wrong_type(said, "string[]")
    return [name for each in said for name in _names(each)]
