"""Where benchmarks run: a PostgreSQL server and sandboxes of their own, and measured child processes.

Each contender works in a process of its own, so that its time and memory are its own; the server's and
the sandbox's processor time are read beside it. A machine that is busy with other things stretches the
clock, not the processor time, so both are kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import psycopg

from pipelines.processes import Child, Processes, line_ready
from resources import postgres
from resources.warehouse import Warehouse, home_folder

ROOT: Final = Path(__file__).parents[1]
WORKER_SECONDS: Final = 1800
SANDBOX_SECONDS: Final = 300.0


def bench_home() -> Path:
    """Where benchmarks lie that are given no folder: beside every company's home, not in one."""
    return home_folder().parent / "bench" if not os.environ.get("SVERKA_HOME") else home_folder() / "bench"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox: its address, the portal's webhook, and its process."""

    url: str
    info: Mapping[str, Any]
    process: psutil.Process

    @property
    def webhook(self) -> str:
        return str(self.info["bitrix24"]["webhook"])

    @property
    def environment(self) -> dict[str, str]:
        """The addresses that the demo company's mapping files name."""
        return {
            "SVERKA_BITRIX24_URL": self.webhook,
            "SVERKA_ONEC_URL": self.info["onec"]["odata"],
            "SVERKA_ONEC_USER": self.info["onec"]["user"],
            "SVERKA_ONEC_PASSWORD": self.info["onec"]["password"],
            "SVERKA_ONEC_ALLOW_HTTP": "1",
        }


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds: by the clock; of the worker's processor; of the database's; peak memory in MB."""

    wall: float
    cpu: float
    database: float
    peak_mb: float
    said: Mapping[str, Any]


class Place:
    """One benchmark's surroundings. Use it in a `with`."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.processes = Processes(self.home)
        self._stack = contextlib.ExitStack()
        self._url = ""

    def __enter__(self) -> Place:
        self.home.mkdir(parents=True, exist_ok=True)
        self._url = self._stack.enter_context(postgres.server(self.home))
        self._stack.enter_context(self.processes)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def database(self, name: str) -> Warehouse:
        """An empty database of this name, migrated; one of an earlier run is dropped."""
        with psycopg.connect(self._url, autocommit=True) as conn:
            conn.execute(f"drop database if exists {name} with (force)".encode())
            conn.execute(f"create database {name}".encode())
        warehouse = Warehouse(self._url.rsplit("/", 1)[0] + f"/{name}")
        warehouse.migrate()
        return warehouse

    def drop(self, *names: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as conn:
            for name in names:
                conn.execute(f"drop database if exists {name} with (force)".encode())

    def sandbox(self, deals: int, *options: str) -> Sandbox:
        """A sandbox that keeps everything in memory, with so many deals in its portal."""
        number = len(list((self.home / "logs").glob("sandbox-*.log")))
        child: Child = self.processes.start(
            f"sandbox-{number}",
            [sys.executable, "-m", "sandbox", "--port", "0", "--deals", str(deals), *options],
            ready=line_ready("sandbox ready"),
            ready_seconds=SANDBOX_SECONDS,
            cwd=ROOT,
        )
        url = child.said().rsplit("sandbox ready", 1)[1].split()[0]
        info = httpx.get(f"{url}/control/info", timeout=30).json()
        return Sandbox(url, info, psutil.Process(child.process.pid))

    def worker(self, module: str, *arguments: str, env: Mapping[str, str] | None = None) -> Spent:
        """Run `python -m MODULE ARGUMENTS` and measure it. Its last line of output is JSON; a `seconds` in
        it is the clock of the work itself, without the interpreter's start."""
        before = self.database_seconds()
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **(env or {})},
        )  # fmt: skip
        started = time.monotonic()
        try:
            out, complaint = process.communicate(timeout=WORKER_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        if process.returncode != 0:
            raise RuntimeError(f"{module} {' '.join(arguments[:1])} failed: {complaint.strip()[-2000:]}")
        said = json.loads(out.strip().splitlines()[-1])
        wall = float(said.get("seconds", time.monotonic() - started))
        return Spent(wall, float(said["cpu"]), self.database_seconds() - before, float(said["peak_mb"]), said)

    def database_seconds(self) -> float:
        """Processor seconds of the server and all its processes so far, ended ones included."""
        lines = (self.home / "postgres" / "postmaster.pid").read_text().splitlines()
        postmaster = psutil.Process(int(lines[0]))
        times = postmaster.cpu_times()
        total = times.user + times.system + times.children_user + times.children_system
        for child in postmaster.children():
            with contextlib.suppress(psutil.Error):
                spent = child.cpu_times()
                total += spent.user + spent.system
        return float(total)


@contextlib.contextmanager
def measured() -> Iterator[dict[str, Any]]:
    """For the worker itself: what its `with` block took, and its peak memory, as a dict to print."""
    said: dict[str, Any] = {}
    cpu, wall = time.process_time(), time.perf_counter()
    yield said
    said.setdefault("seconds", time.perf_counter() - wall)
    said.setdefault("cpu", time.process_time() - cpu)
    said["peak_mb"] = peak_mb()


def peak_mb(pid: int | None = None) -> float:
    """The highest resident memory that a process has had so far; 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid or 'self'}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def say(said: Mapping[str, Any]) -> None:
    print(json.dumps(said, default=str), flush=True)


def middle(values: Sequence[float]) -> float:
    """The median."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
