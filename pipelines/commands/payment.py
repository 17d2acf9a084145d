"""`sverka payment`: what a payment pays where accounting does not say."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from rich.markup import escape

from pipelines.commands import show
from pipelines.commands.session import CONSOLE, road
from pipelines.payments.calibration import PRECISION, calibrate
from pipelines.payments.decisions import (
    Told,
    allocate,
    decisions,
    open_payments,
    pays_none,
    shown,
    undo,
)
from pipelines.payments.matching import load
from resources.language import Language

HEADS: Final[Mapping[Language, Mapping[str, tuple[str, ...]]]] = {
    "en": {
        "list": ("payment", "day", "sum", "left", "payer and purpose", "may pay", "sure"),
        "decided": ("decision", "payment", "document", "amount", "by", "day", "why", "undone"),
        "paid": ("document", "amount", "rule", "why"),
        "proposed": (
            "document",
            "who owes it",
            "due on",
            "amount",
            "sure",
            "speaks for it",
            "speaks against it",
        ),
    },
    "ru": {
        "list": (
            "платёж",
            "день",
            "сумма",
            "остаток",
            "плательщик и назначение",
            "может закрыть",
            "уверенность",
        ),
        "decided": ("решение", "платёж", "документ", "сумма", "кто", "день", "почему", "отменено"),
        "paid": ("документ", "сумма", "правило", "почему"),
        "proposed": ("документ", "кто должен", "срок", "сумма", "уверенность", "за", "против"),
    },
}
SAY: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {
        "list": "Payments of which something is not allocated",
        "none": "Every payment is allocated.",
        "decided": "Decisions",
        "none decided": "Nothing was decided.",
        "how": "sverka payment show PAYMENT; then sverka payment allocate PAYMENT DOCUMENT --by NAME --reason WHY, or --none",
        "nothing": "pays nothing that is known",
        "paid": "What it pays",
        "unpaid": "It pays nothing yet.",
        "proposed": "What it may pay",
        "measured": "Of {payments} payments whose document is known the score would have allocated {sure}, {correct} of them"
        " rightly: it is shown to be right in {at_least} at least.",
        "may": "That is {precision} or more: the next sync allocates what the score is sure of. Take one back with sverka payment undo.",
        "may not": "That is less than {precision}: the score allocates nothing, it only proposes.",
    },
    "ru": {
        "list": "Платежи, разнесённые не полностью",
        "none": "Все платежи разнесены.",
        "decided": "Решения",
        "none decided": "Решений нет.",
        "how": "sverka payment show ПЛАТЁЖ; потом sverka payment allocate ПЛАТЁЖ ДОКУМЕНТ --by ИМЯ --reason ПОЧЕМУ, или --none",
        "nothing": "не относится ни к чему известному",
        "paid": "Что закрывает",
        "unpaid": "Пока не закрывает ничего.",
        "proposed": "Что может закрывать",
        "measured": "Из {payments} платежей, документ которых известен, оценка разнесла бы {sure}, из них верно {correct}:"
        " показано, что она права не реже чем в {at_least}.",
        "may": "Это не меньше {precision}: следующая синхронизация разнесёт то, в чём оценка уверена."
        " Отменить можно через sverka payment undo.",
        "may not": "Это меньше {precision}: оценка ничего не разносит, только предлагает.",
    },
}  # fmt: skip


def payment_list(language: Language, *, limit: int, decided: bool = False) -> int:
    with road() as found, found.warehouse.transaction() as conn:
        rows = decisions(conn, limit=limit) if decided else open_payments(conn, limit=limit)
    say = SAY[language]
    if not rows:
        CONSOLE.print(say["none decided" if decided else "none"])
    elif decided:
        _decisions(rows, language)
    else:
        _open(rows, language)
    return 0


def payment_show(payment: str, language: Language) -> int:
    with road() as found, found.warehouse.transaction() as conn:
        told = shown(conn, payment, language)
    if isinstance(told, Told):
        return _tell(told)
    what, allocations, proposed = told
    say, heads = SAY[language], HEADS[language]
    who = what["counterparty"] or "?"
    CONSOLE.print(
        f"{what['payment_key']} {_day(what['paid_on'])} {show.money(what['amount'])}: {who}; {what['purpose'] or ''}",
        markup=False,
    )
    reason = "reason_ru" if language == "ru" else "reason"
    if allocations:
        made = show.table(say["paid"], *heads["paid"], right=(heads["paid"][1],))
        for row in allocations:
            show.row(made, _document(row), show.money(row["amount"]), row["rule"], row[reason])
        CONSOLE.print(made)
    else:
        CONSOLE.print(say["unpaid"])
    if proposed:
        ending = "_ru" if language == "ru" else ""
        made = show.table(say["proposed"], *heads["proposed"], right=heads["proposed"][3:5])
        for row in proposed:
            show.row(
                made,
                _document(row),
                row["counterparty"] or "?",
                _day(row["due_on"]),
                show.money(row["amount"]),
                _sure(row["probability"]),
                "\n".join(row["agrees" + ending]),
                "\n".join(row["differs" + ending]),
            )
        CONSOLE.print(made)
    CONSOLE.print(say["how"], style="dim")
    return 0


def payment_allocate(
    payment: str, document: str | None, amount: Decimal | None, by: str, reason: str, language: Language
) -> int:
    """Without a document: the payment pays none that is known."""
    with road() as found, found.warehouse.transaction() as conn:
        told = (
            pays_none(conn, payment, by, reason, language)
            if document is None
            else allocate(conn, payment, document, amount, by, reason, language)
        )
    return _tell(told)


def payment_undo(decision: str, by: str, reason: str, language: Language) -> int:
    with road() as found, found.warehouse.transaction() as conn:
        told = undo(conn, decision, by, reason, language)
    return _tell(told)


def payment_calibrate(language: Language) -> int:
    with road() as found, found.warehouse.transaction() as conn:
        shown_by = calibrate(conn, load())
    say = SAY[language]
    words = {
        "payments": shown_by.payments, "sure": shown_by.sure, "correct": shown_by.correct,
        "at_least": f"{shown_by.at_least:.2%}", "precision": f"{PRECISION:.0%}",
    }  # fmt: skip
    CONSOLE.print(say["measured"].format(**words), markup=False)
    CONSOLE.print(say["may" if shown_by.may_decide else "may not"].format(**words), markup=False)
    return 0


# ---- what is printed -----------------------------------------------------------------------


def _tell(told: Told) -> int:
    CONSOLE.print(escape(told.sentence), style=None if told.done else "red")
    return 0 if told.done else 1


def _open(rows: list[Mapping[str, Any]], language: Language) -> None:
    say, heads = SAY[language], HEADS[language]["list"]
    made = show.table(f"{say['list']}: {len(rows)}", *heads, right=(*heads[2:4], heads[6]))
    for row in rows:
        show.row(
            made,
            row["payment_key"],
            _day(row["paid_on"]),
            show.money(row["amount"]),
            show.money(row["left_over"]),
            "\n".join(part for part in (row["counterparty"], row["purpose"]) if part) or "?",
            say["nothing"] if row["pays_none"] else (row["proposed_number"] or row["proposed"] or ""),
            _sure(row["probability"]),
        )
    CONSOLE.print(made)
    CONSOLE.print(say["how"], style="dim")


def _decisions(rows: list[Mapping[str, Any]], language: Language) -> None:
    say, heads = SAY[language], HEADS[language]["decided"]
    made = show.table(f"{say['decided']}: {len(rows)}", *heads, right=(heads[3],))
    for row in rows:
        undone = (
            f"{row['undone_by']}, {_day(row['undone_at'])}: {row['undo_reason']}" if row["undone_at"] else ""
        )
        show.row(
            made,
            str(row["decision_id"]),
            row["payment_key"],
            row["document_key"] or say["nothing"],
            "" if row["amount"] is None else show.money(row["amount"]),
            row["decided_by"],
            _day(row["decided_at"]),
            (row["reason_ru"] if language == "ru" else None) or row["reason"],
            undone,
        )
    CONSOLE.print(made)


def _document(row: Mapping[str, Any]) -> str:
    return f"{row['kind']} {row['number'] or '?'}\n{row['document_key']}"


def _day(at: Any) -> str:
    return f"{at:%d.%m.%Y}" if at else "?"


def _sure(probability: Any) -> str:
    return "" if probability is None else f"{probability:.1%}"
