"""What the fields of each kind say: every key of a card, and which of them a list gives unasked.

A list, and an entity mentioned inside another, give the fields that the vendor's documentation marks as «в
коллекции»; the rest come with `fields` or with the card. Names are those of the RAML; a published live answer
shows their shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from sandbox.crm.megaplan import custom
from sandbox.crm.megaplan.sales import (
    DEAL,
    INVOICE,
    LINE,
    PRODUCT,
    RESULTS,
    loose_offer,
    stages_of,
    transition_key,
    transition_of,
)
from sandbox.crm.megaplan.values import RATES, Link, Said, day, moment, plain
from sandbox.desk.records import Item

if TYPE_CHECKING:
    from sandbox.crm.megaplan.portal import Portal

Field = Callable[["Portal", Item], Any]


def _nothing(*names: str) -> dict[str, Field]:
    """Fields that this account keeps empty, by the shape of their emptiness: a count is 0, a list []."""
    return {name: _empty_of(name) for name in names}


def _empty_of(name: str) -> Field:
    if name.endswith("Count"):
        return lambda p, i: 0
    return (lambda p, i: []) if name in _MANY else (lambda p, i: None)


_MANY: Final = frozenset(
    {"tags", "responsibles", "payers", "triggers", "auditors", "executors", "parents", "contacts"}
)


def _plain(name: str) -> Field:
    """A text of the body under the same name; '' where it was never typed."""
    return lambda p, i: i.body.get(name, "")


def _contact_info(portal: Portal, item: Item) -> list[Said]:
    rows = [
        {"contentType": "ContactInfo", "type": kind, "value": value, "comment": "", "isMain": place == 0}
        for place, kind in enumerate(("phone", "email"))
        if (value := item.body.get(kind))
    ]
    if item.body.get("address"):
        rows.append(
            {
                "contentType": "Address",
                "type": Link("address", "legal"),
                "value": item.body["address"],
                "isMain": True,
            }
        )
    return rows


def _times(with_users: bool = True) -> dict[str, Field]:
    times: dict[str, Field] = {
        "timeCreated": lambda p, i: moment(i.created),
        "timeUpdated": lambda p, i: moment(i.modified),
    }
    if with_users:
        times["userCreated"] = times["userUpdated"] = lambda p, i: _employee(i)
    return times


def _employee(item: Item) -> Link | None:
    number = item.body.get("employee")
    return Link("employee", number) if number else None


def _first_source(portal: Portal, item: Item) -> Link | None:
    """The way in which the client came: the source of its first deal."""
    deals = portal.owned("deal", "client", item.number)
    source = next((deal.body["source"] for deal in deals if deal.body.get("source")), None)
    return Link("source", source) if source else None


def _person_name(portal: Portal, item: Item) -> str:
    body = item.body
    return " ".join(filter(None, (body["last_name"], body["first_name"], body.get("middle_name"))))


_CONTRACTOR: Final[dict[str, Field]] = {
    "humanNumber": lambda p, i: i.number,
    "type": lambda p, i: Link("kind", "1"),
    "contactInfo": _contact_info,
    "contactInfoCount": lambda p, i: len(_contact_info(p, i)),
    "description": _plain("description"),
    "preferTransport": _plain("preferTransport"),
    "isDropped": lambda p, i: i.deleted is not None,
    "mergeInProgress": lambda p, i: False,
    **_nothing("birthday", "status", "tags", "tagsCount", "activityType", "lastDealDate"),
    **_times(with_users=False),
}
CLIENT: Final[dict[str, Field]] = {
    **_CONTRACTOR,
    "name": lambda p, i: i.body["name"],
    "responsibles": lambda p, i: [link] if (link := _employee(i)) else [],
    "responsiblesCount": lambda p, i: int(_employee(i) is not None),
    "payers": lambda p, i: [Link("requisite", row.number) for row in p.desk.children("requisite", i.number)],
    "payersCount": lambda p, i: len(p.desk.children("requisite", i.number)),
    "countDeals": lambda p, i: len(p.owned("deal", "client", i.number)),
    "advertisingWay": _first_source,
    "contacts": lambda p, i: [Link("contact", r.number) for r in p.owned("contact", "client", i.number)],
    "contactsCount": lambda p, i: len(p.owned("contact", "client", i.number)),
}
CONTACT: Final[dict[str, Field]] = {
    **_CONTRACTOR,
    "name": _person_name,
    "firstName": lambda p, i: i.body["first_name"],
    "middleName": lambda p, i: i.body.get("middle_name", ""),
    "lastName": lambda p, i: i.body["last_name"],
    "position": lambda p, i: i.body.get("post", ""),
    "company": lambda p, i: Link("client", i.body["client"]) if i.body.get("client") else None,
    **_nothing("responsibles", "responsiblesCount", "payers", "payersCount", "countDeals", "advertisingWay"),
}
REQUISITE: Final[dict[str, Field]] = {
    "name": lambda p, i: i.body["name"],
    "type": lambda p, i: "Natural" if i.body["sole"] else "Legal",
    "country": lambda p, i: Link("country", i.body["country"]),
    **{
        name: _plain(name)
        for name in (
            "inn", "kpp", "ogrn", "firstName", "lastName", "address", "edrpou", "currentAccount",
            "bank", "bik", "correspondentAccount", "okpo", "mfo", "unp",
        )
    },
    "legalAddress": lambda p, i: i.body.get("legal_address", ""),
    "isDropped": lambda p, i: i.deleted is not None,
    "contractor": lambda p, i: Link("client", i.body["client"]),
}  # fmt: skip
EMPLOYEE: Final[dict[str, Field]] = {
    "name": lambda p, i: f"{i.body['first_name']} {i.body['last_name']}",
    "firstName": lambda p, i: i.body["first_name"],
    "middleName": lambda p, i: "",
    "lastName": lambda p, i: i.body["last_name"],
    "position": lambda p, i: "Менеджер по продажам",
    "department": lambda p, i: Link("department", "1"),
    "uid": lambda p, i: 1_000_000 + i.number,
    "inn": lambda p, i: "",
    "contactInfo": lambda p, i: [
        {"contentType": "ContactInfo", "type": "email", "value": i.body["email"], "comment": None,
         "isMain": True, "subject": Link("employee", i.number)}
    ],
    "contactInfoCount": lambda p, i: 1,
    "isWorking": lambda p, i: i.body["active"] and i.deleted is None,
    "canLogin": lambda p, i: i.body["active"] and i.deleted is None,
    "fireInProgress": lambda p, i: False,
    "login": lambda p, i: i.body["email"],
    "status": lambda p, i: Link("standing", "1" if i.body["active"] else "2"),
    "timeCreated": lambda p, i: moment(i.created),
    **_nothing("gender", "birthday", "avatar", "nearestVacation"),
}  # fmt: skip
PIPELINE: Final[dict[str, Field]] = {
    "name": lambda p, i: i.body["name"],
    "roles": lambda p, i: [],
    "possibleActions": lambda p, i: ["can_create", "can_export"],
    "isBpm": lambda p, i: False,
    "states": lambda p, i: [Link("stage", row.number) for row in stages_of(p, i.number)],
    "statesCount": lambda p, i: len(stages_of(p, i.number)),
    "transitions": lambda p, i: [
        Link("transition", transition_key(a.number, b.number))
        for a in stages_of(p, i.number)
        for b in stages_of(p, i.number)
        if a is not b
    ],
    "transitionsCount": lambda p, i: (n := len(stages_of(p, i.number))) * (n - 1),
    **_nothing("triggers", "triggersCount"),
}
STAGE: Final[dict[str, Field]] = {
    "name": lambda p, i: i.body["name"],
    "entryPointName": lambda p, i: i.body["name"],
    "description": lambda p, i: "",
    "type": lambda p, i: RESULTS[i.body["outcome"]],
    "color": lambda p, i: "#dd525a" if i.body["outcome"] == "lost" else "#00b27a",
    "isEntry": lambda p, i: stages_of(p, i.body["pipeline"])[0] is i,
    "program": lambda p, i: Link("pipeline", i.body["pipeline"]),
}
SOURCE: Final[dict[str, Field]] = {"name": lambda p, i: i.body["name"]}
TASK: Final[dict[str, Field]] = {
    "humanNumber": lambda p, i: i.number,
    "name": lambda p, i: i.body["text"],
    "subject": lambda p, i: i.body["text"],
    "statement": lambda p, i: i.body.get("statement", ""),
    "status": lambda p, i: "assigned",
    "owner": lambda p, i: _employee(i),
    "responsible": lambda p, i: _employee(i),
    "deadline": lambda p, i: day(i.body.get("due_on"), p.manners.months_from_zero),
    "deals": lambda p, i: [Link("deal", i.body["deal"])] if i.body.get("deal") else [],
    "dealsCount": lambda p, i: int(bool(i.body.get("deal"))),
    "contractor": lambda p, i: Link("client", i.body["client"]) if i.body.get("client") else None,
    "isUrgent": lambda p, i: False,
    "timeCreated": lambda p, i: moment(i.created),
    "activity": lambda p, i: moment(i.modified),
    "statusChangeTime": lambda p, i: moment(i.created),
    **_nothing("auditors", "auditorsCount", "executors", "executorsCount", "parents", "commentsCount"),
}


def _customs(kind: str) -> dict[str, Field]:
    return {key: _custom(field) for key, field in custom.CUSTOM.get(kind, {}).items()}


def _custom(field: custom.Custom) -> Field:
    def said(portal: Portal, item: Item) -> Any:
        currency = item.body.get("currency") or "RUB"
        return custom.shown(field, _held(portal, item, field), currency, portal.manners.months_from_zero)

    return said


def _held(portal: Portal, item: Item, field: custom.Custom) -> Any:
    value = item.body.get(field.holds)
    if field.type == "EnumField" and isinstance(value, int):
        row = portal.desk.tables[field.holds].get(value)
        return row.body["name"] if row is not None else ""
    return value


def _deal_rights(key: str) -> Field:
    names = (*DEAL, *custom.CUSTOM["deal"])
    return lambda p, i: [n for n in names if key == "visible" or n not in p.manners.not_editable]


FIELDS: Final[Mapping[str, dict[str, Field]]] = {
    "deal": DEAL | _times() | _customs("deal")
    | {"visibleFields": _deal_rights("visible"), "editableFields": _deal_rights("editable")},
    "line": LINE, "product": PRODUCT | _times(with_users=False), "invoice": INVOICE,
    "client": CLIENT | _customs("client"), "contact": CONTACT, "requisite": REQUISITE | _customs("requisite"),
    "employee": EMPLOYEE, "pipeline": PIPELINE, "stage": STAGE, "source": SOURCE, "task": TASK | _customs("task"),
}  # fmt: skip
OF_DESK: Final = frozenset(FIELDS)
_ONLY_ASKED: Final[Mapping[str, frozenset[str]]] = {
    "deal": frozenset(FIELDS["deal"])
    - {"number", "name", "shortDescription", "contractor", "manager", "program", "state", "stateTimeUpdated",
       "result", "price", "cost", "currency", "isFavorite"},
    "client": frozenset({"payers", "payersCount", "countDeals", "advertisingWay", "timeCreated", "timeUpdated",
                         "activityType", "lastDealDate", "mergeInProgress", "contacts", "contactsCount",
                         *custom.CUSTOM["client"]}),
    "contact": frozenset({"payers", "payersCount", "countDeals", "advertisingWay", "timeCreated", "timeUpdated",
                          "activityType", "lastDealDate", "mergeInProgress", "company"}),
    "pipeline": frozenset({"states", "statesCount", "transitions", "transitionsCount", "triggers",
                           "triggersCount"}),
    "stage": frozenset({"program"}),
    "employee": frozenset({"login", "timeCreated", "fireInProgress", "status"}),
    "product": frozenset({"timeUpdated", "description"}),
    "invoice": frozenset({"rows", "deal"}),
    "task": frozenset({"statement", "activity", "timeCreated", "statusChangeTime", "deals", "dealsCount",
                       *custom.CUSTOM["task"]}),
}  # fmt: skip
_IN_COLLECTION: Final = {
    kind: tuple(name for name in known if name not in _ONLY_ASKED.get(kind, ()))
    for kind, known in FIELDS.items()
}
_ON_CARD: Final = {kind: tuple(known) for kind, known in FIELDS.items()}
_OF_OTHERS: Final = {
    "deal": frozenset({"positions", "positionsCount", "invoices", "invoicesCount", "debt", "paymentProgress",
                       "tasksCount", "actualTasksCount", "contractorPhone", "contractorEmail"}),
    "client": frozenset({"payers", "payersCount", "countDeals", "advertisingWay", "contacts", "contactsCount"}),
    "invoice": frozenset({"rows", "rowsCount", "taxTotal"}),
}  # fmt: skip
"""Fields that change without their own record's version moving."""


def in_collection(kind: str) -> tuple[str, ...]:
    """The fields of a kind in a list and inside other entities."""
    return _IN_COLLECTION.get(kind, ())


def on_card(kind: str) -> tuple[str, ...]:
    """All fields of a kind."""
    return _ON_CARD.get(kind, ())


def fields_of(portal: Portal, kind: str, key: int | str, names: tuple[str, ...]) -> Said:
    """The chosen fields of one record, entities in them as links."""
    if kind not in FIELDS:
        return loose_offer(portal, int(key)) if kind == "loose" else static(portal, kind, str(key))
    known, item = FIELDS[kind], portal.desk.tables[kind][int(key)]
    return {name: known[name](portal, item) for name in names}


def stamp(portal: Portal, kind: str, key: int | str, names: tuple[str, ...]) -> Any:
    """Changes whenever the record's chosen fields may read otherwise."""
    desk = portal.desk
    if kind == "loose":
        return desk.tables["line"][int(key)].version
    if kind not in FIELDS:
        return 0
    item = desk.tables[kind][int(key)]
    if kind in ("pipeline", "stage"):
        return (item.version, len(desk.living("stage")))
    others = _OF_OTHERS.get(kind)
    if others is None or others.isdisjoint(names):
        return item.version
    return (item.version, *_versions(portal, kind, item))


def _versions(portal: Portal, kind: str, item: Item) -> list[int]:
    desk, number = portal.desk, item.number
    if kind == "deal":
        groups = [desk.children("line", number), portal.owned("invoice", "deal", number),
                  portal.owned("task", "deal", number)]  # fmt: skip
        client = desk.tables["client"].get(item.body.get("client") or 0)
        groups.append([client] if client is not None else [])
    elif kind == "client":
        groups = [desk.children("requisite", number), portal.owned("deal", "client", number),
                  portal.owned("contact", "client", number)]  # fmt: skip
    else:
        groups = [desk.children("line", item.body["deal"])]
    return [n for rows in groups for n in (len(rows), max((row.version for row in rows), default=0))]


# ---- What only the vendor has ----------------------------------------------------------------


def static_id(kind: str, key: int | str) -> str:
    """The id of a dictionary's row: of a currency by its code, of a unit by its name."""
    if kind == "currency":
        return str(list(RATES).index(str(key)) + 1) if key in RATES else "99"
    if kind == "loose":
        return str(900_000_000 + int(key))
    if kind == "unit":
        return str(UNITS.index(str(key)) + 1) if key in UNITS else "99"
    return str(key)


UNITS: Final = ("шт", "м", "час", "усл", "кг", "т", "л", "упак")
COUNTRIES: Final = {"RU": "Россия", "KZ": "Казахстан", "BY": "Беларусь", "DE": "Германия", "CN": "Китай"}


def static(portal: Portal, kind: str, key: str) -> Said:
    """A row of a dictionary of the account."""
    if kind == "currency":
        return {"name": key, "abbreviation": key, "sign": {"RUB": "₽", "USD": "$", "EUR": "€"}.get(key, key),
                "rate": plain(RATES.get(key, Decimal(1))), "isBase": key == "RUB"}  # fmt: skip
    if kind == "tax":
        return {"rate": int(key), "name": f"{key} %"}
    if kind == "unit":
        return {"name": key}
    if kind == "country":
        return {"name": COUNTRIES.get(key, key), "isDefault": key == "RU"}
    if kind == "category":
        return {
            "name": "Услуги" if key == "2" else "Номенклатура",
            "type": "service" if key == "2" else "product",
        }
    if kind == "department":
        return {"name": "Отдел продаж"}
    if kind == "address":
        return {"name": "Юридический"}
    if kind == "standing":
        return {
            "name": "В штате" if key == "1" else "Уволен",
            "masterType": "working" if key == "1" else "fired",
        }
    if kind == "transition":
        return transition_of(int(key))
    if kind == "kind":
        return {"name": "Клиент", "type": "client", "fixedFields": []}
    own = portal.desk.company.own
    return {"name": own.name, "type": "Legal", "country": Link("country", "RU"), "inn": own.inn, "kpp": own.kpp,
            "ogrn": own.ogrn, "address": own.address, "isDropped": False}  # fmt: skip
