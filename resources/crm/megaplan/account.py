"""One account of Megaplan over HTTP: what an answer means, pages of a list, records by link, several calls in one.

Parameters of a GET are one JSON object in place of a query string. An answer is `{"meta": ..., "data": ...}`; a
failure may come as HTTP 200 with another status in `meta`, so both are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import msgspec

from resources.connector import Refused, SourceError, Uncertain
from resources.crm.megaplan.entities import Listing
from resources.crm.megaplan.rows import Stamped, heads
from resources.http import Answer, Client, Verdict, by_status, retry_after

API: Final = "api/v3/"
PAGE: Final = 500  # rows asked for
DEFAULT_PAGE: Final = 100  # rows where no number is asked for, as documented; the greatest number is not
MAX_PAGES: Final = 1_000_000  # of one list
ANCHORS: Final = (
    50  # rows of a page that are tried as anchors, from its end, where they were deleted meanwhile
)
LINKS: Final = 100  # records asked for by link in one request
CALLS: Final = 50  # calls in one request
PAUSE: Final = 60.0  # seconds after a refusal for the rate that names none

Raws = list[msgspec.Raw]


class _Pagination(msgspec.Struct):
    count: int | None = None
    limit: int | None = None


class _Meta(msgspec.Struct):
    status: int | str | None = None
    errors: msgspec.Raw = msgspec.Raw(b"[]")
    pagination: _Pagination | None = None


class Envelope(msgspec.Struct):
    """An answer, or one of the answers of a batch."""

    meta: _Meta | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def status(self) -> int:
        """What the vendor says it is; 0 where it says nothing."""
        said = str(self.meta.status) if self.meta is not None else ""
        return int(said) if said.isdigit() else 0

    @property
    def words(self) -> str:
        """The vendor's own words of what is wrong: `field: message; ...`."""
        return _words(self.meta.errors) if self.meta is not None else ""


class _OnlyMeta(msgspec.Struct):
    meta: _Meta | None = None


_only_meta = msgspec.json.Decoder(_OnlyMeta).decode
_envelope = msgspec.json.Decoder(Envelope).decode
_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


def _words(errors: msgspec.Raw) -> str:
    try:
        said = msgspec.json.decode(errors)
    except msgspec.DecodeError:
        return ""
    texts = []
    for one in said if isinstance(said, list) else [said]:
        if isinstance(one, dict):
            place = f"{one['field']}: " if one.get("field") else ""
            texts.append(f"{place}{one.get('message') or one.get('type') or one}")
        elif one:
            texts.append(str(one))
    return "; ".join(texts)


def judge(answer: Answer) -> Verdict:
    """The meaning of an answer by HTTP and by the status in its `meta`, whichever is worse."""
    meta = None
    if answer.is_json:
        try:
            meta = _only_meta(answer.content).meta
        except msgspec.DecodeError:
            return by_status(answer)  # cut off: `Client` says so
    said = str(meta.status) if meta is not None else ""
    status = int(said) if said.isdigit() and answer.status == 200 else answer.status
    if status == 200:
        if answer.is_json and not said.isdigit():
            return Verdict("uncertain", "the answer is not one of Megaplan's: it has no meta.status")
        return by_status(answer)
    words = (_words(meta.errors) if meta is not None else "") or answer.text
    within = " within HTTP 200" if answer.status == 200 else ""
    reason = f"status {status}{within}: {words}" if words else f"status {status}{within}"
    if status == 429:
        after = retry_after(answer.headers)
        return Verdict("retry", reason, "the account's limit of requests; nothing to do unless it stays",
                       after=PAUSE if after is None else after, bucket="")  # fmt: skip
    if status == 401:
        return Verdict(
            "unauthorized", reason, "check username and password, or application_token, in the connection"
        )
    if status == 403:
        return Verdict(
            "unauthorized",
            reason,
            "give this user the right to it in Megaplan, or connect as an administrator",
        )
    if status >= 500 or status == 408:
        return Verdict("uncertain", reason, "try again later; if it stays, ask Megaplan's support")
    return Verdict("refused", reason, code=str(status))


@dataclass(frozen=True, slots=True)
class Got:
    """One page: its rows, their keys and stamps, and whether another may follow."""

    rows: Raws
    heads: list[Stamped | None]
    more: bool
    again: bool = False  # it began before the end of the page before: a row there was deleted meanwhile


@dataclass
class Account:
    """The connection to one account. Threads may share it."""

    client: Client
    size: int = PAGE
    _paths: dict[str, str] = field(default_factory=dict)  # of lists that are elsewhere in this account
    # By entity the rows of the largest page of its list so far. As many as that, and as many as the vendor's own number,
    # may have been cut at a limit that is not told and is each list's own, so that only a smaller page is a list's last.
    _largest: dict[str, int] = field(default_factory=dict)

    @property
    def system(self) -> str:
        return self.client.system

    # ---- Calls ------------------------------------------------------------------------------------

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Envelope:
        """GET with its parameters. Raises as `Client.request`; Refused bears the status as its `code`."""
        return self._decoded(self.client.request("GET", API + address(path, query)))

    def post(self, path: str, body: Any, *, write: bool = False) -> Envelope:
        """POST of JSON. `write` says that sending twice could do something twice."""
        answer = self.client.request(
            "POST",
            API + path,
            content=_encode(body),
            headers={"Content-Type": "application/json"},
            write=write,
        )
        return self._decoded(answer)

    def bulk(self, calls: Sequence[tuple[str, str, Any]], *, write: bool = False) -> list[Envelope]:
        """Several calls (method, path, body or None) in one request, each with its own answer, in their order.

        Raises Uncertain or SourceError where the answer holds another number of them.
        """
        asked = [
            {
                "contentType": "ApiCall",
                "method": method,
                "url": f"/{API}{path}",
                **({} if body is None else {"body": _encode(body).decode()}),
            }
            for method, path, body in calls
        ]
        said = self.post("bulk", {"contentType": "BulkApiCall", "calls": asked}, write=write)
        try:
            answers = msgspec.json.decode(said.data, type=list[Envelope])
        except msgspec.DecodeError:
            answers = []
        if len(answers) != len(calls):
            message = f"{self.system}: bulk answered {len(answers)} of {len(calls)} calls"
            raise Uncertain(message) if write else SourceError(f"{message}; try again later", retriable=True)
        return answers

    def by_links(self, kind: str, keys: Sequence[str]) -> Raws:
        """Records of a type by their ids, whole; those that are absent or hidden are missing, the order is any."""
        links = [{"contentType": kind, "id": key} for key in keys]
        return self.rows_in(self.post("bulk/getEntitiesByLinks", links))

    # ---- Lists ------------------------------------------------------------------------------------

    def path(self, listing: Listing) -> str:
        """Where the list is in this account."""
        return self._paths.get(listing.entity, listing.path)

    def page(self, listing: Listing, query: Mapping[str, Any], anchor: Stamped | None = None) -> Got:
        """One page of a list, after the row `anchor`. A list that is not there is looked for at its other addresses.

        Raises as `get`, and SourceError where rows are missing of those that the page announces.
        """
        asked = {"limit": self.size, **query}
        if anchor is not None:
            asked["pageAfter"] = {"contentType": anchor.type or listing.types[0], "id": str(anchor.id)}
        while True:
            try:
                said = self.get(self.path(listing), asked)
                break
            except Refused as error:
                ways = [listing.path, *listing.paths]
                following = ways[ways.index(self.path(listing)) + 1 :]
                if error.code not in ("404", "405") or anchor is not None or not following:
                    raise
                self._paths[listing.entity] = following[0]
        rows = self.rows_in(said)
        paging = said.meta.pagination if said.meta is not None else None
        limit = int(asked["limit"])
        if paging is not None and paging.limit and paging.limit < limit:
            limit = paging.limit
        if paging is not None and paging.count is not None and len(rows) < paging.count <= limit:
            raise SourceError(
                f"{self.system}: a page of {listing.path} announces {paging.count} rows and holds {len(rows)}: it is cut; "
                "try again later",
                retriable=True,
            )
        largest = self._largest.get(listing.entity, DEFAULT_PAGE)
        self._largest[listing.entity] = max(largest, len(rows))
        more = len(rows) >= min(limit, largest)
        return Got(rows, heads(rows), more)

    def pages(self, listing: Listing, query: Mapping[str, Any] | None = None) -> Iterator[Got]:
        """Pages of a list to its end, the next one under way while one is worked on.

        Raises SourceError for a page that repeats and for a list that does not end.
        """
        asked = dict(query or {})
        last: set[str] = set()
        with ThreadPoolExecutor(1, thread_name_prefix=f"{self.system} pages") as pool:
            coming = pool.submit(self.page, listing, asked)
            for _ in range(MAX_PAGES):
                got = coming.result()
                keys = {f"{head.type} {head.id}" for head in got.heads if head is not None}
                if keys and keys <= last and not got.again:
                    raise SourceError(
                        f"{self.system}: a page of {listing.path} repeats the one before it, so that the list never ends; "
                        "try again later, and tell Megaplan's support if it stays",
                        retriable=True,
                    )
                if not got.more:
                    yield got
                    return
                coming = pool.submit(self._after, listing, asked, got)
                last = keys
                yield got
        raise SourceError(
            f"{self.system}: {listing.path} has more than {MAX_PAGES} pages; ask for larger ones (page)"
        )

    def _after(self, listing: Listing, query: Mapping[str, Any], got: Got) -> Got:
        """The page after another, whose last rows may have been deleted meanwhile: then after the last that lives.

        What follows a row that is no more is not documented: an error, nothing, or the list's beginning.
        """
        anchors = [head for head in got.heads if head is not None]
        for tried, anchor in enumerate(reversed(anchors[-ANCHORS:])):
            try:
                page = self.page(listing, query, anchor)
            except Refused as error:
                if error.code != "404":
                    raise
                continue
            if page.rows or self._listed_still(listing, query, anchor):
                return Got(page.rows, page.heads, page.more, again=tried > 0)
        raise SourceError(
            f"{self.system}: the last {ANCHORS} rows of a page of {listing.path} were deleted while it was read; "
            "the next read begins anew",
            retriable=True,
        )

    def _listed_still(self, listing: Listing, query: Mapping[str, Any], anchor: Stamped) -> bool:
        """Whether the list holds the row, so that nothing after it means its end."""
        link = {"contentType": anchor.type or listing.types[0], "id": str(anchor.id)}
        try:
            page = self.page(listing, {**query, "limit": 1, "pageWith": link})
        except Refused as error:
            if error.code != "404":
                raise
            return False
        return any(head is not None and str(head.id) == str(anchor.id) for head in page.heads)

    def _decoded(self, answer: Answer) -> Envelope:
        try:
            return _envelope(answer.content)
        except msgspec.DecodeError as error:
            raise SourceError(
                f"{self.system}: an answer is not of Megaplan's form ({error}); try again later",
                retriable=True,
            ) from None

    def rows_in(self, said: Envelope) -> Raws:
        """The rows of an answer that is a list. Raises SourceError where it is something else."""
        try:
            return _rows(said.data)
        except msgspec.DecodeError:
            raise SourceError(
                f"{self.system}: a list came as something else; check that url is the account's address",
                retriable=True,
            ) from None


def address(path: str, query: Mapping[str, Any] | None) -> str:
    """A path with its parameters: one JSON object, encoded."""
    return f"{path}?{quote(_encode(query), safe='')}" if query else path
