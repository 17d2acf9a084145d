"""The code location as Dagster's users know it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from expectations import suites
from pipelines.assets import asset_key
from pipelines.company import mappings_folder
from pipelines.definitions import sverka
from pipelines.table import tables

HEAVY = ("great_expectations", "pandas", "phonenumbers", "openpyxl", "playwright", "vl_convert")


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    found = sverka()
    dg.Definitions.validate_loadable(found)
    return found


def test_the_code_location_loads_without_a_system_connected_and_without_heavy_libraries() -> None:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("SVERKA_")}
    program = (
        "import sys, pipelines.definitions as d; d.sverka();"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]; print(heavy); sys.exit(bool(heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_definitions_are_assembled_anew_when_a_mapping_file_or_the_environment_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "company"
    shutil.copytree(mappings_folder(), folder)
    monkeypatch.setenv("SVERKA_MAPPINGS", str(folder))
    first = sverka()
    assert sverka() is first
    changed = folder / "onec.yaml"
    changed.write_text(changed.read_text(encoding="utf-8") + "# a remark\n", encoding="utf-8")
    second = sverka()
    assert second is not first
    monkeypatch.setenv("SVERKA_SENSOR_SECONDS", "86400")
    third = sverka()
    assert third is not second
    sensors = {sensor.name: sensor for sensor in third.get_repository_def().sensor_defs}
    assert sensors["operations_waiting"].minimum_interval_seconds == 86400


def test_every_table_is_an_asset_of_its_stage_with_its_columns(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for name, table in tables().items():
        node = graph.get(asset_key(name))
        assert node.group_name == table.stage
        assert node.description == table.description
        assert node.owners == [f"team:{table.owner}"]
        schema = node.metadata["dagster/column_schema"]
        assert [c.name for c in schema.columns] == [c.name for c in table.columns]


def test_every_expectation_is_an_asset_check(definitions: dg.Definitions) -> None:
    keys = {(key.asset_key, key.name) for key in definitions.resolve_asset_graph().asset_check_keys}
    for name, suite in suites().items():
        for expectation in suite.expectations:
            assert (asset_key(name), expectation.name) in keys
    assert (dg.AssetKey(["ledger", "settlement"]), "every_kopeck_is_explained") in keys


def test_each_outside_system_has_a_pool_and_a_change_sensor(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    pools = {
        op.pool
        for job in repository.get_all_jobs()
        for op in job.all_node_defs
        if isinstance(op, dg.OpDefinition)
    }
    assert {"bitrix24", "branch", "onec"} <= pools
    sensors = {sensor.name: sensor for sensor in repository.sensor_defs}
    assert {
        "changes_in_bitrix24",
        "changes_in_branch",
        "changes_in_onec",
        "operations_waiting",
        "tell_of_failure",
    } <= set(sensors)
    assert all(sensor.default_status == dg.DefaultSensorStatus.RUNNING for sensor in sensors.values())
    assert [schedule.name for schedule in repository.schedule_defs] == ["nightly_reconciliation"]


def test_the_mapping_document_stands_in_the_ui(definitions: dg.Definitions) -> None:
    node = definitions.resolve_asset_graph().get(dg.AssetKey(["ops", "mapping_version"]))
    assert "UF_CRM_SVERKA_DEBT" in (node.description or "")


def test_the_report_is_made_of_marts_at_night_and_not_by_a_sync(definitions: dg.Definitions) -> None:
    report = dg.AssetKey(["report", "pages"])
    node = definitions.resolve_asset_graph().get(report)
    assert dg.AssetKey(["marts", "receivables_as_of"]) in node.parent_keys
    repository = definitions.get_repository_def()
    assert report in repository.get_job("reconcile").asset_layer.executable_asset_keys
    assert report not in repository.get_job("sync").asset_layer.executable_asset_keys


def test_help_names_every_verb() -> None:
    program = str(Path(sys.executable).parent / "sverka")
    said = subprocess.run([program, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    for verb in (
        "up",
        "sync",
        "plan",
        "status",
        "reconcile",
        "hold",
        "review",
        "rebuild",
        "sources",
        "mappings",
        "demo",
    ):
        assert verb in said
