"""Prices and stock of products: what is worked out of SAP's rows, and which page of a long list is read next.

Beside SAP's own fields stand, worked out of the row and of the part that came with it:

    price   `ConditionRateValue` and the like of the condition record; `PriceType`: the condition type, and what narrows
            it (a customer, a group); `PriceCurrency`, `PriceUnit`; `PricedUnits`: how many units the rate is of;
            `IsDeleted`
    stock   one record a product and plant: `MatlWrhsStkQtyInMatlBaseUnit`, the sum of its unrestricted stock of our own.
            That in quality inspection, blocked, or of a special stock (a customer's order, a consignment) is not in it
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from resources.accounting.sap import odata
from resources.accounting.sap.records import Making, Row, amount
from resources.connector import Record, Reject

CONDITION: Final = "to_SlsPrcgConditionRecord"
PARTS: Final = "to_MatlStkInAcctMod"
QUANTITY: Final = "MatlWrhsStkQtyInMatlBaseUnit"
NARROWER: Final = (  # what a price is for beside its product; a price of all is the base one
    "Customer", "SoldToParty", "PayerParty", "CustomerGroup", "CustomerPriceGroup", "PriceListType", "SalesDocument",
    "WBSElement", "ConditionContract",
)  # fmt: skip
CURRENCIES: Final = ("ConditionRateValueUnit", "ConditionCurrency", "TransactionCurrency")
UNRESTRICTED: Final = ("", "1")  # InventoryStockType without zeros in front


def lifted(entity: str, fields: Mapping[str, str]) -> dict[str, str]:
    """The fields of a set by their types, those of its part as the record's own: a record shows them so."""
    part = {"price": CONDITION, "stock": PARTS}.get(entity)
    inner = {
        name.removeprefix(f"{part}/"): kind for name, kind in fields.items() if name.startswith(f"{part}/")
    }
    return {**inner, **fields} if part else dict(fields)


def prices(making: Making, rows: Iterable[Row]) -> tuple[list[Record], list[Reject]]:
    """Records of the validities of condition records."""
    records: list[Record] = []
    rejects: list[Reject] = []
    for row in rows:
        key = making.key("price", odata.unpadded(dict(row)))
        try:
            body = _price(row)
        except ValueError as error:
            rejects.append(making.unreadable("price", key, error, odata.unpadded(dict(row))))
            continue
        if key:
            records.append(Record(key, odata.payload(body)))
        else:
            place = f"{making.system}, price: a row without ConditionRecord"
            rejects.append(Reject(place, "the row has no key; look at it in SAP", odata.payload(body)))
    return records, rejects


def _price(row: Row) -> dict[str, Any]:
    """A validity with the amount of its condition record, whichever way that came. Raises ValueError as `amount`."""
    body = odata.unpadded(dict(row))
    found = body.get(CONDITION)
    condition = next(iter(found), None) if isinstance(found, list) else found
    whole = {**condition, **body} if isinstance(condition, Mapping) else body
    narrowed = dict.fromkeys(str(whole[name]) for name in NARROWER if whole.get(name))
    amount(whole, "ConditionRateValue")
    units = amount(whole, "ConditionQuantity")
    return {
        **whole,
        "PriceType": " ".join([str(whole.get("ConditionType") or ""), *narrowed]),
        "PriceCurrency": next((str(whole[name]) for name in CURRENCIES if whole.get(name)), ""),
        "PriceUnit": str(whole.get("ConditionQuantityUnit") or ""),
        "PricedUnits": format(units, "f") if units > 0 else "1",
        "IsDeleted": str(whole.get("ConditionIsDeleted") or "").lower() in ("true", "x"),
    }


def stock(making: Making, rows: Iterable[Row]) -> tuple[list[Record], list[Reject]]:
    """Records of products by plant, each with its product for a parent."""
    records: list[Record] = []
    rejects: list[Reject] = []
    for row in rows:
        body = odata.unpadded(dict(row))
        material = str(body.get("Material") or "")
        parts = body.pop(PARTS, None)
        told = parts if isinstance(parts, list) else [body] if QUANTITY in body else []
        plants: dict[str, list[dict[str, Any]]] = {}
        for part in told:
            plants.setdefault(str(part.get("Plant") or ""), []).append(part)
        for plant, inside in sorted(plants.items()):
            key = f"{material}/{plant}"
            whole = {**body, "Material": material, "Plant": plant, PARTS: inside}
            try:
                total = sum((amount(part, QUANTITY) for part in inside if _is_free(part)), Decimal(0))
            except ValueError as error:
                rejects.append(making.unreadable("stock", key, error, whole))
                continue
            payload = odata.payload({**whole, QUANTITY: format(total, "f")})
            records.append(Record(key, payload, parent_id=material))
    return records, rejects


def mark(key: Sequence[str]) -> str:
    """A place in a list as text: the key of its last row that was read; "" is the beginning."""
    return msgspec.json.encode(list(key)).decode() if key else ""


def after(kept: str) -> tuple[str, ...]:
    """The key that a place names."""
    try:
        return tuple(msgspec.json.decode(kept, type=list[str])) if kept else ()
    except msgspec.DecodeError:
        return ()


def _is_free(part: Row) -> bool:
    kind = str(part.get("InventoryStockType") or "").lstrip("0")
    return kind in UNRESTRICTED and not str(part.get("InventorySpecialStockType") or "").strip()
