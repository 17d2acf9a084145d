"""Run a Dagster job of ours in this process, with a line a step for whoever waits."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from pipelines.commands.session import CONSOLE
from pipelines.signals import heed_now, noticed
from resources.warehouse import Warehouse, WarehouseError

if TYPE_CHECKING:
    from dagster import DagsterInstance, EventLogEntry

STOPPED = "stopped; the next sync takes it up"
WAIT_SECONDS = 6 * 3600.0  # for another run to end; no sync takes as long
LOOK_SECONDS = 1.0
SENTENCES = ("LockHeld", "MappingError", "ServerError", "SourceError", "WarehouseError")  # written for people
STEP_NAMES = {
    "core": "the same in our words",
    "documents": "documents that accounting must hold, and the gate",
    "ops__operation": "carrying into accounting",
    "ledger": "what accounting holds, reconciled",
    "marts": "marts",
    "feedback": "writing back to the CRM",
    "ops__batch": "the end",
}


@dataclass(frozen=True, slots=True)
class Ran:
    success: bool
    run_id: str
    seconds: float
    messages: tuple[str, ...]


def run_job(name: str, *, config: Mapping[str, Any] | None = None, quiet: bool = False) -> Ran:
    """Run `sync` or `reconcile` here; it shows in the UI like any other run.

    Raises Stopped on Ctrl-C and TERM: the run is marked as canceled, which is told to nobody as a failure.
    """
    import dagster as dg

    from pipelines.definitions import sverka
    from pipelines.processes import OWN_PROCESS_YAML
    from pipelines.runs import BY_COMMAND, alive

    definitions = sverka()
    run_id = str(uuid.uuid4())
    quiet_console = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    warehouse = Warehouse.from_environment()
    settings = (os.environ["DAGSTER_HOME"], OWN_PROCESS_YAML)
    with noticed(STOPPED), dg.DagsterInstance.from_config(*settings) as instance, alive(warehouse, run_id):
        _let_others_end(instance, warehouse)
        started = time.monotonic()
        progress = _Progress(instance, quiet)
        instance.add_event_listener(run_id, progress)
        result = definitions.resolve_job_def(name).execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_id=run_id,
            run_config={**quiet_console, **(config or {})},
            tags=BY_COMMAND,
        )
    return Ran(result.success, run_id, time.monotonic() - started, tuple(progress.failures))


def _let_others_end(instance: DagsterInstance, warehouse: Warehouse) -> None:
    """Wait while another run works: Dagster would wait too, without a word. Runs whose process died are no more."""
    import dagster as dg

    from pipelines.processes import SYNC_TAG
    from pipelines.runs import UNDER_WAY, bury_the_dead

    at_work = dg.RunsFilter(tags={SYNC_TAG: "true"}, statuses=list(UNDER_WAY))
    until, told = time.monotonic() + WAIT_SECONDS, False
    while True:
        bury_the_dead(instance, warehouse)  # they would keep us out of their systems for ever
        found = instance.get_run_records(at_work, limit=1)
        if not found:
            return
        run = found[0].dagster_run
        if time.monotonic() > until:
            raise WarehouseError(
                f"run {run.run_id[:8]} has been at work for more than {WAIT_SECONDS / 3600:.0f} hours; "
                "look at it in the UI (sverka up), end it there and try again"
            )
        if not told:
            CONSOLE.print(f"  waiting for run {run.run_id[:8]} ({run.job_name}) to end", style="dim")
            told = True
        time.sleep(LOOK_SECONDS)


class _Progress:
    """Prints a line when a step ends, and what failed."""

    def __init__(self, instance: DagsterInstance, quiet: bool) -> None:
        self._instance = instance
        self._quiet = quiet
        self._started = time.monotonic()
        self.failures: list[str] = []

    def __call__(self, entry: EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None:
            # What did not run because something before it failed says nothing new.
            if entry.level == logging.ERROR and not entry.user_message.startswith("Dependencies for step"):
                self._failed(entry.user_message)
        elif event.event_type_value == "STEP_START":
            self._started = time.monotonic()
        elif event.event_type_value == "STEP_SUCCESS" and not self._quiet:
            seconds = time.monotonic() - self._started
            CONSOLE.print(f"  {_said(event.step_key or ''):<55}[dim]{seconds:6.1f} s[/]")
        elif event.event_type_value == "ENGINE_EVENT" and "blocked by limit for pool" in (
            event.message or ""
        ):
            heed_now()  # it waits for another run's step, deaf to everything
        elif event.event_type_value == "STEP_FAILURE":
            data = event.step_failure_data
            if data.error_source is not None and data.error_source.name == "INTERRUPT":
                run = self._instance.get_run_by_id(entry.run_id)
                if run is not None:
                    self._instance.report_run_canceling(run, "stopped by a person or the system")
                return
            described = data.user_failure_data.description if data.user_failure_data else None
            error = data.error
            while error is not None and error.cause is not None:
                error = error.cause
            told = "no message" if error is None else error.message.strip()
            if error is not None and error.cls_name in SENTENCES:
                told = told.partition(": ")[2] or told  # without the name of the class
            self._failed(described or told, event.step_key)

    def _failed(self, message: str, step: str | None = None) -> None:
        if message not in self.failures:
            self.failures.append(message)
            CONSOLE.print(f"  [red]{_said(step) + ': ' if step else ''}{escape(message)}[/]")


def _said(step: str) -> str:
    return STEP_NAMES.get(step, step.replace("_", " "))
