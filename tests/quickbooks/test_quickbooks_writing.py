"""Writing into QuickBooks: once, under our key, and what is said of every refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import httpx
import pytest

from pipelines.operations.compare import differences
from resources.accounting.quickbooks.marks import marked, number_of
from resources.connector import (
    AssignsKeys,
    Conflict,
    CreatesMany,
    Exists,
    Refused,
    SourceError,
    Uncertain,
    UpdatesMany,
)
from tests.quickbooks.realm import (
    INVOICE,
    KEY,
    OTHER,
    THIRD,
    asked,
    books,
    fault,
    numbered,
    rows,
    saved,
    sent,
)

CUSTOMER = {"DisplayName": "Weiskopf Consulting", "CompanyName": "Weiskopf Consulting"}


def answering(
    *answers: httpx.Response | Exception, heard: list[httpx.Request] | None = None
) -> Callable[..., Any]:
    """A handler that gives these answers in turn; the settings besides, whenever they are asked for."""
    left = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        if asked(request)[0] == "preferences":
            return numbered(True)
        if heard is not None:
            heard.append(request)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handle


def stored(key: str = KEY, **fields: Any) -> dict[str, Any]:
    """An invoice as QuickBooks holds it: names beside references, a subtotal, our sign in the note."""
    return {
        "Id": "266", "SyncToken": "3", "DocNumber": number_of(key), "TxnDate": "2026-02-10",
        "CustomerRef": {"value": "58", "name": "Amy's Bird Sanctuary"},
        "PrivateNote": marked("crm:bitrix24:4711", key, 4000), "TotalAmt": 1000.1,
        "Line": [
            {"Id": "1", "LineNum": 1, "Amount": 1000.1, "Description": "Service", "DetailType": "SalesItemLineDetail",
             "SalesItemLineDetail": {"ItemRef": {"value": "19", "name": "Design"}, "Qty": 10, "UnitPrice": 100.01,
                                     "TaxCodeRef": {"value": "NON"}}},
            {"Amount": 1000.1, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}},
        ],
        **fields,
    }  # fmt: skip


def test_it_offers_every_protocol_that_it_claims() -> None:
    target = books(answering())
    assert isinstance(target, AssignsKeys)
    assert isinstance(target, CreatesMany)
    assert isinstance(target, UpdatesMany)


def test_an_invoice_is_sent_once_with_exact_money_its_number_and_our_key() -> None:
    heard: list[httpx.Request] = []
    target = books(answering(saved("Invoice", **stored()), heard=heard))
    written = target.create("realization", KEY, INVOICE)
    (request,) = heard
    path, params = asked(request)
    body = sent(request)
    assert (request.method, path, params["minorversion"]) == ("POST", "invoice", "75")
    assert len(params["requestid"]) <= 50
    assert body["CustomerRef"] == {"value": "58"}
    assert body["DocNumber"] == number_of(KEY)
    assert len(body["DocNumber"]) <= 21
    assert body["PrivateNote"] == f"crm:bitrix24:4711\n[sverka {KEY}]"
    line = body["Line"][0]
    assert (line["Amount"], line["SalesItemLineDetail"]["UnitPrice"]) == (
        Decimal("1000.10"),
        Decimal("100.01"),
    )
    assert b'"Amount":1000.10' in request.content
    assert (written.key, target.key_of("realization", written.body)) == ("266", "266")


def test_the_same_write_bears_the_same_requestid_and_another_body_another() -> None:
    heard: list[httpx.Request] = []
    target = books(answering(*[saved("Invoice", **stored())] * 3, heard=heard))
    target.create("realization", KEY, INVOICE)
    target.create("realization", KEY, INVOICE)
    target.create("realization", KEY, {**INVOICE, "TxnDate": "2026-02-11"})
    first, second, third = (asked(request)[1]["requestid"] for request in heard)
    assert first == second != third


def test_the_answer_to_another_request_is_not_taken_for_ours() -> None:
    target = books(
        answering(*[saved("Invoice", **stored(OTHER))] * 2, rows("Invoice", []), rows("Invoice", []))
    )
    for write in (target.create, partial(target.update, version="3")):
        target.known_keys = lambda kind, keys: {KEY: "300"}
        with pytest.raises(Uncertain, match=r"about another record \(Invoice 266\)"):
            write("realization", KEY, INVOICE)
    target.known_keys = lambda kind, keys: {}
    assert target.find("realization", [KEY]) == {}, "the other record's number was kept for ours"


def test_what_is_found_equals_what_was_meant_though_names_and_subtotals_came_with_it() -> None:
    target = books(answering(rows("Invoice", [stored()])))
    target.known_keys = lambda kind, keys: {KEY: "266"}
    found = target.find("realization", [KEY])
    assert differences(INVOICE, found[KEY]) == []
    other = {**INVOICE, "CustomerRef.value": "59"}
    assert differences(other, found[KEY]) == ["CustomerRef.value: meant 59, found 58"]
    assert found[KEY]["SyncToken"] == "3"


def test_known_numbers_are_found_by_one_query_for_all() -> None:
    heard: list[httpx.Request] = []
    answer = rows("Invoice", [stored(), stored(OTHER, Id="267")])
    target = books(answering(answer, heard=heard))
    target.known_keys = lambda kind, keys: {KEY: "266", OTHER: "267", THIRD: "268"}
    assert set(target.find("realization", [KEY, OTHER, THIRD])) == {KEY, OTHER}
    assert [asked(request)[1]["query"] for request in heard] == [
        "SELECT * FROM Invoice WHERE Id IN ('266', '267', '268') MAXRESULTS 1000"
    ]


def test_an_invoice_of_unknown_number_is_found_by_the_number_made_of_its_key() -> None:
    heard: list[httpx.Request] = []
    target = books(answering(rows("Invoice", [stored()]), heard=heard))
    assert target.find("realization", [KEY])[KEY]["Id"] == "266"
    assert f"DocNumber IN ('{number_of(KEY)}')" in asked(heard[0])[1]["query"]


def test_a_number_of_ours_on_the_copy_of_another_record_is_not_taken_for_ours() -> None:
    copy = stored(OTHER, DocNumber=number_of(KEY))
    target = books(answering(rows("Invoice", [copy]), rows("Invoice", [copy])))
    assert target.find("realization", [KEY]) == {}


def test_without_numbers_of_ours_an_invoice_is_found_among_the_latest_by_its_note() -> None:
    heard: list[httpx.Request] = []
    target = books(answering(rows("Invoice", [stored(DocNumber="1041")]), heard=heard), own_numbers=False)
    assert target.find("realization", [KEY, OTHER]).keys() == {KEY}
    assert "MetaData.LastUpdatedTime >=" in asked(heard[0])[1]["query"]


def test_of_a_record_and_its_copy_the_first_made_is_ours() -> None:
    both = [stored(Id="1001", DocNumber="9"), stored(Id="999", DocNumber="8")]
    target = books(answering(rows("Invoice", both)), own_numbers=False)
    assert target.find("realization", [KEY])[KEY]["Id"] == "999"


def test_an_answer_lost_after_the_commit_is_uncertain_and_found_by_a_probe_without_a_second_write() -> None:
    heard: list[httpx.Request] = []
    target = books(answering(httpx.ReadTimeout("late"), rows("Invoice", [stored()]), heard=heard))
    with pytest.raises(Uncertain, match="not known whether the write was carried out"):
        target.create("realization", KEY, INVOICE)
    assert KEY in target.find("realization", [KEY])
    assert [request.method for request in heard] == ["POST", "GET"]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(503, text="<html>Service Unavailable</html>"),
        httpx.Response(200, text="<html>Please sign in</html>"),
        httpx.Response(200, content=b'{"Invoice":{"Id":"266","Sync'),
        httpx.Response(200, json={"time": "2026-02-10T01:00:00-08:00"}),
        httpx.Response(200, content=b""),
        fault(
            500,
            "10000",
            "An application error has occurred while processing your request",
            kind="SystemFault",
        ),
        fault(
            200,
            "10000",
            "An application error has occurred while processing your request",
            kind="SystemFault",
        ),
    ],
)
def test_an_answer_that_does_not_say_what_became_of_a_write_is_uncertain(answer: httpx.Response) -> None:
    heard: list[httpx.Request] = []
    target = books(answering(answer, heard=heard))
    with pytest.raises(Uncertain, match="looked up before anything is sent again"):
        target.create("realization", KEY, INVOICE)
    assert len(heard) == 1


def test_a_throttled_write_is_sent_again_after_a_minute_for_nothing_was_done() -> None:
    heard: list[httpx.Request] = []
    waited: list[float] = []
    busy = fault(429, "003001", "message=ThrottleExceeded; errorCode=003001; statusCode=429")
    target = books(answering(busy, saved("Invoice", **stored()), heard=heard))
    target.client.sleep = waited.append
    assert target.create("realization", KEY, INVOICE).key == "266"
    assert (len(heard), waited) == (2, [60.0])


def test_a_closed_period_is_told_by_its_words_whatever_its_code() -> None:
    for code in ("6210", "5010", "6000"):
        answer = fault(400, code, "Account Period Closed", "The account period has closed. 12/31/2025")
        with pytest.raises(Refused) as refused:
            books(answering(answer)).create("realization", KEY, INVOICE)
        assert refused.value.code == "closed_period"
        assert not isinstance(refused.value, Conflict)
        assert "Account Period Closed: The account period has closed. 12/31/2025" in str(refused.value)


def test_a_stale_version_is_a_conflict_and_another_5010_is_not() -> None:
    stale = fault(
        400,
        "5010",
        "Stale Object Error",
        "Stale Object Error : You and Ann were working on this at the same time.",
    )
    target = books(answering(stale, fault(400, "5010", "Something else happened")))
    target.known_keys = lambda kind, keys: {KEY: "266"}
    with pytest.raises(Conflict, match="working on this at the same time"):
        target.update("realization", KEY, {"TxnDate": "2026-02-11"}, "2")
    with pytest.raises(Refused) as other:
        target.update("realization", KEY, {"TxnDate": "2026-02-11"}, "2")
    assert not isinstance(other.value, Conflict)


def test_an_update_is_sparse_and_keeps_our_key_in_the_note() -> None:
    heard: list[httpx.Request] = []
    target = books(answering(saved("Invoice", **stored(SyncToken="4")), heard=heard))
    target.known_keys = lambda kind, keys: {KEY: "266"}
    assert target.update("realization", KEY, INVOICE, "3").body["SyncToken"] == "4"
    body = sent(heard[0])
    assert (body["Id"], body["SyncToken"], body["sparse"]) == ("266", "3", True)
    assert body["PrivateNote"].endswith(f"[sverka {KEY}]")
    assert "DocNumber" not in body


def test_an_update_without_a_version_reads_the_present_one_first() -> None:
    heard: list[httpx.Request] = []
    target = books(
        answering(rows("Invoice", [stored()]), saved("Invoice", **stored(SyncToken="4")), heard=heard)
    )
    target.known_keys = lambda kind, keys: {KEY: "266"}
    target.update("realization", KEY, {"TxnDate": "2026-02-11"})
    assert sent(heard[1])["SyncToken"] == "3"


def test_a_name_that_our_own_customer_has_exists_already() -> None:
    twice = fault(400, "6240", "Duplicate Name Exists Error", "The name supplied already exists. : null")
    ours = {"Id": "58", "DisplayName": "Weiskopf Consulting", "Notes": f"[sverka {KEY}]"}
    heard: list[httpx.Request] = []
    target = books(answering(twice, rows("Customer", [ours]), rows("Customer", [ours]), heard=heard))
    with pytest.raises(Exists):
        target.create("counterparty", KEY, CUSTOMER)
    assert target.find("counterparty", [KEY])[KEY]["Id"] == "58"
    assert "DisplayName IN ('Weiskopf Consulting') AND Active IN (true, false)" in asked(heard[1])[1]["query"]


def test_a_name_that_somebody_else_has_is_refused_with_that_records_name() -> None:
    twice = fault(400, "6240", "Duplicate Name Exists Error", "The name supplied already exists. : null")
    vendor = {"Id": "71", "DisplayName": "Weiskopf Consulting", "Active": False}
    target = books(answering(twice, rows("Customer", []), rows("Vendor", [vendor])))
    with pytest.raises(Refused) as refused:
        target.create("counterparty", KEY, CUSTOMER)
    assert refused.value.code == "6240"
    assert not isinstance(refused.value, Exists)
    assert "«Weiskopf Consulting» belongs to Vendor 71, which is inactive" in str(refused.value)


def test_a_number_of_ours_that_is_used_already_means_that_the_invoice_is_there() -> None:
    twice = fault(400, "6140", "Duplicate Document Number Error", "This number has already been used.")
    with pytest.raises(Exists):
        books(answering(twice, rows("Invoice", [stored()]))).create("realization", KEY, INVOICE)


def test_an_inactive_reference_is_refused_with_its_remedy() -> None:
    gone = fault(
        400, "610", "Object Not Found",
        "Object Not Found : Something you're trying to use has been made inactive. Check the fields with accounts, "
        "customers, items, vendors or employees.",
    )  # fmt: skip
    with pytest.raises(Refused, match="make it active again in QuickBooks, or choose another") as refused:
        books(answering(gone)).create("realization", KEY, INVOICE)
    assert refused.value.code == "610"


def test_a_fault_within_200_is_a_refusal() -> None:
    with pytest.raises(Refused, match="Amount calculation incorrect") as refused:
        books(answering(fault(200, "6070", "Amount calculation incorrect in the request"))).create(
            "realization", KEY, INVOICE
        )
    assert refused.value.code == "6070"


def test_what_was_saved_by_half_reads_back_as_a_difference() -> None:
    target = books(
        answering(saved("Invoice", **stored()), rows("Invoice", [stored(PrivateNote="", Line=[])]))
    )
    target.create("realization", KEY, INVOICE)
    told = differences(INVOICE, target.find("realization", [KEY])[KEY])
    assert told == ["PrivateNote: meant crm:bitrix24:4711, found ", "Line: meant 1 rows, found 0"]


def test_nothing_is_posted_and_unknown_kinds_are_named() -> None:
    target = books(answering())
    with pytest.raises(Refused, match="counts as soon as it is saved"):
        target.post("realization", KEY)
    with pytest.raises(SourceError, match="has no contract"):
        target.create("contract", KEY, {})
    with pytest.raises(Refused, match="a sales_receipt is not written"):
        target.create("sales_receipt", KEY, {})


def test_a_batch_gives_each_row_its_own_outcome_in_order() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        path, _ = asked(request)
        if path == "preferences":
            return numbered(True)
        if path == "invoice":
            return fault(400, "6000", "A business validation error has occurred")
        items = json.loads(request.content)["BatchItemRequest"]
        told: list[dict[str, Any]] = []
        for item in items:
            key = item["Invoice"]["PrivateNote"][-37:-1]
            if key == OTHER:
                error = {"Message": "Object Not Found", "Detail": "made inactive", "code": "610"}
                told.append({"bId": item["bId"], "Fault": {"Error": [error], "type": "ValidationFault"}})
            elif key != THIRD:
                told.append({"bId": item["bId"], "Invoice": stored(key, Id=str(len(told)))})
        return httpx.Response(200, json={"BatchItemResponse": list(reversed(told))})

    keys = [f"{number:08x}-8f6b-5b0e-9a41-3f0c5f0e1a11" for number in range(60)] + [OTHER, THIRD]
    target = books(handle, parallel=1)
    outcomes = target.create_many("realization", [(key, INVOICE) for key in keys])
    batched = [
        outcome for outcome in outcomes if not (isinstance(outcome, Refused) and outcome.code == "6000")
    ]
    assert len(outcomes) == 62
    assert len(batched) >= 32
    by_key = dict(zip(keys, outcomes, strict=True))
    for key, outcome in by_key.items():
        if key == OTHER:
            assert isinstance(outcome, Refused)
            assert outcome.code in ("610", "6000")
        elif key == THIRD:
            assert isinstance(outcome, Uncertain) or getattr(outcome, "code", "") == "6000"
        elif not isinstance(outcome, Refused):
            assert not isinstance(outcome, SourceError)
            assert outcome.body["DocNumber"] == number_of(key)


def test_a_batch_without_an_answer_leaves_all_its_rows_uncertain() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        if asked(request)[0] == "preferences":
            return numbered(True)
        raise httpx.ReadTimeout("late")

    keys = [f"{number:08x}-8f6b-5b0e-9a41-3f0c5f0e1a11" for number in range(12)]
    outcomes = books(handle).create_many("realization", [(key, INVOICE) for key in keys])
    assert all(isinstance(outcome, Uncertain) for outcome in outcomes)


def test_many_updates_take_the_present_versions_from_one_query() -> None:
    heard: list[dict[str, Any]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        path, _ = asked(request)
        if path == "query":
            return rows(
                "Invoice", [stored(key, Id=str(n), SyncToken=str(n)) for n, key in enumerate(keys[:-1])]
            )
        items = (
            [sent(request)]
            if path == "invoice"
            else [i["Invoice"] for i in sent(request)["BatchItemRequest"]]
        )
        heard.extend(items)
        if path == "invoice":
            return saved("Invoice", **stored(keys[int(items[0]["Id"])], Id=items[0]["Id"]))
        told = [
            {"bId": i["bId"], "Invoice": stored(keys[int(i["Invoice"]["Id"])], Id=i["Invoice"]["Id"])}
            for i in sent(request)["BatchItemRequest"]
        ]
        return httpx.Response(200, json={"BatchItemResponse": told})

    keys = [f"{number:08x}-8f6b-5b0e-9a41-3f0c5f0e1a11" for number in range(13)]
    target = books(handle)
    target.known_keys = lambda kind, wanted: {key: str(n) for n, key in enumerate(keys) if key in wanted}
    outcomes = target.update_many("realization", [(key, {"TxnDate": "2026-03-01"}) for key in keys])
    assert isinstance(outcomes[-1], Refused)
    assert "not there any more" in str(outcomes[-1])
    assert sorted((item["Id"], item["SyncToken"]) for item in heard) == sorted(
        (str(n), str(n)) for n in range(12)
    )
    assert all(not isinstance(outcome, SourceError) for outcome in outcomes[:-1])
