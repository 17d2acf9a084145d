"""How QuickBooks lets us in: a refresh token whose value changes, and access tokens of an hour.

The value of the refresh token changes about once a day, and the one before it dies; two who renew at once may lose
both. So one renews for all, and the new value is stored before it is used (`resources/tokens.py`). It lives for 100 days
after its last use, and five years in all. A token belongs to one company (realm).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from resources.connector import Refused, SourceError
from resources.http import Answer, Client, Verdict, by_status
from resources.tokens import Grant, MemoryTokens, OAuth, Token, TokenStore, token_of

TOKEN_URL: Final = "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"
SCOPE: Final = "com.intuit.quickbooks.accounting"
KEYS: Final = ("realm_id", "client_id", "client_secret", "refresh_token")
ATTEMPTS: Final = 4  # of one renewal

_AGAIN: Final = (
    "its refresh token was used up, revoked or left for 100 days: let the company's administrator connect it once more "
    "(appcenter.intuit.com), and put the new refresh_token into the connection"
)
_REMEDIES: Final = {
    "invalid_grant": _AGAIN,
    "invalid_client": "compare client_id and client_secret with the app's keys, of the same environment as the company",
}


def authorized(
    system: str, connection: Mapping[str, Any], tokens: TokenStore | None, options: Mapping[str, Any]
) -> OAuth:
    """The auth of a client; sends nothing. Raises SourceError that names the key and the remedy."""
    said = {name: str(connection.get(name) or "").strip() for name in KEYS}
    missing = [name for name, value in said.items() if not value]
    if missing:
        raise SourceError(
            f"{system}: the connection lacks {', '.join(missing)}; make an app at developer.intuit.com with the scope "
            f"{SCOPE}, connect the company to it once, and write down what the redirect and the token say"
        )
    address = str(connection.get("token_url") or TOKEN_URL).strip()
    parts = urlsplit(address)
    if not parts.hostname or not parts.path.strip("/"):
        raise SourceError(f"{system}: token_url is no address; leave it out, it is {TOKEN_URL}")
    pair = base64.b64encode(f"{said['client_id']}:{said['client_secret']}".encode()).decode()
    http = Client(
        system, address.rpartition("/")[0] + "/", headers={"Authorization": f"Basic {pair}"},
        secrets=[said["client_secret"], said["refresh_token"], pair], classify=_verdict, connections=1,
        attempts=ATTEMPTS, gives_tokens=True, **options,
    )  # fmt: skip
    grant = _grant(http, parts.path.rpartition("/")[2], said["refresh_token"], lambda: datetime.now(UTC))
    return OAuth(system, tokens or MemoryTokens(), grant)


def _grant(http: Client, path: str, first: str, clock: Callable[[], datetime]) -> Grant:
    def grant(known: Token | None) -> Token:
        form = {"grant_type": "refresh_token", "refresh_token": (known and known.refresh) or first}
        try:
            answer = http.request(
                "POST", path, content=urlencode(form).encode(),
                headers={"Content-Type": "application/x-www-form-urlencoded"},
            ).json()  # fmt: skip
        except Refused as error:
            raise SourceError(str(error)) from None
        if not isinstance(answer, dict) or not answer.get("access_token"):
            raise SourceError(
                f"{http.system}: the exchange of the refresh token answered without a token; try again later",
                retriable=True,
            )
        before = known or Token("", refresh=form["refresh_token"])
        return token_of(answer, before, clock())

    return grant


def _verdict(answer: Answer) -> Verdict:
    if answer.status == 200:
        return by_status(answer)
    try:
        said = answer.json() if answer.is_json else {}
    except ValueError:
        said = {}
    error = str(said.get("error") or "") if isinstance(said, dict) else ""
    if error in _REMEDIES or answer.status == 401:
        word = error or "the client is not known"
        return Verdict(
            "unauthorized", f"HTTP {answer.status}: {word}", _REMEDIES.get(error, _REMEDIES["invalid_client"])
        )
    return by_status(answer)
