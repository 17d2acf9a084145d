"""Which credit memos are used on an invoice: asked right before a return of ours leaves.

A credit memo names no invoice. One that is used on an invoice is settled by the same Payment, often of nothing, as that is.
A memo that is used on nothing belongs to no invoice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from resources.accounting.quickbooks.entities import PLACES

if TYPE_CHECKING:
    from resources.accounting.quickbooks.write import Writer

MEMO = "CreditMemo"


def followers(writer: Writer, kind: str, keys: Sequence[str]) -> dict[str, list[str]]:
    """By our key of an invoice the keys of the memos that are used on it, ours where they bear one. A void memo counts for
    nothing. Three queries of 200 records at most, the latter two of what is settled alone. Raises SourceError."""
    invoices = {number: key for key, number in writer.known_numbers(kind, keys).items()}
    paid_by: dict[str, list[str]] = {}  # numbers of payments: keys of ours that they settle
    for body in writer.by_id(PLACES[kind], list(invoices)):
        for number in _linked(body, "Payment"):
            paid_by.setdefault(number, []).append(invoices[str(body["Id"])])
    used: dict[str, list[str]] = {}  # numbers of memos: keys of ours that they are used on
    for body in writer.by_id(PLACES["payment"], list(paid_by)):
        settled = [link for line in body.get("Line") or () for link in _linked(line, MEMO)]
        for number in settled:
            used.setdefault(number, []).extend(paid_by[str(body["Id"])])
    found: dict[str, list[str]] = {}
    for body in writer.by_id(PLACES["return"], list(used)):
        if body.get("TotalAmt"):
            for key in used[str(body["Id"])]:
                found.setdefault(key, []).append(writer.borne("return", body))
    return found


def _linked(body: Mapping[str, Any], kind: str) -> list[str]:
    links = body.get("LinkedTxn") or ()
    return [str(link.get("TxnId")) for link in links if link.get("TxnType") == kind]
