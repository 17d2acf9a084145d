"""A record with its parts as SAP keeps them: what must be sent so that one that is there becomes as it is meant.

A PATCH touches the header alone. Items, their conditions, tax numbers, sales areas are records of their own: each is
changed, added or, where the list is ours (`owned`), deleted by itself, all in one change set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from resources.accounting.sap import odata
from resources.accounting.sap.multipart import Change
from resources.connector import Refused

ANY: Final = {"If-Match": "*"}


@dataclass(frozen=True, slots=True)
class Node:
    """Records of one set: the fields of their key, and by which of them two are the same one (none: the first)."""

    entity_set: str
    key: tuple[str, ...]
    match: tuple[str, ...] = ()
    parts: Mapping[str, Node] = field(default_factory=dict)
    owned: bool = False


_PRICES: Final = Node(
    "A_SalesOrderItemPrElement",
    ("SalesOrder", "SalesOrderItem", "PricingProcedureStep", "PricingProcedureCounter"),
    ("ConditionType",),
)
_AREA: Final = ("SalesOrganization", "DistributionChannel", "Division")

NODES: Final[Mapping[str, Node]] = {
    "order": Node(
        "A_SalesOrder", ("SalesOrder",),
        parts={
            "to_Item": Node(
                "A_SalesOrderItem", ("SalesOrder", "SalesOrderItem"), ("SalesOrderItem",),
                {"to_PricingElement": _PRICES}, owned=True,
            ),
            "to_Partner": Node("A_SalesOrderHeaderPartner", ("SalesOrder", "PartnerFunction"), ("PartnerFunction",)),
        },
    ),
    "counterparty": Node(
        "A_BusinessPartner", ("BusinessPartner",),
        parts={
            "to_BusinessPartnerTax": Node(
                "A_BusinessPartnerTaxNumber", ("BusinessPartner", "BPTaxType"), ("BPTaxType",)
            ),
            "to_BusinessPartnerRole": Node(
                "A_BusinessPartnerRole", ("BusinessPartner", "BusinessPartnerRole"), ("BusinessPartnerRole",)
            ),
            "to_BusinessPartnerAddress": Node("A_BusinessPartnerAddress", ("BusinessPartner", "AddressID")),
            "to_Customer": Node(
                "A_Customer", ("Customer",),
                parts={
                    "to_CustomerCompany": Node("A_CustomerCompany", ("Customer", "CompanyCode"), ("CompanyCode",)),
                    "to_CustomerSalesArea": Node("A_CustomerSalesArea", ("Customer", *_AREA), _AREA),
                },
            ),
        },
    ),
    "product": Node(
        "A_Product", ("Product",),
        parts={
            "to_Description": Node("A_ProductDescription", ("Product", "Language"), ("Language",)),
            "to_SalesDelivery": Node(
                "A_ProductSalesDelivery", ("Product", "ProductSalesOrg", "ProductDistributionChnl"),
                ("ProductSalesOrg", "ProductDistributionChnl"),
            ),
        },
    ),
}  # fmt: skip

# Fields of the header that may be written as they are: nothing is priced, checked or numbered anew by them.
UNCHANGED: Final[Mapping[str, Sequence[str]]] = {
    "order": ("RequestedDeliveryDate", "PurchaseOrderByShipToParty", "PurchaseOrderByCustomer"),
    "counterparty": ("SearchTerm2", "OrganizationBPName1", "LastName"),
    "product": ("ProductOldID", "ProductGroup"),
}


def changes(kind: str, current: Mapping[str, Any], meant: Mapping[str, Any], etag: str) -> list[Change]:
    """What turns `current` into `meant` (both nested); empty where it is so already.

    The header is written whenever anything is, with a field as it is if need be: by its version (`etag`) a foreign
    change is noticed.
    Raises Refused for a list of which it is not known how one row is told from another.
    """
    node = NODES[kind]
    parts = list(_parts(kind, node, current, meant))
    header = differing(current, meant)
    if not header and not parts:
        return []
    if not header:
        mark = next((name for name in UNCHANGED[kind] if current.get(name)), UNCHANGED[kind][-1])
        header = {mark: current.get(mark)}
    return [Change("PATCH", _path(node, current), header, {"If-Match": etag}), *parts]


def differing(current: Mapping[str, Any], meant: Mapping[str, Any]) -> dict[str, Any]:
    """The plain fields of `meant` that are otherwise in `current`."""
    return {
        name: value
        for name, value in meant.items()
        if not isinstance(value, list | Mapping) and not same(value, current.get(name))
    }


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same to SAP: numbers by their size, nothing and an empty text alike."""
    if one == other or (one in (None, "") and other in (None, "")):
        return True
    if isinstance(one, bool) or isinstance(other, bool):
        return str(one).lower() == str(other).lower()
    try:
        return Decimal(str(one)) == Decimal(str(other))
    except InvalidOperation:
        return str(one)[:19] == str(other)[:19] if str(one)[10:11] == "T" else str(one) == str(other)


# ---- Inside --------------------------------------------------------------------------------------


def _parts(kind: str, node: Node, current: Mapping[str, Any], meant: Mapping[str, Any]) -> Iterator[Change]:
    for name, value in meant.items():
        if not isinstance(value, list | Mapping):
            continue
        part = node.parts.get(name)
        if part is None:
            raise Refused(
                f"{kind}: {name} is written when a record is created, and is not changed afterwards; take it out of "
                f"the mapping, or keep to {', '.join(node.parts)}"
            )
        if isinstance(value, Mapping):
            yield from _row(kind, part, current.get(name) or {}, value)
        else:
            rows = [row for row in current.get(name) or () if isinstance(row, Mapping)]
            yield from _list(kind, node, name, current, rows, value)


def _list(
    kind: str,
    node: Node,
    name: str,
    owner: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    meant: Sequence[Mapping[str, Any]],
) -> Iterator[Change]:
    part = node.parts[name]
    kept: list[Mapping[str, Any]] = []
    for row in meant:
        fitting = [r for r in rows if all(same(row.get(field), r.get(field)) for field in part.match)]
        active = [r for r in fitting if not r.get("ConditionInactiveReason")]
        if fitting:
            there = active[-1] if active else fitting[0]
            kept.append(there)
            yield from _row(kind, part, there, row)
        else:
            yield Change("POST", f"{_path(node, owner)}/{name}", dict(row))
    if part.owned:
        for row in rows:
            if not any(row is one for one in kept):
                yield Change("DELETE", _path(part, row), headers=ANY)


def _row(kind: str, part: Node, current: Mapping[str, Any], meant: Mapping[str, Any]) -> Iterator[Change]:
    changed = {name: value for name, value in differing(current, meant).items() if name not in part.key}
    if changed:
        yield Change("PATCH", _path(part, current), changed, ANY)
    yield from _parts(kind, part, current, meant)


def _path(node: Node, row: Mapping[str, Any]) -> str:
    return odata.record(node.entity_set, {name: str(row.get(name) or "") for name in node.key})
