"""The kinds of records: their paths, fields, what a query may filter, and how names and numbers are shared.

Fields and their `filterable` marks are those of the vendor's reference. PrivateNote cannot be filtered; fields
of a nested object are filtered by their dotted names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

COMMON: Final = "Id SyncToken MetaData domain sparse status"
ALWAYS: Final = frozenset({"Id", "MetaData.CreateTime", "MetaData.LastUpdatedTime"})
PERSON: Final = (
    "Title GivenName MiddleName FamilyName Suffix FullyQualifiedName CompanyName DisplayName PrintOnCheckName Active "
    "PrimaryPhone AlternatePhone Mobile Fax PrimaryEmailAddr WebAddr BillAddr ShipAddr OtherAddr Notes CurrencyRef "
    "TaxExemptionReasonId PrimaryTaxIdentifier V4IDPseudonym Source Balance OpenBalance OpenBalanceDate UserId "
    "Organization OtherContactInfo IntuitId NameAndId"
)
SALE: Final = (
    "CustomField DocNumber TxnDate DepartmentRef CurrencyRef ExchangeRate PrivateNote TxnStatus LinkedTxn Line "
    "TxnTaxDetail CustomerRef CustomerMemo BillAddr ShipAddr FreeFormAddress ShipFromAddr ClassRef SalesTermRef DueDate "
    "ShipMethodRef ShipDate TrackingNum TotalAmt HomeTotalAmt ApplyTaxAfterDiscount PrintStatus EmailStatus BillEmail "
    "BillEmailCc BillEmailBcc DeliveryInfo Balance HomeBalance GlobalTaxCalculation TransactionLocationType RecurDataRef "
    "TaxExemptionRef ProjectRef TxnSource AutoDocNumber TxnApprovalInfo SalesRepRef PONumber FOB Tag attachments "
    "DiscountAmt DiscountRate ARAccountRef HomeAmt TxnTypeEnum InvoiceStatus TxnPolicyState"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. `series` is the sequence its ids come from; `title` the field with a list record's name."""

    name: str
    mode: str
    series: str
    fields: frozenset[str]
    filters: frozenset[str]
    title: str = ""
    writes: bool = True
    cdc: bool = True
    exact: tuple[str, ...] = ()
    """Fields looked up by equality through an index."""

    @property
    def path(self) -> str:
        return self.name.lower()


def _kind(
    name: str, mode: str, series: str, fields: str, filters: str, title: str = "", *, writes: bool = True, cdc: bool = True,
    exact: str = "",
) -> Kind:  # fmt: skip
    return Kind(
        name, mode, series, frozenset(f"{COMMON} {fields}".split()), ALWAYS | frozenset(filters.split()), title, writes,
        cdc, tuple(exact.split()),
    )  # fmt: skip


_SALE_FILTERS = (
    "CustomerRef DocNumber TxnDate DueDate SalesTermRef DepartmentRef TotalAmt Balance ProjectRef EmailStatus"
)
_NAME_FILTERS = "DisplayName GivenName MiddleName FamilyName CompanyName PrintOnCheckName Active Balance FullyQualifiedName Suffix Title"
_TXN = "DocNumber TxnDate PrivateNote Line TotalAmt CurrencyRef ExchangeRate DepartmentRef LinkedTxn"
_TXN_FILTERS = "DocNumber TxnDate TotalAmt"

KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        _kind("Customer", "list", "name",
              f"{PERSON} Taxable Job BillWithParent ParentRef Level BalanceWithJobs DefaultTaxCodeRef SalesTermRef "
              "PaymentMethodRef PreferredDeliveryMethod ResaleNum ARAccountRef CustomerTypeRef IsProject ClientEntityId "
              "BusinessNumber GSTIN GSTRegistrationType SecondaryTaxIdentifier TaxExemption CreditLimit RootCustomerRef "
              "TaxIdentifier ClientCompanyId CreditChargeInfo CustomField AcctNum OverDueBalance TotalRevenue TotalExpense",
              f"{_NAME_FILTERS} Job ParentRef BalanceWithJobs", "DisplayName", exact="DisplayName CompanyName ParentRef"),
        _kind("Vendor", "list", "name",
              f"{PERSON} AcctNum Vendor1099 TaxIdentifier TermRef APAccountRef BillRate CostRate TaxReportingBasis GSTIN "
              "VendorPaymentBankDetail BusinessNumber HasTPAR T4AEligible T5018Eligible",
              _NAME_FILTERS, "DisplayName", exact="DisplayName"),
        _kind("Employee", "list", "name",
              f"{PERSON} SSN PrimaryAddr BillableTime BillRate BirthDate Gender HiredDate ReleasedDate EmployeeNumber CostRate",
              _NAME_FILTERS, "DisplayName", exact="DisplayName"),
        _kind("Item", "list", "item",
              "Name Sku Description Active SubItem ParentRef Level FullyQualifiedName Taxable SalesTaxIncluded UnitPrice Type "
              "IncomeAccountRef PurchaseDesc PurchaseTaxIncluded PurchaseCost ExpenseAccountRef AssetAccountRef TrackQtyOnHand "
              "QtyOnHand InvStartDate SalesTaxCodeRef PurchaseTaxCodeRef ItemCategoryType TaxClassificationRef ClassRef UQCId "
              "UQCDisplayText PrefVendorRef ReorderPoint ItemGroupDetail PrintGroupedItems ServiceType AbatementRate "
              "ReverseChargeRate RatePercent ManPartNum QtyOnPurchaseOrder QtyOnSalesOrder PercentBased DeferredRevenue "
              "Source ItemAssemblyDetail UOMSetRef",
              "Name Sku Description Active Type ParentRef UnitPrice PurchaseCost FullyQualifiedName SubItem QtyOnHand InvStartDate",
              "Name", exact="Name Sku FullyQualifiedName"),
        _kind("Account", "list", "account",
              "Name SubAccount ParentRef Description FullyQualifiedName AccountAlias TxnLocationType Active Classification "
              "AccountType AccountSubType AcctNum BankNum OpeningBalance OpeningBalanceDate CurrentBalance "
              "CurrentBalanceWithSubAccounts CurrencyRef TaxAccount TaxCodeRef OnlineBankingEnabled FIName",
              "Name SubAccount ParentRef Description FullyQualifiedName Active Classification AccountType AccountSubType AcctNum "
              "CurrentBalance", "Name", exact="Name FullyQualifiedName"),
        _kind("Class", "list", "class", "Name SubClass ParentRef FullyQualifiedName Active",
              "Name SubClass Active FullyQualifiedName", "Name", exact="Name"),
        _kind("Department", "list", "department", "Name SubDepartment ParentRef FullyQualifiedName Active Address",
              "Name SubDepartment Active FullyQualifiedName", "Name", exact="Name"),
        _kind("Term", "list", "term", "Name Active Type DueDays DiscountDays DiscountPercent DayOfMonthDue DueNextMonthDays "
              "DiscountDayOfMonth", "Name Active Type", "Name", exact="Name"),
        _kind("PaymentMethod", "list", "paymentmethod", "Name Active Type", "Name Active Type", "Name", exact="Name"),
        _kind("CompanyCurrency", "list", "companycurrency", "Name Code Active CustomField", "Name Code Active", "Name",
              exact="Code"),
        _kind("TaxCode", "list", "taxcode", "Name Description Active Hidden Taxable TaxGroup SalesTaxRateList "
              "PurchaseTaxRateList TaxCodeConfigType", "Name Description Active", "Name", writes=False, cdc=False),
        _kind("TaxRate", "list", "taxrate", "Name Description Active RateValue AgencyRef EffectiveTaxRate SpecialTaxType "
              "DisplayType TaxReturnLineRef", "Name Description Active", "Name", writes=False, cdc=False),
        _kind("TaxAgency", "list", "taxagency", "DisplayName TaxRegistrationNumber TaxTrackedOnSales TaxTrackedOnPurchases "
              "LastFileDate TaxAgencyConfig", "DisplayName", "DisplayName", writes=False, cdc=False),
        _kind("Invoice", "txn", "txn",
              f"{SALE} AllowIPNPayment AllowOnlinePayment AllowOnlineCreditCardPayment AllowOnlineACHPayment Deposit "
              "DepositToAccountRef InvoiceLink PaymentMethodRef PaymentRefNum LessCIS InvoiceEx ConvenienceFeeDetail callToAction "
              "invoiceStatusLog invoiceStatus EInvoiceStatus ECloudStatusTimeStamp RemitToRef TaxFormType TaxFormNum "
              "PaymentDetailsMessage", _SALE_FILTERS, exact="DocNumber CustomerRef"),
        _kind("Estimate", "txn", "txn", f"{SALE} ExpirationDate AcceptedBy AcceptedDate", f"{_SALE_FILTERS} TxnStatus "
              "ExpirationDate AcceptedDate", exact="DocNumber CustomerRef"),
        _kind("CreditMemo", "txn", "txn", f"{SALE} RemainingCredit PaymentMethodRef InvoiceRef DepositToAccountRef",
              f"{_SALE_FILTERS} RemainingCredit", exact="DocNumber CustomerRef"),
        _kind("SalesReceipt", "txn", "txn", f"{SALE} PaymentMethodRef PaymentRefNum DepositToAccountRef CheckPayment PaymentType "
              "CreditCardPayment ProcessPayment", f"{_SALE_FILTERS} PaymentMethodRef PaymentRefNum DepositToAccountRef",
              exact="DocNumber CustomerRef"),
        _kind("RefundReceipt", "txn", "txn", f"{SALE} PaymentMethodRef PaymentRefNum DepositToAccountRef CheckPayment PaymentType "
              "CreditCardPayment", f"{_SALE_FILTERS} PaymentMethodRef PaymentRefNum DepositToAccountRef",
              exact="DocNumber CustomerRef"),
        _kind("Payment", "txn", "txn",
              "CustomerRef ARAccountRef DepositToAccountRef PaymentMethodRef PaymentRefNum TotalAmt UnappliedAmt ProcessPayment "
              "TxnDate PrivateNote Line LinkedTxn CurrencyRef ExchangeRate TxnSource TxnStatus CreditCardPayment ProjectRef "
              "TransactionLocationType TaxExemptionRef CustomField PaymentType CheckPayment Overview HomeTotalAmt attachments",
              "CustomerRef TotalAmt TxnDate PaymentMethodRef PaymentRefNum ProjectRef UnappliedAmt DepositToAccountRef",
              exact="CustomerRef PaymentRefNum"),
        _kind("JournalEntry", "txn", "txn", f"{_TXN} Adjustment TxnTaxDetail GlobalTaxCalculation HomeTotalAmt RecurDataRef "
              "HomeCurrencyAdjustment EnteredHomeAmount JournalCodeRef TransactionLocationType TaxRateRef TotalTax",
              f"{_TXN_FILTERS} Adjustment", exact="DocNumber"),
        *(_kind(name, "txn", "txn", f"{_TXN} VendorRef EntityRef AccountRef Balance APAccountRef DepositToAccountRef "
                "FromAccountRef ToAccountRef Amount PayType PaymentType GlobalTaxCalculation TxnTaxDetail",
                f"{_TXN_FILTERS} VendorRef Balance", writes=False)
          for name in ("Bill", "BillPayment", "Purchase", "PurchaseOrder", "VendorCredit", "Deposit", "Transfer")),
        _kind("TimeActivity", "txn", "txn", "TxnDate NameOf CustomerRef Hours Minutes Description", "TxnDate", writes=False,
              cdc=False),
        _kind("CompanyInfo", "one", "one", "CompanyName LegalName CompanyAddr CustomerCommunicationAddr LegalAddr PrimaryPhone "
              "CompanyStartDate FiscalYearStartMonth Country Email WebAddr SupportedLanguages DefaultTimeZone NameValue "
              "EmployerId CompanyEmailAddr CustomerCommunicationEmailAddr", "", writes=False),
        _kind("Preferences", "one", "one", "AccountingInfoPrefs ProductAndServicesPrefs SalesFormsPrefs EmailMessagesPrefs "
              "VendorAndPurchasesPrefs TimeTrackingPrefs TaxPrefs CurrencyPrefs ReportPrefs OtherPrefs", "", writes=False),
        _kind("ExchangeRate", "one", "exchangerate", "SourceCurrencyCode TargetCurrencyCode Rate AsOfDate CustomField",
              "SourceCurrencyCode AsOfDate", writes=False),
    )
}  # fmt: skip
BY_PATH: Final = {kind.path: kind for kind in KINDS.values()}
BY_LOWER: Final = {kind.name.lower(): kind for kind in KINDS.values()}
NAMES: Final = ("Customer", "Vendor", "Employee")
"""Their names are unique together."""
SALES: Final = ("Invoice", "Estimate", "CreditMemo", "SalesReceipt", "RefundReceipt")
VOIDABLE: Final = ("Invoice", "Payment", "SalesReceipt", "CreditMemo")
