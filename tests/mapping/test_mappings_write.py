"""Bodies for accounting and the CRM, rules in ops, and the document that accountants sign."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from mappings import MappingError, compile_text, compile_write, load, lookups, mapping_document, write_rules
from mappings.compile_write import DEAL_LINES, LINES, OWN_LINES
from mappings.tables import targets
from pipelines.table import tables
from resources.warehouse import Connection, Warehouse
from tests.mapping.mapping_road import ENVIRON, MAPPINGS, crm, write_folder

KEY = "11111111-1111-1111-1111-111111111111"


@pytest.fixture
def conn(warehouse: Warehouse) -> Any:
    with warehouse.connect() as connection:
        for name in (
            "core.accounting_account",
            "core.accounting_warehouse",
            "documents.document",
            "documents.document_line",
        ):
            connection.execute(tables()[name].create_sql)
        yield connection
        connection.rollback()


def account(conn: Connection, code: str, key: str) -> None:
    conn.execute(
        "insert into core.accounting_account (account_key, source, source_id, code, is_deleted, problems)"
        " values (%s, 'onec', %s, %s, false, '{}')",
        [f"onec:{key}", key, code],
    )


def line(conn: Connection, place: int, *, service: bool, amount: str) -> None:
    conn.execute(
        """insert into documents.document_line (line_id, deal_id, position, product_name, product_key,
           product_matches, is_service, quantity, price, amount, vat, vat_amount)
           values (%s, 'b:1', %s, 'Товар', %s, 1, %s, 2.5, 10.1, %s, 'НДС20', 1)""",
        [f"b:{place}", place, f"onec:{KEY}", service, amount],
    )


def test_a_realization_becomes_the_body_that_1c_expects(conn: Connection) -> None:
    system = load(MAPPINGS / "demo", ENVIRON).system("onec")
    for place, code in enumerate(("62.01", "62.02", "90.01.1", "90.02.1", "90.03", "41.01")):
        account(conn, code, f"a{place}")
    conn.execute(
        """insert into documents.document (document_key, deal_id, kind, revision, document_date,
           counterparty_key, currency_key, rate, rate_units, amount, has_goods, has_services, comment)
           values ('onec:d', 'b:1', 'realization', 1, '2026-02-10', %s, null, 1, 1, 37.755, true, true,
           'crm:b:1')""",
        [f"onec:{KEY}"],
    )
    for place, service in enumerate((False, True, False), 1):
        line(conn, place, service=service, amount="12.50")
    row = conn.execute(f"select {compile_write(system, 'realization')} from documents.document d").fetchone()
    assert row is not None
    body = row[0]
    assert body["Date"] == "2026-02-10T00:00:00"
    assert body["Контрагент_Key"] == KEY
    assert "ВалютаДокумента_Key" not in body
    assert "Склад_Key" not in body
    assert body["СуммаВключаетНДС"] is True
    assert Decimal(str(body["СуммаДокумента"])) == Decimal("37.76")
    assert (body["СчетУчетаРасчетовСКонтрагентом_Key"], body["Комментарий"]) == ("a0", "crm:b:1")
    assert [(r["LineNumber"], r["СчетДоходов_Key"], r["СчетУчета_Key"]) for r in body["Товары"]] == [
        ("1", "a2", "a5"), ("2", "a2", "a5")
    ]  # fmt: skip
    assert [r["LineNumber"] for r in body["Услуги"]] == ["1"]
    assert body["Товары"][0]["Количество"] == 2.5


def test_the_text_of_a_body_is_the_one_that_jsonb_has(conn: Connection, tmp_path: Path) -> None:
    """Letter for letter: its hash is compared with that of a body which was written as jsonb."""
    named = ["line_number", "product_name", "unit", "quantity", "vat_amount", "is_service"]
    lines = "\n".join(f"          {name * times}: {name}" for name in named for times in (1, 2))
    books = (
        "system: books\nconnector: onec\nrole: accounting\ntitle: Books\nwrite:\n  realization:\n    entity: realization\n"
        "    fields:\n      Я: comment\n      zz: {from: document_date, as: time}\n      'a \"quoted\"': title\n"
        "      Сумма: {from: amount, as: money}\n      b: {from: vat_included, as: boolean, empty: true}\n      none: due_on\n"
        f"      Rest: {{constant: 'с \\ чертой'}}\n    lines:\n      - into: rows\n        fields:\n{lines}\n"
        "      - {into: Услуги, when: is_service, fields: {x: unit}}\n"
    )
    system = load(write_folder(tmp_path / "m", books=books), {}).system("books")
    awkward = 'back\\slash "quotes"\n\ttabs \x01\x1f\x7f\u2028 ёЁ 𝄞 {\'}'
    conn.execute(
        """insert into documents.document (document_key, deal_id, kind, revision, document_date, amount, has_goods,
           has_services, comment, title) values
           ('onec:d', 'b:1', 'realization', 1, '2026-02-10', -0.50, true, true, %(text)s, ''),
           ('onec:e', 'b:2', 'realization', 1, null, null, true, true, null, %(text)s)""",
        {"text": awkward},
    )
    for place in (1, 2, 3):
        line(conn, place, service=place == 2, amount="12.50")
    conn.execute(
        "update documents.document_line set product_name = %s, unit = case position when 1 then 'шт' end",
        [awkward],
    )
    conn.execute(
        "update documents.document set lines = (select jsonb_agg(to_jsonb(l)) from documents.document_line l)"
        " where document_key = 'onec:e'"
    )
    for lines_of in (LINES, DEAL_LINES, OWN_LINES):
        text = compile_text(system, "realization", lines_of)
        rows = conn.execute(f"select {text}, ({text})::jsonb::text from documents.document d").fetchall()
        assert [told for told, _ in rows] == [meant for _, meant in rows]
    bodies = conn.execute(
        f"select {compile_write(system, 'realization')} from documents.document d order by document_key"
    ).fetchall()
    goods, own = (body for (body,) in bodies)
    assert set(goods) == {"b", "zz", "Я", "rows", "Rest", "Сумма", 'a "quoted"', "Услуги"}
    assert (goods["Я"], own['a "quoted"'], goods["Услуги"]) == (awkward, awkward, [{}])
    assert [row["product_name"] for row in own["rows"]] == [awkward] * 3


def test_what_a_body_looks_up_can_be_asked_beforehand(conn: Connection) -> None:
    system = load(MAPPINGS / "demo", ENVIRON).system("onec")
    found = {(lookup.what, lookup.value): lookup for lookup in lookups(system, "realization")}
    assert {value for what, value in found if what == "account"} == {
        "62.01", "62.02", "90.01.1", "90.02.1", "90.03", "41.01"
    }  # fmt: skip
    lookup = found["account", "62.01"]
    assert lookup.place.startswith("mappings/demo/onec.yaml:")
    assert conn.execute(f"select {lookup.sql}").fetchone() == (None,)
    account(conn, "62.01", "x")
    assert conn.execute(f"select {lookup.sql}").fetchone() == ("x",)


def test_feedback_maps_clears_and_fills_templates(warehouse: Warehouse) -> None:
    system = load(MAPPINGS / "demo", ENVIRON).system("bitrix24")
    row = (
        "(select 'paid'::text as payment_status, null::text as shipment_status, null::numeric as debt,"
        " '17'::text as source_id, 'O''Neil {x}'::text as title, 'RUB'::text as currency, 'bitrix24:7'::text as employee_id,"
        " date '2026-02-01' as due_on, timestamptz '2026-02-01 12:00+00' as deadline) d"
    )
    deal = warehouse.scalar(f"select {compile_write(system, 'deal')} from {row}")
    assert deal == {
        "UF_CRM_SVERKA_PAYMENT_STATUS": "Оплачено",
        "UF_CRM_SVERKA_SHIPMENT_STATUS": "",
        "UF_CRM_SVERKA_DEBT": 0,
    }
    task = warehouse.scalar(f"select {compile_write(system, 'task')} from {row}")
    assert task["TITLE"] == "Просрочена оплата: O'Neil {x}, долг  RUB"
    assert (task["RESPONSIBLE_ID"], task["DEADLINE"]) == ("7", "2026-02-01T15:00:00")
    assert set(system.echo_fields("deal")) == set(deal)


def test_a_duplicate_is_written_as_a_task_and_what_nothing_is_written_back_as_is_an_error(
    tmp_path: Path,
) -> None:
    system = load(MAPPINGS / "demo", ENVIRON).system("bitrix24")
    written = system.fields_written()
    assert "duplicate" not in written
    assert {*system.feedback["task"].fields, *system.feedback["duplicate"].fields} == set(written["task"])
    for path in [*(MAPPINGS / "crm").glob("*.yaml"), MAPPINGS / "demo" / "bitrix24.yaml"]:
        assert "duplicate" in yaml.safe_load(path.read_text(encoding="utf-8"))["feedback"], path.name
    with pytest.raises(
        MappingError, match=r"nothing is written back as `duplicates`\. Did you mean `duplicate`\?"
    ):
        crm(tmp_path / "m", "feedback:\n  duplicates:\n    fields:\n      a: {constant: 1}\n")


def test_a_body_may_have_more_fields_than_a_function_has_arguments(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    fields = "\n".join(f"      f{n}: {{constant: {n}}}" for n in range(130))
    system = crm(tmp_path / "m", f"feedback:\n  deal:\n    fields:\n{fields}\n")
    body = warehouse.scalar(f"select {compile_write(system, 'deal')} from (select 1) d")
    assert len(body) == 130


def test_rules_are_written_once_and_a_change_is_told(warehouse: Warehouse, tmp_path: Path) -> None:
    shop = (
        "system: shop\nconnector: files\nrole: crm\ntitle: Shop\nconnection: {secret: s3cret}\n"
        "products: {aliases: [{name: GTXPro, is: GTX Pro, from: 2016-01-01}]}\n"
        "stages:\n- {pipeline: [A, B], stage: [x, y], documents: [invoice], due_days: %s}\n"
        "- {outcome: lost, documents: []}\n"
    )
    with warehouse.connect() as conn:
        mappings = load(write_folder(tmp_path, shop=shop % 5), {})
        assert set(write_rules(conn, mappings)) == {"ops.stage_rule", "ops.product_alias", "ops.setting"}
        rules = conn.execute(
            "select position, pipeline_code, stage_code, outcome, documents, due_days"
            " from ops.stage_rule order by 1"
        ).fetchall()
        assert rules[0] == (1, "A", "x", None, ["invoice"], 5)
        assert rules[4] == (5, None, None, "lost", [], None)
        assert conn.execute("select name_key, is_name from ops.product_alias").fetchone() == (
            "gtxpro",
            "GTX Pro",
        )
        conn.execute("delete from ops.change_log")
        assert write_rules(conn, mappings) == []
        assert write_rules(conn, load(write_folder(tmp_path, shop=shop % 7), {})) == ["ops.stage_rule"]
        assert conn.execute("select table_name, key from ops.change_log").fetchall() == [
            ("ops.stage_rule", "*"),
            ("ops.mapping_version", "*"),
        ]
        kept = conn.execute("select content from ops.mapping_version where system = 'shop'").fetchall()
        assert len(kept) == 2
        assert all("s3cret" not in content and "due_days" in content for (content,) in kept)
        own = conn.execute(
            "select system, value from ops.setting where name = 'accounting_system'"
        ).fetchall()
        assert own == [("books", "books")]


@pytest.mark.parametrize(("language", "words"), [
    ("en", ["| Pipeline | Stage |", "invoice for payment", "from 2026-01-01", "of this system: all others 2.", "Chief accountant"]),
    ("ru", ["| Воронка | Стадия |", "счёт на оплату", "с 01.01.2026", "этой системы: все прочие 2.", "Главный бухгалтер"]),
])  # fmt: skip
def test_the_mapping_document_tells_everything_that_is_decided(language: Any, words: list[str]) -> None:
    mappings = load(MAPPINGS / "demo", ENVIRON)
    text = mapping_document(mappings, language)
    for word in words:
        assert word in text
    assert mappings.fingerprint in text
    for system in mappings.systems:
        assert system.title in text
        for rule in (*system.write.values(), *system.feedback.values()):
            assert all(f"`{name}`" in text for name in rule.fields)
        for read in system.reads:
            assert all(f"`{name}`" in text for name in read.rule.fields)
            assert all(ignored.why in text for ignored in read.rule.ignore)
    assert text == mapping_document(load(MAPPINGS / "demo", ENVIRON), language)


@pytest.mark.parametrize(("language", "words"), [
    ("en", ["| posted | sum | it is changed, a posted one is unposted and posted again |",
            "| posted and paid | all others | a person is asked |",
            "a draft is updated, of everything else a person is asked", "without approval up to, larger ones wait for a person: 100000 RUB",
            "Our legal entity in accounting: tax number 7701234567", "Name of a contract that is created: «Основной договор»",
            "debts and advances of buyers stand: 62.01, 62.02", "more than 50 % of at least 20 deals"]),
    ("ru", ["| проведён | сумма | изменяется, проведённый перепроводится |", "| проведён и оплачен | все прочие | спрашивается решение |",
            "непроведённый документ изменяется", "большие ждут человека: 100000 RUB", "Наша организация в учёте: ИНН 7701234567",
            "Название создаваемого договора: «Основной договор»", "62.01, 62.02", "не менее 20) впервые удерживается более 50 %"]),
])  # fmt: skip
def test_the_mapping_document_tells_what_becomes_of_posted_documents_and_who_lets_them_go(
    tmp_path: Path, language: Any, words: list[str]
) -> None:
    for file in (MAPPINGS / "demo").glob("*.yaml"):
        text = file.read_text()
        if file.name == "onec.yaml":
            values = yaml.safe_load(text)
            values["approval"] = {"auto_up_to": 100000}
            values["organization"] = {"tax_number": "7701234567"}
            values["defaults"] = {**values.get("defaults", {}), "contract": "Основной договор"}
            values["write"]["realization"]["policy"] = {
                "posted": {"amount": "update"},
                "paid": {"*": "ask"},
            }
            text = yaml.safe_dump(values, allow_unicode=True, sort_keys=False)
        (tmp_path / file.name).write_text(text)
    said = mapping_document(load(tmp_path, ENVIRON), language)
    for word in words:
        assert word in said


def test_every_table_and_column_of_the_document_has_a_name_in_both_languages() -> None:
    from mappings.words import CARRIED, TABLES

    assert set(targets()) <= set(TABLES)
    for column in CARRIED:
        table, _, name = column.rpartition(".")
        assert targets()[table].column(name) is not None
