"""Whole objects by Bulk API 2.0: a query job, its rows as CSV, and each as the JSON that the REST API gives of it.

CSV knows no types and no null: what a value is comes from the object's description, an empty one is null. Times
end in Z here and in +0000 there; they are written as there, so that a record read both ways is the same record.
Links (`attributes`) are in REST rows only, and count as no change.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from threading import Event
from typing import Any, Final, TypeVar

import msgspec

from resources.connector import Refused, SourceError
from resources.crm import csv_rows
from resources.crm.salesforce.org import Field, Org, Query
from resources.http import Answer

FIRST_POLL, LONGEST_POLL = 0.1, 10.0  # seconds between questions whether a job is done
MAX_POLLS: Final = 2_000  # of one job: some five hours
MAX_RESULTS: Final = 100_000  # pages of one job
PAGE_ATTEMPTS: Final = 3  # of a page of results that came cut off
PAGE_ROWS: Final = 10_000  # of one page of results, which is a call; two of each object are held at once
PART_ROWS: Final = 1_000  # of a page, taken apart and passed on together
NUMBERS: Final = ("int", "long", "double", "currency", "percent")
ACCEPTS: Final = {"Accept": "text/csv"}

log = logging.getLogger(__name__)

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+")
_NUMBERS: Final = csv_rows.column_of(_NUMBER)
_TRUTH: Final = {"true": True, "false": False, "": None}

Table = Sequence[Sequence[str]]
Made = TypeVar("Made")
Making = Callable[[Sequence[str]], Callable[[Table], Sequence[Made]]]
"""What is made of rows: given the names of the columns, a function of rows."""


class BulkUnfitError(Exception):
    """The vendor does not run this query as a job; the REST API may."""


class _ForeignJobError(BulkUnfitError):
    """The job that the vendor named is another's: not ours to end."""


def results(
    org: Org, query: Query, making: Making[Made], stop: Event, page: int = PAGE_ROWS
) -> Iterator[Sequence[Made]]:
    """What is made of the rows of the result, page by page. The job is deleted afterwards.

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
            yield from _results(org, path, query, making, stop, page, done.numberRecordsProcessed)
    except _ForeignJobError:
        ours = False
        raise
    finally:
        if ours:  # else another read may be at it
            try:
                org.request("DELETE", path, want="any")
            except SourceError as error:
                log.info("%s: a finished job stays behind, for seven days: %s", org.system, error)


def as_rest(fields: Mapping[str, Field]) -> Making[msgspec.Raw]:
    """Rows of a CSV as the JSON objects that the REST API gives; ValueError for a row of another length."""

    def making(names: Sequence[str]) -> Callable[[Table], Sequence[msgspec.Raw]]:
        kinds = [fields[name].type if name in fields else "" for name in names]
        return csv_rows.Table(names, [_form(kind) for kind in kinds]).objects

    return making


def as_ids(names: Sequence[str]) -> Callable[[Table], Sequence[str]]:
    """Of each row its id."""
    place = names.index("Id")
    return lambda table: [row[place] for row in table]


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
    org: Org, path: str, query: Query, making: Making[Made], stop: Event, page: int, most: int | None
) -> Iterator[Sequence[Made]]:
    """`most`: how many rows the job tells of, where it tells."""
    locator, met, first, received = "", {""}, list[Made](), 0
    for _ in range(MAX_RESULTS):
        if stop.is_set():
            return
        try:
            made, locator = _page(org, path, query, making, locator, page, first)
        except Refused as error:
            if not received:
                raise BulkUnfitError(str(error)) from None
            raise SourceError(
                f"{org.system}: the results of the job that reads {query.object} are gone after {received} rows: "
                f"{error}; the next run begins another",
                retriable=True,
            ) from None
        if made:
            first = made[:1]
            received += len(made)
            yield made
        if not locator:
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
    org: Org, path: str, query: Query, making: Making[Made], locator: str, page: int, before: Sequence[Made]
) -> tuple[list[Made], str]:
    """One page of results and the locator of the next; "" after the last.

    A locator may be used again, so a page that came cut off is asked for once more.
    """
    params = {"maxRecords": page, **({"locator": locator} if locator else {})}
    trouble = ""
    for _ in range(PAGE_ATTEMPTS):
        answer = org.request("GET", f"{path}/results", params=params, headers=ACCEPTS, want="any")
        try:
            made = _made(answer, query, making)
            if made and made[:1] == before:
                raise ValueError("it repeats the one before")
        except ValueError as error:
            trouble = str(error)
            continue
        following = answer.headers.get("sforce-locator", "null").strip()
        return made, "" if following == "null" else following
    raise SourceError(
        f"{org.system}: a page of results of {query.object} is not whole, {PAGE_ATTEMPTS} times: {trouble}; "
        "try again later",
        retriable=True,
    )


def _made(answer: Answer, query: Query, making: Making[Made]) -> list[Made]:
    """Raises ValueError where it is no CSV, or lacks rows that it tells of or columns that were asked for."""
    if answer.content.lstrip()[:1] in (b"<", b"{", b"["):
        raise ValueError(f"a page came instead of data: «{answer.text}»")
    if answer.content and not answer.content.endswith(b"\n"):
        raise ValueError(f"it is cut off after {len(answer.content)} bytes")
    rows = csv_rows.rows(io.BytesIO(answer.content))
    names = next(rows, [])
    made: list[Made] = []
    if table := list(islice(rows, PART_ROWS)):
        if missing := set(query.fields) - set(names):
            raise ValueError(f"the columns {', '.join(sorted(missing))} are missing")
        make = making(names)
        while table:
            made += make(table)
            table = list(islice(rows, PART_ROWS))
    told = answer.headers.get("sforce-numberofrecords", "")
    if told.isdigit() and int(told) != len(made):
        raise ValueError(f"it tells of {told} rows and has {len(made)}")
    return made


def _form(kind: str) -> csv_rows.Form:
    """What a column of this type becomes."""
    if kind in NUMBERS:
        return _numbers
    return {"boolean": _truths, "datetime": _moments}.get(kind, csv_rows.texts)


def _numbers(column: Sequence[str]) -> Sequence[Any]:
    numbers = _NUMBERS(column)
    return [
        msgspec.Raw(value.encode()) if value and (numbers or _NUMBER.fullmatch(value)) else value or None
        for value in column
    ]


def _truths(column: Sequence[str]) -> Sequence[Any]:
    return [_TRUTH.get(value, value) for value in column]


def _moments(column: Sequence[str]) -> Sequence[Any]:
    joined = "\n".join(column)
    if joined.count(".000Z\n") == len(column) - 1 == joined.count("\n") and joined.endswith(".000Z"):
        return joined.replace(".000Z", ".000+0000").split("\n")
    return [f"{value[:-1]}+0000" if value[-5:] == ".000Z" else value or None for value in column]


class _Job(msgspec.Struct):
    id: str
    object: str = ""
    state: str = ""
    numberRecordsProcessed: int | None = None
    errorMessage: str | None = None
