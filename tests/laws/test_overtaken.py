"""A document that an accountant changed in the moment in which our change came."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from resources.connector import Written
from tests.laws.conftest import Towns
from tests.laws.town import add_deal


def test_a_change_that_came_too_late_is_not_written_over_and_is_told_as_that(towns: Towns) -> None:
    with towns() as town:
        deal = add_deal(town.portal, next(iter(town.portal.all("company"))), lines=1)
        town.portal.change("deal", deal, stageId="PREPAYMENT_INVOICE", categoryId="0")
        town.sync()
        [key] = [key for (key,) in town.rows(
            "select key from ops.operation where subject = %s and kind = 'invoice' and state = 'verified'",
            [f"bitrix24:{deal}"])]  # fmt: skip
        update: Callable[..., Written] = town.books.update
        theirs = "исправил бухгалтер"

        def overtaken(kind: str, of: str, body: Mapping[str, Any], version: str | None = None) -> Written:
            town.books.change(kind, of, Комментарий=theirs)
            return update(kind, of, body, version)

        town.books.update = overtaken  # type: ignore[method-assign]
        line = next(iter(town.portal.lines(deal)))
        town.portal.put_line(deal, line, price="777.00")
        town.sync()
        del town.books.update
        assert town.books.all("invoice")[key]["Комментарий"] == theirs
        [(state, reason)] = town.rows(
            "select o.state, e.reason from ops.operation o join ops.operation_event e using (operation_id)"
            " where o.key = %s and o.action = 'update' and e.to_state = 'held'",
            [key],
        )
        assert state == "held"
        assert reason.startswith("somebody changed this invoice in onec before our change came")
        assert f"found {theirs}" in reason
        assert "СуммаДокумента" in reason
