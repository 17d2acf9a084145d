"""What a row of a write says, as the desk keeps it: types, choices and references checked one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sandbox.crm.zoho.fields import Field
from sandbox.crm.zoho.gate import Portal, Refused
from sandbox.crm.zoho.ids import number_of
from sandbox.crm.zoho.modules import Module

NUMBERS: Final = {"currency": "double", "double": "double", "percent": "double", "integer": "integer"}
Row = Mapping[str, Any]
Said = dict[str, Any]


def parsed(portal: Portal, module: Module, place: int, row: Row, body: Said) -> Said:
    """The body with a row's values. Names that are no field, and read-only ones, are passed over in silence."""
    for name, value in row.items():
        one = module.by_name.get(name)
        if name == "What_Id" and value is not None and row.get("$se_module") == "Accounts":
            assert one is not None
            body |= {
                "deal": None,
                "client": _reference(portal, place, replace(one, lookup="client"), value, row),
            }
        elif one is not None and one.key is not None:
            body[one.key] = _value(portal, place, one, value, row)
    if module.entity == "deal" and ("Stage" in row or "Pipeline" in row):
        stage = portal.office.desk.get("stage", body["stage"])
        if stage is not None and "Pipeline" not in row and "id" not in row:
            body["pipeline"] = stage.body["pipeline"]
        if stage is None or stage.body["pipeline"] != body["pipeline"]:
            mapped = {"api_name": "Pipeline", "json_path": f"$.data[{place}].Pipeline"}
            raise Refused(400, "MAPPING_MISMATCH", "the stage given is not mapped to the pipeline",
                          {"mapped_field": mapped, "api_name": "Stage", "json_path": f"$.data[{place}].Stage"})  # fmt: skip
    return body


def refused(code: str, message: str, place: int, name: str, *, suffix: str = "", **more: Any) -> Refused:
    """The refusal of one field of one row."""
    return Refused(
        400, code, message, {**more, "api_name": name, "json_path": f"$.data[{place}].{name}{suffix}"}
    )


def _value(portal: Portal, place: int, one: Field, value: Any, row: Row) -> Any:
    """What the desk keeps of one value. Raises Refused for a wrong type, an unknown choice, a value too long."""
    empty: Any = "" if one.kind in ("text", "textarea", "email", "phone") else None
    if value is None:
        return empty
    if one.kind in NUMBERS:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise refused(
                "INVALID_DATA", "invalid data", place, one.name, expected_data_type=NUMBERS[one.kind]
            )
        return Decimal(str(value)) if one.kind != "integer" else int(value)
    if one.kind == "boolean":
        if not isinstance(value, bool):
            raise refused("INVALID_DATA", "invalid data", place, one.name, expected_data_type="boolean")
        return value
    if one.kind in ("lookup", "ownerlookup"):
        return _reference(portal, place, one, value, row)
    if not isinstance(value, str):
        raise refused("INVALID_DATA", "invalid data", place, one.name, expected_data_type="string")
    if one.kind == "date":
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise refused(
                "INVALID_DATA", "invalid data", place, one.name, expected_data_type="date"
            ) from None
    if one.kind == "picklist":
        return _choice(portal, place, one, value)
    if len(value) > one.longest:
        raise refused("INVALID_DATA", "invalid data", place, one.name, maximum_length=one.longest)
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
        raise refused("INVALID_DATA", "the id given seems to be invalid", place, one.name, suffix=".id")
    return number


def _choice(portal: Portal, place: int, one: Field, value: str) -> Any:
    if isinstance(one.picks, tuple):
        if value in one.picks:
            return value
    elif one.picks is not None:
        for row in portal.office.desk.living(one.picks):
            if row.body["name"] == value:
                return row.number
    raise refused("INVALID_DATA", "invalid data", place, one.name, expected_data_type="picklist")
