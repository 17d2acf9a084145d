"""What each row of a person's sheet is: a record, a total, the heading of a group, the header once more.

Merged cells give their value to the rows that they cover, where the connection says so; cells are read as
`cells` says. Everybody who goes over the rows (survey, ids, records, totals) sees them through here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from resources.crm.files.cells import (
    CellRules,
    Doubt,
    codes_by_name,
    is_failed,
    is_odd,
    plain_cells,
    read_cells,
)
from resources.crm.files.header import squeezed
from resources.crm.files.layout import Cells, Row, UnreadableError, quoted
from resources.crm.files.options import TableFiles
from resources.crm.files.spreadsheet import Table

TOTALS = r"итого|итоги|всего|итог|общий итог|промежуточный итог|total|totals|grand totals?|subtotals?|sum"
# Of money, before a number or after it: what ops.parse_number takes off.
_SIGN = r"(?:[₽$€£¥₸₴₺₾₼]|\b(?:rub|rur|usd|eur|kzt|byn|тенге)\b|(?:руб(?:лей|ля|ль)?|[рp])(?:\.|$))"
SIGN = re.compile(rf"^{_SIGN}|{_SIGN}$", re.I)
NUMBER = re.compile(r"[-+(\u2212]?[\d\s\u00a0\u202f.,']+[-)]?%?")
# What else stands beside the word of a total: a count of what is summed up, a sign that nothing is summed here.
COUNT = re.compile(
    r"\d[\d\s]*(?:шт|наименован|позиц|строк|запис|сдел|клиент|заказ|товар|услуг|документ|pcs|items?|rows?|deals?)\w*\.?",
    re.I,
)
RULED = re.compile(r"[-\u2013\u2014_=*.\s]*")  # a line that is drawn, or nothing
DASH = re.compile(r"[-\u2013\u2014*xхXХ]")
CODE = re.compile(r"\d{9,15}")  # INN, KPP, OGRN: no total bears one
# What follows the word of a total: nothing, a sign, a number, or what is summed up. "Total Quartz" is a product.
AFTER_WORD = (
    r"\s*(?:$|[:.,;=()\u2013\u2014-]|[-+]?[\d\s.,]+(?:%|$)|\d+\s+(?:наименован|позиц|строк|запис|шт|руб|items?\b|rows?\b)"
    r"|(?:по|за|на|к|с|в|без|из|от|и|ндс|for|of|by|in|amount|sum)\b"
    r"|(?:сумм|стоимост|количеств|товар|услуг|работ|документ|сделк|строк|позици|клиент|заказ|руб)\w*)"
)

FEWEST_ABOVE = 2  # rows that tell what a key looks like
ROWS_ABOVE = 1_000  # rows that tell which columns are never empty

Kind = Literal["record", "total", "group", "header", "left_out", "unreadable", "footer"]


class Seen(NamedTuple):
    """A row and what it is. `row` has its cells read; `own` are those that stand in the row itself."""

    kind: Kind
    row: Row
    own: Cells = ()
    problem: str = ""  # of a record, a footer: why it cannot be taken, a sentence that begins with a place
    id_unknown: bool = False  # its key cannot be read, so it is unknown which record it is
    group: str | None = None
    hidden: bool = False


class SheetRows:
    """The rows of an open table, each with what it is."""

    def __init__(self, table: TableFiles, opened: Table, name: str) -> None:
        self.table, self.opened, self.name = table, opened, name
        layout, columns = table.layout, opened.columns
        self.key = [columns.index(column) for column in layout.key]
        self.parent = columns.index(table.parent) if table.parent else None
        self.merged_down = [columns.index(column) for column in table.merged_down]
        codes = table.codes if table.codes is not None else codes_by_name(columns)
        numbers = self._places((*layout.key, *table.codes_always, *codes))
        dates = self._places(table.dates)
        self.rules = CellRules(
            codes=numbers - dates,
            dates=dates,
            read=tuple(sorted(numbers | dates)),
            date_style=table.date_order,
            may_fail=self._places((*table.errors_empty, *opened.unnamed)),  # remarks without a heading too
            named=len(columns),
        )
        self.gone = self._columns_left_out()
        words = "|".join((TOTALS, *(re.escape(word) for word in table.total_words)))
        self._total_word = re.compile(rf"\s*({words})(?!\w)", re.I)
        self._total_caption = re.compile(rf"\s*({words})(?!\w){AFTER_WORD}", re.I)
        self._code_columns = sorted(self._places(codes) - {*self.key})
        self._headers = [self._spelled(cells) for cells in opened.header.rows]
        if table.group_column in columns:
            raise UnreadableError(
                f'it has a column "{table.group_column}" already, and `group_column` would make another',
                "give `group_column` a name of its own",
            )
        # Reports leave the first column of a sheet empty: the table begins with the first that has a name.
        self._first = next((n for n, name in enumerate(columns) if name not in opened.unnamed), 0)
        if table.group_column and self.key == [self._first]:
            raise UnreadableError(
                f'its key "{columns[self._first]}" is the column in which headings of groups stand, so the two look alike',
                "add a column to `key` that headings leave empty",
            )

    def rows(self) -> Iterator[Seen]:
        """Every row that is not blank, in order. Raises UnreadableError where the file is cut."""
        filled = _MergedDown(self.merged_down, self.opened, self.table.blanks_continue)
        above = _Above(self._first if self.key == [self._first] else None)
        hidden = frozenset(self.opened.marks.hidden_rows)
        heading: Seen | None = None  # of a group, until a row of it is seen
        group: str | None = None
        for row in self.opened.rows():
            if row.problem:
                yield from self._without_rows(heading)
                heading = None
                yield Seen("unreadable", filled.doubt(row), group=group)
                continue
            seen = self._seen(row, filled, above, row.line in hidden)
            if seen.kind == "group":
                yield from self._without_rows(heading)
                heading, group = seen, seen.group
                continue
            if heading is not None and seen.kind in ("record", "left_out"):
                yield heading
                heading = None
            elif heading is not None and seen.kind == "total":
                yield from self._without_rows(heading)
                heading = None
            yield seen._replace(group=group) if group is not None else seen
        yield from self._without_rows(heading)

    def id_of(self, row: Row) -> str | None:
        """The id; None where a part of it is empty or the name of a failed formula."""
        values = [(row.cells[place] or "").strip() for place in self.key]
        for value in values:
            if not value or is_failed(value):
                return None
        if len(values) == 1:
            return values[0]
        return "|".join(value.replace("\\", "\\\\").replace("|", "\\|") for value in values)

    def parent_of(self, row: Row) -> str | None:
        """The parent that the row names, or seems to name where it cannot be read."""
        if self.parent is None:
            return None
        cells = row.likely if row.problem else row.cells
        value = (cells[self.parent] or "").strip() if self.parent < len(cells) else ""
        return value if value and not is_failed(value) else None

    def values(self, seen: Seen) -> dict[str, str | None]:
        """The row's values by column, without columns left out, with the group that it stands in."""
        values = self.opened.values(seen.row)
        for name in self.gone:
            values.pop(name, None)
        if self.table.group_column:
            values[self.table.group_column] = seen.group
        return values

    def merged_unnamed(self) -> list[str]:
        """Columns with cells merged downwards below the header that `merged_down` does not name."""
        last, continued = self.opened.header.last, self.opened.marks.continued
        places = {place for line, covered in continued.items() if line > last + 1 for place in covered}
        columns = self.opened.columns
        return [columns[n] for n in sorted(places - set(self.merged_down)) if n < len(columns)]

    def cell(self, row: Row, place: int) -> str:
        """A cell as a person finds it: `cell F9 ("Сумма")` of a workbook, `column "Сумма"` of a CSV."""
        name = quoted([self.opened.columns[place]])
        return (
            f"cell {column_letters(place)}{row.line} ({name})"
            if self.opened.marks.merges
            else f"column {name}"
        )

    def begins_as_total(self, seen: Seen) -> bool:
        """Whether the first cell of the row is the word of a total and nothing else, or says what it sums up."""
        begins = next((cell for cell in seen.own if cell is not None and not cell.isspace()), "")
        return self.table.skip_totals and self._total_caption.match(begins) is not None

    def _seen(self, row: Row, filled: _MergedDown, above: _Above, hidden: bool) -> Seen:
        odd = is_odd(row.cells)
        if odd:
            row = row._replace(cells=plain_cells(row.cells))
        own = row.cells
        if self._is_header(own):
            return Seen("header", row, own, hidden=hidden)
        total = self._is_total(row, filled, above)
        if total is True:
            if not filled.continues(row):
                filled.forget()
            return Seen("total", row, own, hidden=hidden)
        if self.table.group_column and (caption := self._caption(row, filled)) is not None:
            filled.forget()
            return Seen("group", row, own, group=caption, hidden=hidden)
        if not filled.continues(row) and (lacking := above.lacking(own)) is not None:
            problem = (
                f"{self._place(row)} looks like a remark below the table: its key {quoted([(own[self._first] or '').strip()])} is unlike"
                f" the keys above, and {quoted([self.opened.columns[lacking]])}, which every row above has, is empty; delete the"
                " row, or fill it in"
            )
            return Seen("footer", row, own, problem, hidden=hidden)
        above.note(own)
        cells, broken_line = filled.fill(row) if self.merged_down else (own, None)
        if hidden and self.table.leave_out_rows:
            return Seen("left_out", row._replace(cells=cells), own, hidden=True)
        cells, doubts = read_cells(cells, self.rules, odd=odd or bool(self.merged_down))
        if cells is not own:
            row = row._replace(cells=cells)
        if self.gone:
            gone = {self.opened.columns.index(name) for name in self.gone}
            doubts = [doubt for doubt in doubts if doubt.place not in gone]
        if broken_line is not None:
            problem = (
                f"{self._place(row)} goes on with {self.opened.unit} {broken_line}, which cannot be read;"
                " mend that one"
            )
            return Seen("record", row, own, problem, hidden=hidden)
        if total is None:
            problem = (
                f"{self._place(row)} may be a total or a row of {self.table.entity} that begins with the word of one; write"
                " something before the word, or set `skip_totals: false` if the table has no totals"
            )
            return Seen("record", row, own, problem, hidden=hidden)
        if doubts:
            in_doubt = any(doubt.place in self.key for doubt in doubts)
            return Seen("record", row, own, self._told(row, doubts), in_doubt, hidden=hidden)
        return Seen("record", row, own, "", False, None, hidden)

    def _place(self, row: Row) -> str:
        return f"{self.name}, {self.opened.unit} {row.line}"

    def _told(self, row: Row, doubts: Sequence[Doubt]) -> str:
        causes = ", ".join(f"{self.cell(row, doubt.place)} {doubt.cause}" for doubt in doubts)
        failed = [doubt for doubt in doubts if "formula that failed" in doubt.cause]
        hint = " (or name the column in `errors_empty`)" if failed else ""
        return f"{self._place(row)}: {causes}; {doubts[0].remedy}{hint}"

    def _without_rows(self, heading: Seen | None) -> Iterator[Seen]:
        if heading is not None:
            problem = (
                f"{self._place(heading.row)}: {quoted([heading.group or ''])} looks like the heading of a group, and no"
                " row of it follows; export with one level of groups, or fill in the row"
            )
            yield heading._replace(kind="record", problem=problem)

    def _is_header(self, cells: Cells) -> bool:
        """A header that stands again on each printed page."""
        begins = (cells[0] or "").lstrip()[:1]
        return any(
            begins == names[0][:1] and len(names) > 1 and self._spelled(cells) == names
            for names in self._headers
        )

    def _spelled(self, cells: Cells) -> list[str]:
        width = len(self.opened.columns)
        return [squeezed(cell) for cell in cells[:width]] + [""] * (width - len(cells))

    def _is_total(self, row: Row, filled: _MergedDown, above: _Above) -> bool | None:
        """A row that begins with "Итого" or "Total": without a key, or with nothing but numbers beside.

        A company may be called Total; then it has other texts, or a tax number, in its row and is a record. So may a
        product, in a row that goes on with the deal above, unless it is called just that or says what it sums up; None
        where nothing tells which it is.
        """
        if not self.table.skip_totals:
            return False
        begins = row.cells[0]
        if begins is None or begins.isspace():
            begins = next((cell for cell in row.cells if cell is not None and not cell.isspace()), "")
        if not self._total_word.match(begins):
            return False
        if any(CODE.fullmatch((row.cells[place] or "").strip()) for place in self._code_columns):
            return False
        beside = [cell.strip() for cell in row.cells if cell is not None and not cell.isspace()][1:]
        plain = all(is_number(cell) for cell in beside)
        caption = self._total_caption.match(begins) is not None
        if self.id_of(row) is not None:
            if caption and above.is_unlike(row.cells):
                return True
            counted = [cell for cell in beside if not DASH.fullmatch(cell)]
            if caption and all(is_number(cell) or COUNT.fullmatch(cell) for cell in counted):
                return bool(counted)
            return bool(beside) and plain
        if caption:
            return True
        if filled.continues(row):
            return False
        return (None if plain else False) if filled.may_continue(row) else True

    def _caption(self, row: Row, filled: _MergedDown) -> str | None:
        """The heading of a group: a text in the first column, nothing but numbers beside, no whole key."""
        if not self.table.group_column or filled.continues(row) or self.id_of(row) is not None:
            return None
        said = [(n, cell.strip()) for n, cell in enumerate(row.cells) if cell and not cell.isspace()]
        if not said or said[0][0] != self._first or is_number(said[0][1]):
            return None
        return said[0][1] if all(is_number(cell) for _, cell in said[1:]) else None

    def _places(self, names: Sequence[str]) -> frozenset[int]:
        return frozenset(self.opened.columns.index(name) for name in names if name)

    def _columns_left_out(self) -> tuple[str, ...]:
        if not self.table.leave_out_columns:
            return ()
        columns = self.opened.columns
        gone = tuple(columns[n] for n in sorted(self.opened.marks.hidden_columns) if n < len(columns))
        if needed := [name for name in (*self.table.layout.key, *self.table.layout.columns) if name in gone]:
            raise UnreadableError(
                f"its columns {quoted(needed)} are hidden, and hidden columns are left out",
                "show them and save, or set `hidden_columns: read`",
            )
        return gone


class _Above:
    """What the rows above have in common, in a table whose key is its first column: how keys are spelled, and what is
    never empty. Below the table remarks stand in that column: sums, filters, signatures."""

    def __init__(self, key: int | None) -> None:
        self.key = key
        self.rows = 0
        self._spellings: set[tuple[bool, int]] = set()
        self._filled: list[int] = []  # places that no row left empty so far, but the key's

    def note(self, cells: Cells) -> None:
        """Take in a row of the table."""
        if self.key is None or RULED.fullmatch(cells[self.key] or ""):
            return
        self._spellings.add(_spelling(cells[self.key] or ""))
        if self.rows < ROWS_ABOVE:
            places = self._filled if self.rows else [n for n in range(len(cells)) if n != self.key]
            self._filled = [n for n in places if n < len(cells) and not _blank(cells[n])]
        self.rows += 1

    def is_unlike(self, cells: Cells) -> bool:
        """Whether the key is spelled as none above."""
        if self.key is None or self.rows < FEWEST_ABOVE:
            return False
        return _spelling(cells[self.key] or "") not in self._spellings

    def lacking(self, cells: Cells) -> int | None:
        """The place of a cell that all rows above have and this one lacks, where its key is unlike theirs too."""
        if not self.is_unlike(cells) or _blank(cells[self.key or 0]):
            return None
        return next((n for n in self._filled if n >= len(cells) or RULED.fullmatch(cells[n] or "")), None)


def _spelling(key: str) -> tuple[bool, int]:
    """Whether it has more than one word; whether it is of digits, has some, or none."""
    key = key.strip()
    if key.isdigit():
        return False, 2
    return len(key.split()) > 1, int(any(map(str.isdigit, key)))


class _MergedDown:
    """Gives cells the value of the merged cell, or of the filled cell above, that they belong to.

    In a workbook only cells that are merged in truth go on. A CSV shows a merged cell as a value with empty cells
    below it: there, and with `blanks`, a row whose first such column is empty goes on with the row above,
    unless another of the columns says something else.
    """

    def __init__(self, places: Sequence[int], opened: Table, blanks: bool) -> None:
        self.places = places
        self.blanks = blanks or not opened.marks.merges
        self.continued = opened.marks.continued
        self.above: dict[int, str | None] = {}
        self.broken: int | None = None  # the row that began the block, where it cannot be read

    def continues(self, row: Row) -> bool:
        """Whether merged cells say that the row goes on with the one above."""
        return bool(self.places) and self.places[0] in self.continued.get(row.line, ())

    def may_continue(self, row: Row) -> bool:
        """Whether empty cells say that the row goes on with the one above."""
        return bool(self.places) and self.blanks and self._goes_on(list(row.cells))

    def forget(self) -> None:
        """Nothing goes on across a total or the heading of a group."""
        self.above, self.broken = {}, None

    def doubt(self, row: Row) -> Row:
        """A row that cannot be read may begin something, and what goes on after it belongs to it; or it goes on
        itself: then it is given what it seems to belong to."""
        if not self.places:
            return row
        likely = [*row.likely, *[None] * (max(self.places) + 1 - len(row.likely))]
        if not _blank(likely[self.places[0]]) or not self.above:
            self.above, self.broken = {self.places[0]: likely[self.places[0]]}, row.line
            return row
        for place in self.places:
            likely[place] = self.above.get(place) if _blank(likely[place]) else likely[place]
        return row._replace(likely=likely)

    def fill(self, row: Row) -> tuple[Cells, int | None]:
        """The cells with values from above, and the unreadable row that they go on with, if it is one."""
        if not self.places:
            return row.cells, None
        cells = list(row.cells)
        merged = self.continued.get(row.line, frozenset())
        goes_on = self.blanks and self._goes_on(cells)
        broken = self.broken if goes_on or self.places[0] in merged else None
        if broken is None and not _blank(cells[self.places[0]]):
            self.broken = None
        for place in self.places:
            if (place in merged or goes_on) and _blank(cells[place]):
                cells[place] = self.above.get(place)
            else:
                self.above[place] = cells[place]
        return cells, broken

    def _goes_on(self, cells: Cells) -> bool:
        if not self.above or not _blank(cells[self.places[0]]):
            return False
        return all(_blank(cells[n]) or cells[n] == self.above.get(n) for n in self.places)


def is_number(cell: str) -> bool:
    """Whether a cell shows a number, a share or a sum of money, whatever its spelling."""
    return NUMBER.fullmatch(SIGN.sub("", cell.strip()).strip()) is not None


def column_letters(place: int) -> str:
    """`A` of 0, `AA` of 26: the name of a workbook's column."""
    letters = ""
    number = place + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _blank(cell: str | None) -> bool:
    return cell is None or not cell.strip()
