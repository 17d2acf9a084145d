"""API_SALES_ORDER_SRV, API_BILLING_DOCUMENT_SRV and the price records: their types, sets and navigations."""

from __future__ import annotations

from sandbox.accounting.sap.edm import EntitySet, Service, entity, navigate

PRICE_ELEMENT = """
    PricingProcedureStep:n3! PricingProcedureCounter:n3! ConditionApplication:u2- ConditionType:u4
    PricingDateTime:u14- PriceConditionDeterminationDte:d- ConditionCalculationType:u3-
    ConditionBaseValue:p24.9- ConditionRateValue:p24.9 ConditionCurrency:c5 ConditionQuantity:p5.0
    ConditionQuantityUnit:m3 ConditionQuantitySAPUnit:s3 ConditionQuantityISOUnit:u3 ConditionCategory:s1-
    ConditionIsForStatistics:b- PricingScaleType:u1- ConditionOrigin:u1- IsGroupCondition:u1-
    ConditionRecord:k10- ConditionSequentialNumber:n3- TaxCode:u2- WithholdingTaxCode:u2-
    CndnRoundingOffDiffAmount:a6.3- ConditionAmount:a16.3- TransactionCurrency:c5 ConditionControl:u1-
    ConditionInactiveReason:u1- ConditionClass:u1- PrcgProcedureCounterForHeader:n3- StructureCondition:u1-
    PricingScaleBasis:u3- ConditionScaleBasisValue:p24.9- ConditionScaleBasisUnit:m3-
    ConditionScaleBasisCurrency:c5- CndnIsRelevantForIntcoBilling:b- ConditionIsManuallyChanged:b-
    ConditionIsForConfiguration:b- VariantCondition:s26-
"""

ORDER = entity("A_SalesOrderType", """
    SalesOrder:k10! SalesOrderType:u4 SalesOrganization:u4 DistributionChannel:u2 OrganizationDivision:u2
    SalesGroup:u3 SalesOffice:u4 SalesDistrict:u6 SoldToParty:k10 CreationDate:d- CreatedByUser:u12-
    LastChangeDate:d- SenderBusinessSystemName:s60- ExternalDocumentID:u40- LastChangeDateTime:o7-
    ExternalDocLastChangeDateTime:o7- PurchaseOrderByCustomer:s35 PurchaseOrderByShipToParty:s35
    CustomerPurchaseOrderType:u4 CustomerPurchaseOrderDate:d SalesOrderDate:d TotalNetAmount:a16.3-
    OverallDeliveryStatus:u1- TotalBlockStatus:u1- OverallOrdReltdBillgStatus:u1-
    OverallSDDocReferenceStatus:u1- TransactionCurrency:c5 SDDocumentReason:u3 PricingDate:d
    PriceDetnExchangeRate:p9.5 RequestedDeliveryDate:d ShippingCondition:u2 CompleteDeliveryIsDefined:b
    ShippingType:u2 HeaderBillingBlockReason:u2 DeliveryBlockReason:u2 DeliveryDateTypeRule:u1
    IncotermsClassification:u3 IncotermsTransferLocation:s28 IncotermsLocation1:s70 IncotermsLocation2:s70
    IncotermsVersion:u4 CustomerPriceGroup:u2 PriceListType:u2 CustomerPaymentTerms:u4 PaymentMethod:u1
    FixedValueDate:d AssignmentReference:s18 ReferenceSDDocument:k10 ReferenceSDDocumentCategory:s4-
    AccountingDocExternalReference:u16 CustomerAccountAssignmentGroup:u2 AccountingExchangeRate:p9.5
    CustomerGroup:u2 AdditionalCustomerGroup1:u3 AdditionalCustomerGroup2:u3 AdditionalCustomerGroup3:u3
    AdditionalCustomerGroup4:u3 AdditionalCustomerGroup5:u3 SlsDocIsRlvtForProofOfDeliv:b
    CustomerTaxClassification1:u1 CustomerTaxClassification2:u1 TaxDepartureCountry:u3
    VATRegistrationCountry:u3 SalesOrderApprovalReason:u4- SalesDocApprovalStatus:u1-
    OverallSDProcessStatus:u1- TotalCreditCheckStatus:u1- OverallTotalDeliveryStatus:u1-
    OverallSDDocumentRejectionSts:u1- BillingDocumentDate:d ContractAccount:u12 AdditionalValueDays:n2
    CustomerPurchaseOrderSuplmnt:s4 ServicesRenderedDate:d
""", label="Sales Order Header")  # fmt: skip

ITEM = entity("A_SalesOrderItemType", """
    SalesOrder:k10!- SalesOrderItem:n6! HigherLevelItem:n6 SalesOrderItemCategory:u4 SalesOrderItemText:s40
    PurchaseOrderByCustomer:s35 PurchaseOrderByShipToParty:s35 UnderlyingPurchaseOrderItem:s10
    ExternalItemID:u40- Material:u40 MaterialByCustomer:u35 PricingDate:d PricingReferenceMaterial:u40
    BillingPlan:k10- RequestedQuantity:q15.3 RequestedQuantityUnit:m3 RequestedQuantitySAPUnit:s3
    RequestedQuantityISOUnit:u3 ItemGrossWeight:q15.3- ItemNetWeight:q15.3- ItemWeightUnit:m3-
    ItemVolume:q15.3- ItemVolumeUnit:m3- TransactionCurrency:c5- NetAmount:a16.3- TotalSDDocReferenceStatus:u1-
    SDDocReferenceStatus:u1- MaterialSubstitutionReason:s4- MaterialGroup:u9 MaterialPricingGroup:u2 Batch:u10
    ProductionPlant:u4 StorageLocation:u4 DeliveryGroup:n3 ShippingPoint:u4 ShippingType:u2
    DeliveryPriority:n2 DeliveryDateTypeRule:u1 IncotermsClassification:u3 IncotermsTransferLocation:s28
    IncotermsLocation1:s70 IncotermsLocation2:s70 TaxAmount:a14.3- ProductTaxClassification1:u1
    ProductTaxClassification2:u1 MatlAccountAssignmentGroup:u2 CostAmount:a14.3- Subtotal1Amount:a14.3-
    CustomerPaymentTerms:u4 FixedValueDate:d CustomerGroup:u2 SalesDocumentRjcnReason:u2
    ItemBillingBlockReason:u2 SlsDocIsRlvtForProofOfDeliv:b WBSElement:n24 ProfitCenter:u10
    AccountingExchangeRate:p9.5 ReferenceSDDocument:k10 ReferenceSDDocumentItem:n6 SDProcessStatus:u1-
    DeliveryStatus:u1- OrderRelatedBillingStatus:u1- RequirementSegment:u40
""", label="Sales Order Item")  # fmt: skip

ITEM_PRICE = entity(
    "A_SalesOrderItemPrElementType",
    "SalesOrder:k10!- SalesOrderItem:n6!- " + PRICE_ELEMENT,
    label="Item Pricing Element",
)
HEADER_PRICE = entity(
    "A_SalesOrderHeaderPrElementType", "SalesOrder:k10!- " + PRICE_ELEMENT, label="Header Pricing Element"
)
PARTNER = entity("A_SalesOrderHeaderPartnerType", """
    SalesOrder:k10!- PartnerFunction:u2! PartnerFunctionInternalCode:u2- Customer:k10 Supplier:k10
    Personnel:n8 ContactPerson:n10 ReferenceBusinessPartner:k10-
""", label="Header Partner")  # fmt: skip
TEXT = entity(
    "A_SalesOrderTextType", "SalesOrder:k10!- Language:s2! LongTextID:u4! LongText:s0", label="Header Text"
)
SCHEDULE = entity("A_SalesOrderScheduleLineType", """
    SalesOrder:k10!- SalesOrderItem:n6!- ScheduleLine:n4! RequestedDeliveryDate:d ConfirmedDeliveryDate:d
    OrderQuantityUnit:m3 OrderQuantitySAPUnit:s3 OrderQuantityISOUnit:u3 ScheduleLineOrderQuantity:q13.3
    ConfdOrderQtyByMatlAvailCheck:q13.3 DeliveredQtyInOrderQtyUnit:q13.3 OpenConfdDelivQtyInOrdQtyUnit:q13.3
    DelivBlockReasonForSchedLine:u2
""", label="Item Schedule Line", unit="OrderQuantityUnit")  # fmt: skip
FLOW = entity("A_SalesOrderSubsqntProcFlowType", """
    SalesOrder:k10!- DocRelationshipUUID:g!- SubsequentDocument:k10- SubsequentDocumentCategory:s4-
    ProcessFlowLevel:n2- CreationDate:d- CreationTime:t- LastChangeDate:d-
""", label="Header Subsequent Process Flow")  # fmt: skip

BILLING = entity("A_BillingDocumentType", """
    BillingDocument:k10! SDDocumentCategory:s4 BillingDocumentCategory:u1 BillingDocumentType:u4 CreationDate:d
    CreationTime:t LastChangeDate:d LastChangeDateTime:o7 LogicalSystem:u10 SalesOrganization:u4
    DistributionChannel:u2 Division:u2 BillingDocumentDate:d BillingDocumentIsCancelled:b
    CancelledBillingDocument:k10 ForeignTrade:u10 IsExportDelivery:u1 BillingDocCombinationCriteria:u40
    ManualInvoiceMaintIsRelevant:b TotalNetAmount:a16.3 TransactionCurrency:c5 StatisticsCurrency:c5
    TaxAmount:a14.3 TotalGrossAmount:a17.3 CustomerPriceGroup:u2 PriceListType:u2 TaxDepartureCountry:u3
    VATRegistration:u20 VATRegistrationOrigin:u1 VATRegistrationCountry:u3 CustomerTaxClassification1:u1
    IsEUTriangularDeal:b SDPricingProcedure:u6 ShippingCondition:u2 IncotermsClassification:u3
    IncotermsTransferLocation:s28 PayerParty:k10 ContractAccount:u12 CustomerPaymentTerms:u4 PaymentMethod:u1
    PaymentReference:u30 FixedValueDate:d AdditionalValueDays:n2 CompanyCode:u4 FiscalYear:n4
    AccountingDocument:k10 CustomerAccountAssignmentGroup:u2 AccountingExchangeRateIsSet:b
    AbsltAccountingExchangeRate:p9.5 AcctgExchangeRateIsIndrctQtan:b ExchangeRateDate:d ExchangeRateType:u4
    DocumentReferenceID:u16 AssignmentReference:s18 DunningBlockingReason:u1 SoldToParty:k10 PartnerCompany:u6
    PurchaseOrderByCustomer:s35 CustomerGroup:u2 Country:u3 SalesDistrict:u6 Region:u3 CreditControlArea:u4
    SalesDocumentCondition:u10 OverallSDProcessStatus:u1 OverallBillingStatus:u1 AccountingPostingStatus:u1
    AccountingTransferStatus:u1 BillingIssueType:u1 InvoiceListStatus:u1 OvrlItmGeneralIncompletionSts:u1
    OverallPricingIncompletionSts:u1 InvoiceClearingStatus:u1
""", label="Billing Document Header")  # fmt: skip
BILLING_ITEM = entity("A_BillingDocumentItemType", """
    BillingDocument:k10! BillingDocumentItem:n6! SalesDocumentItemCategory:u4 SalesDocumentItemType:u1
    CreatedByUser:u12 CreationDate:d CreationTime:t OrganizationDivision:u2 Division:u2 SalesOffice:u4
    Material:u40 OriginallyRequestedMaterial:u40 MaterialGroup:u9 Plant:u4 StorageLocation:u4
    BillingDocumentItemText:s40 ServicesRenderedDate:d BillingQuantity:q13.3 BillingQuantityUnit:m3
    BillingQuantityInBaseUnit:q13.3 BaseUnit:m3 BillingToBaseQuantityDnmntr:p5.0 BillingToBaseQuantityNmrtr:p5.0
    NetAmount:a16.3 TransactionCurrency:c5 GrossAmount:a16.3 PricingDate:d AbsltPriceDetnExchangeRate:p9.5
    TaxAmount:a14.3 CostAmount:a14.3 Subtotal1Amount:a14.3 DepartureCountry:u3 ProductTaxClassification1:u1
    EligibleAmountForCashDiscount:a14.3 BusinessArea:u4 ProfitCenter:u10 ControllingArea:u4
    OriginSDDocument:k10 OriginSDDocumentItem:n6 MatlAccountAssignmentGroup:u2 ReferenceSDDocument:k10
    ReferenceSDDocumentItem:n6 ReferenceSDDocumentCategory:s4 SalesDocument:k10 SalesDocumentItem:n6
    SalesSDDocumentCategory:s4 HigherLevelItem:n6 SalesGroup:u3 SDDocumentReason:u3
    SalesOrderSalesOrganization:u4 SalesOrderDistributionChannel:u2 SalesDocIsCreatedFromReference:b
    ShippingPoint:u4
""", label="Billing Document Item")  # fmt: skip
BILLING_PARTNER = entity("A_BillingDocumentPartnerType", """
    BillingDocument:k10! PartnerFunction:u2! Customer:k10 Supplier:k10 Personnel:n8 ContactPerson:n10
""", label="Billing Document Partner")  # fmt: skip
BILLING_PRICE = entity(
    "A_BillingDocumentItemPrcgElmntType",
    "BillingDocument:k10! BillingDocumentItem:n6! " + PRICE_ELEMENT.replace("- ", " "),
    label="Billing Document Item Pricing Element",
)

VALIDITY = entity("A_SlsPrcgCndnRecdValidityType", """
    ConditionRecord:k10! ConditionValidityEndDate:d! ConditionValidityStartDate:d ConditionApplication:u2
    ConditionType:u4 ConditionReleaseStatus:u1 DepartureCountry:u3 Customer:k10 SoldToParty:k10 Supplier:k10
    DestinationCountry:u3 MaterialGroup:u9 Material:u40 PriceListType:u2 Division:u2
    CustomerTaxClassification1:u1 ProductTaxClassification1:u1 SalesOffice:u4 SalesOrganization:u4
    DistributionChannel:u2 TransactionCurrency:c5 Plant:u4 TaxCode:u2
""", label="Validity")  # fmt: skip
RECORD = entity("A_SlsPrcgConditionRecordType", """
    ConditionRecord:k10! ConditionSequentialNumber:n2 ConditionTable:s3 ConditionApplication:u2 ConditionType:u4
    ConditionValidityEndDate:d ConditionValidityStartDate:d CreatedByUser:u12 CreationDate:d ConditionTextID:u10
    PricingScaleType:u1 PricingScaleBasis:u1 ConditionCalculationType:u1 ConditionRateValue:p24.9
    ConditionRateValueUnit:s5 ConditionQuantity:p5.0 ConditionQuantityUnit:m3 ConditionToBaseQtyNmrtr:p5.0
    ConditionToBaseQtyDnmntr:p5.0 BaseUnit:m3 ConditionIsDeleted:b PaymentTerms:u4 ConditionReleaseStatus:u1
    ConditionTaxCode:u2 ETag:s26
""", label="Condition Record")  # fmt: skip

navigate(ORDER, "to_Item", "A_SalesOrderItem", True, "SalesOrder")
navigate(ORDER, "to_Partner", "A_SalesOrderHeaderPartner", True, "SalesOrder")
navigate(ORDER, "to_PricingElement", "A_SalesOrderHeaderPrElement", True, "SalesOrder")
navigate(ORDER, "to_Text", "A_SalesOrderText", True, "SalesOrder")
navigate(ORDER, "to_SubsequentProcFlowDoc", "A_SalesOrderSubsqntProcFlow", True, "SalesOrder")
navigate(ITEM, "to_PricingElement", "A_SalesOrderItemPrElement", True, "SalesOrder", "SalesOrderItem")
navigate(ITEM, "to_ScheduleLine", "A_SalesOrderScheduleLine", True, "SalesOrder", "SalesOrderItem")
navigate(ITEM, "to_SalesOrder", "A_SalesOrder", False, "SalesOrder")
for _type in (ITEM_PRICE, HEADER_PRICE, PARTNER, TEXT):
    navigate(_type, "to_SalesOrder", "A_SalesOrder", False, "SalesOrder")
navigate(ITEM_PRICE, "to_SalesOrderItem", "A_SalesOrderItem", False, "SalesOrder", "SalesOrderItem")
navigate(BILLING, "to_Item", "A_BillingDocumentItem", True, "BillingDocument")
navigate(BILLING, "to_Partner", "A_BillingDocumentPartner", True, "BillingDocument")
navigate(BILLING_ITEM, "to_BillingDocument", "A_BillingDocument", False, "BillingDocument")
navigate(
    BILLING_ITEM, "to_PricingElement", "A_BillingDocumentItemPrcgElmnt", True, "BillingDocument", "BillingDocumentItem"
)  # fmt: skip
navigate(VALIDITY, "to_SlsPrcgConditionRecord", "A_SlsPrcgConditionRecord", False, "ConditionRecord")
navigate(RECORD, "to_SlsPrcgCndnRecdValidity", "A_SlsPrcgCndnRecdValidity", True, "ConditionRecord")

SALES_ORDER_SRV = Service("API_SALES_ORDER_SRV", "API_SALES_ORDER_SRV", "SD-SLS-API", {
    found.name: found for found in (
        EntitySet("A_SalesOrder", ORDER, "order", "cud", "LastChangeDateTime", strict=True),
        EntitySet("A_SalesOrderHeaderPartner", PARTNER, "order_partner", "ud"),
        EntitySet("A_SalesOrderHeaderPrElement", HEADER_PRICE, "order_price", ""),
        EntitySet("A_SalesOrderItem", ITEM, "order_item", "ud"),
        EntitySet("A_SalesOrderItemPrElement", ITEM_PRICE, "item_price", "ud"),
        EntitySet("A_SalesOrderScheduleLine", SCHEDULE, "order_schedule", ""),
        EntitySet("A_SalesOrderText", TEXT, "order_text", "ud"),
        EntitySet("A_SalesOrderSubsqntProcFlow", FLOW, "order_flow", ""),
    )
})  # fmt: skip
BILLING_DOCUMENT_SRV = Service("API_BILLING_DOCUMENT_SRV", "API_BILLING_DOCUMENT_SRV", "SD-BIL", {
    found.name: found for found in (
        EntitySet("A_BillingDocument", BILLING, "billing", "", "LastChangeDateTime", strict=True),
        EntitySet("A_BillingDocumentItem", BILLING_ITEM, "billing_item"),
        EntitySet("A_BillingDocumentItemPrcgElmnt", BILLING_PRICE, "billing_price"),
        EntitySet("A_BillingDocumentPartner", BILLING_PARTNER, "billing_partner"),
    )
}, functions={
    "Cancel": {
        "result": "CancelResult", "many": True, "method": "POST", "for": "A_BillingDocumentType",
        "parameters": ["BillingDocument"], "properties": """
            BillingDocument:s10 CancellationBillingDocument:s10 SystemMessageType:s1
            SystemMessageIdentification:s20 SystemMessageNumber:s3 SystemMessageText:s256
            SystemMessageVariable1:s50 SystemMessageVariable2:s50 SystemMessageVariable3:s50
            SystemMessageVariable4:s50""",
    },
    "GetPDF": {
        "result": "GetPDFResult", "method": "GET", "for": "A_BillingDocumentType",
        "parameters": ["BillingDocument"], "properties": "BillingDocumentBinary:s0",
    },
})  # fmt: skip
PRICING_SRV = Service("API_SLSPRICINGCONDITIONRECORD_SRV", "API_SLSPRICINGCONDITIONRECORD_SRV", "SD-BF-PR", {
    found.name: found for found in (
        EntitySet("A_SlsPrcgCndnRecdValidity", VALIDITY, "price_validity"),
        EntitySet("A_SlsPrcgConditionRecord", RECORD, "price_record"),
    )
})  # fmt: skip
