"""The company at work in its own system: warehouse, billing run, bank, clerks who correct things.

How a customer pays is decided by a hash of the billing document's number, when orders go out by a hash of theirs, so
the same documents lead to the same days whatever a tick is cut into; what clerks do beside is drawn from the tick's
own rng. All of it is written down as acts.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from sandbox.accounting.sap import billing, founding, ledger, masters, orders, payments
from sandbox.accounting.sap.database import Row
from sandbox.accounting.sap.errors import SapError
from sandbox.accounting.sap.ledger import Entry, Head
from sandbox.accounting.sap.system import AREA, CURRENCY, System
from sandbox.accounting.sap.values import quantity, rounded

PER_MILLE_OF_CASES: Final = (
    ("full", 480), ("late", 110), ("two_instalments", 100), ("partial", 60), ("overpaid_kopecks", 40),
    ("short_kopecks", 20), ("no_reference", 70), ("wrong_customer", 30), ("refund", 30), ("returned", 20),
    ("unpaid", 40),
)  # fmt: skip
"""How buyers pay, out of 1000 billing documents."""
PREPAID_PER_MILLE: Final = 150  # orders paid before anything is delivered
IN_PARTS_PER_MILLE: Final = 60  # orders delivered in two parts
DAILY_CHANCES: Final = (
    ("edit", 0.10), ("reject", 0.03), ("cancel", 0.06), ("foreign", 0.30), ("manual_invoice", 0.05),
    ("reverse", 0.03), ("rename", 0.02),
)  # fmt: skip
TRIES: Final = 20  # to find a document that an act can be done to


@dataclass(frozen=True, slots=True)
class Planned:
    """One movement of money that a billing document's number decides. `share` of the amount plus `extra`."""

    number: int
    case: str
    days: int
    share: Decimal
    extra: Decimal = Decimal(0)
    what: str = "payment"  # payment, refund, return


def plan(key: str) -> list[Planned]:
    """The payments of a billing document, in order; days count from its date."""
    draw, limit, case = _draw(key, "case") % 1000, 0, "unpaid"
    for name, share in PER_MILLE_OF_CASES:
        limit += share
        if draw < limit:
            case = name
            break
    soon, whole = 3 + _draw(key, "days") % 10, Decimal(1)
    part = Decimal(30 + _draw(key, "share") % 41) / 100
    if case == "unpaid":
        return []
    if case == "late":
        return [Planned(1, case, 31 + _draw(key, "late") % 45, whole)]
    if case == "two_instalments":
        return [Planned(1, case, soon, part), Planned(2, case, soon + 14, whole - part)]
    if case == "partial":
        return [Planned(1, case, soon, part)]
    if case in ("overpaid_kopecks", "short_kopecks"):
        extra = Decimal(1 + _draw(key, "kopecks") % 99) / 100
        return [Planned(1, case, soon, whole, extra if case == "overpaid_kopecks" else -extra)]
    if case == "refund":
        back = Decimal(20 + _draw(key, "back") % 81) / 100
        return [Planned(1, case, soon, whole), Planned(2, case, soon + 12, back, what="refund")]
    if case == "returned":
        return [Planned(1, case, soon, whole), Planned(2, case, soon + 5, whole, what="return")]
    return [Planned(1, case, soon, whole)]


def expect(system: System, bill: str) -> None:
    """Put the payments of a billing document on the bank's calendar."""
    row = system.db["billing"].get(bill)
    if row is None:
        return
    start = date.fromisoformat(row["BillingDocumentDate"])
    order = system.db["order"].get(row.get("_order") or "") or {}
    due = system.books.rows("due")
    if order.get("_prepaid"):
        due.put(f"{bill}:0", {"day": (start + timedelta(days=1)).isoformat(), "case": "prepaid", "bill": bill,
                              "number": 0, "what": "match", "prepaid": order["_prepaid"]})  # fmt: skip
        return
    for each in plan(bill):
        day = _bank_day(start + timedelta(days=each.days))
        due.put(f"{bill}:{each.number}", {
            "day": day.isoformat(), "case": each.case, "bill": bill, "number": each.number, "share": str(each.share),
            "extra": str(each.extra), "what": each.what,
        })  # fmt: skip


def pass_days(system: System, days: int, rng: random.Random) -> dict[str, int]:
    """Let `days` days up to the company's today pass. Returns counts by act, payments by case too."""
    return _Work(system, rng).pass_days(days)


class _Work:
    def __init__(self, system: System, rng: random.Random) -> None:
        self._system, self._rng = system, rng
        self._counts: Counter[str] = Counter()

    def pass_days(self, days: int) -> dict[str, int]:
        today = self._system.books.company.today
        try:
            for back in range(days - 1, -1, -1):
                self._day(today - timedelta(days=back))
        finally:
            self._system.on(None)
        return dict(self._counts)

    def _day(self, day: date) -> None:
        self._system.on(day)
        for order in self._system.db["order"].where("_todo", "X"):
            self._prepay(order, day)
            self._ship(order, day)
        for row in self._system.db["billing"].where("AccountingPostingStatus", "A"):
            if billing.release(self._system, row["BillingDocument"]):
                self._counts["released"] += 1
        self._bank(day)
        for act, chance in DAILY_CHANCES:
            if self._rng.random() < chance and self._try(_CLERKS[act], day):
                self._counts[act] += 1

    def _prepay(self, order: Row, day: date) -> None:
        number = order["SalesOrder"]
        if order.get("_prepaid") or _draw(number, "prepaid") % 1000 >= PREPAID_PER_MILLE:
            return
        items = self._system.db["order_item"].under(number)
        if date.fromisoformat(order["SalesOrderDate"]) >= day or any(item.get("_billed") for item in items):
            return
        living = [item for item in items if not item.get("SalesDocumentRjcnReason")]
        amount = sum((Decimal(i["NetAmount"]) + Decimal(i["TaxAmount"]) for i in living), Decimal(0))
        if amount <= 0 or self._system.open_period(day):
            return
        reference = order.get("PurchaseOrderByCustomer") or number
        text = f"Предоплата по заказу {reference}"
        made = payments.receive(
            self._system, order["SoldToParty"], amount, day, currency=order["TransactionCurrency"],
            reference=reference, text=text,
        )  # fmt: skip
        self._system.db["order"].change(self._system.db["order"].get(number) or order, _prepaid=made)
        self._note(
            made,
            "prepaid",
            None,
            number,
            amount,
            order["TransactionCurrency"],
            order["SoldToParty"],
            "payment",
        )

    def _ship(self, order: Row, day: date) -> None:
        """Goods go out on the wanted day or up to three days later; the billing run follows at once."""
        number = order["SalesOrder"]
        wanted = date.fromisoformat(order["RequestedDeliveryDate"]) + timedelta(
            days=_draw(number, "ship") % 4
        )
        if day < wanted or Decimal(order["TotalNetAmount"]) <= 0:
            return
        fresh = self._system.db["order"].get(number) or order
        if not fresh.get("DeliveryBlockReason"):
            share = Decimal(1)
            if _draw(number, "parts") % 1000 < IN_PARTS_PER_MILLE and day < wanted + timedelta(days=5):
                share = Decimal("0.5") if fresh.get("OverallDeliveryStatus") == "A" else Decimal(0)
            if share and billing.deliver(self._system, number, day, share):
                self._counts["delivered"] += 1
                self._system.act("deliver", number, share=str(share))
        bill = self._attempt(lambda: billing.bill(self._system, number, day))
        if bill:
            self._counts["billed"] += 1
            self._system.act("bill", bill, order=number)
            expect(self._system, bill)

    def _bank(self, day: date) -> None:
        if self._system.open_period(day):
            return
        due = self._system.books.rows("due")
        for key, row in [(key, row) for key, row in due.items() if row["day"] <= day.isoformat()]:
            due.delete(key)
            self._attempt(lambda row=row: self._pay(row, day))  # type: ignore[misc]

    def _pay(self, row: Row, day: date) -> None:
        bill = self._system.db["billing"].get(row["bill"])
        if bill is None or bill.get("BillingDocumentIsCancelled"):
            return
        currency, customer, number = bill["TransactionCurrency"], bill["PayerParty"], bill["BillingDocument"]
        if row["what"] == "match":
            self._match(bill, row["prepaid"], day)
            return
        gross = Decimal(bill["TotalGrossAmount"])
        amount = rounded(gross * Decimal(row["share"]), currency) + Decimal(row["extra"])
        if row["case"] == "two_instalments" and row["number"] == 2:
            first = rounded(gross * (1 - Decimal(row["share"])), currency)
            amount = gross - first
        if amount <= 0:
            return
        text = f"{'Возврат оплаты' if row['what'] == 'refund' else 'Оплата'} по счету {number} от {bill['BillingDocumentDate']}"
        if row["what"] == "refund":
            made = payments.refund(self._system, customer, amount, day, currency, text)
            self._note(made, row["case"], number, bill.get("_order"), amount, currency, customer, "refund")
            return
        if row["what"] == "return":
            paid = self._paid(number)
            if paid:
                self._counts["returned"] += 1
                self._system.act(
                    "reverse", ledger.reverse(self._system, paid, day, "03"), document=paid, bill=number
                )
            return
        invoice = payments.receivable(self._system, number)
        entered, reference = customer, number
        if row["case"] == "no_reference":
            invoice, reference, text = None, "", "Оплата за товар"
        elif row["case"] == "wrong_customer":
            entered, invoice = self._other(number, customer), None
        made = payments.receive(
            self._system,
            entered,
            amount,
            day,
            currency=currency,
            invoice=invoice,
            reference=reference,
            text=text,
        )
        self._note(
            made, row["case"], number, bill.get("_order"), amount, currency, customer, "payment", entered
        )

    def _match(self, bill: Row, prepaid: str, day: date) -> None:
        """The accountant sets a prepayment against the invoice; sums that differ stay open side by side."""
        invoice = payments.receivable(self._system, bill["BillingDocument"])
        paid = [row for row in ledger.document(self._system, prepaid) if row.get("_open")]
        if invoice is not None and paid:
            number = payments.match(self._system, [invoice, *paid], day, "Зачет предоплаты")
            self._counts["matched"] += 1
            self._system.act("match", number, bill=bill["BillingDocument"], payment=prepaid)

    def _paid(self, bill: str) -> str | None:
        for row in self._system.db["line"].where("BillingDocument", bill):
            if row.get("Customer") and row.get("IsCleared"):
                return str(row["ClearingAccountingDocument"])
        return None

    def _other(self, key: str, right: str) -> str:
        keys = self._system.db["customer_company"].keys
        for step in range(TRIES):
            row = self._system.db["customer_company"].at(keys[(_draw(key, "other") + step) % len(keys)])
            if row and row["Customer"] != right:
                return str(row["Customer"])
        return right

    def _note(
        self, made: str, case: str, bill: str | None, order: str | None, amount: Decimal, currency: str, customer: str,
        what: str, entered: str = "",
    ) -> None:  # fmt: skip
        self._counts[what] += 1
        self._counts[f"case:{case}"] += 1
        self._system.act(
            what, made, case=case, bill=bill, order=order, amount=str(amount), currency=currency, customer=customer,
            entered_customer=entered or customer,
        )  # fmt: skip

    def _try(self, act: Callable[[System, random.Random, date], bool], day: date) -> bool:
        return bool(self._attempt(lambda: act(self._system, self._rng, day)))

    def _attempt(self, work: Callable[[], Any]) -> Any:
        """What the system refuses (a closed period, a missing rate) a clerk leaves undone."""
        try:
            with self._system.db.savepoint():
                return work()
        except SapError:
            self._counts["refused"] += 1
            return None


def _edit(system: System, rng: random.Random, day: date) -> bool:
    """A clerk changes the quantity of an item not yet delivered; of a finished order only a remark."""
    order = _some(system, "order", rng, lambda row: row.get("OverallSDProcessStatus") == "A")
    items = system.db["order_item"].under(order["SalesOrder"]) if order else []
    if order is not None and items:
        item = items[int(rng.random() * len(items))]
        before, after = item["RequestedQuantity"], quantity(Decimal(item["RequestedQuantity"]) + 1)
        orders.change_item(system, item, {"RequestedQuantity": after})
        system.act("edit", order["SalesOrder"], item=item["SalesOrderItem"], before=before, after=after)
        return True
    order = _some(system, "order", rng, lambda row: True)
    if order is None:
        return False
    orders.change(system, order, {"AssignmentReference": f"CHECKED {day:%d.%m}"})
    system.act("edit", order["SalesOrder"], field="AssignmentReference")
    return True


def _reject(system: System, rng: random.Random, day: date) -> bool:
    order = _some(system, "order", rng, lambda row: row.get("OverallSDProcessStatus") == "A")
    items = system.db["order_item"].under(order["SalesOrder"]) if order else []
    if order is None or not items:
        return False
    orders.change_item(system, items[-1], {"SalesDocumentRjcnReason": "61"})
    system.act("reject", order["SalesOrder"], item=items[-1]["SalesOrderItem"])
    return True


def _cancel(system: System, rng: random.Random, day: date) -> bool:
    closed = system.books.closed_until
    row = _some(
        system, "billing", rng,
        lambda bill: bill["BillingDocumentType"] == billing.INVOICE and not bill.get("BillingDocumentIsCancelled")
        and bill.get("InvoiceClearingStatus") == "A" and (not closed or bill["BillingDocumentDate"] > closed.isoformat()),
    )  # fmt: skip
    if row is None:
        return False
    made = billing.cancelled(system, row["BillingDocument"])
    system.act("cancel", row["BillingDocument"], by=made)
    return True


def _foreign(system: System, rng: random.Random, day: date) -> bool:
    """A sale that is entered here by hand, for instance from another shop."""
    buyer = _some(system, "customer_company", rng, lambda row: founding.usable(system, row["Customer"]))
    goods = _some(
        system,
        "product",
        rng,
        lambda row: row["ProductType"] == "HAWA" and not row.get("IsMarkedForDeletion"),
    )
    if buyer is None or goods is None or system.open_period(day):
        return False
    made, bill = founding.sale(
        system, buyer["Customer"], [(goods["Product"], Decimal(1 + int(rng.random() * 9)))], day
    )
    system.act("foreign", made, billing=bill)
    if bill:
        expect(system, bill)
    return True


def _manual_invoice(system: System, rng: random.Random, day: date) -> bool:
    """An invoice of finance alone (document type DR): no order and no billing document stand behind it."""
    buyer = _some(system, "customer_company", rng, lambda row: founding.usable(system, row["Customer"]))
    if buyer is None or system.open_period(day):
        return False
    gross = Decimal(1000 + int(rng.random() * 9000)) + Decimal("0.60")
    tax = rounded(gross * 22 / 122, CURRENCY)
    customer = buyer["Customer"]
    lines = [
        Entry(payments.account_of(system, customer), gross, gross, customer, {"PaymentTerms": "NT30"}),
        Entry(ledger.REVENUE_SERVICES, tax - gross, tax - gross, more={"TaxCode": "A2"}),
        Entry(ledger.OUTPUT_TAX, -tax, -tax, more={"TaxCode": "A2", "TransactionTypeDetermination": "MWS"}),
    ]
    number = ledger.post(system, Head("DR", day, reference=f"HAND-{day:%d%m%y}", text="Аренда"), lines)
    system.act("manual_invoice", number, customer=customer, amount=str(gross))
    return True


def _reverse(system: System, rng: random.Random, day: date) -> bool:
    row = _some(
        system, "line", rng,
        lambda line: line["AccountingDocumentType"] in ("DR", "DZ") and line.get("_open") is not None
        and not line.get("IsReversed") and not line.get("IsReversal"),
    )  # fmt: skip
    if row is None:
        return False
    system.act(
        "reverse", ledger.reverse(system, row["AccountingDocument"], day), document=row["AccountingDocument"]
    )
    return True


def _rename(system: System, rng: random.Random, day: date) -> bool:
    row = _some(system, "partner", rng, lambda each: bool(each.get("Customer")))
    if row is None:
        return False
    before = row["OrganizationBPName1"]
    after = f"{before[:34]} Плюс"
    masters.change(system, masters.SET, row, {"OrganizationBPName1": after})
    system.act("rename", row["BusinessPartner"], before=before, after=after)
    return True


def _some(system: System, table: str, rng: random.Random, fits: Callable[[Row], bool]) -> Row | None:
    """A row that fits, drawn at random: a few tries, no search of the whole table."""
    keys = system.db[table].keys
    for _ in range(TRIES if keys else 0):
        row = system.db[table].at(keys[int(rng.random() * len(keys))])
        if row is not None and fits(row):
            return row
    return None


def _bank_day(day: date) -> date:
    """Banks work Monday to Friday."""
    return day + timedelta(days=7 - day.weekday()) if day.weekday() > 4 else day


def _draw(key: str, what: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{key}:{what}".encode(), digest_size=6).digest(), "big")


_CLERKS: Final[dict[str, Callable[[System, random.Random, date], bool]]] = {
    "edit": _edit, "reject": _reject, "cancel": _cancel, "foreign": _foreign, "manual_invoice": _manual_invoice,
    "reverse": _reverse, "rename": _rename,
}  # fmt: skip

__all__ = ["AREA", "expect", "pass_days", "plan"]
