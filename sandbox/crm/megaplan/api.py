"""The addresses under /api/v3 and what stands behind each; a bulk request calls the same ones.

Not here because the vendor's API has none, or nobody showed how: price lists (an offer has one price),
campaigns and a deal's own source (fields of the account's own), redirects from a merged contractor.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from sandbox.crm.megaplan import journal, writes
from sandbox.crm.megaplan.cards import in_collection, on_card
from sandbox.crm.megaplan.custom import CUSTOM, described
from sandbox.crm.megaplan.lists import Listing, dictionary, limit_of, listed, wanted_fields
from sandbox.crm.megaplan.portal import Portal
from sandbox.crm.megaplan.protocol import (
    RefusedError,
    body_of,
    encode,
    not_found,
    one,
    page,
    query_of,
    too_many,
    wrong_type,
)
from sandbox.crm.megaplan.values import CONTENT_TYPES, OF_TYPE, Said, number_of
from sandbox.desk.records import Item

Handler = Callable[[Portal, dict[str, str], Said, Any], bytes]
HOUR: Final = 3600.0
COLLECTIONS: Final = {
    "deal": Listing(("deal",), "TradeFilter"),
    "contractor": Listing(("client", "contact"), "CrmFilter"),
    "contractorCompany": Listing(("client",), "CrmFilter"),
    "contractorHuman": Listing(("contact",), "CrmFilter"),
    "payer": Listing(("requisite",)),
    "offer": Listing(("product",), "OfferFilter"),
    "employee": Listing(("employee",)),
    "program": Listing(("pipeline",)),
    "invoice": Listing(("invoice",), "InvoiceFilter"),
    "task": Listing(("task",), "TaskFilter"),
    "advertisingWay": Listing(("source",)),
}
DICTIONARIES: Final = {"currency": "currency", "unit": "unit", "tax": "tax", "department": "department",
                       "contractorType": "kind", "country": "country", "offerCategory": "category"}  # fmt: skip
MADE: Final = frozenset({"deal", "contractorCompany", "contractorHuman", "task"})
GONE: Final = frozenset({"deal", "invoice", "task"})
"""Kinds whose deleted records cannot be had by id any more; the others show `isDropped`."""
_REFUSED_PARAMETERS: Final = {"deal": ("baseOn", "statuses"), "employee": ("department", "status")}


def call(portal: Portal, method: str, path: str, query: Said, body: Any) -> bytes:
    """The body of a good answer. `path` is what follows /api/v3/. Raises RefusedError."""
    for known_method, pattern, handler in _ROUTES:
        if known_method == method and (found := pattern.fullmatch(path)) is not None:
            return handler(portal, found.groupdict(), query, body)
    if any(pattern.fullmatch(path) for _, pattern, _ in _ROUTES):
        raise RefusedError(405, f"Method {method} is not allowed for /api/v3/{path}")
    raise RefusedError(404, f"No route found for {method} /api/v3/{path}")


def item_of(portal: Portal, segment: str, key: str, *, dropped: bool = True) -> tuple[str, Item]:
    """Kind and record of an address /{segment}/{key}. Raises RefusedError."""
    for kind in COLLECTIONS[segment].kinds:
        number = number_of(kind, key)
        item = portal.desk.tables[kind].get(number) if number is not None else None
        if item is None:
            continue
        if item.deleted is not None and (kind in GONE or not dropped):
            break
        return kind, item
    if segment == "deal" and portal.manners.gone_deal == "403":
        raise RefusedError(403, "Access denied")
    raise not_found(CONTENT_TYPES[COLLECTIONS[segment].kinds[0]], key)


# ---- Reading ---------------------------------------------------------------------------------


def _list(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    for name in _REFUSED_PARAMETERS.get(at["segment"], ()):
        if query.get(name) is not None:
            raise RefusedError(422, f"Parameter {name} is not supported", name)
    return listed(portal, COLLECTIONS[at["segment"]], query)


def _card(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    kind, item = item_of(portal, at["segment"], at["id"])
    wanted_fields((kind,), kind, query)  # a card gives all of them, but a name that is none is refused
    return one(portal.card(kind, item.number))


def _current_user(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    return one(portal.card("employee", portal.desk.living("employee")[0].number))


def _dictionary(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    return dictionary(portal, DICTIONARIES[at["segment"]])


def _below(kind: str, *, of: Callable[[Portal, Item], list[Item]]) -> Handler:
    def rows(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
        _, item = item_of(portal, at["segment"], at["id"])
        return listed(portal, Listing((kind,), rows=of(portal, item)), query)

    return rows


def _payers_of_deal(portal: Portal, item: Item) -> list[Item]:
    client = item.body.get("client")
    return portal.desk.children("requisite", client) if client else []


def _contractor_of_deal(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    _, item = item_of(portal, "deal", at["id"])
    client = item.body.get("client")
    return one(portal.card("client", client) if client else b"null")


def _search(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    """Companies and people by name or contacts; either address gives both, the abstract one fails."""
    if at["segment"] == "contractor":
        raise RefusedError(500, "There is no model class for Contractor")
    asked = str(query.get("q") or "").casefold()
    names = ("name", "last_name", "first_name", "phone", "email")
    found = [
        (kind, item.number)
        for kind, item in portal.contractors()
        if asked and any(asked in str(item.body.get(name) or "").casefold() for name in names)
    ]
    limit = limit_of(query.get("limit"), portal.manners.max_limit)
    return page(len(found[:limit]), portal.listed(found[:limit], in_collection), limit)


def _history(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    if at["segment"] == "contractor":
        raise RefusedError(500, "There is no model class for Contractor")
    kind, item = item_of(portal, at["segment"], at["id"])
    return journal.history(portal, kind, item, query)


def _broken(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    """Addresses that stand in the vendor's description and answer 500 on live accounts."""
    raise RefusedError(500, "Internal Server Error")


def _status_history(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    return journal.status_history(portal, item_of(portal, "deal", at["id"])[1])


def _extra_fields(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    kinds = COLLECTIONS[at["segment"]].kinds
    fields = [field for kind in kinds for field in CUSTOM.get(kind, {}).values()]
    rows = [
        described(field, tuple(str(row.body["name"]) for row in portal.desk.living(field.holds)))
        if field.type == "EnumField"
        else described(field)
        for field in fields
    ]
    return page(len(rows), [encode(rows)[1:-1]], 100)


# ---- Writing ---------------------------------------------------------------------------------


def _create(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    kind = COLLECTIONS[at["segment"]].kinds[0]
    return one(portal.card(kind, writes.create(portal, kind, body).number))


def _create_payer(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    kind, item = item_of(portal, at["segment"], at["id"], dropped=False)
    if kind != "client":
        raise RefusedError(422, "Payers of people are not kept in this account")
    return one(portal.card("requisite", writes.create(portal, "requisite", body, client=item.number).number))


def _update(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    kind, item = item_of(portal, at["segment"], at["id"], dropped=False)
    return one(portal.card(kind, writes.update(portal, kind, item.number, body).number))


def _delete(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    kind, item = item_of(portal, at["segment"], at["id"], dropped=False)
    writes.remove(portal, kind, item.number)
    return one(b"null")


def _apply_transition(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    _, item = item_of(portal, "deal", at["id"])
    return one(portal.card("deal", writes.move(portal, item.number, body).number))


def _apply_trigger(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    item_of(portal, "deal", at["id"])
    raise RefusedError(422, "The trigger is not possible", "trigger")


# ---- Bulk ------------------------------------------------------------------------------------


def _bulk(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    """Calls in order, each with a status of its own; the bulk request itself is good."""
    calls = body.get("calls") if isinstance(body, dict) else None
    if not isinstance(calls, list) or body.get("contentType") != "BulkApiCall":
        raise wrong_type(body, "BulkApiCall")
    _few(portal, len(calls))
    pieces: list[bytes] = []
    for row in calls:
        pieces += [b"," if pieces else b"", _one_call(portal, row)]
    return b"".join((b'{"meta":{"status":200,"errors":[]},"data":[', *pieces, b"]}"))


def _one_call(portal: Portal, said: Any) -> bytes:
    try:
        if not isinstance(said, dict) or said.get("contentType") != "ApiCall":
            raise wrong_type(said, "ApiCall")
        if portal.manners.bulk_counts == "each":
            knock(portal)
        parts = urlsplit(str(said.get("url")))
        method, path = str(said.get("method")).upper(), parts.path.removeprefix("/api/v3/")
        if path.startswith("bulk"):
            raise RefusedError(422, "A bulk call holds no bulk call")
        raw = said.get("body")
        if raw is not None and not isinstance(raw, str):
            raise wrong_type(raw, "string")
        return call(portal, method, path, query_of(parts.query), body_of((raw or "").encode()))
    except RefusedError as error:
        return error.body()


def _by_links(portal: Portal, at: dict[str, str], query: Said, body: Any) -> bytes:
    """Whole cards of what the links name: the inaccessible are left out, the order is the server's own."""
    if not isinstance(body, list):
        raise wrong_type(body, "BaseEntity[]")
    _few(portal, len(body))
    found: set[tuple[str, int]] = set()
    for link in body:
        kind = OF_TYPE.get(str(link.get("contentType"))) if isinstance(link, dict) else None
        if kind is None:
            raise wrong_type(link, "BaseEntity")
        if kind == "employee":
            raise RefusedError(500, "Internal Server Error")
        number = number_of(kind, link.get("id")) if kind in portal.desk.tables else None
        item = portal.desk.tables[kind].get(number) if number is not None else None
        if item is not None and number is not None and (item.deleted is None or kind not in GONE):
            found.add((kind, number))
    return page(len(found), portal.listed(sorted(found), on_card), max(len(found), 1))


def _few(portal: Portal, count: int) -> None:
    if count > portal.manners.bulk_calls:
        raise RefusedError(422, f"Too many calls: {count}, at most {portal.manners.bulk_calls}")


def knock(portal: Portal) -> None:
    """Count one request against the hour's limit. Raises RefusedError."""
    wait = portal.office.window("hour", portal.manners.requests_per_hour, HOUR).knock()
    if wait:
        raise too_many(wait)


def _route(method: str, pattern: str, handler: Handler) -> tuple[str, re.Pattern[str], Handler]:
    named = pattern.replace("{id}", r"(?P<id>\d+)")
    return method, re.compile(re.sub(r"\{(\w+)=([^}]*)\}", r"(?P<\1>\2)", named)), handler


_ANY: Final = "|".join(COLLECTIONS)
_CONTRACTORS: Final = "contractor|contractorCompany|contractorHuman"
_WITH_FIELDS: Final = f"deal|payer|task|offer|{_CONTRACTORS}"
_ROUTES: Final = (
    _route("GET", f"{{segment={_ANY}}}", _list),
    _route("GET", f"{{segment={_ANY}}}/{{id}}", _card),
    _route("POST", "bulk", _bulk),
    _route("POST", "bulk/getEntitiesByLinks", _by_links),
    _route("POST", f"{{segment={'|'.join(sorted(MADE))}}}", _create),
    _route("POST", f"{{segment=deal|task|payer|offer|{_CONTRACTORS}}}/{{id}}", _update),
    _route("DELETE", f"{{segment=deal|task|payer|{_CONTRACTORS}}}/{{id}}", _delete),
    _route("POST", "deal/{id}/applyTransition", _apply_transition),
    _route("POST", "deal/{id}/applyTrigger", _apply_trigger),
    _route("GET", "deal/{id}/statusHistory", _status_history),
    _route("GET", "deal/{id}/contractor", _contractor_of_deal),
    _route("GET", "{segment=deal}/{id}/payers", _below("requisite", of=_payers_of_deal)),
    _route("GET", "{segment=deal}/{id}/offerRows",
           _below("line", of=lambda p, i: p.desk.children("line", i.number))),
    _route("GET", "{segment=deal}/{id}/(?:actualL|l)inkedTasks",
           _below("task", of=lambda p, i: p.owned("task", "deal", i.number))),
    _route("GET", "{segment=deal}/{id}/(?:linkedDeals|auditors)", _below("deal", of=lambda p, i: [])),
    _route("GET", f"{{segment={_CONTRACTORS}}}/{{id}}/payers",
           _below("requisite", of=lambda p, i: p.desk.children("requisite", i.number))),
    _route("GET", f"{{segment={_CONTRACTORS}}}/{{id}}/deals",
           _below("deal", of=lambda p, i: p.owned("deal", "client", i.number))),
    _route("POST", f"{{segment={_CONTRACTORS}}}/{{id}}/payers", _create_payer),
    _route("GET", f"{{segment={_CONTRACTORS}}}/search", _search),
    _route("GET", f"{{segment=deal|task|{_CONTRACTORS}}}/{{id}}/history", _history),
    _route("GET", f"{{segment={_WITH_FIELDS}}}/extraFields(?:/[A-Z]{{2}}/(?:Legal|Natural))?", _extra_fields),
    _route("GET", "deal/checkDealExist|contractor/{id}/(?:comments|todos)", _broken),
    _route("GET", "currentUser", _current_user),
    _route("GET", f"{{segment={'|'.join(DICTIONARIES)}}}", _dictionary),
)  # fmt: skip
