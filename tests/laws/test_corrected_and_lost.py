"""A corrected sale whose deal no longer calls for it, and that is left: all of it is due no more."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.laws import town as town_module
from tests.laws.conftest import Towns
from tests.laws.one_deal import reprice, say, settle
from tests.laws.test_reconsidered import held
from tests.laws.test_revisions import shipped
from tests.laws.town import REWORDINGS

TOLD = "select reason, amount from ledger.variance where measure = 'realized' order by amount"
POLICIES = {
    "left": '    policy: {posted: {amount: correction, lines: correction, cancelled: leave, "*": ask}}\n',
    "asking": '    policy: {posted: {amount: correction, lines: correction, "*": ask}}\n',
}


@pytest.mark.parametrize("policy", list(POLICIES))
def test_what_stays_of_a_lost_deal_is_told_with_all_its_documents(
    towns: Towns, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    monkeypatch.setitem(REWORDINGS, policy, ("onec.yaml", "    policy: {}\n", POLICIES[policy]))
    monkeypatch.setattr(town_module, "POLICIES", (*town_module.POLICIES, policy))
    with shipped(towns, policy) as (town, deal):
        for price in ("900.00", "950.00"):
            reprice(town, deal, price)
            settle(town)
        town.portal.change("deal", deal, stageId="NEW")
        town.sync()
        if policy == "asking":
            assert say(town, "leave") == ""
        settle(town)
        assert held(town, deal) == Decimal("950.00")
        assert town.rows(TOLD) == [
            ("missing_in_crm", Decimal("-1000.10")),
            ("missing_in_crm", Decimal("-50.00")),
            ("missing_in_crm", Decimal("100.10")),
        ]
        town.portal.change("deal", deal, stageId="WON")
        settle(town)
        assert town.rows(TOLD) == []
        assert town.rebuild() == []
