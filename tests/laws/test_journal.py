"""The ledger as plain text, checked by programs that are not ours."""

from __future__ import annotations

import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from pipelines.commands.journal import text_of
from tests.laws.acts import Act, do
from tests.laws.conftest import Towns
from tests.laws.town import Town


def traded(town: Town) -> None:
    """Some months of sales, payments, refunds and edits in accounting."""
    for number in range(6):
        do(town, Act("new_deal", number, 4, 2))
    town.sync()
    for number, act in enumerate(("pay", "pay", "refund", "edit_document")):
        do(town, Act(act, number, 3, 1))
    town.sync()


def written(town: Town, form: str, file: Path) -> Path:
    with town.warehouse.transaction() as conn:
        file.write_text("\n".join(text_of(conn, "beancount" if form == "beancount" else "hledger")) + "\n")
    return file


def test_every_transaction_balances_and_the_end_is_what_accounting_reports(
    towns: Towns, tmp_path: Path
) -> None:
    with towns(traded) as town:
        lines = written(town, "hledger", tmp_path / "books.journal").read_text().splitlines()
        balances = {
            (account, buyer): amount
            for (account, buyer), amount in town.books.balances().items()
            if town.books.all("account")[account]["Code"] in ("62.01", "62.02")
        }
    sums: dict[str, Decimal] = {}
    transaction = Decimal(0)
    for line in lines:
        if line.startswith("    ") and "=" not in line:
            account, _, amount = line.strip().rpartition("    ")
            sums[account] = sums.get(account, Decimal(0)) + Decimal(amount.removesuffix(" RUB"))
            transaction += Decimal(amount.removesuffix(" RUB"))
        elif not line:
            assert transaction == 0
    asserted = {
        line.strip().rpartition("    ")[0]: Decimal(line.rpartition("= ")[2].removesuffix(" RUB"))
        for line in lines
        if " = " in line
    }
    assert sorted(asserted.values()) == sorted(balances.values())
    assert {account: sums[account] for account in asserted} == asserted


@pytest.mark.parametrize("form", ["hledger", "beancount"])
def test_buyers_whose_names_are_spelled_alike_keep_accounts_of_their_own(
    towns: Towns, tmp_path: Path, form: str
) -> None:
    with towns(traded) as town:
        before = opened(written(town, form, tmp_path / "before"))
        buyers = sorted({buyer for _, buyer in town.books.balances() if buyer})[:2]
        for buyer, name in zip(buyers, ("Роза; и Ко", "Роза  и Ко"), strict=True):
            town.books.change("counterparty", buyer, Description=name, ИНН="7707083893", КПП="770701001")
        town.sync()
        names = opened(written(town, form, tmp_path / "after"))
    assert len(set(names)) == len(names) == len(before)
    alike = [name for name in names if "Роза" in name and "62" in name and name[-1] == "2"]
    assert alike, "the second of them has a number"


def opened(file: Path) -> list[str]:
    """The accounts that a file declares."""
    lines = [line.split(" ", 2) for line in file.read_text().splitlines()]
    declared = [line for line in lines if line[0] == "account" or line[1:2] == ["open"]]
    return [" ".join(line[1:]) if line[0] == "account" else line[2].split()[0] for line in declared]


@pytest.mark.skipif(
    shutil.which("hledger") is None, reason="hledger is not installed (Debian's package hledger)"
)
def test_hledger_accepts_the_books_and_refuses_them_with_a_kopeck_more(towns: Towns, tmp_path: Path) -> None:
    with towns(traded) as town:
        file = written(town, "hledger", tmp_path / "books.journal")
    assert check(file) == ""
    text = file.read_text()
    first = next(line for line in text.splitlines() if line.startswith("    62.") and "=" not in line)
    other = first.replace(" RUB", "1 RUB", 1)
    file.write_text(text.replace(first, other, 1))
    assert "unbalanced" in check(file).lower() or "balance" in check(file).lower()


def check(file: Path) -> str:
    """What hledger complains of."""
    done = subprocess.run(
        ["hledger", "-f", str(file), "check"],
        capture_output=True,
        text=True,
        timeout=60,
        env={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    return done.stderr if done.returncode else ""
