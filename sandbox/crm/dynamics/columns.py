"""Makers of columns: what every Dataverse table has, and money with its twin in the base currency."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sandbox.crm.dynamics.model import Column, Kind, Table
from sandbox.desk.records import Item

CURRENCIES: Final = {"RUB": 1, "USD": 2, "EUR": 3}
RATES: Final = {
    1: Decimal("1.000000000000"), 2: Decimal("0.012500000000"), 3: Decimal("0.010500000000"),
}  # fmt: skip
"""Units of the currency for one rouble, which is the organisation's base currency."""
APP_USER: Final = 9_000_001
"""The application user's number among the users."""
ACTIVE: Final = {0: "Active", 1: "Inactive"}
ACTIVE_REASONS: Final = {1: "Active", 2: "Inactive"}
_HUNDREDTH: Final = Decimal("0.01")
Read = Callable[[Item], Any]


def text(name: str, field: str, *, length: int = 100, keep: bool = True, custom: bool = False,
         schema: str = "", kind: Kind = "String") -> Column:  # fmt: skip
    """A text; an empty one is null, and null is written as an empty one."""
    return Column(
        name, kind, lambda item: item.body.get(field) or None, keep=field if keep else "", length=length,
        custom=custom, schema=schema,
    )  # fmt: skip


def fixed(name: str, kind: Kind, value: Any, options: Mapping[int, str] | None = None, **more: Any) -> Column:
    return Column(name, kind, lambda item: value, options=options or {}, **more)


def lookup(name: str, target: str, field: str, *, keep: bool = True, nav: str = "",
           kind: Kind = "Lookup") -> Column:  # fmt: skip
    return Column(
        name, kind, lambda item: item.body.get(field), keep=field if keep else "", target=target,
        nav=nav or name,
    )  # fmt: skip


def money(name: str, read: Read, rate: Read, *, keep: str = "", custom: bool = False,
          schema: str = "") -> list[Column]:  # fmt: skip
    """A sum and its twin in the base currency. `rate` gives the row's exchange rate."""

    def base(item: Item) -> Decimal | None:
        value = read(item)
        return None if value is None else (value / rate(item)).quantize(_HUNDREDTH)

    return [
        Column(name, "Money", read, keep=keep, custom=custom, schema=schema),
        Column(f"{name}_base", "Money", base, custom=custom, schema=f"{schema}_Base" if schema else ""),
    ]


def currency(number: Read) -> list[Column]:
    """The row's currency and the exchange rate that its twins were made with."""
    return [
        Column("transactioncurrencyid", "Lookup", number, target="transactioncurrency",
               nav="transactioncurrencyid", keep="currency"),
        Column("exchangerate", "Decimal", lambda item: RATES[number(item)], scale=12),
    ]  # fmt: skip


def currency_of(field: str = "currency") -> Read:
    return lambda item: CURRENCIES.get(item.body.get(field) or "RUB", 1)


def rate_of(number: Read) -> Callable[[Item], Decimal]:
    """The exchange rate of the currency of this number."""
    return lambda item: RATES[number(item)]


def body(field: str) -> Read:
    return lambda item: item.body.get(field)


def state(read: Read, states: Mapping[int, str], reason: Read, reasons: Mapping[int, str]) -> list[Column]:
    return [
        Column("statecode", "State", read, options=states),
        Column("statuscode", "Status", reason, options=reasons),
    ]


def active(field: str = "") -> list[Column]:
    """The plain pair Active/Inactive, off a truth of the record where it has one."""

    def read(item: Item) -> int:
        return 1 if (field and not item.body[field]) or item.deleted is not None else 0

    return state(read, ACTIVE, lambda item: read(item) + 1, ACTIVE_REASONS)


def common(table: str, code: int, stamp: Callable[[Item], datetime], shown: Callable[[int], str],
           key: str = "") -> list[Column]:  # fmt: skip
    """The key and the columns that the platform keeps by itself."""
    return [
        Column(key or f"{table}id", "Uniqueidentifier", lambda item: shown(item.number)),
        Column("createdon", "DateTime", lambda item: item.created),
        Column("modifiedon", "DateTime", stamp),
        Column("createdby", "Lookup", lambda item: APP_USER, target="systemuser", nav="createdby"),
        Column("modifiedby", "Lookup", lambda item: APP_USER, target="systemuser", nav="modifiedby"),
        Column("versionnumber", "BigInt", lambda item: item.version),
        fixed("importsequencenumber", "Integer", None),
        fixed("overriddencreatedon", "DateTime", None),
    ]


def table(name: str, plural: str, code: int, title: str, columns: Iterable[Column], *, owner: str = "",
          key: str = "", **more: Any) -> Table:  # fmt: skip
    """A table with the platform's own columns before `columns`; `owner` is the desk's field of its owner."""
    made = Table(name, plural, code, title, {}, key=key, **more)
    known = common(name, code, made.stamp, made.shown, made.key)
    if owner:
        known.append(lookup("ownerid", "systemuser", owner, kind="Owner"))
    made.columns = {column.property: column for column in [*known, *columns]}
    made.__post_init__()
    return made
