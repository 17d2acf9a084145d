"""How lists of an account are read: whole, by change, by key; with fields that the account may lack.

Changes. The newest page, sorted by `timeUpdated`, is asked for first: where it reaches back beyond `since` it holds
all that changed, and no border between pages can hide rows of one stamp. Where more changed, the list is filtered by
day, in its own order, in which a row that changes meanwhile stays where it is. What an account does not know (a
field, the sorting, the filter, or a filter that it passes over in silence) is noticed by its answer, and the next way
is taken; the last one is the whole list. Stamps are compared here in every case.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from resources.connector import Refused, SourceError
from resources.crm.megaplan.account import LINKS, Account, Got, Raws, address
from resources.crm.megaplan.entities import MAIN, Listing, fields_of
from resources.crm.megaplan.rows import Standing, heads, key_of, link_of, parts_of
from resources.parallel import in_order

NEWEST: Final = 100  # rows of the page that is looked at first
FILTERED_SINCE: Final = timedelta(days=400)  # what lies further back is not worth a filter
AHEAD: Final = timedelta(days=400)  # the end of a filter's days: nothing is bounded by it
REF_LINKS: Final = 25  # links in one filter: the whole query stands in the address
STRAYS: Final = (
    20  # rows of a page that are none of what was filtered for: more of them, and it was not filtered
)
AT_ONCE: Final = 4
_ABSENT: Final = re.compile(r"have not this fields?:?\s*(?P<names>[\w ,]*)")


@dataclass
class Lists:
    """The lists of one account, read with the fields that the mapping names and the account has."""

    account: Account
    named: Callable[[str], Sequence[str]]  # by entity: fields that the mapping reads
    mapping_file: Callable[[], str]
    absent: dict[str, set[str]] = field(default_factory=dict)  # by entity: fields that the account lacks
    unsorted: set[str] = field(default_factory=set)  # entities that are not sorted by the time of change
    unfiltered: set[str] = field(default_factory=set)  # entities that are not filtered by it

    @property
    def system(self) -> str:
        return self.account.system

    # ---- What is asked ----------------------------------------------------------------------------

    def fields(self, listing: Listing) -> tuple[str, ...]:
        """The fields asked of a list."""
        return fields_of(listing, self.named(listing.entity), self.absent.get(listing.entity, ()))

    def page(self, listing: Listing, query: Mapping[str, Any] | None = None) -> Got:
        """One page with all fields, its rows made to stand by themselves. Fields that the account lacks are left out.

        Raises SourceError where the mapping names one of them.
        """
        while True:
            try:
                return self._standing(
                    listing, self.account.page(listing, {**self._asked(listing), **(query or {})})
                )
            except Refused as error:
                self._learn(listing, error)

    def pages(self, listing: Listing, query: Mapping[str, Any] | None = None) -> Iterator[Got]:
        """All pages; as `page`."""
        for got in self._learning(listing, lambda: {**self._asked(listing), **(query or {})}):
            yield self._standing(listing, got)

    def rows(self, listing: Listing) -> Iterator[Raws]:
        """Every row of a list, by pages."""
        for got in self.pages(listing):
            yield got.rows

    def keys(self, listing: Listing, within: str = "") -> Iterator[list[str]]:
        """Every key of a list, or of the records that its rows hold under the field `within`; the dropped are left out.

        Pages hold no other fields.
        """
        only = tuple(dict.fromkeys((within or "id", *(("isDropped",) if listing.drops else ("id",)))))
        for got in self._bare(listing, only):
            living = [
                (row, head) for row, head in zip(got.rows, got.heads, strict=True)
                if head is not None and not head.dropped and head.type in (None, *listing.types)
            ]  # fmt: skip
            if not within:
                yield [str(head.id) for _, head in living]
                continue
            inside = (head for row, _ in living for head in heads(parts_of(row, within)))
            yield [str(head.id) for head in inside if head is not None and not head.dropped]

    def missing(self, listing: Listing, names: Sequence[str]) -> list[str]:
        """Those of the fields that the account does not have; asked of the account, a request or two."""
        query = {"limit": 1, "fields": list(names), "onlyRequestedFields": True}
        if not names:
            return []
        try:
            self.account.page(listing, query)
        except Refused as error:
            told = _named_absent(error, names)
            if told is None:
                raise
            if told or len(names) == 1:
                return told or list(names)
            return [name for name in names if self.missing(listing, [name])]
        return []

    def no_field(self, entity: str, name: str) -> SourceError:
        """What to raise where the mapping names a field that the account does not have."""
        return SourceError(
            f"{self.system}: {entity} has no field {name}, which the mapping reads; create it in Megaplan again, or "
            f"correct or take out its name in {self.mapping_file()}"
        )

    # ---- Changes and keys -------------------------------------------------------------------------

    def newest(self, listing: Listing) -> Got | None:
        """The rows changed last, the newest first; None where the account does not sort so."""
        if self._unsorted(listing):
            return None
        try:
            got = self.page(listing, {"limit": min(NEWEST, self.account.size), "sortBy": [_by_change()]})
        except Refused as error:
            if error.code != "422":
                raise
            self.unsorted.add(listing.entity)
            return None
        return got if not self._unsorted(listing) and _falls(got) else None

    def newest_of(self, listings: Sequence[Listing]) -> Iterator[tuple[Listing, Raws]]:
        """Keys and stamps of the rows changed last, of several lists in one request; without lists that do not sort so.

        Raises SourceError where the account does not answer for one of them.
        """
        asked = [listing for listing in listings if not self._unsorted(listing)]
        query = {
            "limit": min(NEWEST, self.account.size),
            "sortBy": [_by_change()],
            "fields": ["timeUpdated"],
            "onlyRequestedFields": True,
        }
        calls = [("GET", address(self.account.path(listing), query), None) for listing in asked]
        for listing, said in zip(asked, self.account.bulk(calls) if calls else (), strict=True):
            if said.status == 422:
                self.unsorted.add(listing.entity)
            elif said.status in (404, 405) and listing.paths:  # its list is elsewhere in this account
                got = self.newest(listing)
                if got is not None:
                    yield listing, got.rows
            elif said.status != 200:
                raise SourceError(
                    f"{self.system}: {listing.path}: status {said.status}: {said.words}; see the message",
                    retriable=True,
                )
            else:
                rows = self.account.rows_in(said)
                found = [(row, head) for row, head in zip(rows, heads(rows), strict=True)
                         if head is None or head.type in (None, *listing.types)]  # fmt: skip
                got = Got([row for row, _ in found], [head for _, head in found], more=False)
                if _falls(got):
                    yield listing, got.rows

    def _unsorted(self, listing: Listing) -> bool:
        return listing.entity in self.unsorted or "timeUpdated" in self.absent.get(listing.entity, ())

    def changed(self, listing: Listing, since: datetime) -> Iterator[Raws]:
        """Rows changed since then, inclusive, by pages; rows without a stamp too."""
        got = self.newest(listing)
        seen: set[str] = set()
        if got is not None:
            rows = _since(got, since)
            seen = _keys(rows)
            if rows:
                yield rows
            if not got.more or _reaches(got, since):
                return
        if (
            listing.filter
            and listing.entity not in self.unfiltered
            and datetime.now(UTC) - since < FILTERED_SINCE
        ):
            met: set[str] = set()
            try:
                for page in self.pages(listing, {"filter": _changed_since(listing.filter, since)}):
                    rows = _since(page, since)
                    met |= _keys(rows)
                    if rows:
                        yield rows
            except Refused as error:
                if error.code not in ("422", "400"):
                    raise
            else:
                if seen <= met:
                    return
            # Refused, or it left out rows that are newer: it is not what it seems in this account.
            self.unfiltered.add(listing.entity)
        for page in self.pages(listing):
            if rows := _since(page, since):
                yield rows

    def linked(self, listing: Listing, name: str, kind: str, keys: Sequence[str]) -> Iterator[Raws]:
        """Rows whose field `name` is one of these records, found by a filter; none where the account knows no such one."""
        way = f"{listing.entity} {name} {kind}"
        if way in self.unfiltered:
            return
        for start in range(0, len(keys), REF_LINKS):
            links = [{"contentType": kind, "id": key} for key in keys[start : start + REF_LINKS]]
            term = {"contentType": "FilterTermRef", "field": name, "comparison": "equals", "value": links}
            wanted = set(keys[start : start + REF_LINKS])
            try:
                for page in self.pages(listing, {"filter": filtered(listing.filter, term)}):
                    rows = [row for row in page.rows if link_of(row, name) in wanted]
                    if rows:
                        yield rows
                    if len(page.rows) - len(rows) > STRAYS:  # passed over in silence: all rows come
                        self.unfiltered.add(way)
                        return
            except Refused as error:
                if error.code not in ("422", "400"):
                    raise
                self.unfiltered.add(way)
                return

    def by_key(self, listing: Listing, keys: Sequence[str]) -> Iterator[Raws]:
        """The living ones of these records, with the same fields as lists bring them."""
        parts = [list(keys[start : start + LINKS]) for start in range(0, len(keys), LINKS)]
        for rows in in_order(lambda part: self.account.by_links(listing.types[0], part), parts, AT_ONCE):
            found = Standing(rows, listing.whole).rows(self.fields(listing))
            if found:
                yield found

    # ---- What it is made of -----------------------------------------------------------------------

    def _asked(self, listing: Listing, only: Sequence[str] = ()) -> dict[str, Any]:
        absent = self.absent.get(listing.entity, ())
        names = (
            [name for name in only if name not in absent] or ["id"] if only else list(self.fields(listing))
        )
        return {"fields": names, "onlyRequestedFields": True}

    def _bare(self, listing: Listing, only: Sequence[str]) -> Iterator[Got]:
        yield from self._learning(listing, lambda: self._asked(listing, only))

    def _learning(self, listing: Listing, query: Callable[[], Mapping[str, Any]]) -> Iterator[Got]:
        """Pages as they come; asked for once more where the first names fields that the account lacks."""
        while True:
            first = True
            try:
                for got in self.account.pages(listing, query()):
                    first = False
                    yield got
                return
            except Refused as error:
                if not first:
                    raise
                self._learn(listing, error)

    def _standing(self, listing: Listing, got: Got) -> Got:
        """The page with rows that stand by themselves; rows of other types are left out.

        A row that the same answer held as another's link may come bare: it is asked for by its key.
        """
        rows = Standing(got.rows, listing.whole).rows(self.fields(listing))
        if listing.entity in MAIN and "timeUpdated" not in self.absent.get(listing.entity, ()):
            bare = [
                str(head.id) for head in got.heads
                if head is not None and head.updated is None and head.type in (None, *listing.types)
            ]  # fmt: skip
            if bare:
                whole = {key_of(row): row for part in self.by_key(listing, bare) for row in part}
                rows = [whole.get(key_of(row), row) for row in rows]
        kept = [
            (row, head) for row, head in zip(rows, heads(rows), strict=True)
            if head is None or head.type in (None, *listing.types)
        ]  # fmt: skip
        return Got([row for row, _ in kept], [head for _, head in kept], got.more)

    def _learn(self, listing: Listing, error: Refused) -> None:
        """Leave out the fields that the account has not. Raises SourceError where one of them is indispensable."""
        asked = self.fields(listing)
        told = _named_absent(error, asked) if error.code == "422" else None
        if told is None:
            raise error
        if not told:  # it names none: each is asked for
            told = self.missing(listing, asked)
        named = set(self.named(listing.entity))
        for name in told:
            if name in named:
                raise self.no_field(listing.entity, name)
            if name in listing.fields:
                raise error
        if not told:
            raise error
        self.absent.setdefault(listing.entity, set()).update(told)


def _named_absent(error: Refused, names: Sequence[str]) -> list[str] | None:
    """Which fields a refusal calls unknown; none where it names none; None where it is about something else."""
    match = _ABSENT.search(str(error))
    if match is None:
        return None
    told = set(re.findall(r"\w+", match["names"]))
    return [name for name in names if name in told]


def _by_change() -> dict[str, Any]:
    return {"contentType": "SortField", "fieldName": "timeUpdated", "desc": True}


def filtered(kind: str, *terms: Mapping[str, Any], join: str = "and") -> dict[str, Any]:
    """A filter of these terms, as the vendor writes one."""
    group = {"contentType": "FilterTermGroup", "join": join, "terms": list(terms)}
    return {"contentType": kind, "config": {"contentType": "FilterConfig", "termGroup": group}}


def _changed_since(kind: str, since: datetime) -> dict[str, Any]:
    """By whole days, a day more on the early side: the account's own day may be yesterday there."""
    days = {
        "contentType": "IntervalDates",
        "from": day_of(since - timedelta(days=1)),
        "to": day_of(datetime.now(UTC) + AHEAD),
    }
    return filtered(
        kind, {"contentType": "FilterTermDate", "field": "timeUpdated", "comparison": "equals", "value": days}
    )


def day_of(at: datetime) -> dict[str, Any]:
    """A day as the vendor writes it: months are counted from 0."""
    return {"contentType": "DateOnly", "year": at.year, "month": at.month - 1, "day": at.day}


def _since(got: Got, since: datetime) -> Raws:
    """Rows changed since then; rows without a stamp, and those that are no records, are never left out."""
    stamps = [head.at if head is not None else None for head in got.heads]
    return [row for row, at in zip(got.rows, stamps, strict=True) if at is None or at >= since]


def _falls(got: Got) -> bool:
    """Whether the page is sorted as it was asked for: no stamp newer than the one before it, none missing."""
    stamps = [head.at if head is not None else None for head in got.heads]
    known = [at for at in stamps if at is not None]
    return len(known) == len(stamps) and all(a >= b for a, b in itertools.pairwise(known))


def _reaches(got: Got, since: datetime) -> bool:
    oldest = got.heads[-1] if got.heads else None
    return oldest is not None and oldest.at is not None and oldest.at < since


def _keys(rows: Raws) -> set[str]:
    return {str(head.id) for head in heads(rows) if head is not None}
