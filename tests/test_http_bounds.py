"""Every answer ends in time and fits into memory, whoever reads it: with or without a token, refused or not."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from resources.connector import SourceError, Uncertain
from resources.crm.megaplan.token import token_refused
from resources.http import Client, NoJson, retry_after
from resources.http_date import http_date
from resources.tokens import MemoryTokens, OAuth, Token

LIMIT = 0.4  # seconds; an answer has twice that
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
REFUSED = OK.replace(b"200 OK", b"401 Unauthorized")

Play = Callable[[socket.socket], None]


@contextlib.contextmanager
def served(play: Play) -> Iterator[str]:
    """The address of a server that leaves its connections to `play` once a request's head has come."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def one(peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += peer.recv(65_536) or b"\r\n\r\n"
            play(peer)
            over.wait(5)

    def run() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        over.set()
        listener.close()


def drops(start: bytes, drop: bytes) -> Play:
    def play(peer: socket.socket) -> None:
        peer.sendall(start)
        for _ in range(100):
            peer.sendall(drop)
            time.sleep(0.05)

    return play


def oauth(refused: Callable[[httpx.Response], bool] | None = None) -> OAuth:
    later = datetime.now(UTC) + timedelta(hours=1)
    return OAuth(
        "crm",
        MemoryTokens(Token("a" * 20, "r", later)),
        lambda known: Token("b" * 20, "r", later),
        refused=refused,
    )


AUTHS: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "a name": lambda: ("user", "pass-word"),
    "a token": oauth,
    "a token refused within an answer": lambda: oauth(token_refused),
}

DROPS = {
    "a body": (OK + b"\r\n", b"1\r\n \r\n"),
    "the body of a refusal": (REFUSED + b"\r\n", b"1\r\n \r\n"),
    "a header": (OK + b"X-Slow: ", b"a"),
    "what comes before an answer": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a packed body that unpacks to nothing": (
        OK + b"Content-Encoding: gzip\r\n\r\na\r\n\x1f\x8b\x08\x08\0\0\0\0\0\xff\r\n",
        b"1\r\na\r\n",
    ),
}


@pytest.mark.parametrize("auth", AUTHS)
@pytest.mark.parametrize("what", DROPS)
def test_what_comes_by_drops_is_given_up_in_time(what: str, auth: str) -> None:
    with served(drops(*DROPS[what])) as url:
        crm = Client("crm", url, auth=AUTHS[auth](), timeout=LIMIT, attempts=1)
        begun = time.monotonic()
        with pytest.raises(Uncertain, match=r"did not end within 1 s"):
            crm.request("POST", "deal", json={}, write=True)
        assert time.monotonic() - begun < 2 * LIMIT + 1.5
        crm.close()


def test_a_server_that_takes_nothing_in_is_given_up_in_time() -> None:
    with served(lambda peer: None) as url:
        crm = Client("crm", url, timeout=LIMIT, attempts=1)
        with pytest.raises(SourceError, match=r"no answer within|did not end"):
            crm.request("POST", "deal", content=b"x" * 50_000_000)
        crm.close()


@pytest.mark.parametrize("auth", AUTHS)
@pytest.mark.parametrize("head", [OK, REFUSED])
def test_no_answer_is_larger_than_its_bound(head: bytes, auth: str) -> None:
    def play(peer: socket.socket) -> None:
        peer.sendall(head + b"\r\n")
        part = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        for _ in range(500):
            peer.sendall(part)

    with served(play) as url:
        crm = Client("crm", url, auth=AUTHS[auth](), attempts=1, max_answer=1 << 20)
        with pytest.raises(SourceError, match="larger than 1048576 bytes"):
            crm.request("GET", "deal")
        crm.close()


def answered(content: bytes, encoding: str, **options: Any) -> Client:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=httpx.ByteStream(content), headers={"content-encoding": encoding})

    return Client("crm", "https://crm.example/", transport=httpx.MockTransport(answer), attempts=1, **options)


def test_a_packed_answer_fills_no_more_memory_than_its_bound() -> None:
    bomb = gzip.compress(b" " * 200_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(SourceError, match="larger than"):
            answered(bomb, "gzip", max_answer=1 << 20).request("GET", "deal")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_an_answer_is_packed_once() -> None:
    twice = gzip.compress(gzip.compress(b"{}"))
    with pytest.raises(SourceError, match="it is packed 2 times: gzip, gzip"):
        answered(twice, "gzip, gzip").request("GET", "deal")


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b'{"a": 1}', "identity"),
        (gzip.compress(b'{"a": 1}'), "gzip"),
        (gzip.compress(b'{"a": 1}'), "GZip"),
        (zlib.compress(b'{"a": 1}'), "deflate"),
        (zlib.compress(b'{"a": 1}')[2:-4], "deflate"),  # as some send it, without its head
        (gzip.compress(b'{"a": 1}'), "identity, gzip"),
    ],
    ids=["plain", "gzip", "capitals", "zlib", "deflate", "twice"],
)
def test_a_packed_answer_is_unpacked(content: bytes, encoding: str) -> None:
    assert answered(content, encoding).get_json("deal") == {"a": 1}


def test_a_large_packed_answer_comes_whole() -> None:
    text = b"[" + b",".join(str(n * n).encode() for n in range(400_000)) + b"]"
    got = answered(gzip.compress(text), "gzip").request("GET", "deal")
    assert got.content == text


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_packed_answer_that_is_cut_off_is_none(encoding: str) -> None:
    content = (gzip.compress if encoding == "gzip" else zlib.compress)(b"a;b\r\n" * 10_000)
    with pytest.raises(SourceError, match="cannot be unpacked"):
        answered(content[:-20], encoding).request("GET", "file", want="any")


def test_every_address_of_a_host_is_tried_within_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(2, 1, 6, "", (f"127.0.0.{n}", 9)) for n in range(2, 9)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    crm = Client("crm", "http://127.0.0.1:9/", timeout=LIMIT, attempts=1)
    begun = time.monotonic()
    with pytest.raises(SourceError, match="no connection to"):
        crm.request("GET", "deal")
    assert time.monotonic() - begun < 2 * LIMIT + 1.5


@pytest.mark.parametrize("skew", [-7200, -600, 0, 7200, 86_000])
def test_a_date_to_wait_for_is_by_the_vendors_own_clock(skew: int) -> None:
    there = datetime.now(UTC) + timedelta(seconds=skew)
    said = {
        "date": format_datetime(there, True),
        "retry-after": format_datetime(there + timedelta(seconds=10), True),
    }
    assert retry_after(said) == 10.0


def test_no_time_to_wait_is_still_a_pause() -> None:
    slept: list[float] = []
    answers = iter([httpx.Response(429, headers={"Retry-After": "0"}), httpx.Response(200, json={})])
    Client(
        "crm",
        "https://crm.example/",
        transport=httpx.MockTransport(lambda _: next(answers)),
        sleep=slept.append,
    ).get_json("deal")
    assert slept[0] > 0


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "Fri, 31 Dec 9999 23:59:59 -1400", "Mon, 01 Jan 1900 00:00:00 GMT", "1 2 3 4 5"],
)
def test_a_date_outside_the_calendar_is_none(text: str) -> None:
    assert http_date(text) is None


BASE = "https://org.crm4.dynamics.com/api/"


def following(link: str, base: str = BASE) -> str:
    """The address that was asked."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json={})

    Client("crm", base, transport=httpx.MockTransport(answer), attempts=1).request("GET", link)
    return seen[0]


@pytest.mark.parametrize(
    "base", [BASE, "https://Org.crm4.dynamics.com/api/", "https://org.crm4.dynamics.com:443/api/"]
)
@pytest.mark.parametrize(
    "link", ["HTTPS://ORG.crm4.dynamics.com/api/x", "https://org.crm4.dynamics.com:443/api/x", "x", "/api/x"]
)
def test_a_link_to_the_same_place_is_followed_however_it_is_written(link: str, base: str) -> None:
    assert following(link, base) == "https://org.crm4.dynamics.com/api/x"


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("http://[::1", r"another host \(what is no address\)"),
        ("https://org.crm4.dynamics.com:99999/x", r"another host \(what is no address\)"),
        ("//evil.example/x", r"another host \(evil.example\)"),
        ("https://org.crm4.dynamics.com@evil.example/x", r"another host \(somebody@evil.example\)"),
        (
            "http://org.crm4.dynamics.com/x",
            r"\(http://org.crm4.dynamics.com\) than .*\(https://org.crm4.dynamics.com\)",
        ),
        ("x" * 70_000, "what no address and no header may"),
        ("x\x7f", "what no address and no header may"),
    ],
)
def test_a_link_elsewhere_or_to_no_address_is_told_in_words(link: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        following(link)


def test_a_redirect_to_no_address_and_an_empty_answer_are_told_in_words() -> None:
    answers = iter(
        [httpx.Response(302, headers={"Location": "http://[::1"}), httpx.Response(204), httpx.Response(304)]
    )
    crm = Client(
        "crm", "https://crm.example/", transport=httpx.MockTransport(lambda _: next(answers)), attempts=1
    )
    with pytest.raises(SourceError, match=r"crm: GET deal: "):
        crm.get_json("deal")
    for status in (204, 304):
        with pytest.raises(NoJson, match=rf"crm: GET deal: the answer \(HTTP {status}\) is empty"):
            crm.get_json("deal")
