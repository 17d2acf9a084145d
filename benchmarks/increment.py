"""The same thousand changed deals on a long history and on a short one: cost must follow the change.

The deals are those of a hundred clients, ten of each, in both histories, since what a change touches is its
client's documents. Half of them change in their lines, and so in what accounting must hold. The work is the
refresh of all stages, the gate and the plan; the process is warm.
"""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec

from benchmarks.figures import Figure
from benchmarks.history import Shapes, as_if_carried, lay, road_of, take_shapes
from benchmarks.place import Place, Sandbox, middle
from pipelines import checks, sync
from pipelines.raw.load import store_page
from pipelines.sync import Road
from pipelines.table import stage_tables
from resources.connector import Page, Record

LONG: Final = 300_000
SHORT: Final = 10_000
CHANGED: Final = 1_000
CLIENTS: Final = 100
ROUNDS: Final = 4  # the first warms up and is not counted
MAX_TIMES: Final = 1.5


def run(place: Place, *, quick: bool) -> list[Figure]:
    long = LONG // 10 if quick else LONG
    shapes = take_shapes(place)
    sandbox = place.sandbox(1, "--no-limits")
    short_seconds, short_stages = _measure(place, sandbox, shapes, SHORT)
    long_seconds, long_stages = _measure(place, sandbox, shapes, long)
    place.drop("bench_increment")
    return [
        Figure(f"{CHANGED:,} changed of {SHORT:,} deals", short_seconds, "s", note=_told(short_stages)),
        Figure(f"{CHANGED:,} changed of {long:,} deals", long_seconds, "s", note=_told(long_stages)),
        Figure("long / short", long_seconds / short_seconds, "times", at_most=MAX_TIMES),
    ]


def _told(stages: dict[str, float]) -> str:
    return ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in stages.items())


def _measure(place: Place, sandbox: Sandbox, shapes: Shapes, deals: int) -> tuple[float, dict[str, float]]:
    """Median seconds of an increment on a history of so many deals, in all and by stage."""
    warehouse = place.database("bench_increment")
    with road_of(warehouse, sandbox, "increment") as road:
        lay(warehouse, shapes, deals)
        _refresh(road)
        as_if_carried(warehouse)
        _refresh(road)
        rounds = []
        for number in range(ROUNDS):
            changed = _change(road, number)
            if changed != CHANGED:
                raise RuntimeError(f"{changed} deals were changed, and not {CHANGED}")
            rounds.append(_refresh(road))
    stages = {stage: middle([one[stage] for one in rounds[1:]]) for stage in rounds[0]}
    return middle([sum(one.values()) for one in rounds[1:]]), stages


def _refresh(road: Road) -> dict[str, float]:
    """Seconds of every stage, as the graph runs them."""
    spent: dict[str, float] = {}
    documents = [table.name for table in stage_tables("documents")]
    works = {
        "core": lambda: sync.refresh_stage(road, "core"),
        "documents": lambda: checks.gated_documents(road, documents, lambda _: None),
        "plan": lambda: sync.plan_operations(road),
        "ledger": lambda: sync.refresh_stage(road, "ledger"),
        "feedback": lambda: sync.refresh_stage(road, "feedback"),
        "tidy": lambda: sync.tidy(road),
    }
    for name, work in works.items():
        started = time.perf_counter()
        work()
        spent[name] = time.perf_counter() - started
    return spent


def _change(road: Road, number: int) -> int:
    """Change the deals in raw as a read would; how many changed."""
    rows = road.warehouse.rows(
        """
        with client as (
            select distinct payload ->> 'companyId' as id from raw.bitrix24_deal where is_current order by 1 limit %s
        )
        select source_id, payload from (
            select d.source_id, d.payload, row_number() over (partition by client.id order by d.source_id) as place
            from client join raw.bitrix24_deal d on d.payload ->> 'companyId' = client.id and d.is_current
            where d.payload ->> 'stageId' = 'WON') numbered
        where place <= %s
        """,
        [CLIENTS, CHANGED // CLIENTS],
    )
    capabilities = road.source(road.mappings.system("bitrix24")).capabilities
    lines = road.warehouse.rows(
        "select source_id, parent_id, payload from raw.bitrix24_deal_line where is_current and parent_id = any(%s)",
        [[source_id for source_id, _ in rows[::2]]],
    )
    page = Page(
        "deal_line",
        [_record(key, body | {"price": body["price"] + 1 + number}, parent) for key, parent, body in lines],
    )
    store_page(road.warehouse, "bitrix24", capabilities, page)
    page = Page(
        "deal", [_record(key, body | {"title": f"Поставка {key}, изменение {number}"}) for key, body in rows]
    )
    return store_page(road.warehouse, "bitrix24", capabilities, page).changed


def _record(key: str, body: dict[str, Any], parent: str | None = None) -> Record:
    return Record(key, msgspec.json.encode(body), None, parent)
