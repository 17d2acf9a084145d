"""An invoice that people void in QuickBooks is missed, whoever its sums belong to."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from resources.warehouse import Warehouse
from tests.targets.town import town

OWNER = '    owner: {date: accounting, comment: accounting, amount: state, lines: state, "*": crm}\n'
OWNED = (
    ("    post: at_once\n    policy:\n", f"    post: at_once\n{OWNER}    policy:\n"),
    ("posted: {amount: reversal, lines: update,", "posted: {amount: leave, lines: leave,"),
    ("closed: {amount: reversal,", "closed: {amount: leave, lines: leave,"),
)


@pytest.mark.parametrize("owned", [True, False])
def test_a_voided_invoice_is_missed_by_its_whole_sum(
    warehouse: Warehouse, tmp_path: Path, owned: bool
) -> None:
    with town("quickbooks", warehouse, tmp_path, *(OWNED if owned else ())) as books:
        books.sell("voided")
        books.sell("stays")
        books.sync(2)
        books.do(do="void", document=books.number("voided"))
        done = books.sync(2)
        assert [law.sentence for law in done.laws if not law.holds] == []
        ((measure, _, amount, sentence, sentence_ru),) = books.variances("voided")
        assert (measure, amount) == ("realized", Decimal("1000.10"))
        assert "the CRM says 1000.10, accounting holds 0.00" in sentence
        assert "в CRM 1000.10, в учёте 0.00" in sentence_ru
        assert books.variances("stays") == []
        assert books.sync().planned.quiet
