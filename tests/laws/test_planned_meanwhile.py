"""A plan in another process, as of `sverka plan`, while a carrier takes its next operations."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from pipelines import sync
from pipelines.operations import plan as planning
from resources.warehouse import Warehouse
from tests.laws.conftest import Towns
from tests.laws.one_deal import only, reprice, settle
from tests.laws.test_revisions import FOLLOWS, documents
from tests.laws.town import Done, Town, add_deal

SECONDS = 30.0  # that is waited for a thread at most


def approved(town: Town) -> str:
    """A deal whose documents may leave next: what they need accounting has from another one."""
    town.remap(*FOLLOWS)
    only(town, "21", lines=1)
    settle(town)
    deal = add_deal(town.portal, "21", lines=1)
    town.sync(write=False)
    return deal


def invoiced(town: Town, deal: str) -> list[Decimal]:
    """The sums of the invoices that accounting holds of it."""
    invoices = town.books.all("invoice").values()
    return [
        Decimal(str(row["СуммаДокумента"]))
        for row in invoices
        if row["Комментарий"] == f"crm:bitrix24:{deal}"
    ]


@contextmanager
def planned_meanwhile(town: Town, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What happens in the block happens after another process has planned and before its plan is committed."""
    done = Done()
    town.read(done)
    town.derive(done)
    has_planned, may_end = threading.Event(), threading.Event()
    approve = planning.approve

    def held_up(*what: Any) -> int:
        count = approve(*what)
        has_planned.set()
        may_end.wait(SECONDS)
        return count

    monkeypatch.setattr(planning, "approve", held_up)
    other = threading.Thread(target=planning.plan, args=(Warehouse(town.warehouse.url), town.road.accounting))
    other.start()
    assert has_planned.wait(SECONDS)
    carried: list[Any] = []

    def carry() -> None:
        try:
            carried.append(sync.carry_operations(town.road))
        except Exception as error:  # noqa: BLE001 - told below
            carried.append(error)

    carrier = threading.Thread(target=carry)
    carrier.start()
    _await_a_lock(town)
    yield
    may_end.set()
    other.join(SECONDS)
    carrier.join(SECONDS)
    monkeypatch.setattr(planning, "approve", approve)
    assert not [what for what in carried if isinstance(what, Exception)]


def _await_a_lock(town: Town) -> None:
    """Until the carrier waits for the plan."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if town.warehouse.scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        ):
            return
        time.sleep(0.05)
    raise AssertionError("the carrier does not wait for the plan")


def test_what_a_plan_changes_meanwhile_leaves_as_it_is_planned_by_then(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    with towns() as town:
        deal = approved(town)
        reprice(town, deal, "900.00")
        with planned_meanwhile(town, monkeypatch):
            assert invoiced(town, deal) == []
        assert invoiced(town, deal) == [Decimal("900.00")]
        assert documents(town, deal) == [("realization", True, Decimal("900.00"))]


def test_what_a_plan_takes_back_meanwhile_does_not_leave(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    with towns() as town:
        deal = approved(town)
        town.portal.change("deal", deal, stageId="NEW")
        with planned_meanwhile(town, monkeypatch):
            pass
        assert invoiced(town, deal) == []
        assert documents(town, deal) == []
