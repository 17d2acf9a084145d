"""`sverka report`, `sverka export` and `sverka metrics`: the marts as pages, as files, and what their figures mean."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from pipelines.commands.papers import written
from pipelines.commands.session import CONSOLE, road, writing
from pipelines.commands.show import number
from resources.language import Language

Form = Literal["csv", "parquet"]


def metrics(output: Path | None) -> int:
    from pipelines.figures import document

    text = document()
    if output is None:
        sys.stdout.write(text)
    else:
        with writing(output) as file:
            file.write(text)
    return 0


def report(output: Path, as_of: date | None, language: Language) -> int:
    from pipelines.report.write import ask, raw_tables, told_by_accounting, write

    day = as_of or datetime.now(UTC).date()
    with road() as found, written(output):
        asked = ask(found.warehouse, day, raw_tables(found), told_by_accounting(found))
        done = write(found.warehouse, output, language, asked)
    CONSOLE.print(f"{done.start}: {done.pages} {'страниц' if language == 'ru' else 'pages'}", markup=False)
    return 0


def export(mart: str, output: Path, form: Form, as_of: date | None) -> int:
    """One mart into a file, or all of them into a folder. 1 where that cannot be."""
    from pipelines import export as files

    today = datetime.now(UTC).date()
    with road() as found, written(output):
        try:
            if mart != "all":
                wanted = {mart: output}
            else:
                output.mkdir(parents=True, exist_ok=True)
                wanted = {name: output / f"{name}.{form}" for name in files.all_marts(as_of)}
            for name, path in wanted.items():
                count = files.export(found.warehouse, files.asked(name, as_of, today), form, path)
                CONSOLE.print(f"{path}: {number(count)} rows", markup=False, soft_wrap=True)
        except files.CannotExport as error:
            CONSOLE.print(str(error), style="red", markup=False)
            return 1
    return 0
