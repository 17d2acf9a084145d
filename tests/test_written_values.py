"""What people write into fields is read as a value, or not at all; and it never fails."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.warehouse import Warehouse


@pytest.mark.parametrize(
    ("written", "auto", "ru", "en"),
    [
        ("1234.5", "1234.5", "1234.5", "1234.5"),
        ("-7", "-7", "-7", "-7"),
        ("1 234,56", "1234.56", "1234.56", "1234.56"),
        ("1\u00a0234\u202f567,5", "1234567.5", "1234567.5", "1234567.5"),
        ("1,234.56", "1234.56", "1234.56", "1234.56"),
        ("1.234,56", "1234.56", "1234.56", "1234.56"),
        ("1,234,567", "1234567", "1234567", "1234567"),
        ("1’234’567.80", "1234567.80", "1234567.80", "1234567.80"),
        ("1,234", None, "1.234", "1234"),
        ("1.234", "1.234", "1.234", "1.234"),
        ("0,125", "0.125", "0.125", None),
        ("12,5", "12.5", "12.5", None),
        (",5", "0.5", "0.5", None),
        ("(12,00)", "-12", "-12", None),
        ("(12.00)", "-12", "-12", "-12"),
        ("12.00-", "-12", "-12", "-12"),
        ("\u22121 000", "-1000", "-1000", "-1000"),
        ("1 500 руб.", "1500", "1500", "1500"),
        ("1500р.", "1500", "1500", "1500"),
        ("1 500 ₽", "1500", "1500", "1500"),
        ("$ 1,000.00", "1000", "1000", "1000"),
        ("EUR 10.00", "10", "10", "10"),
        ("1.5E+3", "1500", "1500", "1500"),
        ("по договорённости", None, None, None),
        ("12 шт", None, None, None),
        ("8 800 555 35 35", None, None, None),
        ("1 23,5", None, None, None),
        ("1,2,3", None, None, None),
        ("1.2.3", None, None, None),
        ("--5", None, None, None),
        ("(-5)", None, None, None),
        ("٣", None, None, None),
        ("", None, None, None),
        ("-", None, None, None),
        (".", None, None, None),
        ("9" * 61, None, None, None),
        (None, None, None, None),
    ],
)
def test_numbers_are_read_as_written_or_not_at_all(
    warehouse_of_values: Warehouse, written: str | None, auto: str | None, ru: str | None, en: str | None
) -> None:
    read = warehouse_of_values.rows(
        "SELECT ops.parse_number(%(w)s), ops.parse_number(%(w)s, 'ru'), ops.parse_number(%(w)s, 'en')",
        {"w": written},
    )[0]
    assert read == tuple(None if wanted is None else Decimal(wanted) for wanted in (auto, ru, en))


EVERY: set[str | None] = {"RUB", "BYN", "USD", "CAD", "EUR", "KZT", "CNY", None}


@pytest.mark.parametrize(
    ("written", "signs", "fits"),
    [
        ("100", None, EVERY),
        ("100 ₽", "₽", {"RUB", None}),
        ("100,00 руб.", "руб.", {"RUB", "BYN", None}),
        ("100р", "руб.", {"RUB", "BYN", None}),
        ("RUR 100", "RUB", {"RUB", None}),
        ("100 USD", "USD", {"USD", None}),
        ("usd 100", "USD", {"USD", None}),
        ("$100", "$", {"USD", "CAD", None}),
        ("€100", "€", {"EUR", None}),
        ("100 тенге", "₸", {"KZT", None}),
        ("¥ 100", "¥", {"CNY", None}),
        ("100 EUR $", "EUR $", {None}),
        ("USD $ 100 USD", "USD $", {"USD", None}),
        (None, None, EVERY),
    ],
)
def test_a_sum_that_names_a_currency_is_of_no_other(
    warehouse_of_values: Warehouse, written: str | None, signs: str | None, fits: set[str | None]
) -> None:
    def asked(expression: str, **values: str | None) -> Any:
        return warehouse_of_values.rows(f"SELECT {expression}", values)[0][0]

    assert asked("ops.money_signs(%(w)s)", w=written) == signs
    assert asked("ops.money_signs(%(s)s)", s=signs) == signs
    assert {c for c in EVERY if asked("ops.money_is_of(%(s)s, %(c)s)", s=signs, c=c)} == fits


MONEY = ["₽", "$", "€", "£", "¥", "₸", "₴", "₺", "₾", "₼", "rub", "RUR", "usd", "EUR", "kzt", "BYN", "тенге", "руб", "руб.",
         "рублей", "рубля", "рубль", "р", "р.", "p", "p."]  # fmt: skip


@pytest.mark.parametrize("sign", MONEY)
@pytest.mark.parametrize("form", ["1 500,50 {}", "{} 1 500,50", "1 500,50{}", "{}1 500,50"])
def test_no_sign_is_left_out_of_a_number_without_being_named(
    warehouse_of_values: Warehouse, sign: str, form: str
) -> None:
    number, signs = warehouse_of_values.rows(
        "SELECT ops.parse_number(%(w)s), ops.money_signs(%(w)s)", {"w": form.format(sign)}
    )[0]
    assert (number is None) == (signs is None)


@pytest.mark.parametrize(
    ("written", "auto", "ru", "en"),
    [
        ("2026-01-31", (2026, 1, 31), (2026, 1, 31), (2026, 1, 31)),
        ("2026-01-31T23:59:59+03:00", (2026, 1, 31), (2026, 1, 31), (2026, 1, 31)),
        ("20260131", (2026, 1, 31), (2026, 1, 31), (2026, 1, 31)),
        ("31.01.2026", (2026, 1, 31), (2026, 1, 31), (2026, 1, 31)),
        ("1.2.26", (2026, 2, 1), (2026, 2, 1), (2026, 2, 1)),
        ("31.12.99 г.", (1999, 12, 31), (1999, 12, 31), (1999, 12, 31)),
        ("31.01.2026 10:00:00", (2026, 1, 31), (2026, 1, 31), (2026, 1, 31)),
        ("1/2/2026", None, (2026, 2, 1), (2026, 1, 2)),
        ("1/31/2026", (2026, 1, 31), None, (2026, 1, 31)),
        ("31/1/2026", (2026, 1, 31), (2026, 1, 31), None),
        ("29.02.2024", (2024, 2, 29), (2024, 2, 29), (2024, 2, 29)),
        ("29.02.2026", None, None, None),
        ("2100-02-29", None, None, None),
        ("31.04.2026", None, None, None),
        ("00.01.2026", None, None, None),
        ("2026-13-01", None, None, None),
        ("0001-01-01T00:00:00", None, None, None),
        ("2026-01-31x", None, None, None),
        ("31.01/2026", None, None, None),
        ("завтра", None, None, None),
        ("", None, None, None),
        (None, None, None, None),
    ],
)
def test_dates_are_read_as_written_or_not_at_all(
    warehouse_of_values: Warehouse, written: str | None, auto: Any, ru: Any, en: Any
) -> None:
    read = warehouse_of_values.rows(
        "SELECT ops.parse_date(%(w)s), ops.parse_date(%(w)s, 'ru'), ops.parse_date(%(w)s, 'en')",
        {"w": written},
    )[0]
    assert read == tuple(None if wanted is None else date(*wanted) for wanted in (auto, ru, en))


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("2026-01-31T10:00:00+03:00", "2026-01-31T07:00:00"),
        ("2026-01-31T10:00:00-0330", "2026-01-31T13:30:00"),
        ("2026-01-31T10:00:00.25Z", "2026-01-31T10:00:00.250000"),
        ("2026-01-31T10:00:00", "2026-01-31T07:00:00"),
        ("2026-01-31 10:00", "2026-01-31T07:00:00"),
        ("2010-07-01T10:00:00", "2010-07-01T06:00:00"),  # Moscow had summer time then
        ("31.01.2026 9:05", "2026-01-31T06:05:00"),
        ("2026-01-31T00:30:00+14", "2026-01-30T10:30:00"),
        ("2026-01-31", "2026-01-30T21:00:00"),
        ("31.01.26", "2026-01-30T21:00:00"),
        ("1767225600", "2026-01-01T00:00:00"),
        ("1767225600123", "2026-01-01T00:00:00.123000"),
        ("2026-01-31T24:00:00", None),
        ("2026-01-31T10:60:00", None),
        ("2026-02-30T10:00:00", None),
        ("2026-01-31T10:00:00+99:00", None),
        ("2026-01-31T10:00:00 и ещё", None),
        ("0001-01-01T00:00:00", None),
        ("", None),
        (None, None),
    ],
)
def test_moments_are_read_in_the_zone_of_the_source(
    warehouse_of_values: Warehouse, written: str | None, wanted: str | None
) -> None:
    read = warehouse_of_values.scalar("SELECT ops.parse_time(%s, 'Europe/Moscow')", (written,))
    assert read == (None if wanted is None else datetime.fromisoformat(wanted).replace(tzinfo=UTC))


def test_yes_and_no_are_read_in_both_languages(warehouse_of_values: Warehouse) -> None:
    read = warehouse_of_values.rows(
        """SELECT array_agg(ops.parse_boolean(v) ORDER BY o)
           FROM unnest(ARRAY['Да', ' нет ', 'TRUE', 'ложь', '1', '0', 'Y', 'N', 'maybe', ''])
               WITH ORDINALITY AS x(v, o)"""
    )
    assert read == [([True, False, True, False, True, False, True, False, None, None],)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8")), max_size=30))
def test_no_text_makes_the_readers_fail(warehouse_of_values: Warehouse, texts: list[str]) -> None:
    warehouse_of_values.rows(READ_ALL, (texts,))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(
        st.text(alphabet="0123456789 .,-+()'/:TZeE\u00a0р", max_size=24)
        | st.from_regex(r"\A\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d([-+]\d\d:?\d\d|Z)?\Z")
        | st.from_regex(r"\A\d\d\.\d\d\.\d{4}( \d\d:\d\d)?\Z"),
        max_size=60,
    )
)
def test_no_near_miss_makes_the_readers_fail(warehouse_of_values: Warehouse, texts: list[str]) -> None:
    warehouse_of_values.rows(READ_ALL, (texts,))


READ_ALL = """
    SELECT ops.parse_number(v, s), ops.parse_date(v, s)::text, ops.parse_time(v, 'Asia/Almaty')::text,
           ops.parse_boolean(v)
    FROM unnest(%s::text[]) AS v, unnest(ARRAY['auto', 'ru', 'en']) AS s
"""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8"), max_size=200), max_size=20
    ),
    namespace=st.uuids(),
)
def test_uuid8_is_that_of_rfc_9562(
    warehouse_of_values: Warehouse, names: list[str], namespace: uuid.UUID
) -> None:
    names = [*names, *("x" * size for size in (0, 38, 39, 40, 47, 48, 103, 104))]  # around the ends of blocks
    made = warehouse_of_values.rows(
        "SELECT ops.uuid8(%s, name) FROM unnest(%s::text[]) WITH ORDINALITY AS n(name, i) ORDER BY i",
        (namespace, names),
    )
    assert [row[0] for row in made] == [_uuid8(namespace, name) for name in names]


def _uuid8(namespace: uuid.UUID, name: str) -> uuid.UUID:
    digest = int.from_bytes(hashlib.sha256(namespace.bytes + name.encode()).digest()[:16])
    digest = digest & ~(0xF << 76) | (8 << 76)
    return uuid.UUID(int=digest & ~(0b11 << 62) | (0b10 << 62))


@pytest.fixture(scope="module")
def warehouse_of_values(server_url: str, template: str) -> Warehouse:
    """One for all tests that only compute."""
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE values_only TEMPLATE {template}".encode())
    return Warehouse(server_url.rsplit("/", 1)[0] + "/values_only")
