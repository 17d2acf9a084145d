"""CSV files as Excel, its relatives and CRMs write them: encoding, separator, rows, and what is cut."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from typing import IO

from resources.crm.files.header import column_names, find_header, no_header
from resources.crm.files.layout import Found, Header, Layout, Row, UnreadableError

COPY_BYTES = 1 << 20
SEPARATORS = (";", ",", "\t")
MARKS = {  # of UTF-32 first: its little-endian mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
WIDE_SAMPLE_BYTES = 1 << 16
WIDE_SHARE = 0.05  # of the characters of a table in UTF-16: separators, digits and line ends are more


def open_csv(spool: IO[bytes], layout: Layout) -> Found:
    """Find the table of a CSV. Raises UnreadableError: no text, no header."""
    encoding = layout.encoding or detect_encoding(spool)
    announced, skip = _announced_separator(spool, encoding)
    chosen = {"tab": "\t", "\\t": "\t"}.get(layout.separator or "", layout.separator) or announced
    best: tuple[Header, str] | None = None
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
    width = len(column_names(header.cells)[0])

    def rows() -> Iterator[Row]:
        return _csv_rows(spool, encoding, separator, skip, width)

    return Found(rows, header, f"CSV in {encoding}, separated by {shown}", "line", wide=False)


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
