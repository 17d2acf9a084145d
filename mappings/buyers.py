"""What mapping files say of buyers: by which thresholds the marts of clients and debts look.

Whatever is left out is as the marts have it, and as docs/marts.md says.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import Field

from mappings.goods import Classes, Share
from mappings.section import Section


class Debts(Section):
    """Days of sales that a debt is measured by, and how many days before its day a buyer is called."""

    sales_days: int | None = Field(None, ge=1, le=3660)
    call_before: int | None = Field(None, ge=0, le=365)


class Value(Section):
    """Months ahead for which a buyer's margin is expected, and days that recency, frequency and money are counted over."""

    months_ahead: int | None = Field(None, ge=1, le=120)
    rfm_days: int | None = Field(None, ge=1, le=3660)


class Silence(Section):
    """When a buyer is silent for longer than is usual with it: the share of its own intervals that are shorter, how many
    of them are needed, and how many times as long means that it is gone."""

    share: Share | None = None
    intervals: int | None = Field(None, ge=1)
    gone_times: Decimal | None = Field(None, ge=1)


class Buyers(Section):
    """Of accounting: the thresholds of the marts of clients and debts."""

    classes: Classes = Classes()  # as those of products
    debts: Debts = Debts()
    value: Value = Value()
    silence: Silence = Silence()

    def settings(self) -> dict[str, Any]:
        """What is said, by the names that the marts ask for: numbers as text, which SQL reads without loss."""
        found = {
            f"buyers_{name}": section.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
            for name, section in (
                ("classes", self.classes),
                ("debts", self.debts),
                ("value", self.value),
                ("silence", self.silence),
            )
        }
        return {name: said for name, said in found.items() if said}
