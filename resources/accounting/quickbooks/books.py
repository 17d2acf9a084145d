"""The company's books: entries of transactions and balances, by reports over spans of days.

A span is a month of whole reads, and the days of what changed otherwise; one that is too long for the vendor is halved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import msgspec

from resources.accounting.quickbooks import reports
from resources.accounting.quickbooks.company import Company, head
from resources.accounting.quickbooks.entities import PLACES, POSTING
from resources.connector import Page, Record, Refused, Reject, SourceError
from resources.parallel import in_order

MAX_SPANS: Final = 12  # reports over the days of what changed; more become one long span a month
RECHECKED: Final = 62  # days looked at again once a day
MAX_HALVINGS: Final = 12  # of one span
GAP: Final = 3  # days between two that are still one span

Span = tuple[date, date]


class Books:
    """Entries and balances of one company."""

    def __init__(self, company: Company) -> None:
        self.company = company

    def whole(self) -> Iterator[Page]:
        """The entries of every transaction, month by month."""
        first, last = self._reach()
        if first is None or last is None:
            return
        classes = self._classes()
        for found in in_order(
            lambda span: self._ledger(span, classes), _months(first, last), min(4, self.company.parallel)
        ):
            yield from self._pages(found)

    def changed(
        self, days: Mapping[reports.Transaction, str], gone: Sequence[str], recheck: date | None = None
    ) -> Iterator[Page]:
        """The entries of these transactions (by kind and number, with their days), and none of what was deleted.

        `recheck`: everything of the last days before it is looked at besides, whatever its stamps say.
        """
        if gone:
            yield Page("entry", [], complete_parents=list(dict.fromkeys(gone)))
        if not days and recheck is None:
            return
        classes = self._classes()
        if recheck is not None:
            for span in _months(recheck - timedelta(days=RECHECKED), recheck + timedelta(days=1)):
                yield from self._pages(self._ledger(span, classes))
        spans = _spans([date.fromisoformat(day) for day in days.values() if day])
        met: set[str] = set()
        wanted = set(days)
        for found in in_order(lambda span: self._ledger(span, classes), spans, min(4, self.company.parallel)):
            met.update(number for _, number in found.keys() & wanted)
            yield from self._pages({name: found[name] for name in found.keys() & wanted})
        silent = [number for _, number in days if number not in met]
        if silent:  # voided, or without amounts
            yield Page("entry", [], complete_parents=list(dict.fromkeys(silent)))

    def balance(self, day: date) -> Page:
        """Balances at the end of a day."""
        company = self.company
        accounts = [_body(row) for row in company.dictionary(PLACES["account"])]
        period = {"start_date": day.isoformat(), "end_date": day.isoformat(), "accounting_method": "Accrual"}
        trial = company.report("TrialBalance", period)
        owed = company.report(
            "CustomerBalance", {"report_date": day.isoformat(), "accounting_method": "Accrual"}
        )
        receivable = [
            a for a in accounts if a.get("AccountType") == reports.RECEIVABLE and a.get("Active", True)
        ]
        currencies: dict[str, str] = {}
        if len(receivable) > 1:
            for rows in company.whole(PLACES["counterparty"]):
                for body in map(_body, rows):
                    currencies[str(body.get("Id"))] = str((body.get("CurrencyRef") or {}).get("value") or "")
        return Page("balance", reports.balances(trial, owed, accounts, currencies), complete=True)

    # ---- Reports ------------------------------------------------------------------------------

    def _ledger(
        self, span: Span, classes: Mapping[str, str], halvings: int = 0
    ) -> dict[reports.Transaction, reports.Moves]:
        first, last = span
        params = {
            "start_date": first.isoformat(), "end_date": last.isoformat(), "accounting_method": "Accrual",
            "columns": reports.COLUMNS,
        }  # fmt: skip
        try:
            return reports.transactions(self.company.report("GeneralLedger", params), classes)
        except ValueError as error:
            raise SourceError(
                f"{self.company.system}: the general ledger of {first} to {last} cannot be read: {error}; look at that report "
                "in QuickBooks"
            ) from None
        except reports.TooMuchError:
            if first == last or halvings == MAX_HALVINGS:
                raise SourceError(
                    f"{self.company.system}: QuickBooks does not show the general ledger of {first} whole, it is too long"
                ) from None
        middle = first + (last - first) // 2
        found = self._ledger((first, middle), classes, halvings + 1)
        for name, moved in self._ledger((middle + timedelta(days=1), last), classes, halvings + 1).items():
            if name in found:
                found[name].moves.extend(moved.moves)
            else:
                found[name] = moved
        return found

    def _pages(self, found: Mapping[reports.Transaction, reports.Moves]) -> Iterator[Page]:
        records: list[Record] = []
        rejects: list[Reject] = []
        parents: dict[str, None] = {}
        for name, moved in found.items():
            good, bad = reports.entries(self.company.system, name, moved)
            records += good
            rejects += bad
            if not bad:
                parents[name[1]] = None
        if records or rejects or parents:
            yield Page("entry", records, complete_parents=list(parents), rejects=rejects)

    def _classes(self) -> dict[str, str]:
        bodies = map(_body, self.company.dictionary(PLACES["account"]))
        return {str(body.get("Id")): str(body.get("Classification") or "") for body in bodies}

    def _reach(self) -> tuple[date | None, date | None]:
        """The days of the first and the last transaction."""

        def edge(asked: tuple[str, str]) -> str:
            name, order = asked
            try:
                rows = self.company.query(name, f"SELECT * FROM {name} ORDERBY TxnDate {order} MAXRESULTS 1")
            except Refused:
                return ""  # not of this edition of QuickBooks
            return head(rows[0]).day if rows else ""

        def of(order: str) -> list[str]:
            asked = [(name, order) for name in POSTING]
            return [day for day in in_order(edge, asked, self.company.parallel) if day]

        first, last = of("ASC"), of("DESC")
        return (
            date.fromisoformat(min(first)) if first else None,
            date.fromisoformat(max(last)) if last else None,
        )


def _months(first: date, last: date) -> list[Span]:
    spans: list[Span] = []
    while first <= last:
        following = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        spans.append((first, min(last, following - timedelta(days=1))))
        first = following
    return spans


def _spans(days: Sequence[date]) -> list[Span]:
    """Days as few spans: those near to each other together, and months where there are too many."""
    spans: list[Span] = []
    for day in sorted(set(days)):
        if spans and day - spans[-1][1] <= timedelta(days=GAP):
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    if len(spans) <= MAX_SPANS:
        return [part for span in spans for part in _months(*span)]
    return _months(spans[0][0], spans[-1][1])


def _body(row: msgspec.Raw) -> dict[str, Any]:
    return msgspec.json.decode(row, type=dict[str, Any])
