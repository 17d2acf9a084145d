"""Reading sets: `$filter $select $orderby $top $skip $inlinecount $expand`, and single entities.

Reads by key and by keyset (`Ref_Key gt guid'..'` in the order of Ref_Key) touch only the rows they answer;
everything else is a scan of the set. `$top` and `$skip` cut the page, `odata.count` counts before them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any

from sandbox.onec.base import Base, order_of
from sandbox.onec.condition import Scope
from sandbox.onec.encoding import encoded
from sandbox.onec.error import NO_PROPERTY, NOT_SUPPORTED, OPTION, ODataError
from sandbox.onec.filter import KeyBounds, Node, date_range, key_bounds, only_keys, parse, parse_path
from sandbox.onec.ledger import Entry, Movement, record
from sandbox.onec.model import EMPTY_REF, REGISTER, EntitySet, Property, Row
from sandbox.onec.values import is_empty_ref

PRESENTATION = "____Presentation"
MAX_PAGE = 1_000_000  # rows of one answer; the platform itself has no bound


@dataclass(frozen=True, slots=True)
class Options:
    """Query options of one request, `$` left off. Unknown ones are ignored, as the platform does."""

    filter: str = ""
    select: str = ""
    orderby: str = ""
    expand: str = ""
    top: int | None = None
    skip: int = 0
    inlinecount: bool = False

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Options:
        return cls(
            filter=query.get("$filter", "").strip(),
            select=query.get("$select", "").strip(),
            orderby=query.get("$orderby", "").strip(),
            expand=query.get("$expand", "").strip(),
            top=_count(query, "$top"),
            skip=_count(query, "$skip") or 0,
            inlinecount=query.get("$inlinecount", "none") == "allpages",
        )


@dataclass(frozen=True, slots=True)
class Answer:
    rows: list[Any]  # of Row, or of msgspec.Raw where `json` was asked for
    count: int | None = None


def read_set(
    base: Base, entity: EntitySet, options: Options, *, links: bool = False, json: bool = False
) -> Answer:
    """The page of a set that the options ask for.

    `links`: with `@navigationLinkUrl` annotations; `json`: rows may come encoded already.
    """
    stored = entity.name in base.rows
    keys = only_keys(options.filter, "Ref_Key") if stored else None
    node = parse(options.filter) if options.filter and keys is None else None
    bounds = key_bounds(node, entity.key[0]) if keys is None else KeyBounds(keys)
    found = _candidates(base, entity, bounds, date_range(node, "Period"))
    scope = Scope(base, _filterable(base, entity), entity.tables, order_of)
    if node is not None:
        matches = scope.compile(node)
        if not bounds.whole or not stored:
            found = (row for row in found if matches(row))
    page, count = _page(found, scope, options, natural=_natural_orders(base, entity))
    if json and stored and options.select in ("", "*") and not options.expand:
        return Answer([encoded(entity, row, links=links) for row in page], count)
    shape = Shape(base, entity, options, links=links)
    return Answer([shape.shown(row) for row in page], count)


def read_rows(base: Base, properties: Mapping[str, Property], rows: list[Row], options: Options) -> Answer:
    """The same options over the rows of a virtual table."""
    scope = Scope(base, properties, order=order_of)
    found: Iterable[Row] = rows
    if options.filter:
        matches = scope.predicate(options.filter)
        found = (row for row in rows if matches(row))
    table = EntitySet("Virtual_Table", dict(properties), key=())
    shape = Shape(base, table, options, virtual=True)
    page, count = _page(found, scope, options, natural=())
    return Answer([shape.shown(row) for row in page], count)


def count_set(base: Base, entity: EntitySet, condition: str) -> int:
    if not condition:
        if entity.name in base.rows:
            return len(base.rows[entity.name])
        return sum(1 for _ in _candidates(base, entity, KeyBounds()))
    return read_set(base, entity, Options(filter=condition, top=0, inlinecount=True)).count or 0


def record_set(base: Base, entity: EntitySet, recorder: str) -> Row | None:
    """The record set of a recorder, as `AccountingRegister_Хозрасчетный(guid'..')` answers it."""
    template = entity.row_templates["RecordSet"]
    if entity.register != "accounting":
        found = base.registers.of(entity.name, recorder.lower())
        if not found:
            return None
        head = {name: found[0][name] for name in ("Recorder", "Recorder_Type")}
        return head | {"RecordSet": [{**template, **row} for row in found]}
    movement = base.ledger.movements.get(recorder.lower())
    if movement is None:
        return None
    rows = [
        {**template, **_line(base, movement, place, entry)} for place, entry in enumerate(movement.entries, 1)
    ]
    kind = f"StandardODATA.{movement.recorder_set}"
    return {"Recorder": movement.recorder, "Recorder_Type": kind, "RecordSet": rows}


class Shape:
    """What of a row is shown: `$select` and `$expand` read once, then applied to every row."""

    def __init__(
        self, base: Base, entity: EntitySet, options: Options, *, links: bool = False, virtual: bool = False
    ) -> None:
        self._base, self._entity, self._virtual = base, entity, virtual
        items = [item.strip() for item in options.select.split(",") if item.strip()]
        self._all = not items or "*" in items
        self._headers = not self._all and "**" in items
        self._links = links and entity.key == ("Ref_Key",) and (self._all or self._headers)
        self._expand = self._read_expand(options.expand)
        self._linked = {p.name: n for n, p in entity.navigations.items() if n not in self._expand}
        self._names: list[str] = []
        self._columns: dict[str, list[str]] = {}
        self._presented: list[str] = []
        self._inner: dict[str, list[str]] = {}
        for item in items:
            self._read_item(item)

    def shown(self, stored: Row) -> Row:
        entity = self._entity
        whole = not entity.tables or entity.register  # a record set comes whole already
        full = {**entity.template, **stored} if whole else self._base.full(entity, stored)
        if self._all:
            row = full
        elif self._headers:
            row = {name: value for name, value in full.items() if name not in entity.tables}
        else:
            row = {name: full.get(name) for name in self._names}
            for table, columns in self._columns.items():
                row[table] = [{name: item[name] for name in columns} for item in full[table]]
        for name in self._presented:
            row[name + PRESENTATION if name != "Presentation" else name] = self._presentation(name, full)
        if self._links:
            self._add_links(row, stored)
        for name in self._expand:
            self._add_expanded(row, full, name)
        return row

    def _read_item(self, item: str) -> None:
        entity = self._entity
        if item in ("*", "**"):
            return
        if item == "Presentation":
            self._presented.append(item)
        elif item.endswith(PRESENTATION):
            name = item.removesuffix(PRESENTATION)
            self._presented += (
                [p.navigation or p.name for p in entity.properties.values()] if name == "*" else [name]
            )
        elif item in _filterable(self._base, entity) or item in entity.tables:
            self._names.append(item)
        elif "/" in item:
            first, rest = item.split("/", 1)
            if first in entity.tables:
                if rest not in entity.tables[first]:
                    raise ODataError(NO_PROPERTY, f'Сегмент пути "{rest}" не найден!')
                self._columns.setdefault(first, []).append(rest)
            elif first in self._expand:
                self._inner.setdefault(first, []).append(rest)
            else:
                raise ODataError(NO_PROPERTY, f'Сегмент пути "{first}" не найден!')
        else:
            raise ODataError(NO_PROPERTY, f'Сегмент пути "{item}" не найден!')

    def _read_expand(self, text: str) -> list[str]:
        found: list[str] = []
        for item in (part.strip() for part in text.split(",") if part.strip()):
            name = item.split("/", 1)[0]
            if name == "*":
                found += list(self._entity.navigations)
            elif name in self._entity.tables:
                raise ODataError(NOT_SUPPORTED, "Расширение реквизитов табличных частей не поддерживается.")
            elif name not in self._entity.navigations:
                raise ODataError(NO_PROPERTY, f'Сегмент пути "{name}" не найден!')
            else:
                found.append(name)
        return found

    def _add_links(self, row: Row, stored: Row) -> None:
        """Links of the references that are filled: a stored row holds no others."""
        place = f"{self._entity.name}(guid'{stored.get('Ref_Key')}')/"
        for name, navigation in self._linked.items():
            if name in stored and not is_empty_ref(stored[name]):
                row[f"{navigation}@navigationLinkUrl"] = place + navigation

    def _add_expanded(self, row: Row, full: Row, name: str) -> None:
        prop = self._entity.navigations[name]
        target, key = _reference(full, prop)
        shown = name + "_Expanded" if prop.composite else name
        found = self._base.rows[target].get(key) if target in self._base.rows else None
        if found is None:
            row[shown] = None
            return
        inner = Options(select=",".join(self._inner.get(name, ())))
        entity = self._base.sets[target]
        row[shown] = Shape(self._base, entity, inner).shown(self._base.shown(entity, found))

    def _presentation(self, name: str, full: Row) -> str:
        if name == "Presentation":
            return self._base.presentation(self._entity.name, full)
        prop = self._entity.navigations.get(name) or self._entity.properties.get(name)
        if prop is None:
            raise ODataError(NO_PROPERTY, f'Сегмент пути "{name}" не найден!')
        target, key = _reference(full, prop)
        found = self._base.rows[target].get(key) if target in self._base.rows else None
        if found is not None:
            return self._base.presentation(target, found)
        return "" if prop.navigation else str(full.get(prop.name, ""))


def _reference(full: Row, prop: Property) -> tuple[str, str]:
    """(set, key) that a reference property of a row leads to."""
    if prop.composite:
        kind = str(full.get(prop.name + "_Type", "")).removeprefix("StandardODATA.")
        return kind, str(full.get(prop.name, ""))
    return prop.target, str(full.get(prop.name, EMPTY_REF))


def _filterable(base: Base, entity: EntitySet) -> Mapping[str, Property]:
    if entity.name != f"{REGISTER}_RecordType" or not base.conduct.subconto_in_records:
        return entity.properties
    from sandbox.onec.accounting import RECORD_WITH_DIMENSIONS

    return RECORD_WITH_DIMENSIONS


def _candidates(
    base: Base, entity: EntitySet, bounds: KeyBounds, period: tuple[str, str] = ("", "9")
) -> Iterator[Row]:
    """Rows that may match, sparse or full, in the natural order of the set, names as published."""
    if entity.owner:
        return _table_rows(base, entity, bounds)
    if entity.name in base.rows:
        rows = base.rows[entity.name]
        keys = _keys(base, entity.name, bounds)
        if entity.changed:
            return (base.shown(entity, rows[key]) for key in keys)
        return (rows[key] for key in keys)
    if not entity.recorded:
        return iter([row for _, row in sorted(base.info[entity.name].items())])
    if entity.name.endswith("_RecordType"):
        return _records(base, entity, bounds, period)
    if bounds.equal is not None:
        wanted: Iterable[str] = bounds.equal
    elif entity.register == "accounting":
        wanted = list(base.ledger.movements)
    else:
        wanted = base.registers.recorders(entity.name)
    return (row for row in (record_set(base, entity, key) for key in wanted) if row is not None)


def _keys(base: Base, name: str, bounds: KeyBounds) -> Iterator[str]:
    if bounds.equal is not None:
        rows = base.rows[name]
        return iter(sorted((key for key in bounds.equal if key in rows), key=order_of))
    return base.keys_after(name, bounds.after, including=bounds.including)


def _table_rows(base: Base, entity: EntitySet, bounds: KeyBounds) -> Iterator[Row]:
    owner = base.sets[entity.owner]
    table = entity.name.removeprefix(entity.owner + "_")
    rows, template = base.rows[entity.owner], entity.template
    for key in _keys(base, entity.owner, bounds):
        for row in base.shown(owner, rows[key]).get(table, ()):
            yield {**template, "Ref_Key": key, **row}


def _records(base: Base, entity: EntitySet, bounds: KeyBounds, period: tuple[str, str]) -> Iterator[Row]:
    if entity.register != "accounting":
        register = entity.name.removesuffix("_RecordType")
        found = base.registers.recorders(register) if bounds.equal is None else list(bounds.equal)
        for recorder in found:
            yield from base.registers.of(register, recorder)
        return
    movements = base.ledger.movements
    wanted = list(movements) if bounds.equal is None else [key for key in bounds.equal if key in movements]
    for key in wanted:
        movement = movements[key]
        if not period[0] <= movement.period <= period[1]:
            continue
        for place, entry in enumerate(movement.entries, 1):
            yield _line(base, movement, place, entry)


def _line(base: Base, movement: Movement, place: int, entry: Entry) -> Row:
    """A record of the plain type: without subconto, but for a base that is told to show them (the type is open)."""
    shown, goods = base.conduct.subconto_in_records, base.reading("stock_by")
    return record(movement, place, entry, base.account, dimensions=shown, goods=goods)


def _natural_orders(base: Base, entity: EntitySet) -> tuple[str, ...]:
    """Orders in which a set is walked anyway."""
    if entity.owner:
        return ("Ref_Key", "Ref_Key,LineNumber")
    return ("Ref_Key",) if entity.name in base.rows else ()


def _page(
    found: Iterable[Row], scope: Scope, options: Options, *, natural: tuple[str, ...]
) -> tuple[list[Row], int | None]:
    order = options.orderby
    if order and order.replace(" asc", "").replace(" ", "") not in natural:
        found = _sorted(list(found), scope, order)
    end = options.skip + (MAX_PAGE if options.top is None else options.top)
    page: list[Row] = []
    count = 0
    for row in found:
        if options.skip <= count < end:
            page.append(row)
        count += 1
        if count >= end and not options.inlinecount:
            break
    return page, count if options.inlinecount else None


def _sorted(rows: list[Row], scope: Scope, text: str) -> list[Row]:
    for item in reversed(text.split(",")):
        words = item.split()
        if not words or len(words) > 2 or (len(words) == 2 and words[1] not in ("asc", "desc")):
            raise ODataError(OPTION, f"Ошибка разбора опций запроса: {text[:200]}")
        node: Node = parse_path(words[0])
        getter, kind = scope.value(node)
        rows.sort(key=_sort_key(getter, kind), reverse=words[-1] == "desc")
    return rows


def _sort_key(getter: Callable[[Row], Any], kind: str) -> Callable[[Row], Any]:
    if kind == "guid":
        return lambda row: order_of(str(getter(row) or EMPTY_REF))
    if kind == "composite":
        return lambda row: getter(row)
    if kind in ("number", "boolean", "string", "date"):
        empty: Any = "" if kind in ("string", "date") else 0
        return lambda row: empty if getter(row) is None else getter(row)
    return cmp_to_key(lambda _a, _b: 0)


def _count(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not text.isdigit():
        raise ODataError(OPTION, f"Ошибка разбора опций запроса: {name}={text[:40]}")
    return int(text)
