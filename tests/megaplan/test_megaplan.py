"""Megaplan's connector read over HTTP against its stand-in, and against answers bent on their way where the vendor's
documentation reads two ways. What the account truly holds is asked of the stand-in's control panel."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from resources.connector import Delivery, Hint
from resources.crm.megaplan.connector import Megaplan
from resources.crm.megaplan.entities import LISTINGS
from resources.crm.megaplan.rows import Standing
from tests.megaplan.town import (
    CLIENTS,
    CLOSED,
    DEALS,
    Bend,
    Send,
    Town,
    asked,
    asking,
    bent,
    living,
    now,
    said,
    stored,
    told_by_stamps,
    whole,
)

HOUR = timedelta(hours=1)
CLIENT_SIDE = ["company", "contact", "requisite", "deal", "invoice"]
TRUE = {"client": "company", "contact": "contact", "requisite": "requisite", "deal": "deal", "product": "product",
        "employee": "employee", "pipeline": "pipeline", "stage": "stage", "source": "lead_source", "invoice": "invoice"}  # fmt: skip


def true_keys(town: Town, entity: str) -> set[str]:
    """What lives there; invoices go with their deal."""
    deals = town.truth("deal") if entity == "invoice" else {}
    return {key for key, one in town.truth(entity).items() if entity != "invoice" or one["deal"] in deals}


# ---- Reading ----------------------------------------------------------------------------------


def test_a_full_read_brings_every_record_with_lines_invoices_and_requisites(
    town: Town, crm: Megaplan
) -> None:
    kept = whole(crm)
    for theirs, ours in TRUE.items():
        assert set(living(kept, ours)) == true_keys(town, theirs), ours
    lines: dict[str, int] = {}
    for line in town.truth("line").values():
        lines[line["deal"]] = lines.get(line["deal"], 0) + 1
    for key, true in town.truth("deal").items():
        deal = living(kept, "deal")[key]
        assert Decimal(str(deal["price"]["value"])) == Decimal(true["amount"])
        assert (deal["state"]["id"], deal["price"]["currency"]) == (true["stage"], true["currency"])
        assert (deal[CLOSED] or {}).get("value") == true["closed_on"]  # months of the vendor begin with 0
        assert len(deal["positions"]) == lines.get(key, 0)
        assert all(
            line["unit"]["name"] and "rate" in line["tax"] for line in deal["positions"] if line["tax"]
        )
    assert {one.modified_at.tzinfo for one in kept["deal"].values() if one.modified_at} == {UTC}
    owners = {key: one.parent_id for key, one in kept["requisite"].items()}
    assert owners == {key: true["client"] for key, true in town.truth("requisite").items()}
    assert {entity: len(keys) for entity, keys in kept.items()} == {
        entity.name: sum(len(part) for part in crm.keys(entity.name)) for entity in crm.capabilities.entities
    }


def test_a_record_does_not_depend_on_the_rows_it_is_listed_with(town: Town, crm: Megaplan) -> None:
    small = bent(town, lambda request, send: send(request), size=7)
    for name in ("deal", "company", "contact", "product"):
        listed = living(whole(crm, name), name)
        assert living(whole(small, name), name) == listed
        assert living(stored(crm.read_keys(name, list(listed))), name) == listed


def test_what_is_whole_only_within_a_record_that_is_left_out_is_found_there() -> None:
    unit = {"contentType": "Unit", "id": "2", "name": "м"}
    client = {"contentType": "ContractorCompany", "id": 7, "unit": unit}
    rows = [
        {"contentType": "Deal", "id": "1", "contractor": client},
        {"contentType": "Deal", "id": "2", "sum": {"contentType": "Money", "value": 0.10}},
        {"contentType": "Deal", "id": "3", "unit": {"contentType": "Unit", "id": "2"}},
    ]
    raw = [msgspec.Raw(json.dumps(row, separators=(",", ":")).encode()) for row in rows]
    first, second, third = [bytes(row) for row in Standing(raw).rows()]
    assert json.loads(first)["contractor"] == {"contentType": "ContractorCompany", "id": "7"}
    assert second == bytes(raw[1])
    assert json.loads(third)["unit"] == unit


def test_changes_deletions_and_merges_bring_the_store_to_what_a_full_read_finds(
    town: Town, crm: Megaplan
) -> None:
    kept = whole(crm, *CLIENT_SIDE)
    quiet: set[str] = set()
    for seed in (3, 4):
        begun = now()
        done = town.work(seed, 60)
        kept = stored(crm.read(CLIENT_SIDE, begun - HOUR, now()), kept)
        # A line that changes without the deal's stamp, and an import of old deals, leave no trace but in a whole read.
        quiet |= {str(DEALS + one["deal"]) for one in done if one["kind"] == "quiet_line"}
        quiet |= {str(DEALS + one["number"]) for one in done if one["kind"] in ("import", "restore_deal")}
        fresh = whole(crm, *CLIENT_SIDE)
        for name in CLIENT_SIDE:
            there, here = told_by_stamps(living(fresh, name)), told_by_stamps(living(kept, name))
            differing = {key for key, one in there.items() if one != here.get(key)}
            assert {there[key].get("deal", {}).get("id", key) for key in differing} <= quiet, name
            living_keys = {key for part in crm.keys(name) for key in part}
            assert not (here.keys() - there.keys()) & living_keys, "the sweep finds what is gone"
        kept = fresh


def test_a_merge_moves_deals_and_contacts_without_a_stamp_and_they_are_read_again(
    town: Town, crm: Megaplan
) -> None:
    deals = town.truth("deal").values()
    lost, into = sorted({int(deal["client"]) for deal in deals if deal["client"]})[:2]
    theirs = {key for key, deal in town.truth("deal").items() if deal["client"] == str(lost)}
    kept = whole(crm, *CLIENT_SIDE)
    begun = now()
    town.do("merge", "client", (lost - CLIENTS) // 2, into=(into - CLIENTS) // 2)
    kept = stored(crm.read(CLIENT_SIDE, begun - timedelta(seconds=2), now()), kept)
    assert {living(kept, "deal")[key]["contractor"]["id"] for key in theirs} == {str(into)}
    assert str(lost) not in {key for part in crm.keys("company") for key in part}
    people = {key: one["company"]["id"] for key, one in living(kept, "contact").items()}
    assert people == {key: one["client"] for key, one in town.truth("contact").items()}
    assert next(iter(crm.read_keys("company", [str(lost)]))).records[0].deleted


def test_a_quiet_account_is_asked_little(town: Town, crm: Megaplan) -> None:
    later = now() + HOUR
    before = town.requests()
    assert list(crm.changes(later)) == []
    assert town.requests() - before == 1
    before = town.requests()
    assert [page for page in crm.read(CLIENT_SIDE, later, later) if page.records] == []
    assert town.requests() - before == 3  # a page each of companies, persons, deals
    whole(crm, "deal")
    before = town.requests()
    assert list(crm.keys("product"))
    assert town.requests() - before == 1


def test_pages_may_be_smaller_than_asked_for_without_a_word(town: Town) -> None:
    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        if request.method != "GET" or "limit" not in asked(request):
            return send(request)
        answer = json.loads(
            send(asking(request, {**asked(request), "limit": min(100, asked(request)["limit"])})).content
        )
        answer["meta"]["pagination"]["limit"] = asked(request)["limit"]
        return httpx.Response(200, json=answer)

    assert set(living(whole(bent(town, bend, size=500), "deal"), "deal")) == set(town.truth("deal"))


def test_a_list_may_have_smaller_pages_than_another_without_a_word(town: Town) -> None:
    deals = [{"contentType": "Deal", "id": str(number)} for number in range(1, 901)]
    people = [{"contentType": "ContractorHuman", "id": str(number)} for number in range(1, 901)]

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        rows, most = (deals, 500) if request.url.path.endswith("/deal") else (people, 200)
        after = int(asked(request).get("pageAfter", {}).get("id", 0))
        page = rows[after : after + min(most, asked(request)["limit"])]
        return httpx.Response(200, json={"meta": {"status": 200, "errors": []}, "data": page})

    account = bent(town, bend, size=500).account
    for name in ("deal", "contact"):
        assert sum(len(got.rows) for got in account.pages(LISTINGS[name])) == 900


def test_what_nobody_but_us_changed_is_passed_over(town: Town, crm: Megaplan) -> None:
    begun = now() - timedelta(seconds=2)
    for number in (11, 12):
        town.do("put", "deal", number, body={"title": f"Поставка {begun}"})
    keys = {str(DEALS + 11), str(DEALS + 12)}
    stamps = {
        record.source_id: record.modified_at
        for page in crm.read(["deal"], begun, now())
        for record in page.records
    }
    assert keys <= stamps.keys()
    ours = str(DEALS + 11)
    crm.known_stamps = lambda entity, ids: {ours: stamps[ours] or begun} if entity == "deal" else {}
    read = {record.source_id for page in crm.read(["deal"], begun, now()) for record in page.records}
    assert ours not in read
    assert keys - {ours} <= read


# ---- Two readings of the documentation ----------------------------------------------------------


def unsorted(request: httpx.Request, send: Send) -> httpx.Response:
    if "sortBy" in asked(request):
        return said(None, 422, "Field timeUpdated is not sortable")
    return send(request)


def without(name: str) -> Bend:
    """Parameters of this name are passed over in silence, and nothing is sorted."""

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        query = {key: value for key, value in asked(request).items() if key not in (name, "sortBy")}
        return send(asking(request, query)) if request.method == "GET" else send(request)

    return bend


def no_filter(request: httpx.Request, send: Send) -> httpx.Response:
    if "filter" in asked(request):
        return said(None, 422, "Field timeUpdated is not filterable", http=200)
    return unsorted(request, send)


def filter_loses(request: httpx.Request, send: Send) -> httpx.Response:
    if "filter" in asked(request):
        return said([])
    return send(request)


@pytest.mark.parametrize(
    "bend",
    [unsorted, without("filter"), no_filter, filter_loses],
    ids=["unsorted", "no filter known", "no filter", "a filter that loses"],
)
def test_changes_are_found_whatever_the_account_sorts_and_filters(town: Town, bend: Bend) -> None:
    crm = bent(town, bend)
    kept = whole(crm, "deal", "company")
    begun = now()
    changed = set(sorted(town.truth("deal"))[20:50])  # more than a page
    for key in changed:
        town.do("put", "deal", int(key) - DEALS, body={"title": f"Поставка {begun}"})
    got = stored(crm.read(["deal", "company"], begun - timedelta(seconds=2), now()))
    assert changed <= set(living(got, "deal"))
    assert len(living(got, "deal")) < len(living(kept, "deal"))


def gone_anchor(answer: Callable[[], httpx.Response]) -> Bend:
    """The last row of the second page is deleted before the third is asked for."""
    pages: list[str] = []

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        after = (asked(request).get("pageAfter") or asked(request).get("pageWith") or {}).get("id")
        if after and after not in pages:
            pages.append(after)
        return answer() if len(pages) > 1 and after == pages[1] else send(request)

    return bend


@pytest.mark.parametrize(
    "answer",
    [lambda: said(None, 404, "Deal with id 7 not found"), lambda: said([])],
    ids=["error", "nothing"],
)
def test_a_row_deleted_between_two_pages_ends_no_list(
    town: Town, answer: Callable[[], httpx.Response]
) -> None:
    assert set(living(whole(bent(town, gone_anchor(answer)), "deal"), "deal")) == set(town.truth("deal"))


def test_lists_at_other_addresses_and_fields_that_are_not_there_are_no_hindrance(
    town: Town, crm: Megaplan
) -> None:
    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        path = request.url.path.rpartition("/")[2]
        if path in ("contractorCompany", "contractorHuman", "advertisingWay"):
            return said(None, 404, f"No route found for GET /api/v3/{path}")
        if path == "contractorAdvertisingWay":
            return send(
                httpx.Request(
                    "GET", str(request.url).replace(path, "advertisingWay"), headers=request.headers
                )
            )
        lacking = {"shortDescription", "isBpm"} & set(asked(request).get("fields") or ())
        if lacking:
            return said(None, 422, f"Deal have not this fields: {', '.join(lacking)}")
        return send(request)

    old = bent(town, bend)
    kept = whole(old)
    for theirs, ours in TRUE.items():
        assert set(living(kept, ours)) == true_keys(town, theirs), ours
    assert {key for part in old.keys("company") for key in part} == set(town.truth("client"))


# ---- Webhooks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "hints"),
    [
        (
            {"data": {"contentType": "Deal", "id": "17", "name": "x"}, "event": "on_after_update"},
            [Hint("deal", "17")],
        ),
        ({"data": {"id": 5}, "model": "ContractorCompany", "event": "on_after_drop"}, [Hint("company", "5")]),
        ({"data": {"contentType": "ContractorHuman", "id": "6"}}, [Hint("contact", "6")]),
        ({"data": {"id": 6}, "model": "Contractor"}, [Hint("company", "6"), Hint("contact", "6")]),
        ({"data": {"contentType": "Invoice", "id": "1", "deal": {"id": "17"}}}, [Hint("deal", "17")]),
        ({"data": {"contentType": "Invoice", "id": "1"}}, [Hint("deal", "")]),
        ({"data": {"contentType": "Employee", "id": "3"}}, [Hint("employee", "")]),
        ({"data": {"deal": {"Id": 28}}}, [Hint("deal", "28")]),
        ({"data": {"contentType": "Task", "id": "9"}, "model": "Task"}, []),
        ({"data": {"contentType": "Deal", "id": "1; drop"}}, []),
    ],
)
def test_a_webhook_is_a_hint(crm: Megaplan, body: dict[str, Any], hints: list[Hint]) -> None:
    assert list(crm.hear(Delivery({}, {}, json.dumps(body).encode()))) == hints


@pytest.mark.parametrize("body", [b"leads[0]=1", b"[]", b'{"event": "on_after_update"}', b"\xff"])
def test_a_body_that_is_not_the_vendors_is_refused(crm: Megaplan, body: bytes) -> None:
    with pytest.raises(ValueError, match="the webhook's body"):
        crm.hear(Delivery({}, {}, body))
