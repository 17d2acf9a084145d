"""The connector of Dynamics 365 and everything that may be wrong: answers, columns, limits, tokens, the connection.
Each time what is wrong is said in words, and the next read goes on without loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from resources.connector import SourceError
from resources.crm.dynamics import connector as dynamics
from resources.crm.dynamics.changes import side_by_side
from resources.crm.dynamics.connector import Dynamics
from tests.dynamics.town import (
    Bend,
    Send,
    Town,
    Unlimited,
    bent,
    error,
    living,
    now,
    number,
    opened,
    read,
    true_keys,
)
from tests.sandbox_process import running


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with running("--deals", "50", "--no-limits") as sandbox:
        yield Town(sandbox)


@pytest.fixture(autouse=True)
def without_faults(town: Town) -> Iterator[None]:
    yield
    town.sandbox.control("faults", method="DELETE")


@pytest.fixture
def crm(town: Town) -> Iterator[Dynamics]:
    found = opened(town.connection)
    yield found
    found.close()


# ---- Bad input -------------------------------------------------------------------------------


def _of_accounts(then: httpx.Response | Bend, after: int = 0) -> tuple[Bend, list[str]]:
    """A bend of requests for accounts after so many, until the list is emptied by the test."""
    on, seen = ["on"], []

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        if "/accounts" in request.url.path and on:
            seen.append(1)
            if len(seen) > after:
                return then(request, send) if callable(then) else then
        return send(request)

    return bend, on


def _with_next(link: str) -> Bend:
    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        return httpx.Response(
            200, json={**send(request).json(), "@odata.nextLink": link.replace("SELF", str(request.url))}
        )

    return bend


def _cut(request: httpx.Request, send: Send) -> httpx.Response:
    return httpx.Response(200, content=send(request).content[:-40])


def _first_page_again(request: httpx.Request, send: Send) -> httpx.Response:
    first = httpx.Request("GET", str(request.url).partition("&$skiptoken")[0], headers=request.headers)
    said = send(first).json()
    return httpx.Response(200, json={**said, "@odata.nextLink": f"{request.url}%20again"})


@pytest.mark.parametrize(
    ("then", "after", "words"),
    [
        (httpx.Response(200, content=b"<html><title>Sign in</title></html>"), 0, "a page came instead of data"),
        (error(200, "0x80040216", "An unexpected error occurred."), 1, "an error inside: An unexpected error"),
        (_cut, 1, "is cut off after"),
        (error(503, "0x80044150", "The server is busy."), 2, "The server is busy"),
        (_with_next("SELF"), 0, "leads back to one that was read"),
        (_first_page_again, 1, "leads back to one that was read"),
        (_with_next("https://elsewhere.example/api/data/v9.2/accounts"), 0, r"leads to another host \(elsewhere"),
        (httpx.Response(200, content=b'{"message":"hello"}'), 0, "answered without a list of rows"),
        (error(403, "0x80040220", "Principal user is missing prvReadAccount privilege"), 0,
         "prvReadAccount privilege .*give the security role of the application user the right"),
        (error(403, "0x80072560", "The user is not a member of the organization."), 0, "make an application user"),
        (error(401, "", "Unauthorized"), 0, "see that tenant, client_id and scope"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_the_next_read_loses_nothing(
    town: Town, then: httpx.Response | Bend, after: int, words: str
) -> None:
    bend, on = _of_accounts(then, after)
    crm = bent(town, bend)
    with pytest.raises(SourceError, match=words) as caught:
        read(crm, "company", "contact")
    assert "dynamics" in str(caught.value)
    assert town.connection["client_secret"] not in str(caught.value)
    assert "company" not in crm.places
    on.clear()
    kept = read(crm, "company", "contact")
    assert set(living(kept, "company")) == true_keys(town, "company")
    assert set(living(kept, "contact")) == true_keys(town, "contact")


def _no_rows(*, delta: bool) -> Bend:
    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        if request.url.path.endswith("$count"):
            return send(request)
        said = send(request).json()
        link = {"@odata.deltaLink": f"{request.url}&$deltatoken=1"} if delta else {}
        return httpx.Response(200, json={"@odata.context": said["@odata.context"], "value": [], **link})

    return bend


@pytest.mark.parametrize("delta", [False, True])
@pytest.mark.parametrize("keys", [False, True])
def test_a_page_without_rows_amid_others_ends_nothing(town: Town, delta: bool, keys: bool) -> None:
    """Once it is asked for again; for good, the vendor's count says that rows are missing."""
    for once in (True, False):
        then, on = _of_accounts(_no_rows(delta=delta), 1)

        def bend(
            request: httpx.Request, send: Send, then: Bend = then, on: list[str] = on, once: bool = once
        ) -> httpx.Response:
            answer = then(request, send)
            if once and answer.json().get("value") == []:
                on.clear()
            return answer

        crm = bent(town, bend, size=5)
        pages = crm.keys("company") if keys else crm.read(["company"], None, now())
        if once:
            assert sum(len(page if keys else page.records) for page in pages) == len(
                true_keys(town, "company")
            )
            assert not on
            continue
        with pytest.raises(
            SourceError, match=r"accounts broke off after \d+ rows.*\d+ are counted"
        ) as caught:
            list(pages)
        assert caught.value.retriable
        assert "company" not in crm.places


def test_an_empty_last_page_is_believed_where_the_count_agrees(town: Town) -> None:
    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        if "accounts" not in request.url.path or "count" in request.url.path:
            return send(request)
        if "nothing-more" in str(request.url):
            return httpx.Response(200, json={"value": []})
        said = send(request).json()
        if "@odata.nextLink" not in said:
            said["@odata.nextLink"] = f"{request.url}&$skiptoken=nothing-more"
        return httpx.Response(200, json=said)

    crm = bent(town, bend, size=5)
    assert {key for page in crm.keys("company") for key in page} == true_keys(town, "company")


def test_a_failure_in_the_middle_of_changes_leaves_the_place_where_it_was(town: Town) -> None:
    bend, on = _of_accounts(error(500, "0x80040216", "An unexpected error occurred."), 2)
    on.clear()
    crm = bent(town, bend, size=2)
    kept, begun = read(crm, "company"), now()
    for key in sorted(true_keys(town, "company"))[:5]:
        town.do("put", "client", number(key), body={"name": "Renamed"})
    on.append("on")
    with pytest.raises(SourceError, match="unexpected error"):
        read(crm, "company", since=begun)
    assert "company" not in crm.places
    on.clear()
    kept = read(crm, "company", since=begun, before=kept)
    assert sum(row["name"] == "Renamed" for row in living(kept, "company").values()) == 5


def test_a_column_that_is_not_there_is_named_with_the_nearest_one(town: Town, crm: Dynamics) -> None:
    crm.fields_read = {"company": ("name", "new_in"), "stage": ("stagenam",), "contact": ("zzz",)}
    with pytest.raises(
        SourceError,
        match=r"company has no column new_in \(table account\).* did you mean new_inn\? .*dynamics.yaml",
    ):
        read(crm, "company")
    with pytest.raises(SourceError, match=r"stage has no column stagenam .*did you mean stagename\?"):
        read(crm, "stage")
    with pytest.raises(
        SourceError, match=r"contact has no column zzz .*create it, or take it out of dynamics.yaml"
    ):
        list(crm.rows_by_key("contact", sorted(true_keys(town, "contact"))[:1]))
    crm.fields_read = {"company": ("name",)}
    assert set(living(read(crm, "company"), "company")) == true_keys(town, "company")


def test_a_lead_source_column_that_is_not_there_names_the_key_of_the_connection(town: Town) -> None:
    crm = opened(town.connection, lead_source="opportunity.new_nothing")
    with pytest.raises(
        SourceError, match=r"no option column opportunity.new_nothing .*`lead_source` in the connection"
    ):
        read(crm, "lead_source", "stage")
    assert living(
        read(opened(town.connection, lead_source="opportunity.new_leadsource"), "lead_source"), "lead_source"
    )


def test_what_a_batch_leaves_out_or_refuses_is_asked_for_alone(town: Town) -> None:
    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        if request.url.path.endswith("$batch"):
            boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
            parts = answer.content.split(b"--" + boundary)
            content = (b"--" + boundary).join([*parts[:2], parts[2].replace(b"200 OK", b"500 No"), parts[-1]])
            return httpx.Response(200, headers=answer.headers, content=content)
        return answer

    kept = read(bent(town, bend), "stage", "price_list", "pipeline")
    for entity in ("stage", "price_list", "pipeline"):
        assert set(living(kept, entity)) == true_keys(town, entity)


@pytest.mark.parametrize("kind", ["html", "truncate", "drop_after", "http_500", "limit"])
def test_one_fault_of_any_kind_is_outlived(town: Town, crm: Dynamics, kind: str) -> None:
    town.fault(kind, times=2)
    kept = read(crm, "deal", "stage")
    assert set(living(kept, "deal")) == true_keys(town, "deal")
    assert set(living(kept, "stage")) == true_keys(town, "stage")


def test_the_limit_closes_the_budget_for_as_long_as_the_vendor_says(town: Town) -> None:
    budget, said = (
        Unlimited(),
        [error(429, "0x80072322", "Number of requests exceeded", **{"Retry-After": "17"})],
    )

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        return said.pop() if said else send(request)

    assert living(read(bent(town, bend, budget=budget), "company"), "company")
    assert budget.blocked == [17.0]


# ---- Tokens and the connection ---------------------------------------------------------------


@pytest.mark.parametrize("what", ["expire", "revoke"])
def test_a_token_that_ended_is_replaced_in_silence(town: Town, crm: Dynamics, what: str) -> None:
    read(crm, "company")
    town.sandbox.control("crm/dynamics/tokens", {"do": what})
    assert set(living(read(crm, "company"), "company")) == true_keys(town, "company")


def test_a_wrong_secret_is_named_with_its_remedy_and_never_shown(town: Town) -> None:
    wrong = "wrong-secret-value"
    with pytest.raises(SourceError, match=r"AADSTS7000215.*copy the secret's value") as caught:
        read(opened(town.connection, client_secret=wrong), "company")
    assert wrong not in str(caught.value)
    assert not caught.value.retriable


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": ""}, "url is no address; it looks like https://"),
        ({"client_id": "", "client_secret": ""}, "lacks client_id, client_secret; they are on the page"),
        ({"token_url": "", "tenant": ""}, "lacks tenant"),
        ({"lead_source": "leadsource"}, "lead_source in the connection is table.column"),
        ({"timezone": "Mars/Base"}, "no time zone 'Mars/Base'"),
        ({"parallel": "many"}, "the connection's parallel is 'many'; give a whole number from 1 to 64"),
        ({"api": "http://crm.example/api/data/v9.2"}, "plain http"),
    ],
)
def test_a_wrong_connection_is_named_with_its_key(town: Town, change: dict[str, Any], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        dynamics.connect("dynamics", {**town.connection, **change})


def test_sources_that_run_side_by_side_end_with_the_firsterror() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    def broken() -> Iterator[int]:
        yield 2
        raise SourceError("no more")

    with pytest.raises(SourceError, match="no more"):
        for _ in side_by_side([endless, broken], 2):
            pass
    assert sorted(side_by_side([lambda: iter([1, 2]), lambda: iter([3])], 1)) == [1, 2, 3]
