"""One amoCRM account over HTTP: how it answers, its pages, and the fields that it has of its own.

Facts: the vendor's documentation of API v4 (leads, events, catalogs, limits) and its public PHP client.
A list is asked for by page number; it tells neither its length nor, while rows are deleted, the same rows
under the same number. What follows from that is in `lists`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from resources.address import elsewhere, place
from resources.connector import SourceError
from resources.http import OK, Answer, Client, Verdict, by_status, retry_after
from resources.http_date import http_date
from resources.parallel import in_order

API: Final = "api/v4/"
PAGE: Final = 250  # rows of a page, the vendor's greatest; of events 100
MAX_PAGES: Final = 100_000  # of one list
PAGE_ATTEMPTS: Final = 3  # of a page that repeats another, or is empty in the middle
PAUSE: Final = 2.0  # seconds after a refusal for the rate that names none; the vendor asks for one at least
BLOCKED_WITHIN: Final = 600.0  # seconds after such a refusal in which 403 may mean a blocked address
BLOCKED_FOR: Final = 60.0  # seconds that nothing is sent then

Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Listing:
    """A list: its path below the API, the name of its rows under `_embedded`, its parameters."""

    path: str
    name: str
    params: Params = field(default_factory=dict)
    most: int = PAGE  # rows of a page that the vendor gives at most

    def asked(self, params: Params) -> Listing:
        """The same with these parameters besides."""
        return Listing(self.path, self.name, {**self.params, **params}, self.most)


@dataclass(frozen=True, slots=True)
class Got:
    """A page: its rows, whether the list goes on, and when it was made, UTC by the account's clock."""

    number: int
    rows: Sequence[msgspec.Raw]
    more: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class CustomField:
    """A field that this account has of its own. `code` is empty for most that people made."""

    id: str
    code: str
    name: str
    type: str


class Account:
    """One account. Safe to use from several threads, as its client is."""

    def __init__(self, client: Client, parallel: int, size: int = PAGE) -> None:
        self.system, self.client, self.parallel, self.size = client.system, client, parallel, size

    def close(self) -> None:
        """End the connections."""
        self.client.close()

    def settings(self) -> tuple[dict[str, Any], datetime]:
        """The account itself, and the time by its clock, UTC."""
        answer = self.client.request(
            "GET", API + "account", params={"with": "is_api_filter_enabled,datetime_settings"}
        )
        return msgspec.json.decode(answer.content, type=dict[str, Any]), _made_at(answer)

    def one(self, path: str, params: Params | None = None) -> msgspec.Raw | None:
        """One object by its address; None where there is none."""
        answer = self.client.request(
            "GET",
            API + path,
            params=params,
            classify=lambda a: OK if a.status == 404 else self.client.classify(a),
        )
        return msgspec.Raw(answer.content.strip()) if answer.status == 200 else None

    def pages(self, listing: Listing) -> Iterator[Got]:
        """Every page in the order of their numbers, several under way at once after the first.

        Raises SourceError where a page repeats the one before, or is empty in the middle, for good.
        """
        before = self.page(listing, 1)
        yield before
        if not before.more:
            return
        for got in in_order(
            lambda number: self.page(listing, number), _numbers(), self.parallel, f"{self.system}-page"
        ):
            if not got.rows:
                got = self._empty_again(listing, got.number)
            elif bytes(got.rows[0]) == bytes(before.rows[0]):
                got = self._repeated(listing, before, got.number)
            yield got
            if not got.more:
                return
            before = got
        raise SourceError(f"{self.system}: the list {listing.path} does not end within {MAX_PAGES} pages")

    def all_rows(self, listing: Listing) -> list[msgspec.Raw]:
        """All rows of a short list."""
        return [row for got in self.pages(listing) for row in got.rows]

    def page(self, listing: Listing, number: int) -> Got:
        """One page; past the end it is empty.

        Raises SourceError where the account answers with another page than the one asked for, or leads on to
        another host.
        """
        params = {**listing.params, "page": number, "limit": min(listing.most, self.size)}
        told = 0
        for _ in range(PAGE_ATTEMPTS):
            answer = self.client.request("GET", API + listing.path, params=params)
            if answer.status == 204 or not answer.content.strip():
                return Got(number, [], False, _made_at(answer))
            envelope, rows = self._opened(listing, answer)
            told = envelope.page or number
            if told == number and _answers(envelope, params):
                more = self._leads_on(envelope)
                return Got(number, rows, more and bool(rows), _made_at(answer))
        came = f"page {told}" if told != number else "one that answers another question"
        raise SourceError(
            f"{self.system}: page {number} of {listing.path} was asked for, and {came} came, "
            f"{PAGE_ATTEMPTS} times; try again later",
            retriable=True,
        )

    def custom_fields(self, path: str) -> list[CustomField]:
        """The fields that the account has of its own for `leads`, `companies`, `contacts`, `catalogs/<id>`."""
        rows = self.all_rows(Listing(f"{path}/custom_fields", "custom_fields"))
        heads = [msgspec.json.decode(row, type=_Field) for row in rows]
        return [CustomField(str(head.id), head.code or "", head.name, head.type) for head in heads]

    def catalogs(self) -> dict[str, list[int]]:
        """The numbers of the account's lists by their kind: `products`, `invoices`, `regular` ..."""
        found: dict[str, list[int]] = {}
        for row in self.all_rows(Listing("catalogs", "catalogs")):
            head = msgspec.json.decode(row, type=_Catalog)
            found.setdefault(head.type, []).append(head.id)
        return found

    def _opened(self, listing: Listing, answer: Answer) -> tuple[_Envelope, list[msgspec.Raw]]:
        try:
            envelope = _reading(listing.name)(answer.content)
        except msgspec.DecodeError:
            try:
                envelope = _without_rows(answer.content)
            except msgspec.DecodeError:
                envelope = _Envelope()
            if envelope.embedded != []:  # what PHP makes of an object without keys
                raise SourceError(
                    f"{self.system}: the answer of {listing.path} is no list of {listing.name}: «{answer.text}»; "
                    "check base_url in the connection, and try again later",
                    retriable=True,
                ) from None
            return envelope, []
        return envelope, envelope.embedded.rows

    def _leads_on(self, envelope: _Envelope) -> bool:
        address = envelope.links.next.href if envelope.links and envelope.links.next else ""
        here = self.client.base_url
        if there := elsewhere(address, here, any_scheme=True):
            raise SourceError(
                f"{self.system}: the next page is said to be at another host ({there}) than the connection's "
                f"({place(here)}), and is not asked for there; put the account's present address into base_url"
            )
        return bool(address)

    def _empty_again(self, listing: Listing, number: int) -> Got:
        """The page as it is when asked for again: nothing in the middle of a list is no proof of its end."""
        got = self.page(listing, number)
        if not got.rows and self.page(listing, number + 1).rows:
            got = self.page(listing, number)
            if not got.rows:
                raise SourceError(
                    f"{self.system}: page {number} of {listing.path} comes empty, and the next one does not; "
                    "try again later",
                    retriable=True,
                )
        return got

    def _repeated(self, listing: Listing, before: Got, number: int) -> Got:
        for _ in range(PAGE_ATTEMPTS):
            got = self.page(listing, number)
            if not got.rows or bytes(got.rows[0]) != bytes(before.rows[0]):
                return got
        raise SourceError(
            f"{self.system}: page {number} of {listing.path} repeats page {number - 1}; try again later",
            retriable=True,
        )


class Judge:
    """What an answer means, with the memory that a 403 after refusals for the rate needs. Thread-safe."""

    def __init__(self, block: Callable[[float], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._block, self._clock = block, clock
        self._limited_at = -BLOCKED_WITHIN

    def __call__(self, answer: Answer) -> Verdict:
        """The verdict. An error that is told within a 200 counts by the status that it names."""
        problem = _problem(answer)
        status = int(problem.get("status") or answer.status) if problem else answer.status
        if status < 400:
            if answer.status == 200 and not answer.content.strip():
                return Verdict("uncertain", "an empty answer", "try again later")
            return by_status(answer)
        reason = f"HTTP {status}: {_words(problem) or answer.text}"
        if number := answer.headers.get("x-request-id"):
            reason += f" (request {number})"
        if status == 429:
            self._limited_at = self._clock()
            after = retry_after(answer.headers)
            remedy = "the vendor's limit of requests; lower rate_per_second if others share the account"
            return Verdict("retry", reason, remedy, after=PAUSE if after is None else after, bucket="")
        if status == 401:
            return Verdict(
                "unauthorized", reason,
                "the token ended or was taken back: see that the integration is still installed, and put a new "
                "long_lived_token or refresh_token into the connection",
            )  # fmt: skip
        if status == 402:
            return Verdict("unauthorized", reason, "the account is not paid for; the token stays good")
        if status == 403:
            return self._forbidden(reason)
        if status >= 500 or status == 408:
            return Verdict(
                "uncertain", reason, "try again later; if it stays, name the request to the vendor"
            )
        return Verdict("refused", reason, "", code=_code(problem) or str(status))

    def _forbidden(self, reason: str) -> Verdict:
        if self._clock() - self._limited_at < BLOCKED_WITHIN:
            self._block(BLOCKED_FOR)
            return Verdict(
                "unauthorized", reason,
                "it came after refusals for too many requests: the address or the account is blocked; let it "
                "rest, and ask the vendor's support if it stays",
            )  # fmt: skip
        return Verdict(
            "unauthorized", reason,
            "the user who let the integration in lacks the right to this; an administrator should do it",
        )  # fmt: skip


class _Link(msgspec.Struct):
    href: str = ""


class _Links(msgspec.Struct, rename={"own": "self"}):
    next: _Link | None = None
    own: _Link | None = None


class _Envelope(msgspec.Struct, rename={"page": "_page", "links": "_links", "embedded": "_embedded"}):
    page: int | None = None
    links: _Links | None = None
    embedded: Any = None


class _Field(msgspec.Struct):
    id: int
    name: str = ""
    code: str | None = None
    type: str = ""


class _Catalog(msgspec.Struct):
    id: int
    type: str = "regular"


@cache
def _reading(name: str) -> Callable[[bytes], Any]:
    """A function from a page to its envelope, whose rows of this name stay as they came."""
    rows = msgspec.defstruct("Embedded", [("rows", list[msgspec.Raw])], rename={"rows": name})
    page = msgspec.defstruct(
        "Page", [("embedded", rows)], bases=(_Envelope,), rename={"embedded": "_embedded"}, kw_only=True
    )
    return msgspec.json.Decoder(page).decode


_without_rows: Final = msgspec.json.Decoder(_Envelope).decode


def _answers(envelope: _Envelope, params: Params) -> bool:
    """Whether a page was made for these parameters: its own address names no filter, and no bin, but those asked for.

    A cache may give the page before; where the address tells of no parameters, nothing is known.
    """
    own = envelope.links.own if envelope.links else None
    told = parse_qsl(own.href.partition("#")[0].partition("?")[2]) if own else []
    filters = {name.partition("]")[0] for name, _ in told if name.startswith("filter[")}
    binned = any(name == "with" and "only_deleted" in value for name, value in told)
    asked = {name.partition("]")[0] for name in params}
    return filters <= asked and (not binned or "only_deleted" in str(params.get("with", "")))


def _numbers() -> Iterator[int]:
    for number in count(2):
        if number > MAX_PAGES:
            return
        yield number


def _made_at(answer: Answer) -> datetime:
    return http_date(answer.headers.get("date", "")) or datetime.now(UTC)


def _problem(answer: Answer) -> dict[str, Any]:
    """The error that an answer tells, by its status or within a 200; {} where it tells none."""
    if not answer.content or not answer.is_json or len(answer.content) > 100_000:
        return {}
    try:
        said = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        return {}
    if not isinstance(said, dict) or (answer.status < 400 and ("_embedded" in said or "title" not in said)):
        return {}
    if answer.status < 400 and not (isinstance(said.get("status"), int) and said["status"] >= 400):
        return {}
    return said if isinstance(said.get("status", 0), int) else {**said, "status": answer.status}


def _words(problem: Mapping[str, Any]) -> str:
    """What an error says: its title and detail, and the first mistakes of a validation."""
    said = [str(problem[name]) for name in ("title", "detail") if problem.get(name)]
    for row in problem.get("validation-errors") or ():
        said += [
            f"{e.get('path', '')}: {e.get('detail', '')} {e.get('code', '')}" for e in row.get("errors", ())
        ]
    said += [f"{key}: {text}" for key, text in _by_id(problem).items()]
    return "; ".join(said[:6]) or str(problem.get("error") or "")


def _code(problem: Mapping[str, Any]) -> str:
    for row in problem.get("validation-errors") or ():
        for error in row.get("errors", ()):
            return str(error.get("code", ""))
    return ""


def _by_id(problem: Mapping[str, Any]) -> dict[str, str]:
    errors = problem.get("errors")
    return {str(key): str(text) for key, text in errors.items()} if isinstance(errors, dict) else {}
