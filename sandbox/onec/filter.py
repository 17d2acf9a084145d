"""The `$filter` language (and Condition of virtual tables): text to a function of one row.

Grammar and priorities are those of the developer guide 17.4.5.2. Values are typed: a reference kept in a
composite property equals only `cast(guid'..','Type')`; compared with a plain guid it equals nothing, as on
the real platform. `key_bounds` finds conditions on Ref_Key and Recorder that make a scan unnecessary.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.onec.error import NO_FUNCTION, OPTION, PARSE, ODataError
from sandbox.onec.values import DATETIME, GUID

MAX_TOKENS = 20_000
MAX_DEPTH = 60
_TOKEN = re.compile(
    r"\s*(?:(?P<guid>guid'(?P<g>[^']*)')|(?P<date>datetime'(?P<d>[^']*)')|(?P<string>'(?P<s>(?:[^']|'')*)')"
    r"|(?P<number>\d+(?:\.\d+)?[mMdDfFL]?\b)|(?P<name>[^\W\d]\w*)|(?P<sign>[(),/:-]))"
)
_KEY = re.compile(r"guid'([^']*)'")
_ONE_KEY = r"eq +guid'[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}'"
_ONLY_KEYS = re.compile(rf" *(?P<name>\w+) +{_ONE_KEY}(?: +or +(?P=name) +{_ONE_KEY})* *")
_COMPARISONS = ("eq", "ne", "gt", "ge", "lt", "le")


@dataclass(frozen=True, slots=True)
class Literal:
    kind: str  # guid, date, string, number, boolean, null, reference
    value: Any


@dataclass(frozen=True, slots=True)
class Path:
    """`Контрагент/ИНН`, or the same behind a cast: then `cast` names the type of the first step."""

    steps: tuple[str, ...]
    cast: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """`name` is and, or, not, a comparison or an arithmetic operator; and/or take any number of parts."""

    name: str
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Lambda:
    name: str  # any, all
    table: str
    variable: str
    body: Node | None


Node = Literal | Path | Call | Operation | Lambda
Predicate = Callable[[dict[str, Any]], Any]


def parse(text: str) -> Node:
    """Read a condition. Raises ODataError (400) where it is no condition."""
    return _Parser(text).whole()


def parse_path(text: str) -> Node:
    """Read one item of `$orderby`: a path or a function."""
    return _Parser(text).operand_only()


def only_keys(text: str, name: str) -> frozenset[str] | None:
    """The keys of a condition that is nothing but `name eq guid'..' or ..`, found without parsing it."""
    match = _ONLY_KEYS.fullmatch(text)
    if match is None or match["name"] != name:
        return None
    return frozenset(key.lower() for key in _KEY.findall(text))


@dataclass(frozen=True, slots=True)
class KeyBounds:
    """What a condition says of a key: at most these keys, or keys behind one."""

    equal: frozenset[str] | None = None
    after: str | None = None
    including: bool = False
    whole: bool = False  # the condition says nothing else


def key_bounds(node: Node | None, name: str) -> KeyBounds:
    """Conditions on the key property `name` that hold for every row of the answer."""
    whole = _equal_keys(node, name)
    if whole is not None:
        return KeyBounds(whole, whole=True)
    parts = node.parts if isinstance(node, Operation) and node.name == "and" else (node,)
    equal: frozenset[str] | None = None
    after: tuple[str, bool] | None = None
    for part in parts:
        keys = _equal_keys(part, name)
        if keys is not None:
            equal = keys if equal is None else equal & keys
        elif isinstance(part, Operation) and part.name in ("gt", "ge") and _is_key_pair(part, name):
            literal = part.parts[1]
            if isinstance(literal, Literal) and literal.kind == "guid":
                after = (literal.value, part.name == "ge")
    if after is not None and equal is None:
        return KeyBounds(None, *after)
    return KeyBounds(equal)


def date_range(node: Node | None, name: str) -> tuple[str, str]:
    """Least and greatest value of a date property that a condition can hold for (both may still fail)."""
    low, high = "", "9999-12-31T23:59:59"
    parts = node.parts if isinstance(node, Operation) and node.name == "and" else (node,)
    for part in parts:
        if not isinstance(part, Operation) or part.name not in _COMPARISONS or not _is_key_pair(part, name):
            continue
        literal = part.parts[1]
        if not isinstance(literal, Literal) or literal.kind != "date":
            continue
        if part.name in ("ge", "gt", "eq"):
            low = max(low, literal.value)
        if part.name in ("le", "lt", "eq"):
            high = min(high, literal.value)
    return low, high


def _equal_keys(node: Node | None, name: str) -> frozenset[str] | None:
    if not isinstance(node, Operation):
        return None
    if node.name == "eq" and _is_key_pair(node, name):
        literal = node.parts[1]
        value = literal.value if isinstance(literal, Literal) else None
        return frozenset((value[1] if isinstance(value, tuple) else str(value),))
    if node.name == "or":
        found: set[str] = set()
        for part in node.parts:
            keys = _equal_keys(part, name)
            if keys is None:
                return None
            found |= keys
        return frozenset(found)
    return None


def _is_key_pair(node: Operation, name: str) -> bool:
    left, right = node.parts
    return (
        isinstance(left, Path)
        and left.steps == (name,)
        and isinstance(right, Literal)
        and right.value is not None
    )


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._place = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._or()
        if self._place != len(self._tokens):
            raise self._error()
        return node

    def operand_only(self) -> Node:
        node = self._operand()
        if self._place != len(self._tokens):
            raise self._error()
        return node

    def _or(self) -> Node:
        return self._chain("or", self._and)

    def _and(self) -> Node:
        return self._chain("and", self._comparison)

    def _chain(self, name: str, part: Callable[[], Node]) -> Node:
        parts = [part()]
        while self._take_name(name):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Operation(name, tuple(parts))

    def _comparison(self) -> Node:
        if self._take_name("not"):
            return Operation("not", (self._comparison(),))
        left = self._sum()
        kind, value = self._peek()
        if kind == "name" and value in _COMPARISONS:
            self._place += 1
            return Operation(value, (left, self._sum()))
        return left

    def _sum(self) -> Node:
        return self._arithmetic(("add", "sub"), lambda: self._arithmetic(("mul", "div"), self._operand))

    def _arithmetic(self, names: tuple[str, ...], part: Callable[[], Node]) -> Node:
        left = part()
        while True:
            kind, value = self._peek()
            if kind != "name" or value not in names:
                return left
            self._place += 1
            left = Operation(value, (left, part()))

    def _operand(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error()
        try:
            return self._operand_inner()
        finally:
            self._depth -= 1

    def _operand_inner(self) -> Node:
        kind, value = self._next()
        if kind == "sign" and value == "(":
            node = self._or()
            self._expect(")")
            return node
        if kind == "sign" and value == "-":
            return Operation("sub", (Literal("number", 0), self._operand()))
        if kind != "name":
            if kind in ("guid", "date", "string", "number"):
                return Literal(kind, value)
            raise self._error()
        if value in ("true", "false"):
            return Literal("boolean", value == "true")
        if value == "null":
            return Literal("null", None)
        if self._peek() == ("sign", "("):
            return self._call(value)
        return self._path((value,))

    def _path(self, steps: tuple[str, ...], cast: str = "") -> Node:
        while self._peek() == ("sign", "/"):
            self._place += 1
            kind, step = self._next()
            if kind != "name":
                raise self._error()
            if step in ("any", "all") and self._peek() == ("sign", "("):
                return self._lambda(step, steps)
            steps = (*steps, step)
        return Path(steps, cast)

    def _lambda(self, name: str, steps: tuple[str, ...]) -> Node:
        self._expect("(")
        if self._peek() == ("sign", ")"):
            self._place += 1
            return Lambda(name, steps[-1], "", None)
        _, variable = self._next()
        self._expect(":")
        body = self._or()
        self._expect(")")
        return Lambda(name, steps[-1], str(variable), body)

    def _call(self, name: str) -> Node:
        self._expect("(")
        arguments = [self._or()]
        while self._peek() == ("sign", ","):
            self._place += 1
            arguments.append(self._or())
        self._expect(")")
        if name != "cast":
            return Call(name, tuple(arguments))
        if len(arguments) != 2 or not isinstance(arguments[1], Literal) or arguments[1].kind != "string":
            raise ODataError(NO_FUNCTION, "Неверное количество или тип аргументов функции cast.")
        subject, kind = arguments[0], str(arguments[1].value).removeprefix("StandardODATA.")
        if isinstance(subject, Literal) and subject.kind == "guid":
            return Literal("reference", (kind, subject.value))
        if isinstance(subject, Path):
            return self._path(subject.steps, kind)
        return subject

    def _peek(self) -> tuple[str, Any]:
        return self._tokens[self._place] if self._place < len(self._tokens) else ("end", None)

    def _next(self) -> tuple[str, Any]:
        token = self._peek()
        self._place += 1
        return token

    def _take_name(self, name: str) -> bool:
        if self._peek() == ("name", name):
            self._place += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if self._next() != ("sign", sign):
            raise self._error()

    def _error(self) -> ODataError:
        return ODataError(OPTION, f"Ошибка разбора опций запроса: {self._text[:200]}")


def _tokens(text: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    place, end = 0, len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None or len(found) >= MAX_TOKENS:
            raise ODataError(OPTION, f"Ошибка разбора опций запроса: {text[place : place + 100]}")
        place = match.end()
        kind = str(match.lastgroup)
        if match["guid"] is not None:
            if not GUID.fullmatch(match["g"]):
                raise ODataError(PARSE, f"Не удалось разобрать строку: guid'{match['g']}'")
            found.append(("guid", match["g"].lower()))
        elif match["date"] is not None:
            if not DATETIME.fullmatch(match["d"]):
                raise ODataError(PARSE, f"Не удалось разобрать строку: datetime'{match['d']}'")
            found.append(("date", match["d"]))
        elif match["string"] is not None:
            found.append(("string", match["s"].replace("''", "'")))
        elif match["number"] is not None:
            digits = match["number"].rstrip("mMdDfFL")
            found.append(("number", float(digits) if "." in digits else int(digits)))
        else:
            found.append((kind, match[kind]))
    return found
