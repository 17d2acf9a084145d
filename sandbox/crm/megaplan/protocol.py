"""How Megaplan API v3 is spoken to: parameters as one JSON object in the query, answers in an envelope.

Sources: the vendor's own API description (RAML r2510 and its text), and for the bodies of the token address the
library that answers there by every sign (OAuth2 for PHP: the order of keys, `scope: null`, base64 tokens).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

import msgspec
from starlette.responses import Response

JSON: Final = "application/json; charset=utf-8"
MAX_BODY: Final = 16 * 1024 * 1024
encode = msgspec.json.Encoder(decimal_format="number").encode
decode = msgspec.json.Decoder(float_hook=Decimal).decode
_PART = re.compile(rb'\r\nContent-Disposition:[^\r\n]*?\bname="([^"]*)"[^\r\n]*', re.IGNORECASE)


class RefusedError(Exception):
    """An answer with a status other than 200 in `meta`. `field` names the field that is at fault."""

    def __init__(self, status: int, message: str, field: str | None = None, *, wait: int = 0) -> None:
        super().__init__(message)
        self.status, self.message, self.field, self.wait = status, message, field, wait

    def body(self) -> bytes:
        error: dict[str, Any] = {"contentType": "Error", "message": self.message}
        if self.field is not None:
            error["field"] = self.field
        return encode({"meta": {"status": self.status, "errors": [error]}, "data": None})


class GrantError(Exception):
    """The token address refuses: HTTP 400 with OAuth's own two keys."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error, self.description = error, description


def wrong_type(found: Any, wanted: str) -> RefusedError:
    """What the vendor says to a value that is not an entity of the wanted type."""
    shown = (
        "stdClass" if isinstance(found, dict) else "array" if isinstance(found, list) else _php_type(found)
    )
    return RefusedError(422, f"'{shown}' is not assignable to '{wanted}'")


def not_found(content_type: str, key: str) -> RefusedError:
    return RefusedError(404, f"{content_type} with id {key} not found")


def too_many(wait: float) -> RefusedError:
    return RefusedError(429, "Too Many Requests", wait=max(1, int(wait + 0.999)))


def unauthorized() -> RefusedError:
    return RefusedError(401, "The access token provided is invalid.")


def query_of(text: str) -> dict[str, Any]:
    """The JSON object in a query string; {} where there is anything else: `?limit=5` is not understood."""
    shown = unquote_plus(text).strip()
    if not shown.startswith("{"):
        return {}
    try:
        said = decode(shown.encode())
    except ValueError:
        raise RefusedError(422, "Syntax error in the query") from None
    return said if isinstance(said, dict) else {}


def body_of(body: bytes) -> Any:
    """The JSON of a body, {} for an empty one."""
    if not body.strip():
        return {}
    try:
        return decode(body)
    except ValueError:
        raise RefusedError(422, "Syntax error") from None


def form_of(body: bytes, content_type: str) -> dict[str, str]:
    """The fields of a form: multipart (as the documentation shows), urlencoded, or a JSON object."""
    if "json" in content_type:
        said = body_of(body)
        return {str(k): str(v) for k, v in said.items()} if isinstance(said, dict) else {}
    if "multipart/form-data" not in content_type:
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    found = re.search(r'boundary="?([^";,]+)"?', content_type)
    if found is None:
        return {}
    said = {}
    for part in body.split(b"--" + found[1].encode()):
        head, blank, value = part.partition(b"\r\n\r\n")
        name = _PART.search(head)
        if blank and name is not None:
            said[name[1].decode("utf-8", "replace")] = value.removesuffix(b"\r\n").decode("utf-8", "replace")
    return said


def bearer_of(headers: Mapping[str, str], query: Mapping[str, Any]) -> str:
    """The access token of a request: the header `Authorization: Bearer …`, or `access_token` of the query."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return str(query.get("access_token") or "")


def page(count: int, pieces: list[bytes], limit: int) -> bytes:
    """The envelope of a list of `count` rows; `pieces` are their JSON, commas included."""
    head = b'{"meta":{"status":200,"errors":[],"pagination":{"count":%d,"limit":%d}},"data":['
    return b"".join((head % (count, limit), *pieces, b"]}"))


def one(data: bytes) -> bytes:
    """The envelope of a single entity, already encoded."""
    return b"".join((b'{"meta":{"status":200,"errors":[]},"data":', data, b"}"))


def answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status, headers=dict(headers or {}), media_type=JSON)


def refused(error: RefusedError, inside: tuple[int, ...] = ()) -> Response:
    """A refusal with its HTTP status, or with 200 where the account says it inside."""
    headers = {"Retry-After": str(error.wait)} if error.wait else {}
    return answer(error.body(), 200 if error.status in inside else error.status, headers)


def _php_type(found: Any) -> str:
    return {str: "string", int: "integer", bool: "boolean", Decimal: "double", type(None): "NULL"}.get(
        type(found), "mixed"
    )
