"""How an integration is let into an org: OAuth 2 by client credentials, a refresh token, a signed assertion or a password.

A token is the session itself. The vendor says of no grant how long it is good: it is used until a request is refused
with 401, and renewed once. Where the connected app rotates refresh tokens, each one works once: the new one is stored
before it is used. The answer names the org's present address, which counts from then on.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from resources.connector import SourceError
from resources.http import Answer, Client, Verdict, by_status
from resources.tokens import Grant, OAuth, Token, TokenStore, token_of

PATH: Final = "services/oauth2/token"
ASSERTION_SECONDS: Final = 180  # of a signed assertion; the vendor takes no longer one
GRANTS: Final = {
    "jwt": ("client_id", "username", "private_key"),
    "refresh_token": ("client_id", "refresh_token"),
    "client_credentials": ("client_id", "client_secret"),
    "password": ("client_id", "client_secret", "username", "password"),
}
SECRETS: Final = ("client_secret", "refresh_token", "password", "security_token", "private_key")
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


def chosen(system: str, said: Callable[[str], str]) -> str:
    """The grant that the connection is for: named by `grant`, else the first that it holds the keys of.

    A password is used only where `grant` says so: the vendor is taking that one away. Raises SourceError.
    """
    named = said("grant")
    if named and named not in GRANTS:
        raise SourceError(f"{system}: the connection's grant is {named!r}; there are {', '.join(GRANTS)}")
    tried = [named] if named else ["jwt", "refresh_token", "client_credentials"]
    for grant in tried:
        if all(said(key) for key in GRANTS[grant]):
            return grant
    missing = [key for key in GRANTS[tried[-1]] if not said(key)]
    raise SourceError(
        f"{system}: the connection lacks {', '.join(missing)} for the grant {tried[-1]}; take them from the "
        "connected app (Setup, App Manager, View, Manage Consumer Details)"
    )


def authorized(
    system: str,
    token_url: str,
    said: Callable[[str], str],
    tokens: TokenStore,
    options: Mapping[str, Any],
) -> OAuth:
    """What puts a session on every request. `said` gives a key of the connection. Sends nothing.

    Raises SourceError where the connection holds the keys of no grant.
    """
    grant = chosen(system, said)
    secrets = [said(name) for name in SECRETS] + [said("password") + said("security_token")]
    http = Client(
        system, token_url, secrets=secrets, classify=_verdict, connections=1, gives_tokens=True, **options
    )
    form = _form(system, grant, token_url, said)

    def renew(known: Token | None) -> Token:
        body = urlencode(form(known)).encode()
        answer = http.request("POST", token_url, content=body, headers=_FORM).json()
        if not isinstance(answer, dict) or not answer.get("access_token"):
            raise SourceError(f"{system}: the token's address answered without a token; check token_url")
        organization, user = identity(answer)
        address = str(answer.get("instance_url") or "")
        return token_of(
            answer, known, datetime.now(UTC), instance_url=address, organization=organization, user=user
        )

    checked: Grant = renew
    return OAuth(system, tokens, checked)


def identity(answer: Mapping[str, Any]) -> tuple[str, str]:
    """The ids of the org and the user out of the identity address of a token's answer (.../id/<org>/<user>), or ""."""
    parts = str(answer.get("id") or "").rstrip("/").split("/")
    return (parts[-2], parts[-1]) if len(parts) > 2 and parts[-3] == "id" else ("", "")


def _form(
    system: str, grant: str, token_url: str, said: Callable[[str], str]
) -> Callable[[Token | None], dict[str, str]]:
    def form(known: Token | None) -> dict[str, str]:
        client = {"client_id": said("client_id")}
        if said("client_secret"):
            client["client_secret"] = said("client_secret")
        if grant == "refresh_token":
            refresh = (known.refresh if known else "") or said("refresh_token")
            return {"grant_type": "refresh_token", "refresh_token": refresh, **client}
        if grant == "password":
            word = said("password") + said("security_token")
            return {"grant_type": "password", "username": said("username"), "password": word, **client}
        if grant == "jwt":
            signed = assertion(
                system,
                said("client_id"),
                said("username"),
                said("audience") or token_url,
                said("private_key"),
            )
            return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed}
        return {"grant_type": "client_credentials", **client}

    return form


def assertion(
    system: str, client_id: str, username: str, audience: str, private_key: str, now: float | None = None
) -> str:
    """A JSON web token signed by RS256. `audience` is the login address, `private_key` a PEM text.

    `now`: seconds since 1970. Raises SourceError for a key that is none.
    """
    try:
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding, rsa
    except ImportError:
        raise SourceError(
            f"{system}: the grant jwt needs the package cryptography; install it, or use client_credentials"
        ) from None
    audience = audience.partition("/services/")[0]
    try:
        key = serialization.load_pem_private_key(private_key.replace("\\n", "\n").encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise SourceError(
            f"{system}: the connection's private_key is no RSA key in PEM without a password; give the key whose "
            "certificate was uploaded to the connected app"
        )
    issued = time.time() if now is None else now
    claims = {"iss": client_id, "sub": username, "aud": audience, "exp": int(issued) + ASSERTION_SECONDS}
    head = b".".join(_encoded(msgspec.json.encode(part)) for part in ({"alg": "RS256"}, claims))
    return (head + b"." + _encoded(key.sign(head, padding.PKCS1v15(), hashes.SHA256()))).decode()


def _encoded(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def _verdict(answer: Answer) -> Verdict:
    if answer.status not in (400, 401, 403):
        return by_status(answer)
    return Verdict(
        "unauthorized", f"HTTP {answer.status}: {answer.text}",
        "the token was taken back, used up or ended, or the keys are wrong: see in Setup that the connected app allows "
        "this grant and the user, and put the present keys into the connection",
    )  # fmt: skip
