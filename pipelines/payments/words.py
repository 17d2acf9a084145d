"""What the model says of a payment and a document, in Russian: its labels are English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LABELS_RU: Final[Mapping[str, str]] = {
    "no amount": "сумма неизвестна",
    "exactly the sum": "ровно эта сумма",
    "less by up to 1 %, as after a bank's fee": "меньше не более чем на 1 %, как после комиссии банка",
    "more by up to 1 %": "больше не более чем на 1 %",
    "another sum, by up to 2 %": "другая сумма, до 2 %",
    "another sum, by up to 3 %": "другая сумма, до 3 %",
    "another sum, by up to 5 %": "другая сумма, до 5 %",
    "another sum, by up to 8 %": "другая сумма, до 8 %",
    "another sum": "другая сумма",
    "no day": "день неизвестен",
    "paid before the document": "оплачено раньше даты документа",
    "paid on the same day": "оплачено в день документа",
    "paid within 2 days": "оплачено в течение 2 дней",
    "paid within 6 days": "оплачено в течение 6 дней",
    "paid within 21 days": "оплачено в течение 21 дня",
    "paid within 60 days": "оплачено в течение 60 дней",
    "paid later than 60 days": "оплачено позже чем через 60 дней",
    "no words": "слов для сравнения нет",
    "its words stand there, very rare ones": "слова названия есть в платеже, очень редкие",
    "its words stand there, rarer ones": "слова названия есть в платеже, весьма редкие",
    "its words stand there, rare ones": "слова названия есть в платеже, редкие",
    "its words stand there, less rare ones": "слова названия есть в платеже, не очень редкие",
    "its words stand there, not common ones": "слова названия есть в платеже, нечастые",
    "its words stand there, common ones": "слова названия есть в платеже, частые",
    "its words stand there, very common ones": "слова названия есть в платеже, очень частые",
    "other words": "другие слова",
    "all of its words": "название целиком",
    "all but a common word": "название без одного частого слова",
    "all but some": "название без некоторых слов",
    "other words are lacking": "остальных слов названия нет",
    "no tax number": "ИНН не назван",
    "names its tax number": "назван ИНН должника",
    "names another tax number": "назван другой ИНН",
    "no number": "номера нет",
    "names its number": "назван номер документа",
    "names its number, a short one": "назван номер документа, короткий",
    "names other numbers": "названы другие номера",
}


def russian(label: str) -> str:
    return LABELS_RU[label]
