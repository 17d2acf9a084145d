"""The bounds that `benchmarks.carry` holds carrying to are those of the vendors' published limits."""

from __future__ import annotations

import pytest

from benchmarks.carry import TARGETS


@pytest.mark.parametrize(
    ("name", "documents", "writes", "seconds"),
    [
        ("onec", 10_000, 15_000, 187.5),  # four at once, 50 ms each, invoices and posted realizations
        ("sap", 10_000, 10_000, 125.0),  # four sessions, 50 ms a change set
        ("quickbooks", 1_660, 1_660, 60.0),  # 40 batches of 30 and 460 other requests in a minute
    ],
)
def test_a_target_cannot_take_documents_sooner_than_its_limits_allow(
    name: str, documents: int, writes: int, seconds: float
) -> None:
    target = next(one for one in TARGETS if one.name == name)
    assert target.bound(documents, writes).seconds == pytest.approx(seconds)
