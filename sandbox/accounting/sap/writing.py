"""Which writer makes, changes and deletes the records of a table. Each raises SapError for what it refuses.

A writer's warnings are (code, text) and go into the header sap-message of a success.
"""

from __future__ import annotations

from typing import Final

from sandbox.accounting.sap import masters, orders, products
from sandbox.accounting.sap.call import Draft
from sandbox.accounting.sap.database import Row
from sandbox.accounting.sap.edm import EntitySet
from sandbox.accounting.sap.errors import NOT_ALLOWED, SapError
from sandbox.accounting.sap.system import System

Warnings = list[tuple[str, str]]
_BY_NAVIGATION: Final = frozenset(
    (
        "order_item",
        "order_partner",
        "order_text",
        "item_price",
        "customer_company",
        "customer_area",
        "customer",
    )
)


def may_insert(found: EntitySet) -> bool:
    """Whether a set that is not creatable by itself takes records by a navigation of their parent."""
    return found.table in _BY_NAVIGATION


def create(system: System, given: Draft, parent: Row | None) -> tuple[Row, Warnings]:
    table = given.found.table
    if table == "order":
        return orders.create(system, given)
    if table == "order_item":
        return orders.add_item(system, given, parent)
    if table == "item_price":
        return orders.add_price(system, given, parent), []
    if table in ("order_partner", "order_text"):
        return orders.add_part(system, given, parent), []
    if table == "partner":
        return masters.create(system, given), []
    if table == "product":
        return products.create(system, given), []
    if table.startswith("product_"):
        return products.add(system, given, parent), []
    return masters.add(system, given, parent), []


def update(system: System, found: EntitySet, row: Row, given: Draft) -> Warnings:
    table = found.table
    if table == "order":
        return orders.change(system, row, given.values)
    if table == "order_item":
        return orders.change_item(system, row, given.values)
    if table == "item_price":
        orders.change_price(system, row, given.values)
    elif table in ("order_partner", "order_text"):
        orders.change_part(system, found, row, given.values)
    elif table == "product" or table.startswith("product_"):
        products.change(system, found, row, given.values)
    else:
        masters.change(system, found, row, given.values)
    return []


def delete(system: System, found: EntitySet, row: Row) -> None:
    table = found.table
    if table == "order":
        orders.delete(system, row)
    elif table == "order_item":
        orders.delete_item(system, row)
    elif table == "item_price":
        orders.delete_price(system, row)
    elif table in ("order_partner", "order_text"):
        orders.delete_part(system, found, row)
    elif table.startswith("product_"):
        products.delete(system, found, row)
    elif table.startswith(("partner_", "customer_")):
        masters.delete(system, found, row)
    else:
        raise SapError(405, NOT_ALLOWED, f"DELETE operation not supported for '{found.name}'")
