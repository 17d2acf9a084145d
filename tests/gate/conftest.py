"""Stages for the tests of the gate."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from resources.warehouse import Warehouse
from tests.gate.batch import create


@pytest.fixture
def stage(warehouse: Warehouse) -> Warehouse:
    """The warehouse with the tables around the gate, empty."""
    with warehouse.transaction() as conn:
        create(conn)
    return warehouse


@pytest.fixture(scope="module")
def module_stage(server_url: str, template: str) -> Iterator[Warehouse]:
    """As `stage`, for tests that leave nothing behind."""
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"create database gate template {template}")
        url = psycopg.conninfo.make_conninfo(server_url, dbname="gate")
        parts = psycopg.conninfo.conninfo_to_dict(url)
        warehouse = Warehouse(
            f"postgresql://{parts['user']}:{parts['password']}@{parts['host']}:{parts['port']}/gate"
        )
        with warehouse.transaction() as prepared:
            create(prepared)
        yield warehouse
        conn.execute("drop database gate with (force)")
