"""Financial accounting: documents that balance, open items, their clearing, and reversal.

A document is posted in its own currency and in roubles; both sides balance in each. Debit is positive. Receivables
are open items until a clearing document meets them to zero; a partial payment stays open beside its invoice and
names it (InvoiceReference). Documents are never deleted: a reversal posts them with the opposite sign.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from sandbox.accounting.sap.database import Row
from sandbox.accounting.sap.errors import business
from sandbox.accounting.sap.system import CHART, COMPANY, CURRENCY, USER, System
from sandbox.accounting.sap.values import rounded

BANK: Final = "11001000"
STOCK: Final = "13100000"
RECEIVABLE: Final = "12100000"
RECEIVABLE_ABROAD: Final = "12120000"
PAYABLE: Final = "21100000"
RECEIVED: Final = "21120000"
OUTPUT_TAX: Final = "22000000"
OPENING: Final = "39914000"
REVENUE: Final = "41000000"
REVENUE_SERVICES: Final = "41000300"
COST_OF_SALES: Final = "54083000"
SMALL_GAIN: Final = "70100000"
SMALL_LOSS: Final = "65100000"
RATE_GAIN: Final = "72010000"
RATE_LOSS: Final = "72020000"
ACCOUNTS: Final = {
    # number: (name, balance sheet account, account group)
    BANK: ("Bank 1 - Main", True, "LIQU"), RECEIVABLE: ("Rcvbls Domestic", True, "RECN"),
    RECEIVABLE_ABROAD: ("Rcvbls Foreign", True, "RECN"), STOCK: ("Inventory Trading Goods", True, "SAKO"),
    PAYABLE: ("Paybls Domestic", True, "RECN"), RECEIVED: ("GR/IR Clearing", True, "SAKO"), OUTPUT_TAX: ("Output Tax (MWS)", True, "SAKO"),
    OPENING: ("Initial Entry Clearing", True, "SAKO"), REVENUE: ("Rev Domestic Prod", False, "PL"),
    REVENUE_SERVICES: ("Rev Domestic Service", False, "PL"), COST_OF_SALES: ("COGS Trading Goods", False, "PL"),
    SMALL_GAIN: ("Payment Diff Gain", False, "PL"), SMALL_LOSS: ("Payment Diff Loss", False, "PL"),
    RATE_GAIN: ("FX Gain Realized", False, "PL"), RATE_LOSS: ("FX Loss Realized", False, "PL"),
}  # fmt: skip
RECONCILIATION: Final = frozenset((RECEIVABLE, RECEIVABLE_ABROAD, PAYABLE))
TOLERANCE: Final = Decimal("1.00")
"""A difference up to this much is posted to payment differences when a payment meets its invoice."""
TERMS: Final = {"0001": 0, "NT14": 14, "NT30": 30, "NT45": 45}
_TYPE_NAMES: Final = {
    "RV": "Billing Doc.Transfer", "DZ": "Customer Payment", "DR": "Customer Invoice", "AB": "Journal Entry",
    "SA": "G/L Account Document", "WL": "Goods Issue/Delivery", "WE": "Goods Receipt", "DA": "Customer Document", "KR": "Vendor Invoice",
}  # fmt: skip


@dataclass
class Entry:
    """One line to be posted. `amount` is in the document's currency, `company` in roubles; debit is positive."""

    account: str
    amount: Decimal
    company: Decimal
    customer: str = ""
    more: dict[str, Any] = field(default_factory=dict)


@dataclass
class Head:
    """What the lines of one document share."""

    kind: str  # document type: RV, DZ, DR, SA, AB, WL
    day: date
    currency: str = CURRENCY
    reference: str = ""
    text: str = ""
    source: tuple[str, str] = ("BKPFF", "")
    user: str = "FI_CLERK"
    document_day: date | None = None
    transaction: str = "RFBU"
    rate: Decimal = Decimal(1)


def company_amount(system: System, amount: Decimal, currency: str, day: date) -> Decimal:
    return rounded(amount * system.rate(currency, day), CURRENCY)


def post(system: System, head: Head, entries: Iterable[Entry], *, checked: bool = True) -> str:
    """Post a document and return its number. Raises SapError for a closed period and for one out of balance."""
    lines = [entry for entry in entries if entry.amount or entry.company]
    if checked:
        refusal = system.open_period(head.day, _kinds(lines))
        if refusal is not None:
            raise refusal
    if sum(line.amount for line in lines) or sum(line.company for line in lines):
        raise business("F5/702", "Balance in transaction currency")
    number = system.number(head.kind)
    moment = system.now()
    offset = _offsets(lines)
    for place, entry in enumerate(lines, start=1):
        system.db["line"].put(_line(system, head, entry, number, place, moment, offset))
    return number


def _kinds(lines: list[Entry]) -> list[str]:
    return ["D"] if any(line.customer for line in lines) else ["S"]


def _offsets(lines: list[Entry]) -> tuple[str, str]:
    """The account against the customer's line, and against all others."""
    other = next((line.account for line in lines if not line.customer), "")
    first = next((line.customer for line in lines if line.customer), lines[0].account if lines else "")
    return other, first


def _line(
    system: System, head: Head, entry: Entry, number: str, place: int, moment: str, offset: tuple[str, str]
) -> Row:
    day, debit = head.day, entry.amount > 0 or (entry.amount == 0 and entry.company > 0)
    named = ACCOUNTS.get(entry.account, ("", True, ""))
    open_item = bool(entry.customer)
    local_date, local_time = system.local(moment)
    key = ("01" if debit else "11") if open_item else ("40" if debit else "50")
    if open_item and head.kind == "DZ":
        key = "05" if debit else "15"
    row: Row = {
        "CompanyCode": COMPANY, "FiscalYear": str(day.year), "AccountingDocument": number,
        "AccountingDocumentItem": str(place), "LedgerGLLineItem": f"{place:06d}",
        "CompanyCodeName": system.books.company.own.name[:25], "ChartOfAccounts": CHART, "ControllingArea": "A000",
        "PostingKey": key, "FinancialAccountType": "D" if open_item else "S",
        "DebitCreditCode": "S" if debit else "H", "GLAccount": entry.account, "OperationalGLAccount": entry.account,
        "GLAccountName": named[0][:20], "GLAccountLongName": named[0], "IsBalanceSheetAccount": named[1],
        "IsOpenItemManaged": "X" if open_item else "", "Customer": entry.customer,
        "PostingDate": day.isoformat(), "DocumentDate": (head.document_day or day).isoformat(),
        "AccountingDocumentType": head.kind, "AccountingDocumentTypeName": _TYPE_NAMES.get(head.kind, ""),
        "FiscalPeriod": str(day.month), "CompanyCodeCurrency": CURRENCY, "TransactionCurrency": head.currency,
        "AmountInCompanyCodeCurrency": f"{entry.company:.2f}", "AmountInTransactionCurrency": f"{entry.amount:.2f}",
        "BalanceTransactionCurrency": head.currency, "AmountInBalanceTransacCrcy": f"{entry.amount:.2f}",
        "AccountingDocumentCreationDate": local_date, "CreationTime": local_time, "LastChangeDate": local_date,
        "AccountingDocCreatedByUser": head.user, "DocumentReferenceID": head.reference[:16].upper(),
        "AccountingDocumentHeaderText": head.text[:25], "BusinessTransactionType": head.transaction,
        "ReferenceDocumentType": head.source[0], "OriginalReferenceDocument": head.source[1],
        "ExchangeRate": f"{head.rate:.5f}", "OffsettingAccount": offset[0] if open_item else offset[1],
        "OffsettingAccountType": "S" if open_item else "D",
        "ID": f"{COMPANY}{day.year}{number.zfill(10)}{place:06d}0L", "SourceLedger": "0L", "Ledger": "0L",
        "LedgerFiscalYear": str(day.year), "GLRecordType": "0", "FiscalYearVariant": "K4",
        "FiscalYearPeriod": f"{day.year}{day.month:03d}", "ReferenceDocument": head.source[1] or number,
        "GlobalCurrency": CURRENCY, "AmountInGlobalCurrency": f"{entry.company:.2f}",
        "LastChangeDateTime": moment, "CreationDateTime": moment, "CreationDate": local_date,
        **entry.more,
    }  # fmt: skip
    if open_item:
        days = TERMS.get(entry.more.get("PaymentTerms", "0001"), 0)
        row["DueCalculationBaseDate"] = row["DocumentDate"]
        row["NetPaymentDays"] = str(days)
        row["NetDueDate"] = (date.fromisoformat(row["DocumentDate"]) + timedelta(days=days)).isoformat()
        row["CustomerName"] = _name(system, entry.customer)
        row["_open"] = entry.customer
    return row


def document(system: System, number: str, year: str | None = None) -> list[Row]:
    """The lines of a document; the latest year of that number where none is said."""
    if year:
        return system.db["line"].under(COMPANY, year, number)
    rows = system.db["line"].where("AccountingDocument", number)
    newest = max((row["FiscalYear"] for row in rows), default="")
    return [row for row in rows if row["FiscalYear"] == newest]


def open_items(system: System, customer: str) -> list[Row]:
    return system.db["line"].where("_open", customer)


def clear(system: System, rows: Iterable[Row], number: str, day: date) -> None:
    """Let a clearing document meet these open items."""
    moment = system.now()
    changed = system.local(moment)[0]
    table = system.db["line"]
    for row in rows:
        table.change(
            table.at(table.key_of(row)) or row,
            IsCleared=True, ClearingDate=day.isoformat(), ClearingCreationDate=changed,
            ClearingAccountingDocument=number, ClearingDocFiscalYear=str(day.year), LastChangeDate=changed,
            LastChangeDateTime=moment, _open=None,
        )  # fmt: skip
        settled(system, row.get("BillingDocument", ""))


def reopen(system: System, number: str) -> list[Row]:
    """Take a clearing back: every item that the document had met is open again. Returns those items."""
    moment = system.now()
    changed = system.local(moment)[0]
    found = []
    for row in system.db["line"].where("ClearingAccountingDocument", number):
        found.append(
            system.db["line"].change(
                row,
                IsCleared=False, ClearingDate=None, ClearingCreationDate=None, ClearingAccountingDocument="",
                ClearingDocFiscalYear="0", LastChangeDate=changed, LastChangeDateTime=moment,
                _open=row["Customer"],
            )
        )  # fmt: skip
        settled(system, row.get("BillingDocument", ""))
    return found


def settled(system: System, billing: str) -> None:
    """Show on a billing document whether its receivable is open (A), partly paid (B) or cleared (C)."""
    bill = system.db["billing"].get(billing) if billing else None
    if bill is None or bill.get("BillingDocumentIsCancelled") or bill.get("CancelledBillingDocument"):
        return
    lines = [row for row in system.db["line"].where("BillingDocument", billing) if row.get("Customer")]
    lines = [row for row in lines if row["AccountingDocument"] == bill.get("AccountingDocument")]
    if not lines:
        return
    status = "C" if all(row.get("IsCleared") for row in lines) else "A"
    if status == "A" and any(
        row.get("InvoiceReference") == bill["AccountingDocument"]
        for row in open_items(system, lines[0]["Customer"])
    ):
        status = "B"
    if bill.get("InvoiceClearingStatus") != status:
        moment = system.now()
        system.db["billing"].change(
            bill,
            InvoiceClearingStatus=status,
            LastChangeDateTime=moment,
            LastChangeDate=system.local(moment)[0],
        )


def reverse(system: System, number: str, day: date, reason: str = "01", user: str = "FI_CLERK") -> str:
    """Post a document with the opposite sign, mark both, and let their open items meet. Raises SapError."""
    rows = document(system, number)
    if not rows:
        raise business("F5/397", f"Document {number} does not exist in fiscal year {day.year}")
    first = rows[0]
    if first.get("IsReversed") or first.get("IsReversal"):
        raise business("F5/361", f"Document {number} has already been reversed")
    mine = {row["ClearingAccountingDocument"] for row in rows if row.get("IsCleared")}
    if mine - {number}:
        raise business("F5A/308", f"Document {number} contains cleared items - reversal not possible")
    entries = [
        Entry(
            row["GLAccount"], -Decimal(row["AmountInTransactionCurrency"]),
            -Decimal(row["AmountInCompanyCodeCurrency"]), row.get("Customer", ""),
            {name: row[name] for name in _CARRIED if row.get(name)},
        )
        for row in rows
    ]  # fmt: skip
    head = Head(
        first["AccountingDocumentType"], day, first["TransactionCurrency"], first["DocumentReferenceID"],
        first["AccountingDocumentHeaderText"], (first["ReferenceDocumentType"], first["OriginalReferenceDocument"]),
        user, date.fromisoformat(first["DocumentDate"]), rate=Decimal(first["ExchangeRate"]),
    )  # fmt: skip
    made = post(system, head, entries)
    if mine:
        reopen(system, number)
    moment = system.now()
    changed = system.local(moment)[0]
    for row in document(system, number, first["FiscalYear"]):
        system.db["line"].change(
            row, IsReversed=True, ReverseDocument=made, ReverseDocumentFiscalYear=str(day.year),
            ReversalReason=reason, ReversalReferenceDocument=made, LastChangeDate=changed,
            LastChangeDateTime=moment,
        )  # fmt: skip
    for row in document(system, made):
        system.db["line"].change(
            row, IsReversal=True, ReverseDocument=number, ReverseDocumentFiscalYear=first["FiscalYear"],
            ReversalReason=reason, ReversalReferenceDocument=number,
        )  # fmt: skip
    meeting = [*document(system, number, first["FiscalYear"]), *document(system, made)]
    clear(system, [row for row in meeting if row.get("Customer")], made, day)
    return made


def balances(system: System) -> dict[str, Decimal]:
    """The balance of every account in roubles."""
    found: dict[str, Decimal] = {}
    for row in system.db["line"].rows():
        account = row["GLAccount"]
        found[account] = found.get(account, Decimal(0)) + Decimal(row["AmountInCompanyCodeCurrency"])
    return found


_CARRIED: Final = (
    "TaxCode", "TransactionTypeDetermination", "AssignmentReference", "BillingDocument", "SalesDocument",
    "SalesDocumentItem", "Material", "Product", "Quantity", "BaseUnit", "PaymentTerms", "InvoiceReference",
    "InvoiceReferenceFiscalYear", "InvoiceItemReference", "DocumentItemText", "TaxBaseAmountInTransCrcy",
)  # fmt: skip


def _name(system: System, customer: str) -> str:
    row = system.db["customer"].get(customer)
    return str(row.get("CustomerName", ""))[:80] if row else ""


__all__ = [
    "USER",
    "Entry",
    "Head",
    "balances",
    "clear",
    "document",
    "open_items",
    "post",
    "reopen",
    "reverse",
]
