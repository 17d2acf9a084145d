"""The two services that read the ledger: open items of documents, and lines of the universal journal.

Both show the same stored lines. Of some 250 properties of the first and 190 of the second those are given that a
trading company fills, and the ones a reader may ask for without regret.
"""

from __future__ import annotations

from sandbox.accounting.sap.edm import EntitySet, Service, entity

OPEN_ITEM = entity("A_OperationalAcctgDocItemCubeType", """
    CompanyCode:u4! FiscalYear:n4! AccountingDocument:k10! AccountingDocumentItem:n3! CompanyCodeName:s25
    ChartOfAccounts:u4 AccountingDocumentItemType:u1 ClearingDate:d ClearingCreationDate:d
    ClearingAccountingDocument:k10 IsCleared:b PostingKey:u2 FinancialAccountType:u1 SpecialGLCode:u1
    DebitCreditCode:u1 BusinessArea:u4 TaxCode:u2 TaxType:u1 TransactionTypeDetermination:u3 ValueDate:d
    AssignmentReference:s18 DocumentItemText:s50 PartnerCompany:u6 PlanningLevel:u2 ControllingArea:u4
    CostCenter:u10 OrderID:u12 BillingDocument:k10 SalesDocument:k10 SalesDocumentItem:n6 IsSalesRelated:b
    IsOpenItemManaged:u1 IsAutomaticallyCreated:b IsUsedInPaymentTransaction:b OperationalGLAccount:k10
    GLAccount:k10 GLAccountName:s30 GLAccountLongName:s50 Customer:k10 CustomerName:s80 Supplier:k10
    SupplierName:s80 IsBalanceSheetAccount:b DueCalculationBaseDate:d PaymentTerms:u4 CashDiscount1Days:p3.0
    CashDiscount2Days:p3.0 NetPaymentDays:p3.0 CashDiscount1Percent:p5.3 CashDiscount2Percent:p5.3
    PaymentMethod:u1 PaymentBlockingReason:u1 HouseBank:u5 HouseBankAccount:u5 InvoiceReference:k10
    InvoiceReferenceFiscalYear:n4 InvoiceItemReference:n3 FollowOnDocumentType:u1 DunningBlockingReason:u1
    LastDunningDate:d DunningLevel:n1 Material:u40 Product:u40 Plant:u4 VATRegistration:u20
    PaymentDifferenceReason:u3 ProfitCenter:u10 ClearingIsReversed:b Reference1IDByBusinessPartner:u12
    Reference2IDByBusinessPartner:u12 Reference3IDByBusinessPartner:u20 IsNegativePosting:b
    PaymentReference:u30 TaxDeterminationDate:d ClearingItem:p5.0 ClearingDocFiscalYear:n4 LedgerGLLineItem:u6
    Segment:u10 ReferenceDocumentType:u5 OriginalReferenceDocument:u20 FiscalPeriod:n3
    AccountingDocumentCategory:u1 PostingDate:d DocumentDate:d AccountingDocumentType:u2
    AccountingDocumentTypeName:s20 NetDueDate:d OffsettingAccount:k10 OffsettingAccountType:u1
    CompanyCodeCurrency:c5 AmountInCompanyCodeCurrency:a24.3 TaxBaseAmountInCoCodeCrcy:a24.3
    CashDiscountAmtInCoCodeCrcy:a24.3 TransactionCurrency:c5 AmountInTransactionCurrency:a24.3
    OriginalTaxBaseAmount:a24.3 TaxAmount:a24.3 TaxBaseAmountInTransCrcy:a24.3 CashDiscountBaseAmount:a24.3
    NetPaymentAmount:a24.3 BalanceTransactionCurrency:c5 AmountInBalanceTransacCrcy:a24.3 BaseUnit:m3
    Quantity:q23.3 AccountingDocumentCreationDate:d CreationTime:t LastChangeDate:d ExchangeRateDate:d
    AccountingDocCreatedByUser:s12 TransactionCode:u20 DocumentReferenceID:u16 ReverseDocument:k10
    ReverseDocumentFiscalYear:n4 AccountingDocumentHeaderText:s25 ExchangeRate:p9.5
    BusinessTransactionType:u4 ReversalReason:u2 Reference1InDocumentHeader:u20 Reference2InDocumentHeader:u20
    Ledger:u2 LedgerGroup:u4 ExchangeRateType:u4 IsReversal:b IsReversed:b
""", label="Operational Accounting Document Items", unit="BaseUnit")  # fmt: skip

LINE = entity("GLAccountLineItemType", """
    ID:s0! SourceLedger:u2 CompanyCode:u4 FiscalYear:n4 AccountingDocument:k10 LedgerGLLineItem:u6 Ledger:u2
    LedgerFiscalYear:n4 GLRecordType:u1 ControllingArea:u4 ChartOfAccounts:u4 GLAccount:k10
    BusinessTransactionType:u4 ReferenceDocumentType:u5 ReferenceDocumentContext:u10 ReferenceDocument:k10
    ReferenceDocumentItem:n6 IsReversal:b IsReversed:b ReversalReferenceDocument:k10 IsSettlement:b IsSettled:b
    CostCenter:u10 ProfitCenter:u10 FunctionalArea:u16 BusinessArea:u4 Segment:u10 PartnerCompany:u6
    BalanceTransactionCurrency:c5 AmountInBalanceTransacCrcy:a23.3 TransactionCurrency:c5
    AmountInTransactionCurrency:a23.3 CompanyCodeCurrency:c5 AmountInCompanyCodeCurrency:a23.3
    GlobalCurrency:c5 AmountInGlobalCurrency:a23.3 BaseUnit:m3 Quantity:q23.3 DebitCreditCode:u1
    FiscalPeriod:n3 FiscalYearVariant:u2 FiscalYearPeriod:n7 PostingDate:d DocumentDate:d
    AccountingDocumentType:u2 AccountingDocumentItem:n3 AssignmentReference:s18
    AccountingDocumentCategory:u1 PostingKey:u2 TransactionTypeDetermination:u3 AccountingDocCreatedByUser:u12
    LastChangeDateTime:o0 CreationDateTime:o0 CreationDate:d DocumentItemText:s50 SalesDocument:k10
    SalesDocumentItem:n6 Product:u18 Plant:u4 Supplier:k10 Customer:k10 ServicesRenderedDate:d
    FinancialAccountType:u1 SpecialGLCode:u1 TaxCode:u2 HouseBank:u5 HouseBankAccount:u5 IsOpenItemManaged:u1
    ClearingDate:d ClearingAccountingDocument:k10 ClearingDocFiscalYear:n4 ValueDate:d OffsettingAccount:k10
    OffsettingAccountType:u1 LineItemIsCompleted:b BillingDocumentType:u4 SalesOrganization:u4
    DistributionChannel:u2 OrganizationDivision:u2 SoldProduct:u18
""", label="API G/L Account Line Item", unit="BaseUnit", analytic=True)  # fmt: skip

OPEN_ITEM_SRV = Service("API_OPLACCTGDOCITEMCUBE_SRV", "API_OPLACCTGDOCITEMCUBE_SRV", "FI-FIO-AR", {
    "A_OperationalAcctgDocItemCube": EntitySet("A_OperationalAcctgDocItemCube", OPEN_ITEM, "line")
})  # fmt: skip
LINE_SRV = Service("API_GLACCOUNTLINEITEM", "cds_api_glaccountlineitem", "FI-GL-IS", {
    "GLAccountLineItem": EntitySet("GLAccountLineItem", LINE, "line")
})  # fmt: skip
