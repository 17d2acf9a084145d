"""A Zoho stand-in that runs, and a connector of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from resources.crm.zoho.connector import Zoho
from tests.sandbox_process import running
from tests.zoho.town import Town, opened


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with running("--deals", "90") as sandbox:
        yield Town(sandbox)


@pytest.fixture
def crm(town: Town) -> Iterator[Zoho]:
    usual = town.option()
    found = opened(town)
    yield found
    found.close()
    town.sandbox.control("faults", method="DELETE")
    town.option(**usual)
