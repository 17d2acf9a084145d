"""Journal entries: lines of debit and credit that must balance, with a customer where receivables stand."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from sandbox.accounting.quickbooks import check, fault
from sandbox.accounting.quickbooks.file import CompanyFile
from sandbox.accounting.quickbooks.kinds import KINDS
from sandbox.accounting.quickbooks.ledger import Entry, Posting
from sandbox.accounting.quickbooks.values import Row, cents, id_of, kopecks, ref, shown

DETAIL: Final = "JournalEntryLineDetail"
SIDES: Final = {"Debit": 1, "Credit": -1}


def write(file: CompanyFile, body: Mapping[str, Any], old: Row | None, *, duplicates: bool = False) -> Row:
    """Save a new or changed journal entry. Raises Refused; then nothing changed."""
    row = check.merged(KINDS["JournalEntry"], old, body)
    check.lengths(row)
    day = check.dated(file, row)
    said = row.get("Line")
    if not isinstance(said, list) or not said:
        raise fault.missing("Line")
    _, rate = check.currency(file, row, None)
    entries: list[Entry] = []
    lines: list[Row] = []
    total = Decimal(0)
    for place, line in enumerate(said):
        if line.get("DetailType") == "DescriptionOnly":
            continue
        entry, written = _line(file, line, rate, place)
        entries.append(entry)
        lines.append(written)
        total += Decimal(entry.foreign).scaleb(-2) if entry.foreign > 0 else 0
    if len(lines) < 2:
        raise fault.business("Fill out at least two detail lines to continue.")
    if sum(entry.foreign for entry in entries):
        raise fault.business("Please balance debits and credits.")
    rest = sum(entry.home for entry in entries)
    if rest:  # the rounding of a rate
        place = max(range(len(entries)), key=lambda one: abs(entries[one].home))
        entries[place] = entries[place]._replace(home=entries[place].home - rest)
    check.open_day(file, day, (old or {}).get("TxnDate"))
    number = str(body.get("DocNumber") or "")
    if number and file.options.unique_numbers and not duplicates:
        for key in file.shelves["JournalEntry"].found("DocNumber", number):
            if old is None or key != old["Id"]:
                raise fault.number_taken(number, "Journal Entry", key)
    if "DocNumber" not in row and not file.options.custom_numbers:
        row["DocNumber"] = str(file.books.number("journalnumber"))
    row.setdefault("Adjustment", False)
    row.update(Line=lines, TxnTaxDetail={}, TotalAmt=shown(total))
    saved = file.create("JournalEntry", row) if old is None else file.change("JournalEntry", row)
    before = file.ledger.postings.get(saved["Id"])
    posting = Posting(day, "JournalEntry", str(saved.get("DocNumber", "")), tuple(entries), ())
    file.ledger.post(saved["Id"], posting)
    for key in {entry.name for entry in (*entries, *(before.entries if before else ())) if entry.name}:
        file.follow_customer(key)
    return saved


def delete(file: CompanyFile, row: Row) -> None:
    check.open_day(file, row["TxnDate"])
    before = file.ledger.postings.get(row["Id"])
    file.ledger.unpost(row["Id"])
    file.remove("JournalEntry", row["Id"])
    for key in {entry.name for entry in (before.entries if before else ()) if entry.name}:
        file.follow_customer(key)


def _line(file: CompanyFile, line: Row, rate: Decimal, place: int) -> tuple[Entry, Row]:
    detail = dict(line.get(DETAIL) or {})
    if line.get("DetailType") != DETAIL:
        raise fault.missing("Line.DetailType")
    amount = check.amount_of(line, "Amount", "Line.Amount")
    if amount is None:
        raise fault.missing("Line.Amount")
    if amount < 0:
        raise fault.Refused(
            "2290",
            "NegativeAmount",
            "Negative amounts are not supported on transaction lines.",
            "Line.Amount",
        )
    side = detail.get("PostingType")
    if side not in SIDES:
        raise fault.Refused(
            "2260",
            "MissingPostingType",
            "A posting type is required. Valid values are Credit or Debit.",
            "PostingType",
        )
    if "AccountRef" not in detail:
        raise fault.missing("AccountRef")
    account = check.referred(file, "Account", detail["AccountRef"])
    entity = detail.get("Entity") or {}
    kind, name = str(entity.get("Type") or "Customer"), id_of(entity.get("EntityRef"))
    for wanted, who, what in (
        ("Accounts Receivable", "Customer", "Accounts Receivable, you must choose a customer"),
        ("Accounts Payable", "Vendor", "Accounts Payable, you must choose a vendor"),
    ):
        if account["AccountType"] == wanted and (not name or kind != who):
            raise fault.business(f"When you use {what} in the Name field.")
    if name:
        found = check.referred(file, kind, entity["EntityRef"])
        detail["Entity"] = {"Type": kind, "EntityRef": check.reference_to(kind, found)}
    detail["AccountRef"] = ref(account["Id"], account["FullyQualifiedName"])
    sign = SIDES[side]
    amount = cents(amount)
    entry = Entry(
        account["Id"], sign * kopecks(cents(amount * rate)), sign * kopecks(amount), name if kind == "Customer" else "", "",
        str(line.get("Description") or ""),
    )  # fmt: skip
    written = {"Id": str(line.get("Id") or place), "Description": line.get("Description"), "Amount": shown(amount),
               "DetailType": DETAIL, DETAIL: detail}  # fmt: skip
    return entry, {key: value for key, value in written.items() if value is not None}
