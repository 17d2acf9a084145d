"""Our entities in SAP's services: where each is read, by which key, and how its changes are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from resources.accounting.sap import odata
from resources.accounting.sap.session import List
from resources.connector import Entity

PARTNERS: Final = "API_BUSINESS_PARTNER"
PRODUCTS: Final = "API_PRODUCT_SRV"
ORDERS: Final = "API_SALES_ORDER_SRV"
BILLING: Final = "API_BILLING_DOCUMENT_SRV"
STOCK: Final = "API_MATERIAL_STOCK_SRV"
PRICES: Final = "API_SLSPRICINGCONDITIONRECORD_SRV"
OPEN_ITEMS: Final = "API_OPLACCTGDOCITEMCUBE_SRV"
LEDGER: Final = "API_GLACCOUNTLINEITEM"

# By what changes are found: a stamp, a calendar day, days of a posting, when a line was booked; not at all, and read whole;
# or not at all, and a page at a time in turn.
By = Literal["instant", "day", "posting", "booked", "whole", "turns"]
DAYS_BACK: Final = timedelta(days=1)  # a day of the system's own clock, whichever zone it has


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entity is read. `stamp`: the field that tells when it was changed."""

    entity: str
    service: str
    entity_set: str
    key: tuple[str, ...]
    by: By
    stamp: str = ""
    expand: str = ""
    where: str = ""
    spread: bool = False

    def whole(self, where: str = "", select: str = "") -> List:
        """The list of all its rows, those of a condition, or some of their fields."""
        conditions = odata.both(self.where, where)
        expand = "" if select else self.expand
        return List(self.service, self.entity_set, self.key, conditions, select, expand, self.spread)

    def since(self, moment: datetime) -> str:
        """The condition of what was changed since then; more than that does no harm."""
        day = odata.day(moment - DAYS_BACK)
        match self.by:
            case "instant":
                return f"{self.stamp} ge {odata.instant(moment)}"
            case "day":  # a partner that was never changed has a day of creation alone
                return f"LastChangeDate ge {day} or CreationDate ge {day}"
            case "posting":
                return f"LastChangeDate ge {day} or PostingDate ge {day} or ClearingDate ge {day}"
            case "booked":
                now = odata.instant(moment)
                return f"CreationDateTime ge {now} or {self.stamp} ge {now}"
        return ""


PLACES: Final[Mapping[str, Place]] = {
    place.entity: place
    for place in (
        Place(
            "counterparty", PARTNERS, "A_BusinessPartner", ("BusinessPartner",), "day", "LastChangeDate",
            "to_BusinessPartnerTax,to_BusinessPartnerAddress,to_BusinessPartnerRole,to_Customer/to_CustomerCompany,"
            "to_Customer/to_CustomerSalesArea", "Customer ne ''", spread=True,
        ),
        Place(
            "product", PRODUCTS, "A_Product", ("Product",), "instant", "LastChangeDateTime",
            "to_Description,to_SalesDelivery/to_SalesTax", spread=True,
        ),
        Place(
            "order", ORDERS, "A_SalesOrder", ("SalesOrder",), "instant", "LastChangeDateTime",
            "to_Item/to_PricingElement", spread=True,
        ),
        Place(
            "realization", BILLING, "A_BillingDocument", ("BillingDocument",), "instant", "LastChangeDateTime",
            "to_Item", spread=True,
        ),
        Place(
            "open_item", OPEN_ITEMS, "A_OperationalAcctgDocItemCube",
            ("AccountingDocument", "FiscalYear", "CompanyCode", "AccountingDocumentItem"), "posting", "LastChangeDate",
            spread=True,
        ),
        Place(
            "entry", LEDGER, "GLAccountLineItem",
            ("AccountingDocument", "FiscalYear", "CompanyCode", "LedgerGLLineItem"), "booked", "LastChangeDateTime",
            spread=True,
        ),
        Place("price", PRICES, "A_SlsPrcgCndnRecdValidity", ("ConditionRecord", "ConditionValidityEndDate"), "turns",
              expand="to_SlsPrcgConditionRecord"),
        Place("stock", STOCK, "A_MaterialStock", ("Material",), "turns", expand="to_MatlStkInAcctMod", spread=True),
        Place("balance", LEDGER, "GLAccountLineItem", ("GLAccount", "Customer"), "whole"),
        Place("account", LEDGER, "GLAccountLineItem", ("GLAccount",), "whole"),
        Place("currency_rate", BILLING, "A_BillingDocument", ("BillingDocument",), "whole"),
    )
}  # fmt: skip

# Payments and refunds are made of the same lines as open items, in one walk.
FROM_ITEMS: Final = ("open_item", "payment", "refund")
# What no service of these tells: the connection says it.
SAID: Final = ("organization", "currency", "unit", "warehouse")

# Orders can be deleted; masters are marked, and what is booked is reversed.
ENTITIES: Final = (
    *(Entity(name, incremental=False) for name in (*SAID, "account", "currency_rate")),
    Entity("counterparty", incremental=True, deletions="tombstones"),
    Entity("product", incremental=True, deletions="tombstones"),
    Entity("price", incremental=True),
    Entity("stock", incremental=True),
    Entity("order", incremental=True),
    Entity("realization", incremental=True, deletions="tombstones"),
    *(Entity(name, incremental=True, deletions="tombstones") for name in (*FROM_ITEMS, "entry")),
    Entity("balance", incremental=False),
)

# What SAP stamps by itself; its text descriptions of "when" and "by whom" are no change of a record.
VOLATILE: Final = (
    odata.ETAG, "LastChangeDate", "LastChangeTime", "LastChangeDateTime", "LastChangedByUser",
)  # fmt: skip
