"""Queries answered: which index serves them, what is compared with what, what a page shows.

Ids that a question found are kept while its kind does not change, so that the pages after the first are cut
from a list. Inactive records of name lists are left out unless the query speaks of Active.
"""

from __future__ import annotations

import operator as operators
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final

from sandbox.accounting.quickbooks.fault import Refused, query_error
from sandbox.accounting.quickbooks.file import CompanyFile
from sandbox.accounting.quickbooks.kinds import BY_LOWER, Kind
from sandbox.accounting.quickbooks.query import Condition, Query
from sandbox.accounting.quickbooks.shelf import Shelf, own_id, sort_id
from sandbox.accounting.quickbooks.values import NUMBERS, PACIFIC, Row, id_of, number, seconds_of

MOST_KEPT: Final = 8
CHANGED: Final = "MetaData.LastUpdatedTime"
Test = Callable[[Row], bool]


class Span:
    """A stretch of one of a shelf's orders, from which a page is cut without listing the rest."""

    def __init__(self, order: Sequence[Any], low: int, high: int, down: bool) -> None:
        self._order, self._low, self._high, self._down = order, low, max(high, low), down

    def __len__(self) -> int:
        return self._high - self._low

    def cut(self, start: int, most: int) -> list[str]:
        """Ids of the places [start, start + most)."""
        if self._down:
            high = max(self._high - start, self._low)
            piece = list(reversed(self._order[max(high - most, self._low) : high]))
        else:
            low = min(self._low + start, self._high)
            piece = list(self._order[low : min(low + most, self._high)])
        return [own_id(entry if isinstance(entry, str) else entry[1]) for entry in piece]


def answer(file: CompanyFile, query: Query) -> Row:
    """The QueryResponse of a query; records that are stored as they are shown come as encoded bytes.

    Raises Refused.
    """
    kind = BY_LOWER.get(query.entity.lower())
    if kind is None:
        raise query_error(f"invalid context declaration: {query.entity}")
    _check(kind, query)
    keys = _found(file, kind, query)
    if query.counts:
        return {"totalCount": len(keys)}
    start = query.start - 1
    page = keys.cut(start, query.most) if isinstance(keys, Span) else keys[start : start + query.most]
    if not page:
        return {}
    shelf = file.shelves[kind.name]
    rows: list[Any]
    if kind.mode == "txn" and (query.star or file.options.select_fields == "whole"):
        rows = [shelf.encoded(key) for key in page]
    else:
        rows = [show(file, kind.name, shelf.rows[key], query) for key in page]
    return {kind.name: rows, "startPosition": query.start, "maxResults": len(rows)}


def show(file: CompanyFile, kind: str, row: Row, query: Query | None = None) -> Row:
    """A record as an answer gives it, with what is computed when it is read."""
    if kind == "Account":
        row = file.account_row(row)
    elif kind == "Preferences":
        row = preferences(file, row)
    elif kind == "ExchangeRate":
        return {name: value for name, value in row.items() if name not in ("Id", "SyncToken")}
    elif kind == "Item" and query is not None and not file.options.sku_in_star and "Sku" not in query.fields:
        row = {name: value for name, value in row.items() if name != "Sku"}
    if query is not None and query.fields and not query.star and file.options.select_fields == "named":
        wanted = {name.split(".")[0] for name in query.fields} | {"Id"}
        return {"domain": "QBO", "sparse": True, **{name: row[name] for name in row if name in wanted}}
    return row


def preferences(file: CompanyFile, row: Row) -> Row:
    """Preferences as they are now: closing date, numbering, currencies, taxes."""
    closed = file.books.closed_until
    accounting = {**row["AccountingInfoPrefs"], **({"BookCloseDate": closed.isoformat()} if closed else {})}
    currency = {"MultiCurrencyEnabled": file.options.multicurrency, "HomeCurrency": {"value": file.home}}
    sales = {**row["SalesFormsPrefs"], "CustomTxnNumbers": file.options.custom_numbers}
    tax = {"UsingSalesTax": True, "PartnerTaxEnabled": file.options.edition == "us"}
    return {
        **row,
        "AccountingInfoPrefs": accounting,
        "SalesFormsPrefs": sales,
        "CurrencyPrefs": currency,
        "TaxPrefs": tax,
    }


def _check(kind: Kind, query: Query) -> None:
    for name in (*query.fields, *(name for name, _ in query.order)):
        if name.split(".")[0] not in kind.fields:
            raise query_error(f"Property {name} not found for Entity {kind.name}")
    for condition in query.conditions:
        if condition.field.split(".")[0] not in kind.fields:
            raise query_error(f"Property {condition.field} not found for Entity {kind.name}")
        if condition.field not in kind.filters:
            raise query_error(f"property '{condition.field}' is not queryable")


def _found(file: CompanyFile, kind: Kind, query: Query) -> list[str] | Span:
    shelf = file.shelves[kind.name]
    version = file.ledger.balances if kind.name == "Account" else None
    question = (query.question, shelf.version)
    known = file.answers.get(question) if version is None else None
    if known is not None:
        return known
    conditions = list(query.conditions)
    if kind.mode == "list" and kind.name != "TaxAgency":
        spoken = [one for one in conditions if one.field == "Active"]
        if not spoken:
            conditions.append(Condition("Active", "=", ("true",)))
        conditions = [one for one in conditions if not _of_both(one)]
    span, order = _candidates(shelf, conditions, query)
    tests = [_test(file, kind, one) for one in conditions]
    turned = bool(query.order) and query.order != order
    if isinstance(span, Span) and not tests and not turned:
        return span
    found = span.cut(0, len(span)) if isinstance(span, Span) else span
    if tests:
        rows = shelf.rows
        full = kind.name == "Account"
        found = [
            key
            for key in found
            if all(test(file.account_row(rows[key]) if full else rows[key]) for test in tests)
        ]
    if turned:
        for name, down in reversed(query.order):
            found.sort(key=partial(_sort_key, shelf, name), reverse=down)
    if version is None:
        while len(file.answers) >= MOST_KEPT:
            file.answers.pop(next(iter(file.answers)))
        file.answers[question] = found
    return found


def _of_both(condition: Condition) -> bool:
    said = {value.lower() for value in condition.values}
    return condition.field == "Active" and condition.operator == "in" and said == {"true", "false"}


Order = tuple[tuple[str, bool], ...]


def _candidates(shelf: Shelf, conditions: list[Condition], query: Query) -> tuple[list[str] | Span, Order]:
    """Records worth looking at and the order they stand in; conditions that the choice fulfils are taken out."""
    for condition in conditions:
        if condition.operator not in ("=", "in"):
            continue
        if condition.field == "Id":
            conditions.remove(condition)
            said = dict.fromkeys(condition.values)
            return sorted((key for key in said if key in shelf.rows), key=sort_id), (("Id", False),)
        if condition.field in shelf.exact:
            conditions.remove(condition)
            known = {key for value in condition.values for key in shelf.found(condition.field, value)}
            return _listed(shelf, known), ()
    wanted, down = query.order[0] if query.order else ("", False)
    if wanted == CHANGED or any(one.field == CHANGED for one in conditions):
        down = down and wanted == CHANGED
        return _stretch(shelf.updated, conditions, CHANGED, down), _standing(query, CHANGED, down)
    if wanted == "Id":
        return Span(shelf.by_id, 0, len(shelf.by_id), down), _standing(query, "Id", down)
    if shelf.kind.mode != "txn":
        return Span(shelf.natural, 0, len(shelf.natural), False), ()
    if wanted == "TxnDate":
        return _stretch(shelf.natural, conditions, "TxnDate", down), _standing(query, "TxnDate", down)
    return _stretch(shelf.natural, conditions, "TxnDate", True), ()


def _standing(query: Query, name: str, down: bool) -> Order:
    """The order of a stretch: by the field, and by id among equals."""
    both: Order = ((name, down), ("Id", down))
    return both if query.order == both else ((name, down),)


def _stretch(order: Sequence[Any], conditions: list[Condition], name: str, down: bool) -> Span:
    """The part of an order that the bounds on its field leave; these conditions are taken out."""
    low, high = 0, len(order)
    for condition in [
        one for one in conditions if one.field == name and one.operator in ("<", ">", "<=", ">=", "=")
    ]:
        value: Any = condition.values[0]
        if name == CHANGED:
            value = seconds_of(value)
            if value is None:
                raise _bad_value(condition)
        conditions.remove(condition)
        before, after = bisect_left(order, (value, "")), bisect_right(order, (value, "~"))
        if condition.operator in (">=", "=", ">"):
            low = max(low, after if condition.operator == ">" else before)
        if condition.operator in ("<=", "=", "<"):
            high = min(high, before if condition.operator == "<" else after)
    return Span(order, low, high, down)


def _listed(shelf: Shelf, known: Iterable[str]) -> list[str]:
    rows = shelf.rows
    if shelf.kind.title:
        return sorted(known, key=lambda key: str(rows[key].get(shelf.kind.title, "")).casefold())
    return sorted(known, key=lambda key: (str(rows[key].get("TxnDate", "")), sort_id(key)), reverse=True)


def value_of(row: Row, name: str) -> Any:
    """A field of a record by its plain or dotted name; a reference as the id that it names."""
    found: Any = row
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return id_of(found) if isinstance(found, dict) and "value" in found else found


def _test(file: CompanyFile, kind: Kind, condition: Condition) -> Test:
    name, operator = condition.field, condition.operator
    if operator == "like":
        return _like(name, condition.values[0])
    if name.startswith("MetaData."):
        moments = [seconds_of(value, PACIFIC) for value in condition.values]
        if None in moments:
            raise _bad_value(condition)
        return _compared(lambda row: seconds_of(value_of(row, name)), operator, moments)
    if name in NUMBERS:
        numbers = [number(value) for value in condition.values]
        if None in numbers:
            raise _bad_value(condition)
        return _compared(lambda row: Decimal(value_of(row, name) or 0), operator, numbers)
    if name in ("Active", "SubItem", "Job", "Adjustment", "SubAccount", "SubClass", "SubDepartment"):
        said = [value.lower() == "true" for value in condition.values]
        return lambda row: bool(value_of(row, name)) in said
    if name == "Id":
        padded = [sort_id(value) for value in condition.values]
        return _compared(lambda row: sort_id(row["Id"]), operator, padded)
    texts = [value.casefold() for value in condition.values]
    return _compared(lambda row: _text(value_of(row, name)), operator, texts)


def _text(value: Any) -> str | None:
    return None if value is None else str(value).casefold()


def _compared(get: Callable[[Row], Any], operator: str, values: list[Any]) -> Test:
    if operator in ("=", "in"):
        return lambda row: get(row) in values
    bound = values[0]
    compare = _COMPARE[operator]
    return lambda row: (one := get(row)) is not None and compare(one, bound)


_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operators.lt,
    ">": operators.gt,
    "<=": operators.le,
    ">=": operators.ge,
}


def _like(name: str, pattern: str) -> Test:
    """`%` stands for any text; there is no other sign."""
    parts = pattern.casefold().split("%")

    def fits(row: Row) -> bool:
        text = _text(value_of(row, name))
        if text is None:
            return False
        if len(parts) == 1:
            return text == parts[0]
        if not text.startswith(parts[0]) or not text.endswith(parts[-1]):
            return False
        place, end = len(parts[0]), len(text) - len(parts[-1])
        for part in parts[1:-1]:
            at = text.find(part, place, end)
            if at < 0:
                return False
            place = at + len(part)
        return place <= end

    return fits


def _sort_key(shelf: Shelf, name: str, key: str) -> tuple[bool, Any]:
    if name == "Id":
        return False, sort_id(key)
    value = value_of(shelf.rows[key], name)
    if name in NUMBERS:
        return False, Decimal(value or 0)
    if name.startswith("MetaData."):
        return False, seconds_of(value) or 0.0
    return value is None, str(value or "").casefold()


def _bad_value(condition: Condition) -> Refused:
    return query_error(f"value {condition.values[0]} is not valid for property {condition.field}")
