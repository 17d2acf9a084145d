"""A stand-in of Zoho CRM API v8 and of its accounts server, on one mount.

    POST /oauth/v2/token, /oauth/v2/token/revoke                       the accounts server
    GET  /crm/v8/{module}[/{id}|/deleted|/search|/actions/count]       reading
    POST, PUT, DELETE /crm/v8/{module}[/{id}|/upsert], …/actions/merge writing
    POST /crm/v8/coql, /crm/bulk/v8/read …, /crm/v8/__composite_requests
         /crm/v8/actions/watch                                         notifications
    GET  /crm/v8/settings/…, /users, /org, /org/currencies             metadata
    GET, POST /control/options, POST /control/authorize                the stand-in's own, without a token

An Account stands for each legal entity. Deals have no rows: those of a deal stand on its one Sales_Order
(Ordered_Items), and on its Invoice. Fields of the organisation's own are listed in `modules`, choices between
readings of the documents in `gate.Options`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.crm.zoho import bulk as zoho_bulk
from sandbox.crm.zoho import lists as zoho_lists
from sandbox.crm.zoho import query as zoho_query
from sandbox.crm.zoho import search as zoho_search
from sandbox.crm.zoho import settings as zoho_settings
from sandbox.crm.zoho import watch as zoho_watch
from sandbox.crm.zoho import write as zoho_write
from sandbox.crm.zoho.encoding import decode, encode
from sandbox.crm.zoho.gate import (
    HEAVY_ROWS,
    Answer,
    Call,
    Handler,
    Portal,
    Refused,
    authorize,
    bad_token,
    first_refresh_token,
    options_of,
    token,
    too_many,
)
from sandbox.crm.zoho.ids import source_id
from sandbox.crm.zoho.watch import hook
from sandbox.desk.records import Traits
from sandbox.office import Office

__all__ = ["TRAITS", "connection", "hook", "routes", "source_id"]

TRAITS: Final = Traits(activities=("call", "meeting"))
COMPOSITE_MOST: Final = 5
MERGE_COST: Final = 50
BULK_COST: Final = 50
METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def connection(office: Office, base: str) -> dict[str, Any]:
    """What one types into a mapping file. The refresh token is the office's first, the same at every call."""
    return {
        "accounts_url": base,
        "api_domain": base,
        "client_id": office.client_id,
        "client_secret": office.client_secret,
        "refresh_token": first_refresh_token(office),
    }


def wrong_url() -> Refused:
    return Refused(404, "INVALID_URL_PATTERN", "Please check if the URL trying to access is a correct one")


def wrong_method() -> Refused:
    return Refused(400, "INVALID_REQUEST_METHOD", "The http request method type is not a valid one")


def routes(office: Office) -> list[BaseRoute]:
    """The protocol of one organisation."""
    portal = Portal(office)
    jobs = zoho_bulk.Jobs(portal)
    office.faults.speaks("zoho", "limit", lambda path: _response(_limit_answer(path)))
    office.faults.speaks("zoho", "unauthorized", lambda path: _response(Answer.of(bad_token().body(), 401)))

    async def crm(request: Request) -> Response:
        call = await _call(request)
        return _response(await _dispatch(portal, jobs, call))

    async def accounts(request: Request) -> Response:
        if office.latency:
            await asyncio.sleep(office.latency)
        said = {**dict(request.query_params), **await _form(request)}
        return _response(token(portal, said, _base(request)))

    async def revoke(request: Request) -> Response:
        said = {**dict(request.query_params), **await _form(request)}
        if said.get("token") != first_refresh_token(office):
            return _response(Answer.of({"status": "failure", "error": "invalid_token"}, 400))
        office.tokens.revoke()
        return _response(Answer.of({"status": "success"}))

    async def options(request: Request) -> Response:
        if request.method == "POST":
            try:
                portal.choose(decode(await request.body()))
            except (ValueError, TypeError, msgspec.DecodeError) as error:
                return _response(Answer.of({"error": str(error)}, 400))
        return _response(Answer.of(options_of(portal)))

    async def again(request: Request) -> Response:
        return _response(Answer.of({"refresh_token": authorize(office)}))

    return [
        Route("/oauth/v2/token", accounts, methods=["POST"]),
        Route("/oauth/v2/token/revoke", revoke, methods=["POST"]),
        Route("/control/options", options, methods=["GET", "POST"]),
        Route("/control/authorize", again, methods=["POST"]),
        Route("/crm/{rest:path}", crm, methods=METHODS),
    ]


async def _dispatch(portal: Portal, jobs: zoho_bulk.Jobs, call: Call) -> Answer:
    """Find what a call asks for and serve it."""
    cost, heavy = 1, False
    try:
        handle = _found(portal, jobs, call)
        cost, heavy = _weight(call)
    except Refused as refused:
        wrong = refused

        def handle(portal: Portal, call: Call) -> Answer:
            raise wrong

    return await portal.serve(call, handle, cost=cost, heavy=heavy)


def _found(portal: Portal, jobs: zoho_bulk.Jobs, call: Call) -> Handler:
    """The handler of a path and method. Raises Refused when there is none."""
    parts = [part for part in call.path.split("/") if part]
    if parts[:3] == ["bulk", "v8", "read"]:
        return _bulk(jobs, call.method, parts[3:])
    if parts[:1] != ["v8"] or len(parts) < 2:
        raise wrong_url()
    one = _fixed(call.method, parts[1:])
    if one is not None:
        return one
    if parts[1] == "__composite_requests" and call.method == "POST":
        return lambda portal, call: _composite(portal, jobs, call)
    if parts[1] in ("settings", "users", "org", "actions", "coql", "__composite_requests"):
        raise wrong_method() if parts[1] in ("coql", "__composite_requests", "actions") else wrong_url()
    return _of_module(call.method, parts[1], parts[2:])


def _fixed(method: str, parts: list[str]) -> Handler | None:
    """Pages that belong to no module."""
    s = zoho_settings
    paths: dict[tuple[str, ...], dict[str, Handler]] = {
        ("settings", "modules"): {"GET": s.modules},
        ("settings", "fields"): {"GET": s.fields},
        ("settings", "layouts"): {"GET": s.layouts},
        ("settings", "pipeline"): {"GET": s.pipelines},
        ("settings", "recycle_bin"): {"GET": zoho_lists.recycle_bin},
        ("users",): {"GET": s.users},
        ("org",): {"GET": s.organisation},
        ("org", "currencies"): {"GET": s.currencies},
        ("coql",): {"POST": zoho_query.coql},
        ("actions", "watch"): {
            "GET": zoho_watch.listed, "POST": zoho_watch.enable, "PUT": zoho_watch.renew,
            "PATCH": zoho_watch.renew, "DELETE": zoho_watch.disable,
        },
    }  # fmt: skip
    found = paths.get(tuple(parts))
    if found is not None:
        if method not in found:
            raise wrong_method()
        return found[method]
    ends = {"modules": s.module, "fields": s.field, "pipeline": s.pipeline}
    if method == "GET" and len(parts) == 3 and parts[0] == "settings" and parts[1] in ends:
        one, shown = ends[parts[1]], parts[2]
        return lambda portal, call: one(portal, call, shown)
    if method == "GET" and len(parts) == 2 and parts[0] == "users":
        return lambda portal, call: s.user(portal, call, parts[1])
    return None


def _of_module(method: str, name: str, rest: list[str]) -> Handler:
    lists, write = zoho_lists, zoho_write
    whole: dict[str, Any] = {
        "GET": lists.listed,
        "POST": write.insert,
        "PUT": write.update,
        "DELETE": write.remove,
    }
    named: dict[str, dict[str, Any]] = {
        "deleted": {"GET": lists.deleted}, "search": {"GET": zoho_search.search}, "upsert": {"POST": write.upsert},
        "actions/count": {"GET": lists.count},
    }  # fmt: skip
    of_record: dict[str, Any] = {"GET": lists.single, "PUT": write.update, "DELETE": write.remove}
    joined = "/".join(rest)
    found = whole if not rest else named.get(joined)
    if found is not None:
        if method not in found:
            raise wrong_method()
        return lambda portal, call: found[method](portal, call, name)
    if len(rest) == 1:
        if method not in of_record:
            raise wrong_method()
        return lambda portal, call: of_record[method](portal, call, name, rest[0])
    if rest[1:] == ["actions", "merge"] and method == "POST":
        return lambda portal, call: write.merge(portal, call, name, rest[0])
    if len(rest) == 2 and method == "GET":
        return lambda portal, call: lists.related(portal, call, name, rest[0], rest[1])
    raise wrong_url()


def _bulk(jobs: zoho_bulk.Jobs, method: str, rest: list[str]) -> Handler:
    if not rest:
        if method != "POST":
            raise wrong_method()
        return jobs.order
    if method != "GET" or len(rest) > 2 or rest[1:] not in ([], ["result"]):
        raise wrong_url()
    if len(rest) == 1:
        return lambda portal, call: jobs.state(portal, call, rest[0])
    return lambda portal, call: jobs.result(portal, call, rest[0])


def _weight(call: Call) -> tuple[int, bool]:
    """Credits of a call, and whether it counts among the heavy ones."""
    last = call.path.rstrip("/").rpartition("/")[2]
    if last == "coql":
        return zoho_query.cost(call), True
    if last == "merge":
        return MERGE_COST, False
    if last in ("search", "__composite_requests"):
        return 1, True
    if last == "read" and call.method == "POST":
        return BULK_COST, False
    if call.method in ("POST", "PUT") and last != "watch" and call.body:
        rows = call.json.get("data")
        number = len(rows) if isinstance(rows, list) else 1
        return max(-(-number // HEAVY_ROWS), 1), number > HEAVY_ROWS
    return 1, False


def _composite(portal: Portal, jobs: zoho_bulk.Jobs, call: Call) -> Answer:
    """Up to five calls in one, run one after another."""
    rows = call.rows("__composite_requests")
    if len(rows) > COMPOSITE_MOST:
        raise Refused(400, "INVALID_DATA", "invalid data", {"api_name": "__composite_requests", "maximum_length": COMPOSITE_MOST,
                                                            "json_path": "$.__composite_requests"})  # fmt: skip
    said: list[dict[str, Any]] = []
    failed = False
    for place, row in enumerate(rows):
        uri, _, query = str(row.get("uri", "")).partition("?")
        params = {
            **dict(parse_qsl(query)),
            **{name: str(value) for name, value in (row.get("params") or {}).items()},
        }
        headers = {name.lower(): str(value) for name, value in (row.get("headers") or {}).items()}
        body = encode(row["body"]) if row.get("body") is not None else b""
        inner = Call(
            str(row.get("method", "GET")), uri.removeprefix("/crm"), params, headers, body, call.base
        )
        try:
            if "__composite_requests" in uri:
                raise Refused(
                    400,
                    "NOT_SUPPORTED",
                    "not supported",
                    {"json_path": f"$.__composite_requests[{place}].uri"},
                )
            answer = _found(portal, jobs, inner)(portal, inner)
        except Refused as refused:
            answer = Answer.of(refused.body(), refused.status)
        decoded = decode(answer.body) if answer.body else None
        response: dict[str, Any] = {"status_code": answer.status, "headers": {}, "body": decoded}
        said.append({"sub_request_id": str(row.get("sub_request_id", place + 1)), "code": "SUCCESS",
                     "details": {"response": response}, "message": "composite sub request executed", "status": "success"})  # fmt: skip
        failed = failed or answer.status >= 400
    return Answer.of({"__composite_requests": said}, 207 if failed else 200)


# ---- HTTP ---------------------------------------------------------------------------------------


async def _call(request: Request) -> Call:
    headers: Mapping[str, str] = {name.lower(): value for name, value in request.headers.items()}
    return Call(
        request.method, request.path_params["rest"], dict(request.query_params), headers, await request.body(),
        _base(request),
    )  # fmt: skip


async def _form(request: Request) -> dict[str, str]:
    """A form's fields; a body that is no form says nothing."""
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace")))


def _base(request: Request) -> str:
    """The address of the mount, as the client reached it."""
    return f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"


def _limit_answer(path: str) -> Answer:
    """The refusal of a busy accounts server is another than that of the API."""
    if "/oauth/" in path:
        description = "You have made too many requests continuously. Please try again after some time."
        return Answer.of(
            {"error_description": description, "error": "Access Denied", "status": "failure"}, 400
        )
    return Answer.of(too_many().body(), 429)


def _response(answer: Answer) -> Response:
    headers = dict(answer.headers)
    if answer.status in (204, 304):
        return Response(None, answer.status, headers)
    return Response(answer.body, answer.status, headers, answer.kind)
