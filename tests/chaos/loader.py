"""Forked processes: each imports nothing, opens its own connections, and may end at any moment."""

from __future__ import annotations

import faulthandler
import os
import pickle
import random
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.operations import carrier
from resources import http
from resources.budget import LocalBudget, SharedBudget

MAX_SECONDS: Final = 180.0  # that a loader may take before it is counted as hanging
HANGS_SECONDS: Final = 60.0  # after which it shows where it is
LONGEST_PAUSE: Final = (
    0.02  # seconds between the attempts of a request: here time is dear and vendors are near
)
KILLED: Final = -signal.SIGKILL


class HangingError(Exception):
    """A loader did not end in time."""


@dataclass
class Ended:
    """How a process ended: its status (negative: the signal), what it returned, and the error it told."""

    status: int
    result: Any = None
    error: str = ""


class Loader:
    """A forked process that runs `work`. Where it meets its point it names the place, and is killed or stands still."""

    def __init__(
        self, work: Callable[[Callable[[str], None]], Any], folder: Path, seed: int, kills: bool
    ) -> None:
        self._result = folder / f"result-{seed}-{time.monotonic_ns()}"
        self._said, says = os.pipe()
        hears, self._lets_on = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._be_child(work, says, hears, seed, kills)
        os.close(says)
        os.close(hears)

    def _be_child(
        self, work: Callable[[Callable[[str], None]], Any], says: int, hears: int, seed: int, kills: bool
    ) -> None:
        status = 0
        try:
            random.seed(seed)
            faulthandler.dump_traceback_later(HANGS_SECONDS, file=sys.stderr)
            _hasten()

            def meet(place: str) -> None:
                os.write(says, place.encode())
                if kills:
                    os.kill(os.getpid(), signal.SIGKILL)
                os.read(hears, 1)

            ended = Ended(0, work(meet))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent is told
            status = 1
            ended = Ended(1, type(error).__name__, "".join(traceback.format_exception(error)))
        try:
            self._result.write_bytes(pickle.dumps(ended))
        finally:
            os._exit(status)

    def met(self) -> str:
        """Wait until it meets its point, and say where; nothing where it ended without."""
        ready, _, _ = select.select([self._said], [], [], MAX_SECONDS)
        return os.read(self._said, 200).decode() if ready else ""

    def let_on(self) -> None:
        os.write(self._lets_on, b"!")

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def ends_within(self, seconds: float) -> bool:
        handle = os.pidfd_open(self.pid)
        try:
            return bool(select.select([handle], [], [], seconds)[0])
        finally:
            os.close(handle)

    def end(self) -> Ended:
        """Wait for the end. Raises HangingError after MAX_SECONDS, when it is killed."""
        deadline = time.monotonic() + MAX_SECONDS
        handle = os.pidfd_open(self.pid)
        try:
            if not select.select([handle], [], [], max(0.0, deadline - time.monotonic()))[0]:
                self.kill()
                os.waitpid(self.pid, 0)
                raise HangingError(f"a loader did not end within {MAX_SECONDS:.0f} s")
            status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        finally:
            for descriptor in (handle, self._said, self._lets_on):
                os.close(descriptor)
        if status in (0, 1) and self._result.exists():
            ended: Ended = pickle.loads(self._result.read_bytes())
            self._result.unlink()
            return ended
        return Ended(status)


def small_chunks(size: int) -> None:
    """Let the carrier commit this few operations together, so that a company has many moments to be killed at."""
    carrier.CHUNK = size  # type: ignore[misc]


def _hasten() -> None:
    """Let waits for a vendor's pauses be short."""
    made = http.Client.__init__

    def init(client: http.Client, *arguments: Any, **named: Any) -> None:
        named.setdefault("sleep", lambda seconds: time.sleep(min(seconds, LONGEST_PAUSE)))
        made(client, *arguments, **named)

    http.Client.__init__ = init  # type: ignore
    for kind in (SharedBudget, LocalBudget):
        kind.block = _short_block(kind.block)  # type: ignore


def _short_block(block: Callable[..., None]) -> Callable[..., None]:
    def blocked(budget: Any, seconds: float, bucket: str = "") -> None:
        block(budget, min(seconds, LONGEST_PAUSE), bucket)

    return blocked
