"""A figure that a benchmark measured, the bound it is held to, and the table they are printed in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """`at_least` and `at_most` are in `unit`; a figure without a bound is told for its neighbours' sake."""

    what: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def verdict(self) -> Literal["met", "not met", ""]:
        if self.at_least is None and self.at_most is None:
            return ""
        low = self.at_least is None or self.value >= self.at_least
        high = self.at_most is None or self.value <= self.at_most
        return "met" if low and high else "not met"

    @property
    def bound(self) -> str:
        if self.at_least is not None:
            return f"at least {_number(self.at_least)}"
        return f"at most {_number(self.at_most)}" if self.at_most is not None else ""


def print_table(title: str, figures: Sequence[Figure], seconds: float) -> None:
    made = Table(title=f"{title} ({seconds:.0f} s)", title_justify="left")
    made.add_column("what")
    made.add_column("figure", justify="right")
    made.add_column("unit")
    made.add_column("bound")
    made.add_column("")
    made.add_column("how", style="dim")
    for figure in figures:
        style = {"met": "green", "not met": "bold red", "": ""}[figure.verdict]
        made.add_row(
            figure.what,
            _number(figure.value),
            figure.unit,
            figure.bound,
            figure.verdict,
            figure.note,
            style=style,
        )
    Console(highlight=False, width=170).print(made)


def keep(folder: Path, name: str, figures: Sequence[Figure], seconds: float, *, quick: bool) -> Path:
    """Write the figures to `FOLDER/NAME.json`; the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    rows = [asdict(figure) | {"verdict": figure.verdict} for figure in figures]
    said = {
        "at": datetime.now(UTC).isoformat(),
        "quick": quick,
        "seconds": round(seconds, 1),
        "figures": rows,
    }
    path.write_text(json.dumps(said, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if value == int(value) else f"{value:.2f}" if value < 10 else f"{value:.1f}"
