"""Files dropped into a folder and what their source says of them, for tests without a database."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from resources.connector import Record, Reject, SourceError
from resources.crm.files.connector import Files, connect

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


def edited(raw: bytes, pattern: str, text: str) -> bytes:
    """A workbook with one place of its sheet changed by a regular expression."""
    edited = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(edited, "w") as new:
        for name in old.namelist():
            content = old.read(name).decode()
            if name == "xl/worksheets/sheet1.xml":
                content, count = re.subn(pattern, text, content)
                assert count == 1
            new.writestr(name, content)
    return edited.getvalue()


WHOLE = workbook([["ID", "Сумма"], *([n, "x" * 50] for n in range(200))])
