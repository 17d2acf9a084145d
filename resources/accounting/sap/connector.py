"""SAP S/4HANA over its released OData V2 services: business partners, products, sales orders, billing, ledger.

    sap = connect("sap", {"url": "https://my300100-api.s4hana.cloud.sap", "user": "SVERKA", "password": "...",
                          "company_code": "1010"})
    for page in sap.read(["counterparty", "order"], None, datetime.now(UTC)): ...

Payloads are SAP's rows without the wrapping of OData V2, see `odata`; what is worked out beside them, see `records`.
Changes come by the stamp of a change, from the second in which the last read began: stamps have seven digits in SAP
and three in JSON, so what is equal comes again rather than not at all. Partners and open items have a day only. An
order can be deleted for good, and only the comparison of keys tells; partners and products are marked
(`IsMarkedForArchiving`, `IsMarkedForDeletion`), what is booked is reversed (`IsReversed`, `ReverseDocument`), and a
cancelled billing document (`BillingDocumentIsCancelled`) has a cancelling one (`CancelledBillingDocument`).

What no released service tells is said by the connection: our legal entity, currencies, units, plants, the closed day.
A rate of exchange is the one by which a billing document was booked.

Unconfirmed by public documentation, so that both readings work: how many rows a service gives at most, and whether it
says so by a link; whether HEAD gives a CSRF token (else GET), and whether one token serves every service (else it is
fetched anew); whether a change of a partner's tax number or address changes its day; whether lines of the ledger
arrive added up or one by one; whether amounts of FI lines bear a sign (see `records`); whether numbers have zeros in
front; whether a write may be a whole `{"results": [...]}`; which way OAuth wants the client's secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import httpx

from resources.accounting.sap import goods, odata
from resources.accounting.sap.connection import Opened, credentials, opened
from resources.accounting.sap.entities import (
    ENTITIES,
    FROM_ITEMS,
    PLACES,
    SAID,
    VOLATILE,
    Place,
)
from resources.accounting.sap.records import Row, amount, summed
from resources.accounting.sap.session import List
from resources.accounting.sap.write import Writer
from resources.budget import Budget
from resources.connector import Capabilities, Change, Finding, Page, Record, Reject, SourceError
from resources.http import settling
from resources.tokens import TokenStore

LIMITS = None  # SAP publishes none; `concurrency` bounds what runs at once, Retry-After is obeyed

KEYS_PAGE: Final = 5  # pages of rows that one page of keys takes the place of
NEWEST: Final = 50
COUNTED: Final = ("order", "counterparty", "product")
ENTRY_FIELDS: Final = (
    "CompanyCode,FiscalYear,AccountingDocument,LedgerGLLineItem,Ledger,FiscalPeriod,GLAccount,Customer,"
    "AmountInCompanyCodeCurrency,CompanyCodeCurrency,AmountInTransactionCurrency,TransactionCurrency,DebitCreditCode,"
    "PostingDate,DocumentDate,AccountingDocumentType,AccountingDocumentItem,ReferenceDocumentType,ReferenceDocument,"
    "SalesDocument,DocumentItemText,IsReversal,IsReversed,CreationDateTime,LastChangeDateTime"
)
RATE_FIELDS: Final = (
    "BillingDocument,BillingDocumentDate,TransactionCurrency,AbsltAccountingExchangeRate,"
    "AcctgExchangeRateIsIndrctQtan,ExchangeRateDate"
)

__all__ = ["LIMITS", "Sap", "connect", "credentials"]


def connect(
    system: str,
    connection: Mapping[str, Any],
    budget: Budget | None = None,
    tokens: TokenStore | None = None,
    *,
    transport: httpx.BaseTransport | None = None,
) -> Sap:
    """Open a system. `connection`: `url` (the host, or …/sap/opu/odata/sap/), `company_code`, and either `user` and
    `password` or `token_url`, `client_id`, `client_secret` (and `scope`); see docs/connectors/sap.md for the rest.
    Sends nothing. Raises SourceError that names the key and the remedy.
    """
    settings = opened(system, connection, budget, tokens, transport)
    # An order has no key that SAP would refuse the second time.
    return settling(Sap(settings), connection, settings.timeout)


class Sap(Writer):
    """One system as Source and Target. Threads may share it.

    `known_keys` (see AssignsKeys), `fields_read`, `fields_written` and `mapping_file` (see ChecksFields) are set by
    whoever knows them, before the first call.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=ENTITIES,
        writes=("counterparty", "product", "order"),
        overlap_seconds=600,  # a stamp is set when a record is saved, and seen when its transaction ends
        version=odata.ETAG,
        volatile=VOLATILE,
    )

    def __init__(self, settings: Opened) -> None:
        super().__init__(settings)
        self.fields_read: Mapping[str, Sequence[str]] = {}
        self.fields_written: Mapping[str, Sequence[str]] = {}
        # How far a list is read that is read in turn; see KeepsPlaces.
        self.known_places: Mapping[str, str] = {}
        self.places: dict[str, str] = {}
        self.mapping_file = f"the mapping file of {self.system}"
        company = odata.either("CompanyCode", [settings.company_code])
        ledger = odata.both(odata.either("Ledger", [settings.ledger]), company)
        self.entity_sets: Mapping[str, Place] = {
            **PLACES,
            "open_item": replace(
                PLACES["open_item"], where=odata.both(company, "FinancialAccountType eq 'D'")
            ),
            "entry": replace(PLACES["entry"], where=ledger),
            "realization": replace(PLACES["realization"], where=company),
            "price": replace(
                PLACES["price"], where=odata.either("ConditionType", [settings.price_condition])
            ),
        }
        self._ledger = ledger

    def close(self) -> None:
        """End the connections."""
        self.session.close()
        if self.settings.login is not None:
            self.settings.login.close()

    def clock_behind(self) -> float:
        """See TellsItsTime."""
        return self.session.clock_behind

    # ---- Source -------------------------------------------------------------------------------

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        """See Source.read. Open items, payments and refunds are read in one walk, whichever of them are asked for."""
        for name in entities:
            self._place(name)
        self.places = {}
        asked = [entity.name for entity in ENTITIES if entity.name in set(entities)]
        items = [name for name in asked if name in FROM_ITEMS]
        for name in asked:
            if name in SAID or self._place(name).by == "whole":
                yield self._complete(name, until)
            elif self._place(name).by == "turns":
                yield self._in_turn(name, since, until)
            elif name not in FROM_ITEMS:
                yield from self._changed(name, since)
        if items:
            yield from self._items(items, since)

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        """See Source.keys: pages of keys alone."""
        place = self._place(entity)
        if entity in SAID or place.by in ("whole", "turns"):
            yield [record.source_id for record in self._complete(entity, datetime.now(UTC)).records]
            return
        if entity in ("payment", "refund"):
            for page in self._items([entity], None):
                yield [record.source_id for record in page.records]
            return
        names = dict.fromkeys([*place.key, *(["Customer"] if entity == "counterparty" else [])])
        listing = place.whole(select=",".join(names))
        for rows in self.session.whole(listing, self.session.page * KEYS_PAGE):
            yield [record.source_id for record in self.making.records(entity, rows)[0]]

    def changes(self, since: datetime) -> Iterator[Change]:
        """See Source.changes: the newest of each entity by its stamp, a request each."""
        for entity in ("order", "realization", "product", "counterparty", "open_item"):
            place = self._place(entity)
            names = dict.fromkeys([*place.key, place.stamp])
            if entity == "counterparty":
                names |= dict.fromkeys(["Customer", "LastChangeTime", "CreationDate", "CreationTime"])
            path = odata.address(
                place.entity_set, select=",".join(names), filter=odata.both(place.where, place.since(since)),
                orderby=f"{place.stamp} desc", top=NEWEST,
            )  # fmt: skip
            for record in self.making.records(entity, self.session.listed(place.service, path).rows)[0]:
                day_only = entity in ("counterparty", "open_item")
                if record.modified_at is not None and (day_only or record.modified_at >= since):
                    yield Change(entity, record.source_id, record.modified_at)

    def counts(self, entities: Sequence[str]) -> Mapping[str, int]:
        """See CountsEntities: a request each, of orders, customers and products."""
        places = [self._place(name) for name in entities if name in COUNTED]
        return {p.entity: self.session.count(p.service, p.entity_set, p.where) for p in places}

    def read_keys(self, entity: str, keys: Sequence[str]) -> Iterator[Page]:
        """See ReadsByKey: of orders, realizations, customers and products; of the others the whole entity."""
        place = self._place(entity)
        if entity not in ("order", "realization", "counterparty", "product"):
            yield from self.read([entity], None, datetime.now(UTC))
            return
        name = "Customer" if entity == "counterparty" else place.key[0]
        met: set[str] = set()
        # A service that shows numbers with zeros in front may compare them so too; our keys have none.
        spellings: tuple[Callable[[str], str], ...] = (str, odata.padded) if name in odata.NUMBERS else (str,)
        for spelled in spellings:
            values = [value for key in keys if key not in met and (value := spelled(key))]
            for rows in self.session.picked(place.whole(), name, values):
                records, rejects = self.making.records(entity, rows)
                met.update(record.source_id for record in records)
                met.update(reject.place.removeprefix(f"{entity} ") for reject in rejects)
                if records or rejects:
                    yield Page(entity, records, rejects=rejects)
        absent = [key for key in dict.fromkeys(keys) if key not in met]
        if absent:
            yield Page(entity, [Record(key, b"{}", deleted=True) for key in absent])

    def check(self) -> list[Finding]:
        """Connection, rights, company, ledger, fields of the mapping, numbering, closed days. Never raises."""
        from resources.accounting.sap.check import findings

        return findings(self)

    def shape(self) -> Mapping[str, Mapping[str, str]]:
        """See KnowsItsShape: the types of each service's metadata, by our entities."""
        from resources.accounting.sap.shape import shape

        return shape(self)

    # ---- How entities are read ----------------------------------------------------------------

    def _place(self, entity: str) -> Place:
        if entity in ("payment", "refund"):
            return self.entity_sets["open_item"]
        if entity in SAID:
            return _SAID_PLACE
        try:
            return self.entity_sets[entity]
        except KeyError:
            names = ", ".join(e.name for e in ENTITIES)
            raise SourceError(f"{self.system}: there is no entity {entity!r}; there are {names}") from None

    def _changed(self, entity: str, since: datetime | None) -> Iterator[Page]:
        place = self._place(entity)
        listing = place.whole(place.since(since) if since else "")
        if entity == "entry":
            listing = replace(listing, select=ENTRY_FIELDS, expand="")
        for rows in self.session.whole(listing):
            records, rejects = self.making.records(entity, rows)
            yield Page(entity, records, rejects=rejects)

    def _items(self, wanted: Sequence[str], since: datetime | None) -> Iterator[Page]:
        """Open items as they come; payments once all lines of their document are in hand.

        Payments are read before what they paid: an item names the document that cleared it, which may be one of its
        own, and the payment names that too.
        """
        place = self._place("open_item")
        types = odata.either("AccountingDocumentType", sorted(self.making.payment_types))
        others = " and ".join(
            f"AccountingDocumentType ne {odata.text(one)}" for one in sorted(self.making.payment_types)
        )
        payers: dict[str, str] = {}
        if since is None:
            yield from self._all_payments(wanted, place.whole(types), payers)
        else:
            yield from self._changed_payments(wanted, place, types, since)
        if "open_item" not in wanted:
            return
        for rows in self.session.whole(place.whole(odata.both(others, place.since(since) if since else ""))):
            if since is not None:
                cleared = [str(row.get("ClearingAccountingDocument") or "") for row in rows]
                for found in self.session.picked(
                    place.whole(types), "ClearingAccountingDocument", [c for c in cleared if c]
                ):
                    self.making.payers_of(found, payers)
            records, rejects = self.making.records("open_item", rows, payers)
            yield Page("open_item", records, rejects=rejects)

    def _all_payments(self, wanted: Sequence[str], listing: List, payers: dict[str, str]) -> Iterator[Page]:
        """Documents at the edges of pages wait for the end, where all their lines are there."""
        waiting: list[Row] = []
        for rows in self.session.whole(listing):
            self.making.payers_of(rows, payers)
            if "open_item" in wanted:
                records, rejects = self.making.records("open_item", rows)
                yield Page("open_item", records, rejects=rejects)
            edges = {_document(rows[0]), _document(rows[-1])}
            waiting += [row for row in rows if _document(row) in edges]
            yield from self._payments(wanted, [row for row in rows if _document(row) not in edges])
        yield from self._payments(wanted, waiting)

    def _changed_payments(
        self, wanted: Sequence[str], place: Place, types: str, since: datetime
    ) -> Iterator[Page]:
        """A read by change has only the lines that changed: their documents are read whole."""
        partial: dict[str, None] = {}
        for rows in self.session.whole(place.whole(odata.both(types, place.since(since)))):
            partial |= dict.fromkeys(str(row.get("AccountingDocument") or "") for row in rows)
            if "open_item" in wanted:
                records, rejects = self.making.records("open_item", rows)
                yield Page("open_item", records, rejects=rejects)
        for rows in self.session.picked(place.whole(types), "AccountingDocument", list(partial)):
            yield from self._payments(wanted, rows)

    def _payments(self, wanted: Sequence[str], rows: Sequence[Row]) -> Iterator[Page]:
        found: dict[str, list[Record]] = {"payment": [], "refund": []}
        rejects: list[Reject] = []
        for entity, body in self.making.paid(rows):
            if isinstance(body, Reject):
                rejects.append(body)
                continue
            found[entity].append(
                Record(
                    self.making.key(entity, body), odata.payload(body), self.making.changed_at(entity, body)
                )
            )
        for entity, records in found.items():
            if records and entity in wanted:
                yield Page(entity, records)
        if rejects:
            yield Page("payment" if "payment" in wanted else wanted[0], [], rejects=rejects)

    def _in_turn(self, entity: str, since: datetime | None, until: datetime) -> Page:
        """What has no stamps: whole where a page holds it, and by the first read of a day; of a longer list one page, the
        next one with the next read."""
        place, zone = self._place(entity), self.making.zone
        if since is None or since.astimezone(zone).date() != until.astimezone(zone).date():
            return self._complete(entity, until)
        last = goods.after(self.known_places.get(entity, ""))
        rows, ends = self.session.next_page(place.whole(), last)
        records, rejects = self._goods(entity, rows)
        if ends and not last:
            return Page(entity, records, complete=True, rejects=rejects)
        self.places[entity] = goods.mark(place.whole().key_of(rows[-1])) if rows and not ends else ""
        parents = {str(row.get("Material") or "") for row in rows} if entity == "stock" else set()
        return Page(entity, records, complete_parents=sorted(parents), rejects=rejects)

    def _goods(self, entity: str, rows: Sequence[Row]) -> tuple[list[Record], list[Reject]]:
        return (goods.stock if entity == "stock" else goods.prices)(self.making, rows)

    def _complete(self, entity: str, until: datetime) -> Page:
        rejects: list[Reject] = []
        match entity:
            case "balance":
                rows, rejects = self._balances(until)
            case "account":
                rows = self._accounts()
            case "currency_rate":
                rows, rejects = self._rates()
            case name if name in SAID:
                rows = [dict(row) for row in self.settings.said[name]]
            case _:
                pages = list(self.session.whole(self._place(entity).whole()))
                records, rejects = self._goods(entity, [row for rows in pages for row in rows])
                return Page(entity, records, complete=True, rejects=rejects)
        told = [Record(str(row["Key"]), odata.payload(row)) for row in rows]
        return Page(entity, told, complete=True, rejects=rejects)

    def _balances(self, until: datetime) -> tuple[list[dict[str, Any]], list[Reject]]:
        """Turnovers since the beginning, by account and customer. Carry-forward (period 000) would count twice."""
        by = ("GLAccount", "Customer", "CompanyCodeCurrency")
        day = odata.day(until.astimezone(self.making.zone))
        accounts = odata.either("GLAccount", self.settings.balance_accounts)
        where = odata.both(self._ledger, accounts, "FiscalPeriod ne '000'", f"PostingDate le {day}")
        listing = replace(
            self._place("balance").whole(where), key=by, select=",".join([*by, "AmountInCompanyCodeCurrency"])
        )
        rows = self.session.by_skip(listing)
        return summed(self.making, "balance", rows, by, "AmountInCompanyCodeCurrency")

    def _accounts(self) -> list[dict[str, Any]]:
        listing = replace(self._place("account").whole(self._ledger), select="GLAccount")
        found = {odata.number(str(row.get("GLAccount") or "")) for row in self.session.by_skip(listing)}
        return [{"Key": code, "GLAccount": code} for code in sorted(found) if code]

    def _rates(self) -> tuple[list[dict[str, Any]], list[Reject]]:
        """The rate of each currency and day by which billing documents were booked; the last document decides."""
        ours = self.settings.said["currency"][0]["Currency"]
        place = self._place("currency_rate")
        where = odata.both(
            self.entity_sets["realization"].where, f"TransactionCurrency ne {odata.text(ours)}"
        )
        found: dict[str, dict[str, Any]] = {}
        apart: dict[str, Reject] = {}
        for rows in self.session.whole(place.whole(where, RATE_FIELDS)):
            for row in rows:
                day = str(row.get("ExchangeRateDate") or row.get("BillingDocumentDate") or "")[:10]
                key = f"{row.get('TransactionCurrency')}/{day}"
                try:
                    rate = amount(row, "AbsltAccountingExchangeRate")
                except ValueError as error:
                    apart[key] = self.making.unreadable("currency_rate", key, error, row)
                    continue
                if not rate or not day:
                    continue
                units, one = (
                    ("Rate", "Units") if not row.get("AcctgExchangeRateIsIndrctQtan") else ("Units", "Rate")
                )
                found[key] = {
                    "Key": key, "Currency": row.get("TransactionCurrency"), "ValidFrom": day,
                    units: format(rate, "f"), one: "1",
                }  # fmt: skip
        return [found[key] for key in sorted(found)], [
            apart[key] for key in sorted(apart.keys() - found.keys())
        ]


_SAID_PLACE: Final = Place("said", "", "", ("Key",), "whole")

KnownKeys = Callable[[str, Sequence[str]], Mapping[str, str]]


def _document(row: Row) -> tuple[str, str, str]:
    return (
        str(row.get("CompanyCode") or ""),
        str(row.get("FiscalYear") or ""),
        str(row.get("AccountingDocument") or ""),
    )
