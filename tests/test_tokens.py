"""Tokens: renewed once for all processes and threads, stored before they are used, never an old one for long."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from resources.connector import SourceError
from resources.tokens import MemoryTokens, OAuth, StoredTokens, Token, mark, token_of
from resources.warehouse import Warehouse, WarehouseError

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


class Vendor:
    """Gives tokens for an hour; a refresh token is good for one use, and a second use kills the integration."""

    def __init__(self) -> None:
        self.number, self.refresh = 0, "r0"
        self.renewals, self.dead = 0, False
        self._lock = threading.Lock()

    def grant(self, known: Token | None) -> Token:
        with self._lock:
            shown = known.refresh if known else "r0"
            if shown != self.refresh or self.dead:
                self.dead = True
                raise SourceError("vendor: the refresh token was used before; grant access again")
            self.renewals += 1
            self.number += 1
            self.refresh = f"r{self.number}"
            answer = {"access_token": f"a{self.number}", "refresh_token": self.refresh, "expires_in": 3600}
            return token_of(answer, known, NOW, api="https://api.example/")

    def answer(self, request: httpx.Request) -> httpx.Response:
        good = request.headers["Authorization"] == f"Bearer a{self.number}"
        return httpx.Response(200 if good else 401, json={})


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


def _client(vendor: Vendor, auth: OAuth) -> httpx.Client:
    return httpx.Client(
        base_url="https://api.example", auth=auth, transport=httpx.MockTransport(vendor.answer)
    )


def test_a_token_is_asked_for_once_and_used_until_its_end(vendor: Vendor) -> None:
    moment = [NOW]
    auth = OAuth("v", MemoryTokens(), vendor.grant, clock=lambda: moment[0])
    with _client(vendor, auth) as client:
        assert [client.get("/x").status_code for _ in range(3)] == [200, 200, 200]
        assert vendor.renewals == 1
        moment[0] += timedelta(seconds=3550)  # its last minute: renewed before it dies on its way
        assert client.get("/x").status_code == 200
    assert vendor.renewals == 2


def test_a_refused_token_is_renewed_and_the_request_sent_once_more(vendor: Vendor) -> None:
    auth = OAuth("v", MemoryTokens(), vendor.grant, clock=lambda: NOW)
    with _client(vendor, auth) as client:
        client.get("/x")
        vendor.number += 1  # taken back by somebody
        vendor.refresh = "r1"
        assert client.get("/x").status_code == 200
    assert vendor.renewals == 2


def test_a_token_that_stays_refused_is_not_renewed_for_ever() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(401, json={})

    numbers = iter(range(9))
    auth = OAuth("v", MemoryTokens(), lambda _: Token(f"a{next(numbers)}"))
    with httpx.Client(
        base_url="https://x.example", auth=auth, transport=httpx.MockTransport(answer)
    ) as client:
        assert client.get("/x").status_code == 401
    assert seen == ["Bearer a0", "Bearer a1"]


@pytest.fixture
def stores(warehouse: Warehouse) -> tuple[StoredTokens, StoredTokens]:
    grant = mark("id", "secret", "r0")
    return StoredTokens("v", grant, warehouse.connect), StoredTokens("v", grant, warehouse.connect)


def test_two_processes_that_renew_at_once_show_the_refresh_token_once(
    vendor: Vendor, stores: tuple[StoredTokens, StoredTokens]
) -> None:
    auths = [OAuth("v", store, vendor.grant, clock=lambda: NOW) for store in stores for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda auth: auth.token().access, auths))
    assert set(tokens) == {"a1"}
    assert (vendor.renewals, vendor.dead) == (1, False)


def test_a_token_is_stored_before_it_is_used(
    vendor: Vendor, stores: tuple[StoredTokens, StoredTokens]
) -> None:
    first, second = stores
    stored: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        known = second.read()
        stored.append(known.access if known else "")
        return vendor.answer(request)

    auth = OAuth("v", first, vendor.grant, clock=lambda: NOW)
    with httpx.Client(
        base_url="https://x.example", auth=auth, transport=httpx.MockTransport(answer)
    ) as client:
        assert client.get("/x").status_code == 200
    assert stored == ["a1"]
    known = second.read()
    assert known is not None
    assert (known.refresh, known.extra["api"]) == ("r1", "https://api.example/")


def test_a_process_whose_token_was_renewed_by_another_takes_that_one(
    vendor: Vendor, stores: tuple[StoredTokens, StoredTokens]
) -> None:
    first, second = (OAuth("v", store, vendor.grant, clock=lambda: NOW) for store in stores)
    with _client(vendor, first) as one, _client(vendor, second) as two:
        assert (one.get("/x").status_code, two.get("/x").status_code) == (200, 200)
        vendor.number, vendor.refresh = 2, "r1"  # a1 is dead; r1 is good for one use
        assert (one.get("/x").status_code, two.get("/x").status_code) == (200, 200)
    assert (vendor.renewals, vendor.dead) == (2, False)


def test_new_credentials_in_the_connection_win_over_stored_tokens(
    warehouse: Warehouse, vendor: Vendor
) -> None:
    old = StoredTokens("v", mark("id", "secret", "dead"), warehouse.connect)
    with old.locked() as kept:
        kept.put(Token("x", "dead"))
    fresh = StoredTokens("v", mark("id", "secret", "r0"), warehouse.connect)
    assert fresh.read() is None
    assert OAuth("v", fresh, vendor.grant, clock=lambda: NOW).token().access == "a1"


def test_a_dead_integration_is_told_and_nothing_is_stored(
    vendor: Vendor, stores: tuple[StoredTokens, StoredTokens]
) -> None:
    vendor.dead = True
    with pytest.raises(SourceError, match="grant access again"):
        OAuth("v", stores[0], vendor.grant, clock=lambda: NOW).token()
    assert stores[1].read() is None


class Cut(Vendor):
    """While it answers, PostgreSQL ends every connection, and takes no new one for a while."""

    def __init__(self, warehouse: Warehouse) -> None:
        super().__init__()
        self.warehouse, self.cuts = warehouse, 1

    def grant(self, known: Token | None) -> Token:
        token = super().grant(known)
        if self.cuts:
            self.cuts -= 1
            self.warehouse.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        return token


def test_a_connection_lost_while_a_token_is_renewed_loses_no_token(warehouse: Warehouse) -> None:
    vendor = Cut(warehouse)
    stores = [StoredTokens("v", mark("r0"), warehouse.connect) for _ in range(2)]
    assert OAuth("v", stores[0], vendor.grant, clock=lambda: NOW).token().access == "a1"
    later = NOW + timedelta(hours=2)
    assert OAuth("v", stores[1], vendor.grant, clock=lambda: later).token().access == "a2"
    assert not vendor.dead


def test_a_token_that_could_not_be_stored_is_kept_until_it_can_be(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.tokens.STORED_WITHIN", timedelta(seconds=0.2))
    vendor, away = Cut(warehouse), [False]

    def connect() -> psycopg.Connection[Any]:
        if away[0]:
            raise WarehouseError("the server does not answer", retriable=True)
        return warehouse.connect()

    def grant(known: Token | None) -> Token:
        away[0] = True
        return vendor.grant(known)

    auth = OAuth("v", StoredTokens("v", mark("r0"), connect), grant, clock=lambda: NOW)
    with pytest.raises(SourceError, match="v: a renewed token could not be stored") as told:
        auth.token()
    assert told.value.retriable
    away[0] = False
    assert auth.token().access == "a1"
    stored = StoredTokens("v", mark("r0"), warehouse.connect).read()
    assert stored is not None
    assert (stored.access, stored.refresh, vendor.renewals) == ("a1", "r1", 1)


def test_a_lost_connection_overwrites_no_newer_token_of_another_process(
    stores: tuple[StoredTokens, StoredTokens], warehouse: Warehouse
) -> None:
    first, second = stores
    with first.locked() as kept:
        warehouse.execute("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'")
        with second.locked() as newer:
            newer.put(Token("a9", "r9"))
        kept.put(Token("a1", "r1"))
    stored = first.read()
    assert stored is not None
    assert stored.access == "a9"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"expires_in": 3600}'])
def test_an_answer_that_is_no_token_is_told_in_words(body: bytes) -> None:
    def grant(known: Token | None) -> Token:
        return token_of(httpx.Response(200, content=body).json(), known, NOW)

    with pytest.raises(SourceError, match=r"v: the address that gives tokens answered with something else"):
        OAuth("v", MemoryTokens(), grant, clock=lambda: NOW).token()


@pytest.mark.parametrize("odd", ["soon", "", -5, 0, 1e18, "NaN", "1e400", None, [], {}, True])
def test_a_token_that_does_not_say_when_it_ends_is_kept_and_used_until_it_is_refused(odd: object) -> None:
    found = token_of({"access_token": "a", "refresh_token": "r2", "expires_in": odd}, Token("", "r1"), NOW)
    assert (found.access, found.refresh, found.expires_at) == ("a", "r2", None)
    assert token_of({"access_token": "a", "expires_in": "3600"}, None, NOW).expires_at == NOW + timedelta(
        hours=1
    )


@pytest.mark.parametrize("said", ["3600 s", "soon", [1], {}, "inf", "nan", 1e30, -5, 0, True, None, ""])
def test_a_rotated_refresh_token_is_kept_however_oddly_its_life_is_told(
    stores: tuple[StoredTokens, StoredTokens], said: Any
) -> None:
    live = ["r0"]

    def grant(known: Token | None) -> Token:
        assert (known.refresh if known else "r0") == live[-1]
        live.append(f"r{len(live)}")
        answer = {"access_token": f"a{len(live)}", "refresh_token": live[-1], "expires_in": said}
        return token_of(answer, known, NOW)

    auth = OAuth("v", stores[0], grant, clock=lambda: NOW + timedelta(days=9))
    assert [auth.token().access for _ in range(3)] == ["a2"] * 3
    kept = stores[1].read()
    assert kept is not None
    assert (kept.refresh, kept.expires_at) == ("r1", None), "it is used until it is refused"


@pytest.mark.parametrize(("life", "used"), [(1, 0.4), (30, 14), (59, 29), (60, 29), (100, 49), (3600, 3500)])
def test_a_short_life_is_used_to_its_half_at_least(
    stores: tuple[StoredTokens, StoredTokens], life: int, used: float
) -> None:
    moment, given = [NOW], iter(range(9))

    def grant(known: Token | None) -> Token:
        answer = {"access_token": f"a{next(given)}", "expires_in": life}
        return token_of(answer, known, moment[0], api="https://api.example/")

    auths = [OAuth("v", store, grant, clock=lambda: moment[0]) for store in stores]
    assert auths[0].token().access == "a0"
    moment[0] += timedelta(seconds=used)
    assert [auth.token().access for auth in auths] == ["a0", "a0"]
    moment[0] = NOW + timedelta(seconds=life)
    assert [auth.token().access for auth in auths] == ["a1", "a1"]


def test_a_short_life_does_not_outlive_its_token() -> None:
    short = token_of({"access_token": "a", "expires_in": 30}, None, NOW)
    lasting = token_of({"access_token": "b", "expires_in": 3600}, short, NOW)
    assert not lasting.is_good(NOW + timedelta(seconds=3590))


@pytest.mark.parametrize(
    "said",
    [
        {"access_token": "abc\0def"},
        {"access_token": "abc\ndef"},
        {"access_token": "абв"},
        {"access_token": " "},
        {"access_token": True},
        {"access_token": {"a": 1}},
        {"access_token": "a", "refresh_token": "r\0x"},
        {"access_token": "a", "refresh_token": "r\ud800"},
        {"access_token": "a", "refresh_token": ["r"]},
    ],
)
def test_what_can_be_no_token_is_neither_stored_nor_sent_nor_shown(
    stores: tuple[StoredTokens, StoredTokens], said: dict[str, Any]
) -> None:
    auth = OAuth("v", stores[0], lambda known: token_of(said, known, NOW), clock=lambda: NOW)
    with pytest.raises(
        SourceError, match="v: the address that gives tokens answered with something else"
    ) as told:
        auth.token()
    assert "abc" not in str(told.value)
    assert "def" not in str(told.value)
    assert stores[1].read() is None


def test_what_comes_beside_a_token_and_cannot_be_stored_is_left_as_it_was() -> None:
    before = Token("a", extra={"api": "https://api.example/"})
    after = token_of({"access_token": "b"}, before, NOW, api="https://\0", user="7")
    assert after.extra == {"api": "https://api.example/", "user": "7"}


def test_an_analyst_cannot_read_tokens(warehouse: Warehouse) -> None:
    allowed = warehouse.scalar(
        "select bool_or(has_table_privilege(rolname, 'ops.token', 'select')) from pg_roles where rolname = 'analyst'"
    )
    assert not allowed
