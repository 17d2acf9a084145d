"""Amounts and numbers of SAP in every form that they come in: read, or set apart, and never taken for nothing."""

from __future__ import annotations

import json

import pytest

from resources.connector import Reject
from tests.sap.gateway import Gateway, ms, opened, orders, pages, read
from tests.sap.test_sap_moving import line


def ledger(value: object) -> Gateway:
    gateway = Gateway()
    common = {"CompanyCode": "1010", "FiscalYear": "2026", "PostingDate": f"/Date({ms(2026, 4, 1)})/"}
    gateway.rows["GLAccountLineItem"] = [
        {**common, **line(12100000, amount), "AccountingDocument": "100000001", "LedgerGLLineItem": number,
         "DebitCreditCode": "S"}
        for number, amount in (("000001", value), ("000002", "5.00"))
    ]  # fmt: skip
    item = {
        **common, "AccountingDocumentItem": "1", "Customer": "10100001", "FinancialAccountType": "D",
        "AccountingDocumentType": "DZ", "TransactionCurrency": "EUR", "DebitCreditCode": "H",
    }  # fmt: skip
    gateway.rows["A_OperationalAcctgDocItemCube"] = [
        {**item, "AccountingDocument": "1400000001", "AmountInTransactionCurrency": value},
        {**item, "AccountingDocument": "1400000002", "AmountInTransactionCurrency": "5.00"},
    ]
    return gateway


UNREADABLE = ["1.670,00", "1,670.00", "NaN", "Infinity", "1 670.00", "-12.50-", "12.50-5", "-", True, {}, []]


@pytest.mark.parametrize("value", UNREADABLE)
def test_an_amount_that_cannot_be_read_sets_its_record_apart_and_is_never_nothing(value: object) -> None:
    found = {"entry": "", "payment": "", "balance": ""}
    rejects: dict[str, Reject] = {}
    for entity in found:
        for page in pages(opened(ledger(value)), entity):
            found[entity] += " ".join(record.source_id for record in page.records)
            rejects.update((entity, reject) for reject in page.rejects)
    assert found == {
        "entry": "1010/2026/100000001/2",
        "payment": "1010/2026/1400000002/10100001",
        "balance": "",
    }
    assert rejects["entry"].place == "entry 1010/2026/100000001/1"
    assert rejects["payment"].place == "payment 1010/2026/1400000001/10100001"
    assert rejects["balance"].place == "balance 12100000//EUR"
    for reject in rejects.values():
        assert "which is no amount; look at it in SAP" in reject.reason


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("12.50-", "-12.50"),
        ("12.50 -", None),
        ("-12.50", "-12.50"),
        (" 5.00 ", "5.00"),
        ("1.67E3", "1670"),
        ("", "0"),
    ],
)
def test_amounts_are_read_with_the_sign_on_either_side(value: str, amount: str | None) -> None:
    bodies = {key: json.loads(record.payload) for key, record in read(opened(ledger(value)), "entry").items()}
    first = bodies.get("1010/2026/100000001/1", {}).get("EntryAmount")
    assert first == amount


def test_an_order_with_an_item_that_cannot_be_read_is_set_apart_and_the_others_are_read() -> None:
    gateway = Gateway()
    gateway.rows["A_SalesOrder"] = list(orders(3))
    gateway.rows["A_SalesOrder"][1]["to_Item"] = {
        "results": [{"SalesOrderItem": "10", "NetAmount": "1.670,00"}]
    }
    found = list(pages(opened(gateway), "order"))
    assert [record.source_id for page in found for record in page.records] == ["1000", "1002"]
    (reject,) = [reject for page in found for reject in page.rejects]
    assert (reject.place, "its NetAmount is «1.670,00»" in reject.reason) == ("order 1001", True)
    (page,) = opened(gateway).read_keys("order", ["1001"])
    assert [one.place for one in page.rejects] == ["order 1001"], "and it is not gone"


def test_records_are_read_by_key_whether_numbers_are_compared_with_their_zeros_or_without() -> None:
    gateway = Gateway()  # it compares texts
    gateway.rows["A_BusinessPartner"] = [
        {"BusinessPartner": "0010100001", "Customer": "0010100001"}, {"BusinessPartner": "7", "Customer": "7"},
    ]  # fmt: skip
    gateway.rows["A_BillingDocument"] = [{"BillingDocument": "0090000012", "CompanyCode": "1010"}]
    sap = opened(gateway)
    for entity, keys in (("counterparty", ["10100001", "7", "8"]), ("realization", ["90000012", "8"])):
        found = {r.source_id: r.deleted for page in sap.read_keys(entity, keys) for r in page.records}
        assert found == {key: key == "8" for key in keys}
