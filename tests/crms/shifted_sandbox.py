"""A sandbox whose vendors' clocks are seconds off ours, behind where below zero.

    python -m tests.crms.shifted_sandbox STAMPS DATE [arguments of the sandbox]

STAMPS: of what records bear. DATE: of the header of answers, which a proxy may write by another clock.
"""

from __future__ import annotations

import email.utils
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import uvicorn.server

from sandbox.__main__ import main
from sandbox.desk.records import Desk
from tests.sandbox_process import START_SECONDS, STOP_SECONDS, Running


@contextmanager
def shifted(stamps: float, date: float, *arguments: str) -> Iterator[Running]:
    """Such a sandbox on a free port, without limits."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(stamps), str(date), "--port", "0", "--no-limits", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("sandbox ready "), f"the sandbox did not start: {line!r}"
        with httpx.Client(timeout=START_SECONDS, trust_env=False) as http:
            yield Running(process, line.split()[-1], http)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
        if process.stdout is not None:
            process.stdout.close()


def _set_clocks(stamps: float, date: float) -> None:
    made: Any = Desk.__post_init__

    def set_back(desk: Desk) -> None:
        desk.clock = lambda: datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=stamps)
        made(desk)

    Desk.__post_init__ = cast("Any", set_back)  # type: ignore[method-assign]
    uvicorn.server.formatdate = lambda at, **how: email.utils.formatdate(at + date, **how)  # type: ignore[attr-defined]


if __name__ == "__main__":
    _set_clocks(float(sys.argv[1]), float(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
