"""Conditions on records: columns, values as their columns compare them, and tests. Shared by queries, the search
and bulk reading.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from sandbox.crm.zoho.fields import Field
from sandbox.crm.zoho.gate import Refused
from sandbox.crm.zoho.ids import moment, number_of
from sandbox.crm.zoho.modules import OF_ENTITY, Module
from sandbox.crm.zoho.view import View
from sandbox.desk.records import Item

CONDITIONS: Final = 25
"""Conditions of one query."""
Test = Callable[[View, Item], bool]


@dataclass(frozen=True)
class Column:
    """A field of the module, or one of the record that its lookup names."""

    name: str
    field: Field
    module: Module
    through: Field | None = None

    def value(self, view: View, item: Item) -> Any:
        """What a condition compares and a row shows; a lookup is {"name", "id"}."""
        if self.through is None:
            return self.field.get(view, item)
        shown = self.through.get(view, item)
        number = number_of(self.module.entity, shown["id"]) if isinstance(shown, dict) else None
        found = view.rows(self.module.entity).get(number) if number is not None else None
        return self.field.get(view, found) if found is not None else None


def column_of(module: Module, name: str) -> Column:
    """A column by its name. Raises Refused for one that the module has not, and for rows."""
    first, _, rest = name.partition(".")
    found = module.by_name.get(first)
    if found is not None and found.kind != "subform" and rest and found.lookup in OF_ENTITY:
        target = OF_ENTITY[found.lookup]
        if rest in target.by_name:
            return Column(name, target.by_name[rest], target, found)
    elif found is not None and found.kind != "subform" and not rest:
        return Column(name, found, module)
    raise Refused(400, "INVALID_QUERY", "column given seems to be invalid", {"column_name": name})


def comparable(column: Column, value: Any) -> Any:
    """A shown value as conditions compare it: numbers, moments, ids, words without case."""
    if value is None:
        return None
    if column.field.kind in ("lookup", "ownerlookup"):
        return value["id"]
    if column.field.kind == "datetime":
        return datetime.fromisoformat(value).astimezone(UTC)
    if column.field.kind == "date":
        return date.fromisoformat(value)
    if column.field.kind in ("currency", "double", "percent", "integer"):
        return Decimal(str(value))
    if column.field.kind == "bigint":
        return int(value)
    return value if isinstance(value, bool) else str(value).casefold()


def read_value(column: Column, said: str) -> Any:
    """A value of a query as its column compares it. Raises Refused when it is none."""
    kind = column.field.kind
    try:
        if kind == "datetime":
            return moment(said)
        if kind == "date":
            return date.fromisoformat(said)
        if kind in ("currency", "double", "percent", "integer"):
            return Decimal(said)
        if kind == "bigint":
            return int(said)
        if kind == "boolean":
            return {"true": True, "false": False}[said.casefold()]
    except (ValueError, ArithmeticError, KeyError):
        raise Refused(400, "INVALID_QUERY", "value given seems to be invalid for the column",
                      {"column_name": column.name, "expected_data_type": kind}) from None  # fmt: skip
    return said if kind in ("lookup", "ownerlookup") else said.casefold()


def condition(column: Column, comparison: str, wanted: list[Any]) -> Test:
    """A test of one column by one of COMPARE, [not] in, like or between, is [not] null."""

    def test(view: View, item: Item) -> bool:
        value = comparable(column, column.value(view, item))
        if comparison in ("is null", "is not null"):
            return (value is None) == (comparison == "is null")
        if value is None:
            return comparison in ("!=", "not in", "not like")
        if comparison in ("in", "not in"):
            return (value in wanted) == (comparison == "in")
        if comparison in ("between", "not between"):
            return bool(wanted[0] <= value <= wanted[1]) == (comparison == "between")
        if comparison in ("like", "not like"):
            pattern = ".*".join(re.escape(part) for part in str(wanted[0]).split("%"))
            return (re.fullmatch(pattern, str(value), re.DOTALL) is not None) == (comparison == "like")
        return bool(COMPARE[comparison](value, wanted[0]))

    return test


COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip
