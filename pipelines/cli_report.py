"""The parts of the `sverka` command that people look at figures with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def metrics(
    output: Annotated[Path | None, typer.Option(help="File to write; printed without it.")] = None,
) -> None:
    """Write what every figure of the marts means: docs/metrics.md."""
    from pipelines.commands.report import metrics as run

    raise typer.Exit(run(output))
