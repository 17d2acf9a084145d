"""Register rows that documents write by rules: kept by recorder, and the virtual tables over them.

Balance(Period) is the balance before that moment. Sums are added as whole thousandths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sandbox.onec.condition import Scope
from sandbox.onec.error import NO_PROPERTY, ODataError
from sandbox.onec.model import EntitySet, Row
from sandbox.onec.moment import END, START, moment
from sandbox.onec.tables import ACCUMULATED
from sandbox.store import Collection

if TYPE_CHECKING:
    from sandbox.onec.base import Base

_SCALE = 1000


class Registers:
    """Movements by recorder: `{"set", "period", "records": {register: [row, ...]}}`."""

    def __init__(self, rows: Collection) -> None:
        self._rows = rows
        self.hidden: set[tuple[str, str]] = set()  # columns of registers that are not shown now
        self._by_register: dict[str, dict[str, None]] = {}
        for recorder, movement in rows.items():
            self._index(recorder, movement)

    def put(self, recorder: str, recorder_set: str, period: str, records: Mapping[str, list[Row]]) -> None:
        """Replace the rows of a recorder; without any it is forgotten."""
        self.remove(recorder)
        if any(records.values()):
            movement = {"set": recorder_set, "period": period, "records": dict(records)}
            self._rows.put(recorder, movement)
            self._index(recorder, movement)

    def remove(self, recorder: str) -> None:
        if recorder in self._rows:
            for register in self._rows[recorder]["records"]:
                self._by_register[register].pop(recorder, None)
            self._rows.delete(recorder)

    def recorders(self, register: str) -> list[str]:
        return list(self._by_register.get(register, ()))

    def of(self, register: str, recorder: str) -> list[Row]:
        """Records of one recorder in one register, as `_RecordType` answers them."""
        movement = self._rows.get(recorder)
        rows = movement["records"].get(register, ()) if movement is not None else ()
        if movement is None or not rows:
            return []
        head = {
            "Recorder": recorder,
            "Recorder_Type": f"StandardODATA.{movement['set']}",
            "Period": movement["period"],
            "Active": True,
        }
        if self.hidden:
            rows = [{n: v for n, v in row.items() if (register, n) not in self.hidden} for row in rows]
        return [{**head, "LineNumber": str(place), **row} for place, row in enumerate(rows, 1)]

    def lines(self, register: str) -> Iterator[Row]:
        for recorder in self.recorders(register):
            yield from self.of(register, recorder)

    def _index(self, recorder: str, movement: Mapping[str, Any]) -> None:
        for register in movement["records"]:
            self._by_register.setdefault(register, {})[recorder] = None


def accumulated(base: Base, entity: EntitySet, table: str, arguments: Mapping[str, str]) -> list[Row]:
    """Balance, Turnovers or BalanceAndTurnovers of an accumulation register."""
    record = entity.tables["RecordSet"]
    if table == "Balance":
        start = end = moment(arguments, "Period", END)
    else:
        start, end = moment(arguments, "StartPeriod", START), moment(arguments, "EndPeriod", END)
    by = _dimensions(entity, arguments.get("Dimensions", ""))
    matches = _matches(base, entity, arguments)
    groups: dict[tuple[Any, ...], dict[str, list[int]]] = {}
    for row in base.registers.lines(entity.name):
        before = row["Period"] < start
        if (not before and (table == "Balance" or row["Period"] > end)) or not matches(row):
            continue
        group = tuple(row.get(name, record[name].default) for name in by)
        sums = groups.setdefault(group, {name: [0, 0, 0] for name in entity.resources})
        for name in entity.resources:
            value = round(row.get(name, 0) * _SCALE)
            receipt = row["RecordType"] == "Receipt"
            if before:
                sums[name][0] += value if receipt else -value
            else:
                sums[name][1 if receipt else 2] += value
    if table == "Balance" and "free" in base.configuration.parts and base.reading("free_stock") == "free":
        _less_reserves(base, entity, groups)
    return [
        dict(zip(by, group, strict=True)) | _shown(table, sums)
        for group, sums in groups.items()
        if any(any(values) for values in sums.values())
    ]


def _less_reserves(
    base: Base, entity: EntitySet, groups: dict[tuple[Any, ...], dict[str, list[int]]]
) -> None:
    """What lies there becomes what nobody has reserved, in the register of free stock."""
    register, held, *_ = base.configuration.parts["free"].split()
    if entity.name == register:
        for sums in groups.values():
            sums[held][0] -= sum(sums[name][0] for name in entity.resources if name != held)


def sliced(base: Base, entity: EntitySet, table: str, arguments: Mapping[str, str]) -> list[Row]:
    """SliceLast (up to and including Period) or SliceFirst (from it on) of an information register."""
    last = table == "SliceLast"
    at = moment(arguments, "Period", END if last else START)
    matches = _matches(base, entity, arguments)
    rows = (
        list(base.registers.lines(entity.name)) if entity.recorded else list(base.info[entity.name].values())
    )
    chosen: dict[tuple[Any, ...], Row] = {}
    for row in sorted(rows, key=lambda found: str(found["Period"]), reverse=not last):
        inside = row["Period"] <= at if last else row["Period"] >= at
        if inside and matches(row):
            chosen[tuple(row.get(name) for name in entity.dimensions)] = row
    columns = base.columns[entity.name][table]
    return [{name: row.get(name, columns[name].default) for name in columns} for row in chosen.values()]


def _matches(base: Base, entity: EntitySet, arguments: Mapping[str, str]) -> Callable[[Row], Any]:
    condition = arguments.get("Condition", "")
    if not condition:
        return lambda _row: True
    return Scope(base, entity.tables.get("RecordSet", entity.properties), order=base.order_of).predicate(
        condition
    )


def _dimensions(entity: EntitySet, text: str) -> tuple[str, ...]:
    """Chosen dimensions: `Договор` stands for Договор_Key, a composite brings its type."""
    wanted = [word.strip() for word in text.split(",") if word.strip()]
    if not wanted:
        return entity.dimensions
    found: list[str] = []
    for word in wanted:
        named = [n for n in entity.dimensions if n in (word, f"{word}_Key", f"{word}_Type")]
        if not named:
            raise ODataError(NO_PROPERTY, f'Сегмент пути "{word}" не найден!')
        found += named
    return tuple(dict.fromkeys(found))


def _shown(table: str, sums: Mapping[str, list[int]]) -> Row:
    row: Row = {}
    for name, (opening, receipt, expense) in sums.items():
        values = {
            "Balance": opening,
            "OpeningBalance": opening,
            "ClosingBalance": opening + receipt - expense,
            "Turnover": receipt - expense,
            "Receipt": receipt,
            "Expense": expense,
        }
        for suffix in ACCUMULATED[table]:
            row[f"{name}{suffix}"] = _number(values[suffix])
    return row


def _number(value: int) -> int | float:
    return value // _SCALE if value % _SCALE == 0 else value / _SCALE
