"""Values: as they are kept, as JSON shows them, as a request gives them, as a filter or a key words them.

Kept are: dates `2026-01-31`, moments `2026-01-31T10:00:00.1234567Z` (so texts sort as they should), times `10:00:00`,
numbers as text in the digits that are shown, keys without leading zeros.
Source: the vendor's OData V2 conversions; recorded answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from sandbox.accounting.sap.edm import NUMBERS, TEXTS, EntityType, Property
from sandbox.accounting.sap.errors import EXPRESSION, PROPERTY, SapError, bad_request

DECIMALS: Final = {"JPY": 0, "KRW": 0, "TND": 3, "KWD": 3}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"/Date\((-?\d+)(?:([+-])(\d{4}))?\)/")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,7}))?)?)?(Z|[+-]\d\d:\d\d)?")
_TIME = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d+)?S)?")
_LITERAL = re.compile(r"(?:(datetimeoffset|datetime|time|guid|binary|X))?'((?:[^']|'')*)'|([^']+)", re.S)


class Literal(NamedTuple):
    kind: str  # text, datetime, datetimeoffset, time, guid, number, flag, null
    value: Any


def rounded(value: Decimal, currency: str) -> Decimal:
    """An amount in the digits of its currency, halves away from zero."""
    return value.quantize(Decimal(1).scaleb(-DECIMALS.get(currency, 2)), rounding=ROUND_HALF_UP)


def quantity(value: Decimal) -> str:
    """A quantity as it is shown: without zeros behind the point."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def moment_text(value: datetime, tenths: int = 0) -> str:
    """A moment with 7 decimals; `tenths` is the last digit."""
    utc = value.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond:06d}{tenths}Z"


def etag_of(moment: str) -> str:
    return f"W/\"datetimeoffset'{moment.replace(':', '%3A')}'\""


@lru_cache(maxsize=20_000)
def shown_date(text: str) -> str:
    return f"/Date({(date.fromisoformat(text) - date(1970, 1, 1)).days * 86_400_000})/"


@lru_cache(maxsize=200_000)
def shown_moment(text: str) -> str:
    """Milliseconds: the four decimals behind them are lost, as in every JSON answer."""
    base = datetime.fromisoformat(f"{text[:19]}+00:00")
    milliseconds = (base - _EPOCH) // timedelta(milliseconds=1) + int(text[20:23])
    return f"/Date({milliseconds}+0000)/"


def shown_time(text: str) -> str:
    hours, minutes, seconds = text.split(":")
    return f"PT{hours}H{minutes}M{seconds}S"


SHOWN: Final[dict[str, Callable[[str], str]]] = {"d": shown_date, "o": shown_moment, "t": shown_time}


def padded(prop: Property, value: str) -> str:
    """A key or number with its leading zeros, as it is compared."""
    return value.zfill(prop.length) if value.isdigit() else value


def received(prop: Property, value: Any, body: str) -> Any:
    """What a JSON body gave for a property, as it is kept. Raises SapError in the words of the JSON reader."""
    code = prop.code
    if value is None:
        return prop.empty if code in TEXTS or code in NUMBERS or code == "b" else None
    if code in NUMBERS:
        if not isinstance(value, str):
            raise _unreadable(prop, body)
        return _number(prop, value, body)
    if code == "b":
        if not isinstance(value, bool):
            raise _unreadable(prop, body)
        return value
    if not isinstance(value, str):
        raise _unreadable(prop, body)
    if code in TEXTS:
        return _text(prop, value, body)
    if code == "g":
        return value.lower()
    found = {"d": _date, "o": _moment, "t": _time}[code](value)
    if found is None:
        raise _invalid(prop, value, body)
    return found


def literal(text: str) -> Literal:
    """One literal of a key or filter."""
    match = _LITERAL.fullmatch(text)
    if match is None:
        raise bad_request(f"Invalid key predicate or literal {text}", EXPRESSION)
    prefix, quoted, bare = match.groups()
    if quoted is not None:
        value = quoted.replace("''", "'")
        return Literal(prefix or "text", value)
    if bare in ("true", "false"):
        return Literal("flag", bare == "true")
    if bare == "null":
        return Literal("null", None)
    try:
        return Literal("number", Decimal(bare.rstrip("mMdDfFlL")))
    except InvalidOperation as error:
        raise bad_request(f"Invalid literal {bare}", EXPRESSION) from error


def compared(prop: Property, said: Literal, function: str, place: int) -> Any:
    """A literal as the kept values of a property are compared with it. Raises SapError where types do not meet."""
    if said.kind == "null":
        return None
    code = prop.code
    value: Any = None
    if code in TEXTS and said.kind == "text":
        value = said.value.upper() if code in "uc" else said.value
        value = padded(prop, value) if code in "kn" else value
    elif code == "d" and said.kind == "datetime":
        value = _date(said.value)
    elif code == "o" and said.kind == "datetimeoffset":
        value = _moment(said.value)
    elif code == "t" and said.kind == "time":
        value = _time(said.value)
    elif code == "g" and said.kind == "guid":
        value = said.value.lower()
    elif (code == "b" and said.kind == "flag") or (code in NUMBERS and said.kind == "number"):
        value = said.value
    if value is None:
        raise bad_request(
            f"Invalid parametertype used at function '{function}' (Position: {place})", EXPRESSION
        )
    return value


def kept_of(prop: Property, row: dict[str, Any]) -> Any:
    """A property's value as it is compared: keys with zeros, numbers as numbers."""
    value = row.get(prop.name)
    if value is None:
        value = prop.empty
    if prop.code in "kn":
        return padded(prop, value)
    if prop.code in NUMBERS:
        return Decimal(value)
    return value


def key_value(prop: Property, said: Literal) -> str:
    """A literal of a key, padded as keys are kept."""
    if prop.code == "d":
        return _date(str(said.value)) or ""
    if prop.code == "g":
        return str(said.value).lower()
    if said.kind != "text":
        raise bad_request(f"Invalid key predicate type for property '{prop.name}'", EXPRESSION)
    text = str(said.value).upper() if prop.code in "uc" else str(said.value)
    return padded(prop, text) if prop.code in "kn" else text


def key_text(kind: EntityType, row: dict[str, Any]) -> str:
    """The key of an address: 'x', or a=…,b=… where there are several."""
    if len(kind.keys) == 1 and (only := row.get(kind.keys[0])) and only.isascii() and only.isalnum():
        return f"'{only}'"
    words = []
    for name in kind.keys:
        prop = kind.properties[name]
        value = row.get(name) or prop.empty or ""
        if prop.code == "d":
            words.append((name, f"datetime'{value}T00%3A00%3A00'"))
        elif prop.code == "g":
            words.append((name, f"guid'{value}'"))
        else:
            words.append((name, "'" + quote(str(value).replace("'", "''"), safe="'-_.~:") + "'"))
    return words[0][1] if len(words) == 1 else ",".join(f"{name}={value}" for name, value in words)


def _number(prop: Property, value: str, body: str) -> str:
    try:
        number = Decimal(value.strip())
    except InvalidOperation as error:
        raise _invalid(prop, value, body) from error
    exponent = number.as_tuple().exponent
    digits = len(f"{abs(int(number))}") if number.is_finite() else 99
    if not isinstance(exponent, int) or -exponent > prop.scale or digits > prop.precision - prop.scale:
        raise _invalid(prop, value, body)
    if prop.code == "q":
        return quantity(number)
    return f"{number:.2f}" if prop.code == "a" else f"{number:.{prop.scale}f}"


def _text(prop: Property, value: str, body: str) -> str:
    if prop.length and len(value) > prop.length:
        raise _invalid(prop, value, body)
    if prop.code in "uc":
        return value.upper()
    if prop.code == "n":
        if value and not value.isdigit():
            raise _invalid(prop, value, body)
        return value.lstrip("0") or "0"
    if prop.code == "k" and value.isdigit():
        return value.lstrip("0")
    return value


def _date(value: str) -> str | None:
    match = _DATE.fullmatch(value)
    if match:
        return (_EPOCH + timedelta(milliseconds=int(match[1]))).date().isoformat()
    found = _ISO.fullmatch(value)
    return _real(found[1]) if found else None


def _moment(value: str) -> str | None:
    match = _DATE.fullmatch(value)
    if match:
        return moment_text(_EPOCH + timedelta(milliseconds=int(match[1])))
    found = _ISO.fullmatch(value)
    if found is None or _real(found[1]) is None:
        return None
    fraction = (found[4] or "").ljust(7, "0")
    zone = found[5] if found[5] and found[5] != "Z" else "+00:00"
    try:
        base = datetime.fromisoformat(f"{found[1]}T{found[2] or '00:00'}:{found[3] or '00'}{zone}")
    except ValueError:
        return None
    return f"{base.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{fraction}Z"


def _time(value: str) -> str | None:
    found = _TIME.fullmatch(value)
    return ":".join(f"{int(part or 0):02d}" for part in found.groups()) if found else None


def _real(text: str) -> str | None:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return None


def _unreadable(prop: Property, body: str) -> SapError:
    place = max(body.find(f'"{prop.name}"'), 0)
    return bad_request(f"Failed to read property '{prop.name}' at offset '{place}'", PROPERTY)


def _invalid(prop: Property, value: str, body: str) -> SapError:
    place = max(body.find(f'"{prop.name}"'), 0)
    return bad_request(f"Property '{prop.name}' at offset '{place}' has invalid value '{value}'", PROPERTY)
