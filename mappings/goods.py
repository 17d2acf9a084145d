"""What mapping files say of goods: by which thresholds the marts of goods look, and the tiers of discounts.

Whatever is left out is as the marts have it, and as docs/marts.md says.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mappings.section import Section

Share = Annotated[Decimal, Field(ge=0, le=1)]


class BoughtTogether(Section):
    """When two products count as bought together: in so many documents of the last days, so often, that much more
    often than by chance."""

    days: int | None = Field(None, ge=1, le=3660)
    documents: int | None = Field(None, ge=1)
    confidence: Share | None = None
    lift: Decimal | None = Field(None, ge=0)


class DiscountTier(Section):
    """Whoever buys for `turnover`, with VAT and in `currency`, gets `percent` off."""

    turnover: Decimal = Field(gt=0)
    percent: Decimal = Field(gt=0, le=100)
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None  # accounting's own where none is said


class Discount(Section):
    """Discounts by the turnover of the last months, of a counterparty or of a whole client."""

    by: Literal["counterparty", "client"] | None = None
    months: int | None = Field(None, ge=1, le=120)
    tiers: tuple[DiscountTier, ...] = ()

    @model_validator(mode="after")
    def _rising(self) -> Discount:
        for currency in {tier.currency for tier in self.tiers}:
            mine = sorted((t for t in self.tiers if t.currency == currency), key=lambda tier: tier.turnover)
            for lower, higher in pairwise(mine):
                if lower.turnover == higher.turnover or lower.percent >= higher.percent:
                    raise ValueError(
                        f"a turnover of {higher.turnover:f} gives {higher.percent:f} %, one of {lower.turnover:f} "
                        f"gives {lower.percent:f} %. More turnover gives more off; mend one of the two"
                    )
        return self


class Classes(Section):
    """Where the classes of products end: shares of revenue for A and B, variation of quantities for X and Y, growth
    and share of the whole above which a product grows fast and counts much."""

    months: int | None = Field(None, ge=2, le=60)
    least_months: int | None = Field(None, ge=2, le=60)
    a_up_to: Share | None = None
    b_up_to: Share | None = None
    x_up_to: Decimal | None = Field(None, ge=0)
    y_up_to: Decimal | None = Field(None, ge=0)
    growth_from: Decimal | None = Field(None, ge=-1)
    share_from: Share | None = None

    @model_validator(mode="after")
    def _rising(self) -> Classes:
        for low, high in (("a_up_to", "b_up_to"), ("x_up_to", "y_up_to"), ("least_months", "months")):
            first, last = getattr(self, low), getattr(self, high)
            if first is not None and last is not None and first > last:
                raise ValueError(f"`{low}` is above `{high}`. Exchange them")
        return self


class Goods(Section):
    """Of accounting: the thresholds of the marts of goods."""

    bought_together: BoughtTogether = BoughtTogether()
    discount: Discount = Discount()
    classes: Classes = Classes()

    def settings(self) -> dict[str, Any]:
        """What is said, by the names that the marts ask for: numbers as text, which SQL reads without loss."""
        found = {
            f"goods_{name}": section.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
            for name, section in (
                ("bought_together", self.bought_together),
                ("discount", self.discount),
                ("classes", self.classes),
            )
        }
        return {name: said for name, said in found.items() if said}
