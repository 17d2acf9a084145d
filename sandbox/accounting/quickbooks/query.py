"""The query language: SELECT … FROM … WHERE … AND … ORDERBY … STARTPOSITION n MAXRESULTS m, parsed.

AND alone joins conditions; there is no OR, no parenthesis around conditions and no join. STARTPOSITION and
MAXRESULTS come in either order (recorded), `ORDER BY` is read as ORDERBY. Values stand in single quotes with
`\\'` for an apostrophe; numbers and booleans may stand bare.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from sandbox.accounting.quickbooks.fault import Refused, parse_error, query_error

DEFAULT_ROWS: Final = 100
MOST_ROWS: Final = 1000
OPERATORS: Final = ("=", "<", ">", "<=", ">=", "in", "like")
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<string>'(?:[^'\\]|\\.)*')|(?P<number>-?\d+(?:\.\d+)?)(?![\w.])|(?P<word>[A-Za-z_][\w.]*)"
    r"|(?P<sign><=|>=|!=|<>|[=<>(),*]))",
    re.DOTALL,
)
_RESERVED: Final = frozenset(
    [
        "select",
        "from",
        "where",
        "and",
        "or",
        "not",
        "orderby",
        "order",
        "by",
        "asc",
        "desc",
        "startposition",
        "maxresults",
        "in",
        "like",
    ]
)


class Token(NamedTuple):
    kind: Literal["string", "number", "word", "sign"]
    text: str
    column: int


class Condition(NamedTuple):
    field: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """`fields` is empty for `*`, `counts` tells COUNT(*). `start` is 1-based, `most` None where nothing is said."""

    entity: str
    fields: tuple[str, ...]
    star: bool
    counts: bool
    conditions: tuple[Condition, ...]
    order: tuple[tuple[str, bool], ...]
    """Fields and whether descending."""
    start: int
    most: int

    @property
    def question(self) -> tuple[object, ...]:
        """What is asked without the page."""
        return self.entity, self.conditions, self.order


def parse(text: str) -> Query:
    """Read a query. Raises Refused (4000, 4001)."""
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._tokens: list[Token] = []
        place = 0
        stripped = text.rstrip().removesuffix(";")
        while place < len(stripped):
            found = _TOKEN.match(stripped, place)
            if found is None:
                rest = stripped[place:].lstrip()
                if not rest:
                    break
                column = len(stripped) - len(rest) + 1
                raise parse_error(
                    f'Lexical error at line 1, column {column}.  Encountered: "{rest[0]}" ({ord(rest[0])})'
                )
            kind = found.lastgroup
            assert kind is not None
            self._tokens.append(Token(kind, found.group(kind), found.start(kind) + 1))  # type: ignore[arg-type]
            place = found.end()

    def query(self) -> Query:
        self._word("select")
        fields: list[str] = []
        star = counts = False
        if self._is("count"):
            self._next()
            for sign in "(*)":
                self._sign(sign)
            counts = True
        else:
            while True:
                if self._is("*"):
                    star = True
                    self._next()
                else:
                    fields.append(self._name())
                if not self._take(","):
                    break
        self._word("from")
        entity = self._name()
        conditions: list[Condition] = []
        if self._take("where"):
            conditions.append(self._condition())
            while self._take("and"):
                conditions.append(self._condition())
        order: list[tuple[str, bool]] = []
        if self._take("orderby") or (self._take("order") and self._word("by")):
            while True:
                name = self._name()
                down = self._take("desc")
                if not down:
                    self._take("asc")
                order.append((name, down))
                if not self._take(","):
                    break
        start, most = 1, DEFAULT_ROWS
        while self._at < len(self._tokens):
            if self._take("startposition"):
                start = self._page()
            elif self._take("maxresults"):
                most = self._page()
                if most > MOST_ROWS:
                    raise query_error(f"value {most} is too large. Max allowed value is {MOST_ROWS}")
            else:
                raise self._unexpected()
        return Query(entity, tuple(fields), star, counts, tuple(conditions), tuple(order), start, most)

    def _condition(self) -> Condition:
        name = self._name()
        token = self._peek()
        operator = token.text.lower() if token else ""
        if operator not in OPERATORS:
            raise self._unexpected()
        self._next()
        if operator != "in":
            return Condition(name, operator, (self._value(),))
        self._sign("(")
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        self._sign(")")
        return Condition(name, operator, tuple(values))

    def _value(self) -> str:
        token = self._next()
        if token.kind == "string":
            return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
        if token.kind == "number" or (token.kind == "word" and token.text.lower() in ("true", "false")):
            return token.text
        self._at -= 1
        raise self._unexpected()

    def _page(self) -> int:
        token = self._next()
        if token.kind != "number" or "." in token.text:
            self._at -= 1
            raise self._unexpected()
        if int(token.text) < 1:
            raise query_error(f"value {token.text} is too small. Min allowed value is 1")
        return int(token.text)

    def _name(self) -> str:
        token = self._next()
        if token.kind != "word" or token.text.lower() in _RESERVED:
            self._at -= 1
            raise self._unexpected()
        return token.text

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> Token:
        token = self._peek()
        if token is None:
            raise self._unexpected()
        self._at += 1
        return token

    def _is(self, text: str) -> bool:
        token = self._peek()
        return token is not None and token.kind in ("word", "sign") and token.text.lower() == text

    def _take(self, text: str) -> bool:
        found = self._is(text)
        self._at += found
        return found

    def _word(self, text: str) -> bool:
        if not self._take(text):
            raise self._unexpected()
        return True

    def _sign(self, text: str) -> None:
        self._word(text)

    def _unexpected(self) -> Refused:
        token = self._peek()
        if token is None:
            return parse_error(f'Encountered " <EOF> "" at line 1, column {len(self._text) + 1}.')
        names = {"string": "<STRING>", "number": "<INTEGER>", "word": "<IDENTIFIER>", "sign": token.text}
        return parse_error(
            f'Encountered " {names[token.kind]} "{token.text} "" at line 1, column {token.column}.'
        )
