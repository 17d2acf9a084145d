"""The sensor of webhooks: one sync for all that was hinted at, and none for ever."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from mappings import load
from pipelines import sensors
from pipelines.company import DEMO_FOLDER
from pipelines.processes import SYNC_TAG
from pipelines.sensors import HOOK_AGAIN, all_sensors, hooks_sensor
from resources.warehouse import Warehouse
from tests.whole_road import environment


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The demo's mapping files, of which Bitrix24 has a secret for webhooks."""
    found = Path(shutil.copytree(DEMO_FOLDER, tmp_path / "mappings"))
    path = found / "bitrix24.yaml"
    path.write_text(
        path.read_text().replace("connection:\n", 'connection:\n  hook_secret: "0123456789abcdefgh"\n', 1)
    )
    return found


FILES = load(DEMO_FOLDER, connected=False).system("branch").entities[0]


@dataclass
class Looking:
    sensor: dg.SensorDefinition
    warehouse: Warehouse
    instance: dg.DagsterInstance
    cursor: str | None = None

    def look(self) -> SensorExecutionData:
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor) as context:
            found = self.sensor.evaluate_tick(context)
        self.cursor = found.cursor or self.cursor
        return found

    def asks(self) -> list[str]:
        """Why it asks for runs; empty comes with a reason."""
        found = self.look()
        assert found.run_requests or found.skip_message
        return [request.tags["sverka/why"] for request in found.run_requests or []]

    def hear(self, system: str, *ids: str, entity: str = "deal") -> None:
        self.warehouse.execute(
            "insert into ops.hook (system, entity, ids, digest) values (%s, %s, %s, gen_random_uuid())",
            [system, entity, list(ids)],
        )


@pytest.fixture
def looking(warehouse: Warehouse, folder: Path, tmp_path: Path) -> Iterator[Looking]:
    systems = [system for system in load(folder, connected=False).systems if system.role == "crm"]
    with (
        environment({"SVERKA_DATABASE_URL": warehouse.url, "SVERKA_HOME": str(tmp_path / "home")}),
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
    ):
        yield Looking(hooks_sensor(systems), warehouse, instance)


def test_there_is_such_a_sensor_only_where_a_system_may_send_webhooks(folder: Path) -> None:
    def names(of: Path) -> set[str]:
        return {sensor.name for sensor in all_sensors(load(of, connected=False))}

    assert "webhooks_arrived" not in names(DEMO_FOLDER)
    assert "webhooks_arrived" in names(folder)
    assert sensors.HOOK_SECONDS == 30


def test_hints_of_all_systems_ask_for_one_sync(looking: Looking) -> None:
    assert looking.asks() == []
    looking.hear("bitrix24", "1")
    looking.hear("bitrix24", "2", "3")
    looking.hear("branch", "x", entity=FILES)
    looking.hear("somebody", "1")
    looking.hear("bitrix24", "1", entity="something that is not read")
    assert looking.asks() == [
        f"webhooks: 2 from bitrix24, newest: deal 2, 1 from branch, newest: {FILES} x",
    ]


def test_what_no_sync_saw_is_asked_for_again_after_a_while_and_what_is_new_at_once(looking: Looking) -> None:
    looking.hear("bitrix24", "1")
    assert len(looking.asks()) == 1
    looking.hear("bitrix24", "2")
    assert looking.asks() == [], "the system did not answer the last time, so it is left in peace"
    looking.hear("branch", "x", entity=FILES)
    assert looking.asks() == [f"webhooks: 1 from branch, newest: {FILES} x"]
    looking.warehouse.execute("update ops.hook set seen_at = now() where ids = '{1}'")
    assert looking.asks() == ["webhooks: 1 from bitrix24, newest: deal 2"], "the rest of what waits"
    assert looking.cursor is not None
    earlier = (datetime.now(UTC) - HOOK_AGAIN - timedelta(seconds=1)).isoformat(timespec="seconds")
    number = looking.warehouse.scalar("select max(hook_id) from ops.hook where system = 'bitrix24'")
    looking.cursor = f'{{"bitrix24": "{number} {earlier}"}}'
    assert len(looking.asks()) == 1


def test_no_sync_is_asked_for_while_one_waits_or_runs(looking: Looking) -> None:
    looking.hear("bitrix24", "1")

    @dg.job
    def some() -> None: ...

    run = looking.instance.create_run_for_job(
        some, tags={SYNC_TAG: "true"}, status=dg.DagsterRunStatus.STARTING
    )
    assert "under way" in (looking.look().skip_message or "")
    looking.instance.delete_run(run.run_id)
    assert len(looking.asks()) == 1
