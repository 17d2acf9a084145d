"""Ten thousand documents carried into each accounting system, beside the time that its own limits ask for.

Every request is answered after 50 ms, and every document takes 50 ms of the target's time: a batch of twenty-five
as much as twenty-five single ones, for its parts are carried out one after the other. The bound counts the writes
alone, with as many under way as the connection permits; reading back, comparing, and the operation ledger have to
find their time beside them. QuickBooks permits 40 batches of 30 and 460 other requests a minute, which is slower than
its answers: its limits are in force, and a refusal for going beyond them counts as a failure.

A small company is really read and really carried first; bodies of its documents, under other keys, are what is
carried then, so what they need is in accounting. The 1C documents are an invoice and a posted realization a deal.
SAP is carried into a second time with batches answered as quickly as single writes: what this machine can do.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from benchmarks.figures import Figure
from benchmarks.history import MAPPINGS
from benchmarks.place import Place, Sandbox, Spent, measured, say
from pipelines.sync import Road
from resources.accounting.onec.connector import CONCURRENCY as ONEC_AT_ONCE
from resources.accounting.quickbooks.company import BATCHES_A_MINUTE, MAX_BATCH, REQUESTS_A_MINUTE
from resources.accounting.sap.connection import CONCURRENCY as SAP_AT_ONCE
from resources.http import Client
from resources.warehouse import Warehouse

DOCUMENTS: Final = 10_000
SMALL: Final = 60  # deals of the company that is really carried
ANSWER: Final = 0.050  # seconds, of a request and of each document in a batch
SHARE_OF_BOUND: Final = 0.80
MAX_MB: Final = 600.0


@dataclass(frozen=True, slots=True)
class Bound:
    """The shortest time that a target's limits allow, and how it is reckoned."""

    seconds: float
    told: str


@dataclass(frozen=True, slots=True)
class Target:
    """One accounting system: its mapping file, the kinds of a deal's documents, what its limits allow."""

    name: str
    mapping: Path
    kinds: tuple[str, ...]
    bound: Callable[[int, int], Bound]  # of (documents, writes)
    http: Callable[[Any], list[Client]]  # the clients inside its connector
    part: bytes  # what stands in a batch once a document
    reworded: tuple[tuple[str, str], ...] = ()  # of the CRM's mapping file
    limits: bool = False  # of its rate: they are in force


def _onec_bound(documents: int, writes: int) -> Bound:
    return Bound(
        writes * ANSWER / ONEC_AT_ONCE,
        f"no batches: {writes:,} writes of {ANSWER * 1000:.0f} ms, {ONEC_AT_ONCE} at once (concurrency)",
    )


def _sap_bound(documents: int, writes: int) -> Bound:
    return Bound(
        writes * ANSWER / SAP_AT_ONCE,
        f"{writes:,} change sets of {ANSWER * 1000:.0f} ms, {SAP_AT_ONCE} sessions (concurrency)",
    )


def _quickbooks_bound(documents: int, writes: int) -> Bound:
    singly = REQUESTS_A_MINUTE - BATCHES_A_MINUTE
    a_minute = BATCHES_A_MINUTE * MAX_BATCH + singly
    return Bound(
        writes * 60 / a_minute,
        f"{BATCHES_A_MINUTE:.0f} batches of {MAX_BATCH} and {singly:.0f} other requests a minute: {a_minute:,.0f} documents",
    )


READY: Final = MAPPINGS.parent / "accounting"
TARGETS: Final = (
    Target(
        "onec", MAPPINGS / "onec.yaml", ("invoice", "realization"), _onec_bound,
        lambda base: [base.session._http], b"\0",
    ),
    Target(
        "sap", READY / "sap.yaml", ("order",), _sap_bound,
        lambda sap: [seat.client for seat in sap.session._all], b"Content-Type: application/http\r\n",
        (("documents: [invoice, realization]", "documents: [order, realization]"),
         ("documents: [invoice]", "documents: [order]")),
    ),
    Target(
        "quickbooks", READY / "quickbooks.yaml", ("realization",), _quickbooks_bound,
        lambda books: [books.company.client], b'"bId":', limits=True,
    ),
)  # fmt: skip


def run(place: Place, *, quick: bool, only: Sequence[str] = ()) -> list[Figure]:
    """`only`: names of targets; all without any. Raises ValueError for one that there is not."""
    if unknown := set(only) - {target.name for target in TARGETS}:
        raise ValueError(f"carry: no target {min(unknown)!r}; there are {', '.join(t.name for t in TARGETS)}")
    documents = DOCUMENTS // 10 if quick else DOCUMENTS
    figures: list[Figure] = []
    for target in TARGETS:
        if not only or target.name in only:
            figures += _measure(place, target, documents, ANSWER)
    return figures if only else figures + _measure(place, TARGETS[1], documents, 0.0)


def _measure(place: Place, target: Target, documents: int, a_part: float) -> list[Figure]:
    """Carry so many documents into a target of its own; `a_part`: seconds for each further document of a batch."""
    warehouse = place.database("bench_carry")
    limits = () if target.limits else ("--no-limits",)
    sandbox = place.sandbox(SMALL, "--latency-ms", str(ANSWER * 1000), *limits)
    folder = _mappings(place.home / "mappings", target)
    env = _environment(sandbox, target, folder)
    arguments = (target.name, warehouse.url, str(a_part))
    place.worker("benchmarks.carry", "small", *arguments, env=env)
    writes = _multiply(warehouse, target, documents)
    usage = f"{sandbox.url}/control/accounting/{target.name}/usage"
    if target.limits:
        httpx.delete(usage, timeout=30)  # the small company's requests are no part of the minute
    before = _processor(sandbox)
    spent = place.worker("benchmarks.carry", "load", *arguments, env=env)
    of_sandbox = _processor(sandbox) - before
    denied = 0
    if target.limits:
        limited = httpx.get(usage, timeout=30).json()["limits"]
        denied = sum(int(window["denied"]) for window in limited.values())
    _see_that_all_is_verified(warehouse, target, spent, writes)
    place.processes.stop_all()
    place.drop("bench_carry")
    return _figures(target, spent, documents, writes, of_sandbox, denied, a_part)


def _figures(
    target: Target, spent: Spent, documents: int, writes: int, of_sandbox: float, denied: int, a_part: float
) -> list[Figure]:
    processors = (
        f"processors: ours {spent.cpu:.1f} s, database {spent.database:.1f} s, stand-in {of_sandbox:.1f} s"
    )
    told = f"{documents:,} documents, {writes:,} writes; {processors}"
    name = (
        target.name if a_part or target.name != "sap" else f"{target.name}, batches in {ANSWER * 1000:.0f} ms"
    )
    figures = [
        Figure(f"{name}: carried", spent.wall, "s", note=told),
        Figure(f"{name}: documents a second", documents / spent.wall, "a second"),
        Figure(f"{name}: requests", spent.said["requests"], "", note=_by_kind(spent.said)),
    ]
    if a_part:
        bound = target.bound(documents, writes)
        figures += [
            Figure(f"{name}: bound by its limits", bound.seconds, "s", note=bound.told),
            Figure(f"{name}: bound / carried", bound.seconds / spent.wall, "share", at_least=SHARE_OF_BOUND),
            Figure(f"{name}: peak memory", spent.peak_mb, "MB", at_most=MAX_MB),
        ]
    if target.limits:
        figures.append(Figure(f"{name}: refused for the rate", denied, "", at_most=0))
    return figures


def _by_kind(said: Mapping[str, Any]) -> str:
    return f"{said['batches']} batches, {said['single']} other writes, {said['reads']} reads"


def _see_that_all_is_verified(warehouse: Warehouse, target: Target, spent: Spent, writes: int) -> None:
    """Raises RuntimeError where what was measured is not the whole work."""
    states = dict(
        warehouse.rows(
            "select state, count(*) from ops.operation where target = %s and run_id = 'bench' group by state",
            [target.name],
        )
    )
    if states != {"verified": writes} or spent.said["stopped"]:
        reasons = warehouse.rows(
            "select reason, count(*) from ops.operation where run_id = 'bench' and state <> 'verified'"
            " group by 1 order by 2 desc limit 3"
        )
        raise RuntimeError(f"{target.name}: {states} of {writes}; {spent.said['stopped']} {reasons}")


def _processor(sandbox: Sandbox) -> float:
    times = sandbox.process.cpu_times()
    return float(times.user + times.system)


def _mappings(folder: Path, target: Target) -> Path:
    """The mapping files of one CRM and this target."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    accounting = target.mapping.read_text(encoding="utf-8")
    accounting = accounting.replace("approval: manual ", "approval: auto ")
    (folder / target.mapping.name).write_text(accounting, encoding="utf-8")
    text = (MAPPINGS / "bitrix24.yaml").read_text(encoding="utf-8")
    for old, new in target.reworded:
        if old not in text:
            raise RuntimeError(f"bitrix24.yaml no longer says {old!r}")
        text = text.replace(old, new)
    (folder / "bitrix24.yaml").write_text(text, encoding="utf-8")
    return folder


def _environment(sandbox: Sandbox, target: Target, folder: Path) -> dict[str, str]:
    said = sandbox.environment | {"SVERKA_MAPPINGS": str(folder)}
    if target.name != "onec":
        connection = httpx.get(
            f"{sandbox.url}/control/accounting/{target.name}/connection", timeout=60
        ).json()
        said |= {
            f"SVERKA_{target.name.upper()}_{name.upper()}": str(value) for name, value in connection.items()
        }
    return said


# Deals of which every document was verified, each with all its operations.
_TEMPLATES: Final = """
    create temporary table template as
    select o.*, dense_rank() over (order by o.subject) - 1 as turn
    from ops.operation o
    where o.target = %(target)s and o.kind = any(%(kinds)s) and o.action in ('create', 'post') and o.subject in (
        select subject from ops.operation
        where target = %(target)s and kind = any(%(kinds)s) and action in ('create', 'post')
        group by subject
        having bool_and(state = 'verified') and count(distinct kind) = cardinality(%(kinds)s::text[]))
"""

# The same documents for other deals: other keys, another subject in every text, parents of their own deal.
_COPIES: Final = """
    insert into ops.operation (operation_id, target, kind, action, key, source, source_ref, subject, body, content,
                               content_hash, depends_on, amount, currency, run_id)
    select ops.uuid8(t.operation_id, 'copy/' || n), t.target, t.kind, t.action, ops.uuid8(t.key::uuid, 'copy/' || n)::text,
           t.source, 9000000 + n, s.name, replace(t.body::text, t.subject, s.name)::jsonb,
           replace(t.content::text, t.subject, s.name)::jsonb, t.content_hash,
           array(select case when exists (select from template p where p.operation_id = d) then ops.uuid8(d, 'copy/' || n)
                             else d end from unnest(t.depends_on) as d),
           t.amount, t.currency, 'bench'
    from generate_series(0, %(deals)s - 1) as n
    join template t on t.turn = n %% (select max(turn) + 1 from template)
    cross join lateral (select t.source || ':' || 9000000 + n as name) s
"""


def _multiply(warehouse: Warehouse, target: Target, documents: int) -> int:
    """Approved operations for so many documents; how many operations they are."""
    parameters = {
        "target": target.name, "kinds": list(target.kinds), "deals": documents // len(target.kinds),
    }  # fmt: skip
    with warehouse.transaction() as conn:
        conn.execute(_TEMPLATES, parameters)
        writes = conn.execute(_COPIES, parameters).rowcount
        if writes < documents:
            raise RuntimeError(f"{target.name}: the small company has no document that was carried whole")
        conn.execute(
            "select ops.move_many(array_agg(operation_id), 'approved', 'bench') from ops.operation"
            " where target = %s and run_id = 'bench'",
            [target.name],
        )
    with warehouse.connect() as conn:
        conn.autocommit = True
        conn.execute("vacuum analyze")
    return writes


# ---- in the worker -------------------------------------------------------------------------


def small(target: Target, road: Road) -> dict[str, Any]:
    """Read a small company, plan and carry what it needs, as a sync does."""
    from pipelines import checks, sync
    from pipelines.table import stage_tables

    with measured() as said:
        sync.prepare(road)
        sync.read(road, road.mappings.system("bitrix24"))
        sync.read(road, road.accounting, sync.catalogue_entities(road))
        sync.refresh_stage(road, "core")
        checks.gated_documents(road, [table.name for table in stage_tables("documents")], lambda _: None)
        sync.plan_operations(road)
        said["verified"] = sync.carry_operations(road).verified
    return said


def load(target: Target, road: Road, a_part: float) -> dict[str, Any]:
    """Carry what is approved, as a sync does; requests are counted, and batches take their time."""
    from pipelines import sync

    counts = {"requests": 0, "batches": 0, "single": 0, "reads": 0}

    def count(request: httpx.Request) -> None:
        kind = "batches" if _parts(request) else "single" if _writes(request) else "reads"
        counts[kind] += 1
        counts["requests"] += 1
        request.extensions["left_at"] = time.perf_counter()

    def linger(response: httpx.Response) -> None:
        if (more := _parts(response.request) - 1) > 0:
            due = response.request.extensions["left_at"] + ANSWER + more * a_part
            time.sleep(max(0.0, due - time.perf_counter()))

    def _parts(request: httpx.Request) -> int:
        return request.content.count(target.part) if request.method == "POST" else 0

    for http in target.http(road.target(road.accounting)):
        http.event_hooks |= {"request": [count], "response": [linger]}
        http.close()  # a connection that is there already knows nothing of them
    with measured() as said:
        carried = sync.carry_operations(road)
    return said | counts | {"stopped": carried.stopped, "verified": carried.verified}


def _writes(request: httpx.Request) -> bool:
    return request.method in ("POST", "PATCH") and not request.url.path.endswith(
        ("/query", "/bearer", "/token")
    )


def main() -> None:
    from mappings import load as mappings_in

    logging.disable(logging.INFO)
    how, name, url, a_part = sys.argv[1:]
    target = next(one for one in TARGETS if one.name == name)
    warehouse = Warehouse(url)
    with warehouse.kept():
        road = Road(
            warehouse,
            mappings_in(Path(os.environ["SVERKA_MAPPINGS"])),
            "small" if how == "small" else "bench",
        )
        try:
            say(small(target, road) if how == "small" else load(target, road, float(a_part)))
        finally:
            road.close()


if __name__ == "__main__":
    main()
