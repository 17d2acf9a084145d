"""Clients in the warehouse: who is joined, who keeps an id, what is written, what a quiet sync costs; bad input."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from pipelines.identity.store import refresh_identity
from pipelines.refresh import refresh
from pipelines.table import tables
from resources.warehouse import Warehouse
from tests.identity.clients import INNS, Clients, deployed, unsound

SHARED = {"phone": "+79161234507", "email": "info@romashka.ru"}


@pytest.fixture(scope="module")
def made(server_url: str, template: str) -> Iterator[Warehouse]:
    with deployed(server_url, template) as warehouse:
        yield warehouse


@pytest.fixture
def clients(made: Warehouse) -> Iterator[Clients]:
    found = Clients(made)
    found.clear()
    yield found
    assert unsound(found) == []


def romashka(clients: Clients) -> None:
    """One client in two CRMs, by its INN; and one of another name."""
    clients.give("bitrix24:1", "ООО Ромашка", inn=INNS[0], day=1, **SHARED)
    clients.give("amocrm:1", "Ромашка", inn=INNS[0], day=2)
    clients.give("amocrm:2", "ООО Северный ветер", inn=INNS[1], day=3)
    clients.sync()


def test_records_of_one_inn_are_one_client_called_by_the_record_made_first(clients: Clients) -> None:
    romashka(clients)
    assert clients.clients() == {
        "bitrix24:1": "bitrix24:1",
        "amocrm:1": "bitrix24:1",
        "amocrm:2": "amocrm:2",
    }
    rules = {record: rule for record, _, rule, _, _ in clients.members()}
    assert rules["amocrm:1"] == "inn"
    assert rules["amocrm:2"] == "alone"


def test_an_address_a_mistyped_number_and_a_kpp_without_its_number_join_what_a_name_alone_does_not(
    clients: Clients,
) -> None:
    one = {"name": "ООО Ромашка-Урал", "day": 1}
    for what, other in (
        ({"address": "105005, г. Москва, ул. Бауманская, д. 7, оф. 2"}, {"address": "Москва, Бауманская 7"}),
        ({"inn": INNS[0], "city": "Уфа"}, {"inn": "7707083894", "city": "Уфа"}),
        ({"kpp": "773643002", "city": "Уфа"}, {"kpp": "773643002", "city": "г. Уфа"}),
    ):
        clients.clear()
        clients.give("bitrix24:1", **one)
        clients.give("amocrm:1", "Ромашка Урал", day=2)
        clients.sync()
        assert len(clients.parts()) == 2
        clients.give("bitrix24:1", **one, **what)
        clients.give("amocrm:1", "Ромашка Урал", day=2, **other)
        clients.sync()
        assert clients.parts() == {frozenset(("bitrix24:1", "amocrm:1"))}, what
        clients.give("amocrm:1", "Ромашка Урал", day=2)
        clients.sync()
        assert len(clients.parts()) == 2


def test_a_join_of_the_machine_is_a_decision_with_its_rule_and_model(clients: Clients) -> None:
    romashka(clients)
    rows = clients.warehouse.rows(
        "select left_id, right_id, verdict, decided_by, rule, model is not null, undone_at is null from ops.identity_decision"
    )
    assert rows == [("amocrm:1", "bitrix24:1", "same", "machine", "inn", True, True)]


def test_a_sync_with_nothing_new_writes_nothing_and_asks_nothing_of_the_engine(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    romashka(clients)
    logged = clients.logged()
    monkeypatch.setattr("pipelines.identity.store.take_up", None)
    monkeypatch.setattr("pipelines.identity.store.work_out", None)
    done = clients.sync()
    assert done.outcome.quiet
    assert (done.records, done.pairs, done.outcome.scopes) == (0, 0, 0)
    assert clients.logged() == logged


def test_a_change_that_compares_nothing_is_quiet(clients: Clients) -> None:
    romashka(clients)
    clients.give("amocrm:2", "ООО Северный ветер", inn=INNS[1], day=5)
    done = clients.sync()
    assert (done.records, done.pairs) == (0, 0)
    assert done.outcome.quiet


def test_an_inn_that_changes_parts_the_client_and_the_id_stays_with_its_founder(clients: Clients) -> None:
    romashka(clients)
    clients.give("amocrm:1", "Ромашка", inn=INNS[2], day=2)
    clients.sync()
    assert clients.clients()["bitrix24:1"] == "bitrix24:1"
    assert clients.clients()["amocrm:1"] == "amocrm:1"
    clients.give("amocrm:1", "Ромашка", inn=INNS[0], day=2)
    clients.sync()
    assert clients.clients()["amocrm:1"] == "bitrix24:1"
    assert ("amocrm:1", "bitrix24:1") in clients.ids()


def test_the_id_given_first_goes_on_and_comes_back_when_the_client_is_parted(clients: Clients) -> None:
    clients.give("amocrm:1", "ООО Ромашка", day=9)
    clients.sync()
    clients.give("bitrix24:1", "ООО Северный ветер", day=1)
    clients.sync()
    assert clients.same("amocrm:1", "bitrix24:1").done
    clients.sync()
    assert set(clients.clients().values()) == {"amocrm:1"}, "the record of bitrix24 is older, its id is not"
    assert clients.undo(clients.last_decision()).done
    clients.sync()
    assert clients.clients() == {"amocrm:1": "amocrm:1", "bitrix24:1": "bitrix24:1"}


@pytest.mark.parametrize("gone", ["bitrix24:1", "amocrm:1"])
def test_a_deleted_record_stays_with_its_client_and_the_client_keeps_its_id(
    clients: Clients, gone: str
) -> None:
    romashka(clients)
    clients.delete(gone)
    clients.sync()
    assert clients.clients()["amocrm:1"] == clients.clients()["bitrix24:1"] == "bitrix24:1"
    assert (
        clients.warehouse.scalar("select count(*) from ops.identity_key where client_record_id = %s", [gone])
        == 0
    )
    assert gone not in {row[0] for row in clients.pairs()} | {row[1] for row in clients.pairs()}
    clients.sync(everything=True)
    assert clients.clients()["amocrm:1"] == clients.clients()["bitrix24:1"] == "bitrix24:1"


def test_a_client_whose_records_are_all_deleted_at_once_stays_one_client(clients: Clients) -> None:
    romashka(clients)
    clients.delete("amocrm:1")
    clients.delete("bitrix24:1")
    clients.sync()
    assert clients.clients()["amocrm:1"] == clients.clients()["bitrix24:1"] == "bitrix24:1"


def test_a_record_that_comes_back_is_judged_by_what_it_says_now(clients: Clients) -> None:
    romashka(clients)
    clients.delete("amocrm:1")
    clients.sync()
    clients.give("amocrm:1", "ООО Северный ветер", inn=INNS[1], day=2)
    clients.sync()
    assert clients.clients()["amocrm:1"] == clients.clients()["amocrm:2"]
    assert clients.warehouse.scalar("select count(*) from ops.identity_kept") == 0


def test_a_record_left_out_by_a_rule_takes_no_id_with_it(clients: Clients) -> None:
    romashka(clients)
    clients.forget("bitrix24:1")
    clients.sync()
    assert clients.clients()["amocrm:1"] == "bitrix24:1"
    romashka(clients)
    assert clients.clients()["amocrm:1"] == clients.clients()["bitrix24:1"] == "bitrix24:1"


def test_a_gone_record_never_brings_two_others_together(clients: Clients) -> None:
    clients.give("bitrix24:1", "ООО Ромашка", inn=(INNS[0], INNS[1]))
    clients.give("amocrm:1", "Ромашка", inn=INNS[0], day=1)
    clients.give("amocrm:2", "Ромашка", inn=INNS[1], day=2)
    clients.sync()
    assert len(set(clients.clients().values())) == 1
    clients.delete("bitrix24:1")
    clients.sync()
    found = clients.clients()
    assert found["amocrm:1"] != found["amocrm:2"]
    assert found["bitrix24:1"] in (found["amocrm:1"], found["amocrm:2"])


def test_an_id_stays_though_the_records_say_another_day_of_their_making(clients: Clients) -> None:
    """Both ids were given in one sync: the one that goes on is told by that, not by what the records say later."""
    clients.give("bitrix24:5", "ООО Альфа", day=5)
    clients.give("amocrm:5", "ООО Бета", day=6)
    clients.sync()
    assert clients.same("bitrix24:5", "amocrm:5").done
    clients.sync()
    before = clients.clients()
    assert before["amocrm:5"] == "bitrix24:5"
    clients.give("bitrix24:5", "ООО Альфа", day=9)
    clients.sync()
    assert clients.clients() == before
    clients.forget("bitrix24:5")
    clients.sync()
    assert clients.clients()["amocrm:5"] == "bitrix24:5"


def test_no_card_without_a_name_joins_two_clients_and_a_person_is_asked(clients: Clients) -> None:
    shared: dict[str, Any] = {"phone": "+79161234501", "email": "buh@firma-x.ru"}
    clients.give("bitrix24:5", "ООО Альфа", **shared)
    clients.give("amocrm:5", "ООО Лютик", **shared)
    clients.sync()
    before = clients.clients()
    clients.give("megaplan:5", "Заявка с сайта", day=9, **shared)
    clients.sync()
    found = clients.clients()
    assert {record: found[record] for record in before} == before
    assert found["megaplan:5"] in ("bitrix24:5", "amocrm:5")
    asked = clients.warehouse.rows("select kind, left_id, right_id from marts.client_review")
    assert [row[0] for row in asked] == ["unsure"]
    assert clients.same(*asked[0][1:]).done
    clients.sync()
    said = clients.clients()
    assert said["megaplan:5"] != found["megaplan:5"], "it is of whom a person named"
    assert said["bitrix24:5"] != said["amocrm:5"]
    ((_, *other),) = clients.warehouse.rows("select kind, left_id, right_id from marts.client_review")
    assert other != list(asked[0][1:])
    assert clients.same(*other).done, "only a person joins the two"
    clients.sync()
    assert len({clients.clients()[record] for record in ("bitrix24:5", "amocrm:5", "megaplan:5")}) == 1


# ---- merges in the CRM ---------------------------------------------------------------------


def test_a_merge_in_the_crm_joins_for_certain_and_its_undoing_parts(clients: Clients) -> None:
    clients.give("bitrix24:1", "ООО Ромашка", day=1)
    clients.give("bitrix24:2", "ООО Северный ветер", inn=INNS[1], day=2)
    clients.sync()
    before = (clients.members(), clients.ids())
    clients.merge("bitrix24:2", "bitrix24:1")
    clients.sync()
    assert clients.clients()["bitrix24:2"] == "bitrix24:1"
    assert {row[2] for row in clients.members()} == {"merged_in_crm"}
    clients.merge("bitrix24:2", None)
    clients.sync()
    assert (clients.members(), clients.ids()) == before


def test_merges_carry_over_from_one_survivor_to_the_next(clients: Clients) -> None:
    for number in (1, 2, 3, 4):
        clients.give(f"bitrix24:{number}", f"ООО Дом {number}", day=number)
    clients.sync()
    clients.merge("bitrix24:4", "bitrix24:3")
    clients.merge("bitrix24:3", "bitrix24:2")
    clients.sync()
    assert clients.parts() == {
        frozenset({"bitrix24:1"}),
        frozenset({"bitrix24:2", "bitrix24:3", "bitrix24:4"}),
    }


def test_a_record_merged_into_itself_is_a_client_of_its_own(clients: Clients) -> None:
    romashka(clients)
    clients.merge("amocrm:2", "amocrm:2")
    clients.sync()
    assert clients.clients()["amocrm:2"] == "amocrm:2"


def test_merges_round_in_a_circle_are_passed_over(clients: Clients) -> None:
    romashka(clients)
    clients.give("bitrix24:5", "ООО Альфа", day=5)
    clients.give("bitrix24:6", "ООО Бета", day=6)
    clients.give("bitrix24:7", "ООО Гамма", day=7)
    clients.sync()
    clients.merge("bitrix24:5", "bitrix24:6")
    clients.merge("bitrix24:6", "bitrix24:5")
    clients.merge("bitrix24:7", "bitrix24:5")
    clients.sync()
    found = clients.clients()
    assert found["bitrix24:5"] != found["bitrix24:6"]
    assert found["bitrix24:7"] == found["bitrix24:5"], "it leads into the circle, and is not of it"


def test_records_of_a_circle_are_judged_by_themselves_and_flagged(clients: Clients) -> None:
    alpha: dict[str, Any] = {"name": "ООО Альфа", "inn": INNS[1], "kpp": "770701001"}
    clients.give("bitrix24:5", **alpha)
    clients.give("bitrix24:6", **alpha)
    clients.give("bitrix24:7", "ООО Гамма")
    clients.sync()
    clients.merge("bitrix24:5", "bitrix24:6")
    clients.merge("bitrix24:6", "bitrix24:7")
    clients.merge("bitrix24:7", "bitrix24:5")
    clients.sync()
    clients.give("amocrm:5", **alpha, day=9)
    clients.sync()
    found = clients.clients()
    assert len({found[record] for record in ("bitrix24:5", "bitrix24:6", "amocrm:5")}) == 1
    assert found["bitrix24:7"] != found["bitrix24:5"]
    with clients.warehouse.transaction() as conn:
        for table in ("core.client_field", "core.client"):
            refresh(conn, tables()[table], everything=True)
        told = conn.execute(
            "select problems from core.client where client_id = %s", [found["bitrix24:5"]]
        ).fetchone()
    assert told is not None
    assert [sentence.split(",")[0] for sentence in told[0]] == [
        "bitrix24:5 was merged into bitrix24:6 in its source",
        "bitrix24:6 was merged into bitrix24:7 in its source",
    ]
    assert "circle" in told[0][0]
    clients.merge("bitrix24:7", None)
    clients.sync()
    assert len({clients.clients()[record] for record in ("bitrix24:5", "bitrix24:6", "bitrix24:7")}) == 1


def test_a_circle_through_two_crms_ends(clients: Clients) -> None:
    romashka(clients)
    clients.give("bitrix24:2", "ООО Бета", day=6)
    clients.give("amocrm:3", "ООО Гамма", day=7)
    clients.sync()
    clients.merge("bitrix24:2", "bitrix24:1")
    clients.merge("amocrm:3", "amocrm:1")
    assert clients.same("bitrix24:2", "amocrm:3").done
    clients.sync()
    assert len({clients.clients()[r] for r in ("bitrix24:1", "bitrix24:2", "amocrm:1", "amocrm:3")}) == 1


def test_a_record_merged_into_one_that_nobody_read_stays_where_it_was(clients: Clients) -> None:
    romashka(clients)
    clients.merge("amocrm:1", "amocrm:999")
    clients.sync()
    assert clients.clients()["amocrm:1"] == "bitrix24:1"


# ---- bad input -----------------------------------------------------------------------------


def test_an_inn_with_a_wrong_checksum_joins_nobody(clients: Clients) -> None:
    clients.give("bitrix24:1", "ООО Ромашка", inn="7707083894")
    clients.give("amocrm:1", "ООО Северный ветер", inn="7707083894", day=1)
    clients.sync()
    assert len(clients.parts()) == 2


def test_one_row_of_digits_is_two_numbers_in_two_countries(clients: Clients) -> None:
    trade: dict[str, Any] = {"name": "Alpha Trade", "inn": "200988541", "phone": "+79161234501"}
    clients.give("bitrix24:5", country="BY", **trade)
    clients.give("amocrm:5", country="US", **trade)
    clients.give("amocrm:6", country="BY", **trade)
    clients.sync()
    assert clients.parts() == {frozenset({"bitrix24:5", "amocrm:6"}), frozenset({"amocrm:5"})}


def test_names_that_are_nobodys_join_nobody(clients: Clients) -> None:
    clients.give("bitrix24:1", "тест тест")
    clients.give("amocrm:1", "тест тест", day=1)
    clients.give("amocrm:2", "Тест", day=2)
    for number in (3, 4):
        clients.give(f"amocrm:{number}", "тест тест тест", day=number)
    clients.sync()
    assert len(clients.parts()) == 5
    assert clients.pairs() == []


def test_the_inn_of_somebody_elses_company_is_asked_about_and_joins_nobody(clients: Clients) -> None:
    clients.give("bitrix24:1", "ООО Ромашка", inn=INNS[0])
    clients.give("amocrm:1", "ООО Северный ветер", inn=INNS[0], day=1)
    clients.sync()
    assert len(clients.parts()) == 2
    asked = clients.warehouse.rows("select kind, left_id, right_id from marts.client_review")
    assert asked == [("number", "amocrm:1", "bitrix24:1")]


def test_one_inn_and_kpp_under_two_names_are_joined_and_flagged(clients: Clients) -> None:
    clients.give("bitrix24:1", "ООО Ромашка", inn=INNS[0], kpp="770701001")
    clients.give("amocrm:1", "ООО Северный ветер", inn=INNS[0], kpp="770701001", day=1)
    clients.sync()
    assert len(clients.parts()) == 1
    asked = clients.warehouse.rows("select kind, left_id, right_id from marts.client_review")
    assert asked == [("flagged", "amocrm:1", "bitrix24:1")]
    assert clients.different("bitrix24:1", "amocrm:1").done
    clients.sync()
    assert len(clients.parts()) == 2
    assert clients.warehouse.scalar("select count(*) from marts.client_review") == 0


def test_a_value_that_very_many_records_hold_finds_nobody(clients: Clients) -> None:
    for number in range(110):
        name = "".join(Random(number).choices("абвгдежзиклмнопрстуфхцчшэюя", k=9))
        clients.give(f"amocrm:{number}", name, phone="+79160000001")
    clients.sync()
    assert len(clients.parts()) == 110
    assert clients.pairs() == []


def test_a_client_of_very_many_records_stays_one_by_its_tax_number(clients: Clients) -> None:
    """Of more than a hundred each is compared with the first alone, whichever that is by now."""

    def give(number: int) -> None:
        clients.give(f"amocrm:{number}", "ООО Агроторг", inn=INNS[0], kpp="770701001", day=number)

    for number in range(100, 200):
        give(number)
    clients.sync()
    assert len(clients.parts()) == 1
    give(200)
    clients.sync()
    assert len(clients.parts()) == 1
    give(10)  # the first from now on
    clients.sync()
    assert len(clients.parts()) == 1
    assert set(clients.clients().values()) == {"amocrm:100"}
    clients.delete("amocrm:10")
    clients.delete("amocrm:100")
    clients.sync()
    assert len(clients.parts()) == 1
    before = (clients.members(), clients.pairs(), clients.logged())
    clients.sync(everything=True)
    assert (clients.members(), clients.pairs(), clients.logged()) == before


def test_a_record_without_anything_is_a_client_of_its_own(clients: Clients) -> None:
    clients.give("bitrix24:1")
    clients.give("bitrix24:2", day=1)
    clients.sync()
    assert len(clients.parts()) == 2


# ---- values that turn ----------------------------------------------------------------------


def test_pairs_are_scored_again_when_others_come_to_hold_their_value(clients: Clients) -> None:
    clients.give("bitrix24:1", "ООО Ромашка", phone="+79161234507", city="Казань")
    clients.give("amocrm:1", "Ромашка", phone="+79161234507", city="Казань", day=1)
    clients.sync()
    ((*_, before, _, _),) = clients.pairs()
    for number in range(2, 7):
        clients.give(f"amocrm:{number}", f"ООО Совсем другое {number}", phone="+79161234507", day=number)
    clients.sync()
    after = {(left, right): weight for left, right, _, weight, _, _ in clients.pairs()}
    assert after.get(("amocrm:1", "bitrix24:1"), -100) < before
    stored = clients.pairs()
    clients.sync(everything=True)
    assert clients.pairs() == stored


def test_another_model_scores_every_pair_anew(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    romashka(clients)
    monkeypatch.setattr("pipelines.identity.store.fingerprint_of", lambda _: "another")
    with clients.warehouse.transaction() as conn:
        refresh_identity(conn)
    assert {row[0] for row in clients.warehouse.rows("select model from ops.identity_pair")} == {"another"}
    assert clients.clients()["amocrm:1"] == "bitrix24:1"
