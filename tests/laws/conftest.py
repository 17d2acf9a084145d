"""Databases for random histories: a template with everything deployed, copied for each example."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.laws.quick import QuickWarehouse, quick_gate
from tests.laws.town import Town, database

settings.register_profile(
    "laws",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    # Every example is a company of its own: making a failing one smaller takes minutes, and is asked for.
    phases=[phase for phase in Phase if phase is not Phase.shrink or os.environ.get("LAWS_SHRINK")],
)
settings.load_profile("laws")
_numbers = itertools.count(1)


def examples(usual: int) -> int:
    """How many histories: LAWS_TIMES times as many as usual, for a night."""
    return usual * int(os.environ.get("LAWS_TIMES", "1"))


Towns = Callable[[], AbstractContextManager[Town]]


@pytest.fixture(scope="session")
def deployed(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database in which the demo company's tables are made and empty."""
    name = "laws_template"
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"create database {name} template {template} strategy file_copy")
    warehouse = QuickWarehouse(f"{server_url.rsplit('/', 1)[0]}/{name}")
    Town(warehouse, tmp_path_factory.mktemp("first"))
    warehouse.close()
    return name


@pytest.fixture(scope="session")
def towns(server_url: str, deployed: str, tmp_path_factory: pytest.TempPathFactory) -> Towns:
    """Opens a new company, gone when its block ends."""
    folder = tmp_path_factory.mktemp("mappings")

    @contextmanager
    def new() -> Iterator[Town]:
        with database(server_url, deployed, f"laws_{next(_numbers)}") as warehouse, quick_gate():
            yield Town(warehouse, folder)

    return new
