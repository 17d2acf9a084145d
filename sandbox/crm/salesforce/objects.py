"""The objects of the organization: which fields they have and where in the desk each value lies.

Standard objects and fields are those of a Sales Cloud with record types, campaigns and several currencies.
Custom fields hold what it has no place for: INN__c, KPP__c, OGRN__c and VAT_ID__c of an account, the rate of
tax of a product and a line, and what is written back: Payment_Status__c, Shipment_Status__c, Debt__c and the
external ids Ext_Key__c. A line that sales people typed in by hand shows its text under Description and no
product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from sandbox.crm.salesforce import catalogue
from sandbox.crm.salesforce.catalogue import FORECASTS, PROBABILITIES, STANDARD_PRICEBOOK
from sandbox.crm.salesforce.fields import Field, SObject
from sandbox.crm.salesforce.ids import PREFIXES, record_id, source_name, stage_name
from sandbox.crm.salesforce.model import (
    CURRENCIES,
    Org,
    currency,
    day,
    fixed,
    flag,
    nobody,
    number,
    refer,
    sobject,
    system,
    text,
    told,
)  # fmt: skip
from sandbox.desk.base import SOURCE_NAMES
from sandbox.desk.records import Body, Desk, Item

CLOSE_DAYS: Final = 30
"""An open opportunity must have a close date: so many days after it was begun, until somebody says another."""
SOURCES: Final = tuple(SOURCE_NAMES.items())
PAYMENT: Final = (("unpaid", "Не оплачено"), ("partly_paid", "Оплачено частично"), ("paid", "Оплачено"))
SHIPMENT: Final = (("not_shipped", "Не отгружено"), ("partly_shipped", "Отгружено частично"),
                   ("shipped", "Отгружено"))  # fmt: skip
_HUNDREDTH: Final = Decimal("0.01")


def organization(desk: Desk) -> Org:
    """All objects over a desk."""
    org = Org(desk)
    for make in (
        _account, _contact, _opportunity, _line, _task, catalogue.product, catalogue.pricebook, catalogue.entry,
        catalogue.user, catalogue.campaign, catalogue.stage, catalogue.record_type, catalogue.organization,
        catalogue.currency_type,
    ):  # fmt: skip
        found = make(org)
        org.objects[found.name.lower()] = found
    for child in org.objects.values():
        for found_field in child.fields.values():
            parent = org.find(found_field.refers[0]) if found_field.refers else None
            name = _CHILDREN.get((child.name, found_field.name))
            if parent is not None and name is not None:
                parent.children[name] = (child.name, found_field.name)
    return org


_CHILDREN: Final = {
    ("Opportunity", "AccountId"): "Opportunities",
    ("Contact", "AccountId"): "Contacts",
    ("OpportunityLineItem", "OpportunityId"): "OpportunityLineItems",
    ("OpportunityLineItem", "Product2Id"): "OpportunityLineItems",
    ("PricebookEntry", "Product2Id"): "PricebookEntries",
    ("PricebookEntry", "Pricebook2Id"): "PricebookEntries",
    ("Opportunity", "CampaignId"): "Opportunities",
    ("Task", "WhatId"): "Tasks",
}


def _account(org: Org) -> SObject:
    owner = _under("employee")
    return sobject("Account", "Организация", "Организации", [
        *system(org, "client", owner),
        _master("client"),
        text("Name", "name", "Название", required=True),
        fixed("Type", "picklist", None, "Тип"),
        text("Phone", "phone", "Телефон", kind="phone", length=40),
        text("BillingStreet", "address", "Улица", kind="textarea"),
        text("BillingCity", "city", "Город", length=40),
        text("BillingCountry", "country", "Страна", length=80),
        text("Description", "description", "Описание", kind="textarea", length=32000),
        currency(),
        refer("OwnerId", "employee", "employee", "Ответственный", write=True),
        text("Legal_Name__c", "legal_name", "Полное наименование"),
        text("INN__c", "inn", "ИНН", length=12),
        text("KPP__c", "kpp", "КПП", length=9),
        text("OGRN__c", "ogrn", "ОГРН", length=15),
        text("VAT_ID__c", "vat_id", "VAT", length=20),
        text("Email__c", "email", "Email", kind="email", length=80),
        number("Debt__c", "debt", "Долг"),
        text("Ext_Key__c", "ext_key", "Внешний ключ", length=64, unique=True, external=True),
    ], creates=True, updates=True, deletes=True, merges=True, blank=lambda: {
        "name": "", "legal_name": "", "inn": "", "kpp": "", "ogrn": "", "vat_id": "", "country": "",
        "phone": "", "email": "", "city": "", "address": "", "employee": 1,
    })  # fmt: skip


def _contact(org: Org) -> SObject:
    def owner(item: Item) -> int | None:
        client = org.item("client", item.body["client"])
        return client.body["employee"] if client is not None else None

    def full(item: Item) -> str:
        parts = (item.body["first_name"], item.body["middle_name"], item.body["last_name"])
        return " ".join(part for part in parts if part)

    return sobject("Contact", "Контакт", "Контакты", [
        *system(org, "contact", nobody),
        _master("contact"),
        refer("AccountId", "client", "client", "Организация", write=True),
        text("LastName", "last_name", "Фамилия", length=80, required=True),
        text("FirstName", "first_name", "Имя", length=40),
        text("MiddleName", "middle_name", "Отчество", length=40),
        told("Name", "string", full, "Полное имя", length=121),
        text("Title", "post", "Должность", length=128),
        text("Phone", "phone", "Телефон", kind="phone", length=40),
        text("Email", "email", "Email", kind="email", length=80),
        refer("OwnerId", "employee", owner, "Ответственный", local=False),
        currency(),
        text("Ext_Key__c", "ext_key", "Внешний ключ", length=64, unique=True, external=True),
    ], creates=True, updates=True, deletes=True, merges=True, blank=lambda: {
        "client": None, "first_name": "", "middle_name": "", "last_name": "", "post": "", "phone": "",
        "email": "",
    })  # fmt: skip


def _opportunity(org: Org) -> SObject:
    desk = org.desk

    def outcome(item: Item) -> str:
        stage = desk.tables["stage"].get(item.body["stage"])
        return str(stage.body["outcome"]) if stage is not None else "open"

    def close_date(item: Item) -> date:
        body = item.body
        found: date | None = body["closed_on"] or body.get("expected_on")
        return found or body["begun_on"] + timedelta(days=CLOSE_DAYS)

    def probability(item: Item) -> Decimal:
        return PROBABILITIES[outcome(item)]

    def expected(item: Item) -> Decimal:
        return _rounded((item.body["amount"] or Decimal(0)) * probability(item) / 100)

    def has_lines(item: Item) -> bool:
        return bool(desk.children("line", item.number))

    def write_stage(body: Body, value: Any) -> None:
        body["stage"] = value

    def write_close(body: Body, value: Any) -> None:
        body["expected_on"] = value

    def write_source(body: Body, value: Any) -> None:
        known = [code for code, _ in SOURCES]
        body["source"] = known.index(value) + 1 if value in known else None

    return sobject("Opportunity", "Сделка", "Сделки", [
        *system(org, "deal", _under("employee")),
        refer("AccountId", "client", "client", "Организация", write=True),
        refer("RecordTypeId", "pipeline", "pipeline", "Тип записи", write=True),
        fixed("IsPrivate", "boolean", False, "Личная"),
        text("Name", "title", "Название", length=120, required=True),
        text("Description", "description", "Описание", kind="textarea", length=32000),
        told("StageName", "picklist", lambda item: stage_name(item.body["stage"]), "Стадия", length=255,
             required=True, nillable=False, create=True, update=True, write=write_stage, restricted=True,
             choices=tuple(
                 (stage_name(s.number), s.body["name"]) for s in _in_order(desk.living("stage"))
             )),
        number("Amount", "amount", "Сумма"),
        told("Probability", "percent", probability, "Вероятность (%)", precision=3, local=False),
        told("ExpectedRevenue", "currency", expected, "Ожидаемая выручка", precision=18, scale=2, local=False),
        told("CloseDate", "date", close_date, "Дата закрытия", required=True, nillable=False, create=True,
             update=True, write=write_close),
        fixed("Type", "picklist", None, "Тип"),
        text("NextStep", "next_step", "Следующий шаг"),
        told("LeadSource", "picklist",
             lambda item: None if item.body["source"] is None else source_name(item.body["source"]),
             "Источник", length=255, create=True, update=True, write=write_source, choices=SOURCES,
             restricted=True),
        told("IsClosed", "boolean", lambda item: outcome(item) != "open", "Закрыта", nillable=False,
             local=False),
        told("IsWon", "boolean", lambda item: outcome(item) == "won", "Выиграна", nillable=False, local=False),
        told("ForecastCategory", "picklist", lambda item: FORECASTS[outcome(item)], "Категория прогноза",
             local=False),
        told("ForecastCategoryName", "picklist", lambda item: FORECASTS[outcome(item)], "Категория прогноза",
             local=False),
        currency(),
        refer("CampaignId", "campaign", "campaign", "Кампания", write=True),
        told("HasOpportunityLineItem", "boolean", has_lines, "Есть продукты", nillable=False, local=False),
        refer("Pricebook2Id", "price_list", lambda item: STANDARD_PRICEBOOK if has_lines(item) else None,
              "Прайс-лист", local=False),
        refer("OwnerId", "employee", "employee", "Ответственный", write=True),
        refer("ContactId", "contact", "contact", "Контакт", write=True, change=False),
        text("Payment_Status__c", "payment_status", "Состояние оплаты", kind="picklist", choices=PAYMENT),
        text("Shipment_Status__c", "shipment_status", "Состояние отгрузки", kind="picklist", choices=SHIPMENT),
        number("Debt__c", "debt", "Долг"),
        text("Invoice_Number__c", "invoice_number", "Номер счёта", length=64),
        text("Ext_Key__c", "ext_key", "Внешний ключ", length=64, unique=True, external=True),
    ], creates=True, updates=True, deletes=True, blank=lambda: {
        "title": "", "client": None, "requisite": None, "contact": None, "employee": 1, "pipeline": 1,
        "stage": 1, "amount": None, "currency": CURRENCIES[0], "begun_on": desk.company.today,
        "closed_on": None, "source": None, "campaign": None, "payment_status": "", "shipment_status": "",
        "debt": None,
    })  # fmt: skip


def _line(org: Org) -> SObject:
    desk = org.desk
    entries = _Entries(desk)

    def subtotal(item: Item) -> Decimal:
        return _rounded(item.body["price"] * item.body["quantity"])

    def total(item: Item) -> Decimal:
        full: Decimal = item.body["price"] * item.body["quantity"]
        return _rounded(full * (100 - (item.body["discount"] or 0)) / 100)

    def product(item: Item) -> Item | None:
        return org.item("product", item.body["product"])

    def name(item: Item) -> str:
        deal = desk.tables["deal"].get(item.body["deal"])
        return f"{deal.body['title'] if deal is not None else ''} {item.body['name']}".strip()[:376]

    def code(item: Item) -> str | None:
        found = product(item)
        return found.body["code"] if found is not None else None

    def list_price(item: Item) -> Decimal | None:
        entry = org.item("price", entries.of(item.body["product"]))
        return entry.body["price"] if entry is not None else None

    def write_entry(body: Body, value: Any) -> None:
        entry = desk.get("price", value)
        if entry is not None:
            body["product"] = entry.body["product"]
            found = desk.get("product", body["product"])
            body["name"] = found.body["name"] if found is not None else ""

    def write_text(body: Body, value: Any) -> None:
        body["description"] = value
        if body["product"] is None and value:
            body["name"] = value

    def entry_field() -> Field:
        known = refer("PricebookEntryId", "price", lambda item: entries.of(item.body["product"]),
                      "Позиция прайс-листа", relation="PricebookEntry", local=False)  # fmt: skip
        return Field(
            name=known.name, kind=known.kind, get=known.get, label=known.label, length=18,
            refers=known.refers, relation=known.relation, number=known.number, create=True, write=write_entry,
            local=False,
        )  # fmt: skip

    return sobject("OpportunityLineItem", "Продукт сделки", "Продукты сделки", [
        *system(org, "line", nobody),
        refer("OpportunityId", "deal", "deal", "Сделка", write=True, change=False, required=True),
        told("SortOrder", "int", lambda item: item.body["sort"], "Порядок"),
        entry_field(),
        refer("Product2Id", "product", "product", "Продукт", relation="Product2", write=True, change=False),
        told("ProductCode", "string", code, "Код продукта", length=255, local=False),
        told("Name", "string", name, "Название", length=376, local=False),
        told("CurrencyIsoCode", "picklist", lambda item: _currency_of(desk, item), "Валюта", length=3,
             local=False),
        number("Quantity", "quantity", "Количество", kind="double", precision=12, required=True),
        number("Discount", "discount", "Скидка", kind="percent", precision=5),
        told("Subtotal", "currency", subtotal, "Промежуточный итог", precision=18, scale=2),
        told("TotalPrice", "currency", total, "Итоговая цена", precision=18, scale=2, create=True,
             update=True, write=lambda body, value: body.__setitem__("total", value)),
        number("UnitPrice", "price", "Цена продажи"),
        told("ListPrice", "currency", list_price, "Цена прайс-листа", precision=18, scale=2, local=False),
        day("ServiceDate", "service_date", "Дата"),
        told("Description", "string",
             lambda item: item.body.get("description") or (
                 item.body["name"] if item.body["product"] is None else None),
             "Описание строки", length=255, create=True, update=True, write=write_text),
        number("VAT_Rate__c", "vat_rate", "Ставка НДС", kind="percent", precision=5),
        flag("VAT_Included__c", "vat_included", "НДС в цене"),
    ], creates=True, updates=True, deletes=True, blank=lambda: {
        "deal": None, "product": None, "name": "", "quantity": None, "price": None, "discount": Decimal(0),
        "vat_rate": 22, "vat_included": True, "sort": 10,
    })  # fmt: skip


def _what() -> Field:
    """What a task is about: an opportunity or an account."""
    known = refer("WhatId", "deal", "deal", "Связано с", relation="What", also=("Account",))

    def get(item: Item) -> str | None:
        client = item.body.get("client")
        return record_id(PREFIXES["client"], client) if client else known.get(item)

    def write(body: Body, value: Any) -> None:
        entity = getattr(value, "entity", "deal")
        body |= {"deal": None, "client": None, entity: None if value is None else int(value)}

    return replace(known, get=get, write=write, create=True, update=True)


def _task(org: Org) -> SObject:
    return sobject("Task", "Задача", "Задачи", [
        *system(org, "task", _under("employee")),
        _what(),
        refer("OwnerId", "employee", "employee", "Ответственный", write=True),
        text("Subject", "text", "Тема"),
        text("Description", "description", "Комментарий", kind="textarea", length=32000),
        day("ActivityDate", "due_on", "Срок"),
        told("Status", "picklist", lambda item: item.body.get("status") or "Not Started", "Состояние",
             key="status", create=True, update=True, length=255, nillable=False),
        told("Priority", "picklist", lambda item: item.body.get("priority") or "Normal", "Важность",
             key="priority", create=True, update=True, length=255, nillable=False),
        told("IsClosed", "boolean", lambda item: item.body.get("status") == "Completed", "Закрыта"),
        text("Ext_Key__c", "key", "Внешний ключ", length=64, unique=True, external=True),
    ], creates=True, updates=True, deletes=True, blank=lambda: {
        "deal": None, "employee": 1, "text": "", "due_on": None, "key": "",
    })  # fmt: skip


class _Entries:
    """The entry of the standard price book by product; a line names the price from which it was sold."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._of, self._seen = desk, dict[int, int](), list[Item]()

    def of(self, product: int | None) -> int | None:
        prices = self._desk.living("price")
        if prices is not self._seen:
            self._seen = prices
            self._of = {
                price.body["product"]: price.number
                for price in prices
                if price.body["price_list"] == STANDARD_PRICEBOOK
            }
        return None if product is None else self._of.get(product)


def stages_of(desk: Desk, pipeline: int) -> list[Item]:
    """The stages that a record type allows, in their order."""
    return [s for s in _in_order(desk.living("stage")) if s.body["pipeline"] == pipeline]


def _in_order(stages: list[Item]) -> list[Item]:
    return sorted(stages, key=lambda stage: (stage.body["pipeline"], stage.body["sort"]))


def _under(key: str) -> Callable[[Item], int | None]:
    return lambda item: item.body.get(key)


def _master(entity: str) -> Field:
    return refer(
        "MasterRecordId", entity, lambda item: item.merged_into, "Главная запись", relation="MasterRecord"
    )


def _currency_of(desk: Desk, line: Item) -> str:
    deal = desk.tables["deal"].get(line.body["deal"])
    return str(deal.body["currency"]) if deal is not None else CURRENCIES[0]


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(_HUNDREDTH, ROUND_HALF_UP)


def organization_id() -> str:
    return record_id("00D", 1)
