"""What the base keeps of a value that a client sends: types checked, numbers rounded, strings cut.

Only what differs from the default is kept, so a document of seventy properties costs a line of journal.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sandbox.onec.error import FORMAT, WRONG_VALUE, ODataError, refusal
from sandbox.onec.model import EMPTY_REF, ENUMS, EntitySet, Property, Row

GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.I)
DATETIME = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d")
_BIND = re.compile(r"\w+\(guid'([0-9a-fA-F-]{36})'\)/?$")
READ_ONLY = frozenset({"Ref_Key", "DataVersion", "Posted", "Predefined", "PredefinedDataName"})
MAX_ROWS = 99_999  # rows of a tabular part, the platform's bound


def kept(entity: EntitySet, body: Row) -> Row:
    """The known properties of a body in stored form; defaults stay in, unknown names are dropped silently."""
    found: Row = {}
    for name, value in body.items():
        if name in READ_ONLY:
            continue
        prop = entity.properties.get(name)
        if prop is not None:
            found[name] = stored_value(prop, value)
        elif name in entity.tables:
            found[name] = _rows(entity, name, value)
        elif name.endswith("@odata.bind"):
            _bind(entity, name[: -len("@odata.bind")], value, found)
    return found


def sparse(entity: EntitySet, filled: Row) -> Row:
    """The row without what equals its default (and without empty tabular parts)."""
    template = entity.template
    return {
        name: value for name, value in filled.items() if value != template.get(name, _NOTHING) and value != []
    }


def stored_value(prop: Property, value: Any) -> Any:
    """Check one value against its type. Raises ODataError code 4."""
    if value is None:
        return prop.default
    edm = prop.edm
    if edm == "Edm.String":
        if not isinstance(value, str):
            raise _wrong(prop, value)
        if prop.enum and value and value not in ENUMS[prop.enum]:
            raise _wrong(prop, value)
        return value[: prop.length] if prop.length else value
    if edm == "Edm.Guid":
        if isinstance(value, str) and GUID.fullmatch(value):
            return value.lower()
    elif edm == "Edm.Double":
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return number(value, prop.scale)
    elif edm == "Edm.Boolean":
        if isinstance(value, bool):
            return value
    elif edm == "Edm.DateTime":
        if isinstance(value, str) and DATETIME.fullmatch(value):
            return value
    elif edm == "Edm.Int64":
        if not isinstance(value, bool) and re.fullmatch(r"-?\d{1,18}", str(value)):
            return str(int(value))
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _wrong(prop, value)


def number(value: int | float, scale: int) -> int | float:
    """A number as its attribute keeps it: rounded half up to `scale` digits, whole ones without a point."""
    if isinstance(value, int):
        return value
    rounded = Decimal(repr(value)).quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP)
    return int(rounded) if rounded == rounded.to_integral_value() else float(rounded)


def _rows(entity: EntitySet, table: str, value: Any) -> list[Row]:
    if not isinstance(value, (list, tuple)) or len(value) > MAX_ROWS:
        raise ODataError(WRONG_VALUE, f'Неверное значение свойства "{table}".')
    props, template = entity.tables[table], entity.row_templates[table]
    rows: list[Row] = []
    for given in value:
        if not isinstance(given, dict):
            raise ODataError(FORMAT, f'Неверный формат строки табличной части "{table}".')
        if not str(given.get("LineNumber") or "").strip("0"):
            raise refusal("Произошла внутренняя ошибка OData сервиса. Подробности в технологическом журнале.")
        row: Row = {}
        for name, item in given.items():
            prop = props.get(name)
            if prop is not None and name != "Ref_Key":
                checked = stored_value(prop, item)
                if checked != template[name]:
                    row[name] = checked
        rows.append(row)
    # The platform numbers rows by their place, whatever numbers were sent.
    return [{**row, "LineNumber": str(place)} for place, row in enumerate(rows, 1)]


def _bind(entity: EntitySet, name: str, value: Any, found: Row) -> None:
    prop = entity.navigations.get(name)
    if prop is None or prop.composite:
        return
    match = _BIND.search(value) if isinstance(value, str) else None
    if match is None:
        raise _wrong(prop, value)
    found[prop.name] = match[1].lower()


def _wrong(prop: Property, value: Any) -> ODataError:
    return ODataError(WRONG_VALUE, f'Неверное значение свойства "{prop.name}": {str(value)[:60]}')


def is_empty_ref(value: Any) -> bool:
    return value in (None, "", EMPTY_REF)


_NOTHING = object()
