"""The connector of SAP reading: pages, changes, payments, ledger; against a gateway in memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest

from resources.connector import SourceError
from tests.sap.gateway import Gateway, Row, Send, ms, opened, orders, read
from tests.sap.gateway import error as refusal


def item(document: str, line: str, amount: str, **more: object) -> Row:
    return {
        "CompanyCode": "1010", "FiscalYear": "2026", "AccountingDocument": document, "AccountingDocumentItem": line,
        "FinancialAccountType": "D", "Customer": "10100001", "AmountInTransactionCurrency": amount,
        "TransactionCurrency": "EUR", "PostingDate": f"/Date({ms(2026, 5, 2)})/", "AccountingDocumentType": "RV", **more,
    }  # fmt: skip


def test_an_order_loses_its_wrapping_and_no_data() -> None:
    gateway = Gateway()
    gateway.rows["A_SalesOrder"] = list(orders(1))
    gateway.rows["A_SalesOrder"][0]["PurchaseOrderByCustomer"] = "0e7d2f3c5a8b4c1d9e0f1a2b3c4d5e6f"
    gateway.rows["A_SalesOrder"][0]["to_Item"]["results"] = [
        {"SalesOrderItem": "100", "Material": "B", "RequestedQuantity": "2.000"},
        {"SalesOrderItem": "20", "Material": "A", "RequestedQuantity": "1.000"},
    ]
    (record,) = read(opened(gateway), "order").values()
    body = json.loads(record.payload)
    assert body["SalesOrderDate"] == "2026-04-18T00:00:00"
    assert body["LastChangeDateTime"] == "2026-04-18T20:23:29.593Z"
    assert body["TotalNetAmount"] == "120.00"
    assert [row["SalesOrderItem"] for row in body["to_Item"]] == ["20", "100"]
    assert body["ETag"] == "W/\"datetimeoffset'1'\""
    assert not {"__metadata", "to_Partner"} & set(body)
    assert record.modified_at == datetime(2026, 4, 18, 20, 23, 29, 593000, tzinfo=UTC)
    assert record.our_key == "0e7d2f3c-5a8b-4c1d-9e0f-1a2b3c4d5e6f"


@pytest.mark.parametrize(("most", "links"), [(1000, True), (7, True), (7, False)])
def test_every_order_is_met_once_whatever_a_page_is_cut_to(most: int, links: bool) -> None:
    gateway = Gateway(most=most, links=links, bend=shown_inside)
    gateway.rows["A_SalesOrder"] = list(orders(95))
    found = [
        record.source_id
        for page in opened(gateway, page=10).read(["order"], None, datetime.now(UTC))
        for record in page.records
    ]
    assert sorted(found) == sorted({row["SalesOrder"] for row in gateway.rows["A_SalesOrder"]})


def shown_inside(request: httpx.Request, send: Send) -> httpx.Response:
    """Links name the gateway's internal host, as SAP's do."""
    answer = send(request)
    service = request.url.path.split("/")[5]
    return httpx.Response(
        answer.status_code,
        headers=answer.headers,
        content=answer.content.replace(b"SRV_HIDDEN", service.encode()),
    )


def test_one_request_is_enough_when_nothing_changed() -> None:
    gateway = Gateway()
    gateway.rows["A_SalesOrder"] = list(orders(30))
    assert read(opened(gateway), "order", since=datetime(2026, 5, 1, tzinfo=UTC)) == {}
    assert len(gateway.asked) == 1


def test_a_change_in_the_very_second_of_the_last_read_comes_again() -> None:
    gateway = Gateway()
    gateway.rows["A_SalesOrder"] = list(orders(1))
    since = datetime(2026, 4, 18, 20, 23, 29, 900000, tzinfo=UTC)
    assert len(read(opened(gateway), "order", since=since)) == 1


def test_a_partner_that_was_never_changed_is_found_by_its_day_of_creation() -> None:
    gateway = Gateway()
    gateway.rows["A_BusinessPartner"] = [
        {"BusinessPartner": "1", "Customer": "0000000001", "LastChangeDate": None, "CreationDate": f"/Date({ms(2026, 5, 2)})/",
         "CreationTime": "PT09H30M00S", "to_BusinessPartnerTax": {"results": [{"BPTaxType": "RU1", "BPTaxNumber": "7701234567"}]}},
        {"BusinessPartner": "2", "Customer": "2", "CreationDate": f"/Date({ms(2025, 1, 2)})/"},
        {"BusinessPartner": "3", "Customer": "", "CreationDate": f"/Date({ms(2026, 5, 2)})/"},
    ]  # fmt: skip
    found = read(
        opened(gateway, timezone="Europe/Moscow"), "counterparty", since=datetime(2026, 5, 2, 12, tzinfo=UTC)
    )
    assert list(found) == ["1"]
    assert found["1"].modified_at == datetime(2026, 5, 2, 6, 30, tzinfo=UTC)
    assert json.loads(found["1"].payload)["TaxNumber"] == "7701234567"


def test_lines_of_one_payment_document_are_one_payment_and_name_what_they_clear() -> None:
    gateway = Gateway()
    gateway.rows["A_OperationalAcctgDocItemCube"] = [
        item("90000001", "1", "120.00", ClearingAccountingDocument="1400000001", ClearingDate=f"/Date({ms(2026, 5, 2)})/"),
        item("1400000001", "2", "-100.00", AccountingDocumentType="DZ"),
        item("1400000001", "3", "-20.10", AccountingDocumentType="DZ"),
        item("1400000002", "1", "5.00", AccountingDocumentType="DZ"),
        item("1400000003", "1", "7.00", AccountingDocumentType="DZ", DebitCreditCode="H"),
    ]  # fmt: skip
    found = read(opened(gateway), "open_item", "payment", "refund")
    paid = {key: json.loads(record.payload) for key, record in found.items()}
    assert paid["1010/2026/90000001/1"]["Cleared"] == "1010/2026/1400000001/10100001"
    assert Decimal(paid["1010/2026/1400000001/10100001"]["PaidAmount"]) == Decimal("120.10")
    assert Decimal(paid["1010/2026/1400000002/10100001"]["PaidAmount"]) == 5
    assert Decimal(paid["1010/2026/1400000003/10100001"]["PaidAmount"]) == 7  # credit without a sign


def test_a_payment_of_which_one_line_changed_is_read_whole() -> None:
    gateway = Gateway()
    old = f"/Date({ms(2026, 1, 2)})/"
    gateway.rows["A_OperationalAcctgDocItemCube"] = [
        item("1400000001", "2", "-100.00", AccountingDocumentType="DZ", PostingDate=old, ClearingDate=f"/Date({ms(2026, 5, 9)})/"),
        item("1400000001", "3", "-20.00", AccountingDocumentType="DZ", PostingDate=old),
    ]  # fmt: skip
    (record,) = read(opened(gateway), "payment", since=datetime(2026, 5, 9, tzinfo=UTC)).values()
    assert Decimal(json.loads(record.payload)["PaidAmount"]) == 120


def test_balances_are_the_same_whether_sap_adds_up_or_not() -> None:
    gateway = Gateway()
    line = {
        "Ledger": "0L",
        "CompanyCode": "1010",
        "FiscalPeriod": "005",
        "CompanyCodeCurrency": "EUR",
        "PostingDate": f"/Date({ms(2026, 5, 2)})/",
    }
    gateway.rows["GLAccountLineItem"] = [
        {**line, "GLAccount": "12100000", "Customer": "7", "AmountInCompanyCodeCurrency": "0.10"},
        {**line, "GLAccount": "12100000", "Customer": "7", "AmountInCompanyCodeCurrency": "0.20"},
        {**line, "GLAccount": "12100000", "Customer": "7", "AmountInCompanyCodeCurrency": "100.00", "FiscalPeriod": "000"},
    ]  # fmt: skip
    (record,) = read(opened(gateway), "balance").values()
    assert json.loads(record.payload)["AmountInCompanyCodeCurrency"] == "0.30"


def test_an_entry_stands_on_its_side_and_names_the_billing_document() -> None:
    gateway = Gateway()
    line = {
        "Ledger": "0L", "CompanyCode": "1010", "FiscalYear": "2026", "AccountingDocument": "0090000001", "GLAccount": "0041000000",
        "ReferenceDocumentType": "VBRK", "ReferenceDocument": "0090000001",
    }  # fmt: skip
    gateway.rows["GLAccountLineItem"] = [
        {
            **line,
            "LedgerGLLineItem": "000001",
            "DebitCreditCode": "S",
            "AmountInCompanyCodeCurrency": "119.00",
        },
        {
            **line,
            "LedgerGLLineItem": "000002",
            "DebitCreditCode": "H",
            "AmountInCompanyCodeCurrency": "-119.00",
        },
    ]
    found = read(opened(gateway), "entry")
    assert list(found) == ["1010/2026/90000001/1", "1010/2026/90000001/2"]
    assert {json.loads(r.payload)["EntryAmount"] for r in found.values()} == {"119.00"}
    assert {record.parent_id for record in found.values()} == {"90000001"}


def test_a_service_that_answers_no_data_with_a_refusal_is_empty() -> None:
    gateway = Gateway(bend=lambda request, send: refusal(400, "/IWBEP/CM_MGW_RT/022", "No data found"))
    assert read(opened(gateway), "order") == {}


def test_a_long_list_is_read_in_ranges_and_none_is_missing_or_twice() -> None:
    gateway = Gateway()
    gateway.rows["A_SalesOrder"] = [*orders(300, 1000), *orders(40, 9000)]
    met = [
        r.source_id
        for page in opened(gateway, page=10, concurrency=4).read(["order"], None, datetime.now(UTC))
        for r in page.records
    ]
    assert len(met) == 340
    assert len(set(met)) == 340
    assert len(gateway.asked) < 75


def test_a_repeating_page_is_an_error_in_words() -> None:
    gateway = Gateway()
    gateway.rows["A_SalesOrder"] = list(orders(30))

    def deaf(request: httpx.Request, send: Send) -> httpx.Response:
        url = str(request.url).replace("%20gt%20", "%20ge%20").replace("SalesOrder%20ge", "SoldToParty%20ge")
        return send(httpx.Request("GET", url))

    gateway.bend = deaf
    with pytest.raises(SourceError, match="gave a page that it gave before") as caught:
        read(opened(gateway, page=10), "order")
    assert caught.value.retriable


def test_a_link_to_another_host_is_never_asked() -> None:
    gateway = Gateway()

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        return httpx.Response(
            200, json={"d": {"results": list(orders(1)), "__next": "https://evil.example/x?$skiptoken=1"}}
        )

    gateway.bend = bend
    for entity in ("order", "balance"):
        with pytest.raises(SourceError, match="gave a page that it gave before"):
            read(opened(gateway), entity)
    assert {request.url.host for request in gateway.asked} == {"s4.example.com"}
