"""API_BUSINESS_PARTNER, API_PRODUCT_SRV, API_MATERIAL_STOCK_SRV and the small services of our own firm.

The small ones (company code, plant, G/L accounts) hold what a reader of masters needs of them, not every field.
"""

from __future__ import annotations

from sandbox.accounting.sap.edm import EntitySet, EntityType, Service, entity, navigate

PARTNER = entity("A_BusinessPartnerType", """
    BusinessPartner:k10! Customer:k10- Supplier:k10- AcademicTitle:u4 AuthorizationGroup:u4
    BusinessPartnerCategory:u1 BusinessPartnerFullName:s81- BusinessPartnerGrouping:u4
    BusinessPartnerName:s81- BusinessPartnerUUID:g- CorrespondenceLanguage:s2 CreatedByUser:u12-
    CreationDate:d- CreationTime:t- FirstName:s40 FormOfAddress:u4 Industry:u10
    InternationalLocationNumber1:n7 InternationalLocationNumber2:n5 IsFemale:b IsMale:b IsNaturalPerson:u1
    IsSexUnknown:b GenderCodeName:u1 Language:s2 LastChangeDate:d- LastChangeTime:t- LastChangedByUser:u12-
    LastName:s40 LegalForm:u2 OrganizationBPName1:s40 OrganizationBPName2:s40 OrganizationBPName3:s40
    OrganizationBPName4:s40 OrganizationFoundationDate:d OrganizationLiquidationDate:d SearchTerm1:u20
    SearchTerm2:u20 AdditionalLastName:s40 BirthDate:d BusinessPartnerBirthplaceName:s40
    BusinessPartnerIsBlocked:b BusinessPartnerType:u4 ETag:s26- GroupBusinessPartnerName1:s40
    GroupBusinessPartnerName2:s40 IndependentAddressID:u10- InternationalLocationNumber3:n1 MiddleName:s40
    NameCountry:u3 NameFormat:u2 PersonFullName:s80 PersonNumber:u10- IsMarkedForArchiving:b
    BusinessPartnerIDByExtSystem:u20 TradingPartner:u6
""", label="Business Partner")  # fmt: skip
ROLE = entity("A_BusinessPartnerRoleType", """
    BusinessPartner:k10! BusinessPartnerRole:u6! ValidFrom:o0 ValidTo:o0 AuthorizationGroup:u4
""", label="Role")  # fmt: skip
TAX = entity("A_BusinessPartnerTaxNumberType", """
    BusinessPartner:k10! BPTaxType:u4! BPTaxNumber:u20 BPTaxLongNumber:u60 AuthorizationGroup:u4
""", label="Tax Number")  # fmt: skip
ADDRESS = entity("A_BusinessPartnerAddressType", """
    BusinessPartner:k10! AddressID:k10! ValidityStartDate:o0 ValidityEndDate:o0 AuthorizationGroup:u4
    AddressUUID:g- AdditionalStreetPrefixName:s40 AdditionalStreetSuffixName:s40 AddressTimeZone:u6
    CareOfName:s40 CityCode:u12 CityName:s40 Country:u3 County:s40 District:s40 FormOfAddress:u4-
    FullName:s80- HomeCityName:s40 HouseNumber:s10 HouseNumberSupplementText:s10 Language:s2 Person:k10-
    PostalCode:u10 PrfrdCommMediumType:u3 Region:u3 StreetName:s60 StreetPrefixName:s40 StreetSuffixName:s40
    TaxJurisdiction:u15 TransportZone:u10 AddressIDByExternalSystem:u20
""", label="Address")  # fmt: skip
EMAIL = entity("A_AddressEmailAddressType", """
    AddressID:k10! Person:k10! OrdinalNumber:n3! IsDefaultEmailAddress:b EmailAddress:s241
    SearchEmailAddress:u20 AddressCommunicationRemarkText:s50
""", label="Email Address")  # fmt: skip
PHONE = entity("A_AddressPhoneNumberType", """
    AddressID:k10! Person:k10! OrdinalNumber:n3! DestinationLocationCountry:u3 IsDefaultPhoneNumber:b
    PhoneNumber:u30 PhoneNumberExtension:u10 InternationalPhoneNumber:u30 PhoneNumberType:u1
    AddressCommunicationRemarkText:s50
""", label="Phone Number")  # fmt: skip
IDENTIFICATION = entity("A_BuPaIdentificationType", """
    BusinessPartner:k10! BPIdentificationType:u6! BPIdentificationNumber:u60! BPIdnNmbrIssuingInstitute:s40
    BPIdentificationEntryDate:d Country:u3 Region:u3 ValidityStartDate:d ValidityEndDate:d
    AuthorizationGroup:u4
""", label="Identification")  # fmt: skip
BANK = entity("A_BusinessPartnerBankType", """
    BusinessPartner:k10! BankIdentification:u4! BankCountryKey:u3 BankName:s60- BankNumber:u15
    SWIFTCode:u11- BankControlKey:u2 BankAccountHolderName:s60 BankAccountName:s40 ValidityStartDate:o0
    ValidityEndDate:o0 IBAN:u34 IBANValidityStartDate:d BankAccount:u18 BankAccountReferenceText:u20
    CollectionAuthInd:b CityName:s35- AuthorizationGroup:u4
""", label="Bank")  # fmt: skip
CUSTOMER = entity("A_CustomerType", """
    Customer:k10! AuthorizationGroup:u4 BillingIsBlockedForCustomer:u2 CreatedByUser:u12- CreationDate:d-
    CustomerAccountGroup:u4 CustomerClassification:u2 CustomerFullName:u220- CustomerName:s80-
    DeliveryIsBlocked:u2 NFPartnerIsNaturalPerson:u1 OrderIsBlockedForCustomer:u2 PostingIsBlocked:b
    Supplier:k10 CustomerCorporateGroup:u10 FiscalAddress:u10 Industry:u4- InternationalLocationNumber1:n7
    NielsenRegion:u2 ResponsibleType:u2 TaxNumber1:u16- TaxNumber2:u11- TaxNumber3:u18- TaxNumber4:u18-
    TaxNumber5:u60- TaxNumberType:u2 VATRegistration:u20 DeletionIndicator:b
""", label="Customer")  # fmt: skip
COMPANY = entity("A_CustomerCompanyType", """
    Customer:k10! CompanyCode:u4! APARToleranceGroup:u4 AccountByCustomer:u12 AccountingClerk:u2
    AlternativePayerAccount:u10 AuthorizationGroup:u4 CollectiveInvoiceVariant:u1 CustomerAccountNote:s30
    CustomerHeadOffice:u10 CustomerSupplierClearingIsUsed:b HouseBank:u5 IsToBeLocallyProcessed:b
    ItemIsToBePaidSeparately:b LayoutSortingRule:u3 PaymentBlockingReason:u1 PaymentMethodsList:u10
    PaymentTerms:u4 PaytAdviceIsSentbyEDI:b PhysicalInventoryBlockInd:b ReconciliationAccount:k10
    RecordPaymentHistoryIndicator:b UserAtCustomer:s15 DeletionIndicator:b CashPlanningGroup:u10
    KnownOrNegotiatedLeave:u4 ValueAdjustmentKey:u2 CustomerAccountGroup:u4
""", label="Customer Company")  # fmt: skip
AREA = entity("A_CustomerSalesAreaType", """
    Customer:k10! SalesOrganization:u4! DistributionChannel:u2! Division:u2! AccountByCustomer:u12
    AuthorizationGroup:u4 BillingIsBlockedForCustomer:u2 CompleteDeliveryIsDefined:b Currency:c5
    CustomerABCClassification:u2 CustomerAccountAssignmentGroup:u2 CustomerGroup:u2 CustomerPaymentTerms:u4
    CustomerPriceGroup:u2 CustomerPricingProcedure:u2 DeliveryIsBlockedForCustomer:u2 DeliveryPriority:n2
    IncotermsClassification:u3 IncotermsLocation2:s70 IncotermsVersion:u4 IncotermsLocation1:s70
    DeletionIndicator:b IncotermsTransferLocation:s28 InvoiceDate:u2 ItemOrderProbabilityInPercent:n3
    OrderCombinationIsAllowed:b OrderIsBlockedForCustomer:u2 PartialDeliveryIsAllowed:u1 PriceListType:u2
    SalesGroup:u3 SalesOffice:u4 ShippingCondition:u2 SupplyingPlant:u4 SalesDistrict:u6
    InvoiceListSchedule:u2 ExchangeRateType:u4 AdditionalCustomerGroup1:u3 AdditionalCustomerGroup2:u3
    AdditionalCustomerGroup3:u3 AdditionalCustomerGroup4:u3 AdditionalCustomerGroup5:u3
    PaymentGuaranteeProcedure:u4 CustomerAccountGroup:u4
""", label="Sales Area")  # fmt: skip
AREA_TAX = entity("A_CustomerSalesAreaTaxType", """
    Customer:k10! SalesOrganization:u4! DistributionChannel:u2! Division:u2! DepartureCountry:u3!
    CustomerTaxCategory:u4! CustomerTaxClassification:u1
""", label="Sales Area Tax")  # fmt: skip
AREA_PARTNER = entity("A_CustSalesPartnerFuncType", """
    Customer:k10! SalesOrganization:u4! DistributionChannel:u2! Division:u2! PartnerCounter:n3!
    PartnerFunction:u2! BPCustomerNumber:k10 CustomerPartnerDescription:s30 DefaultPartner:b
    AuthorizationGroup:u4
""", label="Sales Partner Functions")  # fmt: skip
SUPPLIER = entity("A_SupplierType", """
    Supplier:k10! AlternativePayeeAccountNumber:u10 AuthorizationGroup:u4 CreatedByUser:u12- CreationDate:d-
    Customer:k10 PaymentIsBlockedForSupplier:b PostingIsBlocked:b PurchasingIsBlocked:b
    SupplierAccountGroup:u4 SupplierFullName:u220- SupplierName:s80- VATRegistration:u20 BirthDate:d
    DeletionIndicator:b FiscalAddress:u10 Industry:u4- InternationalLocationNumber1:n7
    InternationalLocationNumber2:n5 InternationalLocationNumber3:n1 IsNaturalPerson:u1 ResponsibleType:u2
    SupplierCorporateGroup:u10 SupplierProcurementBlock:u2 TaxNumber1:u16- TaxNumber2:u11- TaxNumber3:u18-
    TaxNumber4:u18- TaxNumber5:u60- TaxNumberType:u2
""", label="Supplier")  # fmt: skip
PRODUCT = entity("A_ProductType", """
    Product:u40! ProductType:u4 CrossPlantStatus:u2 CrossPlantStatusValidityDate:d CreationDate:d-
    CreatedByUser:u12- LastChangeDate:d- LastChangedByUser:u12- LastChangeDateTime:o7- IsMarkedForDeletion:b
    ProductOldID:u40 GrossWeight:q13.3 PurchaseOrderQuantityUnit:m3 SourceOfSupply:u1 WeightUnit:m3
    NetWeight:q13.3 CountryOfOrigin:u3 CompetitorID:u10 ProductGroup:u9 BaseUnit:m3 ItemCategoryGroup:u4
    ProductHierarchy:u18 Division:u2 VarblPurOrdUnitIsActive:u1 VolumeUnit:m3 MaterialVolume:q13.3
    ANPCode:n9 Brand:u4 ProcurementRule:u1 ValidityStartDate:d LowLevelCode:u3
    ProdNoInGenProdInPrepackProd:u40 SerialIdentifierAssgmtProfile:u4 SizeOrDimensionText:u32
    IndustryStandardName:u18 ProductStandardID:u18 InternationalArticleNumberCat:u2 ProductIsConfigurable:b
    IsBatchManagementRequired:b ExternalProductGroup:u18 CrossPlantConfigurableProduct:u40
    SerialNoExplicitnessLevel:u1 ProductManufacturerNumber:u40 ManufacturerNumber:u10
    ManufacturerPartProfile:u4 QltyMgmtInProcmtIsActive:b IndustrySector:u1 ChangeNumber:u12
    MaterialRevisionLevel:u2 HandlingIndicator:u4 WarehouseProductGroup:u4 WarehouseStorageCondition:u2
    StandardHandlingUnitType:u4 SerialNumberProfile:u4 AdjustmentProfile:u3 PreferredUnitOfMeasure:m3
    IsPilferable:b IsRelevantForHzdsSubstances:b QuarantinePeriod:p3.0 TimeUnitForQuarantinePeriod:m3
    QualityInspectionGroup:u4 AuthorizationGroup:u4 HandlingUnitType:u4 HasVariableTareWeight:b
    MaximumPackagingLength:q15.3 MaximumPackagingWidth:q15.3 MaximumPackagingHeight:q15.3
    UnitForMaxPackagingDimensions:m3
""", label="Product", unit="BaseUnit")  # fmt: skip
DESCRIPTION = entity("A_ProductDescriptionType", """
    Product:u40! Language:s2! ProductDescription:s40
""", label="Product Description")  # fmt: skip
DELIVERY = entity("A_ProductSalesDeliveryType", """
    Product:u40! ProductSalesOrg:u4! ProductDistributionChnl:u2! MinimumOrderQuantity:q13.3
    SupplyingPlant:u4 PriceSpecificationProductGroup:u2 AccountDetnProductGroup:u2
    DeliveryNoteProcMinDelivQty:q13.3 ItemCategoryGroup:u4 DeliveryQuantityUnit:m3 DeliveryQuantity:q13.3
    ProductSalesStatus:u2 ProductSalesStatusValidityDate:d SalesMeasureUnit:m3 IsMarkedForDeletion:b
    ProductHierarchy:u18 MinimumMakeToOrderOrderQty:q13.3 BaseUnit:m3 LogisticsStatisticsGroup:u1
    VolumeRebateGroup:u2 ProductCommissionGroup:u2 CashDiscountIsDeductible:b PricingReferenceProduct:u40
    RoundingProfile:u4 ProductUnitGroup:u4 VariableSalesUnitIsNotAllowed:b
""", label="Sales Organization Data", unit="BaseUnit")  # fmt: skip
SALES_TAX = entity("A_ProductSalesTaxType", """
    Product:u40! Country:u3! TaxCategory:u4! TaxClassification:s1!
""", label="Sales Tax Data")  # fmt: skip
PRODUCT_PLANT = entity("A_ProductPlantType", """
    Product:u40! Plant:u4! PurchasingGroup:u3 CountryOfOrigin:u3 RegionOfOrigin:u3
    ProductionInvtryManagedLoc:u4 AvailabilityCheckType:u2 PeriodType:u1 ProfitCenter:u10 Commodity:u17
    GoodsReceiptDuration:p3.0 MaintenanceStatusName:u15 IsMarkedForDeletion:b MRPType:u2 MRPResponsible:u3
    ABCIndicator:u1 MinimumLotSizeQuantity:q13.3 MaximumLotSizeQuantity:q13.3 FixedLotSizeQuantity:q13.3
    ConsumptionTaxCtrlCode:u16 IsCoProduct:b ProductIsConfigurable:u40 StockDeterminationGroup:u4
    HasPostToInspectionStock:b IsBatchManagementRequired:b SerialNumberProfile:u4 IsNegativeStockAllowed:b
    GoodsReceiptBlockedStockQty:q13.3 HasConsignmentCtrl:u1 ProcurementType:u1 IsInternalBatchManaged:b
    ProductCFOPCategory:u2 ProductIsExciseTaxRelevant:b BaseUnit:m3 ConfigurableProduct:u40
    GoodsIssueUnit:m3 MaterialFreightGroup:u8 ProductIsCriticalPrt:b ProductLogisticsHandlingGroup:u4
""", label="Plant Data", unit="BaseUnit")  # fmt: skip
PRODUCT_UNIT = entity("A_ProductUnitsOfMeasureType", """
    Product:u40! AlternativeUnit:m3! QuantityNumerator:q5.0 QuantityDenominator:q5.0 MaterialVolume:q13.3
    VolumeUnit:m3 GrossWeight:q13.3 WeightUnit:m3 GlobalTradeItemNumber:u18 GlobalTradeItemNumberCategory:u2
    ProductMeasurementUnit:m3 BaseUnit:m3
""", label="Units of Measure", unit="BaseUnit")  # fmt: skip
VALUATION = entity("A_ProductValuationType", """
    Product:u40! ValuationArea:u4! ValuationType:u10! ValuationClass:u4 PriceDeterminationControl:u1
    StandardPrice:a12.3 PriceUnitQty:p5.0 InventoryValuationProcedure:u1 IsMarkedForDeletion:b
    MovingAveragePrice:a12.3 ValuationCategory:u1 ProductUsageType:u1 ProductOriginType:u1
    IsProducedInhouse:b ProdCostEstNumber:n12 TaxBasedPricesPriceUnitQty:q5.0 PriceLastChangeDate:d
    PrevInvtryPriceInCoCodeCrcy:a12.3 Currency:c5 BaseUnit:m3
""", label="Valuation Area Data", unit="BaseUnit")  # fmt: skip
PRODUCT_SALES = entity("A_ProductSalesType", """
    Product:u40! SalesStatus:u2 SalesStatusValidityDate:d TaxClassification:u1 TransportationGroup:u4
""", label="Basic Sales Data")  # fmt: skip
STOCK_MATERIAL = entity(
    "A_MaterialStockType",
    "Material:u40! MaterialBaseUnit:m3",
    label="Material Master",
    unit="MaterialBaseUnit",
)
STOCK = entity("A_MatlStkInAcctModType", """
    Material:u40! Plant:u4! StorageLocation:u4! Batch:u10! Supplier:k10! Customer:k10! WBSElementInternalID:n8!
    SDDocument:k10! SDDocumentItem:n6! InventorySpecialStockType:u1! InventoryStockType:u2!
    WBSElementExternalID:u24 MaterialBaseUnit:m3 MatlWrhsStkQtyInMatlBaseUnit:q31.14
""", label="Material Stock", unit="MaterialBaseUnit")  # fmt: skip
COMPANY_CODE = entity("A_CompanyCodeType", """
    CompanyCode:u4! CompanyCodeName:s25 CityName:s25 Country:u3 Currency:c5 Language:s2 ChartOfAccounts:u4
    FiscalYearVariant:u2 Company:u6 CreditControlArea:u4 VATRegistration:u20 AddressID:k10
""", label="Company Code")  # fmt: skip
PLANT = entity("A_PlantType", """
    Plant:u4! PlantName:s30 ValuationArea:u4 PlantCustomer:k10 SalesOrganization:u4 AddressID:k10 Language:s2
""", label="Plant")  # fmt: skip
GL_ACCOUNT = entity("A_GLAccountInChartOfAccountsType", """
    ChartOfAccounts:u4! GLAccount:k10! IsBalanceSheetAccount:b GLAccountGroup:u4 ProfitLossAccountType:u2
    SampleGLAccount:k10 AccountIsMarkedForDeletion:b AccountIsBlockedForCreation:b AccountIsBlockedForPosting:b
    CorporateGroupAccount:u10 GLAccountType:u1 CreatedByUser:u12 CreationDate:d LastChangeDateTime:o7
""", label="G/L Account in Chart of Accounts")  # fmt: skip
GL_TEXT = entity("A_GLAccountTextType", """
    ChartOfAccounts:u4! GLAccount:k10! Language:s2! GLAccountName:s20 GLAccountLongName:s50
    LastChangeDateTime:o7
""", label="G/L Account Text")  # fmt: skip

_BP, _ADDRESS_KEY = ("BusinessPartner",), ("AddressID",)
_AREA = ("Customer", "SalesOrganization", "DistributionChannel", "Division")
for _name, _set in (
    ("to_BusinessPartnerRole", "A_BusinessPartnerRole"), ("to_BusinessPartnerTax", "A_BusinessPartnerTaxNumber"),
    ("to_BusinessPartnerAddress", "A_BusinessPartnerAddress"), ("to_BuPaIdentification", "A_BuPaIdentification"),
    ("to_BusinessPartnerBank", "A_BusinessPartnerBank"),
):  # fmt: skip
    navigate(PARTNER, _name, _set, True, *_BP)
navigate(PARTNER, "to_Customer", "A_Customer", False, "Customer")
navigate(PARTNER, "to_Supplier", "A_Supplier", False, "Supplier")
navigate(ADDRESS, "to_EmailAddress", "A_AddressEmailAddress", True, *_ADDRESS_KEY)
navigate(ADDRESS, "to_PhoneNumber", "A_AddressPhoneNumber", True, *_ADDRESS_KEY)
navigate(CUSTOMER, "to_CustomerCompany", "A_CustomerCompany", True, "Customer")
navigate(CUSTOMER, "to_CustomerSalesArea", "A_CustomerSalesArea", True, "Customer")
navigate(AREA, "to_SalesAreaTax", "A_CustomerSalesAreaTax", True, *_AREA)
navigate(AREA, "to_PartnerFunction", "A_CustSalesPartnerFunc", True, *_AREA)
for _name, _set in (
    ("to_Description", "A_ProductDescription"), ("to_Plant", "A_ProductPlant"),
    ("to_ProductSalesTax", "A_ProductSalesTax"), ("to_ProductUnitsOfMeasure", "A_ProductUnitsOfMeasure"),
    ("to_SalesDelivery", "A_ProductSalesDelivery"), ("to_Valuation", "A_ProductValuation"),
):  # fmt: skip
    navigate(PRODUCT, _name, _set, True, "Product")
navigate(PRODUCT, "to_ProductSales", "A_ProductSales", False, "Product")
navigate(DELIVERY, "to_SalesTax", "A_ProductSalesTax", True, "Product")
navigate(STOCK_MATERIAL, "to_MatlStkInAcctMod", "A_MatlStkInAcctMod", True, "Material")
navigate(STOCK, "to_MaterialStock", "A_MaterialStock", False, "Material")
navigate(GL_ACCOUNT, "to_Text", "A_GLAccountText", True, "ChartOfAccounts", "GLAccount")


def _service(name: str, component: str, *sets: tuple[str, EntityType, str, str], etag: str = "") -> Service:
    made = {
        set_name: EntitySet(set_name, kind, table, verbs, etag if n == 0 else "")
        for n, (set_name, kind, table, verbs) in enumerate(sets)
    }
    return Service(name, name, component, made)


BUSINESS_PARTNER = _service(
    "API_BUSINESS_PARTNER", "LO-MD-BP",
    ("A_BusinessPartner", PARTNER, "partner", "cu"),
    ("A_BusinessPartnerRole", ROLE, "partner_role", "cu"),
    ("A_BusinessPartnerTaxNumber", TAX, "partner_tax", "cud"),
    ("A_BusinessPartnerAddress", ADDRESS, "partner_address", "cud"),
    ("A_AddressEmailAddress", EMAIL, "partner_email", "cud"),
    ("A_AddressPhoneNumber", PHONE, "partner_phone", "cud"),
    ("A_BuPaIdentification", IDENTIFICATION, "partner_identification", "cud"),
    ("A_BusinessPartnerBank", BANK, "partner_bank", "cud"),
    ("A_Customer", CUSTOMER, "customer", "u"),
    ("A_CustomerCompany", COMPANY, "customer_company", "cu"),
    ("A_CustomerSalesArea", AREA, "customer_area", "cu"),
    ("A_CustomerSalesAreaTax", AREA_TAX, "customer_area_tax", "cu"),
    ("A_CustSalesPartnerFunc", AREA_PARTNER, "customer_area_partner", "cud"),
    ("A_Supplier", SUPPLIER, "supplier", "u"),
    etag="ETag",
)  # fmt: skip
PRODUCT_SRV = _service(
    "API_PRODUCT_SRV", "LO-MD-MM",
    ("A_Product", PRODUCT, "product", "cu"),
    ("A_ProductDescription", DESCRIPTION, "product_text", "cud"),
    ("A_ProductSalesDelivery", DELIVERY, "product_sales", "cu"),
    ("A_ProductSalesTax", SALES_TAX, "product_tax", "cud"),
    ("A_ProductPlant", PRODUCT_PLANT, "product_plant", "cu"),
    ("A_ProductUnitsOfMeasure", PRODUCT_UNIT, "product_unit", "cud"),
    ("A_ProductValuation", VALUATION, "product_value", "cu"),
    ("A_ProductSales", PRODUCT_SALES, "product_general", "cu"),
)  # fmt: skip
STOCK_SRV = _service(
    "API_MATERIAL_STOCK_SRV", "MM-IM-GF",
    ("A_MaterialStock", STOCK_MATERIAL, "stock_material", ""),
    ("A_MatlStkInAcctMod", STOCK, "stock", ""),
)  # fmt: skip
COMPANY_SRV = _service("API_COMPANYCODE_SRV", "FI-GL", ("A_CompanyCode", COMPANY_CODE, "company", ""))
PLANT_SRV = _service("API_PLANT_SRV", "LO-MD-PL", ("A_Plant", PLANT, "plant", ""))
GL_ACCOUNT_SRV = _service(
    "API_GLACCOUNTINCHARTOFACCOUNTS_SRV", "FI-GL",
    ("A_GLAccountInChartOfAccounts", GL_ACCOUNT, "account", ""),
    ("A_GLAccountText", GL_TEXT, "account_text", ""),
)  # fmt: skip
