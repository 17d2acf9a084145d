"""`sverka report`, `sverka export` and `sverka metrics`: the marts as pages, as files, and what their figures mean."""

from __future__ import annotations

import sys
from pathlib import Path

from pipelines.commands.session import writing


def metrics(output: Path | None) -> int:
    from pipelines.figures import document

    text = document()
    if output is None:
        sys.stdout.write(text)
    else:
        with writing(output) as file:
            file.write(text)
    return 0
