"""Bitrix24: what is read comes whole and once, whatever the portal's pages, limits and failures do.

The first half runs against a small portal in this file that can be told to misbehave in single calls; the
second half against the sandbox over HTTP.
"""

from __future__ import annotations

import json
import re
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from resources.budget import LocalBudget
from resources.connector import Page, Record, Refused, Source, SourceError, Target, Uncertain, Written
from resources.crm.bitrix24 import Bitrix24, connect
from resources.crm.bitrix24_check import findings
from resources.crm.bitrix24_portal import Portal, encode
from tests.sandbox_process import Running, running

SECRET = "wh00kc0de"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def stamp(minutes: int) -> str:
    return (START + timedelta(minutes=minutes, hours=3)).strftime("%Y-%m-%dT%H:%M:%S+03:00")


def nested(query: str) -> dict[str, Any]:
    """PHP's parse_str: `a[b][]=1` becomes {"a": {"b": {"0": "1"}}}."""
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        head, *rest = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name)
        at = tree
        for here, following in zip([head, *rest], [*rest, None], strict=True):
            key = here or str(len(at))
            if following is None:
                at[key] = value
            else:
                at = at.setdefault(key, {})
    return tree


class SmallPortal:
    """Lists of rows behind the vendor's batch, with `$result` references and pages of 50."""

    def __init__(
        self, deals: int = 0, lines: Callable[[int], int] = lambda deal: 2, iso: bool = True
    ) -> None:
        self.iso = iso  # whether stamps with offset work in filters
        self.deals = [self.deal(number) for number in range(1, deals + 1)]
        self.lines: list[dict[str, Any]] = [
            {"id": number * 1000 + line, "ownerId": number, "ownerType": "D", "price": 1.10}
            for number in range(1, deals + 1)
            for line in range(lines(number))
        ]
        self.lines_of: dict[int, list[dict[str, Any]]] = {}
        for row in self.lines:
            self.lines_of.setdefault(row["ownerId"], []).append(row)
        self.requests = 0
        self.calls: Counter[str] = Counter()
        self.answers: list[Callable[[httpx.Request], httpx.Response | None]] = []
        self.errors: list[Callable[[str, dict[str, Any]], dict[str, Any] | None]] = []
        self.written: list[dict[str, Any]] = []
        self.tasks: list[dict[str, Any]] = []
        self.lock = threading.Lock()

    @staticmethod
    def deal(number: int) -> dict[str, Any]:
        return {
            "id": number,
            "title": f"Сделка {number}",
            "updatedTime": stamp(number),
            "opportunity": 19000.10,
        }

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.requests += 1
            for answer in self.answers:
                if (response := answer(request)) is not None:
                    return response
            body = json.loads(request.content)
            method = request.url.path.rsplit("/", 1)[-1]
            if method != "batch":
                result = self.run(method, body)
                return httpx.Response(200, json=result if "error" in result else {"result": result["result"]})
            results: dict[str, Any] = {}
            errors: dict[str, Any] = {}
            for name, call in body["cmd"].items():
                method, _, query = call.partition("?")
                params = nested(query)
                self.refer(params, results)
                outcome = self.run(method, params)
                (errors if "error" in outcome else results)[name] = outcome.get("result", outcome)
            return httpx.Response(
                200, json={"result": {"result": results or [], "result_error": errors or []}}
            )

    def refer(self, tree: dict[str, Any], results: dict[str, Any]) -> None:
        for key, value in tree.items():
            if isinstance(value, dict):
                self.refer(value, results)
            elif value.startswith("$result"):
                found: Any = results
                for part in re.findall(r"\[([^\]]+)\]", value):
                    try:
                        found = found[int(part)] if isinstance(found, list) else found[part]
                    except (KeyError, IndexError):
                        found = ""
                        break
                tree[key] = str(found)

    def run(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self.calls[method] += 1
        for error in self.errors:
            if (refusal := error(method, params)) is not None:
                return refusal
        if method == "scope":
            return {"result": ["crm", "user"]}
        if method == "crm.item.fields":
            return {"result": {"fields": {"id": {"upperName": "ID"}, "UF_CRM_SVERKA_DEBT": {}}}}
        if method == "crm.item.list":
            rows = self.deals if int(params["entityTypeId"]) == 2 else []
            return {"result": {"items": self.listed(rows, params)}}
        if method == "crm.item.productrow.list":
            return {"result": {"productRows": self.listed(self.lines, params)}}
        if method == "crm.item.update":
            self.written.append(params)
            return {"result": {"item": {"id": int(params["id"]), "updatedTime": stamp(0)}}}
        if method == "tasks.task.add":
            task = {"id": str(len(self.tasks) + 1), "xmlId": params["fields"]["XML_ID"], **params["fields"]}
            self.tasks.append(task)
            return {"result": {"task": task}}
        if method == "tasks.task.list":
            tasks = [task for task in self.tasks if params["filter"]["TAG"] in task["TAGS"]]
            return {"result": {"tasks": tasks}}
        return {"error": "ERROR_METHOD_NOT_FOUND", "error_description": method}

    def listed(self, rows: list[dict[str, Any]], params: dict[str, Any]) -> list[dict[str, Any]]:
        filters = dict(params.get("filter", {}))
        ((name, direction),) = params["order"].items()
        if owners := filters.pop("=ownerId", None):
            rows = [
                row for owner in sorted(map(int, owners.values())) for row in self.lines_of.get(owner, [])
            ]
        if name == "id" and direction == "ASC":
            rows = rows[bisect_right(rows, int(filters.pop(">id", 0) or 0), key=lambda row: row["id"]) :]
        else:
            rows = sorted(rows, key=lambda row: row[name], reverse=direction == "DESC")
        conditions = []
        for condition, value in filters.items():
            sign, field = re.fullmatch(r"(>=|<=|>|<|=|@)?(\w+)", condition).groups()  # type: ignore[union-attr]
            conditions.append((field, sign, value))
        fits = (row for row in rows if all(self.holds(row[field], sign, v) for field, sign, v in conditions))
        return list(islice(fits, 50))

    def holds(self, here: Any, sign: str | None, value: Any) -> bool:
        if isinstance(value, dict):
            return str(here) in value.values()
        if isinstance(here, int):
            value = int(value or 0)
        elif "T" in value and not self.iso:
            return True  # a portal that ignores the form
        else:
            here, value = here[:19].replace("T", " "), value[:19].replace("T", " ")
        return bool(
            {">=": here >= value, "<=": here <= value, ">": here > value, "<": here < value}.get(
                sign or "=", here == value
            )
        )


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def opened(small: SmallPortal, clock: Clock | None = None, parallel: int = 3) -> Bitrix24:
    clock = clock or Clock()
    portal = Portal(
        "b24",
        f"https://shop.example/rest/1/{SECRET}/",
        SECRET,
        budget=LocalBudget(1000, 100000, clock=clock),
        timeout=5,
        parallel=parallel,
        clock=clock,
        sleep=clock.sleep,
        transport=httpx.MockTransport(small),
    )
    return Bitrix24(portal)


def ids(pages: list[Page], entity: str) -> list[str]:
    return [record.source_id for page in pages if page.entity == entity for record in page.records]


def everything(crm: Bitrix24, *entities: str, **options: Any) -> list[Page]:
    return list(
        crm.read(entities, options.pop("since", None), options.pop("until", datetime.now(UTC)), **options)
    )


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
    assert sorted(map(int, ids(pages, "deal"))) == list(range(400, 501))
    assert sorted({p for page in pages for p in page.complete_parents}, key=int) == [
        str(n) for n in range(400, 501)
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


def test_what_an_earlier_read_has_settled_is_passed_over_with_its_lines_and_what_changed_since_is_not() -> (
    None
):
    small = SmallPortal(500)
    crm = opened(small)
    since = START + timedelta(minutes=400)
    before = everything(crm, "deal", "deal_line", since=since)
    stamps = {record.source_id: record.modified_at for page in before for record in page.records}
    changed, unsettled = ids(before, "deal")[:2]
    stamps[changed] -= timedelta(seconds=1)
    del stamps[unsettled]
    crm.known_stamps = lambda entity, asked: {number: stamps[number] for number in asked if number in stamps}
    pages = everything(crm, "deal", "deal_line", since=since)
    assert sorted(ids(pages, "deal")) == sorted([changed, unsettled])
    assert {owner for page in pages for owner in page.complete_parents} == {changed, unsettled}


def test_changes_are_the_newest_and_one_request() -> None:
    small = SmallPortal(300)
    small.errors.append(
        lambda method, _: {"result": {"catalogs": []}} if method == "catalog.catalog.list" else None
    )
    small.errors.append(
        lambda method, _: {"result": {"prices": []}} if method == "catalog.price.list" else None
    )
    small.errors.append(lambda method, _: {"result": []} if method == "crm.requisite.list" else None)
    crm = opened(small)
    found = list(crm.changes(START + timedelta(minutes=291)))
    assert [change.source_id for change in found] == [str(number) for number in range(300, 290, -1)]
    small.requests = 0
    assert list(crm.changes(START + timedelta(days=30))) == []
    assert small.requests == 1


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


def test_a_portal_that_ignores_the_id_filter_ends_in_a_plain_error_and_not_in_an_endless_loop() -> None:
    small = SmallPortal(500)
    small.errors.append(
        lambda method, _: {"result": {"items": small.deals[:50]}} if method == "crm.item.list" else None
    )
    with pytest.raises(SourceError, match="gets no further than id 50"):
        everything(opened(small), "deal")


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
    crm.portal._client._http._transport = httpx.MockTransport(remember)
    found = ids(everything(crm, "deal", "deal_line"), "deal_line")
    assert len(stale) == 2
    assert sorted(found) == sorted(str(line["id"]) for line in small.lines)


def test_a_row_that_a_batch_says_nothing_of_is_uncertain_when_written() -> None:
    small = SmallPortal()
    small.answers.append(lambda _: httpx.Response(200, json={"result": {"result": [], "result_error": []}}))
    (outcome,) = opened(small).update_many("deal", [("1", {})])
    assert isinstance(outcome, Uncertain)


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


# Against the sandbox, over HTTP


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    state = tmp_path_factory.mktemp("sandbox")
    with running("--deals", "120", "--no-limits", state=state) as process:
        yield process


@pytest.fixture
def crm(sandbox: Running) -> Iterator[Bitrix24]:
    clock = Clock()  # pauses pass at once, for the client and for its budget
    budget = LocalBudget(1000, 100_000, clock=clock)
    connection = connect("bitrix24", {"url": sandbox.webhook, "timeout": 10}, budget)
    connection.portal._client.sleep, connection.portal._client.clock = clock.sleep, clock
    yield connection
    connection.close()
    sandbox.control("faults", method="DELETE")


def fail(sandbox: Running, match: str, kind: str, times: int) -> None:
    sandbox.control("faults", {"where": "bitrix24", "match": match, "kind": kind, "times": times})


def later() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


def living(sandbox: Running) -> set[str]:
    deals = sandbox.control("truth")["deals"].values()
    return {deal["bitrix24"] for deal in deals if deal["outcome"] != "deleted"}


def test_sandbox_counts_what_lives_in_one_request(crm: Bitrix24, sandbox: Running) -> None:
    names = ("company", "contact", "requisite", "product", "product_price", "deal", "deal_line", "stage")
    counted = crm.counts(names)
    assert counted["deal"] == len(living(sandbox))
    for name in ("company", "contact", "requisite", "product", "product_price"):
        assert counted[name] == sum(len(page) for page in crm.keys(name)), name
    assert set(counted) == set(names) - {"deal_line", "stage"}


def test_sandbox_every_finding_is_good(crm: Bitrix24) -> None:
    assert [finding for finding in crm.check() if not finding.ok] == []


def test_sandbox_all_deals_of_the_known_truth_are_read(sandbox: Running, crm: Bitrix24) -> None:
    names = [entity.name for entity in crm.capabilities.entities]
    pages = list(crm.read(names, None, later()))
    assert set(ids(pages, "deal")) == living(sandbox)
    assert len(ids(pages, "deal")) == len(set(ids(pages, "deal")))
    for name in names:
        assert ids(pages, name), name
        assert sorted(ids(pages, name)) == sorted(key for part in crm.keys(name) for key in part), name
    assert not [reject for page in pages for reject in page.rejects]
    assert {page.entity for page in pages if page.complete} == {
        "pipeline", "stage", "lead_source", "currency", "vat_rate", "employee",
    }  # fmt: skip
    assert {"DEAL_STAGE:WON", "DEAL_STAGE_1:C1:WON"} <= set(ids(pages, "stage"))
    requisites = [record for page in pages if page.entity == "requisite" for record in page.records]
    assert {record.parent_id for record in requisites} <= set(ids(pages, "company"))


@pytest.mark.parametrize(
    "fault", ["drop_before", "drop_after", "html", "http_500", "http_503_html", "limit", "truncate", "repeat"]
)
def test_sandbox_a_read_survives(fault: str, sandbox: Running, crm: Bitrix24) -> None:
    fail(sandbox, "batch", fault, 2)
    assert set(ids(list(crm.read(["deal", "deal_line"], None, later())), "deal")) == living(sandbox)


def test_sandbox_what_a_day_changes_is_read_and_then_it_is_quiet(sandbox: Running, crm: Bitrix24) -> None:
    before = {record.source_id: record.modified_at for record in records(crm.read(["deal"], None, later()))}
    since = datetime.now(UTC) - timedelta(seconds=2)
    sandbox.control("tick", {"days": 3, "deals": 10})
    after = {record.source_id: record.modified_at for record in records(crm.read(["deal"], None, later()))}
    changed = {key for key, stamp in after.items() if before.get(key) != stamp}
    assert len(changed) >= 10
    pages = list(crm.read(["deal", "deal_line"], since, later()))
    assert set(ids(pages, "deal")) == changed
    assert {parent for page in pages for parent in page.complete_parents} == changed
    assert {change.source_id for change in crm.changes(since) if change.entity == "deal"} == changed
    assert list(crm.read(["deal", "deal_line"], later() - timedelta(hours=1), later())) == []


def test_sandbox_status_and_debt_are_written_and_read_back(crm: Bitrix24) -> None:
    keys = [key for part in crm.keys("deal") for key in part][:45]
    rows = [
        (key, {"UF_CRM_SVERKA_DEBT": "12.50", "UF_CRM_SVERKA_PAYMENT_STATUS": "частично, 50 %"})
        for key in keys
    ]
    outcomes = crm.update_many("deal", [*rows, ("99999999", {"UF_CRM_SVERKA_DEBT": "1"})])
    assert isinstance(outcomes[-1], Refused)
    found = crm.find("deal", keys)
    for key, outcome in zip(keys, outcomes, strict=False):
        assert isinstance(outcome, Written)
        assert found[key]["UF_CRM_SVERKA_PAYMENT_STATUS"] == "частично, 50 %"
        assert Decimal(str(found[key]["UF_CRM_SVERKA_DEBT"])) == Decimal("12.50")
        assert found[key]["updatedTime"] == outcome.body["updatedTime"]


def test_sandbox_a_write_whose_answer_is_lost_is_uncertain_and_a_probe_finds_it(
    sandbox: Running, crm: Bitrix24
) -> None:
    key = next(iter(crm.keys("company")))[0]
    fail(sandbox, "crm.item.update", "drop_after", 1)
    with pytest.raises(Uncertain):
        crm.update("company", key, {"UF_CRM_SVERKA_DEBT": "77.01"})
    assert Decimal(str(crm.find("company", [key])[key]["UF_CRM_SVERKA_DEBT"])) == Decimal("77.01")


def test_sandbox_a_task_is_created_once_and_found_by_our_key(sandbox: Running, crm: Bitrix24) -> None:
    deal = next(iter(crm.keys("deal")))[0]
    body = {
        "TITLE": "Просрочена оплата: 12 дней",
        "DESCRIPTION": "Долг 188 132,20 ₽",
        "RESPONSIBLE_ID": 1,
        "DEADLINE": "2026-12-01T18:00:00+03:00",
        "UF_CRM_TASK": [f"D_{deal}"],
    }
    key = "0b9f2f5e-7d2c-5f4e-9a53-1f3e5d6c7b8a"
    assert crm.find("task", [key]) == {}
    fail(sandbox, "tasks.task.add", "drop_after", 1)
    with pytest.raises(Uncertain):
        crm.create("task", key, body)
    found = crm.find("task", [key])
    assert found[key]["title"] == body["TITLE"]
    assert found[key]["ufCrmTask"] == [f"D_{deal}"]


def test_sandbox_a_field_that_the_mapping_reads_is_asked_for(crm: Bitrix24) -> None:
    (before, *_) = records(crm.read(["deal"], None, later()))
    assert "comments" not in json.loads(before.payload)
    crm.fields_read = {
        "deal": ["title", "comments"],
        "company": ["title", "fm"],
        "product": ["id", "quantity"],
    }
    (after, *_) = records(crm.read(["deal"], None, later()))
    assert "comments" in json.loads(after.payload)
    assert records(crm.read(["company", "contact", "product"], None, later()))


@pytest.mark.parametrize(
    ("entity", "field", "says"),
    [
        ("deal", "opportunitty", "did you mean opportunity? Correct it in the mapping file of bitrix24"),
        ("deal", "UF_CRM_1700000000", "create it, or take it out of the mapping file of bitrix24"),
        ("company", "ufCrmSverkaDebt", "did you mean UF_CRM_SVERKA_DEBT?"),
    ],
)
def test_sandbox_a_field_that_does_not_exist_is_named_when_read_and_when_checked(
    crm: Bitrix24, entity: str, field: str, says: str
) -> None:
    crm.fields_read = {entity: ["title", field]}
    with pytest.raises(SourceError, match=rf"portal's {entity} has no field {field}, which") as told:
        records(crm.read([entity], None, later()))
    assert says in str(told.value)
    assert not told.value.retriable
    (finding,) = [finding for finding in crm.check() if not finding.ok]
    assert (finding.subject, finding.message) == (entity, str(told.value))


def test_sandbox_the_fields_that_the_mapping_writes_are_checked_and_no_others(crm: Bitrix24) -> None:
    crm.fields_written = {"deal": ["UF_CRM_SVERKA_DEBT", "UF_CRM_PAID", "oportunity"], "task": ["TITLE"]}
    crm.mapping_file = "mappings/mine/bitrix24.yaml"
    found = {finding.subject: finding for finding in crm.check() if " field " in finding.subject}
    assert {subject: finding.ok for subject, finding in found.items()} == {
        "deal field UF_CRM_SVERKA_DEBT": True, "deal field UF_CRM_PAID": False, "deal field oportunity": False,
    }  # fmt: skip
    assert '{"FIELD_NAME": "PAID", "USER_TYPE_ID": "string"}' in found["deal field UF_CRM_PAID"].remedy
    assert "`feedback` in mappings/mine/bitrix24.yaml" in found["deal field oportunity"].remedy


@pytest.mark.parametrize(("hours", "says"), [(0, None), (-1, "differ by 3"), (2, "changes are left unread")])
def test_sandbox_a_clock_that_goes_wrong_is_told(crm: Bitrix24, hours: int, says: str | None) -> None:
    told = [f for f in findings(crm, datetime.now(UTC) + timedelta(hours=hours)) if f.subject == "clock"]
    assert [says in finding.message for finding in told if says] == ([True] if says else [])
    assert len(told) == (says is not None)


def test_sandbox_an_unknown_webhook_is_a_plain_message(sandbox: Running) -> None:
    wrong = connect("bitrix24", {"url": re.sub(r"/rest/1/[^/]+", "/rest/1/wrongwrong", sandbox.webhook)})
    (finding,) = wrong.check()
    assert not finding.ok
    assert "unknown or deleted" in finding.message
    assert "wrongwrong" not in finding.message


def records(pages: Iterator[Page]) -> list[Record]:
    return [record for page in pages for record in page.records]
