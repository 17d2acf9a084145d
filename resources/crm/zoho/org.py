"""One organization of Zoho CRM over HTTP: how it answers, its credits, its queries, its fields.

Facts: the vendor's documentation of API v8 and its OpenAPI. A request costs credits of a rolling day, most of them
one; how many are left is told by a header once half are used. What was refused is told by a code, also within
HTTP 200. Nothing is answered as 204 or 304, without a body.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from resources.address import place
from resources.connector import Conflict, Refused, SourceError
from resources.http import OK, Answer, Client, Verdict, by_status, retry_after
from resources.http_date import http_date
from resources.tokens import OAuth

API: Final = "crm/v8/"
QUERY_ROWS: Final = 2000  # of one query at most; an organization that gives fewer says so
FEW_ROWS: Final = 200  # of one credit
LIST_ROWS: Final = 200
MAX_LIST_PAGES: Final = 500  # of a short list: users, prices of a book, deletions
MAX_IDS: Final = 100  # of one condition `in`
LOW_FOR: Final = 600.0  # seconds that nothing is sent after the credits were seen to be low
DAY_IS_USED: Final = 3600.0  # seconds that everybody waits once the day's credits are gone
SHORT: Final = 100_000  # bytes: an error is no longer

Rows = Sequence[msgspec.Raw]


class RegionalClient(Client):
    """A client whose address comes with the token: `api_domain`, by data centre."""

    def request(self, method: str, path: str, **options: Any) -> Answer:
        """See Client.request."""
        assert isinstance(self.auth, OAuth)
        self._move(self.auth.token().extra.get("api_domain", ""))
        return super().request(method, path, **options)

    def _move(self, domain: str) -> None:
        address = f"{domain}/"
        if not domain or address == self.base_url:
            return
        there, here = urlsplit(place(domain)), urlsplit(place(self.base_url))
        if there.scheme != "https" and (there.scheme, there.hostname) != (here.scheme, here.hostname):
            raise SourceError(
                f"{self.system}: the token names {place(domain)} as the API's address, which is not https and not used; see that "
                "accounts_url is the vendor's"
            )
        self.base_url = address


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a module: its API name, the kind of its values in JSON, the choices of a list."""

    name: str
    json_type: str
    choices: tuple[msgspec.Raw, ...] = ()


class Credits:
    """What is left of the day's credits, as the vendor tells, and whether more may be used. Thread-safe."""

    def __init__(
        self, system: str, a_day: float, keep: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.system, self.a_day, self.keep, self._clock = system, a_day, keep, clock
        self.left: float | None = None
        self._low_until = 0.0

    def note(self, answer: Answer) -> None:
        """Take in what an answer tells; a success without a word means that less than half are used."""
        told = answer.headers.get("x-api-credits-remaining", "").strip()
        if not told and answer.status < 400:
            self.left = None
        if told.isdigit():
            self.left = float(told)
            if self.left < self.a_day * self.keep:
                self._low_until = self._clock() + LOW_FOR

    def expect(self) -> None:
        """Raises SourceError while too few are left."""
        if self._clock() < self._low_until:
            raise SourceError(
                f"{self.system}: {self.left:.0f} of the day's {self.a_day:.0f} API credits are left, and the last "
                f"{self.keep:.0%} are kept for others (keep_credits); they come back over 24 hours, and the next "
                "run goes on",
                retriable=True,
            )


class Org:
    """One organization. Safe to use from several threads, as its client is."""

    def __init__(self, client: Client, parallel: int, judge: Judge) -> None:
        self.system, self.client, self.parallel = client.system, client, parallel
        self.credits = judge.credits
        self._query_rows = QUERY_ROWS
        self._fields: dict[str, list[Field]] = {}
        self._lock = threading.Lock()

    def ask(self, method: str, path: str, *, cost: float = 1.0, about: str = "", **options: Any) -> Answer:
        """One request, `cost` credits of it. Raises SourceError, also while too few credits are left.

        `about`: what it concerns, in messages, where the address does not say.
        """
        self.credits.expect()
        try:
            return self.client.request(method, path, cost=cost, **options)
        except SourceError as error:
            if about:
                error.args = (f"{self.system}: {about}: {str(error).removeprefix(f'{self.system}: ')}",)
            raise

    def query(
        self,
        module: str,
        fields: Iterable[str],
        where: str,
        order: str,
        *,
        rows: int = QUERY_ROWS,
    ) -> tuple[Rows, bool]:
        """One COQL query: its rows, and whether there are more. A credit for 200 rows, two for 1,000, three for 2,000."""
        most = min(rows, self._query_rows)
        text = f"select {', '.join(fields)} from {module} where {where} order by {order} limit 0, {most}"
        cost = 1.0 if most <= FEW_ROWS else 2.0 if most <= 1000 else 3.0
        try:
            answer = self.ask("POST", API + "coql", json={"select_query": text}, cost=cost, about=module)
        except Refused as error:
            if error.code != "LIMIT_EXCEEDED" or most <= FEW_ROWS:
                raise
            self._query_rows = FEW_ROWS
            return self.query(module, fields, where, order, rows=rows)
        return self.listed(answer, "data", f"a query of {module}")

    def listed(self, answer: Answer, name: str, what: str) -> tuple[Rows, bool]:
        """The rows of an answer under `name`, and whether more follow. Raises SourceError for another shape."""
        if not answer.content.strip():
            return [], False
        try:
            held = msgspec.json.decode(answer.content, type=dict[str, msgspec.Raw])
            rows = msgspec.json.decode(held[name], type=list[msgspec.Raw])
            info = msgspec.json.decode(held.get("info", b"{}"), type=_Info | None) or _Info()
        except (msgspec.DecodeError, KeyError):
            raise SourceError(
                f"{self.system}: the answer to {what} is no list: «{answer.text}»; try again later, and check "
                "accounts_url if it stays",
                retriable=True,
            ) from None
        return rows, bool(info.more_records)

    def all_rows(self, path: str, name: str, params: Mapping[str, Any], **options: Any) -> list[msgspec.Raw]:
        """All rows of a short list that is asked for by page number."""
        found: list[msgspec.Raw] = []
        before: Rows = ()
        for number in range(1, MAX_LIST_PAGES + 1):
            answer = self.ask(
                "GET",
                API + path,
                params={**params, "page": number, "per_page": LIST_ROWS},
                about=path,
                **options,
            )
            rows, more = self.listed(answer, name, path)
            if not rows and number > 1:
                raise SourceError(
                    f"{self.system}: page {number} of {path} came without a row, though the page before told of more; "
                    "try again later",
                    retriable=True,
                )
            if rows and before and bytes(rows[0]) == bytes(before[0]):
                raise SourceError(
                    f"{self.system}: page {number} of {path} repeats the one before; try again later",
                    retriable=True,
                )
            found += rows
            before = rows
            if not more:
                return found
        raise SourceError(f"{self.system}: the list {path} does not end within {MAX_LIST_PAGES} pages")

    def count(self, module: str) -> int:
        """How many living records a module has; one credit."""
        said = self.ask("GET", f"{API}{module}/actions/count", about=module).json()
        if not isinstance(said, dict) or not isinstance(said.get("count"), int):
            raise SourceError(f"{self.system}: {module} was not counted; try again later", retriable=True)
        return int(said["count"])

    def fields(self, module: str, *, anew: bool = False) -> list[Field]:
        """The fields that the user may see; asked for once, or anew."""
        with self._lock:
            known = self._fields.get(module)
            if known is None or anew:
                answer = self.ask("GET", API + "settings/fields", params={"module": module}, about=module)
                rows, _ = self.listed(answer, "fields", f"the fields of {module}")
                heads = [msgspec.json.decode(row, type=_Field) for row in rows]
                known = [Field(h.api_name, h.json_type or "", tuple(h.pick_list_values or ())) for h in heads]
                self._fields[module] = known
            return known

    def about(self) -> tuple[dict[str, Any], datetime | None]:
        """The organization itself, and the time by its clock, UTC."""
        answer = self.ask("GET", API + "org")
        rows, _ = self.listed(answer, "org", "the organization")
        at = http_date(answer.headers.get("date", ""))
        return (msgspec.json.decode(rows[0], type=dict[str, Any]) if rows else {}), at


class Judge:
    """What an answer means, by HTTP and by the vendor's code; it keeps the credits too."""

    def __init__(self, left: Credits) -> None:
        self.credits = left

    def __call__(self, answer: Answer) -> Verdict:
        """The verdict."""
        self.credits.note(answer)
        said = error_of(answer)
        code = str(said.get("code") or "")
        if answer.status < 400 and not code:
            if answer.status == 200 and not answer.content.strip():
                return Verdict("uncertain", "an empty answer", "try again later")
            return OK if answer.status == 304 else by_status(answer)
        reason = f"HTTP {answer.status}: {words(said) or answer.text}"
        if answer.status == 429 or code == "TOO_MANY_REQUESTS":
            return self._too_many(answer, reason)
        if code in _REMEDIES or answer.status in (401, 403):
            return Verdict("unauthorized", reason, _REMEDIES.get(code, _REMEDIES["NO_PERMISSION"]), code=code)
        if answer.status >= 500 or code == "INTERNAL_ERROR" or answer.status == 408:
            return Verdict("uncertain", reason, "try again later; if it stays, ask the vendor's support")
        if code == "RECORD_MODIFIED" or answer.status == 412:
            return Verdict("refused", reason, "read the record again and decide", code=code, error=Conflict)
        return Verdict("refused", reason, "", code=code or str(answer.status))

    def _too_many(self, answer: Answer, reason: str) -> Verdict:
        if self.credits.left == 0:
            return Verdict(
                "retry", reason, "the day's API credits are used up; they come back over 24 hours",
                after=DAY_IS_USED, bucket="",
            )  # fmt: skip
        remedy = "too many requests at once; lower parallel if others use this organization"
        after = retry_after(answer.headers)
        return Verdict("retry", reason, remedy, after=after, bucket="" if after else None)


def error_of(answer: Answer) -> dict[str, Any]:
    """The error that an answer tells, by its status or within a 200; {} where it tells none."""
    if not answer.content or len(answer.content) > SHORT or answer.content.lstrip()[:1] != b"{":
        return {}
    try:
        said = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
    return said if said.get("status") == "error" and said.get("code") else {}


def words(said: Mapping[str, Any]) -> str:
    """The vendor's error in one line: message, what its details name, and its code."""
    details = said.get("details")
    named = ""
    if isinstance(details, dict) and details:
        shown = {k: v for k, v in details.items() if isinstance(v, str | int)}
        named = " (" + ", ".join(f"{k} {v}" for k, v in shown.items()) + ")" if shown else ""
    return f"{said.get('message', '')}{named} [{said['code']}]" if said.get("code") else ""


NOT_THERE: Final = ("FEATURE_NOT_ENABLED", "NOT_SUPPORTED", "INVALID_MODULE")
"""Codes for what this edition or organization does not have at all."""

_REMEDIES: Final = {
    "NO_PERMISSION": "give the profile of the user who made the token the right to this module (Setup, Profiles)",
    "OAUTH_SCOPE_MISMATCH": "the token lacks the scope for this: make a refresh token with all scopes that "
    "docs/connectors/zoho.md names, and put it into the connection",
    "INVALID_TOKEN": "the token was revoked, or is of another data centre: put a new refresh_token into the connection",
    "AUTHENTICATION_FAILURE": "the token was revoked, or is of another data centre: put a new refresh_token into the "
    "connection",
    "AUTHORIZATION_FAILED": "let an administrator make the token",
}


class _Info(msgspec.Struct):
    more_records: bool | None = False


class _Field(msgspec.Struct):
    api_name: str
    json_type: str | None = ""
    pick_list_values: list[msgspec.Raw] | None = None
