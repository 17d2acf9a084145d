"""A deal whose buyer or currency is another one: a correction of its sale cannot say so."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.laws import town as town_module
from tests.laws.conftest import Towns
from tests.laws.one_deal import asked, reprice, say, settle
from tests.laws.test_revisions import documents, shipped
from tests.laws.town import REWORDINGS, Town

CHANGES = {"buyer": {"companyId": 23}, "currency": {"currencyId": "USD"}}


@pytest.fixture(autouse=True)
def correcting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that corrects whatever changes."""
    text = '    policy: {posted: {"*": correction, cancelled: reversal}}\n'
    monkeypatch.setitem(REWORDINGS, "correcting", ("onec.yaml", "    policy: {}\n", text))
    monkeypatch.setattr(town_module, "POLICIES", (*town_module.POLICIES, "correcting"))


def kinds(town: Town, deal: str) -> list[str]:
    return [kind for kind, _, _ in documents(town, deal)]


@pytest.mark.parametrize("what", sorted(CHANGES))
def test_a_policy_of_corrections_asks_and_a_correction_is_no_answer(towns: Towns, what: str) -> None:
    with shipped(towns, "correcting") as (town, deal):
        town.portal.change("deal", deal, **CHANGES[what])
        reprice(town, deal, "900.00")
        settle(town)
        assert kinds(town, deal) == ["realization"]
        assert "a correction names no other one: answer reversal or leave" in say(town, "correction")
        assert say(town, "reversal") == ""
        settle(town)
        assert sorted(kinds(town, deal)) == ["realization", "realization", "return"]
        assert not asked(town)


def test_a_policy_of_corrections_corrects_what_is_not_anothers(towns: Towns) -> None:
    with shipped(towns, "correcting") as (town, deal):
        reprice(town, deal, "900.00")
        settle(town)
        assert ("correction", True, Decimal("-100.10")) in documents(town, deal)
        assert not asked(town)
