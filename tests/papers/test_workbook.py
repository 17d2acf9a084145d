"""Workbooks: typed cells, formulas of totals, filters, and no text that becomes a formula."""

from __future__ import annotations

import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from pipelines.papers.workbook import TABLES, write
from resources.language import Language
from resources.warehouse import Warehouse

pytest_plugins = ("tests.marts.fixtures",)

FIRST, LAST = date(2026, 1, 1), date(2026, 3, 31)


def written(warehouse: Warehouse, name: str, path: Path, language: Language = "en", last: date = LAST) -> Any:
    with warehouse.transaction() as conn:
        write(conn, name, language, path, first=FIRST, last=last)
    return load_workbook(path).worksheets[0]


def table(sheet: Any) -> list[dict[str, Any]]:
    """The rows of the table by heading, without totals."""
    heads = [cell.value for cell in sheet[1]]
    rows = []
    for row in sheet.iter_rows(min_row=2, values_only=True):
        if all(value is None for value in row):
            break
        rows.append(dict(zip(heads, row, strict=True)))
    return rows


def totals(sheet: Any, head: str, by: str = "Currency") -> dict[str, str]:
    heads = [cell.value for cell in sheet[1]]
    found = {}
    for row in sheet.iter_rows(min_row=len(table(sheet)) + 3, values_only=True):
        found[row[heads.index(by)]] = row[heads.index(head)]
    return found


def test_receivables_are_those_of_the_day_typed_and_added_up_by_formulas(
    company: Warehouse, tmp_path: Path
) -> None:
    sheet = written(company, "receivables", tmp_path / "x.xlsx")
    rows = table(sheet)
    assert [
        (row["Counterparty"], row["Number"], row["Due on"], row["Debt"], row["Currency"]) for row in rows
    ] == [
        ("Ромашка ООО", "2", at(2026, 2, 19), 350, "RUB"),
        ("Север ООО", "77", at(2025, 12, 1), 50, "RUB"),
        ("Север ООО", "5", at(2026, 3, 22), 70, "RUB"),
        ("Север ООО", "8", at(2026, 4, 10), 600, "RUB"),
    ]
    letter = next(cell.column_letter for cell in sheet[1] if cell.value == "Debt")
    by = next(cell.column_letter for cell in sheet[1] if cell.value == "Currency")
    assert totals(sheet, "Debt") == {"RUB": f"=SUMIFS({letter}$2:{letter}$5,${by}$2:${by}$5,${by}7)"}
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == f"A1:{sheet.cell(1, sheet.max_column).column_letter}5"
    debt = next(cell for cell in sheet[2] if cell.column_letter == letter)
    assert (debt.data_type, debt.number_format) == ("n", "#,##0.00")
    assert sheet.column_dimensions["A"].width > 20


@pytest.mark.parametrize("name", TABLES)
def test_headings_are_in_both_languages_and_say_the_same_rows(
    company: Warehouse, tmp_path: Path, name: str
) -> None:
    english, russian = (
        written(company, name, tmp_path / f"{name}-{language}.xlsx", language) for language in ("en", "ru")
    )  # type: ignore[arg-type]
    heads = [[cell.value for cell in sheet[1]] for sheet in (english, russian)]
    assert heads[0] == [column.en for column in TABLES[name].columns]
    assert heads[1] == [column.ru for column in TABLES[name].columns]
    assert not set(heads[0]) & set(heads[1])
    assert english.max_row == russian.max_row > 1
    assert len(set(heads[0])) == len(heads[0])


def test_the_ledger_of_the_company_without_entries_adds_up(company: Warehouse, tmp_path: Path) -> None:
    rows = table(written(company, "ledger", tmp_path / "x.xlsx"))
    assert rows
    assert all(
        row["Opening"] + row["Debit"] - row["Credit"] + row["Set off"] == row["Closing"] for row in rows
    )
    (closing,) = company.rows(
        "select sum(closing) from marts.settlement_turnover(%s, %s) where currency = 'RUB'", [FIRST, LAST]
    )
    assert sum(Decimal(str(row["Closing"])) for row in rows if row["Currency"] == "RUB") == closing[0]


@pytest.mark.parametrize("name", ["=1+1", "+7 495", "-5", "@SUM(A1)", '=HYPERLINK("http://x","y")', "\x01=2"])
def test_a_text_that_begins_like_a_formula_stays_a_text(
    own_company: Warehouse, tmp_path: Path, name: str
) -> None:
    own_company.execute(
        "update core.accounting_counterparty set name = %s where counterparty_key = 'A'",
        [name.replace("\x01", "\x02")],
    )
    sheet = written(own_company, "receivables", tmp_path / "x.xlsx")
    cells = [cell for row in sheet.iter_rows(max_row=1 + len(table(sheet))) for cell in row]
    assert {cell.data_type for cell in cells} <= {"s", "n", "d"}
    assert any(isinstance(cell.value, str) and cell.value.endswith(name[1:]) for cell in cells)
    with zipfile.ZipFile(tmp_path / "x.xlsx") as parts:
        assert parts.read("xl/worksheets/sheet1.xml").count(b"<f>") == len(totals(sheet, "Debt")) * 3


def test_an_empty_workbook_has_its_headings(empty: Warehouse, tmp_path: Path) -> None:
    sheet = written(empty, "held", tmp_path / "x.xlsx")
    assert sheet.max_row == 1


def at(year: int, month: int, day: int) -> datetime:
    """A day as a sheet has it: a midnight without a zone."""
    return datetime(year, month, day, tzinfo=UTC).replace(tzinfo=None)
