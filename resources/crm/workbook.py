"""XLSX workbooks: the sheet with the table, and its values as the texts that Excel shows."""

from __future__ import annotations

import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import IO, Any

import msgspec

from resources.crm.spreadsheet import (
    SPOOL_MEMORY_BYTES,
    Found,
    Layout,
    Row,
    UnreadableError,
    find_header,
    no_header,
    quoted,
)

MAX_UNPACKED_BYTES = 4 << 30  # an XLSX is a ZIP; one that unpacks to more is no table of a person's


def open_workbook(spool: IO[bytes], layout: Layout, spools: list[IO[bytes]]) -> Found:
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
        if size > MAX_UNPACKED_BYTES:
            raise UnreadableError(f"it unpacks to {size >> 20} MiB", "export fewer rows, or a CSV")
        book = openpyxl.load_workbook(spool, read_only=True, data_only=True)
        try:
            sheet, header, names = _find_sheet(book, layout)
            lines: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOL_MEMORY_BYTES)  # noqa: SIM115
            spools.append(lines)
            hidden: list[int] = []
            encode = msgspec.json.Encoder().encode
            for row in _sheet_rows(sheet, hidden):
                lines.write(encode((row.line, row.cells)) + b"\n")
        finally:
            book.close()
    except damages as error:
        raise UnreadableError(
            f"it is a damaged or half-written XLSX ({type(error).__name__}: {error})",
            "wait for the copy to end, or save it again in Excel",
        ) from error
    decode = msgspec.json.Decoder(tuple[int, list[str | None]]).decode

    def rows() -> Iterator[Row]:
        lines.seek(0)
        for line in lines:
            yield Row(*decode(line))

    form = f'XLSX, sheet "{sheet.title}"' + (f" of {len(names)}" if len(names) > 1 else "")
    return rows, header, {"form": form, "unit": "row", "hidden": tuple(hidden), "wide": True}


def _find_sheet(book: Any, layout: Layout) -> tuple[Any, Row, list[str]]:
    names = [sheet.title for sheet in book.worksheets]
    if layout.sheet is not None and layout.sheet not in names:
        raise UnreadableError(
            f'it has no sheet "{layout.sheet}", only {quoted(names)}', "correct `sheet` or the file"
        )
    if not names:
        raise UnreadableError(
            "no sheet of it can be read", 'save it as "Excel workbook (.xlsx)", not as "Strict"'
        )
    found: list[tuple[Any, Row]] = []
    seen: list[Row] = []
    for sheet in book.worksheets:
        if layout.sheet == sheet.title or (layout.sheet is None and sheet.sheet_state == "visible"):
            header = find_header(_sheet_rows(sheet, []), layout, seen)
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


def _sheet_rows(sheet: Any, hidden: list[int]) -> Iterator[Row]:
    """Rows that are not blank, with their numbers; numbers of hidden ones are added to `hidden`."""
    # The sheet's own iterator knows neither row numbers with certainty, nor hidden rows, nor
    # formulas without a stored value; the parser beneath it knows all three.
    from openpyxl.worksheet._reader import FORMULA_TAG, WorkSheetParser

    class Parser(WorkSheetParser):
        def parse_cell(self, element: Any) -> dict[str, Any]:
            cell: dict[str, Any] = super().parse_cell(element)
            if cell["value"] is None and cell["data_type"] == "n" and element.find(FORMULA_TAG) is not None:
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
            for cell in parsed:
                cells[cell["column"] - 1] = shown(cell["value"])
            if any(c is not None and not c.isspace() for c in cells):
                if dimension and dimension.get("hidden") in ("1", "true"):
                    hidden.append(number)
                yield Row(number, cells)


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
