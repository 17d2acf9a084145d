"""COQL: `select a, b from Deals where … order by Modified_Time, id limit 0, 200`.

As the vendor has it: `where` is a must, more than two conditions need parentheses, a lookup's field is reached with
a dot, and an answer without rows is 204.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NoReturn

from sandbox.crm.zoho.conditions import (
    COMPARE,
    CONDITIONS,
    Column,
    Test,
    column_of,
    comparable,
    condition,
    read_value,
)
from sandbox.crm.zoho.encoding import encode
from sandbox.crm.zoho.gate import EMPTY, Answer, Call, Portal, Refused
from sandbox.crm.zoho.ids import number_of
from sandbox.crm.zoho.modules import Module
from sandbox.crm.zoho.view import View
from sandbox.desk.records import Item

OFFSET_AND_LIMIT: Final = 100_000
SELECTED: Final = 50
IN_VALUES: Final = 100
DEFAULT_LIMIT: Final = 200
_TOKEN: Final = re.compile(
    r"\s*(?:('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")|([\w.$+:-]+)|(<=|>=|!=|=|<|>|[(),*]))"
)


@dataclass
class Query:
    """A parsed query."""

    module: Module
    columns: list[Column]
    counts: bool
    test: Test
    bounds: list[tuple[str, str, Any]]  # of the top-level `and`: column, comparison, value
    bound_by_id: bool  # there are no conditions but bounds of the id, or that there is one
    order: list[tuple[Column, bool]]
    offset: int
    limit: int


def coql(portal: Portal, call: Call) -> Answer:
    """POST /coql"""
    said = call.json.get("select_query")
    if not isinstance(said, str) or not said.strip():
        raise Refused(400, "MANDATORY_NOT_FOUND", "required field not found",
                      {"api_name": "select_query", "json_path": "$.select_query"})  # fmt: skip
    query = _Parser(said, portal).query()
    found = _matching(portal, query)
    if query.counts:
        return Answer.of(
            {"data": [{"count(id)": sum(1 for _ in found)}], "info": {"count": 1, "more_records": False}}
        )
    items = list(islice(found, query.offset, query.offset + query.limit + 1))
    if not items:
        return EMPTY
    shown = items[: query.limit]
    info = encode({"count": len(shown), "more_records": len(items) > query.limit})
    return Answer(200, b'{"data":[' + _rows(portal, query, shown) + b'],"info":' + info + b"}")


def cost(call: Call) -> int:
    """Credits of a query: 1 up to 200 rows, 2 up to 1,000, 3 up to 2,000."""
    found = re.search(rb"limit\s+(?:\d+\s*,\s*)?(\d+)", call.body, re.IGNORECASE)
    rows = int(found[1]) if found else DEFAULT_LIMIT
    return 1 if rows <= 200 else 2 if rows <= 1000 else 3


# ---- Running ------------------------------------------------------------------------------------


def _rows(portal: Portal, query: Query, items: list[Item]) -> bytes:
    """The records of an answer, comma between them; `id` always among what they show."""
    view, number = portal.view, query.module.by_name["id"]
    if all(one.through is None for one in query.columns):
        chosen = {one.name: one.field for one in query.columns}
        return portal.encoded.records(query.module, list({**chosen, "id": number}.values()), items)
    rows = []
    for item in items:
        row = {one.name: one.value(view, item) for one in query.columns}
        row.setdefault("id", number.get(view, item))
        rows.append(encode(row))
    return b",".join(rows)


def _matching(portal: Portal, query: Query) -> Iterator[Item]:
    """Records that meet the query, in its order. Bounds on Modified_Time and id are looked up, not tried."""
    view, rows = portal.view, portal.view.rows(query.module.entity)
    order = query.order or [(column_of(query.module, "id"), False)]
    names = [(column.name, descending) for column, descending in order]
    stamped = any(name == "Modified_Time" for name, _, _ in query.bounds) or names[:1] == [
        ("Modified_Time", False)
    ]
    items: Iterable[Item]
    if stamped:
        dated = rows.ordered("modified")
        low, high = _stretch(query, "Modified_Time", dated, lambda item: item.modified)
        items, sorted_by = islice(dated, low, high), [("Modified_Time", False), ("id", False)]
    else:
        numbered = rows.ordered("number")
        low, high = _stretch(query, "id", numbered, lambda item: item.number)
        items, sorted_by = islice(numbered, low, high), [("id", False)]
    exact = query.bound_by_id and not stamped
    if exact and all(number_of(query.module.entity, value) is not None for _, _, value in query.bounds):
        found: Iterator[Item] = iter(items)
    else:
        found = (item for item in items if query.test(view, item))
    if names == sorted_by[: len(names)]:
        return found
    chosen = list(found)
    for column, descending in reversed(order):
        chosen.sort(key=lambda item, one=column: _sortable(one, view, item), reverse=descending)  # type: ignore[misc]
    return iter(chosen)


def _stretch(query: Query, name: str, items: list[Item], key: Callable[[Item], Any]) -> tuple[int, int]:
    low, high = 0, len(items)
    for bound, comparison, value in query.bounds:
        if bound != name:
            continue
        mark: Any = number_of(query.module.entity, value) if name == "id" else value
        if mark is None:
            continue
        if comparison in (">", ">=", "="):
            low = max(low, (bisect_right if comparison == ">" else bisect_left)(items, mark, key=key))
        if comparison in ("<", "<=", "="):
            high = min(high, (bisect_left if comparison == "<" else bisect_right)(items, mark, key=key))
    return low, max(low, high)


def _sortable(column: Column, view: View, item: Item) -> tuple[bool, Any]:
    value = comparable(column, column.value(view, item))
    return value is not None, value if value is not None else 0


# ---- Parsing ------------------------------------------------------------------------------------


class _Parser:
    """Recursive descent over the tokens of one query."""

    def __init__(self, said: str, portal: Portal) -> None:
        self._portal, self._most = portal, portal.options.coql_rows
        self._tokens: list[tuple[str, int]] = []
        place = 0
        text = said.rstrip().rstrip(";")
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                self._wrong(text[place:], place)
            self._tokens.append((found[1] or found[2] or found[3], found.start()))
            place = found.end()
        self._at = self._conditions = self._others = 0

    def query(self) -> Query:
        self._word("select")
        names = [self._take()]
        counts = names[0].casefold() == "count"
        if counts:
            self._word("(")
            self._take()
            self._word(")")
        while not counts and self._is(","):
            names.append(self._take())
        self._word("from", clause="from")
        module = self._named(self._take())
        self._module = module
        columns = [] if counts else [self._column(name) for name in names]
        if len(columns) > SELECTED:
            raise Refused(
                400, "LIMIT_EXCEEDED", "select columns limit exceeded", {"by": "select", "limit": SELECTED}
            )
        self._word("where", clause="where")
        test, self.bounds = self._any(top=True)
        bound_by_id = self._others == 0
        order: list[tuple[Column, bool]] = []
        if self._is("order"):
            self._word("by")
            order.append(self._ordered())
            while self._is(","):
                order.append(self._ordered())
        offset, limit = self._limits()
        if self._at < len(self._tokens):
            self._wrong(*self._tokens[self._at])
        return Query(module, columns, counts, test, self.bounds, bound_by_id, order, offset, limit)

    def _named(self, name: str) -> Module:
        try:
            return self._portal.module(name)
        except Refused:
            raise Refused(
                400, "INVALID_QUERY", "invalid query formed", {"module": name, "reason": "module"}
            ) from None

    def _ordered(self) -> tuple[Column, bool]:
        column = self._column(self._take())
        descending = self._is("desc")
        if not descending:
            self._is("asc")
        return column, descending

    def _limits(self) -> tuple[int, int]:
        offset, limit = 0, DEFAULT_LIMIT
        if self._is("limit"):
            limit = self._number()
            if self._is(","):
                offset, limit = limit, self._number()
        if self._is("offset"):
            offset = self._number()
        if limit > self._most or limit < 1:
            raise Refused(400, "LIMIT_EXCEEDED", "limit exceeded", {"by": "limit", "limit": self._most})
        if offset + limit > OFFSET_AND_LIMIT:
            raise Refused(
                400, "LIMIT_EXCEEDED", "limit exceeded", {"by": "offset", "limit": OFFSET_AND_LIMIT}
            )
        return offset, limit

    def _any(self, *, top: bool = False) -> tuple[Test, list[tuple[str, str, Any]]]:
        """One condition, or two joined: more need parentheses of their own."""
        left, bounds = self._one()
        joined = "and" if self._is("and") else "or" if self._is("or") else ""
        if not joined:
            return left, bounds
        right, more = self._one()
        if self._at < len(self._tokens) and self._tokens[self._at][0].casefold() in ("and", "or"):
            self._wrong(*self._tokens[self._at])
        if joined == "and":
            return (lambda view, item: left(view, item) and right(view, item)), bounds + more
        self._others += 1
        return (lambda view, item: left(view, item) or right(view, item)), []

    def _one(self) -> tuple[Test, list[tuple[str, str, Any]]]:
        if self._is("("):
            found = self._any()
            self._word(")")
            return found
        self._conditions += 1
        if self._conditions > CONDITIONS:
            raise Refused(
                400, "LIMIT_EXCEEDED", "criteria limit exceeded", {"by": "where", "limit": CONDITIONS}
            )
        column = self._column(self._take())
        comparison = self._take().casefold()
        if comparison in ("not", "is"):
            comparison += f" {self._take().casefold()}"
            if comparison == "is not":
                comparison += f" {self._take().casefold()}"
        if comparison in ("in", "not in"):
            wanted = self._list(column)
        elif comparison in ("between", "not between"):
            low = self._value(column)
            self._word("and")
            wanted = [low, self._value(column)]
        elif comparison in ("is null", "is not null"):
            wanted = []
        elif comparison in COMPARE or comparison in ("like", "not like"):
            wanted = [self._value(column)]
        else:
            self._wrong(comparison, self._tokens[self._at - 1][1])
        bounds = []
        if (
            column.through is None
            and comparison in COMPARE
            and comparison != "!="
            and column.name in ("id", "Modified_Time")
        ):
            bounds = [(column.name, comparison, wanted[0])]
        elif column.name == "Modified_Time" and comparison == "between":
            bounds = [(column.name, ">=", wanted[0]), (column.name, "<=", wanted[1])]
        if column.name != "id" or not (bounds or comparison == "is not null"):
            self._others += 1
        return condition(column, comparison, wanted), bounds

    def _list(self, column: Column) -> list[Any]:
        self._word("(")
        found = [self._value(column)]
        while self._is(","):
            found.append(self._value(column))
        self._word(")")
        if len(found) > IN_VALUES:
            raise Refused(400, "LIMIT_EXCEEDED", "in values limit exceeded", {"by": "in", "limit": IN_VALUES})
        return found

    def _value(self, column: Column) -> Any:
        said = self._take()
        return read_value(column, re.sub(r"\\(.)", r"\1", said[1:-1]) if said[:1] in "'\"" else said)

    def _column(self, name: str) -> Column:
        return column_of(self._module, name)

    def _number(self) -> int:
        said = self._take()
        if not said.isdigit():
            self._wrong(said, self._tokens[self._at - 1][1])
        return int(said)

    def _take(self) -> str:
        if self._at >= len(self._tokens):
            self._wrong("", self._tokens[-1][1] if self._tokens else 0)
        self._at += 1
        return self._tokens[self._at - 1][0]

    def _is(self, word: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at][0].casefold() == word:
            self._at += 1
            return True
        return False

    def _word(self, word: str, *, clause: str = "") -> None:
        if not self._is(word):
            if clause:
                raise Refused(400, "SYNTAX_ERROR", "missing clause", {"clause": clause})
            near, at = self._tokens[self._at] if self._at < len(self._tokens) else ("", 0)
            self._wrong(near, at)

    def _wrong(self, near: str, at: int) -> NoReturn:
        raise Refused(
            400, "SYNTAX_ERROR", "invalid query formed", {"line": 1, "column": at + 1, "near": near[:40]}
        )
