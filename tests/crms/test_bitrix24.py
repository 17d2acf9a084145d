"""Bitrix24 by its ready mapping file against its stand-in: core is what the portal truly holds, whatever people did."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mappings import load
from pipelines import sync
from pipelines.sync import Road
from resources.warehouse import Warehouse
from tests.crms.bitrix24_people import People
from tests.crms.bitrix24_truth import more_differences, truth_of
from tests.crms.stand_in import ACCOUNTING, MAPPINGS, errors, read
from tests.crms.truth import differences, living
from tests.sandbox_process import Running, running

DEALS = 150
CHANGES = 500
CHANGES_AMONG_FAULTS = 200
RETRIES = 12
FAULTS = (
    "drop_before",
    "drop_after",
    "http_500",
    "http_503_html",
    "truncate",
    "html",
    "limit",
    "unauthorized",
)
APPLICATION = """
  client_id: "local.SECRET"
  client_secret: "secret-SECRET"
  refresh_token: "refresh-SECRET-0"
  token_server: "ADDRESS/bitrix24/oauth/token/"
"""


@pytest.fixture
def portal() -> Iterator[Running]:
    with running("--deals", str(DEALS), "--no-limits") as sandbox:
        yield sandbox


@contextlib.contextmanager
def connected(
    portal: Running,
    warehouse: Warehouse,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    application: bool = False,
) -> Iterator[Road]:
    """A road of this portal alone, by the webhook or as a local application."""
    folder.mkdir()
    shutil.copy(MAPPINGS / "demo" / "bitrix24.yaml", folder)
    shutil.copy(MAPPINGS / "demo" / "onec.yaml", folder)
    if application:
        file = folder / "bitrix24.yaml"
        keys = APPLICATION.replace("SECRET", portal.info["bitrix24"]["secret"]).replace(
            "ADDRESS", portal.address
        )
        text = file.read_text(encoding="utf-8")
        changed = re.sub(r'\n  url: "\$\{SVERKA_BITRIX24_URL\}"\n', keys, text)
        assert changed != text
        file.write_text(changed, encoding="utf-8")
    for name, value in {**ACCOUNTING, "SVERKA_BITRIX24_URL": portal.webhook}.items():
        monkeypatch.setenv(name, value)
    road = Road(warehouse, load(folder), "test")
    try:
        sync.prepare(road)
        yield road
    finally:
        road.close()


def told_of(found: list[str]) -> set[int]:
    """The deals that these sentences are about; any other sentence is an error."""
    matches = [re.match(r"(?:lines of )?deal (\d+)", sentence) for sentence in found]
    assert all(matches), "\n".join(found)
    return {int(match[1]) for match in matches if match}


def test_core_is_the_portals_truth_after_500_changes_and_a_night_and_as_if_built_from_nothing(
    portal: Running,
    warehouse: Warehouse,
    second_warehouse: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with connected(portal, warehouse, tmp_path / "first", monkeypatch) as road:
        assert errors(read(road, "bitrix24")) == []
        assert differences(warehouse, truth_of(portal)) == []
        assert more_differences(warehouse, portal) == []

        people = People(portal, random.Random(24))
        quiet = {people.change_lines_quietly() for _ in range(5)}
        assert errors(read(road, "bitrix24")) == []
        left = differences(warehouse, truth_of(portal))
        assert told_of(left) == quiet  # their stamps did not move
        assert errors(read(road, "bitrix24", sweep=True)) == []
        # Rows that were set anew have other ids, and the sweep sees these; of the deals themselves only their sums.
        swept = differences(warehouse, truth_of(portal))
        assert told_of(swept) <= quiet
        assert [s for s in left if s.startswith("lines")]
        assert not [s for s in swept if s.startswith("lines")]

        people.work(CHANGES)
        assert {"merge_companies", "merge_contacts", "import_deal", "delete_deal", "a_day"} <= set(
            people.done
        )
        assert errors(read(road, "bitrix24")) == []
        assert told_of(differences(warehouse, truth_of(portal))) <= people.quiet
        assert more_differences(warehouse, portal) == []

        assert errors(read(road, "bitrix24", sweep=True)) == []  # lines of deals that are gone wait for it
        assert errors(read(road, "bitrix24", full=True)) == []  # the night
        assert differences(warehouse, truth_of(portal)) == []
        assert more_differences(warehouse, portal) == []
        assert all(batch.quiet for batch in read(road, "bitrix24"))

    with connected(portal, second_warehouse, tmp_path / "second", monkeypatch) as fresh:
        assert errors(read(fresh, "bitrix24")) == []
    assert living(warehouse, "bitrix24") == living(second_warehouse, "bitrix24")


def test_an_application_loses_nothing_where_everything_fails_now_and_then(
    portal: Running, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.http.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("resources.http.LONGEST_PAUSE", 0.002)
    monkeypatch.setattr("resources.crm.bitrix24.portal.LIMIT_PAUSE", 0.002)
    with connected(portal, warehouse, tmp_path / "road", monkeypatch, application=True) as road:
        for full in (False, True):
            for kind in FAULTS:
                rule = {
                    "where": "bitrix24",
                    "match": "/rest/",
                    "kind": kind,
                    "times": None,
                    "probability": 0.03,
                }
                portal.control("faults", rule)
            _until_sound(road, full=full)
            portal.control("faults", method="DELETE")
            assert differences(warehouse, truth_of(portal)) == []
            assert more_differences(warehouse, portal) == []
            if not full:
                People(portal, random.Random(25)).work(CHANGES_AMONG_FAULTS)


def _until_sound(road: Road, *, full: bool) -> None:
    """Read until a read ends well, as the sensor does; a failed one keeps what it received."""
    for _ in range(RETRIES):
        found = errors(read(road, "bitrix24", full=full))
        if not found:
            return
    raise AssertionError(f"no read of {RETRIES} ended well: {found}")
