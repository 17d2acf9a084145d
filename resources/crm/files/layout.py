"""Where a table stands in a file, a row of it, and why a file gives no table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

SPOOL_MEMORY_BYTES = 8 << 20


class UnreadableError(Exception):
    """A file, as it stands, gives no table. `retriable` where waiting may be enough."""

    def __init__(self, cause: str, remedy: str, *, retriable: bool = False) -> None:
        super().__init__(f"{cause}; {remedy}")
        self.retriable = retriable


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the table stands in a file. Whatever is None is found out."""

    key: tuple[str, ...]  # the first row that holds all of these names is the header
    columns: tuple[str, ...] = ()  # further columns without which the file is another file
    sheet: str | None = None
    header_row: int | None = None  # counted from 1, as Excel counts; the first one of several
    header_rows: int = 1  # names that stand one above the other are joined: "Контакты / Телефон"
    encoding: str | None = None
    separator: str | None = None


class Row(NamedTuple):
    """One row under the header. `line`: the sheet's row, or the line of a CSV where it starts."""

    line: int
    cells: Sequence[str | None]  # at least as many as the header has names
    problem: str = ""  # why it cannot be read; then `cells` is empty
    raw: str = ""  # the text of a row with a problem
    likely: Sequence[str | None] = ()  # what its cells seem to be, from the left
    texts: Sequence[int] = ()  # places of cells that hold a number as text, which Excel does not add up


class Header(NamedTuple):
    """The names of the columns, and the first and last row or line that they stand in."""

    cells: Sequence[str | None]
    first: int
    last: int
    rows: Sequence[Sequence[str | None]] = ()  # each of them as it stands


@dataclass(frozen=True, slots=True)
class Marks:
    """What a workbook says of its rows and columns beside their values; a CSV says nothing of it."""

    merges: bool = False  # whether this kind of file can have merged cells at all
    hidden_rows: Sequence[int] = ()
    hidden_columns: frozenset[int] = frozenset()  # places, from 0
    filtered: bool = False
    # By row: places of cells that belong to a merged cell which begins in a row above.
    continued: Mapping[int, frozenset[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """A table that was found in a file: its rows, from the top, as often as wanted."""

    rows: Callable[[], Iterator[Row]]
    header: Header
    form: str  # in a person's words: "CSV in cp1251, separated by ';'"
    unit: str  # what `line` counts: "line" or "row"
    wide: bool  # whether cells to the right of the header are remarks, not a broken row
    marks: Marks = Marks()


def quoted(names: Sequence[str]) -> str:
    """Names for a message, the first 40 of them, cut to 60 characters each."""
    shortened = [f'"{name[:60]}"' for name in names[:40]] + (["..."] if len(names) > 40 else [])
    return ", ".join(shortened) or "nothing"


def listed(lines: Sequence[int]) -> str:
    """Numbers of rows for a message, the first five of them."""
    shown = ", ".join(str(line) for line in lines[:5])
    return shown + (f" and {len(lines) - 5} more" if len(lines) > 5 else "")


Cells = Sequence[str | None]
