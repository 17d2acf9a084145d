"""Money: payments that clear invoices, wholly, partly or with a small difference, and those that meet nothing.

A payment of the whole, or within the tolerance of it, clears the invoice and what was paid on it before. Any other
stays open beside it. Without an invoice it stands on the customer's account.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from sandbox.accounting.sap import ledger
from sandbox.accounting.sap.database import Row
from sandbox.accounting.sap.errors import business
from sandbox.accounting.sap.ledger import Entry, Head
from sandbox.accounting.sap.system import CURRENCY, System


def receivable(system: System, billing: str) -> Row | None:
    """The open customer line of a billing document."""
    for row in system.db["line"].where("BillingDocument", billing):
        if row.get("_open") and not row.get("InvoiceReference"):
            return row
    return None


def receive(
    system: System,
    customer: str,
    amount: Decimal,
    day: date,
    *,
    currency: str = CURRENCY,
    invoice: Row | None = None,
    reference: str = "",
    text: str = "",
) -> str:
    """Post an incoming payment (document type DZ) and clear what it pays. Returns the document's number."""
    if invoice is not None and invoice["Customer"] == customer:
        return _on_invoice(system, invoice, amount, day, reference, text)
    company = ledger.company_amount(system, amount, currency, day)
    head = Head("DZ", day, currency, reference, text, rate=system.rate(currency, day))
    more = {"DocumentItemText": text[:50], "AssignmentReference": reference[:18]}
    lines = [
        Entry(ledger.BANK, amount, company, more={"DocumentItemText": text[:50], "HouseBank": "BANK1"}),
        Entry(account_of(system, customer), -amount, -company, customer, more),
    ]
    return ledger.post(system, head, lines)


def refund(system: System, customer: str, amount: Decimal, day: date, currency: str, text: str) -> str:
    """Pay money back: the customer's account is debited and stays open until somebody clears it."""
    company = ledger.company_amount(system, amount, currency, day)
    head = Head("DZ", day, currency, "", text, rate=system.rate(currency, day))
    more = {"DocumentItemText": text[:50]}
    lines = [
        Entry(account_of(system, customer), amount, company, customer, more),
        Entry(ledger.BANK, -amount, -company, more={**more, "HouseBank": "BANK1"}),
    ]
    return ledger.post(system, head, lines)


def match(system: System, rows: list[Row], day: date, text: str = "") -> str:
    """Clear open items that stood apart (document type AB), differences of the rate posted. Raises SapError."""
    if sum(Decimal(row["AmountInTransactionCurrency"]) for row in rows):
        raise business("F5/263", "The difference is too large for clearing")
    company = sum((Decimal(row["AmountInCompanyCodeCurrency"]) for row in rows), Decimal(0))
    first = rows[0]
    lines = []
    if company:
        gain = ledger.RATE_GAIN if company < 0 else ledger.RATE_LOSS
        lines = [
            Entry(first["GLAccount"], Decimal(0), -company, first["Customer"]),
            Entry(gain, Decimal(0), company),
        ]
    head = Head("AB", day, first["TransactionCurrency"], text=text)
    number = ledger.post(system, head, lines)
    ledger.clear(
        system, [*rows, *(row for row in ledger.document(system, number) if row.get("Customer"))], number, day
    )
    return number


def account_of(system: System, customer: str) -> str:
    """The reconciliation account of a customer."""
    row = next(iter(system.db["customer_company"].under(customer)), None)
    return (
        str(row["ReconciliationAccount"]) if row and row.get("ReconciliationAccount") else ledger.RECEIVABLE
    )


def _on_invoice(system: System, invoice: Row, amount: Decimal, day: date, reference: str, text: str) -> str:
    customer, currency = invoice["Customer"], invoice["TransactionCurrency"]
    number, year = invoice["AccountingDocument"], invoice["FiscalYear"]
    before = [row for row in ledger.open_items(system, customer) if row.get("InvoiceReference") == number]
    met = [invoice, *before]
    owed = sum((Decimal(row["AmountInTransactionCurrency"]) for row in met), Decimal(0))
    difference = amount - owed
    bank = ledger.company_amount(system, amount, currency, day)
    head = Head("DZ", day, currency, reference, text, rate=system.rate(currency, day))
    said = {"DocumentItemText": text[:50]}
    lines = [Entry(ledger.BANK, amount, bank, more={**said, "HouseBank": "BANK1"})]
    linked = {
        **said, "InvoiceReference": number, "InvoiceReferenceFiscalYear": year,
        "InvoiceItemReference": invoice["AccountingDocumentItem"],
    }  # fmt: skip
    if abs(difference) > ledger.TOLERANCE:
        over = amount > owed > 0
        credited = owed if over else amount
        part = bank if not over else ledger.company_amount(system, owed, currency, day)
        if not over:
            lines.append(Entry(invoice["GLAccount"], -credited, -part, customer, linked))
            made = ledger.post(system, head, lines)
            ledger.settled(system, invoice.get("BillingDocument", ""))
            return made
        return _cleared(system, head, lines, met, owed, amount - owed, said)
    return _cleared(system, head, lines, met, owed, Decimal(0), said, difference)


def _cleared(
    system: System,
    head: Head,
    lines: list[Entry],
    met: list[Row],
    owed: Decimal,
    on_account: Decimal,
    said: dict[str, str],
    difference: Decimal = Decimal(0),
) -> str:
    """The payment document that meets open items: their sum, the difference, the rate, and the rest on account."""
    customer, account = met[0]["Customer"], met[0]["GLAccount"]
    book = sum((Decimal(row["AmountInCompanyCodeCurrency"]) for row in met), Decimal(0))
    lines.append(Entry(account, -owed, -book, customer, dict(said)))
    if on_account:
        rest = ledger.company_amount(system, on_account, head.currency, head.day)
        lines.append(
            Entry(account, -on_account, -rest, customer, {**said, "AssignmentReference": "ON ACCOUNT"})
        )
    if difference:
        small = ledger.company_amount(system, difference, head.currency, head.day)
        what = ledger.SMALL_GAIN if difference > 0 else ledger.SMALL_LOSS
        lines.append(Entry(what, -difference, -small, more=dict(said)))
    rate = -sum((line.company for line in lines), Decimal(0))
    if rate:
        lines.append(
            Entry(ledger.RATE_LOSS if rate > 0 else ledger.RATE_GAIN, Decimal(0), rate, more=dict(said))
        )
    number = ledger.post(system, head, lines)
    mine = [row for row in ledger.document(system, number) if row.get("Customer")]
    ledger.clear(system, [*met, mine[0]], number, head.day)
    return number
