"""The queue of questions, what people decide, contradictions, and what the command says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from pipelines import cli
from pipelines.commands import review as command
from pipelines.commands import show
from pipelines.identity.decisions import decide
from pipelines.identity.model import load
from pipelines.identity.review import compared, explain, questions
from pipelines.identity.review_words import LABELS_RU, WORDS
from pipelines.processes import ProcessError
from resources.warehouse import Warehouse
from tests.identity.clients import INNS, Clients, deployed

Say = Callable[..., Result]
BY = ("--by", "Анна", "--reason", "звонила")


@pytest.fixture(scope="module")
def made(server_url: str, template: str) -> Iterator[Warehouse]:
    with deployed(server_url, template) as warehouse:
        yield warehouse


@pytest.fixture
def clients(made: Warehouse) -> Clients:
    """Two records of one INN and KPP under names that have nothing in common, and three that nothing joins."""
    found = Clients(made)
    found.clear()
    found.give("bitrix24:1", "ООО Ромашка", inn=INNS[0], kpp="770701001", phone="+79161234507", city="Казань")
    found.give(
        "amocrm:1",
        "ООО Северный ветер",
        inn=INNS[0],
        kpp="770701001",
        city="Казань",
        address="ул. Мира, 5",
        day=1,
    )
    for number in (2, 3, 4):
        found.give(f"amocrm:{number}", f"ООО Дом {number}", inn=INNS[1] if number == 2 else (), day=number)
    found.sync()
    return found


@pytest.fixture
def say(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Runs `sverka review ...` over these clients."""

    @contextmanager
    def road() -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(warehouse=clients.warehouse)

    def run(*words: str) -> Result:
        return CliRunner().invoke(cli.app, ["review", *words])

    console = Console(width=200, highlight=False, no_color=True)
    for module in (command, show):
        monkeypatch.setattr(module, "CONSOLE", console)
    monkeypatch.setattr(command, "road", road)
    return run


# ---- decisions -----------------------------------------------------------------------------


def test_what_was_decided_is_asked_no_more(clients: Clients) -> None:
    with clients.warehouse.transaction() as conn:
        assert [row["question"] for row in questions(conn)] == ["amocrm:1 bitrix24:1"]
    assert clients.same("amocrm:1", "bitrix24:1").done
    with clients.warehouse.transaction() as conn:
        assert questions(conn) == []
    assert clients.undo(clients.last_decision()).done
    with clients.warehouse.transaction() as conn:
        assert len(questions(conn)) == 1


def test_a_question_carries_both_sides_and_what_hangs_on_them(clients: Clients) -> None:
    with clients.warehouse.transaction() as conn:
        for number, amount in ((1, 1000), (2, 500)):
            conn.execute(
                "insert into core.deal (deal_id, source, source_id, client_record_id, amount, currency, is_deleted, problems)"
                " values (%s, 'amocrm', %s, 'amocrm:1', %s, 'RUB', false, '{}')",
                [f"amocrm:d{number}", f"d{number}", amount],
            )
        (row,) = questions(conn)
        found = explain(conn, "bitrix24:1", "amocrm:1")
    assert row["kind"] == "flagged"
    assert row["left_name"] == "Северный ветер ООО"
    assert (row["left_address"], row["right_address"]) == ("ул. Мира, 5", None)
    assert row["left_tax_numbers"] == row["right_tax_numbers"] == [INNS[0]]
    assert row["left_deals"] == 2
    assert "tax_number" in row["agrees"]
    assert "name" in row["differs"]
    assert found is not None
    assert found.is_one
    assert (found.left.stake.deals, found.left.own.deals, found.right.own.deals) == (2, 2, 0)
    assert {c: str(a) for c, a in found.left.stake.amounts.items()} == {"RUB": "1500.00"}
    marks = {name: mark for name, _, _, mark in compared(found.left, found.right)}
    assert (marks["name"], marks["tax_numbers"], marks["city"], marks["phones"]) == ("≠", "=", "=", "")
    assert found.weight is not None
    assert found.weight == pytest.approx(found.prior + sum(bar.weight for bar in found.bars), abs=0.1)


def test_different_parts_what_the_machine_joined(clients: Clients) -> None:
    assert clients.different("amocrm:1", "bitrix24:1").done
    clients.sync()
    assert clients.clients()["amocrm:1"] != clients.clients()["bitrix24:1"]


def test_same_of_two_inns_is_for_people_and_says_so(clients: Clients) -> None:
    told = clients.same("amocrm:2", "bitrix24:1")
    assert told.done
    assert INNS[0] in told.sentence
    assert INNS[1] in told.sentence
    clients.sync()
    assert clients.clients()["amocrm:2"] == clients.clients()["bitrix24:1"]


def test_a_contradiction_is_refused_and_names_the_decisions(clients: Clients) -> None:
    assert clients.same("amocrm:2", "amocrm:3").done
    assert clients.same("amocrm:3", "amocrm:4").done
    told = clients.different("amocrm:2", "amocrm:4")
    assert not told.done
    assert re.search(
        r"amocrm:2 = amocrm:3 \(decision \d+\), amocrm:3 = amocrm:4 \(decision \d+\)", told.sentence
    )


def test_same_is_refused_where_what_hangs_together_was_said_to_be_different(clients: Clients) -> None:
    assert clients.same("amocrm:2", "amocrm:3").done
    assert clients.different("amocrm:3", "amocrm:4", by="Борис").done
    told = clients.same("amocrm:2", "amocrm:4")
    assert not told.done
    assert "Борис" in told.sentence
    assert "amocrm:2 = amocrm:3" in told.sentence


def test_what_a_crm_merged_cannot_be_said_to_be_different(clients: Clients) -> None:
    clients.merge("amocrm:3", "amocrm:2")
    told = clients.different("amocrm:2", "amocrm:3")
    assert not told.done
    assert "merged in its CRM" in told.sentence


def test_a_newer_decision_of_a_pair_takes_the_older_ones_place_until_it_is_undone(clients: Clients) -> None:
    clients.same("amocrm:2", "amocrm:3")
    told = clients.different("amocrm:2", "amocrm:3", by="Борис")
    assert told.done
    assert "takes the place" in told.sentence
    clients.sync()
    assert clients.clients()["amocrm:2"] != clients.clients()["amocrm:3"]
    told = clients.undo(clients.last_decision())
    assert "What holds of them again: one client" in told.sentence
    clients.sync()
    assert clients.clients()["amocrm:2"] == clients.clients()["amocrm:3"]


def test_undoing_is_refused_where_what_would_hold_again_contradicts_what_was_decided_since(
    clients: Clients,
) -> None:
    assert clients.same("amocrm:2", "amocrm:3").done
    assert clients.different("amocrm:2", "amocrm:3").done
    parted = clients.last_decision()
    assert clients.different("amocrm:2", "amocrm:4").done
    assert clients.same("amocrm:3", "amocrm:4").done
    joined = clients.last_decision()
    told = clients.undo(parted)
    assert not told.done
    assert "would hold again (amocrm:2 and amocrm:3 are one client" in told.sentence
    assert clients.undo(joined).done
    assert clients.undo(parted).done
    clients.sync()
    assert clients.clients()["amocrm:2"] == clients.clients()["amocrm:3"]


def test_merges_that_are_not_followed_bind_no_decision(clients: Clients) -> None:
    clients.merge("amocrm:3", "amocrm:4")
    clients.merge("amocrm:4", "amocrm:3")  # round in a circle
    assert clients.different("amocrm:3", "amocrm:4").done
    clients.merge("amocrm:4", None)  # and said to be different before it was merged
    assert clients.same("amocrm:2", "amocrm:3").done
    assert clients.different("amocrm:2", "amocrm:4").done


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("amocrm:2", "amocrm:2", "is one record"),
        ("amocrm:2", "amocrm:77", "no record of a client is called amocrm:77"),
    ],
)
def test_what_makes_no_pair_is_refused(clients: Clients, one: str, other: str, words: str) -> None:
    told = clients.same(one, other)
    assert not told.done
    assert words in told.sentence


def test_nobody_decides_under_the_name_of_the_machine(clients: Clients) -> None:
    """It would be taken for the machine's own, which the next sync takes back."""
    told = clients.same("amocrm:2", "amocrm:3", by=" Machine ")
    assert not told.done
    assert "name of the person" in told.sentence


def test_the_same_decision_twice_is_refused(clients: Clients) -> None:
    clients.same("amocrm:2", "amocrm:3")
    told = clients.same("amocrm:3", "amocrm:2", by="Борис")
    assert not told.done
    assert "Анна decided so before" in told.sentence


@pytest.mark.parametrize("number", ["", "x", "²", "999", "9" * 30])
def test_undoing_what_is_no_decision_is_a_sentence(clients: Clients, number: str) -> None:
    from pipelines.identity.decisions import undo

    with clients.warehouse.transaction() as conn:
        assert not undo(conn, number, "Анна", "ошибка").done


def test_a_decision_is_undone_once_and_never_the_machines(clients: Clients) -> None:
    clients.same("amocrm:2", "amocrm:3")
    number = clients.last_decision()
    assert clients.undo(number).done
    assert "was undone before" in clients.undo(number).sentence
    machines = int(
        clients.warehouse.scalar(
            "select min(decision_id) from ops.identity_decision where decided_by = 'machine'"
        )
    )
    assert "sverka review different" in clients.undo(machines).sentence


def test_decisions_are_neither_deleted_nor_rewritten(clients: Clients) -> None:
    clients.same("amocrm:2", "amocrm:3")
    for statement in (
        "delete from ops.identity_decision",
        "update ops.identity_decision set verdict = 'different'",
    ):
        with pytest.raises(Exception, match=r"append-only|kept as it was made"):
            clients.warehouse.execute(statement)


def test_every_sentence_is_there_in_russian(clients: Clients) -> None:
    with clients.warehouse.transaction() as conn:
        told = decide(conn, "amocrm:2", "bitrix24:1", "same", "Анна", "звонила", "ru")
        assert "один клиент" in told.sentence
        assert "ИНН различаются" in told.sentence
        again = decide(conn, "amocrm:2", "bitrix24:1", "same", "Анна", "звонила", "ru")
        assert "так уже решено" in again.sentence


def test_every_comparison_and_level_of_the_model_has_a_russian_word() -> None:
    comparisons = load("clients").comparisons
    assert [c.name for c in comparisons if c.name not in WORDS] == []
    assert [level.label for c in comparisons for level in c.levels if level.label not in LABELS_RU] == []


# ---- the command ---------------------------------------------------------------------------


def test_the_list_names_both_records_and_what_speaks_for_and_against(say: Say) -> None:
    said = say("list")
    assert said.exit_code == 0
    assert "amocrm:1" in said.stdout
    assert "bitrix24:1" in said.stdout
    assert "tax number" in said.stdout
    assert "ИНН" in say("list", "--language", "ru").stdout


def test_a_list_that_is_cut_says_how_many_there_are(say: Say, clients: Clients) -> None:
    for number in (2, 3, 4):
        assert clients.different("bitrix24:1", f"amocrm:{number}").done
    said = say("list", "--decided", "--limit", "2").stdout
    assert "Decisions: 3" in said
    assert "… and 1 more: sverka review list --limit NUMBER" in said
    assert "… и ещё 2" in say("list", "--decided", "--limit", "1", "--language", "ru").stdout
    assert "more" not in say("list", "--decided", "--limit", "3").stdout
    clients.give("dynamics:1", "ООО Южный ветер", inn=INNS[0], city="Омск", day=9)
    clients.sync()
    waits = clients.warehouse.scalar("select count(*) from marts.client_review")
    assert waits > 1
    assert f"… and {waits - 1} more" in say("list", "--limit", "1").stdout


def test_show_puts_both_records_side_by_side_and_explains_the_score(say: Say) -> None:
    said = say("show", "bitrix24:1", "amocrm:1")
    assert said.exit_code == 0
    for words in (
        "Side by side",
        "Ромашка ООО",
        "Северный ветер ООО",
        "ул. Мира, 5",
        "one number",
        "█",
        "in all",
        "They are one client now",
    ):
        assert words in said.stdout
    russian = say("show", "bitrix24:1", "amocrm:1", "--language", "ru").stdout
    assert "Рядом" in russian
    assert "один ИНН" in russian


def test_a_pair_that_nothing_leads_to_is_shown_too(say: Say) -> None:
    said = say("show", "amocrm:2", "bitrix24:1")
    assert said.exit_code == 0
    assert "their tax numbers differ" in said.stdout
    assert "They are two clients now" in said.stdout


def test_unknown_records_are_a_sentence(say: Say) -> None:
    said = say("show", "amocrm:2", "nothing")
    assert said.exit_code == 1
    assert "no record of a client" in said.stdout


@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_the_picture_is_drawn_into_a_file(say: Say, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"why.{suffix}"
    assert say("show", "bitrix24:1", "amocrm:1", "--picture", str(path)).exit_code == 0
    text = path.read_text()
    drawn = text[text.index("<svg") : text.index("</svg>") + 6]
    assert sum(1 for element in ElementTree.fromstring(drawn).iter() if element.tag.endswith("rect")) > 2
    assert say("show", "bitrix24:1", "amocrm:1", "--picture", str(tmp_path / "why.bmp")).exit_code == 2
    nowhere = say("show", "bitrix24:1", "amocrm:1", "--picture", str(tmp_path / "no folder" / path.name))
    assert isinstance(nowhere.exception, ProcessError)
    assert "name another file with --picture" in str(nowhere.exception)


def test_deciding_and_undoing_by_the_command(say: Say, clients: Clients) -> None:
    assert say("same", "amocrm:2", "amocrm:3", *BY).exit_code == 0
    assert say("different", "amocrm:2", "amocrm:3", "--by", " ", "--reason", "x").exit_code == 2
    decided = say("list", "--decided")
    assert "Анна" in decided.stdout
    assert say("undo", str(clients.last_decision()), *BY).exit_code == 0
    assert say("undo", "12345", *BY).exit_code == 1
    assert "Анна" in say("list", "--decided", "--language", "ru").stdout
