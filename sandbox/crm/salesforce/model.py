"""Short ways to say a field of a desk's record, and the fields that every object has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from sandbox.crm.salesforce.fields import Choice, Field, SObject, stamp_of
from sandbox.crm.salesforce.ids import PREFIXES, record_id
from sandbox.desk.records import Desk, Item

ENTITY_OF: Final = {
    "Account": "client", "Contact": "contact", "Opportunity": "deal", "OpportunityLineItem": "line",
    "Product2": "product", "Pricebook2": "price_list", "PricebookEntry": "price", "User": "employee",
    "Campaign": "campaign", "OpportunityStage": "stage", "RecordType": "pipeline", "Task": "task",
    "Organization": "organization", "CurrencyType": "currency",
}  # fmt: skip
OBJECT_OF: Final = {entity: name for name, entity in ENTITY_OF.items()}
CURRENCIES: Final = ("RUB", "USD", "EUR")
_CURRENCY_CHOICES: Final = tuple((code, code) for code in CURRENCIES)
INTEGRATION: Final = 1
"""The API logs in as the first employee, as small companies let it."""


@dataclass
class Org:
    """One organization: its objects by lower-case name, over one desk."""

    desk: Desk
    objects: dict[str, SObject] = field(default_factory=dict)
    written: dict[tuple[str, int], int] = field(default_factory=dict)  # versions that the API wrote
    purged: set[tuple[str, int]] = field(default_factory=set)  # deleted for good, not into the recycle bin

    def find(self, name: str) -> SObject | None:
        return self.objects.get(name.lower())

    def item(self, entity: str, number: int | None) -> Item | None:
        """A living record of any object, also of those that the desk does not hold."""
        if number is None:
            return None
        if entity in self.desk.tables:
            return self.desk.get(entity, number)
        found = self.objects[OBJECT_OF[entity].lower()]
        return next((row for row in found.rows or () if row.number == number), None)


def text(
    name: str, key: str, label: str = "", *, kind: str = "string", length: int = 255, required: bool = False,
    write: bool = True, unique: bool = False, external: bool = False, choices: tuple[Choice, ...] = (),
) -> Field:  # fmt: skip
    """Text of the body; '' is null."""
    return Field(
        name=name, kind=kind, label=label, get=lambda item: item.body.get(key) or None, key=key if write else "",
        length=length, required=required, nillable=not required, create=write, update=write, unique=unique,
        external=external, choices=choices,
    )  # fmt: skip


def number(
    name: str, key: str, label: str = "", *, kind: str = "currency", precision: int = 18, scale: int = 2,
    write: bool = True, required: bool = False,
) -> Field:  # fmt: skip
    return Field(
        name=name, kind=kind, label=label, get=lambda item: _decimal(item.body.get(key)),
        key=key if write else "", precision=precision, scale=scale, create=write, update=write,
        required=required, nillable=not required,
    )  # fmt: skip


def flag(name: str, key: str, label: str = "", *, write: bool = True, default: bool = False) -> Field:
    return Field(
        name=name, kind="boolean", label=label, get=lambda item: bool(item.body.get(key, default)),
        key=key if write else "", nillable=False, create=write, update=write,
    )  # fmt: skip


def day(name: str, key: str, label: str = "", *, write: bool = True) -> Field:
    return Field(
        name=name, kind="date", label=label, get=lambda item: item.body.get(key), key=key if write else "",
        create=write, update=write,
    )  # fmt: skip


def told(name: str, kind: str, get: Callable[[Item], Any], label: str = "", **more: Any) -> Field:
    """A field that is worked out and cannot be written, unless `more` says so."""
    return Field(name=name, kind=kind, get=get, label=label, **more)


def fixed(name: str, kind: str, value: Any, label: str = "") -> Field:
    return Field(name=name, kind=kind, get=lambda item: value, label=label, nillable=value is None)


def refer(
    name: str, entity: str, numbered: str | Callable[[Item], int | None], label: str = "", *,
    relation: str | None = None, write: bool = False, change: bool = True, required: bool = False,
    local: bool = True, also: tuple[str, ...] = (),
) -> Field:  # fmt: skip
    """A reference: `numbered` is the body's key or a function that gives the number."""
    prefix = PREFIXES[entity]
    if isinstance(numbered, str):
        key, numbered_by = numbered, _number_under(numbered)

        def get(item: Item) -> str | None:
            found = item.body.get(key)
            return None if found is None else record_id(prefix, found)

    else:
        key, numbered_by = "", numbered

        def get(item: Item) -> str | None:
            found = numbered_by(item)
            return None if found is None else record_id(prefix, found)

    stem = name.removesuffix("Id")
    return Field(
        name=name, kind="reference", label=label, get=get, length=18, key=key if write else "",
        create=write, update=write and change, required=required, nillable=not required,
        refers=(OBJECT_OF[entity], *also), relation=stem if relation is None else relation,
        number=numbered_by, local=local,
    )  # fmt: skip


def currency(key: str = "currency", *, write: bool = True) -> Field:
    return Field(
        name="CurrencyIsoCode", kind="picklist", label="Валюта", length=3, choices=_CURRENCY_CHOICES,
        get=lambda item: item.body.get(key) or CURRENCIES[0], key=key if write else "", create=write,
        update=write, restricted=True, nillable=False,
    )  # fmt: skip


def system(
    org: Org, entity: str, owner: Callable[[Item], int | None], *, deleted: bool = True
) -> list[Field]:
    """Id, IsDeleted and the four stamps. The user of a change is the API's where the API wrote last."""
    prefix = PREFIXES[entity]

    def by(item: Item) -> int:
        wrote = org.written.get((entity, item.number)) == item.version
        return INTEGRATION if wrote else owner(item) or INTEGRATION

    fields = [told("Id", "id", lambda item: record_id(prefix, item.number), "ID", length=18, nillable=False)]
    if deleted:
        fields.append(
            told("IsDeleted", "boolean", lambda item: item.deleted is not None, "Удалено", nillable=False)
        )
    fields += [
        told("CreatedDate", "datetime", lambda item: item.created, "Дата создания", nillable=False),
        refer("CreatedById", "employee", lambda item: owner(item) or INTEGRATION, "Создал"),
        told("LastModifiedDate", "datetime", stamp_of, "Дата изменения", nillable=False),
        refer("LastModifiedById", "employee", by, "Изменил"),
        told("SystemModstamp", "datetime", stamp_of, "System Modstamp", nillable=False),
    ]
    return fields


def sobject(name: str, label: str, plural: str, fields: list[Field], **more: Any) -> SObject:
    entity = ENTITY_OF[name]
    return SObject(
        name=name, label=label, plural=plural, prefix=PREFIXES[entity], entity=entity,
        fields={found.name: found for found in fields}, **more,
    )  # fmt: skip


def nobody(item: Item) -> int | None:
    return None


def _decimal(value: Any) -> Decimal | None:
    if type(value) is Decimal:
        return value
    return None if value is None or value == "" else Decimal(value)


def _number_under(key: str) -> Callable[[Item], int | None]:
    return lambda item: item.body.get(key)
