"""A Salesforce stand-in that runs, and a connector of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from resources.crm.salesforce.connector import Salesforce
from tests.salesforce.town import Town, opened
from tests.sandbox_process import running


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with running("--deals", "120", "--no-limits") as sandbox:
        yield Town(sandbox)


@pytest.fixture
def crm(town: Town) -> Iterator[Salesforce]:
    found = opened(town.keys(page=200))
    yield found
    found.close()
    town.sandbox.control("faults", method="DELETE")
