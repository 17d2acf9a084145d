"""Failures on order: rules set over `/control/faults`, applied by one ASGI middleware around the work.

Kinds that need no vendor knowledge are done here; `limit` and `unauthorized` ask the vendor module for its
true body. Rules are tried in the order they were set; the first that matches and has uses left is taken.

    drop_before, drop_after     the connection is cut before the work, after it
    slow, late                  the work begins `seconds` later; it is done at once and answered `seconds` later, so that
                                answers to requests side by side come in another order
    html                        a login page instead of data, status 200
    http_429_html, http_502_html, http_503_html   a proxy's page; nothing was done
    http_504_html               a proxy's page; the work is done, but took the proxy too long
    http_500                    an error of the system itself; nothing was done
    limit, unauthorized         the vendor's own refusals: too many requests, a token that it does not know
    truncate                    half of the answer
    repeat                      the answer to the request before, of the same method and path, once more; no work
    die                         the whole sandbox ends after the work, unanswered
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Where = str
"""The name of a mount: bitrix24, onec, or that of a vendor's stand-in."""
Kind = Literal[
    "drop_after",
    "drop_before",
    "slow",
    "late",
    "html",
    "http_429_html",
    "http_500",
    "http_502_html",
    "http_503_html",
    "http_504_html",
    "limit",
    "truncate",
    "unauthorized",
    "repeat",
    "die",
]
KINDS: tuple[str, ...] = get_args(Kind)
MAX_RULES = 100
MAX_SECONDS = 600.0
DIED = 137
"""Exit status after `die`, that of a process killed with SIGKILL."""

VendorAnswer = Callable[[str], Response]
"""Gives the vendor's own refusal for a request path."""

LOGIN_PAGE = (
    "<!DOCTYPE html><html><head><title>Авторизация</title></head><body>"
    '<form method="post" action="/auth/"><input name="USER_LOGIN"><input type="password" '
    'name="USER_PASSWORD"></form></body></html>'
)
PROXY_WORDS = {
    "http_429_html": "429 Too Many Requests",
    "http_502_html": "502 Bad Gateway",
    "http_503_html": "503 Service Temporarily Unavailable",
    "http_504_html": "504 Gateway Time-out",
}


@dataclass(slots=True)
class Rule:
    """One failure on order. `match` is a part of the path, `times=None` is for ever.

    `used` counts requests that it struck, `done` those of them that went wrong by it (nothing to repeat is no failure),
    `overtaken` late answers before which that to a later request came.
    """

    where: str
    kind: str
    match: str = ""
    http_method: str | None = None
    times: int | None = 1
    probability: float = 1.0
    seconds: float = 1.0
    used: int = 0
    done: int = 0
    overtaken: int = 0

    @classmethod
    def read(cls, said: dict[str, Any]) -> Rule:
        """Check one rule from JSON. Raises ValueError with what is wrong and what would be right."""
        unknown = set(said) - {"where", "kind", "match", "http_method", "times", "probability", "seconds"}
        if unknown:
            raise ValueError(f"a fault has no field {', '.join(sorted(unknown))}")
        rule = cls(
            where=str(said.get("where", "")),
            kind=str(said.get("kind", "")),
            match=str(said.get("match") or ""),
            http_method=said["http_method"].upper() if said.get("http_method") else None,
            times=None if said.get("times", 1) is None else int(said.get("times", 1)),
            probability=float(said.get("probability", 1.0)),
            seconds=float(said.get("seconds", 1.0)),
        )
        if rule.kind not in KINDS:
            raise ValueError(f"kind is {rule.kind!r}; give one of {', '.join(KINDS)}")
        if not 0.0 <= rule.probability <= 1.0:
            raise ValueError(f"probability is {rule.probability}; give 0 to 1")
        if not 0.0 <= rule.seconds <= MAX_SECONDS:
            raise ValueError(f"seconds is {rule.seconds}; give 0 to {MAX_SECONDS:.0f}")
        return rule


@dataclass
class Faults:
    """The rules in force. `vendor` holds, by (where, kind), how a vendor itself words a refusal."""

    seed: int = 0
    rules: list[Rule] = field(default_factory=list)
    places: set[str] = field(default_factory=lambda: {"bitrix24", "onec"})
    vendor: dict[tuple[str, str], VendorAnswer] = field(default_factory=dict)
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def add(self, said: dict[str, Any]) -> Rule:
        if len(self.rules) >= MAX_RULES:
            raise ValueError(f"{MAX_RULES} faults are set already; DELETE /control/faults first")
        rule = Rule.read(said)
        if rule.where not in self.places:
            raise ValueError(f"where is {rule.where!r}; give one of {', '.join(sorted(self.places))}")
        self.rules.append(rule)
        return rule

    def clear(self) -> None:
        self.rules.clear()

    def listed(self) -> list[dict[str, Any]]:
        return [asdict(rule) for rule in self.rules]

    def speaks(self, where: Where, kind: Literal["limit", "unauthorized"], answer: VendorAnswer) -> None:
        """Register a vendor's own body for `limit` or `unauthorized`."""
        self.vendor[where, kind] = answer

    def take(self, where: str, http_method: str, path: str) -> Rule | None:
        """The rule that strikes this request, its use counted, or None."""
        for rule in self.rules:
            if rule.where != where or rule.match not in path:
                continue
            if rule.http_method is not None and rule.http_method != http_method:
                continue
            if rule.times is not None and rule.used >= rule.times:
                continue
            if rule.probability < 1.0 and self._rng.random() >= rule.probability:
                continue
            rule.used += 1
            return rule
        return None


class ConnectionDroppedError(Exception):
    """Raised out of the application so that the server closes the connection without an answer."""


class FaultMiddleware:
    """Applies the rules of one mount (`where`) to its requests.

    The last good body of each (method, path without query) is kept for `repeat` while any rule is set.
    """

    def __init__(self, app: ASGIApp, faults: Faults, where: Where) -> None:
        self._app = app
        self._faults = faults
        self._where = where
        self._last: dict[tuple[str, str], _Recorded] = {}
        self._begun = 0
        self._latest = 0  # of the requests that were answered, the one that came last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] != "http" or not self._faults.rules:
                await self._app(scope, receive, send)
            else:
                await self._answer(scope, receive, send)
        except ClientDisconnect:
            return  # whoever asked was gone before the request was read

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._begun += 1
        number = self._begun
        method, path = scope["method"], scope["path"]
        rule = self._faults.take(self._where, method, path)
        kind = rule.kind if rule else None
        repeated = self._last.get((method, path)) if kind == "repeat" else None
        if rule is not None:
            rule.done += kind != "repeat" or repeated is not None
        if rule is not None and kind == "slow":
            await asyncio.sleep(rule.seconds)
        instead = self._instead(kind, path)
        if kind == "drop_before":
            await _drop(scope, send)
        elif instead is not None:
            await instead(scope, receive, send)
        elif repeated is not None:
            await repeated.replay(send)
        else:
            await self._work(rule, number, scope, receive, send)
        self._latest = max(self._latest, number)

    def _instead(self, kind: str | None, path: str) -> Response | None:
        """The answer in place of the work, where there is one."""
        if kind == "html":
            return Response(LOGIN_PAGE, media_type="text/html")
        if kind == "http_500":
            return Response('{"error":"INTERNAL_SERVER_ERROR"}', 500, media_type="application/json")
        if kind in PROXY_WORDS and kind != "http_504_html":
            return _proxy_page(kind)
        if kind in ("limit", "unauthorized"):
            return self._faults.vendor[self._where.partition("-")[0], kind](path)
        return None

    async def _work(self, rule: Rule | None, number: int, scope: Scope, receive: Receive, send: Send) -> None:
        kind = rule.kind if rule else None
        recorded = _Recorded()
        await self._app(scope, receive, recorded.take)
        if kind == "die":
            os._exit(DIED)
        if kind == "drop_after":
            await _drop(scope, send)
            return
        if kind == "http_504_html":
            await _proxy_page(kind)(scope, receive, send)
            return
        if kind == "truncate":
            recorded.halve()
        else:
            self._last[scope["method"], scope["path"]] = recorded
        if rule is not None and kind == "late":
            await asyncio.sleep(rule.seconds)
            rule.overtaken += self._latest > number
        await recorded.replay(send)


@dataclass
class _Recorded:
    start: Message = field(default_factory=dict)
    body: bytes = b""

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    def halve(self) -> None:
        self.body = self.body[: len(self.body) // 2]
        headers = [(k, v) for k, v in self.start["headers"] if k.lower() != b"content-length"]
        headers.append((b"content-length", str(len(self.body)).encode()))
        self.start = {**self.start, "headers": headers}

    async def replay(self, send: Send) -> None:
        await send(self.start)
        await send({"type": "http.response.body", "body": self.body})


def _proxy_page(kind: str) -> Response:
    words = PROXY_WORDS[kind]
    page = (
        f"<html><head><title>{words}</title></head><body><center><h1>{words}</h1></center><hr><center>nginx</center>"
        "</body></html>"
    )
    return Response(page, int(words[:3]), media_type="text/html")


async def _drop(scope: Scope, send: Send) -> None:
    """Close the connection without an answer: through the server's own transport when it shows one."""
    transport = scope.get("sverka.transport")
    if transport is not None:
        transport.abort()
        await asyncio.sleep(0)  # lets the server notice, so that it asks for no answer
        return
    raise ConnectionDroppedError(scope["path"])
