"""The Dataverse Web API of one environment: what its answers mean, pages by their links, many requests in one.

Pages are followed by the vendor's own links, whole and unchanged, with the same Prefer header each time. A link
that comes twice, a page that comes twice and a link to another host are errors, in words. A request inside a
`$batch` that fails is sent once more by itself, so that errors and pauses are those of single requests.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from resources.connector import Conflict, Exists, SourceError, Uncertain
from resources.http import Answer, Client, Verdict, by_status
from resources.http_date import http_date

PAGE: Final = 5000  # rows of one answer; the vendor's most
MAX_PAGES: Final = 200_000  # of one table: a thousand million rows
MOST_COUNTED: Final = 5000  # rows of a table: a count does not go beyond
MOST_IN_BATCH: Final = 1000  # requests of one `$batch`; the vendor's most

HEADERS: Final = {"OData-Version": "4.0", "OData-MaxVersion": "4.0"}
DENIED: Final = (
    "give the security role of the application user the right that the message names, with the access level "
    "Organization (Power Platform admin centre, Environments, Settings, Users + permissions)"
)
UNKNOWN_USER: Final = (
    "make an application user for this client_id in the environment (Power Platform admin centre, Environments, "
    "Settings, Users + permissions, Application users) and give it a security role"
)
_ALREADY_THERE: Final = ("0x80060892", "0x80040237")  # a record with this key, and by a duplicate of it


@dataclass(frozen=True, slots=True)
class Fetched:
    """One page. `next` and `delta` are the vendor's links, "" where there is none; `at` is the vendor's clock, UTC."""

    rows: Sequence[msgspec.Raw]
    next: str = ""
    delta: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request inside a `$batch`; `path` is below the API's address."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """The address of the Web API behind a client, and how it is read. Threads may share it."""

    client: Client
    login: Client  # Entra ID's, where tokens come from
    page: int = PAGE
    parallel: int = 4

    @property
    def system(self) -> str:
        """The name of the connected system."""
        return self.client.system

    def json(self, path: str) -> Any:
        """One JSON answer, numbers with a point as Decimal. Raises SourceError."""
        return self.client.get_json(path)

    def listed(self, path: str) -> list[dict[str, Any]]:
        """The objects of one JSON answer. Raises SourceError."""
        said = self.json(path)
        rows = said.get("value") if isinstance(said, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise SourceError(
                f"{self.system}: {_set(path)} answered without a list; {_NO_PAGE}", retriable=True
            )
        return rows

    def who(self) -> tuple[str, datetime | None]:
        """The user that we are, and the vendor's time, UTC, where it says it. Raises SourceError."""
        answer = self.client.request("GET", "WhoAmI")
        said = answer.json()
        return str(said.get("UserId") or "") if isinstance(said, dict) else "", _clock(answer)

    def fetch(self, path: str, prefer: Sequence[str] = (), size: int = 0) -> Fetched:
        """One page. Raises SourceError, Refused."""
        headers = {"Prefer": ",".join([f"odata.maxpagesize={size or self.page}", *prefer])}
        return self.page_of(path, self.client.request("GET", path, headers=headers))

    def pages(self, path: str, prefer: Sequence[str] = (), size: int = 0) -> Iterator[Fetched]:
        """A page and all that follow it. Raises SourceError, also where they go round in a circle."""
        yield from self.follow(path, self.fetch(path, prefer, size), prefer, size)

    def follow(
        self, path: str, fetched: Fetched, prefer: Sequence[str] = (), size: int = 0
    ) -> Iterator[Fetched]:
        """This page, and those that its link leads to.

        A last page without a row is asked for again: were it an error, all rows after it would count as deleted. Raises
        SourceError where it stays so and the vendor's count does not say that nothing is missing.
        """
        links, before, received, link = {path}, 0, 0, ""
        for number in range(1, MAX_PAGES + 1):
            if link and not (fetched.rows or fetched.next):
                fetched = self.fetch(link, prefer, size)
                if not (fetched.rows or fetched.next):
                    self._see_the_end(path, received, marked=bool(fetched.delta))
            received += len(fetched.rows)
            mark = hash(tuple(bytes(row) for row in fetched.rows))
            if number > 1 and len(fetched.rows) > 1 and mark == before:
                raise self._circle(path, number)
            yield fetched
            if not fetched.next:
                return
            if fetched.next in links:
                raise self._circle(path, number)
            links.add(fetched.next)
            before, link = mark, fetched.next
            fetched = self.fetch(link, prefer, size)
        raise SourceError(
            f"{self.system}: {_set(path)} does not end after {MAX_PAGES} pages; tell the vendor"
        )

    def many(
        self, paths: Sequence[str], prefer: Sequence[str] = (), size: int = 0
    ) -> list[Fetched | SourceError]:
        """The first pages of several lists by one request, each with its own error. Raises SourceError for all."""
        found: list[Fetched | SourceError] = []
        for path, answer in zip(paths, self.answers(paths, prefer, size), strict=True):
            try:
                found.append(answer if isinstance(answer, SourceError) else self.page_of(path, answer))
            except SourceError as error:
                found.append(error)
        return found

    def answers(
        self, paths: Sequence[str], prefer: Sequence[str] = (), size: int = 0
    ) -> list[Answer | SourceError]:
        """The answers to several paths by one request; what fails there is asked once more by itself."""
        headers = {"Prefer": ",".join([f"odata.maxpagesize={size or self.page}", *prefer])}
        found: list[Answer | SourceError] = []
        parts = self.batch([Request("GET", path, headers) for path in paths])
        for path, part in zip(paths, parts, strict=True):
            try:
                good = part is not None and meaning(part).kind == "ok"
                found.append(
                    part if good and part is not None else self.client.request("GET", path, headers=headers)
                )
            except SourceError as error:
                found.append(error)
        return found

    def batch(self, requests: Sequence[Request], *, write: bool = False) -> list[Answer | None]:
        """One `$batch`: the answer to each request, in order; None for what the vendor left out.

        Raises SourceError, and Uncertain with `write`: whether any of it was carried out is not known then.
        """
        if len(requests) > MOST_IN_BATCH:
            raise ValueError(f"{len(requests)} requests in a batch; at most {MOST_IN_BATCH}")
        if not requests:
            return []
        boundary = f"batch_{uuid.uuid4()}"
        answer = self.client.request(
            "POST", "$batch", content=_encoded(requests, boundary, self.client.base_url), write=write, want="any",
            headers={"Content-Type": f"multipart/mixed; boundary={boundary}", "Prefer": "odata.continue-on-error"},
            classify=_batch_meaning,
        )  # fmt: skip
        parts = _decoded(answer)
        return [parts[place] if place < len(parts) else None for place in range(len(requests))]

    def page_of(self, path: str, answer: Answer) -> Fetched:
        """An answer as a page. Raises SourceError where it is none."""
        try:
            body = _read_page(answer.content)
        except msgspec.DecodeError as error:
            raise SourceError(
                f"{self.system}: {_set(path)} answered without a list of rows ({error}); {_NO_PAGE}",
                retriable=True,
            ) from None
        return Fetched(body.value, body.next or "", body.delta or "", _clock(answer))

    def _see_the_end(self, path: str, received: int, *, marked: bool) -> None:
        """Raises SourceError where the vendor counts more rows than these, or nothing but empty pages tells the end.

        It counts up to 5000, and no changes; `marked`: a delta link came with the pages, which stands at the end alone.
        """
        count: int | None = None
        if "token=" not in path:
            entity_set, _, options = path.partition("?")
            where = [option for option in options.split("&") if option.startswith("$filter=")]
            answer = self.client.request("GET", "?".join([f"{entity_set}/$count", *where]), want="any")
            said = answer.content.removeprefix(b"\xef\xbb\xbf").strip()
            count = int(said) if said.isdigit() and int(said) < MOST_COUNTED else None
        if marked if count is None else count <= received:
            return
        counted = "" if count is None else f", and {count} are counted"
        raise SourceError(
            f"{self.system}: the list {_set(path)} broke off after {received} rows with an empty page, twice{counted}; "
            "nothing is deleted on the strength of it, and the next run reads it again",
            retriable=True,
        )

    def _circle(self, path: str, number: int) -> SourceError:
        return SourceError(
            f"{self.system}: page {number} of {_set(path)} leads back to one that was read: its link or its rows "
            "repeat; the read starts over with the next run, and if it stays tell the vendor",
            retriable=True,
        )


def meaning(answer: Answer) -> Verdict:
    """The meaning of an answer of Dataverse: HTTP's, with the error object inside."""
    status = answer.status
    code, message = _error(answer) if status >= 400 or _looks_wrong(answer) else ("", "")
    if status < 300:
        if message:
            return Verdict(
                "uncertain", f"HTTP {status} with an error inside: {message} ({code})", "try again later"
            )
        return by_status(answer)
    if status < 400:
        return by_status(answer)
    reason = f"HTTP {status}: {message} ({code})" if message else f"HTTP {status}: {answer.text}"
    match status:
        case 401:
            remedy = "see that tenant, client_id and scope in the connection are of this environment"
            return Verdict("unauthorized", reason, remedy, code)
        case 403:
            unknown = code.lower() == "0x80072560"
            return Verdict("unauthorized", reason, UNKNOWN_USER if unknown else DENIED, code)
        case 412:
            exists = code.lower() in _ALREADY_THERE
            return Verdict("refused", reason, code=code or "412", error=Exists if exists else Conflict)
        case 429:
            remedy = "the environment's limit for this user (6000 requests and 1200 s of work in 5 minutes); nothing to do unless it stays"
            return Verdict("retry", reason, remedy, code, bucket="")
        case 408 | 500 | 502 | 503 | 504:
            return Verdict(
                "uncertain", reason, "try again later; if it stays, see the environment's health", code
            )
    return Verdict("refused", reason, code=code or str(status))


def failure(what: str, verdict: Verdict, *, write: bool = False) -> SourceError:
    """The error of one request of a `$batch`, as a request of its own would have raised it."""
    message = f"{what}: {verdict.reason}" + (f"; {verdict.remedy}" if verdict.remedy else "")
    if verdict.kind == "refused":
        return verdict.error(message, code=verdict.code)
    if verdict.kind == "uncertain" and write:
        return Uncertain(f"{message}; it is looked up before anything is sent again")
    return SourceError(message, retriable=verdict.kind != "unauthorized")


def query(
    entity_set: str,
    *,
    select: Sequence[str] = (),
    where: str = "",
    order: str = "",
    top: int = 0,
) -> str:
    """A path with its options, spaces and other letters escaped."""
    options = {"$select": ",".join(select), "$filter": where, "$orderby": order, "$top": str(top or "")}
    said = "&".join(f"{name}={quote(value, safe=_PLAIN)}" for name, value in options.items() if value)
    return f"{entity_set}?{said}" if said else entity_set


def utc(moment: datetime) -> str:
    """A time as filters take it: whole seconds, Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ---- Inside ------------------------------------------------------------------------------------

_NO_PAGE: Final = "see that `api` in the connection is the Web API's address, https://<org>.crm<N>.dynamics.com/api/data/v9.2"
_PLAIN: Final = "$,()'=:/@_-."


class _Page(msgspec.Struct, rename={"next": "@odata.nextLink", "delta": "@odata.deltaLink"}):
    value: list[msgspec.Raw]
    next: str | None = None
    delta: str | None = None


class _Error(msgspec.Struct):
    code: str | int | None = ""
    message: str | None = ""


class _Failed(msgspec.Struct):
    error: _Error


_read_page = msgspec.json.Decoder(_Page).decode
_read_error = msgspec.json.Decoder(_Failed).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


def _looks_wrong(answer: Answer) -> bool:
    """An error object in place of rows begins the body; rows of a table begin with their context."""
    return (
        answer.content[:200]
        .lstrip()
        .startswith((b'{"error"', b'{ "error"', b'{\r\n  "error"', b'{\n  "error"'))
    )


def _error(answer: Answer) -> tuple[str, str]:
    try:
        error = _read_error(answer.content).error
    except msgspec.DecodeError:
        return "", ""
    return str(error.code or ""), (error.message or "").strip()


def _clock(answer: Answer) -> datetime | None:
    return http_date(answer.headers.get("date", ""))


def _set(path: str) -> str:
    return path.partition("?")[0].rstrip("/").rpartition("/")[2]


def _encoded(requests: Sequence[Request], boundary: str, base: str) -> bytes:
    parts = []
    for request in requests:
        lines = [
            f"--{boundary}", "Content-Type: application/http", "Content-Transfer-Encoding: binary", "",
            f"{request.method} {request.path if '://' in request.path else base + request.path} HTTP/1.1",
            "Accept: application/json", *(f"{name}: {value}" for name, value in request.headers.items()),
        ]  # fmt: skip
        content = b""
        if request.body is not None:
            lines.append("Content-Type: application/json")
            content = _encode(request.body)
        parts.append("\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def _boundary(answer: Answer) -> bytes:
    kind = answer.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/mixed"):
        return b""
    return kind.partition("boundary=")[2].partition(";")[0].strip().strip('"').encode()


def _batch_meaning(answer: Answer) -> Verdict:
    verdict = meaning(answer)
    if verdict.kind != "ok":
        return verdict
    boundary = _boundary(answer)
    if not boundary:
        return Verdict("uncertain", f"a page came instead of data: «{answer.text}»", "check the address")
    if not answer.content.rstrip().endswith(b"--" + boundary + b"--"):
        return Verdict(
            "uncertain", f"the answer is cut off after {len(answer.content)} bytes", "try again later"
        )
    return verdict


def _decoded(answer: Answer) -> list[Answer]:
    """The answers inside, in order: those of a batch without change sets stand side by side."""
    found = []
    for part in answer.content.split(b"--" + _boundary(answer))[1:-1]:
        _, _, inner = part.replace(b"\r\n", b"\n").partition(b"\n\n")
        head, _, content = inner.lstrip(b"\n").partition(b"\n\n")
        first, *lines = head.decode("utf-8", "replace").split("\n")
        words = first.split(" ", 2)
        if len(words) < 2 or not words[1].isdigit():
            continue
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }
        found.append(Answer(int(words[1]), headers, content.strip().removeprefix(b"\xef\xbb\xbf")))
    return found
