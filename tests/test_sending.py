"""One chunk on its way: when the next may follow, and what is known of what never left."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar
from uuid import UUID, uuid5

import pytest

from pipelines.operations.breaker import Breaker, Unsent
from pipelines.operations.carried import Operation
from pipelines.operations.sending import Sender, Sending
from resources.connector import Capabilities, Rows, SourceError, Written
from resources.warehouse import Warehouse

HERE = UUID("2d1c1c0e-5a0b-4f6e-8f43-0a4c7be1f0aa")
SECONDS = 10.0  # that a thread is waited for at most


class Pairs:
    """A target that is written in batches of two."""

    capabilities: ClassVar[Capabilities] = Capabilities(entities=(), writes=("invoice",))
    system = "pairs"

    def __init__(self) -> None:
        self.held: list[str] = []
        self.before_batch: Callable[[Sequence[str]], None] = lambda keys: None

    def batches(self, kind: str, rows: Rows) -> Sequence[Sequence[int]]:
        return [range(start, min(start + 2, len(rows))) for start in range(0, len(rows), 2)]

    def create_batch(self, kind: str, rows: Rows) -> Sequence[Written | SourceError]:
        self.before_batch([key for key, _ in rows])
        self.held += [key for key, _ in rows]
        return [Written(key, {}) for key, _ in rows]

    def create(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        raise NotImplementedError

    def update(self, kind: str, key: str, body: Mapping[str, Any], version: str | None = None) -> Written:
        raise NotImplementedError

    def post(self, kind: str, key: str) -> None:
        raise NotImplementedError

    def find(self, kind: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        raise NotImplementedError


@pytest.fixture
def pairs() -> Pairs:
    return Pairs()


@pytest.fixture
def breaker(warehouse: Warehouse) -> Iterator[Breaker]:
    with warehouse.connect() as conn:
        yield Breaker(conn, "pairs")


def operations(*keys: str) -> list[Operation]:
    return [Operation(uuid5(HERE, key), "invoice", "create", key, "", {}, 0, None) for key in keys]


def test_two_writes_of_one_record_are_never_under_way_together(pairs: Pairs, breaker: Breaker) -> None:
    answered = threading.Event()

    def before(keys: Sequence[str]) -> None:
        if "d" in keys:
            answered.wait(SECONDS)

    pairs.before_batch = before
    with ThreadPoolExecutor(3) as pool:
        sending = Sending(Sender(pairs, breaker, pool), operations("a", "b", "c", "d"))
        sending.begin({})
        assert sending.await_room(operations("e")), "another record waits for no answer"
        room = pool.submit(sending.await_room, operations("d"))
        assert not room.done()
        answered.set()
        assert room.result(SECONDS)
        assert "d" in pairs.held, "there was room before the first write was answered"


def test_once_ended_nothing_that_stood_in_line_leaves_whoever_comes_to_it(
    pairs: Pairs, breaker: Breaker
) -> None:
    began, goes_on = threading.Event(), threading.Event()

    def before(keys: Sequence[str]) -> None:
        began.set()
        goes_on.wait(SECONDS)

    pairs.before_batch = before
    with ThreadPoolExecutor(1) as pool:
        sending = Sending(Sender(pairs, breaker, pool), operations("a", "b", "c", "d"))
        sending.begin({})
        assert began.wait(SECONDS)
        never_left = sending.end()
        goes_on.set()
        answers = sending.answers()
    assert [o.key for o in never_left] == ["c", "d"]
    assert [type(answer) for answer in answers] == [Written, Written, Unsent, Unsent]
    assert pairs.held == ["a", "b"]


def test_a_chunk_that_was_never_begun_never_left(pairs: Pairs, breaker: Breaker) -> None:
    with ThreadPoolExecutor(1) as pool:
        sending = Sending(Sender(pairs, breaker, pool), operations("a", "b"))
        assert [o.key for o in sending.end()] == ["a", "b"]
    assert pairs.held == []


def test_what_an_open_breaker_kept_back_never_left(pairs: Pairs, breaker: Breaker) -> None:
    breaker.note(SourceError("pairs: HTTP 401; check the password"))
    with ThreadPoolExecutor(1) as pool:
        sending = Sending(Sender(pairs, breaker, pool), operations("a", "b", "c"))
        sending.begin({})
        assert not sending.await_room(operations("e"))
        assert [type(answer) for answer in sending.answers()] == [Unsent] * 3
        assert [o.key for o in sending.end()] == ["a", "b", "c"]
    assert pairs.held == []


def test_what_is_there_already_is_not_sent_and_answers_come_in_the_order_of_the_chunk(
    pairs: Pairs, breaker: Breaker
) -> None:
    with ThreadPoolExecutor(2) as pool:
        sending = Sending(Sender(pairs, breaker, pool), operations("a", "b", "c", "d"))
        sending.begin({"b": Written("b", {"found": True})})
        answers = sending.answers()
    assert sorted(pairs.held) == ["a", "c", "d"]
    assert [answer.key for answer in answers if isinstance(answer, Written)] == ["a", "b", "c", "d"]
    assert sending.well
