"""How a Bitrix24 portal is spoken to: one call, or a batch of up to 50 calls in one request.

Sources: settings/how-to-call-rest-api/batch.md, limits.md and _includes/system-errors.md of the vendor's
documentation. Errors are told apart by the code in the body, whatever the HTTP status: 503 means the
request rate (seconds), 429 one method's operating time (minutes).
"""

from __future__ import annotations

import itertools
import re
import secrets
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
from resources.http import Answer, Client, Verdict, by_status

BATCH = 50  # calls of a batch, the vendor's limit
MAX_ASKED = 20  # times that a small question is asked again while its method is blocked
SMALLEST_BATCH = 10
SLOW, QUICK = 30.0, 12.0  # seconds of one batch: half as many calls above (60 is the limit), more below
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
    """One incoming webhook: calls, batches and lists, within the budget. Safe in several threads."""

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
    ) -> None:
        self.system = system
        self.parallel = parallel
        self.requests = 0  # sent so far, retries not counted
        self._budget = budget
        self._clock = clock
        self.slots = BATCH  # calls that a batch should carry now
        self._mark = secrets.token_hex(2)
        self._numbers = itertools.count(1)
        self._reset_at: dict[str, float] = {}  # by method: when its operating time is counted anew
        self._client = Client(
            system,
            url,
            secrets=[secret],
            budget=budget,
            timeout=timeout,
            connections=parallel + 1,
            sleep=sleep,
            transport=transport,
        )

    def close(self) -> None:
        """End the connections."""
        self._client.close()

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
        if body.time.duration > SLOW:
            self.slots = max(SMALLEST_BATCH, self.slots // 2)
        elif body.time.duration < QUICK:
            self.slots = min(BATCH, self.slots + 5)
        return [
            self._outcome(body.result, f"{prefix}{number}", method) for number, method in enumerate(methods)
        ]

    def ask(self, calls: Sequence[str], refused: str = "-") -> list[Outcome]:
        """Small reads in one request; asked again while their method is blocked.

        Raises what is refused, except for methods whose name begins with `refused`.
        """
        answers: dict[int, Outcome] = {}
        for _ in range(MAX_ASKED):
            left = [number for number in range(len(calls)) if number not in answers][:BATCH]
            if not left:
                return [answers[number] for number in range(len(calls))]
            for number, outcome in zip(left, self.batch([calls[n] for n in left]), strict=True):
                if outcome.error is None or (not outcome.again and calls[number].startswith(refused)):
                    answers[number] = outcome
                elif not outcome.again:
                    raise self.error(calls[number].partition("?")[0], outcome.error)
        raise SourceError(
            f"{self.system}: the portal's limits stay exhausted; the next run tries again", retriable=True
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
            return Verdict("retry", reason, "the portal's request limit; nothing to do", after=2.0, bucket="")
        if name == "operation_time_limit":
            after = self._reset_at.pop(method, 0.0) - self._clock()
            after = after if 0 < after <= 600 else BLOCKED_SECONDS
            remedy = "the method's operating time is used up; it comes back by itself within 10 minutes"
            return Verdict("retry", reason, remedy, code, after=after, bucket=method)
        if name in _DENIED or (not name and "denied" in description.lower()):
            return Verdict("unauthorized", reason, _DENIED.get(name, _DENIED["access_denied"]), code)
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
_REFUSED = {
    "invalid_request": "the address must begin with https://",
    "error_method_not_found": "the portal does not know the method: it is too old or the module is off",
}


def call(method: str, **params: Any) -> str:
    """One call of a batch, as `method?query`."""
    return f"{method}?{encode(params)}"
