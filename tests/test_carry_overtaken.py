"""Updates that go many at once: one that meets another version than ours is held, and takes nobody's work away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID, uuid4, uuid5

import msgspec
import pytest

from pipelines.operations.carry import carry
from pipelines.operations.compare import differences
from resources.connector import Conflict, Target, Written
from resources.warehouse import Warehouse
from tests.quickbooks.test_quickbooks import Town as QuickBooksTown
from tests.quickbooks.test_quickbooks import body, customer_of
from tests.sandbox_process import Running, running
from tests.sap.town import Town as SapTown
from tests.sap.town import order

encoded = msgspec.json.Encoder(decimal_format="number").encode


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with running("--deals", "20", "--no-limits") as found:
        yield found


def approve(
    warehouse: Warehouse, target: Target, kind: str, action: str, key: str, content: Mapping[str, Any],
    after: UUID | None = None, version: str | None = None,
) -> UUID:  # fmt: skip
    operation = uuid5(UUID(key), f"{action}{encoded(content)!r}")
    with warehouse.transaction() as conn:
        conn.execute(
            "insert into ops.operation (operation_id, target, kind, action, key, body, depends_on, version)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s)",
            [operation, target.system, kind, action, key, encoded(content).decode(),
             [after] if after else [], version],
        )  # fmt: skip
        conn.execute("select ops.move_many(%s::uuid[], 'approved', 'test')", [[operation]])
    return operation


def updates(warehouse: Warehouse) -> list[tuple[str, str]]:
    return warehouse.rows(
        "select state, coalesce(reason, '') from ops.operation where action = 'update' order by planned_at"
    )


def test_an_accountant_s_change_of_an_invoice_outlives_our_update_that_came_later(
    warehouse: Warehouse, sandbox: Running
) -> None:
    town = QuickBooksTown(sandbox)
    books = town.books()
    try:
        number = customer_of(books)
        keys = [str(uuid4()) for _ in range(8)]  # more than go singly
        made = {key: approve(warehouse, books, "realization", "create", key, body(number)) for key in keys}
        assert carry(warehouse, books).verified == {"realization create": 8}
        people = town.books()  # it is changed in QuickBooks since we read it back
        people.update("realization", keys[3], {"TxnDate": "2026-02-11"})
        people.close()
        for key, created in made.items():
            ours = body(number, DueDate="2026-05-01")
            approve(warehouse, books, "realization", "update", key, ours, created)
        carried = carry(warehouse, books)
        assert (carried.verified, carried.held) == ({"realization update": 7}, 1)
        (why,) = [why for state, why in updates(warehouse) if state == "held"]
        assert "somebody changed this realization in quickbooks before our change came" in why
        found = books.find("realization", keys)
        assert found[keys[3]]["TxnDate"] == "2026-02-11", "the accountant's day was overwritten unseen"
        assert {str(found[key]["DueDate"]) for key in keys if key != keys[3]} == {"2026-05-01"}
    finally:
        books.close()


def test_a_clerk_s_lines_of_an_order_outlive_our_update_that_came_later(
    warehouse: Warehouse, sandbox: Running
) -> None:
    sap = SapTown(sandbox).opened()
    try:
        theirs, ours = str(uuid4()), str(uuid4())
        made = {key: approve(warehouse, sap, "order", "create", key, order()) for key in (theirs, ours)}
        assert carry(warehouse, sap).verified == {"order create": 2}
        sap.update("order", theirs, order(3))
        for key, created in made.items():
            approve(warehouse, sap, "order", "update", key, order(2), created)
        carried = carry(warehouse, sap)
        assert (carried.verified, carried.held) == ({"order update": 1}, 1)
        found = sap.find("order", [theirs, ours])
        assert differences(order(3), found[theirs]) == [], "the clerk's lines were overwritten unseen"
        assert differences(order(2), found[ours]) == []
    finally:
        sap.close()


def test_an_update_that_knows_no_version_takes_the_present_one(
    warehouse: Warehouse, sandbox: Running
) -> None:
    """Of a counterparty only what is the CRM's is written, whatever version it has."""
    sap = SapTown(sandbox).opened()
    try:
        key = str(uuid4())
        created = approve(warehouse, sap, "order", "create", key, order())
        carry(warehouse, sap)
        sap.update("order", key, order(3))
        approve(warehouse, sap, "order", "update", key, order(2), created, version="")
        assert carry(warehouse, sap).verified == {"order update": 1}
    finally:
        sap.close()


def test_of_many_each_row_has_its_own_version(sandbox: Running) -> None:
    books, sap = QuickBooksTown(sandbox).books(), SapTown(sandbox).opened()
    try:
        number = customer_of(books)
        for target, kind, before, after in (
            (books, "realization", body(number), body(number, DueDate="2026-05-01")),
            (sap, "order", order(), order(2)),
        ):
            field = target.capabilities.version
            for count in (3, 9):  # singly, and in batches
                keys = [str(uuid4()) for _ in range(count)]
                target.create_many(kind, [(key, before) for key in keys])
                held = target.find(kind, keys)
                versions = [str(held[key][field]) for key in keys]
                for key in keys[2:]:
                    target.update(kind, key, {**before, "PrivateNote": "x"} if target is books else order(3))
                versions[0] = ""
                outcomes = target.update_many(kind, [(key, after) for key in keys], versions)
                assert [type(one) for one in outcomes] == [Written, Written, *[Conflict] * (count - 2)], kind
    finally:
        books.close()
        sap.close()
