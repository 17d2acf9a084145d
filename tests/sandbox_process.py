"""Starts the real sandbox process for a test and stops it by its own id."""

from __future__ import annotations

import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from resources.budget import LocalBudget, SharedBudget

START_SECONDS = 60.0
STOP_SECONDS = 10.0
TOO_MANY, LIMITED_SECONDS = 503, 30.0


@dataclass
class Running:
    """A sandbox that listens. `call` is a method of the portal, `control` a word to the control panel."""

    process: subprocess.Popen[str]
    address: str
    http: httpx.Client

    def __post_init__(self) -> None:
        self.info = self.control("info")
        self.webhook: str = self.info["bitrix24"]["webhook"]

    def control(self, path: str, said: Any = None, method: str | None = None) -> Any:
        method = method or ("GET" if said is None else "POST")
        return self.http.request(method, f"{self.address}/control/{path}", json=said).json()

    def post(self, name: str, params: Any = None) -> httpx.Response:
        return self.http.post(self.webhook + name, json=params or {})

    def call(self, name: str, **params: Any) -> Any:
        """What the portal answers; while too much was asked of it, asked again."""
        end = time.monotonic() + LIMITED_SECONDS
        while (answer := self.post(name, params)).status_code == TOO_MANY and time.monotonic() < end:
            time.sleep(0.5)
        assert answer.status_code == 200, answer.text
        return answer.json()


@cache
def _usual_trust() -> ssl.SSLContext:
    """Certificates, which plain http does not need: to read them takes longer than most tests do."""
    return httpx.create_ssl_context()


@contextmanager
def running(*arguments: str, state: Path | None = None) -> Iterator[Running]:
    """A sandbox on a free port, with `--state` when a folder is given. One without limits is asked without any."""
    with _budgets_that_grant_all() if "--no-limits" in arguments else nullcontext():
        yield from _running(arguments, state)


@contextmanager
def _budgets_that_grant_all() -> Iterator[None]:
    """What vendors permit takes more of these tests' time than all else; what they forbid for a while is still kept."""
    before = {kind: kind.take for kind in (LocalBudget, SharedBudget)}

    def free(take: Any) -> Any:
        def granted(budget: Any, cost: float = 1.0, buckets: Sequence[str] = ()) -> float:
            of_a_test = getattr(budget, "_clock", time.monotonic) is not time.monotonic
            return float(take(budget, cost if of_a_test else 0.0, buckets))

        return granted

    for kind, take in before.items():
        kind.take = free(take)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for kind, take in before.items():
            kind.take = take  # type: ignore[method-assign]


def _running(arguments: Sequence[str], state: Path | None) -> Iterator[Running]:
    kept = ["--state", str(state)] if state else []
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--port", "0", *kept, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("sandbox ready "), f"the sandbox did not start: {line!r}"
        with httpx.Client(timeout=START_SECONDS, trust_env=False, verify=_usual_trust()) as http:
            yield Running(process, line.split()[-1], http)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
        if process.stdout is not None:
            process.stdout.close()
