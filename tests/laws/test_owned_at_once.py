"""What is accounting's own may be changed there before we read our write back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from resources.connector import Written
from tests.laws.conftest import Towns
from tests.laws.one_deal import deal_of, only, reprice, settle
from tests.laws.test_owners import OWNED, held
from tests.laws.test_revisions import documents, variances
from tests.laws.test_saved_by_half import release
from tests.laws.town import Town

THEIRS = "позвонить в пятницу"


def meddle(town: Town, verb: str, **fields: Any) -> None:
    """An accountant changes an invoice right after our next write of it came."""
    real = getattr(town.books, verb)

    def first_ours(kind: str, key: str, *more: Any) -> Written:
        written: Written = real(kind, key, *more)
        if kind == "invoice":
            delattr(town.books, verb)
            town.books.change(kind, key, **fields)
        return written

    setattr(town.books, verb, first_ours)


def waiting(town: Town) -> list[tuple[Any, ...]]:
    return town.rows(
        "select kind, action, state from ops.operation where state not in ('verified', 'superseded')"
    )


@pytest.mark.parametrize("verb", ["create", "update"])
def test_a_change_of_accountings_own_before_we_read_back_is_no_fault_and_stays(
    towns: Towns, verb: str
) -> None:
    with towns() as town:
        town.remap(*OWNED)
        only(town, "22", lines=1)
        if verb == "update":
            settle(town)
            reprice(town, deal_of(town), "900.00")
        meddle(town, verb, Комментарий=THEIRS, Date="2026-03-14T00:00:00")
        settle(town)
        assert waiting(town) == []
        _, row = held(town, "invoice")
        assert (row["Комментарий"], row["Date"]) == (THEIRS, "2026-03-14T00:00:00")
        if verb == "create":
            assert [posted for _, posted, _ in documents(town, deal_of(town))] == [True]
            assert variances(town) == []


@pytest.mark.parametrize("rewordings", [(), OWNED])
def test_a_change_of_what_is_not_accountings_before_we_read_back_is_held(
    towns: Towns, monkeypatch: pytest.MonkeyPatch, rewordings: tuple[str, ...]
) -> None:
    with towns() as town:
        town.remap(*rewordings)
        only(town, "22", lines=1)
        meddle(town, "create", Комментарий=THEIRS, СуммаДокумента=Decimal("1.11"))
        town.sync()
        assert ("invoice", "create", "held") in waiting(town)
        reason = town.warehouse.scalar(
            "select reason from ops.operation where kind = 'invoice' and state = 'held'"
        )
        assert "СуммаДокумента: meant 1000.10, found 1.11" in reason
        assert ("Комментарий" in reason) is not bool(rewordings)
        release(town, deal_of(town), monkeypatch)
        settle(town)
        _, row = held(town, "invoice")
        assert Decimal(str(row["СуммаДокумента"])) == Decimal("1000.10")
        assert (row["Комментарий"] == THEIRS) is bool(rewordings), "what is accounting's own stays"
