"""Megaplan API v3 over HTTP: `{mount}/api/v3/…`, as the vendor's cloud serves it.

    POST /api/v3/auth/access_token     password and refresh_token grants; a refresh token is good once
    GET  /api/v3/deal?{"limit":100}    parameters are one JSON object in the query

What the documentation leaves open stands in `manners`, with the reading that is played. The pages
under {mount}/control/ are the stand-in's own:

    GET, POST         /control/options    the readings in force
    GET, POST, DELETE /control/webhook    the application card: {"url": "https://…", "streams": ["deals"]}
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.crm.megaplan import values
from sandbox.crm.megaplan.api import HOUR, call, knock
from sandbox.crm.megaplan.portal import Portal, portal_of
from sandbox.crm.megaplan.protocol import (
    MAX_BODY,
    GrantError,
    RefusedError,
    answer,
    bearer_of,
    body_of,
    encode,
    form_of,
    query_of,
    refused,
    too_many,
    unauthorized,
)
from sandbox.desk.records import Happening, Traits
from sandbox.office import Letter, Office

TRAITS: Final = Traits(requisites=True, backdates=False)
TOKEN_SECONDS: Final = 172_800
STREAMS: Final = {"client": "contractors", "contact": "contractors", "deal": "deals", "task": "tasks",
                  "employee": "employees", "invoice": "invoices"}  # fmt: skip
EVENTS: Final = {"added": "on_after_create", "changed": "on_after_update", "restored": "on_after_update",
                 "deleted": "on_after_drop", "merged": "on_after_drop"}  # fmt: skip
ALL_STREAMS: Final = (
    "contractors",
    "deals",
    "events",
    "tasks",
    "projects",
    "employees",
    "invoices",
    "operations",
)
MAX_HOOKS: Final = 20


def source_id(entity: str, number: int) -> str:
    """The id that the account shows: a string of digits, unique among records of one contentType."""
    return values.source_id(entity, number)


def connection(office: Office, base: str) -> dict[str, Any]:
    """What one types: the account's address, a user, the first refresh token, an application's own token."""
    kept = office.desk.store.collection(f"megaplan.{office.where}")
    if "refresh" not in kept:
        office.tokens.access_seconds = TOKEN_SECONDS
        kept.put("refresh", {"token": office.tokens.issue()["refresh_token"]})
    return {
        "url": base,
        "username": _user(office),
        "password": office.named("password"),
        "refresh_token": kept["refresh"]["token"],
        "application_token": office.named("application"),
    }


def routes(office: Office) -> list[BaseRoute]:
    """The protocol, relative to the mount."""
    office.tokens.access_seconds = TOKEN_SECONDS
    portal = portal_of(office)
    vendor = office.where.partition("-")[0]
    office.faults.speaks(vendor, "limit", lambda path: refused(too_many(60)))
    office.faults.speaks(vendor, "unauthorized", lambda path: refused(unauthorized()))

    async def api(request: Request) -> Response:
        office.requests += 1
        if office.latency:
            await asyncio.sleep(office.latency)
        try:
            query = query_of(request.url.query)
            knock(portal)
            _authorize(office, bearer_of(request.headers, query))
            body = await request.body()
            if len(body) > MAX_BODY:
                raise RefusedError(422, "The request is too large")
            said = body_of(body) if request.method == "POST" else None
            with office.desk.store.together():
                return answer(call(portal, request.method, request.path_params["path"], query, said))
        except RefusedError as error:
            return refused(error, portal.manners.said_inside)

    async def token(request: Request) -> Response:
        office.requests += 1
        if office.latency:
            await asyncio.sleep(office.latency)
        try:
            knock(portal)
            said = form_of(await request.body(), request.headers.get("content-type", ""))
            return answer(encode(_grant(office, said)), headers={"Cache-Control": "no-store"})
        except GrantError as error:
            body = {"error": error.error, "error_description": error.description}
            return answer(encode(body), 400, {"Cache-Control": "no-store"})
        except RefusedError as error:
            return refused(error)

    return [
        Route("/api/v3/auth/access_token", token, methods=["POST"]),
        Route("/api/v3/{path:path}", api, methods=["GET", "POST", "DELETE", "PUT", "PATCH"]),
        *_control(office, portal),
    ]


def hook(office: Office, happening: Happening) -> list[Letter]:
    """What the account posts to each application that listens to the stream: the whole entity, no signature."""
    stream = STREAMS.get(happening.entity)
    listening = [row for row in office.hooks if stream in row["streams"]]
    if stream is None or not listening:
        return []
    card = portal_of(office).card(happening.entity, happening.number)
    model = values.CONTENT_TYPES[happening.entity]
    body = b'{"event":"%s","model":"%s","data":%s}' % (EVENTS[happening.kind].encode(), model.encode(), card)
    return [Letter(row["url"], body, {"Content-Type": "application/json"}) for row in listening]


def _control(office: Office, portal: Portal) -> list[BaseRoute]:
    async def options(request: Request) -> Response:
        if request.method == "POST":
            try:
                said = body_of(await request.body())
                portal.manners.change(said if isinstance(said, dict) else {})
            except (ValueError, RefusedError) as error:
                return answer(encode({"error": str(error)}), 400)
            if "requests_per_hour" in said:
                office.window("hour", portal.manners.requests_per_hour, HOUR).limit = said[
                    "requests_per_hour"
                ]
            portal.forget()
        return answer(encode(portal.manners.told()))

    async def webhook(request: Request) -> Response:
        if request.method != "GET":
            try:
                said = body_of(await request.body())
            except RefusedError as error:
                return answer(encode({"error": error.message}), 400)
            url = said.get("url") if isinstance(said, dict) else None
            streams = said.get("streams", list(ALL_STREAMS)) if isinstance(said, dict) else []
            if not isinstance(url, str) or not url.startswith(("http://", "https://")):
                return answer(encode({"error": "url is not an http address"}), 400)
            if request.method == "DELETE":
                return answer(encode({"removed": office.unsubscribe(url)}))
            if not isinstance(streams, list) or set(streams) - set(ALL_STREAMS):
                return answer(encode({"error": f"streams are some of {', '.join(ALL_STREAMS)}"}), 400)
            if len(office.hooks) >= MAX_HOOKS:
                return answer(encode({"error": f"{MAX_HOOKS} applications listen already"}), 400)
            office.subscribe(url, {"url": url, "streams": streams})
        return answer(encode(office.hooks))

    return [
        Route("/control/options", options, methods=["GET", "POST"]),
        Route("/control/webhook", webhook, methods=["GET", "POST", "DELETE"]),
    ]


def _authorize(office: Office, token: str) -> None:
    if token != office.named("application") and not office.tokens.accepts(token):
        raise unauthorized()


def _grant(office: Office, said: dict[str, str]) -> dict[str, Any]:
    """The token's answer to a grant. Raises GrantError."""
    kind = said.get("grant_type")
    made: dict[str, Any] | None = None
    if kind == "password":
        if (said.get("username"), said.get("password")) != (_user(office), office.named("password")):
            raise GrantError("invalid_grant", "Invalid username and password combination")
        made = office.tokens.issue()
    elif kind == "refresh_token":
        made = office.tokens.refresh(said.get("refresh_token", ""), rotate=True)
    else:
        error = "unsupported_grant_type" if kind else "invalid_request"
        raise GrantError(error, "Invalid grant_type parameter or parameter missing")
    if made is None:
        raise GrantError("invalid_grant", "Invalid refresh token")
    return {
        "access_token": made["access_token"], "expires_in": made["expires_in"], "token_type": "bearer",
        "scope": None, "refresh_token": made["refresh_token"],
    }  # fmt: skip


def _user(office: Office) -> str:
    return f"{office.client_id}@example.test"
