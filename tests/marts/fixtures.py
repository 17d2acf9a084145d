"""Databases for tests of the marts: an empty one and the company, made once a file, copied to be changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import psycopg
import pytest

from resources.warehouse import Connection, Warehouse
from tests.marts.buyers import found_buyers
from tests.marts.company import deploy_empty, found_company, worked_out
from tests.marts.shop import found_basket, found_counter, found_months
from tests.marts.stages import found_stages


class WorkedOut(Warehouse):
    """What a test changes is followed by the tables that marts rest on, as a sync does it."""

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        with worked_out(Warehouse(self.url)) as conn:
            yield conn


@pytest.fixture(scope="module")
def company_database(server_url: str, template: str) -> Iterator[str]:
    """Name of a database with the company in it, to be read or copied."""
    yield from _database(server_url, template, "marts_company", found_company)


@pytest.fixture(scope="module")
def company(server_url: str, company_database: str) -> Warehouse:
    """The company, read-only: all tests of a file share it."""
    return _read_only(server_url, company_database)


@pytest.fixture
def own_company(server_url: str, company_database: str) -> Iterator[Warehouse]:
    """The company for one test that changes it."""
    for name in _database(server_url, company_database, f"{company_database}_copy"):
        yield WorkedOut(_url(server_url, name))


@pytest.fixture(scope="module")
def empty(server_url: str, template: str) -> Iterator[Warehouse]:
    """Tables and marts without data, read-only."""
    for name in _database(server_url, template, "marts_empty", deploy_empty):
        yield _read_only(server_url, name)


@pytest.fixture(scope="module")
def basket_database(server_url: str, template: str) -> Iterator[str]:
    yield from _database(server_url, template, "marts_basket", found_basket)


@pytest.fixture(scope="module")
def basket(server_url: str, basket_database: str) -> Warehouse:
    """What the shop sold together, read-only."""
    return _read_only(server_url, basket_database)


@pytest.fixture
def own_basket(server_url: str, basket_database: str) -> Iterator[Warehouse]:
    """The same for one test that changes it."""
    for name in _database(server_url, basket_database, f"{basket_database}_copy"):
        yield WorkedOut(_url(server_url, name))


@pytest.fixture(scope="module")
def shop_database(server_url: str, template: str) -> Iterator[str]:
    yield from _database(server_url, template, "marts_shop", found_months)


@pytest.fixture(scope="module")
def shop(server_url: str, shop_database: str) -> Warehouse:
    """What the shop sold month by month, read-only."""
    return _read_only(server_url, shop_database)


@pytest.fixture
def own_shop(server_url: str, shop_database: str) -> Iterator[Warehouse]:
    """The same for one test that changes it."""
    for name in _database(server_url, shop_database, f"{shop_database}_copy"):
        yield WorkedOut(_url(server_url, name))


@pytest.fixture(scope="module")
def counter_database(server_url: str, template: str) -> Iterator[str]:
    yield from _database(server_url, template, "marts_counter", found_counter)


@pytest.fixture(scope="module")
def counter(server_url: str, counter_database: str) -> Warehouse:
    """What stands on a seller's counter, read-only."""
    return _read_only(server_url, counter_database)


@pytest.fixture
def own_counter(server_url: str, counter_database: str) -> Iterator[Warehouse]:
    """The same for one test that changes it."""
    for name in _database(server_url, counter_database, f"{counter_database}_copy"):
        yield WorkedOut(_url(server_url, name))


@pytest.fixture(scope="module")
def stages_database(server_url: str, template: str) -> Iterator[str]:
    yield from _database(server_url, template, "marts_stages", found_stages)


@pytest.fixture(scope="module")
def stages(server_url: str, stages_database: str) -> Warehouse:
    """Deals on their way through the stages, read-only."""
    return _read_only(server_url, stages_database)


@pytest.fixture
def own_stages(server_url: str, stages_database: str) -> Iterator[Warehouse]:
    """The same for one test that changes it."""
    for name in _database(server_url, stages_database, f"{stages_database}_copy"):
        yield WorkedOut(_url(server_url, name))


@pytest.fixture(scope="module")
def buyers_database(server_url: str, template: str) -> Iterator[str]:
    yield from _database(server_url, template, "marts_buyers", found_buyers)


@pytest.fixture(scope="module")
def buyers(server_url: str, buyers_database: str) -> Warehouse:
    """Six buyers and what they brought, read-only."""
    return _read_only(server_url, buyers_database)


@pytest.fixture
def own_buyers(server_url: str, buyers_database: str) -> Iterator[Warehouse]:
    """The same for one test that changes it."""
    for name in _database(server_url, buyers_database, f"{buyers_database}_copy"):
        yield WorkedOut(_url(server_url, name))


def _database(
    server_url: str, like: str, name: str, fill: Callable[[Warehouse], None] | None = None
) -> Iterator[str]:
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {like}")
        if fill is not None:
            fill(Warehouse(_url(server_url, name)))
        yield name
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _url(server_url: str, database: str) -> str:
    return f"{server_url.rsplit('/', 1)[0]}/{database}"


def _read_only(server_url: str, database: str) -> Warehouse:
    return Warehouse(f"{_url(server_url, database)}?options=-cdefault_transaction_read_only%3Don")
