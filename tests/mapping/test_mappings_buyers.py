"""What mapping files say of buyers and of the cost of sales, as the marts ask for it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mappings import load
from mappings.buyers import Buyers
from mappings.rules import settings
from tests.mapping.mapping_road import ENVIRON, MAPPINGS


def test_what_is_said_of_buyers_becomes_settings_and_nothing_else() -> None:
    said = Buyers.model_validate({"classes": {"months": 6}, "silence": {"share": "0.8"}})
    assert said.settings() == {"buyers_classes": {"months": 6}, "buyers_silence": {"share": "0.8"}}
    assert Buyers().settings() == {}


@pytest.mark.parametrize("wrong", [{"silence": {"share": 2}}, {"debts": {"sales_days": 0}}, {"promises": {}}])
def test_a_threshold_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Buyers.model_validate(wrong)


def test_the_accounts_of_cost_are_accountings() -> None:
    accounting = load(MAPPINGS / "demo", ENVIRON, connected=False).accounting()
    assert settings(accounting)["cost_accounts"] == ["90.02"]
