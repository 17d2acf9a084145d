"""Databases with the tables of the road, for tests of clients; what a test writes is taken back."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from resources.warehouse import Warehouse
from tests.gate.batch import undone
from tests.identity.records import Records
from tests.marts.company import deploy_empty


@pytest.fixture(scope="module")
def empty_road(server_url: str, template: str) -> Iterator[Warehouse]:
    """Every table of the road without data, one CRM and one accounting system."""
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"create database clients template {template}".encode())
        parts = conninfo_to_dict(server_url)
        warehouse = Warehouse(
            f"postgresql://{parts['user']}:{parts['password']}@{parts['host']}:{parts['port']}/clients"
        )
        deploy_empty(warehouse)
        yield warehouse
        conn.execute("drop database clients with (force)")


@pytest.fixture
def records(empty_road: Warehouse) -> Iterator[Records]:
    """Nothing yet; the test says which records are one client."""
    with undone(empty_road) as conn:
        found = Records(conn)
        found.refresh()
        yield found
