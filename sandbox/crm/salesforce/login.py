"""Logging in: authorization_code, client_credentials, password, refresh_token, jwt-bearer, revocation, SOAP login.

An access token is a session of two hours and the answer says nothing about its end. Errors are one object,
not an array. Refresh tokens live on unless the connected app rotates them (`Options.rotate_refresh_tokens`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode
from xml.sax.saxutils import escape, unescape

import msgspec

from sandbox.crm.salesforce.model import INTEGRATION
from sandbox.crm.salesforce.objects import organization_id
from sandbox.crm.salesforce.rest import Answer, Setting, user_id

SESSION_SECONDS: Final = 7200.0
LOGINS, LOGIN_SECONDS = 3600, 3600.0
JWT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCES: Final = ("https://login.salesforce.com", "https://test.salesforce.com")
MAX_ASSERTION_SECONDS: Final = 300
"""How far ahead an assertion's `exp` may lie."""
MAX_CODES: Final = 100
SCOPE: Final = "refresh_token api"


class Login:
    """Who may come in. `base` of an answer is the address at which the mount was called."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._office = setting.office
        self._office.tokens.access_seconds = SESSION_SECONDS
        self._codes: list[str] = []

    @property
    def username(self) -> str:
        return f"integration@{self._office.where}.example"

    @property
    def password(self) -> str:
        return self._office.named("password")

    @property
    def security_token(self) -> str:
        return self._office.named("security_token")[:24]

    def token(self, body: bytes, headers: Mapping[str, str], base: str) -> Answer:
        """POST /services/oauth2/token."""
        said = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        client, secret = _basic(headers.get("authorization", ""))
        client, secret = said.get("client_id", client), said.get("client_secret", secret)
        if self._office.window("logins", LOGINS, LOGIN_SECONDS).knock():
            return _no("invalid_grant", "login rate exceeded")
        grant = said.get("grant_type")
        if grant == JWT:
            return self._jwt(said.get("assertion", ""), base)
        if grant not in ("authorization_code", "client_credentials", "password", "refresh_token"):
            return _no("unsupported_grant_type", "grant type not supported")
        if client != self._office.client_id:
            return _no("invalid_client_id", "client identifier invalid")
        if not hmac.compare_digest(secret or "", self._office.client_secret):
            return _no("invalid_client", "invalid client credentials")
        if grant == "authorization_code":
            if said.get("code") not in self._codes:
                return _no("invalid_grant", "expired authorization code")
            self._codes.remove(said["code"])
            return self._welcome(self._office.tokens.issue(self._prefix()), base)
        if grant == "refresh_token":
            return self._refresh(said.get("refresh_token", ""), base)
        if grant == "password" and not self._knows(said.get("username", ""), said.get("password", "")):
            return _no("invalid_grant", "authentication failure")
        return self._welcome(self._office.tokens.issue(self._prefix(), refresh=False), base)

    def authorize(self, query: Mapping[str, str]) -> Answer:
        """/services/oauth2/authorize: the administrator consents at once; back with a code for one use."""
        if query.get("client_id") != self._office.client_id:
            return _no("invalid_client_id", "client identifier invalid")
        target = query.get("redirect_uri", "")
        if query.get("response_type") != "code" or not target:
            return _no("unsupported_response_type", "response type not supported")
        self._codes = [*self._codes, f"aPrx{secrets.token_hex(24)}"][-MAX_CODES:]
        back = {"code": self._codes[-1], **({"state": query["state"]} if "state" in query else {})}
        place = f"{target}{'&' if '?' in target else '?'}{urlencode(back)}"
        return Answer(302, body=b"", headers={"Location": place})

    def revoke(self, token: str) -> Answer:
        """/services/oauth2/revoke: one token, of either kind."""
        rows = self._office.desk.store.collection(f"tokens.{self._office.where}")
        if token not in rows:
            return _no("unsupported_token_type", "this token type is not supported")
        rows.delete(token)
        return Answer(200, body=b"")

    def soap(self, body: bytes, base: str, version: str) -> Answer:
        """login() of the SOAP API, which clients use with a user's name, password and security token."""
        text = body.decode("utf-8", "replace")
        name, word = _element(text, "username"), _element(text, "password")
        if not self._knows(name, word):
            fault = (
                "<soapenv:Fault><faultcode>INVALID_LOGIN</faultcode><faultstring>INVALID_LOGIN: Invalid username, "
                "password, security token; or user locked out.</faultstring><detail><sf:LoginFault>"
                "<sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode><sf:exceptionMessage>Invalid username, password, "
                "security token; or user locked out.</sf:exceptionMessage></sf:LoginFault></detail></soapenv:Fault>"
            )
            return Answer(500, body=_envelope(fault), kind="text/xml;charset=UTF-8")
        token = self._office.tokens.issue(self._prefix(), refresh=False)["access_token"]
        address = f"{base}/services/Soap/u/{version}/{organization_id()[:15]}"
        result = (
            f"<loginResponse><result><passwordExpired>false</passwordExpired><serverUrl>{escape(address)}</serverUrl>"
            f"<sessionId>{token}</sessionId><userId>{user_id(INTEGRATION)}</userId></result></loginResponse>"
        )
        return Answer(200, body=_envelope(result), kind="text/xml;charset=UTF-8")

    def _knows(self, name: str, word: str) -> bool:
        allowed = (self.password, self.password + self.security_token)
        return name == self.username and any(hmac.compare_digest(word, known) for known in allowed)

    def _refresh(self, token: str, base: str) -> Answer:
        rotate = self._setting.options.rotate_refresh_tokens
        said = self._office.tokens.refresh(token, self._prefix(), rotate=rotate)
        if said is None:
            return _no("invalid_grant", "expired access/refresh token")
        if not rotate:
            said.pop("refresh_token", None)
        return self._welcome(said, base)

    def _jwt(self, assertion: str, base: str) -> Answer:
        parts = assertion.split(".")
        try:
            head, claims = (msgspec.json.decode(_unpadded(part)) for part in parts[:2])
            signature = _unpadded(parts[2])
            expires = float(claims["exp"])
        except (ValueError, KeyError, IndexError, TypeError, msgspec.DecodeError):
            return _no("invalid_grant", "invalid assertion")
        if claims.get("iss") != self._office.client_id:
            return _no("invalid_client_id", "client identifier invalid")
        signed = ".".join(parts[:2]).encode()
        if head.get("alg") != "RS256" or not _signed(self._setting.options.certificate, signed, signature):
            return _no("invalid_grant", "invalid assertion")
        if claims.get("aud") not in (*AUDIENCES, base):
            return _no("invalid_grant", "audience is invalid")
        if not time.time() < expires <= time.time() + MAX_ASSERTION_SECONDS:
            return _no("invalid_grant", "expired authorization code")
        if claims.get("sub") != self.username:
            return _no("invalid_grant", "user hasn't approved this consumer")
        return self._welcome(self._office.tokens.issue(self._prefix(), refresh=False), base)

    def _prefix(self) -> str:
        return f"{organization_id()[:15]}!"

    def _welcome(self, issued: Mapping[str, Any], base: str) -> Answer:
        person = f"{base}/id/{organization_id()}/{user_id(INTEGRATION)}"
        issued_at = str(int(time.time() * 1000))
        signature = hmac.new(
            self._office.client_secret.encode(), f"{person}{issued_at}".encode(), hashlib.sha256
        )
        said = {
            "access_token": issued["access_token"],
            "signature": base64.b64encode(signature.digest()).decode(),
            "scope": SCOPE,
            "instance_url": base,
            "id": person,
            "token_type": "Bearer",
            "issued_at": issued_at,
        }
        if "refresh_token" in issued:
            said["refresh_token"] = issued["refresh_token"]
        return Answer(200, said, headers={"Cache-Control": "no-cache, no-store", "Pragma": "no-cache"})


def _no(error: str, description: str) -> Answer:
    return Answer(400, {"error": error, "error_description": description})


def _basic(header: str) -> tuple[str, str]:
    if not header.startswith("Basic "):
        return "", ""
    try:
        client, _, secret = base64.b64decode(header[6:], validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return client, secret


def _unpadded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _signed(pem: str, signed: bytes, signature: bytes) -> bool:
    if not pem:
        return False
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    data = pem.encode()
    if b"BEGIN CERTIFICATE" in data:
        key: Any = x509.load_pem_x509_certificate(data).public_key()
    else:
        key = serialization.load_pem_public_key(data)
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _element(text: str, name: str) -> str:
    found = re.search(rf"<(?:\w+:)?{name}>(.*?)</(?:\w+:)?{name}>", text, re.S)
    return unescape(found[1], {"&quot;": '"', "&#x27;": "'"}) if found else ""


def _envelope(inside: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
        'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com" '
        'xmlns:sf="urn:fault.partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<soapenv:Body>{inside}</soapenv:Body></soapenv:Envelope>"
    ).encode()
