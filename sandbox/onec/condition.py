"""From a parsed condition to a function of one stored row: names resolved, types compared as 1C does."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sandbox.onec.error import NO_FUNCTION, NO_PROPERTY, OPTION, ODataError
from sandbox.onec.filter import Call, Lambda, Literal, Node, Operation, Path, Predicate, parse
from sandbox.onec.model import EMPTY_REF, UNDEFINED, Property

if TYPE_CHECKING:
    from sandbox.onec.base import Base

Getter = Callable[[dict[str, Any]], Any]
Typed = tuple[Getter, str]
"""A value of a row and its type: guid, date, string, number, boolean, composite, reference, null."""

_KINDS = {
    "Edm.Guid": "guid",
    "Edm.DateTime": "date",
    "Edm.Boolean": "boolean",
    "Edm.Double": "number",
    "Edm.Int64": "number",
    "Edm.Int16": "number",
}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
}
_DATE_PARTS: dict[str, Callable[[datetime], int]] = {
    "year": lambda d: d.year,
    "month": lambda d: d.month,
    "day": lambda d: d.day,
    "hour": lambda d: d.hour,
    "minute": lambda d: d.minute,
    "second": lambda d: d.second,
    "quarter": lambda d: (d.month + 2) // 3,
    "dayofweek": lambda d: d.isoweekday(),
    "dayofyear": lambda d: d.timetuple().tm_yday,
}


class Scope:
    """Names that a condition may use: the properties of a set and, for lambdas, of its tabular parts.

    `order` gives the sort key of a reference, so that `gt` on references follows the database.
    """

    def __init__(
        self,
        base: Base,
        properties: Mapping[str, Property],
        tables: Mapping[str, Mapping[str, Property]] | None = None,
        order: Callable[[str], str] = str,
    ) -> None:
        self.base = base
        self.properties = properties
        self.tables = tables or {}
        self.order = order

    def predicate(self, text: str) -> Predicate:
        return self.compile(parse(text))

    def compile(self, node: Node) -> Predicate:
        getter, kind = self.value(node)
        if kind != "boolean":
            raise ODataError(
                OPTION, "Ошибка разбора опций запроса: условие не является логическим выражением."
            )
        return getter

    def value(self, node: Node) -> Typed:
        if isinstance(node, Literal):
            value = node.value
            return (lambda _row: value), node.kind
        if isinstance(node, Path):
            return self._path(node)
        if isinstance(node, Operation):
            return self._operation(node)
        if isinstance(node, Lambda):
            return self._lambda(node)
        return self._call(node)

    def _operation(self, node: Operation) -> Typed:
        name = node.name
        if name in ("and", "or", "not"):
            parts = [self.compile(part) for part in node.parts]
            if name == "and":
                return (lambda row: all(part(row) for part in parts)), "boolean"
            if name == "or":
                return (lambda row: any(part(row) for part in parts)), "boolean"
            return (lambda row: not parts[0](row)), "boolean"
        (left, left_kind), (right, right_kind) = (self.value(part) for part in node.parts)
        if name in _ARITHMETIC:
            act = _ARITHMETIC[name]
            return (lambda row: _safe(act, left(row), right(row))), "number"
        return self._comparison(name, left, left_kind, right, right_kind)

    def _comparison(self, name: str, left: Getter, left_kind: str, right: Getter, right_kind: str) -> Typed:
        kinds = {left_kind, right_kind}
        compare = _COMPARE[name]
        if "composite" in kinds and "guid" in kinds:
            constant = name == "ne"  # the guide: a composite compared with a plain guid finds nothing
            return (lambda _row: constant), "boolean"
        if kinds == {"composite", "reference"} or left_kind == right_kind == "composite":
            return (lambda row: _safe(compare, left(row), right(row))), "boolean"
        if kinds == {"guid", "reference"}:
            return (lambda row: _safe(compare, _key(left(row)), _key(right(row)))), "boolean"
        if left_kind == right_kind == "guid":
            if name in ("eq", "ne"):
                return (lambda row: _safe(compare, left(row), right(row))), "boolean"
            order = self.order
            return (lambda row: _safe(compare, order(left(row)), order(right(row)))), "boolean"
        if "composite" in kinds and "string" in kinds:
            return (lambda row: _safe(compare, _key(left(row)), _key(right(row)))), "boolean"
        if left_kind != right_kind and "null" not in kinds:
            raise ODataError(
                OPTION, f"Ошибка разбора опций запроса: несравнимые типы {left_kind} и {right_kind}."
            )
        return (lambda row: _safe(compare, left(row), right(row))), "boolean"

    def _path(self, node: Path) -> Typed:
        first, rest = node.steps[0], node.steps[1:]
        if rest:
            return self._navigation(node, rest)
        prop = self.properties.get(first)
        if prop is None:
            raise ODataError(NO_PROPERTY, f'Сегмент пути "{first}" не найден!')
        default = prop.default
        if prop.composite:
            return _composite(first, node.cast), "composite"
        if prop.edm == "Edm.Int64":
            return (lambda row: int(row.get(first, default))), "number"
        return (lambda row: row.get(first, default)), _KINDS.get(prop.edm, "string")

    def _navigation(self, node: Path, rest: tuple[str, ...]) -> Typed:
        first = node.steps[0]
        prop = self.properties.get(first)
        if prop is not None and prop.composite:
            if not node.cast:
                raise ODataError(NO_PROPERTY, f'Сегмент пути "{rest[0]}" не найден!')
            target, key = node.cast, _composite_key(first, node.cast)
        else:
            prop = self.properties.get(f"{first}_Key")
            target = prop.target if prop is not None else ""
            name = f"{first}_Key"

            def key(row: dict[str, Any]) -> str:
                return str(row.get(name, EMPTY_REF))

        if target not in self.base.rows:
            raise ODataError(NO_PROPERTY, f'Сегмент пути "{first}" не найден!')
        rows = self.base.rows[target]
        entity, base = self.base.sets[target], self.base
        inner, kind = Scope(base, entity.properties, order=self.order).value(Path(rest))

        def follow(row: dict[str, Any]) -> Any:
            found = rows.get(key(row))
            return None if found is None else inner(base.shown(entity, found))

        return follow, kind

    def _lambda(self, node: Lambda) -> Typed:
        table = self.tables.get(node.table)
        if table is None:
            raise ODataError(NO_PROPERTY, f'Сегмент пути "{node.table}" не найден!')
        name = node.table
        if node.body is None:
            return (lambda row: bool(row.get(name))), "boolean"
        inner = _RowScope(self.base, table, node.variable, self.order).compile(node.body)
        every = all if node.name == "all" else any
        return (lambda row: every(inner(item) for item in row.get(name, ()))), "boolean"

    def _call(self, node: Call) -> Typed:
        arguments = [self.value(part) for part in node.arguments]
        getters = [getter for getter, _ in arguments]
        name = node.name
        if name in _DATE_PARTS and len(getters) == 1:
            part, moment = _DATE_PARTS[name], getters[0]
            return (lambda row: part(datetime.fromisoformat(moment(row)))), "number"
        if name == "isof" and len(getters) == 2:
            wanted = str(getters[1]({})).removeprefix("StandardODATA.")
            return (lambda row: getters[0](row)[0] == wanted), "boolean"
        found = _FUNCTIONS.get((name, len(getters)))
        if found is None:
            raise ODataError(NO_FUNCTION, f'Вызов нереализованной функции "{name}".')
        act, kind = found
        return (lambda row: _safe_call(act, [getter(row) for getter in getters])), kind


class _RowScope(Scope):
    """Names inside a lambda: `d/Цена` of the row that the variable stands for."""

    def __init__(
        self, base: Base, properties: Mapping[str, Property], variable: str, order: Callable[[str], str]
    ) -> None:
        super().__init__(base, properties, order=order)
        self._variable = variable

    def _path(self, node: Path) -> Typed:
        if node.steps[0] != self._variable or len(node.steps) < 2:
            raise ODataError(NO_PROPERTY, f'Сегмент пути "{node.steps[0]}" не найден!')
        return super()._path(Path(node.steps[1:], node.cast))


def like(text: str, template: str) -> bool:
    """ПОДОБНО of the query language: % any text, _ one character, [..] and [^..] sets."""
    pattern = re.sub(
        r"%|_|\[\^?[^\]]*\]|[^%_\[]+|\[",
        lambda m: (
            {"%": ".*", "_": "."}.get(m[0]) or (m[0] if len(m[0]) > 1 and m[0][0] == "[" else re.escape(m[0]))
        ),
        template,
    )
    return re.fullmatch(pattern, text, re.S) is not None


_FUNCTIONS: dict[tuple[str, int], tuple[Callable[..., Any], str]] = {
    ("substringof", 2): (lambda part, text: part in text, "boolean"),
    ("startswith", 2): (lambda text, part: text.startswith(part), "boolean"),
    ("endswith", 2): (lambda text, part: text.endswith(part), "boolean"),
    ("concat", 2): (lambda a, b: a + b, "string"),
    ("substring", 2): (lambda text, start: text[max(start - 1, 0) :], "string"),
    ("substring", 3): (lambda text, start, size: text[max(start - 1, 0) :][:size], "string"),
    ("like", 2): (like, "boolean"),
    ("round", 1): (lambda value: int(value + 0.5) if value >= 0 else -int(0.5 - value), "number"),
}


def _composite(name: str, cast: str) -> Getter:
    type_name = f"{name}_Type"

    def get(row: dict[str, Any]) -> tuple[str, Any]:
        kind = str(row.get(type_name, UNDEFINED)).removeprefix("StandardODATA.")
        return ("", "") if cast and kind != cast else (kind, row.get(name, ""))

    return get


def _composite_key(name: str, cast: str) -> Callable[[dict[str, Any]], str]:
    get = _composite(name, cast)
    return lambda row: str(get(row)[1])


def _key(value: Any) -> Any:
    return value[1] if isinstance(value, tuple) else value


def _safe(act: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """A NULL on either side is neither equal nor unequal to anything."""
    return False if left is None or right is None else act(left, right)


def _safe_call(act: Callable[..., Any], values: list[Any]) -> Any:
    return False if any(value is None for value in values) else act(*values)
