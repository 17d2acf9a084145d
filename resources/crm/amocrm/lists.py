"""Reading lists whose pages shift while they are read, so that no row is left out.

Pages are numbered, so a row that is deleted from a page already read moves the first row of a later page
before it, where nobody looks any more. Against that:

whole      in the order of ids, several pages under way; the log of events then tells what was deleted
           meanwhile, and the pages about those moments are read again from the last to the first, in which
           order a deletion can only bring a row twice
backwards  from the last page to the first, one by one: for lists of which the log tells nothing
changed    by stamp, always the first page of what was changed since the last stamp met: what changes
           meanwhile comes once more at the end

The vendor's filter by time is a feature that an account may lack, and is passed over in silence then; so is an
order that a list does not know. Both are seen by the rows that come, and another way is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Final

import msgspec

from resources.connector import SourceError
from resources.crm.amocrm.account import MAX_PAGES, Account, Got, Listing
from resources.crm.amocrm.entities import heads
from resources.crm.amocrm.events import EventLog
from resources.parallel import in_order

Rows = Sequence[msgspec.Raw]

IDS: Final = 100  # ids of one request: the address stays under two thousand characters or so
MAX_STEPS: Final = 100_000  # of one reading by stamp
MAX_PASSES: Final = 5  # over pages that may have shifted, while each still brings something new
SLACK: Final = timedelta(seconds=2)  # events and answers are stamped by whole seconds
BEFORE: Final = timedelta(seconds=10)  # an event may stand in the log a little after what it tells


@dataclass(frozen=True, slots=True)
class _Span:
    """What of a list a page held."""

    number: int
    first: int
    last: int
    at: datetime


def whole(account: Account, log: EventLog, entity: str, listing: Listing) -> Iterator[Rows]:
    """Every living row of an entity that the log tells of; a few may come twice. Raises SourceError."""
    listing = listing.asked({"order[id]": "asc"})
    spans: list[_Span] = []
    ordered = True
    pages = account.pages(listing)
    first = next(pages)
    if not first.rows:  # nothing at all would delete everything, so it is asked for twice
        pages = account.pages(listing)
        first = next(pages)
    for got in chain([first], pages):
        numbers = [head.id for head in heads(got.rows)]
        if numbers:
            ordered = ordered and numbers == sorted(numbers) and (not spans or numbers[0] >= spans[-1].last)
            spans.append(_Span(got.number, numbers[0], numbers[-1], got.at))
        if got.rows:
            yield got.rows
    if len(spans) < 2:
        return  # one page is one moment
    told = log.deletions(spans[0].at - BEFORE)
    times = [*told.deleted.get(entity, {}).values()]
    if told.survivors.get(entity):  # a merge may take its loser away without a word of its own
        times += [spans[0].at, spans[-1].at] if not times else []
    if not times:
        return
    if not ordered:
        yield from _down(account, listing, spans[-1].number, 0)
        return
    for low, high in _shifted(spans, times):
        yield from _down(account, listing, high, spans[low].last)


def backwards(account: Account, listing: Listing) -> Iterator[Rows]:
    """Every row, from the last page to the first. Raises SourceError."""
    listing = listing.asked({"order[id]": "asc"})
    first = account.page(listing, 1)
    if not first.more:
        if first.rows:
            yield first.rows
        return
    yield from _down(account, listing, _last_page(account, listing), 0)


def changed(account: Account, listing: Listing, since: datetime) -> Iterator[Rows]:
    """What was changed since then, inclusive, whatever the time now; rows may come twice."""
    low = int(since.timestamp()) - 1  # whether a bound of the filter is itself within it is not documented
    if low < 0:
        low = 0
    for _ in range(MAX_STEPS):
        met: set[int] = set()
        for _ in range(MAX_PASSES):
            got, high, fresh = None, low, 0
            for number in range(1, MAX_PAGES):
                got = account.page(
                    listing.asked({"filter[updated_at][from]": low, "order[updated_at]": "asc"}), number
                )
                found = heads(got.rows)
                stamps = [head.updated_at for head in found]
                if stamps and stamps[0] < low:  # the filter is passed over
                    yield from _newest_first(account, listing, low)
                    return
                if stamps != sorted(stamps):  # the order is
                    yield from backwards(account, listing)
                    return
                if got.rows:
                    yield got.rows
                fresh += len({head.id for head in found} - met)
                met.update(head.id for head in found)
                high = stamps[-1] if stamps else high
                if not got.more or high - 1 > low:
                    break
            if got is None or got.number == 1 or not fresh:
                break  # one page is one moment; of several, each pass must bring nothing new
        if got is None or not got.more:
            return
        low = high - 1
    raise SourceError(
        f"{account.system}: the changes of {listing.path} do not end; try again later", retriable=True
    )


def by_key(account: Account, listing: Listing, keys: Iterable[str], *, alone: bool = False) -> Iterator[Rows]:
    """The living ones of these records. `alone`: those that the list leaves out are asked for one by one, since a
    list lags behind and hides what its reader may not see."""
    numbers = list(dict.fromkeys(key for key in keys if key.isdigit()))
    parts = [numbers[start : start + IDS] for start in range(0, len(numbers), IDS)]
    for part in parts:
        asked = listing.asked({"filter[id][]": part})
        rows: list[msgspec.Raw] = []
        wanted = set(part)
        for got in account.pages(asked):
            if any(str(head.id) not in wanted for head in heads(got.rows)):  # the filter is passed over
                rows = _one_by_one(account, listing, part)
                break
            rows += got.rows
        else:
            if alone:
                met = {str(head.id) for head in heads(rows)}
                rows += _one_by_one(account, listing, [key for key in part if key not in met])
        if rows:
            yield rows


def _one_by_one(account: Account, listing: Listing, keys: Sequence[str]) -> list[msgspec.Raw]:
    found = in_order(lambda key: account.one(f"{listing.path}/{key}", listing.params), keys, account.parallel)
    return [row for row in found if row is not None]


def _newest_first(account: Account, listing: Listing, low: int) -> Iterator[Rows]:
    """What was changed since then without the filter: newest first, until older rows come.

    A row deleted meanwhile moves others past us, so it is done again until nothing new comes.
    """
    listing = listing.asked({"order[updated_at]": "desc"})
    met: set[int] = set()
    for _ in range(MAX_PASSES):
        fresh = pages = 0
        for got in account.pages(listing):
            found = heads(got.rows)
            stamps = [head.updated_at for head in found]
            if stamps != sorted(stamps, reverse=True):
                yield from backwards(account, listing)
                return
            new = {head.id for head in found if head.updated_at >= low} - met
            if new:
                yield got.rows
            fresh, pages = fresh + len(new), pages + 1
            met |= new
            if stamps and stamps[-1] < low:
                break
        if pages < 2 or not fresh:
            return


def _shifted(spans: Sequence[_Span], times: Sequence[datetime]) -> Iterator[tuple[int, int]]:
    """Runs of pages between which a deletion may have fallen: the place in `spans` of the lowest, and the number
    of the highest page."""
    doubtful = [
        place
        for place in range(len(spans) - 1)
        if any(
            min(spans[place].at, spans[place + 1].at) - SLACK - BEFORE
            <= time
            <= max(spans[place].at, spans[place + 1].at) + SLACK
            for time in times
        )
    ]
    start = 0
    for index, place in enumerate(doubtful):
        if index + 1 == len(doubtful) or doubtful[index + 1] != place + 1:
            yield doubtful[start], spans[place + 1].number
            start = index + 1


def _down(account: Account, listing: Listing, top: int, lowest: int) -> Iterator[Rows]:
    """Pages from the top one down, one by one, until one begins at an id that is no higher than `lowest`."""
    for number in range(top, 0, -1):
        got = account.page(listing, number)
        if not got.rows:
            continue
        yield got.rows
        if lowest and heads(got.rows)[:1] and heads(got.rows)[0].id <= lowest:
            return


def _last_page(account: Account, listing: Listing) -> int:
    """The number of the last page, found by halving; the second page is known to be there."""
    low, high = 2, 4

    def look(number: int) -> Got:
        return account.page(listing, number)

    got = look(high)
    while got.rows and got.more and high < MAX_PAGES:
        low, high = high, high * 2
        got = look(high)
    if got.rows and not got.more:
        return high
    while low + 1 < high:
        middle = (low + high) // 2
        got = look(middle)
        if got.rows and not got.more:
            return middle
        low, high = (middle, high) if got.rows else (low, middle)
    return low
