"""Numbers and days as each language writes them: 1 234,56 ₽ and 31.03.2026; 1,234.56 ₽ and 2026-03-31."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from pipelines.figures import Unit
from resources.language import Language

SIGNS: Final = {"RUB": "₽", "USD": "$", "EUR": "€", "KZT": "₸", "CNY": "¥", "BYN": "BYN"}
GAP: Final = "\N{NO-BREAK SPACE}"
MONTHS_RU: Final = ("янв", "фев", "мар", "апр", "май", "июн", "июл", "авг", "сен", "окт", "ноя", "дек")
MONTHS_EN: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SCALES: Final = ((Decimal(10**9), "bn", "млрд"), (Decimal(10**6), "M", "млн"), (Decimal(10**3), "k", "тыс."))


def figure(value: Any, unit: Unit, language: Language, currency: str | None = None) -> str:
    """A figure by its unit: money to the kopeck (with the currency's sign if one is given), a share in per cent."""
    if value is None:
        return "–"
    amount = Decimal(value)
    if unit == "money":
        told = number(amount, 2, language)
        return f"{told}{GAP}{SIGNS.get(currency, currency)}" if currency else told
    if unit == "share":
        return f"{number(amount * 100, 1, language)}{GAP}%"
    if unit == "percent":
        return f"{trimmed(amount, 2, language)}{GAP}%"
    return trimmed(
        amount, {"count": 0, "days": 1, "hours": 1, "quantity": 4, "ratio": 2, "bits": 1}[unit], language
    )


def number(value: Decimal, places: int, language: Language) -> str:
    """1234567.5 -> `1 234 567,50` in Russian, `1,234,567.50` in English."""
    told = f"{value:,.{places}f}".replace("-", "\N{MINUS SIGN}")
    return told.replace(",", GAP).replace(".", ",") if language == "ru" else told


def trimmed(value: Decimal, places: int, language: Language) -> str:
    """As `number`, without zeros behind the point: 2.0000 -> 2."""
    exact = round(value, places)
    return number(exact, max(0, -int(exact.normalize().as_tuple().exponent)), language)


def short(value: Decimal, language: Language) -> str:
    """For pictures: 1234567 -> 1,2 млн; 950 -> 950."""
    for scale, en, ru in SCALES:
        if abs(value) >= scale:
            told = trimmed(value / scale, 1, language)
            return f"{told}{GAP}{ru}" if language == "ru" else f"{told}{en}"
    return trimmed(value, 0, language)


def day(value: date | None, language: Language) -> str:
    if value is None:
        return "–"
    return f"{value:%d.%m.%Y}" if language == "ru" else f"{value:%Y-%m-%d}"


def month(value: date | None, language: Language) -> str:
    """`мар 2026`, `Mar 2026`."""
    if value is None:
        return "–"
    return f"{(MONTHS_RU if language == 'ru' else MONTHS_EN)[value.month - 1]}{GAP}{value.year}"


def moment(value: datetime, language: Language) -> str:
    return f"{day(value.date(), language)} {value:%H:%M}"
