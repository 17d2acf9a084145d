"""What goes wrong outside the loader: the target's answers, its tokens and sessions, and what people change."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from typing import Any, Final

from tests.chaos.company import Company

KINDS: Final = (
    "drop_after", "drop_before", "slow", "html", "http_500", "http_503_html", "limit", "truncate", "unauthorized", "repeat",
)  # fmt: skip
SLOWEST: Final = 0.15  # seconds that an answer is delayed
MATCH: Final = {"quickbooks": "/company/"}  # not the tokens: one whose answer is lost is lost with any client
LOST: Final = {"0": "LOSE", "1": "C1:LOSE"}
REPRICED, LOST_SHARE = 0.4, 0.1
CENT: Final = Decimal("0.01")


def set_faults(company: Company, chance: random.Random, faults: Counter[str]) -> None:
    """Clear the rules, and half of the time set up to three new ones."""
    target = company.template.target
    company.control("faults", method="DELETE")
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
        faults[kind] += 1
    if target == "quickbooks" and chance.random() < 0.3:
        company.control("accounting/quickbooks/tokens", {"do": "expire"})
        faults["tokens expired"] += 1
    if target == "sap" and chance.random() < 0.3:
        company.control("accounting/sap/do", {"do": "expire_sessions"})
        faults["sessions expired"] += 1


def clear_faults(company: Company) -> None:
    company.control("faults", method="DELETE")


def change_deals(company: Company, deals: list[str], chance: random.Random) -> set[str]:
    """Reprice some of these deals in the CRM and lose others; the lost ones. `deals`: `bitrix24:117`."""
    numbers = sorted(int(deal.partition(":")[2]) for deal in deals)
    chosen = [n for n in numbers if chance.random() < REPRICED + LOST_SHARE]
    rows = _rows(company, chosen)
    lost = set()
    for number in chosen:
        if chance.random() < LOST_SHARE / (REPRICED + LOST_SHARE):
            item = company.sandbox.call("crm.item.get", entityTypeId=2, id=number)["result"]["item"]
            stage = LOST.get(str(item["categoryId"]), "LOSE")
            company.sandbox.call("crm.item.update", entityTypeId=2, id=number, fields={"stageId": stage})
            lost.add(f"bitrix24:{number}")
            continue
        off = Decimal(chance.choice(["0.9", "0.85", "1.1"]))
        changed = [
            {**row, "price": float((Decimal(str(row["price"])) * off).quantize(CENT))}
            for row in rows.get(number, [])
        ]
        for row in changed:
            for computed in ("id", "priceExclusive", "priceNetto", "priceBrutto", "ownerId", "ownerType"):
                row.pop(computed, None)
        company.sandbox.call("crm.item.productrow.set", ownerType="D", ownerId=number, productRows=changed)
    return lost


def _rows(company: Company, deals: list[int]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for deal in deals:
        said = company.sandbox.call("crm.item.productrow.list", filter={"=ownerType": "D", "=ownerId": deal})
        found[deal] = said["result"]["productRows"]
    return found
