"""The vendors' stand-ins of a sandbox, opened on first use, and the control panel's pages about them.

A vendor is mounted under its name; `NAME-2` is a second portal of it, which shows a part of the same company
under the same numbers.

    GET  /control/crm                      names, and the connection of each for a mapping file
    GET  /control/crm/NAME/connection      that of one
    GET  /control/crm/NAME                 what the CRM truly holds now, by entity and the ids that it shows
    POST /control/crm/NAME/change          {"seed": 7, "count": 500, "kinds": [...]}: people at work
    POST /control/crm/NAME/do              one change on order: {"do": "put", "entity": "deal", "number": 3, ...}
    POST /control/crm/NAME/deliver         {"lose": 0.1, "repeat": 0.1, "shuffle": true}: send the webhooks
    POST /control/crm/NAME/tokens          {"do": "expire" | "revoke"}
    GET  /control/crm/NAME/usage           requests granted and denied by each limit; DELETE starts over
"""

from __future__ import annotations

import gc
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.company.days import Event
from sandbox.desk.changes import change
from sandbox.desk.records import ENTITIES, Body, Desk
from sandbox.faults import FaultMiddleware
from sandbox.office import Office, vendors

if TYPE_CHECKING:
    from sandbox.app import World

PORTALS: Final = 2
_encode = msgspec.json.Encoder(decimal_format="string").encode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class Vendors:
    """The offices of a sandbox by name, opened when somebody first asks for one."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._modules = vendors()
        self._offices: dict[str, Office] = {}
        self.limited, self.latency = True, 0.0
        self.names = [_name(vendor, portal) for vendor in self._modules for portal in range(1, PORTALS + 1)]
        world.faults.places.update(self.names)

    def module(self, name: str) -> ModuleType:
        return self._modules[name.partition("-")[0]]

    def office(self, name: str) -> Office:
        """Raises ValueError for a name that nobody has."""
        if name not in self.names:
            raise ValueError(f"no CRM called {name!r}; there are {', '.join(self.names)}")
        found = self._offices.get(name)
        if found is None:
            world, module = self._world, self.module(name)
            portal = int(name.partition("-")[2] or 1)
            desk = Desk(world.company, world.store, name, world.founded, module.TRAITS, portal)
            found = Office(desk, world.faults, name, world.secret, self.limited, self.latency)
            if (hook := getattr(module, "hook", None)) is not None:
                found.watch(hook)
            self._offices[name] = found
            gc.collect()
            gc.freeze()  # a desk stays: the collector need not walk it at every turn
        return found

    def show(self, events: list[Event]) -> None:
        """Let the opened CRMs show what happened; one that is opened later shows it from the start."""
        for office in self._offices.values():
            office.desk.show(events)

    def mounts(self) -> list[BaseRoute]:
        return [Mount(f"/{name}", app=_Lazy(self, name)) for name in self.names]

    def connection(self, name: str, base: str) -> dict[str, Any]:
        said: dict[str, Any] = self.module(name).connection(self.office(name), f"{base}/{name}")
        return said

    def truth(self, name: str) -> dict[str, Any]:
        """Living records by entity and shown id, references as shown ids; merged ones with their survivors."""
        desk, show = self.office(name).desk, self.module(name).source_id
        shown: dict[str, Any] = {}
        merged: dict[str, dict[str, str]] = {}
        for entity in ENTITIES:
            shown[entity] = {
                show(entity, item.number): {
                    **{key: _shown(show, key, value) for key, value in item.body.items()},
                    "modified": item.modified.isoformat(),
                    "created": item.created.isoformat(),
                }
                for item in desk.living(entity)
            }
            merged[entity] = {
                show(entity, item.number): show(entity, item.merged_into)
                for item in desk.gone(entity)
                if item.merged_into is not None
            }
        return {
            "entities": shown,
            "merged": {entity: rows for entity, rows in merged.items() if rows},
            "list_prices": desk.traits.list_prices,
        }


class _Lazy:
    """A vendor's routes, built with its office when the first request comes."""

    def __init__(self, vendors: Vendors, name: str) -> None:
        self._vendors, self._name = vendors, name
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            office = self._vendors.office(self._name)
            faults = Middleware(FaultMiddleware, faults=office.faults, where=self._name)
            self._app = Starlette(routes=self._vendors.module(self._name).routes(office), middleware=[faults])
        await self._app(scope, receive, send)


def routes(vendors: Vendors) -> list[BaseRoute]:
    """The control panel's pages; see the top of this module."""

    async def everyone(request: Request) -> Response:
        base = str(request.base_url).removesuffix("/control/").rstrip("/")
        return json_answer({name: vendors.connection(name, base) for name in vendors.names})

    async def one(request: Request) -> Response:
        base = str(request.base_url).removesuffix("/control/").rstrip("/")
        return json_answer(vendors.connection(request.path_params["name"], base))

    async def truth(request: Request) -> Response:
        return json_answer(vendors.truth(request.path_params["name"]))

    async def work(request: Request) -> Response:
        said = await said_by(request)
        desk = vendors.office(request.path_params["name"]).desk
        with desk.store.together():
            done = change(
                desk, random.Random(said.get("seed", 0)), int(said.get("count", 1)), said.get("kinds")
            )
        return json_answer({"done": done})

    async def do(request: Request) -> Response:
        return json_answer(_do(vendors.office(request.path_params["name"]).desk, await said_by(request)))

    async def deliver(request: Request) -> Response:
        said = await said_by(request)
        office = vendors.office(request.path_params["name"])
        return json_answer(
            await office.deliver(
                lose=float(said.get("lose", 0)), repeat=float(said.get("repeat", 0)),
                shuffle=bool(said.get("shuffle")), seed=int(said.get("seed", 0)),
            )
        )  # fmt: skip

    async def tokens(request: Request) -> Response:
        what = (await said_by(request)).get("do")
        office = vendors.office(request.path_params["name"])
        if what not in ("expire", "revoke"):
            raise ValueError("do must be expire or revoke")
        return json_answer({"tokens": office.tokens.expire() if what == "expire" else office.tokens.revoke()})

    async def usage(request: Request) -> Response:
        office = vendors.office(request.path_params["name"])
        if request.method == "DELETE":
            office.requests = 0
            for window in office.windows.values():
                window.forget()
        counts = {name: window.usage() for name, window in office.windows.items()}
        return json_answer(
            {"requests": office.requests, "refreshes": office.tokens.refreshes, "limits": counts}
        )

    return [
        Route("/crm", checked(everyone), methods=["GET"]),
        Route("/crm/{name}", checked(truth), methods=["GET"]),
        Route("/crm/{name}/connection", checked(one), methods=["GET"]),
        Route("/crm/{name}/change", checked(work), methods=["POST"]),
        Route("/crm/{name}/do", checked(do), methods=["POST"]),
        Route("/crm/{name}/deliver", checked(deliver), methods=["POST"]),
        Route("/crm/{name}/tokens", checked(tokens), methods=["POST"]),
        Route("/crm/{name}/usage", checked(usage), methods=["GET", "DELETE"]),
    ]


def _do(desk: Desk, said: dict[str, Any]) -> dict[str, Any]:
    """One change on order. `body` holds the fields that change; numbers of the desk, not shown ids."""
    what, entity, number = said.get("do"), str(said.get("entity")), int(said.get("number") or 0)
    at = datetime.fromisoformat(said["at"]) if said.get("at") else None
    body: Body = dict(said.get("body") or {})
    if entity not in ENTITIES:
        raise ValueError(f"no entity {entity!r}; there are {', '.join(ENTITIES)}")
    if what == "add":
        like = desk.get(entity, int(said["like"])) if said.get("like") else None
        return {"number": desk.add(entity, {**(like.body if like else {}), **body}, at=at).number}
    if what == "restore" and number in desk.tables[entity]:
        return {"number": desk.restore(entity, number).number}
    item = desk.get(entity, number)
    if item is None:
        raise ValueError(f"there is no living {entity} {number}")
    if what == "put":
        desk.put(entity, number, {**item.body, **body}, touch=bool(said.get("touch", True)), at=at)
    elif what == "remove":
        desk.remove(entity, number)
    elif what == "merge":
        desk.merge(entity, int(said["into"]), number)
    else:
        raise ValueError("do must be add, put, remove, restore or merge")
    return {"number": number}


def _shown(show: Callable[[str, int], str], key: str, value: Any) -> Any:
    return show(key, value) if key in ENTITIES and isinstance(value, int) else value


def _name(vendor: str, portal: int) -> str:
    return vendor if portal == 1 else f"{vendor}-{portal}"


def checked(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Words a wrong argument as 400 with the reason instead of an error page."""

    async def checked(request: Request) -> Response:
        try:
            return await handler(request)
        except (ValueError, KeyError) as error:
            return json_answer({"error": str(error)}, 400)

    return checked


async def said_by(request: Request) -> dict[str, Any]:
    body = await request.body()
    said = _decode(body) if body.strip() else {}
    if not isinstance(said, dict):
        raise ValueError("the body is not a JSON object")
    return said


def json_answer(value: Any, status: int = 200) -> Response:
    return Response(_encode(value), status, media_type="application/json; charset=utf-8")
