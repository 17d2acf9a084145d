"""What mapping files say of money: what a deal's amount means, and how accounting's documents keep sums."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field, model_validator

from mappings.section import Section


class Amounts(Section):
    """Of a CRM: what a deal's amount means that is not the sum of its lines.

    `below_lines`: `held`, or `discount`: the whole deal is cheaper by the difference, which is spread over its lines, up
    to `discount_up_to` percent of them. `rounding_up_to`: by how much, in the deal's currency, the two may differ by
    rounding alone, either way; it is spread too.
    """

    below_lines: Literal["held", "discount"] = "held"
    discount_up_to: Decimal = Field(Decimal(100), gt=0, le=100)
    rounding_up_to: Decimal = Field(Decimal(0), ge=0, le=1)


class Money(Section):
    """Of accounting: how its documents keep money. See docs/money.md.

    `vat_terms`: whether prices and sums are written with VAT, without, or as the deal states them.
    `vat_rounding`: whether VAT is rounded by line, or by document and rate and then spread over the lines.
    `price_digits`: digits that a price keeps. `inexact_price`: of a sum that no such price makes, `nearest` writes the
    nearest price and the sum as it is, `split` makes two lines of it, each of which is exact.
    `rate_holds_days`: how old an exchange rate may be; without it the last one holds for ever.
    """

    vat_terms: Literal["included", "excluded", "as_sold"] = "included"
    vat_rounding: Literal["line", "document"] = "line"
    price_digits: int = Field(4, ge=2, le=7)
    inexact_price: Literal["nearest", "split"] = "nearest"
    rate_holds_days: int | None = Field(None, ge=0, le=366)

    @model_validator(mode="after")
    def _splits_kopecks(self) -> Money:
        if self.inexact_price == "split" and self.price_digits != 2:
            raise ValueError("`inexact_price: split` makes prices of two digits. Write `price_digits: 2`")
        return self
