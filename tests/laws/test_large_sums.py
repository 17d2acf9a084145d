"""A bar code in the field of a price, and sums beyond all documents: held with a sentence, and nothing else stops."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.laws.conftest import Towns
from tests.laws.one_deal import deal_of, only, settle
from tests.laws.test_revisions import documents
from tests.laws.town import Town, add_deal

BAR_CODE = "4601234567890"
SOLD = [("realization", True, Decimal("1000.10"))]


def one(town: Town, **fields: Any) -> str:
    """The town's one deal, its one line changed."""
    town.remap("follows", "follows_read", "corrected")
    only(town, "21", lines=1)
    deal = deal_of(town)
    town.portal.put_line(deal, next(iter(town.portal.lines(deal))), **fields)
    return deal


def told(town: Town, deal: str) -> str:
    return "\n".join(
        reason for (reason,) in town.rows("select reason from documents.held where deal_id = %s", [f"bitrix24:{deal}"])
    )  # fmt: skip


@pytest.mark.parametrize(
    ("price", "quantity", "says"),
    [
        (BAR_CODE, "1", f'price: "{BAR_CODE}" is too large a number'),
        ("1", BAR_CODE, f'quantity: "{BAR_CODE}" is too large a number'),
        ("100000000000", "0.001", 'price: "100000000000" is too large a number'),
        ("9000000000", "10000000", "amount: the result does not fit"),
        ("90000000000", "90000000000", "amount: the result does not fit"),
        ("9999999999999999", "1", 'price: "9999999999999999" is too large a number'),
    ],
)
def test_a_sum_that_no_document_holds_is_held_and_the_other_deals_go_on(
    towns: Towns, price: str, quantity: str, says: str
) -> None:
    with towns() as town:
        deal = one(town, price=price, quantity=quantity)
        other = add_deal(town.portal, "21", lines=1)
        done = town.sync()
        town.sync()
        assert documents(town, deal) == []
        assert says in told(town, deal)
        assert documents(town, other) == SOLD
        assert [law.sentence for law in done.laws if not law.holds] == []


@pytest.mark.parametrize("lines", [2, 1200])
def test_lines_that_fit_and_do_not_add_up_to_what_a_document_holds_are_held(towns: Towns, lines: int) -> None:
    with towns() as town:
        deal = one(town, price="90000000", quantity="100000")  # 9e12
        for _ in range(lines):
            town.portal.put_line(
                deal, town.portal.number(), productId=12, productName="Коврик", price="90000000", quantity=100000,
                taxRate=22, measureName="шт", sort=20,
            )  # fmt: skip
        town.portal.change("deal", deal, opportunity=None)
        other = add_deal(town.portal, "21", lines=1)
        town.sync()
        town.sync()
        assert documents(town, deal) == []
        whole = 9 * (lines + 1)
        assert f"its lines add up to {whole}000000000000.00, which is too large a sum" in told(town, deal)
        assert documents(town, other) == SOLD


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("price", f'price: "{BAR_CODE}" is too large a number'),
        ("discountSum", ""),  # the price is what is left after it
        ("quantity", f'quantity: "{BAR_CODE}" is too large a number'),
    ],
)
def test_a_bar_code_in_a_sale_that_was_carried_leaves_it_as_it_is(
    towns: Towns, field: str, says: str
) -> None:
    with towns() as town:
        deal = one(town, price="1000.10", quantity="1")
        settle(town)
        assert documents(town, deal) == SOLD
        other = add_deal(town.portal, "21", lines=1)
        town.portal.put_line(deal, next(iter(town.portal.lines(deal))), **{field: BAR_CODE})
        town.sync()
        town.sync()
        assert documents(town, other) == SOLD
        assert documents(town, deal) == SOLD
        assert says in told(town, deal)
