"""SAP's records through the ready mapping into our tables, and our documents through it into SAP."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from mappings import System, compile_write, load
from pipelines.operations.compare import differences
from pipelines.table import tables
from resources.warehouse import Warehouse
from tests.mapping.mapping_road import MAPPINGS, Road
from tests.sandbox_process import running
from tests.sap.town import Town

_decode = msgspec.json.Decoder(dict, float_hook=Decimal).decode


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with running("--deals", "20", "--no-limits") as sandbox:
        yield Town(sandbox)


@pytest.fixture
def system(tmp_path: Path) -> System:
    shutil.copy(MAPPINGS / "accounting" / "sap.yaml", tmp_path)
    return load(tmp_path, {}, connected=False).accounting()


def test_what_sap_holds_becomes_our_tables_without_a_problem(
    town: Town, warehouse: Warehouse, system: System
) -> None:
    town.sandbox.control("accounting/sap/tick", {"days": 15, "seed": 4})
    sap = town.opened()
    with warehouse.connect() as conn:
        road = Road(conn, system)
        road.ensure()
        for entity in system.entities:
            for page in sap.read([entity], None, datetime.now(UTC)):
                for record in page.records:
                    road.put(entity, record.source_id, json.loads(record.payload), parent=record.parent_id)
        for name in dict.fromkeys(read.table for read in system.reads):
            road.refresh(name, everything=True)
            problems = conn.execute(f"select problems from {name} where problems <> '{{}}'").fetchall()
            assert problems == [], name
        truth = town.truth()
        documents = conn.execute(
            "select number, amount, is_posted from ledger.document where kind <> 'order'"
        ).fetchall()
        assert {number: amount for number, amount, _ in documents} == {
            key: Decimal(row["TotalGrossAmount"]) for key, row in truth["billing"].items()
        }
        sums = conn.execute(
            """select d.number from ledger.document d join ledger.document_line l on l.document_key = d.document_key
               group by d.document_key, d.number, d.amount having sum(l.amount) <> d.amount"""
        ).fetchall()
        assert sums == []
        lonely = conn.execute(
            """select count(*) from ledger.payment_line l left join ledger.document d on d.document_key = l.invoice_key
               where d.document_key is null"""
        ).fetchone()
        assert lonely == (0,)
        unequal = conn.execute(
            """select count(account_dr_key) > 0, count(account_cr_key) > 0,
                      sum(amount) filter (where account_dr_key is not null) = sum(amount) filter (where account_cr_key is not null)
               from ledger.entry"""
        ).fetchone()
        assert unequal == (True, True, True)
        conn.rollback()
    sap.close()


def test_an_order_of_ours_is_made_by_the_mapping_and_reads_back_equal(
    town: Town, warehouse: Warehouse, system: System
) -> None:
    with warehouse.connect() as conn:
        for name in ("documents.document", "documents.document_line"):
            conn.execute(tables()[name].create_sql)
        conn.execute(
            """insert into documents.document (document_key, deal_id, kind, revision, document_date, due_on,
               counterparty_key, currency, amount, vat_amount, has_goods, has_services, comment)
               values ('sap:d', 'bitrix24:1', 'order', 1, '2026-10-18', '2026-11-01', 'sap:10100000', 'RUB', 158.62, 28.60,
               true, false, 'crm:bitrix24:1')"""
        )
        for place, (quantity, amount, vat) in enumerate(
            (("3", "122.02", "22.00"), ("1.5", "36.60", "6.60")), 1
        ):
            conn.execute(
                """insert into documents.document_line (line_id, deal_id, position, product_name, product_key, unit_key,
                   product_matches, is_service, quantity, price, amount, vat, vat_amount)
                   values (%s, 'bitrix24:1', %s, 'Кабель', 'sap:NL-00101', 'sap:M', 1, false, %s, 1, %s, '1', %s)""",
                [f"b:{place}", place, quantity, amount, vat],
            )
        (text,) = conn.execute(
            f"select ({compile_write(system, 'order')})::text from documents.document d"
        ).fetchone() or ("",)
        conn.rollback()
    body = _decode(text)
    sap = town.opened()
    key = str(uuid4())
    sap.create("order", key, body)
    found = sap.find("order", [key])[key]
    assert differences(body, found) == []
    assert [item["NetAmount"] for item in found["to_Item"]] == ["100.02", "30.00"]
    assert found["PurchaseOrderByShipToParty"] == "crm:bitrix24:1"
    sap.close()


def test_a_customer_and_a_product_of_ours_are_made_by_the_mapping(
    town: Town, warehouse: Warehouse, system: System
) -> None:
    rows = {
        "counterparty": "(select 'Общество с ограниченной ответственностью Ромашка и партнёры'::text as legal_name,"
        " 'RU'::text as country, '7707083893'::text as tax_number, '770701001'::text as kpp) d",
        "product": "(select 'Кабель'::text as name, 'kab-7'::text as code, 'sap:PC'::text as unit_key, false as is_service) d",
    }
    sap = town.opened()
    for kind, row in rows.items():
        body = _decode(warehouse.scalar(f"select ({compile_write(system, kind)})::text from {row}"))
        key = str(uuid4())
        sap.create(kind, key, body)
        assert differences(body, sap.find(kind, [key])[key]) == []
    sap.close()
