"""Megaplan, API v3: deals with their lines and invoices, companies and persons with their requisites, products.

    crm = connect("megaplan", {"url": "https://shop.megaplan.ru", "username": "...", "password": "..."})
    for page in crm.read(["deal", "company"], None, datetime.now(UTC)): ...

Payloads are the vendor's objects, made to stand by themselves (`rows`): links to records that are read
apart are bare links, other linked records are whole, a `DateOnly` gains its day as `value`. Lines (`positions`) and
invoices come inside the deal, requisites (`payers`) inside the company or person: the mapping takes them with `each`.

Unconfirmed by public documentation, so that both readings work: whether lists can be filtered by `timeUpdated`
(sorting by it is documented), and by a linked record; what follows a row that was deleted between two pages; how many
rows, links and calls one request may have; whether a batch counts as one request; whether lists hold dropped
contractors; whether a bare field of a list is absent or null; the address of advertising ways; how a webhook names
its model. A merge names no survivor: the loser counts as deleted, and the deals and contacts of every company that
changed are read again, since a merge moves them without a new stamp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from resources.budget import Budget, LocalBudget
from resources.connection import DAY, as_copied, number, switch
from resources.connector import (
    Capabilities,
    Change,
    Delivery,
    Finding,
    Hint,
    Page,
    Record,
    Reject,
    SourceError,
)
from resources.crm.crm_source import NOTHING, CrmSource, Rows
from resources.crm.megaplan.account import API, CALLS, LINKS, PAGE, Account, judge
from resources.crm.megaplan.check import findings
from resources.crm.megaplan.entities import (
    CLIENTS,
    ENTITIES,
    INSIDE,
    LISTINGS,
    MAIN,
    PAYERS,
    SHAPES,
    VOLATILE,
    own_fields,
)
from resources.crm.megaplan.hooks import hints
from resources.crm.megaplan.lists import Lists
from resources.crm.megaplan.rows import Standing, fields_in, heads, key_of, owned, parts_of, stages
from resources.crm.megaplan.token import authorized
from resources.crm.megaplan.write import Writer
from resources.crm.rows import Shape
from resources.http import Client, settling
from resources.tokens import TokenStore

# Requests a second, and how many at once. The vendor counts 3,000 in an hour: what leaks in an hour and a burst
# together stay below.
LIMITS: Final = (3000 / 3600, 90.0)
CONNECTIONS: Final = 8

OurOwn = Callable[[str, Sequence[str]], Mapping[str, datetime]]


class Megaplan(Writer, CrmSource):
    """One account, read and written. Threads may share it.

    `fields_read` (by entity), `fields_written` (by kind) and `mapping_file` are set by whoever knows the mapping,
    `known_stamps` by whoever stores the records.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=ENTITIES,
        writes=("deal", "company", "task"),
        overlap_seconds=3600,
        version="stamp",  # of a record read back: when our write changed it
        volatile=VOLATILE,
    )
    shapes: ClassVar[Mapping[str, Shape]] = SHAPES

    def __init__(self, account: Account) -> None:
        super().__init__(account.client)
        self.account = account
        self.lists = Lists(
            account, lambda entity: self.fields_read.get(entity, ()), lambda: self.mapping_file
        )
        self.known_stamps: OurOwn | None = None
        self._money: dict[str, dict[str, bool]] = {}
        self._base = ""
        self._made: dict[str, str] = {}

    # ---- Source -------------------------------------------------------------------------------

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        """See Source.read. After a change of companies or persons their deals and contacts are read again.

        Raises SourceError, also where the mapping names a field that the account does not have.
        """
        wanted = [entity.name for entity in self.known(entities)]
        parts = [name for name in INSIDE if name in wanted]
        needed = {*wanted, *(owner for name in parts for owner in INSIDE[name].owners)}
        changed: dict[str, dict[str, None]] = {name: {} for name in CLIENTS}
        people: dict[str, None] = {}
        met: set[str] = set()
        for name in (entity.name for entity in ENTITIES if entity.name in needed and entity.parent is None):
            if name not in MAIN:
                yield self.whole_page(name)
                continue
            for rows in self.rows(name) if since is None else self.rows_since(name, since):
                found = dict.fromkeys(str(head.id) for head in heads(rows) if head is not None)
                if name == "deal":
                    met.update(found)
                elif name in CLIENTS and since is not None:
                    changed[name] |= found
                    links = (one for row in rows for one in heads(parts_of(row, "contacts")))
                    people |= dict.fromkeys(str(head.id) for head in links if head is not None)
                yield from self.pages(name, rows, parts, emit=name in wanted)
        if "contact" in wanted:
            for rows in self.rows_by_key("contact", [key for key in people if key not in changed["contact"]]):
                yield from self.pages("contact", rows, parts, emit=True)
        if "deal" in wanted:
            yield from self._deals_of(changed, met, parts)

    def rows(self, entity: str) -> Iterator[Rows]:
        """See CrmSource.rows."""
        yield from self.lists.rows(LISTINGS[entity])

    def rows_since(self, entity: str, since: datetime) -> Iterator[Rows]:
        """See CrmSource.rows_since; without what nobody but us has changed."""
        for rows in self.lists.changed(LISTINGS[entity], since):
            found = heads(rows)
            ours: Mapping[str, datetime] = {}
            if self.known_stamps is not None:
                ours = self.known_stamps(entity, [str(head.id) for head in found if head is not None])
            kept = [
                row for row, head in zip(rows, found, strict=True)
                if head is None or head.at is None or ours.get(str(head.id)) != head.at
            ]  # fmt: skip
            if kept:
                yield kept

    def rows_by_key(self, entity: str, keys: Sequence[str]) -> Iterator[Rows]:
        """See CrmSource.rows_by_key."""
        yield from self.lists.by_key(LISTINGS[entity], list(keys))

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        """See Source.keys."""
        self.known([entity])
        yield from self.keys_of(entity)

    def keys_of(self, entity: str) -> Iterator[Sequence[str]]:
        """See CrmSource.keys_of: pages of keys alone."""
        if entity == "stage":
            yield from super().keys_of(entity)
        elif entity in INSIDE:
            for owner in INSIDE[entity].owners:
                yield from self.lists.keys(LISTINGS[owner], INSIDE[entity].field)
        else:
            yield from self.lists.keys(LISTINGS[entity])

    def read_keys(self, entity: str, keys: Sequence[str]) -> Iterator[Page]:
        """See ReadsByKey. What a batch leaves out is asked for by itself before it counts as gone.

        Raises SourceError where a record is there and may not be seen.
        """
        if entity not in MAIN:
            yield from super().read_keys(entity, keys)
            return
        asked = list(dict.fromkeys(keys))
        met: set[str] = set()
        for rows in self.rows_by_key(entity, asked):
            met.update(str(head.id) for head in heads(rows) if head is not None)
            yield from self.pages(entity, rows, tuple(INSIDE), emit=True)
        absent = [key for key in asked if key not in met]
        if hidden := self._hidden(entity, absent):
            raise SourceError(
                f"{self.system}: {entity} {', '.join(hidden[:5])} is there and may not be seen; give the user of the "
                "connection the right to see all of them"
            )
        if absent:
            yield Page(entity, [Record(key, NOTHING, deleted=True) for key in absent])

    def hear(self, delivery: Delivery) -> Sequence[Hint]:
        """See HearsEvents.hear; `hooks`."""
        return hints(delivery)

    def findings(self) -> Iterator[Finding]:
        """See CrmSource.findings; `check`."""
        return findings(self)

    def changes(self, since: datetime) -> Iterator[Change]:
        """See Source.changes: the newest of deals, companies, persons and products, in one request."""
        listings = [LISTINGS[name] for name in MAIN]
        for listing, rows in self.lists.newest_of(listings):
            for record in self.records(listing.entity, rows)[0]:
                if record.modified_at is not None and record.modified_at >= since:
                    yield Change(listing.entity, record.source_id, record.modified_at)

    def records(self, entity: str, rows: Rows) -> tuple[list[Record], list[Reject]]:
        """See CrmSource.records: stages are taken out of their programs."""
        return super().records(entity, stages(rows) if entity == "stage" else rows)

    def pages(self, entity: str, rows: Rows, children: Sequence[str], *, emit: bool) -> Iterator[Page]:
        """See CrmSource.pages: parts stand inside their owners' rows, and are complete wherever those come."""
        yield from super().pages(entity, rows, (), emit=emit)
        for child in children:
            inside = INSIDE[child]
            if entity not in inside.owners:
                continue
            held = [
                (str(head.id), [] if head.dropped else owned(parts_of(row, inside.field), inside.owner, head))
                for row, head in zip(rows, heads(rows), strict=True)
                if head is not None
            ]
            whole = self._completed(child, [part for _, parts in held for part in parts])
            records: list[Record] = []
            rejects: list[Reject] = []
            for owner, parts in held:
                good, bad = super().records(child, [whole.get(key_of(part), part) for part in parts])
                records += [replace(record, parent_id=owner) for record in good]
                rejects += bad
            yield Page(child, records, complete_parents=[owner for owner, _ in held], rejects=rejects)

    def _completed(self, entity: str, parts: Sequence[msgspec.Raw]) -> dict[str, msgspec.Raw]:
        """Requisites that came without custom fields that the mapping names, by id: asked for whole.

        Raises SourceError for a field that the account does not have.
        """
        names = own_fields(self.fields_read.get(entity, ())) if entity == "requisite" else []
        if not names:
            return {}
        bare = [key_of(part) for part in parts if not all(name in fields_in(part) for name in names)]
        whole: dict[str, msgspec.Raw] = {}
        for start in range(0, len(bare), LINKS):
            found = self.account.by_links(PAYERS.types[0], bare[start : start + LINKS])
            for row in Standing(found, frozenset(PAYERS.types)).rows():
                for name in names:
                    if name not in fields_in(row):
                        raise self.lists.no_field(entity, name)
                whole[key_of(row)] = row
        return whole

    # ---- Merges and deletions -----------------------------------------------------------------

    def _deals_of(
        self, changed: Mapping[str, Mapping[str, None]], met: set[str], parts: Sequence[str]
    ) -> Iterator[Page]:
        """Deals of clients that changed, except those met already."""
        for entity, kind, name in (
            ("company", "ContractorCompany", "contractor"),
            ("contact", "ContractorHuman", "contractor"),
            ("contact", "ContractorHuman", "contact"),
        ):
            for rows in self.lists.linked(LISTINGS["deal"], name, kind, list(changed[entity])):
                found = heads(rows)
                new = [
                    row for row, head in zip(rows, found, strict=True)
                    if head is not None and str(head.id) not in met
                ]  # fmt: skip
                met.update(str(head.id) for head in found if head is not None)
                if new:
                    yield from self.pages("deal", new, parts, emit=True)

    def _hidden(self, entity: str, keys: Sequence[str]) -> list[str]:
        """Those of the records that are there all the same, asked for one by one within a batch."""
        path = self.account.path(LISTINGS[entity])
        hidden: list[str] = []
        for start in range(0, len(keys), CALLS):
            part = list(keys[start : start + CALLS])
            answers = self.account.bulk([("GET", f"{path}/{key}", None) for key in part])
            for key, said in zip(part, answers, strict=True):
                if said.status == 403:
                    hidden.append(key)
                elif said.status not in (200, 404, 410, 422):
                    raise SourceError(
                        f"{self.system}: {entity} {key} cannot be asked for (status {said.status}: {said.words}); "
                        "try again later",
                        retriable=True,
                    )
        return hidden


def credentials(connection: Mapping[str, Any]) -> tuple[str, ...]:
    """By what the tokens of this connection are granted."""
    return tuple(str(connection.get(name) or "") for name in ("url", "username", "password", "refresh_token"))


def connect(
    system: str, connection: Mapping[str, Any], budget: Budget | None = None, tokens: TokenStore | None = None
) -> Megaplan:
    """Open a connection; sends nothing yet.

    Keys: `url` (https://<account>.megaplan.ru, or that of a boxed Megaplan); and `username` with `password`, or
    `application_token`, used where the former are not given. Optional: `refresh_token`, `rate_per_second` (0.83),
    `burst` (90), `page` (500 rows), `timeout` (60 s), `resend_after_seconds` (twice that; see `settling`),
    `ca_file`, `allow_http`. Without `budget` the rate is kept for this process alone, and without `tokens` so are the
    tokens. Raises SourceError that names the key and the remedy.
    """
    as_copied(system, connection)
    base = str(connection.get("url") or "").strip().rstrip("/")
    base = base.removesuffix("/api/v3")
    found = urlsplit(base)
    if found.scheme not in ("http", "https") or not found.hostname:
        raise SourceError(
            f"{system}: the connection's url is no address; it looks like https://<account>.megaplan.ru"
        )
    if found.hostname in ("megaplan.ru", "www.megaplan.ru"):
        raise SourceError(
            f"{system}: the connection's url is the vendor's own site; use the account's, https://<account>.megaplan.ru"
        )
    budget = budget or LocalBudget(
        number(system, connection, "rate_per_second", LIMITS[0]),
        number(system, connection, "burst", LIMITS[1]),
    )
    options: dict[str, Any] = {
        "budget": budget,
        "timeout": number(system, connection, "timeout", 60, most=DAY),
        "ca_file": connection.get("ca_file") or None,
        "allow_http": switch(system, connection, "allow_http"),
    }
    auth, headers, secrets = authorized(system, f"{base}/{API}", connection, tokens, options)
    client = Client(
        system,
        f"{base}/",
        auth=auth,
        headers=headers,
        secrets=secrets,
        classify=judge,
        connections=CONNECTIONS,
        **options,
    )
    account = Account(client, number(system, connection, "page", PAGE, whole=True))
    return settling(Megaplan(account), connection, client.timeout)
