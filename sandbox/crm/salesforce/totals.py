"""Aggregates of SOQL: COUNT(field), COUNT_DISTINCT, MIN, MAX, SUM, AVG, with or without GROUP BY."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sandbox.crm.salesforce.fields import SObject, worded
from sandbox.crm.salesforce.rest import Refusal
from sandbox.crm.salesforce.soql import Query
from sandbox.desk.records import Item

if TYPE_CHECKING:
    from sandbox.crm.salesforce.query import Library

MAX_GROUPS = 2000


def totals(library: Library, query: Query, target: SObject, items: Sequence[Item]) -> dict[str, Any]:
    """The answer's JSON. Raises Refusal MALFORMED_QUERY for a field that is neither grouped nor aggregated."""
    grouped = {tuple(part.lower() for part in path) for path in query.group_by}
    for path in query.paths:
        if tuple(part.lower() for part in path) not in grouped:
            said = f"Field must be grouped or aggregated: {'.'.join(path)}"
            raise Refusal(400, "MALFORMED_QUERY", said)
    keys = [library.getter(target, path, query.text) for path in query.group_by]
    sets: dict[tuple[Any, ...], list[Item]] = {} if keys else {(): list(items)}
    for item in items if keys else ():
        sets.setdefault(tuple(get(item) for get, _ in keys), []).append(item)
    if len(sets) > MAX_GROUPS:
        raise Refusal(400, "EXCEEDED_ID_LIMIT", "Aggregate query does not support queryMore(), use LIMIT")
    records = []
    for key, rows in sets.items():
        record: dict[str, Any] = {"attributes": {"type": "AggregateResult"}}
        for path, (_, found), value in zip(query.group_by, keys, key, strict=True):
            if path in query.paths:
                record[found.name] = worded(found.kind, value)
        for wanted in query.aggregates:
            get, found = library.getter(target, wanted.path, query.text)
            values = [value for item in rows if (value := get(item)) is not None]
            record[wanted.alias] = worded(found.kind, _total(wanted.function, values))
        records.append(record)
    return {"totalSize": len(records), "done": True, "records": records}


def _total(function: str, values: list[Any]) -> Any:
    if function == "COUNT":
        return len(values)
    if function == "COUNT_DISTINCT":
        return len(set(values))
    if not values:
        return None
    if function == "MIN":
        return min(values)
    if function == "MAX":
        return max(values)
    whole = sum((Decimal(value) for value in values), Decimal(0))
    return whole if function == "SUM" else whole / len(values)
