"""What `sverka sources check` says about a company of QuickBooks, in words that its accountant can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from resources.accounting.quickbooks.entities import FIELDS, PLACES
from resources.accounting.quickbooks.faults import UNKNOWN_QUERY
from resources.connector import Finding, Refused, SourceError

if TYPE_CHECKING:
    from resources.accounting.quickbooks.connector import QuickBooks

_SEE = "see the message"


def findings(books: QuickBooks) -> list[Finding]:
    """All findings, in the order in which a person would repair them. Never raises SourceError."""
    company = books.company
    try:
        rows = company.query("CompanyInfo", "SELECT * FROM CompanyInfo")
        info: Mapping[str, Any] = msgspec.json.decode(rows[0], type=dict[str, Any]) if rows else {}
        preferences = company.preferences(anew=True)
    except SourceError as error:
        return [
            Finding("connection", False, str(error), "repair the connection first; nothing else was tried")
        ]
    name, country = info.get("CompanyName") or "no name", info.get("Country") or "no country"
    found = [Finding("connection", True, f"QuickBooks answers: {name} ({country}), realm {company.realm}")]
    found += _entities(books)
    found += _fields(books)
    found += [_currency(preferences), _numbers(books), _closed(preferences), *_tax(books, preferences)]
    return found


def _entities(books: QuickBooks) -> Iterator[Finding]:
    for entity, place in PLACES.items():
        try:
            total = books.company.count(place) if place.name not in ("CompanyInfo", "ExchangeRate") else None
        except Refused as error:
            if error.code in UNKNOWN_QUERY and entity in ("currency", "currency_rate"):
                yield Finding(entity, True, "not kept: the company has one currency")
                continue
            yield Finding(entity, False, str(error), _SEE)
        except SourceError as error:
            yield Finding(entity, False, str(error), _SEE)
        else:
            counted = f"{total} records" if total is not None else "readable"
            yield Finding(entity, True, f"{place.name}: {counted}")


def _fields(books: QuickBooks) -> Iterator[Finding]:
    """Names of the mapping that the documentation does not have; QuickBooks would answer without them."""
    for entity, names in books.fields_read.items():
        known = FIELDS.get(entity)
        if known is None:
            yield Finding(
                f"{entity} fields", False, f"QuickBooks Online has no {entity}",
                f"remove it from {books.mapping_file}; there are {', '.join(FIELDS)}",
            )  # fmt: skip
            continue
        absent = [name for name in names if name not in known]
        if absent:
            near = difflib.get_close_matches(absent[0], known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield Finding(
                f"{entity} fields", False, f"{PLACES[entity].name if entity in PLACES else entity} has no {', '.join(absent)}",
                f"correct the names in {books.mapping_file}{hint}",
            )  # fmt: skip
        else:
            yield Finding(f"{entity} fields", True, f"all {len(names)} fields in use are QuickBooks' own")


def _currency(preferences: Mapping[str, Any]) -> Finding:
    said = preferences.get("CurrencyPrefs") or {}
    home = (said.get("HomeCurrency") or {}).get("value") or "not told"
    if str(said.get("MultiCurrencyEnabled")).lower() == "true":
        text = f"home currency {home}; others are allowed, and every customer has one: a document in another is refused"
        return Finding("currency", True, text)
    return Finding(
        "currency", True, f"home currency {home}; no other is allowed",
        "deals in other currencies are refused until Multicurrency is switched on in the company's settings",
    )  # fmt: skip


def _numbers(books: QuickBooks) -> Finding:
    if books.own_numbers is False or (books.own_numbers is None and not books.company.custom_numbers):
        return Finding(
            "numbers", True,
            "QuickBooks numbers documents itself; one whose answer was lost is looked up among those changed in the last "
            f"{books.search_days} days",
            "switch on Custom transaction numbers (Settings, Sales) to have it found by its number, whatever its age",
        )  # fmt: skip
    return Finding("numbers", True, "documents get numbers of ours (SV-...), by which they are found again")


def _closed(preferences: Mapping[str, Any]) -> Finding:
    day = (preferences.get("AccountingInfoPrefs") or {}).get("BookCloseDate")
    return Finding("closed period", True, f"books are closed up to {day}" if day else "nothing is closed")


def _tax(books: QuickBooks, preferences: Mapping[str, Any]) -> Iterator[Finding]:
    said = preferences.get("TaxPrefs") or {}
    if str(said.get("UsingSalesTax")).lower() == "false":
        yield Finding("tax", True, "the company uses no sales tax")
        return
    try:
        rows = books.company.dictionary(PLACES["tax_code"])
    except SourceError as error:
        yield Finding("tax", False, str(error), _SEE)
        return
    codes = [msgspec.json.decode(row, type=dict[str, Any]) for row in rows]
    listed = ", ".join(f"{code.get('Id')} = {code.get('Name')}" for code in codes if code.get("Active", True))
    if str(said.get("PartnerTaxEnabled")).lower() == "true":
        text = f"tax is reckoned by QuickBooks (automated sales tax); lines take TAX or NON. Codes: {listed or 'none'}"
        yield Finding(
            "tax", True, text, "the sum of a document is what QuickBooks makes of it; compare the first ones"
        )
        return
    yield Finding("tax", True, f"tax codes, for `vat` in {books.mapping_file}: {listed or 'none'}")
