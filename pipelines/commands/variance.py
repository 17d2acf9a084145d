"""`sverka variance`: what CRM and accounting differ by, what caused it, and what people decide about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.markup import escape

from pipelines.commands import show
from pipelines.commands.session import CONSOLE, road
from pipelines.ledger.decisions import accept, decisions, reopen, resolved, variance, variances
from pipelines.operations.revisions import Told
from pipelines.papers.codes import value
from resources.language import Language

_WORDS: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {
        "none": "No variance.",
        "title": "Variances",
        "gone": "Variances that are gone",
        "number": "number", "reason": "reason", "counterparty": "counterparty", "document": "document", "deal": "deal",
        "amount": "amount", "since": "since", "owner": "owner", "status": "status", "sentence": "what to do",
        "resolution": "resolved by", "cause": "caused by", "measure": "measure", "period": "month", "expected": "the CRM says",
        "actual": "accounting says", "decided": "Decisions", "open": "open", "accepted": "accepted", "resolved": "resolved",
        "unknown": "there is no variance {number}; `sverka variance list` names them",
        "sum": "In all", "accepted sum": "of it accepted", "not known": "not known",
        "took": "{by} accepted {amount} on {day}: {why}", "undid": "; undone by {by} on {day}: {why}",
    },
    "ru": {
        "none": "Расхождений нет.",
        "title": "Расхождения",
        "gone": "Устранённые расхождения",
        "number": "номер", "reason": "причина", "counterparty": "контрагент", "document": "документ", "deal": "сделка",
        "amount": "сумма", "since": "с", "owner": "кто решает", "status": "состояние", "sentence": "что делать",
        "resolution": "чем устранено", "cause": "чем вызвано", "measure": "показатель", "period": "месяц", "expected": "в CRM",
        "actual": "в учёте", "decided": "Решения", "open": "открыто", "accepted": "принято", "resolved": "устранено",
        "unknown": "расхождения {number} нет; номера показывает `sverka variance list`",
        "sum": "Всего", "accepted sum": "в том числе принято", "not known": "не установлено",
        "took": "{by}, {day}: принято {amount} — {why}", "undid": "; отменено: {by}, {day}: {why}",
    },
}  # fmt: skip


def variance_list(language: Language, *, status: str, counterparty: str, reason: str, limit: int) -> int:
    words = _WORDS[language]
    with road() as found, found.warehouse.transaction() as conn:
        key = ""
        if counterparty:
            from pipelines.papers.party import Ambiguous, find_counterparty

            chosen = find_counterparty(conn, counterparty, language)
            if isinstance(chosen, Ambiguous):
                CONSOLE.print(chosen.sentence, style="red", markup=False)
                return 1
            key = chosen.key
        if status == "resolved":
            rows = resolved(conn, limit=limit)
        else:
            rows = variances(conn, status=status, counterparty_key=key, reason=reason)
    if not rows:
        CONSOLE.print(words["none"])
        return 0
    is_gone = status == "resolved"
    last = "resolution" if is_gone else "sentence"
    told = [
        (*_cells(row, words, is_gone), str(row[f"{last}_ru" if language == "ru" else last]))
        for row in rows[:limit]
    ]
    heads = [words[name] for name in ("number", "status", "reason", "counterparty", "amount", "since", last)]
    show.sentences(
        f"{words['gone' if is_gone else 'title']}: {len(rows)}", heads, told, right=(heads[0], heads[4])
    )
    if len(rows) > limit:
        CONSOLE.print(f"… {len(rows) - limit}: --limit", style="dim")
    if not is_gone:
        _sums(rows, language)
    return 0


def variance_show(number: str, language: Language) -> int:
    words = _WORDS[language]
    with road() as found, found.warehouse.transaction() as conn:
        row = variance(conn, number)
        decided = decisions(conn, row["variance_key"]) if row else []
    if row is None:
        CONSOLE.print(words["unknown"].format(number=number), style="red", markup=False)
        return 1
    tail = "_ru" if language == "ru" else ""
    facts = [
        ("number", str(row["variance_number"])),
        ("status", words[row["status"]]),
        ("reason", row["reason"]),
        ("measure", value(row["measure"], language)),
        ("counterparty", row["counterparty"]),
        ("deal", row["deal_id"]),
        ("document", row.get("number") or row["document_key"]),
        ("period", f"{row['period']:%m.%Y}" if row.get("period") else None),
        ("expected", row.get("expected")),
        ("actual", row.get("actual")),
        ("amount", f"{show.money(row['amount'])} {row['currency'] or ''}".rstrip()),
        ("since", _day(row)),
        ("owner", value(row.get("owner") or "", language)),
        ("cause", row[f"cause{tail}"] or words["not known"]),
        ("sentence", row[f"sentence{tail}"]),
        ("resolution", row.get(f"resolution{tail}")),
    ]
    for name, told in facts:
        if told:
            CONSOLE.print(f"[bold]{words[name]}[/]: {escape(str(told))}", soft_wrap=True)
    if decided:
        CONSOLE.print(f"[bold]{words['decided']}[/]:")
    for one in decided:
        CONSOLE.print(f"  {_decided(one, words)}", markup=False, soft_wrap=True)
    return 0


def variance_decide(verdict: str, numbers: Sequence[str], by: str, reason: str, language: Language) -> int:
    decide = accept if verdict == "accept" else reopen
    with road() as found:
        with found.warehouse.transaction() as conn:
            told: Told = decide(conn, numbers, by, reason, language)
        CONSOLE.print(escape(told.sentence), style=None if told.done else "red")
    return 0 if told.done else 1


def _cells(row: Mapping[str, Any], words: Mapping[str, str], is_gone: bool) -> tuple[str, ...]:
    return (
        str(row["variance_number"] or ""),
        words["resolved" if is_gone else row["status"]],
        row["reason"],
        row["counterparty"] or "",
        f"{show.money(row['amount'])} {row['currency'] or ''}".rstrip(),
        _day(row),
    )


def _day(row: Mapping[str, Any]) -> str:
    day = row.get("first_seen_on") or row.get("first_seen_at")
    return f"{day:%d.%m.%Y}" if day else ""


def _decided(one: Mapping[str, Any], words: Mapping[str, str]) -> str:
    told = words["took"].format(
        by=one["decided_by"],
        amount=show.money(one["amount"]),
        day=f"{one['decided_at']:%d.%m.%Y}",
        why=one["reason"],
    )
    if one["undone_at"]:
        told += words["undid"].format(
            by=one["undone_by"], day=f"{one['undone_at']:%d.%m.%Y}", why=one["undo_reason"]
        )
    return told


def _sums(rows: Sequence[Mapping[str, Any]], language: Language) -> None:
    """By measure and currency: an accepted variance is in the sum, and said to be."""
    words = _WORDS[language]
    made = show.table(
        words["sum"], words["measure"], "", words["amount"], words["accepted sum"],
        right=(words["amount"], words["accepted sum"]),
    )  # fmt: skip
    for measure, currency in sorted({(row["measure"], row["currency"] or "") for row in rows}):
        of = [row for row in rows if (row["measure"], row["currency"] or "") == (measure, currency)]
        show.row(
            made, value(measure, language), currency, show.money(sum(row["amount"] for row in of)),
            show.money(sum(row["amount"] for row in of if row["status"] == "accepted")),
        )  # fmt: skip
    CONSOLE.print(made)
