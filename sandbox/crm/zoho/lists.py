"""Reading records: lists with their two ways of paging, single records, what was deleted, counts, related lists."""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

import msgspec

from sandbox.crm.zoho.encoding import encode
from sandbox.crm.zoho.fields import Field
from sandbox.crm.zoho.gate import EMPTY, NOT_MODIFIED, Answer, Call, Portal, Refused
from sandbox.crm.zoho.ids import looks_like_id, moment, number_of, source_id, stamp
from sandbox.crm.zoho.modules import MODULES, Module
from sandbox.crm.zoho.orders import Order
from sandbox.crm.zoho.view import display_name
from sandbox.desk.records import Item

PER_PAGE: Final = 200
FIELDS: Final = 50
PAGED_ROWS: Final = 2_000
TOKEN_SECONDS: Final = 86_400
IDS: Final = 100
BIN_DAYS, TRACE_DAYS = 60, 120
"""How long a deleted record stays in the bin, and how long its permanent deletion is told."""
SORTS: Final[dict[str, Order]] = {"id": "number", "Created_Time": "created", "Modified_Time": "modified"}
Key = Callable[[Item], Any]
KEYS: Final[dict[Order, Key]] = {
    "number": lambda item: item.number,
    "modified": lambda item: (item.modified, item.number),
    "created": lambda item: (item.created, item.number),
}


def chosen_fields(module: Module, said: str | None, *, lists: bool) -> list[Field]:
    """The fields of a `fields` parameter, `id` always among them. Unknown names are passed over.

    Raises Refused without the parameter and over 50 names.
    """
    names = [name.strip() for name in (said or "").split(",") if name.strip()]
    if not names:
        raise Refused(
            400,
            "REQUIRED_PARAM_MISSING",
            "One of the expected parameter is missing",
            {"param_name": "fields"},
        )
    if len(names) > FIELDS:
        raise Refused(
            400, "LIMIT_EXCEEDED", "Fields limit exceeded.", {"limit": FIELDS, "param_name": "fields"}
        )
    found = {name: module.by_name[name] for name in names if name in module.by_name}
    found["id"] = module.by_name["id"]
    return [one for one in found.values() if not (lists and one.kind == "subform")]


def listed(portal: Portal, call: Call, name: str) -> Answer:
    """GET /{module}"""
    module, params = portal.module(name), call.params
    chosen = chosen_fields(module, params.get("fields"), lists=not portal.options.lines_in_lists)
    if "page" in params and "page_token" in params:
        raise Refused(400, "AMBIGUITY_DURING_PROCESSING", "You cannot use both page and page_token.",
                      {"ambiguity_due_to": [{"param_name": "page"}, {"param_name": "page_token"}]})  # fmt: skip
    per_page, page = whole(params, "per_page", PER_PAGE, PER_PAGE), whole(params, "page", 1, None)
    by = params.get("sort_by", "id")
    if by not in SORTS:
        raise Refused(
            400, "INVALID_DATA", "invalid data", {"param_name": "sort_by", "supported_values": list(SORTS)}
        )
    descending = params.get("sort_order", "desc") != "asc"
    since = modified_since(call)
    rows = portal.view.rows(module.entity)
    if "ids" in params:
        found: list[Item] = _of_ids(portal, module, params["ids"], since)
        chain = _Chain(found, KEYS["number"], 0, len(found), descending=False)
    else:
        order = SORTS[by]
        chain = _since(portal, rows.ordered, order, since, descending=descending)
    if chain.empty:
        return NOT_MODIFIED if since is not None else EMPTY
    bound = _bound(portal, call, module)
    if "page_token" in params:
        start, seen, page = _resume(portal, chain, params["page_token"], bound)
        most = portal.options.token_rows
        if seen >= most:
            raise Refused(400, "PAGINATION_LIMIT_EXCEEDED",
                          f"You can only get up to first {most} records using page_token param.", {"limit": most})  # fmt: skip
    else:
        start = seen = (page - 1) * per_page
        if start >= PAGED_ROWS:
            raise Refused(400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED",
                          "You can only get the first 2000 records without using page_token param.", {"limit": PAGED_ROWS})  # fmt: skip
    items = list(islice(chain.after(start), per_page))
    if not items:
        return EMPTY
    more = start + len(items) < chain.count
    expiry = portal.office.desk.clock() + timedelta(seconds=TOKEN_SECONDS)
    following = None
    if more:
        key = chain.key(items[-1])
        following = _seal_token([bound, _plain_key(key), start + len(items), seen + len(items), page + 1,
                                 int(expiry.timestamp())])  # fmt: skip
    info = {
        "call": False, "per_page": per_page, "next_page_token": following, "count": len(items), "sort_by": by,
        "page": page, "previous_page_token": None, "page_token_expiry": stamp(expiry) if more else None,
        "sort_order": "desc" if descending else "asc", "email": False, "more_records": more,
    }  # fmt: skip
    data = portal.encoded.records(module, chosen, items)
    return Answer(200, b'{"data":[' + data + b'],"info":' + encode(info) + b"}")


def single(portal: Portal, call: Call, name: str, shown: str) -> Answer:
    """GET /{module}/{id}: every field, rows of orders and invoices too; 204 for a record that is not there."""
    module = portal.module(name)
    item = living(portal, module, shown)
    if item is None:
        return EMPTY
    since = modified_since(call)
    if since is not None and item.modified <= since:
        return NOT_MODIFIED
    if call.params.get("fields"):
        chosen = chosen_fields(module, call.params["fields"], lists=False)
    else:
        chosen = list(module.fields)
    return Answer(200, b'{"data":[' + portal.encoded.records(module, chosen, [item]) + b"]}")


def living(portal: Portal, module: Module, shown: object) -> Item | None:
    """The living record of an id. Raises Refused for what cannot be an id."""
    if not looks_like_id(shown):
        raise Refused(400, "INVALID_DATA", "the id given seems to be invalid", {"resource_path_index": 1})
    number = number_of(module.entity, shown)
    return portal.view.rows(module.entity).get(number) if number is not None else None


def deleted(portal: Portal, call: Call, name: str) -> Answer:
    """GET /{module}/deleted, the latest first. A merge shows its loser here, and nothing of the winner."""
    module, kind = portal.module(name), call.params.get("type", "all")
    if kind not in ("all", "recycle", "permanent"):
        raise Refused(400, "PATTERN_NOT_MATCHED", "Please check whether the input values are correct",
                      {"param_name": "type"})  # fmt: skip
    since, user = modified_since(call), portal.view.integration
    found: list[dict[str, Any]] = []
    for item, state in traces(portal, module):
        if kind not in ("all", state) or (since is not None and not _is_after(portal, item.deleted, since)):
            continue
        whole_trace = state == "recycle"
        found.append({
            "deleted_by": user if whole_trace else None,
            "id": source_id(module.entity, item.number),
            "display_name": display_name(module.entity, item.body) if whole_trace else None,
            "type": state,
            "created_by": user if whole_trace else None,
            "deleted_time": stamp(item.deleted) if item.deleted else None,
        })  # fmt: skip
    if not found and since is not None:
        return Answer(portal.options.deleted_none)
    return paged(call, "data", found)


def traces(portal: Portal, module: Module) -> Iterator[tuple[Item, str]]:
    """Deleted records that the vendor still tells of, the latest first, with recycle or permanent."""
    now = portal.office.desk.clock()
    for item in reversed(portal.view.rows(module.entity).gone()):
        assert item.deleted is not None
        age = now - item.deleted
        if age > timedelta(days=TRACE_DAYS):
            return
        if item.merged_into is not None:
            yield item, portal.options.merged_type
        else:
            yield item, "recycle" if age <= timedelta(days=BIN_DAYS) else "permanent"


def recycle_bin(portal: Portal, call: Call) -> Answer:
    """GET /settings/recycle_bin"""
    found = [
        {
            "display_name": display_name(module.entity, item.body), "deleted_time": stamp(item.deleted),
            "owner": portal.view.integration, "module": {"api_name": module.name, "id": module_id(module)},
            "deleted_by": portal.view.integration, "id": source_id(module.entity, item.number),
        }
        for module in MODULES.values() for item, state in traces(portal, module)
        if state == "recycle" and item.deleted is not None
    ]  # fmt: skip
    return paged(call, "recycle_bin", sorted(found, key=lambda row: str(row["deleted_time"]), reverse=True))


def module_id(module: Module) -> str:
    return source_id("module", list(MODULES).index(module.name) + 1)


def count(portal: Portal, call: Call, name: str) -> Answer:
    """GET /{module}/actions/count"""
    return Answer.of({"count": len(portal.view.rows(portal.module(name).entity).ordered("number"))})


def related(portal: Portal, call: Call, name: str, shown: str, what: str) -> Answer:
    """GET /{module}/{id}/{related list}: the products of a price book with their list_price, and the records
    whose lookup names this one."""
    module = portal.module(name)
    item = living(portal, module, shown)
    if item is None:
        raise Refused(
            400, "INVALID_DATA", "the related id given seems to be invalid", {"resource_path_index": 1}
        )
    target = portal.module(what)
    chosen = chosen_fields(target, call.params.get("fields"), lists=True)
    view, desk = portal.view, portal.office.desk
    found: list[dict[str, Any]] = []
    if module.entity == "price_list" and target.entity == "product":
        for price in desk.living("price"):
            product = desk.get("product", price.body["product"])
            if price.body["price_list"] == item.number and product is not None:
                said = {one.name: one.get(view, product) for one in chosen}
                found.append({**said, "list_price": price.body["price"]})
    elif any(one.lookup == module.entity for one in target.fields):
        names = [one for one in target.fields if one.lookup == module.entity]
        found += [
            {one.name: one.get(view, other) for one in chosen}
            for other in view.rows(target.entity).ordered("number")
            if any((one.get(view, other) or {}).get("id") == shown for one in names)
        ]
    else:
        raise Refused(
            400, "INVALID_MODULE", "the relation name given seems to be invalid", {"resource_path_index": 2}
        )
    return paged(call, "data", found)


# ---- Inside -------------------------------------------------------------------------------------


def paged(call: Call, name: str, found: list[Any]) -> Answer:
    """A page of a short list by page and per_page; 204 when nothing is on it."""
    per_page, page = whole(call.params, "per_page", PER_PAGE, PER_PAGE), whole(call.params, "page", 1, None)
    rows = found[(page - 1) * per_page : page * per_page]
    if not rows:
        return EMPTY
    info = {
        "per_page": per_page,
        "count": len(rows),
        "page": page,
        "more_records": page * per_page < len(found),
    }
    return Answer.of({name: rows, "info": info})


def whole(params: Any, name: str, otherwise: int, most: int | None) -> int:
    """A positive whole number of the query. Raises Refused for anything else."""
    said = params.get(name)
    if said is None:
        return otherwise
    if not said.isascii() or not said.isdigit() or int(said) < 1:
        raise Refused(
            400, "INVALID_DATA", "invalid data", {"expected_data_type": "integer", "param_name": name}
        )
    return min(int(said), most) if most is not None else int(said)


def modified_since(call: Call) -> datetime | None:
    """The If-Modified-Since header. Raises Refused for what is no moment with an offset."""
    said = call.headers.get("if-modified-since")
    if said is None:
        return None
    try:
        return moment(said)
    except ValueError:
        raise Refused(400, "INVALID_DATA", "invalid data",
                      {"expected_data_type": "datetime", "header_name": "If-Modified-Since"}) from None  # fmt: skip


class _Chain:
    """A stretch of a sorted list of records, walked in either direction from a place or a key."""

    def __init__(self, items: Sequence[Item], key: Key, low: int, high: int, *, descending: bool) -> None:
        self._items, self.key, self._low, self._high, self._descending = items, key, low, high, descending

    @property
    def empty(self) -> bool:
        return self._low >= self._high

    @property
    def count(self) -> int:
        return self._high - self._low

    def after(self, start: int) -> Iterator[Item]:
        places = (
            range(self._high - 1 - start, self._low - 1, -1)
            if self._descending
            else range(self._low + start, self._high)
        )
        return (self._items[place] for place in places)

    def place_after(self, key: Any) -> int:
        """How many records of the stretch come before the one that follows a key."""
        if self._descending:
            return self._high - max(bisect_left(self._items, key, key=self.key), self._low)
        return min(bisect_right(self._items, key, key=self.key), self._high) - self._low


def _since(
    portal: Portal,
    ordered: Callable[[Order], list[Item]],
    order: Order,
    since: datetime | None,
    *,
    descending: bool,
) -> _Chain:
    items = ordered(order)
    if since is None:
        return _Chain(items, KEYS[order], 0, len(items), descending=descending)
    dated = ordered("modified")
    find = bisect_right if portal.options.since == "exclusive" else bisect_left
    low = find(dated, since, key=lambda item: item.modified)
    if order == "modified":
        return _Chain(dated, KEYS[order], low, len(dated), descending=descending)
    changed = sorted(dated[low:], key=KEYS[order])
    return _Chain(changed, KEYS[order], 0, len(changed), descending=descending)


def _is_after(portal: Portal, at: datetime | None, since: datetime) -> bool:
    if at is None:
        return False
    return at > since if portal.options.since == "exclusive" else at >= since


def _of_ids(portal: Portal, module: Module, said: str, since: datetime | None) -> list[Item]:
    shown = [one.strip() for one in said.split(",") if one.strip()]
    if len(shown) > IDS:
        raise Refused(400, "LIMIT_EXCEEDED", "ids limit exceeded.", {"limit": IDS, "param_name": "ids"})
    found = [living(portal, module, one) for one in dict.fromkeys(shown)]
    return [
        item
        for item in found
        if item is not None and (since is None or _is_after(portal, item.modified, since))
    ]


def _bound(portal: Portal, call: Call, module: Module) -> str:
    """What a page_token is bound to: everything of the query but the page itself."""
    loose = {"page", "page_token"} | (set() if portal.options.token_binds_fields else {"fields"})
    said = sorted((name, value) for name, value in call.params.items() if name not in loose)
    whole_query = f"{module.name}|{said}|{call.headers.get('if-modified-since', '')}"
    return hashlib.sha256(whole_query.encode()).hexdigest()[:16]


def _resume(portal: Portal, chain: _Chain, said: str, bound: str) -> tuple[int, int, int]:
    """Where a token goes on: the place in the chain, the rows seen so far, the page. Raises Refused."""
    try:
        known, key, place, seen, page, until = msgspec.json.decode(base64.urlsafe_b64decode(said.encode()))
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise Refused(
            400, "INVALID_DATA", "the token given seems to be invalid", {"param_name": "page_token"}
        ) from None
    if known != bound:
        raise Refused(400, "TOKEN_BOUND_DATA_MISMATCH",
                      "The page_token given seems to be invalid or input param is added, altered, or deleted",
                      {"param_name": "page_token"})  # fmt: skip
    if until < time.time():
        raise Refused(400, "EXPIRED_VALUE", "The token given has expired", {"param_name": "page_token"})
    if portal.options.token_walk == "offset":
        return int(place), int(seen), int(page)
    mark = (datetime.fromisoformat(key[0]), key[1]) if isinstance(key, list) else key
    return chain.place_after(mark), int(seen), int(page)


def _plain_key(key: Any) -> Any:
    return [key[0].isoformat(), key[1]] if isinstance(key, tuple) else key


def _seal_token(said: list[Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(said)).decode()
