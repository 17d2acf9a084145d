"""Filters of lists: TradeFilter, CrmFilter, TaskFilter … with a group of terms joined by and or or.

    {"contentType": "TradeFilter", "config": {"contentType": "FilterConfig", "termGroup":
        {"contentType": "FilterTermGroup", "join": "and", "terms": [
            {"contentType": "FilterTermDate", "field": "timeUpdated", "comparison": "equals", "value":
                {"contentType": "IntervalTime", "from": {"contentType": "DateTime", "value": "…"}}}]}}}

By the RAML a date term compares with equals or not_equals to a DateOnly, IntervalDates, IntervalTime or
FilterTermDateValue. A third-party library sends plain strings; `Manners.date_terms` says whether they pass.
A field that the kind does not have is passed over: 200, and rows as if the term were not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sandbox.company.model import MOSCOW
from sandbox.crm.megaplan.custom import CUSTOM
from sandbox.crm.megaplan.protocol import RefusedError, wrong_type
from sandbox.crm.megaplan.values import OF_TYPE, heard_day, heard_moment, number_of
from sandbox.desk.records import Item

if TYPE_CHECKING:
    from sandbox.crm.megaplan.portal import Portal

Test = Callable[[Item], bool]
T = TypeVar("T")
EARLIEST, LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
MAX_TERMS: Final = 100
_UNITS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_STRINGS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "equals": lambda mine, other: mine == other,
    "not_equals": lambda mine, other: mine != other,
    "contains": lambda mine, other: other in mine,
    "not_contains": lambda mine, other: other not in mine,
    "starts_with": lambda mine, other: mine.startswith(other),
}
_NUMBERS: Final[Mapping[str, Callable[[Decimal, Decimal], bool]]] = {
    "equals": lambda mine, other: mine == other,
    "not_equals": lambda mine, other: mine != other,
    "less": lambda mine, other: mine < other,
    "less_eq": lambda mine, other: mine <= other,
    "more": lambda mine, other: mine > other,
    "more_eq": lambda mine, other: mine >= other,
}
_REFS: Final = {
    "deal": {"contractor": "client", "contact": "contact", "payer": "requisite", "manager": "employee",
             "program": "pipeline", "state": "stage"},
    "client": {"responsibles": "employee"}, "contact": {"company": "client"},
    "task": {"responsible": "employee", "deals": "deal"}, "invoice": {"payer": "requisite", "deal": "deal"},
    "requisite": {"contractor": "client"}, "product": {},
}  # fmt: skip
_TEXTS: Final = {
    "deal": {"name": "title", "description": "description"}, "client": {"name": "name"},
    "contact": {"name": "last_name", "firstName": "first_name", "lastName": "last_name"},
    "task": {"name": "text", "statement": "statement"}, "invoice": {"number": "number", "name": "number"},
    "requisite": {}, "product": {"name": "name", "article": "code"},
}  # fmt: skip
_AMOUNTS: Final = {"deal": {"price": "amount", "cost": "amount"}, "product": {"price": "price"},
                   "invoice": {"sum": "amount"}}  # fmt: skip
_TIMES: Final = {"timeUpdated": "modified", "timeCreated": "created"}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a filter lets through: a test, and bounds on `modified` that every row let through keeps."""

    test: Test | None = None
    since: datetime = EARLIEST
    until: datetime = LATEST


def chosen(portal: Portal, kind: str, said: Any, wanted: str) -> Chosen:
    """Read a filter of a list of `kind`. Raises RefusedError."""
    if said is None:
        return Chosen()
    if not isinstance(said, dict) or said.get("contentType") != wanted:
        raise wrong_type(said, wanted)
    config = said.get("config")
    if config is None:
        if str(said.get("id")) in ("all", "allcrm", "1"):
            return Chosen()
        raise RefusedError(404, f"{wanted} with id {said.get('id')} not found")
    if not isinstance(config, dict) or not isinstance(config.get("termGroup"), dict):
        raise wrong_type(config, "FilterConfig")
    reader = _Reader(portal, kind)
    test = reader.group(config["termGroup"])
    return Chosen(test, reader.since, reader.until)


class _Reader:
    """Turns one filter's terms into a test; takes the bounds from terms joined by `and` at the top."""

    def __init__(self, portal: Portal, kind: str) -> None:
        self._portal, self._kind = portal, kind
        self.since, self.until = EARLIEST, LATEST
        self._terms = 0

    def group(self, said: dict[str, Any], top: bool = True) -> Test | None:
        join, terms = said.get("join"), said.get("terms")
        if join not in ("and", "or") or not isinstance(terms, list):
            raise wrong_type(said, "FilterTermGroup")
        self._terms += len(terms)
        if self._terms > MAX_TERMS:
            raise RefusedError(422, "Too many terms in the filter")
        tests = [test for term in terms if (test := self._term(term, top and join == "and")) is not None]
        if not tests:
            return None
        if join == "and":
            return tests[0] if len(tests) == 1 else lambda item: all(test(item) for test in tests)
        return lambda item: any(test(item) for test in tests)

    def _term(self, term: Any, top: bool) -> Test | None:
        if not isinstance(term, dict):
            raise wrong_type(term, "FilterTerm")
        kind = str(term.get("contentType"))
        if kind == "FilterTermGroup":
            return self.group(term, top)
        name, comparison = str(term.get("field")), term.get("comparison", "equals")
        if kind == "FilterTermDate":
            return self._date(name, comparison, term.get("value"), top)
        reader = {
            "FilterTermString": self._string, "FilterTermNumber": self._number, "FilterTermEnum": self._enum,
            "FilterTermRef": self._ref, "FilterTermBool": self._bool,
        }.get(kind)  # fmt: skip
        if reader is None:
            raise wrong_type(
                term, "FilterTermBool|FilterTermDate|FilterTermEnum|FilterTermNumber|FilterTermRef"
            )
        return reader(name, comparison, term.get("value"))

    def _string(self, name: str, comparison: Any, value: Any) -> Test | None:
        if not isinstance(value, str):
            raise wrong_type(value, "string")
        compare = _known(_STRINGS, comparison)
        field = _TEXTS.get(self._kind, {}).get(name) or self._custom(name, "StringField", "EnumField")
        if name == "number" and self._kind == "deal":
            return lambda item: compare(f"СД-{item.number}", value)
        if field is None:
            return None
        return lambda item: compare(str(self._named(field, item) or ""), value)

    def _number(self, name: str, comparison: Any, value: Any) -> Test | None:
        field = _AMOUNTS.get(self._kind, {}).get(name) or self._custom(name, "MoneyField")
        if comparison == "interval":
            low, high = _ends(value, "IntervalNumbers", _decimal)
            if field is None:
                return None
            return lambda item: (
                (mine := item.body.get(field)) is not None
                and (low is None or mine >= low)
                and (high is None or mine <= high)
            )
        compare, other = _known(_NUMBERS, comparison), _decimal(value)
        if field is None:
            return None
        return lambda item: compare(item.body.get(field) or Decimal(0), other)

    def _enum(self, name: str, comparison: Any, value: Any) -> Test | None:
        wanted = value if isinstance(value, list) else [value]
        hit = _equality(comparison)
        if name == "result" and self._kind == "deal":
            stages = self._portal.desk.tables["stage"]
            outcome = {"active": "open", "positive": "won", "negative": "lost"}
            asked = {outcome.get(str(v)) for v in wanted}
            return lambda item: (stages[item.body["stage"]].body["outcome"] in asked) is hit
        field = self._custom(name, "EnumField")
        if field is None:
            return None
        return lambda item: (self._named(field, item) in wanted) is hit

    def _ref(self, name: str, comparison: Any, value: Any) -> Test | None:
        hit, field = _equality(comparison), _REFS.get(self._kind, {}).get(name)
        rows = value if isinstance(value, list) else [value]
        if field is None:
            return None
        wanted = set()
        for row in rows:
            kind = OF_TYPE.get(str(row.get("contentType"))) if isinstance(row, dict) else None
            if kind is None:
                raise wrong_type(row, "BaseEntity")
            wanted.add(number_of(kind, row.get("id")) if kind == field else None)
        key = "employee" if field == "employee" else field
        return lambda item: (item.body.get(key) in wanted) is hit

    def _bool(self, name: str, comparison: Any, value: Any) -> Test | None:
        if not isinstance(value, bool):
            raise wrong_type(value, "boolean")
        if name == "isDropped":
            return lambda item: (item.deleted is not None) is value
        return None

    def _date(self, name: str, comparison: Any, value: Any, top: bool) -> Test | None:
        manners = self._portal.manners
        precise = manners.time_precision == "exact"
        since, until, hit = self._span(comparison, value, precise)
        field = self._custom(name, "DateField")
        if field is not None:
            first, last = (
                since.astimezone(MOSCOW).date(),
                (until - timedelta(seconds=1)).astimezone(MOSCOW).date(),
            )
            return lambda item: (
                (item.body.get(field) is not None and first <= item.body[field] <= last) is hit
            )
        stamp = _TIMES.get(name)
        if stamp is None or manners.time_precision == "ignored" or self._kind == "task":
            return None
        if not precise:
            since, until = _whole_days(since, until)
        if top and hit and stamp == "modified":
            self.since, self.until = max(self.since, since), min(self.until, until)
        return lambda item: (since <= getattr(item, stamp) < until) is hit

    def _span(self, comparison: Any, value: Any, precise: bool) -> tuple[datetime, datetime, bool]:
        """From when, until before when, and whether inside is meant."""
        if isinstance(value, str) or comparison not in ("equals", "not_equals"):
            if self._portal.manners.date_terms == "strict":
                raise wrong_type(value, "DateOnly|FilterTermDateValue|IntervalDates|IntervalTime")
            return (*_plain_span(comparison, value, precise), True)
        hit = comparison == "equals"
        kind = value.get("contentType") if isinstance(value, dict) else None
        zero = self._portal.manners.months_from_zero
        if kind == "DateOnly":
            on = heard_day(value, zero)
            return _midnight(on), _midnight(on, 1), hit
        if kind == "IntervalDates":
            first, last = _ends(value, "IntervalDates", lambda said: heard_day(said, zero))
            return (_midnight(first) if first else EARLIEST), (_midnight(last, 1) if last else LATEST), hit
        if kind == "IntervalTime":
            low, high = _ends(value, "IntervalTime", heard_moment)
            return low or EARLIEST, high + timedelta(seconds=1) if high else LATEST, hit
        if kind == "FilterTermDateValue":
            return (*self._relative(value, zero), hit)
        raise wrong_type(value, "DateOnly|FilterTermDateValue|IntervalDates|IntervalTime")

    def _relative(self, value: dict[str, Any], zero: bool) -> tuple[datetime, datetime]:
        mode, unit, amount, now = value.get("mode"), value.get("unit"), value.get("value"), self._now()
        if isinstance(amount, dict) and amount.get("contentType") == "DateOnly":
            on = heard_day(amount, zero)
            if mode in ("later_or_equal", "later_from"):
                return _midnight(on), LATEST
            if mode in ("later", "later_on"):
                return _midnight(on, 1), LATEST
            if mode in ("before_or_equal", "before_from"):
                return EARLIEST, _midnight(on, 1)
            if mode in ("before", "before_on"):
                return EARLIEST, _midnight(on)
        elif unit in _UNITS and mode in ("past", "next") and isinstance(amount, int):
            span = timedelta(seconds=_UNITS[unit] * amount)
            return (now - span, now + timedelta(seconds=1)) if mode == "past" else (now, now + span)
        elif mode == "current" and unit == "day":
            return _midnight(now.astimezone(MOSCOW).date()), _midnight(now.astimezone(MOSCOW).date(), 1)
        raise wrong_type(value, "FilterTermDateValue")

    def _now(self) -> datetime:
        return self._portal.desk.clock()

    def _custom(self, name: str, *types: str) -> str | None:
        field = CUSTOM.get(self._kind, {}).get(name)
        return field.holds if field is not None and field.type in types else None

    def _named(self, field: str, item: Item) -> Any:
        value = item.body.get(field)
        if field in ("source", "campaign") and isinstance(value, int):
            row = self._portal.desk.tables[field].get(value)
            return row.body["name"] if row is not None else None
        return value


def _plain_span(comparison: Any, value: Any, precise: bool) -> tuple[datetime, datetime]:
    """A term with plain strings. Of a day without a time, «greater than» means from its start when precise,
    from the day after when whole days are compared."""
    if comparison in ("interval", "between") and isinstance(value, dict):
        low, high = _plain(value.get("min")), _plain(value.get("max"))
        return low[0], high[1]
    begin, end = _plain(value)
    if comparison in ("more", "greater_than", "after"):
        return (begin + timedelta(seconds=1) if precise else end), LATEST
    if comparison in ("more_eq", "greater_or_equal", "greater_than_or_equal"):
        return begin, LATEST
    if comparison in ("less", "less_than", "before"):
        return EARLIEST, begin
    if comparison in ("less_eq", "less_or_equal", "less_than_or_equal"):
        return EARLIEST, end
    if comparison == "equals":
        return begin, end
    raise RefusedError(422, f"Unknown comparison {comparison}", "comparison")


def _plain(text: Any) -> tuple[datetime, datetime]:
    """The span of a plain string: a day of the account's zone, or a second."""
    try:
        if isinstance(text, str) and len(text) == 10:
            on = date.fromisoformat(text)
            return _midnight(on), _midnight(on, 1)
        at = datetime.fromisoformat(str(text))
    except ValueError:
        raise wrong_type(text, "DateOnly|FilterTermDateValue|IntervalDates|IntervalTime") from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=MOSCOW)
    return at, at + timedelta(seconds=1)


def _whole_days(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    last = until - timedelta(seconds=1)
    return (
        _midnight(since.astimezone(MOSCOW).date()) if since > EARLIEST else since,
        _midnight(last.astimezone(MOSCOW).date(), 1) if until < LATEST else until,
    )


def _midnight(on: date | None, days: int = 0) -> datetime:
    if on is None:
        raise RefusedError(422, "The date does not exist")
    return datetime.combine(on, time(), tzinfo=MOSCOW) + timedelta(days=days)


def _ends(value: Any, wanted: str, read: Callable[[Any], T]) -> tuple[T | None, T | None]:
    if not isinstance(value, dict):
        raise wrong_type(value, wanted)
    low, high = value.get("from"), value.get("to")
    return read(low) if low is not None else None, read(high) if high is not None else None


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise wrong_type(value, "integer|number")
    return Decimal(value)


def _equality(comparison: Any) -> bool:
    if comparison not in ("equals", "not_equals"):
        raise RefusedError(422, f"Unknown comparison {comparison}", "comparison")
    return bool(comparison == "equals")


def _known(table: Mapping[str, T], comparison: Any) -> T:
    if comparison not in table:
        raise RefusedError(422, f"Unknown comparison {comparison}", "comparison")
    return table[comparison]
