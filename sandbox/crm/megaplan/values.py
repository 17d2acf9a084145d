"""The values of Megaplan: shown ids, links, money in floats, stamps in UTC, dates with months from zero.

Ids are strings. Companies and people share one sequence (they are all contractors), every other kind has its
own, so that the same id stands in several kinds: only (contentType, id) names a record.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from sandbox.crm.megaplan.protocol import RefusedError, wrong_type

Said = dict[str, Any]

CONTENT_TYPES: Final = {
    "client": "ContractorCompany", "contact": "ContractorHuman", "requisite": "Payer", "deal": "Deal",
    "line": "OfferRow", "product": "Offer", "pipeline": "Program", "stage": "ProgramState",
    "source": "AdvertisingWay", "employee": "Employee", "invoice": "Invoice", "task": "Task",
    "currency": "Currency", "tax": "Tax", "unit": "Unit", "country": "Country", "category": "OfferCategory",
    "department": "Department", "own": "Payer", "loose": "Offer", "kind": "ContractorType",
    "address": "AddressType", "standing": "EmployeeStatus", "transition": "ProgramTransition",
}  # fmt: skip
"""By the desk's entity, or by the name of a thing that only the vendor has."""
OF_TYPE: Final = {
    CONTENT_TYPES[kind]: kind
    for kind in (
        "client", "contact", "requisite", "deal", "line", "product", "pipeline", "stage", "source", "employee",
        "invoice", "task", "currency", "tax", "unit", "department",
    )
}  # fmt: skip
_FIRST: Final = {
    "requisite": 1_000_000, "deal": 20_000, "line": 500, "product": 3_000, "pipeline": 10, "stage": 100,
    "source": 30, "campaign": 0, "employee": 1_000_000, "invoice": 1_000, "task": 1_000_000,
}  # fmt: skip
CONTRACTORS: Final = 1_000_000
RATES: Final = {"RUB": Decimal(1), "USD": Decimal("77.6502"), "EUR": Decimal("90.4711")}
"""Roubles for one unit, at the account's rate of today: `valueInMain` of every amount is made with it."""


class Link:
    """A mention of another entity: whole at its first place in an answer, contentType and id afterwards."""

    __slots__ = ("key", "kind")

    def __init__(self, kind: str, key: int | str) -> None:
        self.kind, self.key = kind, key


def source_id(entity: str, number: int) -> str:
    """The id that is shown for a number of the desk."""
    if entity in ("client", "contact"):
        return str(CONTRACTORS + 2 * number + (entity == "contact"))
    return str(_FIRST.get(entity, 0) + number)


def number_of(entity: str, shown: object) -> int | None:
    """The desk's number for a shown id, a string or a number; None for what cannot be one."""
    text = str(shown)
    if not re.fullmatch(r"\d{1,15}", text):
        return None
    if entity in ("client", "contact"):
        half, rest = divmod(int(text) - CONTRACTORS, 2)
        return half if half > 0 and rest == (entity == "contact") else None
    number = int(text) - _FIRST.get(entity, 0)
    return number if number > 0 else None


def money(value: Decimal, currency: str) -> Said:
    """Money as the vendor says it: JSON numbers of a float, whole ones without a point."""
    shown = plain(value)
    if currency == "RUB":
        return {"contentType": "Money", "currency": "RUB", "valueInMain": shown, "rate": 1, "value": shown}
    rate = RATES.get(currency, Decimal(1))
    return {
        "contentType": "Money", "currency": currency, "valueInMain": plain(value * rate), "rate": plain(rate),
        "value": shown,
    }  # fmt: skip


def plain(value: Decimal | int) -> int | float:
    """A number as PHP writes a float."""
    return (
        value
        if isinstance(value, int)
        else int(value)
        if value == value.to_integral_value()
        else float(value)
    )


def moment(at: datetime) -> Said:
    return {"contentType": "DateTime", "value": at.astimezone(UTC).isoformat(timespec="seconds")}


def day(on: date | None, from_zero: bool) -> Said | None:
    """DateOnly; `month` counts from 0 as documented, from 1 where the account is made to."""
    if on is None:
        return None
    return {"contentType": "DateOnly", "year": on.year, "month": on.month - from_zero, "day": on.day}


def heard_money(said: Any) -> Decimal | None:
    """The amount of a Money that was written; None clears. Raises RefusedError."""
    if said is None:
        return None
    value = said.get("value") if isinstance(said, dict) and said.get("contentType") == "Money" else None
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise wrong_type(said, "Money")
    try:
        amount = Decimal(value)
    except InvalidOperation:
        raise wrong_type(said, "Money") from None
    if not amount.is_finite():
        raise wrong_type(said, "Money")
    return amount


def heard_day(said: Any, from_zero: bool) -> date | None:
    """The date of a DateOnly that was written; None clears. Raises RefusedError."""
    if said is None:
        return None
    if not isinstance(said, dict) or said.get("contentType") != "DateOnly":
        raise wrong_type(said, "DateOnly")
    try:
        return date(int(said["year"]), int(said["month"]) + from_zero, int(said["day"]))
    except (KeyError, TypeError, ValueError):
        raise RefusedError(422, "The date does not exist") from None


def heard_moment(said: Any) -> datetime:
    """The stamp of a DateTime that was written. Raises RefusedError."""
    value = said.get("value") if isinstance(said, dict) and said.get("contentType") == "DateTime" else None
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        raise wrong_type(said, "DateTime") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def heard_link(said: Any, *kinds: str) -> tuple[str, int]:
    """Kind and number of a link {contentType, id} to one of these kinds. Raises RefusedError."""
    wanted = "|".join(CONTENT_TYPES[kind] for kind in kinds)
    if not isinstance(said, dict):
        raise wrong_type(said, wanted)
    kind = OF_TYPE.get(str(said.get("contentType")))
    number = number_of(kind, said.get("id")) if kind in kinds and kind is not None else None
    if kind is None or number is None:
        raise wrong_type(said, wanted)
    return kind, number
