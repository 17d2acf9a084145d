"""Workbooks of what accountants work through: one table each, typed cells, filters, totals by currency.

What a workbook holds is said once, in `TABLES`: the query, and of each column its heading in both languages and its kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from pipelines.figures import FigureError, figure
from pipelines.papers.cells import plain, tab_name
from pipelines.papers.codes import value as code_value
from resources.language import Language
from resources.warehouse import Connection

Kind = Literal["text", "sentence", "code", "money", "count", "day", "moment"]
MAX_ROWS: Final = 1_048_576 - 100  # of a sheet, less the heading and the totals
PAGE: Final = 5_000  # rows in memory at a time
WIDTHS: Final[Mapping[Kind, int]] = {
    "text": 28, "sentence": 70, "code": 16, "money": 19, "count": 10, "day": 12, "moment": 17,
}  # fmt: skip
FORMATS: Final[Mapping[Kind, str]] = {
    "money": "#,##0.00", "count": "#,##0", "day": "DD.MM.YYYY", "moment": "DD.MM.YYYY HH:MM",
}  # fmt: skip
SHRUNK: Final = Alignment(shrink_to_fit=True)  # a number wider than its column would be ####
HEAD_FILL: Final = PatternFill("solid", fgColor="E8EEF4")


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name in the query, its headings, its kind. A sentence is the query's own in each language (`_ru`)."""

    name: str
    en: str
    ru: str
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """A workbook: `query` takes `first` and `last` where it `has_day`. `currency` says in what the money of a row is."""

    en: str
    ru: str
    query: str
    columns: tuple[Column, ...]
    currency: str = "currency"
    has_day: bool = False

    def title(self, language: Language) -> str:
        return self.ru if language == "ru" else self.en


def _figure(name: str, mart: str) -> Column:
    """A figure of a mart under the title that it has everywhere (`pipelines/figures.py`)."""
    found = figure(mart, name)
    if found is None:
        raise FigureError(
            f"{name} of marts.{mart} has no definition; add one to pipelines/marts/figures.yaml"
        )
    return Column(name, found.en, found.ru, "money" if found.unit == "money" else "count")


_PARTY: Final = Column("counterparty", "Counterparty", "Контрагент")
_CURRENCY: Final = Column("currency", "Currency", "Валюта", "code")
_DEAL: Final = Column("deal_id", "Deal", "Сделка", "code")
_NUMBER: Final = Column("number", "Number", "Номер", "code")

TABLES: Final[Mapping[str, Table]] = {
    "receivables": Table(
        "Receivables", "Дебиторская задолженность",
        "select * from marts.receivables_as_of(%(last)s) order by counterparty, due_on, document_key",
        (
            _PARTY, Column("client", "Client", "Клиент"), Column("manager", "Manager", "Менеджер"), _DEAL,
            Column("kind", "Document", "Документ", "code"), _NUMBER, Column("document_date", "Date", "Дата", "day"),
            Column("due_on", "Due on", "Срок оплаты", "day"), _figure("amount", "receivables"),
            _figure("paid", "receivables"), _figure("debt", "receivables"), _CURRENCY, _figure("days_overdue", "receivables"),
            Column("bucket", "Age", "Срок просрочки", "code"),
        ),
        has_day=True,
    ),
    "variances": Table(
        "Variances", "Расхождения",
        "select * from marts.variance order by counterparty, period, variance_number",
        (
            Column("variance_number", "Variance", "Расхождение", "count"), Column("status", "Status", "Состояние", "code"),
            Column("reason", "Reason", "Причина", "code"), Column("measure", "Measure", "Показатель", "code"), _PARTY, _DEAL,
            _NUMBER, Column("period", "Month", "Месяц", "day"), _figure("amount", "variance"), _CURRENCY,
            Column("expected", "The CRM says", "В CRM"), Column("actual", "Accounting says", "В учёте"),
            Column("owner", "Owner", "Кто решает", "code"), Column("first_seen_on", "Since", "Замечено", "day"),
            Column("cause", "Caused by", "Чем вызвано", "sentence"), Column("sentence", "What to do", "Что делать", "sentence"),
            Column("accepted_by", "Accepted by", "Кто принял"), Column("accepted_at", "Accepted at (UTC)", "Когда принято (UTC)", "moment"),
            Column("accepted_reason", "Why accepted", "Почему принято"),
        ),
    ),
    "held": Table(
        "Held deals", "Удержанные сделки",
        "select * from documents.held order by check_name, deal_id",
        (
            _DEAL, Column("check_name", "Check", "Проверка", "code"), Column("client_name", "Client", "Клиент"),
            Column("manager", "Manager", "Менеджер"), _figure("amount", "held_by_reason"), _CURRENCY,
            Column("reason", "Why, and what to do", "Почему и что делать", "sentence"),
        ),
    ),
    "ledger": Table(
        "Settlements with buyers", "Расчёты с покупателями",
        "select * from marts.settlement_turnover(%(first)s, %(last)s) order by organization, counterparty, currency, contract,"
        " document_date, document_key",
        (
            Column("organization", "Organization", "Организация"), _PARTY, Column("contract", "Contract", "Договор"),
            Column("kind", "Document", "Документ", "code"), _NUMBER, Column("document_date", "Date", "Дата", "day"),
            *(_figure(name, "settlement_turnover") for name in ("opening", "debit", "credit", "set_off", "closing")), _CURRENCY,
        ),
        has_day=True,
    ),
}  # fmt: skip


class TooMuch(ValueError):
    """More rows than a sheet holds."""


def write(conn: Connection, name: str, language: Language, output: Path, *, first: date, last: date) -> int:
    """Write one of TABLES; the number of its rows. Raises TooMuch and OSError."""
    table = TABLES[name]
    book = Workbook(write_only=True)
    book.calculation.fullCalcOnLoad = True
    day = f"{last:%d.%m.%Y}" if table.has_day else ""
    sheet: Any = book.create_sheet(tab_name((), day, table.title(language)))
    sheet.freeze_panes = "A2"
    for place, column in enumerate(table.columns, start=1):
        sheet.column_dimensions[get_column_letter(place)].width = WIDTHS[column.kind]
    sheet.append([_head(sheet, column, language) for column in table.columns])
    styles = [_style(sheet, column) for column in table.columns]
    count = 0
    currencies: dict[str, None] = {}
    for row in _rows(conn, table, first, last):
        count += 1
        if count > MAX_ROWS:
            raise TooMuch(
                f"more than {MAX_ROWS:,} rows, which no sheet holds; ask the mart with SQL (docs/marts.md)"
            )
        currencies.setdefault(_currency(row[table.currency]))
        sheet.append(
            [
                _cell(sheet, column, style, row, table, language)
                for column, style in zip(table.columns, styles, strict=True)
            ]
        )
    end = get_column_letter(len(table.columns))
    sheet.auto_filter.ref = f"A1:{end}{max(count + 1, 2)}"
    _totals(sheet, table, count, sorted(currencies), language)
    sheet.print_title_rows = "1:1"
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", 9
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    book.save(output)
    return count


def _rows(conn: Connection, table: Table, first: date, last: date) -> Iterator[Mapping[str, Any]]:
    with conn.cursor(name="workbook") as cursor:
        cursor.itersize = PAGE
        cursor.execute(table.query.encode(), {"first": first, "last": last})
        names: Sequence[str] = []
        for row in cursor:
            names = names or [column.name for column in cursor.description or ()]
            yield dict(zip(names, row, strict=True))


def _head(sheet: Any, column: Column, language: Language) -> Any:
    cell = plain(WriteOnlyCell(sheet), column.ru if language == "ru" else column.en)
    cell.font, cell.fill = Font(bold=True), HEAD_FILL
    cell.alignment = Alignment(wrap_text=True, vertical="center")
    return cell


def _style(sheet: Any, column: Column) -> Any:
    """The style of a column's cells, made once: to look one up for each of a million cells takes minutes."""
    cell: Any = WriteOnlyCell(sheet)
    if column.kind in FORMATS:
        cell.number_format = FORMATS[column.kind]
    if column.kind == "money":
        cell.alignment = SHRUNK
    if column.kind in ("sentence", "text"):
        cell.alignment = Alignment(wrap_text=column.kind == "sentence", vertical="top")
    return cell._style


def _cell(
    sheet: Any, column: Column, style: Any, row: Mapping[str, Any], table: Table, language: Language
) -> Any:
    value = row[column.name]
    if column.kind == "sentence":
        value = row[f"{column.name}_ru" if language == "ru" else column.name]
    elif column.name == table.currency:
        value = _currency(value)
    elif column.kind == "code" and isinstance(value, str):
        value = code_value(value, language)
    if value is None:
        return None
    cell: Any = WriteOnlyCell(sheet)
    cell._style = copy(style)
    return plain(cell, value)


def _currency(value: str | None) -> str:
    return value or "?"  # so that its sum has something to go by


def _totals(sheet: Any, table: Table, count: int, currencies: Sequence[str], language: Language) -> None:
    """Under the table and a free row, outside of the filter: a row a currency, each sum a formula."""
    if not count:
        return
    sheet.append([])
    place = next(i for i, column in enumerate(table.columns, start=1) if column.name == table.currency)
    by = f"${get_column_letter(place)}$2:${get_column_letter(place)}${count + 1}"
    for number, currency in enumerate(currencies):
        cells = []
        for i, column in enumerate(table.columns, start=1):
            letter = get_column_letter(i)
            if column.kind == "money":
                cell = WriteOnlyCell(
                    sheet,
                    f"=SUMIFS({letter}$2:{letter}${count + 1},{by},${get_column_letter(place)}{count + 3 + number})",
                )
                cell.number_format, cell.alignment = FORMATS["money"], SHRUNK
            elif i == place:
                cell = plain(WriteOnlyCell(sheet), currency)
            else:
                cell = plain(
                    WriteOnlyCell(sheet), (("Всего" if language == "ru" else "Total") if i == 1 else None)
                )
            cell.font = Font(bold=True)
            cells.append(cell)
        sheet.append(cells)
