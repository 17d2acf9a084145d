"""amoCRM (Kommo), API v4: leads with their lines, companies, contacts, products; payment status and debt back.

    crm = connect("amocrm", {"base_url": "https://shop.amocrm.ru", "long_lived_token": "..."})
    for page in crm.read(["deal", "company"], None, datetime.now(UTC)): ...

Payloads are the vendor's objects; custom fields that the mapping names by code or number stand at the top of
them too (see `entities`). A stage is keyed pipeline/status, since 142 (won) and 143 (lost) are in every
pipeline. Lines are the lead's linked catalog elements, inside the lead.

Unconfirmed by public documentation, so that both readings work: whether a bound of `filter[updated_at]` is
within it; whether the account has that filter at all; whether `order` is known to a list; what an event of a merge
holds; whether a deletion or a restoration changes `updated_at`; whether a refusal for the rate says for how long;
whether a batch is refused whole or in part; whether webhooks name companies under `contacts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

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
    Reject,
    SourceError,
)
from resources.crm.amocrm.account import PAGE, Account, CustomField, Judge, Listing
from resources.crm.amocrm.check import findings
from resources.crm.amocrm.entities import (
    BARE,
    CATALOGS,
    DAYS,
    DICTIONARIES,
    ENTITIES,
    MAIN,
    PARTS,
    SHAPES,
    VOLATILE,
    Lift,
    heads,
    own_fields,
)
from resources.crm.amocrm.events import EventLog, Told
from resources.crm.amocrm.hooks import hints
from resources.crm.amocrm.lists import backwards, by_key, changed, whole
from resources.crm.amocrm.token import authorized
from resources.crm.amocrm.write import Writer
from resources.crm.crm_source import NOTHING, CrmSource, Rows
from resources.crm.rows import Shape
from resources.http import Client, settling
from resources.tokens import TokenStore

# Requests a second, and how many at once. The vendor counts seven in any second. At 6.8 (6.6 of which the budget
# uses, 94 per cent) the eighth leaves 61 ms after that second: so much a busy machine or line may shift it. At 6.9
# two of 210 were refused on a machine with three times its cores at work; here none. At 6.65 whole reads, which wait
# here and there for an answer before they can ask on, came to 0.89 of what is permitted.
LIMITS: Final = (6.8, 7.0)
PARALLEL: Final = 6  # pages under way at once: a page of 250 rows takes the better part of a second
BIN_PAGES: Final = 4  # of the recycle bin, newest first


class AmoCRM(Writer, CrmSource):
    """One account, read and written. Threads may share it.

    `fields_read` (by entity), `fields_written` (by kind) and `mapping_file` are set by whoever knows the mapping.
    What they name besides the vendor's own fields are custom fields, by code or by number.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=ENTITIES,
        writes=("deal", "company", "task"),
        overlap_seconds=3600,
        version="stamp",  # of a record read back: when our write changed it
        volatile=VOLATILE,
    )
    shapes: ClassVar[Mapping[str, Shape]] = SHAPES

    def __init__(self, account: Account, zone: tzinfo | None = None) -> None:
        super().__init__(account.client)
        self.account = account
        self.zone = zone
        self._tasks: dict[str, str] = {}
        self.log = EventLog(account)
        self._catalogs: dict[str, list[int]] | None = None
        # Facts of the log: they only grow, and are the same for every thread.
        self._restored: dict[str, dict[str, datetime]] = {}

    # ---- Source -------------------------------------------------------------------------------

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        """See Source.read. The log of events is asked once: what it names is read again by id.

        Raises SourceError, also where the mapping names a custom field that the account does not have.
        """
        wanted = [entity.name for entity in self.known(entities)]
        main = [name for name in wanted if name in MAIN]
        for name in wanted:
            self._expect_fields(name)
        told = Told()
        if main:
            told = self.log.restorations() if since is None else self.log.since(since)
            self._remember(told)
        self._catalogs = None
        for name in main:
            if since is None:
                for rows in self.rows(name):
                    yield from self.pages(name, rows, (), emit=True)
            else:
                yield from self._changes_of(name, since, told)
        yield from self._dictionaries([name for name in wanted if name not in MAIN])

    def rows(self, entity: str) -> Iterator[Rows]:
        """See CrmSource.rows."""
        yield from self._listed(entity, MAIN)

    def keys_of(self, entity: str) -> Iterator[Sequence[str]]:
        """See CrmSource.keys_of: the same pages, without what is linked."""
        for rows in self._listed(entity, BARE):
            yield self.ids(entity, rows)

    def rows_since(self, entity: str, since: datetime) -> Iterator[Rows]:
        """See CrmSource.rows_since; by stamp alone."""
        yield from changed(self.account, MAIN[entity], since)

    def newest(self, entity: str) -> Rows:
        """See CrmSource.newest."""
        return self.account.page(BARE[entity].asked({"order[updated_at]": "desc"}), 1).rows

    def rows_by_key(self, entity: str, keys: Sequence[str]) -> Iterator[Rows]:
        """See CrmSource.rows_by_key."""
        yield from by_key(self.account, MAIN[entity], keys, alone=True)

    def read_keys(self, entity: str, keys: Sequence[str]) -> Iterator[Page]:
        """See ReadsByKey."""
        self._expect_fields(entity)
        if entity in MAIN:
            self._remember(self.log.restorations())
        yield from super().read_keys(entity, keys)

    def changes(self, since: datetime) -> Iterator[Change]:
        """See Source.changes: the newest of companies, contacts and leads, and the newest deletions; four requests."""
        yield from super().changes(since)
        told = self.log.newest_deletions()
        # What was deleted before the last read began is news no more, whether or not it was ever stored.
        low = max(since, datetime.now(UTC) - timedelta(seconds=self.capabilities.overlap_seconds - 300))
        for entity in MAIN:
            for key, at in told.deleted.get(entity, {}).items():
                if at >= low:
                    yield Change(entity, key, at)

    def hear(self, delivery: Delivery) -> Sequence[Hint]:
        """See HearsEvents.hear; `hooks`."""
        return hints(delivery)

    def findings(self) -> Iterator[Finding]:
        """See CrmSource.findings; `check`."""
        return findings(self)

    # ---- Changes ------------------------------------------------------------------------------

    def _changes_of(self, entity: str, since: datetime, told: Told) -> Iterator[Page]:
        met: set[str] = set()
        for rows in self.rows_since(entity, since):
            met.update(str(head.id) for head in heads(rows))
            yield from self.pages(entity, rows, (), emit=True)
        again = self._named(entity, told) - met
        gone = self._gone(entity, since, told)
        living: set[str] = set()
        for rows in by_key(self.account, MAIN[entity], sorted(again | set(gone), key=int)):
            found = {key for row in rows if (key := self.shapes[entity].key_of(row))}
            living |= found
            # There, though the log says it was deleted: it was restored after that.
            self._remember(Told(restored={entity: {key: gone[key] for key in found & gone.keys()}}))
            yield from self.pages(entity, rows, (), emit=True)
        merged = told.merged.get(entity, {})
        tombstones = [
            Record(key, NOTHING, at, deleted=True, merged_into=merged.get(key))
            for key, at in gone.items()
            if key not in living
        ]
        if tombstones:
            yield Page(entity, tombstones)

    def _named(self, entity: str, told: Told) -> set[str]:
        """What the log names and stamps may not tell of: links, restorations, survivors and what is theirs."""
        named = told.touched.get(entity, set()) | set(told.restored.get(entity, {}))
        named |= told.survivors.get(entity, set())
        for kind, part in (
            ("company", {"deal": "leads", "contact": "contacts"}),
            ("contact", {"deal": "leads"}),
        ):
            if entity in part:
                for key in sorted(told.survivors.get(kind, ()), key=int):
                    row = self.account.one(f"{MAIN[kind].path}/{key}", {"with": ",".join(part.values())})
                    named |= _embedded(row, part[entity])
        return named

    def _gone(self, entity: str, since: datetime, told: Told) -> dict[str, datetime]:
        """When each was deleted, by the log; of leads by the recycle bin too."""
        gone = dict(told.deleted.get(entity, {}))
        if entity != "deal":
            return gone
        bin_ = Listing("leads", "leads", {"with": "only_deleted", "order[updated_at]": "desc"})
        for got in self.account.pages(bin_):
            found = heads(got.rows)
            for record in self.records(entity, got.rows)[0]:
                at = record.modified_at
                if record.deleted and at is not None and at >= since:
                    gone.setdefault(record.source_id, at)
            if got.number >= BIN_PAGES or (found and found[-1].updated_at < since.timestamp()):
                break
        return gone

    def _remember(self, told: Told) -> None:
        for entity, times in told.restored.items():
            known = self._restored.setdefault(entity, {})
            for key, at in times.items():
                known[key] = max(at, known.get(key, at))

    # ---- Lists and records ---------------------------------------------------------------------

    def _listed(self, entity: str, lists: Mapping[str, Listing]) -> Iterator[Rows]:
        if entity in lists:
            yield from whole(self.account, self.log, entity, lists[entity])
        elif entity in DICTIONARIES:
            yield self.account.all_rows(DICTIONARIES[entity])
        else:
            for number in self._catalog_ids(entity):
                if entity == "price_list":
                    fields = self.account.all_rows(
                        Listing(f"catalogs/{number}/custom_fields", "custom_fields")
                    )
                    yield [row for row in fields if _is_price(row)]
                else:
                    yield from backwards(self.account, Listing(f"catalogs/{number}/elements", "elements"))

    def _dictionaries(self, wanted: Sequence[str]) -> Iterator[Page]:
        """Each as one complete page; products and their prices of the same rows."""
        both = {"product", "product_price"} <= set(wanted)
        for name in wanted:
            if name == "product" and both:
                rows = [row for part in self.rows("product") for row in part]
                for entity in ("product", "product_price"):
                    records, rejects = self.records(entity, rows)
                    yield Page(entity, records, complete=True, rejects=rejects)
            elif not (name == "product_price" and both):
                yield self.whole_page(name)

    def records(self, entity: str, rows: Rows) -> tuple[list[Record], list[Reject]]:
        """See CrmSource.records: custom fields lifted, stages and prices taken out of what holds them."""
        rejects: list[Reject] = []
        if entity in PARTS:
            try:
                rows = PARTS[entity](rows)
            except msgspec.DecodeError as error:
                raise SourceError(
                    f"{self.system}: {entity} is not as API v4 gives it ({error}); tell who keeps this connector"
                ) from None
        else:
            rows, rejects = self._lifted(entity, rows)
        records, keyless = super().records(entity, rows)
        back = self._restored.get(entity)
        if back:
            records = [_restored(record, back) for record in records]
        return records, [*rejects, *keyless]

    def _lifted(self, entity: str, rows: Rows) -> tuple[list[msgspec.Raw], list[Reject]]:
        lift = self._lift(entity)
        lifted, rejects = [], []
        for row in rows:
            try:
                lifted.append(lift(row))
            except (msgspec.DecodeError, ValueError, OverflowError) as error:
                number = self.shapes[entity].key_of(row)
                reason = f"its custom fields cannot be read ({error}); look at it in {self.system}"
                place = f"{entity} {number or 'without a number'}"
                rejects.append(Reject(place, reason, bytes(row), number if entity == "deal" else None))
        return lifted, rejects

    def _lift(self, entity: str) -> Lift:
        named = self.fields_read.get(entity, ())
        days = {day: moment for day, moment in DAYS.get(entity, {}).items() if day in named}
        return Lift(
            frozenset(own_fields(entity, self.fields_written.get(entity, ()))),
            frozenset(own_fields(entity, named)),
            days,
            self.clock() if days else UTC,
        )

    def _catalog_ids(self, entity: str) -> list[int]:
        if self._catalogs is None:
            self._catalogs = self.account.catalogs()
        return self._catalogs.get(CATALOGS[entity], [])

    def fields_of(self, entity: str) -> list[CustomField]:
        """The custom fields that records of an entity have in this account."""
        if entity in MAIN:
            return self.account.custom_fields(MAIN[entity].path)
        return [
            found
            for number in self._catalog_ids(entity)
            for found in self.account.custom_fields(f"catalogs/{number}")
        ]

    def absent_fields(self, entity: str, names: Sequence[str]) -> dict[str, str]:
        """Those of the names that no custom field bears, each with the nearest that is there, or ""."""
        wanted = own_fields(entity, names)
        there = self.fields_of(entity) if wanted else []
        known = {name for field in there for name in (field.code, field.id) if name}
        plain = {name.casefold(): name for name in sorted(known)}
        return {
            name: plain[near[0]] if (near := get_close_matches(name.casefold(), plain, 1, 0.75)) else ""
            for name in wanted
            if name not in known
        }

    def _expect_fields(self, entity: str) -> None:
        for name, near in self.absent_fields(entity, self.fields_read.get(entity, ())).items():
            remedy = f"did you mean {near}? Correct it in" if near else "create it, or take it out of"
            raise SourceError(
                f"{self.system}: {entity} has no custom field {name}, by code or by number, which the mapping "
                f"reads; {remedy} {self.mapping_file}"
            )


def credentials(connection: Mapping[str, Any]) -> tuple[str, ...]:
    """By what the tokens of this connection are granted."""
    names = ("base_url", "client_id", "client_secret", "refresh_token", "code", "long_lived_token")
    return tuple(str(connection.get(name) or "") for name in names)


def connect(
    system: str, connection: Mapping[str, Any], budget: Budget | None = None, tokens: TokenStore | None = None
) -> AmoCRM:
    """Open a connection; sends nothing yet.

    Keys: `base_url` (https://<subdomain>.amocrm.ru or .kommo.com); and `client_id`, `client_secret`,
    `redirect_uri` and `refresh_token` or `code` of an integration, or `long_lived_token` of a private one, which
    is used where the others are not all there. Optional: `timezone` (of the day of closing and of tasks' deadlines;
    the account's own where it is not given), `rate_per_second` (6.8), `burst` (7), `parallel` (6 pages under
    way), `page` (250 rows), `timeout` (60 s), `resend_after_seconds` (twice that; see `settling`), `ca_file`, `allow_http`.
    Without `budget` the rate is kept for this process alone, and without `tokens` so are the tokens. Raises SourceError
    that names the key and the remedy.
    """
    as_copied(system, connection)
    base = str(connection.get("base_url") or "").strip().rstrip("/")
    if not base and connection.get("subdomain"):
        base = f"https://{str(connection['subdomain']).strip()}.amocrm.ru"
    address = urlsplit(base)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise SourceError(
            f"{system}: the connection's base_url is no address; it looks like https://<subdomain>.amocrm.ru"
        )
    if address.hostname in ("www.amocrm.ru", "amocrm.ru", "www.amocrm.com", "www.kommo.com", "kommo.com"):
        raise SourceError(
            f"{system}: the connection's base_url is the vendor's own site; use the account's, "
            "https://<subdomain>.amocrm.ru"
        )
    zone = None
    if name := connection.get("timezone"):
        try:
            zone = ZoneInfo(str(name))
        except (ZoneInfoNotFoundError, ValueError):
            raise SourceError(
                f"{system}: there is no time zone {name!r}; use one like Europe/Moscow as timezone"
            ) from None
    budget = budget or LocalBudget(
        number(system, connection, "rate_per_second", LIMITS[0]),
        number(system, connection, "burst", LIMITS[1]),
    )
    judge = Judge(budget.block)
    parallel = number(system, connection, "parallel", PARALLEL, most=AT_ONCE, whole=True)
    options: dict[str, Any] = {
        "budget": budget,
        "timeout": number(system, connection, "timeout", 60, most=DAY),
        "ca_file": connection.get("ca_file") or None,
        "allow_http": switch(system, connection, "allow_http"),
    }
    auth, headers, secrets = authorized(system, f"{base}/", connection, tokens, options)
    client = Client(
        system, f"{base}/", auth=auth, headers={**headers, "Accept": "application/hal+json, application/json"},
        secrets=secrets, classify=judge, connections=parallel + 2, **options,
    )  # fmt: skip
    size = number(system, connection, "page", PAGE, most=PAGE, whole=True)
    return settling(AmoCRM(Account(client, parallel, size), zone), connection, client.timeout)


class _Part(msgspec.Struct):
    id: int


class _Parts(msgspec.Struct, rename={"embedded": "_embedded"}):
    embedded: dict[str, msgspec.Raw] = {}


class _Typed(msgspec.Struct):
    type: str = ""


def _embedded(row: msgspec.Raw | None, part: str) -> set[str]:
    if row is None:
        return set()
    inside = msgspec.json.decode(row, type=_Parts).embedded.get(part)
    return {str(one.id) for one in msgspec.json.decode(inside, type=list[_Part])} if inside else set()


def _is_price(row: msgspec.Raw) -> bool:
    return msgspec.json.decode(row, type=_Typed).type in ("price", "monetary")


def _restored(record: Record, back: Mapping[str, datetime]) -> Record:
    """A restored record is newer than its deletion, whatever its own stamp says."""
    at = back.get(record.source_id)
    if at is None or record.deleted or (record.modified_at is not None and record.modified_at >= at):
        return record
    return Record(record.source_id, record.payload, at.astimezone(UTC), record.parent_id)
