"""What acts say, in Russian and English: one place for every word of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Final

from pipelines.papers.act import Act, Line
from resources.language import Language

KINDS: Final[Mapping[Language, Mapping[str, str]]] = {
    "ru": {"realization": "Реализация", "correction": "Корректировка реализации", "return": "Возврат от покупателя",
           "receipt": "Оплата", "refund": "Возврат оплаты", "order": "Заказ", "invoice": "Счёт", "": "Операция"},
    "en": {"realization": "Sale", "correction": "Correction of a sale", "return": "Return of goods",
           "receipt": "Payment", "refund": "Refund", "order": "Order", "invoice": "Invoice", "": "Entry"},
}  # fmt: skip

WORDS: Final[Mapping[Language, Mapping[str, str]]] = {
    "ru": {
        "title": "Акт сверки",
        "of": "взаимных расчётов за период с {first} по {last}",
        "between": "между {ours} и {theirs}",
        "contract": "по договору: {contract}",
        "all": "по всем договорам",
        "opens": "Мы, нижеподписавшиеся, {ours}, с одной стороны, и {theirs}, с другой стороны, составили настоящий акт сверки"
        " в том, что состояние взаимных расчётов по данным учёта следующее:",
        "by": "По данным {party}, {currency}",
        "date": "Дата", "document": "Документ", "debit": "Дебет", "credit": "Кредит",
        "opening": "Сальдо начальное", "turnover": "Обороты за период", "closing": "Сальдо конечное",
        "concludes": "По данным {ours}",
        "owed": "на {last} задолженность в пользу {whom} составляет {amount} ({words})",
        "even": "на {last} задолженность отсутствует",
        "from": "От {party}",
        "position": "должность", "signature": "подпись", "name": "расшифровка подписи", "seal": "М.П.",
        "us": "наша организация (в учёте не указана)",
        "page": "Страница {page} из {pages}",
        "no_movement": "Взаимных расчётов в учёте нет.",
        "no_turnover": "Оборотов за период нет.",
        "future": "Документы с датой позже {read_on} (дня последнего чтения учёта): {future}.",
        "undated": "В начальное сальдо вошли проводки без даты.",
        "unread": "Учёт прочитан по {read_on}; более поздние документы периода могли не войти.",
        "never": "ни разу", "no_rate": "У части документов в учёте нет курса; акт составлен в валюте документов, курс для него не нужен.",
        "overpaid": "Оплачено больше, чем отгружено: на конец периода числится аванс покупателя.",
        "documents": "Бухгалтерия не публикует проводок: акт составлен по проведённым документам и платежам.",
    },
    "en": {
        "title": "Reconciliation act",
        "of": "of mutual settlements from {first} to {last}",
        "between": "between {ours} and {theirs}",
        "contract": "under the contract: {contract}",
        "all": "under all contracts",
        "opens": "We, the undersigned, {ours}, of the one part, and {theirs}, of the other part, have drawn up this act to the"
        " effect that by the books our mutual settlements stand as follows:",
        "by": "By the books of {party}, {currency}",
        "date": "Date", "document": "Document", "debit": "Debit", "credit": "Credit",
        "opening": "Opening balance", "turnover": "Turnover of the period", "closing": "Closing balance",
        "concludes": "By the books of {ours}",
        "owed": "on {last} the debt in favour of {whom} is {amount} ({words})",
        "even": "on {last} neither side owes the other anything",
        "from": "For {party}",
        "position": "position", "signature": "signature", "name": "name", "seal": "Seal",
        "us": "our organization (accounting does not name it)",
        "page": "Page {page} of {pages}",
        "no_movement": "The books hold no settlements with this counterparty.",
        "no_turnover": "Nothing moved in the period.",
        "future": "Documents dated after {read_on}, the day on which accounting was last read: {future}.",
        "undated": "The opening balance includes entries without a date.",
        "unread": "Accounting was read up to {read_on}; later documents of the period may be missing.",
        "never": "no day yet", "no_rate": "Accounting gives no rate for some documents; the act is in their own currency and needs none.",
        "overpaid": "More was paid than sold: at the end of the period the buyer has an advance.",
        "documents": "Accounting publishes no entries: the act is made of posted documents and payments.",
    },
}  # fmt: skip

SYMBOLS: Final = {"RUB": "руб."}  # what a Russian paper writes for a currency; others by their letters


def day(value: date | None, language: Language) -> str:
    if value is None:
        return "—"
    return f"{value:%d.%m.%Y}" if language == "ru" else f"{value:%Y-%m-%d}"


def money(value: Decimal, language: Language) -> str:
    """1234567.5 -> `1 234 567,50` in Russian, `1,234,567.50` in English."""
    told = f"{value:,.2f}"
    return told.replace(",", "\N{NO-BREAK SPACE}").replace(".", ",") if language == "ru" else told


def document(line: Line, language: Language) -> str:
    """`Реализация № 0000-000001 от 12.03.2026`; of an entry without a document its wording."""
    kind = KINDS[language].get(line.kind, line.kind)
    if line.number:
        return f"{kind} № {line.number}" if language == "ru" else f"{kind} No. {line.number}"
    return f"{kind}: {line.content}" if line.content else kind


def ours(act: Act, language: Language) -> str:
    return act.organization.name if act.organization else WORDS[language]["us"]


def conclusion(act: Act, language: Language) -> str:
    """Who owes whom how much at the end of the period, the sum in words."""
    words, last = WORDS[language], day(act.last, language)
    if act.closing == 0:
        return words["even"].format(last=last)
    whom = ours(act, language) if act.closing > 0 else act.counterparty.name
    amount = abs(act.closing)
    unit = SYMBOLS.get(act.currency, act.currency) if language == "ru" else act.currency
    return words["owed"].format(
        last=last, whom=whom, amount=f"{money(amount, language)} {unit}",
        words=in_words(amount, act.currency, language),
    )  # fmt: skip


def notes(act: Act, language: Language) -> list[str]:
    """What a reader of the act should know besides, each a sentence."""
    words = WORDS[language]
    read_on = day(act.read_on, language) if act.read_on else words["never"]
    told = [words[note].format(read_on=read_on, future=act.future) for note in act.notes]
    return [*told, *([words["documents"]] if act.basis == "documents" else [])]


def in_words(amount: Decimal, currency: str, language: Language) -> str:
    """1200.5 RUB -> `Одна тысяча двести рублей 50 копеек`. Never negative; a currency without known words by its letters."""
    from num2words import num2words

    whole, cents = divmod(int((amount * 100).to_integral_value()), 100)
    try:
        told = num2words(
            Decimal(whole * 100 + cents) / 100,
            lang=language,
            to="currency",
            currency=currency,
            cents=False,
            separator="",
        )
    except NotImplementedError:
        told = f"{num2words(whole, lang=language)} {currency} {cents:02d}/100"
    told = " ".join(str(told).split())
    return told[:1].upper() + told[1:]
