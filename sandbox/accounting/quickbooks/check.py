"""What every write has in common: known fields, references, dates, closed books, tokens."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from sandbox.accounting.quickbooks import fault
from sandbox.accounting.quickbooks.file import OTHER_USER, CompanyFile
from sandbox.accounting.quickbooks.kinds import Kind
from sandbox.accounting.quickbooks.values import Row, day_of, id_of, number, ref

FAMILIES: Final = {
    "Customer": "Names", "Vendor": "Names", "Employee": "Names", "Item": "Items", "Account": "Accounts",
    "Class": "Klasses", "Department": "Depts", "Term": "Terms", "TaxCode": "TaxCodes", "PaymentMethod": "PaymentMethods",
}  # fmt: skip
TITLES: Final = {
    "Customer": "DisplayName",
    "Vendor": "DisplayName",
    "Employee": "DisplayName",
    "Item": "FullyQualifiedName",
}
CURRENCIES: Final = {"RUB": "Russian Ruble", "USD": "United States Dollar", "EUR": "Euro", "CNY": "Chinese Yuan",
                     "KZT": "Kazakhstani Tenge"}  # fmt: skip
READ_ONLY: Final = frozenset(
    [
        "Id",
        "SyncToken",
        "MetaData",
        "domain",
        "sparse",
        "status",
        "FullyQualifiedName",
        "Level",
        "Balance",
        "BalanceWithJobs",
        "HomeBalance",
        "HomeTotalAmt",
        "UnappliedAmt",
        "RemainingCredit",
        "CurrentBalance",
        "CurrentBalanceWithSubAccounts",
        "V4IDPseudonym",
    ]
)
LENGTHS: Final = {"DocNumber": 21, "PaymentRefNum": 21, "PrivateNote": 4000, "DisplayName": 500, "CompanyName": 100,
                  "GivenName": 100, "FamilyName": 100, "MiddleName": 100, "PrintOnCheckName": 110, "Notes": 2000, "Sku": 100,
                  "Description": 4000, "ResaleNum": 16, "AcctNum": 20}  # fmt: skip
NAME_LENGTH: Final = 100


def known_fields(kind: Kind, body: Mapping[str, Any]) -> None:
    """Raises Refused for a field that the kind has not (2010)."""
    for name in body:
        if name not in kind.fields:
            raise fault.bad_property(name, kind.name, len(kind.fields))


def said_only(body: Mapping[str, Any]) -> Row:
    """The fields that a client may set and did; what is null or empty counts as not said."""
    return {
        name: value for name, value in body.items() if name not in READ_ONLY and value not in (None, "", {})
    }


def merged(kind: Kind, old: Row | None, body: Mapping[str, Any]) -> Row:
    """The record that a body asks for: new, changed in the named fields (sparse), or as said in all of them."""
    if old is None:
        return said_only(body)
    sparse = body.get("sparse") is True or str(body.get("sparse")).lower() == "true"
    kept = old if sparse else {name: old[name] for name in old if name in READ_ONLY}
    row = {**kept, **said_only(body)}
    for name, value in body.items():
        if value in (None, "", {}) and name not in READ_ONLY:
            row.pop(name, None)
    return row


def lengths(row: Mapping[str, Any]) -> None:
    for name, most in LENGTHS.items():
        value = row.get(name)
        if isinstance(value, str) and len(value) > most:
            raise fault.too_long(name, 0, most, len(value))
    value = row.get("Name")
    if isinstance(value, str) and len(value) > NAME_LENGTH:
        raise fault.too_long("Name", 0, NAME_LENGTH, len(value))


def fresh(file: CompanyFile, old: Row, body: Mapping[str, Any]) -> None:
    """Raises Refused when the body's token is missing or not that of the record (5010)."""
    token = body.get("SyncToken")
    if token is None or token == "":
        raise fault.missing("SyncToken")
    if str(token) != old["SyncToken"]:
        raise fault.stale(OTHER_USER)


def referred(file: CompanyFile, kind: str, reference: Any, *, old: Any = None) -> Row:
    """The record that a reference names. Raises Refused: 2500 where there is none, 610 where it is inactive.

    An inactive one that stood there before stays allowed.
    """
    key = id_of(reference)
    found = file.get(kind, key)
    if found is None:
        raise fault.unknown_reference(FAMILIES.get(kind, kind), key)
    if found.get("Active") is False and id_of(old) != key:
        raise fault.not_found()
    return found


def reference_to(kind: str, found: Row) -> Row:
    return ref(found["Id"], found.get(TITLES.get(kind, "Name"), ""))


def open_day(file: CompanyFile, *days: Any) -> None:
    """Raises Refused when one of the days lies in the closed period."""
    until = file.books.closed_until
    if until is None:
        return
    for day in days:
        found = day_of(day) if day else None
        if found is not None and found <= until:
            raise fault.closed(file.options.closed_as)


def dated(file: CompanyFile, row: Row) -> str:
    """The transaction's day, today where none is said. Raises Refused (2070)."""
    said = row.get("TxnDate")
    if not said:
        row["TxnDate"] = file.today
        return file.today
    day = day_of(said)
    if day is None:
        raise fault.invalid_date("TxnDate", str(said))
    row["TxnDate"] = day.isoformat()
    return day.isoformat()


def amount_of(row: Mapping[str, Any], name: str, element: str = "") -> Decimal | None:
    """A number of the body. Raises Refused when it is none."""
    if row.get(name) in (None, ""):
        return None
    found = number(row[name])
    if found is None:
        raise fault.invalid_number(element or name)
    return found


def currency_ref(code: str) -> Row:
    return ref(code, CURRENCIES.get(code, code))


def currency(file: CompanyFile, row: Row, owner: Row | None) -> tuple[str, Decimal]:
    """Currency and rate of a transaction, written into it. It must be its customer's."""
    own = id_of(owner.get("CurrencyRef")) if owner else file.home
    said = id_of(row.get("CurrencyRef"))
    if not file.options.multicurrency:
        row.pop("ExchangeRate", None)
        row["CurrencyRef"] = currency_ref(file.home)
        return file.home, Decimal(1)
    if said and owner is not None and said != own:
        raise fault.business("Change transaction currency to match the currency of the customer.")
    code = said or own or file.home
    if code != file.home and not traded(file, code):
        raise invalid_currency(code)
    row["CurrencyRef"] = currency_ref(code)
    rate = amount_of(row, "ExchangeRate") if code != file.home else Decimal(1)
    rate = rate or file.rate(code, row["TxnDate"])
    if rate <= 0:
        raise fault.invalid_number("ExchangeRate")
    row["ExchangeRate"] = int(rate) if rate == int(rate) else rate
    return code, rate


def traded(file: CompanyFile, code: str) -> bool:
    """Whether a foreign currency is one of the company's."""
    found = file.shelves["CompanyCurrency"].one("Code", code)
    return found is not None and bool(found["Active"])


def invalid_currency(code: str) -> fault.Refused:
    return fault.Refused("2220", "Invalid Currency Type", f"Invalid Currency Type : {code}", "CurrencyRef")
