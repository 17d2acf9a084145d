"""Change data capture: what changed and what was deleted, of all kinds by one request.

It reaches 30 days back and brings at most 1,000 records, all kinds together, without pages. A full answer is split by
kind; what is full alone, and a kind that it does not know, is read by the stamp of the last change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from resources.accounting.quickbooks.company import CDC_CAP, Company, head, stamp
from resources.accounting.quickbooks.entities import POSTING, Place
from resources.accounting.quickbooks.reports import Transaction
from resources.connector import Refused, Reject
from resources.parallel import in_order

REACH: Final = timedelta(days=29, hours=12)  # 30 days, less what clocks may differ by
IDS: Final = 200  # of one query
INCLUSIVE: Final = timedelta(seconds=1)  # earlier, for stamps are whole seconds and a bound may be exclusive

News = dict[str, list[msgspec.Raw]]
"""By the vendor's names; a name that is missing is to be asked for by its stamps."""


@dataclass
class Moved:
    """Transactions that changed, with their days, numbers of those that were deleted, and rows that cannot be placed."""

    days: dict[Transaction, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    empty: set[str] = field(default_factory=set)  # numbers of those that come to nothing

    def take(self, system: str, name: str, rows: Sequence[msgspec.Raw]) -> None:
        """Note the living transactions of one kind. One without a day cannot be asked for: what is stored of it stays."""
        for row in rows:
            each = head(row)
            if each.id and is_day(each.day):
                self.days[name, each.id] = each.day
                if is_empty(row):
                    self.empty.add(each.id)
                continue
            place, reason = f"entries of {name} {each.id}", f"its TxnDate «{each.day}» is no day"
            if not each.id:
                place, reason = f"entries of {name}, a row without a usable Id", "it does not say which it is"
            self.rejects.append(
                Reject(f"{system}, {place}", f"{reason}; look at it in {system}", bytes(row), each.id or None)
            )


def news(company: Company, names: Sequence[str], since: datetime) -> News:
    """What changed since then. Raises SourceError."""
    if since < datetime.now(UTC) - REACH:
        return {}
    return _told(company, list(dict.fromkeys(names)), since - INCLUSIVE)


def parted(rows: Sequence[msgspec.Raw]) -> tuple[list[msgspec.Raw], list[str]]:
    """Rows that live, and ids of those that were deleted; one that does not say which it is counts as living."""
    living: list[msgspec.Raw] = []
    stubs: list[str] = []
    for row in rows:
        if b'"Deleted"' in bytes(row) and (told := head(row)).id and told.status.lower() == "deleted":
            stubs.append(told.id)
        else:
            living.append(row)
    return living, stubs


def asked(since: datetime) -> str:
    """The bound of a query by stamps."""
    return stamp(since - INCLUSIVE)


def moved(company: Company, told: Mapping[str, list[msgspec.Raw]], since: datetime) -> Moved:
    """Which transactions, of every kind that makes entries, changed since then."""
    found = Moved()
    for name in POSTING:
        if name in told:
            living, stubs = parted(told[name])
            found.gone += stubs
        else:
            try:
                pages = company.changed(Place(name), asked(since))
                living = [row for rows in pages for row in rows]
            except Refused:
                continue  # not of this edition of QuickBooks
        found.take(company.system, name, living)
    return found


def days_of(company: Company, numbers: Sequence[str]) -> Moved:
    """Transactions of these numbers, whatever their kind, with their days."""
    found = Moved()
    for name in POSTING:
        try:
            for start in range(0, len(numbers), IDS):
                rows = company.select(Place(name), "Id", numbers[start : start + IDS])
                found.take(company.system, name, rows)
        except Refused:
            continue
    return found


def is_day(text: str) -> bool:
    """Whether it is a calendar day as the vendor writes one."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def is_empty(row: msgspec.Raw) -> bool:
    """Whether a transaction says that it comes to nothing, in each of its lines too: void, or without entries."""
    try:
        said = msgspec.json.decode(row, type=_Sums)
    except msgspec.DecodeError:
        return False
    totals = [total for total in (said.total, said.amount) if total is not None]
    lines = [line.amount for line in said.lines or () if line.amount is not None]
    return bool(totals) and not any(totals) and not any(lines)


class _Sum(msgspec.Struct):
    amount: Decimal | None = msgspec.field(name="Amount", default=None)


class _Sums(msgspec.Struct):
    total: Decimal | None = msgspec.field(name="TotalAmt", default=None)
    amount: Decimal | None = msgspec.field(name="Amount", default=None)
    lines: list[_Sum] | None = msgspec.field(name="Line", default=None)


def _told(company: Company, names: Sequence[str], since: datetime) -> News:
    if not names:
        return {}
    try:
        told = company.cdc(names, since)
    except Refused:
        told = {}
    if told and sum(map(len, told.values())) < CDC_CAP:
        return told
    if len(names) == 1:
        return {}
    found: News = {}
    for single in in_order(lambda name: _told(company, [name], since), names, company.parallel):
        found |= single
    return found
