"""A Megaplan stand-in that runs, and a connector of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from resources.crm.megaplan.connector import Megaplan
from tests.megaplan.town import Town, opened
from tests.sandbox_process import running


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with running("--deals", "120", "--no-limits") as sandbox:
        yield Town(sandbox)


@pytest.fixture
def crm(town: Town) -> Iterator[Megaplan]:
    found = opened(town.key())
    yield found
    found.close()
    town.sandbox.control("faults", method="DELETE")
