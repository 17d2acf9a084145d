"""Starts the long-running processes of one home, watches them, and leaves none behind.

Each child is the leader of a session of its own, so that Ctrl-C reaches only us and everything it
starts in turn (Dagster's code server starts runs) can be ended with it. Its words go to
`HOME/logs/NAME.log`. On a signal (`Stopped`), on an error and at exit, children end in reverse order:
TERM, STOP_SECONDS to finish, then KILL.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, Self

import psutil
import yaml

from pipelines.signals import deferred, heeded

READY_SECONDS: Final = 90.0
STOP_SECONDS: Final = 10.0
KILL_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.05
WATCH_SECONDS: Final = 0.5
LAST_LINES: Final = 15
START_TIMEOUT_SECONDS: Final = 180
MONITORING_SECONDS: Final = (
    10  # how often Dagster looks whether the processes of runs live: a killed run holds up all others
)
CANCEL_TIMEOUT_SECONDS: Final = 60
TICK_DAYS: Final = 7
SKIPPED_TICK_DAYS: Final = 1
SYNC_TAG: Final = "sverka/sync"
OWN_PROCESS_YAML: Final = "own_process.yaml"

_PARENT_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG of linux/prctl.h
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None

Ready = Callable[["Child"], bool]


class ProcessError(Exception):
    """A process did not start, or ended by itself; says which, why, and where its log is."""


@dataclass(slots=True)
class Child:
    """A started process: its name, log and address in the system."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]
    started: float
    needed: bool = True  # the others go on without one that is not

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def port_ready(port: int) -> Ready:
    """Ready when something accepts connections on the port of 127.0.0.1."""

    def check(_: Child) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return check


def line_ready(text: str) -> Ready:
    """Ready when the process has written `text`."""
    return lambda child: text in child.said()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Processes:
    """The children of this process. Use it in a `with`; it also stops them at exit."""

    def __init__(self, home: Path | str) -> None:
        self.home = Path(home).resolve()
        self._children: list[Child] = []
        self._heeding = contextlib.ExitStack()
        atexit.register(self.stop_all)

    def __enter__(self) -> Self:
        """From here on TERM and Ctrl-C are `Stopped`, so that the `with` ends, and the children with it."""
        self._heeding.enter_context(heeded())
        return self

    def __exit__(self, *_: object) -> None:
        with self._heeding:
            self.stop_all()

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        ready: Ready | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
        ready_seconds: float = READY_SECONDS,
        needed: bool = True,
    ) -> Child:
        """Start `argv` and wait until it is ready. `env` is added to our own environment.

        Raises ProcessError when it ends or is not ready within `ready_seconds`, with its last lines;
        it is stopped then.
        """
        log = self.home / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output, deferred():
            try:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
                    cwd=cwd,
                    start_new_session=True,
                    # The death signal hangs on the starting thread, so only the main one may ask for it.
                    preexec_fn=_begin_child if _in_main_thread() else _restore_signals,
                )
            except OSError as error:
                raise ProcessError(f"{name}: {argv[0]} cannot be started ({error}); install again") from error
            child = Child(name, log, process, time.monotonic(), needed)
            self._children.append(child)
        try:
            self._await(child, ready, ready_seconds)
        except BaseException:
            with deferred():
                self._children.remove(child)
                _stop([child])
            raise
        return child

    def alive(self) -> list[str]:
        """Names of the children that run."""
        return [child.name for child in self._children if child.process.poll() is None]

    def stop_all(self) -> None:
        """End all children and whatever they started, the last started first. May be called again."""
        with deferred():  # a signal while they stop must not leave one behind
            children, self._children = self._children[::-1], []
            _stop(children)

    def watch(self) -> NoReturn:
        """Wait for what ends the watch: a signal (Stopped), or a child that ended by itself (ProcessError)."""
        while True:
            for child in self._children:
                if child.needed and child.process.poll() is not None:
                    raise ProcessError(_ended(child))
            time.sleep(WATCH_SECONDS)

    def _await(self, child: Child, ready: Ready | None, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while ready is not None and not ready(child):
            if child.process.poll() is not None:
                raise ProcessError(_ended(child))
            if time.monotonic() > deadline:
                raise ProcessError(f"{child.name} was not ready within {seconds:.0f} s; {_log_of(child)}")
            time.sleep(POLL_SECONDS)


def write_dagster_home(home: Path | str, database_url: str, *, max_concurrent_runs: int = 4) -> Path:
    """Write `HOME/dagster/dagster.yaml` and return its folder, to be used as DAGSTER_HOME.

    Beside it OWN_PROCESS_YAML, for runs in the process of a command. `database_url` is
    `Warehouse.dagster_url()`; it carries a password, so only the owner may read the files.
    """
    folder = Path(home).resolve() / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    days = {"skipped": SKIPPED_TICK_DAYS, "success": TICK_DAYS, "failure": TICK_DAYS, "started": TICK_DAYS}
    ticks = {"purge_after_days": days}
    settings = {
        **_storage(database_url),
        "run_coordinator": {"module": "pipelines.launcher", "class": "PromptRunCoordinator", "config": {}},
        "run_launcher": {
            "module": "pipelines.launcher",
            "class": "WarmRunLauncher",
            "config": {"folder": str(folder)},
        },
        "concurrency": {
            "pools": {"default_limit": 1, "granularity": "op"},
            "runs": {
                "max_concurrent_runs": max_concurrent_runs,
                "tag_concurrency_limits": [{"key": SYNC_TAG, "limit": 1}],
            },
        },
        "run_monitoring": {
            "enabled": True,
            "start_timeout_seconds": START_TIMEOUT_SECONDS,
            "cancel_timeout_seconds": CANCEL_TIMEOUT_SECONDS,
            "poll_interval_seconds": MONITORING_SECONDS,
            "free_slots_after_run_end_seconds": 60,
        },
        "retention": {"schedule": ticks, "sensor": ticks, "auto_materialize": ticks},
        "compute_logs": {
            "module": "dagster._core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": str(folder / "compute_logs")},
        },
        "local_artifact_storage": {
            "module": "dagster._core.storage.root",
            "class": "LocalArtifactStorage",
            "config": {"base_dir": str(folder)},
        },
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
    }
    # A run in our own process would mirror its output by four programs, which Ctrl-C in a terminal reaches too.
    nowhere = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    for name, given in {
        "dagster.yaml": settings,
        OWN_PROCESS_YAML: {**settings, "compute_logs": nowhere},
    }.items():
        target = folder / name
        target.touch(mode=0o600)
        target.chmod(0o600)
        target.write_text(yaml.safe_dump(given, sort_keys=False, allow_unicode=True))
    return folder


def _storage(database_url: str) -> dict[str, Any]:
    """Dagster's own storages on PostgreSQL, as we keep them."""
    classes = {
        "run_storage": ("pipelines.dagster_storage", "KeptRunStorage"),
        "event_log_storage": ("pipelines.event_log", "StepwiseEventLog"),
        "schedule_storage": ("pipelines.dagster_storage", "KeptScheduleStorage"),
    }
    return {
        part: {"module": module, "class": name, "config": {"postgres_url": database_url}}
        for part, (module, name) in classes.items()
    }


def start_dagster(
    processes: Processes,
    dagster_home: Path,
    *,
    code: Sequence[str] = ("-m", "pipelines.definitions"),
    location: str = "sverka",
    port: int | None = None,
    env: Mapping[str, str] | None = None,
    launcher: bool = True,
) -> str:
    """Start one code server, the daemon and the web server, which share it; the address of the UI.

    The code is loaded once, not once a process. `code` is how `dagster` names it (`-m MODULE`,
    `-f FILE`). Without `launcher` runs begin as `dagster.yaml` says. Raises ProcessError.
    """
    shared = {
        "DAGSTER_HOME": str(dagster_home),
        "GX_ANALYTICS_ENABLED": "false",
        "DAGSTER_EVENT_BATCH_SIZE": "1000",  # what a run is to make is told in one statement, not a hundred
        **(env or {}),
    }
    programs = Path(sys.executable).parent
    code_port, ui_port = free_port(), port or free_port()
    workspace = dagster_home / "workspace.yaml"
    server = {"host": "127.0.0.1", "port": code_port, "location_name": location}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    processes.start(
        "code-server",
        [
            *(str(programs / "dagster"), "code-server", "start"),
            *("--host", "127.0.0.1", "--port", str(code_port)),
            *("--location-name", location, "--use-python-environment-entry-point", *code),
        ],
        ready=port_ready(code_port),
        env=shared,
    )
    # Not waited for, nor needed: where it is not there, Dagster's own launcher does its work.
    if launcher:
        processes.start(
            "launcher",
            [sys.executable, "-m", "pipelines.launcher", str(dagster_home)],
            env=shared,
            needed=False,
        )
    processes.start("daemon", [str(programs / "dagster-daemon"), "run", "-w", str(workspace)], env=shared)
    processes.start(
        "webserver",
        [
            str(programs / "dagster-webserver"),
            "--host",
            "127.0.0.1",
            "--port",
            str(ui_port),
            "-w",
            str(workspace),
        ],
        ready=port_ready(ui_port),
        env=shared,
    )
    return f"http://127.0.0.1:{ui_port}"


def end_with_parent(parent: int) -> None:
    """On Linux the system ends this process with TERM when `parent` dies; at once where it is dead by now.

    A copy (fork) does not inherit such a wish: it has to be made in each.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(128 + signal.SIGTERM)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _restore_signals() -> None:
    """A shell that starts us with `&` has INT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _begin_child() -> None:
    """... and on Linux, should we be killed outright, the system ends our children with TERM."""
    _restore_signals()
    if _LIBC is not None:
        _LIBC.prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def _stop(children: Sequence[Child]) -> None:
    for child in children:
        members = _members(child)
        _signal(members, signal.SIGTERM)
        _wait(child, members, STOP_SECONDS)
        members = [*filter(_lives, members), *_members(child)]  # with what was started meanwhile
        _signal(members, signal.SIGKILL)
        _wait(child, members, KILL_SECONDS)


def _wait(child: Child, members: Sequence[psutil.Process], seconds: float) -> None:
    """Until none of them lives. Popen alone may collect the child: else its exit code is lost."""
    deadline = time.monotonic() + seconds
    while (child.process.poll() is None or any(map(_lives, members))) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _members(child: Child) -> list[psutil.Process]:
    """The child, its descendants, and orphans of its session: a dead parent hides its children."""
    found: dict[int, psutil.Process] = {}
    try:
        leader = psutil.Process(child.process.pid)
        if child.process.poll() is None:
            found = {process.pid: process for process in [leader, *leader.children(recursive=True)]}
    except psutil.Error:
        pass
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == child.process.pid:
                found.setdefault(process.pid, process)
        except (OSError, psutil.Error):
            continue
    return [process for process in found.values() if _lives(process)]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.Error:
            continue


def _ended(child: Child) -> str:
    return f"{child.name} ended by itself with code {child.process.returncode}; {_log_of(child)}"


def _log_of(child: Child) -> str:
    lines = child.said().strip().splitlines()[-LAST_LINES:]
    return f"its log {child.log} ends: " + (" | ".join(lines) if lines else "(empty)")
