"""How a local application is let into a Bitrix24 portal: OAuth 2, its token in the body of every request.

An access token lives an hour, a refresh token 180 days, and every renewal gives another refresh token in the
place of the one used. The answer names the portal's address (`client_endpoint`), which may change while the
portal stays the same. Sources: settings/oauth/index.md, auto-renewal.md and error-codes.md of the vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec

from resources.address import NONE, place
from resources.connector import Refused, SourceError
from resources.http import Answer, Client, Verdict, by_status
from resources.tokens import Grant, MemoryTokens, OAuth, Token, TokenStore, token_of

TOKEN_SERVER: Final = "https://oauth.bitrix24.tech/oauth/token/"
TIMEOUT: Final = 30.0  # seconds for the token server
NAMES: Final = ("client_id", "client_secret", "refresh_token", "code", "token_server")  # keys of a connection
REFUSED: Final = frozenset({"expired_token", "invalid_token", "no_auth_found"})
AGAIN: Final = (
    "let the application in once more: press «Reinstall» in its card in the portal, and put the refresh_token that it "
    "then gets (or a code, good for 30 seconds) into the connection"
)


class InTheBody(OAuth):
    """Puts the token into `auth` of a JSON body; renews it once where the portal says that it has expired.

    Other refusals with HTTP 401 are no reason to renew: the vendor blocks applications that do so needlessly.
    """

    requires_request_body = True
    host: str | None = None  # the only portal that it may be used with; None: whichever its token names

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """httpx's own protocol: send, and once more with a new token where the first was refused."""
        used = self.token()
        response = yield _with(request, used)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            response.read()
            if _code(response.content) in REFUSED and (fresh := self._renewed(used)).access != used.access:
                yield _with(request, fresh)

    def endpoint(self) -> str:
        """Where the portal's methods are, as its token says. Raises SourceError for another portal than `host`."""
        address = self.token().extra.get("client_endpoint", "")
        if not address:
            raise SourceError(
                f"{self.system}: the token server named no address of the portal; {AGAIN}", retriable=True
            )
        there = urlsplit(address).hostname
        if self.host and there != self.host:
            raise SourceError(
                f"{self.system}: the application's token is of the portal {there}, and the connection's url names "
                f"{self.host}; correct the url, or take the token of that portal's application"
            )
        return address


def is_application(connection: Mapping[str, Any]) -> bool:
    """Whether a connection is that of a local application."""
    return bool(str(connection.get("client_id") or "").strip())


def authorized(
    system: str,
    connection: Mapping[str, Any],
    tokens: TokenStore | None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> InTheBody:
    """The application's way in. Sends nothing.

    Raises SourceError where the connection lacks something or names a token server that is no address.
    """
    said = {name: str(connection.get(name) or "").strip() for name in NAMES}
    lacking = [name for name in ("client_id", "client_secret") if not said[name]]
    if not (said["refresh_token"] or said["code"]):
        lacking.append("refresh_token or code")
    if lacking:
        raise SourceError(
            f"{system}: the connection of the local application lacks {', '.join(lacking)}; they stand in the "
            "application's card in the portal and in what its installation sent to its handler"
        )
    secrets = [said["client_secret"], said["refresh_token"], said["code"]]
    server = said["token_server"] or TOKEN_SERVER
    http = Client(
        system, server, secrets=secrets, classify=_verdict, connections=1, timeout=TIMEOUT, gives_tokens=True
    )
    auth = InTheBody(system, tokens or MemoryTokens(), _grant(http, said, clock), clock=clock)
    auth.host = urlsplit(str(connection.get("url") or "").strip()).hostname
    return auth


def _grant(http: Client, said: Mapping[str, str], clock: Callable[[], datetime]) -> Grant:
    def grant(known: Token | None) -> Token:
        refresh = (known.refresh if known else "") or said["refresh_token"]
        asked = {"grant_type": "authorization_code", "code": said["code"]}
        if refresh:
            asked = {"grant_type": "refresh_token", "refresh_token": refresh}
        keys = {name: said[name] for name in ("client_id", "client_secret")}
        try:
            answer = http.request("GET", http.base_url, params={**asked, **keys}).json()
        except Refused as error:
            raise SourceError(str(error)) from None
        address = str(answer.get("client_endpoint") or "")
        if not answer.get("access_token"):
            raise SourceError(
                f"{http.system}: the token server answered without a token; try again later", retriable=True
            )
        # Without an address the one known stays: the refresh token that was sent is worth nothing any more.
        named = address.startswith(("https://", "http://")) and place(address) != NONE
        there = {"client_endpoint": address.rstrip("/") + "/"} if named else {}
        return token_of(answer, known, clock(), **there, member_id=str(answer.get("member_id") or ""))

    return grant


def _with(request: httpx.Request, token: Token) -> httpx.Request:
    """The same request with the token as the first key of its JSON body."""
    rest = request.content.lstrip()[1:].lstrip()
    head = b'{"auth":' + msgspec.json.encode(token.access)
    headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"content-length"]
    content = head + (b"}" if rest == b"}" else b"," + rest)
    return httpx.Request(
        request.method, request.url, headers=headers, content=content, extensions=request.extensions
    )


def _code(content: bytes) -> str:
    try:
        said = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return ""
    return str(said.get("error", "")).lower() if isinstance(said, dict) else ""


_REMEDIES = {
    "invalid_grant": f"the refresh token was used already, is older than 180 days, or the code is; {AGAIN}",
    "expired_token": f"the refresh token is older than 180 days; {AGAIN}",
    "invalid_client": "check client_id and client_secret, and that the application is installed in the portal",
    "payment_required": "the portal's plan or the application's licence has ended: pay for it",
    "insufficient_scope": "tick crm, catalog, user and task in the application's card",
    "invalid_scope": "tick crm, catalog, user and task in the application's card",
    "invalid_request": "check client_id, client_secret and refresh_token of the connection",
}


def _verdict(answer: Answer) -> Verdict:
    """The token server's word: an error has a code in its body, whatever the HTTP status."""
    code = _code(answer.content) if answer.is_json else ""
    if not code:
        return by_status(answer)
    try:
        words = str(answer.json().get("error_description") or "")
    except ValueError:
        words = ""
    reason = f"the token server refused: {code}: {words}" if words else f"the token server refused: {code}"
    if code not in _REMEDIES and answer.status >= 500:
        return Verdict("uncertain", reason, "try again later", code)
    return Verdict("unauthorized", reason, _REMEDIES.get(code, AGAIN), code)
