"""XLSX workbooks: the sheet with the table, its values as the texts that Excel shows, and its marks.

Marks are what stands beside the values: hidden rows and columns, a filter, merged cells.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import IO, Any

import msgspec

from resources.crm.files.header import SEARCH_ROWS, Across, find_header, no_header
from resources.crm.files.layout import (
    SPOOL_MEMORY_BYTES,
    Found,
    Header,
    Layout,
    Marks,
    Row,
    UnreadableError,
    quoted,
)

MAX_UNPACKED_BYTES = 4 << 30  # an XLSX is a ZIP; one that unpacks to more is no table of a person's
MAX_MERGED_CELLS = 1_000_000
MAX_COLUMNS, MAX_ROWS = 16_384, 1_048_576  # of a sheet
YES = ("1", "true")
# By a part that every such file has: what is a ZIP too, and no XLSX.
OTHER_FORMATS = {
    "xl/workbook.bin": "a binary workbook (.xlsb)",
    "content.xml": "an OpenDocument file (.ods), as LibreOffice saves it",
    "word/document.xml": "a document of Word (.docx)",
}
NUMBER_AS_TEXT = re.compile(r"[-+]?\d[\d\s\u00a0\u2009\u202f]*(?:[.,]\d+)?")


@dataclass(slots=True)
class _Aside:
    """What a sheet says beside its values; complete when all its rows have been parsed."""

    hidden_rows: list[int] = field(default_factory=list)
    hidden_columns: set[int] = field(default_factory=set)
    filtered: bool = False
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)  # columns and rows, from 1
    last_row: int = 0

    def marks(self) -> Marks:
        continued: dict[int, frozenset[int]] = {}
        grown: dict[tuple[frozenset[int], int], frozenset[int]] = {}  # rows with the same cells share one set
        cells = 0
        for column, first, _, last in self.merged:
            for row in range(first + 1, min(last, self.last_row) + 1):
                before = continued.get(row, frozenset())
                continued[row] = grown.setdefault((before, column), before | {column - 1})
                cells += 1
                if cells > MAX_MERGED_CELLS:
                    raise UnreadableError(
                        f"it has more than {MAX_MERGED_CELLS} merged cells", "export it without merging cells"
                    )
        return Marks(
            True,
            tuple(self.hidden_rows),
            frozenset(self.hidden_columns),
            self.filtered and bool(self.hidden_rows),
            continued,
        )

    def across(self, last_row: int) -> Across:
        """Of the first rows: places covered by a merged cell, and the place where it begins."""
        found: dict[int, dict[int, int]] = {}
        for column, first, last_column, last in self.merged:
            for row in range(first, min(last, last_row) + 1):
                for place in range(column, min(last_column, MAX_COLUMNS)):
                    found.setdefault(row, {})[place] = column - 1
        return found


def open_workbook(spool: IO[bytes], layout: Layout, spools: list[IO[bytes]]) -> Found:
    """Find the table of an XLSX. Raises UnreadableError: damaged, too large, no sheet with the header."""
    import openpyxl  # 0.2 s, so only where a workbook is read
    from openpyxl.utils.exceptions import InvalidFileException

    damages = (
        zipfile.BadZipFile,
        InvalidFileException,
        KeyError,
        ValueError,
        TypeError,
        IndexError,
        AttributeError,
        SyntaxError,
        EOFError,
        OSError,
        zlib.error,
    )
    spool.seek(0)
    try:
        with zipfile.ZipFile(spool) as archive:
            size = sum(part.file_size for part in archive.infolist())
            parts = set(archive.namelist())
        if what := next((what for part, what in OTHER_FORMATS.items() if part in parts), ""):
            raise UnreadableError(f"it is {what}", "save it as .xlsx, or export a CSV")
        if size > MAX_UNPACKED_BYTES:
            raise UnreadableError(f"it unpacks to {size >> 20} MiB", "export fewer rows, or a CSV")
        book = openpyxl.load_workbook(spool, read_only=True, data_only=True)
        try:
            sheet, header, names = _find_sheet(book, layout)
            lines: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOL_MEMORY_BYTES)  # noqa: SIM115
            spools.append(lines)
            aside = _Aside()
            encode = msgspec.json.Encoder().encode
            for row in _sheet_rows(sheet, aside):
                lines.write(encode((row.line, row.cells, row.texts)) + b"\n")
        finally:
            book.close()
    except damages as error:
        raise UnreadableError(
            f"it is a damaged or half-written XLSX ({type(error).__name__}: {error})",
            "wait for the copy to end, or save it again in Excel",
        ) from error
    decode = msgspec.json.Decoder(tuple[int, list[str | None], list[int]]).decode

    def rows() -> Iterator[Row]:
        lines.seek(0)
        for line in lines:
            number, cells, texts = decode(line)
            yield Row(number, cells, texts=texts)

    form = f'XLSX, sheet "{sheet.title}"' + (f" of {len(names)}" if len(names) > 1 else "")
    return Found(rows, header, form, "row", wide=True, marks=aside.marks())


def _find_sheet(book: Any, layout: Layout) -> tuple[Any, Header, list[str]]:
    names = [sheet.title for sheet in book.worksheets]
    if layout.sheet is not None and layout.sheet not in names:
        raise UnreadableError(
            f'it has no sheet "{layout.sheet}", only {quoted(names)}', "correct `sheet` or the file"
        )
    if not names:
        raise UnreadableError(
            "no sheet of it can be read", 'save it as "Excel workbook (.xlsx)", not as "Strict"'
        )
    found: list[tuple[Any, Header]] = []
    seen: list[Row] = []
    for sheet in book.worksheets:
        if layout.sheet == sheet.title or (layout.sheet is None and sheet.sheet_state == "visible"):
            header = find_header(_sheet_rows(sheet, _Aside()), layout, seen, _across(sheet, layout))
            if header:
                found.append((sheet, header))
    if len(found) > 1:
        titles = quoted([sheet.title for sheet, _ in found])
        raise UnreadableError(
            f"its sheets {titles} all hold such a table", "name one as `sheet` of the connection"
        )
    if not found:
        raise no_header(seen, layout, f"looked through the sheets {quoted(names)}")
    return *found[0], names


def _across(sheet: Any, layout: Layout) -> Across | None:
    """The merged cells of the top rows, where the header has several: they stand at the end of a sheet."""
    if layout.header_rows == 1:
        return None
    aside = _Aside()
    numbers = [row.line for row in _sheet_rows(sheet, aside)]
    looked = (layout.header_row or 0) + SEARCH_ROWS + layout.header_rows
    return aside.across(numbers[min(looked, len(numbers)) - 1] if numbers else 0)


def _sheet_rows(sheet: Any, aside: _Aside) -> Iterator[Row]:
    """Rows that are not blank, with their numbers; what stands beside the values goes into `aside`."""
    # The sheet's own iterator knows neither row numbers with certainty, nor hidden rows, nor merged cells, nor
    # formulas without a stored value; the parser beneath it knows them all.
    from openpyxl.utils import range_boundaries
    from openpyxl.worksheet._reader import FORMULA_TAG, VALUE_TAG, WorkSheetParser

    class Parser(WorkSheetParser):
        def parse_cell(self, element: Any) -> dict[str, Any]:
            cell: dict[str, Any] = super().parse_cell(element)
            # An empty text is a result (`<v></v>`), of a number it is none; no `<v>` at all is none of anything.
            if (
                cell["value"] is None
                and element.find(FORMULA_TAG) is not None
                and (cell["data_type"] != "str" or element.find(VALUE_TAG) is None)
            ):
                raise UnreadableError(
                    f"its cell {element.get('r')} holds a formula that was never calculated",
                    "open the file in Excel and save it",
                )
            return cell

    book = sheet.parent
    with sheet._get_source() as source:
        parser = Parser(
            source,
            sheet._shared_strings,
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        )
        for number, parsed in parser.parse():
            dimension = parser.row_dimensions.pop(str(number), None)
            cells: list[str | None] = [None] * max((cell["column"] for cell in parsed), default=0)
            texts: list[int] = []
            for cell in parsed:
                place, value = cell["column"] - 1, cell["value"]
                cells[place] = shown(value)
                if isinstance(value, str) and NUMBER_AS_TEXT.fullmatch(value.strip()):
                    texts.append(place)
            if any(c is not None and not c.isspace() for c in cells):
                aside.last_row = number
                if dimension and dimension.get("hidden") in YES:
                    aside.hidden_rows.append(number)
                yield Row(number, cells, texts=texts)
        for column in parser.column_dimensions.values():
            if column.get("hidden") in YES:
                aside.hidden_columns.update(
                    range(int(column["min"]) - 1, min(int(column["max"]), MAX_COLUMNS))
                )
        aside.filtered = getattr(parser, "auto_filter", None) is not None
        if parser.merged_cells is not None:
            for cell in parser.merged_cells.mergeCell:
                column, first, last_column, last = range_boundaries(cell.ref)
                aside.merged.append((column or 1, first or 1, last_column or MAX_COLUMNS, last or MAX_ROWS))


def shown(value: object) -> str | None:
    """The text of an XLSX value: what Excel shows in a cell that is wide enough.

    Excel keeps 15 significant digits, so 0.1 + 0.2 is "0.3"; midnight is a date without a time.
    """
    match value:
        case None | "":
            return None
        case str():
            return _ESCAPED.sub(_unescape, value) if "_x" in value else value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            text = format(Decimal(format(value, ".15g")), "f")
            return "0" if text == "-0" else text
        case datetime():
            rounded = (value + timedelta(milliseconds=500)).replace(microsecond=0, tzinfo=None)
            return rounded.date().isoformat() if rounded.time() == time() else rounded.isoformat()
        case date():
            return value.isoformat()
        case time():
            return value.isoformat("seconds")
        case timedelta():
            seconds = round(value.total_seconds())
            sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
            return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        case _:
            return str(value)


_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")  # ECMA-376 22.9.2.19: characters XML cannot hold


def _unescape(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    return found[0] if code == 0 or 0xD800 <= code <= 0xDFFF else chr(code)
