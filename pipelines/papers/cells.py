"""Cells of workbooks: a number is a number, a day is a day, and a text never becomes a formula."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from openpyxl.cell.cell import Cell

MAX_TEXT: Final = 32_767  # characters that a cell of Excel holds
MAX_TAB: Final = 31  # characters of the name of a sheet
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
# What XML 1.0 does not hold.
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NO_TAB: Final = re.compile(r"[\[\]:*?/\\]")


def plain(cell: Cell, value: Any) -> Cell:
    """Put a value into a cell as what it is: text stays text, whatever it begins with. Times lose their zone, as Excel has none."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.replace(tzinfo=None)
    if not isinstance(value, str):
        cell.value = value
        return cell
    text = shown(value)
    cell.value = text
    cell.data_type = "s"  # "=..." would be taken for a formula
    if text.startswith(FORMULA_STARTS):
        cell.quotePrefix = True  # also when somebody edits the cell, or saves it as CSV and opens that
    return cell


def shown(text: str) -> str:
    """A text that a cell can hold."""
    clean = _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
    return clean if len(clean) <= MAX_TEXT else clean[: MAX_TEXT - 1] + "…"


def tab_name(taken: Collection[str], *parts: str) -> str:
    """A name for a sheet that is none of `taken`: `RUB Наша фирма`, and with a number behind it where that is taken."""
    name = (
        _NO_TAB.sub(" ", _FORBIDDEN.sub(" ", " ".join(filter(None, parts)))).strip().strip("'")[:MAX_TAB]
        or "1"
    )
    number, found = 1, name
    lower = {other.lower() for other in taken}
    while found.lower() in lower:
        number += 1
        found = f"{name[: MAX_TAB - 1 - len(str(number))]} {number}"
    return found
