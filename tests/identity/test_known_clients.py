"""Whom records were taken for, what clients were called and by whom they signed, as it was known at a past moment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mappings import Mappings
from pipelines.deploy import deploy
from pipelines.refresh import refresh
from pipelines.table import tables
from resources.warehouse import Warehouse
from tests.identity.clients import INNS, Clients, deployed

MADE = (
    "core.requisite_counterparty", "core.counterparty", "core.client_field", "core.client", "core.client_counterparty",
)  # fmt: skip
VERSIONS = "select count(*) from ops.row_version"


@pytest.fixture
def made(server_url: str, template: str) -> Iterator[Warehouse]:
    with deployed(server_url, template) as warehouse:
        yield warehouse


@pytest.fixture
def clients(made: Warehouse) -> Clients:
    found = Clients(made)
    found.give("bitrix24:1", "ООО Ромашка", inn=INNS[0], day=1)
    found.give("amocrm:1", "ООО Северный ветер", inn=INNS[1], day=2)
    return found


def sync(clients: Clients, *, everything: bool = False) -> datetime:
    """Work everything out; a moment by which that is known."""
    clients.sync(everything=everything)
    with clients.warehouse.transaction() as conn:
        conn.execute("insert into ops.change_log (table_name, key) values ('core.requisite', '*')")
        for name in MADE:
            refresh(conn, tables()[name], everything=everything)
    moment: datetime = clients.warehouse.scalar("select clock_timestamp()")
    return moment


def known(clients: Clients, at: datetime | str) -> dict[str, list[Any]]:
    asked = {
        "member": "select client_record_id, client_id from core.client_member_as_known(%s) order by 1",
        "client": "select client_id, name, records from core.client_as_known(%s) order by 1",
        "signs": "select client_id, counterparty_id from core.client_counterparty_as_known(%s) order by 1, 2",
        "name": "select value, client_record_id from core.client_field_as_known(%s) where field = 'name' order by 1",
        "party": "select counterparty_id, tax_number from core.counterparty_as_known(%s) order by 1",
        "details": "select requisite_id, counterparty_id from core.requisite_counterparty_as_known(%s) order by 1",
    }
    return {name: clients.warehouse.rows(query, [at]) for name, query in asked.items()}


def test_what_was_known_of_clients_stays_whatever_is_joined_and_parted_later(clients: Clients) -> None:
    apart = sync(clients)
    before = known(clients, "infinity")
    assert before["client"] == [("amocrm:1", "Северный ветер ООО", 1), ("bitrix24:1", "Ромашка ООО", 1)]
    assert clients.warehouse.scalar(VERSIONS) == 0, "a first load keeps nothing"
    assert clients.same("bitrix24:1", "amocrm:1").done
    joined = sync(clients)
    together = known(clients, "infinity")
    assert [row[:1] + row[2:] for row in together["client"]] == [("bitrix24:1", 2)]
    assert together["signs"] == [("bitrix24:1", f"RU:{number}") for number in sorted(INNS[:2])]
    assert clients.undo(clients.last_decision()).done
    parted = sync(clients)
    clients.give("amocrm:1", "ООО Северный ветер", inn=INNS[2], day=2)
    clients.delete("bitrix24:1")
    sync(clients)
    assert known(clients, apart) == before
    assert known(clients, joined) == together
    assert known(clients, parted) == before
    assert known(clients, "infinity")["party"] == [(f"RU:{n}", n) for n in sorted((INNS[0], INNS[2]))]


def test_a_rebuild_of_clients_keeps_no_versions(clients: Clients) -> None:
    sync(clients)
    clients.same("bitrix24:1", "amocrm:1")
    sync(clients)
    kept = clients.warehouse.scalar(VERSIONS)
    assert kept > 0
    sync(clients, everything=True)
    assert clients.warehouse.scalar(VERSIONS) == kept


def test_a_record_that_goes_while_the_table_of_members_is_made_anew_stays_with_its_client(
    clients: Clients,
) -> None:
    clients.give("amocrm:1", "Ромашка", inn=INNS[0], day=2)
    sync(clients)
    assert clients.clients()["amocrm:1"] == "bitrix24:1"
    warehouse = clients.warehouse
    warehouse.execute("alter table core.client_member drop column known_from cascade")
    warehouse.execute(
        "update ops.table_version set fingerprint = 'older/x' where table_name = 'core.client_member'"
    )
    clients.delete("amocrm:1")
    assert "core.client_member" in deploy(warehouse, Mappings(Path(), (), ""))
    assert warehouse.rows("select count(*), count(known_from) from core.client_member") == [(2, 2)]
    sync(clients)
    assert clients.clients() == {"amocrm:1": "bitrix24:1", "bitrix24:1": "bitrix24:1"}
