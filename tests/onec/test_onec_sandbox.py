"""The 1C connector against the sandbox's base, over real HTTP, with its faults."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from resources.accounting.onec import odata
from resources.accounting.onec.connector import OneC, connect
from resources.connector import Conflict, Exists, Page, Record, Refused, SourceError, Uncertain

REALIZATION = "Document_РеализацияТоваровУслуг"
NOW = datetime.now(UTC)
HOUR_AGO = NOW - timedelta(hours=1)


class Town(NamedTuple):
    url: str
    info: dict[str, Any]

    def open(self, **options: Any) -> OneC:
        given = self.info["onec"]
        connection = {"url": given["odata"], "user": given["user"], "password": given["password"]}
        onec = connect("onec", {**connection, "timezone": "Europe/Moscow", **options})
        onec.session._http.sleep = lambda seconds: None
        return onec

    def unpost(self, document: str, key: str) -> None:
        """What an accountant does: we take no posting back."""
        given = self.info["onec"]
        address = f"{given['odata']}{document}(guid'{key}')/Unpost"
        httpx.post(address, auth=(given["user"], given["password"])).raise_for_status()

    def fault(self, **rule: Any) -> None:
        httpx.post(
            f"{self.url}/control/faults", json={"where": "onec", "times": 1, **rule}
        ).raise_for_status()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--deals", "60"]
    command += ["--state", str(tmp_path_factory.mktemp("town"))]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said.startswith("sandbox ready "), said
            url = said.split()[-1]
            yield Town(url, httpx.get(f"{url}/control/info").json())
        finally:
            process.terminate()


@pytest.fixture
def onec(town: Town) -> Iterator[OneC]:
    opened = town.open()
    yield opened
    httpx.delete(f"{town.url}/control/faults")
    opened.close()


def records(pages: Iterator[Page]) -> list[Record]:
    return [record for page in pages for record in page.records]


def bodies(onec: OneC, entity: str) -> list[dict[str, Any]]:
    return [odata.decode(record.payload) for record in records(onec.read([entity], None, NOW))]


@pytest.fixture
def body(onec: OneC, town: Town) -> dict[str, Any]:
    """A realization of one service for 1200.10 roubles, VAT 22 % included."""
    accounts = {row["Code"]: row["Ref_Key"] for row in bodies(onec, "account")}
    rouble = next(row["Ref_Key"] for row in bodies(onec, "currency") if row["Code"] == "643")
    contract = next(
        row
        for row in bodies(onec, "contract")
        if row["ВалютаВзаиморасчетов_Key"] == rouble and not row["IsFolder"]
    )
    service = next(row for row in bodies(onec, "product") if not row["IsFolder"] and row["Услуга"])
    return {
        "Date": datetime.fromisoformat(f"{town.info['today']}T12:00:00"),
        "ВидОперации": "Услуги",
        "Организация_Key": contract["Организация_Key"],
        "Контрагент_Key": contract["Owner_Key"],
        "ДоговорКонтрагента_Key": contract["Ref_Key"],
        "ВалютаДокумента_Key": rouble,
        "КурсВзаиморасчетов": 1,
        "КратностьВзаиморасчетов": "1",
        "СуммаВключаетНДС": True,
        "СпособЗачетаАвансов": "Автоматически",
        "СчетУчетаРасчетовСКонтрагентом_Key": accounts["62.01"],
        "СчетУчетаРасчетовПоАвансам_Key": accounts["62.02"],
        "СуммаДокумента": Decimal("1200.10"),
        "Услуги": [
            {
                "LineNumber": "1",
                "Номенклатура_Key": service["Ref_Key"],
                "Содержание": service["Description"],
                "Количество": 1,
                "Цена": Decimal("1200.10"),
                "Сумма": Decimal("1200.10"),
                "СтавкаНДС": "НДС22",
                "СуммаНДС": Decimal("216.41"),
                "СчетДоходов_Key": accounts["90.01.1"],
                "СчетРасходов_Key": accounts["90.02.1"],
                "СчетУчетаНДСПоРеализации_Key": accounts["90.03"],
            }
        ],
    }


def known(onec: OneC) -> None:
    """Know the version of every record that the base holds now."""
    versions = {
        place.entity: {
            key: str(odata.decode_header(row).version)
            for page in onec.session.walk(place.set, lambda row: odata.decode_header(row).ref_key)
            for key, row in page
        }
        for place in onec.profile.places.values()
        if place.kind in ("object", "document")
    }
    onec.known_versions = lambda entity: versions[entity]


def test_the_check_finds_the_base_in_order(onec: OneC) -> None:
    assert [finding for finding in onec.check() if not finding.ok] == []


def test_every_entity_is_read_whole_and_agrees_with_its_keys(town: Town) -> None:
    onec = town.open(page=7)
    for entity in onec.profile.places:
        pages = list(onec.read([entity], None, NOW))
        read = [record.source_id for page in pages for record in page.records]
        listed = [key for keys in onec.keys(entity) for key in keys]
        assert sorted(read) == sorted(set(listed)), entity
        assert len(set(read)) == len(read)
        assert not any(page.rejects for page in pages)


def test_a_document_is_created_read_back_equal_posted_and_unposted(
    town: Town, onec: OneC, body: dict[str, Any]
) -> None:
    key = str(uuid.uuid4())
    known(onec)
    assert onec.unknown_fields("realization", body) == []
    onec.create("realization", key, body)
    draft = onec.find("realization", [key])[key]
    assert (draft["СуммаДокумента"], draft["Услуги"][0]["СуммаНДС"]) == (
        Decimal("1200.10"),
        Decimal("216.41"),
    )
    assert not draft["Posted"]
    onec.post("realization", key)
    posted = onec.find("realization", [key])[key]
    assert posted["Posted"]
    assert posted["DataVersion"] != draft["DataVersion"]
    with pytest.raises(Exists):
        onec.create("realization", key, body)
    with pytest.raises(Conflict):
        onec.update("realization", key, {"Комментарий": "x"}, version=draft["DataVersion"])
    entries, document = onec.read(["realization"], HOUR_AGO, NOW)
    assert [record.source_id for record in document.records] == [key]
    amounts = [odata.decode(record.payload)["Сумма"] for record in entries.records]
    assert Decimal("1200.10") in amounts
    town.unpost(REALIZATION, key)
    entries, _ = onec.read(["realization"], HOUR_AGO, NOW)
    assert (list(entries.records), list(entries.complete_parents)) == ([], [key])


def test_a_business_refusal_comes_whole_and_leaves_the_draft(onec: OneC, body: dict[str, Any]) -> None:
    key = str(uuid.uuid4())
    onec.create("realization", key, {**body, "ДоговорКонтрагента_Key": odata.EMPTY_REF})
    with pytest.raises(Refused, match="Договор") as caught:
        onec.post("realization", key)
    assert caught.value.code == "-1"
    assert not onec.find("realization", [key])[key]["Posted"]


@pytest.mark.parametrize("kind", ["drop_after", "truncate", "http_503_html"])
def test_an_answer_that_got_lost_is_uncertain_and_only_a_probe_decides(
    town: Town, onec: OneC, body: dict[str, Any], kind: str
) -> None:
    key = str(uuid.uuid4())
    town.fault(kind=kind, http_method="POST", match=REALIZATION)
    with pytest.raises(Uncertain):
        onec.create("realization", key, body)
    carried_out = kind != "http_503_html"
    assert (key in onec.find("realization", [key])) == carried_out


def test_a_wrong_password_is_said_at_once(town: Town) -> None:
    with pytest.raises(SourceError, match="does not let user") as caught:
        town.open(password="wrong-word").find("product", [str(uuid.uuid4())])
    assert not caught.value.retriable
    assert "wrong-word" not in str(caught.value)


@pytest.mark.parametrize(
    "kind", ["html", "truncate", "drop_before", "drop_after", "http_503_html", "http_500"]
)
def test_a_read_survives_a_bad_answer(town: Town, onec: OneC, kind: str) -> None:
    before = sorted(record.source_id for record in records(onec.read(["product"], None, NOW)))
    town.fault(kind=kind, match="Catalog_Номенклатура")
    assert sorted(record.source_id for record in records(onec.read(["product"], None, NOW))) == before


@pytest.mark.parametrize("keyset", [True, False])
def test_a_page_served_twice_loses_no_row(town: Town, keyset: bool) -> None:
    onec = town.open(page=5, concurrency=1)
    before = sorted(record.source_id for record in records(onec.read(["product"], None, NOW)))
    onec.session.keyset = keyset
    town.fault(kind="slow", match="so that answers are kept for repeating")
    pages = onec.read(["product"], None, NOW)
    first = next(pages)
    town.fault(
        kind="repeat", match="Catalog_Номенклатура", http_method="GET", times=2
    )  # the count, then a page
    after = [record.source_id for record in [*first.records, *records(pages)]]
    assert sorted(after) == before


def test_nothing_is_read_of_a_quiet_base_and_only_the_change_of_a_living_one(town: Town, onec: OneC) -> None:
    known(onec)
    versioned = [p.entity for p in onec.profile.places.values() if p.kind in ("object", "document")]
    assert list(onec.read(versioned, HOUR_AGO, NOW)) == []
    assert list(onec.changes(HOUR_AGO)) == []
    for _ in range(3):
        httpx.post(f"{town.url}/control/tick", json={"days": 5, "deals": 0}, timeout=30).raise_for_status()
    hinted = {(change.entity, change.source_id) for change in onec.changes(HOUR_AGO)}
    assert any(entity == "payment" for entity, _ in hinted)
    read = {
        (page.entity, record.source_id)
        for page in onec.read(versioned, HOUR_AGO, NOW)
        for record in page.records
        if page.entity != "entry"
    }
    assert read == hinted
