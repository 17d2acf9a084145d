"""Pricing of an item: its price, discounts and output tax, as condition lines whose sums are the item's amounts.

A price that the sender gave stands; without one the price record of the material is taken. Tax is never taken from
the sender: the customer's and the product's classification and the date decide its rate. Amounts are rounded half
up to the digits of the currency, line by line, so a document's tax is the sum of its items'.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple

from sandbox.accounting.sap.database import Row
from sandbox.accounting.sap.errors import business
from sandbox.accounting.sap.products import TAX, tax_class
from sandbox.accounting.sap.system import AREA, COUNTRY, CURRENCIES, CURRENCY, UNITS, System
from sandbox.accounting.sap.values import rounded
from sandbox.company.model import main_vat_rate

MANUAL: Final = "PMP0"
PERCENT: Final = "RA00"
ABSOLUTE: Final = "RB00"
HEADER_PERCENT: Final = "HA00"
STEPS: Final = {
    "PPR0": 10,
    "PR00": 10,
    MANUAL: 11,
    PERCENT: 100,
    ABSOLUTE: 101,
    HEADER_PERCENT: 110,
    TAX: 800,
}
MAX_CONDITIONS: Final = 50
_ZERO = Decimal(0)


class Priced(NamedTuple):
    elements: list[Row]
    net: Decimal
    tax: Decimal
    complaints: list[tuple[str, str]]


def given_conditions(system: System, rows: Iterable[Row], header: bool = False) -> list[Row]:
    """The conditions of a body as manual ones. Raises SapError for types that the procedure does not have."""
    found = []
    price = system.option("price_condition")
    allowed = {HEADER_PERCENT} if header else {price, MANUAL, PERCENT, ABSOLUTE}
    for row in rows:
        kind = row.get("ConditionType", "")
        if kind == TAX:
            continue  # determined by the system alone
        if kind not in allowed:
            raise business(
                "V1/233", f"Condition {kind} is not in pricing procedure A10001 A V", "ConditionType"
            )
        currency = row.get("ConditionCurrency") or ""
        if currency and currency not in CURRENCIES and currency != "%":
            raise business("SV/019", f"Currency {currency} is not defined", "ConditionCurrency")
        found.append({**row, "ConditionIsManuallyChanged": True})
    if len(found) > MAX_CONDITIONS:
        raise business("V1/234", "Too many conditions")
    return found


def price_item(system: System, order: Row, item: Row, header: Iterable[Row], day: date) -> Priced:
    """Work the item out anew from its manual conditions, the header's, and the records. `day` decides the tax."""
    currency = order["TransactionCurrency"]
    quantity = Decimal(item.get("RequestedQuantity") or item.get("BillingQuantity") or 0)
    manual = [row for row in item.get("_prices", ()) if row.get("ConditionIsManuallyChanged")]
    price_types = (system.option("price_condition"), MANUAL)
    prices = [row for row in manual if row["ConditionType"] in price_types]
    complaints = []
    base = prices[-1] if prices else _recorded(system, order, item, currency)
    elements: list[Row] = []
    net = _ZERO
    if base is None:
        complaints.append(("V1/801", f"Pricing error: Mandatory condition {price_types[0]} is missing"))
    else:
        per = Decimal(base.get("ConditionQuantity") or 0) or Decimal(1)
        rate = _into(
            system,
            Decimal(base["ConditionRateValue"]),
            base.get("ConditionCurrency") or currency,
            currency,
            day,
        )
        net = rounded(rate * quantity / per, currency)
        elements.append(_element(base, order, item, quantity, net, "B", f"{per:f}"))
    gross = net
    for row in [*(each for each in manual if each["ConditionType"] in (PERCENT, ABSOLUTE)), *header]:
        value = -abs(Decimal(row.get("ConditionRateValue") or 0))
        percent = row["ConditionType"] != ABSOLUTE
        amount = rounded(gross * value / 100, currency) if percent else rounded(value, currency)
        net += amount
        told = {**row, "ConditionRateValue": f"{value:.9f}"}
        elements.append(
            _element(told, order, item, gross if percent else _ZERO, amount, "A" if percent else "B", "0")
        )
    tax_rate, code = rate_of(system, order["SoldToParty"], item.get("Material", ""), day)
    if tax_rate is None:
        complaints.append(("V1/803", f"Tax classification of material {item.get('Material', '')} is missing"))
    tax = rounded(net * (tax_rate or 0) / 100, currency)
    taxed = {"ConditionType": TAX, "ConditionRateValue": f"{Decimal(tax_rate or 0):.9f}", "TaxCode": code}
    elements.append(_element(taxed, order, item, net, tax, "A", "0"))
    return Priced(_numbered(elements), net, tax, complaints)


def rate_of(system: System, customer: str, material: str, day: date) -> tuple[int | None, str]:
    """Per cent of output tax and its tax code; None where the product has no classification."""
    rows = system.db["customer_area_tax"].under(customer, *AREA)
    mine = next((row["CustomerTaxClassification"] for row in rows if row["CustomerTaxCategory"] == TAX), "1")
    product = tax_class(system, material)
    if product is None:
        return None, ""
    if mine == "0" or product == "0":
        return 0, "A0"
    if product == "2":
        return 10, "B1"
    rate = main_vat_rate(day)
    return rate, {20: "A1", 22: "A2"}[rate]


def _recorded(system: System, order: Row, item: Row, currency: str) -> Row | None:
    """The price record of the material that is valid on the pricing date: the customer's own, else everybody's."""
    day = item.get("PricingDate") or order.get("PricingDate") or ""
    found = [
        validity
        for validity in system.db["price_validity"].where("Material", item.get("Material", ""))
        if validity.get("Customer", "") in ("", order["SoldToParty"]) and not validity.get("PriceListType")
    ]
    for validity in sorted(found, key=lambda each: not each.get("Customer")):
        if validity["ConditionValidityStartDate"] <= day <= validity["ConditionValidityEndDate"]:
            record = system.db["price_record"].get(validity["ConditionRecord"])
            if record is not None and not record.get("ConditionIsDeleted"):
                return {
                    "ConditionType": system.option("price_condition"),
                    "ConditionRateValue": record["ConditionRateValue"],
                    "ConditionCurrency": record.get("ConditionRateValueUnit") or currency,
                    "ConditionQuantity": record.get("ConditionQuantity") or "1",
                    "ConditionQuantityUnit": record.get("ConditionQuantityUnit", ""),
                    "ConditionRecord": record["ConditionRecord"],
                }
    return None


def _into(system: System, value: Decimal, own: str, wanted: str, day: date) -> Decimal:
    if own == wanted:
        return value
    company = value if own == CURRENCY else value * system.rate(own, day)
    return rounded(company if wanted == CURRENCY else company / system.rate(wanted, day), wanted)


def _element(
    row: Row, order: Row, item: Row, base: Decimal, amount: Decimal, calculation: str, per: str
) -> dict[str, Any]:
    unit = row.get("ConditionQuantityUnit") or (item.get("RequestedQuantityUnit", "") if per != "0" else "")
    kind = row["ConditionType"]
    return {
        "ConditionApplication": "V", "ConditionType": kind,
        "ConditionCalculationType": {"A": "A", "B": "C"}[calculation] if per != "0" else calculation,
        "ConditionBaseValue": f"{base:.9f}", "ConditionRateValue": f"{Decimal(row['ConditionRateValue']):.9f}",
        "ConditionCurrency": "" if calculation == "A" else row.get("ConditionCurrency") or order["TransactionCurrency"],
        "ConditionQuantity": per, "ConditionQuantityUnit": unit,
        "ConditionQuantitySAPUnit": UNITS.get(unit, ("", ""))[0], "ConditionQuantityISOUnit": UNITS.get(unit, ("", ""))[1],
        "ConditionCategory": "D" if kind == TAX else "", "ConditionOrigin": "C" if row.get("ConditionIsManuallyChanged") else "A",
        "ConditionRecord": row.get("ConditionRecord", ""), "TaxCode": row.get("TaxCode", ""),
        "ConditionAmount": f"{amount:.2f}", "TransactionCurrency": order["TransactionCurrency"],
        "ConditionClass": {TAX: "D", "RA00": "A", "RB00": "A", "HA00": "A"}.get(kind, "B"),
        "ConditionIsManuallyChanged": bool(row.get("ConditionIsManuallyChanged")),
    }  # fmt: skip


def _numbered(elements: list[Row]) -> list[Row]:
    counters: dict[int, int] = {}
    for element in elements:
        step = STEPS.get(element["ConditionType"], 10)
        counters[step] = counters.get(step, 0) + 1
        element["PricingProcedureStep"], element["PricingProcedureCounter"] = str(step), str(counters[step])
    return elements


__all__ = ["COUNTRY", "given_conditions", "price_item", "rate_of"]
