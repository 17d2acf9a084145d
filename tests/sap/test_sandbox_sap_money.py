"""What happens in the stand-in of S/4HANA after an order: delivery, invoices, payments, closing, journal entries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from tests.sandbox_process import running
from tests.sap.s4 import BILLING, LINES, OPEN_ITEMS, ORDERS, S4

TODAY = "2026-06-15"


@pytest.fixture(scope="module")
def s4() -> Iterator[S4]:
    with running("--deals", "60", "--no-limits", "--today", TODAY) as sandbox:
        yield S4(sandbox)


def billed(s4: S4, price: str = "100.00", quantity: str = "1", **more: Any) -> tuple[str, dict[str, Any]]:
    """An order of ours that was delivered and billed: its number and its billing document."""
    number = s4.post(f"{ORDERS}/A_SalesOrder", s4.order((s4.goods(), quantity, price), **more))["SalesOrder"]
    bill = s4.do(do="bill", document=number)["document"]
    return number, s4.get(f"{BILLING}/A_BillingDocument('{bill}')?$expand=to_Item")


def items(s4: S4, **wanted: str) -> list[dict[str, Any]]:
    words = " and ".join(f"{name} eq '{value}'" for name, value in wanted.items())
    return s4.rows(f"{OPEN_ITEMS}?$filter={words}")


def balanced(s4: S4) -> None:
    found: dict[tuple[str, str], Decimal] = {}
    for row in s4.rows(
        f"{LINES}?$select=ID,FiscalYear,AccountingDocument,AmountInCompanyCodeCurrency,AmountInTransactionCurrency"
    ):
        key = (row["FiscalYear"], row["AccountingDocument"])
        found[key] = found.get(key, Decimal(0)) + Decimal(row["AmountInCompanyCodeCurrency"])
    assert set(found.values()) == {Decimal(0)}
    said = s4.truth()["ledger"]
    assert said["debit"] == said["credit"]


def test_a_billing_document_posts_receivable_revenue_and_tax(s4: S4) -> None:
    order, bill = billed(s4, "33.33", "3", PurchaseOrderByCustomer="CRM-5")
    assert (bill["TotalNetAmount"], bill["TaxAmount"], bill["TotalGrossAmount"]) == (
        "99.99",
        "22.00",
        "121.99",
    )
    assert (
        bill["PurchaseOrderByCustomer"],
        bill["InvoiceClearingStatus"],
        bill["AccountingPostingStatus"],
    ) == ("CRM-5", "A", "C")
    assert bill["to_Item"]["results"][0]["SalesDocument"] == order
    lines = items(s4, AccountingDocument=bill["AccountingDocument"])
    assert {(row["GLAccount"], row["AmountInCompanyCodeCurrency"], row["DebitCreditCode"]) for row in lines} == {
        ("12100000", "121.99", "S"), ("41000000", "-99.99", "H"), ("22000000", "-22.00", "H"),
    }  # fmt: skip
    debt = next(row for row in lines if row["FinancialAccountType"] == "D")
    assert (debt["BillingDocument"], debt["IsCleared"], debt["OriginalReferenceDocument"]) == (
        bill["BillingDocument"],
        False,
        bill["BillingDocument"],
    )
    assert debt["NetDueDate"] != debt["PostingDate"]
    header = s4.get(f"{ORDERS}/A_SalesOrder('{order}')?$expand=to_SubsequentProcFlowDoc")
    assert (header["OverallSDProcessStatus"], header["OverallDeliveryStatus"]) == ("C", "C")
    flow = {
        row["SubsequentDocumentCategory"]: row["SubsequentDocument"]
        for row in header["to_SubsequentProcFlowDoc"]["results"]
    }
    assert flow["M"] == bill["BillingDocument"]
    assert "J" in flow
    balanced(s4)


def test_tax_is_that_of_the_billing_date_not_of_the_order(s4: S4) -> None:
    number = s4.post(
        f"{ORDERS}/A_SalesOrder", s4.order((s4.goods(), "1", "100.00"), PricingDate="/Date(1764547200000)/")
    )["SalesOrder"]
    assert s4.get(f"{ORDERS}/A_SalesOrder('{number}')/to_Item")["results"][0]["TaxAmount"] == "20.00"
    bill = s4.do(do="bill", document=number)["document"]
    assert s4.get(f"{BILLING}/A_BillingDocument('{bill}')")["TaxAmount"] == "22.00"


@pytest.mark.parametrize(
    ("amount", "difference"), [("122.00", None), ("122.37", "-0.37"), ("121.60", "0.40")]
)
def test_a_payment_within_the_tolerance_clears_the_invoice(
    s4: S4, amount: str, difference: str | None
) -> None:
    _, bill = billed(s4)
    made = s4.do(do="pay", document=bill["BillingDocument"], amount=amount)["document"]
    debt = next(row for row in items(s4, AccountingDocument=bill["AccountingDocument"]) if row["Customer"])
    assert (debt["IsCleared"], debt["ClearingAccountingDocument"]) == (True, made)
    assert s4.get(f"{BILLING}/A_BillingDocument('{bill['BillingDocument']}')")["InvoiceClearingStatus"] == "C"
    lines = {
        row["GLAccount"]: row["AmountInCompanyCodeCurrency"] for row in items(s4, AccountingDocument=made)
    }
    assert lines["11001000"] == amount
    assert lines.get("70100000", lines.get("65100000")) == difference
    balanced(s4)


def test_a_part_stays_beside_its_invoice_until_the_rest_comes(s4: S4) -> None:
    _, bill = billed(s4)
    number = bill["BillingDocument"]
    first = s4.do(do="pay", document=number, amount="22.00")["document"]
    part = next(row for row in items(s4, AccountingDocument=first) if row["Customer"])
    assert (part["InvoiceReference"], part["IsCleared"]) == (bill["AccountingDocument"], False)
    assert s4.get(f"{BILLING}/A_BillingDocument('{number}')")["InvoiceClearingStatus"] == "B"
    second = s4.do(do="pay", document=number, amount="100.00")["document"]
    met = items(s4, ClearingAccountingDocument=second)
    assert {row["AccountingDocument"] for row in met} == {bill["AccountingDocument"], first, second}
    assert sum(Decimal(row["AmountInTransactionCurrency"]) for row in met) == 0
    balanced(s4)


def test_more_than_the_invoice_stays_on_account_and_a_wrong_customer_s_too(s4: S4) -> None:
    _, bill = billed(s4)
    number = bill["BillingDocument"]
    made = s4.do(do="pay", document=number, amount="200.00")["document"]
    rest = [row for row in items(s4, AccountingDocument=made) if row["Customer"] and not row["IsCleared"]]
    assert [row["AmountInTransactionCurrency"] for row in rest] == ["-78.00"]
    _, second = billed(s4)
    other = next(
        row["Customer"]
        for row in s4.rows("API_BUSINESS_PARTNER/A_Customer")
        if row["Customer"] != second["PayerParty"]
    )
    wrong = s4.do(do="pay", document=second["BillingDocument"], amount="122.00", customer=other)["document"]
    assert [row["Customer"] for row in items(s4, AccountingDocument=wrong) if row["Customer"]] == [other]
    assert (
        s4.get(f"{BILLING}/A_BillingDocument('{second['BillingDocument']}')")["InvoiceClearingStatus"] == "A"
    )
    balanced(s4)


def test_a_reversed_payment_opens_its_invoice_again(s4: S4) -> None:
    _, bill = billed(s4)
    paid = s4.do(do="pay", document=bill["BillingDocument"], amount="122.00")["document"]
    made = s4.do(do="reverse", document=paid)["document"]
    debt = next(row for row in items(s4, AccountingDocument=bill["AccountingDocument"]) if row["Customer"])
    assert (debt["IsCleared"], debt["ClearingAccountingDocument"], debt["ClearingDate"]) == (False, "", None)
    first, second = items(s4, AccountingDocument=paid)[0], items(s4, AccountingDocument=made)[0]
    assert (first["IsReversed"], first["ReverseDocument"]) == (True, made)
    assert (second["IsReversal"], second["ReverseDocument"]) == (True, paid)
    assert "already been reversed" in str(s4.do(do="reverse", document=paid))
    balanced(s4)


def test_an_invoice_in_dollars_is_cleared_with_the_difference_of_the_rate(s4: S4) -> None:
    body = s4.order((s4.goods(), "1", "100.00"), TransactionCurrency="USD")
    body["to_Item"][0]["to_PricingElement"][0]["ConditionCurrency"] = "USD"
    number = s4.post(f"{ORDERS}/A_SalesOrder", body)["SalesOrder"]
    bill = s4.do(do="bill", document=number, date="2026-05-04")["document"]
    row = s4.get(f"{BILLING}/A_BillingDocument('{bill}')")
    assert (row["TotalGrossAmount"], row["TransactionCurrency"]) == ("122.00", "USD")
    paid = s4.do(do="pay", document=bill, amount="122.00", date="2026-06-10")["document"]
    lines = items(s4, AccountingDocument=paid)
    assert sum(Decimal(line["AmountInTransactionCurrency"]) for line in lines) == 0
    assert {line["GLAccount"] for line in lines} & {"72010000", "72020000"}
    balanced(s4)


def cancel(s4: S4, number: str) -> httpx.Response:
    return s4.write("POST", f"{BILLING}/Cancel?BillingDocument='{number}'")


def test_a_cancellation_posts_the_opposite_and_frees_the_order(s4: S4) -> None:
    order, bill = billed(s4)
    number = bill["BillingDocument"]
    said = cancel(s4, number).json()["d"]["results"][0]
    assert said["SystemMessageType"] == "S"
    made = s4.get(f"{BILLING}/A_BillingDocument('{said['CancellationBillingDocument']}')")
    assert (made["BillingDocumentType"], made["CancelledBillingDocument"]) == ("S1", number)
    assert s4.get(f"{BILLING}/A_BillingDocument('{number}')")["BillingDocumentIsCancelled"] is True
    mine = items(s4, AccountingDocument=bill["AccountingDocument"])
    assert {(row["IsReversed"], row["ReverseDocument"]) for row in mine} == {
        (True, made["AccountingDocument"])
    }
    assert all(row["IsCleared"] for row in mine if row["Customer"])
    again = cancel(s4, number)
    assert (again.status_code, again.json()["d"]["results"][0]["SystemMessageType"]) == (200, "E")
    assert s4.do(do="bill", document=order)["document"] != number
    balanced(s4)


def test_a_closed_period_refuses_the_cancellation_and_leaves_a_bill_unposted(s4: S4) -> None:
    _, bill = billed(s4)
    s4.sandbox.control("accounting/sap/closed", {"until": "2026-06-30"})
    try:
        said = cancel(s4, bill["BillingDocument"]).json()["d"]["results"][0]
        text = "Posting period 006 2026 is not open for account type D"
        assert (said["SystemMessageType"], said["SystemMessageText"]) == ("E", text)
        s4.option("cancel_refusal", "error")
        assert s4.refused(cancel(s4, bill["BillingDocument"])) == (400, "F5/201", text)
        order = s4.post(f"{ORDERS}/A_SalesOrder", s4.order((s4.goods("SERV"), "1", "10.00")) | {
            "to_Item": [{"Material": s4.goods("SERV"), "RequestedQuantity": "1"}],
        })["SalesOrder"]  # fmt: skip
        held = s4.do(do="bill", document=order)["document"]
        row = s4.get(f"{BILLING}/A_BillingDocument('{held}')")
        assert (row["AccountingDocument"], row["AccountingPostingStatus"]) == ("", "A")
    finally:
        s4.option("cancel_refusal", "result")
        s4.sandbox.control("accounting/sap/closed", {"until": None})
    s4.tick(1)
    assert s4.get(f"{BILLING}/A_BillingDocument('{held}')")["AccountingPostingStatus"] == "C"


def journal(lines: str, day: str = TODAY, **more: str) -> bytes:
    head = {
        "OriginalReferenceDocumentType": "BKPFF", "BusinessTransactionType": "RFBU", "AccountingDocumentType": "DR",
        "DocumentReferenceID": "CRM-J-1", "CreatedByUser": "SVERKA", "CompanyCode": "1010", "DocumentDate": day,
        "PostingDate": day, **more,
    }  # fmt: skip
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in head.items() if value)
    identity = more.get("ID", f"M-{abs(hash((lines, day, tuple(more.items()))))}")
    return (
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sfin="http://sap.com/xi/SAPSCORE/SFIN">'
        f"<soapenv:Body><sfin:JournalEntryBulkCreateRequest><MessageHeader><ID>{identity}</ID></MessageHeader>"
        f"<JournalEntryCreateRequest><MessageHeader><ID>{identity}-1</ID></MessageHeader><JournalEntry>{inner}{lines}"
        "</JournalEntry></JournalEntryCreateRequest></sfin:JournalEntryBulkCreateRequest></soapenv:Body></soapenv:Envelope>"
    ).encode()


def sale_lines(customer: str, gross: str = "122.00", net: str = "-100.00", tax: str = "-22.00") -> str:
    return (
        f'<Item><GLAccount>41000300</GLAccount><AmountInTransactionCurrency currencyCode="RUB">{net}</AmountInTransactionCurrency>'
        f"<Tax><TaxCode>A2</TaxCode></Tax></Item><DebtorItem><Debtor>{customer}</Debtor>"
        f'<AmountInTransactionCurrency currencyCode="RUB">{gross}</AmountInTransactionCurrency></DebtorItem><ProductTaxItem>'
        f'<TaxCode>A2</TaxCode><AmountInTransactionCurrency currencyCode="RUB">{tax}</AmountInTransactionCurrency></ProductTaxItem>'
    )


def posted(s4: S4, body: bytes) -> tuple[str, list[str]]:
    """The number and the notes of a confirmation; the status is always 200."""
    url = f"{s4.said['url']}/sap/bc/srt/scs_ext/sap/journalentrycreaterequestconfi"
    answer = s4.http.post(url, content=body, headers={"Content-Type": "text/xml"})
    assert answer.status_code == 200, answer.text
    root = ElementTree.fromstring(answer.content)
    return str(next(root.iter("AccountingDocument")).text), [str(note.text) for note in root.iter("Note")]


def test_a_journal_entry_is_posted_once_for_its_message_and_reversed_by_its_reference(s4: S4) -> None:
    customer = s4.customer()
    body = journal(sale_lines(customer))
    number, notes = posted(s4, body)
    assert re.fullmatch(r"\d{10}", number)
    assert notes[0].startswith(f"Document posted successfully: BKPFF {number}1010{TODAY[:4]}")
    assert posted(s4, body)[0] == number
    lines = items(s4, AccountingDocument=number.lstrip("0"))
    assert {(row["GLAccount"], row["AmountInCompanyCodeCurrency"]) for row in lines} == {
        ("41000300", "-100.00"), ("12100000", "122.00"), ("22000000", "-22.00"),
    }  # fmt: skip
    assert {row["DocumentReferenceID"] for row in lines} == {"CRM-J-1"}
    reverse = journal("", ReversalReason="01", ReversalReferenceDocument=f"{number}1010{TODAY[:4]}")
    assert posted(s4, reverse)[0] != "0000000000"
    assert items(s4, AccountingDocument=number.lstrip("0"))[0]["IsReversed"] is True
    balanced(s4)


@pytest.mark.parametrize(
    ("lines", "more", "word"),
    [
        (sale_lines("404"), {}, "Customer 404 is not defined in company code 1010"),
        (
            sale_lines("{}").replace("41000300", "4100999"),
            {},
            "G/L account 4100999 is not defined in chart of accounts YCOA",
        ),
        (sale_lines("{}", gross="123.00"), {}, "Balance in transaction currency"),
        (sale_lines("{}"), {"CreatedByUser": ""}, "Required field CreatedByUser"),
        (sale_lines("{}"), {"CompanyCode": "9999"}, "Company code 9999 does not exist"),
    ],
)
def test_a_refused_journal_entry_is_a_success_of_http_with_zeros_inside(
    s4: S4, lines: str, more: dict[str, str], word: str
) -> None:
    before = s4.truth()["ledger"]
    number, notes = posted(s4, journal(lines.format(s4.customer()), **more))
    assert number == "0000000000"
    assert any(word in note for note in notes), notes
    assert s4.truth()["ledger"] == before


def test_a_journal_entry_in_a_closed_period_is_refused_with_the_text_of_finance(s4: S4) -> None:
    s4.sandbox.control("accounting/sap/closed", {"until": "2026-03-31"})
    number, notes = posted(s4, journal(sale_lines(s4.customer()), day="2026-03-10"))
    s4.sandbox.control("accounting/sap/closed", {"until": None})
    assert (number, notes[-1]) == ("0000000000", "Posting period 003 2026 is not open for account type D")


def test_clearing_by_message_says_nothing_and_shows_in_the_dashboard(s4: S4) -> None:
    buyer = s4.customer()
    number, _ = posted(s4, journal(sale_lines(buyer), ID="CLR-INV"))
    credit = posted(
        s4,
        journal(
            sale_lines(buyer, "-122.00", "100.00", "22.00"),
            ID="CLR-CR",
            AccountingDocumentType="DA",
        ),
    )[0]
    lines = [
        row
        for each in (number, credit)
        for row in items(s4, AccountingDocument=each.lstrip("0"))
        if row["Customer"]
    ]
    apar = "".join(
        f"<APARItems><AccountType>D</AccountType><APARAccount>{row['Customer']}</APARAccount><FiscalYear>{row['FiscalYear']}</FiscalYear>"
        f"<AccountingDocument>{row['AccountingDocument']}</AccountingDocument><AccountingDocumentItem>{row['AccountingDocumentItem']}"
        "</AccountingDocumentItem></APARItems>" for row in lines
    )  # fmt: skip
    body = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><n:JournalEntryBulkClearingRequest '
        'xmlns:n="http://sap.com/xi/SAPSCORE/SFIN"><MessageHeader><ID>C1</ID></MessageHeader><JournalEntryClearingRequest>'
        f"<MessageHeader><ID>C1-1</ID></MessageHeader><JournalEntry><CompanyCode>1010</CompanyCode><PostingDate>{TODAY}</PostingDate>"
        f"{apar}</JournalEntry></JournalEntryClearingRequest></n:JournalEntryBulkClearingRequest></e:Body></e:Envelope>"
    )
    url = f"{s4.said['url']}/sap/bc/srt/scs_ext/sap/journalentrybulkclearingreques"
    answer = s4.http.post(url, content=body.encode(), headers={"Content-Type": "text/xml"})
    assert (answer.status_code, answer.content) == (202, b"")
    assert s4.truth()["messages"]["C1-1"]["status"] == "S"
    assert all(
        row["IsCleared"] for row in items(s4, AccountingDocument=number.lstrip("0")) if row["Customer"]
    )
    balanced(s4)


def test_the_days_bill_pay_and_correct_and_list_what_they_did() -> None:
    with running("--deals", "60", "--no-limits", "--today", TODAY) as sandbox:
        s4 = S4(sandbox)
        product, buyer = s4.goods(), s4.customer()
        ours = {
            s4.post(f"{ORDERS}/A_SalesOrder", s4.order((product, "2", f"{50 + n}.10"), SoldToParty=buyer))[
                "SalesOrder"
            ]
            for n in range(60)
        }
        sandbox.control("tick", {"days": 120, "deals": 0})
        truth = s4.truth()
        by_order = {act["order"]: act["key"] for act in truth["acts"] if act["act"] == "bill"}
        assert len(ours & set(by_order)) > 50
        cases = {act["case"] for act in truth["payments"].values()}
        assert {"full", "late", "prepaid", "two_instalments", "no_reference"} <= cases
        assert {"edit", "foreign", "cancel"} <= {act["act"] for act in truth["acts"]}
        statuses = {
            row["InvoiceClearingStatus"]
            for row in s4.rows(f"{BILLING}/A_BillingDocument?$filter=BillingDocumentType eq 'F2'")
        }
        assert statuses >= {"A", "C"}
        shown = {(row["AccountingDocument"], row["AccountingDocumentItem"]) for row in s4.rows(
            f"{OPEN_ITEMS}?$filter=FinancialAccountType eq 'D' and IsCleared eq false")}  # fmt: skip
        assert shown == {
            (row["AccountingDocument"], row["AccountingDocumentItem"]) for row in truth["open_items"]
        }
        for row in truth["billing"].values():
            assert Decimal(row["TotalNetAmount"]) + Decimal(row["TaxAmount"]) == Decimal(
                row["TotalGrossAmount"]
            )
        balanced(s4)


def test_a_killed_system_goes_on_where_it_was(tmp_path: Path) -> None:
    with running("--deals", "60", "--no-limits", "--today", TODAY, state=tmp_path / "state") as sandbox:
        s4 = S4(sandbox)
        number, bill = billed(s4)
        s4.do(do="pay", document=bill["BillingDocument"], amount="22.00")
        s4.option("page_limit", "3")
        before = s4.truth()
        sandbox.control("faults", {"where": "sap", "kind": "die", "http_method": "POST"})
        with pytest.raises(httpx.TransportError):
            s4.write(
                "POST",
                f"{ORDERS}/A_SalesOrder",
                s4.order((s4.goods(), "1", "5.00"), PurchaseOrderByCustomer="LAST"),
            )
    with running("--deals", "60", "--no-limits", "--today", TODAY, state=tmp_path / "state") as sandbox:
        s4 = S4(sandbox)
        after = s4.truth()
        found = s4.rows(
            f"{ORDERS}/A_SalesOrder?$filter=PurchaseOrderByCustomer eq 'LAST'&$select=SalesOrder,LastChangeDateTime"
        )
        assert len(found) == 1
        assert {k: v for k, v in after["orders"].items() if k != found[0]["SalesOrder"]} == before["orders"]
        assert (after["billing"], after["balances"], after["open_items"]) == (
            before["billing"],
            before["balances"],
            before["open_items"],
        )
        assert len(s4.get(f"{ORDERS}/A_SalesOrder")["results"]) == 3
        earlier = s4.get(f"{ORDERS}/A_SalesOrder('{number}')")["__metadata"]["etag"]
        s4.patch(f"{ORDERS}/A_SalesOrder('{number}')", {"PurchaseOrderByCustomer": "Z"})
        assert s4.get(f"{ORDERS}/A_SalesOrder('{number}')")["__metadata"]["etag"] > earlier
