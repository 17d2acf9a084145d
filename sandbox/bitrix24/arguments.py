"""Parameters of the portal's methods: read, checked, refused in the vendor's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.bitrix24 import fields, projection
from sandbox.bitrix24.rest import RestError
from sandbox.bitrix24.table import BadFilterError, comparable, known_name, read_where
from sandbox.company.model import MOSCOW


def integer(value: Any, name: str) -> int:
    if value is None:
        raise RestError(400, "100", f"Could not find value for parameter {{{name}}}")
    try:
        return int(value)
    except (TypeError, ValueError):
        raise RestError(400, "100", f"Invalid value {{{value}}} to match with parameter {{{name}}}") from None


def start_of(params: dict[str, Any]) -> int:
    value = params.get("start", params.get("START", 0))
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0


def sequence(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list) else [value]


def where_of(said: Any, kinds: Mapping[str, str], strict: bool = True) -> Any:
    try:
        return read_where(said or {}, kinds, strict)
    except BadFilterError as error:
        what = "has invalid value" if error.invalid else "is not allowed in filter"
        raise RestError(400, "INVALID_ARG_VALUE", f"Invalid filter: field '{error.field}' {what}") from error


def order_of(said: Any, kinds: Mapping[str, str], strict: bool = True) -> tuple[tuple[str, bool], ...]:
    order = []
    for said_name, direction in said.items() if isinstance(said, dict) else ():
        name = known_name(str(said_name), kinds)
        if name not in kinds:
            if strict:
                raise RestError(
                    400, "INVALID_ARG_VALUE", f"Invalid order: field '{name}' is not allowed in order"
                )
            continue
        way = str(direction).upper()
        if strict and way not in ("ASC", "DESC"):
            raise RestError(
                400,
                "INVALID_ARG_VALUE",
                "Invalid order: allowed sort directions are `ASC, DESC`. "
                f"But got '{direction}' for field '{name}'",
            )
        order.append((name, way == "DESC"))
    return tuple(order)


def renamed(said: Any, names: Mapping[str, str]) -> Any:
    """UPPERCASE names with their operators -> our camelCase ones; the unknown stay and are ignored later."""
    if not isinstance(said, dict):
        return said
    found = {}
    for key, value in said.items():
        bare = str(key).lstrip("!<>=@%")
        found[str(key).replace(bare, names.get(bare.upper(), bare)) if bare else key] = value
    return found


def values_of(kind: int, said: Any) -> dict[str, Any]:
    """Writable fields with values of their kinds. The vendor ignores unknown and read-only names."""
    known = {f.name: f.kind for f in fields.ITEM_FIELDS[kind]}
    values: dict[str, Any] = {}
    for said_name, value in (said or {}).items():
        name = known_name(str(said_name), known)
        if name == "fm" and kind != fields.DEAL:
            values["fm"] = [{"id": place, **entry} for place, entry in enumerate(sequence(value), start=1)]
        if name not in known or name in fields.READ_ONLY:
            continue
        values[name] = _value(known[name], name, value)
    return values


def _value(kind: str, name: str, value: Any) -> Any:
    try:
        if kind == "list":
            if not isinstance(value, list | dict):
                raise RestError(
                    400,
                    "100",
                    f"Expected iterable value for multiple field, but got `{type(value).__name__}` instead",
                )
            return [int(v) for v in sequence(value)]
        if value is None or value == "":
            return {"int": 0, "str": "", "flag": "N"}.get(kind)
        if kind == "int":
            return int(value)
        if kind == "float":
            return whole(float(value))
        if kind == "flag":
            return "Y" if value in (True, "Y", "1", 1) else "N"
        if kind in ("date", "datetime"):
            seconds = comparable("datetime", value)
            from datetime import datetime

            return projection.iso(datetime.fromtimestamp(seconds, MOSCOW))
        return str(value)
    except (TypeError, ValueError):
        raise RestError(400, "CRM_FIELD_ERROR_VALUE_NOT_VALID", f'Invalid value for field "{name}"') from None


def whole(value: float) -> int | float:
    """PHP writes whole numbers without a fraction."""
    return int(value) if value.is_integer() else value
