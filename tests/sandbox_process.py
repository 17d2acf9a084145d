"""Starts the real sandbox process for a test and stops it by its own id."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx

START_SECONDS = 60.0
STOP_SECONDS = 10.0


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
        answer = self.post(name, params)
        assert answer.status_code == 200, answer.text
        return answer.json()


@cache
def _usual_trust() -> ssl.SSLContext:
    """Certificates, which plain http does not need: to read them takes longer than most tests do."""
    return httpx.create_ssl_context()


@contextmanager
def running(*arguments: str, state: Path | None = None) -> Iterator[Running]:
    """A sandbox on a free port, with `--state` when a folder is given."""
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
