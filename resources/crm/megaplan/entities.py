"""What is read of a Megaplan account: our names, the vendor's lists, the fields asked of each.

A list answers a reduced set of fields; the others are asked for by name (`fields`). With `onlyRequestedFields`
nothing else comes, so that a record holds the same fields whether a list, a card or a batch brought it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from resources.connector import Entity
from resources.crm.rows import Shape

ENTITIES: Final = (
    Entity("employee", incremental=False),
    Entity("pipeline", incremental=False),
    Entity("stage", incremental=False),
    Entity("lead_source", incremental=False),
    Entity("currency", incremental=False),
    Entity("product", incremental=True),
    Entity("company", incremental=True),
    Entity("contact", incremental=True),
    Entity("requisite", incremental=False, parent="company"),  # inside companies and persons
    Entity("deal", incremental=True),
    Entity("invoice", incremental=False, parent="deal"),  # inside deals: their own list ends after 100
)


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of the vendor's: `GET <path>`, its rows of the types `types`.

    `fields` are asked for always, `optional` ones where the account has them. `whole`: types of linked records
    that stay whole within a row because nothing else brings them. `filter`: the type of its filter, if it has
    one. `paths` holds other addresses, tried in turn where the first is not known to the account.
    """

    entity: str
    path: str
    types: tuple[str, ...]
    fields: tuple[str, ...]
    optional: tuple[str, ...] = ()
    whole: frozenset[str] = frozenset()
    filter: str = ""
    paths: tuple[str, ...] = ()

    @property
    def drops(self) -> bool:
        """Whether its rows say that they were dropped."""
        return "isDropped" in (*self.fields, *self.optional)


_CONTRACTOR: Final = (
    "name", "type", "responsibles", "contactInfo", "payers", "timeCreated", "timeUpdated",
    "isDropped", "mergeInProgress",
)  # fmt: skip
_CONTRACTOR_OPTIONAL: Final = ("description", "status", "activityType", "advertisingWay")

LISTINGS: Final[Mapping[str, Listing]] = {
    "deal": Listing(
        "deal", "deal", ("Deal",),
        ("number", "name", "contractor", "manager", "program", "state", "result", "price", "positions",
         "timeCreated", "timeUpdated"),
        ("contact", "payer", "cost", "invoices", "stateTimeUpdated", "shortDescription"),
        filter="TradeFilter",
    ),
    "company": Listing(
        "company", "contractorCompany", ("ContractorCompany",), _CONTRACTOR,
        (*_CONTRACTOR_OPTIONAL, "contacts"), frozenset({"Payer"}), "CrmFilter", ("contractor",),
    ),
    "contact": Listing(
        "contact", "contractorHuman", ("ContractorHuman",),
        (*_CONTRACTOR, "firstName", "middleName", "lastName", "company"),
        (*_CONTRACTOR_OPTIONAL, "position"), frozenset({"Payer"}), "CrmFilter", ("contractor",),
    ),
    "product": Listing(
        "product", "offer", ("Offer",), ("name", "article", "price", "unit"),
        ("type", "tax", "category", "isDropped", "timeCreated", "timeUpdated"), filter="OfferFilter",
    ),
    "employee": Listing(
        "employee", "employee", ("Employee",), ("name",),
        ("firstName", "middleName", "lastName", "position", "department", "contactInfo", "isWorking", "canLogin"),
    ),
    "pipeline": Listing("pipeline", "program", ("Program",), ("name", "states"), ("isBpm",), frozenset({"ProgramState"})),
    "stage": Listing("stage", "program", ("Program",), ("name", "states"), ("isBpm",), frozenset({"ProgramState"})),
    "lead_source": Listing(
        "lead_source", "advertisingWay", ("AdvertisingWay", "ContractorAdvertisingWay"), ("name",),
        paths=("contractorAdvertisingWay",),
    ),
    "currency": Listing("currency", "currency", ("Currency",), ("name", "abbreviation"), ("isBase",)),
}  # fmt: skip

# Requisites by themselves: asked only whether they have a field, since the list holds our own too.
PAYERS: Final = Listing("requisite", "payer", ("Payer",), ("name",))

MAIN: Final = ("product", "company", "contact", "deal")  # read by time
CLIENTS: Final = ("company", "contact")  # whoever has requisites, and deals


@dataclass(frozen=True, slots=True)
class Inside:
    """Records that come inside others: of whom, under which field, and the field of theirs that names the owner."""

    owners: tuple[str, ...]
    field: str
    owner: str


INSIDE: Final[Mapping[str, Inside]] = {
    "requisite": Inside(CLIENTS, "payers", "contractor"),
    "invoice": Inside(("deal",), "invoices", "deal"),
}

_STAMP: Final = ("timeUpdated.value",)
SHAPES: Final = {
    "deal": Shape("deal", stamp=_STAMP),
    "company": Shape("company", stamp=_STAMP, deleted="isDropped"),
    "contact": Shape("contact", stamp=_STAMP, deleted="isDropped"),
    "product": Shape("product", stamp=_STAMP, deleted="isDropped"),
    "requisite": Shape("requisite", deleted="isDropped"),
    "invoice": Shape("invoice"),
    "employee": Shape("employee"),
    "pipeline": Shape("pipeline"),
    "stage": Shape("stage", parent="program.id"),
    "lead_source": Shape("lead_source"),
    "currency": Shape("currency"),
}

# What the vendor stamps by itself: our write is no change of the record.
VOLATILE: Final = ("timeUpdated", "userUpdated")

# Records that are read by themselves: inside another one a link to them is kept, whether the answer held them whole
# (at their first place in it) or not, so that a record does not depend on its neighbours.
OWN: Final = frozenset(
    {"Deal", "ContractorCompany", "ContractorHuman", "Payer", "Employee", "Program", "ProgramState", "Offer",
     "AdvertisingWay", "ContractorAdvertisingWay"}
)  # fmt: skip

ENTITY_OF: Final = {
    "Deal": "deal", "ContractorCompany": "company", "ContractorHuman": "contact", "Offer": "product",
    "Employee": "employee", "Program": "pipeline", "ProgramState": "stage",
}  # fmt: skip


def own_fields(names: Iterable[str]) -> list[str]:
    """Those of the names that are custom fields of the account, as the vendor names them."""
    return sorted({name for name in names if "CustomField" in name})


def fields_of(listing: Listing, named: Sequence[str], absent: Iterable[str] = ()) -> tuple[str, ...]:
    """What to ask of a list: always, where the account has it, and what the mapping names; without `absent`."""
    implied = {"id", "contentType", "program"} if listing.entity == "stage" else {"id", "contentType"}
    more = own_fields(named) if listing.entity in ("stage", "pipeline") else sorted({*named} - implied)
    left = set(absent)
    asked = dict.fromkeys((*listing.fields, *listing.optional, *more))
    return tuple(name for name in asked if name not in left)
