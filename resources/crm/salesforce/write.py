"""Writing to an org: payment status and debt into opportunities and accounts, tasks for managers, read back by key.

200 records a call, each with its own result. An update repeated does the same once more, and the last write wins.
A task is written by our key where the connection names an external id field (`task_key`): a resend finds the same
task. Without one the key stands at the end of its text, which cannot be searched: the user's newest tasks are
looked through before a resend.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from resources.connector import Refused, Rows, SourceError, Uncertain, Written
from resources.crm.crm_source import CrmTarget
from resources.crm.salesforce.entities import STAMP, WRITTEN
from resources.crm.salesforce.org import Org, Query

WRITE_BATCH: Final = 200  # records of one call, the vendor's greatest
LOCKED_ATTEMPTS: Final = 3  # of rows whose parents others were changing
LOCKED_PAUSE: Final = 1.0  # seconds before the next
TASKS_LOOKED_AT: Final = 20_000  # of the user's newest, where no field holds our key
MARK: Final = "sverka-"
_MARKED: Final = re.compile(r"\s*\[sverka-([^\]\s]+)\]\s*$")
_TASK_FIELDS: Final = ("Id", STAMP, "CreatedDate", "Subject", "Description", "Status", "Priority", "OwnerId", "WhatId",
                       "ActivityDate")  # fmt: skip
_OF_ALL: Final = ("INVALID_FIELD", "INVALID_TYPE", "NOT_FOUND")  # refusals that no row has for itself
_ALLOWED: Final = {
    "Sforce-Duplicate-Rule-Header": "allowSave=true"
}  # a rule against doubles is no reason here

Outcome = Written | SourceError
Body = Mapping[str, Any]


class Writer(CrmTarget):
    """The writing half of an org's connector; `Salesforce` is the whole."""

    org: Org
    task_key: str
    fields_written: Mapping[str, Sequence[str]]

    def create(self, kind: str, key: str, body: Body) -> Written:
        """Create a task (the only kind) with our key. Raises Refused, Uncertain."""
        return _sole(self.create_many(kind, [(key, body)]))

    def create_many(self, kind: str, rows: Rows) -> list[Outcome]:
        """See CreatesMany: 200 tasks a call."""
        if kind != "task":
            refusal = Refused(f"{self.system}: a {kind} is not created from here, only task")
            return [refusal for _ in rows]
        if self.task_key:
            path = f"composite/sobjects/Task/{self.task_key}"
            bodies = [(key, {**body, self.task_key: key}) for key, body in rows]
            return self._written("PATCH", path, "Task", bodies)
        bodies = [(key, {**body, "Description": _marked(key, body)}) for key, body in rows]
        return self._written("POST", "composite/sobjects", "Task", bodies)

    def update(self, kind: str, key: str, body: Body, version: str | None = None) -> Written:
        """Change the named fields of a deal or company. There are no versions: the last write wins."""
        return _sole(self.update_many(kind, [(key, body)]))

    def update_many(self, kind: str, rows: Rows, versions: Sequence[str] = ()) -> list[Outcome]:
        """See UpdatesMany: 200 records a call; the last write wins."""
        if kind not in ("deal", "company"):
            refusal = Refused(f"{self.system}: a {kind} is not changed from here, only deal and company")
            return [refusal for _ in rows]
        # "" empties a text as null does; of a number or a date only null does.
        bodies = [
            (key, {**{name: None if value == "" else value for name, value in body.items()}, "Id": key})
            for key, body in rows
        ]
        return self._written("PATCH", "composite/sobjects", WRITTEN[kind], bodies)

    def find(self, kind: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Read back by key: deals and companies by id, tasks by our key, with the stamp of their last change.

        2,000 records a call, tasks 200. Numbers are Decimal. Raises SourceError.
        """
        if kind == "task":
            return self._find_tasks(keys)
        if kind not in ("deal", "company"):
            raise Refused(f"{self.system}: a {kind} is not looked up here, only deal, company and task")
        fields = list(dict.fromkeys(("Id", STAMP, *self.fields_written.get(kind, ()))))
        found: dict[str, Mapping[str, Any]] = {}
        for rows in self.org.retrieve(WRITTEN[kind], keys, fields):
            for row in rows:
                body = _decode(row)
                if not body.get("IsDeleted"):
                    found[str(body["Id"])] = body
        return found

    # ---- Calls --------------------------------------------------------------------------------

    def _written(
        self, method: str, path: str, sobject: str, rows: Sequence[tuple[str, dict[str, Any]]]
    ) -> list[Outcome]:
        """Each row's outcome, call after call: records of one parent lock each other in calls side by side."""
        outcomes: list[Outcome] = []
        for start in range(0, len(rows), WRITE_BATCH):
            part = rows[start : start + WRITE_BATCH]
            got = self._send(method, path, sobject, part)
            for _ in range(LOCKED_ATTEMPTS - 1):
                locked = [place for place, one in enumerate(got) if isinstance(one, _LockedError)]
                if not locked:
                    break
                self.org.client.sleep(LOCKED_PAUSE)
                again = self._send(method, path, sobject, [part[place] for place in locked])
                for place, outcome in zip(locked, again, strict=True):
                    got[place] = outcome
            outcomes += got
        return outcomes

    def _send(
        self, method: str, path: str, sobject: str, rows: Sequence[tuple[str, dict[str, Any]]]
    ) -> list[Outcome]:
        records = [{"attributes": {"type": sobject}, **body} for _, body in rows]
        content = _encode({"allOrNone": False, "records": records})
        headers = {"Content-Type": "application/json", **_ALLOWED}
        try:
            answer = self.org.request(method, path, content=content, headers=headers, write=True)
        except Refused as error:
            # One value that is none makes the vendor refuse the whole call; halves find it.
            if len(rows) == 1 or error.code in _OF_ALL:
                return [error for _ in rows]
            half = len(rows) // 2
            parts = (rows[:half], rows[half:])
            return [outcome for part in parts for outcome in self._send(method, path, sobject, part)]
        except SourceError as error:
            return [error for _ in rows]
        try:
            results = msgspec.json.decode(answer.content, type=list[_Result])
        except msgspec.DecodeError:
            results = []
        if len(results) != len(rows):
            lost = f"{self.system}: the answer to {len(rows)} records tells of {len(results)}; they are looked up"
            return [Uncertain(lost) for _ in rows]
        return [self._outcome(sobject, key, one) for (key, _), one in zip(rows, results, strict=True)]

    def _outcome(self, sobject: str, key: str, result: _Result) -> Outcome:
        if result.success and result.id:
            return Written(result.id, {})
        error = result.errors[0] if result.errors else _Error()
        named = f" ({', '.join(error.fields)})" if error.fields else ""
        words = f"{self.system}: {sobject} {key}: {error.statusCode}: {error.message}{named}"
        if error.statusCode == "UNABLE_TO_LOCK_ROW":
            return _LockedError(f"{words}; others change the same records: it is sent again", retriable=True)
        return Refused(f"{words}; correct it there or in the mapping", code=error.statusCode)

    def _find_tasks(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        if self.task_key:
            return self._tasks_by_key(keys)
        found: dict[str, Mapping[str, Any]] = {}
        user = self.org.user()
        where = f"CreatedById = '{user}'" if user else ""
        wanted, seen = set(keys), 0
        # Ids are given in ascending order, so the last pages hold the newest; tasks of ours are few.
        for rows in self.org.pages(Query("Task", _TASK_FIELDS, where)):
            seen += len(rows)
            if seen > TASKS_LOOKED_AT:
                raise SourceError(
                    f"{self.system}: the integration's user made more than {TASKS_LOOKED_AT} tasks, and their text "
                    "cannot be searched: it is not known whether these were made. Create an external id field of "
                    "Task and name it by task_key in the connection",
                    retriable=True,
                )
            for row in rows:
                body = _decode(row)
                match = _MARKED.search(str(body.get("Description") or ""))
                if match is not None and match[1] in wanted:
                    found[match[1]] = {**body, "Description": str(body["Description"])[: match.start()]}
        return found

    def _tasks_by_key(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        query = Query("Task", (*_TASK_FIELDS, self.task_key))
        for start in range(0, len(keys), WRITE_BATCH):
            listed = ",".join(f"'{_quoted(key)}'" for key in keys[start : start + WRITE_BATCH])
            where = f"{self.task_key} IN ({listed})"
            for row in self.org.rows(Query(query.object, query.fields, where)):
                body = _decode(row)
                found[str(body[self.task_key])] = body
        return found


class _LockedError(SourceError):
    """The row was not written, since others held its parent."""


class _Error(msgspec.Struct):
    statusCode: str = "UNKNOWN"
    message: str = "refused without a word"
    fields: list[str] = []


class _Result(msgspec.Struct):
    success: bool
    id: str | None = None
    errors: list[_Error] = []


_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


def _sole(outcomes: Sequence[Outcome]) -> Written:
    (outcome,) = outcomes
    if isinstance(outcome, SourceError):
        raise outcome
    return outcome


def _marked(key: str, body: Body) -> str:
    return f"{body.get('Description') or ''}\n[{MARK}{key}]"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
