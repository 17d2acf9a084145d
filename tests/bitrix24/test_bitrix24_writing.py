"""How many rows go in one request to Bitrix24: as many as the portal does in time, and no request is cut off."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from resources.connector import Uncertain
from resources.crm.bitrix24.portal import FEWEST_WRITES
from tests.small_portal import SmallPortal, opened

ROWS = [(str(number), {"UF_CRM_SVERKA_DEBT": "1.00"}) for number in range(1, 1501)]


class Slow(SmallPortal):
    """A portal that says how long its batches took: so many seconds a write, or nothing."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__()
        self.seconds = seconds
        self.sizes: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        before = len(self.written)
        response = super().__call__(request)
        if request.url.path.endswith("/batch") and len(self.written) > before:
            self.sizes.append(len(self.written) - before)
            if self.seconds is not None:
                body: dict[str, Any] = response.json()
                body["time"] = {"duration": self.seconds * self.sizes[-1]}
                response = httpx.Response(200, json=body)
        return response


@pytest.mark.parametrize(
    ("seconds", "first", "lasting"),
    [
        (0.1, [20, 40, 50], 50),  # quick: doubled up to the vendor's limit of a batch
        (0.4, [20, 40, 50], 50),
        (1.0, [20, 25, 25], 25),
        (2.8, [20, 8, 8], 8),  # the slowest update that is documented
        (30.0, [20, FEWEST_WRITES], FEWEST_WRITES),
        (None, [20, 20, 20], 20),  # nobody said
    ],
)
def test_a_batch_takes_as_many_writes_as_fit_into_its_time(
    seconds: float | None, first: list[int], lasting: int
) -> None:
    small = Slow(seconds)
    outcomes = opened(small).update_many("deal", ROWS)
    assert len(outcomes) == len(ROWS)
    assert [row["id"] for row in small.written] == [key for key, _ in ROWS]
    assert small.sizes[: len(first)] == first
    assert set(small.sizes[len(first) : -1]) <= {lasting}
    if seconds is not None and seconds <= 2.8:
        assert max(size * seconds for size in small.sizes) <= 56.0


def test_after_a_batch_without_an_answer_the_next_one_is_half_of_it() -> None:
    small = Slow(None)
    lost = iter([True])

    def drop(request: httpx.Request) -> httpx.Response | None:
        if next(lost, False):
            raise httpx.ReadTimeout("no answer")
        return None

    small.answers.append(drop)
    outcomes = opened(small).update_many("deal", ROWS[:60])
    assert [isinstance(outcome, Uncertain) for outcome in outcomes] == [True] * 20 + [False] * 40
    assert small.sizes == [10, 10, 10, 10]
