"""Whole objects by Bulk API 2.0: a query job, its rows as CSV, and each as the JSON that the REST API gives of it.

CSV knows no types and no null: what a value is comes from the object's description, an empty one is null. Times
end in Z here and in +0000 there; they are written as there, so that a record read both ways is the same record.
Links (`attributes`) are in REST rows only, and count as no change.
"""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring
from threading import Event
from typing import Final

import msgspec

from resources.connector import Refused, SourceError
from resources.crm.salesforce.org import Field, Org, Query
from resources.http import Answer

FIRST_POLL, LONGEST_POLL = 0.1, 10.0  # seconds between questions whether a job is done
MAX_POLLS: Final = 2_000  # of one job: some five hours
MAX_RESULTS: Final = 100_000  # pages of one job
PAGE_ATTEMPTS: Final = 3  # of a page of results that came cut off
PAGE_ROWS: Final = 10_000  # of one page of results; two of each object are held at once
NUMBERS: Final = ("int", "long", "double", "currency", "percent")
ACCEPTS: Final = {"Accept": "text/csv"}

log = logging.getLogger(__name__)

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+")
_NUMBERS: Final = re.compile(rf"(?:{_NUMBER.pattern}\n|\n)*+")  # a whole column at once

Table = Sequence[Sequence[str]]


class BulkUnfitError(Exception):
    """The vendor does not run this query as a job; the REST API may."""


class _ForeignJobError(BulkUnfitError):
    """The job that the vendor named is another's: not ours to end."""


def tables(org: Org, query: Query, stop: Event, page: int = PAGE_ROWS) -> Iterator[tuple[list[str], Table]]:
    """The names of the columns and rows of the result, page by page. The job is deleted afterwards.

    Raises BulkUnfitError before the first page, SourceError. Ends early once `stop` is set.
    """
    body = {
        "operation": "queryAll" if query.deleted else "query",
        "query": query.soql(ordered=False),
        "contentType": "CSV",
        "lineEnding": "LF",
    }
    try:
        job = org.opened(org.request("POST", "jobs/query", json=body), _Job, "jobs/query")
    except Refused as error:
        raise BulkUnfitError(str(error)) from None
    path, ours = f"jobs/query/{job.id}", True
    try:
        if (done := _completed(org, path, query, stop)) is not None:
            yield from _results(org, path, query, stop, page, done.numberRecordsProcessed)
    except _ForeignJobError:
        ours = False
        raise
    finally:
        if ours:  # else another read may be at it
            try:
                org.request("DELETE", path, want="any")
            except SourceError as error:
                log.info("%s: a finished job stays behind, for seven days: %s", org.system, error)


def as_rest(names: Sequence[str], table: Table, fields: Mapping[str, Field]) -> list[msgspec.Raw]:
    """Rows of a CSV as the JSON objects that the REST API gives. Raises ValueError for a row of another length."""
    template = "{" + ",".join(f"{encode_basestring(name)}:%s" for name in names) + "}"
    columns = [
        _formed(column, fields[name].type if name in fields else "")
        for name, column in zip(names, zip(*table, strict=True), strict=True)
    ]
    return [msgspec.Raw((template % row).encode()) for row in zip(*columns, strict=True)]


def _completed(org: Org, path: str, query: Query, stop: Event) -> _Job | None:
    """The job once it is done; None where `stop` was set."""
    pause = FIRST_POLL
    for _ in range(MAX_POLLS):
        if stop.is_set():
            return None
        try:
            job: _Job = org.opened(org.request("GET", path), _Job, "jobs/query")
        except Refused as error:
            raise BulkUnfitError(str(error)) from None
        if job.object != query.object:
            raise _ForeignJobError(f"the job that was begun for {query.object} reads {job.object}")
        if job.state == "JobComplete":
            return job
        if job.state == "Failed":
            raise BulkUnfitError(job.errorMessage or "the job failed without a word")
        if job.state == "Aborted":
            raise SourceError(
                f"{org.system}: somebody ended the job that reads {query.object}; the next run begins another",
                retriable=True,
            )
        org.client.sleep(pause)
        pause = min(pause * 1.5, LONGEST_POLL)
    raise SourceError(
        f"{org.system}: the job that reads {query.object} does not end; look at Setup, Bulk Data Load Jobs",
        retriable=True,
    )


def _results(
    org: Org, path: str, query: Query, stop: Event, page: int, most: int | None
) -> Iterator[tuple[list[str], Table]]:
    """`most`: how many rows the job tells of, where it tells."""
    locator, met, first, received = "", {""}, [""], 0
    for _ in range(MAX_RESULTS):
        if stop.is_set():
            return
        try:
            answer, names, table = _page(org, path, query, locator, page, first)
        except Refused as error:
            if not received:
                raise BulkUnfitError(str(error)) from None
            raise SourceError(
                f"{org.system}: the results of the job that reads {query.object} are gone after {received} rows: "
                f"{error}; the next run begins another",
                retriable=True,
            ) from None
        if table:
            first = list(table[0])
            received += len(table)
            yield names, table
        locator = answer.headers.get("sforce-locator", "null").strip()
        if locator in ("null", ""):
            if most is not None and received != most:
                raise SourceError(
                    f"{org.system}: the job that reads {query.object} tells of {most} rows and gave {received}; "
                    "try again later",
                    retriable=True,
                )
            return
        if locator in met:
            raise SourceError(
                f"{org.system}: the pages of the job that reads {query.object} lead back to one that was read; "
                "try again later",
                retriable=True,
            )
        met.add(locator)
    raise SourceError(f"{org.system}: the job that reads {query.object} has more than {MAX_RESULTS} pages")


def _page(
    org: Org, path: str, query: Query, locator: str, page: int, before: Sequence[str]
) -> tuple[Answer, list[str], Table]:
    """One page of results; a locator may be used again, so one that came cut off is asked for once more."""
    params = {"maxRecords": page, **({"locator": locator} if locator else {})}
    trouble = ""
    for _ in range(PAGE_ATTEMPTS):
        answer = org.request("GET", f"{path}/results", params=params, headers=ACCEPTS, want="any")
        try:
            names, table = _parsed(answer)
            missing = set(query.fields) - set(names)
            if missing and table:
                raise ValueError(f"the columns {', '.join(sorted(missing))} are missing")
            if table and list(table[0]) == before:
                raise ValueError("it repeats the one before")
        except ValueError as error:
            trouble = str(error)
            continue
        return answer, names, table
    raise SourceError(
        f"{org.system}: a page of results of {query.object} is not whole, {PAGE_ATTEMPTS} times: {trouble}; "
        "try again later",
        retriable=True,
    )


def _parsed(answer: Answer) -> tuple[list[str], Table]:
    """Raises ValueError where it is no CSV, or lacks rows that it tells of."""
    text = answer.content.decode("utf-8")
    if text.lstrip()[:1] in ("<", "{", "["):
        raise ValueError(f"a page came instead of data: «{answer.text}»")
    if text and not text.endswith("\n"):
        raise ValueError(f"it is cut off after {len(answer.content)} bytes")
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error as error:
        raise ValueError(str(error)) from None
    names, table = (rows[0], rows[1:]) if rows else ([], [])
    told = answer.headers.get("sforce-numberofrecords", "")
    if told.isdigit() and int(told) != len(table):
        raise ValueError(f"it tells of {told} rows and has {len(table)}")
    if any(len(row) != len(names) for row in table):
        raise ValueError("a row has another number of columns than the heading")
    return names, table


def _formed(column: Sequence[str], kind: str) -> list[str]:
    """Values of a column as JSON, by the type of its field."""
    if kind in NUMBERS:
        if _NUMBERS.fullmatch("\n".join(column) + "\n"):
            return [value or "null" for value in column]
        return [value if _NUMBER.fullmatch(value) else _text(value) for value in column]
    if kind == "boolean":
        return [value if value in ("true", "false") else _text(value) for value in column]
    if kind == "datetime":
        return [f'"{value[:-1]}+0000"' if value[-5:] == ".000Z" else _text(value) for value in column]
    encode: Callable[[str], str] = encode_basestring
    return [encode(value) if value else "null" for value in column]


def _text(value: str) -> str:
    return encode_basestring(value) if value else "null"


class _Job(msgspec.Struct):
    id: str
    object: str = ""
    state: str = ""
    numberRecordsProcessed: int | None = None
    errorMessage: str | None = None
