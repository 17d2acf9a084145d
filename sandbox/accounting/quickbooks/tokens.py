"""The authorization server: tokens against client id and secret, refresh tokens that change, revocation.

`POST /oauth2/v1/tokens/bearer` (Basic client_id:client_secret, form), `POST /v2/oauth2/tokens/revoke`,
`GET /connect/oauth2` (the administrator agrees at once) and the discovery document that the vendor's own
client reads. Access lives 60 minutes, a refresh token 100 days, none longer than five years.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from sandbox.accounting.quickbooks.file import CompanyFile

ROLLING: Final = 8_640_000
HARD: Final = 157_680_000
DAY: Final = 86_400.0
HARD_HEADER: Final = "x-include-refresh-token-hard-expires-in"


def refresh_token(file: CompanyFile) -> str:
    """The living refresh token; made when the administrator has given none yet."""
    known = file.settings.get("authorized")
    return str(known["refresh_token"]) if known else authorize(file)


def authorize(file: CompanyFile) -> str:
    """The administrator connects the app anew: a new pair of tokens."""
    said = file.books.tokens.issue("qbo-")
    now = file.books.rows("settings")
    now.put("authorized", {"refresh_token": said["refresh_token"], "at": file.now(), "changed": file.now()})
    return str(said["refresh_token"])


async def bearer(file: CompanyFile, request: Request) -> Response:
    """Tokens for a code or for a refresh token."""
    if not _client(file, request):
        return _said({"error": "invalid_client"}, 401)
    form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
    grant = form.get("grant_type")
    if grant == "authorization_code":
        if form.get("code") != file.books.named("code"):
            return _said({"error": "invalid_grant", "error_description": "Invalid authorization code"}, 400)
        authorize(file)
        pair = file.books.tokens.issue("qbo-", refresh=False)
        return _said(_pair(file, request, {**pair, "refresh_token": refresh_token(file)}))
    if grant != "refresh_token":
        return _said({"error": "unsupported_grant_type"}, 400)
    known = file.settings.get("authorized") or {}
    young = file.now() - float(known.get("changed", 0)) < DAY
    rotate = file.options.rotate == "always" or not young
    pair_or_none = file.books.tokens.refresh(str(form.get("refresh_token")), "qbo-", rotate=rotate)
    if pair_or_none is None:
        if file.options.double_refresh_revokes:
            file.books.tokens.revoke()
        return _said(
            {"error": "invalid_grant", "error_description": "Incorrect or invalid refresh token"}, 400
        )
    changed = file.now() if rotate else known.get("changed", 0)
    kept = {
        "refresh_token": pair_or_none["refresh_token"],
        "at": known.get("at", file.now()),
        "changed": changed,
    }
    file.settings.put("authorized", kept)
    return _said(_pair(file, request, pair_or_none))


async def revoke(file: CompanyFile, request: Request) -> Response:
    if not _client(file, request):
        return _said({"error": "invalid_client"}, 401)
    body = (await request.body()).decode("utf-8", "replace")
    try:
        token = json.loads(body).get("token")
    except (ValueError, AttributeError):
        token = dict(parse_qsl(body)).get("token")
    if not token:
        return _said({"error": "invalid_request"}, 400)
    file.books.tokens.revoke()
    return Response(status_code=200)


async def consent(file: CompanyFile, request: Request) -> Response:
    """The page on which the administrator agrees: it sends the browser back at once."""
    said = request.query_params
    if said.get("client_id") != file.books.client_id or not said.get("redirect_uri"):
        return _said({"error": "invalid_client"}, 400)
    back = {"code": file.books.named("code"), "state": said.get("state", ""), "realmId": file.realm}
    return RedirectResponse(f"{said['redirect_uri']}?{urlencode(back)}", 302)


async def discovery(file: CompanyFile, request: Request) -> Response:
    base = f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '')}"
    return _said(
        {
            "issuer": f"{base}/op/v1",
            "authorization_endpoint": f"{base}/connect/oauth2",
            "token_endpoint": f"{base}/oauth2/v1/tokens/bearer",
            "userinfo_endpoint": f"{base}/v1/openid_connect/userinfo",
            "revocation_endpoint": f"{base}/v2/oauth2/tokens/revoke",
            "jwks_uri": f"{base}/op/v1/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "email", "profile", "address", "phone"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "claims_supported": ["aud", "exp", "iat", "iss", "realmid", "sub"],
        }
    )


def _pair(file: CompanyFile, request: Request, pair: dict[str, Any]) -> dict[str, Any]:
    said = {
        "token_type": "bearer",
        "access_token": pair["access_token"],
        "expires_in": pair["expires_in"],
        "refresh_token": pair["refresh_token"],
        "x_refresh_token_expires_in": ROLLING,
    }
    if request.headers.get(HARD_HEADER, "").lower() == "true":
        known = file.settings.get("authorized") or {}
        said["x_refresh_token_hard_expires_in"] = HARD - int(file.now() - float(known.get("at", file.now())))
    return said


def _client(file: CompanyFile, request: Request) -> bool:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        name, _, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return (name, secret) == (file.books.client_id, file.books.client_secret)


def _said(body: dict[str, Any], status: int = 200) -> Response:
    return Response(
        json.dumps(body), status, {"cache-control": "no-cache, no-store"}, "application/json;charset=UTF-8"
    )
