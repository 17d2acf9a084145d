"""What a field of a module is: how it is shown, described, and written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sandbox.crm.zoho.ids import source_id, stamp
from sandbox.crm.zoho.view import RATES, Value, View
from sandbox.desk.records import Item

Get = Callable[[View, Item], Value]
JSON_TYPES: Final = {
    "lookup": "jsonobject", "ownerlookup": "jsonobject", "subform": "jsonarray", "text_list": "jsonarray",
    "boolean": "boolean", "double": "double", "currency": "double", "percent": "double", "integer": "integer",
    "multiselectpicklist": "jsonarray",
}  # fmt: skip
LENGTHS: Final = {
    "text": 255, "textarea": 32000, "picklist": 120, "email": 100, "phone": 30, "website": 450, "bigint": 120,
    "currency": 16, "double": 16, "percent": 5, "integer": 9, "date": 20, "datetime": 120, "lookup": 120,
    "ownerlookup": 120, "boolean": 5, "subform": 2000, "text_list": 2000, "autonumber": 120,
    "multiselectpicklist": 2000,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a module. `key` is the desk's name for it and makes it writable; `lookup` and `picks` say
    which entity it refers to, as a record or by its name."""

    name: str
    label: str
    kind: str
    get: Get
    key: str | None = None
    custom: bool = False
    required: bool = False
    unique: bool = False
    lookup: str | None = None
    picks: str | tuple[str, ...] | None = None
    length: int | None = None
    bulk: bool = True  # whether bulk reading gives it

    @property
    def json_type(self) -> str:
        return JSON_TYPES.get(self.kind, "string")

    @property
    def shown_kind(self) -> str:
        """The data_type of the metadata."""
        return "text" if self.kind == "text_list" else self.kind

    @property
    def longest(self) -> int:
        return self.length if self.length is not None else LENGTHS[self.kind]


def plain(name: str, label: str, kind: str, key: str, **more: Any) -> Field:
    """A field that shows what the desk holds under `key`; '' shows as null."""

    def get(view: View, item: Item) -> Value:
        value = item.body.get(key)
        if value is None or value == "":
            return None
        return value.isoformat() if isinstance(value, date) else value

    return Field(name, label, kind, get, key, **more)


def link(name: str, label: str, entity: str, **more: Any) -> Field:
    """A lookup on another record of the desk."""
    key = more.pop("key", entity)
    return Field(
        name, label, "lookup", lambda view, item: view.link(entity, item.body.get(entity)), key,
        lookup=entity, **more,
    )  # fmt: skip


def pick(name: str, label: str, entity: str, **more: Any) -> Field:
    """A picklist whose values are the names of the desk's records of an entity."""
    return Field(
        name, label, "picklist", lambda view, item: view.name_of(entity, item.body.get(entity)), entity,
        picks=entity, **more,
    )  # fmt: skip


def shown(name: str, label: str, kind: str, get: Get, **more: Any) -> Field:
    """A field that is worked out; read-only unless `key` is given."""
    return Field(name, label, kind, get, **more)


def fixed(name: str, label: str, kind: str, value: Value = None, **more: Any) -> Field:
    """A field that says the same on every record."""
    return Field(name, label, kind, lambda view, item: value, **more)


def system(entity: str, *, currency: str | None = None) -> tuple[Field, ...]:
    """What every module has: id, owner, stamps, and the currency where money is. `currency` is its key."""
    money: tuple[Field, ...] = ()
    if currency is not None:

        def code(view: View, item: Item) -> str:
            found = item.body.get("currency") or (view.deal_of(item) if "deal" in item.body else {}).get(
                "currency"
            )
            return str(found or "RUB")

        money = (
            shown("Currency", "Currency", "picklist", code, picks=tuple(RATES), key=currency or None),
            shown("Exchange_Rate", "Exchange Rate", "double", lambda v, i: RATES[code(v, i)]),
        )

    def owner(view: View, item: Item) -> Value:
        body = item.body
        number = body.get("employee") or (view.deal_of(item) if "deal" in body else {}).get("employee")
        return view.user(number or 1)

    return (
        shown("id", "Record Id", "bigint", lambda v, i: source_id(entity, i.number)),
        shown("Owner", "Owner", "ownerlookup", owner, key="employee", lookup="employee"),
        shown("Created_By", "Created By", "ownerlookup", lambda v, i: v.user(1)),
        shown("Modified_By", "Modified By", "ownerlookup", lambda v, i: v.user(1)),
        shown("Created_Time", "Created Time", "datetime", lambda v, i: stamp(i.created)),
        shown("Modified_Time", "Modified Time", "datetime", lambda v, i: stamp(i.modified)),
        shown("Last_Activity_Time", "Last Activity Time", "datetime", lambda v, i: stamp(i.modified)),
        fixed("Tag", "Tag", "text_list", []),
        fixed(
            "Record_Status__s",
            "Record Status",
            "picklist",
            "Available",
            picks=("Available", "Draft", "Trash"),
        ),
        shown("Locked__s", "Locked", "boolean", lambda v, i: bool(i.body.get("locked"))),
        *money,
    )
