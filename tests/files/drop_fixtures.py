"""A drop folder for a test, over one database for all tests of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from resources.warehouse import Warehouse
from tests.files.drop_folder import Folder, Make, numbers


@pytest.fixture(scope="module")
def store(server_url: str, template: str, request: pytest.FixtureRequest) -> Warehouse:
    """One database for all tests of a file; each has a system of its own in it."""
    name = request.module.__name__.rpartition(".")[2]
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"create database {name} template {template}")
    return Warehouse(f"{server_url.rsplit('/', 1)[0]}/{name}")


@pytest.fixture
def folder(tmp_path: Path, store: Warehouse) -> Make:
    def make(**options: Any) -> Folder:
        table = {"pattern": "*.csv", "key": ["ID"], "mode": "append", **options}
        return Folder(tmp_path, store, f"branch{next(numbers)}", table)

    return make
