"""Clients in PostgreSQL: a thousand new records beside a million that are known, and a sync without news of any.

Records are of `identity_many`, written straight into core.client_record and core.client_profile as reading them would.
The million is worked out first, as a first load does, and told beside; then three times a thousand come. The process is
warm: the first thousand is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from benchmarks.figures import Figure
from benchmarks.identity_many import many
from benchmarks.identity_profiles import of_clients
from benchmarks.place import Place, middle, peak_mb
from mappings import Mappings
from pipelines.deploy import deploy
from pipelines.identity.store import Refreshed, refresh_identity
from pipelines.table import tables
from resources.warehouse import Connection, Warehouse

SEED: Final = 5
RECORDS: Final = 1_000_000
NEW: Final = 1_000
ROUNDS: Final = 4  # the first warms up and is not counted
NEW_SECONDS: Final = 10
QUIET_SECONDS: Final = 0.05
RECORD: Final = "client_record_id, source, source_id, name, created_at, is_deleted, problems"


def run(place: Place, *, quick: bool, only: Sequence[str] = ()) -> list[Figure]:
    records = RECORDS // 10 if quick else RECORDS
    warehouse = place.database("bench_identity")
    deploy(warehouse, Mappings(Path(), (), ""))
    profile = of_clients(many(records + NEW * ROUNDS, SEED)[0])
    with warehouse.kept():
        _write(warehouse, profile.slice(0, records), told="*")
        first, loaded = _timed(lambda: _refresh(warehouse))
        rounds = []
        for number in range(ROUNDS):
            _write(warehouse, profile.slice(records + number * NEW, NEW))
            rounds.append(_timed(lambda: _refresh(warehouse)))
        quiet = middle([_timed(lambda: _refresh(warehouse))[0] for _ in range(5)])
    seconds, last = middle([spent for spent, _ in rounds[1:]]), rounds[-1][1]
    place.drop("bench_identity")
    note = f"{loaded.records:,} records, {loaded.pairs:,} pairs kept, {loaded.ids.given:,} ids"
    return [
        Figure(f"{records:,} records, a first load", first, "s", note=note),
        Figure("memory of this process", peak_mb(), "MB"),
        Figure(
            f"{NEW:,} new records beside {records:,}", seconds, "s", at_most=NEW_SECONDS,
            note=f"{last.records:,} records, {last.pairs:,} pairs kept, {last.outcome.scopes:,} records clustered anew",
        ),
        Figure("a sync without news of clients", quiet, "s", at_most=QUIET_SECONDS),
    ]  # fmt: skip


def _refresh(warehouse: Warehouse) -> Refreshed:
    with warehouse.transaction() as conn:
        return refresh_identity(conn)


def _timed(work: Callable[[], Refreshed]) -> tuple[float, Refreshed]:
    started = time.perf_counter()
    done = work()
    return time.perf_counter() - started, done


def _write(warehouse: Warehouse, profile: pa.Table, told: str = "") -> None:
    columns = tables()["core.client_profile"].columns
    rows = profile.select([column.name for column in columns])
    with warehouse.transaction() as conn:
        names = ", ".join(column.name for column in columns)
        copied(
            conn, f"core.client_profile ({names})", zip(*(c.to_pylist() for c in rows.columns), strict=True)
        )
        ids, sources, given, made = (
            rows[name].to_pylist() for name in ("client_record_id", "source", "name", "created_at")
        )
        copied(
            conn,
            f"core.client_record ({RECORD})",
            ((i, s, i, n, m, False, []) for i, s, n, m in zip(ids, sources, given, made, strict=True)),
        )
        keys = [told] if told else ids
        for name in ("core.client_profile", "core.client_record"):
            copied(conn, "ops.change_log (table_name, key)", ((name, key) for key in keys))
        if told:
            conn.execute("analyze core.client_profile; analyze core.client_record")


def copied(conn: Connection, into: str, rows: Any) -> None:
    with conn.cursor().copy(f"copy {into} from stdin".encode()) as copy:
        for row in rows:
            copy.write_row(row)
