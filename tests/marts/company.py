"""A small company with every case that a mart can get wrong, written straight into the tables of the road.

CRM times are UTC, the CRM's own zone is Europe/Moscow. The figures that follow from it are worked out by hand
in docs/marts.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from psycopg import sql

from mappings import Mappings
from pipelines.deploy import deploy
from pipelines.refresh import refresh
from pipelines.table import tables
from resources.warehouse import Connection, Warehouse

ROUBLE, DOLLAR = "onec:rub", "onec:usd"
CRM = {"source": "crm", "is_deleted": False, "problems": []}
BOOKS = {"source": "onec", "is_deleted": False, "problems": []}

Row = Mapping[str, Any]

REST_ON = ("core.deal_step", "ledger.sale")  # what marts read that the road works out


def insert(conn: Connection, table: str, common: Row, columns: str, rows: Sequence[Sequence[Any]]) -> None:
    """Rows of the named columns; `common` says the same of every row, and the first column also names
    `source_id` where there is one."""
    for values in rows:
        row = {**common, **dict(zip(columns.split(), values, strict=True))}
        if "source" in row and "problems" in row:
            row.setdefault("source_id", values[0])
        conn.execute(
            sql.SQL("insert into {} ({}) values ({})").format(
                sql.Identifier(*table.split(".")),
                sql.SQL(", ").join(map(sql.Identifier, row)),
                sql.SQL(", ").join(sql.Placeholder() * len(row)),
            ),
            list(row.values()),
        )


def deploy_empty(warehouse: Warehouse) -> None:
    """Tables and marts as their files say, without mappings; rules of one CRM and one accounting system."""
    deploy(warehouse, Mappings(Path(), (), ""))
    with warehouse.transaction() as conn:
        settings = [("crm", "timezone", '"Europe/Moscow"'), ("onec", "accounting_system", '"onec"')]
        insert(conn, "ops.setting", {}, "system name value", settings)
        rules = [("RUB", "643"), ("RUR", "643"), ("USD", "840")]
        insert(conn, "ops.currency_rule", {"system": "onec", "place": "test"}, "code value", rules)
        currencies = [(ROUBLE, "643", "руб."), (DOLLAR, "840", "USD")]
        insert(conn, "core.accounting_currency", BOOKS, "currency_key code name", currencies)


def found_company(warehouse: Warehouse) -> None:
    deploy_empty(warehouse)
    with worked_out(warehouse) as conn:
        _people_and_stages(conn)
        _deals(conn)
        _activities(conn)
        _obligations(conn)
        _payments(conn)
        _realizations(conn)
        _held_and_variances(conn)
        _readings(conn)
        _postings(conn)


@contextlib.contextmanager
def worked_out(warehouse: Warehouse) -> Iterator[Connection]:
    """A transaction at whose end the tables that marts rest on follow what was written."""
    with warehouse.transaction() as conn:
        yield conn
        for name in REST_ON:
            refresh_table(conn, name)


def refresh_table(conn: Connection, name: str) -> None:
    """Rebuild one table of the road by its own SQL."""
    refresh(conn, tables()[name], everything=True)


def _people_and_stages(conn: Connection) -> None:
    managers = [("anna", "Анна Орлова"), ("boris", "Борис Лис")]
    insert(conn, "core.employee", CRM, "employee_id full_name", managers)
    # one client may be several records of CRMs
    records = [("roma", "Ромашка"), ("sever", "Север"), ("sever2", "Север филиал")]
    insert(conn, "core.client_record", CRM, "client_record_id name", records)
    members = [("roma", "roma", "alone"), ("sever", "sever", "alone"), ("sever2", "sever", "person")]
    insert(conn, "core.client_member", {}, "client_record_id client_id rule", members)
    client = {"sources": ["crm"], "is_deleted": False, "problems": []}
    insert(
        conn, "core.client", client, "client_id name records", [("roma", "Ромашка", 1), ("sever", "Север", 2)]
    )
    insert(conn, "core.lead_source", CRM, "lead_source_id name", [("web", "Сайт")])
    insert(
        conn,
        "core.stage",
        CRM | {"pipeline_code": "P"},
        "stage_id stage_code name position outcome is_deleted",
        [
            ("crm:new", "NEW", "Новая", 10, "open", False),
            ("crm:offer", "OFFER", "КП", 20, "open", False),
            ("crm:won", "WON", "Успех", 30, "won", False),
            ("crm:lost", "LOST", "Провал", 15, "lost", False),
            # a stage deleted and made anew must not double its deals
            ("crm:old", "NEW", "Старая", 5, "open", True),
        ],
    )


def _deals(conn: Connection) -> None:
    columns = (
        "deal_id client_record_id employee_id lead_source_id stage_code amount currency"
        " created_at closed_on modified_at"
    )
    rows = [
        ("d0", "roma", "anna", None, "WON", 10, "RUB", "2025-12-01 09:00", "2025-12-20", "2025-12-20 12:00"),
        (
            "d1",
            "roma",
            "anna",
            "web",
            "WON",
            1200,
            "RUB",
            "2026-01-05 09:00",
            "2026-01-15",
            "2026-01-15 10:00",
        ),
        (
            "d2",
            "roma",
            "anna",
            "web",
            "WON",
            600,
            "RUB",
            "2026-01-10 09:00",
            "2026-02-09",
            "2026-02-09 20:00",
        ),
        ("d3", None, "anna", "web", "WON", 500, "USD", "2026-01-20 09:00", "2026-01-25", "2026-01-25 01:00"),
        # half past one of 1 February in Moscow
        ("d4", "sever", "boris", None, "LOST", 900, "RUB", "2026-01-31 22:30", "2026-02-20", None),
        ("d5", "sever", "boris", "web", "OFFER", 300, "RUB", "2026-01-12 09:00", None, None),
        ("d6", "sever", "boris", "web", "NEW", 100, "RUB", "2026-01-13 09:00", None, None),
        ("d7", "sever", "anna", "web", "NEW", 7000, "RUB", "2026-01-07 09:00", None, None),
        ("d8", "sever2", "boris", None, "WON", 1000, "RUB", "2026-02-03 09:00", "2026-04-10", None),
    ]
    insert(conn, "core.deal", CRM | {"pipeline_code": "P"}, columns, rows)
    conn.execute("update core.deal set title = 'Сделка ' || deal_id, is_deleted = deal_id = 'd7'")


def _activities(conn: Connection) -> None:
    tell_activities(conn)
    insert(
        conn,
        "core.activity",
        CRM,
        "activity_id kind direction employee_id deal_id happened_at is_done",
        [
            ("a1", "call", "out", "anna", "d1", "2026-01-14 10:00Z", True),
            ("a2", "letter", "in", "anna", "d2", "2026-01-31 22:00Z", True),  # 1 February in Moscow
            ("a3", "meeting", None, "anna", "d2", "2026-02-05 09:00Z", True),
            ("a4", "letter", "in", "anna", "d2", "2026-02-06 09:00Z", False),  # nobody has seen to it
            ("a5", "task", None, "anna", "d2", "2026-02-07 09:00Z", True),  # done, and no talk with a client
            ("a6", "call", "out", "anna", "d2", "2026-04-02 09:00Z", True),  # later
            ("a7", "call", "out", "anna", "d2", "2026-02-08 09:00Z", True),  # gone from the CRM
            ("a8", "call", "out", "boris", "d5", "2026-03-10 09:00Z", None),  # the CRM does not say whether
            ("a9", "call", "in", None, "d5", "2026-03-11 09:00Z", True),  # nobody answers for it
        ],
    )
    conn.execute("update core.activity set is_deleted = activity_id = 'a7'")


def tell_activities(conn: Connection) -> None:
    """The CRM tells of calls, letters and meetings."""
    insert(conn, "ops.setting", {}, "system name value", [("crm", "activity_entities", '["activity"]')])
    insert(
        conn,
        "ops.batch",
        {"source": "crm", "mode": "full", "status": "loaded"},
        "entity started_at finished_at",
        [("activity", "2026-01-01 00:00Z", "2026-01-01 00:05Z")],
    )


def _obligations(conn: Connection) -> None:
    counterparties = [("A", "Ромашка ООО"), ("B", "Север ООО"), ("C", "Acme Inc")]
    insert(conn, "core.accounting_counterparty", BOOKS, "counterparty_key name", counterparties)
    insert(
        conn,
        "ledger.obligation",
        {},
        "document_key kind deal_id number counterparty_key currency_key document_date due_on amount",
        [
            ("o1", "invoice", "d1", "1", "A", ROUBLE, "2026-01-15", "2026-01-25", 1200),
            ("o2", "invoice", "d2", "2", "A", ROUBLE, "2026-02-09", "2026-02-19", 600),
            ("o3", "invoice", "d3", "3", "C", DOLLAR, "2026-01-25", "2026-04-04", 500),
            ("o4", "realization", None, "77", "B", ROUBLE, "2025-12-01", "2025-12-01", 80),
            ("o5", "invoice", "d7", "5", "B", ROUBLE, "2026-02-20", "2026-03-22", 70),
            ("o6", "invoice", "d8", "8", "B", ROUBLE, "2026-03-25", "2026-04-10", 1000),
        ],
    )


def _payments(conn: Connection) -> None:
    insert(
        conn,
        "ledger.payment",
        BOOKS,
        "payment_key kind counterparty_key currency_key paid_on amount is_posted is_deleted",
        [
            ("p1", "receipt", "A", ROUBLE, "2026-02-01", 1200, True, False),
            ("p2", "receipt", "A", ROUBLE, "2026-02-15", 250, True, False),  # part of 600
            ("p3", "receipt", "A", ROUBLE, "2026-04-05", 350, True, False),  # the rest of it, later
            ("p4", "receipt", "C", DOLLAR, "2026-03-01", 520, True, False),  # 20 too much
            ("p6", "receipt", "B", ROUBLE, "2026-03-20", 400, True, False),  # before its invoice
            ("p7", "receipt", "A", ROUBLE, "2026-03-30", 30, True, False),  # for another counterparty
            ("p8", "receipt", "A", ROUBLE, "2026-03-10", 40, True, False),  # for no document
            ("p9", "refund", "A", ROUBLE, "2026-03-12", 15, True, False),
            ("p10", "receipt", "A", ROUBLE, "2026-03-13", 999, False, False),
            ("p11", "receipt", "A", ROUBLE, "2026-03-13", 888, True, True),
        ],
    )
    allocate(conn, "p1 o1", "p2 o2", "p3 o2", "p4 o3", "p6 o6", "p7 o4")


def allocate(conn: Connection, *pairs: str) -> None:
    """Each "payment document": the whole payment pays that document."""
    for pair in pairs:
        payment_key, document_key = pair.split()
        conn.execute(
            """
            insert into ledger.allocation
            select payment_key || '/' || %s || '/stated', counterparty_key, payment_key, %s, currency_key,
                   paid_on, amount, 'stated', 'stated', 'stated'
            from ledger.payment where payment_key = %s
            """,
            [document_key, document_key, payment_key],
        )


def _realizations(conn: Connection) -> None:
    insert(conn, "core.accounting_unit", BOOKS, "unit_key name", [("pc", "шт")])
    products = [("X", "A-1", "Насос", False), ("Y", None, "Монтаж", True)]
    insert(
        conn,
        "core.accounting_product",
        BOOKS | {"unit_key": "pc"},
        "product_key code name is_service",
        products,
    )
    insert(
        conn,
        "ledger.document",
        BOOKS,
        "document_key kind counterparty_key currency_key document_date amount is_posted is_deleted",
        [
            ("r1", "realization", "A", ROUBLE, "2026-01-15", 1200, True, False),
            ("r2", "realization", "C", DOLLAR, "2026-01-25", 500, True, False),
            ("r3", "realization", "B", ROUBLE, "2026-01-10", 80, True, False),  # not ours, without lines
            ("r4", "realization", "A", ROUBLE, "2026-01-16", 5000, False, False),
            ("r5", "realization", "A", ROUBLE, "2026-01-17", 6000, True, True),
            (
                "r6",
                "realization",
                "A",
                ROUBLE,
                "2026-03-02",
                600,
                True,
                False,
            ),  # a kopeck more than its lines
            ("o1", "invoice", "A", ROUBLE, "2026-01-15", 1200, True, False),
        ],
    )
    insert(
        conn,
        "ledger.position",
        {
            "kind": "realization",
            "is_posting_kind": True,
            "is_marked": False,
            "is_deal_deleted": False,
            "has_other_lines": False,
            "is_apart": False,
        },
        "document_key deal_id",
        [("r1", "d1"), ("r2", "d3"), ("r3", None), ("r6", "d2")],
    )
    insert(
        conn,
        "ledger.document_line",
        BOOKS,
        "line_key document_key product_key quantity amount vat_amount",
        [
            ("r1/1", "r1", "X", 2, "1000.00", "166.67"),
            ("r1/2", "r1", "Y", 1, "200.00", "33.33"),
            ("r2/1", "r2", "X", 1, "500.00", None),
            ("r4/1", "r4", "X", 9, "5000.00", "833.33"),
            ("r6/1", "r6", "X", 1, "599.99", "100.00"),
        ],
    )


def _held_and_variances(conn: Connection) -> None:
    due = {
        "source": "crm",
        "documents": ["invoice"],
        "counterparties": 1,
        "tax_number_missing": False,
        "stage_is_deleted": False,
    }
    insert(
        conn,
        "documents.deal",
        due | {"counterparty_matches": 1, "lines": 1, "legal_name": "Север из CRM ООО"},
        "deal_id source_id",
        [(deal_id, deal_id) for deal_id in ("d1", "d2", "d3", "d5")],
    )
    insert(
        conn,
        "documents.held",
        {"reason_ru": "Исправьте."},
        "held_id deal_id check_name reason amount currency",
        [
            ("d5/known_product", "d5", "known_product", "Mend d5.", 300, "RUB"),
            ("d5/tax_number", "d5", "tax_number", "Mend d5.", 300, "RUB"),
            ("d1/tax_number", "d1", "tax_number", "Mend d1.", 1200, "RUB"),
            ("d3/tax_number", "d3", "tax_number", "Mend d3.", 500, "USD"),
        ],
    )
    insert(
        conn,
        "ledger.variance",
        {"sentence": "See to it.", "sentence_ru": "Разберитесь."},
        "variance_key document_key measure reason deal_id counterparty_key currency_key amount owner",
        [
            ("partial", "o2", "paid", "partial_payment", "d2", "A", ROUBLE, 350, "sales"),
            ("missing", "x5", "invoiced", "missing_in_accounting", "d5", None, None, 300, "sales"),
            ("advance", "p8", "paid", "unallocated", None, "A", ROUBLE, -40, "accountants"),
        ],
    )
    insert(
        conn,
        "ops.variance_memory",
        {},
        "variance_key first_seen_at last_seen_at owner note",
        [
            ("partial", "2026-01-31 08:00Z", "2026-02-09 08:00Z", "Анна", "обещали в марте"),
            ("missing", "2026-02-09 08:00Z", "2026-02-09 08:00Z", None, None),
        ],
    )


def _readings(conn: Connection) -> None:
    insert(
        conn,
        "ops.batch",
        {"mode": "incremental"},
        "source entity started_at finished_at status message",
        [
            ("crm", "deal", "2026-01-01 00:00Z", "2026-01-01 00:05Z", "loaded", None),
            ("crm", "deal", "2026-02-09 21:59Z", "2026-02-09 22:00Z", "loaded", None),
            ("onec", "invoice", "2026-02-09 11:59Z", "2026-02-09 12:00Z", "loaded", None),
            ("onec", "invoice", "2026-02-09 22:59Z", "2026-02-09 23:00Z", "failed", "503"),
            ("crm", "deal", "2026-02-11 00:00Z", "2026-02-11 00:01Z", "loaded", None),
        ],
    )


def _postings(conn: Connection) -> None:
    postings = [
        ("d0", "2026-01-16 09:00Z", "2026-01-16 10:00Z"),  # won before the CRM was first read
        ("d1", "2026-01-15 11:30Z", "2026-01-15 12:00Z"),
        ("d2", "2026-02-09 06:00Z", "2026-02-09 07:00Z"),
        ("d3", "2026-01-25 04:30Z", "2026-01-25 05:00Z"),
    ]
    for number, (deal_id, planned_at, posted_at) in enumerate(postings):
        operation_id = f"00000000-0000-0000-0000-00000000000{number}"
        insert(
            conn,
            "ops.operation",
            {"target": "onec", "kind": "realization", "action": "post"},
            "operation_id key subject planned_at",
            [(operation_id, deal_id, deal_id, planned_at)],
        )
        insert(
            conn,
            "ops.operation_event",
            {"operation_id": operation_id, "to_state": "verified"},
            "at",
            [(posted_at,), ("2026-02-09 23:30Z",)],  # posted again later: the first time counts
        )
    conn.execute(
        "select ops.move('00000000-0000-0000-0000-000000000003', 'held', 'test', 'period is closed')"
    )
