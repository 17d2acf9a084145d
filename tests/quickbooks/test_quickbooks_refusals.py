"""What QuickBooks refuses and what a connection gets wrong, in words; the rates stay under its limits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from resources.accounting.quickbooks import LIMITS, connect
from resources.accounting.quickbooks.company import Allowance
from resources.connector import SourceError
from tests.quickbooks.realm import REALM, asked, books, captured, counted, everything, fault, numbered, rows

CONNECTION = {
    "realm_id": REALM,
    "client_id": "app",
    "client_secret": "swordfish",
    "refresh_token": "RT1-swordfish",
}
NOW = datetime.now(UTC)


def test_a_token_of_another_company_is_told_with_the_keys_to_correct() -> None:
    answer = fault(403, "003100", "message=ApplicationAuthorizationFailed", kind="AuthorizationFault")
    with pytest.raises(SourceError, match="correct realm_id or base_url") as told:
        everything(lambda request: answer)
    assert not told.value.retriable


def test_a_missing_right_on_one_kind_is_told_of_that_kind_alone() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        path, params = asked(request)
        if path == "preferences":
            return numbered(True)
        if "CreditMemo" in params["query"]:
            return fault(
                403, "5020", "Permission Denied Error", "You do not have permission to view credit memos"
            )
        if "COUNT" in params["query"]:
            return counted(2)
        return rows(
            params["query"].partition("FROM ")[2].split()[0], [{"CompanyName": "Bird Shop", "Country": "US"}]
        )

    found = {finding.subject: finding for finding in books(handle).check()}
    assert [name for name, finding in found.items() if not finding.ok] == ["return"]
    assert "You do not have permission to view credit memos" in found["return"].message
    assert found["connection"].message == f"QuickBooks answers: Bird Shop (US), realm {REALM}"
    assert "closed up to 2025-12-31" in found["closed period"].message


def test_a_field_that_quickbooks_lacks_is_named_with_the_nearest_one() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        path, params = asked(request)
        if path == "preferences":
            return numbered(False)
        return counted(2) if "COUNT" in params["query"] else rows("X", [])

    source = books(handle)
    source.fields_read = {"realization": ["TxnDate", "DueDay"], "unit": ["Code"]}
    source.mapping_file = "quickbooks.yaml"
    found = {finding.subject: finding for finding in source.check()}
    assert found["realization fields"].message == "Invoice has no DueDay"
    assert found["realization fields"].remedy.endswith("did you mean DueDate?")
    assert found["unit fields"].message == "QuickBooks Online has no unit"
    assert "QuickBooks numbers documents itself" in found["numbers"].message


def test_a_connection_that_cannot_be_right_is_told_by_key_and_nothing_is_sent() -> None:
    with pytest.raises(SourceError, match="lacks realm_id, client_secret; make an app"):
        connect("quickbooks", {"client_id": "app", "refresh_token": "RT1"})
    with pytest.raises(SourceError, match="realm_id is the company's number, all digits, written as text"):
        connect("quickbooks", {**CONNECTION, "realm_id": 4.620816365017463e18})
    with pytest.raises(SourceError, match="environment 'test' is none of production, sandbox"):
        connect("quickbooks", {**CONNECTION, "environment": "test"})
    with pytest.raises(SourceError, match="numbers 'both' is neither ours nor theirs"):
        connect("quickbooks", {**CONNECTION, "numbers": "both"})
    with pytest.raises(SourceError, match="search_days is '-1'; give a whole number from 1 on"):
        connect("quickbooks", {**CONNECTION, "search_days": "-1"})
    with pytest.raises(SourceError, match="'Moscow' is no IANA time zone"):
        connect("quickbooks", {**CONNECTION, "timezone": "Moscow"})
    with pytest.raises(SourceError, match="plain http"):
        connect("quickbooks", {**CONNECTION, "base_url": "http://books.example"})
    assert connect("quickbooks", CONNECTION).client.base_url == "https://quickbooks.api.intuit.com/"


# ---- Limits ------------------------------------------------------------------------------------


def test_the_months_reading_calls_are_not_exceeded_and_are_remembered() -> None:
    now = [datetime(2026, 2, 27, tzinfo=UTC)]
    allowance = Allowance("quickbooks", 3, lambda: now[0])
    allowance.remember("2026-02:2")
    allowance.spend()
    with pytest.raises(SourceError, match="the month's 3 reading calls"):
        allowance.spend()
    assert allowance.kept == "2026-02:3"
    now[0] = datetime(2026, 3, 1, tzinfo=UTC)
    allowance.spend()
    assert allowance.kept == "2026-03:1"
    allowance.remember("2026-02:3")
    assert allowance.kept == "2026-03:1"


def test_reading_keeps_the_months_count_with_the_records() -> None:
    source = books(lambda request: captured())
    source.known_places = {"realization": f"{NOW:%Y-%m}:40", "account": f"{NOW:%Y-%m}:7"}
    list(source.read(["realization"], NOW - timedelta(hours=1), NOW))
    assert source.places == {"realization": f"{NOW:%Y-%m}:41"}


def test_the_rates_stay_below_every_limit_of_the_vendor_and_near_it() -> None:
    from resources.budget import LocalBudget

    clock = [0.0]
    budget = LocalBudget(*LIMITS, clock=lambda: clock[0])
    granted: list[float] = []
    while clock[0] < 90:
        wait = budget.take()
        if wait == 0.0:
            granted.append(clock[0])
        else:
            clock[0] += wait
    for limit, seconds in ((500, 60.0), (10, 1.0)):
        most = max(sum(1 for t in granted if start <= t < start + seconds) for start in granted[::7])
        assert most <= limit
    assert len(granted) >= 0.9 * 1.5 * 500


def test_batches_stay_below_forty_a_minute_and_near_it() -> None:
    clock = [0.0]
    company = books(lambda request: counted(0)).company
    company._batches._clock = lambda: clock[0]
    company._batches._leaked_at = 0.0
    company.client.sleep = lambda seconds: clock.__setitem__(0, clock[0] + seconds)
    sent: list[float] = []
    while clock[0] < 180:
        if company.batch_granted():
            sent.append(clock[0])
    assert max(sum(1 for t in sent if start <= t < start + 60) for start in sent) <= 40
    assert len(sent) >= 0.9 * 3 * 40
