"""Salesforce's connector reads its stand-in over HTTP; the truth is asked of the stand-in's control panel."""

from __future__ import annotations

import json
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
from tests.salesforce.town import Send, Town, bent, error, living, names_of, now, number_of, opened, stored

HOUR = timedelta(hours=1)
TRUE = {"client": "company", "contact": "contact", "deal": "deal", "line": "deal_line", "product": "product",
        "price": "product_price", "price_list": "price_list", "employee": "employee", "campaign": "campaign"}  # fmt: skip


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
