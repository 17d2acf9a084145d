"""The ledger as plain text, checked by programs that are not ours."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from mappings import System, load
from pipelines.commands import journal as command
from pipelines.commands.journal import Written, text_of
from pipelines.sync import Road
from tests.laws.acts import Act, do
from tests.laws.conftest import Towns
from tests.laws.town import Town
from tests.mapping.mapping_road import MAPPINGS


def traded(town: Town) -> None:
    """Some months of sales, payments, refunds and edits in accounting."""
    for number in range(6):
        do(town, Act("new_deal", number, 4, 2))
    town.sync()
    for number, act in enumerate(("pay", "pay", "refund", "edit_document")):
        do(town, Act(act, number, 3, 1))
    town.sync()


def written(
    town: Town, form: str, file: Path, count: Written | None = None, system: System | None = None
) -> Path:
    system = system or town.road.accounting
    with town.warehouse.transaction() as conn:
        lines = text_of(conn, system, "beancount" if form == "beancount" else "hledger", count)
        file.write_text("\n".join(lines) + "\n")
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
def test_transactions_and_the_balances_at_the_end_are_counted_apart(
    towns: Towns, tmp_path: Path, form: str
) -> None:
    count = Written()
    with towns(traded) as town:
        lines = written(town, form, tmp_path / "books", count).read_text().splitlines()
        with town.warehouse.transaction() as conn:
            (documents,) = conn.execute(
                "select count(distinct (document_key, booked_on)) from ledger.entry where is_active and not is_deleted"
            ).fetchone() or (0,)
    balances = [line for line in lines if " balance " in line or " = " in line]
    assert (count.transactions, count.balances) == (documents, len(balances))
    assert documents > 0 < len(balances)


def test_the_command_says_both_counts_of_what_it_wrote(
    towns: Towns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    count = Written()
    with towns(traded) as town:
        written(town, "beancount", tmp_path / "same", count)

        @contextmanager
        def road(_: str) -> Iterator[Road]:
            yield town.road

        monkeypatch.setattr(command, "road", road)
        assert command.journal(tmp_path / "books", "beancount") == 0
    assert (tmp_path / "books").read_text() == (tmp_path / "same").read_text()
    said = " ".join(capsys.readouterr().out.split())
    assert said.endswith(f"books: {count.transactions} transactions, {count.balances} balances asserted")


@pytest.mark.parametrize("form", ["hledger", "beancount"])
def test_entries_without_balances_are_written_and_the_head_says_what_is_left_out(
    towns: Towns, tmp_path: Path, form: str
) -> None:
    count = Written()
    with towns(traded) as town:
        with town.warehouse.transaction() as conn:
            conn.execute("delete from ops.batch where entity = 'balance'")
        system = town.road.accounting
        silent = replace(system, reads=tuple(r for r in system.reads if r.table != "ledger.balance"))
        whole = written(town, form, tmp_path / "books", count, silent).read_text()
    head = whole.splitlines()[0]
    assert head.startswith("; onec: entries of accounting up to 2026-")
    assert "It publishes no balances, so none are asserted" in head
    assert " balance " not in whole.partition("\n")[2]
    assert " = " not in whole
    assert count.balances == 0 < count.transactions


def test_before_the_first_sync_accounting_is_said_to_be_unread(towns: Towns) -> None:
    with (
        towns() as town,
        town.warehouse.transaction() as conn,
        pytest.raises(LookupError, match=r"onec was not read yet; run sverka sync"),
    ):
        text_of(conn, town.road.accounting, "hledger")


@pytest.mark.parametrize("ready", ["onec_files", "onec_trade", "onec_small_firm"])
def test_a_base_that_publishes_no_entries_is_not_said_to_be_unread(
    towns: Towns, tmp_path: Path, ready: str
) -> None:
    shutil.copy(MAPPINGS / "accounting" / f"{ready}.yaml", tmp_path)
    system = load(tmp_path, {}, connected=False).accounting()
    with (
        towns(traded) as town,
        town.warehouse.transaction() as conn,
        pytest.raises(
            LookupError, match=rf"publishes no ledger entries \(.*{ready}.yaml reads no ledger.entry\)"
        ),
    ):
        text_of(conn, system, "hledger")


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


@pytest.mark.parametrize("form", ["hledger", "beancount"])
def test_no_buyers_account_is_the_parent_of_another_though_one_name_begins_with_the_other(
    towns: Towns, tmp_path: Path, form: str
) -> None:
    with towns(traded) as town:
        before = opened(written(town, form, tmp_path / "before"))
        buyers = sorted({buyer for _, buyer in town.books.balances() if buyer})[:4]
        for buyer, name in zip(buyers, ("Роза", "Роза:Юг", "Роза: Юг", "Роза-Юг"), strict=False):
            town.books.change("counterparty", buyer, Description=name, ИНН="", КПП="")
        town.sync()
        names = opened(written(town, form, tmp_path / "after"))
    assert len(set(names)) == len(names) == len(before)
    parts = {tuple(name.split(":")) for name in names}
    assert {part[:place] for part in parts for place in range(1, len(part))} & parts == set()


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
