"""Run a Dagster job of ours in this process, with a line a step for whoever waits."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.commands.session import CONSOLE

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

    definitions = sverka()
    started = time.monotonic()
    progress = _Progress(quiet)
    logger = logging.getLogger("dagster")
    logger.handlers = [progress]
    logger.propagate = False
    with dg.DagsterInstance.get() as instance:
        result = definitions.resolve_job_def(name).execute_in_process(
            instance=instance, raise_on_error=False, run_config=config, tags={"sverka/by": "command"}
        )
    return Ran(result.success, result.run_id, time.monotonic() - started, tuple(progress.failures))


class _Progress(logging.Handler):
    """Prints a line when a step ends, and what failed."""

    def __init__(self, quiet: bool) -> None:
        super().__init__(logging.INFO)
        self._quiet = quiet
        self._started = time.monotonic()
        self.failures: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event") if isinstance(meta, Mapping) else None
        kind = getattr(event, "event_type_value", "")
        step = getattr(event, "step_key", "") or ""
        if kind == "STEP_START":
            self._started = time.monotonic()
        elif kind == "STEP_SUCCESS" and not self._quiet:
            seconds = time.monotonic() - self._started
            CONSOLE.print(f"  {_said(step):<55}[dim]{seconds:6.1f} s[/]")
        elif kind == "STEP_FAILURE":
            data = event.step_failure_data  # type: ignore[union-attr]
            described = data.user_failure_data.description if data.user_failure_data else None
            error = data.error
            while error is not None and error.cause is not None:
                error = error.cause
            message = described or (error.message.strip() if error is not None else "no message")
            self.failures.append(message)
            CONSOLE.print(f"  [red]{_said(step)}: {message}[/]")
        elif not event and record.levelno >= logging.ERROR:
            text = str(meta.get("orig_message") or record.getMessage())
            if text not in self.failures:
                CONSOLE.print(f"  [red]{text}[/]")


def _said(step: str) -> str:
    return STEP_NAMES.get(step, step.replace("_", " "))
