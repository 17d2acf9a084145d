"""A stand-in of QuickBooks Online (Accounting API v3) and of its authorization server, on one mount.

    POST /oauth2/v1/tokens/bearer, /v2/oauth2/tokens/revoke, GET /connect/oauth2     the authorization server
    GET  /v3/company/{realm}/query?query=…, /{kind}/{id}, /companyinfo/…, /preferences, /exchangerate, /cdc
    GET  /v3/company/{realm}/reports/{name}                                          reports
    POST /v3/company/{realm}/{kind}[?operation=…&include=…&requestid=…], /batch      writing

Written are customers, vendors, employees, items, accounts and the small lists, invoices, estimates, credit
memos, sales and refund receipts, payments and journal entries; bills and the rest of purchasing are lists
without rows. Choices between readings of the documents are in `file.Options` and set by `do`.
"""

from __future__ import annotations

import random
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.accounting.quickbooks import accountant, deeds, fault, letters, tokens
from sandbox.accounting.quickbooks import seed as seeding
from sandbox.accounting.quickbooks.file import CompanyFile
from sandbox.accounting.quickbooks.gate import JSON, Gate
from sandbox.accounting.quickbooks.values import encode
from sandbox.books import Books
from sandbox.office import Letter

METHODS: Final = ["GET", "POST", "PUT", "DELETE", "PATCH"]


def routes(books: Books) -> list[BaseRoute]:
    """The protocol of one company."""
    file = CompanyFile.of(books)
    gate = Gate(file)

    def refusal(barred: fault.Barred) -> Response:
        return Response(
            encode(barred.body(int(file.now() * 1000))), barred.status, {"intuit_tid": "1-fault"}, JSON
        )

    books.faults.speaks(books.where, "limit", lambda path: refusal(fault.throttled()))
    books.faults.speaks(books.where, "unauthorized", lambda path: refusal(fault.token_refused("eyJ")))

    async def company(request: Request) -> Response:
        return await gate(request)

    async def bearer(request: Request) -> Response:
        with books.store.together():
            return await tokens.bearer(file, request)

    async def revoke(request: Request) -> Response:
        return await tokens.revoke(file, request)

    async def consent(request: Request) -> Response:
        return await tokens.consent(file, request)

    async def discovery(request: Request) -> Response:
        return await tokens.discovery(file, request)

    return [
        Route("/oauth2/v1/tokens/bearer", bearer, methods=["POST"]),
        Route("/v2/oauth2/tokens/revoke", revoke, methods=["POST"]),
        Route("/connect/oauth2", consent, methods=["GET"]),
        Route("/.well-known/openid_configuration", discovery, methods=["GET"]),
        Route("/.well-known/openid_sandbox_configuration", discovery, methods=["GET"]),
        Route("/v3/company/{realm}/{rest:path}", company, methods=METHODS),
    ]


def connection(books: Books, base: str) -> dict[str, Any]:
    """What one types into a mapping file. `refresh_token` is the one that lives now: each refresh changes it."""
    file = CompanyFile.of(books)
    return {
        "base_url": base,
        "token_url": f"{base}/oauth2/v1/tokens/bearer",
        "client_id": books.client_id,
        "client_secret": books.client_secret,
        "refresh_token": tokens.refresh_token(file),
        "realm_id": file.realm,
        "verifier_token": books.named("verifier"),
    }


def seed(books: Books, bare: bool) -> None:
    seeding.fill(CompanyFile.of(books), books.company, bare=bare)


def tick(books: Books, days: int, rng: random.Random) -> dict[str, int]:
    """Accounting's time passes up to the company's today; counts by act."""
    return accountant.pass_days(CompanyFile.of(books), days, rng)


def truth(books: Books) -> dict[str, Any]:
    """Documents, payments, totals of the ledger and every act of a person; money as text."""
    return deeds.truth(CompanyFile.of(books))


def do(books: Books, said: dict[str, Any]) -> dict[str, Any]:
    """One act on order; see `deeds`."""
    try:
        return deeds.do(CompanyFile.of(books), said)
    except fault.Refused as refused:
        raise ValueError(f"QuickBooks refuses: {refused.code} {refused.detail}") from None
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def hooks(books: Books) -> list[Letter]:
    """The webhooks that would be sent since the last call."""
    return letters.since(CompanyFile.of(books))
