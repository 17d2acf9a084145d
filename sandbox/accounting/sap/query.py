"""Reading sets: $filter, $orderby, $top, $skip, $skiptoken, $inlinecount, $select, $expand, and the JSON of entities.

The server gives at most `page_limit` rows and says `__next` with a $skiptoken while more remain; the token is a
number of rows, so rows that come or go meanwhile move the pages. Without $orderby rows come by key.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from sandbox.accounting.sap.analytics import aggregate
from sandbox.accounting.sap.database import Row, Table, View
from sandbox.accounting.sap.edm import EntitySet, EntityType, Navigation, Service
from sandbox.accounting.sap.errors import EXPRESSION, bad_request, not_found
from sandbox.accounting.sap.filter import Test, parse
from sandbox.accounting.sap.system import System
from sandbox.accounting.sap.values import SHOWN, etag_of, kept_of, key_text, padded

OPTIONS: Final = frozenset(
    ("$filter", "$orderby", "$top", "$skip", "$skiptoken", "$inlinecount", "$select", "$expand", "$format")
)
MAX_EXPAND: Final = 4
INTERNAL_HOST: Final = "http://vhcals4hci.dummy.nodomain:50000"
MAX_SHAPES: Final = 1_000
MAX_READY: Final = 40_000  # rows whose JSON is kept: some 3 KB each
_SAFE: Final = "'(),/:$*"
_TAGGED_BY_HEADER: Final = frozenset(("order_item", "item_price"))
_NOTHING: Final[dict[str, Any]] = {}
_encode = msgspec.json.Encoder().encode


@dataclass
class Query:
    """The options of one request. Raises SapError for what the Gateway does not know."""

    said: dict[str, str]
    path: str = ""  # of the request, behind the service root
    test: Test | None = None
    order: list[tuple[str, bool]] = field(default_factory=list)  # property, descending
    top: int | None = None
    skip: int = 0
    token: int = 0
    count: bool = False
    select: dict[str, Any] = field(default_factory=dict)
    expand: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, said: dict[str, str], kind: EntityType, path: str = "") -> Query:
        unknown = [name for name in said if name.startswith("$") and name not in OPTIONS]
        if unknown:
            raise bad_request(f"Invalid system query option '{unknown[0]}' specified", EXPRESSION)
        query = cls(said, path)
        if said.get("$filter"):
            query.test = parse(said["$filter"], kind)
        for word in filter(None, (each.strip() for each in said.get("$orderby", "").split(","))):
            name, _, way = word.partition(" ")
            if name not in kind.properties or way not in ("", "asc", "desc"):
                raise bad_request(f"Property {name} not found in type {kind.name}", EXPRESSION)
            query.order.append((name, way == "desc"))
        query.top = _number(said, "$top")
        query.skip = _number(said, "$skip") or 0
        query.token = _number(said, "$skiptoken") or 0
        counted = said.get("$inlinecount", "none")
        if counted not in ("allpages", "none"):
            raise bad_request(f"Invalid value '{counted}' for system query option $inlinecount", EXPRESSION)
        query.count = counted == "allpages"
        query.select, query.expand = _tree(said.get("$select", "")), _tree(said.get("$expand", ""))
        return query


class Reader:
    """Answers reads of one service. `root` is the address that entities name as theirs."""

    def __init__(self, system: System, service: Service, root: str) -> None:
        self._system, self._service, self._root = system, service, root
        self._raw = False

    def entity(self, found: EntitySet, row: Row, query: Query) -> dict[str, Any]:
        _check(self._service, found.type, query)
        return self._show(found, row, query.select, query.expand)

    def listed(
        self, found: EntitySet, query: Query, under: Iterable[Row] | None = None, *, raw: bool = False
    ) -> dict[str, Any]:
        """{"results", "__count"?, "__next"?} of a set, or of the rows that a navigation leads to.

        `raw` lets results be ready JSON.
        """
        self._raw = raw
        _check(self._service, found.type, query)
        if found.type.analytic and query.select and "ID" not in query.select:
            rows = aggregate(found.type, self._matching(found, query, under), list(query.select), query.order)
            return self._page(found, query, iter(rows), len(rows), lambda row: row)
        total = None
        if query.count:
            total = self.count(found, query, under)
        wanted = query.skip + query.token
        rows_in_order = self._ordered(found, query, under)
        if wanted and query.test is None and under is None and not query.order:
            keys = self._system.db[found.table].keys
            table = self._system.db[found.table]
            if not isinstance(table, View):
                rows_in_order = (row for key in keys[wanted:] if (row := table.at(key)) is not None)
                wanted = 0
        next(islice(rows_in_order, wanted, wanted), None)
        return self._page(found, query, rows_in_order, total, self._shown(found, query))

    def count(self, found: EntitySet, query: Query, under: Iterable[Row] | None = None) -> int:
        if query.test is None and under is None:
            return len(self._system.db[found.table])
        return sum(1 for _ in self._matching(found, query, under))

    def related(self, row: Row, nav: Navigation) -> list[Row]:
        """The rows that a navigation of a row leads to."""
        target = self._service.sets[nav.target]
        table = self._system.db[target.table]
        wanted = {other: row.get(own) or "" for own, other in nav.join}
        leading = target.type.keys[: len(nav.join)]
        if set(leading) == set(wanted):
            return table.under(*(wanted[name] for name in leading)) if all(wanted.values()) else []
        name = next((name for name in wanted if name in table.equal), None)
        rows = table.where(name, wanted[name]) if name else table.rows()
        return [each for each in rows if all((each.get(n) or "") == v for n, v in wanted.items())]

    def _page(
        self,
        found: EntitySet,
        query: Query,
        rows: Iterator[Row],
        total: int | None,
        show: Callable[[Row], Any],
    ) -> dict[str, Any]:
        limit = int(self._system.option("page_limit"))
        wanted = None if query.top is None else max(query.top - query.token, 0)
        size = limit if wanted is None else min(wanted, limit)
        if found.type.analytic and total is not None:
            next(islice(rows, query.skip + query.token, query.skip + query.token), None)
        results = [show(row) for row in islice(rows, size)]
        page: dict[str, Any] = {}
        if query.count and total is not None:
            page["__count"] = str(total)
        page["results"] = results
        if (wanted is None or wanted > size) and len(results) == size and next(rows, None) is not None:
            page["__next"] = self._next(found, query, query.token + size)
        return page

    def _next(self, found: EntitySet, query: Query, token: int) -> str:
        words = [
            f"{name}={quote(text, safe=_SAFE)}" for name, text in query.said.items() if name != "$skiptoken"
        ]
        root = self._root
        if self._system.option("next_host") == "internal":
            root = re.sub(r"^https?://[^/]+", INTERNAL_HOST, root)
        return f"{root}/{query.path or found.name}?{'&'.join([*words, f'$skiptoken={token}'])}"

    def _matching(self, found: EntitySet, query: Query, under: Iterable[Row] | None) -> Iterator[Row]:
        test = query.test
        rows = self._candidates(found, test) if under is None else under
        return (row for row in rows if test is None or test.check(row))

    def _candidates(self, found: EntitySet, test: Test | None) -> Iterable[Row]:
        """Rows in the order of keys that may match, from the narrowest index there is."""
        table = self._system.db[found.table]
        if test is None:
            return table.rows()
        keys = found.type.keys
        if table.kind is found.type or table.kind.keys == keys:
            leading: list[str] = []
            for name in keys:
                if len(test.equal.get(name, ())) != 1:
                    break
                leading.append(str(test.equal[name][0]))
            if leading:
                return table.under(*leading)
            if len(test.equal.get(keys[0], ())) > 1:
                values = sorted({str(value) for value in test.equal[keys[0]]})
                return (row for value in values for row in table.under(value))
        for name, values in test.equal.items():
            if name in table.equal and all(values):
                return self._equal(table, name, values)
        for name, index in table.ranged.items():
            low, high = _bounds(test, name)
            if (low or high) and index:
                places = sorted(key for _, key in table.between(name, low, high))
                return (row for key in places if (row := table.at(key)) is not None)
        low, high = _bounds(test, keys[0])
        if (low or high) and not isinstance(table, View):
            return self._from_key(table, low, high)
        return table.rows()

    def _equal(self, table: Table, name: str, values: list[Any]) -> list[Row]:
        prop = table.kind.properties.get(name)
        kept = {_plain_key(value) if prop and prop.code in "kn" else value for value in values}
        keys = sorted(key for value in kept for key in table.equal[name].get(value, ()))
        return [row for key in keys if (row := table.at(key)) is not None]

    def _from_key(self, table: Table, low: str | None, high: str | None) -> Iterator[Row]:
        start = bisect_left(table.keys, low) if low else 0
        for key in table.keys[start:]:
            row = table.at(key)
            if row is None:
                continue
            if high is not None and key[: len(high)] > high:
                return
            yield row

    def _ordered(self, found: EntitySet, query: Query, under: Iterable[Row] | None) -> Iterator[Row]:
        order = query.order
        keys = found.type.keys
        table = self._system.db[found.table]
        if not order or [(name, False) for name in keys[: len(order)]] == order:
            return iter(self._matching(found, query, under))
        name, descending = order[0]
        if under is None and name in table.ranged and len(order) == 1 and not isinstance(table, View):
            low, high = _bounds(query.test, name) if query.test else (None, None)
            places = table.between(name, low, high)
            if query.test is None or not (query.test.equal.keys() & table.equal.keys()):
                test = query.test
                ranged = (table.at(key) for _, key in (reversed(places) if descending else places))
                return (row for row in ranged if row is not None and (test is None or test.check(row)))
        rows = list(self._matching(found, query, under))
        for name, descending in reversed(order):
            prop = found.type.properties[name]
            rows.sort(key=lambda row: _sortable(kept_of(prop, row)), reverse=descending)
        return iter(rows)

    def _shown(self, found: EntitySet, query: Query) -> Callable[[Row], Any]:
        """How the rows of a list are shown: whole ones without navigations are kept ready in JSON."""
        select, expand, ready = query.select, query.expand, self._system.ready
        kept = self._raw and not select and not expand and not isinstance(self._system.db[found.table], View)
        if not kept or found.table in _TAGGED_BY_HEADER:
            return lambda row: self._show(found, row, select, expand)
        place = f"{found.name}:{self._root}"

        def show(row: Row) -> Any:
            held = ready.get((place, id(row)))
            if (
                held is not None and held[0] is row
            ):  # rows are replaced, never changed, so the same row is the same text
                return held[1]
            text = msgspec.Raw(_encode(self._show(found, row, select, expand)))
            if len(ready) >= MAX_READY:
                ready.clear()
            ready[place, id(row)] = (row, text)
            return text

        return show

    def _show(
        self, found: EntitySet, row: Row, select: dict[str, Any], expand: dict[str, Any]
    ) -> dict[str, Any]:
        shape = self._shape(found, select, expand)
        address = f"{self._root}/{found.name}({key_text(found.type, row)})"
        about: dict[str, Any] = {"id": address, "uri": address, "type": shape.name}
        if (etag := self.etag(found, row)) is not None:
            about["etag"] = etag
        shown: dict[str, Any] = {"__metadata": about, **shape.empty}
        wanted = shape.convert
        for name in row.keys() & wanted.keys() if len(wanted) > len(row) else wanted:
            value = row.get(name)
            if value is not None:
                convert = wanted[name]
                shown[name] = convert(value) if convert is not None else value
        for name in shape.deferred:
            shown[name] = {"__deferred": {"uri": f"{address}/{name}"}}
        for name in shape.expanded:
            nav = found.type.navigations[name]
            target, inner = self._service.sets[nav.target], select.get(name) or _NOTHING
            rows = [self._show(target, each, inner, expand[name]) for each in self.related(row, nav)]
            shown[name] = {"results": rows} if nav.many else (rows[0] if rows else None)
        return shown

    def _shape(self, found: EntitySet, select: dict[str, Any], expand: dict[str, Any]) -> _Shape:
        technical = self._system.option("amount_decimals") == "technical"
        forms = (technical, self._system.option("minus") == "behind", self._system.option("zeros") == "shown")
        key = (self._service.name, found.name, tuple(select), tuple(expand), forms)
        shape = _SHAPES.get(key)
        if shape is None:
            if len(_SHAPES) >= MAX_SHAPES:
                _SHAPES.clear()
            shape = _SHAPES[key] = _shape_of(self._service, found, select, expand, forms)
        return shape

    def etag(self, found: EntitySet, row: Row) -> str | None:
        """The entity tag of a row, or None where the set has none."""
        if found.table in ("order_item", "item_price") and self._system.option("item_etag") == "header":
            order = self._system.db["order"].get(row["SalesOrder"])
            return etag_of(order["LastChangeDateTime"]) if order else None
        if not found.etag or (found.table == "partner" and self._system.option("partner_etag") == "none"):
            return None
        value = row.get(found.etag) or ""
        return etag_of(value) if found.strict else f"W/\"'{value}'\""


class _Shape(NamedTuple):
    """What a request shows of the rows of one set."""

    name: str
    empty: dict[str, Any]
    convert: dict[str, Callable[[str], str] | None]
    deferred: tuple[str, ...]
    expanded: tuple[str, ...]


_SHAPES: dict[tuple[Any, ...], _Shape] = {}


def _shape_of(
    service: Service,
    found: EntitySet,
    select: dict[str, Any],
    expand: dict[str, Any],
    forms: tuple[bool, bool, bool],
) -> _Shape:
    """Amounts have the digits of their currency, or three as their data type has them (`technical`), their sign before
    them or, as SAP prints it, `behind`; keys are without their leading zeros, or with them (`zeros`)."""
    technical, behind, zeros = forms
    kind = found.type
    everything = not select or "*" in select
    props = [prop for prop in kind.properties.values() if everything or prop.name in select]
    convert: dict[str, Callable[[str], str] | None] = {prop.name: SHOWN.get(prop.code) for prop in props}
    empty = {prop.name: prop.empty for prop in props}
    for prop in props:
        if prop.code == "a" and (technical or behind):
            convert[prop.name] = partial(_amount, "0" if technical else "", behind)
            empty[prop.name] = "0.000" if technical else prop.empty
        elif prop.code in "kn" and zeros:
            convert[prop.name] = partial(padded, prop)
    linked = [name for name in kind.navigations if everything or name in select or name in expand]
    return _Shape(
        f"{service.namespace}.{kind.name}",
        empty,
        convert,
        tuple(name for name in linked if name not in expand),
        tuple(name for name in linked if name in expand),
    )


def _amount(digit: str, behind: bool, value: str) -> str:
    return f"{value[1:]}{digit}-" if behind and value.startswith("-") else f"{value}{digit}"


def _check(service: Service, kind: EntityType, query: Query) -> None:
    for name in query.select:
        if name != "*" and name not in kind.properties and name not in kind.navigations:
            raise bad_request(f"Property {name} not found in type {kind.name}", EXPRESSION)
    _check_expand(service, kind, query.expand, 0)


def _check_expand(service: Service, kind: EntityType, tree: dict[str, Any], depth: int) -> None:
    if depth > MAX_EXPAND:
        raise bad_request("The $expand option is nested too deeply", EXPRESSION)
    for name, inner in tree.items():
        if name not in kind.navigations:
            raise not_found(name)
        _check_expand(service, service.sets[kind.navigations[name].target].type, inner, depth + 1)


def _tree(text: str) -> dict[str, Any]:
    """`a,b/c` as {"a": {}, "b": {"c": {}}}."""
    tree: dict[str, Any] = {}
    for path in filter(None, (each.strip() for each in text.split(","))):
        place = tree
        for name in path.split("/"):
            place = place.setdefault(name, {})
    return tree


def _number(said: dict[str, str], name: str) -> int | None:
    text = said.get(name)
    if text is None:
        return None
    if not text.isdigit():
        raise bad_request(f"Invalid value '{text}' for system query option {name}", EXPRESSION)
    return int(text)


def _bounds(test: Test | None, name: str) -> tuple[str | None, str | None]:
    low = high = None
    for field_name, word, value in test.ranges if test else ():
        if field_name == name and isinstance(value, str):
            if word in ("ge", "gt"):
                low = value if low is None else max(low, value)
            else:
                high = value if high is None else min(high, value)
    return low, high


def _plain_key(value: Any) -> Any:
    return value.lstrip("0") if isinstance(value, str) and value.isdigit() else value


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, value)
