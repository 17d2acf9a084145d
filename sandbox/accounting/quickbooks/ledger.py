"""The general ledger: entries of every posted transaction in kopecks, and what was applied to what.

A posting is stored under the transaction's id: its day, kind, number, entries `[account, home, foreign, name,
item]` (debit positive, home and foreign in hundredths) and applications `[target, foreign, home]`, by which a
payment settles documents. Entries of a posting sum to zero in home currency, or it is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sandbox.store import Collection


class Entry(NamedTuple):
    """One line: `home` and `foreign` in hundredths, debit positive; `name` the customer, `item` what was sold."""

    account: str
    home: int
    foreign: int
    name: str = ""
    item: str = ""
    memo: str = ""


class Applied(NamedTuple):
    """So much of a payment settles `target`; `home` at the target's rate."""

    target: str
    foreign: int
    home: int


class Posting(NamedTuple):
    day: str
    kind: str
    number: str
    entries: tuple[Entry, ...]
    applied: tuple[Applied, ...]


class UnbalancedError(Exception):
    """Debit and credit of a posting differ."""


class Ledger:
    def __init__(self, rows: Collection, receivables: Iterable[str]) -> None:
        self._rows = rows
        self.receivables = set(receivables)  # accounts whose entries make up a customer's balance
        self.postings: dict[str, Posting] = {}
        self.balances: dict[str, int] = defaultdict(int)
        self.by_day: dict[str, dict[str, None]] = {}
        self.daily: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.owed: dict[str, int] = defaultdict(int)  # by customer, in the customer's currency
        self.settled: dict[str, dict[str, Applied]] = defaultdict(dict)  # by target, by payer
        for key, row in rows.items():
            self._add(key, _posting(row))

    def post(self, key: str, posting: Posting) -> None:
        """Write or replace the posting of a transaction. Raises UnbalancedError."""
        if sum(entry.home for entry in posting.entries):
            raise UnbalancedError(f"{posting.kind} {key}: {posting.entries}")
        self._take(key)
        self._add(key, posting)
        self._rows.put(
            key,
            {
                "d": posting.day,
                "t": posting.kind,
                "n": posting.number,
                "e": [list(entry) for entry in posting.entries],
                "a": [list(one) for one in posting.applied],
            },
        )

    def unpost(self, key: str) -> None:
        if self._take(key):
            self._rows.delete(key)

    def applied_to(self, target: str) -> tuple[int, int]:
        """Foreign and home hundredths that settle a document so far."""
        found = self.settled.get(target)
        if not found:
            return 0, 0
        return sum(one.foreign for one in found.values()), sum(one.home for one in found.values())

    def movement(self, start: str, end: str) -> dict[str, int]:
        """Sum of entries by account of the days [start, end]."""
        found: dict[str, int] = {}
        for account, days in self.daily.items():
            amount = sum(value for day, value in days.items() if start <= day <= end)
            if amount:
                found[account] = amount
        return found

    def between(self, start: str, end: str) -> Iterator[tuple[str, Posting]]:
        """Postings of the days [start, end], by day and then id."""
        for day in sorted(day for day in self.by_day if start <= day <= end):
            for key in sorted(self.by_day[day], key=int):
                yield key, self.postings[key]

    def _add(self, key: str, posting: Posting) -> None:
        self.postings[key] = posting
        self.by_day.setdefault(posting.day, {})[key] = None
        self._count(key, posting, 1)

    def _take(self, key: str) -> bool:
        posting = self.postings.pop(key, None)
        if posting is None:
            return False
        del self.by_day[posting.day][key]
        if not self.by_day[posting.day]:
            del self.by_day[posting.day]
        self._count(key, posting, -1)
        return True

    def _count(self, key: str, posting: Posting, sign: int) -> None:
        for entry in posting.entries:
            self.balances[entry.account] += sign * entry.home
            self.daily[entry.account][posting.day] += sign * entry.home
            if entry.name and entry.account in self.receivables:
                self.owed[entry.name] += sign * entry.foreign
        for one in posting.applied:
            if sign > 0:
                self.settled[one.target][key] = one
            else:
                del self.settled[one.target][key]
                if not self.settled[one.target]:
                    del self.settled[one.target]


def _posting(row: dict[str, Any]) -> Posting:
    return Posting(
        row["d"],
        row["t"],
        row["n"],
        tuple(Entry(*one) for one in row["e"]),
        tuple(Applied(*one) for one in row["a"]),
    )
