"""SOQL read into a tree: SELECT, FROM, WHERE, GROUP BY, ORDER BY, LIMIT, OFFSET, subqueries, literals.

    parse("SELECT Id, Account.Name FROM Opportunity WHERE SystemModstamp >= 2026-01-31T10:00:00Z ORDER BY Id")

Refused is what the vendor refuses: AND beside OR without brackets, quoted stamps, unknown words. What it
allows beyond this (TYPEOF, WITH, HAVING, geolocation) is refused too, as an unexpected token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

from sandbox.crm.salesforce.rest import Refusal

Path = tuple[str, ...]
MAX_LENGTH: Final = 100_000
MAX_DEPTH: Final = 20
FUNCTIONS: Final = frozenset({"COUNT", "COUNT_DISTINCT", "MIN", "MAX", "SUM", "AVG"})
_WORDS: Final = frozenset({
    "SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "LIKE", "ORDER", "GROUP", "BY", "LIMIT", "OFFSET",
    "ASC", "DESC", "NULLS", "FIRST", "LAST", "ALL", "ROWS", "FOR",
})  # fmt: skip
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))"
    r"|(?P<day>\d{4}-\d\d-\d\d(?![T\d]))|(?P<number>[+-]?\d+(?:\.\d+)?(?![\w.]))"
    r"|(?P<text>'(?:\\.|[^'\\])*')|(?P<name>[A-Za-z_][\w.]*(?::\d+)?)|(?P<sign><=|>=|!=|<>|[=<>(),]))"
)


@dataclass(frozen=True, slots=True)
class Constant:
    """A value: its kind (text, number, boolean, null, datetime, date, range) and itself.

    A range is that of a date literal such as TODAY: (first moment, first moment after it).
    """

    kind: str
    value: Any


@dataclass(frozen=True, slots=True)
class Test:
    path: Path
    sign: str  # = != < <= > >= LIKE IN "NOT IN"
    values: tuple[Constant, ...] = ()
    query: Query | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """AND or OR over several conditions, or NOT over one."""

    word: Literal["AND", "OR", "NOT"]
    parts: tuple[Condition, ...]


Condition = Test | Joined


@dataclass(frozen=True, slots=True)
class Aggregate:
    function: str
    path: Path
    alias: str


@dataclass(slots=True)
class Query:
    """One SELECT. `count` is the bare COUNT(); `all_rows` asks for deleted records too."""

    entity: str = ""
    paths: list[Path] = field(default_factory=list)
    aggregates: list[Aggregate] = field(default_factory=list)
    children: list[Query] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)  # FIELDS(ALL | STANDARD | CUSTOM)
    count: bool = False
    where: Condition | None = None
    group_by: list[Path] = field(default_factory=list)
    order: list[tuple[Path, bool, bool]] = field(default_factory=list)  # path, descending, nulls last
    limit: int | None = None
    offset: int = 0
    all_rows: bool = False
    text: str = ""


def parse(text: str, now: datetime | None = None) -> Query:
    """The tree of a query. Raises Refusal 400 MALFORMED_QUERY with the vendor's words and place."""
    if len(text) > MAX_LENGTH:
        raise Refusal(400, "QUERY_TOO_COMPLICATED", "Query is too long")
    reader = _Reader(text, now or datetime.now(UTC))
    query = reader.query(0)
    reader.end()
    query.text = text
    return query


def at(text: str, word: str, said: str) -> str:
    """The vendor's way to show a place in a query: two lines of it, row and column, and what is wrong."""
    place = max(text.find(word), 0)
    begun = max(place - 30, 0)
    shown = text[begun : place + len(word) + 10]
    return f"\n{shown}\n{' ' * (place - begun)}^\nERROR at Row:1:Column:{place + 1}\n{said}"


class _Reader:
    def __init__(self, text: str, now: datetime) -> None:
        self._text, self._now, self._place = text, now, 0
        self._tokens: list[tuple[str, str, int]] = []
        end = 0
        while text[end:].strip():
            found = _TOKEN.match(text, end)
            if found is None:
                rest = text[end:].strip()
                raise self._bad(f"unexpected token: '{rest[:1]}'", text.index(rest[:1], end))
            kind = str(found.lastgroup)
            self._tokens.append((kind, found[kind], found.start(kind)))
            end = found.end()

    def query(self, depth: int) -> Query:
        if depth > 2:
            raise self._bad("nesting of subqueries is too deep")
        found = Query()
        self._need("SELECT")
        self._select(found, depth)
        self._need("FROM")
        found.entity = self._name()
        if self._peek_kind() == "name" and self._word() not in _WORDS:
            self._name()  # an alias of the object changes nothing here
        if self._take("WHERE"):
            found.where = self._condition(0)
        if self._take("GROUP"):
            self._need("BY")
            found.group_by = [self._path()]
            while self._take(","):
                found.group_by.append(self._path())
        if self._take("ORDER"):
            self._need("BY")
            found.order.append(self._ordering())
            while self._take(","):
                found.order.append(self._ordering())
        if self._take("LIMIT"):
            found.limit = self._count()
        if self._take("OFFSET"):
            found.offset = self._count()
            if found.offset > 2000:
                raise Refusal(400, "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
        if self._take("ALL"):
            self._need("ROWS")
            found.all_rows = True
        return found

    def end(self) -> None:
        if self._place < len(self._tokens):
            raise self._unexpected()

    def _select(self, found: Query, depth: int) -> None:
        while True:
            if self._take("("):
                found.children.append(self.query(depth + 1))
                self._need(")")
            else:
                self._selected(found)
            if not self._take(","):
                return

    def _selected(self, found: Query) -> None:
        word = self._word()
        if self._next_is("(") and word in FUNCTIONS:
            self._name()
            self._need("(")
            if self._take(")"):
                if word != "COUNT":
                    raise self._unexpected()
                found.count = True
                return
            path = self._path()
            self._need(")")
            named = self._peek_kind() == "name" and self._word() not in _WORDS
            alias = self._name() if named else f"expr{len(found.aggregates)}"
            found.aggregates.append(Aggregate(word, path, alias))
        elif self._next_is("(") and word == "FIELDS":
            self._name()
            self._need("(")
            found.groups.append(self._name().upper())
            self._need(")")
        else:
            found.paths.append(self._path())

    def _condition(self, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise self._bad("the condition is nested too deeply")
        parts, words = [self._term(depth)], set[str]()
        while (word := self._word()) in ("AND", "OR"):
            words.add(word)
            if len(words) > 1:
                raise self._unexpected()
            self._place += 1
            parts.append(self._term(depth))
        return parts[0] if len(parts) == 1 else Joined("AND" if "AND" in words else "OR", tuple(parts))

    def _term(self, depth: int) -> Condition:
        if self._word() == "NOT" and self._peek_kind() == "name":
            self._place += 1
            return Joined("NOT", (self._term(depth + 1),))
        if self._take("("):
            found = self._condition(depth + 1)
            self._need(")")
            return found
        return self._test()

    def _test(self) -> Test:
        path = self._path()
        if self._take("NOT"):
            self._need("IN")
            return self._listed(path, "NOT IN")
        if self._take("IN"):
            return self._listed(path, "IN")
        if self._take("LIKE"):
            return Test(path, "LIKE", (self._literal(),))
        kind, sign, _ = self._peek()
        if kind != "sign" or sign in "(),":
            raise self._unexpected()
        self._place += 1
        return Test(path, "!=" if sign == "<>" else sign, (self._literal(),))

    def _listed(self, path: Path, sign: str) -> Test:
        self._need("(")
        if self._word() == "SELECT":
            inner = self.query(1)
            self._need(")")
            return Test(path, sign, query=inner)
        values = [self._literal()]
        while self._take(","):
            values.append(self._literal())
        self._need(")")
        return Test(path, sign, tuple(values))

    def _literal(self) -> Constant:
        kind, said, _ = self._peek()
        self._place += 1
        if kind == "text":
            return Constant("text", _unescaped(said[1:-1]))
        if kind == "number":
            return Constant("number", Decimal(said))
        if kind == "stamp":
            return Constant("datetime", _stamp(said))
        if kind == "day":
            try:
                return Constant("date", date.fromisoformat(said))
            except ValueError:
                raise self._bad(f"Invalid date: {said}") from None
        word = said.upper()
        if kind == "name" and word in ("TRUE", "FALSE"):
            return Constant("boolean", word == "TRUE")
        if kind == "name" and word == "NULL":
            return Constant("null", None)
        if kind == "name" and (span := _span(word, self._now)) is not None:
            return Constant("range", span)
        self._place -= 1
        raise self._unexpected()

    def _ordering(self) -> tuple[Path, bool, bool]:
        path = self._path()
        down = self._take("DESC")
        if not down:
            self._take("ASC")
        last = False
        if self._take("NULLS"):
            last = self._take("LAST")
            if not last:
                self._need("FIRST")
        return path, down, last

    # ---- tokens ---------------------------------------------------------------------------------

    def _path(self) -> Path:
        if self._word() in _WORDS:
            raise self._unexpected()
        return tuple(self._name().split("."))

    def _name(self) -> str:
        kind, said, _ = self._peek()
        if kind != "name":
            raise self._unexpected()
        self._place += 1
        return said

    def _count(self) -> int:
        kind, said, _ = self._peek()
        if kind != "number" or not said.isdigit():
            raise self._unexpected()
        self._place += 1
        return int(said)

    def _peek(self) -> tuple[str, str, int]:
        if self._place < len(self._tokens):
            return self._tokens[self._place]
        return "end", "<EOF>", len(self._text)

    def _peek_kind(self) -> str:
        return self._peek()[0]

    def _word(self) -> str:
        kind, said, _ = self._peek()
        return said.upper() if kind in ("name", "sign") else ""

    def _next_is(self, sign: str) -> bool:
        return self._place + 1 < len(self._tokens) and self._tokens[self._place + 1][1] == sign

    def _take(self, word: str) -> bool:
        if self._word() != word:
            return False
        self._place += 1
        return True

    def _need(self, word: str) -> None:
        if not self._take(word):
            raise self._unexpected()

    def _unexpected(self) -> Refusal:
        kind, said, place = self._peek()
        return self._bad("unexpected end of query" if kind == "end" else f"unexpected token: '{said}'", place)

    def _bad(self, said: str, place: int | None = None) -> Refusal:
        if place is None:
            place = self._peek()[2]
        begun = max(place - 30, 0)
        shown = self._text[begun : place + 20]
        words = f"\n{shown}\n{' ' * (place - begun)}^\nERROR at Row:1:Column:{place + 1}\n{said}"
        return Refusal(400, "MALFORMED_QUERY", words)


def _unescaped(text: str) -> str:
    known = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
    return re.sub(r"\\(.)", lambda found: known.get(found[1], found[1]), text)


def _stamp(said: str) -> datetime:
    text = said.replace("Z", "+00:00")
    if text[-3] != ":":
        text = f"{text[:-2]}:{text[-2:]}"
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(400, "MALFORMED_QUERY", f"Invalid datetime: {said}") from None


def _span(word: str, now: datetime) -> tuple[datetime, datetime] | None:
    """The days of a date literal, in UTC."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    name, _, said = word.partition(":")
    days, count = timedelta(days=1), int(said or 0)
    month = today.replace(day=1)
    spans = {
        "TODAY": (today, today + days), "YESTERDAY": (today - days, today), "TOMORROW": (today + days, today + 2 * days),
        "LAST_N_DAYS": (today - count * days, today + days), "NEXT_N_DAYS": (today + days, today + (count + 1) * days),
        "THIS_MONTH": (month, (month + 32 * days).replace(day=1)),
        "LAST_MONTH": ((month - days).replace(day=1), month),
        "THIS_YEAR": (today.replace(month=1, day=1), today.replace(year=today.year + 1, month=1, day=1)),
        "LAST_90_DAYS": (today - 90 * days, today + days),
    }  # fmt: skip
    return spans.get(name)
