"""What an earlier run left and the target turns out not to have goes through the plan before it is sent again."""

from __future__ import annotations

from uuid import UUID

import pytest

from pipelines.operations.carry import carry, is_unsettled, settle
from pipelines.operations.ready import Ready
from resources.warehouse import Warehouse
from tests.test_carry_many import Paper, approved, paper, states

__all__ = ["paper"]


def left_uncertain(warehouse: Warehouse) -> list[str]:
    """Three creates that may leave, of which an earlier run left two unsettled."""
    keys = approved(warehouse, "invoice", 3)
    for state in ("sent", "uncertain"):
        warehouse.execute("select ops.move_many(%s::uuid[], %s, 'test')", [keys[:2], state])
    return keys


def test_it_waits_for_the_next_plan_and_is_looked_for_once(
    warehouse: Warehouse, paper: Paper, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = left_uncertain(warehouse)
    paper.held[keys[0]] = {"sum": 5}  # this one arrived
    look, looks = Ready._look, []

    def counted(ready: Ready) -> list[UUID]:
        looks.append(1)
        return look(ready)

    monkeypatch.setattr(Ready, "_look", counted)
    carried = carry(warehouse, paper, workers=1, plan_first=True)
    assert states(warehouse) == {"verified": 2, "approved": 1}
    assert keys[1] not in paper.held
    assert (carried.probed, len(looks) <= 3) == (2, True)
    carry(warehouse, paper, workers=1, plan_first=True)
    assert states(warehouse) == {"verified": 3}


def test_to_settle_sends_nothing(warehouse: Warehouse, paper: Paper) -> None:
    keys = left_uncertain(warehouse)
    paper.held[keys[0]] = {"sum": 5}
    assert is_unsettled(warehouse, "paper")
    settle(warehouse, paper, workers=1)
    assert states(warehouse) == {"verified": 1, "approved": 2}
    assert [sort for sort, _, _ in paper.events if sort == "create"] == []
    assert not is_unsettled(warehouse, "paper")
