"""Dates as people write them, several ways in one column, as ISO 8601; what reads two ways is not guessed."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Literal

DateStyle = Literal["auto", "day_first", "month_first"]
FIRST_YEAR, LAST_YEAR = 1900, 2199  # dates of business, as the reading of mappings has it
CENTURY_TURN = 70  # "26" is 2026, "70" is 1970
FIRST_SERIAL, LAST_SERIAL = 20_000, 80_000  # days since 1899-12-30: a date whose cell lost its format

_MONTHS = (
    ("янв", "jan"), ("фев", "feb"), ("мар", "mar"), ("апр", "apr"), ("май мая", "may"), ("июн", "jun"),
    ("июл", "jul"), ("авг", "aug"), ("сен", "sep"), ("окт", "oct"), ("ноя", "nov"), ("дек", "dec"),
)  # fmt: skip
MONTHS = {word: n for n, words in enumerate(_MONTHS, 1) for word in " ".join(words).split()}
_CLOCK = r"(?:[T,\s]\s*(?P<h>\d{1,2}):(?P<mi>\d\d)(?::(?P<s>\d\d)(?:[.,]\d+)?)?)?"
_ISO = re.compile(rf"(?P<y>\d{{4}})-(?P<m>\d\d?)-(?P<d>\d\d?){_CLOCK}")
_DOTTED = re.compile(
    rf"(?P<a>\d\d?)(?P<sign>[./-])(?P<b>\d\d?)(?P=sign)(?P<y>\d{{4}}|\d\d)\s*(?:г\.?)?{_CLOCK}"
)
_WORDED = re.compile(
    rf"(?P<d>\d\d?)[\s.-]+(?P<word>[a-zа-я]{{3,9}})\.?[\s.,-]+(?P<y>\d{{4}}|\d\d)\s*(?:г\.?|года)?{_CLOCK}",
    re.I,
)
_EMPTY = re.compile(r"[\s.:/–—-]*")  # "  .  .    " is how 1C shows a date that was not filled in


class UnclearDate(Exception):
    """A text that is no date, or may be two. `cause` and `remedy` for a person."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}; {remedy}")
        self.cause, self.remedy = cause, remedy


@lru_cache(maxsize=4096)  # the days of a sheet come again and again
def iso_date(text: str, style: DateStyle = "auto") -> str | None:
    """`2026-03-05`, or `2026-03-05T14:30:00` where a time of day is given; None for a date left empty.

    No zone: a sheet knows none. `style` says which part of 03/05/2026 is the day; with "auto" only what reads
    one way is taken. Dates with dots are day first. 1C's empty date (year 1) is none. Raises UnclearDate.
    """
    text = text.strip()
    if _EMPTY.fullmatch(text):
        return None
    if found := _ISO.fullmatch(text):
        day, month = int(found["d"]), int(found["m"])
    elif found := _DOTTED.fullmatch(text):
        day, month = _day_and_month(text, found, style)
    elif found := _WORDED.fullmatch(text):
        word = found["word"].lower()
        day, month = int(found["d"]), MONTHS.get(word, MONTHS.get(word[:3], 0))
    elif text.isdigit() and FIRST_SERIAL <= int(text) <= LAST_SERIAL:
        raise UnclearDate(
            f'holds "{text}", a date whose cell lost its format',
            "format the column as a date and export again",
        )
    if found is None:
        raise UnclearDate(f'holds "{text[:40]}", which is no date', "write it as 2026-03-05 or 05.03.2026")
    year = int(found["y"])
    if len(found["y"]) == 2:
        year += 2000 if year < CENTURY_TURN else 1900
    if year == 1:
        return None
    clock = [int(found[part] or 0) for part in ("h", "mi", "s")]
    try:
        whole = date(year, month, day).isoformat()
    except ValueError:
        whole = ""
    if whole and not FIRST_YEAR <= year <= LAST_YEAR:
        raise UnclearDate(
            f'holds "{text}", which is not between {FIRST_YEAR} and {LAST_YEAR} and so no date of business',
            "correct the year, or leave the cell empty",
        )
    if not whole or clock[0] > 23 or max(clock[1:]) > 59:
        raise UnclearDate(f'holds "{text}", a day that does not exist', "correct it")
    return f"{whole}T{clock[0]:02}:{clock[1]:02}:{clock[2]:02}" if found["h"] else whole


def _day_and_month(text: str, found: re.Match[str], style: DateStyle) -> tuple[int, int]:
    first, second = int(found["a"]), int(found["b"])
    if found["sign"] == "." or style == "day_first" or first == second:
        return first, second
    if style == "month_first":
        return second, first
    if first > 12 or second > 12:
        return (first, second) if first > 12 else (second, first)
    raise UnclearDate(
        f'holds "{text}", which is day {first} of month {second}, or day {second} of month {first}',
        "write it as 2026-03-05, or say `date_order: day_first` or `month_first` of the table",
    )
