"""A vendor's CSV as rows, and as JSON objects."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

import msgspec
import pytest

from resources.crm import csv_rows


def found(text: str) -> list[list[str]]:
    return list(csv_rows.rows(io.BytesIO(text.encode())))


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_values_come_as_they_were_written(quoting: int, ending: str) -> None:
    table = [["Id", "Имя"], ["1", 'a "b",\nя'], ["2", "one\r\ntwo"], ["3", "\u2028\x85\x0b"], ["4", ""]]
    written = io.StringIO(newline="")
    csv.writer(written, quoting=quoting, lineterminator=ending).writerows(table)  # type: ignore[arg-type]
    assert found(written.getvalue()) == table
    assert found(f"{written.getvalue()}{ending}") == table


@pytest.mark.parametrize("text", ['"a","b', '"a","b\n"c,d\n', '"a"b,c\n'])
def test_a_value_that_does_not_end_or_ends_midway_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="in line"):
        found(text)


def test_columns_become_what_their_forms_make_of_them() -> None:
    table = csv_rows.Table(["Id", "Имя"], [lambda column: [int(value) for value in column], csv_rows.texts])
    assert [json.loads(bytes(row)) for row in table.objects([["1", "a"], ["2", ""]])] == [
        {"Id": 1, "Имя": "a"},
        {"Id": 2, "Имя": None},
    ]
    assert table.objects([["1", "я"]]) == [msgspec.Raw('{"Id":1,"Имя":"я"}'.encode())]


@pytest.mark.parametrize("rows", [[["1"]], [["1", "a", "b"]], [["1", "a"], ["2"]]])
def test_a_row_of_another_length_is_told(rows: Sequence[Sequence[str]]) -> None:
    table = csv_rows.Table(["Id", "Name"], [csv_rows.texts, csv_rows.texts])
    with pytest.raises(ValueError, match="another number of cells than the heading"):
        table.objects(rows)
