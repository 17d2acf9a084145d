"""Exports as XLSX: cells as Excel shows them, formulas, sheets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from resources.crm.files.workbook import shown
from tests.files.dropped import (
    by_id,
    drop,
    edited,
    failure,
    sheet_time,
    source,
    workbook,
)


def test_cells_of_a_workbook_read_as_excel_shows_them(tmp_path: Path) -> None:
    def dress(sheet: Any) -> None:
        sheet.merge_cells("A1:C1")
        sheet.row_dimensions[5].hidden = True

    rows: list[list[Any]] = [
        ["Выгрузка"], [],
        ["ID", " ИНН ", "Дата", "Сумма", "Оплачен", None, "Заметка"],
        [1, 7701234567.0, sheet_time(2026, 2, 10), 0.1 + 0.2, True, None, "a\nb"],
        ["007", "0274051582", sheet_time(2026, 2, 10, 14, 30), 1e15, False, "вне", None, None, "край"],
        [None, None, None, "  "],
        ["Итого", None, None, None, None, None, 12],
    ]  # fmt: skip
    drop(tmp_path, "deals.xlsx", workbook(rows, dress))
    files = source(tmp_path)
    assert by_id(files) == {
        "1": {
            "ID": "1", "ИНН": "7701234567", "Дата": "2026-02-10", "Сумма": "0.3", "Оплачен": "true",
            "Заметка": "a\nb",
        },
        "007": {
            "ID": "007", "ИНН": "0274051582", "Дата": "2026-02-10T14:30:00", "Сумма": "1000000000000000",
            "Оплачен": "false", "_column_6": "вне", "Заметка": None, "_column_9": "край",
        },
    }  # fmt: skip
    message = files.check()[1].message
    assert 'sheet "Sheet", header in row 3' in message
    assert "1 rows hidden in Excel (5) are read too" in message


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7701234567.0, "7701234567"), (0.1 + 0.2, "0.3"), (1e-7, "0.0000001"), (-0.0, "0"),
        (1e21, "1" + "0" * 21),
        (1234567.891, "1234567.891"), (date(2026, 2, 10), "2026-02-10"), (time(9, 5), "09:05:00"),
        (timedelta(hours=26, minutes=30), "26:30:00"),
        (sheet_time(2026, 2, 10, 14, 29, 59, 999_999), "2026-02-10T14:30:00"),
        (40702810500000012345, "40702810500000012345"), ("a_x000D_b", "a\rb"), ("", None), (None, None),
    ],
)  # fmt: skip
def test_a_value_is_shown_at_full_width(value: object, text: str | None) -> None:
    assert shown(value) == text


def _with_formula(sheet: Any) -> None:
    sheet["B2"] = "=1+1"


def test_a_formula_gives_its_stored_value_and_one_never_calculated_refuses_the_file(tmp_path: Path) -> None:
    raw = workbook([["ID", "Сумма"], [1, 0]], _with_formula)
    drop(tmp_path, "deals.xlsx", raw)
    assert "cell B2 holds a formula that was never calculated" in str(failure(source(tmp_path)))
    drop(tmp_path, "deals.xlsx", edited(raw, r"<f>1\+1</f><v\s*/>|<f>1\+1</f><v></v>", "<f>1+1</f><v>2</v>"))
    assert by_id(source(tmp_path))["1"]["Сумма"] == "2"


@pytest.mark.parametrize(
    ("cell", "refused"),
    [
        ('t="str"><f>A2&amp;"x"</f>', True),
        ('t="b"><f>A2=1</f>', True),
        ('t="e"><f>1/0</f>', True),
        ('t="d"><f>TODAY()</f>', True),
        ('><f t="array" ref="B2:B3">A2:A3</f>', True),
        ('><f t="shared" si="0"/><v/>', True),
        ('t="str"><f>IF(1,"","")</f><v></v>', False),
        ('t="str"><f>IF(1,"","")</f><v/>', False),
        ('t="str"><f>A2&amp;"x"</f><v>1x</v>', False),
    ],
)
def test_a_formula_of_any_kind_that_was_never_calculated_refuses_the_file(
    tmp_path: Path, cell: str, refused: bool
) -> None:
    raw = workbook([["ID", "Сумма"], [1, 77]])
    drop(tmp_path, "deals.xlsx", edited(raw, r'<c r="B2"[^>]*><v>77</v></c>', f'<c r="B2" {cell}</c>'))
    if refused:
        assert "cell B2 holds a formula that was never calculated" in str(failure(source(tmp_path)))
    else:
        assert list(by_id(source(tmp_path))) == ["1"]


def test_a_wrong_dimension_in_the_file_hides_no_column(tmp_path: Path) -> None:
    raw = edited(workbook([["ID", "Сумма"], [1, 5]]), r'<dimension ref="A1:B2"\s*/>', '<dimension ref="A1"/>')
    drop(tmp_path, "deals.xlsx", raw)
    assert by_id(source(tmp_path)) == {"1": {"ID": "1", "Сумма": "5"}}


def test_the_sheet_is_the_one_with_the_header_and_two_such_sheets_must_be_told_apart(tmp_path: Path) -> None:
    def more(name: str, key: str) -> Callable[[Any], None]:
        def change(sheet: Any) -> None:
            other = sheet.parent.create_sheet(name)
            other.append([key])
            other.append([2])

        return change

    drop(tmp_path, "deals.xlsx", workbook([["Справка"]], more("Данные", "ID")))
    assert list(by_id(source(tmp_path))) == ["2"]
    drop(tmp_path, "deals.xlsx", workbook([["ID"], [1]], more("Февраль", "ID")))
    assert '"Sheet", "Февраль" all hold such a table' in str(failure(source(tmp_path)))
    assert list(by_id(source(tmp_path, sheet="Февраль"))) == ["2"]
    assert 'no sheet "Март"' in str(failure(source(tmp_path, sheet="Март")))
