"""Buyers' money in the configurations without an accounting register, as time passes.

Who pays, when and how wrongly is decided by the key of the sale, as in Бухгалтерия (`accountant.plan`); a payment
without reference or from another counterparty is not played here. Every payment is in the base's truth.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal

from sandbox.company.model import kopecks
from sandbox.onec.accountant import Planned, plan
from sandbox.onec.base import Base
from sandbox.onec.deeds import SALES, do
from sandbox.onec.error import ODataError
from sandbox.onec.model import Row


def pass_time(base: Base, today: date) -> dict[str, int]:
    """Enter the payments whose day has come by `today`, each once; returns counts by act."""
    counts: Counter[str] = Counter()
    entered = base.truth()
    for key, sale in list(base.rows[SALES[base.configuration.name]].items()):
        if not sale.get("Posted") or sale.get("DeletionMark"):
            continue
        sold = date.fromisoformat(sale["Date"][:10])
        for planned in plan(key):
            mark, day = (
                f"planned:{key}:{planned.number}",
                _open_day(base, sold + timedelta(days=planned.days)),
            )
            if day > today or mark in entered:
                continue
            act, amount = "refund" if planned.refund else "pay", _amount(sale, planned)
            said = {"act": act, "document": key, "amount": str(amount), "date": day.isoformat()}
            base.record(mark, case=planned.case, **said)
            try:
                do(base, today, said)
            except ODataError:
                counts["unposted_payments"] += 1
            else:
                counts[act] += 1
    return dict(counts)


def _amount(sale: Row, planned: Planned) -> Decimal:
    """The second instalment is what the first left, so that both add up to the kopeck."""
    whole = Decimal(str(sale.get("СуммаДокумента", 0)))
    if planned.case == "two_instalments" and planned.number == 2:
        return whole - kopecks(whole * (1 - planned.share))
    return kopecks(whole * planned.share) + planned.extra


def _open_day(base: Base, day: date) -> date:
    closed = base.closed_until
    return max(day, date.fromisoformat(closed) + timedelta(days=1)) if closed else day
