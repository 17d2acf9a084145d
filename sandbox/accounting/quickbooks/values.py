"""Numbers, moments and bodies as QuickBooks Online writes them.

Money is Decimal with two digits, and the number 0 where there is none; a store that was read again gives its
Decimals as text, `revive` turns them back. Moments are ISO with the company's offset and whole seconds
(`2015-10-07T11:42:38-07:00`), dates `YYYY-MM-DD`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr
from zoneinfo import ZoneInfo

import msgspec

Row = dict[str, Any]
CENT: Final = Decimal("0.01")
PACIFIC: Final = ZoneInfo("America/Los_Angeles")
"""Times are given in Pacific time in every recorded answer."""
NAMESPACE: Final = "http://schema.intuit.com/finance/v3"
NUMBERS: Final = frozenset(
    [
        "Amount",
        "Qty",
        "UnitPrice",
        "TotalAmt",
        "HomeTotalAmt",
        "Balance",
        "HomeBalance",
        "BalanceWithJobs",
        "UnappliedAmt",
        "ExchangeRate",
        "Rate",
        "RateValue",
        "TotalTax",
        "TaxPercent",
        "NetAmountTaxable",
        "TaxInclusiveAmt",
        "DiscountPercent",
        "QtyOnHand",
        "PurchaseCost",
        "CurrentBalance",
        "CurrentBalanceWithSubAccounts",
        "RemainingCredit",
        "HomeAmt",
        "TaxAmount",
        "Deposit",
        "CreditLimit",
        "DiscountAmt",
        "DiscountRate",
        "ReorderPoint",
        "BillRate",
        "CostRate",
    ]
)
"""Names under which a number stands, and never a text."""
encode: Final = msgspec.json.Encoder(decimal_format="number").encode
decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode


def cents(value: Decimal) -> Decimal:
    """Half up to two digits."""
    return value.quantize(CENT, rounding=ROUND_HALF_UP)


def shown(value: Decimal) -> Decimal | int:
    """Money in an answer: two digits, nothing as 0."""
    return cents(value) if value else 0


def plain(value: Decimal) -> Decimal | int:
    """A quantity, price or rate without idle zeros: 75, 4.5."""
    if value == value.to_integral_value():
        return int(value)
    return value.normalize()


def number(value: Any) -> Decimal | None:
    """The Decimal of a JSON number or of its text; None when it is neither."""
    if isinstance(value, bool) or value is None or value == "":
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def kopecks(value: Decimal) -> int:
    """Hundredths."""
    return int((value * 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def money(hundredths: int) -> Decimal:
    return Decimal(hundredths).scaleb(-2)


def revive(value: Any) -> Any:
    """A stored record with its numbers as Decimal again, changed in place."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, (dict, list)):
                revive(inner)
            elif isinstance(inner, str) and name in NUMBERS:
                value[name] = Decimal(inner)
    elif isinstance(value, list):
        for inner in value:
            revive(inner)
    return value


@lru_cache(maxsize=4096)
def moment(seconds: int) -> str:
    """Seconds since 1970 as the vendor shows them."""
    return datetime.fromtimestamp(seconds, PACIFIC).isoformat()


def moment_now(now: float) -> str:
    """The `time` of an answer, with milliseconds."""
    return datetime.fromtimestamp(now, PACIFIC).isoformat(timespec="milliseconds")


def utc_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def seconds_of(text: str, zone: ZoneInfo = PACIFIC) -> float | None:
    """A moment or a date said by a client; without an offset it is the company's. None: it is no moment."""
    try:
        found = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()


def day_of(value: Any) -> date | None:
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None


def ref(value: str, name: str | None = None) -> Row:
    return {"value": value} if name is None else {"value": value, "name": name}


def id_of(reference: Any) -> str:
    """The id that a reference names, '' when there is none."""
    if isinstance(reference, Mapping):
        return str(reference.get("value") or "")
    return str(reference) if isinstance(reference, (str, int)) and not isinstance(reference, bool) else ""


def xml(body: Mapping[str, Any], time: str) -> bytes:
    """The same answer to a client that did not ask for JSON."""
    inner = "".join(_element(name, value) for name, value in body.items() if name != "time")
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    return f'{head}<IntuitResponse xmlns="{NAMESPACE}" time="{time}">{inner}</IntuitResponse>'.encode()


_ATTRIBUTES: Final = (
    "domain",
    "sparse",
    "status",
    "type",
    "code",
    "element",
    "startPosition",
    "maxResults",
    "totalCount",
)


def _element(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_element(name, one) for one in value)
    if isinstance(value, Mapping):
        if "value" in value and value.keys() <= {"value", "name"}:
            attribute = f" name={quoteattr(str(value['name']))}" if "name" in value else ""
            return f"<{name}{attribute}>{escape(_text(value['value']))}</{name}>"
        if name in ("QueryResponse", "Fault", "Error") or "domain" in value:
            said = "".join(f" {key}={quoteattr(_text(value[key]))}" for key in _ATTRIBUTES if key in value)
            return f"<{name}{said}>{_elements(value.items(), without=_ATTRIBUTES)}</{name}>"
        return f"<{name}>{_elements(value.items())}</{name}>"
    return f"<{name}>{escape(_text(value))}</{name}>"


def _elements(pairs: Iterable[tuple[str, Any]], without: Iterable[str] = ()) -> str:
    left_out = set(without)
    return "".join(_element(name, value) for name, value in pairs if name not in left_out)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
