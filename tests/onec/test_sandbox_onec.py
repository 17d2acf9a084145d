"""The 1C base of the sandbox publishes, reads and writes as the guide and the recorded objects do."""

from __future__ import annotations

import json
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.onec import town as onec_town
from tests.onec.town import (
    CONTRACTS,
    EDM,
    EMPTY,
    PARTIES,
    RECEIPT,
    REGISTER,
    SALE,
    Town,
    balance,
    payment,
    refusal,
    sale,
)

town, office, buyer = onec_town.town, onec_town.office, onec_town.buyer  # fixtures

# What is published


def test_metadata_names_exactly_the_properties_that_objects_answer(town: Town) -> None:
    root = ET.fromstring(town.http.get("$metadata").content)
    types = {kind.get("Name"): kind for kind in root.iter(f"{EDM}EntityType")}
    listed = {row["name"] for row in town.rows("")}
    assert set(types) == listed
    looked = 0
    for name in listed - {REGISTER, f"{REGISTER}_RecordType"}:
        for row in town.rows(name, top=1):
            said = {prop.get("Name") for prop in types[name].iter(f"{EDM}Property")}
            assert {key for key in row if "@" not in key} == said, name
            looked += 1
    assert looked > 10


@pytest.mark.shared_data
def test_recorded_objects_have_no_property_that_the_base_lacks(town: Town, shared_data: Path) -> None:
    folder = shared_data / "onec_odata"
    for file, name in (
        ("garikgsi_Document_РеализацияТоваровУслуг_12.json", SALE),
        ("garikgsi_Catalog_Номенклатура_20.json", "Catalog_Номенклатура"),
        ("garikgsi_Catalog_ДоговорыКонтрагентов_8.json", CONTRACTS),
        ("garikgsi_Catalog_Контрагенты_pseudonymised.json", PARTIES),
    ):
        said = json.loads((folder / file).read_text())
        recorded = said.get("value", [said])[0]
        ours = town.rows(name, top=1)[0]
        mine, theirs = ([k for k in row if "@" not in k] for row in (ours, recorded))
        assert [key for key in mine if key in theirs] == theirs
        for key in theirs:
            assert type(ours[key]) is type(recorded[key]) or isinstance(ours[key], (int, float)), key


def test_answers_are_atom_until_json_is_asked_for(town: Town) -> None:
    assert town.http.get("Catalog_Валюты?$top=1").headers["content-type"].startswith("application/atom+xml")
    assert b"<m:code>8</m:code>" in town.http.get("Catalog_Нет").content
    answer = town.http.get("Catalog_Валюты?$top=1", headers={"Accept": "application/json"})
    assert answer.json()["odata.metadata"].endswith("$metadata#Catalog_Валюты")
    bare = town.http.get("Catalog_Валюты?$top=1&$format=application/json;odata=nometadata").json()
    assert list(bare) == ["value"]


def test_nobody_enters_without_credentials(town: Town) -> None:
    answer = httpx.get(f"{town.http.base_url}Catalog_Валюты", auth=("sverka", "wrong"))
    assert answer.status_code == 401
    assert "Basic" in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("Catalog_Нет", 404, "8"),
        (f"{PARTIES}(guid'75288e24-2252-4980-b22e-a6b66e17fbd8')", 404, "9"),
        (f"{PARTIES}(guid'51')", 400, "1"),
        (f"{PARTIES}?$filter=Нет eq 1&$format=json", 400, "10"),
        (f"{PARTIES}?$select=Нет&$format=json", 400, "10"),
        (f"{PARTIES}?$filter=Code eq&$format=json", 400, "14"),
        (f"{PARTIES}?$filter=tolower(Code) eq 'a'&$format=json", 400, "21"),
        (f"{PARTIES}?$filter=Ref_Key eq 'a'&$format=json", 400, "14"),
        (f"{SALE}?$expand=Товары&$format=json", 501, "0"),
        (f"{REGISTER}/Нет", 400, "11"),
    ],
)
def test_a_wrong_address_is_refused_with_the_code_of_the_guide(
    town: Town, path: str, status: int, code: str
) -> None:
    answer = town.http.get(path, headers={"Accept": "application/json"})
    assert refusal(answer)[:2] == (status, code)


# Reading


def test_filters_find_what_a_reader_would_find_by_hand(town: Town, buyer: dict[str, str]) -> None:
    every = [row for row in town.rows(PARTIES) if not row["IsFolder"]]
    some = every[3]
    quoted = some["Description"].replace("'", "''")
    cases: dict[str, Callable[[dict[str, Any]], Any]] = {
        f"ИНН eq '{some['ИНН']}' and IsFolder eq false": lambda r: r["ИНН"] == some["ИНН"],
        f"Description eq '{quoted}'": lambda r: r["Description"] == some["Description"],
        "startswith(ИНН,'77') and IsFolder eq false": lambda r: r["ИНН"].startswith("77"),
        "endswith(Description, 'ООО')": lambda r: r["Description"].endswith("ООО"),
        "substringof('АКС', Description) eq true": lambda r: "АКС" in r["Description"],
        "not (DeletionMark eq false)": lambda r: r["DeletionMark"],
        "IsFolder eq false and (КПП eq '' or ИНН gt '77')": lambda r: r["КПП"] == "" or r["ИНН"] > "77",
        "КонтактнаяИнформация/any(d: d/Тип eq 'Телефон')": lambda r: any(
            item["Тип"] == "Телефон" for item in r["КонтактнаяИнформация"]
        ),
    }
    for condition, matches in cases.items():
        found = {row["Ref_Key"] for row in town.rows(PARTIES, filter=condition)}
        assert found == {row["Ref_Key"] for row in every if matches(row)}, condition
    owned = town.rows(CONTRACTS, filter="Owner/ИНН eq '7707083893'")
    assert buyer["contract"] in {row["Ref_Key"] for row in owned}


def test_a_composite_reference_is_found_by_cast_and_never_by_a_plain_guid(
    town: Town, office: dict[str, Any], buyer: dict[str, str]
) -> None:
    key = town.made(RECEIPT, payment(office, buyer, 100, "2026-03-11"))
    cast = f"Контрагент eq cast(guid'{buyer['party']}', '{PARTIES}')"
    assert [row["Ref_Key"] for row in town.rows(RECEIPT, filter=cast)] == [key]
    assert town.rows(RECEIPT, filter=f"Контрагент eq guid'{buyer['party']}'") == []
    other = f"Контрагент eq cast(guid'{buyer['party']}', 'Catalog_Организации')"
    assert town.rows(RECEIPT, filter=other) == []
    through = f"cast(Контрагент,'{PARTIES}')/ИНН eq '7707083893' and Ref_Key eq guid'{key}'"
    assert len(town.rows(RECEIPT, filter=through)) == 1


def test_a_walk_by_key_meets_every_object_once_in_the_order_of_the_database(town: Town) -> None:
    last, walked = EMPTY, []
    for _ in range(100):
        page = town.rows(
            PARTIES, filter=f"Ref_Key gt guid'{last}'", orderby="Ref_Key", top=7, select="Ref_Key"
        )
        walked += [row["Ref_Key"] for row in page]
        if len(page) < 7:
            break
        last = page[-1]["Ref_Key"]
    assert sorted(walked) == sorted(row["Ref_Key"] for row in town.rows(PARTIES, select="Ref_Key"))
    assert walked != sorted(walked), "the database does not sort references as text"
    assert walked == [row["Ref_Key"] for row in town.rows(PARTIES, orderby="Ref_Key")]


def test_pages_counts_and_columns_are_cut_as_asked(town: Town) -> None:
    names = [row["Description"] for row in town.rows(PARTIES, orderby="Description desc")]
    assert names == sorted(names, reverse=True)
    answer = town.get(PARTIES, orderby="Description desc", top=3, skip=2, inlinecount="allpages").json()
    assert [row["Description"] for row in answer["value"]] == names[2:5]
    assert answer["odata.count"] == str(len(names)) == town.get(f"{PARTIES}/$count").text
    assert list(town.rows(PARTIES, select="Code,Description", top=1)[0]) == ["Code", "Description"]
    header = town.rows(PARTIES, select="**", top=1)[0]
    assert "ИНН" in header
    assert "КонтактнаяИнформация" not in header
    expanded = town.rows(CONTRACTS, expand="Owner", select="Owner_Key,Owner/Description", top=1)[0]
    assert list(expanded["Owner"]) == ["Description"]


def test_reading_by_many_keys_gives_what_reading_one_by_one_gives(
    town: Town, office: dict[str, Any], buyer: dict[str, str]
) -> None:
    keys = [town.made(SALE, sale(office, buyer, price)) for price in (100, 200.5, 300.01)]
    together = town.rows(
        SALE, filter=" or ".join(f"Ref_Key eq guid'{key}'" for key in [*keys, str(uuid.uuid4())])
    )
    alone = [town.one(SALE, key) for key in keys]
    for row in alone:
        row.pop("odata.metadata")
    assert sorted(together, key=lambda r: r["Ref_Key"]) == sorted(alone, key=lambda r: r["Ref_Key"])
    rows = town.rows(f"{SALE}_Товары", filter=f"Ref_Key eq guid'{keys[1]}'")
    assert [(row["LineNumber"], row["Цена"]) for row in rows] == [("1", 200.5)]


# Writing


def test_the_key_chosen_by_the_client_is_kept_and_refused_the_second_time(
    town: Town, office: dict[str, Any], buyer: dict[str, str]
) -> None:
    body = sale(office, buyer, Комментарий="crm:deal:1", НетТакогоРеквизита=1)
    answer = town.send("POST", SALE, body)
    assert answer.status_code == 201
    assert answer.headers["location"].endswith(f"(guid'{body['Ref_Key']}')")
    said = answer.json()
    assert (said["Ref_Key"], said["DataVersion"], said["Posted"]) == (body["Ref_Key"], None, False)
    assert said["Number"].startswith("0000-")
    assert "НетТакогоРеквизита" not in said
    assert said["Товары"][0]["LineNumber"] == "1"
    assert said["КратностьВзаиморасчетов"] == "0"
    assert refusal(town.send("POST", SALE, body))[:2] == (400, "15")
    assert town.one(SALE, body["Ref_Key"])["DataVersion"] == "AAAAAQAAAAA="


def test_a_stale_version_is_refused_and_a_fresh_one_is_not(town: Town, buyer: dict[str, str]) -> None:
    place = f"{PARTIES}(guid'{buyer['party']}')"
    version = town.one(PARTIES, buyer["party"])["DataVersion"]
    assert town.send("PATCH", place, {"Комментарий": "1"}, If_Match=version).status_code == 200
    assert town.send("PATCH", place, {"Комментарий": "2"}, If_Match=version).status_code == 412
    read = town.one(PARTIES, buyer["party"])
    assert read["Комментарий"] == "1"
    assert read["DataVersion"] != version
    assert read["ИНН"] == "7707083893", "PATCH leaves what it does not name"


def test_a_tabular_part_is_replaced_whole_and_its_rows_need_numbers(
    town: Town, office: dict[str, Any], buyer: dict[str, str]
) -> None:
    body = sale(office, buyer)
    key = town.made(SALE, body | {"Товары": body["Товары"] * 2})
    row = {"LineNumber": "1", "Номенклатура_Key": office["goods"][1], "Количество": 1.0005}
    assert town.send("PATCH", f"{SALE}(guid'{key}')", {"Товары": [row]}).status_code == 200
    rows = town.one(SALE, key)["Товары"]
    assert [(r["Номенклатура_Key"], r["Количество"], r["Цена"]) for r in rows] == [
        (office["goods"][1], 1.001, 0)
    ]
    bare = {name: value for name, value in row.items() if name != "LineNumber"}
    assert refusal(town.send("PATCH", f"{SALE}(guid'{key}')", {"Товары": [bare]}))[:2] == (500, "-1")
    assert refusal(town.send("POST", f"{SALE}_Товары", row))[1] == "13"


@pytest.mark.parametrize(
    "wrong",
    [
        {"СуммаДокумента": "1200.00"},
        {"Контрагент_Key": "51"},
        {"Date": "10.03.2026"},
        {"СуммаВключаетНДС": "true"},
        {"row": {"СтавкаНДС": "НДС18"}},
    ],
)
def test_a_value_of_another_type_is_refused(
    town: Town, office: dict[str, Any], buyer: dict[str, str], wrong: dict[str, Any]
) -> None:
    assert refusal(town.send("POST", SALE, sale(office, buyer, **wrong)))[:2] == (400, "4")


def test_deleting_is_physical_and_written_down(
    town: Town, office: dict[str, Any], buyer: dict[str, str]
) -> None:
    key = town.posted(SALE, sale(office, buyer))
    assert town.send("DELETE", f"{SALE}(guid'{key}')").status_code == 204
    assert refusal(town.get(f"{SALE}(guid'{key}')"))[1] == "9"
    assert balance(town, "62.01", buyer["party"]) == 0
    assert httpx.get(f"{town.url}/control/truth").json()["accounting"][f"deleted:{key}"]["act"] == "deleted"
