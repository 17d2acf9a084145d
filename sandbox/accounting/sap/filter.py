"""$filter of OData V2 as the Gateway reads it: comparisons, and/or/not, substringof, startswith, endswith.

    test = parse(text, kind)
    test.check(row)         does the kept row match
    test.equal              {"SalesOrder": ["0000009951"]}: every match has one of these values
    test.ranges             [("LastChangeDateTime", "ge", …)] that every match keeps to

Values of navigations cannot be filtered by, amounts of an analytic set neither; both are refused with 400.
Source: the OData 2.0 specification of $filter; the restrictions of the vendor's services.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from sandbox.accounting.sap.database import Row
from sandbox.accounting.sap.edm import NUMBERS, EntityType, Property
from sandbox.accounting.sap.errors import EXPRESSION, SapError, bad_request
from sandbox.accounting.sap.values import Literal, compared, kept_of, literal

MAX_DEPTH: Final = 50
_TOKEN = re.compile(
    r"\s*(?:(?P<literal>(?:datetimeoffset|datetime|time|guid)?'(?:[^']|'')*'|-?\d+(?:\.\d+)?[mMdDfFlL]?(?![\w-]))"
    r"|(?P<name>[A-Za-z_][\w]*(?:/[A-Za-z_]\w*)*)|(?P<mark>[(),]))"
)
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt, "ge": operator.ge, "lt": operator.lt,
    "le": operator.le,
}  # fmt: skip
_FUNCTIONS: Final = ("substringof", "startswith", "endswith")


@dataclass
class Test:
    check: Callable[[Row], bool]
    equal: dict[str, list[Any]] = field(default_factory=dict)
    ranges: list[tuple[str, str, Any]] = field(default_factory=list)


def parse(text: str, kind: EntityType) -> Test:
    """Raises SapError (400) for what the Gateway does not understand."""
    return _Reader(text, kind).read()


class _Reader:
    def __init__(self, text: str, kind: EntityType) -> None:
        self._text, self._kind = text, kind
        self._tokens = self._cut(text)
        self._at = self._depth = 0

    def read(self) -> Test:
        test = self._either()
        if self._at < len(self._tokens):
            raise self._wrong()
        return test

    def _cut(self, text: str) -> list[tuple[str, str, int]]:
        found, place, end = [], 0, len(text.rstrip())
        while place < end:
            match = _TOKEN.match(text, place)
            if match is None or match.lastgroup is None:
                raise bad_request(f"Invalid token detected at position {place}", EXPRESSION)
            found.append((match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            place = match.end()
        return found

    def _either(self) -> Test:
        tests = [self._both()]
        while self._word("or"):
            tests.append(self._both())
        if len(tests) == 1:
            return tests[0]
        checks = [test.check for test in tests]
        names = set(tests[0].equal).intersection(*(test.equal for test in tests))
        equal = {name: [value for test in tests for value in test.equal[name]] for name in names}
        if equal and all(len(test.equal) == 1 and not test.ranges for test in tests) and len(names) == 1:
            name = next(iter(names))
            prop, among = self._kind.properties[name], frozenset(equal[name])
            if all(getattr(check, "plain", False) for check in checks):
                return Test(_plain(lambda row: kept_of(prop, row) in among), equal)
        return Test(lambda row: any(check(row) for check in checks), equal)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._word("and"):
            tests.append(self._one())
        if len(tests) == 1:
            return tests[0]
        checks = [test.check for test in tests]
        equal: dict[str, list[Any]] = {}
        for test in tests:
            equal |= test.equal
        return Test(
            lambda row: all(check(row) for check in checks), equal, [r for test in tests for r in test.ranges]
        )

    def _one(self) -> Test:
        if self._word("not"):
            test = self._one()
            return Test(lambda row: not test.check(row))
        if self._mark("("):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise self._wrong()
            test = self._either()
            self._expect(")")
            return test
        kind, word, place = self._next()
        if kind == "name" and word in _FUNCTIONS:
            return self._function(word)
        if kind != "name":
            raise self._wrong()
        prop = self._property(word)
        kind, compare, _ = self._next()
        if kind != "name" or compare not in _COMPARE:
            raise self._wrong()
        return _comparison(prop, compare, compared(prop, self._literal(), compare, place))

    def _function(self, name: str) -> Test:
        self._expect("(")
        if name == "substringof":
            text = self._literal()
            self._expect(",")
            prop = self._property(self._next()[1])
        else:
            prop = self._property(self._next()[1])
            self._expect(",")
            text = self._literal()
        self._expect(")")
        wanted = True
        if self._word("eq"):
            wanted = bool(self._literal().value)
        if prop.code not in "suknmc" or text.kind != "text":
            raise bad_request(
                f"Invalid parametertype used at function '{name}' (Position: {self._at})", EXPRESSION
            )
        part = str(text.value).upper() if prop.code in "uc" else str(text.value)
        held = {"substringof": str.__contains__, "startswith": str.startswith, "endswith": str.endswith}[name]
        return Test(lambda row: held(row.get(prop.name) or prop.empty, part) is wanted)

    def _property(self, name: str) -> Property:
        if "/" in name:
            raise bad_request(
                f"Navigation property '{name.split('/')[0]}' is not supported in $filter", EXPRESSION
            )
        prop = self._kind.properties.get(name)
        if prop is None:
            raise bad_request(f"Property {name} not found in type {self._kind.name}", EXPRESSION)
        if self._kind.analytic and (prop.code in NUMBERS or prop.key):
            raise bad_request(f"Property '{name}' is not filterable", EXPRESSION)
        return prop

    def _literal(self) -> Literal:
        kind, text, _ = self._next()
        if kind == "literal" or (kind == "name" and text in ("true", "false", "null")):
            return literal(text)
        raise self._wrong()

    def _next(self) -> tuple[str, str, int]:
        found = self._tokens[self._at] if self._at < len(self._tokens) else ("end", "", len(self._text))
        self._at += 1
        return found

    def _word(self, word: str) -> bool:
        return self._take("name", word)

    def _mark(self, mark: str) -> bool:
        return self._take("mark", mark)

    def _take(self, kind: str, text: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at][:2] == (kind, text):
            self._at += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._mark(mark):
            raise self._wrong()

    def _wrong(self) -> SapError:
        place = self._tokens[min(self._at, len(self._tokens)) - 1][2] if self._tokens else 0
        return bad_request(f"Invalid token detected at position {place}", EXPRESSION)


def _comparison(prop: Property, word: str, value: Any) -> Test:
    compare, name = _COMPARE[word], prop.name
    simple = prop.code in "sucm" and value is not None
    empty = prop.empty

    def check(row: Row) -> bool:
        mine = (row.get(name) or empty) if simple else kept_of(prop, row)
        if mine is None or value is None:
            return (mine is value) if word == "eq" else word == "ne" and mine is not value
        return compare(mine, value)

    if word == "eq":
        return Test(_plain(check), {name: [value]})
    ranged = value is not None and word in ("gt", "ge", "lt", "le") and not isinstance(value, Decimal | bool)
    return Test(check, {}, [(name, word, value)] if ranged else [])


def _plain(check: Callable[[Row], bool]) -> Callable[[Row], bool]:
    """Marks a check that is nothing but `property eq value`, so that a chain of `or` becomes one set."""
    check.plain = True  # type: ignore[attr-defined]
    return check
