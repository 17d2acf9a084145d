"""Cleaning of single values: what people and spreadsheets do to phones, addresses, numbers and names."""

from __future__ import annotations

import csv
import os
import string
import time
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pipelines.core.cleaning import KINDS, Cleaned, clean
from pipelines.core.legal_name import legal_name_key

SHARED_DATA = Path(
    os.environ.get("SVERKA_SHARED_DATA", Path(__file__).resolve().parents[1] / "../shared/data")
)


def one(kind: str, value: str, country: str = "RU") -> Cleaned:
    return clean(kind, [value], country)[0]


# --- phones ---


@pytest.mark.parametrize(
    "written",
    [
        "8 (916) 123-45-67", "+7 916 123 45 67", "9161234567", "89161234567", "79161234567.0",
        "7.9161234567E+10",
        "+8 (916) 123-45-67", "+7 8 916 123 45 67", "тел. 8-916-123-45-67, Иван", "8 916 123 45 67 (9-18)",
        "8 916 123 45 67 доб. 12", "8 (916) 123-45-67 вн.5", "8(916)1234567/8(495)7654321",
        "89161234567, 84957654321", "8 916 123 45 67 8 495 765 43 21", "'+7\u00a0916\u00a0123–45–67",
    ],
)  # fmt: skip
def test_every_russian_habit_of_writing_a_phone_gives_one_number(written: str) -> None:
    assert one("phone", written) == Cleaned("+79161234567")


@pytest.mark.parametrize(
    ("written", "country", "expected"),
    [
        ("+49 30 901820", "RU", "+4930901820"),
        ("810 49 30 901820", "RU", "+4930901820"),
        ("030 901820", "DE", "+4930901820"),
        ("+81 3 1234 5678", "RU", "+81312345678"),
        ("+8 (495) 123-45-67", "RU", "+74951234567"),
        ("8 727 250 00 00", "KZ", "+77272500000"),
    ],
)
def test_numbers_of_other_countries_keep_their_code(written: str, country: str, expected: str) -> None:
    assert one("phone", written, country).value == expected


@pytest.mark.parametrize(
    ("written", "cause"),
    [
        ("по запросу", "holds no number"),
        ("123-45-67", "lacks the code of its town"),
        ("8 916 123 45 678", "is no phone number in use (12 digits, country RU)"),
        ("12", "is too short"),
        ("7.91612E+10", "rounded by a spreadsheet"),
    ],
)
def test_a_phone_that_can_only_be_guessed_is_a_problem_that_says_why(written: str, cause: str) -> None:
    cleaned = one("phone", written)
    assert cleaned.value is None
    assert cleaned.problem
    assert f'phone "{written}"' in cleaned.problem
    assert cause in cleaned.problem
    assert "; " in cleaned.problem


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("absent", ["", "   ", "-", "—", "\u200b"])
def test_blank_values_and_dashes_are_absent_without_a_problem(kind: str, absent: str) -> None:
    assert one(kind, absent) == Cleaned(None, None)


def test_a_hundred_thousand_distinct_phones_would_take_less_than_thirty_seconds() -> None:
    phones = [f"8 (9{n % 90 + 10}) {n:07}" for n in range(5_000)]
    begun = time.process_time()
    cleaned = clean("phone", phones)
    assert time.process_time() - begun < 30 / 20
    assert sum(c.value is not None for c in cleaned) > 2_000


# --- e-mail ---


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Ivan@Mail.RU, ", "ivan@mail.ru"),
        ("mailto:a@b.ru", "a@b.ru"),
        ("Иван <a.b@ya.ru>", "a.b@ya.ru"),
        ("a@b.ru; c@d.ru", "a@b.ru"),
        ("ivan @ mail.ru", "ivan@mail.ru"),
        ("info@пример.рф", "info@пример.рф"),
    ],
)
def test_an_address_is_freed_of_what_stands_around_it(written: str, expected: str) -> None:
    assert one("email", written) == Cleaned(expected)


@pytest.mark.parametrize("written", ["нет", "a@b", "a..b@mail.ru", "ivаn@mail.ru"])
def test_a_wrong_address_is_a_problem(written: str) -> None:
    cleaned = one("email", written)
    assert cleaned.value is None
    assert written in (cleaned.problem or "")


@pytest.mark.parametrize(
    "written",
    [
        "ivan,petrov@mail.ru",
        "sales/info@firma.ru",
        "a@firma,ru",
        "a@sub.firma,ru",
        "ivan;petrov@mail.ru, b@c.ru",
    ],
)
def test_of_an_address_with_a_comma_in_it_no_part_is_taken_for_another(written: str) -> None:
    cleaned = one("email", written)
    assert cleaned.value is None
    assert "inside, where a dot may be meant" in (cleaned.problem or "")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a@b.ru,c@d.ru", "a@b.ru"),
        ("a@b.ru/c@d.ru", "a@b.ru"),
        ("Иванов,a@b.ru", "a@b.ru"),
        ("Ivanov, a@b.ru", "a@b.ru"),
        ("a@b.ru,89161234567", "a@b.ru"),
        ("a@b.ru;", "a@b.ru"),
    ],
)
def test_a_comma_between_an_address_and_what_is_none_parts_them(written: str, expected: str) -> None:
    assert one("email", written) == Cleaned(expected)


# --- numbers of registers ---


def inn_of(nine_digits: str) -> str:
    weights = (2, 4, 10, 3, 5, 9, 4, 6, 8)
    return nine_digits + str(sum(w * int(d) for w, d in zip(weights, nine_digits, strict=True)) % 11 % 10)


def inn_of_person(ten_digits: str) -> str:
    number = ten_digits
    for weights in ((7, 2, 4, 10, 3, 5, 9, 4, 6, 8), (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)):
        number += str(sum(w * int(d) for w, d in zip(weights, number, strict=True)) % 11 % 10)
    return number


inns = st.one_of(
    st.tuples(st.integers(1, 99), st.integers(0, 10**7 - 1)).map(lambda t: inn_of(f"{t[0]:02}{t[1]:07}")),
    st.tuples(st.integers(1, 99), st.integers(0, 10**8 - 1)).map(
        lambda t: inn_of_person(f"{t[0]:02}{t[1]:08}")
    ),
)


@given(inns, st.sampled_from(["{n}", "{n}.0", "{n},00", " {n} ", "ИНН {n}", "{n}/770101001", "{n:,}"]))
@example("0274051582", "{n}.0")
def test_a_valid_inn_survives_every_number_format(inn: str, form: str) -> None:
    assume(not inn.endswith("01001") or inn[0] != "0")  # without its zero it would look like a KPP
    written = form.format(n=int(inn)).replace(",", "\u00a0" if ":," in form else ",")
    assert one("tax_number", written) == Cleaned(inn)


@given(inns, st.integers(0, 11), st.integers(1, 9))
def test_an_inn_with_one_wrong_digit_never_passes_unseen(inn: str, place: int, shift: int) -> None:
    place %= len(inn)
    wrong = f"{inn[:place]}{(int(inn[place]) + shift) % 10}{inn[place + 1 :]}"
    # The last two steps of the rule (mod 11, mod 10) let rests of 0 and 10 coincide.
    expected = inn_of(wrong[:9]) if len(wrong) == 10 else inn_of_person(wrong[:10])
    cleaned = one("tax_number", wrong)
    assert cleaned.value == (wrong if wrong == expected and not wrong.startswith("00") else None)


@pytest.mark.parametrize(
    ("written", "cause"),
    [
        ("7707083894", "ends in 4, by its other digits that must be 3"),
        ("770708389", "with a leading zero its check digit is wrong"),
        ("77070838", "has 8 digits"),
        ("770101001", "looks like a KPP"),
        ("7.70708E+09", "rounded by a spreadsheet"),
        ("0000000000", "placeholder"),
        ("1234567894", "placeholder of digits in a row"),
        ("по запросу", "digits only"),
    ],
)
def test_an_inn_that_fails_says_what_is_wrong_with_it(written: str, cause: str) -> None:
    cleaned = one("tax_number", written)
    assert cleaned.value is None
    assert f'tax number "{written}"' in (cleaned.problem or "")
    assert cause in (cleaned.problem or "")


@pytest.mark.parametrize(
    ("written", "country", "expected"),
    [
        ("136 695 976", "DE", "DE136695976"),
        ("VAT ID: DE136695976", "DE", "DE136695976"),
        ("DE136695978", "DE", None),
        ("GR 094259216", "GR", "EL094259216"),
        ("200988541", "BY", "200988541"),
        ("УНП 200988541", "BY", "200988541"),
        ("200988542", "BY", None),
        ("БИН 971240001315", "KZ", "971240001315"),
        ("9401 4000 0385", "KZ", "940140000385"),
        ("971240001316", "KZ", None),  # another check digit
        ("971340001319", "KZ", None),  # a thirteenth month
        ("123456789012", "KZ", None),
        ("7707083893", "KZ", None),
        ("CUI: 18547290", "RO", "RO18547290"),
        ("RO 18547290", "RO", "RO18547290"),
        ("18547291", "RO", None),
        ("EIN 91-1144442", "US", "911144442"),
        ("07-1144442", "US", None),  # no office gives such a prefix
    ],
)
def test_tax_numbers_of_other_countries_follow_their_rules(
    written: str, country: str, expected: str | None
) -> None:
    assert one("tax_number", written, country).value == expected


@pytest.mark.parametrize(
    ("kind", "written", "expected"),
    [
        ("kpp", "770101001", "770101001"),
        ("kpp", "70101001.0", "070101001"),
        ("kpp", "7701 0A 001", "77010A001"),
        ("kpp", "77010100", None),
        ("kpp", "1", None),
        ("ogrn", "1 027700 132195", "1027700132195"),
        ("ogrn", "ОГРНИП 304500116000157", "304500116000157"),
        ("ogrn", "1027700132196", None),
        ("ogrn", "0027700132195", None),
    ],
)
def test_kpp_and_ogrn_are_checked_by_their_rules(kind: str, written: str, expected: str | None) -> None:
    expected = "077010100" if written == "77010100" else expected  # 8 digits lost their zero
    assert one(kind, written).value == expected


def test_an_entrepreneurs_ogrn_takes_the_last_digit_of_a_two_digit_rest() -> None:
    number = next(n for n in range(30450011600000, 30450011600013) if n % 13 == 12)
    assert one("ogrn", f"{number}2").value == f"{number}2"
    assert one("ogrn", f"{number}1").value is None


# --- names ---


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('ООО"Ромашка"', "Ромашка ООО"),
        ("Общество с ограниченной ответственностью «Ромашка» (ООО «Ромашка»)", "Ромашка ООО"),
        ('ООО Торговый  Дом "Ромашка"', 'Торговый Дом "Ромашка" ООО'),
        ('АО "НК "Роснефть"', 'НК "Роснефть" АО'),
        ("ОБЩЕСТВО С ОГРАНИЧЕНОЙ ОТВЕТСВЕННОСТЬЮ <<ЛУЧ>>", "ЛУЧ ООО"),
        ("Индивидуальный предприниматель Иванов И.И.", "Иванов И.И. ИП"),
        ("И.П. Иванов И.И.", "Иванов И.И. ИП"),
        ("И.П. Иванов", "И.П. Иванов"),
        ("ООО &quot;Ромашка&quot;", "Ромашка ООО"),
        ("Общество с органиченной ответственностью «Ромашка»", "Ромашка ООО"),
        ("А.О. Смирнов", "А.О. Смирнов"),
        ("AO Smith", "AO Smith"),
        ("Foo, Inc.", "Foo Inc"),
        ("LLC Foo", "Foo LLC"),
        ("ООО", None),
    ],
)
def test_the_legal_form_stands_last_and_quotes_are_even(written: str, expected: str | None) -> None:
    assert one("legal_name", written).value == expected


names = st.lists(
    st.text("абвгдежзиклмнопрстуфхцчшэюя", min_size=3, max_size=9).map(str.capitalize), min_size=1, max_size=3
).map(" ".join)
SPELLINGS = (
    'ООО "{}"', "ООО «{}»", 'ООО"{}"', "{} ООО", "{}, ООО", "{} (ООО)", "OOO {}", "ооо {}", '"ООО {}"',
    "О.О.О. „{}“", "ООО  ' {} '", "Общество с ограниченной ответственностью «{}»",
    'ОБЩЕСТВО С ОГРАНИЧЕННОЙ ОТВЕТСТВЕННОСТЬЮ "{0}" (ООО "{0}")',
)  # fmt: skip


@given(names, st.sampled_from(SPELLINGS), st.sampled_from(SPELLINGS), st.booleans())
def test_spellings_of_one_legal_name_have_one_key(name: str, a: str, b: str, capitals: bool) -> None:
    assume(legal_name_key(name) == name.lower())  # a name that is itself a form, as "Ано"
    other = name.upper().replace("Е", "Ё") if capitals else name
    assert one("legal_name_key", a.format(name)) == one("legal_name_key", b.format(other))
    assert one("legal_name_key", a.format(name)).value == name.lower()


@given(names, names)
def test_different_names_have_different_keys(a: str, b: str) -> None:
    assume(legal_name_key(a) == a.lower() and legal_name_key(b) == b.lower())
    assert (legal_name_key(f"ООО {a}") == legal_name_key(f"{b} АО")) == (a.lower() == b.lower())


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("ИВАНОВ иван ИВАНОВИЧ", "Иванов Иван Иванович"),
        ("Иванов И.И.", "Иванов И. И."),
        ("петров-водкин  кузьма", "Петров-Водкин Кузьма"),
        ("Алиев Вагиф Оглы", "Алиев Вагиф оглы"),
        ("Шон О'Коннор", "Шон О'Коннор"),
        ("менеджер 1", None),
        ("a@b.ru", None),
    ],
)
def test_a_persons_name_gets_its_capitals(written: str, expected: str | None) -> None:
    assert one("person_name", written).value == expected


# --- all kinds ---

dirty = st.one_of(
    st.text(max_size=40),
    st.text("ОООАПИ \"'«»(),.-ооo3лтдLtdInc", max_size=25),
    st.text(string.digits + "+-() .,/;EЕдобx", max_size=25),
    st.emails(),
    inns,
    names.map('ООО "ТД "{}"'.format),
)


@settings(max_examples=300)
@given(st.sampled_from(sorted(KINDS)), dirty, st.sampled_from(["RU", "DE", "BY", "US", "KZ"]))
@example("person_name", "ß", "RU")
@example("legal_name_key", "0\u00ad0", "RU")
def test_cleaning_a_clean_value_changes_nothing(kind: str, value: str, country: str) -> None:
    first = one(kind, value, country)
    assert first.value is None or first.problem is None
    assert first.value != ""
    if first.value is not None:
        assert one(kind, first.value, country) == Cleaned(first.value)


@settings(max_examples=300)
@given(dirty)
def test_the_key_of_a_displayed_name_is_the_key_of_the_name(value: str) -> None:
    shown = one("legal_name", value)
    if shown.value:
        assert legal_name_key(shown.value) == legal_name_key(value)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("ул. Мира, д. 5\r\nофис 12", "ул. Мира, д. 5 офис 12"),
        ("  г. Тула,  ул. Мира,  д. № 5, ", "г. Тула, ул. Мира, д. № 5"),
        ("-", None),
        ("", None),
    ],
)
def test_an_address_of_several_lines_is_one_line_and_stays_as_it_is_written(
    written: str, expected: str | None
) -> None:
    assert clean("address", [written]) == [Cleaned(expected)]


def test_signs_alone_are_no_address() -> None:
    (said,) = clean("address", ["?!"])
    assert said.value is None
    assert said.problem is not None
    assert "fill in the address or leave it empty" in said.problem


def test_answers_stand_in_the_order_of_the_values() -> None:
    assert [c.value for c in clean("kpp", ["770101001", "x", "770101001", ""])] == [
        "770101001", None, "770101001", None,
    ]  # fmt: skip


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="person_name"):
        clean("colour", ["red"])


# --- real companies ---


def companies(file: str) -> list[dict[str, str]]:
    path = SHARED_DATA / "ru_companies" / file
    if not path.is_file():
        pytest.skip(f"needs {path} (public data; SVERKA_SHARED_DATA names its folder)")
    with path.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.shared_data
@pytest.mark.parametrize("file", ["fns_sme_legal_entities.csv", "fns_employees.csv"])
def test_every_inn_of_the_tax_service_is_valid_even_as_a_number(file: str) -> None:
    inns = [row["inn"] for row in companies(file)]
    assert len(inns) > 600
    assert [c.value for c in clean("tax_number", inns)] == inns
    assert [c.value for c in clean("tax_number", [f"{int(inn)}.0" for inn in inns])] == inns


@pytest.mark.shared_data
def test_full_and_short_names_of_limited_companies_have_one_key() -> None:
    def letters(name: str, form: str) -> str:
        return "".join(c for c in name.upper().removeprefix(form).replace("Ё", "Е") if c.isalnum())

    pairs = [
        (row["name_full"], row["name_short"])
        for row in companies("fns_sme_legal_entities.csv")
        if row["name_short"].startswith("ООО")
        # Many short names abbreviate: "ЧАСТНАЯ ОХРАННАЯ ОРГАНИЗАЦИЯ" is "ЧОО". That is no spelling.
        and letters(row["name_full"], "ОБЩЕСТВО С ОГРАНИЧЕННОЙ ОТВЕТСТВЕННОСТЬЮ")
        == letters(row["name_short"], "ООО")
    ]
    assert len(pairs) > 450
    for full, short in pairs:
        assert legal_name_key(full).replace(" ", "") == legal_name_key(short).replace(" ", ""), (full, short)
    assert sum(legal_name_key(full) != legal_name_key(short) for full, short in pairs) <= 3
    misspelt = [row["name"] for row in companies("fns_employees.csv")]
    assert not [key for key in map(legal_name_key, misspelt) if key.startswith("общество с огр")]
