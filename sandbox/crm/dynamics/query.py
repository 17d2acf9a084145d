"""Lists: $filter, $orderby, $top, $count, and pages by the vendor's paging cookie.

A page goes on behind the last row of the page before it, by the values of that row in the order of the query
and then by its key; so rows that change meanwhile are seen again where they move to, and none is skipped.
`$skip` is refused, `$top` is ignored beside odata.maxpagesize, and a page has 5000 rows at most.
Source: the vendor's page on paging results.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any, Final
from urllib.parse import quote, unquote

from sandbox.crm.dynamics.expand import Wanted
from sandbox.crm.dynamics.filter import Field, Filter, Test, moment
from sandbox.crm.dynamics.model import EDM, LOOKUPS, Table, bad_request
from sandbox.crm.dynamics.request import JSON_TYPE, MAX_PAGE, Call, Reply, cut, page_size
from sandbox.crm.dynamics.rows import By, Order
from sandbox.crm.dynamics.space import Space, encode, stamp
from sandbox.desk.records import Item

COUNT_LIMIT: Final = 5000
_INDEXED: Final[dict[str, By]] = {
    "modifiedon": "modified",
    "createdon": "created",
    "versionnumber": "version",
}
_TOP: Final = re.compile(r"\d{1,9}")
_PART = re.compile(r'<(\w+) (?:last="([^"]*)"|lastnull="1")')


@dataclass
class Sorting:
    """The order of a list: properties with their direction, the key last."""

    fields: list[tuple[str, Field, bool]]  # name, how to read it, descending

    @classmethod
    def read(cls, space: Space, table: Table, said: str) -> Sorting:
        field_of, fields = space.field_of(table), []
        for part in cut(said, ","):
            name, _, way = part.partition(" ")
            if way.strip() not in ("", "asc", "desc"):
                raise bad_request(f"Syntax error at position {len(name)} in '{said}'.", "0x80060888")
            fields.append((name, field_of(name), way.strip() == "desc"))
        if not fields or fields[-1][0] != table.key:
            fields.append((table.key, Field(lambda item: item.number, "Integer"), False))
        else:
            fields[-1] = (table.key, Field(lambda item: item.number, "Integer"), fields[-1][2])
        return cls(fields)

    def by(self) -> tuple[By, bool] | None:
        """The kept order that serves this one, and whether it is walked backwards; None when there is none."""
        names = [name for name, _, _ in self.fields]
        if len(names) == 1:
            return "number", self.fields[0][2]
        if len(names) == 2 and names[0] in _INDEXED and not self.fields[1][2]:
            return _INDEXED[names[0]], self.fields[0][2]
        return None

    def key(self, item: Item) -> tuple[Any, ...]:
        return tuple(field.read(item) for _, field, _ in self.fields)


def listed(space: Space, table: Table, call: Call, among: list[Item] | None = None, path: str = "") -> Reply:
    """A page of a table, or of the rows `among` (a collection of another row)."""
    options = call.options()
    if "$skip" in options:
        raise bad_request("Skip Clause is not supported in CRM", "0x80060888")
    size, top = page_size(call), options.get("$top")
    if top is not None and not _TOP.fullmatch(top):
        raise bad_request(f"Invalid value '{top}' for $top query option found. The $top query option requires a "
                          "non-negative integer value.", "0x80060888")  # fmt: skip
    limit = int(top) if top is not None and size is None else None
    count = min(size or MAX_PAGE, limit if limit is not None else MAX_PAGE)
    wanted = Wanted.read(space, table, options, call.notes())
    test = tested(space, table, options)
    sorting = Sorting.read(space, table, options.get("$orderby", ""))
    page, cookie = _cookie(options.get("$skiptoken"))
    found = list(islice(_rows(space, table, test, sorting, cookie, among), count + 1))
    rows = found[:count]
    head: dict[str, Any] = {"@odata.context": f"{call.root}/$metadata#{table.plural}{wanted.context()}"}
    if options.get("$count") == "true":
        head.update(_counted(space, table, test, among, call))
    tail: dict[str, Any] = {}
    if limit is None and len(found) > count:
        tail["@odata.nextLink"] = (
            f"{call.root}/{path or table.plural}?{_kept(call.query)}$skiptoken="
            + skiptoken(table, sorting, page + 1, rows[0], rows[-1])
        )
    body = b"".join((
        encode(head)[:-1], b',"value":[', b",".join(wanted.rows(rows, call.root)), b"]",
        b"," + encode(tail)[1:] if tail else b"}",
    ))  # fmt: skip
    applied = [f"odata.maxpagesize={size}"] if size is not None else []
    applied += (
        ['odata.include-annotations="' + call.preferences()["odata.include-annotations"] + '"']
        if call.notes()
        else []
    )
    headers = {"Content-Type": JSON_TYPE} | ({"Preference-Applied": ",".join(applied)} if applied else {})
    return Reply(200, body, headers, weight=len(rows))


def tested(space: Space, table: Table, options: dict[str, str]) -> Test | None:
    said = options.get("$filter", "")
    if not said.strip():
        return None
    aliases = {name: value for name, value in options.items() if name.startswith("@")}
    accepted = space.options.in_operator == "accepted"
    return Filter(said, space.field_of(table), aliases, in_operator=accepted).parse()


def counted(space: Space, table: Table, test: Test | None, among: list[Item] | None = None) -> int:
    """How many rows match, 5000 at most."""
    if test is None:
        return min(len(among if among is not None else space.rows[table.name].all()), COUNT_LIMIT)
    sorting = Sorting.read(space, table, "")
    return sum(1 for _ in islice(_rows(space, table, test, sorting, None, among), COUNT_LIMIT))


def _counted(
    space: Space, table: Table, test: Test | None, among: list[Item] | None, call: Call
) -> dict[str, Any]:
    number = counted(space, table, test, among)
    said: dict[str, Any] = {"@odata.count": number}
    if "totalrecordcount" in call.preferences().get("odata.include-annotations", "") or call.all_notes():
        over = number == COUNT_LIMIT
        said["@Microsoft.Dynamics.CRM.totalrecordcount"] = number
        said["@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"] = over
    return said


# ---- Which rows, in which order ---------------------------------------------------------------


def _rows(space: Space, table: Table, test: Test | None, sorting: Sorting, cookie: dict[str, str | None] | None,
          among: list[Item] | None) -> Iterator[Item]:  # fmt: skip
    """The matching rows behind the cookie."""
    few = among if among is not None else _few(space, table, test)
    by = sorting.by()
    check = test.check if test is not None else None
    if few is None and by is not None:
        order = space.rows[table.name].order(by[0])
        yield from _walk(order, table, sorting, by[1], test, cookie)
        return
    items: Iterable[Item] = few if few is not None else space.rows[table.name].all()
    found = [item for item in items if check is None or check(item)]
    for _, field, down in reversed(sorting.fields):
        found.sort(key=_sort_key(field), reverse=down)
    if cookie is not None:
        last = _parsed(table, sorting, cookie)
        found = [item for item in found if _is_after(sorting, item, last)]
    yield from found


def _walk(order: Order, table: Table, sorting: Sorting, down: bool, test: Test | None,
          cookie: dict[str, str | None] | None) -> Iterator[Item]:  # fmt: skip
    """Rows of a kept order, from where a range of the filter or the cookie lets them begin."""
    start, stop = 0, len(order.items)
    name = sorting.fields[0][0]
    for ranged, word, value in test.ranges if test is not None else ():
        if ranged == name and ranged in _INDEXED:
            low = order.before((value,)) if word in ("ge", "lt") else order.after((value, float("inf")))
            start, stop = (max(start, low), stop) if word in ("ge", "gt") else (start, min(stop, low))
    if cookie is not None:
        last = _parsed(table, sorting, cookie)
        if down:
            stop = min(stop, order.before(last))
        else:
            start = max(start, order.after(last))
    check = test.check if test is not None else None
    places = range(stop - 1, start - 1, -1) if down else range(start, stop)
    for place in places:
        item = order.items[place]
        if check is None or check(item):
            yield item


def _few(space: Space, table: Table, test: Test | None) -> list[Item] | None:
    """The rows that can match at all, when the filter names their keys or their parents."""
    if test is None or test.among is None:
        return None
    name, values = test.among
    rows = space.rows[table.name]
    if name == table.key:
        numbers = [table.number(value) for value in values if value is not None]
        found = [rows.get(number) for number in numbers if number is not None]
        return sorted((item for item in found if item is not None), key=lambda item: item.number)
    column = table.columns.get(name)
    if column is not None and column.kind in LOOKUPS and table.entity == "line" and column.keep == "deal":
        parent = space.target(column)
        owners = sorted(n for n in (parent.number(value) for value in values if value) if n is not None)
        return sorted(
            (row for owner in owners for row in space.desk.children("line", owner)), key=lambda i: i.number
        )
    return None


def _sort_key(field: Field) -> Callable[[Item], tuple[bool, Any]]:
    folded = EDM[field.kind] == "Edm.String"

    def key(item: Item) -> tuple[bool, Any]:
        value = field.read(item)
        return (value is not None, (value.casefold() if folded else value) if value is not None else 0)

    return key


def _is_after(sorting: Sorting, item: Item, last: tuple[Any, ...]) -> bool:
    for (_, field, down), value in zip(sorting.fields, last, strict=True):
        folded = EDM[field.kind] == "Edm.String"
        mine = field.read(item)
        mine = mine.casefold() if folded and mine is not None else mine
        value = value.casefold() if folded and value is not None else value
        if mine != value:
            if mine is None or value is None:
                return (value is None) is not down
            return bool(mine < value if down else mine > value)
    return False


# ---- Paging cookies ---------------------------------------------------------------------------


def skiptoken(table: Table, sorting: Sorting, page: int, first: Item, last: Item) -> str:
    """The value of $skiptoken as the vendor words it: a cookie within a cookie, the inner one escaped twice."""
    parts = []
    for name, field, _ in sorting.fields:
        if name == table.key:
            low: str | None = f"{{{table.shown(first.number).upper()}}}"
            high: str | None = f"{{{table.shown(last.number).upper()}}}"
        else:
            low, high = _cookie_text(field.read(first)), _cookie_text(field.read(last))
        label = name.replace("/", ".").strip("_")
        end = f'last="{high}"' if high is not None else 'lastnull="1"'
        start = f'first="{low}"' if low is not None else 'firstnull="1"'
        parts.append(f"<{label} {end} {start} />")
    inner = f'<cookie page="{page - 1}">{"".join(parts)}</cookie>'
    twice = _lower(quote(_lower(quote(inner, safe=""))))
    return f"%3Ccookie%20pagenumber=%22{page}%22%20pagingcookie=%22{twice}%22%20istracking=%22False%22%20/%3E"


def cookie_parts(token: str) -> tuple[int, str]:
    """Page number and inner cookie of a $skiptoken that was decoded once. Raises 400 when it is none."""
    page = re.search(r'pagenumber="(\d+)"', token)
    inner = re.search(r'pagingcookie="([^"]*)"', token)
    if page is None or inner is None:
        raise bad_request("Malformed XML in the Paging Cookie", "0x80041129")
    return int(page.group(1)), unquote(inner.group(1))


def _cookie(token: str | None) -> tuple[int, dict[str, str | None] | None]:
    if token is None:
        return 1, None
    page, inner = cookie_parts(token)
    return page, dict(_PART.findall(inner))


def _parsed(table: Table, sorting: Sorting, cookie: dict[str, str | None]) -> tuple[Any, ...]:
    """The last row's values, in the types of the order."""
    values: list[Any] = []
    for name, field, _ in sorting.fields:
        text = cookie.get(name.replace("/", ".").strip("_"))
        if name == table.key:
            number = table.number((text or "").strip("{}"))
            if number is None:
                raise bad_request("Malformed XML in the Paging Cookie", "0x80041129")
            values.append(number)
        else:
            values.append(_value(field, unquote(text)) if text else None)
    return tuple(values)


def _value(field: Field, text: str) -> Any:
    edm = EDM[field.kind]
    if edm == "Edm.DateTimeOffset":
        return moment(text)
    if edm == "Edm.Date":
        return moment(f"{text}T00:00:00Z").date()
    if edm == "Edm.Boolean":
        return text == "1"
    if edm in ("Edm.Int32", "Edm.Int64"):
        return int(text)
    return Decimal(text) if edm == "Edm.Decimal" else text


def _cookie_text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "1" if value else "0"
    if hasattr(value, "hour"):
        return stamp(value)
    return quote(str(value), safe="")


def _lower(escaped: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda found: found.group().lower(), escaped)


def _kept(query: str) -> str:
    """The query as it was asked, without an older $skiptoken, ready for a new one."""
    parts = [part for part in query.split("&") if part and not re.match(r"(?:\$|%24)skiptoken=", part)]
    return "".join(f"{part}&" for part in parts)
