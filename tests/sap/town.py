"""A stand-in of SAP that runs for tests of the connector, and orders and customers as a mapping would write them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from resources.accounting.sap import Sap, connect
from resources.connector import Record
from tests.sandbox_process import Running

PRICE = "to_PricingElement[ConditionType=PPR0]"


class Town:
    """A stand-in that runs, and what it is told and asked beside the services."""

    def __init__(self, sandbox: Running) -> None:
        self.sandbox = sandbox
        self.connection: dict[str, Any] = sandbox.control("accounting/sap/connection")

    def truth(self) -> dict[str, Any]:
        found: dict[str, Any] = self.sandbox.control("accounting/sap")
        return found

    def do(self, what: str, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.sandbox.control("accounting/sap/do", {"do": what, **more})
        assert "error" not in answer, answer
        return answer

    def option(self, name: str, value: str) -> None:
        self.do("option", option=name, value=value)

    def fault(self, kind: str, **more: Any) -> None:
        self.sandbox.control("faults", {"where": "sap", "kind": kind, **more})

    def usage(self) -> dict[str, Any]:
        found: dict[str, Any] = self.sandbox.control("accounting/sap/usage")
        return found

    def opened(self, **more: Any) -> Sap:
        return connect("sap", {**self.connection, **more})


def read(sap: Sap, *entities: str, since: datetime | None = None) -> dict[str, Record]:
    """Every record of a read by its id; an id that comes twice fails."""
    found: dict[str, Record] = {}
    for page in sap.read(entities, since, datetime.now(UTC)):
        assert not page.rejects
        for record in page.records:
            assert record.source_id not in found
            found[record.source_id] = record
    return found


def order(lines: int = 1, net: str = "100.01", customer: str = "10100000", **more: Any) -> dict[str, Any]:
    return {
        "SalesOrderType": "OR", "SalesOrganization": "1010", "DistributionChannel": "10", "OrganizationDivision": "00",
        "SoldToParty": customer, "SalesOrderDate": "2026-10-18T00:00:00", "PricingDate": "2026-10-18T00:00:00",
        "RequestedDeliveryDate": "2026-10-20T00:00:00", "TransactionCurrency": "RUB",
        "PurchaseOrderByShipToParty": "crm:bitrix24:4711", "TotalNetAmount": Decimal(net) * lines,
        "to_Item": [
            {
                "SalesOrderItem": str(10 * n), "Material": "NL-00101", "RequestedQuantity": Decimal(3),
                "RequestedQuantityUnit": "M", f"{PRICE}.ConditionRateValue": Decimal(net), f"{PRICE}.ConditionCurrency": "RUB",
                f"{PRICE}.ConditionQuantity": Decimal(3), f"{PRICE}.ConditionQuantityUnit": "M", "NetAmount": Decimal(net),
            }
            for n in range(1, lines + 1)
        ],
        **more,
    }  # fmt: skip


def customer(name: str) -> dict[str, Any]:
    area = "to_Customer.to_CustomerSalesArea[SalesOrganization=1010,DistributionChannel=10,Division=00]"
    return {
        "BusinessPartnerCategory": "2", "BusinessPartnerGrouping": "BP01", "OrganizationBPName1": name,
        "to_BusinessPartnerAddress[0].Country": "RU", "to_BusinessPartnerTax[BPTaxType=RU1].BPTaxNumber": "7707083893",
        "to_BusinessPartnerRole[BusinessPartnerRole=FLCU00].BusinessPartnerRole": "FLCU00",
        "to_BusinessPartnerRole[BusinessPartnerRole=FLCU01].BusinessPartnerRole": "FLCU01",
        "to_Customer.to_CustomerCompany[CompanyCode=1010].ReconciliationAccount": "12100000",
        f"{area}.Currency": "RUB",
    }  # fmt: skip


def ids(records: Iterable[Record]) -> set[str]:
    return {record.source_id for record in records}
