"""The quick ways to a value, beside the thorough reading of the database, over what people and programs write."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from mappings.quick import date_sql, moment_sql, number_sql
from resources.warehouse import Warehouse

ENDS = ["", "Z", "z", "+03:00", "-14:59", "-14:45", "+15:00", "+16:00", "+03", "+03:60", "+0300", " +03:00"]
DAYS = ["2026-02-28", "2026-02-29", "2026-02-30", "2024-02-29", "2026-04-31", "2026-12-31", "2026-13-01",
        "2026-00-10", "2026-01-00", "1899-12-30", "1989-12-31", "2059-01-01", "2199-12-30", "2200-01-01",
        "0001-01-01", "20260210", "10.02.2026", "10/02/2026"]  # fmt: skip
TIMES = [
    "T00:00:00",
    "T23:59:59",
    "T24:00:00",
    "T10:60:00",
    "T10:00:60",
    " 10:00:00",
    "T10:00:00.5",
    "T10:00",
    "",
    "T",
    "Tx",
]
NUMBERS = ["0", "007", "12.50", "1.", ".5", ".", "-1", "-1.5", "5-", "1.2.3", "1,5", "1,234", "1 234,50", "1e5", "٣", "１２",
           "9" * 60, "9" * 61, "0." + "1" * 58, "0." + "1" * 59, "12 ", "+7", "(12)", "NaN", "Infinity", "0x1F",
           "1_000", "100 ₽"]  # fmt: skip
STRANGE = ["", " ", "нет", "17", "1767225600", "1767225600000", "now", "today", "infinity", "epoch", None]


def _spoiled(good: Sequence[str], number: int) -> list[str]:
    """Values with one character changed, lost or doubled; the same ones every time."""
    chance = random.Random(20260210)
    found = []
    for _ in range(number):
        text = chance.choice(good)
        at = chance.randrange(len(text))
        found.append(text[:at] + chance.choice(["", text[at] * 2, *"0129:-T.+ Zх٣"]) + text[at + 1 :])
    return found


@pytest.mark.parametrize("style", ["auto", "ru", "en"])
def test_the_quick_way_to_a_value_reads_it_as_the_thorough_one(warehouse: Warehouse, style: str) -> None:
    moments = [f"{day}{time}{end}" for day in DAYS for time in TIMES for end in ENDS]
    written: list[str | None] = [
        *moments,
        *NUMBERS,
        *STRANGE,
        *_spoiled(moments, 8_000),
        *_spoiled(NUMBERS, 4_000),
    ]
    with warehouse.connect() as conn:
        conn.execute("create temporary table m as select distinct unnest(%s::text[]) as t", [written])
        for quick, thorough in (
            (moment_sql("t", "Europe/Moscow"), "ops.parse_time(t, 'Europe/Moscow')"),
            (date_sql("t", style), f"ops.parse_date(t, '{style}')"),
            (number_sql("t", style), f"ops.parse_number(t, '{style}')"),
        ):
            differ = conn.execute(
                f"select t, {quick}, {thorough} from m where {quick} is distinct from {thorough}"
            )
            assert differ.fetchall() == []
            (read,) = conn.execute(f"select count({thorough}) from m").fetchone() or (0,)
            assert read > 100
