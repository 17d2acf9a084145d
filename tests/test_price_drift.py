"""Drift of prices: since which day the CRM's price is not accounting's, and which of the two moved then. Hand-computed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from pipelines.commands import prices
from pipelines.commands.session import CONSOLE
from pipelines.ledger.price_day import turn_the_day
from pipelines.refresh import Outcome, refresh
from pipelines.table import tables
from resources.warehouse import Connection, Warehouse
from tests.marts.company import BOOKS, CRM, DOLLAR, ROUBLE, deploy_empty, insert

READ_ON = datetime(2026, 4, 20, 9, tzinfo=UTC)
Found = tuple[date | None, str, Decimal | None]


@pytest.fixture(scope="module")
def shop(server_url: str, template: str) -> Any:
    """Tables of a company with two products in both systems: a table for 100, and a lamp without prices."""
    name = "price_drift"
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        warehouse = Warehouse(f"{server_url.rsplit('/', 1)[0]}/{name}")
        deploy_empty(warehouse)
        with warehouse.transaction() as inside:
            settings = [("onec", "timezone", '"Europe/Moscow"'), ("onec", "price_entities", '["price"]')]
            insert(inside, "ops.setting", {}, "system name value", settings)
            products = [("crm:1", "Стол", 22), ("crm:2", "Лампа", None)]
            insert(inside, "core.product", CRM, "product_id name vat_rate", products)
            insert(
                inside,
                "core.accounting_product",
                BOOKS,
                "product_key unit_key",
                [("onec:1", "onec:796"), ("onec:2", None)],
            )
            same = {"origin": "found", "matches": 1, "is_service": False}
            insert(
                inside,
                "documents.product",
                same,
                "product_id product_key",
                [("crm:1", "onec:1"), ("crm:2", "onec:2")],
            )
            insert(
                inside, "ops.cursor", {}, "source entity read_until", [("onec", "price", READ_ON)]
            )  # fmt: skip
        yield warehouse
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def conn(shop: Warehouse) -> Any:
    """A transaction that is taken back."""
    with shop.transaction() as inside:
        yield inside
        inside.rollback()


def at(day: str) -> datetime:
    return datetime.fromisoformat(day if "T" in day else f"{day}T12:00:00").replace(tzinfo=UTC)


def crm(
    conn: Connection,
    *said: tuple[str, str],
    price_list: str = "BASE",
    currency: str = "RUB",
    number: str = "1",
) -> None:
    """A price of the table in a list of the CRM: (since when it is said, price), the last one is what stands."""
    key, row = f"crm:p{number}", {"product_id": "crm:1", "price_list": price_list, "currency": currency}
    *before, (day, price) = said
    keep(conn, "core.price", key, before, row)
    insert(
        conn, "core.price", {**CRM, **row}, "price_id source_id price said_from known_from",
        [(key, number, price, at(day), at(day))],
    )  # fmt: skip


def keep(
    conn: Connection, table: str, key: str, said: Sequence[tuple[str, str]], row: dict[str, Any]
) -> None:
    for day, price in said:
        conn.execute(
            "insert into ops.row_version (table_name, key, scope, said_from, known_from, row) values (%s, %s, %s, %s, %s,"
            " jsonb_build_object('price', %s::numeric, 'is_deleted', false) || %s::jsonb)",
            [table, key, key, at(day), at(day), price, psycopg.types.json.Jsonb(row)],
        )


def accounting(conn: Connection, valid_from: str | None, *said: tuple[str, str], **more: Any) -> None:
    """A price of the table in accounting from a day on: (since when it is said, price), the last one is what stands."""
    row = {"product_key": "onec:1", "price_type": "Основная", "currency_key": ROUBLE, **more}
    key = f"onec:{row['price_type']}/{valid_from}/{row['currency_key']}"
    *before, (day, price) = said
    keep(conn, "core.accounting_price", key, before, {})
    insert(
        conn, "core.accounting_price", {**BOOKS, **row}, "price_key valid_from price said_from known_from",
        [(key, valid_from, price, at(day), at(day))],
    )  # fmt: skip


def test_people_are_told_of_it_by_a_command(
    conn: Connection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    crm(conn, ("2026-01-10", "100"), ("2026-03-10", "150"))
    accounting(conn, "2026-01-01", (SEEN, "100"))

    @contextmanager
    def road() -> Any:
        rows = lambda query, values: conn.execute(query, values).fetchall()  # noqa: E731
        yield SimpleNamespace(warehouse=SimpleNamespace(rows=rows))

    monkeypatch.setattr(prices, "road", road)
    monkeypatch.setattr(CONSOLE, "width", 200)
    assert prices.variance_prices("en", limit=5) == 0
    assert "No price of the CRM is another" in capsys.readouterr().out
    compare(conn)
    assert prices.variance_prices("en", limit=5) == 0
    told = capsys.readouterr().out
    assert "Prices that drift apart: 1" in told
    assert "10.03.2026  accountants  Стол: 150 RUB in the CRM («BASE»), 100 RUB in accounting" in told
    assert prices.variance_prices("ru", limit=5) == 0
    told = capsys.readouterr().out
    assert "10.03.2026  бухгалтерия  Стол: в CRM 150 RUB" in told
    assert "установите новую цену и в учёте" in " ".join(told.split())


def compare(conn: Connection, *, everything: bool = True) -> Outcome:
    return refresh(conn, tables()["ledger.price_drift"], everything=everything)


def found(conn: Connection) -> list[Found]:
    compare(conn)
    return conn.execute("select since, changed, before from ledger.price_drift order by drift_key").fetchall()


SEEN = "2026-04-01"  # when accounting's prices were read for the first time


def test_prices_that_agree_are_no_drift(conn: Connection) -> None:
    crm(conn, ("2026-01-10", "100"))
    accounting(conn, "2026-01-01", (SEEN, "100.0000"))
    assert found(conn) == []


def test_a_price_that_accounting_set_counts_from_its_own_day_and_not_from_when_we_looked(
    conn: Connection,
) -> None:
    crm(conn, ("2026-01-10", "100"))
    accounting(conn, "2026-01-01", (SEEN, "100"))
    accounting(conn, "2026-02-10", (SEEN, "120"))
    assert found(conn) == [(date(2026, 2, 10), "accounting", Decimal(100))]
    (row,) = conn.execute(
        "select crm_price, accounting_price, compared_price, currency, price_list, price_type, owner, sentence_en, sentence_ru"
        " from ledger.price_drift"
    ).fetchall()
    assert row == (
        Decimal(100), Decimal(120), Decimal(120), "RUB", "BASE", "Основная", "sales",
        ("Стол: 100 RUB in the CRM («BASE»), 120 RUB in accounting («Основная») since 2026-02-10, when accounting changed"
         " its price from 100; take the new price over into the CRM's price list, or correct it in accounting"),
        ("Стол: в CRM 100 RUB («BASE»), в учёте 120 RUB («Основная») с 10.02.2026, когда в учёте изменили цену 100;"
         " перенесите новую цену в прайс-лист CRM или исправьте её в учёте"),
    )  # fmt: skip


def test_a_price_that_the_crm_changed_counts_from_the_day_there(conn: Connection) -> None:
    crm(conn, ("2026-01-10", "100"), ("2026-03-05T21:30:00", "110"))  # the sixth of March in Moscow
    accounting(conn, "2026-01-01", (SEEN, "100"))
    assert found(conn) == [(date(2026, 3, 6), "crm", Decimal(100))]
    assert conn.execute("select owner from ledger.price_drift").fetchone() == ("accountants",)


@pytest.mark.parametrize(
    ("gone_on", "before"),
    [("2026-03-11", Decimal(100)), ("2026-03-05", None)],
)
def test_a_price_that_the_crm_made_anew_under_another_id_goes_on_from_the_one_before(
    conn: Connection, gone_on: str, before: Decimal | None
) -> None:
    crm(conn, ("2026-01-10", "100"), (gone_on, "100"))
    conn.execute("update core.price set is_deleted = true")
    crm(conn, ("2026-03-10", "150"), number="2")
    accounting(conn, "2026-01-01", (SEEN, "100"))
    assert found(conn) == [(date(2026, 3, 10), "crm", before)]


def test_before_the_first_version_that_we_know_the_crm_is_taken_to_have_said_the_same(
    conn: Connection,
) -> None:
    crm(conn, ("2026-04-01", "100"))
    accounting(conn, "2025-06-01", (SEEN, "100"))
    accounting(conn, "2026-02-10", (SEEN, "120"))
    assert found(conn) == [(date(2026, 2, 10), "accounting", Decimal(100))]


def test_the_first_of_the_days_on_end_counts_and_not_an_earlier_drift(conn: Connection) -> None:
    # 100/100, 100/120 from 1 February, 120/120 from 1 March, 120/90 from 15 March, 80/90 from 1 April
    crm(conn, ("2026-01-01", "100"), ("2026-03-01", "120"), ("2026-04-01", "80"))
    for day, price in (("2026-01-01", "100"), ("2026-02-01", "120"), ("2026-03-15", "90")):
        accounting(conn, day, (SEEN, price))
    assert found(conn) == [(date(2026, 3, 15), "accounting", Decimal(120))]
    assert conn.execute("select crm_price, accounting_price from ledger.price_drift").fetchone() == (80, 90)


def test_both_may_move_on_one_day(conn: Connection) -> None:
    crm(conn, ("2026-01-01", "100"), ("2026-03-01", "120"))
    accounting(conn, "2026-01-01", (SEEN, "100"))
    accounting(conn, "2026-03-01", (SEEN, "130"))
    assert found(conn) == [(date(2026, 3, 1), "both", None)]
    (sentence,) = conn.execute("select sentence_en from ledger.price_drift").fetchone() or ("",)
    assert sentence.endswith("since 2026-03-01; see which of the two is right, and correct the other")


def test_what_was_edited_counts_from_the_edit(conn: Connection) -> None:
    crm(conn, ("2026-01-10", "100"))
    accounting(conn, "2026-01-01", ("2026-02-01", "100"), ("2026-03-05", "120"))
    assert found(conn) == [(date(2026, 3, 5), "accounting", Decimal(100))]


def test_an_edit_of_a_price_that_held_no_longer_changes_nothing(conn: Connection) -> None:
    crm(conn, ("2026-01-10", "120"))
    accounting(conn, "2026-01-01", ("2026-02-01", "120"), ("2026-03-05", "100"))
    accounting(conn, "2026-02-15", (SEEN, "120"))
    assert found(conn) == []


def test_where_a_price_is_taken_away_the_one_before_it_holds_again(conn: Connection) -> None:
    crm(conn, ("2026-01-10", "100"), ("2026-02-01", "120"))
    accounting(conn, "2026-01-01", (SEEN, "100"))
    accounting(conn, "2026-02-01", ("2026-02-01", "120"), ("2026-03-10", "120"), is_deleted=True)
    assert found(conn) == [(date(2026, 3, 10), "accounting", Decimal(120))]


def test_a_price_ends_with_its_last_day(conn: Connection) -> None:
    crm(conn, ("2026-01-10", "100"))
    accounting(conn, "2026-01-01", (SEEN, "120"), valid_to="2026-03-31")
    assert found(conn) == []  # since April there is none to differ from
    accounting(conn, "2026-04-05", (SEEN, "130"), valid_to="9999-12-31")
    assert found(conn) == [(date(2026, 4, 5), "accounting", None)]


def test_a_price_that_accounting_does_not_date_counts_from_its_versions(conn: Connection) -> None:
    crm(conn, ("2026-01-10", "100"))
    accounting(conn, "2025-06-01", ("2026-02-01", "100"), ("2026-03-05", "120"), is_dated=False)
    assert found(conn) == [(date(2026, 3, 5), "accounting", Decimal(100))]


def test_a_future_price_is_compared_when_its_day_has_come(conn: Connection) -> None:
    crm(conn, ("2026-01-10", "100"))
    accounting(conn, "2026-01-01", (SEEN, "100"))
    accounting(conn, "2026-05-01", (SEEN, "120"))
    assert turn_the_day(conn) == 0
    assert found(conn) == []
    conn.execute("update ops.cursor set read_until = '2026-04-30 20:59Z'")
    assert turn_the_day(conn) == 0
    assert compare(conn, everything=False).scopes == 0
    conn.execute("update ops.cursor set read_until = '2026-04-30 21:00Z'")  # the first of May in Moscow
    assert turn_the_day(conn) == 1
    assert turn_the_day(conn) == 0
    outcome = compare(conn, everything=False)
    assert (outcome.scopes, outcome.written) == (1, 1)
    assert compare(conn).quiet
    assert found(conn) == [(date(2026, 5, 1), "accounting", Decimal(100))]


@pytest.mark.parametrize(
    "other",
    [
        {"currency_key": DOLLAR},
        {"unit_key": "onec:778"},
        {"characteristic_key": "red"},
        {"price_type": "Закупочная", "product_key": "onec:2"},
    ],
)
def test_prices_of_another_currency_unit_or_variety_are_not_compared(
    conn: Connection, other: dict[str, Any]
) -> None:
    crm(conn, ("2026-01-10", "100"))
    accounting(conn, "2026-01-01", (SEEN, "5"), **other)
    assert found(conn) == []


def test_without_a_word_the_base_list_is_compared_with_the_base_type(conn: Connection) -> None:
    crm(conn, ("2026-01-10", "100"), number="2")
    crm(conn, ("2026-01-10", "70"), price_list="Опт", number="10")
    accounting(conn, "2026-01-01", (SEEN, "60"), price_type="Закупочная")
    accounting(conn, "2026-01-01", (SEEN, "101"), price_type="Основная цена")
    found(conn)
    assert conn.execute("select price_list, price_type from ledger.price_drift").fetchall() == [
        ("BASE", "Основная цена")
    ]


def test_the_mapping_file_says_which_list_goes_with_which_type(conn: Connection) -> None:
    crm(conn, ("2026-01-10", "100"), number="2")
    crm(conn, ("2026-01-10", "70"), price_list="Опт", number="10")
    accounting(conn, "2026-01-01", (SEEN, "60"), price_type="Оптовая")
    accounting(conn, "2026-01-01", (SEEN, "101"), price_type="Основная цена")
    pairs = '[{"list": "Опт", "type": "Оптовая", "adds_vat": false}, {"list": "Розница", "type": null, "adds_vat": false}]'
    insert(conn, "ops.setting", {}, "system name value", [("crm", "price_types", pairs)])
    found(conn)
    rows = conn.execute(
        "select price_list, price_type, crm_price, accounting_price from ledger.price_drift"
    ).fetchall()
    assert rows == [("Опт", "Оптовая", 70, 60)]


@pytest.mark.parametrize(("without_vat", "drifts"), [("81.9672", False), ("81.96", False), ("82", True)])
def test_a_price_without_vat_is_compared_with_vat_added(
    conn: Connection, without_vat: str, drifts: bool
) -> None:
    crm(conn, ("2026-01-10", "100"))
    accounting(conn, "2026-01-01", (SEEN, without_vat))  # 81.96 * 1.22 = 99.9912, a kopeck of rounding
    pairs = '[{"list": null, "type": null, "adds_vat": true}]'
    insert(conn, "ops.setting", {}, "system name value", [("crm", "price_types", pairs)])
    found(conn)
    rows = conn.execute(
        "select accounting_price, compared_price, sentence_en from ledger.price_drift"
    ).fetchall()
    assert [row[:2] for row in rows] == ([(Decimal(82), Decimal("100.04"))] if drifts else [])
    assert all("100.04 RUB in accounting («Основная», with VAT)" in row[2] for row in rows)


OWN = "update core.product set price = 90, currency = 'RUB', said_from = '2026-03-01', known_from = now() where product_id = 'crm:1'"


def test_the_list_with_the_products_own_price_is_the_base_one(conn: Connection) -> None:
    conn.execute(OWN)
    crm(conn, ("2026-01-10", "70"), price_list="Опт", number="1")
    crm(conn, ("2026-01-12", "90"), price_list="BASE", number="2")
    accounting(conn, "2026-01-01", (SEEN, "100"))
    assert found(conn) == [(date(2026, 1, 1), "accounting", None)]
    assert conn.execute("select price_list from ledger.price_drift").fetchone() == ("BASE",)


def test_a_product_without_lists_has_its_own_price(conn: Connection) -> None:
    conn.execute(OWN)
    accounting(conn, "2026-01-01", (SEEN, "100"))
    assert found(conn) == [(date(2026, 1, 1), "accounting", None)]
    (sentence,) = conn.execute("select sentence_en from ledger.price_drift").fetchone() or ("",)
    assert sentence == (
        "Стол: 90 RUB in the CRM, 100 RUB in accounting («Основная») since 2026-01-01; take the new price over into the CRM's"
        " price list, or correct it in accounting"
    )
