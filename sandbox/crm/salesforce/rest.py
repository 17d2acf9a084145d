"""What a call to the REST API is and how it is answered and refused.

Errors are a JSON array of one object with `message` and `errorCode`, and `fields` where the vendor names any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from sandbox.crm.salesforce.ids import read_id, record_id
from sandbox.desk.records import Desk
from sandbox.office import Office

JSON: Final = "application/json;charset=UTF-8"
CSV: Final = "text/csv;charset=UTF-8"
OLDEST, NEWEST = 31, 67
encode = msgspec.json.Encoder(decimal_format="number").encode
decode = msgspec.json.Decoder(float_hook=Decimal).decode


class Refusal(Exception):
    """What the vendor refuses, with its status, code, words and fields."""

    def __init__(self, status: int, code: str, message: str, fields: tuple[str, ...] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.fields = status, code, message, fields

    def body(self) -> list[dict[str, Any]]:
        said: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        return [said if self.fields is None else {**said, "fields": list(self.fields)}]

    def result(self, shown: str | None = None) -> dict[str, Any]:
        """As one row of a collection's answer says it."""
        said = {"statusCode": self.code, "message": self.message, "fields": list(self.fields or ())}
        return {**({"id": shown} if shown else {}), "success": False, "errors": [said]}


@dataclass(slots=True)
class Call:
    """One request, of the network or inside a composite. `path` is what follows /services/data/vXX.X/."""

    method: str
    version: str
    path: str
    query: Mapping[str, str]
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return f"/services/data/v{self.version}"

    def said(self) -> Any:
        """The body as JSON, numbers exact. Raises Refusal 400 JSON_PARSER_ERROR."""
        try:
            return decode(self.body)
        except msgspec.DecodeError as error:
            raise Refusal(
                400, "JSON_PARSER_ERROR", f"The HTTP entity body is not valid JSON: {error}"
            ) from None

    def described(self) -> dict[str, Any]:
        found = self.said()
        if not isinstance(found, dict):
            raise Refusal(400, "JSON_PARSER_ERROR", "The HTTP entity body is required to be a JSON object")
        return found


@dataclass(slots=True)
class Answer:
    """What is sent back. `value` is encoded unless `body` is given."""

    status: int = 200
    value: Any = None
    body: bytes | None = None
    kind: str = JSON
    headers: dict[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        if self.body is not None:
            return self.body
        return b"" if self.status in (204, 304) else encode(self.value)


@dataclass
class Options:
    """Readings that the vendor leaves to the organization or that nobody confirmed.

    They are set over `POST control/options` of the mount and hold until the stand-in is started again.
    """

    rotate_refresh_tokens: bool = False
    """A connected app may want rotation: each refresh gives a new token and kills the old one."""
    single_use_locators: bool = False
    """A locator answers once only; else it can be asked again for two days."""
    daily_requests: int = 0
    """The allocation of a day; 0 is the edition's own: 100,000 and 1,000 a licence."""
    long_call_seconds: float = 20.0
    """From when on a running call counts against the concurrent ones."""
    long_calls: int = 25
    covered_lag_seconds: int = 300
    """How far `latestDateCovered` stays behind: the longest transaction that is still open."""
    bulk_polls: int = 1
    """How many times a job is seen InProgress before it is complete."""
    bulk_offset_stamps: bool = False
    """Stamps in CSV as in JSON (+0000) instead of Z."""
    upsert_bodies: bool = True
    """An update by external id answers 200 with a body; else 204, as before version 46."""
    certificate: str = ""
    """PEM of the public key or certificate under which JWT assertions are accepted."""
    locked: dict[str, int] = field(default_factory=dict)
    """Ids whose next so many writes fail with UNABLE_TO_LOCK_ROW."""
    hidden: list[str] = field(default_factory=list)
    """Fields (Object.Field) that field-level security keeps from the integration user."""
    emptied_at: datetime | None = None
    """When the recycle bin was emptied: what was deleted before is gone for good."""


@dataclass
class Setting:
    """What every part of the stand-in is given."""

    office: Office
    options: Options

    @property
    def desk(self) -> Desk:
        return self.office.desk

    def now(self) -> datetime:
        return self.desk.clock()


def number_in(prefix: str, text: Any, name: str) -> int:
    """The number of an id that must be of this prefix. Raises Refusal MALFORMED_ID naming the field."""
    found = read_id(text) if isinstance(text, str) else None
    if found is None or found[0] != prefix:
        raise Refusal(400, "MALFORMED_ID", f"{name}: id value of incorrect type: {text}", (name,))
    return found[1]


def missing() -> Refusal:
    return Refusal(404, "NOT_FOUND", "The requested resource does not exist")


def unsupported(what: str) -> Refusal:
    """The vendor can do it, this stand-in cannot: said aloud rather than done by half."""
    return Refusal(501, "NOT_IMPLEMENTED", f"this stand-in does not do {what}; split the request")


def self_url(base: str, name: str, shown: str) -> str:
    return f"{base}/sobjects/{name}/{shown}"


def user_id(number: int) -> str:
    return record_id("005", number)
