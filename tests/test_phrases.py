"""A sentence about a value, said inside a reason: in one language, with its remedy once."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import psycopg
import pytest

from expectations import suites
from expectations.phrase import SENTENCES, phrased, phrased_sql
from expectations.reason import reason_sql
from pipelines.core import cleaning
from pipelines.core.cleaning import clean
from resources.language import LANGUAGES, Language

PLACE = "(opportunity of deal 17); correct it in shop"
READING = [
    f'amount: "сто рублей" is not a number {PLACE}',
    f'position: "x" is not a whole number {PLACE}',
    f'closed_on: "2026-02-30" is not a date {PLACE}',
    f'created_at: "вчера" is not a time {PLACE}',
    f'is_active: "?" is neither yes nor no {PLACE}',
    f'currency: "CHF" is not in the map of mappings/demo/bitrix24.yaml:99 {PLACE}',
    "stage_code is missing (stage of deal 17); fill it in shop",
    'kpp: "1" was never cleaned',
    f'amount: "100 USD" is not in RUB {PLACE}',
    f'price: "4601234567890" is too large a number {PLACE}',
    "its lines add up to 18000000000000000.00, which is too large a sum",
]
SET_APART = [
    "С.csv: rows of deal П-4 differ in Клиент (lines 3, 4); give each of them a number of its own, or make them agree",
    "Сделки.csv, line 7: sale without its key № сделки; fill it in or delete the row",
    "Сделки.csv: sale 17 differs between lines 3, 4; keep one of the rows",
]


def causes() -> list[str]:
    """Every sentence that cleaning can say: the causes and remedies of its source, with examples filled in."""
    found = []
    constants = {
        name: value for name, value in vars(cleaning).items() if name.isupper() and isinstance(value, str)
    }
    constants |= {"remedy": "fill in the person's name"}

    def text(node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.Name):
            return constants.get(node.id, "ask for the address and correct it")
        assert isinstance(node, ast.JoinedStr)
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else _example(part) for part in node.values
        )

    def _example(part: ast.expr) -> str:
        said = ast.unparse(part)
        return "fill in the person's name" if "remedy" in said else "DE" if "country" in said else "5"

    for node in ast.walk(ast.parse(Path(cleaning.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_ProblemError":
            cause, remedy = node.args
            if not (isinstance(cause, ast.Name) and cause.id == "cause"):  # of an address: below, by example
                found.append(f'tax number "17" {text(cause)}; {text(remedy)}')
    for kind, value in (("email", "a@b"), ("email", "ivаn@mail.ru"), ("phone", "2345"), ("kpp", "1"), ("ogrn", "1"),
                        ("legal_name", "ООО"), ("legal_name_key", "ООО"), ("person_name", "1"), ("tax_number", "17")):  # fmt: skip
        problem = clean(kind, [value])[0].problem
        assert problem is not None, (kind, value)
        found.append(problem)
    return found


def test_cleaning_is_scanned_whole() -> None:
    assert len(causes()) > 25


@pytest.mark.parametrize("sentence", [*READING, *SET_APART, *causes()])
def test_nothing_of_a_sentence_stays_english_in_a_russian_reason(sentence: str) -> None:
    said = re.sub(r'"[^"]*"|\([^()]*\)|mappings/[^ ]*', "", phrased(sentence, "ru"))
    words = re.findall(r"[A-Za-z_]{2,}", re.sub(r"^[a-z_]+:", "", said))
    assert set(words) <= {"stage_code", "sale", "DE", "RUB", "csv"}, said
    assert re.search("[а-я]{3}", said)


@pytest.mark.parametrize("language", LANGUAGES)
def test_postgres_says_what_python_says(server_url: str, language: Language) -> None:
    sentences = ["; ".join(READING), *READING, *SET_APART, *causes()]
    statement = (
        f"select {phrased_sql('s', language)} from unnest($1::text[]) with ordinality as t(s, n) order by n"
    )
    with psycopg.connect(server_url, cursor_factory=psycopg.RawCursor) as conn:
        said = [row[0] for row in conn.execute(statement.encode(), [sentences])]
    assert said == [phrased(sentence, language) for sentence in sentences]


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "en",
            (
                'deal 17 (shop): amount: "сто рублей" is not a number (opportunity of deal 17); position: "x" is not a whole '
                "number (opportunity of deal 17); correct it or fill it in at the source"
            ),
        ),
        (
            "ru",
            (
                'сделка 17 (shop): amount: "сто рублей" не число (поле opportunity, запись deal 17); position: "x" не целое '
                "число (поле opportunity, запись deal 17); исправьте или заполните в источнике"
            ),
        ),
    ],
)
def test_several_sentences_share_one_remedy(server_url: str, language: Language, said: str) -> None:
    expectation = next(e for e in suites()["documents.deal"].expectations if e.name == "readable")
    template = expectation.reason if language == "en" else expectation.reason_ru
    reason = reason_sql(template, dict.fromkeys(("source_id", "source", "problems"), "text"), language)
    row = "select '17' as source_id, 'shop' as source, $1::text as problems"
    with psycopg.connect(server_url, cursor_factory=psycopg.RawCursor) as conn:
        found = conn.execute(f"select {reason} from ({row}) r".encode(), ["; ".join(READING[:2])]).fetchall()
    assert found == [(said,)]


def test_no_reason_repeats_the_remedy_of_a_sentence_in_it() -> None:
    """A column with remedies of its own (a tax number's problem) is followed by none."""
    for suite in suites().values():
        for expectation in suite.expectations:
            for reason in (expectation.reason, expectation.reason_ru):
                for column in SENTENCES & {"tax_number_problem", "set_apart"}:
                    rest = reason.partition(f"{{{column}}}")[2]
                    assert "correct" not in rest, expectation.name
                    assert "исправьте" not in rest, expectation.name
