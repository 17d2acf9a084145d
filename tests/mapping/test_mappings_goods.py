"""Prices and stock through the ready mapping files: what each accounting system says of them becomes one form."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mappings import load
from resources.warehouse import Warehouse
from tests.mapping.mapping_road import ENVIRON, MAPPINGS, Road, crm, open_road

EMPTY = "00000000-0000-0000-0000-000000000000"
GOODS, STORE = "StandardODATA.Catalog_Номенклатура", "StandardODATA.Catalog_Склады"
SET = {**ENVIRON, "SVERKA_ONEC_USER": "u", "SVERKA_ONEC_PASSWORD": "p"}
PRICES, STOCK = "core.accounting_price", "ledger.stock"

Opened = Callable[[str], Any]


@pytest.fixture
def opened(warehouse: Warehouse, tmp_path: Path) -> Opened:
    @contextmanager
    def open_file(name: str) -> Iterator[Road]:
        shutil.copy(MAPPINGS / "accounting" / f"{name}.yaml", tmp_path)
        road = open_road(warehouse, load(tmp_path, SET, connected=False).accounting(), PRICES, STOCK)
        try:
            yield road
        finally:
            road.conn.close()

    return open_file


def priced(period: str, product: str, kind: str, price: float, **more: Any) -> tuple[str, dict[str, Any]]:
    """A row of 1C's register as the connector tells of it."""
    series = f"{product}:{kind}" + (
        f":{more['Характеристика_Key']}" if more.get("Характеристика_Key") else ""
    )
    row = {"Period": period, "Номенклатура_Key": product, "Цена": price, "Series": series, "Type": kind,
           "Day": f"{period[:10]}T00:00:00", **more}  # fmt: skip
    return f"{period}:{series}", row


def prices(road: Road) -> list[tuple[Any, ...]]:
    road.refresh(PRICES)
    return [
        (row["product_key"], row["price_type"], row["valid_from"], row["price"], row["currency_key"])
        for row in road.rows(PRICES)
        if not row["is_deleted"]
    ]


def test_of_several_prices_of_one_day_the_last_one_holds(opened: Opened) -> None:
    with opened("onec") as road:
        road.put("price_type", "t", {"Description": "Основная цена", "ВалютаЦены_Key": "rub"})
        for clock, price in (("09:00:00", 100), ("15:00:00", 110.5)):
            road.put("price", *priced(f"2026-02-10T{clock}", "p", "t", price, Active=True))
        road.put("price", *priced("2026-03-01T00:00:00", "p", "t", 120, Active=True, Валюта_Key="usd"))
        road.put("price", *priced("2026-04-01T00:00:00", "p", "t", 999, Active=False))
        assert prices(road) == [
            ("onec:p", "Основная цена", date(2026, 2, 10), Decimal("110.5"), "onec:rub"),
            ("onec:p", "Основная цена", date(2026, 3, 1), Decimal(120), "onec:usd"),
        ]
        key, row = priced("2026-02-10T15:00:00", "p", "t", 110.5, Active=True)
        road.put("price", key, None)  # taken back: that of the morning holds
        assert prices(road)[0][3] == Decimal(100)
        assert row["Day"] == "2026-02-10T00:00:00"
        assert [row["problems"] for row in road.rows(PRICES)] == [[], []]


def test_a_price_type_that_is_not_published_is_called_by_its_key(opened: Opened) -> None:
    with opened("onec") as road:
        road.put("price", *priced("2026-02-10T00:00:00", "p", "t", 100, Валюта_Key="rub"))
        assert prices(road) == [("onec:p", "t", date(2026, 2, 10), Decimal(100), "onec:rub")]


def test_stock_of_the_ledger_is_found_wherever_the_item_stands_among_the_subconto(opened: Opened) -> None:
    with opened("onec") as road:
        one = {
            "ExtDimension1": "p",
            "ExtDimension1_Type": GOODS,
            "ExtDimension2": "w",
            "ExtDimension2_Type": STORE,
        }
        other = {
            "ExtDimension1": "w",
            "ExtDimension1_Type": STORE,
            "ExtDimension2": "p",
            "ExtDimension2_Type": GOODS,
        }
        road.put("stock", "a", {**one, "КоличествоBalance": 10, "СуммаBalance": 700.5})
        road.put("stock", "b", {**other, "КоличествоBalance": -3, "СуммаBalance": -210})
        road.put(
            "stock",
            "c",
            {
                "ExtDimension1": "x",
                "ExtDimension1_Type": "StandardODATA.Catalog_Прочее",
                "КоличествоBalance": 1,
            },
        )
        road.refresh(STOCK)
        assert [
            (r["product_key"], r["warehouse_key"], r["quantity"], r["reserved"], r["cost"]) for r in road.rows(STOCK)
        ] == [
            ("onec:p", "onec:w", Decimal(10), None, Decimal("700.5")),
            ("onec:p", "onec:w", Decimal(-3), None, Decimal(-210)),
        ]  # fmt: skip


def test_prices_of_trade_name_their_unit_and_variety(opened: Opened) -> None:
    with opened("onec_trade") as road:
        road.put("price_type", "t", {"Description": "Розничная"})
        road.put(
            "price",
            *priced(
                "2026-02-10T00:00:00",
                "p",
                "t",
                100,
                Валюта_Key="rub",
                Характеристика_Key=EMPTY,
                Упаковка_Key=EMPTY,
            ),
        )
        road.put(
            "price",
            *priced(
                "2026-02-10T00:00:00",
                "p",
                "t",
                90,
                Валюта_Key="rub",
                Характеристика_Key="red",
                Упаковка_Key="box",
            ),
        )
        road.refresh(PRICES)
        assert [(r["price"], r["unit_key"], r["characteristic_key"]) for r in road.rows(PRICES)] == [
            (Decimal(100), None, None), (Decimal(90), "onec_trade:box", "red"),
        ]  # fmt: skip


def test_stock_of_trade_says_what_lies_there_and_what_of_it_is_kept(opened: Opened) -> None:
    def at(product: str, store: str = "w", **more: float) -> dict[str, Any]:
        return {"Номенклатура_Key": product, "Склад_Key": store, "Характеристика_Key": EMPTY, **more}

    with opened("onec_trade") as road:
        road.put("stock", "a", at("p", ВНаличииBalance=10, КОтгрузкеBalance=0))
        road.put("stock", "b", at("q", ВНаличииBalance=-2))
        road.put("free_stock", "a", at("p", ВНаличииBalance=10, ВРезервеСоСкладаBalance=4))
        road.put("free_stock", "c", at("r", ВНаличииBalance=0, ВРезервеСоСкладаBalance=1))

        def told() -> list[tuple[Any, ...]]:
            road.refresh(STOCK)
            rows = [r for r in road.rows(STOCK) if not r["is_deleted"]]
            return sorted((r["product_key"][-1], r["quantity"], r["reserved"]) for r in rows)

        assert told() == [("p", 10, 4), ("q", -2, None), ("r", 0, 1)]
        road.put("free_stock", "a", at("p", ВНаличииBalance=10, ВРезервеСоСкладаBalance=7))
        assert told()[0] == ("p", 10, 7)
        road.put("free_stock", "a", None)
        assert told()[0] == ("p", 10, None)
        road.put("stock", "c", at("r", ВНаличииBalance=5))
        assert told()[2] == ("r", 5, 1)
        road.put("stock", "c", None)
        assert told()[2] == ("r", 0, 1)


def test_a_price_of_a_small_firm_that_is_no_longer_in_force_is_none_from_that_day_on(opened: Opened) -> None:
    with opened("onec_small_firm") as road:
        road.put("price_type", "t", {"Description": "Оптовая", "ВалютаЦены_Key": "rub"})
        road.put(
            "price",
            *priced("2026-02-10T00:00:00", "p", "t", 100, Актуальность=True, ЕдиницаИзмерения_Key="796"),
        )
        road.put("price", *priced("2026-03-01T00:00:00", "p", "t", 100, Актуальность=False))
        assert [row[2:4] for row in prices(road)] == [
            (date(2026, 2, 10), Decimal(100)),
            (date(2026, 3, 1), None),
        ]
        assert [row["problems"] for row in road.rows(PRICES)] == [[], []]
        store = {
            "Номенклатура_Key": "p",
            "СтруктурнаяЕдиница_Key": "w",
            "Характеристика_Key": EMPTY,
            "КоличествоBalance": 2.5,
        }
        road.put("stock", "a", store)
        road.refresh(STOCK)
        stock = road.row(STOCK)
        assert (stock["product_key"][-1], stock["warehouse_key"], stock["quantity"]) == (
            "p",
            "onec_small_firm:w",
            Decimal("2.5"),
        )


def test_a_price_of_sap_is_of_one_unit_and_ends_with_its_validity(opened: Opened) -> None:
    whole = {
        "Material": "TG1", "PriceType": "PPR0", "ConditionValidityStartDate": "2026-02-10T00:00:00",
        "ConditionValidityEndDate": "9999-12-31T00:00:00", "ConditionRateValue": "1000.000000000", "PricedUnits": "3",
        "PriceCurrency": "RUB", "PriceUnit": "PC", "IsDeleted": False,
    }  # fmt: skip
    with opened("sap") as road:
        road.put("price", "1/9999-12-31", whole)
        road.put(
            "price",
            "2/2026-01-31",
            {**whole, "ConditionValidityEndDate": "2026-01-31T00:00:00", "IsDeleted": True},
        )
        road.put("price", "3/9999-12-31", {**whole, "Material": ""})
        road.put(
            "stock",
            "TG1/1010",
            {"Material": "TG1", "Plant": "1010", "MatlWrhsStkQtyInMatlBaseUnit": "-3.000"},
            parent="TG1",
        )
        road.refresh(PRICES)
        road.refresh(STOCK)
        first, second = road.rows(PRICES)
        assert (first["price"], first["stated_price"], first["stated_units"]) == (
            Decimal("333.3333"),
            1000,
            3,
        )
        assert (first["product_key"], first["currency_key"], first["unit_key"]) == (
            "sap:TG1",
            "sap:RUB",
            "sap:PC",
        )
        assert (first["valid_to"], second["valid_to"], second["is_deleted"]) == (
            None,
            date(2026, 1, 31),
            True,
        )
        stock = road.row(STOCK)
        assert (stock["product_key"], stock["warehouse_key"], stock["quantity"]) == (
            "sap:TG1",
            "sap:1010",
            Decimal(-3),
        )


def test_an_item_of_quickbooks_has_a_price_and_a_stock(opened: Opened) -> None:
    item = {"Id": "11", "Name": "Pump", "UnitPrice": 15.25, "TrackQtyOnHand": True, "QtyOnHand": -2,
            "MetaData": {"CreateTime": "2026-01-05T23:42:38-07:00"}}  # fmt: skip
    with opened("quickbooks") as road:
        road.put("product", "11", item)
        road.put(
            "product",
            "12",
            {"Id": "12", "Name": "Hours", "TrackQtyOnHand": False, "MetaData": item["MetaData"]},
        )
        road.refresh(PRICES)
        road.refresh(STOCK)
        price, stock = road.row(PRICES), road.row(STOCK)
        assert (price["product_key"], price["price"], price["currency_key"]) == (
            "quickbooks:11",
            Decimal("15.25"),
            "quickbooks:RUB",
        )
        assert (price["price_type"], price["is_dated"], price["valid_from"]) == (
            "Sales price",
            False,
            date(2026, 1, 5),
        )
        assert (stock["quantity"], stock["warehouse_key"], stock["reserved"], stock["cost"]) == (
            Decimal(-2),
            None,
            None,
            None,
        )


def test_a_crm_says_which_list_goes_with_which_type(tmp_path: Path) -> None:
    from mappings import MappingError
    from mappings.rules import settings

    system = crm(tmp_path / "good", "prices: [{list: BASE, type: Основная}, {type: PPR0, adds_vat: true}]\n")
    assert settings(system)["price_types"] == [
        {"list": "BASE", "type": "Основная", "adds_vat": False},
        {"list": None, "type": "PPR0", "adds_vat": True},
    ]
    with pytest.raises(MappingError, match="given twice"):
        crm(tmp_path / "bad", "prices: [{list: BASE}, {list: BASE, adds_vat: true}]\n")
