"""Does what the target holds equal what we meant to write? Differences as sentences."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")  # without an offset it is the target's own clock
MAX_DIFFERENCES = 5  # enough for a person; the rest is told as a count


def differences(meant: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What of `meant` is not so in `found`; fields that only `found` has are the target's own defaults.

    Numbers compare as decimals ("20" = 20.00), times to the second, rows of a table part in order.
    """
    told = list(_compare(meant, found, ""))
    return (
        [*told[:MAX_DIFFERENCES], f"and {len(told) - MAX_DIFFERENCES} more"]
        if len(told) > MAX_DIFFERENCES
        else told
    )


def without(meant: Mapping[str, Any], names: Collection[str]) -> Mapping[str, Any]:
    """A body without some of its fields."""
    return {name: value for name, value in meant.items() if name not in names} if names else meant


def _compare(meant: Mapping[str, Any], found: Mapping[str, Any], where: str) -> Sequence[str]:
    told: list[str] = []
    for name, value in meant.items():
        place = f"{where}{name}"
        if name not in found:
            if value not in (None, "", []):
                told.append(f"{place}: meant {_shown(value)}, the target keeps no such field")
        elif isinstance(value, list):
            told += _compare_rows(value, found[name], place)
        elif not _same(value, found[name]):
            told.append(f"{place}: meant {_shown(value)}, found {_shown(found[name])}")
    return told


def _compare_rows(meant: Sequence[Any], found: Any, place: str) -> Sequence[str]:
    rows = found if isinstance(found, list) else []
    if len(rows) != len(meant):
        return [f"{place}: meant {len(meant)} rows, found {len(rows)}"]
    told: list[str] = []
    for number, (one, other) in enumerate(zip(meant, rows, strict=True), start=1):
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            told += _compare(one, other, f"{place} row {number} ")
        elif not _same(one, other):
            told.append(f"{place} row {number}: meant {_shown(one)}, found {_shown(other)}")
    return told


def _same(meant: Any, found: Any) -> bool:
    if meant == found or (meant in (None, "") and found in (None, "")):
        return True
    if isinstance(meant, str) and isinstance(found, str) and _MOMENT.match(meant) and _MOMENT.match(found):
        return meant[:19] == found[:19] if len(meant) == 19 or len(found) == 19 else meant == found
    if isinstance(meant, bool) or isinstance(found, bool):
        return str(meant).lower() == str(found).lower()
    try:
        return Decimal(str(meant)) == Decimal(str(found))
    except InvalidOperation:
        return str(meant) == str(found)


def _shown(value: Any) -> str:
    text = str(value)
    return f"{text[:60]}…" if len(text) > 60 else text
