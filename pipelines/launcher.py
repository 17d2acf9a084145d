"""Launches runs soon, from a process that has everything imported already, and a process of its own for each.

Dagster starts an interpreter a run: 3 s of imports on this road, 8 s with Great Expectations, more than a
sync with nothing to do takes. `python -m pipelines.launcher FOLDER` imports once and then makes a copy of
itself (fork) for every run that Dagster's daemon asks for; the copy reads the mapping files anew, works in
a process of its own, and is gone with the run. Where no such process answers, Dagster's own way is taken.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from dagster import DagsterRun, Field, StringSource
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, LaunchRunContext, WorkerStatus
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._serdes import ConfigurableClassData, serialize_value

from pipelines.processes import end_with_parent

if TYPE_CHECKING:
    from dagster._config import UserConfigSchema

ADDRESS: Final = "launcher.address"  # the file in Dagster's home that says where the warm process listens
READY: Final = "launcher ready"
ANSWER_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.5  # how often the daemon looks for a run that waits
COLLECT_SECONDS: Final = 1.0  # how often ended copies are looked for
END_SECONDS: Final = 5.0  # that copies told to end together with this process get before they are told again
END_LOOK_SECONDS: Final = 0.05
MAX_ENDED: Final = 1_000  # ended runs whose exit code is remembered
IMPORTED: Final = (
    "dagster_postgres", "great_expectations", "pandas", "expectations.gate", "pipelines.feedback.write",
    "pipelines.lineage", "pipelines.stages", "resources.accounting.onec", "resources.crm.bitrix24", "resources.crm.files",
)  # fmt: skip

Message = Mapping[str, Any]


class PromptRunCoordinator(QueuedRunCoordinator[Any]):
    """Dagster's queue, except that it is looked into twice a second; its setting knows whole seconds only."""

    @property
    def dequeue_interval_seconds(self) -> float:  # type: ignore[override]
        return LOOK_SECONDS


class WarmRunLauncher(DefaultRunLauncher):
    """Dagster's launcher, except that runs begin in the warm process of the same home where there is one."""

    def __init__(self, folder: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data=inst_data)
        self._folder = Path(folder)

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {
            "folder": Field(
                StringSource, description="Dagster's home, where the warm process says its address"
            )
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(config_value["folder"], inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start the run's process. Raises what Dagster's own launcher raises, where that one has to do it."""
        run = context.dagster_run
        if run.job_code_origin is None or not self._start(run):
            super().launch_run(context)

    def terminate(self, run_id: str) -> bool:
        """Interrupt the run's process; False where there is none."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if "pid" not in self._ask({"do": "look", "run_id": run_id}):
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        return "pid" in self._ask({"do": "interrupt", "run_id": run_id})

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the run's process ended in failure; of a run that began elsewhere nothing is known here."""
        found = self._ask({"do": "look", "run_id": run.run_id})
        if found.get("code"):
            return CheckRunHealthResult(
                WorkerStatus.FAILED, f"the process of the run ended with code {found['code']}"
            )
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def _start(self, run: DagsterRun) -> bool:
        from dagster._grpc.types import ExecuteRunArgs

        if run.job_code_origin is None:
            return False
        arguments = ExecuteRunArgs(
            job_origin=run.job_code_origin, run_id=run.run_id, instance_ref=self._instance.get_ref(),
            set_exit_code_on_failure=True,
        )  # fmt: skip
        asked = {"do": "start", "run_id": run.run_id, "arguments": serialize_value(arguments)}
        return "pid" in self._ask(asked)

    def _ask(self, message: Message) -> Message:
        """The warm process's answer; an empty one where nobody answers."""
        with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect((self._folder / ADDRESS).read_text())
            with connection.makefile("rw") as line:
                line.write(json.dumps(message) + "\n")
                line.flush()
                answer: Message = json.loads(line.readline())
                return answer
        return {}


class WarmProcess:
    """Copies itself for every run it is asked for. One thread: only such a process may be copied safely."""

    def __init__(self) -> None:
        self._running: dict[str, int] = {}
        self._ended: dict[str, int] = {}

    def serve(self, folder: Path) -> None:
        """Answer, a line of JSON for a line of JSON, until a signal ends this process; its copies end with it."""
        address = folder / ADDRESS
        # Not in the home: the path of a socket may have no more than a hundred characters.
        with tempfile.TemporaryDirectory(prefix="sverka-") as own, socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{own}/launcher")
            listener.listen()
            listener.settimeout(COLLECT_SECONDS)
            address.write_text(f"{own}/launcher")
            print(READY, flush=True)
            try:
                while True:
                    self._collect()
                    with contextlib.suppress(OSError, ValueError):
                        connection, _ = listener.accept()
                        with connection:
                            connection.settimeout(ANSWER_SECONDS)
                            self._answer(connection, listener)
            finally:
                address.unlink(missing_ok=True)
                self._outlive()

    def _outlive(self) -> None:
        """Whoever ends this process in good order ends its copies too: our death must not cut their end in two."""
        until = time.monotonic() + END_SECONDS
        while self._running and time.monotonic() < until:
            self._collect()
            time.sleep(END_LOOK_SECONDS)

    def _answer(self, connection: socket.socket, listener: socket.socket) -> None:
        with connection.makefile("rw") as line:
            message: Message = json.loads(line.readline())
            line.write(json.dumps(self._do(message, connection, listener)) + "\n")

    def _do(self, message: Message, *inherited: socket.socket) -> Message:
        run_id = str(message["run_id"])
        pid = self._running.get(run_id)
        if message["do"] == "start":
            ours = os.getpid()
            pid = os.fork()
            if pid == 0:
                end_with_parent(ours)
                for mine in inherited:
                    mine.close()
                _work(message["arguments"])
            self._running[run_id] = pid
            return {"pid": pid}
        if pid is not None:
            if message["do"] == "interrupt":
                os.kill(pid, signal.SIGINT)
            return {"pid": pid}
        return {"code": self._ended[run_id]} if run_id in self._ended else {}

    def _collect(self) -> None:
        for run_id, pid in list(self._running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._running[run_id]
                self._ended[run_id] = os.waitstatus_to_exitcode(status)
        while len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]


def _work(arguments: str) -> None:
    """In the copy: execute the run as `dagster api execute_run` does, and end."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        random.seed()
        from dagster._cli.api import execute_run_command

        execute_run_command.main([arguments], standalone_mode=False)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _import_all() -> None:
    """Whatever a run needs. Nothing here may start a thread or open a connection: the copies would share it."""
    for name in IMPORTED:
        importlib.import_module(name)
    from pipelines.definitions import sverka

    # A run reads the mapping files anew, and takes these jobs where nothing has changed in them.
    road = sverka().get_repository_def()
    for name in road.job_names:
        road.get_job(name)
    gc.collect()
    gc.freeze()  # or each copy would look through all that was imported, and by that copy its memory too


def main() -> None:
    _import_all()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that nothing is left lying
    WarmProcess().serve(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
