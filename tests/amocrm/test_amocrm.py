"""amoCRM's connector read over HTTP against its stand-in, and against answers bent on their way where the vendor's
documentation reads two ways. What the account truly holds is asked of the stand-in's control panel."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from resources.connector import SourceError
from resources.crm.amocrm import connector as amocrm
from resources.crm.amocrm.account import PAGE, Judge
from resources.crm.amocrm.connector import AmoCRM
from resources.crm.amocrm.events import Event, told
from resources.tokens import MemoryTokens
from tests.amocrm.town import CLIENTS, DEALS, Bend, Send, Town, bent, living, now, opened, stored
from tests.sandbox_process import running

HOUR = timedelta(hours=1)
TRUE = {"client": "company", "contact": "contact", "deal": "deal", "product": "product", "employee": "employee",
        "pipeline": "pipeline", "source": "lead_source", "invoice": "invoice", "price_list": "price_list"}  # fmt: skip


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with running("--deals", "120", "--no-limits") as sandbox:
        yield Town(sandbox)


@pytest.fixture
def crm(town: Town) -> Iterator[AmoCRM]:
    found = opened(town.token())
    yield found
    found.close()
    town.sandbox.control("faults", method="DELETE")


# ---- Reading ----------------------------------------------------------------------------------


def test_a_full_read_brings_every_record_with_its_lines_and_its_stage(town: Town, crm: AmoCRM) -> None:
    kept = stored(crm.read([entity.name for entity in crm.capabilities.entities], None, now()))
    for theirs, ours in TRUE.items():
        assert set(living(kept, ours)) == set(town.truth(theirs)), ours
    assert {key.replace("/", ":") for key in living(kept, "stage")} >= set(town.truth("stage"))
    lines: dict[str, Counter[str]] = {}
    for line in town.truth("line").values():  # one link a product: two lines of one are added up
        lines.setdefault(line["deal"], Counter())[line["product"]] += Decimal(line["quantity"])  # type: ignore[assignment]
    products = living(kept, "product")
    for key, true in town.truth("deal").items():
        deal = living(kept, "deal")[key]
        assert Decimal(str(deal["price_with_minor_units"])) == Decimal(true["amount"])
        assert f"{deal['pipeline_id']}:{deal['status_id']}" == true["stage"]
        linked = {
            str(e["id"]): Decimal(str(e["metadata"]["quantity"]))
            for e in deal["_embedded"]["catalog_elements"]
            if str(e["id"]) in products
        }
        assert linked == lines.get(key, {})


def test_changes_deletions_and_merges_bring_the_store_to_what_a_full_read_finds(
    town: Town, crm: AmoCRM
) -> None:
    names = ["company", "contact", "deal", "product"]
    kept = stored(crm.read(names, None, now()))
    quiet: set[str] = set()
    for seed in (3, 4):
        begun = now()
        done = town.work(seed, 80)
        kept = stored(crm.read(names, begun - HOUR, now()), kept)
        # A quantity that changes without the deal's stamp leaves no trace: only a whole read finds it.
        quiet |= {str(DEALS + one["deal"]) for one in done if one["kind"] == "quiet_line"}
        fresh = stored(crm.read(names, None, now()))
        for name in names:
            found, true = living(kept, name), living(fresh, name)
            assert set(found) == set(true) == set(town.truth("client" if name == "company" else name))
            # A stamp that went back: what is stored is newer, and stays.
            back = {key for key in true if kept[name][key].modified_at > fresh[name][key].modified_at}  # type: ignore[operator]
            assert {key for key in true if found[key] != true[key]} <= quiet | back


def test_pages_of_250_are_asked_for_and_several_are_under_way_at_once(town: Town) -> None:
    asked: set[str] = set()
    first = {"2", "3", "4", "5"}  # one may be asked for once more, where something was deleted a moment ago
    meeting = threading.Barrier(len(first))

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        if request.url.path.endswith("/leads"):
            asked.add(request.url.params["limit"])
            if (page := request.url.params["page"]) in first:
                first.discard(page)
                meeting.wait(timeout=20)  # goes on when four are here
        return send(request)

    for size in (PAGE, 20):
        crm = bent(town, bend, size=size)
        crm.account.parallel = amocrm.PARALLEL
        assert set(living(stored(crm.read(["deal"], None, now())), "deal")) == set(town.truth("deal"))
    assert asked == {"250", "20"}


def test_rows_deleted_while_pages_are_read_hide_no_others(town: Town, crm: AmoCRM) -> None:
    crm.account.size, crm.account.parallel = 6, 3
    there = sorted(town.truth("deal"))
    met: set[str] = set()
    gone: list[str] = []
    for number, page in enumerate(crm.read(["deal"], None, now())):
        met |= {record.source_id for record in page.records}
        if number % 4 == 1 and len(gone) < 4:  # always behind what was read
            gone.append(there[len(gone) * 2])
            town.do("remove", "deal", int(gone[-1]) - DEALS)
    assert gone
    assert set(there) <= met | set(gone)
    for key in gone:
        town.do("restore", "deal", int(key) - DEALS)


def test_many_changes_of_one_second_are_read_whole_over_small_pages(town: Town, crm: AmoCRM) -> None:
    crm.account.size = 3
    chosen = sorted(town.truth("deal"))[-11:]
    at = now().replace(microsecond=0) + timedelta(
        hours=2
    )  # by a clock ahead of ours: no upper bound may lose it
    for key in chosen:
        town.do("put", "deal", int(key) - DEALS, body={}, at=at.isoformat())
    found = stored(crm.read(["deal"], at, now()))
    assert set(chosen) <= set(found["deal"])


@pytest.mark.parametrize("lacks", ["filter", "order", "both"])
def test_an_account_without_the_filter_or_the_order_is_read_all_the_same(town: Town, lacks: str) -> None:
    def bend(request: httpx.Request, send: Callable[[httpx.Request], httpx.Response]) -> httpx.Response:
        names = {"filter": ("filter",), "order": ("order",), "both": ("filter", "order")}[lacks]
        kept = [(k, v) for k, v in request.url.params.multi_items() if not k.startswith(names)]
        return send(httpx.Request("GET", request.url.copy_with(params=kept), headers=request.headers))

    crm = bent(town, bend, size=40)
    begun = now()
    changed = {str(DEALS + n) for n in (8, 9)}
    for key in changed:
        town.do("put", "deal", int(key) - DEALS, body={"title": f"changed without the {lacks}"})
    town.do("remove", "deal", 7)
    kept = stored(crm.read(["deal"], begun - timedelta(seconds=5), now()))
    assert changed <= set(living(kept, "deal"))
    assert kept["deal"][str(DEALS + 7)].deleted
    assert set(living(stored(crm.read_keys("deal", sorted(changed))), "deal")) == changed
    town.do("restore", "deal", 7)


def test_a_restored_deal_is_newer_than_its_tombstone(town: Town, crm: AmoCRM) -> None:
    begun = now()
    town.do("remove", "deal", 5)
    tombstone = stored(crm.read(["deal"], begun - HOUR, now()))["deal"][str(DEALS + 5)]
    assert tombstone.deleted
    assert tombstone.modified_at is not None
    town.do("restore", "deal", 5)
    readings = (crm.read(["deal"], begun - HOUR, now()), crm.read(["deal"], None, now()),
                opened(town.token()).read_keys("deal", [str(DEALS + 5)]))  # fmt: skip
    for pages in readings:
        record = stored(pages)["deal"][str(DEALS + 5)]
        assert not record.deleted
        assert record.modified_at is not None
        assert record.modified_at >= tombstone.modified_at


def test_a_merge_names_its_survivor_and_its_deals_are_read_again(town: Town, crm: AmoCRM) -> None:
    deals = town.truth("deal")
    loser, survivor = sorted({deal["client"] for deal in deals.values() if deal["client"]})[:2]
    theirs = {key for key, deal in deals.items() if deal["client"] == loser}
    begun = now()
    town.do("merge", "client", int(loser) - CLIENTS, into=int(survivor) - CLIENTS)
    kept = stored(crm.read(["company", "deal"], begun - timedelta(seconds=1), now()))
    assert kept["company"][loser].deleted
    assert kept["company"][loser].merged_into == survivor
    read = living(kept, "deal")
    assert theirs
    assert {str(read[key]["_embedded"]["companies"][0]["id"]) for key in theirs} == {survivor}


def event(kind: str, number: int, at: int, **more: Any) -> Event:
    return Event(f"e{at}{kind}{number}", kind, number, "company", at, **more)


def test_a_merge_is_paired_with_its_loser_only_where_that_is_certain() -> None:
    merged, deleted = "entity_merged", "company_deleted"
    assert told([event(merged, 1, 10), event(deleted, 2, 10)]).merged == {"company": {"2": "1"}}
    doubtful = told([event(merged, 1, 10), event(deleted, 2, 10), event(deleted, 3, 11)])
    assert doubtful.merged == {}
    assert set(doubtful.deleted["company"]) == {"2", "3"}
    assert told([event(merged, 1, 10), event(deleted, 2, 20)]).merged == {}
    assert told([event(merged, 1, 10, created_by=1), event(deleted, 2, 10, created_by=2)]).merged == {}
    named = told([event(merged, 1, 10, value_before=[{"entity": {"id": 4, "type": "company"}}])])
    assert named.merged == {"company": {"4": "1"}}
    assert "4" in named.deleted["company"]


def test_single_records_are_read_by_key_and_the_absent_ones_are_tombstones(crm: AmoCRM) -> None:
    kept = stored(crm.read_keys("deal", [str(DEALS + 11), "999"]))
    assert set(living(kept, "deal")) == {str(DEALS + 11)}
    assert kept["deal"]["999"].deleted


def test_a_record_that_a_list_leaves_out_is_asked_for_alone_before_it_counts_as_deleted(town: Town) -> None:
    def late(request: httpx.Request, send: Send) -> httpx.Response:
        return httpx.Response(204) if "filter[id][]" in request.url.params else send(request)

    kept = stored(bent(town, late).read_keys("deal", [str(DEALS + 11), "999"]))
    assert set(living(kept, "deal")) == {str(DEALS + 11)}
    assert kept["deal"]["999"].deleted


def test_news_costs_four_requests_and_tells_of_deletions(town: Town, crm: AmoCRM) -> None:
    begun = now() - timedelta(seconds=1)
    town.do("remove", "deal", 12)
    before = town.requests()
    told_of = {(change.entity, change.source_id) for change in crm.changes(begun)}
    assert town.requests() - before == 4
    assert ("deal", str(DEALS + 12)) in told_of
    town.do("restore", "deal", 12)


# ---- Whatever goes wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["http_500", "html", "truncate", "limit", "drop_before", "drop_after", "repeat"]
)
def test_a_read_gets_over_a_passing_failure(town: Town, crm: AmoCRM, kind: str) -> None:
    crm.account.size = 30
    town.fault(kind, match="/api/v4/leads", times=2)
    assert set(living(stored(crm.read(["deal"], None, now())), "deal")) == set(town.truth("deal"))


LASTING = {
    "html": "a page came instead of data.*Авторизация.*check the address",
    "http_500": "HTTP 500: INTERNAL_SERVER_ERROR.*try again later",
    "truncate": "the answer is cut off after",
    "unauthorized": "HTTP 401.*token ended or was taken back.*long_lived_token",
    "limit": "HTTP 429.*limit of requests",
}


@pytest.mark.parametrize("kind", LASTING)
def test_a_lasting_failure_is_told_in_words_and_the_next_read_loses_nothing(
    town: Town, crm: AmoCRM, kind: str
) -> None:
    crm.client.sleep = lambda seconds: None
    crm.client.budget = None
    crm.client.attempts = 2
    begun = now()
    town.do("put", "deal", 20, body={"title": f"before {kind}"})
    town.fault(kind, match="/api/v4/leads", times=None)
    with pytest.raises(SourceError, match=f"(?s){LASTING[kind]}") as caught:
        list(crm.read(["deal"], begun - HOUR, now()))
    assert town.connection["long_lived_token"] not in str(caught.value)
    town.sandbox.control("faults", method="DELETE")
    read = living(stored(crm.read(["deal"], begun - HOUR, now())), "deal")
    assert read[str(DEALS + 20)]["name"] == f"before {kind}"


def with_body(answer: httpx.Response, change: Callable[[Any], Any]) -> httpx.Response:
    return httpx.Response(answer.status_code, json=change(json.loads(answer.content)))


def elsewhere(request: httpx.Request, send: Send) -> httpx.Response:
    return httpx.Response(
        200,
        content=send(request).content.replace(b'"next":{"href":"http://127', b'"next":{"href":"http://evil'),
    )


def stuck(request: httpx.Request, send: Send) -> httpx.Response:
    params = [(k, "1" if k == "page" else v) for k, v in request.url.params.multi_items()]
    answer = send(httpx.Request("GET", request.url.copy_with(params=params), headers=request.headers))
    return with_body(answer, lambda body: {**body, "_page": int(request.url.params.get("page", 1))})


def another(request: httpx.Request, send: Send) -> httpx.Response:
    return with_body(send(request), lambda body: {**body, "_page": 7})


def hollow(request: httpx.Request, send: Send) -> httpx.Response:
    return httpx.Response(204) if request.url.params.get("page") == "2" else send(request)


def answering(code: int, **body: Any) -> Bend:
    return lambda request, send: httpx.Response(code, json=body)


BENT: dict[str, tuple[Bend, str]] = {
    "a next page at another host": (elsewhere, "another host \\(evil.*present address into base_url"),
    "a page that repeats the one before": (stuck, "page 2 of leads repeats page 1; try again later"),
    "another page than asked for": (another, "page 1 of leads was asked for, and page 7 came"),
    "an empty page in the middle": (hollow, "page 2 of leads comes empty, and the next one does not"),
    "an error within a 200": (
        answering(200, title="Forbidden", status=403, detail="Доступ запрещён"),
        "HTTP 403: Forbidden; Доступ запрещён.*lacks the right.*administrator",
    ),
    "an answer that is no list": (answering(200, response={"leads": []}), "no list of leads.*check base_url"),
    "a missing right": (
        answering(403, title="Forbidden", detail="x"),
        "lacks the right to this; an administrator",
    ),
    "an unpaid account": (answering(402, title="Payment Required"), "not paid for; the token stays good"),
}


@pytest.mark.parametrize("what", BENT)
def test_an_answer_that_cannot_be_trusted_stops_the_read_and_the_next_loses_nothing(
    town: Town, what: str
) -> None:
    bend, words = BENT[what]
    bad = [True]

    def only_lists(request: httpx.Request, send: Send) -> httpx.Response:
        return bend(request, send) if bad and request.url.path.endswith("/leads") else send(request)

    crm = bent(town, only_lists)
    with pytest.raises(SourceError, match=words):
        list(crm.read(["deal"], None, now()))
    bad.clear()
    assert set(living(stored(crm.read(["deal"], None, now())), "deal")) == set(town.truth("deal"))


def in_place_of_deals(query: str, times: int) -> Bend:
    """A cache that gives the answer to another question about deals, so many times."""
    given: list[str] = []

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        if not request.url.path.endswith("/leads") or len(given) >= times:
            return send(request)
        given.append(query)
        whole = f"{query}&limit=20&page={request.url.params['page']}".encode()
        return send(httpx.Request("GET", request.url.copy_with(query=whole), headers=request.headers))

    return bend


NOTHING = "filter[updated_at][from]=4000000000"
SOME = ("filter[id][]=17000001", "with=only_deleted")


@pytest.mark.parametrize("query", [NOTHING, *SOME])
def test_the_answer_to_another_question_is_asked_again_and_in_the_end_told(town: Town, query: str) -> None:
    town.do("remove", "deal", 12)  # there is something in the bin
    whole = set(town.truth("deal"))
    assert {key for keys in bent(town, in_place_of_deals(query, 1)).keys("deal") for key in keys} == whole
    if query in SOME:  # an empty answer says nothing of the question
        with pytest.raises(
            SourceError, match="page 1 of leads was asked for, and one that answers another question"
        ):
            list(bent(town, in_place_of_deals(query, 1_000)).keys("deal"))
    town.do("restore", "deal", 12)


def test_a_403_after_refusals_for_the_rate_stops_everything_for_a_while(town: Town) -> None:
    blocked: list[float] = []
    answers = iter([429, 403])
    crm = bent(town, lambda request, send: httpx.Response(next(answers), json={"title": "no"}),
               judge=Judge(blocked.append))  # fmt: skip
    with pytest.raises(
        SourceError, match="too many requests: the address or the account is blocked; let it rest"
    ):
        crm.account.settings()
    assert blocked == [60.0]


def test_a_row_whose_custom_fields_cannot_be_read_is_set_apart_and_the_others_go_on(town: Town) -> None:
    def spoiled(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        if request.url.path.endswith("/leads") and b'"leads"' in answer.content:
            body = json.loads(answer.content)
            body["_embedded"]["leads"][0]["custom_fields_values"] = {"0": "x"}
            return httpx.Response(200, json=body)
        return answer

    pages = list(bent(town, spoiled, size=250).read(["deal"], None, now()))
    first, *others = sorted(town.truth("deal"))
    assert [reject.place for page in pages for reject in page.rejects] == [f"deal {first}"]
    assert "its custom fields cannot be read" in pages[0].rejects[0].reason
    assert [record.source_id for page in pages for record in page.records] == others


def test_a_custom_field_that_is_not_there_is_named_with_the_nearest(crm: AmoCRM) -> None:
    crm.fields_read = {"deal": ("name", "CURENCY")}
    with pytest.raises(
        SourceError, match=r"no custom field CURENCY.*did you mean CURRENCY\? Correct it in the mapping"
    ):
        list(crm.read(["deal"], None, now()))
    crm.fields_read = {"deal": ("name", "555004", "closed_on")}
    deals = living(stored(crm.read(["deal"], None, now())), "deal")
    assert {deal["555004"] for deal in deals.values()} >= {"RUB"}
    closed = next(deal for deal in deals.values() if deal["closed_at"])
    moscow = datetime.fromtimestamp(closed["closed_at"], UTC) + timedelta(hours=3)
    assert closed["closed_on"] == moscow.date().isoformat()


# ---- Connection -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        ({}, "base_url is no address; it looks like https://<subdomain>.amocrm.ru"),
        ({"base_url": "https://www.amocrm.ru"}, "the vendor's own site; use the account's"),
        (
            {"subdomain": "shop"},
            "lacks client_id, client_secret, refresh_token or code for OAuth, and long_lived_token",
        ),
        (
            {"subdomain": "shop", "client_id": "a", "client_secret": "b"},
            "lacks refresh_token or code for OAuth",
        ),
        ({"base_url": "http://shop.amocrm.ru", "long_lived_token": "x"}, "plain http"),
        (
            {"subdomain": "shop", "long_lived_token": "x", "timezone": "Moscow"},
            "no time zone 'Moscow'.*timezone",
        ),
    ],
)
def test_a_wrong_connection_names_the_key_and_the_remedy(connection: dict[str, str], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        amocrm.connect("amocrm", connection)


def test_tokens_are_renewed_once_kept_for_others_and_their_end_is_told(town: Town) -> None:
    with running(
        "--deals", "5", "--no-limits"
    ) as own:  # a refresh token works once, and is the account's only one
        there = Town(own)
        tokens = MemoryTokens()
        connection = {key: value for key, value in there.connection.items() if key != "long_lived_token"}
        first, second = opened(connection, tokens), opened(connection, tokens)
        assert list(first.keys("employee")) == list(second.keys("employee"))
        own.control("crm/amocrm/tokens", {"do": "expire"})
        assert list(first.keys("employee")) == list(second.keys("employee"))
        assert own.control("crm/amocrm/usage")["refreshes"] == 2
        own.control("crm/amocrm/tokens", {"do": "revoke"})
        with pytest.raises(
            SourceError, match=r"access_token: HTTP 401.*let the integration in once more"
        ) as caught:
            list(first.keys("employee"))
        assert connection["client_secret"] not in str(caught.value)


@pytest.mark.parametrize(
    "torn",
    [{"updated_at": {}}, {"custom_fields_values": "x"}, {"id": None}],
    ids=["stamp", "fields", "number"],
)
def test_a_deal_that_cannot_be_read_is_set_apart_and_does_not_count_as_gone(
    town: Town, torn: dict[str, Any]
) -> None:
    hurt = sorted(town.truth("deal"))[3]

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        if not request.url.path.endswith("/leads") or not answer.content:
            return answer
        page = json.loads(answer.content)
        for row in page["_embedded"]["leads"]:
            if str(row["id"]) == hurt:
                row.update(torn)
        return httpx.Response(200, json=page)

    crm = bent(town, bend)
    pages = list(crm.read(["deal"], None, now()))
    rejects = [reject for page in pages for reject in page.rejects]
    assert hurt not in {record.source_id for page in pages for record in page.records}
    assert rejects
    if "id" in torn:
        with pytest.raises(SourceError, match="nothing of deal is deleted"):
            list(crm.keys("deal"))
        return
    assert {(reject.place, reject.parent_id) for reject in rejects} == {(f"deal {hurt}", hurt)}
    assert {key for keys in crm.keys("deal") for key in keys} == set(town.truth("deal"))
    asked = list(crm.read_keys("deal", [hurt]))
    assert not [record for page in asked for record in page.records if record.deleted]
