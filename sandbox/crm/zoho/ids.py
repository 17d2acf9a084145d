"""Ids, stamps and numbers as Zoho CRM shows them.

An id is nineteen digits: seven of the organisation, three of the kind, nine of the record's number. Stamps are
ISO 8601 of whole seconds with the organisation's offset, here Moscow.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sandbox.company.model import MOSCOW

ORGANISATION: Final = "5725767"
KINDS: Final = {
    "employee": 1, "pipeline": 2, "stage": 3, "source": 4, "campaign": 101, "product": 102, "price_list": 103,
    "price": 104, "client": 201, "contact": 202, "deal": 203, "line": 204, "invoice": 205, "task": 206,
    "call": 207, "meeting": 208, "letter": 209, "requisite": 299, "order": 301, "invoice_line": 302, "module": 401,
    "field": 402, "layout": 403, "currency": 404,
    "profile": 405, "role": 406, "tax": 407, "choice": 408, "forecast": 409, "organisation": 410, "job": 501,
}  # fmt: skip
"""The three digits of each kind of record; `order` is a Sales_Order, numbered as its deal."""
_NUMBERS: Final = 1_000_000_000


def source_id(entity: str, number: int) -> str:
    """The id that the CRM shows for a number of the desk, or of one of the kinds above."""
    return f"{ORGANISATION}{KINDS[entity] * _NUMBERS + number:012d}"


def number_of(entity: str, shown: object) -> int | None:
    """The number behind an id of this kind; None for anything else."""
    text = str(shown)
    if len(text) != 19 or not text.isascii() or not text.isdigit() or not text.startswith(ORGANISATION):
        return None
    kind, number = divmod(int(text[len(ORGANISATION) :]), _NUMBERS)
    return number if kind == KINDS[entity] else None


def looks_like_id(shown: object) -> bool:
    """Whether it could be an id of any record at all."""
    text = str(shown)
    return text.isascii() and text.isdigit() and 1 <= len(text) <= 19


def stamp(at: datetime) -> str:
    """2026-01-31T10:00:00+03:00"""
    return at.astimezone(MOSCOW).isoformat(timespec="seconds")


def moment(said: str) -> datetime:
    """The moment that a client named. Raises ValueError for anything without an offset of its own."""
    found = datetime.fromisoformat(said.strip())
    if found.tzinfo is None:
        raise ValueError(f"{said!r} has no offset")
    return found.astimezone(UTC)
