"""Exports as CSV: encodings, separators, quotes, and memory that stays flat."""

from __future__ import annotations

import csv
import io
import json
import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.crm.files import csv as file_csv
from resources.crm.files import spreadsheet
from resources.crm.files.layout import Layout
from resources.crm.files.spreadsheet import open_table
from tests.files.dropped import (
    LATER,
    MORNING,
    TEXT,
    by_id,
    drop,
    read,
    source,
)


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
