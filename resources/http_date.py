"""Dates in the headers of answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def http_date(text: str) -> datetime | None:
    """A date of HTTP as UTC; None where it is none, or of no time in which this runs."""
    read = _read(text)
    return read if read is not None and 2000 <= read.year < 2100 else None


def behind(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds by which the clock behind an answer lies behind ours, or none where it is ahead; None where nothing tells:
    without a Date, or of an answer that a cache gave (RFC 9111: it has an Age, and the Date of long ago)."""
    there = http_date(headers.get("date", ""))
    if there is None or headers.get("age", "0").strip() not in ("", "0"):
        return None
    return max(0.0, (now - there).total_seconds())


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from a Retry-After header (a number or an HTTP date), None without one.

    A date is by the vendor's clock, as the answer's own Date is; ours counts where that is missing.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    then = _read(value)
    if then is None:
        return None
    now = http_date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (then - now).total_seconds())


def _read(text: str) -> datetime | None:
    try:
        read = parsedate_to_datetime(text) if text else None
        return read and (read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC))
    except (TypeError, ValueError, OverflowError, IndexError):  # in UTC it may lie outside the calendar
        return None
