"""The frozen models can be read, and tell their levels apart."""

from __future__ import annotations

import json

import pytest

from pipelines.identity.model import FOLDER, load, parsed


@pytest.mark.parametrize("name", ["clients", "people"])
def test_a_model_says_how_it_was_made_and_every_level_weighs_something(name: str) -> None:
    said = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert said["made"]
    model = load(name)
    assert model.ask < model.join
    for comparison in model.comparisons:
        assert comparison.levels[0].absent
        assert comparison.levels[-1].sql == "ELSE"
        for level in comparison.levels[1:]:
            assert level.fixed is not None or (0 < level.m <= 1 and 0 < level.u <= 1)


def test_a_vetoed_level_outweighs_any_other_comparison() -> None:
    model = load("clients")
    for comparison in model.comparisons:
        for level in comparison.levels:
            assert not level.veto or level.weight <= -25


def test_two_levels_of_one_weight_are_refused() -> None:
    said = json.loads((FOLDER / "clients.json").read_text(encoding="utf-8"))
    for level in said["comparisons"][0]["levels"][1:3]:
        level["fixed"] = 1.0
    with pytest.raises(ValueError, match="comparison 'name' weigh"):
        parsed(said)


def test_the_fingerprint_covers_what_a_weight_hangs_on_and_not_the_remark() -> None:
    said = json.loads((FOLDER / "clients.json").read_text(encoding="utf-8"))
    mark = load("clients").fingerprint
    assert parsed(said | {"made": "otherwise"}).fingerprint == mark
    assert parsed(said | {"join": 7.0}).fingerprint != mark
