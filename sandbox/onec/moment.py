"""Moments that virtual tables are asked for, as naive strings of the server's wall clock."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.onec.error import OPTION, ODataError
from sandbox.onec.values import DATETIME

START = "0001-01-01T00:00:00"
END = "9999-12-31T23:59:59"


def moment(arguments: Mapping[str, str], name: str, default: str) -> str:
    """A date argument: `datetime'2026-01-31T00:00:00'` (the quotes may come without `datetime`)."""
    text = arguments.get(name, "").strip()
    if not text:
        return default
    bare = text.removeprefix("datetime").strip("'")
    if not DATETIME.fullmatch(bare):
        raise ODataError(OPTION, f"Ошибка разбора опций запроса: {name}={text[:60]}")
    return bare
