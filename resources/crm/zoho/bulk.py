"""Reading a whole module by bulk jobs: a job is made, waited for, and its ZIP of one CSV fetched; rows as JSON.

A job costs fifty credits or so and gives 200,000 rows, for which queries would take three hundred; it takes a minute
or more. The pages after the first are jobs of their own. CSV knows texts alone: what a value is, its field tells.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from resources.connector import SourceError
from resources.crm.zoho.org import Org, Rows

PATH: Final = "crm/bulk/v8/read"
CREDITS: Final = 50.0  # of making a job
ROWS: Final = 2_000  # of a page that is passed on
MAX_JOBS: Final = 50  # pages of one module, as the vendor allows
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0  # seconds between two looks at a job
MAX_LOOKS: Final = 260  # at one job: an hour or so
FETCHES: Final = 3  # of one result that comes cut off
MAX_FIELD: Final = 16 * 1024 * 1024  # characters of one cell

csv.field_size_limit(MAX_FIELD)


@dataclass(frozen=True, slots=True)
class Job:
    """A job under way."""

    id: str
    module: str
    fields: Sequence[str]
    page: int = 1


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
    return Job(number, module, fields, page)


def rows_of(org: Org, job: Job) -> Iterator[Rows]:
    """The plain rows of a job and of those after it, 2,000 at a time. Raises SourceError."""
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
    pause = FIRST_PAUSE
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
        org.client.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)
    raise SourceError(
        f"{org.system}: the bulk job of {job.module} is not ready after an hour; try again later",
        retriable=True,
    )


def _parts(org: Org, job: Job, result: _Result, kinds: dict[str, str]) -> Iterator[Rows]:
    there, here = urlsplit(result.download_url).netloc, urlsplit(org.client.base_url).netloc
    if there and there != here:
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
    archive = _fetched(org, job)
    with archive, archive.open(archive.namelist()[0]) as raw:
        reader = csv.reader(io.TextIOWrapper(raw, "utf-8-sig", newline=""))
        head = ["id" if name == "Id" else name for name in next(reader, [])]
        convert = [_CONVERT.get(kinds.get(name, ""), _text) for name in head]
        part: list[msgspec.Raw] = []
        for cells in reader:
            if len(cells) != len(head):
                raise SourceError(
                    f"{org.system}: a row of the bulk job of {job.module} has {len(cells)} cells in place of "
                    f"{len(head)}; try again later",
                    retriable=True,
                )
            row = {
                name: to(cell) if cell else None for name, to, cell in zip(head, convert, cells, strict=True)
            }
            part.append(msgspec.Raw(_encode(row)))
            if len(part) >= ROWS:
                yield part
                part = []
        if part:
            yield part


def _fetched(org: Org, job: Job) -> zipfile.ZipFile:
    shown = ""
    for _ in range(FETCHES):
        answer = org.ask("GET", f"{PATH}/{job.id}/result", want="any", about=job.module)
        try:
            archive = zipfile.ZipFile(io.BytesIO(answer.content))
            if archive.namelist() and archive.testzip() is None:
                return archive
        except zipfile.BadZipFile:
            shown = "" if answer.content[:2] == b"PK" else f": «{answer.text}»"
    raise SourceError(
        f"{org.system}: the result of the bulk job of {job.module} came cut off, or as no archive, {FETCHES} "
        f"times{shown}; try again later",
        retriable=True,
    )


def _text(cell: str) -> Any:
    return cell


def _number(cell: str) -> Any:
    if not _NUMBER(cell):
        return cell
    return msgspec.Raw((cell.rstrip("0").rstrip(".") if "." in cell else cell).encode())


def _lookup(cell: str) -> Any:
    return {"id": cell} if cell.isdigit() else cell


_NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?").fullmatch

_CONVERT: Final[dict[str, Callable[[str], Any]]] = {
    "integer": _number,
    "long": _number,
    "double": _number,
    "boolean": lambda cell: cell.lower() == "true",
    "jsonobject": _lookup,
    "jsonarray": lambda cell: cell.split(";"),
}

_encode = msgspec.json.encode
