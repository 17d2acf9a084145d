"""Writes as they come in: create, update (sparse or whole), void, delete, merge; singly and in batches.

POST /{kind} creates without an Id and updates with one; `operation=delete|void` and `operation=update` with
`include=void` are the rest. A requestid in the address makes a repeat answer with the first answer for a
while; items of a batch have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sandbox.accounting.quickbooks import check, fault, journal, names, payments, reading, sales
from sandbox.accounting.quickbooks.fault import Refused
from sandbox.accounting.quickbooks.file import CompanyFile
from sandbox.accounting.quickbooks.kinds import BY_LOWER, KINDS, NAMES, SALES, VOIDABLE, Kind
from sandbox.accounting.quickbooks.query import parse
from sandbox.accounting.quickbooks.values import Row

ID_LENGTH: Final = 50
MOST_REMEMBERED: Final = 20_000
"""First answers that are kept; the oldest go first."""
RESERVED: Final = ("bId", "operation", "optionsData", "Query")


def write(file: CompanyFile, kind: Kind, body: Any, operation: str = "", include: str = "") -> Row:
    """One write and the record as it stands after it. Raises Refused; then nothing changed."""
    if not isinstance(body, Mapping):
        raise fault.bad_property(str(body)[:40], kind.name, len(kind.fields))
    if not kind.writes or kind.name in _denied(file):
        if kind.name in _denied(file):
            raise Refused(
                "5020",
                "Permission Denied",
                f"Permission Denied : You don't have permission to access {kind.name}.",
            )
        raise fault.not_supported(f"create {kind.name}")
    if operation not in ("", "create", "update", "delete", "void"):
        raise fault.not_supported(operation)
    check.known_fields(kind, body)
    _unlocked(file, kind, body)
    if operation == "delete":
        return delete(file, kind, _old(file, kind, body), body)
    if operation == "void" or include == "void":
        return void(file, kind, _old(file, kind, body), body)
    duplicates = "allowduplicatedocnum" in include
    key = body.get("Id")
    if key in (None, "") or operation == "create":
        return _saved(file, kind, body, None, duplicates)
    old = _old(file, kind, body)
    check.fresh(file, old, body)
    return _saved(file, kind, body, old, duplicates)


def delete(file: CompanyFile, kind: Kind, old: Row, body: Mapping[str, Any]) -> Row:
    if kind.mode != "txn":
        raise fault.not_supported(f"delete {kind.name}")
    check.fresh(file, old, body)
    if kind.name != "Estimate":
        check.open_day(file, old["TxnDate"])
    if kind.name == "Payment":
        payments.delete(file, old)
    elif kind.name == "JournalEntry":
        journal.delete(file, old)
    else:
        if old["Id"] in file.ledger.settled:
            text = "You must unlink any linked transactions associated with this object before deleting it."
            raise fault.business(text)
        sales.unpost(file, old)
        file.remove(kind.name, old["Id"])
        file.follow_customer(old.get("CustomerRef", {}).get("value", ""))
    return {"domain": "QBO", "status": "Deleted", "Id": old["Id"]}


def void(file: CompanyFile, kind: Kind, old: Row, body: Mapping[str, Any]) -> Row:
    """Amounts to nothing, "Voided" into the note; the record and its number stay."""
    if kind.name not in VOIDABLE:
        raise fault.not_supported(f"void {kind.name}")
    check.fresh(file, old, body)
    if kind.name == "Payment":
        return payments.void(file, old)
    check.open_day(file, old["TxnDate"])
    if old["Id"] in file.ledger.settled:
        if file.options.void_linked == "refuse":
            raise fault.business(
                "This transaction is linked to other transactions; unlink them before voiding it."
            )
        payments.release(file, old["Id"])
        old = file.shelves[kind.name].rows[old["Id"]]
    note = payments.voided_note(file, old)
    lines = [_emptied(line) for line in old["Line"]]
    row = {**old, "Line": lines, "TotalAmt": 0, "TxnTaxDetail": {"TotalTax": 0}, "PrivateNote": note}
    if "HomeTotalAmt" in row:
        row["HomeTotalAmt"] = 0
    saved = file.change(kind.name, row, what="Void")
    sales.unpost(file, saved)
    sales.settle(file, kind.name, saved)
    file.follow_customer(saved.get("CustomerRef", {}).get("value", ""))
    return saved


def merge(file: CompanyFile, loser: Row, winner: Row) -> None:
    """Two customers become one, as a person does it: every document of the loser is the winner's from then on."""
    for name in (*SALES, "Payment"):
        shelf = file.shelves[name]
        for key in list(shelf.found("CustomerRef", loser["Id"])):
            file.change(name, {**shelf.rows[key], "CustomerRef": check.reference_to("Customer", winner)})
    for key, posting in list(file.ledger.postings.items()):
        if any(entry.name == loser["Id"] for entry in posting.entries):
            moved = tuple(
                e._replace(name=winner["Id"]) if e.name == loser["Id"] else e for e in posting.entries
            )
            file.ledger.post(key, posting._replace(entries=moved))
    if file.options.merged_in_cdc == "deleted":
        file.remove("Customer", loser["Id"], what="Merge", winner=winner["Id"])
    else:
        title = f"{loser['DisplayName']}{names.DELETED}"
        file.change(
            "Customer",
            {**loser, "Active": False, "DisplayName": title, "Balance": 0, "BalanceWithJobs": 0},
            what="Merge",
        )
    file.follow_customer(winner["Id"])


def batch(file: CompanyFile, body: Any, user_query: Any = None) -> Row:
    """Items one after another, each with its own answer; a fault of one leaves the others alone."""
    items = body.get("BatchItemRequest") if isinstance(body, Mapping) else None
    if not isinstance(items, list):
        raise fault.missing("BatchItemRequest")
    most = file.options.batch_most
    if len(items) > most:
        text = f"Batch size exceeds allowed limit : {len(items)} items; at most {most} are allowed in a batch"
        raise Refused("1040", "Batch size exceeds allowed limit", text, None)
    born: set[tuple[str, str]] = set()
    answers = []
    for item in items:
        try:
            said = _item(file, item, born)
        except Refused as refused:
            said = {"Fault": refused.fault()}
        answers.append(
            {**said, "bId": item.get("bId")} if isinstance(item, Mapping) and "bId" in item else said
        )
    return {"BatchItemResponse": answers}


def _item(file: CompanyFile, item: Any, born: set[tuple[str, str]]) -> Row:
    if not isinstance(item, Mapping):
        raise fault.missing("bId")
    if "Query" in item:
        return {"QueryResponse": reading.answer(file, parse(str(item["Query"])))}
    said = [name for name in item if name not in RESERVED]
    kind = BY_LOWER.get(said[0].lower()) if len(said) == 1 else None
    if kind is None:
        name = said[0] if said else ""
        raise Refused(
            "2000", "Invalid or unsupported object name", f"Invalid or unsupported object name : {name}", None
        )
    body, operation = item[said[0]], str(item.get("operation") or "create")
    if operation not in ("create", "update", "delete", "void"):
        raise fault.not_supported(operation)
    options = item.get("optionsData") or ""
    include = ",".join(options) if isinstance(options, list) else str(options)
    if operation == "create" and isinstance(body, Mapping):
        body = {name: value for name, value in body.items() if name not in ("Id", "SyncToken")}
    elif isinstance(body, Mapping) and (kind.name, str(body.get("Id"))) in born:
        raise fault.not_found()  # items do not see what the same batch made
    row = write(file, kind, body, operation, include)
    if operation == "create":
        born.add((kind.name, row["Id"]))
    return {kind.name: shown(file, kind, row)}


def shown(file: CompanyFile, kind: Kind, row: Row) -> Any:
    """A written record as the answer gives it; of a transaction its bytes, which serve its readers too."""
    if kind.mode == "txn" and row.get("status") != "Deleted":
        return file.shelves[kind.name].encoded(row["Id"])
    return reading.show(file, kind.name, row)


def remember(file: CompanyFile, key: str, answer: bytes) -> None:
    """Keep the first answer to a requestid."""
    rows = file.books.rows("requestid")
    while len(rows) >= MOST_REMEMBERED:
        rows.delete(next(iter(rows)))
    rows.put(key, {"at": file.now(), "body": answer.decode()})


def remembered(file: CompanyFile, key: str) -> bytes | None:
    row = file.books.rows("requestid").get(key)
    if row is None or file.now() - row["at"] > file.options.requestid_seconds:
        return None
    return str(row["body"]).encode()


def request_id(said: str) -> str:
    """A requestid of the address. Raises Refused (2130) for one that is too long."""
    if len(said) > ID_LENGTH:
        raise Refused(
            "2130",
            "Invalid Request Id Format",
            f"Invalid Request Id Format : at most {ID_LENGTH} characters",
            None,
        )
    return said


def _saved(file: CompanyFile, kind: Kind, body: Mapping[str, Any], old: Row | None, duplicates: bool) -> Row:
    if kind.name in SALES:
        return sales.write(file, kind.name, body, old, duplicates=duplicates)
    if kind.name == "Payment":
        return payments.write(file, body, old)
    if kind.name == "JournalEntry":
        return journal.write(file, body, old, duplicates=duplicates)
    return names.write(file, kind.name, body, old)


def _old(file: CompanyFile, kind: Kind, body: Mapping[str, Any]) -> Row:
    key = str(body.get("Id") or "")
    if not key:
        raise fault.missing("Id")
    if not key.isdigit():
        raise fault.invalid_id(key)
    found = file.get(kind.name, key)
    if found is None:
        raise fault.deleted_meanwhile() if file.was_deleted(kind.name, key) else fault.not_found()
    return found


def _emptied(line: Row) -> Row:
    detail = line.get("SalesItemLineDetail")
    if detail is None:
        return {**line, "Amount": 0} if "Amount" in line else line
    inner = {name: 0 if name in ("Qty", "TaxInclusiveAmt") else value for name, value in detail.items()}
    return {**line, "Amount": 0, "SalesItemLineDetail": inner}


def _denied(file: CompanyFile) -> set[str]:
    said = file.options.denied
    return {name.strip() for name in said.split(",")} if said else set()


def _unlocked(file: CompanyFile, kind: Kind, body: Mapping[str, Any]) -> None:
    """Raises Refused while a user has the record of a name list open: names are edited one at a time."""
    if kind.name in NAMES and f"{kind.name}:{body.get('Id')}" in file.books.rows("lock"):
        raise fault.business("You can only add or edit one name at a time. Please try again.")


__all__ = ["KINDS", "batch", "merge", "remember", "remembered", "request_id", "shown", "write"]
