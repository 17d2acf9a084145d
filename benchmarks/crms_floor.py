"""The floor that a connector is held against: its own requests, sent by bare httpx and COPYed as they come.

No keys, no stamps, no comparing, no retries. Requests that deals do not come by are sent too, and their answers
dropped. A line of a CSV becomes an object of texts, as the csv module and msgspec make one. Of a job that the vendor
runs in the background only the ordering is sent again: the new one is asked for until it is there, and fetched. As
many requests are under way as ours had.
"""

from __future__ import annotations

import csv
import io
import re
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import psycopg

from benchmarks.crms_vendors import Request, Vendor, told

TIMEOUT: Final = 120.0
POLL_SECONDS: Final = 0.1
MAX_POLLS: Final = 12_000
MAX_PAGES: Final = 10_000
Rows = Sequence[msgspec.Raw]


@dataclass(frozen=True, slots=True)
class Kept:
    """The requests of a connector in their order, and how many of them were under way at once."""

    in_flight: int
    requests: Sequence[dict[str, Any]]


def read_floor(url: str, kept: Kept, vendor: Vendor, authorization: str) -> None:
    """Fetch all, and COPY the rows that deals come in, into the table `floor`."""
    with psycopg.connect(url) as conn:
        conn.execute("create table floor (payload jsonb)")
        for parts in _answers(kept, vendor, authorization):
            for lines in parts:
                with conn.cursor().copy("copy floor (payload) from stdin") as copy:
                    copy.write(lines)


def count_floor(url: str, vendor: Vendor) -> int:
    """How many deals came."""
    with psycopg.connect(url) as conn:
        row = conn.execute(
            "select count(distinct coalesce(payload #>> %s, payload #>> '{}')) from floor", [list(vendor.key)]
        ).fetchone()
    return int(row[0]) if row else 0


def largest(content: bytes) -> Rows:
    """The largest array of a JSON answer, by its bytes, without decoding what is in it."""
    here = msgspec.json.decode(content, type=msgspec.Raw)
    while (first := memoryview(here)[:1].tobytes()) == b"{":
        inside = msgspec.json.decode(here, type=dict[str, msgspec.Raw]).values()
        here = max(inside, key=lambda raw: memoryview(raw).nbytes, default=msgspec.Raw(b""))
    return msgspec.json.decode(here, type=list[msgspec.Raw]) if first == b"[" else []


def _answers(kept: Kept, vendor: Vendor, authorization: str) -> Iterator[Sequence[bytes]]:
    limits = httpx.Limits(max_connections=kept.in_flight)
    with (
        httpx.Client(timeout=TIMEOUT, limits=limits, trust_env=False) as client,
        ThreadPoolExecutor(kept.in_flight) as pool,
    ):

        def send(said: Request) -> httpx.Response:
            headers = {**said["headers"], "authorization": authorization}
            sent = client.request(said["method"], said["url"], content=said["body"].encode(), headers=headers)
            return sent.raise_for_status()

        def fetch(said: Request) -> Sequence[bytes]:
            if vendor.job and re.search(vendor.job, said["url"]):
                return [] if said["method"] != "POST" else list(_job(said, kept, send))
            answer = send(said)
            if not answer.content.strip() or not vendor.brings_deals(said):
                return []
            rows = largest(answer.content)
            return [_copied(b"\n".join(map(bytes, rows)) + b"\n")] if rows else []

        flying = [pool.submit(fetch, said) for said in kept.requests[: kept.in_flight]]
        following = iter(kept.requests[kept.in_flight :])
        while flying:
            yield flying.pop(0).result()
            if (said := next(following, None)) is not None:
                flying.append(pool.submit(fetch, said))


def _copied(lines: bytes) -> bytes:
    """One value of JSON a line, as COPY takes them."""
    return lines.replace(b"\\", b"\\\\")


def _objects(content: bytes) -> bytes:
    """The lines of a CSV, each as an object of its texts by their names."""
    rows = csv.reader(io.StringIO(content.decode(), newline=""))
    names = next(rows, [])
    encode = msgspec.json.Encoder().encode
    return b"".join(encode(dict(zip(names, row, strict=True))) + b"\n" for row in rows)


# ---- Jobs in the background ----------------------------------------------------------------------


def _job(said: Request, kept: Kept, send: Callable[[Request], httpx.Response]) -> Iterator[bytes]:
    """Order a job, ask for it until it is there, and fetch its CSV."""
    made = send(said).json()
    number = made["id"] if "id" in made else made["data"][0]["details"]["id"]
    address = f"{said['url']}/{number}"

    def get(url: str) -> httpx.Response:
        return send({"method": "GET", "url": url, "headers": {}, "body": ""})

    for _ in range(MAX_POLLS):
        state = get(address).json()
        if (state["data"][0] if "data" in state else state)["state"] in ("COMPLETED", "JobComplete"):
            break
        time.sleep(POLL_SECONDS)
    else:
        raise RuntimeError(f"the job does not end: {told(said)[:200]}")
    for content in (_zipped if "data" in state else _paged)(address, kept, get):
        yield _copied(_objects(content))


def _zipped(address: str, _: Kept, get: Callable[[str], httpx.Response]) -> Iterator[bytes]:
    """Zoho: one ZIP of one CSV."""
    archive = zipfile.ZipFile(io.BytesIO(get(f"{address}/result").content))
    yield archive.read(archive.namelist()[0])


def _paged(address: str, kept: Kept, get: Callable[[str], httpx.Response]) -> Iterator[bytes]:
    """Salesforce: pages of CSV of the size that ours asked for, each naming the next in its headers."""
    asked: Mapping[str, list[str]] = next(
        (parse_qs(urlsplit(r["url"]).query) for r in kept.requests if "/results?" in r["url"]), {}
    )
    size, locator = asked.get("maxRecords", ["50000"])[0], ""
    for _ in range(MAX_PAGES):
        answer = get(f"{address}/results?maxRecords={size}{locator and f'&locator={locator}'}")
        yield answer.content
        locator = answer.headers.get("sforce-locator", "null")
        if locator in ("", "null"):
            return
    raise RuntimeError("the pages of a job do not end")
