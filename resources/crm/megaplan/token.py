"""How a user or an application is let into a Megaplan account.

By name and password a token good for 48 hours is given, with a refresh token that works once: the server keeps
only the newest. Where a refresh token is refused, the password lets in anew. The key of an application that an
administrator made in the account is a bearer token that lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import msgspec

from resources.connector import Refused, SourceError
from resources.http import Answer, Client, Verdict, by_status
from resources.tokens import Grant, MemoryTokens, OAuth, Token, TokenStore, token_of

PATH: Final = "auth/access_token"
SMALL: Final = 20_000  # bytes: a refusal is never longer, so that a page of rows is not decoded for it
_REMEDY: Final = (
    "check username and password in the connection, and that this user may log in; or give application_token in "
    "their place (the key of an application made in the account's settings)"
)


def authorized(
    system: str,
    base_url: str,
    connection: Mapping[str, Any],
    tokens: TokenStore | None,
    options: Mapping[str, Any],
) -> tuple[httpx.Auth | None, dict[str, str], list[str]]:
    """What a client needs: its auth, its headers, its secrets. Sends nothing.

    Raises SourceError where the connection holds neither name and password nor an application's key.
    """

    def said(name: str) -> str:
        return str(connection.get(name) or "").strip()

    username, password, refresh = said("username"), said("password"), said("refresh_token")
    lasting = said("application_token")
    secrets = [password, refresh, lasting]
    if (username and password) or (refresh and not lasting):
        http = Client(
            system, base_url, secrets=secrets, classify=_verdict, connections=1, gives_tokens=True, **options
        )
        grant = _grant(http, username, password, refresh, lambda: datetime.now(UTC))
        return OAuth(system, tokens or MemoryTokens(), grant, refused=token_refused), {}, secrets
    if lasting:
        return None, {"Authorization": f"Bearer {lasting}"}, secrets
    missing = "password" if username else "username and password"
    raise SourceError(
        f"{system}: the connection lacks {missing}; give username and password of a user of the account, or "
        "application_token, the key of an application made in its settings"
    )


class _Meta(msgspec.Struct):
    status: int | str | None = None


class _Envelope(msgspec.Struct):
    meta: _Meta | None = None


def token_refused(response: httpx.Response) -> bool:
    """Whether the token was the cause: HTTP 401, or 401 said within an answer of HTTP 200."""
    if response.status_code == 401:
        return True
    if response.status_code != 200 or len(response.content) > SMALL:
        return False
    try:
        meta = msgspec.json.decode(response.content, type=_Envelope).meta
    except msgspec.DecodeError:
        return False
    return meta is not None and str(meta.status) == "401"


def _grant(http: Client, username: str, password: str, first: str, clock: Callable[[], datetime]) -> Grant:
    def ask(form: Mapping[str, str], known: Token | None) -> Token:
        sent = httpx.Request(
            "POST", "http://form/", files={name: (None, value) for name, value in form.items()}
        )
        try:
            answer = http.request(
                "POST", PATH, content=sent.read(), headers={"Content-Type": sent.headers["Content-Type"]}
            ).json()
        except Refused as error:
            raise SourceError(str(error)) from None
        if not isinstance(answer, dict) or not answer.get("access_token"):
            raise SourceError(f"{http.system}: the login answered without a token; {_REMEDY}")
        return token_of(answer, known, clock())

    def grant(known: Token | None) -> Token:
        refresh = (known.refresh if known else "") or first
        if refresh:
            try:
                return ask({"grant_type": "refresh_token", "refresh_token": refresh}, known)
            except SourceError as error:
                # Used up, too old or taken back; a server that is down would refuse the password too.
                if error.retriable or not (username and password):
                    raise
        return ask({"username": username, "password": password, "grant_type": "password"}, None)

    return grant


def _verdict(answer: Answer) -> Verdict:
    if answer.status in (400, 401, 403, 422):
        return Verdict("unauthorized", f"HTTP {answer.status}: {answer.text}", _REMEDY)
    if answer.status == 200 and answer.is_json:
        try:
            meta = msgspec.json.decode(answer.content, type=_Envelope).meta
        except msgspec.DecodeError:
            return by_status(answer)
        if meta is not None and str(meta.status) not in ("200", "None"):
            return Verdict("unauthorized", f"status {meta.status}: {answer.text}", _REMEDY)
    return by_status(answer)
