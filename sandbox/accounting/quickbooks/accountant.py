"""The accountant and the bank at work as days pass: payments against documents, corrections, papers by hand.

What is paid, when and how wrongly is decided by a hash of the invoice's number, so it depends on the documents
in the books and on nothing else. Edits, voids, deletions, renames, merges and papers entered by hand are drawn
from the tick's own random numbers. Every act is listed as truth.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from sandbox.accounting.quickbooks import journal, names, payments, sales, seed, writing
from sandbox.accounting.quickbooks.fault import Refused
from sandbox.accounting.quickbooks.file import CompanyFile
from sandbox.accounting.quickbooks.kinds import KINDS
from sandbox.accounting.quickbooks.shelf import own_id
from sandbox.accounting.quickbooks.values import Row, cents, id_of, plain, ref

PER_MILLE_OF_CASES: Final = (
    ("full", 500), ("late", 110), ("two_instalments", 100), ("partial", 60), ("overpaid_kopecks", 40), ("short_kopecks", 20),
    ("no_reference", 70), ("wrong_customer", 30), ("refund", 30), ("unpaid", 40),
)  # fmt: skip
"""How buyers pay, out of 1000 invoices."""
DAILY_CHANCES: Final = (
    ("edit_amount", 0.10), ("void", 0.06), ("delete", 0.04), ("foreign", 0.30), ("foreign_journal", 0.06), ("return", 0.05),
    ("rename", 0.05), ("merge", 0.02), ("close", 0.03),
)  # fmt: skip
CLOSED_MONTHS_BACK: Final = 2
TRIES: Final = 40


@dataclass(frozen=True, slots=True)
class Planned:
    """One movement of money that the hash of an invoice decides: `share` of its total plus `extra`."""

    number: int
    case: str
    days: int
    share: Decimal
    extra: Decimal = Decimal(0)


def pass_days(file: CompanyFile, days: int, rng: random.Random) -> dict[str, int]:
    """Let `days` days up to today pass. Returns counts by act, payments by case."""
    counts: Counter[str] = Counter()
    today = file.books.company.today
    counts["rates"] = seed.add_rates(file, today - timedelta(days=days), today)
    _pay(file, counts)
    for back in range(days - 1, -1, -1):
        day = today - timedelta(days=back)
        for act, chance in DAILY_CHANCES:
            if rng.random() < chance:
                try:
                    done = _ACTS[act](file, day, rng)
                except Refused:
                    done = False
                counts[act] += done
    return {act: count for act, count in counts.items() if count}


def plan(mark: str) -> list[Planned]:
    """The movements that an invoice's mark decides, in order; days count from its date."""
    draw = _draw(mark, "case") % 1000
    case = next(name for name, limit in _cumulated() if draw < limit)
    soon, whole = 3 + _draw(mark, "days") % 10, Decimal(1)
    if case == "unpaid":
        return []
    if case == "late":
        return [Planned(1, case, 30 + _draw(mark, "late") % 45, whole)]
    if case == "two_instalments":
        share = Decimal(30 + _draw(mark, "share") % 41) / 100
        return [Planned(1, case, soon, share), Planned(2, case, soon + 14, whole - share)]
    if case == "partial":
        return [Planned(1, case, soon, Decimal(30 + _draw(mark, "share") % 41) / 100)]
    if case in ("overpaid_kopecks", "short_kopecks"):
        extra = Decimal(1 + _draw(mark, "kopecks") % 99) / 100
        return [Planned(1, case, soon, whole, extra if case == "overpaid_kopecks" else -extra)]
    if case == "refund":
        return [
            Planned(1, case, soon, whole),
            Planned(2, case, soon + 12, Decimal(20 + _draw(mark, "share") % 81) / 100),
        ]
    return [Planned(1, case, soon, whole)]


def pay(
    file: CompanyFile, invoice: Row, amount: Decimal, day: str, *, customer: str = "", linked: bool = True
) -> Row:
    """Enter a payment as a person does: as much as is open settles the invoice, the rest stays unapplied."""
    code = id_of(invoice["CurrencyRef"])
    accounts = file.settings["accounts"]
    settles = min(amount, Decimal(str(invoice["Balance"]))) if linked else Decimal(0)
    lines = (
        [{"Amount": settles, "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}]
        if settles > 0
        else []
    )
    number = invoice.get("DocNumber") or "б/н"
    body: Row = {
        "CustomerRef": ref(customer or id_of(invoice["CustomerRef"])), "TotalAmt": amount, "TxnDate": day, "Line": lines,
        "CurrencyRef": ref(code), "PaymentRefNum": str(100 + _draw(f"{number}:{amount}", "order") % 900),
        "PrivateNote": f"Оплата по счету № {number} от {invoice['TxnDate']}",
        "DepositToAccountRef": ref(accounts["bank" if code == file.home else f"bank:{code}"]),
    }  # fmt: skip
    return payments.write(file, body, None)


def _pay(file: CompanyFile, counts: Counter[str]) -> None:
    due: list[tuple[str, int, Row, Planned]] = []
    done = file.books.rows("planned")
    for row in file.shelves["Invoice"].rows.values():
        mark = row.get("DocNumber") or row["Id"]
        if row["Id"] in done and done[row["Id"]].get("all"):
            continue
        start = date.fromisoformat(row["TxnDate"])
        for planned in plan(mark):
            day = _open_day(file, _bank_day(start + timedelta(days=planned.days))).isoformat()
            if day <= file.today and planned.number > done.get(row["Id"], {"last": 0})["last"]:
                due.append((day, int(row["Id"]), row, planned))
    foreign = {act["document"] for act in file.truth.values() if act["act"] == "foreign" and "paid" in act}
    for day, _, row, planned in sorted(due, key=lambda found: (found[0], found[1], found[3].number)):
        if row["Id"] in foreign:
            done.put(row["Id"], {"last": 9, "all": True})
            continue
        now = file.get("Invoice", row["Id"])
        if now is None or not now["TotalAmt"]:
            continue
        try:
            _enter(file, now, planned, day, counts)
        except Refused:
            counts["refused_payments"] += 1
        done.put(
            row["Id"],
            {"last": planned.number, "all": planned.number == len(plan(now.get("DocNumber") or now["Id"]))},
        )


def _enter(file: CompanyFile, invoice: Row, planned: Planned, day: str, counts: Counter[str]) -> None:
    total = Decimal(str(invoice["TotalAmt"]))
    right = id_of(invoice["CustomerRef"])
    if planned.case == "refund" and planned.number == 2:
        amount = cents(total * planned.share)
        receipt = _refund(file, invoice, amount, day)
        counts["refund"] += 1
        file.act(
            "refund",
            case=planned.case,
            document=receipt["Id"],
            invoice=invoice["Id"],
            amount=str(amount),
            date=day,
            customer=right,
        )
        return
    amount = cents(total * planned.share) + planned.extra
    if planned.case == "two_instalments" and planned.number == 2:
        amount = total - cents(total * (1 - planned.share))
    if amount <= 0:
        return
    customer = _other(file, invoice) if planned.case == "wrong_customer" else right
    linked = planned.case != "no_reference" and customer == right
    payment = pay(file, invoice, amount, day, customer=customer, linked=linked)
    counts["payment"] += 1
    counts[f"case:{planned.case}"] += 1
    file.act(
        "payment", case=planned.case, document=payment["Id"], invoice=invoice["Id"], number=invoice.get("DocNumber", ""),
        references_invoice=linked, amount=str(amount), currency=id_of(invoice["CurrencyRef"]), date=day, customer=right,
        entered_customer=customer, unapplied=str(payment["UnappliedAmt"]),
    )  # fmt: skip


def _refund(file: CompanyFile, invoice: Row, amount: Decimal, day: str) -> Row:
    accounts = file.settings["accounts"]
    code = id_of(invoice["CurrencyRef"])
    detail = {
        "ItemRef": ref(accounts["item"]),
        "Qty": 1,
        "UnitPrice": amount,
        "TaxCodeRef": ref(accounts["vat:none"]),
    }
    line = {
        "Amount": amount,
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": detail,
        "Description": "Возврат оплаты",
    }
    if file.options.edition == "us":
        detail["TaxCodeRef"] = ref("NON")
    body = {"CustomerRef": ref(id_of(invoice["CustomerRef"])), "TxnDate": day, "Line": [line],
            "PrivateNote": f"Возврат оплаты по счету № {invoice.get('DocNumber', '')}",
            "DepositToAccountRef": ref(accounts["bank" if code == file.home else f"bank:{code}"])}  # fmt: skip
    return sales.write(file, "RefundReceipt", body, None)


def _other(file: CompanyFile, invoice: Row) -> str:
    right, code = id_of(invoice["CustomerRef"]), id_of(invoice["CurrencyRef"])
    others = [
        row["Id"]
        for row in file.shelves["Customer"].rows.values()
        if row["Active"] and row["Id"] != right and id_of(row["CurrencyRef"]) == code
    ]
    return (
        others[_draw(invoice.get("DocNumber") or invoice["Id"], "other") % len(others)] if others else right
    )


def _open_day(file: CompanyFile, day: date) -> date:
    closed = file.books.closed_until
    return max(day, closed + timedelta(days=1)) if closed else day


def _invoice(file: CompanyFile, rng: random.Random, *, unpaid: bool = False, until: str = "~") -> Row | None:
    """An invoice of the open period drawn by lot; None when some tries find none."""
    closed = file.books.closed_until.isoformat() if file.books.closed_until else ""
    shelf = file.shelves["Invoice"]
    for _ in range(TRIES if shelf.by_id else 0):
        row = shelf.rows[own_id(shelf.by_id[int(rng.random() * len(shelf.by_id))])]
        if (
            row["TotalAmt"]
            and closed < row["TxnDate"] <= until
            and not (unpaid and row["Id"] in file.ledger.settled)
        ):
            return row
    return None


def _chosen(rows: list[Row], rng: random.Random) -> Row | None:
    return rows[int(rng.random() * len(rows))] if rows else None


def _edit(file: CompanyFile, day: date, rng: random.Random) -> bool:
    """One to three per cent on the price of the first line."""
    row = _invoice(file, rng)
    percent = 101 + int(rng.random() * 3)
    if row is None:
        return False
    lines = [dict(line) for line in row["Line"] if line["DetailType"] == "SalesItemLineDetail"]
    first = dict(lines[0]["SalesItemLineDetail"])
    quantity = Decimal(str(first.get("Qty") or 1))
    price = cents(Decimal(str(first.get("UnitPrice") or lines[0]["Amount"])) * percent / 100)
    first.update(UnitPrice=plain(price), Qty=plain(quantity))
    first.pop("TaxInclusiveAmt", None)
    lines[0].update(Amount=cents(price * quantity), SalesItemLineDetail=first)
    saved = sales.write(file, "Invoice", {"Line": lines, "sparse": True}, row)
    file.act(
        "edit_amount",
        kind="Invoice",
        document=row["Id"],
        date=day.isoformat(),
        before=str(row["TotalAmt"]),
        after=str(saved["TotalAmt"]),
    )
    return True


def _void(file: CompanyFile, day: date, rng: random.Random) -> bool:
    row = _invoice(file, rng, unpaid=True)
    if row is None:
        return False
    writing.write(file, KINDS["Invoice"], {"Id": row["Id"], "SyncToken": row["SyncToken"]}, "void")
    file.act(
        "void",
        kind="Invoice",
        document=row["Id"],
        date=day.isoformat(),
        before=str(row["TotalAmt"]),
        after="0",
    )
    return True


def _delete(file: CompanyFile, day: date, rng: random.Random) -> bool:
    row = _invoice(file, rng, unpaid=True)
    if row is None:
        return False
    writing.write(file, KINDS["Invoice"], {"Id": row["Id"], "SyncToken": row["SyncToken"]}, "delete")
    file.act("delete", kind="Invoice", document=row["Id"], date=day.isoformat(), before=str(row["TotalAmt"]))
    return True


def _people(file: CompanyFile) -> list[Row]:
    return [
        row
        for row in file.shelves["Customer"].rows.values()
        if row["Active"] and id_of(row["CurrencyRef"]) == file.home
    ]


def _foreign(file: CompanyFile, day: date, rng: random.Random) -> bool:
    """A sale that accounting enters itself."""
    customer = _chosen(_people(file), rng)
    item = _chosen(
        [row for row in file.shelves["Item"].rows.values() if row["Active"] and row["UnitPrice"]], rng
    )
    quantity = Decimal(1 + int(rng.random() * 9))
    if customer is None or item is None or (file.books.closed_until or date.min) >= day:
        return False
    body = seed.sale_body(file, customer["Id"], day, [(item, quantity)])
    if file.options.edition == "us":
        for line in body["Line"]:
            line["SalesItemLineDetail"]["TaxCodeRef"] = ref("NON")
    row = sales.write(file, "Invoice", body, None)
    file.act(
        "foreign",
        kind="Invoice",
        document=row["Id"],
        date=day.isoformat(),
        amount=str(row["TotalAmt"]),
        customer=customer["Id"],
    )
    return True


def _foreign_journal(file: CompanyFile, day: date, rng: random.Random) -> bool:
    accounts = file.settings["accounts"]
    amount = Decimal(10_000 + int(rng.random() * 900_000)) / 100
    if (file.books.closed_until or date.min) >= day:
        return False
    lines = [
        {"Amount": amount, "DetailType": journal.DETAIL, "Description": "Комиссия банка",
         journal.DETAIL: {"PostingType": side, "AccountRef": ref(accounts[key])}}
        for side, key in (("Debit", "expense"), ("Credit", "bank"))
    ]  # fmt: skip
    row = journal.write(file, {"TxnDate": day.isoformat(), "Line": lines}, None)
    file.act("foreign", kind="JournalEntry", document=row["Id"], date=day.isoformat(), amount=str(amount))
    return True


def _return(file: CompanyFile, day: date, rng: random.Random) -> bool:
    """A credit memo for the first line of an invoice, applied to it where it is still open."""
    row = _invoice(file, rng, until=day.isoformat())
    if row is None:
        return False
    line = {name: value for name, value in row["Line"][0].items() if name not in ("Id", "LineNum")}
    body: dict[str, Any] = {"CustomerRef": row["CustomerRef"], "TxnDate": day.isoformat(), "Line": [line],
                            "CurrencyRef": row["CurrencyRef"],
                            "PrivateNote": f"Возврат по {row.get('DocNumber', row['Id'])}"}  # fmt: skip
    if "GlobalTaxCalculation" in row:
        body["GlobalTaxCalculation"] = row["GlobalTaxCalculation"]
    memo = sales.write(file, "CreditMemo", body, None)
    applied = min(Decimal(str(memo["TotalAmt"])), Decimal(str(row["Balance"])))
    if applied > 0:
        links = [{"Amount": applied, "LinkedTxn": [{"TxnId": key, "TxnType": kind}]}
                 for key, kind in ((row["Id"], "Invoice"), (memo["Id"], "CreditMemo"))]  # fmt: skip
        payments.write(file, {"CustomerRef": row["CustomerRef"], "TotalAmt": 0, "TxnDate": day.isoformat(), "Line": links,
                              "CurrencyRef": row["CurrencyRef"]}, None)  # fmt: skip
    file.act(
        "return",
        kind="CreditMemo",
        document=memo["Id"],
        invoice=row["Id"],
        date=day.isoformat(),
        amount=str(memo["TotalAmt"]),
    )
    return True


def _rename(file: CompanyFile, day: date, rng: random.Random) -> bool:
    row = _chosen(_people(file), rng)
    if row is None:
        return False
    name = (
        f"{row['DisplayName']} (бывш.)"
        if "(бывш.)" not in row["DisplayName"]
        else row["DisplayName"].replace(" (бывш.)", "")
    )
    names.write(file, "Customer", {"DisplayName": name, "sparse": True}, row)
    file.act(
        "rename",
        kind="Customer",
        document=row["Id"],
        date=day.isoformat(),
        before=row["DisplayName"],
        after=name,
    )
    return True


def _merge(file: CompanyFile, day: date, rng: random.Random) -> bool:
    people = _people(file)
    loser, winner = _chosen(people, rng), _chosen(people, rng)
    if loser is None or winner is None or loser["Id"] == winner["Id"] or file.books.closed_until:
        return False
    writing.merge(file, loser, winner)
    file.act("merge", kind="Customer", document=loser["Id"], survivor=winner["Id"], date=day.isoformat())
    return True


def _close(file: CompanyFile, day: date, rng: random.Random) -> bool:
    """The books are closed up to the end of a month; only where the option lets the accountant do so."""
    if not file.options.accountant_closes:
        return False
    last = day
    for _ in range(CLOSED_MONTHS_BACK):
        last = last.replace(day=1) - timedelta(days=1)
    if (file.books.closed_until or date.min) >= last:
        return False
    file.books.close_until(last)
    file.act("close", date=day.isoformat(), until=last.isoformat())
    return True


_ACTS: Final[dict[str, Callable[[CompanyFile, date, random.Random], bool]]] = {
    "edit_amount": _edit, "void": _void, "delete": _delete, "foreign": _foreign, "foreign_journal": _foreign_journal,
    "return": _return, "rename": _rename, "merge": _merge, "close": _close,
}  # fmt: skip


def _bank_day(day: date) -> date:
    """Banks work Monday to Friday."""
    return day + timedelta(days=max(0, 7 - day.weekday())) if day.weekday() > 4 else day


def _draw(mark: str, what: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{mark}:{what}".encode(), digest_size=6).digest(), "big")


def _cumulated() -> Iterator[tuple[str, int]]:
    total = 0
    for name, share in PER_MILLE_OF_CASES:
        total += share
        yield name, total
