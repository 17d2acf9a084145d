"""What people write around a name is no part of it, and what is part of it stays."""

from __future__ import annotations

import csv
import os
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.cleaning import clean
from pipelines.identity.around import plain
from pipelines.identity.features import derive
from pipelines.identity.names import Name, taken_apart
from tests.identity.profiles import profiles
from tests.identity.test_engine_resolve import groups, judged
from tests.laws.conftest import examples

INN = "7707083893"


def of(written: str, kind: str | None = None) -> Name:
    name, key = (clean(one, [written])[0].value for one in ("legal_name", "legal_name_key"))
    return taken_apart(name, key, None, kind)


@pytest.mark.parametrize(
    "written",
    [
        "предприниматель Петров И.И.", "самозанятый Петров И.И.", "Самозанятый Петров Иван Иванович", "физ. лицо Петров И.И.",
        "физлицо Петров Иван Иванович", "Гр. Петров Иван Иванович", "гр-н Петров И.И.", "г-н Петров И.И.", "ЧЛ Петров И.И.",
        "Петров И.И. (физ. лицо)", "Петров И.И., самозанятый", "ИП Петров И.И. (дубль)", "гражданин Петров И. И.",
    ],
)  # fmt: skip
def test_a_word_that_says_a_person_stands_before_a_person(written: str) -> None:
    found = of(written)
    assert (found.holder, found.person.surname, found.person.first, found.person.patronymic) == (
        "person", "petrov", "i", "i",
    )  # fmt: skip


@pytest.mark.parametrize(
    "written",
    [
        "ООО Ромашка ИНН 7707083893", "Ромашка (ИНН: 7707083893, КПП 773601001)", "ООО «Ромашка» 7707083893", "Ромашка (старая)",
        'ООО "Ромашка" (старая)', "Ромашка - старая", "не использовать ООО Ромашка", "!НЕ ИСПОЛЬЗОВАТЬ! Ромашка", "Ромашка дубль",
        "дубль ООО Ромашка", "[дубль] Ромашка", "Ромашка (дубль №2)", "ООО Ромашка не использовать (дубль)", "Ромашка на удаление",
        "ОООРомашка", "ОООРОМАШКА", "РомашкаООО", "(ООО) Ромашка", "LTD Romashka", "Ltd. Romashka",
    ],
)  # fmt: skip
def test_the_plain_name_is_found_behind_what_stands_around_it(written: str) -> None:
    assert of(written).squashed == of("Ромашка").squashed
    assert of(written).digits == ""


@pytest.mark.parametrize(
    "written",
    [
        "Старая мельница", "ООО Старая Мельница", "Мельница старая", "Иван Старый", "Студия Дубль", "Дубль В", "ООО Дубль",
        "Городской архив", "Техно-Архив", "Живая копия", "ГР Строй", "Гр. Компаний Ромашка", "Клуб предпринимателей",
        "Молодой предприниматель",
        "Предприниматель Сибири", "Ромашка-2", "Ромашка 4951234567", "ЗАОЧНЫЙ ИНСТИТУТ", "Limited Edition", "Ромашка (Москва)",
        "Закрытый клуб",
    ],
)  # fmt: skip
def test_names_of_the_same_words_are_left_alone(written: str) -> None:
    name, key = (clean(one, [written])[0].value for one in ("legal_name", "legal_name_key"))
    assert key
    assert (found := plain(name, key)).key == key
    assert not found.is_person
    assert found.numbers == ()


PLAIN = (
    "Ромашка", "Ромашка-2", "Ромашка Сервис", "ООО Ромашка Юг", "Старая мельница", "ООО Мельница", "Студия Дубль",
    "Петров Иван Иванович", "Петров Илья Иванович", "Петрова Анна Ивановна", "ООО Торговый дом Весна", "АО «Весна-3»",
)  # fmt: skip
AROUND = (
    "{} (старая)", "{} - дубль", "(дубль) {}", "!не использовать! {}", "{} не использовать", "{}, ИНН 7707083893", "{} (7707083893)",
    "[архив] {}", "{} (дубль 2)", "к удалению: {}", "{} КПП 773601001",
)  # fmt: skip


@settings(deadline=None, database=None, max_examples=examples(60))
@given(st.sampled_from(PLAIN), st.lists(st.sampled_from(AROUND), min_size=1, max_size=3, unique=True))
def test_whatever_stands_around_a_name_it_is_the_same(name: str, around: list[str]) -> None:
    written = name
    for one in around:
        written = one.format(written)
    bare, found = of(name), of(written)
    assert (found.squashed, found.words, found.digits, found.person) == (
        bare.squashed, bare.words, bare.digits, bare.person,
    ), written  # fmt: skip
    assert set(found.numbers) <= {INN}
    assert bool(found.numbers) == (INN in written)


def test_names_that_differ_still_differ_with_the_same_around_them() -> None:
    for around in AROUND:
        found = [of(around.format(name)) for name in PLAIN]
        assert all(one.squashed != other.squashed for one, other in combinations(found, 2)), around


SHARED = {"phones": "+79161234501", "city": "Казань"}


@pytest.mark.parametrize(
    ("one", "other", "clients"),
    [
        ("ООО Ромашка", "не использовать ООО Ромашка", 1),
        ("Петров Иван Иванович", "самозанятый Петров И.И.", 1),
        ("ООО Ромашка (старая)", "ООО Ромашка-2", 2),
        ("ООО Ромашка Юг (дубль)", "ООО Ромашка Север", 2),
        ("гр. Петров Иван Иванович", "Петров Илья Сергеевич (дубль)", 2),
        ("ИП Петров И.И. (старый)", "ООО Петров", 2),
    ],
)
def test_who_is_found_behind_it_joins_as_under_the_plain_name(one: str, other: str, clients: int) -> None:
    assert groups({"name": one} | SHARED, {"name": other} | SHARED) == clients


def test_a_number_in_a_name_is_weighed_as_a_wrong_one_and_neither_joins_nor_parts_for_certain() -> None:
    named = {"name": f"ООО Ромашка ИНН {INN}"}
    row = derive(profiles(named)).to_pylist()[0]
    assert (row["tax_numbers"], row["wrong_numbers"], row["number"], row["digits"]) == (
        None,
        [INN],
        INN,
        None,
    )
    pair = judged(named, {"name": "Ромашка", "tax_numbers": INN})
    assert (pair["rule"], pair["outcome"], pair["tax_number"]) == (None, "same", "mistyped")
    another = judged(named, {"name": "Ромашка", "tax_numbers": "7736050003", "city": "Казань"} | SHARED)
    assert another["tax_number"] == "another number"
    renamed = judged(named, {"name": "Василёк", "tax_numbers": INN} | SHARED)
    assert (renamed["rule"], renamed["outcome"]) == (None, "different")


def test_a_number_that_the_record_has_besides_is_no_second_one() -> None:
    row = derive(profiles({"name": f"Ромашка ИНН {INN}", "tax_numbers": INN})).to_pylist()[0]
    assert (row["tax_numbers"], row["wrong_numbers"]) == ([INN], None)


def test_of_real_names_nothing_is_taken_off() -> None:
    """644 companies of the tax service's open data."""
    folder = Path(os.environ.get("SVERKA_SHARED_DATA") or "absent") / "ru_companies"
    if not folder.is_dir():
        pytest.skip("SVERKA_SHARED_DATA names no folder with ru_companies")
    with (folder / "fns_sme_legal_entities.csv").open(encoding="utf-8") as file:
        names = sorted(
            {row[column] for row in csv.DictReader(file) for column in ("name_full", "name_short")}
        )
    shown, keys = clean("legal_name", names), clean("legal_name_key", names)
    assert len(names) > 1_000
    for name, key in zip(shown, keys, strict=True):
        assert key.value is None or plain(name.value, key.value).key == key.value
