"""A company with a long history, made by SQL in a minute instead of carried for hours.

A small company is really read from the sandbox and really carried into its accounting; whole payloads of
it are the shapes that `history.sql` multiplies. What comes out must hold the laws, and `road` checks that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.place import Place, Sandbox
from pipelines import checks, sync
from pipelines.raw.batch import ensure_indexes
from pipelines.sync import Road
from pipelines.table import stage_tables
from resources.warehouse import Connection, Warehouse

SMALL: Final = 60  # deals of the company that is really carried
CLIENTS: Final = 5_000  # of a company with 300,000 deals; fewer deals have as many fewer
DEALS_A_CLIENT: Final = 60
MAPPINGS: Final = Path(__file__).parents[1] / "mappings" / "demo"

DICTIONARIES: Final = (
    "bitrix24_employee", "bitrix24_stage", "bitrix24_lead_source", "bitrix24_product", "bitrix24_product_price",
    "bitrix24_vat_rate", "onec_organization", "onec_currency", "onec_unit", "onec_account", "onec_warehouse",
    "onec_product", "onec_currency_rate",
)  # fmt: skip
SHAPES: Final = {
    "bitrix24_company": "payload ->> 'isMyCompany' = 'N'",
    "bitrix24_requisite": "length(payload ->> 'RQ_INN') = 10",
    "bitrix24_deal": "payload ->> 'currencyId' = 'RUB'",
    "bitrix24_deal_line": "true",
    "onec_counterparty": "length(payload ->> 'ИНН') = 10",
    "onec_contract": "payload ->> 'ВидДоговора' = 'СПокупателем' and payload ->> 'ВалютаВзаиморасчетов_Key' = {rub}",
    "onec_invoice": "payload ->> 'ВалютаДокумента_Key' = {rub}",
    "onec_realization": "payload ->> 'ВалютаДокумента_Key' = {rub} and jsonb_array_length(payload -> 'Товары') > 0"
    " and payload ->> 'Комментарий' like 'crm:%%'",
    "onec_payment": "payload ->> 'ВалютаДокумента_Key' = {rub} and payload ->> 'ВидОперации' = 'ОплатаПокупателя'"
    " and payload ->> 'Контрагент_Type' like '%%Контрагенты'",
    "onec_entry": "payload ->> 'Содержание' = 'Реализация'",
    "onec_balance": "payload ->> 'ExtDimension1_Type' = 'StandardODATA.Catalog_Контрагенты'",
}
PARTS: Final = {
    "invoice_line": ("onec_invoice", "Товары"),
    "realization_line": ("onec_realization", "Товары"),
    "payment_line": ("onec_payment", "РасшифровкаПлатежа"),
}
# Accounting's balances are those at the end of the day on which they were read.
_BALANCES_READ: Final = """
    insert into ops.batch (source, entity, mode, window_to, finished_at, status)
    values ('onec', 'balance', 'full', %s::timestamptz, now(), 'loaded')
"""
_RUB: Final = "(select source_id from raw.onec_currency where payload ->> 'Code' = '643' limit 1)"


@dataclass(frozen=True, slots=True)
class Shapes:
    """What a small company looks like: dictionaries whole, one payload of everything else, goods to sell."""

    dictionaries: Mapping[str, Sequence[tuple[Any, ...]]]
    payloads: Mapping[str, str]
    goods: Sequence[tuple[Any, ...]]
    today: str


@contextmanager
def road_of(warehouse: Warehouse, sandbox: Sandbox, run_id: str) -> Iterator[Road]:
    """The demo company's road in this database."""
    os.environ.update(sandbox.environment)
    os.environ["SVERKA_MAPPINGS"] = str(MAPPINGS)
    os.environ["SVERKA_DATABASE_URL"] = warehouse.url
    os.environ.setdefault("SVERKA_DROP_FOLDER", str(Path(os.environ.get("TMPDIR", "/tmp"))))
    road = Road.from_environment(run_id)
    try:
        sync.prepare(road)
        yield road
    finally:
        road.close()


def take_shapes(place: Place) -> Shapes:
    """Read and carry a small company of the sandbox's, and keep what it looks like."""
    sandbox = place.sandbox(SMALL, "--no-limits")
    warehouse = place.database("bench_small")
    with road_of(warehouse, sandbox, "shapes") as road:
        sync.read(road, road.mappings.system("bitrix24"))
        sync.read(road, road.accounting, sync.catalogue_entities(road))
        sync.refresh_stage(road, "core")
        checks.gated_documents(road, [table.name for table in stage_tables("documents")], lambda _: None)
        sync.plan_operations(road)
        sync.carry_operations(road)
        sync.read(road, road.accounting, sync.document_entities(road))
    payloads = {
        name: _one(warehouse, f"select payload::text from raw.{name} where is_current and not deleted and ({where})"
                   .format(rub=_RUB) + " order by source_id limit 1", name)
        for name, where in SHAPES.items()
    }  # fmt: skip
    for part, (name, field) in PARTS.items():
        payloads[part] = _one(
            warehouse,
            f"select ('{payloads[name].replace(chr(39), chr(39) * 2)}'::jsonb -> '{field}' -> 0)::text",
            part,
        )
    shapes = Shapes(
        {
            name: warehouse.rows(
                f"select source_id, parent_id, modified_at, payload::text from raw.{name} where is_current and not deleted"
            )
            for name in DICTIONARIES
        },
        payloads,
        warehouse.rows(
            """
            select p.source_id::int, substr(d.product_key, 6), substr(d.unit_key, 6), p.name
            from documents.product d join core.product p on p.product_id = d.product_id
            where d.product_key is not null and d.unit_key is not null and not d.is_service
            """
        ),
        str(sandbox.info["today"]),
    )
    place.processes.stop_all()
    place.drop("bench_small")
    return shapes


def lay(warehouse: Warehouse, shapes: Shapes, deals: int) -> dict[str, int]:
    """Put a history of so many deals into raw; the number of records by raw table."""
    with warehouse.transaction() as conn:
        conn.execute("create schema if not exists bench")
        conn.execute("create table bench.shape (kind text primary key, payload jsonb)")
        conn.execute("create table bench.good (product_id int, product_key text, unit_key text, name text)")
        conn.execute(
            "create unlogged table bench.record (name text, source_id text, parent_id text, modified_at timestamptz, payload jsonb)"
        )
        _copy(conn, "bench.shape", list(shapes.payloads.items()))
        _copy(conn, "bench.good", shapes.goods)
        for name, rows in shapes.dictionaries.items():
            _copy(conn, "bench.record", [(name, *row) for row in rows])
            _settle(conn, name)
        conn.execute("truncate bench.record")
        parameters = {
            "deals": deals,
            "clients": max(1, min(CLIENTS, deals // DEALS_A_CLIENT)),
            "today": shapes.today,
        }
        for statement in _statements():
            psycopg.ClientCursor(conn).execute(statement.encode(), parameters)
        conn.execute("analyze bench.record")
        names = [
            name
            for (name,) in conn.execute("select distinct name from bench.record order by name").fetchall()
        ]
        counts = {name: _settle(conn, name) for name in names}
        for name in {*names, *shapes.dictionaries}:
            ensure_indexes(conn, f"raw.{name}")
        conn.execute(_BALANCES_READ, [shapes.today])
        conn.execute("drop schema bench cascade")
    with warehouse.connect() as conn:
        conn.autocommit = True
        conn.execute("vacuum analyze")
    return counts


def as_if_carried(warehouse: Warehouse) -> int:
    """Call every planned operation verified, without the events that hours of carrying would have left."""
    with warehouse.transaction() as conn:
        conn.execute("set local session_replication_role = replica")
        count = conn.execute(
            "update ops.operation set state = 'verified' where state in ('planned', 'approved')"
        ).rowcount
    with warehouse.connect() as conn:
        conn.autocommit = True
        conn.execute("vacuum analyze ops.operation, ops.operation_event")
    return count


def as_if_read_back(warehouse: Warehouse) -> int:
    """Give the operations the versions of the documents that the ledger holds, as reading back what was written does."""
    with warehouse.transaction() as conn:
        conn.execute("set local session_replication_role = replica")
        return conn.execute(
            """
            update ops.operation o set version = l.version from ledger.document l
            where l.document_key = o.target || ':' || o.key and o.state = 'verified' and l.version is not null
              and o.action = case when l.is_posted then 'post' else 'create' end
            """
        ).rowcount


def _settle(conn: Connection, name: str) -> int:
    return conn.execute(
        f"""
        insert into raw.{name} (source_id, parent_id, modified_at, seen_at, batch_id, is_current, deleted, payload)
        select source_id, parent_id, modified_at, now(), 0, true, false, payload
        from bench.record where name = '{name}'
        """.encode()
    ).rowcount


def _copy(conn: Connection, table: str, rows: Sequence[Sequence[Any]]) -> None:
    with conn.cursor().copy(f"copy {table} from stdin".encode()) as copy:
        for row in rows:
            copy.write_row(row)


def _statements() -> list[str]:
    text = Path(__file__).with_name("history.sql").read_text(encoding="utf-8")
    return [part for part in text.split(";\n") if part.strip()]


def _one(warehouse: Warehouse, query: str, name: str) -> str:
    found = warehouse.scalar(query)
    if found is None:
        raise RuntimeError(
            f"the small company has no {name} of the wanted shape; give it more than {SMALL} deals"
        )
    return str(found)
