"""The token server of local applications: GET `/oauth/authorize/` and `/oauth/token/`, as settings/oauth/*.md tell.

One application is installed in the portal. Its keys follow from the webhook's secret S: client_id `local.S`,
client_secret `secret-S`, and the refresh token that its installation gave, `refresh-S-0`. A refresh token is good
once (the vendor says only that each renewal gives another one), an access token for an hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.bitrix24.rest import RestError
from sandbox.store import Store

ACCESS_SECONDS = 3600
REFRESH_SECONDS = 180 * 86_400
CODE_SECONDS = 30
MEMBER = "a223c6b3710f85df22e9377d6c4f7553"
SCOPES = "crm,catalog,user,task"


class Tokens:
    """What was granted and to when; kept in the store, so that a restart forgets none of it."""

    def __init__(self, store: Store, secret: str, clock: Callable[[], float] = time.time) -> None:
        self.client_id = f"local.{secret}"
        self._client_secret = f"secret-{secret}"
        self._secret, self._store, self._clock = secret, store, clock
        self._kept = store.collection("bitrix24.oauth")
        if "refresh" not in self._kept:
            self._kept.put("refresh", {"token": f"refresh-{secret}-0", "until": clock() + REFRESH_SECONDS})

    def code(self, client_id: str) -> str | None:
        """An authorization code, None for an unknown application."""
        if client_id != self.client_id:
            return None
        code = f"code-{self._secret}-{self._store.counter('bitrix24.oauth.code')}"
        self._kept.put("code", {"token": code, "until": self._clock() + CODE_SECONDS})
        return code

    def grant(self, said: Mapping[str, Any], base: str) -> dict[str, Any]:
        """A new pair. `base`: the portal's own address. Raises RestError in the token server's words."""
        kind = said.get("grant_type")
        if kind not in ("refresh_token", "authorization_code"):
            raise RestError(400, "invalid_request", "Invalid grant_type parameter or parameter missing")
        if (said.get("client_id"), said.get("client_secret")) != (self.client_id, self._client_secret):
            raise RestError(401, "invalid_client", "Client not found or its secret is wrong")
        name, given = ("refresh", "refresh_token") if kind == "refresh_token" else ("code", "code")
        known = self._kept.get(name, {"token": "", "until": 0.0})
        if not said.get(given) or said[given] != known["token"] or self._clock() >= known["until"]:
            raise RestError(400, "invalid_grant", "Invalid or expired authorization data")
        number = self._store.counter("bitrix24.oauth.pair")
        now = self._clock()
        access, refresh = f"access-{self._secret}-{number}", f"refresh-{self._secret}-{number}"
        with self._store.together():
            self._kept.put("access", {"token": access, "until": now + ACCESS_SECONDS})
            self._kept.put("refresh", {"token": refresh, "until": now + REFRESH_SECONDS})
            self._kept.put("code", {"token": "", "until": 0.0})
        return {
            "access_token": access, "client_endpoint": f"{base}/rest/", "domain": "oauth.bitrix24.tech",
            "expires": int(now) + ACCESS_SECONDS, "expires_in": ACCESS_SECONDS, "member_id": MEMBER,
            "refresh_token": refresh, "scope": SCOPES, "server_endpoint": "https://oauth.bitrix24.tech/rest/",
            "status": "L", "user_id": 1,
        }  # fmt: skip

    def admit(self, access: Any) -> None:
        """Raises RestError for a token that is unknown, of an earlier pair, or has expired."""
        known = self._kept.get("access")
        if known is None or not access or access != known["token"]:
            raise RestError(401, "NO_AUTH_FOUND", "Wrong authorization data")
        if self._clock() >= known["until"]:
            raise expired()


def expired() -> RestError:
    return RestError(401, "expired_token", "The access token provided has expired.")
