"""One S/4HANA system: its tables, its clock, its switches, who holds which record, and the numbers it gives.

`System.of(books)` is made once for books. A switch is a way in which released systems differ, or of which no public
source says for certain how it is; `do` sets it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from sandbox.accounting.sap import ledger_model, masters_model, sales_model
from sandbox.accounting.sap.database import Database, Row
from sandbox.accounting.sap.edm import EntityType
from sandbox.accounting.sap.errors import SapError, business
from sandbox.accounting.sap.values import moment_text
from sandbox.books import Books

CLIENT: Final = "100"
COMPANY: Final = "1010"
CHART: Final = "YCOA"
PLANT: Final = "1010"
STORAGE: Final = "101A"
AREA: Final = ("1010", "10", "00")
"""Sales organisation, distribution channel, division."""
CURRENCY: Final = "RUB"
COUNTRY: Final = "RU"
USER: Final = "SVERKA_COMM"
LANGUAGE: Final = "EN"
SWITCHES: Final[dict[str, tuple[str, ...]]] = {
    # the first value is how it is until told otherwise; a sole "#" stands for any number
    "page_limit": ("1000", "#"),  # rows of one page; no official number
    "next_host": ("same", "internal"),  # the host that __next names
    "amount_decimals": ("currency", "technical"),  # digits of amounts: of the currency, or three
    "minus": ("front", "behind"),  # where the sign of a negative amount stands
    "zeros": ("hidden", "shown"),  # whether keys and numbers are shown with their leading zeros
    "head": ("allowed", "refused"),  # HEAD for a token: some systems answer 403
    "sap_client": ("optional", "required"),
    "missing_if_match": ("428", "accept"),
    "item_etag": ("none", "header"),  # whether items carry the header's tag and their writes must name it
    "partner_etag": ("optional", "required", "none"),
    "partner_bump": ("central", "any"),  # whether addresses, roles and tax numbers move LastChangeDate
    "system_zone": ("0", "#"),  # hours from UTC of LastChangeDate and LastChangeTime
    "changeset": ("many", "one"),  # operations that one change set may hold
    "batch_limit": ("1000", "#"),
    "cancel_refusal": ("result", "error"),  # Cancel says no inside HTTP 200, or as HTTP 400
    "duplicate_purchase_order": ("warning", "error"),
    "soap_refusal": ("zeros", "blank"),  # how a refused journal entry shows its number
    "price_condition": ("PPR0", "PR00"),
    "stock_type": ("01", "#"),  # how unrestricted stock is called
    "negative_stock": ("allowed", "refused"),  # whether a delivery may take more than there is
    "no_data": ("empty", "400"),  # open items: an empty list, or 400 /IWBEP/CM_MGW_RT/022
    "max_parallel": ("20", "#"),  # dialog work processes: one request more gets 503
    "rate_limit": ("100", "#"),  # requests in a second before 429
}
NUMBER_RANGES: Final = {
    "order": 9951, "billing": 90_000_000, "partner": 10_100_000, "address": 23_000, "material": 1_000,
    "DR": 1_800_000_000, "DZ": 1_400_000_000, "RV": 9_400_000_000, "SA": 100_000_000, "AB": 100_400_000,
    "WL": 4_900_000_000, "WE": 5_000_000_000, "DA": 1_600_000_000, "KR": 1_900_000_000, "condition": 500,
}  # fmt: skip
"""Where the internal number ranges begin; orders soon get a digit more, as those of a living system did."""
UNITS: Final = {
    # commercial: (internal, ISO)
    "PC": ("ST", "PCE"), "H": ("STD", "HUR"), "M": ("M", "MTR"), "AU": ("LE", "C62"), "KG": ("KG", "KGM"),
    "PAK": ("PAK", "PK"), "DAY": ("TAG", "DAY"),
}  # fmt: skip
CURRENCIES: Final = ("RUB", "USD", "EUR", "CNY", "KZT")
_KNOWN: dict[int, System] = {}


class System:
    def __init__(self, books: Books) -> None:
        self.books = books
        self.db = _tables(books)
        self._switches: dict[str, str] = {name: values[0] for name, values in SWITCHES.items()}
        self._switches |= {name: row["value"] for name, row in books.rows("switches").items()}
        self._locks = books.rows("locks")
        self.ready: dict[tuple[str, int], tuple[Row, Any]] = {}  # rows and their JSON, see `query`
        self._day: date | None = None
        self._tick = _ticks(
            max((self.db[name].newest("LastChangeDateTime") for name in _STAMPED), default="")
        )

    @classmethod
    def of(cls, books: Books) -> System:
        found = _KNOWN.get(id(books))
        if found is None or found.books is not books:
            found = _KNOWN[id(books)] = cls(books)
        return found

    def option(self, name: str) -> str:
        return self._switches[name]

    def switch(self, name: str, value: str) -> None:
        """Raises ValueError for a switch or value that there is not."""
        values = SWITCHES.get(name)
        if values is None:
            raise ValueError(f"no option {name!r}; give one of {', '.join(SWITCHES)}")
        if value not in values and not ("#" in values and value.lstrip("-").isdigit()):
            raise ValueError(f"option {name} is {value!r}; give one of {', '.join(values)}")
        self._switches[name] = value
        self.ready.clear()
        self.books.rows("switches").put(name, {"value": value})

    @property
    def today(self) -> date:
        return self._day or self.books.company.today

    def on(self, day: date | None) -> None:
        """Let the system's date be `day` while accounting's days pass; None gives it back."""
        self._day = day

    def now(self) -> str:
        """A moment later than every one before: the sandbox's date, the machine's time of day, in UTC."""
        at = time(6) if self._day else datetime.now(UTC).time()
        wall = datetime.combine(self.today, at, UTC)
        self._tick = max(self._tick + 1, (wall - _EPOCH) // timedelta(microseconds=1) * 10)
        return moment_text(_EPOCH + timedelta(microseconds=self._tick // 10), self._tick % 10)

    def local(self, moment: str) -> tuple[str, str]:
        """Date and time of a moment in the system's own zone."""
        there = datetime.fromisoformat(f"{moment[:19]}+00:00") + timedelta(
            hours=int(self.option("system_zone"))
        )
        return there.date().isoformat(), there.time().isoformat()

    def number(self, series: str) -> str:
        """The next number of a series, never given twice: one of a refused document is lost."""
        return str(NUMBER_RANGES[series] + self.books.number(series) - 1)

    def hold(self, table: str, key: str, user: str) -> None:
        self._locks.put(f"{table}:{key}", {"user": user})

    def release(self, table: str, key: str) -> None:
        if f"{table}:{key}" in self._locks:
            self._locks.delete(f"{table}:{key}")

    def free(self, table: str, key: str) -> None:
        """Raises SapError while a user works on the record: the text that clients wait and try again on."""
        held = self._locks.get(f"{table}:{key}")
        if held is not None:
            what, code = _HELD[table]
            raise business(code, f"{what} {key} is currently being processed by user {held['user']}")

    def open_period(self, day: date, kinds: Iterable[str] = "DS") -> SapError | None:
        """What FI says about a posting date: None, or the refusal of the first closed account type."""
        until = self.books.closed_until
        if until is None or day > until:
            return None
        kind = next(iter(kinds))
        text = f"Posting period {day.month:03d} {day.year} is not open for account type {kind}"
        return business("F5/201", text)

    def rate(self, currency: str, day: date) -> Decimal:
        """Roubles for one unit of a currency. Raises SapError where no rate is maintained."""
        if currency == CURRENCY:
            return Decimal(1)
        rows = self.books.rows("rates")
        for back in range(31):
            found = rows.get(f"{currency}:{(day - timedelta(days=back)).isoformat()}")
            if found is not None:
                return Decimal(found["rate"])
        raise business(
            "SG/105",
            f"Enter exchange rate {CURRENCY} / {currency} rate type M for {day:%d.%m.%Y} in the system settings",
        )

    def act(self, act: str, key: str, **said: Any) -> None:
        """Write down what somebody did, for `truth`."""
        number = self.books.number("act")
        self.books.rows("acts").put(
            f"{number}", {"act": act, "key": key, "date": self.today.isoformat(), **said}
        )


_HELD: Final = {
    "order": ("Sales document", "V1/042"),
    "partner": ("Business partner", "R11/124"),
    "product": ("Material", "M3/024"),
}
_STAMPED: Final = ("order", "billing", "product")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _ticks(moment: str) -> int:
    """Tenths of a microsecond since 1970 of a moment with 7 decimals."""
    if not moment:
        return 0
    seconds = (datetime.fromisoformat(f"{moment[:19]}+00:00") - _EPOCH) // timedelta(seconds=1)
    return seconds * 10_000_000 + int(moment[20:27])


def _tables(books: Books) -> Database:
    db = Database(books)
    sets = [
        found
        for service in (
            masters_model.BUSINESS_PARTNER, masters_model.PRODUCT_SRV, masters_model.STOCK_SRV,
            masters_model.COMPANY_SRV, masters_model.PLANT_SRV, masters_model.GL_ACCOUNT_SRV,
            sales_model.PRICING_SRV,
        )
        for found in service.sets.values()
    ]  # fmt: skip
    for found in sets:
        db.add(found.table, found.type, *_INDEXES.get(found.table, ((), ())))
    for name, kind in _DOCUMENTS.items():
        db.add(name, kind, *_INDEXES.get(name, ((), ())))
    db.view("item_price", sales_model.ITEM_PRICE, "order_item", item_prices)
    db.view("billing_price", sales_model.BILLING_PRICE, "billing_item", item_prices)
    db.view("order_schedule", sales_model.SCHEDULE, "order_item", schedule_lines)
    return db


def item_prices(item: Row) -> list[Row]:
    """The pricing elements of an order's or a billing document's item, which are kept inside it."""
    above: Row = {name: item[name] for name in _ABOVE if name in item}
    return [{**above, **element} for element in item.get("_prices", ())]


def schedule_lines(item: Row) -> list[Row]:
    ordered, delivered = item.get("RequestedQuantity", "0"), item.get("_delivered", "0")
    unit = item.get("RequestedQuantityUnit", "")
    return [
        {
            "SalesOrder": item["SalesOrder"], "SalesOrderItem": item["SalesOrderItem"], "ScheduleLine": "1",
            "RequestedDeliveryDate": item.get("_wanted"), "ConfirmedDeliveryDate": item.get("_wanted"),
            "OrderQuantityUnit": unit, "OrderQuantitySAPUnit": UNITS.get(unit, ("", ""))[0],
            "OrderQuantityISOUnit": UNITS.get(unit, ("", ""))[1], "ScheduleLineOrderQuantity": ordered,
            "ConfdOrderQtyByMatlAvailCheck": ordered, "DeliveredQtyInOrderQtyUnit": delivered,
            "OpenConfdDelivQtyInOrdQtyUnit": f"{Decimal(ordered) - Decimal(delivered):f}",
        }
    ]  # fmt: skip


_ABOVE: Final = ("SalesOrder", "SalesOrderItem", "BillingDocument", "BillingDocumentItem")
_DOCUMENTS: Final[dict[str, EntityType]] = {
    "order": sales_model.ORDER, "order_item": sales_model.ITEM, "order_partner": sales_model.PARTNER,
    "order_price": sales_model.HEADER_PRICE, "order_text": sales_model.TEXT, "order_flow": sales_model.FLOW,
    "billing": sales_model.BILLING, "billing_item": sales_model.BILLING_ITEM,
    "billing_partner": sales_model.BILLING_PARTNER, "line": ledger_model.OPEN_ITEM,
}  # fmt: skip
_INDEXES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    # table: (indexed by value, indexed in order)
    "partner": (("Customer", "SearchTerm1", "BusinessPartnerIDByExtSystem"), ("LastChangeDate", "CreationDate")),
    "partner_tax": (("BPTaxNumber",), ()),
    "product": (("ProductOldID",), ("LastChangeDateTime", "LastChangeDate")),
    "order": (
        ("PurchaseOrderByCustomer", "SoldToParty", "OverallSDProcessStatus", "_todo"), ("LastChangeDateTime", "SalesOrderDate"),
    ),
    "order_item": (("Material",), ()),
    "billing": (
        ("SoldToParty", "PayerParty", "PurchaseOrderByCustomer", "AccountingDocument", "AccountingPostingStatus"),
        ("LastChangeDateTime", "BillingDocumentDate"),
    ),
    "billing_item": (("SalesDocument",), ()),
    "line": (
        (
            "Customer", "BillingDocument", "SalesDocument", "DocumentReferenceID", "ClearingAccountingDocument",
            "AccountingDocument", "_open",
        ),
        ("PostingDate", "LastChangeDate", "ClearingDate", "LastChangeDateTime", "NetDueDate"),
    ),
    "price_validity": (("Material",), ()),
}  # fmt: skip
