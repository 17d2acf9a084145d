"""Entries that accountants make besides those of our documents, as every base has them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from expectations import suites, validate
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


@needs_hledger
@pytest.mark.parametrize(("code", "is_told"), [("004.01", True), ("004.01", False), ("МЦ.04", False)])
def test_what_stands_off_balance_balances_with_nothing(
    towns: Towns, tmp_path: Path, code: str, is_told: bool
) -> None:
    """On one side, in the entries of a sale too. A base says which accounts are so; where it does not, the code does."""
    with towns(traded) as town:
        account = {"Code": code, "Description": "Товары, принятые на комиссию"}
        town.books.save("account", ref(0xACC0), {**account, **({"OffBalance": True} if is_told else {})})
        sale = next(key for key, row in town.books.all("realization").items() if row["Posted"])
        town.books.enter(("", ""), (code, ""), "55.00", sale)
        town.books.enter((code, ""), ("", ""), "7.00")
        assert broken(town.sync()) == []
        hledger = written(town, "hledger", tmp_path / "books.journal")
        assert check(hledger) == ""
        assert f"    ({code} Товары, принятые на комиссию)    -55.00 RUB" in hledger.read_text()
        beancount = written(town, "beancount", tmp_path / "books.beancount").read_text()
        assert len([line for line in beancount.splitlines() if line.startswith("  ; off balance: ")]) == 2


@pytest.mark.parametrize("told", [{"OffBalance": False}, {}])
def test_a_side_that_is_missing_on_an_account_of_the_balance_breaks_the_law(
    towns: Towns, told: dict[str, bool]
) -> None:
    with towns(traded) as town:
        town.books.save("account", ref(0xACC0), {"Code": "01.01", "Description": "Основные средства", **told})
        operation = town.books.enter(("01.01", ""), ("", ""), "55.00")
        assert broken(town.sync()) == [f"document onec:{operation} debits 55.00 and credits 0"]


def test_an_entry_is_said_to_lack_a_side_only_where_its_document_does_not_balance_without(
    towns: Towns,
) -> None:
    with towns(traded) as town:
        books = town.books
        books.save("account", ref(0xACC0), {"Code": "МЦ.04", "Description": "Инвентарь", "OffBalance": True})
        both = books.enter(("51", ""), ("", ""), "55.00")  # a line for each account, as SAP keeps them
        books.enter(("", ""), ("90.01.1", ""), "50.00", both)
        books.enter(("", ""), ("68.02", ""), "5.00", both)
        books.enter(("МЦ.04", ""), ("", ""), "7.00", both)
        assert broken(town.sync()) == []
        assert _found_wanting(town) == {}
        debit = books.enter(("51", ""), ("", ""), "1.00")
        credit = books.enter(("", ""), ("51", ""), "1.00")
        town.sync()
        assert _found_wanting(town) == {
            "credit_account_given": [f"onec:{debit}:1"],
            "debit_account_given": [f"onec:{credit}:1"],
        }


def _found_wanting(town: Town) -> dict[str, list[str]]:
    with town.warehouse.transaction() as conn:
        results = validate(conn, suites()["ledger.entry"])
    return {result.name: [failure.key for failure in result.examples] for result in results if result.failed}
