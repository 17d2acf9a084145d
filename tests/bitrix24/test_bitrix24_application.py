"""A local application in Bitrix24: OAuth 2 against the sandbox's token server, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest

from resources.budget import LocalBudget
from resources.connector import SourceError, Written
from resources.crm.bitrix24 import connector as bitrix24
from resources.crm.bitrix24.connector import Bitrix24, connect
from resources.crm.bitrix24.token import authorized
from resources.http import Answer, Client, mask
from resources.tokens import MemoryTokens, Token
from tests.clock import Clock
from tests.sandbox_process import Running, running
from tests.small_portal import ids


@pytest.fixture
def sandbox() -> Iterator[Running]:
    with running("--deals", "60", "--no-limits") as process:
        yield process


def keys(sandbox: Running, **other: str) -> dict[str, Any]:
    secret = sandbox.info["bitrix24"]["secret"]
    return {
        "client_id": f"local.{secret}",
        "client_secret": f"secret-{secret}",
        "refresh_token": f"refresh-{secret}-0",
        "token_server": f"{sandbox.address}/bitrix24/oauth/token/",
        **other,
    }


def opened(connection: dict[str, Any], tokens: MemoryTokens | None = None) -> Bitrix24:
    clock = Clock()
    return connect("b24", connection, LocalBudget(1000, 100_000, clock=clock), tokens)


def deals(crm: Bitrix24) -> list[str]:
    return sorted(ids(list(crm.read(["deal", "deal_line"], None, datetime.now(UTC))), "deal"))


def test_an_application_reads_and_writes_what_the_webhook_does(sandbox: Running) -> None:
    by_webhook, by_application = opened({"url": sandbox.webhook}), opened(keys(sandbox))
    everything = [entity.name for entity in by_webhook.capabilities.entities]
    one, other = (
        {
            (r.source_id, r.payload)
            for page in crm.read(everything, None, datetime.now(UTC))
            for r in page.records
        }
        for crm in (by_webhook, by_application)
    )
    assert one == other
    assert [finding for finding in by_application.check() if not finding.ok] == []
    rows = [(key, {"UF_CRM_SVERKA_DEBT": "3.50"}) for key in deals(by_application)]
    assert all(isinstance(outcome, Written) for outcome in by_application.update_many("deal", rows))
    assert by_webhook.find("deal", [rows[0][0]])[rows[0][0]]["UF_CRM_SVERKA_DEBT"] == msgspec.json.decode(
        "3.5"
    )


def test_a_token_that_expired_is_renewed_once_and_the_pair_is_kept_before_it_is_used(
    sandbox: Running,
) -> None:
    tokens = MemoryTokens()
    crm = opened(keys(sandbox), tokens)
    before = deals(crm)
    first = tokens.token
    assert first is not None
    assert first.extra["client_endpoint"] == f"{sandbox.address}/bitrix24/rest/"
    sandbox.control("faults", {"where": "bitrix24", "match": "/rest/", "kind": "unauthorized", "times": 1})
    assert deals(crm) == before
    assert tokens.token is not None
    assert tokens.token.refresh.endswith("-2")  # the first pair, and one renewal
    # Whoever comes next goes on with what is kept: the first refresh token is dead.
    assert deals(opened(keys(sandbox), tokens)) == before
    with pytest.raises(SourceError, match=r"invalid_grant.*let the application in once more") as told:
        deals(opened(keys(sandbox)))
    assert not told.value.retriable


def test_a_token_is_renewed_before_its_end_so_that_no_request_meets_a_dead_one(sandbox: Running) -> None:
    tokens = MemoryTokens()
    deals(opened(keys(sandbox), tokens))
    assert tokens.token is not None
    old = tokens.token
    tokens.token = Token(old.access, old.refresh, datetime.now(UTC) + timedelta(seconds=30), old.extra)
    deals(opened(keys(sandbox), tokens))
    assert tokens.token.access != old.access


def test_a_refusal_that_no_new_token_mends_renews_nothing() -> None:
    grants = 0

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"error": "INVALID_CREDENTIALS", "error_description": "no right"})

    auth = authorized(
        "b24", {"client_id": "a.1", "client_secret": "s3cret", "refresh_token": "r3fresh"}, None
    )

    def grant(known: Token | None) -> Token:
        nonlocal grants
        grants += 1
        return Token(f"t{grants}", "r", None, {"client_endpoint": "https://shop.example/rest/"})

    auth._grant = grant
    with httpx.Client(auth=auth, transport=httpx.MockTransport(answer)) as http:
        assert http.post("https://shop.example/rest/scope", json={}).status_code == 401
    assert grants == 1


@pytest.mark.parametrize("body", [b"{}", b' {"cmd":{"a":"b?c=1"}}'])
def test_the_token_stands_in_the_body_and_never_in_the_address(body: bytes) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"result": 1})

    auth = authorized(
        "b24", {"client_id": "a.1", "client_secret": "s3cret", "refresh_token": "r3fresh"}, None
    )
    auth._grant = lambda known: Token("t0k3n", "r", None, {})
    with httpx.Client(auth=auth, transport=httpx.MockTransport(answer)) as http:
        http.post("https://shop.example/rest/batch", content=body)
    assert msgspec.json.decode(seen[0].content) == {"auth": "t0k3n", **msgspec.json.decode(body)}
    assert seen[0].headers["content-length"] == str(len(seen[0].content))
    assert "t0k3n" not in str(seen[0].url)


def test_a_code_of_the_consent_is_as_good_as_a_refresh_token(sandbox: Running) -> None:
    asked = {"client_id": keys(sandbox)["client_id"], "state": "x"}
    answer = sandbox.http.get(f"{sandbox.address}/bitrix24/oauth/authorize/", params=asked)
    (code,) = parse_qs(urlsplit(answer.headers["location"]).query)["code"]
    assert deals(opened(keys(sandbox, refresh_token="", code=code)))
    with pytest.raises(SourceError, match="invalid_grant"):
        deals(opened(keys(sandbox, refresh_token="", code=code)))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"client_secret": "wrong-s3cret"}, "invalid_client.*check client_id and client_secret"),
        ({"refresh_token": "wrong-r3fresh"}, "invalid_grant"),
        (
            {"url": "https://other.bitrix24.ru/"},
            r"of the portal 127\.0\.0\.1, and the connection's url names other",
        ),
    ],
)
def test_a_wrong_connection_is_told_by_its_cause_without_a_secret(
    sandbox: Running, other: dict[str, str], says: str
) -> None:
    connection = keys(sandbox, **other)
    tokens = MemoryTokens()  # what the first refresh token was exchanged for is not lost
    (finding,) = opened(connection, tokens).check()
    assert not finding.ok
    with pytest.raises(SourceError, match=says) as told:
        deals(opened(connection, tokens))
    for name in ("client_secret", "refresh_token"):
        assert connection[name] not in str(told.value)
        assert connection[name] not in mask(f"GET /oauth/token/?{name}={connection[name]}")


@pytest.mark.parametrize(
    ("connection", "lacks"),
    [
        ({"client_id": "local.1"}, "client_secret, refresh_token or code"),
        ({"client_id": "local.1", "client_secret": "s"}, "refresh_token or code"),
    ],
)
def test_what_a_connection_lacks_is_named_before_anything_is_sent(
    connection: dict[str, str], lacks: str
) -> None:
    with pytest.raises(SourceError, match=f"lacks {lacks};"):
        connect("b24", connection)


@pytest.mark.parametrize("said", [None, "", "http://[::1", "портал", 7])
def test_a_pair_without_the_portals_address_is_kept_all_the_same(
    monkeypatch: pytest.MonkeyPatch, said: Any
) -> None:
    def answered(client: Client, method: str, path: str, **options: Any) -> Answer:
        pair = {"access_token": "a2", "refresh_token": "r2", "expires_in": 3600, "client_endpoint": said}
        return Answer(200, {}, json.dumps(pair).encode())

    monkeypatch.setattr(Client, "request", answered)
    there = "https://portal.example/rest/"
    for extra, words in (({"client_endpoint": there}, None), ({}, "named no address of the portal")):
        kept = MemoryTokens(Token("", "r1", None, extra))
        connection = {"client_id": "local.1", "client_secret": "secret-1", "refresh_token": "r1"}
        auth = authorized("b24", connection, kept)
        if words:
            with pytest.raises(SourceError, match=words):
                auth.endpoint()
        else:
            assert auth.endpoint() == there
        assert kept.token is not None
        assert (kept.token.access, kept.token.refresh) == ("a2", "r2")


def test_another_grant_is_another_mark_of_its_tokens() -> None:
    one = {"client_id": "local.1", "client_secret": "s", "refresh_token": "r"}
    assert bitrix24.credentials(one) != bitrix24.credentials({**one, "refresh_token": "r2"})
    assert bitrix24.credentials(one) == bitrix24.credentials({**one, "timezone": "Europe/Moscow"})
