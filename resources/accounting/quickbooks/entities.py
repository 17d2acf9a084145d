"""What QuickBooks keeps, in its words and in ours: names, fields, and where a record bears a key of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from resources.connector import Entity
from resources.crm.rows import Shape

MAX_NUMBER: Final = 21  # characters of a DocNumber; unconfirmed by the vendor's own pages
NOTE, NOTES, PURCHASE = ("PrivateNote", 4000), ("Notes", 2000), ("PurchaseDesc", 1000)


@dataclass(frozen=True, slots=True)
class Place:
    """One kind of record: `name` in queries and bodies; its address is the same in small letters.

    `listed`: a name list, whose inactive records a query hides; nothing of it is ever deleted. `note`: the text
    field, and its length, that carries our key. `unique`: the field whose value no two records share. `numbered`:
    it has a DocNumber, which queries find. `cdc`: Change Data Capture tells of it.
    """

    name: str
    listed: bool = False
    note: tuple[str, int] | None = None
    unique: str = ""
    numbered: bool = False
    cdc: bool = True
    select: str = "*"

    @property
    def path(self) -> str:
        return self.name.lower()


PLACES: Final[Mapping[str, Place]] = {
    "organization": Place("CompanyInfo", cdc=False),
    "currency": Place("CompanyCurrency", listed=True, cdc=False),
    "tax_code": Place("TaxCode", listed=True, cdc=False),
    "currency_rate": Place("ExchangeRate", cdc=False),
    "account": Place("Account", listed=True),
    "counterparty": Place("Customer", listed=True, note=NOTES, unique="DisplayName"),
    "product": Place("Item", listed=True, note=PURCHASE, unique="Name", select="*, Sku"),
    "invoice": Place("Estimate", note=NOTE, numbered=True),
    "realization": Place("Invoice", note=NOTE, numbered=True),
    "return": Place("CreditMemo", note=NOTE, numbered=True),
    "sales_receipt": Place("SalesReceipt", note=NOTE, numbered=True),
    "payment": Place("Payment", note=NOTE),
    "refund": Place("RefundReceipt", note=NOTE, numbered=True),
}
"""By our entity. Unit, warehouse and contract are not here: QuickBooks Online has none of them. Prices and stock are
fields of an item (UnitPrice, QtyOnHand)."""

DICTIONARIES: Final = ("organization", "currency", "tax_code")
WRITES: Final = ("counterparty", "product", "invoice", "realization", "return", "payment")
DOCUMENTS: Final = ("invoice", "realization", "return", "sales_receipt", "payment", "refund")

POSTING: Final = (
    "Invoice", "CreditMemo", "SalesReceipt", "Payment", "RefundReceipt", "JournalEntry", "Deposit", "Transfer",
    "Purchase", "Bill", "BillPayment", "VendorCredit", "InventoryAdjustment",
)  # fmt: skip
"""Every kind of transaction that makes entries, ours or not. An estimate makes none."""

ENTITIES: Final = (
    *(Entity(name, incremental=False) for name in DICTIONARIES),
    Entity("currency_rate", incremental=True, deletions="tombstones"),
    *(
        Entity(name, incremental=True)
        for name in ("account", "counterparty", "product", *DOCUMENTS)
    ),
    Entity("entry", incremental=True),
    Entity("balance", incremental=False),
)  # fmt: skip

STAMP: Final = ("MetaData.LastUpdatedTime",)
SHAPES: Final[Mapping[str, Shape]] = {
    name: Shape(name, key="Code" if name == "currency" else "Id", stamp=STAMP) for name in PLACES
}

_DOCUMENT: Final = {
    "Id": "id", "SyncToken": "text", "MetaData": "object", "DocNumber": "text", "TxnDate": "date",
    "CurrencyRef": "reference", "ExchangeRate": "number", "CustomerRef": "reference", "Line": "rows",
    "TxnTaxDetail": "object", "GlobalTaxCalculation": "text", "TotalAmt": "money", "HomeTotalAmt": "money",
    "PrivateNote": "text", "CustomerMemo": "object", "LinkedTxn": "rows", "CustomField": "rows",
    "DepartmentRef": "reference", "ClassRef": "reference", "EmailStatus": "text", "PrintStatus": "text",
    "BillEmail": "object", "BillAddr": "object", "ShipAddr": "object", "ApplyTaxAfterDiscount": "boolean",
    "Line/Id": "id", "Line/LineNum": "integer", "Line/Description": "text", "Line/Amount": "money",
    "Line/DetailType": "text", "Line/SalesItemLineDetail": "object", "Line/LinkedTxn": "rows",
}  # fmt: skip

FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "organization": {
        "Id": "id", "CompanyName": "text", "LegalName": "text", "Country": "text", "EmployerId": "text",
        "CompanyStartDate": "date", "FiscalYearStartMonth": "text", "CompanyAddr": "object", "NameValue": "rows",
        "MetaData": "object", "SyncToken": "text",
    },
    "currency": {"Id": "id", "Code": "text", "Name": "text", "Active": "boolean", "MetaData": "object"},
    "tax_code": {
        "Id": "id", "Name": "text", "Description": "text", "Active": "boolean", "Taxable": "boolean",
        "TaxGroup": "boolean", "SalesTaxRateList": "object", "PurchaseTaxRateList": "object", "MetaData": "object",
    },
    "currency_rate": {
        "SourceCurrencyCode": "text", "TargetCurrencyCode": "text", "Rate": "number", "AsOfDate": "date",
        "MetaData": "object",
    },
    "account": {
        "Id": "id", "Name": "text", "FullyQualifiedName": "text", "AcctNum": "text", "AccountType": "text",
        "AccountSubType": "text", "Classification": "text", "CurrentBalance": "money",
        "CurrentBalanceWithSubAccounts": "money", "CurrencyRef": "reference", "SubAccount": "boolean",
        "ParentRef": "reference", "Active": "boolean", "Description": "text", "MetaData": "object", "SyncToken": "text",
    },
    "counterparty": {
        "Id": "id", "DisplayName": "text", "CompanyName": "text", "GivenName": "text", "FamilyName": "text",
        "FullyQualifiedName": "text", "PrintOnCheckName": "text", "Active": "boolean", "Taxable": "boolean",
        "Balance": "money", "BalanceWithJobs": "money", "PrimaryEmailAddr": "object", "PrimaryPhone": "object",
        "BillAddr": "object", "ShipAddr": "object", "CurrencyRef": "reference", "DefaultTaxCodeRef": "reference",
        "SalesTermRef": "reference", "ParentRef": "reference", "Job": "boolean", "ResaleNum": "text",
        "PrimaryTaxIdentifier": "text", "BusinessNumber": "text", "Notes": "text", "MetaData": "object", "SyncToken": "text",
    },
    "product": {
        "Id": "id", "Name": "text", "FullyQualifiedName": "text", "Sku": "text", "Type": "text", "Description": "text",
        "UnitPrice": "money", "PurchaseCost": "money", "PurchaseDesc": "text", "IncomeAccountRef": "reference",
        "ExpenseAccountRef": "reference", "AssetAccountRef": "reference", "TrackQtyOnHand": "boolean",
        "QtyOnHand": "quantity", "InvStartDate": "date", "SalesTaxCodeRef": "reference", "Taxable": "boolean",
        "SubItem": "boolean", "ParentRef": "reference", "Active": "boolean", "MetaData": "object", "SyncToken": "text",
    },
    "invoice": {**_DOCUMENT, "ExpirationDate": "date", "TxnStatus": "text"},
    "realization": {
        **_DOCUMENT, "DueDate": "date", "Balance": "money", "HomeBalance": "money", "SalesTermRef": "reference",
    },
    "return": {**_DOCUMENT, "Balance": "money", "RemainingCredit": "money"},
    "sales_receipt": {
        **_DOCUMENT, "DepositToAccountRef": "reference", "PaymentMethodRef": "reference", "PaymentRefNum": "text",
        "Balance": "money",
    },
    "refund": {
        **_DOCUMENT, "DepositToAccountRef": "reference", "PaymentMethodRef": "reference", "PaymentRefNum": "text",
        "Balance": "money",
    },
    "payment": {
        "Id": "id", "SyncToken": "text", "MetaData": "object", "TxnDate": "date", "CustomerRef": "reference",
        "TotalAmt": "money", "UnappliedAmt": "money", "CurrencyRef": "reference", "ExchangeRate": "number",
        "PaymentRefNum": "text", "PaymentMethodRef": "reference", "DepositToAccountRef": "reference",
        "ARAccountRef": "reference", "PrivateNote": "text", "LinkedTxn": "rows", "Line": "rows", "Line/Amount": "money",
        "Line/LinkedTxn": "rows",
    },
    "entry": {
        "Id": "id", "TxnType": "text", "TxnId": "id", "TxnDate": "date", "DocNum": "text", "Debit": "id", "Credit": "id",
        "DebitCustomer": "id", "CreditCustomer": "id", "Name": "text", "Memo": "text", "Amount": "money",
    },
    "balance": {"Id": "id", "Account": "id", "AccountName": "text", "AccountCode": "text", "Customer": "id", "Amount": "money"},
}  # fmt: skip
"""The vendor publishes no description at run time: these are the fields of its documentation that we know of."""
