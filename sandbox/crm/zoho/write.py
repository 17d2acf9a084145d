"""Writing records: insert, update, upsert and delete, a hundred rows a call and an answer for each; merging."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from sandbox.crm.zoho.fields import Field
from sandbox.crm.zoho.gate import Answer, Call, Portal, Refused
from sandbox.crm.zoho.ids import looks_like_id, moment, number_of, source_id, stamp
from sandbox.crm.zoho.modules import Module
from sandbox.crm.zoho.values import Row, Said, parsed, refused
from sandbox.desk.records import Item

ROWS: Final = 100
MERGED_AT_ONCE: Final = 2
Lock = tuple[datetime, str]
"""A moment after which a record must not have changed, and the code of the refusal."""


def insert(portal: Portal, call: Call, name: str) -> Answer:
    """POST /{module}"""
    batch = _Batch(portal, _writable(portal, name, creating=True), [])
    return _answered(portal, batch.insert, _rows(call), 201)


def update(portal: Portal, call: Call, name: str, shown: str | None = None) -> Answer:
    """PUT /{module} with an id in each row, or PUT /{module}/{id} with one row"""
    batch, rows = _Batch(portal, _writable(portal, name), _locks(portal, call)), _rows(call)
    return _answered(portal, batch.update, rows if shown is None else [{**rows[0], "id": shown}], 200)


def upsert(portal: Portal, call: Call, name: str) -> Answer:
    """POST /{module}/upsert: by id, else by the first duplicate check field that one record has alone"""
    module = _writable(portal, name, creating=True)
    said = call.json.get("duplicate_check_fields") or [one.name for one in module.fields if one.unique]
    checks = [module.by_name[one] for one in said if one in module.by_name]
    batch = _Batch(portal, module, _locks(portal, call), checks)
    return _answered(portal, batch.upsert, _rows(call), 200)


def remove(portal: Portal, call: Call, name: str, shown: str | None = None) -> Answer:
    """DELETE /{module}?ids= or /{module}/{id}: into the recycle bin"""
    batch = _Batch(portal, _writable(portal, name), [])
    said = [one for one in call.params.get("ids", "").split(",") if one.strip()] if shown is None else [shown]
    if not said:
        raise Refused(
            400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", {"param_name": "ids"}
        )
    if len(said) > ROWS:
        raise Refused(400, "LIMIT_EXCEEDED", "ids limit exceeded.", {"limit": ROWS, "param_name": "ids"})
    return _answered(portal, batch.remove, [{"id": one} for one in said], 200)


def merge(portal: Portal, call: Call, name: str, shown: str) -> Answer:
    """POST /{module}/{master}/actions/merge: the others go into the master, and are gone"""
    module, said = _writable(portal, name), call.rows("merge")[0]
    rows, where = said.get("data"), "$.merge[0].data"
    if not isinstance(rows, list) or not rows:
        raise Refused(
            400, "MANDATORY_NOT_FOUND", "required field not found", {"api_name": "data", "json_path": where}
        )
    if len(rows) > MERGED_AT_ONCE:
        raise Refused(400, "LIMIT_EXCEEDED", "limit exceeded",
                      {"api_name": "data", "json_path": where, "maximum_length": MERGED_AT_ONCE})  # fmt: skip
    master = _found(portal, module, shown)
    losers = [_found(portal, module, row.get("id") if isinstance(row, dict) else None) for row in rows]
    if master is None:
        raise Refused(400, "INVALID_DATA", "the id given seems to be invalid", {"resource_path_index": 1})
    for place, loser in enumerate(losers):
        if loser is None or loser.number == master.number:
            raise Refused(400, "INVALID_DATA", "the id given seems to be invalid",
                          {"api_name": "id", "json_path": f"{where}[{place}].id"})  # fmt: skip
    with portal.office.desk.store.together():
        for loser in losers:
            if loser is not None:
                portal.office.desk.merge(module.entity, master.number, loser.number)
    job = source_id("job", portal.office.desk.store.counter(f"zoho.{portal.office.where}.jobs"))
    return Answer.of({"merge": [{"code": "SUCCESS", "details": {"id": shown, "job_id": job},
                                 "message": "The records have been merged successfully", "status": "success"}]}, 201)  # fmt: skip


# ---- Rows ---------------------------------------------------------------------------------------


class _Batch:
    """The rows of one call, each written or refused by itself. `place` counts rows from 0."""

    def __init__(
        self, portal: Portal, module: Module, locks: list[Lock], checks: list[Field] | None = None
    ) -> None:
        self._portal, self._module, self._locks, self._checks = portal, module, locks, checks or []
        self._desk = portal.office.desk
        self._twins: dict[str, dict[str, dict[int, None]]] = {}

    def insert(self, place: int, row: Row) -> Said:
        module = self._module
        body = parsed(self._portal, module, place, row, dict(module.blank))
        for one in module.fields:
            if one.required and not row.get(one.name):
                raise refused("MANDATORY_NOT_FOUND", "required field not found", place, one.name)
        self._check_unique(place, body, None)
        if module.entity == "deal" and body.get("begun_on") is None:
            body["begun_on"] = self._desk.clock().date()
        return self._done(self._desk.add(module.entity, body), "record added")

    def update(self, place: int, row: Row) -> Said:
        if not row.get("id"):
            raise refused("MANDATORY_NOT_FOUND", "required field not found", place, "id")
        item = _found(self._portal, self._module, row["id"])
        if item is None:
            raise refused("INVALID_DATA", "the id given seems to be invalid", place, "id")
        self._check_locked(item)
        for at, code in self._locks:
            if item.modified > at:
                raise Refused(412, code, "Record updated time has already passed if-unmodified-since time",
                              {"id": str(row["id"]), "Modified_Time": stamp(item.modified)})  # fmt: skip
        body = parsed(self._portal, self._module, place, row, dict(item.body))
        for one in self._module.fields:
            if one.required and one.name in row and not row[one.name]:
                raise refused("MANDATORY_NOT_FOUND", "required field not found", place, one.name)
        self._check_unique(place, body, item.number)
        return self._done(self._desk.put(self._module.entity, item.number, body), "record updated")

    def upsert(self, place: int, row: Row) -> Said:
        if row.get("id"):
            return {**self.update(place, row), "action": "update", "duplicate_field": None}
        for check in self._checks:
            if row.get(check.name) in (None, "") or check.key is None:
                continue
            twins = self._of(check.key, row[check.name])
            if len(twins) > 1:
                raise refused("DUPLICATE_DATA", "duplicate data", place, check.name)
            if twins:
                done = self.update(place, {**row, "id": source_id(self._module.entity, twins[0].number)})
                return {**done, "action": "update", "duplicate_field": check.name}
        return {**self.insert(place, row), "action": "insert", "duplicate_field": None}

    def remove(self, place: int, row: Row) -> Said:
        item = _found(self._portal, self._module, row["id"])
        if item is None:
            raise Refused(400, "INVALID_DATA", "the id given seems to be invalid", {"id": row["id"]})
        self._check_locked(item)
        self._desk.remove(self._module.entity, item.number)
        return {
            "code": "SUCCESS",
            "details": {"id": row["id"]},
            "message": "record deleted",
            "status": "success",
        }

    def _check_locked(self, item: Item) -> None:
        if item.body.get("locked"):
            raise Refused(400, "RECORD_LOCKED", "You cannot perform this operation as the record is locked.",
                          {"id": source_id(self._module.entity, item.number)})  # fmt: skip

    def _check_unique(self, place: int, body: Row, number: int | None) -> None:
        for one in self._module.fields:
            if one.unique and one.key is not None and body.get(one.key):
                twins = [item for item in self._of(one.key, body[one.key]) if item.number != number]
                if twins:
                    shown = source_id(self._module.entity, twins[0].number)
                    twin = {"id": shown, "module": {"api_name": self._module.name}}
                    raise refused("DUPLICATE_DATA", "duplicate data", place, one.name, duplicate_record=twin)

    def _of(self, key: str, value: object) -> list[Item]:
        """Living records with this value, whatever the case of its letters. Gathered once for the call."""
        wanted, entity = _plain(value), self._module.entity
        if key not in self._twins:
            self._twins[key] = {}
            for item in self._desk.living(entity):
                self._twins[key].setdefault(_plain(item.body.get(key)), {})[item.number] = None
        found = [self._desk.get(entity, number) for number in self._twins[key].get(wanted, ())]
        return [one for one in found if one is not None and _plain(one.body.get(key)) == wanted]

    def _done(self, item: Item, message: str) -> Said:
        for key, gathered in self._twins.items():
            gathered.setdefault(_plain(item.body.get(key)), {})[item.number] = None
        by = self._portal.view.integration
        details = {
            "Modified_Time": stamp(item.modified), "Modified_By": by, "Created_Time": stamp(item.created),
            "id": source_id(self._module.entity, item.number), "Created_By": by, "$approval_state": "approved",
        }  # fmt: skip
        return {"code": "SUCCESS", "details": details, "message": message, "status": "success"}


def _plain(value: object) -> str:
    return "" if value is None else str(value).casefold()


# ---- Calls --------------------------------------------------------------------------------------


def _writable(portal: Portal, name: str, *, creating: bool = False) -> Module:
    module = portal.module(name)
    if not (module.creatable if creating else module.writable):
        raise Refused(
            403, "NO_PERMISSION", "permission denied", {"permissions": [f"Crm_Implied_Edit_{name}"]}
        )
    return module


def _rows(call: Call) -> list[dict[str, Any]]:
    rows = call.rows()
    if len(rows) > ROWS:
        raise Refused(400, "INVALID_DATA", "invalid data",
                      {"maximum_length": ROWS, "api_name": "data", "json_path": "$.data"})  # fmt: skip
    return rows


def _locks(portal: Portal, call: Call) -> list[Lock]:
    """Moments after which a record must not have changed, with the code of the refusal."""
    headers = [("if-unmodified-since", "ALREADY_MODIFIED")]
    if portal.options.modified_since_locks:
        headers.append(("if-modified-since", "RECORD_MODIFIED"))
    found: list[Lock] = []
    for header, code in headers:
        if header in call.headers:
            try:
                found.append((moment(call.headers[header]), code))
            except ValueError:
                raise Refused(400, "INVALID_DATA", "invalid data",
                              {"expected_data_type": "datetime", "header_name": header.title()}) from None  # fmt: skip
    return found


def _found(portal: Portal, module: Module, shown: object) -> Item | None:
    number = number_of(module.entity, shown) if looks_like_id(shown) else None
    return portal.office.desk.get(module.entity, number) if number is not None else None


def _answered(portal: Portal, write: Callable[[int, Row], Said], rows: list[Said], status: int) -> Answer:
    """Write row by row and answer for each: `status` when all went through, 207 when some did."""
    said: list[Said] = []
    statuses: set[int] = set()
    for place, row in enumerate(rows):
        try:
            said.append(write(place, row))
            statuses.add(status)
        except Refused as refusal:
            said.append(refusal.body())
            statuses.add(refusal.status)
    if status not in statuses:
        status = 412 if 412 in statuses else portal.options.all_failed
    elif len(statuses) > 1:
        status = 207
    return Answer.of({"data": said}, status)
