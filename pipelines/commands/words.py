"""What commands call things in both languages: kinds of records, steps, states, sides, reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipelines.operations.phrases import KINDS as RUSSIAN_KINDS
from resources.language import Language

KINDS: Final[Mapping[str, tuple[str, str]]] = {
    kind: ("VAT invoice" if kind == "vat_invoice" else kind, russian)
    for kind, russian in RUSSIAN_KINDS.items()
}
"""What is written, English and Russian; PostgreSQL has the same of documents (`ops.kind_name`, `ops.kind_name_ru`)."""

STATES: Final = {
    "planned": "запланирована",
    "approved": "утверждена",
    "sent": "отправляется",
    "uncertain": "исход неизвестен",
    "confirmed": "подтверждена",
    "verified": "сверена",
    "held": "удержана",
    "rejected": "отклонена",
    "superseded": "снята",
    "reversed": "сторнирована",
    "corrected": "корректировка",
    "accepted": "принято",
    "written back": "записано обратно",
    "posted again": "проводится снова",
    "asked": "задан вопрос",
    "left": "оставлено",
    "update": "изменить",
    "correction": "корректировка",
    "reversal": "возврат",
    "post": "провести",
    "leave": "оставить",
}

ACTIONS: Final = {
    "create": "создание",
    "update": "изменение",
    "unpost": "отмена проведения",
    "post": "проведение",
    "void": "аннулирование",
    "edit": "изменено в учёте",
    "decision": "решение",
    "question": "вопрос",
}

WRITTEN_BACK: Final = {"deal": "сделка", "company": "клиент", "task": "задача"}
"""What goes back to a CRM."""

MEASURES: Final = {
    "ordered": "заказано",
    "invoiced": "выставлено счетов",
    "realized": "реализовано",
    "vat_invoiced": "счета-фактуры",
    "paid": "оплачено",
    "exchanged": "валюта",
}

REASONS: Final = {
    "missing_in_accounting": "нет в учёте",
    "timing": "ещё не перенесено",
    "missing_in_crm": "нет в CRM",
    "deleted_in_crm": "удалено в CRM",
    "duplicate": "повтор",
    "foreign": "введено вручную",
    "counterparty": "другой контрагент",
    "currency": "другая валюта",
    "unposted": "не проведено",
    "quantity": "другое количество",
    "product": "другая номенклатура",
    "price_version": "другая цена",
    "vat": "другой НДС",
    "vat_rounding": "округление",
    "amount": "другая сумма",
    "date": "другая дата",
    "fx_difference": "курсовая разница",
    "partial_payment": "оплачено не всё",
    "overpayment": "переплата",
    "unallocated": "оплата не разнесена",
    "refund": "возврат денег",
    "organization": "другая организация",
}

LAWS: Final = {
    "every_kopeck_is_explained": "каждая копейка объяснена",
    "debit_equals_credit": "дебет равен кредиту",
}


def said(names: Mapping[str, str], name: str, language: Language) -> str:
    """A name of ours in a language: English as it is, with blanks."""
    return names.get(name, name) if language == "ru" else name


def step(action: str, kind: str, language: Language) -> str:
    """create realization; создание: реализация."""
    if language == "en":
        return f"{action} {kind}"
    russian = RUSSIAN_KINDS.get(kind) or WRITTEN_BACK.get(kind, kind)
    return f"{ACTIONS.get(action, action)}: {russian}"
