"""Products: creation with texts, sales and tax data, single changes, the deletion flag.

A sender may give the number, else the range of the product type does. To be sold a product needs sales data of the
organisation and channel, and its tax classification.
"""

from __future__ import annotations

from typing import Final

from sandbox.accounting.sap.call import Draft
from sandbox.accounting.sap.database import Row
from sandbox.accounting.sap.edm import EntitySet
from sandbox.accounting.sap.errors import business
from sandbox.accounting.sap.system import AREA, COUNTRY, PLANT, UNITS, USER, System

TYPES: Final = ("HAWA", "FERT", "SERV", "DIEN", "NLAG", "ROH")
SERVICES: Final = frozenset(("SERV", "DIEN"))
TAX: Final = "TTX1"
CLASSES: Final = ("0", "1", "2")
"""Tax classification: exempt, full rate, reduced rate."""


def create(system: System, given: Draft) -> Row:
    """POST A_Product. Raises SapError."""
    said = given.values
    kind, unit = said.get("ProductType", ""), said.get("BaseUnit", "")
    if kind not in TYPES:
        text = f"Product type {kind} does not exist" if kind else "Enter a product type"
        raise business("MM/180", text, "ProductType")
    if not unit:
        raise business("M3/013", "Enter a base unit of measure", "BaseUnit")
    if unit not in UNITS:
        raise business("BM/302", f"Unit {unit} is not created in language EN", "BaseUnit")
    if not any(text.values.get("ProductDescription") for text in given.inner.get("to_Description", [])):
        raise business("M3/002", "Enter a product description", "to_Description")
    number = said.get("Product") or system.number("material")
    if system.db["product"].get(number) is not None:
        raise business("MMD_API/010", f"Product {number} already exists", "Product")
    row: Row = {
        "IndustrySector": "M", "ItemCategoryGroup": "LEIS" if kind in SERVICES else "NORM", "Division": "00",
        **said, "Product": number, "CreatedByUser": USER, "CreationDate": system.today.isoformat(),
    }  # fmt: skip
    row = _touch(system, row)
    for rows in given.inner.values():
        for inner in rows:
            add(system, inner, row)
    if "to_ProductUnitsOfMeasure" not in given.inner:
        system.db["product_unit"].put(
            {
                "Product": number,
                "AlternativeUnit": unit,
                "QuantityNumerator": "1",
                "QuantityDenominator": "1",
                "BaseUnit": unit,
            }
        )
    return system.db["product"].get(number) or row


def add(system: System, given: Draft, parent: Row | None) -> Row:
    """POST of one record beneath a product."""
    table, kind = given.found.table, given.found.type
    row: Row = dict(given.values)
    if parent and parent.get("Product"):
        row["Product"] = parent["Product"]
    product = system.db["product"].get(row.get("Product", ""))
    if product is None:
        raise business("M3/305", f"Product {row.get('Product', '')} does not exist", "Product")
    system.free("product", row["Product"])
    missing = next((name for name in kind.keys if not row.get(name) and name != "ValuationType"), None)
    if missing:
        raise business("MMD_API/004", f"Enter a value for {missing}", missing)
    _check(table, row)
    if system.db[table].at(system.db[table].key_of(row)) is not None:
        raise business("MMD_API/011", f"{kind.label} already exists for product {row['Product']}")
    if "BaseUnit" in kind.properties:
        row["BaseUnit"] = product["BaseUnit"]
    system.db[table].put(row)
    for rows in given.inner.values():
        for inner in rows:
            add(system, inner, row)
    _touch(system, system.db["product"].get(row["Product"]) or product)
    return row


def change(system: System, found: EntitySet, row: Row, values: Row) -> None:
    system.free("product", row["Product"])
    new = {**row, **{name: value for name, value in values.items() if name not in found.type.keys}}
    if found.table == "product":
        if new.get("BaseUnit") != row.get("BaseUnit"):
            raise business("M3/187", "The base unit of measure cannot be changed", "BaseUnit")
        _touch(system, new)
        return
    _check(found.table, new)
    system.db[found.table].put(new)
    product = system.db["product"].get(row["Product"])
    if product is not None:
        _touch(system, product)


def delete(system: System, found: EntitySet, row: Row) -> None:
    system.free("product", row["Product"])
    system.db[found.table].delete(row)
    product = system.db["product"].get(row["Product"])
    if product is not None:
        _touch(system, product)


def tax_class(system: System, product: str) -> str | None:
    """The tax classification of a product at home, None where nobody has said one."""
    for row in system.db["product_tax"].under(product, COUNTRY):
        if row["TaxCategory"] == TAX:
            return str(row["TaxClassification"])
    return None


def text_of(system: System, product: str) -> str:
    rows = system.db["product_text"].under(product)
    found = next((row for row in rows if row["Language"] == "EN"), rows[0] if rows else None)
    return str(found.get("ProductDescription", "")) if found else ""


def _check(table: str, row: Row) -> None:
    if table == "product_sales" and (row["ProductSalesOrg"], row["ProductDistributionChnl"]) != AREA[:2]:
        area = f"{row['ProductSalesOrg']} {row['ProductDistributionChnl']}"
        raise business(
            "M3/148", f"Sales organization and distribution channel {area} are not defined", "ProductSalesOrg"
        )
    if table == "product_tax":
        if row["TaxCategory"] != TAX:
            raise business(
                "MG/144",
                f"Tax category {row['TaxCategory']} is not defined for {row['Country']}",
                "TaxCategory",
            )
        if row["TaxClassification"] not in CLASSES:
            raise business(
                "MG/145", f"Tax classification {row['TaxClassification']} is not defined", "TaxClassification"
            )
    if table == "product_plant" and row["Plant"] != PLANT:
        raise business("M3/351", f"Plant {row['Plant']} does not exist", "Plant")
    if table == "product_unit" and row["AlternativeUnit"] not in UNITS:
        raise business(
            "BM/302", f"Unit {row['AlternativeUnit']} is not created in language EN", "AlternativeUnit"
        )


def _touch(system: System, row: Row) -> Row:
    moment = system.now()
    return system.db["product"].put(
        {
            **row,
            "LastChangeDateTime": moment,
            "LastChangeDate": system.local(moment)[0],
            "LastChangedByUser": USER,
        }
    )
