"""OData as 1C speaks it: literals, times, errors, names."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from resources.accounting.onec import odata
from resources.accounting.onec.profile import Profile
from tests.onec.base import KEY, METADATA, MOSCOW, key_of


def test_a_literal_cannot_be_broken_out_of() -> None:
    assert odata.text("ООО 'Ромашка'") == "'ООО ''Ромашка'''"
    with pytest.raises(ValueError):
        odata.guid("' or true or '")


@pytest.mark.parametrize("digits", ["22729.17", "0.10", "150129", "9007199254740993.01", "-0.005"])
def test_money_keeps_every_digit_on_the_way_in_and_out(digits: str) -> None:
    arrived = odata.decode(f'{{"Сумма": {digits}}}'.encode())
    assert arrived["Сумма"] == Decimal(digits)
    assert not isinstance(arrived["Сумма"], float)
    assert odata.encode({"Сумма": Decimal(digits)}, MOSCOW) == f'{{"Сумма":{digits}}}'.encode()


def test_a_float_never_leaves_for_accounting() -> None:
    with pytest.raises(TypeError, match="Decimal"):
        odata.encode({"Товары": [{"Сумма": 0.1}]}, MOSCOW)


def test_times_move_between_utc_and_the_wall_clock_of_the_base() -> None:
    noon = datetime(2026, 2, 10, 21, 30, 5, 900000, tzinfo=UTC)
    assert odata.encode({"Date": noon, "День": date(2026, 2, 10)}, MOSCOW) == (
        '{"Date":"2026-02-11T00:30:05","День":"2026-02-10T00:00:00"}'.encode()
    )
    assert odata.utc_time("2026-02-11T00:30:05", MOSCOW) == noon.replace(microsecond=0)
    assert odata.utc_time(odata.EMPTY_DATE, MOSCOW) is None


def test_chunks_hold_every_key_once_and_fit_an_address() -> None:
    terms = [
        (key_of(n), f"Recorder eq {odata.reference(key_of(n), 'Document_Реализация')}") for n in range(99)
    ]
    chunks = list(odata.chunks(terms))
    assert [key for keys, _ in chunks for key in keys] == [key for key, _ in terms]
    assert all(len(odata.address("X", {"$filter": where})) <= odata.QUERY_LIMIT for _, where in chunks)
    plain = list(odata.chunks([(key, f"Ref_Key eq {odata.guid(key)}") for key, _ in terms], limit=10**6))
    assert max(len(keys) for keys, _ in plain) == odata.KEYS_PER_REQUEST


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ('{"odata.error":{"code":"9","message":{"lang":"ru","value":"не найден"}}}', "9", "не найден"),
        (
            '<m:error xmlns:m="urn:m"><m:code>9</m:code><m:message>не найден</m:message></m:error>',
            "9",
            "не найден",
        ),
        ("<html><h1>502</h1>Bad Gateway</html>", "", "502 Bad Gateway"),
        ("", "", ""),
    ],
)
def test_an_error_is_read_from_json_xml_and_a_web_page(content: str, code: str, said: str) -> None:
    fault = odata.read_fault(500, content.encode())
    assert (fault.code, fault.text, fault.from_1c) == (code, said, bool(code))


@pytest.mark.parametrize(
    ("said", "closed"),
    [
        ("Дата 10.01.2026 попадает в период, запрещенный для изменения", True),
        ("Изменение данных ранее 31.12.2025 запрещено", True),
        ("Установлена дата запрета изменения: 31.12.2025", True),
        ("Не удалось записать: период закрыт", True),
        ("Поле «Договор» не заполнено", False),
        ("Реализация от 20.11.2026: отгрузка контрагенту запрещена", False),
    ],
)
def test_a_closed_period_is_known_by_its_words_and_not_by_any_prohibition(said: str, closed: bool) -> None:
    assert odata.is_closed_period(said) == closed
    assert odata.is_closed_period(said, pattern="договор") == ("Договор" in said)


def test_metadata_names_the_properties_of_sets_and_of_tabular_parts() -> None:
    sets = odata.parse_metadata(METADATA.encode())
    assert sets["Document_X"]["СуммаДокумента"] == "Edm.Double"
    assert sets["Document_X_Товары"] == {"Цена": "Edm.Double"}


def test_a_name_that_the_base_would_ignore_is_found_before_it_is_sent() -> None:
    sets = odata.parse_metadata(METADATA.encode())
    good = {"Ref_Key": KEY, "СуммаДокумента": 1, "Товары": [{"Цена": 1}], "Склад@odata.bind": "x"}
    assert odata.unknown_fields(sets, "Document_X", good) == []
    slips = {**good, "СумаДокумента": 1, "Товары": [{"Цена": 1}, {"Цена": 1, "Цeна": 1}]}
    assert odata.unknown_fields(sets, "Document_X", slips) == ["Товары.Цeна", "СумаДокумента"]


def test_a_profile_with_a_slip_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="set_"):
        Profile.read({"set_": {}})
    with pytest.raises(ValueError, match="waybill"):
        Profile.read({"sets": {"invoice": "Document_Счет"}, "recorders": ["waybill"]})
