"""An accountant's own return or correction of a sale of ours: nothing of ours is written on top of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest

from pipelines.operations.release import release
from tests.laws.conftest import Towns
from tests.laws.one_deal import asked, deal_of, only, reprice, settle
from tests.laws.test_reconsidered import sale
from tests.laws.test_undo import take_back
from tests.laws.town import FOLLOWS_READ, REWORDINGS, Town

COPIED = (
    "Организация_Key", "Контрагент_Key", "ДоговорКонтрагента_Key", "ВалютаДокумента_Key", "СуммаДокумента", "Товары",
)  # fmt: skip
BASED = FOLLOWS_READ.replace(
    "        version: DataVersion\n",
    "        version: DataVersion\n        base_key: {from: Основание_Key, ref: ledger.document, none: *empty}\n",
)


@pytest.fixture(autouse=True)
def based(monkeypatch: pytest.MonkeyPatch) -> None:
    """Returns and corrections are read with what they follow, as the ready mapping files read them."""
    monkeypatch.setitem(REWORDINGS, "based", ("onec.yaml", "  ledger.document_line:\n", BASED))


@contextmanager
def sold(towns: Towns) -> Iterator[tuple[Town, str]]:
    with towns() as town:
        town.remap("follows", "based", "mixed")
        only(town, "21", lines=1)
        settle(town)
        yield town, deal_of(town)


def by_hand(town: Town) -> str:
    row = town.books.all("realization")[sale(town)]
    key = town.books.add(
        "return", Date="2026-04-02T00:00:00", Основание_Key=sale(town), Комментарий="вернули товар",
        **{name: row[name] for name in COPIED},
    )  # fmt: skip
    town.sync()
    return key


def in_the_books(town: Town) -> Decimal:
    signs = {"realization": 1, "correction": 1, "return": -1}
    return sum(
        (sign * Decimal(str(row["СуммаДокумента"])) for kind, sign in signs.items()
         for row in town.books.all(kind).values() if row["Posted"]),
        Decimal(0),
    )  # fmt: skip


@pytest.mark.parametrize("then", ["lost", "price"])
def test_what_an_accountant_took_back_by_hand_is_asked_about(towns: Towns, then: str) -> None:
    with sold(towns) as (town, deal):
        key = by_hand(town)
        if then == "lost":
            town.portal.change("deal", deal, stageId="NEW")
        else:
            reprice(town, deal, "900.00")
        settle(town)
        assert in_the_books(town) == 0
        (question,) = (q for q in asked(town) if q["kind"] == "realization")
        assert "not as we left it (corrected or taken back by hand)" in question["told"]
        assert "(исправлен или возвращён вручную)" in question["told_ru"]
        # Taken away there, it is for us to follow the deal.
        town.books.change("return", key, Posted=False, DeletionMark=True)
        for _ in range(3):
            town.sync()
        assert in_the_books(town) == (0 if then == "lost" else Decimal("900.00"))
        assert [q for q in asked(town) if q["kind"] == "realization"] == []


def test_what_an_accountant_took_back_by_hand_is_not_undone_besides(towns: Towns) -> None:
    with sold(towns) as (town, deal):
        by_hand(town)
        told = take_back(town, deal)
        assert not told.done
        assert "(corrected or taken back by hand)" in told.sentence
        settle(town)
        assert in_the_books(town) == 0


def test_a_return_by_hand_that_came_after_the_undo_keeps_ours_back(towns: Towns) -> None:
    with sold(towns) as (town, deal):
        town.books.refused_kinds = {"return"}
        assert take_back(town, deal).done
        town.sync()
        key = by_hand(town)
        town.books.refused_kinds = set()
        with town.warehouse.transaction() as conn:
            assert release(conn, town.road.accounting, f"bitrix24:{deal}", "Анна", "ещё раз").done
        for _ in range(2):
            town.sync()
        assert in_the_books(town) == 0
        town.books.change("return", key, Posted=False, DeletionMark=True)
        for _ in range(2):
            town.sync()
        assert in_the_books(town) == 0
        assert len([row for row in town.books.all("return").values() if row["Posted"]]) == 1


def test_our_own_return_is_nobody_s_by_hand(towns: Towns) -> None:
    with sold(towns) as (town, deal):
        reprice(town, deal, "900.00")
        settle(town)
        assert in_the_books(town) == Decimal("900.00")
        assert take_back(town, deal).done
        settle(town)
        assert in_the_books(town) == 0
