"""What the figures of the marts mean: one definition a name (`pipelines/marts/figures.yaml`), the same in SQL, report and
workbook. `docs/metrics.md` is written from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, get_args

import yaml

from pipelines.table import Column, Table, stage_tables
from resources.language import Language

PATH: Final = Path(__file__).parent / "marts" / "figures.yaml"
Unit = Literal["money", "count", "share", "percent", "days", "hours", "quantity", "ratio", "bits"]
UNITS: Final[tuple[Unit, ...]] = get_args(Unit)
NUMBERS: Final = ("numeric", "bigint", "integer", "double precision", "smallint", "real")
HEAD: Final = """# Figures

What every figure of the [marts](marts.md) means. The same name means the same thing in SQL, in the report and in workbooks, by
the same title. A name that means something else in one mart has a definition of its own there.

Written by this command from `pipelines/marts/figures.yaml` and the files of the marts:

```sh
.venv/bin/sverka metrics --output docs/metrics.md
```

Money is in the `currency` of its row; currencies are never added up. A share goes from 0 to 1.
"""


class FigureError(ValueError):
    """figures.yaml cannot be used; the message names the figure and the remedy."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A definition. `name` is the column's, or `mart.column` where it means something of its own there."""

    name: str
    en: str
    ru: str
    unit: Unit
    means: str

    def title(self, language: Language) -> str:
        return self.ru if language == "ru" else self.en


@cache
def figures() -> Mapping[str, Figure]:
    """All definitions by name. Raises FigureError."""
    return {name: _figure(name, said) for name, said in _read()["figures"].items()}


@cache
def labels() -> frozenset[str]:
    """Columns of numbers that name or order something, and measure nothing."""
    return frozenset(_read()["labels"])


def figure(mart: str, column: str) -> Figure | None:
    """The definition of a mart's column; None where it has none. `mart` is its short name: `receivables_as_of`."""
    own = f"{mart.removesuffix('_as_of')}.{column}"
    return figures().get(own) or figures().get(column)


def is_figure(column: Column) -> bool:
    """Whether a mart's column is a number that measures something."""
    return column.type.split("(")[0] in NUMBERS and column.name not in labels()


def used() -> Iterator[tuple[Table, Column, Figure | None]]:
    """Every figure of every mart with its definition."""
    for table in stage_tables("marts"):
        for column in table.columns:
            if is_figure(column):
                yield table, column, figure(table.short_name, column.name)


def document() -> str:
    """docs/metrics.md. Raises FigureError for a figure without a definition."""
    places: dict[str, dict[str, list[str]]] = {name: {} for name in figures()}
    for table, column, found in used():
        if found is None:
            raise FigureError(
                f"{column.name} of marts.{table.short_name} has no definition; add one to pipelines/marts/figures.yaml"
            )
        places[found.name].setdefault(column.comment, []).append(table.short_name)
    names = sorted(places, key=lambda name: name.rpartition(".")[::-1])
    return "\n".join([HEAD, *(_told(figures()[name], places[name]) for name in names)])


def _told(one: Figure, places: Mapping[str, Sequence[str]]) -> str:
    said = [
        f"- {', '.join(f'`{mart}`' for mart in marts)}: {_plain(comment)}"
        for comment, marts in places.items()
    ]
    return "\n".join(
        [f"## {one.name}", "", f"**{one.en}** / {one.ru}, {one.unit}: {_plain(one.means)}", "", *said, ""]
    )


def _plain(text: str) -> str:
    return text.replace("*", "\\*").replace("<", "&lt;")


@cache
def _read() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.load(PATH.read_text(encoding="utf-8"), _Once)
    return found


class _Once(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML keeps the last without a word."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise FigureError(f"{PATH.name}: {name} is defined twice; keep one definition")
        return super().construct_mapping(node, deep)


def _figure(name: str, said: Any) -> Figure:
    wanted = {"en", "ru", "unit", "means"}
    if not isinstance(said, dict) or set(said) != wanted or not all(said.values()):
        raise FigureError(f"{PATH.name}: {name} needs {', '.join(sorted(wanted))}, and nothing else")
    if said["unit"] not in UNITS:
        raise FigureError(f"{PATH.name}: {name}: {said['unit']} is no unit; there are {', '.join(UNITS)}")
    return Figure(name, **said)
