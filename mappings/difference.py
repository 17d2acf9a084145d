"""Which rules of one set-up another one has, has otherwise, or has no more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from mappings.folder import Mappings

NAMING: Final = ("rule", "pipeline", "stage", "outcome", "name", "rate", "code", "into", "from")
"""What tells entries of a list apart, and names them."""

SECRET: Final = ("system", "connection")  # the name is the file's own, a connection is never shown
WHOLE: Final = ("fields", "owner")  # each of their entries is one rule, however it is written
SHOWN: Final = 160  # characters of a rule


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One rule. `rule`: where it stands, as `read core.deal fields amount`. `old` and `new` as they are written, in short."""

    system: str
    rule: str
    what: Literal["new", "changed", "gone"]
    old: str = ""
    new: str = ""


def rule_changes(old: Mappings, new: Mappings) -> list[RuleChange]:
    """Rules that differ, file by file. A file that is new or gone is one entry of its own."""
    before = {system.name: system for system in old.systems}
    after = {system.name: system for system in new.systems}
    found: list[RuleChange] = []
    for name in sorted(before | after):
        if name not in before or name not in after:
            found.append(RuleChange(name, "", "gone" if name in before else "new"))
            continue
        found += _changes(name, before[name].source.values, after[name].source.values)
    return found


def _changes(system: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[RuleChange]:
    before, after = dict(_rules(old)), dict(_rules(new))
    for rule in dict.fromkeys((*before, *after)):
        if rule not in after:
            yield RuleChange(system, rule, "gone", _short(before[rule]))
        elif rule not in before:
            yield RuleChange(system, rule, "new", "", _short(after[rule]))
        elif before[rule] != after[rule]:
            yield RuleChange(system, rule, "changed", _short(before[rule]), _short(after[rule]))


def _rules(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if name not in SECRET:
            yield from _of((str(name),), value)


def _of(path: tuple[str, ...], value: Any) -> Iterator[tuple[str, Any]]:
    within = path[-2] if len(path) > 1 else ""
    if within not in WHOLE and isinstance(value, Mapping) and _is_group(path, value):
        for name, inner in value.items():
            yield from _of((*path, str(name)), inner)
    elif within not in WHOLE and isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        yield from _listed(path, value)
    else:
        yield " ".join(path), value


def _listed(path: tuple[str, ...], value: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    seen: dict[str, int] = {}
    for one in value:
        label = _label(one)
        seen[label] = seen.get(label, 0) + 1
        name = label if seen[label] == 1 else f"{label} ({seen[label]})"
        if isinstance(one, Mapping) and _is_group((*path, name), one):
            yield from _of((*path, name), one)
        else:
            yield " ".join((*path, name)), one


def _is_group(path: tuple[str, ...], value: Mapping[str, Any]) -> bool:
    """Whether its entries are rules of their own, and not parts of one."""
    return len(path) == 1 or path[-1] in (*WHOLE, "policy") or path[-2] == "policy" or "fields" in value


def _label(one: Any) -> str:
    if not isinstance(one, Mapping):
        return _short(one)
    return "/".join(_short(one[name]) for name in NAMING if name in one) or _short(one)


def _short(value: Any) -> str:
    told = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_plain)
    return told if len(told) <= SHOWN else told[: SHOWN - 1] + "…"


def _plain(value: Any) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)
