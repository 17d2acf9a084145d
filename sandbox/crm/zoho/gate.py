"""The door of the stand-in: what a call is, who may come in, how many at once, and how refusals are worded.

Two readings of the vendor's documents stand side by side where they cannot be told apart from outside: `Options`
names them with the one that is played unless told otherwise, and POST /control/options changes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Final, Literal

import msgspec

from sandbox.crm.zoho.encoding import Encoded, decode, encode
from sandbox.crm.zoho.modules import MODULES, Module
from sandbox.crm.zoho.view import View
from sandbox.office import Office, Window

ACCESS_SECONDS: Final = 3600
TOKENS_AT_ONCE: Final = (10, 600.0)
"""Access tokens that one refresh token yields in so many seconds."""
CREDITS: Final = 50_000
CREDITS_A_USER: Final = 1_000
DAY: Final = 86_400.0
AT_ONCE: Final = 20
"""Calls of one application under way at a time, in the edition played here (Enterprise)."""
HEAVY_AT_ONCE: Final = 10
HEAVY_ROWS: Final = 10
PREFIX: Final = "1000."
JSON: Final = "application/json;charset=UTF-8"


@dataclass(frozen=True)
class Options:
    """Where the documents leave a choice, and what a test may want smaller. The defaults are the vendor's figures,
    and of two readings the one that breaks a careless client.

    since               whether If-Modified-Since gives a record of that very second
    token_walk          page_token goes on after the last row's key, or at its position
    token_binds_fields  another `fields` spoils a page_token
    bearer              "Authorization: Bearer" is accepted as well
    modified_since_locks  If-Modified-Since on an update is a lock too: 412 RECORD_MODIFIED
    all_failed          the status when every row of a write was refused
    deleted_none        the status when nothing was deleted since If-Modified-Since
    merged_type         how the loser of a merge stands in deleted lists
    lines_in_lists      lists give the rows of orders and invoices too
    coql_rows, token_rows, bulk_rows   rows of a query, of a chain of page_tokens, of a page of a bulk job
    bulk_criteria       what becomes of a bulk job's condition on ids
    bulk_polls          times that a bulk job says it is not ready yet
    credits, at_once    credits a day instead of the edition's; calls under way at a time, 5 to 25 by edition
    hidden              fields that the user's profile does not show, as "Deals.Debt": as if not there
    denied              parts of paths for which the client has no scope, as "coql" or "Invoices"
    """

    since: Literal["exclusive", "inclusive"] = "exclusive"
    token_walk: Literal["keyset", "offset"] = "keyset"
    token_binds_fields: bool = True
    bearer: bool = False
    modified_since_locks: bool = True
    all_failed: Literal[400, 202] = 400
    deleted_none: Literal[304, 204] = 304
    merged_type: Literal["permanent", "recycle"] = "permanent"
    lines_in_lists: bool = False
    coql_rows: int = 2000
    token_rows: int = 100_000
    bulk_rows: int = 200_000
    bulk_criteria: Literal["heeded", "ignored", "refused"] = "heeded"
    bulk_polls: int = 1
    credits: int | None = None
    at_once: int = AT_ONCE
    hidden: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()


class Refused(Exception):
    """A refusal as the vendor words it."""

    def __init__(
        self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.details = status, code, message, dict(details or {})

    def body(self) -> dict[str, Any]:
        return {"code": self.code, "details": self.details, "message": self.message, "status": "error"}


@dataclass
class Call:
    """One request. `headers` are by lower-case name, `base` is the address of the mount."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    base: str

    @cached_property
    def json(self) -> dict[str, Any]:
        """The body. Raises Refused when it is no JSON object."""
        try:
            said = decode(self.body)
        except msgspec.DecodeError:
            said = None
        if not isinstance(said, dict):
            raise Refused(400, "INVALID_DATA", "body", {"expected_data_type": "jsonobject"})
        return said

    def rows(self, name: str = "data") -> list[dict[str, Any]]:
        """The objects under `name`. Raises Refused when there are none."""
        said = self.json.get(name)
        if said is None:
            raise Refused(400, "MANDATORY_NOT_FOUND", "required field not found",
                          {"api_name": name, "json_path": f"$.{name}"})  # fmt: skip
        if not isinstance(said, list) or not said or not all(isinstance(row, dict) for row in said):
            raise Refused(400, "INVALID_DATA", "invalid data",
                          {"expected_data_type": "jsonarray", "api_name": name, "json_path": f"$.{name}"})  # fmt: skip
        return said


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int = 200
    body: bytes = b""
    kind: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, said: Any, status: int = 200) -> Answer:
        return cls(status, encode(said))


EMPTY: Final = Answer(204)
NOT_MODIFIED: Final = Answer(304)
Handler = Callable[["Portal", Call], Answer]


def too_many() -> Refused:
    """Of credits and of calls at once alike; the vendor names no time to wait."""
    return Refused(429, "TOO_MANY_REQUESTS", "too many requests. please try again after some time")


def bad_token() -> Refused:
    return Refused(401, "INVALID_TOKEN", "invalid oauth token")


class AtOnce(Window):
    """So many calls under way at a time; `leave` frees a place."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit, 0.0)
        self.under_way = 0

    def knock(self) -> float:
        if self.under_way >= self.limit:
            self.denied += 1
            return 1.0
        self.under_way += 1
        self.granted += 1
        self.peak = max(self.peak, self.under_way)
        return 0.0

    def leave(self) -> None:
        self.under_way -= 1

    def forget(self) -> None:
        self.granted = self.denied = 0
        self.peak = self.under_way


class Portal:
    """One organisation: its office, its records in this CRM's words, and the choices in force."""

    def __init__(self, office: Office) -> None:
        self.office, self.view = office, View(office.desk)
        self.encoded = Encoded(self.view)
        self.options = Options()
        self._modules: dict[str, Module] = {}
        office.tokens.access_seconds = ACCESS_SECONDS
        self.kept = office.desk.store.collection(f"zoho.{office.where}")
        endless = 1 << 60
        self._all, self._heavy = (
            AtOnce(limit if office.limited else endless) for limit in (AT_ONCE, HEAVY_AT_ONCE)
        )
        office.windows["concurrency"], office.windows["concurrency.heavy"] = self._all, self._heavy
        users = len(office.desk.living("employee"))
        self._credits_of_edition = CREDITS + CREDITS_A_USER * users
        self._credits = office.window("credits", self._credits_of_edition, DAY)

    def choose(self, said: Mapping[str, Any]) -> Options:
        """Change options. Raises ValueError on a name that is none and on a value that is no choice."""
        known = {one.name for one in fields(Options)}
        if set(said) - known:
            raise ValueError(
                f"no option {', '.join(sorted(set(said) - known))}; there are {', '.join(sorted(known))}"
            )
        chosen = msgspec.convert({**asdict(self.options), **said}, Options)
        if self.office.limited:
            self._credits.limit = chosen.credits if chosen.credits is not None else self._credits_of_edition
            self._all.limit = chosen.at_once
        self.options = chosen
        self._modules.clear()
        return chosen

    def module(self, name: str) -> Module:
        """A module with the fields that the user may see. Raises Refused for one that there is not."""
        found = self._modules.get(name) or MODULES.get(name)
        if found is None:
            raise Refused(
                400, "INVALID_MODULE", "the module name given seems to be invalid", {"resource_path_index": 0}
            )
        if name not in self._modules:
            seen = tuple(one for one in found.fields if f"{name}.{one.name}" not in self.options.hidden)
            found = self._modules[name] = replace(found, fields=seen)
        return found

    async def serve(self, call: Call, handle: Handler, *, cost: int, heavy: bool) -> Answer:
        """Let a call in, or refuse it. `cost` credits are taken beforehand."""
        self.office.requests += 1
        doors = [self._all, self._heavy] if heavy else [self._all]
        entered: list[AtOnce] = []
        try:
            self._check_token(call)
            for door in doors:
                if door.knock():
                    raise too_many()
                entered.append(door)
            if self.office.latency:
                await asyncio.sleep(self.office.latency)
            for _ in range(cost):
                if self._credits.knock():
                    raise too_many()
            answer = handle(self, call)
        except Refused as refused:
            answer = Answer.of(refused.body(), refused.status)
        finally:
            for door in entered:
                door.leave()
        used = self._credits.granted
        if self.office.limited and used * 2 >= self._credits.limit:
            left = str(max(self._credits.limit - used, 0))
            answer = replace(answer, headers={**answer.headers, "X-API-CREDITS-REMAINING": left})
        return answer

    def _check_token(self, call: Call) -> None:
        kind, _, token = call.headers.get("authorization", "").partition(" ")
        if not token:
            raise Refused(401, "AUTHENTICATION_FAILURE", "Authentication failed")
        known = kind == "Zoho-oauthtoken" or (kind == "Bearer" and self.options.bearer)
        if not known or not self.office.tokens.accepts(token):
            raise bad_token()
        if set(self.options.denied) & set(call.path.split("/")):
            raise Refused(401, "OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL")


def options_of(portal: Portal) -> dict[str, Any]:
    return asdict(portal.options)


# ---- The accounts server ------------------------------------------------------------------------


def first_refresh_token(office: Office) -> str:
    """The refresh token that an administrator got for this client; the same at every call."""
    kept = office.desk.store.collection(f"zoho.{office.where}")
    known = kept.get("refresh_token")
    return str(known["token"]) if known is not None else authorize(office)


def authorize(office: Office) -> str:
    """Let the administrator authorise the client anew: another refresh token, which becomes the known one."""
    office.tokens.access_seconds = ACCESS_SECONDS
    token = str(office.tokens.issue(PREFIX)["refresh_token"])
    office.desk.store.collection(f"zoho.{office.where}").put("refresh_token", {"token": token})
    return token


def token(portal: Portal, said: Mapping[str, str], base: str) -> Answer:
    """POST /oauth/v2/token. Refusals of credentials are answered with 200, throttling with 400."""
    office = portal.office
    office.requests += 1
    if said.get("client_id") != office.client_id:
        return Answer.of({"error": "invalid_client"})
    if said.get("client_secret") != office.client_secret:
        return Answer.of({"error": "invalid_client_secret"})
    if said.get("grant_type") == "authorization_code":
        return _exchange(portal, said.get("code", ""), base)
    if said.get("grant_type") != "refresh_token":
        return Answer.of({"error": "invalid_grant_type"})
    shown = said.get("refresh_token", "")
    limit, seconds = TOKENS_AT_ONCE
    if office.window("oauth", limit, seconds).knock():
        description = "You have made too many requests continuously. Please try again after some time."
        return Answer.of(
            {"error_description": description, "error": "Access Denied", "status": "failure"}, 400
        )
    issued = office.tokens.refresh(shown, PREFIX, rotate=False)
    if issued is None:
        return Answer.of({"error": "invalid_code"})
    return Answer.of(_granted(issued["access_token"], base))


def grant_code(office: Office) -> str:
    """The self client's code; good once."""
    return f"{PREFIX}{office.named('grant')}"


def _exchange(portal: Portal, code: str, base: str) -> Answer:
    if code != grant_code(portal.office) or "grant" in portal.kept:
        return Answer.of({"error": "invalid_code"})
    portal.kept.put("grant", {"used": True})
    issued = portal.office.tokens.issue(PREFIX)
    said = _granted(issued["access_token"], base)
    return Answer.of({**said, "refresh_token": issued["refresh_token"]})


def _granted(access: str, base: str) -> dict[str, Any]:
    return {
        "access_token": access,
        "scope": "ZohoCRM.modules.ALL ZohoCRM.settings.ALL ZohoCRM.users.READ ZohoCRM.org.READ "
        "ZohoCRM.coql.READ ZohoCRM.bulk.ALL ZohoCRM.notifications.ALL",
        "api_domain": base,
        "token_type": "Bearer",
        "expires_in": ACCESS_SECONDS,
    }
