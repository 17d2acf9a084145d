"""Reading deals into raw: ours, dlt's two ways, and the floor, side by side from one sandbox.

All read the same fields of the same portal without the vendor's limits. dlt as its users page this method
(`rest_api`, 50 rows a request) and, to be fair the other way, dlt given our batches of 2,500 rows. The floor
is the very requests that ours sends, sent by bare httpx with as many in flight, rows COPYed as jsonb.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import psycopg

from benchmarks.figures import Figure
from benchmarks.place import Place, Sandbox, Spent, measured, middle, say

DEALS: Final = 200_000
FEWER: Final = 100_000  # memory must not grow from here on: before, its pipeline is not full
REPEATS: Final = 3
TIMES_DLT: Final = 4.0
SHARE_OF_FLOOR: Final = 0.60
MAX_MB: Final = 600.0
REPEATED: Final = 0.01  # rows that come twice where answers are taken as they are
MAX_GROWTH: Final = 1.10  # of peak memory, from FEWER deals to DEALS


def run(place: Place, *, quick: bool) -> list[Figure]:
    deals, fewer, repeats = (DEALS, FEWER, REPEATS) if not quick else (DEALS // 10, FEWER // 10, 1)
    requests = place.home / "requests.json"
    portal = place.sandbox(fewer, "--no-limits")
    small = [_ours(place, portal, requests) for _ in range(repeats)]
    place.processes.stop_all()
    sandbox = place.sandbox(deals, "--no-limits")
    ours: list[Spent] = []
    floor: list[Spent] = []
    for _ in range(repeats):
        ours.append(_ours(place, sandbox, requests))
        floor.append(_floor(place, sandbox, requests))
    batched = _dlt(place, sandbox, "dlt-batches", requests)
    paged = _dlt(place, sandbox, "dlt", requests)
    place.drop("bench_reading")
    counts = {spent.said["who"]: spent.said["rows"] for spent in (*ours, *floor, batched, paged)}
    deals = counts["ours"]  # some of the deals that the sandbox was told to have are deleted ones
    # A page past the end of a chain brings its first rows again; ours knows that, who replays does not.
    if counts["dlt"] != deals or not all(0 <= count - deals <= deals * REPEATED for count in counts.values()):
        raise RuntimeError(f"the contenders did not read the same: {counts}")
    ours_rate, floor_rate = deals / middle([s.wall for s in ours]), deals / middle([s.wall for s in floor])
    peak, peak_small = middle([s.peak_mb for s in ours]), middle([s.peak_mb for s in small])
    return [
        Figure("ours", ours_rate, "deals/s", note=_of(ours)),
        Figure("floor: the same requests, bare httpx and COPY", floor_rate, "deals/s", note=_of(floor)),
        Figure("dlt rest_api, 50 rows a request", deals / paged.wall, "deals/s", note=_of([paged])),
        Figure("dlt with our batches of 2,500", deals / batched.wall, "deals/s", note=_of([batched])),
        Figure("ours / dlt", ours_rate * paged.wall / deals, "times", at_least=TIMES_DLT),
        Figure("ours / dlt with our batches", ours_rate * batched.wall / deals, "times", at_least=TIMES_DLT),
        Figure("ours / floor", ours_rate / floor_rate, "share", at_least=SHARE_OF_FLOOR),
        Figure(f"peak memory, {deals:,} deals", peak, "MB", at_most=MAX_MB),
        Figure(f"peak memory, {fewer:,} deals", peak_small, "MB", at_most=MAX_MB),
        Figure("growth of peak memory", peak / peak_small, "times", at_most=MAX_GROWTH),
    ]


def _of(runs: list[Spent]) -> str:
    cpu, database = middle([s.cpu for s in runs]), middle([s.database for s in runs])
    seconds = " ".join(f"{s.wall:.1f}" for s in runs)
    return f"{seconds} s by the clock; processor {cpu:.1f} s, database {database:.1f} s"


def _ours(place: Place, sandbox: Sandbox, requests: Path) -> Spent:
    warehouse = place.database("bench_reading")
    return place.worker("benchmarks.reading", "ours", sandbox.webhook, warehouse.url, str(requests))


def _floor(place: Place, sandbox: Sandbox, requests: Path) -> Spent:
    warehouse = place.database("bench_reading")
    return place.worker("benchmarks.reading", "floor", sandbox.webhook, warehouse.url, str(requests))


def _dlt(place: Place, sandbox: Sandbox, how: str, requests: Path) -> Spent:
    warehouse = place.database("bench_reading")
    env = {
        "DLT_DATA_DIR": str(place.home / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
    }
    return place.worker("benchmarks.reading", how, sandbox.webhook, warehouse.url, str(requests), env=env)


# ---- in the worker -------------------------------------------------------------------------


def read_ours(webhook: str, url: str, requests: Path) -> dict[str, Any]:
    """The real connector and the real loader, deals alone. Keeps the bodies it sends for the floor."""
    from pipelines.raw.load import read_source
    from resources.budget import LocalBudget
    from resources.crm.bitrix24 import connector as bitrix24
    from resources.warehouse import Warehouse

    portal = bitrix24.connect("bitrix24", {"url": webhook}, LocalBudget(1e6, 1e6))
    sent: list[bytes] = []
    portal.portal._client.event_hooks |= {"request": [lambda request: sent.append(request.content)]}
    with measured() as said:
        (batch,) = read_source(Warehouse(url), portal, entities=["deal"], full=True)
    portal.close()
    bodies = [body.decode() for body in sent if b"crm.item.list" in body and b"crm.item.fields" not in body]
    requests.write_text(json.dumps(bodies))
    return said | {"rows": batch.added, "error": batch.error}


def read_floor(webhook: str, url: str, requests: Path) -> dict[str, Any]:
    """Bare httpx, as many requests in flight as ours, and COPY: no keys, no stamps, no comparing."""
    rows = 0
    with measured() as said, psycopg.connect(url) as conn:
        conn.execute("create table floor (payload jsonb)")
        for page in _replay(webhook, requests):
            with conn.cursor().copy("copy floor (payload) from stdin") as copy:
                for row in page:
                    copy.write_row((bytes(row).decode(),))
                    rows += 1
        conn.commit()
    return said | {"rows": rows}


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]


class _Pages(msgspec.Struct):
    result: dict[str, _Page]


class _Answer(msgspec.Struct):
    result: _Pages


def _replay(webhook: str, requests: Path) -> Iterator[list[msgspec.Raw]]:
    """Send the kept bodies, several at once; the rows of each answer as bytes."""
    from resources.crm.bitrix24.connector import PARALLEL

    decoder = msgspec.json.Decoder(_Answer)
    client = httpx.Client(timeout=120, headers={"Content-Type": "application/json"})

    def fetch(body: str) -> list[msgspec.Raw]:
        answer = client.post(f"{webhook}batch", content=body.encode())
        return [row for part in decoder.decode(answer.content).result.result.values() for row in part.items]

    bodies = json.loads(requests.read_text())
    with ThreadPoolExecutor(PARALLEL) as pool:
        flying = [pool.submit(fetch, body) for body in bodies[:PARALLEL]]
        following = iter(bodies[PARALLEL:])
        while flying:
            yield flying.pop(0).result()
            if (body := next(following, None)) is not None:
                flying.append(pool.submit(fetch, body))


def read_dlt(webhook: str, url: str, _: Path) -> dict[str, Any]:
    """dlt's own REST source, paging by `start` as the vendor's pages say, everything else its default."""
    from dlt.sources.rest_api import rest_api_source

    from resources.crm.bitrix24.entities import DEAL_FIELDS

    source = rest_api_source(
        {
            "client": {"base_url": webhook},
            "resources": [
                {
                    "name": "deal",
                    "endpoint": {
                        "path": "crm.item.list",
                        "params": {"entityTypeId": 2, "select[]": DEAL_FIELDS, "order[id]": "ASC"},
                        "data_selector": "result.items",
                        "paginator": {
                            "type": "offset", "limit": 50, "offset_param": "start", "limit_param": "limit",
                            "total_path": "total",
                        },
                    },
                }
            ],
        }
    )  # fmt: skip
    return _run_dlt(source, url)


def read_dlt_batches(webhook: str, url: str, requests: Path) -> dict[str, Any]:
    """dlt given our batches: the same requests and parallelism, decoded rows yielded 2,500 at a time."""
    import dlt

    decoder = msgspec.json.Decoder()

    @dlt.resource(name="deal")
    def deals() -> Iterator[list[Any]]:
        for page in _replay(webhook, requests):
            yield [decoder.decode(row) for row in page]

    return _run_dlt(deals(), url)


def _run_dlt(source: Any, url: str) -> dict[str, Any]:
    import dlt

    folder = Path(os.environ["DLT_DATA_DIR"]) / f"run-{os.getpid()}-{time.time_ns()}"
    with measured() as said:
        pipeline = dlt.pipeline(
            "bench",
            destination=dlt.destinations.postgres(url),
            dataset_name="bench_dlt",
            pipelines_dir=str(folder),
        )
        pipeline.run(source)
    with psycopg.connect(url) as conn:
        row = conn.execute("select count(*) from bench_dlt.deal").fetchone()
    return said | {"rows": row[0] if row else 0}


HOWS: Final = {"ours": read_ours, "floor": read_floor, "dlt": read_dlt, "dlt-batches": read_dlt_batches}


def main() -> None:
    logging.getLogger("httpx").setLevel(logging.WARNING)
    how, webhook, url, requests = sys.argv[1:5]
    said = HOWS[how](webhook, url, Path(requests))
    say({"who": how, "at": datetime.now(UTC), **said})


if __name__ == "__main__":
    main()
