"""Our keys in SAP's fields: where the key of a record that we wrote stands, and how it is told from other texts.

SAP numbers customers and orders itself, so our key (a UUID) goes into a reference that can be searched:

    order         PurchaseOrderByCustomer (35)       32 hexadecimal digits: d1f0c2…
    product       ProductOldID (40)                  the UUID as it is
    counterparty  BusinessPartnerIDByExtSystem (20)  the first 100 bits, 20 letters and digits
                  SearchTerm2 (20)                   "SVERKA" and the last 28 bits

A customer is searched by the 100 bits alone: among a million customers two would share them once in 10^18 systems.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

REFERENCES: Final = {
    "order": "PurchaseOrderByCustomer",
    "product": "ProductOldID",
    "counterparty": "BusinessPartnerIDByExtSystem",
}
REST: Final = "SearchTerm2"  # of a customer: where the bits stand that the reference has no room for
SIGN: Final = "SVERKA "
_HEX: Final = re.compile(r"[0-9a-fA-F]{32}")
_SHORT: Final = 20  # letters of base 32: 100 bits


def references(kind: str, key: str, field: str) -> dict[str, str]:
    """The fields of a new record that bear our key. Raises ValueError for a key that is no UUID."""
    if kind == "counterparty":
        letters = _letters(UUID(key))
        return {field: letters[:_SHORT], REST: SIGN + letters[_SHORT:]}
    return {field: searched(kind, key)}


def searched(kind: str, key: str) -> str:
    """The text by which a record is searched. Raises ValueError for a key that is no UUID."""
    number = UUID(key)
    match kind:
        case "counterparty":
            return _letters(number)[:_SHORT]
        case "product":
            return str(number).upper()
        case _:
            return number.hex


def borne(kind: str, body: Mapping[str, Any], field: str) -> str | None:
    """Our key that a record bears; None where it is not ours."""
    said = str(body.get(field) or "").strip()
    if kind == "counterparty":
        rest = str(body.get(REST) or "")
        if not rest.startswith(SIGN) or len(said) != _SHORT:
            return None
        return _number(said + rest.removeprefix(SIGN))
    if not _HEX.fullmatch(said.replace("-", "")):
        return None
    return str(UUID(said))


def _letters(number: UUID) -> str:
    return base64.b32encode(number.bytes).decode().rstrip("=")


def _number(letters: str) -> str | None:
    try:
        return str(UUID(bytes=base64.b32decode(letters.upper() + "=" * (-len(letters) % 8))))
    except ValueError:
        return None
