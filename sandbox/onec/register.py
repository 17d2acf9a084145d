"""Virtual tables of the accounting register: Balance, Turnovers, BalanceAndTurnovers and its records.

Balance(Period) is the balance before that moment: for the end of a day pass the next day's midnight.
Turnovers take both ends of the period. Column names are the query language's own in English
(`СуммаBalanceDr`, `СуммаOpeningBalance`). Sums are roubles as doubles, quantities as kept.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sandbox.onec.accounting import RECORD_WITH_DIMENSIONS
from sandbox.onec.base import Base, order_of
from sandbox.onec.condition import Scope
from sandbox.onec.error import INTERNAL, OPTION, ODataError
from sandbox.onec.ledger import Movement, Side, record, rubles
from sandbox.onec.model import ACCOUNTS, EMPTY_REF, EntitySet, Row
from sandbox.onec.moment import END, START, moment
from sandbox.onec.readings import shown_by
from sandbox.onec.registers import accumulated, sliced
from sandbox.onec.tables import TOTAL_DIMENSIONS, TOTAL_RESOURCES
from sandbox.onec.values import GUID

BATCHES = "Document_Партия"  # goods are kept by batch too, but here none is ever named
EXT_DIMENSION_KINDS = {
    "Catalog_Контрагенты": "Контрагенты",
    "Catalog_ДоговорыКонтрагентов": "Договоры",
    "Document": "ДокументыРасчетовСКонтрагентами",
    "Catalog_Номенклатура": "Номенклатура",
    BATCHES: "Партии",
    "Catalog_Склады": "Склады",
    "Catalog_БанковскиеСчета": "БанковскиеСчета",
}
_NAMESPACE = uuid.UUID("b63d7f0e-4a6f-4a37-9d5f-0d6b6e8e3a11")
_KEPT_ANSWERS = 16
RECORDS = "RecordsWithExtDimensions"


def ext_dimension_kind(set_name: str) -> str:
    """Key of the kind of ext dimension (план видов характеристик) that holds references to a set."""
    name = EXT_DIMENSION_KINDS.get(set_name) or EXT_DIMENSION_KINDS.get(set_name.split("_", 1)[0], "")
    return str(uuid.uuid5(_NAMESPACE, name)) if name else EMPTY_REF


def virtual_table(base: Base, register: EntitySet, name: str, arguments: Mapping[str, str]) -> list[Row]:
    """Rows of a published virtual table. Raises ODataError (400) for a wrong argument."""
    if register.register == "accumulation":
        return accumulated(base, register, name, arguments)
    if register.register == "information":
        return sliced(base, register, name, arguments)
    if name == RECORDS:
        return _records(base, arguments)
    kept = base.answers
    key = (base.ledger.changes, name, tuple(sorted(arguments.items())))
    if key not in kept:
        if len(kept) >= _KEPT_ANSWERS:
            kept.clear()
        kept[key] = _Totals(base, name, arguments).rows()
    return kept[key]


class _Totals:
    """Sums by account and dimensions. A group holds, for each of the table's periods, both sides."""

    def __init__(self, base: Base, name: str, arguments: Mapping[str, str]) -> None:
        self._base, self._name, self._goods = base, name, base.reading("stock_by")
        if name == "Balance":
            self._start = self._end = moment(arguments, "Period", END)
        else:
            self._start = moment(arguments, "StartPeriod", START)
            self._end = moment(arguments, "EndPeriod", END)
        self._by = [word.strip() for word in arguments.get("Dimensions", "").split(",") if word.strip()]
        self._extra = [
            word.strip() for word in arguments.get("ExtraDimensions", "").split(",") if word.strip()
        ]
        for key in self._extra:
            if not GUID.fullmatch(key.removeprefix("guid").strip("'")):
                raise ODataError(OPTION, f"Ошибка разбора опций запроса: ExtraDimensions={key[:60]}")
        self._accounts = self._wanted_accounts(arguments.get("AccountCondition", ""))
        condition = arguments.get("Condition", "")
        self._matches = (
            Scope(base, TOTAL_DIMENSIONS, order=order_of).predicate(condition) if condition else None
        )

    def rows(self) -> list[Row]:
        groups: dict[tuple[Any, ...], list[float]] = {}
        for movement, _, entry in self._base.ledger.lines():
            period = movement.period
            before = period < self._start
            if not before and (self._name == "Balance" or period > self._end):
                continue
            for place, side in enumerate((entry.debit, entry.credit)):
                if not side.account or (self._accounts is not None and side.account not in self._accounts):
                    continue
                totals = groups.setdefault(self._group(movement, side), [0] * 12)
                at = (0 if before else 6) + place
                totals[at] += entry.kopecks
                totals[at + 2] += side.currency_sum
                totals[at + 4] += round(side.quantity * 1000)
        return list(self._shown(groups))

    def _shown(self, groups: dict[tuple[Any, ...], list[float]]) -> Iterator[Row]:
        for group, totals in groups.items():
            row = self._head(group)
            if self._matches is not None and not self._matches(row):
                continue
            alive = False
            for n, resource in enumerate(TOTAL_RESOURCES):
                opening = totals[2 * n] - totals[2 * n + 1]
                debit, credit = totals[6 + 2 * n], totals[7 + 2 * n]
                show = _quantity if resource == "Количество" else _money
                if self._name == "Balance":
                    _balance(row, f"{resource}Balance", opening, show)
                    alive = alive or opening != 0
                    continue
                if self._name == "BalanceAndTurnovers":
                    _balance(row, f"{resource}OpeningBalance", opening, show)
                    _balance(row, f"{resource}ClosingBalance", opening + debit - credit, show)
                    alive = alive or opening != 0
                row[f"{resource}Turnover"] = show(debit - credit)
                row[f"{resource}TurnoverDr"] = show(debit)
                row[f"{resource}TurnoverCr"] = show(credit)
                alive = alive or debit != 0 or credit != 0
            if alive:
                yield row

    def _group(self, movement: Movement, side: Side) -> tuple[Any, ...]:
        dimensions: tuple[tuple[str, str], ...] = shown_by(self._goods, side.account, side.dimensions)
        if self._extra:
            kinds = [key.removeprefix("guid").strip("'").lower() for key in self._extra[:3]]
            by_kind = {ext_dimension_kind(name): (name, key) for name, key in dimensions if name}
            chosen = [by_kind.get(kind, ("", "")) for kind in kinds]
            dimensions = (*chosen, *[("", "")] * (3 - len(chosen)))
        group: tuple[Any, ...] = (side.account, dimensions, movement.organization, side.currency)
        if not self._by:
            return group
        by = {name.removesuffix("_Key") for name in self._by}
        return (
            side.account if "Account" in by else "",
            tuple(d if f"ExtDimension{n}" in by else ("", "") for n, d in enumerate(dimensions, 1)),
            movement.organization if "Организация" in by else EMPTY_REF,
            side.currency if "Валюта" in by else EMPTY_REF,
        )

    def _head(self, group: tuple[Any, ...]) -> Row:
        account, dimensions, organization, currency = group
        row: Row = {"Account_Key": self._base.account(account) if account else EMPTY_REF}
        for n, (name, key) in enumerate(dimensions, 1):
            row[f"ExtDimension{n}"] = key
            row[f"ExtDimension{n}_Type"] = f"StandardODATA.{name or 'Undefined'}"
        return row | {"Организация_Key": organization, "Валюта_Key": currency, "Подразделение_Key": EMPTY_REF}

    def _wanted_accounts(self, condition: str) -> set[str] | None:
        if not condition:
            return None
        matches = Scope(self._base, TOTAL_DIMENSIONS, order=order_of).predicate(condition)
        accounts = self._base.rows[ACCOUNTS]
        return {row["Code"] for key, row in accounts.items() if matches({"Account_Key": key})}


def _balance(row: Row, name: str, value: float, show: Callable[[float], int | float]) -> None:
    row[name] = show(value)
    row[f"{name}Dr"] = show(max(value, 0))
    row[f"{name}Cr"] = show(max(-value, 0))


def _money(value: float) -> int | float:
    return rubles(int(value))


def _quantity(value: float) -> int | float:
    return int(value) // 1000 if value % 1000 == 0 else value / 1000


def _records(base: Base, arguments: Mapping[str, str]) -> list[Row]:
    """Entries with their ext dimensions, as clients of live bases found the table: in no order whatever is asked for,
    `Top` cutting anywhere, a condition by recorder refused (guid) or finding nothing (text). An empty ext dimension
    is null."""
    start, end = moment(arguments, "StartPeriod", START), moment(arguments, "EndPeriod", END)
    condition = arguments.get("Condition", "")
    if re.search(r"\bRecorder\b", condition):
        if "guid'" in condition:
            raise ODataError(INTERNAL, "Ошибка при выполнении запроса: несовместимые типы")
        return []
    matches = Scope(base, RECORD_WITH_DIMENSIONS, order=order_of).predicate(condition) if condition else None
    movements = sorted(base.ledger.between(start, end), key=lambda movement: movement.recorder)
    goods = base.reading("stock_by")
    rows = (
        record(movement, place, entry, base.account, dimensions=True, goods=goods)
        for movement in movements
        for place, entry in enumerate(movement.entries, 1)
    )
    found = [{**_NO_DIMENSIONS, **row} for row in rows if matches is None or matches(row)]
    top = arguments.get("Top", "")
    return found[: int(top)] if top.isdigit() else found


_NO_DIMENSIONS: Row = dict.fromkeys(
    name for name in RECORD_WITH_DIMENSIONS if name.startswith("ExtDimension")
)
