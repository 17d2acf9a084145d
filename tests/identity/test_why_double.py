"""Why two records of one CRM are taken for one client: the rule of these two, not of others that they hang together with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.identity import store
from pipelines.refresh import refresh
from pipelines.table import tables
from resources.warehouse import Warehouse
from tests.identity.clients import INNS, Clients, deployed

TABLE = "feedback.duplicate"


@pytest.fixture(scope="module")
def made(server_url: str, template: str) -> Iterator[Warehouse]:
    with deployed(server_url, template) as warehouse:
        yield warehouse


@pytest.fixture
def clients(made: Warehouse) -> Clients:
    found = Clients(made)
    found.clear()
    made.execute(f"truncate {TABLE}")
    return found


def double(clients: Clients) -> dict[str, tuple[str, str]]:
    """By the newer record: the older one and why; the increment, which a build from nothing must equal."""
    found = []
    for everything in (False, True):
        with clients.warehouse.transaction() as conn:
            refresh(conn, tables()[TABLE], everything=everything)
        rows = clients.warehouse.rows(f"select duplicate_id, older_id, rule from {TABLE}")
        found.append({newer: (older, rule) for newer, older, rule in rows})
    assert found[0] == found[1]
    return found[0]


def test_the_rule_is_that_of_the_two_and_not_of_a_third_record(clients: Clients) -> None:
    clients.give("bitrix24:1", "ООО Ромашка", inn=INNS[0], city="Казань", phone="+79161234507")
    clients.give("bitrix24:2", "Ромашка", city="Казань", phone="+79161234507", day=1)
    clients.give("amocrm:7", "ООО Ромашка", inn=INNS[0], kpp="770701001", day=2)
    clients.sync()
    assert double(clients) == {"bitrix24:2": ("1", "name and contacts agree")}
    clients.give("bitrix24:2", "Ромашка", inn=INNS[0], city="Казань", phone="+79161234507", day=1)
    clients.sync()
    assert double(clients) == {"bitrix24:2": ("1", "the same tax number")}
    assert clients.same("bitrix24:1", "bitrix24:2").done
    clients.sync()
    assert double(clients) == {"bitrix24:2": ("1", "somebody said that they are one client")}


def test_the_survivor_of_a_merge_is_told_of_by_what_joins_it_to_the_other(clients: Clients) -> None:
    clients.give("bitrix24:1", "ООО Ромашка", inn=INNS[0], kpp="770701001")
    clients.give("bitrix24:2", "ООО Ромашка", inn=INNS[0], kpp="770701001", day=1)
    clients.give("bitrix24:3", "Ромашка старая", day=2, merged_into="bitrix24:2", deleted=True)
    clients.sync()
    rules = dict(clients.warehouse.rows("select client_record_id, rule from core.client_member"))
    assert rules["bitrix24:2"] == "merged_in_crm"
    assert double(clients) == {"bitrix24:2": ("1", "the same tax number and branch")}


def test_a_merge_between_them_is_told_where_nothing_else_joins_the_two(clients: Clients) -> None:
    clients.give("bitrix24:1", "ООО Ромашка", inn=INNS[0])
    clients.give("bitrix24:2", "Совсем другое", day=1)
    clients.give("bitrix24:3", "Ромашка старая", day=2, merged_into="bitrix24:2", deleted=True)
    assert clients.same("bitrix24:1", "bitrix24:3").done
    clients.sync()
    older, rule = double(clients)["bitrix24:2"]
    assert older == "1"
    assert rule == "a record that the CRM merged into one of the two is of the other's client"


def test_whatever_makes_pairs_clients_or_ids_is_part_of_the_fingerprint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = Path(store.__file__).parent
    before = store.fingerprint_of.__wrapped__("clients")
    for maker in ("model", "cluster", "membership", "ids", "rules"):
        for file in folder.glob("*.py"):
            text = file.read_text(encoding="utf-8")
            (tmp_path / file.name).write_text(
                text + ("\n# changed\n" if file.stem == maker else ""), encoding="utf-8"
            )
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(store, "__file__", str(tmp_path / "store.py"))
            assert store.fingerprint_of.__wrapped__("clients") != before, maker


def test_the_analyst_reads_what_joined_a_client_and_who_decided_it(clients: Clients) -> None:
    clients.give("bitrix24:1", "ООО Ромашка")
    clients.give("bitrix24:2", "Совсем другое", day=1)
    assert clients.same("bitrix24:1", "bitrix24:2", by="Вера").done
    first = clients.last_decision()
    clients.sync()
    clients.warehouse.execute(
        "do $$ begin if to_regrole('analyst') is null then create role analyst nologin; end if; end $$"
    )
    for statement in ("usage on schema marts", "select on all tables in schema marts"):
        clients.warehouse.execute(
            f"grant {statement} to analyst"
        )  # what a deployment grants, and nothing of ops
    with clients.warehouse.transaction() as conn:
        conn.execute("set local role analyst")
        joined = conn.execute(
            "select client_record_id, rule, decided_by, reason from marts.client_join where client_id = 'bitrix24:1' order by 1"
        ).fetchall()
        decided = conn.execute(
            "select decision_id, verdict, decided_by, is_standing, undone_by from marts.client_decision"
        ).fetchall()
    assert joined == [
        ("bitrix24:1", "person", "Вера", "звонила обоим"),
        ("bitrix24:2", "person", "Вера", "звонила обоим"),
    ]
    assert decided == [(first, "same", "Вера", True, None)]
    clients.undo(first)
    assert clients.warehouse.rows("select is_standing, undone_by from marts.client_decision") == [
        (False, "Борис")
    ]
