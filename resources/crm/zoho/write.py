"""Writing to Zoho: payment status and debt into deals and accounts, tasks for managers, read back by key.

A hundred rows a request, each with an outcome of its own, whatever the status of the whole. `trigger: []` keeps the
organization's workflows from taking our write for a person's. A task bears our key in a field of its own, by which
an upsert finds it: sent twice it is one task, as far as is known. What was lost is not sent again at once all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from resources.connector import Conflict, Refused, Rows, SourceError, Uncertain, Written
from resources.crm.crm_source import CrmTarget
from resources.crm.zoho.entities import MODULES, WRITTEN, decode, encode
from resources.crm.zoho.fields import explain
from resources.crm.zoho.org import API, MAX_IDS, NOT_THERE, Org, words
from resources.crm.zoho.query import valued
from resources.http import OK, Answer, Verdict
from resources.parallel import in_order

WRITE_BATCH: Final = 100  # rows of one request
ROWS_A_CREDIT: Final = 10
WRITES_AT_ONCE: Final = 4
TASK_KEY: Final = "Ext_Key"  # a text field of tasks, without duplicates, that somebody made for us
_LOOKUPS: Final = ("Owner", "What_Id", "Who_Id")  # of a task: written as {"id": ...}
PLAIN: Final = ("$se_module",)  # said with a write, and no field

Outcome = Written | SourceError


class Writer(CrmTarget):
    """The writing half of the connector; `Zoho` is the whole."""

    org: Org
    fields_written: Mapping[str, Sequence[str]]
    mapping_file: str

    def create(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        """Create a task (the only kind), of the deal (or account, by `$se_module`) that its `What_Id` names. Our key stands in Ext_Key.

        Sent again it changes that task and makes no second. Raises Refused, Uncertain.
        """
        return _sole(self.create_many(kind, [(key, body)]))

    def create_many(self, kind: str, rows: Rows) -> list[Outcome]:
        """See CreatesMany: 100 tasks a request."""
        if kind != "task":
            refusal = Refused(f"{self.system}: a {kind} is not created from here, only task")
            return [refusal for _ in rows]
        beside = {"duplicate_check_fields": [TASK_KEY]}
        return self._in_batches(
            "POST", "Tasks/upsert", [(key, _task(key, body)) for key, body in rows], beside
        )

    def update(self, kind: str, key: str, body: Mapping[str, Any], version: str | None = None) -> Written:
        """Change the named fields of a deal or company, if it was not changed after `version`, its Modified_Time.

        The answer's `Modified_Time` is the stamp of our own change. Raises Conflict, Refused, Uncertain.
        """
        locks = {"If-Modified-Since": version} if version else None
        return _sole(self._update(kind, [(key, body)], locks))

    def update_many(self, kind: str, rows: Rows, versions: Sequence[str] = ()) -> list[Outcome]:
        """See UpdatesMany: 100 records a request, four requests under way; the last write wins."""
        return self._update(kind, rows)

    def find(self, kind: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Read back by key: deals and companies by id, tasks by our key; a hundred a request.

        Lookups are their ids, numbers Decimal. Raises SourceError.
        """
        if kind not in WRITTEN:
            raise Refused(f"{self.system}: a {kind} is not looked up here, only {', '.join(WRITTEN)}")
        named = [name for name in self.fields_written.get(kind, ()) if name not in PLAIN]
        if kind == "task":
            return {**self._find_tasks(keys, named)}
        fields = list(dict.fromkeys(("id", "Modified_Time", *named)))
        found: dict[str, Mapping[str, Any]] = {}
        try:
            for rows in valued(self.org, WRITTEN[kind], fields, "id", keys):
                found.update({str(body["id"]): body for body in map(_flat, rows)})
        except Refused as error:
            explain(self.org, WRITTEN[kind], named, self.mapping_file, error)
        return found

    # ---- What it is made of -------------------------------------------------------------------

    def _update(self, kind: str, rows: Rows, headers: Mapping[str, str] | None = None) -> list[Outcome]:
        if kind not in MODULES or kind not in WRITTEN:
            refusal = Refused(f"{self.system}: a {kind} is not changed from here, only deal and company")
            return [refusal for _ in rows]
        bodies = [(key, {"id": key, **body}) for key, body in rows]
        return self._in_batches("PUT", WRITTEN[kind], bodies, {}, headers)

    def _find_tasks(self, keys: Sequence[str], named: Sequence[str]) -> dict[str, dict[str, Any]]:
        fields = list(dict.fromkeys(("id", TASK_KEY, "Modified_Time", *named)))
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(keys), MAX_IDS):
            part = ", ".join(f"'{_quoted(key)}'" for key in keys[start : start + MAX_IDS])
            try:
                rows, _ = self.org.query("Tasks", fields, f"{TASK_KEY} in ({part})", "id asc", rows=200)
            except Refused as error:
                explain(self.org, "Tasks", [*named, TASK_KEY], self.mapping_file, error)
                continue
            for body in map(_flat, rows):
                found.setdefault(str(body[TASK_KEY]), {"$se_module": "Deals", **body})
        if "$se_module" in self.fields_written.get("task", ()):
            self._tell_modules(found)
        return found

    def _tell_modules(self, tasks: Mapping[str, dict[str, Any]]) -> None:
        """Say of tasks whether they are of an account: a lookup that is read shows no module."""
        named = list(dict.fromkeys(str(task["What_Id"]) for task in tasks.values() if task.get("What_Id")))
        accounts = {
            str(_flat(row)["id"])
            for rows in valued(self.org, "Accounts", ["id"], "id", named)
            for row in rows
        }
        for task in tasks.values():
            task["$se_module"] = "Accounts" if str(task.get("What_Id")) in accounts else "Deals"

    def _in_batches(
        self,
        method: str,
        path: str,
        rows: Sequence[tuple[str, Mapping[str, Any]]],
        beside: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> list[Outcome]:
        parts = [rows[start : start + WRITE_BATCH] for start in range(0, len(rows), WRITE_BATCH)]

        def send(part: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Outcome]:
            return self._send(method, path, part, beside, headers)

        answers = in_order(send, parts, WRITES_AT_ONCE, f"{self.system}-write")
        return [outcome for part in answers for outcome in part]

    def _send(
        self,
        method: str,
        path: str,
        rows: Sequence[tuple[str, Mapping[str, Any]]],
        beside: Mapping[str, Any],
        headers: Mapping[str, str] | None,
    ) -> list[Outcome]:
        def classify(answer: Answer) -> Verdict:
            # With an outcome for each row the request was carried out, whatever its status says.
            if answer.status < 500 and _outcomes(answer):
                self.org.credits.note(answer)
                return OK
            return self.org.client.classify(answer)

        content = encode({"data": [body for _, body in rows], "trigger": [], **beside})
        try:
            answer = self.org.ask(
                method, API + path, content=content, write=True, classify=classify, about=path,
                headers={"Content-Type": "application/json", **(headers or {})},
                cost=float(-(-len(rows) // ROWS_A_CREDIT)),
            )  # fmt: skip
        except SourceError as error:
            return [error for _ in rows]
        told = _outcomes(answer)
        if len(told) != len(rows):
            unknown = Uncertain(
                f"{self.system}: {len(rows)} rows were written to {path}, and {len(told)} are told of; they are looked up"
            )
            return [unknown for _ in rows]
        return [self._outcome(key, row) for (key, _), row in zip(rows, told, strict=True)]

    def _outcome(self, key: str, row: Mapping[str, Any]) -> Outcome:
        details = row.get("details")
        details = details if isinstance(details, dict) else {}
        if row.get("status") == "success" and details.get("id"):
            return Written(str(details["id"]), details)
        code = str(row.get("code") or "")
        message = f"{self.system}: {key}: {words(row)}"
        if code == "INTERNAL_ERROR" or row.get("status") == "success":
            return Uncertain(f"{message}; it is looked up before anything is sent again")
        if code == "RECORD_MODIFIED":
            return Conflict(f"{message}; read the record again and decide", code=code)
        return Refused(f"{message}; {_REMEDIES.get(code, 'correct it there or in the mapping')}", code=code)


_REMEDIES: Final = {
    "RECORD_LOCKED": "somebody locked the record: unlock it there",
    "RECORD_IN_BLUEPRINT": "a blueprint holds the record: let it allow this field, or move the record on",
    "NO_PERMISSION": "give the profile of the user who made the token the right to edit it",
    "MANDATORY_NOT_FOUND": "the organization demands this field of every record: fill it there or in the mapping",
    **dict.fromkeys(NOT_THERE, "this edition does not have it"),
}


def _task(key: str, body: Mapping[str, Any]) -> dict[str, Any]:
    linked = {name: {"id": str(body[name])} for name in _LOOKUPS if isinstance(body.get(name), str)}
    return {"$se_module": "Deals", **body, **linked, TASK_KEY: key}


def _outcomes(answer: Answer) -> list[dict[str, Any]]:
    """The outcomes of rows; none where the answer holds no list of them."""
    try:
        return msgspec.json.decode(answer.content, type=_Told, strict=False).data
    except msgspec.DecodeError:
        return []


def _flat(row: msgspec.Raw) -> dict[str, Any]:
    """A row read back, lookups as their ids alone, as they are written."""
    return {
        name: value["id"] if isinstance(value, dict) and "id" in value else value
        for name, value in decode(row).items()
    }


def _quoted(key: str) -> str:
    return key.replace("'", "''")


def _sole(outcomes: Sequence[Outcome]) -> Written:
    (outcome,) = outcomes
    if isinstance(outcome, SourceError):
        raise outcome
    return outcome


class _Told(msgspec.Struct):
    data: list[dict[str, Any]]
