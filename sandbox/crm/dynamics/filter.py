"""$filter of the Web API: comparison and logical operators, text functions, and the vendor's own query functions.

    test = Filter(text, field_of, aliases).parse()
    test.check(item)        does the row match
    test.among              ("accountid", {…}) when only rows with one of these values can match
    test.ranges             [("modifiedon", "ge", …)] that every matching row keeps to

Texts compare as SQL Server's default collation does, without regard to case. `ne` also takes rows without a
value. The operator `in` is refused by Dataverse itself (501, "The query node In is not supported"); the
function Microsoft.Dynamics.CRM.In stands for it.
Source: the vendor's pages on filtering rows and on query functions.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final, NamedTuple

from sandbox.crm.dynamics.model import EDM, GUID, DataverseError, Kind, bad_request
from sandbox.desk.records import Item

MAX_DEPTH: Final = 100
"""Nested brackets; a chain of `or` is not nesting."""
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*'|"[^"]*")
    |(?P<guid>[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})
    |(?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))
    |(?P<day>\d{4}-\d\d-\d\d)|(?P<number>-?\d+(?:\.\d+)?)
    |(?P<name>[@$A-Za-z_][\w.@]*(?:/[\w.]+)*)|(?P<mark>[(),=\[\]]))""",
    re.X,
)
_COMPARE: Final[dict[str, tuple[Callable[[Any, Any], bool], str]]] = {
    "eq": (operator.eq, "Equal"), "ne": (operator.ne, "NotEqual"), "gt": (operator.gt, "GreaterThan"),
    "ge": (operator.ge, "GreaterThanOrEqual"), "lt": (operator.lt, "LessThan"),
    "le": (operator.le, "LessThanOrEqual"),
}  # fmt: skip
_TEXTS: Final[dict[str, Callable[[str, str], bool]]] = {
    "contains": lambda value, part: part in value,
    "startswith": str.startswith,
    "endswith": str.endswith,
}
_OWN: Final = "Microsoft.Dynamics.CRM."
_OF_TIME: Final = {"OnOrAfter": "ge", "OnOrBefore": "le", "On": "eq", "NotOn": "ne"}


class Field(NamedTuple):
    """What a property of a row is: how to read it, its type, and its name where rows are indexed by it."""

    read: Callable[[Item], Any]
    kind: Kind
    name: str = ""


@dataclass
class Test:
    check: Callable[[Item], bool]
    among: tuple[str, frozenset[Any]] | None = None
    ranges: list[tuple[str, str, Any]] = field(default_factory=list)


class Filter:
    """Raises DataverseError for what the vendor does not understand."""

    def __init__(
        self,
        text: str,
        field_of: Callable[[str], Field],
        aliases: Mapping[str, str],
        *,
        in_operator: bool = False,
    ) -> None:
        self._text, self._field_of, self._aliases, self._in = text, field_of, aliases, in_operator
        self._tokens = _tokens(text)
        self._at = self._depth = 0

    def parse(self) -> Test:
        test = self._either()
        if self._at < len(self._tokens):
            raise self._wrong()
        return test

    def _either(self) -> Test:
        tests = [self._both()]
        while self._word("or"):
            tests.append(self._both())
        if len(tests) == 1:
            return tests[0]
        among = [test.among for test in tests]
        names = {found[0] for found in among if found is not None}
        together = None
        if None not in among and len(names) == 1:
            together = (names.pop(), frozenset().union(*(found[1] for found in among if found is not None)))
            if together[0] and all(len(test.ranges) == 0 and test.among is not None for test in tests):
                return Test(_any([test.check for test in tests]), together)
        return Test(_any([test.check for test in tests]), together)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._word("and"):
            tests.append(self._one())
        if len(tests) == 1:
            return tests[0]
        among = next((test.among for test in tests if test.among is not None), None)
        checks = [test.check for test in tests]
        return Test(
            lambda item: all(check(item) for check in checks), among, [r for t in tests for r in t.ranges]
        )

    def _one(self) -> Test:
        if self._word("not"):
            test = self._one()
            return Test(lambda item: not test.check(item))
        if self._mark("("):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise bad_request(f"The query filter is nested deeper than {MAX_DEPTH} levels.", "0x80040203")
            test = self._either()
            self._expect(")")
            self._depth -= 1
            return test
        kind, name = self._next()
        if kind != "name":
            raise self._wrong()
        if name in _TEXTS:
            return self._of_text(name)
        if name.startswith(_OWN):
            return self._own(name.removeprefix(_OWN))
        return self._comparison(name)

    def _of_text(self, name: str) -> Test:
        self._expect("(")
        found = self._field_of(self._next()[1])
        self._expect(",")
        part = str(self._literal()).casefold()
        self._expect(")")
        for word in ("eq",):
            if self._word(word):
                wanted = self._literal()
                return Test(_text_check(found, name, part, wanted=bool(wanted)))
        return Test(_text_check(found, name, part, wanted=True))

    def _comparison(self, name: str) -> Test:
        found = self._field_of(name)
        kind, word = self._next()
        if kind == "name" and word == "in":
            if not self._in:
                raise DataverseError(501, "0x8006088a", "The query node In is not supported")
            return _among(found, self._list("(", ")"))
        if kind != "name" or word not in _COMPARE:
            raise self._wrong()
        return _comparison(found, word, self._literal())

    def _own(self, name: str) -> Test:
        """Microsoft.Dynamics.CRM.In(PropertyName='x',PropertyValues=['a','b']) and its kin."""
        self._expect("(")
        said: dict[str, Any] = {}
        while not self._mark(")"):
            key = self._next()[1]
            self._expect("=")
            said[key] = self._list("[", "]") if key == "PropertyValues" else self._literal()
            self._mark(",")
        found = self._field_of(str(said.get("PropertyName", "")))
        if name in ("In", "NotIn"):
            test = _among(found, said.get("PropertyValues", []))
            return test if name == "In" else Test(lambda item: not test.check(item))
        if name == "Between":
            low, high = (_typed(found, value) for value in said.get("PropertyValues", []))
            first, second = _comparison(found, "ge", low), _comparison(found, "le", high)
            return Test(
                lambda item: first.check(item) and second.check(item), None, first.ranges + second.ranges
            )
        if name in _OF_TIME:
            return _comparison(found, _OF_TIME[name], _typed(found, said.get("PropertyValue")))
        raise DataverseError(501, "0x8006088a", f"The query function {name} is not supported")

    def _list(self, opens: str, closes: str) -> list[Any]:
        kind, text = self._peek()
        if kind == "name" and text in self._aliases:
            self._at += 1
            inner = Filter(self._aliases[text], self._field_of, self._aliases)
            return inner._list(opens, closes)
        self._expect(opens)
        values = []
        while not self._mark(closes):
            values.append(self._literal())
            self._mark(",")
        return values

    def _literal(self) -> Any:
        kind, text = self._next()
        if kind == "text":
            return text[1:-1].replace("''", "'") if text[0] == "'" else text[1:-1]
        if kind == "number":
            return Decimal(text) if "." in text else int(text)
        if kind == "moment":
            return moment(text)
        if kind == "day":
            return date.fromisoformat(text)
        if kind == "guid":
            return Guid(text.lower())
        if kind == "name" and text in ("null", "true", "false"):
            return {"null": None, "true": True, "false": False}[text]
        if kind == "name" and text in self._aliases:
            return Filter(self._aliases[text], self._field_of, self._aliases)._literal()
        raise self._wrong()

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _next(self) -> tuple[str, str]:
        found = self._peek()
        self._at += 1
        return found

    def _word(self, word: str) -> bool:
        if self._peek() == ("name", word):
            self._at += 1
            return True
        return False

    def _mark(self, mark: str) -> bool:
        if self._peek() == ("mark", mark):
            self._at += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._mark(mark):
            raise self._wrong()

    def _wrong(self) -> DataverseError:
        place = sum(len(text) for _, text in self._tokens[: self._at])
        return bad_request(f"Syntax error at position {place} in '{self._text}'.", "0x80060888")


class Guid(str):
    """A GUID literal, which is no text."""


def moment(text: str) -> datetime:
    """A time as OData words it; digits below a microsecond are cut."""
    head, dot, tail = text.replace("Z", "+00:00").partition(".")
    if dot:
        digits = re.match(r"\d+", tail)
        cut = digits.group() if digits else ""
        head = f"{head}.{cut[:6].ljust(6, '0')}{tail[len(cut) :]}"
    return datetime.fromisoformat(head)


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise bad_request(f"Syntax error: character '{text[at]}' is not valid at position {at} in '{text}'.",
                              "0x80060888")  # fmt: skip
        found.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return found


def _any(checks: list[Callable[[Item], bool]]) -> Callable[[Item], bool]:
    return lambda item: any(check(item) for check in checks)


def _text_check(found: Field, name: str, part: str, *, wanted: bool) -> Callable[[Item], bool]:
    if EDM[found.kind] != "Edm.String":
        raise bad_request(
            f"No function signature for the function with name '{name}' matches the specified arguments."
        )
    test = _TEXTS[name]

    def check(item: Item) -> bool:
        value = found.read(item)
        return (value is not None and test(value.casefold(), part)) is wanted

    return check


def _typed(found: Field, value: Any) -> Any:
    """A value given as text to a query function, in the property's type."""
    edm = EDM[found.kind]
    if not isinstance(value, str) or edm == "Edm.String":
        return value
    if edm == "Edm.DateTimeOffset":
        return moment(value if "T" in value else f"{value}T00:00:00Z")
    if edm == "Edm.Date":
        return date.fromisoformat(value[:10])
    if edm == "Edm.Guid":
        return Guid(value.lower())
    if edm == "Edm.Boolean":
        return value in ("1", "true")
    return Decimal(value)


def _fit(found: Field, word: str, value: Any) -> Any:
    """The literal as the property compares with it. Raises 400 where the types do not meet."""
    edm = EDM[found.kind]
    if value is None:
        return None
    if edm == "Edm.String" and isinstance(value, str) and not isinstance(value, Guid):
        return value.casefold()
    if edm == "Edm.Guid" and isinstance(value, str) and GUID.fullmatch(value):
        return value.lower()
    if edm == "Edm.DateTimeOffset":
        if isinstance(value, datetime):
            return value
        if isinstance(value, date):
            return datetime.combine(value, time(), UTC)
    if edm == "Edm.Date" and isinstance(value, date):
        return value.date() if isinstance(value, datetime) else value
    if edm == "Edm.Boolean" and isinstance(value, bool):
        return value
    if edm in ("Edm.Int32", "Edm.Int64", "Edm.Decimal") and isinstance(value, int | Decimal):
        return value
    said = {str: "Edm.String", int: "Edm.Int32", bool: "Edm.Boolean", datetime: "Edm.DateTimeOffset"}
    raise bad_request(
        "A binary operator with incompatible types was detected. Found operand types "
        f"'{edm}' and '{said.get(type(value), 'Edm.Guid')}' for operator kind '{_COMPARE[word][1]}'."
    )


def _comparison(found: Field, word: str, value: Any) -> Test:
    compare, fitted, read = _COMPARE[word][0], _fit(found, word, value), found.read
    folded = EDM[found.kind] == "Edm.String"

    def check(item: Item) -> bool:
        mine = read(item)
        if mine is None or fitted is None:
            return (mine is fitted) if word == "eq" else word == "ne" and mine is not fitted
        return compare(mine.casefold() if folded else mine, fitted)

    among = (found.name, frozenset([fitted])) if word == "eq" and found.name else None
    ranges = (
        [(found.name, word, fitted)]
        if found.name and fitted is not None and word in ("ge", "gt", "le", "lt")
        else []
    )
    return Test(check, among, ranges)


def _among(found: Field, values: list[Any]) -> Test:
    fitted = frozenset(_fit(found, "eq", _typed(found, value)) for value in values)
    read, folded = found.read, EDM[found.kind] == "Edm.String"

    def check(item: Item) -> bool:
        mine = read(item)
        return (mine.casefold() if folded and mine is not None else mine) in fitted

    return Test(check, (found.name, fitted) if found.name else None)
