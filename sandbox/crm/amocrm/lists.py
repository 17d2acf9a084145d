"""Lists of amoCRM API v4: pages, filters, order, search; and the single records beside them.

Parameters: the vendor's pages leads-api, filters-api and catalogs-api. Pages count rows of a list that goes on
changing, a page past the end is 204, and a deleted record is 204 as well.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.crm.amocrm.account import ADMIN, INVOICES, PRODUCTS, Account, id_of, moment, number_of, unix
from sandbox.crm.amocrm.fields import FIELDS_OF, value_of
from sandbox.crm.amocrm.http import Asked, Gate, asked, hal, listed, nothing, paged, whole, wholes
from sandbox.crm.amocrm.records import ENTITY, WITH, Records, deleted_lead, encode, joined
from sandbox.desk.records import Item

MAX_LIMIT: Final = 250
MAX_VIEWS: Final = 32
BIN_DAYS: Final = 30
"""How long a deleted lead can be restored."""
CATALOGS: Final = {PRODUCTS: "products", INVOICES: "invoices"}
Order = Literal["number", "modified", "created"]
ORDERS: Final[dict[str, Order]] = {"id": "number", "updated_at": "modified", "created_at": "created"}
Test = Callable[[Item], bool]


class Lists:
    """Chosen and ordered records, kept while nothing of their entity changes."""

    def __init__(self, account: Account, records: Records) -> None:
        self.account, self.desk, self.records = account, account.desk, records
        self._views: dict[tuple[Any, ...], tuple[int, Sequence[Item]]] = {}

    def chosen(self, kind: str, said: Asked) -> Sequence[Item]:
        """The living records that a query asks for, in its order."""
        key = said.get("order")
        name, way = next(iter(key.items())) if isinstance(key, dict) and key else ("id", "asc")
        order: Order = ORDERS.get(name, "number")
        falling = str(way).lower() == "desc"
        wanted = self._filter(kind, said)
        query = str(said.get("query") or "").lower()
        whole_list = self.desk.ordered(ENTITY[kind], order)
        options = self.account.options
        if not (wanted or query or falling) and options.admin:
            return whole_list
        mark = (kind, order, falling, repr(wanted), query, options.filter_api, options.admin)
        known = self._views.get(mark)
        if known is None or known[0] != self.desk.version:
            if len(self._views) >= MAX_VIEWS:
                self._views.pop(next(iter(self._views)))
            known = self._views[mark] = (self.desk.version, self._choose(kind, wanted, query, order, falling))
        return known[1]

    def _filter(self, kind: str, said: Asked) -> dict[str, Any]:
        """The filter that counts: the alpha filter is passed over in silence where it is switched off."""
        wanted = said.get("filter")
        alpha = kind in ("leads", "contacts", "companies")
        if not isinstance(wanted, dict) or (alpha and not self.account.options.filter_api):
            return {}
        if kind in ("products", "invoices"):
            return {name: value for name, value in wanted.items() if name == "id"}
        return wanted

    def _choose(
        self, kind: str, wanted: dict[str, Any], query: str, order: Order, falling: bool
    ) -> Sequence[Item]:
        entity, sorted_by = ENTITY[kind], order
        stamp = next((name for name in ("updated_at", "created_at") if name in wanted), None)
        if "id" in wanted:
            sorted_by = "number"
            numbers = sorted(number_of(entity, shown) for shown in wholes(wanted["id"]))
            rows: Sequence[Item] = [item for n in numbers if (item := self.desk.get(entity, n)) is not None]
        elif stamp is not None:
            sorted_by = ORDERS[stamp]
            rows = _between(self.desk.ordered(entity, sorted_by), sorted_by, wanted[stamp])
            wanted = {name: value for name, value in wanted.items() if name != stamp}
        else:
            rows = self.desk.ordered(entity, order)
        tests = [_test(self, kind, name, value) for name, value in wanted.items()]
        if query:
            tests.append(lambda item: any(query in str(value).lower() for value in item.body.values()))
        if not self.account.options.admin:
            tests.append(lambda item: self.sees(kind, item))
        if tests:
            rows = [item for item in rows if all(test(item) for test in tests)]
        if sorted_by != order:
            rows = sorted(rows, key=_by_number if order == "number" else _by_stamp(order))
        return rows[::-1] if falling else rows

    def sees(self, kind: str, item: Item) -> bool:
        """Whether the consenting user may see a record."""
        if self.account.options.admin or kind not in ("leads", "companies"):
            return True
        owner: int | None = item.body["employee"]
        return owner == number_of("employee", ADMIN)

    def bin(self, said: Asked) -> list[Item]:
        """Deleted leads that can still be restored, the earliest first. Those of a merge are not in the bin."""
        since, wanted = self.desk.clock() - timedelta(days=BIN_DAYS), self._filter("leads", said)
        ids, within = wholes(wanted.get("id")), _stamped("deleted", wanted.get("updated_at", {}))
        return [
            item
            for item in self.desk.gone("deal")
            if item.merged_into is None and item.deleted is not None and item.deleted >= since
            if within(item) and (not ids or id_of("deal", item.number) in ids)
        ]

    def page(
        self, request: Request, name: str, rows: Sequence[Any], write: Callable[..., list[bytes]]
    ) -> Response:
        """One page of rows in the vendor's envelope; `write` encodes those of the page."""
        said = asked(request)
        page, limit, goes_on = paged(said, MAX_LIMIT)
        start = (page - 1) * limit
        options = self.account.options
        if page > 1 and options.early_ends > 0:
            self.account.options = options.changed({"early_ends": options.early_ends - 1})
            return nothing()
        shown = rows[start : start + limit]
        if not shown:
            return nothing()
        links = {"self": _link(request, {"page": page, "limit": limit})}
        if start + limit < len(rows) and goes_on:
            links["next"] = _link(request, {"page": page + 1, "limit": limit})
        if page > 1:
            links["first"] = _link(request, {"page": 1, "limit": limit})
            links["prev"] = _link(request, {"page": page - 1, "limit": limit})
        head = encode({"_page": page, "_links": links})[:-1]
        return hal(joined(write(shown), name, head))


def routes(account: Account, records: Records, lists: Lists, gate: Gate) -> list[BaseRoute]:
    """Reading of leads, contacts, companies, tasks and the elements of catalogues."""

    def many(kind: str) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            return _listed(lists, request, kind, kind)

        return answer

    def single(kind: str) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            return _single(lists, request, kind, int(request.path_params["id"]))

        return answer

    async def elements(request: Request) -> Response:
        kind = CATALOGS.get(request.path_params["catalog"])
        return _listed(lists, request, kind, "elements") if kind else nothing()

    async def element(request: Request) -> Response:
        kind = CATALOGS.get(request.path_params["catalog"])
        return _single(lists, request, kind, int(request.path_params["id"])) if kind else nothing()

    found: list[BaseRoute] = []
    for kind in ("leads", "contacts", "companies", "tasks"):
        found.append(Route(f"/api/v4/{kind}", gate(many(kind)), methods=["GET"]))
        found.append(Route(f"/api/v4/{kind}/{{id:int}}", gate(single(kind)), methods=["GET"]))
    found.append(Route("/api/v4/catalogs/{catalog:int}/elements", gate(elements), methods=["GET"]))
    found.append(Route("/api/v4/catalogs/{catalog:int}/elements/{id:int}", gate(element), methods=["GET"]))
    return found


def _listed(lists: Lists, request: Request, kind: str, name: str) -> Response:
    said = asked(request)
    chosen = WITH[kind] & set(listed(said.get("with")))
    if "only_deleted" in chosen:
        records = lists.records
        return lists.page(
            request, name, lists.bin(said), lambda r: [encode(deleted_lead(records, i)) for i in r]
        )
    if _unchanged(lists, request, kind):
        return Response(None, 304)
    rows = lists.chosen(kind, said)
    return lists.page(request, name, rows, lambda shown: lists.records.rows(kind, shown, chosen))


def _unchanged(lists: Lists, request: Request, kind: str) -> bool:
    """Whether nothing living was changed since the time of If-Modified-Since."""
    since = request.headers.get("if-modified-since")
    if not since:
        return False
    try:
        at = parsedate_to_datetime(since)
    except ValueError:
        return False
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    latest = lists.desk.ordered(ENTITY[kind], "modified")
    return not latest or latest[-1].modified <= at


def _single(lists: Lists, request: Request, kind: str, shown: int) -> Response:
    item, records = lists.desk.get(ENTITY[kind], number_of(ENTITY[kind], shown)), lists.records
    if item is None or not lists.sees(kind, item):
        return nothing()
    chosen = WITH[kind] & set(listed(asked(request).get("with")))
    return hal(records.rows(kind, [item], chosen)[0])


def _by_number(item: Item) -> int:
    return item.number


def _by_stamp(order: Order) -> Callable[[Item], tuple[datetime, int]]:
    return lambda item: (getattr(item, order), item.number)


def _between(rows: list[Item], by: Order, value: Any) -> Sequence[Item]:
    """Rows of an order whose stamp lies between two ends, both included; one number is that very second."""
    if isinstance(value, dict):
        first, last = whole(value.get("from")), whole(value.get("to"))
    else:
        first = last = whole(value)
    start, end = 0, len(rows)

    def stamp(item: Item) -> datetime:
        at: datetime = getattr(item, by)
        return at

    if first is not None:
        start = bisect_left(rows, moment(first), key=stamp)
    if last is not None:
        end = bisect_right(rows, moment(last) + timedelta(microseconds=999_999), key=stamp)
    return rows[start:end]


def _test(lists: Lists, kind: str, name: str, value: Any) -> Test:
    """One condition of a filter. A name that this list does not have matches everything."""
    account, entity = lists.account, ENTITY[kind]
    if name == "id":
        ids = wholes(value)
        return lambda item: id_of(entity, item.number) in ids
    if name == "name":
        names = set(listed(value))
        field = {"deal": "title", "client": "name"}.get(entity, "first_name")
        return lambda item: item.body[field] in names
    if name in ("responsible_user_id", "created_by", "updated_by"):
        owners = {number_of("employee", shown) for shown in wholes(value)}
        return lambda item: item.body.get("employee") in owners
    if name == "updated_at":
        return _stamped("modified", value)
    if name == "created_at":
        return _stamped("created", value)
    if name == "pipeline_id" and kind == "leads":
        pipelines = wholes(value)
        return lambda item: account.statuses()[item.body["stage"]][0] in pipelines
    if name == "statuses" and kind == "leads":
        rows = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
        pairs = {
            (whole(r.get("pipeline_id")), whole(r.get("status_id"))) for r in rows if isinstance(r, dict)
        }
        return lambda item: account.statuses()[item.body["stage"]] in pairs
    if name == "price" and kind == "leads":
        return _priced(value)
    if name == "closed_at" and kind == "leads":
        return _closed(value)
    if name == "custom_fields_values" and isinstance(value, dict):
        return _valued(account, kind, value)
    if kind == "tasks":
        return _of_task(name, value)
    return lambda item: True


def _stamped(by: Order | Literal["deleted"], value: Any) -> Test:
    ends = value if isinstance(value, dict) else {"from": value, "to": value}
    first, last = whole(ends.get("from")), whole(ends.get("to"))

    def test(item: Item) -> bool:
        at = unix(getattr(item, by))
        return (first is None or at >= first) and (last is None or at <= last)

    return test


def _priced(value: Any) -> Test:
    ends = value if isinstance(value, dict) else {"from": value, "to": value}

    def number(text: Any) -> Decimal | None:
        try:
            return Decimal(str(text))
        except InvalidOperation:
            return None

    first, last = number(ends.get("from")), number(ends.get("to"))

    def test(item: Item) -> bool:
        amount = item.body["amount"] or Decimal(0)
        return (first is None or amount >= first) and (last is None or amount <= last)

    return test


def _closed(value: Any) -> Test:
    ends = value if isinstance(value, dict) else {"from": value, "to": value}
    first, last = whole(ends.get("from")), whole(ends.get("to"))

    def test(item: Item) -> bool:
        day = item.body["closed_on"]
        if day is None:
            return False
        return (first is None or day >= moment(first).date()) and (last is None or day <= moment(last).date())

    return test


def _valued(account: Account, kind: str, value: dict[str, Any]) -> Test:
    """filter[custom_fields_values][FIELD][]=value: exact, any of several values."""
    wanted = [(f, set(listed(value[str(f.id)]))) for f in FIELDS_OF[kind] if str(f.id) in value]

    def test(item: Item) -> bool:
        for field, texts in wanted:
            values = value_of(account, field, item) or []
            if not any(
                str(row.get("enum_id", row["value"])) in texts or str(row["value"]) in texts for row in values
            ):
                return False
        return bool(wanted)

    return test


def _of_task(name: str, value: Any) -> Test:
    if name == "entity_id":
        deals = {number_of("deal", shown) for shown in wholes(value)}
        return lambda item: item.body["deal"] in deals
    if name == "entity_type":
        kinds = set(listed(value))
        return lambda item: (item.body.get("entity_type") or "leads") in kinds
    if name == "is_completed":
        done = str(value) in ("1", "true")
        return lambda item: bool(item.body.get("completed")) == done
    return lambda item: True


def _link(request: Request, more: dict[str, Any]) -> dict[str, str]:
    return {"href": str(request.url.include_query_params(**more))}
