"""Conditions and orders of SOQL over records.

Text is compared without regard to case, a null is less than everything and not equal to anything but null,
ids match in both lengths. Stamps must stand without quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from sandbox.crm.salesforce.fields import NUMBERS, TEXTS, Field, SObject
from sandbox.crm.salesforce.ids import read_id, record_id
from sandbox.crm.salesforce.rest import Refusal
from sandbox.crm.salesforce.soql import Condition, Constant, Joined, Test, at
from sandbox.desk.records import Item

if TYPE_CHECKING:
    from sandbox.crm.salesforce.query import Library

Match = Callable[[Item], bool]
_ORDERED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_KINDS: Final = {
    "datetime": ("datetime",), "date": ("date",), "boolean": ("boolean",),
}  # fmt: skip


def matcher(library: Library, where: Condition, target: SObject, text: str) -> Match:
    """A condition as a function over records. Raises Refusal for fields and values that do not fit."""
    if isinstance(where, Joined):
        parts = [matcher(library, part, target, text) for part in where.parts]
        if where.word == "NOT":
            return lambda item: not parts[0](item)
        if where.word == "AND":
            return lambda item: all(part(item) for part in parts)
        return lambda item: any(part(item) for part in parts)
    get, found = library.getter(target, where.path, text)
    if where.query is not None:
        return _joined(library, where, get)
    if where.sign in ("IN", "NOT IN"):
        known = {_value(found, literal, text) for literal in where.values}
        if where.sign == "IN":
            return lambda item: _compared(found, get(item)) in known
        return lambda item: _compared(found, get(item)) not in known
    return _single(found, where, get, text)


def order_key(
    get: Callable[[Item], Any], found: Field, down: bool, last: bool
) -> Callable[[Item], tuple[bool, Any]]:
    """A key for `sort`: nulls first, unless told last, whichever way it is sorted."""
    null_is = last != down

    def key(item: Item) -> tuple[bool, Any]:
        value = _compared(found, get(item))
        return (null_is, "") if value is None else (not null_is, value)

    return key


def only_deleted(test: Test) -> bool:
    """Whether a test leaves no living record: IsDeleted = true."""
    named = len(test.path) == 1 and test.path[0].lower() == "isdeleted" and test.sign == "="
    return named and test.values[0].kind == "boolean" and bool(test.values[0].value)


def wanted_ids(test: Test, target: SObject) -> set[int] | None:
    """The numbers to which a test on Id, or on a line's opportunity, narrows the search; None for other tests."""
    name = test.path[0].lower()
    prefix = target.prefix
    if name == "opportunityid" and target.name == "OpportunityLineItem":
        prefix = "006"
    elif name != "id":
        return None
    if len(test.path) != 1 or test.sign not in ("=", "IN") or test.query is not None:
        return None
    numbers = set()
    for literal in test.values:
        found = read_id(literal.value) if literal.kind == "text" else None
        if literal.kind != "text" or (found is None and literal.value):
            return None  # left to the matcher, which refuses it
        if found is not None and found[0] == prefix:
            numbers.add(found[1])
    return numbers


def _single(found: Field, where: Test, get: Callable[[Item], Any], text: str) -> Match:
    literal, sign = where.values[0], where.sign
    if literal.kind == "range":
        return _in_range(found, literal.value, sign, get)
    if sign == "LIKE":
        pattern = _like(str(literal.value or ""))
        return lambda item: (value := get(item)) is not None and pattern.fullmatch(str(value)) is not None
    wanted = _value(found, literal, text)
    if sign == "=":
        return lambda item: _compared(found, get(item)) == wanted
    if sign == "!=":
        return lambda item: _compared(found, get(item)) != wanted
    if found.kind in ("boolean",):
        raise Refusal(400, "INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on {found.kind} field")
    compare = _ORDERED[sign]
    if wanted is None:
        return lambda item: False
    return lambda item: (value := _compared(found, get(item))) is not None and compare(value, wanted)


def _value(found: Field, literal: Constant, text: str) -> Any:
    """A literal as the field's values are compared. Raises Refusal 400 where their kinds do not fit."""
    if literal.kind == "null":
        return None
    kind = found.kind
    if kind == "datetime" and literal.kind == "datetime":
        return literal.value
    if kind == "date" and literal.kind == "date":
        return literal.value
    if kind in NUMBERS and literal.kind == "number":
        return literal.value
    if kind == "boolean" and literal.kind == "boolean":
        return literal.value
    if kind in ("id", "reference") and literal.kind == "text":
        if not literal.value:
            return None
        known = read_id(literal.value)
        if known is None:
            said = f"invalid ID field: {literal.value}"
            raise Refusal(400, "INVALID_QUERY_FILTER_OPERATOR", at(text, literal.value, said))
        return record_id(*known)
    if kind in TEXTS and literal.kind == "text":
        return literal.value.casefold() or None
    wanted = {"datetime": "dateTime", "id": "ID", "reference": "ID"}.get(kind, kind)
    end = (
        "should be enclosed in quotes"
        if kind in TEXTS or wanted == "ID"
        else "should not be enclosed in quotes"
    )
    said = f"value of filter criterion for field '{found.name}' must be of type {wanted} and {end}"
    raise Refusal(400, "INVALID_FIELD", at(text, found.name, said))


def _compared(found: Field, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, str):
        return value if found.kind in ("id", "reference") else value.casefold()
    return Decimal(value) if found.kind == "int" else value


def _in_range(found: Field, span: tuple[datetime, datetime], sign: str, get: Callable[[Item], Any]) -> Match:
    first, after = span

    def moment(value: Any) -> datetime:
        if isinstance(value, datetime):
            return value
        return datetime.combine(value, time(), UTC) if isinstance(value, date) else first

    checks: dict[str, Callable[[datetime], bool]] = {
        "=": lambda m: first <= m < after,
        "!=": lambda m: not first <= m < after,
        "<": lambda m: m < first,
        "<=": lambda m: m < after,
        ">": lambda m: m >= after,
        ">=": lambda m: m >= first,
    }
    if found.kind not in ("date", "datetime"):
        raise Refusal(400, "INVALID_FIELD", f"a date literal does not fit the field '{found.name}'")
    return lambda item: (value := get(item)) is not None and checks[sign](moment(value))


def _like(said: str) -> re.Pattern[str]:
    parts = {"%": ".*", "_": "."}
    return re.compile("".join(parts.get(letter) or re.escape(letter) for letter in said), re.I | re.S)


def _joined(library: Library, where: Test, get: Callable[[Item], Any]) -> Match:
    """IN (SELECT ...): the values of one field of another object."""
    query = where.query
    assert query is not None
    inner = library.target(query)
    if len(query.paths) != 1:
        raise Refusal(400, "MALFORMED_QUERY", "the inner query must select exactly one field")
    value, _ = library.getter(inner, query.paths[0], query.text)
    known = {value(item) for item in library.found(query, inner, False)}
    if where.sign == "IN":
        return lambda item: get(item) in known
    return lambda item: get(item) not in known
