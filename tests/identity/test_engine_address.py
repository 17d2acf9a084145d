"""One place however people write it, another place never the same, and nothing where the line does not say which house."""

from __future__ import annotations

import pytest

from pipelines.identity.address import Place, taken_apart
from pipelines.identity.features import derive
from tests.identity.profiles import profiles


@pytest.mark.parametrize(
    "text",
    [
        "105005, г. Москва, ул. Бауманская, д. 7, стр. 2, оф. 12",
        "Россия, 105005, Москва г, Бауманская ул, дом № 7, строение 2",
        "г Москва ул Бауманская д7 стр2",
        "МОСКВА, БАУМАНСКАЯ 7С2",
        "Москва Бауманская 7с2",
        "г. Москва, вн.тер.г. муниципальный округ Басманный, ул. Бауманская, д. 7 стр. 2, пом. 1, эт. 3",
        "г.Москва,ул.Бауманская,д.7,стр.2, лит. А",
    ],
)
def test_one_place_is_one_place_however_it_is_written(text: str) -> None:
    assert taken_apart(text) == Place("москва", "бауманская 7 с2")


@pytest.mark.parametrize(
    ("text", "street"),
    [
        ("ул. Бауманская, д. 7", "бауманская 7"),
        ("ул. Бауманская, 7а", "бауманская 7а"),
        ("ул. Бауманская, д. 7 а", "бауманская 7а"),
        ("Бауманская 7/2", "бауманская 7/2"),
        ("Бауманская, 7, корп. 2", "бауманская 7 к2"),
        ("пер. Бауманский, 7", "бауманский пер 7"),
        ("пр-кт Ленина, д. 7", "ленина пр 7"),
        ("проспект Ленина, 7", "ленина пр 7"),
        ("мкр 5, д. 7", "5 мкр 7"),
        ("5 мкр., дом 7, кв. 3", "5 мкр 7"),
        ("ул. 8 Марта, д. 14", "8 марта 14"),
        ("8 Марта 14", "8 марта 14"),
        ("ул. Набережная, д. 5", "набережная 5"),
        ("Набережная, 5", "набережная 5"),
        ("Набережная ул. 5", "набережная 5"),
        ("наб. реки Фонтанки, 5", "реки фонтанки наб 5"),
        ("БЦ «Северный», ул. Ленина, 5, офис 301", "ленина 5"),
        ("д. Ивановка, ул. Мира, д. 3", "мира 3"),
        ("Московская область, г.о. Химки, г. Химки, ул. Победы, зд. 5, помещ. 2", "победы 5"),
        ("Свердловская обл г Екатеринбург ул Малышева 7", "малышева 7"),
        ("г. Нижний Новгород Алексеевская 10", "алексеевская 10"),
    ],
)
def test_a_house_its_block_and_the_kind_of_its_street_tell_places_apart(text: str, street: str) -> None:
    assert taken_apart(text).street == street


@pytest.mark.parametrize(
    "text",
    ["г. Казань", "ул. Ленина", "Казань, Баумана", "нет", "самовывоз", "д. 5", "а/я 12", "420111", ","],
)
def test_where_no_house_of_a_street_is_said_there_is_no_place(text: str) -> None:
    assert taken_apart(text).street is None


@pytest.mark.parametrize(
    ("text", "town"),
    [
        ("г. Казань, ул. Баумана, д. 5", "казань"),
        ("Казань, Баумана, 5", "казань"),
        ("190000, СПб, Невский пр., 5", "санкт петербург"),
        ("Свердловская обл., г. Екатеринбург", "екатеринбург"),
        ("Бугульма, Ленина, 5", None),  # may be anything: nothing says that it is a town
        ("ул. Казанская, 5", None),
    ],
)
def test_the_line_tells_its_town_where_it_says_so(text: str, town: str | None) -> None:
    assert taken_apart(text).town == town


def test_a_town_that_stands_elsewhere_in_the_record_is_no_street() -> None:
    assert taken_apart("Бугульма Ленина 5", "бугульма") == Place("бугульма", "ленина 5")
    abroad = {taken_apart(text, "harbin").street for text in ("12 Zhongyang St, Harbin", "12 ZHONGYANG ST.")}
    assert abroad == {"12 zhongyang st"}


def test_taking_apart_what_was_taken_apart_changes_nothing() -> None:
    for text in ("г. Казань, ул. Баумана, д. 70к2", "Ленина пр. 9/1", "мкр 5, д. 7", "8 Марта 14 стр 3"):
        street = taken_apart(text).street
        assert street is not None
        assert taken_apart(street).street == street


def test_a_record_without_a_city_has_the_town_of_its_address() -> None:
    row = derive(profiles({"name": "Ромашка", "address": "г. Казань, ул. Баумана, д. 5"})).to_pylist()[0]
    assert (row["town"], row["street"]) == ("казань", "баумана 5")
    row = derive(
        profiles({"name": "Ромашка", "address": "г. Казань, ул. Баумана, д. 5", "city": "Уфа"})
    ).to_pylist()[0]
    assert (row["town"], row["street"]) == ("уфа", "баумана 5")
