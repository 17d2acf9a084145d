"""The SOAP services of finance: post journal entries and get a confirmation, and clear open items without one.

A refused entry is answered with HTTP 200: its number is `0000000000` (or blank) and the reasons stand in Log/Item.
A message ID that was seen gets its first confirmation again. Clearing is asynchronous: 202, and the outcome only in
the message dashboard (`messages` of the control panel's truth).
Source: the services' WSDL; confirmations recorded in public repositories.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from starlette.responses import Response

from sandbox.accounting.sap import ledger, payments
from sandbox.accounting.sap.database import Row
from sandbox.accounting.sap.errors import SapError, business
from sandbox.accounting.sap.ledger import Entry, Head
from sandbox.accounting.sap.system import CHART, COMPANY, CURRENCIES, System

NAMESPACE: Final = "http://sap.com/xi/SAPSCORE/SFIN"
POSTING: Final = "journalentrycreaterequestconfi"
CLEARING: Final = "journalentrybulkclearingreques"
MAX_ENTRIES: Final = 1000
_MANDATORY: Final = (
    "OriginalReferenceDocumentType", "BusinessTransactionType", "AccountingDocumentType", "CreatedByUser",
    "CompanyCode", "DocumentDate", "PostingDate",
)  # fmt: skip


@dataclass
class Posted:
    number: str  # empty for a refused one
    year: str
    log: list[tuple[str, str]]  # code, text


def answer(system: System, name: str, method: str, body: bytes) -> Response:
    if name not in (POSTING, CLEARING) or method != "POST":
        return Response(
            "<html><body>Service cannot be reached</body></html>", 404, {"content-type": "text/html"}
        )
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        return _fault("CX_ST_MATCH_ELEMENT: the message is not well-formed XML")
    wanted = "JournalEntryBulkCreateRequest" if name == POSTING else "JournalEntryBulkClearingRequest"
    bulk = next((each for each in root.iter() if _local(each) == wanted), None)
    if bulk is None:
        return _fault(f"Web service processing error: element {wanted} is missing")
    if name == CLEARING:
        return _clear(system, bulk)
    return _post(system, bulk)


def _post(system: System, bulk: ElementTree.Element) -> Response:
    kept = system.books.rows("confirmations")
    identity = _text(bulk, "MessageHeader/ID")
    if identity and identity in kept:
        return _envelope(kept[identity]["text"])
    requests = [each for each in bulk if _local(each) == "JournalEntryCreateRequest"]
    if len(requests) > MAX_ENTRIES:
        return _fault(f"More than {MAX_ENTRIES} journal entries in one message")
    moment = system.now()
    inner = "".join(_confirmation(system, request, moment) for request in requests)
    text = (
        f'<n0:JournalEntryBulkCreateConfirmation xmlns:n0="{NAMESPACE}"><MessageHeader><UUID>{uuid.uuid4()}</UUID>'
        f"<ReferenceID>{escape(identity)}</ReferenceID><CreationDateTime>{moment}</CreationDateTime>"
        f"<SenderBusinessSystemID>S4H</SenderBusinessSystemID></MessageHeader><ConfirmationInterfaceOrignName/>"
        f"{inner}<Log/></n0:JournalEntryBulkCreateConfirmation>"
    )
    if identity:
        kept.put(identity, {"text": text})
    return _envelope(text)


def _confirmation(system: System, request: ElementTree.Element, moment: str) -> str:
    entry = _child(request, "JournalEntry")
    try:
        with system.db.unit():
            posted = _entry(system, entry)
    except SapError as error:
        head = ("RW/609", f"Error in document: {_text(entry, 'OriginalReferenceDocumentType')} $ S4HCLNT100")
        posted = Posted("", "0000", [head, (error.code, error.text)])
    severity = "1" if posted.number else "3"
    blank = system.option("soap_refusal") == "blank"
    number = posted.number.zfill(10) if posted.number or not blank else " "
    company = COMPANY if posted.number else " "
    items = "".join(
        f"<Item><TypeID>{escape(_type(code))}</TypeID><SeverityCode>{severity}</SeverityCode>"
        f"<Note>{escape(text)}</Note></Item>"
        for code, text in posted.log
    )
    return (
        f"<JournalEntryCreateConfirmation><MessageHeader><UUID>{uuid.uuid4()}</UUID>"
        f"<ReferenceID>{escape(_text(request, 'MessageHeader/ID'))}</ReferenceID>"
        f"<CreationDateTime>{moment}</CreationDateTime></MessageHeader><JournalEntryCreateConfirmation>"
        f"<AccountingDocument>{number}</AccountingDocument><CompanyCode>{company}</CompanyCode>"
        f"<FiscalYear>{posted.year}</FiscalYear></JournalEntryCreateConfirmation><Log>"
        f"<MaximumLogItemSeverityCode>{severity}</MaximumLogItemSeverityCode>{items}</Log>"
        "</JournalEntryCreateConfirmation>"
    )


def _entry(system: System, entry: ElementTree.Element) -> Posted:
    for name in _MANDATORY:
        if not _text(entry, name):
            raise business("F5A/001", f"Required field {name} is initial")
    company = _text(entry, "CompanyCode")
    if company != COMPANY:
        raise business("F5/165", f"Company code {company} does not exist")
    day = _day(_text(entry, "PostingDate"))
    reason, reference = _text(entry, "ReversalReason"), _text(entry, "ReversalReferenceDocument")
    if reason or reference:
        number = ledger.reverse(
            system, reference[:10].lstrip("0"), day, reason or "01", _text(entry, "CreatedByUser")
        )
        return _done(number, day)
    lines = [*_lines(system, entry, day)]
    if len(lines) < 2:
        raise business("RW/022", "Document without line items")
    currency = _currencies(entry)
    difference = sum((line.amount for line in lines), Decimal(0))
    if difference:
        raise business("RW/022", f"Balance in transaction currency: {difference:.2f} {currency}")
    lines[-1].company -= sum((line.company for line in lines), Decimal(0))
    head = Head(
        _text(entry, "AccountingDocumentType"), day, currency, _text(entry, "DocumentReferenceID"),
        _text(entry, "DocumentHeaderText"), ("BKPFF", ""), _text(entry, "CreatedByUser")[:12],
        _day(_text(entry, "DocumentDate")), _text(entry, "BusinessTransactionType"), system.rate(currency, day),
    )  # fmt: skip
    if head.kind not in ("SA", "DR", "DZ", "DA", "AB", "KR"):
        raise business("F5/814", f"Document type {head.kind} is not defined")
    return _done(ledger.post(system, head, lines), day)


def _lines(system: System, entry: ElementTree.Element, day: date) -> list[Entry]:
    found = []
    for each in entry:
        kind = _local(each)
        if kind not in ("Item", "DebtorItem", "ProductTaxItem"):
            continue
        amount, currency = _amount(each)
        company = ledger.company_amount(system, amount, currency, day)
        more: Row = {
            "DocumentItemText": _text(each, "DocumentItemText")[:50], "TaxCode": _text(each, "TaxCode") or _text(each, "Tax/TaxCode"),
            "AssignmentReference": _text(each, "AssignmentReference")[:18],
        }  # fmt: skip
        if kind == "Item":
            account = _text(each, "GLAccount").lstrip("0")
            if account not in ledger.ACCOUNTS:
                raise business("F5/507", f"G/L account {account} is not defined in chart of accounts {CHART}")
            if account in ledger.RECONCILIATION:
                raise business("F5/352", f"Account {account} cannot be directly posted to")
            found.append(Entry(account, amount, company, more=more))
        elif kind == "DebtorItem":
            customer = _text(each, "Debtor").lstrip("0")
            if not system.db["customer_company"].under(customer):
                raise business("F5/102", f"Customer {customer} is not defined in company code {COMPANY}")
            if (system.db["customer"].get(customer) or {}).get("PostingIsBlocked"):
                raise business("F5/104", f"Customer {customer} is blocked for posting")
            more["PaymentTerms"] = _text(each, "CashDiscountTerms/PaymentTerms") or "0001"
            found.append(Entry(payments.account_of(system, customer), amount, company, customer, more))
        else:
            more |= {"TransactionTypeDetermination": "MWS"}
            found.append(Entry(ledger.OUTPUT_TAX, amount, company, more=more))
    return found


def _clear(system: System, bulk: ElementTree.Element) -> Response:
    for request in bulk:
        if _local(request) != "JournalEntryClearingRequest":
            continue
        identity = _text(request, "MessageHeader/ID")
        rows = system.books.rows("messages")
        if not identity or identity in rows:
            continue  # processed once already: the repeated one ends as a duplicate in the dashboard
        entry = _child(request, "JournalEntry")
        test = "true" in (
            _text(bulk, "MessageHeader/TestDataIndicator"),
            _text(request, "MessageHeader/TestDataIndicator"),
        )
        outcome, text = "S", ""
        try:
            with system.db.unit():
                text = _cleared(system, entry)
                if test:
                    raise business("SIM/000", "Simulated: the items would be cleared")
        except SapError as error:
            outcome, text = ("S" if error.code == "SIM/000" else "E"), error.text
        rows.put(identity, {"status": outcome, "text": text})
    return Response(status_code=202)


def _cleared(system: System, entry: ElementTree.Element) -> str:
    found = []
    for each in entry:
        if _local(each) != "APARItems":
            continue
        if _text(each, "PartialPaymentAmtInDspCrcy"):
            raise business("F5/280", "Partial clearing is not set up for this message")
        row = system.db["line"].get(
            COMPANY, _text(each, "FiscalYear"), _text(each, "AccountingDocument").lstrip("0"),
            _text(each, "AccountingDocumentItem"),
        )  # fmt: skip
        customer = _text(each, "APARAccount").lstrip("0")
        if row is None or row.get("_open") != customer:
            raise business("F5/170", f"No open items were found for customer {customer}")
        found.append(row)
    if not found:
        raise business("F5/170", "No open items were found")
    number = payments.match(
        system, found, _day(_text(entry, "PostingDate")), _text(entry, "DocumentHeaderText")
    )
    system.act("cleared_by_message", number)
    return f"Document {number} was posted in company code {COMPANY}"


def _done(number: str, day: date) -> Posted:
    text = f"Document posted successfully: BKPFF {number.zfill(10)}{COMPANY}{day.year} S4HCLNT100"
    return Posted(number, str(day.year), [("RW/605", text)])


def _amount(element: ElementTree.Element) -> tuple[Decimal, str]:
    found = _find(element, "AmountInTransactionCurrency")
    text, currency = ("", "") if found is None else (found.text or "", found.get("currencyCode", ""))
    try:
        amount = Decimal(text.strip())
    except InvalidOperation as error:
        raise business("RW/022", f"Amount '{text}' is not a number") from error
    if currency not in CURRENCIES:
        raise business("SV/019", f"Currency {currency} is not defined")
    return amount, currency


def _currencies(entry: ElementTree.Element) -> str:
    names = {
        each.get("currencyCode", "") for each in entry.iter() if _local(each) == "AmountInTransactionCurrency"
    }
    if len(names) != 1:
        raise business("RW/022", "The line items are in different currencies")
    return names.pop()


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise business("F5/020", f"Date '{text}' is not valid") from error


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _find(element: ElementTree.Element, path: str) -> ElementTree.Element | None:
    found: ElementTree.Element | None = element
    for name in path.split("/"):
        found = next((each for each in found if _local(each) == name), None) if found is not None else None
    return found


def _text(element: ElementTree.Element, path: str) -> str:
    found = _find(element, path)
    return (found.text or "").strip() if found is not None else ""


def _child(element: ElementTree.Element, name: str) -> ElementTree.Element:
    found = _find(element, name)
    return found if found is not None else ElementTree.Element(name)


def _type(code: str) -> str:
    kind, _, number = code.partition("/")
    return f"{number}({kind})"


def _envelope(text: str) -> Response:
    body = (
        '<soap-env:Envelope xmlns:soap-env="http://schemas.xmlsoap.org/soap/envelope/"><soap-env:Header/>'
        f"<soap-env:Body>{text}</soap-env:Body></soap-env:Envelope>"
    )
    return Response(body.encode(), 200, {"content-type": "text/xml; charset=utf-8"})


def _fault(text: str) -> Response:
    body = (
        '<soap-env:Envelope xmlns:soap-env="http://schemas.xmlsoap.org/soap/envelope/"><soap-env:Body><soap-env:Fault>'
        f'<faultcode>soap-env:Server</faultcode><faultstring xml:lang="en">{escape(text)}</faultstring>'
        "</soap-env:Fault></soap-env:Body></soap-env:Envelope>"
    )
    return Response(body.encode(), 500, {"content-type": "text/xml; charset=utf-8"})
