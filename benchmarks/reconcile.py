"""A million documents of each side compared, every difference with its reason: our SQL, reladiff, and a bare join.

`reconcile.sql` lays both sides in the road's own tables; one document in a hundred differs, in ten ways. Ours is what a
sync does on an empty ledger: `ledger.position` (what the CRM expects, what we wrote, what accounting holds) and
`ledger.variance` (each difference with its reason and two sentences), written and committed. Nothing of it was worked out
beforehand.

The others compare the same documents with the same lines by the columns that ours compares. The bare join is
`full join ... is distinct from` of documents by their key and of lines by theirs, in one statement, and counts the
documents of which something differs. reladiff gives the rows that differ, of documents and of lines one after the other.
Neither looks at what we wrote, knows that lines in another order are equal, or says why; and neither keeps the documents that
agree. "The bare join, kept" does that: a row a document with both sides and its key, as `ledger.position` has it.

Every contender works in turn in one run, three times; figures are middles.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.figures import Figure
from benchmarks.history import MAPPINGS
from benchmarks.place import Place, measured, middle, say
from pipelines import sync
from pipelines.refresh import refresh
from pipelines.sync import Road
from pipelines.table import tables
from resources.warehouse import Warehouse

DEALS: Final = 500_000  # an invoice and a realization of each
ROUNDS: Final = 3
TIMES_BARE: Final = 3.0
OURS: Final = ("ledger.position", "ledger.variance")
COMPARED: Final = ("kind", "document_date", "counterparty_key", "currency_key", "amount")
COMPARED_LINES: Final = ("product_key", "quantity", "price", "amount", "vat", "vat_amount")
# What the CRM expects: the lines of a deal are those of each of its documents. Keys are as accounting's mapping makes them.
OUR_LINES: Final = """
    select d.document_key, d.document_key || case when l.is_service then '/services/' else '/goods/' end || l.position as line_key,
           l.product_key, l.quantity, l.price, l.amount, l.vat, l.vat_amount
    from documents.document d join documents.document_line l on l.deal_id = d.deal_id
"""
THEIR_LINES: Final = """
    select document_key, line_key, product_key, quantity, price, amount, vat, vat_amount
    from ledger.document_line where not is_deleted
"""
ENVIRONMENT: Final = {
    "SVERKA_BITRIX24_URL": "http://127.0.0.1/rest/1/k/",
    "SVERKA_ONEC_URL": "http://127.0.0.1/base/",
    "SVERKA_ONEC_USER": "u",
    "SVERKA_ONEC_PASSWORD": "p",
    "SVERKA_ONEC_ALLOW_HTTP": "1",
    "SVERKA_DROP_FOLDER": "/tmp",
}


def run(place: Place, *, quick: bool) -> list[Figure]:
    deals = DEALS // 10 if quick else DEALS
    warehouse = place.database("bench_reconcile")
    laid = lay(warehouse, deals)
    seconds: dict[str, list[float]] = {}
    reasons: dict[str, int] = {}
    for _ in range(ROUNDS):
        empty(warehouse)
        for name in ("ours", "bare", "kept", "joindiff", "hashdiff"):
            spent = place.worker("benchmarks.reconcile", name, warehouse.url)
            for what, took in spent.said["took"].items():
                seconds.setdefault(what, []).append(took)
            reasons = spent.said.get("reasons") or reasons
    place.drop("bench_reconcile")
    return figures({what: middle(took) for what, took in seconds.items()}, reasons, laid, deals)


def figures(seconds: dict[str, float], reasons: dict[str, int], laid: float, deals: int) -> list[Figure]:
    ours = sum(seconds[name] for name in OURS)
    told = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    return [
        Figure("documents of each side", deals * 2, "documents", note=f"laid in {laid:.0f} s"),
        *(Figure(f"ours: {name}", seconds[name], "s") for name in OURS),
        Figure("ours, with reasons", ours, "s", note=told),
        Figure("reladiff, hashdiff", seconds["hashdiff"], "s"),
        Figure("reladiff, joindiff", seconds["joindiff"], "s"),
        Figure("a bare join that tells which differ", seconds["bare"], "s"),
        Figure("the bare join, kept", seconds["kept"], "s", note="a row a document, with its key"),
        Figure("the faster reladiff / ours", min(seconds["hashdiff"], seconds["joindiff"]) / ours, "times", at_least=1.0),
        Figure("ours / bare join", ours / seconds["bare"], "times", at_most=TIMES_BARE),
        Figure("ours / bare join, kept", ours / seconds["kept"], "times"),
    ]  # fmt: skip


def lay(warehouse: Warehouse, deals: int) -> float:
    """Both sides of so many deals; seconds."""
    from mappings import load

    started = time.perf_counter()
    road = Road(warehouse, load(MAPPINGS, ENVIRONMENT), "reconcile")
    sync.prepare(road)
    road.close()
    with warehouse.transaction() as conn:
        conn.execute("set local session_replication_role = replica")  # operations begin where they ended
        cursor = psycopg.ClientCursor(conn)
        for statement in Path(__file__).with_suffix(".sql").read_text(encoding="utf-8").split(";\n"):
            if statement.strip():
                cursor.execute(statement.encode(), {"deals": deals})
    with warehouse.connect() as conn:
        conn.autocommit = True
        conn.execute("vacuum analyze")
        conn.execute("checkpoint")
    return time.perf_counter() - started


def empty(warehouse: Warehouse) -> None:
    with warehouse.connect() as conn:
        conn.autocommit = True
        for name in OURS:
            conn.execute(f"truncate {name}".encode())
        conn.execute("drop table if exists public.kept")
        conn.execute("checkpoint")


# ---- in the worker -------------------------------------------------------------------------


def ours(warehouse: Warehouse) -> dict[str, Any]:
    took = {}
    for name in OURS:
        started = time.perf_counter()
        with warehouse.transaction() as conn:
            refresh(conn, tables()[name], everything=True)
        took[name] = time.perf_counter() - started
    reasons = warehouse.rows(
        "select reason, count(*) from ledger.variance group by reason order by 2 desc, 1"
    )
    return {"took": took, "reasons": dict(reasons)}


def differs(columns: Sequence[str]) -> str:
    sides = [", ".join(f"{side}.{name}" for name in columns) for side in "ab"]
    return f"({sides[0]}) is distinct from ({sides[1]})"


def bare(warehouse: Warehouse) -> dict[str, Any]:
    query = f"""
        select count(*) from (
            select coalesce(a.document_key, b.document_key)
            from documents.document a full join ledger.document b on b.document_key = a.document_key
            where {differs(COMPARED)}
            union
            select coalesce(a.document_key, b.document_key)
            from ({OUR_LINES}) a full join ({THEIR_LINES}) b on b.line_key = a.line_key
            where {differs(COMPARED_LINES)}) apart
    """
    started = time.perf_counter()
    differ = warehouse.scalar(query)
    return {"took": {"bare": time.perf_counter() - started}, "differ": differ}


def kept(warehouse: Warehouse) -> dict[str, Any]:
    both = ", ".join(f"a.{name} as expected_{name}, b.{name} as actual_{name}" for name in COMPARED)
    query = f"""
        create table public.kept as
        select coalesce(a.document_key, b.document_key) as document_key, {both}, {differs(COMPARED)} as differs,
               lines.document_key is not null as has_other_lines
        from documents.document a full join ledger.document b on b.document_key = a.document_key
        left join (
            select distinct coalesce(a.document_key, b.document_key) as document_key
            from ({OUR_LINES}) a full join ({THEIR_LINES}) b on b.line_key = a.line_key
            where {differs(COMPARED_LINES)}) lines on lines.document_key = coalesce(a.document_key, b.document_key)
    """
    started = time.perf_counter()
    with warehouse.transaction() as conn:
        conn.execute(query.encode())
        conn.execute("alter table public.kept add primary key (document_key)")
    return {"took": {"kept": time.perf_counter() - started}}


def reladiff(warehouse: Warehouse, algorithm: str) -> dict[str, Any]:
    """As its documentation says: both tables of one database, all columns that both have named. It takes no text for a key
    but letters and digits, so it is given copies whose keys are a uuid, and of lines a hash of theirs; it reads tables, so
    the lines that the CRM expects are one. Making them does not count."""
    from reladiff import Algorithm, connect_to_table, diff_tables

    sides = {
        "documents": ("select substr(document_key, 6)::uuid as key, {} from documents.document",
                      "select substr(document_key, 6)::uuid as key, {} from ledger.document", COMPARED),
        "lines": (f"select md5(line_key)::uuid as key, {{}} from ({OUR_LINES}) l",
                  f"select md5(line_key)::uuid as key, {{}} from ({THEIR_LINES}) l", COMPARED_LINES),
    }  # fmt: skip
    with warehouse.connect() as conn:
        conn.autocommit = True
        for what, (ours, theirs, columns) in sides.items():
            for side, select in (("ours", ours), ("theirs", theirs)):
                name = f"public.{what}_{side}"
                conn.execute(f"drop table if exists {name}".encode())
                conn.execute(f"create table {name} as {select.format(', '.join(columns))}".encode())
                conn.execute(f"alter table {name} add primary key (key)".encode())
                conn.execute(f"vacuum analyze {name}".encode())
    differ = {}
    started = time.perf_counter()
    for what, (_, _, columns) in sides.items():
        tables_of = [
            connect_to_table(warehouse.url, f"{what}_{side}", "key", extra_columns=columns)
            for side in ("ours", "theirs")
        ]
        rows = diff_tables(*tables_of, algorithm=Algorithm[algorithm.upper()], extra_columns=columns)
        differ[what] = sum(1 for _ in rows)
    return {"took": {algorithm: time.perf_counter() - started}, "differ": differ}


def main() -> None:
    name, url = sys.argv[1:]
    warehouse = Warehouse(url)
    with measured() as spent:
        if name in ("joindiff", "hashdiff"):
            said = reladiff(warehouse, name)
        else:
            said = {"ours": ours, "bare": bare, "kept": kept}[name](warehouse)
    say({**spent, **said})


if __name__ == "__main__":
    main()
