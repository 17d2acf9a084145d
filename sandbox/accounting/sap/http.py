"""HTTP of the system: logon, the session with its CSRF token, limits, and the services by their addresses.

A write needs the token of its session: `x-csrf-token: Fetch` on a read gives the token and the cookie of the session,
and both go with the write. A wrong or old one is refused with 403, a text of 28 bytes and `x-csrf-token: Required`.
Source: the vendor's SDK (its CSRF middleware) and answers recorded there.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import itertools
import time
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.accounting.sap import batch, ledger_model, masters_model, sales_model, soap
from sandbox.accounting.sap.call import Call, query_of
from sandbox.accounting.sap.edm import Service
from sandbox.accounting.sap.errors import SapError, logon_failed, too_many, unavailable
from sandbox.accounting.sap.gateway import Gateway
from sandbox.accounting.sap.system import CLIENT, USER, System
from sandbox.latency import Latency

SERVICES: Final[dict[str, Service]] = {
    service.name: service
    for service in (
        masters_model.BUSINESS_PARTNER, masters_model.PRODUCT_SRV, masters_model.STOCK_SRV,
        masters_model.COMPANY_SRV, masters_model.PLANT_SRV, masters_model.GL_ACCOUNT_SRV,
        sales_model.SALES_ORDER_SRV, sales_model.BILLING_DOCUMENT_SRV, sales_model.PRICING_SRV,
        ledger_model.OPEN_ITEM_SRV, ledger_model.LINE_SRV,
    )
}  # fmt: skip
COOKIE: Final = f"SAP_SESSIONID_S4H_{CLIENT}"
SESSION_SECONDS: Final = 1800.0
MAX_SESSIONS: Final = 10_000
MAX_BODY: Final = 32 * 1024 * 1024
_METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "MERGE", "DELETE"]


class Front:
    """What stands before the services. Sessions live in memory, as the vendor's do: a restart ends them."""

    def __init__(self, system: System) -> None:
        self.system, self.books = system, system.books
        self._sessions: dict[str, tuple[str, float]] = {}  # session -> token, until
        self._numbers = itertools.count(1)
        self._busy = 0

    def routes(self) -> list[BaseRoute]:
        # The mount's own name is the first part of the vendor's paths; it may stand twice.
        found: list[BaseRoute] = []
        for prefix in ("", "/sap"):
            found += [
                Route(f"{prefix}/opu/odata/sap/{{rest:path}}", self.odata, methods=_METHODS),
                Route(f"{prefix}/bc/sec/oauth2/token", self.token, methods=["POST"]),
                Route(f"{prefix}/bc/srt/scs_ext/sap/{{name}}", self.soap, methods=["GET", "POST"]),
            ]
        return found

    async def odata(self, request: Request) -> Response:
        refused = self._enter(request)
        if refused is not None:
            return refused
        self._busy += 1
        try:
            latency = Latency()
            answer = self._odata(request, await request.body())
            await latency.over(self.books.latency)
            return answer
        finally:
            self._busy -= 1

    async def soap(self, request: Request) -> Response:
        refused = self._enter(request)
        if refused is not None:
            return refused
        latency = Latency()
        answer = soap.answer(self.system, request.path_params["name"], request.method, await request.body())
        await latency.over(self.books.latency)
        return answer

    async def token(self, request: Request) -> Response:
        """OAuth 2.0, client credentials: the client by Basic or in the form."""
        self.books.requests += 1
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        client, secret = self._basic(request) or (form.get("client_id", ""), form.get("client_secret", ""))
        if form.get("grant_type") != "client_credentials":
            return _oauth_error(400, "unsupported_grant_type", "Grant type is not supported")
        if not (client == self.books.client_id and hmac.compare_digest(secret, self.books.client_secret)):
            return _oauth_error(401, "invalid_client", "Client authentication failed")
        said = self.books.tokens.issue(refresh=False)
        return _json(
            200, {**said, "token_type": "Bearer", "scope": form.get("scope", "API_SALES_ORDER_SRV_0001")}
        )

    def expire_sessions(self) -> int:
        count = len(self._sessions)
        self._sessions.clear()
        return count

    def _enter(self, request: Request) -> Response | None:
        """The refusals before any work: too many requests, no free process, no logon."""
        self.books.requests += 1
        limit = int(self.system.option("rate_limit"))
        window = self.books.window("requests", limit, 1.0)
        if self.books.limited:
            window.limit = limit
        wait = window.knock()
        if wait:
            return too_many(seconds=max(1, round(wait)))
        if self.books.limited and self._busy >= int(self.system.option("max_parallel")):
            return unavailable()
        client = request.query_params.get("sap-client", request.headers.get("sap-client"))
        required = self.system.option("sap_client") == "required"
        if (client or (None if required else CLIENT)) != CLIENT or not self._known(request):
            return logon_failed()
        return None

    def _known(self, request: Request) -> bool:
        said = request.headers.get("authorization", "")
        if said.startswith("Bearer "):
            return self.books.tokens.accepts(said.removeprefix("Bearer ").strip())
        pair = self._basic(request)
        return pair is not None and pair[0].upper() == USER and hmac.compare_digest(pair[1], self.password)

    @property
    def password(self) -> str:
        return self.books.named("password")

    def _basic(self, request: Request) -> tuple[str, str] | None:
        said = request.headers.get("authorization", "")
        if not said.startswith("Basic "):
            return None
        try:
            user, _, password = base64.b64decode(said.removeprefix("Basic ")).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return user, password

    def _odata(self, request: Request, body: bytes) -> Response:
        rest = request.path_params["rest"]
        name, slash, path = rest.partition("/")
        service = SERVICES.get(name.partition(";")[0])
        root = f"{request.url.scheme}://{request.url.netloc}{request.url.path[: len(request.url.path) - len(path)]}"
        query, headers = query_of(request.url.query), {k.lower(): v for k, v in request.headers.items()}
        call = Call(request.method, path, query, headers, body)
        if service is None:
            return self._unknown(name, call)
        if not slash:
            target = str(request.url.replace(path=f"{request.url.path}/"))
            return Response(status_code=307, headers={"location": target})
        if request.method == "HEAD" and self.system.option("head") == "refused":
            return Response("Forbidden", 403, {"content-type": "text/plain"})
        gateway = Gateway(self.system, service, root.rstrip("/"))
        headers_out: list[tuple[str, str]] = []
        if request.method in ("GET", "HEAD"):
            if headers.get("x-csrf-token", "").lower() == "fetch":
                headers_out = self._session(request)
        elif not self._trusted(request):
            return Response(
                "CSRF token validation failed",
                403,
                {"content-type": "text/plain;charset=utf-8", "x-csrf-token": "Required"},
            )
        if len(body) > MAX_BODY:
            return Response("Request Entity Too Large", 413, {"content-type": "text/plain"})
        if path == "$batch" and request.method == "POST":
            status, found, content = batch.answer(gateway, call)
        else:
            status, found, content = gateway.finish(call, gateway.answer(call))
        response = Response(b"" if request.method == "HEAD" else content, status)
        for header, value in {**found, "sap-server": "true"}.items():
            response.headers[header] = value
        for header, value in headers_out:
            response.headers.append(header, value)
        return response

    def _unknown(self, name: str, call: Call) -> Response:
        text = f"No service found for namespace '', name '{name}', version '0001'"
        gateway = Gateway(self.system, Service(name, name, "", {}), "")
        reply = gateway.refusal(call, SapError(403, "/IWFND/MED/170", text))
        return Response(reply.raw, reply.status, reply.headers)

    def _session(self, request: Request) -> list[tuple[str, str]]:
        """The token of the session that the cookie names, or of a new one."""
        now = time.monotonic()
        session = request.cookies.get(COOKIE, "")
        held = self._sessions.get(session)
        if held is None or held[1] <= now:
            if len(self._sessions) >= MAX_SESSIONS:
                self._sessions = {key: row for key, row in self._sessions.items() if row[1] > now}
            number = next(self._numbers)
            session = f"{self.books.named(f'session:{number}:{now}')}%3d"
            held = (f"{self.books.named(f'csrf:{number}:{now}')[:22]}==", 0.0)
        self._sessions[session] = (held[0], now + SESSION_SECONDS)
        return [
            ("x-csrf-token", held[0]),
            ("set-cookie", f"sap-usercontext=sap-client={CLIENT}; path=/"),
            ("set-cookie", f"{COOKIE}={session}; path=/; HttpOnly"),
        ]

    def _trusted(self, request: Request) -> bool:
        held = self._sessions.get(request.cookies.get(COOKIE, ""))
        if held is None or held[1] <= time.monotonic():
            return False
        return hmac.compare_digest(held[0], request.headers.get("x-csrf-token", ""))


def _oauth_error(status: int, error: str, text: str) -> Response:
    return _json(status, {"error": error, "error_description": text})


def _json(status: int, said: dict[str, Any]) -> Response:
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    return Response(msgspec.json.encode(said), status, headers)
