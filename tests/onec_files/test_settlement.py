"""Money that moves by bank: of a buyer, back to one, between our own accounts, and of everybody else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mappings import System
from resources.accounting.onec_files.settlement import by_purpose, of_document, of_statement
from resources.warehouse import Warehouse
from tests.mapping.mapping_road import Road
from tests.onec_files.test_statements import OURS, PAYEE, PAYER, drop, outgoing, receipt, statement
from tests.onec_files.town import DEAL, FIRM, PARTY, ROUBLE, Town, counterparty, key, known

OWN_NUMBER, SECOND = "7700000001", "40702810500000000009"


@pytest.mark.parametrize(
    ("direction", "purpose", "settles"),
    [
        ("receipt", "Оплата по счету 17, в т.ч. НДС 20% - 203.35", "receipt"),
        ("receipt", "", "receipt"),
        ("receipt", "Возврат задолженности по акту сверки", "receipt"),
        ("receipt", "Возврат  долга по договору 5", "receipt"),
        ("receipt", "Возврат предоплаты по договору поставки № 5", "other"),
        ("receipt", "ВОЗВРАТ", "other"),
        ("receipt", "Предоставление денежных средств по займу 3", "other"),
        ("receipt", "Выдача кредита по договору 12", "other"),
        ("receipt", "Взнос наличных через банкомат", "other"),
        ("outgoing", "Возврат оплаты по счету 17. Без налога (НДС)", "refund"),
        ("outgoing", "Возвращаем излишне перечисленное", "refund"),
        ("outgoing", "За товар по договору 5", "other"),
        ("outgoing", "", "other"),
        ("outgoing", "Возврат займа по договору 3", "other"),
        ("outgoing", "Частичный возврат по договору заёма", "other"),
        ("outgoing", "Возврат перерасхода подотчетному лицу", "other"),
        ("outgoing", "Возврат обеспечительного платежа", "other"),
        ("outgoing", "Невозвратный тариф", "other"),
    ],
)
def test_the_words_of_a_payment_tell_what_it_settles(direction: Any, purpose: str, settles: str) -> None:
    assert by_purpose(direction, purpose) == settles


@pytest.mark.parametrize(
    ("direction", "values", "settles"),
    [
        ("receipt", {"ПлательщикСчет": PAYER, "ПлательщикИНН": "7707083893"}, "receipt"),
        ("receipt", {"ПлательщикСчет": SECOND}, "own"),
        ("receipt", {"ПлательщикРасчСчет": SECOND}, "own"),
        ("receipt", {"ПлательщикСчет": PAYER, "ПлательщикИНН": OWN_NUMBER}, "own"),
        ("outgoing", {"ПолучательСчет": PAYEE, "ПолучательИНН": OWN_NUMBER}, "own"),
        ("receipt", {"НазначениеПлатежа": "Перевод собственных средств"}, "own"),
        ("receipt", {"НазначениеПлатежа": "Перевод собственных средств", "ПлательщикИНН": "7707083893"}, "receipt"),
        ("outgoing", {"ПолучательСчет": "03100643000000018500", "НазначениеПлатежа": "Возврат"}, "other"),
        ("outgoing", {"ПоказательКБК": "18201061201010000510", "НазначениеПлатежа": "Возврат"}, "other"),
        ("outgoing", {"ПоказательКБК": "0", "НазначениеПлатежа": "Возврат"}, "refund"),
        ("receipt", {"ПлательщикСчет": "03214643000000017300", "НазначениеПлатежа": "Оплата"}, "receipt"),
    ],
)  # fmt: skip
def test_accounts_and_numbers_come_before_words(direction: Any, values: dict[str, str], settles: str) -> None:
    purpose = values.get("НазначениеПлатежа", "")
    assert of_statement(direction, values, purpose, {OURS, SECOND}, OWN_NUMBER) == settles


ROW = "ВидРасчетовРасширенный/ВидРасчетовСПокупателямиПоставщиками"


@pytest.mark.parametrize(
    ("body", "of_receipt", "of_outgoing"),
    [
        ({"ВидРасчетов": "СПокупателем"}, "receipt", "refund"),
        ({"ВидРасчетов": "СПоставщиком"}, "other", "other"),
        ({"РасшифровкаПлатежа": [{ROW: "СПокупателем"}]}, "receipt", "refund"),
        ({"РасшифровкаПлатежа": [{ROW: "СПоставщиком"}]}, "other", "other"),
        ({"РасшифровкаПлатежа": [{ROW: "СПокупателем"}, {ROW: "СПоставщиком"}]}, "other", "other"),
        ({"РасшифровкаПлатежа": [{"Сумма": "1"}]}, "receipt", "other"),
        ({}, "receipt", "other"),
    ],
)
def test_a_document_of_the_base_says_with_whom_it_settles_in_its_header_or_in_its_rows(
    body: dict[str, Any], of_receipt: str, of_outgoing: str
) -> None:
    assert of_document("receipt", body, "Оплата") == of_receipt
    assert of_document("outgoing", body, "Оплата") == of_outgoing


def own_transfer() -> str:
    moved = {
        "Номер": "77", "Дата": "04.03.2026", "Сумма": "300.00", "ПлательщикСчет": OURS, "ДатаСписано": "04.03.2026",
        "ПлательщикИНН": OWN_NUMBER, "ПолучательСчет": SECOND, "ДатаПоступило": "04.03.2026",
        "ПолучательИНН": OWN_NUMBER, "НазначениеПлатежа": "Перевод",
    }  # fmt: skip
    text = statement(moved, received="0.00", spent="300.00", closing="700.00")
    return text.replace("СекцияРасчСчет", f"РасчСчет={SECOND}\r\nСекцияРасчСчет", 1)


def payments(warehouse: Warehouse, town: Town, system: System) -> list[Any]:
    with warehouse.connect() as conn:
        road = Road(conn, system)
        road.ensure()
        for page in town.ours.read(system.entities, None, datetime.now(UTC)):
            for record in page.records:
                road.put(page.entity, record.source_id, json.loads(record.payload))
        for name in dict.fromkeys(read.table for read in system.reads):
            road.refresh(name, everything=True)
        rows = conn.execute(
            "select kind, amount, counterparty_key, organization_key, problems from ledger.payment order by amount"
        ).fetchall()
        conn.rollback()
    return rows


def test_only_buyers_money_of_a_statement_is_in_the_ledger_and_it_has_our_organization(
    warehouse: Warehouse,
    town: Town,
    system: System,
) -> None:
    known(town)
    supplier = {**counterparty("Склад ООО"), "КлючевыеСвойства/ИНН": "7701234567", "КлючевыеСвойства/КПП": ""}
    town.ours.create("counterparty", key("supplier"), supplier)
    town.run()
    back = {**outgoing("6", "20.10"), "ПолучательИНН": "7707083893", "НазначениеПлатежа": "Возврат оплаты"}
    drop(town.folder / "bank", own_transfer(), "own.txt")
    drop(
        town.folder / "bank",
        statement(receipt(), outgoing(), back, spent="220.10", closing="2000.00"),
        "all.txt",
    )
    # the bank of the other account sends no file
    ours = {"ПлательщикИНН": OWN_NUMBER, "ПолучательИНН": OWN_NUMBER}
    one_side = statement(receipt("9", "5.00", **ours), received="5.00", spent="0.00", closing="1005.00")
    drop(town.folder / "bank", one_side, "one side.txt")
    assert payments(warehouse, town, system) == [
        ("refund", Decimal("20.10"), f"onec_files:{PARTY}", f"onec_files:{FIRM}", []),
        ("receipt", Decimal("1220.10"), f"onec_files:{PARTY}", f"onec_files:{FIRM}", []),
    ]


def bank_document(town: Town, name: str, way: str, amount: str, **more: Any) -> None:
    town.base.put(
        f"Документ.{way}РасчетыСКонтрагентами",
        key(name),
        {
            "КлючевыеСвойства": {"Ссылка": key(name), "Дата": "2026-03-04T10:00:00", "Номер": name,
                                 "Организация": {"Ссылка": FIRM}},
            "ОбщиеДанные": {"ДатаВыписки": "2026-03-04", "Валюта": {"Ссылка": ROUBLE}, "Сумма": amount,
                            "НазначениеПлатежа": "Оплата"},
            "Контрагент": {"Ссылка": PARTY},
            **more,
        },
    )  # fmt: skip


@pytest.mark.parametrize("in_rows", [False, True])
def test_only_buyers_money_of_the_bases_bank_documents_is_in_the_ledger(
    warehouse: Warehouse,
    tmp_path: Path,
    system: System,
    in_rows: bool,
) -> None:
    base = Town(tmp_path)
    known(base)
    for n, (way, kind) in enumerate(
        (w, k) for w in ("ПБДС", "СБДС") for k in ("СПокупателем", "СПоставщиком")
    ):
        row = {"Сумма": "1", "ДанныеВзаиморасчетов": {"Договор": {"Ссылка": DEAL}}}
        told: dict[str, Any] = {"ВидРасчетов": kind, "РасшифровкаПлатежа": [row]}
        if in_rows:
            kinds = {"ВидРасчетовРасширенный": {"ВидРасчетовСПокупателямиПоставщиками": kind}}
            told = {"РасшифровкаПлатежа": [{**row, **kinds}]}
        bank_document(base, str(n), way, f"{n + 1}.00", **told)
    base.run()
    assert payments(warehouse, base, system) == [
        ("receipt", 1, f"onec_files:{PARTY}", f"onec_files:{FIRM}", []),
        ("refund", 3, f"onec_files:{PARTY}", f"onec_files:{FIRM}", []),
    ]
    base.ours.close()
