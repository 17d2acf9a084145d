"""The header of a table: the first row or rows that hold the key columns, and the names of the columns."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from resources.crm.files.layout import Cells, Header, Layout, Row, UnreadableError, quoted

SEARCH_ROWS = 50
MAX_HEADER_ROWS = 4
JOINT = " / "
INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))

Across = Mapping[int, Mapping[int, int]]
"""By row: the place of a cell that a merged cell to its left covers -> the place where that one begins."""


def find_header(
    rows: Iterator[Row], layout: Layout, seen: list[Row], across: Across | None = None
) -> Header | None:
    """The first row with all key columns, or the row named; what was looked at goes into `seen`.

    Of several header rows the names one above the other are joined; `across` says which cells are merged. A
    title may stand right above them: then the rows that hold the further columns too are the header.
    """
    first: Header | None = None
    window: deque[Row] = deque(maxlen=layout.header_rows)
    for row in islice(rows, SEARCH_ROWS + (layout.header_row or 0) + layout.header_rows):
        if layout.header_row is not None and row.line < layout.header_row:
            continue
        window.append(row)
        if len(window) < layout.header_rows:
            continue
        header = Header(
            joined(list(window), across), window[0].line, row.line, [each.cells for each in window]
        )
        seen.append(Row(header.first, header.cells))
        names = {squeezed(cell) for cell in header.cells}
        if layout.header_row is not None:
            return header if header.first == layout.header_row and names.issuperset(layout.key) else None
        if names.issuperset(layout.key):
            if layout.header_rows == 1 or names.issuperset(layout.columns):
                return header
            first = first or header
        if first and row.line >= first.last + layout.header_rows:
            break
    return first


def joined(rows: Sequence[Row], across: Across | None = None) -> list[str | None]:
    """One name a column. A name over several columns counts for each of them.

    Where the file tells of merged cells they decide; else an empty cell belongs to the name on its left, if
    both have a name of their own below.
    """
    if len(rows) == 1:
        return list(rows[0].cells)
    width = max(len(row.cells) for row in rows)
    levels = [[squeezed(cell) for cell in row.cells] + [""] * (width - len(row.cells)) for row in rows]
    merged = across is not None and any(across.get(row.line) for row in rows)
    for depth, (row, level) in enumerate(zip(rows, levels, strict=True)):
        if merged and across is not None:
            for place, begin in across.get(row.line, {}).items():
                if place < width:
                    level[place] = level[begin]
            continue
        below = levels[depth + 1 :]
        for place in range(1, width):
            if not level[place] and all(any(low[n] for low in below) for n in (place - 1, place)):
                level[place] = level[place - 1]
    names: list[str | None] = []
    for place in range(width):
        parts = dict.fromkeys(level[place] for level in levels if level[place])
        names.append(JOINT.join(parts) or None)
    return names


def squeezed(text: str | None) -> str:
    """A name as people read it: line breaks and rows of blanks are one blank."""
    return " ".join((text or "").translate(INVISIBLE).split())


def column_names(cells: Cells) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The column names, and which of them we had to give: blank ones, trailing blanks left out."""
    width = max((n for n, cell in enumerate(cells, 1) if squeezed(cell)), default=0)
    names: list[str] = []
    taken: set[str] = set()
    unnamed: list[str] = []
    for number, cell in enumerate(cells[:width], 1):
        name = squeezed(cell)
        if not name:
            name = f"_column_{number}"
            unnamed.append(name)
        count, first = 1, name
        while name in taken:
            count += 1
            name = f"{first} ({count})"
        names.append(name)
        taken.add(name)
    return tuple(names), tuple(unnamed)


def no_header(seen: Sequence[Row], layout: Layout, how: str) -> UnreadableError:
    """No row holds the key columns: told with the row that comes nearest."""
    wanted = {*layout.key, *layout.columns}

    def likeness(row: Row) -> tuple[int, int]:
        return len(wanted & {squeezed(c) for c in row.cells}), sum(c is not None for c in row.cells)

    best = max(seen, key=likeness, default=Row(0, ()))
    found = [name for c in best.cells if (name := squeezed(c))]
    return missing_columns([name for name in layout.key if name not in found] or layout.key, found, how)


def missing_columns(missing: Sequence[str], found: Sequence[str], form: str) -> UnreadableError:
    """The columns that a file lacks, beside those that it has."""
    columns = "columns" if len(missing) > 1 else "column"
    return UnreadableError(
        f"it lacks the {columns} {quoted(missing)}, found are {quoted(found)} ({form})",
        "export it with these columns, or correct the names in the connection",
    )
