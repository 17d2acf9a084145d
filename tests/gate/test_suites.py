"""Suites: what they may say, and how a broken one is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from expectations import SuiteError, suites, validate
from expectations.suite import read_suite
from mappings import load
from pipelines.core.cleaning import clean
from pipelines.identity.words import NO_NAMES
from pipelines.table import tables
from resources.warehouse import Warehouse
from tests.gate.batch import TABLES, TODAY, _insert, undone
from tests.mapping.mapping_road import MAPPINGS

READ_BESIDE = ("core.accounting_account",)  # by the rows of suites, besides the tables that they are about


def test_every_suite_speaks_of_columns_that_its_table_or_its_rows_have(stage: Warehouse) -> None:
    with undone(stage) as conn:
        for name in (*suites(), *READ_BESIDE):
            if name not in TABLES:
                conn.execute(tables()[name].create_sql)
        for suite in suites().values():
            results = validate(conn, suite, parameters={"latest_document_date": TODAY})
            assert [result.sentence for result in results] == ["nothing to check"] * len(suite.expectations)


def test_great_expectations_takes_every_expectation_of_every_suite(stage: Warehouse) -> None:
    """One row of nulls reaches every expectation; a wrong keyword or type would raise."""
    with undone(stage) as conn:
        for name in (*suites(), *READ_BESIDE):
            if name not in TABLES:
                conn.execute(tables()[name].create_sql)
        for name in suites():
            table = tables()[name]
            conn.execute(f"truncate {name}")
            row = {c.name: _some(c.type) for c in table.columns if not c.nullable}
            _insert(conn, name, row)
            results = validate(conn, suites()[name], parameters={"latest_document_date": TODAY})
            assert [result.total for result in results] == [1] * len(results)


def test_every_kind_of_document_that_a_ready_file_reads_is_a_known_one(tmp_path: Path) -> None:
    expectations = suites()["ledger.document"].expectations
    (known,) = (found.kwargs["value_set"] for found in expectations if found.name == "kind_known")
    read: set[Any] = set()
    for ready in {*MAPPINGS.glob("accounting/*.yaml"), *MAPPINGS.glob("*/onec.yaml")}:
        folder = tmp_path / f"{ready.parent.name}_{ready.stem}"
        folder.mkdir()
        shutil.copy(ready, folder)
        for rule in load(folder, {}, connected=False).accounting().reads_of("ledger.document"):
            kind = rule.rule.fields["kind"]
            read |= {kind.constant, kind.otherwise, *(kind.map or {}).values()} - {None}
    assert {"order", "invoice", "realization", "return"} <= read <= set(known)


@pytest.mark.parametrize("table", ["core.client_record", "core.counterparty", "core.contact"])
def test_a_name_that_identity_takes_for_none_is_flagged(table: str) -> None:
    """But for buyers of a till, who are called so in accounting, too."""
    till = {"розничный покупатель", "частное лицо", "физическое лицо", "физлицо", "физ лицо"}
    (expectation,) = (found for found in suites()[table].expectations if found.name == "name_tells")
    asked = set(expectation.kwargs["value_set"])
    assert asked == {name for name in NO_NAMES if len(set(name.split())) == len(name.split())} - till
    assert asked | till >= {" ".join(dict.fromkeys(name.split())) for name in NO_NAMES}


@pytest.mark.parametrize("name", ["ООО «Тест»", "тест тест тест", "ИП Новый клиент"])
def test_who_is_called_by_no_name_is_told_by_what_to_do(stage: Warehouse, name: str) -> None:
    with undone(stage) as conn:
        table = tables()["core.client_record"]
        if table.name not in TABLES:
            conn.execute(table.create_sql)
        conn.execute("truncate core.client_record")
        key = clean("legal_name_key", [name])[0].value
        row = {c.name: _some(c.type) for c in table.columns if not c.nullable}
        _insert(conn, table.name, row | {"name": name, "name_key": key, "source": "shop", "source_id": "7"})
        (found,) = (r for r in validate(conn, suites()[table.name]) if r.name == "name_tells")
        assert found.failed == 1
        assert found.examples[0].reason.startswith(f"client 7 (shop): its name '{name}' names nobody")
        conn.execute("update core.client_record set name_key = 'тестовод'")
        (found,) = (r for r in validate(conn, suites()[table.name]) if r.name == "name_tells")
        assert found.passed


def _some(kind: str) -> Any:
    if kind.endswith("[]"):
        return []
    return {"text": "x", "boolean": False, "integer": 1, "date": TODAY}.get(kind, 1)


def test_loading_suites_imports_neither_great_expectations_nor_pandas() -> None:
    code = (
        "import sys, expectations; assert len(expectations.suites()) > 10;"
        "print([m for m in ('great_expectations', 'pandas', 'sqlalchemy', 'pipelines') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    said = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


GOOD_SUITE = """\
table: core.thing
key: thing_id
expectations:
  - name: name_given
    type: expect_column_values_to_not_be_null
    kwargs: {column: name}
    severity: warning
    description: Things have names.
    reason: "thing {thing_id} has no name"
    reason_ru: "у вещи {thing_id} нет имени"
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("severity: warning", "severity: fatal", 7, "'critical', 'warning' or 'info'"),
        ("to_not_be_null", "to_be_lovely", 5, "Great Expectations has no expect_column_values_to_be_lovely"),
        ("expect_column_values_to_not_be_null", "expect_table_row_count_to_equal", 5, "single rows"),
        ("{thing_id} has", "{thing_id:>9} has", 9, "name of a column"),
        ("{thing_id} has", "{thing_id has", 9, "'}'"),
        ("    description: Things have names.\n", "", 4, "add it"),
        ("key: thing_id", "kee: thing_id", 1, "key"),
        ("table: core.thing", "table: core.other", 1, "make them one"),
        ("kwargs: {column: name}", "kwargs: {column: name", 7, "mend the line"),
    ],
)
def test_a_broken_suite_is_refused_with_its_file_line_and_remedy(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    path = tmp_path / "core" / "thing.yaml"
    path.parent.mkdir()
    path.write_text(GOOD_SUITE, encoding="utf-8")
    assert read_suite(path).expectations[0].name == "name_given"
    path.write_text(GOOD_SUITE.replace(old, new), encoding="utf-8")
    with pytest.raises(SuiteError) as caught:
        read_suite(path)
    assert str(caught.value).startswith(f"expectations/core/thing.yaml:{line}:")
    assert said in str(caught.value)


def test_one_name_twice_and_a_share_in_the_gate_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "documents" / "deal.yaml"
    path.parent.mkdir()
    one = GOOD_SUITE.replace("core.thing", "documents.deal")
    again = one + one[one.index("  - name") :]
    for content, said in [
        (one, "needs `deal`"),
        (again.replace("key:", "deal: deal_id\nkey:"), "stands twice"),
        (
            one.replace("key:", "deal: deal_id\nkey:").replace(
                "{column: name}", "{column: name, mostly: 0.9}"
            ),
            "mostly",
        ),
    ]:
        path.write_text(content, encoding="utf-8")
        with pytest.raises(SuiteError, match=said):
            read_suite(path)
