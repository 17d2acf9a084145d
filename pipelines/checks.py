"""Run the suites on what changed and tell Dagster, an asset check an expectation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime

import dagster as dg

from expectations import CheckResult, suites, validate
from pipelines import sync
from pipelines.documents.gate import GATED, gate, gate_fingerprint, standing
from pipelines.refresh import Outcome
from pipelines.sync import Road
from pipelines.table import tables

SEVERITY = {
    "critical": dg.AssetCheckSeverity.ERROR,
    "warning": dg.AssetCheckSeverity.WARN,
    "info": dg.AssetCheckSeverity.WARN,
}
EXAMPLES = 5  # shown in the UI; the rest stands in documents.failure


def quality(road: Road, asked: Collection[dg.AssetCheckKey]) -> list[dg.AssetCheckResult]:
    """Check whole tables of data, for the checks that this run asks for (the sync asks for none of them)."""
    results: list[dg.AssetCheckResult] = []
    for name, suite in suites().items():
        keys = {dg.AssetCheckKey(dg.AssetKey(name.split(".", 1)), e.name) for e in suite.expectations}
        if name not in GATED and not keys.isdisjoint(asked):
            with road.warehouse.transaction() as conn:
                results += [_asset_check(result) for result in validate(conn, suite)]
    return [
        r for r in results if dg.AssetCheckKey(r.asset_key or dg.AssetKey([]), r.check_name or "") in asked
    ]


def gated_documents(
    road: Road, selected: Sequence[str], log: Callable[[str], None]
) -> tuple[dict[str, Outcome], list[dg.AssetCheckResult]]:
    """Refresh the documents stage with the gate in its place; BatchBroken stops it as it was."""
    stage = [table for table in tables().values() if table.stage == "documents"]
    gate_at = [table.name for table in stage].index("documents.failure")
    taken = {*selected, "documents.held"}
    outcomes = sync.refresh_tables(road, [table for table in stage[:gate_at] if table.name in taken])
    gated, results = run_gate(road, log)
    outcomes.append(gated)
    outcomes += sync.refresh_tables(road, [table for table in stage[gate_at + 1 :] if table.name in taken])
    return {outcome.table: outcome for outcome in outcomes}, results


def run_gate(road: Road, log: Callable[[str], None]) -> tuple[Outcome, list[dg.AssetCheckResult]]:
    """Apply the gate to the deals that changed. Raises BatchBroken."""
    asked = gate_fingerprint()
    with road.warehouse.transaction() as conn:
        row = conn.execute(
            "select fingerprint from ops.table_version where table_name = 'expectations.documents'"
        ).fetchone()
        outcome = gate(conn, today=datetime.now(UTC).date(), everything=row is None or row[0] != asked)
        conn.execute(
            "insert into ops.table_version (table_name, fingerprint, deployed_at) values ('expectations.documents', %s, now())"
            " on conflict (table_name) do update set fingerprint = excluded.fingerprint, deployed_at = now()"
            " where ops.table_version.fingerprint <> excluded.fingerprint",
            [asked],
        )
        found = standing(conn)
    if outcome.evaluated:
        log(f"the gate looked at {outcome.evaluated} deals and holds {outcome.held} of them")
    for sentence in outcome.broken:
        log(sentence)
    results = [
        dg.AssetCheckResult(
            check_name=check.check,
            asset_key=dg.AssetKey(check.table.split(".", 1)),
            passed=check.failures == 0,
            severity=SEVERITY[check.severity],
            description=f"{check.failures} records of {check.deals} deals fail"
            if check.failures
            else "none fails",
            metadata={
                "failing records": check.failures,
                "deals": check.deals,
                "examples": dg.MetadataValue.md(
                    "\n".join(f"- `{e.key}` {e.reason}" for e in check.examples[:EXAMPLES]) or "none"
                ),
            },
        )
        for check in found
    ]
    return outcome.outcome, results


def _asset_check(result: CheckResult) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=result.name,
        asset_key=dg.AssetKey(result.table.split(".", 1)),
        passed=result.passed,
        severity=SEVERITY[result.severity],
        description=result.sentence,
        metadata={
            "rows checked": result.evaluated,
            "rows failing": result.failed,
            "examples": dg.MetadataValue.md(
                "\n".join(f"- `{e.key}` {e.reason}" for e in result.examples[:EXAMPLES]) or "none"
            ),
        },
    )
