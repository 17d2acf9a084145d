"""The control panel: what a test or a person asks of the sandbox itself, outside any vendor's manners."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox import dirt, files
from sandbox.bitrix24 import projection
from sandbox.bitrix24 import stand_in as bitrix24
from sandbox.bitrix24.table import decode, encode
from sandbox.company import truth as company_truth
from sandbox.onec import stand_in as onec

if TYPE_CHECKING:
    from sandbox.app import World

ACCOUNTING_TRUTH = "onec_truth"
"""Collection in which the 1C base lists what its accountant and bank did."""
TICK_FIELDS = {"days", "deals", "kinds"}


def routes(world: World) -> list[BaseRoute]:
    async def info(request: Request) -> Response:
        return _json(_info(world, str(request.base_url).removesuffix("/control/").rstrip("/")))

    async def tick(request: Request) -> Response:
        said = await _said(request)
        if set(said) - TICK_FIELDS:
            raise ValueError(f"a tick has no field {', '.join(sorted(set(said) - TICK_FIELDS))}")
        return _json(world.tick(int(said.get("days", 1)), int(said.get("deals", 20)), said.get("kinds")))

    async def truth(request: Request) -> Response:
        return _json(whole_truth(world))

    async def set_fault(request: Request) -> Response:
        rule = world.faults.add(await _said(request))
        return _json({"set": rule.kind, "faults": world.faults.listed()}, 201)

    async def list_faults(request: Request) -> Response:
        return _json(world.faults.listed())

    async def clear_faults(request: Request) -> Response:
        world.faults.clear()
        return _json([])

    async def drop_files(request: Request) -> Response:
        said = await _said(request)
        if not said.get("folder"):
            raise ValueError("folder is missing; give the path of the folder to write into")
        return _json(files.drop(world.company, Path(str(said["folder"])), world.store))

    async def close_period(request: Request) -> Response:
        until = (await _said(request)).get("until")
        onec.set_closed_until(world.store, date.fromisoformat(until) if until else None)
        return _json({"closed_until": until})

    return [
        Route("/info", _checked(info), methods=["GET"]),
        Route("/tick", _checked(tick), methods=["POST"]),
        Route("/truth", _checked(truth), methods=["GET"]),
        Route("/faults", _checked(set_fault), methods=["POST"]),
        Route("/faults", _checked(list_faults), methods=["GET"]),
        Route("/faults", _checked(clear_faults), methods=["DELETE"]),
        Route("/files", _checked(drop_files), methods=["POST"]),
        Route("/closed", _checked(close_period), methods=["POST"]),
    ]


def whole_truth(world: World) -> dict[str, Any]:
    """All that is known to be true: deals, aliases of products, clients, what happened, files, accounting."""
    company = world.company
    deals = {
        key: {"bitrix24": bitrix24.truth_ids(company, key), **company_truth.deal_truth(company, deal)}
        for key, deal in company.deals.items()
    }
    return {
        "today": company.today.isoformat(),
        "own": company_truth.counterparty(company.own),
        "deals": deals,
        "totals": company_truth.totals(deals),
        "aliases": {
            dirt.alias_of(company, d.lines[0].product_id): company.products[d.lines[0].product_id].code
            for d in (company.deals[x.id] for x in company.dirt if x.kind == company_truth.ALIAS)
        },
        "clients": {
            client: {
                "parties": list(parties),
                "bitrix24": [str(row) for row in _company_ids(world, client)],
            }
            for client, parties in company.clients.items()
        },
        "dirt": [dirt._asdict() for dirt in company.dirt],
        "events": [{"tick": number, **event._asdict()} for number, event in world.events],
        "files": files.truth(company, world.store),
        "accounting": dict(world.store.collection(ACCOUNTING_TRUTH)),
    }


def _company_ids(world: World, client: str) -> list[int]:
    known = world.portal.items[4]
    both = (projection.company_id(client), projection.company_id(client, duplicate=True))
    return [number for number in both if number in known]


def _info(world: World, base: str) -> dict[str, Any]:
    company = world.company
    return {
        "today": company.today.isoformat(),
        "seed": company.seed,
        "deals": len(company.deals),
        "bitrix24": {"webhook": f"{base}/bitrix24/rest/1/{world.secret}/", "secret": world.secret},
        "onec": {"odata": f"{base}/onec/odata/standard.odata/", "user": "sverka", "password": "sverka"},
    }


def _checked(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Words a wrong argument as 400 with the reason instead of an error page."""

    async def checked(request: Request) -> Response:
        try:
            return await handler(request)
        except (ValueError, OSError) as error:
            return _json({"error": str(error)}, 400)

    return checked


async def _said(request: Request) -> dict[str, Any]:
    body = await request.body()
    said = decode(body) if body.strip() else {}
    if not isinstance(said, dict):
        raise ValueError("the body is not a JSON object")
    return said


def _json(value: Any, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json; charset=utf-8")
