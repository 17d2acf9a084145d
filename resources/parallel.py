"""Several requests under way at once, their answers in order; an iterator that works while its items are used; turns."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

FAREWELL: Final = 10.0  # seconds that who gives up an iterator waits for the end of its present item
SWITCH_SECONDS: Final = 0.0005  # after which a thread lets another one on


def take_turns_often() -> None:
    """Let threads of this process take turns more often from now on.

    One that sends and receives in small pieces would wait Python's usual five milliseconds for its turn after each
    piece while another one computes.
    """
    sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], at_once: int, name: str = ""
) -> Iterator[Result]:
    """Results of `work` in the order of the items, at most `at_once` of them under way.

    An error rises where its result would have come; what waits is not begun any more.
    """
    if at_once <= 1:
        yield from map(work, items)
        return
    take_turns_often()
    with ThreadPoolExecutor(at_once, thread_name_prefix=name) as pool:
        under_way: deque[Future[Result]] = deque()
        try:
            for item in items:
                under_way.append(pool.submit(work, item))
                if len(under_way) >= at_once:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for waiting in under_way:
                waiting.cancel()


def ahead(items: Iterable[Item], name: str = "") -> Generator[Item, None, None]:
    """The items, of which the next one is made in a thread of its own while the present one is used.

    An error rises where its item would have come. Given up before its end, the iterable is closed when it has made
    the item at hand: within FAREWELL seconds, or later on its own.
    """
    take_turns_often()
    made: SimpleQueue[tuple[bool, Item | BaseException | None]] = SimpleQueue()
    wanted, given_up = threading.Semaphore(1), threading.Event()

    def work() -> None:
        following = iter(items)
        try:
            while wanted.acquire() and not given_up.is_set():
                try:
                    item = next(following)
                except StopIteration:
                    made.put((False, None))
                    return
                made.put((True, item))
        except BaseException as error:  # noqa: BLE001 - it rises where the items are taken
            made.put((False, error))
        finally:
            if isinstance(following, Generator):
                following.close()

    thread = threading.Thread(target=work, name=f"{name or 'items'}-ahead", daemon=True)
    thread.start()
    try:
        while True:
            good, item = made.get()
            if not good:
                if item is not None:
                    raise item  # type: ignore[misc]
                return
            wanted.release()
            yield item  # type: ignore[misc]
    finally:
        given_up.set()
        wanted.release()
        thread.join(FAREWELL)


class Turns:
    """So many may be inside at once, and who came first is let in first.

    A semaphore of the standard library lets in whoever asks at the moment: a thread that leaves and comes again at once
    is before all that wait, and threads that send one request after the other keep out one that wants to send a few.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    def acquire(self, timeout: float) -> bool:
        """Wait for a turn; False after `timeout` seconds without one."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            mine = threading.Event()
            self._waiting.append(mine)
        try:
            if mine.wait(timeout):
                return True
        except BaseException:  # a stop of the process rises wherever it is
            if not self._leave(mine):
                self.release()
            raise
        return not self._leave(mine)

    def release(self) -> None:
        """Give one's turn to who waits longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1

    def _leave(self, mine: threading.Event) -> bool:
        """Wait no more; False where the turn has come meanwhile."""
        with self._lock:
            if mine.is_set():
                return False
            self._waiting.remove(mine)
            return True
