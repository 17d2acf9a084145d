"""Payments of customers: what they settle, what stays unapplied, and how they are posted.

A line settles an invoice, or uses up a credit memo; lines of credit memos add to what the payment brings.
Money goes to DepositToAccountRef (Undeposited Funds where none is said), receivables are credited at the
rate of the document that is paid, and the difference of rates is exchange gain or loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from sandbox.accounting.quickbooks import check, fault
from sandbox.accounting.quickbooks.file import CompanyFile
from sandbox.accounting.quickbooks.kinds import KINDS
from sandbox.accounting.quickbooks.ledger import Applied, Entry, Posting
from sandbox.accounting.quickbooks.sales import settle
from sandbox.accounting.quickbooks.values import Row, cents, id_of, kopecks, money, ref, shown

PAYABLE: Final = ("Invoice", "CreditMemo")


def write(file: CompanyFile, body: Mapping[str, Any], old: Row | None) -> Row:
    """Save a new or changed payment. Raises Refused; then nothing changed."""
    row = check.merged(KINDS["Payment"], old, body)
    check.lengths(row)
    day = check.dated(file, row)
    if "CustomerRef" not in row:
        raise fault.missing("CustomerRef")
    customer = check.referred(file, "Customer", row["CustomerRef"], old=(old or {}).get("CustomerRef"))
    row["CustomerRef"] = check.reference_to("Customer", customer)
    total = check.amount_of(row, "TotalAmt")
    if total is None:
        raise fault.business("You must set a transaction amount.")
    total = cents(total)
    if total < 0:
        raise fault.business("Transaction amount must be 0 or greater.")
    _, rate = check.currency(file, row, customer)
    account = row.get("DepositToAccountRef") or ref(file.settings["accounts"]["undeposited"])
    found = check.referred(file, "Account", account, old=(old or {}).get("DepositToAccountRef"))
    row["DepositToAccountRef"] = ref(found["Id"])
    if "PaymentMethodRef" in row:
        row["PaymentMethodRef"] = ref(check.referred(file, "PaymentMethod", row["PaymentMethodRef"])["Id"])
    check.open_day(file, day, (old or {}).get("TxnDate"))
    links = _links(file, row, customer, old)
    settled = sum((amount if kind == "Invoice" else -amount for _, kind, amount in links), Decimal(0))
    if settled > total:
        raise fault.business(
            "The amount applied to transactions is more than the amount received.", "TotalAmt"
        )
    row.update(TotalAmt=shown(total), UnappliedAmt=shown(total - settled))
    row.setdefault("ProcessPayment", False)
    row["Line"] = [
        {"Amount": shown(amount), "LinkedTxn": [{"TxnId": target["Id"], "TxnType": kind}]}
        for target, kind, amount in links
    ]
    saved = file.create("Payment", row) if old is None else file.change("Payment", row)
    before = _targets(file, saved["Id"])
    file.ledger.unpost(saved["Id"])
    _post(file, saved, total, rate, links)
    _follow(file, [*before, *((target["Id"], kind) for target, kind, _ in links)], saved, old)
    return saved


def void(file: CompanyFile, row: Row) -> Row:
    """Set a payment's amounts to nothing; what it settled is open again."""
    check.open_day(file, row["TxnDate"])
    targets = _targets(file, row["Id"])
    file.ledger.unpost(row["Id"])
    row = {**row, "TotalAmt": 0, "UnappliedAmt": 0, "Line": [], "PrivateNote": voided_note(file, row)}
    saved = file.change("Payment", row, what="Void")
    _follow(file, targets, saved, row)
    return saved


def delete(file: CompanyFile, row: Row) -> None:
    check.open_day(file, row["TxnDate"])
    targets = _targets(file, row["Id"])
    file.ledger.unpost(row["Id"])
    file.remove("Payment", row["Id"])
    _follow(file, targets, row, row)


def release(file: CompanyFile, target: str) -> None:
    """Take every payment off a document: its lines go, the money stays unapplied."""
    payers = list(file.ledger.settled.get(target, {}))
    check.open_day(file, *(file.shelves["Payment"].rows[key]["TxnDate"] for key in payers))
    for key in payers:
        payment = file.get("Payment", key)
        if payment is None:
            continue
        lines = [line for line in payment["Line"] if line["LinkedTxn"][0]["TxnId"] != target]
        write(file, {"Line": lines, "sparse": True}, payment)


def voided_note(file: CompanyFile, row: Row) -> str:
    note = str(row.get("PrivateNote") or "")
    return f"Voided - {note}" if note and file.options.void_note == "prepend" else "Voided"


def _links(file: CompanyFile, row: Row, customer: Row, old: Row | None) -> list[tuple[Row, str, Decimal]]:
    """What the lines settle: documents with the amount of each, one entry for each document."""
    found: dict[str, tuple[Row, str, Decimal]] = {}
    for line in row.get("Line") or []:
        amount = check.amount_of(line, "Amount", "Line.Amount")
        linked = line.get("LinkedTxn") or []
        if not linked:
            raise fault.missing("LinkedTxn")
        if amount is None:
            raise fault.missing("Line.Amount")
        for link in linked:
            key, kind = str(link.get("TxnId") or ""), str(link.get("TxnType") or "")
            target = file.get(kind, key) if kind in PAYABLE else None
            if target is None:
                raise (
                    fault.deleted_meanwhile()
                    if kind in PAYABLE and file.was_deleted(kind, key)
                    else fault.unknown_reference("Txns", key)
                )
            if id_of(target["CustomerRef"]) != customer["Id"]:
                raise fault.Refused(
                    "620", "Txn ID Cannot Be Linked", f"Transaction ID {key} cannot be linked.", "LinkedTxn"
                )
            before = found.get(key, (target, kind, Decimal(0)))[2]
            found[key] = (target, kind, before + cents(amount))
    for key, (target, kind, amount) in found.items():
        own = file.ledger.settled.get(key, {}).get(old["Id"]) if old else None
        balance = Decimal(str(target["Balance"])) + (money(own.foreign) if own else Decimal(0))
        if amount < 0:
            raise fault.business("The amount applied to a transaction must be 0 or greater.", "Line.Amount")
        if amount > balance:
            if file.options.overapply == "refuse":
                raise fault.business(
                    "The amount applied is more than the open balance of the transaction.", "Line.Amount"
                )
            found[key] = (target, kind, balance)
    return list(found.values())


def _post(
    file: CompanyFile, row: Row, total: Decimal, rate: Decimal, links: list[tuple[Row, str, Decimal]]
) -> None:
    accounts, customer = file.settings["accounts"], id_of(row["CustomerRef"])
    receivable = accounts[f"ar:{id_of(row['CurrencyRef'])}"]
    entries = [Entry(id_of(row["DepositToAccountRef"]), kopecks(cents(total * rate)), kopecks(total))]
    applied: list[Applied] = []
    rest = total
    for target, kind, amount in links:
        sign = 1 if kind == "Invoice" else -1
        foreign, home = file.ledger.applied_to(target["Id"])
        document_rate = Decimal(str(target.get("ExchangeRate", 1)))
        whole = Decimal(str(target["TotalAmt"]))
        value = kopecks(cents(amount * document_rate))
        if foreign + kopecks(amount) == kopecks(whole):
            value = kopecks(cents(whole * document_rate)) - home  # what is left, so that no kopeck stays open
        applied.append(Applied(target["Id"], kopecks(amount), value))
        entries.append(
            Entry(
                receivable, -sign * value, -sign * kopecks(amount), customer, "", row.get("PrivateNote", "")
            )
        )
        rest -= sign * amount
    if rest:
        entries.append(Entry(receivable, -kopecks(cents(rest * rate)), -kopecks(rest), customer))
    difference = sum(entry.home for entry in entries)
    if difference:
        entries.append(Entry(accounts["gain"], -difference, 0))
    if not any(entry.home or entry.foreign for entry in entries) and not applied:
        return
    number = str(row.get("PaymentRefNum", ""))
    file.ledger.post(row["Id"], Posting(row["TxnDate"], "Payment", number, tuple(entries), tuple(applied)))


def _targets(file: CompanyFile, key: str) -> list[tuple[str, str]]:
    posting = file.ledger.postings.get(key)
    if posting is None:
        return []
    return [
        (one.target, "Invoice" if file.get("Invoice", one.target) else "CreditMemo")
        for one in posting.applied
    ]


def _follow(file: CompanyFile, targets: Iterable[tuple[str, str]], row: Row, old: Row | None) -> None:
    """Balances of the documents and the customers that a payment touched."""
    for key, kind in dict.fromkeys(targets):
        document = file.get(kind, key)
        if document is None:
            continue
        changed = dict(document)
        if settle(file, kind, changed):
            how = file.options.payment_touches
            if how != "nothing":
                file.change(kind, changed, token=how == "token")
    for key in {id_of(row["CustomerRef"]), id_of((old or row)["CustomerRef"])}:
        file.follow_customer(key)
