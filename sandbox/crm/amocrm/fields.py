"""The custom fields of an amoCRM account: what they are, how a record's values look, and how they are written.

Types and value shapes: the vendor's official client, models of custom fields and of their values; prices,
numbers and money are text, dates are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from sandbox.crm.amocrm.account import RETAIL, WHOLESALE, Account, day_of, id_of, unix_day
from sandbox.desk.records import Body, Item

Values = list[dict[str, Any]] | None


class WrongValueError(ValueError):
    """A value that the field does not take: its code, path below the field, and detail."""

    def __init__(self, code: str, path: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.path = code, path


NOT_A_CHOICE: Final = "The value you selected is not a valid choice."


@dataclass(frozen=True, slots=True)
class Field:
    """One custom field. `key` is the desk's field that it shows; `enums` are (code, text) of a choice."""

    id: int
    entity: str  # leads, contacts, companies, products, invoices
    name: str
    code: str | None
    type: str
    key: str = ""
    enums: tuple[tuple[str, str], ...] = ()

    def enum_id(self, place: int) -> int:
        return self.id * 10 + place


_KINDS: Final = (("WORK", "WORK"), ("WORKDD", "WORKDD"), ("MOB", "MOB"), ("OTHER", "OTHER"))
_MAILS: Final = (("WORK", "WORK"), ("PRIV", "PRIV"), ("OTHER", "OTHER"))
_CURRENCIES: Final = (("RUB", "RUB"), ("USD", "USD"), ("EUR", "EUR"))
_UNITS: Final = (("piece", "шт"), ("meter", "м"), ("hour", "час"), ("service", "усл"), ("unit", "ед"))
_BILL: Final = (
    ("created", "Создан"), ("paid", "Оплачен"), ("partially_paid", "Частично оплачен"),
    ("paid_in_advance", "Оплачен авансом"),
)  # fmt: skip
_VAT: Final = (
    ("vat_included", "НДС включён в стоимость"),
    ("vat_not_included", "НДС сверху"),
    ("vat_exempt", "НДС не облагается"),
)
_BILL_OF: Final = {"draft": "created", "sent": "created"}

FIELDS: Final[tuple[Field, ...]] = (
    Field(555001, "leads", "Оплата (бухгалтерия)", "SVERKA_PAYMENT_STATUS", "text", "payment_status"),
    Field(555002, "leads", "Отгрузка (бухгалтерия)", "SVERKA_SHIPMENT_STATUS", "text", "shipment_status"),
    Field(555003, "leads", "Долг (бухгалтерия)", "SVERKA_DEBT", "numeric", "debt"),
    Field(555004, "leads", "Валюта", "CURRENCY", "select", "currency", _CURRENCIES),
    Field(555005, "leads", "utm_campaign", "UTM_CAMPAIGN", "tracking_data", "campaign"),
    Field(555101, "contacts", "Должность", "POSITION", "text", "post"),
    Field(555102, "contacts", "Телефон", "PHONE", "multitext", "phone", _KINDS),
    Field(555103, "contacts", "Email", "EMAIL", "multitext", "email", _MAILS),
    Field(555104, "contacts", "Отчество", "MIDDLE_NAME", "text", "middle_name"),
    Field(555201, "companies", "Телефон", "PHONE", "multitext", "phone", _KINDS),
    Field(555202, "companies", "Email", "EMAIL", "multitext", "email", _MAILS),
    Field(555203, "companies", "Адрес", "ADDRESS", "textarea", "address"),
    Field(555204, "companies", "Юридическое лицо", "LEGAL_ENTITY", "legal_entity", "legal_name"),
    Field(555205, "companies", "Город", "CITY", "text", "city"),
    Field(555206, "companies", "Страна", "COUNTRY", "text", "country"),
    Field(555207, "companies", "Долг (бухгалтерия)", "SVERKA_DEBT", "numeric", "debt"),
    Field(555301, "products", "Артикул", "SKU", "text", "code"),
    Field(RETAIL, "products", "Розничные цены", "PRICE", "price", "price"),
    Field(WHOLESALE, "products", "Оптовые цены", "SPECIAL_PRICE_1", "price", "wholesale"),
    Field(555304, "products", "Единица измерения", "UNIT", "select", "unit", _UNITS),
    Field(555305, "products", "Ставка НДС, %", "VAT_RATE", "numeric", "vat_rate"),
    Field(555306, "products", "Код по ОКЕИ", "OKEI", "text", "okei"),
    Field(555307, "products", "Услуга", "IS_SERVICE", "checkbox", "is_service"),
    Field(555401, "invoices", "Статус", "BILL_STATUS", "select", "status", _BILL),
    Field(555402, "invoices", "Плательщик", "PAYER", "payer", "client"),
    Field(555403, "invoices", "Позиции счёта", "ITEMS", "items", "deal"),
    Field(555404, "invoices", "Тип НДС", "BILL_VAT_TYPE", "select", "vat", _VAT),
    Field(555405, "invoices", "Дата счёта", "BILL_DATE", "date", "issued_on"),
    Field(555406, "invoices", "Оплатить до", "BILL_DUE_DATE", "date", "due_on"),
    Field(555407, "invoices", "Дата оплаты", "BILL_PAYMENT_DATE", "date_time", "paid_on"),
    Field(555408, "invoices", "Итоговая сумма", "BILL_PRICE", "numeric", "amount"),
    Field(555409, "invoices", "Валюта", "CURRENCY", "select", "currency", _CURRENCIES),
)
FIELDS_OF: Final = {
    entity: tuple(field for field in FIELDS if field.entity == entity)
    for entity in ("leads", "contacts", "companies", "products", "invoices")
}


def shown_values(account: Account, entity: str, item: Item) -> list[dict[str, Any]] | None:
    """`custom_fields_values` of a record: None when nothing is filled in."""
    found = [
        {
            "field_id": field.id,
            "field_name": field.name,
            "field_code": field.code,
            "field_type": field.type,
            "values": values,
        }
        for field in FIELDS_OF[entity]
        if (values := value_of(account, field, item))
    ]
    return found or None


def value_of(account: Account, field: Field, item: Item) -> Values:
    """The values of one field, None or [] when it is empty."""
    body = item.body
    if field.type in _SPECIAL:
        return _SPECIAL[field.type](account, field, item)
    value = body.get(field.key)
    if field.key == "wholesale":
        value = _wholesale(account, item.number)
    elif field.key == "status":
        value = _BILL_OF.get(body["status"], body["status"])
    elif field.key == "vat":
        value = body.get("vat", "vat_included")
    elif field.type == "tracking_data":
        campaign = account.desk.get("campaign", value) if value else None
        value = campaign.body["name"] if campaign else None
    if value is None or value == "":
        return None
    if field.type == "select":
        return [_choice(field, value)]
    if field.type == "multitext":
        return [{"value": value, "enum_id": field.enum_id(0), "enum_code": field.enums[0][0]}]
    if field.type in ("date", "date_time"):
        return [{"value": unix_day(value)}]
    if field.type == "checkbox":
        return [{"value": bool(value)}]
    return [{"value": str(value)}]


def _choice(field: Field, value: str) -> dict[str, Any]:
    for place, (code, text) in enumerate(field.enums):
        if value in (code, text):
            return {"value": text, "enum_id": field.enum_id(place), "enum_code": code}
    return {"value": value, "enum_id": field.enum_id(len(field.enums)), "enum_code": None}


def _wholesale(account: Account, product: int) -> Decimal | None:
    prices = account.desk.children("price", product)
    return next((row.body["price"] for row in prices if row.body["price_list"] == 2), None)


def _legal_entity(account: Account, field: Field, item: Item) -> Values:
    body = item.body
    value = {
        "name": body["legal_name"],
        "entity_type": 1 if len(body["inn"]) == 12 else 2,
        "vat_id": body["inn"] or (body["vat_id"] if body["country"] != "KZ" else "") or None,
        "kpp": body["kpp"] or None,
        "tax_registration_reason_code": body["ogrn"] or None,
        "address": body["address"] or None,
        "bin": body["vat_id"] if body["country"] == "KZ" else None,
    }
    return [{"value": {name: said for name, said in value.items() if said is not None}}]


def _payer(account: Account, field: Field, item: Item) -> Values:
    client = account.desk.get("client", item.body["client"]) if item.body["client"] else None
    if client is None:
        return None
    body = client.body
    return [
        {
            "value": {
                "name": body["name"],
                "entity_id": id_of("client", client.number),
                "entity_type": "companies",
                "type": "legal",
                "vat_id": body["inn"] or body["vat_id"],
                "kpp": body["kpp"],
                "tax_registration_reason_code": body["ogrn"],
                "address": body["address"],
            }
        }
    ]


def _items(account: Account, field: Field, item: Item) -> Values:
    """The goods of an invoice: those of its deal."""
    rows: list[dict[str, Any]] = []
    for line in account.desk.children("line", item.body["deal"]):
        product = account.desk.get("product", line.body["product"]) if line.body["product"] else None
        price = product.body["price"] if product else line.body["price"]
        rows.append(
            {
                "value": {
                    "product_id": id_of("product", product.number) if product else None,
                    "sku": product.body["code"] if product else None,
                    "description": line.body["name"],
                    "unit_price": price,
                    "quantity": line.body["quantity"],
                    "unit_type": product.body["unit"] if product else "шт",
                    "discount": {"type": "amount", "value": 0},
                    "vat_rate_value": line.body["vat_rate"],
                    "total_sum": price * line.body["quantity"],
                }
            }
        )
    return rows


_SPECIAL: Final = {"legal_entity": _legal_entity, "payer": _payer, "items": _items}


# ---- Writing ----------------------------------------------------------------------------------


def heard(account: Account, entity: str, rows: Any, body: Body) -> Body:
    """The desk's fields that `custom_fields_values` of a request set. Raises WrongValueError."""
    if not isinstance(rows, list):
        raise WrongValueError("InvalidType", "", "This value should be of type array.")
    changed: Body = {}
    for place, row in enumerate(rows):
        field = _named(entity, row, place)
        values = row.get("values")
        if values is not None and not isinstance(values, list):
            raise WrongValueError("InvalidType", f"{place}.values", "This value should be of type array.")
        first = values[0] if values else None
        if first is not None and not isinstance(first, dict):
            raise WrongValueError("InvalidType", f"{place}.values.0", "This value should be of type array.")
        changed.update(_heard_one(account, field, first, f"{place}.values.0", {**body, **changed}))
    return changed


def _named(entity: str, row: Any, place: int) -> Field:
    """The field that a row names by id or by code."""
    if not isinstance(row, dict) or not ({"field_id", "field_code"} & set(row)):
        raise WrongValueError("FieldMissing", f"{place}.field_id", "This field is missing.")
    name = "field_id" if "field_id" in row else "field_code"
    for field in FIELDS_OF[entity]:
        if row[name] == (field.id if name == "field_id" else field.code):
            return field
    raise WrongValueError("NotSupportedChoice", f"{place}.{name}", NOT_A_CHOICE)


def _heard_one(account: Account, field: Field, said: Any, path: str, body: Body) -> Body:
    if field.type in ("payer", "items"):
        return {}  # shown from the deal and its client: the desk has no other place for them
    if said is None:
        return {field.key: None if field.type in ("numeric", "date", "date_time", "tracking_data") else ""}
    value = said.get("value")
    if field.type == "select":
        return {field.key: _chosen(field, said, path)}
    if field.type == "legal_entity":
        return _heard_entity(value, path)
    if field.type in ("numeric", "price"):
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            detail = "This value should be of type numeric."
            raise WrongValueError("InvalidType", f"{path}.value", detail) from None
        return {} if field.key == "wholesale" else {field.key: number}
    if field.type in ("date", "date_time"):
        return {field.key: _heard_day(value, path)}
    if field.type == "tracking_data":
        living = account.desk.living("campaign")
        return {"campaign": next((row.number for row in living if row.body["name"] == value), None)}
    if field.type == "checkbox":
        return {field.key: bool(value)}
    if not isinstance(value, str):
        raise WrongValueError("InvalidType", f"{path}.value", "This value should be of type string.")
    return {field.key: value}


def _chosen(field: Field, said: dict[str, Any], path: str) -> str:
    for place, (code, text) in enumerate(field.enums):
        if said.get("enum_id") == field.enum_id(place) or said.get("enum_code") == code:
            break
        if "enum_id" not in said and "enum_code" not in said and said.get("value") == text:
            break
    else:
        name = next((n for n in ("enum_id", "enum_code", "value") if n in said), "value")
        raise WrongValueError("NotSupportedChoice", f"{path}.{name}", NOT_A_CHOICE)
    if field.key == "status" and code == "created":
        return "sent"
    return text if field.key == "unit" else code


def _heard_entity(value: Any, path: str) -> Body:
    if not isinstance(value, dict) or not value.get("name"):
        raise WrongValueError("FieldMissing", f"{path}.value.name", "This field is missing.")
    return {
        "legal_name": str(value["name"]),
        "inn": str(value.get("vat_id") or ""),
        "kpp": str(value.get("kpp") or ""),
        "ogrn": str(value.get("tax_registration_reason_code") or ""),
    }


def _heard_day(value: Any, path: str) -> date:
    """Seconds, or a day as text: both are taken, as the vendor does."""
    try:
        return date.fromisoformat(value[:10]) if isinstance(value, str) else day_of(int(value))
    except (TypeError, ValueError):
        raise WrongValueError("InvalidType", f"{path}.value", "This value should be a valid date.") from None


# ---- Describing -------------------------------------------------------------------------------


def described(account: Account, entity: str, base: str) -> Iterable[dict[str, Any]]:
    """The models of the fields of leads, contacts, companies, products or invoices."""
    path = {"products": "catalogs", "invoices": "catalogs"}.get(entity, entity)
    for sort, field in enumerate(FIELDS_OF[entity]):
        enums = [
            {"id": field.enum_id(place), "value": text, "sort": place * 10, "code": code}
            for place, (code, text) in enumerate(field.enums)
        ]
        yield {
            "id": field.id, "name": field.name, "type": field.type, "account_id": account.id,
            "code": field.code, "sort": 500 + sort, "is_api_only": False, "enums": enums or None,
            "group_id": None, "required_statuses": [], "is_deletable": field.code not in _PREDEFINED,
            "is_predefined": field.code in _PREDEFINED, "entity_type": path, "tracking_callback": None,
            "remind": None, "triggers": [], "currency": None, "hidden_statuses": [], "chained_lists": None,
            "_links": {"self": {"href": f"{base}/api/v4/{path}/custom_fields/{field.id}"}},
        }  # fmt: skip


_PREDEFINED: Final = {
    "PHONE",
    "EMAIL",
    "POSITION",
    "ADDRESS",
    "SKU",
    "PRICE",
    "UTM_CAMPAIGN",
    "ITEMS",
    "PAYER",
}
