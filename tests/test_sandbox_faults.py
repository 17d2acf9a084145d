"""Failures on order of the sandbox: what a client sees, whether the work was done, and what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sandbox.faults import FaultMiddleware, Faults

ADDRESS = "http://vendor/"


class Vendor:
    """A server of one mount that keeps what was posted to it."""

    def __init__(self) -> None:
        self.faults = Faults(places={"vendor"})
        self.saved: list[str] = []
        routes = [Route("/save", self._save, methods=["POST"])]
        self.app = FaultMiddleware(Starlette(routes=routes), self.faults, "vendor")

    async def _save(self, request: Request) -> Response:
        self.saved.append((await request.body()).decode())
        return PlainTextResponse(f"saved {self.saved[-1]}")

    def ask(self, *words: str) -> Sequence[httpx.Response]:
        """Post all these words at once; the answers in the order in which they came."""

        async def post() -> list[httpx.Response]:
            transport = httpx.ASGITransport(app=self.app)
            answers: list[httpx.Response] = []
            async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:

                async def one(word: str) -> None:
                    answers.append(await client.post("save", content=word))

                await asyncio.gather(*map(one, words))
            return answers

        return asyncio.run(post())


@pytest.mark.parametrize(
    ("kind", "status", "is_done"),
    [
        ("http_429_html", 429, False),
        ("http_500", 500, False),
        ("http_502_html", 502, False),
        ("http_503_html", 503, False),
        ("http_504_html", 504, True),
    ],
)
def test_a_proxy_s_page_tells_its_status_and_only_after_a_timeout_is_the_work_done(
    kind: str, status: int, is_done: bool
) -> None:
    vendor = Vendor()
    rule = vendor.faults.add({"where": "vendor", "kind": kind})
    (answer,) = vendor.ask("a")
    assert answer.status_code == status
    if kind.endswith("_html"):
        assert str(status) in answer.text
        assert answer.headers["content-type"].startswith("text/html")
    assert bool(vendor.saved) is is_done
    assert (rule.used, rule.done) == (1, 1)
    assert vendor.ask("b")[0].text == "saved b"


def test_a_late_answer_comes_after_that_to_a_later_request() -> None:
    vendor = Vendor()
    rule = vendor.faults.add({"where": "vendor", "kind": "late", "seconds": 0.05})
    assert [answer.text for answer in vendor.ask("a", "b")] == ["saved b", "saved a"]
    assert vendor.saved == ["a", "b"]
    assert rule.overtaken == 1
    alone = vendor.faults.add({"where": "vendor", "kind": "late", "seconds": 0.0})
    vendor.ask("c")
    assert (alone.done, alone.overtaken) == (1, 0)


def test_a_repeated_answer_counts_only_where_there_was_one_before() -> None:
    vendor = Vendor()
    rule = vendor.faults.add({"where": "vendor", "kind": "repeat", "times": 2})
    assert vendor.ask("a")[0].text == "saved a"
    assert (rule.used, rule.done) == (1, 0)
    assert vendor.ask("b")[0].text == "saved a"
    assert (rule.used, rule.done) == (2, 1)
    assert vendor.saved == ["a"]
