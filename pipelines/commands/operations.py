"""`sverka operations show`: the life of a deal's documents; what the targets that do not answer are waited for."""

from __future__ import annotations

from datetime import UTC, date
from typing import Final

from mappings.words import field_word
from pipelines.commands import show
from pipelines.commands.session import CONSOLE, road
from pipelines.commands.words import ACTIONS, KINDS, STATES
from pipelines.operations.breaker import open_breakers, retry
from pipelines.operations.history import Document, Event, documents_of, history_of
from pipelines.operations.phrases import in_russian
from resources.language import Language
from resources.warehouse import Warehouse

RECENT_DAYS: Final = 7
MAX_EDITS: Final = 12

EDITS: Final = {
    "posting": ("posting", "проведение"),
    "deletion": ("deletion", "удаление"),
    "payment": ("payment", "оплата"),
    "posted": ("posted", "проведён"),
    "unposted": ("unposted", "не проведён"),
    "there": ("there", "есть"),
    "deleted": ("deleted", "удалён"),
    "paid": ("paid", "оплачен"),
}


REASONS: Final = {
    "the target is approved automatically": "утверждается автоматически",
    "read back and equal": "прочитано обратно, совпадает",
    "read back again, and equal now": "прочитано ещё раз, теперь совпадает",
    "a probe found it in the target": "проба нашла запись в учёте",
    "the target does not have it: it is sent again": "в учёте записи нет: отправляется снова",
    "to be sent again": "отправляется снова",
    "its content changed": "содержание изменилось",
    "the deal calls for it again": "сделка снова требует документа",
    "the deal no longer calls for it": "сделка больше не требует документа",
    "what held it is mended": "причина удержания устранена",
    "something newer is to be written": "записывается более новое",
    "a newer write of it is verified": "более новая запись сверена",
    "the run that sent it ended before the answer": "запуск прервался до ответа",
    "a document that takes it back is written": "записан документ возврата",
    "approved by hand": "утверждено вручную",
}


def operations_show(deal: str, language: Language) -> int:
    """Print what accounting holds of a deal, and how it came about. 1 for a deal that nothing was planned for."""
    with road() as found:
        return show_history(found.warehouse, found.accounting.name, deal, language)


def show_history(warehouse: Warehouse, target: str, deal: str, language: Language = "en") -> int:
    """As `operations_show`, of an open warehouse. Times are UTC."""
    events = history_of(warehouse, deal, target)
    if not events:
        CONSOLE.print(
            f"Nothing was ever planned for {deal}; see `sverka hold list`, and that it is written like bitrix24:4711"
            if language == "en"
            else f"Для {deal} ничего не планировалось; см. `sverka hold list`; сделка пишется так: bitrix24:4711",
            markup=False,
        )
        return 1
    ru = language == "ru"
    heads = (
        ("документ", "номер", "дата", "сумма", "состояние")
        if ru
        else ("document", "number", "date", "sum", "state")
    )
    made = show.table(f"{deal}", *heads, right=(heads[3],))
    for document in documents_of(warehouse, deal, target):
        show.row(made, *_document(document, ru))
    CONSOLE.print(made, "")
    told = [_event(event, language) for event in events]
    columns = ("когда (UTC)", "документ", "шаг", "состояние", "кто", "почему") if ru else (
        "at (UTC)", "document", "step", "state", "by", "why")  # fmt: skip
    show.sentences("Что с ними было" if ru else "What became of them", columns, told)
    return 0


def _document(document: Document, ru: bool) -> tuple[str, ...]:
    if document.is_deleted:
        state = "удалён в учёте" if ru else "deleted in accounting"
    elif document.is_posted:
        state = "проведён" if ru else "posted"
    else:
        state = "не проведён" if ru else "not posted"
    if document.state not in ("verified", "reversed"):
        state = STATES.get(document.state, document.state) if ru else document.state
    return (
        KINDS.get(document.kind, (document.kind,) * 2)[ru],
        document.number,
        f"{document.day:%d.%m.%Y}" if document.day else "",
        "" if document.amount is None else f"{show.money(document.amount)} {document.currency}",
        state,
    )


def _event(event: Event, language: Language) -> tuple[str, ...]:
    ru = language == "ru"
    step = ACTIONS.get(event.action, event.action) if ru else event.action
    state = STATES.get(event.to_state, event.to_state) if ru else event.to_state
    reason = (REASONS.get(event.reason) or in_russian(event.reason)) if ru else event.reason
    if event.field:
        reason = _edited(event.field, event.held, event.found, language)
    return (
        f"{event.at.astimezone(UTC):%d.%m.%Y %H:%M:%S}",
        KINDS.get(event.kind, (event.kind,) * 2)[ru],
        step,
        state,
        event.actor,
        reason,
    )


def show_breakers(warehouse: Warehouse, language: Language = "en") -> None:
    """Systems that nothing is sent to now: since when, why, and what ends it. Nothing where all is well."""
    for breaker in open_breakers(warehouse):
        CONSOLE.print(breaker.sentence(language), style="red", markup=False)


def show_edits(warehouse: Warehouse, language: Language = "en") -> None:
    """What accounting changed of documents of ours in the last days, and what was made of it; nothing where it was nothing."""
    rows = warehouse.rows(
        """
        select e.seen_at, e.kind, coalesce(l.number, ''), coalesce(e.deal_id, ''), e.field, coalesce(e.held, ''),
               coalesce(e.found, ''), e.outcome, count(*) over ()
        from ops.edit e left join ledger.document l on l.document_key = e.system || ':' || e.key
        where e.seen_at > clock_timestamp() - make_interval(days => %s)
        order by e.edit_id desc limit %s
        """,
        [RECENT_DAYS, MAX_EDITS],
    )
    if not rows:
        return
    ru = language == "ru"
    told = []
    for at, kind, number, deal, field, held, found, outcome, _ in rows:
        document = " ".join(filter(None, (KINDS.get(kind, (kind, kind))[ru], number)))
        sentence = (
            f"{_edited(field, held, found, language)}: {STATES.get(outcome, outcome) if ru else outcome}"
        )
        told.append((f"{at.astimezone(UTC):%d.%m.%Y %H:%M}", document, deal, sentence))
    count = show.number(rows[0][-1])
    title = (
        f"Изменено в учёте за {RECENT_DAYS} дней: {count}"
        if ru
        else f"Changed in accounting within {RECENT_DAYS} days: {count}"
    )
    heads = ("когда (UTC)", "документ", "сделка", "что") if ru else ("at (UTC)", "document", "deal", "what")
    show.sentences(title, heads, told)
    CONSOLE.print("")


def _edited(field: str, held: str, found: str, language: Language) -> str:
    ru = language == "ru"
    names = [EDITS[name][ru] if name in EDITS else field_word(name, language) for name in field.split(", ")]
    before, after = (EDITS[text][ru] if text in EDITS else _day(text) for text in (held, found))
    return f"{', '.join(names)}: {before or '-'} → {after or '-'}"


def _day(text: str) -> str:
    """A day as people write it; anything else as it is."""
    try:
        return f"{date.fromisoformat(text):%d.%m.%Y}" if len(text) == len("2026-03-14") else text
    except ValueError:
        return text


def sources_retry(system: str) -> int:
    """Let the next sync try a system at once that is left alone; 1 where it is not."""
    with road() as found:
        known = retry(found.warehouse, system)
    CONSOLE.print(
        f"{system}: the next sync tries one operation, and sends the others once it gets through"
        if known
        else f"{system} is not left alone; see `sverka status`",
        style=None if known else "red",
        markup=False,
    )
    return 0 if known else 1
