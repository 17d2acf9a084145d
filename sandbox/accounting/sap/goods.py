"""Price records and stock of materials: how the system begins, how people change a price, what moves in and out.

A price is a condition record without VAT, of a material, of a material in a price list, or of a material for one
customer; a change from a day on ends the record before it and makes a new one. Unconfirmed by a public source, so to be
switched: the name of unrestricted stock (`stock_type`), whether a delivery may take more than there is
(`negative_stock`).
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from sandbox.accounting.sap import ledger
from sandbox.accounting.sap.database import Row
from sandbox.accounting.sap.errors import business
from sandbox.accounting.sap.ledger import Entry, Head
from sandbox.accounting.sap.system import AREA, CURRENCY, PLANT, STORAGE, System
from sandbox.accounting.sap.values import quantity, rounded
from sandbox.company import prices
from sandbox.company.model import HISTORY_DAYS

FOR_EVER: Final = "9999-12-31"
SECOND_STORAGE: Final = "101B"
INSPECTED: Final = "02"
IN_INSPECTION: Final = Decimal(7)
"""Goods that quality inspection holds: nobody may sell them yet."""
PRICE_LISTS: Final = {prices.RETAIL: "", prices.WHOLESALE: "02"}
OWN_PRICE_SHARE: Final = Decimal("0.8")
_TABLES: Final = {"": "304", "PriceListType": "306", "Customer": "305"}


def without_tax(price: Decimal, rate: int) -> Decimal:
    return (price * 100 / (100 + Decimal(rate))).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def price(system: System, number: str, net: Decimal, unit: str, start: str = "", **about: str) -> str:
    """A price record for ever, from before the company's history on unless `start` says otherwise; its number.

    `about` may name the PriceListType or the Customer that the price is for.
    """
    start = start or (system.books.company.today - timedelta(days=HISTORY_DAYS + 60)).isoformat()
    record, kind = system.number("condition"), system.option("price_condition")
    common = {"ConditionRecord": record, "ConditionType": kind, "ConditionApplication": "V",
              "ConditionValidityStartDate": start, "ConditionValidityEndDate": FOR_EVER}  # fmt: skip
    system.db["price_validity"].put({
        **common, **about, "Material": number, "SalesOrganization": AREA[0], "DistributionChannel": AREA[1],
    })  # fmt: skip
    system.db["price_record"].put({
        **common, "ConditionTable": _TABLES[next(iter(about), "")], "ConditionCalculationType": "C",
        "ConditionRateValue": f"{net:.9f}", "ConditionRateValueUnit": CURRENCY, "ConditionQuantity": "1",
        "ConditionQuantityUnit": unit, "BaseUnit": unit, "CreationDate": start,
    })  # fmt: skip
    return record


def set_price(system: System, number: str, net: Decimal, day: date, **about: str) -> str:
    """A new price from a day on. The record valid till then ends the day before; one of that very day is struck out."""
    product = system.db["product"].get(number)
    if product is None:
        raise ValueError(f"there is no product {number}")
    start = day.isoformat()
    for row in list(system.db["price_validity"].where("Material", number)):
        same = all((row.get(name) or "") == about.get(name, "") for name in ("PriceListType", "Customer"))
        if same and row["ConditionValidityEndDate"] >= start:
            _end(system, row, day)
    return price(system, number, net, product["BaseUnit"], start, **about)


def begin(system: System) -> None:
    """The wholesale list, what drifted in either, one customer with a price of his own, and what lies elsewhere."""
    company = system.books.company
    known = [product for product in company.products.values() if product.known_to_accounting]
    numbers = {product.id: product.code.upper()[:40] for product in known}
    for product in known:
        wholesale = prices.listed(product, prices.WHOLESALE)
        unit = (system.db["product"].get(numbers[product.id]) or {}).get("BaseUnit", "PC")
        if wholesale is not None:
            net = without_tax(wholesale, product.vat_rate)
            price(system, numbers[product.id], net, unit, PriceListType=PRICE_LISTS[prices.WHOLESALE])
    for drift in prices.drifts(company):
        listed = PRICE_LISTS[drift.price_list]
        net = without_tax(drift.accounting, company.products[drift.product].vat_rate)
        about = {"PriceListType": listed} if listed else {}
        set_price(system, numbers[drift.product], net, drift.since, **about)
        told = {name: value for name, value in drift.told(company).items() if name != "act"}
        system.act("price_drift", numbers[drift.product], **told, net=str(net))
    _own_price(system, [numbers[product.id] for product in known if not product.is_service])
    for product in known:
        if prices.lies_in_two_places(company, product):
            unit = (system.db["product"].get(numbers[product.id]) or {}).get("BaseUnit", "PC")
            stock(system, numbers[product.id], unit, prices.SECOND_PLACE, storage=SECOND_STORAGE)
            stock(system, numbers[product.id], unit, IN_INSPECTION, kind=INSPECTED)


def stock(
    system: System, number: str, unit: str, held: Decimal, *, storage: str = STORAGE, kind: str = ""
) -> None:
    """So much lies at a place; `kind` is unrestricted stock unless it says otherwise."""
    if system.db["stock_material"].get(number) is None:
        system.db["stock_material"].put({"Material": number, "MaterialBaseUnit": unit})
    system.db["stock"].put({
        "Material": number, "Plant": PLANT, "StorageLocation": storage, "Batch": "", "Supplier": "", "Customer": "",
        "WBSElementInternalID": "0", "SDDocument": "", "SDDocumentItem": "0", "InventorySpecialStockType": "",
        "InventoryStockType": kind or system.option("stock_type"), "MaterialBaseUnit": unit,
        "MatlWrhsStkQtyInMatlBaseUnit": quantity(held),
    })  # fmt: skip


def held_of(system: System, number: str) -> Decimal:
    """All that lies anywhere of a material, whatever may be done with it."""
    rows = system.db["stock"].under(number)
    return sum((Decimal(row["MatlWrhsStkQtyInMatlBaseUnit"]) for row in rows), Decimal(0))


def move(system: System, material: str, change: Decimal, storage: str = STORAGE) -> None:
    """Unrestricted stock of a material grows or shrinks. Raises SapError where it may not go below zero."""
    for row in system.db["stock"].under(material, PLANT, storage):
        if row["InventoryStockType"] == system.option("stock_type"):
            held = Decimal(row["MatlWrhsStkQtyInMatlBaseUnit"]) + change
            if held < 0 and system.option("negative_stock") == "refused":
                short = f"{-held:f} {row['MaterialBaseUnit']}"
                text = f"Deficit of SL Unrestricted-use {short} : {material} {PLANT} {storage}"
                raise business("M7/021", text)
            system.db["stock"].change(row, MatlWrhsStkQtyInMatlBaseUnit=quantity(held))
            return


def receive(system: System, number: str, amount: Decimal, cost: Decimal, storage: str, day: date) -> str:
    """Goods come in at a cost a piece; the number of their accounting document."""
    product = system.db["product"].get(number)
    if product is None:
        raise ValueError(f"there is no product {number}")
    if not any(row["StorageLocation"] == storage for row in system.db["stock"].under(number, PLANT)):
        stock(system, number, product["BaseUnit"], Decimal(0), storage=storage)
    move(system, number, amount, storage)
    worth = rounded(cost * amount, CURRENCY)
    about = {"Material": number, "Product": number, "Plant": PLANT, "BaseUnit": product["BaseUnit"]}
    entries = [
        Entry(ledger.STOCK, worth, worth, more={**about, "Quantity": quantity(amount)}),
        Entry(ledger.RECEIVED, -worth, -worth, more=about),
    ]
    made = str(50_000_000 + system.books.number("receipt") - 1)
    return ledger.post(system, Head("WE", day, source=("MKPF", made), user="WAREHOUSE"), entries)


def rename_stock(system: System, old: str, new: str) -> None:
    """Unrestricted stock is called otherwise from now on."""
    rows = [row for row in system.db["stock"].rows() if row["InventoryStockType"] == old]
    for row in rows:
        system.db["stock"].delete(row)
        system.db["stock"].put({**row, "InventoryStockType": new})


def told(system: System) -> dict[str, Any]:
    """Prices by record, and what lies where of each material, for the truth."""
    found: dict[str, dict[str, str]] = {}
    for row in system.db["stock"].rows():
        place = f"{row['StorageLocation']}/{row['InventoryStockType']}"
        found.setdefault(row["Material"], {})[place] = row["MatlWrhsStkQtyInMatlBaseUnit"]
    return {"prices": [_told(system, row) for row in system.db["price_validity"].rows()], "stock": found}


def _told(system: System, row: Row) -> dict[str, str]:
    record = system.db["price_record"].get(row["ConditionRecord"]) or {}
    return {
        "product": row["Material"], "price_list": row.get("PriceListType", ""), "customer": row.get("Customer", ""),
        "from": row["ConditionValidityStartDate"], "to": row["ConditionValidityEndDate"],
        "net": record.get("ConditionRateValue", ""), "currency": record.get("ConditionRateValueUnit", ""),
    }  # fmt: skip


def _end(system: System, row: Row, day: date) -> None:
    """Let a record end the day before `day`; one that begins no earlier is struck out."""
    record = system.db["price_record"].get(row["ConditionRecord"])
    if record is None or record.get("ConditionIsDeleted"):
        return
    if row["ConditionValidityStartDate"] >= day.isoformat():
        system.db["price_record"].change(record, ConditionIsDeleted=True)
        return
    end = (day - timedelta(days=1)).isoformat()
    system.db["price_validity"].delete(row)
    system.db["price_validity"].put({**row, "ConditionValidityEndDate": end})
    system.db["price_record"].change(record, ConditionValidityEndDate=end)


def _own_price(system: System, goods: list[str]) -> None:
    """The last customer has a price of his own for the last of the goods: it is nobody else's."""
    buyers = system.db["customer"].keys
    if not buyers or not goods:
        return
    buyer = (system.db["customer"].at(buyers[-1]) or {})["Customer"]
    number = goods[-1]
    row = next(iter(system.db["price_validity"].where("Material", number)))
    record = system.db["price_record"].get(row["ConditionRecord"]) or {}
    own = rounded(Decimal(record["ConditionRateValue"]) * OWN_PRICE_SHARE, CURRENCY)
    start = (system.books.company.today - timedelta(days=prices.DRIFT_DAYS[0])).isoformat()
    price(system, number, own, record["BaseUnit"], start, Customer=buyer)
    system.act("own_price", number, customer=buyer, since=start, net=str(own))
