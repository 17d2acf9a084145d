"""The control panel's pages about the 1C bases: what they hold, how they misbehave, what people do in them.

GET    /control/onec                 address and credentials of each base, its release and orders in force
GET    /control/onec/truth/NAME      what people did in it, by act
POST   /control/onec                 {"where": "onec", ...} with any of
         "drop": [set, property]               a new release without a property
         "rename": [set, property, new name]   a new release with another name
         "refuse": {"set", "text", "times"}    Post is refused with a long Russian message
         "half": {"set", "table", "times"}     200 or 201, but the tabular part is not saved
         "meanwhile": {"set", "times"}         somebody writes the object just before a PATCH with If-Match: 412
         "no_rights": {"set", "right", "times"} code 20, for right read, write or both; for ever unless told
         "latency_ms": 250                     every answer waits so long
         "subconto_in_records": true           records of the ledger show subconto themselves, as few bases may
         "readings": {"stock_by": "place"}     where no source says how it is: one of those of `readings`
DELETE /control/onec                 {"where": ...}: everything as it was
POST   /control/onec/do              one act of the accountant on order, see `deeds`
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.company.model import Company
from sandbox.onec.base import Base
from sandbox.onec.conduct import KINDS, MAX_LATENCY, read_order
from sandbox.onec.deeds import do
from sandbox.onec.error import ODataError
from sandbox.onec.goods import read_as
from sandbox.onec.http import PASSWORD, USER
from sandbox.onec.readings import read_readings
from sandbox.onec.release import Change
from sandbox.onec.stand_in import CONFIGURATIONS, base_of
from sandbox.panel import checked, json_answer, said_by
from sandbox.store import Store

_FIELDS = {"where", "drop", "rename", "latency_ms", "subconto_in_records", "readings", *KINDS}


def routes(company: Company, store: Store) -> list[BaseRoute]:
    """Routes relative to `/control`."""

    async def everyone(request: Request) -> Response:
        root = str(request.base_url).removesuffix("/control/").rstrip("/")
        return json_answer({name: _shown(store, name, root) for name in CONFIGURATIONS})

    async def truth(request: Request) -> Response:
        base = base_of(company, store, request.path_params["name"])
        return json_answer(base.truth())

    async def conduct(request: Request) -> Response:
        said = await said_by(request)
        if set(said) - _FIELDS:
            raise ValueError(
                f"there is no {', '.join(sorted(set(said) - _FIELDS))}; give {', '.join(sorted(_FIELDS))}"
            )
        name = str(said.get("where", "onec"))
        _behave(base_of(company, store, name), said)
        return json_answer(_shown(store, name, ""))

    async def forget(request: Request) -> Response:
        name = str((await said_by(request)).get("where", "onec"))
        base = base_of(company, store, name)
        base.conduct.clear()
        base.change_release([])
        read_as(base, {})
        return json_answer(_shown(store, name, ""))

    async def act(request: Request) -> Response:
        said = await said_by(request)
        base = base_of(company, store, str(said.pop("where", "onec")))
        try:
            with store.together():
                return json_answer(do(base, company.today, said))
        except ODataError as refused:
            raise ValueError(refused.text) from refused

    return [
        Route("/onec", checked(everyone), methods=["GET"]),
        Route("/onec", checked(conduct), methods=["POST"]),
        Route("/onec", checked(forget), methods=["DELETE"]),
        Route("/onec/do", checked(act), methods=["POST"]),
        Route("/onec/truth/{name}", checked(truth), methods=["GET"]),
    ]


def _behave(base: Base, said: dict[str, Any]) -> None:
    """Carry out what is said; on a wrong word nothing is changed. Raises ValueError."""
    orders = [read_order(kind, dict(said[kind])) for kind in KINDS if kind in said]
    for order in orders:
        if order.set not in base.configuration.sets:
            raise ValueError(f"no set called {order.set!r} in this configuration")
    changes: list[Change] = []
    if "drop" in said:
        name, prop = said["drop"]
        changes.append((str(name), str(prop), ""))
    if "rename" in said:
        name, prop, new = said["rename"]
        changes.append((str(name), str(prop), str(new)))
    latency = float(said.get("latency_ms", base.conduct.latency * 1000)) / 1000
    if not 0 <= latency <= MAX_LATENCY:
        raise ValueError(f"latency_ms: give 0 to {MAX_LATENCY * 1000:.0f}")
    readings = read_readings(base.configuration.name, dict(said.get("readings", {})))
    if changes:
        base.change_release([*base.release, *changes])
    base.conduct.latency = latency
    base.conduct.subconto_in_records = bool(said.get("subconto_in_records", base.conduct.subconto_in_records))
    if readings:
        read_as(base, readings)
    for order in orders:
        base.conduct.add(order)


def _shown(store: Store, name: str, root: str) -> dict[str, Any]:
    base = Base.of(store, CONFIGURATIONS[name])
    return {
        "title": base.configuration.title,
        "odata": f"{root}/{name}/odata/standard.odata/",
        "user": USER,
        "password": PASSWORD,
        "release": [list(change) for change in base.release],
        "orders": [{"kind": o.kind, "set": o.set, "times": o.times} for o in base.conduct.orders],
        "latency_ms": base.conduct.latency * 1000,
        "subconto_in_records": base.conduct.subconto_in_records,
        "readings": base.readings,
        "closed_until": base.closed_until or None,
    }
