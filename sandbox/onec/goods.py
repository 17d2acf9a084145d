"""Prices and goods of a base as people set and receive them, in the words of its configuration.

`parts` of a configuration says what they are called: `prices` the document (with its tabular part) or the register by
which prices are set and the reference to their type, `price_kinds` the catalog of types, `received` the document by
which goods come in, its tabular part and the place they come to.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from sandbox.onec.ledger import UNDEFINED_REF, Entry, Side
from sandbox.onec.model import (
    ACCOUNTS,
    CONTRACTS,
    COUNTERPARTIES,
    EMPTY_REF,
    GOODS_RECEIPT,
    ORGANIZATIONS,
    PRODUCTS,
    WAREHOUSES,
    Row,
)
from sandbox.onec.readings import GOODS_ACCOUNTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.onec.base import Base

NAMESPACE = uuid.UUID("0d2b6f57-3f64-5a83-8f0c-6b9f53f1c7a4")
Prices = Sequence[tuple[str, Decimal]]
"""(key of a product, its new price)."""


def set_prices(base: Base, kind: str, moment: str, found: Prices, about: str = "") -> str:
    """Set prices of one type from a moment on; the key of the document, "" where the register is written itself.

    `about` makes the key of the document the same each time; without it the key is a new one.
    """
    name, *table, kind_field = base.configuration.parts["prices"].split()
    entity = base.configuration.sets[name]
    currency = _currency_of(base, kind)
    rows: list[Row] = [
        {"Номенклатура_Key": product, "Цена": float(price), "Валюта_Key": currency, "LineNumber": str(n)}
        for n, (product, price) in enumerate(found, 1)
    ]
    if not table:
        for row in rows:
            base.enter(entity, {**row, kind_field: kind, "Period": moment, "Актуальность": True})
        return ""
    if not rows:
        return ""
    key = str(uuid.uuid5(NAMESPACE, f"{base.configuration.name}:{about}")) if about else str(uuid.uuid4())
    body: Row = {"Ref_Key": key, "Date": moment, table[0]: rows, kind_field: kind}
    if kind_field in entity.tables[table[0]]:
        body[table[0]] = [{**row, kind_field: kind} for row in rows]
    base.create(entity, body | {"Организация_Key": first(base, ORGANIZATIONS)})
    base.post(entity, key)
    return key


def receive(base: Base, product: str, quantity: Decimal, cost: Decimal, place: str, day: date) -> str:
    """Let goods come in at a place, at a cost a piece without VAT; the key of the document."""
    name, table, place_field = base.configuration.parts["received"].split()
    entity, key = base.configuration.sets[name], str(uuid.uuid4())
    worth = float(round(quantity * cost, 2))
    row: Row = {
        "LineNumber": "1",
        "Номенклатура_Key": product,
        "Количество": float(quantity),
        "Цена": float(cost),
        "Сумма": worth,
        "СтавкаНДС": "БезНДС",
        "СчетУчета_Key": base.account("41.01") if ACCOUNTS in base.rows else EMPTY_REF,
    }
    body: Row = {
        "Ref_Key": key,
        "Date": f"{day.isoformat()}T08:00:00",
        "Организация_Key": first(base, ORGANIZATIONS),
        "Контрагент_Key": supplier(base),
        place_field: place,
        "СуммаДокумента": worth,
        table: [row],
    }
    base.create(entity, body)
    base.post(entity, key)
    return key


def received_entries(base: Base, doc: Row) -> list[Entry]:
    """Бухгалтерия: Dr 41.01 of each row's product and the document's place, Cr 60.01 of the supplier."""
    party = (COUNTERPARTIES, doc["Контрагент_Key"]) if doc["Контрагент_Key"] != EMPTY_REF else UNDEFINED_REF
    agreed = doc["ДоговорКонтрагента_Key"]
    contract = (CONTRACTS, agreed) if agreed != EMPTY_REF else UNDEFINED_REF
    owed = Side("60.01", (party, contract, (GOODS_RECEIPT, doc["Ref_Key"])))
    place = (WAREHOUSES, doc["Склад_Key"])
    return [
        Entry(
            Side("41.01", ((PRODUCTS, row["Номенклатура_Key"]), UNDEFINED_REF, place), row["Количество"]),
            owed,
            int((Decimal(str(row["Сумма"])) * 100).to_integral_value()),
            "Поступление товаров",
        )
        for row in doc["Товары"]
    ]


def price_kind(base: Base, named: str) -> str:
    """The key of a type of prices by its key or name; of the first that was written where nothing is said.

    Raises ValueError for one that there is not.
    """
    return _one(base, base.configuration.parts["price_kinds"], named, "price_type")


def place_of(base: Base, named: str) -> str:
    """The key of a warehouse by its key or name; of the first where nothing is said. Raises ValueError."""
    name, _, field = base.configuration.parts["received"].split()
    return _one(base, base.configuration.sets[name].properties[field].target, named, "place")


def read_as(base: Base, readings: Mapping[str, str]) -> None:
    """Choose readings; none takes all back. The accounts of goods then say by what they are kept."""
    from sandbox.onec.register import BATCHES, ext_dimension_kind

    base.change_readings(readings)
    if ACCOUNTS not in base.rows:
        return
    kept = {"batch": (PRODUCTS, BATCHES, WAREHOUSES), "place": (PRODUCTS, WAREHOUSES), "item": (PRODUCTS,)}
    rows = [
        {"LineNumber": str(n), "ExtDimensionType_Key": ext_dimension_kind(name)}
        for n, name in enumerate(kept[base.reading("stock_by")], 1)
    ]
    for code in GOODS_ACCOUNTS:
        found = base.get(ACCOUNTS, base.account(code))
        if found is not None and found.get("ExtDimensionTypes") != rows:
            base.update(base.configuration.sets[ACCOUNTS], found["Ref_Key"], {"ExtDimensionTypes": rows})


def first(base: Base, name: str) -> str:
    return next(iter(base.rows[name]), EMPTY_REF)


def supplier(base: Base) -> str:
    """The first counterparty that buys nothing: one without a contract; where all have one, the first."""
    owners = {row.get("Owner_Key") or row.get("Owner") or "" for row in base.rows[CONTRACTS].values()}
    owners |= {row.get("Контрагент_Key", "") for row in base.rows[CONTRACTS].values()}
    rows = base.rows[COUNTERPARTIES]
    living = [key for key, row in rows.items() if not row.get("IsFolder") and not row.get("DeletionMark")]
    return next((key for key in living if key not in owners), living[0] if living else EMPTY_REF)


def _one(base: Base, name: str, named: str, field: str) -> str:
    rows = base.rows[name]
    if not named:
        return first(base, name)
    found = [key for key, row in rows.items() if named in (key, row.get("Description"))]
    if not found:
        there = ", ".join(str(row.get("Description", "")) for row in rows.values())
        raise ValueError(f"{field} is {named!r}; give one of {there}")
    return found[0]


def _currency_of(base: Base, kind: str) -> str:
    row = base.get(base.configuration.parts["price_kinds"], kind) or {}
    return str(row.get("ВалютаЦены_Key", EMPTY_REF))
