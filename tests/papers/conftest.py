"""The firm of the worked example, made once a file, copied to be changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from resources.warehouse import Warehouse
from tests.marts.fixtures import _database, _read_only, _url
from tests.papers.firm import found_firm


@pytest.fixture(scope="module")
def firm_database(server_url: str, template: str) -> Iterator[str]:
    yield from _database(server_url, template, "papers_firm", found_firm)


@pytest.fixture(scope="module")
def firm(server_url: str, firm_database: str) -> Warehouse:
    """The firm, read-only: all tests of a file share it."""
    return _read_only(server_url, firm_database)


@pytest.fixture
def own_firm(server_url: str, firm_database: str) -> Iterator[Warehouse]:
    """The firm for one test that changes it."""
    for name in _database(server_url, firm_database, f"{firm_database}_copy"):
        yield Warehouse(_url(server_url, name))
