"""What an accountant reads in Russian is Russian to the end: of variances, holds, decisions, both sides."""

from __future__ import annotations

import ast
import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from pipelines import deploy, sync
from pipelines.commands import show
from pipelines.ledger import reasons
from pipelines.ledger.reasons import PHRASES
from pipelines.operations import decide, release, revisions
from pipelines.operations.phrases import in_russian
from pipelines.operations.revisions import BY_HAND
from pipelines.operations.told import told_in
from tests.laws.conftest import Towns
from tests.laws.test_variances import realization, told
from tests.laws.town import Town

ENGLISH = re.compile(r"[A-Za-z_]{2,}")
"""Words of ours; names of systems, files, checks, commands and answers stay."""
NAMES = {
    "sverka", "hold", "list", "plan", "approve", "questions", "operations", "show", "language", "ru", "docs", "queues", "md",
    "update", "correction", "reversal", "post", "leave", "write", "return", "bitrix", "onec", "yaml", "amount_equals_lines",
    "none",
}  # fmt: skip


NO_DOCUMENT = "a realization cannot be taken back by a document of its own in onec"


def sentences() -> list[str]:
    """Everything that deciding, releasing and undoing can answer, as written in the code, with samples for what is filled in."""
    samples = {
        "others": "contract and currency", "kind": "realization", "deal": "bitrix24:4711", "amiss": "not posted, changed",
        "question": "00294758", "action": "leave", "by": "Анна", "follows": "return", "after": "", "check": "amount_equals_lines",
        "name": "onec", "which": "no open question is",
    }  # fmt: skip
    found = []
    for module in (decide, release, revisions):
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            if function.name not in (
                "answer",
                "_over",
                "_impossible",
                "release",
                "undo",
                "_cannot_be_undone",
            ):
                continue
            nodes = list(ast.walk(function))
            parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
            found += [
                _text(node, samples)
                for node in nodes
                if isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in parts
            ]
    return found


def _text(node: ast.expr, samples: dict[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    assert isinstance(node, ast.JoinedStr)
    return "".join(
        str(part.value)
        if isinstance(part, ast.Constant)
        else next((said for name, said in samples.items() if name in ast.dump(part)), "7")
        for part in node.values
    )


def _is_told(text: str) -> bool:
    """A sentence of its own, not SQL, a docstring or a piece of one."""
    return len(text.split()) > 4 and not re.match(
        r"\s*(select|insert|update ops|delete|with)\b|[;:,A-Z]", text
    )


def test_every_answer_to_a_decision_has_its_russian() -> None:
    after = ", once `sverka plan --approve` lets it go (sums above 100000)"
    answers = [
        "bitrix24:4711 is not held by amount_equals_lines, but by accounting",
        "bitrix24:4711 is released from amount_equals_lines; the next sync carries it" + after,
        "2 operations of bitrix24:4711 are tried again by the next sync" + after,
        f"{NO_DOCUMENT}; take it back in accounting",
        f"{NO_DOCUMENT}: onec.yaml has no `write: return`; take it back in accounting",
        "2 open questions are called 00; see `sverka questions list`",
        *(
            f"in accounting it is not as we left it ({how}): put that right there first, or answer leave"
            for how in ("deleted, not posted", BY_HAND)
        ),
    ]
    pieces = ("a document of its own in", " has no `write", ", once `sverka", "is the answer")
    answers += [text for text in sentences() if _is_told(text) and not any(piece in text for piece in pieces)]
    assert len(answers) > 25
    for sentence in answers:
        said = told_in(sentence, "ru")
        assert said != sentence, sentence
        assert {word for word in ENGLISH.findall(said) if word not in NAMES} == set(), said
        assert told_in(sentence, "en") == sentence


def test_a_held_document_and_what_waits_for_a_refused_one_are_told_wholly_in_russian(
    towns: Towns, capsys: pytest.CaptureFixture[str]
) -> None:
    with towns() as town:
        town.remap("account")
        town.sync()
        told = town.rows(
            "select v.sentence, v.sentence_ru from ledger.variance v join ledger.position p using (document_key)"
            " where p.operation_state = 'held' and p.hold_reason is null"
        )
        assert told
        for sentence, russian in told:
            assert "names account '41.99', which accounting does not have" in sentence
            assert "указывает счёт учёта «41.99», которого в учёте нет" in russian
            assert "accounting does not have" not in russian
        town.sync()
        assert town.rebuild() == []

        capsys.readouterr()
        show.lacking(town.warehouse, language="ru")
        printed = " ".join(capsys.readouterr().out.split())
        assert "которого в учёте нет" in printed
        assert "создание: реализация" in printed
        assert "проведение: реализация" in printed, "postings are held too"
        deals = town.rows(
            "select distinct subject from ops.operation where kind = 'realization' and state = 'held'"
            " and not exists (select from documents.held h where h.deal_id = subject)"
        )
        assert all(deal in printed for (deal,) in deals), "and the deals are named"

        show.reconciliation(town.warehouse, language="ru")
        printed = capsys.readouterr().out
        assert "CRM и учёт" in printed
        assert "каждая копейка объяснена" in printed
        assert "kopeck" not in printed


def test_other_phrases_say_every_reason_anew(towns: Towns, monkeypatch: pytest.MonkeyPatch) -> None:
    with towns() as town:
        town.remap("account")
        town.sync()
        monkeypatch.setattr(reasons, "in_russian", lambda reason: f"иначе: {in_russian(reason)}")
        monkeypatch.setattr(deploy, "PHRASES", PHRASES + "2")
        sync.prepare(town.road)
        town.sync()
        held = town.rows("select operation_reason_ru from ledger.position where operation_state = 'held'")
        assert held
        assert all(told.startswith("иначе: ") for (told,) in held)


def test_lines_that_only_one_side_has_are_told_in_each_language_by_its_own_words(towns: Towns) -> None:
    with towns(Town.sync) as town:
        key, row = realization(town)
        first, *rest = row["Товары"]
        quarter = Decimal(str(first["Сумма"])) / 5
        parts = [
            {**first, "LineNumber": str(n), "Количество": n, "Цена": quarter / n, "Сумма": quarter}
            for n in range(1, 6)
        ]
        town.books.change("realization", key, Товары=[*parts, *rest])
        town.sync()
        _, _, actual, sentence, russian = told(town, key)["product"]
        assert "; and 1 more" in actual
        assert "no line; no line; no line; and 1 more" in sentence
        assert "нет строки; нет строки; нет строки; и ещё 1" in russian
        assert "no line" not in russian
        assert "and 1 more" not in russian
        assert town.rebuild() == []


@pytest.mark.parametrize(
    ("days", "english", "russian"),
    [
        (1, "the day differs, within one month", "месяц тот же, день другой"),
        (40, "the period differs", "период другой"),
    ],
)
def test_another_day_is_called_another_period_only_where_the_month_is_another(
    towns: Towns, days: int, english: str, russian: str
) -> None:
    with towns(Town.sync) as town:
        key, row = realization(town)
        day = date.fromisoformat(row["Date"][:10])
        moved = day + timedelta(days=days if days > 27 or day.day < 28 else -days)
        town.books.change("realization", key, Date=f"{moved}T12:00:00")
        town.sync()
        _, expected, actual, sentence, sentence_ru = told(town, key)["date"]
        assert (expected, actual) == (str(day), str(moved))
        assert english in sentence
        assert russian in sentence_ru
        assert f"{moved:%d.%m.%Y}" in sentence_ru
