"""Queries run over the desk: which rows, in which order, a page at a time, each row's JSON kept by its version.

The ids of a result are fixed when the query is asked; what a page shows are the values of the moment it is
fetched, and rows deleted meanwhile are left out of it. Pages have 2,000 rows at most.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, cast

import msgspec

from sandbox.crm.salesforce.fields import Field, SObject, shown
from sandbox.crm.salesforce.ids import record_id
from sandbox.crm.salesforce.model import Org
from sandbox.crm.salesforce.rest import Refusal, Setting, encode, self_url
from sandbox.crm.salesforce.soql import Condition, Joined, Path, Query, Test, at, parse
from sandbox.crm.salesforce.totals import totals
from sandbox.crm.salesforce.where import matcher, only_deleted, order_key, wanted_ids
from sandbox.desk.records import Item

PAGE: Final = 2000
SMALLEST_PAGE: Final = 200
KEPT_DAYS: Final = 15
LOCATOR_DAYS: Final = 2
MAX_CURSORS: Final = 200
MAX_SELECTIONS: Final = 16
MAX_KEPT_ROWS: Final = 400_000
FIELDS_LIMIT: Final = 200
_STAMPS: Final = {"systemmodstamp": "modified", "lastmodifieddate": "modified", "createddate": "created"}
Getter = Callable[[Item], Any]


@dataclass(slots=True)
class Selection:
    """What a query selects, compiled: `row` gives the JSON bytes of a record."""

    target: SObject
    base: str
    paths: list[tuple[str, ...]]
    getters: list[tuple[str, Getter]]
    local: bool
    kept: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    address: str = field(init=False)

    def __post_init__(self) -> None:
        self.address = self_url(self.base, self.target.name, "")

    def row(self, item: Item, version: int) -> bytes:
        token = item.version if self.local else version
        known = self.kept.get(item.number)
        if known is not None and known[0] == token:
            return known[1]
        url = self.address + record_id(self.target.prefix, item.number)
        said: dict[str, Any] = {"attributes": {"type": self.target.name, "url": url}}
        for name, get in self.getters:
            said[name] = get(item)
        data = encode(said)
        if len(self.kept) >= MAX_KEPT_ROWS:
            self.kept.clear()
        self.kept[item.number] = (token, data)
        return data


@dataclass(slots=True)
class Cursor:
    selection: Selection
    items: Sequence[Item]
    page: int
    deleted: bool
    made_at: datetime
    used: set[int] = field(default_factory=set)


@dataclass
class Library:
    """The queries of one organization: selections with their kept rows, and open cursors by locator."""

    setting: Setting
    org: Org
    cursors: OrderedDict[str, Cursor] = field(default_factory=OrderedDict)
    _selections: OrderedDict[tuple[str, ...], Selection] = field(default_factory=OrderedDict)
    _numbers: int = 0

    def ask(self, text: str, base: str, *, deleted: bool, page: int = PAGE) -> bytes:
        """The first page of a query as JSON. Raises Refusal for what the vendor refuses."""
        query = parse(text, self.setting.now())
        target = self.target(query)
        everything = deleted or query.all_rows
        if query.count:
            count = len(self.found(query, target, everything))
            return encode({"totalSize": count, "done": True, "records": []})
        if query.aggregates or query.group_by:
            return encode(totals(self, query, target, self.found(query, target, everything)))
        selection = self.select(query, target, base)
        cursor = Cursor(
            selection, self.found(query, target, everything), page, everything, self.setting.now()
        )
        return self._page(cursor, "", 0)

    def more(self, said: str) -> bytes:
        """A further page, by LOCATOR-PLACE. Raises Refusal 400 INVALID_QUERY_LOCATOR."""
        locator, _, place = said.partition("-")
        cursor = self.cursors.get(locator)
        old = self.setting.now() - timedelta(days=LOCATOR_DAYS)
        if cursor is None or not place.isdigit() or int(place) >= len(cursor.items) or cursor.made_at < old:
            raise Refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        if self.setting.options.single_use_locators and int(place) in cursor.used:
            raise Refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        cursor.used.add(int(place))
        return self._page(cursor, locator, int(place))

    def target(self, query: Query) -> SObject:
        found = self.org.find(query.entity)
        if found is None:
            said = (
                f"sObject type '{query.entity}' is not supported. If you are attempting to use a custom object, "
                "be sure to append the '__c' after the entity name. Please reference your WSDL or the describe "
                "call for the appropriate names."
            )
            raise Refusal(400, "INVALID_TYPE", at(query.text, query.entity, said))
        return found

    def select(self, query: Query, target: SObject, base: str) -> Selection:
        """The compiled selection, the same for the same fields, so that its rows stay kept."""
        paths = [*query.paths]
        for group in query.groups:
            if group != "STANDARD" and (query.limit is None or query.limit > FIELDS_LIMIT):
                said = f"The SOQL FIELDS function must have a LIMIT of at most {FIELDS_LIMIT}"
                raise Refusal(400, "MALFORMED_QUERY", said)
            paths += [
                (f.name,) for f in self.visible(target) if group == "ALL" or f.custom == (group == "CUSTOM")
            ]
        resolved = [self.resolve(target, path, query.text) for path in paths]
        plain = [tuple(names) for names, _, _ in resolved]
        key = (target.name, base, *[".".join(names) for names in plain])
        known = None if query.children else self._selections.get(key)
        if known is not None:
            self._selections.move_to_end(key)
            return known
        twice = {name for place, name in enumerate(plain) if name in plain[:place]}
        if twice:
            name = ".".join(min(twice))
            raise Refusal(400, "INVALID_FIELD", f"duplicate field selected: {name}")
        getters, local = _getters(self.org, resolved, base)
        for child in query.children:
            getters.append(self._child(child, target, base))
            local = False
        made = Selection(target, base, plain, getters, local)
        if not query.children:
            self._selections[key] = made
            self._trim()
        return made

    def visible(self, target: SObject) -> list[Field]:
        hidden = self.setting.options.hidden
        return [f for f in target.fields.values() if f"{target.name}.{f.name}" not in hidden]

    def resolve(
        self, target: SObject, path: Path, text: str
    ) -> tuple[list[str], list[tuple[Field, SObject]], Field]:
        """A path as the vendor spells it, the references that it follows, and its field."""
        steps: list[tuple[Field, SObject]] = []
        names: list[str] = []
        here = target
        rest = path[1:] if len(path) > 1 and path[0].lower() == target.name.lower() else path
        for step in rest[:-1]:
            link = next((f for f in self.visible(here) if f.relation.lower() == step.lower()), None)
            there = self.org.find(link.refers[0]) if link is not None else None
            if link is None or there is None:
                said = (
                    f"Didn't understand relationship '{step}' in field path. If you are attempting to use a "
                    "custom relationship, be sure to append the '__r' after the custom relationship name. "
                    "Please reference your WSDL or the describe call for the appropriate names."
                )
                raise Refusal(400, "INVALID_FIELD", at(text, step, said))
            steps.append((link, there))
            names.append(link.relation)
            here = there
        found = here.by_name.get(rest[-1].lower())
        if found is None or f"{here.name}.{found.name}" in self.setting.options.hidden:
            said = (
                f"No such column '{rest[-1]}' on entity '{here.name}'. If you are attempting to use a custom field, "
                "be sure to append the '__c' after the custom field name. Please reference your WSDL or the "
                "describe call for the appropriate names."
            )
            raise Refusal(400, "INVALID_FIELD", at(text, rest[-1], said))
        return [*names, found.name], steps, found

    def getter(self, target: SObject, path: Path, text: str) -> tuple[Getter, Field]:
        """A path's Python value for a record, and its field."""
        _, steps, found = self.resolve(target, path, text)
        return _walk(self.org, steps, found.get), found

    def found(self, query: Query, target: SObject, deleted: bool) -> Sequence[Item]:
        """All records of a query, in its order."""
        items, exact, by = self._candidates(query, target)
        if query.where is not None and not exact:
            matches = matcher(self, query.where, target, query.text)
            items = [item for item in items if matches(item)]
            if deleted and target.bin:
                items = [*items, *(item for item in self._gone(target) if matches(item))]
        elif deleted and target.bin:
            more = self._gone(target)
            if query.where is not None:
                matches = matcher(self, query.where, target, query.text)
                more = [item for item in more if matches(item)]
            items = [*items, *more]
        items = self._sorted(query, target, items, by if not deleted else "")
        if query.offset or query.limit is not None:
            end = None if query.limit is None else query.offset + query.limit
            items = items[query.offset : end]
        return items

    # ---- rows -----------------------------------------------------------------------------------

    def _candidates(self, query: Query, target: SObject) -> tuple[Sequence[Item], bool, str]:
        """Records that may match, whether all of them do, and the desk's order in which they stand."""
        if target.rows is not None:
            return target.rows, query.where is None, "number"
        desk, entity = self.setting.desk, target.entity
        tests = _tests(query.where)
        for test in tests:
            if only_deleted(test):
                return [], False, ""
            numbers = wanted_ids(test, target)
            if numbers is not None and test.path[0].lower() == "id":
                found = [desk.get(entity, number) for number in sorted(numbers)]
                return [item for item in found if item is not None], len(tests) == 1, "number"
            if numbers is not None and target.name == "OpportunityLineItem":
                rows = [row for number in sorted(numbers) for row in desk.children(entity, number)]
                return rows, len(tests) == 1, ""
        return self._window(query, target, tests)

    def _window(self, query: Query, target: SObject, tests: list[Test]) -> tuple[Sequence[Item], bool, str]:
        desk, entity = self.setting.desk, target.entity
        bounds: dict[str, list[tuple[str, datetime]]] = {}
        for test in tests:
            by = _STAMPS.get(test.path[0].lower()) if len(test.path) == 1 else None
            if by is not None and test.sign in ("<", "<=", ">", ">=") and test.values[0].kind == "datetime":
                bounds.setdefault(by, []).append((test.sign, test.values[0].value))
        if not bounds:
            by = _STAMPS.get(query.order[0][0][0].lower(), "number") if query.order else "number"
            return desk.ordered(entity, cast("Any", by)), query.where is None, by
        by = max(bounds, key=lambda name: len(bounds[name]))
        rows = desk.ordered(entity, cast("Any", by))
        stamp: Callable[[Item], datetime] = lambda item: getattr(item, by)  # noqa: E731
        low, high = 0, len(rows)
        for sign, value in bounds[by]:
            if sign == ">=":
                low = max(low, bisect_left(rows, value, key=stamp))
            elif sign == ">":
                low = max(low, bisect_right(rows, value, key=stamp))
            elif sign == "<":
                high = min(high, bisect_left(rows, value, key=stamp))
            else:
                high = min(high, bisect_right(rows, value, key=stamp))
        return rows[low:high], len(bounds[by]) == len(tests), by

    def _gone(self, target: SObject) -> list[Item]:
        """What the recycle bin still holds."""
        oldest = self.setting.now() - timedelta(days=KEPT_DAYS)
        emptied = self.setting.options.emptied_at
        if emptied is not None:
            oldest = max(oldest, emptied)
        return [
            item
            for item in self.setting.desk.gone(target.entity)
            if item.deleted is not None
            and item.deleted > oldest
            and (target.entity, item.number) not in self.org.purged
        ]

    def _sorted(self, query: Query, target: SObject, items: Sequence[Item], by: str) -> Sequence[Item]:
        said = [(".".join(path).lower(), down) for path, down, _ in query.order]
        same = {
            "modified": ("systemmodstamp", "lastmodifieddate"),
            "created": ("createddate",),
            "number": ("id",),
        }
        names = [name for name, _ in said]
        if not said or (by and not any(down for _, down in said) and names[0] in same.get(by, ())
                        and (names[1:] in ([], ["id"]))):  # fmt: skip
            return items
        found = list(items)
        for path, down, last in reversed(query.order):
            get, kind = self.getter(target, path, query.text)
            found.sort(key=order_key(get, kind, down, last), reverse=down)
        return found

    def _page(self, cursor: Cursor, locator: str, place: int) -> bytes:
        rows = cursor.items[place : place + cursor.page]
        version = self.setting.desk.version
        living = [item for item in rows if cursor.deleted or item.deleted is None]
        records = [cursor.selection.row(item, version) for item in living]
        end = place + cursor.page
        done = end >= len(cursor.items)
        head = f'{{"totalSize":{len(cursor.items)},"done":{"true" if done else "false"}'
        if not done:
            locator = locator or self._keep(cursor)
            head += f',"nextRecordsUrl":"{cursor.selection.base}/query/{locator}-{end}"'
        return b"".join((head.encode(), b',"records":[', b",".join(records), b"]}"))

    def _keep(self, cursor: Cursor) -> str:
        self._numbers += 1
        locator = record_id("0r8", self._numbers)
        self.cursors[locator] = cursor
        while len(self.cursors) > MAX_CURSORS:
            self.cursors.popitem(last=False)
        return locator

    def _trim(self) -> None:
        """Forget the rows of selections not asked for lately, when there are too many of either."""
        while len(self._selections) > 1 and (
            len(self._selections) > MAX_SELECTIONS
            or sum(len(known.kept) for known in self._selections.values()) > MAX_KEPT_ROWS
        ):
            self._selections.popitem(last=False)

    def _child(self, query: Query, target: SObject, base: str) -> tuple[str, Getter]:
        """A subquery over a child relation: a result of its own in each row, or null without rows."""
        name = next((known for known in target.children if known.lower() == query.entity.lower()), None)
        if name is None:
            raise Refusal(
                400,
                "INVALID_TYPE",
                f"Didn't understand relationship '{query.entity}' in FROM part of query call.",
            )
        child_name, link = target.children[name]
        child = self.org.objects[child_name.lower()]
        selection = self.select(query, child, base)
        matches = matcher(self, query.where, child, query.text) if query.where is not None else None
        linked = child.fields[link].number
        desk = self.setting.desk

        def get(item: Item) -> Any:
            if child.name == "OpportunityLineItem" and link == "OpportunityId":
                rows: Sequence[Item] = desk.children("line", item.number)
            else:
                rows = [
                    r for r in desk.living(child.entity) if linked is not None and linked(r) == item.number
                ]
            rows = self._sorted(query, child, [r for r in rows if matches is None or matches(r)], "")
            rows = rows[query.offset : None if query.limit is None else query.offset + query.limit]
            if not rows:
                return None

            records = [msgspec.Raw(selection.row(row, desk.version)) for row in rows]
            return {"totalSize": len(rows), "done": True, "records": records}

        return name, get


def _tests(where: Condition | None) -> list[Test]:
    """The conditions that must all hold; a single unknown kind of one is kept as a test that is not exact."""
    if isinstance(where, Test):
        return [where]
    if isinstance(where, Joined) and where.word == "AND":
        return [found for part in where.parts for found in (_tests(part) or [_NEVER])]
    return []


_NEVER: Final = Test(("?",), "?")


def _walk(org: Org, steps: list[tuple[Field, SObject]], get: Getter) -> Getter:
    for link, there in reversed(steps):
        get = _step(org, link, there, get)
    return get


def _step(org: Org, link: Field, there: SObject, get: Getter) -> Getter:
    number = link.number

    def follow(item: Item) -> Any:
        parent = org.item(there.entity, number(item)) if number is not None else None
        return None if parent is None else get(parent)

    return follow


def _getters(
    org: Org, resolved: list[tuple[list[str], list[tuple[Field, SObject]], Field]], base: str
) -> tuple[list[tuple[str, Getter]], bool]:
    """Getters by name, parents nested, and whether all depend on the record alone."""
    plain: list[tuple[str, Getter]] = []
    nested: dict[str, list[tuple[list[str], list[tuple[Field, SObject]], Field]]] = {}
    local = True
    for names, steps, found in resolved:
        if not steps:
            plain.append((found.name, shown(found)))
            local = local and found.local
        else:
            local = False
            if names[0] not in nested:
                plain.append((names[0], lambda item: None))  # its place, filled below
            nested.setdefault(names[0], []).append((names[1:], steps, found))
    for name, rows in nested.items():
        link, there = rows[0][1][0]
        inner, _ = _getters(org, [(names, steps[1:], found) for names, steps, found in rows], base)
        place = next(at for at, (known, _) in enumerate(plain) if known == name)
        plain[place] = (name, _step(org, link, there, _parent(there, inner, base)))
    return plain, local


def _parent(there: SObject, inner: list[tuple[str, Getter]], base: str) -> Getter:
    def get(item: Item) -> dict[str, Any]:
        shown_id = record_id(there.prefix, item.number)
        attributes = {"type": there.name, "url": self_url(base, there.name, shown_id)}
        return {"attributes": attributes, **{name: found(item) for name, found in inner}}

    return get
