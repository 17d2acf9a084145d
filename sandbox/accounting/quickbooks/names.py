"""Name lists: customers, vendors, employees, items, accounts and the small ones.

A name list record is never deleted: Active=false hides it and adds "(deleted)" to its name. Customers, vendors
and employees share one space of names; no name may hold a colon, tab or line end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from sandbox.accounting.quickbooks import check, fault
from sandbox.accounting.quickbooks.file import CompanyFile
from sandbox.accounting.quickbooks.kinds import KINDS, NAMES
from sandbox.accounting.quickbooks.ledger import Entry, Posting
from sandbox.accounting.quickbooks.values import Row, cents, id_of, kopecks, plain, ref

DELETED: Final = " (deleted)"
PARTS: Final = ("Title", "GivenName", "MiddleName", "FamilyName", "Suffix")
LEVELS: Final = 5
ITEM_TYPES: Final = ("Inventory", "Service", "NonInventory", "Category", "Group")
MAIL: Final = re.compile(r"[^@\s,]+@[^@\s,]+\.[^@\s,]+(\s*,\s*[^@\s,]+@[^@\s,]+\.[^@\s,]+)*")
CLASSES: Final = {
    "Bank": "Asset", "Accounts Receivable": "Asset", "Other Current Asset": "Asset", "Fixed Asset": "Asset",
    "Other Asset": "Asset", "Accounts Payable": "Liability", "Credit Card": "Liability", "Other Current Liability": "Liability",
    "Long Term Liability": "Liability", "Equity": "Equity", "Income": "Revenue", "Other Income": "Revenue",
    "Expense": "Expense", "Other Expense": "Expense", "Cost of Goods Sold": "Expense",
}  # fmt: skip


def write(file: CompanyFile, name: str, body: Mapping[str, Any], old: Row | None) -> Row:
    """Save a new or changed record of a name list. Raises Refused; then nothing changed."""
    kind = KINDS[name]
    row = check.merged(kind, old, body)
    row.setdefault("Active", True)
    check.lengths(row)
    if name in NAMES:
        _named(file, name, row, old)
    elif not str(row.get("Name") or "").strip():
        raise fault.missing("Name")
    _parent(file, name, row, old)
    title = kind.title
    if row["Active"] is False and (old is None or old.get("Active") is not False):
        _leave(file, name, row)
        row[title] = f"{str(row[title]).removesuffix(DELETED)}{DELETED}"
    elif row["Active"] is True and old is not None and old.get("Active") is False:
        row[title] = str(row[title]).removesuffix(DELETED)
    _qualify(file, name, row)
    _free(file, name, row, old)
    _CHECKS.get(name, _nothing)(file, row, old)
    if old is not None and _same(old, row) and old.get("Active") is False:
        return old  # recorded: making an inactive record inactive leaves its token as it is
    saved = file.create(name, row) if old is None else file.change(name, row)
    if old is not None and old.get(title) != saved[title] and name == "Customer":
        _rename(file, saved)
    if name == "Item" and old is None:
        _opening(file, saved)
    if name == "Account" and saved["AccountType"] == "Accounts Receivable":
        file.ledger.receivables.add(saved["Id"])
    return saved


def _same(old: Row, row: Row) -> bool:
    return all(old.get(name) == value for name, value in row.items() if name not in check.READ_ONLY)


def _named(file: CompanyFile, name: str, row: Row, old: Row | None) -> None:
    """Display name, mail and money of a customer, vendor or employee."""
    shown_name = str(row.get("DisplayName") or "").strip()
    if not shown_name:
        shown_name = " ".join(str(row[part]) for part in PARTS if row.get(part)) or str(
            row.get("CompanyName") or ""
        )
    if not shown_name:
        text = "No Name Provided : Fill out values for at least one of the following: Title, GivenName, MiddleName, "
        raise fault.Refused(
            "6080", "No Name Provided", f"{text}FamilyName, DisplayName, Suffix.", "DisplayName"
        )
    if re.search(r"[:\t\n]", shown_name):
        raise fault.Refused(
            "2040", "Invalid String", f"Element contains invalid characters : {shown_name}", "DisplayName"
        )
    row["DisplayName"] = shown_name
    mail = (row.get("PrimaryEmailAddr") or {}).get("Address")
    if mail is not None and not MAIL.fullmatch(str(mail)):
        text = f"Email Address does not conform to the syntax rules of RFC 822. Supplied value:{mail}"
        raise fault.Refused("2210", "Invalid Email Address Format", text, "PrimaryEmailAddr")
    row["PrintOnCheckName"] = row.get("PrintOnCheckName") or row.get("CompanyName") or shown_name
    if name == "Employee":
        return
    code = id_of(row.get("CurrencyRef")) or file.home
    if not file.options.multicurrency:
        code = file.home
    if old is not None and code != id_of(old["CurrencyRef"]) and _used(file, old["Id"]):
        raise fault.business("You can't change the currency of a name that has transactions.", "CurrencyRef")
    if code != file.home and not check.traded(file, code):
        raise check.invalid_currency(code)
    row["CurrencyRef"] = check.currency_ref(code)
    row.setdefault("Balance", 0)


def _used(file: CompanyFile, key: str) -> bool:
    return any(
        True
        for kind in ("Invoice", "Payment", "CreditMemo")
        for _ in file.shelves[kind].found("CustomerRef", key)
    )


def _parent(file: CompanyFile, name: str, row: Row, old: Row | None) -> None:
    flag = {
        "Customer": "Job",
        "Item": "SubItem",
        "Account": "SubAccount",
        "Class": "SubClass",
        "Department": "SubDepartment",
    }
    if name not in flag:
        return
    if "ParentRef" in row:
        parent = check.referred(file, name, row["ParentRef"], old=(old or {}).get("ParentRef"))
        if old is not None and parent["Id"] == old["Id"]:
            raise fault.Refused(
                "900", "Parent cannot be child", "Parent cannot be child : the same object", "ParentRef"
            )
        level = int(parent.get("Level") or 0) + 1
        if level >= LEVELS:
            raise fault.Refused(
                "6180",
                "Sub Level Limit",
                f"Sub Level Limit : You can nest up to {LEVELS} levels.",
                "ParentRef",
            )
        row["ParentRef"], row["Level"] = ref(parent["Id"], parent.get(KINDS[name].title)), level
        row[flag[name]] = True
    else:
        row.pop("Level", None)
        row[flag[name]] = False


def _qualify(file: CompanyFile, name: str, row: Row) -> None:
    if "FullyQualifiedName" not in KINDS[name].fields or name in ("Vendor", "Employee"):
        return
    parent = file.get(name, id_of(row.get("ParentRef")))
    own = row[KINDS[name].title]
    row["FullyQualifiedName"] = f"{parent['FullyQualifiedName']}:{own}" if parent else own


def _free(file: CompanyFile, name: str, row: Row, old: Row | None) -> None:
    """Raises Refused (6240) when another record bears the name."""
    title = KINDS[name].title
    for other in NAMES if name in NAMES else (name,):
        for key in file.shelves[other].found(title, row[title]) if title in file.shelves[other].exact else ():
            if other == name and old is not None and key == old["Id"]:
                continue
            if name not in NAMES and id_of(file.shelves[name].rows[key].get("ParentRef")) != id_of(
                row.get("ParentRef")
            ):
                continue
            raise fault.name_taken(f"Id={key}" if file.options.duplicate_detail == "Id" else "null")


def _leave(file: CompanyFile, name: str, row: Row) -> None:
    """Raises Refused where a record cannot be made inactive."""
    if name in ("Customer", "Vendor") and row.get("Balance"):
        text = (
            "Delete Entity Has Balance Error : This name has an open balance, so it cannot be made inactive."
        )
        raise fault.Refused("6220", "Delete Entity Has Balance Error", text)
    if (
        name == "Account"
        and file.ledger.balances.get(row.get("Id", ""))
        and row["Classification"] in ("Asset", "Liability", "Equity")
    ):
        raise fault.business("This account has a balance and cannot be made inactive.")


def _rename(file: CompanyFile, row: Row) -> None:
    """References show the new name at once; the documents themselves are not changed by it."""
    for kind in ("Invoice", "Estimate", "CreditMemo", "SalesReceipt", "RefundReceipt", "Payment"):
        shelf = file.shelves[kind]
        for key in list(shelf.found("CustomerRef", row["Id"])):
            shelf.put({**shelf.rows[key], "CustomerRef": ref(row["Id"], row["DisplayName"])})


def _customer(file: CompanyFile, row: Row, old: Row | None) -> None:
    row.setdefault("Taxable", True)
    row.setdefault("BillWithParent", False)
    row.setdefault("BalanceWithJobs", 0)
    row.setdefault("PreferredDeliveryMethod", "Print")
    if "SalesTermRef" in row:
        row["SalesTermRef"] = check.reference_to("Term", check.referred(file, "Term", row["SalesTermRef"]))
    if "DefaultTaxCodeRef" in row:
        check.referred(file, "TaxCode", row["DefaultTaxCodeRef"])
    mark = row.get("PrimaryTaxIdentifier")
    if isinstance(mark, str) and not mark.startswith("X"):
        row["PrimaryTaxIdentifier"] = "X" * max(len(mark) - 4, 0) + mark[-4:]


def _vendor(file: CompanyFile, row: Row, old: Row | None) -> None:
    row.setdefault("Vendor1099", False)


def _item(file: CompanyFile, row: Row, old: Row | None) -> None:
    kind = row.setdefault("Type", "Service")
    if kind not in ITEM_TYPES:
        raise fault.Refused("2170", "Invalid Enumeration", f"Invalid Enumeration : {kind}", "Type")
    if re.search(r"[:\t\n]", str(row["Name"]).removesuffix(DELETED)):
        raise fault.Refused(
            "2040", "Invalid String", f"Element contains invalid characters : {row['Name']}", "Name"
        )
    if old is not None and old["Type"] == "Inventory" != kind:
        raise fault.business("You can't change the type of an inventory item.", "Type")
    if kind in ("Service", "NonInventory", "Inventory"):
        if "IncomeAccountRef" not in row:
            raise fault.missing("IncomeAccountRef")
        for name in ("IncomeAccountRef", "ExpenseAccountRef", "AssetAccountRef"):
            if name in row:
                account = check.referred(file, "Account", row[name], old=(old or {}).get(name))
                if account["AccountType"] in ("Accounts Receivable", "Accounts Payable"):
                    text = "Invalid account type : Accounts Receivable and Accounts Payable can't be used for products and services."
                    raise fault.Refused("6430", "Invalid account type", text, name)
                row[name] = ref(account["Id"], account["FullyQualifiedName"])
    for name in ("UnitPrice", "PurchaseCost", "QtyOnHand"):
        value = check.amount_of(row, name)
        row[name] = plain(value) if value is not None else 0
    row.setdefault("Taxable", True)
    row["TrackQtyOnHand"] = kind == "Inventory"
    if kind == "Inventory":
        if "AssetAccountRef" not in row:
            text = fault.NO_ASSET
            raise fault.Refused("2020", fault.MISSING, text, "AssetAccountRef")
        for name in ("ExpenseAccountRef", "InvStartDate"):
            if name not in row:
                raise fault.missing(name)
        if old is not None:
            row["QtyOnHand"] = old["QtyOnHand"]
    else:
        row.pop("QtyOnHand")
    if row["PurchaseCost"] == 0 and kind != "Inventory" and "ExpenseAccountRef" not in row:
        row.pop("PurchaseCost")


def _opening(file: CompanyFile, item: Row) -> None:
    """An inventory item starts with stock against opening balance equity."""
    if item["Type"] != "Inventory" or not item.get("QtyOnHand"):
        return
    value = kopecks(cents(Decimal(str(item["QtyOnHand"])) * Decimal(str(item["PurchaseCost"]))))
    if value:
        number = str(file.books.number("txn"))
        asset, equity = id_of(item["AssetAccountRef"]), file.settings["accounts"]["equity"]
        entries = (Entry(asset, value, value, "", item["Id"]), Entry(equity, -value, -value))
        file.ledger.post(
            number, Posting(item["InvStartDate"], "Inventory Starting Value", "START", entries, ())
        )


def receive(file: CompanyFile, item: Row, quantity: Decimal, cost: Decimal, day: str) -> Row:
    """Goods of an inventory item come in and are owed for; the item as it is then."""
    value = kopecks(cents(quantity * cost))
    accounts = file.settings["accounts"]
    entries = (
        Entry(id_of(item["AssetAccountRef"]), value, value, "", item["Id"]),
        Entry(accounts["ap"], -value, -value),
    )
    file.ledger.post(str(file.books.number("txn")), Posting(day, "Bill", "", entries, ()))
    return file.stocked(item, quantity)


def _account(file: CompanyFile, row: Row, old: Row | None) -> None:
    kind = row.get("AccountType")
    if not kind and not row.get("AccountSubType"):
        text = "Invalid Account.AccountType && Account.SubType : either must be specified"
        raise fault.Refused("6010", "Invalid Account.AccountType && Account.SubType", text, "AccountType")
    if kind not in CLASSES:
        raise fault.Refused("2170", "Invalid Enumeration", f"Invalid Enumeration : {kind}", "AccountType")
    row["Classification"] = CLASSES[kind]
    row.setdefault("AccountSubType", str(kind).replace(" ", ""))
    row.setdefault("CurrentBalance", 0)
    row.setdefault("CurrentBalanceWithSubAccounts", 0)
    row["CurrencyRef"] = check.currency_ref(id_of(row.get("CurrencyRef")) or file.home)


def _term(file: CompanyFile, row: Row, old: Row | None) -> None:
    row.setdefault("Type", "STANDARD")


def _nothing(file: CompanyFile, row: Row, old: Row | None) -> None:
    return


_CHECKS: Final = {"Customer": _customer, "Vendor": _vendor, "Item": _item, "Account": _account, "Term": _term}
