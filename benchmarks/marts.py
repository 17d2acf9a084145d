"""Every mart of a company with a million deals: worked out from nothing, beside DuckDB, and again after a thousand changes.

`marts.sql` lays what the CRM and accounting say, in the road's own tables; positions, obligations and allocations the road
works out of it. Marts are views over tables that follow each change (KEPT), so from nothing is: KEPT refreshed on empty
tables, then every mart asked for all its rows, each into a table of its own. DuckDB is asked the questions of some marts
(`marts_duckdb.sql`) over a copy of the same tables in its memory, two threads, on a machine with as many processors;
its rows are compared with ours, one by one. Loading its memory does not count, and neither does laying the company.

After 1,000 changes (deals moved, payments come, documents corrected, clients joined) KEPT is refreshed by its news, which
is all that marts cost a sync; then every mart is asked again, and so is DuckDB over a new copy. A rebuild of KEPT behind that
must change nothing.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.figures import Figure
from benchmarks.history import MAPPINGS
from benchmarks.place import Place, measured, peak_mb, say
from benchmarks.reconcile import ENVIRONMENT
from pipelines import sync
from pipelines.refresh import refresh
from pipelines.sync import Road
from pipelines.table import stage_tables, tables
from resources.warehouse import Connection, Warehouse

DEALS: Final = 1_000_000
QUICK: Final = 100  # times fewer
DEALS_A_CLIENT: Final = 5
CHANGES: Final = {"deals": 250, "payments": 400, "documents": 250, "clients": 100}
BEHIND: Final = ("ledger.position", "ledger.obligation", "ledger.allocation")
KEPT: Final = ("core.deal_step", "ledger.sale")
MAX_REFRESH: Final = 5.0
MAX_MB: Final = 600.0
LONGEST: Final = "300s"  # that a mart is waited for
# Functions that no view stands for: what they are asked of.
ASKED_OF: Final = {
    "settlement_turnover": "(date_trunc('quarter', current_date)::date, current_date)",
    "receivables_restatement": "(current_date - 1, current_timestamp - interval '1 day', current_timestamp)",
    "balance_restatement": "(current_date - 1, current_timestamp - interval '1 day', current_timestamp)",
    "restated_item": "(current_date - 1, current_timestamp - interval '1 day', current_timestamp)",
}  # fmt: skip
THREADS: Final = 2

# What DuckDB is given: of each table the columns and rows that its questions read.
COPIED: Final = {
    "deal": "select deal_id, source, client_record_id, employee_id, lead_source_id, pipeline_code, stage_code, amount, currency,"
    " created_at, closed_on from core.deal",
    "stage": "select source, pipeline_code, stage_code, position, outcome from core.stage",
    "client_member": "select client_record_id, client_id from core.client_member",
    "lead_source": "select lead_source_id, name from core.lead_source",
    "account": "select account_key, code from core.accounting_account",
    "accounting_currency": "select currency_key, code from core.accounting_currency",
    "document": "select document_key, kind, document_date, is_posted, counterparty_key, currency_key, amount from ledger.document",
    "document_line": "select document_key, product_key, quantity, amount, vat_amount from ledger.document_line",
    "position": "select document_key, deal_id from ledger.position",
    "obligation": "select document_key, counterparty_key, deal_id, currency_key, document_date, due_on, amount from ledger.obligation",
    "allocation": "select document_key, paid_on, amount from ledger.allocation",
    "payment": "select kind, paid_on, is_posted, counterparty_key, currency_key, amount from ledger.payment",
    "entry": "select document_key, account_dr_key, account_cr_key, amount from ledger.entry where is_active and not is_deleted",
    "deal_version": "select deal_id, pipeline_code, stage_code, employee_id, lead_source_id, created_at, said_from from core.deal_versions",
}  # fmt: skip
Said = Mapping[str, Any]
PLACES: Final = {"amount": 2, "vat_amount": 2, "quantity": 4}  # of decimals


def run(place: Place, *, quick: bool, only: list[str] | None = None) -> list[Figure]:
    deals = int(only[0]) if only else DEALS // QUICK if quick else DEALS
    warehouse = place.database("bench_marts")
    laid = lay(warehouse, deals)
    nothing = place.worker("benchmarks.marts", "nothing", warehouse.url)
    duckdb = place.worker("benchmarks.marts", "duckdb", warehouse.url)
    changed = place.worker("benchmarks.marts", "changed", warehouse.url)
    later = place.worker("benchmarks.marts", "duckdb", warehouse.url)
    counts = {
        name: int(warehouse.scalar(f"select count(*) from {table}"))
        for name, table in {"lines": "core.deal_line", "payments": "ledger.payment", "entries": "ledger.entry"}.items()
    }  # fmt: skip
    place.drop("bench_marts")
    return figures(deals, counts, laid, nothing.said, duckdb.said, changed.said, later.said)


def figures(
    deals: int, counts: dict[str, int], laid: float, nothing: Said, duckdb: Said, changed: Said, later: Said
) -> list[Figure]:  # fmt: skip
    rows = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    asked, again, kept = nothing["asked"], changed["asked"], nothing["kept"]
    compared = duckdb["took"]
    ours = {name: asked[name][0] for name in compared}
    told = [Figure("company", deals, "deals", note=f"{rows}; laid in {laid:.0f} s")]
    told += [Figure(f"kept for marts, from nothing: {name}", took, "s") for name, took in kept.items()]
    for name, (took, count) in sorted(asked.items(), key=lambda one: -one[1][0]):
        beside = (
            f"; DuckDB {compared[name]:.2f} s, {duckdb['differ'][name]} of its rows differ"
            if name in compared
            else ""
        )
        told.append(
            Figure(
                f"mart {name}",
                took,
                "s",
                note=f"{_rows(count)}{beside}; after the changes {again[name][0]:.2f} s",
            )
        )
    return [
        *told,
        Figure("all marts from nothing", sum(kept.values()) + sum(took for took, _ in asked.values()), "s"),
        Figure(f"{len(compared)} questions: ours, from what is kept", sum(ours.values()), "s"),
        Figure(f"{len(compared)} questions: DuckDB in memory", sum(compared.values()), "s",
               note=f"copied there in {duckdb['loaded']:.0f} s, {duckdb['peak_mb']:.0f} MB"),
        Figure("rows in which they differ", sum(duckdb["differ"].values()), "rows", at_most=0),
        Figure("rows in which they differ after the changes", sum(later["differ"].values()), "rows", at_most=0),
        Figure("ledger behind the marts, after the changes", sum(changed["behind"].values()), "s", note=_each(changed["behind"])),
        Figure("marts refreshed after 1,000 changes", sum(changed["kept"].values()), "s", at_most=MAX_REFRESH, note=_each(changed["kept"])),
        Figure("rows of it that a rebuild makes otherwise", changed["rebuilt"], "rows", at_most=0),
        Figure("all marts asked after the changes", sum(took for took, _ in again.values()), "s"),
        Figure("peak memory of our process", max(nothing["peak_mb"], changed["peak_mb"]), "MB", at_most=MAX_MB),
    ]  # fmt: skip


def _each(took: dict[str, float]) -> str:
    return ", ".join(f"{name} {seconds:.2f}" for name, seconds in took.items())


def _rows(count: int) -> str:
    return f"{count:,} rows" if count >= 0 else f"given up after {LONGEST}"


def lay(warehouse: Warehouse, deals: int) -> float:
    """A company of so many deals, up to what the ledger makes of it; seconds."""
    from mappings import load

    started = time.perf_counter()
    road = Road(warehouse, load(MAPPINGS, ENVIRONMENT), "marts")
    sync.prepare(road)
    road.close()
    today = warehouse.scalar("select current_date")  # from which marts look
    parameters = {"deals": deals, "clients": max(1, deals // DEALS_A_CLIENT), "today": today}
    with warehouse.transaction() as conn:
        conn.execute("set local session_replication_role = replica")  # operations begin where they ended
        conn.execute("set local work_mem = '256MB'")
        cursor = psycopg.ClientCursor(conn)
        for statement in Path(__file__).with_suffix(".sql").read_text(encoding="utf-8").split(";\n"):
            if statement.strip():
                cursor.execute(statement.encode(), parameters)
    _analyze(warehouse)
    _refreshed(warehouse, BEHIND, everything=True)
    _analyze(warehouse)
    return time.perf_counter() - started


def _analyze(warehouse: Warehouse) -> None:
    with warehouse.connect() as conn:
        conn.autocommit = True
        conn.execute("vacuum analyze")
        conn.execute("checkpoint")


# ---- in the worker -------------------------------------------------------------------------


def _refreshed(warehouse: Warehouse, names: tuple[str, ...], *, everything: bool = False) -> dict[str, float]:
    """Seconds by table."""
    took = {}
    for name in names:
        started = time.perf_counter()
        with warehouse.transaction() as conn:
            refresh(conn, tables()[name], everything=everything)
        took[name] = time.perf_counter() - started
    return took


def _asked(warehouse: Warehouse) -> dict[str, tuple[float, int]]:
    """Seconds and rows of every mart, of those that have a day of today; -1 rows: given up."""
    found = {}
    for table in stage_tables("marts"):
        arguments = ASKED_OF.get(table.short_name, "")
        if table.arguments and not arguments:
            continue
        started, rows = time.perf_counter(), -1
        with warehouse.connect() as conn:
            conn.execute(f"set statement_timeout = '{LONGEST}'".encode())
            try:
                rows = conn.execute(
                    f"create temporary table asked as select * from {table.name}{arguments}".encode()
                ).rowcount
            except psycopg.errors.QueryCanceled:
                conn.rollback()
        found[table.short_name] = (time.perf_counter() - started, rows)
    return found


def nothing(warehouse: Warehouse) -> dict[str, Any]:
    kept = _refreshed(warehouse, KEPT, everything=True)
    return {"kept": kept, "asked": _asked(warehouse)}


def changed(warehouse: Warehouse) -> dict[str, Any]:
    with warehouse.transaction() as conn:
        conn.execute("set local session_replication_role = replica")
        change(conn)
    behind, kept = _refreshed(warehouse, BEHIND), _refreshed(warehouse, KEPT)
    asked, rebuilt = _asked(warehouse), 0
    for name in KEPT:
        with warehouse.transaction() as conn:
            outcome = refresh(conn, tables()[name], everything=True)
        rebuilt += outcome.written + outcome.removed
    return {"behind": behind, "kept": kept, "asked": asked, "rebuilt": rebuilt}


def change(conn: Connection) -> None:
    """CHANGES, as reading them would leave them: deals won now, the last parts of invoices paid, realizations with other
    prices, clients found to be one."""
    statements = {
        "core.deal": """
            with moved as (
                select d.deal_id, to_jsonb(d) - array['said_from', 'known_from'] as row, d.said_from, d.known_from
                from core.deal d where d.stage_code in ('OFFER', 'CALL') order by d.deal_id limit {deals}
            ), kept as (
                insert into ops.row_version (table_name, key, scope, said_from, known_from, row)
                select 'core.deal', deal_id, deal_id, said_from, known_from, row from moved
            )
            update core.deal d set stage_code = 'WON', closed_on = current_date, modified_at = now(), said_from = now(), known_from = now()
            from moved m where m.deal_id = d.deal_id returning d.deal_id""",
        "ledger.payment": """
            insert into ledger.payment (payment_key, source, source_id, kind, number, paid_on, is_posted, counterparty_key,
                                        organization_key, currency_key, amount, rate, rate_units, purpose, is_deleted,
                                        problems, said_from, known_from)
            select 'onec:' || md5('new' || o.document_key)::uuid, 'onec', md5('new' || o.document_key), 'receipt', 'N', current_date, true,
                   o.counterparty_key, 'onec:us', o.currency_key, round(o.amount / 10, 2), o.rate, 1, 'Оплата', false, '{{}}', now(), now()
            from ledger.obligation o order by o.document_key limit {payments} returning payment_key""",
        "ledger.document_line": """
            update ledger.document_line l set price = price + 1, amount = amount + quantity, vat_amount = round((amount + quantity) / 6, 2)
            from (select document_key from ledger.document where kind = 'realization' order by document_key desc limit {documents}) d
            where l.document_key = d.document_key returning l.document_key""",
        "ledger.document": """
            update ledger.document d set amount = (select sum(l.amount) from ledger.document_line l where l.document_key = d.document_key),
                   version = 'v2', known_from = now()
            where d.document_key in (select document_key from ledger.document where kind = 'realization'
                                     order by document_key desc limit {documents}) returning d.document_key""",
        "core.client_member": """
            update core.client_member m set client_id = 'bitrix24:C_1', rule = 'inn'
            where m.client_record_id in (select client_record_id from core.client_member where client_record_id > 'bitrix24:C_1'
                                         order by client_record_id limit {clients}) returning m.client_record_id""",
    }  # fmt: skip
    for name, statement in statements.items():
        keys = [key for (key,) in conn.execute(statement.format(**CHANGES).encode()).fetchall()]
        table = tables()[name]
        for column in (table.scope, *table.emits):
            told = name if column == table.scope else f"{name}.{column}"
            conn.execute(
                f"insert into ops.change_log (table_name, key) select distinct %s, coalesce({column}::text, '-')"
                f" from {name} where {table.scope} = any(%s)".encode(),
                [told, keys],
            )


def duckdb(warehouse: Warehouse) -> dict[str, Any]:
    """The questions of `marts_duckdb.sql`: seconds of each, and in how many rows its answer and ours differ."""
    import duckdb as engine

    took, differ = {}, {}
    with tempfile.TemporaryDirectory() as folder, warehouse.connect() as conn:
        memory = engine.connect(":memory:", config={"threads": THREADS})
        memory.execute("set timezone = 'UTC'")
        conn.execute("set timezone = 'UTC'")
        started = time.perf_counter()
        for name, query in COPIED.items():
            _copy(conn, memory, name, query, Path(folder))
        loaded = time.perf_counter() - started
        setup, *questions = _questions()
        memory.execute(setup[2])
        for mart, columns, query in questions:
            started = time.perf_counter()
            memory.execute(f"create or replace table theirs as {query}")
            took[mart] = time.perf_counter() - started
            _copy(conn, memory, "ours", f"select {columns} from marts.{mart}", Path(folder))
            theirs = _rounded(memory, "theirs", columns.split(", "))
            ours = _rounded(memory, "ours", columns.split(", "))
            row = memory.execute(
                f"select (select count(*) from ({ours} except all {theirs})) + (select count(*) from ({theirs} except all {ours}))"
            ).fetchone()
            differ[mart] = int(row[0]) if row else -1
    return {"took": took, "differ": differ, "loaded": loaded}


def _questions() -> list[tuple[str, str, str]]:
    """Mart, columns, SELECT; the first is what stands under `@setup`."""
    text = Path(__file__).with_name("marts_duckdb.sql").read_text(encoding="utf-8")
    found = []
    for part in text.split("\n-- @")[1:]:
        head, _, query = part.partition("\n")
        mart, _, columns = head.removeprefix("mart ").partition(" ")
        found.append((mart, columns, query.strip().rstrip(";")))
    return found


def _copy(conn: Connection, memory: Any, name: str, query: str, folder: Path) -> None:
    """A table of DuckDB's with the rows of a question to PostgreSQL, of the same types."""
    asked = conn.execute(f"select * from ({query}) q limit 0".encode())
    types = {}
    for column in asked.description or ():
        places = PLACES.get(column.name, column.scale if column.scale is not None else 4)
        kinds = {"int4": "integer", "int8": "bigint", "numeric": f"decimal(38, {places})", "bool": "boolean", "date": "date",
                 "timestamptz": "timestamptz", "text": "varchar", "float8": "double"}  # fmt: skip
        types[column.name] = kinds[conn.adapters.types[column.type_code].name]
    path = folder / f"{name}.csv"
    with (
        path.open("wb") as file,
        conn.cursor().copy(f"copy ({query}) to stdout (format csv, header)".encode()) as rows,
    ):
        for part in rows:
            file.write(part)
    memory.execute(
        f"create or replace table {name} as select * from read_csv('{path}', header = true, columns = {types!r})"
    )
    path.unlink()


def _rounded(memory: Any, name: str, columns: list[str]) -> str:
    """SQL: rows of comparable values, by position; numbers to the hundredth of a kopeck."""
    described = memory.execute(f"describe {name}").fetchall()
    shown = []
    for (_, kind, *_), wanted in zip(described, columns, strict=True):
        is_number = kind.startswith(("DECIMAL", "DOUBLE", "BIGINT", "INTEGER", "HUGEINT"))
        value = f"round({wanted}::decimal(38, 6), 4)::decimal(38, 4)" if is_number else f"{wanted}::varchar"
        shown.append(f"{value} as {wanted}")
    return f"select {', '.join(shown)} from {name} as t({', '.join(columns)})"


def main() -> None:
    name, url = sys.argv[1:]
    warehouse = Warehouse(url)
    with measured() as spent:
        said = {"nothing": nothing, "changed": changed, "duckdb": duckdb}[name](warehouse)
    say({**spent, **said, "peak_mb": peak_mb()})


if __name__ == "__main__":
    main()
