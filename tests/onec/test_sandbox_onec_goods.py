"""Prices and stock in the sandbox's 1C bases: lists that drifted, goods that come and go, readings that differ."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.onec.town import EDM, REGISTER, SALE, Town, sale
from tests.onec.town import buyer as buyer
from tests.onec.town import office as office

PRODUCTS, PRICES = "Catalog_Номенклатура", "InformationRegister_ЦеныНоменклатуры"
RECORDS, FREE = f"{PRICES}_RecordType", "AccumulationRegister_СвободныеОстатки"
STOCK_OF = {
    # base: balance, quantity, place
    "onec-trade": ("AccumulationRegister_ТоварыНаСкладах/Balance", "ВНаличииBalance", "Склад_Key"),
    "onec-smallfirm": (
        "AccumulationRegister_ЗапасыНаСкладах/Balance",
        "КоличествоBalance",
        "СтруктурнаяЕдиница_Key",
    ),
}
KINDS = {
    "onec": "Catalog_ТипыЦенНоменклатуры",
    "onec-trade": "Catalog_ВидыЦен",
    "onec-smallfirm": "Catalog_ВидыЦен",
}
KIND_OF = {"onec": "ТипЦен_Key", "onec-trade": "ВидЦены_Key", "onec-smallfirm": "ВидЦен_Key"}
Said = dict[str, Any]


class Bases:
    """The three bases of one sandbox, each asked by its name."""

    def __init__(self, folder: Path) -> None:
        self.town = Town(folder)
        self.towns: dict[str, Town] = {}
        for name in KINDS:
            town = object.__new__(Town)
            town.url = self.town.url
            root = f"{town.url}/{name}/odata/standard.odata/"
            town.http = httpx.Client(base_url=root, auth=("sverka", "sverka"), timeout=30)
            self.towns[name] = town

    def rows(self, name: str, path: str, **options: Any) -> list[Said]:
        return self.towns[name].rows(path, **options)

    def truth(self, name: str, act: str) -> list[Said]:
        found = httpx.get(f"{self.town.url}/control/onec/truth/{name}").json()
        return [said for said in found.values() if said["act"] == act]

    def do(self, name: str, act: str, **said: Any) -> Said:
        answer = httpx.post(f"{self.town.url}/control/onec/do", json={"where": name, "act": act, **said})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def read_as(self, name: str, **readings: str) -> httpx.Response:
        return httpx.post(f"{self.town.url}/control/onec", json={"where": name, "readings": readings})

    def forget(self, name: str) -> None:
        httpx.request("DELETE", f"{self.town.url}/control/onec", json={"where": name}).raise_for_status()

    def prices(self, name: str, day: str = "") -> dict[tuple[str, str], Decimal]:
        """The price by product and name of the list, of a day or of now."""
        period = f"(Period=datetime'{day}T23:59:59')" if day else ""
        lists = {row["Ref_Key"]: row["Description"] for row in self.rows(name, KINDS[name])}
        return {
            (row["Номенклатура_Key"], lists[row[KIND_OF[name]]]): Decimal(str(row["Цена"]))
            for row in self.rows(name, f"{PRICES}/SliceLast{period}")
        }

    def stock(self, name: str, product: str) -> dict[str, Decimal]:
        """What lies at each place of a product."""
        if name == "onec":
            asked = f"{REGISTER}/Balance(AccountCondition='Account/Code eq ''41.01''')"
            rows = [row for row in self.rows(name, asked) if row["ExtDimension1"] == product]
            return {row["ExtDimension3"]: Decimal(str(row["КоличествоBalance"])) for row in rows}
        path, quantity, place = STOCK_OF[name]
        rows = self.rows(name, path, filter=f"Номенклатура_Key eq guid'{product}'")
        return {row[place]: Decimal(str(row[quantity])) for row in rows}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bases]:
    built = Bases(tmp_path_factory.mktemp("goods"))
    try:
        yield built
    finally:
        for town in built.towns.values():
            town.http.close()
        built.town.stop()


@pytest.fixture(scope="module")
def town(bases: Bases) -> Town:
    """The base of accounting, as the fixtures of `town` ask for it."""
    return bases.towns["onec"]


def goods_of(bases: Bases, name: str) -> list[str]:
    flag = "Услуга eq false and IsFolder eq false" if name == "onec" else "ТипНоменклатуры ne 'Услуга'"
    return [row["Ref_Key"] for row in bases.rows(name, PRODUCTS, filter=flag)]


@pytest.mark.parametrize("name", list(KINDS))
def test_a_few_prices_differ_from_the_crms_since_the_day_that_the_truth_says(bases: Bases, name: str) -> None:
    drifts = bases.truth(name, "price_drift")
    assert 3 <= len({said["document"] for said in drifts}) < len(goods_of(bases, name)) / 2
    now = bases.prices(name)
    for said in drifts:
        place = (said["document"], said["price_list"])
        assert now[place] == Decimal(said["accounting"]) != Decimal(said["crm"])
        before = date.fromordinal(date.fromisoformat(said["since"]).toordinal() - 1)
        assert bases.prices(name, before.isoformat())[place] == Decimal(said["crm"])
        assert bases.prices(name, said["since"])[place] == Decimal(said["accounting"])


@pytest.mark.parametrize("name", list(KINDS))
def test_every_other_price_is_the_crms_own_and_services_have_no_wholesale_price(
    bases: Bases, name: str
) -> None:
    drifted = {(said["document"], said["price_list"]) for said in bases.truth(name, "price_drift")}
    prices, goods = bases.prices(name), set(goods_of(bases, name))
    assert {product for product, price_list in prices if price_list == "Оптовая"} == goods
    for product in goods:
        if not {(product, "Розничная"), (product, "Оптовая")} & drifted:
            assert prices[product, "Оптовая"] == (prices[product, "Розничная"] * 9 / 10).quantize(
                Decimal("0.01")
            )


@pytest.mark.parametrize("name", list(KINDS))
def test_somebody_sets_a_price_from_a_day_on_in_one_list(bases: Bases, name: str) -> None:
    product = goods_of(bases, name)[0]
    before = bases.prices(name)
    said = bases.do(name, "price", document=product, price="1234.56", price_type="Оптовая", date="2026-11-01")
    assert said["price"] == "1234.56"
    now = bases.prices(name)
    assert now[product, "Оптовая"] == Decimal("1234.56")
    assert {place: price for place, price in now.items() if place != (product, "Оптовая")} == {
        place: price for place, price in before.items() if place != (product, "Оптовая")
    }
    assert bases.prices(name, "2026-10-31")[product, "Оптовая"] == before[product, "Оптовая"]


@pytest.mark.parametrize("name", list(KINDS))
def test_goods_that_come_in_lie_where_they_came_to(bases: Bases, name: str) -> None:
    product = goods_of(bases, name)[1]
    before = bases.stock(name, product)
    said = bases.do(name, "receive", document=product, quantity="12.5", cost="80", place="Склад № 2 (Химки)")
    now = bases.stock(name, product)
    place = said["place"]
    assert now[place] == before.get(place, Decimal(0)) + Decimal("12.5")
    assert {where: held for where, held in now.items() if where != place} == {
        where: held for where, held in before.items() if where != place
    }


def test_received_goods_are_owed_to_the_supplier_at_their_cost(bases: Bases) -> None:
    product = goods_of(bases, "onec")[2]
    made = bases.do("onec", "receive", document=product, quantity="4", cost="25.50", date="2026-11-01")[
        "made"
    ]
    recorder = f"Recorder eq cast(guid'{made}','Document_ПоступлениеТоваровУслуг')"
    (entry,) = bases.rows("onec", f"{REGISTER}_RecordType", filter=recorder)
    codes = {row["Ref_Key"]: row["Code"] for row in bases.rows("onec", "ChartOfAccounts_Хозрасчетный")}
    assert (codes[entry["AccountDr_Key"]], codes[entry["AccountCr_Key"]]) == ("41.01", "60.01")
    assert (entry["Сумма"], entry["КоличествоDr"]) == (102, 4)


def test_a_sale_of_more_than_there_is_leaves_less_than_nothing(
    town: Town, office: dict[str, Any], buyer: dict[str, str]
) -> None:
    asked = f"{REGISTER}/Balance(AccountCondition='Account/Code eq ''41.01''')"

    def held() -> Decimal:
        rows = [
            row
            for row in town.rows(asked)
            if (row["ExtDimension1"], row["ExtDimension3"]) == (office["goods"][1], office["warehouse"])
        ]
        return sum((Decimal(str(row["КоличествоBalance"])) for row in rows), Decimal(0))

    before = held()
    pieces = int(before) + 3
    value = round(1.22 * pieces, 2)
    row = {"Номенклатура_Key": office["goods"][1], "Количество": pieces, "Сумма": value}
    vat = float(round(Decimal(str(value)) * 22 / 122, 2))
    town.posted(SALE, sale(office, buyer, 1.22, row={**row, "СуммаНДС": vat}, СуммаДокумента=value))
    assert held() == before - pieces == -3


def test_slices_are_asked_of_the_records_alone_where_a_base_reads_the_guide_so(bases: Bases) -> None:
    for name in ("onec", "onec-trade"):
        both = bases.rows(name, f"{PRICES}/SliceLast"), bases.rows(name, f"{RECORDS}/SliceLast")
        assert both[0] == both[1]
        try:
            for reading, alone, other in (("records", RECORDS, PRICES), ("register", PRICES, RECORDS)):
                assert bases.read_as(name, slices=reading).status_code == 200
                assert bases.rows(name, f"{alone}/SliceLast") == both[0]
                refused = bases.towns[name].get(f"{other}/SliceLast")
                assert refused.status_code in (400, 404), refused.text
                root = ET.fromstring(bases.towns[name].http.get("$metadata").content)
                bound = {
                    given.get("Type")
                    for action in root.findall(".//{*}FunctionImport")
                    if "SliceLast" in (action.get("Name") or "")
                    and "Цены" in (action.get("ReturnType") or "")
                    for given in action.findall("{*}Parameter")
                    if given.get("Name") == "bindingParameter"
                }
                assert bound == {f"Collection(StandardODATA.{alone})"}
        finally:
            bases.forget(name)


def test_a_price_may_leave_its_currency_to_its_type(bases: Bases) -> None:
    (first, *_) = bases.rows("onec", f"{PRICES}/SliceLast", top=1)
    assert first["Валюта_Key"] != "00000000-0000-0000-0000-000000000000"
    try:
        bases.read_as("onec", price_currency="type").raise_for_status()
        assert "Валюта_Key" not in bases.rows("onec", f"{PRICES}/SliceLast", top=1)[0]
        assert "Валюта_Key" not in bases.rows("onec", RECORDS, top=1)[0]
        assert bases.towns["onec"].get(f"{PRICES}/SliceLast", select="Валюта_Key").status_code == 400
        root = ET.fromstring(bases.towns["onec"].http.get("$metadata").content)
        (kind,) = [kind for kind in root.iter(f"{EDM}EntityType") if kind.get("Name") == RECORDS]
        assert "Валюта_Key" not in {prop.get("Name") for prop in kind.iter(f"{EDM}Property")}
        kinds = bases.rows("onec", KINDS["onec"])
        assert {row["ВалютаЦены_Key"] for row in kinds} == {first["Валюта_Key"]}
    finally:
        bases.forget("onec")


@pytest.mark.parametrize(("reading", "where"), [("batch", 3), ("place", 2), ("item", 0)])
def test_the_place_of_goods_stands_where_the_accounts_are_set_up_for_it(
    bases: Bases, reading: str, where: int
) -> None:
    places = {row["Ref_Key"] for row in bases.rows("onec", "Catalog_Склады")}
    asked = f"{REGISTER}/Balance(AccountCondition='Account/Code eq ''41.01''')"
    whole = sum(Decimal(str(row["КоличествоBalance"])) for row in bases.rows("onec", asked))
    try:
        bases.read_as("onec", stock_by=reading).raise_for_status()
        rows = bases.rows("onec", asked)
        assert sum(Decimal(str(row["КоличествоBalance"])) for row in rows) == whole
        seen = {n: {row[f"ExtDimension{n}"] for row in rows} & places for n in (1, 2, 3)}
        assert {n for n, found in seen.items() if found} == ({where} if where else set())
        (account,) = bases.rows("onec", "ChartOfAccounts_Хозрасчетный", filter="Code eq '41.01'")
        lines = [int(row["LineNumber"]) for row in account["ExtDimensionTypes"]]
        assert lines == {"batch": [1, 2, 3], "place": [1, 2], "item": [1]}[reading]
        if reading == "item":
            assert len(rows) == len({row["ExtDimension1"] for row in rows})
    finally:
        bases.forget("onec")


def test_an_order_reserves_what_the_sale_by_it_releases(bases: Bases) -> None:
    trade, name = bases.towns["onec-trade"], "onec-trade"
    product = goods_of(bases, name)[3]
    place = bases.rows(name, "Catalog_Склады")[0]["Ref_Key"]

    def free() -> tuple[Decimal, Decimal]:
        wanted = f"Номенклатура_Key eq guid'{product}' and Склад_Key eq guid'{place}'"
        (row,) = bases.rows(name, f"{FREE}/Balance", filter=wanted)
        return Decimal(str(row["ВНаличииBalance"])), Decimal(str(row["ВРезервеСоСкладаBalance"]))

    party = bases.rows(name, "Catalog_Контрагенты", top=1)[0]
    vat = bases.rows(name, "Catalog_СтавкиНДС", filter="Description eq '22%'")[0]["Ref_Key"]
    row = {
        "LineNumber": "1", "Номенклатура_Key": product, "Количество": 6, "Цена": 122, "Сумма": 732,
        "СтавкаНДС_Key": vat, "СуммаНДС": 132, "СуммаСНДС": 732, "ВариантОбеспечения": "СоСклада",
    }  # fmt: skip
    head = {
        "Date": "2026-10-10T12:00:00", "СуммаДокумента": 732, "ЦенаВключаетНДС": True, "Склад_Key": place,
        "Организация_Key": bases.rows(name, "Catalog_Организации")[0]["Ref_Key"], "Товары": [row],
        "Партнер_Key": party["Партнер_Key"], "Контрагент_Key": party["Ref_Key"],
        "Валюта_Key": bases.rows(name, "Catalog_Валюты", filter="Code eq '643'")[0]["Ref_Key"],
    }  # fmt: skip
    held, reserved = free()
    order = trade.posted("Document_ЗаказКлиента", head)
    assert free() == (held, reserved + 6)
    try:
        bases.read_as(name, free_stock="free").raise_for_status()
        assert free() == (held - 6 - reserved, reserved + 6)
    finally:
        bases.forget(name)
    by_order = {"ЗаказКлиента": order, "ЗаказКлиента_Type": "StandardODATA.Document_ЗаказКлиента"}
    trade.posted(SALE, {**head, **by_order})
    assert free() == (held - 6, reserved)
    trade.posted(SALE, head)
    assert free() == (held - 12, reserved)


def test_a_reading_outlives_the_sandbox_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    town = Town(tmp_path)
    try:
        said = {"where": "onec", "readings": {"stock_by": "place"}}
        httpx.post(f"{town.url}/control/onec", json=said).raise_for_status()
        town.stop()
        town.start()
        shown = httpx.get(f"{town.url}/control/onec").json()["onec"]["readings"]
        assert shown == {"slices": "both", "price_currency": "register", "stock_by": "place"}
        wrong = httpx.post(
            f"{town.url}/control/onec", json={"where": "onec", "readings": {"stock_by": "shelf"}}
        )
        assert wrong.status_code == 400
        assert "give one of batch, place, item" in wrong.text
        other = {"where": "onec-smallfirm", "readings": {"free_stock": "free"}}
        assert "onec-smallfirm has no reading" in httpx.post(f"{town.url}/control/onec", json=other).text
    finally:
        town.stop()
