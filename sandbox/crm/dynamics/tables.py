"""The tables of sales: accounts, contacts, opportunities with their product lines, invoices, tasks.

Where the vendor leaves room the organisation is taken to be set up like this:
- Dynamics has no INN: `account` has the custom columns new_inn, new_kpp, new_ogrn, new_vatid, new_legalname.
- Written back are new_paymentstatus, new_shipmentstatus (text, 100) and new_debt (money) of the opportunity, and
  new_debt and new_paymentstatus of the account; new_extkey is an alternate key of account, opportunity, task.
- The source is the choice new_leadsource, and leadsourcecode of the originating lead, with the same values; the
  stage is stageid and processid (a business process flow), its place and name stand in stepname ("3-Договор").
- Prices are not calculated by the system (organization.oobpricecalculationenabled is false): totalamount is what
  the sales people agreed, and does not move by itself when a line moves. A line's tax is the VAT on top of the
  price, and 0 where new_vatincluded; extendedamount is what is owed for the line, VAT included, in both cases.
Columns are those of the vendor's entity reference (opportunity, opportunityproduct, account, contact, invoice).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any, Final

from sandbox.company.model import kopecks
from sandbox.company.words import LEAD_SOURCES
from sandbox.crm.dynamics.columns import (
    APP_USER,
    CURRENCIES,
    active,
    body,
    currency,
    currency_of,
    fixed,
    lookup,
    money,
    rate_of,
    state,
    table,
    text,
)
from sandbox.crm.dynamics.model import Column, Table
from sandbox.desk.base import SOURCE_NAMES
from sandbox.desk.records import Desk, Item

SOURCES: Final = {100_000_000 + place: SOURCE_NAMES[code] for place, code in enumerate(LEAD_SOURCES)}
OPPORTUNITY_STATES: Final = {0: "Open", 1: "Won", 2: "Lost"}
OPPORTUNITY_REASONS: Final = {1: "In Progress", 2: "On Hold", 3: "Won", 4: "Canceled", 5: "Out-Sold"}
OUTCOMES: Final = {"open": (0, 1), "won": (1, 3), "lost": (2, 4)}
INVOICE_STATES: Final = {0: "Active", 1: "Closed (deprecated)", 2: "Paid", 3: "Canceled"}
INVOICE_REASONS: Final = {
    1: "New", 2: "Partially Shipped", 4: "Billed", 5: "Booked (applies to services)",
    6: "Installed (applies to services)", 3: "Canceled (deprecated)", 7: "Paid in Full (deprecated)",
    100001: "Complete", 100002: "Partial", 100003: "Canceled",
}  # fmt: skip
INVOICE_STATUS: Final = {"draft": (0, 1), "sent": (0, 4), "paid": (2, 100001), "canceled": (3, 100003)}
TASK_STATES: Final = {0: "Open", 1: "Completed", 2: "Canceled"}
TASK_REASONS: Final = {2: "Not Started", 3: "In Progress", 4: "Waiting on someone else", 5: "Completed",
                       6: "Canceled", 7: "Deferred"}  # fmt: skip
_NOTHING: Final = Decimal(0)


def sales(desk: Desk) -> list[Table]:
    return [_account(), _contact(), _opportunity(desk), _line(desk), _invoice(desk), _task(), _lead()]


def _custom(name: str, schema: str, field: str = "", length: int = 100) -> Column:
    return text(name, field or name, length=length, custom=True, schema=schema)


def _account() -> Table:
    rate = rate_of(lambda item: 1)
    return table(
        "account", "accounts", 1, "name",
        [
            text("name", "name", length=160), fixed("accountnumber", "String", None),
            text("telephone1", "phone", length=50), text("emailaddress1", "email"),
            text("address1_line1", "address", length=250), text("address1_city", "city", length=80),
            fixed("address1_line2", "String", None), text("address1_country", "country", length=80),
            text("address1_composite", "address", length=1000, keep=False, kind="Memo"),
            text("websiteurl", "websiteurl", length=200), text("description", "description", length=2000, kind="Memo"),
            fixed("customertypecode", "Picklist", 3, {3: "Customer", 4: "Investor", 8: "Prospect", 10: "Supplier"}),
            lookup("parentaccountid", "account", "parentaccountid"),
            lookup("primarycontactid", "contact", "primarycontactid"),
            fixed("defaultpricelevelid", "Lookup", 1, target="pricelevel", nav="defaultpricelevelid"),
            *currency(lambda item: 1),
            *_merging("account"), *active(),
            _custom("new_legalname", "new_LegalName", "legal_name", 300), _custom("new_inn", "new_INN", "inn", 12),
            _custom("new_kpp", "new_KPP", "kpp", 9), _custom("new_ogrn", "new_OGRN", "ogrn", 15),
            _custom("new_vatid", "new_VATId", "vat_id", 20),
            _custom("new_paymentstatus", "new_PaymentStatus", "payment_status"),
            *money("new_debt", lambda item: item.body.get("debt"), rate, keep="debt", custom=True, schema="new_Debt"),
            _custom("new_extkey", "new_ExtKey", "extkey"),
        ],
        entity="client", owner="employee", merges=True, writable=True, keys=("new_extkey",), schema="Account",
        collections={
            "contact_customer_accounts": ("contact", "_parentcustomerid_value"),
            "opportunity_customer_accounts": ("opportunity", "_customerid_value"),
            "invoice_customer_accounts": ("invoice", "_customerid_value"),
            "Account_Tasks": ("task", "_regardingobjectid_value"),
        },
    )  # fmt: skip


def _merging(target: str) -> list[Column]:
    """The marks of a row that was merged into another, which its `masterid` then is."""
    return [
        Column("merged", "Boolean", lambda item: item.merged_into is not None),
        Column("masterid", "Lookup", lambda item: item.merged_into, target=target, nav="masterid"),
    ]


def _contact() -> Table:
    def fullname(item: Item) -> str | None:
        return " ".join(filter(None, (item.body.get("first_name"), item.body.get("last_name")))) or None

    return table(
        "contact", "contacts", 2, "fullname",
        [
            text("firstname", "first_name", length=50), text("middlename", "middle_name", length=50),
            text("lastname", "last_name", length=50), Column("fullname", "String", fullname, length=160),
            text("jobtitle", "post"), text("telephone1", "phone", length=50),
            text("mobilephone", "mobilephone", length=50), text("emailaddress1", "email"),
            lookup("parentcustomerid", "account", "client", nav="parentcustomerid_account", kind="Customer"),
            fixed("ownerid", "Owner", APP_USER, target="systemuser", nav="ownerid"),
            *_merging("contact"), *active(),
        ],
        entity="contact", merges=True, writable=True, schema="Contact",
        collections={"Contact_Tasks": ("task", "_regardingobjectid_value")},
    )  # fmt: skip


def _opportunity(desk: Desk) -> Table:
    stages = desk.tables["stage"]
    number = currency_of()
    rate = rate_of(number)
    amount = body("amount")
    steps = steps_of(desk)

    def outcome(item: Item) -> tuple[int, int]:
        stage = stages.get(item.body.get("stage") or 0)
        return OUTCOMES[stage.body["outcome"]] if stage is not None else (0, 1)

    def won(item: Item) -> Any:
        return amount(item) if outcome(item)[0] == 1 else None

    def step(item: Item) -> str | None:
        return steps.get(item.body.get("stage") or 0)

    def probability(item: Item) -> int | None:
        return (None, 100, 0)[outcome(item)[0]]

    def guid(target: Table, field: str, name: str) -> Column:
        return Column(
            name, "Uniqueidentifier", lambda item: target.shown(item.body[field]) if item.body.get(field) else None,
            keep=field, target=target.name, nav=f"{name}_{target.name}",
        )  # fmt: skip

    return table(
        "opportunity", "opportunities", 3, "name",
        [
            text("name", "title", length=300), text("description", "description", length=2000, kind="Memo"),
            lookup("customerid", "account", "client", nav="customerid_account", kind="Customer"),
            lookup("parentaccountid", "account", "client"), lookup("parentcontactid", "contact", "contact"),
            lookup("campaignid", "campaign", "campaign"),
            Column("originatingleadid", "Lookup", lambda item: item.number if item.body.get("source") else None,
                   target="lead", nav="originatingleadid"),
            fixed("pricelevelid", "Lookup", 1, target="pricelevel", nav="pricelevelid"),
            *currency(number),
            *money("estimatedvalue", amount, rate, keep="amount"), *money("actualvalue", won, rate),
            *money("totalamount", amount, rate), *money("totallineitemamount", amount, rate),
            *money("totaltax", lambda item: None, rate), *money("totaldiscountamount", lambda item: _NOTHING, rate),
            *money("discountamount", lambda item: None, rate), *money("freightamount", lambda item: None, rate),
            fixed("isrevenuesystemcalculated", "Boolean", False), fixed("pricingerrorcode", "Picklist", 0, {0: "None"}),
            fixed("skippricecalculation", "Picklist", 1, {0: "DoPriceCalcAlways", 1: "SkipPriceCalcOnRetrieve"}),
            fixed("estimatedclosedate", "DateOnly", None),
            Column("actualclosedate", "DateOnly", lambda item: item.body.get("closed_on"), keep="closed_on"),
            Column("closeprobability", "Integer", probability),
            Column("stepname", "String", step, length=200), fixed("salesstage", "Picklist", None),
            fixed("salesstagecode", "Picklist", 1, {1: "Default Value"}),
            guid(_stage_table(), "stage", "stageid"), guid(_process_table(), "pipeline", "processid"),
            *state(lambda item: outcome(item)[0], OPPORTUNITY_STATES,
                   lambda item: outcome(item)[1], OPPORTUNITY_REASONS),
            Column("new_leadsource", "Picklist", source_option, keep="source", options=SOURCES, custom=True,
                   schema="new_LeadSource"),
            _custom("new_paymentstatus", "new_PaymentStatus", "payment_status"),
            _custom("new_shipmentstatus", "new_ShipmentStatus", "shipment_status"),
            *money("new_debt", lambda item: item.body.get("debt"), rate, keep="debt", custom=True, schema="new_Debt"),
            _custom("new_extkey", "new_ExtKey", "extkey"),
        ],
        entity="deal", owner="employee", writable=True, keys=("new_extkey",), schema="Opportunity",
        collections={
            "product_opportunities": ("opportunityproduct", "_opportunityid_value"),
            "opportunity_invoices": ("invoice", "_opportunityid_value"),
            "Opportunity_Tasks": ("task", "_regardingobjectid_value"),
        },
    )  # fmt: skip


def _lead() -> Table:
    """The lead that an opportunity with a known source came from: the vendor's own place of a source."""
    return table(
        "lead", "leads", 4, "subject",
        [
            text("subject", "title", length=300, keep=False),
            Column("leadsourcecode", "Picklist", source_option, options=SOURCES),
            Column("qualifyingopportunityid", "Lookup", lambda item: item.number, target="opportunity",
                   nav="qualifyingopportunityid"),
            *state(lambda item: 1, {0: "Open", 1: "Qualified", 2: "Disqualified"}, lambda item: 3,
                   {1: "New", 2: "Contacted", 3: "Qualified", 4: "Lost"}),
        ],
        entity="deal", owner="employee", schema="Lead",
    )  # fmt: skip


def source_option(item: Item) -> int | None:
    source = item.body.get("source")
    return 99_999_999 + int(source) if source else None


def steps_of(desk: Desk) -> dict[int, str]:
    """ "1-Новая заявка" by number of the stage, counted within its business process flow."""
    steps: dict[int, str] = {}
    counts: dict[int, int] = {}
    for stage in sorted(desk.tables["stage"].values(), key=lambda item: item.body["sort"]):
        place = counts[stage.body["pipeline"]] = counts.get(stage.body["pipeline"], 0) + 1
        steps[stage.number] = f"{place}-{stage.body['name']}"
    return steps


def _stage_table() -> Table:
    return Table("processstage", "processstages", 4724, "stagename", {})


def _process_table() -> Table:
    return Table("workflow", "workflows", 4703, "name", {})


def line_money(body: dict[str, Any]) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """baseamount, manualdiscountamount, tax, extendedamount of a line, in the opportunity's currency."""
    unit = kopecks(body["price"] * (100 - body["discount"]) / 100)
    value, base = kopecks(unit * body["quantity"]), kopecks(body["price"] * body["quantity"])
    tax = _NOTHING if body["vat_included"] else kopecks(value * body["vat_rate"] / 100)
    return base, base - value, tax, value + tax


def _line(desk: Desk) -> Table:
    deals, products = desk.tables["deal"], desk.tables["product"]

    def number(item: Item) -> int:
        deal = deals.get(item.body["deal"])
        return CURRENCIES.get(deal.body["currency"], 1) if deal is not None else 1

    rate = rate_of(number)

    def unit(item: Item) -> int | None:
        product = products.get(item.body["product"] or 0)
        return unit_number(product.body["unit"]) if product is not None else None

    def sums(place: int) -> Any:
        return lambda item: line_money(item.body)[place]

    return table(
        "opportunityproduct", "opportunityproducts", 1083, "opportunityproductname",
        [
            text("opportunityproductname", "name", length=500, keep=False),
            lookup("opportunityid", "opportunity", "deal"), lookup("productid", "product", "product"),
            Column("productdescription", "String", lambda item: None if item.body["product"] else item.body["name"],
                   keep="name", length=500),
            Column("productname", "String", lambda item: item.body["name"], length=500),
            Column("isproductoverridden", "Boolean", lambda item: item.body["product"] is None),
            fixed("ispriceoverridden", "Boolean", True), fixed("producttypecode", "Picklist", 1, {1: "Product"}),
            Column("uomid", "Lookup", unit, target="uom", nav="uomid"),
            Column("quantity", "Decimal", lambda item: item.body["quantity"], keep="quantity"),
            *money("priceperunit", lambda item: item.body["price"], rate, keep="price"),
            *money("baseamount", sums(0), rate), *money("manualdiscountamount", sums(1), rate),
            *money("volumediscountamount", lambda item: _NOTHING, rate),
            *money("tax", sums(2), rate), *money("extendedamount", sums(3), rate),
            Column("lineitemnumber", "Integer", lambda item: item.body["sort"] // 10),
            Column("sequencenumber", "Integer", lambda item: item.body["sort"]),
            fixed("pricingerrorcode", "Picklist", 0, {0: "None"}), *currency(number),
            fixed("skippricecalculation", "Picklist", 1, {0: "DoPriceCalcAlways", 1: "SkipPriceCalcOnRetrieve"}),
            Column("new_vatrate", "Integer", lambda item: item.body["vat_rate"], keep="vat_rate", custom=True,
                   schema="new_VATRate"),
            Column("new_vatincluded", "Boolean", lambda item: item.body["vat_included"], keep="vat_included",
                   custom=True, schema="new_VATIncluded"),
        ],
        entity="line", writable=True, schema="OpportunityProduct",
    )  # fmt: skip


UNITS: Final = {"шт": 1, "м": 2, "час": 3, "усл": 4}


def unit_number(name: str) -> int:
    return UNITS.get(name, 1)


def _invoice(desk: Desk) -> Table:
    number = currency_of()
    rate = rate_of(number)
    amount = body("amount")

    def status(item: Item) -> tuple[int, int]:
        return INVOICE_STATUS[item.body["status"]]

    return table(
        "invoice", "invoices", 1090, "name",
        [
            text("name", "number", length=300), text("invoicenumber", "number", keep=False),
            lookup("opportunityid", "opportunity", "deal"),
            lookup("customerid", "account", "client", nav="customerid_account", kind="Customer"),
            Column("duedate", "DateOnly", lambda item: item.body["due_on"], keep="due_on"),
            fixed("datedelivered", "DateOnly", None),
            Column("new_issuedon", "DateOnly", lambda item: item.body["issued_on"], keep="issued_on", custom=True,
                   schema="new_IssuedOn"),
            *money("totalamount", amount, rate), *money("totallineitemamount", amount, rate),
            *money("totaltax", lambda item: None, rate), *currency(number),
            *state(lambda item: status(item)[0], INVOICE_STATES, lambda item: status(item)[1], INVOICE_REASONS),
        ],
        entity="invoice", writable=True, schema="Invoice",
    )  # fmt: skip


def _task() -> Table:
    def states(item: Item) -> int:
        return int(item.body.get("state", 0))

    def reasons(item: Item) -> int:
        return {0: 2, 1: 5, 2: 6}[states(item)]

    return table(
        "task", "tasks", 4212, "subject",
        [
            text("subject", "text", length=200), text("description", "description", length=2000, kind="Memo"),
            Column("scheduledend", "DateTime", _due, keep="due_on"),
            fixed("prioritycode", "Picklist", 1, {0: "Low", 1: "Normal", 2: "High"}),
            replace(
                lookup("regardingobjectid", "opportunity", "deal", nav="regardingobjectid_opportunity_task"),
                read=lambda item: item.body.get("client") or item.body.get("deal"),
                also={"regardingobjectid_account_task": ("account", "client")},
            ),
            *state(states, TASK_STATES, reasons, TASK_REASONS), _custom("new_extkey", "new_ExtKey", "key"),
        ],
        entity="task", owner="employee", key="activityid", writable=True, keys=("new_extkey",), schema="Task",
    )  # fmt: skip


def _due(item: Item) -> Any:
    due, said = item.body.get("due_on"), item.body.get("due_on_at")
    at = datetime.fromisoformat(said).astimezone(UTC) if said and "T" in said else None
    if at is not None and at.date() == due:
        return at
    return datetime.combine(due, time(), UTC) if due is not None else None
