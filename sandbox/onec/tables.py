"""Virtual tables: their columns and parameters, by register.

Column names are the query language's own in English (`СуммаBalance`, `СуммаReceipt`, `СуммаOpeningBalanceDr`).
Those of Balance and Turnover are confirmed by a recorded `$metadata`; the suffixes of the combined tables are
unconfirmed: take them from `$metadata`.
"""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.onec.model import ACCOUNTS, CURRENCIES, ORGANIZATIONS, EntitySet, Property, properties

Columns = dict[str, Property]
TOTAL_DIMENSIONS = properties(
    f"Account_Key>{ACCOUNTS} ExtDimension1:c ExtDimension2:c ExtDimension3:c "
    f"Организация_Key>{ORGANIZATIONS} Валюта_Key>{CURRENCIES} Подразделение_Key"
)
TOTAL_RESOURCES = ("Сумма", "ВалютнаяСумма", "Количество")
SIDES = ("", "Dr", "Cr")
_TURNOVER = ("StartPeriod", "EndPeriod", "AccountCondition", "Condition", "Dimensions", "ExtraDimensions")
PARAMETERS: dict[str, tuple[str, ...]] = {
    "Balance": ("Period", "AccountCondition", "Condition", "Dimensions", "ExtraDimensions"),
    "Turnovers": _TURNOVER,
    "BalanceAndTurnovers": _TURNOVER,
    "RecordsWithExtDimensions": ("StartPeriod", "EndPeriod", "Condition", "Top", "Order"),
    "SliceLast": ("Period", "Condition"),
    "SliceFirst": ("Period", "Condition"),
}
ACCUMULATED = {
    "Balance": ("Balance",),
    "Turnovers": ("Turnover", "Receipt", "Expense"),
    "BalanceAndTurnovers": ("OpeningBalance", "Turnover", "Receipt", "Expense", "ClosingBalance"),
}
"""Suffixes of an accumulation register's resources, by virtual table."""


def _totals(*suffixes: str) -> Columns:
    names = " ".join(f"{r}{suffix}{side}:m" for r in TOTAL_RESOURCES for suffix in suffixes for side in SIDES)
    return TOTAL_DIMENSIONS | properties(names)


TOTALS: dict[str, Columns] = {
    "Balance": _totals("Balance"),
    "Turnovers": _totals("Turnover"),
    "BalanceAndTurnovers": _totals("OpeningBalance", "Turnover", "ClosingBalance"),
}
"""Those of the accounting register."""


def columns_of(sets: Iterable[EntitySet]) -> dict[str, dict[str, Columns]]:
    """The virtual tables of the accumulation and the periodic information registers among the sets."""
    found: dict[str, dict[str, Columns]] = {}
    for entity in sets:
        record = entity.tables.get("RecordSet", entity.properties)
        if entity.name.endswith("_RecordType") or not entity.dimensions:
            continue
        by = {name: record[name] for name in entity.dimensions}
        if entity.register == "accumulation":
            found[entity.name] = {
                table: by
                | {
                    f"{name}{suffix}": _column(record[name], f"{name}{suffix}")
                    for name in entity.resources
                    for suffix in suffixes
                }
                for table, suffixes in ACCUMULATED.items()
            }
        elif "Period" in record:
            slice_ = {"Period": record["Period"]} | by | {name: record[name] for name in entity.resources}
            if entity.recorded:
                slice_ |= {name: record[name] for name in ("Recorder", "Recorder_Type")}
            found[entity.name] = {"SliceLast": slice_, "SliceFirst": slice_}
    return found


def parameters_of(entity: EntitySet, table: str) -> tuple[str, ...]:
    """What a virtual table may be given: accounts and ext dimensions are the accounting register's alone."""
    given = PARAMETERS[table]
    if entity.register == "accounting":
        return given
    return tuple(name for name in given if name not in ("AccountCondition", "ExtraDimensions"))


def _column(prop: Property, name: str) -> Property:
    return Property(name, prop.edm, prop.default, scale=prop.scale)
