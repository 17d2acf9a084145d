"""Writing to an environment: payment status, shipment and debt into opportunities and accounts, tasks for managers.

Each row is a PATCH of its own inside a `$batch`, so one row's refusal leaves the others alone (UpdateMultiple would
undo them all). `If-Match: *` keeps a change from creating what was deleted; `If-None-Match: *` keeps a task, whose
key is ours, from being made twice. Lookups are named as they are read, `_ownerid_value`, and written by their link.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any, Final

import msgspec

from resources.connector import Refused, Rows, SourceError, Uncertain, Written
from resources.crm.crm_source import CrmTarget
from resources.crm.dynamics.api import Environment, Request, failure, meaning, query
from resources.crm.dynamics.entities import STAMP, either
from resources.parallel import in_order

WRITE_BATCH: Final = 100  # rows of one request: some seconds of the vendor's work
FIND_BATCH: Final = 60
_KINDS: Final = {
    "deal": ("opportunities", "opportunityid"),
    "company": ("accounts", "accountid"),
    "task": ("tasks", "activityid"),
}
_LOOKUPS: Final = {
    "_ownerid_value": ("ownerid", "systemusers"),
    "_regardingobjectid_value": ("regardingobjectid_opportunity_task", "opportunities"),
    "regardingobjectid_account_task": ("regardingobjectid_account_task", "accounts"),
}
READ_AS: Final = {"regardingobjectid_account_task": "_regardingobjectid_value"}
"""Lookups that are bound by a property of their own, and read under the column that they share."""
_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LOCAL: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_UTC: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

Outcome = Written | SourceError


class Writer(CrmTarget):
    """The writing half of an environment's connector; `Dynamics` is the whole."""

    environment: Environment
    fields_written: Mapping[str, Sequence[str]]
    zone: tzinfo  # of times without one: what Dataverse keeps is UTC

    def create(self, kind: str, key: str, body: Mapping[str, Any]) -> Written:
        """Create a task (the only kind) under our own key. Raises Exists, Refused, Uncertain."""
        return _sole(self.create_many(kind, [(key, body)]))

    def create_many(self, kind: str, rows: Rows) -> list[Outcome]:
        """See CreatesMany: 100 tasks a request. One that is there already is Exists."""
        if kind != "task":
            refusal = Refused(f"{self.system}: a {kind} is not created from here, only task")
            return [refusal for _ in rows]
        return self._in_batches(kind, rows, {"If-None-Match": "*"})

    def update(self, kind: str, key: str, body: Mapping[str, Any], version: str | None = None) -> Written:
        """Change the named columns of a deal or company; the last write wins, whatever `version` is.

        The answer's `modifiedon` is the stamp of our own change.
        """
        return _sole(self.update_many(kind, [(key, body)]))

    def update_many(self, kind: str, rows: Rows, versions: Sequence[str] = ()) -> list[Outcome]:
        """See UpdatesMany: 100 records a request, several under way; the last write wins."""
        if kind not in ("deal", "company"):
            refusal = Refused(f"{self.system}: a {kind} is not changed from here, only deal and company")
            return [refusal for _ in rows]
        return self._in_batches(kind, rows, {"If-Match": "*"})

    def find(self, kind: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Read back by key, 60 a request: the columns that we write, and `modifiedon`. Raises SourceError.

        Numbers are Decimal; times are of the connection's zone, without it, as they were given to us.
        """
        if kind not in _KINDS:
            raise Refused(f"{self.system}: a {kind} is not looked up here, only deal, company and task")
        entity_set, column = _KINDS[kind]
        select = self._read_back(kind)

        def some(part: Sequence[str]) -> list[dict[str, Any]]:
            path = query(entity_set, select=select, where=either([column], part))
            return [_decode(row) for fetched in self.environment.pages(path) for row in fetched.rows]

        wanted = {key.lower(): key for key in keys if is_key(key)}
        parts = [list(wanted)[start : start + FIND_BATCH] for start in range(0, len(wanted), FIND_BATCH)]
        found: dict[str, Mapping[str, Any]] = {}
        for rows in in_order(some, parts, self.environment.parallel, self.system):
            for row in rows:
                key = str(row[column]).lower()
                found[wanted.get(key, key)] = self._as_given(row)
        return found

    # ---- Requests -----------------------------------------------------------------------------

    def _in_batches(self, kind: str, rows: Rows, condition: Mapping[str, str]) -> list[Outcome]:
        parts = [rows[start : start + WRITE_BATCH] for start in range(0, len(rows), WRITE_BATCH)]
        answers = in_order(
            lambda part: self._send(kind, part, condition), parts, self.environment.parallel, self.system
        )
        return [outcome for part in answers for outcome in part]

    def _send(self, kind: str, rows: Rows, condition: Mapping[str, str]) -> list[Outcome]:
        """Each row's outcome of one request. What cannot be said as a row is refused without being sent."""
        outcomes: dict[int, Outcome] = {}
        requests: dict[int, Request] = {}
        for place, (key, body) in enumerate(rows):
            try:
                requests[place] = self._patch(kind, key, body, condition)
            except Refused as error:
                outcomes[place] = error
        try:
            answers = self.environment.batch(list(requests.values()), write=True)
        except SourceError as error:
            return [outcomes.get(place, error) for place in range(len(rows))]
        for place, answer in zip(requests, answers, strict=True):
            key = rows[place][0]
            what = f"{self.system}: {kind} {key}"
            if answer is None:
                outcomes[place] = Uncertain(f"{what}: the answer of the batch leaves it out; it is looked up")
                continue
            verdict = meaning(answer)
            if verdict.kind != "ok":
                outcomes[place] = failure(what, verdict, write=True)
                continue
            try:
                said = _decode(answer.content) if answer.content else {}
            except msgspec.DecodeError:
                said = {}
            outcomes[place] = Written(key, self._as_given(said))
        return [outcomes[place] for place in range(len(rows))]

    def _patch(self, kind: str, key: str, body: Mapping[str, Any], condition: Mapping[str, str]) -> Request:
        entity_set, _ = _KINDS[kind]
        if not is_key(key):
            raise Refused(f"{self.system}: {key!r} is no key of a {kind}: Dataverse's are GUIDs")
        path = query(f"{entity_set}({key})", select=self._read_back(kind, body))
        headers = {"Prefer": "return=representation", **condition}
        return Request("PATCH", path, headers, dict(self._fields(kind, body)))

    def _fields(self, kind: str, body: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
        for name, value in body.items():
            if name in READ_AS or (name.startswith("_") and name.endswith("_value")):
                lookup = _LOOKUPS.get(name)
                if lookup is None:
                    raise Refused(
                        f"{self.system}: {kind}: the lookup {name} is not written from here, only "
                        f"{', '.join(_LOOKUPS)}; take it out of the mapping"
                    )
                if value not in (None, ""):
                    yield f"{lookup[0]}@odata.bind", f"/{lookup[1]}({value})"
            elif isinstance(value, str) and _LOCAL.fullmatch(value):
                at = datetime.fromisoformat(value).replace(tzinfo=self.zone).astimezone(UTC)
                yield name, at.strftime("%Y-%m-%dT%H:%M:%SZ")
            else:
                yield name, None if value == "" else value

    def _read_back(self, kind: str, body: Mapping[str, Any] | None = None) -> tuple[str, ...]:
        named = body if body is not None else self.fields_written.get(kind, ())
        read = (READ_AS.get(name, name) for name in named)
        return tuple(dict.fromkeys((_KINDS[kind][1], STAMP, *read)))

    def _as_given(self, row: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(row)
        for name, value in row.items():
            if name not in (STAMP, "createdon") and isinstance(value, str) and _UTC.fullmatch(value):
                found[name] = (
                    datetime.fromisoformat(value).astimezone(self.zone).strftime("%Y-%m-%dT%H:%M:%S")
                )
        return found | {name: row[column] for name, column in READ_AS.items() if column in row}


_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


def is_key(key: str) -> bool:
    """Whether it is a GUID, as every key of Dataverse is."""
    return bool(_GUID.fullmatch(key))


def _sole(outcomes: Sequence[Outcome]) -> Written:
    (outcome,) = outcomes
    if isinstance(outcome, SourceError):
        raise outcome
    return outcome
