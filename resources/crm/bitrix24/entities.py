"""What is read from Bitrix24, as data: entities, the list methods behind them, the fields asked for.

A deal is read with named fields (a narrow select is cheaper for the portal); companies and contacts with *,
because phones and e-mails (`fm`) come only so. User fields are added by the connector, which asks for them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from resources.connector import Entity, Page, Record
from resources.crm.bitrix24.lists import Chain, Listing, Whole

DEAL_FIELDS = """
id title categoryId stageId stageSemanticId opportunity isManualOpportunity taxValue currencyId probability
companyId contactId contactIds mycompanyId assignedById createdBy updatedBy createdTime updatedTime movedTime
begindate closedate closed opened typeId isReturnCustomer sourceId sourceDescription utmSource utmMedium
utmCampaign utmContent utmTerm originatorId originId leadId quoteId
""".split()  # noqa: SIM905
INVOICE_FIELDS = """
id title accountNumber xmlId categoryId stageId previousStageId opportunity isManualOpportunity taxValue currencyId
companyId contactId contactIds mycompanyId parentId2 assignedById createdBy updatedBy createdTime updatedTime
movedTime begindate closedate opened
""".split()  # noqa: SIM905
PRODUCT_FIELDS = """id iblockId iblockSectionId name active code xmlId type measure vatId vatIncluded bundle
quantity quantityReserved purchasingPrice purchasingCurrency weight sort dateCreate timestampX createdBy
modifiedBy""".split()  # noqa: SIM905
# When and whose, and of which record: subjects name people, and descriptions are the letters themselves.
ACTIVITY_FIELDS = """ID OWNER_TYPE_ID OWNER_ID TYPE_ID PROVIDER_ID PROVIDER_TYPE_ID DIRECTION COMPLETED RESPONSIBLE_ID
AUTHOR_ID CREATED LAST_UPDATED START_TIME END_TIME DEADLINE""".split()  # noqa: SIM905
PERSONAL = frozenset({"SUBJECT", "DESCRIPTION", "LOCATION", "COMMUNICATIONS", "FILES", "WEBDAV_ELEMENTS", "SETTINGS",
                      "PROVIDER_PARAMS", "PROVIDER_DATA"})  # fmt: skip

ORIGINAL = "useOriginalUfNames"  # user fields by their own names

USER_FIELDS: dict[str, dict[str, str]] = {  # what we write, by kind: the field and its type
    "deal": {
        "UF_CRM_SVERKA_PAYMENT_STATUS": "string",
        "UF_CRM_SVERKA_SHIPMENT_STATUS": "string",
        "UF_CRM_SVERKA_DEBT": "double",
    },
    "company": {"UF_CRM_SVERKA_DEBT": "double"},
}
ITEM_TYPES = {"deal": 2, "contact": 3, "company": 4, "invoice": 31}  # entityTypeId
# Who names whom, and in which field. A merge hands the loser's records to the survivor, and their stamps stay
# where they were (\CCrmDeal::Rebind of the box edition is one UPDATE); only the survivor's moves.
FOLLOWERS = {
    "company": {"deal": "companyId", "contact": "companyId", "invoice": "companyId", "activity": "OWNER_ID"},
    "contact": {"deal": "contactId", "invoice": "contactId"},
}
# A task about a deal is an activity too, and so are those that we write: they come with the next read, and wake nobody.
NO_NEWS = {"activity": {"!PROVIDER_ID": "CRM_TASKS_TASK"}}
SCOPES = {
    "crm": ("crm",),
    "catalog": ("catalog",),
    "user": ("user", "user_basic", "user_brief"),
    "task": ("task", "tasks"),
}


def item(entity: str, select: Sequence[str]) -> Listing:
    """The listing of deals, contacts, companies or invoices with these fields; user fields by their own names."""
    params = {"entityTypeId": ITEM_TYPES[entity], "select": list(select), ORIGINAL: "Y"}
    return Listing(entity, "crm.item.list", "items", "id", ("updatedTime",), params)


_REQUISITE = Listing(
    "requisite",
    "crm.requisite.list",
    key="ID",
    stamps=("DATE_MODIFY", "DATE_CREATE"),  # DATE_MODIFY is empty until the first change
    params={"select": ["*", "UF_*"]},
    filter={"ENTITY_TYPE_ID": 4},
    parent="ENTITY_ID",
    owners="@ENTITY_ID",
)


def _addresses(entity: str, kind: int) -> Listing:
    """One kind of addresses of companies' requisites: a requisite has at most one of a kind, so its id is the row's."""
    return Listing(
        entity,
        "crm.address.list",
        key="ENTITY_ID",
        filter={"ENTITY_TYPE_ID": 8, "ANCHOR_TYPE_ID": 4, "TYPE_ID": kind},
        parent="ANCHOR_ID",
        owners="@ANCHOR_ID",
    )


LISTINGS: dict[str, Listing] = {
    "deal": item("deal", DEAL_FIELDS),
    "company": item("company", ["*"]),  # phones and e-mails (`fm`) come with * only
    "contact": item("contact", ["*"]),
    "invoice": item("invoice", INVOICE_FIELDS),
    "product": Listing(
        "product",
        "catalog.product.list",
        "products",
        stamps=("timestampX",),
        params={"select": PRODUCT_FIELDS},
    ),
    "product_price": Listing("product_price", "catalog.price.list", "prices", stamps=("timestampX",)),
    "requisite": _REQUISITE,
    "legal_address": _addresses("legal_address", 6),
    "actual_address": _addresses("actual_address", 1),
    "deal_line": Listing(
        "deal_line",
        "crm.item.productrow.list",
        "productRows",
        filter={"=ownerType": "D"},
        parent="ownerId",
        owners="=ownerId",
    ),
    "deal_requisite": Listing(
        "deal_requisite",
        "crm.requisite.link.list",
        key="ENTITY_ID",
        filter={"ENTITY_TYPE_ID": 2},
        parent="ENTITY_ID",
        owners="@ENTITY_ID",
    ),
    "activity": Listing(
        "activity",
        "crm.activity.list",
        key="ID",
        stamps=("LAST_UPDATED",),
        params={"select": ACTIVITY_FIELDS},
    ),
    "employee": Listing("employee", "user.get", key="ID", legacy_order=True),
}
DICTIONARIES = ("pipeline", "stage", "invoice_stage", "lead_source", "currency", "vat_rate", "price_list")
ENTITIES = (
    *(Entity(name, incremental=False) for name in (*DICTIONARIES, "employee")),
    Entity("product", incremental=True),
    Entity("product_price", incremental=True),
    Entity("company", incremental=True),
    Entity("requisite", incremental=True, parent="company"),
    Entity("legal_address", incremental=False, parent="company"),
    Entity("actual_address", incremental=False, parent="company"),
    Entity("contact", incremental=True),
    Entity("deal", incremental=True),
    Entity("deal_line", incremental=False, parent="deal"),
    Entity("deal_requisite", incremental=False, parent="deal"),
    Entity("invoice", incremental=True),
    Entity("activity", incremental=True),
)


def dictionaries(wanted: Sequence[str]) -> list[Chain | Whole]:
    """The small lists, each one complete page. Stages of both kinds and lead sources are one list of the portal's."""

    def page(entity: str, *key: str, keep: str = "") -> Any:
        def split(rows: Sequence[bytes]) -> Page:
            records = []
            for row in rows:
                body = msgspec.json.decode(row)
                if re.fullmatch(keep, str(body.get("ENTITY_ID", ""))):
                    records.append(Record(":".join(str(body[name]) for name in key), row))
            return Page(entity, records, complete=True)

        return split

    statuses = {
        "stage": page("stage", "ENTITY_ID", "STATUS_ID", keep=r"DEAL_STAGE(_\d+)?"),
        "invoice_stage": page("invoice_stage", "STATUS_ID", keep=r"SMART_INVOICE_STAGE_\d+"),
        "lead_source": page("lead_source", "STATUS_ID", keep="SOURCE"),
    }
    jobs: list[Chain | Whole] = []
    if "pipeline" in wanted:
        params = {"entityTypeId": ITEM_TYPES["deal"]}
        jobs.append(
            Whole("crm.category.list", params, "categories", lambda rows: [page("pipeline", "id")(rows)])
        )
    if parts := [split for name, split in statuses.items() if name in wanted]:
        jobs.append(Whole("crm.status.list", {}, "", lambda rows: [split(rows) for split in parts]))
    if "currency" in wanted:
        jobs.append(Whole("crm.currency.list", {}, "", lambda rows: [page("currency", "CURRENCY")(rows)]))
    if "vat_rate" in wanted:
        jobs.append(Whole("catalog.vat.list", {}, "vats", lambda rows: [page("vat_rate", "id")(rows)]))
    if "price_list" in wanted:
        split = page("price_list", "id")
        jobs.append(Whole("catalog.priceType.list", {}, "priceTypes", lambda rows: [split(rows)]))
    if "employee" in wanted:
        jobs.append(Chain(LISTINGS["employee"], pages_wanted=2, complete=True))
    return jobs


def following(listing: Listing, name: str) -> Listing:
    """The list of records that name those of `name`; see FOLLOWERS."""
    kind = {"OWNER_TYPE_ID": ITEM_TYPES[name]} if listing.entity == "activity" else listing.filter
    return replace(listing, owners=f"@{FOLLOWERS[name][listing.entity]}", filter=kind)


def narrow(listing: Listing) -> Listing:
    """The same listing with id and stamps only."""
    required = ("iblockId",) if listing.entity == "product" else ()
    parent = (listing.parent,) if listing.parent else ()
    params = {name: value for name, value in listing.params.items() if name != ORIGINAL}
    return replace(listing, params={**params, "select": [listing.key, *listing.stamps, *required, *parent]})


def whole(listing: Listing) -> Listing:
    """The same listing with every field."""
    return replace(listing, params={**listing.params, "select": ["*"]})
