"""A line's total with VAT: the vendor knows none, so whether its price has it in is said by the org's own fields.

Formula fields could say it too, but a change of a formula moves no stamp; so it is made of the line's own fields,
in decimals and without rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from resources.crm.salesforce.fields import TOTAL

Lift = Callable[[msgspec.Raw], msgspec.Raw]


def total_with_vat(rate: str, included: str) -> Lift:
    """A function that puts `TotalWithVAT` behind the keys of a line's row.

    `rate`: the field that holds VAT in per cent; `included`: the one that says whether the price has it in. Without
    either, and of a line that says nothing, it has. A row that cannot be read stays as it is, to be set apart.
    """
    decode, key = _decoder(rate, included), f',"{TOTAL}":'.encode()

    def lift(row: msgspec.Raw) -> msgspec.Raw:
        try:
            line = decode(row)
            total, share = bytes(line.total), bytes(line.rate)
            if total == b"null":
                return row
            if line.included is False and share != b"null":
                total = _with_vat(total, share)
        except (msgspec.DecodeError, ArithmeticError):
            return row
        return msgspec.Raw(bytes(row).rstrip()[:-1] + key + total + b"}")

    return lift


def _with_vat(total: bytes, share: bytes) -> bytes:
    return f"{Decimal(total.decode()) * (100 + Decimal(share.decode())) / 100:f}".encode()


def _decoder(rate: str, included: str) -> Callable[[msgspec.Raw], Any]:
    empty = msgspec.Raw(b"null")
    line = msgspec.defstruct(
        "Line",
        [("total", msgspec.Raw, empty), ("rate", msgspec.Raw, empty), ("included", bool | None, None)],
        rename={"total": "TotalPrice", "rate": rate or "(none)", "included": included or "(no)"},
    )
    return msgspec.json.Decoder(line).decode
