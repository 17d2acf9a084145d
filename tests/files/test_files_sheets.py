"""What people do to spreadsheets, each habit by itself, as a workbook and as the CSV that Excel makes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from resources.connector import Reject, SourceError
from resources.crm.files.connector import Files
from resources.crm.files.dates import UnclearDate, iso_date
from tests.files.dropped import by_id, drop, edited, failure, read, sheet_time, source, values, workbook

Rows = Sequence[Sequence[Any]]


def csv_text(rows: Rows) -> str:
    return "".join(";".join("" if v is None else str(v) for v in row) + "\r\n" for row in rows)


def merging(*ranges: str) -> Any:
    def change(sheet: Any) -> None:
        for cells in ranges:
            sheet.merge_cells(cells)

    return change


def reasons(files: Files) -> list[str]:
    return [reject.reason for reject in read(files)[1]]


def told(files: Files) -> str:
    return files.check()[1].message


# --- headers ---

TWO_ROWS: Rows = [
    ["Клиенты на 1 марта"],
    [],
    ["ID", "ИНН", "Контакты", None, "Город"],
    [None, None, "Телефон", "E-mail", None],
    [1, "7707083893", "8 495 1234567", "a@b.ru", "мск"],
]
JOINED = {"ID": "1", "ИНН": "7707083893", "Контакты / Телефон": "8 495 1234567", "Контакты / E-mail": "a@b.ru",
          "Город": "мск"}  # fmt: skip


def test_names_of_two_rows_are_joined_and_lines_above_them_are_titles(tmp_path: Path) -> None:
    merged = merging("A1:E1", "A3:A4", "B3:B4", "C3:D3", "E3:E4")
    drop(tmp_path, "deals.xlsx", workbook(TWO_ROWS, merged))
    files = source(tmp_path, header_rows=2, columns=["Контакты / Телефон"])
    assert by_id(files) == {"1": JOINED}
    assert "header in rows 3 to 4" in told(files)
    (tmp_path / "deals.xlsx").unlink()
    drop(tmp_path, "deals.csv", csv_text(TWO_ROWS))
    assert by_id(files) == {"1": JOINED}


def test_a_title_in_the_corner_right_above_the_header_is_no_part_of_it(tmp_path: Path) -> None:
    rows: Rows = [[None, None, None, None, "Лист 1"], *TWO_ROWS[2:]]
    for name, content in (("deals.xlsx", workbook(rows)), ("deals.csv", csv_text(rows).encode())):
        drop(tmp_path, name, content)
        files = source(tmp_path, header_rows=2, columns=["Контакты / Телефон"])
        assert by_id(files) == {"1": JOINED}
        (tmp_path / name).unlink()


def test_merged_cells_decide_which_names_belong_together(tmp_path: Path) -> None:
    rows: Rows = [
        ["ID", "Сумма", None, None],
        [None, "Всего", "НДС", "Прочее"],
        [1, 120, 20, "x"],
    ]
    drop(tmp_path, "deals.xlsx", workbook(rows, merging("B1:C1")))
    assert list(by_id(source(tmp_path, header_rows=2))["1"]) == [
        "ID",
        "Сумма / Всего",
        "Сумма / НДС",
        "Прочее",
    ]
    drop(tmp_path, "deals.xlsx", workbook(rows))
    assert list(by_id(source(tmp_path, header_rows=2))["1"])[-1] == "Сумма / Прочее", (
        "nothing tells them apart"
    )


def test_line_breaks_and_hard_spaces_in_names_are_blanks(tmp_path: Path) -> None:
    drop(tmp_path, "deals.xlsx", workbook([["ID", "Кол-во,\nшт", "Ставка\u00a0НДС "], [1, 2, "20%"]]))
    assert by_id(source(tmp_path, columns=["Ставка НДС"])) == {
        "1": {"ID": "1", "Кол-во, шт": "2", "Ставка НДС": "20%"}
    }


def test_a_header_that_stands_again_on_each_page_is_no_record(tmp_path: Path) -> None:
    rows: Rows = [*TWO_ROWS[2:], *TWO_ROWS[2:4], [2, "7736050003", None, None, "СПб"]]
    drop(tmp_path, "deals.csv", csv_text(rows))
    files = source(tmp_path, header_rows=2)
    assert list(by_id(files)) == ["1", "2"]
    assert reasons(files) == []
    assert "2 repeated headers passed over" in told(files)


def test_a_second_header_row_that_lacks_a_column_is_told_with_the_joined_names(tmp_path: Path) -> None:
    drop(tmp_path, "deals.xlsx", workbook(TWO_ROWS))
    message = str(failure(source(tmp_path, header_rows=2, columns=["Контакты / Факс"])))
    assert 'lacks the column "Контакты / Факс"' in message
    assert '"Контакты / E-mail"' in message
    assert 'lacks the column "Код"' in str(failure(source(tmp_path, header_rows=2, key=["Код"])))


# --- merged downwards ---

DOWN: Rows = [
    ["ID", "Клиент", "КПП", "Товар", "Сумма"],
    [1, "Ромашка", "770101001", "Стол", 10],
    [None, None, None, "Стул", 5],
    [2, "Ёлка", None, "Лампа", 7],
    [None, None, None, "Шкаф", 8],
]
DEAL: dict[str, Any] = {"key": ["ID", "Товар"], "parent": "ID", "parent_columns": ["Клиент"]}
NAMED: dict[str, Any] = {**DEAL, "merged_down": ["ID", "Клиент", "КПП"]}


def test_a_value_merged_downwards_counts_for_all_its_rows_where_the_option_names_it(tmp_path: Path) -> None:
    drop(tmp_path, "deals.xlsx", workbook(DOWN, merging("A2:A3", "B2:B3", "C2:C3", "A4:A5", "B4:B5")))
    found = by_id(source(tmp_path, **NAMED))
    assert {k: (v["Клиент"], v["КПП"]) for k, v in found.items()} == {
        "1|Стол": ("Ромашка", "770101001"), "1|Стул": ("Ромашка", "770101001"),
        "2|Лампа": ("Ёлка", None), "2|Шкаф": ("Ёлка", None),
    }  # fmt: skip
    files = source(tmp_path, **DEAL)
    assert list(by_id(files)) == ["1|Стол", "2|Лампа"], "not named, not filled"
    assert 'cells of "ID", "Клиент", "КПП" are merged downwards' in told(files)


def test_the_csv_of_it_reads_the_same_and_a_deal_inherits_nothing_from_the_one_above(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", csv_text(DOWN))
    found = by_id(source(tmp_path, **NAMED))
    assert {k: (v["Клиент"], v["КПП"]) for k, v in found.items()} == {
        "1|Стол": ("Ромашка", "770101001"), "1|Стул": ("Ромашка", "770101001"),
        "2|Лампа": ("Ёлка", None), "2|Шкаф": ("Ёлка", None),
    }  # fmt: skip


def test_an_empty_number_in_a_workbook_goes_on_only_where_it_is_merged_or_the_option_says_so(
    tmp_path: Path,
) -> None:
    drop(tmp_path, "deals.xlsx", workbook(DOWN))
    records, rejects = read(source(tmp_path, **NAMED))
    assert [record.source_id for record in records] == ["1|Стол", "2|Лампа"]
    assert [reject.place for reject in rejects] == ["deals.xlsx, row 3", "deals.xlsx, row 5"]
    assert len(by_id(source(tmp_path, **NAMED, blanks_continue=True))) == 4


def test_a_row_that_names_another_client_does_not_go_on_with_the_deal_above(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", csv_text([*DOWN[:3], [None, "Другой", None, "Полка", 3]]))
    records, rejects = read(source(tmp_path, **NAMED))
    assert [record.source_id for record in records] == ["1|Стол", "1|Стул"]
    assert [reject.place for reject in rejects] == ["deals.csv, line 4"]


def test_rows_that_go_on_with_an_unreadable_one_are_held_with_its_deal_and_no_other(tmp_path: Path) -> None:
    lines = csv_text(DOWN).replace("2;Ёлка;", '2;"Ёлка" ООО;')
    drop(tmp_path, "deals.csv", lines)
    records, rejects = read(source(tmp_path, **NAMED))
    assert [record.source_id for record in records] == ["1|Стол", "1|Стул"]
    assert [(reject.place, reject.parent_id) for reject in rejects] == [
        ("deals.csv, line 4", "2"),
        ("deals.csv, line 5", "2"),
    ]
    assert "goes on with line 4, which cannot be read" in rejects[1].reason
    drop(tmp_path, "deals.csv", csv_text(DOWN).replace(";;;Шкаф", ';;;"Шкаф" новый'))
    assert [reject.parent_id for reject in read(source(tmp_path, **NAMED))[1]] == ["2"]


# --- groups ---

GROUPS: Rows = [
    ["ID", "Клиент", "Сумма"],
    ["Иванов Иван", None, "1\u00a0015,00"],
    [1, "Ромашка", "1\u00a0010,00"],
    [2, "Ёлка", 5],
    ["Петрова Анна", None, "7,00"],
    [3, "Берёза", 7],
    ["Итого", None, "1\u00a0022,00"],
]


@pytest.mark.parametrize("margin", [0, 1, 2], ids=lambda columns: f"{columns} empty columns before the table")
def test_headings_of_groups_become_a_column_of_the_rows_below_them(tmp_path: Path, margin: int) -> None:
    drop(tmp_path, "deals.csv", csv_text([[*[None] * margin, *row] for row in GROUPS]))
    files = source(tmp_path, group_column="Менеджер", key=["ID", "Клиент"])
    assert {k: v["Менеджер"] for k, v in by_id(files).items()} == {
        "1|Ромашка": "Иванов Иван", "2|Ёлка": "Иванов Иван", "3|Берёза": "Петрова Анна",
    }  # fmt: skip
    assert reasons(files) == []
    assert "2 headings of groups" in told(files)
    assert [len(page) for page in files.keys("deal")] == [3]


def test_a_heading_without_rows_is_told_and_not_taken_for_a_group(tmp_path: Path) -> None:
    drop(tmp_path, "deals.xlsx", workbook([GROUPS[0], ["Розница"], *GROUPS[1:4], ["Ф-5"]]))
    files = source(tmp_path, group_column="Менеджер", key=["ID", "Клиент"])
    assert {v["Менеджер"] for v in by_id(files).values()} == {"Иванов Иван"}
    assert [reason.split(";")[0] for reason in reasons(files)] == [
        'deals.xlsx, row 2: "Розница" looks like the heading of a group, and no row of it follows',
        'deals.xlsx, row 6: "Ф-5" looks like the heading of a group, and no row of it follows',
    ]


def test_without_the_option_a_heading_is_a_row_without_its_key(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", csv_text(GROUPS))
    found = read(source(tmp_path, key=["ID", "Клиент"], control_totals=[]))
    assert [reject.place for reject in found[1]] == ["deals.csv, line 2", "deals.csv, line 5"]


def test_a_group_column_that_cannot_be_told_from_others_is_refused(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", csv_text(GROUPS))
    for margin in (0, 1):
        drop(tmp_path, "deals.csv", csv_text([[*[None] * margin, *row] for row in GROUPS]))
        assert "add a column to `key` that headings leave empty" in str(
            failure(source(tmp_path, group_column="Менеджер"))
        )
    assert 'has a column "Клиент" already' in str(failure(source(tmp_path, group_column="Клиент")))


# --- hidden and filtered ---


def _hide(sheet: Any) -> None:
    sheet.row_dimensions[3].hidden = True
    sheet.column_dimensions["C"].hidden = True


def _filter(sheet: Any) -> None:
    sheet.auto_filter.ref = "A1:C4"
    sheet.auto_filter.add_filter_column(1, ["Ромашка"])
    _hide(sheet)


HIDDEN: Rows = [["ID", "Клиент", "Маржа"], [1, "Ромашка", 3], [2, "Ёлка", 4], [3, "Берёза", 5]]


def test_hidden_rows_and_columns_are_read_and_told(tmp_path: Path) -> None:
    drop(tmp_path, "deals.xlsx", workbook(HIDDEN, _hide))
    files = source(tmp_path)
    assert by_id(files)["2"] == {"ID": "2", "Клиент": "Ёлка", "Маржа": "4"}
    assert "1 rows hidden in Excel (3) are read too" in told(files)
    assert 'hidden columns "Маржа" are read too' in told(files)
    drop(tmp_path, "deals.xlsx", workbook(HIDDEN, _filter))
    assert list(by_id(files)) == ["1", "2", "3"]
    assert "1 rows hidden in Excel or filtered out (3) are read too" in told(files)


def test_hidden_rows_and_columns_are_left_out_where_the_option_says_so(tmp_path: Path) -> None:
    drop(tmp_path, "deals.xlsx", workbook(HIDDEN, _filter))
    files = source(tmp_path, hidden_rows="leave_out", hidden_columns="leave_out")
    assert by_id(files) == {"1": {"ID": "1", "Клиент": "Ромашка"}, "3": {"ID": "3", "Клиент": "Берёза"}}
    assert [list(page) for page in files.keys("deal")] == [["1", "3"]]
    assert "(3) are left out" in told(files)
    assert 'hidden columns "Маржа" are left out' in told(files)
    refused = source(tmp_path, hidden_columns="leave_out", columns=["Маржа"])
    assert 'columns "Маржа" are hidden, and hidden columns are left out' in str(failure(refused))


# --- cells ---


def test_blanks_of_every_kind_and_apostrophes_before_numbers_do_not_count(tmp_path: Path) -> None:
    rows: Rows = [
        ["ID", "Ставка", "Сумма", "Имя"],
        ["Ф\u00a01", "Без\u00a0НДС", "'1\u2009234,50", "'s-Hertogenbosch"],
        ["'007", "\u200b20%", "1\u202f000", "'=1+1"],
    ]
    for name, content in (("deals.xlsx", workbook(rows)), ("deals.csv", csv_text(rows).encode())):
        drop(tmp_path, name, content)
        assert by_id(source(tmp_path)) == {
            "Ф 1": {"ID": "Ф 1", "Ставка": "Без НДС", "Сумма": "1 234,50", "Имя": "'s-Hertogenbosch"},
            "007": {"ID": "007", "Ставка": "20%", "Сумма": "1 000", "Имя": "=1+1"},
        }
        (tmp_path / name).unlink()


def test_a_code_that_became_a_number_is_mended_where_no_digit_is_lost(tmp_path: Path) -> None:
    rows: Rows = [["ID", "ИНН", "Сумма"], ["1001.0", "7701234567.0", "1500,0"], [2, "7,707083893E+09", 1]]
    drop(tmp_path, "deals.csv", csv_text(rows))
    assert by_id(source(tmp_path)) == {
        "1001": {"ID": "1001", "ИНН": "7701234567", "Сумма": "1500,0"},
        "2": {"ID": "2", "ИНН": "7707083893", "Сумма": "1"},
    }
    named = source(tmp_path, codes=["Сумма"])
    assert by_id(named)["1001"] == {"ID": "1001", "ИНН": "7701234567.0", "Сумма": "1500"}


def test_a_number_whose_digits_are_lost_sets_its_row_apart_by_cell(tmp_path: Path) -> None:
    rows: Rows = [
        ["ID", "Клиент", "ИНН"],
        [1, "А", "7,70123E+09"],
        [2, "Б", "7707083893"],
        [3, "В", "1.2E+11"],
    ]
    drop(tmp_path, "deals.csv", csv_text(rows))
    files = source(tmp_path)
    assert list(by_id(files)) == ["2"]
    first, second = reasons(files)
    assert 'deals.csv, line 2: column "ИНН" holds "7,70123E+09": only 6 of its 10 digits are left' in first
    assert "export again" in first
    assert "only 2 of its 12 digits" in second
    assert [list(page) for page in files.keys("deal")] == [["1", "2", "3"]], "what is stored of them stays"
    assert "held: 2 rows with cells that cannot be trusted" in told(files)
    (tmp_path / "deals.csv").unlink()
    drop(tmp_path, "deals.xlsx", workbook(rows))
    assert 'row 2: cell C2 ("ИНН") holds "7,70123E+09"' in reasons(source(tmp_path))[0]


def test_a_lost_key_stops_the_sweep_since_nobody_knows_whose_row_it_is(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", csv_text([["ID", "Сумма"], ["1,23E+11", 5], ["#Н/Д", 6], [2, 7]]))
    files = source(tmp_path)
    assert list(by_id(files)) == ["2"]
    with pytest.raises(
        SourceError, match="lines 2, 3 cannot be read, so it is unknown which deal was deleted"
    ):
        list(files.keys("deal"))


@pytest.mark.parametrize("error", ["#N/A", "#REF!", "#Н/Д", "#ССЫЛКА!", "#ДЕЛ/0!", "########", "Err:502"])
def test_a_failed_formula_sets_its_row_apart_by_cell(tmp_path: Path, error: str) -> None:
    rows: Rows = [["ID", "Клиент", "Сумма"], [1, "А", error], [2, error, 5], [3, "В", 7], [4, "Цех #2", 8]]
    drop(tmp_path, "deals.csv", csv_text(rows))
    files = source(tmp_path)
    assert list(by_id(files)) == ["3", "4"]
    assert f'line 2: column "Сумма" holds {error}' in reasons(files)[0]
    (tmp_path / "deals.csv").unlink()
    drop(tmp_path, "deals.xlsx", workbook(rows))
    assert [
        f"cell {cell}" in reason for cell, reason in zip(("C2", "B3"), reasons(source(tmp_path)), strict=True)
    ] == [
        True,
        True,
    ]
    allowed = source(tmp_path, errors_empty=["Клиент"])
    assert by_id(allowed)["2"] == {"ID": "2", "Клиент": None, "Сумма": "5"}
    assert len(reasons(allowed)) == 1


def test_a_failed_formula_beside_the_table_concerns_nobody(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", csv_text([["ID", None, "Сумма"], [1, "#REF!", 5]]))
    assert by_id(source(tmp_path)) == {"1": {"ID": "1", "Сумма": "5"}}


def test_an_error_that_a_workbook_stores_as_one_is_told_too(tmp_path: Path) -> None:
    def broken(sheet: Any) -> None:
        sheet["B2"].value, sheet["B2"].data_type = "#REF!", "e"

    drop(tmp_path, "deals.xlsx", workbook([["ID", "Сумма"], [1, 0]], broken))
    assert 'cell B2 ("Сумма") holds #REF!, a formula that failed' in reasons(source(tmp_path))[0]


# --- dates ---

DATES = [
    (sheet_time(2026, 3, 5), "2026-03-05"), ("05.03.2026", "2026-03-05"), ("2026-03-05", "2026-03-05"),
    ("5 мар 2026", "2026-03-05"), ("5 марта 2026 г.", "2026-03-05"), ("05.03.26", "2026-03-05"),
    ("13/03/2026", "2026-03-13"), ("5.3.2026 9:15:00", "2026-03-05T09:15:00"), ("5-Mar-26", "2026-03-05"),
    (sheet_time(2026, 3, 5, 9, 15), "2026-03-05T09:15:00"), ("  .  .    ", None), ("01.01.0001 0:00:00", None),
    ("—", None),
]  # fmt: skip


def test_dates_written_in_many_ways_in_one_column_are_one(tmp_path: Path) -> None:
    rows: Rows = [["ID", "Дата"], *([n, given] for n, (given, _) in enumerate(DATES))]
    drop(tmp_path, "deals.xlsx", workbook(rows))
    files = source(tmp_path, dates=["Дата"])
    assert [by_id(files)[str(n)]["Дата"] for n in range(len(DATES))] == [iso for _, iso in DATES]
    assert reasons(files) == []
    assert by_id(source(tmp_path))["5"]["Дата"] == "05.03.26", "as it stands where no option says what it is"


def test_a_date_that_reads_two_ways_is_told_and_not_guessed_unless_the_option_names_the_order(
    tmp_path: Path,
) -> None:
    drop(tmp_path, "deals.csv", csv_text([["ID", "Дата"], [1, "03/05/2026"], [2, "05/05/2026"]]))
    files = source(tmp_path, dates=["Дата"])
    assert list(by_id(files)) == ["2"]
    (reason,) = reasons(files)
    assert (
        'line 2: column "Дата" holds "03/05/2026", which is day 3 of month 5, or day 5 of month 3' in reason
    )
    assert by_id(source(tmp_path, dates=["Дата"], date_order="day_first"))["1"]["Дата"] == "2026-05-03"
    assert by_id(source(tmp_path, dates=["Дата"], date_order="month_first"))["1"]["Дата"] == "2026-03-05"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("46086", "lost its format"), ("31.02.2026", "does not exist"), ("вчера", "is no date"),
        ("05.03.1826", "is not between 1900 and 2199"), ("31.12.1899", "no date of business"),
        ("5.3.2026 25:00", "does not exist"), ("13/13/2026", "does not exist"),
        ("5 foo 2026", "does not exist"), ("03-05-2026", "day 3 of month 5"),
    ],
)  # fmt: skip
def test_what_is_no_date_is_told(text: str, says: str) -> None:
    with pytest.raises(UnclearDate, match=says):
        iso_date(text)


# --- one bad row ---


def test_a_row_set_apart_holds_its_own_deal_and_nothing_else(tmp_path: Path) -> None:
    rows: Rows = [["ID", "Товар", "Сумма"], [1, "Стол", 10], [1, "Стул", "#Н/Д"], [2, "Стол", 10]]
    drop(tmp_path, "deals.csv", csv_text(rows))
    files = source(tmp_path, key=["ID", "Товар"], parent="ID", mode="append")
    pages = list(files.read(["deal"], None, files.clock()))
    assert [parent for page in pages for parent in page.complete_parents] == ["2"]
    assert [reject.parent_id for page in pages for reject in page.rejects] == ["1"]
    assert [record.source_id for page in pages for record in page.records] == ["1|Стол", "2|Стол"]


def test_what_was_set_apart_keeps_what_the_row_said(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", csv_text([["ID", "Дата", "ИНН"], [1, "03/05/2026", "7,7E+09"]]))
    reject: Reject = read(source(tmp_path, dates=["Дата"]))[1][0]
    assert json.loads(reject.payload) == {
        "ID": "1", "Дата": "03/05/2026", "ИНН": "7,7E+09", "_file": "deals.csv", "_row": 2,
    }  # fmt: skip
    assert "Дата" in reject.reason
    assert "ИНН" in reject.reason


def test_a_cell_merged_to_the_end_of_the_sheet_is_read(tmp_path: Path) -> None:
    raw = workbook([["ID", "Примечание"], [1, "для всех"], [2, None]], merging("B2:B3"))
    drop(tmp_path, "deals.xlsx", edited(raw, 'ref="B2:B3"', 'ref="B2:B1048576"'))
    records, _ = read(source(tmp_path, merged_down=["Примечание"]))
    assert [values(record)["Примечание"] for record in records] == ["для всех", "для всех"]
