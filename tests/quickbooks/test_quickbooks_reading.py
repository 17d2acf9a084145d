"""Reading QuickBooks: nothing lost between pages and stamps, deletions seen, refusals in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from resources.connector import (
    ChecksFields,
    CountsEntities,
    HearsEvents,
    KeepsPlaces,
    KnowsItsShape,
    Lock,
    LocksPeriods,
    ReadsByKey,
    SourceError,
)
from tests.quickbooks.realm import (
    DAY,
    KEY,
    LATER,
    asked,
    books,
    captured,
    counted,
    everything,
    fault,
    ids,
    invoice,
    numbered,
    rows,
)

NOW = datetime.now(UTC)


class Shelf:
    """Invoices that are queried as the vendor has it: by stamp, counted off, a page at a time."""

    def __init__(self, *found: dict[str, Any], page: int = 3) -> None:
        self.found, self.page = list(found), page
        self.queries: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        query = asked(request)[1]["query"]
        self.queries.append(query)
        if "COUNT(*)" in query:
            return counted(len(self.found))
        chosen = self.found
        if "LastUpdatedTime >= '" in query:
            since = datetime.fromisoformat(query.partition(">= '")[2].partition("'")[0])
            chosen = [row for row in chosen if self.stamp(row) >= since]
        chosen = sorted(chosen, key=self.stamp)
        start = int(query.partition("STARTPOSITION ")[2].partition(" ")[0]) - 1
        most = int(query.partition("MAXRESULTS ")[2])
        return rows("Invoice", chosen[start : start + most])

    @staticmethod
    def stamp(row: Mapping[str, Any]) -> datetime:
        return datetime.fromisoformat(row["MetaData"]["LastUpdatedTime"])


# ---- Pages -------------------------------------------------------------------------------------


def test_it_offers_every_protocol_of_a_source_that_it_claims() -> None:
    source = books(lambda request: counted(0))
    for protocol in (
        ChecksFields, CountsEntities, HearsEvents, KeepsPlaces, KnowsItsShape, LocksPeriods, ReadsByKey,
    ):  # fmt: skip
        assert isinstance(source, protocol)
    assert "realization" in source.shape()


def test_pages_that_end_within_one_second_lose_nothing_and_bring_nothing_twice() -> None:
    shelf = Shelf(*[invoice(n, second=n // 4) for n in range(1, 18)])
    assert sorted(map(int, ids(everything(shelf, page=3)))) == list(range(1, 18))


def test_more_invoices_of_one_second_than_a_page_holds_are_counted_off() -> None:
    shelf = Shelf(*[invoice(n) for n in range(1, 12)])
    assert sorted(map(int, ids(everything(shelf, page=3)))) == list(range(1, 12))


def test_an_invoice_that_changes_while_pages_are_read_is_met_again_and_no_other_is_missed() -> None:
    shelf = Shelf(*[invoice(n, second=n) for n in range(1, 10)])
    pages = books(shelf, page=3).read(["realization"], None, LATER)
    met = [next(pages)]
    shelf.found[0] = invoice(1, second=300, SyncToken="1")
    met += list(pages)
    assert sorted(map(int, ids(met))) == [1, 1, *range(2, 10)]


def test_payloads_are_the_vendors_bytes_without_our_sign_alone() -> None:
    raw = (
        b'{"Id":"58", "TotalAmt":100.10,"Balance":1e2,"MetaData":{"LastUpdatedTime":"2026-02-10T01:00:00-08:00"},'
        b'"PrivateNote":"crm:bitrix24:4711\\n[sverka ' + KEY.encode() + b']"}'
    )
    (page,) = everything(
        lambda request: counted(1) if "COUNT" in str(request.url) else rows("Invoice", [raw])
    )
    (record,) = page.records
    assert record.payload == raw.replace(b"\\n[sverka " + KEY.encode() + b"]", b"")
    assert record.our_key == KEY
    assert record.modified_at == DAY


def test_an_inactive_customer_counts_as_deleted_and_its_last_state_stays() -> None:
    row = {"Id": "3", "Active": False, "DisplayName": "Old (deleted)"}
    (page,) = everything(
        lambda request: counted(1) if "COUNT" in str(request.url) else rows("Customer", [row]), "counterparty"
    )
    assert [(record.source_id, record.deleted) for record in page.records] == [("3", True)]
    assert json.loads(page.records[0].payload)["DisplayName"] == "Old (deleted)"


def test_a_page_that_is_cut_off_is_told_and_not_taken_for_the_end() -> None:
    said = {"QueryResponse": {"Invoice": [invoice(1)], "startPosition": 1, "maxResults": 3}}
    with pytest.raises(
        SourceError, match="a page of Invoice is cut off: it brings 1 rows and says 3"
    ) as told:
        everything(
            lambda request: counted(3) if "COUNT" in str(request.url) else httpx.Response(200, json=said)
        )
    assert told.value.retriable


def test_a_short_page_without_a_word_is_noticed_by_the_count() -> None:
    with pytest.raises(SourceError, match="brought 1 of 3 records"):
        everything(
            lambda request: counted(3) if "COUNT" in str(request.url) else rows("Invoice", [invoice(1)])
        )


def test_a_page_that_comes_again_and_again_is_told() -> None:
    same = [invoice(n) for n in range(3)]
    with pytest.raises(SourceError, match="page 3 of Invoice repeats the one before"):
        everything(
            lambda request: counted(9) if "COUNT" in str(request.url) else rows("Invoice", same), page=3
        )


def test_a_body_that_ends_early_is_asked_for_again() -> None:
    answers = [
        counted(1),
        httpx.Response(200, content=b'{"QueryResponse":{"Inv'),
        rows("Invoice", [invoice(1)]),
    ]
    assert ids(everything(lambda request: answers.pop(0))) == ["1"]


def test_html_instead_of_data_is_told_with_its_words() -> None:
    with pytest.raises(SourceError, match="a page came instead of data: «Please sign in»"):
        everything(lambda request: httpx.Response(200, text="<html><body>Please sign in</body></html>"))


def test_another_host_is_not_followed() -> None:
    away = httpx.Response(302, headers={"location": "https://elsewhere.example/v3/query"})
    with pytest.raises(SourceError, match=r"redirects to elsewhere\.example, which is not followed"):
        everything(lambda request: away)
    source = books(lambda request: counted(0))
    with pytest.raises(SourceError, match="leads to another host"):
        source.client.request("GET", "https://elsewhere.example/v3/company/1/query")


def test_a_row_without_an_id_is_set_apart_and_the_rest_goes_on() -> None:
    (page,) = everything(
        lambda request: (
            counted(2) if "COUNT" in str(request.url) else rows("Invoice", [{"TotalAmt": 5}, invoice(2)])
        )
    )
    assert ids([page]) == ["2"]
    assert "without a usable Id" in page.rejects[0].place


def test_keys_are_all_there_are_or_an_error() -> None:
    shelf = Shelf(*[invoice(n, second=n) for n in range(1, 8)])
    assert sorted(map(int, next(iter(books(shelf, page=3).keys("realization"))))) == list(range(1, 8))
    with pytest.raises(SourceError, match="brought 1 of 5 records"):
        list(
            books(
                lambda request: counted(5) if "COUNT" in str(request.url) else rows("Invoice", [invoice(1)])
            ).keys("realization")
        )


class Leaving:
    """Invoices by id, of which some are deleted after a page."""

    def __init__(self, *deletions: str | None, count: int = 7) -> None:
        self.living = [str(number) for number in range(1, count + 1)]
        self.deletions: Iterator[str | None] = iter(deletions)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        query = asked(request)[1]["query"]
        if "COUNT" in query:
            return counted(len(self.living))
        start = int(query.partition("STARTPOSITION ")[2].partition(" ")[0]) - 1
        page = self.living[start : start + int(query.partition("MAXRESULTS ")[2])]
        if number := next(self.deletions, None):
            self.living.remove(number)
        return rows("Invoice", [{"Id": number} for number in page])


@pytest.mark.parametrize(
    "deletions", [["2"], [None, "4"], ["1", "3"], ["7"], ["6", "5", "4"], ["1", "2", "4"]]
)
@pytest.mark.parametrize("page", [2, 3, 4])
def test_ids_lack_no_living_record_when_others_are_deleted_between_pages(
    page: int, deletions: list[str | None]
) -> None:
    realm = Leaving(*deletions)
    (found,) = books(realm, page=page).keys("realization")
    assert sorted(found) == sorted(realm.living)


def test_ids_of_a_list_that_never_rests_are_not_told() -> None:
    realm = Leaving(*map(str, range(1, 40)), count=60)
    with pytest.raises(SourceError, match="was read 3 times"):
        list(books(realm, page=3).keys("realization"))


def test_a_record_without_an_id_may_be_any_and_deletes_none() -> None:
    with pytest.raises(SourceError, match="may be any"):
        list(books(lambda request: rows("Invoice", [{"Id": "1"}, {"Id": None}])).keys("realization"))


def test_inactive_names_are_neither_counted_nor_among_the_keys() -> None:
    queries: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        queries.append(asked(request)[1]["query"])
        return counted(1) if "COUNT" in queries[-1] else rows("Customer", [{"Id": "1"}])

    source = books(handle)
    assert source.counts(["counterparty"]) == {"counterparty": 1}
    assert list(source.keys("counterparty")) == [["1"]]
    assert not any("Active" in query for query in queries)


# ---- Changes -----------------------------------------------------------------------------------


def test_changes_and_deletions_of_all_come_with_one_request() -> None:
    heard: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        heard.append(request)
        stub = {
            "Id": "266",
            "status": "Deleted",
            "domain": "QBO",
            "MetaData": {"LastUpdatedTime": "2026-02-10T01:00:00-08:00"},
        }
        return captured(Invoice=[invoice(267), stub], Customer=[{"Id": "58", "DisplayName": "A"}])

    pages = list(books(handle).read(["counterparty", "realization"], NOW - timedelta(hours=1), NOW))
    found = [(page.entity, record.source_id, record.deleted) for page in pages for record in page.records]
    assert found == [
        ("counterparty", "58", False),
        ("realization", "267", False),
        ("realization", "266", True),
    ]
    (request,) = heard
    path, params = asked(request)
    assert (path, params["entities"]) == ("cdc", "Customer,Invoice")
    assert params["changedSince"].endswith("+00:00")


def test_a_full_answer_of_changes_is_split_and_what_is_full_alone_is_read_by_its_stamps() -> None:
    asked_for: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        path, params = asked(request)
        asked_for.append(params.get("entities", path))
        if path == "query":
            return rows("Invoice", [invoice(n) for n in range(4)])
        names = params["entities"].split(",")
        found = {"Invoice": [invoice(n) for n in range(1000)], "Customer": [{"Id": "58"}]}
        return captured(**{name: found[name] for name in names})

    pages = list(books(handle).read(["counterparty", "realization"], NOW - timedelta(hours=1), NOW))
    assert asked_for == ["Customer,Invoice", "Customer", "Invoice", "query"]
    assert sorted(ids(pages)) == ["0", "1", "2", "3", "58"]


def test_a_look_for_news_asks_for_the_latest_of_what_changed_too_much() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        path, params = asked(request)
        if path == "query":
            assert "ORDERBY MetaData.LastUpdatedTime DESC" in params["query"]
            return rows("Invoice", [invoice(7)])
        names = params["entities"].split(",")
        found = {"Invoice": [invoice(n) for n in range(1000)]}
        return captured(**{name: found.get(name, []) for name in names})

    hinted = list(books(handle).changes(datetime(2026, 2, 1, tzinfo=UTC)))
    assert [(change.entity, change.source_id, change.modified_at) for change in hinted] == [
        ("realization", "7", DAY)
    ]


def test_changes_of_longer_ago_than_thirty_days_are_asked_for_by_their_stamps() -> None:
    shelf = Shelf(invoice(1))
    list(books(shelf).read(["realization"], NOW - timedelta(days=40), NOW))
    assert [query.partition(" ORDERBY")[0].partition("'")[0] for query in shelf.queries] == [
        "SELECT * FROM Invoice WHERE MetaData.LastUpdatedTime >= "
    ]


def test_a_kind_that_change_data_capture_does_not_know_is_read_by_its_stamps() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        path, params = asked(request)
        if path == "query":
            return rows("Invoice", [invoice(5)])
        if "Invoice" in params["entities"]:
            return fault(400, "500", "Unsupported Operation", "Invoice is not supported")
        return captured(Customer=[{"Id": "58"}])

    pages = list(books(handle).read(["counterparty", "realization"], NOW - timedelta(hours=1), NOW))
    assert sorted(ids(pages)) == ["5", "58"]


def test_a_record_read_by_key_that_is_gone_comes_as_a_tombstone() -> None:
    (page, gone) = books(lambda request: rows("Invoice", [invoice(1)])).read_keys("realization", ["1", "2"])
    assert ids([page]) == ["1"]
    assert [(record.source_id, record.deleted) for record in gone.records] == [("2", True)]


# ---- Settings ----------------------------------------------------------------------------------


def test_the_date_up_to_which_the_books_are_closed_is_a_lock() -> None:
    assert books(lambda request: numbered(True)).locks() == [Lock(date(2025, 12, 31))]


def test_a_closing_date_that_is_no_date_is_told_in_words() -> None:
    said = {"Preferences": {"AccountingInfoPrefs": {"BookCloseDate": "31/12/2025"}}}
    with pytest.raises(SourceError, match="closed up to '31/12/2025', which is no date"):
        books(lambda request: httpx.Response(200, json=said)).locks()


def test_the_own_currency_is_among_the_currencies_of_a_company_that_has_no_other() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        path, _ = asked(request)
        return (
            numbered(True) if path == "preferences" else fault(400, "4001", "Invalid query", "not supported")
        )

    assert ids(everything(handle, "currency")) == ["USD"]


# ---- Stock -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "until", "whole"),
    [
        (["Name"], DAY + timedelta(days=1), False),
        (["Name", "QtyOnHand"], LATER, False),
        (["Name", "QtyOnHand"], DAY + timedelta(days=1), True),
    ],
)
def test_items_are_read_whole_once_a_day_where_their_stock_is_read(
    fields: list[str], until: datetime, whole: bool
) -> None:
    """Whether a sale moves the stamp of an item nobody says."""
    queries: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        path, params = asked(request)
        queries.append(params.get("query", path))
        if path == "cdc":
            return captured(Item=[])
        return counted(0) if "COUNT(*)" in params["query"] else rows("Item", [])

    source = books(handler)
    source.fields_read = {"product": fields}
    list(source.read(["product"], DAY, until))
    assert any("FROM Item" in query and "LastUpdatedTime >=" not in query for query in queries) == whole
