"""A CRM in memory with Bitrix24's shapes, delivered as badly as a network can: repeated, late, shuffled."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from resources.connector import Capabilities, Change, Entity, Finding, Page, Record, Refused, Reject, Written
from resources.crm.bitrix24.entities import ENTITIES

Payload = dict[str, Any]
STAMPS = {"deal": "updatedTime", "company": "updatedTime", "contact": "updatedTime",
          "requisite": "DATE_MODIFY", "product": "timestampX", "product_price": "timestampX"}  # fmt: skip
PAGE = 3  # records: small, so that order among pages matters
encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass
class Delivery:
    """How the next reads arrive. `seed` None: once, in order."""

    seed: int | None = None

    def arrange(self, pages: list[Page], stale: Sequence[tuple[str, Record]]) -> list[Page]:
        if self.seed is None:
            return pages
        chance = random.Random(self.seed)
        late = [Page(entity, [record]) for entity, record in stale if chance.random() < 0.5]
        again = [page for page in pages if chance.random() < 0.4]
        mixed = [*pages, *late, *again]
        chance.shuffle(mixed)
        return mixed


@dataclass
class Memory:
    """Tables of a source with their stamps, and every version that ever was."""

    system: str
    now: datetime = datetime(2026, 4, 10, 9, tzinfo=UTC)
    rows: dict[str, dict[str, Payload]] = field(default_factory=dict)
    stamps: dict[tuple[str, str], datetime] = field(default_factory=dict)
    versions: dict[tuple[str, str], list[Record]] = field(default_factory=dict)
    bin: dict[tuple[str, str], Payload] = field(default_factory=dict)
    seen: dict[tuple[str, str], Record] = field(default_factory=dict)
    delivery: Delivery = field(default_factory=Delivery)
    capabilities: ClassVar[Capabilities]
    rejects: list[tuple[str, Reject]] = field(default_factory=list)
    raw_payloads: dict[tuple[str, str], bytes] = field(default_factory=dict)  # sent in place of the true one

    def tick(self, minutes: float = 1) -> datetime:
        self.now += timedelta(minutes=minutes)
        return self.now

    def put(self, entity: str, key: str, payload: Payload, *, stamp: bool = True) -> None:
        moment = self.tick()
        if stamp and entity in STAMPS:
            payload = {**payload, STAMPS[entity]: moment.isoformat()}
        self.rows.setdefault(entity, {})[key] = payload
        self.stamps[entity, key] = moment
        if entity in STAMPS:
            self.versions.setdefault((entity, key), []).append(self.record(entity, key))

    def drop(self, entity: str, key: str) -> None:
        self.bin[entity, key] = self.rows[entity].pop(key)

    def all(self, entity: str) -> dict[str, Payload]:
        return self.rows.setdefault(entity, {})

    def parent(self, entity: str, payload: Payload) -> str | None:
        return None

    def record(self, entity: str, key: str) -> Record:
        payload = self.rows[entity][key]
        told = self.raw_payloads.get((entity, key)) or encode(payload)
        moment = self.stamps[entity, key] if entity in STAMPS or entity == "sale" else None
        return Record(key, told, moment, self.parent(entity, payload))

    def remember(self, pages: Sequence[Page]) -> None:
        """What the reader may have stored: the newest version of each record that it was given."""
        for page in pages:
            for record in page.records:
                old = self.seen.get((page.entity, record.source_id))
                if (
                    old is None
                    or not (record.modified_at and old.modified_at)
                    or record.modified_at >= old.modified_at
                ):
                    self.seen[page.entity, record.source_id] = record

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        yield list(self.all(entity))

    def check(self) -> list[Finding]:
        return []

    def close(self) -> None: ...


class Portal(Memory):
    """Source and Target. Tasks are kept by our key."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=ENTITIES,
        writes=("deal", "company", "task"),
        overlap_seconds=3600,
        version="updatedTime",
    )

    def __init__(self) -> None:
        super().__init__("bitrix24")
        self.tasks: dict[str, Payload] = {}
        self.numbers = 100
        self.received = 0  # records given to the reader, for counting what a read costs

    def number(self) -> str:
        self.numbers += 1
        return str(self.numbers)

    def parent(self, entity: str, payload: Payload) -> str | None:
        column = {"deal_line": "ownerId", "deal_requisite": "ENTITY_ID", "requisite": "ENTITY_ID"}.get(entity)
        return str(payload[column]) if column else None

    # ---- Source -------------------------------------------------------------------------------

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        known = {entity.name: entity for entity in ENTITIES}
        pages: list[Page] = []
        stale: list[tuple[str, Record]] = []
        for name in entities:
            entity = known[name]
            if entity.parent and (since is not None or name != "requisite"):
                continue  # follows its parent
            if not entity.incremental and not entity.parent:
                pages.append(Page(name, [self.record(name, key) for key in self.all(name)], complete=True))
                continue
            chosen = [key for key in self.all(name) if self._in_window(name, key, since, until)]
            pages += self._paged(name, [self.record(name, key) for key in chosen])
            stale += [
                (name, version) for key in chosen for version in self.versions.get((name, key), ())[:-1]
            ]
        for name in entities:
            parent = known[name].parent
            if parent and not (since is None and name == "requisite"):
                chosen = [key for key in self.all(parent) if self._in_window(parent, key, since, until)]
                pages += self._children(name, chosen)
                if name == "requisite":
                    alone = [key for key in self.all(name) if self._in_window(name, key, since, until)]
                    pages += self._paged(name, [self.record(name, key) for key in alone])
        arranged = self.delivery.arrange(pages, stale)
        for name, reject in self.rejects:
            if name in entities:
                arranged.append(Page(name, [], rejects=[reject]))
        self.remember(arranged)
        self.received += sum(len(page.records) for page in arranged)
        yield from arranged

    def _in_window(self, entity: str, key: str, since: datetime | None, until: datetime) -> bool:
        return since is None or since <= self.stamps[entity, key] < until

    def _paged(self, name: str, records: Sequence[Record]) -> list[Page]:
        return [Page(name, records[start : start + PAGE]) for start in range(0, len(records), PAGE)]

    def _children(self, name: str, parents: Sequence[str]) -> list[Page]:
        pages = []
        for start in range(0, len(parents), PAGE):
            part = parents[start : start + PAGE]
            records = [self.record(name, key) for key, payload in self.all(name).items()
                       if self.parent(name, payload) in part]  # fmt: skip
            pages.append(Page(name, records, complete_parents=part))
        return pages

    def changes(self, since: datetime) -> Iterator[Change]:
        for entity in ENTITIES:
            if entity.incremental:
                for key in self.all(entity.name):
                    if self.stamps[entity.name, key] >= since:
                        yield Change(entity.name, key, self.stamps[entity.name, key])

    # ---- Target -------------------------------------------------------------------------------

    def create(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        if kind != "task":
            raise Refused(f"a {kind} is not created here")
        self.tasks.setdefault(key, {**body, "XML_ID": key})
        return Written(key, self.tasks[key])

    def update(self, kind: str, key: str, body: Mapping[str, Any], version: str | None = None) -> Written:
        if key not in self.all(kind):
            raise Refused(f"there is no {kind} {key}")
        self.put(kind, key, {**self.rows[kind][key], **body})
        return Written(key, self.rows[kind][key])

    def update_many(
        self, kind: str, rows: Sequence[tuple[str, Mapping[str, Any]]], versions: Sequence[str] = ()
    ) -> list[Written | Refused]:
        told: list[Written | Refused] = []
        for key, body in rows:
            try:
                told.append(self.update(kind, key, body))
            except Refused as error:
                told.append(error)
        return told

    def post(self, kind: str, key: str) -> None:
        raise Refused("nothing is posted here")

    def find(self, kind: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        held = self.tasks if kind == "task" else self.all(kind)
        return {key: held[key] for key in keys if key in held}

    # ---- what people keep in it ----------------------------------------------------------------

    def change(self, entity: str, key: str, **fields: Any) -> None:
        self.put(entity, key, {**self.rows[entity][key], **fields})

    def lines(self, deal: str) -> dict[str, Payload]:
        return {key: row for key, row in self.all("deal_line").items() if row["ownerId"] == int(deal)}

    def put_line(self, deal: str, key: str, **fields: Any) -> None:
        """A line lives in its deal: the portal sums the deal up anew and stamps it."""
        old = self.all("deal_line").get(key, {"id": int(key), "ownerId": int(deal), "ownerType": "D"})
        self.put("deal_line", key, {**old, **fields})
        self.sum_up(deal)

    def sum_up(self, deal: str) -> None:
        self.change("deal", deal, opportunity=self.total(deal))

    def total(self, deal: str) -> Decimal:
        cents = Decimal("0.01")
        amounts = (Decimal(str(row["price"])) * Decimal(str(row["quantity"])) for row in self.lines(deal).values()
                   if row.get("price") is not None and row.get("quantity") is not None)  # fmt: skip
        return sum((amount.quantize(cents, "ROUND_HALF_UP") for amount in amounts), Decimal(0))


class Sheets(Memory):
    """A branch's spreadsheets: one row a line of a deal, and clients, details and deals read out of them."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=(Entity("sale", incremental=True),), overlap_seconds=3600
    )

    def __init__(self) -> None:
        super().__init__("branch")

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        chosen = [
            key for key in self.all("sale") if since is None or since <= self.stamps["sale", key] < until
        ]
        pages = [Page("sale", [self.record("sale", key)]) for key in chosen]
        arranged = self.delivery.arrange(pages, ())
        self.remember(arranged)
        yield from arranged

    def changes(self, since: datetime) -> Iterator[Change]:
        for key in self.all("sale"):
            if self.stamps["sale", key] >= since:
                yield Change("sale", key, self.stamps["sale", key])
