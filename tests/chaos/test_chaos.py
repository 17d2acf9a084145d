"""Loaders killed at twenty moments a target leave every due document once; and the harness sees what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import pytest

from tests.chaos.__main__ import summary, unmet
from tests.chaos.company import Server, Template
from tests.chaos.points import PLACES
from tests.chaos.run import Tally, run_company
from tests.chaos.targets import TARGETS
from tests.chaos.verdict import plan, settled_faults

KILLS = 20
DEALS = 30
COMPANIES = 3  # at most: what is carried in a few loaders leaves few moments


@pytest.fixture(scope="module")
def template_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Template]]:
    """Makes the company that a target's copies are made of, once."""
    home = tmp_path_factory.mktemp("chaos")
    with Server.running() as server:
        yield cache(lambda target: Template.make(target, server, home / target, DEALS))


@pytest.mark.parametrize("target", TARGETS)
def test_loaders_killed_at_twenty_moments_leave_every_due_document_once(
    template_of: Callable[[str], Template], target: str
) -> None:
    tally = Tally()
    for number in range(COMPANIES):
        if tally.killed < KILLS:
            run_company(template_of(target), number, "1", max(KILLS - tally.killed, KILLS // 2), tally)
    assert tally.killed >= KILLS // 2, summary({target: tally})
    assert set(tally.kills) <= set(PLACES)
    assert len(tally.kills) >= 5
    assert tally.documents > 0


def test_a_document_that_is_missing_or_says_something_else_is_told(
    template_of: Callable[[str], Template],
) -> None:
    with template_of("onec").copy(1) as company:
        company.settle()
        assert settled_faults(company, ()) == ([], len(plan(company)))
        company.do(
            lambda road: road.warehouse.execute("update documents.document set amount = amount + 0.01")
        )
        told, documents = settled_faults(company, ())
        assert len(told) == documents > 0
        assert all("is due" in sentence for sentence in told)


def test_a_long_run_tells_what_it_never_tried() -> None:
    tally = Tally()
    assert "posting has left" in unmet("onec", tally)
    assert "posting has left" not in unmet("sap", tally)
    assert {"repeat", "two loaders at once", "PostgreSQL fell"} <= set(unmet("quickbooks", tally))
    for count in (tally.kills, tally.faults):
        count.update(unmet("quickbooks", tally))
    assert unmet("quickbooks", tally) == []
