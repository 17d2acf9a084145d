"""Sales orders: deep insert, items and conditions one by one, rejection, blocks, deletion.

Every write of a part changes the header's moment and so its entity tag. The customer's order number may repeat: the
system only warns. Amounts, tax and statuses are the system's own.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Final

from sandbox.accounting.sap import masters
from sandbox.accounting.sap.call import Draft
from sandbox.accounting.sap.database import Row
from sandbox.accounting.sap.edm import EntitySet
from sandbox.accounting.sap.errors import SapError, business
from sandbox.accounting.sap.pricing import given_conditions, price_item
from sandbox.accounting.sap.products import SERVICES, text_of
from sandbox.accounting.sap.system import AREA, CURRENCIES, PLANT, STORAGE, UNITS, USER, System

TYPES: Final = ("OR", "CR", "DR", "SO")
INCOMPLETE: Final = ("SLS_LORD/009", "Document is incomplete")
FUNCTIONS: Final = {"SP": "AG", "BP": "RE", "PY": "RG", "SH": "WE"}
FIXED: Final = frozenset(
    ("SalesOrder", "SalesOrderType", "SalesOrganization", "DistributionChannel", "OrganizationDivision")
)
MAX_ITEMS: Final = 999
Warnings = list[tuple[str, str]]


def create(system: System, given: Draft) -> tuple[Row, Warnings]:
    """POST A_SalesOrder with items, partners, conditions and texts. Raises SapError."""
    said = {name: value for name, value in given.values.items() if value not in ("", None)}
    kind = said.get("SalesOrderType", "OR")
    if kind not in TYPES:
        raise business("V1/310", f"Sales document type {kind} is not defined", "SalesOrderType")
    area = tuple(
        said.get(name, "") for name in ("SalesOrganization", "DistributionChannel", "OrganizationDivision")
    )
    if area != AREA:
        missing = [name for name, value in zip(_AREA_NAMES, area, strict=True) if not value]
        text = f"Enter a value for {missing[0]}" if missing else f"Sales area {' '.join(area)} is not defined"
        raise business("V1/384", text, missing[0] if missing else "SalesOrganization")
    sales_area = _sold_to(system, said.get("SoldToParty", ""), area)
    warnings = _purchase_order(system, said)
    currency = said.get("TransactionCurrency") or sales_area["Currency"]
    _currency(currency)
    today = system.today.isoformat()
    number = system.number("order")
    order: Row = {
        "SalesOrderDate": today, "PricingDate": today, "RequestedDeliveryDate": today, "BillingDocumentDate": today,
        "CustomerPaymentTerms": sales_area.get("CustomerPaymentTerms", ""), "ShippingCondition": "01",
        "PriceDetnExchangeRate": "1.00000", "CustomerAccountAssignmentGroup": "01", **said,
        "SalesOrder": number, "SalesOrderType": kind, "TransactionCurrency": currency, "CreatedByUser": USER,
        "CreationDate": today, "OverallSDProcessStatus": "A", "TotalNetAmount": "0.00",
    }  # fmt: skip
    if currency != "RUB":
        system.rate(currency, date.fromisoformat(order["PricingDate"]))
    order = system.db["order"].put({**order, "LastChangeDateTime": system.now()})
    _partners(system, order, given)
    for place, row in enumerate(
        given_conditions(system, _values(given, "to_PricingElement"), header=True), 1
    ):
        system.db["order_price"].put({
            **row, "SalesOrder": number, "PricingProcedureStep": "110", "PricingProcedureCounter": str(place),
            "TransactionCurrency": currency,
        })  # fmt: skip
    for row in _values(given, "to_Text"):
        system.db["order_text"].put({"Language": "EN", **row, "SalesOrder": number})
    rows = given.inner.get("to_Item", [])
    if len(rows) > MAX_ITEMS:
        raise business("V1/555", f"More than {MAX_ITEMS} items are not allowed")
    for item in rows:
        warnings += _item(system, order, item)
    if not rows:
        warnings.append(INCOMPLETE)
    return refresh(system, number), list(dict.fromkeys(warnings))


def change(system: System, order: Row, values: Row) -> Warnings:
    """PATCH of the header alone. What makes the order's sales area stays as it is."""
    number = order["SalesOrder"]
    system.free("order", number)
    new = {name: value for name, value in values.items() if name not in FIXED}
    warnings = _purchase_order(system, new) if "PurchaseOrderByCustomer" in new else []
    if "SoldToParty" in new and new["SoldToParty"] != order["SoldToParty"]:
        if _touched(system, number):
            raise business(
                "V1/493", "Sold-to party cannot be changed: subsequent documents exist", "SoldToParty"
            )
        _sold_to(system, new["SoldToParty"], AREA)
        _partners(system, {**order, **new}, None)
    if "TransactionCurrency" in new:
        _currency(new["TransactionCurrency"])
    system.db["order"].put({**order, **new})
    again = {"TransactionCurrency", "PricingDate", "SoldToParty"} & {n for n in new if new[n] != order.get(n)}
    for item in system.db["order_item"].under(number):
        wanted = new.get("RequestedDeliveryDate") or item.get("_wanted")
        row = {**item, "_wanted": wanted}
        if again and not item.get("_billed"):
            row["PricingDate"] = new.get("PricingDate") or item.get("PricingDate")
            row = _priced(system, {**order, **new}, row)[0]
        system.db["order_item"].put(row)
    refresh(system, number)
    return warnings


def delete(system: System, order: Row) -> None:
    """DELETE: the order is gone for good. Refused once something follows it."""
    number = order["SalesOrder"]
    system.free("order", number)
    if _touched(system, number):
        raise business("V1/041", f"Sales document {number} cannot be deleted: subsequent documents exist")
    for name in ("order_item", "order_partner", "order_price", "order_text", "order_flow"):
        for row in system.db[name].under(number):
            system.db[name].delete(row)
    system.db["order"].delete(order)


def add_item(system: System, given: Draft, order: Row | None) -> tuple[Row, Warnings]:
    if order is None:
        raise business("SLS_LORD/030", "Enter a sales order", "SalesOrder")
    system.free("order", order["SalesOrder"])
    warnings = _item(system, order, given)
    refresh(system, order["SalesOrder"])
    return system.db["order_item"].under(order["SalesOrder"], given.values["SalesOrderItem"])[0], warnings


def change_item(system: System, item: Row, values: Row) -> Warnings:
    order = _order_of(system, item)
    new = {name: value for name, value in values.items() if name not in ("SalesOrder", "SalesOrderItem")}
    done = Decimal(item.get("_delivered") or 0) or Decimal(item.get("_billed") or 0)
    place = item["SalesOrderItem"].zfill(6)
    if "RequestedQuantity" in new and Decimal(new["RequestedQuantity"]) < done:
        raise business(
            "V1/508",
            f"Item {place}: quantity is less than the quantity already delivered",
            "RequestedQuantity",
        )
    if new.get("Material", item["Material"]) != item["Material"] and done:
        raise business("V1/507", f"Item {place}: material cannot be changed, a delivery exists", "Material")
    reason = new.get("SalesDocumentRjcnReason")
    if reason:
        if not reason.isdigit():
            raise business(
                "V1/419", f"Reason for rejection {reason} is not defined", "SalesDocumentRjcnReason"
            )
        if done:
            raise business("V1/506", f"Item {place} cannot be rejected: a subsequent document exists")
    row = {**item, **new}
    if "Material" in new:
        row |= _material(system, new["Material"])
    if "RequestedQuantityUnit" in new:
        row |= _unit(new["RequestedQuantityUnit"])
    row, warnings = _priced(system, order, row)
    system.db["order_item"].put(row)
    refresh(system, order["SalesOrder"])
    return warnings


def delete_item(system: System, item: Row) -> None:
    order = _order_of(system, item)
    if Decimal(item.get("_delivered") or 0) or Decimal(item.get("_billed") or 0):
        raise business(
            "V1/414", f"Item {item['SalesOrderItem'].zfill(6)} cannot be deleted: subsequent documents exist"
        )
    system.db["order_item"].delete(item)
    refresh(system, order["SalesOrder"])


def add_price(system: System, given: Draft, item: Row | None) -> Row:
    if item is None:
        raise SapError(
            405, "/IWFND/CM_MGW_RT/114", "CREATE operation not supported for 'A_SalesOrderItemPrElement'"
        )
    row = given_conditions(system, [given.values])
    _reprice(system, item, [*item.get("_prices", []), *row])
    kind = given.values["ConditionType"]
    found = [each for each in _elements(system, item) if each["ConditionType"] == kind]
    return found[-1]


def change_price(system: System, element: Row, values: Row) -> None:
    """PATCH of a condition makes it manual; tax is the system's."""
    if element["ConditionType"] == "TTX1":
        raise business("VK/006", "Condition TTX1 cannot be changed manually", "ConditionType")
    item = _item_of(system, element)
    changed = {
        name: value
        for name, value in values.items()
        if name in ("ConditionRateValue", "ConditionCurrency", "ConditionQuantity", "ConditionQuantityUnit")
    }
    elements = [
        {**each, **changed, "ConditionIsManuallyChanged": True} if _same(each, element) else each
        for each in item["_prices"]
    ]
    _reprice(system, item, elements)


def delete_price(system: System, element: Row) -> None:
    item = _item_of(system, element)
    _reprice(system, item, [each for each in item["_prices"] if not _same(each, element)])


def add_part(system: System, given: Draft, order: Row | None) -> Row:
    """A partner or a text of the header, by the order's navigation."""
    if order is None:
        raise SapError(
            405, "/IWFND/CM_MGW_RT/114", f"CREATE operation not supported for '{given.found.name}'"
        )
    system.free("order", order["SalesOrder"])
    row = {"Language": "EN", **given.values} if given.found.table == "order_text" else dict(given.values)
    row["SalesOrder"] = order["SalesOrder"]
    if given.found.table == "order_partner":
        _partner(system, row)
    system.db[given.found.table].put(row)
    refresh(system, order["SalesOrder"])
    return row


def change_part(system: System, found: EntitySet, row: Row, values: Row) -> None:
    system.free("order", row["SalesOrder"])
    new = {**row, **{name: value for name, value in values.items() if name not in found.type.keys}}
    if found.table == "order_partner":
        _partner(system, new)
    system.db[found.table].put(new)
    refresh(system, row["SalesOrder"])


def delete_part(system: System, found: EntitySet, row: Row) -> None:
    system.free("order", row["SalesOrder"])
    if row.get("PartnerFunction") in FUNCTIONS:
        raise business("VP/103", f"Partner function {row['PartnerFunction']} is mandatory")
    system.db[found.table].delete(row)
    refresh(system, row["SalesOrder"])


def refresh(system: System, number: str) -> Row:
    """Sum up the header from its items and give it a new moment."""
    order = system.db["order"].get(number) or {}
    items = system.db["order_item"].under(number)
    living = [item for item in items if not item.get("SalesDocumentRjcnReason")]
    total = sum((Decimal(item["NetAmount"]) for item in living), Decimal(0))
    for item in items:
        status = _item_status(item)
        if {name: item.get(name) for name in status} != status:
            system.db["order_item"].put({**item, **status})
    living = [
        item for item in system.db["order_item"].under(number) if not item.get("SalesDocumentRjcnReason")
    ]
    goods = [item for item in living if item.get("SalesOrderItemCategory") == "TAN"]
    services = [item for item in living if item.get("SalesOrderItemCategory") != "TAN"]
    delivery = _overall([item["DeliveryStatus"] for item in goods])
    moment = system.now()
    return system.db["order"].put({
        **order, "TotalNetAmount": f"{total:.2f}",
        "OverallSDProcessStatus": _overall([item["SDProcessStatus"] for item in living]) or ("C" if items else "A"),
        "OverallDeliveryStatus": delivery, "OverallTotalDeliveryStatus": delivery,
        "OverallOrdReltdBillgStatus": _overall([item["OrderRelatedBillingStatus"] for item in services]),
        "OverallSDDocumentRejectionSts": "A" if len(living) == len(items) else "B" if living else "C",
        "TotalBlockStatus": "C" if order.get("DeliveryBlockReason") or order.get("HeaderBillingBlockReason") else "",
        "LastChangeDateTime": moment, "LastChangeDate": system.local(moment)[0],
        "_todo": "X" if any(_is_open(item) for item in living) else "",
    })  # fmt: skip


def _is_open(item: Row) -> bool:
    """Something of the item is still to be delivered or billed."""
    ordered = Decimal(item.get("RequestedQuantity") or 0)
    names = ("_delivered", "_billed") if _is_goods(item) else ("_billed",)
    return any(Decimal(item.get(name) or 0) < ordered for name in names)


def _item_status(item: Row) -> dict[str, str]:
    """Goods are billed by their delivery, services by the order; a rejected item is done."""
    ordered = Decimal(item.get("RequestedQuantity") or 0)
    delivered, billed = Decimal(item.get("_delivered") or 0), Decimal(item.get("_billed") or 0)
    if item.get("SalesDocumentRjcnReason"):
        return {
            "SDProcessStatus": "C",
            "DeliveryStatus": "C" if _is_goods(item) else "",
            "OrderRelatedBillingStatus": "",
        }
    how = _share(delivered, ordered) if _is_goods(item) else _share(billed, ordered)
    return {
        "SDProcessStatus": how, "DeliveryStatus": how if _is_goods(item) else "",
        "OrderRelatedBillingStatus": "" if _is_goods(item) else how,
    }  # fmt: skip


def _is_goods(item: Row) -> bool:
    return bool(item.get("SalesOrderItemCategory") == "TAN")


def _share(done: Decimal, whole: Decimal) -> str:
    return "A" if done <= 0 else "C" if done >= whole else "B"


def _overall(states: list[str]) -> str:
    if not states:
        return ""
    return states[0] if len(set(states)) == 1 else "B"


def _sold_to(system: System, customer: str, area: tuple[str, ...]) -> Row:
    if not customer:
        raise business("VP/100", "Please enter sold-to party or ship-to party", "SoldToParty")
    row = system.db["customer_area"].get(customer, *area)
    found = system.db["customer"].get(customer)
    if row is None or found is None:
        text = f"Sold-to party {customer} not maintained for sales area {' '.join(area)}"
        raise business("VP/199", text, "SoldToParty")
    partner = masters.partner_of(system, customer) or {}
    if found.get("DeletionIndicator") or row.get("DeletionIndicator") or partner.get("IsMarkedForArchiving"):
        raise business("VP/155", f"Customer {customer} is marked for deletion", "SoldToParty")
    blocked = found.get("OrderIsBlockedForCustomer") or row.get("OrderIsBlockedForCustomer")
    if blocked or partner.get("BusinessPartnerIsBlocked"):
        raise business(
            "V1/152", f"Customer {customer} has been assigned Order block: General block", "SoldToParty"
        )
    return row


def _purchase_order(system: System, said: Row) -> Warnings:
    number = said.get("PurchaseOrderByCustomer", "")
    others = system.db["order"].where("PurchaseOrderByCustomer", number) if number else []
    if not others:
        return []
    text = f"Purchase order number in document {others[0]['SalesOrder']} already exists"
    if system.option("duplicate_purchase_order") == "error":
        raise business("V4/115", text, "PurchaseOrderByCustomer")
    return [("V4/115", text)]


def _currency(currency: str) -> None:
    if currency not in CURRENCIES:
        raise business("SV/019", f"Currency {currency} is not defined", "TransactionCurrency")


def _partners(system: System, order: Row, given: Draft | None) -> None:
    for function, code in FUNCTIONS.items():
        system.db["order_partner"].put({
            "SalesOrder": order["SalesOrder"], "PartnerFunction": function, "PartnerFunctionInternalCode": code,
            "Customer": order["SoldToParty"],
        })  # fmt: skip
    for row in _values(given, "to_Partner") if given else []:
        row = {**row, "SalesOrder": order["SalesOrder"]}
        _partner(system, row)
        system.db["order_partner"].put(row)


def _partner(system: System, row: Row) -> None:
    function, customer = row.get("PartnerFunction", ""), row.get("Customer", "")
    if function not in FUNCTIONS:
        raise business("VP/105", f"Partner function {function} is not allowed", "PartnerFunction")
    if system.db["customer_area"].get(customer, *AREA) is None:
        name = {"SP": "Sold-to party", "BP": "Bill-to party", "PY": "Payer", "SH": "Ship-to party"}[function]
        raise business(
            "VP/196", f"{name} {customer} not maintained for sales area {' '.join(AREA)}", "Customer"
        )
    row["PartnerFunctionInternalCode"] = FUNCTIONS[function]


def _item(system: System, order: Row, given: Draft) -> Warnings:
    number = order["SalesOrder"]
    said = {name: value for name, value in given.values.items() if value not in ("", None)}
    taken = {item["SalesOrderItem"] for item in system.db["order_item"].under(number)}
    place = said.get("SalesOrderItem", "0")
    if place == "0":
        place = str(max((int(each) for each in taken), default=0) // 10 * 10 + 10)
    if place in taken:
        raise business("V1/425", f"Item {place.zfill(6)} already exists", "SalesOrderItem")
    given.values["SalesOrderItem"] = place
    material = _material(system, said.get("Material", ""))
    unit = _unit(said.get("RequestedQuantityUnit") or material["_unit"])
    quantity = Decimal(said.get("RequestedQuantity") or 0)
    if quantity < 0:
        raise business("V1/516", "Enter a positive quantity", "RequestedQuantity")
    item: Row = {
        "SalesOrderItemText": material["SalesOrderItemText"], "PricingDate": order["PricingDate"], "ProductionPlant": PLANT,
        "StorageLocation": STORAGE, "PurchaseOrderByCustomer": order.get("PurchaseOrderByCustomer", ""),
        "CustomerPaymentTerms": order.get("CustomerPaymentTerms", ""), **material, **said, **unit,
        "RequestedQuantity": said.get("RequestedQuantity", "0"), "SalesOrder": number, "SalesOrderItem": place,
        "_wanted": order["RequestedDeliveryDate"],
        "_prices": given_conditions(system, _values(given, "to_PricingElement")),
    }  # fmt: skip
    item, warnings = _priced(system, order, item)
    system.db["order_item"].put({**item, **_item_status(item)})
    return warnings if quantity else [*warnings, INCOMPLETE]


def _material(system: System, number: str) -> dict[str, Any]:
    if not number:
        raise business("V1/318", "Enter a material", "Material")
    product = system.db["product"].get(number)
    if product is None or system.db["product_sales"].get(number, *AREA[:2]) is None:
        text = (
            f"Material {number} is not defined for sales org. {AREA[0]}, distr.chan. {AREA[1]}, language EN"
        )
        raise business("V1/320", text, "Material")
    if product.get("IsMarkedForDeletion"):
        raise business("V1/481", f"Material {number} is flagged for deletion", "Material")
    service = product["ProductType"] in SERVICES
    return {
        "Material": number, "SalesOrderItemCategory": "TAD" if service else "TAN", "_unit": product["BaseUnit"],
        "SalesOrderItemText": text_of(system, number)[:40], "MaterialGroup": product.get("ProductGroup", ""),
    }  # fmt: skip


def _unit(unit: str) -> dict[str, str]:
    if unit not in UNITS:
        raise business("BM/302", f"Unit {unit} is not created in language EN", "RequestedQuantityUnit")
    return {
        "RequestedQuantityUnit": unit, "RequestedQuantitySAPUnit": UNITS[unit][0], "RequestedQuantityISOUnit": UNITS[unit][1],
    }  # fmt: skip


def _priced(system: System, order: Row, item: Row) -> tuple[Row, Warnings]:
    header = system.db["order_price"].under(order["SalesOrder"])
    day = date.fromisoformat(item.get("PricingDate") or order["PricingDate"])
    found = price_item(system, order, item, header, day)
    row = {
        **item, "_prices": found.elements, "NetAmount": f"{found.net:.2f}", "TaxAmount": f"{found.tax:.2f}",
        "Subtotal1Amount": f"{found.net:.2f}", "TransactionCurrency": order["TransactionCurrency"],
    }  # fmt: skip
    return row, [*found.complaints, INCOMPLETE] if found.complaints else []


def _reprice(system: System, item: Row, elements: list[Row]) -> None:
    order = _order_of(system, item)
    system.db["order_item"].put(_priced(system, order, {**item, "_prices": elements})[0])
    refresh(system, order["SalesOrder"])


def _elements(system: System, item: Row) -> list[Row]:
    return system.db["item_price"].under(item["SalesOrder"], item["SalesOrderItem"])


def _same(one: Row, other: Row) -> bool:
    names = ("PricingProcedureStep", "PricingProcedureCounter")
    return all(one.get(name) == other.get(name) for name in names)


def _order_of(system: System, row: Row) -> Row:
    system.free("order", row["SalesOrder"])
    return system.db["order"].get(row["SalesOrder"]) or {}


def _item_of(system: System, element: Row) -> Row:
    _order_of(system, element)
    return system.db["order_item"].get(element["SalesOrder"], element["SalesOrderItem"]) or {}


def _touched(system: System, number: str) -> bool:
    return any(
        item.get("_delivered") or item.get("_billed") for item in system.db["order_item"].under(number)
    )


def _values(given: Draft | None, name: str) -> list[Row]:
    return [row.values for row in given.inner.get(name, [])] if given else []


_AREA_NAMES: Final = ("SalesOrganization", "DistributionChannel", "OrganizationDivision")
