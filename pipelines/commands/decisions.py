"""`sverka questions` and `sverka undo`: what a person decides about documents that accounting holds."""

from __future__ import annotations

from rich.markup import escape

from pipelines.commands import show
from pipelines.commands.session import CONSOLE, road
from pipelines.operations.decide import answer, questions
from pipelines.operations.revisions import undo
from pipelines.operations.told import told_in
from resources.language import Language


def questions_list(language: Language) -> int:
    with road() as found, found.warehouse.transaction() as conn:
        rows = questions(conn)
    if not rows:
        CONSOLE.print("Nothing is asked." if language == "en" else "Вопросов нет.")
        return 0
    heads = (
        ("question", "deal", "document", "since")
        if language == "en"
        else ("вопрос", "сделка", "документ", "с")
    )
    made = show.table(f"{'To be decided' if language == 'en' else 'Ждут решения'}: {len(rows)}", *heads)
    for row in rows:
        told = str(row["told_ru"] if language == "ru" else row["told"])
        show.row(
            made, str(row["question_id"])[:8], str(row["deal_id"]), told, f"{row['asked_at']:%d.%m.%Y %H:%M}"
        )
    CONSOLE.print(made)
    CONSOLE.print(
        "sverka questions answer QUESTION update|correction|reversal|post|leave --by NAME --reason WHY"
        if language == "en"
        else "sverka questions answer ВОПРОС update|correction|reversal|post|leave --by ИМЯ --reason ПОЧЕМУ",
        style="dim",
    )
    return 0


def questions_answer(question: str, action: str, by: str, reason: str, language: Language = "en") -> int:
    with road() as found:
        with found.warehouse.transaction() as conn:
            told = answer(conn, found.accounting, question, action, by, reason)
        CONSOLE.print(escape(told_in(told.sentence, language)), style=None if told.done else "red")
    return 0 if told.done else 1


def undo_document(deal: str, kind: str, by: str, reason: str, language: Language = "en") -> int:
    with road() as found:
        with found.warehouse.transaction() as conn:
            told = undo(conn, found.accounting, deal, kind, by, reason)
        CONSOLE.print(escape(told_in(told.sentence, language)), style=None if told.done else "red")
    return 0 if told.done else 1
