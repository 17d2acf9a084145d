"""Marts as files: exact money, true types, the day asked for, and memory that does not grow with the rows."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.export import CannotExport, all_marts, asked, export
from resources.warehouse import Warehouse

pytest_plugins = ["tests.marts.fixtures"]

DAY = date(2026, 3, 31)


def test_a_past_day_is_exported_with_exact_money(company: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    assert export(company, asked("receivables", DAY, DAY), "parquet", path) == 4
    found = pq.read_table(path)
    assert pa.types.is_decimal(found.schema.field("debt").type)
    assert found.schema.field("due_on").type == pa.date32()
    assert found.schema.field("debt").metadata == {b"comment": b"amount less paid"}
    debts = dict(zip(found["number"].to_pylist(), found["debt"].to_pylist(), strict=True))
    assert debts == {"2": Decimal(350), "77": Decimal(50), "5": Decimal(70), "8": Decimal(600)}


def test_every_mart_comes_out_in_both_forms_with_its_columns(company: Warehouse, tmp_path: Path) -> None:
    for name in all_marts(None):
        wanted = asked(name, None, DAY)
        columns = [column.name for column in wanted.table.columns]
        count = export(company, wanted, "csv", tmp_path / "m.csv")
        with (tmp_path / "m.csv").open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        assert (head, len(rows)) == (columns, count), name
        assert export(company, wanted, "parquet", tmp_path / "m.parquet") == count
        assert pq.read_schema(tmp_path / "m.parquet").names == columns


@pytest.mark.parametrize(
    ("mart", "day", "why"),
    [
        ("nothing", None, "no mart nothing"),
        ("variance", DAY, "no past day"),
        ("settlement_turnover", DAY, "with SQL"),
    ],
)
def test_what_cannot_be_exported_says_why(mart: str, day: date | None, why: str) -> None:
    with pytest.raises(CannotExport, match=why):
        asked(mart, day, DAY)


def test_a_file_is_there_whole_or_not_at_all(company: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("before", encoding="utf-8")
    broken = Warehouse(company.url.replace("marts_company", "postgres"))
    with pytest.raises(Exception, match="marts"):
        export(broken, asked("receivables", None, DAY), "csv", path)
    assert path.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_memory_does_not_grow_with_the_rows(own_company: Warehouse, tmp_path: Path) -> None:
    own_company.execute(
        """insert into ops.batch (source, entity, mode, started_at, status, message)
           select 'crm', 'deal', 'full', now(), 'failed', repeat('why ', 100) || n from generate_series(1, 300000) n"""
    )
    program = (
        "import sys; from datetime import date; from pathlib import Path;"
        "from pipelines.export import asked, export; from resources.warehouse import Warehouse;"
        "count = export(Warehouse(sys.argv[1]), asked('reading', None, date.today()), 'parquet', Path(sys.argv[2]));"
        # the most that this process ever held; ru_maxrss counts what the one that started it held, too
        "print(count, Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    path = tmp_path / "reading.parquet"
    done = subprocess.run(
        [sys.executable, "-c", program, own_company.url, str(path)],
        env=dict(os.environ), capture_output=True, text=True, check=True, timeout=600,
    )  # fmt: skip
    count, kilobytes = map(int, done.stdout.split())
    assert count == 300_006
    assert kilobytes < 400_000  # a million take 231 MB
    assert pq.ParquetFile(path).metadata.num_rows == count
