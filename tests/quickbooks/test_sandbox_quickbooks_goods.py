"""Prices and stock in the stand-in of QuickBooks: items that drifted, goods that come in, what a sale touches."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.quickbooks.sandbox_client import Realm
from tests.sandbox_process import running


@pytest.fixture(scope="module")
def realm() -> Iterator[Realm]:
    with running("--deals", "60", "--no-limits") as sandbox:
        yield Realm(sandbox)


def acts(realm: Realm, act: str) -> list[dict[str, Any]]:
    return [said for said in realm.control()["acts"].values() if said["act"] == act]


def test_a_few_items_cost_something_else_since_the_day_that_the_truth_says(realm: Realm) -> None:
    drifts = acts(realm, "price_drift")
    assert len(drifts) >= 2
    for said in drifts:
        row = realm.read("Item", said["document"])
        assert Decimal(str(row["UnitPrice"])) == Decimal(said["accounting"]) != Decimal(said["crm"])
        assert row["MetaData"]["LastUpdatedTime"][:10] == said["since"]
        assert row["SyncToken"] == "1"
    prices = realm.control()["prices"]
    assert all(Decimal(prices[said["document"]]) == Decimal(said["accounting"]) for said in drifts)


def test_a_new_price_is_a_new_version_of_the_item(realm: Realm) -> None:
    item = realm.read("Item", realm.item("Inventory"))
    realm.do("price", document=item["Id"], price="77.70")
    after = realm.read("Item", item["Id"])
    assert after["UnitPrice"] == Decimal("77.7")
    assert int(after["SyncToken"]) == int(item["SyncToken"]) + 1
    assert after["QtyOnHand"] == item["QtyOnHand"]


def test_goods_that_come_in_are_owed_for(realm: Realm) -> None:
    item, before = realm.read("Item", realm.item("Inventory")), realm.accounts()
    realm.do("receive", document=item["Id"], quantity="3", cost="20.00")
    after = realm.accounts()
    assert realm.read("Item", item["Id"])["QtyOnHand"] == item["QtyOnHand"] + 3
    nothing = Decimal(0)
    changed = [after.get(key, nothing) - before.get(key, nothing) for key in {*before, *after}]
    moved = sorted(abs(amount) for amount in changed if amount)
    assert moved == [60, 60]
    assert realm.control()["balanced"]


def test_a_sale_of_more_than_there_is_leaves_less_than_nothing(realm: Realm) -> None:
    item = realm.read("Item", realm.item("Inventory"))
    amount = item["QtyOnHand"] + 2
    line = realm.line(str(amount * 2), item=item["Id"], Qty=amount, UnitPrice=2)
    row = realm.write("Invoice", realm.invoice(Line=[line]))
    assert realm.read("Item", item["Id"])["QtyOnHand"] == -2
    realm.write("Invoice", {"Id": row["Id"], "SyncToken": row["SyncToken"]}, operation="delete")


@pytest.mark.parametrize(("reading", "token"), [("time", 0), ("token", 1), ("nothing", 0)])
def test_what_a_sale_does_to_its_items_is_a_reading(realm: Realm, reading: str, token: int) -> None:
    item = realm.read("Item", realm.item("Inventory"))
    realm.option(stock_touches=reading)
    try:
        realm.write("Invoice", realm.invoice(Line=[realm.line("2.00", item=item["Id"], Qty=1, UnitPrice=2)]))
    finally:
        realm.option(stock_touches="time")
    after = realm.read("Item", item["Id"])
    assert after["QtyOnHand"] == item["QtyOnHand"] - 1
    assert int(after["SyncToken"]) - int(item["SyncToken"]) == token
    if reading == "nothing":
        assert after["MetaData"] == item["MetaData"]
