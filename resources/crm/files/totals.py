"""The totals that a file brings, against its own rows: the best proof that nothing of it is missing.

A total adds up the rows since the beginning, or since a total before it, or all of them if it stands above
them; a group's heading may carry the sum of the rows below it. Excel leaves numbers kept as text out of a sum,
and SUBTOTAL leaves hidden rows out: a total that agrees once these are left out proves the file too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from resources.crm.files.layout import UnreadableError
from resources.crm.files.sheet import DASH, SIGN, Seen, SheetRows

# Excel adds in binary; its noise is far below half a kopeck, and a true difference is at least one.
NOISE = Decimal("0.005")
SHOWN_CELLS = 3
_DIGIT = re.compile(r"\d")
_THOUSANDS = re.compile(r"\d{1,3}(?:[.,' ]\d{3})+")


@dataclass(frozen=True, slots=True)
class _Variant:
    """Which rows a total may have been made of, and which mark separates the fraction."""

    visible_only: bool = False
    without_texts: bool = False
    point: str = ","

    @property
    def note(self) -> str:
        left_out = [
            words
            for words, chosen in (
                ("hidden rows", self.visible_only),
                ("numbers kept as text", self.without_texts),
            )
            if chosen
        ]
        return f"its totals leave out {' and '.join(left_out)}" if left_out else ""


@dataclass(slots=True)
class _Columns:
    """What a first look at the rows found."""

    numbers: dict[int, int] = field(default_factory=dict)
    others: dict[int, int] = field(default_factory=dict)
    totals: bool = False  # something to compare: rows of totals, or groups with sums
    total_rows: bool = False
    hidden: bool = False
    texts: bool = False
    like_total: Seen | None = None  # the first record that begins with the word of a total


@dataclass(frozen=True, slots=True)
class _Mark:
    """How far the rows had been added up."""

    rows: int
    unreadable: int
    next_line: int
    sums: tuple[Decimal, ...]


def check_totals(sheet: SheetRows) -> list[str]:
    """Compare every total with the rows that it adds up; returns remarks for a person.

    Checked are the columns of `control_totals`, else those that hold mostly numbers. Raises UnreadableError
    with both sums where a total agrees with no way of adding up its rows, and where columns are named in
    `control_totals` but their total cannot be told or read. A row that cannot be read leaves
    the totals over it unchecked: it is told by itself.
    """
    named = sheet.table.control_totals
    if named == ():
        return []
    found = _look(sheet)
    if named and found.like_total and not found.total_rows:
        raise UnreadableError(
            f"{sheet.opened.unit} {found.like_total.row.line} begins with the word of a total, but has texts beside like a row"
            f" of {sheet.table.entity}, and no other total stands in it; nothing of it was taken",
            "leave nothing but numbers in the row of the total; if the table has none, take `control_totals` of"
            f" {sheet.table.entity} away",
        )
    if not found.totals:
        return []
    if named is not None:
        places = [sheet.opened.columns.index(name) for name in named]
    else:
        names = {*sheet.key, *sheet.rules.codes, *sheet.rules.dates}
        places = [
            p
            for p, count in sorted(found.numbers.items())
            if p not in names and count >= found.others.get(p, 0)
        ]
    first: str | None = None
    for variant in _variants(found):
        told, unchecked = _Sums(sheet, places, variant, by_name=named is not None).disagreement()
        if not told:
            notes = [variant.note] if variant.note else []
            return notes + (
                [f"{unchecked} totals over rows that cannot be read are not checked"] if unchecked else []
            )
        first = first or told
    raise UnreadableError(
        f"{first}, so rows are missing, doubled or changed, and nothing of it was taken",
        "export it again whole; if such a total is no sum of these rows, name the columns that are summed in"
        f" `control_totals` of {sheet.table.entity} ([] for none)",
    )


def number_of(text: str | None, point: str = ",") -> Decimal | None:
    """The number that a cell shows; None for an empty cell, a text, a date, a share in percent.

    `point` is the mark of a fraction where one mark alone could also separate thousands ("1,234").
    """
    plain = (text or "").strip().replace("\u2212", "-")
    if not _DIGIT.search(plain):
        return None
    if not (plain[0].isdigit() and plain[-1].isdigit()):
        plain = SIGN.sub("", plain).strip()
    negative = plain[:1] == "-" or plain[-1:] == "-" or (plain[:1] == "(" and plain[-1:] == ")")
    plain = plain.strip("+-() ")
    if not plain or plain.strip("0123456789., '"):
        return None
    marks = [mark for mark in ".," if mark in plain]
    fraction = ""
    if len(marks) == 2:
        point = max(marks, key=plain.rfind)
    elif marks:
        (mark,) = marks
        if plain.count(mark) > 1:
            point = "," if mark == "." else "."  # it separates thousands
        elif mark == "." or len(plain.partition(mark)[2]) != 3:
            point = mark
    if plain.count(point) > 1:
        return None
    whole, _, fraction = plain.partition(point)
    if not whole.isdigit() and whole and not _THOUSANDS.fullmatch(whole):
        return None
    digits = re.sub(r"\D", "", whole)
    if (fraction and not fraction.isdigit()) or not digits + fraction:
        return None
    value = Decimal(f"{digits or 0}.{fraction or 0}")
    return -value if negative else value


def _look(sheet: SheetRows) -> _Columns:
    found = _Columns()
    for seen in sheet.rows():
        if seen.kind == "total" or (seen.kind == "group" and len([c for c in seen.own if c]) > 1):
            found.totals = True
            found.total_rows |= seen.kind == "total"
        elif seen.kind in ("record", "left_out"):
            found.hidden |= seen.hidden
            found.texts |= bool(seen.row.texts)
            if found.like_total is None and sheet.begins_as_total(seen):
                found.like_total = seen
            for place, cell in enumerate(seen.own[: sheet.rules.named]):
                if cell is not None and not cell.isspace():
                    counts = found.others if number_of(cell) is None else found.numbers
                    counts[place] = counts.get(place, 0) + 1
    return found


def _variants(found: _Columns) -> Iterator[_Variant]:
    for point in (",", "."):
        for visible in (False, True) if found.hidden else (False,):
            for texts in (False, True) if found.texts else (False,):
                yield _Variant(visible, texts, point)


class _Sums:
    """One way of adding up the rows, and the first total that does not agree with it."""

    def __init__(self, sheet: SheetRows, places: Sequence[int], variant: _Variant, *, by_name: bool) -> None:
        self.sheet, self.places, self.variant, self.by_name = sheet, places, variant, by_name
        self.sums = [Decimal(0)] * len(places)
        self.rows = self.unreadable = self.unchecked = 0
        self.no_numbers: list[str] = []  # the first cells of summed columns that hold something else

    def disagreement(self) -> tuple[str, int]:
        """A sentence, empty if all agree; and how many totals could not be checked."""
        marks = [self._mark(self.sheet.opened.header.last + 1)]
        group: tuple[Seen, _Mark] | None = None
        top: tuple[Seen, _Mark] | None = None  # a total that stands above all rows
        begun = False
        line = self.sheet.opened.header.last
        for seen in self.sheet.rows():
            line = seen.row.line
            if seen.kind == "unreadable":
                begun = True
                self.unreadable += 1
            elif seen.kind in ("group", "total"):
                if group and (told := self._compare(group[0], [group[1]], line)):
                    return told, self.unchecked
                group = (seen, self._mark(line + 1)) if seen.kind == "group" else None
                if seen.kind == "total" and not begun:
                    top = top or (seen, self._mark(line + 1))
                elif seen.kind == "total":
                    if told := self._compare(seen, marks, line):
                        return told, self.unchecked
                    marks.append(self._mark(line + 1))
            elif seen.kind in ("record", "left_out"):
                begun = True
                self._add(seen)
        for waiting in (group, top):
            if waiting and (told := self._compare(waiting[0], [waiting[1]], line + 1)):
                return told, self.unchecked
        return "", self.unchecked

    def _add(self, seen: Seen) -> None:
        if seen.hidden and self.variant.visible_only:
            return
        self.rows += 1
        for n, place in enumerate(self.places):
            cell = seen.own[place]
            if cell is None or cell.isspace() or (self.variant.without_texts and place in seen.row.texts):
                continue
            value = number_of(cell, self.variant.point)
            if value is not None:
                self.sums[n] += value
            elif len(self.no_numbers) < SHOWN_CELLS:
                self.no_numbers.append(
                    f"{self.sheet.opened.unit} {seen.row.line}, {self.sheet.cell(seen.row, place)}"
                )

    def _mark(self, next_line: int) -> _Mark:
        return _Mark(self.rows, self.unreadable, next_line, tuple(self.sums))

    def _compare(self, seen: Seen, marks: list[_Mark], line: int) -> str:
        """Find the mark since which the rows add up to this total; marks after it are closed by it."""
        told: list[tuple[Decimal, str]] = []
        given = [(n, number_of(seen.own[p], self.variant.point)) for n, p in enumerate(self.places)]
        if self.by_name:
            self._readable(seen, [n for n, value in given if value is None])
        if all(value is None for _, value in given):
            return ""
        for place in range(len(marks) - 1, -1, -1):
            mark = marks[place]
            if mark.rows == self.rows and mark.unreadable == self.unreadable and place:
                continue  # nothing stands between
            if mark.unreadable != self.unreadable:
                self.unchecked += 1
                return ""
            wrong = [
                (n, value, self.sums[n] - mark.sums[n])
                for n, value in given
                if value is not None
                and not self._agrees(value, self.sums[n] - mark.sums[n], self.rows - mark.rows)
            ]
            if not wrong:
                del marks[place + 1 :]
                return ""
            lack = sum((abs(total - added) for _, total, added in wrong), Decimal(0))
            told.append((lack, self._sentence(seen, wrong, mark, line)))
        return min(told)[1]  # the rows that it comes nearest to

    def _readable(self, seen: Seen, unread: Sequence[int]) -> None:
        """Raises UnreadableError where one of these places of a total holds something all the same."""
        for n in unread:
            cell = (seen.own[self.places[n]] or "").strip()
            if cell and seen.kind == "total" and not DASH.fullmatch(cell):
                raise UnreadableError(
                    f"{self.sheet.opened.unit} {seen.row.line} is a total whose {self.sheet.cell(seen.row, self.places[n])}"
                    f' says "{cell}", which is no number, so nothing proves that its rows are all there',
                    f"write a plain number there, or take the column out of `control_totals` of {self.sheet.table.entity}",
                )

    def _agrees(self, total: Decimal, added: Decimal, rows: int) -> bool:
        allowed = max(self.sheet.table.control_difference, NOISE)
        return abs(total - added) <= allowed or (not self.by_name and total == rows)  # a count of rows

    def _sentence(
        self, seen: Seen, wrong: Sequence[tuple[int, Decimal, Decimal]], mark: _Mark, line: int
    ) -> str:
        unit = self.sheet.opened.unit
        caption = next((cell.strip() for cell in seen.own if cell and cell.strip()), "")
        sums = " and ".join(
            f'{_shown(total)} of "{self.sheet.opened.columns[self.places[n]]}" while the rows add up to {_shown(added)}'
            for n, total, added in wrong
        )
        cells = f"; no numbers stand in {', '.join(self.no_numbers)}" if self.no_numbers else ""
        return f'{unit} {seen.row.line} ("{caption}") says {sums} ({unit}s {mark.next_line} to {line - 1}){cells}'


def _shown(number: Decimal) -> str:
    return f"{number:,.2f}".replace(",", " ") if number == number.quantize(Decimal("0.01")) else f"{number:f}"
