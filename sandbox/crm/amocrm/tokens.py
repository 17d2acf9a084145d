"""The authorization server of amoCRM: codes, single-use refresh tokens, access tokens as JWT, long-lived tokens.

Rules and refusals: the vendor's page oauth/step-by-step and answers recorded in the issues of its official
client (a used refresh token: 401, "Token has been revoked"; a wrong secret: 401, the client is not known).
"""

from __future__ import annotations

import binascii
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from sandbox.crm.amocrm.account import ADMIN, Account

CODE_SECONDS: Final = 1200.0
LONG_LIVED_SECONDS: Final = 5 * 365 * 86_400
PROBLEM_TYPE: Final = "https://developers.amocrm.ru/v3/errors/OAuthProblemJson"
PRIVATE: Final = "private"
_REFRESH: Final = "def50200"
_encode = msgspec.json.encode


class Consents:
    """What one account's users agreed to: the tokens of the integration, in the vendor's forms."""

    def __init__(self, account: Account) -> None:
        self.account, self.office = account, account.office
        store = account.desk.store
        self._codes = store.collection(f"amocrm.codes.{self.office.where}")
        self._rows = store.collection(f"tokens.{self.office.where}")

    @property
    def redirect_uri(self) -> str:
        return "https://sverka.example/oauth"

    def first(self) -> dict[str, str]:
        """The tokens that a person copies when connecting: the same ones however often they are looked at."""
        kept = self.account.kept("consent")
        if kept is None:
            tokens = self.office.tokens.issue()
            # of a kind of its own, so that growing old does not touch it and revoking does
            name = f"llt-{self.office.named('long lived')}"
            self._rows.put(name, {"kind": "long_lived", "until": None})
            long_lived = self._jwt(name, LONG_LIVED_SECONDS, PRIVATE)
            kept = {"refresh_token": _sealed(tokens["refresh_token"]), "long_lived_token": long_lived}
            self.account.keep("consent", kept)
        return kept

    def code(self) -> str:
        """A code as the consent page hands out: good once, for twenty minutes."""
        code = self.office.named(f"code {self.account.desk.store.counter(f'amocrm.{self.office.where}')}")
        self._codes.put(code, {"until": time.time() + CODE_SECONDS})
        return code

    def accepts(self, token: str) -> bool:
        name = _signed(token)
        row = self._rows.get(name)
        return self.office.tokens.accepts(name) or (row is not None and row["kind"] == "long_lived")

    def integration(self, token: str) -> str:
        """Whose limit a token counts against: a private integration is another one."""
        return PRIVATE if _signed(token).startswith("llt-") else "integration"

    async def exchange(self, request: Request) -> Response:
        """POST /oauth2/access_token"""
        body = await request.body()
        if "json" in request.headers.get("content-type", ""):
            try:
                said = msgspec.json.decode(body)
            except msgspec.DecodeError:
                said = None
        else:
            said = dict(parse_qsl(body.decode("utf-8", "replace")))
        if not isinstance(said, dict):
            return _problem(400, "Check the `grant_type` parameter")
        secret = (said.get("client_id"), said.get("client_secret"))
        if secret != (self.office.client_id, self.office.client_secret):
            return _unknown_client()
        grant = said.get("grant_type")
        if grant == "refresh_token":
            return self._refreshed(said.get("refresh_token"))
        if grant == "authorization_code":
            return self._begun(said)
        return _problem(400, "Check the `grant_type` parameter")

    async def page(self, request: Request) -> Response:
        """GET /oauth: the consent page, whose user always agrees. Goes back with a code."""
        if request.query_params.get("client_id") != self.office.client_id:
            return _unknown_client()
        back = {
            "code": self.code(), "state": request.query_params.get("state", ""),
            "referer": f"{self.account.subdomain}.amocrm.ru", "platform": "1",
            "client_id": self.office.client_id,
        }  # fmt: skip
        return RedirectResponse(f"{self.redirect_uri}?{urlencode(back)}", 302)

    def _begun(self, said: dict[str, Any]) -> Response:
        if said.get("redirect_uri") != self.redirect_uri:
            return _unknown_client()
        code = str(said.get("code") or "")
        row = self._codes.get(code)
        if row is None:
            return _problem(
                400, "Authorization code has been revoked" if code else "Check the `code` parameter"
            )
        self._codes.delete(code)
        if row["until"] <= time.time():
            return _problem(400, "Authorization code has expired")
        return self._pair(self.office.tokens.issue())

    def _refreshed(self, shown: Any) -> Response:
        if not isinstance(shown, str) or not shown:
            return _problem(400, "Check the `refresh_token` parameter")
        tokens = self.office.tokens.refresh(_unsealed(shown), rotate=True)
        if tokens is None:
            known = shown.startswith(_REFRESH)
            return _problem(401, "Token has been revoked" if known else "Cannot decrypt the refresh token")
        return self._pair(tokens)

    def _pair(self, tokens: dict[str, Any]) -> Response:
        body = {
            "token_type": "Bearer",
            "expires_in": tokens["expires_in"],
            "server_time": int(time.time()),
            "access_token": self._jwt(tokens["access_token"], tokens["expires_in"], self.office.client_id),
            "refresh_token": _sealed(tokens["refresh_token"]),
        }
        return Response(_encode(body), media_type="application/json")

    def _jwt(self, name: str, seconds: float, audience: str) -> str:
        """A token as clients look into it (they read `exp`); its signature is the name that we know it by."""
        now = int(time.time())
        claims = {
            "aud": audience, "jti": name[:16], "iat": now, "nbf": now, "exp": now + int(seconds),
            "sub": str(ADMIN), "grant_type": "", "account_id": self.account.id, "base_domain": "amocrm.ru",
            "version": 2, "scopes": ["push_notifications", "files", "crm", "notifications"],
            "api_domain": "api-b.amocrm.ru",
        }  # fmt: skip
        head = _part(_encode({"typ": "JWT", "alg": "RS256", "jti": name[:16]}))
        return f"{head}.{_part(_encode(claims))}.{_part(name.encode())}"


def _part(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _signed(token: str) -> str:
    """The name in a token's signature, '' for what is no token of ours."""
    signature = token.rpartition(".")[2] if token.count(".") == 2 else ""
    try:
        return urlsafe_b64decode(signature + "=" * (-len(signature) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""


def _sealed(refresh: str) -> str:
    return _REFRESH + refresh.encode().hex()


def _unsealed(shown: str) -> str:
    try:
        return bytes.fromhex(shown.removeprefix(_REFRESH)).decode()
    except ValueError:
        return ""


def _problem(status: int, hint: str) -> Response:
    body = {
        "hint": hint,
        "title": "Некорректный запрос",
        "type": PROBLEM_TYPE,
        "status": status,
        "detail": "В запросе отсутствует ряд параметров или параметры невалидны",
    }
    return Response(_encode(body), status, media_type="application/problem+json")


def _unknown_client() -> Response:
    body = {
        "title": "Некорректный клиент",
        "type": PROBLEM_TYPE,
        "status": 401,
        "detail": "Авторизация клиента не прошла",
    }
    return Response(_encode(body), 401, media_type="application/problem+json")
