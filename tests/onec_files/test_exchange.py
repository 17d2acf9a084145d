"""Records go to the base by numbered messages, and are held for done when the base says so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.operations.compare import differences
from resources.accounting.onec_files.connector import OneCFiles
from resources.connector import Exists, Refused, SourceError, Written
from tests.onec_files.town import (
    DEAL,
    FIRM,
    ITEM,
    PARTY,
    Town,
    contract,
    counterparty,
    key,
    known,
    realization,
)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.ours.close()


def everything(ours: OneCFiles, entities: Sequence[str] = ("realization", "counterparty")) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {record.source_id: record for page in ours.read(entities, None, now) for record in page.records}


def test_what_we_write_the_base_understands_and_its_answer_equals_what_was_meant(town: Town) -> None:
    known(town)
    meant = {
        ("counterparty", PARTY): counterparty(),
        ("contract", DEAL): contract(PARTY),
        ("realization", key("sale")): realization(PARTY, DEAL, ITEM),
    }
    town.ours.create("realization", key("sale"), meant["realization", key("sale")])
    town.run()
    for (kind, one), body in meant.items():
        found = town.ours.find(kind, [one])
        assert differences(body, found[one]) == []
    sale = town.ours.find("realization", [key("sale")])[key("sale")]
    assert sale["Проведен"] == "true"
    assert sale["КлючевыеСвойства/Номер"] == "0000-000001"
    assert sale["Товары"][0]["Цена"] == "610.05"


def test_an_invoice_is_understood_too(town: Town) -> None:
    known(town)
    body = realization(PARTY, DEAL, ITEM)
    del body["ВидОперации"], body["Комментарий"]
    town.ours.create("invoice", key("bill"), body)
    town.run()
    assert differences(body, town.ours.find("invoice", [key("bill")])[key("bill")]) == []
    assert town.base.objects["Документ.СчетПокупателю", key("bill")]["Сумма"] == "1220.10"


def test_a_record_is_under_way_until_the_base_confirmed_its_message_and_then_it_is_found(town: Town) -> None:
    town.start()
    town.ours.create("counterparty", PARTY, counterparty())
    with pytest.raises(SourceError, match="1 of 1 counterparty are under way") as told:
        town.ours.find("counterparty", [PARTY])
    assert told.value.retriable
    town.base.send()  # a message that confirms nothing of ours yet
    town.settled()
    with pytest.raises(SourceError, match="under way"):
        town.ours.find("counterparty", [PARTY])
    town.run()
    assert town.ours.find("counterparty", [PARTY])[PARTY]["КлючевыеСвойства/ИНН"] == "7707083893"


def test_the_same_operation_twice_leaves_the_same_file_and_one_document(town: Town) -> None:
    known(town)
    for _ in range(3):
        town.ours.create("realization", key("sale"), realization(PARTY, DEAL, ITEM))
        message = town.message()
        town.now += 100
        assert town.message() == message
    town.reopen().create("realization", key("sale"), realization(PARTY, DEAL, ITEM))
    assert town.message() == message
    town.run()
    town.run()
    assert [k for k in town.base.objects if k[0].startswith("Документ")] == [
        ("Документ.РеализацияТоваровУслуг", key("sale"))
    ]


def test_unconfirmed_records_stand_in_every_message_until_they_are_confirmed(town: Town) -> None:
    town.start()
    first = key("first")
    town.ours.create("counterparty", first, counterparty("Первый"))
    town.ours.create("counterparty", key("second"), counterparty("Второй"))
    assert first.encode() in town.message()
    assert key("second").encode() in town.message()
    town.run()
    town.ours.exchange.take()
    town.ours.create("counterparty", key("third"), counterparty("Третий"))
    assert first.encode() not in town.message()
    assert town.base.loaded == [3]  # the first two were never read: the third held all that they held


def test_a_message_lost_from_the_folder_is_written_again_byte_for_byte(town: Town) -> None:
    town.start()
    town.ours.create("counterparty", PARTY, counterparty())
    before = town.message()
    (town.exchange / "Message_СВ_БП.xml").unlink()
    town.now += 3600
    town.reopen().exchange.take()
    assert town.message() == before


def test_nothing_is_written_again_once_the_base_took_everything(town: Town) -> None:
    known(town)
    town.run()
    town.ours.exchange.take()
    (town.exchange / "Message_СВ_БП.xml").unlink()
    town.ours.exchange.take()
    assert not (town.exchange / "Message_СВ_БП.xml").exists()


def test_the_base_learns_that_its_message_was_taken_and_stops_repeating_it(town: Town) -> None:
    town.start()
    assert ("Справочник.Организации", FIRM) in town.base.changed
    town.run()
    assert ("Справочник.Организации", FIRM) not in town.base.changed


def test_a_change_replaces_the_record_and_what_the_base_told_before_is_no_answer(town: Town) -> None:
    known(town)
    town.ours.update("counterparty", PARTY, {"КлючевыеСвойства/Наименование": "Ромашка и К"})
    with pytest.raises(SourceError, match="under way"):
        town.ours.find("counterparty", [PARTY])
    town.run()
    found = town.ours.find("counterparty", [PARTY])[PARTY]
    assert found["КлючевыеСвойства/Наименование"] == "Ромашка и К"
    assert found["КлючевыеСвойства/ИНН"] == "7707083893"


def test_what_the_base_has_is_not_made_again(town: Town) -> None:
    known(town)
    with pytest.raises(Exists):
        town.ours.create("counterparty", PARTY, counterparty())


def test_after_a_part_was_confirmed_nothing_new_goes_until_the_rest_is(town: Town) -> None:
    town.start()
    town.ours.create("counterparty", key("a"), counterparty("А"))
    town.base.load()  # the base loads, and answers later
    town.ours.create("counterparty", key("b"), counterparty("Б"))
    town.base.send()
    town.settled()
    with pytest.raises(SourceError, match="under way"):
        town.ours.find("counterparty", [key("a"), key("b")])
    with pytest.raises(SourceError, match="new ones go when these are confirmed"):
        town.ours.create("counterparty", key("c"), counterparty("В"))
    town.run()
    assert set(town.ours.find("counterparty", [key("a"), key("b")])) == {key("a"), key("b")}
    assert isinstance(town.ours.create("counterparty", key("c"), counterparty("В")), Written)


def test_a_record_that_the_base_confirms_and_never_sends_back_is_missing_after_two_messages(
    tmp_path: Path,
) -> None:
    town = Town(tmp_path, echo=False)
    town.start()
    town.ours.create("counterparty", PARTY, counterparty())
    town.run()
    with pytest.raises(SourceError, match="under way"):
        town.ours.find("counterparty", [PARTY])
    town.run()
    assert town.ours.find("counterparty", [PARTY]) == {}


def test_where_confirming_is_enough_the_record_is_found_as_it_was_sent(tmp_path: Path) -> None:
    town = Town(tmp_path, options={"read_back": "confirmed"}, echo=False)
    town.start()
    town.ours.create("counterparty", PARTY, counterparty())
    town.run()
    found = town.ours.find("counterparty", [PARTY])
    assert differences(counterparty(), found[PARTY]) == []
    assert "Проведен" not in found[PARTY]


def test_our_numbers_go_on_from_what_the_base_remembers_when_our_state_was_lost(town: Town) -> None:
    known(town)
    town.ours.close()
    for path in (town.folder / "state").iterdir():
        path.unlink()
    town.reopen()
    town.ours.create(
        "counterparty", key("new"), counterparty("Новый")
    )  # message 1 again: the base passes it over
    town.run()
    with pytest.raises(SourceError, match="under way"):
        town.ours.find("counterparty", [key("new")])
    town.run()
    assert key("new") in town.ours.find("counterparty", [key("new")])


def test_records_and_deletions_are_read_with_every_digit(town: Town) -> None:
    known(town)
    town.base.put(
        "Документ.ПБДСРасчетыСКонтрагентами",
        key("money"),
        {
            "КлючевыеСвойства": {"Ссылка": key("money"), "Дата": "2026-03-04T10:00:00", "Номер": "1",
                                 "Организация": {"Ссылка": FIRM}},
            "ОбщиеДанные": {"ДатаВыписки": "2026-03-04", "Валюта": {"Ссылка": "x"}, "Сумма": "1220.10",
                            "НазначениеПлатежа": "Оплата по счету 17"},
            "ВидРасчетов": "СПокупателем",
            "Контрагент": {"Ссылка": PARTY, "Наименование": "Ромашка"},
            "РасшифровкаПлатежа": [{"Сумма": "1220.10", "ДанныеВзаиморасчетов": {"Договор": {"Ссылка": DEAL}}}],
        },
    )  # fmt: skip
    town.base.put(
        "Документ.СБДСРасчетыСКонтрагентами",
        key("back"),
        {
            "КлючевыеСвойства": {"Ссылка": key("back")},
            "ОбщиеДанные": {"ДатаВыписки": "2026-03-05", "Сумма": "5"},
        },
    )
    town.ours.create("realization", key("sale"), realization(PARTY, DEAL, ITEM, "9007199254740993.01"))
    town.run()
    read = everything(town.ours, ["realization", "payment"])
    money = json.loads(read[key("money")].payload)
    assert money["Направление"] == "receipt"
    assert (money["СуммаОперации"], money["ДатаОперации"]) == ("1220.10", "2026-03-04")
    assert money["КонтрагентСсылка"] == PARTY
    assert json.loads(read[key("back")].payload)["Направление"] == "outgoing"
    assert money["РасшифровкаПлатежа"] == [{"Сумма": "1220.10", "ДанныеВзаиморасчетов/Договор/Ссылка": DEAL}]
    assert json.loads(read[key("sale")].payload)["Сумма"] == "9007199254740993.01"
    town.base.delete("Документ.РеализацияТоваровУслуг", key("sale"))
    town.run()
    gone = everything(town.ours)[key("sale")]
    assert gone.deleted
    assert json.loads(gone.payload)["ПометкаУдаления"] == "true"
    assert key("sale") not in {one for page in town.ours.keys("realization") for one in page}


def test_an_object_without_its_key_is_set_apart_until_it_comes_with_one(town: Town) -> None:
    known(town)
    nameless = {"КлючевыеСвойства": {"Наименование": "Икс"}, "Комментарий": "от руки"}
    town.base.put("Справочник.Контрагенты", key("nameless"), nameless)
    town.base.put("Справочник.Контрагенты", key("good"), {"КлючевыеСвойства": {"Ссылка": key("good")}})
    town.run()
    for _ in range(2):  # the message is taken once, and told until it is mended
        pages = list(town.ours.read(["counterparty"], None, datetime.now(UTC)))
        (apart,) = [reject for page in pages for reject in page.rejects]
        assert apart.place == "Справочник.Контрагенты Икс"
        assert "came without Ссылка" in apart.reason
        assert "от руки" in apart.payload.decode()
        assert key("good") in {record.source_id for page in pages for record in page.records}
    nameless["КлючевыеСвойства"]["Ссылка"] = key("nameless")  # type: ignore[index]
    town.base.put("Справочник.Контрагенты", key("nameless"), nameless)
    town.run()
    pages = list(town.ours.read(["counterparty"], None, datetime.now(UTC)))
    assert [reject for page in pages for reject in page.rejects] == []
    assert key("nameless") in {record.source_id for page in pages for record in page.records}


def test_a_read_by_change_brings_only_what_was_taken_since(town: Town) -> None:
    known(town)
    town.now += 7200
    since = datetime.fromtimestamp(town.now - 10, UTC)
    town.base.put("Справочник.Контрагенты", key("their"), {"КлючевыеСвойства": {"Ссылка": key("their")}})
    town.run()
    pages = list(town.ours.read(["counterparty"], since, datetime.now(UTC)))
    assert {record.source_id for page in pages for record in page.records} >= {key("their")}
    assert PARTY not in {
        change.source_id for change in town.ours.changes(datetime.fromtimestamp(town.now + 1, UTC))
    }


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"КлючевыеСвойства/Наименование": "А"}, "needs КлючевыеСвойства/ЮридическоеФизическоеЛицо"),
        ({**counterparty(), "Телефон": "1"}, "has no Телефон in this format"),
        ({**counterparty(), "ОКПО": "\x07"}, "U\\+0007, which XML cannot"),
        ({**counterparty(), "ОКПО": {"a": 1}}, "is neither text, a number nor a boolean"),
    ],
)
def test_what_the_format_cannot_hold_is_refused_in_words(town: Town, body: dict[str, Any], told: str) -> None:
    town.start()
    with pytest.raises(Refused, match=told):
        town.ours.create("counterparty", PARTY, body)
    assert PARTY.encode() not in town.message()


def test_a_document_that_names_what_the_base_has_not_told_is_refused(town: Town) -> None:
    town.start()
    with pytest.raises(Refused, match=r"it names the counterparty .* of which the base has told nothing yet"):
        town.ours.create("realization", key("sale"), realization(key("nobody"), DEAL, ITEM))


def test_posting_is_the_bases_own(town: Town) -> None:
    with pytest.raises(Refused, match="1C posts what it loads"):
        town.ours.post("realization", key("sale"))


def test_a_folder_that_cannot_be_written_is_told_and_the_next_try_writes(town: Town) -> None:
    town.start()
    town.exchange.rename(town.folder / "away")
    with pytest.raises(SourceError, match=r"cannot be written .* It is written again with the next sync"):
        town.ours.create("counterparty", PARTY, counterparty())
    (town.folder / "away").rename(town.exchange)
    town.ours.create("counterparty", PARTY, counterparty())
    assert PARTY.encode() in town.message()
    assert not list(town.exchange.glob(".sverka-*"))


def test_two_processes_that_meet_the_same_message_take_it_once_without_a_word(town: Town) -> None:
    town.start()
    first, second = town.ours, town.reopen()
    for number in range(5):
        town.base.put(
            "Справочник.Склады", key(f"w{number}"), {"КлючевыеСвойства": {"Ссылка": key(f"w{number}")}}
        )
        town.run()
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit((first, second)[n % 2].exchange.take) for n in range(8)]:
                done.result()
    assert second.journal.number("received") == 6
    assert second.journal.count("warehouse") == 5
    first.close()
