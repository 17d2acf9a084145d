"""A request and its answer as the Gateway sees them, alone or as a part of a batch, and the entity in a body."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote_plus

import msgspec

from sandbox.accounting.sap.database import Row
from sandbox.accounting.sap.edm import EntitySet, EntityType, Service
from sandbox.accounting.sap.errors import EXPRESSION, MALFORMED, PROPERTY, SapError, bad_request, not_found
from sandbox.accounting.sap.values import Literal, key_value, literal, received

MAX_DEPTH: Final = 5
_SEGMENT = re.compile(r"([A-Za-z_$][\w$]*)(?:\((.*)\))?", re.S)
_PAIR = re.compile(
    r"\s*(?:(\w+)\s*=\s*)?((?:datetimeoffset|datetime|time|guid)?'(?:[^']|'')*'|[^,']+)\s*(?:,|$)"
)
_decode = msgspec.json.Decoder().decode


@dataclass
class Call:
    method: str
    path: str  # behind the service root
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes = b""

    @property
    def json(self) -> bool:
        return self.query.get("$format") == "json" or "json" in self.headers.get("accept", "")


@dataclass
class Reply:
    """`data` is what stands under `d`; `raw` a body of another kind."""

    status: int
    data: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    found: EntitySet | None = None  # the set the data is of: XML needs its types


@dataclass
class Draft:
    """An entity that a body gives: values as they are kept, and the entities inside by navigation."""

    found: EntitySet
    values: Row
    inner: dict[str, list[Draft]] = field(default_factory=dict)

    def first(self, name: str) -> Draft | None:
        rows = self.inner.get(name)
        return rows[0] if rows else None


@dataclass(frozen=True, slots=True)
class Segment:
    name: str
    given: str | None  # what stands in the brackets


def query_of(text: str) -> dict[str, str]:
    pairs = (word.partition("=") for word in text.split("&") if word)
    return {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}


def segments(path: str) -> list[Segment]:
    """The parts of a path; a slash inside quotes belongs to a key."""
    parts, quoted = [""], False
    for letter in path.strip("/"):
        quoted = quoted != (letter == "'")
        if letter == "/" and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    found = []
    for part in filter(None, parts):
        match = _SEGMENT.fullmatch(part)
        if match is None:
            raise not_found(part)
        found.append(Segment(match[1], match[2]))
    return found


def keys_of(kind: EntityType, given: str) -> list[str]:
    """The key values of an address, in the type's order. Raises SapError when they are not its keys."""
    said: dict[str, Literal] = {}
    place = 0
    while place < len(given):
        match = _PAIR.match(given, place)
        if match is None or match.end() == place:
            raise bad_request("Malformed URI literal syntax", EXPRESSION)
        said[match[1] or (kind.keys[0] if len(kind.keys) == 1 else "")] = literal(match[2].strip())
        place = match.end()
    if set(said) != set(kind.keys):
        raise bad_request(
            "The number of keys specified in the URI does not match number of key properties", EXPRESSION
        )
    return [key_value(kind.properties[name], said[name]) for name in kind.keys]


def draft(service: Service, found: EntitySet, body: bytes) -> Draft:
    """The entity of a JSON body, with all that is nested in it. Raises SapError for what cannot be read."""
    try:
        said = _decode(body)
    except msgspec.DecodeError as error:
        raise bad_request("Error while parsing an XML stream", MALFORMED) from error
    if isinstance(said, dict) and set(said) == {"d"}:
        said = said["d"]
    return _draft(service, found, said, body.decode("utf-8", "replace"), 0)


def _draft(service: Service, found: EntitySet, said: Any, body: str, depth: int) -> Draft:
    if not isinstance(said, dict) or depth > MAX_DEPTH:
        raise bad_request("Error while parsing an XML stream", MALFORMED)
    made = Draft(found, {})
    for name, value in said.items():
        if name == "__metadata":
            continue
        prop = found.type.properties.get(name)
        if prop is not None:
            kept = received(prop, value, body)
            if prop.writable:  # what the interface does not write is left out without a word
                made.values[name] = kept
            continue
        nav = found.type.navigations.get(name)
        if nav is None:
            raise SapError(400, PROPERTY, f"Property '{name}' is invalid")
        rows = value.get("results", [value]) if isinstance(value, dict) else value
        if rows is None or (isinstance(value, dict) and "__deferred" in value):
            continue
        if not isinstance(rows, list) or (len(rows) > 1 and not nav.many):
            raise SapError(400, PROPERTY, f"Property '{name}' is invalid")
        target = service.sets[nav.target]
        made.inner[name] = [_draft(service, target, row, body, depth + 1) for row in rows]
    return made
