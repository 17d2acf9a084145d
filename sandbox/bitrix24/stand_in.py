"""A Bitrix24 portal over HTTP: `/rest/{user}/{secret}/{method}` as the vendor's incoming webhooks, `/rest/{method}`
with `auth` as its local applications, and the token server of these."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox import dirt
from sandbox.bitrix24 import projection
from sandbox.bitrix24.methods import methods
from sandbox.bitrix24.oauth import MEMBER, SCOPES, Tokens, expired
from sandbox.bitrix24.portal import Portal
from sandbox.bitrix24.rest import (
    Limits,
    Rest,
    RestError,
    method_name,
    parse_query,
    too_many_requests,
    wrong_secret,
)
from sandbox.bitrix24.table import decode, encode
from sandbox.company.days import Event
from sandbox.company.model import Company
from sandbox.faults import Faults
from sandbox.store import Store

HANDLER = "https://application.example/handler"
JSON = "application/json; charset=utf-8"
MAX_BODY = 16 * 1024 * 1024


def open_portal(company: Company, store: Store, founded: datetime) -> Portal:
    """The portal of the company as founded, with everything written since."""
    return Portal(company, store, founded)


def routes(
    portal: Portal, faults: Faults, secret: str, limits: Limits, latency: float = 0.0
) -> list[BaseRoute]:
    """The webhook's addresses, relative to the mount. `latency` in seconds delays every answer."""
    rest = Rest(methods(portal), limits)
    faults.speaks("bitrix24", "limit", lambda path: _refused(too_many_requests()))
    faults.speaks(
        "bitrix24",
        "unauthorized",
        lambda path: _refused(wrong_secret() if "/rest/1/" in path else expired()),
    )
    tokens = Tokens(portal.store, secret)

    async def webhook(request: Request) -> Response:
        name = method_name(request.path_params["method"])
        if latency:
            await asyncio.sleep(latency)
        try:
            if request.path_params["secret"] != secret:
                raise wrong_secret()
            limits.knock()
            params = await _parameters(request)
            return Response(rest.answer(name, params), media_type=JSON)
        except RestError as error:
            return _refused(error)

    async def application(request: Request) -> Response:
        name = method_name(request.path_params["method"])
        if latency:
            await asyncio.sleep(latency)
        try:
            params = await _parameters(request)
            tokens.admit(params.pop("auth", None))
            limits.knock()
            return Response(rest.answer(name, params), media_type=JSON)
        except RestError as error:
            return _refused(error)

    async def token(request: Request) -> Response:
        base = str(request.url.replace(query="")).partition("/oauth/")[0]
        try:
            return Response(encode(tokens.grant(request.query_params, base)), media_type=JSON)
        except RestError as error:
            return _refused(error)

    async def authorize(request: Request) -> Response:
        code = tokens.code(request.query_params.get("client_id", ""))
        if code is None:
            return Response("<html><body>Приложение не найдено</body></html>", 404, media_type="text/html")
        said = {"code": code, "state": request.query_params.get("state", ""), "scope": SCOPES}
        said |= {"domain": request.url.netloc, "member_id": MEMBER, "server_domain": "oauth.bitrix24.tech"}
        return Response(status_code=302, headers={"location": f"{HANDLER}?{urlencode(said)}"})

    return [
        Route("/rest/1/{secret}/{method:path}", webhook, methods=["GET", "POST"]),
        Route("/rest/{method}", application, methods=["GET", "POST"]),
        Route("/oauth/token/", token, methods=["GET"]),
        Route("/oauth/authorize/", authorize, methods=["GET"]),
    ]


def tick(portal: Portal, events: Iterable[Event]) -> dict[str, int]:
    """Show what happened in the sales department. Returns counts by kind of event."""
    counts: dict[str, int] = {}
    for event in events:
        counts[event.kind] = counts.get(event.kind, 0) + 1
        if event.entity == "deal":
            portal.project_deal(portal.company.deals[event.id], touch=event.seen)
        else:
            _show_client(portal, event)
    return counts


def truth_ids(company: Company, deal: str) -> str:
    """The portal's id of a deal of the truth."""
    return str(projection.deal_id(deal))


def _show_client(portal: Portal, event: Event) -> None:
    company = portal.company
    owners = [c for c, parties in company.clients.items() if event.id in (c, *parties)]
    for client in owners:
        moved = []
        for deal in [d for d in company.deals.values() if d.client_id == client]:
            shown = portal.items[2].get(projection.deal_id(deal.id))
            owner = projection.company_id(client, dirt.uses_duplicate(company, deal))
            if shown is not None and shown["companyId"] not in (0, owner):
                moved.append(deal)
        portal.project_client(client)
        if event.kind != "corrected":
            for deal in moved:
                portal.project_deal(deal)


def _refused(error: RestError) -> Response:
    return Response(encode(error.body()), error.status, media_type=JSON)


async def _parameters(request: Request) -> dict[str, Any]:
    """Parameters of the query and of the body, JSON or form; the body wins."""
    params = parse_query(request.url.query) if request.url.query else {}
    if request.method != "POST":
        return params
    body = await request.body()
    if len(body) > MAX_BODY:
        raise RestError(400, "INVALID_REQUEST", "Request is too large")
    if not body.strip():
        return params
    if "json" in request.headers.get("content-type", ""):
        try:
            said = decode(body)
        except ValueError:
            return params
        return {**params, **said} if isinstance(said, dict) else params
    return {**params, **parse_query(body.decode("utf-8", "replace"))}
