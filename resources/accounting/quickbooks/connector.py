"""QuickBooks Online, Accounting API v3: invoices, payments, customers and items, read whole and by change, and written.

    books = connect("quickbooks", {"realm_id": "...", "client_id": "...", "client_secret": "...", "refresh_token": "..."})
    for page in books.read(["counterparty", "realization"], None, datetime.now(UTC)): ...

A realization is an Invoice here, a return a CreditMemo, an invoice of ours (a request to pay) an Estimate. Documents
count as soon as they are saved. What changed is told by change data capture, deletions among it, of the last 30 days and
of 1,000 records; else it is asked for by the stamp of the last change, and what was deleted shows in the comparison of
ids. Names (customers, items, accounts) are never deleted, they become inactive. Entries and balances come out of reports
(`reports`).

Unconfirmed by public documentation, so that both readings work: whether a note can be asked for in a query (it is not);
whether a number of ours is kept where the company numbers documents itself (`numbers: ours|theirs` overrules the
setting); which kinds change data capture tells of (one that is refused is read by its stamps); whether voiding keeps the
rest of a note (our number of the record is kept beside it anyway); whether reports take `columns` (natural amounts and
debit and credit are both understood); whether a repeated requestid answers a kept refusal (a new one is made each day);
whether transactions of all kinds share one series of ids, as every recorded one does (they are taken to).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from resources.accounting.quickbooks import capture
from resources.accounting.quickbooks.books import Books
from resources.accounting.quickbooks.company import (
    BATCH_BURST,
    BATCHES_A_MINUTE,
    MAX_BATCH,
    MINOR,
    READS_A_MONTH,
    Company,
)  # fmt: skip
from resources.accounting.quickbooks.entities import (
    DICTIONARIES,
    ENTITIES,
    FIELDS,
    PLACES,
    POSTING,
    SHAPES,
    WRITES,
)  # fmt: skip
from resources.accounting.quickbooks.hooks import hints
from resources.accounting.quickbooks.many import ManyWriter
from resources.accounting.quickbooks.marks import unmarked
from resources.accounting.quickbooks.token import KEYS, TOKEN_URL, authorized
from resources.accounting.quickbooks.write import IDS, SEARCH_DAYS, Writer
from resources.budget import Budget, LocalBudget
from resources.connection import AT_ONCE, DAY, as_copied, number, switch
from resources.connector import (
    Capabilities,
    Change,
    Delivery,
    Finding,
    Hint,
    Lock,
    Page,
    Record,
    Refused,
    Reject,
    SourceError,
)  # fmt: skip
from resources.crm.crm_source import NOTHING, CrmSource, Rows
from resources.crm.rows import Shape
from resources.http import Client, conceal
from resources.parallel import in_order
from resources.tokens import TokenStore

# Requests a second and at once: 500 a minute and 10 a second, each by the vendor's own clock of the last minute.
LIMITS: Final = (8.1, 11.0)
PARALLEL: Final = 8  # requests under way at once: older pages speak of ten
ADDRESSES: Final = {
    "production": "https://quickbooks.api.intuit.com",
    "sandbox": "https://sandbox-quickbooks.api.intuit.com",
}
NEWEST: Final = 200
STOCK: Final = "QtyOnHand"


class QuickBooks(ManyWriter, CrmSource):
    """One company, read and written. Threads may share it."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=ENTITIES,
        writes=WRITES,
        overlap_seconds=600,  # stamps are whole seconds of the vendor's clock
        version="SyncToken",
        # Balances of accounts are reckoned, and move no stamp.
        volatile=("MetaData", "CurrentBalance", "CurrentBalanceWithSubAccounts"),
    )
    shapes: ClassVar[Mapping[str, Shape]] = SHAPES

    def __init__(
        self,
        company: Company,
        *,
        verifier: str = "",
        own_numbers: bool | None = None,
        search_days: int = SEARCH_DAYS,
        zone: tzinfo = UTC,
    ) -> None:
        CrmSource.__init__(self, company.client)
        Writer.__init__(self)
        self.company = company
        self.own_numbers, self.search_days, self.zone = own_numbers, search_days, zone
        self.known_places: Mapping[str, str] = {}
        self.places: dict[str, str] = {}
        self._verifier = verifier
        self._books = Books(company)

    # ---- Source -------------------------------------------------------------------------------

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        """See Source.read. `balance` is one complete page, at the end of the company's day of `until`."""
        wanted = [entity.name for entity in self.known(entities)]
        self._count_on(wanted)
        news = self._news(wanted, since) if since is not None else None
        for entity in wanted:
            if entity in DICTIONARIES:
                yield self.whole_page(entity)
            elif entity == "currency_rate":
                yield from self._rows_pages(entity, self._rates(since))
            elif entity == "balance":
                yield self._books.balance(until.astimezone(self.zone).date())
            elif since is None or news is None or self._stock_is_due(entity, since, until):
                pages = self.company.whole(PLACES[entity]) if entity in PLACES else None
                yield from self._books.whole() if pages is None else self._rows_pages(entity, pages)
            elif entity == "entry":
                moved = capture.moved(self.company, news, since)
                # What a stock's cost moved leaves no stamp on the invoice: the last ones are looked at again once a day.
                today = until.astimezone(self.zone).date()
                again = today if since.astimezone(self.zone).date() != today else None
                yield from self._books.changed(moved, again)
            else:
                yield from self._changed(entity, news, since)
        self._keep_count(wanted)

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        """See Source.keys; what is read is complete, or SourceError."""
        (found,) = self.known([entity])
        if found.name in PLACES and found.incremental and entity != "currency_rate":
            yield self.company.ids(PLACES[entity])
            return
        if entity == "entry":
            yield from self._books.keys()
            return
        for page in self.read([entity], None, datetime.now(UTC)):
            if page.records:
                yield [record.source_id for record in page.records]

    def changes(self, since: datetime) -> Iterator[Change]:
        """See Source.changes: one request, and one more of each kind that changed too much for it. A deletion alone is
        not among them."""
        names = [entity for entity in PLACES if self._captured(entity)]
        reach = datetime.now(UTC) - capture.REACH + timedelta(hours=1)
        news = capture.news(self.company, [PLACES[name].name for name in names], max(since, reach))
        for entity in names:
            place = PLACES[entity]
            rows = capture.parted(news[place.name])[0] if place.name in news else self.company.newest(place)
            for record in self.records(entity, rows)[0]:
                if record.modified_at is not None and record.modified_at >= since:
                    yield Change(entity, record.source_id, record.modified_at)

    def read_keys(self, entity: str, keys: Sequence[str]) -> Iterator[Page]:
        """See ReadsByKey. Of entries the keys are those of transactions' lines: the transactions are read again."""
        if entity == "entry":
            numbers = list(dict.fromkeys(key.partition(":")[0] for key in keys))
            yield from self._books.changed(capture.days_of(self.company, numbers))
            return
        if entity == "balance":
            yield self._books.balance(datetime.now(self.zone).date())
            return
        yield from super().read_keys(entity, keys)

    def counts(self, entities: Sequence[str]) -> Mapping[str, int]:
        """See CountsEntities: a request an entity, side by side."""
        names = [
            entity.name for entity in self.known(entities) if entity.incremental and entity.name in PLACES
            and entity.name != "currency_rate"
        ]  # fmt: skip
        counted = in_order(lambda name: self.company.count(PLACES[name]), names, self.company.parallel)
        return dict(zip(names, counted, strict=True))

    def check(self) -> list[Finding]:
        """See Source.check. Writes nothing."""
        from resources.accounting.quickbooks.check import findings

        return findings(self)

    def hear(self, delivery: Delivery) -> Sequence[Hint]:
        """See HearsEvents.hear; `hooks`."""
        return hints(delivery, self.company.realm, self._verifier)

    def locks(self) -> Sequence[Lock]:
        """See LocksPeriods: the date up to which the books are closed."""
        try:
            said = self.company.preferences(anew=True).get("AccountingInfoPrefs") or {}
        except Refused:
            raise
        except SourceError as error:
            if "HTTP 403" in str(error):
                raise Refused(str(error), code="403") from None
            raise
        day = said.get("BookCloseDate")
        try:
            return [Lock(date.fromisoformat(str(day)[:10]))] if day else []
        except ValueError:
            raise SourceError(
                f"{self.system}: the books are closed up to {str(day)[:40]!r}, which is no date; set the closing date anew"
                " in QuickBooks: Account and settings - Advanced - Accounting"
            ) from None

    def shape(self) -> Mapping[str, Mapping[str, str]]:
        """See KnowsItsShape: by the documentation, for the vendor describes nothing at run time."""
        return FIELDS

    # ---- What CrmSource asks for --------------------------------------------------------------

    def rows(self, entity: str) -> Iterator[Rows]:
        """See CrmSource.rows."""
        place = PLACES[entity]
        if entity == "currency":
            yield self._currencies()
        elif entity in DICTIONARIES:
            yield self.company.dictionary(place)
        else:
            yield from self.company.whole(place)

    def rows_by_key(self, entity: str, keys: Sequence[str]) -> Iterator[Rows]:
        """See CrmSource.rows_by_key; in the order of the keys where several requests are needed."""
        place = PLACES[entity]
        wanted = list(dict.fromkeys(keys))
        chunks = [wanted[start : start + IDS] for start in range(0, len(wanted), IDS)]
        yield from in_order(
            lambda chunk: self.company.select(place, "Id", chunk), chunks, self.company.parallel, self.system
        )

    def records(self, entity: str, rows: Rows) -> tuple[list[Record], list[Reject]]:
        """Records without our sign, and with the key that it told; otherwise the vendor's bytes.

        An inactive name counts as deleted, as the vendor's own lists have it; its last state stays.
        """
        if entity == "currency_rate":
            return _rates(self.system, rows)
        records, rejects = self.shapes[entity].records(self.system, rows)
        listed = PLACES[entity].listed
        for index, record in enumerate(records):
            payload, key = unmarked(record.payload)
            idle = listed and b"false" in payload and _activity(payload).active in (False, "false")
            if key is not None or idle:
                records[index] = Record(
                    record.source_id,
                    payload,
                    record.modified_at,
                    record.parent_id,
                    record.deleted or idle,
                    key,
                )
        return records, rejects

    # ---- Changes ------------------------------------------------------------------------------

    def _captured(self, entity: str) -> bool:
        return entity in PLACES and PLACES[entity].cdc

    def _news(self, wanted: Sequence[str], since: datetime) -> capture.News:
        names = [PLACES[entity].name for entity in wanted if self._captured(entity)]
        return capture.news(self.company, [*names, *(POSTING if "entry" in wanted else ())], since)

    def _stock_is_due(self, entity: str, since: datetime, until: datetime) -> bool:
        """Whether items are read whole: once a day where their stock is read, for whether it moves a stamp nobody says."""
        next_day = since.astimezone(self.zone).date() != until.astimezone(self.zone).date()
        return entity == "product" and next_day and STOCK in self.fields_read.get(entity, ())

    def _changed(self, entity: str, news: capture.News, since: datetime) -> Iterator[Page]:
        place = PLACES[entity]
        if place.name not in news:
            yield from self._rows_pages(entity, self.company.changed(place, capture.asked(since)))
            return
        living, stubs = capture.parted(news[place.name])
        if living:
            yield from self._rows_pages(entity, iter([living]))
        if stubs:
            yield Page(entity, [Record(number, NOTHING, deleted=True) for number in stubs])

    # ---- Lists --------------------------------------------------------------------------------

    def _rows_pages(self, entity: str, pages: Iterator[Rows]) -> Iterator[Page]:
        for rows in pages:
            records, rejects = self.records(entity, rows)
            if records or rejects:
                yield Page(entity, records, rejects=rejects)

    def _currencies(self) -> Rows:
        """The currencies of the company, its own among them, which the vendor's list may lack."""
        said = self.company.preferences(anew=True).get("CurrencyPrefs") or {}
        home = said.get("HomeCurrency") or {}
        try:
            rows = list(self.company.dictionary(PLACES["currency"]))
        except Refused:
            rows = []  # a company with one currency has no such list
        codes = {msgspec.json.decode(row, type=dict[str, Any]).get("Code") for row in rows}
        if home.get("value") and home["value"] not in codes:
            body = {"Code": home["value"], "Name": home.get("name", home["value"]), "Active": True}
            rows.append(msgspec.Raw(msgspec.json.encode(body)))
        return rows

    def _rates(self, since: datetime | None) -> Iterator[Rows]:
        place = PLACES["currency_rate"]
        if since is not None:
            try:
                yield from self.company.changed(place, capture.asked(since))
                return
            except Refused:
                pass  # not to be asked for by stamps
        try:
            yield self.company.dictionary(place)
        except Refused:
            return  # one currency

    # ---- The month's allowance ----------------------------------------------------------------

    def _count_on(self, wanted: Sequence[str]) -> None:
        for kept in self.known_places.values():
            self.company.allowance.remember(kept)
        self.places = {}

    def _keep_count(self, wanted: Sequence[str]) -> None:
        if wanted:
            self.places = {wanted[0]: self.company.allowance.kept}


class _Activity(msgspec.Struct):
    active: Any = msgspec.field(name="Active", default=True)


_activity = msgspec.json.Decoder(_Activity).decode


class _Rate(msgspec.Struct):
    currency: str = msgspec.field(name="SourceCurrencyCode")
    day: str = msgspec.field(name="AsOfDate")


def _rates(system: str, rows: Rows) -> tuple[list[Record], list[Reject]]:
    """Rates have no id of their own that lasts: a currency and a day is one."""
    records: list[Record] = []
    rejects: list[Reject] = []
    for row in rows:
        try:
            told = msgspec.json.decode(row, type=_Rate)
        except msgspec.DecodeError as error:
            rejects.append(
                Reject(
                    f"{system}, currency_rate",
                    f"a rate without currency and day: {error}; look at it there",
                    bytes(row),
                )
            )
        else:
            records.append(Record(f"{told.currency}:{told.day}", bytes(row)))
    return records, rejects


def credentials(connection: Mapping[str, Any]) -> tuple[str, ...]:
    """By what the tokens of this connection are granted."""
    return tuple(str(connection.get(name) or "") for name in ("token_url", *KEYS))


def connect(
    system: str, connection: Mapping[str, Any], budget: Budget | None = None, tokens: TokenStore | None = None
) -> QuickBooks:
    """Open a connection; sends nothing yet.

    Keys: `realm_id` (the company's number, as text: it is longer than a number in JSON holds), `client_id`,
    `client_secret` and `refresh_token`. Optional: `environment` (production, or sandbox) or `base_url`; `token_url`;
    `timezone` (IANA, of the company: whose days its balances are of; UTC);
    `verifier_token` (the app's verifier token); `numbers` (ours, theirs; by the company's setting where left out);
    `search_days` (30); `minor_version` (75); `reads_per_month` (500,000: reading calls of the partner programme's tier);
    `batch` (30 items), `batches_per_minute` (40), `parallel` (8 requests under way), `timeout` (120 s, after which the
    vendor gives up too), `ca_file`, `allow_http`. Without `budget` the rate is kept by this process alone, and without
    `tokens` so are the tokens. Raises SourceError that names the key and the remedy.
    """
    as_copied(system, connection)
    realm = connection.get("realm_id")
    if isinstance(realm, float) or (realm and not str(realm).strip().isdigit()):
        raise SourceError(
            f'{system}: realm_id is the company\'s number, all digits, written as text ("4620816365000000000"); copy it from '
            "the redirect after connecting, or from the company's settings"
        )
    environment = str(connection.get("environment") or "production").strip().lower()
    if environment not in ADDRESSES:
        raise SourceError(
            f"{system}: environment {environment!r} is none of {', '.join(ADDRESSES)}; correct it"
        )
    numbers = str(connection.get("numbers") or "").strip().lower()
    if numbers not in ("", "auto", "ours", "theirs"):
        raise SourceError(
            f"{system}: numbers {numbers!r} is neither ours nor theirs; correct it, or leave it out"
        )
    named = str(connection.get("timezone") or "UTC")
    try:
        zone = ZoneInfo(named)
    except (ZoneInfoNotFoundError, ValueError):
        raise SourceError(
            f"{system}: {named!r} is no IANA time zone; name the company's, e.g. Europe/Berlin"
        ) from None
    options: dict[str, Any] = {
        "timeout": number(system, connection, "timeout", 120, most=DAY),
        "ca_file": connection.get("ca_file") or None,
        "allow_http": switch(system, connection, "allow_http"),
    }
    auth = authorized(system, connection, tokens, options)
    parallel = number(system, connection, "parallel", PARALLEL, most=AT_ONCE, whole=True)
    address = str(connection.get("base_url") or ADDRESSES[environment]).strip().rstrip("/")
    client = Client(
        system, f"{address.removesuffix('/v3')}/", auth=auth, budget=budget or LocalBudget(*LIMITS),
        connections=parallel * 2, **options,
    )  # fmt: skip
    company = Company(
        client,
        str(realm).strip(),
        minor=number(system, connection, "minor_version", MINOR, whole=True),
        parallel=parallel,
        batch=number(system, connection, "batch", MAX_BATCH, most=MAX_BATCH, whole=True),
        batches_a_minute=number(
            system, connection, "batches_per_minute", BATCHES_A_MINUTE, least=BATCH_BURST
        ),
        reads_a_month=number(system, connection, "reads_per_month", READS_A_MONTH),
    )
    verifier = str(connection.get("verifier_token") or "")
    conceal([verifier])
    return QuickBooks(
        company,
        verifier=verifier,
        own_numbers={"ours": True, "theirs": False}.get(numbers),
        search_days=number(system, connection, "search_days", SEARCH_DAYS, whole=True),
        zone=zone,
    )


__all__ = ["LIMITS", "TOKEN_URL", "QuickBooks", "connect", "credentials"]
