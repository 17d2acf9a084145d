"""Bulk reading: a job over a whole module, or over the rows of its orders and invoices, as a ZIP of one CSV.

A job takes the records that there are when it is ordered. Its file is written in slices, so that others are served
meanwhile: each line is as its record stands then. It is kept for a day.
"""

from __future__ import annotations

import asyncio
import csv
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from sandbox.crm.zoho.conditions import CONDITIONS, Test, column_of, condition, read_value
from sandbox.crm.zoho.gate import Answer, Call, Portal, Refused
from sandbox.crm.zoho.ids import source_id, stamp
from sandbox.crm.zoho.lists import module_id
from sandbox.crm.zoho.modules import MODULES, ROW_FIELDS, SUBFORMS, Module
from sandbox.crm.zoho.view import View
from sandbox.desk.records import Item

PAGES: Final = 500
SLICE: Final = 500
TOKEN: Final = "bulkread."
KEPT: Final = timedelta(days=1)
MAX_JOBS: Final = 50
"""Jobs that are remembered; ordering another forgets the oldest."""
COMPARATORS: Final = {
    "equal": "=", "not_equal": "!=", "greater_than": ">", "greater_equal": ">=", "less_than": "<", "less_equal": "<=",
    "in": "in", "not_in": "not in", "between": "between", "not_between": "not between", "contains": "like",
    "not_contains": "not like", "starts_with": "like", "ends_with": "like",
}  # fmt: skip
Lines = Callable[[Sequence[Item]], list[bytes]]


@dataclass
class Job:
    """One order for a file, and the file once it is there."""

    id: str
    query: dict[str, Any]
    created: str
    until: Any
    page: int
    per_page: int
    count: int
    more: bool
    polls: int
    data: bytes = b""
    state: str = "ADDED"
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Jobs:
    """The jobs of one organisation."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._jobs: dict[str, Job] = {}

    def order(self, portal: Portal, call: Call) -> Answer:
        """POST /crm/bulk/v8/read"""
        query = call.json.get("query")
        if not isinstance(query, dict) or not isinstance(query.get("module"), dict):
            raise Refused(400, "INVALID_REQUEST", "the query is not valid", {"parent_api_name": "query"})
        if call.json.get("file_type", "csv") != "csv":
            raise Refused(400, "NOT_SUPPORTED_FEATURE", "only csv is given", {"parent_api_name": "file_type"})
        name = str(query["module"].get("api_name"))
        header, lines, items = self._asked(name, query)
        page = _page(query)
        per_page = portal.options.bulk_rows
        rows = items[(page - 1) * per_page : page * per_page]
        now = portal.office.desk.clock()
        number = portal.office.desk.store.counter(f"zoho.{portal.office.where}.jobs")
        job = Job(source_id("job", number), self._told(name, query, page), stamp(now), now + KEPT, page,
                  per_page, len(rows), len(items) > page * per_page, portal.options.bulk_polls)  # fmt: skip
        self._jobs[job.id] = job
        if len(self._jobs) > MAX_JOBS:
            forgotten = self._jobs.pop(next(iter(self._jobs)))
            if forgotten.task is not None:
                forgotten.task.cancel()
        job.task = asyncio.get_running_loop().create_task(_write(job, header, lines, rows))
        details = {"id": job.id, "operation": "read", "state": "ADDED", "created_by": portal.view.integration,
                   "created_time": job.created}  # fmt: skip
        said = {
            "status": "success",
            "code": "ADDED_SUCCESSFULLY",
            "message": "Added successfully.",
            "details": details,
        }
        return Answer.of({"data": [said], "info": {}}, 201)

    def state(self, portal: Portal, call: Call, shown: str) -> Answer:
        """GET /crm/bulk/v8/read/{job}"""
        job = self._known(shown, 404)
        said: dict[str, Any] = {
            "id": job.id, "operation": "read", "state": job.state, "query": job.query,
            "created_by": portal.view.integration, "created_time": job.created, "file_type": "csv",
        }  # fmt: skip
        if job.polls > 0:
            job.polls -= 1
            said["state"] = "IN PROGRESS"
        elif job.state == "COMPLETED":
            said["result"] = {
                "page": job.page, "count": job.count, "download_url": f"/crm/bulk/v8/read/{job.id}/result",
                "per_page": job.per_page, "more_records": job.more,
                "next_page_token": f"{TOKEN}{job.page + 1}" if job.more else None,
            }  # fmt: skip
        return Answer.of({"data": [said]})

    def result(self, portal: Portal, call: Call, shown: str) -> Answer:
        """GET /crm/bulk/v8/read/{job}/result"""
        job = self._known(shown, 400)
        if job.state != "COMPLETED" or job.polls > 0:
            raise Refused(400, "RESOURCE_NOT_FOUND", "the result is not there yet", {"resource": shown})
        name = f'attachment;filename="{job.id}.zip"'
        return Answer(200, job.data, "application/x-download", {"Content-Disposition": name})

    def _known(self, shown: str, status: int) -> Job:
        job = self._jobs.get(shown)
        if job is None or job.until < self._portal.office.desk.clock():
            raise Refused(status, "RESOURCE_NOT_FOUND", "the resource is not found", {"resource": shown})
        return job

    def _told(self, name: str, query: dict[str, Any], page: int) -> dict[str, Any]:
        module = MODULES.get(name)
        told = {"api_name": name, "id": module_id(module) if module else source_id("module", 90)}
        return {"module": told, "cvid": None, "fields": query.get("fields"), "page": page,
                "criteria": query.get("criteria"), "file_type": None}  # fmt: skip

    def _asked(self, name: str, query: dict[str, Any]) -> tuple[list[str], Lines, list[Item]]:
        """The header, how records become lines of the file, and the records."""
        view, said = self._portal.view, query.get("fields")
        criteria, heeded = query.get("criteria"), self._portal.options.bulk_criteria
        if criteria is not None and heeded == "refused":
            raise Refused(400, "INVALID_CRITERIA", "the criteria are not valid", {})
        if heeded == "ignored":
            criteria = None
        if name in SUBFORMS:
            header, written, rows = _of_rows(view, name, said)
            above = _above(criteria)
            return header, written, [
                item for item in rows if int(source_id(SUBFORMS[name], item.number)) > above
            ]  # fmt: skip
        module = self._portal.module(name) if name in MODULES else None
        if module is None:
            raise Refused(
                400, "MODULE_NOT_AVAILABLE", "the module is not available", {"module": name, "api_name": name}
            )
        names = [
            one for one in said or [one.name for one in module.fields if one.bulk] if one not in ("id", "Id")
        ]
        for one in names:
            if one not in module.by_name:
                raise Refused(
                    400,
                    "FIELD_NOT_AVAILABLE",
                    "the field is not available",
                    {"api_name": one, "module": name},
                )
            if not module.by_name[one].bulk:
                raise Refused(
                    400,
                    "FIELD_NOT_SUPPORTED",
                    "the field is not supported",
                    {"api_name": one, "module": name},
                )
        chosen = [module.by_name[one] for one in names]
        test = _criteria(module, criteria, 0)[0]
        items = [item for item in view.rows(module.entity).ordered("number") if test(view, item)]
        entity, encoded = module.entity, self._portal.encoded

        def line(item: Item) -> bytes:
            return _line([source_id(entity, item.number), *(_cell(one.get(view, item)) for one in chosen)])

        def lines(part: Sequence[Item]) -> list[bytes]:
            return encoded.kept("csv", module, names, part, line)

        return ["Id", *names], lines, items


def _of_rows(view: View, name: str, said: Sequence[str] | None) -> tuple[list[str], Lines, list[Item]]:
    kind = SUBFORMS[name]
    names = [one for one in said or ROW_FIELDS if one not in ("id", "Id")]
    for one in names:
        if one not in ROW_FIELDS:
            raise Refused(
                400, "FIELD_NOT_AVAILABLE", "the field is not available", {"api_name": one, "module": name}
            )
    places: dict[int, int] = {}
    desk = view.desk
    sold = sorted(desk.living("line"), key=lambda item: (item.body["deal"], item.body["sort"], item.number))
    if kind == "invoice_line":
        sold = [line for line in sold if desk.get("invoice", line.body["deal"]) is not None]
    before = last = 0
    for line in sold:
        before, last = (before + 1, last) if line.body["deal"] == last else (1, line.body["deal"])
        places[line.number] = before

    def written(item: Item) -> bytes:
        row = view.line_row(item, places[item.number], kind)
        return _line([row["id"], *(_cell(row[one]) for one in names)])

    return ["Id", *names], lambda part: [written(item) for item in part], sold


def _page(query: dict[str, Any]) -> int:
    """The page that a query asks for, by number or by the token of the page before."""
    token = query.get("page_token")
    page = query.get("page") or 1
    if isinstance(token, str) and token.removeprefix(TOKEN).isdigit():
        page = int(token.removeprefix(TOKEN))
    if not isinstance(page, int) or not 1 <= page <= PAGES:
        raise Refused(400, "PAGE_RANGE_EXCEEDED", "the page is out of range", {"max_limit": PAGES})
    return page


def _above(criteria: Any) -> int:
    """The id above which rows of records are asked for; no other condition on them is known here."""
    match criteria:
        case None:
            return 0
        case {"field": {"api_name": "id"}, "comparator": "greater_than", "value": str(value)}:
            return int(value)
    raise Refused(400, "INVALID_CRITERIA", "the criteria are not valid", {})


def _criteria(module: Module, said: Any, conditions: int) -> tuple[Test, int]:
    """The test of a criteria object, and how many conditions it has."""
    if said is None:
        return (lambda view, item: True), conditions
    if not isinstance(said, dict):
        raise Refused(400, "INVALID_CRITERIA", "the criteria are not valid", {})
    if "group" in said:
        parts = []
        for one in said["group"]:
            part, conditions = _criteria(module, one, conditions)
            parts.append(part)
        if said.get("group_operator", "and").casefold() == "or":
            return (lambda view, item: any(part(view, item) for part in parts)), conditions
        return (lambda view, item: all(part(view, item) for part in parts)), conditions
    if conditions >= CONDITIONS:
        raise Refused(400, "CRITERIA_LIMIT_EXCEEDED", "too many conditions", {"limit": CONDITIONS})
    named = said.get("field", {}).get("api_name") or said.get("api_name")
    word = str(said.get("comparator"))
    try:
        column = column_of(module, str(named))
    except Refused:
        raise Refused(400, "FIELD_IN_CRITERIA_NOT_AVAILABLE", "the field is not available",
                      {"api_name": named, "module": module.name}) from None  # fmt: skip
    if word not in COMPARATORS:
        raise Refused(
            400, "INVALID_CRITERIA", "the comparator is not valid", {"comparator": word, "api_name": named}
        )
    value = said.get("value")
    values = [_text(one) for one in (value if isinstance(value, list) else [value])]
    if word in ("contains", "not_contains", "ends_with"):
        values = [f"%{one}" for one in values]
    if word in ("contains", "not_contains", "starts_with"):
        values = [f"{one}%" for one in values]
    return condition(column, COMPARATORS[word], [read_value(column, one) for one in values]), conditions + 1


def _text(value: Any) -> str:
    return str(value.get("id")) if isinstance(value, dict) else str(value)


def _cell(value: Any) -> Any:
    """A lookup is its id alone; a truth is lower-case; nothing is an empty cell."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return value["id"]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ";".join(str(one.get("value") or one.get("name")) for one in value)
    return format(value, "f") if isinstance(value, Decimal) else value


def _line(cells: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


async def _write(job: Job, header: list[str], lines: Lines, items: list[Item]) -> None:
    job.state = "IN PROGRESS"
    written = [_line(header)]
    for start in range(0, len(items), SLICE):
        written += lines(items[start : start + SLICE])
        await asyncio.sleep(0)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(f"{job.id}.csv", b"".join(written))
    job.data, job.state = packed.getvalue(), "COMPLETED"
