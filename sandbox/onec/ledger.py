"""The accounting register: entries by recorder, and what is open on settlements, kept up as they change.

An entry is one debit and one credit of one sum, so debit equals credit by construction; off balance one side is enough,
and the account of the other is "". Sums are whole
kopecks (int). `open_items` answers which documents of a counterparty and contract are not settled, oldest
posting first; it is what set-offs of advances and payments consume.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from sandbox.onec.model import EMPTY_REF, Row
from sandbox.onec.readings import shown_by
from sandbox.store import Collection

Reference = tuple[str, str]
"""(set name, key) of an object; ("", "") is Undefined."""
UNDEFINED_REF: Reference = ("", "")


class Side(msgspec.Struct, frozen=True, array_like=True):
    """One side of an entry: account code, up to three ext dimensions, quantity, currency and its sum."""

    account: str
    dimensions: tuple[Reference, Reference, Reference] = (UNDEFINED_REF, UNDEFINED_REF, UNDEFINED_REF)
    quantity: float = 0
    currency: str = EMPTY_REF
    currency_sum: int = 0


class Entry(msgspec.Struct, frozen=True, array_like=True):
    debit: Side
    credit: Side
    kopecks: int
    text: str = ""


class Movement(msgspec.Struct, frozen=True):
    """All entries of one recorder."""

    recorder: str
    recorder_set: str
    period: str
    organization: str
    entries: tuple[Entry, ...]


class Ledger:
    def __init__(self, rows: Collection) -> None:
        self._rows = rows
        self.movements: dict[str, Movement] = {}
        self.changes = 0  # grows with every change, so that answers can be kept until then
        self._open: dict[tuple[str, str, str], dict[Reference, int]] = {}
        self._periods: tuple[int, list[tuple[str, str]]] = (-1, [])  # by period, as of so many changes
        for key, row in rows.items():
            self._add(key, msgspec.convert(row, Movement))

    def put(
        self, recorder: str, recorder_set: str, period: str, organization: str, entries: list[Entry]
    ) -> None:
        """Replace the entries of a recorder."""
        self.take(recorder)
        movement = Movement(recorder, recorder_set, period, organization, tuple(entries))
        self._add(recorder, movement)
        self._rows.put(recorder, msgspec.to_builtins(movement))

    def remove(self, recorder: str) -> None:
        if self.take(recorder) is not None:
            self._rows.delete(recorder)

    def take(self, recorder: str) -> Movement | None:
        """Leave a recorder out of account for now (not in the store): before it is put or restored."""
        found = self.movements.pop(recorder, None)
        if found is not None:
            self.changes += 1
            self._apply(found, -1)
        return found

    def restore(self, recorder: str, movement: Movement | None) -> None:
        if movement is not None:
            self._add(recorder, movement)

    def open_items(self, account: str, counterparty: str, contract: str) -> Mapping[Reference, int]:
        """Balance in kopecks by settlement document (debit positive), in the order of posting."""
        return self._open.get((account, counterparty, contract), {})

    def lines(self) -> Iterator[tuple[Movement, int, Entry]]:
        """Every entry with its movement and line number from 1."""
        for movement in self.movements.values():
            for place, entry in enumerate(movement.entries, 1):
                yield movement, place, entry

    def between(self, start: str, end: str) -> Iterator[Movement]:
        """Movements of a period, both ends included."""
        if self._periods[0] != self.changes:
            found = sorted((movement.period, key) for key, movement in self.movements.items())
            self._periods = self.changes, found
        periods = self._periods[1]
        for place in range(bisect_left(periods, (start, "")), len(periods)):
            period, recorder = periods[place]
            if period > end:
                return
            yield self.movements[recorder]

    def _add(self, recorder: str, movement: Movement) -> None:
        self.changes += 1
        self.movements[recorder] = movement
        self._apply(movement, 1)

    def _apply(self, movement: Movement, sign: int) -> None:
        for entry in movement.entries:
            self._turn(entry.debit, entry.kopecks * sign)
            self._turn(entry.credit, -entry.kopecks * sign)

    def _turn(self, side: Side, kopecks: int) -> None:
        if not side.account.startswith("62."):
            return
        counterparty, contract, document = side.dimensions
        items = self._open.setdefault((side.account, counterparty[1], contract[1]), {})
        left = items.get(document, 0) + kopecks
        if left:
            items[document] = left
        else:
            items.pop(document, None)


def record(
    movement: Movement, place: int, entry: Entry, account_key: Any, *, dimensions: bool, goods: str = "batch"
) -> Row:
    """An entry as a register record, with its ext dimensions or without. `account_key` gives a key for a code;
    `goods` is the reading of how goods are kept (`readings`)."""
    row: Row = {
        "Recorder": movement.recorder,
        "Recorder_Type": f"StandardODATA.{movement.recorder_set}",
        "Period": movement.period,
        "LineNumber": str(place),
        "Active": True,
        "Организация_Key": movement.organization,
        "Сумма": rubles(entry.kopecks),
        "Содержание": entry.text,
    }
    for name, side in (("Dr", entry.debit), ("Cr", entry.credit)):
        row[f"Account{name}_Key"] = account_key(side.account)
        row[f"Валюта{name}_Key"] = side.currency
        row[f"ВалютнаяСумма{name}"] = rubles(side.currency_sum)
        row[f"Количество{name}"] = side.quantity
        row[f"СуммаНУ{name}"] = rubles(entry.kopecks) if side.account[:2] in ("41", "62", "90") else 0
        for n, (dimension_set, key) in enumerate(shown_by(goods, side.account, side.dimensions), 1):
            if dimension_set and dimensions:
                row[f"ExtDimension{name}{n}"] = key
                row[f"ExtDimension{name}{n}_Type"] = f"StandardODATA.{dimension_set}"
    return row


def rubles(kopecks: int) -> int | float:
    """Kopecks as the double that 1C shows: whole roubles without a point."""
    return kopecks // 100 if kopecks % 100 == 0 else kopecks / 100
