"""The company's books: entries of transactions and balances, by reports over spans of days.

A span is a month of whole reads, and the days of what changed otherwise; one that is too long for the vendor is halved.

The general ledger says which transactions there are, so what a whole read does not bring is gone, unless a query still
brings it with amounts: then the report was not whole. It takes many reports, and what was saved while they came is read
once more at the end: a transaction may have gone from a month that was not read yet into one that was.
"""

from __future__ import annotations

from calendar import monthrange
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec

from resources.accounting.quickbooks import capture, reports
from resources.accounting.quickbooks.company import Company, head
from resources.accounting.quickbooks.entities import PLACES, POSTING, Place
from resources.connector import EVERY_CHILD, Page, Record, Refused, Reject, SourceError
from resources.parallel import in_order

MAX_SPANS: Final = 12  # reports over the days of what changed; of more each month is asked for whole
RECHECKED: Final = 62  # days looked at again once a day
MAX_HALVINGS: Final = 12  # of one span
GAP: Final = 3  # days between two that are still one span
YEARS: Final = 40  # of months on either side of today; what lies beyond is one span, for a day there is a slip of the pen
EDGES: Final = 20  # rows among which the first or last day of a kind is looked for
BEFORE: Final = timedelta(minutes=10)  # the beginning of a read: so far the vendor's clock may lie behind

Span = tuple[date, date]


class Books:
    """Entries and balances of one company."""

    def __init__(self, company: Company) -> None:
        self.company = company

    def whole(self) -> Iterator[Page]:
        """The entries of every transaction, month by month. What is stored and does not come is gone; where something was
        set apart or is missing (`_missing`), only of the transactions that came whole."""
        came: dict[reports.Transaction, None] = {}
        apart: set[str | None] = set()
        for found, receivable in self._everything():
            came |= dict.fromkeys(found)
            for page in self._pages(found, receivable):
                apart.update(reject.parent_id for reject in page.rejects)
                yield replace(page, complete_parents=())
        missing = self._missing(came)
        if missing or apart:
            parents = [number for _, number in came if number not in apart]
            yield Page("entry", [], complete_parents=list(dict.fromkeys(parents)))

    def keys(self) -> Iterator[Sequence[str]]:
        """The ids of all entries. Raises SourceError where a report is missing.

        A transaction whose debit is not its credit stands as `<number>:*`, for its entries cannot be told, and so does one
        that is missing.
        """
        came: dict[reports.Transaction, None] = {}
        for found, receivable in self._everything():
            came |= dict.fromkeys(found)
            for page in self._pages(found, receivable):
                apart = [f"{reject.parent_id}{EVERY_CHILD}" for reject in page.rejects]
                yield [*(record.source_id for record in page.records), *apart]
        yield [f"{number}{EVERY_CHILD}" for number in self._missing(came)]

    def _missing(self, came: Collection[reports.Transaction]) -> list[str]:
        """Numbers of transactions that live and have amounts, and of which the ledger said nothing: it may have been cut
        off (or one waits for approval, unconfirmed), and what is stored of them stays. Only kinds of which there are more
        than came are looked through. Raises SourceError where more are missing than came: that is no ledger."""
        missing: list[str] = []
        numbers = {number for _, number in came}
        kinds = Counter(kind for kind, _ in came)
        for name in POSTING:
            place = Place(name)
            try:
                if self.company.count(place) <= kinds[name]:
                    continue
            except Refused:
                continue  # not of this edition of QuickBooks
            for rows in self.company.whole(place):
                silent = [row for row in rows if head(row).id not in numbers and not capture.is_empty(row)]
                missing += [self.company.named(row).id for row in silent]
        if len(missing) > len(came):
            raise SourceError(
                f"{self.company.system}: the general ledger tells of {len(came)} transactions and lacks {len(missing)} that are "
                f"there ({missing[0]} ...), so nothing is deleted here; see whether the person who connected the company may "
                "see that report whole",
                retriable=True,
            )
        return missing

    def changed(self, moved: capture.Moved, recheck: date | None = None) -> Iterator[Page]:
        """The entries of the transactions that moved, and none of what was deleted, voided or never had amounts.

        `recheck`: everything of the last days before it is looked at besides, whatever its stamps say.
        """
        days, gone, empty = moved.days, moved.gone, moved.empty
        if gone or moved.rejects:
            yield Page("entry", [], complete_parents=list(dict.fromkeys(gone)), rejects=moved.rejects)
        if not days and recheck is None:
            return
        classes, receivable = self._accounts()
        if recheck is not None:
            for span in _months(recheck - timedelta(days=RECHECKED), recheck + timedelta(days=1)):
                yield from self._pages(self._ledger(span, classes), receivable)
        spans = _spans([date.fromisoformat(day) for day in days.values() if day])
        met: set[str] = set()
        wanted = set(days)
        for found in in_order(lambda span: self._ledger(span, classes), spans, min(4, self.company.parallel)):
            met.update(number for _, number in found.keys() & wanted)
            yield from self._pages({name: found[name] for name in found.keys() & wanted}, receivable)
        # Of one that has amounts the ledger may have been cut off; what is stored stays.
        silent = [number for _, number in days if number not in met and number in empty]
        if silent:
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

    def _everything(self) -> Iterator[tuple[Mapping[reports.Transaction, reports.Moves], Collection[str]]]:
        """The general ledger by months, and once more what was saved since that began; with it the receivable accounts."""
        began = datetime.now(UTC) - BEFORE
        first, last = self._reach()
        if first is None or last is None:
            return
        classes, receivable = self._accounts()
        at_once = min(4, self.company.parallel)
        # What the last days are looked at again for may lie outside: transactions of kinds that no query knows.
        today = began.date()
        first, last = min(first, today - timedelta(days=RECHECKED)), max(last, today + timedelta(days=2))
        for found in in_order(
            lambda span: self._ledger(span, classes), _reaching(first, last, today), at_once
        ):
            yield found, receivable
        days = capture.moved(self.company, capture.news(self.company, POSTING, began), began).days
        spans = _spans([date.fromisoformat(day) for day in days.values()])
        for found in in_order(lambda span: self._ledger(span, classes), spans, at_once):
            yield {name: found[name] for name in found.keys() & days.keys()}, receivable

    def _ledger(
        self, span: Span, classes: Mapping[str, str], halvings: int = 0
    ) -> dict[reports.Transaction, reports.Moves]:
        first, last = span
        params = {
            "start_date": first.isoformat(), "end_date": last.isoformat(), "accounting_method": "Accrual",
            "columns": reports.COLUMNS,
        }  # fmt: skip
        try:
            report = self.company.report("GeneralLedger", params)
            if not _covers(report.get("Header"), span):
                raise SourceError(
                    f"{self.company.system}: the general ledger came for other days than {first} to {last}; try again later",
                    retriable=True,
                )
            return reports.transactions(report, classes)
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

    def _pages(
        self, found: Mapping[reports.Transaction, reports.Moves], receivable: Collection[str]
    ) -> Iterator[Page]:
        records: list[Record] = []
        rejects: list[Reject] = []
        parents: dict[str, None] = {}
        journal_entries = self._journal_entries(found, receivable)
        for name, moved in found.items():
            if name in journal_entries:
                moved = reports.named(moved, journal_entries[name])
            good, bad = reports.entries(self.company.system, name, moved, receivable)
            records += good
            rejects += bad
            if not bad:
                parents[name[1]] = None
        if records or rejects or parents:
            yield Page("entry", records, complete_parents=list(parents), rejects=rejects)

    def _journal_entries(
        self, found: Mapping[reports.Transaction, reports.Moves], receivable: Collection[str]
    ) -> dict[reports.Transaction, dict[str, Any]]:
        """Those of the journal entries that move receivables: each of their lines has a customer of its own."""
        numbers = [
            number
            for (kind, number), moved in found.items()
            if kind == reports.JOURNAL_ENTRY and any(move.account in receivable for move in moved.moves)
        ]
        place = Place(reports.JOURNAL_ENTRY)
        bodies: list[dict[str, Any]] = []
        try:
            for start in range(0, len(numbers), capture.IDS):
                bodies += map(_body, self.company.select(place, "Id", numbers[start : start + capture.IDS]))
        except Refused:
            return {}  # then the report's own names must do
        return {(reports.JOURNAL_ENTRY, str(body.get("Id"))): body for body in bodies}

    def _accounts(self) -> tuple[dict[str, str], set[str]]:
        """The classification of every account, and which are receivable."""
        bodies = {
            str(body.get("Id")): body for body in map(_body, self.company.dictionary(PLACES["account"]))
        }
        classes = {number: str(body.get("Classification") or "") for number, body in bodies.items()}
        return classes, {n for n, body in bodies.items() if body.get("AccountType") == reports.RECEIVABLE}

    def _reach(self) -> tuple[date | None, date | None]:
        """The days of the first and the last transaction."""

        def edge(asked: tuple[str, str]) -> str | None:
            name, order = asked
            try:
                text = f"SELECT * FROM {name} ORDERBY TxnDate {order} MAXRESULTS {EDGES}"
                rows = self.company.query(name, text)
            except Refused:
                return None  # not of this edition of QuickBooks
            days = [day for row in rows if capture.is_day(day := head(row).day)]
            if rows and not days:
                raise SourceError(
                    f"{self.company.system}: none of {len(rows)} transactions {name} has a TxnDate that is a day; correct "
                    "them in QuickBooks"
                )
            return days[0] if days else ""

        def of(order: str) -> list[str]:
            found = list(in_order(edge, [(name, order) for name in POSTING], self.company.parallel))
            if all(day is None for day in found):
                raise SourceError(
                    f"{self.company.system}: no kind of transaction can be asked for; see that the person who connected the "
                    "company is its administrator"
                )
            return [day for day in found if day]

        first, last = of("ASC"), of("DESC")
        return (
            date.fromisoformat(min(first)) if first else None,
            date.fromisoformat(max(last)) if last else None,
        )


def _months(first: date, last: date) -> list[Span]:
    spans: list[Span] = []
    while first <= last:
        end = first.replace(day=monthrange(first.year, first.month)[1])
        spans.append((first, min(last, end)))
        if end >= last:
            break
        first = end + timedelta(days=1)
    return spans


def _reaching(first: date, last: date, today: date) -> list[Span]:
    """Months from the first day to the last; what lies YEARS and more away from today as one span."""
    reach = timedelta(days=365 * YEARS)
    early, late = today - reach, today + reach
    spans = _months(max(first, early), min(last, late))
    if first < early:
        spans.insert(0, (first, early - timedelta(days=1)))
    if last > late:
        spans.append((late + timedelta(days=1), last))
    return spans


def _spans(days: Sequence[date]) -> list[Span]:
    """Days as few spans: those near to each other together, and months where there are too many."""
    spans: list[Span] = []
    for day in sorted(set(days)):
        if spans and day - spans[-1][1] <= timedelta(days=GAP):
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    parts = [part for span in spans for part in _months(*span)]
    if len(spans) <= MAX_SPANS:
        return parts
    months = {(day.year, day.month): day for day, _ in parts}
    return [
        (day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1])) for day in months.values()
    ]


def _covers(header: Any, span: Span) -> bool:
    """Whether a report is of all these days, as far as it says."""
    said = header if isinstance(header, Mapping) else {}
    first, last = str(said.get("StartPeriod") or ""), str(said.get("EndPeriod") or "")
    if not capture.is_day(first) or not capture.is_day(last):
        return True
    return date.fromisoformat(first) <= span[0] and date.fromisoformat(last) >= span[1]


def _body(row: msgspec.Raw) -> dict[str, Any]:
    return msgspec.json.decode(row, type=dict[str, Any])
