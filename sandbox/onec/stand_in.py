"""The 1C bases of the sandbox behind the standard OData interface (v3): three configurations.

`/onec` is Бухгалтерия предприятия 3.0, `/onec-trade` Управление торговлей 11, `/onec-smallfirm` Управление
небольшой фирмой, each under `…/odata/standard.odata`; credentials are HTTP Basic, `sverka` / `sverka`. The
latter two are filled when somebody first asks for them. `seed` fills the first, `tick` lets its time pass,
`set_closed_until` moves the closed period of all. What is true of a base (payments, corrections, duplicates) is
listed in the store's collection `NAME_truth`. `panel` has the control panel's pages.
"""

from __future__ import annotations

import random
from datetime import date

from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from sandbox.company.model import Company
from sandbox.faults import Faults
from sandbox.onec.accountant import pass_days
from sandbox.onec.accounting import ACCOUNTING
from sandbox.onec.base import Base
from sandbox.onec.elsewhere import pass_time
from sandbox.onec.error import INTERNAL, NO_ACCESS, error_body
from sandbox.onec.http import PASSWORD, USER, Service
from sandbox.onec.masters import Masters
from sandbox.onec.model import ORGANIZATIONS, Configuration
from sandbox.onec.seed import fill
from sandbox.onec.smallfirm import SMALL_FIRM
from sandbox.onec.trade import TRADE
from sandbox.store import Store

PREFIX = "/onec/odata/standard.odata"
CONFIGURATIONS: dict[str, Configuration] = {c.name: c for c in (ACCOUNTING, TRADE, SMALL_FIRM)}
PROXY_PAGE = (
    '<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN"><html><head><title>502 Proxy Error</title></head>'
    "<body>"
    "<h1>Proxy Error</h1><p>The proxy server received an invalid response from an upstream server.</p>"
    "</body></html>"
)


def routes(
    company: Company, store: Store, faults: Faults, name: str = "onec", latency: float = 0.0
) -> list[BaseRoute]:
    """Routes of one configuration to mount at `/NAME/odata/standard.odata`; `latency` in seconds is awaited
    before each answer. Registers the vendor's own refusals with `faults`."""
    for kind, answer in VENDOR_ANSWERS.items():
        faults.vendor["onec", kind] = answer
    faults.places.add(name)
    return [Route("/{path:path}", _Lazy(company, store, name, latency))]


def base_of(company: Company, store: Store, name: str) -> Base:
    """The base of a configuration, filled. Raises ValueError for a name that nobody has."""
    if name not in CONFIGURATIONS:
        raise ValueError(f"no 1C base called {name!r}; there are {', '.join(CONFIGURATIONS)}")
    base = Base.of(store, CONFIGURATIONS[name])
    if name != ACCOUNTING.name and not base.rows[ORGANIZATIONS]:
        closed = closed_until(store, base.configuration)
        with store.together():
            base.close_until(None)
            Masters(company, base).write(bare=not company.deals)
            base.close_until(closed)
    return base


class _Lazy:
    """A base's service, opened when the first request comes."""

    def __init__(self, company: Company, store: Store, name: str, latency: float) -> None:
        self._company, self._store, self._name, self._latency = company, store, name, latency
        self._service: Service | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._service is None:
            self._service = Service(base_of(self._company, self._store, self._name), self._latency)
        await self._service(scope, receive, send)


def seed(company: Company, store: Store, *, bare: bool = False) -> None:
    """Fill an empty base with the organization, catalogs, accounts and its opening entries.

    `bare`: the organization, accounts, units and currencies alone, as of a company that begins.
    """
    fill(company, Base.of(store), bare=bare)


def tick(company: Company, store: Store, days: int, rng: random.Random) -> dict[str, int]:
    """Let `days` days up to `company.today` pass in accounting; returns counts of what was done in the first
    base. The others' buyers pay too, where somebody has opened the base."""
    for configuration in CONFIGURATIONS.values():
        other = Base.of(store, configuration)
        if configuration is not ACCOUNTING and other.rows[ORGANIZATIONS]:
            pass_time(other, company.today)
    return pass_days(Base.of(store), company.today, days, rng)


def set_closed_until(store: Store, day: date | None) -> None:
    """Close every day up to and including `day` for documents; None opens all."""
    for configuration in CONFIGURATIONS.values():
        Base.of(store, configuration).close_until(day)


def closed_until(store: Store, configuration: Configuration = ACCOUNTING) -> date | None:
    text = Base.of(store, configuration).closed_until
    return date.fromisoformat(text) if text else None


def internal_error(_path: str) -> Response:
    """HTTP 500, code -1: an exception inside the configuration."""
    text = "Произошла внутренняя ошибка OData сервиса. Подробности в технологическом журнале."
    kind, body = error_body(INTERNAL, text, json=True)
    return Response(body, 500, {"content-type": kind})


def access_denied(_path: str) -> Response:
    """HTTP 401, code 20: the user has no right to the object."""
    kind, body = error_body(NO_ACCESS, "Недостаточно прав доступа.", json=True)
    return Response(body, 401, {"content-type": kind, "www-authenticate": 'Basic realm="1C:Enterprise 8.3"'})


def proxy_error(_path: str) -> Response:
    """HTML of the web server before 1C when the server behind it has no session left."""
    return Response(PROXY_PAGE, 502, {"content-type": "text/html; charset=iso-8859-1"})


VENDOR_ANSWERS = {
    "http_500": internal_error,
    "unauthorized": access_denied,
    "limit": proxy_error,
}

__all__ = ["PASSWORD", "PREFIX", "USER", "closed_until", "routes", "seed", "set_closed_until", "tick"]
