"""The general ledger of QuickBooks as entries, in either form of its report."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from resources.accounting.quickbooks import reports
from tests.quickbooks.realm import asked, books, captured, ids, invoice, rows

NOW = datetime.now(UTC)


def ledger(columns: list[str], *accounts: tuple[str, list[list[dict[str, str]]]]) -> dict[str, Any]:
    return {
        "Columns": {"Column": [{"ColTitle": name, "ColType": name} for name in columns]},
        "Rows": {"Row": [
            {"Header": {"ColData": [{"value": "x", "id": account}]},
             "Rows": {"Row": [{"ColData": cells, "type": "Data"} for cells in data]}, "type": "Section"}
            for account, data in accounts
        ]},
    }  # fmt: skip


def moved(*cells: str) -> list[dict[str, str]]:
    start = [{"value": "2026-02-10"}, {"value": "Invoice", "id": "264"}, {"value": "Amy", "id": "1"}]
    return [*start, *({"value": cell} for cell in cells)]


CLASSES = {"84": "Asset", "1": "Revenue", "8": "Liability", "14": "Expense", "6": "Asset"}


@pytest.mark.parametrize("sided", [False, True])
def test_the_general_ledger_becomes_pairs_of_accounts_in_either_of_its_forms(sided: bool) -> None:
    names = ["tx_date", "txn_type", "name"]
    if sided:
        report = ledger(
            [*names, "debt_amt", "credit_amt"],
            ("84", [moved("120.00", "")]), ("1", [moved("", "100.00")]), ("8", [moved("", "20.00")]),
            ("14", [moved("60.00", "")]), ("6", [moved("", "60.00")]),
        )  # fmt: skip
    else:
        report = ledger(
            [*names, "subt_nat_amount", "rbal_nat_amount"],
            ("84", [[{"value": "Beginning Balance"}, *[{"value": ""}] * 3, {"value": "976.00"}], moved("120.00", "9")]),
            ("1", [moved("100.00", "9")]), ("8", [moved("20.00", "9")]), ("14", [moved("60.00", "9")]),
            ("6", [moved("-60.00", "9")]),
        )  # fmt: skip
    ((transaction, moves),) = reports.transactions(report, CLASSES).items()
    assert transaction == ("Invoice", "264")
    records, rejects = reports.entries("quickbooks", transaction, moves)
    assert rejects == []
    found = [json.loads(record.payload, parse_float=Decimal) for record in records]
    assert [(entry["Debit"], entry["Credit"], entry["Amount"]) for entry in found] == [
        ("84", "1", Decimal("100.00")), ("84", "8", Decimal("20.00")), ("14", "6", Decimal("60.00")),
    ]  # fmt: skip
    assert {(entry["DebitCustomer"], entry["CreditCustomer"]) for entry in found} == {("1", "1")}
    assert [record.parent_id for record in records] == ["264"] * 3


def test_rows_of_a_journal_entry_take_the_names_of_its_lines_though_a_rate_was_rounded() -> None:
    move = reports.Move
    told = reports.Moves("2026-02-10", "1", [
        move("84", Decimal("100.00"), "1", "Amy", ""), move("84", Decimal("-33.34"), "1", "Amy", ""),
        move("84", Decimal("-66.66"), "1", "Amy", ""), move("8", Decimal("5.00"), "9", "A vendor", ""),
        move("84", Decimal("-5.00"), "3", "Met by no line", ""),
    ])  # fmt: skip

    def line(side: str, account: str, amount: float, who: str, kind: str = "Customer") -> dict[str, Any]:
        entity = {"Type": kind, "EntityRef": {"value": who, "name": who}}
        detail = {"PostingType": side, "AccountRef": {"value": account}, "Entity": entity}
        return {"Amount": amount, "DetailType": "JournalEntryLineDetail", "JournalEntryLineDetail": detail}

    lines = [line("Credit", "84", 66.67, "7"), line("Credit", "84", 33.34, "5"), line("Debit", "84", 100, "4"),
             line("Debit", "8", 5, "9", "Vendor"), {"DetailType": "DescriptionOnly", "Description": "words"}]  # fmt: skip
    moved = reports.named(told, {"Id": "1", "Line": lines})
    assert [found.name_id for found in moved.moves] == ["4", "5", "7", "9", "3"]
    records, rejects = reports.entries("quickbooks", ("JournalEntry", "1"), moved, {"84"})
    assert rejects == []
    found = [json.loads(record.payload) for record in records]
    assert [(entry["DebitCustomer"], entry["CreditCustomer"]) for entry in found] == [
        ("4", "5"), ("4", "7"), ("", "3"),
    ]  # fmt: skip


def test_a_transaction_whose_debit_is_not_its_credit_is_set_apart() -> None:
    report = ledger(
        ["tx_date", "txn_type", "name", "debt_amt", "credit_amt"],
        ("84", [moved("120.00", "")]),
        ("1", [moved("", "100.00")]),
    )
    ((transaction, moves),) = reports.transactions(report, CLASSES).items()
    records, (reject,) = reports.entries("quickbooks", transaction, moves)
    assert records == []
    assert reject.reason == "debit and credit differ by 20.00; look at Invoice 264 in QuickBooks"


def test_a_report_that_is_too_long_is_asked_for_by_halves() -> None:
    spans: list[tuple[str, str]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        path, params = asked(request)
        if path == "query" and "Account" in params["query"]:
            return rows(
                "Account", [{"Id": "84", "Classification": "Asset"}, {"Id": "1", "Classification": "Revenue"}]
            )
        if path == "query":
            return rows("Invoice", [invoice(264)]) if "FROM Invoice" in params["query"] else rows("X", [])
        spans.append((params["start_date"], params["end_date"]))
        names = ["tx_date", "txn_type", "name", "debt_amt", "credit_amt"]
        if params["start_date"] != params["end_date"]:
            return httpx.Response(
                200,
                json=ledger(
                    names, ("84", [[{"value": "Unable to display more data. Please reduce the date range."}]])
                ),
            )
        data = ledger(names, ("84", [moved("5.00", "")]), ("1", [moved("", "5.00")]))
        return httpx.Response(200, json=data if params["start_date"] == "2026-02-10" else ledger(names))

    source = books(handle)
    found = source._books._ledger((date(2026, 2, 9), date(2026, 2, 11)), {"84": "Asset", "1": "Revenue"})
    assert list(found) == [("Invoice", "264")]
    assert spans == [("2026-02-09", "2026-02-11"), ("2026-02-09", "2026-02-10"), ("2026-02-09", "2026-02-09"),
                     ("2026-02-10", "2026-02-10"), ("2026-02-11", "2026-02-11")]  # fmt: skip
    (page,) = source.read_keys("entry", ["264:1"])
    assert [record.source_id for record in page.records] == ["264:1"]
    assert page.complete_parents == ["264"]


def test_a_deleted_or_voided_invoice_has_no_entries_left() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        path, _ = asked(request)
        if path == "cdc":
            return captured(
                Invoice=[{"Id": "7", "status": "Deleted"}, invoice(8, TotalAmt=0, PrivateNote="Voided")]
            )
        if path == "query":
            return rows("Account", [{"Id": "84", "Classification": "Asset"}])
        return httpx.Response(200, json=ledger(["tx_date", "txn_type", "name", "debt_amt", "credit_amt"]))

    since = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    pages = list(books(handle).read(["entry"], since, since + timedelta(minutes=5)))
    assert [parent for page in pages for parent in page.complete_parents] == ["7", "8"]
    assert ids(pages) == []
