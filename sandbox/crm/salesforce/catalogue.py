"""The objects that change seldom: products and prices, users, campaigns, stages, record types, the company itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from sandbox.crm.salesforce.fields import SObject
from sandbox.crm.salesforce.ids import source_name, stage_name
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
from sandbox.desk.records import Body, Desk, Item

RATES: Final = {"RUB": Decimal(1), "USD": Decimal("0.0128"), "EUR": Decimal("0.0110")}
PROBABILITIES: Final = {"won": Decimal(100), "lost": Decimal(0), "open": Decimal(50)}
FORECASTS: Final = {"won": "Closed", "lost": "Omitted", "open": "Pipeline"}
STANDARD_PRICEBOOK: Final = 1


def product(org: Org) -> SObject:
    return sobject("Product2", "Продукт", "Продукты", [
        *system(org, "product", nobody),
        text("Name", "name", "Название", required=True, write=False),
        text("ProductCode", "code", "Код", write=False),
        text("StockKeepingUnit", "code", "Артикул", length=180, write=False),
        text("QuantityUnitOfMeasure", "unit", "Единица", kind="picklist", write=False),
        flag("IsActive", "active", "Активен", write=False),
        fixed("IsArchived", "boolean", False, "В архиве"),
        told("Family", "picklist", lambda item: "Услуги" if item.body["is_service"] else "Товары", "Семейство"),
        currency(write=False),
        text("OKEI__c", "okei", "ОКЕИ", length=4, write=False),
        number("VAT_Rate__c", "vat_rate", "Ставка НДС", kind="percent", precision=5, write=False),
        flag("Is_Service__c", "is_service", "Услуга", write=False),
    ])  # fmt: skip


def pricebook(org: Org) -> SObject:
    return sobject("Pricebook2", "Прайс-лист", "Прайс-листы", [
        *system(org, "price_list", nobody),
        text("Name", "name", "Название", write=False),
        fixed("IsActive", "boolean", True, "Активен"),
        told("IsStandard", "boolean", lambda item: item.number == STANDARD_PRICEBOOK, "Стандартный"),
        fixed("IsArchived", "boolean", False, "В архиве"),
    ])  # fmt: skip


def entry(org: Org) -> SObject:
    def product(item: Item) -> Body:
        found = org.item("product", item.body["product"])
        return found.body if found is not None else {}

    return sobject("PricebookEntry", "Позиция прайс-листа", "Позиции прайс-листов", [
        *system(org, "price", nobody),
        refer("Pricebook2Id", "price_list", "price_list", "Прайс-лист", relation="Pricebook2"),
        refer("Product2Id", "product", "product", "Продукт", relation="Product2"),
        told("Name", "string", lambda item: product(item).get("name"), "Название", local=False),
        told("ProductCode", "string", lambda item: product(item).get("code"), "Код", local=False),
        number("UnitPrice", "price", "Цена", write=False),
        fixed("IsActive", "boolean", True, "Активна"),
        fixed("UseStandardPrice", "boolean", False, "Стандартная цена"),
        fixed("IsArchived", "boolean", False, "В архиве"),
        currency(write=False),
    ])  # fmt: skip


def user(org: Org) -> SObject:
    return sobject("User", "Пользователь", "Пользователи", [
        *system(org, "employee", nobody, deleted=False),
        told("Username", "string", lambda item: f"{item.body['email']}.sverka", "Имя пользователя"),
        text("LastName", "last_name", "Фамилия", write=False),
        text("FirstName", "first_name", "Имя", write=False),
        told("Name", "string", lambda item: f"{item.body['first_name']} {item.body['last_name']}", "Имя"),
        text("Email", "email", "Email", kind="email", write=False),
        flag("IsActive", "active", "Активен", write=False),
        fixed("UserType", "picklist", "Standard", "Тип"),
        fixed("DefaultCurrencyIsoCode", "picklist", CURRENCIES[0], "Валюта"),
    ])  # fmt: skip


def campaign(org: Org) -> SObject:
    return sobject("Campaign", "Кампания", "Кампании", [
        *system(org, "campaign", nobody),
        text("Name", "name", "Название", length=80, write=False),
        told("Type", "picklist", lambda item: source_name(item.body["source"]), "Тип"),
        fixed("Status", "picklist", "In Progress", "Состояние"),
        day("StartDate", "starts_on", "Дата начала", write=False),
        number("BudgetedCost", "budget", "Бюджет", write=False),
        fixed("IsActive", "boolean", True, "Активна"),
        currency(write=False),
    ])  # fmt: skip


def stage(org: Org) -> SObject:
    def outcome(item: Item) -> str:
        return str(item.body["outcome"])

    return sobject("OpportunityStage", "Стадия сделки", "Стадии сделки", [
        *system(org, "stage", nobody, deleted=False),
        text("MasterLabel", "name", "Метка", write=False),
        told("ApiName", "string", lambda item: stage_name(item.number), "Имя API"),
        fixed("IsActive", "boolean", True, "Активна"),
        told("SortOrder", "int", lambda item: item.body["sort"], "Порядок"),
        told("IsClosed", "boolean", lambda item: outcome(item) != "open", "Закрыта"),
        told("IsWon", "boolean", lambda item: outcome(item) == "won", "Выиграна"),
        told("ForecastCategory", "picklist", lambda item: FORECASTS[outcome(item)], "Категория прогноза"),
        told("ForecastCategoryName", "picklist", lambda item: FORECASTS[outcome(item)], "Категория прогноза"),
        told("DefaultProbability", "percent", lambda item: PROBABILITIES[outcome(item)], "Вероятность (%)"),
    ])  # fmt: skip


def record_type(org: Org) -> SObject:
    return sobject("RecordType", "Тип записи", "Типы записей", [
        *system(org, "pipeline", nobody, deleted=False),
        text("Name", "name", "Название", write=False),
        told("DeveloperName", "string", lambda item: f"Pipeline_{item.body['code']}", "Имя API"),
        fixed("SobjectType", "picklist", "Opportunity", "Объект"),
        fixed("IsActive", "boolean", True, "Активен"),
        fixed("Description", "string", None, "Описание"),
    ])  # fmt: skip


def organization(org: Org) -> SObject:
    rows = _fixed_rows(org.desk, [{"name": "ООО Торговый дом «Северный свет»"}])
    return sobject("Organization", "Компания", "Компании", [
        *system(org, "organization", nobody, deleted=False),
        text("Name", "name", "Название", write=False),
        fixed("DefaultCurrencyIsoCode", "picklist", CURRENCIES[0], "Валюта"),
        fixed("LanguageLocaleKey", "picklist", "ru", "Язык"),
        fixed("TimeZoneSidKey", "picklist", "Europe/Moscow", "Часовой пояс"),
        fixed("OrganizationType", "picklist", "Enterprise Edition", "Издание"),
        fixed("InstanceName", "string", "EU42S", "Экземпляр"),
        fixed("IsSandbox", "boolean", True, "Тестовая"),
        fixed("NamespacePrefix", "string", None, "Пространство имён"),
        fixed("FiscalYearStartMonth", "int", 1, "Начало финансового года"),
    ], rows=rows)  # fmt: skip


def currency_type(org: Org) -> SObject:
    rows = _fixed_rows(org.desk, [{"code": code, "rate": RATES[code]} for code in CURRENCIES])
    return sobject("CurrencyType", "Валюта", "Валюты", [
        *system(org, "currency", nobody, deleted=False),
        text("IsoCode", "code", "Код", kind="picklist", write=False),
        number("ConversionRate", "rate", "Курс", kind="double", scale=6, write=False),
        fixed("DecimalPlaces", "int", 2, "Знаков"),
        fixed("IsActive", "boolean", True, "Активна"),
        told("IsCorporate", "boolean", lambda item: item.body["code"] == CURRENCIES[0], "Корпоративная"),
    ], rows=rows)  # fmt: skip


def _fixed_rows(desk: Desk, bodies: list[Body]) -> list[Item]:
    made: datetime = desk.founded - timedelta(days=400)
    return [Item(place, body, made, made, 0) for place, body in enumerate(bodies, start=1)]
