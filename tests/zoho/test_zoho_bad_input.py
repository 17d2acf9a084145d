"""Zoho's connector among failures, bent answers and wrong connections; how it is let in."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from resources.connector import SourceError
from resources.crm.zoho import connector as zoho
from resources.crm.zoho import query as zoho_query
from resources.crm.zoho.connector import Zoho
from resources.crm.zoho.entities import plain
from resources.crm.zoho.token import authorized
from resources.tokens import MemoryTokens
from tests.sandbox_process import running
from tests.zoho.town import (
    PREFIX,
    REFUSAL,
    Bend,
    Send,
    Town,
    bent,
    living,
    now,
    opened,
    stored,
    with_body,
)

HOUR = timedelta(hours=1)


# ---- Whatever goes wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["http_500", "html", "truncate", "limit", "drop_before", "drop_after", "repeat"]
)
def test_a_read_gets_over_a_passing_failure(town: Town, crm: Zoho, kind: str) -> None:
    town.fault("slow", match="no such path")  # while there is a rule the stand-in remembers its answers
    list(crm.keys("company"))  # what a repeated answer repeats
    town.fault(kind, match="coql", times=2)
    town.fault(kind, match="/result", times=1)
    kept = stored(crm.read(["deal", "order"], None, now()))
    assert set(living(kept, "deal")) == set(town.truth("deal"))
    sold = {line["deal"] for line in town.truth("line").values()}
    assert {order["Deal_Name"]["id"] for order in living(kept, "order").values()} == sold


LASTING = {
    "html": "Deals: POST coql: a page came instead of data.*Авторизация.*check the address",
    "http_500": "Deals: POST coql: HTTP 500.*try again later",
    "truncate": "the answer is cut off after",
    "unauthorized": r"HTTP 401: .*\[INVALID_TOKEN\].*put a new refresh_token into the connection",
    "limit": "HTTP 429.*too many requests at once; lower parallel",
}


@pytest.mark.parametrize("kind", LASTING)
def test_a_lasting_failure_is_told_in_words_and_the_next_read_loses_nothing(
    town: Town, crm: Zoho, kind: str
) -> None:
    crm.client.attempts = 2
    begun = now()
    town.do("put", "deal", 20, body={"title": f"before {kind}"})
    town.fault(kind, match="coql", times=None)
    with pytest.raises(SourceError, match=f"(?s){LASTING[kind]}") as caught:
        list(crm.read(["deal"], begun - HOUR, now()))
    assert town.connection["client_secret"] not in str(caught.value)
    town.sandbox.control("faults", method="DELETE")
    read = living(stored(crm.read(["deal"], begun - HOUR, now())), "deal")
    assert read[str(PREFIX + 20)]["Deal_Name"] == f"before {kind}"


def stuck(request: httpx.Request, send: Send) -> httpx.Response:
    body = json.loads(request.content)
    query = body["select_query"].replace("limit 0, 2000", "limit 0, 5")
    query = query[: query.index(" where ")] + " where id is not null" + query[query.index(" order ") :]
    return send(httpx.Request("POST", request.url, json={"select_query": query}, headers=_kept(request)))


def _kept(request: httpx.Request) -> dict[str, str]:
    return {"Authorization": request.headers["authorization"]}


def elsewhere(request: httpx.Request, send: Send) -> httpx.Response:
    def change(body: Any) -> Any:
        for job in body["data"]:
            if job.get("result"):
                job["result"]["download_url"] = "https://evil.example/crm/bulk/v8/read/1/result"
        return body

    return with_body(send(request), change)


def short(request: httpx.Request, send: Send) -> httpx.Response:
    def change(body: Any) -> Any:
        for job in body["data"]:
            if job.get("result"):
                job["result"]["count"] += 1
        return body

    return with_body(send(request), change)


def answering(status: int, body: dict[str, Any]) -> Bend:
    return lambda request, send: httpx.Response(status, json=body)


BENT: dict[str, tuple[str, Bend, str]] = {
    "a page that repeats the one before": ("coql", stuck, "a page of Deals repeats another, 3 times"),
    "a result at another host": ("bulk/v8/read/5", elsewhere, r"at another host \(evil.example\).*accounts_url"),
    "a result with a row too few": ("bulk/v8/read/5", short, r"counts \d+ rows, and \d+ came; try again later"),
    "an error within a 200": (
        "coql",
        answering(200, {"code": "NO_PERMISSION", "message": "permission denied", **REFUSAL}),
        r"Deals.*permission denied \[NO_PERMISSION\]; give the profile of the user .* the right",
    ),
    "a missing scope": (
        "coql",
        answering(401, {"code": "OAUTH_SCOPE_MISMATCH", "message": "invalid oauth scope", **REFUSAL}),
        "lacks the scope for this: make a refresh token with all scopes",
    ),
    "an answer that is no list": ("coql", answering(200, {"rows": []}), "to a query of Deals is no list"),
    "a row without its id": (
        "coql", answering(200, {"data": [{"Deal_Name": "x"}], "info": {"more_records": True}}), "came without its id"
    ),
    "a bulk job that fails": (
        "bulk/v8/read/5", answering(200, {"data": [{"id": "1", "state": "FAILURE"}]}), "bulk job of Ordered_Items failed"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BENT)
def test_an_answer_that_cannot_be_trusted_stops_the_read_and_the_next_loses_nothing(
    town: Town, what: str
) -> None:
    place, bend, words = BENT[what]
    bad = [True]

    def there(request: httpx.Request, send: Send) -> httpx.Response:
        at = request.url.path.endswith(place) or (
            place in request.url.path and "/result" not in request.url.path
        )
        return bend(request, send) if bad and at else send(request)

    crm = bent(town, there)
    with pytest.raises(SourceError, match=words):
        list(crm.read(["deal", "order"], None, now()))
    bad.clear()
    kept = stored(crm.read(["deal", "order"], None, now()))
    assert set(living(kept, "deal")) == set(town.truth("deal"))
    sold = {line["deal"] for line in town.truth("line").values()}
    assert {order["Deal_Name"]["id"] for order in living(kept, "order").values()} == sold


NO_ROWS = {
    "no content": lambda: httpx.Response(204),
    "no rows": lambda: httpx.Response(200, json={"data": [], "info": {"count": 0, "more_records": False}}),
}


@pytest.mark.parametrize("how", NO_ROWS)
@pytest.mark.parametrize("times", [1, 9])
def test_a_page_without_rows_amid_others_ends_nothing(
    town: Town, how: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is asked for again; for good it is said, for whole reads, all ids, and changes alike."""
    monkeypatch.setattr(zoho_query, "QUERY_ROWS", 20)
    monkeypatch.setattr(zoho_query, "FEW_ROWS", 20)
    pages = 0

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        nonlocal pages
        ours = request.url.path.endswith("coql") and b"from Deals" in request.content
        pages += ours
        return NO_ROWS[how]() if ours and 3 <= pages < 3 + times else send(request)

    crm = bent(town, bend)
    reads: tuple[Callable[[], set[str]], ...] = (
        lambda: set(living(stored(crm.read(["deal"], None, now())), "deal")),
        lambda: set(living(stored(crm.read(["deal"], now() - timedelta(days=9000), now())), "deal")),
        lambda: {key for keys in crm.keys("deal") for key in keys},
    )
    for read in reads:
        pages = 0
        if times == 1:
            assert read() == set(town.truth("deal"))
        else:
            with pytest.raises(
                SourceError, match=r"came without a row, 3 times.*nothing is deleted"
            ) as caught:
                read()
            assert caught.value.retriable


def test_the_end_is_believed_where_the_count_agrees(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vendor that tells of more after every full page."""
    monkeypatch.setattr(zoho_query, "QUERY_ROWS", len(town.truth("deal")))

    def more(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        if not request.url.path.endswith("coql") or not answer.content:
            return answer
        return with_body(answer, lambda body: {**body, "info": {**body["info"], "more_records": True}})

    assert {key for keys in bent(town, more).keys("deal") for key in keys} == set(town.truth("deal"))


def test_a_field_that_is_hidden_or_gone_is_named_with_the_nearest(town: Town, crm: Zoho) -> None:
    crm.fields_read = {"deal": ("Deal_Name", "Stagee")}
    with pytest.raises(
        SourceError, match=r"Deals has no field Stagee.*did you mean Stage\? Correct it in the mapping"
    ):
        list(crm.read(["deal"], None, now()))
    crm.fields_read = {"deal": ("Deal_Name", "Amount")}
    town.option(hidden=["Deals.Amount"])
    with pytest.raises(
        SourceError, match=r"Deals has no field Amount that this user sees.*show it to the user's profile"
    ):
        list(crm.read(["deal"], now() - HOUR, now()))
    town.option(hidden=[])
    assert len(living(stored(crm.read(["deal"], None, now())), "deal")) == len(town.truth("deal"))


# ---- Connection -------------------------------------------------------------------------------

KEYS = {"client_id": "a", "client_secret": "secret", "refresh_token": "lasting"}


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        (KEYS, "accounts_url is no address; it looks like https://accounts.zoho.eu"),
        ({**KEYS, "data_centre": "moon"}, "data_centre 'moon' is none of com, eu"),
        ({"data_centre": "eu", "client_id": "a"}, "lacks client_secret, refresh_token; make a self client"),
        ({**KEYS, "accounts_url": "http://accounts.zoho.eu"}, "plain http"),
        (
            {**KEYS, "data_centre": "eu", "credits_per_day": "many"},
            "credits_per_day is 'many'; give a number above 0, or leave it out",
        ),
    ],
)
def test_a_wrong_connection_names_the_key_and_the_remedy(connection: dict[str, str], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        zoho.connect("zoho", connection)


def test_the_address_of_the_api_comes_with_the_token_and_by_data_centre_before(town: Town) -> None:
    assert zoho.connect("zoho", {**KEYS, "data_centre": "eu"}).client.base_url == "https://www.zohoapis.eu/"
    assert zoho.connect("zoho", {**KEYS, "data_centre": "ca"}).client.base_url == "https://www.zohoapis.ca/"
    wrong = opened(town, MemoryTokens(), api_domain="http://127.0.0.1:9/nowhere")
    assert crm_names(wrong)
    assert wrong.client.base_url == f"{town.connection['api_domain']}/"


def crm_names(crm: Zoho) -> list[str]:
    return [key for keys in crm.keys("employee") for key in keys]


def test_tokens_are_renewed_once_kept_for_others_and_their_end_is_told(town: Town) -> None:
    with running("--deals", "5") as own:
        there = Town(own)
        first, second = opened(there), opened(there)
        assert crm_names(first) == crm_names(second)
        own.control("crm/zoho/tokens", {"do": "expire"})
        assert crm_names(first) == crm_names(second)
        assert there.usage()["refreshes"] == 2
        own.control("crm/zoho/tokens", {"do": "revoke"})
        with pytest.raises(
            SourceError, match=r"invalid_code; the refresh token was revoked.*make a new one"
        ) as caught:
            crm_names(first)
        assert there.connection["client_secret"] not in str(caught.value)


def test_asking_for_tokens_too_often_is_waited_for() -> None:
    waits: list[float] = []
    refusal = {"error": "Access Denied", "error_description": "too many requests"}
    options = {
        "transport": httpx.MockTransport(lambda request: httpx.Response(400, json=refusal)),
        "sleep": waits.append,
    }
    auth = authorized("zoho", "https://accounts.zoho.eu", KEYS, None, options)
    with pytest.raises(SourceError, match=r"HTTP 400: too many requests.*wait ten minutes") as told:
        auth.token()
    assert told.value.retriable
    assert waits == [60.0, 60.0, 60.0]


# ---- Rows that are no records -----------------------------------------------------------------


@pytest.mark.parametrize("strange", [b"null", b"[1]", b'{"Deal_Name": 1e99999999999999999999, "id": {}}'])
def test_a_row_that_is_no_record_is_set_apart_and_the_others_go_on(town: Town, strange: bytes) -> None:
    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        if b"from Deals" in request.content and (start := answer.content.find(b'"data":[')) >= 0:
            place = start + len(b'"data":[')
            content = answer.content[:place] + strange + b"," + answer.content[place:]
            return httpx.Response(200, content=content)
        return answer

    crm = bent(town, bend)
    pages = list(crm.read(["deal"], None, now()))
    there = set(town.truth("deal"))
    assert {record.source_id for page in pages for record in page.records} == there
    assert {reject.payload for page in pages for reject in page.rejects} == {strange}
    with pytest.raises(SourceError, match=r"without a usable id.*nothing of deal is deleted"):
        list(crm.keys("deal"))


@pytest.mark.parametrize("number", ["1e999999999", "-1E+400", "12345678901234567890123456789012345.5"])
def test_a_number_of_endless_digits_stays_as_it_came(number: str) -> None:
    row = plain(msgspec.Raw(b'{"id":"7","Amount":%b}' % number.encode()))
    found = msgspec.json.Decoder(float_hook=str).decode(bytes(row))
    assert Decimal(found["Amount"]) == Decimal(number)
