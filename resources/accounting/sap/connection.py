"""What a connection to SAP says, turned into sessions that send nothing yet; `sap.connect` explains it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import httpx

from resources.accounting.sap import keys
from resources.accounting.sap.records import Making
from resources.accounting.sap.session import Session
from resources.budget import Budget, LocalBudget
from resources.connection import AT_ONCE, DAY, as_copied, number, switch
from resources.connector import Refused, SourceError
from resources.http import Answer, Client, Verdict, by_status
from resources.tokens import Grant, MemoryTokens, OAuth, Token, TokenStore, token_of

CONCURRENCY: Final = 4  # sessions; on-premise each holds a dialog work process while it works
BATCH: Final = 25  # change sets of one $batch
MOST_IN_BATCH: Final = 100
PAGE: Final = 1000
UNPACED: Final = 10_000.0  # requests a second: no vendor's number, only what a pause is counted against

CURRENCIES: Final = "EUR USD GBP CHF CNY RUB KZT BYN UAH PLN CZK TRY AED INR JPY"
UNITS: Final = "PC EA KG G M CM L H DAY LE AU PAC"
GATEWAY: Final = "sap/opu/odata/sap/"


@dataclass(frozen=True, slots=True)
class Opened:
    """What the keys of a connection amount to."""

    session: Session
    making: Making
    login: Client | None
    said: Mapping[str, Sequence[Mapping[str, str]]]  # by entity: the dictionaries that no service tells
    company_code: str
    ledger: str
    price_condition: str
    balance_accounts: tuple[str, ...]
    batch: int
    closed_until: date | None
    timeout: float  # seconds


def credentials(connection: Mapping[str, Any]) -> tuple[str, ...]:
    """By what the tokens of this connection are granted."""
    names = ("url", "token_url", "scope", "client_id", "client_secret")
    return tuple(str(connection.get(name) or "") for name in names)


def opened(
    system: str,
    connection: Mapping[str, Any],
    budget: Budget | None,
    tokens: TokenStore | None,
    transport: httpx.BaseTransport | None = None,
) -> Opened:
    """A connection's keys as what they amount to. Raises SourceError that names the key and the remedy."""

    def said(name: str, otherwise: str = "") -> str:
        value = connection.get(name)
        return otherwise if value is None else str(value).strip() or otherwise

    def words(name: str, otherwise: str = "") -> tuple[str, ...]:
        value = connection.get(name)
        if isinstance(value, Mapping):  # their codes by ours
            value = list(dict.fromkeys(value.values()))
        listed = value if isinstance(value, list | tuple) else said(name, otherwise).replace(",", " ").split()
        return tuple(str(word) for word in listed) or tuple(otherwise.split())

    as_copied(system, connection)
    url = _gateway(system, said("url"))
    if not said("company_code"):
        raise SourceError(
            f"{system}: the connection lacks company_code; it is the four characters of our legal entity in SAP, as 1010"
        )
    try:
        zone = ZoneInfo(said("timezone", "UTC"))
    except (ZoneInfoNotFoundError, ValueError):
        raise SourceError(
            f"{system}: there is no time zone {said('timezone')!r}; use that of the SAP system, as Europe/Berlin"
        ) from None
    closed = said("closed_until")
    try:
        closed_until = date.fromisoformat(closed) if closed else None
    except ValueError:
        raise SourceError(
            f"{system}: closed_until in the connection is not a day as 2026-03-31: {closed!r}"
        ) from None
    count = number(system, connection, "concurrency", CONCURRENCY, most=AT_ONCE, whole=True)
    options: dict[str, Any] = {
        "timeout": number(system, connection, "timeout", 120, most=DAY),
        "ca_file": said("ca_file") or None,
        "allow_http": switch(system, connection, "allow_http"),
        "secrets": [said("password"), said("client_secret"), said("api_key")],
        "transport": transport,
    }
    rate = number(system, connection, "rate_per_second", UNPACED)
    pace = budget or LocalBudget(rate, number(system, connection, "burst", 2 * rate))
    login, auth, who = _auth(system, said, tokens, options)
    headers = {"sap-language": said("sap_language") or said("language", "EN")}
    if client := said("sap_client") or said("client"):
        headers["sap-client"] = client
    if api_key := said("api_key"):
        headers["APIKey"] = api_key
    seats = [
        Client(system, url, auth=auth, budget=pace, headers=headers, connections=1, **options)
        for _ in range(count)
    ]
    session = Session(
        seats, who, page=number(system, connection, "page", PAGE, whole=True),
        query_limit=number(system, connection, "query_limit", 4000, whole=True), closed_text=said("closed_text"),
    )  # fmt: skip
    references = {**keys.REFERENCES, **_named(connection.get("references"))}
    making = Making(
        system, zone, headers["sap-language"].upper()[:2], frozenset(words("payment_types", "DZ")),
        words("tax_types"), switch(system, connection, "unsigned"), references,
    )  # fmt: skip
    dictionaries: dict[str, Sequence[Mapping[str, str]]] = {
        "organization": [
            {
                "Key": said("company_code"), "CompanyCode": said("company_code"),
                "CompanyCodeName": said("company_name", said("company_code")), "TaxNumber": said("company_tax_number"),
            }
        ],
        "currency": [{"Key": c, "Currency": c} for c in dict.fromkeys([*words("currency"), *words("currencies", CURRENCIES)])],
        "unit": [{"Key": u, "Unit": u} for u in words("units", UNITS)],
        "warehouse": [{"Key": p, "Plant": p} for p in words("plants") or words("plant")],
    }  # fmt: skip
    return Opened(
        session, making, login, dictionaries, said("company_code"), said("ledger", "0L"),
        said("price_condition") or said("condition_type", "PPR0"), words("balance_accounts"),
        number(system, connection, "batch", BATCH, most=MOST_IN_BATCH, whole=True), closed_until,
        options["timeout"],
    )  # fmt: skip


def _gateway(system: str, url: str) -> str:
    """The address of the gateway: as given where it names one, else with the path that is usual."""
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise SourceError(
            f"{system}: the connection's url is no address; it looks like https://<host>/sap/opu/odata/sap/"
        )
    if address.query or address.fragment:
        raise SourceError(f"{system}: the connection's url has a ? or #; it ends in /sap/opu/odata/sap/")
    base = url.rstrip("/") + "/"
    return base if "/opu/odata/" in address.path + "/" else base + GATEWAY


def _auth(
    system: str, said: Callable[..., str], tokens: TokenStore | None, options: Mapping[str, Any]
) -> tuple[Client | None, httpx.Auth | tuple[str, str], str]:
    """(the client of the token page, how requests are let in, whom a message names)."""
    if said("token_url"):
        missing = [name for name in ("client_id", "client_secret") if not said(name)]
        if missing:
            raise SourceError(
                f"{system}: the connection lacks {', '.join(missing)}; they are on the communication arrangement's page "
                "(OAuth 2.0 details), or in the client that SAP's administrator made (SOAUTH2)"
            )
        start, _, page = said("token_url").rpartition("/")
        login = Client(
            system,
            f"{start}/",
            auth=(said("client_id"), said("client_secret")),
            connections=1,
            gives_tokens=True,
            **options,
        )
        form = {"grant_type": "client_credentials"} | ({"scope": said("scope")} if said("scope") else {})
        secret = {"client_id": said("client_id"), "client_secret": said("client_secret")}
        return (
            login,
            OAuth(system, tokens or MemoryTokens(), granted(login, page, form, secret)),
            said("client_id"),
        )
    missing = [name for name in ("user", "password") if not said(name)]
    if missing:
        raise SourceError(
            f"{system}: the connection lacks {', '.join(missing)}; give the communication user's, or token_url, "
            "client_id and client_secret for OAuth 2"
        )
    return None, (said("user"), said("password")), said("user")


def granted(
    http: Client,
    path: str,
    form: Mapping[str, str],
    secret: Mapping[str, str],
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Grant:
    """The grant for `OAuth`: the client's name and secret in the header, and in the form where that is refused.

    Which of the two a tenant takes is unconfirmed. There is no refresh token: the next one comes by the same grant.
    Raises SourceError in words.
    """

    def ask(body: Mapping[str, str]) -> Any:
        return http.request(
            "POST", path, content=urlencode(body).encode(), classify=_token_meaning,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        ).json()  # fmt: skip

    def grant(known: Token | None) -> Token:
        try:
            answer = ask(form)
        except Refused:
            try:
                answer = ask({**form, **secret})
            except Refused as error:
                raise SourceError(str(error)) from None
        if not isinstance(answer, dict) or not answer.get("access_token"):
            raise SourceError(
                f"{http.system}: the token page answered without a token; correct token_url in the connection"
            )
        return token_of(answer, None, clock())

    return grant


def _token_meaning(answer: Answer) -> Verdict:
    if answer.status not in (400, 401, 403):
        return by_status(answer)
    try:
        body = answer.json()
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    words = str(body.get("error_description") or body.get("error") or answer.text)
    remedy = "check token_url, client_id, client_secret and scope in the connection"
    return Verdict(
        "refused", f"no token was given ({words.rstrip('.')})", remedy, str(body.get("error") or "")
    )


def _named(value: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, Mapping) else {}
