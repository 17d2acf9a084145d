"""Exports dropped into a folder: what Excel and people do to them, and what must not change anything."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.connector import Record, Reject, Source, SourceError
from resources.crm import file_csv, spreadsheet
from resources.crm.files import Files, connect
from resources.crm.spreadsheet import Layout, open_table
from resources.crm.workbook import shown

SHARED_DATA = Path(
    os.environ.get("SVERKA_SHARED_DATA", Path(__file__).resolve().parents[1] / "../shared/data")
)
MORNING = datetime(2026, 2, 10, 8, 0, tzinfo=UTC)
LATER = MORNING + timedelta(days=1)
TEXT = "ID;Название;Сумма\r\n1;ООО «Ёлка»;100,50\r\n2;Ромашка;\r\n"


def source(folder: Path, *, known: int | None = None, entity: str = "deal", **options: Any) -> Files:
    table = {"pattern": "deals*", "key": ["ID"], **options}
    files = connect("exports", {"folder": str(folder), "tables": {entity: table}})
    files.clock = lambda: LATER
    if known is not None:
        files.known_count = lambda entity: known
    return files


def drop(folder: Path, name: str, content: bytes | str, at: datetime = MORNING) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path


def workbook(rows: Iterable[Sequence[Any]], change: Callable[[Any], None] | None = None) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    if change:
        change(sheet)
    saved = io.BytesIO()
    book.save(saved)
    return saved.getvalue()


def sheet_time(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 a sheet knows no zone


def read(
    files: Files, entity: str = "deal", since: datetime | None = None
) -> tuple[list[Record], list[Reject]]:
    records: list[Record] = []
    rejects: list[Reject] = []
    for page in files.read([entity], since, LATER):
        assert page.entity == entity
        assert len(page.records) + len(page.rejects) <= 1_000
        records += page.records
        rejects += page.rejects
    return records, rejects


def values(record: Record) -> dict[str, Any]:
    return {k: v for k, v in json.loads(record.payload).items() if k not in ("_file", "_row")}


def by_id(files: Files) -> dict[str, dict[str, Any]]:
    return {record.source_id: values(record) for record in read(files)[0]}


def failure(files: Files) -> SourceError:
    with pytest.raises(SourceError) as raised:
        read(files)
    assert "deals" in str(raised.value)
    assert "; " in str(raised.value), "a remedy follows the cause"
    return raised.value


# --- encodings and separators ---


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("cp1251"),
        TEXT.replace(";", "\t").encode("utf-16"),
        TEXT.replace(";", "\t").encode("utf-8"),
        ("sep=;\r\n" + TEXT).encode("cp1251"),
        TEXT.replace("100,50", '"100,50"').replace(";", ",").encode(),
        TEXT.replace("\r\n", "\n").encode(),
        TEXT.replace("\r\n", "\r").encode(),
        (TEXT + "\r\n;;\r\n;;;;\r\n").encode("cp1251"),
        TEXT.replace("Сумма", "Сумма;;").encode(),
    ],
    ids=[
        "utf-8",
        "bom",
        "cp1251",
        "utf-16",
        "tab",
        "sep",
        "comma",
        "lf",
        "cr",
        "blank rows",
        "blank columns",
    ],
)
def test_every_way_excel_writes_a_csv_gives_the_same_records(tmp_path: Path, content: bytes) -> None:
    drop(tmp_path, "deals.csv", content)
    assert by_id(source(tmp_path)) == {
        "1": {"ID": "1", "Название": "ООО «Ёлка»", "Сумма": "100,50"},
        "2": {"ID": "2", "Название": "Ромашка", "Сумма": None},
    }


cells = st.text(st.characters(codec="cp1251", exclude_characters="\0"), max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(cells, cells), max_size=6),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1251"]),
    st.sampled_from(";,\t"),
)
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], encoding: str, separator: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerow(["ID", "а", "б"])
    writer.writerows([number, *row] for number, row in enumerate(rows))
    path = drop(folder, "deals.csv", text.getvalue().encode(encoding))
    # cp1251 is told from UTF-8 by its bytes; a few letters may be both, so here it is named.
    layout = Layout(("ID",), encoding="cp1251" if encoding == "cp1251" else None)
    with open_table(path, layout) as table:
        found = [list(row.cells) for row in table.rows()]
    assert found == [[str(n), *(_read_back(cell) for cell in row)] for n, row in enumerate(rows)]


def _read_back(cell: str) -> str | None:
    return (cell[2:-1] if re.fullmatch(r'="[^"]*"', cell, re.DOTALL) else cell) or None


def test_quoted_line_breaks_stay_in_their_cell_and_lines_are_counted_as_in_the_file(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", 'ID;Название\r\n1;"два\r\nряда"\r\n2;"он сказал ""да"""\r\n')
    records, _ = read(source(tmp_path))
    assert [json.loads(record.payload) for record in records] == [
        {"ID": "1", "Название": "два\r\nряда", "_file": "deals.csv", "_row": 2},
        {"ID": "2", "Название": 'он сказал "да"', "_file": "deals.csv", "_row": 4},
    ]
    assert records[0].modified_at == MORNING


def test_leading_zeros_kept_by_a_formula_are_text(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", 'ID;ИНН\r\n1;"=""0274051582"""\r\n')
    assert by_id(source(tmp_path))["1"]["ИНН"] == "0274051582"


def test_the_header_is_the_first_row_with_the_key_and_totals_are_no_records(tmp_path: Path) -> None:
    drop(
        tmp_path, "deals.csv",
        "Отчёт по сделкам;;\r\n;;\r\nза февраль;;\r\nID;Название;Сумма\r\n1;А;10\r\n;Итого по А:;10\r\n"
        "Total Energies;Total SA;7\r\nИтого;;17\r\n",
    )  # fmt: skip
    files = source(tmp_path)
    assert list(by_id(files)) == ["1", "Total Energies"]
    assert "header in line 4" in files.check()[1].message
    assert "2 rows of totals" in files.check()[1].message
    records, rejects = read(source(tmp_path, skip_totals=False))
    assert len(records) + len(rejects) == 4


# --- XLSX ---


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
    drop(tmp_path, "deals.xlsx", _edit(raw, r"<f>1\+1</f><v\s*/>|<f>1\+1</f><v></v>", "<f>1+1</f><v>2</v>"))
    assert by_id(source(tmp_path))["1"]["Сумма"] == "2"


def _edit(raw: bytes, pattern: str, text: str) -> bytes:
    edited = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(edited, "w") as new:
        for name in old.namelist():
            content = old.read(name).decode()
            if name == "xl/worksheets/sheet1.xml":
                content, count = re.subn(pattern, text, content)
                assert count == 1
            new.writestr(name, content)
    return edited.getvalue()


def test_a_wrong_dimension_in_the_file_hides_no_column(tmp_path: Path) -> None:
    raw = _edit(workbook([["ID", "Сумма"], [1, 5]]), r'<dimension ref="A1:B2"\s*/>', '<dimension ref="A1"/>')
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


# --- what cannot be trusted ---

WHOLE = workbook([["ID", "Сумма"], *([n, "x" * 50] for n in range(200))])


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("deals.csv", TEXT.encode()[:-2] + b'\r\n3;"cut', "line 4: a quote is never closed"),
        ("deals.csv", (TEXT + "3;Нез").encode(), "last line 4 has 2 of 3 values and no end of line"),
        ("deals.csv", TEXT.encode().replace("ш".encode(), b"\xd1"), "UTF-8 with damaged"),
        ("deals.csv", (TEXT + "3;а;Ж").encode()[:-1], "ends within a letter"),
        ("deals.csv", TEXT.encode("utf-16")[:-1], "is cut"),
        ("deals.csv", TEXT.encode() + b"\0" * 512, "zero bytes"),
        ("deals.csv", b"", "empty (0 bytes)"),
        ("deals.xlsx", WHOLE[: len(WHOLE) // 2], "damaged or half-written XLSX"),
        ("deals.xlsx", WHOLE[:600] + b"\xff" * 600 + WHOLE[1200:], "damaged or half-written XLSX"),
        ("deals.xlsx", b"\0\0\0\0" + WHOLE[4:], "no XLSX"),
        ("deals.xls", b"\xd0\xcf\x11\xe0" + b"x" * 99, "old .xls workbook"),
        ("deals.xls", b"<html><table><tr><td>ID</td></tr></table>", "web page"),
    ],
)  # fmt: skip
def test_a_cut_or_damaged_file_gives_no_record(tmp_path: Path, name: str, content: bytes, cause: str) -> None:
    drop(tmp_path, name, content)
    files = source(tmp_path)
    pages = files.read(["deal"], None, LATER)
    with pytest.raises(SourceError, match=re.escape(f"exports: {name}: ")) as raised:
        next(pages)
    assert cause in str(raised.value)
    with pytest.raises(SourceError):
        list(files.keys("deal"))
    finding = files.check()[1]
    assert not finding.ok
    assert finding.remedy


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 10_000))
def test_an_xlsx_cut_anywhere_gives_no_record(tmp_path_factory: pytest.TempPathFactory, place: int) -> None:
    folder = tmp_path_factory.mktemp("cut")
    drop(folder, "deals.xlsx", WHOLE[: place % len(WHOLE)])
    failure(source(folder))


def test_a_file_is_left_alone_until_it_has_rested(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", TEXT, at=LATER - timedelta(seconds=3))
    files = source(tmp_path)
    error = failure(files)
    assert error.retriable
    assert "was changed 3 s ago and may still be growing" in str(error)
    assert list(files.changes(MORNING)) == []
    files.clock = lambda: LATER + timedelta(seconds=3)
    assert len(read(files)[0]) == 2
    drop(tmp_path, "deals.csv", TEXT, at=LATER + timedelta(hours=3))
    assert "lies ahead" in str(failure(files))


def test_a_file_open_in_excel_waits_and_its_lock_is_no_data(tmp_path: Path) -> None:
    drop(tmp_path, "deals.xlsx", WHOLE)
    drop(tmp_path, "~$deals.xlsx", b"owner")
    error = failure(source(tmp_path, pattern="*.xlsx"))
    assert error.retriable
    assert "open in Excel or LibreOffice (there is ~$deals.xlsx)" in str(error)
    (tmp_path / "~$deals.xlsx").rename(tmp_path / "~$other.xlsx")
    assert len(read(source(tmp_path, pattern="*.xlsx"))[0]) == 200


def test_a_file_with_other_columns_names_the_missing_and_the_found(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", TEXT)
    message = str(failure(source(tmp_path, columns=["Сумма", "Стадия"])))
    assert 'lacks the column "Стадия", found are "ID", "Название", "Сумма"' in message
    message = str(failure(source(tmp_path, key=["Номер"])))
    assert 'lacks the column "Номер", found are "ID", "Название", "Сумма"' in message
    drop(tmp_path, "deals.csv", TEXT.replace("«", "").replace("»", "").encode("cp866"))
    assert "read as cp1251" in str(failure(source(tmp_path, key=["Название"])))
    assert len(read(source(tmp_path, key=["Название"], encoding="cp866"))[0]) == 2
    drop(tmp_path, "deals.csv", "ID;ID;Сумма\r\n1;2;3\r\n")
    assert 'two columns "ID"' in str(failure(source(tmp_path)))


def test_a_snapshot_much_shorter_than_what_is_known_is_refused_unless_allowed(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", TEXT)
    assert "it has 2 of deal, 5 are known, so it looks partial" in str(failure(source(tmp_path, known=5)))
    with pytest.raises(SourceError, match="looks partial"):
        list(source(tmp_path, known=5).keys("deal"))
    assert len(read(source(tmp_path, known=4))[0]) == 2
    assert len(read(source(tmp_path, known=5, allow_shrink=True))[0]) == 2
    assert len(read(source(tmp_path, known=5, min_share=0.2))[0]) == 2
    assert len(read(source(tmp_path, known=500, mode="append"))[0]) == 2
    drop(tmp_path, "deals.csv", "ID;Название;Сумма\r\n")
    assert "it has 0 of deal" in str(failure(source(tmp_path, known=1)))


# --- rows ---


def test_rows_with_one_id_are_one_record_if_equal_and_none_if_not(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", "ID;Сумма\r\n1;10\r\n2;20\r\n1;10\r\n2;21\r\n3;30\r\n2;20\r\n")
    files = source(tmp_path)
    records, rejects = read(files)
    assert [record.source_id for record in records] == ["1", "3"]
    assert [reject.place for reject in rejects] == [f"deals.csv, line {n}" for n in (3, 5, 7)]
    assert {reject.reason for reject in rejects} == {
        "deals.csv: deal 2 differs between lines 3, 5, 7; keep one of the rows"
    }
    assert json.loads(rejects[1].payload)["Сумма"] == "21"
    # What is stored of deal 2 must survive the sweep.
    assert [list(page) for page in files.keys("deal")] == [["1", "2", "3"]]
    assert not files.check()[1].ok


def test_a_row_without_its_key_is_held_and_nothing_else(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", "ID;Год;Сумма\r\n1;2026;10\r\n;2026;20\r\n#Н/Д;2026;5\r\n3|;|2026;30\r\n")
    records, rejects = read(source(tmp_path, key=["ID", "Год"]))
    assert [record.source_id for record in records] == ["1|2026", r"3\||\|2026"]
    assert [reject.place for reject in rejects] == ["deals.csv, line 3", "deals.csv, line 4"]
    assert 'deal without its key "ID", "Год"' in rejects[0].reason


def test_a_row_that_cannot_be_read_is_held_with_its_text_and_stops_the_sweep(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", 'ID;Название;Сумма\r\n1;"Ромашка" ООО;10\r\n2;Рога; копыта;20\r\n3;В;30\r\n')
    files = source(tmp_path)
    records, rejects = read(files)
    assert [record.source_id for record in records] == ["3"]
    assert [reject.place for reject in rejects] == ["deals.csv, line 2", "deals.csv, line 3"]
    assert '1;"Ромашка" ООО;10' in json.loads(rejects[0].payload)["_raw"]
    assert "has 4 values under 3 column names" in rejects[1].reason
    assert "копыта" in json.loads(rejects[1].payload)["_raw"]
    with pytest.raises(
        SourceError, match="lines 2, 3 cannot be read, so it is unknown which deal was deleted"
    ):
        list(files.keys("deal"))


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "1", "2", "3", "Итого"]), st.sampled_from(["", "5", "6"])), max_size=12
    )
)
@settings(max_examples=80, deadline=None)
def test_every_row_is_a_record_a_reject_a_repetition_or_a_total(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("law")
    drop(folder, "deals.csv", "ID;Сумма\r\n" + "".join(f"{a};{b}\r\n" for a, b in rows))
    files = source(folder, control_totals=[])
    records, rejects = read(files)
    filled = [row for row in rows if any(row)]
    totals = [row for row in filled if row[0] == "Итого" and row[1]]
    keyed = [row for row in filled if row[0] and row not in totals]
    contested = {a for a, _ in keyed if len({row for row in keyed if row[0] == a}) > 1}
    assert sorted(r.source_id for r in records) == sorted({a for a, _ in keyed} - contested)
    assert len(rejects) == sum(not a for a, _ in filled) + sum(a in contested for a, _ in keyed)
    assert sorted(key for page in files.keys("deal") for key in page) == sorted({a for a, _ in keyed})


# --- files ---


def test_the_newest_snapshot_is_the_whole_truth(tmp_path: Path) -> None:
    drop(tmp_path, "deals_2.csv", "ID;Сумма\r\n1;10\r\n2;20\r\n", at=MORNING)
    drop(tmp_path, "deals_1.csv", "ID;Сумма\r\n2;25\r\n", at=MORNING + timedelta(hours=1))
    files = source(tmp_path)
    assert by_id(files) == {"2": {"ID": "2", "Сумма": "25"}}
    assert list(files.keys("deal")) == [["2"]]
    assert files.capabilities.entities[0].deletions == "sweep"
    assert isinstance(files, Source)


def test_a_broken_newest_snapshot_does_not_fall_back_to_an_older_one(tmp_path: Path) -> None:
    drop(tmp_path, "deals_1.csv", TEXT, at=MORNING)
    drop(tmp_path, "deals_2.csv", 'ID;Сумма\r\n1;"', at=MORNING + timedelta(hours=1))
    assert "deals_2.csv" in str(failure(source(tmp_path)))


def test_appended_files_come_oldest_first_and_are_never_swept(tmp_path: Path) -> None:
    drop(tmp_path, "deals_b.csv", "ID;Сумма\r\n1;10\r\n2;20\r\n", at=MORNING)
    drop(tmp_path, "deals_a.csv", "ID;Сумма\r\n2;25\r\n", at=MORNING + timedelta(hours=1))
    drop(tmp_path, "deals_c.csv", "ID;Сумма\r\n1;10\r\n2;20\r\n", at=MORNING + timedelta(hours=2))
    files = source(tmp_path, mode="append")
    records, _ = read(files)
    assert [(r.source_id, values(r)["Сумма"]) for r in records] == [("1", "10"), ("2", "20"), ("2", "25")]
    assert files.capabilities.entities[0].deletions == "tombstones"
    with pytest.raises(SourceError, match="appended"):
        list(files.keys("deal"))


def test_a_broken_file_holds_back_itself_only(tmp_path: Path) -> None:
    drop(tmp_path, "deals_a.csv", b"", at=MORNING)
    drop(tmp_path, "deals_b.csv", TEXT, at=MORNING + timedelta(hours=1))
    files = source(tmp_path, mode="append")
    pages = files.read(["deal"], None, LATER)
    assert len(next(pages).records) == 2
    with pytest.raises(SourceError, match=r"deals_a\.csv: it is empty"):
        next(pages)


def test_a_file_dropped_again_is_no_news(tmp_path: Path) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    drop(tmp_path, "deals.csv", TEXT)
    files = source(tmp_path)
    (change,) = files.changes(long_ago)
    assert (change.source_id, change.modified_at) == ("deals.csv", MORNING)
    assert change.version
    loaded = [change]
    files.known_contents = lambda entity: loaded
    drop(tmp_path, "deals (1).csv", TEXT, at=MORNING + timedelta(hours=1))
    assert list(files.changes(long_ago)) == []
    assert read(files, since=long_ago) == ([], [])
    assert len(read(files)[0]) == 2, "a full read leaves nothing out"
    drop(tmp_path, "deals (1).csv", TEXT + "3;В;1\r\n", at=MORNING + timedelta(hours=2))
    (change,) = files.changes(long_ago)
    assert change.source_id == "deals (1).csv"
    assert len(read(files, since=long_ago)[0]) == 3


def test_a_file_copied_with_the_time_of_its_original_counts_from_when_it_came(tmp_path: Path) -> None:
    drop(tmp_path, "deals.csv", TEXT, at=datetime(2019, 1, 1, tzinfo=UTC))
    now = datetime.now(UTC)
    assert len(read(source(tmp_path), since=now - timedelta(minutes=10))[0]) == 2
    assert read(source(tmp_path), since=now + timedelta(minutes=10)) == ([], [])


def test_a_missing_folder_or_file_says_where_to_put_it(tmp_path: Path) -> None:
    files = source(tmp_path / "nowhere")
    assert not files.check()[0].ok
    with pytest.raises(SourceError, match="does not exist"):
        read(files)
    assert "no file of deal" in str(failure(source(tmp_path)))
    assert not source(tmp_path).check()[1].ok
    assert list(source(tmp_path).changes(MORNING)) == []


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"patern": "*.csv"}, "patern"),
        ({"mode": "replace"}, "mode"),
        ({"pattern": "../*.csv"}, "leaves the folder"),
        ({"key": []}, "key"),
        ({"min_share": 50}, "min_share"),
        ({"allow_shrink": "maybe"}, "allow_shrink"),
        ({"parent_columns": ["Клиент"]}, "no `parent`"),
        ({"parent": "ID", "parent_columns": ["Клиент"], "parent_changes": ["Стадия"]}, "Стадия"),
    ],
)
def test_a_wrong_connection_names_the_option(tmp_path: Path, change: dict[str, Any], names: str) -> None:
    with pytest.raises(SourceError, match=re.escape(names)):
        source(tmp_path, **change)


def test_a_connection_may_say_how_often_its_sensor_looks_and_answer_from_the_environment(
    tmp_path: Path,
) -> None:
    table = {
        "pattern": "*.csv",
        "key": "ID",
        "allow_shrink": "false",
        "allow_restore": "",
        "skip_totals": "True",
    }
    found = connect("exports", {"folder": str(tmp_path), "tables": {"deal": table}, "every_seconds": 60})
    assert not found.tables["deal"].allow_shrink
    assert not found.tables["deal"].allow_restore
    assert found.tables["deal"].skip_totals
    with pytest.raises(SourceError, match="every_minutes"):
        connect("exports", {"folder": str(tmp_path), "tables": {"deal": table}, "every_minutes": 1})


def test_memory_stays_flat_however_long_the_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet, "SPOOL_MEMORY_BYTES", 1 << 16)
    monkeypatch.setattr(spreadsheet, "COPY_BYTES", 1 << 16)
    monkeypatch.setattr(file_csv, "COPY_BYTES", 1 << 16)

    def peak(rows: int) -> int:
        lines = (f"{n};ООО Ромашка {n};{n},50;текст текст текст\r\n" for n in range(rows))
        drop(tmp_path, "deals.csv", "ID;Название;Сумма;Текст\r\n" + "".join(lines))
        files = source(tmp_path)
        tracemalloc.start()
        try:
            assert sum(len(page.records) for page in files.read(["deal"], None, LATER)) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    small, large = peak(2_000), peak(8_000)
    assert large - small < 6_000 * 16, "8 bytes an id, and what the arrays hold in reserve"


# --- real exports ---


@pytest.mark.shared_data
def test_a_real_crm_export_is_read_whole() -> None:
    folder = SHARED_DATA / "crm_sales_opportunities"
    if not folder.is_dir():
        pytest.skip(f"needs {folder} (public data; SVERKA_SHARED_DATA names its folder)")
    tables = {
        "deal": {"pattern": "sales_pipeline*.csv", "key": "opportunity_id", "columns": ["close_value"]},
        "client": {"pattern": "accounts.csv", "key": "account"},
        "product": {"pattern": "products.csv", "key": "product"},
        "employee": {"pattern": "sales_teams.csv", "key": "sales_agent"},
    }
    files = connect("maven", {"folder": str(folder), "tables": tables, "settle_seconds": 0})
    found: dict[str, list[Record]] = {entity: [] for entity in tables}
    for page in files.read(list(tables), None, datetime.now(UTC)):
        assert not page.rejects
        found[page.entity] += page.records
    assert {entity: len(records) for entity, records in found.items()} == {
        "deal": 8_800, "client": 85, "product": 7, "employee": 35,
    }  # fmt: skip
    deals = [values(record) for record in found["deal"]]
    assert sum(int(deal["close_value"]) for deal in deals if deal["deal_stage"] == "Won") == 10_005_534
    assert sum(deal["account"] is None for deal in deals) == 1_425
    assert all(finding.ok for finding in files.check())
