"""A warehouse whose tables are made, for examples that are rolled back."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from resources.warehouse import Warehouse
from tests.marts.company import deploy_empty


@pytest.fixture(scope="module")
def books(server_url: str, template: str) -> Iterator[Warehouse]:
    """Every table of the road, empty, and the settings of one CRM and one accounting system."""
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"create database money template {template}")
        parts = psycopg.conninfo.conninfo_to_dict(server_url)
        warehouse = Warehouse(
            f"postgresql://{parts['user']}:{parts['password']}@{parts['host']}:{parts['port']}/money"
        )
        deploy_empty(warehouse)
        yield warehouse
        conn.execute("drop database money with (force)")
