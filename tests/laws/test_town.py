"""Companies of different tests: none takes over the mapping files of another."""

from __future__ import annotations

import pytest

from tests.laws.conftest import Towns
from tests.laws.test_revisions import shipping
from tests.laws.town import REWORDINGS, Town


def policy_of(town: Town) -> dict[str, str]:
    (policy,) = town.rows(
        "select jsonb_object_agg(field, action) from ops.policy where system = 'onec' and kind = 'realization'"
        " and state = 'posted'"
    )
    found: dict[str, str] = policy[0]
    return found


def test_a_company_goes_by_what_its_rewordings_say_though_another_test_gave_one_of_them_its_name(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    for said in ("ask", "leave", "ask"):
        words = f'    policy: {{posted: {{cancelled: {said}, "*": update}}}}\n'
        monkeypatch.setitem(REWORDINGS, "named twice", ("onec.yaml", "    policy: {}\n", words))
        with towns(shipping("named twice")) as town:
            assert policy_of(town) == {"cancelled": said, "*": "update"}
        with towns() as town:
            town.remap("follows", "named twice")
            assert policy_of(town) == {"cancelled": said, "*": "update"}
