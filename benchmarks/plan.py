"""Planning ten thousand changed deals of a million: what a sync does from the change in core to the plan.

Twenty thousand deals are laid through the whole road; `plan.sql` copies their rows, in the road's own tables with the
road's own indexes, until there are a million: deals and lines in core, documents, verified operations, and what
accounting holds of them. Tables that planning does not read (raw, entries, the operations' events) stay those of the
originals. That a copy is what the road would have made is shown: looked at again, it makes nothing new.

Of the changed deals one half have other prices and are invoiced and shipped, so that invoices are updated and an
accountant is asked about what is posted; a quarter are won just now, and get an invoice and a posted realization; a
quarter have another title, which accounting does not show.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from typing import Any, Final

import psycopg

from benchmarks.figures import Figure
from benchmarks.history import MAPPINGS, as_if_carried, as_if_read_back, lay, road_of, take_shapes
from benchmarks.place import Place, Sandbox, Spent, measured, middle, peak_mb, say
from pipelines import checks, sync
from pipelines.sync import Road
from pipelines.table import stage_tables
from resources.warehouse import Warehouse

DEALS: Final = 1_000_000
ORIGINALS: Final = 20_000  # deals that are laid through the road
CHANGED: Final = 10_000
WARMING: Final = 100  # deals of a first round that is not counted
ROUNDS: Final = 3
MAX_SECONDS: Final = 10.0
MAX_MB: Final = 600.0
BYTES_A_DEAL: Final = 9_500  # on the disk, indexes with it
LOG_BYTES: Final = 4_500_000_000  # of the write-ahead log while it is laid (max_wal_size)


def run(place: Place, *, quick: bool) -> list[Figure]:
    deals, changed = (DEALS // 10, CHANGED // 10) if quick else (DEALS, CHANGED)
    free, needed = shutil.disk_usage(place.home).free, deals * BYTES_A_DEAL + LOG_BYTES
    if free < needed:
        raise RuntimeError(
            f"{deals:,} deals need {needed / 1e9:.0f} GB in {place.home}, where {free / 1e9:.0f} GB are free;"
            " give another folder with --home, or run it with --quick"
        )
    shapes = take_shapes(place)
    sandbox = place.sandbox(1, "--no-limits")
    warehouse = place.database("bench_plan")
    started = time.perf_counter()
    with road_of(warehouse, sandbox, "plan") as road:
        lay(warehouse, shapes, ORIGINALS)
        _through(road)
        as_if_carried(warehouse)
        _through(road)
        sync.refresh_stage(road, "ledger")
        as_if_read_back(warehouse)
        planned = sync.plan_operations(road)  # what accounting holds is seen
        if not planned.quiet:
            raise RuntimeError(f"what was read back is not what was written: {planned}")
        sync.tidy(road)
    _copy(warehouse, deals // ORIGINALS)
    laid = time.perf_counter() - started
    counts = _counts(warehouse)
    spent = place.worker("benchmarks.plan", warehouse.url, str(changed), env=_environment(sandbox, warehouse))
    place.drop("bench_plan")
    return _figures(spent, changed, counts, laid)


def _figures(spent: Spent, changed: int, counts: dict[str, int], laid: float) -> list[Figure]:
    said = spent.said
    rows = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    return [
        Figure("history", counts["deals"], "deals", note=f"{rows}; laid in {laid:.0f} s"),
        Figure(f"documents of {changed:,} changed deals, with the gate", middle(said["documents"]), "s",
               note=_rounds(said["documents"])),
        Figure("planning alone", middle(said["plan"]), "s", at_most=MAX_SECONDS,
               note=f"{_rounds(said['plan'])}; {said['told']}"),
        Figure("peak memory of our process", spent.peak_mb, "MB", at_most=MAX_MB),
        Figure("peak memory of its PostgreSQL process", said["backend_mb"], "MB", note="shared buffers among it"),
    ]  # fmt: skip


def _rounds(seconds: list[float]) -> str:
    return "rounds of " + ", ".join(f"{one:.1f}" for one in seconds) + " s"


def _through(road: Road) -> None:
    """The road up to the plan, for everything."""
    sync.refresh_stage(road, "core")
    checks.gated_documents(road, [table.name for table in stage_tables("documents")], lambda _: None)
    sync.plan_operations(road)


def _copy(warehouse: Warehouse, times: int) -> None:
    """So many times the deals that are there, the originals counted in."""
    from pathlib import Path

    statements = Path(__file__).with_name("plan.sql").read_text(encoding="utf-8").split(";\n")
    with warehouse.connect() as conn:
        conn.execute(
            "set session_replication_role = replica"
        )  # the states and events of operations are not gone through
        conn.execute("set synchronous_commit = off")
        conn.execute("create temporary table original as select deal_id, source_id from core.deal")
        conn.execute(
            "create temporary table twin (deal_id text primary key, number text, new_id text, new_number text, invoice text,"
            " realization text, new_invoice text, new_realization text)"
        )
        cursor = psycopg.ClientCursor(conn)
        for copy in range(1, times):
            for statement in statements:
                if statement.strip():
                    cursor.execute(statement.encode(), {"copy": str(copy)})
            conn.commit()
    with warehouse.connect() as conn:
        conn.autocommit = True
        conn.execute("vacuum analyze")


def _counts(warehouse: Warehouse) -> dict[str, int]:
    tables = {
        "deals": "core.deal", "lines": "core.deal_line", "documents": "documents.document", "operations": "ops.operation",
    }  # fmt: skip
    return {name: int(warehouse.scalar(f"select count(*) from {table}")) for name, table in tables.items()}


def _environment(sandbox: Sandbox, warehouse: Warehouse) -> dict[str, str]:
    return sandbox.environment | {
        "SVERKA_MAPPINGS": str(MAPPINGS),
        "SVERKA_DATABASE_URL": warehouse.url,
        "SVERKA_DROP_FOLDER": os.environ.get("SVERKA_DROP_FOLDER", "/tmp"),
    }


# ---- in the worker -------------------------------------------------------------------------

# Deals that no round has changed yet, all over the table; of each sort as many as are asked for.
_CHOOSE: Final = """
    insert into changing
    (select d.deal_id, 'price' from core.deal d where d.stage_code = 'WON' and not exists (
         select from touched t where t.deal_id = d.deal_id) order by md5(d.deal_id) limit %(half)s)
    union all
    (select d.deal_id, 'won' from core.deal d where d.stage_code = 'NEW' and not exists (
         select from touched t where t.deal_id = d.deal_id) order by md5(d.deal_id) limit %(quarter)s)
    union all
    (select d.deal_id, 'title' from core.deal d where d.stage_code = 'EXECUTING' and not exists (
         select from touched t where t.deal_id = d.deal_id) order by md5(d.deal_id) limit %(quarter)s)
"""

# What a refresh of core leaves: rows that differ, and word of them.
_CHANGE: Final = (
    """
    update core.deal_line l set price = price + 1, amount = round((price + 1) * quantity, 2)
    from changing c where c.sort = 'price' and l.deal_id = c.deal_id
    """,
    """
    update core.deal d set amount = (select sum(l.amount) from core.deal_line l where l.deal_id = d.deal_id)
    from changing c where c.sort = 'price' and d.deal_id = c.deal_id
    """,
    "update core.deal d set stage_code = 'WON' from changing c where c.sort = 'won' and d.deal_id = c.deal_id",
    "update core.deal d set title = title || ' (изменена)' from changing c where c.sort = 'title' and d.deal_id = c.deal_id",
    "insert into ops.change_log (table_name, key) select 'core.deal', deal_id from changing order by deal_id",
    "insert into ops.change_log (table_name, key) select 'core.deal_line', deal_id from changing where sort = 'price'",
    "insert into touched select deal_id from changing",
)


def plan_changes(road: Road, changed: int) -> dict[str, Any]:
    """Rounds of changed deals; seconds of documents with the gate, and of the plan."""
    warehouse = road.warehouse
    with measured() as said:
        warehouse.execute("create table if not exists public.touched (deal_id text primary key)")
        _see_that_copies_are_quiet(road)
        documents, plans, told = [], [], ""
        for size in (WARMING, *[changed] * ROUNDS):
            _change(warehouse, size)
            started = time.perf_counter()
            checks.gated_documents(road, [table.name for table in stage_tables("documents")], lambda _: None)
            gated = time.perf_counter()
            planned = sync.plan_operations(road)
            ended = time.perf_counter()
            # An invoice and a realization of each deal with other prices; a posting beside them of each that was won.
            if (planned.updates + planned.asked, planned.new) != (size // 2 * 2, size // 4 * 3):
                raise RuntimeError(f"of {size} changed deals came {planned}")
            sync.plan_operations(road)  # what the plan itself told of is seen
            if size == changed:
                documents.append(gated - started)
                plans.append(ended - gated)
                told = f"{planned.new:,} new operations, {planned.updates:,} updates, {planned.asked:,} questions"
    with warehouse.transaction() as conn:
        said["backend_mb"] = peak_mb(conn.info.backend_pid)
    return said | {"documents": documents, "plan": plans, "told": told}


def _see_that_copies_are_quiet(road: Road) -> None:
    """Raises RuntimeError where a copy is not what the road would make of its deal."""
    with road.warehouse.transaction() as conn:
        conn.execute(
            """
            with looked_at as (select deal_id from core.deal order by md5(deal_id || '-') limit 500)
            insert into ops.change_log (table_name, key)
            select t.name, deal_id from looked_at cross join (values ('core.deal'), ('documents.document')) as t(name)
            """
        )
    outcomes, _ = checks.gated_documents(
        road, [table.name for table in stage_tables("documents")], lambda _: None
    )
    planned = sync.plan_operations(road)
    changed = [name for name, outcome in outcomes.items() if not outcome.quiet]
    if changed or not planned.quiet or planned.looked_at != 500:
        raise RuntimeError(f"copies are not what the road makes: {changed}, {planned}")


def _change(warehouse: Warehouse, size: int) -> None:
    with warehouse.transaction() as conn:
        conn.execute("create temporary table changing (deal_id text primary key, sort text) on commit drop")
        count = conn.execute(_CHOOSE, {"half": size // 2, "quarter": size // 4}).rowcount
        if count != size:
            raise RuntimeError(f"there are {count} deals to change, and not {size}")
        for statement in _CHANGE:
            conn.execute(statement)


def main() -> None:
    logging.disable(logging.INFO)
    url, changed = sys.argv[1:]
    road = Road.from_environment("plan")
    if road.warehouse.url != Warehouse(url).url:
        raise RuntimeError("the worker was given another database than its environment names")
    try:
        with road.warehouse.kept():
            say(plan_changes(road, int(changed)))
    finally:
        road.close()


if __name__ == "__main__":
    main()
