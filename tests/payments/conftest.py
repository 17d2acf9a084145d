"""An empty ledger with two buyers, rolled back after each example."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from resources.warehouse import Connection, Warehouse
from tests.gate.batch import undone
from tests.money.conftest import books
from tests.payments.books import buyers

__all__ = ["books", "ledger"]


@pytest.fixture
def ledger(books: Warehouse) -> Iterator[Connection]:
    with undone(books) as conn:
        buyers(conn)
        yield conn
