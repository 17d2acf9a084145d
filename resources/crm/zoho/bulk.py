"""Reading a whole module by bulk jobs: a job is made, waited for, and its ZIP of one CSV fetched; rows as JSON.

A job costs fifty credits or so and gives 200,000 rows, for which queries would take three hundred; it takes a minute
or more. CSV knows texts alone: what a value is, its field tells.

Of more rows each further part is a job of its own. Its rows are asked for by their ids, above the last that came: counted
by positions, a row that is deleted between two jobs moves a living one over the border, out of both. Whether the
vendor takes a condition on ids here, of a module and of the rows in its records, and gives rows in the order of ids,
is not documented; where it does not, parts are asked for by position, and all but the last a second time: whatever
slipped into an earlier part meanwhile is there then.
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
import zipfile
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from operator import lt
from typing import IO, Any, Final

import msgspec

from resources.address import elsewhere, place
from resources.connector import Refused, SourceError
from resources.crm import csv_rows
from resources.crm.zoho.org import Org, Rows

PATH: Final = "crm/bulk/v8/read"
CREDITS: Final = 50.0  # of making a job
ROWS: Final = 1_000  # of a page that is passed on
MAX_JOBS: Final = 50  # pages of one module, as the vendor allows
# Seconds between two looks at a job, each of which is a credit: a fifth of what it has taken so far, so that its end
# is seen soon, and one of a minute costs twenty-six looks.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.25, 15.0
SHARE_OF_WAIT: Final = 0.2
MAX_LOOKS: Final = 260  # at one job: an hour or so
FETCHES: Final = 3  # of one result that comes cut off


@dataclass(frozen=True, slots=True)
class Job:
    """A job under way."""

    id: str
    module: str
    fields: Sequence[str]
    needs: Sequence[str]  # columns without which a result is none
    begun: datetime  # UTC, before it was asked for: what changed later it may not know
    page: int = 1
    behind: int = 0  # rows of higher ids alone are asked for
    by_position: bool = False  # a condition on ids was not heeded
    first: int = 0  # the id that the page before began with


class _Result(msgspec.Struct):
    count: int = 0
    download_url: str = ""
    more_records: bool = False
    next_page_token: str | None = None


class _State(msgspec.Struct):
    state: str
    result: msgspec.Raw = msgspec.Raw(b"{}")


class _Answer(msgspec.Struct):
    details: dict[str, Any]


def start(org: Org, module: str, fields: Sequence[str], needs: Sequence[str] = ()) -> Job:
    """Make a job for all rows of a module; without `fields` with all columns, some of which it `needs`.

    Made twice by a lost answer, one stays unread. Raises SourceError.
    """
    return _made(org, Job("", module, fields, fields or needs, datetime.now(UTC)))


def rows_of(org: Org, job: Job) -> Iterator[Rows]:
    """The plain rows of a job and of those after it, some at a time; one may come twice. Raises SourceError."""
    kinds = {field.name: field.json_type for field in org.fields(job.module, anew=True)}
    again: Job | None = None  # the first of those by position
    for _ in range(MAX_JOBS):
        result = _waited(org, job)
        # Out of the way while it is read: of 200,000 rows it is some megabytes.
        with tempfile.TemporaryFile() as file:
            _fetch(org, job, result, file)
            following = None
            if result.more_records or job.behind or job.page > 1:
                job, ids = _checked(org, job, result, file)
                # Its making goes on while this one is read.
                following = _after(org, job, result, ids) if result.more_records else None
            yield from _parts(org, job, result, kinds, file)
        if following is None:
            break
        if following.page == 2:
            again = job
        job = following
    else:
        raise SourceError(f"{org.system}: {job.module} does not end within {MAX_JOBS} bulk jobs")
    if again is None:
        return
    pages, token = job.page - 1, None
    for page in range(1, pages + 1):
        job = _made(org, replace(again, page=page), token)
        result = _waited(org, job)
        with tempfile.TemporaryFile() as file:
            _fetch(org, job, result, file)
            yield from _parts(org, job, result, kinds, file)
        if not result.more_records:
            return
        token = result.next_page_token


def _made(org: Org, job: Job, token: str | None = None) -> Job:
    """The job once it is made."""
    query: dict[str, Any] = {"module": {"api_name": job.module}}
    if job.fields:
        query["fields"] = list(job.fields)
    if job.behind:
        query["criteria"] = {
            "field": {"api_name": "id"}, "comparator": "greater_than", "value": str(job.behind)
        }  # fmt: skip
    query |= {"page_token": token} if token else {"page": job.page}
    answer = org.ask("POST", PATH, json={"query": query, "file_type": "csv"}, cost=CREDITS, about=job.module)
    rows, _ = org.listed(answer, "data", f"a bulk job of {job.module}")
    try:
        return replace(job, id=str(msgspec.json.decode(rows[0], type=_Answer).details["id"]))
    except (msgspec.DecodeError, KeyError, IndexError):
        raise SourceError(
            f"{org.system}: no bulk job was made for {job.module}: «{answer.text}»; try again later",
            retriable=True,
        ) from None


def _checked(org: Org, job: Job, result: _Result, file: IO[bytes]) -> tuple[Job, Sequence[int]]:
    """One job of several as what it turned out to be, and the ids of its rows. Raises SourceError."""
    with _told(org, job):
        with _opened(job, file) as (rows, at, _):
            ids = array("q", (_number(row[at]) for row in rows))
        if not ids:
            raise ValueError("it is empty, though there are more rows than those before")
        if job.page > 1 and ids[0] == job.first:
            raise ValueError("it repeats the one before")
        if min(ids) <= job.behind:
            if not result.more_records:
                raise ValueError("it repeats rows that came before")
            job = replace(
                job, behind=0, by_position=True
            )  # the condition was not heeded: these are the first of all rows
    return job, ids


def _after(org: Org, job: Job, result: _Result, ids: Sequence[int]) -> Job:
    """The job for the rows that follow."""
    if job.page == 1 and not job.by_position and all(map(lt, ids, islice(ids, 1, None))):
        with contextlib.suppress(Refused):
            return _made(org, replace(job, behind=ids[-1]))
    return _made(org, replace(job, page=job.page + 1, first=ids[0]), result.next_page_token)


def _waited(org: Org, job: Job) -> _Result:
    waited = 0.0
    for _ in range(MAX_LOOKS):
        answer = org.ask("GET", f"{PATH}/{job.id}", about=job.module)
        rows, _ = org.listed(answer, "data", f"the bulk job of {job.module}")
        try:
            said = msgspec.json.decode(rows[0], type=_State)
            if said.state == "COMPLETED":
                return msgspec.json.decode(said.result, type=_Result)
        except (msgspec.DecodeError, IndexError):
            raise SourceError(
                f"{org.system}: the state of the bulk job of {job.module} cannot be read: «{answer.text}»; "
                "try again later",
                retriable=True,
            ) from None
        if said.state in ("FAILURE", "FAILED", "DELETED"):
            raise SourceError(
                f"{org.system}: the bulk job of {job.module} failed; try again later, and ask the vendor's support "
                f"about job {job.id} if it stays",
                retriable=True,
            )
        pause = min(max(SHORTEST_PAUSE, waited * SHARE_OF_WAIT), LONGEST_PAUSE)
        org.client.sleep(pause)
        waited += pause
    raise SourceError(
        f"{org.system}: the bulk job of {job.module} is not ready after an hour; try again later",
        retriable=True,
    )


def _parts(org: Org, job: Job, result: _Result, kinds: dict[str, str], file: IO[bytes]) -> Iterator[Rows]:
    """The rows of a result, some at a time. Raises SourceError, also at the end, where it is not what was told."""
    count, met = 0, set[int]()
    with _told(org, job), _opened(job, file) as (rows, at, names):
        table = csv_rows.Table(names, [_FORMS.get(kinds.get(name, ""), csv_rows.texts) for name in names])
        while part := list(islice(rows, ROWS)):
            formed = table.objects(part)
            met.update(_number(row[at]) for row in part)
            count += len(part)
            yield formed
    if count != result.count or len(met) != count:
        twice = f", {count - len(met)} of them twice" if len(met) != count else ""
        raise SourceError(
            f"{org.system}: the bulk job of {job.module} counts {result.count} rows, and {count} came{twice}; "
            "try again later",
            retriable=True,
        )


@contextlib.contextmanager
def _opened(job: Job, file: IO[bytes]) -> Iterator[tuple[Iterator[list[str]], int, list[str]]]:
    """The rows of a result below its heading, the place of the id, the names. Raises ValueError."""
    with zipfile.ZipFile(file) as archive, archive.open(archive.namelist()[0]) as raw:
        rows = csv_rows.rows(raw, "utf-8-sig")
        names = ["id" if name == "Id" else name for name in next(rows, [])]
        if missing := {"id", *job.needs} - set(names):
            raise ValueError(f"the columns {', '.join(sorted(missing))} are missing")
        yield rows, names.index("id"), names


def _number(cell: str) -> int:
    if not cell.isdecimal():
        raise ValueError(f"a row has no id but «{cell}»")
    return int(cell)


@contextlib.contextmanager
def _told(org: Org, job: Job) -> Iterator[None]:
    """A ValueError about a result as SourceError."""
    try:
        yield
    except ValueError as error:
        raise SourceError(
            f"{org.system}: the result of the bulk job of {job.module} cannot be read: {error}; try again later",
            retriable=True,
        ) from None


def _fetch(org: Org, job: Job, result: _Result, file: IO[bytes]) -> None:
    """Write the result into the file, an archive that is whole. Raises SourceError."""
    if there := elsewhere(result.download_url, org.client.base_url, any_scheme=True):
        here = place(org.client.base_url)
        raise SourceError(
            f"{org.system}: the result of the bulk job of {job.module} is said to be at another host ({there}) than "
            f"the API ({here}), and is not fetched there; see that accounts_url is the vendor's"
        )
    shown = ""
    for _ in range(FETCHES):
        answer = org.ask("GET", f"{PATH}/{job.id}/result", want="any", about=job.module)
        try:
            with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
                if archive.namelist() and archive.testzip() is None:
                    file.write(answer.content)
                    return
        except zipfile.BadZipFile:
            shown = "" if answer.content[:2] == b"PK" else f": «{answer.text}»"
    raise SourceError(
        f"{org.system}: the result of the bulk job of {job.module} came cut off, or as no archive, {FETCHES} "
        f"times{shown}; try again later",
        retriable=True,
    )


def _numbers(column: Sequence[str]) -> Sequence[Any]:
    """Numbers without idle zeros."""
    numbers = _NUMBERS(column)
    return [
        msgspec.Raw((cell.rstrip("0").rstrip(".") if "." in cell else cell).encode())
        if cell and (numbers or _NUMBER.fullmatch(cell))
        else cell or None
        for cell in column
    ]


def _truths(column: Sequence[str]) -> Sequence[Any]:
    return [cell.lower() == "true" if cell else None for cell in column]


def _lookups(column: Sequence[str]) -> Sequence[Any]:
    # The same few are named again and again.
    made: dict[str, Any] = {cell: cell or None for cell in set(column)}
    made |= {cell: msgspec.Raw(b'{"id":"%b"}' % cell.encode()) for cell in made if _DIGITS(cell)}
    return [made[cell] for cell in column]


def _lists(column: Sequence[str]) -> Sequence[Any]:
    return [cell.split(";") if cell else None for cell in column]


_DIGITS: Final = re.compile(r"[0-9]+").fullmatch
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+")
_NUMBERS: Final = csv_rows.column_of(_NUMBER)

_FORMS: Final[dict[str, csv_rows.Form]] = {
    "integer": _numbers,
    "long": _numbers,
    "double": _numbers,
    "boolean": _truths,
    "jsonobject": _lookups,
    "jsonarray": _lists,
}
