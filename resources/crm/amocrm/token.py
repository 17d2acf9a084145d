"""How an integration is let into an account: OAuth 2 with refresh tokens that work once, or a long-lived token.

A refresh token is exchanged for a new pair, and is dead from then on; unused for three months it dies too. Should
the answer of an exchange be lost, nobody has the new pair: the integration is to be let in once more. An access
token is good for a day, as `expires_in` says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from resources.connector import Refused, SourceError
from resources.http import Answer, Client, Verdict, by_status
from resources.tokens import Grant, MemoryTokens, OAuth, Token, TokenStore, token_of

PATH: Final = "oauth2/access_token"


def authorized(
    system: str,
    base_url: str,
    connection: Mapping[str, Any],
    tokens: TokenStore | None,
    options: Mapping[str, Any],
) -> tuple[httpx.Auth | None, dict[str, str], list[str]]:
    """What a client needs: its auth, its headers, its secrets. Sends nothing.

    Raises SourceError where the connection holds neither a long-lived token nor all that OAuth needs.
    """

    def said(name: str) -> str:
        return str(connection.get(name) or "").strip()

    client_id, secret = said("client_id"), said("client_secret")
    first, code, lasting = said("refresh_token"), said("code"), said("long_lived_token")
    secrets = [secret, first, code, lasting]
    if client_id and secret and (first or code):
        http = Client(
            system, base_url, secrets=secrets, classify=_verdict, connections=1, gives_tokens=True, **options
        )
        grant = _grant(http, said, lambda: datetime.now(UTC))
        return OAuth(system, tokens or MemoryTokens(), grant), {}, secrets
    if lasting:
        return None, {"Authorization": f"Bearer {lasting}"}, secrets
    missing = [
        name
        for name, given in (
            ("client_id", client_id),
            ("client_secret", secret),
            ("refresh_token or code", first or code),
        )
        if not given
    ]
    raise SourceError(
        f"{system}: the connection lacks {', '.join(missing)} for OAuth, and long_lived_token; give all of the "
        "former or the latter, from the integration's page in the account (Settings, Integrations, Keys and scopes)"
    )


def _grant(http: Client, said: Callable[[str], str], clock: Callable[[], datetime]) -> Grant:
    def grant(known: Token | None) -> Token:
        refresh = (known.refresh if known else "") or said("refresh_token")
        body = {
            "client_id": said("client_id"),
            "client_secret": said("client_secret"),
            "redirect_uri": said("redirect_uri"),
            **(
                {"grant_type": "refresh_token", "refresh_token": refresh}
                if refresh
                else {"grant_type": "authorization_code", "code": said("code")}
            ),
        }
        try:
            answer = http.request("POST", PATH, json=body).json()
        except Refused as error:
            raise SourceError(str(error)) from None
        if not isinstance(answer, dict) or not answer.get("access_token"):
            raise SourceError(
                f"{http.system}: the exchange of the token answered without one; try again later"
            )
        return token_of(answer, known, clock())

    return grant


def _verdict(answer: Answer) -> Verdict:
    if answer.status in (400, 401, 403):
        return Verdict(
            "unauthorized", f"HTTP {answer.status}: {answer.text}",
            "the refresh token or code was used up, grew old (three months) or was taken back, or the keys are "
            "wrong: let the integration in once more, and put its new code or refresh_token into the connection",
        )  # fmt: skip
    return by_status(answer)
