"""Zoho CRM, API v8: deals with the lines of their sales orders, accounts, contacts, products; payment status back.

    crm = connect("zoho", {"accounts_url": "https://accounts.zoho.eu", "client_id": "...", "client_secret": "...",
                           "refresh_token": "..."})
    for page in crm.read(["deal", "order"], None, datetime.now(UTC)): ...

Deals have no lines: those stand in sales orders, which name their deal. Payloads are the vendor's fields that the
mapping names, in one plain form whatever way they came (`entities`). Little is read by queries (COQL), many
records by bulk jobs, orders that changed one by one.

Unconfirmed by public documentation, so that both readings work: whether a list brings the lines of an order (they
are never expected there); whether a bound of If-Modified-Since is within it (a second earlier is asked for); whether
a query gives 2,000 rows (200 where it is refused); whether a merged record is among the deleted in a way of its own
(it is taken as any other, and names no survivor); whether merging or restoring moves a stamp; whether the prices of
a book move its stamp; whether tasks can be upserted, and an upsert finds one by a field that is not
unique (what was lost is not sent again at once); how the credits of a bulk job are
counted (50 are reckoned).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from resources.budget import Budget, LocalBudget
from resources.connection import AT_ONCE, DAY, as_copied, number, switch
from resources.connector import (
    Capabilities,
    Change,
    Delivery,
    Finding,
    Hint,
    Page,
    Record,
    Refused,
)
from resources.crm.crm_source import NOTHING, CrmSource, Rows
from resources.crm.rows import Shape
from resources.crm.zoho import bulk as zoho_bulk
from resources.crm.zoho import query as zoho_query
from resources.crm.zoho.check import findings
from resources.crm.zoho.dictionaries import book_prices, dictionary
from resources.crm.zoho.entities import (
    ENTITIES,
    LINES,
    MODULES,
    OWNERS,
    SHAPES,
    VOLATILE,
    fields_of,
    plain,
)
from resources.crm.zoho.fields import explain
from resources.crm.zoho.hooks import hints
from resources.crm.zoho.lines import NEEDED, Lines, one_by_one
from resources.crm.zoho.org import NOT_THERE, Credits, Judge, Org, RegionalClient
from resources.crm.zoho.query import heads
from resources.crm.zoho.token import addresses, authorized
from resources.crm.zoho.write import Writer
from resources.http import conceal, settling
from resources.parallel import in_order
from resources.tokens import TokenStore

CREDITS_A_DAY: Final = 50_000.0  # of the smallest paid edition, whatever its number of users
# Credits as a bucket: three fifths of a day's may be used at once, the rest comes back over the day.
LIMITS: Final = (0.22, 30_000.0)
KEPT: Final = 0.1  # share of the day's credits that is left to others
PARALLEL: Final = 8  # requests under way at once: heavy ones may be ten
BULK_FROM: Final = 30_000  # records: a bulk job costs as much as the queries for so many
LINES_BY_BULK_FROM: Final = 50  # orders read whole; of changed ones ten times as many
NEWEST: Final = 200  # records that a look for news brings of each entity, for one credit
BEFORE: Final = timedelta(minutes=5)  # before the bulk job of lines: what clocks may differ by
WALL: Final = "DISCRETE_PAGINATION_LIMIT_EXCEEDED"  # of a list that shows its first 2,000 rows alone


@dataclass
class _Reading:
    """What one read of changes found out, so that it is asked for once."""

    since: datetime
    changed: dict[str, list[str]] = field(default_factory=dict)  # ids by entity, read to the end
    deleted: dict[str, list[str]] = field(default_factory=dict)


class Zoho(Writer, CrmSource):
    """One organization, read and written. Threads may share it."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=ENTITIES,
        writes=("deal", "company", "task"),
        overlap_seconds=3600,
        version="Modified_Time",  # of a record read back: the stamp that our write gave it
        volatile=VOLATILE,
    )
    shapes: ClassVar[Mapping[str, Shape]] = SHAPES

    def __init__(self, org: Org, notification_token: str = "") -> None:
        super().__init__(org.client)
        self.org = org
        self._notification_token = notification_token

    # ---- Source -------------------------------------------------------------------------------

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        """See Source.read. Of a whole read the bulk jobs are made first, and wait side by side.

        Raises SourceError, also where the mapping names a field that the user does not see.
        """
        wanted = self.known(entities)
        reading = _Reading(since) if since is not None else None
        jobs = self._jobs([entity.name for entity in wanted]) if since is None else {}
        for entity in self.roots(wanted):
            children = [child.name for child in wanted if self.comes_with(child) == entity.name]
            emit = entity in wanted
            if not entity.incremental:
                yield self.whole_page(entity.name)
                continue
            if reading is None:
                pages = self._all(entity.name, jobs)
            else:
                pages = self._changes(entity.name, reading)
            for rows in pages:
                yield from self.pages(entity.name, rows, children, emit=emit)
            if reading is not None and emit:
                yield from self._gone(entity.name, reading)

    def rows(self, entity: str) -> Iterator[Rows]:
        """See CrmSource.rows."""
        if entity in MODULES:
            yield from self._all(entity, self._jobs([entity]))
        else:
            yield dictionary(self.org, entity)

    def rows_since(self, entity: str, since: datetime) -> Iterator[Rows]:
        """See CrmSource.rows_since."""
        yield from self._changes(entity, _Reading(since))

    def newest(self, entity: str) -> Rows:
        """See CrmSource.newest; one credit."""
        rows, _ = self.org.query(
            MODULES[entity].name, ("id", "Modified_Time"), zoho_query.EVERY, "Modified_Time desc", rows=NEWEST
        )
        return rows

    def changes(self, since: datetime) -> Iterator[Change]:
        """See Source.changes: a request an entity that is read, side by side. A deletion alone is not among them."""
        names = [
            entity.name
            for entity in self.capabilities.entities
            if entity.incremental and self.is_read(entity)
        ]
        newest = in_order(self._newest_if_there, names, self.org.parallel, f"{self.system}-news")
        for name, rows in zip(names, newest, strict=True):
            for record in self.records(name, rows)[0]:
                if record.modified_at is not None and record.modified_at >= since:
                    yield Change(name, record.source_id, record.modified_at)

    def rows_by_key(self, entity: str, keys: Sequence[str]) -> Iterator[Rows]:
        """See CrmSource.rows_by_key."""
        if entity == "order":
            yield from one_by_one(self.org, self._fields(entity), [key for key in keys if key.isdigit()])
        else:
            yield from self._valued(entity, "id", keys)

    def read_keys(self, entity: str, keys: Sequence[str]) -> Iterator[Page]:
        """See ReadsByKey. With a deal come its sales orders: there stand its lines."""
        yield from super().read_keys(entity, keys)
        if entity == "deal":
            found = zoho_query.valued(self.org, MODULES["order"].name, ("id",), "Deal_Name", keys)
            ids = [head.id for rows in found for head in heads(rows)]
            for rows in self.rows_by_key("order", ids):
                yield from self.pages("order", rows, (), emit=True)

    def keys_of(self, entity: str) -> Iterator[Sequence[str]]:
        """See CrmSource.keys_of."""
        if entity not in MODULES:
            yield from super().keys_of(entity)
            return
        module = MODULES[entity]
        if self._count(entity) >= BULK_FROM:
            pages = zoho_bulk.rows_of(self.org, zoho_bulk.start(self.org, module.name, ("id",)))
        else:
            pages = self._queried(entity, zoho_query.whole(self.org, module.name, ("id",)))
        for rows in pages:
            yield self.ids(entity, rows)

    def counts(self, entities: Sequence[str]) -> Mapping[str, int]:
        """See CountsEntities: a request an entity, side by side."""
        names = [entity.name for entity in self.known(entities) if entity.name in MODULES]
        return dict(zip(names, in_order(self._count, names, self.org.parallel), strict=True))

    def children(self, entity: str, parents: Sequence[str]) -> Iterator[Page]:
        """See CrmSource.children: the prices of price books."""
        books = in_order(lambda book: book_prices(self.org, book), parents, self.org.parallel)
        for book, rows in zip(parents, books, strict=True):
            records, rejects = self.records(entity, rows)
            yield Page(entity, records, complete_parents=[book], rejects=rejects)

    def hear(self, delivery: Delivery) -> Sequence[Hint]:
        """See HearsEvents.hear; `hooks`."""
        return hints(delivery, self._notification_token)

    def findings(self) -> Iterator[Finding]:
        """See CrmSource.findings; `check`."""
        return findings(self)

    def sample(self, entity: str) -> Rows:
        """See CrmSource.sample; of a module one row, without jobs."""
        if entity not in MODULES:
            return super().sample(entity)
        module = MODULES[entity].name
        pages = iter([self.org.query(module, self._fields(entity), zoho_query.EVERY, "id asc", rows=1)[0]])
        return next(self._queried(entity, pages), ())

    # ---- Whole --------------------------------------------------------------------------------

    def _jobs(self, names: Sequence[str]) -> dict[str, zoho_bulk.Job]:
        """Bulk jobs for what is many, by entity; that of the lines under their own name."""
        jobs: dict[str, zoho_bulk.Job] = {}
        modules = [name for name in names if name in MODULES]
        counted = in_order(self._count, modules, self.org.parallel)
        for name, count in zip(modules, counted, strict=True):
            if count >= BULK_FROM:
                try:
                    jobs[name] = zoho_bulk.start(self.org, MODULES[name].name, self._fields(name))
                except Refused as error:
                    self._explain(name, error)
            if name == "order" and count >= LINES_BY_BULK_FROM:
                jobs[LINES] = zoho_bulk.start(self.org, LINES, (), NEEDED)
        return jobs

    def _all(self, entity: str, jobs: Mapping[str, zoho_bulk.Job]) -> Iterator[Rows]:
        if entity in jobs:
            pages = zoho_bulk.rows_of(self.org, jobs[entity])
        elif entity == "order" and LINES not in jobs:
            found = self._queried(entity, zoho_query.whole(self.org, MODULES[entity].name, ("id",)))
            ids = [head.id for rows in found for head in heads(rows)]
            yield from self.rows_by_key(entity, ids)
            return
        else:
            pages = self._queried(
                entity, zoho_query.whole(self.org, MODULES[entity].name, self._fields(entity))
            )
        if entity != "order":
            yield from pages
            return
        with Lines() as lines:
            lines.fill(self.org, jobs[LINES])
            for rows in pages:
                yield lines.into(rows)
        # What changed since the lines were taken, perhaps while other modules were read, came with its lines of before.
        yield from self._changes(entity, _Reading(jobs[LINES].begun - BEFORE))

    def _queried(self, entity: str, pages: Iterator[Rows]) -> Iterator[Rows]:
        """Plain rows; none of a module that this organization does not have."""
        try:
            for rows in pages:
                yield [plain(row) for row in rows]
        except Refused as error:
            self._explain(entity, error)

    def _explain(self, entity: str, error: Refused) -> None:
        module = MODULES[entity]
        names = self._fields(entity)
        explain(self.org, module.name, names, self.mapping_file, error, optional=module.optional)

    def _fields(self, entity: str) -> list[str]:
        return fields_of(entity, self.fields_read.get(entity, ()))

    def _count(self, entity: str) -> int:
        try:
            return self.org.count(MODULES[entity].name)
        except Refused as error:
            if MODULES[entity].optional and error.code in NOT_THERE:
                return 0
            raise

    # ---- Changes ------------------------------------------------------------------------------

    def _changes(self, entity: str, reading: _Reading) -> Iterator[Rows]:
        """What changed, and what was moved to another owner by a merge without a stamp of its own."""
        module, since, met = MODULES[entity].name, reading.since, list[str]()
        if entity == "order":
            found = self._queried(
                entity, zoho_query.changed(self.org, module, ("id", "Modified_Time"), since)
            )
            met = [head.id for rows in found for head in heads(rows)]
            yield from self._orders(list(dict.fromkeys(met)))
        else:
            for rows in self._queried(
                entity, zoho_query.changed(self.org, module, self._fields(entity), since)
            ):
                met += [head.id for head in heads(rows)]
                yield rows
        reading.changed[entity] = met
        for owner, lookup in OWNERS.get(entity, ()):
            if self._deleted(owner, reading):
                ids = self._changed_ids(owner, reading)
                yield from self._valued(entity, lookup, ids)

    def _orders(self, ids: Sequence[str]) -> Iterator[Rows]:
        if len(ids) < LINES_BY_BULK_FROM * 10:
            yield from self.rows_by_key("order", ids)
            return
        with Lines() as lines:
            lines.fill(self.org, zoho_bulk.start(self.org, LINES, (), NEEDED))
            for rows in self._valued("order", "id", ids):
                yield lines.into(rows)

    def _valued(self, entity: str, column: str, ids: Sequence[str]) -> Iterator[Rows]:
        pages = zoho_query.valued(self.org, MODULES[entity].name, self._fields(entity), column, ids)
        yield from self._queried(entity, pages)

    def _changed_ids(self, entity: str, reading: _Reading) -> list[str]:
        if entity not in reading.changed:
            found = zoho_query.changed(self.org, MODULES[entity].name, ("id", "Modified_Time"), reading.since)
            reading.changed[entity] = [head.id for rows in found for head in heads(rows)]
        return reading.changed[entity]

    def _deleted(self, entity: str, reading: _Reading) -> list[str]:
        """Ids of what was deleted, merged records among them; a second earlier, since the bound may be exclusive."""
        if entity not in reading.deleted:
            since = (reading.since - timedelta(seconds=1)).astimezone(UTC).replace(microsecond=0)
            try:
                rows = self.org.all_rows(
                    f"{MODULES[entity].name}/deleted", "data", {"type": "all"},
                    headers={"If-Modified-Since": since.isoformat()},
                )  # fmt: skip
            except Refused as error:
                # Of so many the list shows no end: the comparison of all ids finds them.
                if error.code not in (WALL, *(NOT_THERE if MODULES[entity].optional else ())):
                    raise
                rows = []
            reading.deleted[entity] = list(dict.fromkeys(head.id for head in heads(rows)))
        return reading.deleted[entity]

    def _gone(self, entity: str, reading: _Reading) -> Iterator[Page]:
        """Tombstones of what was deleted, and as records what lives again: it was restored.

        They bear no time, so that a record that is restored counts, whether or not that moved its stamp.
        """
        ids = self._deleted(entity, reading)
        living: set[str] = set()
        for rows in self.rows_by_key(entity, ids) if ids else ():
            living.update(key for row in rows if (key := self.shapes[entity].key_of(row)))
            yield from self.pages(entity, rows, (), emit=True)
        tombstones = [Record(key, NOTHING, deleted=True) for key in ids if key not in living]
        if tombstones:
            yield Page(entity, tombstones)

    def _newest_if_there(self, entity: str) -> Rows:
        try:
            return self.newest(entity)
        except Refused as error:
            self._explain(entity, error)
            return []


def credentials(connection: Mapping[str, Any]) -> tuple[str, ...]:
    """By what the tokens of this connection are granted."""
    names = ("accounts_url", "data_centre", "client_id", "client_secret", "refresh_token")
    return tuple(str(connection.get(name) or "") for name in names)


def connect(
    system: str, connection: Mapping[str, Any], budget: Budget | None = None, tokens: TokenStore | None = None
) -> Zoho:
    """Open a connection; sends nothing yet.

    Keys: `accounts_url` (https://accounts.zoho.eu, by data centre) or `data_centre` (com, eu, in, au, jp, cn, sa, ca);
    `client_id`, `client_secret` and `refresh_token` of a self client. Optional: `notification_token` (of the channel of
    notifications), `api_domain` (used only where a token
    names none), `credits_per_day` (50,000), `keep_credits` (0.1: the share of them that is left to others),
    `parallel` (8 requests under way), `timeout` (60 s), `resend_after_seconds` (twice that; see `settling`), `ca_file`,
    `allow_http`. Without `budget` credits are counted for this process alone, and without `tokens` so are the tokens
    kept. Raises SourceError that names the key and the remedy.
    """
    as_copied(system, connection)
    accounts, domain = addresses(system, connection)
    options: dict[str, Any] = {
        "timeout": number(system, connection, "timeout", 60, most=DAY),
        "ca_file": connection.get("ca_file") or None,
        "allow_http": switch(system, connection, "allow_http"),
    }
    auth = authorized(system, accounts, connection, tokens, options)
    a_day = number(system, connection, "credits_per_day", CREDITS_A_DAY)
    keep = number(system, connection, "keep_credits", KEPT, least=0, most=0.99)
    parallel = number(system, connection, "parallel", PARALLEL, most=AT_ONCE, whole=True)
    judge = Judge(Credits(system, a_day, keep))
    client = RegionalClient(
        system, f"{domain}/", auth=auth, budget=budget or LocalBudget(*LIMITS), classify=judge, connections=parallel,
        **options,
    )  # fmt: skip
    token = str(connection.get("notification_token") or "")
    conceal([token])
    return settling(Zoho(Org(client, parallel, judge), token), connection, client.timeout)
