"""What many tests need: one throwaway server a worker, a migrated database a test, a running sandbox."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import settings

from resources import postgres
from resources.warehouse import Warehouse

PROJECT = Path(__file__).resolve().parent.parent
SANDBOX_START_SECONDS = 60
SANDBOX_STOP_SECONDS = 10
TEMPLATE = "sverka_template"
ROOM_IN_MEMORY = 4 * 1024**3  # bytes free; the servers of all workers take a quarter of it at most
_numbers = itertools.count(1)
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
# Seconds that a test takes about, by folder, and what single files take beyond that: what takes long begins first, so that no
# worker is left with it when the others are done. `pytest --durations=60` tells them.
USUAL = {"laws": 4.0, "crms": 4.0, "report": 2.0, "payments": 1.0, "papers": 1.0}
LONG = {
    "chaos/test_chaos.py": 170, "public/test_sales_opportunities.py": 100, "bad_input/test_killed.py": 95,
    "crms/test_several.py": 90, "test_end_to_end.py": 80, "test_ui.py": 60, "laws/test_one_document.py": 60,
    "crms/test_every_crm.py": 60, "test_cli.py": 60, "test_sensors.py": 60, "crms/test_whole_road.py": 50,
    "identity/test_store_laws.py": 50, "laws/test_foretold.py": 40, "test_launcher.py": 40,
    "laws/test_incremental.py": 35, "crms/test_bitrix24.py": 30, "test_processes.py": 30, "laws/test_known.py": 30,
    "report/test_pages.py": 30, "onec/test_subconto_road.py": 30, "laws/test_owners.py": 25,
    "test_written_back.py": 25, "laws/test_nothing_lost.py": 20, "laws/test_ledger.py": 20,
    "onec/test_release_road.py": 20, "test_entered_by_hand.py": 20, "quickbooks/test_quickbooks_road.py": 20,
    "laws/test_bad_records.py": 15, "laws/test_cost.py": 15,
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: a file is one worker's."""
    tests = Path(__file__).parent
    seconds = {
        path: LONG.get(path.relative_to(tests).as_posix(), 0) + USUAL.get(path.parent.name, 0.2) * count
        for path, count in Counter(item.path for item in items).items()
    }
    items.sort(key=lambda item: seconds[item.path], reverse=True)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """URL of a server of this worker alone, without fsync, gone at the end. Its database is empty."""
    with _server_home() as home, postgres.server(home, durable=False) as url:
        yield url


@pytest.fixture
def server_home() -> Iterator[Path]:
    """An empty folder that a server may live in; it is stopped and removed with it."""
    with _server_home() as home:
        try:
            yield home
        finally:
            for lock in home.rglob("postgres.lock"):
                postgres.stop_server(lock.parent)


@pytest.fixture(scope="session")
def template(server_url: str) -> str:
    """Name of a migrated database that nothing is connected to, to be copied."""
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {TEMPLATE}")
    Warehouse(_database(server_url, TEMPLATE)).migrate()
    return TEMPLATE


@pytest.fixture
def warehouse(server_url: str, template: str) -> Iterator[Warehouse]:
    """A fresh, migrated, empty warehouse of this test alone."""
    yield from _warehouse(server_url, template)


@pytest.fixture
def second_warehouse(server_url: str, template: str) -> Iterator[Warehouse]:
    """Another one, to compare with."""
    yield from _warehouse(server_url, template)


def _warehouse(server_url: str, template: str) -> Iterator[Warehouse]:
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        warehouse = Warehouse(_database(server_url, name))
        with warehouse.kept():  # a connection takes longer than most of what tests ask
            yield warehouse
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


@dataclass(frozen=True)
class Sandbox:
    """The vendors' stand-in, running as a process of its own."""

    url: str
    pid: int

    def control(self, path: str, body: Any = None) -> Any:
        """POST `body` to the sandbox's own control address `/control/PATH`; the JSON answer."""
        answer = httpx.post(f"{self.url}/control/{path.removeprefix('/')}", json=body or {}, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox of this test alone on a free port, with its state in the test's folder."""
    log = tmp_path / "sandbox.log"
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--state", str(tmp_path / "sandbox")]
    process = subprocess.Popen(
        command,
        cwd=PROJECT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield Sandbox(_address(process, log), process.pid)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(SANDBOX_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(SANDBOX_STOP_SECONDS)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data: `SVERKA_SHARED_DATA`, else `../shared/data`; skips where it is absent."""
    folder = Path(os.environ.get("SVERKA_SHARED_DATA") or PROJECT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"public data is not at {folder}; name its folder in SVERKA_SHARED_DATA")
    return folder


@contextlib.contextmanager
def _server_home() -> Iterator[Path]:
    """Not below pytest's own folder: every pytest that starts shuts that to other accounts again, and
    for root the server runs under one. In memory where there is room: a server makes and drops thousands of
    files here, which costs a third of its time on a disk."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_IN_MEMORY
    with tempfile.TemporaryDirectory(prefix="sverka-test-", dir=memory if roomy else None) as folder:
        yield Path(folder)


def _database(url: str, name: str) -> str:
    return f"{url.rsplit('/', 1)[0]}/{name}"


def _address(process: subprocess.Popen[str], log: Path) -> str:
    """The address that the sandbox prints when it is ready; whatever it says goes to `log`."""
    said: list[str] = []
    found = threading.Event()

    def listen() -> None:
        assert process.stdout is not None
        with log.open("w") as handle:
            for line in process.stdout:
                handle.write(line)
                handle.flush()
                said.append(line)
                if re.search(r"http://127\.0\.0\.1:\d+", line):
                    found.set()
        found.set()

    threading.Thread(target=listen, daemon=True).start()
    found.wait(SANDBOX_START_SECONDS)
    address = re.search(r"http://127\.0\.0\.1:\d+", "".join(said))
    if address is None:
        raise RuntimeError(
            f"the sandbox said no address within {SANDBOX_START_SECONDS} s: {''.join(said)[-2000:]}"
        )
    return address[0]
