"""An iterator that works one item ahead: order, errors, and its end when who uses it gives up; turns by who came first."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from resources.connector import SourceError
from resources.parallel import Turns, ahead

SECONDS = 10.0


def test_the_next_item_is_made_while_the_present_one_is_used_and_no_further_one() -> None:
    made = [threading.Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    found = []
    for number in ahead(items()):
        found.append(number)
        if number + 1 < len(made):
            assert made[number + 1].wait(SECONDS)
        assert not any(event.is_set() for event in made[number + 2 :])
    assert found == [0, 1, 2, 3]


def test_an_error_rises_where_its_item_would_have_come() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise SourceError("the portal is down")

    flow = ahead(items())
    assert next(flow) == 1
    with pytest.raises(SourceError, match="the portal is down"):
        next(flow)


def test_given_up_it_closes_what_it_reads_in_the_thread_that_read_it() -> None:
    threads: list[int] = []

    def items() -> Iterator[int]:
        threads.append(threading.get_ident())
        try:
            while True:
                yield 0
        finally:
            threads.append(threading.get_ident())

    flow = ahead(items())
    next(flow)
    flow.close()
    begun, ended = threads
    assert begun == ended != threading.get_ident()


def test_given_up_at_a_slow_item_it_is_left_to_end_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.parallel.FAREWELL", 0.01)
    begun, slow, ended = threading.Event(), threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        try:
            yield 1
            begun.set()
            assert slow.wait(SECONDS)
            yield 2
        finally:
            ended.set()

    flow = ahead(items())
    assert next(flow) == 1
    assert begun.wait(SECONDS)
    flow.close()
    assert not ended.is_set()
    slow.set()
    assert ended.wait(SECONDS)


def test_who_waits_is_let_in_before_those_who_come_again() -> None:
    turns, stop, entered = Turns(2), threading.Event(), [0, 0, 0]

    def again_and_again(place: int) -> None:
        while not stop.is_set():
            assert turns.acquire(timeout=10)
            entered[place] += 1
            time.sleep(0.001)
            turns.release()

    busy = [threading.Thread(target=again_and_again, args=(place,)) for place in range(3)]
    for thread in busy:
        thread.start()
    waited = []
    for _ in range(20):
        before = sum(entered)
        assert turns.acquire(timeout=10)
        waited.append(sum(entered) - before)
        turns.release()
    stop.set()
    for thread in busy:
        thread.join()
    assert max(waited) <= 6  # three before it in the line, and those who come and go while it is told
    assert min(entered) > 0.5 * max(entered)


def test_a_turn_that_does_not_come_is_not_lost() -> None:
    turns = Turns(1)
    assert turns.acquire(timeout=0.01)
    assert not turns.acquire(timeout=0.01)
    turns.release()
    assert turns.acquire(timeout=0.01)
    waiting = threading.Thread(target=lambda: turns.acquire(timeout=10) and turns.release())
    waiting.start()
    turns.release()
    waiting.join()
    assert turns.acquire(timeout=0.01)
    assert not turns.acquire(timeout=0.01)
