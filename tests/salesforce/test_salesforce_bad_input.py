"""Salesforce's connector among failures, and among answers that are bent on their way."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from resources.connector import SourceError
from resources.crm.salesforce.connector import Salesforce
from tests.salesforce.town import Bend, Send, Town, bent, error, living, now, stored

HOUR = timedelta(hours=1)


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
