"""What the Dagster steps do: run a stage of the road and tell Dagster about it.

Imported when a step runs, not when the code location loads.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from mappings import MappingError
from pipelines import checks, freshness, laws, sync
from pipelines.alarms import review, tell_people
from pipelines.assets import UP_TO_DATE, asset_key
from pipelines.ledger.apart import untold
from pipelines.ledger.memory import remember_variances, versions_read
from pipelines.operations.breaker import open_breakers
from pipelines.operations.carried import Carried
from pipelines.raw.load import Batch
from pipelines.refresh import Outcome
from pipelines.runs import alive
from pipelines.sync import Road
from pipelines.table import Table, tables
from resources.connector import SourceError, Target
from resources.warehouse import LockHeld

_ROADS: dict[str, Road] = {}
_LIFE = contextlib.ExitStack()  # the sign of life of this process's run


def road_of(context: dg.AssetExecutionContext) -> Road:
    """The road of this run: its schema and rules are brought up to date once a run."""
    if context.run_id not in _ROADS:
        for finished in _ROADS.values():
            finished.close()
        _ROADS.clear()
        _LIFE.close()
        road = Road.from_environment(context.run_id)
        _LIFE.enter_context(road.warehouse.kept())
        with contextlib.suppress(LockHeld):  # the command took it before the run began
            _LIFE.enter_context(alive(road.warehouse, context.run_id))
        changed = sync.prepare(road)
        if changed:
            context.log.info("brought up to date: %s", ", ".join(changed))
        _ROADS[context.run_id] = road
    return _ROADS[context.run_id]


def read_raw(
    context: dg.AssetExecutionContext, system_name: str, entities: Sequence[str], how: Mapping[str, bool]
) -> Iterator[Any]:
    """Read a system; what could not be read stays as it was, and fails no step: nothing else waits for it."""
    road = road_of(context)
    system = road.mappings.system(system_name)
    batches = freshness.read(road, system, entities, **how)
    by_entity: dict[str, list[Batch]] = {}
    for batch in batches:
        by_entity.setdefault(batch.entity, []).append(batch)
    for error in dict.fromkeys(batch.error for batch in batches if batch.error):
        context.log.error(error)
    read_until = freshness.read_until(road.warehouse, system_name)
    results: list[dg.AssetCheckResult] = []  # told last: each names the number of its table's materialization
    for entity in entities:
        found = by_entity.get(entity, [])
        key = dg.AssetKey(["raw", f"{system_name}_{entity}"])
        error = next((b.error for b in found if b.error), "")
        until = read_until.get(entity)
        if dg.AssetCheckKey(key, UP_TO_DATE) in context.selected_asset_check_keys:
            results.append(_up_to_date(key, error))
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={
                **({"read until": dg.MetadataValue.timestamp(until)} if until else {}),
                **({"not read": error} if error else {}),
                "received": sum(b.received for b in found if b.mode != "sweep"),
                "added": sum(b.added for b in found),
                "changed": sum(b.changed for b in found),
                "unchanged": sum(b.unchanged for b in found if b.mode != "sweep"),
                "deleted": sum(b.deleted for b in found),
                "set apart": sum(b.rejected for b in found),
                "read": ", ".join(b.mode for b in found) or "not offered by this system",
            },
        )
    yield from results


def _up_to_date(key: dg.AssetKey, error: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=UP_TO_DATE,
        asset_key=key,
        passed=not error,
        severity=dg.AssetCheckSeverity.WARN,
        description=error or "read just now",
    )


def refresh_stage(context: dg.AssetExecutionContext, stage: str) -> Iterator[Any]:
    """Refresh the selected tables of a stage; yield their materializations and checks."""
    road = road_of(context)
    selected = _selected(context)
    outcomes: dict[str, Outcome] = {}
    results: list[dg.AssetCheckResult] = []
    found: list[laws.Law] = []
    if stage == "documents":
        outcomes, results = checks.gated_documents(road, selected, context.log.info)
    else:
        for outcome in sync.refresh_stage(road, stage, only=selected):
            outcomes[outcome.table] = outcome
        if "marts.sales_forecast" in selected:
            _foretell(context, road)
        if stage == "ledger":
            found = compared_ledger(context, road, selected, outcomes)
        results = checks.quality(road, context.selected_asset_check_keys)
        if stage == "ledger":
            with road.warehouse.transaction() as conn:
                appeared, resolved = remember_variances(conn, context.run_id, versions_read(road))
                told = untold(conn)
            context.log.info("variances: %s appeared, %s resolved", appeared, resolved)
            if told:
                context.log.error("set apart: %s", "; ".join(told))
                tell_people(road.warehouse, "Set apart, the rest goes on:\n" + "\n".join(told))
    yield from _materialized(road, selected, outcomes)
    yield from results
    for law in found:
        if dg.AssetCheckKey(asset_key(law.table), law.name) in context.selected_asset_check_keys:
            yield dg.AssetCheckResult(
                check_name=law.name,
                asset_key=asset_key(law.table),
                passed=law.holds,
                description=law.sentence,
                # What is set apart stops nobody else: docs/decisions/0013-the-ledger-refuses.md
                severity=dg.AssetCheckSeverity.WARN if law.is_apart else dg.AssetCheckSeverity.ERROR,
            )


def compared_ledger(
    context: dg.AssetExecutionContext, road: Road, selected: Sequence[str], outcomes: dict[str, Outcome]
) -> list[laws.Law]:
    """The laws over the ledger, looked at again where accounting's entries and balances disagree; see `laws.compared`."""

    def look(everything: bool) -> bool:
        what = "every document" if everything else "what was posted meanwhile"
        context.log.warning("entries and balances of accounting disagree; looking at %s", what)
        try:
            entities = sync.document_entities(road)
        except (MappingError, SourceError) as error:  # told by the step that reads them
            context.log.error(str(error))
            return False
        batches = freshness.read(road, road.accounting, entities, rescan=everything, sweep=everything)
        for outcome in sync.refresh_stage(road, "ledger", only=selected):
            outcomes[outcome.table] = outcome.after(outcomes[outcome.table])
        return not all(batch.quiet for batch in batches)

    return laws.compared(road.warehouse, look)


def _selected(context: dg.AssetExecutionContext) -> list[str]:
    """Names of the selected tables, parents first: Dagster wants to hear of them in that order."""
    chosen = {".".join(key.path) for key in context.selected_asset_keys}
    return [name for name in tables() if name in chosen]


def carry_documents(
    context: dg.AssetExecutionContext, *, refused_too: bool = False
) -> dg.MaterializeResult[Any]:
    road = road_of(context)
    planned = sync.plan_operations(road)
    try:
        carried = sync.carry_operations(road, refused_too=refused_too)
    except (MappingError, SourceError) as error:  # it cannot even be opened: nothing has left
        carried = Carried(stopped=str(error))
    if carried.stopped:
        context.log.error(carried.stopped)
    states = dict(road.warehouse.rows("select state, count(*) from ops.operation group by state"))
    return dg.MaterializeResult(
        metadata={
            "planned": planned.new,
            "planned anew": planned.changed,
            "held": planned.held,
            "written and verified": carried.written,
            "rejected": carried.rejected,
            "read back right by now": carried.mended,
            "uncertain": carried.uncertain,
            "by state": dg.MetadataValue.json(states),
            "by kind": dg.MetadataValue.json(carried.verified),
            **({"stopped": carried.stopped} if carried.stopped else {}),
            **_left_alone(road),
        }
    )


def _left_alone(road: Road) -> dict[str, str]:
    """Systems that nothing is sent to now: since when, why, and what ends it."""
    told = [breaker.sentence() for breaker in open_breakers(road.warehouse)]
    return {"nothing is sent to": "\n".join(told)} if told else {}


def write_back(context: dg.AssetExecutionContext) -> Iterator[Any]:
    from pipelines.feedback.write import write_back as write

    road = road_of(context)
    selected = _selected(context)
    outcomes = {o.table: o for o in sync.refresh_stage(road, "feedback", only=selected)}
    for line in write(_reachable(context, road)):
        context.log.info(line)
    yield from _materialized(road, selected, outcomes)


def _reachable(context: dg.AssetExecutionContext, road: Road) -> Road:
    """The road with the systems that can be opened: a CRM that cannot keeps nothing from the others."""
    found = []
    for system in road.mappings.systems:
        try:
            if system.role == "crm" and system.feedback and not isinstance(road.target(system), Target):
                raise SourceError(f"its connector {system.connector} cannot write; remove `feedback`")
            found.append(system)
        except (MappingError, SourceError) as error:
            context.log.error("%s is not written to: %s", system.name, error)
    return replace(road, mappings=replace(road.mappings, systems=tuple(found)))


def conclude(context: dg.AssetExecutionContext, systems: Sequence[str]) -> Iterator[Any]:
    """The end of a run: tidy up, say which sources did not answer, and tell people if that is news to them."""
    road = road_of(context)
    sync.tidy(road)
    batches = road.warehouse.rows(
        "select source, entity, status, rejected, message from ops.batch where run_id = %s", [context.run_id]
    )
    failed = [f"{source} {entity}" for source, entity, status, _, _ in batches if status != "loaded"]
    sources = review(road.warehouse, road.mappings)
    yield dg.MaterializeResult(
        metadata={
            "readings": len(batches),
            "sources": dg.MetadataValue.md(_sources(sources)),
            **({"not read": ", ".join(dict.fromkeys(failed))} if failed else {}),
            **_left_alone(road),
        },
        check_results=[_accounted_for(name, [b for b in batches if b[0] == name]) for name in systems],
    )


def _foretell(context: dg.AssetExecutionContext, road: Road) -> None:
    from pipelines.forecast import foretell

    with road.warehouse.transaction() as conn:
        row = conn.execute("select current_date").fetchone()
        assert row is not None
        context.log.info("sales foretold: %s rows", foretell(conn, row[0]))


def _sources(sources: Sequence[freshness.Freshness]) -> str:
    lines = ["| system | read until | what is wrong |", "|---|---|---|"]
    for source in sources:
        until = freshness.moment_of(source.read_until) if source.read_until else "never"
        cells = (source.system, until, source.sentence())
        lines.append(f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in cells)} |")
    return "\n".join(lines)


def _accounted_for(system: str, batches: Sequence[tuple[Any, ...]]) -> dg.AssetCheckResult:
    errors = list(
        dict.fromkeys(
            message or "it was not read to its end"
            for _, _, status, _, message in batches
            if status != "loaded"
        )
    )
    apart = sum(rejected for _, _, _, rejected, _ in batches)
    return dg.AssetCheckResult(
        check_name=f"{system}_is_accounted_for",
        passed=not errors and not apart,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(errors[:3])
        or (f"{apart} records are set apart in ops.quarantine" if apart else "nothing received is lost"),
    )


def _materialized(
    road: Road, names: Sequence[str], outcomes: Mapping[str, Outcome]
) -> Iterator[dg.MaterializeResult[Any]]:
    rows = road.warehouse.rows(
        "select table_name, metadata, lineage from ops.table_version where table_name = any(%s)",
        [list(names)],
    )
    known = {name: (metadata, lineage) for name, metadata, lineage in rows}
    for name in names:
        metadata = _metadata(road, tables()[name], outcomes.get(name), *known.get(name, (None, None)))
        yield dg.MaterializeResult(asset_key=asset_key(name), metadata=metadata)


def _metadata(
    road: Road, table: Table, outcome: Outcome | None, known: Mapping[str, Any] | None, lineage: Any
) -> Mapping[str, Any]:
    """Row count and money totals, counted anew only where something changed; column lineage.

    `known`, `lineage`: what was found the last time, None where it is to be found now.
    """
    if lineage is None:
        lineage = _lineage(road, table)
    if table.is_view:
        known = {}
    elif known is None or (outcome is not None and not outcome.quiet) or _is_filled_elsewhere(table):
        known = _count(road, table)
    metadata: dict[str, Any] = {
        "dagster/" + k if k == "row_count" else k: v for k, v in (known or {}).items()
    }
    if outcome is not None:
        metadata |= {
            "scopes rebuilt": outcome.scopes,
            "rows written": outcome.written,
            "rows removed": outcome.removed,
        }
    if lineage:
        metadata["dagster/column_lineage"] = dg.TableColumnLineage(
            {
                column: [
                    dg.TableColumnDep(asset_key(name), of)
                    for name, of in dict.fromkeys((str(n), str(o)) for n, o in origins)
                    if not name.startswith("ops.")
                ]
                for column, origins in lineage.items()
            }
        )
    return metadata


def _is_filled_elsewhere(table: Table) -> bool:
    """A command may have changed it, so that no outcome of this run tells whether its count still holds."""
    return table.rows == "python" and table.name not in sync.WORKED_OUT


def _lineage(road: Road, table: Table) -> Any:
    """Read from the table's SQL once, then kept: sqlglot takes longer than many a refresh."""
    from pipelines.lineage import column_lineage

    reads = road.reads.get(table.name)
    found = column_lineage(table, reads.sources if reads else ())
    road.warehouse.execute(
        "update ops.table_version set lineage = %s::jsonb where table_name = %s",
        [json.dumps(found), table.name],
    )
    return found


def _count(road: Road, table: Table) -> dict[str, Any]:
    money = [
        c for c in table.money if next(k for k in table.columns if k.name == c).type.startswith("numeric")
    ]
    by = [c for c in table.money if c not in money]
    found: dict[str, Any] = {
        "row_count": int(road.warehouse.scalar(f"select count(*) from {table.name}") or 0)
    }
    for column in money:
        if by:
            rows = road.warehouse.rows(
                f"select coalesce({by[0]}, '?'), sum({column})::text from {table.name} group by 1 order by 1"
            )
            found[f"total {column}"] = ", ".join(f"{amount} {currency}" for currency, amount in rows)
        else:
            found[f"total {column}"] = str(
                road.warehouse.scalar(f"select sum({column}) from {table.name}") or 0
            )
    if ignored := sync.ignored_records(road, table):
        found["left out by rule"] = ", ".join(f"{rule}: {count}" for rule, count in ignored.items())
    road.warehouse.execute(
        "update ops.table_version set metadata = %s::jsonb where table_name = %s",
        [json.dumps(found), table.name],
    )
    return found
