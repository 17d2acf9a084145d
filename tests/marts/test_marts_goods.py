"""What is bought together, what an open deal lacks, how far the next discount is. The figures: docs/marts.md."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mappings import load, write_rules
from mappings.goods import Goods
from resources.warehouse import Warehouse
from tests.marts.company import BOOKS, ROUBLE, insert
from tests.marts.shop import set_goods

pytest_plugins = ("tests.marts.fixtures",)

MAPPINGS = Path(__file__).parents[2] / "mappings"
END_OF_MARCH = date(2026, 3, 31)
TIERS = [
    {"turnover": "2000", "percent": "5"},
    {"turnover": "1000", "percent": "3"},
    {"turnover": "400", "percent": "2", "currency": "USD"},
]


def pairs(warehouse: Warehouse, as_of: date = END_OF_MARCH) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        "select product_key, other_key, documents, documents_with_product, documents_with_other, documents_with_both,"
        "       support, confidence, lift from marts.bought_together_as_of(%s) order by product_key, other_key",
        [as_of],
    )


def number(text: str) -> Decimal:
    return Decimal(text)


def test_pumps_and_valves_are_bought_together(basket: Warehouse) -> None:
    both = (number("0.4"), number("0.8"), number("1.6"))
    assert pairs(basket) == [("P", "V", 10, 5, 5, 4, *both), ("V", "P", 10, 5, 5, 4, *both)]


def test_thresholds_are_the_mappings(own_basket: Warehouse) -> None:
    with own_basket.transaction() as conn:
        set_goods(conn, "bought_together", documents=2, confidence="0.5", lift="1.2")
    assert [row for row in pairs(own_basket) if row[0] in "MS"] == [
        ("M", "S", 10, 4, 4, 2, number("0.2"), number("0.5"), number("1.25")),
        ("S", "M", 10, 4, 4, 2, number("0.2"), number("0.5"), number("1.25")),
    ]
    with own_basket.transaction() as conn:
        set_goods(conn, "bought_together", documents=1, confidence="0", lift="0", days=366)
    # the three of a day earlier come in: thirteen documents, P and M on four of them
    found = {(row[0], row[1]): row[2:] for row in pairs(own_basket)}
    assert found["P", "M"] == (13, 8, 7, 4, number("0.3077"), number("0.5"), number("0.9286"))
    assert found["V", "S"] == (13, 5, 4, 1, number("0.0769"), number("0.2"), number("0.65"))


def test_a_day_before_the_first_sale_has_no_pairs(basket: Warehouse) -> None:
    assert pairs(basket, date(2024, 1, 1)) == []


def test_an_open_deal_is_told_what_it_lacks(basket: Warehouse) -> None:
    rows = basket.rows(
        "select deal_id, deal, manager, other_key, other, product_id, product_key, product, documents_with_both,"
        "       confidence, lift from marts.open_order_missing_as_of(%s)",
        [END_OF_MARCH],
    )
    # d2 has both, d3 is won, d4 is gone
    assert rows == [
        (
            "d1",
            "Сделка d1",
            "Анна Орлова",
            "V",
            "Клапан",
            "crm:V",
            "P",
            "Насос",
            4,
            number("0.8"),
            number("1.6"),
        )
    ]


def test_of_several_reasons_the_most_frequent_one_is_told(own_basket: Warehouse) -> None:
    with own_basket.transaction() as conn:
        set_goods(conn, "bought_together", documents=1, confidence="0", lift="0")
        insert(
            conn,
            "core.product",
            {"source": "other", "is_deleted": False, "problems": []},
            "product_id",
            [("other:S",)],
        )
        known = {"origin": "found", "matches": 1, "is_service": True}
        insert(conn, "documents.product", known, "product_id product_key", [("other:S", "S")])
    rows = own_basket.rows(
        "select deal_id, other_key, product_key, confidence, product_id from marts.open_order_missing_as_of(%s)"
        " order by deal_id, other_key",
        [END_OF_MARCH],
    )
    # M comes with one of five pumps and with one of five valves: the greater lift is the same, P comes first.
    # S comes with valves alone, and only another CRM has it in its catalogue.
    assert rows == [
        ("d1", "M", "P", number("0.2"), "crm:M"),
        ("d1", "V", "P", number("0.8"), "crm:V"),
        ("d2", "M", "P", number("0.2"), "crm:M"),
        ("d2", "S", "V", number("0.2"), None),
    ]


def tiers(warehouse: Warehouse, as_of: date = END_OF_MARCH) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        "select client_id, counterparty, currency, documents, turnover, turnover_before, percent, percent_before,"
        "       next_turnover, next_percent, missing, state from marts.discount_tier_as_of(%s)"
        " order by counterparty nulls first, currency",
        [as_of],
    )


@pytest.fixture
def discounts(own_company: Warehouse) -> Warehouse:
    with own_company.transaction() as conn:
        insert(conn, "ops.setting", {"system": "onec"}, "name value", [("currency", '"RUB"')])
        set_goods(conn, "discount", tiers=TIERS)
    return own_company


def test_a_buyer_sees_how_much_is_missing_to_the_next_tier(discounts: Warehouse) -> None:
    assert tiers(discounts) == [
        (None, "Acme Inc", "USD", 1, 500, 0, 2, 0, None, None, None, "highest"),
        ("roma", "Ромашка ООО", "RUB", 2, 1800, 0, 3, 0, 2000, 5, 200, "reached"),
        (None, "Север ООО", "RUB", 1, 80, 0, 0, 0, 1000, 3, 920, "below"),
    ]


def test_a_period_without_sales_is_a_turnover_of_nothing(discounts: Warehouse) -> None:
    # three months up to 30 April begin on 31 January: the sales of January were before
    assert tiers(discounts, date(2026, 4, 30)) == [
        (None, "Acme Inc", "USD", 0, 0, 500, 0, 2, 400, 2, 400, "below"),
        ("roma", "Ромашка ООО", "RUB", 1, 600, 1200, 0, 3, 1000, 3, 400, "below"),
        (None, "Север ООО", "RUB", 0, 0, 80, 0, 0, 1000, 3, 1000, "below"),
    ]
    assert tiers(discounts, date(2026, 1, 9)) == []


def test_what_was_taken_back_is_no_turnover(discounts: Warehouse) -> None:
    position = {
        "kind": "return",
        "is_posting_kind": True,
        "is_posted": True,
        "is_marked": False,
        "is_deal_deleted": False,
        "has_other_lines": False,
        "is_apart": False,
    }
    with discounts.transaction() as conn:
        insert(
            conn,
            "ledger.position",
            position | {"actual_currency_key": ROUBLE},
            "document_key deal_id actual_counterparty_key actual_date actual_amount",
            [("back", "d1", "A", "2026-03-20", -900), ("back2", None, "B", "2026-03-21", -100)],
        )
    rows = [row[1:5] + row[-2:] for row in tiers(discounts) if row[2] == "RUB"]
    assert rows == [
        ("Ромашка ООО", "RUB", 2, 900, 100, "below"),
        ("Север ООО", "RUB", 1, -20, 1020, "below"),
    ]


def test_a_client_is_counted_with_all_its_counterparties_where_the_mapping_says_so(
    discounts: Warehouse,
) -> None:
    with discounts.transaction() as conn:
        set_goods(conn, "discount", by="client", months=1, tiers=[])
        document = {"kind": "realization", "currency_key": ROUBLE, "is_posted": True}
        columns = "document_key counterparty_key document_date amount"
        sold = [("r7", "B", "2026-03-05", 300), ("r8", "B", "2026-03-06", 40)]
        insert(conn, "ledger.document", BOOKS | document, columns, sold)
        position = {
            "kind": "realization",
            "is_posting_kind": True,
            "is_marked": False,
            "is_deal_deleted": False,
            "has_other_lines": False,
            "is_apart": False,
        }
        insert(conn, "ledger.position", position, "document_key deal_id", [("r7", "d1")])
    rows = discounts.rows(
        "select client, counterparty, currency, documents, turnover, percent, missing, state"
        " from marts.discount_tier_as_of(%s) order by client nulls last",
        [END_OF_MARCH],
    )
    # B buys for the client Ромашка alone, as far as deals say: what it bought without a deal is that client's too
    assert rows == [
        ("Ромашка", None, "RUB", 3, 940, None, None, "no tiers"),
        (None, "Acme Inc", "USD", 0, 0, None, None, "no tiers"),
    ]


def test_what_the_mapping_says_of_goods_is_what_the_marts_go_by(
    own_basket: Warehouse, tmp_path: Path
) -> None:
    text = (
        (MAPPINGS / "demo" / "onec.yaml").read_text()
        + """
goods:
  bought_together: {documents: 5, confidence: 0.35}
  discount: {by: client, tiers: [{turnover: 1000, percent: 2.5}, {turnover: 90.50, percent: 1, currency: USD}]}
  classes: {a_up_to: 0.7, share_from: 0.05}
"""
    )
    for path in (MAPPINGS / "demo").glob("*.yaml"):
        (tmp_path / path.name).write_text(text if path.name == "onec.yaml" else path.read_text())
    with own_basket.transaction() as conn:
        write_rules(conn, load(tmp_path, connected=False))
    rule = own_basket.rows(
        "select own_currency, bought_days, bought_documents, bought_confidence, discount_by, discount_months,"
        "       a_up_to, b_up_to, share_from from marts.goods_rule"
    )
    assert rule == [
        ("RUB", 365, 5, number("0.35"), "client", 3, number("0.7"), number("0.95"), number("0.05"))
    ]
    assert own_basket.rows("select * from marts.discount_rule order by turnover") == [
        ("USD", number("90.50"), 1),
        ("RUB", 1000, number("2.5")),
    ]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            {"discount": {"tiers": [{"turnover": 10, "percent": 5}, {"turnover": 20, "percent": 5}]}},
            "More turnover gives more off",
        ),
        ({"classes": {"a_up_to": "0.9", "b_up_to": "0.8"}}, "`a_up_to` is above `b_up_to`"),
        ({"bought_together": {"confidence": 2}}, "less than or equal to 1"),
    ],
)
def test_thresholds_that_contradict_each_other_are_told(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)):
        Goods.model_validate(said)
