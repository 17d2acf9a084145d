"""Deals as a CRM states them, and what their lines must come to: reckoned in whole kopecks, without SQL.

Money is integers of kopecks here, quantities integers of thousandths, so that nothing is rounded unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

RATES = (None, 0, 5, 7, 10, 20, 22)
WORDS = {None: "БезНДС", 0: "НДС0", 5: "НДС5", 7: "НДС7", 10: "НДС10", 20: "НДС20", 22: "НДС22"}


@dataclass(frozen=True, slots=True)
class Terms:
    """The section `money` of accounting."""

    vat_terms: str = "included"
    vat_rounding: str = "line"
    price_digits: int = 2
    inexact_price: str = "split"


@dataclass(frozen=True, slots=True)
class Line:
    """`price` in kopecks before the discount, on the line's own VAT terms; `percent` of it is taken off."""

    key: str
    thousandths: int
    price: int
    rate: int | None
    included: bool
    percent: int = 0

    @property
    def sold_at(self) -> int:
        """Kopecks a unit, with its discount."""
        return divided(self.price * (100 - self.percent), 100)

    @property
    def amount(self) -> int:
        return divided(self.sold_at * self.thousandths, 1000)


@dataclass(frozen=True, slots=True)
class Deal:
    """`included`: the terms of its header. `discount` in kopecks on these terms, off the sum of the lines."""

    key: str
    lines: tuple[Line, ...]
    included: bool = True
    discount: int = 0


@dataclass(frozen=True, slots=True)
class Sum:
    gross: int
    vat: int

    @property
    def net(self) -> int:
        return self.gross - self.vat


def divided(value: int, by: int) -> int:
    """Rounded half up; both are positive."""
    return (2 * value + by) // (2 * by)


def on_terms(deal: Deal, line: Line) -> int:
    """What a line comes to on the terms of its deal's header."""
    rate = line.rate or 0
    if line.included == deal.included:
        return line.amount
    if line.included:
        return line.amount - divided(line.amount * rate, 100 + rate)
    return line.amount + divided(line.amount * rate, 100)


def whole(deal: Deal) -> int:
    """The sum of the lines on the terms of the header."""
    return sum(on_terms(deal, line) for line in deal.lines)


def shared_out(total: int, weights: dict[str, int]) -> dict[str, int]:
    """`total` in proportion to `weights` by largest remainder; of equal ones the heavier, then the first by key."""
    every = sum(weights.values())
    if not every:
        return dict.fromkeys(weights, 0)
    given = {key: weight * total // every for key, weight in weights.items()}
    order = sorted(weights, key=lambda key: (-(weights[key] * total % every), -weights[key], key))
    for key in order[: total - sum(given.values())]:
        given[key] += 1
    return given


def reckoned(deal: Deal, terms: Terms) -> dict[str, Sum]:
    """What every line of a deal comes to, by its key."""
    due = {line.key: on_terms(deal, line) for line in deal.lines}
    if deal.discount:
        due = shared_out(whole(deal) - deal.discount, due)
    vat: dict[str, int] = {}
    if terms.vat_rounding == "line":
        for line in deal.lines:
            rate = line.rate or 0
            vat[line.key] = divided(due[line.key] * rate, 100 + rate if deal.included else 100)
    else:
        for rate in {line.rate or 0 for line in deal.lines}:
            weights = {line.key: due[line.key] for line in deal.lines if (line.rate or 0) == rate}
            total = divided(sum(weights.values()) * rate, 100 + rate if deal.included else 100)
            vat |= shared_out(total, weights)
    return {key: Sum(due[key] if deal.included else due[key] + vat[key], vat[key]) for key in due}


def money(kopecks: int) -> Decimal:
    return Decimal(kopecks).scaleb(-2)


def kopecks(value: Decimal) -> int:
    found = value * 100
    assert found == found.to_integral_value(), f"{value} has parts of a kopeck"
    return int(found)


def farthest(total: int, weights: dict[str, int], given: dict[str, int]) -> tuple[int, int]:
    """How far the farthest share lies above and below its exact value, in parts of the sum of the weights."""
    every = sum(weights.values())
    apart = [given[key] * every - weights[key] * total for key in weights]
    return max(apart), min(apart)


def rows(deals: Sequence[Deal]) -> list[tuple[Deal, Line]]:
    return [(deal, line) for deal in deals for line in deal.lines]
