"""What starts runs: a change and nothing else; and people are told when a run fails."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import httpx
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from pipelines import runs, sync
from pipelines.company import company_mappings
from pipelines.operations.waiting import waiting
from pipelines.processes import free_port
from pipelines.sensors import (
    AGAIN,
    NOTHING,
    SYNC,
    _tell_deployed,
    change_sensor,
    due_again,
    waiting_sensor,
)
from resources.warehouse import Warehouse
from tests.conftest import _database
from tests.whole_road import SALES, Company, company, environment

WAITING = "operations_waiting"


@dataclass(frozen=True)
class Watched:
    """A company that was carried once, and the Dagster instance that watches it."""

    company: Company
    instance: dg.DagsterInstance

    def look(self, system: str, cursor: str | None = None) -> SensorExecutionData:
        """What the sensor of a system says now; `WAITING` is the one that looks at what waits to be carried."""
        mappings = company_mappings()
        sensor = waiting_sensor(mappings) if system == WAITING else change_sensor(mappings.system(system))
        with dg.build_sensor_context(instance=self.instance, cursor=cursor) as context:
            return sensor.evaluate_tick(context)

    def requests(self, system: str) -> int:
        """How many runs it asks for; 0 comes with a reason."""
        found = self.look(system)
        requests = len(found.run_requests or [])
        assert requests or found.skip_message, "a quiet sensor says why"
        return requests


@pytest.fixture(scope="module")
def watched(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    import psycopg

    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE sensors TEMPLATE {template}")
    warehouse = Warehouse(_database(server_url, "sensors"))
    folder = tmp_path_factory.mktemp("sensors")
    with (
        environment({"SVERKA_DATABASE_URL": warehouse.url, "SVERKA_HOME": str(folder / "home")}),
        warehouse.kept(),
        company(warehouse, folder, "--deals", "60", "--no-limits") as found,
        dg.DagsterInstance.local_temp(str(folder)) as instance,
    ):
        before = Watched(found, instance)
        assert [before.requests(name) for name in ("bitrix24", "branch", "onec")] == [1, 1, 1], "never read"
        assert found.sync().carried.written
        yield before


def edit(watched: Watched, title: str) -> str:
    """Rename a deal in the portal; its id."""
    deal = watched.company.warehouse.scalar(
        "select source_id from core.deal where source = 'bitrix24' order by source_id limit 1"
    )
    watched.company.sandbox.call("crm.item.update", entityTypeId=2, id=int(deal), fields={"title": title})
    return str(deal)


def quiet(watched: Watched) -> bool:
    return [watched.requests(name) for name in ("bitrix24", "branch", "onec", WAITING)] == [0, 0, 0, 0]


def test_after_our_own_documents_and_write_back_no_sensor_asks_for_a_run(watched: Watched) -> None:
    assert watched.company.warehouse.scalar("select count(*) from ops.operation where target = 'bitrix24'")
    assert quiet(watched)
    skipped = watched.look("bitrix24")
    assert skipped.skip_message == "nothing changed in Bitrix24 of the sales department"


def test_a_sensor_names_what_it_deployed(watched: Watched) -> None:
    watched.company.warehouse.execute(
        "update ops.table_version set fingerprint = 'old/old' where table_name = 'marts.operation'"
    )
    said: list[str] = []
    context: Any = SimpleNamespace(log=SimpleNamespace(info=lambda text, *values: said.append(text % values)))
    road = sync.Road.from_environment()
    try:
        for _ in range(2):
            _tell_deployed(context, sync.prepare(road), road.mappings)
    finally:
        road.close()
    (once,) = said
    assert "in force from now on: marts.operation" in once
    assert road.mappings.fingerprint in once


def test_an_edit_in_the_portal_asks_for_one_run_of_the_sync_job(watched: Watched) -> None:
    deal = watched.company.warehouse.scalar(
        "select source_id from core.deal where source = 'bitrix24' limit 1"
    )
    change = {"title": "Renamed by a manager"}
    watched.company.sandbox.call("crm.item.update", entityTypeId=2, id=int(deal), fields=change)
    found = watched.look("bitrix24")
    assert found.run_requests is not None
    (request,) = found.run_requests
    assert request.job_name in (None, SYNC)
    assert request.tags["sverka/why"] == "1 changed in bitrix24"
    assert watched.requests("branch") == watched.requests("onec") == 0
    watched.company.sync()
    assert quiet(watched)


def test_an_edit_by_the_accountant_asks_for_one_run(watched: Watched) -> None:
    town = watched.company
    onec = town.sandbox.info["onec"]
    # Older than the connector's window, it would be the nightly reconciliation that sees it.
    document = max(town.documents("invoice"), key=lambda row: row["Date"])
    answer = httpx.patch(
        f"{onec['odata']}{SALES['invoice']}(guid'{document['Ref_Key']}')",
        params={"$format": "json"},
        json={"СрокОплаты": "2027-01-15T00:00:00"},
        auth=(onec["user"], onec["password"]),
    )
    answer.raise_for_status()
    assert watched.requests("onec") == 1
    assert watched.requests("bitrix24") == 0
    town.sync()
    assert quiet(watched)


def test_a_webhook_is_news_until_a_sync_has_read_what_it_hints_at(watched: Watched) -> None:
    warehouse = watched.company.warehouse
    deal = warehouse.scalar("select source_id from core.deal where source = 'bitrix24' limit 1")
    warehouse.execute("update ops.echo set at = now() - interval '1 day'")  # written long ago
    warehouse.execute(
        "insert into ops.hook (system, entity, ids, digest) values ('bitrix24', 'deal', %s, 'd')", [[deal]]
    )
    found = watched.look("bitrix24")
    assert found.run_requests is not None
    assert found.run_requests[0].tags["sverka/why"] == "1 changed in bitrix24"
    assert watched.requests("branch") == watched.requests("onec") == 0
    done = watched.company.sync()
    assert done.planned.new == 0, "nothing had changed"
    assert warehouse.scalar("select seen_at is not null from ops.hook")
    assert quiet(watched)


def test_a_dropped_file_asks_for_one_run_and_the_same_file_again_for_none(watched: Watched) -> None:
    drop = watched.company.drop
    watched.company.sandbox.control("files", {"folder": str(drop)})
    for path in drop.iterdir():
        os.utime(path, (path.stat().st_mtime - 60,) * 2)
    assert watched.requests("branch") == 1
    watched.company.sync()
    assert quiet(watched)
    for path in drop.glob("Сделки*"):
        path.write_bytes(path.read_bytes())
        os.utime(path, (path.stat().st_mtime - 30,) * 2)
    assert quiet(watched)


def test_what_was_written_back_after_a_payment_is_no_change(watched: Watched) -> None:
    watched.company.sandbox.control("tick", {"days": 3, "deals": 0})
    assert watched.requests("onec") == 1
    assert watched.requests("bitrix24") == 0, "sales were idle"
    done = watched.company.sync()
    assert any("0 written back" not in line for line in done.written_back)
    assert quiet(watched)


def written_deal(watched: Watched) -> str:
    """A deal to which a payment has just been written back."""
    watched.company.sandbox.control("tick", {"days": 3, "deals": 0})
    watched.company.sync()
    key = "select key from ops.echo where system = 'bitrix24' and kind = 'deal' order by at desc, key limit 1"
    return str(watched.company.warehouse.scalar(key))


TITLE = "select payload ->> 'title' from raw.bitrix24_deal where source_id = %s and is_current"


def test_what_a_robot_changes_before_our_write_is_read_back_is_news(watched: Watched) -> None:
    warehouse, portal = watched.company.warehouse, watched.company.sandbox
    deal = written_deal(watched)
    portal.call("crm.item.update", entityTypeId=2, id=int(deal), fields={"title": "Moved by a robot"})
    (item,) = portal.call("crm.item.list", entityTypeId=2, filter={"id": int(deal)})["result"]["items"]
    # As if we had read our write back after the robot.
    warehouse.execute(
        "update ops.echo set version = %s where system = 'bitrix24' and key = %s", [item["updatedTime"], deal]
    )
    found = watched.look("bitrix24")
    assert [request.tags["sverka/why"] for request in found.run_requests or []] == ["1 changed in bitrix24"]
    assert warehouse.scalar(TITLE, [deal]) == "Moved by a robot"
    watched.company.sync()
    assert quiet(watched)


def test_a_webhook_about_what_we_wrote_is_news_where_the_record_is_otherwise(watched: Watched) -> None:
    warehouse = watched.company.warehouse
    deal = written_deal(watched)
    watched.company.sync("bitrix24")
    hint = "insert into ops.hook (system, entity, ids, digest) values ('bitrix24', 'deal', %s, %s)"
    warehouse.execute(hint, [[deal], "ours"])
    assert watched.requests("bitrix24") == 0, "the echo of our own"
    assert warehouse.scalar("select bool_and(seen_at is not null) from ops.hook")
    # As if a robot had changed it in the transaction of our write.
    robot = 'update raw.bitrix24_deal set payload = payload || \'{"title": "before"}\' where source_id = %s and is_current'
    warehouse.execute(robot, [deal])
    warehouse.execute(hint, [[deal], "a robot's"])
    assert watched.requests("bitrix24") == 1
    assert warehouse.scalar(TITLE, [deal]) != "before"


def test_a_record_that_was_set_apart_is_no_news_until_it_changes_again(watched: Watched) -> None:
    deal = edit(watched, "cannot be kept: \0")
    assert watched.requests("bitrix24") == 1
    watched.company.sync("bitrix24")
    apart = "select count(*) from ops.quarantine where place = %s and resolved_at is null"
    assert watched.company.warehouse.scalar(apart, [f"deal {deal}"]) == 1
    assert watched.requests("bitrix24") == 0
    # As if it had been set apart before its newest change.
    watched.company.warehouse.execute(
        "update ops.quarantine set last_seen_at = last_seen_at - interval '1 hour'"
    )
    assert watched.requests("bitrix24") == 1
    edit(watched, "kept again")
    assert watched.requests("bitrix24") == 1
    watched.company.sync()
    assert watched.company.warehouse.scalar(apart, [f"deal {deal}"]) == 0
    assert quiet(watched)


def test_a_second_change_within_the_same_second_is_seen_and_looked_for_once(watched: Watched) -> None:
    warehouse = watched.company.warehouse
    deal = edit(watched, "Renamed twice in a second")
    watched.company.sync("bitrix24")
    # As if only the first of the two had been read.
    warehouse.execute(
        'update raw.bitrix24_deal set payload = payload || \'{"title": "first"}\''
        " where source_id = %s and is_current",
        [deal],
    )
    close = "update ops.cursor set read_until = %s::timestamptz + interval '1 s' where source = 'bitrix24' and entity = 'deal'"
    stamp = warehouse.scalar(
        "select modified_at from raw.bitrix24_deal where source_id = %s and is_current", [deal]
    )
    warehouse.execute(close, [stamp])
    found = watched.look("bitrix24")
    assert [request.tags["sverka/why"] for request in found.run_requests or []] == ["1 changed in bitrix24"]
    title = "select payload ->> 'title' from raw.bitrix24_deal where source_id = %s and is_current"
    assert warehouse.scalar(title, [deal]) == "Renamed twice in a second"
    readings = "select count(*) from ops.batch where source = 'bitrix24'"
    warehouse.execute(close, [stamp])
    before = warehouse.scalar(readings)
    assert watched.requests("bitrix24") == 0, "in doubt, but nothing changed"
    assert warehouse.scalar(readings) > before, "it was looked at"
    warehouse.execute(
        "update ops.cursor set read_until = read_until + interval '1 min' where source = 'bitrix24'"
    )
    before = warehouse.scalar(readings)
    assert watched.requests("bitrix24") == 0
    assert warehouse.scalar(readings) == before, "and not again"
    watched.company.sync()
    assert quiet(watched)


def test_a_release_asks_for_one_run_and_not_again_for_an_hour_if_it_moved_nothing(watched: Watched) -> None:
    assert quiet(watched)
    watched.company.warehouse.execute(
        "insert into ops.release (deal_id, check_name, actor, reason, at)"
        " values ('bitrix24:1', 'no_such_check', 'Anna', 'why', now())"
    )
    asked = watched.look(WAITING)
    assert [r.tags["sverka/why"] for r in asked.run_requests or []] == ["waiting: 1 release"]
    again = watched.look(WAITING, asked.cursor)
    assert not again.run_requests
    assert "moved none" in (again.skip_message or "")
    digest, _, at = (asked.cursor or "").partition(" ")
    hour_ago = (datetime.fromisoformat(at) - AGAIN).isoformat()
    assert len(watched.look(WAITING, f"{digest} {hour_ago}").run_requests or []) == 1
    watched.company.sync()
    after = watched.look(WAITING, asked.cursor)
    assert (after.run_requests or [], after.skip_message, after.cursor) == (
        [],
        "nothing waits to be carried",
        NOTHING,
    )


def test_only_what_a_sync_would_carry_waits(warehouse: Warehouse) -> None:
    auto, manual = {"books": True}, {"books": False}
    parent = planned(warehouse, "create", "a")
    child = planned(warehouse, "create", "b", [parent])
    post = planned(warehouse, "post", "b", [parent])
    assert waiting(warehouse, {"others": True}) is None
    assert waiting(warehouse, manual) is None, "it waits for a person"
    assert counted(warehouse, auto) == 1, "the parent alone"
    move(warehouse, parent, "held")
    assert waiting(warehouse, auto) is None
    move(warehouse, parent, "planned", "approved")
    before = waiting(warehouse, manual)
    assert before is not None
    move(warehouse, parent, "sent", "planned", "approved")
    assert waiting(warehouse, manual) == before, "a try that moved nothing"
    move(warehouse, parent, "sent", "uncertain")
    assert waiting(warehouse, manual) == before
    move(warehouse, parent, "confirmed", "verified")
    assert waiting(warehouse, manual) is None
    assert counted(warehouse, auto) == 1, "the posting comes after its document"
    move(warehouse, child, "approved", "sent", "rejected")
    move(warehouse, post, "approved")
    assert waiting(warehouse, auto) is None, "refused: the night tries it again"


def test_the_very_same_is_asked_for_again_after_an_hour_and_something_else_at_once() -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    for cursor in (None, "", f"other {now.isoformat()}", f"same {(now - AGAIN).isoformat()}"):
        assert due_again(cursor, "same", now)
    assert not due_again(f"same {(now - AGAIN + timedelta(seconds=1)).isoformat()}", "same", now)


def planned(warehouse: Warehouse, action: str, key: str, parents: Sequence[UUID] = ()) -> UUID:
    """A planned operation of the target `books`."""
    operation = uuid4()
    warehouse.execute(
        "insert into ops.operation (operation_id, target, kind, action, key, depends_on)"
        " values (%s, 'books', 'invoice', %s, %s, %s::uuid[])",
        [operation, action, key, list(parents)],
    )
    return operation


def move(warehouse: Warehouse, operation: UUID, *states: str) -> None:
    for state in states:
        warehouse.scalar("select ops.move(%s, %s, 'test')", [operation, state])


def counted(warehouse: Warehouse, targets: dict[str, bool]) -> int:
    found = waiting(warehouse, targets)
    return found.operations if found else 0


@pytest.fixture
def change(watched: Watched, tmp_path: Path) -> Iterator[Watched]:
    """A change that a sensor would ask a run for, in an instance of its own."""
    deal = watched.company.warehouse.scalar(
        "select source_id from core.deal where source = 'bitrix24' limit 1"
    )
    watched.company.sandbox.call(
        "crm.item.update", entityTypeId=2, id=int(deal), fields={"title": os.urandom(4).hex()}
    )
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield replace(watched, instance=instance)


@dg.job(name=SYNC, tags={"sverka/sync": "true"})
def nothing() -> None:
    """A sync to be under way."""


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
def test_no_run_is_asked_for_while_a_sync_waits_or_runs(change: Watched, status: dg.DagsterRunStatus) -> None:
    run = change.instance.create_run_for_job(nothing, status=status, tags={"sverka/sync": "true"})
    with runs.alive(change.company.warehouse, run.run_id):
        assert change.requests("bitrix24") == 0
        message = change.look("bitrix24").skip_message or ""
    assert message.startswith("a sync is under way")
    change.instance.report_run_canceled(run)
    assert change.requests("bitrix24") == 1


def test_a_run_whose_process_was_killed_does_not_keep_the_sensors_quiet_for_ever(change: Watched) -> None:
    run = change.instance.create_run_for_job(
        nothing, status=dg.DagsterRunStatus.STARTED, tags={"sverka/sync": "true"}
    )
    warehouse = change.company.warehouse
    record = change.instance.get_run_record_by_id(run.run_id)
    assert record is not None
    begun = record.create_timestamp.timestamp()
    assert runs.bury_the_dead(change.instance, warehouse, begun + 1) == [], (
        "it may not have come to its first step"
    )
    assert change.requests("bitrix24") == 0
    with runs.alive(warehouse, run.run_id):
        assert runs.bury_the_dead(change.instance, warehouse, begun + 1e6) == [], "a long run that lives"
    assert runs.bury_the_dead(change.instance, warehouse, begun + 1e6) == [run.run_id]
    buried = change.instance.get_run_by_id(run.run_id)
    assert buried is not None
    assert buried.status is dg.DagsterRunStatus.FAILURE
    assert change.requests("bitrix24") == 1


def test_a_run_that_its_command_never_began_is_canceled_and_keeps_nobody_waiting(change: Watched) -> None:
    run = change.instance.create_run_for_job(
        nothing,
        status=dg.DagsterRunStatus.NOT_STARTED,
        tags={"sverka/sync": "true", **runs.BY_COMMAND},
    )
    with runs.alive(change.company.warehouse, run.run_id):
        assert change.requests("bitrix24") == 0, "the command is about to begin it"
    assert change.requests("bitrix24") == 1
    buried = change.instance.get_run_by_id(run.run_id)
    assert buried is not None
    assert buried.status is dg.DagsterRunStatus.CANCELED


def test_a_portal_that_is_down_fails_the_tick_in_words(watched: Watched) -> None:
    address = f"http://127.0.0.1:{free_port()}/rest/1/sverka-test-secret/"
    with environment({"SVERKA_BITRIX24_URL": address}), pytest.raises(Exception) as told:
        watched.look("bitrix24")
    said = str(told.value.__cause__ or told.value)
    assert "no connection to 127.0.0.1" in said
    assert "sverka-test-secret" not in said
