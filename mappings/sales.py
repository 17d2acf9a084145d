"""What mapping files say of sales: when a deal counts as stuck or forgotten, what makes up the rating of managers, how far
ahead sales are foretold.

Whatever is left out is as the marts have it, and as docs/marts.md says.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, model_validator

from mappings.section import Section

Weight = Annotated[Decimal, Field(ge=0, le=1000)]


class Stuck(Section):
    """A deal is stuck that is longer in a stage than this share of at least so many deals that went on from there, and
    forgotten after so many days without a change."""

    share: Annotated[Decimal, Field(gt=0, lt=1)] | None = None
    deals: int | None = Field(None, ge=1)
    forgotten_days: int | None = Field(None, ge=1, le=3660)


class Rating(Section):
    """Of managers: over how many months, and how much each figure counts beside the others; 0 leaves it out."""

    months: int | None = Field(None, ge=1, le=120)
    revenue: Weight | None = None
    paid: Weight | None = None
    margin: Weight | None = None
    won: Weight | None = None
    conversion: Weight | None = None
    cycle: Weight | None = None
    overdue: Weight | None = None

    @model_validator(mode="after")
    def _something_counts(self) -> Rating:
        weights = [getattr(self, name) for name in Rating.model_fields if name != "months"]
        if all(weight == 0 for weight in weights):
            raise ValueError("every weight is 0, so that nothing is rated. Give one of them more")
        return self


class Forecast(Section):
    """So many months are foretold; a chance is only told of a stage through which so many closed deals went."""

    months: int | None = Field(None, ge=1, le=24)
    deals: int | None = Field(None, ge=1)


class Sales(Section):
    """Of accounting: the thresholds and weights of the marts of sales."""

    stuck: Stuck = Stuck()
    rating: Rating = Rating()
    forecast: Forecast = Forecast()

    def settings(self) -> dict[str, Any]:
        """What is said, by the names that the marts ask for: numbers as text, which SQL reads without loss."""
        found = {
            f"sales_{name}": section.model_dump(mode="json", exclude_none=True)
            for name, section in (
                ("stuck", self.stuck),
                ("rating", self.rating),
                ("forecast", self.forecast),
            )
        }
        return {name: said for name, said in found.items() if said}
