"""The accountant of the base: enters payments, refunds and corrections as time passes.

What is paid, when and how wrongly is decided by a hash of the document that is paid, so it depends on the
documents in the base and on nothing else. Corrections (an edited amount, an unposted document, a foreign
document, a mark for deletion) are drawn from the tick's own random numbers. Every act is in `onec_truth`.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from sandbox.company.model import kopecks
from sandbox.onec.accounting import SETS
from sandbox.onec.base import TRUTH, Base
from sandbox.onec.documents import (
    RUB,
    Payment,
    SaleLine,
    bank_document,
    contracts_by_owner,
    currency,
    realization,
    vat_rate_of,
)
from sandbox.onec.error import ODataError
from sandbox.onec.model import (
    COUNTERPARTIES,
    EMPTY_REF,
    INVOICE,
    PRODUCTS,
    REALIZATION,
    RECEIPT,
    WRITE_OFF,
    Row,
)
from sandbox.onec.rules import VAT_WORDS
from sandbox.onec.seed import add_rates

NAMESPACE = uuid.UUID("b0a6a3f0-6d53-5a0e-93d2-2f1d6c2a7e44")
PER_MILLE_OF_CASES = (
    ("full", 500),
    ("late", 110),
    ("two_instalments", 100),
    ("partial", 60),
    ("overpaid_kopecks", 40),
    ("short_kopecks", 20),
    ("no_reference", 70),
    ("wrong_counterparty", 30),
    ("refund", 30),
    ("unpaid", 40),
)
"""How buyers pay, out of 1000 documents."""
PREPAID_PER_MILLE = 350  # invoices paid before anything is shipped
DAILY_CHANCES = (("edit_amount", 0.10), ("unpost", 0.08), ("foreign", 0.30), ("mark_deleted", 0.05))
LATER_CHANCES = (("repost", 0.05), ("rename", 0.03))
"""Drawn after everything else of a tick, so that they change nothing of it."""
MAX_DAYS = 1000  # of one tick


@dataclass(frozen=True, slots=True)
class Obligation:
    """What a buyer owes: an invoice, with the realization it led to, or a realization without invoice."""

    key: str
    invoice: Row | None
    sale: Row | None

    @property
    def document(self) -> Row:
        return self.sale or self.invoice or {}

    @property
    def amount(self) -> Decimal:
        return Decimal(str(self.document.get("СуммаДокумента", 0)))


@dataclass(frozen=True, slots=True)
class Planned:
    """One money movement that the hash of an obligation decides. `share` of the amount plus `extra`."""

    number: int
    case: str
    days: int
    share: Decimal
    extra: Decimal = Decimal(0)
    refund: bool = False
    reference: bool = True
    wrong_party: bool = False


def pass_days(base: Base, today: date, days: int, rng: random.Random) -> dict[str, int]:
    """Let `days` days up to `today` pass. Returns counts by act, payments by case."""
    days = min(max(days, 0), MAX_DAYS)
    counts: Counter[str] = Counter()
    with base.store.together():
        counts["rates"] = add_rates(base, today - timedelta(days=days), today)
        _Cashier(base, today, counts).run()
        _Corrections(base, today, days, rng, counts).run()
    return dict(counts)


def obligations(base: Base) -> Iterator[Obligation]:
    """Living obligations, each once: a realization joins the invoice it names or shares a comment with."""
    invoices = {key: row for key, row in base.rows[INVOICE].items() if not row.get("DeletionMark")}
    by_comment = {row["Комментарий"]: key for key, row in invoices.items() if row.get("Комментарий")}
    shipped: dict[str, Row] = {}
    alone: list[Row] = []
    for row in base.rows[REALIZATION].values():
        if not row.get("Posted") or row.get("DeletionMark"):
            continue
        invoice = row.get("СчетНаОплатуПокупателю_Key") or by_comment.get(row.get("Комментарий", ""))
        if invoice in invoices and invoice not in shipped:
            shipped[invoice] = row
        else:
            alone.append(row)
    for key, row in invoices.items():
        yield Obligation(key, row, shipped.get(key))
    for row in alone:
        yield Obligation(row["Ref_Key"], None, row)


def plan(key: str) -> list[Planned]:
    """The payments that a document's key decides, in order; days count from the anchor date."""
    draw = _draw(key, "case") % 1000
    case = next(name for name, limit in _cumulated() if draw < limit)
    soon = 3 + _draw(key, "days") % 10
    whole = Decimal(1)
    if case == "unpaid":
        return []
    if case == "late":
        return [Planned(1, case, 30 + _draw(key, "late") % 45, whole)]
    if case == "two_instalments":
        share = Decimal(30 + _draw(key, "share") % 41) / 100
        return [Planned(1, case, soon, share), Planned(2, case, soon + 14, whole - share)]
    if case == "partial":
        return [Planned(1, case, soon, Decimal(30 + _draw(key, "share") % 41) / 100)]
    if case in ("overpaid_kopecks", "short_kopecks"):
        extra = Decimal(1 + _draw(key, "kopecks") % 99) / 100
        return [Planned(1, case, soon, whole, extra if case == "overpaid_kopecks" else -extra)]
    if case == "refund":
        share = Decimal(20 + _draw(key, "share") % 81) / 100
        return [Planned(1, case, soon, whole), Planned(2, case, soon + 12, share, refund=True)]
    return [
        Planned(
            1, case, soon, whole, reference=case != "no_reference", wrong_party=case == "wrong_counterparty"
        )
    ]


class _Cashier:
    """Enters the planned payments whose day has come."""

    def __init__(self, base: Base, today: date, counts: Counter[str]) -> None:
        self._base, self._today, self._counts = base, today, counts
        self._contracts = contracts_by_owner(base)
        self._rouble = currency(base, RUB)
        acts = base.store.collection(TRUTH).values()
        # Sales of before the integration were paid, or not, when the base was filled.
        self._past = {act["document"] for act in acts if act["act"] == "foreign" and "paid" in act}

    def run(self) -> None:
        due = [found for item in obligations(self._base) for found in self._due(item)]
        for day, item, planned in sorted(due, key=lambda found: (found[0], found[1].key, found[2].number)):
            self._enter(day, item, planned)

    def _due(self, item: Obligation) -> Iterator[tuple[date, Obligation, Planned]]:
        prepaid = item.invoice is not None and _draw(item.key, "prepaid") % 1000 < PREPAID_PER_MILLE
        anchor = item.invoice if prepaid else item.sale
        if anchor is None or item.amount <= 0 or item.key in self._past:
            return
        start = date.fromisoformat(anchor["Date"][:10])
        for planned in plan(item.key):
            day = self._open_day(_bank_day(start + timedelta(days=planned.days)))
            name = WRITE_OFF if planned.refund else RECEIPT
            if day <= self._today and _payment_key(item.key, planned.number) not in self._base.rows[name]:
                yield day, item, planned

    def _open_day(self, day: date) -> date:
        closed = self._base.closed_until
        return max(day, date.fromisoformat(closed) + timedelta(days=1)) if closed else day

    def _enter(self, day: date, item: Obligation, planned: Planned) -> None:
        document = item.document
        right = document["Контрагент_Key"]
        party, contract = right, document.get("ДоговорКонтрагента_Key", EMPTY_REF)
        if planned.wrong_party:
            party, contract = self._other(item.key, right)
        key = _payment_key(item.key, planned.number)
        amount = self._amount(item, planned)
        if amount <= 0:
            return
        money = document.get("ВалютаДокумента_Key", self._rouble)
        invoice = item.invoice["Ref_Key"] if item.invoice and planned.reference else EMPTY_REF
        payment = Payment(
            key,
            day,
            amount,
            party,
            contract,
            _purpose(item, amount, refund=planned.refund),
            invoice,
            money,
            self._rate(money, day),
            vat_rate_of(day),
        )
        name = WRITE_OFF if planned.refund else RECEIPT
        body = bank_document(
            self._base, payment, "ВозвратПокупателю" if planned.refund else "ОплатаПокупателя"
        )
        self._base.create(SETS[name], body)
        try:
            self._base.post(SETS[name], key)
        except ODataError as refused:  # e.g. an invoice without a contract: the accountant leaves it unposted
            self._counts["unposted_payments"] += 1
            posted, why = False, refused.text
        else:
            posted, why = True, ""
        act = "refund" if planned.refund else "payment"
        self._counts[act] += 1
        self._counts[f"case:{planned.case}"] += 1
        self._base.record(
            f"{act}:{key}",
            act=act,
            case=planned.case,
            set=name,
            document=key,
            invoice=item.invoice["Ref_Key"] if item.invoice else None,
            realization=item.sale["Ref_Key"] if item.sale else None,
            references_invoice=invoice != EMPTY_REF,
            amount=str(amount),
            date=day.isoformat(),
            counterparty=right,
            entered_counterparty=party,
            posted=posted,
            why=why,
        )

    def _amount(self, item: Obligation, planned: Planned) -> Decimal:
        """The last instalment takes what the first left, so that both add up to the kopeck."""
        if planned.case == "two_instalments" and planned.number == 2:
            paid = self._base.get(RECEIPT, _payment_key(item.key, 1))
            first = (
                Decimal(str(paid["СуммаДокумента"])) if paid else kopecks(item.amount * (1 - planned.share))
            )
            return item.amount - first
        return kopecks(item.amount * planned.share) + planned.extra

    def _other(self, key: str, right: str) -> tuple[str, str]:
        others = sorted(owner for owner in self._contracts if owner != right)
        if not others:
            return right, self._contracts.get(right, EMPTY_REF)
        chosen = others[_draw(key, "other") % len(others)]
        return chosen, self._contracts[chosen]

    def _rate(self, money: str, day: date) -> Decimal:
        found = self._base.rates.get(f"{money}:{day.isoformat()}")
        return Decimal(str(found["Курс"])) if found else Decimal(1)


class _Corrections:
    """What people do to documents besides paying them."""

    def __init__(self, base: Base, today: date, days: int, rng: random.Random, counts: Counter[str]) -> None:
        self._base, self._today, self._days, self._rng, self._counts = base, today, days, rng, counts

    def run(self) -> None:
        for back in range(self._days - 1, -1, -1):
            day = self._today - timedelta(days=back)
            for act, chance in DAILY_CHANCES:
                if self._rng.random() < chance and self._do(act, day):
                    self._counts[act] += 1
        for back in range(self._days - 1, -1, -1):
            day = self._today - timedelta(days=back)
            for act, chance in LATER_CHANCES:
                done = self._repost if act == "repost" else self._rename
                if self._rng.random() < chance and done(day):
                    self._counts[act] += 1

    def _repost(self, day: date) -> bool:
        """A posted sale is unposted and posted again: nothing but its version changes."""
        posted = self._posted_sales()
        if not posted:
            return False
        key = posted[int(self._rng.random() * len(posted))]
        sale = SETS[REALIZATION]
        self._base.unpost(sale, key)
        self._base.post(sale, key)
        self._base.record(
            f"repost:{key}:{day.isoformat()}",
            act="repost",
            set=REALIZATION,
            document=key,
            date=day.isoformat(),
        )
        return True

    def _rename(self, day: date) -> bool:
        """A counterparty gets another working name; its ИНН stays."""
        rows = self._base.rows[COUNTERPARTIES]
        living = [
            key
            for key in self._base.keys_after(COUNTERPARTIES, None)
            if not rows[key].get("IsFolder") and not rows[key].get("DeletionMark") and rows[key].get("ИНН")
        ]
        if not living:
            return False
        key = living[int(self._rng.random() * len(living))]
        before = str(rows[key].get("Description", ""))
        after = f"{before} (новое)" if not before.endswith("(новое)") else before.removesuffix(" (новое)")
        self._base.update(SETS[COUNTERPARTIES], key, {"Description": after})
        self._base.record(
            f"rename:{key}:{day.isoformat()}",
            act="rename",
            set=COUNTERPARTIES,
            document=key,
            date=day.isoformat(),
            before=before,
            after=after,
        )
        return True

    def _posted_sales(self) -> list[str]:
        closed = self._base.closed_until
        return [
            key
            for key in self._base.keys_after(REALIZATION, None)
            if (row := self._base.rows[REALIZATION][key]).get("Posted") and row["Date"][:10] > closed
        ]

    def _do(self, act: str, day: date) -> bool:
        if act == "foreign":
            return self._foreign(day)
        posted = self._posted_sales()
        if not posted:
            return False
        key = posted[int(self._rng.random() * len(posted))]
        before = self._base.rows[REALIZATION][key]
        sale = SETS[REALIZATION]
        self._base.unpost(sale, key)
        after: Row = {}
        if act == "mark_deleted":
            self._base.update(sale, key, {"DeletionMark": True})
        elif act == "edit_amount":
            after = self._dearer(before)
            self._base.update(sale, key, after)
            self._base.post(sale, key)
        self._base.record(
            f"{act}:{key}:{day.isoformat()}",
            act=act,
            set=REALIZATION,
            document=key,
            date=day.isoformat(),
            before=str(before["СуммаДокумента"]),
            after=str(after.get("СуммаДокумента", before["СуммаДокумента"])),
        )
        return True

    def _dearer(self, document: Row) -> Row:
        """One to three per cent on the price of the first row, sums and VAT carried through."""
        full = self._base.full(SETS[REALIZATION], document)
        table = "Товары" if full["Товары"] else "Услуги"
        rows = [dict(row) for row in full[table]]
        row, included = rows[0], full["СуммаВключаетНДС"]
        price = kopecks(Decimal(str(row["Цена"])) * (101 + int(self._rng.random() * 3)) / 100)
        value = kopecks(price * Decimal(str(row["Количество"])))
        rate = VAT_WORDS.get(row["СтавкаНДС"], 0)
        vat = kopecks(value * rate / (100 + rate if included else 100))
        old = Decimal(str(row["Сумма"])) + (0 if included else Decimal(str(row["СуммаНДС"])))
        total = Decimal(str(full["СуммаДокумента"])) - old + value + (0 if included else vat)
        row.update(Цена=float(price), Сумма=float(value), СуммаНДС=float(vat))
        return {table: rows, "СуммаДокумента": float(total)}

    def _foreign(self, day: date) -> bool:
        """A sale that accounting enters itself, for instance from another shop."""
        rouble = currency(self._base, RUB)
        contracts = sorted(contracts_by_owner(self._base).items())
        goods = [
            key
            for key in self._base.keys_after(PRODUCTS, None)
            if not (row := self._base.rows[PRODUCTS][key]).get("IsFolder") and not row.get("Услуга")
        ]
        if not contracts or not goods or day.isoformat() <= self._base.closed_until or rouble == EMPTY_REF:
            return False
        key = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        parties = contracts[int(self._rng.random() * len(contracts))]
        price = Decimal(100 + int(self._rng.random() * 9900)) + Decimal("0.50")
        quantity = Decimal(1 + int(self._rng.random() * 9))
        line = SaleLine(goods[int(self._rng.random() * len(goods))], quantity, price, vat_rate_of(day))
        body = realization(self._base, key, day, parties, [line])
        self._base.create(SETS[REALIZATION], body)
        self._base.post(SETS[REALIZATION], key)
        self._base.record(
            f"foreign:{key}",
            act="foreign",
            set=REALIZATION,
            document=key,
            date=day.isoformat(),
            amount=str(kopecks(quantity * price)),
            counterparty=parties[0],
        )
        return True


def _purpose(item: Obligation, amount: Decimal, *, refund: bool) -> str:
    document = item.invoice or item.sale or {}
    number = str(document.get("Number", "")).split("-")[-1].lstrip("0") or "б/н"
    day = ".".join(reversed(str(document.get("Date", ""))[:10].split("-")))
    what = "по счету" if item.invoice else "по накладной"
    head = "Возврат оплаты" if refund else "Оплата"
    return f"{head} {what} № {number} от {day} за товар. Сумма {amount}"


def _bank_day(day: date) -> date:
    """Banks work Monday to Friday."""
    return day + timedelta(days=max(0, 7 - day.weekday())) if day.weekday() > 4 else day


def _payment_key(obligation: str, number: int) -> str:
    return str(uuid.uuid5(NAMESPACE, f"{obligation}:{number}"))


def _draw(key: str, what: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{key}:{what}".encode(), digest_size=6).digest(), "big")


def _cumulated() -> Iterator[tuple[str, int]]:
    total = 0
    for name, share in PER_MILLE_OF_CASES:
        total += share
        yield name, total
