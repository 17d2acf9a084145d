"""kill -9 of the real `sverka sync`, again and again, wherever it stands: every due document exactly once.

The moments are drawn from a seed that a failure prints; each is "so many operations of the ledger have
come to this state", so that the process dies while it reads, sends, verifies and writes back.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from resources.warehouse import Warehouse
from tests.whole_road import DEMO, Company, addresses, company, differences_from_truth, environment

SEED = int(os.environ.get("SVERKA_TEST_SEED", "20261121"))
KILLS = 3
SECONDS = 120.0  # for one process to come to its moment or to its end
PROJECT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
def test_a_sync_killed_at_any_moment_is_taken_up_by_the_next(
    fresh: Callable[[], Warehouse], tmp_path: Path
) -> None:
    draw = random.Random(SEED)
    with (
        company(fresh(), tmp_path, "--deals", "60", "--no-limits", "--latency-ms", "15") as found,
        environment({"SVERKA_MAPPINGS": str(_without_limits(tmp_path / "mappings"))}),
    ):
        killed = [_sync_and_kill(found, tmp_path, moment) for moment in _moments(draw)]
        assert sum(killed) >= KILLS - 1, f"seed {SEED}: hardly a process was killed in its work: {killed}"
        assert found.states().get("sent", 0) + found.states().get("verified", 0) > 0
        last = _start(found, tmp_path)
        assert last.wait(SECONDS) == 0, f"seed {SEED}: {(tmp_path / 'sync.log').read_text()[-2000:]}"
        if found.states().get("uncertain"):  # tasks whose request the portal may still be carrying out
            _minutes_pass(found)
            last = _start(found, tmp_path)
            assert last.wait(SECONDS) == 0, f"seed {SEED}: {(tmp_path / 'sync.log').read_text()[-2000:]}"
        assert not set(found.states()) - {"verified", "held", "superseded"}, f"seed {SEED}: {found.states()}"
        assert differences_from_truth(found) == [], f"seed {SEED}"
        assert _tasks_twice(found) == [], f"seed {SEED}"
        again = found.sync()
        assert again.planned.quiet, f"seed {SEED}: {again.planned}"
        assert again.carried.probed == again.carried.written == 0
        assert all(law.holds for law in again.laws), f"seed {SEED}: {again.laws}"


def _minutes_pass(found: Company) -> None:
    """As many as a create in the CRM is waited for; see `Capabilities.settles_after`."""
    waiting = found.warehouse.rows(
        "select distinct target, kind from ops.operation where state = 'uncertain'"
    )
    assert waiting == [("bitrix24", "task")], f"seed {SEED}: {waiting}"
    with found.warehouse.transaction() as conn:
        conn.execute("set local session_replication_role = replica")  # events are never rewritten otherwise
        conn.execute("update ops.operation_event set at = at - interval '5 minutes'")


def _without_limits(folder: Path) -> Path:
    """The demo company's files, with a plan of the portal that lets every request through at once."""
    shutil.copytree(DEMO, folder)
    file = folder / "bitrix24.yaml"
    text, connection = file.read_text(encoding="utf-8"), "\nconnection:\n"
    assert text.count(connection) == 1
    file.write_text(
        text.replace(connection, f"{connection}  rate_per_second: 1000\n  burst: 2000\n"), encoding="utf-8"
    )
    return folder


def _moments(draw: random.Random) -> list[str]:
    """Conditions over the warehouse, each true a little later in a sync than the one before."""
    return [
        f"select count(*) >= {draw.randrange(1, 12)} from ops.batch",
        f"select count(*) >= {draw.randrange(1, 60)} from ops.operation where target = 'onec' and state = 'verified'",
        "select exists (select from ops.operation where target = 'bitrix24' and state = 'sent')",
    ]


def _start(found: Company, folder: Path) -> subprocess.Popen[bytes]:
    environ = {
        **addresses(found.sandbox, found.drop),
        **os.environ,
        "SVERKA_DATABASE_URL": found.warehouse.url,
        "SVERKA_HOME": str(folder / "home"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    with (folder / "sync.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", "sync"],
            cwd=PROJECT, env=environ, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip


def _sync_and_kill(found: Company, folder: Path, moment: str) -> bool:
    """Start a sync and kill it when the condition holds; whether it was killed and had not ended by itself."""
    process = _start(found, folder)
    end = time.monotonic() + SECONDS
    try:
        with psycopg.connect(found.warehouse.url, autocommit=True) as conn:
            while process.poll() is None and time.monotonic() < end:
                if conn.execute(moment.encode()).fetchone() == (True,):
                    process.kill()
                    process.wait(10)
                    return True
                time.sleep(0.01)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
    assert process.returncode == 0, (folder / "sync.log").read_text()[-2000:]
    return False


def _tasks_twice(found: Company) -> list[str]:
    tags: list[str] = []
    start: int | None = 0
    while start is not None:
        page = found.sandbox.call("tasks.task.list", select=["ID", "XML_ID"], start=start)
        tags += [task["xmlId"] for task in page["result"]["tasks"]]
        start = page.get("next")
    return sorted({tag for tag in tags if tags.count(tag) > 1})
