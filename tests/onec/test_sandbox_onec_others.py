"""The sandbox's other configurations: Управление торговлей 11 and Управление небольшой фирмой."""

from __future__ import annotations

import signal
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.onec.town import EDM, Town, refusal

ORDER, BILL = "Document_ЗаказКлиента", "Document_СчетНаОплатуКлиенту"
SALE, RETURN = "Document_РеализацияТоваровУслуг", "Document_ВозвратТоваровОтКлиента"
MONEY = "Document_ПоступлениеБезналичныхДенежныхСредств"
SETTLEMENTS = "AccumulationRegister_РасчетыСКлиентами"
STOCK = "AccumulationRegister_ТоварыНаСкладах"
BUYERS = "AccumulationRegister_РасчетыСПокупателями"
Masters = dict[str, str]


@pytest.fixture(scope="module")
def towns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Town]]:
    """One sandbox, a client of each of its two other bases."""
    built = Town(tmp_path_factory.mktemp("others"))
    clients: dict[str, Town] = {}
    for name in ("onec-trade", "onec-smallfirm"):
        town = object.__new__(Town)
        town.url = built.url
        town.http = httpx.Client(
            base_url=f"{built.url}/{name}/odata/standard.odata/", auth=("sverka", "sverka"), timeout=30
        )
        clients[name] = town
    try:
        yield clients
    finally:
        for town in clients.values():
            town.http.close()
        built.stop()


@pytest.fixture
def trade(towns: dict[str, Town]) -> Town:
    return towns["onec-trade"]


@pytest.fixture
def firm(towns: dict[str, Town]) -> Town:
    return towns["onec-smallfirm"]


def first(town: Town, name: str, condition: str = "") -> dict[str, Any]:
    options = {"filter": condition} if condition else {}
    return town.rows(name, top=1, **options)[0]


@pytest.fixture
def masters(trade: Town) -> Masters:
    """References of a sale in trade; the counterparty is this test's own."""
    partner = trade.made("Catalog_Партнеры", {"Description": "Вектор", "Клиент": True})
    party = {"Description": "ВЕКТОР ООО", "ИНН": "7707083893", "КПП": "770701001", "Партнер_Key": partner}
    return {
        "Организация_Key": first(trade, "Catalog_Организации")["Ref_Key"],
        "Партнер_Key": partner,
        "Контрагент_Key": trade.made("Catalog_Контрагенты", party),
        "Соглашение_Key": first(trade, "Catalog_СоглашенияСКлиентами")["Ref_Key"],
        "Склад_Key": first(trade, "Catalog_Склады")["Ref_Key"],
        "Валюта_Key": first(trade, "Catalog_Валюты", "Code eq '643'")["Ref_Key"],
    }


def goods(town: Town, masters: Masters, **changes: Any) -> dict[str, Any]:
    """Two pieces at 122 roubles with 22 % VAT inside."""
    row = {
        "LineNumber": "1",
        "Номенклатура_Key": first(town, "Catalog_Номенклатура", "ТипНоменклатуры eq 'Товар'")["Ref_Key"],
        "Количество": 2,
        "Цена": 122,
        "Сумма": 244,
        "СтавкаНДС_Key": first(town, "Catalog_СтавкиНДС", "Description eq '22%'")["Ref_Key"],
        "СуммаНДС": 44,
        "СуммаСНДС": 244,
    }
    head = {
        "Ref_Key": str(uuid.uuid4()),
        "Date": "2026-03-10T12:00:00",
        "СуммаДокумента": 244,
        "ЦенаВключаетНДС": True,
    }
    return {**masters, **head, "НалогообложениеНДС": "ПродажаОблагаетсяНДС", "Товары": [row], **changes}


def owed(town: Town, party: str, resource: str = "Сумма") -> Decimal:
    """What a counterparty owes by the settlements register, through its key of analytics."""
    condition = f"АналитикаУчетаПоПартнерам/Контрагент_Key eq guid'{party}'"
    rows = town.rows(f"{SETTLEMENTS}/Balance(Condition='{condition}')")
    return sum((Decimal(str(row[f"{resource}Balance"])) for row in rows), Decimal(0))


def in_stock(town: Town, product: str) -> Decimal:
    rows = town.rows(
        f"{STOCK}/Balance(Dimensions='Номенклатура')", filter=f"Номенклатура_Key eq guid'{product}'"
    )
    return sum((Decimal(str(row["ВНаличииBalance"])) for row in rows), Decimal(0))


@pytest.mark.parametrize("name", ["onec-trade", "onec-smallfirm"])
def test_metadata_of_each_configuration_names_what_its_sets_answer(towns: dict[str, Town], name: str) -> None:
    town = towns[name]
    root = ET.fromstring(town.http.get("$metadata").content)
    types = {kind.get("Name"): kind for kind in root.iter(f"{EDM}EntityType")}
    listed = {row["name"] for row in town.rows("")}
    assert set(types) == listed
    assert not any("Хозрасчетный" in entity for entity in listed)
    looked = 0
    for entity in listed:
        said = {prop.get("Name") for prop in types[entity].iter(f"{EDM}Property")}
        for row in town.rows(entity, top=1):
            assert {key for key in row if "@" not in key} == said, entity
            looked += 1
    assert looked > 12


def test_trade_keeps_partners_and_counterparties_apart(trade: Town) -> None:
    party = first(trade, "Catalog_Контрагенты")
    partner = trade.one("Catalog_Партнеры", party["Партнер_Key"])
    assert partner["Description"] == party["Description"]
    assert partner["Ref_Key"] != party["Ref_Key"]
    assert "Owner_Key" not in first(trade, "Catalog_ДоговорыКонтрагентов")


def test_a_sale_by_order_its_payment_and_return_move_the_settlements(trade: Town, masters: Masters) -> None:
    party = masters["Контрагент_Key"]
    order = trade.posted(ORDER, goods(trade, masters, Статус="КОбеспечению"))
    assert owed(trade, party) == 0
    assert owed(trade, party, "КОплате") == 244
    bill = {
        name: masters[name] for name in ("Организация_Key", "Партнер_Key", "Контрагент_Key", "Валюта_Key")
    }
    named = {"ДокументОснование": order, "ДокументОснование_Type": f"StandardODATA.{ORDER}"}
    trade.posted(BILL, {"Date": "2026-03-10T12:30:00", "СуммаДокумента": 244, **bill, **named})
    by_order = {"ЗаказКлиента": order, "ЗаказКлиента_Type": f"StandardODATA.{ORDER}"}
    body = goods(trade, masters, **by_order)
    product = body["Товары"][0]["Номенклатура_Key"]
    before = in_stock(trade, product)
    sold = trade.posted(SALE, body)
    assert owed(trade, party) == 244
    assert owed(trade, party, "КОтгрузке") == 0
    assert in_stock(trade, product) == before - 2
    row = {
        "LineNumber": "1",
        "Партнер_Key": masters["Партнер_Key"],
        "Сумма": 100.1,
        "СуммаВзаиморасчетов": 100.1,
    }
    row |= {"Заказ": order, "Заказ_Type": f"StandardODATA.{ORDER}"}
    money = bill | {"Date": "2026-03-11T00:00:00", "СуммаДокумента": 100.1, "РасшифровкаПлатежа": [row]}
    trade.posted(MONEY, money)
    assert owed(trade, party) == Decimal("143.9")
    assert owed(trade, party, "КОплате") == Decimal("143.9")
    back = {"ДокументРеализации": sold, "ДокументРеализации_Type": f"StandardODATA.{SALE}"}
    trade.posted(RETURN, goods(trade, masters, **back))
    assert owed(trade, party) == Decimal("-100.1")
    assert in_stock(trade, product) == before
    assert trade.http.post(f"{SALE}(guid'{sold}')/Unpost").status_code == 200
    assert owed(trade, party) == Decimal("-344.1")
    turned = trade.rows(
        f"{SETTLEMENTS}/Turnovers(StartPeriod=datetime'2026-03-11T00:00:00',EndPeriod=datetime'2026-03-31T00:00:00',"
        f"Dimensions='АналитикаУчетаПоПартнерам')",
        filter="СуммаExpense eq 100.1",
    )
    assert [(row["СуммаReceipt"], row["СуммаTurnover"]) for row in turned] == [(0, -100.1)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Партнер_Key": "00000000-0000-0000-0000-000000000000"}, '"Партнер" не заполнено'),
        ({"Товары": []}, "ни одной строки"),
        ({"СуммаДокумента": 243}, "Сумма документа"),
    ],
)
def test_trade_refuses_to_post_what_is_not_filled(
    trade: Town, masters: Masters, change: dict[str, Any], words: str
) -> None:
    key = trade.made(SALE, goods(trade, masters, **change))
    status, code, text = refusal(trade.send("POST", f"{SALE}(guid'{key}')/Post"))
    assert (status, code) == (500, "-1")
    assert words in text
    assert trade.rows(f"{SETTLEMENTS}_RecordType", filter=f"Recorder eq cast(guid'{key}','{SALE}')") == []


def test_trade_takes_a_rate_by_its_catalog_and_checks_the_tax(trade: Town, masters: Masters) -> None:
    body = goods(trade, masters)
    body["Товары"][0]["СтавкаНДС_Key"] = first(trade, "Catalog_СтавкиНДС", "Description eq '5%'")["Ref_Key"]
    key = trade.made(SALE, body)
    assert "ставке НДС" in refusal(trade.send("POST", f"{SALE}(guid'{key}')/Post"))[2]


def test_prices_of_trade_are_sliced_from_the_records(trade: Town) -> None:
    rows = trade.rows(
        "InformationRegister_ЦеныНоменклатуры_RecordType/SliceLast", select="Номенклатура_Key,Цена"
    )
    products, goods = "Catalog_Номенклатура", "ТипНоменклатуры eq 'Товар'"  # services have no wholesale price
    assert len(rows) == len(trade.rows(products)) + len(trade.rows(products, filter=goods))
    assert all(row["Цена"] > 0 for row in rows)


def test_a_small_firm_ships_by_order_and_is_paid_in_advance_and_after(firm: Town) -> None:
    contract = first(firm, "Catalog_ДоговорыКонтрагентов")
    party = contract["Owner"]
    assert contract["Owner_Type"] == "StandardODATA.Catalog_Контрагенты"
    rouble = first(firm, "Catalog_Валюты", "Code eq '643'")["Ref_Key"]
    row = {
        "LineNumber": "1",
        "Номенклатура_Key": first(firm, "Catalog_Номенклатура", "ТипНоменклатуры eq 'Запас'")["Ref_Key"],
        "Количество": 2,
        "Цена": 100,
        "Сумма": 200,
        "СтавкаНДС_Key": first(firm, "Catalog_СтавкиНДС", "Description eq '22%'")["Ref_Key"],
        "СуммаНДС": 44,
        "Всего": 244,
    }
    head = {
        "Date": "2026-03-10T12:00:00",
        "Организация_Key": contract["Организация_Key"],
        "Контрагент_Key": party,
        "Договор_Key": contract["Ref_Key"],
        "ВалютаДокумента_Key": rouble,
        "СуммаВключаетНДС": False,
        "СуммаДокумента": 244,
        "Запасы": [row],
    }
    order = firm.posted("Document_ЗаказПокупателя", {**head, "ВидОперации": "ЗаказНаПродажу"})
    firm.posted("Document_СчетНаОплату", head)
    by_order = {"Заказ": order, "Заказ_Type": "StandardODATA.Document_ЗаказПокупателя"}
    place = first(firm, "Catalog_СтруктурныеЕдиницы")["Ref_Key"]
    note = firm.posted("Document_РасходнаяНакладная", {**head, **by_order, "СтруктурнаяЕдиница_Key": place})
    debt = {"LineNumber": "1", "Договор_Key": contract["Ref_Key"], "СуммаПлатежа": 100, "СуммаРасчетов": 100}
    debt |= {**by_order, "Документ": note, "Документ_Type": "StandardODATA.Document_РасходнаяНакладная"}
    advance = {
        **debt,
        "LineNumber": "2",
        "ПризнакАванса": True,
        "Документ": "",
        "Документ_Type": "StandardODATA.Undefined",
    }
    money = {name: head[name] for name in ("Организация_Key", "Контрагент_Key")} | {
        "Date": "2026-03-11T00:00:00"
    }
    money |= {
        "ВалютаДенежныхСредств_Key": rouble,
        "СуммаДокумента": 200,
        "РасшифровкаПлатежа": [debt, advance],
    }
    firm.posted("Document_ПоступлениеНаСчет", money)
    mine = f"Контрагент_Key eq guid'{party}'"
    rows = firm.rows(f"{BUYERS}/Balance(Dimensions='Договор,Заказ',Condition='{mine}')")
    assert [(r["Договор_Key"], r["Заказ"], r["СуммаBalance"]) for r in rows] == [
        (contract["Ref_Key"], order, 44)
    ]
    kinds = firm.rows(f"{BUYERS}/Balance(Dimensions='ТипРасчетов',Condition='{mine}')")
    assert {r["ТипРасчетов"]: r["СуммаBalance"] for r in kinds} == {"Долг": 144, "Аванс": -100}
    before = firm.rows(f"{BUYERS}/Balance(Period=datetime'2026-03-11T00:00:00',Condition='{mine}')")
    assert [r["СуммаBalance"] for r in before] == [244]


def test_prices_of_a_small_firm_are_written_record_by_record(firm: Town) -> None:
    register = "InformationRegister_ЦеныНоменклатуры"
    old = first(firm, register)
    new = {**old, "Period": "2026-05-01T00:00:00", "Цена": 777.77}
    assert firm.send("POST", register, new).status_code == 201
    mine = f"Номенклатура_Key eq guid'{old['Номенклатура_Key']}' and ВидЦен_Key eq guid'{old['ВидЦен_Key']}'"
    assert [r["Цена"] for r in firm.rows(f"{register}/SliceLast(Condition='{mine}')")] == [777.77]
    asked = f"{register}/SliceLast(Period=datetime'2026-04-30T00:00:00',Condition='{mine}')"
    assert [r["Цена"] for r in firm.rows(asked)] == [old["Цена"]]


def test_the_accountant_pays_on_order_in_every_configuration(trade: Town, masters: Masters) -> None:
    sold = trade.posted(SALE, goods(trade, masters))
    said = {"where": "onec-trade", "act": "pay", "document": sold, "amount": "44.01"}
    answer = httpx.post(f"{trade.url}/control/onec/do", json=said)
    assert answer.status_code == 200, answer.text
    assert owed(trade, masters["Контрагент_Key"]) == Decimal("199.99")
    truth = httpx.get(f"{trade.url}/control/onec/truth/onec-trade").json()
    assert [a["amount"] for a in truth.values() if a["document"] == sold] == ["44.01"]


def test_a_fault_strikes_the_configuration_that_it_names_alone(trade: Town, firm: Town) -> None:
    fault = {"where": "onec-trade", "kind": "unauthorized", "times": 1}
    httpx.post(f"{trade.url}/control/faults", json=fault).raise_for_status()
    assert firm.get("Catalog_Валюты").status_code == 200
    assert refusal(trade.get("Catalog_Валюты"))[:2] == (401, "20")
    assert trade.get("Catalog_Валюты").status_code == 200


def test_a_closed_period_refuses_posting_in_every_configuration(
    trade: Town, firm: Town, masters: Masters
) -> None:
    key = trade.made(SALE, goods(trade, masters))
    trade.close("2026-03-31")
    try:
        assert "запрета изменения" in refusal(trade.send("POST", f"{SALE}(guid'{key}')/Post"))[2]
        for town in (trade, firm):
            dates = [row["ДатаЗапрета"] for row in town.rows("InformationRegister_ДатыЗапретаИзменения")]
            assert dates == ["2026-03-31T00:00:00"]
    finally:
        trade.close(None)
    assert trade.http.post(f"{SALE}(guid'{key}')/Post").status_code == 200


def test_buyers_of_another_base_pay_as_time_passes_and_each_once(trade: Town, masters: Masters) -> None:
    party = masters["Контрагент_Key"]
    keys = [trade.posted(SALE, goods(trade, masters)) for _ in range(8)]
    before = owed(trade, party)
    for _ in range(2):
        tick = {"days": 300, "deals": 0}
        httpx.post(f"{trade.url}/control/tick", json=tick, timeout=60).raise_for_status()
    truth = httpx.get(f"{trade.url}/control/onec/truth/onec-trade").json()
    acts = [act for act in truth.values() if act["document"] in keys and "made" in act]
    moved = sum((Decimal(a["amount"]) * (1 if a["act"] == "refund" else -1) for a in acts), Decimal(0))
    assert moved < 0
    assert owed(trade, party) == before + moved
    assert len({act["made"] for act in acts}) == len(acts)
    assert sum(key.startswith("planned:") and act["document"] in keys for key, act in truth.items()) == len(
        acts
    )


def test_another_base_and_its_release_outlive_a_kill(tmp_path: Path) -> None:
    town = Town(tmp_path)
    before = "onec", "onec-trade"
    try:
        town.http.base_url = httpx.URL(str(town.http.base_url).replace(*before))
        prices = len(town.rows("InformationRegister_ЦеныНоменклатуры_RecordType"))
        said = {"where": "onec-trade", "drop": ["Catalog_Партнеры", "ЮрФизЛицо"]}
        httpx.post(f"{town.url}/control/onec", json=said).raise_for_status()
        town.stop(signal.SIGKILL)
        town.start()
        town.http.base_url = httpx.URL(str(town.http.base_url).replace(*before))
        assert len(town.rows("InformationRegister_ЦеныНоменклатуры_RecordType")) == prices > 0
        assert "ЮрФизЛицо" not in first(town, "Catalog_Партнеры")
    finally:
        town.stop()
