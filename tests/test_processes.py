from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest
import yaml

from pipelines.processes import (
    OWN_PROCESS_YAML,
    ProcessError,
    Processes,
    free_port,
    line_ready,
    port_ready,
    start_dagster,
    write_dagster_home,
)
from resources.warehouse import Warehouse
from tests.dagster_ui import DagsterUi, wait_until

BOUND_SECONDS = 60
SLEEPER = "import time; print('ready', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER
QUIET_SLEEPER = "import time; time.sleep(600)"
# A parent with a child in the same session and one that went into a session of its own.
FAMILY = (
    "import subprocess, sys; "
    f"c = [sys.executable, '-c', {QUIET_SLEEPER!r}]; "
    "a = subprocess.Popen(c); b = subprocess.Popen(c, start_new_session=True); "
    "print('pids', a.pid, b.pid, flush=True); a.wait()"
)
SUPERVISOR = """
import sys
from pipelines.processes import Processes, line_ready
with Processes(sys.argv[1]) as processes:
    child = processes.start("child", [sys.executable, "-c", sys.argv[2]], ready=line_ready("pids"))
    print(child.process.pid, *child.said().split()[1:], flush=True)
    processes.watch()
"""
DEFINITIONS = """
import dagster as dg

@dg.asset
def answer() -> int:
    return 42

everything = dg.define_asset_job("everything", executor_def=dg.in_process_executor)
defs = dg.Definitions(assets=[answer], jobs=[everything])
"""


def test_a_child_writes_to_its_log_and_is_gone_after_stop(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = processes.start("sleeper", [sys.executable, "-c", SLEEPER], ready=line_ready("ready"))
        assert processes.alive() == ["sleeper"]
        assert (tmp_path / "logs" / "sleeper.log").read_text() == "ready\n"
    assert child.process.returncode == -signal.SIGTERM
    assert processes.alive() == []


def test_a_child_that_dies_at_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "print('no licence'); raise SystemExit(3)"]
    with Processes(tmp_path) as processes, pytest.raises(ProcessError, match=r"wrong.*code 3.*no licence"):
        processes.start("wrong", argv, ready=port_ready(free_port()))


def test_a_child_that_is_never_ready_is_stopped(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", SLEEPER]
    with Processes(tmp_path) as processes:
        with pytest.raises(ProcessError, match="not ready within 0 s"):
            processes.start("slow", argv, ready=port_ready(free_port()), ready_seconds=0.2)
        assert processes.alive() == []


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes, pytest.raises(ProcessError, match="/no/such/program"):
        processes.start("nothing", ["/no/such/program"])


def test_children_stop_in_reverse_order(tmp_path: Path) -> None:
    order = tmp_path / "order"
    program = (
        "import signal, sys, time\n"
        f"def bye(*_):\n    open({str(order)!r}, 'a').write(sys.argv[1]); raise SystemExit\n"
        "signal.signal(signal.SIGTERM, bye); print('ready', flush=True); time.sleep(600)"
    )
    with Processes(tmp_path) as processes:
        for name in "abc":
            processes.start(name, [sys.executable, "-c", program, name], ready=line_ready("ready"))
    assert order.read_text() == "cba"


def test_a_child_that_ignores_term_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.processes.STOP_SECONDS", 0.3)
    with Processes(tmp_path) as processes:
        child = processes.start("stubborn", [sys.executable, "-c", STUBBORN], ready=line_ready("ready"))
    assert child.process.returncode == -signal.SIGKILL


def test_grandchildren_go_too_even_after_their_parent_died(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = processes.start("family", [sys.executable, "-c", FAMILY], ready=line_ready("pids"))
        pids = [int(word) for word in child.said().split()[1:3]]
        assert all(map(psutil.pid_exists, pids))
    assert not any(map(_lives, pids))
    with Processes(tmp_path) as processes:
        child = processes.start("family", [sys.executable, "-c", FAMILY], ready=line_ready("pids"))
        same_session, own_session = [int(word) for word in child.said().split()[1:3]]
        child.process.kill()
        child.process.wait()
    assert not _lives(same_session)
    os.kill(own_session, signal.SIGKILL)  # it left family and session: nobody can know it


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_the_supervisor_ends_the_children(tmp_path: Path, number: signal.Signals) -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(tmp_path), FAMILY],
        stdout=subprocess.PIPE,
        text=True,
        # As a shell does for `sverka up &`.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN) and None,
    )
    assert supervisor.stdout is not None
    leader, same_session, own_session = map(int, supervisor.stdout.readline().split())
    supervisor.send_signal(number)
    code = supervisor.wait(BOUND_SECONDS)
    assert code == (-number if number == signal.SIGKILL else 128 + number)
    if number == signal.SIGKILL:  # the system ends the child; its own children are beyond reach
        wait_until(lambda: not _lives(leader))
        for pid in (same_session, own_session):
            os.kill(pid, signal.SIGKILL)
    else:
        assert not any(map(_lives, (leader, same_session, own_session)))


def test_a_child_that_ends_by_itself_ends_the_watch(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start("brief", [sys.executable, "-c", "print('enough')"])
        with pytest.raises(ProcessError, match=r"brief ended by itself with code 0.*enough"):
            processes.watch()


def test_a_child_that_is_not_needed_may_end_and_the_others_go_on(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start("spare", [sys.executable, "-c", "pass"], needed=False)
        processes.start("main", [sys.executable, "-c", "import time; time.sleep(2); print('enough')"])
        with pytest.raises(ProcessError, match=r"main ended by itself"):
            processes.watch()


def test_the_dagster_home_is_readable_by_its_owner_only_and_sends_nothing_home(tmp_path: Path) -> None:
    folder = write_dagster_home(tmp_path, "postgresql://u:secret@127.0.0.1/x")
    for name in ("dagster.yaml", OWN_PROCESS_YAML):
        assert (folder / name).stat().st_mode & 0o077 == 0
    settings = yaml.safe_load((folder / "dagster.yaml").read_text())
    assert settings["telemetry"] == {"enabled": False}
    assert settings["concurrency"]["runs"]["tag_concurrency_limits"] == [{"key": "sverka/sync", "limit": 1}]


def test_dagster_runs_a_job_in_its_own_schema_and_stops_within_seconds(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    """Web server, daemon and one code server; a queued run goes through; nothing is left."""
    module = tmp_path / "trivial.py"
    module.write_text(DEFINITIONS)
    folder = write_dagster_home(tmp_path, warehouse.dagster_url())
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    with Processes(tmp_path) as processes:
        address = start_dagster(processes, folder, code=("-f", str(module)), location="trivial")
        ui = DagsterUi(address)
        ended = ui.becomes(ui.launch("everything"), "SUCCESS", "FAILURE")
        assert ended == "SUCCESS", (tmp_path / "logs" / "code-server.log").read_text()
        started = {process.pid for process in psutil.Process().children(recursive=True)} - before
        assert len(started) >= 3
        began = time.monotonic()
    assert time.monotonic() - began < 20
    assert not any(map(_lives, started))
    assert warehouse.scalar("SELECT count(*) FROM dagster.runs WHERE status = 'SUCCESS'") == 1
    assert warehouse.scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_server_of_the_warehouse_answers_under_the_search_path_of_dagster(warehouse: Warehouse) -> None:
    with psycopg.connect(warehouse.dagster_url()) as conn:
        assert conn.execute("SELECT current_schema()").fetchone() == ("dagster",)
