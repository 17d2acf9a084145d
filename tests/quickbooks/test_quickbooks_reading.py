"""Reading QuickBooks: nothing lost between pages and stamps, deletions seen, refusals in words."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from resources.accounting.quickbooks import LIMITS, connect, reports
from resources.accounting.quickbooks.company import Allowance
from resources.connector import (
    ChecksFields,
    CountsEntities,
    Delivery,
    Forged,
    HearsEvents,
    Hint,
    KeepsPlaces,
    KnowsItsShape,
    Lock,
    LocksPeriods,
    Page,
    ReadsByKey,
    SourceError,
)
from tests.quickbooks.realm import (
    DAY,
    KEY,
    LATER,
    REALM,
    Handler,
    asked,
    books,
    captured,
    counted,
    fault,
    numbered,
    rows,
)

CONNECTION = {
    "realm_id": REALM,
    "client_id": "app",
    "client_secret": "swordfish",
    "refresh_token": "RT1-swordfish",
}
NOW = datetime.now(UTC)


def invoice(number: int, second: int = 0, **fields: Any) -> dict[str, Any]:
    stamps = {"LastUpdatedTime": f"2026-02-10T01:{second // 60:02}:{second % 60:02}-08:00"}
    return {"Id": str(number), "SyncToken": "0", "MetaData": stamps, "TxnDate": "2026-02-10", **fields}


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


def ids(pages: list[Page]) -> list[str]:
    return [record.source_id for page in pages for record in page.records]


def everything(handler: Handler, entity: str = "realization", **options: Any) -> list[Page]:
    return list(books(handler, **options).read([entity], None, LATER))


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


def test_the_own_currency_is_among_the_currencies_of_a_company_that_has_no_other() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        path, _ = asked(request)
        return (
            numbered(True) if path == "preferences" else fault(400, "4001", "Invalid query", "not supported")
        )

    assert ids(everything(handle, "currency")) == ["USD"]


# ---- Refusals ----------------------------------------------------------------------------------


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


# ---- Webhooks ----------------------------------------------------------------------------------

OLD = {
    "eventNotifications": [
        {"realmId": REALM, "dataChangeEvent": {"entities": [
            {"name": "Customer", "id": "43", "operation": "Merge", "deletedId": "44", "lastUpdated": "2016-10-05T03:07:04.000Z"},
            {"name": "Invoice", "id": "9", "operation": "Create", "lastUpdated": "2016-10-05T03:07:04.000Z"},
            {"name": "Class", "id": "1", "operation": "Create", "lastUpdated": "2016-10-05T03:07:04.000Z"},
            {"name": "JournalEntry", "id": "8", "operation": "Create", "lastUpdated": "2016-10-05T03:07:04.000Z"}]}},
        {"realmId": "1", "dataChangeEvent": {"entities": [{"name": "Invoice", "id": "7", "operation": "Create"}]}},
    ]
}  # fmt: skip
NEW = [
    {"specversion": "1.0", "id": "a", "source": "intuit.x", "type": "qbo.invoice.updated.v1",
     "time": "2025-10-07T19:59:07.034359333Z", "intuitentityid": "1234", "intuitaccountid": REALM, "data": {}},
    {"specversion": "1.0", "id": "b", "source": "intuit.x", "type": "qbo.invoice.updated.v1",
     "time": "2025-10-07T19:59:07.034359333Z", "intuitentityid": "1", "intuitaccountid": "310687", "data": {}},
]  # fmt: skip


def delivery(body: Any, token: str = "verifier") -> Delivery:
    content = json.dumps(body).encode()
    signature = base64.b64encode(hmac.new(token.encode(), content, hashlib.sha256).digest()).decode()
    return Delivery({}, {"intuit-signature": signature}, content)


def test_both_forms_of_webhooks_are_heard_of_our_company_alone() -> None:
    source = books(lambda request: counted(0), verifier="verifier")
    assert source.hear(delivery(OLD)) == [
        Hint("counterparty", "43"), Hint("counterparty", "44"), Hint("realization", "9"), Hint("entry"),
    ]  # fmt: skip
    assert source.hear(delivery(NEW)) == [Hint("realization", "1234")]


def test_a_webhook_that_proves_nothing_is_forged_and_a_strange_body_is_told() -> None:
    source = books(lambda request: counted(0), verifier="verifier")
    with pytest.raises(Forged, match="does not fit verifier_token"):
        source.hear(delivery(OLD, "somebody"))
    with pytest.raises(ValueError, match="has no eventNotifications"):
        source.hear(delivery({"hello": 1}))
    with pytest.raises(ValueError, match="not of CloudEvents"):
        source.hear(delivery([1]))


# ---- Entries -----------------------------------------------------------------------------------


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
    assert {entry["Customer"] for entry in found} == {"1"}
    assert [record.parent_id for record in records] == ["264"] * 3


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
