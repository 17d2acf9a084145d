"""Reading a portal's lists: chains of pages inside batches, several requests in flight.

A list is read by a *chain*: pages of 50 sorted by id, each asking for ids above the last one of the page
before it, which inside a batch is written `$result[c0]...`. So one request brings up to 2,500 rows. A page
shorter than 50 ends its chain; what a batch holds after it is meaningless and ignored. Rows stay the
vendor's bytes: only id, stamp and parent are decoded.

Sources: settings/performance/huge-data.md and settings/how-to-call-rest-api/batch.md of the vendor.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import Any
from urllib.parse import quote

import msgspec

from resources.connector import Page, Record, Reject, SourceError
from resources.crm.bitrix24.portal import BATCH, Outcome, Portal, encode

PAGE = 50  # rows of a page, fixed by the vendor
MAX_OWNERS = 200  # ids in one filter: PHP reads at most 1,000 variables of a call
GROUP_PAGES = 10  # pages that one group of parents should need for its children
MAX_STALLS = 20  # times in a row that a chain may get no further
MAX_WHOLE_PAGES = 200  # pages of a small dictionary
NULL = "null came in the place of the rows"

# By id, the stamps that our own writing gave, of those among the given ids of an entity that were read whole since.
OurOwn = Callable[[str, Sequence[str]], Mapping[str, datetime]]


@dataclass(frozen=True, slots=True)
class Listing:
    """One list method and how it spells id, stamp and parent."""

    entity: str
    method: str
    wrapper: str = ""  # the key of the rows in the result; "" where the result is the rows
    key: str = "id"  # the ascending number, in rows and in filters
    stamps: tuple[str, ...] = ()  # when a row was changed, the first that is not empty counts
    params: Mapping[str, Any] = field(default_factory=dict)
    filter: Mapping[str, Any] = field(default_factory=dict)
    parent: str = ""  # the parent's id in a row
    owners: str = ""  # the filter that takes an array of parents' ids
    legacy_order: bool = False  # user.get: SORT and ORDER, FILTER

    def query(
        self,
        extra: Mapping[str, Any] | None = None,
        *,
        by: str = "",
        descending: bool = False,
        count: bool = False,
    ) -> str:
        """The call as `method?query`, ordered by id or the named field, without counting unless asked."""
        direction = "DESC" if descending else "ASC"
        order: dict[str, Any] = {"order": {by or self.key: direction}}
        if self.legacy_order:
            order = {"SORT": by or self.key, "ORDER": direction}
        filters = {self.filter_name: {**self.filter, **(extra or {})}}
        return f"{self.method}?{encode({**self.params, **filters, **order, 'start': 0 if count else -1})}"

    @property
    def filter_name(self) -> str:
        """What the method calls its filter."""
        return "FILTER" if self.legacy_order else "filter"


Family = tuple[Listing, Sequence[Listing]]  # a list, and those of what belongs to its rows


class Reader:
    """Runs chains and dictionaries to their ends. One a read: it learns how many children parents have."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        self.system = portal.system
        self._density: dict[str, tuple[int, int]] = {}  # by entity: children and parents seen

    def run(self, jobs: Sequence[Chain | Whole]) -> Iterator[Page]:
        """Run chains and dictionaries to their ends, several requests in flight; pages as they come.

        Children go before further parents, so that no more than a few batches are in memory.
        """
        waiting: deque[Chain | Whole] = deque(jobs)
        flying: set[Future[tuple[list[Page], list[Chain | Whole]]]] = set()
        pool = ThreadPoolExecutor(self.portal.parallel, thread_name_prefix=self.system)
        try:
            while waiting or flying:
                while waiting and len(flying) < self.portal.parallel:
                    flying.add(pool.submit(self._step, _pack(waiting, self.portal.slots)))
                done, flying = wait(flying, return_when=FIRST_COMPLETED)
                for future in done:
                    pages, more = future.result()
                    waiting.extendleft(reversed(more))
                    yield from pages
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _step(self, packed: list[tuple[Chain | Whole, int]]) -> tuple[list[Page], list[Chain | Whole]]:
        calls: list[str] = []
        prefix = self.portal.new_prefix()
        for job, slots in packed:
            calls += job.calls(prefix, len(calls), slots)
        outcomes = self.portal.batch(calls, prefix=prefix)
        pages: list[Page] = []
        more: list[Chain | Whole] = []
        at = 0
        for job, slots in packed:
            job.take(outcomes[at : at + slots], self)
            at += slots
            pages += job.pages()
            more += job.children(self)
            if not job.done:
                more.append(job)
        return pages, more

    def groups(self, listing: Listing, parents: Sequence[str], emit: bool = True) -> list[Chain | Whole]:
        """Chains for the children of these parents, sized by how many children there were so far."""
        children, seen = self._density.get(listing.entity, (30, 10))
        each = max(children / seen, 0.05)
        size = max(1, min(MAX_OWNERS, int((GROUP_PAGES - 1) * PAGE / each)))
        return [
            Chain(
                listing,
                {listing.owners: list(parents[start : start + size])},
                pages_wanted=int(min(size, len(parents) - start) * each * 1.06 / PAGE) + 1,
                owners=tuple(parents[start : start + size]),
                emit=emit,
            )
            for start in range(0, len(parents), size)
        ]

    def observe(self, entity: str, children: int, parents: int) -> None:
        """Learn how many children these parents had; older learning fades once there is much of it."""
        before, seen = self._density.get(entity, (0, 0))
        keep = 0.5 if seen > 10_000 else 1.0
        self._density[entity] = (int(before * keep) + children, int(seen * keep) + parents)


@dataclass(slots=True, eq=False)
class Chain:
    """A list being read by ascending id: where it stands and what it still holds back."""

    listing: Listing
    filter: Mapping[str, Any] = field(default_factory=dict)
    after: int = 0
    upto: int | None = None
    top: int = 0  # where the list is expected to end, if it is: no pages are asked for beyond
    pages_wanted: int = BATCH
    owners: tuple[str, ...] = ()  # read for these parents: held until all their children are here
    complete: bool = False  # the whole entity: held until it is all here
    emit: bool = True  # False where only the children of these rows are wanted
    child_listings: Sequence[Listing] = ()
    followers: Sequence[Family] = ()  # other records that name these rows: read again where these changed
    optional: bool = False  # what the portal refuses of it is left to the next full read
    our_own: OurOwn | None = None  # rows that still bear the stamp it tells are passed over
    done: bool = False
    _records: list[Record] = field(default_factory=list)
    _rejects: list[Reject] = field(default_factory=list)
    _fresh: list[str] = field(default_factory=list)
    _stalls: int = 0
    _reason: str = "the same page came again"
    _query: str = ""

    def calls(self, prefix: str, first: int, slots: int) -> list[str]:
        """Up to `slots` pages as calls of one batch: the first after the last id known, each further one after its forerunner."""
        listing = self.listing
        if not self._query:
            bounds = {f"<={listing.key}": self.upto} if self.upto is not None else {}
            above = quote(f">{listing.key}", safe="")
            self._query = f"{listing.query({**self.filter, **bounds})}&{listing.filter_name}[{above}]="
        path = f"[{listing.wrapper}]" if listing.wrapper else ""
        last = f"{path}[{PAGE - 1}][{listing.key}]"
        references = (
            quote(f"$result[{prefix}{number}]{last}", safe="") for number in range(first, first + slots - 1)
        )
        return [f"{self._query}{value}" for value in (self.after, *references)]

    def wanted(self) -> int:
        """Calls that it could use now."""
        end = self.upto if self.upto is not None else self.top
        if not end:
            return self.pages_wanted
        return max(1, min(self.pages_wanted, (end - self.after) // PAGE + 1))

    def take(self, outcomes: Sequence[Outcome], reader: Reader) -> None:
        """Take the answers in order, up to the first that does not go on. Raises SourceError: refused, or no progress."""
        start = self.after
        for outcome in outcomes:
            if outcome.error is not None:
                if self.optional and outcome.error.kind == "refused":
                    self.done = True
                    break
                if not outcome.again:
                    raise reader.portal.error(self.listing.method, outcome.error)
                self._reason = outcome.error.reason
                break
            count = self._page(outcome, reader)
            if count is None:
                break
            if count < PAGE or (self.upto is not None and self.after >= self.upto):
                self.done = True
                break
        self._pass_over()
        self._stalls = 0 if self.done or self.after > start else self._stalls + 1
        if self._stalls > MAX_STALLS:
            raise SourceError(
                f"{reader.system}: {self.listing.method} gets no further than {self.listing.key} "
                f"{self.after} ({self._reason}); the next run goes on from here",
                retriable=True,
            )
        self.pages_wanted = BATCH if not self.owners else max(2, self.pages_wanted)
        if self.done and self.owners:
            reader.observe(self.listing.entity, len(self._records), len(self.owners))

    def _pass_over(self) -> None:
        """Drop rows that nobody has changed since we wrote them, so that their children are not read again."""
        if self.our_own is None or not self._records:
            return
        known = self.our_own(self.listing.entity, [record.source_id for record in self._records])
        same = {
            r.source_id for r in self._records if r.modified_at and known.get(r.source_id) == r.modified_at
        }
        self._records = [record for record in self._records if record.source_id not in same]
        self._fresh = [number for number in self._fresh if number not in same]

    def _page(self, outcome: Outcome, reader: Reader) -> int | None:
        """Take one page; how many rows it has, or None where it does not continue the chain."""
        if is_null(outcome, self.listing.wrapper):
            self._reason = NULL
            return None
        records, rejects, last, count = records_of(self.listing, outcome, reader.system)
        if records and int(records[0].source_id) <= self.after:
            return None  # a page we had already, or the filter was not applied
        if self.owners and not {record.parent_id for record in records} <= set(self.owners):
            return None  # rows of other parents
        self.after = max(self.after, last)
        self._records += records
        self._rejects += rejects
        self._fresh += [record.source_id for record in records]
        return count

    def pages(self) -> list[Page]:
        """What may be given out now; rows of parents and of whole entities wait until they are all here."""
        held = (self.owners or self.complete) and not self.done
        if not self.emit or held or not (self._records or self._rejects or self.owners or self.complete):
            if not self.emit:
                self._records, self._rejects = [], []
            return []
        page = Page(self.listing.entity, self._records, self.owners, self.complete, self._rejects)
        self._records, self._rejects = [], []
        return [page]

    def children(self, reader: Reader) -> list[Chain | Whole]:
        """Chains for the children and followers of the rows that came since the last time."""
        fresh, self._fresh = self._fresh, []
        found = [group for listing in self.child_listings for group in reader.groups(listing, fresh)]
        for start in range(0, len(fresh), MAX_OWNERS):
            part = fresh[start : start + MAX_OWNERS]
            found += [
                Chain(listing, {listing.owners: part}, pages_wanted=2, optional=True, child_listings=children)
                for listing, children in self.followers
            ]
        return found


@dataclass(slots=True, eq=False)
class Whole:
    """A small dictionary that comes in one call; `split` makes the pages of its rows."""

    method: str
    params: Mapping[str, Any]
    wrapper: str
    split: Callable[[Sequence[bytes]], list[Page]]
    done: bool = False
    _start: int | None = None
    _rows: list[bytes] = field(default_factory=list)
    _turns: int = 0

    def calls(self, prefix: str, first: int, slots: int) -> list[str]:
        """The one call; further pages of it by `start`."""
        start = {} if self._start is None else {"start": self._start}
        return [f"{self.method}?{encode({**self.params, **start})}"]

    def wanted(self) -> int:
        """One call at a time."""
        return 1

    def take(self, outcomes: Sequence[Outcome], reader: Reader) -> None:
        """Take the answer. Raises SourceError: refused, or more than MAX_WHOLE_PAGES pages."""
        (outcome,) = outcomes
        self._turns += 1
        if self._turns > MAX_WHOLE_PAGES:
            raise SourceError(f"{reader.system}: {self.method} does not end after {MAX_WHOLE_PAGES} pages")
        if outcome.error is not None:
            if not outcome.again:
                raise reader.portal.error(self.method, outcome.error)
            return
        self._rows += [bytes(row) for row in rows_of(outcome, self, reader.system)]
        self._start = outcome.next
        self.done = outcome.next is None

    def pages(self) -> list[Page]:
        """Complete pages, once everything is here."""
        return self.split(self._rows) if self.done else []

    def children(self, reader: Reader) -> list[Chain | Whole]:
        """None: dictionaries have no children."""
        return []


def _pack(waiting: deque[Chain | Whole], slots: int) -> list[tuple[Chain | Whole, int]]:
    """Fill one batch from the front of the queue. A chain cut short goes on in a later batch."""
    packed: list[tuple[Chain | Whole, int]] = []
    while waiting and slots > 0:
        job = waiting.popleft()
        given = min(job.wanted(), slots)
        packed.append((job, given))
        slots -= given
    return packed


def is_null(outcome: Outcome, wrapper: str) -> bool:
    """Whether null stands where the rows should: the portal broke off inside; an empty list is []."""
    return outcome.raw is not None and _null(wrapper).match(outcome.raw) is not None


@cache
def _null(wrapper: str) -> re.Pattern[bytes]:
    before = rf'\{{\s*"{wrapper}"\s*:\s*' if wrapper else ""
    return re.compile(rf"\s*(?:{before}|)null\b".encode())


def rows_of(outcome: Outcome, listing: Listing | Whole, system: str) -> list[msgspec.Raw]:
    """The rows of a page. Raises SourceError where the result is not what the method documents."""
    if outcome.raw is None or is_null(outcome, listing.wrapper):
        reason = NULL if outcome.raw is not None else "it came without rows"
        raise SourceError(
            f"{system}: {listing.method}: {reason}; the next run asks again; if it stays, write to the vendor's "
            "support",
            retriable=True,
        )
    try:
        return _rows(_shape(listing.wrapper, msgspec.Raw).decode(outcome.raw), listing.wrapper)
    except msgspec.DecodeError as error:
        if bytes(outcome.raw).strip() == b"[]":
            return []  # an empty PHP map
        raise SourceError(f"{system}: {listing.method} sent no list of rows ({error})") from None


def records_of(
    listing: Listing, outcome: Outcome, system: str
) -> tuple[list[Record], list[Reject], int, int]:
    """Records in the order of the page, rows without a usable key, the highest key, the number of rows."""
    rows = rows_of(outcome, listing, system)
    head = _head(listing.key, listing.stamps, listing.parent)
    heads: Sequence[Any] = ()
    rejects: list[Reject] = []
    if rows:
        try:
            heads = _rows(_shape(listing.wrapper, head).decode(outcome.raw or b""), listing.wrapper)
        except msgspec.ValidationError:  # some row has no usable key: look at each
            rows, heads, rejects = _sound(listing, rows, head, system)
    key, stamps, parent = listing.key, listing.stamps, listing.parent
    records: list[Record] = []
    last = 0
    for row, seen in zip(rows, heads, strict=True):
        number = getattr(seen, key)
        stamp = None
        for name in stamps:
            if stamp := getattr(seen, name):
                break
        owner = str(getattr(seen, parent)) if parent else None
        records.append(Record(str(number), bytes(row), moment(stamp), owner))
        last = max(last, number)
    return records, rejects, last, len(records) + len(rejects)


def _sound(
    listing: Listing, rows: Sequence[msgspec.Raw], head: type, system: str
) -> tuple[list[msgspec.Raw], list[Any], list[Reject]]:
    """The rows that have a key, what their heads say, and the rejects. A stamp that is no text is none."""
    good: list[msgspec.Raw] = []
    heads: list[Any] = []
    rejects: list[Reject] = []
    only_key = _head(listing.key, (), "")
    for row in rows:
        place, reason, owner = (
            f"{system}, {listing.method}, row {len(good) + len(rejects) + 1} of its page",
            f"the row has no usable {listing.key}",
            None,
        )
        try:
            number = getattr(msgspec.json.decode(row, type=only_key, strict=False), listing.key)
            place, reason = f"{listing.entity} {number}", f"the row has no usable {listing.parent}"
            owner = str(number) if listing.entity == "deal" else None
            heads.append(_without_odd_stamps(listing, row, head))
            good.append(row)
        except msgspec.ValidationError as error:
            rejects.append(Reject(place, f"{reason} ({error}); look at it in {system}", bytes(row), owner))
    return good, heads, rejects


def _without_odd_stamps(listing: Listing, row: msgspec.Raw, head: type) -> Any:
    """The head of a row whose key is usable. Raises ValidationError where its parent is not."""
    said = msgspec.json.decode(row, type=dict[str, msgspec.Raw])
    odd = {name for name in listing.stamps if bytes(said.get(name, b"null")).strip()[:1] not in (b'"', b"n")}
    sound = {name: value for name, value in said.items() if name not in odd}
    return msgspec.json.decode(msgspec.json.encode(sound), type=head, strict=False)


@cache
def _head(key: str, stamps: tuple[str, ...], parent: str) -> type:
    """What is decoded of a row; the rest stays bytes."""
    names: list[Any] = [(key, int)]
    names += [(name, str | None, None) for name in stamps]
    names += [(parent, str | int | None, None)] if parent not in ("", key) else []
    return msgspec.defstruct("Head", names)


@cache
def _shape(wrapper: str, row: type) -> msgspec.json.Decoder[Any]:
    """A decoder of a page of such rows. A PHP list with gaps in its keys arrives as an object."""
    rows: Any = list[row] | dict[str, row]  # type: ignore[valid-type]
    shape = msgspec.defstruct("Rows", [(wrapper, rows)]) if wrapper else rows
    return msgspec.json.Decoder(shape, strict=False)


def _rows(page: Any, wrapper: str) -> list[Any]:
    rows = getattr(page, wrapper) if wrapper else page
    return list(rows.values()) if isinstance(rows, dict) else rows


def moment(text: str | None) -> datetime | None:
    """A stamp of the portal as UTC; None where it is empty or in no form that carries an offset."""
    if not text:
        return None
    try:
        stamp = datetime.fromisoformat(text)
        return stamp.astimezone(UTC) if stamp.tzinfo else None
    except (ValueError, OverflowError):  # in UTC it may lie outside the calendar
        return None


def written(at: datetime, form: str, zone: tzinfo) -> str:
    """A time as a filter takes it: "iso" with its offset, else "plain" in the portal's zone."""
    local = at.astimezone(zone)
    return local.isoformat(timespec="seconds") if form == "iso" else local.strftime("%Y-%m-%d %H:%M:%S")
