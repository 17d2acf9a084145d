"""People are told when a run fails: everybody, with its cause, and on record."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from pipelines.processes import free_port
from pipelines.sensors import tell_of_failure
from resources.warehouse import Warehouse
from tests.listeners import letters_listener, posts_listener
from tests.whole_road import DEMO, environment


@dg.op
def read_onec() -> None:
    raise dg.Failure(
        description="onec: GET Catalog_Контрагенты: no connection to 1c.local; check the network"
    )


@dg.job(name="sync")
def failing() -> None:
    read_onec()


def failure_context(instance: dg.DagsterInstance) -> dg.RunFailureSensorContext:
    result = failing.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    return dg.build_run_status_sensor_context(
        sensor_name="tell_of_failure",
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        dagster_event=result.get_run_failure_event(),
    ).for_run_failure()


def told(warehouse: Warehouse) -> list[tuple[str, bool, str | None]]:
    return warehouse.rows(
        "select kind, delivered_at is not null, error from ops.notification order by notification_id"
    )


def test_a_failed_run_is_told_to_everybody_with_its_cause_and_recorded(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with posts_listener() as posts, letters_listener() as letters, dg.DagsterInstance.ephemeral() as instance:
        settings = {
            "SVERKA_NOTIFY_WEBHOOK": posts.address,
            "SVERKA_NOTIFY_EMAIL": "ann@shop.example",
            "SVERKA_SMTP_URL": letters.address,
        }
        with environment({**settings, **store(warehouse)}):
            tell_of_failure(failure_context(instance))
    cause = "read_onec: onec: GET Catalog_Контрагенты: no connection to 1c.local; check the network"
    (post,) = posts.received
    assert post["text"].startswith("Sverka: run ")
    assert post["text"].endswith(f"of sync failed: {cause}")
    assert len(letters.received) == 1
    assert cause in caplog.text
    assert told(warehouse) == [("log", True, None), ("webhook", True, None), ("e-mail", True, None)]
    assert warehouse.scalar("select distinct message from ops.notification") == post["text"]


def test_a_dead_webhook_is_recorded_and_hides_nothing(warehouse: Warehouse) -> None:
    with letters_listener() as letters, dg.DagsterInstance.ephemeral() as instance:
        settings = {
            "SVERKA_NOTIFY_WEBHOOK": f"http://127.0.0.1:{free_port()}/hook",
            "SVERKA_NOTIFY_EMAIL": "ann@shop.example",
            "SVERKA_SMTP_URL": letters.address,
        }
        with environment({**settings, **store(warehouse)}):
            tell_of_failure(failure_context(instance))
    (log, webhook, email) = told(warehouse)
    assert (log[1], webhook[1], email[1]) == (True, False, True)
    assert webhook[2] is not None
    assert "SVERKA_NOTIFY_WEBHOOK" in webhook[2]
    assert len(letters.received) == 1


def store(warehouse: Warehouse) -> dict[str, str | None]:
    return {
        "SVERKA_DATABASE_URL": warehouse.url, "SVERKA_MAPPINGS": str(DEMO), "SVERKA_BITRIX24_URL": "http://127.0.0.1:9/",
        "SVERKA_ONEC_URL": "http://127.0.0.1:9/", "SVERKA_DROP_FOLDER": "/nowhere",
    }  # fmt: skip
