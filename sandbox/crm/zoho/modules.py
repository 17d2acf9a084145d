"""The modules that this organisation uses, field by field.

Fields of the organisation's own (custom_field true): on Accounts INN, KPP, OGRN, VAT_ID, Legal_Name, Email and
Debt; on Contacts Middle_Name; on Deals Payment_Status, Shipment_Status, Debt and Begun_On; on Products OKEI and
VAT_Rate; on rows VAT_Rate and VAT_Included; on Invoices Deal_Name; on Tasks the unique Ext_Key.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from sandbox.crm.zoho.fields import Field, fixed, link, pick, plain, shown, system
from sandbox.crm.zoho.ids import source_id, stamp
from sandbox.crm.zoho.view import PAYMENT_DAYS, Value, View, order_subject
from sandbox.desk.records import Item

MEETING: Final = timedelta(hours=1)
INVOICE_STATUSES: Final = {"draft": "Created", "sent": "Delivered", "paid": "Paid"}


@dataclass(frozen=True)
class Module:
    """A module: its API name, the entity behind it, its fields in order, and what of it may be done."""

    name: str
    entity: str
    singular: str
    plural: str
    fields: tuple[Field, ...]
    title: str  # the field that names a record
    writable: bool = False
    creatable: bool = False
    blank: dict[str, Any] = field(default_factory=dict)
    by_name: dict[str, Field] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {one.name: one for one in self.fields})


def _closing(view: View, item: Item) -> str:
    closed, begun = item.body["closed_on"], item.body["begun_on"]
    found: date = closed or (begun or item.created.date()) + PAYMENT_DAYS
    return found.isoformat()


def _probability(view: View, item: Item) -> int:
    stage = view.desk.get("stage", item.body["stage"])
    outcome = stage.body["outcome"] if stage else "open"
    return {"won": 100, "lost": 0, "open": 50}[outcome]


def _expected(view: View, item: Item) -> Value:
    amount = item.body["amount"]
    return None if amount is None else amount * _probability(view, item) / 100


def _full_name(view: View, item: Item) -> str:
    return " ".join(part for part in (item.body["first_name"], item.body["last_name"]) if part)


def _deal_part(name: str) -> Any:
    """The lookup of an order's or an invoice's deal."""

    def get(view: View, item: Item) -> Value:
        return view.link(name, item.body.get(name) or view.deal_of(item).get(name))

    return get


def _tax_of_product(view: View, item: Item) -> Value:
    rate = int(item.body["vat_rate"])
    return [{"id": source_id("tax", rate), "value": f"НДС {rate}%"}] if rate else []


def _pipeline_code(view: View, item: Item) -> Value:
    return view.name_of("pipeline", item.body["pipeline"])


ACCOUNTS: Final = Module(
    "Accounts", "client", "Account", "Accounts",
    (
        *system("client", currency=""),
        plain("Account_Name", "Account Name", "text", "name", required=True, length=200),
        shown("Account_Number", "Account Number", "text", lambda v, i: str(i.number)),
        fixed("Account_Type", "Account Type", "picklist", "Customer", picks=("Customer", "Vendor", "Partner")),
        plain("Phone", "Phone", "phone", "phone"),
        fixed("Website", "Website", "website"),
        fixed("Industry", "Industry", "picklist", None, picks=("Optoelectronics", "Wholesale")),
        fixed("Annual_Revenue", "Annual Revenue", "currency"),
        fixed("Parent_Account", "Parent Account", "lookup", None, lookup="client"),
        plain("Billing_Street", "Billing Street", "text", "address"),
        plain("Billing_City", "Billing City", "text", "city"),
        fixed("Billing_State", "Billing State", "text"),
        fixed("Billing_Code", "Billing Code", "text"),
        plain("Billing_Country", "Billing Country", "text", "country"),
        fixed("Description", "Description", "textarea"),
        plain("INN", "ИНН", "text", "inn", custom=True, length=12),
        plain("KPP", "КПП", "text", "kpp", custom=True, length=9),
        plain("OGRN", "ОГРН", "text", "ogrn", custom=True, length=15),
        plain("VAT_ID", "VAT ID", "text", "vat_id", custom=True, length=20),
        plain("Legal_Name", "Полное наименование", "text", "legal_name", custom=True),
        plain("Email", "Email", "email", "email", custom=True),
        plain("Debt", "Долг", "currency", "debt", custom=True),
    ),
    "Account_Name", writable=True, creatable=True,
    blank={"name": "", "legal_name": "", "inn": "", "kpp": "", "ogrn": "", "vat_id": "", "country": "RU", "phone": "",
           "email": "", "city": "", "address": "", "employee": 1},
)  # fmt: skip

CONTACTS: Final = Module(
    "Contacts", "contact", "Contact", "Contacts",
    (
        *system("contact"),
        plain("First_Name", "First Name", "text", "first_name", length=40),
        plain("Last_Name", "Last Name", "text", "last_name", required=True, length=80),
        shown("Full_Name", "Full Name", "text", _full_name),
        plain("Middle_Name", "Отчество", "text", "middle_name", custom=True),
        plain("Title", "Title", "text", "post", length=100),
        link("Account_Name", "Account Name", "client"),
        plain("Email", "Email", "email", "email"),
        fixed("Secondary_Email", "Secondary Email", "email"),
        plain("Phone", "Phone", "phone", "phone"),
        fixed("Mobile", "Mobile", "phone"),
        fixed("Lead_Source", "Lead Source", "picklist", None, picks="source"),
        fixed("Description", "Description", "textarea"),
    ),
    "Full_Name", writable=True, creatable=True,
    blank={"client": None, "first_name": "", "middle_name": "", "last_name": "", "post": "", "phone": "", "email": ""},
)  # fmt: skip

DEALS: Final = Module(
    "Deals", "deal", "Deal", "Deals",
    (
        *system("deal", currency="currency"),
        plain("Deal_Name", "Deal Name", "text", "title", required=True, length=120),
        link("Account_Name", "Account Name", "client"),
        link("Contact_Name", "Contact Name", "contact"),
        shown("Pipeline", "Pipeline", "picklist", _pipeline_code, key="pipeline", picks="pipeline"),
        pick("Stage", "Stage", "stage", required=True),
        plain("Amount", "Amount", "currency", "amount"),
        shown("Closing_Date", "Closing Date", "date", _closing, key="closed_on"),
        shown("Probability", "Probability (%)", "integer", _probability),
        shown("Expected_Revenue", "Expected Revenue", "currency", _expected),
        pick("Lead_Source", "Lead Source", "source"),
        link("Campaign_Source", "Campaign Source", "campaign"),
        fixed("Type", "Type", "picklist", None, picks=("Existing Business", "New Business")),
        fixed("Next_Step", "Next Step", "text"),
        fixed("Reason_For_Loss__s", "Reason For Loss", "picklist", None, picks=("Price", "Competition")),
        shown("Change_Log_Time__s", "Change Log Time", "datetime", lambda v, i: stamp(i.modified)),
        fixed("Description", "Description", "textarea"),
        plain("Begun_On", "Дата начала", "date", "begun_on", custom=True),
        plain("Payment_Status", "Статус оплаты", "text", "payment_status", custom=True),
        plain("Shipment_Status", "Статус отгрузки", "text", "shipment_status", custom=True),
        plain("Debt", "Долг", "currency", "debt", custom=True),
    ),
    "Deal_Name", writable=True, creatable=True,
    blank={"title": "", "client": None, "requisite": None, "contact": None, "employee": 1, "pipeline": 1, "stage": 1,
           "amount": None, "currency": "RUB", "begun_on": None, "closed_on": None, "source": None, "campaign": None,
           "payment_status": "", "shipment_status": "", "debt": None},
)  # fmt: skip

ROW_FIELDS: Final = (
    "Parent_Id", "Product_Name", "Sequence_Number", "Quantity", "List_Price", "Total", "Discount",
    "Total_After_Discount", "Tax", "Net_Total", "Description", "VAT_Rate", "VAT_Included", "Created_Time",
    "Modified_Time",
)  # fmt: skip
"""What bulk reading gives of a row, besides its id."""

SALES_ORDERS: Final = Module(
    "Sales_Orders", "order", "Sales Order", "Sales Orders",
    (
        *system("order", currency=""),
        shown("Subject", "Subject", "text", lambda v, i: order_subject(i.number), required=True),
        shown("SO_Number", "SO Number", "text", lambda v, i: str(i.number)),
        shown("Deal_Name", "Deal Name", "lookup", lambda v, i: v.link("deal", i.number), lookup="deal"),
        shown("Account_Name", "Account Name", "lookup", _deal_part("client"), lookup="client"),
        shown("Contact_Name", "Contact Name", "lookup", _deal_part("contact"), lookup="contact"),
        fixed("Status", "Status", "picklist", "Created", picks=("Created", "Approved", "Delivered", "Cancelled")),
        shown("Sub_Total", "Sub Total", "currency", lambda v, i: v.line_sum(i.number)),
        fixed("Discount", "Discount", "currency", Decimal("0.00")),
        fixed("Tax", "Tax", "currency", Decimal("0.00")),
        fixed("Adjustment", "Adjustment", "currency", Decimal("0.00")),
        shown("Grand_Total", "Grand Total", "currency", lambda v, i: v.line_sum(i.number)),
        shown("Ordered_Items", "Ordered Items", "subform", lambda v, i: v.line_rows(i.number), bulk=False),
        fixed("Description", "Description", "textarea"),
    ),
    "Subject",
)  # fmt: skip

INVOICES: Final = Module(
    "Invoices", "invoice", "Invoice", "Invoices",
    (
        *system("invoice", currency=""),
        shown("Subject", "Subject", "text", lambda v, i: f"Счёт {i.body['number']}", required=True),
        plain("Invoice_Number", "Invoice Number", "text", "number"),
        plain("Invoice_Date", "Invoice Date", "date", "issued_on"),
        plain("Due_Date", "Due Date", "date", "due_on"),
        shown("Status", "Status", "picklist", lambda v, i: INVOICE_STATUSES[i.body["status"]],
              picks=tuple(INVOICE_STATUSES.values())),
        link("Account_Name", "Account Name", "client"),
        shown("Contact_Name", "Contact Name", "lookup", _deal_part("contact"), lookup="contact"),
        shown("Sales_Order", "Sales Order", "lookup", lambda v, i: v.order_link(i.body["deal"]), lookup="order"),
        link("Deal_Name", "Сделка", "deal", custom=True),
        shown("Sub_Total", "Sub Total", "currency", lambda v, i: v.line_sum(i.body["deal"])),
        fixed("Discount", "Discount", "currency", Decimal("0.00")),
        fixed("Tax", "Tax", "currency", Decimal("0.00")),
        shown("Adjustment", "Adjustment", "currency", lambda v, i: i.body["amount"] - v.line_sum(i.body["deal"])),
        plain("Grand_Total", "Grand Total", "currency", "amount"),
        shown("Invoiced_Items", "Invoiced Items", "subform",
              lambda v, i: v.line_rows(i.body["deal"], "invoice_line"), bulk=False),
        fixed("Description", "Description", "textarea"),
    ),
    "Subject",
)  # fmt: skip

PRODUCTS: Final = Module(
    "Products", "product", "Product", "Products",
    (
        *system("product", currency=""),
        plain("Product_Name", "Product Name", "text", "name", required=True, length=200),
        plain("Product_Code", "Product Code", "text", "code", length=40),
        plain("Product_Active", "Product Active", "boolean", "active"),
        shown("Product_Category", "Product Category", "picklist",
              lambda v, i: "Услуги" if i.body["is_service"] else "Товары", picks=("Товары", "Услуги")),
        plain("Unit_Price", "Unit Price", "currency", "price"),
        plain("Usage_Unit", "Usage Unit", "picklist", "unit", picks=("шт", "м", "час", "усл")),
        shown("Taxable", "Taxable", "boolean", lambda v, i: bool(i.body["vat_rate"])),
        shown("Tax", "Tax", "multiselectpicklist", _tax_of_product, bulk=False),
        fixed("Qty_in_Stock", "Quantity in Stock", "double", None),
        plain("OKEI", "ОКЕИ", "text", "okei", custom=True, length=4),
        plain("VAT_Rate", "Ставка НДС", "integer", "vat_rate", custom=True),
        fixed("Description", "Description", "textarea"),
    ),
    "Product_Name",
)  # fmt: skip

PRICE_BOOKS: Final = Module(
    "Price_Books", "price_list", "Price Book", "Price Books",
    (
        *system("price_list"),
        plain("Price_Book_Name", "Price Book Name", "text", "name", required=True),
        fixed("Active", "Active", "boolean", True),
        fixed("Pricing_Model", "Pricing Model", "picklist", "Flat", picks=("Flat", "Differential")),
        fixed("Pricing_Details", "Pricing Details", "text_list", [], bulk=False),
        plain("Price_Currency", "Валюта", "text", "currency", custom=True),
        fixed("Description", "Description", "textarea"),
    ),
    "Price_Book_Name",
)  # fmt: skip

CAMPAIGNS: Final = Module(
    "Campaigns", "campaign", "Campaign", "Campaigns",
    (
        *system("campaign", currency=""),
        plain("Campaign_Name", "Campaign Name", "text", "name", required=True),
        pick("Type", "Type", "source"),
        fixed("Status", "Status", "picklist", "Active", picks=("Planning", "Active", "Inactive", "Complete")),
        plain("Start_Date", "Start Date", "date", "starts_on"),
        fixed("End_Date", "End Date", "date"),
        plain("Budgeted_Cost", "Budgeted Cost", "currency", "budget"),
        fixed("Actual_Cost", "Actual Cost", "currency"),
        fixed("Expected_Revenue", "Expected Revenue", "currency"),
        fixed("Description", "Description", "textarea"),
    ),
    "Campaign_Name",
)  # fmt: skip


def _what(view: View, item: Item) -> Value:
    """What a task is about: an account, else a deal."""
    client = item.body.get("client")
    return view.link("client", client) if client else view.link("deal", item.body.get("deal"))


TASKS: Final = Module(
    "Tasks", "task", "Task", "Tasks",
    (
        *system("task"),
        plain("Subject", "Subject", "text", "text", required=True, length=300),
        plain("Due_Date", "Due Date", "date", "due_on"),
        replace(link("What_Id", "Related To", "deal"), get=_what),
        fixed("Who_Id", "Contact Name", "lookup", None, lookup="contact"),
        plain("Status", "Status", "picklist", "status", picks=("Not Started", "In Progress", "Completed")),
        plain("Priority", "Priority", "picklist", "priority", picks=("High", "Normal", "Low")),
        plain("Description", "Description", "textarea", "description"),
        plain("Ext_Key", "Внешний ключ", "text", "key", custom=True, unique=True, length=120),
    ),
    "Subject", writable=True, creatable=True,
    blank={"deal": None, "employee": 1, "text": "", "due_on": None, "key": "", "description": "",
           "status": "Not Started", "priority": "Normal"},
)  # fmt: skip

CALLS: Final = Module(
    "Calls", "call", "Call", "Calls",
    (
        *system("call"),
        plain("Subject", "Subject", "text", "text", required=True, length=300),
        shown("Call_Type", "Call Type", "picklist",
              lambda v, i: "Inbound" if i.body["direction"] == "in" else "Outbound", picks=("Inbound", "Outbound", "Missed")),
        shown("Call_Start_Time", "Call Start Time", "datetime", lambda v, i: stamp(i.body["at"])),
        shown("Outgoing_Call_Status", "Outgoing Call Status", "picklist",
              lambda v, i: "Completed" if i.body["done"] else "Scheduled",
              picks=("Scheduled", "Completed", "Overdue", "Cancelled")),
        link("What_Id", "Related To", "deal"),
        fixed("Who_Id", "Contact Name", "lookup", None, lookup="contact"),
        fixed("Call_Purpose", "Call Purpose", "picklist", None, picks=("Negotiation", "Demo")),
        plain("Description", "Description", "textarea", "text"),
    ),
    "Subject",
)  # fmt: skip

EVENTS: Final = Module(
    "Events", "meeting", "Meeting", "Meetings",
    (
        *system("meeting"),
        plain("Event_Title", "Title", "text", "text", required=True),
        shown("Start_DateTime", "From", "datetime", lambda v, i: stamp(i.body["at"])),
        shown("End_DateTime", "To", "datetime", lambda v, i: stamp(i.body["at"] + MEETING)),
        link("What_Id", "Related To", "deal"),
        fixed("Who_Id", "Contact Name", "lookup", None, lookup="contact"),
        fixed("Venue", "Location", "text", "у клиента"),
        plain("Description", "Description", "textarea", "text"),
    ),
    "Event_Title",
)  # fmt: skip

MODULES: Final = {
    module.name: module
    for module in (ACCOUNTS, CONTACTS, DEALS, TASKS, PRODUCTS, PRICE_BOOKS, SALES_ORDERS, INVOICES, CAMPAIGNS, CALLS,
                   EVENTS)
}  # fmt: skip
OF_ENTITY: Final = {module.entity: module for module in MODULES.values()}
SUBFORMS: Final = {"Ordered_Items": "line", "Invoiced_Items": "invoice_line"}
"""Modules of rows, which only bulk reading gives, and the kind of their ids."""
