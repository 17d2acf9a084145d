"""Runs begin in a copy of the warm process; where there is none, as Dagster begins them."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from pipelines.launcher import ADDRESS, READY
from pipelines.processes import Processes, start_dagster, write_dagster_home
from resources.warehouse import Warehouse

pytestmark = pytest.mark.timeout(300)

BOUND_SECONDS = 90
DEFINITIONS = """
import time
import dagster as dg

@dg.op
def brief():
    pass

@dg.op
def endless():
    for _ in range(600):
        time.sleep(0.1)

@dg.job(executor_def=dg.in_process_executor)
def short():
    brief()

@dg.job(executor_def=dg.in_process_executor)
def long():
    endless()

defs = dg.Definitions(jobs=[short, long])
"""
LAUNCH = """mutation($job: String!) { launchRun(executionParams: {runConfigData: {}, selector: {
    jobName: $job, repositoryName: "__repository__", repositoryLocationName: "trivial"}}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
STATUS = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
TERMINATE = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"


def test_runs_begin_warm_can_be_interrupted_and_begin_cold_without_the_warm_process(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    module = tmp_path / "trivial.py"
    module.write_text(DEFINITIONS)
    folder = write_dagster_home(tmp_path, warehouse.dagster_url())
    with Processes(tmp_path) as processes:
        address = start_dagster(processes, folder, code=("-f", str(module)), location="trivial")
        said = tmp_path / "logs" / "launcher.log"
        _wait_until(lambda: READY in said.read_text())

        short = _launch(address, "short")
        _wait_until(lambda: _status(address, short) == "SUCCESS")
        assert short in said.read_text()

        long = _launch(address, "long")
        _wait_until(lambda: _status(address, long) == "STARTED")
        warm = _warm_process()
        (copy,) = warm.children()
        assert _ask(address, TERMINATE, {"id": long})["terminateRun"]["__typename"] == "TerminateRunSuccess"
        _wait_until(lambda: _status(address, long) == "CANCELED")
        psutil.wait_procs([copy], timeout=BOUND_SECONDS)

        orphan = _launch(address, "long")
        _wait_until(lambda: _status(address, orphan) == "STARTED")
        (copy,) = warm.children()
        os.kill(warm.pid, signal.SIGKILL)
        assert psutil.wait_procs([copy], timeout=BOUND_SECONDS)[0] == [copy], "a run outlived what began it"
        cold = _launch(address, "short")
        _wait_until(lambda: _status(address, cold) == "SUCCESS")
        assert cold not in said.read_text()


def test_a_path_longer_than_a_socket_may_have_is_no_hindrance(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    home.mkdir()
    script = "from pipelines import launcher; launcher._import_all = lambda: None; launcher.main()"
    with Processes(tmp_path) as processes:
        processes.start(
            "warm", [sys.executable, "-c", script, str(home)], ready=lambda child: READY in child.said()
        )
        address = Path((home / ADDRESS).read_text())
        assert address.is_socket()
        assert address.parent.stat().st_mode & 0o077 == 0
    assert not (home / ADDRESS).exists()


def _warm_process() -> psutil.Process:
    (found,) = [child for child in psutil.Process().children() if "pipelines.launcher" in child.cmdline()]
    return found


def _launch(address: str, job: str) -> str:
    answer = _ask(address, LAUNCH, {"job": job})["launchRun"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["runId"])  # type: ignore[index]


def _status(address: str, run_id: str) -> str:
    return str(_ask(address, STATUS, {"id": run_id})["runOrError"]["status"])


def _ask(address: str, query: str, variables: dict[str, str]) -> dict[str, dict[str, object]]:
    answer = httpx.post(f"{address}/graphql", json={"query": query, "variables": variables}, timeout=60)
    body = answer.raise_for_status().json()
    assert "errors" not in body, body
    return body["data"]  # type: ignore[no-any-return]


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
