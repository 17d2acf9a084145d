"""Of our organizations the money of one pays nothing that is owed to another; what is not known goes by the rest."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pipelines.refresh import refresh
from pipelines.table import tables
from resources.warehouse import Connection, Warehouse
from tests.gate.batch import undone
from tests.marts.company import BOOKS
from tests.money.test_lines import put

BUYER, ROUBLE = "onec:buyer", "onec:643"
HERE, THERE = "onec:here", "onec:there"


def owed(conn: Connection, **amounts: tuple[str | None, int]) -> None:
    for day, (name, (organization, amount)) in enumerate(amounts.items(), 1):
        put(conn, "ledger.obligation", document_key=name, kind="invoice", counterparty_key=BUYER, currency_key=ROUBLE,
            organization_key=organization, document_date=f"2026-03-{day:02}", amount=amount)  # fmt: skip


def paid(conn: Connection, **amounts: tuple[str | None, int]) -> None:
    for day, (name, (organization, amount)) in enumerate(amounts.items(), 1):
        put(conn, "ledger.payment", payment_key=name, **BOOKS, source_id=name, kind="receipt", is_posted=True,
            paid_on=f"2026-04-{day:02}", counterparty_key=BUYER, currency_key=ROUBLE, organization_key=organization,
            amount=amount)  # fmt: skip


def allocated(conn: Connection) -> set[tuple[str, str, str, Decimal]]:
    refresh(conn, tables()["ledger.allocation"], everything=True)
    rows = conn.execute("select payment_key, document_key, rule, amount from ledger.allocation").fetchall()
    assert len({row[:3] for row in rows}) == len(rows)
    return set(rows)


@pytest.fixture
def ledger(books: Warehouse) -> Any:
    with undone(books) as conn:
        yield conn


def test_each_organization_is_paid_by_its_own_money_oldest_first(ledger: Connection) -> None:
    owed(ledger, first=(THERE, 70), second=(HERE, 50), third=(HERE, 50))
    paid(ledger, p1=(HERE, 60), p2=(THERE, 100))
    assert allocated(ledger) == {
        ("p1", "second", "oldest", 50), ("p1", "third", "oldest", 10), ("p2", "first", "oldest", 70),
    }  # fmt: skip


def test_an_equal_sum_of_another_organization_is_not_the_one(ledger: Connection) -> None:
    owed(ledger, ours=(HERE, 50), others=(THERE, 50))
    paid(ledger, p1=(THERE, 50))
    assert allocated(ledger) == {("p1", "others", "exact", 50)}


def test_what_is_not_known_is_settled_after_what_is_and_by_the_rest(ledger: Connection) -> None:
    owed(ledger, unknown=(None, 30), ours=(HERE, 50), others=(THERE, 40))
    paid(ledger, p1=(None, 100), p2=(HERE, 65))
    assert allocated(ledger) == {
        ("p2", "ours", "oldest", 50),  # its own
        ("p1", "unknown", "oldest", 30),  # both not known
        ("p1", "others", "oldest", 40),  # the rest
    }


def test_money_of_one_organization_pays_what_names_none(ledger: Connection) -> None:
    owed(ledger, unknown=(None, 30), others=(THERE, 40))
    paid(ledger, p1=(HERE, 65))
    assert allocated(ledger) == {("p1", "unknown", "oldest", 30)}
