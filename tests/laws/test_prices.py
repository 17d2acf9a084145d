"""Prices and documents: a list price that changes later touches no line of an earlier deal, and stands as drift."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pipelines import sync
from resources.connector import Page, Refused
from tests.laws.conftest import Towns
from tests.laws.town import Town, add_company, add_deal

LINES = """
    select l.deal_id, l.product_id, l.price, l.amount, l.list_price from documents.document_line l order by l.line_id
"""
DRIFT = "select product_id, crm_price, accounting_price, since, changed from ledger.price_drift order by drift_key"


def reprice(town: Town, product: str, price: str) -> None:
    """The CRM's price list gives a product another price."""
    town.portal.tick(60)
    town.portal.change("product_price", product, price=price)


def listed(town: Town) -> Town:
    """The portal's price list is the one that the mapping file compares."""
    town.portal.put("price_list", "1", {"id": 1, "name": "BASE"})
    return town


def test_a_later_price_touches_no_line_of_an_earlier_deal(towns: Towns) -> None:
    with towns() as town:
        listed(town).books.set_price("Стол", "2026-01-01", "100")
        add_deal(town.portal, add_company(town.portal, 900, "Покупатель"), stage="WON", lines=1)
        town.sync()
        town.sync()
        before, writes = town.rows(LINES), list(town.books.writes)
        sold = {key: dict(row) for key, row in town.books.all("realization").items()}
        assert before
        reprice(town, "11", "130")
        town.books.set_price("Стол", "2026-03-01", "150")
        done = town.sync()
        assert done.planned.quiet
        assert done.carried.written == 0
        assert town.rows(LINES) == before
        assert town.books.writes == writes
        assert town.books.all("realization") == sold
        assert [law.sentence for law in done.laws if not law.holds] == []
        ((product, crm, accounting, _, _),) = town.rows(DRIFT)
        assert (product, crm, accounting) == ("bitrix24:11", Decimal(130), Decimal(150))


def test_drift_is_gone_when_the_prices_agree_and_moves_no_sum(towns: Towns) -> None:
    with towns() as town:
        listed(town).books.set_price("Стол", "2026-01-01", "100")
        town.books.set_price("Стол", "2026-03-01", "120")
        done = town.sync()
        assert [row[0] for row in town.rows(DRIFT)] == ["bitrix24:11"]
        assert [law.sentence for law in done.laws if not law.holds] == []
        assert town.rows("select count(*) from ledger.variance where reason like 'price_drift%%'") == [(0,)]
        reprice(town, "11", "120")
        town.sync()
        assert town.rows(DRIFT) == []


def test_a_rule_of_the_mapping_file_about_prices_is_a_setting(towns: Towns) -> None:
    with towns(Town.sync) as town:
        rows = town.rows(
            "select name, value from ops.setting where name in ('price_types', 'price_entities') order by 1, system"
        )
        assert rows[0] == ("price_entities", ["price"])
        assert {name for name, _ in rows[1:]} == {"price_types"}


def test_prices_that_are_not_published_keep_nothing_else_from_being_read(towns: Towns) -> None:
    with towns() as town:
        town.books.set_price("Стол", "2026-01-01", "100")
        read, asked = town.books.read, []

        def refusing(entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
            asked.append(list(entities))
            if {"price", "stock"} & set(entities):
                raise Refused("InformationRegister_ЦеныНоменклатуры was not read: publish it", code="8")
            yield from read(entities, since, until)

        town.books.read = refusing  # type: ignore[method-assign]
        system = town.road.accounting
        for entities in (sync.catalogue_entities(town.road), sync.document_entities(town.road)):
            batches = sync.read(town.road, system, entities)
            failed = {batch.entity for batch in batches if batch.error}
            assert failed <= {"price", "stock"}
            assert failed
            assert {batch.entity for batch in batches} == set(entities)
        aside = [alone for alone in asked if {"price", "stock", "price_type"} & set(alone)]
        assert sorted(aside) == [["price"], ["price_type"], ["stock"]]
        town.books.read = read  # type: ignore[method-assign]
        assert not any(batch.error for batch in sync.read(town.road, system, ["price", "product"]))


@pytest.mark.parametrize("seed", range(2))
def test_increments_and_a_rebuild_agree_about_prices(towns: Towns, seed: int) -> None:
    """Prices set, changed, taken away on both sides, products matched anew, days that pass."""
    draw = random.Random(seed)
    with towns() as town:
        listed(town).sync()
        for _ in range(7):
            act(town, draw)
            if draw.random() < 0.6:
                town.portal.tick(draw.choice((5, 24 * 60, 10 * 24 * 60)))
                town.sync()
        town.sync()
        assert town.rebuild() == [], f"seed {seed}"
        assert town.sync().planned.quiet
        with town.warehouse.transaction() as conn:
            assert sync.turn_the_day(conn) == 0


def act(town: Town, draw: random.Random) -> None:
    books, portal = town.books, town.portal
    day = (date(2026, 3, 1) + timedelta(days=draw.randrange(80))).isoformat()
    price = draw.choice(("100", "100.5", "120", "90"))
    prices: dict[str, Any] = books.all("price")
    match draw.randrange(6):
        case 0 | 1:
            books.set_price(
                draw.choice(("Стол", "Доставка")), day, price, draw.choice(("Розничная", "Закупочная"))
            )
        case 2 if prices:
            books.change("price", draw.choice(sorted(prices)), Цена=Decimal(price))
        case 3 if prices:
            books.delete("price", draw.choice(sorted(prices)))
        case 4:
            books.change("product", next(iter(books.all("product"))), Артикул=draw.choice(("ST-1", "LM", "")))
        case _:
            portal.tick(1)
            portal.change("product_price", draw.choice(("11", "13", "14")), price=price)
