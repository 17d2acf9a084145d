"""Webhooks that are lost, repeated, late, shuffled or forged, over made-up histories: `raw` ends as a read from nothing
leaves it, and whatever was heard of is right after the next sync."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.hooks import Hearing
from resources.connector import Record, SourceError
from resources.warehouse import Warehouse
from tests.hinting_source import SECRET, Town, hearing, living, receiving, sync, told

DEALS = [str(number) for number in range(1, 6)]

numbers = st.sampled_from(DEALS)
acts = st.one_of(
    st.tuples(st.just("put"), numbers, st.booleans(), st.integers(0, 2)),
    st.tuples(st.just("drop"), numbers),
    st.tuples(st.just("deliver"), st.integers(0, 9)),  # one of what was sent so far, perhaps again
    st.tuples(st.just("forge"), st.sampled_from(["1", "3", "99", "no number"])),
    st.tuples(st.just("slow copy"), numbers),  # answers once more as it was before its last change
    st.tuples(st.just("sync"), st.sampled_from(["", "", "", "refused", "down"])),
)


@dataclass
class History:
    """A town, what it has sent, and what has been heard since its records were last read."""

    warehouse: Warehouse
    town: Town
    http: httpx.Client
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    heard: set[str] = field(default_factory=set)
    before: dict[str, Record] = field(default_factory=dict)

    def do(self, act: str, *given: Any) -> None:
        getattr(self, act.replace(" ", "_"))(*given)

    def put(self, number: str, silently: bool, lines: int) -> None:
        self._remember(number)
        self.town.put(number, silently and number in self.town.deals, lines=lines, at=str(self.town.now))
        self.send(number)

    def drop(self, number: str) -> None:
        self._remember(number)
        self.town.drop(number)
        self.send(number)

    def deliver(self, which: int) -> None:
        if self.sent:
            number, body = self.sent[-1 - which % len(self.sent)]
            assert self.http.post(self.address, content=body).status_code == 200
            self.heard.add(number)

    def forge(self, number: str) -> None:
        assert self.http.post(self.address, content=told(number, proof="")).status_code == 404

    def slow_copy(self, number: str) -> None:
        if number in self.before:
            self.town.stale[number] = self.before[number]

    def sync(self, trouble: str) -> None:
        refusal = SourceError("town: not now", retriable=True)
        self.town.fails = refusal if trouble == "refused" else None
        self.town.down = refusal if trouble == "down" else None
        slow = set(self.town.stale)
        gone = set(DEALS) - self._living() - set(self.town.deals)
        sync(self.warehouse, self.town)
        self.town.fails = self.town.down = None
        self.town.stale.clear()
        assert gone.isdisjoint(self._living()), "a deletion that was seen is undone"
        if not trouble:
            for number in self.heard - slow:
                assert stored(self.warehouse, self.town, number) == truth(self.town, number), number
            assert self.unseen() == 0
            self.heard.clear()
        elif self.heard:
            assert self.unseen() > 0

    @property
    def address(self) -> str:
        return f"{self.town.system}/{SECRET}"

    def unseen(self) -> int:
        return int(
            self.warehouse.scalar(
                "select count(*) from ops.hook where system = %s and seen_at is null", [self.town.system]
            )
        )

    def _living(self) -> set[str]:
        return {row[0] for row in living(self.warehouse, self.town.system, "deal")}

    def _remember(self, number: str) -> None:
        if number in self.town.deals:
            self.before[number] = self.town.record(number)

    def send(self, number: str) -> None:
        self.sent.append((number, told(number, at=[])))


def stored(warehouse: Warehouse, town: Town, number: str) -> Any:
    found = [row[2] for row in living(warehouse, town.system, "deal") if row[0] == number]
    lines = [row[0] for row in living(warehouse, town.system, "line") if row[1] == number]
    return (found, lines)


def truth(town: Town, number: str) -> Any:
    deal = town.deals.get(number)
    return ([deal], [f"{number}-{place}" for place in range(deal["lines"])]) if deal else ([], [])


@dataclass(frozen=True)
class Receiver:
    """One receiver for all histories; a town is heard from when it joins."""

    http: httpx.Client
    heard: dict[str, Hearing]


@pytest.fixture
def receiver(warehouse: Warehouse) -> Iterator[Receiver]:
    heard: dict[str, Hearing] = {}
    with (
        receiving(warehouse, heard=heard) as address,
        httpx.Client(base_url=address, trust_env=False, timeout=20) as http,
    ):
        yield Receiver(http, heard)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(
    history=[
        ("drop", "1"),
        ("deliver", 0),
        ("sync", ""),
        ("slow copy", "1"),
        ("deliver", 0),
        ("sync", ""),
    ]
)
@given(history=st.lists(acts, min_size=4, max_size=25))
def test_webhooks_change_nothing_wrongly(
    warehouse: Warehouse, receiver: Receiver, history: list[tuple[Any, ...]]
) -> None:
    number = int(warehouse.scalar("select coalesce(max(batch_id), 0) from ops.batch"))
    town = Town(f"town{number}")
    receiver.heard[town.system] = hearing(town)
    with warehouse.kept():
        for deal in DEALS[:3]:
            town.put(deal, lines=1)
        sync(warehouse, town)
        story = History(warehouse, town, receiver.http)
        for act in history:
            story.do(*act)
        town.stale.clear()
        for deal in town.deals:  # what no stamp told of needs a webhook that arrives
            story.send(deal)
            story.deliver(0)
        sync(warehouse, town, sweep=True)
        assert story.unseen() == 0
        sync(warehouse, town, system=f"new{number}")
        for entity in ("deal", "line", "tag"):
            assert living(warehouse, town.system, entity) == living(warehouse, f"new{number}", entity)
