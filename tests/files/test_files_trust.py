"""Files that must change nothing: cut, damaged, growing, of other columns, short; and rows set apart."""

from __future__ import annotations

import io
import json
import re
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.connector import SourceError
from tests.files.dropped import (
    LATER,
    MORNING,
    TEXT,
    WHOLE,
    drop,
    failure,
    read,
    source,
)


def zipped(*parts: str) -> bytes:
    """A ZIP of parts that hold next to nothing."""
    saved = io.BytesIO()
    with zipfile.ZipFile(saved, "w") as archive:
        for part in parts:
            archive.writestr(part, "<x/>")
    return saved.getvalue()


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
        ("deals.ods", zipped("mimetype", "content.xml", "styles.xml"), "it is an OpenDocument file (.ods)"),
        ("deals.xlsx", zipped("[Content_Types].xml", "xl/workbook.bin"), "it is a binary workbook (.xlsb)"),
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
    # Below two keys of digits the word alone is a total; above them it may be a name, unless nothing but a sum is beside.
    keyed: list[tuple[str, str]] = []
    for key, amount in filled:
        alone = len(keyed) >= 2 and all(known != "Итого" for known, _ in keyed)
        if key and not (key == "Итого" and (amount or alone)):
            keyed.append((key, amount))
    contested = {a for a, _ in keyed if len({row for row in keyed if row[0] == a}) > 1}
    assert sorted(r.source_id for r in records) == sorted({a for a, _ in keyed} - contested)
    assert len(rejects) == sum(not a for a, _ in filled) + sum(a in contested for a, _ in keyed)
    assert sorted(key for page in files.keys("deal") for key in page) == sorted({a for a, _ in keyed})
