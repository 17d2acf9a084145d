"""What is read of an amoCRM account, and how its rows become records: our names, their lists, custom fields.

A custom field stands deep in a row: `custom_fields_values[field_code=X].values[0].value`. Those that the
mapping names by code (or by number, where they have no code) are lifted to the top of the payload under that
name: what is written back is moved there, so that our own write is told from a change of the record; what is
read stands there once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import Any, Final

import msgspec

from resources.connector import Entity
from resources.crm.amocrm.account import Listing
from resources.crm.rows import Shape

WON, LOST = "142", "143"  # in every pipeline: a stage is known by pipeline and status

ENTITIES: Final = (
    Entity("company", incremental=True),
    Entity("contact", incremental=True),
    Entity("deal", incremental=True),
    Entity("pipeline", incremental=False),
    Entity("stage", incremental=False),
    Entity("employee", incremental=False),
    Entity("lead_source", incremental=False),
    Entity("loss_reason", incremental=False),
    Entity("currency", incremental=False),
    Entity("price_list", incremental=False),
    # Elements of catalogs can be asked for neither by time nor by event: they are read whole.
    Entity("product", incremental=False),
    Entity("product_price", incremental=False),
    Entity("invoice", incremental=False),
)

# Read by time. The stamp is of whole seconds.
MAIN: Final = {
    "company": Listing("companies", "companies"),
    "contact": Listing("contacts", "contacts"),
    "deal": Listing("leads", "leads", {"with": "contacts,catalog_elements,loss_reason,source_id"}),
}
BARE: Final = {name: Listing(listing.path, listing.name) for name, listing in MAIN.items()}

DICTIONARIES: Final = {
    "pipeline": Listing("leads/pipelines", "pipelines"),
    "stage": Listing("leads/pipelines", "pipelines"),
    "employee": Listing("users", "users"),
    "lead_source": Listing("sources", "sources"),
    "loss_reason": Listing("leads/loss_reasons", "loss_reasons"),
    "currency": Listing("currencies", "currencies"),
}
CATALOGS: Final = {
    "product": "products",
    "product_price": "products",
    "price_list": "products",
    "invoice": "invoices",
}

SHAPES: Final = {
    "company": Shape("company", stamp=("updated_at",), deleted="is_deleted"),
    "contact": Shape("contact", stamp=("updated_at",), deleted="is_deleted"),
    "deal": Shape("deal", stamp=("updated_at",), deleted="is_deleted"),
    "product": Shape("product", stamp=("updated_at",), deleted="is_deleted"),
    "product_price": Shape("product_price", key="key", stamp=("updated_at",), parent="product_id"),
    "invoice": Shape("invoice", stamp=("updated_at",), deleted="is_deleted"),
    "price_list": Shape("price_list"),
    "pipeline": Shape("pipeline"),
    "stage": Shape("stage", key="key"),
    "employee": Shape("employee"),
    "lead_source": Shape("lead_source"),
    "loss_reason": Shape("loss_reason"),
    "currency": Shape("currency", key="code"),
}

# What the vendor stamps by itself: our write, or a task for the manager, is no change of the record.
VOLATILE: Final = ("updated_at", "updated_by", "closest_task_at")

_ALL = (
    "id", "name", "responsible_user_id", "group_id", "created_by", "updated_by", "created_at", "updated_at",
    "closest_task_at", "is_deleted", "custom_fields_values", "account_id", "_links", "_embedded",
)  # fmt: skip
_ELEMENT = (*_ALL, "catalog_id", "invoice_link", "invoice_warning")
VENDOR_FIELDS: Final[Mapping[str, Sequence[str]]] = {
    "deal": (
        *_ALL, "price", "price_with_minor_units", "status_id", "pipeline_id", "loss_reason_id", "source_id",
        "closed_at", "score", "labor_cost", "is_price_computed", "is_price_modified_by_robot",
    ),
    "contact": (*_ALL, "first_name", "last_name", "is_unsorted"),
    "company": (*_ALL, "is_unsorted"),
    "product": _ELEMENT,
    "invoice": _ELEMENT,
}  # fmt: skip
"""Names at the top of a row that are no custom fields."""


DAYS: Final = {"deal": {"closed_on": "closed_at"}}
"""Days that the mapping may name beside a moment: of whole seconds since 1970 a day can be told by a clock alone."""


def own_fields(entity: str, names: Iterable[str]) -> list[str]:
    """Those of the names that must be custom fields."""
    if entity not in VENDOR_FIELDS:
        return []
    return sorted({*names} - {*VENDOR_FIELDS[entity]} - {*DAYS.get(entity, ())})


@dataclass(frozen=True, slots=True)
class Lift:
    """Which custom fields of an entity come to the top, by their code or number: moved there, or shown too.

    `days`: names of days, and the moments whose days they are in `zone`.
    """

    moved: frozenset[str] = frozenset()
    shown: frozenset[str] = frozenset()
    days: Mapping[str, str] = field(default_factory=dict)
    zone: tzinfo = UTC

    def __call__(self, row: msgspec.Raw) -> msgspec.Raw:
        """The row with its fields lifted; the vendor's own bytes where there are none. Raises ValueError."""
        if not self.moved and not self.shown and not self.days:
            return row
        head = _reading(tuple(self.days.values()))(row)
        lifted: dict[str, msgspec.Raw] = {}
        for day, moment in self.days.items():
            if at := getattr(head, moment):
                local = datetime.fromtimestamp(at, self.zone).date()
                lifted[day] = msgspec.Raw(b'"%b"' % local.isoformat().encode())
        names = [self._name(one) for one in head.custom_fields_values or ()]
        for name, one in zip(names, head.custom_fields_values or (), strict=True):
            if name:
                lifted[name] = one.values[0].value if one.values else _NULL
        if not lifted:
            return row
        if self.moved.isdisjoint(names):  # what the row ends with is all that changes
            return msgspec.Raw(b"".join((memoryview(row)[:-1], b",", memoryview(_encode(lifted))[1:])))
        whole = _read_whole(row)
        given = _read_list(whole["custom_fields_values"])
        kept = [one for name, one in zip(names, given, strict=True) if name not in self.moved]
        # null, as the vendor has it for a row without any
        whole["custom_fields_values"] = msgspec.Raw(_encode(kept or None))
        return msgspec.Raw(_encode(whole | lifted))

    def _name(self, field: _Given) -> str:
        """The name under which a custom field comes to the top; "" where it does not."""
        for name in (field.field_code or "", str(field.field_id)):
            if name in self.moved or name in self.shown:
                return name
        return ""


def stages(pipelines: Iterable[msgspec.Raw]) -> list[msgspec.Raw]:
    """The statuses of pipelines, each with its `key` pipeline/status."""
    return [
        _keyed(status, {"key": f"{pipeline.id}/{msgspec.json.decode(status, type=_Id).id}"})
        for pipeline in (msgspec.json.decode(row, type=_Pipeline) for row in pipelines)
        for status in pipeline.embedded.statuses
    ]


def prices(products: Iterable[msgspec.Raw]) -> list[msgspec.Raw]:
    """Every price of the products: {key: product/field, product_id, field_id, field_code, value, updated_at}."""
    found = []
    for row in products:
        product = msgspec.json.decode(row, type=_Product)
        for given in product.custom_fields_values or ():
            head = msgspec.json.decode(given, type=_Given)
            if head.field_type in ("price", "monetary") and head.values:
                found.append(
                    msgspec.Raw(
                        msgspec.json.encode(
                            {
                                "key": f"{product.id}/{head.field_id}",
                                "product_id": product.id,
                                "field_id": head.field_id,
                                "field_code": head.field_code,
                                "value": head.values[0].value,
                                "updated_at": product.updated_at,
                            }
                        )
                    )
                )
    return found


PARTS: Final = {"stage": stages, "product_price": prices}
"""Entities that stand inside the rows of another."""


class Head(msgspec.Struct):
    """The number of a row, and when it was changed, whole seconds since 1970."""

    id: int
    updated_at: int = 0


def heads(rows: Iterable[msgspec.Raw]) -> list[Head]:
    """The heads of rows; rows that have none are left out."""
    found = []
    for row in rows:
        try:
            found.append(_read_head(row))
        except msgspec.DecodeError:
            continue
    return found


class _Id(msgspec.Struct):
    id: int


class _Value(msgspec.Struct):
    value: msgspec.Raw = msgspec.Raw(b"null")


class _Given(msgspec.Struct):
    field_id: int
    field_code: str | None = None
    field_type: str = ""
    values: list[_Value] | None = None


class _Fields(msgspec.Struct):
    custom_fields_values: list[_Given] | None = None


class _Statuses(msgspec.Struct):
    statuses: list[msgspec.Raw] = []


class _Pipeline(msgspec.Struct, rename={"embedded": "_embedded"}):
    id: int
    embedded: _Statuses = msgspec.field(default_factory=_Statuses)


class _Product(msgspec.Struct):
    id: int
    updated_at: int = 0
    custom_fields_values: list[msgspec.Raw] | None = None


def _keyed(row: msgspec.Raw, more: Mapping[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode({**msgspec.json.decode(row, type=dict[str, msgspec.Raw]), **more}))


@cache
def _reading(moments: tuple[str, ...]) -> Callable[[msgspec.Raw], Any]:
    """A function from a row to its custom fields and these moments, whole seconds since 1970."""
    more = [(moment, int | None, None) for moment in moments]
    return msgspec.json.Decoder(msgspec.defstruct("Fields", more, bases=(_Fields,))).decode


_NULL: Final = msgspec.Raw(b"null")
_encode = msgspec.json.encode
_read_head = msgspec.json.Decoder(Head).decode
_read_whole = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
