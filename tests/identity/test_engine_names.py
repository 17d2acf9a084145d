"""One spelling for what people write in several, and the parts of a person's name."""

from __future__ import annotations

import pytest

from pipelines.core.cleaning import clean
from pipelines.identity.names import NOBODY, city, latin, person, taken_apart


@pytest.mark.parametrize(
    ("russian", "written"),
    [
        ("щукин", "shchukin"),
        ("яковлева", "yakovleva"),
        ("яковлева", "iakovleva"),
        ("юрий", "yuriy"),
        ("хорошев", "khoroshev"),
        ("жуков", "zhukov"),
        ("евгений", "evgeny"),
        ("россия", "rossiya"),
        ("подъём", "podem"),
        ("алекс", "aleks"),
    ],
)
def test_a_word_is_one_in_russian_and_in_latin_letters(russian: str, written: str) -> None:
    assert latin(russian) == latin(written)


@pytest.mark.parametrize(
    "text",
    ["Иванов Иван Петрович", "Иван Петрович Иванов", "Ivanov Ivan Petrovich", "ИВАНОВ ИВАН ПЕТРОВИЧ"],
)
def test_the_parts_of_a_name_are_found_in_any_order(text: str) -> None:
    who = person(text)
    assert (who.surname, who.first_name, who.patronymic_name) == ("ivanov", "ivan", latin("петрович"))
    assert (who.first, who.patronymic) == ("i", "p")


def test_initials_stand_for_names_and_a_surname_may_end_as_a_patronymic_does() -> None:
    who = person("Иванов И. П.")
    assert (who.surname, who.first, who.patronymic, who.first_name) == ("ivanov", "i", "p", None)
    assert person("Абрамович Роман Аркадьевич").surname == latin("абрамович")


@pytest.mark.parametrize(
    "written",
    [
        "Петров И.И.", "И.И. Петров", "ИП Петров И.И.", "И.П. Петров И.И.", "И. П. Петров Иван Иванович",
        "Petrov Ivan Ivanovich", "Иван Иванович Петров", "ПЕТРОВ ИВАН ИВАНОВИЧ (ИП)",
    ],
)  # fmt: skip
def test_initials_before_and_behind_and_a_form_with_dots_are_one_person(written: str) -> None:
    name, key = (clean(kind, [written])[0].value for kind in ("legal_name", "legal_name_key"))
    found = taken_apart(name, key, None, None)
    assert (found.person.surname, found.person.first, found.person.patronymic) == ("petrov", "i", "i")
    assert found.holder == "person"


@pytest.mark.parametrize(
    ("russian", "english"),
    [("Александр Цой", "Alexander Tsoy"), ("Максим Жуков", "Maxim Zhukov"), ("Алексей Юдин", "Alexey Yudin")],
)
def test_first_names_with_an_x_are_known(russian: str, english: str) -> None:
    assert person(russian) == person(english)


def test_a_town_behind_the_name_of_a_company_says_nothing_of_it() -> None:
    plain = taken_apart("Ромашка ООО", "ромашка", None, None)
    assert taken_apart("Ромашка Казань", "ромашка казань", None, None).squashed == plain.squashed
    assert taken_apart("Ромашка Глазов", "ромашка глазов", "глазов", None).squashed == plain.squashed
    assert taken_apart("Ромашка г. Казань", "ромашка г казань", None, None).squashed == plain.squashed
    assert taken_apart("Казань ООО", "казань", None, None).squashed == latin("казань")


def test_usual_words_are_one_with_their_abbreviations() -> None:
    full = taken_apart("Торговый дом Весна ООО", "торговый дом весна", None, None)
    assert full.squashed == taken_apart("ТД Весна", "тд весна", None, None).squashed


@pytest.mark.parametrize(
    ("name", "key", "kind", "holder"),
    [
        ("Иванов Иван Петрович ИП", "иванов иван петрович", None, "person"),
        ("Иванов Иван Петрович", "иванов иван петрович", None, "person"),
        ("Иванов И. П.", "иванов и п", None, "person"),
        ("Ромашка ООО", "ромашка", None, "company"),
        ("Ромашка", "ромашка", "company", "company"),
        ("Ромашка", "ромашка", None, None),
        ("Ромашка ООО", "ромашка", "person", None),  # form and number do not agree
        ("Иванов", "иванов", "person", "person"),
    ],
)
def test_persons_are_told_from_companies(name: str, key: str, kind: str | None, holder: str | None) -> None:
    assert taken_apart(name, key, None, kind).holder == holder


@pytest.mark.parametrize("key", ["тест", "тест тест", "физлицо", "частное лицо", "без названия", None, ""])
def test_what_stands_where_a_name_should_is_no_name(key: str | None) -> None:
    found = taken_apart(key, key, None, None)
    assert found.squashed is None
    assert found.person is NOBODY


@pytest.mark.parametrize(
    "text", ["г. Санкт-Петербург", "СПб", "Питер", "санкт петербург", "город Санкт-Петербург"]
)
def test_a_town_is_one_in_all_its_spellings(text: str) -> None:
    assert city(text) == "санкт петербург"
