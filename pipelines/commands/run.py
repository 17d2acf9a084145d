"""Run a Dagster job of ours in this process, with a line a step for whoever waits."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from pipelines.commands.session import CONSOLE
from resources.warehouse import Warehouse

if TYPE_CHECKING:
    from dagster import EventLogEntry

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
    """Run `sync` or `reconcile` here; it shows in the UI like any other run."""
    import dagster as dg

    from pipelines.definitions import sverka
    from pipelines.runs import BY_COMMAND, alive, bury_the_dead
    from pipelines.stages import keep_connections

    definitions = sverka()
    started = time.monotonic()
    progress = _Progress(quiet)
    run_id = str(uuid.uuid4())
    quiet_console = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    warehouse = Warehouse.from_environment()
    with dg.DagsterInstance.get() as instance, alive(warehouse, run_id):
        keep_connections(instance)
        bury_the_dead(instance, warehouse)  # they would keep us out of their systems for ever
        instance.add_event_listener(run_id, progress)
        result = definitions.resolve_job_def(name).execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_id=run_id,
            run_config={**quiet_console, **(config or {})},
            tags=BY_COMMAND,
        )
    return Ran(result.success, run_id, time.monotonic() - started, tuple(progress.failures))


class _Progress:
    """Prints a line when a step ends, and what failed."""

    def __init__(self, quiet: bool) -> None:
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
        elif event.event_type_value == "STEP_FAILURE":
            data = event.step_failure_data
            described = data.user_failure_data.description if data.user_failure_data else None
            error = data.error
            while error is not None and error.cause is not None:
                error = error.cause
            self._failed(
                described or (error.message.strip() if error is not None else "no message"), event.step_key
            )

    def _failed(self, message: str, step: str | None = None) -> None:
        if message not in self.failures:
            self.failures.append(message)
            CONSOLE.print(f"  [red]{_said(step) + ': ' if step else ''}{escape(message)}[/]")


def _said(step: str) -> str:
    return STEP_NAMES.get(step, step.replace("_", " "))
