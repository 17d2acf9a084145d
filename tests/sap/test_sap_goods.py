"""Prices and stock of SAP: what is worked out of their rows, and a long list read a page at a time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from resources.accounting.sap import Sap
from resources.accounting.sap.goods import lifted
from resources.connector import KeepsPlaces, Page
from tests.sap.gateway import Gateway, Row, ms, opened, read

MORNING, NOON = datetime(2026, 6, 1, 8, tzinfo=UTC), datetime(2026, 6, 1, 12, tzinfo=UTC)
NEXT_DAY = datetime(2026, 6, 2, 8, tzinfo=UTC)
FOR_EVER = ms(9999, 12, 31)


def price(number: int, rate: str = "100.000000000", **more: Any) -> Row:
    record = {"ConditionRateValue": rate, "ConditionRateValueUnit": "RUB", "ConditionQuantity": "1", "ConditionQuantityUnit": "PC",
              "ConditionIsDeleted": False}  # fmt: skip
    return {
        "ConditionRecord": f"{number:010}", "ConditionValidityEndDate": f"/Date({FOR_EVER})/",
        "ConditionValidityStartDate": f"/Date({ms(2026, 2, 10)})/", "ConditionType": "PPR0", "Material": f"TG{number}",
        "Customer": "", "to_SlsPrcgConditionRecord": record, **more,
    }  # fmt: skip


def stored(material: str, *parts: tuple[str, str, str, str]) -> Row:
    """Of a product its stock: (plant, type, special stock, quantity)."""
    names = ("Plant", "InventoryStockType", "InventorySpecialStockType", "MatlWrhsStkQtyInMatlBaseUnit")
    return {
        "Material": material,
        "to_MatlStkInAcctMod": {"results": [dict(zip(names, p, strict=True)) for p in parts]},
    }


def body(sap: Sap, entity: str, key: str) -> Row:
    found: Row = json.loads(read(sap, entity)[key].payload)
    return found


KEY = "0000000001/9999-12-31"


@pytest.mark.parametrize("shown", ["object", "list", "beside"])
def test_a_price_has_the_amount_of_its_condition_record_whichever_way_it_came(shown: str) -> None:
    gateway, row = Gateway(), price(1)
    record = row["to_SlsPrcgConditionRecord"]
    if shown == "list":
        row["to_SlsPrcgConditionRecord"] = {"results": [record]}
    elif shown == "beside":
        row |= {"to_SlsPrcgConditionRecord": {"__deferred": {"uri": "x"}}, **record}
    gateway.rows["A_SlsPrcgCndnRecdValidity"] = [row]
    found = body(opened(gateway), "price", KEY)
    assert found["ConditionRateValue"] == "100.000000000"
    assert (found["PriceType"], found["PriceCurrency"], found["PriceUnit"], found["PricedUnits"], found["IsDeleted"]) == (
        "PPR0", "RUB", "PC", "1", False,
    )  # fmt: skip
    assert found["ConditionValidityStartDate"] == "2026-02-10T00:00:00"


@pytest.mark.parametrize(
    ("more", "kind"),
    [({}, "PPR0"), ({"Customer": "10100001"}, "PPR0 10100001"), ({"CustomerPriceGroup": "02"}, "PPR0 02")],
)
def test_a_price_of_one_customer_or_group_is_of_another_type(more: Row, kind: str) -> None:
    gateway = Gateway()
    gateway.rows["A_SlsPrcgCndnRecdValidity"] = [price(1, **more)]
    assert body(opened(gateway), "price", KEY)["PriceType"] == kind


def test_a_rate_of_several_units_says_of_how_many() -> None:
    gateway, row = Gateway(), price(1, "1000.00")
    row["to_SlsPrcgConditionRecord"] |= {"ConditionQuantity": "100", "ConditionIsDeleted": True}
    gateway.rows["A_SlsPrcgCndnRecdValidity"] = [row]
    found = body(opened(gateway), "price", KEY)
    assert (found["PricedUnits"], found["IsDeleted"]) == ("100", True)


def test_an_amount_that_cannot_be_read_is_set_apart() -> None:
    gateway = Gateway()
    gateway.rows["A_SlsPrcgCndnRecdValidity"] = [price(1, "1.670,00"), price(2)]
    gateway.rows["A_MaterialStock"] = [
        stored("TG1", ("1010", "01", "", "viel")),
        stored("TG2", ("1010", "01", "", "5")),
    ]
    sap = opened(gateway)
    for entity, field in (("price", "ConditionRateValue"), ("stock", "MatlWrhsStkQtyInMatlBaseUnit")):
        (page,) = sap.read([entity], None, NOON)
        assert len(page.records) == 1
        assert field in page.rejects[0].reason


def test_stock_is_that_which_is_ours_and_free_added_up_by_plant() -> None:
    gateway = Gateway()
    gateway.rows["A_MaterialStock"] = [
        stored(
            "TG1", ("1010", "01", "", "5.000"), ("1010", "01", "", "2.5"), ("1010", "02", "", "7"), ("1010", "01", "E", "9"),
            ("1020", "01", "", "3.000-"), ("1030", "04", "", "1"),
        ),
        stored("TG2"),
    ]  # fmt: skip
    found = {key: json.loads(record.payload) for key, record in read(opened(gateway), "stock").items()}
    assert {key: row["MatlWrhsStkQtyInMatlBaseUnit"] for key, row in found.items()} == {
        "TG1/1010": "7.500", "TG1/1020": "-3.000", "TG1/1030": "0",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("entity", "rows"), [("price", "A_SlsPrcgCndnRecdValidity"), ("stock", "A_MaterialStock")]
)
def test_what_a_page_holds_comes_whole_with_one_request(entity: str, rows: str) -> None:
    gateway = Gateway()
    gateway.rows[rows] = [price(n) | stored(f"TG{n}", ("1010", "01", "", "1")) for n in range(1, 10)]
    sap = opened(gateway, page=10)
    (page,) = sap.read([entity], MORNING, NOON)
    assert page.complete
    assert len(page.records) == 9
    assert len(gateway.asked) == 1


def turn(sap: Sap, entity: str, since: datetime = MORNING, until: datetime = NOON) -> Page:
    """A read, and what is kept of it for the next one."""
    (page,) = sap.read([entity], since, until)
    sap.known_places = {**sap.known_places, **sap.places}
    return page


@pytest.mark.parametrize("most", [1000, 4])
@pytest.mark.parametrize(
    ("entity", "rows"), [("price", "A_SlsPrcgCndnRecdValidity"), ("stock", "A_MaterialStock")]
)
def test_a_longer_list_is_read_a_page_at_a_time_in_turn(entity: str, rows: str, most: int) -> None:
    gateway = Gateway(most=most)
    gateway.rows[rows] = [price(n) | stored(f"TG{n:03}", ("1010", "01", "", "1")) for n in range(25)]
    sap = opened(gateway, page=10)
    assert isinstance(sap, KeepsPlaces)
    met: list[str] = []
    turns = 3 if most == 1000 else 7
    for _ in range(turns):
        gateway.asked.clear()
        page = turn(sap, entity)
        assert len(gateway.asked) == 1
        assert not page.complete
        met += [record.source_id for record in page.records]
    assert len(met) == len(set(met)) == 25
    again = turn(sap, entity)
    assert [record.source_id for record in again.records] == met[: len(again.records)]


def test_of_a_product_that_is_in_turn_all_its_plants_are_told() -> None:
    gateway = Gateway()
    gateway.rows["A_MaterialStock"] = [stored(f"TG{n:03}", ("1010", "01", "", "1")) for n in range(25)]
    page = turn(opened(gateway, page=10), "stock")
    assert page.complete_parents == [f"TG{n:03}" for n in range(10)]
    assert {record.parent_id for record in page.records} == set(page.complete_parents)


def test_the_first_read_of_a_day_is_whole() -> None:
    gateway = Gateway()
    gateway.rows["A_SlsPrcgCndnRecdValidity"] = [price(n) for n in range(25)]
    page = turn(opened(gateway, page=10), "price", NOON, NEXT_DAY)
    assert page.complete
    assert len(page.records) == 25


def test_the_shape_of_a_price_has_the_fields_of_its_condition_record() -> None:
    known = {"Material": "Edm.String", "to_SlsPrcgConditionRecord": "Navigation",
             "to_SlsPrcgConditionRecord/ConditionRateValue": "Edm.Decimal"}  # fmt: skip
    assert lifted("price", known)["ConditionRateValue"] == "Edm.Decimal"
    del known["to_SlsPrcgConditionRecord/ConditionRateValue"]
    assert "ConditionRateValue" not in lifted("price", known)
    assert lifted("order", known) == known
