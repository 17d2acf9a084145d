"""What the gate costs: `python -m benchmarks.gate [deals ...]` prints one row a number of deals.

Each deal has three lines; three in a hundred deals are bad in some way. Seconds are of the whole
gate, from the scope to documents.failure, the first time and again with nothing changed; "processor"
is what this process and the server spent on the first, which a busy machine does not stretch;
memory is the peak of this process.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from datetime import date

import psutil

from pipelines.documents.gate import gate
from pipelines.table import tables
from resources import postgres
from resources.warehouse import Connection, Warehouse

NAMES = ("documents.deal", "documents.document_line", "documents.failure")
TODAY = date(2026, 7, 1)

DEALS = """
insert into documents.deal
select 'b24:' || i, 'b24', i::text, 'Deal ' || i,
       'b24:' || i %% 5000, 'Client ' || i %% 5000, 'b24:1', 'Anna', '0', 'WON', 'Won', false,
       case when i %% 200 = 0 then null else 'b24.yaml:10' end, array['invoice', 'realization'],
       date '2026-01-01' + (i %% 180)::int, date '2026-01-11' + (i %% 180)::int,
       'RU:' || i %% 5000, 1, 'Company ' || i %% 5000, 'RU', '7701234567', '7701234567', null, i %% 100 = 7,
       '1c:' || i %% 5000, 'found', 1, 'RU:' || i %% 5000 || '/RUB', 'RUB', '1c:rub', 1, 1, null, null,
       300, true, case when i %% 70 = 0 then 299 else 300 end, 0, 3, null
from generate_series(1, %s) i
"""
LINES = """
insert into documents.document_line
select 'b24:' || i || '-' || n, 'b24:' || i, n, 'Product ' || n,
       case when i %% 130 = 0 then null else 'b24:' || n end, '1c:' || n, 'found', 1, false, 'pcs', '1c:pcs',
       2, 50, 100, 20, 'НДС20', 16.67, null
from generate_series(1, %s) i, generate_series(1, 3) n
"""


def prepare(conn: Connection, deals: int) -> None:
    """Tables with `deals` deals and nothing in documents.failure."""
    for name in NAMES:
        conn.execute(f"drop table if exists {name} cascade")
        conn.execute(tables()[name].create_sql)
    conn.execute("create table if not exists ops.setting (system text, name text, value jsonb)")
    conn.execute("truncate ops.watermark, ops.change_log")
    conn.execute(DEALS, [deals])
    conn.execute(LINES, [deals])
    for name in NAMES:
        conn.execute(f"analyze {name}")


def _spent(conn: Connection) -> float:
    """Processor seconds of this process and of the connection's server process so far."""
    server = psutil.Process(conn.info.backend_pid).cpu_times()
    return time.process_time() + server.user + server.system


def main() -> None:
    sizes = [int(size) for size in sys.argv[1:]] or [1, 1_000, 300_000]
    with tempfile.TemporaryDirectory() as folder, postgres.server(folder) as url:
        warehouse = Warehouse(url)
        warehouse.migrate()
        started = time.perf_counter()
        import great_expectations  # noqa: F401

        print(f"import of Great Expectations: {time.perf_counter() - started:.1f} s")
        heads = ("deals", "lines", "seconds", "again", "processor", "failures", "held", "peak MB")
        print(" ".join(f"{head:>9}" for head in heads))
        for size in sizes:
            with warehouse.transaction() as conn:
                prepare(conn, size)
            seconds, processor = [], []
            for _ in range(2):
                started = time.perf_counter()
                with warehouse.transaction() as conn:
                    spent = _spent(conn)
                    outcome = gate(conn, today=TODAY, everything=True)
                    processor.append(_spent(conn) - spent)
                seconds.append(time.perf_counter() - started)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            failures = sum(outcome.failures.values())
            times = (f"{spent:.1f}" for spent in (*seconds, processor[0]))
            print(
                *(f"{cell:>9}" for cell in (size, 3 * size, *times, failures, outcome.held, peak)), flush=True
            )


if __name__ == "__main__":
    main()
