"""What of an org is read: the vendor's object of each entity, the fields always asked for, how its rows name themselves.

Field names are the vendor's. Beside `always` the fields that a mapping names are asked for; where no mapping speaks,
`usual` ones. What an edition or a switched-off feature lacks (`FEATURES`) is left out without an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from resources.connector import Entity
from resources.crm.rows import Shape

STAMP: Final = (
    "SystemModstamp"  # moves on changes by people and by the system; LastModifiedDate may stay behind
)
MASTER_TYPE: Final = "012000000000000AAA"  # the record type of records that have none

# How far back a read of changes starts: a change bears the time at which its transaction began to write, and a
# transaction may last ten minutes; clocks differ besides.
OVERLAP_SECONDS: Final = 1800


@dataclass(frozen=True, slots=True)
class Kind:
    """An object of the vendor's. `where` narrows every read of it."""

    object: str
    always: tuple[str, ...]
    usual: tuple[str, ...]
    where: str = ""


ENTITIES: Final = (
    Entity("employee", incremental=False),
    Entity("pipeline", incremental=False),
    Entity("stage", incremental=False),
    Entity("lead_source", incremental=False),
    Entity("currency", incremental=False),
    Entity("campaign", incremental=False),
    Entity("price_list", incremental=False),
    Entity("product", incremental=True),
    Entity("product_price", incremental=True),
    Entity("company", incremental=True),
    Entity("contact", incremental=True),
    Entity("deal", incremental=True),
    Entity("deal_line", incremental=True, parent="deal"),
)

_MERGED: Final = ("Id", "IsDeleted", "MasterRecordId", STAMP, "CreatedDate", "Name", "OwnerId")

KINDS: Final[Mapping[str, Kind]] = {
    "company": Kind(
        "Account",
        _MERGED,
        ("Type", "Phone", "BillingStreet", "BillingCity", "BillingCountry", "CurrencyIsoCode", "AccountNumber",
         "Website", "Industry"),
    ),
    "contact": Kind(
        "Contact",
        (*_MERGED, "AccountId"),
        ("FirstName", "MiddleName", "LastName", "Title", "Email", "Phone", "MobilePhone"),
    ),
    "deal": Kind(
        "Opportunity",
        ("Id", "IsDeleted", STAMP, "CreatedDate", "Name", "AccountId", "StageName", "RecordTypeId"),
        ("Amount", "CurrencyIsoCode", "CloseDate", "IsClosed", "IsWon", "LeadSource", "OwnerId", "CampaignId",
         "ContactId", "Pricebook2Id", "HasOpportunityLineItem", "Probability"),
    ),
    "deal_line": Kind(  # its Name and ProductCode are made of others', whose changes move no stamp here
        "OpportunityLineItem",
        ("Id", "IsDeleted", STAMP, "OpportunityId", "Product2Id"),
        ("Quantity", "UnitPrice", "TotalPrice", "Discount", "SortOrder", "ServiceDate", "Description",
         "CurrencyIsoCode", "PricebookEntryId"),
    ),
    "product": Kind(
        "Product2",
        ("Id", "IsDeleted", STAMP, "Name"),
        ("ProductCode", "IsActive", "Family", "QuantityUnitOfMeasure", "StockKeepingUnit", "CurrencyIsoCode"),
    ),
    "product_price": Kind(
        "PricebookEntry",
        ("Id", "IsDeleted", STAMP, "Product2Id", "Pricebook2Id"),
        ("UnitPrice", "IsActive", "CurrencyIsoCode"),
    ),
    "price_list": Kind("Pricebook2", ("Id", "IsDeleted", STAMP, "Name"), ("IsActive", "IsStandard")),
    # Outsiders of a customer portal own no deals, and may be millions.
    "employee": Kind(
        "User",
        ("Id", STAMP, "Name"),
        ("FirstName", "LastName", "Email", "Username", "IsActive", "UserType"),
        "UserType IN ('Standard', 'PowerPartner', 'PowerCustomerSuccess')",
    ),
    "stage": Kind(
        "OpportunityStage",
        ("Id", STAMP, "ApiName", "MasterLabel"),
        ("SortOrder", "IsClosed", "IsWon", "IsActive", "DefaultProbability"),
    ),
    "campaign": Kind(
        "Campaign",
        ("Id", "IsDeleted", STAMP, "Name"),
        ("Type", "Status", "StartDate", "EndDate", "BudgetedCost", "CurrencyIsoCode", "IsActive"),
    ),
    "currency": Kind(
        "CurrencyType", ("Id", STAMP, "IsoCode"), ("ConversionRate", "DecimalPlaces", "IsActive", "IsCorporate")
    ),
}  # fmt: skip

SHAPES: Final[Mapping[str, Shape]] = {
    "company": Shape("company", "Id", (STAMP,), deleted="IsDeleted", merged="MasterRecordId"),
    "contact": Shape("contact", "Id", (STAMP,), deleted="IsDeleted", merged="MasterRecordId"),
    "deal": Shape("deal", "Id", (STAMP,), deleted="IsDeleted"),
    "deal_line": Shape("deal_line", "Id", (STAMP,), parent="OpportunityId", deleted="IsDeleted"),
    "product": Shape("product", "Id", (STAMP,), deleted="IsDeleted"),
    "product_price": Shape("product_price", "Id", (STAMP,), deleted="IsDeleted"),
    "price_list": Shape("price_list", "Id", (STAMP,), deleted="IsDeleted"),
    "employee": Shape("employee", "Id", (STAMP,)),
    "stage": Shape("stage", "Key", (STAMP,)),
    "campaign": Shape("campaign", "Id", (STAMP,), deleted="IsDeleted"),
    "currency": Shape("currency", "IsoCode"),
    "pipeline": Shape("pipeline", "recordTypeId"),
    "lead_source": Shape("lead_source", "value"),
}  # fmt: skip

# Read by stamp. The first five are asked for in one call where the vendor takes five queries in one.
MAIN: Final = ("deal", "deal_line", "company", "contact", "product", "product_price")

# Absent with a feature that is off, and then of no record: an error would hold up an org that is all right.
FEATURES: Final = frozenset(
    ("CurrencyIsoCode", "RecordTypeId", "CampaignId", "ContactId", "MiddleName", "QuantityUnitOfMeasure",
     "StockKeepingUnit", "IsPersonAccount", "Pricebook2Id", "DefaultProbability", "DecimalPlaces",
     "EndDate")
)  # fmt: skip
# Objects that an edition may lack: read only where the mapping asks for them.
SPARE: Final = ("campaign", "price_list", "product_price", "product")

# What changes without anybody changing the record, and where REST and Bulk differ in form.
VOLATILE: Final = (
    "attributes",
    STAMP,
    "LastModifiedDate",
    "LastModifiedById",
    "LastActivityDate",
    "LastViewedDate",
    "LastReferencedDate",
)

WRITTEN: Final = {"deal": "Opportunity", "company": "Account", "task": "Task"}
