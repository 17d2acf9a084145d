"""How a Bitrix24 portal is spoken to: one call, or a batch of up to 50 calls in one request.

Sources: settings/how-to-call-rest-api/batch.md, limits.md and _includes/system-errors.md of the vendor's
documentation. Errors are told apart by the code in the body, whatever the HTTP status: 503 means the
request rate (seconds), 429 one method's operating time (minutes).
"""

from __future__ import annotations

import itertools
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from resources.budget import Budget
from resources.connector import SourceError, Uncertain
from resources.crm.bitrix24.token import AGAIN, InTheBody
from resources.http import Answer, Client, Verdict, by_status

BATCH = 50  # calls of a batch, the vendor's limit
WRITES = 20  # writes of the first batch: one may take 2.8 s, and a request is cut off after 60 s
FEWEST_WRITES = 5
WRITING = 25.0  # seconds that a batch of writes should take, as far as the answers before it tell
MAX_ASKED = 20  # times that a small question is asked again while its method is blocked
SMALLEST_BATCH = 10
SLOW, QUICK = 30.0, 12.0  # seconds of one batch: half as many calls above (60 is the limit), more below
LIMIT_PAUSE = 2.0  # seconds after which the leaky bucket has room again
BLOCKED_SECONDS = 60.0  # a method blocked by its operating time, when the vendor has not said until when


T = TypeVar("T")


def encode(params: Any, outer: str = "") -> str:
    """PHP's query string of nested parameters: `filter[%3Eid]=5&select[]=id`."""
    if isinstance(params, Mapping):
        pairs = (
            (f"{outer}[{quote(str(k), safe='')}]" if outer else quote(str(k), safe=""), v)
            for k, v in params.items()
        )
        return "&".join(encode(value, name) for name, value in pairs if value not in ({}, []))
    if isinstance(params, list | tuple):
        if any(isinstance(value, Mapping | list | tuple) for value in params):
            return encode(dict(enumerate(params)), outer)
        return "&".join(f"{outer}[]={_scalar(value)}" for value in params)
    return f"{outer}={_scalar(params)}"


def _scalar(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "Y" if value else "N"
    return str(value) if isinstance(value, int) else quote(str(value), safe="")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call of a batch came to: rows or an object as bytes, or the portal's refusal."""

    raw: bytes | msgspec.Raw | None
    error: Verdict | None = None
    next: int | None = None
    total: int | None = None  # rows in all, where the call asked for a count

    @property
    def again(self) -> bool:
        """Whether a read may be asked again: a limit, or a failure in the middle."""
        return self.error is not None and self.error.kind in ("retry", "uncertain")

    def value(self, type_: Any = Any) -> Any:
        """The result decoded, numbers with a point as Decimal. An empty PHP map arrives as []."""
        raw = b"null" if self.raw is None else bytes(self.raw)
        if raw.strip() == b"[]" and type_ is not Any:
            raw = b"{}"
        return msgspec.json.Decoder(type_, float_hook=Decimal).decode(raw)


class _Time(msgspec.Struct):
    duration: float = 0.0
    operating_reset_at: float | None = None


class _Fault(msgspec.Struct):
    error: Any = ""
    error_description: Any = ""


class _BatchResult(msgspec.Struct):
    # empty maps arrive as [], and PHP sends a list where the keys happen to be 0, 1, 2
    result: dict[str, msgspec.Raw] | list[msgspec.Raw] = msgspec.field(default_factory=dict)
    result_error: dict[str, _Fault] | list[Any] = msgspec.field(default_factory=dict)
    result_next: dict[str, int] | list[Any] = msgspec.field(default_factory=dict)
    result_total: dict[str, int] | list[Any] = msgspec.field(default_factory=dict)
    result_time: dict[str, _Time] | list[Any] = msgspec.field(default_factory=dict)


class _Batch(msgspec.Struct):
    result: _BatchResult
    time: _Time = msgspec.field(default_factory=_Time)


_SUCCESS = re.compile(rb'\s*\{\s*"result"\s*:')
_batch = msgspec.json.Decoder(_Batch)


def _map(part: dict[str, T] | list[Any]) -> dict[str, T]:
    return part if isinstance(part, dict) else {}


class Portal:
    """One incoming webhook or local application: calls, batches and lists, within the budget.

    `url` is a webhook's address; with `auth` it is what the application's token says. Safe in several threads.
    """

    def __init__(
        self,
        system: str,
        url: str,
        secret: str,
        *,
        budget: Budget,
        timeout: float,
        parallel: int,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
        auth: InTheBody | None = None,
    ) -> None:
        self.system = system
        self.parallel = parallel
        self.entry = "the application" if auth else "the webhook"  # in messages
        self.requests = 0  # sent so far, retries not counted
        self._budget = budget
        self._clock = clock
        self.slots = BATCH  # calls that a batch of reads should carry now
        self.writes = WRITES  # and one of writes
        self._mark = secrets.token_hex(2)
        self._numbers = itertools.count(1)
        self._reset_at: dict[str, float] = {}  # by method: when its operating time is counted anew
        self._auth = auth
        self._opening = threading.Lock()
        self._opened: Client | None = None

        def opened(address: str) -> Client:
            return Client(
                system,
                address,
                auth=auth,
                secrets=[secret],
                budget=budget,
                timeout=timeout,
                connections=parallel + 1,
                sleep=sleep,
                transport=transport,
            )

        self._open = opened
        if auth is None:
            self._opened = opened(url)

    def close(self) -> None:
        """End the connections."""
        with self._opening:
            if self._opened is not None:
                self._opened.close()

    @property
    def clock_behind(self) -> float:
        """Seconds by which the portal's clock lay behind ours at the last answer."""
        return self._opened.behind if self._opened is not None else 0.0

    @property
    def _client(self) -> Client:
        """The connection; an application's is opened at its first use, for its token names the address."""
        with self._opening:
            if self._opened is None:
                assert self._auth is not None
                self._opened = self._open(self._auth.endpoint())
            return self._opened

    def call(self, method: str, params: Mapping[str, Any], *, write: bool = False) -> Any:
        """One method; its result with numbers as Decimal. Raises as `Client.request`."""
        self.requests += 1
        answer = self._client.request(
            "POST",
            method,
            json=params,
            write=write,
            buckets=[method],
            classify=lambda got: self._verdict(got, method),
        )
        body = answer.json()
        self._note(method, (body.get("time") or {}).get("operating_reset_at"))
        return body.get("result")

    def new_prefix(self) -> str:
        """The beginning of the calls' names in one batch, such as "r3f0a12c": never used twice.

        An answer that was meant for another request (a cache's, a proxy's) has other names in it, and so
        says nothing of these calls. A later call refers to an earlier one as `$result[r3f0a12c0]`.
        """
        return f"r{self._mark}{next(self._numbers)}c"

    def batch(self, calls: Sequence[str], *, prefix: str | None = None, write: bool = False) -> list[Outcome]:
        """Up to 50 `method?query` calls in one request; an outcome for each, in order.

        `prefix` (of `new_prefix`) where calls refer to each other. Errors of the whole request raise;
        errors of single calls are outcomes. A method that is out of operating time is closed in the
        budget until the portal counts anew.
        """
        assert 0 < len(calls) <= BATCH
        self.requests += 1
        prefix = prefix or self.new_prefix()
        methods = [call.partition("?")[0] for call in calls]
        decoded: list[_Batch] = []

        def read(answer: Answer) -> Verdict:
            if (verdict := self._verdict(answer, "batch")).kind == "ok":
                try:
                    decoded.append(_batch.decode(answer.content))
                except msgspec.DecodeError as error:
                    return Verdict("uncertain", f"an answer that is cut off or of an unknown shape: {error}")
            return verdict

        self._client.request(
            "POST",
            "batch",
            json={"halt": 0, "cmd": {f"{prefix}{number}": call for number, call in enumerate(calls)}},
            write=write,
            buckets=sorted(set(methods)),
            classify=read,
            want="any",
        )
        body = decoded[-1]
        if write:
            self._pace(len(calls), body.time.duration)
        elif body.time.duration > SLOW:
            self.slots = max(SMALLEST_BATCH, self.slots // 2)
        elif body.time.duration < QUICK:
            self.slots = min(BATCH, self.slots + 5)
        return [
            self._outcome(body.result, f"{prefix}{number}", method) for number, method in enumerate(methods)
        ]

    def slower(self) -> None:
        """A batch of writes got no answer, perhaps because it took too long: the next one is half of it."""
        self.writes = max(FEWEST_WRITES, self.writes // 2)

    def _pace(self, calls: int, seconds: float) -> None:
        """As many writes as take WRITING seconds, at most twice as many as now; `seconds` 0: nobody said."""
        if seconds > 0:
            fitting = int(WRITING * calls / seconds)
            self.writes = max(FEWEST_WRITES, min(BATCH, 2 * self.writes, fitting))

    def ask(self, calls: Sequence[str], refused: str | tuple[str, ...] = "-") -> list[Outcome]:
        """Small reads in one request; asked again while their method is blocked.

        Raises what is refused, except for calls that begin with `refused`.
        """
        answers: dict[int, Outcome] = {}
        last: Verdict | None = None
        for _ in range(MAX_ASKED):
            left = [number for number in range(len(calls)) if number not in answers][:BATCH]
            if not left:
                return [answers[number] for number in range(len(calls))]
            for number, outcome in zip(left, self.batch([calls[n] for n in left]), strict=True):
                if outcome.error is None or (not outcome.again and calls[number].startswith(refused)):
                    answers[number] = outcome
                elif not outcome.again:
                    raise self.error(calls[number].partition("?")[0], outcome.error)
                else:
                    last = outcome.error
        reason = last.reason if last else "no answer"
        raise SourceError(
            f"{self.system}: asked {MAX_ASKED} times, the portal does not answer ({reason}); the next run tries again",
            retriable=True,
        )

    def _outcome(self, result: _BatchResult, name: str, method: str) -> Outcome:
        if name in (times := _map(result.result_time)):
            self._note(method, times[name].operating_reset_at)
        if name in (faults := _map(result.result_error)):
            verdict = self._refusal(faults[name].error, faults[name].error_description, method)
            if verdict.kind == "retry" and verdict.after:
                self._budget.block(verdict.after, verdict.bucket or method)
            return Outcome(None, verdict)
        raw = _map(result.result).get(name)
        if raw is None:
            return Outcome(None, Verdict("uncertain", "the answer says nothing of this call"))
        return Outcome(
            raw, next=_map(result.result_next).get(name), total=_map(result.result_total).get(name)
        )

    def error(self, what: str, verdict: Verdict, *, write: bool = False) -> SourceError:
        """The exception of a refused call inside a batch."""
        text = f"{self.system}: {what}: {verdict.reason}" + (f"; {verdict.remedy}" if verdict.remedy else "")
        if verdict.kind == "refused":
            return verdict.error(text, code=verdict.code)
        if verdict.kind == "uncertain" and write:
            return Uncertain(text)
        return SourceError(text, retriable=verdict.kind in ("retry", "uncertain"))

    def _note(self, method: str, reset_at: Any) -> None:
        if reset_at:
            self._reset_at[method] = float(reset_at)

    def _verdict(self, answer: Answer, method: str) -> Verdict:
        """The meaning of an answer: by the code in its body whatever the HTTP status, else by the status."""
        if not answer.is_json:
            if answer.status == 200:
                remedy = "check the address, and that no login or maintenance page stands before it"
                return Verdict("uncertain", f"a page came instead of data: «{answer.text}»", remedy)
            return by_status(answer)
        if answer.status == 200 and _SUCCESS.match(answer.content):
            return Verdict("ok")
        try:
            body = answer.json()
        except ValueError:
            return by_status(answer)
        if not isinstance(body, dict) or "error" not in body or "result" in body:
            return by_status(answer)
        self._note(method, (body.get("time") or {}).get("operating_reset_at"))
        return self._refusal(body["error"], body.get("error_description", ""), method)

    def _refusal(self, code: Any, description: Any, method: str) -> Verdict:
        if isinstance(code, dict):  # the newer interface: {"error": {"code", "message"}}
            code, description = code.get("code", ""), code.get("message", "")
        code = "" if str(code) == "0" else str(code or "")  # the number 0 is no code, "100" is one
        description = str(description or "")
        reason = (
            f"{code}: {description}" if code and description else code or description or "an unnamed error"
        )
        name = code.lower()
        if name == "query_limit_exceeded":
            remedy = "the portal's request limit; nothing to do"
            return Verdict("retry", reason, remedy, after=LIMIT_PAUSE, bucket="")
        if name == "operation_time_limit":
            after = self._reset_at.pop(method, 0.0) - self._clock()
            after = after if 0 < after <= 600 else BLOCKED_SECONDS
            remedy = "the method's operating time is used up; it comes back by itself within 10 minutes"
            return Verdict("retry", reason, remedy, code, after=after, bucket=method)
        if name in _DENIED or (not name and "denied" in description.lower()):
            denied = {**_DENIED, **(_DENIED_APPLICATION if self._auth else {})}
            return Verdict("unauthorized", reason, denied.get(name, _DENIED["access_denied"]), code)
        if name in ("internal_server_error", "error_unexpected_answer"):
            return Verdict("uncertain", reason, "if it stays, write to the vendor's support", code)
        return Verdict("refused", reason, _REFUSED.get(name, ""), code)


_WEBHOOK = "make an administrator's incoming webhook and put its address into the connection"
_DENIED = {
    "no_auth_found": f"the webhook is unknown or deleted; {_WEBHOOK}",
    "expired_token": f"the webhook has expired; {_WEBHOOK}",
    "invalid_credentials": f"the webhook's owner lacks the right, or the webhook is wrong; {_WEBHOOK}",
    "insufficient_scope": "edit the webhook and tick the scopes crm, catalog, user and task",
    "user_access_error": "let the administrator give the webhook's owner access",
    "allowed_only_intranet_user": "the webhook's owner must be an employee of the portal",
    "access_denied": "give the webhook's owner the right to this object (an administrator has it); "
    "REST also needs a commercial plan",
    "overload_limit": "the vendor has blocked REST for this portal by hand; write to the vendor's support",
    "portal_deleted": "the portal is closed or deleted",
}
_DENIED_APPLICATION = {
    "no_auth_found": f"the application's token is not known to the portal; {AGAIN}",
    "invalid_token": f"the application's token is not known to the portal; {AGAIN}",
    "expired_token": f"the application's token has expired, and so has the renewed one; {AGAIN}",
    "invalid_credentials": "whoever installed the application lacks the right; let an administrator install it",
    "insufficient_scope": "tick crm, catalog, user and task in the application's card, and install it again",
    "user_access_error": "let the administrator give whoever installed the application access to it",
    "allowed_only_intranet_user": "an employee of the portal must install the application",
    "access_denied": "let an administrator install the application: whoever did lacks the right to this object; "
    "REST also needs a commercial plan",
}
_REFUSED = {
    "invalid_request": "the address must begin with https://",
    "error_method_not_found": "the portal does not know the method: it is too old or the module is off",
}


def call(method: str, **params: Any) -> str:
    """One call of a batch, as `method?query`."""
    return f"{method}?{encode(params)}"
