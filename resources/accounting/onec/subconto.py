"""Subconto (ext dimensions) of ledger entries: in the rows of the register, or in a virtual table beside it.

Which of the two it is, a base does not say in one place, so both are read. Clients of live bases find the plain record
type (`…_RecordType`) without subconto and take them from the virtual table `RecordsWithExtDimensions`; where rows bear
them, nothing more is asked for. The table cannot be paged: it refuses `$skip`, ignores every order, its `Top` cuts
anywhere, and a condition by recorder finds nothing. So the register is read as ever, and of each page the span of its
periods is asked of the table, whose rows are joined by recorder and line. Whether the end of a span belongs to it is
unconfirmed: one second more is asked for. No answer of the table of a live base has been seen by us.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from resources.accounting.onec import odata
from resources.accounting.onec.profile import Place
from resources.accounting.onec.rows import naming
from resources.accounting.onec.session import Named
from resources.connector import SourceError
from resources.parallel import in_order

if TYPE_CHECKING:
    from resources.accounting.onec.connector import OneC

TABLE = "RecordsWithExtDimensions"
NAME = "ExtDimension"  # what the names of all of them begin with
TRIES = 2  # an entry that was posted anew between two answers is asked for again

Span = tuple[str, str]  # the first and the last period, as 1C writes them


class Line(msgspec.Struct):
    """What says that two answers tell of the same entry, and not of one posted anew in its place."""

    period: str = msgspec.field(name="Period", default="")
    debit: str | None = msgspec.field(name="AccountDr_Key", default=None)
    credit: str | None = msgspec.field(name="AccountCr_Key", default=None)
    active: bool = msgspec.field(name="Active", default=True)


_FIELDS = [f"{NAME}{side}{n}{rest}" for side in ("Dr", "Cr") for n in (1, 2, 3) for rest in ("", "_Type")]
_FIELDS += [f"{NAME}Type{side}{n}_Key" for side in ("Dr", "Cr") for n in (1, 2, 3)]
# Each value as the bytes that came; what did not come is left out.
_Told = msgspec.defstruct("_Told", [(name, Raw, Raw(b"")) for name in _FIELDS], omit_defaults=True)
_told = msgspec.json.Decoder(_Told).decode
_line = msgspec.json.Decoder(Line).decode
_encode = msgspec.json.Encoder().encode


class Subconto:
    """Those of one base. Thread-safe: what is learned of the base is learned once and for all."""

    def __init__(self, base: OneC) -> None:
        self.base = base
        self._in_rows = False  # until a row shows otherwise

    def wanted(self, place: Place) -> bool:
        """Whether the mapping reads any: who does not need them is spared the second request."""
        return any(name.startswith(NAME) for name in self.base.fields_read.get(place.entity, ()))

    def of_walk(self, place: Place, pages: Iterable[list[Named]]) -> Iterator[list[Named]]:
        """Pages of a walk by period, each with the subconto of its rows, several requests at once."""

        def joined(page: list[Named]) -> list[Named]:
            periods = [odata.decode_entry(row).period for _, row in page]
            one = bool(periods) and periods == sorted(periods)
            return self._joined(place, page, [(periods[0], periods[-1])] if one else _by_day(periods))

        session = self.base.session
        yield from in_order(joined, pages, session.concurrency, self.base.system)

    def of_rows(self, place: Place, rows: list[Named]) -> list[Named]:
        """Rows of single documents with their subconto: of each day that has some, from the first to the last."""
        return self._joined(place, rows, _by_day(odata.decode_entry(row).period for _, row in rows))

    def table(self, place: Place, span: Span) -> str:
        """The virtual table of the entries of a span. Raises ValueError for a period that is no time."""
        start, end = (datetime.fromisoformat(period) for period in span)
        upto = end + timedelta(seconds=1)
        register = place.set.removesuffix("_RecordType")
        return f"{register}/{TABLE}(StartPeriod={odata.moment(start)},EndPeriod={odata.moment(upto)})"

    def _joined(self, place: Place, rows: list[Named], spans: Sequence[Span]) -> list[Named]:
        if not rows or self._in_rows or not self.wanted(place):
            return rows
        if any(_MARK in bytes(row) for _, row in rows):
            self._in_rows = True
            return rows
        lines = {name: _line(row) for name, row in rows if name}
        found: dict[str, bytes] = {}
        for _ in range(TRIES):
            found |= self._asked(place, spans, lines)
            # Whether the table shows what takes no part in balances is unconfirmed.
            left = [name for name, line in lines.items() if line.active and name not in found]
            if not left:
                break
            spans = _by_day(lines[name].period for name in left)
        else:
            raise SourceError(
                f"{self.base.system}: {TABLE} lacks entries that {place.set} has ({len(left)}, the first {left[0]});"
                " they were posted anew while they were read, or user {self.base.session.user} may not"
                " see them all: read again later, or give the user full read rights",
                retriable=True,
            )
        return [(name, _with(row, found[name])) if name in found else (name, row) for name, row in rows]

    def _asked(self, place: Place, spans: Sequence[Span], wanted: Mapping[str, Line]) -> dict[str, bytes]:
        """By entry its subconto, where the table tells of the very entry: of equal accounts."""
        name, session = naming(place), self.base.session

        def ask(span: Span) -> list[Raw]:
            return session.rows(self.table(place, span), {})

        found: dict[str, bytes] = {}
        for rows in in_order(ask, spans, min(len(spans), session.concurrency), session.system):
            for row in rows:
                key = name(row)
                if key in wanted and _accounts(_line(row)) == _accounts(wanted[key]):
                    found[key] = _encode(_told(row))
        return found


def _by_day(periods: Iterable[str]) -> list[Span]:
    spans: dict[str, Span] = {}
    for period in periods:
        first, last = spans.get(period[:10], (period, period))
        spans[period[:10]] = min(first, period), max(last, period)
    return list(spans.values())


def _accounts(line: Line) -> tuple[str, str]:
    return (line.debit or odata.EMPTY_REF).lower(), (line.credit or odata.EMPTY_REF).lower()


def _with(row: Raw, told: bytes) -> Raw:
    """The row as it came, with what was told beside it."""
    return Raw(bytes(row).rstrip()[:-1] + b"," + told[1:]) if told != b"{}" else row


_MARK = f'"{NAME}'.encode()
