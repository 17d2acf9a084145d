"""OData V2 as SAP Gateway speaks it: addresses, literals of filters, faults, and rows without their wrapping.

A row loses what is of the protocol and no data: `__metadata` (its etag stays, as `ETag`), links of navigation that
was not expanded, `{"results": [...]}` around a list. Dates become ISO 8601, for `/Date(ms)/` is no instant but
a day (Edm.DateTime) and only `/Date(ms+min)/` one (Edm.DateTimeOffset): `2026-04-18T00:00:00`,
`2026-04-18T20:23:29.593Z`. Numbers of documents and customers lose the zeros that some services leave in front
(`unpadded`). Everything else stays as it came: amounts are texts in V2, and a bare number with a point is kept by its digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

import msgspec

ETAG: Final = "ETag"
LONG: Final = 10  # characters of the number of a document or customer
FAULTS_SHOWN: Final = 5  # details of one refusal in a message
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN: Final = "$,()'=:/@_-.*"

# Fields that hold numbers which SAP keeps with zeros in front: shown with or without them, they are the same.
NUMBERS: Final = frozenset(
    (
        "BusinessPartner", "Customer", "Supplier", "SoldToParty", "PayerParty", "BillToParty", "ShipToParty",
        "SalesOrder", "SalesOrderItem", "SalesDocument", "SalesDocumentItem", "ReferenceSDDocument",
        "ReferenceSDDocumentItem", "BillingDocument", "BillingDocumentItem", "CancelledBillingDocument",
        "AccountingDocument", "ClearingAccountingDocument", "ReverseDocument", "InvoiceReference", "ReferenceDocument",
        "AccountingDocumentItem", "LedgerGLLineItem", "GLAccount",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """What an answer says went wrong. `text` is whole: the message and the details that add to it."""

    code: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a list. `count` of all rows, where it was asked for."""

    rows: Sequence[Mapping[str, Any]]
    count: int | None = None


# ---- Addresses and literals ----------------------------------------------------------------------


def address(resource: str, **options: object) -> str:
    """A path with `$filter`, `$orderby` ... of the options that are given; `filter="a eq 'b'"`."""
    said = [f"${name}={quote(str(value), safe=_PLAIN)}" for name, value in options.items() if value != ""]
    return f"{resource}?{'&'.join(said)}" if said else resource


def text(value: str) -> str:
    """A literal of Edm.String."""
    return "'" + value.replace("'", "''") + "'"


def literal(value: str) -> str:
    """A literal of a key field as a plain row shows it: a text, or a day."""
    return f"datetime{text(value)}" if _DAY.fullmatch(value) else text(value)


def day(moment: datetime) -> str:
    """A literal of Edm.DateTime: the midnight of a calendar day."""
    return f"datetime'{moment:%Y-%m-%d}T00:00:00'"


def instant(moment: datetime) -> str:
    """A literal of Edm.DateTimeOffset, to the whole second below: a stamp of seven digits is not left out."""
    return f"datetimeoffset'{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z'"


def record(entity_set: str, key: Mapping[str, str]) -> str:
    """The address of one record: `A_Product('TG11')`, or with the names of several key fields."""
    if len(key) == 1:
        return f"{entity_set}({quote(text(next(iter(key.values()))), safe=_PLAIN)})"
    return f"{entity_set}({','.join(f'{n}={quote(text(v), safe=_PLAIN)}' for n, v in key.items())})"


def both(*conditions: str) -> str:
    """Conditions that hold together; empty ones count for nothing."""
    given = [c for c in conditions if c]
    return given[0] if len(given) == 1 else " and ".join(f"({c})" if " or " in c else c for c in given)


def either(name: str, values: Iterable[str]) -> str:
    """A condition that a field has one of these texts."""
    return " or ".join(f"{name} eq {text(value)}" for value in values)


def after(key: Sequence[str], last: Sequence[str]) -> str:
    """A condition for what follows a row in the order of its key fields."""
    terms = []
    for place, name in enumerate(key):
        same = [f"{n} eq {literal(v)}" for n, v in zip(key[:place], last[:place], strict=True)]
        terms.append(" and ".join([*same, f"{name} gt {literal(last[place])}"]))
    return terms[0] if len(terms) == 1 else "(" + " or ".join(f"({term})" for term in terms) + ")"


def chunks(name: str, values: Iterable[str], limit: int) -> Iterator[tuple[list[str], str]]:
    """(values, condition) with as many values as an address of `limit` characters takes."""
    part: list[str] = []
    size = 0
    for value in dict.fromkeys(values):
        cost = len(quote(f"{name} eq {text(value)} or ", safe=_PLAIN))
        if part and size + cost > limit:
            yield part, either(name, part)
            part, size = [], 0
        part.append(value)
        size += cost
    if part:
        yield part, either(name, part)


def number(value: str) -> str:
    """A number of a document or customer without zeros in front; other texts as they are."""
    return value.lstrip("0") or value[:1] if value.isascii() and value.isdigit() else value


def padded(value: str) -> str:
    """A number with the zeros that SAP keeps in front of it; "" for what has none to be added."""
    return value.zfill(LONG) if value.isascii() and value.isdigit() and len(value) < LONG else ""


# ---- Answers -------------------------------------------------------------------------------------


def listed(content: bytes) -> Listed:
    """A list of rows, or one row. Raises ValueError for what is no answer of OData V2."""
    try:
        body = _decode(content)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    inner = body.get("d") if isinstance(body, dict) else None
    if isinstance(inner, list):  # without server paging the oldest services leave `results` out
        return Listed([plain(row) for row in inner if isinstance(row, dict)])
    if not isinstance(inner, dict):
        raise ValueError("there is no `d` in it")
    rows = inner.get("results")
    if not isinstance(rows, list):
        return Listed([plain(inner)])
    count = inner.get("__count")
    return Listed(
        [plain(row) for row in rows if isinstance(row, dict)],
        int(str(count)) if str(count or "").isdigit() else None,
    )


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without wrapping; see the top of this module. Items come in the order of their numbers."""
    found: dict[str, Any] = {}
    etag = ""
    for name, value in row.items():
        kind = type(value)
        if kind is str:  # nearly all are: a page has tens of thousands of them
            found[name] = date_text(value) if value[:6] == "/Date(" else value
        elif kind is dict:
            if name == "__metadata":
                etag = value.get("etag") or ""
            elif "__deferred" not in value:
                inner = value.get("results")
                if type(inner) is list:
                    found[name] = _sorted([plain(item) for item in inner])
                else:
                    found[name] = plain(value)
        elif kind is list:
            found[name] = _sorted([plain(item) if type(item) is dict else item for item in value])
        else:
            found[name] = value
    if etag:
        found[ETAG] = etag
    return found


def header(content: bytes) -> dict[str, Any]:
    """The fields of the one row that a write gave back, as `plain` has them, without what is nested in it; {} without one."""
    try:
        body = _decode(content)
    except msgspec.DecodeError:
        return {}
    row = body.get("d") if isinstance(body, dict) else None
    if isinstance(row, dict) and isinstance(row.get("results"), list):
        row = next(iter(row["results"]), None)
    if not isinstance(row, dict):
        return {}
    metadata = row.get("__metadata")
    fields = {name: value for name, value in row.items() if not isinstance(value, (dict, list))}
    return plain({**fields, "__metadata": metadata} if isinstance(metadata, dict) else fields)


def unpadded(row: dict[str, Any]) -> dict[str, Any]:
    """The row itself, the numbers in it without zeros in front. After paging: a filter takes them as they came."""
    for name in NUMBERS & row.keys():
        value = row[name]
        if isinstance(value, str) and value[:1] == "0":
            row[name] = number(value)
    for value in row.values():
        if type(value) is dict:
            unpadded(value)
        elif type(value) is list:
            for item in value:
                if isinstance(item, dict):
                    unpadded(item)
    return row


@lru_cache(maxsize=16_384)  # a page is full of the same days
def date_text(value: str) -> str:
    """`/Date(1776470400000)/` as `2026-04-18T00:00:00`, with an offset as an instant with Z; else the text itself."""
    match = _DATE.fullmatch(value)
    if match is None:
        return value
    try:
        moment = _EPOCH + timedelta(milliseconds=int(match[1]))
    except OverflowError:  # beyond the year 9999: no day that anybody means
        return value
    if match[2] is None:
        return moment.replace(tzinfo=None).isoformat(timespec="seconds")
    # The offset says how the writer's clock stood; the milliseconds are of UTC already.
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def stamp(value: object) -> datetime | None:
    """A stamp of a plain row as UTC; None for what is none."""
    if not isinstance(value, str) or not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # in UTC it may lie outside the calendar
        return None


def encode(body: Mapping[str, Any]) -> bytes:
    """A body as V2 takes it; its numbers are texts by now, see `paths.nested`."""
    return _encoder.encode(body)


def payload(row: Mapping[str, Any]) -> bytes:
    """A plain row as JSON text."""
    return _encoder.encode(row)


def fault(content: bytes) -> Fault:
    """The error inside an answer, in JSON or XML; empty where there is none."""
    start = content.lstrip()[:1]
    if start == b"{":
        try:
            body = _decode(content)
        except msgspec.DecodeError:
            return Fault()
        error = body.get("error") if isinstance(body, dict) else None
        return _json_fault(error) if isinstance(error, dict) else Fault()
    if b"<error" in content[:2000]:
        said = content.decode("utf-8", "replace")
        texts = [_unescaped(found) for found in _XML_MESSAGE.findall(said)]
        code = _XML_CODE.search(said)
        return Fault(_unescaped(code[1]) if code else "", "; ".join(dict.fromkeys(texts[:FAULTS_SHOWN])))
    return Fault()


def warnings(header: str) -> list[str]:
    """The sentences of a `sap-message` header: what SAP remarked on a write that it carried out."""
    from urllib.parse import unquote

    if not header:
        return []
    try:
        said = _decode(unquote(header).encode())
    except msgspec.DecodeError:
        return [unquote(header)[:300]]
    if not isinstance(said, dict):
        return []
    details = [detail for detail in said.get("details") or () if isinstance(detail, dict)]
    told = [_remark(one) for one in (said, *details)]
    return list(dict.fromkeys(remark for remark in told if remark))


# ---- Inside --------------------------------------------------------------------------------------

_DATE: Final = re.compile(r"/Date\((-?\d+)([+-]\d+)?\)/")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_XML_MESSAGE: Final = re.compile(r"<message[^>]*>([^<]+)</message>")
_XML_CODE: Final = re.compile(r"<code[^>]*>([^<]+)</code>")
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encoder = msgspec.json.Encoder(decimal_format="number")
_ITEMS: Final = ("SalesOrderItem", "BillingDocumentItem")


def _sorted(rows: list[Any]) -> list[Any]:
    first = rows[0] if rows else None
    if not isinstance(first, dict):
        return rows
    for name in _ITEMS:
        if name in first and "PricingProcedureStep" not in first:
            return sorted(rows, key=lambda row: (len(str(row.get(name))), str(row.get(name))))
    return rows


def _json_fault(error: Mapping[str, Any]) -> Fault:
    message = error.get("message")
    said = message.get("value") if isinstance(message, dict) else message
    inner = error.get("innererror")
    details = inner.get("errordetails") if isinstance(inner, dict) else None
    if isinstance(details, dict):
        details = details.get("errordetail")
    texts = [str(said or "").strip()]
    texts += [str(d.get("message") or "").strip() for d in details or () if isinstance(d, dict)]
    kept = [t for t in dict.fromkeys(texts) if t]
    more = f"; and {len(kept) - FAULTS_SHOWN} more" if len(kept) > FAULTS_SHOWN else ""
    return Fault(str(error.get("code") or ""), "; ".join(kept[:FAULTS_SHOWN]) + more)


def _remark(one: Mapping[str, Any]) -> str:
    message = str(one.get("message") or "").strip()
    severity, code = str(one.get("severity") or ""), str(one.get("code") or "")
    about = ", ".join(part for part in (severity, code) if part)
    return f"{message} ({about})" if message and about else message


def _unescaped(said: str) -> str:
    from html import unescape

    return unescape(said).strip()
