"""The labelled records of Russian clients: the same from the same seed, valid where they say so, as dirty as they say."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from random import Random

import pytest
from stdnum.ru import inn

from benchmarks import identity_dirt as dirt
from benchmarks.identity_cards import COLUMNS, Card, cards
from benchmarks.identity_russia import Entity, entities
from pipelines.core.cleaning import clean

Made = tuple[list[Entity], list[Card], list[str]]


@pytest.fixture(scope="module")
def made(shared_data: Path) -> Made:
    clients = entities(shared_data / "ru_companies", 1)
    return clients, *cards(clients, 2)


@pytest.mark.shared_data
def test_the_same_seed_makes_the_same_records_and_another_others(made: Made, shared_data: Path) -> None:
    again = cards(entities(shared_data / "ru_companies", 1), 2)
    assert again == made[1:]
    assert cards(made[0], 3) != again


@pytest.mark.shared_data
def test_a_record_has_every_column_and_an_id_of_its_own(made: Made) -> None:
    _, rows, truth = made
    assert len(rows) == len(truth) == len({row["record_id"] for row in rows})
    assert all(set(row) == set(COLUMNS) for row in rows)


@pytest.mark.shared_data
def test_every_tax_number_is_valid_and_hardly_one_is_another_client_s(made: Made) -> None:
    clients, rows, truth = made
    wrong = 0
    for row, label in zip(rows, truth, strict=True):
        if row["tax_number"] is not None:
            assert inn.is_valid(row["tax_number"])
            wrong += row["tax_number"] != clients[int(label.removeprefix("client-"))].inn
    assert wrong < len(rows) * 0.002  # mistyped ones that are valid by chance


@pytest.mark.shared_data
def test_no_two_clients_have_one_inn(made: Made) -> None:
    inns = [client.inn for client in made[0] if client.inn]
    assert len(inns) == len(set(inns))


@pytest.mark.shared_data
def test_namesakes_live_in_one_city_and_strangers_share_phones_and_e_mails(made: Made) -> None:
    clients, rows, truth = made
    namesakes = Counter(
        (client.name.upper(), client.seats[0].city) for client in clients if client.kind == "company"
    )
    assert sum(count > 1 for count in namesakes.values()) >= 30
    for column in ("phone", "email"):
        sharing: dict[str, set[str]] = defaultdict(set)
        for row, label in zip(rows, truth, strict=True):
            if row[column]:
                sharing[str(row[column])].add(label)
        assert sum(len(labels) > 1 for labels in sharing.values()) >= 50
        assert max(map(len, sharing.values())) >= 5


@pytest.mark.shared_data
def test_a_client_with_branches_has_records_of_several_kpps(made: Made) -> None:
    _, rows, truth = made
    kpps: dict[str, set[str]] = defaultdict(set)
    for row, label in zip(rows, truth, strict=True):
        if row["kpp"]:
            kpps[label].add(str(row["kpp"]))
    assert sum(len(found) > 1 for found in kpps.values()) >= 30


@pytest.mark.parametrize("seed", range(50))
def test_a_phone_in_any_spelling_is_the_same_phone(seed: int) -> None:
    assert clean("phone", [dirt.phone(Random(seed), "+79161234507")])[0].value == "+79161234507"


@pytest.mark.parametrize("seed", range(50))
def test_a_name_in_any_spelling_of_its_russian_form_has_one_key(seed: int) -> None:
    written = dirt.with_form(Random(seed), "ООО", "Белый Медведь")
    assert clean("legal_name_key", [written])[0].value == "белый медведь", written


@pytest.mark.parametrize("seed", range(30))
def test_a_typo_changes_a_letter_or_two_and_no_more(seed: int) -> None:
    wrong = dirt.typo(Random(seed), "Белый Медведь")
    assert abs(len(wrong) - len("Белый Медведь")) <= 1
    assert sum((Counter(wrong) - Counter("Белый Медведь")).values()) <= 1


def test_a_shortened_name_keeps_what_is_no_usual_word() -> None:
    assert dirt.shortened("ТОРГОВЫЙ ДОМ РОМАШКА") == "ТД ромашка"
    assert dirt.shortened("СЕВЕРНЫЙ МОРСКОЙ ПУТЬ") == "СМП"
    assert dirt.shortened("РОМАШКА") == "РОМАШКА"
