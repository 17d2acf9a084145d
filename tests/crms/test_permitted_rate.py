"""How much of a vendor's permitted rate our budget uses, by a clock that the test turns: at least nine tenths, and
nothing that the vendor's own count would refuse.

A vendor counts requests in a window that slides, or in a bucket that leaks; the counting here is that of its stand-in.
Salesforce has no rate: its share of the day's calls is shown in tests/salesforce.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from resources.budget import LocalBudget
from sandbox.office import Window
from tests.crms.stand_in import connectors

NINE_TENTHS = 0.9
MAX_STEPS = 200_000


@dataclass(frozen=True)
class Counted:
    """What a vendor permits: so many in any so many seconds; a request costs so many of them here."""

    most: int
    seconds: float
    cost: int = 1
    saved_up: bool = False  # most of a window at once: after it, windows are not used to the full


PERMITTED = {
    "amocrm": Counted(7, 1.0),  # developers.kommo.com/docs/limitations
    "dynamics": Counted(6_000, 300.0),  # learn.microsoft.com, Service protection API limits
    "megaplan": Counted(3_000, 3_600.0),  # dev.megaplan.ru, of the API before v3
    "zoho": Counted(
        50_000, 86_400.0, cost=10, saved_up=True
    ),  # zoho.com/crm/developer/docs/api, credits of a small edition
}
LEAKS = "bitrix24"  # its bucket is counted by a test of its own


def test_every_crm_whose_rate_is_limited_is_measured_here() -> None:
    limited = {name for name, module in connectors().items() if module.LIMITS is not None}
    assert limited - PERMITTED.keys() - {LEAKS} == set(), (
        "say in PERMITTED what these vendors permit in how many seconds, and which page of theirs says so"
    )
    assert PERMITTED.keys() - limited == set(), "no rate is kept there: strike it out"


def used(name: str, permitted: Counted, windows: float) -> Window:
    """Everything that the budget grants in so many windows, by the vendor's count."""
    now = 0.0
    rate, burst = connectors()[name].LIMITS
    budget = LocalBudget(rate, burst, clock=lambda: now)
    window = Window(permitted.most, permitted.seconds, clock=lambda: now)
    for _ in range(MAX_STEPS):
        wait = budget.take(permitted.cost)
        if wait == 0.0:
            for _ in range(permitted.cost):
                window.knock()
        elif (now := now + wait) >= windows * permitted.seconds:
            return window
    raise AssertionError(f"{MAX_STEPS} steps are too few")


@pytest.mark.parametrize("name", PERMITTED)
def test_the_fullest_window_is_used_to_nine_tenths_and_none_is_refused(name: str) -> None:
    permitted = PERMITTED[name]
    window = used(name, permitted, windows=2.5)
    assert window.denied == 0
    assert window.peak >= NINE_TENTHS * permitted.most


@pytest.mark.parametrize("name", [name for name, one in PERMITTED.items() if not one.saved_up])
def test_a_read_of_many_windows_uses_nine_tenths_of_what_they_permit(name: str) -> None:
    permitted = PERMITTED[name]
    windows = 60
    if permitted.most * windows > MAX_STEPS / 3:
        windows = 8
    window = used(name, permitted, windows)
    assert window.denied == 0
    assert window.granted >= NINE_TENTHS * permitted.most * windows


def test_a_bucket_that_leaks_is_used_to_nine_tenths() -> None:
    """Bitrix24: a bucket of so many, from which so many leak a second."""
    rate, burst = connectors()[LEAKS].LIMITS
    now, level, granted = 0.0, 0.0, 0
    budget = LocalBudget(rate, burst, clock=lambda: now)
    while now < 600:
        wait = budget.take()
        if wait:
            now += wait
            level = max(0.0, level - wait * rate)
        else:
            granted += 1
            level += 1
            assert level <= burst
    assert granted >= NINE_TENTHS * (burst + rate * now)
