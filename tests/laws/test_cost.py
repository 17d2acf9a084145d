"""Law 11: cost follows change. Counted, not timed: scopes that a sync makes anew, and records it reads."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipelines.raw import sweep
from tests.laws.acts import Act, do
from tests.laws.conftest import Towns
from tests.laws.town import Done, Town, add_company, add_deal

SMALL, LARGE = 50, 1_000  # deals of the history
A_CLIENT_HAS = 10  # deals: what a change of a client may touch grows with this alone
FOLLOWS = 2  # syncs after the one with the change, in which what was written is read as catalogue and settles
PER_CHANGE = 12  # scopes of one table that one changed deal may touch


def grown(town: Town, deals: int) -> None:
    """A history of so many deals with an invoice each, all carried."""
    town.sheets.rows.clear()
    for number in range(deals):
        if number % A_CLIENT_HAS == 0:
            company = add_company(
                town.portal, 1_000 + number // A_CLIENT_HAS, f"Клиент {number // A_CLIENT_HAS}"
            )
        add_deal(town.portal, company, stage="EXECUTING", lines=1)
    for _ in range(1 + FOLLOWS):
        town.sync()
    town.portal.tick(24 * 60)
    town.sync()


def changed(town: Town, changes: int) -> tuple[dict[str, int], int, int]:
    """Edit so many deals; the scopes of every table over the sync and those that follow, and records read."""
    portal = town.portal
    portal.tick(24 * 60)
    for deal in list(portal.all("deal"))[-changes:]:
        portal.put_line(deal, next(iter(portal.lines(deal))), price="77.70")
    portal.received = town.books.received = 0
    scopes: dict[str, int] = {}
    for _ in range(1 + FOLLOWS):
        done = town.sync()
        for table, count in done.scopes().items():
            scopes[table] = scopes.get(table, 0) + count
    return scopes, portal.received, town.books.received


def test_a_sync_works_on_what_changed_however_long_the_history(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sweep, "SWEEP_ALWAYS_UNDER", 0
    )  # comparing all keys costs a request or two, and is not counted here
    monkeypatch.setattr(sweep, "SWEEP_EVERY", timedelta(days=3650))
    found = {}
    for deals in (SMALL, LARGE):
        with towns() as town:
            grown(town, deals)
            found[deals] = {changes: changed(town, changes) for changes in (1, 4)}
    assert found[LARGE] == found[SMALL], "the work depends on the history"
    for changes, (scopes, read, fetched) in found[LARGE].items():
        assert max(scopes.values()) <= PER_CHANGE * changes, scopes
        assert sum(scopes.values()) > 0
        assert fetched <= PER_CHANGE * changes
        assert read <= PER_CHANGE * changes + DICTIONARIES


DICTIONARIES = 80  # records of stages, employees and the like, read whole by every sync of these


def test_a_quiet_sync_works_on_nothing_at_all(towns: Towns) -> None:
    with towns() as town:
        grown(town, SMALL)
        done = town.sync()
        assert {table: count for table, count in done.scopes().items() if count} == {}
        assert done.planned.looked_at == 0


def test_a_client_s_change_touches_its_own_deals_and_no_others(towns: Towns) -> None:
    with towns() as town:
        grown(town, SMALL)
        do(town, Act("edit_company", len(town.portal.all("company")) - 1, 3, 0))
        done = Done()
        town.read(done)
        town.derive(done)
        assert 0 < done.scopes()["documents.deal"] <= A_CLIENT_HAS
