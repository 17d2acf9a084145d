"""Salesforce: opportunities with their lines, accounts, contacts, products; payment status and debt back.

    crm = connect("salesforce", {"instance_url": "https://acme.my.salesforce.com", "client_id": "...", ...})
    for page in crm.read(["deal", "deal_line"], None, datetime.now(UTC)): ...

REST API for changes and for small objects, jobs of Bulk API 2.0 for large ones read whole. Payloads are the
vendor's rows; a stage is keyed record type/stage, since one list of stages serves all record types.

Unconfirmed by public documentation, so that both readings work: whether a deletion along with its parent, and a
merge, move the stamp of what they touch (what is deleted is asked for twice, what belongs to a survivor is read
again); whether a record by id that was deleted comes as null; whether a page of results tells its number of rows.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlsplit

import msgspec

from resources.budget import Budget
from resources.connection import DAY, as_copied, number, switch
from resources.connector import (
    Capabilities,
    Change,
    Delivery,
    Finding,
    Hint,
    Page,
    Record,
    Refused,
    Reject,
    SourceError,
)
from resources.crm.crm_source import NOTHING, CrmSource, Rows
from resources.crm.rows import Shape, moment
from resources.crm.salesforce.bulk import PAGE_ROWS, PART_ROWS, BulkUnfitError, as_ids, as_rest, results
from resources.crm.salesforce.check import findings
from resources.crm.salesforce.entities import (
    ENTITIES,
    KINDS,
    MAIN,
    MASTER_TYPE,
    OVERLAP_SECONDS,
    SHAPES,
    SPARE,
    STAMP,
    VOLATILE,
)
from resources.crm.salesforce.fields import TOTAL, Fields
from resources.crm.salesforce.hooks import RECEIPT, hints
from resources.crm.salesforce.lines import total_with_vat
from resources.crm.salesforce.org import Allowance, Judge, Org, Query
from resources.crm.salesforce.token import SECRETS, authorized
from resources.crm.salesforce.write import Writer
from resources.http import Client, settling
from resources.tokens import MemoryTokens, TokenStore

LIMITS: Final = None  # the vendor has none of rate; the calls of a day are kept by `daily_share`
PARALLEL: Final = 6  # requests under way at once: 25 may run for 20 s or longer, of all who use the org
MOST_PARALLEL: Final = 20
LEAST_PAGE: Final = 200  # records of a call, and PAGE the most: the vendor's own bounds
PAGE: Final = 2_000
BULK_FROM: Final = 5_000  # records: of more a job is faster than pages, and takes fewer calls
NEWEST: Final = 200  # records that a sensor is told of
DELETED_SINCE: Final = timedelta(days=14)  # the vendor's list of deletions reaches back 15

log = logging.getLogger(__name__)

Met = dict[str, dict[str, Record]]


class Salesforce(Writer, CrmSource):
    """One org, read and written. Threads may share it.

    `fields_read` (by entity), `fields_written` (by kind) and `mapping_file` are set by whoever knows the mapping.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=ENTITIES,
        writes=("deal", "company", "task"),
        overlap_seconds=OVERLAP_SECONDS,
        version=STAMP,  # of a record read back: when our write changed it
        volatile=VOLATILE,
    )
    shapes: ClassVar[Mapping[str, Shape]] = SHAPES

    def __init__(
        self,
        org: Org,
        judge: Judge,
        *,
        organization: str = "",
        task_key: str = "",
        line_vat: tuple[str, str] = ("", ""),
        bulk_from: int = BULK_FROM,
    ) -> None:
        super().__init__(org.client)
        self.org, self.judge = org, judge
        self.organization, self.task_key, self.bulk_from = organization, task_key, bulk_from
        self.line_vat = tuple(name for name in line_vat if name)
        self._total = total_with_vat(*line_vat)
        self.bulk_page = PAGE_ROWS
        self.fields = Fields(self)

    # ---- Source -------------------------------------------------------------------------------

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        """See Source.read. Several entities are read at once, and yielded one after another.

        Raises SourceError, also where the mapping names a field that the user does not see.
        """
        names = self.fields.prepare([entity.name for entity in self.known(entities)], anew=True)
        main = [name for name in names if name in MAIN]
        stop = Event()
        if since is None:
            counts = self.counts(main)
            flows = {name: self._whole_rows(name, counts.get(name, 0), stop) for name in main}
        else:
            flows = {name: self.rows_since(name, since) for name in main}
        met: Met = {name: {} for name in main}
        pool = ThreadPoolExecutor(self.org.parallel, thread_name_prefix=f"{self.system}-read")
        try:
            ahead = {name: _Ahead(pool, flow) for name, flow in flows.items()}
            lists = {name: pool.submit(self.whole_page, name) for name in names if name not in MAIN}
            for name in names:
                if name in lists:
                    yield lists[name].result()
                    continue
                for rows in ahead[name]:
                    for start in range(0, len(rows), PART_ROWS):
                        for page in self.pages(name, rows[start : start + PART_ROWS], (), emit=True):
                            if since is not None:
                                met[name].update((record.source_id, record) for record in page.records)
                            yield page
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            for flow in flows.values():
                flow.close()
        if since is not None:
            yield from self._moved(met)
            yield from self._deleted(met, since, until)

    def rows(self, entity: str) -> Iterator[Rows]:
        """See CrmSource.rows."""
        self.fields.prepare([entity])
        if entity == "pipeline":
            yield self.fields.record_types()
        elif entity == "lead_source":
            yield self.fields.picklist("deal", "LeadSource")
        elif entity == "stage":
            yield self._stages()
        elif entity == "currency" and self.fields.of("currency") is None:
            yield self._sole_currency()
        else:
            yield from self.org.pages(self.fields.query(entity))

    def rows_since(self, entity: str, since: datetime) -> Generator[Rows, None, None]:
        """See CrmSource.rows_since: with the recycle bin, whose rows become tombstones."""
        query = self.fields.query(entity)
        tests = [test for test in (query.where, f"{STAMP} >= {_literal(since)}") if test]
        yield from self.org.pages(Query(query.object, query.fields, " AND ".join(tests), deleted=True))

    def rows_by_key(self, entity: str, keys: Sequence[str]) -> Iterator[Rows]:
        """See CrmSource.rows_by_key; what is in the recycle bin comes as it is there."""
        self.fields.prepare([entity])
        query = self.fields.query(entity)
        found: set[str] = set()
        for rows in self.org.retrieve(query.object, keys, query.fields):
            found.update(record.source_id for record in self.records(entity, rows)[0])
            yield rows
        absent = [key for key in keys if key not in found]
        for _, rows in self.org.by_ids(Query(query.object, query.fields, deleted=True), "Id", absent):
            yield rows

    def keys_of(self, entity: str) -> Iterator[Sequence[str]]:
        """See CrmSource.keys_of: ids alone."""
        if entity not in MAIN:
            yield from super().keys_of(entity)
            return
        names = self.fields.prepare([entity])
        query = Query(KINDS[entity].object, ("Id",), KINDS[entity].where)
        stop = Event()
        if names and self.counts([entity]).get(entity, 0) >= self.bulk_from:
            with suppress(BulkUnfitError):
                yield from results(self.org, query, as_ids, stop, self.bulk_page * 5)
                return
        for rows in self.org.pages(query) if names else ():
            yield self.ids(entity, rows)

    def counts(self, entities: Sequence[str]) -> Mapping[str, int]:
        """See CountsEntities.counts; a call for five entities, of those with records of their own."""
        names = [entity.name for entity in self.known(entities) if entity.name in MAIN]
        subs = self.org.composite([f"query?q={quote(_counting(name))}" for name in names])
        found: dict[str, int] = {}
        for name, sub in zip(names, subs, strict=True):
            with suppress(Refused):  # not counted; its own read says why
                found[name] = self.org.accepted(sub, _Counted, "count").totalSize
        return found

    def changes(self, since: datetime) -> Iterator[Change]:
        """See Source.changes: the newest of each, deleted ones too; a call for five entities."""
        texts = [
            f"SELECT Id,{STAMP} FROM {KINDS[name].object} WHERE {STAMP} >= {_literal(since)} "
            f"ORDER BY {STAMP} DESC LIMIT {NEWEST}"
            for name in MAIN
        ]
        subs = self.org.composite([f"queryAll?q={quote(text)}" for text in texts])
        for name, sub in zip(MAIN, subs, strict=True):
            try:
                newest = self.org.accepted(sub, _Newest, "changes").records
            except Refused:
                if name not in SPARE:
                    raise
                continue
            for head in newest:
                yield Change(name, head.Id, moment(head.SystemModstamp))

    def read_keys(self, entity: str, keys: Sequence[str]) -> Iterator[Page]:
        """See ReadsByKey; deals with their lines."""
        names = self.fields.prepare([entity, *(["deal_line"] if entity == "deal" else [])])
        if entity not in names:
            return
        for page in super().read_keys(entity, keys):
            yield page
            living = [record.source_id for record in page.records if not record.deleted]
            if page.entity == "deal" and living:
                yield from self._lines(living)

    # Without this acknowledgement the vendor sends a message again for 24 hours.
    receipt: ClassVar[tuple[str, str]] = ("text/xml; charset=utf-8", RECEIPT)

    def hear(self, delivery: Delivery) -> Sequence[Hint]:
        """See HearsEvents.hear; `hooks`."""
        return hints(delivery, self.organization or self.org.organization())

    def findings(self) -> Iterator[Finding]:
        """See CrmSource.findings; `check`."""
        return findings(self)

    def records(self, entity: str, rows: Rows) -> tuple[list[Record], list[Reject]]:
        """See CrmSource.records; a line bears its total with VAT too, where the mapping names it."""
        if entity == "deal_line" and TOTAL in self.fields_read.get(entity, ()):
            rows = [self._total(row) for row in rows]
        return super().records(entity, rows)

    # ---- Whole objects ------------------------------------------------------------------------

    def _whole_rows(self, entity: str, count: int, stop: Event) -> Generator[Rows, None, None]:
        """Every living record: by a job where there are many and the vendor runs it, else in pages."""
        query = self.fields.query(entity)
        if count >= self.bulk_from:
            described = self.fields.of(entity)
            try:
                making = as_rest(described.fields if described else {})
                yield from results(self.org, query, making, stop, self.bulk_page)
                return
            except BulkUnfitError as error:
                log.warning("%s: no job reads %s, pages do: %s", self.system, query.object, error)
        yield from self.org.pages(query)

    def _stages(self) -> list[msgspec.Raw]:
        """Every stage once for each record type; the master's, of deals without a type, bear none."""
        stages = [row for rows in self.org.pages(self.fields.query("stage")) for row in rows]
        found = []
        for type_ in self.fields.record_types():
            key = msgspec.json.decode(type_, type=_RecordType).recordTypeId
            bare = key == MASTER_TYPE
            for stage in stages:
                name = msgspec.json.decode(stage, type=_Stage).ApiName
                head = {"Key": f"{key}/{name}", "RecordTypeId": None if bare else key}
                found.append(msgspec.Raw(msgspec.json.encode(head)[:-1] + b"," + bytes(stage)[1:]))
        return found

    def _sole_currency(self) -> list[msgspec.Raw]:
        """The currency of an org that has one only, in the form of a list of several."""
        said = self.org.queries(["SELECT DefaultCurrencyIsoCode FROM Organization LIMIT 1"])[0]
        codes = [msgspec.json.decode(row, type=_Organization).DefaultCurrencyIsoCode for row in said.records]
        rows = [
            {"IsoCode": code, "ConversionRate": 1, "IsCorporate": True, "IsActive": True} for code in codes
        ]
        return [msgspec.Raw(msgspec.json.encode(row)) for row in rows]

    # ---- What the stamps may not tell ---------------------------------------------------------

    def _moved(self, met: Met) -> Iterator[Page]:
        """What belongs to the survivors of merges, read again: a merge may leave its stamp as it was."""
        for entity, owners in (("contact", {"AccountId": "company"}), ("deal", _OWNERS)):
            for field, owner in owners.items():
                survivors = {r.merged_into for r in met.get(owner, {}).values() if r.merged_into}
                if (
                    not survivors
                    or not self.fields.prepare([entity])
                    or field not in self.fields.names(entity)
                ):
                    continue
                query = self.fields.query(entity)
                for _, rows in self.org.by_ids(query, field, sorted(survivors)):
                    yield from self.pages(entity, rows, (), emit=True)

    def _deleted(self, met: Met, since: datetime, until: datetime) -> Iterator[Page]:
        """Tombstones of what the vendor's list of deletions names and no row of the recycle bin showed.

        The vendor passes over the seconds of both times: the last minute is the next read's.
        """
        names = list(met)
        start = max(since, until - DELETED_SINCE)
        times = (
            f"start={quote(_literal(start))}&end={quote(_literal(max(until, start + timedelta(minutes=2))))}"
        )
        subs = self.org.composite([f"sobjects/{KINDS[name].object}/deleted?{times}" for name in names])
        for name, sub in zip(names, subs, strict=True):
            try:
                told = self.org.accepted(sub, _Deletions, f"{KINDS[name].object}/deleted").deletedRecords
            except Refused:
                continue  # too many, or not kept of this object: the next sweep compares the ids
            stamps = {head.id: moment(head.deletedDate) for head in told if head.id not in met[name]}
            rows_of = self.org.by_ids(
                Query(KINDS[name].object, self.fields.heads(name), deleted=True), "Id", list(stamps)
            )
            for ids, rows in rows_of:
                there = {record.source_id: record for record in self.records(name, rows)[0]}
                gone = [there.get(key) or Record(key, NOTHING, stamps[key], deleted=True) for key in ids]
                if tombstones := [record for record in gone if record.deleted]:
                    yield Page(name, tombstones)

    def _lines(self, deals: Sequence[str]) -> Iterator[Page]:
        for ids, rows in self.org.by_ids(self.fields.query("deal_line"), "OpportunityId", deals):
            records, rejects = self.records("deal_line", rows)
            yield Page("deal_line", records, complete_parents=ids, rejects=rejects)


def credentials(connection: Mapping[str, Any]) -> tuple[str, ...]:
    """By what the tokens of this connection are granted."""
    names = ("instance_url", "token_url", "grant", "client_id", "username", *SECRETS)
    return tuple(str(connection.get(name) or "") for name in names)


def connect(
    system: str, connection: Mapping[str, Any], budget: Budget | None = None, tokens: TokenStore | None = None
) -> Salesforce:
    """Open a connection; sends nothing yet.

    Keys: `instance_url` (https://<domain>.my.salesforce.com; the token's answer may name another, which counts
    then), `client_id` of a connected app, and of one grant: `client_secret` (client credentials), `refresh_token`,
    `username` and `private_key` (a PEM text; signed assertion, with `audience` where the login address is not
    token_url's), or `username`, `password`, `security_token` with `grant: password`. `grant` chooses where there are
    several. Optional: `token_url` (instance_url and /services/oauth2/token), `api_version` (61.0), `daily_share`
    (0.9 of the org's calls in 24 hours), `task_key` (a custom external id field of Task for our key),
    `line_vat_rate` and `line_vat_included` (fields of a line: VAT in per cent, and whether the price has it in),
    `organization_id` (the org that outbound messages must name), `parallel` (6 requests under way), `page` (2000 rows
    of a call), `bulk_from` (5000 records), `timeout` (120 s), `resend_after_seconds` (twice that; see `settling`; not used with
    `task_key`, by which a task is there once), `ca_file`, `allow_http`. Without `tokens` they are kept for this process
    alone. Raises SourceError that names the key and the remedy.
    """

    def said(name: str) -> str:
        return str(connection.get(name) or "").strip()

    as_copied(system, connection)
    token_url = said("token_url")
    base = said("instance_url").rstrip("/") or token_url.partition("/services/")[0]
    address = urlsplit(base)
    if address.scheme not in ("https", "http") or not address.hostname:
        raise SourceError(
            f"{system}: the connection's instance_url is no address; it looks like https://<domain>.my.salesforce.com "
            "(Setup, My Domain)"
        )
    version = said("api_version").removeprefix("v")
    version = f"{number(system, {'api_version': version}, 'api_version', 61, least=53):.1f}"
    share = number(system, connection, "daily_share", 0.9, most=1)
    parallel = number(system, connection, "parallel", PARALLEL, most=MOST_PARALLEL, whole=True)
    options: dict[str, Any] = {
        "timeout": number(system, connection, "timeout", 120, most=DAY),
        "ca_file": connection.get("ca_file") or None,
        "allow_http": switch(system, connection, "allow_http"),
    }
    kept = tokens or MemoryTokens()
    auth = authorized(system, token_url or f"{base}/services/oauth2/token", said, kept, options)
    allowance = Allowance(system, share, budget)
    judge = Judge(system, allowance)
    client = Client(
        system, f"{base}/", auth=auth, budget=allowance, classify=judge, connections=parallel + 2, **options
    )
    page = number(system, connection, "page", PAGE, least=LEAST_PAGE, most=PAGE, whole=True)
    org = Org(client, auth, kept, version, parallel, page)
    found = Salesforce(
        org,
        judge,
        organization=said("organization_id"),
        task_key=said("task_key"),
        line_vat=(said("line_vat_rate"), said("line_vat_included")),
        bulk_from=number(system, connection, "bulk_from", BULK_FROM, least=0, whole=True),
    )
    return found if found.task_key else settling(found, connection, client.timeout)


class _Ahead:
    """An iterator whose next item is being made while the present one is used."""

    def __init__(self, pool: ThreadPoolExecutor, flow: Iterator[Rows]) -> None:
        self._pool, self._flow = pool, flow
        self._next: Future[Rows | None] = pool.submit(next, flow, None)

    def __iter__(self) -> Iterator[Rows]:
        while (rows := self._next.result()) is not None:
            self._next = self._pool.submit(next, self._flow, None)
            yield rows


_OWNERS: Final = {"AccountId": "company", "ContactId": "contact"}


def _literal(at: datetime) -> str:
    """A time as SOQL has it, whole seconds, rounded down: stamps have no parts of a second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _counting(entity: str) -> str:
    kind = KINDS[entity]
    return f"SELECT COUNT() FROM {kind.object}" + (f" WHERE {kind.where}" if kind.where else "")


class _Counted(msgspec.Struct):
    totalSize: int


class _NewestHead(msgspec.Struct):
    Id: str
    SystemModstamp: str


class _Newest(msgspec.Struct):
    records: list[_NewestHead]


class _RecordType(msgspec.Struct):
    recordTypeId: str
    active: bool = True


class _Stage(msgspec.Struct):
    ApiName: str


class _Organization(msgspec.Struct):
    DefaultCurrencyIsoCode: str


class _Deletion(msgspec.Struct):
    id: str
    deletedDate: str


class _Deletions(msgspec.Struct):
    deletedRecords: list[_Deletion]
