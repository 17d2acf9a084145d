"""Our key on a record that QuickBooks numbers itself: a line of a note, and a number made of it.

A note ends with `[sverka 6f6c1c55-…]`. That is for an accountant to leave alone, and for us to know our own by. It is
taken off the records that are read: whatever else the note says is all that the mapping sees.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from resources.accounting.quickbooks.entities import MAX_NUMBER

PREFIX: Final = "SV-"
_KEY: Final = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_WRITTEN: Final = re.compile(rf"(?:\r?\n)?\[sverka ({_KEY})\]")
_SENT: Final = re.compile(rf"(?:\\r)?(?:\\n)?\[sverka ({_KEY})\]".encode())
_SIGN: Final = b"[sverka "


def marked(text: str, key: str, most: int) -> str:
    """The text with our key on a line of its own; cut where both are longer than the field takes."""
    sign = f"[sverka {key.lower()}]"
    rest = _WRITTEN.sub("", text)[: most - len(sign) - 1]
    return f"{rest}\n{sign}" if rest else sign


def unmarked(payload: bytes) -> tuple[bytes, str | None]:
    """A record's JSON without the sign, byte for byte otherwise, and the key that it bore."""
    if _SIGN not in payload:
        return payload, None
    found = _SENT.search(payload)
    return (_SENT.sub(b"", payload), found[1].decode()) if found else (payload, None)


def key_in(text: object) -> str | None:
    """The key that a note bears."""
    found = _WRITTEN.search(text) if isinstance(text, str) else None
    return found[1] if found else None


def number_of(key: str) -> str:
    """A DocNumber that belongs to our key alone: 80 bits of it, which do not fall on another's by chance."""
    digest = hashlib.blake2b(key.lower().encode(), digest_size=10).digest()
    number = PREFIX + base64.b32encode(digest).decode()
    assert len(number) <= MAX_NUMBER
    return number


class Body(dict[str, Any]):
    """A record in the vendor's fields, whose nested ones are reached by dotted names too: `CustomerRef.value`."""

    def __missing__(self, name: str) -> Any:
        owner, dot, rest = name.partition(".")
        if not dot or not isinstance(held := dict.get(self, owner), Mapping):
            raise KeyError(name)
        return Body(held)[rest]

    def __contains__(self, name: object) -> bool:
        if dict.__contains__(self, name):
            return True
        try:
            self[str(name)]
        except KeyError:
            return False
        return True


def nested(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body whose dotted names are the vendor's nested fields again, in rows of its lists too."""
    made: dict[str, Any] = {}
    for name, value in body.items():
        if isinstance(value, list):
            value = [nested(row) if isinstance(row, Mapping) else row for row in value]
        elif isinstance(value, Mapping):
            value = nested(value)
        *owners, last = name.split(".")
        place = made
        for owner in owners:
            place = place.setdefault(owner, {})
        place[last] = value
    return made


def seen(body: Mapping[str, Any]) -> Body:
    """A record as it was meant: without our sign, and without the subtotals that only a read brings."""
    shown = Body({name: _WRITTEN.sub("", v) if isinstance(v, str) else v for name, v in body.items()})
    lines = body.get("Line")
    if isinstance(lines, list):
        shown["Line"] = [Body(row) for row in lines if row.get("DetailType") != "SubTotalLineDetail"]
    return shown
