"""Price lists as accounting holds them: the CRM's own prices, but for a few products that drifted on a known day.

The CRM's base list is `Product.price`, its wholesale list nine tenths of that. Accounting has both, the wholesale one
for goods alone. Somebody set other prices in accounting for a few products and told nobody: `drifts` says which, from
which day on, and what the CRM goes on showing. Prices are in roubles with VAT. Where goods lie when the books begin
stands here too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from sandbox.company.model import Company, Product, kopecks

RETAIL, WHOLESALE = "retail", "wholesale"
LIST_NAMES = {RETAIL: "Розничная", WHOLESALE: "Оптовая"}
WHOLESALE_SHARE = Decimal("0.9")
DRIFT_SHARE = 0.12  # of the products that accounting knows
MIN_DRIFTS = 3
DRIFT_DAYS = (12, 90)
"""A drift began so many days before the books were founded, at least and at most."""
KINDS = (
    # what happened, share of the old price, roubles more, lists
    ("raised", Decimal("1.07"), Decimal(0), (RETAIL, WHOLESALE)),
    ("lowered", Decimal("0.875"), Decimal(0), (RETAIL,)),
    ("kopecks", Decimal(1), Decimal("0.40"), (WHOLESALE,)),
)
SECOND_PLACE = Decimal(40)
"""What lies in the second warehouse of every third good, besides what lies in the first."""


class Drift(NamedTuple):
    """One product in one list that costs `accounting` since a day, while the CRM says `crm`."""

    product: str
    price_list: str
    since: date
    crm: Decimal
    accounting: Decimal
    kind: str

    def told(self, company: Company) -> dict[str, str]:
        """It as an act in the truth of a system: the product by its code, money as text."""
        return {
            "act": "price_drift",
            "code": company.products[self.product].code,
            "price_list": LIST_NAMES[self.price_list],
            "since": self.since.isoformat(),
            "crm": str(self.crm),
            "accounting": str(self.accounting),
            "kind": self.kind,
        }


def listed(product: Product, price_list: str) -> Decimal | None:
    """The CRM's price of a product in a list, None where accounting has none there."""
    if price_list == RETAIL:
        return kopecks(product.price)
    return None if product.is_service else kopecks(product.price * WHOLESALE_SHARE)


def drifts(company: Company) -> list[Drift]:
    """What drifted before today, oldest first: the same for the same seed and today."""
    rng = random.Random(f"{company.seed}:prices")
    known = [product for product in company.products.values() if product.known_to_accounting]
    chosen = rng.sample(known, min(max(round(DRIFT_SHARE * len(known)), MIN_DRIFTS), len(known)))
    return sorted(_drawn(company, rng, chosen), key=lambda drift: (drift.since, drift.product))


def lies_in_two_places(company: Company, product: Product) -> bool:
    goods = [key for key, each in company.products.items() if not each.is_service]
    return product.id in goods and goods.index(product.id) % 3 == 0


def _drawn(company: Company, rng: random.Random, products: list[Product]) -> Iterator[Drift]:
    for number, product in enumerate(products):
        kind, share, more, lists = KINDS[number % len(KINDS)]
        since = company.today - timedelta(days=rng.randint(*DRIFT_DAYS))
        if all(listed(product, name) is None for name in lists):
            lists = (RETAIL,)
        for name in lists:
            price = listed(product, name)
            if price is not None:
                yield Drift(product.id, name, since, price, kopecks(price * share + more), kind)
