"""The whole road for a long history: core, documents with the gate, ledger, marts, beside a plain COPY.

The records are in raw already: 300,000 deals with 900,000 lines, and accounting's documents, payments and
entries as if the deals had been carried. COPY brings the same records, as text of the same size, into tables
of four columns without a key. Planning is told by itself: it writes the operation ledger, which is no table
of the road.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Figure
from benchmarks.history import as_if_carried, lay, road_of, take_shapes
from benchmarks.place import Place, peak_mb
from pipelines import checks, laws, sync
from pipelines.sync import Road
from pipelines.table import stage_tables, tables
from resources.warehouse import Warehouse

DEALS: Final = 300_000
TIMES_COPY: Final = 8.0
MAX_MB: Final = 600.0
CHUNK: Final = 1 << 20


def run(place: Place, *, quick: bool) -> list[Figure]:
    deals = DEALS // 10 if quick else DEALS
    shapes = take_shapes(place)
    warehouse = place.database("bench_road")
    sandbox = place.sandbox(1, "--no-limits")
    with road_of(warehouse, sandbox, "road") as road:
        counts = lay(warehouse, shapes, deals)
        copied, copied_deals = (
            _copy_seconds(warehouse, list(counts)),
            _copy_seconds(warehouse, ["bitrix24_deal", "bitrix24_deal_line"]),
        )
        import great_expectations  # noqa: F401  # a process pays for it once, and `runs` shows it

        seconds = _stages(road, place)
    problems = [law.sentence for law in laws.check(warehouse) if not law.holds]
    if problems:
        raise RuntimeError(f"the history does not hold the laws: {problems}")
    variances = warehouse.rows("select reason, count(*) from ledger.variance group by reason order by reason")
    return [
        *_figures(seconds, sum(counts.values()), copied, copied_deals, deals),
        Figure(
            "variances found",
            float(sum(n for _, n in variances)),
            "rows",
            note=", ".join(f"{n} {r}" for r, n in variances),
        ),
        Figure("peak memory of the process", peak_mb(), "MB", at_most=MAX_MB),
    ]


def _figures(
    seconds: dict[str, tuple[float, float]], records: int, copied: float, copied_deals: float, deals: int
) -> list[Figure]:
    road = sum(wall for stage, (wall, _) in seconds.items() if stage != "plan")
    found = [
        Figure(stage, wall, "s", note=f"processor {cpu:.1f} s (ours and the database's)"
               + ("; not counted: writes the operation ledger" if stage == "plan" else ""))
        for stage, (wall, cpu) in seconds.items()
    ]  # fmt: skip
    return [
        *found,
        Figure("the road", road, "s", note=f"{deals:,} deals, {records:,} records in raw"),
        Figure("COPY of the same records", copied, "s", note="median of 3"),
        Figure("the road / COPY", road / copied, "times", at_most=TIMES_COPY),
        Figure("core / COPY of deals and lines alone", seconds["core"][0] / copied_deals, "times"),
    ]


def _stages(road: Road, place: Place) -> dict[str, tuple[float, float]]:
    """Seconds by stage, clock and processor, run as the graph runs them."""
    spent: dict[str, tuple[float, float]] = {}

    def timed(name: str, work: Callable[[], Any]) -> None:
        gc.collect()
        cpu, wall = time.process_time() + place.database_seconds(), time.perf_counter()
        work()
        spent[name] = (
            time.perf_counter() - wall,
            time.process_time() + place.database_seconds() - cpu,
        )
        _log(f"  {name}: {spent[name][0]:.1f} s")

    documents = [table.name for table in stage_tables("documents")]
    timed("core", lambda: _told(sync.refresh_stage(road, "core")))
    timed("documents and the gate", lambda: checks.gated_documents(road, documents, _log))
    timed("plan", lambda: sync.plan_operations(road))
    as_if_carried(road.warehouse)
    timed("ledger", lambda: _told(sync.refresh_stage(road, "ledger")))
    timed("marts", lambda: _read_marts(road.warehouse))
    return spent


def _read_marts(warehouse: Warehouse) -> None:
    """Marts are views: their work is done by who reads them, so each is read once, every row and column."""
    for table in stage_tables("marts"):
        if table.is_view and not table.arguments:
            warehouse.rows(f"select count(*), max(md5(m::text)) from {table.name} m")


def _copy_seconds(warehouse: Warehouse, names: list[str]) -> float:
    """COPY the records of these raw tables into plain tables; the median of three times."""
    times = []
    with tempfile.TemporaryDirectory() as folder, warehouse.connect() as conn:
        for name in names:
            with (
                (Path(folder) / name).open("wb") as file,
                conn.cursor().copy(
                    f"copy (select source_id, parent_id, modified_at, payload from raw.{name}) to stdout".encode()
                ) as copy,
            ):
                for part in copy:
                    file.write(part)
        for _ in range(3):
            conn.execute("drop schema if exists plain cascade")
            conn.execute("create schema plain")
            conn.commit()
            started = time.perf_counter()
            for name in names:
                conn.execute(
                    f"create table plain.{name} (source_id text, parent_id text, modified_at timestamptz, payload jsonb)".encode()
                )
                conn.commit()
                with (
                    (Path(folder) / name).open("rb") as file,
                    conn.cursor().copy(f"copy plain.{name} from stdin".encode()) as copy,
                ):
                    while part := file.read(CHUNK):
                        copy.write(part)
                conn.commit()
            times.append(time.perf_counter() - started)
        conn.execute("drop schema plain cascade")
        conn.commit()
    return sorted(times)[1]


def _told(_: object) -> None:
    return None


def _log(line: str) -> None:
    print(line, file=sys.stderr)


__all__ = ["run", "tables"]
