"""A client that a CRM holds twice: its manager gets one task about the newer record, linked to it; and no second one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from pipelines.feedback import write
from pipelines.feedback.write import write_back
from pipelines.operations.carried import Carried
from pipelines.refresh import refresh
from pipelines.sync import Road
from pipelines.table import tables
from resources.warehouse import Warehouse
from tests.crms.bitrix24_people import listed
from tests.crms.stand_in import StandIn, lasting_road, vendors
from tests.sandbox_process import Running, running

TODAY = date(2026, 11, 20)
CRMS = sorted([*vendors(), "bitrix24"])
TABLE = "feedback.duplicate"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with running("--deals", "12", "--no-limits") as process:
        yield process


@dataclass
class Crm:
    """One CRM on the road. `older`, `newer`, `third`: ids of three of its companies, `employee`: of somebody who works there."""

    name: str
    sandbox: Running
    road: Road
    warehouse: Warehouse
    older: str
    newer: str
    third: str
    employee: str

    def record(self, number: str, day: int, client: str, rule: str, merged_into: str | None = None) -> None:
        """A record of the CRM that is one of a client's, as identity says."""
        self.warehouse.execute(
            "insert into core.client_record (client_record_id, source, source_id, name, employee_id, created_at, is_deleted,"
            " merged_into, problems) values (%s, %s, %s, %s, %s, %s, false, %s, '{}')"
            " on conflict (client_record_id) do update set merged_into = excluded.merged_into",
            [f"{self.name}:{number}", self.name, number, f"Ромашка {day}", f"{self.name}:{self.employee}",
             date(2026, 1, day), merged_into],
        )  # fmt: skip
        self.warehouse.execute(
            "insert into core.client_member (client_record_id, client_id, rule, joined_by) values (%s, %s, %s, %s)"
            " on conflict (client_record_id) do update set client_id = excluded.client_id, rule = excluded.rule,"
            " joined_by = excluded.joined_by",
            [
                f"{self.name}:{number}",
                f"{self.name}:{client}",
                rule,
                None if client == number else f"{self.name}:{client}",
            ],
        )
        for table in ("core.client_record", "core.client_member"):
            self.warehouse.execute(
                "insert into ops.change_log (table_name, key) values (%s, %s)",
                [table, f"{self.name}:{number}"],
            )

    def refresh(self) -> list[tuple[str, str, str]]:
        """Bring the table up to date with what changed; its rows."""
        with self.warehouse.transaction() as conn:
            refresh(conn, tables()[TABLE])
        return self.warehouse.rows(f"select source_id, older_id, rule from {TABLE} order by source_id")

    def twice(self) -> None:
        self.record(self.older, 1, self.older, "alone")
        self.record(self.newer, 2, self.older, "inn_kpp")
        self.refresh()

    def sync(self) -> str:
        (said,) = write_back(self.road, TODAY)
        return said

    def tasks(self, number: str) -> list[str]:
        """Who got a task about the company: read without our connector."""
        if self.name == "bitrix24":
            rows = listed(
                self.sandbox, "tasks.task.list", "tasks", select=["ID", "UF_CRM_TASK", "RESPONSIBLE_ID"]
            )
            return [row["responsibleId"] for row in rows if row["ufCrmTask"] == [f"CO_{number}"]]
        said = StandIn(self.name, self.sandbox.address, self.sandbox.http).truth()
        clients = {"amocrm": "entity_id"}.get(self.name, "client")
        return [
            str(task["employee"]) for task in said.of("task").values()
            if str(task.get(clients)) == number and task["deal"] is None
        ]  # fmt: skip

    def states(self) -> list[str]:
        return [
            state
            for (state,) in self.warehouse.rows(
                "select state from ops.operation where kind = 'task' order by key"
            )
        ]


@contextlib.contextmanager
def connected(
    name: str,
    sandbox: Running,
    warehouse: Warehouse,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: int = 0,
) -> Iterator[Crm]:
    if name == "bitrix24":
        rows = listed(sandbox, "crm.item.list", "items", entityTypeId=4, select=["id"])
        companies, employee = sorted((str(row["id"]) for row in rows), key=int), "1"
    else:
        truth = StandIn(name, sandbox.address, sandbox.http).truth()
        companies = sorted(truth.of("client"))
        employee = next(key for key, one in sorted(truth.of("employee").items()) if one["active"])
    older, newer, third = companies[place * 3 : place * 3 + 3]
    with lasting_road(name, sandbox, warehouse, folder, monkeypatch) as road:
        yield Crm(name, sandbox, road, warehouse, older, newer, third, employee)


@pytest.mark.parametrize("name", CRMS)
def test_the_manager_of_the_newer_record_gets_one_task_and_a_second_sync_is_quiet(
    name: str, sandbox: Running, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(name, sandbox, warehouse, tmp_path, monkeypatch) as crm:
        crm.twice()
        assert crm.sync() == f"{name}: 1 planned, 1 written back"
        assert crm.states() == ["verified"]
        assert crm.tasks(crm.newer) == [crm.employee]
        assert crm.tasks(crm.older) == []
        assert crm.sync() == f"{name}: 0 planned, 0 written back"
        warehouse.execute(f"update {TABLE} set name = 'Ромашка и партнёры'")
        assert crm.sync() == f"{name}: 0 planned, 0 written back", "once, whatever becomes of its words"
        assert crm.tasks(crm.newer) == [crm.employee]


def test_what_was_separated_or_merged_before_it_was_sent_makes_no_task_and_one_that_is_double_again_does(
    sandbox: Running, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected("bitrix24", sandbox, warehouse, tmp_path, monkeypatch, place=1) as crm:
        crm.record(crm.third, 3, crm.older, "score")
        crm.twice()
        assert crm.refresh() == sorted([
            (crm.newer, crm.older, "the same tax number and branch"),
            (crm.third, crm.older, "name and contacts agree"),
        ])  # fmt: skip
        with monkeypatch.context() as stopped:
            stopped.setattr(write, "carry", lambda *_, **__: Carried())
            crm.sync()
        assert crm.states() == ["approved", "approved"]
        crm.record(crm.newer, 2, crm.newer, "alone")  # a person says that they are two clients
        crm.record(crm.third, 3, crm.older, "merged_in_crm", merged_into=f"bitrix24:{crm.older}")
        assert crm.refresh() == []
        assert crm.sync() == "bitrix24: 0 planned, 0 written back"
        assert crm.states() == ["superseded", "superseded"]
        assert crm.tasks(crm.newer) == crm.tasks(crm.third) == []

        crm.record(crm.newer, 2, crm.older, "person")
        assert crm.refresh() == [(crm.newer, crm.older, "somebody said that they are one client")]
        assert crm.sync() == "bitrix24: 0 planned, 1 written back"
        assert crm.tasks(crm.newer) == [crm.employee]


def test_many_duplicates_of_a_crm_are_told_day_by_day(
    sandbox: Running, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "DUPLICATES_A_DAY", 1)
    with connected("bitrix24", sandbox, warehouse, tmp_path, monkeypatch, place=2) as crm:
        crm.twice()
        crm.record(crm.third, 3, crm.older, "inn")
        crm.refresh()
        assert crm.sync() == "bitrix24: 1 planned, 1 written back"
        assert (crm.tasks(crm.third), crm.tasks(crm.newer)) == ([crm.employee], []), "the newest first"
        assert crm.sync() == "bitrix24: 0 planned, 0 written back"
        with warehouse.transaction() as conn:
            conn.execute("set local session_replication_role = replica")
            conn.execute("update ops.operation set planned_at = planned_at - interval '25 hours'")
        assert crm.sync() == "bitrix24: 1 planned, 1 written back"
        assert crm.tasks(crm.newer) == [crm.employee]


def test_the_table_built_from_nothing_is_what_changes_made_of_it(
    sandbox: Running, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected("bitrix24", sandbox, warehouse, tmp_path, monkeypatch, place=3) as crm:
        crm.twice()
        crm.record(crm.third, 3, crm.older, "inn")
        crm.refresh()
        warehouse.execute("update core.client_record set is_deleted = true where source_id = %s", [crm.older])
        warehouse.execute(
            "insert into ops.change_log (table_name, key) values ('core.client_record', %s)",
            [f"bitrix24:{crm.older}"],
        )
        changed = crm.refresh()
        assert changed == [
            (crm.third, crm.newer, "other records of the client lead from one to the other")
        ], "what joined it to the oldest says nothing of these two"
        with warehouse.transaction() as conn:
            refresh(conn, tables()[TABLE], everything=True)
        assert crm.refresh() == changed
