"""Reading a whole module by bulk jobs: a job is made, waited for, and its ZIP of one CSV fetched; rows as JSON.

A job costs fifty credits or so and gives 200,000 rows, for which queries would take three hundred; it takes a minute
or more. The pages after the first are jobs of their own. CSV knows texts alone: what a value is, its field tells.
"""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import IO, Any, Final

import msgspec

from resources.address import elsewhere, place
from resources.connector import SourceError
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
    page: int
    begun: datetime  # UTC, before it was asked for: what changed later it may not know


class _Result(msgspec.Struct):
    count: int = 0
    download_url: str = ""
    more_records: bool = False
    next_page_token: str | None = None


class _State(msgspec.Struct):
    state: str
    result: msgspec.Raw = msgspec.Raw(b"{}")


class _Made(msgspec.Struct):
    details: dict[str, Any]


def start(org: Org, module: str, fields: Sequence[str], page: int = 1, token: str | None = None) -> Job:
    """Make a job for all rows of a module. Made twice by a lost answer, one stays unread. Raises SourceError."""
    begun = datetime.now(UTC)
    query: dict[str, Any] = {"module": {"api_name": module}}
    if fields:
        query["fields"] = list(fields)
    query |= {"page_token": token} if token else {"page": page}
    answer = org.ask("POST", PATH, json={"query": query, "file_type": "csv"}, cost=CREDITS, about=module)
    rows, _ = org.listed(answer, "data", f"a bulk job of {module}")
    try:
        number = str(msgspec.json.decode(rows[0], type=_Made).details["id"])
    except (msgspec.DecodeError, KeyError, IndexError):
        raise SourceError(
            f"{org.system}: no bulk job was made for {module}: «{answer.text}»; try again later",
            retriable=True,
        ) from None
    return Job(number, module, fields, page, begun)


def rows_of(org: Org, job: Job) -> Iterator[Rows]:
    """The plain rows of a job and of those after it, a part at a time. Raises SourceError."""
    kinds = {field.name: field.json_type for field in org.fields(job.module, anew=True)}
    for _ in range(MAX_JOBS):
        result = _waited(org, job)
        following = None
        if result.more_records:  # its making goes on while this one is read
            following = start(org, job.module, job.fields, job.page + 1, result.next_page_token)
        yield from _parts(org, job, result, kinds)
        if following is None:
            return
        job = following
    raise SourceError(f"{org.system}: {job.module} does not end within {MAX_JOBS} bulk jobs")


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


def _parts(org: Org, job: Job, result: _Result, kinds: dict[str, str]) -> Iterator[Rows]:
    if there := elsewhere(result.download_url, org.client.base_url, any_scheme=True):
        here = place(org.client.base_url)
        raise SourceError(
            f"{org.system}: the result of the bulk job of {job.module} is said to be at another host ({there}) than "
            f"the API ({here}), and is not fetched there; see that accounts_url is the vendor's"
        )
    count = 0
    for part in _rows_of_file(org, job, kinds):
        count += len(part)
        yield part
    if count != result.count:
        raise SourceError(
            f"{org.system}: the bulk job of {job.module} counts {result.count} rows, and {count} came; "
            "try again later",
            retriable=True,
        )


def _rows_of_file(org: Org, job: Job, kinds: dict[str, str]) -> Iterator[Rows]:
    # Out of the way while it is read: of 200,000 rows it is some megabytes.
    with tempfile.TemporaryFile() as file:
        _fetch(org, job, file)
        try:
            with zipfile.ZipFile(file) as archive, archive.open(archive.namelist()[0]) as raw:
                rows = csv_rows.rows(raw, "utf-8-sig")
                names = ["id" if name == "Id" else name for name in next(rows, [])]
                table = csv_rows.Table(
                    names, [_FORMS.get(kinds.get(name, ""), csv_rows.texts) for name in names]
                )
                while part := list(islice(rows, ROWS)):
                    yield table.objects(part)
        except ValueError as error:
            raise SourceError(
                f"{org.system}: the result of the bulk job of {job.module} cannot be read: {error}; try again later",
                retriable=True,
            ) from None


def _fetch(org: Org, job: Job, file: IO[bytes]) -> None:
    """Write the result into the file, an archive that is whole. Raises SourceError."""
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
