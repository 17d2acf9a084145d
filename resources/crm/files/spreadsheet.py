"""Tables in CSV and XLSX files, as Excel, its relatives and CRMs write them: a stream of text cells.

A file is copied once into a private spool (memory first, then a temporary file), and everything is
read from there: whoever overwrites the file meanwhile changes nothing. A row is a list of texts, an
empty cell is None. A number is what Excel shows at full width (15 significant digits, no exponent),
a date cell is ISO 8601 without a zone, since a sheet knows none.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO

from resources.crm.files.csv import open_csv
from resources.crm.files.header import column_names, missing_columns
from resources.crm.files.layout import SPOOL_MEMORY_BYTES, Found, Layout, Row, UnreadableError, quoted

COPY_BYTES = 1 << 20
FOREIGN_HEADS = {
    b"\xd0\xcf\x11\xe0": "an old .xls workbook, or an .xlsx protected by a password",
    b"<htm": "a web page with the name of a workbook",
    b"<!DO": "a web page with the name of a workbook",
    b"<tab": "a web page with the name of a workbook",
}


class Table:
    """An open table: its header, and its rows as often as wanted. Close it, or use it in `with`."""

    def __init__(
        self, found: Found, *, version: str, modified_at: datetime, spools: Sequence[IO[bytes]]
    ) -> None:
        self.columns, self.unnamed = column_names(found.header.cells)
        self.header = found.header
        self.form, self.unit, self.marks = found.form, found.unit, found.marks
        self.version = version  # of the content
        self.modified_at = modified_at
        self._rows, self._spools, self._wide = found.rows, spools, found.wide

    def rows(self) -> Iterator[Row]:
        """Yield every row under the header that is not blank. Raises UnreadableError where it is cut."""
        width = len(self.columns)
        for row in self._rows():
            if row.line <= self.header.last:
                continue
            cells = row.cells
            if row.problem or len(cells) == width:
                yield row
            elif len(cells) < width:
                # Excel leaves out trailing separators in blocks of 16 rows.
                yield row._replace(cells=[*cells, *[None] * (width - len(cells))])
            elif self._wide or not any(cells[width:]):
                yield row
            else:
                names, found = len(self.columns), len(cells)
                yield Row(
                    row.line,
                    (),
                    f"has {found} values under {names} column names, probably a separator in a"
                    " text without quotes; put the text into quotes or export again",
                    repr(cells),
                    cells,
                )

    def values(self, row: Row) -> dict[str, str | None]:
        """Pair the cells with the column names; a column without a name counts only where filled."""
        values = dict(zip(self.columns, row.cells, strict=False))
        for name in self.unnamed:
            if values[name] is None:
                del values[name]
        for number, cell in enumerate(row.cells[len(self.columns) :], len(self.columns) + 1):
            if cell is not None:
                values[f"_column_{number}"] = cell
        return values

    def close(self) -> None:
        for spool in self._spools:
            spool.close()

    def __enter__(self) -> Table:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_table(path: Path, layout: Layout) -> Table:
    """Open a CSV or XLSX file, told apart by their content.

    Raises UnreadableError: growing, locked, cut or damaged file, another format, no header, a missing column.
    """
    spool, version, modified_at = _copy(path)
    spools: list[IO[bytes]] = [spool]
    try:
        head = spool.read(4)
        for mark, what in FOREIGN_HEADS.items():
            if head.lower().startswith(mark.lower()):
                raise UnreadableError(f"it is {what}", "save it as .xlsx without a password, or export a CSV")
        if head == b"PK\x03\x04":
            from resources.crm.files.workbook import open_workbook  # XLSX only

            found = open_workbook(spool, layout, spools)
        elif path.suffix.lower() in (".xlsx", ".xlsm"):
            raise UnreadableError(
                "it is no XLSX, its beginning is missing or damaged",
                "wait for the copy to end, or export it again",
            )
        else:
            found = open_csv(spool, layout)
        table = Table(found, version=version, modified_at=modified_at, spools=spools)
        repeated = [n for n in (*layout.key, *layout.columns) if f"{n} (2)" in table.columns]
        if repeated:
            raise UnreadableError(f"it has two columns {quoted(repeated)}", "rename or remove one of them")
        missing = [name for name in layout.columns if name not in table.columns]
        if missing:
            raise missing_columns(missing, table.columns, table.form)
        return table
    except BaseException:
        for each in spools:
            each.close()
        raise


def content_version(path: Path) -> tuple[str, datetime]:
    """The version of a file's content and its time of modification, without opening its table."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            modified_at = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
            while chunk := file.read(COPY_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise _not_opened(error) from error
    return f"sha256:{digest.hexdigest()}", modified_at


def _not_opened(error: OSError) -> UnreadableError:
    return UnreadableError(
        f"it cannot be opened ({error.strerror})",
        "close it in other programs and give the service the right to read it",
        retriable=True,
    )


def _copy(path: Path) -> tuple[IO[bytes], str, datetime]:
    """Copy the file, hash it on the way, and see that it did not change under the hands."""
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOL_MEMORY_BYTES)  # noqa: SIM115 the table closes it
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            while chunk := file.read(COPY_BYTES):
                digest.update(chunk)
                spool.write(chunk)
            after = os.fstat(file.fileno())
    except OSError as error:
        spool.close()
        raise _not_opened(error) from error
    if (before.st_size, before.st_mtime_ns) != (
        after.st_size,
        after.st_mtime_ns,
    ) or spool.tell() != after.st_size:
        spool.close()
        raise UnreadableError(
            "it changed while it was read", "it is read again when it rests", retriable=True
        )
    if not after.st_size:
        spool.close()
        raise UnreadableError(
            "it is empty (0 bytes)", "wait for the copy to end, or export it again", retriable=True
        )
    spool.seek(0)
    return spool, f"sha256:{digest.hexdigest()}", datetime.fromtimestamp(after.st_mtime, UTC)
