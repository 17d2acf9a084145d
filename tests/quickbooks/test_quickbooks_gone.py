"""What QuickBooks deleted without a word goes from the books here too, and nothing that an incomplete answer leaves out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from pipelines import laws, sync
from pipelines.sync import Road
from resources.accounting.quickbooks import capture
from resources.accounting.quickbooks.company import Company
from resources.connector import SourceError
from resources.warehouse import Warehouse
from tests.quickbooks.realm import asked, books, captured, counted, ids, rows
from tests.quickbooks.test_quickbooks_reports import ledger
from tests.quickbooks.test_quickbooks_road import road, sandbox  # noqa: F401
from tests.sandbox_process import Running
from tests.whole_road import sync_road

NAMES = ["tx_date", "txn_type", "name", "debt_amt", "credit_amt"]
ENTRIES = "select count(*) from raw.quickbooks_entry where is_current and not deleted"


# ---- The sweep and the full read -----------------------------------------------------------------


def of(number: str) -> str:
    return f"{ENTRIES} and parent_id = '{number}'"


def without_one(road: Road, warehouse: Warehouse) -> str:  # noqa: F811
    """A company whose accountant has deleted an invoice; its number."""
    assert sync_road(road).errors == []
    found: list[tuple[str, str]] = warehouse.rows(
        "select source_id, payload ->> 'SyncToken' from raw.quickbooks_realization where is_current and not deleted limit 1"
    )
    ((number, token),) = found
    company = road.source(road.accounting).company  # type: ignore[attr-defined]
    company.write("invoice", {"operation": "delete"}, {"Id": number, "SyncToken": token}, "an accountant")
    assert warehouse.scalar(of(number)) > 0
    return number


def read(road: Road, **how: bool) -> list[str]:  # noqa: F811
    batches = sync.read(road, road.accounting, list(road.accounting.entities), **how)
    for stage in ("core", "ledger"):
        sync.refresh_stage(road, stage)
    return [batch.error for batch in batches if batch.error]


def silent(monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """Change data capture tells of no deletion: too much has changed, or too long ago."""
    if why == "too much":
        monkeypatch.setattr(capture, "CDC_CAP", 1)
    else:
        monkeypatch.setattr(capture, "REACH", timedelta(0))


@pytest.mark.parametrize(
    ("why", "how"), [("too much", "sweep"), ("too long ago", "sweep"), ("too much", "full")]
)
def test_entries_of_a_document_go_whose_deletion_nobody_told(
    sandbox: Running,  # noqa: F811
    road: Road,  # noqa: F811
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    why: str,
    how: str,
) -> None:
    number = without_one(road, warehouse)
    others = warehouse.scalar(f"{ENTRIES} and parent_id <> '{number}'")
    silent(monkeypatch, why)
    assert read(road, **{how: True}) == []
    assert warehouse.scalar(of(number)) == 0
    assert warehouse.scalar(ENTRIES) == others
    assert [law.sentence for law in laws.check(warehouse) if not law.holds] == []


def cut_off(
    report: Callable[..., dict[str, Any]], accounts: int, months: str
) -> Callable[..., dict[str, Any]]:
    """The general ledger with its first accounts alone, of some months."""

    def ask(company: Company, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        found = report(company, name, params)
        if name == "GeneralLedger" and params["start_date"].startswith(months):
            found["Rows"] = {"Row": found["Rows"].get("Row", [])[:accounts]}
        return found

    return ask


@pytest.mark.parametrize(("accounts", "months"), [(1, ""), (5, ""), (1, "2026-1")])
def test_an_answer_that_is_not_whole_deletes_no_entry(
    sandbox: Running,  # noqa: F811
    road: Road,  # noqa: F811
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    accounts: int,
    months: str,
) -> None:
    assert sync_road(road).errors == []
    before = warehouse.scalar(ENTRIES)
    monkeypatch.setattr(Company, "report", cut_off(Company.report, accounts, months))
    read(road, sweep=True)
    assert warehouse.scalar(ENTRIES) == before
    read(road, full=True, allow_deletions=True)
    assert warehouse.scalar(ENTRIES) == before
    monkeypatch.undo()
    assert read(road, full=True) == []
    assert warehouse.scalar(ENTRIES) == before


def test_a_report_that_does_not_come_deletes_no_entry(
    sandbox: Running,  # noqa: F811
    road: Road,  # noqa: F811
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert sync_road(road).errors == []
    before = warehouse.scalar(ENTRIES)

    def broken(company: Company, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        raise SourceError("quickbooks: the report GeneralLedger came without rows; try again later")

    monkeypatch.setattr(Company, "report", broken)
    assert any("came without rows" in error for error in read(road, sweep=True))
    assert any("came without rows" in error for error in read(road, full=True))
    assert warehouse.scalar(ENTRIES) == before


# ---- What the ledger's keys are ------------------------------------------------------------------


class Desk:
    """A company with the account 84 and sales; its ledger by month, changed by whoever asks for it."""

    def __init__(self, *sold: tuple[str, str, str]) -> None:
        self.sold = list(sold)  # number, day, what the second account shows
        self.changed: list[str] = []
        self.asked = 0
        self.period: tuple[str, str] | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path, params = asked(request)
        query = params.get("query", "")
        living = [{"Id": number, "TxnDate": day} for number, day, _ in self.sold]
        if path == "cdc":
            return captured(Invoice=[row for row in living if row["Id"] in self.changed])
        if path == "query" and "Account" in query:
            return rows("Account", [{"Id": "84", "Classification": "Asset"}])
        if path == "query" and "FROM Invoice" in query:
            found = sorted(living, key=lambda row: row["TxnDate"], reverse="DESC" in query)
            return counted(len(found)) if "COUNT" in query else rows("Invoice", found)
        if path == "query":
            return counted(0) if "COUNT" in query else rows("X", [])
        self.asked += 1
        return self.report(params["start_date"], params["end_date"])

    def report(self, first: str, last: str) -> httpx.Response:
        within = [one for one in self.sold if first <= one[1] <= last]
        debits = [[*self.name(one), {"value": "5.00"}, {"value": ""}] for one in within]
        sold = [[*self.name(one), {"value": ""}, {"value": one[2]}] for one in within]
        found = ledger(NAMES, ("84", debits), ("1", sold))
        if self.period:
            found["Header"] = {"StartPeriod": self.period[0], "EndPeriod": self.period[1]}
        return httpx.Response(200, json=found)

    def name(self, one: tuple[str, str, str]) -> list[dict[str, str]]:
        return [{"value": one[1]}, {"value": "Invoice", "id": one[0]}, {"value": "A", "id": "1"}]


def keys(desk: Desk) -> set[str]:
    return {key for page in books(desk).keys("entry") for key in page}


def test_a_transaction_whose_debit_is_not_its_credit_lives_with_all_its_entries() -> None:
    assert keys(Desk(("7", "2026-02-10", "5.00"), ("8", "2026-02-11", "5.00"))) == {"7:1", "8:1"}
    assert keys(Desk(("7", "2026-02-10", "5.00"), ("8", "2026-02-11", "4.00"))) == {"7:1", "8:*"}


def test_a_transaction_that_moves_into_a_month_that_was_read_is_met() -> None:
    class Moving(Desk):
        def report(self, first: str, last: str) -> httpx.Response:
            found = super().report(first, last)
            if first.startswith("2026-02"):  # the accountant dates it back, behind our reading
                self.sold = [("7", "2026-01-10", "5.00"), ("8", "2026-02-11", "5.00")]
                self.changed = ["8"]
            return found

    assert keys(Moving(("7", "2026-01-10", "5.00"), ("8", "2026-03-11", "5.00"))) == {"7:1", "8:1"}


def test_a_ledger_of_other_days_is_no_answer() -> None:
    desk = Desk(("7", "2026-02-10", "5.00"))
    desk.period = ("2026-02-01", "2026-02-09")
    with pytest.raises(SourceError, match="came for other days than"):
        keys(desk)


def test_a_day_that_nobody_means_costs_a_report_and_not_thousands() -> None:
    desk = Desk(("7", "0202-02-10", "5.00"), ("8", "2026-02-11", "5.00"), ("9", "9999-12-31", "5.00"))
    assert keys(desk) == {"7:1", "8:1", "9:1"}
    assert desk.asked < 1000


def test_a_company_of_which_no_transaction_may_be_asked_for_is_not_empty() -> None:
    refused = httpx.Response(
        400, json={"Fault": {"Error": [{"Message": "No", "code": "4000"}], "type": "ValidationFault"}}
    )
    with pytest.raises(SourceError, match="no kind of transaction can be asked for"):
        list(books(lambda request: refused).keys("entry"))


# ---- Rows that are not as they should be ---------------------------------------------------------

NOW = datetime.now(UTC)
ODD: list[tuple[object, str]] = [
    ({"Id": "1", "TxnDate": None}, "entries of Invoice 1"),
    ({"Id": "1", "TxnDate": "10.02.2026"}, "entries of Invoice 1"),
    ({"Id": None, "TxnDate": "2026-02-10"}, "entries of Invoice, a row without a usable Id"),
    ({"Id": None, "status": "Deleted"}, "entries of Invoice, a row without a usable Id"),
    (None, "entries of Invoice, a row without a usable Id"),
    ("x", "entries of Invoice, a row without a usable Id"),
]


@pytest.mark.parametrize(("row", "place"), ODD)
def test_an_odd_row_is_set_apart_and_the_rest_is_read(row: object, place: str) -> None:
    desk = Desk(("2", "2026-02-10", "5.00"))

    def handle(request: httpx.Request) -> httpx.Response:
        if asked(request)[0] == "cdc":
            return captured(Invoice=[row, {"Id": "2", "TxnDate": "2026-02-10"}])  # type: ignore[list-item]
        return desk(request)

    pages = list(books(handle).read(["entry"], NOW, NOW))
    (reject,) = [reject for page in pages for reject in page.rejects]
    assert place in reject.place
    assert "2:1" in ids(pages)
    assert "1" not in [parent for page in pages for parent in page.complete_parents], "what is stored stays"
    assert "2" in ids(list(books(handle).read(["realization"], NOW, NOW)))


@pytest.mark.parametrize("row", [
    {"Id": "2", "SyncToken": None}, {"Id": "2", "MetaData": None}, {"Id": 2, "MetaData": {"LastUpdatedTime": None}},
    {"Id": "2", "status": None, "x": "Deleted"}, {"Id": "2", "Active": None, "x": False},
])  # fmt: skip
def test_nulls_that_matter_nothing_change_nothing(row: dict[str, Any]) -> None:
    desk = Desk(("2", "2026-02-10", "5.00"))

    def handle(request: httpx.Request) -> httpx.Response:
        changed = {**row, "TxnDate": "2026-02-10"}
        return (
            captured(Invoice=[changed], Customer=[changed]) if asked(request)[0] == "cdc" else desk(request)
        )

    pages = list(books(handle).read(["counterparty", "realization", "entry"], NOW, NOW))
    assert [reject for page in pages for reject in page.rejects] == []
    assert {(page.entity, number) for page in pages for number in ids([page])} == {
        ("counterparty", "2"), ("realization", "2"), ("entry", "2:1"),
    }  # fmt: skip
