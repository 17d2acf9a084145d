"""The account's own fields (расширенные поля): keys `CategoryNNNCustomFieldXxx`, named by transliteration.

They stand in a card like any other key; lists give them only when asked. Here is what carries into the CRM
what it has no field for: payment and shipment status, debt, the deal's source, and a task's outside key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal

from sandbox.crm.megaplan.protocol import wrong_type
from sandbox.crm.megaplan.values import Said, day, heard_day, heard_money, money

FieldType = Literal["StringField", "EnumField", "MoneyField", "DateField"]


@dataclass(frozen=True, slots=True)
class Custom:
    """One field: its API key, what people see, its type, and the key of the desk's body that holds it."""

    key: str
    title: str
    type: FieldType
    holds: str
    values: tuple[str, ...] = ()
    number: int = 0


def _fields(category: int, first: int, *rows: tuple[str, str, FieldType, str]) -> dict[str, Custom]:
    made = [
        Custom(f"Category{category}CustomField{name}", title, kind, holds, number=first + place)
        for place, (name, title, kind, holds) in enumerate(rows)
    ]
    return {field.key: field for field in made}


CUSTOM: Final[dict[str, dict[str, Custom]]] = {
    "deal": _fields(
        1000061,
        1000401,
        ("StatusOplati", "Статус оплаты", "StringField", "payment_status"),
        ("StatusOtgruzki", "Статус отгрузки", "StringField", "shipment_status"),
        ("Zadolzhennost", "Задолженность", "MoneyField", "debt"),
        ("Istochnik", "Источник", "EnumField", "source"),
        ("ReklamnayaKampaniya", "Рекламная кампания", "EnumField", "campaign"),
        ("DataZakritiya", "Дата закрытия", "DateField", "closed_on"),
    ),
    "client": _fields(1000083, 1000431, ("Zadolzhennost", "Задолженность", "MoneyField", "debt")),
    "contact": {},
    "requisite": _fields(
        1000090, 1000441, ("NalogoviyNomer", "Налоговый номер за рубежом", "StringField", "vat_id")
    ),
    "task": _fields(1000070, 1000451, ("VneshniyKlyuch", "Внешний ключ", "StringField", "key")),
    "product": {},
}


def shown(field: Custom, value: Any, currency: str, from_zero: bool) -> Any:
    """A custom field's value in the vendor's words; an empty Money is one of 0, as the vendor shows it."""
    if field.type == "MoneyField":
        return money(value if value is not None else Decimal(0), currency)
    if field.type == "DateField":
        return day(value, from_zero)
    return value if value is not None else ""


def heard(field: Custom, said: Any, from_zero: bool) -> str | Decimal | date | None:
    """What a written value means for the desk. Raises RefusedError."""
    if field.type == "MoneyField":
        return heard_money(said)
    if field.type == "DateField":
        return heard_day(said, from_zero)
    if said is None:
        return ""
    if not isinstance(said, str):
        raise wrong_type(said, "string")
    return said.replace("\x01", "")


def described(field: Custom, values: tuple[str, ...] = ()) -> Said:
    """A row of `…/extraFields`. The id is a number of its own, not the key under which the value stands."""
    said: Said = {
        "contentType": field.type, "id": str(field.number), "hrName": field.title, "name": field.key,
        "type": field.type.removesuffix("Field"), "orderPos": field.number - 1000400, "isSystem": False,
        "isSortable": field.type != "MoneyField", "isRequired": False, "isMultiple": False, "settings": [],
        "settingsCount": 0,
    }  # fmt: skip
    if field.type == "EnumField":
        said["values"] = list(values)
        said["valuesCount"] = len(values)
    return said
