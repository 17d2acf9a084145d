"""Zoho's connector read over HTTP against its stand-in, and against answers bent on their way where the vendor's
documentation reads two ways. What the organization truly holds is asked of the stand-in's control panel."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from resources.connector import SourceError
from resources.crm.zoho import connector as zoho
from resources.crm.zoho import query as zoho_query
from resources.crm.zoho.connector import Zoho
from resources.crm.zoho.org import Credits, Judge
from resources.http import Answer
from tests.zoho.town import (
    CLIENTS,
    ORDERS,
    PREFIX,
    REFUSAL,
    Send,
    Stored,
    Town,
    bent,
    living,
    now,
    opened,
    stored,
)

HOUR = timedelta(hours=1)
ALL = [entity.name for entity in Zoho.capabilities.entities]
MAIN = ["company", "contact", "deal", "order", "product"]
TRUE = {"client": "company", "contact": "contact", "deal": "deal", "product": "product", "employee": "employee",
        "pipeline": "pipeline", "source": "lead_source", "invoice": "invoice", "campaign": "campaign",
        "price_list": "price_list", "price": "product_price"}  # fmt: skip


# ---- Reading ----------------------------------------------------------------------------------


def test_a_full_read_brings_every_record_and_the_lines_of_every_deal(town: Town, crm: Zoho) -> None:
    kept = stored(crm.read(ALL, None, now()))
    for theirs, ours in TRUE.items():
        assert len(living(kept, ours)) == len(town.truth(theirs)), ours
        if ours not in ("lead_source", "product_price"):  # known by their names, which deals bear
            assert set(living(kept, ours)) == set(town.truth(theirs)), ours
    assert {s["actual_value"] for s in living(kept, "stage").values()} == {
        stage["name"] for stage in town.truth("stage").values()
    }
    sold: dict[str, set[tuple[str, str | None, Decimal]]] = {}
    for key, line in town.truth("line").items():
        sold.setdefault(line["deal"], set()).add((key, line["product"], Decimal(line["quantity"])))
    found: dict[str, set[tuple[str, str | None, Decimal]]] = {}
    for order in living(kept, "order").values():
        for line in order["Ordered_Items"]:
            product = line.get("Product_Name", {}).get("id")
            entry = (line["id"], product, Decimal(str(line["Quantity"])))
            found.setdefault(order["Deal_Name"]["id"], set()).add(entry)
    assert found == sold
    assert all(Decimal(str(deal["Amount"])) == Decimal(town.truth("deal")[key]["amount"])
               for key, deal in list(living(kept, "deal").items())[:5])  # fmt: skip


WAYS: dict[str, tuple[Mapping[str, int], Mapping[str, Any]]] = {
    "by bulk jobs": ({"BULK_FROM": 1}, {}),
    "by bulk jobs of several pages": ({"BULK_FROM": 1}, {"bulk_rows": 50}),
    "by short queries": ({}, {"coql_rows": 200}),
    "orders one by one": ({"LINES_BY_BULK_FROM": 1_000_000}, {}),
    "where lists bring lines": ({}, {"lines_in_lists": True}),
}


@pytest.mark.parametrize("way", WAYS)
def test_whatever_way_records_come_they_are_the_same_to_the_byte(
    town: Town, crm: Zoho, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = _payloads(stored(crm.read(MAIN, None, now())))
    bounds, options = WAYS[way]
    for name, value in bounds.items():
        monkeypatch.setattr(zoho, name, value)
    town.option(**options)
    assert _payloads(stored(crm.read(MAIN, None, now()))) == usual
    assert {key for keys in crm.keys("deal") for key in keys} == set(town.truth("deal"))


def _payloads(kept: Stored) -> dict[tuple[str, str], bytes]:
    return {(name, key): one.payload for name, rows in kept.items() for key, one in rows.items()}


@pytest.mark.parametrize("reading", [{"merged_type": "recycle", "deleted_none": 204}, {}])
def test_changes_deletions_and_merges_bring_the_store_to_what_a_full_read_finds(
    town: Town, crm: Zoho, reading: dict[str, Any]
) -> None:
    town.option(**{name: value for name, value in reading.items() if name in town.option()})
    kept = stored(crm.read(MAIN, None, now()))
    begun = now()
    done = town.work(3 + len(reading), 120)
    # Lines that change and leave the order's stamp leave no trace: only a whole read finds them.
    quiet = {str(PREFIX + one["deal"]) for one in done if one["kind"] == "quiet_line"}
    kept = stored(crm.read(MAIN, begun - HOUR, now()), kept)
    fresh = stored(crm.read(MAIN, None, now()))
    for name in MAIN:
        found, true = living(kept, name), living(fresh, name)
        assert set(found) == set(true), name
        back = {
            key
            for key in true
            if (kept[name][key].modified_at or begun) > (fresh[name][key].modified_at or begun)
        }
        differ = {key for key in true if found[key] != true[key] and key not in back}
        assert name == "order" or not differ, name
        assert {true[key]["Deal_Name"]["id"] for key in differ if name == "order"} <= quiet
    assert set(living(kept, "deal")) == set(town.truth("deal"))


def test_a_merge_leaves_a_tombstone_and_its_deals_are_read_again(town: Town, crm: Zoho) -> None:
    deals = town.truth("deal")
    loser, survivor = sorted({deal["client"] for deal in deals.values() if deal["client"]})[:2]
    theirs = {key for key, deal in deals.items() if deal["client"] == loser}
    begun = now()
    town.do("merge", "client", int(loser) - CLIENTS, into=int(survivor) - CLIENTS)
    kept = stored(crm.read(["company", "deal"], begun - timedelta(seconds=1), now()))
    assert kept["company"][loser].deleted
    assert kept["company"][loser].merged_into is None  # the vendor names no survivor
    assert theirs
    read = living(kept, "deal")
    assert {read[key]["Account_Name"]["id"] for key in theirs} == {survivor}


def test_a_restored_record_lives_again_whatever_its_stamp(town: Town, crm: Zoho) -> None:
    begun, key = now() - timedelta(seconds=1), min(town.truth("deal"))
    town.do("remove", "deal", int(key) - PREFIX)
    kept = stored(crm.read(["deal"], begun, now()))
    assert kept["deal"][key].deleted
    assert kept["deal"][key].modified_at is None  # so that no stamp of the restored one is too old
    town.do("restore", "deal", int(key) - PREFIX)
    kept = stored(crm.read(["deal"], begun, now()), kept)
    assert not kept["deal"][key].deleted
    assert crm.counts(["deal", "order"])["deal"] == len(town.truth("deal"))


def test_many_changes_of_one_second_ahead_of_our_clock_are_read_over_small_pages(
    town: Town, crm: Zoho, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoho_query, "FEW_ROWS", 3)
    monkeypatch.setattr(zoho_query, "QUERY_ROWS", 3)
    at = (now() + timedelta(hours=2)).replace(microsecond=0)
    chosen = sorted(town.truth("deal"))[-11:]
    for key in chosen:
        town.do("put", "deal", int(key) - PREFIX, body={"title": "one second"}, at=at.isoformat())
    read = stored(crm.read(["deal"], now() - HOUR, now()))
    assert set(chosen) <= {
        key for key, deal in living(read, "deal").items() if deal["Deal_Name"] == "one second"
    }


def test_rows_that_change_and_go_while_pages_are_read_hide_no_others(
    town: Town, crm: Zoho, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoho_query, "QUERY_ROWS", 6)
    there = sorted(town.truth("deal"))
    met: set[str] = set()
    for number, page in enumerate(crm.read(["deal"], None, now())):
        met |= {record.source_id for record in page.records}
        if number < 3:  # always behind what was read
            town.do("remove", "deal", int(there[number]) - PREFIX)
    assert set(there) <= met
    for number in range(3):
        town.do("restore", "deal", int(there[number]) - PREFIX)


def test_lines_that_change_while_other_modules_are_read_come_as_they_are_in_the_end(
    town: Town, crm: Zoho, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoho, "BEFORE", timedelta(0))
    line = next(iter(town.truth("line")))
    kept: Stored = {}
    for page in crm.read(["deal", "order"], None, now()):  # the lines' job is made before the deals are read
        if not kept:
            town.do("put", "line", int(line) % 10**9, body={"quantity": 777})
        kept = stored([page], kept)
    lines = [row for order in living(kept, "order").values() for row in order["Ordered_Items"]]
    assert [row["Quantity"] for row in lines if row["id"] == line] == [777]


def test_one_empty_answer_is_not_the_end_of_all_records(town: Town) -> None:
    asked: list[str] = []

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        asked.append(request.url.path)
        return (
            httpx.Response(204)
            if asked.count(request.url.path) == 1 and "coql" in asked[-1]
            else send(request)
        )

    assert {key for keys in bent(town, bend).keys("deal") for key in keys} == set(town.truth("deal"))


def test_a_short_list_whose_pages_grow_is_read_to_its_end(town: Town) -> None:
    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        if not request.url.path.endswith("/users"):
            return send(request)
        number = int(request.url.params["page"])
        rows = [{"id": str(number * 10 + place)} for place in range(number)]
        return httpx.Response(200, json={"users": rows, "info": {"more_records": number < 3}})

    (page,) = bent(town, bend).read(["employee"], None, now())
    assert [record.source_id for record in page.records] == ["10", "20", "21", "30", "31", "32"]


def test_single_deals_come_with_their_orders_and_the_absent_ones_are_tombstones(crm: Zoho) -> None:
    kept = stored(crm.read_keys("deal", [str(PREFIX + 11), str(PREFIX + 999), "x"]))
    assert set(living(kept, "deal")) == {str(PREFIX + 11)}
    assert kept["deal"][str(PREFIX + 999)].deleted
    orders = living(kept, "order").values()
    assert {order["Deal_Name"]["id"] for order in orders} == {str(PREFIX + 11)}
    assert all(order["Ordered_Items"] for order in orders)


def test_news_costs_a_request_and_a_credit_an_entity(town: Town, crm: Zoho) -> None:
    begun = now() - timedelta(seconds=1)
    town.do("put", "deal", 12, body={"title": "news"})
    list(crm.changes(begun))
    town.usage(anew=True)
    told_of = {(change.entity, change.source_id) for change in crm.changes(begun)}
    used = town.usage()
    assert ("deal", str(PREFIX + 12)) in told_of
    assert used["requests"] == used["limits"]["credits"]["granted"] == 9
    crm.fields_read = {
        "deal": ["Deal_Name"],
        "company": ["Account_Name"],
    }  # what is not read is not asked for
    town.usage(anew=True)
    list(crm.changes(begun))
    assert town.usage()["requests"] == 2


def test_calls_and_meetings_are_read_without_what_was_said(town: Town, crm: Zoho) -> None:
    crm.fields_read = {
        "call": ["Owner", "Call_Start_Time", "Subject", "Description"],
        "meeting": ["Start_DateTime", "Event_Title", "Venue", "What_Id"],
    }
    kept = stored(crm.read(["call", "meeting"], None, now()))
    always = {"id", "Created_Time", "Modified_Time"}
    wanted = {
        "call": always | {"Owner", "Call_Start_Time"},
        "meeting": always | {"Start_DateTime", "What_Id"},
    }
    for entity, names in wanted.items():
        rows = living(kept, entity)
        assert set(rows) == set(town.truth(entity))
        assert {name for record in kept[entity].values() for name in json.loads(record.payload)} == names


# ---- Limits -----------------------------------------------------------------------------------


def spend(crm: Zoho) -> None:
    for _ in range(100):
        crm.newest("deal")


def test_the_days_credits_are_used_to_nine_tenths_and_not_beyond(town: Town, crm: Zoho) -> None:
    town.usage(anew=True)
    town.option(credits=60)
    few = opened(town, credits_per_day=60)
    with pytest.raises(
        SourceError, match="of the day's 60 API credits are left, and the last 10% are kept"
    ) as told:
        spend(few)
    assert told.value.retriable
    used = town.usage()["limits"]["credits"]
    assert 54 <= used["granted"] <= 56
    assert used["denied"] == 0
    town.usage(anew=True)


def test_refusals_for_too_many_tell_used_up_credits_from_requests_at_once() -> None:
    judge = Judge(Credits("zoho", 50_000, 0.1))
    refusal = json.dumps({"code": "TOO_MANY_REQUESTS", "message": "slow down", **REFUSAL}).encode()
    judge(Answer(200, {"x-api-credits-remaining": "0"}, b"{}"))
    assert judge(Answer(429, {}, refusal)).after == 3600
    judge(Answer(200, {}, b"{}"))  # less than half are used again
    assert judge(Answer(429, {}, refusal)).after is None
    assert judge(Answer(429, {"retry-after": "7"}, refusal)).after == 7


def test_eight_requests_are_under_way_at_once_and_never_more(town: Town) -> None:
    at_once, most = 0, 0
    lock, meeting = threading.Lock(), threading.Barrier(8)

    def counted(request: httpx.Request, send: Send) -> httpx.Response:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        meeting.wait(timeout=20)  # goes on when eight are here
        answer = send(request)
        with lock:
            at_once -= 1
        return answer

    orders = [str(int(key) - PREFIX + ORDERS) for key in sorted(town.truth("deal"))[:64]]
    pages = list(bent(town, counted, parallel=zoho.PARALLEL).read_keys("order", orders))
    assert sum(len(page.records) for page in pages) == 64
    assert most == 8
