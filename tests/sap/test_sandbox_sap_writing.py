"""Writing to the stand-in of S/4HANA over HTTP: deep inserts, single changes, conflicts, change sets, refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.sandbox_process import running
from tests.sap.s4 import ORDERS, PARTNERS, PRODUCTS, S4, partner


@pytest.fixture(scope="module")
def s4() -> Iterator[S4]:
    with running("--deals", "60", "--no-limits") as sandbox:
        yield S4(sandbox)


def test_a_partner_becomes_a_customer_with_all_that_was_nested(s4: S4) -> None:
    made = s4.post(f"{PARTNERS}/A_BusinessPartner", partner("ООО «Ромашка»"))
    number = made["BusinessPartner"]
    assert made["Customer"] == number
    assert made["SearchTerm1"] == "CRM-77"  # kept in upper case
    assert made["BusinessPartnerFullName"] == "ООО «Ромашка»"
    assert made["to_BusinessPartnerTax"]["results"][0]["BPTaxNumber"] == "7701234567"
    whole = s4.get(
        f"{PARTNERS}/A_BusinessPartner('{number}')?$expand=to_BusinessPartnerAddress/to_EmailAddress,"
        "to_Customer/to_CustomerCompany,to_Customer/to_CustomerSalesArea/to_SalesAreaTax,to_BusinessPartnerRole"
    )
    assert (
        whole["to_BusinessPartnerAddress"]["results"][0]["to_EmailAddress"]["results"][0]["EmailAddress"]
        == "a@b.ru"
    )
    customer = whole["to_Customer"]
    assert customer["TaxNumber1"] == "7701234567"
    assert customer["to_CustomerCompany"]["results"][0]["ReconciliationAccount"] == "12100000"
    area = customer["to_CustomerSalesArea"]["results"][0]
    assert (
        area["CustomerPaymentTerms"],
        area["to_SalesAreaTax"]["results"][0]["CustomerTaxClassification"],
    ) == ("NT14", "1")
    assert {row["BusinessPartnerRole"] for row in whole["to_BusinessPartnerRole"]["results"]} == {
        "FLCU00",
        "FLCU01",
    }


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"BusinessPartnerCategory": ""}, "category"),
        ({"BusinessPartnerGrouping": "ZZZZ"}, "Grouping ZZZZ does not exist"),
        ({"OrganizationBPName1": ""}, "name"),
        (
            {"to_BusinessPartnerTax": [{"BPTaxType": "RU1", "BPTaxNumber": "123"}]},
            "Tax number 123 is not valid",
        ),
        ({"to_BusinessPartnerTax": [{"BPTaxType": "INN", "BPTaxNumber": "123"}]}, "Tax number category INN"),
        (
            {"to_BusinessPartnerAddress": [{"Country": "RU", "PostalCode": "12"}]},
            "Postal code must have length 6",
        ),
        ({"to_BusinessPartnerRole": []}, "no customer role"),
        ({"to_BusinessPartnerRole": [{"BusinessPartnerRole": "NOPE"}]}, "BP role NOPE does not exist"),
        (
            {
                "to_Customer": {
                    "to_CustomerCompany": [{"CompanyCode": "9999", "ReconciliationAccount": "12100000"}]
                }
            },
            "9999",
        ),
        ({"to_Customer": {"to_CustomerCompany": [{"CompanyCode": "1010"}]}}, "reconciliation account"),
    ],
)
def test_a_refused_part_leaves_nothing_of_the_partner(s4: S4, more: dict[str, Any], word: str) -> None:
    before = s4.truth()["counts"]
    status, _, text = s4.refused(
        s4.write("POST", f"{PARTNERS}/A_BusinessPartner", partner("ООО Тень", **more))
    )
    assert status == 400
    assert word in text
    assert s4.truth()["counts"] == before
    assert s4.get(f"{PARTNERS}/A_BusinessPartner?$filter=OrganizationBPName1 eq 'ООО Тень'")["results"] == []


def test_names_may_repeat_and_masters_are_flagged_not_deleted(s4: S4) -> None:
    one, two = (
        s4.post(f"{PARTNERS}/A_BusinessPartner", partner("ООО Двойник"))["BusinessPartner"] for _ in range(2)
    )
    assert one != two
    assert s4.write("DELETE", f"{PARTNERS}/A_BusinessPartner('{two}')").status_code == 405
    s4.patch(f"{PARTNERS}/A_BusinessPartner('{two}')", {"d": {"BusinessPartnerIsBlocked": True}})
    body = s4.order((s4.goods(), "1", "10.00"), SoldToParty=two)
    assert "Order block" in s4.refused(s4.write("POST", f"{ORDERS}/A_SalesOrder", body))[2]


def test_a_partner_s_date_moves_with_its_name_and_not_with_its_tax_number(s4: S4) -> None:
    number = s4.post(f"{PARTNERS}/A_BusinessPartner", partner("ООО Следы"))["BusinessPartner"]
    path = f"{PARTNERS}/A_BusinessPartner('{number}')"
    first = s4.get(path)
    s4.post(f"{path}/to_BusinessPartnerTax", {"BPTaxType": "RU3", "BPTaxNumber": "770101001"})
    assert s4.get(path)["LastChangeTime"] == first["LastChangeTime"]
    assert s4.get(f"{PARTNERS}/A_Customer('{number}')")["TaxNumber3"] == "770101001"
    answer = s4.write(
        "PATCH", path, {"OrganizationBPName1": "ООО Новые следы"}, If_Match=first["__metadata"]["etag"]
    )
    assert answer.status_code == 204
    assert s4.get(f"{PARTNERS}/A_Customer('{number}')")["CustomerName"] == "ООО Новые следы"
    s4.option("system_zone", "14")
    s4.patch(path, {"SearchTerm1": "x"})
    there = s4.get(path)
    s4.option("system_zone", "0")
    s4.patch(path, {"SearchTerm1": "y"})
    here = s4.get(path)
    assert (there["LastChangeDate"], there["LastChangeTime"]) != (
        here["LastChangeDate"],
        here["LastChangeTime"],
    )


def product_body(number: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        **({"Product": number} if number else {}), "ProductType": "HAWA", "BaseUnit": "PC",
        "to_Description": [{"Language": "EN", "ProductDescription": "Лампа"}],
        "to_SalesDelivery": [{"ProductSalesOrg": "1010", "ProductDistributionChnl": "10"}],
        "to_ProductSalesTax": [{"Country": "RU", "TaxCategory": "TTX1", "TaxClassification": "1"}], **more,
    }  # fmt: skip


def test_a_product_with_sales_and_tax_data_can_be_sold_and_one_without_cannot(s4: S4) -> None:
    sold = s4.post(f"{PRODUCTS}/A_Product", product_body("crm-1"))["Product"]
    assert sold == "CRM-1"
    assert s4.post(f"{PRODUCTS}/A_Product", product_body())["Product"].isdigit()
    assert "already exists" in s4.refused(s4.write("POST", f"{PRODUCTS}/A_Product", product_body("CRM-1")))[2]
    bare = s4.post(f"{PRODUCTS}/A_Product", product_body("CRM-2", to_SalesDelivery=[]))["Product"]
    made = s4.post(f"{ORDERS}/A_SalesOrder", s4.order((sold, "2", "10.00")))
    assert made["TotalNetAmount"] == "20.00"
    text = s4.refused(s4.write("POST", f"{ORDERS}/A_SalesOrder", s4.order((bare, "1", "10.00"))))[2]
    assert text == "Material CRM-2 is not defined for sales org. 1010, distr.chan. 10, language EN"
    s4.patch(f"{PRODUCTS}/A_Product('{sold}')", {"IsMarkedForDeletion": True})
    assert (
        "flagged for deletion"
        in s4.refused(s4.write("POST", f"{ORDERS}/A_SalesOrder", s4.order((sold, "1", "1.00"))))[2]
    )


@pytest.mark.parametrize(
    ("more", "word"),
    [({"ProductType": ""}, "product type"), ({"BaseUnit": ""}, "base unit"), ({"BaseUnit": "XX"}, "Unit XX is not created"),
     ({"to_Description": []}, "description")],
)  # fmt: skip
def test_a_product_needs_what_its_views_ask_for(s4: S4, more: dict[str, Any], word: str) -> None:
    status, _, text = s4.refused(s4.write("POST", f"{PRODUCTS}/A_Product", product_body("CRM-9", **more)))
    assert (status, word in text) == (400, True)


def test_the_system_sums_up_prices_discounts_and_tax(s4: S4) -> None:
    full, reduced = s4.goods(), s4.post(
        f"{PRODUCTS}/A_Product",
        product_body("CRM-10", to_ProductSalesTax=[{"Country": "RU", "TaxCategory": "TTX1", "TaxClassification": "2"}]),
    )["Product"]  # fmt: skip
    body = s4.order((full, "3", "33.33"), (reduced, "1.5", "10.05"), PricingDate="/Date(1772323200000)/")
    body["to_Item"][0]["to_PricingElement"].append({"ConditionType": "RA00", "ConditionRateValue": "5"})
    made = s4.post(
        f"{ORDERS}/A_SalesOrder", {**body, "ExternalDocumentID": "CRM-1", "TotalNetAmount": "1.00"}
    )
    items = made["to_Item"]["results"]
    assert [item["SalesOrderItem"] for item in items] == ["10", "20"]
    assert items[0]["NetAmount"] == "94.99"  # 99.99 less 5.00
    assert items[0]["TaxAmount"] == "20.90"  # 22 per cent from 2026 on
    assert (items[1]["NetAmount"], items[1]["TaxAmount"]) == ("15.08", "1.51")
    assert made["TotalNetAmount"] == "110.07"
    assert made["ExternalDocumentID"] == ""  # read-only: left out without a word
    elements = {each["ConditionType"]: each for each in items[0]["to_PricingElement"]["results"]}
    assert elements["RA00"]["ConditionAmount"] == "-5.00"
    assert elements["PPR0"]["ConditionRateValue"] == "33.330000000"
    assert elements["TTX1"]["TaxCode"] == "A2"
    before = s4.post(
        f"{ORDERS}/A_SalesOrder", s4.order((full, "1", "100.00"), PricingDate="/Date(1764547200000)/")
    )
    assert before["to_Item"]["results"][0]["TaxAmount"] == "20.00"


def test_without_a_price_the_record_counts_and_without_both_the_order_is_incomplete(s4: S4) -> None:
    product = s4.goods()
    body = s4.order((product, "2", "1.00"))
    body["to_Item"][0]["to_PricingElement"] = []
    path = f"API_SLSPRICINGCONDITIONRECORD_SRV/A_SlsPrcgCndnRecdValidity?$filter=Material eq '{product}'&$expand=to_SlsPrcgConditionRecord"
    price = Decimal(s4.get(path)["results"][0]["to_SlsPrcgConditionRecord"]["ConditionRateValue"])
    assert Decimal(s4.post(f"{ORDERS}/A_SalesOrder", body)["TotalNetAmount"]) == price * 2
    unpriced = s4.post(f"{PRODUCTS}/A_Product", product_body("CRM-20"))["Product"]
    body["to_Item"][0]["Material"] = unpriced
    answer = s4.write("POST", f"{ORDERS}/A_SalesOrder", body)
    said = json.loads(answer.headers["sap-message"])
    assert (answer.status_code, said["severity"]) == (201, "warning")
    assert {said["code"], *(each["code"] for each in said["details"])} == {"V1/801", "SLS_LORD/009"}


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"SalesOrderType": "ZZ"}, "Sales document type ZZ is not defined"),
        ({"DistributionChannel": "99"}, "Sales area 1010 99 00 is not defined"),
        ({"SalesOrganization": ""}, "Enter a value for SalesOrganization"),
        ({"SoldToParty": "404"}, "Sold-to party 404 not maintained for sales area 1010 10 00"),
        ({"TransactionCurrency": "XXX"}, "Currency XXX is not defined"),
        ({"to_Partner": [{"PartnerFunction": "SH", "Customer": "404"}]}, "Ship-to party 404 not maintained"),
        ({"to_Item": [{"Material": "NOPE", "RequestedQuantity": "1"}]}, "Material NOPE is not defined"),
        ({"Nope": "1"}, "Property 'Nope' is invalid"),
        ({"PurchaseOrderByCustomer": "x" * 36}, "has invalid value"),
        ({"RequestedDeliveryDate": "tomorrow"}, "has invalid value"),
        (
            {"to_Item": [{"Material": "X", "RequestedQuantity": 5}]},
            "Failed to read property 'RequestedQuantity'",
        ),
    ],
)
def test_an_order_that_does_not_hold_is_refused_whole(s4: S4, more: dict[str, Any], word: str) -> None:
    before = s4.truth()["counts"]["order"]
    answer = s4.write("POST", f"{ORDERS}/A_SalesOrder", s4.order((s4.goods(), "1", "1.00"), **more))
    status, _, text = s4.refused(answer)
    assert (status, word in text) == (400, True), text
    assert s4.truth()["counts"]["order"] == before


def test_numbers_repeat_as_they_like_and_the_purchase_order_finds_what_was_made(s4: S4) -> None:
    body = s4.order((s4.goods(), "1", "10.00"), PurchaseOrderByCustomer="CRM-DEAL-1042")
    first = s4.post(f"{ORDERS}/A_SalesOrder", body)["SalesOrder"]
    again = s4.write("POST", f"{ORDERS}/A_SalesOrder", body)
    assert again.status_code == 201
    assert json.loads(again.headers["sap-message"])["code"] == "V4/115"
    found = s4.rows(
        f"{ORDERS}/A_SalesOrder?$filter=PurchaseOrderByCustomer eq 'CRM-DEAL-1042'&$select=SalesOrder"
    )
    assert [row["SalesOrder"] for row in found] == [first, again.json()["d"]["SalesOrder"]]


def test_an_answer_that_was_lost_left_the_order_behind(s4: S4) -> None:
    body = s4.order((s4.goods(), "1", "10.00"), PurchaseOrderByCustomer="CRM-LOST")
    s4.fetch_token()
    s4.sandbox.control("faults", {"where": "sap", "kind": "drop_after", "http_method": "POST"})
    with pytest.raises(httpx.TransportError):
        s4.write("POST", f"{ORDERS}/A_SalesOrder", body)
    s4.sandbox.control("faults", method="DELETE")
    assert len(s4.rows(f"{ORDERS}/A_SalesOrder?$filter=PurchaseOrderByCustomer eq 'CRM-LOST'")) == 1


def test_a_change_names_the_tag_it_read_and_every_write_gives_a_new_one(s4: S4) -> None:
    made = s4.post(f"{ORDERS}/A_SalesOrder", s4.order((s4.goods(), "1", "10.00")))
    path, etag = f"{ORDERS}/A_SalesOrder('{made['SalesOrder']}')", made["__metadata"]["etag"]
    said = {"PurchaseOrderByCustomer": "A"}
    assert s4.refused(s4.write("PATCH", path, said))[0] == 428
    assert s4.write("PATCH", path, said, If_Match=etag).status_code == 204
    assert s4.refused(s4.write("PATCH", path, said, If_Match=etag))[:2] == (412, "/IWBEP/CM_MGW_RT/190")
    newer = s4.ask(path).headers["etag"]
    assert newer != etag
    item = s4.write(
        "PATCH",
        f"{ORDERS}/A_SalesOrderItem(SalesOrder='{made['SalesOrder']}',SalesOrderItem='10')",
        {"RequestedQuantity": "3"},
    )
    assert item.status_code == 204
    assert s4.ask(path).headers["etag"] != newer
    assert s4.get(path)["TotalNetAmount"] == "30.00"
    assert (
        s4.refused(s4.write("PATCH", path, {"to_Item": [{"RequestedQuantity": "9"}]}, If_Match="*"))[0] == 400
    )
    s4.option("missing_if_match", "accept")
    assert s4.write("PATCH", path, said).status_code == 204
    s4.option("missing_if_match", "428")


def test_items_and_conditions_are_written_one_by_one(s4: S4) -> None:
    number = s4.post(f"{ORDERS}/A_SalesOrder", s4.order((s4.goods(), "2", "10.00")))["SalesOrder"]
    order, item = (
        f"{ORDERS}/A_SalesOrder('{number}')",
        f"{ORDERS}/A_SalesOrderItem(SalesOrder='{number}',SalesOrderItem='10')",
    )
    added = s4.post(
        f"{order}/to_Item",
        {"Material": s4.goods("SERV"), "RequestedQuantity": "1", "RequestedQuantityUnit": "AU"},
    )
    assert added["SalesOrderItem"] == "20"
    second = f"{ORDERS}/A_SalesOrderItem(SalesOrder='{number}',SalesOrderItem='20')"
    assert s4.write("DELETE", second).status_code == 204
    assert s4.get(order)["TotalNetAmount"] == "20.00"
    s4.post(f"{item}/to_PricingElement", {"ConditionType": "RA00", "ConditionRateValue": "10"})
    assert s4.get(item)["NetAmount"] == "18.00"
    price = next(e for e in s4.get(f"{item}/to_PricingElement")["results"] if e["ConditionType"] == "PPR0")
    element = price["__metadata"]["uri"].split("/odata/sap/")[1]
    assert s4.write("PATCH", element, {"ConditionRateValue": "20"}).status_code == 204
    assert (s4.get(item)["NetAmount"], s4.get(item)["TaxAmount"]) == ("36.00", "7.92")
    tax = next(e for e in s4.get(f"{item}/to_PricingElement")["results"] if e["ConditionType"] == "TTX1")
    assert (
        s4.refused(
            s4.write("PATCH", tax["__metadata"]["uri"].split("/odata/sap/")[1], {"ConditionRateValue": "1"})
        )[0]
        == 400
    )
    s4.write("PATCH", item, {"SalesDocumentRjcnReason": "61"})
    rejected = s4.get(order)
    assert (rejected["TotalNetAmount"], rejected["OverallSDDocumentRejectionSts"]) == ("0.00", "C")


def test_an_order_is_really_deleted_unless_something_follows_it(s4: S4) -> None:
    number = s4.post(f"{ORDERS}/A_SalesOrder", s4.order((s4.goods(), "2", "10.00")))["SalesOrder"]
    path = f"{ORDERS}/A_SalesOrder('{number}')"
    assert s4.write("DELETE", path, If_Match="*").status_code == 204
    assert s4.ask(path).status_code == 404
    assert s4.rows(f"{ORDERS}/A_SalesOrderItem?$filter=SalesOrder eq '{number}'") == []
    billed = s4.do(do="add", what="order", customer=s4.customer(), items=[[s4.goods(), 1]])["order"]
    answer = s4.write("DELETE", f"{ORDERS}/A_SalesOrder('{billed}')", If_Match="*")
    assert "subsequent documents exist" in s4.refused(answer)[2]


def test_a_record_that_a_user_holds_is_refused_until_he_lets_go(s4: S4) -> None:
    number = s4.post(f"{ORDERS}/A_SalesOrder", s4.order((s4.goods(), "1", "10.00")))["SalesOrder"]
    s4.do(do="lock", table="order", key=number, user="IVANOVA")
    path = f"{ORDERS}/A_SalesOrder('{number}')"
    text = s4.refused(s4.write("PATCH", path, {"PurchaseOrderByCustomer": "B"}, If_Match="*"))[2]
    assert text == f"Sales document {number} is currently being processed by user IVANOVA"
    s4.do(do="unlock", table="order", key=number)
    s4.patch(path, {"PurchaseOrderByCustomer": "B"})


def test_a_change_set_holds_whole_or_not_at_all(s4: S4) -> None:
    product = s4.goods()
    good, bad = (
        s4.order((product, "1", "10.00"), PurchaseOrderByCustomer="SET-1"),
        s4.order(("NOPE", "1", "1.00")),
    )
    other = s4.order((product, "1", "10.00"), PurchaseOrderByCustomer="SET-2")
    answers = s4.batch(
        ORDERS, [("POST", "A_SalesOrder", good), ("POST", "A_SalesOrder", bad)], [("POST", "A_SalesOrder", other)],
        "A_SalesOrder?$filter=startswith(PurchaseOrderByCustomer,'SET-')&$select=PurchaseOrderByCustomer",
        "A_SalesOrder('0')",
    )  # fmt: skip
    assert [status for status, _ in answers] == [400, 201, 200, 404]
    assert [row["PurchaseOrderByCustomer"] for row in json.loads(answers[2][1])["d"]["results"]] == ["SET-2"]
    assert s4.answered.headers["content-type"].startswith("multipart/mixed; boundary=")


def test_a_part_of_a_change_set_leads_to_what_an_earlier_one_made(s4: S4) -> None:
    body = s4.order((s4.goods(), "1", "10.00"))
    item = {"Material": s4.goods(), "RequestedQuantity": "1"}
    answers = s4.batch(ORDERS, [("POST", "A_SalesOrder", body), ("POST", "$1/to_Item", item)])
    assert [status for status, _ in answers] == [201, 201]
    assert json.loads(answers[1][1])["d"]["SalesOrderItem"] == "20"
    s4.option("changeset", "one")
    refused = s4.batch(ORDERS, [("POST", "A_SalesOrder", body), ("POST", "$1/to_Item", item)])
    s4.option("changeset", "many")
    assert [status for status, _ in refused] == [400]
    assert "only one operation" in refused[0][1]


def test_billing_documents_and_the_ledger_are_for_reading(s4: S4) -> None:
    for path in (
        "API_BILLING_DOCUMENT_SRV/A_BillingDocument",
        "API_OPLACCTGDOCITEMCUBE_SRV/A_OperationalAcctgDocItemCube",
    ):
        assert s4.write("POST", path, {}).status_code == 405
    row = s4.get("API_BILLING_DOCUMENT_SRV/A_BillingDocument?$top=1")["results"][0]
    path = f"API_BILLING_DOCUMENT_SRV/A_BillingDocument('{row['BillingDocument']}')"
    assert s4.write("PATCH", path, {"PurchaseOrderByCustomer": "x"}, If_Match="*").status_code == 405


def test_bodies_that_are_no_entity_are_refused_before_any_work(s4: S4) -> None:
    token = s4.token or s4.fetch_token()
    for body in (b"", b"{", b"[]", b'"text"', b"\xff"):
        answer = s4.http.post(
            f"{s4.root}/{ORDERS}/A_SalesOrder", content=body, headers={"x-csrf-token": token}
        )
        assert answer.status_code == 400, body
    assert s4.write("PUT", f"{ORDERS}/A_SalesOrder", {}).status_code == 405
