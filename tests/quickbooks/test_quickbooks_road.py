"""From the CRM down into QuickBooks and back: once, to the kopeck, and quiet afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from mappings import load
from mappings.expression import expression_sql
from pipelines import sync
from pipelines.sync import Road
from resources.warehouse import Warehouse
from tests.owed import each_deal_owes_its_sum_once
from tests.sandbox_process import Running, running
from tests.whole_road import DEMO, addresses, sync_road

DEALS = 60
MAPPING = Path(__file__).parents[2] / "mappings" / "accounting" / "quickbooks.yaml"


@pytest.fixture
def sandbox(warehouse: Warehouse) -> Iterator[Running]:
    with running("--deals", str(DEALS), "--no-limits") as found:
        yield found


@pytest.fixture
def road(
    sandbox: Running, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Road]:
    folder = tmp_path / "mappings"
    folder.mkdir()
    accounting = MAPPING.read_text(encoding="utf-8").replace("approval: manual ", "approval: auto ")
    (folder / MAPPING.name).write_text(accounting, encoding="utf-8")
    shutil.copy(DEMO / "bitrix24.yaml", folder)
    said = sandbox.control("accounting/quickbooks/connection")
    for name, value in addresses(sandbox, tmp_path).items():
        monkeypatch.setenv(name, value)
    for name, value in said.items():
        monkeypatch.setenv(f"SVERKA_QUICKBOOKS_{name.upper()}", str(value))
    monkeypatch.setenv("SVERKA_QUICKBOOKS_RATE_PER_SECOND", "1000")
    monkeypatch.setenv("SVERKA_QUICKBOOKS_BURST", "1100")
    monkeypatch.setenv("SVERKA_MAPPINGS", str(folder))
    made = Road(warehouse, load(folder), "test")
    sync.prepare(made)
    yield made
    made.close()


def test_deals_become_invoices_of_quickbooks_once_though_answers_are_lost_and_a_second_sync_is_quiet(
    sandbox: Running, road: Road, warehouse: Warehouse
) -> None:
    for match, times in (("/batch", 2), ("/invoice", 2), ("/customer", 1)):
        rule = {"where": "quickbooks", "kind": "drop_after", "match": match, "times": times}
        sandbox.control("faults", rule)
    first = sync_road(road)
    assert first.errors == []
    assert first.carried.probed > 0
    assert first.carried.stopped == ""
    assert [law.name for law in first.laws if not law.holds] == []

    deals = {str(deal["bitrix24"]): deal for deal in sandbox.control("truth")["deals"].values()}
    due = {
        number for number, deal in deals.items()
        if deal["outcome"] == "load" and "realization" in deal["documents"] and "product_alias" not in deal["dirt"]
    }  # fmt: skip
    invoices = _invoices(sandbox)
    assert due <= invoices.keys()
    for number, found in invoices.items():
        assert len(found) == 1, f"deal {number} has {len(found)} invoices"
        assert Decimal(found[0]["total"]) == Decimal(deals[number]["total"]), f"deal {number}"

    held = warehouse.rows(
        "select kind, subject from ops.operation where state in ('uncertain', 'rejected', 'sent')"
    )
    assert held == []
    assert warehouse.rows("select count(*) from ledger.entry where not is_deleted")[0][0] > 0

    second = sync_road(road)
    assert (second.planned.quiet, second.carried.written) == (True, 0)
    assert second.written_back == ["bitrix24: 0 planned, 0 written back"]
    assert {number: len(found) for number, found in _invoices(sandbox).items()} == dict.fromkeys(invoices, 1)

    assert each_deal_owes_its_sum_once(warehouse, "realization") == 0
    sandbox.control("accounting/quickbooks/tick", {"days": 20, "seed": 3})
    third = sync_road(road)
    assert [law.sentence for law in third.laws if not law.holds] == []
    assert each_deal_owes_its_sum_once(warehouse, "realization") > 0, "nobody has paid in full"


@pytest.mark.parametrize(
    "name", ["Стол\tдуб", "Стол\nдуб\r\nбелый: 2 шт", " Стол ", "Стол" * 60, "ы" * 99 + " ы"]
)
def test_names_are_written_as_quickbooks_takes_them(
    sandbox: Running,
    road: Road,
    warehouse: Warehouse,
    name: str,
) -> None:
    source = road.target(road.accounting)
    for kind, column, shown in (("product", "name", "Name"), ("counterparty", "legal_name", "DisplayName")):
        said = road.accounting.file.write[kind].fields[shown].expression
        assert said is not None
        for number in (None, "7701234567"):
            given = f"(select %s::text as {column}, %s::text as tax_number)"
            meant = warehouse.scalar(f"select {expression_sql(said, 'd')} from {given} d", [name, number])
            body = {shown: meant}
            if kind == "product":
                body |= {"Type": "Service", "IncomeAccountRef.value": income(warehouse, road)}
            written = source.create(kind, str(uuid4()), body)
            assert written.body[shown] == meant
            assert kind == "product" or number is None or meant.endswith(f", {number}")
            if kind == "product":
                break


def income(warehouse: Warehouse, road: Road) -> str:
    sync.read(road, road.accounting, ["account"])
    found = warehouse.scalar(
        "select source_id from raw.quickbooks_account where payload ->> 'AccountType' = 'Income' and is_current limit 1"
    )
    return str(found)


def test_a_journal_entry_on_receivables_is_of_the_customers_on_its_lines(
    sandbox: Running, road: Road, warehouse: Warehouse
) -> None:
    """A bad debt is written off, and one buyer's debt becomes another's; whatever the report's rows name."""
    sync_road(road)
    company = road.source(road.accounting).company  # type: ignore[attr-defined]
    accounts = {
        kind: number
        for number, kind in warehouse.rows(
            "select payload ->> 'Id', payload ->> 'AccountType' from raw.quickbooks_account where is_current"
            " and coalesce(payload #>> '{CurrencyRef,value}', 'RUB') = 'RUB'"
        )
    }
    debtors = [
        number
        for (number,) in warehouse.rows(
            "select distinct payload #>> '{CustomerRef,value}' from raw.quickbooks_realization"
            " where is_current and not deleted and payload #>> '{CurrencyRef,value}' = 'RUB' order by 1"
        )
    ]
    receivable = accounts["Accounts Receivable"]

    def line(side: str, account: str, who: str = "") -> dict[str, Any]:
        detail: dict[str, Any] = {"PostingType": side, "AccountRef": {"value": account}}
        if who:
            detail["Entity"] = {"Type": "Customer", "EntityRef": {"value": who}}
        return {
            "Amount": 100,
            "DetailType": "JournalEntryLineDetail",
            "JournalEntryLineDetail": detail,
        }

    for names in ("line", "first", "nobody"):
        sandbox.control("accounting/quickbooks/do", {"option": {"journal_names": names}})
        for lines in (
            [line("Debit", accounts["Cost of Goods Sold"]), line("Credit", receivable, debtors[0])],
            [line("Debit", receivable, debtors[1]), line("Credit", receivable, debtors[0])],
        ):
            company.write("journalentry", {}, {"TxnDate": "2026-11-10", "Line": lines}, "a journal entry")
        done = sync_road(road)
        assert [law.sentence for law in done.laws if not law.holds] == [], names
    assert sorted(
        warehouse.rows(
            "select debit_counterparty_key, credit_counterparty_key from ledger.entry e"
            " join raw.quickbooks_entry r on r.is_current and not r.deleted and r.source_id = e.source_id"
            " where r.payload ->> 'TxnType' = 'JournalEntry' and r.payload ->> 'TxnDate' = '2026-11-10'"
        ),
        key=str,
    ) == sorted(
        3 * [(None, f"quickbooks:{debtors[0]}"), (f"quickbooks:{debtors[1]}", f"quickbooks:{debtors[0]}")],
        key=str,
    )


def _invoices(sandbox: Running) -> dict[str, list[Mapping[str, Any]]]:
    """The stand-in's own invoices that carry a deal, by its number."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for document in sandbox.control("accounting/quickbooks")["documents"].values():
        note = str(document["note"])
        if document["kind"] == "Invoice" and note.startswith("crm:bitrix24:"):
            number = note.removeprefix("crm:bitrix24:").partition("\n")[0]
            found.setdefault(number, []).append(document)
    return found
