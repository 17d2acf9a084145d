"""Run the suites on what changed and tell Dagster, an asset check an expectation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import dagster as dg

from expectations import CheckResult, suites, validate
from pipelines import sync
from pipelines.documents.gate import GATED, gate, gate_fingerprint, standing
from pipelines.refresh import EVERYTHING, Outcome
from pipelines.sync import Road
from pipelines.table import tables

SEVERITY = {
    "critical": dg.AssetCheckSeverity.ERROR,
    "warning": dg.AssetCheckSeverity.WARN,
    "info": dg.AssetCheckSeverity.WARN,
}
EXAMPLES = 5  # shown in the UI; the rest stands in documents.failure


def last_change(road: Road) -> int:
    """Where the log of changes stands now; what comes after it is what a stage changed."""
    return int(road.warehouse.scalar("select coalesce(max(seq), 0) from ops.change_log") or 0)


def quality(road: Road, changed: Sequence[Outcome], since: int) -> list[dg.AssetCheckResult]:
    """Check the rows that changed after `since` in each table that has a suite."""
    results: list[dg.AssetCheckResult] = []
    for outcome in changed:
        suite = suites().get(outcome.table)
        if suite is None or outcome.table in GATED or outcome.written == 0:
            continue
        table = tables()[outcome.table]
        with road.warehouse.transaction() as conn:
            keys = [
                key
                for (key,) in conn.execute(
                    "select distinct key from ops.change_log where table_name = %s and seq > %s",
                    [table.name, since],
                )
            ]
            conn.execute("create temporary table scope (key text primary key) on commit drop")
            if EVERYTHING in keys:
                rows = ""
            else:
                with conn.cursor().copy("copy scope (key) from stdin") as copy:
                    for key in keys:
                        copy.write_row((key,))
                rows = suite.select(f"{table.scope} in (select key from scope)")
            results += [_asset_check(result) for result in validate(conn, suite, rows)]
    return results


def gated_documents(
    road: Road, selected: Sequence[str], log: Callable[[str], None]
) -> tuple[dict[str, Outcome], list[dg.AssetCheckResult]]:
    """Refresh the documents stage with the gate in its place; BatchBroken stops it as it was."""
    outcomes: dict[str, Outcome] = {}
    results: list[dg.AssetCheckResult] = []
    for table in tables().values():
        if table.stage != "documents":
            continue
        if table.name == "documents.failure":
            outcomes[table.name], results = run_gate(road, log)
        elif table.name in selected or table.name == "documents.held":
            outcomes[table.name] = sync.refresh_table(road, table)
    return outcomes, results


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
