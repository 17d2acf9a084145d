"""How an application is let in: Entra ID's client credentials, a token for about an hour, the next by the same grant.

There is no refresh token, so nothing can be used up: a token that is refused is simply asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from resources.connector import Refused, SourceError
from resources.http import Answer, Client, Verdict, by_status
from resources.tokens import Grant, Token, token_of

LOGIN: Final = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"

# What Entra ID's numbers mean, and what to do: by the error_codes of its refusal.
_REMEDIES: Final = {
    7000215: "the client secret is wrong: copy the secret's value (not its ID) into client_secret",
    7000222: "the client secret has expired: make a new one in the app registration, and put it into client_secret",
    700016: "the app registration is not in this tenant: correct client_id or tenant",
    7000229: "the app has no service principal in this tenant: let an administrator consent to it",
    90002: "there is no such tenant: correct tenant (its id or domain)",
    900023: "tenant is neither an id nor a domain: correct it",
    500011: "no such environment in this tenant: correct scope, https://<org>.crm<N>.dynamics.com/.default",
    70011: "scope is not valid: it is https://<org>.crm<N>.dynamics.com/.default",
    53003: "a Conditional Access policy refuses this application: let an administrator exclude it",
}


def granted(
    http: Client,
    path: str,
    form: Mapping[str, str],
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Grant:
    """The grant for `OAuth`: posts the form to the token page and reads the token. Raises SourceError in words."""

    def grant(known: Token | None) -> Token:
        try:
            answer: Any = http.request(
                "POST", path, content=urlencode(form).encode(),
                headers={"Content-Type": "application/x-www-form-urlencoded"}, classify=_meaning,
            ).json()  # fmt: skip
        except Refused as error:
            raise SourceError(str(error)) from None
        if not isinstance(answer, dict) or not answer.get("access_token"):
            raise SourceError(
                f"{http.system}: the token page answered without a token; correct token_url in the connection"
            )
        return token_of(answer, None, clock())

    return grant


def _meaning(answer: Answer) -> Verdict:
    if answer.status not in (400, 401, 403):
        return by_status(answer)
    try:
        said: Any = answer.json()
    except ValueError:
        said = {}
    said = said if isinstance(said, dict) else {}
    codes = [code for code in said.get("error_codes") or () if isinstance(code, int)]
    words = str(said.get("error_description") or answer.text).partition(" Trace ID")[0]
    remedy = next((_REMEDIES[code] for code in codes if code in _REMEDIES), "")
    return Verdict(
        "unauthorized", f"Entra ID lets us not in ({words.rstrip('.')})",
        remedy or "check tenant, client_id and client_secret in the connection", str(said.get("error") or ""),
    )  # fmt: skip
