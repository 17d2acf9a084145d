"""A stand-in of Microsoft Dynamics 365 Sales: the Dataverse Web API v9.2 with Entra ID's token page beside it.

    POST /login/{tenant}/oauth2/v2.0/token      client_credentials; tokens of an hour, no refresh token
    …    /api/data/v9.2/…                       the Web API (v9.0 and v9.1 answer alike)
    POST /control/options                       readings that the vendor leaves open, see `space.Options`
    POST /control/limits                        {"requests": 20, "execution": 60, "concurrent": 4}
    POST /control/expire-deltas                 every delta token given until now is too old

The parts: `tables` and `masters` say what the tables hold, `query`, `expand` and
`delta` how they are listed, `write` and `states` how they change, `batch`, `metadata`,
`hooks` and `limits` the rest. What is set up in this organisation stands in `tables`.
"""

from __future__ import annotations

import asyncio
import gc
import time
import uuid
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.crm.dynamics import hooks
from sandbox.crm.dynamics.batch import batch
from sandbox.crm.dynamics.limits import Protection, TooManyError
from sandbox.crm.dynamics.model import DataverseError, guid_of
from sandbox.crm.dynamics.read import read
from sandbox.crm.dynamics.request import Call, Reply, refusal
from sandbox.crm.dynamics.space import Space, decode, encode
from sandbox.crm.dynamics.write import Work
from sandbox.desk.records import Happening, Traits
from sandbox.office import Letter, Office

TRAITS: Final = Traits()
ACCESS_SECONDS: Final = 3599.0
MAX_BODY: Final = 128 * 1024 * 1024
CODES: Final = {
    "client": 1, "contact": 2, "deal": 3, "line": 1083, "invoice": 1090, "task": 4212, "employee": 8, "product": 1024,
    "price_list": 1022, "price": 1026, "pipeline": 4703, "stage": 4724, "campaign": 4400, "requisite": 0xE0FF,
}  # fmt: skip
"""The vendor's object type codes by entity of the desk; they are a part of the ids."""
_SPACES: Final[dict[int, Space]] = {}


def source_id(entity: str, number: int) -> str:
    """The GUID of a row; of a source the value of its option. A row whose GUID its creator chose (a task, say) has
    another, which stands in the desk's record as `guid`."""
    return str(99_999_999 + number) if entity == "source" else guid_of(CODES[entity], number)


def connection(office: Office, base: str) -> dict[str, Any]:
    """What one types into a mapping file: the environment's address, and the application user's credentials."""
    tenant = _tenant(office)
    return {
        "url": base, "api": f"{base}/api/data/v9.2", "tenant": tenant,
        "token_url": f"{base}/login/{tenant}/oauth2/v2.0/token", "scope": f"{base}/.default",
        "client_id": office.client_id, "client_secret": office.client_secret,
    }  # fmt: skip


def hook(office: Office, happening: Happening) -> list[Letter]:
    return hooks.letters(_space(office), office, happening)


def routes(office: Office) -> list[BaseRoute]:
    office.tokens.access_seconds = ACCESS_SECONDS
    door = Door(office)
    gc.freeze()  # the desk stays: the collector need not walk it at every turn
    office.faults.speaks(
        "dynamics", "limit", lambda path: _response(_limited(TooManyError("requests", 6000, 5)))
    )
    office.faults.speaks("dynamics", "unauthorized", lambda path: _unauthorized(office))
    methods = ["GET", "POST", "PATCH", "PUT", "DELETE"]
    return [
        Route("/login/{tenant}/oauth2/v2.0/token", door.login, methods=["POST"]),
        Route("/api/data/{version}/{path:path}", door.api, methods=methods),
        Route("/api/data/{version}", door.api, methods=methods),
        Route("/control/{what}", door.control, methods=["POST"]),
    ]


class Door:
    """What stands before the Web API: the token, the limits, the latency."""

    def __init__(self, office: Office) -> None:
        self._office, self._space = office, _space(office)
        self._protection = Protection(office)

    async def api(self, request: Request) -> Response:
        office = self._office
        office.requests += 1
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not office.tokens.accepts(token):
            return _unauthorized(office)
        with self._protection.parallel.inside() as free:
            try:
                if not free:
                    raise TooManyError("concurrent", self._protection.parallel.limit, 1)
                self._protection.knock()
            except TooManyError as error:
                return _response(_limited(error))
            body = await request.body()
            if office.latency:
                await asyncio.sleep(office.latency)
            reply = self._answer(_call(request, body))
            self._protection.charge(reply.weight)
            return _response(reply, self._protection.headers())

    def _answer(self, call: Call) -> Reply:
        try:
            if len(call.body) > MAX_BODY:
                raise DataverseError(413, "", "Payload Too Large")
            if not call.root.endswith(("/v9.0", "/v9.1", "/v9.2")):
                raise DataverseError(404, "0x8006088a", "Resource not found for the segment 'data'.")
            if call.path == "$batch" and call.method == "POST":
                return batch(self._space, call, self._one)
        except DataverseError as error:
            return refusal(error, call)
        return self._one(call)

    def _one(self, call: Call) -> Reply:
        try:
            if call.path.partition("(")[0] in hooks.SETS:
                return hooks.answer(self._space, self._office, call)
            if call.method == "GET":
                return read(self._space, call)
            work = Work(self._space, call.root)
            work.plan(call)
            return work.commit()[0]
        except DataverseError as error:
            return refusal(error, call)

    async def login(self, request: Request) -> Response:
        """Entra ID's token page. Errors are OAuth 2's with the AADSTS numbers of the vendor."""
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        office, tenant = self._office, request.path_params["tenant"]
        if self._office.latency:
            await asyncio.sleep(self._office.latency)
        refused = _refused(office, tenant, form)
        if refused is not None:
            return refused
        issued = office.tokens.issue(refresh=False)
        expires = issued["expires_in"]
        return _json({"token_type": "Bearer", "expires_in": expires, "ext_expires_in": expires,
                      "access_token": issued["access_token"]})  # fmt: skip

    async def control(self, request: Request) -> Response:
        """Switches of this stand-in; they are no part of the vendor's protocol."""
        body = await request.body()
        said = decode(body) if body.strip() else {}
        what, options = request.path_params["what"], self._space.options
        if what == "options":
            for name, value in said.items():
                if not hasattr(options, name):
                    return _json({"error": f"there is no option {name!r}"}, 400)
                setattr(options, name, value)
            return _json(
                {
                    name: getattr(options, name)
                    for name in ("closed", "in_operator", "expired_delta", "untracked")
                }
            )
        if what == "limits":
            self._protection.set(said)
            return _json({name: window.limit for name, window in self._office.windows.items()})
        if what == "expire-deltas":
            self._space.era += 1
            return _json({"era": self._space.era})
        return _json({"error": f"there is no control {what!r}"}, 404)


def _space(office: Office) -> Space:
    """The environment over the office's desk. It holds the desk, so that an id of a desk stands for one for good."""
    found = _SPACES.get(id(office.desk))
    if found is None:
        found = _SPACES[id(office.desk)] = Space(office.desk)
    return found


def _tenant(office: Office) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{office.where}.onmicrosoft.com"))


def _call(request: Request, body: bytes) -> Call:
    version = request.path_params["version"]
    host = f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"
    return Call(
        request.method, f"{host}/api/data/{version}", request.path_params.get("path", ""), request.url.query,
        {name.lower(): value for name, value in request.headers.items()}, body,
    )  # fmt: skip


def _response(reply: Reply, extra: dict[str, str] | None = None) -> Response:
    headers = {
        "OData-Version": "4.0",
        "x-ms-service-request-id": str(uuid.uuid4()),
        **(extra or {}),
        **reply.headers,
    }
    headers["REQ_ID"] = headers["x-ms-service-request-id"]
    return Response(reply.body, reply.status, headers)


def _limited(error: TooManyError) -> Reply:
    reply = refusal(error)
    reply.headers["Retry-After"] = str(error.after)
    return reply


def _unauthorized(office: Office) -> Response:
    where = f"https://login.microsoftonline.com/{_tenant(office)}/oauth2/authorize"
    challenge = f"Bearer authorization_uri={where}, resource_id=https://{office.where}.crm.dynamics.com/"
    return Response("HTTP Error 401 - Unauthorized: Access is denied", 401,
                    {"WWW-Authenticate": challenge, "REQ_ID": str(uuid.uuid4())}, media_type="text/plain")  # fmt: skip


def _refused(office: Office, tenant: str, form: dict[str, str]) -> Response | None:
    """What is wrong with a request for a token, in the order in which Entra ID looks."""
    missing = [name for name in ("grant_type", "client_id", "scope") if name not in form]
    if missing:
        text = f"The request body must contain the following parameter: '{missing[0]}'."
        return _aadsts(400, "invalid_request", 900144, text)
    if tenant != _tenant(office):
        text = f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID."
        return _aadsts(400, "invalid_request", 90002, text)
    if form["grant_type"] != "client_credentials":
        text = f"The app requested an unsupported grant type '{form['grant_type']}'."
        return _aadsts(400, "unsupported_grant_type", 70003, text)
    if form["client_id"] != office.client_id:
        text = f"Application with identifier '{form['client_id']}' was not found in the directory '{tenant}'."
        return _aadsts(400, "unauthorized_client", 700016, text)
    if form.get("client_secret") != office.client_secret:
        text = (
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
            f"value, not the client secret ID, for a secret added to app '{office.client_id}'."
        )
        return _aadsts(401, "invalid_client", 7000215, text)
    if not form["scope"].endswith("/.default"):
        text = (
            f"The provided value for scope {form['scope']} is not valid. Client credential flows must have a scope "
            "value with /.default suffixed to the resource identifier (application ID URI)."
        )
        return _aadsts(400, "invalid_scope", 1002012, text)
    return None


def _aadsts(status: int, error: str, number: int, text: str) -> Response:
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    now = datetime.fromtimestamp(time.time(), UTC)
    return _json({
        "error": error,
        "error_description": f"AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {correlation} "
        f"Timestamp: {now:%Y-%m-%d %H:%M:%SZ}",
        "error_codes": [number], "timestamp": f"{now:%Y-%m-%d %H:%M:%SZ}", "trace_id": trace,
        "correlation_id": correlation, "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }, status)  # fmt: skip


def _json(value: Any, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json; charset=utf-8")
