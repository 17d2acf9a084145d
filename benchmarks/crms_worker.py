"""One contender in a process of its own: `python -m benchmarks.crms_worker HOW VENDOR DATABASE REQUESTS`.

The connection comes in the variables that the vendor's mapping file names, and as JSON in BENCH_CONNECTION;
the token of the stand-in in BENCH_AUTHORIZATION, so that it is in no file. The last line of output is JSON.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg

from benchmarks.crms_floor import Kept, count_floor, read_floor
from benchmarks.crms_vendors import described
from benchmarks.place import ROOT, measured, say
from resources.http import Client

AUTHORIZATION: Final = "BENCH_AUTHORIZATION"
CONNECTION: Final = "BENCH_CONNECTION"
LIMITED: Final = "BENCH_LIMITED"  # the vendor's limits are on, and the budget of all processes keeps them
DLT_DEALS: Final = 40_000  # at most: rows per second are compared, and dlt needs minutes for more
MOST_READS: Final = 50
OWN_HEADERS: Final = ("authorization", "host", "connection", "content-length", "user-agent")


def deals(vendor: str, url: str, requests: Path) -> dict[str, Any]:
    """The real connector and the real loader, deals alone; what is sent is kept for the floor."""
    from pipelines.raw.load import read_source

    with _road(vendor, url) as (road, system), measured() as said:
        source = road.source(system)
        sent = _Sent(source.client)
        started, cpu = time.perf_counter(), time.process_time()
        batches = read_source(road.warehouse, source, entities=["deal"], full=True)
        said |= {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}
    _sound(batches)
    requests.write_text(json.dumps({"in_flight": sent.most, "requests": sent.requests}))
    rows = next(batch.added for batch in batches if batch.entity == "deal")
    return said | {"rows": rows, "requests": len(sent.requests), "authorization": sent.authorization}


def memory(vendor: str, url: str, _: Path) -> dict[str, Any]:
    """Deals once more, with nothing kept beside them."""
    from pipelines.raw.load import read_source

    with _road(vendor, url) as (road, system), measured() as said:
        batches = read_source(road.warehouse, road.source(system), entities=["deal"], full=True)
    _sound(batches)
    return said | {"rows": next(batch.added for batch in batches if batch.entity == "deal")}


def everything(vendor: str, url: str, _: Path) -> dict[str, Any]:
    """All entities: whole where nothing is stored, else what was changed."""
    from pipelines import sync

    with _road(vendor, url) as (road, system), measured() as said:
        batches = sync.read(road, system)
    _sound(batches)
    return said | {
        "rows": sum(batch.added + batch.changed + batch.deleted for batch in batches),
        "received": sum(batch.received for batch in batches),
    }


def spend(vendor: str, url: str, _: Path) -> dict[str, Any]:
    """All entities whole, again and again, until the connector itself stops for the sake of the day's limit."""
    from pipelines import sync

    rows, stopped = 0, ""
    with _road(vendor, url) as (road, system), measured() as said:
        for _number in range(MOST_READS):
            batches = sync.read(road, system, full=True)
            rows += sum(batch.received for batch in batches)
            if stopped := next((batch.error for batch in batches if batch.error), ""):
                break
    if not stopped:
        raise RuntimeError(f"{MOST_READS} reads of everything did not use up the day")
    return said | {"rows": rows, "stopped": stopped}


def floor(vendor: str, url: str, requests: Path) -> dict[str, Any]:
    """The same requests, bare httpx and COPY."""
    kept = Kept(**json.loads(requests.read_text()))
    with measured() as said:
        read_floor(url, kept, described(vendor), os.environ[AUTHORIZATION])
    return said | {"rows": count_floor(url, described(vendor))}


def dlt(vendor: str, url: str, requests: Path) -> dict[str, Any]:
    """dlt's own REST source, paging as the vendor's pages say, everything else its default; of so many deals at most."""
    import dlt as library
    from dlt.sources.rest_api import rest_api_source

    known = described(vendor)
    if known.dlt is None:
        raise RuntimeError(f"benchmarks/crms_vendors.py does not say how dlt pages {vendor}")
    asked = next(filter(known.brings_deals, json.loads(requests.read_text())["requests"]))
    config = known.dlt(json.loads(os.environ[CONNECTION]), asked)
    client = config["client"]
    client["headers"] = {**client.get("headers", {}), "Authorization": os.environ[AUTHORIZATION]}
    source = rest_api_source(
        {"client": client, "resources": [{"name": "deal", "endpoint": config["endpoint"]}]}
    )
    source.deal.add_limit(DLT_DEALS, count_rows=True)
    with tempfile.TemporaryDirectory(dir=os.environ["DLT_DATA_DIR"]) as folder, measured() as said:
        pipeline = library.pipeline(
            "bench",
            destination=library.destinations.postgres(url),
            dataset_name="bench_dlt",
            pipelines_dir=folder,
        )
        pipeline.run(source)
    with psycopg.connect(url) as conn:
        counts = f"select count(*), count(distinct {known.column}) from bench_dlt.deal"
        rows, ids = conn.execute(counts.encode()).fetchone() or (0, 0)
    if rows != ids:
        raise RuntimeError(f"dlt has {rows} rows of {ids} deals")
    return said | {"rows": rows}


class _Sent:
    """What a client sends: requests that bear a token, and how many of them are under way at most."""

    def __init__(self, client: Client) -> None:
        self.requests: list[dict[str, Any]] = []
        self.authorization = ""
        self.most = self._now = 0
        self._lock = threading.Lock()
        client.event_hooks |= {"request": [self._begun], "response": [self._answered]}
        client.close()  # a connection that is there already knows nothing of them

    def _begun(self, request: httpx.Request) -> None:
        if "authorization" not in request.headers:
            return
        headers = {name: value for name, value in request.headers.items() if name not in OWN_HEADERS}
        said = {
            "method": request.method, "url": str(request.url), "headers": headers, "body": request.content.decode(),
        }  # fmt: skip
        with self._lock:
            self.requests.append(said)
            self.authorization = request.headers["authorization"]
            self._now += 1
            self.most = max(self.most, self._now)

    def _answered(self, response: httpx.Response) -> None:
        if "authorization" in response.request.headers:
            with self._lock:
                self._now -= 1


@contextlib.contextmanager
def _road(vendor: str, url: str) -> Iterator[tuple[Any, Any]]:
    """A road of this CRM alone, by its ready mapping file; without a budget unless limits are measured."""
    from mappings import load
    from pipelines.sync import Road
    from resources.budget import LocalBudget
    from resources.warehouse import Warehouse

    class Unlimited(Road):
        def _budget(self, system: Any) -> Any:
            return LocalBudget(1e6, 1e6)

    limited, known = bool(os.environ.get(LIMITED)), described(vendor).limited
    with tempfile.TemporaryDirectory() as folder:
        text = (ROOT / "mappings" / "crm" / f"{vendor}.yaml").read_text()
        more = "".join(f'  {key}: "{value}"\n' for key, value in (known.connection if known else {}).items())
        text = text.replace("connection:\n", f"connection:\n{more if limited else ''}", 1)
        (Path(folder) / f"{vendor}.yaml").write_text(text)
        shutil.copy(ROOT / "mappings" / "demo" / "onec.yaml", folder)
        road = (Road if limited else Unlimited)(Warehouse(url), load(Path(folder)), "bench")
        try:
            yield road, road.mappings.system(vendor)
        finally:
            road.close()


def _sound(batches: Any) -> None:
    """Raises RuntimeError with the first error of a read."""
    for batch in batches:
        if batch.error:
            raise RuntimeError(batch.error)


HOWS: Final = {
    "deals": deals, "memory": memory, "everything": everything, "spend": spend, "floor": floor, "dlt": dlt,
}  # fmt: skip


def main() -> None:
    logging.disable(logging.INFO)
    how, vendor, url, requests = sys.argv[1:5]
    say({"who": how, **HOWS[how](vendor, url, Path(requests))})


if __name__ == "__main__":
    main()
