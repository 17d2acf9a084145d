"""Carrying more than a chunk: the next one is on its way while this one is read back, and nothing else changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID, uuid5

import pytest

from pipelines.operations.carry import carry
from pipelines.operations.ready import Ready
from resources.connector import Capabilities, SourceError, Written
from resources.warehouse import Warehouse

HERE = UUID("7b0a3f52-64c5-4f0e-9d6d-6f9a4f1d2c31")
SECONDS = 10.0  # that a thread is waited for at most
Event = tuple[str, str, tuple[str, ...]]  # what was asked, of which kind, for which keys


class Paper:
    """A target that keeps what it is given, and what it was asked in which order."""

    capabilities: ClassVar[Capabilities] = Capabilities(entities=(), writes=("invoice", "realization"))
    system = "paper"

    def __init__(self) -> None:
        self.held: dict[str, Mapping[str, Any]] = {}
        self.events: list[Event] = []
        self.before_create: Callable[[str], None] = lambda key: None
        self.before_find: Callable[[Sequence[str]], None] = lambda keys: None

    def create(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        self.events.append(("create", kind, (key,)))
        self.before_create(key)
        self.held[key] = body
        return Written(key, {})

    def update(self, kind: str, key: str, body: Mapping[str, Any], version: str | None = None) -> Written:
        raise NotImplementedError

    def post(self, kind: str, key: str) -> None:
        raise NotImplementedError

    def find(self, kind: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        self.before_find(keys)
        self.events.append(("find", kind, tuple(keys)))
        return {key: self.held[key] for key in keys if key in self.held}

    def order(self, what: str, key: str) -> int:
        """The place of the first event of this sort that is about the key."""
        return next(n for n, (sort, _, keys) in enumerate(self.events) if sort == what and key in keys)


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch) -> Paper:
    monkeypatch.setattr("pipelines.operations.carry.CHUNK", 2)
    return Paper()


def approved(warehouse: Warehouse, kind: str, count: int, parents: Sequence[str] = ()) -> list[str]:
    """Keys of so many creations that may leave, in their order; each after its parent, where there are any."""
    keys = sorted(str(uuid5(HERE, f"{kind}/{number}")) for number in range(count))
    with warehouse.transaction() as conn:
        for number, key in enumerate(keys):
            conn.execute(
                "insert into ops.operation (operation_id, target, kind, action, key, body, depends_on)"
                " values (%s, 'paper', %s, 'create', %s, '{\"sum\": 5}', %s)",
                [key, kind, key, [UUID(one) for one in parents[number : number + 1]]],
            )
        conn.execute("select ops.move_many(%s::uuid[], 'approved', 'test')", [keys])
    return keys


def states(warehouse: Warehouse) -> dict[str, int]:
    return dict(warehouse.rows("select state, count(*) from ops.operation group by state"))


def test_the_next_chunk_is_on_its_way_while_this_one_is_read_back(warehouse: Warehouse, paper: Paper) -> None:
    keys = approved(warehouse, "invoice", 6)
    began = threading.Event()
    met: list[bool] = []

    def see(key: str) -> None:
        if key in keys[2:4]:
            began.set()

    def wait(asked: Sequence[str]) -> None:
        if keys[0] in asked:
            met.append(began.wait(SECONDS))

    paper.before_create, paper.before_find = see, wait
    carried = carry(warehouse, paper, workers=2)
    assert met == [True], "the second chunk waited until the first one was read back"
    assert carried.verified == {"invoice create": 6}
    assert states(warehouse) == {"verified": 6}


def test_no_document_leaves_before_its_parent_was_read_back(warehouse: Warehouse, paper: Paper) -> None:
    invoices = approved(warehouse, "invoice", 5)
    realizations = approved(warehouse, "realization", 5, invoices)
    carry(warehouse, paper, workers=3)
    assert states(warehouse) == {"verified": 10}
    for parent, child in zip(invoices, realizations, strict=True):
        assert paper.order("find", parent) < paper.order("create", child)


@pytest.mark.parametrize("workers", [1, 2])
def test_after_a_refused_connection_the_rest_waits_for_what_is_settled(
    warehouse: Warehouse, paper: Paper, workers: int
) -> None:
    keys = approved(warehouse, "invoice", 4)
    left = [keys[0]]

    def fail_once(key: str) -> None:
        if key in left:
            left.remove(key)
            raise SourceError("paper: no connection", retriable=True)

    paper.before_create = fail_once
    carried = carry(warehouse, paper, workers=workers)
    assert carried.put_back == 1
    assert states(warehouse) == {"verified": 4}
    assert paper.order("find", keys[1]) < min(paper.order("create", keys[2]), paper.order("create", keys[3]))


def test_with_one_worker_nothing_is_sent_while_something_is_read_back(
    warehouse: Warehouse, paper: Paper
) -> None:
    approved(warehouse, "invoice", 6)
    carry(warehouse, paper, workers=1)
    assert [sort for sort, _, _ in paper.events] == ["create", "create", "find"] * 3


def test_what_may_leave_is_looked_for_once_and_not_for_each_chunk(
    warehouse: Warehouse, paper: Paper, monkeypatch: pytest.MonkeyPatch
) -> None:
    approved(warehouse, "invoice", 40)
    look, looks = Ready._look, []

    def counted(ready: Ready) -> list[UUID]:
        looks.append(1)
        return look(ready)

    monkeypatch.setattr(Ready, "_look", counted)
    carry(warehouse, paper, workers=2)
    assert states(warehouse) == {"verified": 40}
    assert len(looks) <= 3, "once for the forty, and at the end to see that nothing is left"


def test_what_somebody_took_back_meanwhile_does_not_leave(warehouse: Warehouse, paper: Paper) -> None:
    keys = approved(warehouse, "invoice", 6)
    taken = keys[4]

    def take_back(key: str) -> None:
        if key == keys[0]:
            warehouse.execute("select ops.move_many(%s::uuid[], 'superseded', 'test')", [[taken]])

    paper.before_create = take_back
    carry(warehouse, paper, workers=1)
    assert taken not in paper.held
    assert states(warehouse) == {"superseded": 1, "verified": 5}


def test_an_error_of_ours_leaves_what_was_sent_to_the_next_carry(warehouse: Warehouse, paper: Paper) -> None:
    keys = approved(warehouse, "invoice", 6)

    def stumble(kind: str, bodies: Mapping[str, Mapping[str, Any]]) -> None:
        raise KeyError("the disk is full")

    with pytest.raises(KeyError):
        carry(warehouse, paper, workers=2, read_back=stumble)
    assert states(warehouse) == {"confirmed": 2, "sent": 2, "approved": 2}
    carried = carry(warehouse, paper, workers=2)
    assert carried.probed == 2
    assert states(warehouse) == {"verified": 6}
    assert [sort for sort, _, _ in paper.events].count("create") == len(keys)
