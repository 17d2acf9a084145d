"""How Zoho lets us in: a refresh token that stays good, access tokens of an hour, and the address of the API with them.

The refresh token is made once by a person (API console, self client) and dies when it is revoked, or as the oldest
of too many of one client and user. Access tokens are limited too (ten in ten minutes): they are kept and shared.
Asked too often, the vendor answers HTTP 400 "Access Denied"; a wrong token is told within HTTP 200.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from resources.connector import Refused, SourceError
from resources.http import Answer, Client, Verdict, by_status
from resources.tokens import Grant, MemoryTokens, OAuth, Token, TokenStore, token_of

SCHEME: Final = "Zoho-oauthtoken"
PATH: Final = "oauth/v2/token"
PAUSE: Final = 60.0  # seconds after "too many requests continuously": no time is named
ATTEMPTS: Final = 4  # of one renewal
SCOPES: Final = "ZohoCRM.modules.ALL,ZohoCRM.settings.ALL,ZohoCRM.users.READ,ZohoCRM.org.READ,ZohoCRM.coql.READ,ZohoCRM.bulk.ALL"
CENTRES: Final = {
    "com": "com",
    "eu": "eu",
    "in": "in",
    "au": "com.au",
    "jp": "jp",
    "cn": "com.cn",
    "sa": "sa",
    "ca": "ca",
}
"""Data centres by the word in the connection; a token works in its own alone."""


def addresses(system: str, connection: Mapping[str, Any]) -> tuple[str, str]:
    """The accounts server, and the API's address until a token names it; no slash at their ends.

    Raises SourceError that names the key and the remedy.
    """
    given = str(connection.get("accounts_url") or "").strip().rstrip("/")
    centre = str(connection.get("data_centre") or "").strip().lower()
    if centre and centre not in CENTRES:
        raise SourceError(f"{system}: data_centre {centre!r} is none of {', '.join(CENTRES)}; correct it")
    if not given and centre:
        given = (
            "https://accounts.zohocloud.ca" if centre == "ca" else f"https://accounts.zoho.{CENTRES[centre]}"
        )
    host = urlsplit(given).hostname
    if not host:
        raise SourceError(
            f"{system}: the connection's accounts_url is no address; it looks like https://accounts.zoho.eu, by the "
            "data centre where you sign in (or give data_centre: eu)"
        )
    domain = str(connection.get("api_domain") or "").strip().rstrip("/")
    if not domain and host.startswith("accounts.zoho"):
        domain = f"https://www.zohoapis.{host.removeprefix('accounts.').partition('.')[2]}"
    return given, domain or given


def authorized(
    system: str,
    accounts_url: str,
    connection: Mapping[str, Any],
    tokens: TokenStore | None,
    options: Mapping[str, Any],
) -> OAuth:
    """The auth of a client; sends nothing. `options` are those of the Client that asks for tokens."""
    said = {name: str(connection.get(name) or "").strip() for name in KEYS}
    missing = [name for name, value in said.items() if not value]
    if missing:
        raise SourceError(
            f"{system}: the connection lacks {', '.join(missing)}; make a self client in the API console "
            f"(api-console.zoho.com, of your data centre) with the scopes {SCOPES}, and exchange its code once"
        )
    http = Client(
        system, f"{accounts_url}/", secrets=[said["client_secret"], said["refresh_token"]], classify=_verdict,
        connections=1, attempts=ATTEMPTS, gives_tokens=True, **options,
    )  # fmt: skip
    return OAuth(
        system, tokens or MemoryTokens(), _grant(http, said, lambda: datetime.now(UTC)), scheme=SCHEME
    )


KEYS: Final = ("client_id", "client_secret", "refresh_token")


def _grant(http: Client, said: Mapping[str, str], clock: Callable[[], datetime]) -> Grant:
    def grant(known: Token | None) -> Token:
        form = {**said, "grant_type": "refresh_token"}
        try:
            answer = http.request(
                "POST", PATH, content=urlencode(form).encode(),
                headers={"Content-Type": "application/x-www-form-urlencoded"},
            ).json()  # fmt: skip
        except Refused as error:
            raise SourceError(str(error)) from None
        if not isinstance(answer, dict) or not answer.get("access_token"):
            raise SourceError(
                f"{http.system}: the exchange of the refresh token answered without a token; try again later",
                retriable=True,
            )
        extra = {"api_domain": str(answer["api_domain"]).rstrip("/")} if answer.get("api_domain") else {}
        return token_of(answer, known, clock(), **extra)

    return grant


_REMEDIES: Final = {
    "invalid_code": "the refresh token was revoked, or is of another data centre: make a new one in the API console, "
    "and put it into the connection",
    "invalid_client": "client_id is not known in this data centre: see that accounts_url is that of your account",
    "invalid_client_secret": "client_secret is wrong: copy it from the API console once more",
}


def _verdict(answer: Answer) -> Verdict:
    try:
        said = answer.json() if answer.is_json else {}
    except ValueError:
        return by_status(answer)
    error = str(said.get("error") or "") if isinstance(said, dict) else ""
    if answer.status == 429 or (answer.status == 400 and "denied" in error.lower()):
        return Verdict(
            "retry", f"HTTP {answer.status}: {said.get('error_description') or error}",
            "tokens were asked for too often; see that nothing else uses this client, and wait ten minutes", after=PAUSE,
        )  # fmt: skip
    if error:
        remedy = _REMEDIES.get(
            error, "compare client_id, client_secret and refresh_token with the API console"
        )
        return Verdict("unauthorized", f"HTTP {answer.status}: {error}", remedy)
    return by_status(answer)
