"""Bitrix24: what is read comes whole and once, whatever the portal's pages, limits and failures do."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from resources.connector import Refused, Source, SourceError, Target, Uncertain, Written
from resources.crm.bitrix24.connector import connect
from resources.crm.bitrix24.portal import encode
from tests.clock import Clock
from tests.small_portal import SECRET, START, SmallPortal, everything, ids, nested, opened, stamp

OLD_LISTS = ("crm.requisite.list", "crm.activity.list")  # of UPPERCASE names


def test_it_is_a_source_and_a_target() -> None:
    crm = opened(SmallPortal())
    assert isinstance(crm, Source)
    assert isinstance(crm, Target)


@pytest.mark.parametrize("deals", [0, 1, 49, 50, 51, 2500, 2501, 12_345])
def test_every_deal_comes_once_whatever_the_number(deals: int) -> None:
    found = ids(everything(opened(SmallPortal(deals)), "deal"), "deal")
    assert sorted(found, key=int) == [str(number) for number in range(1, deals + 1)]


def test_gaps_in_the_ids_lose_nothing() -> None:
    small = SmallPortal()
    numbers = [*range(1, 400), *range(90_000, 90_400, 7), *range(200_000, 203_000)]
    small.deals = [small.deal(number) for number in numbers]
    assert sorted(map(int, ids(everything(opened(small), "deal"), "deal"))) == numbers


def test_a_batch_brings_two_thousand_five_hundred_rows() -> None:
    small = SmallPortal(10_000)
    everything(opened(small, parallel=1), "deal")
    assert small.requests <= 2 + 10_000 / 2500 + 2  # fields, the highest id, and the ends of two lanes


def test_a_payload_is_the_vendors_object_and_its_stamp_is_utc() -> None:
    small = SmallPortal(1)
    (page,) = everything(opened(small), "deal")
    record = page.records[0]
    assert json.loads(record.payload) == small.deals[0]
    assert b"19000.1" in record.payload
    assert record.modified_at == START + timedelta(minutes=1)


def test_lines_come_complete_for_every_parent_even_where_one_deal_overflows_many_pages() -> None:
    def lines(deal: int) -> int:
        return 777 if deal == 5 else deal % 4

    small = SmallPortal(700, lines)
    pages = [page for page in everything(opened(small), "deal", "deal_line") if page.entity == "deal_line"]
    assert sorted(ids(pages, "deal_line")) == sorted(str(line["id"]) for line in small.lines)
    parents = [parent for page in pages for parent in page.complete_parents]
    assert sorted(map(int, parents)) == list(range(1, 701))
    for page in pages:
        assert {record.parent_id for record in page.records} <= set(page.complete_parents)


def test_children_alone_are_read_without_their_parents() -> None:
    pages = everything(opened(SmallPortal(120)), "deal_line")
    assert {page.entity for page in pages} == {"deal_line"}
    assert len(ids(pages, "deal_line")) == 240


@pytest.mark.parametrize("iso", [True, False])
def test_what_changed_since_is_read_whichever_form_of_stamp_the_portal_takes(iso: bool) -> None:
    small = SmallPortal(500, iso=iso)
    since = START + timedelta(minutes=400)
    pages = everything(opened(small), "deal", "deal_line", since=since)
    first = 400 if iso else 340  # of the zone only an offset is known: an hour more
    assert sorted(map(int, ids(pages, "deal"))) == list(range(first, 501))
    assert sorted({p for page in pages for p in page.complete_parents}, key=int) == [
        str(n) for n in range(first, 501)
    ]


@pytest.mark.parametrize("behind", [timedelta(milliseconds=900), timedelta(minutes=30)])
def test_a_change_of_this_second_is_read_now_even_where_the_portals_clock_is_ahead(behind: timedelta) -> None:
    small = SmallPortal(500)
    changed = START + timedelta(minutes=500)  # the portal's stamp of deal 500, in whole seconds
    until = changed + timedelta(milliseconds=950) - behind
    pages = everything(opened(small), "deal", since=changed - timedelta(seconds=1), until=until)
    assert ids(pages, "deal") == ["500"]


def test_an_import_with_old_stamps_is_found_above_the_highest_known_id() -> None:
    small = SmallPortal(500)
    small.deals += [{**small.deal(number), "updatedTime": stamp(-50_000)} for number in range(501, 605)]
    since = START + timedelta(minutes=495)
    pages = everything(
        opened(small), "deal", since=since, until=START + timedelta(days=9), known_max={"deal": "500"}
    )
    assert sorted(map(int, ids(pages, "deal"))) == list(range(495, 605))


def test_a_quiet_sync_costs_a_few_requests_however_long_the_history() -> None:
    small = SmallPortal(6000)
    crm = opened(small)
    assert everything(crm, "deal", "deal_line", since=START + timedelta(days=90)) == []
    assert small.requests <= 4
    small.requests = 0
    assert everything(crm, "deal", "deal_line", since=START + timedelta(days=90)) == []
    assert small.requests <= 2


def test_what_bears_the_stamp_of_our_own_write_is_passed_over_with_its_lines_and_all_else_is_not() -> None:
    small = SmallPortal(500)
    crm = opened(small)
    since = START + timedelta(minutes=400)
    before = everything(crm, "deal", "deal_line", since=since)
    stamps = {r.source_id: r.modified_at for page in before for r in page.records if r.modified_at}
    changed, foreign = ids(before, "deal")[:2]
    stamps[changed] -= timedelta(seconds=1)
    del stamps[foreign]
    crm.known_stamps = lambda entity, asked: {number: stamps[number] for number in asked if number in stamps}
    pages = everything(crm, "deal", "deal_line", since=since)
    assert sorted(ids(pages, "deal")) == sorted([changed, foreign])
    assert {owner for page in pages for owner in page.complete_parents} == {changed, foreign}


def test_changes_are_the_newest_and_one_request() -> None:
    small = SmallPortal(300)
    small.errors.append(
        lambda method, _: {"result": {"catalogs": []}} if method == "catalog.catalog.list" else None
    )
    small.errors.append(
        lambda method, _: {"result": {"prices": []}} if method == "catalog.price.list" else None
    )
    small.errors.append(lambda method, _: {"result": []} if method in OLD_LISTS else None)
    crm = opened(small)
    found = list(crm.changes(START + timedelta(minutes=291)))
    assert [change.source_id for change in found] == [str(number) for number in range(300, 290, -1)]
    small.requests = 0
    assert list(crm.changes(START + timedelta(days=30))) == []
    assert small.requests == 1
    assert small.calls["crm.activity.list"] == 2


def test_what_the_mapping_does_not_read_is_not_asked_for() -> None:
    small = SmallPortal(300)
    crm = opened(small)
    crm.fields_read = {"deal": ["title"]}
    assert len(list(crm.changes(START + timedelta(minutes=291)))) == 10
    assert small.calls.keys() == {"crm.item.fields", "crm.item.list", "catalog.catalog.list"}


def test_keys_are_every_living_id_with_narrow_rows() -> None:
    small = SmallPortal(5100)
    assert sorted(int(key) for part in opened(small).keys("deal") for key in part) == list(range(1, 5101))
    assert len([key for part in opened(small).keys("deal_line") for key in part]) == 10_200


def test_a_method_out_of_operating_time_pauses_and_the_chain_goes_on_where_it_stood() -> None:
    small, clock = SmallPortal(3000), Clock()
    seen = Counter[str]()

    def blocked(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        seen[method] += 1
        if method == "crm.item.list" and 20 <= seen[method] < 50:
            return {"error": "OPERATION_TIME_LIMIT", "error_description": "Method is blocked"}
        return None

    small.errors.append(blocked)
    found = ids(everything(opened(small, clock, parallel=1), "deal"), "deal")
    assert sorted(map(int, found)) == list(range(1, 3001))
    assert 60 in clock.slept


def test_a_page_that_comes_again_is_not_taken_twice() -> None:
    small = SmallPortal(500)
    again = iter([True] * 3)

    def repeated(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        if method == "crm.item.list" and params.get("filter", {}).get(">id") == "50" and next(again, False):
            return {"result": {"items": small.deals[:50]}}
        return None

    small.errors.append(repeated)
    found = ids(everything(opened(small), "deal"), "deal")
    assert sorted(map(int, found)) == list(range(1, 501))


def test_a_portal_that_ignores_the_id_filter_ends_in_a_plain_error_and_the_next_read_loses_nothing() -> None:
    small = SmallPortal(500)
    small.errors.append(
        lambda method, _: {"result": {"items": small.deals[:50]}} if method == "crm.item.list" else None
    )
    crm = opened(small)
    with pytest.raises(SourceError, match="gets no further than id 50"):  # and no endless loop
        everything(crm, "deal")
    small.errors.clear()
    assert sorted(map(int, ids(everything(crm, "deal"), "deal"))) == list(range(1, 501))


def test_an_answer_meant_for_another_request_is_asked_again() -> None:
    small = SmallPortal(2500)
    stale: list[bytes] = []

    def cached(request: httpx.Request) -> httpx.Response | None:
        if len(stale) == 1 and b"productrow" in request.content:
            stale.append(b"served")
            return httpx.Response(200, content=stale[0])
        return None

    def remember(request: httpx.Request) -> httpx.Response:
        response = small(request)
        if not stale and b"productrow" in request.content:
            stale.append(response.content)
        return response

    small.answers.append(cached)
    crm = opened(small, parallel=1)
    crm.portal._client.close()
    crm.portal._client.transport = httpx.MockTransport(remember)
    found = ids(everything(crm, "deal", "deal_line"), "deal_line")
    assert len(stale) == 2
    assert sorted(found) == sorted(str(line["id"]) for line in small.lines)


def test_a_row_that_a_batch_says_nothing_of_is_uncertain_when_written() -> None:
    small = SmallPortal()
    small.answers.append(lambda _: httpx.Response(200, json={"result": {"result": [], "result_error": []}}))
    (outcome,) = opened(small).update_many("deal", [("1", {})])
    assert isinstance(outcome, Uncertain)


@pytest.mark.parametrize("chooses", [True, False])
def test_portals_that_leave_out_chosen_fields_are_asked_for_all_of_them(chooses: bool) -> None:
    small = SmallPortal(130)
    small.chooses = chooses
    crm = opened(small)
    pages = everything(crm, "deal")
    assert sorted(map(int, ids(pages, "deal"))) == list(range(1, 131))
    assert not [reject for page in pages for reject in page.rejects]
    since = START + timedelta(minutes=100)
    assert len(ids(everything(crm, "deal", since=since), "deal")) == 31
    assert len(crm.find("deal", ["7", "8"])) == 2
    assert sorted(int(key) for part in crm.keys("deal") for key in part) == list(range(1, 131))


@pytest.mark.parametrize("said", [None, {"items": None}])
def test_null_in_the_place_of_rows_is_asked_again_and_told_as_what_it_is(said: Any) -> None:
    small = SmallPortal(120)
    times = iter([True] * 3)

    def broken(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        whole = params.get("order") == {"id": "ASC"}
        return {"result": said} if method == "crm.item.list" and whole and next(times, False) else None

    small.errors.append(broken)
    assert len(ids(everything(opened(small), "deal"), "deal")) == 120
    times = iter([True] * 1_000)
    with pytest.raises(SourceError, match="null came in the place of the rows") as told:
        everything(opened(small), "deal")
    assert told.value.retriable
    small.errors[0] = lambda method, _: {"result": said} if method == "crm.item.list" else None
    with pytest.raises(SourceError, match=r"crm\.item\.list: null came in the place of the rows") as told:
        everything(opened(small), "deal")
    assert told.value.retriable
    assert "limit" not in str(told.value)


def test_a_portal_without_invoices_is_read_without_them_and_a_right_that_lacks_is_told() -> None:
    small = SmallPortal(3)
    refusal = {"error": "ENTITY_TYPE_NOT_SUPPORTED", "error_description": "Entity type is not supported"}

    def refuse(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        return refusal if str(params.get("entityTypeId")) == "31" else None

    small.errors.append(refuse)
    assert everything(opened(small), "invoice") == []
    assert len(ids(everything(opened(small), "deal"), "deal")) == 3
    refusal = {"error": "ACCESS_DENIED", "error_description": "Access denied"}
    with pytest.raises(SourceError, match="right to this object"):
        everything(opened(small), "invoice")


@pytest.mark.parametrize("refuses", [False, True])
def test_deals_of_a_company_that_changed_come_with_it_where_the_portal_can_list_them(refuses: bool) -> None:
    small = SmallPortal(3)
    for deal in small.deals:
        deal["companyId"] = 7
    refusal = {
        "error": "INVALID_ARG_VALUE",
        "error_description": "field 'companyId' is not allowed in filter",
    }

    def companies(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        if method == "crm.requisite.link.list":
            return {"result": []}
        named = "@companyId" in params.get("filter", {})
        if method == "crm.item.list" and params["entityTypeId"] == "4":
            return {"result": {"items": small.listed([{**small.deal(7), "updatedTime": stamp(900)}], params)}}
        return refusal if named and refuses else None

    small.errors.append(companies)
    pages = everything(opened(small), "company", since=START + timedelta(minutes=800))
    assert ids(pages, "company") == ["7"]
    assert ids(pages, "deal") == ([] if refuses else ["1", "2", "3"])
    whole = sorted(
        {parent for page in pages if page.entity == "deal_line" for parent in page.complete_parents}
    )
    assert whole == ids(pages, "deal")  # a deal's sum never comes without its lines
    assert ids(everything(opened(small), "company"), "deal") == []  # a full read brings them by itself


def test_a_row_without_its_id_is_held_and_the_others_pass() -> None:
    small = SmallPortal(3)
    broken = {"title": "без номера"}
    small.errors.append(
        lambda method, params: (
            {"result": {"items": [small.deals[0], broken, small.deals[2]]}}
            if method == "crm.item.list" and params["order"] == {"id": "ASC"}
            else None
        )
    )
    (page,) = everything(opened(small), "deal")
    assert [record.source_id for record in page.records] == ["1", "3"]
    assert json.loads(page.rejects[0].payload) == broken


@pytest.mark.parametrize(
    ("status", "body", "words", "retriable"),
    [
        (
            401,
            {"error": "NO_AUTH_FOUND", "error_description": "Wrong authorization data"},
            "unknown or deleted",
            False,
        ),
        (401, {"error": "expired_token", "error_description": "x"}, "has expired", False),
        (403, {"error": "insufficient_scope", "error_description": "x"}, "tick the scopes", False),
        (200, {"error": "ACCESS_DENIED", "error_description": "x"}, "commercial plan", False),
        (400, {"error": 0, "error_description": "Access denied."}, "right to this object", False),
        (503, {"error": "OVERLOAD_LIMIT", "error_description": "blocked"}, "vendor's support", False),
        (503, {"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many"}, "request limit", True),
        (500, {"error": "INTERNAL_SERVER_ERROR", "error_description": "x"}, "vendor's support", True),
        (400, {"error": "100", "error_description": "Invalid value"}, "100: Invalid value", False),
        (404, {"error": {"code": "ERROR_METHOD_NOT_FOUND", "message": "m"}}, "too old", False),
    ],
)
def test_errors_are_known_by_their_code_and_come_with_a_remedy(
    status: int, body: dict[str, Any], words: str, retriable: bool
) -> None:
    small = SmallPortal()
    small.answers.append(lambda _: httpx.Response(status, json=body))
    with pytest.raises(SourceError, match=words) as caught:
        everything(opened(small), "deal")
    assert caught.value.retriable is retriable
    assert str(caught.value).startswith("b24: ")
    assert SECRET not in str(caught.value)
    (finding,) = opened(small).check()
    assert not finding.ok


def test_the_request_limit_is_waited_out_even_for_a_write() -> None:
    small, clock = SmallPortal(), Clock()
    limit = iter([True])
    small.answers.append(
        lambda _: httpx.Response(503, json={"error": "QUERY_LIMIT_EXCEEDED"}) if next(limit, False) else None
    )
    written = opened(small, clock).update("deal", "7", {"UF_CRM_SVERKA_DEBT": Decimal("12.50")})
    assert written.key == "7"
    assert small.written[0]["fields"] == {"UF_CRM_SVERKA_DEBT": "12.50"}
    assert 2.0 in clock.slept


def test_an_update_without_an_answer_is_uncertain_and_not_repeated() -> None:
    small = SmallPortal()

    def lost(request: httpx.Request) -> httpx.Response | None:
        raise httpx.ReadTimeout("no answer")

    small.answers.append(lost)
    with pytest.raises(Uncertain):
        opened(small).update("deal", "7", {})
    assert small.requests == 1


def test_many_updates_share_requests_and_each_row_has_its_own_outcome() -> None:
    small = SmallPortal()

    def refuse(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        if params.get("id") == "3":
            return {"error": "NOT_FOUND", "error_description": "Элемент не найден"}
        if params.get("id") == "4":
            return {"error": "OPERATION_TIME_LIMIT", "error_description": "blocked"}
        return None

    small.errors.append(refuse)
    rows = [(str(number), {"UF_CRM_SVERKA_PAYMENT_STATUS": "оплачен & закрыт"}) for number in range(1, 31)]
    outcomes = opened(small).update_many("deal", rows)
    assert small.requests == 2
    assert len(outcomes) == 30
    assert isinstance(outcomes[0], Written)
    assert isinstance(outcomes[2], Refused)
    assert outcomes[2].code == "NOT_FOUND"
    assert isinstance(outcomes[3], SourceError)
    assert outcomes[3].retriable
    assert not isinstance(outcomes[3], Uncertain)
    assert small.written[0]["fields"] == {"UF_CRM_SVERKA_PAYMENT_STATUS": "оплачен & закрыт"}


def test_a_batch_of_updates_without_an_answer_leaves_its_rows_uncertain_and_no_others() -> None:
    small = SmallPortal()
    lost = iter([True])

    def drop(request: httpx.Request) -> httpx.Response | None:
        if next(lost, False):
            raise httpx.ReadError("gone")
        return None

    small.answers.append(drop)
    outcomes = opened(small).update_many("company", [(str(number), {}) for number in range(30)])
    assert all(isinstance(outcome, Uncertain) for outcome in outcomes[:20])
    assert all(isinstance(outcome, Written) for outcome in outcomes[20:])


def test_a_task_is_found_by_our_key() -> None:
    crm = opened(SmallPortal())
    key = "0b9f2f5e-0000-5000-8000-000000000001"
    written = crm.create(
        "task", key, {"TITLE": "Просрочена оплата", "RESPONSIBLE_ID": 1, "UF_CRM_TASK": ["D_7"]}
    )
    found = crm.find("task", [key, "absent"])
    assert set(found) == {key}
    assert found[key]["id"] == written.key


def test_deals_are_read_back_in_bulk_with_decimals() -> None:
    small = SmallPortal(130)
    found = opened(small).find("deal", [str(number) for number in range(1, 141)])
    assert len(found) == 130
    assert found["7"]["opportunity"] == Decimal("19000.1")
    assert small.requests == 2


def test_what_cannot_be_written_is_refused_before_anything_is_sent() -> None:
    small = SmallPortal()
    crm = opened(small)
    for refused in (
        lambda: crm.create("deal", "k", {}),
        lambda: crm.update("task", "1", {}),
        lambda: crm.post("deal", "1"),
        lambda: crm.find("contact", ["1"]),
    ):
        with pytest.raises(Refused):
            refused()
    with pytest.raises(SourceError, match="no entity 'lead'"):
        everything(crm, "lead")
    assert small.requests == 0


def test_the_check_names_missing_scopes_and_user_fields_with_the_remedy() -> None:
    findings = {finding.subject: finding for finding in opened(SmallPortal(1)).check()}
    assert findings["connection"].ok
    assert findings["deal"].ok
    assert not findings["scope catalog"].ok
    assert not findings["product"].ok
    assert findings["deal field UF_CRM_SVERKA_DEBT"].ok
    missing = findings["deal field UF_CRM_SVERKA_PAYMENT_STATUS"]
    assert not missing.ok
    assert '"FIELD_NAME": "SVERKA_PAYMENT_STATUS"' in missing.remedy


@pytest.mark.parametrize(
    "url", ["https://p.bitrix24.ru/rest/1/abcd1234/", "https://p.bitrix24.ru/rest/1/abcd1234/profile.json"]
)
def test_a_webhooks_address_is_taken_as_the_portal_shows_it(url: str) -> None:
    connect("b24", {"url": url, "timezone": "Europe/Moscow"}).close()


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        ({}, "not an incoming webhook"),
        ({"url": "https://p.bitrix24.ru/"}, "not an incoming webhook"),
        ({"url": "http://p.bitrix24.ru/rest/1/abcd1234/"}, "plain http"),
        ({"url": "https://p.bitrix24.ru/rest/1/abcd1234/", "timezone": "Moscow"}, "no time zone"),
    ],
)
def test_a_wrong_connection_is_named(connection: dict[str, Any], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        connect("b24", connection)


def test_a_query_is_written_as_php_reads_it() -> None:
    text = encode(
        {"filter": {">=id": 5, "=ownerId": [1, 2]}, "select": ["id"], "fields": {"t": "a&b", "no": None}}
    )
    assert text == (
        "filter[%3E%3Did]=5&filter[%3DownerId][]=1&filter[%3DownerId][]=2&select[]=id&fields[t]=a%26b&fields[no]="
    )
    assert nested(text)["fields"] == {"t": "a&b", "no": ""}
