"""One company file: records by kind, the ledger, options, deletions, and what happened for webhooks.

Use `CompanyFile.of(books)`: there is one for each books. All state lies in the rows of the books, journalled;
indexes are built anew when a killed sandbox starts again.
"""

from __future__ import annotations

import time
from bisect import bisect_left, insort
from collections import deque
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from sandbox.accounting.quickbooks.kinds import KINDS
from sandbox.accounting.quickbooks.ledger import Ledger
from sandbox.accounting.quickbooks.shelf import Shelf
from sandbox.accounting.quickbooks.values import Row, id_of, moment, money, plain, seconds_of, shown

if TYPE_CHECKING:
    from sandbox.books import Books

MAX_LEVELS: Final = 6
MAX_EVENTS: Final = 10_000
"""Happenings that wait for `hooks`; older ones are lost, as webhooks are."""
OTHER_USER: Final = "Ольга Лебедева"
"""Who it was that changed a record first."""


@dataclass(slots=True)
class Options:
    """Readings of the documents that a test can switch; the first value of each is what the evidence favours."""

    edition: str = "global"  # global: tax codes on lines; us: Automated Sales Tax, TAX and NON
    multicurrency: bool = True
    custom_numbers: bool = True  # Preferences.SalesFormsPrefs.CustomTxnNumbers
    numbers_when_off: str = (
        "assigned"  # a DocNumber sent while CustomTxnNumbers is off: assigned anew, or kept
    )
    unique_numbers: bool = True  # the warning of a number used twice is on
    tax_inclusive: str = "net"  # what Amount is under TaxInclusive: net beside TaxInclusiveAmt, or gross
    tax_override: bool = True  # TxnTaxDetail.TaxLine that is sent stands
    overapply: str = "refuse"  # a payment line above what is open: refuse, or cap
    void_linked: str = "unapply"  # voiding a paid invoice: unapply its payments, or refuse
    void_note: str = "prepend"  # the word Voided before the note, or replace
    closed_as: str = "6210"  # 6210, 6200 or 5010
    stock_touches: str = "time"  # what a sale does to its items: time, token (and time), nothing
    payment_touches: str = "token"  # what a payment does to its invoice: token (and time), time, nothing
    select_fields: str = "whole"  # whole objects whatever is selected, or named
    sku_in_star: bool = False  # SELECT * shows Sku
    duplicate_detail: str = "Id"  # "Id=123" as of late, or "null" as recorded in 2020
    requestid_seconds: float = 86_400.0  # how long a requestid is remembered
    requestid_batch: bool = False  # a batch's own requestid is remembered
    rotate: str = "always"  # the refresh token changes at each refresh, or daily
    double_refresh_revokes: bool = False  # a dead refresh token kills the living ones
    batch_most: int = 30
    cdc_days: int = 30
    cdc_most: int = 1000
    cdc_old: str = "refuse"  # an older changedSince: refuse, clip to those days, or whole (recorded in 2020)
    cdc_late: float = 0.0  # seconds after which a change shows in CDC
    merged_in_cdc: str = "deleted"  # the loser of a merge: deleted, or inactive
    journal_names: str = "line"  # whom rows of a journal entry name: that line's, the first of all, or nobody
    xml: bool = True  # XML to whoever does not ask for JSON
    monthly: int = 0  # calls that read, a month; 0 is no bound
    denied: str = ""  # kinds of which the user has no right, by comma
    accountant_closes: bool = False  # the accountant closes months while days pass
    hook_url: str = ""
    hook_form: str = "cloudevents"  # or old
    clock_days: int = 0  # the service's clock is ahead by so many days


class CompanyFile:
    """The state of one company. Raises nothing by itself."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.settings = books.rows("settings")
        self.options = Options(**self.settings.get("options", {}))
        self.shelves = {name: Shelf(kind, books.rows(name)) for name, kind in KINDS.items()}
        accounts = self.shelves["Account"]
        ar = [key for key, row in accounts.rows.items() if row["AccountType"] == "Accounts Receivable"]
        self.ledger = Ledger(books.rows("posting"), ar)
        self.gone = books.rows("gone")
        self.truth = books.rows("truth")
        self._gone_order = sorted((row["at"], key) for key, row in self.gone.items())
        self.events: deque[Row] = deque(maxlen=MAX_EVENTS)
        self._last = 0
        self.answers: dict[Any, list[str]] = {}  # ids of queries, by query and versions

    @classmethod
    def of(cls, books: Books) -> CompanyFile:
        found = vars(books).get("_company_file")
        if found is None:
            found = vars(books)["_company_file"] = cls(books)
        assert isinstance(found, cls)
        return found

    # Time and settings

    def now(self) -> float:
        return time.time() + timedelta(days=self.options.clock_days).total_seconds()

    def stamp(self) -> int:
        """Whole seconds, never going back."""
        self._last = max(self._last, int(self.now()))
        return self._last

    @property
    def today(self) -> str:
        return self.books.company.today.isoformat()

    @property
    def realm(self) -> str:
        return str(self.settings["company"]["realm"])

    @property
    def home(self) -> str:
        return str(self.settings["company"]["home"])

    def choose(self, said: Row) -> Row:
        """Set options. Raises ValueError for one that there is not."""
        known = {field.name: field for field in fields(Options)}
        for name, value in said.items():
            if name not in known:
                raise ValueError(f"no option {name!r}; there are {', '.join(known)}")
            kind = type(getattr(self.options, name))
            if kind is not type(value) and not (kind is float and type(value) in (int, Decimal)):
                raise ValueError(f"option {name} is {value!r}; give a {kind.__name__}")
            setattr(self.options, name, kind(value))
        self.settings.put("options", asdict(self.options))
        return asdict(self.options)

    # Records

    def get(self, kind: str, key: str) -> Row | None:
        return self.shelves[kind].get(key)

    def create(
        self, kind: str, row: Row, *, key: str = "", at: int | None = None, quiet: bool = False
    ) -> Row:
        """Write a new record under the next id of its series."""
        stamp = moment(self.stamp() if at is None else at)
        row["Id"] = key or str(self.books.number(KINDS[kind].series))
        row.update(domain="QBO", sparse=False, SyncToken="0")
        row["MetaData"] = {"CreateTime": stamp, "LastUpdatedTime": stamp}
        self.shelves[kind].put(row)
        if not quiet:
            self.happen(kind, row["Id"], "Create")
        return row

    def change(
        self, kind: str, row: Row, *, token: bool = True, time_too: bool = True, what: str = "Update"
    ) -> Row:
        """Write a changed record: with a new token when somebody changed it, without when it merely follows."""
        if token:
            row["SyncToken"] = str(int(row["SyncToken"]) + 1)
        if time_too:
            row["MetaData"] = {**row["MetaData"], "LastUpdatedTime": moment(self.stamp())}
        self.shelves[kind].put(row)
        if token:
            self.happen(kind, row["Id"], what)
        return row

    def remove(self, kind: str, key: str, *, what: str = "Delete", winner: str = "") -> None:
        """Drop a record and remember it as deleted."""
        self.shelves[kind].remove(key)
        at = self.stamp()
        self.gone.put(f"{kind}:{key}", {"kind": kind, "id": key, "at": at})
        insort(self._gone_order, (at, f"{kind}:{key}"))
        self.happen(kind, winner or key, what, deleted=key if winner else "")

    def deleted_since(self, kind: str, seconds: float) -> list[Row]:
        start = bisect_left(self._gone_order, (seconds, ""))
        rows = (self.gone[key] for _, key in self._gone_order[start:])
        return [row for row in rows if row["kind"] == kind]

    def was_deleted(self, kind: str, key: str) -> bool:
        return f"{kind}:{key}" in self.gone

    def happen(self, kind: str, key: str, operation: str, deleted: str = "") -> None:
        event = {"name": kind, "id": key, "operation": operation, "at": self.now()}
        self.events.append({**event, "deletedId": deleted} if deleted else event)

    # Balances

    def follow_customer(self, key: str) -> None:
        """Let a customer's balance follow the ledger, and that of whom it belongs to.

        The time of change moves, the token does not (recorded).
        """
        for _ in range(MAX_LEVELS):
            row = self.get("Customer", key)
            if row is None:
                return
            people = self.shelves["Customer"]
            jobs = (people.rows[job] for job in people.found("ParentRef", key))
            own = money(self.ledger.owed.get(key, 0))
            whole = own + sum((Decimal(str(job["BalanceWithJobs"])) for job in jobs), Decimal(0))
            if (row.get("Balance"), row.get("BalanceWithJobs")) != (shown(own), shown(whole)):
                row = {**row, "Balance": shown(own), "BalanceWithJobs": shown(whole)}
                self.change("Customer", row, token=False)
            key = id_of(row.get("ParentRef"))

    def stocked(self, item: Row, difference: Decimal) -> Row:
        """Let an item's stock on hand follow what moved; it may go below zero."""
        held, touches = Decimal(str(item.get("QtyOnHand", 0))) + difference, self.options.stock_touches
        row = {**item, "QtyOnHand": plain(held)}
        return self.change("Item", row, token=touches == "token", time_too=touches != "nothing")

    def account_row(self, row: Row) -> Row:
        """An account with its balance of now: of balance sheet accounts, in their natural sign."""
        if row["Classification"] in ("Revenue", "Expense"):
            return row
        amount = self.ledger.balances.get(row["Id"], 0)
        amount = amount if row["Classification"] == "Asset" else -amount
        balance = shown(money(amount))
        return {**row, "CurrentBalance": balance, "CurrentBalanceWithSubAccounts": balance}

    def rate(self, currency: str, day: str) -> Decimal:
        """Home currency for one unit of `currency`: that of the day or the last one before it."""
        if currency == self.home:
            return Decimal(1)
        rows = self.shelves["ExchangeRate"]
        known = self.settings.get(f"rates:{currency}")
        days: list[str] = known["days"] if known else []
        place = bisect_left(days, day + "~")
        row = rows.get(f"{currency}:{days[place - 1]}") if place else None
        return Decimal(str(row["Rate"])) if row else Decimal(1)

    def act(self, act: str, **said: Any) -> None:
        """List something that a person did as truth."""
        number = self.books.number("truth")
        self.truth.put(str(number), {"act": act, "at": moment(self.stamp()), **said})


def age(file: CompanyFile, row: Row) -> float:
    """Seconds since a record's last change."""
    return file.now() - (seconds_of(row["MetaData"]["LastUpdatedTime"]) or 0.0)
