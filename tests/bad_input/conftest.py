"""One small company for the package: its sandbox runs once, its warehouse is carried once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

import resources.http
from resources.warehouse import Warehouse
from tests.whole_road import Company, company

SECRETS = ("sverka-test-secret", "wrong-password")
_numbers = itertools.count(1)


@pytest.fixture(scope="package")
def fresh(server_url: str, template: str) -> Iterator[Callable[[], Warehouse]]:
    """Makes a migrated, empty warehouse; they all go with the server."""
    with ExitStack() as stack:

        def make() -> Warehouse:
            name = f"bad_input_{next(_numbers)}"
            with psycopg.connect(server_url, autocommit=True) as conn:
                conn.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
            made = Warehouse(f"{server_url.rsplit('/', 1)[0]}/{name}")
            stack.enter_context(made.kept())
            return made

        yield make


@pytest.fixture(scope="package")
def town(fresh: Callable[[], Warehouse], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """A company of 60 deals and the branch's files, not yet read."""
    with company(fresh(), tmp_path_factory.mktemp("town"), "--deals", "60", "--no-limits") as found:
        yield found


@pytest.fixture(scope="package")
def carried(town: Company) -> Company:
    """The same, carried once into 1C."""
    done = town.sync()
    assert done.errors == []
    assert done.carried.rejected == done.carried.uncertain == done.carried.put_back == 0
    return town


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries as ever, with hardly a pause between them."""
    monkeypatch.setattr(resources.http, "FIRST_PAUSE", 0.01)


@contextmanager
def faults(town: Company, *rules: dict[str, object]) -> Iterator[None]:
    """Failures on order while the block runs."""
    for rule in rules:
        town.sandbox.control("faults", {"times": None, **rule})
    try:
        yield
    finally:
        town.sandbox.control("faults", method="DELETE")


def assert_says(message: str, *words: str, town: Company) -> None:
    """The message names all of these, and none of the company's secrets."""
    for word in words:
        assert word in message, message
    for secret in (town.sandbox.info["bitrix24"]["secret"], *SECRETS):
        assert secret not in message, message
