"""Money keeps its digits from the tables to the request, and passes through no binary float on the way."""

from __future__ import annotations

import ast
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mappings import compile_write, load
from pipelines.operations.carried import decoded
from pipelines.table import tables
from resources.accounting.onec import odata as onec
from resources.accounting.quickbooks import write as quickbooks
from resources.accounting.sap import odata as sap
from resources.warehouse import Warehouse
from tests.mapping.mapping_road import ENVIRON, MAPPINGS

ROOT = Path(__file__).parents[2]
SUM = Decimal("90071992547409.93")
"""Numeric(18,2) holds it; the binary float next to it is 90071992547409.94."""

OF_TIME_AND_PACE = {
    "resources/tokens.py": "seconds that a token lives",
    "resources/http.py": "seconds to wait",
    "resources/budget.py": "seconds to wait",
    "pipelines/sync.py": "requests a second",
    "pipelines/documents/gate.py": "the share of deals that breaks a batch",
    "resources/accounting/onec/connector.py": "seconds",
    "resources/accounting/onec_files/settings.py": "seconds",
    "resources/accounting/quickbooks/connector.py": "requests a second",
    "resources/accounting/sap/connection.py": "requests a second",
    "resources/crm/amocrm/connector.py": "requests a second",
    "resources/crm/bitrix24/connector.py": "requests a second",
    "resources/crm/bitrix24/portal.py": "the moment at which a limit ends",
    "resources/crm/dynamics/connection.py": "requests a second",
    "resources/crm/files/options.py": "a share of files, seconds",
    "resources/crm/megaplan/connector.py": "requests a second",
    "resources/crm/salesforce/connector.py": "requests a second, the version of the API",
    "resources/crm/zoho/connector.py": "requests a second",
    "resources/crm/zoho/org.py": "credits left",
    "resources/crm/zoho/write.py": "credits that a request costs",
}


def test_floats_are_made_of_time_and_pace_alone() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("resources", "pipelines", "mappings", "expectations")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
    }
    assert found - OF_TIME_AND_PACE.keys() == set()
    assert OF_TIME_AND_PACE.keys() - found == set(), "no float is made there any more: strike it out"


def test_every_sum_and_price_of_the_road_is_numeric() -> None:
    binary = [
        f"{table.name}.{column.name} {column.type}"
        for table in tables().values()
        for column in table.columns
        if column.type.startswith(("double", "real", "float"))
    ]
    assert binary == []


@pytest.mark.parametrize("encode", [onec._encoder.encode, sap._encoder.encode, quickbooks._encode])
def test_a_body_leaves_with_the_digits_that_the_table_has(warehouse: Warehouse, encode: Any) -> None:
    system = load(MAPPINGS / "demo", ENVIRON).system("onec")
    with warehouse.connect() as conn:
        for name in (
            "core.accounting_account",
            "core.accounting_warehouse",
            "documents.document",
            "documents.document_line",
        ):
            conn.execute(tables()[name].create_sql)
        conn.execute(
            "insert into documents.document (document_key, deal_id, kind, revision, document_date, rate, rate_units, amount,"
            " has_goods, has_services) values ('onec:d', 'b:1', 'realization', 1, '2026-02-10', 81.123456, 100, %s, true, false)",
            [SUM],
        )
        conn.execute(
            "insert into documents.document_line (line_id, deal_id, position, product_matches, is_service, quantity, price,"
            " amount, vat_amount, stated_price, stated_amount)"
            " values ('b:1', 'b:1', 1, 1, false, 0.333, 10.1, %s, 0.1, 10.1, %s)",
            [SUM, SUM],
        )
        statement = f"select ({compile_write(system, 'realization')})::text from documents.document d"
        (text,) = conn.execute(statement).fetchone() or ("",)
        conn.rollback()
    body = decoded(text)
    assert body["СуммаДокумента"] == SUM
    assert body["КурсВзаиморасчетов"] == Decimal("81.123456")
    sent = encode(body).decode()
    assert f'"СуммаДокумента":{SUM}' in sent
    assert f'"Сумма":{SUM}' in sent
    assert '"Количество":0.333' in sent
    assert '"СуммаНДС":0.1' in sent
