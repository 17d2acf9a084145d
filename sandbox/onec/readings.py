"""Readings of the documents about prices and stock: where no source says how a base does it, a test can choose.

    slices          SliceLast and SliceFirst of a register that documents write are asked of the register and of its
                    records ("both"), of one of them ("register") or of the other ("records", as the guide has it)
    price_currency  Бухгалтерия: a price says its currency itself ("register"), or its type of prices does ("type")
    stock_by        Бухгалтерия: goods lie on 41.01 by item, batch and place ("batch"), by item and place ("place"),
                    or by item alone ("item")
    free_stock      Управление торговлей: ВНаличии of СвободныеОстатки is all that lies there ("held"), or what of it
                    nobody has reserved ("free")

The first value is how a base is until it is told otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sandbox.onec.model import PRICES, EntitySet, Property

READINGS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # name: (values, configurations)
    "slices": (("both", "register", "records"), ("onec", "onec-trade")),
    "price_currency": (("register", "type"), ("onec",)),
    "stock_by": (("batch", "place", "item"), ("onec",)),
    "free_stock": (("held", "free"), ("onec-trade",)),
}
GOODS_ACCOUNTS = ("10.01", "41.01", "43")
CURRENCY = "Валюта_Key"
Dimension = tuple[str, str]
NOTHING: Dimension = ("", "")


def read_readings(configuration: str, said: Mapping[str, object]) -> dict[str, str]:
    """The readings of a configuration from JSON. Raises ValueError with what is wrong."""
    found: dict[str, str] = {}
    for name, value in said.items():
        values, where = READINGS.get(name, ((), ()))
        if configuration not in where:
            there = ", ".join(name for name, (_, where) in READINGS.items() if configuration in where)
            raise ValueError(f"{configuration} has no reading {name!r}; there are {there or 'none'}")
        if value not in values:
            raise ValueError(f"reading {name} is {value!r}; give one of {', '.join(values)}")
        found[name] = str(value)
    return found


def without_currency(entity: EntitySet) -> EntitySet:
    """The register of prices, or its records, without a currency of their own."""
    tables = {table: _less(props) for table, props in entity.tables.items()}
    resources = tuple(name for name in entity.resources if name != CURRENCY)
    return replace(entity, properties=_less(entity.properties), tables=tables, resources=resources)


def columns(
    tables: Mapping[str, Mapping[str, Mapping[str, Property]]], readings: Mapping[str, str]
) -> Mapping[str, Mapping[str, Mapping[str, Property]]]:
    """The columns of virtual tables as these readings show them."""
    if readings.get("price_currency") != "type" or PRICES not in tables:
        return tables
    return {**tables, PRICES: {name: _less(props) for name, props in tables[PRICES].items()}}


def shown_by(
    reading: str, account: str, dimensions: tuple[Dimension, Dimension, Dimension]
) -> tuple[Dimension, Dimension, Dimension]:
    """Ext dimensions of a side as the accounts are set up: goods are kept by item, batch and place."""
    if reading == "batch" or account not in GOODS_ACCOUNTS:
        return dimensions
    item, _, place = dimensions
    return (item, place if reading == "place" else NOTHING, NOTHING)


def _less(props: Mapping[str, Property]) -> dict[str, Property]:
    return {name: prop for name, prop in props.items() if name != CURRENCY}
