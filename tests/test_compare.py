"""What was read back is compared with what was meant, field by field."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pipelines.operations.compare import MAX_DIFFERENCES, differences


@pytest.mark.parametrize(
    ("meant", "found"),
    [
        ({"Сумма": Decimal("1200.00")}, {"Сумма": 1200}),
        ({"Количество": "1"}, {"Количество": Decimal(1)}),
        ({"Комментарий": ""}, {"Комментарий": None}),
        ({"DEADLINE": "2026-10-23T00:00:00"}, {"DEADLINE": "2026-10-23T00:00:00+03:00"}),
        ({"СуммаВключаетНДС": True}, {"СуммаВключаетНДС": True, "Posted": False}),
        (
            {"Товары": [{"LineNumber": "1", "Цена": 5}]},
            {"Товары": [{"LineNumber": "1", "Цена": 5.00, "Сумма": 5}]},
        ),
    ],
)
def test_what_is_the_same_differs_in_nothing(meant: dict[str, object], found: dict[str, object]) -> None:
    assert differences(meant, found) == []


@pytest.mark.parametrize(
    ("meant", "found", "told"),
    [
        ({"Сумма": 10}, {"Сумма": 11}, "Сумма: meant 10, found 11"),
        ({"Сумма": 10}, {}, "Сумма: meant 10, the target keeps no such field"),
        ({"Товары": [{"Цена": 1}]}, {"Товары": []}, "Товары: meant 1 rows, found 0"),
        ({"Товары": [{"Цена": 1}]}, {"Товары": [{"Цена": 2}]}, "Товары row 1 Цена: meant 1, found 2"),
        (
            {"СуммаВключаетНДС": True},
            {"СуммаВключаетНДС": False},
            "СуммаВключаетНДС: meant True, found False",
        ),
    ],
)
def test_a_difference_is_told_by_its_place(
    meant: dict[str, object], found: dict[str, object], told: str
) -> None:
    assert differences(meant, found) == [told]


def test_many_differences_are_told_as_a_few_and_a_count() -> None:
    told = differences({f"f{i}": i for i in range(20)}, {f"f{i}": i + 1 for i in range(20)})
    assert len(told) == MAX_DIFFERENCES + 1
    assert told[-1] == f"and {20 - MAX_DIFFERENCES} more"
