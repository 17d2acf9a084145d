"""Record ids as Salesforce shows them: 15 characters that tell case, or 18 with three that repair it.

The first three characters name the object; the rest is a number in base 62, so that ids sort as they were
given out. The last three characters of the long form hold which letters of the short one are capitals.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from sandbox.company.model import STAGES
from sandbox.company.words import LEAD_SOURCES
from sandbox.desk.base import EXTRA_STAGES

PREFIXES: Final = {
    "client": "001", "contact": "003", "deal": "006", "line": "00k", "product": "01t", "price_list": "01s",
    "price": "01u", "employee": "005", "campaign": "701", "stage": "01J", "pipeline": "012", "task": "00T",
    "organization": "00D", "currency": "01L", "invoice": "a01", "requisite": "a02", "source": "a03",
}  # fmt: skip
"""Of each entity of the desk; the last three have no object in a Sales Cloud and are only told apart by it."""
INSTANCE: Final = "gK0"
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_SUFFIX: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_STAGES: Final = tuple(
    [code for pipeline in STAGES.values() for code in pipeline] + [code for code, *_ in EXTRA_STAGES]
)


@lru_cache(maxsize=1 << 18)
def record_id(prefix: str, number: int) -> str:
    """The 18-character id of a number under a key prefix."""
    high, low = divmod(number, 62**5)
    digits = _digits(high, 4) + _digits(low, 5)
    short = f"{prefix}{INSTANCE}{digits}"
    return short + _capitals(short[:5]) + _capitals(short[5:10]) + _capitals(short[10:])


def read_id(text: str) -> tuple[str, int] | None:
    """Key prefix and number of a short or long id; None for what is no id of this organization."""
    if len(text) not in (15, 18) or text[3:6] != INSTANCE:
        return None
    number = 0
    for digit in text[6:15]:
        value = _VALUES.get(digit)
        if value is None:
            return None
        number = number * 62 + value
    return text[:3], number


def stage_name(number: int) -> str:
    """The API name of a stage, which is what an opportunity holds."""
    return _STAGES[number - 1] if 0 < number <= len(_STAGES) else f"STAGE_{number}"


def source_name(number: int) -> str:
    """The API name of a value of the picklist LeadSource."""
    return LEAD_SOURCES[number - 1] if 0 < number <= len(LEAD_SOURCES) else f"SOURCE_{number}"


def source_id(entity: str, number: int) -> str:
    """What the CRM shows for a number of the desk: an id, or the value where the thing is a picklist's."""
    if entity == "stage":
        return stage_name(number)
    if entity == "source":
        return source_name(number)
    return record_id(PREFIXES[entity], number)


@lru_cache(maxsize=1 << 12)
def _capitals(part: str) -> str:
    """Which of five characters are capitals, as one character."""
    return _SUFFIX[sum(1 << place for place, letter in enumerate(part) if "A" <= letter <= "Z")]


def _digits(number: int, places: int) -> str:
    """A number in base 62, filled with zeros."""
    digits = ""
    for _ in range(places):
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return digits
