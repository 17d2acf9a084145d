"""Tables in CSV and XLSX files, as Excel, its relatives and CRMs write them: a stream of text cells.

A file is copied once into a private spool (memory first, then a temporary file), and everything is
read from there: whoever overwrites the file meanwhile changes nothing. A row is a list of texts, an
empty cell is None. A number is what Excel shows at full width (15 significant digits, no exponent),
a date cell is ISO 8601 without a zone, since a sheet knows none.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

HEADER_SEARCH_ROWS = 50
COPY_BYTES = 1 << 20
SPOOL_MEMORY_BYTES = 8 << 20
SEPARATORS = (";", ",", "\t")
MARKS = {  # of UTF-32 first: its little-endian mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
WIDE_SAMPLE_BYTES = 1 << 16
WIDE_SHARE = 0.05  # of the characters of a table in UTF-16: separators, digits and line ends are more
FOREIGN_HEADS = {
    b"\xd0\xcf\x11\xe0": "an old .xls workbook, or an .xlsx protected by a password",
    b"<htm": "a web page with the name of a workbook",
    b"<!DO": "a web page with the name of a workbook",
    b"<tab": "a web page with the name of a workbook",
}


class UnreadableError(Exception):
    """A file, as it stands, gives no table. `retriable` where waiting may be enough."""

    def __init__(self, cause: str, remedy: str, *, retriable: bool = False) -> None:
        super().__init__(f"{cause}; {remedy}")
        self.retriable = retriable


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the table stands in a file. Whatever is None is found out."""

    key: tuple[str, ...]  # the first row that holds all of these names is the header
    columns: tuple[str, ...] = ()  # further columns without which the file is another file
    sheet: str | None = None
    header_row: int | None = None  # counted from 1, as Excel counts
    encoding: str | None = None
    separator: str | None = None


class Row(NamedTuple):
    """One row under the header. `line`: the sheet's row, or the line of a CSV where it starts."""

    line: int
    cells: Sequence[str | None]  # at least as many as the header has names
    problem: str = ""  # why it cannot be read; then `cells` is empty
    raw: str = ""  # the text of a row with a problem
    likely: Sequence[str | None] = ()  # what its cells seem to be, from the left


class Table:
    """An open table: its header, and its rows as often as wanted. Close it, or use it in `with`."""

    def __init__(
        self,
        rows: Callable[[], Iterator[Row]],
        header: Row,
        *,
        form: str,
        unit: str,
        version: str,
        modified_at: datetime,
        hidden: Sequence[int],
        spools: Sequence[IO[bytes]],
        wide: bool,
    ) -> None:
        self.columns, self.unnamed = _names(header.cells)
        self.header_line = header.line
        self.form = form  # in a person's words: "CSV in cp1251, separated by ';'"
        self.unit = unit  # what `line` counts: "line" or "row"
        self.version = version  # of the content
        self.modified_at = modified_at
        self.hidden = hidden
        self._rows, self._spools, self._wide = rows, spools, wide

    def rows(self) -> Iterator[Row]:
        """Yield every row under the header that is not blank. Raises UnreadableError where it is cut."""
        width = len(self.columns)
        for row in self._rows():
            if row.line <= self.header_line:
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
            from resources.crm.workbook import open_workbook  # XLSX only

            found = open_workbook(spool, layout, spools)
        elif path.suffix.lower() in (".xlsx", ".xlsm"):
            raise UnreadableError(
                "it is no XLSX, its beginning is missing or damaged",
                "wait for the copy to end, or export it again",
            )
        else:
            found = _open_csv(spool, layout)
        table = Table(*found[:2], **found[2], version=version, modified_at=modified_at, spools=spools)
        repeated = [n for n in (*layout.key, *layout.columns) if f"{n} (2)" in table.columns]
        if repeated:
            raise UnreadableError(f"it has two columns {quoted(repeated)}", "rename or remove one of them")
        missing = [name for name in layout.columns if name not in table.columns]
        if missing:
            raise _missing(missing, table.columns, form=table.form)
        return table
    except BaseException:
        for each in spools:
            each.close()
        raise


Found = tuple[Callable[[], Iterator[Row]], Row, dict[str, Any]]


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


# --- CSV ---


def _open_csv(spool: IO[bytes], layout: Layout) -> Found:
    encoding = layout.encoding or detect_encoding(spool)
    announced, skip = _announced_separator(spool, encoding)
    chosen = {"tab": "\t", "\\t": "\t"}.get(layout.separator or "", layout.separator) or announced
    best: tuple[Row, str] | None = None
    seen: list[Row] = []
    failure: UnreadableError | None = None
    for separator in (chosen,) if chosen else SEPARATORS:
        head: list[Row] = []
        try:
            header = find_header(_csv_rows(spool, encoding, separator, skip, None), layout, head)
        except UnreadableError as error:
            failure, header = error, None
        seen.extend(head)
        if header and (best is None or len(header.cells) > len(best[0].cells)):
            best = header, separator
    if best is None:
        if failure and not seen:
            raise failure
        raise no_header(seen, layout, f"read as {encoding}; if the names look wrong, set `encoding`")
    header, separator = best
    shown = "tab" if separator == "\t" else f"'{separator}'"
    width = len(_names(header.cells)[0])

    def rows() -> Iterator[Row]:
        return _csv_rows(spool, encoding, separator, skip, width)

    return (
        rows,
        header,
        {
            "form": f"CSV in {encoding}, separated by {shown}",
            "unit": "line",
            "hidden": (),
            "wide": False,
        },
    )


def detect_encoding(spool: IO[bytes]) -> str:
    """Say in which encoding the text is: by its mark, else by its zero bytes, else UTF-8 if it is, else cp1251."""
    spool.seek(0)
    head = spool.read(WIDE_SAMPLE_BYTES)
    spool.seek(0)
    if marked := next((name for mark, name in MARKS.items() if head.startswith(mark)), None):
        return marked
    if unmarked := _wide_encoding(head):
        return unmarked
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    wide = 0  # characters of more than one byte that were UTF-8
    found = "utf-8-sig" if head.startswith(codecs.BOM_UTF8) else "utf-8"
    while chunk := spool.read(COPY_BYTES):
        if b"\0" in chunk:
            raise UnreadableError(
                "it holds zero bytes, so it is half-written or no text",
                "wait for the copy to end, or export it again",
            )
        if found == "cp1251":
            continue
        try:
            text = decoder.decode(chunk)
            wide += len(text) - len(text.encode("ascii", "ignore"))
        except UnicodeDecodeError as error:
            text = chunk.decode("utf-8", "replace")
            bad = text.count("\ufffd")
            wide += sum(character > "\x7f" for character in text) - bad
            # In cp1251 a Russian word is nearly all bad UTF-8.
            if wide > 3 * bad:
                raise UnreadableError(
                    f"it is UTF-8 with damaged letters ({chunk[error.start : error.start + 1]!r} first)",
                    "export it again, or set `encoding` if it is another one",
                ) from error
            found = "cp1251"
    if found != "cp1251" and decoder.getstate()[0]:
        if wide:
            raise UnreadableError("it ends within a letter, so it is cut", "export or copy it again")
        found = "cp1251"
    return found


def _wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark, by where the zero bytes stand; None where they stand anywhere else."""
    head = head[: len(head) // 4 * 4]
    zeros = [head[place::4].count(0) for place in range(4)]
    quarter = len(head) // 4
    if not quarter or not any(zeros):
        return None
    if zeros[2] == zeros[3] == quarter:
        return "utf-32-le"
    if zeros[0] == zeros[1] == quarter:
        return "utf-32-be"
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    least = WIDE_SHARE * 2 * quarter
    if even == 0 and odd >= least:
        return "utf-16-le"
    return "utf-16-be" if odd == 0 and even >= least else None


def _announced_separator(spool: IO[bytes], encoding: str) -> tuple[str | None, int]:
    """Excel's own first line `sep=;`: the separator, and the number of lines to pass over."""
    spool.seek(0)
    try:
        start = spool.read(64).decode(encoding, "ignore").removeprefix("\ufeff")
    except LookupError as error:
        raise UnreadableError(
            f"there is no encoding {encoding}", "correct `encoding` of the connection"
        ) from error
    found = re.match(r'"?sep=(.)"?\r?\n', start, re.IGNORECASE)
    return (found[1], 1) if found else (None, 0)


class _Lines:
    """Lines of a text, those of the current row kept for the person who must mend it."""

    def __init__(self, text: Iterator[str]) -> None:
        self.text = text
        self.row: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self.text)
        self.row.append(line)
        return line


def _csv_rows(spool: IO[bytes], encoding: str, separator: str, skip: int, width: int | None) -> Iterator[Row]:
    spool.seek(0)
    text = io.TextIOWrapper(spool, encoding=encoding, newline="")
    lines = _Lines(text)
    try:
        for _ in range(skip):
            next(text)
        reader = csv.reader(lines, delimiter=separator, strict=True)
        filled, whole = 0, True
        while True:
            line = skip + reader.line_num + 1
            lines.row.clear()
            try:
                fields = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                if "unexpected end" in str(error) or "field larger" in str(error):
                    raise UnreadableError(
                        f"line {line}: a quote is never closed: the file is cut or the quote is stray",
                        "export it again, or double the quote inside the text",
                    ) from error
                raw = "".join(lines.row)
                told = "has text right after a closing quote; double the quotes inside a text"
                yield Row(line, (), told, raw, [cell.strip('"') for cell in raw.split(separator)])
                continue
            filled, whole = len(fields), lines.row[-1].endswith(("\n", "\r"))
            if any("\0" in text_line for text_line in lines.row):
                told = "holds zero characters, which no store can keep; delete them or export again"
                raw = "".join(lines.row)
                yield Row(line, (), told, raw, [field.replace("\0", "") for field in fields])
                continue
            cells = [(f if f[:1] != "=" else _formula_text(f)) or None for f in fields]
            if any(c is not None and not c.isspace() for c in cells):
                yield Row(line, cells)
        if width is not None and not whole and 0 < filled < width:
            raise UnreadableError(
                f"its last line {line - 1} has {filled} of {width} values and no end of line: it is cut",
                "wait for the copy to end, or export it again",
            )
    except UnicodeError as error:
        raise UnreadableError(
            f"line {skip + len(lines.row)} or after is not {encoding} or the file is cut",
            "export or copy it again, or correct `encoding` of the connection",
        ) from error
    finally:
        text.detach()


def _formula_text(field: str) -> str:
    """`="007"` is how people make Excel keep leading zeros of a CSV."""
    return field[2:-1].replace('""', '"') if len(field) > 2 and field[1] == '"' == field[-1] else field


# --- header ---


def find_header(rows: Iterator[Row], layout: Layout, seen: list[Row]) -> Row | None:
    """The first row with all key columns, or the row named; what was looked at goes into `seen`."""
    for row in islice(rows, HEADER_SEARCH_ROWS + (layout.header_row or 0)):
        if layout.header_row is not None and row.line < layout.header_row:
            continue
        seen.append(row)
        names = {(cell or "").strip() for cell in row.cells}
        if names.issuperset(layout.key) and layout.header_row in (None, row.line):
            return row
        if layout.header_row is not None:
            return None
    return None


def _names(cells: Sequence[str | None]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The column names, and which of them we had to give: blank ones, trailing blanks left out."""
    width = max((n for n, cell in enumerate(cells, 1) if cell and cell.strip()), default=0)
    names: list[str] = []
    unnamed: list[str] = []
    for number, cell in enumerate(cells[:width], 1):
        name = (cell or "").strip()
        if not name:
            name = f"_column_{number}"
            unnamed.append(name)
        count, first = 1, name
        while name in names:
            count += 1
            name = f"{first} ({count})"
        names.append(name)
    return tuple(names), tuple(unnamed)


def no_header(seen: Sequence[Row], layout: Layout, how: str) -> UnreadableError:
    wanted = {*layout.key, *layout.columns}

    def likeness(row: Row) -> tuple[int, int]:
        return len(wanted & {(c or "").strip() for c in row.cells}), sum(c is not None for c in row.cells)

    best = max(seen, key=likeness, default=Row(0, ()))
    found = [c.strip() for c in best.cells if c and c.strip()]
    return _missing([name for name in layout.key if name not in found] or layout.key, found, form=how)


def _missing(missing: Sequence[str], found: Sequence[str], *, form: str) -> UnreadableError:
    columns = "columns" if len(missing) > 1 else "column"
    return UnreadableError(
        f"it lacks the {columns} {quoted(missing)}, found are {quoted(found)} ({form})",
        "export it with these columns, or correct `key` and `columns` of the connection",
    )


def quoted(names: Sequence[str]) -> str:
    shortened = [f'"{name[:60]}"' for name in names[:40]] + (["..."] if len(names) > 40 else [])
    return ", ".join(shortened) or "nothing"
