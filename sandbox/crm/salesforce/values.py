"""Values that a client wrote, read as the fields' types want them; what does not fit is refused."""

from __future__ import annotations

from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

from sandbox.crm.salesforce.fields import NUMBERS, Field
from sandbox.crm.salesforce.ids import PREFIXES, stage_name
from sandbox.crm.salesforce.model import ENTITY_OF, Org
from sandbox.crm.salesforce.rest import Refusal, number_in
from sandbox.desk.records import Desk

NULL: Final = "#N/A"
"""What a CSV file writes to empty a field; an empty cell leaves it alone."""


class Unreadable(Refusal):
    """A value that cannot be read at all: it refuses the whole request, not one record."""


def heard(org: Org, found: Field, value: Any) -> Any:
    """The value for the desk: text ('' for null), Decimal, bool, date, a number for a reference, or None.

    Raises Refusal 400 with the vendor's code and the field; Unreadable where the type is wrong.
    """
    if value is None or value == "":
        if found.required:
            raise Refusal(
                400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{found.name}]", (found.name,)
            )
        return None if found.kind in NUMBERS or found.kind in ("reference", "date", "datetime") else ""
    if found.name == "StageName":
        return _stage(org.desk, found, value)
    if found.kind in NUMBERS:
        return _number(found, value)
    if found.kind == "boolean":
        return _boolean(found, value)
    if found.kind in ("date", "datetime"):
        return _moment(found, value)
    if found.kind == "reference":
        return _reference(org, found, value)
    return _text(found, value)


def _text(found: Field, value: Any) -> str:
    if not isinstance(value, str):
        raise _unreadable(found, value)
    if found.length and len(value) > found.length:
        said = f"{found.label or found.name}: data value too large: {value[:255]} (max length={found.length})"
        raise Refusal(400, "STRING_TOO_LONG", said, (found.name,))
    if found.restricted and value not in {choice for choice, _ in found.choices}:
        raise _bad_choice(found, value)
    if found.kind == "email" and "@" not in value:
        said = f"{found.label or found.name}: invalid email address: {value}"
        raise Refusal(400, "INVALID_EMAIL_ADDRESS", said, (found.name,))
    return value


def _number(found: Field, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise _unreadable(found, value)
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise _unreadable(found, value) from None
    if not number.is_finite():
        raise _unreadable(found, value)
    if abs(number) >= Decimal(10) ** ((found.precision or 18) - found.scale):
        said = f"{found.label or found.name}: value outside of valid range on numeric field: {value}"
        raise Refusal(400, "NUMBER_OUTSIDE_VALID_RANGE", said, (found.name,))
    if found.kind == "currency":
        number = number.quantize(Decimal(1).scaleb(-found.scale), ROUND_HALF_UP)
    return number


def _boolean(found: Field, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise _unreadable(found, value)


def _moment(found: Field, value: Any) -> date | datetime:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value[:10]) if found.kind == "date" else datetime.fromisoformat(value)
        except ValueError:
            pass
    raise _unreadable(found, value)


class Pointed(int):
    """The number of a record to which a reference points, and of which entity it is."""

    def __new__(cls, number: int, entity: str) -> Pointed:
        made = super().__new__(cls, number)
        made.entity = entity
        return made

    entity: str


def _reference(org: Org, found: Field, value: Any) -> Pointed:
    for name in found.refers:
        entity = ENTITY_OF[name]
        try:
            number = number_in(PREFIXES[entity], value, found.name)
        except Refusal:
            continue
        if org.item(entity, number) is not None:
            return Pointed(number, entity)
        raise Refusal(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", (found.name,))
    said = f"{found.label or found.name}: id value of incorrect type: {value}"
    raise Refusal(400, "MALFORMED_ID", said, (found.name,))


def _stage(desk: Desk, found: Field, value: Any) -> int:
    for stage in desk.living("stage"):
        if stage_name(stage.number) == value:
            return stage.number
    raise _bad_choice(found, value)


def _bad_choice(found: Field, value: Any) -> Refusal:
    said = f"{found.label or found.name}: bad value for restricted picklist field: {value}"
    return Refusal(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", said, (found.name,))


def _unreadable(found: Field, value: Any) -> Unreadable:
    kind = (
        "VALUE_STRING"
        if isinstance(value, str)
        else "VALUE_NUMBER"
        if not isinstance(value, bool)
        else "VALUE"
    )
    said = (
        f"Cannot deserialize instance of {found.kind} from {kind} value {value} or request may be missing a "
        "required field at [line:1, column:1]"
    )
    return Unreadable(400, "JSON_PARSER_ERROR", said)
