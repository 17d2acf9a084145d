"""The example of docs/files.md: the list that is drawn there, read by the mapping that stands under it."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mappings import System, load
from pipelines.raw.load import read_source
from pipelines.table import tables
from resources.connector import SourceError
from resources.crm.files.connector import connect
from resources.warehouse import Warehouse
from tests.files.dropped import workbook
from tests.mapping.mapping_road import Road, write_folder

PAGE = Path(__file__).parents[2] / "docs" / "files.md"
HEAD = "system: list\nconnector: files\nrole: crm\ntitle: A list\ntimezone: Europe/Moscow\n"
MERGED = ("A1:A2", "B1:B2", "C1:D1", "E1:G1", "A3:A4", "B3:B4", "C3:C4", "D3:D4")
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def example() -> tuple[list[list[str | None]], str]:
    """The rows of the drawing, and the mapping."""
    section = PAGE.read_text(encoding="utf-8").partition("## Which rows and columns")[2]
    drawing, mapping = re.findall(r"```(?:yaml)?\n(.*?)```", section, re.S)[:2]
    return [[cell.strip() or None for cell in line.split("|")] for line in drawing.splitlines()], mapping


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_the_example_of_two_header_rows_and_merged_cells_reads_what_it_shows(
    tmp_path: Path, warehouse: Warehouse, kind: str
) -> None:
    rows, mapping = example()
    drops = tmp_path / "drops"
    drops.mkdir()
    file = drops / f"Сделки.{kind}"
    file.write_bytes(workbook(rows, _merge) if kind == "xlsx" else _csv(rows))
    os.utime(file, (NOON.timestamp() - 3600, NOON.timestamp() - 3600))
    folder = write_folder(tmp_path / "mappings", list=HEAD + mapping)
    system = load(folder, {"SVERKA_DROP_FOLDER": str(drops)}).system("list")
    files = connect(system.name, system.connection)
    files.clock = lambda: NOON
    (batch,) = read_source(warehouse, files, now=NOON)
    assert (batch.error, batch.added, batch.rejected) == ("", 3, 0)
    assert _table(warehouse, system, "core.deal", "client_record_id", "created_at") == {
        "Д-1": ("list:Ромашка", datetime(2026, 3, 4, 21, tzinfo=UTC)),
        "Д-2": ("list:Ёлка", datetime(2026, 3, 5, 21, tzinfo=UTC)),
    }
    lines = _table(warehouse, system, "core.deal_line", "deal_id", "quantity", "amount", "problems")
    assert {name.partition("|")[2]: values for name, values in lines.items()} == {
        "Стол": ("list:Д-1", Decimal(2), Decimal(1000), []),
        "Стул": ("list:Д-1", Decimal(4), Decimal(400), []),
        "Шкаф": ("list:Д-2", Decimal(1), Decimal("200.50"), []),
    }
    assert _table(warehouse, system, "core.requisite", "client_record_id", "tax_number") == {
        "7707083893": ("list:Ромашка", "7707083893"),
        "7736050003": ("list:Ёлка", "7736050003"),
    }


def test_a_total_that_does_not_fit_the_rows_of_the_example_is_told(tmp_path: Path) -> None:
    rows, mapping = example()
    (tmp_path / "Сделки.csv").write_bytes(_csv([row for row in rows if "Стул" not in row]))
    folder = write_folder(tmp_path / "mappings", list=HEAD + mapping)
    system = load(folder, {"SVERKA_DROP_FOLDER": str(tmp_path)}).system("list")
    files = connect(system.name, system.connection)
    files.clock = lambda: datetime(2100, 1, 1, tzinfo=UTC)
    with pytest.raises(
        SourceError, match=r'says 1 600\.50 of "Товар / Сумма" while the rows add up to 1 200\.50'
    ):
        list(files.read(["sale"], None, NOON))


def _csv(rows: list[list[str | None]]) -> bytes:
    return "".join(";".join(cell or "" for cell in row) + "\r\n" for row in rows).encode()


def _merge(sheet: Any) -> None:
    for cells in MERGED:
        sheet.merge_cells(cells)


def _table(warehouse: Warehouse, system: System, name: str, *columns: str) -> dict[str, tuple[Any, ...]]:
    """A table made anew from what was read: its values by the source's id."""
    with warehouse.connect() as conn:
        road = Road(conn, system)
        conn.execute(f"drop table if exists {name} cascade")
        conn.execute(tables()[name].create_sql)
        conn.execute("truncate ops.clean_value")
        road.refresh(name, everything=True)
        return {row["source_id"]: tuple(row[column] for column in columns) for row in road.rows(name)}
