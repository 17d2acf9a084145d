"""Salesforce's connector reads its stand-in over HTTP, and answers bent on their way; the truth is asked of the
stand-in's control panel."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from resources.connector import SourceError
from resources.crm.salesforce import connector as salesforce
from resources.crm.salesforce.bulk import as_rest
from resources.crm.salesforce.connector import Salesforce
from resources.crm.salesforce.entities import MAIN
from resources.crm.salesforce.lines import total_with_vat
from resources.crm.salesforce.org import Allowance, Field
from tests.salesforce.town import Bend, Send, Town, bent, living, names_of, now, number_of, opened, stored
from tests.sandbox_process import running

HOUR = timedelta(hours=1)
TRUE = {"client": "company", "contact": "contact", "deal": "deal", "line": "deal_line", "product": "product",
        "price": "product_price", "price_list": "price_list", "employee": "employee", "campaign": "campaign"}  # fmt: skip


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with running("--deals", "120", "--no-limits") as sandbox:
        yield Town(sandbox)


@pytest.fixture
def crm(town: Town) -> Iterator[Salesforce]:
    found = opened(town.keys(page=200))
    yield found
    found.close()
    town.sandbox.control("faults", method="DELETE")


# ---- Reading ----------------------------------------------------------------------------------


def test_a_full_read_brings_every_record_with_its_stage_and_its_lines(town: Town, crm: Salesforce) -> None:
    kept = stored(crm.read(names_of(crm), None, now()))
    for theirs, ours in TRUE.items():
        assert set(living(kept, ours)) == set(town.truth(theirs)), ours
    assert set(living(kept, "pipeline")) >= set(town.truth("pipeline"))
    deals, stages, sold = living(kept, "deal"), living(kept, "stage"), town.truth("line")
    assert {stage["code"] for stage in town.truth("stage").values()} == {
        key.partition("/")[2] for key in stages
    }
    for key, true in town.truth("deal").items():
        deal = deals[key]
        assert Decimal(str(deal["Amount"])) == Decimal(true["amount"])
        assert f"{deal['RecordTypeId']}/{deal['StageName']}" in stages
        lines = {line for line, one in kept["deal_line"].items() if one.parent_id == key}
        assert lines == {line for line, one in sold.items() if one["deal"] == key}


def test_jobs_and_pages_bring_the_same_records(town: Town, crm: Salesforce) -> None:
    by_pages = stored(crm.read(MAIN, None, now()))
    jobs = opened(town.keys(bulk_from=1))
    jobs.bulk_page = 37
    by_jobs = stored(jobs.read(MAIN, None, now()))
    for entity in MAIN:
        assert living(by_jobs, entity) == living(by_pages, entity)
        for key, one in by_pages[entity].items():
            other = by_jobs[entity][key]
            assert (other.modified_at, other.parent_id) == (one.modified_at, one.parent_id)
        assert sorted(key for keys in jobs.keys(entity) for key in keys) == sorted(by_pages[entity])


def test_values_of_a_csv_are_told_as_rest_tells_them() -> None:
    kinds = {"N": "double", "B": "boolean", "T": "datetime", "S": "string"}
    fields = {name: Field(name, kind) for name, kind in kinds.items()}
    table = [
        ["1.50", "true", "2026-01-02T03:04:05.000Z", 'a "b",\nя'],
        ["", "false", "", ""],
        ["x", "", "soon", "1"],
    ]
    assert [json.loads(bytes(row)) for row in as_rest(fields)(list(kinds))(table)] == [
        {"N": 1.5, "B": True, "T": "2026-01-02T03:04:05.000+0000", "S": 'a "b",\nя'},
        {"N": None, "B": False, "T": None, "S": None},
        {"N": "x", "B": None, "T": "soon", "S": "1"},
    ]


def test_a_line_bears_its_total_with_vat_where_its_price_has_none() -> None:
    lift = total_with_vat("Rate", "In")

    def total(**line: Any) -> Any:
        return msgspec.json.decode(lift(msgspec.Raw(msgspec.json.encode(line))), type=dict[str, Any]).get(
            "TotalWithVAT"
        )

    assert total(TotalPrice=100.05, Rate=20, In=False) == 120.06
    assert total(TotalPrice=100.05, Rate=20, In=True) == 100.05
    assert total(TotalPrice=100.05, Rate=None, In=False) == 100.05
    assert total(TotalPrice=None, Rate=20, In=False) is None


def test_changes_deletions_and_merges_bring_the_store_to_what_a_full_read_finds(
    town: Town, crm: Salesforce
) -> None:
    kept = stored(crm.read(MAIN, None, now()))
    begun = now() - HOUR
    done = {change["kind"] for change in town.work(seed=5, count=300)}
    assert {"merge_clients", "late", "import", "delete_deal", "quiet_line"} <= done, done
    kept = stored(crm.read(MAIN, begun, now()), kept)
    whole = stored(crm.read(MAIN, None, now()))
    for entity in MAIN:
        assert living(kept, entity) == living(whole, entity), entity


def test_a_merge_names_its_survivor_and_what_was_the_losers_is_read_again(
    town: Town, crm: Salesforce
) -> None:
    deals = town.truth("deal")
    loser, survivor = sorted({deal["client"] for deal in deals.values() if deal["client"]})[:2]
    theirs = {key for key, deal in deals.items() if deal["client"] == loser}
    begun = now()
    town.do("merge", "client", number_of(loser), into=number_of(survivor))
    kept = stored(crm.read(["company"], begun - timedelta(seconds=1), now()))
    assert (kept["company"][loser].deleted, kept["company"][loser].merged_into) == (True, survivor)
    assert theirs
    assert {living(kept, "deal")[key]["AccountId"] for key in theirs} == {survivor}


def test_what_left_the_recycle_bin_is_found_by_the_list_of_deletions(town: Town) -> None:
    begun = now()
    key = town.shown("deal", 30)
    town.do("remove", "deal", 30)

    def emptied(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        if request.url.path.endswith("/queryAll"):
            said = json.loads(answer.content)
            said["records"] = [row for row in said["records"] if not row.get("IsDeleted")]
            said["totalSize"] = len(said["records"])
            return httpx.Response(200, json=said)
        return answer

    soon = now() + timedelta(minutes=1)  # the list passes over seconds
    kept = stored(bent(town, emptied).read(["deal"], begun - HOUR, soon))
    assert kept["deal"][key].deleted
    assert kept["deal"][key].modified_at is not None
    town.do("restore", "deal", 30)
    again = stored(bent(town, emptied).read(["deal"], begun - HOUR, soon), kept)
    assert not again["deal"][key].deleted


@pytest.mark.parametrize(("status", "code"), [(400, "EXCEEDED_ID_LIMIT"), (500, "UNKNOWN_EXCEPTION")])
def test_a_refused_list_of_deletions_is_left_to_the_sweep_and_one_that_fails_stops_the_read(
    town: Town, status: int, code: str
) -> None:
    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        if b"/deleted?" not in request.content:
            return send(request)
        said = json.loads(send(request).content)
        said["compositeResponse"][0] |= {"httpStatusCode": status, "body": error(code, "no list")}
        return httpx.Response(200, json=said)

    reading = bent(town, bend).read(["deal"], now() - HOUR, now())
    if status == 400:
        assert stored(reading)
    else:
        with pytest.raises(SourceError, match=r"UNKNOWN_EXCEPTION.*no list") as told:
            list(reading)
        assert told.value.retriable


def test_single_records_are_read_by_key_with_their_lines_and_the_absent_ones_are_tombstones(
    town: Town, crm: Salesforce
) -> None:
    key = next(iter(town.truth("line").values()))["deal"]
    kept = stored(crm.read_keys("deal", [key, "006gK0000000zzzQAA", "no id at all"]))
    assert set(living(kept, "deal")) == {key}
    assert kept["deal"]["no id at all"].deleted
    assert set(living(kept, "deal_line")) == {
        line for line, one in town.truth("line").items() if one["deal"] == key
    }


def test_news_costs_two_calls_and_tells_of_deletions(town: Town, crm: Salesforce) -> None:
    list(crm.changes(now()))
    begun, key = now() - timedelta(seconds=1), town.shown("deal", 12)
    town.do("remove", "deal", 12)
    before = town.calls()
    told = {(change.entity, change.source_id) for change in crm.changes(begun)}
    assert town.calls() - before == 2
    assert ("deal", key) in told
    town.do("restore", "deal", 12)
    before = town.calls()
    counts = crm.counts(names_of(crm))
    assert town.calls() - before == 2
    assert counts == {ours: len(town.truth(theirs)) for theirs, ours in TRUE.items() if ours in MAIN}


# ---- Whatever goes wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["http_500", "html", "truncate", "drop_before", "drop_after", "repeat", "unauthorized"]
)
def test_a_read_gets_over_a_passing_failure(town: Town, crm: Salesforce, kind: str) -> None:
    crm.bulk_from = 100  # lines by a job, deals by pages
    # One request that is refused with a new token too is refused for good.
    town.fault(kind, match="/query", times=1 if kind == "unauthorized" else 2)
    kept = stored(crm.read(["deal", "deal_line"], None, now()))
    assert set(living(kept, "deal")) == set(town.truth("deal"))
    assert set(living(kept, "deal_line")) == set(town.truth("line"))


LASTING = {
    "html": "a page came instead of data.*Авторизация.*check the address",
    "http_500": "INTERNAL_SERVER_ERROR.*try again later",
    "truncate": "the answer is cut off after",
    "unauthorized": "INVALID_SESSION_ID.*connected app and its user are active",
    "limit": "REQUEST_LIMIT_EXCEEDED",
}


@pytest.mark.parametrize("kind", LASTING)
def test_a_lasting_failure_is_told_in_words_and_the_next_read_loses_nothing(
    town: Town, crm: Salesforce, kind: str
) -> None:
    crm.client.attempts = 2
    begun, key = now(), town.shown("deal", 20)
    town.do("put", "deal", 20, body={"title": f"before {kind}"})
    town.fault(kind, match="/queryAll", times=None)
    with pytest.raises(SourceError, match=f"(?s){LASTING[kind]}") as caught:
        list(crm.read(["deal"], begun - HOUR, now()))
    assert town.connection["client_secret"] not in str(caught.value)
    town.sandbox.control("faults", method="DELETE")
    assert living(stored(crm.read(["deal"], begun - HOUR, now())), "deal")[key]["Name"] == f"before {kind}"


def said(request: httpx.Request, send: Send, change: Callable[[Any], Any]) -> httpx.Response:
    answer = send(request)
    return httpx.Response(answer.status_code, json=change(json.loads(answer.content)))


def elsewhere(request: httpx.Request, send: Send) -> httpx.Response:
    return said(
        request, send, lambda page: {**page, "nextRecordsUrl": "https://evil.example/x", "done": False}
    )


def repeating(request: httpx.Request, send: Send) -> httpx.Response:
    first = httpx.Request("GET", _first_page(request), headers=request.headers)
    link = f"/services/data/v61.0/query/0r8-{request.url.path[-4:]}1?{first.url.query.decode()}"
    return said(first, send, lambda page: {**page, "nextRecordsUrl": link, "done": False})


def _first_page(request: httpx.Request) -> httpx.URL:
    path = re.sub(r"/query.*", "/query", request.url.path)
    return request.url.copy_with(path=path, params={"q": request.url.params["q"]})


def answering(code: int, body: Any) -> Bend:
    return lambda request, send: httpx.Response(code, json=body)


def error(code: str, message: str) -> list[dict[str, str]]:
    return [{"errorCode": code, "message": message}]


BENT: dict[str, tuple[Bend, str]] = {
    "a next page at another host": (elsewhere, r"another host \(evil.example\).*present address into instance_url"),
    "a page that repeats": (repeating, "page of OpportunityLineItem (repeats the one before|leads back to)"),
    "fewer rows than promised": (
        lambda request, send: said(request, send, lambda page: {**page, "totalSize": 9999}),
        "promised 9999 rows and gave",
    ),
    "no next page and not done": (
        lambda request, send: said(request, send, lambda page: {**page, "done": False, "nextRecordsUrl": None}),
        "names no next page and says there is one",
    ),
    "an error within a 200": (answering(200, error("INVALID_FIELD", "No such column")), "INVALID_FIELD: No such column"),
    "an answer of another form": (answering(200, {"rows": []}), "not of the form that the vendor documents"),
    "a missing right": (
        answering(403, error("INSUFFICIENT_ACCESS", "insufficient access rights")),
        "INSUFFICIENT_ACCESS.*permission set with API Enabled and View All Data",
    ),
    "an API that is off": (answering(403, error("API_DISABLED_FOR_ORG", "API is off")), "API_DISABLED_FOR_ORG: API is off"),
    "a field that went away": (
        answering(400, error("INVALID_FIELD", "No such column 'Debt__c'")),
        "No such column 'Debt__c'; it was renamed or deleted",
    ),
    "a query locator that ended": (
        answering(400, error("INVALID_QUERY_LOCATOR", "invalid query locator")),
        "INVALID_QUERY_LOCATOR.*try again later",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BENT)
def test_an_answer_that_cannot_be_trusted_stops_the_read_and_the_next_loses_nothing(
    town: Town, what: str
) -> None:
    bend, words = BENT[what]
    bad = [True]

    def only_lines(request: httpx.Request, send: Send) -> httpx.Response:
        asked = str(request.url.params.get("q", ""))
        is_lines = "OpportunityLineItem" in asked and "COUNT" not in asked
        return bend(request, send) if bad and (is_lines or "/query/0" in request.url.path) else send(request)

    crm = bent(town, only_lines)
    with pytest.raises(SourceError, match=f"(?s){words}"):
        list(crm.read(["deal_line"], None, now()))
    bad.clear()
    assert set(living(stored(crm.read(["deal_line"], None, now())), "deal_line")) == set(town.truth("line"))


def test_a_locator_that_ends_midway_loses_and_repeats_nothing(town: Town) -> None:
    lost = iter([True])

    def ending(request: httpx.Request, send: Send) -> httpx.Response:
        if re.search("/query/.", request.url.path) and next(lost, False):
            return httpx.Response(400, json=error("INVALID_QUERY_LOCATOR", "invalid query locator"))
        return send(request)

    pages = list(bent(town, ending).read(["deal_line"], None, now()))
    found = [record.source_id for page in pages for record in page.records]
    assert next(lost, "used") == "used"
    assert sorted(found) == sorted(town.truth("line"))


def test_a_job_that_the_vendor_refuses_or_fails_gives_way_to_pages(town: Town) -> None:
    def refusing(request: httpx.Request, send: Send) -> httpx.Response:
        if request.method == "POST" and request.url.path.endswith("/jobs/query"):
            return httpx.Response(400, json=error("LIMIT_EXCEEDED", "too many jobs"))
        return send(request)

    def failing(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        if request.method == "GET" and re.search(r"/jobs/query/\w+$", request.url.path):
            return httpx.Response(
                200, json={**json.loads(answer.content), "state": "Failed", "errorMessage": "no"}
            )
        return answer

    for bend in (refusing, failing):
        crm = bent(town, bend)
        crm.bulk_from = 1
        assert set(living(stored(crm.read(["deal"], None, now())), "deal")) == set(town.truth("deal"))


def test_a_page_of_results_that_comes_cut_off_for_good_is_told_and_its_job_deleted(town: Town) -> None:
    deleted: list[str] = []

    def cut(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        if request.url.path.endswith("/results"):
            short = answer.content[: answer.content.rindex(b"\n", 0, -1) + 1]
            return httpx.Response(200, content=short, headers=answer.headers)
        deleted.extend([request.url.path] if request.method == "DELETE" else [])
        return answer

    crm = bent(town, cut)
    crm.bulk_from = 1
    with pytest.raises(
        SourceError, match=r"page of results of Opportunity is not whole.*it tells of \d+ rows and has"
    ):
        list(crm.read(["deal"], None, now()))
    assert len(deleted) == 1


def test_a_field_that_is_not_there_is_named_with_the_nearest_and_one_of_a_feature_is_left_out(
    town: Town, crm: Salesforce
) -> None:
    crm.fields_read = {"company": ("Name", "INN_c")}
    with pytest.raises(SourceError, match=r"Account has no field INN_c.*did you mean INN__c\? Correct it in"):
        list(crm.read(["company"], None, now()))
    crm.fields_read = {"company": ("Name", "INN__c", "CurrencyIsoCode")}

    def without_currencies(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        return httpx.Response(
            answer.status_code, content=answer.content.replace(b'"CurrencyIsoCode"', b'"Hidden__c"')
        )

    poor = bent(town, without_currencies)
    poor.fields_read = crm.fields_read
    for found in (crm, poor):
        rows = living(stored(found.read(["company"], None, now())), "company")
        assert set(rows) == set(town.truth("client"))
        assert all(("CurrencyIsoCode" in row) == (found is crm) for row in rows.values())


def test_a_long_list_of_fields_is_read_by_ids_in_a_body(
    town: Town, crm: Salesforce, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = living(stored(crm.read(["deal"], None, now())), "deal")
    monkeypatch.setattr("resources.crm.salesforce.org.MAX_QUERY", 100)
    assert living(stored(crm.read(["deal"], None, now())), "deal") == short


@pytest.mark.parametrize("instead", ["SELECT Id,Name FROM Account", "SELECT Id FROM Opportunity"])
def test_the_answer_to_another_query_is_told_and_deletes_nothing(town: Town, instead: str) -> None:
    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        if "FROM Opportunity" not in request.url.params.get("q", ""):
            return send(request)
        return send(httpx.Request("GET", request.url.copy_set_param("q", instead), headers=request.headers))

    with pytest.raises(SourceError, match="a page of Opportunity is the answer to another question") as told:
        stored(bent(town, bend).read(["deal"], None, now()))
    assert told.value.retriable


def test_a_record_deleted_between_its_listing_and_its_fields_is_no_record_without_values(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.crm.salesforce.org.MAX_QUERY", 100)
    lost: list[str] = []

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        if "/composite/sobjects/" not in request.url.path:
            return answer
        rows = json.loads(answer.content)
        lost.append(rows[0]["Id"])
        return httpx.Response(200, json=[None, *rows[1:]])

    read = living(stored(bent(town, bend).read(["deal"], None, now())), "deal")
    assert lost
    assert set(read) == set(town.truth("deal")) - set(lost)
    assert all(row["StageName"] for row in read.values())


# ---- The day's calls --------------------------------------------------------------------------


def test_reading_stops_at_its_share_of_the_days_calls_in_words(town: Town) -> None:
    sent = 0

    def counting(request: httpx.Request, send: Send) -> httpx.Response:
        nonlocal sent
        if "/oauth2/" in request.url.path:
            return send(request)
        sent += 1
        answer = send(request)
        return httpx.Response(
            answer.status_code, content=answer.content, headers={"sforce-limit-info": f"api-usage={sent}/100"}
        )

    crm = bent(town, counting, share=0.9)
    for _ in range(45):  # two calls each
        crm.counts(MAIN)
    with pytest.raises(SourceError, match=r"90 of the 100 calls.*90% is where we stop.*daily_share"):
        crm.counts(MAIN)
    assert sent == 90


def test_the_allowance_is_asked_about_again_after_a_while_and_falls_as_calls_leave_the_day() -> None:
    time = 0.0
    allowance = Allowance("salesforce", 0.5, clock=lambda: time)
    allowance.heard({"sforce-limit-info": "api-usage=900/1000"})
    with pytest.raises(SourceError, match="900 of the 1000"):
        allowance.take()
    time = 301.0
    assert allowance.take() == 0.0
    allowance.heard({"sforce-limit-info": "api-usage=100/1000"})
    assert [allowance.take() for _ in range(400)] == [0.0] * 400
    with pytest.raises(SourceError, match="500 of the 1000"):
        allowance.take()


def test_too_many_long_calls_are_waited_for_and_a_used_up_day_is_not(town: Town) -> None:
    answers = iter(
        ["ConcurrentRequests limit: too many concurrent requests", "TotalRequests Limit exceeded."]
    )

    def crowded(request: httpx.Request, send: Send) -> httpx.Response:
        words = next(answers, None) if request.url.path.endswith("/limits") else None
        return (
            send(request)
            if words is None
            else httpx.Response(403, json=error("REQUEST_LIMIT_EXCEEDED", words))
        )

    crm = bent(town, crowded)
    with pytest.raises(SourceError, match=r"calls of 24 hours are used up.*Lower daily_share") as caught:
        crm.org.request("GET", "limits")
    assert caught.value.retriable
    assert next(answers, "both were given") == "both were given"


def test_a_stamp_is_asked_for_in_whole_seconds_rounded_down() -> None:
    assert salesforce._literal(datetime(2026, 1, 2, 3, 4, 5, 999_999, UTC)) == "2026-01-02T03:04:05Z"


def test_an_org_of_one_currency_and_without_campaigns_is_read_without_them(town: Town) -> None:
    hidden = ("CurrencyType", "Campaign")

    def plain(request: httpx.Request, send: Send) -> httpx.Response:
        if not request.url.path.endswith("/composite") or b"/describe" not in request.content:
            return send(request)
        answer = json.loads(send(request).content)
        for part in answer["compositeResponse"]:
            if isinstance(part["body"], dict) and part["body"]["name"] in hidden:
                part |= {"httpStatusCode": 404, "body": error("NOT_FOUND", "no such resource")}
        return httpx.Response(200, json=answer)

    crm = bent(town, plain)
    kept = stored(crm.read(["currency", "campaign", "price_list"], None, now()))
    assert living(kept, "currency") == {
        "RUB": {"IsoCode": "RUB", "ConversionRate": 1, "IsCorporate": True, "IsActive": True}
    }
    assert "campaign" not in kept
    crm.fields_read = {"campaign": ("Name",)}
    with pytest.raises(
        SourceError, match=r"does not see the object Campaign \(campaign\); give its permission set"
    ):
        list(crm.read(["campaign"], None, now()))
