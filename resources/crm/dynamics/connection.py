"""What a connection to Dynamics 365 says, turned into a client that sends nothing yet; `dynamics.connect` explains it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from resources.budget import Budget, LocalBudget
from resources.connection import AT_ONCE, DAY, as_copied, number, switch
from resources.connector import SourceError
from resources.crm.dynamics.api import HEADERS, PAGE, Environment, meaning
from resources.crm.dynamics.token import LOGIN, granted
from resources.http import Client
from resources.tokens import MemoryTokens, OAuth, TokenStore

# 6000 requests in any 300 s, of one user on one server: 200 at once and 19.3 a second are 5990 in the worst window.
LIMITS: Final = (19.3, 200.0)
# The vendor's other wall is 1200 s of its work in 300 s: four requests under way all the time. (52 is the third.)
PARALLEL: Final = 4


@dataclass(frozen=True, slots=True)
class Opened:
    """What the keys of a connection amount to."""

    environment: Environment
    lead_source: tuple[str, str]  # table and column of the option set
    zone: tzinfo
    hook: tuple[str, str]  # the header that webhooks bear, and what stands in it


def credentials(connection: Mapping[str, Any]) -> tuple[str, ...]:
    """By what the tokens of this connection are granted."""
    names = ("url", "tenant", "token_url", "scope", "client_id", "client_secret")
    return tuple(str(connection.get(name) or "") for name in names)


def opened(
    system: str, connection: Mapping[str, Any], budget: Budget | None, tokens: TokenStore | None
) -> Opened:
    """A connection's keys as what they amount to. Raises SourceError that names the key and the remedy."""

    def said(name: str) -> str:
        return str(connection.get(name) or "").strip()

    as_copied(system, connection)
    url = _address(system, said)
    lead_source, zone = _option_column(system, said), _zone(system, said)
    parallel = number(system, connection, "parallel", PARALLEL, most=AT_ONCE, whole=True)
    rate = number(system, connection, "rate_per_second", LIMITS[0])
    burst = number(system, connection, "burst", LIMITS[1])
    options: dict[str, Any] = {
        "timeout": number(system, connection, "timeout", 120, most=DAY),
        "ca_file": said("ca_file") or None,
        "allow_http": switch(system, connection, "allow_http"),
        "secrets": [said("client_secret"), said("webhook_key")],
    }
    token_url = said("token_url") or LOGIN.format(tenant=said("tenant"))
    form = {
        "grant_type": "client_credentials", "client_id": said("client_id"), "client_secret": said("client_secret"),
        "scope": said("scope") or f"{url}/.default",
    }  # fmt: skip
    start, _, page = token_url.rpartition("/")
    login = Client(system, f"{start}/", connections=1, gives_tokens=True, **options)
    api = (said("api") or f"{url}/api/data/v9.2").rstrip("/")
    client = Client(
        system, f"{api}/", auth=OAuth(system, tokens or MemoryTokens(), granted(login, page, form)), headers=HEADERS,
        budget=budget or LocalBudget(rate, burst), classify=meaning, connections=parallel + 2, **options,
    )  # fmt: skip
    size = number(system, connection, "page", PAGE, most=PAGE, whole=True)
    hook = (said("webhook_header"), said("webhook_key"))
    return Opened(Environment(client, login, size, parallel), lead_source, zone, hook)


Said = Callable[[str], str]  # a key of the connection as a text, "" where it is not given


def _address(system: str, said: Said) -> str:
    """The environment's address, with all that lets us in there."""
    url = said("url").rstrip("/")
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise SourceError(
            f"{system}: the connection's url is no address; it looks like https://<org>.crm4.dynamics.com"
        )
    needed = ["client_id", "client_secret", *([] if said("token_url") else ["tenant"])]
    if missing := [name for name in needed if not said(name)]:
        raise SourceError(
            f"{system}: the connection lacks {', '.join(missing)}; they are on the page of the app registration "
            "(Microsoft Entra admin centre, App registrations)"
        )
    return url


def _option_column(system: str, said: Said) -> tuple[str, str]:
    table, dot, column = (said("lead_source") or "lead.leadsourcecode").partition(".")
    if not (table.isidentifier() and dot and column.isidentifier()):
        raise SourceError(f"{system}: lead_source in the connection is table.column, as lead.leadsourcecode")
    return table, column


def _zone(system: str, said: Said) -> ZoneInfo:
    try:
        return ZoneInfo(said("timezone") or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        raise SourceError(
            f"{system}: there is no time zone {said('timezone')!r}; use one like Europe/Moscow as timezone"
        ) from None
