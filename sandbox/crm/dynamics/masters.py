"""The tables that sales point to: users, currencies, units, products, price lists, processes, campaigns."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from sandbox.crm.dynamics.columns import (
    APP_USER,
    CURRENCIES,
    RATES,
    active,
    currency,
    currency_of,
    fixed,
    lookup,
    money,
    rate_of,
    state,
    table,
    text,
)
from sandbox.crm.dynamics.model import Column, Table
from sandbox.crm.dynamics.tables import UNITS, unit_number
from sandbox.desk.records import Desk, Item

CURRENCY_NAMES: Final = {"RUB": ("Russian Ruble", "₽"), "USD": ("US Dollar", "$"), "EUR": ("Euro", "€")}
PRODUCT_STATES: Final = {0: "Active", 1: "Retired", 2: "Draft", 3: "Under Revision"}
PRODUCT_REASONS: Final = {1: "Active", 2: "Retired", 0: "Draft", 3: "Under Revision"}
PROCESS_STATES: Final = {0: "Draft", 1: "Activated"}
EXPIRE_DAYS: Final = 7
"""Organization.ExpireChangeTrackingInDays: how long a delta token is good for."""


def masters(desk: Desk) -> list[Table]:
    return [
        _user(desk), _currency(desk), _schedule(desk), _unit(desk), _product(), _level(), _price(desk),
        _process(), _stage(desk), _campaign(), _organization(desk),
    ]  # fmt: skip


def _still(desk: Desk, number: int, **body: Any) -> Item:
    """A row that the installation brought along."""
    return Item(number, body, desk.founded, desk.founded, 1)


def _user(desk: Desk) -> Table:
    def fullname(item: Item) -> str:
        return " ".join(filter(None, (item.body["first_name"], item.body["last_name"])))

    application = _still(
        desk, APP_USER, first_name="#", last_name="sverka", email="", active=True, applicationid=desk.name
    )
    return table(
        "systemuser", "systemusers", 8, "fullname",
        [
            text("firstname", "first_name", length=256), text("lastname", "last_name", length=256),
            Column("fullname", "String", fullname, length=200), text("internalemailaddress", "email"),
            text("domainname", "email", length=1024, keep=False),
            Column("isdisabled", "Boolean", lambda item: not item.body["active"]),
            fixed("accessmode", "Picklist", 0, {0: "Read-Write", 4: "Non-interactive"}),
        ],
        entity="employee", fixed={APP_USER: application}, schema="SystemUser",
    )  # fmt: skip


def _currency(desk: Desk) -> Table:
    rows = {
        number: _still(desk, number, code=code, name=CURRENCY_NAMES[code][0], symbol=CURRENCY_NAMES[code][1])
        for code, number in CURRENCIES.items()
    }
    return table(
        "transactioncurrency", "transactioncurrencies", 9105, "currencyname",
        [
            text("currencyname", "name"), text("isocurrencycode", "code", length=5),
            text("currencysymbol", "symbol", length=13), fixed("currencyprecision", "Integer", 2),
            Column("exchangerate", "Decimal", lambda item: RATES[item.number], scale=12), *active(),
        ],
        fixed=rows, schema="TransactionCurrency",
    )  # fmt: skip


def _schedule(desk: Desk) -> Table:
    rows = {1: _still(desk, 1, name="Default Unit")}
    return table("uomschedule", "uomschedules", 1056, "name", [text("name", "name"), *active()], fixed=rows,
                 schema="UoMSchedule")  # fmt: skip


def _unit(desk: Desk) -> Table:
    rows = {number: _still(desk, number, name=name) for name, number in UNITS.items()}
    return table(
        "uom", "uoms", 1055, "name",
        [
            text("name", "name"), fixed("quantity", "Decimal", Decimal(1)),
            fixed("uomscheduleid", "Lookup", 1, target="uomschedule", nav="uomscheduleid"),
        ],
        fixed=rows, tracked=False, schema="UoM",
    )  # fmt: skip


def _product() -> Table:
    number = currency_of()
    rate = rate_of(number)

    def code(item: Item) -> int:
        return 0 if item.body["active"] else 1

    return table(
        "product", "products", 1024, "name",
        [
            text("name", "name"), text("productnumber", "code", length=100),
            *money("price", lambda item: item.body["price"], rate, keep="price"),
            Column("defaultuomid", "Lookup", lambda item: unit_number(item.body["unit"]), target="uom",
                   nav="defaultuomid"),
            fixed("defaultuomscheduleid", "Lookup", 1, target="uomschedule", nav="defaultuomscheduleid"),
            fixed("pricelevelid", "Lookup", 1, target="pricelevel", nav="pricelevelid"),
            fixed("productstructure", "Picklist", 1, {1: "Product", 2: "Product Family", 3: "Product Bundle"}),
            Column("producttypecode", "Picklist", lambda item: 3 if item.body["is_service"] else 1,
                   options={1: "Sales Inventory", 2: "Miscellaneous Charges", 3: "Services", 4: "Flat Fees"}),
            fixed("quantitydecimal", "Integer", 2), fixed("quantityonhand", "Decimal", None), *currency(number),
            *state(code, PRODUCT_STATES, lambda item: code(item) + 1, PRODUCT_REASONS),
            text("new_okei", "okei", length=3, custom=True, schema="new_OKEI"),
            Column("new_vatrate", "Integer", lambda item: item.body["vat_rate"], keep="vat_rate", custom=True,
                   schema="new_VATRate"),
        ],
        entity="product", schema="Product", writable=True,
        collections={"product_price_levels": ("productpricelevel", "_productid_value")},
    )  # fmt: skip


def _level() -> Table:
    return table(
        "pricelevel", "pricelevels", 1022, "name",
        [text("name", "name"), *currency(currency_of()),
         *state(lambda item: 0, {0: "Active", 1: "Inactive"}, lambda item: 100001,
                {100001: "Active", 100002: "Inactive"})],
        entity="price_list", schema="PriceLevel",
        collections={"price_level_product_price_levels": ("productpricelevel", "_pricelevelid_value")},
    )  # fmt: skip


def _price(desk: Desk) -> Table:
    number = currency_of()
    rate = rate_of(number)
    products = desk.tables["product"]

    def unit(item: Item) -> int:
        return unit_number(products[item.body["product"]].body["unit"])

    return table(
        "productpricelevel", "productpricelevels", 1026, "productpricelevelid",
        [
            lookup("pricelevelid", "pricelevel", "price_list"), lookup("productid", "product", "product"),
            Column("uomid", "Lookup", unit, target="uom", nav="uomid"),
            *money("amount", lambda item: item.body["price"], rate, keep="price"), *currency(number),
            fixed("pricingmethodcode", "Picklist", 1, {1: "Currency Amount", 2: "Percent of List"}),
            fixed("quantitysellingcode", "Picklist", 1, {1: "No Control", 2: "Whole"}),
        ],
        entity="price", schema="ProductPriceLevel",
    )  # fmt: skip


def _process() -> Table:
    return table(
        "workflow", "workflows", 4703, "name",
        [
            text("name", "name"), Column("uniquename", "String", lambda item: f"new_bpf_{item.body['code']}"),
            fixed("category", "Picklist", 4, {0: "Workflow", 4: "Business Process Flow"}),
            fixed("primaryentity", "String", "opportunity"), fixed("type", "Picklist", 1, {1: "Definition"}),
            Column("processorder", "Integer", lambda item: item.body["sort"] // 10),
            *state(lambda item: 1, PROCESS_STATES, lambda item: 2, {1: "Draft", 2: "Activated"}),
        ],
        entity="pipeline", tracked=False, schema="Workflow",
        collections={"process_processstage": ("processstage", "_processid_value")},
    )  # fmt: skip


def _stage(desk: Desk) -> Table:
    def category(item: Item) -> int:
        return 3 if item.body["outcome"] != "open" else 0 if item.body["code"].endswith("NEW") else 1

    return table(
        "processstage", "processstages", 4724, "stagename",
        [
            text("stagename", "name"), lookup("processid", "workflow", "pipeline"),
            Column("stagecategory", "Picklist", category,
                   options={0: "Qualify", 1: "Develop", 2: "Propose", 3: "Close", 4: "Identify", 5: "Research",
                            6: "Resolve"}),
            fixed("primaryentitytypecode", "String", "opportunity"),
        ],
        entity="stage", tracked=False, schema="ProcessStage",
    )  # fmt: skip


def _campaign() -> Table:
    number = currency_of()
    rate = rate_of(number)
    return table(
        "campaign", "campaigns", 4400, "name",
        [
            text("name", "name", length=128), Column("codename", "String", lambda item: f"CMP-{item.number:05d}"),
            Column("proposedstart", "DateOnly", lambda item: item.body["starts_on"], keep="starts_on"),
            *money("budgetedcost", lambda item: item.body["budget"], rate, keep="budget"), *currency(number),
            *state(lambda item: 0, {0: "Active", 1: "Inactive"}, lambda item: 2,
                   {0: "Proposed", 1: "Ready To Launch", 2: "Launched", 3: "Completed"}),
        ],
        entity="campaign", schema="Campaign",
    )  # fmt: skip


def _organization(desk: Desk) -> Table:
    rows = {1: _still(desk, 1, name=desk.name)}
    return table(
        "organization", "organizations", 1019, "name",
        [
            text("name", "name", length=160, keep=False),
            fixed("basecurrencyid", "Lookup", 1, target="transactioncurrency", nav="basecurrencyid"),
            fixed("languagecode", "Integer", 1049), fixed("pricingdecimalprecision", "Integer", 2),
            fixed("expirechangetrackingindays", "Integer", EXPIRE_DAYS),
            fixed("oobpricecalculationenabled", "Boolean", False),
        ],
        fixed=rows, tracked=False, schema="Organization",
    )  # fmt: skip
