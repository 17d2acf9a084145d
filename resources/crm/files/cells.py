"""The cells of a row as a person meant them: blanks, apostrophes, codes, dates; and cells that cannot be trusted.

What is changed is only what Excel or an export did to a value on its way: kinds of blanks, invisible
characters, the apostrophe that keeps a text from being a number, ".0" of a code, the spelling of a date.
What was lost on the way (digits, the result of a formula, which part of a date is the month) is not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from resources.crm.files.dates import DateStyle, UnclearDate, iso_date
from resources.crm.files.header import INVISIBLE, JOINT
from resources.crm.files.layout import Cells

BLANKS = dict.fromkeys(
    map(ord, "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000"), " "
)
# As Excel writes them in English and in Russian; "#####" is a column too narrow for its value when a CSV was
# saved, "Err:502" is LibreOffice's.
FAILED = re.compile(
    r"#(?:N/A|REF!|VALUE!|NAME\?|DIV/0!|NULL!|NUM!|SPILL!|CALC!|GETTING_DATA"
    r"|Н/Д|ССЫЛКА!|ЗНАЧ!|ИМЯ\?|ДЕЛ/0!|ПУСТО!|ЧИСЛО!|ПЕРЕНОС!|ВЫЧИСЛ!)|#{3,}|Err:5\d\d"
)
SCIENTIFIC = re.compile(r"([-+]?)(\d)(?:[.,](\d+))?[eEеЕ]\+(\d{2,3})")
WITH_FRACTION = re.compile(r"(\d{4,})[.,]0+")
CODE_NAMES = re.compile(r"(?i)\b(инн|кпп|огрн|огрнип|окпо|бик|inn|kpp|ogrn)\b")
APOSTROPHES = "'’`"
# A row without any of these characters needs no second look; nearly all have none.
ODD = re.compile(f"[{''.join(map(chr, [*BLANKS, *INVISIBLE]))}{APOSTROPHES}#+]")


@dataclass(frozen=True, slots=True)
class CellRules:
    """What columns hold, by their places from 0."""

    codes: frozenset[int] = frozenset()  # numbers that are names: INN, KPP, a deal's number
    dates: frozenset[int] = frozenset()
    date_style: DateStyle = "auto"
    may_fail: frozenset[int] = frozenset()  # a failed formula counts as an empty cell
    named: int = 0  # how many columns the header names; what stands to the right is a remark
    read: tuple[int, ...] = ()  # codes and dates: read in every row


@dataclass(frozen=True, slots=True)
class Doubt:
    """A cell that cannot be trusted: its place, what is wrong with it, and what to do."""

    place: int
    cause: str
    remedy: str


def is_odd(cells: Cells) -> bool:
    """Whether a row may hold anything of what this module looks for, beside codes and dates."""
    text = "\n".join([cell for cell in cells if cell])
    return ODD.search(text) is not None or "Err:" in text


def plain_cells(cells: Cells) -> Cells:
    """The cells with ordinary blanks, without invisible characters and the apostrophe before a number."""
    return [_plain(cell) if cell is not None else None for cell in cells]


def read_cells(cells: Cells, rules: CellRules, *, odd: bool = True) -> tuple[Cells, Sequence[Doubt]]:
    """Codes as digits, dates as ISO 8601; and the cells that cannot be trusted, left as they are.

    `odd`: as `is_odd` says of the row as it was given.
    """
    doubts: list[Doubt] = []
    found: list[str | None] | None = None
    for place in range(min(rules.named, len(cells))) if odd else rules.read:
        cell = cells[place]
        if cell is None:
            continue
        text = cell.strip()
        if not odd and place in rules.codes and text[-1:] != "0":
            continue  # nearly all codes
        read = _read(place, text, rules, doubts)
        if read != text:
            found = found or list(cells)
            found[place] = read
    return found or cells, doubts


def is_failed(text: str | None) -> bool:
    """Whether a text without blanks around it is the name of a formula's failure, such as #N/A or #ССЫЛКА!"""
    return text is not None and text[:1] in ("#", "E") and FAILED.fullmatch(text) is not None


def codes_by_name(columns: Sequence[str]) -> tuple[str, ...]:
    """Columns that hold codes, by their names: INN, KPP, OGRN, BIK and the like."""
    return tuple(name for name in columns if CODE_NAMES.search(name.rpartition(JOINT)[2]))


def _read(place: int, text: str, rules: CellRules, doubts: list[Doubt]) -> str | None:
    if is_failed(text):
        if place in rules.may_fail:
            return None
        what = "a column too narrow to show its value" if text.startswith("##") else "a formula that failed"
        remedy = "widen the column" if text.startswith("##") else "mend the formula or type the value"
        doubts.append(Doubt(place, f"holds {text}, {what}", f"{remedy} and export again"))
        return text
    if "+" in text and (match := SCIENTIFIC.fullmatch(text)):
        digits, exponent = match[3] or "", int(match[4])
        if len(digits) < exponent:
            doubts.append(
                Doubt(
                    place,
                    f'holds "{text}": only {len(digits) + 1} of its {exponent + 1} digits are left',
                    "format the column as text (or as a number without decimals), restore the value and"
                    " export again",
                )
            )
            return text
        whole, fraction = match[2] + digits[:exponent], digits[exponent:].rstrip("0")
        return match[1].replace("+", "") + whole + (f".{fraction}" if fraction else "")
    if place in rules.codes and (match := WITH_FRACTION.fullmatch(text)):
        return match[1]
    if place in rules.dates:
        try:
            return iso_date(text, rules.date_style)
        except UnclearDate as unclear:
            doubts.append(Doubt(place, unclear.cause, unclear.remedy))
    return text


def _plain(cell: str) -> str:
    text = cell.translate(BLANKS).translate(INVISIBLE)
    # Excel shows no leading apostrophe; exports put one before what a formula could begin with.
    bare = text.lstrip()
    if bare[:1] in tuple(APOSTROPHES) and re.match(r"[\d=+@(-]", bare[1:]) and bare[-1] not in APOSTROPHES:
        return bare[1:]
    return text
