"""Connections that say nothing, or half of what they want, do not keep the others out."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pipelines import hooks_server
from pipelines.hooks_server import PromptProtocol

MOST = 8
PATIENCE = 30.0


async def _well(_: Request) -> PlainTextResponse:
    return PlainTextResponse("well")


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(hooks_server, "HEAD_SECONDS", 0.5)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        config = uvicorn.Config(
            Starlette(routes=[Route("/", _well)]), http=PromptProtocol, limit_concurrency=MOST, log_config=None
        )  # fmt: skip
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(PATIENCE)


@pytest.mark.parametrize("said", [b"", b"POST /hooks HTTP/1.1\r\nHost: a\r\nX: "])
def test_a_connection_without_a_whole_head_is_ended_and_makes_room(
    port: int, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.ExitStack() as stack, caplog.at_level(logging.WARNING, "sverka.hooks"):
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(2 * MOST)]
        for one in silent:
            one.settimeout(PATIENCE)
            one.sendall(said)
        assert [one.recv(1) for one in silent] == [b""] * len(silent)
        until = time.monotonic() + PATIENCE
        while (answer := httpx.get(f"http://127.0.0.1:{port}/")).status_code == 503:
            assert time.monotonic() < until
        assert answer.text == "well"
    assert hooks_server._tally.counts[""] >= len(silent)


def test_a_second_request_on_a_connection_has_its_time_anew(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as one:
        for _ in range(2):
            one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = b""
            while not answer.endswith(b"well"):  # head and body may come in segments of their own
                part = one.recv(4096)
                assert part
                answer += part
        one.sendall(b"GET / HTTP/1.1\r\nHos")
        assert one.recv(1) == b""
