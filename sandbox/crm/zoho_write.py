"""Writing records: insert, update, upsert and delete, a hundred rows a call and an answer for each; merging."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from sandbox.crm.zoho_fields import Field
from sandbox.crm.zoho_gate import Answer, Call, Portal, Refused
from sandbox.crm.zoho_ids import looks_like_id, moment, number_of, source_id, stamp
from sandbox.crm.zoho_lists import module_of
from sandbox.crm.zoho_modules import Module
from sandbox.desk import Item

ROWS: Final = 100
MERGED_AT_ONCE: Final = 2
NUMBERS: Final = {"currency": "double", "double": "double", "percent": "double", "integer": "integer"}
Row = Mapping[str, Any]
Lock = tuple[datetime, str]
Said = dict[str, Any]


def insert(portal: Portal, call: Call, name: str) -> Answer:
    """POST /{module}"""
    module, rows = _writable(name, creating=True), _rows(call)
    return _answered(
        portal, [_tried(_insert_one, portal, module, place, row) for place, row in enumerate(rows)], 201
    )


def update(portal: Portal, call: Call, name: str, shown: str | None = None) -> Answer:
    """PUT /{module} with an id in each row, or PUT /{module}/{id} with one row"""
    module, rows = _writable(name), _rows(call)
    if shown is not None:
        rows = [{**rows[0], "id": shown}]
    locks = _locks(portal, call)
    found = [_tried(_update_one, portal, module, place, row, locks) for place, row in enumerate(rows)]
    return _answered(portal, found, 200)


def upsert(portal: Portal, call: Call, name: str) -> Answer:
    """POST /{module}/upsert: by id, else by the first duplicate check field that one record has alone"""
    module, rows = _writable(name, creating=True), _rows(call)
    said = call.json.get("duplicate_check_fields") or [one.name for one in module.fields if one.unique]
    checks = [module.by_name[one] for one in said if one in module.by_name]
    locks = _locks(portal, call)
    found = [_tried(_upsert_one, portal, module, place, row, checks, locks) for place, row in enumerate(rows)]
    return _answered(portal, found, 200)


def remove(portal: Portal, call: Call, name: str, shown: str | None = None) -> Answer:
    """DELETE /{module}?ids= or /{module}/{id}: into the recycle bin"""
    module = _writable(name)
    said = (
        [shown]
        if shown is not None
        else [one for one in call.params.get("ids", "").split(",") if one.strip()]
    )
    if not said:
        raise Refused(
            400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", {"param_name": "ids"}
        )
    if len(said) > ROWS:
        raise Refused(400, "LIMIT_EXCEEDED", "ids limit exceeded.", {"limit": ROWS, "param_name": "ids"})
    return _answered(
        portal,
        [_tried(_remove_one, portal, module, place, {"id": one}) for place, one in enumerate(said)],
        200,
    )


def merge(portal: Portal, call: Call, name: str, shown: str) -> Answer:
    """POST /{module}/{master}/actions/merge: the others go into the master, and are gone"""
    module, said = _writable(name), call.rows("merge")[0]
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


def _insert_one(portal: Portal, module: Module, place: int, row: Row) -> Said:
    changed = _parsed(portal, module, place, row, dict(module.blank))
    for one in module.fields:
        if one.required and not row.get(one.name):
            raise _refused("MANDATORY_NOT_FOUND", "required field not found", place, one.name)
    _check_unique(portal, module, place, changed, None)
    if module.entity == "deal" and changed.get("begun_on") is None:
        changed["begun_on"] = portal.office.desk.clock().date()
    item = portal.office.desk.add(module.entity, changed)
    return _done(portal, module, item, "record added")


def _update_one(portal: Portal, module: Module, place: int, row: Row, locks: list[Lock]) -> Said:
    if not row.get("id"):
        raise _refused("MANDATORY_NOT_FOUND", "required field not found", place, "id")
    item = _found(portal, module, row["id"])
    if item is None:
        raise _refused("INVALID_DATA", "the id given seems to be invalid", place, "id")
    for at, code in locks:
        if item.modified > at:
            raise Refused(412, code, "Record updated time has already passed if-unmodified-since time",
                          {"id": str(row["id"]), "Modified_Time": stamp(item.modified)})  # fmt: skip
    changed = _parsed(portal, module, place, row, dict(item.body))
    for one in module.fields:
        if one.required and one.name in row and not row[one.name]:
            raise _refused("MANDATORY_NOT_FOUND", "required field not found", place, one.name)
    _check_unique(portal, module, place, changed, item.number)
    return _done(
        portal, module, portal.office.desk.put(module.entity, item.number, changed), "record updated"
    )


def _upsert_one(
    portal: Portal, module: Module, place: int, row: Row, checks: list[Field], locks: list[Lock]
) -> Said:
    if row.get("id"):
        return {**_update_one(portal, module, place, row, locks), "action": "update", "duplicate_field": None}
    for check in checks:
        if row.get(check.name) in (None, "") or check.key is None:
            continue
        wanted = str(row[check.name]).casefold()
        twins = [item for item in portal.office.desk.living(module.entity)
                 if str(item.body.get(check.key) or "").casefold() == wanted]  # fmt: skip
        if len(twins) > 1:
            raise _refused("DUPLICATE_DATA", "duplicate data", place, check.name)
        if twins:
            known = {**row, "id": source_id(module.entity, twins[0].number)}
            done = _update_one(portal, module, place, known, locks)
            return {**done, "action": "update", "duplicate_field": check.name}
    return {**_insert_one(portal, module, place, row), "action": "insert", "duplicate_field": None}


def _remove_one(portal: Portal, module: Module, place: int, row: Row) -> Said:
    item = _found(portal, module, row["id"])
    if item is None:
        raise Refused(400, "INVALID_DATA", "the id given seems to be invalid", {"id": row["id"]})
    portal.office.desk.remove(module.entity, item.number)
    return {"code": "SUCCESS", "details": {"id": row["id"]}, "message": "record deleted", "status": "success"}


def _done(portal: Portal, module: Module, item: Item, message: str) -> Said:
    by = portal.view.integration
    details = {"Modified_Time": stamp(item.modified), "Modified_By": by, "Created_Time": stamp(item.created),
               "id": source_id(module.entity, item.number), "Created_By": by, "$approval_state": "approved"}  # fmt: skip
    return {"code": "SUCCESS", "details": details, "message": message, "status": "success"}


def _parsed(portal: Portal, module: Module, place: int, row: Row, body: Said) -> Said:
    """The body with a row's values. Names that are no field, and read-only ones, are passed over in silence."""
    for name, value in row.items():
        one = module.by_name.get(name)
        if one is not None and one.key is not None:
            body[one.key] = _value(portal, module, place, one, value, row)
    if module.entity == "deal" and ("Stage" in row or "Pipeline" in row):
        stage = portal.office.desk.get("stage", body["stage"])
        if stage is not None and "Pipeline" not in row and "id" not in row:
            body["pipeline"] = stage.body["pipeline"]
        if stage is None or stage.body["pipeline"] != body["pipeline"]:
            mapped = {"api_name": "Pipeline", "json_path": f"$.data[{place}].Pipeline"}
            raise Refused(400, "MAPPING_MISMATCH", "the stage given is not mapped to the pipeline",
                          {"mapped_field": mapped, "api_name": "Stage", "json_path": f"$.data[{place}].Stage"})  # fmt: skip
    return body


def _value(portal: Portal, module: Module, place: int, one: Field, value: Any, row: Row) -> Any:
    """What the desk keeps of one value. Raises Refused for a wrong type, an unknown choice, a value too long."""
    empty: Any = "" if one.kind in ("text", "textarea", "email", "phone") else None
    if value is None:
        return empty
    if one.kind in NUMBERS:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise _refused(
                "INVALID_DATA", "invalid data", place, one.name, expected_data_type=NUMBERS[one.kind]
            )
        return Decimal(str(value)) if one.kind != "integer" else int(value)
    if one.kind == "boolean":
        if not isinstance(value, bool):
            raise _refused("INVALID_DATA", "invalid data", place, one.name, expected_data_type="boolean")
        return value
    if one.kind in ("lookup", "ownerlookup"):
        return _reference(portal, place, one, value, row)
    if not isinstance(value, str):
        raise _refused("INVALID_DATA", "invalid data", place, one.name, expected_data_type="string")
    if one.kind == "date":
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise _refused(
                "INVALID_DATA", "invalid data", place, one.name, expected_data_type="date"
            ) from None
    if one.kind == "picklist":
        return _choice(portal, place, one, value)
    if len(value) > one.longest:
        raise _refused("INVALID_DATA", "invalid data", place, one.name, maximum_length=one.longest)
    return value


def _reference(portal: Portal, place: int, one: Field, value: Any, row: Row) -> int:
    shown = value.get("id") if isinstance(value, dict) else value
    assert one.lookup is not None
    number = number_of(one.lookup, shown)
    if one.name == "What_Id" and "$se_module" not in row:
        dependee = {"api_name": "What_Id", "json_path": f"$.data[{place}].What_Id"}
        raise Refused(400, "DEPENDENT_FIELD_MISSING", "Dependent Fields missing",
                      {"dependee": dependee, "api_name": "$se_module", "json_path": f"$.data[{place}].$se_module"})  # fmt: skip
    if number is None or portal.office.desk.get(one.lookup, number) is None:
        raise _refused("INVALID_DATA", "the id given seems to be invalid", place, one.name, suffix=".id")
    return number


def _choice(portal: Portal, place: int, one: Field, value: str) -> Any:
    if isinstance(one.picks, tuple):
        if value in one.picks:
            return value
    elif one.picks is not None:
        for row in portal.office.desk.living(one.picks):
            if row.body["name"] == value:
                return row.number
    raise _refused("INVALID_DATA", "invalid data", place, one.name, expected_data_type="picklist")


def _check_unique(portal: Portal, module: Module, place: int, body: Row, number: int | None) -> None:
    for one in module.fields:
        if not one.unique or one.key is None or not body.get(one.key):
            continue
        wanted = str(body[one.key]).casefold()
        for item in portal.office.desk.living(module.entity):
            if item.number != number and str(item.body.get(one.key) or "").casefold() == wanted:
                twin = {"id": source_id(module.entity, item.number), "module": {"api_name": module.name}}
                raise _refused("DUPLICATE_DATA", "duplicate data", place, one.name, duplicate_record=twin)


# ---- Calls --------------------------------------------------------------------------------------


def _writable(name: str, *, creating: bool = False) -> Module:
    module = module_of(name)
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


def _tried(one: Any, portal: Portal, module: Module, place: int, row: Row, *more: Any) -> tuple[int, Said]:
    """What became of a row: 0 when it went through, else the status of its refusal."""
    try:
        return 0, one(portal, module, place, row, *more)
    except Refused as refused:
        return refused.status, refused.body()


def _answered(portal: Portal, found: list[tuple[int, Said]], status: int) -> Answer:
    refused = [code for code, _ in found if code]
    if len(refused) == len(found):
        status = 412 if 412 in refused else portal.options.all_failed
    elif refused:
        status = 207
    return Answer.of({"data": [said for _, said in found]}, status)


def _refused(code: str, message: str, place: int, name: str, *, suffix: str = "", **more: Any) -> Refused:
    return Refused(
        400, code, message, {**more, "api_name": name, "json_path": f"$.data[{place}].{name}{suffix}"}
    )
