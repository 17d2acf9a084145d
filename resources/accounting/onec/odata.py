"""The language of 1C's standard OData interface: literals, addresses, numbers, times, metadata, refusals.

Nothing here sends anything. Rules are from the developer's guide of 1C:Enterprise 8.3, chapter 17.4
("Стандартный интерфейс OData"), unless a line says otherwise.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import msgspec

EMPTY_REF = "00000000-0000-0000-0000-000000000000"
EMPTY_DATE = "0001-01-01T00:00:00"

KEYS_PER_REQUEST = 40  # terms of one `Ref_Key eq ... or ...`; more makes the server's plan slow
QUERY_LIMIT = 2000  # characters of one query string: IIS, a usual front of 1C, refuses more than 2048

ERROR_TEXT_LIMIT = 2000  # characters of a vendor's text kept in a message


# ---- literals and addresses -------------------------------------------------------------------


def guid(key: str) -> str:
    """`guid'…'`. Raises ValueError for what is no key, so that nothing else gets into an address."""
    return f"guid'{canonical(key)}'"


def canonical(key: str) -> str:
    """A key as 1C writes it: lower case with hyphens. Raises ValueError for what is no key."""
    return str(uuid.UUID(key))


def text(value: str) -> str:
    """A string literal: quotes are doubled."""
    return "'" + value.replace("'", "''") + "'"


def moment(value: datetime) -> str:
    """`datetime'…'` of a naive time on the base's wall clock; 1C keeps whole seconds."""
    if value.tzinfo is not None:
        raise ValueError("a 1C date has no zone: convert with base_time first")
    return f"datetime'{value:%Y-%m-%dT%H:%M:%S}'"


def literal(name: str, value: object) -> str:
    """The literal of a value compared with the property `name` (`…_Key` is a guid)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, date):
        return moment(datetime(value.year, value.month, value.day))  # noqa: DTZ001 - 1C has no zones
    return guid(str(value)) if name.endswith("_Key") else text(str(value))


def reference(key: str, entity_set: str) -> str:
    """A reference as a composite property is compared with; a plain guid there finds nothing, silently."""
    return f"cast({guid(key)}, {text(entity_set)})"


def either(terms: Iterable[str]) -> str:
    """Any of the conditions; '' where there are none."""
    return " or ".join(terms)


def both(*terms: str) -> str:
    """All of the conditions that are given; empty ones fall away."""
    given = [term for term in terms if term]
    return given[0] if len(given) == 1 else " and ".join(f"({term})" for term in given)


def address(resource: str, options: Mapping[str, object]) -> str:
    """A set, canonical address or function call with its options, relative to the base's root.

    Options are percent-encoded here (`%20`, never `+`; those without a value fall away). The path stays
    readable, for messages; whoever sends it encodes its Cyrillic letters as UTF-8.
    """
    pairs = ((name, value) for name, value in options.items() if value not in ("", None))
    query = "&".join(f"{name}={_quoted(str(value))}" for name, value in pairs)
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", resource) + (f"?{query}" if query else "")


def _quoted(value: str) -> str:
    """Percent-encoded but for what a query may hold as it is (RFC 3986, 3.4) and filters are full of."""
    return quote(value, safe="'(),")


_UNSAFE = re.compile(r"[%#?: ]")


def chunks(
    terms: Sequence[tuple[str, str]], *, limit: int = QUERY_LIMIT, overhead: int = 200
) -> Iterator[tuple[list[str], str]]:
    """Cut (key, condition) pairs into (keys, `condition or condition …`) that fit one query string.

    `overhead`: characters of the string that are no condition.
    """
    keys: list[str] = []
    parts: list[str] = []
    length = overhead
    for key, term in terms:
        size = len(_quoted(f" or {term}"))
        if keys and (length + size > limit or len(keys) >= KEYS_PER_REQUEST):
            yield keys, either(parts)
            keys, parts, length = [], [], overhead
        keys.append(key)
        parts.append(term)
        length += size
    if keys:
        yield keys, either(parts)


# ---- bodies: numbers never pass through float --------------------------------------------------


class Answer(msgspec.Struct):
    """A set: every object stays the bytes that the server sent."""

    value: list[msgspec.Raw]


class Header(msgspec.Struct):
    """The standard fields of an object that say which it is and whether it changed."""

    ref_key: str = msgspec.field(name="Ref_Key", default="")
    version: str | None = msgspec.field(name="DataVersion", default=None)


class EntryHeader(msgspec.Struct):
    """What names a ledger entry: its recorder and line (a line number is Int64, text in JSON)."""

    recorder: str = msgspec.field(name="Recorder", default="")
    recorder_key: str = msgspec.field(name="Recorder_Key", default="")
    recorder_type: str = msgspec.field(name="Recorder_Type", default="")
    line: str | int = msgspec.field(name="LineNumber", default=0)
    period: str = msgspec.field(name="Period", default="")

    @property
    def document(self) -> str:
        return (self.recorder or self.recorder_key).lower()


_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")
decode_answer = msgspec.json.Decoder(Answer).decode
decode_header = msgspec.json.Decoder(Header).decode
decode_entry = msgspec.json.Decoder(EntryHeader).decode


def decode(payload: bytes | msgspec.Raw) -> Any:
    """Decode an object: fractions become Decimal from their own text, whole numbers int."""
    return _decoder.decode(payload)


def encode(body: Mapping[str, Any], zone: ZoneInfo) -> bytes:
    """Encode a body: Decimal as a JSON number digit for digit, aware times as the base's wall clock.

    Raises TypeError for a float: money that was a float has lost its kopecks already.
    """
    return _encoder.encode(_plain(body, zone))


def _plain(value: Any, zone: ZoneInfo) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner, zone) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner, zone) for inner in value]
    if isinstance(value, float):
        raise TypeError(f"a float ({value!r}) in a body for 1C: give a Decimal")
    if isinstance(value, datetime):
        return base_time(value, zone) if value.tzinfo else f"{value:%Y-%m-%dT%H:%M:%S}"
    if isinstance(value, date):
        return f"{value:%Y-%m-%d}T00:00:00"
    return value


# ---- times: 1C keeps a wall clock without a zone ------------------------------------------------


def base_time(value: datetime, zone: ZoneInfo) -> str:
    """An aware time as the base's wall clock, whole seconds: `2026-02-10T15:00:00`."""
    return f"{wall_clock(value, zone):%Y-%m-%dT%H:%M:%S}"


def wall_clock(value: datetime, zone: ZoneInfo) -> datetime:
    """An aware time as a naive one on the base's wall clock."""
    if value.tzinfo is None:
        raise ValueError("a time without a zone cannot be moved to the base's clock")
    return value.astimezone(zone).replace(tzinfo=None)


def utc_time(value: str, zone: ZoneInfo) -> datetime | None:
    """A time of the base in UTC; the empty date is None."""
    if value in ("", EMPTY_DATE):
        return None
    return datetime.fromisoformat(value).replace(tzinfo=zone).astimezone(UTC)


# ---- metadata ---------------------------------------------------------------------------------


def parse_metadata(xml: bytes) -> dict[str, dict[str, str]]:
    """`$metadata` as {set: {property: edm type}}.

    A tabular part also stands under its own name (`Document_X_Товары`), from its set or row type, a virtual table as
    `AccountingRegister_X/Balance`, from the type of its rows (`AccountingRegister_X_Balance`). Raises ValueError
    for what is cut off or no description: a page of HTML must not look like a base with nothing published.
    """
    types: dict[str, dict[str, str]] = {}
    sets: dict[str, str] = {}
    rows: list[str] = []
    described = False
    try:
        for _, element in ElementTree.iterparse(BytesIO(xml)):  # tens of megabytes: never a whole tree
            tag = element.tag.rpartition("}")[2]
            if tag in ("EntityType", "ComplexType"):
                types[element.attrib["Name"]] = {
                    child.attrib["Name"]: child.attrib.get("Type", "")
                    for child in element
                    if child.tag.rpartition("}")[2] == "Property"
                }
                if tag == "ComplexType":
                    rows.append(element.attrib["Name"])
                element.clear()
            elif tag == "Schema":
                described = True  # of nothing at all, where nothing is published
            elif tag == "EntitySet":
                sets[element.attrib["Name"]] = element.attrib.get("EntityType", "").rpartition(".")[2]
    except (ElementTree.ParseError, KeyError) as error:
        raise ValueError(f"it is cut off, or no XML of 1C ({error})") from None
    if not described:
        raise ValueError("it has no schema of objects")
    found = {name: types.get(kind, {}) for name, kind in sets.items()}
    for name in list(found):
        for kind in found[name].values():
            row = _ROWS.match(kind)
            if row:
                part = row[1].removesuffix("_RowType")
                found.setdefault(part, types.get(row[1], {}))
    for kind in rows:
        register, _, table = kind.rpartition("_")
        if register in sets and table in VIRTUAL.values():
            found[f"{register}/{table}"] = types[kind]
    return found


_ROWS = re.compile(r"Collection\([^.]+\.(.+)\)$")


# By kind of a place the virtual table that is read of it, or, of entries, beside it.
VIRTUAL = {"balance": "Balance", "latest": "SliceLast", "entries": "RecordsWithExtDimensions"}


def shape(sets: Mapping[str, Mapping[str, str]], entity_set: str, of: str = "") -> dict[str, str]:
    """The properties of a set and their types; those of its tabular parts as `Part/Field`, the set's name as "".

    `of` is the kind of the place: what is read from a virtual table has the table's columns where the base describes
    it, entries have their subconto from there.
    """
    table = f"{entity_set.removesuffix('_RecordType')}/{VIRTUAL.get(of, '')}"
    columns = sets.get(table)
    if columns and of != "entries":
        return {"": table, **columns}
    found = {"": entity_set}
    found |= {name: kind for name, kind in (columns or {}).items() if name.startswith("ExtDimension")}
    for name, kind in sets[entity_set].items():
        found[name] = kind
        if kind.startswith("Collection("):
            part = sets.get(f"{entity_set}_{name}", {})
            found |= {f"{name}/{inner}": of for inner, of in part.items()}
    return found


def unknown_fields(
    sets: Mapping[str, Mapping[str, str]], entity_set: str, body: Mapping[str, Any]
) -> list[str]:
    """Names in a body that the set does not have, rows of tabular parts included (`Товары.Цена`).

    1C ignores such names without a word, so a slip of the pen would go unnoticed.
    """
    properties = sets.get(entity_set, {})
    strangers = []
    for name, value in body.items():
        if name not in properties and not ("@" in name or name == "Ref_Key"):
            strangers.append(name)
        elif isinstance(value, (list, tuple)):
            rows = {
                stranger for row in value for stranger in unknown_fields(sets, f"{entity_set}_{name}", row)
            }
            strangers += [f"{name}.{stranger}" for stranger in sorted(rows)]
    return strangers


# ---- refusals ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fault:
    """What a server said instead of an answer. `code` is 1C's own ("9", "15", "-1"), empty when the
    body is not 1C's: a web server or a proxy spoke, and it is unknown what 1C did."""

    status: int
    code: str
    text: str

    @property
    def from_1c(self) -> bool:
        return self.code != ""


class _Message(msgspec.Struct):
    value: str = ""


class _Error(msgspec.Struct):
    code: str | int = ""
    message: _Message | str = ""


class _Refusal(msgspec.Struct):
    error: _Error = msgspec.field(name="odata.error")


def read_fault(status: int, content: bytes) -> Fault:
    """Understand an error body: 1C's JSON, 1C's XML, or a web server's page."""
    try:
        said = msgspec.json.decode(content, type=_Refusal).error
        message = said.message if isinstance(said.message, str) else said.message.value
        return Fault(status, str(said.code), message.strip()[:ERROR_TEXT_LIMIT])
    except msgspec.MsgspecError:
        pass
    if b"error" in content[:2000] and b"<" in content[:200]:
        try:
            root = ElementTree.fromstring(content)
            parts = {child.tag.rpartition("}")[2]: "".join(child.itertext()) for child in root}
            if root.tag.rpartition("}")[2] == "error" and parts.get("code"):
                return Fault(status, parts["code"], parts.get("message", "").strip()[:ERROR_TEXT_LIMIT])
        except ElementTree.ParseError:
            pass
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", content[:20000].decode("utf-8", "replace")))
    return Fault(status, "", page.strip()[:200])


def is_closed_period(message: str, pattern: str = "") -> bool:
    """Whether a refusal speaks of the date before which changes are forbidden ("дата запрета изменения").

    The sentence differs by configuration and release; `pattern` (a regular expression) replaces ours.
    """
    return bool(re.search(pattern, message, re.I) if pattern else _CLOSED.search(message))


def is_lock_conflict(message: str) -> bool:
    """Whether the write lost a race for a lock: the transaction was rolled back, nothing is written."""
    return bool(_LOCKED.search(message))


_CHANGE = r"(?:измен|редактир|период)"
_FORBID = r"запре[тщ]"
_CLOSED = re.compile(
    rf"{_FORBID}\w*.{{0,60}}{_CHANGE}|{_CHANGE}\w*.{{0,60}}{_FORBID}|закрыт\w+ период|период\w* закрыт",
    re.IGNORECASE | re.DOTALL,
)
_LOCKED = re.compile(r"конфликт блокировок|взаимоблокировк|времени? ожидания .{0,40}блокировк", re.I)
