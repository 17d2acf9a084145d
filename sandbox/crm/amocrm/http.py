"""How amoCRM API v4 answers: envelopes, problems, limits, and what is asked of every request.

Bodies of refusals: the vendor's page of errors and replies recorded in the issues of its official client
(401, 400 by request and by id, the web server's 403). Seven requests a second an integration and fifty an
account: developers.kommo.com/docs/limitations and the page api/recommendations.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from sandbox.bitrix24.rest import parse_query
from sandbox.crm.amocrm.account import Account
from sandbox.crm.amocrm.records import Records, encode
from sandbox.crm.amocrm.tokens import Consents

INTEGRATION_LIMIT, ACCOUNT_LIMIT, LIMIT_SECONDS = 7, 50, 1.0
BLOCK_AFTER, BLOCK_WINDOW, BLOCK_SECONDS = 60, 10.0, 30.0
"""So many refusals in so many seconds shut the address out for a while: the vendor names no figures."""
MAX_BODY = 16 * 1024 * 1024
MAX_ROWS = 250
DEFAULT_LIMIT = 50
HAL, PROBLEM = "application/hal+json", "application/problem+json"
TITLES: Final = {
    400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
    429: "Too Many Requests",
}  # fmt: skip
BLOCKED_PAGE = (
    "<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
LIMIT_PAGE = BLOCKED_PAGE.replace("403 Forbidden", "429 Too Many Requests")
GATEWAY_PAGE = BLOCKED_PAGE.replace("403 Forbidden", "504 Gateway Time-out")
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_LIST_KEY = re.compile(r"^\d+$")
Asked = dict[str, Any]


class Refusal(Exception):
    """An answer of the vendor that is not a success."""

    def __init__(self, status: int, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.more = status, detail, more

    def answer(self) -> Response:
        body = {
            **{name.replace("_", "-"): value for name, value in self.more.items()},
            "title": TITLES[self.status],
            "type": f"https://httpstatus.es/{self.status}",
            "status": self.status,
            "detail": self.detail,
        }
        return Response(encode(body), self.status, media_type=PROBLEM)


def unauthorized() -> Response:
    return Refusal(401, "Неверный логин или пароль").answer()


def too_many(account: Account, wait: float = 1.0) -> Response:
    options = account.options
    if options.limit_html:
        answer = Response(LIMIT_PAGE, 429, media_type="text/html")
    else:
        answer = Refusal(429, "Request limit exceeded").answer()
    if options.retry_after:
        answer.headers["Retry-After"] = str(max(1, round(wait)))
    return answer


def hal(body: Any, status: int = 200) -> Response:
    return Response(body if isinstance(body, bytes) else encode(body), status, media_type=HAL)


def nothing() -> Response:
    return Response(None, 204)


class Gate:
    """What stands before every method: the count, the limits, the token, the rights."""

    def __init__(self, account: Account, records: Records, consents: Consents) -> None:
        self._account, self._records, self._consents = account, records, consents
        self._refused: deque[float] = deque()
        self._blocked_until = 0.0

    def __call__(
        self, handler: Callable[[Request], Awaitable[Response]], *, admin: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            self._records.at(f"{request.url.scheme}://{request.url.netloc}{request.scope['root_path']}")
            answer = self._limits(request) or self._rights(request, admin)
            if answer is None:
                try:
                    answer = await handler(request)
                except Refusal as refusal:
                    answer = refusal.answer()
            return answer

        return self.counted(guarded)

    def counted(
        self, handler: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Only what every request meets: it is counted, takes its time, and has an id for support."""

        async def answered(request: Request) -> Response:
            office = self._account.office
            office.requests += 1
            if office.latency:
                await asyncio.sleep(office.latency)
            answer = await handler(request)
            answer.headers["X-Request-Id"] = uuid.uuid4().hex
            return answer

        return answered

    def forgive(self) -> None:
        """Let a shut-out address in again, as support does."""
        self._refused.clear()
        self._blocked_until = 0.0

    def _limits(self, request: Request) -> Response | None:
        now = time.monotonic()
        if now < self._blocked_until:
            return Response(BLOCKED_PAGE, 403, media_type="text/html")
        office = self._account.office
        name = self._consents.integration(bearer(request))
        wait = office.window(name, INTEGRATION_LIMIT, LIMIT_SECONDS).knock()
        wait = wait or office.window("account", ACCOUNT_LIMIT, LIMIT_SECONDS).knock()
        if not wait:
            return None
        self._refused.append(now)
        while self._refused[0] <= now - BLOCK_WINDOW:
            self._refused.popleft()
        if len(self._refused) >= BLOCK_AFTER:
            self._blocked_until = now + BLOCK_SECONDS
            self._refused.clear()
        return too_many(self._account, wait)

    def _rights(self, request: Request, admin: bool) -> Response | None:
        if not self._consents.accepts(bearer(request)):
            return unauthorized()
        if not self._account.options.paid:
            return Refusal(402, "Account has been blocked due to non-payment").answer()
        if admin and not self._account.options.admin:
            return Refusal(403, "Access denied").answer()
        return None


def bearer(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def asked(request: Request) -> Asked:
    """Parameters of the query, with PHP's brackets as dictionaries and lists."""
    return parse_query(request.url.query) if request.url.query else {}


def paged(said: Asked, largest: int) -> tuple[int, int, bool]:
    """Page, rows a page, and whether a next page is named.

    Who asks for more than the largest page gets one of the usual size, and no next page: so clients saw it that
    asked the log of events for 250 (the public Python client, issue 76).
    """
    page, limit = whole(said.get("page", 1)) or 1, whole(said.get("limit", DEFAULT_LIMIT)) or DEFAULT_LIMIT
    if not 0 < limit <= largest:
        return max(page, 1), DEFAULT_LIMIT, limit < 0
    return max(page, 1), limit, True


def listed(value: Any) -> list[str]:
    """One value, several, or several with commas between."""
    if value is None:
        return []
    if isinstance(value, dict):
        value = [value[key] for key in value if _LIST_KEY.match(key)]
    rows = value if isinstance(value, list) else [value]
    return [part for row in rows for part in str(row).split(",") if part != ""]


def whole(value: Any) -> int | None:
    """A whole number, or None for anything else."""
    try:
        return int(str(value))
    except ValueError:
        return None


def wholes(value: Any) -> set[int]:
    return {number for part in listed(value) if (number := whole(part)) is not None}


async def said(request: Request) -> Any:
    """The JSON of a body. Raises Refusal."""
    body = await request.body()
    if len(body) > MAX_BODY:
        raise Refusal(400, "Request body is too large")
    try:
        return _decode(body)
    except msgspec.DecodeError:
        raise Refusal(400, "Request body is not valid JSON") from None


async def said_rows(request: Request) -> list[dict[str, Any]]:
    """The rows of a batch. Raises Refusal."""
    rows = await said(request)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise Refusal(400, "Invalid request body")
    if len(rows) > MAX_ROWS:
        raise Refusal(400, f"Too many entities in request: {len(rows)}, maximum is {MAX_ROWS}")
    return rows
