"""The embedded server under interruption: whole or not there, and stopped by whoever used it last."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest

from resources import postgres, postgres_data
from resources.postgres import ServerError

BOUND_SECONDS = 120
USER = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_DFL)  # ignored where tests run with `&` and Dagster has worked before
from resources import postgres
with postgres.server(sys.argv[1], durable=False):
    print("ready", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_killed_while_the_data_are_made_leaves_nothing_that_hinders(
    server_home: Path, number: signal.Signals
) -> None:
    process = user_of(server_home)
    wait_until(lambda: any(server_home.glob("postgres.new-*/PG_VERSION")))
    process.send_signal(number)
    ends(process)
    with postgres.server(server_home, durable=False) as url:
        assert value(url, "select current_database()") == "sverka"
    assert not list(server_home.glob("postgres.new-*"))
    assert not working_in(server_home)


def test_an_interruption_right_after_the_start_stops_the_server_and_the_next_start_is_complete(
    server_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(postgres, "_ensure_database", interrupted)
        with pytest.raises(KeyboardInterrupt), postgres.server(server_home, durable=False):
            pass
        assert not working_in(server_home)
    with postgres.server(server_home, durable=False) as url:
        assert value(url, "select current_database()") == "sverka"


def test_a_server_whose_starter_was_killed_before_it_made_the_database_is_completed(
    server_home: Path,
) -> None:
    url = postgres.ensure_server(server_home, durable=False)
    other = url.rsplit("/", 1)[0] + "/postgres"
    with psycopg.connect(other, autocommit=True) as conn:
        conn.execute("drop database sverka")
    (server_home / "postgres.port").unlink()
    assert value(postgres.ensure_server(server_home, durable=False), "select current_database()") == "sverka"


def test_a_server_that_is_starting_is_waited_for_and_no_second_one_is_started(
    server_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a killed starter leaves it: the server is there, but has not yet said that it is ready."""
    url = postgres.ensure_server(server_home, durable=False)
    pid_file = server_home / "postgres" / "postmaster.pid"
    ready = pid_file.read_text()
    pid_file.write_text(ready.replace("ready   ", "starting"))
    looks = []
    processes = postgres._processes

    def ready_at_the_third_look(*arguments: object) -> object:
        looks.append(1)
        if len(looks) == 3:
            pid_file.write_text(ready)
        return processes(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(postgres, "_processes", ready_at_the_third_look)
    assert postgres.ensure_server(server_home, durable=False) == url
    assert len(looks) == 3
    assert pid_file.read_text() == ready


def test_data_left_half_made_are_made_anew(server_home: Path) -> None:
    data = server_home / "postgres"
    for folder in ("base/1", "global", "pg_wal", "pg_xact"):
        (data / folder).mkdir(parents=True)
    (data / "PG_VERSION").write_text("18\n")
    (data / "postgresql.conf").write_text("max_connections = 20\n")
    with postgres.server(server_home, durable=False) as url:
        assert value(url, "show max_connections") == "200"


def test_data_are_kept_even_if_the_mark_of_wholeness_is_gone(server_home: Path) -> None:
    with postgres.server(server_home, durable=False) as url, psycopg.connect(url) as conn:
        conn.execute("create table kept as select 1 as one")
    conf = server_home / "postgres" / "postgresql.conf"
    conf.write_text(re.sub(r"\ninclude_if_exists.*\n", "\n", conf.read_text()))
    with postgres.server(server_home, durable=False) as url:
        assert value(url, "select one from kept") == 1


def test_a_folder_that_is_not_the_servers_is_left_alone(server_home: Path) -> None:
    letters = server_home / "postgres" / "letters.txt"
    letters.parent.mkdir()
    letters.write_text("dear")
    with pytest.raises(ServerError, match=r"no folder of PostgreSQL \(it holds letters.txt\).*move it away"):
        postgres.ensure_server(server_home, durable=False)
    assert letters.read_text() == "dear"


def test_the_last_user_stops_the_server_not_the_first(server_home: Path) -> None:
    first = user_of(server_home)
    wait_until(lambda: postgres.is_running(server_home))
    with postgres.server(server_home, durable=False) as url:
        first.communicate("\n", timeout=BOUND_SECONDS)
        assert value(url, "select 1") == 1
    assert not working_in(server_home)


def test_a_server_whose_user_was_killed_is_stopped_by_the_next_one(server_home: Path) -> None:
    killed = user_of(server_home)
    assert killed.stdout is not None
    assert killed.stdout.readline() == "ready\n"
    killed.kill()
    killed.wait(BOUND_SECONDS)
    assert postgres.is_running(server_home)
    with postgres.server(server_home, durable=False) as url:
        assert value(url, "select 1") == 1
    assert not working_in(server_home)


def test_a_process_that_ensured_the_server_keeps_it_for_as_long_as_it_lives(server_home: Path) -> None:
    url = postgres.ensure_server(server_home, durable=False)
    with postgres.server(server_home, durable=False):
        pass
    assert value(url, "select 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_is_full_at_the_first_start_is_told_and_leaves_nothing(server_home: Path) -> None:
    home = server_home / "small"
    home.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(home)]
    if (made := subprocess.run(mount, capture_output=True)).returncode != 0:
        pytest.skip(f"no small disk can be mounted here ({made.stderr.decode().strip()})")
    try:
        with pytest.raises(ServerError, match=r"the disk is full \(\d MB are free\); free disk space there"):
            postgres.ensure_server(home, durable=False)
        assert not list(home.glob("postgres*/*"))
    finally:
        subprocess.run(["umount", str(home)], check=True)


def test_a_program_is_found_for_the_version_that_made_the_data(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("")
    with pytest.raises(ServerError, match="no version of PostgreSQL; restore"):
        postgres_data._binaries(tmp_path)


def ends(process: subprocess.Popen[str]) -> None:
    """Wait for its end. Where it does not come, say what it does with signals."""
    try:
        process.wait(BOUND_SECONDS)
    except subprocess.TimeoutExpired:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        pytest.fail(f"it goes on: {[line for line in lines if line.startswith(('State', 'Sig', 'Shd'))]}")


def user_of(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def working_in(home: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and str(home / "postgres") in (process.cwd(), *process.cmdline()):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def value(url: str, query: str) -> object:
    with psycopg.connect(url) as conn:
        row = conn.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
