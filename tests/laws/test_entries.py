"""Entries that accountants make besides those of our documents, as every base has them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.laws.acts import Act, do
from tests.laws.books import ref
from tests.laws.conftest import Towns
from tests.laws.test_journal import check, written
from tests.laws.town import Done, Town

needs_hledger = pytest.mark.skipif(
    shutil.which("hledger") is None, reason="hledger is not installed (Debian's package hledger)"
)


def traded(town: Town) -> None:
    for number in range(6):
        do(town, Act("new_deal", number, 4, 2))
    town.sync()
    town.sync()


def broken(done: Done) -> list[str]:
    return [law.sentence for law in done.laws if not law.holds]


def buyers(town: Town) -> list[str]:
    return sorted({buyer for _, buyer in town.books.balances() if buyer})


@needs_hledger
def test_a_debt_moved_from_one_buyer_to_another_is_of_both(towns: Towns, tmp_path: Path) -> None:
    """Корректировка долга: Dt 62.01 of one, Ct 62.01 of the other."""
    with towns(traded) as town:
        one, other = buyers(town)[:2]
        moved = town.books.enter(("62.01", other), ("62.01", one), "100.00")
        assert broken(town.sync()) == []
        assert town.rows(
            "select debit_counterparty_key, credit_counterparty_key from ledger.entry where document_key = %s",
            [f"onec:{moved}"],
        ) == [(f"onec:{other}", f"onec:{one}")]
        assert check(written(town, "hledger", tmp_path / "books.journal")) == ""


@needs_hledger
def test_a_payment_by_card_is_of_the_buyer_and_of_the_bank(towns: Towns, tmp_path: Path) -> None:
    """Оплата платёжной картой: Dt 57.03 of the bank, Ct 62.02 of the buyer; both sides name a counterparty."""
    with towns(traded) as town:
        bank, transit = ref(0xBA4C), ref(0xACC1)
        town.books.save(
            "counterparty", bank, {"Description": "ПАО Банк", "ИНН": "7707083893", "IsFolder": False}
        )
        town.books.save("account", transit, {"Code": "57.03", "Description": "Продажи по платежным картам"})
        town.books.enter(("57.03", bank), ("62.02", buyers(town)[0]), "100.00")
        assert broken(town.sync()) == []
        assert check(written(town, "hledger", tmp_path / "books.journal")) == ""
