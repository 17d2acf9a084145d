"""What an analytic set does with $select: amounts are summed over the dimensions that were asked for.

Asking for the key (ID), or for nothing in particular, gives the single lines.
Source: sap:semantics="aggregate" in the service's metadata.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from sandbox.accounting.sap.database import Row
from sandbox.accounting.sap.edm import EntityType
from sandbox.accounting.sap.values import SHOWN, kept_of, quantity


def aggregate(
    kind: EntityType, rows: Iterable[Row], names: list[str], order: list[tuple[str, bool]]
) -> list[dict[str, Any]]:
    """Rows as they are shown, sorted by `order`, else by their dimensions. Units of amounts are dimensions too."""
    measures = [name for name in names if kind.properties[name].code in "aq"]
    dimensions = [name for name in names if name not in measures]
    hidden = [kind.units[name] for name in measures if kind.units.get(name, name) not in dimensions]
    split = list(dict.fromkeys([*dimensions, *(name for name in hidden if name)]))
    sums: dict[tuple[Any, ...], list[Decimal]] = {}
    for row in rows:
        key = tuple(row.get(name) or kind.properties[name].empty for name in split)
        found = sums.setdefault(key, [Decimal(0)] * len(measures))
        for place, name in enumerate(measures):
            found[place] += Decimal(row.get(name) or 0)
    grouped: list[Row] = []
    for key, totals in sums.items():
        line: Row = dict(zip(split, key, strict=True))
        for name, total in zip(measures, totals, strict=True):
            line[name] = quantity(total) if kind.properties[name].code == "q" else f"{total:.2f}"
        grouped.append(line)
    for name, descending in reversed([*order, *((each, False) for each in split)]):
        if name in split or name in measures:
            prop = kind.properties[name]
            grouped.sort(key=lambda row: _sortable(kept_of(prop, row)), reverse=descending)
    return [_shown(kind, line, names) for line in grouped]


def _shown(kind: EntityType, line: Row, names: list[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {"__metadata": {"type": f"cds_api_glaccountlineitem.{kind.name}"}}
    for name in names:
        value, code = line[name], kind.properties[name].code
        shown[name] = SHOWN[code](value) if value is not None and code in "dot" else value
    return shown


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, value)
