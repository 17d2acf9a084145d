"""What of Dynamics 365 Sales is read: our entities, the tables and option sets behind them, their columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from resources.connector import Entity
from resources.crm.rows import Shape

STAMP: Final = "modifiedon"

ENTITIES: Final = (
    Entity("company", incremental=True),
    Entity("contact", incremental=True),
    Entity("deal", incremental=True),
    # A table of its own: its rows change without the deal's stamp, and its own change tracking tells of it.
    Entity("deal_line", incremental=True, parent="deal"),
    Entity("product", incremental=True),
    Entity("product_price", incremental=True),
    Entity("invoice", incremental=True),
    Entity("employee", incremental=False),
    Entity("pipeline", incremental=False),
    Entity("stage", incremental=False),
    Entity("status", incremental=False),
    Entity("lead_source", incremental=False),
    Entity("campaign", incremental=False),
    Entity("currency", incremental=False),
    Entity("price_list", incremental=False),
    Entity("unit", incremental=False),
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of Dataverse: its logical name, the set in addresses, its key, and what is asked for in any case."""

    entity: str
    name: str
    set: str
    key: str
    always: tuple[str, ...] = ()
    living: str = ""  # a filter that leaves out rows merged into others
    where: str = ""  # a filter of a dictionary

    @property
    def order(self) -> str:
        """By time, equal times by key: a page ends between two rows, never within one second."""
        return f"{STAMP} asc,{self.key} asc"


_MERGED: Final = ("merged", "_masterid_value")
_LIVING: Final = "_masterid_value eq null"

# Read by change tracking, or by time. The largest first: they are begun first.
TABLES: Final = {
    table.entity: table
    for table in (
        Table("deal_line", "opportunityproduct", "opportunityproducts", "opportunityproductid",
              (STAMP, "_opportunityid_value")),
        Table("deal", "opportunity", "opportunities", "opportunityid", (STAMP,)),
        Table("contact", "contact", "contacts", "contactid", (STAMP, *_MERGED), _LIVING),
        Table("company", "account", "accounts", "accountid", (STAMP, *_MERGED), _LIVING),
        Table("invoice", "invoice", "invoices", "invoiceid", (STAMP,)),
        Table("product_price", "productpricelevel", "productpricelevels", "productpricelevelid",
              (STAMP, "_productid_value")),
        Table("product", "product", "products", "productid", (STAMP,)),
    )
}  # fmt: skip

# Small ones, read whole and all of them by one request.
DICTIONARIES: Final = {
    table.entity: table
    for table in (
        Table("employee", "systemuser", "systemusers", "systemuserid"),
        Table("campaign", "campaign", "campaigns", "campaignid"),
        Table("currency", "transactioncurrency", "transactioncurrencies", "transactioncurrencyid"),
        Table("price_list", "pricelevel", "pricelevels", "pricelevelid"),
        Table("unit", "uom", "uoms", "uomid"),
        # Of business process flows the definitions: category 4, type 1.
        Table("pipeline", "workflow", "workflows", "workflowid", ("name", "primaryentity"),
              where="category eq 4 and type eq 1"),
        Table("stage", "processstage", "processstages", "processstageid",
              ("createdon", "stagecategory", "_processid_value", "primaryentitytypecode")),
    )
}  # fmt: skip

OPTION_SETS: Final = ("status", "lead_source")
STATUS: Final = ("opportunity", "statuscode")

SHAPES: Final = {
    "company": Shape("company", "accountid", (STAMP,), deleted="merged", merged="_masterid_value"),
    "contact": Shape("contact", "contactid", (STAMP,), deleted="merged", merged="_masterid_value"),
    "deal": Shape("deal", "opportunityid", (STAMP,)),
    "deal_line": Shape("deal_line", "opportunityproductid", (STAMP,), "_opportunityid_value"),
    "product": Shape("product", "productid", (STAMP,)),
    "product_price": Shape("product_price", "productpricelevelid", (STAMP,), "_productid_value"),
    "invoice": Shape("invoice", "invoiceid", (STAMP,)),
    **{name: Shape(name, table.key) for name, table in DICTIONARIES.items()},
    "status": Shape("status", "Value"),
    "lead_source": Shape("lead_source", "Value"),
}

# What the vendor stamps by itself: our write, a recalculation or a deployment is no change of the record.
VOLATILE: Final = ("@odata.etag", STAMP, "versionnumber", "_modifiedby_value", "_modifiedonbehalfby_value")

# Deals and contacts of a company, by its key: what a merge moves to the survivor.
THEIRS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "company": {
        "deal": ("_customerid_value", "_parentaccountid_value"),
        "contact": ("_parentcustomerid_value",),
        "invoice": ("_customerid_value",),
    },
    "contact": {"deal": ("_customerid_value", "_parentcontactid_value")},
}


def columns(table: Table, named: Sequence[str], everything: bool) -> tuple[str, ...]:
    """What is asked for: the key, what is always needed and what the mapping names; () for all columns."""
    if everything:
        return ()
    wanted = (name.partition("@")[0] for name in named)
    return tuple(dict.fromkeys(name for name in (table.key, *table.always, *wanted) if name))


def annotated(named: Sequence[str]) -> tuple[str, ...]:
    """The Prefer that brings the annotations which the mapping names: `_customerid_value@Microsoft...`."""
    wanted = sorted({name.partition("@")[2] for name in named if "@" in name[1:]})
    return (f'odata.include-annotations="{",".join(wanted)}"',) if wanted else ()


def either(names: Iterable[str], keys: Iterable[str]) -> str:
    """A filter: any of the columns holds any of the keys."""
    return " or ".join(f"{name} eq {key}" for key in keys for name in names)


def options_path(table: str, column: str) -> str:
    """The definition of an option column with its options, wherever they are kept."""
    kind = "StatusAttributeMetadata" if column == "statuscode" else "PicklistAttributeMetadata"
    expand = "OptionSet" if column == "statuscode" else "OptionSet,GlobalOptionSet"
    return (
        f"EntityDefinitions(LogicalName='{table}')/Attributes(LogicalName='{column}')"
        f"/Microsoft.Dynamics.CRM.{kind}?$select=LogicalName&$expand={expand}"
    )


def options(content: bytes) -> list[msgspec.Raw]:
    """The options of a column's definition: `Value`, `Label.UserLocalizedLabel.Label`, `State`. Raises ValueError."""
    said = msgspec.json.decode(content, type=_Column)
    for found in (said.own, said.shared):
        if found is not None and found.options:
            return found.options
    return []


def stages(rows: Sequence[msgspec.Raw]) -> list[msgspec.Raw]:
    """The stages of opportunities' flows, each with its `position` in its flow, from 1.

    Dataverse keeps no order of stages outside a flow's diagram: they are ordered by category (Qualify, Develop,
    Propose, Close), then by the time they were made, then as they came.
    """
    heads = [(row, msgspec.json.decode(row, type=_Stage)) for row in rows]
    ours = [(row, head) for row, head in heads if head.table in (None, "", "opportunity", 3)]
    ours.sort(key=lambda one: (one[1].flow or "", one[1].category or 0, one[1].made or ""))
    found, counts = [], dict[str, int]()
    for row, head in ours:
        flow = head.flow or ""
        counts[flow] = counts.get(flow, 0) + 1
        whole: dict[str, Any] = msgspec.json.decode(row, type=dict[str, msgspec.Raw])
        found.append(msgspec.Raw(msgspec.json.encode({**whole, "position": counts[flow]})))
    return found


def pipelines(rows: Sequence[msgspec.Raw]) -> list[msgspec.Raw]:
    """The flows of opportunities."""
    return [
        row
        for row in rows
        if msgspec.json.decode(row, type=_Flow).table in (None, "", "none", "opportunity", 3)
    ]


class _Stage(
    msgspec.Struct,
    rename={"flow": "_processid_value", "category": "stagecategory", "made": "createdon",
            "table": "primaryentitytypecode"},
):  # fmt: skip
    flow: str | None = None
    category: int | None = None
    made: str | None = None
    table: str | int | None = None


class _Flow(msgspec.Struct, rename={"table": "primaryentity"}):
    table: str | int | None = None


class _Options(msgspec.Struct, rename={"options": "Options"}):
    options: list[msgspec.Raw] = []


class _Column(msgspec.Struct, rename={"own": "OptionSet", "shared": "GlobalOptionSet"}):
    own: _Options | None = None
    shared: _Options | None = None
