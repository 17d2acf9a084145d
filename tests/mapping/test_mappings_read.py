"""Compiled reads against a real PostgreSQL: values, problems, and what a change touches."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mappings import load
from pipelines.refresh import empty_scope
from pipelines.table import tables
from resources.warehouse import Warehouse
from tests.mapping.mapping_road import ENVIRON, MAPPINGS, Road, crm, open_road

DEAL = """
read:
  core.client_record: {from: company, fields: {name: title}}
  core.deal:
    from: deal
    fields:
      title: title
      client_record_id: {from: companyId, ref: core.client_record, none: ["0"]}
      amount: {from: opportunity, as: money}
      currency: {from: cur, map: {руб: RUB, "$": USD}}
      stage_code: {from: stage, required: true}
      closed_on: {from: close, as: date}
      created_at: created
    ignore:
      - {rule: tests, when: {from: title, starts_with: тест}, why: made to try it out}
"""


@pytest.fixture
def roads() -> Iterator[list[Road]]:
    opened: list[Road] = []
    yield opened
    for road in opened:
        road.conn.close()


@pytest.fixture
def road(warehouse: Warehouse, tmp_path: Path, roads: list[Road]) -> Road:
    roads.append(open_road(warehouse, crm(tmp_path / "m", DEAL)))
    return roads[-1]


def test_a_record_becomes_a_row_of_typed_values(road: Road) -> None:
    road.put("deal", "17", {
        "title": "  Поставка ", "companyId": 5, "opportunity": 1234.565, "cur": "руб", "stage": "WON",
        "close": "2026-02-10T02:00:00+03:00", "created": "2026-02-01T10:00:00",
    })  # fmt: skip
    road.refresh("core.deal")
    row = road.row("core.deal")
    assert row["deal_id"] == "shop:17"
    assert (row["source"], row["source_id"], row["title"]) == ("shop", "17", "Поставка")
    assert (row["client_record_id"], row["amount"], row["currency"]) == ("shop:5", Decimal("1234.57"), "RUB")
    assert row["closed_on"] == datetime.date(2026, 2, 10)
    assert row["created_at"] == datetime.datetime(2026, 2, 1, 7, tzinfo=datetime.UTC)
    assert row["problems"] == []


def test_what_cannot_be_used_is_null_and_told_in_a_sentence(road: Road) -> None:
    road.put("deal", "17", {
        "title": "x", "companyId": 0, "opportunity": "сто рублей", "cur": "CHF", "close": "2026-02-30",
        "created": "2026-02-30T10:00:00+03:00",
    })  # fmt: skip
    road.put("deal", "18", {"opportunity": "1" * 25, "stage": "A"})
    road.refresh("core.deal")
    row, huge = road.rows("core.deal")
    assert (row["client_record_id"], row["amount"], row["currency"], row["closed_on"]) == (
        None,
        None,
        None,
        None,
    )
    told = "\n".join(row["problems"])
    assert 'amount: "сто рублей" is not a number (opportunity of deal 17); correct it in shop' in told
    assert 'currency: "CHF" is not in the map of' in told
    assert 'closed_on: "2026-02-30" is not a date' in told
    assert 'created_at: "2026-02-30T10:00:00+03:00" is not a time' in told
    assert "stage_code is missing (stage of deal 17); fill it in shop" in told
    assert len(row["problems"]) == 5
    assert huge["amount"] is None
    assert "is too large a number" in huge["problems"][0]


def test_a_sum_that_names_another_currency_is_no_sum_of_the_row(road: Road) -> None:
    road.put("deal", "1", {"title": "a", "stage": "A", "opportunity": "1000 USD", "cur": "руб"})
    road.put("deal", "2", {"title": "b", "stage": "A", "opportunity": "1 000 ₽", "cur": "руб"})
    road.put("deal", "3", {"title": "c", "stage": "A", "opportunity": "€1000", "cur": "$"})
    road.put("deal", "4", {"title": "d", "stage": "A", "opportunity": "€1000"})
    road.refresh("core.deal")
    dollars, roubles, euros, unknown = road.rows("core.deal")
    assert [row["amount"] for row in (dollars, roubles, euros, unknown)] == [None, 1000, None, 1000]
    assert dollars["problems"] == [
        'amount: "1000 USD" is not in RUB (opportunity of deal 1); correct it in shop'
    ]
    assert euros["problems"] == ['amount: "€1000" is not in USD (opportunity of deal 3); correct it in shop']
    # A deal without a currency is held for that alone.
    assert roubles["problems"] == unknown["problems"] == []


def test_a_line_keeps_the_currency_that_its_sums_name_for_its_deal_to_judge(
    warehouse: Warehouse, roads: list[Road]
) -> None:
    roads.append(open_road(warehouse, load(MAPPINGS / "demo", ENVIRON).system("bitrix24")))
    road = roads[-1]
    for number, price in enumerate(("10.5", "10,50 руб.", "$10.5")):
        line = {"productName": "Кабель", "quantity": "3", "price": price, "taxRate": 20}
        road.put("deal_line", str(number), line, parent="7")
    road.refresh("core.deal_line")
    rows = road.rows("core.deal_line")
    assert [row["money_signs"] for row in rows] == [None, "руб.", "$"]
    assert [(row["price"], row["problems"]) for row in rows] == [(Decimal("10.5"), [])] * 3


def test_a_deleted_record_stays_and_an_ignored_one_is_counted_by_its_rule(road: Road) -> None:
    road.put("deal", "1", {"title": "a", "stage": "A"})
    road.put("deal", "2", {"title": "ТЕСТ b", "stage": "A"})
    road.refresh("core.deal")
    assert [row["deal_id"] for row in road.rows("core.deal")] == ["shop:1"]
    empty_scope(road.conn)
    road.conn.execute("insert into scope values ('shop:1'), ('shop:2')")
    assert road.conn.execute(road.compiled("core.deal")[0].ignored).fetchall() == [("2", "tests")]
    road.put("deal", "1", None)
    road.put("deal", "2", {"title": "b", "stage": "A"})
    road.refresh("core.deal")
    assert [(row["title"], row["is_deleted"]) for row in road.rows("core.deal")] == [
        ("a", True),
        ("b", False),
    ]


def test_what_counts_as_deleted_may_be_chosen_by_a_rule(
    warehouse: Warehouse, tmp_path: Path, roads: list[Road]
) -> None:
    chosen = """    from: deal
    deleted: {choose: [{when: {from: stage, equals: [SPAM, TRASH]}, value: true}], otherwise: false}
"""
    roads.append(open_road(warehouse, crm(tmp_path / "m", DEAL.replace("    from: deal\n", chosen))))
    (road,) = roads
    for number, stage in enumerate(("A", "TRASH", "SPAM")):
        road.put("deal", str(number), {"title": "t", "stage": stage})
    road.refresh("core.deal")
    assert [(row["source_id"], row["is_deleted"]) for row in road.rows("core.deal")] == [
        ("0", False), ("1", True), ("2", True)]  # fmt: skip


def test_names_with_quotes_braces_and_backslashes_break_nothing(
    warehouse: Warehouse, tmp_path: Path, roads: list[Road]
) -> None:
    odd = {"O'Neil": "x'; drop table core.deal; --", 'a"b': "ok\\", "к.т{}[0]": "'"}
    body = """
read:
  core.deal:
    from: deal
    fields:
      title: {from: "O'Neil"}
      stage_code: {from: "\\"a\\"\\"b\\"", map: {"ok\\\\": "o'k\\\\"}}
      currency: {from: "к.т", none: ["'; select 1; --"]}
      pipeline_code: {constant: "'%s\\\\"}
"""
    roads.append(open_road(warehouse, crm(tmp_path / "m", body)))
    road = roads[-1]
    road.put("deal", "it's", odd)
    road.refresh("core.deal")
    row = road.row("core.deal")
    assert (row["deal_id"], row["title"]) == ("shop:it's", "x'; drop table core.deal; --")
    assert (row["stage_code"], row["pipeline_code"]) == ("o'k\\", "'%s\\")


def test_lines_follow_their_parent_and_a_deleted_line_vanishes(
    warehouse: Warehouse, roads: list[Road]
) -> None:
    roads.append(open_road(warehouse, load(MAPPINGS / "demo", ENVIRON).system("bitrix24")))
    road = roads[-1]
    line = {"productName": "Кабель", "quantity": 3, "price": "10.335", "taxRate": 20, "measureName": "м"}
    road.put("deal_line", "1", line, parent="7")
    road.put("deal_line", "2", {**line, "price": "много"}, parent="7")
    road.refresh("core.deal_line")
    first, second = road.rows("core.deal_line")
    assert (first["deal_id"], first["amount"], first["vat_rate"]) == (
        "bitrix24:7",
        Decimal("31.01"),
        Decimal(20),
    )
    assert (second["amount"], len(second["problems"])) == (None, 1)
    road.put("deal_line", "1", None)
    road.put("deal_line", "2", line, parent="8")
    road.refresh("core.deal_line")
    assert road.row("core.deal_line")["deal_id"] == "bitrix24:8"


def test_elements_of_an_array_are_rows_and_twins_stay_apart(warehouse: Warehouse, roads: list[Road]) -> None:
    roads.append(open_road(warehouse, load(MAPPINGS / "demo", ENVIRON).system("onec")))
    road = roads[-1]
    goods = [{"LineNumber": "1", "Сумма": 12.5}, {"LineNumber": "1", "Сумма": 1}, {"LineNumber": "2"}]
    road.put("realization", "r1", {"DeletionMark": True, "Товары": goods, "Услуги": [{"LineNumber": "1"}]})
    road.put("realization", "r2", {"Товары": None, "Услуги": "нет"})
    road.refresh("ledger.document_line")
    rows = road.rows("ledger.document_line")
    assert [row["line_key"] for row in rows] == [
        "onec:r1/goods/1", "onec:r1/goods/1~2", "onec:r1/goods/2", "onec:r1/services/1"
    ]  # fmt: skip
    assert rows[0]["document_key"] == "onec:r1"
    assert all(row["is_deleted"] for row in rows)
    road.put("realization", "r1", None)
    road.refresh("ledger.document_line")
    assert road.rows("ledger.document_line") == []


ORDERS = """
read:
  core.deal:
    from: deal
    fields: {title: title}
  core.deal_line:
    from: order
    each: rows
    parent: {ref: core.deal, from: /deal.id}
    key: id
    fields: {deal_id: {parent: true}, product_name: name}
"""


def test_elements_of_a_record_may_belong_to_another_and_follow_it(
    warehouse: Warehouse, roads: list[Road], tmp_path: Path
) -> None:
    roads.append(open_road(warehouse, crm(tmp_path, ORDERS)))
    road = roads[-1]

    def lines() -> list[tuple[str, str]]:
        road.refresh("core.deal_line")
        return [(row["line_id"], row["deal_id"]) for row in road.rows("core.deal_line")]

    road.put("order", "o1", {"deal": {"id": "d1"}, "rows": [{"id": 1}, {"id": 2}]})
    road.put("order", "o2", {"deal": {"id": "d1"}, "rows": [{"id": 3}]})
    road.put("order", "o3", {"deal": None, "rows": [{"id": 4}]})
    assert lines() == [("shop:o1/1", "shop:d1"), ("shop:o1/2", "shop:d1"), ("shop:o2/3", "shop:d1")]
    road.put("order", "o1", {"deal": {"id": "d2"}, "rows": [{"id": 1}]})
    assert lines() == [("shop:o1/1", "shop:d2"), ("shop:o2/3", "shop:d1")]
    road.put("order", "o2", None)
    assert lines() == [("shop:o1/1", "shop:d2")]


def test_a_joined_record_lends_its_values_and_its_change_reaches_the_row(
    warehouse: Warehouse, roads: list[Road]
) -> None:
    roads.append(open_road(warehouse, load(MAPPINGS / "demo", ENVIRON).system("bitrix24")))
    road = roads[-1]
    road.put("product", "5", {"name": "Кабель", "id": 5, "vatId": 3, "type": 7})
    road.put("vat_rate", "3", {"rate": 20})
    road.put("product_price", "9", {"productId": 5, "catalogGroupId": 1, "price": 11, "currency": "RUB"})
    road.put("product_price", "8", {"productId": 5, "catalogGroupId": 2, "price": 99, "currency": "USD"})
    road.refresh("core.product")
    row = road.row("core.product")
    assert (row["price"], row["currency"], row["vat_rate"], row["is_service"]) == (11, "RUB", 20, True)
    road.put("vat_rate", "3", {"rate": 22})
    road.put("product_price", "9", {"productId": 6, "catalogGroupId": 1, "price": 11, "currency": "RUB"})
    road.refresh("core.product")
    row = road.row("core.product")
    assert (row["price"], row["vat_rate"]) == (None, 22)


def test_cleaned_values_tell_their_problem_and_tax_numbers_keep_what_was_given(
    warehouse: Warehouse, roads: list[Road]
) -> None:
    roads.append(open_road(warehouse, load(MAPPINGS / "demo", ENVIRON).system("bitrix24")))
    road = roads[-1]
    phones = [{"typeId": "EMAIL", "value": "a@b"}, {"typeId": "PHONE", "value": "8 (495) 123-45-67"}]
    road.put("company", "1", {"title": 'ООО "Ромашка"', "fm": phones, "isMyCompany": "N"})
    road.put("requisite", "2", {"ENTITY_ID": "1", "RQ_INN": "7701234567", "RQ_COMPANY_NAME": "Ромашка ООО"})
    road.put("requisite", "3", {"ENTITY_ID": "1", "RQ_VAT_ID": "DE136695976"})
    road.refresh("core.client_record")
    road.refresh("core.requisite")
    client = road.row("core.client_record")
    assert (client["phone"], client["email"]) == ("+74951234567", None)
    assert 'email "' in client["problems"][0]
    russian, german = road.rows("core.requisite")
    assert russian["tax_number_given"] == "7701234567"
    assert (russian["tax_number"] is None) == (russian["tax_number_problem"] is not None)
    assert (german["country"], german["tax_number"], german["problems"]) == ("DE", "DE136695976", [])


SHEET = """
read:
  core.client_record:
    from: sale
    key: client
    fields: {name: client, city: city}
  core.deal:
    from: sale
    key: deal
    fields: {title: note, client_record_id: {from: client, ref: core.client_record}}
  core.deal_line:
    from: sale
    parent: {ref: core.deal, from: deal}
    fields: {deal_id: {parent: true}, product_name: note}
"""
SHEET_TABLES = ("core.client_record", "core.deal", "core.deal_line")
MOVES = [
    ("1", {"client": "A", "deal": "d1", "city": "x", "note": "p"}, True),
    ("1", {"client": "B", "deal": "d2", "city": "x", "note": "p"}, True),
]


@example(MOVES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["1", "2", "10"]),
            st.none()
            | st.fixed_dictionaries({
                "client": st.sampled_from(["A", "B", "", None]),
                "deal": st.sampled_from(["d1", "d2", None]),
                "city": st.sampled_from(["x", "y"]),
                "note": st.sampled_from(["p", "q"]),
            }),
            st.booleans(),
        ),
        max_size=8,
    )
)  # fmt: skip
def test_rows_keyed_by_a_value_come_out_as_from_a_rebuild(
    warehouse: Warehouse, tmp_path: Path, history: list[tuple[str, dict[str, Any] | None, bool]]
) -> None:
    """Law 2, for spreadsheets: a row that changes its client, deal or vanishes leaves nothing behind."""
    road = Road(warehouse.connect(), crm(tmp_path / "m", SHEET))
    try:
        road.ensure()
        known: dict[str, dict[str, Any]] = {}
        for place, (source_id, payload, refresh_now) in enumerate(history):
            if payload is None and source_id not in known:
                continue
            road.put("sale", source_id, payload, modified=f"2026-01-0{place % 3 + 1}")
            if payload is None:
                known.pop(source_id, None)
            else:
                known[source_id] = payload
            if refresh_now:
                for table in SHEET_TABLES:
                    road.refresh(table)
        for table in SHEET_TABLES:
            road.refresh(table)
            stepwise = road.rows(table)
            road.conn.execute(f"truncate {table}")
            road.refresh(table, everything=True)
            assert stepwise == road.rows(table)
        living = {row["client_record_id"] for row in road.rows("core.client_record") if not row["is_deleted"]}
        assert living == {f"shop:{p['client']}" for p in known.values() if p["client"]}
        assert len(road.rows("core.deal_line")) == sum(1 for p in known.values() if p["deal"])
    finally:
        road.conn.rollback()
        road.conn.close()


TEXTS = st.one_of(
    st.none(),
    st.sampled_from(
        ["", " ", "0", "-", "сто", "12", "12.345", "-7.005", " 8 ", "1e9", "Y", "N", "true", "WON", "'"]
    ),
    st.integers(-(10**6), 10**6),
    st.decimals(-1000, 1000, places=3).map(float),
    st.booleans(),
    st.text(max_size=5).filter(lambda t: "\0" not in t and t.isprintable()),
)
RANDOM = """
read:
  core.product:
    from: product
    fields:
      name: {from: [a, deep.b]}
      code: {from: b, none: ["0", "-"], map: {WON: won, "12": twelve}, otherwise: other}
      unit: {from: "list[k=x].v"}
      price: {from: c, as: quantity, numbers: en}
      is_service: {from: a, as: boolean}
      currency: {from: "{a}/{c}"}
"""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries({"a": TEXTS, "b": TEXTS, "c": TEXTS, "deep": st.fixed_dictionaries({"b": TEXTS})}),
    st.lists(st.fixed_dictionaries({"k": st.sampled_from(["x", "y"]), "v": TEXTS}), max_size=3),
)
def test_the_compiled_row_equals_a_slow_reading(
    warehouse: Warehouse, tmp_path: Path, payload: dict[str, Any], items: list[dict[str, Any]]
) -> None:
    road = Road(warehouse.connect(), crm(tmp_path / "m", RANDOM))
    try:
        road.ensure("core.product")
        payload = {**payload, "list": items}
        road.put("product", "1", payload)
        road.refresh("core.product")
        row = road.row("core.product")
        expected = slow(road, json.loads(json.dumps(payload), parse_float=Decimal))
        assert {name: row[name] for name in expected} == expected
    finally:
        road.conn.rollback()
        road.conn.close()


def slow(road: Road, payload: dict[str, Any]) -> dict[str, Any]:
    """RANDOM read by hand. Numbers and booleans are asked of ops, whose own tests they have."""
    a, b, c = text(payload["a"]), text(payload["b"]), text(payload["c"])
    number = road.conn.execute("select ops.parse_number(%s, 'en')", [c]).fetchone()
    boolean = road.conn.execute("select ops.parse_boolean(%s)", [a]).fetchone()
    assert number is not None
    assert boolean is not None
    price = number[0]
    if price is not None and abs(price) >= 10**14 - 1:
        price = None
    currency = None if a is None or c is None else f"{a}/{c}"
    signs = "select ops.money_is_of(ops.money_signs(%s), %s)"
    fits = road.conn.execute(signs, [c, currency]).fetchone() == (True,)
    problems = (c is not None and price is None) + (not fits) + (a is not None and boolean[0] is None)
    found: dict[str, Any] = next((item for item in payload["list"] if item["k"] == "x"), {})
    code = None if b in ("0", "-") else b
    assert len(road.row("core.product")["problems"]) == problems
    return {
        "name": a if a is not None else text(payload["deep"]["b"]),
        "code": {"WON": "won", "12": "twelve"}.get(code or "", "other"),
        "unit": text(found.get("v")),
        "price": None if price is None or not fits else price.quantize(Decimal("0.0001"), ROUND_HALF_UP),
        "is_service": boolean[0],
        "currency": currency,
    }


def text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    shown = format(value, "f") if isinstance(value, Decimal) else str(value)
    return shown.strip(" \t\n\r\u00a0\u202f\ufeff") or None


def test_the_public_sales_data_reads_whole(
    warehouse: Warehouse, shared_data: Path, roads: list[Road]
) -> None:
    import csv

    roads.append(open_road(warehouse, load(MAPPINGS / "sales_opportunities", ENVIRON).system("crm")))
    road = roads[-1]
    files = {
        "account": "accounts",
        "product": "products",
        "agent": "sales_teams",
        "opportunity": "sales_pipeline",
    }
    for entity, name in files.items():
        with (shared_data / "crm_sales_opportunities" / f"{name}.csv").open(encoding="utf-8") as handle:
            rows = [{k: v or None for k, v in row.items()} for row in csv.DictReader(handle)]
        key = next(iter(rows[0]))
        with road.conn.cursor().copy(
            f"copy raw.crm_{entity} (source_id, is_current, deleted, payload) from stdin"
        ) as copy:
            for row in rows:
                copy.write_row((row[key], True, False, json.dumps(row)))
    for table in dict.fromkeys(read.table for read in road.system.reads):
        road.refresh(table, everything=True)
    won = road.conn.execute(
        "select count(*), sum(l.amount) from core.deal d join core.deal_line l using (deal_id)"
        " where stage_code = 'Won'"
    ).fetchone()
    assert won == (4238, Decimal("10005534.00"))
    assert road.conn.execute("select count(*) from core.deal where client_record_id is null").fetchone() == (
        1425,
    )
    assert road.conn.execute(
        "select country from core.client_record where name = 'Bioholding'"
    ).fetchone() == ("PH",)
    for table in (
        "core.deal",
        "core.deal_line",
        "core.client_record",
        "core.requisite",
        "core.product",
        "core.employee",
    ):
        assert road.conn.execute(f"select count(*) from {table} where problems <> '{{}}'").fetchone() == (0,)
    assert len(road.rows("core.stage")) == 4


def test_a_table_file_and_the_mapping_side_agree_on_columns() -> None:
    from mappings.tables import targets

    for name, target in targets().items():
        table = tables()[name]
        assert [(c.name, c.type) for c in target.columns] == [(c.name, c.type) for c in table.columns]
        assert (target.key, target.scope) == (table.key, table.scope)
