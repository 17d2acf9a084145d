"""Rows of a CSV as a vendor's bulk API gives them, as JSON objects formed a column at a time.

    found = rows(file)                                     lists of texts
    table = Table(names, forms)                            forms: what a column's texts become
    table.objects(part_of_the_rows) -> [msgspec.Raw, ...]

Hundreds of thousands of rows pass here, and a call a value would cost more than everything else: columns are formed
in one go, and msgspec writes the rows.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, Final

import msgspec

Form = Callable[[Sequence[str]], Sequence[Any]]
MAX_CELL: Final = 16 * 1024 * 1024  # characters of one cell

csv.field_size_limit(MAX_CELL)


class Table:
    """Rows of these columns as JSON objects with the columns' names as keys.

    A form is given the texts of a column and returns a value for each: text, number, bool, None, msgspec.Raw, or
    anything else that msgspec writes.
    """

    def __init__(self, names: Sequence[str], forms: Sequence[Form]) -> None:
        fields = [f"f{place}" for place in range(len(names))]
        self._forms = forms
        self._row: Any = msgspec.defstruct(
            "Row", [(name, Any) for name in fields], rename=dict(zip(fields, names, strict=True)), gc=False
        )

    def objects(self, rows: Sequence[Sequence[str]]) -> list[msgspec.Raw]:
        """The objects of these rows. Raises ValueError where a row has another number of cells."""
        try:
            columns = list(zip(*rows, strict=True))
        except ValueError:
            columns = []
        if len(columns) != len(self._forms):
            raise ValueError("a row has another number of cells than the heading")
        formed = [form(column) for form, column in zip(self._forms, columns, strict=True)]
        return [msgspec.Raw(_encode(row)) for row in map(self._row, *formed)]


def column_of(value: re.Pattern[str]) -> Callable[[Sequence[str]], bool]:
    """Whether every text of a column is such a value or empty, in one match."""
    one = f"(?:{value.pattern})?+"
    whole = re.compile(rf"{one}(?:\n{one})*+")

    def matches(column: Sequence[str]) -> bool:
        joined = "\n".join(column)
        return joined.count("\n") == len(column) - 1 and whole.fullmatch(joined) is not None

    return matches


def texts(column: Sequence[str]) -> Sequence[str | None]:
    """A column of texts: an empty one is null."""
    return [value or None for value in column] if "" in column else column


def rows(file: IO[bytes], encoding: str = "utf-8") -> Iterator[list[str]]:
    """The rows of a CSV whose lines end in LF or CRLF; lines without anything between are passed over.

    A lone CR is part of its cell, whether or not that stands in quotes. Raises ValueError: for bytes that are no text, and
    for a value that is opened by a quote and does not end.
    """
    met: list[int] = []  # lines with a lone CR, since the last row

    def lines() -> Iterator[str]:
        for number, line in enumerate(io.TextIOWrapper(file, encoding, newline="\n")):
            if "\r" in line and _LONE_CR.search(line):
                met.append(number)
                line = _LONE_CR.sub(_FOR_CR, line)
            yield line

    found = csv.reader(lines(), strict=True)
    try:
        for row in found:
            if met:
                met.clear()
                row = [cell.replace(_FOR_CR, "\r") for cell in row]
            if row:
                yield row
    except csv.Error as error:
        raise ValueError(f"{error}, in line {found.line_num}") from None


_LONE_CR: Final = re.compile(r"\r(?!\n)")
_FOR_CR: Final = (
    "\ufdd0"  # no character, so that it stands in no text: the csv module takes a CR for the end of a row
)
_encode = msgspec.json.encode
