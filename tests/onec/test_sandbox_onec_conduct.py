"""The 1C bases of the sandbox misbehave on order, change their release and let an accountant act on order."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, TypeAlias

import httpx
import pytest

from tests.onec import town as onec_town
from tests.onec.town import EDM, PARTIES, SALE, Town, balance, entries, refusal, sale

town, office, buyer = onec_town.town, onec_town.office, onec_town.buyer  # fixtures
Office: TypeAlias = dict[str, Any]
Buyer: TypeAlias = dict[str, str]


@pytest.fixture(autouse=True)
def as_it_was(town: Town) -> Iterator[None]:
    yield
    httpx.request("DELETE", f"{town.url}/control/onec", json={"where": "onec"}).raise_for_status()


def order(town: Town, **said: Any) -> dict[str, Any]:
    answer = httpx.post(f"{town.url}/control/onec", json=said)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def do(town: Town, **said: Any) -> dict[str, Any]:
    answer = httpx.post(f"{town.url}/control/onec/do", json=said)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def published(town: Town, name: str) -> set[str]:
    root = ET.fromstring(town.http.get("$metadata").content)
    kind = next(k for k in root.iter(f"{EDM}EntityType") if k.get("Name") == name)
    return {str(prop.get("Name")) for prop in kind.iter(f"{EDM}Property")}


# A new release


def test_a_dropped_property_is_gone_from_metadata_answers_and_filters(
    town: Town, office: Office, buyer: Buyer
) -> None:
    key = town.made(SALE, sale(office, buyer, Комментарий="crm:deal:1"))
    order(town, drop=[SALE, "Комментарий"])
    assert "Комментарий" not in published(town, SALE)
    assert "Комментарий" not in town.one(SALE, key)
    assert "Комментарий" not in town.rows(SALE, filter=f"Ref_Key eq guid'{key}'")[0]
    assert refusal(town.get(SALE, filter="Комментарий eq 'crm:deal:1'"))[1] == "10"
    second = town.made(SALE, sale(office, buyer, Комментарий="is ignored silently"))
    assert town.http.post(f"{SALE}(guid'{second}')/Post").status_code == 200
    httpx.request("DELETE", f"{town.url}/control/onec", json={})
    assert town.one(SALE, key)["Комментарий"] == "crm:deal:1"
    assert town.one(SALE, second)["Комментарий"] == ""


def test_a_renamed_property_is_read_filtered_and_written_by_its_new_name(
    town: Town, office: Office, buyer: Buyer
) -> None:
    key = town.made(SALE, sale(office, buyer, Комментарий="before"))
    order(town, rename=[SALE, "Комментарий", "КомментарийДокумента"])
    assert town.one(SALE, key)["КомментарийДокумента"] == "before"
    assert [r["Ref_Key"] for r in town.rows(SALE, filter="КомментарийДокумента eq 'before'")] == [key]
    town.send("PATCH", f"{SALE}(guid'{key}')", {"КомментарийДокумента": "after", "Комментарий": "lost"})
    assert town.rows(SALE, select="КомментарийДокумента", filter=f"Ref_Key eq guid'{key}'") == [
        {"КомментарийДокумента": "after"}
    ]
    httpx.request("DELETE", f"{town.url}/control/onec", json={})
    assert town.one(SALE, key)["Комментарий"] == "after"


def test_a_column_of_a_tabular_part_is_renamed_in_both_of_its_sets(
    town: Town, office: Office, buyer: Buyer
) -> None:
    order(town, rename=[f"{SALE}_Товары", "СтавкаНДС", "СтавкаНалога"])
    row = sale(office, buyer)["Товары"][0]
    given = {name: value for name, value in row.items() if name != "СтавкаНДС"} | {"СтавкаНалога": "НДС22"}
    key = town.posted(SALE, sale(office, buyer, Товары=[given]))
    assert town.one(SALE, key)["Товары"][0]["СтавкаНалога"] == "НДС22"
    (found,) = town.rows(f"{SALE}_Товары", filter=f"Ref_Key eq guid'{key}'")
    assert found["СтавкаНалога"] == "НДС22"
    assert "СтавкаНДС" not in found


@pytest.mark.parametrize(
    "said",
    [{"drop": ["Document_Нет", "Поле"]}, {"drop": [SALE, "Нет"]}, {"drop": [SALE, "Ref_Key"]}, {"other": 1}],
)
def test_a_wrong_word_to_the_panel_changes_nothing(town: Town, said: dict[str, Any]) -> None:
    assert httpx.post(f"{town.url}/control/onec", json=said).status_code == 400
    assert httpx.get(f"{town.url}/control/onec").json()["onec"]["release"] == []


# Misbehaviour


def test_posting_is_refused_with_a_long_message_as_often_as_ordered(
    town: Town, office: Office, buyer: Buyer
) -> None:
    key = town.made(SALE, sale(office, buyer))
    order(town, refuse={"set": SALE, "times": 2})
    for _ in range(2):
        status, code, text = refusal(town.send("POST", f"{SALE}(guid'{key}')/Post"))
        assert (status, code) == (500, "-1")
        assert len(text) > 2000
        assert "не хватает" in text
    assert town.http.post(f"{SALE}(guid'{key}')/Post").status_code == 200


def test_a_document_changed_meanwhile_is_not_overwritten(town: Town, office: Office, buyer: Buyer) -> None:
    key = town.made(SALE, sale(office, buyer))
    order(town, meanwhile={"set": SALE})
    place, version = f"{SALE}(guid'{key}')", town.one(SALE, key)["DataVersion"]
    assert town.send("PATCH", place, {"Комментарий": "mine"}, If_Match=version).status_code == 412
    assert town.one(SALE, key)["Комментарий"] == ""
    truth = httpx.get(f"{town.url}/control/onec/truth/onec").json()
    assert [act["act"] for act in truth.values() if act.get("document") == key] == ["touch"]
    version = town.one(SALE, key)["DataVersion"]
    assert town.send("PATCH", place, {"Комментарий": "mine"}, If_Match=version).status_code == 200


def test_an_answer_of_success_that_saved_half_shows_only_when_read_back(
    town: Town, office: Office, buyer: Buyer
) -> None:
    order(town, half={"set": SALE, "table": "Товары"})
    answer = town.send("POST", SALE, sale(office, buyer))
    assert answer.status_code == 201
    assert len(answer.json()["Товары"]) == 1
    assert town.one(SALE, answer.json()["Ref_Key"])["Товары"] == []
    assert len(town.one(SALE, town.made(SALE, sale(office, buyer)))["Товары"]) == 1


@pytest.mark.parametrize(("right", "reads", "writes"), [("read", 401, 201), ("write", 200, 401)])
def test_rights_may_be_missing_on_one_kind(town: Town, right: str, reads: int, writes: int) -> None:
    order(town, no_rights={"set": PARTIES, "right": right})
    assert town.get(PARTIES, top=1).status_code == reads
    answer = town.send("POST", PARTIES, {"Description": "Проба"})
    assert answer.status_code == writes
    refused = answer if writes == 401 else town.get(PARTIES, top=1)
    assert refusal(refused)[1] == "20"
    assert town.get("Catalog_Номенклатура", top=1).status_code == 200


def test_every_answer_waits_as_long_as_ordered(town: Town) -> None:
    order(town, latency_ms=120)
    start = time.monotonic()
    town.rows("Catalog_Валюты")
    assert time.monotonic() - start >= 0.12


# The accountant on order


def test_the_accountant_acts_on_order_and_the_truth_says_so(town: Town, office: Office, buyer: Buyer) -> None:
    key = town.posted(SALE, sale(office, buyer, 122))
    version = town.one(SALE, key)["DataVersion"]
    do(town, act="repost", document=key)
    assert town.one(SALE, key)["DataVersion"] != version
    do(town, act="edit", document=key, fields={"Комментарий": "изменено"})
    shown = town.one(SALE, key)
    assert (shown["Комментарий"], shown["Posted"]) == ("изменено", True)
    paid = do(town, act="pay", document=key, amount="100.50", date="2026-03-12")
    assert balance(town, "62.01", buyer["party"]) == Decimal("143.50")
    assert entries(town, paid["made"]) == [("51", "62.01", Decimal("100.5"))]
    do(town, act="refund", document=key, amount="0.50", date="2026-03-13")
    assert balance(town, "62.01", buyer["party"]) == 144
    do(town, act="rename", document=buyer["party"], name="РОМАШКА ПЛЮС ООО")
    assert town.one(PARTIES, buyer["party"])["Description"] == "РОМАШКА ПЛЮС ООО"
    do(town, act="unpost", document=key)
    do(town, act="post", document=key)
    do(town, act="mark", document=key)
    shown = town.one(SALE, key)
    assert (shown["DeletionMark"], shown["Posted"], entries(town, key)) == (True, False, [])
    truth = httpx.get(f"{town.url}/control/onec/truth/onec").json()
    acts = [act["act"] for act in truth.values() if act.get("document") in (key, buyer["party"])]
    assert acts == ["repost", "edit", "pay", "refund", "rename", "unpost", "post", "mark"]
    renamed = next(
        act for act in truth.values() if act["act"] == "rename" and act["document"] == buyer["party"]
    )
    assert (renamed["before"], renamed["after"]) == ("РОМАШКА ООО", "РОМАШКА ПЛЮС ООО")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"act": "dance"}, "give one of"),
        ({"act": "post", "document": "75288e24-2252-4980-b22e-a6b66e17fbd8"}, "holds no such object"),
        ({"act": "rename", "document": "office"}, "name is missing"),
    ],
)
def test_a_wrong_act_is_refused_with_what_would_be_right(
    town: Town, buyer: Buyer, said: dict[str, Any], words: str
) -> None:
    given = said | ({"document": buyer["party"]} if said.get("document") == "office" else {})
    answer = httpx.post(f"{town.url}/control/onec/do", json=given)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_time_brings_reposted_sales_and_renamed_counterparties(
    town: Town, office: Office, buyer: Buyer
) -> None:
    town.posted(SALE, sale(office, buyer))
    httpx.post(f"{town.url}/control/tick", json={"days": 120, "deals": 0}, timeout=60).raise_for_status()
    truth = httpx.get(f"{town.url}/control/onec/truth/onec").json()
    ticked = [act for act in truth.values() if act["act"] in ("repost", "rename")]
    assert {act["act"] for act in ticked} == {"repost", "rename"}
    last = {act["document"]: act["after"] for act in ticked if act["act"] == "rename"}
    for key, after in last.items():
        assert town.one(PARTIES, key)["Description"] == after
