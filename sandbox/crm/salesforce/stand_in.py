"""A Salesforce organization: OAuth, REST, Bulk API 2.0, composites, replication calls and outbound messages.

    POST /services/oauth2/token | revoke          GET /services/oauth2/authorize | userinfo
    POST /services/Soap/u/XX.X                    login() alone
    GET  /services/data                           versions
         /services/data/vXX.X/…                   see `server`
    GET, POST /control/options                    readings that can be switched: `rest.Options`

An organization sees each legal entity as an account, and deals, lines and prices as Opportunity,
OpportunityLineItem and PricebookEntry. It has no invoices.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.crm.salesforce.ids import record_id
from sandbox.crm.salesforce.ids import source_id as _source_id
from sandbox.crm.salesforce.login import Login
from sandbox.crm.salesforce.messages import letters
from sandbox.crm.salesforce.objects import organization_id
from sandbox.crm.salesforce.rest import NEWEST, OLDEST, Answer, Call, Options, Refusal, Setting, missing
from sandbox.crm.salesforce.server import MAX_URL, Server
from sandbox.desk.records import Happening, Traits
from sandbox.office import Letter, Office

TRAITS: Final = Traits()
API_VERSION: Final = "61.0"
MAX_CALLS_UNDER_WAY: Final = 1000
_METHODS: Final = ["GET", "POST", "PATCH", "PUT", "DELETE"]


def source_id(entity: str, number: int) -> str:
    """What the CRM shows for a number of the desk: an 18-character id, or a picklist's value."""
    return _source_id(entity, number)


def hook(office: Office, happening: Happening) -> list[Letter]:
    """Outbound messages about something that happened."""
    return letters(office, happening)


def connection(office: Office, base: str) -> dict[str, Any]:
    """What an administrator reads off the connected app and the integration user's letter.

    The refresh token is issued once. When it is rotated or revoked, `authorize` and the grant authorization_code
    give another, as the consent of an administrator does.
    """
    login = Login(Setting(office, Options()))
    kept = office.desk.store.collection(f"salesforce.connection.{office.where}")
    known = kept.get("refresh")
    if known is None:
        known = {"token": office.tokens.issue(f"{organization_id()[:15]}!")["refresh_token"]}
        kept.put("refresh", known)
    return {
        "instance_url": base,
        "token_url": f"{base}/services/oauth2/token",
        "api_version": API_VERSION,
        "client_id": office.client_id,
        "client_secret": office.client_secret,
        "refresh_token": known["token"],
        "username": login.username,
        "password": login.password,
        "security_token": login.security_token,
    }


def routes(office: Office) -> list[BaseRoute]:
    """The organization's addresses; see the top of this module."""
    door = _Door(office)
    return [
        Route("/services/oauth2/{what}", door.oauth, methods=["GET", "POST"]),
        Route("/services/Soap/u/{version:path}", door.soap, methods=["POST"]),
        Route("/services/data/{path:path}", door.data, methods=_METHODS),
        Route("/services/data", door.data, methods=["GET"]),
        Route("/control/options", door.control, methods=["GET", "POST"]),
    ]


class _Door:
    """What every request passes: counting, tokens, limits, headers."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._options = Options()
        self._server = Server(office, self._options)
        self._login = Login(self._server.setting)
        self._under_way: dict[int, float] = {}
        self._numbers = 0
        vendor = office.where.partition("-")[0]
        office.faults.speaks(vendor, "limit", lambda path: _refused(_exhausted()))
        office.faults.speaks(vendor, "unauthorized", lambda path: _refused(_unauthorized()))

    async def data(self, request: Request) -> Response:
        return await self._counted(self._data, request)

    async def oauth(self, request: Request) -> Response:
        return await self._counted(self._oauth, request)

    async def soap(self, request: Request) -> Response:
        async def answer(said: Request) -> Response:
            version = said.path_params["version"].strip("/") or API_VERSION
            return _response(self._login.soap(await said.body(), _base(said), version.partition("/")[0]))

        return await self._counted(answer, request)

    async def control(self, request: Request) -> Response:
        """The switches: GET shows them, POST sets those that it names. 400 for others."""
        if request.method == "POST":
            try:
                said = msgspec.json.decode(await request.body() or b"{}")
                _set(self._options, said)
            except (ValueError, TypeError, msgspec.MsgspecError) as error:
                return _response(Answer(400, {"error": str(error)}))
        return _response(Answer(200, asdict(self._options)))

    async def _counted(self, answer: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
        self._office.requests += 1
        if len(self._under_way) >= MAX_CALLS_UNDER_WAY:
            return _refused(_concurrent())
        self._numbers += 1
        number = self._numbers
        self._under_way[number] = time.monotonic()
        try:
            if self._office.latency:
                await asyncio.sleep(self._office.latency)
            return await answer(request)
        finally:
            del self._under_way[number]

    async def _data(self, request: Request) -> Response:
        parts = [part for part in request.path_params.get("path", "").split("/") if part]
        if not parts:
            return _response(Answer(200, self._server.versions()))
        try:
            self._admit(request)
            version = parts[0].removeprefix("v")
            if parts[0][:1] != "v" or not _known(version):
                raise missing()
            method = request.query_params.get("_HttpMethod", request.method).upper()
            call = Call(
                method, version, "/".join(_raw_parts(request)[1:]),
                request.query_params, await request.body(), request.headers,
            )  # fmt: skip
            answer = self._server.answer(call)
        except Refusal as refusal:
            answer = Answer(refusal.status, refusal.body())
        if answer.status != 401:
            answer.headers["Sforce-Limit-Info"] = self._server.usage()
        return _response(answer)

    def _admit(self, request: Request) -> None:
        token = request.headers.get("authorization", "")
        kind, _, said = token.partition(" ")
        if kind not in ("Bearer", "OAuth") or not self._office.tokens.accepts(said):
            raise _unauthorized()
        if len(str(request.url)) > MAX_URL:
            raise Refusal(414, "URI_TOO_LONG", "The length of the URI exceeds the supported maximum")
        since = time.monotonic() - self._options.long_call_seconds
        others = sum(1 for begun in self._under_way.values() if begun <= since) - (
            1 if self._options.long_call_seconds <= 0 else 0
        )
        if self._office.limited and others >= self._options.long_calls:
            raise _concurrent()
        if self._server.daily().knock():
            raise _exhausted()

    async def _oauth(self, request: Request) -> Response:
        what = request.path_params["what"]
        if what == "token" and request.method == "POST":
            return _response(self._login.token(await request.body(), request.headers, _base(request)))
        if what == "authorize":
            return _response(self._login.authorize(request.query_params))
        if what == "revoke":
            form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
            return _response(self._login.revoke(request.query_params.get("token") or form.get("token", "")))
        if what == "userinfo":
            try:
                self._admit(request)
            except Refusal as refusal:
                return _refused(refusal)
            said = {
                "sub": f"{_base(request)}/id/{organization_id()}/{record_id('005', 1)}",
                "user_id": record_id("005", 1), "organization_id": organization_id(),
                "preferred_username": self._login.username, "active": True,
            }  # fmt: skip
            return _response(Answer(200, said))
        return _refused(missing())


def _set(options: Options, said: Any) -> None:
    if not isinstance(said, dict):
        raise ValueError("the body is not a JSON object")
    known = {field.name for field in fields(options)}
    if set(said) - known:
        raise ValueError(
            f"no option {', '.join(sorted(set(said) - known))}; there are {', '.join(sorted(known))}"
        )
    for name, value in said.items():
        if name == "emptied_at":
            value = datetime.fromisoformat(value) if value else None
        elif type(value) is not type(getattr(Options(), name)) and not isinstance(value, int):
            raise ValueError(f"{name} must be {type(getattr(Options(), name)).__name__}")
        setattr(options, name, value)


def _known(version: str) -> bool:
    number, _, rest = version.partition(".")
    return number.isdigit() and rest == "0" and OLDEST <= int(number) <= NEWEST


def _raw_parts(request: Request) -> list[str]:
    """The path below /services/data with its escapes kept, so that a key may hold a slash."""
    raw = request.scope.get("raw_path") or request.url.path.encode()
    path = raw.decode("ascii", "replace").partition("/services/data/")[2]
    return [part for part in path.split("/") if part]


def _base(request: Request) -> str:
    """The address of this mount, as the caller wrote it."""
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"


def _response(answer: Answer) -> Response:
    return Response(answer.content(), answer.status, answer.headers, media_type=answer.kind)


def _refused(refusal: Refusal) -> Response:
    return _response(Answer(refusal.status, refusal.body()))


def _unauthorized() -> Refusal:
    return Refusal(401, "INVALID_SESSION_ID", "Session expired or invalid")


def _exhausted() -> Refusal:
    return Refusal(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")


def _concurrent() -> Refusal:
    return Refusal(
        403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    )
