"""The whole road over a folder: the ready mapping writes and reads, and the carrier sends once and waits."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from psycopg.types.json import Jsonb

from mappings import System, compile_write, load
from pipelines.operations.carry import carry
from pipelines.operations.compare import differences
from pipelines.table import tables
from resources.accounting.onec_files import connect
from resources.connector import SourceError
from resources.warehouse import Warehouse
from tests.mapping.mapping_road import Road
from tests.onec_files.test_statements import GOOD, drop
from tests.onec_files.town import (
    DEAL,
    FIRM,
    ITEM,
    PARTY,
    PIECE,
    ROUBLE,
    Town,
    counterparty,
    key,
    known,
    realization,
)

_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


def approved(warehouse: Warehouse, kind: str, one: str, body: dict[str, Any]) -> UUID:
    """An operation that may leave now."""
    operation = uuid4()
    warehouse.scalar(
        "insert into ops.operation (operation_id, target, kind, action, key, body) values (%s, 'books', %s, 'create', %s, %s)"
        " returning 1",
        [operation, kind, one, Jsonb(body, dumps=lambda value: msgspec.json.encode(value).decode())],
    )
    warehouse.scalar("select ops.move(%s, 'approved', 'test')", [operation])
    return operation


def states(warehouse: Warehouse) -> dict[str, tuple[str, int]]:
    return {
        str(one): (state, attempts)
        for one, state, attempts in warehouse.rows("select key, state, attempts from ops.operation")
    }


def test_what_is_under_way_is_sent_once_however_often_the_carrier_runs_and_verified_when_the_base_answers(
    warehouse: Warehouse, town: Town
) -> None:
    known(town)
    sale = realization(PARTY, DEAL, ITEM)
    approved(warehouse, "realization", key("sale"), sale)
    for name in ("a", "b", "c"):
        approved(warehouse, "counterparty", key(name), counterparty(name))
    carry(warehouse, town.ours)
    message = town.message()
    for _ in range(8):
        town.now += 600
        told = carry(warehouse, town.ours)
        assert told.stopped == ""
    assert town.message() == message
    assert set(states(warehouse).values()) == {("confirmed", 1)}
    town.run()
    carry(warehouse, town.ours)
    assert set(states(warehouse).values()) == {("verified", 1)}
    assert [k[1] for k in town.base.objects if k[0].startswith("Документ")] == [key("sale")]


def test_what_the_base_confirmed_and_did_not_keep_waits_for_a_person_and_mends_by_itself(
    warehouse: Warehouse, town: Town
) -> None:
    town.start()
    approved(warehouse, "counterparty", PARTY, counterparty())
    carry(warehouse, town.ours)
    town.base.load()
    del town.base.changed["Справочник.Контрагенты", PARTY]  # loaded with an error: it never comes back
    for _ in range(2):
        town.run()
        town.ours.exchange.take()
    carry(warehouse, town.ours)
    assert states(warehouse)[PARTY] == ("held", 1)
    town.base.changed["Справочник.Контрагенты", PARTY] = 0  # somebody mended it in 1C
    town.run()
    carry(warehouse, town.ours)
    assert states(warehouse)[PARTY] == ("verified", 1)


def test_what_the_base_tells_becomes_our_tables_without_a_problem(
    warehouse: Warehouse, town: Town, system: System
) -> None:
    known(town)
    town.ours.create("realization", key("sale"), realization(PARTY, DEAL, ITEM))
    town.run()
    drop(town.folder / "bank", GOOD)
    with warehouse.connect() as conn:
        road = Road(conn, system)
        road.ensure()
        for page in town.ours.read(system.entities, None, datetime.now(UTC)):
            for record in page.records:
                road.put(page.entity, record.source_id, json.loads(record.payload))
        for name in dict.fromkeys(read.table for read in system.reads):
            road.refresh(name, everything=True)
            assert conn.execute(f"select problems from {name} where problems <> '{{}}'").fetchall() == [], (
                name
            )
        assert conn.execute(
            "select number, amount, is_posted, counterparty_key from ledger.document"
        ).fetchall() == [("0000-000001", Decimal("1220.10"), True, f"onec_files:{PARTY}")]
        assert conn.execute("select quantity, price, vat_amount from ledger.document_line").fetchall() == [
            (Decimal("2.000"), Decimal("610.05"), Decimal("203.35"))
        ]
        payments = conn.execute(
            "select kind, paid_on::text, amount, counterparty_key, currency_key from ledger.payment order by amount desc"
        ).fetchall()
        assert payments == [
            ("receipt", "2026-03-04", Decimal("1220.10"), f"onec_files:{PARTY}", f"onec_files:{ROUBLE}"),
        ]
        conn.rollback()


ROWS = {
    "counterparty": "(select 'Ромашка ООО'::text as legal_name, null::text as full_name, 'RU'::text as country,"
    " '7707083893'::text as tax_number, '770701001'::text as kpp) d",
    "product": "(select 'Кабель'::text as name, 'kab-7'::text as code, 'onec_files:{PIECE}'::text as unit_key,"
    " false as is_service) d",
    "contract": "(select 'Основной договор'::text as name, 'onec_files:{FIRM}'::text as organization_key,"
    " 'onec_files:{PARTY}'::text as counterparty_key, 'onec_files:{ROUBLE}'::text as currency_key) d",
}  # fmt: skip


@pytest.mark.parametrize("kind", ROWS)
def test_bodies_that_the_mapping_makes_are_understood_by_the_base(
    warehouse: Warehouse, town: Town, system: System, kind: str
) -> None:
    known(town)
    row = ROWS[kind].format(PIECE=PIECE, FIRM=FIRM, PARTY=PARTY, ROUBLE=ROUBLE)
    body = _decode(warehouse.scalar(f"select ({compile_write(system, kind)})::text from {row}"))
    town.ours.create(kind, key("new"), body)
    town.run()
    assert differences(body, town.ours.find(kind, [key("new")])[key("new")]) == []


@pytest.mark.parametrize("kind", ["invoice", "realization"])
def test_a_document_that_the_mapping_makes_is_understood_by_the_base(
    warehouse: Warehouse, town: Town, system: System, kind: str
) -> None:

    known(town)
    with warehouse.connect() as conn:
        for name in ("documents.document", "documents.document_line"):
            conn.execute(tables()[name].create_sql)
        conn.execute(
            """insert into documents.document (document_key, deal_id, kind, revision, document_date, due_on,
               counterparty_key, contract_key, organization_key, currency_key, currency, rate, rate_units, amount,
               vat_amount, has_goods, has_services, comment)
               values ('d', 'bitrix24:1', %s, 1, '2026-03-04', '2026-03-14', %s, %s, %s, %s, 'RUB', 1, 1, 158.62, 28.60,
               true, true, 'crm:bitrix24:1')""",
            [kind, *(f"onec_files:{one}" for one in (PARTY, DEAL, FIRM, ROUBLE))],
        )
        for place, is_service in enumerate((False, True), 1):
            conn.execute(
                """insert into documents.document_line (line_id, deal_id, position, product_name, product_key, unit_key,
                   product_matches, is_service, quantity, price, amount, vat, vat_amount)
                   values (%s, 'bitrix24:1', %s, 'Кабель', %s, %s, 1, %s, 1.5, 52.87, 79.31, 'НДС20', 14.30)""",
                [f"b:{place}", place, f"onec_files:{ITEM}", f"onec_files:{PIECE}", is_service],
            )
        (text,) = conn.execute(
            f"select ({compile_write(system, kind)})::text from documents.document d"
        ).fetchone() or ("",)
        conn.rollback()
    body = _decode(text)
    town.ours.create(kind, key("new"), body)
    town.run()
    found = town.ours.find(kind, [key("new")])[key("new")]
    assert differences(body, found) == []
    assert (len(found["Товары"]), len(found["Услуги"])) == (1, 1)


def test_a_find_of_what_nobody_ever_sent_is_empty_and_not_under_way(town: Town) -> None:
    town.start()
    assert town.ours.find("realization", [key("nothing")]) == {}
    town.ours.create("counterparty", PARTY, counterparty())
    with pytest.raises(SourceError):
        town.ours.find("counterparty", [PARTY, key("nothing")])


def test_statements_alone_fill_the_payments_of_a_mapping_that_reads_nothing_else(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    bank = tmp_path / "bank"
    bank.mkdir()
    drop(bank, GOOD)
    folder = tmp_path / "mapping"
    folder.mkdir()
    (folder / "bank.yaml").write_text(
        "system: bank\nconnector: onec_files\nrole: accounting\ntitle: Bank\n"
        f"connection: {{statements: {bank}, settle_seconds: 0}}\n"
        "read:\n  ledger.payment:\n    from: payment\n    fields:\n"
        "      kind: {from: Направление, map: {receipt: receipt, outgoing: refund}}\n"
        "      number: Номер\n      paid_on: {from: ДатаОперации, as: date}\n      is_posted: Проведен\n"
        "      amount: {from: СуммаОперации, as: money}\n      purpose: Назначение\n"
    )
    system = load(folder, {}).accounting()
    source = connect(system.name, system.connection)
    with warehouse.connect() as conn:
        road = Road(conn, system)
        road.ensure()
        for page in source.read(["payment"], None, datetime.now(UTC)):
            for record in page.records:
                road.put(page.entity, record.source_id, json.loads(record.payload))
        road.refresh("ledger.payment", everything=True)
        rows = conn.execute(
            "select kind, number, amount, purpose from ledger.payment order by kind"
        ).fetchall()
        conn.rollback()
    assert rows == [
        ("receipt", "101", Decimal("1220.10"), "Оплата по счету 17, в т.ч. НДС 20% - 203.35"),
        ("refund", "5", Decimal("200.00"), None),
    ]


def test_two_processes_number_messages_one_after_the_other(town: Town) -> None:
    town.start()
    first = town.ours
    second = town.reopen()
    with ThreadPoolExecutor(8) as pool:
        for done in [
            pool.submit(
                (first if n % 2 else second).create, "counterparty", key(f"c{n}"), counterparty(f"К{n}")
            )
            for n in range(40)
        ]:
            done.result()
    first.close()
    town.run()
    assert len([k for k in town.base.objects if k[0] == "Справочник.Контрагенты"]) == 40
    found = town.ours.find("counterparty", [key(f"c{n}") for n in range(40)])
    assert len(found) == 40
