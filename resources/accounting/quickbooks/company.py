"""One company (realm) of QuickBooks Online over HTTP: queries, change data capture, batches, reports, writes.

Limits: 500 requests a minute and 10 a second, 40 batches a minute of at most 30 items (developer.intuit.com, limits and
throttles). `LIMITS` keeps the first two for all processes; batches are counted here, for the one process that writes.
Numbers are never read as floats, and are sent as the decimals they are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from resources.accounting.quickbooks.entities import Place
from resources.accounting.quickbooks.faults import verdict
from resources.budget import LocalBudget
from resources.connector import Refused, SourceError, Uncertain
from resources.http import Answer, Client

MINOR: Final = 75  # older values are no longer honoured
PAGE: Final = 1000  # rows of one query at most
MAX_PAGES: Final = 20_000  # of one walk
WALKS: Final = 3  # times a list is read anew that changed under the reading
OVERLAP: Final = 50  # of a page that counts off, the part that the one before has brought: one row in so many
LONG_QUERY: Final = 1_500  # characters; a longer one is sent as a body
MAX_BATCH: Final = 30
BATCH_LOOK: Final = (
    0.1  # seconds between two looks whether a batch may go, and whether there is any need left
)
REQUESTS_A_MINUTE: Final = 500.0
BATCHES_A_MINUTE: Final = 40.0
BATCH_BURST: Final = 4.0
NEWEST: Final = 200
CDC_CAP: Final = 1_000  # records of one answer of change data capture, all entities together
READS_A_MONTH: Final = 500_000.0  # of the partner programme's first tier
LATER: Final = "try again later"

Rows = Sequence[msgspec.Raw]
_encode = msgspec.json.Encoder(decimal_format="number").encode


class _Stamps(msgspec.Struct):
    last: str = msgspec.field(name="LastUpdatedTime", default="")


class Head(msgspec.Struct):
    """What of a record says which it is, and which version; "" where it does not."""

    id: str = msgspec.field(name="Id", default="")
    token: str = msgspec.field(name="SyncToken", default="")
    status: str = ""
    stamps: _Stamps | None = msgspec.field(name="MetaData", default=None)
    day: str = msgspec.field(name="TxnDate", default="")

    @property
    def stamp(self) -> str:
        return self.stamps.last if self.stamps else ""


_head = msgspec.json.Decoder(Head, strict=False).decode


def head(row: msgspec.Raw) -> Head:
    """What a row says of itself. Of one that is not as it should be, what can be read of it."""
    try:
        return _head(row)
    except msgspec.DecodeError:
        return _partly(row)


def _partly(row: msgspec.Raw) -> Head:
    try:
        held = msgspec.json.decode(row)
    except msgspec.DecodeError:
        return Head()
    said = held if isinstance(held, dict) else {}
    stamps = said.get("MetaData")
    last = stamps.get("LastUpdatedTime") if isinstance(stamps, dict) else ""
    names = ("Id", "SyncToken", "status", "TxnDate")
    number, token, status, day = (_plain(said.get(name)) for name in names)
    return Head(number, token, status, _Stamps(_plain(last)), day)


def _plain(value: object) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


class Allowance:
    """How many reading calls the month still allows; counted here, from what was kept of earlier processes."""

    def __init__(
        self, system: str, a_month: float, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.system, self.a_month, self._clock = system, a_month, clock
        self._lock = threading.Lock()
        self._month, self._used = "", 0

    def remember(self, kept: str) -> None:
        """Go on from `2026-11:4711`, if that is this month's and more than was counted here."""
        month, _, used = kept.partition(":")
        with self._lock:
            if (
                month == f"{self._clock():%Y-%m}"
                and used.isdigit()
                and (self._month != month or int(used) > self._used)
            ):
                self._month, self._used = month, int(used)

    @property
    def kept(self) -> str:
        """What to remember."""
        with self._lock:
            return f"{self._month}:{self._used}" if self._month else ""

    def spend(self) -> None:
        """Count one. Raises SourceError once the month's are used."""
        month = f"{self._clock():%Y-%m}"
        with self._lock:
            if month != self._month:
                self._month, self._used = month, 0
            if self._used >= self.a_month:
                raise SourceError(
                    f"{self.system}: the month's {self.a_month:.0f} reading calls (reads_per_month) are used; they come "
                    "back with the next month, or raise reads_per_month where your tier of the partner programme allows more",
                    retriable=True,
                )
            self._used += 1


class Company:
    """Safe to use from several threads, as its client is."""

    def __init__(
        self,
        client: Client,
        realm: str,
        *,
        minor: int = MINOR,
        parallel: int = 8,
        batch: int = MAX_BATCH,
        batches_a_minute: float = BATCHES_A_MINUTE,
        reads_a_month: float = READS_A_MONTH,
        page: int = PAGE,
    ) -> None:
        self.system, self.client, self.realm = client.system, client, realm
        self.minor, self.parallel = minor, parallel
        self.batch_items, self.page = max(1, min(batch, MAX_BATCH)), max(2, min(page, PAGE))
        self.allowance = Allowance(client.system, reads_a_month)
        # A vendor that counts by the last minute: what a burst takes at once and what comes after stay below its bound.
        self._batches = LocalBudget((batches_a_minute - BATCH_BURST + 1.6) / 60, BATCH_BURST)
        self._preferences: Mapping[str, Any] | None = None
        self._lock = threading.Lock()

    # ---- Requests -----------------------------------------------------------------------------

    def ask(self, path: str, params: Mapping[str, Any], about: str, *, body: bytes | None = None) -> Answer:
        """One reading request. Raises SourceError; Refused with the vendor's own code."""
        self.allowance.spend()
        return self.client.request(
            "POST" if body is not None else "GET",
            f"v3/company/{self.realm}/{path}",
            params={**params, "minorversion": self.minor},
            content=body,
            headers={"Content-Type": "application/text"} if body is not None else None,
            classify=lambda answer: verdict(answer, f"{about}: "),
        )

    def write(
        self, path: str, params: Mapping[str, Any], body: Mapping[str, Any], about: str
    ) -> dict[str, Any]:
        """One writing request, never sent again once it may have arrived; its answer, numbers as Decimal.

        Raises Refused and its kinds, Uncertain, SourceError (nothing was done). `about` names the record.
        """
        answer = self.client.request(
            "POST",
            f"v3/company/{self.realm}/{path}",
            params={**params, "minorversion": self.minor},
            content=_encode(body),
            headers={"Content-Type": "application/json"},
            write=True,
            classify=lambda answer: verdict(answer, f"{about}: ", write=True),
        )
        held = answer.json() if answer.content.strip() else None
        if not isinstance(held, dict):
            raise Uncertain(
                f"{self.system}: {about}: an empty answer came; it is looked up before anything is sent again"
            )
        return held

    def batch(self, items: Sequence[Mapping[str, Any]], about: str) -> list[Mapping[str, Any]]:
        """One batch of writes; what it says of each item that it names by `bId`. Raises as `write`."""
        held = self.write("batch", {}, {"BatchItemRequest": items}, about)
        found = held.get("BatchItemResponse")
        return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []

    def batch_granted(self) -> bool:
        """Whether a batch may be sent now; if not, a moment has passed for asking again."""
        wait = self._batches.take()
        if wait > 0:
            self.client.sleep(min(wait, BATCH_LOOK))
        return wait == 0.0

    # ---- Queries ------------------------------------------------------------------------------

    def query(self, name: str, text: str) -> Rows:
        """The rows of one query over one kind of record, whole: fewer than the answer says are an error."""
        long = len(text) > LONG_QUERY
        answer = self.ask(
            "query",
            {} if long else {"query": text},
            f"a query of {name}",
            body=text.encode() if long else None,
        )
        try:
            held = msgspec.json.decode(answer.content, type=_Query).response
            rows: list[msgspec.Raw] = msgspec.json.decode(held.get(name, b"[]"), type=list[msgspec.Raw])
            stated = msgspec.json.decode(held.get("maxResults", b"null"), type=int | None)
        except msgspec.DecodeError:
            raise SourceError(
                f"{self.system}: the answer to a query of {name} is no list: «{answer.text}»; {LATER}, and check base_url if "
                "it stays",
                retriable=True,
            ) from None
        if stated is not None and stated != len(rows):
            raise SourceError(
                f"{self.system}: a page of {name} is cut off: it brings {len(rows)} rows and says {stated}; {LATER}",
                retriable=True,
            )
        return rows

    def count(self, place: Place, *, idle: bool = False) -> int:
        """How many records there are; `idle`: with the inactive ones of a name list."""
        text = _text(place, "COUNT(*)", idle=idle)
        answer = self.ask("query", {"query": text}, f"a count of {place.name}")
        try:
            held = msgspec.json.decode(answer.content, type=_Query).response
            return msgspec.json.decode(held["totalCount"], type=int)
        except (msgspec.DecodeError, KeyError):
            raise SourceError(
                f"{self.system}: {place.name} was not counted: «{answer.text}»; {LATER}", retriable=True
            ) from None

    def changed(self, place: Place, since: str) -> Iterator[Rows]:
        """Records by the stamp of their last change, from `since` on, each version once.

        Pages go on from the last stamp, inclusive: a record that changes meanwhile moves to the end and is met again,
        and nothing slips between two pages. Of one stamp with more records than a page its rows are counted off.
        """
        seen: set[tuple[str, str]] = set()
        skipped = stale = 0
        for number in range(1, MAX_PAGES + 1):
            where = f"MetaData.LastUpdatedTime >= {quoted(since)}"
            order = f"ORDERBY MetaData.LastUpdatedTime STARTPOSITION {skipped + 1} MAXRESULTS {self.page}"
            rows = self.query(place.name, _text(place, place.select, where, order))
            heads = [self.named(row) for row in rows]
            marks = [(h.id, h.token) for h in heads]
            fresh = [row for row, mark in zip(rows, marks, strict=True) if mark not in seen]
            seen.update(marks)
            if fresh:
                yield fresh
            if len(rows) < self.page:
                return
            # Of the stamp that a page begins with, one page may have been met before; never two.
            stale = 0 if fresh else stale + 1
            if stale == 2:
                raise self._repeats(place.name, number)
            last = next((each.stamp for each in reversed(heads) if each.stamp), "")
            if not last:
                raise SourceError(f"{self.system}: a {place.name} has no MetaData.LastUpdatedTime; {LATER}")
            skipped = skipped + len(rows) if last == since else 0
            since = last
        raise self._endless(place.name)

    def whole(self, place: Place) -> Iterator[Rows]:
        """Every record, active or not; raises SourceError where fewer were met than there are."""
        total = self.count(place, idle=True)
        met: set[str] = set()
        for _ in range(WALKS):
            for rows in self.changed(place, EVER):
                met.update(self.named(row).id for row in rows)
                yield rows
            if len(met) >= total or len(met) >= (total := self.count(place, idle=True)):
                return
        raise self._short(place.name, len(met), total)

    def ids(self, place: Place) -> list[str]:
        """The id of every record that is not inactive; raises SourceError where they are not all there are.

        A record that is deleted while pages are counted off moves those behind it forward, over the edge of a page, and
        the count alone does not tell: the deleted one was met. So a page begins with the last rows of the one before; one
        that does not begin with a record that was met may lie behind a gap, and the walk begins anew.
        """
        total = 0
        for _ in range(WALKS):
            met, unbroken = self._ids(place)
            total = self.count(place)
            if unbroken and len(met) == total:
                return list(met)
        raise self._short(place.name, len(met), total)

    def _ids(self, place: Place) -> tuple[dict[str, None], bool]:
        """Ids of one walk, and whether each of its pages begins within the one before."""
        met: dict[str, None] = {}
        step = self.page - max(1, self.page // OVERLAP)
        for number in range(MAX_PAGES):
            order = f"ORDERBY Id STARTPOSITION {number * step + 1} MAXRESULTS {self.page}"
            rows = self.query(place.name, _text(place, "Id", "", order, idle=False))
            found = [head(row).id for row in rows]
            if not all(found):
                raise SourceError(
                    f"{self.system}: a {place.name} came without its Id, and may be any; until it has one nothing of that "
                    "kind is deleted here; look at it in QuickBooks"
                )
            if number and (not found or found[0] not in met):
                return met, False
            before = len(met)
            met.update(dict.fromkeys(found))
            if len(rows) < self.page:
                return met, True
            if len(met) == before:
                raise self._repeats(place.name, number + 1)
        raise self._endless(place.name)

    def select(self, place: Place, column: str, values: Sequence[str], select: str = "") -> Rows:
        """The records whose column is one of these values; at most a page of them."""
        where = f"{column} IN ({', '.join(quoted(value) for value in values)})"
        return self.query(place.name, _text(place, select or place.select, where, f"MAXRESULTS {self.page}"))

    def newest(self, place: Place) -> Rows:
        """The records changed last, one request."""
        return self.query(
            place.name,
            _text(place, place.select, "", f"ORDERBY MetaData.LastUpdatedTime DESC MAXRESULTS {NEWEST}"),
        )

    def dictionary(self, place: Place) -> Rows:
        """A short list, whole."""
        found: list[msgspec.Raw] = []
        for number in range(MAX_PAGES):
            rows = self.query(
                place.name,
                _text(
                    place, place.select, "", f"STARTPOSITION {number * self.page + 1} MAXRESULTS {self.page}"
                ),
            )
            if rows and found and bytes(rows[0]) == bytes(found[-len(rows)]):
                raise self._repeats(place.name, number + 1)
            found += rows
            if len(rows) < self.page:
                return found
        raise self._endless(place.name)

    def cdc(self, names: Sequence[str], since: datetime) -> dict[str, list[msgspec.Raw]]:
        """What changed since then by the vendor's change data capture, deleted stubs included; by the vendor's name."""
        params = {"entities": ",".join(names), "changedSince": stamp(since)}
        answer = self.ask("cdc", params, "change data capture")
        found: dict[str, list[msgspec.Raw]] = {name: [] for name in names}
        try:
            for said in msgspec.json.decode(answer.content, type=_Cdc).responses:
                for part in said.parts:
                    for name in part.keys() & found.keys():
                        found[name] += msgspec.json.decode(part[name], type=list[msgspec.Raw])
        except msgspec.DecodeError:
            raise SourceError(
                f"{self.system}: the answer of change data capture cannot be read: «{answer.text}»; {LATER}",
                retriable=True,
            ) from None
        return found

    def report(self, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """A report as its tree, numbers as the texts they are."""
        held = self.ask(f"reports/{name}", params, f"the report {name}").json()
        if not isinstance(held, dict) or "Rows" not in held:
            raise SourceError(f"{self.system}: the report {name} came without rows; {LATER}", retriable=True)
        return held

    def preferences(self, *, anew: bool = False) -> Mapping[str, Any]:
        """The company's settings; asked for once, or anew."""
        with self._lock:
            if self._preferences is None or anew:
                held = self.ask("preferences", {}, "the company's settings").json()
                found = held.get("Preferences") if isinstance(held, dict) else None
                if not isinstance(found, dict):
                    raise SourceError(
                        f"{self.system}: the company's settings did not come; {LATER}", retriable=True
                    )
                self._preferences = found
            return self._preferences

    @property
    def custom_numbers(self) -> bool:
        """Whether the company lets documents have numbers of our making."""
        form = self.preferences().get("SalesFormsPrefs")
        return isinstance(form, Mapping) and str(form.get("CustomTxnNumbers")).lower() == "true"

    # ---- What cannot be -----------------------------------------------------------------------

    def named(self, row: msgspec.Raw) -> Head:
        """Which record a row is. A row that is none is left to whoever makes records of rows."""
        found = head(row)
        return found if found.id else Head(bytes(row).decode("utf-8", "replace"), stamps=found.stamps)

    def _repeats(self, name: str, number: int) -> SourceError:
        return SourceError(
            f"{self.system}: page {number} of {name} repeats the one before; {LATER}", retriable=True
        )

    def _endless(self, name: str) -> SourceError:
        return SourceError(f"{self.system}: {name} does not end within {MAX_PAGES} pages")

    def _short(self, name: str, met: int, total: int) -> SourceError:
        return SourceError(
            f"{self.system}: {name} was read {WALKS} times and brought {met} of {total} records; it is being changed "
            "heavily, or pages are cut off: read again later",
            retriable=True,
        )


EVER: Final = "1970-01-01T00:00:00+00:00"


class _Query(msgspec.Struct):
    response: dict[str, msgspec.Raw] = msgspec.field(name="QueryResponse")


class _Part(msgspec.Struct):
    parts: list[dict[str, msgspec.Raw]] = msgspec.field(name="QueryResponse", default_factory=list)


class _Cdc(msgspec.Struct):
    responses: list[_Part] = msgspec.field(name="CDCResponse")


def quoted(value: str) -> str:
    """A value as queries take it, numbers too."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def stamp(when: datetime) -> str:
    """A moment as queries take it, with its offset: without one the company's own zone would be taken."""
    return when.astimezone(UTC).replace(microsecond=0).isoformat()


def _text(place: Place, select: str, where: str = "", order: str = "", *, idle: bool = True) -> str:
    listed = "Active IN (true, false)" if place.listed and idle else ""
    conditions = [condition for condition in (where, listed) if condition]
    text = f"SELECT {select} FROM {place.name}"
    if conditions:
        text += f" WHERE {' AND '.join(conditions)}"
    return f"{text} {order}".rstrip()


__all__ = [
    "CDC_CAP", "Allowance", "Company", "Head", "Refused", "Rows", "head", "quoted", "stamp",
]  # fmt: skip
