"""The turnover of settlements loses nothing of what accounting holds by halves: a side without a buyer, both without a contract."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from pipelines.papers.act import Wanted, acts
from pipelines.papers.party import Party
from resources.warehouse import Warehouse
from tests.marts.company import BOOKS, insert
from tests.papers.firm import OURS, ROMASHKA

FIRST, LAST = date(2026, 1, 1), date(2026, 3, 31)


@pytest.mark.parametrize(
    ("debit", "credit", "told"),
    [
        (ROMASHKA, None, [(ROMASHKA, 1115 + 100, 950), (None, 0, 100)]),
        (None, ROMASHKA, [(ROMASHKA, 1115, 950 + 100), (None, 100, 0)]),
        (None, None, [(ROMASHKA, 1115, 950), (None, 100, 100)]),
    ],
)
def test_a_side_that_names_no_buyer_is_moved_all_the_same(
    own_firm: Warehouse, debit: str | None, credit: str | None, told: list[Any]
) -> None:
    with own_firm.transaction() as conn:
        conn.execute("delete from ledger.entry where document_key in ('P3', 'R4')")
        conn.execute("update ledger.entry set amount = 500 where document_key = 'R1' and amount = 1200")
        insert(
            conn, "ledger.entry", BOOKS | {"is_active": True, "organization_key": OURS},
            "entry_key document_key booked_on account_dr_key account_cr_key amount debit_counterparty_key credit_counterparty_key",
            [("half", "H", "2026-02-20", "onec:62.02", "onec:62.01", 100, debit, credit)],
        )  # fmt: skip
    rows = own_firm.rows(
        "select counterparty_key, sum(debit), sum(credit) from marts.settlement_turnover(%s, %s)"
        " where currency = 'RUB' group by 1 order by 1 nulls last",
        [FIRST, LAST],
    )
    assert rows == told
    with own_firm.transaction() as conn:
        (act,) = acts(conn, Wanted(Party(ROMASHKA, "Ромашка"), FIRST, LAST))
    assert (act.debit, act.credit) == told[0][1:]
