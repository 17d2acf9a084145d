"""One Salesforce org over HTTP: how it answers, its daily allowance, its queries, and several requests in one call.

Facts: the vendor's REST API guide (query, composite, sObject collections, describe, deleted) and its limits cheat
sheet. An error is a list of {message, errorCode}; some come within a 200. There is no limit of rate: an org has so
many calls in any 24 hours, and every answer tells how many were used.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec

from resources.address import elsewhere, place
from resources.budget import Budget
from resources.connector import Refused, SourceError
from resources.http import Answer, Client, Verdict, by_status
from resources.http_date import http_date
from resources.parallel import in_order
from resources.tokens import OAuth, TokenStore

MAX_PAGES: Final = 20_000  # of one query, of 2,000 rows each
MAX_RESTARTS: Final = 3  # of a query whose pages were lost, cut short or repeated
MAX_QUERY: Final = 12_000  # characters of a query in an address; the vendor takes about 16,000 in all
RETRIEVED: Final = 2_000  # records of one call by id
NAMED: Final = 200  # ids in one query
SUBREQUESTS: Final = 25  # of one composite call, of which 5 may be queries
QUERIES: Final = 5
CROWDED: Final = 20.0  # seconds after a refusal for too many long calls at once
ASK_AGAIN: Final = 300.0  # seconds after which a used-up allowance is asked about once more
LAGGING: Final = 64  # calls by which an answer's count may lie behind ours: those under way

Rows = Sequence[msgspec.Raw]

_USAGE: Final = re.compile(r"api-usage=(\d+)/(\d+)")
_ID: Final = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
_LATER: Final = "try again later; if it stays, look at status.salesforce.com for the org's instance"


@dataclass(frozen=True, slots=True)
class Query:
    """A SOQL query of one object, read in the order of ids. `deleted`: with the recycle bin."""

    object: str
    fields: Sequence[str]
    where: str = ""
    deleted: bool = False

    def soql(self, after: str = "", *, ordered: bool = True) -> str:
        """Its text; of rows with higher ids than `after` only."""
        tests = [test for test in (self.where, f"Id > '{after}'" if after else "") if test]
        where = f" WHERE {' AND '.join(tests)}" if tests else ""
        return f"SELECT {','.join(self.fields)} FROM {self.object}{where}" + (
            " ORDER BY Id" if ordered else ""
        )


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object as the org describes it to this user."""

    name: str
    type: str
    updateable: bool = False
    external: bool = False
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Described:
    """What the user may see of an object. Rows of the lists are the vendor's."""

    fields: Mapping[str, Field]
    record_types: Rows
    picklists: Mapping[str, Rows]


class Allowance:
    """A budget that stops at a share of the org's daily calls, as the answers tell them. Thread-safe."""

    def __init__(
        self,
        system: str,
        share: float,
        inner: Budget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.system, self.share, self.inner, self._clock = system, share, inner, clock
        self._lock = threading.Lock()
        self.used = self.most = 0
        self._asked_at = -ASK_AGAIN

    def take(self, cost: float = 1.0, buckets: Sequence[str] = ()) -> float:
        """See Budget.take. Raises SourceError where the share is used up."""
        with self._lock:
            if self.most and self.used + 1 > self.share * self.most:
                if self._clock() - self._asked_at < ASK_AGAIN:
                    raise SourceError(
                        f"{self.system}: {self.used} of the {self.most} calls that the org has in 24 hours are used, "
                        f"and {self.share:.0%} is where we stop; the next run goes on when the oldest are a day past. "
                        "Raise daily_share in the connection, or buy more calls",
                        retriable=True,
                    )
                self._asked_at = self._clock()
            self.used += 1
        return self.inner.take(cost, buckets) if self.inner is not None else 0.0

    def block(self, seconds: float, bucket: str = "") -> None:
        """See Budget.block."""
        if self.inner is not None:
            self.inner.block(seconds, bucket)

    def heard(self, headers: Mapping[str, str]) -> None:
        """Take what an answer tells. It may lag behind the calls under way, and falls as old calls leave the day."""
        if match := _USAGE.search(headers.get("sforce-limit-info", "")):
            used, most = int(match[1]), int(match[2])
            with self._lock:
                lags = self.used - LAGGING <= used <= self.used
                self.used, self.most = (self.used if lags and self.most == most else used), most
                if self.used + 1 > self.share * self.most:
                    self._asked_at = self._clock()


class Org:
    """One org. Safe to use from several threads, as its client is."""

    def __init__(
        self, client: Client, auth: OAuth, tokens: TokenStore, version: str, parallel: int, page: int
    ) -> None:
        self.system, self.client, self.auth, self.tokens = client.system, client, auth, tokens
        self.root, self.parallel, self.page = f"services/data/v{version}/", parallel, page
        self._aimed = ""

    def request(self, method: str, path: str, **options: Any) -> Answer:
        """One call; `path` below the version's root, or a whole address. Raises as Client.request."""
        self._aim()
        whole = path if urlsplit(path).netloc else self.root + path
        return self.client.request(method, whole, **options)

    def organization(self) -> str:
        """The org's id, as its last token told it; "" where none is known. Sends nothing."""
        known = self.tokens.read()
        return known.extra.get("organization", "") if known else ""

    def user(self) -> str:
        """The id of the user whom the token stands for; "" where it does not tell."""
        return self.auth.token().extra.get("user", "")

    def _aim(self) -> None:
        """Go where the token says that the org is: an org may be moved."""
        address = self.auth.token().extra.get("instance_url", "").rstrip("/")
        if not address or address == self._aimed:
            return
        there = place(address)
        if not there.startswith("https:") and there != place(self.client.base_url):
            raise SourceError(
                f"{self.system}: the token is for {there}, which is not https; correct token_url"
            )
        self.client.base_url = address + "/"
        self._aimed = address

    # ---- Queries ------------------------------------------------------------------------------

    def pages(self, query: Query) -> Iterator[list[msgspec.Raw]]:
        """Its rows, 2,000 a call. A query whose pages get lost begins anew after the last row that came.

        Raises SourceError: also for pages that repeat, end too early, or are said to be on another host.
        """
        whole = query
        long = len(quote(query.soql())) > MAX_QUERY
        if long:  # the rest of the fields by id: a body has no such bound
            heads = ("Id", "IsDeleted", "MasterRecordId", "SystemModstamp")
            whole = Query(query.object, [f for f in query.fields if f in heads], query.where, query.deleted)
        after = ""
        for attempt in count(1):
            try:
                for rows in self._chain(whole, after):
                    if rows:
                        after = row_id(rows[-1])
                        yield self._filled(query, rows) if long else rows
                return
            except _BrokenChainError as broken:
                if attempt > MAX_RESTARTS:
                    raise SourceError(f"{self.system}: {broken}; {_LATER}", retriable=True) from None
                after = "" if broken.anew else after

    def rows(self, query: Query) -> list[msgspec.Raw]:
        """All rows of a short one."""
        return [row for rows in self.pages(query) for row in rows]

    def retrieve(
        self, sobject: str, ids: Sequence[str], fields: Sequence[str]
    ) -> Iterator[list[msgspec.Raw]]:
        """The living ones of these records, 2,000 a call; ids that are none are passed over."""
        sound = [key for key in dict.fromkeys(ids) if _ID.fullmatch(key)]
        parts = [sound[start : start + RETRIEVED] for start in range(0, len(sound), RETRIEVED)]

        def one(part: list[str]) -> list[msgspec.Raw]:
            path = f"composite/sobjects/{sobject}"
            answer = self.request("POST", path, json={"ids": part, "fields": list(fields)})
            return [row for row in self.opened(answer, list[msgspec.Raw], path) if bytes(row) != b"null"]

        yield from in_order(one, parts, self.parallel, f"{self.system}-ids")

    def by_ids(
        self, query: Query, field: str, ids: Sequence[str]
    ) -> Iterator[tuple[Sequence[str], list[msgspec.Raw]]]:
        """Rows whose `field` is one of the ids, with the ids that they are all of; 200 ids a query."""
        sound = [key for key in dict.fromkeys(ids) if _ID.fullmatch(key)]
        parts = [sound[start : start + NAMED] for start in range(0, len(sound), NAMED)]

        def one(part: list[str]) -> tuple[list[str], list[msgspec.Raw]]:
            tests = [query.where] if query.where else []
            listed = ",".join(f"'{key}'" for key in part)
            tests.append(f"{field} IN ({listed})")
            return part, self.rows(Query(query.object, query.fields, " AND ".join(tests), query.deleted))

        yield from in_order(one, parts, self.parallel, f"{self.system}-ids")

    def _filled(self, query: Query, rows: list[msgspec.Raw]) -> list[msgspec.Raw]:
        """Rows with all fields; a deleted one, which cannot be had by id, as its head.

        One that was deleted since it was listed is left out: its head would pass for a record without values.
        """
        found = {
            row_id(row): row
            for part in self.retrieve(query.object, [row_id(row) for row in rows], query.fields)
            for row in part
        }
        whole = [found.get(row_id(row), row) for row in rows]
        return [
            row for row in whole if row_id(row) in found or msgspec.json.decode(row, type=_Gone).IsDeleted
        ]

    def _chain(self, query: Query, after: str) -> Iterator[list[msgspec.Raw]]:
        path, params = "queryAll" if query.deleted else "query", {"q": query.soql(after)}
        headers = {"Sforce-Query-Options": f"batchSize={self.page}"}
        met: set[str] = set()
        first, received, link = b"", 0, ""
        for _ in range(MAX_PAGES):
            try:
                answer = self.request("GET", link or path, params=None if link else params, headers=headers)
            except Refused as error:
                if error.code in ("INVALID_QUERY_LOCATOR", "QUERY_TIMEOUT"):
                    raise _BrokenChainError(str(error)) from None
                raise
            got = self.opened(answer, _Page, path)
            if not _answers(query, got.records):
                raise _BrokenChainError(f"a page of {query.object} is the answer to another question")
            if got.records and bytes(got.records[0]) == first:
                raise _BrokenChainError(f"a page of {query.object} repeats the one before")
            first = bytes(got.records[0]) if got.records else first
            received += len(got.records)
            if got.done and received != got.totalSize:
                said = f"the query of {query.object} promised {got.totalSize} rows and gave {received}"
                raise _BrokenChainError(said, anew=True)
            yield got.records
            if got.done:
                return
            link = self._next(query, got.nextRecordsUrl or "", met)
        raise SourceError(f"{self.system}: the query of {query.object} does not end within {MAX_PAGES} pages")

    def _next(self, query: Query, link: str, met: set[str]) -> str:
        """The address of the next page, once each."""
        if not link or link in met:
            what = "leads back to one that was read" if link else "names no next page and says there is one"
            raise _BrokenChainError(f"a page of {query.object} {what}")
        met.add(link)
        if there := elsewhere(link, self.client.base_url):
            raise SourceError(
                f"{self.system}: the next page of {query.object} is said to be at another host ({there}) than the org's "
                f"({place(self.client.base_url)}), and is not asked for there; put the org's present address into "
                "instance_url"
            )
        return link if urlsplit(link).netloc else link.removeprefix("/").removeprefix(self.root)

    # ---- Several requests in one call ---------------------------------------------------------

    def composite(self, paths: Sequence[str]) -> list[Sub]:
        """Each request's own answer, in order; five queries, or 25 others, are one call."""
        most = QUERIES if any(path.startswith("query") for path in paths) else SUBREQUESTS
        parts = [paths[start : start + most] for start in range(0, len(paths), most)]
        answers = in_order(self._together, parts, self.parallel, f"{self.system}-part")
        return [sub for part in answers for sub in part]

    def _together(self, paths: Sequence[str]) -> list[Sub]:
        asked = [
            {"method": "GET", "url": f"/{self.root}{path}", "referenceId": f"r{place}"}
            for place, path in enumerate(paths)
        ]
        answer = self.request("POST", "composite", json={"allOrNone": False, "compositeRequest": asked})
        subs = self.opened(answer, _Composite, "composite").compositeResponse
        by_name = {sub.referenceId: sub for sub in subs}
        if by_name.keys() != {part["referenceId"] for part in asked}:
            raise SourceError(
                f"{self.system}: the answer of composite leaves out requests; {_LATER}", retriable=True
            )
        return [by_name[part["referenceId"]] for part in asked]

    def queries(self, texts: Sequence[str], *, deleted: bool = False) -> list[_Page]:
        """The first pages of these queries. Raises SourceError where one is refused."""
        verb = "queryAll" if deleted else "query"
        subs = self.composite([f"{verb}?q={quote(text)}" for text in texts])
        return [self.accepted(sub, _Page, verb) for sub in subs]

    def describe(self, objects: Sequence[str]) -> dict[str, Described | None]:
        """What these objects have for this user; None for one that it does not see."""
        subs = self.composite([f"sobjects/{name}/describe" for name in objects])
        found: dict[str, Described | None] = {}
        for name, sub in zip(objects, subs, strict=True):
            found[name] = None
            if sub.httpStatusCode not in (403, 404):
                found[name] = _described(self.accepted(sub, _Description, f"{name}/describe"))
        return found

    def accepted(self, sub: Sub, kind: type[Any], what: str) -> Any:
        """The body of one request of several. Raises as one of its own would."""
        answer = Answer(sub.httpStatusCode, {}, bytes(sub.body))
        verdict = classify(answer)
        if verdict.kind == "ok":
            return self.opened(answer, kind, what)
        reason = f"{self.system}: {what}: {verdict.reason}; {verdict.remedy or _LATER}"
        if verdict.kind == "refused":
            raise Refused(reason, code=verdict.code)
        raise SourceError(reason, retriable=verdict.kind != "unauthorized")

    def opened(self, answer: Answer, kind: type[Any], what: str) -> Any:
        """A body of the form that is expected. Raises SourceError for any other."""
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.DecodeError:
            raise SourceError(
                f"{self.system}: the answer of {what} is not of the form that the vendor documents: «{answer.text}»; "
                "check instance_url and api_version in the connection",
                retriable=True,
            ) from None


class Judge:
    """The client's `classify`: takes the allowance and the clock that an answer tells, then says what it means."""

    def __init__(self, system: str, allowance: Allowance) -> None:
        self._system, self.allowance = system, allowance
        self.there: datetime | None = None  # the org's clock at the last answer, UTC

    def __call__(self, answer: Answer) -> Verdict:
        """The verdict. Raises SourceError where the org's calls of the day are used up."""
        self.allowance.heard(answer.headers)
        self.there = http_date(answer.headers.get("date", "")) or self.there
        verdict = classify(answer)
        if verdict.code == "REQUEST_LIMIT_EXCEEDED" and verdict.kind == "refused":
            raise SourceError(
                f"{self._system}: {verdict.reason}; the org's calls of 24 hours are used up: the next run goes on when "
                "the oldest are a day past. Lower daily_share in the connection if others need calls, or buy more",
                retriable=True,
            )
        return verdict


def classify(answer: Answer) -> Verdict:
    """What an answer means: by the vendor's code where it tells one, even within a 200."""
    told = errors_of(answer)
    if not told:
        if answer.status in (406, 420):
            return Verdict("uncertain", f"HTTP {answer.status}: {answer.text}", _LATER)
        return by_status(answer)
    code, words = told[0]
    reason = f"{code}: {words}" if code else words
    if answer.status >= 500 or code in ("SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION"):
        return Verdict("uncertain", reason, _LATER, code=code)
    if code == "REQUEST_LIMIT_EXCEEDED":
        if "concurrent" in words.lower():
            return Verdict(
                "retry", reason, "lower parallel in the connection", code=code, after=CROWDED, bucket=""
            )
        return Verdict("refused", reason, code=code)
    if code == "UNABLE_TO_LOCK_ROW" or answer.status == 429:
        return Verdict("retry", reason, "others change the same records; try again later", code=code)
    if code == "INVALID_SESSION_ID" or answer.status == 401:
        remedy = "the session ended and a new one is refused too: see that the connected app and its user are active"
        return Verdict("unauthorized", reason, remedy, code=code)
    if answer.status == 403 or code.startswith("INSUFFICIENT_ACCESS"):
        remedy = "give the integration's user a permission set with API Enabled and View All Data"
        return Verdict("unauthorized", reason, remedy, code=code)
    if code in ("INVALID_FIELD", "INVALID_TYPE"):
        remedy = "it was renamed or deleted, or the user may not see it; see it in Setup, Object Manager"
        return Verdict("refused", reason, remedy, code=code)
    return Verdict("refused", reason, code=code or str(answer.status))


def errors_of(answer: Answer) -> list[tuple[str, str]]:
    """Codes and words of the errors that an answer tells; [] where it tells none."""
    if not answer.is_json or (answer.status < 300 and b'"errorCode"' not in answer.content[:4000]):
        return []
    try:
        said = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        return []
    said = [said] if isinstance(said, dict) else said
    return [
        (str(error.get("errorCode") or error.get("error") or ""),
         " ".join(str(error.get("message") or error.get("error_description") or "").split()))
        for error in said
        if isinstance(error, dict) and ("errorCode" in error or "error" in error)
    ]  # fmt: skip


def _answers(query: Query, rows: Rows) -> bool:
    """Whether rows are of the object, with the fields, that were asked for; a cache may give another query's."""
    if not rows:
        return True
    try:
        names = msgspec.json.decode(rows[0], type=dict[str, msgspec.Raw])
        kind = msgspec.json.decode(names.get("attributes", b"{}"), type=_Kind).type
    except msgspec.DecodeError:
        return False
    return kind in (None, query.object) and {name.partition(".")[0] for name in query.fields} <= names.keys()


def row_id(row: msgspec.Raw) -> str:
    """The id of a row of the vendor's."""
    return msgspec.json.decode(row, type=_Head).Id


class Sub(msgspec.Struct):
    """One answer of a composite call."""

    referenceId: str
    httpStatusCode: int
    body: msgspec.Raw = msgspec.Raw(b"null")


class _BrokenChainError(Exception):
    """The pages of a query cannot be followed any further. `anew`: what came of it may lack rows."""

    def __init__(self, words: str, *, anew: bool = False) -> None:
        super().__init__(words)
        self.anew = anew


class _Head(msgspec.Struct):
    Id: str


class _Kind(msgspec.Struct):
    type: str | None = None


class _Gone(msgspec.Struct):
    IsDeleted: bool = False


class _Page(msgspec.Struct):
    totalSize: int
    done: bool
    records: list[msgspec.Raw]
    nextRecordsUrl: str | None = None


class _Composite(msgspec.Struct):
    compositeResponse: list[Sub]


class _Field(msgspec.Struct):
    name: str
    type: str
    updateable: bool = False
    externalId: bool = False
    unique: bool = False
    picklistValues: list[msgspec.Raw] = []


class _Description(msgspec.Struct):
    fields: list[_Field]
    recordTypeInfos: list[msgspec.Raw] = []


def _described(said: _Description) -> Described:
    return Described(
        {f.name: Field(f.name, f.type, f.updateable, f.externalId, f.unique) for f in said.fields},
        said.recordTypeInfos,
        {f.name: f.picklistValues for f in said.fields if f.picklistValues},
    )
