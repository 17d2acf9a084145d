"""The parts of the `sverka` command that people look at figures with."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.options import InLanguage

Form = Literal["csv", "parquet"]
DAYS = ["%Y-%m-%d", "%d.%m.%Y"]


def report(
    output: Annotated[Path, typer.Option(help="Folder to write; begin with its index.html.")],
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=DAYS, help="As it stood at the end of this day; today without it."),
    ] = None,
    language: InLanguage = "en",
) -> None:
    """Write the report: pages with pictures that need no network, for a screen, a phone and paper. See docs/report.md."""
    from pipelines.commands.report import report as run

    raise typer.Exit(run(output, as_of.date() if as_of else None, language))


def export(
    mart: Annotated[str, typer.Argument(help="The mart, such as receivables (docs/marts.md); or all.")],
    output: Annotated[Path, typer.Option(help="File to write; of all marts a folder.")],
    form: Annotated[Form, typer.Option("--format", help="parquet keeps types, money as decimal.")] = "csv",
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=DAYS, help="As it stood at the end of this day, where it can be told."),
    ] = None,
) -> None:
    """Write a mart, or all of them, as CSV or Parquet, however many rows. See docs/bi.md."""
    from pipelines.commands.report import export as run

    raise typer.Exit(run(mart, output, form, as_of.date() if as_of else None))


def metrics(
    output: Annotated[Path | None, typer.Option(help="File to write; printed without it.")] = None,
) -> None:
    """Write what every figure of the marts means: docs/metrics.md."""
    from pipelines.commands.report import metrics as run

    raise typer.Exit(run(output))
