"""Runs begin in a copy of the warm process; where there is none, as Dagster begins them."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from pipelines.launcher import ADDRESS, READY
from pipelines.processes import Processes, start_dagster, write_dagster_home
from resources.warehouse import Warehouse
from tests.dagster_ui import BOUND_SECONDS, DagsterUi, wait_until

pytestmark = pytest.mark.timeout(300)

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


def test_runs_begin_warm_can_be_interrupted_and_begin_cold_without_the_warm_process(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    module = tmp_path / "trivial.py"
    module.write_text(DEFINITIONS)
    folder = write_dagster_home(tmp_path, warehouse.dagster_url())
    with Processes(tmp_path) as processes:
        ui = DagsterUi(start_dagster(processes, folder, code=("-f", str(module)), location="trivial"))
        said = tmp_path / "logs" / "launcher.log"
        wait_until(lambda: READY in said.read_text())

        short = ui.launch("short")
        ui.becomes(short, "SUCCESS")
        assert short in said.read_text()

        long = ui.launch("long")
        ui.becomes(long, "STARTED")
        warm = _warm_process()
        (copy,) = warm.children()
        ui.terminate(long)
        ui.becomes(long, "CANCELED")
        psutil.wait_procs([copy], timeout=BOUND_SECONDS)

        killed = ui.launch("long")
        ui.becomes(killed, "STARTED")
        (copy,) = warm.children()
        copy.kill()
        ui.becomes(killed, "FAILURE")

        orphan = ui.launch("long")
        ui.becomes(orphan, "STARTED")
        (copy,) = warm.children()
        os.kill(warm.pid, signal.SIGKILL)
        assert psutil.wait_procs([copy], timeout=BOUND_SECONDS)[0] == [copy], "a run outlived what began it"
        cold = ui.launch("short")
        ui.becomes(cold, "SUCCESS")
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
