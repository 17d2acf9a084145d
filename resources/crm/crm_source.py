"""What connectors of CRMs do alike, whatever the vendor: one class to inherit, a handful of methods to give.

A vendor's connector says how its rows name themselves (`shapes`), and yields rows; records, rejects, pages,
children, dictionaries, tombstones, reading by key and hints of change are made of them here.

    class Zoho(CrmSource):
        capabilities = Capabilities(entities=(...))
        shapes = {"deal": Shape("deal", stamp=("Modified_Time",)), ...}

        def rows(self, entity): ...            every living record, in pages
        def rows_since(self, entity, since): ...   what was changed since
        def newest(self, entity): ...          the latest by stamp, one request
        def rows_by_key(self, entity, keys): ...
        def gone(self, entity, since): ...     tombstones, where the vendor tells of deletions
        def children(self, entity, parents): ...   of an entity that comes with its parent by another request
        def pages(self, entity, rows, children, *, emit): ...   where rows hold their children inside

Pages are yielded as they come, so that memory stays flat whatever the number of records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Final

import msgspec

from resources.connector import (
    Capabilities,
    Change,
    Entity,
    Finding,
    Page,
    Record,
    Refused,
    Reject,
    SourceError,
)
from resources.crm.rows import Shape
from resources.http import Client

CLOCK_SKEW: Final = 60.0  # seconds between two clocks that are nothing to report
NOTHING: Final = b"{}"  # the payload of a tombstone: the last one that was seen stays

Rows = Sequence[msgspec.Raw]


class CrmSource:
    """The reading half of a CRM's connector. Thread-safe as far as the vendor's methods are.

    `fields_read` (by entity), `fields_written` (by kind) and `mapping_file` are set by whoever knows the mapping.
    """

    capabilities: ClassVar[Capabilities]
    shapes: ClassVar[Mapping[str, Shape]]

    def __init__(self, client: Client) -> None:
        self.system = client.system
        self.client = client
        self.fields_read: Mapping[str, Sequence[str]] = {}
        self.fields_written: Mapping[str, Sequence[str]] = {}
        self.mapping_file = f"the mapping file of {self.system}"

    def close(self) -> None:
        """End the connections."""
        self.client.close()

    def clock_behind(self) -> float:
        """See TellsItsTime."""
        return self.client.behind

    # ---- What a vendor gives ------------------------------------------------------------------

    def rows(self, entity: str) -> Iterator[Rows]:
        """Every living record of an entity, in pages; raises SourceError where the end was not reached."""
        raise NotImplementedError

    def rows_since(self, entity: str, since: datetime) -> Iterator[Rows]:
        """What was changed since then, inclusive; more does no harm."""
        raise NotImplementedError

    def newest(self, entity: str) -> Rows:
        """The records changed last, one request. Asked for by sensors, of entities read by time."""
        raise NotImplementedError

    def rows_by_key(self, entity: str, keys: Sequence[str]) -> Iterator[Rows]:
        """The living ones of these records."""
        raise NotImplementedError

    def gone(self, entity: str, since: datetime) -> Iterator[Sequence[Record]]:
        """Tombstones of what was deleted or merged since then; nothing where only the sweep can tell."""
        yield from ()

    def children(self, entity: str, parents: Sequence[str]) -> Iterator[Page]:
        """Children of these parents, each page with the parents that it holds whole in `complete_parents`."""
        raise NotImplementedError

    def keys_of(self, entity: str) -> Iterator[Sequence[str]]:
        """Ids of every living record. By default what `rows` brings; give a cheaper way where there is one."""
        for rows in self.rows(entity):
            yield self.ids(entity, rows)

    def sample(self, entity: str) -> Rows:
        """A few rows, for `check`. By default the first page of `rows`; give a cheaper way where there is one."""
        return next((rows for rows in self.rows(entity) if rows), ())

    def findings(self) -> Iterator[Finding]:
        """What `check` tells beside the connection and the entities: rights, custom fields, limits."""
        yield from ()

    # ---- Source -------------------------------------------------------------------------------

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        """See Source.read. Dictionaries come whole, as one complete page; children after their parents."""
        wanted = self.known(entities)
        for entity in self.roots(wanted):
            children = [child.name for child in wanted if self.comes_with(child) == entity.name]
            emit = entity in wanted
            if not entity.incremental:
                yield self.whole_page(entity.name)
                continue
            pages = self.rows(entity.name) if since is None else self.rows_since(entity.name, since)
            for rows in pages:
                yield from self.pages(entity.name, rows, children, emit=emit)
            if since is not None and emit:
                for tombstones in self.gone(entity.name, since):
                    if tombstones:
                        yield Page(entity.name, tombstones)

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        """See Source.keys."""
        (found,) = self.known([entity])
        if self.comes_with(found) is None:
            yield from self.keys_of(entity)
            return
        for page in self.read([entity], None, datetime.now(UTC)):
            if page.records:
                yield [record.source_id for record in page.records]

    def changes(self, since: datetime) -> Iterator[Change]:
        """See Source.changes: the newest records of every entity that is read, and by time, a request each."""
        for entity in self.capabilities.entities:
            if entity.incremental and self.is_read(entity):
                for record in self.records(entity.name, self.newest(entity.name))[0]:
                    if record.modified_at is not None and record.modified_at >= since:
                        yield Change(entity.name, record.source_id, record.modified_at)

    def read_keys(self, entity: str, keys: Sequence[str]) -> Iterator[Page]:
        """See ReadsByKey."""
        (found,) = self.known([entity])
        if not found.incremental:
            yield self.whole_page(entity)
            return
        children = [child.name for child in self.capabilities.entities if self.comes_with(child) == entity]
        met: set[str | None] = set()
        for rows in self.rows_by_key(entity, keys):
            for page in self.pages(entity, rows, children, emit=True):
                if page.entity == entity:
                    met.update(record.source_id for record in page.records)
                    met.update(self.shapes[entity].key_of(reject.payload) for reject in page.rejects)
                yield page
        # What came without its key may be any of them.
        absent = [key for key in dict.fromkeys(keys) if key not in met and None not in met]
        if absent:
            yield Page(entity, [Record(key, NOTHING, deleted=True) for key in absent])

    def check(self) -> list[Finding]:
        """See Source.check: one line an entity, and what the vendor's own `findings` add."""
        found: list[Finding] = []
        try:
            found += self.findings()
        except SourceError as error:
            return [Finding("connection", False, str(error), "correct the connection and check again")]
        for entity in self.capabilities.entities:
            if self.comes_with(entity) is not None:
                continue
            try:
                some = self.sample(entity.name)
            except SourceError as error:
                found.append(Finding(entity.name, False, str(error), "see the message"))
            else:
                found.append(Finding(entity.name, True, "can be read" if some else "can be read, is empty"))
        return found

    # ---- What it is made of -------------------------------------------------------------------

    def records(self, entity: str, rows: Rows) -> tuple[list[Record], list[Reject]]:
        """Rows as records; a vendor overrides it where a row needs more than its shape."""
        return self.shapes[entity].records(self.system, rows)

    def ids(self, entity: str, rows: Rows) -> list[str]:
        """Ids of the living rows, those that would be set apart among them: what is there is not to be deleted.

        Raises SourceError where a row has no readable id: it may be that of any record.
        """
        records, rejects = self.records(entity, rows)
        found = [record.source_id for record in records if not record.deleted]
        for reject in rejects:
            number = self.shapes[entity].key_of(reject.payload)
            if number is None:
                raise SourceError(
                    f"{reject.place}: {reject.reason}; until then nothing of {entity} is deleted here"
                )
            found.append(number)
        return found

    def pages(self, entity: str, rows: Rows, children: Sequence[str], *, emit: bool) -> Iterator[Page]:
        """The page of these rows, then those of their children of the entities `children`; `emit`: the rows' own too.

        A vendor whose rows hold their children inside overrides it, and calls this one without `children`: a page of each
        child's entity follows, with the owners in `complete_parents`, so that a child that is gone is deleted.
        """
        records, rejects = self.records(entity, rows)
        if emit and (records or rejects):
            yield Page(entity, records, rejects=rejects)
        living = [record.source_id for record in records if not record.deleted]
        for child in children if living else ():
            yield from self.children(child, living)

    def whole_page(self, entity: str) -> Page:
        """All of a dictionary as one complete page: what is stored and not on it no longer exists."""
        records: list[Record] = []
        rejects: list[Reject] = []
        for rows in self.rows(entity):
            good, bad = self.records(entity, rows)
            records += good
            rejects += bad
        return Page(entity, records, complete=True, rejects=rejects)

    def known(self, entities: Iterable[str]) -> list[Entity]:
        """These entities in the order of the capabilities. Raises SourceError for a name that is none."""
        names = {entity.name: entity for entity in self.capabilities.entities}
        for name in entities:
            if name not in names:
                raise SourceError(f"{self.system}: there is no entity {name!r}; there are {', '.join(names)}")
        chosen = set(entities)
        return [entity for entity in names.values() if entity.name in chosen]

    def comes_with(self, entity: Entity) -> str | None:
        """The parent by whose request it is read; None for what is read by itself."""
        return entity.parent if entity.parent and not entity.incremental else None

    def is_read(self, entity: Entity) -> bool:
        """Whether the mapping reads an entity; all are read where nobody has told."""
        return not self.fields_read or entity.name in self.fields_read

    def roots(self, wanted: Sequence[Entity]) -> list[Entity]:
        """What is asked for by itself that these entities may be read: them, or the parents that they come with."""
        names = {self.comes_with(entity) or entity.name for entity in wanted}
        return [entity for entity in self.capabilities.entities if entity.name in names]


class CrmTarget:
    """The writing half that CRMs share: nothing in them is posted."""

    system: str

    def post(self, kind: str, key: str) -> None:
        """Raises Refused: nothing in a CRM is posted."""
        raise Refused(f"{self.system}: a {kind} has no posting step")


def behind(there: datetime | None, now: datetime, overlap: float) -> Iterator[Finding]:
    """A finding where the system's clock lies behind ours: by more than the overlap windows grow."""
    late = (now - there).total_seconds() if there else 0.0
    if abs(late) <= CLOCK_SKEW:
        return
    message = f"its clock and ours differ by {abs(late):.0f} s"
    if late > overlap:
        message += "; each read asks for as much more, because stamps look older than they are"
    yield Finding("clock", False, message, "set both by NTP, and see that their time zones are right")
