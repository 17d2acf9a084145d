"""What is written over the API: creation, partial update, deletion, and moves between stages.

A body is an entity with its `contentType`; keys that are not there stay as they are, null empties what may be
empty. `state` is not written: a deal moves by a transition that its card offers. Nothing keys a request and
nothing guards a version: of two writers the later wins, and a creation sent twice makes two records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from sandbox.company.model import MOSCOW
from sandbox.crm.megaplan import cards
from sandbox.crm.megaplan.custom import CUSTOM, heard
from sandbox.crm.megaplan.portal import Portal
from sandbox.crm.megaplan.protocol import RefusedError, not_found, wrong_type
from sandbox.crm.megaplan.sales import stages_of
from sandbox.crm.megaplan.values import CONTENT_TYPES, heard_day, heard_link, heard_money
from sandbox.desk.records import Body, Item

Hear = Callable[[Portal, Any, Body], None]
ENTRY_OF: Final = {"deal": "program", "client": "name", "contact": "lastName", "task": "name"}
"""Without which nothing of the kind is made."""


def create(portal: Portal, kind: str, said: Any, **given: Any) -> Item:
    """A new record of a kind. Raises RefusedError."""
    _checked(said, kind)
    required = ENTRY_OF.get(kind)
    if required is not None and not said.get(required):
        raise RefusedError(422, f"Field {required} is required", required)
    body = {**_NEW[kind], **given}
    if kind == "deal":
        _, pipeline = heard_link(said["program"], "pipeline")
        if portal.desk.get("pipeline", pipeline) is None:
            raise not_found("Program", str(said["program"].get("id")))
        body |= {"pipeline": pipeline, "stage": stages_of(portal, pipeline)[0].number,
                 "begun_on": portal.desk.clock().astimezone(MOSCOW).date()}  # fmt: skip
        body["title"] = "Новая сделка"
    if kind == "requisite":
        for name in ("type", "country"):
            if not said.get(name):
                raise RefusedError(422, f"Field {name} is required", name)
    _hear(portal, kind, said, body)
    return portal.desk.add(kind, body)


def update(portal: Portal, kind: str, number: int, said: Any) -> Item:
    """Write the keys of a body over a living record; its stamp moves if anything changed."""
    _checked(said, kind)
    item = portal.desk.get(kind, number)
    if item is None:
        raise not_found(CONTENT_TYPES[kind], str(said.get("id") or number))
    body = dict(item.body)
    _hear(portal, kind, said, body)
    return portal.desk.put(kind, number, body) if body != item.body else item


def move(portal: Portal, number: int, said: Any) -> Item:
    """Apply a transition: {"transition": id} or the ProgramTransition itself. Raises RefusedError."""
    item = portal.desk.get("deal", number)
    if item is None:
        raise not_found("Deal", str(number))
    key = said.get("transition", said.get("id")) if isinstance(said, dict) else None
    if isinstance(key, dict):
        key = key.get("id")
    here, target = divmod(int(str(key)), 1000) if str(key).isdigit() else (0, 0)
    stages = {stage.number: stage for stage in stages_of(portal, item.body["pipeline"])}
    if here != item.body["stage"] or target not in stages or target == here:
        raise RefusedError(422, f"Transition {key} is not possible", "transition")
    closed = stages[target].body["outcome"] != "open"
    today = portal.desk.clock().astimezone(MOSCOW).date()
    return portal.desk.put(
        "deal", number, {**item.body, "stage": target, "closed_on": today if closed else None}
    )


def remove(portal: Portal, kind: str, number: int) -> None:
    if portal.desk.get(kind, number) is None:
        raise not_found(CONTENT_TYPES[kind], str(number))
    portal.desk.remove(kind, number)


def _checked(said: Any, kind: str) -> None:
    if not isinstance(said, dict) or said.get("contentType") != CONTENT_TYPES[kind]:
        raise wrong_type(said, CONTENT_TYPES[kind])


def _hear(portal: Portal, kind: str, said: Mapping[str, Any], body: Body) -> None:
    strict = portal.manners.unknown_fields == "refuse"
    for key, value in said.items():
        if kind == "deal" and key in portal.manners.not_editable:
            raise RefusedError(403, "Access denied", key)
        field = CUSTOM.get(kind, {}).get(key)
        if field is not None:
            body[field.holds] = _chosen(
                portal, field.holds, heard(field, value, portal.manners.months_from_zero)
            )
        elif (hear := _HEARD[kind].get(key)) is not None:
            hear(portal, value, body)
        elif strict and key not in cards.FIELDS[kind] and key not in ("contentType", "id"):
            raise RefusedError(422, f"{CONTENT_TYPES[kind]} have not this fields: {key}", key)


def _chosen(portal: Portal, holds: str, value: Any) -> Any:
    """A choice of an EnumField as the desk's number; other values as they are."""
    if holds not in ("source", "campaign"):
        return value
    if not value:
        return None
    for row in portal.desk.living(holds):
        if row.body["name"] == value:
            return row.number
    raise RefusedError(422, f"Value {value} is not among the choices")


def _text(name: str, *, required: str = "") -> Hear:
    def hear(portal: Portal, said: Any, body: Body) -> None:
        if said is not None and not isinstance(said, str):
            raise wrong_type(said, "string")
        if required and not said:
            raise RefusedError(422, f"Field {required} is required", required)
        body[name] = (said or "").replace("\x01", "")

    return hear


def _link(name: str, *kinds: str, many: bool = False) -> Hear:
    def hear(portal: Portal, said: Any, body: Body) -> None:
        if many:
            if said is not None and not isinstance(said, list):
                raise wrong_type(said, f"{CONTENT_TYPES[kinds[0]]}[]")
            said = said[0] if said else None
        if said is None:
            body[name] = None
            return
        kind, number = heard_link(said, *kinds)
        if portal.desk.get(kind, number) is None:
            raise not_found(CONTENT_TYPES[kind], str(said.get("id")))
        body[name] = number

    return hear


def _hear_price(portal: Portal, said: Any, body: Body) -> None:
    body["amount"] = heard_money(said) or Decimal(0)
    if said is not None and said.get("currency"):
        body["currency"] = str(said["currency"])


def _hear_contacts(portal: Portal, said: Any, body: Body) -> None:
    """The whole list anew: what is not in it is gone."""
    if said is not None and not isinstance(said, list):
        raise wrong_type(said, "(Address|ContactInfo)[]")
    found: dict[str, str] = {}
    for row in said or ():
        if not isinstance(row, dict) or row.get("contentType") not in ("ContactInfo", "Address"):
            raise wrong_type(row, "Address|ContactInfo")
        kind = "address" if row["contentType"] == "Address" else str(row.get("type"))
        found.setdefault(kind, str(row.get("value") or ""))
    for name in ("phone", "email", "address"):
        if name in body:
            body[name] = found.get(name, "")


def _hear_payer_type(portal: Portal, said: Any, body: Body) -> None:
    if said not in ("Legal", "Natural"):
        raise RefusedError(422, "Field type is one of Legal, Natural", "type")
    body["sole"] = said == "Natural"


def _hear_country(portal: Portal, said: Any, body: Body) -> None:
    if not isinstance(said, dict) or said.get("contentType") != "Country" or not said.get("id"):
        raise wrong_type(said, "Country")
    body["country"] = str(said["id"])


def _hear_deadline(portal: Portal, said: Any, body: Body) -> None:
    body["due_on"] = heard_day(said, portal.manners.months_from_zero)


_HEARD: Final[Mapping[str, dict[str, Hear]]] = {
    "deal": {
        "name": _text("title", required="name"), "description": _text("description"),
        "contractor": _link("client", "client"), "contact": _link("contact", "contact"),
        "manager": _link("employee", "employee"), "payer": _link("requisite", "requisite"),
        "price": _hear_price,
    },
    "client": {
        "name": _text("name", required="name"), "description": _text("description"),
        "responsibles": _link("employee", "employee", many=True), "contactInfo": _hear_contacts,
    },
    "contact": {
        "lastName": _text("last_name", required="lastName"), "firstName": _text("first_name"),
        "middleName": _text("middle_name"), "position": _text("post"), "description": _text("description"),
        "company": _link("client", "client"), "contactInfo": _hear_contacts,
    },
    "requisite": {
        "name": _text("name"), "type": _hear_payer_type, "country": _hear_country,
        **{name: _text(name) for name in (
            "inn", "kpp", "ogrn", "firstName", "lastName", "address", "edrpou", "currentAccount",
            "bank", "bik", "correspondentAccount", "okpo", "mfo", "unp")},
        "legalAddress": _text("legal_address"),
    },
    "task": {
        "name": _text("text", required="name"), "statement": _text("statement"),
        "responsible": _link("employee", "employee"), "deadline": _hear_deadline,
        "deals": _link("deal", "deal", many=True), "contractor": _link("client", "client"),
    },
    "product": {"name": _text("name", required="name"), "article": _text("code")},
    "employee": {}, "pipeline": {}, "stage": {}, "source": {}, "invoice": {}, "line": {},
}  # fmt: skip
_NEW: Final[Mapping[str, Body]] = {
    "deal": {"title": "", "client": None, "requisite": None, "contact": None, "employee": 1, "pipeline": 1,
             "stage": 1, "amount": Decimal(0), "currency": "RUB", "begun_on": None, "closed_on": None,
             "source": None, "campaign": None, "payment_status": "", "shipment_status": "", "debt": None},
    "client": {"name": "", "legal_name": "", "inn": "", "kpp": "", "ogrn": "", "vat_id": "", "country": "RU",
               "phone": "", "email": "", "city": "", "address": "", "employee": 1},
    "contact": {"client": None, "first_name": "", "middle_name": "", "last_name": "", "post": "", "phone": "",
                "email": ""},
    "requisite": {"client": None, "name": "", "inn": "", "kpp": "", "ogrn": "", "vat_id": "", "country": "RU",
                  "sole": False},
    "task": {"deal": None, "employee": 1, "text": "", "due_on": None, "key": ""},
}  # fmt: skip
