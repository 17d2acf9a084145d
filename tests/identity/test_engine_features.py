"""What is derived of a record hangs on that record alone, and stand-ins are no values."""

from __future__ import annotations

import pytest

from pipelines.identity.features import derive
from pipelines.identity.model import load
from tests.identity.profiles import profiles

ONE = {
    "name": 'ООО "Ромашка"',
    "tax_numbers": "7707083893",
    "kpps": "773601001",
    "phones": ["+79161234507", "+79990000000"],
    "emails": ["info@romashka.ru", "noreply@mail.ru", "romashka@mail.ru"],
    "contact_names": ["Петров Иван Сергеевич", "Ольга"],
    "city": "г. Казань",
}


def test_stand_ins_are_no_values() -> None:
    row = derive(profiles(ONE | {"name": "тест тест", "tax_numbers": "1234567894"})).to_pylist()[0]
    assert row["name"] is None
    assert row["tax_numbers"] is None
    assert row["phones"] == ["+79161234507"]
    assert row["emails"] == ["info@romashka.ru", "romashka@mail.ru"]


# Typed where a phone or an e-mail is demanded; the last of each line is somebody's own
STAND_INS = {
    "phones": (
        "+79123456789", "+71234567890", "+78000000000", "+79999999999", "+74951234567", "+79167654321", "+375291234567",
        "+78005553535", "+79161234507",
    ),
    "emails": (
        "mail@mail.ru", "no@mail.ru", "net@yandex.ru", "test@test.ru", "test@romashka.ru", "a@a.ru", "info@example.com",
        "i@mail.example.com", "i@firma.test", "noreply@romashka.ru", "123@mail.ru", "mail@romashka.ru",
    ),
}  # fmt: skip


@pytest.mark.parametrize("column", STAND_INS)
def test_stand_in_contacts_are_no_values_and_one_that_looks_alike_is_one(column: str) -> None:
    *typed, own = STAND_INS[column]
    row = derive(profiles({"name": "ООО Ромашка", column: [*typed, own]})).to_pylist()[0]
    assert row[column] == [own]


def test_what_is_a_stand_in_is_the_models_data() -> None:
    stand_ins = load("clients").stand_ins
    assert stand_ins.has_email("no@mail.ru")
    assert not stand_ins.has_email("no@romashka.ru")
    assert not load("people").stand_ins.has_email("no@mail.ru")


def test_only_a_site_of_ones_own_is_a_domain_and_contacts_are_taken_apart() -> None:
    row = derive(profiles(ONE)).to_pylist()[0]
    assert row["domains"] == ["romashka.ru"]
    assert row["contacts"] == ["petrov i s"]
    assert row["contacts_lone"] == ["o"]
    assert (row["holder"], row["town"], row["number"]) == ("company", "казань", "7707083893")


def test_a_persons_own_name_is_no_contact() -> None:
    sole = ONE | {"name": "ИП Петров Иван Сергеевич", "tax_numbers": ""}
    row = derive(profiles(sole)).to_pylist()[0]
    assert row["contacts_short"] is None
    assert row["person"] == "petrov i"


def test_a_record_is_derived_alike_alone_and_among_others() -> None:
    others = [{"name": f"Фирма {number} Казань"} for number in range(20)]
    among = derive(profiles(*others, ONE | {"id": "it"})).to_pylist()[-1]
    assert among == derive(profiles(ONE | {"id": "it"})).to_pylist()[0]


def test_a_number_that_is_not_valid_is_kept_unless_it_is_no_number_at_all() -> None:
    given = ["7707083894", "770101001", "1111111111", "1234567890", "1010101010", "77070", "770708389377010"]
    row = derive(profiles({"name": "Ромашка", "wrong_numbers": given})).to_pylist()[0]
    assert row["wrong_numbers"] == ["7707083894"]
    assert row["number"] == "7707083894"


def test_a_profile_may_have_its_id_by_its_own_name() -> None:
    table = profiles(ONE)
    named = table.rename_columns(
        ["client_record_id" if name == "record_id" else name for name in table.column_names]
    )
    assert derive(named).to_pylist() == derive(table).to_pylist()
