"""What the stand-in of an accounting system gets, what it offers, and the control panel's pages about them.

A module of `sandbox/accounting` offers

    routes(books) -> list[BaseRoute]                its addresses, relative to /NAME
    connection(books, base) -> dict                 what one types into `connection` of a mapping file
    seed(books, bare)                               fill empty books: our own firm, accounts, some masters
    tick(books, days, rng) -> dict[str, int]        accounting's time passes up to `books.company.today`
    truth(books) -> dict                            documents, payments and what its accountant did, by key

and a module whose vendor sends webhooks `hooks(books) -> list[Letter]`, what it would send since the last call.

    GET  /control/accounting                        names, and the connection of each
    GET  /control/accounting/NAME                   what it truly holds
    GET  /control/accounting/NAME/connection
    POST /control/accounting/NAME/tick              {"days": 3, "seed": 7}: its accountant works, alone
    POST /control/accounting/NAME/do                what its module's `do(books, said)` takes: one act on order
    POST /control/accounting/NAME/closed            {"until": "2026-03-31"}; null opens all
    POST /control/accounting/NAME/tokens            {"do": "expire" | "revoke"}
    GET  /control/accounting/NAME/usage             requests granted and denied by each limit; DELETE starts over
"""

from __future__ import annotations

import importlib
import pkgutil
import random
from dataclasses import dataclass, field
from datetime import date
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.company.model import Company
from sandbox.faults import FaultMiddleware, Faults
from sandbox.office import Tokens, Window
from sandbox.panel import checked, json_answer, said_by
from sandbox.store import Collection, Store

if TYPE_CHECKING:
    from sandbox.app import World

MAX_DAYS: Final = 1000  # of one tick


def ledgers() -> dict[str, ModuleType]:
    """The stand-ins of `sandbox/accounting` by name, in alphabetical order."""
    import sandbox.accounting as package

    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__) if "_" not in module.name)
    return {name: importlib.import_module(f"sandbox.accounting.{name}") for name in names}


@dataclass
class Books:
    """One accounting system's surroundings. `where` is the name of its mount, by which faults are set."""

    company: Company  # the clean company; a stand-in knows of it only what `seed` wrote into its own rows
    store: Store
    faults: Faults
    where: str
    secret: str
    limited: bool = True
    latency: float = 0.0  # seconds after a request before which its answer does not leave
    windows: dict[str, Window] = field(default_factory=dict)
    requests: int = 0  # answered since the start, refusals included
    tokens: Tokens = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = Tokens(self.store, self.where, access_seconds=3600.0)

    @property
    def client_id(self) -> str:
        return f"sverka-{self.where}"

    @property
    def client_secret(self) -> str:
        return self.named("client")

    def named(self, what: str) -> str:
        """A secret of these books: the same for the same sandbox and name."""
        return f"{random.Random(f'{self.secret}:{self.where}:{what}').getrandbits(128):032x}"

    def rows(self, entity: str) -> Collection:
        """The stored records of one kind by key, journalled: put again what you change."""
        return self.store.collection(f"{self.where}.{entity}")

    def number(self, what: str) -> int:
        """The next number of a series, from 1, kept over a restart."""
        return self.store.counter(f"{self.where}.{what}")

    @property
    def closed_until(self) -> date | None:
        row = self.rows("books").get("closed")
        return date.fromisoformat(row["until"]) if row and row["until"] else None

    def close_until(self, day: date | None) -> None:
        """Close every day up to and including `day`; None opens all."""
        self.rows("books").put("closed", {"until": day.isoformat() if day else None})

    def window(self, name: str, limit: int, seconds: float) -> Window:
        """The limiter of this name, made on first use; without limits it grants everything and still counts."""
        found = self.windows.get(name)
        if found is None:
            found = self.windows[name] = Window(limit if self.limited else 1 << 60, seconds)
        return found


class Ledgers:
    """The books of a sandbox by name, opened and seeded when somebody first asks for them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._modules = ledgers()
        self._books: dict[str, Books] = {}
        self.limited, self.latency = True, 0.0
        self.names = list(self._modules)
        world.faults.places.update(self.names)

    def module(self, name: str) -> ModuleType:
        return self._modules[name]

    def books(self, name: str) -> Books:
        """Raises ValueError for a name that nobody has."""
        if name not in self._modules:
            raise ValueError(f"no accounting system called {name!r}; there are {', '.join(self.names)}")
        found = self._books.get(name)
        if found is None:
            world = self._world
            found = Books(
                world.company, world.store, world.faults, name, world.secret, self.limited, self.latency
            )
            if "seeded" not in found.rows("books"):
                with world.store.together():
                    self._modules[name].seed(found, bare=not world.company.deals)
                    found.rows("books").put("seeded", {"today": world.company.today.isoformat()})
            self._books[name] = found
        return found

    def mounts(self) -> list[BaseRoute]:
        return [Mount(f"/{name}", app=_Lazy(self, name)) for name in self.names]

    def connection(self, name: str, base: str) -> dict[str, Any]:
        said: dict[str, Any] = self.module(name).connection(self.books(name), f"{base}/{name}")
        return said

    def tick(self, name: str, days: int, rng: random.Random) -> dict[str, int]:
        books = self.books(name)
        with books.store.together():
            counts: dict[str, int] = self.module(name).tick(books, min(max(days, 0), MAX_DAYS), rng)
        return counts

    def pass_time(self, days: int, number: int) -> dict[str, dict[str, int]]:
        """Let the opened books' time pass with the world's; those nobody uses stay as they are."""
        seed = self._world.company.seed
        return {name: self.tick(name, days, random.Random(f"{seed}:{name}:{number}")) for name in self._books}


class _Lazy:
    """A system's routes, built with its books when the first request comes."""

    def __init__(self, ledgers: Ledgers, name: str) -> None:
        self._ledgers, self._name = ledgers, name
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            books = self._ledgers.books(self._name)
            faults = Middleware(FaultMiddleware, faults=books.faults, where=self._name)
            self._app = Starlette(routes=self._ledgers.module(self._name).routes(books), middleware=[faults])
        await self._app(scope, receive, send)


def routes(ledgers: Ledgers) -> list[BaseRoute]:
    """The control panel's pages; see the top of this module."""

    def base_of(request: Request) -> str:
        return str(request.base_url).removesuffix("/control/").rstrip("/")

    async def everyone(request: Request) -> Response:
        return json_answer({name: ledgers.connection(name, base_of(request)) for name in ledgers.names})

    async def one(request: Request) -> Response:
        return json_answer(ledgers.connection(request.path_params["name"], base_of(request)))

    async def truth(request: Request) -> Response:
        name = request.path_params["name"]
        return json_answer(ledgers.module(name).truth(ledgers.books(name)))

    async def tick(request: Request) -> Response:
        said, name = await said_by(request), request.path_params["name"]
        return json_answer(
            ledgers.tick(name, int(said.get("days", 1)), random.Random(int(said.get("seed", 0))))
        )

    async def do(request: Request) -> Response:
        name = request.path_params["name"]
        books = ledgers.books(name)
        with books.store.together():
            return json_answer(ledgers.module(name).do(books, await said_by(request)))

    async def closed(request: Request) -> Response:
        until = (await said_by(request)).get("until")
        ledgers.books(request.path_params["name"]).close_until(date.fromisoformat(until) if until else None)
        return json_answer({"closed_until": until})

    async def tokens(request: Request) -> Response:
        what = (await said_by(request)).get("do")
        books = ledgers.books(request.path_params["name"])
        if what not in ("expire", "revoke"):
            raise ValueError("do must be expire or revoke")
        return json_answer({"tokens": books.tokens.expire() if what == "expire" else books.tokens.revoke()})

    async def usage(request: Request) -> Response:
        books = ledgers.books(request.path_params["name"])
        if request.method == "DELETE":
            books.requests = 0
            for window in books.windows.values():
                window.forget()
        counts = {name: window.usage() for name, window in books.windows.items()}
        return json_answer(
            {"requests": books.requests, "refreshes": books.tokens.refreshes, "limits": counts}
        )

    return [
        Route("/accounting", checked(everyone), methods=["GET"]),
        Route("/accounting/{name}", checked(truth), methods=["GET"]),
        Route("/accounting/{name}/connection", checked(one), methods=["GET"]),
        Route("/accounting/{name}/tick", checked(tick), methods=["POST"]),
        Route("/accounting/{name}/do", checked(do), methods=["POST"]),
        Route("/accounting/{name}/closed", checked(closed), methods=["POST"]),
        Route("/accounting/{name}/tokens", checked(tokens), methods=["POST"]),
        Route("/accounting/{name}/usage", checked(usage), methods=["GET", "DELETE"]),
    ]
