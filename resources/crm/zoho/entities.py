"""What is read of a Zoho organization, and how its rows become records: our names, their modules, plain rows.

A module is read by queries, by bulk jobs (CSV) and record by record, and each way shows a value otherwise: a lookup
with its name or as a bare id, 8198.4 or 8198.40, nothing as null, [] or "". A record must not look changed because
it came by another way, so every row is made plain: a lookup is {"id": ...}, a number has no idle zeros, nothing is
null. The name in a lookup is another record's, and would change without this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec

from resources.connector import Entity
from resources.crm.rows import Shape

LINES: Final = "Ordered_Items"

UNREADABLE: Final = (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What a row that is no record of the vendor's raises on its way."""

encode = msgspec.json.Encoder(decimal_format="number").encode
decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode

ENTITIES: Final = (
    Entity("company", incremental=True),
    Entity("contact", incremental=True),
    Entity("deal", incremental=True),
    Entity("order", incremental=True),
    Entity("invoice", incremental=True),
    Entity("call", incremental=True),
    Entity("meeting", incremental=True),
    Entity("product", incremental=True),
    Entity("price_list", incremental=True),
    Entity("product_price", incremental=False, parent="price_list"),
    Entity("campaign", incremental=False),
    Entity("pipeline", incremental=False),
    Entity("stage", incremental=False),
    Entity("employee", incremental=False),
    Entity("lead_source", incremental=False),
    Entity("currency", incremental=False),
)


@dataclass(frozen=True, slots=True)
class Module:
    """A module: the vendor's name, fields always asked for, fields asked for where no mapping says which."""

    name: str
    always: Sequence[str]
    usual: Sequence[str]
    optional: bool = False  # an edition may lack it


_STAMPS: Final = ("id", "Created_Time", "Modified_Time")

MODULES: Final = {
    "company": Module(
        "Accounts", _STAMPS, ("Account_Name", "Owner", "Phone", "Billing_City", "Billing_Country")
    ),
    "contact": Module(
        "Contacts", _STAMPS, ("First_Name", "Last_Name", "Account_Name", "Email", "Phone", "Owner")
    ),
    "deal": Module(
        "Deals", _STAMPS,
        ("Deal_Name", "Account_Name", "Contact_Name", "Owner", "Pipeline", "Stage", "Amount", "Closing_Date",
         "Lead_Source", "Campaign_Source"),
    ),
    "order": Module("Sales_Orders", (*_STAMPS, "Deal_Name"), ("Subject", "Status", "Grand_Total")),
    "invoice": Module(
        "Invoices", _STAMPS,
        ("Subject", "Invoice_Number", "Invoice_Date", "Due_Date", "Status", "Account_Name", "Sales_Order",
         "Grand_Total"),
        optional=True,
    ),
    "call": Module(
        "Calls", _STAMPS, ("Owner", "What_Id", "Call_Type", "Call_Start_Time", "Outgoing_Call_Status"), optional=True
    ),
    "meeting": Module("Events", _STAMPS, ("Owner", "What_Id", "Start_DateTime", "End_DateTime"), optional=True),
    "product": Module(
        "Products", _STAMPS, ("Product_Name", "Product_Code", "Unit_Price", "Usage_Unit", "Product_Active")
    ),
    "price_list": Module("Price_Books", _STAMPS, ("Price_Book_Name", "Active"), optional=True),
    "campaign": Module(
        "Campaigns", _STAMPS, ("Campaign_Name", "Type", "Start_Date", "End_Date", "Budgeted_Cost"), optional=True
    ),
}  # fmt: skip

WRITTEN: Final = {"deal": "Deals", "company": "Accounts", "task": "Tasks"}
"""Modules by the kinds that are written."""

OWNERS: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "contact": (("company", "Account_Name"),),
    "deal": (("company", "Account_Name"), ("contact", "Contact_Name")),
    "invoice": (("company", "Account_Name"),),
}
"""Whose merging moves records of an entity without a stamp of their own, and the lookup by which they are found."""

SHAPES: Final = {
    **{name: Shape(name, stamp=("Modified_Time",)) for name in MODULES},
    "order": Shape("order", stamp=("Modified_Time",), parent="Deal_Name.id"),
    "product_price": Shape("product_price", key="key", parent="price_book"),
    "pipeline": Shape("pipeline"),
    "stage": Shape("stage", key="key"),
    "employee": Shape("employee", stamp=("Modified_Time",)),
    "lead_source": Shape("lead_source", key="actual_value"),
    "currency": Shape("currency"),
}

# What the vendor stamps by itself: our own write, or that somebody is at work, is no change of the record.
VOLATILE: Final = (
    "Modified_Time", "Modified_By", "Last_Activity_Time", "Change_Log_Time__s", "Isonline", "modified_time",
    "modified_by",
)  # fmt: skip

PERSONAL: Final = frozenset({"Subject", "Event_Title", "Description", "Call_Agenda", "Call_Result", "Venue", "Participants",
                             "Caller_ID", "Dialled_Number", "Voice_Recording__s"})  # fmt: skip
"""What was said in calls and meetings, and by whom: not asked for, whoever names it."""

MANY_DIGITS: Final = 30  # a number of more stays as it came: 1e999999999 written out fills the memory
_OF_A_LINE_NOT: Final = ("Parent_Id", "Created_Time", "Modified_Time", "Created_By", "Modified_By", "Owner")


def fields_of(entity: str, named: Iterable[str]) -> list[str]:
    """What is asked for of a module: what the mapping names, and what the connector needs itself."""
    module = MODULES[entity]
    kept = {*named} - {LINES} - (PERSONAL if entity in ("call", "meeting") else frozenset())
    wanted = sorted(kept) or module.usual
    return list(dict.fromkeys((*module.always, *wanted)))


def plain(row: msgspec.Raw) -> msgspec.Raw:
    """A row of a query in the form that every way of reading gives; as it came where it is none, to be set apart."""
    try:
        return msgspec.Raw(encode({name: _plain(value) for name, value in decode(row).items()}))
    except UNREADABLE:
        return row


def whole_order(row: msgspec.Raw, fields: Sequence[str]) -> msgspec.Raw:
    """A sales order asked for by its id: these fields, and its lines. Raises ValueError."""
    order = decode(row)
    lines = [plain_line(line) for line in order.get(LINES) or ()]
    return msgspec.Raw(encode({**{name: _plain(order.get(name)) for name in fields}, LINES: lines}))


def with_lines(row: msgspec.Raw, lines: Sequence[bytes]) -> msgspec.Raw:
    """A plain order and its lines, as `whole_order` gives it."""
    joined = b",".join(lines)
    return msgspec.Raw(bytes(row)[:-1] + b',"' + LINES.encode() + b'":[' + joined + b"]}")


def plain_line(line: Mapping[str, Any]) -> dict[str, Any]:
    """What every way of reading knows of a line: neither its taxes one by one, nor what is empty, nor its stamps."""
    found = {
        name: _plain(value)
        for name, value in line.items()
        if name not in _OF_A_LINE_NOT and not isinstance(value, list) and not name.startswith("$")
    }
    return {name: value for name, value in sorted(found.items()) if value is not None}


def stages(pipelines: Iterable[msgspec.Raw]) -> list[msgspec.Raw]:
    """The stages of pipelines, each with its `key` pipeline/stage and the `pipeline` that a deal names."""
    found = []
    for row in pipelines:
        pipeline = msgspec.json.decode(row, type=_Pipeline)
        name = pipeline.actual_value or pipeline.display_value
        for stage in pipeline.maps or ():
            body = decode(stage)
            value = body.get("actual_value") or body.get("display_value")
            found.append(
                msgspec.Raw(
                    encode({**body, "key": f"{name}/{value}", "pipeline": name, "pipeline_id": pipeline.id})
                )
            )
    return found


def stages_of_field(choices: Iterable[msgspec.Raw]) -> list[msgspec.Raw]:
    """The stages of an organization without pipelines, by the choices of the field Stage."""
    bodies = [decode(row) for row in choices]
    return [
        msgspec.Raw(encode({**body, "key": f"/{body.get('actual_value')}", "pipeline": ""}))
        for body in bodies
        if body.get("actual_value") not in (None, "-None-")
    ]


def prices(book: str, rows: Iterable[msgspec.Raw]) -> list[msgspec.Raw]:
    """The prices of a book: {key: book/product, price_book, id (the product's), list_price, ...}."""
    found = []
    for row in rows:
        body = {name: _plain(value) for name, value in decode(row).items()}
        found.append(msgspec.Raw(encode({**body, "key": f"{book}/{body['id']}", "price_book": book})))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value or None
    if isinstance(value, Decimal):
        if value.adjusted() >= MANY_DIGITS:
            return value
        return int(value) if value == value.to_integral_value() else value.normalize()
    if isinstance(value, dict):
        return {"id": value["id"]} if value.get("id") else value
    if isinstance(value, list):
        return [_plain(one) for one in value] or None
    return value


class _Pipeline(msgspec.Struct):
    id: str
    actual_value: str | None = None
    display_value: str | None = None
    maps: list[msgspec.Raw] | None = None
