"""Requests to one SAP system: sessions with their tokens, lists read to their end, and writes that are never resent.

A write needs a CSRF token and the cookies of the session that gave it, so every worker has a session of its own
(`Seat`): a token shared by two is refused to one of them. A token that has ended (403 with `x-csrf-token:
Required`, by which SAP says that nothing was done) is fetched anew, once.

Lists are paged by key (`SalesOrder gt '4711'`), for `$skip` loses rows when others are deleted meanwhile, and so do
links to further pages that count rows off (whether they do is unconfirmed): no link is followed, for the next page
begins behind the last row all the same. A walk ends at an empty page, or where its first page was not full and is all
that the service counted. No other count ends it, since rows that are saved meanwhile count too, and no short page,
whatever limit the service has of its own.

Sums have no key to go on from. Their pages are counted off, and the walk begins anew where the list moved under it.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from resources.accounting.sap import faults, odata
from resources.accounting.sap.multipart import Change, decoded, encoded
from resources.connector import Refused, SourceError
from resources.http import OK, Answer, Client, Verdict

MAX_PAGES: Final = 200_000  # of one walk
WALKS: Final = 3  # times a list is read anew that moved under the reading
SPREAD_FROM: Final = 4  # pages from which on a list is read in several ranges at once

Row = Mapping[str, Any]


@dataclass(slots=True)
class Seat:
    """One session: a client with cookies of its own, and the token that goes with them."""

    client: Client
    token: str = ""


@dataclass(frozen=True, slots=True)
class List:
    """Which rows of a set: its service, the fields of its key in their order, and how they are asked for.

    `spread`: the list may be read by ranges of the first field of its key, several at once.
    """

    service: str
    entity_set: str
    key: tuple[str, ...]
    where: str = ""
    select: str = ""
    expand: str = ""
    spread: bool = False

    def key_of(self, row: Row) -> tuple[str, ...]:
        return tuple(str(row.get(name) or "") for name in self.key)


@dataclass(slots=True)
class _Range:
    """A part of a list: what follows `last` in the order of the key, or `low`, up to `high` of its first field.

    `total`: what the service counted with its first page, where it was asked to.
    """

    last: tuple[str, ...] = ()
    low: str = ""
    high: str = ""
    total: int | None = None
    recent: set[tuple[str, ...]] = field(default_factory=set)


class Session:
    """One system under one user. May be used by several threads; each request takes a seat."""

    def __init__(
        self,
        seats: Sequence[Client],
        who: str,
        *,
        page: int = 1000,
        query_limit: int = 4000,
        closed_text: str = "",
    ) -> None:
        self.system = seats[0].system
        self.who, self.page, self.query_limit, self.closed_text = who, max(2, page), query_limit, closed_text
        self.at_once = len(seats)
        self._all = [Seat(client) for client in seats]
        self._free: queue.LifoQueue[Seat] = queue.LifoQueue()
        for seat in self._all:
            self._free.put(seat)

    @property
    def clock_behind(self) -> float:
        """Seconds by which the server's clock lay behind ours at the last answers."""
        return max(seat.client.behind for seat in self._all)

    def close(self) -> None:
        """End the connections."""
        for seat in self._all:
            seat.client.close()

    # ---- Reading ------------------------------------------------------------------------------

    def get(self, service: str, path: str, *, json: bool = True) -> Answer:
        """One GET below a service. Raises SourceError, Refused."""
        with self._seat() as seat:
            return seat.client.request(
                "GET",
                f"{service}/{path}",
                headers=None if json else {"Accept": "*/*"},
                want="json" if json else "any",
                classify=lambda answer: faults.read_verdict(service, self.who, answer),
            )

    def listed(self, service: str, path: str) -> odata.Listed:
        """One page. Raises SourceError, also for JSON that is no answer of OData V2."""
        try:
            content = self.get(service, path).content
        except Refused as refusal:
            if refusal.code == faults.NO_DATA:
                return odata.Listed([], count=0)
            raise
        try:
            return odata.listed(content)
        except ValueError as error:
            raise SourceError(
                f"{self.system}: {service}/{path.partition('?')[0]} answered JSON that is no list ({error}); see "
                "that url in the connection is that of SAP Gateway, https://<host>/sap/opu/odata/sap/",
                retriable=True,
            ) from None

    def count(self, service: str, entity_set: str, where: str = "") -> int:
        """How many rows there are. Raises SourceError."""
        said = self.get(service, odata.address(f"{entity_set}/$count", filter=where), json=False).content
        try:
            return int(said.decode("utf-8-sig").strip())
        except ValueError:
            raise SourceError(
                f"{self.system}: {entity_set}/$count answered {said[:40]!r}, not a number", retriable=True
            ) from None

    def whole(self, asked: List, top: int = 0) -> Iterator[Sequence[Row]]:
        """Every row of a list once, in pages, several ranges at once where it is long. Raises SourceError.

        What is there from beginning to end is met, whatever is saved or deleted meanwhile.
        """
        top = top or self.page
        start = _Range()
        rows = self._range_page(asked, start, top, counted=True)
        if rows:
            yield rows
        if not rows or (len(rows) < top and start.total is not None and start.total <= len(rows)):
            return
        if not (asked.spread and self.at_once > 1 and start.total and start.total > SPREAD_FROM * top):
            yield from self._rest(asked, start, top)
            return
        first = asked.key[0]
        last = odata.address(
            asked.entity_set, select=first, filter=asked.where, orderby=f"{first} desc", top=1
        )
        edge = self.listed(asked.service, last).rows
        high = str(edge[0].get(first) or "") if edge else ""
        yield from self._side_by_side(asked, _ranges(start, high, self.at_once), top)

    def next_page(self, asked: List, last: tuple[str, ...]) -> tuple[Sequence[Row], bool]:
        """The page of a list behind the row of this key, one request, and whether the list ends with it, as far as the
        service counts. Raises SourceError."""
        part = _Range(last=last)
        rows = self._range_page(asked, part, self.page, counted=True)
        return rows, len(rows) < self.page and part.total is not None and part.total <= len(rows)

    def picked(self, asked: List, name: str, values: Sequence[str]) -> Iterator[Sequence[Row]]:
        """The rows of which a field has one of these values: many values to a request, requests in parallel."""
        from resources.parallel import in_order

        def ask(part: tuple[list[str], str]) -> list[Row]:
            narrowed = replace(asked, where=odata.both(asked.where, part[1]))
            return [row for rows in self.whole(narrowed) for row in rows]

        parts = odata.chunks(name, values, self.query_limit)
        yield from in_order(ask, parts, self.at_once, self.system)

    def by_skip(self, asked: List) -> Sequence[Row]:
        """The rows of an aggregating service, whose own key can be neither kept nor compared.

        A row that comes or goes while pages are counted off moves those behind it. So every page tells how many there are,
        and the walk holds where all say the same, or where it brought the same rows as the one before it. What the service
        counts, sums or the lines in them, is unconfirmed: no number is relied on alone. Raises SourceError.
        """
        before: list[tuple[str, ...]] | None = None
        for _ in range(WALKS):
            rows, counts = self._counted_off(asked)
            keys = [asked.key_of(row) for row in rows]
            if len(counts) < 2 or (len(set(counts)) == 1 and counts[0] is not None) or keys == before:
                return rows
            before = keys
        raise SourceError(
            f"{self.system}: {asked.entity_set} was read {WALKS} times and changed each time; the read starts over with the "
            "next run, and a larger `page` makes it shorter",
            retriable=True,
        )

    def _counted_off(self, asked: List) -> tuple[list[Row], list[int | None]]:
        """The rows of one walk, and the counts that its pages with rows told."""
        found: list[Row] = []
        counts: list[int | None] = []
        rows: Sequence[Row] = ()
        for _ in range(MAX_PAGES):
            path = odata.address(
                asked.entity_set, select=asked.select, filter=asked.where, orderby=",".join(asked.key),
                top=self.page, skip=len(found) or "", inlinecount="allpages",
            )  # fmt: skip
            before, page = rows, self.listed(asked.service, path)
            rows = page.rows
            if not rows:
                return found, counts
            if rows == before:
                raise self._repeats(asked, asked.key_of(rows[0]))
            found += rows
            counts.append(page.count)
            if len(rows) < self.page and page.count is not None and page.count <= len(found):
                return found, counts
        raise self._endless(asked)

    # ---- Writing ------------------------------------------------------------------------------

    def write(
        self,
        method: str,
        service: str,
        path: str,
        subject: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[dict[str, Any], list[str]]:
        """One write: (the row that came back, {} without one; what SAP remarked on it). Never resent.

        Raises Exists, Conflict, Refused, Uncertain, SourceError. `subject` is what a person reads: "order 7d2c…".
        """
        said = (
            {"Content-Type": "application/json", **(headers or {})}
            if body is not None
            else dict(headers or {})
        )
        answer = self._written(
            method,
            service,
            path,
            None if body is None else odata.encode(body),
            said,
            lambda answer: self.write_verdict(subject, service, answer),
        )
        return returned(answer), odata.warnings(answer.headers.get("sap-message", ""))

    def batch(
        self, service: str, sets: Sequence[Sequence[Change]], subject: str
    ) -> list[list[Answer] | None]:
        """One `$batch` of change sets: the answers of each, or the one that says why it failed; None: left out.

        Raises Uncertain, SourceError for the whole of it.
        """
        boundary, content = encoded(sets)
        parts: list[list[Answer]] = []

        def meaning(answer: Answer) -> Verdict:
            verdict = self.write_verdict(subject, service, answer)
            if verdict.kind == "ok":
                found = decoded(answer)
                if found is None:
                    said = answer.text[:80]
                    return Verdict(
                        "uncertain", f"{subject}: the answer of the batch is cut off, or none: «{said}»"
                    )
                parts.extend(found)
            return verdict

        self._written(
            "POST",
            service,
            "$batch",
            content,
            {"Content-Type": f"multipart/mixed; boundary={boundary}", "Accept": "multipart/mixed"},
            meaning,
        )
        return [parts[place] if place < len(parts) else None for place in range(len(sets))]

    def write_verdict(self, subject: str, service: str, answer: Answer) -> Verdict:
        """The meaning of an answer to a write, of a batch's part too."""
        return faults.write_verdict(subject, service, self.who, self.closed_text, answer)

    def try_token(self, service: str) -> None:
        """Fetch a CSRF token, as a write would. Raises SourceError."""
        with self._seat() as seat:
            seat.token = self._token(seat, service)

    # ---- Inside -------------------------------------------------------------------------------

    @contextmanager
    def _seat(self) -> Iterator[Seat]:
        seat = self._free.get()
        try:
            yield seat
        finally:
            self._free.put(seat)

    def _written(
        self,
        method: str,
        service: str,
        path: str,
        content: bytes | None,
        headers: Mapping[str, str],
        classify: Callable[[Answer], Verdict],
    ) -> Answer:
        with self._seat() as seat:
            for again in (True, False):
                if not seat.token:
                    seat.token = self._token(seat, service)
                try:
                    return seat.client.request(
                        method,
                        f"{service}/{path}",
                        content=content,
                        headers={**headers, "x-csrf-token": seat.token},
                        write=True,
                        want="any",
                        classify=classify,
                    )
                except faults.StaleToken as refusal:
                    seat.token = ""
                    if not again:
                        raise Refused(
                            f"{refusal}; a new token was refused too: see that no proxy between here and SAP takes "
                            "the cookies away",
                            code="csrf",
                        ) from None
        raise AssertionError("unreachable")

    def _token(self, seat: Seat, service: str) -> str:
        """A token for this session: by HEAD, or by GET where that is refused. Raises SourceError."""
        fetch = {"x-csrf-token": "Fetch"}
        head = seat.client.request("HEAD", f"{service}/", headers=fetch, want="any", classify=_head_verdict)
        token = head.headers.get("x-csrf-token", "")
        if head.status >= 400 or _is_no_token(token):
            answer = seat.client.request(
                "GET", f"{service}/", headers=fetch, want="any",
                classify=lambda answer: faults.read_verdict(service, self.who, answer),
            )  # fmt: skip
            token = answer.headers.get("x-csrf-token", "")
        if _is_no_token(token):
            raise SourceError(
                f"{self.system}: {service} gave no CSRF token, without which nothing can be written; let the proxy "
                "before SAP pass the x-csrf-token header in both directions"
            )
        return token

    def _range_page(self, asked: List, part: _Range, top: int, *, counted: bool = False) -> list[Row]:
        """The next rows of a range; moves it on."""
        conditions = [asked.where, odata.after(asked.key, part.last) if part.last else ""]
        if part.low:
            conditions.append(f"{asked.key[0]} gt {odata.text(part.low)}")
        if part.high:
            conditions.append(f"{asked.key[0]} le {odata.text(part.high)}")
        path = odata.address(
            asked.entity_set, select=asked.select, expand=asked.expand, filter=odata.both(*conditions),
            orderby=",".join(asked.key), top=top, inlinecount="allpages" if counted else "",
        )  # fmt: skip
        page = self.listed(asked.service, path)
        rows, count = list(page.rows), page.count
        keys = {asked.key_of(row) for row in rows}
        if part.recent & keys or (rows and part.last and asked.key_of(rows[0]) == part.last):
            raise self._repeats(asked, next(iter(part.recent & keys), part.last))
        if rows:
            part.last, part.low, part.recent = asked.key_of(rows[-1]), "", keys
        if counted:
            part.total = count
        return rows

    def _rest(self, asked: List, part: _Range, top: int) -> Iterator[Sequence[Row]]:
        for _ in range(MAX_PAGES):
            rows = self._range_page(asked, part, top)
            if rows:
                yield rows
            if not rows:
                return
        raise self._endless(asked)

    def _side_by_side(self, asked: List, parts: list[_Range], top: int) -> Iterator[Sequence[Row]]:
        """Pages of several ranges as they come; a range that turns out to be full is split where a worker is idle."""
        with ThreadPoolExecutor(self.at_once, thread_name_prefix=self.system) as pool:
            under_way: dict[Future[list[Row]], _Range] = {}
            for _ in range(MAX_PAGES):
                while parts and len(under_way) < self.at_once:
                    part = parts.pop(0)
                    under_way[pool.submit(self._range_page, asked, part, top)] = part
                if not under_way:
                    return
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    part = under_way.pop(future)
                    rows = future.result()
                    if not rows:
                        continue
                    if len(parts) + len(under_way) + 1 < self.at_once and len(rows) >= top:
                        parts += _halves(part)
                    else:
                        parts.append(part)
                    yield rows
        raise self._endless(asked)

    def _repeats(self, asked: List, key: tuple[str, ...]) -> SourceError:
        return SourceError(
            f"{self.system}: {asked.entity_set} gave a page that it gave before (with {' / '.join(key)}): its order or its "
            "filter by key does not hold; the read starts over with the next run, and if it stays tell SAP's administrator",
            retriable=True,
        )

    def _endless(self, asked: List) -> SourceError:
        return SourceError(
            f"{self.system}: {asked.entity_set} has no end after {MAX_PAGES} pages; raise `page`"
        )


def returned(answer: Answer) -> dict[str, Any]:
    """The row that a write gave back; {} where it gave none."""
    try:
        rows = odata.listed(answer.content).rows if answer.content.strip() else ()
    except ValueError:
        return {}
    return dict(rows[0]) if rows else {}


def _ranges(start: _Range, high: str, at_once: int) -> list[_Range]:
    """The rest of a list in ranges of its first key field; the last one is open, for what is added meanwhile.

    Whatever order the server has, every row is in one: each begins after what the one before ends with.
    """
    low = start.last[0]
    if not (low.isdigit() and high.isdigit() and int(low) < int(high)):
        return [start]
    first, last = int(low), int(high)
    count = min(at_once * 2, last - first)
    bounds = [str(first + (last - first) * n // count).zfill(len(low)) for n in range(1, count)]
    edges = ["", *bounds, ""]
    parts = [_Range(low=edges[n], high=edges[n + 1]) for n in range(count)]
    parts[0].last, parts[0].recent = start.last, start.recent
    return parts


def _halves(part: _Range) -> list[_Range]:
    here = part.last[0]
    if not (here.isdigit() and part.high.isdigit() and int(part.high) - int(here) > 1):
        return [part]
    middle = str((int(here) + int(part.high)) // 2).zfill(len(here))
    left = _Range(last=part.last, high=middle, recent=part.recent)
    return [left, _Range(low=middle, high=part.high)]


def _head_verdict(answer: Answer) -> Verdict:
    if answer.status == 401:
        return Verdict("unauthorized", "HTTP 401", "check the credentials in the connection")
    if answer.status == 429 or answer.status == 503:
        return Verdict("retry", f"HTTP {answer.status}", bucket="")
    return OK


def _is_no_token(token: str) -> bool:
    return not token or token.lower() in ("required", "fetch")
