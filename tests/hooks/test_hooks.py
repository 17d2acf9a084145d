"""The receiver of webhooks over real HTTP: who is heard, what is kept, and how soon everybody is answered."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from pipelines import hooks, hooks_store
from pipelines.hooks_log import SECONDS_BETWEEN, Tally
from resources.connector import Delivery, Hint
from resources.warehouse import Warehouse
from tests.clock import Clock
from tests.hinting_source import SECRET, Town, receiving, told

AT_ONCE = 2.0  # seconds: what amoCRM allows
HTTP = httpx.Client(trust_env=False, timeout=20)


@pytest.fixture
def receiver(warehouse: Warehouse) -> Iterator[str]:
    """The address of the town's webhooks."""
    with receiving(warehouse, Town()) as address:
        yield f"{address}/town/{SECRET}"


def kept(warehouse: Warehouse) -> list[tuple[object, ...]]:
    return warehouse.rows("select entity, ids, times, seen_at is null from ops.hook order by hook_id")


def test_a_webhook_is_kept_as_hints_and_a_repeat_is_counted_until_it_was_seen(
    warehouse: Warehouse, receiver: str
) -> None:
    for _ in range(3):
        assert HTTP.post(receiver, content=told("1", "2", line=["7"])).status_code == 200
    assert kept(warehouse) == [("deal", ["1", "2"], 3, True), ("line", ["7"], 3, True)]
    warehouse.execute("update ops.hook set seen_at = now()")
    HTTP.post(receiver, content=told("1", "2", line=["7"]))
    assert kept(warehouse)[2:] == [("deal", ["1", "2"], 1, True), ("line", ["7"], 1, True)]


def test_hints_of_what_is_not_read_are_dropped_and_many_are_kept_in_parts(
    warehouse: Warehouse, receiver: str
) -> None:
    assert HTTP.post(receiver, content=told(planet=["8"])).status_code == 200
    assert kept(warehouse) == []
    assert HTTP.post(receiver, content=told(*map(str, range(1_200)))).status_code == 200
    assert [len(ids) for _, ids, _, _ in kept(warehouse)] == [500, 500, 200]  # type: ignore[arg-type]


class Formal(Town):
    """A vendor that sends a webhook again until it is answered in its own words."""

    receipt: ClassVar[tuple[str, str]] = ("text/xml; charset=utf-8", "<Ack>true</Ack>")


def test_a_vendor_that_wants_its_own_words_gets_them_once_its_hints_are_kept(warehouse: Warehouse) -> None:
    with receiving(warehouse, Formal()) as address:
        answer = HTTP.post(f"{address}/town/{SECRET}", content=told("1"))
        unread = HTTP.post(f"{address}/town/{SECRET}", content=b"nonsense")
    assert (answer.text, answer.headers["content-type"]) == ("<Ack>true</Ack>", "text/xml; charset=utf-8")
    assert kept(warehouse) == [("deal", ["1"], 1, True)]
    assert (unread.status_code, unread.text) == (400, "not understood")


def test_strangers_all_hear_the_same(warehouse: Warehouse, receiver: str) -> None:
    base = receiver.rsplit("/", 2)[0]
    answers = [
        HTTP.post(f"{base}/town/{SECRET}x", content=told("1")),
        HTTP.post(f"{base}/town/{SECRET[:-1]}", content=told("1")),
        HTTP.post(f"{base}/nobody/{SECRET}", content=told("1")),
        HTTP.post(f"{base}/nobody/{'0' * 43}", content=told("1")),
        HTTP.post(receiver, content=told("1", proof="mine")),
        HTTP.post(f"{base}/nothing/here/at-all"),
        HTTP.get(f"{base}/town/wrong"),
    ]
    seen = {(answer.status_code, answer.text, tuple(sorted(answer.headers))) for answer in answers}
    assert len(seen) == 1
    assert answers[0].status_code == 404
    assert HTTP.post(f"{receiver}/").status_code == 404, "no redirection that sends the secret back"
    assert kept(warehouse) == []


def test_an_address_can_be_tried_and_a_body_that_is_not_the_vendors_is_refused(
    warehouse: Warehouse, receiver: str
) -> None:
    assert HTTP.get(receiver).status_code == HTTP.head(receiver).status_code == 200
    assert HTTP.put(receiver, content=b"").status_code == 405
    assert HTTP.post(receiver, content=b"<html>").status_code == 400
    assert HTTP.post(receiver, content=told("1\0")).status_code == 400
    assert HTTP.post(receiver, content=told("1" * 2_000)).status_code == 400
    assert HTTP.post(receiver, content=b"[" * 100_000).status_code == 400
    assert kept(warehouse) == []


def test_a_connector_that_breaks_over_a_body_breaks_nothing_else(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Town):
        def hear(self, delivery: Delivery) -> list[Hint]:
            raise KeyError(delivery.body.decode())

    with receiving(warehouse, Broken("broken"), Town()) as address:
        assert HTTP.post(f"{address}/broken/{SECRET}", content=b"private words").status_code == 500
        assert HTTP.post(f"{address}/town/{SECRET}", content=told("1")).status_code == 200
    assert "KeyError in hear" in caplog.text
    assert "private" not in caplog.text


def send(receiver: str, head: str, parts: list[bytes]) -> tuple[bytes, int]:
    """Send a request by hand until it is answered; the answer and how many bytes of its body were taken."""
    address = urlsplit(receiver)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as conn:
        conn.sendall(f"POST {address.path} HTTP/1.1\r\nHost: here\r\n{head}\r\n\r\n".encode())
        sent = 0
        for part in parts:
            try:
                conn.settimeout(10)
                conn.sendall(part)
                sent += len(part)
                conn.settimeout(0.001)
                if answer := conn.recv(65536):
                    return answer, sent
            except TimeoutError:
                continue
            except OSError:
                break
        conn.settimeout(10)
        return conn.recv(65536), sent


def test_a_body_of_50_mb_is_cut_off_at_the_bound(warehouse: Warehouse, receiver: str) -> None:
    answer, sent = send(receiver, f"Content-Length: {50 << 20}", [])
    assert answer.startswith(b"HTTP/1.1 413 "), "told by its length, nothing of it is read"
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    answer, sent = send(receiver, "Transfer-Encoding: chunked", [chunk] * 800)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()
    assert sent < 8 << 20, "a socket buffer or two beyond the bound"
    assert kept(warehouse) == []


def test_a_body_of_just_the_bound_is_read(warehouse: Warehouse, receiver: str) -> None:
    body = told("1")
    padded = body[:-1] + b" " * (hooks.MAX_BODY - len(body)) + b"}"
    assert HTTP.post(receiver, content=padded).status_code == 200
    assert HTTP.post(receiver, content=padded + b" ").status_code == 413
    assert kept(warehouse) == [("deal", ["1"], 1, True)]


def test_a_body_that_never_ends_is_not_waited_for(
    warehouse: Warehouse, receiver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "BODY_SECONDS", 0.1)
    answer, _ = send(receiver, "Content-Length: 100", [b"only this"])
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_database_that_hangs_is_answered_503_in_time_and_heard_again_when_it_is_back(
    warehouse: Warehouse, receiver: str
) -> None:
    assert HTTP.post(receiver, content=told("1")).status_code == 200
    with psycopg.connect(warehouse.url) as holder:
        holder.execute("lock table ops.hook in access exclusive mode")
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda n: timed(receiver, told(str(n))), range(20)))
    assert {status for status, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < AT_ONCE
    assert eventually_kept(receiver, told("again")) == 200


def test_a_database_that_is_away_is_answered_503_and_told_without_the_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = Warehouse("postgresql://somebody:hidden-password@127.0.0.1:1/nowhere")
    with receiving(away, Town()) as address:
        status, seconds = timed(f"{address}/town/{SECRET}", told("1"))
    assert status == 503
    assert seconds < AT_ONCE
    assert "127.0.0.1:1/nowhere" in caplog.text
    assert "hidden-password" not in caplog.text


def test_a_connection_that_the_server_ended_costs_one_repeat(warehouse: Warehouse, receiver: str) -> None:
    assert HTTP.post(receiver, content=told("1")).status_code == 200
    warehouse.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'sverka hooks'"
    )
    assert HTTP.post(receiver, content=told("2")).status_code in (200, 503)
    assert HTTP.post(receiver, content=told("2")).status_code == 200
    assert [row[1] for row in kept(warehouse)] == [["1"], ["2"]]


def test_many_at_once_are_all_kept_or_told_to_come_again(warehouse: Warehouse, receiver: str) -> None:
    def deliver(number: int) -> int:
        return HTTP.post(receiver, content=told(str(number))).status_code

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(deliver, range(300)))
    assert set(answers) <= {200, 503}
    stored = {ids[0] for _, ids, _, _ in kept(warehouse)}  # type: ignore[index]
    assert {str(number) for number, status in enumerate(answers) if status == 200} <= stored
    assert answers.count(200) > 200


def test_more_at_once_than_can_be_worked_on_are_told_to_come_again(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "MAX_AT_WORK", 1)
    hearing, go_on = threading.Event(), threading.Event()

    class Slow(Town):
        def hear(self, delivery: Delivery) -> list[Hint]:
            hearing.set()
            go_on.wait(20)
            return []

    with receiving(warehouse, Slow()) as address, ThreadPoolExecutor(1) as pool:
        first = pool.submit(timed, f"{address}/town/{SECRET}", told("1"))
        assert hearing.wait(20)
        second = timed(f"{address}/town/{SECRET}", told("2"))
        status, seconds = first.result(20)
        go_on.set()
    assert second[0] == 503
    assert status == 503
    assert seconds < AT_ONCE + 0.5, "a connector that takes its time keeps no vendor waiting"


def test_nothing_secret_stands_in_the_log_and_a_flood_is_a_line(
    receiver: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="sverka.hooks")
    caplog.set_level(logging.WARNING, logger="httpx")
    caplog.set_level(logging.WARNING, logger="httpcore")
    for number in range(20):
        HTTP.post(receiver, content=told(f"record-{number}", proof="somebody else's"))
        HTTP.post(f"{receiver}-{number}", content=b"")
    said = [record.getMessage() for record in caplog.records if record.name == "sverka.hooks"]
    assert len(said) == 2
    assert not any(secret in line for line in said for secret in (SECRET, "record-", "somebody"))


def test_the_same_is_told_once_a_minute_with_its_count(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    tally = Tally(clock)
    for _ in range(5):
        tally.count("town forged", "town: a forged one")
    clock.sleep(SECONDS_BETWEEN)
    tally.count("town forged", "town: a forged one")
    assert [record.getMessage() for record in caplog.records] == [
        "town: a forged one (1 so far)",
        "town: a forged one (6 so far)",
    ]


def timed(address: str, body: bytes) -> tuple[int, float]:
    begun = time.monotonic()
    return HTTP.post(address, content=body).status_code, time.monotonic() - begun


def eventually_kept(address: str, body: bytes) -> int:
    """As a vendor repeats it, a bounded number of times."""
    status = 0
    for _ in range(10):
        status = HTTP.post(address, content=body).status_code
        if status == 200:
            break
    return status


def test_the_bounds_leave_the_vendor_time() -> None:
    assert hooks_store.WRITE_SECONDS < hooks.ANSWER_SECONDS < AT_ONCE
