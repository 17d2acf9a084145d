"""What goes wrong outside the loader: the target's answers, its tokens and sessions, and what people change."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Final

from tests.chaos.company import Company

KINDS: Final = (
    "drop_after", "drop_before", "slow", "late", "html", "truncate", "repeat", "limit", "unauthorized",
    "http_429_html", "http_500", "http_502_html", "http_503_html", "http_504_html",
)  # fmt: skip
TOKENS, SESSIONS = "tokens expired", "sessions expired"
OF_TARGET: Final = {"quickbooks": (TOKENS,), "sap": (SESSIONS,)}
OVERTAKEN: Final = "late, and overtaken by a later answer"
SLOWEST: Final = 0.08  # seconds that an answer is delayed
MATCH: Final = {"quickbooks": "/company/"}  # not the tokens: one whose answer is lost is lost with any client
LOST: Final = {"0": "LOSE", "1": "C1:LOSE"}
LOST_SHARE, PACKED_SHARE, REPRICED_SHARE = 0.12, 0.2, 0.4
CENT: Final = Decimal("0.01")
COMPUTED: Final = ("id", "priceExclusive", "priceNetto", "priceBrutto", "ownerId", "ownerType")


def set_faults(company: Company, chance: random.Random, faults: Counter[str]) -> None:
    """Count what went wrong since, and half of the time order up to three new failures."""
    target = company.template.target
    clear_faults(company, faults)
    if chance.random() < 0.5:
        return
    for kind in chance.sample(KINDS, chance.randint(1, 3)):
        rule = {
            "where": target,
            "kind": kind,
            "match": MATCH.get(target, ""),
            "times": chance.randint(1, 3),
            "probability": chance.choice([0.3, 1.0]),
            "seconds": round(chance.uniform(0.01, SLOWEST), 3),
        }
        company.control("faults", rule)
    if target == "quickbooks" and chance.random() < 0.3:
        company.control("accounting/quickbooks/tokens", {"do": "expire"})
        faults[TOKENS] += 1
    if target == "sap" and chance.random() < 0.3:
        company.control("accounting/sap/do", {"do": "expire_sessions"})
        faults[SESSIONS] += 1


def clear_faults(company: Company, faults: Counter[str]) -> None:
    """Take all orders back, and count by kind those that came to pass."""
    for rule in company.control("faults"):
        faults[rule["kind"]] += rule["done"]
        faults[OVERTAKEN] += rule["overtaken"]
    company.control("faults", method="DELETE")


def change_deals(company: Company, due: Collection[Mapping[str, Any]], chance: random.Random) -> set[str]:
    """Change the deals of documents that are due, in the CRM; the ones that were lost. `due`: as `verdict.plan` gives them.

    Some are lost, some packed otherwise (twice as many pieces at half the price, so that lines change and no sum does),
    some repriced.
    """
    deals = sorted({row["deal"] for row in due}, key=lambda deal: int(deal.partition(":")[2]))
    # 1C has no return of services.
    lasting = {row["deal"] for row in due if row["has_services"] and company.template.target == "onec"}
    lost = set()
    for deal in deals:
        number, fate = int(deal.partition(":")[2]), chance.random()
        if fate < LOST_SHARE and deal not in lasting:
            item = company.sandbox.call("crm.item.get", entityTypeId=2, id=number)["result"]["item"]
            stage = LOST.get(str(item["categoryId"]), "LOSE")
            company.sandbox.call("crm.item.update", entityTypeId=2, id=number, fields={"stageId": stage})
            lost.add(deal)
        elif fate < LOST_SHARE + PACKED_SHARE + REPRICED_SHARE:
            is_packed = fate < LOST_SHARE + PACKED_SHARE
            off = Decimal(chance.choice(["0.9", "0.85", "1.1"]))
            rows = [_packed(row) if is_packed else _repriced(row, off) for row in _rows(company, number)]
            company.sandbox.call("crm.item.productrow.set", ownerType="D", ownerId=number, productRows=rows)
    return lost


def _packed(row: Mapping[str, Any]) -> dict[str, Any]:
    half = Decimal(str(row["price"])) / 2
    if half != half.quantize(CENT):
        return dict(row)
    return {**row, "price": float(half), "quantity": float(Decimal(str(row["quantity"])) * 2)}


def _repriced(row: Mapping[str, Any], off: Decimal) -> dict[str, Any]:
    return {**row, "price": float((Decimal(str(row["price"])) * off).quantize(CENT))}


def _rows(company: Company, deal: int) -> list[dict[str, Any]]:
    said = company.sandbox.call("crm.item.productrow.list", filter={"=ownerType": "D", "=ownerId": deal})
    rows: list[dict[str, Any]] = said["result"]["productRows"]
    return [{name: value for name, value in row.items() if name not in COMPUTED} for row in rows]
