"""A sandbox process, a client of its 1C base, and the bodies of documents that its tests write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

PROJECT = Path(__file__).resolve().parents[2]
SALE, INVOICE = "Document_РеализацияТоваровУслуг", "Document_СчетНаОплатуПокупателю"
RECEIPT, REFUND = "Document_ПоступлениеНаРасчетныйСчет", "Document_СписаниеСРасчетногоСчета"
PARTIES, CONTRACTS = "Catalog_Контрагенты", "Catalog_ДоговорыКонтрагентов"
REGISTER = "AccountingRegister_Хозрасчетный"
EMPTY = "00000000-0000-0000-0000-000000000000"
EDM = "{http://schemas.microsoft.com/ado/2009/11/edm}"


class Town:
    """A sandbox process and a client of its 1C base."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start()

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "sandbox",
            "--port",
            "0",
            "--deals",
            "60",
            "--state",
            str(self.folder),
        ]
        self.process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said.startswith("sandbox ready "), said
        self.url = said.split()[-1]
        root = f"{self.url}/onec/odata/standard.odata/"
        self.http = httpx.Client(base_url=root, auth=("sverka", "sverka"), timeout=30)

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.http.close()
        os.kill(self.process.pid, number)
        self.process.wait(10)

    def get(self, path: str, **options: Any) -> httpx.Response:
        query = {"$format": "json"} | {f"${name}": value for name, value in options.items()}
        return self.http.get(path, params=query)

    def rows(self, path: str, **options: Any) -> list[dict[str, Any]]:
        answer = self.get(path, **options)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["value"]
        return found

    def one(self, name: str, key: str) -> dict[str, Any]:
        answer = self.get(f"{name}(guid'{key}')")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        shown = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, path, params={"$format": "json"}, json=body, headers=shown)

    def made(self, name: str, body: dict[str, Any]) -> str:
        answer = self.send("POST", name, body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["Ref_Key"])

    def posted(self, name: str, body: dict[str, Any]) -> str:
        key = self.made(name, body)
        answer = self.http.post(f"{name}(guid'{key}')/Post?PostingModeOperational=false")
        assert answer.status_code == 200, answer.text
        return key

    def close(self, until: str | None) -> None:
        httpx.post(f"{self.url}/control/closed", json={"until": until}).raise_for_status()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    built = Town(tmp_path_factory.mktemp("onec"))
    try:
        yield built
    finally:
        built.stop()


@pytest.fixture(scope="module")
def office(town: Town) -> dict[str, Any]:
    """References that a document needs, read as a client reads them."""
    accounts = {row["Code"]: row["Ref_Key"] for row in town.rows("ChartOfAccounts_Хозрасчетный")}
    goods = town.rows("Catalog_Номенклатура", filter="IsFolder eq false and Услуга eq false", top=3)
    return {
        "accounts": accounts,
        "goods": [row["Ref_Key"] for row in goods],
        "organization": town.rows("Catalog_Организации")[0]["Ref_Key"],
        "warehouse": town.rows("Catalog_Склады")[0]["Ref_Key"],
        "rouble": town.rows("Catalog_Валюты", filter="Code eq '643'")[0]["Ref_Key"],
        "bank": town.rows("Catalog_БанковскиеСчета")[0]["Ref_Key"],
    }


@pytest.fixture
def buyer(town: Town, office: dict[str, Any]) -> dict[str, str]:
    """A counterparty of this test alone, with a contract."""
    party = town.made(PARTIES, {"Description": "РОМАШКА ООО", "ИНН": "7707083893", "КПП": "770701001"})
    contract = {"Description": "Основной договор", "Owner_Key": party, "ВидДоговора": "СПокупателем"}
    return {
        "party": party,
        "contract": town.made(CONTRACTS, contract | {"Организация_Key": office["organization"]}),
    }


def sale(
    office: dict[str, Any], buyer: dict[str, str], price: float = 122.0, **changes: Any
) -> dict[str, Any]:
    """A realization of two pieces of one product at 22 % VAT included; `row` changes the row."""
    codes = office["accounts"]
    value = round(price * 2, 2)
    row = {
        "LineNumber": "1",
        "Номенклатура_Key": office["goods"][0],
        "Количество": 2,
        "Цена": price,
        "Сумма": value,
        "СтавкаНДС": "НДС22",
        "СуммаНДС": float(round(Decimal(str(value)) * 22 / 122, 2)),
        "СчетУчета_Key": codes["41.01"],
        "СчетДоходов_Key": codes["90.01.1"],
        "СчетРасходов_Key": codes["90.02.1"],
        "СчетУчетаНДСПоРеализации_Key": codes["90.03"],
    }
    body = {
        "Ref_Key": str(uuid.uuid4()),
        "Date": "2026-03-10T12:00:00",
        "Организация_Key": office["organization"],
        "Склад_Key": office["warehouse"],
        "Контрагент_Key": buyer["party"],
        "ДоговорКонтрагента_Key": buyer["contract"],
        "ВалютаДокумента_Key": office["rouble"],
        "КурсВзаиморасчетов": 1,
        "СуммаВключаетНДС": True,
        "СчетУчетаРасчетовСКонтрагентом_Key": codes["62.01"],
        "СчетУчетаРасчетовПоАвансам_Key": codes["62.02"],
        "СпособЗачетаАвансов": "Автоматически",
        "СуммаДокумента": value,
        "Товары": [row | changes.pop("row", {})],
    }
    return body | changes


def payment(
    office: dict[str, Any], buyer: dict[str, str], amount: float, day: str, **row: Any
) -> dict[str, Any]:
    breakdown = {
        "LineNumber": "1",
        "ДоговорКонтрагента_Key": buyer["contract"],
        "СуммаПлатежа": amount,
        "СуммаВзаиморасчетов": amount,
        "СчетУчетаРасчетовСКонтрагентом_Key": office["accounts"]["62.01"],
        "СчетУчетаРасчетовПоАвансам_Key": office["accounts"]["62.02"],
    }
    return {
        "Date": f"{day}T10:00:00",
        "Организация_Key": office["organization"],
        "СчетОрганизации_Key": office["bank"],
        "Контрагент": buyer["party"],
        "Контрагент_Type": f"StandardODATA.{PARTIES}",
        "ВалютаДокумента_Key": office["rouble"],
        "СуммаДокумента": amount,
        "РасшифровкаПлатежа": [breakdown | row],
    }


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    said = answer.json()["odata.error"]
    assert said["message"]["lang"] == "ru"
    return answer.status_code, said["code"], said["message"]["value"]


def balance(town: Town, code: str, party: str) -> Decimal:
    """Debit balance of an account with one counterparty, over all time."""
    condition = f"ExtDimension1 eq cast(guid'{party}','{PARTIES}')"
    rows = town.rows(f"{REGISTER}/Balance(AccountCondition='Account/Code eq '{code}'')", filter=condition)
    return sum((Decimal(str(row["СуммаBalance"])) for row in rows), Decimal(0))


def balance_of_all(town: Town) -> Decimal:
    """The balances of all accounts together, but for those that stand off balance."""
    off = {row["Ref_Key"] for row in town.rows("ChartOfAccounts_Хозрасчетный") if row["OffBalance"]}
    rows = town.rows(f"{REGISTER}/Balance")
    assert off & {row["Account_Key"] for row in rows}
    return sum(
        (Decimal(str(row["СуммаBalance"])) for row in rows if row["Account_Key"] not in off), Decimal(0)
    )


def entries(town: Town, key: str) -> list[tuple[str, str, Decimal]]:
    """(debit, credit, sum) of a recorder, by account code."""
    codes = {row["Ref_Key"]: row["Code"] for row in town.rows("ChartOfAccounts_Хозрасчетный")}
    answer = town.get(f"{REGISTER}(guid'{key}')")
    rows = answer.json()["RecordSet"] if answer.status_code == 200 else []
    return [(codes[r["AccountDr_Key"]], codes[r["AccountCr_Key"]], Decimal(str(r["Сумма"]))) for r in rows]
