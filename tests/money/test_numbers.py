"""Money keeps its digits from the tables to the request, and passes through no binary float on the way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
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
    "resources/http_date.py": "seconds to wait",
    "resources/budget.py": "seconds to wait",
    "pipelines/documents/gate.py": "the share of deals that breaks a batch",
    "resources/crm/bitrix24/portal.py": "the moment at which a limit ends",
    "resources/crm/files/options.py": "a share of files, seconds",
    "resources/crm/zoho/org.py": "credits left",
    "resources/crm/zoho/write.py": "credits that a request costs",
    "pipelines/forecast.py": "what a model foretells: a guess, rounded to kopecks when it is kept",
    "pipelines/report/charts.py": "the lengths of bars",
    "pipelines/identity/resolve.py": "a weight that nothing reaches",
    "pipelines/identity/review.py": "weights of a pair's comparisons",
}


def floats(node: ast.AST) -> Iterator[ast.Call]:
    """Where a float is made, but not of an option of a connection: those are paces, shares and seconds, and no sums."""
    if isinstance(node, ast.FunctionDef) and any(
        one.arg == "connection" and one.annotation and ast.unparse(one.annotation).startswith("Mapping[")
        for one in node.args.args
    ):
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float":
        yield node
    for inner in ast.iter_child_nodes(node):
        yield from floats(inner)


def test_floats_are_made_of_time_and_pace_alone() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("resources", "pipelines", "mappings", "expectations")
        for path in (ROOT / folder).rglob("*.py")
        if any(floats(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found - OF_TIME_AND_PACE.keys() == set(), (
        "say in OF_TIME_AND_PACE what float() is made of there; a sum, a price or a quantity is a Decimal"
    )
    assert OF_TIME_AND_PACE.keys() - found == set(), "no float is made there any more: strike it out"


def test_a_float_is_found_in_all_but_options_of_a_connection() -> None:
    option = (
        "def connect(system: str, connection: Mapping[str, Any]) -> None:\n    float(connection['timeout'])"
    )
    assert not list(floats(ast.parse(option)))
    for made in (
        "float(row['Amount'])",
        "def total(connection: Connection) -> float:\n    return float(connection.execute('select 1'))",
        "class Rows:\n    def price(self, row: Mapping[str, Any]) -> float:\n        return float(row['Price'])",
    ):
        assert len(list(floats(ast.parse(made)))) == 1


def test_every_sum_and_price_of_the_road_is_numeric() -> None:
    binary = [
        f"{table.name}.{column.name} {column.type}"
        for table in tables().values()
        for column in table.columns
        if column.type.startswith(("double", "real", "float"))
    ]
    assert binary == [
        "ledger.payment_proposal.weight double precision",  # the log of odds, and a share: no sums
        "ledger.payment_proposal.probability double precision",
    ]


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
