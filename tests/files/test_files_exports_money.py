"""The ready mappings of costs, schedules and property, from a workbook and its CSV twin to the tables that marts read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest

from tests.files.test_files_exports import Export, Rows, as_csv, as_workbook, export

__all__ = ["export"]  # the fixture

SPEND: Rows = [
    ["Дата", "Источник", "Кампания", "Сумма", "Валюта"],
    [date(2026, 1, 3), "Сайт", "Осень", 12500.5, "RUB"],
    [date(2026, 1, 5), "Радио", "-", 7000, "руб."],
    [date(2026, 1, 6), "Сайт", "Осень", None, "RUB"],
    ["Итого", None, None, 19500.5, None],
]
SCHEDULE: Rows = [
    ["№ договора", "Вид", "Дата договора", "ИНН", "№ сделки", "№ платежа", "Срок", "Сумма", "Валюта"],
    ["Л-15", "Лизинг", date(2026, 1, 10), "7707083893", None, 1, date(2026, 2, 10), 100000, "RUB"],
    ["Л-15", "Лизинг", date(2026, 1, 10), "7707083893", "4711", 2, date(2026, 3, 10), 100000, "RUB"],
    ["Итого", None, None, None, None, None, None, 200000, None],
]
PROPERTY: Rows = [
    ["Комплекс", "№ объекта", "Площадь", "Цена", "Валюта", "№ договора", "№ сделки"],
    ["Заря", "12", 54.3, 8145000, "RUB", "ДДУ-7", None],
    ["Заря", "13", 40, 6200000, "RUB", None, "4711"],
]
WRITERS = pytest.mark.parametrize(("suffix", "write"), [("xlsx", as_workbook), ("csv", as_csv)])
Write = Callable[[Rows], bytes]


@WRITERS
def test_costs_of_marketing_are_read_by_day_source_and_campaign(
    export: Callable[[str], Export], suffix: str, write: Write
) -> None:
    place = export("marketing_spend")
    place.drop(f"Реклама.{suffix}", write(SPEND))
    assert place.read().error == ""
    found = place.table(
        "core.marketing_spend",
        "spent_on",
        "lead_source_name",
        "campaign_name",
        "amount",
        "currency",
        "problems",
    )
    assert sorted(found.values())[:2] == [
        (date(2026, 1, 3), "Сайт", "Осень", Decimal("12500.50"), "RUB", []),
        (date(2026, 1, 5), "Радио", None, 7000, "RUB", []),
    ]
    (empty,) = [row for row in found.values() if row[3] is None]
    assert "Сумма" in empty[-1][0], "an empty sum is told and not taken for 0"


@WRITERS
def test_a_schedule_is_read_instalment_by_instalment(
    export: Callable[[str], Export], suffix: str, write: Write
) -> None:
    place = export("payment_schedule")
    place.drop(f"График.{suffix}", write(SCHEDULE))
    assert place.read().error == ""
    columns = ["kind", "contract_kind", "contract_number", "tax_number", "deal_number"]
    columns += ["position", "said_on", "due_on", "amount", "currency"]
    found = place.table("core.payment_schedule", *columns)
    first = ("agreed", "Лизинг", "Л-15", "7707083893")
    day = date(2026, 1, 10)
    assert sorted(found.values(), key=lambda row: row[5]) == [
        (*first, None, 1, day, date(2026, 2, 10), 100000, "RUB"),
        (*first, "4711", 2, day, date(2026, 3, 10), 100000, "RUB"),
    ]


@WRITERS
def test_property_is_read_with_area_price_and_contract(
    export: Callable[[str], Export], suffix: str, write: Write
) -> None:
    place = export("property_list")
    place.drop(f"Объекты.{suffix}", write(PROPERTY))
    assert place.read().error == ""
    columns = ("complex", "number", "area", "price", "currency", "contract_number", "deal_number")
    assert sorted(place.table("core.property_object", *columns).values()) == [
        ("Заря", "12", Decimal("54.30"), 8145000, "RUB", "ДДУ-7", None),
        ("Заря", "13", 40, 6200000, "RUB", None, "4711"),
    ]
