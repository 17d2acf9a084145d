"""Requests to one 1C base: reading sets whole and sure of it, and single writes that are never resent.

What is awkward in 1C and handled here, once:
- `Ref_Key gt guid'…'` ends in a 500 on real bases ("Нельзя сравнивать поля … несовместимых типов") and
  `$orderby=Ref_Key` sorts by presentation, not by guid. So keyset paging is used only after the first
  page came back ordered and the server accepted the comparison; otherwise pages go by `$skip`.
- `$skip` pages over a living table may lose or repeat rows. Pages therefore overlap by one row, which must
  be the same on both, and a walk ends with a comparison of the rows met with `/$count`; when either fails
  the set is walked again (bounded), and only rows not met before are given out.
- A page that is shorter than asked for is the end by the guide; a server in front of 1C may cap pages, though. So a
  short page that is as long as any met so far (CAP_FROM rows at least) is compared with `/$count`; where there is more,
  pages go on in that length. No server that does so has been seen.
- `$inlinecount` makes the server ignore `$top` and `$skip` (guide, 17.4.6.2): it is never sent.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Raw

from resources.accounting.onec import odata
from resources.connector import Conflict, Exists, Refused, SourceError
from resources.http import OK, Answer, Client, Verdict
from resources.parallel import in_order

FORMAT = "application/json;odata=nometadata"
WALKS = 3  # times a set is read anew when it changed under the reading
CAP_FROM = 100  # rows of the shortest page that may have been capped
NARROW = 5  # pages of bodies that one page of headers takes the place of
MAX_ROWS = 10**9
MAX_PAGES = 20_000  # of one walk; 20 million rows by the usual page

Named = tuple[str, Raw]  # a row and its id; the id is empty where the row has no key


class Session:
    """One base under one user. May be used by several threads."""

    def __init__(
        self,
        http: Client,
        user: str,
        zone: ZoneInfo,
        *,
        concurrency: int = 4,
        page: int = 1000,
        query_limit: int = odata.QUERY_LIMIT,
        closed_period: str = "",
    ) -> None:
        self.system, self.user, self.zone = http.system, user, zone
        self.concurrency, self.page, self.query_limit = concurrency, max(2, page), query_limit
        self.keyset = True  # until the server shows otherwise
        self._longest = CAP_FROM  # rows of the longest page that came so far
        self._cap = MAX_ROWS  # of a page, until the server shows that it gives fewer
        self._http = http
        self._closed_period = closed_period

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    # ---- reading ------------------------------------------------------------------------------

    def get(self, resource: str, options: Mapping[str, object] | None = None, *, json: bool = True) -> Answer:
        """One GET. Raises SourceError that names the resource, the cause and the remedy; Refused with
        1C's own code where 1C itself refused."""
        return self._http.request(
            "GET",
            odata.address(resource, options or {}),
            want="json" if json else "any",
            classify=lambda answer: self._read_verdict(resource, answer),
        )

    def rows(self, resource: str, options: Mapping[str, object]) -> list[Raw]:
        """The objects of a set or of a virtual table, each as the bytes that came."""
        content = self.get(resource, {**options, "$format": FORMAT}).content
        try:
            return odata.decode_answer(content).value
        except msgspec.MsgspecError:
            start = content[:80].decode("utf-8", "replace")
            raise SourceError(
                f"{self.system}: {resource} answered JSON that is no set (it begins {start!r}); "
                "check that the url of the connection is that of the standard OData interface"
            ) from None

    def count(self, entity_set: str, where: str = "") -> int:
        """How many rows of a set a condition fits. Raises SourceError."""
        content = self.get(f"{entity_set}/$count", {"$filter": where}, json=False).content
        try:
            return int(content.decode("utf-8-sig"))
        except ValueError:
            raise SourceError(
                f"{self.system}: {entity_set}/$count answered {content[:40]!r}, not a number; "
                "look at the web server in front of 1C",
                retriable=True,
            ) from None

    def walk(
        self,
        entity_set: str,
        name: Callable[[Raw], str],
        *,
        select: str = "",
        where: str = "",
        order: str = "Ref_Key",
    ) -> Iterator[list[Named]]:
        """Yield every row of a set once, in pages. Raises SourceError when it does not hold still.

        With `select` (a few fields) a page is NARROW times as long.
        """
        seen: set[str | bytes] = set()
        top = min(self.page * (NARROW if select else 1), self._cap)
        options = {"$select": select, "$filter": where, "$orderby": order, "$top": top}
        for _ in range(WALKS):
            if (yield from self._walk_once(entity_set, name, options, seen)):
                return
        raise SourceError(
            f"{self.system}: {entity_set} was read {WALKS} times and each time the rows met did not agree "
            "with their count; it is being changed heavily or rows are hidden by record-level rights: "
            "read again later, or give the user full read rights",
            retriable=True,
        )

    def _walk_once(
        self, entity_set: str, name: Callable[[Raw], str], options: dict[str, object], seen: set[str | bytes]
    ) -> Generator[list[Named], None, bool]:
        first = [(name(row), row) for row in self.rows(entity_set, options)]
        yield _unseen(first, seen)
        short, where = len(first) != options["$top"], str(options["$filter"])
        if short and len(first) < self._longest:  # one answer is consistent in itself
            return True
        self._longest = max(self._longest, len(first))
        total = self.count(entity_set, where)
        if short and total <= len(first):
            return True
        if short:
            options["$top"] = max(2, len(first))
            self._cap = len(first) if total >= 2 * len(first) else self._cap
        keyset = self.keyset and options["$orderby"] == "Ref_Key" and _ascending(first)
        try:
            if keyset:
                yield from self._by_key(entity_set, name, options, first[-1][0], seen)
            else:
                yield from self._by_skip(entity_set, name, options, total, first[-1], seen)
            whole = len(seen) >= self.count(entity_set, where)
        except _UnsteadyError:
            whole = False
        if keyset and not whole:
            self.keyset = False
        return whole

    def _by_key(
        self,
        entity_set: str,
        name: Callable[[Raw], str],
        options: dict[str, object],
        last: str,
        seen: set[str | bytes],
    ) -> Iterator[list[Named]]:
        top = int(str(options["$top"]))
        for _ in range(MAX_PAGES):
            after = odata.both(str(options["$filter"]), f"Ref_Key gt {odata.guid(last)}")
            try:
                page = [(name(row), row) for row in self.rows(entity_set, {**options, "$filter": after})]
            except Refused as refusal:
                raise _UnsteadyError from refusal
            if page and (page[0][0] <= last or not _ascending(page)):
                raise _UnsteadyError
            yield _unseen(page, seen)
            if len(page) < top:
                return
            last = page[-1][0]
        raise self._endless(entity_set)

    def _by_skip(
        self,
        entity_set: str,
        name: Callable[[Raw], str],
        options: dict[str, object],
        total: int,
        edge: Named,
        seen: set[str | bytes],
    ) -> Iterator[list[Named]]:
        def page(skip: int) -> list[Named]:
            return [(name(row), row) for row in self.rows(entity_set, {**options, "$skip": skip})]

        top = int(str(options["$top"]))
        step = top - 1
        starts = range(step, max(step + 1, total - 1), step)
        for rows in in_order(page, starts, self.concurrency, self.system):
            edge = _joined(edge, rows)
            yield _unseen(rows, seen)
            if len(rows) < top:
                return
        for skip in range(starts[-1] + step, step * MAX_PAGES, step):  # it grew meanwhile
            rows = page(skip)
            edge = _joined(edge, rows)
            yield _unseen(rows, seen)
            if len(rows) < top:
                return
        raise self._endless(entity_set)

    def pick(
        self, entity_set: str, terms: Sequence[tuple[str, str]], *, select: str = "", order: str = ""
    ) -> Iterator[tuple[list[str], list[Raw]]]:
        """Read rows by condition: (key, condition) pairs go many to a request, requests in parallel.

        Yields the keys that were asked for together with all rows that answered.
        """

        options = {"$select": select, "$orderby": order}

        def ask(chunk: tuple[list[str], str]) -> tuple[list[str], list[Raw]]:
            keys, where = chunk
            return keys, self.rows(entity_set, {**options, "$filter": where})

        rest = len(odata.address("", {**options, "$format": FORMAT, "$filter": "-"}))
        chunks = odata.chunks(terms, limit=self.query_limit, overhead=rest)
        yield from in_order(ask, chunks, self.concurrency, self.system)

    # ---- writing ------------------------------------------------------------------------------

    def write(
        self,
        method: str,
        resource: str,
        subject: str,
        body: Mapping[str, Any] | None = None,
        *,
        options: Mapping[str, object] | None = None,
        version: str | None = None,
    ) -> dict[str, Any]:
        """One write, never resent once it may have arrived. Returns the answer's body, {} without one.

        Raises Exists (15), Conflict (412), Refused (1C's text whole), Uncertain (sent, outcome unknown),
        SourceError (nothing was done). `subject` is what a person reads: "realization 7d2c…".
        """
        headers = {"If-Match": version} if version else {}
        content = None
        if body is not None:
            content = odata.encode(body, self.zone)
            headers["Content-Type"] = "application/json;charset=utf-8"
        answer = self._http.request(
            method,
            odata.address(resource, {**(options or {}), "$format": FORMAT}),
            content=content,
            headers=headers,
            write=True,
            classify=lambda answer: self._write_verdict(subject, answer),
        )
        found = odata.decode(answer.content) if answer.content.strip() else {}
        return found if isinstance(found, dict) else {}

    # ---- what an answer means -----------------------------------------------------------------

    def _read_verdict(self, resource: str, answer: Answer) -> Verdict:
        if answer.status == 200:
            return OK
        fault = odata.read_fault(answer.status, answer.content)
        reason = f"{resource} was not read: {fault.text or f'HTTP {fault.status}'}"
        if fault.code == "20" or (fault.status == 403 and not fault.code):
            remedy = "give its roles the right to read the set, without record-level restriction"
            return Verdict("unauthorized", f"user {self.user}: {reason}", remedy, fault.code)
        if fault.status == 401:
            return self._stranger(reason)
        if fault.code == "8":
            remedy = "publish it (Настройка автоматического REST-сервиса) or correct its name in the profile"
            return Verdict("refused", reason, remedy, fault.code)
        if fault.status == 404 and not fault.from_1c:
            remedy = "check the url of the connection: …/odata/standard.odata/"
            return Verdict("refused", reason, remedy, "404")
        if fault.from_1c and not odata.is_lock_conflict(fault.text):
            return Verdict("refused", f"{reason} (1C code {fault.code})", code=fault.code)
        if fault.from_1c or fault.status >= 500 or fault.status in (408, 429):
            remedy = "if it lasts, look at 1C's licences and sessions and at the web server's log"
            return Verdict("retry", reason, remedy, fault.code)
        return Verdict("refused", reason, code=str(fault.status))

    def _write_verdict(self, subject: str, answer: Answer) -> Verdict:
        if answer.status in (200, 201, 204):
            return OK
        fault = odata.read_fault(answer.status, answer.content)
        reason = f"{subject}: {fault.text or f'HTTP {fault.status}'}"
        if fault.code == "15":
            return Verdict("refused", reason, code="15", error=Exists)
        if fault.status == 412:
            return Verdict("refused", reason, "it changed meanwhile: read it again", "412", error=Conflict)
        right = f"give user {self.user} the right to write it"
        if fault.code == "20":  # of this kind of object: whom 1C does not know at all has no code
            return Verdict("refused", reason, right, "20")
        if fault.status == 403 and not fault.code:
            return Verdict("unauthorized", reason, right)
        if fault.status == 401:
            return self._stranger(reason)
        if fault.from_1c and odata.is_lock_conflict(fault.text):
            return Verdict("retry", reason, "the transaction was rolled back; fewer writers at once", "-1")
        if fault.from_1c:
            closed = odata.is_closed_period(fault.text, self._closed_period)
            return Verdict("refused", reason, code="closed_period" if closed else fault.code)
        if fault.status == 429:
            return Verdict("retry", reason, "fewer writers at once")
        if fault.status >= 500 or fault.status == 408:
            return Verdict("uncertain", reason)
        return Verdict("refused", reason, code=str(fault.status))

    def _stranger(self, reason: str) -> Verdict:
        remedy = "check user and password of the connection, and that the user may log in to 1C itself"
        return Verdict("unauthorized", f"1C does not let user {self.user} in: {reason}", remedy, "401")

    def _endless(self, entity_set: str) -> SourceError:
        return SourceError(f"{self.system}: {entity_set} has no end after {MAX_PAGES} pages; raise `page`")


class _UnsteadyError(Exception):
    """The server cannot page by key, or the rows moved between two pages."""


def _joined(edge: Named, page: list[Named]) -> Named:
    """The last row of a page that begins with the last row of the page before it."""
    if not page or _mark(page[0]) != _mark(edge):
        raise _UnsteadyError
    return page[-1]


def _mark(row: Named) -> str | bytes:
    return row[0] or bytes(row[1])


def _ascending(page: Sequence[Named]) -> bool:
    return page[0][0] != "" and all(left[0] < right[0] for left, right in pairwise(page))


def _unseen(page: Iterable[Named], seen: set[str | bytes]) -> list[Named]:
    fresh = []
    for row in page:
        mark = _mark(row)
        if mark not in seen:
            seen.add(mark)
            fresh.append(row)
    return fresh
