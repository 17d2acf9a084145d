"""Bodies with flat names, as a mapping file can write them, and the nested ones that SAP takes and gives.

    {"OrganizationBPName1": "ООО Ромашка", "to_BusinessPartnerTax[BPTaxType=RU1].BPTaxNumber": "7701234567",
     "to_Customer.to_CustomerCompany[CompanyCode=1010].ReconciliationAccount": "12100000"}

A name is a path of the same language in which mapping files read: `a.b`, `a[k=v].b` for the element of the list `a`
whose `k` is v (several conditions with commas), `a[0].b` for one by its place. `nested` makes the body to send; `Found`
is a body read back that answers to such names too, so that what was meant compares with what is there.

Fields that SAP computes (COMPUTED) are never sent, but compared: `TotalNetAmount: 120.00` in a body says what the
total must come to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

COMPUTED: Final = frozenset(
    ("TotalNetAmount", "NetAmount", "TaxAmount", "ConditionAmount", "ConditionBaseValue")
)
MAX_STEPS: Final = 6
_STEP: Final = re.compile(r"(?P<name>\w+)(?:\[(?P<where>[^\]]*)\])?(?:\.|$)")

# A name, and which element of the list that it names: by conditions, or by its place.
Step = tuple[str, tuple[tuple[str, str], ...] | int | None]


class Found(dict[str, Any]):
    """A body read back: a dictionary of the vendor's own fields that answers to paths as well."""

    def __contains__(self, name: object) -> bool:
        if dict.__contains__(self, name):
            return True
        return isinstance(name, str) and _is_path(name) and _NOTHING is not _at(self, steps(name))

    def __missing__(self, name: str) -> Any:
        value = _at(self, steps(name)) if _is_path(name) else _NOTHING
        if value is _NOTHING:
            raise KeyError(name)
        return value


def found(body: Mapping[str, Any]) -> Found:
    """A plain body as one that answers to paths, at every level."""
    return Found({name: _wrapped(value) for name, value in body.items()})


def nested(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body to send, its numbers as texts, for Edm.Decimal is one. Raises ValueError for a name that is no path."""
    made: dict[str, Any] = {}
    for name, value in body.items():
        if isinstance(value, list):
            value = [nested(row) if isinstance(row, dict) else _texted(row) for row in value]
        elif isinstance(value, dict):
            value = nested(value)
        elif not isinstance(value, str):
            value = _texted(value)
        if not _is_path(name):
            if name not in COMPUTED:
                made[name] = value
            continue
        *way, (last, where) = steps(name)
        if where is not None:
            raise ValueError(f"`{name}` names an element of a list and no field of it; add .field")
        if last not in COMPUTED:
            _place(made, way)[last] = value
    return made


@lru_cache(maxsize=4096)
def steps(path: str) -> tuple[Step, ...]:
    """The steps of a path. Raises ValueError."""
    out: list[Step] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None or len(out) == MAX_STEPS:
            raise ValueError(
                f"`{path}` is no path of fields; it reads like to_Item[SalesOrderItem=10].Material"
            )
        out.append((match["name"], _element(match["where"], path)))
        position = match.end()
    return tuple(out)


# ---- Inside --------------------------------------------------------------------------------------

_NOTHING: Final = object()


def _texted(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _is_path(name: str) -> bool:
    return "." in name or "[" in name


def _element(said: str | None, path: str) -> tuple[tuple[str, str], ...] | int | None:
    if said is None:
        return None
    return int(said) if said.strip().isdigit() else tuple(_conditions(said, path))


def _conditions(said: str, path: str) -> Iterator[tuple[str, str]]:
    for part in said.split(","):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"`{path}`: in brackets stands a condition, as [ConditionType=PPR0]")
        yield name.strip(), value.strip()


def _place(into: dict[str, Any], way: Sequence[Step]) -> dict[str, Any]:
    """The object that a path leads to, made where it is not there yet."""
    for name, where in way:
        if where is None:
            into = into.setdefault(name, {})
            continue
        rows: list[dict[str, Any]] = into.setdefault(name, [])
        if isinstance(where, int):
            if where >= len(rows):
                rows.append({})
            into = rows[min(where, len(rows) - 1)]
            continue
        row = next((row for row in rows if _fits(row, where)), None)
        if row is None:
            row = dict(where)
            rows.append(row)
        into = row
    return into


def _fits(row: Mapping[str, Any], where: Sequence[tuple[str, str]]) -> bool:
    return all(str(row.get(name, "")) == value for name, value in where)


def _at(body: Mapping[str, Any], way: Sequence[Step]) -> Any:
    value: Any = body
    for name, where in way:
        if not isinstance(value, Mapping) or not dict.__contains__(value, name):
            return _NOTHING
        value = value[name]
        if where is not None:
            rows = [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []
            fitting = (
                rows[where : where + 1] if isinstance(where, int) else [r for r in rows if _fits(r, where)]
            )
            # Of two conditions of one type the inactive one is the list price that ours took the place of.
            active = [row for row in fitting if not row.get("ConditionInactiveReason")]
            if not fitting:
                return _NOTHING
            value = (active or fitting)[-1 if active else 0]
    return value


def _wrapped(value: Any) -> Any:
    if isinstance(value, dict):
        return found(value)
    if isinstance(value, list):
        return [_wrapped(item) for item in value]
    return value
