"""Each failing record is named with its reason, and each fault is told once."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from expectations import GateError, suites, validate
from expectations.suite import Suite
from pipelines.documents.gate import GATED, gate
from resources.warehouse import Warehouse
from tests.gate.batch import TODAY, failures, put, set_, undone


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
    ({"stage_is_deleted": True}, {}, {"stage_still_there"}),
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
    ({"counterparty_origin": "branchless", "counterparty_key": None}, {}, {"counterparty_branch_told"}),
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
    ({}, {"quantity": -2, "given_price": -600}, {"quantity_positive", "price_not_negative"}),
    (
        {"amount": 5, "line_amount": 5},
        {"amount": -5, "given_price": None, "given_amount": -5},
        {"line_amount_not_negative"},
    ),
    ({"amount": 1000, "discount": 200}, {}, set()),
    ({"amount": 1000, "discount": 150}, {}, {"amount_equals_lines"}),
    ({"amount": Decimal("1200.04"), "discount": Decimal("-0.04")}, {}, set()),
    ({}, {"quantity": 3}, {"line_amount_computes"}),
    ({}, {"vat": None}, {"vat_has_rule"}),
    ({}, {"unit_key": None}, {"unit_known"}),
    ({}, {"amount": None}, {"line_amount_given"}),
    ({}, {"problems": "price: 'ask' is no number"}, {"line_readable"}),
    ({}, {"foreign_signs": "USD"}, {"line_currency"}),
    ({"currency": "KWD"}, {}, {"currency_in_hundredths"}),
    ({"currency": "JPY"}, {}, set()),
    ({"currency": "JPY"}, {"vat_amount": Decimal("180.33")}, {"line_amount_in_units"}),
    ({}, {"stated_price": 10**12}, {"line_price_carried"}),
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
