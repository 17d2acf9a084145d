"""An open OData V2 client (pyodata) reads and writes the stand-in of S/4HANA as it would the vendor's system."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.sandbox_process import running
from tests.sap.s4 import AREA, ORDERS, S4

pyodata = pytest.importorskip("pyodata", reason="pyodata, an OData V2 client, is not installed")
requests = pytest.importorskip("requests", reason="pyodata speaks over requests, which is not installed")


@pytest.fixture(scope="module")
def s4() -> Iterator[S4]:
    with running("--deals", "60", "--no-limits") as sandbox:
        yield S4(sandbox)


def client_of(s4: S4, service: str) -> Any:
    session = requests.Session()
    session.auth = (s4.said["user"], s4.said["password"])
    answer = session.head(f"{s4.root}/{service}/", headers={"x-csrf-token": "Fetch"})
    session.headers["x-csrf-token"] = answer.headers["x-csrf-token"]
    return pyodata.Client(f"{s4.root}/{service}/", session)


@pytest.mark.parametrize(
    ("service", "name"),
    [
        ("API_BUSINESS_PARTNER", "A_BusinessPartner"), ("API_PRODUCT_SRV", "A_Product"), (ORDERS, "A_SalesOrder"),
        ("API_BILLING_DOCUMENT_SRV", "A_BillingDocument"), ("API_MATERIAL_STOCK_SRV", "A_MaterialStock"),
        ("API_OPLACCTGDOCITEMCUBE_SRV", "A_OperationalAcctgDocItemCube"), ("API_GLACCOUNTLINEITEM", "GLAccountLineItem"),
        ("API_SLSPRICINGCONDITIONRECORD_SRV", "A_SlsPrcgCndnRecdValidity"), ("API_COMPANYCODE_SRV", "A_CompanyCode"),
    ],
)  # fmt: skip
def test_it_understands_the_metadata_and_lists_every_service(s4: S4, service: str, name: str) -> None:
    client = client_of(s4, service)
    assert list(getattr(client.entity_sets, name).get_entities().top(3).execute())


def test_it_filters_expands_creates_and_changes_an_order(s4: S4) -> None:
    orders = client_of(s4, ORDERS).entity_sets.A_SalesOrder
    made = orders.create_entity().set(
        SalesOrderType="OR", **AREA, SoldToParty=s4.customer(), PurchaseOrderByCustomer="PYODATA-1",
        to_Item=[{"Material": s4.goods(), "RequestedQuantity": "2"}],
    ).execute()  # fmt: skip
    found = orders.get_entities().filter("PurchaseOrderByCustomer eq 'PYODATA-1'").expand("to_Item").execute()
    assert [row.SalesOrder for row in found] == [made.SalesOrder]
    assert Decimal(found[0].TotalNetAmount) == sum(Decimal(item.NetAmount) for item in found[0].to_Item)
    change = orders.update_entity(made.SalesOrder, method="PATCH").set(PurchaseOrderByCustomer="PYODATA-2")
    change.add_headers({"If-Match": "*"})
    change.execute()
    assert orders.get_entity(made.SalesOrder).execute().PurchaseOrderByCustomer == "PYODATA-2"
    with pytest.raises(pyodata.exceptions.HttpError):
        orders.update_entity(made.SalesOrder, method="PATCH").set(
            PurchaseOrderByCustomer="PYODATA-2"
        ).execute()
