"""One polite HTTP client for every vendor: budget, retries, time limits, and no secret in any message.

    client = Client("bitrix24", "https://shop.bitrix24.ru/rest/1/", secrets=["abc"], budget=budget)
    answer = client.request("POST", "crm.item.list", json={...})
    answer.json()   # numbers with a point arrive as Decimal

A connector brings a `classify` function that reads the vendor's answers; everything else is here. The rule
for writes: a request that did not leave is sent again; one that may have left and got no clear answer
raises `Uncertain`, and only a probe decides. Reads are sent again in both cases, a bounded number of times.
"""

from __future__ import annotations

import contextlib
import io
import logging
import random
import re
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final, Literal, TypeVar
from urllib.parse import unquote, urljoin, urlsplit

import httpx
import msgspec

from resources.address import elsewhere, place
from resources.budget import Budget
from resources.connection import DAY, number
from resources.connector import Conflict, Refused, SourceError, Target, Uncertain
from resources.deadline import is_over, keeps_deadlines, within
from resources.hidden import conceal as conceal
from resources.hidden import mask as mask
from resources.http_date import behind
from resources.http_date import retry_after as retry_after
from resources.json_body import readable
from resources.parallel import Turns
from resources.unpacking import ACCEPTED, pieces

ATTEMPTS = 6  # sendings of one request, the first included
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between attempts when the vendor names no time
PATIENCE = 900.0  # seconds that one request may wait in all, for the budget and for a vendor's pauses
MAX_ANSWER = 256 * 1024 * 1024  # bytes of one answer after decompression
MAX_GRANT: Final = 1 << 20  # bytes of an answer that an auth looks into: a page of records is no token
WHOLE_ANSWER: Final = 2  # timeouts within which an answer has ended, or is given up
SHOWN = 300  # characters of a vendor's text in a message

log = logging.getLogger(__name__)

_decoder = msgspec.json.Decoder(float_hook=Decimal)


class NoJson(SourceError, ValueError):
    """An answer without the JSON that was asked for: a ValueError for who looks for it, an error in words for all."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `json()` raises NoJson where the body is none."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    to: str = ""  # which request, in a message

    def json(self) -> Any:
        """The body decoded, numbers with a point as Decimal. Raises NoJson."""
        try:
            return _decoder.decode(self.content)
        except (msgspec.DecodeError, RecursionError) as error:
            found = f"no JSON that can be read ({error})" if self.content else "empty"
            raise NoJson(
                f"{self.to or 'a request'}: the answer (HTTP {self.status}) is {found}; {_LATER}",
                retriable=True,
            ) from None

    @property
    def is_json(self) -> bool:
        """Whether it begins as JSON does; pages of HTML come with any content type."""
        return self.content.lstrip()[:1] in (b"{", b"[")

    @property
    def text(self) -> str:
        """The first words of the body, for a message: tags and line breaks removed, and secrets before it is cut."""
        text = mask(self.content[:20_000].replace(b"\0", b"").decode("utf-8", "replace"))
        text = re.sub(r"(?is)<(script|style).*?</\1>|<[^>]*>", " ", text)
        return mask(" ".join(text.split()))[:SHOWN]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer means.

    ok; retry: the answer proves that nothing was done, ask again (after `after` seconds); refused: asking
    again cannot help; unauthorized: so, and the credentials are the cause; uncertain: the vendor failed in
    the middle (a read is repeated, a write is for a probe to decide).
    """

    kind: Literal["ok", "retry", "refused", "unauthorized", "uncertain"]
    reason: str = ""
    remedy: str = ""
    code: str = ""
    after: float | None = None
    bucket: str | None = None  # what to close for `after` seconds: a method's bucket, "" for the system
    error: type[Refused] = Refused


OK = Verdict("ok")


def by_status(answer: Answer) -> Verdict:
    """The meaning of an answer by HTTP alone; vendors' own functions fall back to it."""
    status = answer.status
    if status in (204, 304) or (200 <= status < 300):
        return OK
    text = answer.text
    reason = f"HTTP {status}: {text}" if text else f"HTTP {status}"
    if status == 429:
        return Verdict("retry", reason, "the vendor's rate limit; nothing to do unless it stays", bucket="")
    if status == 401:
        return Verdict(
            "unauthorized", reason, "check the user name and password or the token in the connection"
        )
    if status == 403:
        return Verdict("unauthorized", reason, "give this user the right to the object")
    if status == 412:
        return Verdict("refused", reason, "read the record again and decide", code="412", error=Conflict)
    if status >= 500 or status == 408:
        return Verdict("uncertain", reason, "try again later; if it stays, ask the system's administrator")
    return Verdict("refused", reason, "", code=str(status))


@dataclass(slots=True)
class Client:
    """The connection to one system. Safe to use from several threads; `close()` it.

    `base_url` ends with a slash; `secrets` are texts that must never be shown (the user info of the address
    and the values of sensitive headers are added). `auth` is an httpx.Auth, whose flow may refresh a token.
    `ca_file` names the certificate authority of a private server; TLS is always verified. Plain http is
    refused except to this machine, or with `allow_http` inside a network that is trusted.
    """

    system: str
    base_url: str
    auth: httpx.Auth | tuple[str, str] | None = None
    budget: Budget | None = None
    timeout: float = 60.0
    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[str] = ()
    classify: Callable[[Answer], Verdict] = by_status
    connections: int = 8
    ca_file: str | None = None
    allow_http: bool = False
    gives_tokens: bool = False  # what it answers may hold one, and is quoted where it refuses alone
    attempts: int = ATTEMPTS
    patience: float = PATIENCE
    max_answer: int = MAX_ANSWER
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    transport: httpx.BaseTransport | None = None
    # What httpx calls for each request and each answer, by "request" and "response": for whoever counts them.
    event_hooks: dict[str, list[Callable[..., Any]]] = field(default_factory=dict)
    behind: float = field(
        default=0.0, init=False
    )  # seconds that the vendor's clock lay behind ours, by the last answer
    _idle: list[httpx.Client] = field(init=False, repr=False)  # one connection each
    _free: Turns = field(init=False, repr=False)
    _trust: ssl.SSLContext = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            address = urlsplit(self.base_url)
            httpx.URL(self.base_url)
        except (httpx.InvalidURL, ValueError):
            raise SourceError(f"{self.system}: the connection's address is none; {_NO_ADDRESS}") from None
        if address.scheme not in ("https", "http") or not address.hostname:
            raise SourceError(f"{self.system}: the address in the connection is not an https:// address")
        local = address.hostname in _LOCAL
        if address.scheme == "http" and not (local or self.allow_http):
            raise SourceError(
                f"{self.system}: {address.hostname} is addressed by plain http, which shows the password "
                "to the network; use https, or set allow_http: true if the network is your own"
            )
        hidden = [*self.secrets, unquote(address.password or "")]
        if isinstance(self.auth, tuple):
            hidden += [self.auth[1], b64encode(":".join(self.auth).encode()).decode()]
        for name, value in self.headers.items():
            if _SENSITIVE.search(name):
                hidden += [value, value.partition(" ")[2]]
            if not (value.isascii() and value.isprintable()):
                raise SourceError(
                    f"{self.system}: the header {name} cannot hold what the connection gives for it; "
                    "copy it once more, in one line and without quotation marks around it"
                )
        conceal(hidden)
        self._trust = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else _usual_trust()
        self._idle, self._free = [], Turns(self.connections)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[httpx.Client]:
        """A connection that no other thread uses meanwhile. Raises httpx.PoolTimeout.

        Threads that share a pool of httpcore 1.0 close each other's connections: whoever looks for one takes that on which
        an answer has just arrived for one that the server has closed. Its request fails, or waits until the timeout.
        """
        if not self._free.acquire(timeout=self.timeout * WHOLE_ANSWER):
            raise httpx.PoolTimeout(f"none of {self.connections} connections became free")
        try:
            http = self._unused()
            try:
                yield http
            finally:
                self._idle.append(http)
        finally:
            self._free.release()

    def _unused(self) -> httpx.Client:
        try:
            return self._idle.pop()  # the one that was used last
        except IndexError:
            return self._connected()

    def _connected(self) -> httpx.Client:
        http = httpx.Client(
            base_url=self.base_url,
            auth=self.auth if isinstance(self.auth, tuple) else None,
            headers={
                "Accept": "application/json", "User-Agent": "sverka", "Accept-Encoding": ACCEPTED, **self.headers
            },
            timeout=httpx.Timeout(self.timeout, connect=min(10.0, self.timeout)),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=10.0),
            follow_redirects=False,
            verify=self._trust,
            trust_env=urlsplit(self.base_url).hostname not in _LOCAL,
            transport=self.transport,
            event_hooks=self.event_hooks,
        )  # fmt: skip
        return keeps_deadlines(http)

    def close(self) -> None:
        """End the connections."""
        while self._idle:
            self._idle.pop().close()

    def get_json(self, path: str, **options: Any) -> Any:
        """GET and decode. Raises as `request`."""
        return self.request("GET", path, **options).json()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        write: bool = False,
        cost: float = 1.0,
        buckets: Sequence[str] = (),
        want: Literal["json", "any"] = "json",
        classify: Callable[[Answer], Verdict] | None = None,
    ) -> Answer:
        """Send one request and return an answer that the vendor meant as a success.

        `path` is relative to the base address, or a link of the vendor's to the same host. `write` says
        that sending twice could do something twice. `want="json"` refuses other bodies (a login page).
        Raises SourceError (retriable or not), Refused and its kinds, Uncertain (only with `write`).
        """
        url = self._own_address(path)
        if json is not None:
            content = msgspec.json.encode(json)
            headers = {"Content-Type": "application/json", **(headers or {})}
        what = mask(f"{self.system}: {method} {urlsplit(url).path.rsplit('/', 1)[-1] or url}")
        end = self.clock() + self.patience
        trouble: _TroubleError | None = None
        for attempt in range(1, self.attempts + 1):
            self._await_budget(what, cost, buckets, end)
            try:
                answer = self._send(method, url, params, content, headers)
                return self._judge(what, answer, want, classify or self.classify)
            except _TroubleError as caught:
                trouble = caught
            if trouble.left and write:
                raise Uncertain(
                    f"{what}: {trouble.reason}; it is not known whether the write was carried out: "
                    "it is looked up before anything is sent again"
                )
            if trouble.bucket is not None and self.budget is not None and trouble.after:
                self.budget.block(trouble.after, trouble.bucket)
            pause = trouble.after or self._pause(attempt)
            if attempt == self.attempts or self.clock() + pause > end:
                break
            log.info(
                "%s: %s; attempt %d of %d in %.1f s", what, trouble.reason, attempt + 1, self.attempts, pause
            )
            self.sleep(pause)
        assert trouble is not None
        raise SourceError(
            f"{what}: {trouble.reason} ({attempt} attempts); {trouble.remedy or 'try again later'}",
            retriable=True,
        )

    def _own_address(self, path: str) -> str:
        if there := elsewhere(path, self.base_url):
            raise SourceError(
                f"{self.system}: a link leads to another host ({there}) than the connection's ({place(self.base_url)}) and "
                "is not followed; correct the address in the connection"
            )
        return urljoin(self.base_url, path)

    def _await_budget(self, what: str, cost: float, buckets: Sequence[str], end: float) -> None:
        if self.budget is None:
            return
        while (wait := self.budget.take(cost, buckets)) > 0:
            if self.clock() + wait > end:
                raise SourceError(
                    f"{what}: the vendor's limit leaves no request for another {wait:.0f} s, longer than the "
                    f"{self.patience:.0f} s that one may wait; the next run goes on from here",
                    retriable=True,
                )
            self.sleep(wait)

    def _send(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None,
        content: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> Answer:
        try:
            with self._connection() as http:
                request = http.build_request(method, url, params=params, content=content, headers=headers)
                return self._let_in(http, request)
        except (httpx.InvalidURL, UnicodeEncodeError):
            raise SourceError(f"{self.system}: {_UNFIT}; {_NO_ADDRESS}") from None
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            host = urlsplit(url).hostname
            reason = f"no connection to {host} ({mask(str(error)) or type(error).__name__})"
            raise _TroubleError(reason, "check the address and the network", left=False) from None
        except httpx.TimeoutException:
            raise _TroubleError(f"no answer within {self.timeout:.0f} s", _LATER) from None
        except httpx.LocalProtocolError as error:
            # Without its words: they quote what was to be sent.
            raise _TroubleError(f"{_UNFIT} ({type(error).__name__})", _NO_ADDRESS) from None
        except httpx.DecodingError as error:
            raise _TroubleError(f"the answer cannot be unpacked ({mask(str(error))})", _LATER) from None
        except httpx.TransportError as error:
            raise _TroubleError(
                f"the connection broke ({mask(str(error)) or type(error).__name__})", _LATER
            ) from None

    def _let_in(self, http: httpx.Client, request: httpx.Request) -> Answer:
        """Send it as the auth wants, which sees whole answers and may renew a token between two sendings."""
        if not isinstance(self.auth, httpx.Auth):
            return self._exchange(http, request)
        flow = self.auth.sync_auth_flow(request)
        with contextlib.closing(flow):
            request = next(flow)
            while True:
                answer = self._exchange(http, request)
                seen = [(k, v) for k, v in answer.headers.items() if k.lower() not in _ABOUT_THE_BODY]
                content = answer.content if len(answer.content) <= MAX_GRANT else b""
                try:
                    request = flow.send(
                        httpx.Response(answer.status, headers=seen, content=content, request=request)
                    )
                except StopIteration:
                    return answer

    def _exchange(self, http: httpx.Client, request: httpx.Request) -> Answer:
        """One sending and its whole answer, in a bounded time and memory. Raises httpx's errors and _TroubleError."""
        limit = self.timeout * WHOLE_ANSWER
        end = self.clock() + limit
        late = _TroubleError(f"the answer did not end within {limit:.0f} s", _LATER)
        with within(limit):
            try:
                response = http.send(request, stream=True)
                self.behind = self._clock_of(response)
                try:
                    body = io.BytesIO()  # whose value is no copy: a large answer is in memory once
                    for part in pieces(response):
                        if body.tell() + len(part) > self.max_answer:
                            raise _TroubleError(
                                f"the answer is larger than {self.max_answer} bytes", "ask for less at once"
                            )
                        if self.clock() > end:
                            raise late
                        body.write(part)
                finally:
                    response.close()
            except (httpx.ReadTimeout, httpx.WriteTimeout):
                if is_over():
                    raise late from None
                raise
        return Answer(response.status_code, response.headers, body.getvalue())

    def _clock_of(self, response: httpx.Response) -> float:
        said = behind(response.headers, datetime.now(UTC))
        return self.behind if said is None else said

    def _judge(self, what: str, answer: Answer, want: str, classify: Callable[[Answer], Verdict]) -> Answer:
        if 300 <= answer.status < 400 and answer.status != 304:
            location = answer.headers.get("location", "")
            target = elsewhere(location, self.base_url) or "another address"
            raise SourceError(
                f"{what}: the server redirects to {mask(target)}, which is not followed; "
                "put the present address into the connection"
            )
        whole, content = True, answer.content
        try:
            if want == "json" and answer.is_json:
                content, whole = readable(content)
            answer = replace(answer, content=content, to=what)
            verdict = classify(answer)
        except RecursionError:
            raise _TroubleError("the answer is nested too deeply to be read", _LATER) from None
        if verdict.kind == "ok":
            if want == "json" and answer.content and not answer.is_json:
                page = "" if self.gives_tokens else f": «{mask(answer.text)}»"
                raise _TroubleError(
                    f"a page came instead of data{page}",
                    "check the address, and that no login or maintenance page stands before it",
                )
            if not whole:
                raise _TroubleError(f"the answer is cut off after {len(answer.content)} bytes", _LATER)
            return answer
        reason = mask(verdict.reason)
        remedy = f"; {verdict.remedy}" if verdict.remedy else ""
        if verdict.kind == "refused":
            raise verdict.error(f"{what}: {reason}{remedy}", code=verdict.code)
        if verdict.kind == "unauthorized":
            raise SourceError(f"{what}: {reason}{remedy}", retriable=False)
        after = verdict.after if verdict.after is not None else retry_after(answer.headers)
        raise _TroubleError(
            reason, verdict.remedy, left=verdict.kind == "uncertain", after=after, bucket=verdict.bucket
        )

    def _pause(self, attempt: int) -> float:
        """Exponential, with jitter, so that many clients do not come back at once."""
        ceiling: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1))
        return ceiling * random.uniform(0.5, 1.0)


_Kind = TypeVar("_Kind", bound=Target)


def settling(target: _Kind, connection: Mapping[str, Any], timeout: float) -> _Kind:
    """The same target, declared to be one that takes a create twice: see `Capabilities.settles_after`.

    A request whose sender is gone may wait on, in a proxy or a dispatcher, as long as the sender would have waited: for
    two of its client's timeouts (`timeout`, in seconds), or for `resend_after_seconds` of the connection where that is given.
    Raises SourceError where that is no number of seconds up to a day.
    """
    seconds = number(
        target.system, connection, "resend_after_seconds", WHOLE_ANSWER * timeout, least=0, most=DAY
    )
    vars(target)["capabilities"] = replace(target.capabilities, settles_after=seconds)
    return target


@cache
def _usual_trust() -> ssl.SSLContext:
    """The certificates that everybody trusts, read once a process: it takes 40 ms, and every run makes clients."""
    return httpx.create_ssl_context()


_NO_ADDRESS: Final = "copy the connection's addresses and tokens once more, in one line and without blanks"
_UNFIT: Final = "a request holds what no address and no header may"
_ABOUT_THE_BODY: Final = ("content-encoding", "content-length", "transfer-encoding")  # as it came on the wire
_LOCAL: Final = ("127.0.0.1", "localhost", "::1")
_SENSITIVE = re.compile(r"(?i)authorization|token|secret|password|api-?key|cookie")
_LATER = "try again later; if it stays, look at the system's own state"


class _TroubleError(Exception):
    """One failed attempt. `left`: the request may have reached the vendor's work."""

    def __init__(
        self,
        reason: str,
        remedy: str = "",
        *,
        left: bool = True,
        after: float | None = None,
        bucket: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason, self.remedy, self.left, self.after, self.bucket = reason, remedy, left, after, bucket
