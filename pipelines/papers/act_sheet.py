"""An act of reconciliation as XLSX: a sheet an act, typed cells, set up to be printed and signed."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from openpyxl import Workbook
from openpyxl.cell.cell import Cell
from openpyxl.styles import Alignment, Border, Font, Side
from openpyxl.worksheet.worksheet import Worksheet

from pipelines.papers import words as said
from pipelines.papers.act import Act
from pipelines.papers.cells import plain, tab_name
from resources.language import Language

WIDTHS: Final = (12, 34, 15, 15, 12, 24, 15, 15)  # characters: ours in A to D, theirs in E to H
MONEY: Final = "#,##0.00"
DAY: Final[dict[Language, str]] = {"ru": "DD.MM.YYYY", "en": "YYYY-MM-DD"}
THIN: Final = Side(style="thin")
BOX: Final = Border(left=THIN, right=THIN, top=THIN, bottom=THIN)
WRAPPED: Final = Alignment(wrap_text=True, vertical="top")
ONE_LINE: Final = Alignment(shrink_to_fit=True, vertical="top")  # a sum wider than its column would be ####
CENTRED: Final = Alignment(horizontal="center", vertical="center", wrap_text=True)
CHARACTERS_A_LINE: Final = 118  # of a merged row over all columns, at the usual font
LINE_POINTS: Final = 15


def write(acts: Sequence[Act], language: Language, output: Path) -> None:
    """Write one sheet an act. Raises OSError."""
    book = Workbook()
    book.remove(book.worksheets[0])
    for act in acts:
        sheet = book.create_sheet(tab_name(book.sheetnames, act.currency, said.ours(act, language)))
        _fill(sheet, act, language)
    book.save(output)


def _fill(sheet: Worksheet, act: Act, language: Language) -> None:
    words = said.WORDS[language]
    ours, theirs = said.ours(act, language), act.counterparty.name
    for letter, width in zip("ABCDEFGH", WIDTHS, strict=True):
        sheet.column_dimensions[letter].width = width
    first, last = said.day(act.first, language), said.day(act.last, language)
    _across(sheet, words["title"], bold=True, size=14, centred=True)
    _across(sheet, words["of"].format(first=first, last=last), centred=True)
    _across(
        sheet,
        words["between"].format(ours=_whole(act, language)[0], theirs=_whole(act, language)[1]),
        centred=True,
    )
    _across(
        sheet, words["contract"].format(contract=act.contract) if act.contract else words["all"], centred=True
    )
    _row(sheet, [])
    _across(sheet, words["opens"].format(ours=ours, theirs=theirs))
    _row(sheet, [])
    heads = sheet.max_row + 1
    _heads(sheet, act, language)
    zero = Decimal("0.00")
    _total(sheet, words["opening"], max(act.opening, zero), max(-act.opening, zero), language)
    for line in act.lines:
        _entry(sheet, [line.day, said.document(line, language), line.debit, line.credit], language)
    _total(sheet, words["turnover"], act.debit, act.credit, language)
    _total(sheet, words["closing"], max(act.closing, zero), max(-act.closing, zero), language)
    _row(sheet, [])
    _across(sheet, words["concludes"].format(ours=ours))
    _across(sheet, said.conclusion(act, language), bold=True)
    for note in said.notes(act, language):
        _across(sheet, note, italic=True)
    _signatures(sheet, ours, theirs, words)
    sheet.freeze_panes = f"A{heads + 2}"
    sheet.print_title_rows = f"{heads}:{heads + 1}"
    sheet.print_area = f"A1:H{sheet.max_row}"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = 9  # A4
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True  # type: ignore[union-attr]
    sheet.oddFooter.right.text = words["page"].format(page="&P", pages="&N")  # type: ignore[union-attr]


def _whole(act: Act, language: Language) -> tuple[str, str]:
    """Both parties with their numbers in brackets."""
    parties = []
    for name, party in (
        (said.ours(act, language), act.organization),
        (act.counterparty.name, act.counterparty),
    ):
        numbers = party.numbers(language) if party else ""
        parties.append(f"{name} ({numbers})" if numbers else name)
    return parties[0], parties[1]


def _heads(sheet: Worksheet, act: Act, language: Language) -> None:
    words = said.WORDS[language]
    at = sheet.max_row + 1
    for column, party in ((1, said.ours(act, language)), (5, act.counterparty.name)):
        sheet.merge_cells(start_row=at, start_column=column, end_row=at, end_column=column + 3)
        _put(sheet, at, column, words["by"].format(party=party, currency=act.currency))
        for place, name in enumerate(("date", "document", "debit", "credit")):
            _put(sheet, at + 1, column + place, words[name])
    for row in (at, at + 1):
        for column in range(1, 9):
            cell = sheet.cell(row, column)
            cell.border, cell.alignment, cell.font = BOX, CENTRED, Font(bold=True)
    longest = max(len(said.ours(act, language)), len(act.counterparty.name))
    sheet.row_dimensions[at].height = LINE_POINTS * (1 + longest // 45)


def _total(sheet: Worksheet, name: str, debit: Decimal, credit: Decimal, language: Language) -> None:
    _entry(sheet, [None, name, debit, credit, None, name], language, bold=True)


def _entry(sheet: Worksheet, values: Sequence[Any], language: Language, *, bold: bool = False) -> None:
    """A row of ours; the columns of the other side stay blank, in their boxes. A zero is an empty cell but in totals."""
    at = sheet.max_row + 1
    for column in range(1, 9):
        value = values[column - 1] if column <= len(values) else None
        if isinstance(value, Decimal) and value == 0 and not bold:
            value = None
        cell = _put(sheet, at, column, value)
        cell.border, cell.alignment = BOX, WRAPPED
        if column in (3, 4, 7, 8):
            cell.number_format, cell.alignment = MONEY, ONE_LINE
        elif column in (1, 5):
            cell.number_format = DAY[language]
        if bold:
            cell.font = Font(bold=True)
    sheet.row_dimensions[at].height = LINE_POINTS * (1 + len(str(values[1])) // 36)


def _across(
    sheet: Worksheet,
    text: str,
    *,
    bold: bool = False,
    italic: bool = False,
    size: int = 11,
    centred: bool = False,
) -> None:
    at = sheet.max_row + 1 if sheet.max_row > 1 or sheet["A1"].value else 1
    sheet.merge_cells(start_row=at, start_column=1, end_row=at, end_column=8)
    cell = _put(sheet, at, 1, text)
    cell.font = Font(bold=bold, italic=italic, size=size)
    cell.alignment = CENTRED if centred else WRAPPED
    sheet.row_dimensions[at].height = (LINE_POINTS + max(size - 11, 0)) * (1 + len(text) // CHARACTERS_A_LINE)


def _signatures(sheet: Worksheet, ours: str, theirs: str, words: Any) -> None:
    lines = (
        (words["from"].format(party=ours), words["from"].format(party=theirs)),
        ("", ""),
        ("_" * 40, "_" * 40),
        (words["position"], words["position"]),
        (f"{'_' * 18} / {'_' * 20}", f"{'_' * 18} / {'_' * 20}"),
        (f"{words['signature']} / {words['name']}", f"{words['signature']} / {words['name']}"),
        (words["seal"], words["seal"]),
    )
    _row(sheet, [])
    for pair in lines:
        at = sheet.max_row + 1
        for column, text in zip((1, 5), pair, strict=True):
            sheet.merge_cells(start_row=at, start_column=column, end_row=at, end_column=column + 3)
            _put(sheet, at, column, text or " ").alignment = WRAPPED
    longest = max(len(ours), len(theirs))
    sheet.row_dimensions[sheet.max_row - len(lines) + 1].height = LINE_POINTS * (1 + longest // 55)


def _row(sheet: Worksheet, values: Sequence[Any]) -> None:
    sheet.append(list(values) or [" "])


def _put(sheet: Worksheet, row: int, column: int, value: Any) -> Cell:
    cell = sheet.cell(row, column)
    assert isinstance(cell, Cell)
    return plain(cell, value)
