"""Sales forms: Invoice, Estimate, CreditMemo, SalesReceipt, RefundReceipt; checked, totalled and posted.

A form posts when it is saved; there is no draft. An estimate posts nothing. What a form does to the ledger:

    Invoice        debit receivables            credit income of the items, tax
    CreditMemo     debit income, tax            credit receivables
    SalesReceipt   debit the deposit account    credit income, tax
    RefundReceipt  debit income, tax            credit the deposit account
    inventory      debit cost of goods sold, credit inventory asset at cost (the other way for returns)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from sandbox.accounting.quickbooks import check, fault
from sandbox.accounting.quickbooks.file import CompanyFile
from sandbox.accounting.quickbooks.kinds import KINDS
from sandbox.accounting.quickbooks.ledger import Entry, Posting
from sandbox.accounting.quickbooks.lines import Totals, total_up
from sandbox.accounting.quickbooks.values import Row, cents, id_of, kopecks, money, ref, shown

DUE_DAYS: Final = 30
STATUSES: Final = ("Pending", "Accepted", "Closed", "Rejected", "Converted")
SIGNS: Final = {"Invoice": 1, "SalesReceipt": 1, "CreditMemo": -1, "RefundReceipt": -1, "Estimate": 0}
UNIQUE: Final = ("Invoice", "CreditMemo", "SalesReceipt", "RefundReceipt")
ORDER: Final = [
    "AllowIPNPayment",
    "AllowOnlinePayment",
    "AllowOnlineCreditCardPayment",
    "AllowOnlineACHPayment",
    "domain",
    "sparse",
    "Id",
    "SyncToken",
    "MetaData",
    "CustomField",
    "DocNumber",
    "TxnDate",
    "DepartmentRef",
    "CurrencyRef",
    "ExchangeRate",
    "PrivateNote",
    "TxnStatus",
    "LinkedTxn",
    "Line",
    "TxnTaxDetail",
    "CustomerRef",
    "CustomerMemo",
    "BillAddr",
    "ShipAddr",
    "SalesTermRef",
    "DueDate",
    "TotalAmt",
    "HomeTotalAmt",
    "ApplyTaxAfterDiscount",
    "PrintStatus",
    "EmailStatus",
    "BillEmail",
    "Balance",
    "HomeBalance",
]


def write(
    file: CompanyFile, name: str, body: Mapping[str, Any], old: Row | None, *, duplicates: bool = False
) -> Row:
    """Save a new or changed form. `duplicates` lets a number be used twice. Raises Refused; then nothing changed."""
    kind = KINDS[name]
    row = check.merged(kind, old, body)
    if "TxnTaxDetail" not in body and (old is None or body.keys() & {"Line", "GlobalTaxCalculation"}):
        row.pop("TxnTaxDetail", None)  # taxes that once were sent stand while nobody touches the lines
    check.lengths(row)
    day = check.dated(file, row)
    customer = _customer(file, name, row, old)
    check.currency(file, row, customer)
    for field, target in (("ClassRef", "Class"), ("DepartmentRef", "Department"), ("SalesTermRef", "Term")):
        if field in row:
            found = check.referred(file, target, row[field], old=(old or {}).get(field))
            row[field] = check.reference_to(target, found)
    totals = total_up(file, row, old)
    if SIGNS[name]:  # the closing date bars what posts
        check.open_day(file, day, (old or {}).get("TxnDate"))
    _number(file, name, row, body, old, duplicates)
    _dress(file, name, row, customer, old)
    paid = file.ledger.applied_to(old["Id"])[0] if old else 0
    if old and kopecks(totals.total) < paid:
        raise fault.business(
            "The amount of this transaction is less than the payments that are applied to it."
        )
    if old and paid and id_of(row.get("CustomerRef")) != id_of(old.get("CustomerRef")):
        raise fault.business("You can't change the customer of a transaction that payments are applied to.")
    _link_estimates(file, name, row, body)
    if old is None:
        saved = file.create(name, _in_order(row))
    else:
        saved = file.change(name, _in_order({**row, "Id": old["Id"], "MetaData": old["MetaData"]}))
    post(file, name, saved, totals)
    settle(file, name, saved)
    _follow(file, old, saved)
    return saved


def post(file: CompanyFile, name: str, row: Row, totals: Totals) -> None:
    """Write the entries of a form, kopeck-exact in home currency; the rounding of a rate goes to the largest line."""
    sign = SIGNS[name]
    if not sign:
        return
    accounts, rate = file.settings["accounts"], Decimal(str(row.get("ExchangeRate", 1)))
    customer = id_of(row.get("CustomerRef"))
    code = id_of(row.get("CurrencyRef")) or file.home
    total = totals.total
    money_to = (
        accounts[f"ar:{code}"] if name in ("Invoice", "CreditMemo") else id_of(row.get("DepositToAccountRef"))
    )
    entries = [
        Entry(
            money_to,
            sign * kopecks(cents(total * rate)),
            sign * kopecks(total),
            customer,
            "",
            row.get("PrivateNote", ""),
        )
    ]
    income: list[Entry] = []
    for one in totals.sold:
        account = id_of(one.item.get("IncomeAccountRef")) or accounts["income"]
        income.append(
            Entry(
                account,
                -sign * kopecks(cents(one.net * rate)),
                -sign * kopecks(one.net),
                customer,
                one.item["Id"],
            )
        )
    if totals.discount:
        account = accounts["discount"]
        entries.append(
            Entry(
                account,
                sign * kopecks(cents(totals.discount * rate)),
                sign * kopecks(totals.discount),
                customer,
            )
        )
    for _, tax in totals.rates.values():
        if tax:
            entries.append(
                Entry(accounts["tax"], -sign * kopecks(cents(tax * rate)), -sign * kopecks(tax), customer)
            )
    rest = sum(entry.home for entry in (*entries, *income))
    if rest:
        largest = max(range(len(income)), key=lambda place: abs(income[place].home)) if income else -1
        if largest >= 0:
            income[largest] = income[largest]._replace(home=income[largest].home - rest)
        else:
            entries.append(Entry(accounts["gain"], -rest, 0))
    entries += income
    for one in totals.sold:
        if one.item["Type"] == "Inventory":
            cost = sign * kopecks(cents(one.quantity * Decimal(str(one.item.get("PurchaseCost") or 0))))
            if cost:
                expense = id_of(one.item.get("ExpenseAccountRef")) or accounts["cost"]
                asset = id_of(one.item.get("AssetAccountRef")) or accounts["stock"]
                entries += [
                    Entry(expense, cost, cost, customer, one.item["Id"]),
                    Entry(asset, -cost, -cost, "", one.item["Id"]),
                ]
    _restock(file, row["Id"], totals, sign)
    file.ledger.post(row["Id"], Posting(row["TxnDate"], name, row.get("DocNumber", ""), tuple(entries), ()))


def unpost(file: CompanyFile, row: Row) -> None:
    """Take the entries of a form back, and its goods with them."""
    _restock(file, row["Id"], Totals(), 0)
    file.ledger.unpost(row["Id"])


def _restock(file: CompanyFile, key: str, totals: Totals, sign: int) -> None:
    """Stock on hand follows what a form moves now, less what it moved before."""
    moves = file.books.rows("moves")
    before = {item: Decimal(text) for item, text in moves.get(key, {}).items()}
    now: dict[str, Decimal] = {}
    for one in totals.sold:
        if one.item["Type"] == "Inventory":
            now[one.item["Id"]] = now.get(one.item["Id"], Decimal(0)) - sign * one.quantity
    for item in {*before, *now}:
        row = file.get("Item", item)
        difference = now.get(item, Decimal(0)) - before.get(item, Decimal(0))
        if row is not None and difference:
            file.stocked(row, difference)
    if now:
        moves.put(key, {item: str(quantity) for item, quantity in now.items()})
    elif key in moves:
        moves.delete(key)


def settle(file: CompanyFile, name: str, row: Row) -> bool:
    """Write what is still open on a form, and who paid; True when that changed. The record is put, not touched."""
    total = Decimal(str(row["TotalAmt"]))
    changes: Row = {}
    if name in ("Invoice", "CreditMemo"):
        foreign, home = file.ledger.applied_to(row["Id"])
        balance = shown(total - money(foreign))
        changes["Balance"] = balance
        if name == "CreditMemo":
            changes["RemainingCredit"] = balance
        if id_of(row.get("CurrencyRef")) != file.home:
            rate = Decimal(str(row.get("ExchangeRate", 1)))
            changes["HomeTotalAmt"] = shown(cents(total * rate))
            changes["HomeBalance"] = shown(cents(total * rate) - money(home))
        estimates = [link for link in row.get("LinkedTxn", ()) if link.get("TxnType") == "Estimate"]
        payers = file.ledger.settled.get(row["Id"], {})
        changes["LinkedTxn"] = estimates + [
            {"TxnId": key, "TxnType": "Payment"} for key in sorted(payers, key=int)
        ]
    elif name != "Estimate":
        changes["Balance"] = 0
    if all(row.get(field) == value for field, value in changes.items()):
        return False
    row.update(changes)
    file.shelves[name].put(row)
    return True


def _customer(file: CompanyFile, name: str, row: Row, old: Row | None) -> Row | None:
    if "CustomerRef" not in row:
        if name in ("Invoice", "CreditMemo", "Estimate"):
            raise fault.missing("CustomerRef")
        return None
    found = check.referred(file, "Customer", row["CustomerRef"], old=(old or {}).get("CustomerRef"))
    row["CustomerRef"] = check.reference_to("Customer", found)
    return found


def _number(
    file: CompanyFile, name: str, row: Row, body: Mapping[str, Any], old: Row | None, duplicates: bool
) -> None:
    custom = file.options.custom_numbers
    said = str(body.get("DocNumber") or "")
    if not custom and (not said or file.options.numbers_when_off == "assigned"):
        row["DocNumber"] = (
            old["DocNumber"] if old and old.get("DocNumber") else str(1000 + file.books.number("docnumber"))
        )
        return
    if said and custom and file.options.unique_numbers and not duplicates and name in UNIQUE:
        for key in file.shelves[name].found("DocNumber", said):
            if old is None or key != old["Id"]:
                raise fault.number_taken(said, name, key)


def _dress(file: CompanyFile, name: str, row: Row, customer: Row | None, old: Row | None) -> None:
    """Fill in what the service fills in."""
    if name == "Invoice":
        for field in (
            "AllowIPNPayment",
            "AllowOnlinePayment",
            "AllowOnlineCreditCardPayment",
            "AllowOnlineACHPayment",
        ):
            row.setdefault(field, False)
    if name in ("Invoice", "Estimate"):
        row.setdefault("LinkedTxn", [])
    if name == "Invoice" and "DueDate" not in row:
        term = file.get("Term", id_of(row.get("SalesTermRef"))) if "SalesTermRef" in row else None
        days = int(term.get("DueDays", DUE_DAYS)) if term else DUE_DAYS
        row["DueDate"] = (date.fromisoformat(row["TxnDate"]) + timedelta(days=days)).isoformat()
    if name == "Estimate":
        status = row.setdefault("TxnStatus", "Pending")
        if status not in STATUSES:
            raise fault.Refused("2170", "Invalid Enumeration", f"Invalid Enumeration : {status}", "TxnStatus")
    if name in ("SalesReceipt", "RefundReceipt"):
        account = row.get("DepositToAccountRef") or ref(file.settings["accounts"]["undeposited"])
        if name == "RefundReceipt" and "DepositToAccountRef" not in row:
            raise fault.missing("DepositToAccountRef")
        found = check.referred(file, "Account", account, old=(old or {}).get("DepositToAccountRef"))
        row["DepositToAccountRef"] = check.reference_to("Account", found)
    row.setdefault("CustomField", [{"DefinitionId": "1", "Name": "CRM", "Type": "StringType"}])
    for one in row["CustomField"]:
        text = str(one.get("StringValue") or "")
        if len(text) > 31:
            raise fault.too_long("CustomField.StringValue", 0, 31, len(text))
    if customer is not None:
        for field in ("BillAddr", "ShipAddr"):
            if field in customer:
                row.setdefault(field, customer[field])
        if "PrimaryEmailAddr" in customer and name != "CreditMemo":
            row.setdefault("BillEmail", customer["PrimaryEmailAddr"])
    row.setdefault("ApplyTaxAfterDiscount", False)
    row.setdefault("PrintStatus", "NeedToPrint")
    row.setdefault("EmailStatus", "NotSet")
    if row["EmailStatus"] == "NeedToSend" and "BillEmail" not in row:
        raise fault.missing("BillEmail")


def _link_estimates(file: CompanyFile, name: str, row: Row, body: Mapping[str, Any]) -> None:
    """An invoice made of an estimate names it, and closes it."""
    if name != "Invoice" or not isinstance(body.get("LinkedTxn"), list):
        return
    row["LinkedTxn"] = []
    for link in body["LinkedTxn"]:
        if not isinstance(link, Mapping) or link.get("TxnType") != "Estimate":
            continue
        estimate = file.get("Estimate", str(link.get("TxnId")))
        if estimate is None or id_of(estimate["CustomerRef"]) != id_of(row["CustomerRef"]):
            raise fault.Refused(
                "620", "Txn ID Cannot Be Linked", f"Transaction ID {link.get('TxnId')} cannot be linked."
            )
        row["LinkedTxn"].append({"TxnId": estimate["Id"], "TxnType": "Estimate"})
        if estimate.get("TxnStatus") != "Closed":
            file.change("Estimate", {**estimate, "TxnStatus": "Closed"})


def _follow(file: CompanyFile, old: Row | None, saved: Row) -> None:
    for key in {id_of(saved.get("CustomerRef")), id_of((old or {}).get("CustomerRef"))} - {""}:
        file.follow_customer(key)


def _in_order(row: Row) -> Row:
    """The fields in the order in which the service gives them."""
    known = {name: row[name] for name in ORDER if name in row}
    return {**known, **{name: value for name, value in row.items() if name not in known}}
