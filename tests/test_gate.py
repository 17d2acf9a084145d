"""The gate: each failing record is named with its reason, and holds its own deal and no other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from expectations import GateError, SuiteError, suites, validate
from expectations.suite import Suite, read_suite
from pipelines.documents.gate import GATED, BatchBroken, gate, standing
from pipelines.refresh import refresh
from pipelines.table import tables
from resources.warehouse import Connection, Warehouse

TODAY = date(2026, 7, 1)
TABLES = ("documents.deal", "documents.document_line", "documents.failure", "documents.held")

DEAL: dict[str, Any] = {
    "source": "b24",
    "title": "Boilers",
    "client_id": "b24:1",
    "client_name": "Volga Trade",
    "employee_id": "b24:7",
    "manager": "Anna",
    "pipeline_code": "0",
    "stage_code": "WON",
    "stage_name": "Won",
    "rule": "b24.yaml:12",
    "documents": ["invoice"],
    "document_date": date(2026, 6, 30),
    "due_on": date(2026, 7, 10),
    "counterparty_id": "RU:7701:77",
    "counterparties": 1,
    "legal_name": "Volga Trade OOO",
    "country": "RU",
    "tax_number": "7701234567",
    "tax_number_given": "7701234567",
    "tax_number_missing": False,
    "counterparty_key": "1c:a",
    "counterparty_origin": "found",
    "counterparty_matches": 1,
    "contract_id": "RU:7701:77/RUB",
    "currency": "RUB",
    "currency_key": "1c:rub",
    "rate": 1,
    "rate_units": 1,
    "amount": Decimal("1200.00"),
    "line_amount": Decimal("1200.00"),
    "lines": 1,
}
LINE: dict[str, Any] = {
    "position": 1,
    "product_name": "Boiler",
    "product_id": "b24:5",
    "product_key": "1c:p",
    "product_origin": "found",
    "product_matches": 1,
    "is_service": False,
    "unit": "шт",
    "unit_key": "1c:u",
    "quantity": 2,
    "price": 600,
    "amount": Decimal("1200.00"),
    "vat_rate": 20,
    "vat": "НДС20",
    "vat_amount": Decimal("200.00"),
}


@pytest.fixture
def stage(warehouse: Warehouse) -> Warehouse:
    """The warehouse with the tables around the gate, empty."""
    with warehouse.transaction() as conn:
        create(conn)
    return warehouse


def create(conn: Connection) -> None:
    for name in TABLES:
        conn.execute(tables()[name].create_sql)


def put(conn: Connection, number: int, line: Mapping[str, Any] | None = None, **deal: Any) -> str:
    """Deal `number` with one line, both good but for what is given; its id."""
    deal_id = f"b24:{number}"
    _insert(conn, "documents.deal", {"deal_id": deal_id, "source_id": str(number), **DEAL, **deal})
    _insert(
        conn,
        "documents.document_line",
        {"line_id": f"b24:l{number}", "deal_id": deal_id, **LINE, **(line or {})},
    )
    tell(conn, deal_id)
    return deal_id


def _insert(conn: Connection, table: str, row: Mapping[str, Any]) -> None:
    names, holes = ", ".join(row), ", ".join(["%s"] * len(row))
    conn.execute(f"insert into {table} ({names}) values ({holes})", list(row.values()))


def tell(conn: Connection, *deal_ids: str) -> None:
    """Note in the log of changes what a refresh would."""
    for deal_id in deal_ids:
        conn.execute("insert into ops.change_log (table_name, key) values ('documents.deal', %s)", [deal_id])


def failures(conn: Connection) -> dict[str, set[str]]:
    """Names of the failing checks by deal."""
    found: dict[str, set[str]] = {}
    for deal_id, check in conn.execute("select deal_id, check_name from documents.failure"):
        found.setdefault(deal_id, set()).add(check)
    return found


def held(conn: Connection) -> set[str]:
    refresh(conn, tables()["documents.held"])
    return {row[0] for row in conn.execute("select deal_id from documents.held")}


@contextmanager
def undone(warehouse: Warehouse) -> Iterator[Connection]:
    """A transaction that is rolled back, so that each example begins with nothing."""
    with warehouse.connect() as conn:
        yield conn
        conn.rollback()


# ---- suites ----


def test_every_suite_speaks_of_columns_that_its_table_or_its_rows_have(stage: Warehouse) -> None:
    with undone(stage) as conn:
        for name in suites():
            if name not in TABLES:
                conn.execute(tables()[name].create_sql)
        for suite in suites().values():
            results = validate(conn, suite, parameters={"latest_document_date": TODAY})
            assert [result.sentence for result in results] == ["nothing to check"] * len(suite.expectations)


def test_great_expectations_takes_every_expectation_of_every_suite(stage: Warehouse) -> None:
    """One row of nulls reaches every expectation; a wrong keyword or type would raise."""
    with undone(stage) as conn:
        for name in suites():
            table = tables()[name]
            if name not in TABLES:
                conn.execute(table.create_sql)
            conn.execute(f"truncate {name}")
            row = {c.name: _some(c.type) for c in table.columns if not c.nullable}
            _insert(conn, name, row)
            results = validate(conn, suites()[name], parameters={"latest_document_date": TODAY})
            assert [result.total for result in results] == [1] * len(results)


def _some(kind: str) -> Any:
    if kind.endswith("[]"):
        return []
    return {"text": "x", "boolean": False, "integer": 1, "date": TODAY}.get(kind, 1)


def test_loading_suites_imports_neither_great_expectations_nor_pandas() -> None:
    code = (
        "import sys, expectations; assert len(expectations.suites()) > 10;"
        "print([m for m in ('great_expectations', 'pandas', 'sqlalchemy', 'pipelines') if m in sys.modules])"
    )
    root = Path(__file__).parent.parent
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


# ---- reasons ----


def test_a_failure_names_the_deal_the_cause_and_the_remedy_in_both_languages(stage: Warehouse) -> None:
    with undone(stage) as conn:
        put(conn, 4711, rule=None, stage_code="C7:PREP", stage_name="Подготовка")
        put(conn, 4712, amount=Decimal("1234567.80"))
        put(conn, 4713, line={"product_id": None, "product_key": None, "product_name": "GTXPro 100%"})
        put(conn, 4714, document_date=date(2030, 1, 31), due_on=date(2030, 2, 1))
        gate(conn, today=TODAY)
        reasons = {
            check: (en, ru)
            for check, en, ru in conn.execute("select check_name, reason, reason_ru from documents.failure")
        }
    assert reasons["stage_has_rule"][0] == (
        "deal 4711 (b24): stage C7:PREP (Подготовка) of pipeline 0 has no rule in the mapping file b24.yaml; add one "
        "under `stages`, or ignore the stage there"
    )
    assert reasons["stage_has_rule"][1] == (
        "сделка 4711 (b24): для стадии C7:PREP (Подготовка) воронки 0 нет правила в файле соответствий b24.yaml; "
        "добавьте его в `stages` или исключите там эту стадию"
    )
    assert "1\u00a0234\u00a0567.80 RUB" in reasons["amount_equals_lines"][0]
    assert "1\u00a0234\u00a0567,80 RUB" in reasons["amount_equals_lines"][1]
    assert reasons["product_resolved"][0] == (
        "deal 4713 (b24), line 1: product 'GTXPro 100%' has no counterpart in accounting; add an alias under "
        "`products` in the mapping file b24.yaml, or the product to the CRM's catalogue"
    )
    assert "2030-01-31" in reasons["document_date_near"][0]
    assert "31.01.2030" in reasons["document_date_near"][1]


# What is changed in the deal, what in its line, and the checks that must fail of it.
FAULTS: list[tuple[dict[str, Any], dict[str, Any], set[str]]] = [
    ({}, {}, set()),
    ({"client_id": None, "counterparties": 0, "counterparty_id": None}, {}, {"client_named"}),
    ({"counterparties": 0, "counterparty_id": None}, {}, {"counterparty_given"}),
    ({"counterparties": 3, "counterparty_id": None}, {}, {"counterparty_chosen"}),
    ({"tax_number": None, "tax_number_missing": True}, {}, {"tax_number_given"}),
    (
        {"tax_number": None, "tax_number_missing": True, "tax_number_problem": "checksum"},
        {},
        {"tax_number_valid"},
    ),
    (
        {"tax_number": None, "tax_number_problem": "checksum", "country": "KZ"},
        {},
        {"tax_number_doubtful"},
    ),
    ({"counterparty_origin": "ambiguous", "counterparty_key": None}, {}, {"counterparty_unambiguous"}),
    ({"currency": None, "currency_key": None, "rate": None}, {}, {"currency_given"}),
    ({"currency": "XAU", "currency_key": None, "rate": None}, {}, {"currency_known", "rate_known"}),
    ({"document_date": None, "due_on": None}, {}, {"document_date_given"}),
    ({"amount": None}, {}, {"amount_given"}),
    ({"amount": 0, "line_amount": 0}, {}, {"amount_positive"}),
    ({"lines": 0, "line_amount": None}, {}, {"has_lines"}),
    ({"problems": "closing date: 'soon' is no date"}, {}, {"readable"}),
    ({"same_number": "04711"}, {}, {"number_once"}),
    ({"set_apart": "sales.csv: rows of D-1 differ"}, {}, {"rows_complete"}),
    ({"employee_id": None}, {}, {"manager_named"}),
    ({}, {"product_name": None, "product_id": None}, {"product_named"}),
    ({}, {"product_origin": "missing", "product_key": None}, {"product_in_accounting"}),
    ({}, {"product_origin": "ambiguous", "product_key": None}, {"product_unambiguous"}),
    ({}, {"quantity": None}, {"quantity_given"}),
    ({}, {"quantity": None, "is_service": True, "unit_key": None}, {"service_quantity_given"}),
    ({}, {"quantity": -2, "price": -600}, {"quantity_positive", "price_not_negative"}),
    ({}, {"quantity": 3}, {"line_amount_computes"}),
    ({}, {"vat": None}, {"vat_has_rule"}),
    ({}, {"unit_key": None}, {"unit_known"}),
    ({}, {"amount": None}, {"line_amount_given"}),
    ({}, {"problems": "price: 'ask' is no number"}, {"line_readable"}),
    ({"rule": None, "client_id": None, "amount": None}, {"vat": None}, {"stage_has_rule"}),
]


def test_each_fault_is_told_once_and_apart(stage: Warehouse) -> None:
    with undone(stage) as conn:
        set_(conn, "gate_max_held_share", 1)
        for number, (change, line, _) in enumerate(FAULTS):
            put(conn, number, line, **change)
        gate(conn, today=TODAY)
        found = failures(conn)
    for number, (change, line, checks) in enumerate(FAULTS):
        assert found.get(f"b24:{number}", set()) == checks, (change, line)
    critical = {e.name for t in GATED for e in suites()[t].expectations if e.severity == "critical"}
    assert critical - set().union(*(checks for _, _, checks in FAULTS)) <= TOLD_ELSEWHERE


TOLD_ELSEWHERE = {"amount_equals_lines", "product_resolved", "document_date_near"}  # by the test above


# ---- holding ----


@pytest.fixture(scope="module")
def module_stage(server_url: str, template: str) -> Iterator[Warehouse]:
    """As `stage`, for tests that leave nothing behind."""
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"create database gate template {template}")
        url = psycopg.conninfo.make_conninfo(server_url, dbname="gate")
        parts = psycopg.conninfo.conninfo_to_dict(url)
        warehouse = Warehouse(
            f"postgresql://{parts['user']}:{parts['password']}@{parts['host']}:{parts['port']}/gate"
        )
        with warehouse.transaction() as prepared:
            create(prepared)
        yield warehouse
        conn.execute("drop database gate with (force)")


NOTHING_OR = st.sampled_from
DEALS = st.fixed_dictionaries(
    {
        "rule": NOTHING_OR([None, "b24.yaml:12", "b24.yaml:12", "b24.yaml:12"]),
        "client_id": NOTHING_OR([None, "b24:1", "b24:1", "b24:1"]),
        "counterparties": st.integers(0, 2),
        "tax_number_missing": st.booleans(),
        "currency_key": NOTHING_OR([None, "1c:rub", "1c:rub"]),
        "employee_id": NOTHING_OR([None, "b24:7"]),
        "amount": NOTHING_OR(
            [None, Decimal("1200"), Decimal("1200"), Decimal("1200.01"), Decimal(0), Decimal(-1)]
        ),
        "line_amount": NOTHING_OR([None, Decimal("1200"), Decimal("1200")]),
        "lines": st.integers(0, 2),
        "document_date": st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    }
)
LINES = st.fixed_dictionaries(
    {
        "product_id": NOTHING_OR([None, "b24:5", "b24:5", "b24:5"]),
        "product_origin": NOTHING_OR(["found", "created", "found", "ambiguous"]),
        "is_service": st.booleans(),
        "quantity": NOTHING_OR([None, 1, 2, 2, 0]),
        "unit_key": NOTHING_OR([None, "1c:u", "1c:u"]),
        "vat": NOTHING_OR([None, "НДС20", "НДС20", "НДС20"]),
    }
)


def must_be_held(deal: Mapping[str, Any], line: Mapping[str, Any]) -> bool:
    """The same judgement, said once more in Python: null is no number and passes comparisons."""
    if deal["rule"] is None:
        return True
    amount, line_amount, quantity = deal["amount"], deal["line_amount"], line["quantity"]
    goods = not line["is_service"]
    return (
        deal["client_id"] is None
        or deal["counterparties"] != 1
        or deal["tax_number_missing"]
        or deal["currency_key"] is None
        or deal["document_date"] > date(2027, 7, 1)
        or amount is None
        or amount <= 0
        or (line_amount is not None and amount != line_amount)
        or deal["lines"] == 0
        or line["product_id"] is None
        or line["product_origin"] == "ambiguous"
        or (goods and quantity is None)
        or quantity in (0, 1)  # one at 600 does not make 1200
        or (goods and line["product_id"] is not None and line["unit_key"] is None)
        or line["vat"] is None
    )


@settings(max_examples=5, deadline=None)
@given(st.lists(st.tuples(DEALS, LINES), min_size=1, max_size=80))
def test_a_deal_is_held_if_and_only_if_it_or_its_line_fails_critically(
    module_stage: Warehouse, batch: list[tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    with undone(module_stage) as conn:
        set_(conn, "gate_max_held_share", 1)
        for number, (deal, line) in enumerate(batch):
            put(conn, number, line, **deal)
        outcome = gate(conn, today=TODAY)
        expected = {f"b24:{n}" for n, (deal, line) in enumerate(batch) if must_be_held(deal, line)}
        assert held(conn) == expected
        assert (outcome.evaluated, outcome.held) == (len(batch), len(expected))


def test_what_is_found_deal_by_deal_is_what_is_found_at_once(stage: Warehouse) -> None:
    with undone(stage) as conn:
        for number in range(4):
            put(conn, number, amount=Decimal(1200 + number % 2))
            gate(conn, today=TODAY)
        conn.execute("update documents.deal set amount = 1200 where deal_id = 'b24:1'")
        conn.execute("update documents.deal set client_id = null where deal_id = 'b24:0'")
        conn.execute("delete from documents.document_line where deal_id = 'b24:3'")
        conn.execute("delete from documents.deal where deal_id = 'b24:3'")
        tell(conn, "b24:0", "b24:1", "b24:3")
        gate(conn, today=TODAY)
        step_by_step = conn.execute("select * from documents.failure order by 1").fetchall()
        conn.execute("truncate documents.failure")
        gate(conn, today=TODAY, everything=True)
        assert step_by_step == conn.execute("select * from documents.failure order by 1").fetchall()
        assert failures(conn) == {"b24:0": {"client_named"}}


def test_a_failure_that_stays_is_left_alone_and_told_to_nobody(stage: Warehouse) -> None:
    with undone(stage) as conn:
        put(conn, 1, amount=Decimal(1))
        put(conn, 2, amount=Decimal(1))
        gate(conn, today=TODAY)
        before = conn.execute(
            "select xmin::text, ctid::text from documents.failure order by failure_id"
        ).fetchall()
        seq = conn.execute("select max(seq) from ops.change_log").fetchone()
        conn.execute("update documents.deal set amount = 1200 where deal_id = 'b24:2'")
        outcome = gate(conn, today=TODAY, deal_ids=["b24:1", "b24:2"])
        assert (outcome.outcome.written, outcome.outcome.removed) == (0, 1)
        after = conn.execute("select xmin::text, ctid::text from documents.failure").fetchall()
        assert after == before[:1]
        told = conn.execute("select table_name, key from ops.change_log where seq > %s", seq).fetchall()
        assert told == [("documents.failure", "b24:2")]


def test_nothing_changed_means_great_expectations_is_not_even_imported(
    stage: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with undone(stage) as conn:
        put(conn, 1)
        gate(conn, today=TODAY)
        monkeypatch.setitem(sys.modules, "great_expectations", None)
        assert gate(conn, today=TODAY).evaluated == 0
        conn.execute("delete from documents.document_line")
        conn.execute("delete from documents.deal")
        tell(conn, "b24:1")
        results = gate(conn, today=TODAY).checks["documents.deal"]
        assert {result.sentence for result in results} == {"nothing to check"}
        put(conn, 2)
        with pytest.raises(GateError, match=r"install requirements\.lock"):
            gate(conn, today=TODAY)


def test_time_alone_releases_a_document_dated_too_far_ahead(stage: Warehouse) -> None:
    with undone(stage) as conn:
        put(conn, 1, document_date=date(2027, 8, 1), due_on=date(2027, 8, 1))
        gate(conn, today=TODAY)
        assert held(conn) == {"b24:1"}
        gate(conn, today=date(2026, 7, 31))
        assert held(conn) == {"b24:1"}
        gate(conn, today=date(2026, 8, 1))
        assert held(conn) == set()


def test_a_release_lets_the_deal_pass_for_the_check_it_names(stage: Warehouse) -> None:
    with undone(stage) as conn:
        put(conn, 1, amount=Decimal(1))
        conn.execute(
            "insert into ops.release (deal_id, check_name, actor, reason)"
            " values ('b24:1', 'amount_equals_lines', 'olga', 'discount agreed')"
        )
        outcome = gate(conn, today=TODAY)
        assert failures(conn) == {"b24:1": {"amount_equals_lines"}}
        assert (outcome.held, held(conn)) == (0, set())


def test_standing_counts_all_deals_not_only_those_that_changed(stage: Warehouse) -> None:
    with undone(stage) as conn:
        put(conn, 1, amount=Decimal(1))
        gate(conn, today=TODAY)
        put(conn, 2, amount=Decimal(1))
        gate(conn, today=TODAY)
        found = {s.check: s for s in standing(conn)}
    assert (found["amount_equals_lines"].failures, found["amount_equals_lines"].deals) == (2, 2)
    assert found["amount_equals_lines"].examples[0].key == "b24:1"
    assert found["stage_has_rule"].failures == 0
    assert len(found) == sum(
        len(suites()[t].expectations) for t in ("documents.deal", "documents.document_line")
    )


# ---- a broken batch ----


def test_a_batch_mostly_held_is_stopped_and_changes_nothing(stage: Warehouse) -> None:
    with stage.transaction() as conn:
        for number in range(20):
            put(conn, number, rule=None if number < 11 else "b24.yaml:12", stage_code="NEW")
    with pytest.raises(BatchBroken) as caught, stage.transaction() as conn:
        gate(conn, today=TODAY)
    said = str(caught.value)
    assert "11 of 20 deals would be newly held (55%)" in said
    assert "stage NEW" in said
    assert "gate_max_held_share" in said
    with stage.transaction() as conn:
        assert failures(conn) == {}
        set_(conn, "gate_max_held_share", 0.6)
        assert gate(conn, today=TODAY).newly_held == 11


def test_half_held_is_not_yet_broken_and_a_small_batch_never_is(stage: Warehouse) -> None:
    with undone(stage) as conn:
        for number in range(20):
            put(conn, number, rule=None if number < 10 else "b24.yaml:12")
        assert gate(conn, today=TODAY).held == 10
    with undone(stage) as conn:
        for number in range(19):
            put(conn, number, rule=None)
        assert gate(conn, today=TODAY).held == 19
        set_(conn, "gate_min_batch", 10)
        conn.execute("truncate documents.failure")
        with pytest.raises(BatchBroken):
            gate(conn, today=TODAY, everything=True)


def test_a_smallest_batch_of_nothing_stops_a_single_deal(stage: Warehouse) -> None:
    with undone(stage) as conn:
        set_(conn, "gate_min_batch", 0)
        assert gate(conn, today=TODAY).evaluated == 0
        put(conn, 1, rule=None)
        with pytest.raises(BatchBroken):
            gate(conn, today=TODAY)


def test_deals_held_before_do_not_make_a_batch_broken_when_they_come_again(stage: Warehouse) -> None:
    with undone(stage) as conn:
        for start in (0, 10, 20):
            for number in range(start, start + 10):
                put(conn, number, rule=None)
            gate(conn, today=TODAY)
        outcome = gate(conn, today=TODAY, everything=True)
        assert (outcome.held, outcome.newly_held, outcome.held_share) == (30, 0, 1.0)


@pytest.mark.parametrize("value", [1.5, "half", True, None])
def test_a_setting_that_is_no_share_is_refused_by_name(module_stage: Warehouse, value: object) -> None:
    with undone(module_stage) as conn:
        put(conn, 1)
        set_(conn, "gate_max_held_share", value)
        with pytest.raises(GateError, match="gate_max_held_share in the mapping file of sverka is"):
            gate(conn, today=TODAY)


def set_(conn: Connection, name: str, value: object) -> None:
    """A setting of the accounting system, which is called `sverka` here."""
    conn.execute("delete from ops.setting where name = any(%s)", [[name, "accounting_system"]])
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into ops.setting (system, name, value) values ('sverka', %s, %s)",
            [("accounting_system", Jsonb("sverka")), (name, Jsonb(value))],
        )


# ---- control totals, and what Great Expectations would let slip ----


def test_rows_that_lose_or_repeat_records_are_caught(
    stage: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = suites()["documents.document_line"]
    for join in ("where l.line_id <> 'b24:l1'", "cross join generate_series(1, 2)"):
        wrong = replace_rows(suite, suite.rows.rstrip() + " " + join)
        monkeypatch.setattr(
            "pipelines.documents.gate.suites", lambda wrong=wrong: {**suites(), wrong.table: wrong}
        )
        with undone(stage) as conn:
            put(conn, 1)
            put(conn, 2)
            with pytest.raises(GateError, match="lose or repeat"):
                gate(conn, today=TODAY)


def test_more_failures_than_great_expectations_shows_are_all_named(stage: Warehouse) -> None:
    """It returns 20 keys unless told otherwise, and 200 values whatever it is told."""
    with undone(stage) as conn:
        for number in range(450):
            put(conn, number, employee_id=None)
        gate(conn, today=TODAY)
        assert len(failures(conn)) == 450


def test_the_callers_transaction_stays_the_callers(stage: Warehouse) -> None:
    with stage.connect() as conn:
        put(conn, 1, amount=Decimal(1))
        gate(conn, today=TODAY)
        assert failures(conn) == {"b24:1": {"amount_equals_lines"}}
        conn.rollback()
        assert failures(conn) == {}
        assert conn.execute("select count(*) from documents.deal").fetchone() == (0,)


def test_examples_without_all_failures_are_ten_and_counts_are_whole(stage: Warehouse) -> None:
    with undone(stage) as conn:
        for number in range(30):
            put(conn, number, employee_id=None)
        results = validate(
            conn, suites()["documents.deal"], parameters={"latest_document_date": date(2027, 7, 1)}
        )
        result = next(r for r in results if r.name == "manager_named")
        assert (result.evaluated, result.failed, len(result.examples), result.passed) == (30, 30, 10, False)
        with pytest.raises(GateError, match="latest_document_date"):
            validate(conn, suites()["documents.deal"])


def replace_rows(suite: Suite, rows: str) -> Suite:
    return suite.model_copy(update={"rows": rows})


def test_a_column_that_is_not_there_is_named(stage: Warehouse) -> None:
    suite = suites()["documents.deal"]
    wrong = replace_rows(suite, "select deal_id, rule from documents.deal")
    with undone(stage) as conn, pytest.raises(GateError, match=r"documents\.deal: .*correct deal\.yaml"):
        validate(conn, wrong, parameters={"latest_document_date": TODAY})


def test_an_expectation_that_cannot_be_computed_is_named_with_the_cause(stage: Warehouse) -> None:
    suite = suites()["documents.deal"]
    wrong = tuple(
        e.model_copy(
            update={
                "type": "expect_column_values_to_match_regex",
                "kwargs": {"column": "title", "regex": "("},
            }
        )
        if e.name == "amount_positive"
        else e
        for e in suite.expectations
    )
    broken = suite.model_copy(update={"expectations": wrong})
    with undone(stage) as conn:
        put(conn, 1)
        with pytest.raises(GateError) as caught:
            validate(conn, broken, parameters={"latest_document_date": TODAY})
    assert "documents.deal, amount_positive" in str(caught.value)
    assert "invalid regular expression" in str(caught.value)
    assert "aborted" not in str(caught.value)
