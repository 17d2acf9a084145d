"""Every connected CRM, by its ready mapping file against its stand-in: core is what the CRM truly holds.

A CRM is tested by having a file in mappings/crm: nothing here names one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.sync import Road
from resources.warehouse import Warehouse
from tests.crms.stand_in import StandIn, errors, hand_over_tokens, read, vendors
from tests.crms.truth import differences, living
from tests.sandbox_process import running

DEALS = 100
CHANGES = 500
QUIET = (
    "quiet_line",
)  # lines that change and leave the deal's stamp: the night sees them where nothing else can
RETRIES = 12
FAULTS = tuple(
    {"kind": kind, "times": None, "probability": 0.03}
    for kind in ("drop_before", "drop_after", "http_500", "http_503_html", "truncate", "html")
)
"""Refusals for the rate are each vendor's own, and waited out for as long as it says: its own tests show them."""


@pytest.fixture(params=vendors())
def stand_in(request: pytest.FixtureRequest) -> Iterator[StandIn]:
    with running("--deals", str(DEALS), "--no-limits") as sandbox:
        yield StandIn(request.param, sandbox.address, sandbox.http)


def test_core_is_the_truth_after_a_full_read_after_500_changes_and_as_if_built_from_nothing(
    stand_in: StandIn,
    warehouse: Warehouse,
    second_warehouse: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with stand_in.road(warehouse, tmp_path / "first", monkeypatch) as road:
        assert errors(read(road, stand_in.name)) == []
        assert differences(warehouse, stand_in.truth()) == []

        stand_in.people_work(seed=11, count=CHANGES)
        assert errors(read(road, stand_in.name, sweep=True)) == []
        assert differences(warehouse, stand_in.truth(), lines_too=False) == []
        assert errors(read(road, stand_in.name, full=True)) == []  # the night
        assert differences(warehouse, stand_in.truth()) == []

        assert all(batch.quiet for batch in read(road, stand_in.name))

    hand_over_tokens(warehouse, second_warehouse)
    with stand_in.road(second_warehouse, tmp_path / "second", monkeypatch) as fresh:
        assert errors(read(fresh, stand_in.name)) == []
    assert living(warehouse, stand_in.name) == living(second_warehouse, stand_in.name)


def test_faults_all_the_way_lose_nothing(
    stand_in: StandIn, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.http.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("resources.http.LONGEST_PAUSE", 0.002)
    with stand_in.road(warehouse, tmp_path / "road", monkeypatch) as road:
        with stand_in.faults(*FAULTS):
            _until_sound(road, stand_in, full=False)
        assert differences(warehouse, stand_in.truth()) == []
        stand_in.people_work(seed=12, count=CHANGES)
        with stand_in.faults(*FAULTS):
            _until_sound(road, stand_in, full=True)
        assert differences(warehouse, stand_in.truth()) == []


def _until_sound(road: Road, stand_in: StandIn, *, full: bool) -> None:
    """Read until a read ends well, as the sensor does; a failed one keeps what it received."""
    for _ in range(RETRIES):
        found = errors(read(road, stand_in.name, full=full))
        if not found:
            return
    raise AssertionError(f"no read of {RETRIES} ended well: {found}")
