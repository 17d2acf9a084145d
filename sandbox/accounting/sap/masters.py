"""Business partners and the customers behind them: deep insert, single changes, and what is refused.

A partner with a customer role becomes a customer under the same number, whether or not the body said `to_Customer`.
Names may repeat. A partner is never deleted: it is blocked, marked for archiving, or its customer flagged.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

from sandbox.accounting.sap import masters_model
from sandbox.accounting.sap.call import Draft
from sandbox.accounting.sap.database import Row
from sandbox.accounting.sap.edm import EntitySet
from sandbox.accounting.sap.errors import SapError, business
from sandbox.accounting.sap.ledger import RECONCILIATION, TERMS
from sandbox.accounting.sap.system import AREA, COMPANY, COUNTRY, CURRENCIES, USER, System

GROUPINGS: Final = ("BP01", "BP02", "BP03")
"""BP01 numbers by itself, BP02 takes the sender's number, BP03 is for persons."""
ROLES: Final = ("000000", "FLCU00", "FLCU01", "FLVN00", "FLVN01", "BUP001", "BUP003", "UKM000")
CUSTOMER_ROLES: Final = frozenset(("FLCU00", "FLCU01"))
COUNTRIES: Final = frozenset(
    ("RU", "BY", "KZ", "AM", "KG", "UZ", "DE", "CN", "US", "GB", "FR", "IT", "TR", "AE", "IN", "PL", "LT", "LV", "EE",
     "FI", "NL", "CZ", "AT", "CH")
)  # fmt: skip
FOR_EVER: Final = "9999-12-31T23:59:59.0000000Z"


def create(system: System, given: Draft) -> Row:
    """POST A_BusinessPartner with all that is nested in it. Raises SapError."""
    said = given.values
    category, grouping = (
        said.get("BusinessPartnerCategory", ""),
        said.get("BusinessPartnerGrouping", "") or "BP01",
    )
    if category not in ("1", "2", "3"):
        text = (
            f"Business partner category {category} does not exist"
            if category
            else "Enter a business partner category"
        )
        raise business("R11/401" if category else "R1/200", text, "BusinessPartnerCategory")
    if grouping not in GROUPINGS:
        raise business("R1/254", f"Grouping {grouping} does not exist", "BusinessPartnerGrouping")
    _named(category, said)
    number = said.get("BusinessPartner", "")
    if grouping == "BP02" and not number:
        raise business("R1/310", "Enter a number for the business partner", "BusinessPartner")
    if number and grouping != "BP02":
        raise business("R1/311", f"Grouping {grouping} has internal number assignment", "BusinessPartner")
    number = number or system.number("partner")
    if system.db["partner"].get(number) is not None:
        raise business("R11/122", f"Business partner {number} already exists", "BusinessPartner")
    moment = system.now()
    row: Row = {
        **said, "BusinessPartner": number, "BusinessPartnerCategory": category,
        "BusinessPartnerGrouping": grouping, "BusinessPartnerUUID": str(uuid.uuid5(_SPACE, number)),
        "CreatedByUser": USER, "CreationDate": system.local(moment)[0], "CreationTime": system.local(moment)[1],
        "Language": said.get("Language") or "EN", "CorrespondenceLanguage": said.get("CorrespondenceLanguage") or "EN",
    }  # fmt: skip
    row = system.db["partner"].put(_full(row))
    for name in ("to_BusinessPartnerRole", "to_BusinessPartnerAddress", "to_BusinessPartnerTax",
                 "to_BuPaIdentification", "to_BusinessPartnerBank"):  # fmt: skip
        for inner in given.inner.get(name, []):
            add(system, inner, row)
    customer = given.first("to_Customer")
    roles = {role["BusinessPartnerRole"] for role in system.db["partner_role"].under(number)}
    if customer is not None and not roles & CUSTOMER_ROLES:
        raise business("CVI_EI/035", f"Business partner {number} has no customer role (FLCU00 or FLCU01)")
    if roles & CUSTOMER_ROLES:
        _become_customer(system, number, customer)
    row = system.db["partner"].get(number) or row
    return _touch(system, row, moment)


def add(system: System, given: Draft, parent: Row | None) -> Row:
    """POST of one record beneath a partner, an address or a customer."""
    table, kind = given.found.table, given.found.type
    if table == "customer":
        raise SapError(405, "/IWFND/CM_MGW_RT/114", "CREATE operation not supported for 'A_Customer'")
    row: Row = dict(given.values)
    for name in kind.keys:
        if parent and parent.get(name):
            row[name] = parent[name]
    _number(system, table, row)
    missing = next((name for name in kind.keys if not row.get(name) and name != "Person"), None)
    if missing:
        raise business("R11/200", f"Enter a value for {missing}", missing)
    _owner(system, row)
    if system.db[table].at(system.db[table].key_of(row)) is not None:
        raise business(
            "R11/153", f"{kind.label} {'/'.join(row.get(n, '') for n in kind.keys)} already exists"
        )
    _checked(system, table, row)
    system.db[table].put(row)
    for rows in given.inner.values():
        for inner in rows:
            add(system, inner, row)
    _mirror(system, table, row)
    if table == "partner_role" and row["BusinessPartnerRole"] in CUSTOMER_ROLES and parent is None:
        _become_customer(system, row["BusinessPartner"], None)
    _bump(system, table, row)
    return system.db[table].at(system.db[table].key_of(row)) or row


def change(system: System, found: EntitySet, row: Row, values: Row) -> None:
    """PATCH of a partner, a customer, or a record beneath one. Keys and what made the record stay."""
    table = found.table
    key = row.get("BusinessPartner") or row.get("Customer") or ""
    if key:
        system.free("partner", key)
    fixed = {
        *found.type.keys,
        *(("BusinessPartnerCategory", "BusinessPartnerGrouping") if table == "partner" else ()),
    }
    new = {**row, **{name: value for name, value in values.items() if name not in fixed}}
    if table == "partner":
        _named(new["BusinessPartnerCategory"], new)
        system.db["partner"].put(_full(new))
        _touch(system, system.db["partner"].get(key) or new, system.now())
        _rename_customer(system, new)
        return
    _checked(system, table, new)
    system.db[table].put(new)
    _mirror(system, table, new)
    _bump(system, table, new)


def delete(system: System, found: EntitySet, row: Row) -> None:
    if key := row.get("BusinessPartner"):
        system.free("partner", key)
    if (
        found.table == "partner_address"
        and len(system.db["partner_address"].under(row["BusinessPartner"])) == 1
    ):
        raise business("R11/305", "The standard address cannot be deleted")
    system.db[found.table].delete(row)
    _bump(system, found.table, row)


def partner_of(system: System, customer: str) -> Row | None:
    return next(iter(system.db["partner"].where("Customer", customer)), None)


def _named(category: str, row: Row) -> None:
    name, text = {
        "1": ("LastName", "Enter a last name"),
        "2": ("OrganizationBPName1", "Enter a name for the organization"),
        "3": ("GroupBusinessPartnerName1", "Enter a name for the group"),
    }[category]
    if not row.get(name):
        raise business("R1/202", text, name)


def _full(row: Row) -> Row:
    names = ("FirstName", "LastName") if row["BusinessPartnerCategory"] == "1" else (
        ("GroupBusinessPartnerName1", "GroupBusinessPartnerName2") if row["BusinessPartnerCategory"] == "3"
        else ("OrganizationBPName1", "OrganizationBPName2", "OrganizationBPName3", "OrganizationBPName4")
    )  # fmt: skip
    full = " ".join(row[name] for name in names if row.get(name))[:81]
    return {**row, "BusinessPartnerFullName": full, "BusinessPartnerName": full}


def _touch(system: System, row: Row, moment: str) -> Row:
    """Central data changed: the date and time of the last change, and the tag made of user and moment."""
    day, at = system.local(moment)
    stamp = f"{USER:<12}{moment[:19].replace('-', '').replace('T', '').replace(':', '')}"
    return system.db["partner"].change(
        row, LastChangeDate=day, LastChangeTime=at, LastChangedByUser=USER, ETag=stamp[:26]
    )


def _bump(system: System, table: str, row: Row) -> None:
    """Addresses, roles and tax numbers leave the partner's date alone unless the switch says otherwise."""
    key = row.get("BusinessPartner")
    partner = system.db["partner"].get(key) if key else None
    if partner is not None and table != "partner" and system.option("partner_bump") == "any":
        _touch(system, partner, system.now())


def _number(system: System, table: str, row: Row) -> None:
    if table == "partner_address":
        row["AddressID"] = row.get("AddressID") or system.number("address")
        row["AddressUUID"] = str(uuid.uuid5(_SPACE, f"address:{row['AddressID']}"))
        row.setdefault("Language", "EN")
        row.setdefault("ValidityStartDate", system.now())
        row.setdefault("ValidityEndDate", FOR_EVER)
    elif table in ("partner_email", "partner_phone"):
        row.setdefault("Person", "")
        row["OrdinalNumber"] = row.get("OrdinalNumber") or str(
            len(system.db[table].under(row["AddressID"])) + 1
        )
    elif table == "partner_role":
        row.setdefault("ValidFrom", f"{system.today.isoformat()}T00:00:00.0000000Z")
        row.setdefault("ValidTo", FOR_EVER)
    elif table == "partner_bank":
        row["BankIdentification"] = row.get("BankIdentification") or "0001"
    elif table == "customer_area_partner":
        row.setdefault("PartnerCounter", "0")


def _owner(system: System, row: Row) -> None:
    if row.get("BusinessPartner") and system.db["partner"].get(row["BusinessPartner"]) is None:
        raise business(
            "R1/120", f"Business partner {row['BusinessPartner']} does not exist", "BusinessPartner"
        )
    if row.get("Customer") and system.db["customer"].get(row["Customer"]) is None:
        raise business("F2/153", f"Customer {row['Customer']} has not been created", "Customer")


def _checked(system: System, table: str, row: Row) -> None:
    check = _CHECKS.get(table)
    if check is not None:
        check(system, row)


def _role(_system: System, row: Row) -> None:
    if row["BusinessPartnerRole"] not in ROLES:
        raise business(
            "R11/001", f"BP role {row['BusinessPartnerRole']} does not exist", "BusinessPartnerRole"
        )


def _tax(_system: System, row: Row) -> None:
    kind, value = row["BPTaxType"], row.get("BPTaxNumber") or row.get("BPTaxLongNumber", "")
    if len(kind) < 3 or kind[:2] not in COUNTRIES or not kind[2:].isdigit():
        raise business("BUPA_TAX/001", f"Tax number category {kind} is not defined", "BPTaxType")
    lengths = {"RU1": (10, 12), "RU3": (9,)}.get(kind)
    if lengths and (len(value) not in lengths or not value.isdigit()):
        raise business(
            "BUPA_TAX/004", f"Tax number {value} is not valid for tax number category {kind}", "BPTaxNumber"
        )


def _address(_system: System, row: Row) -> None:
    country, code = row.get("Country", ""), row.get("PostalCode", "")
    if not country:
        raise business("AM/010", "Enter a country/region key", "Country")
    if country not in COUNTRIES:
        raise business("AM/229", f"Country/region key {country} is not defined", "Country")
    if country == COUNTRY and code and len(code) != 6:
        raise business("AM/217", "Postal code must have length 6", "PostalCode")


def _company(_system: System, row: Row) -> None:
    if row["CompanyCode"] != COMPANY:
        raise business("F2/163", f"Company code {row['CompanyCode']} does not exist", "CompanyCode")
    account = row.get("ReconciliationAccount", "")
    if not account:
        raise business("F2/070", "Enter a reconciliation account", "ReconciliationAccount")
    if account not in RECONCILIATION:
        raise business(
            "F2/219", f"Account {account} is not a reconciliation account", "ReconciliationAccount"
        )
    _terms(row, "PaymentTerms")


def _area(_system: System, row: Row) -> None:
    area = (row["SalesOrganization"], row["DistributionChannel"], row["Division"])
    if area != AREA:
        raise business("VS/403", f"Sales area {' '.join(area)} is not defined", "SalesOrganization")
    if not row.get("Currency"):
        raise business("F2/071", "Enter a currency for the sales area", "Currency")
    if row["Currency"] not in CURRENCIES:
        raise business("SV/019", f"Currency {row['Currency']} is not defined", "Currency")
    _terms(row, "CustomerPaymentTerms")


def _terms(row: Row, name: str) -> None:
    if row.get(name) and row[name] not in TERMS:
        raise business("F5/031", f"Terms of payment {row[name]} are not defined", name)


def _become_customer(system: System, number: str, given: Draft | None) -> None:
    """The customer of a partner, under the partner's number."""
    partner = system.db["partner"].get(number)
    if partner is None or system.db["customer"].get(number) is not None:
        return
    said = given.values if given else {}
    name = partner["BusinessPartnerFullName"]
    system.db["customer"].put({
        **said, "Customer": number, "CustomerName": name[:80], "CustomerFullName": name,
        "CreatedByUser": USER, "CreationDate": system.today.isoformat(),
        "CustomerAccountGroup": said.get("CustomerAccountGroup") or "CUST",
    })  # fmt: skip
    system.db["partner"].change(partner, Customer=number)
    for row in system.db["partner_tax"].under(number):
        _mirror(system, "partner_tax", row)
    customer = system.db["customer"].get(number)
    for rows in (given.inner if given else {}).values():
        for inner in rows:
            add(system, inner, customer)


def _rename_customer(system: System, partner: Row) -> None:
    customer = system.db["customer"].get(partner.get("Customer") or "")
    if customer is not None:
        name = _full(partner)["BusinessPartnerFullName"]
        system.db["customer"].change(customer, CustomerName=name[:80], CustomerFullName=name)


def _mirror(system: System, table: str, row: Row) -> None:
    """The customer shows the first tax numbers of its partner."""
    if table != "partner_tax":
        return
    name = {"RU1": "TaxNumber1", "RU2": "TaxNumber2", "RU3": "TaxNumber3", "RU5": "TaxNumber5"}.get(
        row["BPTaxType"]
    )
    customer = system.db["customer"].get(row["BusinessPartner"])
    if name and customer is not None:
        system.db["customer"].change(
            customer, **{name: row.get("BPTaxNumber") or row.get("BPTaxLongNumber", "")}
        )


SET: Final = masters_model.BUSINESS_PARTNER.sets["A_BusinessPartner"]
_SPACE = uuid.UUID("7c0f7b0a-2d4e-5d1c-9c59-5f2b8a3f9f10")
_CHECKS: Final[dict[str, Callable[[System, dict[str, Any]], None]]] = {
    "partner_role": _role, "partner_tax": _tax, "partner_address": _address, "customer_company": _company,
    "customer_area": _area,
}  # fmt: skip
