"""Microsoft Dynamics 365 Sales by the Dataverse Web API v9.2: opportunities with their products, accounts, contacts,
the catalogue and invoices; payment status, shipment and debt back.

    crm = connect("dynamics", {"url": "https://shop.crm4.dynamics.com", "tenant": "...", "client_id": "...",
                               "client_secret": "..."})
    for page in crm.read(["deal", "deal_line", "company"], None, datetime.now(UTC)): ...

Payloads are the vendor's rows, of the columns that the mapping names; a stage has its `position` besides. Changes
come by the vendor's change tracking, a table without it is read by time; see `changes`. A row that was
merged into another is a tombstone, and the survivor's deals, contacts and invoices are read again.

Unconfirmed by public documentation, so that both readings work: whether the delta link of a whole read tells what
changed while it was read (that is read once more by time); whether a link that is too old is refused or answers
with everything (none is used that long); whether a row may be both changed and deleted in one delta (it is asked
for by key); whether a merge gives the rows that it moves a new version; whether links of change tracking work
inside a `$batch` (then each is asked for alone); whether a closed opportunity takes our columns (a refusal is that
row's own); how long a row's stage is kept in `stageid` (`stepname` and `statuscode` may be mapped instead).
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches
from functools import partial
from typing import Any, ClassVar, Final

import msgspec

from resources.budget import Budget
from resources.connector import (
    Capabilities,
    Change,
    Delivery,
    Finding,
    Hint,
    Page,
    Record,
    Refused,
    SourceError,
)
from resources.crm.crm_source import NOTHING, CrmSource, Rows
from resources.crm.dynamics.api import Environment, Request, meaning, query
from resources.crm.dynamics.changes import Asked, Place, place_of, side_by_side, told_apart
from resources.crm.dynamics.check import findings
from resources.crm.dynamics.connection import LIMITS, credentials, opened
from resources.crm.dynamics.entities import (
    DICTIONARIES,
    ENTITIES,
    OPTION_SETS,
    SHAPES,
    STATUS,
    TABLES,
    THEIRS,
    VOLATILE,
    annotated,
    columns,
    either,
    options,
    options_path,
    pipelines,
    stages,
)
from resources.crm.dynamics.hooks import hints
from resources.crm.dynamics.write import Writer, is_key
from resources.crm.rows import Shape
from resources.http import Answer
from resources.parallel import in_order
from resources.tokens import TokenStore

KEYS_AT_ONCE: Final = 60  # in one filter; addresses stay below 8 KB
MANY: Final = 5000  # the vendor counts no further
NEWEST: Final = 50
_MADE: Final[Mapping[str, Callable[[Rows], Rows]]] = {"stage": stages, "pipeline": pipelines}

__all__ = ["LIMITS", "Dynamics", "connect", "credentials"]

log = logging.getLogger(__name__)
_ABSENT: Final = re.compile(r"Could not find a property named '(\w+)' on type '[\w.]*\.(\w+)'")


class Dynamics(Writer, CrmSource):
    """One environment, read and written. Threads may share it.

    `fields_read` (by entity), `fields_written` (by kind) and `mapping_file` are set by whoever knows the mapping:
    only the columns that it names are asked for, or all where nothing was set. `known_places`: see KeepsPlaces.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=ENTITIES,
        writes=("deal", "company", "task"),
        overlap_seconds=3600,
        version="modifiedon",
        volatile=VOLATILE,
    )
    shapes: ClassVar[Mapping[str, Shape]] = SHAPES

    def __init__(
        self,
        environment: Environment,
        *,
        lead_source: tuple[str, str] = ("lead", "leadsourcecode"),
        zone: tzinfo = UTC,
        hook: tuple[str, str] = ("", ""),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(environment.client)
        self.environment = environment
        self.zone = zone
        self.clock = clock
        self.known_places: Mapping[str, str] = {}
        self.places: dict[str, str] = {}
        self.option_columns: Mapping[str, tuple[str, str]] = {"status": STATUS, "lead_source": lead_source}
        self._hook = hook
        self._untracked: set[str] = set()  # tables that turned out to have no change tracking

    def close(self) -> None:
        """End the connections."""
        super().close()
        self.environment.login.close()

    # ---- Source -------------------------------------------------------------------------------

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        """See Source.read: several tables at once, their pages as they come.

        Raises SourceError, also where the mapping names a column that the table does not have.
        """
        wanted = {entity.name for entity in self.known(entities)}
        self.places.clear()
        sources: list[Callable[[], Iterator[Page | tuple[str, str]]]] = [
            partial(self._table, name, since) for name in TABLES if name in wanted
        ]
        if rest := [name for name in (*DICTIONARIES, *OPTION_SETS) if name in wanted]:
            sources.append(partial(self._dictionaries, rest))
        survivors: dict[str, set[str]] = {}
        for found in side_by_side(sources, self.environment.parallel, self.system):
            if isinstance(found, tuple):
                self.places[found[0]] = found[1]
                continue
            if since is not None:
                merged = {record.merged_into for record in found.records if record.merged_into}
                survivors.setdefault(found.entity, set()).update(merged)
            yield found
        yield from self._of_survivors(survivors, wanted)

    def rows(self, entity: str) -> Iterator[Rows]:
        """See CrmSource.rows."""
        if entity in TABLES:
            with self._explained(entity):
                for fetched in self._asked(entity).whole():
                    yield fetched.rows
        else:
            for page in self._dictionaries([entity]):
                payloads = [r.payload for r in page.records] + [r.payload for r in page.rejects]
                yield [msgspec.Raw(payload) for payload in payloads]

    def rows_since(self, entity: str, since: datetime) -> Iterator[Rows]:
        """See CrmSource.rows_since; by time."""
        with self._explained(entity):
            for fetched in self._asked(entity).since(since):
                yield fetched.rows

    def newest(self, entity: str) -> Rows:
        """See CrmSource.newest."""
        return self.environment.fetch(self._asked(entity).newest(), size=NEWEST).rows

    def rows_by_key(self, entity: str, keys: Sequence[str]) -> Iterator[Rows]:
        """See CrmSource.rows_by_key: 60 a request, several under way."""
        asked = self._asked(entity)
        with self._explained(entity):
            yield from self._where(asked, (asked.table.key,), keys)

    def read_keys(self, entity: str, keys: Sequence[str]) -> Iterator[Page]:
        """See ReadsByKey; deals with their lines, merged records with what is their survivors'."""
        keys = [key for key in keys if is_key(key)] if entity in TABLES else keys
        survivors: set[str] = set()
        for page in super().read_keys(entity, keys):
            survivors |= {record.merged_into for record in page.records if record.merged_into}
            yield page
        yield from self._of_survivors({entity: survivors}, set(TABLES))
        lines = self._asked("deal_line")
        for some in _parts(keys) if entity == "deal" else ():
            with self._explained("deal_line"):
                rows = [row for part in self._where(lines, ("_opportunityid_value",), some) for row in part]
            records, rejects = self.records("deal_line", rows)
            yield Page("deal_line", records, complete_parents=some, rejects=rejects)

    def keys_of(self, entity: str) -> Iterator[Sequence[str]]:
        """See CrmSource.keys_of: pages of keys alone, without the merged ones."""
        if entity not in TABLES:
            yield from super().keys_of(entity)
            return
        for _ in range(2):  # nothing at all would delete everything: it is asked for twice
            some = False
            for fetched in self._asked(entity).only_keys():
                some = some or bool(fetched.rows)
                yield self.ids(entity, fetched.rows)
            if some:
                return

    def counts(self, entities: Sequence[str]) -> Mapping[str, int]:
        """See CountsEntities: one request. The vendor counts up to 5000; a larger table is missing."""
        names = [name for name in entities if name in TABLES]
        paths = [query(f"{TABLES[name].set}/$count", where=TABLES[name].living) for name in names]
        found = {}
        for name, answer in zip(
            names, self.environment.batch([Request("GET", p) for p in paths]), strict=True
        ):
            sound = answer is not None and meaning(answer).kind == "ok" and answer.content.isdigit()
            if answer is not None and sound and (count := int(answer.content)) < MANY:
                found[name] = count
        return found

    def changes(self, since: datetime) -> Iterator[Change]:
        """See Source.changes: one request for all tables, where they are quiet.

        A table with a place answers what a read would find, deletions included; another its newest rows.
        """
        asked = {name: self._asked(name) for name in TABLES}
        places = {name: self._place(asked[name], self.clock()) for name in TABLES}
        paths = [place.link if (place := places[name]) else asked[name].newest() for name in TABLES]
        for name, fetched in zip(TABLES, self.environment.many(paths), strict=True):
            if isinstance(fetched, Refused) and places[name] is not None:
                yield Change(name, "", None, "its place is refused: a whole read is due")
                continue
            if isinstance(fetched, SourceError):
                raise fetched
            place = places[name]
            pages = self.environment.follow(place.link, fetched) if place else iter([fetched])
            for page in pages:
                rows, gone = told_apart(page.rows)
                for record in self.records(name, rows)[0]:
                    if record.modified_at is None or places[name] or record.modified_at >= since:
                        yield Change(name, record.source_id, record.modified_at)
                for key in gone:
                    yield Change(name, key, None, "deleted")

    def hear(self, delivery: Delivery) -> Sequence[Hint]:
        """See HearsEvents.hear; `hooks`."""
        return hints(delivery, *self._hook)

    def findings(self) -> Iterator[Finding]:
        """See CrmSource.findings; `check`."""
        return findings(self)

    # ---- Tables -------------------------------------------------------------------------------

    def _table(self, name: str, since: datetime | None) -> Iterator[Page | tuple[str, str]]:
        """Pages of a table, and at the end (entity, place) where there is one."""
        asked = self._asked(name)
        with self._explained(name):
            place = None if since is None else self._place(asked, since)
            if place is not None:
                try:
                    yield from self._delta(asked, place)
                except Refused as error:
                    log.warning("%s: %s is read whole: its place is refused (%s)", self.system, name, error)
                else:
                    return
            if name not in self._untracked:
                try:
                    yield from self._tracked(asked)
                except _Untracked as error:
                    log.info(
                        "%s: %s has no change tracking, and is read by time (%s)", self.system, name, error
                    )
                    self._untracked.add(name)
                else:
                    return
            for fetched in asked.whole() if since is None else asked.since(since):
                yield from self.pages(name, fetched.rows, (), emit=True)
            yield name, ""

    def _tracked(self, asked: Asked) -> Iterator[Page | tuple[str, str]]:
        """Every row, and the place after them. Raises _Untracked where the first page is refused with tracking."""
        name, link, begun = asked.table.entity, "", False
        at = self.clock()
        try:
            for fetched in asked.tracked():
                begun = True
                link = fetched.delta or link
                yield from self.pages(name, fetched.rows, (), emit=True)
        except Refused as error:
            if begun or _ABSENT.search(str(error)):
                raise
            raise _Untracked(str(error)) from None
        yield name, Place(link, asked.mark, at).text() if link else ""

    def _delta(self, asked: Asked, place: Place) -> Iterator[Page | tuple[str, str]]:
        """What was changed and deleted since a place, and the next place. Raises Refused where it is too old."""
        name, link, at = asked.table.entity, "", self.clock()
        stamps: dict[str, datetime | None] = {}
        gone: set[str] = set()
        for fetched in asked.delta(place.link):
            link = fetched.delta or link
            rows, deleted = told_apart(fetched.rows)
            for page in self.pages(name, rows, (), emit=True):
                stamps.update((record.source_id, record.modified_at) for record in page.records)
                yield page
            gone.update(deleted)
            sure = [key for key in deleted if key not in stamps]
            if sure:
                yield Page(name, [Record(key, NOTHING, deleted=True) for key in sure])
        if both := sorted(gone & stamps.keys()):  # changed and deleted: only the table itself knows
            living: set[str] = set()
            for found in self._where(asked, (asked.table.key,), both):
                for page in self.pages(name, found, (), emit=True):
                    living.update(record.source_id for record in page.records)
                    yield page
            yield Page(
                name,
                [Record(key, NOTHING, stamps[key], deleted=True) for key in both if key not in living],
            )
        if not link:
            raise SourceError(
                f"{self.system}: the changes of {name} ended without a link to go on from; the next run reads "
                "them again",
                retriable=True,
            )
        yield name, Place(link, asked.mark, at).text()

    def _of_survivors(self, survivors: Mapping[str, set[str]], wanted: set[str]) -> Iterator[Page]:
        """What belongs to records that others were merged into: it was theirs before, and may keep its stamp."""
        for entity, keys in survivors.items():
            for child, names in THEIRS.get(entity, {}).items() if keys else ():
                if child not in wanted:
                    continue
                with self._explained(child):
                    for rows in self._where(self._asked(child), names, sorted(keys)):
                        yield from self.pages(child, rows, (), emit=True)

    def _where(self, asked: Asked, names: Sequence[str], keys: Sequence[str]) -> Iterator[Rows]:
        def some(part: Sequence[str]) -> list[Rows]:
            return [fetched.rows for fetched in asked.where(either(names, part))]

        for pages in in_order(some, _parts(keys), self.environment.parallel, self.system):
            yield from pages

    def _asked(self, entity: str) -> Asked:
        table = TABLES[entity]
        named = self.fields_read.get(entity, ())
        select = columns(table, named, not self.fields_read)
        return Asked(self.environment, table, select, annotated(named))

    def _place(self, asked: Asked, since: datetime) -> Place | None:
        """The stored place of a table, where it can be used."""
        place = place_of(self.known_places.get(asked.table.entity))
        reach = timedelta(seconds=self.capabilities.overlap_seconds) + timedelta(days=1)
        base = self.client.base_url
        if place is None or not place.is_good(asked.mark, base, since, self.clock(), reach):
            return None
        return place

    # ---- Dictionaries --------------------------------------------------------------------------

    def _dictionaries(self, names: Sequence[str]) -> Iterator[Page]:
        """Each as one complete page, all of them by one request."""
        paths = {name: self._dictionary_path(name) for name in names}
        answers = self.environment.answers(list(paths.values()))
        for (name, path), answer in zip(paths.items(), answers, strict=True):
            with self._explained(name):
                if isinstance(answer, SourceError):
                    raise self._no_options(name, answer) if name in OPTION_SETS else answer
                rows = self._options(name, answer) if name in OPTION_SETS else self._all_rows(path, answer)
                records, rejects = self.records(name, _MADE[name](rows) if name in _MADE else rows)
                yield Page(name, records, complete=True, rejects=rejects)

    def _dictionary_path(self, name: str) -> str:
        if name in OPTION_SETS:
            return options_path(*self.option_columns[name])
        table = DICTIONARIES[name]
        named = [column for column in self.fields_read.get(name, ()) if column != "position"]
        return query(table.set, select=columns(table, named, not self.fields_read), where=table.where)

    def _all_rows(self, path: str, first: Answer) -> list[msgspec.Raw]:
        pages = self.environment.follow(path, self.environment.page_of(path, first))
        return [row for page in pages for row in page.rows]

    def _options(self, name: str, answer: Answer) -> list[msgspec.Raw]:
        try:
            return options(answer.content)
        except msgspec.DecodeError as error:
            table, column = self.option_columns[name]
            raise SourceError(
                f"{self.system}: the options of {table}.{column} cannot be read ({error})", retriable=True
            ) from None

    def _no_options(self, name: str, error: SourceError) -> SourceError:
        if not isinstance(error, Refused) or name == "status":
            return error
        table, column = self.option_columns[name]
        return SourceError(
            f"{self.system}: there is no option column {table}.{column} to take {name} from ({error}); name "
            f"another as `{name}` in the connection, table.column"
        )

    # ---- Columns ------------------------------------------------------------------------------

    def columns_of(self, table: str) -> dict[str, str]:
        """The columns of a table as its rows name them, with their types. Raises SourceError."""
        path = f"EntityDefinitions(LogicalName='{table}')/Attributes?$select=LogicalName,AttributeType"
        found = {}
        for row in self.environment.listed(path):
            name, kind = str(row["LogicalName"]), str(row.get("AttributeType") or "")
            found[f"_{name}_value" if kind in ("Lookup", "Owner", "Customer") else name] = kind
        return found

    @contextlib.contextmanager
    def _explained(self, entity: str) -> Iterator[None]:
        """Words for a column that is not there, with the nearest one that is."""
        try:
            yield
        except Refused as error:
            absent = _ABSENT.search(str(error))
            if absent is None:
                raise
            name, table = absent[1], absent[2]
            near: list[str] = []
            with contextlib.suppress(SourceError, KeyError, TypeError):
                near = get_close_matches(name, self.columns_of(table), 1, 0.75)
            remedy = f"did you mean {near[0]}? Correct it in" if near else "create it, or take it out of"
            raise SourceError(
                f"{self.system}: {entity} has no column {name} (table {table}), which the mapping reads; "
                f"{remedy} {self.mapping_file}"
            ) from None


class _Untracked(Exception):
    """The table has no change tracking."""


def connect(
    system: str, connection: Mapping[str, Any], budget: Budget | None = None, tokens: TokenStore | None = None
) -> Dynamics:
    """Open a connection; sends nothing yet.

    Keys: `url` (https://<org>.crm<N>.dynamics.com), `tenant`, `client_id`, `client_secret` of an app registration in
    Entra ID that has an application user in the environment. Optional: `api` (<url>/api/data/v9.2), `token_url`
    (Entra ID's page of the tenant), `scope` (<url>/.default), `lead_source` (table.column of the option set of lead
    sources, lead.leadsourcecode), `timezone` (of tasks' deadlines, UTC), `webhook_key` and `webhook_header` (what
    webhooks bear), `rate_per_second` (19.3), `burst` (200), `parallel` (4 requests under way), `page` (5000 rows),
    `timeout` (120 s), `ca_file`, `allow_http`. Without `budget` the rate is kept for this process alone, and without
    `tokens` so are the tokens. Raises SourceError that names the key and the remedy.
    """
    found = opened(system, connection, budget, tokens)
    return Dynamics(found.environment, lead_source=found.lead_source, zone=found.zone, hook=found.hook)


def _parts(keys: Sequence[str]) -> list[Sequence[str]]:
    return [keys[start : start + KEYS_AT_ONCE] for start in range(0, len(keys), KEYS_AT_ONCE)]
