"""Reading a module by queries, page after page behind a key, so that no row is left out while others change.

whole       in the order of ids
changed     in the order of stamps, then ids: what changes meanwhile comes once more at the end
valued      records whose lookup or id is one of these

A page begins behind the last row of the one before, never at an offset: rows that are deleted or change their place
move nothing. A page without rows ends nothing where the one before told of more: what would follow would be taken for
deleted. It is asked for again, and the end of a whole module is believed where its count agrees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from resources.connector import SourceError
from resources.crm.zoho.org import FEW_ROWS, MAX_IDS, QUERY_ROWS, Org, Rows

MAX_PAGES: Final = 100_000  # of one reading
PAGE_ATTEMPTS: Final = 3  # of a page that repeats another
STAMPS: Final = {"id", "Created_Time", "Modified_Time"}
EVERY: Final = "id is not null"
BY_ID: Final = "id asc"
BY_TIME: Final = "Modified_Time asc, id asc"


class Head(msgspec.Struct):
    """What a row is known by."""

    id: str
    Modified_Time: str | None = None


def whole(org: Org, module: str, fields: Sequence[str]) -> Iterator[Rows]:
    """Every living row. Raises SourceError."""
    yield from _by_id(org, module, fields, "", QUERY_ROWS)


def changed(org: Org, module: str, fields: Sequence[str], since: datetime) -> Iterator[Rows]:
    """What was changed since then, inclusive; rows may come twice. Raises SourceError."""
    start = f"'{since.astimezone(UTC).replace(microsecond=0).isoformat()}'"
    where, rows = f"Modified_Time >= {start}", FEW_ROWS
    last = Head("")
    for _ in range(MAX_PAGES):
        for _ in range(PAGE_ATTEMPTS):
            got, more = org.query(module, fields, where, BY_TIME, rows=rows)
            first, end = _ends(org, module, got) if got else (last, last)
            seen = (first.id, first.Modified_Time) == (last.id, last.Modified_Time)
            if not got and last.id:
                continue  # the page before told of more
            if not got or (not seen and _asked_for(got, fields)):
                break
        else:
            raise _repeats(org, module) if got else _broken_off(org, module)
        if got:
            yield got
        if not more or not got:
            return
        if not end.Modified_Time or (last.id and _moment(end) < _moment(last)):
            raise SourceError(
                f"{org.system}: a query of {module} by time is not in the order of time; try again later",
                retriable=True,
            )
        last, rows = end, QUERY_ROWS
        same = f"Modified_Time = '{end.Modified_Time}' and id > '{end.id}'"
        where = f"(({same}) or Modified_Time > '{end.Modified_Time}')"
    raise _endless(org, module)


def valued(org: Org, module: str, fields: Sequence[str], column: str, ids: Sequence[str]) -> Iterator[Rows]:
    """Living rows whose `column` (a lookup, or id) is one of these. Raises SourceError."""
    known = list(dict.fromkeys(one for one in ids if one.isdigit()))
    for start in range(0, len(known), MAX_IDS):
        part = ", ".join(f"'{one}'" for one in known[start : start + MAX_IDS])
        yield from _by_id(org, module, fields, f"{column} in ({part})", FEW_ROWS)


def heads(rows: Rows) -> list[Head]:
    """The heads of rows; rows that have none are left out."""
    found = []
    for row in rows:
        try:
            found.append(_decode(row))
        except msgspec.DecodeError:
            continue
    return found


_decode = msgspec.json.Decoder(Head, strict=False).decode


def _by_id(org: Org, module: str, fields: Sequence[str], condition: str, rows: int) -> Iterator[Rows]:
    last = received = 0
    for _ in range(MAX_PAGES):
        behind = f"id > '{last}'" if last else ""
        where = f"({condition} and {behind})" if condition and behind else condition or behind or EVERY
        for attempt in range(PAGE_ATTEMPTS):
            got, more = org.query(module, fields, where, BY_ID, rows=rows)
            if not got and where == EVERY and not attempt:
                continue  # nothing at all would delete everything: it is asked for twice
            if not got and last:
                continue  # the page before told of more
            if not got or (int(_ends(org, module, got)[0].id) > last and _asked_for(got, fields)):
                break
        else:
            if got:
                raise _repeats(org, module)
            if condition or org.count(module) > received:
                raise _broken_off(org, module)
        received += len(got)
        if got:
            yield got
        if not more or not got:
            return
        last = int(_ends(org, module, got)[1].id)
    raise _endless(org, module)


def _ends(org: Org, module: str, rows: Rows) -> tuple[Head, Head]:
    try:
        found = heads(rows)  # one that is no record is set apart, and the others lead on
        first, last = found[0], found[-1]
        if not (first.id.isdigit() and last.id.isdigit()):
            raise ValueError
    except (IndexError, ValueError):
        raise SourceError(
            f"{org.system}: a row of {module} came without its id; try again later", retriable=True
        ) from None
    return first, last


def _asked_for(rows: Rows, fields: Sequence[str]) -> bool:
    """Whether the rows answer this question, and not one that was asked before."""
    asked = {*fields} - STAMPS
    try:
        row = next((row for row in rows if heads([row])), rows[0])
        names = msgspec.json.decode(row, type=dict[str, msgspec.Raw])
        there = {name for name in names if not name.startswith("$")} - STAMPS
    except msgspec.DecodeError:
        return False
    return there <= asked and bool(there) == bool(asked)


def _moment(head: Head) -> datetime:
    try:
        return datetime.fromisoformat(head.Modified_Time or "")
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _repeats(org: Org, module: str) -> SourceError:
    return SourceError(
        f"{org.system}: a page of {module} repeats another, {PAGE_ATTEMPTS} times; try again later",
        retriable=True,
    )


def _broken_off(org: Org, module: str) -> SourceError:
    return SourceError(
        f"{org.system}: a page of {module} came without a row, {PAGE_ATTEMPTS} times, though the page before told of "
        "more; nothing is deleted on the strength of it, try again later",
        retriable=True,
    )


def _endless(org: Org, module: str) -> SourceError:
    return SourceError(
        f"{org.system}: {module} does not end within {MAX_PAGES} pages; try again later", retriable=True
    )
