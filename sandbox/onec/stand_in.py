"""The 1C base of the sandbox: Бухгалтерия предприятия 3.0 behind the standard OData interface (v3).

`routes` is mounted at `/onec/odata/standard.odata`; credentials are HTTP Basic, `sverka` / `sverka`. `seed`
fills an empty store, `tick` lets accounting's time pass, `set_closed_until` moves the closed period. What is
true of the base (payments, corrections, duplicates) is listed in the store's collection `onec_truth`.
"""

from __future__ import annotations

import random
from datetime import date

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.company.model import Company
from sandbox.faults import Faults
from sandbox.onec.accountant import pass_days
from sandbox.onec.base import Base
from sandbox.onec.error import INTERNAL, NO_ACCESS, error_body
from sandbox.onec.http import PASSWORD, USER, Service
from sandbox.onec.seed import fill
from sandbox.store import Store

PREFIX = "/onec/odata/standard.odata"
PROXY_PAGE = (
    '<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN"><html><head><title>502 Proxy Error</title></head>'
    "<body>"
    "<h1>Proxy Error</h1><p>The proxy server received an invalid response from an upstream server.</p>"
    "</body></html>"
)


def routes(company: Company, store: Store, faults: Faults) -> list[BaseRoute]:
    """Routes to mount at `PREFIX`. Registers the vendor's own refusals with `faults`."""
    del company  # the base knows nothing of the company but what `seed` wrote into it
    for kind, answer in VENDOR_ANSWERS.items():
        faults.vendor["onec", kind] = answer
    return [Route("/{path:path}", Service(Base.of(store)))]


def seed(company: Company, store: Store, *, bare: bool = False) -> None:
    """Fill an empty base with the organization, catalogs, accounts and its opening entries.

    `bare`: the organization, accounts, units and currencies alone, as of a company that begins.
    """
    fill(company, Base.of(store), bare=bare)


def tick(company: Company, store: Store, days: int, rng: random.Random) -> dict[str, int]:
    """Let `days` days up to `company.today` pass in accounting; returns counts of what was done."""
    return pass_days(Base.of(store), company.today, days, rng)


def set_closed_until(store: Store, day: date | None) -> None:
    """Close every day up to and including `day` for documents; None opens all."""
    Base.of(store).close_until(day)


def closed_until(store: Store) -> date | None:
    text = Base.of(store).closed_until
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
