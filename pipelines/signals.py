"""Ctrl-C and TERM: the first one ends every `with`, and what ends then is let end.

Python's own ways are a traceback for INT and sudden death for TERM and HUP. Here the first of the three is
raised as `Stopped`; whatever comes after it is let pass, since all cleaning up is bounded in time and must
not be cut in two. Dagster puts handlers of its own into place while a run goes on and keeps what they raise
to itself: `noticed` sees the signals all the same.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REPEAT_SECONDS: Final = 2.0
MOST_REPEATS: Final = 30


class Stopped(SystemExit):
    """Somebody asked us to end. Left alone it ends the process with the shell's code: 130 for Ctrl-C, 143 for TERM."""

    def __init__(self, number: int, message: str = "stopped") -> None:
        super().__init__(128 + number)
        self.number = number
        self.message = message


class _State:
    """A process has one set of signals, so this is one for all."""

    raised = False
    blocks = 0
    waiting: int | None = None


@contextlib.contextmanager
def heeded() -> Iterator[None]:
    """In the block the first signal is raised as Stopped, later ones are let pass. May be nested."""
    if not _in_main_thread() or signal.getsignal(signal.SIGTERM) is _heed:
        yield
        return
    before = {number: signal.getsignal(number) for number in ENDING}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]  # nohup
    try:
        for number in before:
            signal.signal(number, _heed)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        _State.raised, _State.waiting = False, None


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """In the block a signal is only noted, and raised at its end: for what must not be cut in two."""
    _State.blocks += 1
    try:
        yield
    finally:
        _State.blocks -= 1
        if not _State.blocks and _State.waiting is not None:
            number, _State.waiting = _State.waiting, None
            raise _stopped(number)


@contextlib.contextmanager
def noticed(message: str) -> Iterator[None]:
    """A signal that arrives in the block ends it as Stopped with `message`, whoever handles it meanwhile.

    It is repeated until the block has ended: a pool of threads that wait for an answer waits on after the first.
    """
    if not _in_main_thread():
        yield
        return
    watcher = _Watcher()
    try:
        yield
    except BaseException as error:
        if (number := watcher.end()) is not None:
            raise _stopped(number, message) from error
        raise
    if (number := watcher.end()) is not None:
        raise _stopped(number, message)


@contextlib.contextmanager
def called(message: str) -> Iterator[None]:
    """Give `message` to whoever stops us in the block."""
    try:
        yield
    except Stopped as stopped:
        stopped.message = message
        raise


class _Watcher:
    """Hears of signals by the descriptor that the interpreter writes their numbers to."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._first: int | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._thread.start()

    def end(self) -> int | None:
        """Stop watching; the first of our signals that arrived, by its number."""
        _State.blocks += 1  # a last repetition may arrive here
        self._ended.set()
        signal.set_wakeup_fd(self._before)
        self._writer.close()
        self._thread.join()
        self._reader.close()
        _State.blocks -= 1
        first = self._first if self._first is not None else _State.waiting
        _State.waiting = None
        return first

    def _watch(self) -> None:
        while self._first is None:
            heard = self._reader.recv(1)
            if not heard:
                return
            if heard[0] in ENDING:
                self._first = heard[0]
        for _ in range(MOST_REPEATS):
            if self._ended.wait(REPEAT_SECONDS):
                return
            os.kill(os.getpid(), self._first)


def heed_now() -> None:
    """Put our handlers back into place: where Dagster would only wait, it must be possible to end the waiting."""
    if _in_main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _heed)


def _heed(number: int, frame: FrameType | None) -> None:
    if _State.raised:
        return
    if _State.blocks:
        _State.waiting = _State.waiting or number
        return
    raise _stopped(number)


def _stopped(number: int, message: str = "stopped") -> Stopped:
    _State.raised = True
    return Stopped(number, message)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
