"""Puts the stand-ins together: one company, one store, one portal, one 1C base, one control panel."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from sandbox import books, control, panel
from sandbox.bitrix24 import stand_in as bitrix24
from sandbox.bitrix24.portal import Portal
from sandbox.bitrix24.rest import Limits
from sandbox.company.days import KINDS, Event, pass_time
from sandbox.company.model import Company
from sandbox.faults import FaultMiddleware, Faults
from sandbox.onec import panel as onec_panel
from sandbox.onec import stand_in as onec
from sandbox.panel import Vendors
from sandbox.store import Store

BITRIX24_MOUNT = "/bitrix24"


class OtherStateError(Exception):
    """The state folder holds another company than the one asked for."""


@dataclass
class World:
    """Everything that runs in one sandbox."""

    company: Company
    store: Store
    portal: Portal
    faults: Faults
    secret: str
    events: list[tuple[int, Event]] = field(default_factory=list)
    founded: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    vendors: Vendors = field(init=False)
    ledgers: books.Ledgers = field(init=False)

    def __post_init__(self) -> None:
        self.vendors = Vendors(self)
        self.ledgers = books.Ledgers(self)

    @classmethod
    def open(cls, folder: Path | None, seed: int, deals: int, today: date | None) -> World:
        """A new company, or the one that the folder holds. Raises OtherStateError when they disagree."""
        store = Store(folder)
        kept = store.collection("sandbox")
        founding = kept.get("founding")
        if founding is None:
            now = datetime.now(UTC).replace(microsecond=0)
            founding = {
                "seed": seed,
                "deals": deals,
                "today": (today or now.date()).isoformat(),
                "founded": now.isoformat(),
                "secret": f"{random.Random(f'{seed}:secret').getrandbits(64):016x}",
            }
            fresh = True
        else:
            fresh = False
            if (founding["seed"], founding["deals"]) != (seed, deals):
                raise OtherStateError(
                    f"{folder} holds the company of seed {founding['seed']} with {founding['deals']} deals; "
                    "start with these, or give another --state folder"
                )
        company = Company.generate(founding["seed"], founding["deals"], date.fromisoformat(founding["today"]))
        portal = bitrix24.open_portal(company, store, datetime.fromisoformat(founding["founded"]))
        world = cls(company, store, portal, Faults(seed=seed), founding["secret"])
        world.founded = datetime.fromisoformat(founding["founded"])
        if fresh:
            with store.together():
                onec.seed(company, store, bare=not company.deals)
                kept.put("founding", founding)
        for number, day in enumerate(store.collection("sandbox.ticks").values(), start=1):
            events = pass_time(company, day["days"], day["deals"], number, day["kinds"])
            world.events += [(number, event) for event in events]
        return world

    def tick(self, days: int, deals: int, kinds: list[str] | None = None) -> dict[str, Any]:
        """Let time pass on both sides; all of it is kept, or none. Raises ValueError on wrong arguments."""
        ticks = self.store.collection("sandbox.ticks")
        number, chosen = len(ticks) + 1, list(kinds) if kinds is not None else list(KINDS)
        events = pass_time(self.company, days, deals, number, chosen)
        self.events += [(number, event) for event in events]
        with self.store.together():
            counts = bitrix24.tick(self.portal, events)
            self.vendors.show(events)
            rng = random.Random(f"{self.company.seed}:accounting:{number}")
            accounting = onec.tick(self.company, self.store, days, rng)
            others = self.ledgers.pass_time(days, number)
            ticks.put(str(number), {"days": days, "deals": deals, "kinds": chosen})
        return {
            "tick": number,
            "today": self.company.today.isoformat(),
            "crm": counts,
            "accounting": accounting,
            **others,
        }


def application(world: World, limits: bool = True, latency: float = 0.0) -> Starlette:
    """The ASGI application. No vendor's answer leaves sooner than `latency` seconds after its request."""
    crm = bitrix24.routes(world.portal, world.faults, world.secret, Limits(enforced=limits), latency)
    for hosts in (world.vendors, world.ledgers):
        hosts.limited, hosts.latency = limits, latency
    return Starlette(
        routes=[
            Mount(
                "/control",
                routes=[
                    *control.routes(world),
                    *onec_panel.routes(world.company, world.store),
                    *panel.routes(world.vendors),
                    *books.routes(world.ledgers),
                ],
            ),
            Mount(
                BITRIX24_MOUNT,
                routes=crm,
                middleware=[Middleware(FaultMiddleware, faults=world.faults, where="bitrix24")],
            ),
            *[
                Mount(
                    f"/{name}/odata/standard.odata",
                    routes=onec.routes(world.company, world.store, world.faults, name, latency),
                    middleware=[Middleware(FaultMiddleware, faults=world.faults, where=name)],
                )
                for name in onec.CONFIGURATIONS
            ],
            *world.vendors.mounts(),
            *world.ledgers.mounts(),
        ]
    )
