"""Values as systems write them, read by a plain cast where it surely cannot fail; all else as ops.parse_... do.

`ops.parse_time` tries every spelling that people use, which costs 25 microseconds a value; most values come
from a machine and have one spelling. Looking their parts up among those that are valid (PostgreSQL hashes such
lists once a statement) and casting costs 4. The result is the same: what no list knows goes the long way.
Of 200,000 values in one statement, microseconds each: moments 25.1 -> 4.0, dates 6.2 -> 1.6, numbers
3.3 -> 2.2 (PostgreSQL 18, `explain (analyze, timing off)`, two busy cores).

`text` is repeated in the SQL: it is a column, not a long expression.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable

from mappings.quoting import literal

COMMON_YEAR = 2026  # without 29 February: which years have one is left to the thorough way
LONGEST_NUMBER = 60  # characters, as ops.parse_number takes them

_YEARS = [f"{year}-" for year in range(1990, 2060)]
_DAYS = [
    f"{month:02}-{day:02}"
    for month in range(1, 13)
    for day in range(1, monthrange(COMMON_YEAR, month)[1] + 1)
]
_HOURS = [f"T{hour:02}" for hour in range(24)]
_SIXTY = [f":{number:02}" for number in range(60)]
_OFFSETS = [
    f"{sign}{hour:02}:{quarter:02}" for sign in "+-" for hour in range(15) for quarter in (0, 15, 30, 45)
]
_AFTER_DAY = ["", *(f"{sign}{digit}" for sign in "T " for digit in range(10))]


def moment_sql(text: str, zone: str) -> str:
    """SQL: timestamptz of a text, as ops.parse_time(text, zone) reads it. Quick: ISO 8601 to the second."""
    clock = " and ".join(
        f"substr({text}, {start}, 3) in {_listed(parts)}"
        for start, parts in ((11, _HOURS), (14, _SIXTY), (17, _SIXTY))
    )
    end = f"substr({text}, 20)"
    thorough = f"ops.parse_time({text}, {literal(zone)})"
    return (
        f"case when {_day(text)} and {clock} then"
        f" case when {end} in {_listed(['Z', *_OFFSETS])} then ({text})::timestamptz"
        f" when {end} = '' then ({text})::timestamp at time zone {literal(zone)} else {thorough} end"
        f" else {thorough} end"
    )


def date_sql(text: str, style: str) -> str:
    """SQL: date of a text, as ops.parse_date(text, style) reads it. Quick: ISO 8601, with a time or without."""
    return (
        f"case when {_day(text)} and substr({text}, 11, 2) in {_listed(_AFTER_DAY)}"
        f" then left({text}, 10)::date else ops.parse_date({text}, {literal(style)}) end"
    )


def number_sql(text: str, style: str) -> str:
    """SQL: numeric of a text, as ops.parse_number(text, style) reads it. Quick: digits with at most one point."""
    plain = (
        f"translate({text}, '0123456789', '') in ('', '.')"
        f""" and {text} collate "C" >= '0' and {text} collate "C" < ':' and right({text}, 1) <> '.'"""
        f" and octet_length({text}) <= {LONGEST_NUMBER}"
    )
    return f"case when {plain} then ({text})::numeric else ops.parse_number({text}, {literal(style)}) end"


def _day(text: str) -> str:
    return f"left({text}, 5) in {_listed(_YEARS)} and substr({text}, 6, 5) in {_listed(_DAYS)}"


def _listed(parts: Iterable[str]) -> str:
    return f"({', '.join(literal(part) for part in parts)})"
