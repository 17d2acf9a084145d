"""What columns of codes say, in each language: one place for tables on screen and workbooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from resources.language import LANGUAGES, Language


def value(code: str, language: Language) -> str:
    """A code in words; one that is not among them as it is."""
    return VALUES.get(code, {}).get(language, code)


def _translated(*rows: tuple[str, str]) -> dict[str, dict[Language, str]]:
    return {said: dict(zip(LANGUAGES, (said, ru), strict=True)) for said, ru in rows}


VALUES: Final[Mapping[str, Mapping[Language, str]]] = _translated(
    ("open", "открыто"), ("accepted", "принято"), ("not due", "срок не наступил"), ("over 90", "свыше 90"),
    ("invoice", "счёт"), ("order", "заказ"), ("realization", "реализация"), ("correction", "корректировка"),
    ("return", "возврат"), ("receipt", "оплата"), ("refund", "возврат оплаты"), ("accountants", "бухгалтерия"),
    ("sales", "отдел продаж"), ("data team", "команда данных"), ("ordered", "заказано"), ("invoiced", "выставлено"),
    ("realized", "реализовано"), ("vat_invoiced", "счета-фактуры"), ("paid", "оплачено"), ("exchanged", "курсовые разницы"),
)  # fmt: skip
