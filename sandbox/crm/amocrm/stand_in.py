"""amoCRM (Kommo) API v4 over HTTP: an account whose API stands at `/amocrm/api/v4`, its authorization beside.

    POST /amocrm/oauth2/access_token      code or refresh token -> a pair of tokens
    GET  /amocrm/oauth?client_id=…        the consent page: goes back to the redirect address with a code
    GET  /amocrm/api/v4/…                 leads, contacts, companies, catalogs, events, …
    POST /amocrm/control/options          {"filter_api": false, …}: see `account.Options`; GET shows them
    POST /amocrm/control/forgive          lets an address in again that was shut out

What is assumed where the vendor's documentation is silent stands with the options.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.crm.amocrm import directories, events, lists, webhooks, writing
from sandbox.crm.amocrm.account import Account, source_id
from sandbox.crm.amocrm.events import EventLog
from sandbox.crm.amocrm.http import Gate, Refusal, bearer, hal, said, too_many, unauthorized
from sandbox.crm.amocrm.records import Records
from sandbox.crm.amocrm.tokens import Consents
from sandbox.crm.amocrm.webhooks import letters as hook
from sandbox.desk.records import Traits
from sandbox.office import Office

__all__ = ["TRAITS", "connection", "hook", "routes", "source_id"]

TRAITS = Traits(list_prices=True, backdates=True)


def routes(office: Office) -> list[BaseRoute]:
    """The account's addresses, relative to its mount."""
    account = Account(office)
    consents, records = Consents(account), Records(account)
    gate, chosen = Gate(account, records, consents), lists.Lists(account, records)
    vendor = office.where.partition("-")[0]
    office.faults.speaks(vendor, "limit", lambda path: too_many(account))
    office.faults.speaks(vendor, "unauthorized", lambda path: unauthorized())

    async def subdomain(request: Request) -> Response:
        """GET /oauth2/account/subdomain: where the account of a token lives now."""
        if not consents.accepts(bearer(request)):
            return unauthorized()
        domain = f"{account.subdomain}.amocrm.ru"
        return hal(
            {"id": account.id, "subdomain": account.subdomain, "domain": domain, "top_level_domain": "ru"}
        )

    async def options(request: Request) -> Response:
        if request.method == "POST":
            try:
                account.options = account.options.changed(await said(request))
            except ValueError as error:
                return Refusal(400, str(error)).answer()
        return hal(msgspec.to_builtins(account.options))

    async def absent(request: Request) -> Response:
        raise Refusal(404, "Cannot find the requested resource")

    async def forgive(request: Request) -> Response:
        gate.forgive()
        return hal({"forgiven": True})

    return [
        Route("/oauth2/access_token", gate.counted(consents.exchange), methods=["POST"]),
        Route("/oauth2/account/subdomain", gate.counted(subdomain), methods=["GET"]),
        Route("/oauth", gate.counted(consents.page), methods=["GET"]),
        Route("/control/options", options, methods=["GET", "POST"]),
        Route("/control/forgive", forgive, methods=["POST"]),
        *directories.routes(account, records, chosen, gate),
        *lists.routes(account, records, chosen, gate),
        *events.routes(account, records, EventLog(account), gate),
        *webhooks.routes(account, records, gate),
        *writing.routes(account, records, gate),
        Route("/api/v4/{path:path}", gate(absent), methods=["GET", "POST", "PATCH", "DELETE"]),
    ]


def connection(office: Office, base: str) -> dict[str, Any]:
    """What one types into a mapping file: the address, the integration, its first refresh token, and the
    long-lived token of a private integration, which does without them."""
    consents = Consents(Account(office))
    return {
        "base_url": base,
        "subdomain": consents.account.subdomain,
        "client_id": office.client_id,
        "client_secret": office.client_secret,
        "redirect_uri": consents.redirect_uri,
        **consents.first(),
    }
