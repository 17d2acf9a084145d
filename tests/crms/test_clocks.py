"""A vendor's clock that lies behind ours by more than the overlap: its stamps look older than they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.news import news
from resources.warehouse import Warehouse
from tests.crms.shifted_sandbox import shifted
from tests.crms.stand_in import StandIn, errors, read, vendors
from tests.crms.truth import differences

HOURS = 3600.0


@pytest.mark.parametrize("name", vendors())
def test_a_clock_hours_behind_hides_no_change_from_a_read(
    name: str, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shifted(-5 * HOURS, -5 * HOURS, "--deals", "40") as sandbox:
        stand_in = StandIn(name, sandbox.address, sandbox.http)
        with stand_in.road(warehouse, tmp_path / "r", monkeypatch) as road:
            assert errors(read(road, name)) == []
            stand_in.people_work(seed=5, count=40)
            assert errors(read(road, name)) == []
            assert differences(warehouse, stand_in.truth(), lines_too=False) == []
            assert news(road, road.mappings.system(name)) is None


@pytest.mark.parametrize("name", vendors())
def test_what_a_sensor_saw_is_read_where_the_answers_do_not_tell_of_the_clock(
    name: str, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shifted(-5 * HOURS, 0, "--deals", "40") as sandbox:
        stand_in = StandIn(name, sandbox.address, sandbox.http)
        with stand_in.road(warehouse, tmp_path / "r", monkeypatch) as road:
            assert errors(read(road, name)) == []
            renamed = {"do": "put", "entity": "deal", "number": 7, "body": {"title": "renamed"}}
            stand_in.control(f"crm/{name}/do", renamed)
            assert news(road, road.mappings.system(name)) is not None
            assert errors(read(road, name)) == []
            assert warehouse.scalar("select count(*) from core.deal where title = 'renamed'") == 1
            assert news(road, road.mappings.system(name)) is None
