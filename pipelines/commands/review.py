"""`sverka review`: which records are one client, where the machine alone does not say."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.markup import escape

from pipelines.commands import show
from pipelines.commands.session import CONSOLE, road, writing
from pipelines.identity.decisions import Verdict, count_decisions, decide, decisions, undo
from pipelines.identity.picture import bar, page, steps, svg, total
from pipelines.identity.review import Explained, Stake, compared, count_questions, explain, questions
from pipelines.identity.review_words import word
from resources.language import Language

PICTURES = {".svg": svg, ".html": page}


def review_list(language: Language, *, limit: int, decided: bool = False) -> int:
    with road() as found, found.warehouse.transaction() as conn:
        rows = decisions(conn, limit=limit) if decided else questions(conn, limit=limit)
        count = (
            len(rows) if len(rows) < limit else (count_decisions(conn) if decided else count_questions(conn))
        )
    if not rows:
        CONSOLE.print(word("none decided" if decided else "none asked", language))
    elif decided:
        _decisions(rows, count, language)
    else:
        _questions(rows, count, language)
    if count > len(rows):
        left = show.number(count - len(rows))
        CONSOLE.print(
            f"… and {left} more: sverka review list --limit NUMBER"
            if language == "en"
            else f"… и ещё {left}: sverka review list --limit ЧИСЛО --language ru",
            style="dim",
        )
    return 0


def review_show(left: str, right: str, language: Language, picture: Path | None) -> int:
    if picture is not None and picture.suffix not in PICTURES:
        known = ", ".join(PICTURES)
        CONSOLE.print(
            f"{picture} is no picture that is drawn here; let it end with {known}"
            if language == "en"
            else f"{picture}: такой картинки нет; имя должно кончаться на {known}",
            style="red",
            markup=False,
        )
        return 2
    with road() as found, found.warehouse.transaction() as conn:
        explained = explain(conn, left, right)
    if explained is None:
        CONSOLE.print(
            f"no record of a client is called {left}, or none {right}; `sverka review list` names those that are asked about"
            if language == "en"
            else f"карточки {left} или карточки {right} нет; о каких спрашивается, говорит `sverka review list`",
            style="red",
            markup=False,
        )
        return 1
    if picture is not None:
        with writing(picture, "--picture") as file:
            file.write(PICTURES[picture.suffix](explained, language))
        CONSOLE.print(f"written to {picture}" if language == "en" else f"записано в {picture}", markup=False)
        return 0
    _beside(explained, language)
    _why(explained, language)
    _stakes(explained, language)
    return 0


def review_decide(left: str, right: str, verdict: Verdict, by: str, reason: str, language: Language) -> int:
    with road() as found:
        with found.warehouse.transaction() as conn:
            told = decide(conn, left, right, verdict, by, reason, language)
        CONSOLE.print(escape(told.sentence), style=None if told.done else "red")
    return 0 if told.done else 1


def review_undo(decision: str, by: str, reason: str, language: Language) -> int:
    with road() as found:
        with found.warehouse.transaction() as conn:
            told = undo(conn, decision, by, reason, language)
        CONSOLE.print(escape(told.sentence), style=None if told.done else "red")
    return 0 if told.done else 1


# ---- what is printed -----------------------------------------------------------------------


def _questions(rows: list[Mapping[str, Any]], count: int, language: Language) -> None:
    heads = (*(word(name, language) for name in ("left", "right", "weight", "agrees", "differs")), "")
    made = show.table(f"{word('asked', language)}: {show.number(count)}", *heads, right=(heads[2],))
    for row in rows:
        show.row(
            made,
            f"{row['left_id']}\n{row['left_name'] or '?'}",
            f"{row['right_id']}\n{row['right_name'] or '?'}",
            f"{row['weight']:+.1f}",
            ", ".join(word(name, language) for name in row["agrees"]),
            ", ".join(word(name, language) for name in row["differs"]),
            word(row["kind"], language),
        )
    CONSOLE.print(made)
    CONSOLE.print(
        "sverka review show LEFT RIGHT; then sverka review same|different LEFT RIGHT --by NAME --reason WHY"
        if language == "en"
        else "sverka review show СЛЕВА СПРАВА; потом sverka review same|different СЛЕВА СПРАВА --by ИМЯ --reason ПОЧЕМУ",
        style="dim",
    )


def _decisions(rows: list[Mapping[str, Any]], count: int, language: Language) -> None:
    heads = [
        word(n, language) for n in ("decision", "left", "right", "verdict", "by", "day", "reason", "undone")
    ]
    made = show.table(f"{word('decided', language)}: {show.number(count)}", *heads)
    for row in rows:
        taken_back = (
            f"{row['undone_by']}, {row['undone_at']:%d.%m.%Y}: {row['undo_reason']}"
            if row["undone_at"]
            else ""
        )
        show.row(
            made,
            str(row["decision_id"]),
            row["left_id"],
            row["right_id"],
            word(row["verdict"], language),
            row["decided_by"],
            f"{row['decided_at']:%d.%m.%Y}",
            row["reason"],
            taken_back,
        )
    CONSOLE.print(made)


def _beside(found: Explained, language: Language) -> None:
    made = show.table(
        word("side by side", language), "", *map(_headed(language), (found.left, found.right)), ""
    )
    for name, left, right, mark in compared(found.left, found.right):
        show.row(made, word(name, language), left, right, mark)
    CONSOLE.print(made, "")


def _headed(language: Language) -> Any:
    return lambda side: escape(side.record + (f" ({word('gone', language)})" if side.is_gone else ""))


def _why(found: Explained, language: Language) -> None:
    CONSOLE.print(word("why", language), style="bold")
    if found.weight is not None:
        made = show.table("", "", "", "", word("bits", language), right=(word("bits", language),))
        for what, said, weight in steps(found, language):
            show.row(made, what, said, bar(weight), f"{weight:+.1f}")
        made.title = None
        CONSOLE.print(made)
    CONSOLE.print(total(found, language), markup=False)
    if (verdict := found.verdict) is not None:
        CONSOLE.print(
            f"{word('stands', language)}: {word(verdict.verdict, language)} ({word('decision', language)} {verdict.decision_id}, "
            f"{verdict.by}, {verdict.at:%d.%m.%Y}: {verdict.reason})",
            markup=False,
        )
    CONSOLE.print("")


def _stakes(found: Explained, language: Language) -> None:
    """Of two clients what each has and what both have together; of one what it has, and what either record brings."""
    sides = (found.left, found.right)
    if found.is_one:
        rows = [(side.record, side.own) for side in sides]
        rows.append((f"{word('client', language)} {found.left.client_id}", found.left.stake))
    else:
        rows = [(side.client_id or side.record, side.stake) for side in sides]
        rows.append((word("together", language), _together(found.left.stake, found.right.stake)))
    CONSOLE.print(word("joined" if found.is_one else "apart", language), style="bold")
    heads = [word(n, language) for n in ("records", "deals", "documents", "amounts", "debts")]
    made = show.table("", "", *heads, right=tuple(heads[:3]))
    made.title = None
    for name, stake in rows:
        counts = (show.number(number) for number in (stake.records, stake.deals, stake.documents))
        show.row(made, name, *counts, _sums(stake.amounts), _sums(stake.debts))
    CONSOLE.print(made)


def _together(one: Stake, other: Stake) -> Stake:
    return Stake(
        one.records + other.records,
        one.deals + other.deals,
        one.documents + other.documents,
        _added(one.amounts, other.amounts),
        _added(one.debts, other.debts),
    )


def _added(*sums: Mapping[str, Decimal]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for by_currency in sums:
        for currency, amount in by_currency.items():
            found[currency] = found.get(currency, Decimal(0)) + amount
    return found


def _sums(by_currency: Mapping[str, Decimal]) -> str:
    return "\n".join(f"{show.money(amount)} {currency}" for currency, amount in sorted(by_currency.items()))
