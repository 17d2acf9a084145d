"""An iterator that works one item ahead: order, errors, and its end when who uses it gives up."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from resources.connector import SourceError
from resources.parallel import ahead

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
