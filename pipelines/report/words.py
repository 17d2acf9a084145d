"""What the pages say besides figures, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipelines.commands.words import KINDS, MEASURES, REASONS, STATES
from resources.language import Language

HEADS: Final[Mapping[str, tuple[str, str]]] = {
    "counterparty": ("Counterparty", "Контрагент"), "client": ("Client", "Клиент"), "manager": ("Manager", "Менеджер"),
    "deal": ("Deal", "Сделка"), "kind": ("Document", "Документ"), "number": ("Number", "Номер"), "month": ("Month", "Месяц"),
    "document_date": ("Date", "Дата"), "due_on": ("Due on", "Срок оплаты"), "currency": ("Currency", "Валюта"),
    "check_name": ("Check", "Проверка"), "example": ("For example", "Например"), "source": ("System", "Система"),
    "pipeline": ("Pipeline", "Воронка"), "stage": ("Stage", "Этап"), "lead_source": ("Lead source", "Источник"),
    "product": ("Product", "Товар"), "other": ("Bought with it", "Покупают вместе"), "unit": ("Unit", "Единица"),
    "reason": ("Reason", "Причина"), "measure": ("Measure", "Показатель"), "variance_number": ("Variance", "Расхождение"),
    "expected": ("The CRM says", "В CRM"), "actual": ("Accounting says", "В учёте"), "owner": ("Owner", "Кто решает"),
    "sentence": ("What to do", "Что делать"), "receivables": ("Documents", "Документов"), "variances": ("Number", "Число"),
    "state": ("State", "Состояние"), "buyer": ("Client", "Клиент"), "phone": ("Phone", "Телефон"), "why": ("Why", "Почему"),
    "loss_reason": ("Reason", "Причина"), "campaign": ("Campaign", "Кампания"), "abc": ("ABC", "ABC"), "xyz": ("XYZ", "XYZ"),
    "bcg": ("BCG", "БКГ"), "abc_xyz": ("Class", "Класс"), "moved": ("Moved", "Движение"), "products": ("Products", "Товаров"),
    "segment": ("Segment", "Сегмент"), "clients_counted": ("Clients", "Клиентов"), "method": ("Method", "Метод"),
    "expected_on": ("Expected on", "Ожидается"),
}  # fmt: skip
"""Headings of columns that are no figures of a mart, English and Russian."""

_SAID: Final[Mapping[str, str]] = {
    "accountants": "бухгалтерия", "sales": "отдел продаж", "data team": "команда данных", "open": "открыто",
    "accepted": "принято", "stated": "указано в учёте", "reference": "по номеру в назначении", "exact": "по сумме",
    "oldest": "сначала давние", "receipt": "оплата", "refund": "возврат оплаты", "critical": "держит", "warning": "предупреждение",
    "info": "к сведению", "create": "создать", "update": "изменить", "post": "провести", "unpost": "отменить проведение",
    "promise broken": "обещали и не заплатили", "overdue": "просрочено", "due soon": "скоро срок", "stuck": "застряла",
    "forgotten": "забыта", "seasonal_naive": "как год назад", "naive": "как в прошлом месяце",
    "pipeline": "по открытым сделкам", "theta": "тета", "best": "лучшие", "loyal": "постоянные",
    "new": "новые", "at risk": "под угрозой", "lost": "потерянные",
    "other": "прочие", "star": "звезда", "cow": "корова", "question": "вопрос", "dog": "собака", "same": "без перемен",
    "gone": "не продаётся",
}  # fmt: skip
_CODES: Final = frozenset(
    {
        "kind",
        "reason",
        "measure",
        "owner",
        "state",
        "action",
        "rule",
        "severity",
        "to_state",
        "why",
        "segment",
        "bcg",
        "moved",
        "method",
    }
)

WORDS: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {
        "amount": "Amount",
        "created": "Created",
        "closed": "Closed",
        "cause": "Caused by",
        "stands": "It tells how things stand now, not on that day.",
        "page": "Sverka report",
        "report": "Report",
        "as_of": "As of {day}",
        "now": "as it stands now",
        "none": "None.",
        "more": "{shown} of {count} rows. All of them: {command}",
        "total": "Total",
        "empty": "No rows in: {months}",
        "of": "{title}, {currency}",
        "made": "Made {moment} UTC",
        "unsaid": "not said",
        "known": "known up to {moment} UTC",
        "other": "По-русски",
        "contents": "Contents",
        "evidence": "Evidence of a deal",
        "laws": "Does it add up?",
        "holds": "holds",
        "broken": "BROKEN",
        "others": "Further currencies stand in the table.",
        "without": "Only deals up to the {count}th are told one by one; any other: sverka operations show DEAL",
        "crm": "What the CRM says",
        "versions": "Versions read",
        "mapping": "Mapping file in force",
        "checks": "Checks",
        "operations": "Operations",
        "documents": "Documents in accounting",
        "payments": "Payments",
        "variances": "Differences",
        "passed": "No check objects.",
        "nothing": "Nothing.",
        "released": "let pass by {by}, {at}: {why}",
        "version": "version",
        "seen": "read (UTC)",
        "said": "said in the source (UTC)",
        "deleted": "deleted",
        "when": "At (UTC)",
        "what": "What",
        "who": "By",
        "why": "Why",
        "back": "Back to the reconciliation",
        "fingerprint": "fingerprint",
        "since": "in force since (UTC)",
        "sent": "Sent",
        "posted": "Posted",
        "yes": "yes",
        "no": "no",
        "paid_on": "Paid on",
        "rule": "Found by",
        "from_state": "From",
        "mapping_none": "No mapping file was deployed before the first operation.",
    },
    "ru": {
        "amount": "Сумма",
        "created": "Создана",
        "closed": "Закрыта",
        "cause": "Чем вызвано",
        "stands": "Показано, как есть сейчас, а не на тот день.",
        "page": "Отчёт Sverka",
        "report": "Отчёт",
        "as_of": "На {day}",
        "now": "как есть сейчас",
        "none": "Нет.",
        "more": "Показано строк: {shown} из {count}. Все: {command}",
        "total": "Всего",
        "empty": "Нет строк за: {months}",
        "of": "{title}, {currency}",
        "made": "Составлено {moment} UTC",
        "unsaid": "не указано",
        "known": "данные по {moment} UTC",
        "other": "In English",
        "contents": "Содержание",
        "evidence": "Основания по сделке",
        "laws": "Всё ли сходится?",
        "holds": "верно",
        "broken": "НАРУШЕНО",
        "others": "Остальные валюты — в таблице.",
        "without": "По одной показаны первые {count} сделок; любая другая: sverka operations show СДЕЛКА",
        "crm": "Что говорит CRM",
        "versions": "Прочитанные версии",
        "mapping": "Действовавший файл соответствий",
        "checks": "Проверки",
        "operations": "Операции",
        "documents": "Документы в учёте",
        "payments": "Оплаты",
        "variances": "Расхождения",
        "passed": "Замечаний проверок нет.",
        "nothing": "Ничего.",
        "released": "пропустил(а) {by}, {at}: {why}",
        "version": "версия",
        "seen": "прочитано (UTC)",
        "said": "сказано в источнике (UTC)",
        "deleted": "удалено",
        "when": "Когда (UTC)",
        "what": "Что",
        "who": "Кто",
        "why": "Почему",
        "back": "Назад к сверке",
        "fingerprint": "отпечаток",
        "since": "действует с (UTC)",
        "sent": "Отправлено",
        "posted": "Проведён",
        "yes": "да",
        "no": "нет",
        "paid_on": "Дата оплаты",
        "rule": "Найдено",
        "from_state": "Из",
        "mapping_none": "До первой операции файлов соответствий не было.",
    },
}


def head(name: str, language: Language) -> str | None:
    """The heading of a column that is no figure of a mart; None where there is none."""
    found = HEADS.get(name)
    return found[language == "ru"] if found else None


def value(column: str, text: str, language: Language) -> str:
    """A code as people say it: `missing_in_accounting` in a column `reason`. Anything else as it is."""
    if column not in _CODES:
        return text
    if text in KINDS:
        return KINDS[text][language == "ru"]
    if language == "en":
        return text.replace("_", " ")
    return REASONS.get(text) or MEASURES.get(text) or STATES.get(text) or _SAID.get(text, text)
