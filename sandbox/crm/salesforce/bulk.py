"""Bulk API 2.0: query jobs whose results are CSV pages, and ingest jobs with a result for each record.

A query job's rows are those of the moment when it ran. Rows of a page are worded when it is fetched, a row
once read being kept by its version. A job is seen InProgress for `Options.bulk_polls` polls.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sandbox.crm.salesforce.fields import cell, instant
from sandbox.crm.salesforce.ids import record_id
from sandbox.crm.salesforce.query import Library
from sandbox.crm.salesforce.rest import CSV, Answer, Call, Refusal, Setting, user_id
from sandbox.crm.salesforce.rows import Rows
from sandbox.crm.salesforce.soql import parse
from sandbox.crm.salesforce.values import NULL
from sandbox.crm.salesforce.write import Apply
from sandbox.desk.records import Item

QUERY_JOBS, INGEST_JOBS, DAY = 10_000, 15_000, 86_400.0
MAX_UPLOAD: Final = 150 * 1024 * 1024
DEFAULT_PAGE: Final = 50_000
KEPT_DAYS: Final = 7
MAX_KEPT_LINES: Final = 400_000
MAX_JOBS: Final = 10_000
DELIMITERS: Final = {
    "COMMA": ",", "TAB": "\t", "SEMICOLON": ";", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`",
}  # fmt: skip
ENDINGS: Final = {"LF": "\n", "CRLF": "\r\n"}
OPERATIONS: Final = ("insert", "update", "upsert", "delete", "hardDelete")


@dataclass
class Job:
    """One job of either kind. `polls` counts down while it is seen InProgress."""

    id: str
    kind: str  # query or ingest
    operation: str
    target: str
    delimiter: str
    ending: str
    made_at: datetime
    state: str
    polls: int
    query: str = ""
    key: str = ""
    error: str = ""
    data: bytes = b""
    rows: Sequence[Item] = ()
    columns: list[tuple[str, Callable[[Item], str]]] = field(default_factory=list)
    local: bool = False
    good: list[list[str]] = field(default_factory=list)
    bad: list[list[str]] = field(default_factory=list)
    header: list[str] = field(default_factory=list)


@dataclass
class Bulk:
    """The resources below jobs."""

    setting: Setting
    library: Library
    rows: Rows
    jobs: dict[str, Job] = field(default_factory=dict)
    _lines: dict[tuple[str, ...], dict[int, tuple[int, bytes]]] = field(default_factory=dict)
    _numbers: int = 0

    def create(self, call: Call, kind: str) -> Answer:
        """POST jobs/query and jobs/ingest."""
        said = call.described()
        limit = QUERY_JOBS if kind == "query" else INGEST_JOBS
        if self.setting.office.window(f"bulk_{kind}", limit, DAY).knock():
            words = f"Max bulk v2 {kind} jobs ({limit}) per 24 hrs has been reached"
            raise Refusal(400, "LIMIT_EXCEEDED", words)
        delimiter, ending = said.get("columnDelimiter") or "COMMA", said.get("lineEnding") or "LF"
        if delimiter not in DELIMITERS or ending not in ENDINGS:
            raise Refusal(400, "INVALIDJOB", "columnDelimiter or lineEnding is not known")
        if (said.get("contentType") or "CSV") != "CSV":
            raise Refusal(400, "INVALIDJOB", "Unsupported contentType; only CSV is")
        self._numbers += 1
        job = Job(
            record_id("750", self._numbers), kind, str(said.get("operation")), "", delimiter, ending,
            self.setting.now(), "UploadComplete" if kind == "query" else "Open", self.setting.options.bulk_polls,
        )  # fmt: skip
        if kind == "query":
            self._ask(job, said, call.base)
        else:
            self._open(job, said)
        self.jobs[job.id] = job
        self._forget()
        return Answer(200, self._info(job, call))

    def listed(self, call: Call, kind: str) -> Answer:
        """GET jobs/query and jobs/ingest."""
        found = [self._info(job, call) for job in self.jobs.values() if job.kind == kind][-1000:]
        return Answer(200, {"done": True, "nextRecordsUrl": None, "records": found})

    def job(self, call: Call, kind: str, shown: str) -> Answer:
        """GET, PATCH {"state"}, DELETE jobs/KIND/ID."""
        job = self._find(kind, shown)
        if call.method == "DELETE":
            if job.state in ("UploadComplete", "InProgress"):
                raise Refusal(400, "INVALIDJOBSTATE", f"Can't delete a job in the state {job.state}")
            del self.jobs[job.id]
            return Answer(204)
        if call.method == "PATCH":
            state = call.described().get("state")
            if state == "Aborted" and job.state in ("Open", "UploadComplete", "InProgress"):
                job.state = "Aborted"
            elif state == "UploadComplete" and kind == "ingest" and job.state == "Open":
                job.state = "UploadComplete"
            else:
                raise Refusal(
                    400, "INVALIDJOBSTATE", f"Transition from {job.state} to {state} is not allowed"
                )
            return Answer(200, self._info(job, call))
        self._step(job)
        return Answer(200, self._info(job, call, counts=True))

    def upload(self, call: Call, shown: str) -> Answer:
        """PUT jobs/ingest/ID/batches: the whole file at once."""
        job = self._find("ingest", shown)
        if job.state != "Open" or job.data:
            raise Refusal(
                400, "INVALIDJOBSTATE", f"Can't upload data: the job is {job.state}, or has its data"
            )
        if len(call.body) * 4 // 3 > MAX_UPLOAD:
            raise Refusal(400, "INVALIDBATCH", "the data exceeds 150 MB once encoded in base64")
        job.data = call.body
        return Answer(201, body=b"")

    def results(self, call: Call, shown: str) -> Answer:
        """GET jobs/query/ID/results?maxRecords&locator: CSV with a header on each page."""
        job = self._find("query", shown)
        if job.state != "JobComplete":
            raise Refusal(
                400, "INVALIDJOBSTATE", f"The job is {job.state}; results are there when it is JobComplete"
            )
        locator, size = call.query.get("locator", ""), call.query.get("maxRecords", "")
        if (size and (not size.isdigit() or int(size) < 1)) or (locator and not _place(locator)):
            raise Refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        start, count = _place(locator) or 0, int(size) if size else DEFAULT_PAGE
        rows = job.rows[start : start + count]
        kept = self._kept(job)
        version = self.setting.desk.version
        data = [_line([name for name, _ in job.columns], job)]
        for item in rows:
            token = item.version if job.local else version
            known = kept.get(item.number)
            if known is None or known[0] != token:
                if len(kept) >= MAX_KEPT_LINES:
                    kept.clear()
                known = kept[item.number] = (token, _line([get(item) for _, get in job.columns], job))
            data.append(known[1])
        end = start + count
        headers = {
            "Sforce-Locator": _locator(end) if end < len(job.rows) else "null",
            "Sforce-NumberOfRecords": str(len(rows)),
        }
        return Answer(200, body=b"".join(data), kind=CSV, headers=headers)

    def outcome(self, call: Call, shown: str, which: str) -> Answer:
        """GET jobs/ingest/ID/successfulResults, failedResults or unprocessedrecords."""
        job = self._find("ingest", shown)
        which = which.lower()
        if job.state not in ("JobComplete", "Failed", "Aborted"):
            raise Refusal(
                400, "INVALIDJOBSTATE", f"The job is {job.state}; results are there when it has ended"
            )
        head = {"successfulresults": ["sf__Id", "sf__Created"], "failedresults": ["sf__Id", "sf__Error"]}.get(
            which, []
        )
        rows = {"successfulresults": job.good, "failedresults": job.bad}.get(which, [])
        if which == "unprocessedrecords" and job.state != "JobComplete":
            rows = self._read(job)[1]
        return Answer(200, body=b"".join(_line(row, job) for row in [head + job.header, *rows]), kind=CSV)

    # ---- query jobs ---------------------------------------------------------------------------------

    def _ask(self, job: Job, said: Mapping[str, Any], base: str) -> None:
        if job.operation not in ("query", "queryAll"):
            raise Refusal(400, "INVALIDJOB", f"Unsupported operation {job.operation}")
        job.query = str(said.get("query") or "")
        query = parse(job.query, self.setting.now())
        if query.count or query.aggregates or query.group_by or query.children or query.offset:
            words = "Aggregate Relationships, GROUP BY, OFFSET and subqueries are not supported in Bulk Query"
            raise Refusal(400, "API_ERROR", words)
        target = self.library.target(query)
        job.target = target.name
        selection = self.library.select(query, target, base)
        offset = self.setting.options.bulk_offset_stamps
        job.local = selection.local
        for names in selection.paths:
            get, found = self.library.getter(target, tuple(names), job.query)
            job.columns.append((".".join(names), _worded(get, found.kind, offset)))
        job.rows = self.library.found(query, target, job.operation == "queryAll" or query.all_rows)

    def _kept(self, job: Job) -> dict[int, tuple[int, bytes]]:
        key = (job.target, job.delimiter, job.ending, str(self.setting.options.bulk_offset_stamps),
               *(name for name, _ in job.columns))  # fmt: skip
        if key not in self._lines and sum(len(rows) for rows in self._lines.values()) > MAX_KEPT_LINES:
            self._lines.clear()
        return self._lines.setdefault(key, {})

    # ---- ingest jobs --------------------------------------------------------------------------------

    def _open(self, job: Job, said: Mapping[str, Any]) -> None:
        if job.operation not in OPERATIONS:
            raise Refusal(400, "INVALIDJOB", f"Unsupported operation {job.operation}")
        target = self.library.org.find(str(said.get("object")))
        if target is None:
            raise Refusal(400, "INVALIDJOB", f"InvalidJob : Unable to find object: {said.get('object')}")
        job.target, job.key = target.name, str(said.get("externalIdFieldName") or "")
        if job.operation == "upsert":
            found = target.by_name.get(job.key.lower())
            if found is None or not (found.external or found.kind == "id"):
                words = f"InvalidJob : Field name provided, {job.key} is not an External ID or indexed field for {target.name}"
                raise Refusal(400, "INVALIDJOB", words)

    def _read(self, job: Job) -> tuple[list[str], list[list[str]]]:
        text = job.data.decode("utf-8-sig", "replace")
        rows = [
            row
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[job.delimiter])
            if row
        ]
        return (rows[0], rows[1:]) if rows else ([], [])

    def _step(self, job: Job) -> None:
        """A job moves on when somebody looks at it."""
        if job.state not in ("UploadComplete", "InProgress"):
            return
        if job.polls > 0:
            job.polls -= 1
            job.state = "InProgress"
            return
        if job.kind == "ingest":
            self._run(job)
        else:
            job.state = "JobComplete"

    def _run(self, job: Job) -> None:
        target = self.library.org.objects[job.target.lower()]
        job.header, lines = self._read(job)
        unknown = [name for name in job.header if name.partition(".")[0].lower() not in
                   {*target.by_name, *(f.relation.lower() for f in target.fields.values() if f.relation)}]  # fmt: skip
        if unknown or not job.header:
            job.state, job.error = "Failed", f"InvalidBatch : Field name not found : {', '.join(unknown)}"
            return
        seen: set[Any] = set()

        def check(said: dict[str, Any]) -> tuple[Apply, bool]:
            shown = str(said.get("Id") or said.get("id") or "")
            if job.operation == "insert":
                return self.rows.writer.inserting(target, said), True
            if job.operation == "upsert":
                return self.rows.writer.upserting(target, job.key, said)
            number = self.rows.writer.number(target, shown)
            if job.operation in ("delete", "hardDelete"):
                apply = self.rows.writer.deleting(target, number)
                if job.operation == "hardDelete":
                    self.library.org.purged.add((target.entity, number))
                return apply, False
            if number in seen:
                raise Refusal(400, "DUPLICATE_VALUE", f"Duplicate id specified: {shown}", ("Id",))
            seen.add(number)
            return self.rows.writer.updating(target, number, said), False

        with self.setting.desk.store.together():
            for values in lines:
                said = _record(job.header, values)
                try:
                    if len(values) != len(job.header):
                        raise Refusal(
                            400, "INVALIDBATCH", "the row has another number of columns than the header"
                        )
                    apply, created = check(said)
                    job.good.append(
                        [record_id(target.prefix, apply()), "true" if created else "false", *values]
                    )
                except Refusal as refusal:
                    fields = ",".join(refusal.fields or ())
                    words = f"{refusal.code}:{refusal.message}:{fields or '-'}{' ' if fields else ''}--"
                    job.bad.append([str(said.get("Id") or ""), words, *values])
        job.state = "JobComplete"

    # ---- both -----------------------------------------------------------------------------------------

    def _find(self, kind: str, shown: str) -> Job:
        job = self.jobs.get(shown) or next((j for j in self.jobs.values() if j.id[:15] == shown), None)
        if job is None or job.kind != kind:
            raise Refusal(404, "NOT_FOUND", "The requested resource does not exist")
        return job

    def _info(self, job: Job, call: Call, *, counts: bool = False) -> dict[str, Any]:
        made = instant(job.made_at)
        said: dict[str, Any] = {
            "id": job.id, "operation": job.operation, "object": job.target, "createdById": user_id(1),
            "createdDate": made, "systemModstamp": made, "state": job.state, "concurrencyMode": "Parallel",
            "contentType": "CSV", "apiVersion": float(call.version), "lineEnding": job.ending,
            "columnDelimiter": job.delimiter,
        }  # fmt: skip
        if job.kind == "ingest":
            said["contentUrl"] = f"services/data/v{call.version}/jobs/ingest/{job.id}/batches"
            if job.key:
                said["externalIdFieldName"] = job.key
        if counts:
            done = job.state == "JobComplete"
            processed = len(job.rows) if job.kind == "query" else len(job.good) + len(job.bad)
            said |= {
                "jobType": "V2Query" if job.kind == "query" else "V2Ingest", "retries": 0,
                "numberRecordsProcessed": processed if done else 0, "totalProcessingTime": 0,
            }  # fmt: skip
            if job.kind == "ingest":
                said |= {
                    "numberRecordsFailed": len(job.bad),
                    "apexProcessingTime": 0,
                    "apiActiveProcessingTime": 0,
                }
            if job.error:
                said["errorMessage"] = job.error
        return said

    def _forget(self) -> None:
        oldest = self.setting.now() - timedelta(days=KEPT_DAYS)
        for shown in [job.id for job in self.jobs.values() if job.made_at < oldest]:
            del self.jobs[shown]
        while len(self.jobs) > MAX_JOBS:
            del self.jobs[next(iter(self.jobs))]


def _worded(get: Callable[[Item], Any], kind: str, offset: bool) -> Callable[[Item], str]:
    if offset and kind == "datetime":
        return lambda item: instant(value) if (value := get(item)) is not None else ""
    return lambda item: cell(kind, get(item))


def _line(values: Sequence[str], job: Job) -> bytes:
    quoted = ['"' + value.replace('"', '""') + '"' for value in values]
    return (DELIMITERS[job.delimiter].join(quoted) + ENDINGS[job.ending]).encode()


def _record(header: list[str], values: list[str]) -> dict[str, Any]:
    """A row as a record: empty cells are left out, #N/A is null, Relation.Key__c a parent by its key."""
    said: dict[str, Any] = {}
    for name, value in zip(header, values, strict=False):
        if value == "":
            continue
        parent, _, key = name.partition(".")
        said[parent] = {key: value} if key else (None if value == NULL else value)
    return said


def _locator(place: int) -> str:
    return base64.urlsafe_b64encode(f"p{place}".encode()).decode().rstrip("=")


def _place(locator: str) -> int | None:
    try:
        said = base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return int(said[1:]) if said[:1] == "p" and said[1:].isdigit() else None
