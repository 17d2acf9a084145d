"""Single acts on order, as a person does them in the vendor's own screens, and the truth of the books.

    {"do": "pay", "document": "12", "amount": "100.00", "date"?, "customer"?, "linked"?: true}
    {"do": "edit", "kind"?, "document", "fields": {...}}     a sparse change with the token of now
    {"do": "void" | "delete" | "reverse", "document"}         reverse: a credit memo of the whole
    {"do": "rename", "document", "name"}, "deactivate", "activate", "merge" {"document", "into"}, kind: Customer
    {"do": "lock" | "unlock", "kind"?, "document"}            a user has the name open
    {"do": "add", "kind", "body": {...}}                      a record entered by hand
    {"do": "price", "document", "price", "date"?}             an item costs something else
    {"do": "receive", "document", "quantity", "cost"?}        goods of an item come in
    {"do": "authorize"}                                       the app is connected anew: {"refresh_token"}
    {"do": "hooks"}                                           {"letters": [{"url", "headers", "body"}]}
    {"option": {"name": value, ...}}                          readings of the documents, see `file.Options`

Amounts are text or numbers. What the service would refuse a person is a ValueError with its text.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from sandbox.accounting.quickbooks import accountant, letters, names, payments, sales, seed, tokens, writing
from sandbox.accounting.quickbooks.file import CompanyFile
from sandbox.accounting.quickbooks.kinds import KINDS, NAMES, SALES
from sandbox.accounting.quickbooks.values import Row, id_of, money

TXNS: Final = (*SALES, "Payment", "JournalEntry")


def do(file: CompanyFile, said: dict[str, Any]) -> Row:
    """Do one act and say what came of it. Raises ValueError and Refused."""
    if "option" in said and said.get("do") in (None, "option"):
        if not isinstance(said["option"], dict):
            raise ValueError('option must be an object: {"option": {"edition": "us"}}')
        chosen = file.choose(said["option"])
        if chosen["edition"] == "us":
            seed.us_taxes(file)
        file.answers.clear()
        return {"options": chosen}
    work = _DEEDS.get(str(said.get("do")))
    if work is None:
        raise ValueError(f"do is {said.get('do')!r}; give one of {', '.join((*_DEEDS, 'option'))}")
    return work(file, said)


def truth(file: CompanyFile) -> Row:
    """{"documents", "payments", "entries", "accounts", "customers", "stock", "prices", "acts", "closed_until",
    "balanced"}."""
    documents, paid = {}, {}
    for name in SALES:
        for key, row in file.shelves[name].rows.items():
            documents[key] = {
                "kind": name, "number": row.get("DocNumber", ""), "date": row["TxnDate"], "customer": id_of(row.get("CustomerRef")),
                "currency": id_of(row.get("CurrencyRef")), "total": str(row["TotalAmt"]), "tax": str(row["TxnTaxDetail"]["TotalTax"]),
                "balance": str(row.get("Balance", "")), "note": row.get("PrivateNote", ""), "token": row["SyncToken"],
            }  # fmt: skip
    for key, row in file.shelves["Payment"].rows.items():
        paid[key] = {
            "date": row["TxnDate"], "customer": id_of(row["CustomerRef"]), "currency": id_of(row["CurrencyRef"]),
            "total": str(row["TotalAmt"]), "unapplied": str(row["UnappliedAmt"]), "note": row.get("PrivateNote", ""),
            "settles": {line["LinkedTxn"][0]["TxnId"]: str(line["Amount"]) for line in row["Line"]},
        }  # fmt: skip
    balances = {key: str(money(amount)) for key, amount in file.ledger.balances.items() if amount}
    return {
        "documents": documents,
        "payments": paid,
        "entries": sum(len(posting.entries) for posting in file.ledger.postings.values()),
        "accounts": balances,
        "customers": {key: str(money(amount)) for key, amount in file.ledger.owed.items() if amount},
        "stock": {
            key: str(row["QtyOnHand"]) for key, row in file.shelves["Item"].rows.items() if "QtyOnHand" in row
        },
        "prices": {
            key: str(row["UnitPrice"]) for key, row in file.shelves["Item"].rows.items() if row.get("Sku")
        },
        "parties": {key: row["party"] for key, row in file.books.rows("party").items()},
        "products": {key: row["product"] for key, row in file.books.rows("product").items()},
        "acts": dict(file.truth),
        "closed_until": file.books.closed_until.isoformat() if file.books.closed_until else None,
        "balanced": sum(file.ledger.balances.values()) == 0,
    }


def _record(file: CompanyFile, said: dict[str, Any], default: tuple[str, ...] = TXNS) -> tuple[str, Row]:
    key = str(said.get("document") or said.get("id") or "")
    kinds = (str(said["kind"]),) if said.get("kind") else default
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"no kind {kind!r}; there are {', '.join(KINDS)}")
        found = file.get(kind, key)
        if found is not None:
            return kind, found
    raise ValueError(f"no {' or '.join(kinds)} with the id {key!r}")


def _pay(file: CompanyFile, said: dict[str, Any]) -> Row:
    _, invoice = _record(file, said, ("Invoice",))
    amount = Decimal(str(said.get("amount") or invoice["Balance"]))
    day, other = str(said.get("date") or file.today), str(said.get("customer") or "")
    linked = bool(said.get("linked", True)) and (not other or other == id_of(invoice["CustomerRef"]))
    row = accountant.pay(file, invoice, amount, day, customer=other, linked=linked)
    file.act("payment", case="ordered", document=row["Id"], invoice=invoice["Id"], amount=str(amount), date=day,
             references_invoice=linked, unapplied=str(row["UnappliedAmt"]))  # fmt: skip
    return {"document": row["Id"], "record": row}


def _changed(file: CompanyFile, act: str, kind: str, old: Row, body: Row, operation: str = "") -> Row:
    before = str(old.get("TotalAmt", old.get("DisplayName", old.get("Name", ""))))
    body = {"Id": old["Id"], "SyncToken": old["SyncToken"], **body}
    row = writing.write(file, KINDS[kind], body, operation)
    after = str(row.get("TotalAmt", row.get("DisplayName", row.get("Name", ""))))
    file.act(act, kind=kind, document=old["Id"], date=file.today, before=before, after=after)
    return {"document": old["Id"], "record": row}


def _edit(file: CompanyFile, said: dict[str, Any]) -> Row:
    kind, old = _record(file, said, (*TXNS, "Customer", "Item"))
    return _changed(file, "edit", kind, old, {**dict(said.get("fields") or {}), "sparse": True})


def _void(file: CompanyFile, said: dict[str, Any]) -> Row:
    kind, old = _record(file, said)
    return _changed(file, "void", kind, old, {}, "void")


def _delete(file: CompanyFile, said: dict[str, Any]) -> Row:
    kind, old = _record(file, said)
    if old["Id"] in file.ledger.settled:
        payments.release(file, old["Id"])  # the screens unlink by themselves
        old = file.shelves[kind].rows[old["Id"]]
    return _changed(file, "delete", kind, old, {}, "delete")


def _reverse(file: CompanyFile, said: dict[str, Any]) -> Row:
    _, old = _record(file, said, ("Invoice",))
    lines = [{name: value for name, value in line.items() if name not in ("Id", "LineNum")}
             for line in old["Line"] if line["DetailType"] == "SalesItemLineDetail"]  # fmt: skip
    body: Row = {"CustomerRef": old["CustomerRef"], "CurrencyRef": old["CurrencyRef"], "TxnDate": str(said.get("date") or file.today),
                 "Line": lines, "PrivateNote": f"Сторно {old.get('DocNumber', old['Id'])}"}  # fmt: skip
    if "GlobalTaxCalculation" in old:
        body["GlobalTaxCalculation"] = old["GlobalTaxCalculation"]
    memo = sales.write(file, "CreditMemo", body, None)
    applied = min(Decimal(str(memo["TotalAmt"])), Decimal(str(old["Balance"])))
    if applied > 0:
        links = [{"Amount": applied, "LinkedTxn": [{"TxnId": key, "TxnType": kind}]}
                 for key, kind in ((old["Id"], "Invoice"), (memo["Id"], "CreditMemo"))]  # fmt: skip
        payments.write(
            file,
            {
                "CustomerRef": old["CustomerRef"],
                "CurrencyRef": old["CurrencyRef"],
                "TotalAmt": 0,
                "Line": links,
            },
            None,
        )
    file.act(
        "reverse",
        kind="CreditMemo",
        document=memo["Id"],
        invoice=old["Id"],
        date=file.today,
        amount=str(memo["TotalAmt"]),
    )
    return {"document": memo["Id"], "record": memo}


def _rename(file: CompanyFile, said: dict[str, Any]) -> Row:
    kind, old = _record(file, {"kind": "Customer", **said})
    name = str(said.get("name") or "")
    return _changed(file, "rename", kind, old, {KINDS[kind].title: name, "sparse": True})


def _activate(active: bool) -> Callable[[CompanyFile, dict[str, Any]], Row]:
    def work(file: CompanyFile, said: dict[str, Any]) -> Row:
        kind, old = _record(file, {"kind": "Customer", **said})
        return _changed(
            file, "activate" if active else "deactivate", kind, old, {"Active": active, "sparse": True}
        )

    return work


def _merge(file: CompanyFile, said: dict[str, Any]) -> Row:
    _, loser = _record(file, said, ("Customer",))
    _, winner = _record(file, {"document": said.get("into")}, ("Customer",))
    if id_of(loser["CurrencyRef"]) != id_of(winner["CurrencyRef"]) or loser["Id"] == winner["Id"]:
        raise ValueError("two different customers of one currency can be merged")
    writing.merge(file, loser, winner)
    file.act("merge", kind="Customer", document=loser["Id"], survivor=winner["Id"], date=file.today)
    return {"document": winner["Id"]}


def _lock(locks: bool) -> Callable[[CompanyFile, dict[str, Any]], Row]:
    def work(file: CompanyFile, said: dict[str, Any]) -> Row:
        kind, old = _record(file, said, NAMES)
        if kind not in NAMES:
            raise ValueError(
                "QuickBooks holds names open one at a time (customers, vendors, employees); it locks nothing else"
            )
        rows, key = file.books.rows("lock"), f"{kind}:{old['Id']}"
        if locks:
            rows.put(key, {"at": file.now()})
        elif key in rows:
            rows.delete(key)
        return {"document": old["Id"], "locked": locks}

    return work


def _add(file: CompanyFile, said: dict[str, Any]) -> Row:
    kind = str(said.get("kind"))
    if kind not in KINDS:
        raise ValueError(f"no kind {kind!r}; there are {', '.join(KINDS)}")
    row = writing.write(file, KINDS[kind], dict(said.get("body") or {}))
    file.act("foreign", kind=kind, document=row["Id"], date=file.today, amount=str(row.get("TotalAmt", "")))
    return {"document": row["Id"], "record": row}


def _price(file: CompanyFile, said: dict[str, Any]) -> Row:
    _, old = _record(file, said, ("Item",))
    price = Decimal(str(said["price"]))
    body = {"Id": old["Id"], "SyncToken": old["SyncToken"], "UnitPrice": price, "sparse": True}
    row = writing.write(file, KINDS["Item"], body)
    day = str(said.get("date") or file.today)
    file.act(
        "price", document=old["Id"], since=day, before=str(old["UnitPrice"]), after=str(row["UnitPrice"])
    )
    return {"document": old["Id"], "record": row}


def _receive(file: CompanyFile, said: dict[str, Any]) -> Row:
    _, old = _record(file, said, ("Item",))
    if old["Type"] != "Inventory":
        raise ValueError(f"item {old['Id']} keeps no stock; it is {old['Type']}")
    quantity = Decimal(str(said.get("quantity", 1)))
    cost = Decimal(str(said.get("cost") or old["PurchaseCost"]))
    row = names.receive(file, old, quantity, cost, str(said.get("date") or file.today))
    file.act("receive", document=old["Id"], quantity=str(quantity), on_hand=str(row["QtyOnHand"]))
    return {"document": old["Id"], "record": row}


def _hooks(file: CompanyFile, said: dict[str, Any]) -> Row:
    found = letters.since(file)
    return {
        "letters": [
            {"url": one.url, "headers": dict(one.headers), "body": one.body.decode()} for one in found
        ]
    }


def _authorize(file: CompanyFile, said: dict[str, Any]) -> Row:
    return {"refresh_token": tokens.authorize(file)}


_DEEDS: Final[dict[str, Callable[[CompanyFile, dict[str, Any]], Row]]] = {
    "pay": _pay, "edit": _edit, "void": _void, "delete": _delete, "reverse": _reverse, "rename": _rename,
    "deactivate": _activate(False), "activate": _activate(True), "merge": _merge, "lock": _lock(True), "unlock": _lock(False),
    "add": _add, "price": _price, "receive": _receive, "authorize": _authorize, "hooks": _hooks,
}  # fmt: skip
