"""A small system in memory that is read, read by key and heard, and serves it over HTTP to a receiver."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import msgspec
import uvicorn

from pipelines.hooks import Hearing, application
from pipelines.hooks_store import HookStore
from pipelines.raw.load import read_source
from resources.connector import (
    Capabilities,
    Change,
    Delivery,
    Entity,
    Finding,
    Forged,
    Hint,
    Page,
    Record,
    SourceError,
)
from resources.warehouse import Warehouse

PROOF = "the vendor's own word"
SECRET = "a-secret-of-the-address"
START = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass
class Town:
    """Deals with lines, and tags, which are read whole each time. A webhook is JSON: {"proof", "deal": [ids], ...}.

    Stamps do not tell of all changes: `silently` changes a deal behind the back of an incremental read.
    """

    system: str = "town"
    deals: dict[str, dict[str, Any]] = field(default_factory=dict)
    stamps: dict[str, datetime] = field(default_factory=dict)
    now: datetime = START
    fails: SourceError | None = None  # of reading by key
    down: SourceError | None = None  # of everything
    stale: dict[str, Record] = field(default_factory=dict)  # what a slow copy of the system still answers
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    known_tags: list[str] = field(default_factory=lambda: ["red"])
    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=(
            Entity("deal", incremental=True),
            Entity("line", incremental=False, parent="deal"),
            Entity("tag", incremental=False),
        ),
        overlap_seconds=0,
    )

    def put(self, number: str, silently: bool = False, **values: Any) -> None:
        self.now += timedelta(minutes=1)
        self.deals[number] = {**self.deals.get(number, {"id": number, "lines": 0}), **values}
        if not silently:
            self.stamps[number] = self.now

    def drop(self, number: str) -> None:
        self.now += timedelta(minutes=1)
        self.deals.pop(number, None)

    def record(self, number: str) -> Record:
        return Record(number, msgspec.json.encode(self.deals[number]), self.stamps.get(number, START))

    def pages(self, numbers: Sequence[str]) -> Iterator[Page]:
        yield Page("deal", [self.record(number) for number in numbers])
        lines = [
            Record(f"{number}-{place}", b'{"place": %d}' % place, None, number)
            for number in numbers
            for place in range(int(self.deals[number]["lines"]))
        ]
        yield Page("line", lines, complete_parents=list(numbers))

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        if self.down:
            raise self.down
        if "deal" in entities:
            changed = [n for n in self.deals if since is None or self.stamps.get(n, START) >= since]
            yield from self.pages(changed)
        if "tag" in entities:
            tags = [Record(tag, b"{}") for tag in self.known_tags]
            yield Page("tag", tags, complete=True)

    def read_keys(self, entity: str, keys: Sequence[str]) -> Iterator[Page]:
        self.asked.append((entity, list(keys)))
        if self.down:
            raise self.down
        there = [number for number in keys if number in self.deals and number not in self.stale]
        yield from self.pages(there)
        if self.fails:
            raise self.fails
        yield Page("deal", [self.stale[number] for number in keys if number in self.stale])
        gone = [number for number in keys if number not in self.deals and number not in self.stale]
        yield Page("deal", [Record(number, b"{}", None, deleted=True) for number in gone])
        yield Page("line", [], complete_parents=gone)

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        if entity == "line":
            yield [f"{n}-{place}" for n, deal in self.deals.items() for place in range(deal["lines"])]
        else:
            yield list(self.deals) if entity == "deal" else self.known_tags

    def counts(self, entities: Sequence[str]) -> Mapping[str, int]:
        """Nothing can be counted, so deletions are found by a sweep that is asked for, or by webhooks."""
        return {}

    def changes(self, since: datetime) -> Iterator[Change]:
        yield from ()

    def check(self) -> list[Finding]:
        return []

    def close(self) -> None: ...

    def hear(self, delivery: Delivery) -> Sequence[Hint]:
        said = msgspec.json.decode(delivery.body)
        if said["proof"] != PROOF:
            raise Forged
        return [Hint(entity, number) for entity, ids in said.items() if entity != "proof" for number in ids]


def told(*deals: str, proof: str = PROOF, **others: Any) -> bytes:
    """The body of a webhook about these deals."""
    return msgspec.json.encode({"proof": proof, "deal": deals, **others})


def sync(warehouse: Warehouse, town: Town, *, sweep: bool = False, system: str = "") -> list[str]:
    """One read at the town's time; the errors of its batches."""
    town.now += timedelta(minutes=1)
    named = town.system
    town.system = system or named
    try:
        batches = read_source(warehouse, town, sweep=sweep, now=town.now)
    finally:
        town.system = named
    return [batch.error for batch in batches if batch.error]


def living(warehouse: Warehouse, system: str, entity: str) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        f"select source_id, parent_id, payload from raw.{system}_{entity} where is_current and not deleted order by 1"
    )


def hearing(town: Town) -> Hearing:
    """All of it is read, so all of it is heard."""
    return Hearing(town.system, SECRET, town, frozenset(entity.name for entity in Town.capabilities.entities))


@contextlib.contextmanager
def receiving(warehouse: Warehouse, *towns: Town, heard: dict[str, Hearing] | None = None) -> Iterator[str]:
    """A receiver on loopback that hears these, and whoever joins `heard`; the address below which webhooks go."""
    heard = {} if heard is None else heard
    heard.update({town.system: hearing(town) for town in towns})
    config = uvicorn.Config(
        application(heard, HookStore(warehouse)),
        host="127.0.0.1",
        port=0,
        loop="asyncio",
        http="h11",
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=3,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        end = time.monotonic() + 20
        while not server.started and time.monotonic() < end:
            thread.join(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/hooks"
    finally:
        server.should_exit = True
        thread.join(20)
