"""Reading every CRM that has a ready mapping file: speed, requests, the vendor's rate, memory; a table a vendor.

    python -m benchmarks crms [--quick]
    python -m benchmarks.crms amocrm zoho [--only speed] [--quick] [--home DIR]     some of them

Ours, the floor and dlt read the same deals of the same stand-in without limits, one after the other, in turns.
The floor sends the very requests that ours sent, with as many under way, and COPYs the rows as jsonb; dlt is its
own `rest_api` source with its defaults, of the first deals only: rows per second are compared. Requests are counted
by the stand-in. A vendor without a row in `crms_vendors` is measured alone. Bitrix24 has `reading` and `limits`.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import psycopg

from benchmarks.crms_vendors import described
from benchmarks.crms_worker import AUTHORIZATION, CONNECTION, DLT_DEALS, LIMITED
from benchmarks.figures import Figure, keep, print_table
from benchmarks.place import ROOT, Place, Sandbox, Spent, bench_home, middle
from resources.warehouse import Warehouse

PRINTS_TABLES: Final = True
DEALS: Final = 200_000
FEWER, MORE = 100_000, 500_000  # deals, between which memory must not grow
QUICK_FEWER, QUICK_MORE = 50_000, 100_000  # of fewer the first page of a bulk job is not full
REPEATS: Final = 3
CHANGES: Final = 1_000
SHORT_WINDOW: Final = 10.0  # seconds: shorter than any measured run
TIMES_DLT: Final = 4.0
SHARE_OF_FLOOR: Final = 0.60
SHARE_OF_RATE: Final = 0.90
MAX_MB: Final = 600.0
MAX_GROWTH: Final = 1.10
DATABASE, TEMPLATE = "bench_crms", "bench_crms_empty"
UNLIMITED: Final = 1 << 50


def vendors() -> list[str]:
    """Every CRM with a ready mapping file."""
    return sorted(path.stem for path in (ROOT / "mappings" / "crm").glob("*.yaml"))


def run(
    place: Place, *, quick: bool, names: list[str] | None = None, only: Sequence[str] = ()
) -> list[Figure]:
    """Measure one after the other, print and keep a table each. Raises RuntimeError at the end where one failed."""
    figures: list[Figure] = []
    failures: list[str] = []
    for name in names or vendors():
        started = time.monotonic()
        found: list[Figure] = []
        try:
            for part in only or PARTS:
                found += PARTS[part](place, name, quick)
                place.processes.stop_all()
        except (RuntimeError, httpx.HTTPError) as error:
            failures.append(f"{name}: {error}")
            print(f"  {name}: {error}", file=sys.stderr)
            place.processes.stop_all()
        seconds = time.monotonic() - started
        print_table(f"6. {name}", found, seconds)
        keep(place.home, f"crms-{name}", found, seconds, quick=quick)
        figures += [replace(figure, what=f"{name}: {figure.what}") for figure in found]
    place.drop(DATABASE, TEMPLATE)
    if failures:
        raise RuntimeError("\n".join(failures))
    return figures


@dataclass
class StandIn:
    """A vendor's stand-in in a running sandbox, and workers that read it."""

    place: Place
    sandbox: Sandbox
    name: str
    authorization: str = ""
    tokens: list[tuple[Any, ...]] = field(default_factory=list)
    connection: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.connection = self.control("connection")

    def control(self, page: str = "", method: str = "GET", said: Any = None) -> Any:
        answer = httpx.request(
            method, f"{self.sandbox.url}/control/crm/{self.name}/{page}".rstrip("/"), json=said, timeout=600
        )
        return answer.raise_for_status().json()

    def database(self) -> Warehouse:
        """An empty one, but for the tokens of the last: a refresh token may be good for one use."""
        warehouse = _copied(self.place)
        for row in self.tokens:
            warehouse.execute(
                "insert into ops.token (system, access_token, refresh_token, expires_at, extra, granted_by)"
                " values (%s, %s, %s, %s, %s::jsonb, %s)",
                list(row),
            )
        return warehouse

    def work(self, how: str, warehouse: Warehouse, **more: str) -> Spent:
        """Run a contender."""
        dlt = self.place.home / "dlt"
        dlt.mkdir(exist_ok=True)
        env = {
            **self.sandbox.environment,
            **{f"SVERKA_{self.name.upper()}_{key.upper()}": str(value) for key, value in self.connection.items()},
            CONNECTION: msgspec.json.encode(self.connection).decode(),
            AUTHORIZATION: self.authorization,
            "DLT_DATA_DIR": str(dlt),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "RUNTIME__LOG_LEVEL": "ERROR",
            **more,
        }  # fmt: skip
        requests = self.place.home / f"requests-{self.name}.json"
        spent = self.place.worker(
            "benchmarks.crms_worker", how, self.name, warehouse.url, str(requests), env=env
        )
        self.authorization = str(spent.said.get("authorization") or self.authorization)
        columns = "system, access_token, refresh_token, expires_at, extra::text, granted_by"
        self.tokens = warehouse.rows(f"select {columns} from ops.token") or self.tokens
        print(f"  {self.name}: {how} {spent.wall:.1f} s, {spent.said['rows']:,} rows", file=sys.stderr)
        return spent


@functools.cache
def _migrated(place: Place) -> Warehouse:
    return place.database(TEMPLATE)


def _copied(place: Place) -> Warehouse:
    """An empty database, copied from one that was migrated."""
    server = _migrated(place).url.rsplit("/", 1)[0]
    with psycopg.connect(f"{server}/postgres", autocommit=True) as conn:
        conn.execute(f"drop database if exists {DATABASE} with (force)".encode())
        conn.execute(f"create database {DATABASE} template {TEMPLATE}".encode())
    return Warehouse(f"{server}/{DATABASE}")


# ---- The parts -----------------------------------------------------------------------------------


def _speed(place: Place, name: str, quick: bool) -> list[Figure]:
    """Rows per second of the contenders, and requests per 1,000 records, of one stand-in without limits."""
    repeats = 1 if quick else REPEATS
    known = described(name)
    size = min((DEALS // 10 if quick else DEALS) // known.slow, known.listed)
    stand_in = StandIn(place, place.sandbox(size, "--no-limits"), name)
    stand_in.work("memory", stand_in.database())  # the first reader waits for the stand-in to word its rows
    contenders = ("deals", "floor", "dlt") if known.dlt else ("deals",)
    runs: dict[str, list[Spent]] = {how: [] for how in contenders}
    for _ in range(repeats):
        for how, spent in runs.items():
            spent.append(stand_in.work(how, stand_in.database()))
    counts = {how: {int(run.said["rows"]) for run in spent} for how, spent in runs.items()}
    (deals,) = counts["deals"]
    rates = {how: middle([run.said["rows"] / run.wall for run in spent]) for how, spent in runs.items()}
    figures = [Figure("ours", rates["deals"], "deals/s", note=_of(runs["deals"]))]
    if known.dlt:
        if counts["floor"] != {deals} or min(counts["dlt"]) < min(deals, DLT_DEALS):
            raise RuntimeError(f"the contenders did not read the same: {counts}")
        bare = "floor: the same requests, bare httpx and COPY"
        first = "" if deals in counts["dlt"] else f"the first {max(counts['dlt']):,} of {deals:,} deals; "
        figures += [
            Figure(bare, rates["floor"], "deals/s", note=_of(runs["floor"])),
            Figure("dlt rest_api", rates["dlt"], "deals/s", note=first + _of(runs["dlt"])),
            Figure("ours / dlt", rates["deals"] / rates["dlt"], "times", at_least=TIMES_DLT),
            Figure("ours / floor", rates["deals"] / rates["floor"], "share", at_least=SHARE_OF_FLOOR),
        ]
    return [*figures, *_requests(stand_in)]


def _requests(stand_in: StandIn) -> list[Figure]:
    """Requests per 1,000 records of a full read of everything, and of what people changed after it."""
    warehouse = stand_in.database()
    stand_in.control("usage", "DELETE")
    whole = stand_in.work("everything", warehouse)
    full = stand_in.control("usage")["requests"]
    done = stand_in.control("change", "POST", {"seed": 11, "count": CHANGES})["done"]
    stand_in.control("usage", "DELETE")
    again = stand_in.work("everything", warehouse)
    changed = stand_in.control("usage")["requests"]
    return [
        Figure(
            "requests per 1,000 records, everything", 1000 * full / whole.said["rows"], "",
            note=f"{full:,} requests, {whole.said['rows']:,} records",
        ),
        Figure(
            f"requests for {len(done):,} changes", float(changed), "",
            note=f"{again.said['rows']:,} records new, changed or deleted, {again.said['received']:,} received",
        ),
    ]  # fmt: skip


def _rate(place: Place, name: str, quick: bool) -> list[Figure]:
    """A read of everything while the vendor's limits are on, and the share of the permitted rate that it used."""
    known = described(name).limited
    if known is None:
        return []
    deals = known.deals // 2 if quick else known.deals
    stand_in = StandIn(place, place.sandbox(deals), name)
    stand_in.control("usage", "DELETE")
    spent = stand_in.work("everything", stand_in.database(), **{LIMITED: "1"})
    said = stand_in.control("usage")
    limits = {what: limit for what, limit in said["limits"].items() if limit["limit"] < UNLIMITED}
    denied = float(sum(limit["denied"] for limit in limits.values()))
    used = ", ".join(
        f"{what}: {limit['peak']:,} of {limit['limit']:,}"
        + (f" in {limit['seconds']:,.0f} s" if limit["seconds"] else " at once")
        for what, limit in limits.items()
    )
    return [
        Figure("requests denied by a limit", denied, "", at_most=0, note=used),
        *_share(name, list(limits.values()), said["requests"], spent),
        *_day(place, name),
    ]


def _day(place: Place, name: str) -> list[Figure]:
    """Of a vendor that counts a day's calls or credits: the share of them at which reading stops by itself."""
    limited = described(name).limited
    if limited is None or (day := limited.day) is None:
        return []
    place.processes.stop_all()
    stand_in = StandIn(place, place.sandbox(day.deals), name)
    httpx.post(f"{stand_in.sandbox.url}/{name}/control/options", json=day.options).raise_for_status()
    stand_in.control("usage", "DELETE")
    told = {f"SVERKA_{name.upper()}_{key.upper()}": value for key, value in day.connection.items()}
    spent = stand_in.work("spend", stand_in.database(), **{LIMITED: "1", **told})
    used = stand_in.control("usage")["limits"][day.window]
    note = f"{used['granted']:,} of {used['limit']:,}, {used['denied']} denied; {spent.said['rows']:,} records received"
    return [
        Figure("share of the day's allowance", used["granted"] / used["limit"], "share", at_least=SHARE_OF_RATE, note=note),
        Figure("of it denied", float(used["denied"]), "", at_most=0),
    ]  # fmt: skip


def _share(name: str, limits: list[dict[str, Any]], requests: int, spent: Spent) -> list[Figure]:
    """Requests granted as a share of those permitted in the time of the run.

    Of a short window the vendor's own count is what permits; of one that is longer than the run the bucket by
    which our budget keeps it. None where the vendor has no rate, or the read was over before it was felt.
    """
    declared = importlib.import_module(f"resources.crm.{name}").LIMITS
    if declared is None:
        return []
    rate, burst = declared
    window = max(limits, key=lambda limit: limit["granted"] if limit["seconds"] else -1)
    how = "what the vendor's window permits"
    if 0 < window["seconds"] <= SHORT_WINDOW:
        rate, burst = window["limit"] / window["seconds"], float(window["limit"])
    else:
        how = f"a burst of {burst:,.0f} and {rate:.2f} a second"
    if requests <= burst:
        return []
    permitted = burst + rate * window["over"]
    note = f"{window['granted']:,} of {permitted:,.0f} in {window['over']:.0f} s: {how}; {spent.said['rows']:,} records"
    return [
        Figure("share of the permitted rate", window["granted"] / permitted, "share", at_least=SHARE_OF_RATE, note=note)
    ]  # fmt: skip


def _memory(place: Place, name: str, quick: bool) -> list[Figure]:
    """Peak memory of the process that reads few deals, and many."""
    peaks = {}
    for size in (QUICK_FEWER, QUICK_MORE) if quick else (FEWER, MORE):
        stand_in = StandIn(place, place.sandbox(size // described(name).slow, "--no-limits"), name)
        spent = stand_in.work("memory", stand_in.database())
        peaks[spent.said["rows"]] = spent.peak_mb
        place.processes.stop_all()
    (_, low), (_, high) = peaks.items()
    return [
        *(Figure(f"peak memory, {rows:,} deals", peak, "MB", at_most=MAX_MB) for rows, peak in peaks.items()),
        Figure("growth of peak memory", high / low, "times", at_most=MAX_GROWTH),
    ]


PARTS: Final[Mapping[str, Callable[[Place, str, bool], list[Figure]]]] = {
    "speed": _speed,
    "rate": _rate,
    "memory": _memory,
}


def _of(runs: list[Spent]) -> str:
    cpu, database = middle([run.cpu for run in runs]), middle([run.database for run in runs])
    seconds = " ".join(f"{run.wall:.1f}" for run in runs)
    return f"{seconds} s by the clock; processor {cpu:.1f} s, database {database:.1f} s"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crms", description="Some of the CRMs.")
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"of {', '.join(vendors())}; all without one"
    )
    parser.add_argument(
        "--only", action="append", choices=PARTS, default=[], help="may be given several times"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes")
    parser.add_argument(
        "--home", type=Path, default=None, help="default: bench in SVERKA_HOME, else .sverka/bench"
    )
    said = parser.parse_args()
    with Place(said.home or bench_home()) as place:
        figures = run(place, quick=said.quick, names=said.names or None, only=said.only)
    return 1 if any(figure.verdict == "not met" for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
