"""Totals that a file brings: found, compared with the rows to the last kopeck, told with both sums."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.connector import SourceError
from resources.crm.files.connector import Files
from resources.crm.files.totals import number_of
from tests.files.dropped import by_id, drop, failure, read, source, workbook

Rows = Sequence[Sequence[Any]]
HEAD = ["ID", "Клиент", "Кол-во", "Сумма"]
BODY: Rows = [[1, "А", 2, "1 000,10"], [2, "Б", 3, "200,20"]]


def csv_text(rows: Rows) -> str:
    return "".join(";".join("" if v is None else str(v) for v in row) + "\r\n" for row in rows)


def dropped(folder: Path, *rows: Sequence[Any], name: str = "deals.csv", **options: Any) -> Files:
    drop(folder, name, csv_text([HEAD, *rows]))
    return source(folder, **options)


def told(files: Files) -> str:
    return files.check()[1].message


@pytest.mark.parametrize(
    "total",
    [
        ["Итого", "", "", "1 200,30"], ["Итого:", "", 5, "1\u00a0200,30"], ["", "ВСЕГО", "", "1200.30 руб."],
        ["Total", "", "", "1,200.30"], ["Итого", "", 2, "1200,3"],
    ],
    ids=["ru", "hard space", "second column", "en", "a count of rows"],
)  # fmt: skip
def test_a_total_that_agrees_with_its_rows_is_no_record(tmp_path: Path, total: Sequence[Any]) -> None:
    files = dropped(tmp_path, *BODY, total)
    assert list(by_id(files)) == ["1", "2"]
    assert read(files)[1] == []
    assert "1 rows of totals passed over" in told(files)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("beside", "sum_"),
    [
        (["", ""], "1 400,00 ₽"), (["", ""], "1400 руб."), (["", ""], "RUB 1 400,00"), (["", "5"], "€1,400.00"),
        (["2 шт.", ""], "1 400,00"), (["2 сделки", "-"], "1400,00 р."), (["х", "5"], "1400"),
    ],
)  # fmt: skip
def test_a_total_of_money_is_a_total_and_no_record(
    tmp_path: Path, beside: Sequence[str], sum_: str, named: bool
) -> None:
    options = {"control_totals": ["Сумма"]} if named else {}
    files = dropped(tmp_path, *BODY, ["Итого:", *beside, sum_], **options)
    assert 'line 4 ("Итого:") says 1 400.00 of "Сумма" while the rows add up to 1 200.30' in str(
        failure(files)
    )
    right = sum_.replace("400", "200").replace(",00", ",30").replace(".00", ".30")
    right = right if "30" in right else right.replace("200", "200,30")
    files = dropped(tmp_path, *BODY, ["Итого:", *beside, right], **options)
    assert (list(by_id(files)), read(files)[1]) == (["1", "2"], [])


def test_where_totals_are_to_agree_a_row_that_begins_like_one_is_no_record(tmp_path: Path) -> None:
    odd = ["Итого", "без скидок", "", "1 200,30"]
    named = [["Роза", *BODY[0][1:]], ["Тюльпан", *BODY[1][1:]]]
    assert "Итого" in by_id(dropped(tmp_path, *named, odd)), "it may be a name"
    assert list(by_id(dropped(tmp_path, *BODY, odd))) == ["1", "2"], "among numbers it is none"
    message = str(failure(dropped(tmp_path, *named, odd, control_totals=["Сумма"])))
    assert "line 4 begins with the word of a total, but has texts beside like a row of deal" in message
    assert "take `control_totals` of deal away" in message
    oil = ["Total Quartz", "масло", 1, 5]
    assert "Total Quartz" in by_id(dropped(tmp_path, *BODY, oil, control_totals=["Сумма"]))


def test_a_total_that_is_to_agree_and_is_no_number_refuses_the_file(tmp_path: Path) -> None:
    total = ["Итого", "", "", "тысяча двести"]
    message = str(failure(dropped(tmp_path, *BODY, ["", *total[:1], *total[2:]], control_totals=["Сумма"])))
    assert 'line 4 is a total whose column "Сумма" says "тысяча двести", which is no number' in message
    assert list(by_id(dropped(tmp_path, *BODY, ["", "Итого", "", "-"], control_totals=["Сумма"]))) == [
        "1",
        "2",
    ]


def test_a_total_that_disagrees_sets_the_file_apart_with_both_sums(tmp_path: Path) -> None:
    files = dropped(tmp_path, *BODY, ["Итого", "", "", "1 200,31"])
    message = str(failure(files))
    for words in (
        'deals.csv: line 4 ("Итого") says 1 200.31 of "Сумма" while the rows add up to 1 200.30 (lines 2 to 3)',
        "nothing of it was taken",
        "`control_totals` of deal ([] for none)",
    ):
        assert words in message
    with pytest.raises(SourceError, match="rows are missing"):
        list(files.keys("deal"))
    finding = files.check()[1]
    assert not finding.ok
    assert "1 200.31" in finding.message


def test_a_file_whose_rows_were_lost_is_set_apart_and_the_files_beside_it_are_read(tmp_path: Path) -> None:
    drop(tmp_path, "deals 1.csv", csv_text([HEAD, BODY[0], ["Итого", "", "", "1 200,30"]]))
    drop(tmp_path, "deals 2.csv", csv_text([HEAD, [3, "В", 1, 7], ["Итого", "", "", 7]]))
    files = source(tmp_path, mode="append")
    pages = files.read(["deal"], None, files.clock())
    assert [record.source_id for record in next(pages).records] == ["3"]
    with pytest.raises(SourceError, match=r"deals 1\.csv: line 3"):
        list(pages)


SECTIONS: Rows = [
    [1, "А", 1, 10], [2, "А", 1, 20], ["", "Итого по А", 2, 30],
    [3, "Б", 1, 5], ["", "Итого по Б", 1, 5],
    ["", "Итого по Москве", 3, 35],
    [4, "В", 1, 7], ["", "Итого по Твери", 1, 7],
    ["Всего", "", 4, 42],
]  # fmt: skip


def test_subtotals_add_up_what_stands_since_a_total_before_them(tmp_path: Path) -> None:
    files = dropped(tmp_path, *SECTIONS)
    assert list(by_id(files)) == ["1", "2", "3", "4"]
    assert "5 rows of totals passed over" in told(files)


@pytest.mark.parametrize("place", [2, 4, 5, 7, 8])
def test_each_wrong_subtotal_is_found(tmp_path: Path, place: int) -> None:
    rows = [list(row) for row in SECTIONS]
    rows[place][3] += 1
    message = str(failure(dropped(tmp_path, *rows)))
    assert f"line {place + 2} " in message
    assert f"says {rows[place][3]:.2f}" in message


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 10**7), min_size=1, max_size=4), min_size=1, max_size=4),
    st.integers(0, 10**6),
)
def test_a_row_lost_anywhere_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, sections: list[list[int]], chosen: int
) -> None:
    folder = tmp_path_factory.mktemp("lost")
    rows: list[list[Any]] = []
    number = 0
    for section in sections:
        for kopecks in section:
            number += 1
            rows.append([number, "К", "", Decimal(kopecks) / 100])
        rows.append(["", "Итого", "", Decimal(sum(section)) / 100])
    rows.append(["Всего", "", "", Decimal(sum(map(sum, sections))) / 100])
    assert len(by_id(dropped(folder, *rows, control_totals=["Сумма"]))) == number
    records = [n for n, row in enumerate(rows) if row[0] and row[0] != "Всего"]
    del rows[records[chosen % len(records)]]
    failure(dropped(folder, *rows, control_totals=["Сумма"]))


def test_a_total_above_the_rows_adds_up_all_of_them(tmp_path: Path) -> None:
    assert len(by_id(dropped(tmp_path, ["Итого", "", 5, "1 200,30"], *BODY))) == 2
    message = str(failure(dropped(tmp_path, ["Итого", "", "", "1 200,40"], *BODY)))
    assert "says 1 200.40" in message
    assert "add up to 1 200.30 (lines 3 to 4)" in message


def test_only_the_columns_named_are_compared(tmp_path: Path) -> None:
    rows = [*BODY, ["Итого", "", "2,5", "1 200,30"]]  # the mean of the quantities
    assert "Кол-во" in str(failure(dropped(tmp_path, *rows)))
    assert len(by_id(dropped(tmp_path, *rows, control_totals=["Сумма"]))) == 2
    wrong = [*BODY, ["Итого", "", "", 1]]
    assert len(by_id(dropped(tmp_path, *wrong, control_totals=[]))) == 2
    assert 'lacks the column "Всего"' in str(failure(dropped(tmp_path, *wrong, control_totals=["Всего"])))


def test_a_difference_may_be_allowed_where_lines_are_shown_rounded(tmp_path: Path) -> None:
    rows = [*BODY, ["Итого", "", "", "1 200,32"]]
    assert len(by_id(dropped(tmp_path, *rows, control_difference="0.02"))) == 2
    failure(dropped(tmp_path, *rows, control_difference="0.01"))


def test_totals_begin_with_further_words_where_the_option_names_them(tmp_path: Path) -> None:
    rows = [*BODY, ["Баланс", "", "", "1 200,30"]]
    assert [reject.place for reject in read(dropped(tmp_path, *rows))[1]] == ["deals.csv, line 4"]
    files = dropped(tmp_path, *rows, total_words=["Баланс"])
    assert list(by_id(files)) == ["1", "2"]
    company = [*BODY, ["Балансир", "ООО", 1, 7]]
    assert "Балансир" in by_id(dropped(tmp_path, *company, total_words=["Баланс"]))


@pytest.mark.parametrize("name", ["Total Energies RUS", "Всего Хорошего ООО"])
def test_a_client_with_a_tax_number_is_no_total_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    drop(
        tmp_path,
        "clients.csv",
        f"Клиент;ИНН;КПП\r\nРомашка;7707083893;773601001\r\n{name};7736050003;\r\nИтого;2;\r\n",
    )
    files = source(tmp_path, entity="client", pattern="clients.csv", key=["Клиент"])
    assert [record.source_id for record in read(files, "client")[0]] == ["Ромашка", name]


DEAL = ["Сделка", "Товар", "Ед.", "Кол-во", "Сумма"]
OF_DEALS: dict[str, Any] = {
    "key": ["Сделка", "Товар"],
    "parent": "Сделка",
    "merged_down": ["Сделка"],
    "mode": "append",
}


@pytest.mark.parametrize(
    ("unit", "name", "lines"),
    [
        ("л", "Total Quartz 9000", ["7|Масло", "7|Total Quartz 9000"]),
        ("л", "Total 5W30", ["7|Масло", "7|Total 5W30"]),
        ("", "Итого", ["7|Масло"]),
        ("шт", "Итого по сделке:", ["7|Масло"]),
        ("", "Всего 1 наименование", ["7|Масло"]),
    ],
)
def test_a_product_called_like_a_total_is_a_line_of_the_deal_above(
    tmp_path: Path, unit: str, name: str, lines: Sequence[str]
) -> None:
    drop(tmp_path, "deals.csv", csv_text([DEAL, [7, "Масло", "л", 2, 1000], ["", name, unit, 1, 1000]]))
    assert list(by_id(source(tmp_path, **OF_DEALS))) == lines


def test_a_row_that_may_be_a_line_or_a_total_is_set_apart_with_its_deal(tmp_path: Path) -> None:
    rows: Rows = [
        DEAL,
        [7, "Масло", "л", 2, 1000],
        ["", "Total Quartz 9000", "", 1, 1000],
        ["Итого", "", "", "", 2000],
    ]
    drop(tmp_path, "deals.csv", csv_text(rows))
    records, rejects = read(source(tmp_path, **OF_DEALS))
    assert [record.source_id for record in records] == ["7|Масло"]
    (reject,) = rejects
    assert reject.parent_id == "7"
    assert "deals.csv, line 3 may be a total or a row of deal" in reject.reason


def test_a_cell_without_a_number_is_named_where_the_sum_fails(tmp_path: Path) -> None:
    rows: Rows = [[1, "А", 1, 10], [2, "Б", 1, "1О,5"], [3, "В", 1, 5], ["Итого", "", "", "25,5"]]
    message = str(failure(dropped(tmp_path, *rows)))
    assert 'says 25.50 of "Сумма" while the rows add up to 15.00' in message
    assert 'no numbers stand in line 3, column "Сумма"' in message


def test_one_row_that_cannot_be_read_does_not_set_the_file_apart(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", csv_text([HEAD, *BODY]) + '3;"В" ООО;1;5\r\nИтого;;;1 205,30\r\n')
    files = source(tmp_path)
    records, rejects = read(files)
    assert [record.source_id for record in records] == ["1", "2"]
    assert [reject.place for reject in rejects] == ["deals.csv, line 4"]
    assert "1 totals over rows that cannot be read are not checked" in told(files)


def test_rows_set_apart_are_in_the_sum(tmp_path: Path) -> None:
    files = dropped(tmp_path, *BODY, [None, "В", 1, 5], ["Итого", "", 6, "1 205,30"])
    records, rejects = read(files)
    assert (len(records), len(rejects)) == (2, 1)


# --- what Excel itself leaves out ---


def hiding(*rows: int) -> Any:
    def change(sheet: Any) -> None:
        for row in rows:
            sheet.row_dimensions[row].hidden = True

    return change


def test_a_total_of_the_rows_that_a_filter_shows_proves_them_and_is_told(tmp_path: Path) -> None:
    rows: Rows = [HEAD, [1, "А", 2, 10], [2, "Б", 3, 20], [3, "В", 1, 5], ["Итого", None, 3, 15]]
    drop(tmp_path, "deals.xlsx", workbook(rows, hiding(3)))
    files = source(tmp_path)
    assert list(by_id(files)) == ["1", "2", "3"]
    assert "its totals leave out hidden rows" in told(files)
    assert list(by_id(source(tmp_path, hidden_rows="leave_out"))) == ["1", "3"]
    drop(tmp_path, "deals.xlsx", workbook(rows, hiding(4)))
    failure(source(tmp_path))


def test_a_total_that_leaves_out_numbers_kept_as_text_is_explained(tmp_path: Path) -> None:
    rows: Rows = [HEAD, [1, "А", 2, 10], [2, "Б", 3, "1\u00a0020,50"], ["Итого", None, 5, 10]]
    drop(tmp_path, "deals.xlsx", workbook(rows))
    files = source(tmp_path)
    assert by_id(files)["2"]["Сумма"] == "1 020,50"
    assert "its totals leave out numbers kept as text" in told(files)
    drop(tmp_path, "deals.csv", csv_text(rows))
    (tmp_path / "deals.xlsx").unlink()
    failure(source(tmp_path))


def test_the_noise_of_binary_sums_is_no_difference(tmp_path: Path) -> None:
    amounts = [0.1] * 30 + [1234567.89] * 40
    rows: Rows = [
        HEAD,
        *([n, "А", 1, a] for n, a in enumerate(amounts, 1)),
        ["Итого", None, 70, sum(amounts)],
    ]
    drop(tmp_path, "deals.xlsx", workbook(rows))
    assert len(by_id(source(tmp_path))) == 70


@pytest.mark.parametrize(
    ("last", "lines"),
    [
        ("Итого по сделке", ["7|Масло", "7|Фильтр", "8|Стол"]),
        ("Итого:", ["7|Масло", "7|Фильтр", "8|Стол"]),
        ("Total Quartz 9000", ["7|Масло", "7|Фильтр", "7|Total Quartz 9000", "8|Стол"]),
    ],
)
def test_a_subtotal_within_the_merged_cells_of_a_deal_is_no_line_of_it(
    tmp_path: Path, last: str, lines: Sequence[str]
) -> None:
    rows: Rows = [
        DEAL,
        [7, "Масло", "л", 2, 1000],
        [None, "Фильтр", "шт", 1, 100],
        [None, last, None, None, 1100],
        [8, "Стол", "шт", 1, 5],
    ]
    drop(tmp_path, "deals.xlsx", workbook(rows, lambda sheet: sheet.merge_cells("A2:A4")))
    assert list(by_id(source(tmp_path, **OF_DEALS))) == lines


def test_a_sum_merged_over_the_rows_of_a_deal_counts_once(tmp_path: Path) -> None:
    rows: Rows = [
        ["ID", "Товар", "Сумма сделки"], [1, "Стол", 30], [None, "Стул", None], [2, "Шкаф", 5], ["Итого", None, 35]
    ]  # fmt: skip
    drop(tmp_path, "deals.csv", csv_text(rows))
    files = source(tmp_path, key=["ID", "Товар"], parent="ID", merged_down=["ID", "Сумма сделки"])
    assert [v["Сумма сделки"] for v in by_id(files).values()] == ["30", "30", "5"]


# --- sums in headings of groups ---

GROUPS: Rows = [["Иванов", "", 2, 30], [1, "А", 1, 10], [2, "Б", 1, 20], ["Петров", "", 1, 5], [3, "В", 1, 5]]
GROUPED: dict[str, Any] = {"group_column": "Менеджер", "key": ["ID", "Клиент"]}


def test_a_group_s_sum_is_compared_with_the_rows_below_it(tmp_path: Path) -> None:
    assert len(by_id(dropped(tmp_path, *GROUPS, ["Итого", "", 3, 35], **GROUPED))) == 3
    wrong: Rows = [*GROUPS[:3], ["Петров", "", 1, 6], *GROUPS[4:]]
    message = str(failure(dropped(tmp_path, *wrong, **GROUPED)))
    assert 'line 5 ("Петров") says 6.00 of "Сумма" while the rows add up to 5.00 (lines 6 to 6)' in message
    failure(dropped(tmp_path, *GROUPS, ["Итого", "", 3, 36], **GROUPED))
    without = [["Иванов", "", "", ""], *GROUPS[1:3]]
    assert len(by_id(dropped(tmp_path, *without, **GROUPED))) == 2, "a heading may carry no sum"


@pytest.mark.parametrize(
    ("text", "point", "number"),
    [
        ("1 234,50", ",", "1234.50"), ("1\u00a0234,50".replace("\u00a0", " "), ",", "1234.50"),
        ("1,234.50", ",", "1234.50"), ("1.234,50", ".", "1234.50"), ("1,234", ",", "1.234"), ("1,234", ".", "1234"),
        ("1,234,567", ",", "1234567"), ("-5", ",", "-5"), ("(5,00)", ",", "-5.00"), ("\u22125", ",", "-5"),
        ("12 руб.", ",", "12"), ("5 ₽", ",", "5"), ("0.5", ",", "0.5"), ("22%", ",", None), ("05.03.2026", ",", None),
        ("шт", ",", None), ("", ",", None), (None, ",", None), ("-", ",", None), ("1О0", ",", None), ("12 34", ",", None),
        ("1.234.567", ",", "1234567"), (",5", ",", "0.5"), ("5-", ",", "-5"),
    ],
)  # fmt: skip
def test_numbers_are_read_as_sheets_show_them(text: str | None, point: str, number: str | None) -> None:
    assert number_of(text, point) == (Decimal(number) if number is not None else None)
