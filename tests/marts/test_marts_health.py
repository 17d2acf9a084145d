"""What the integration wrote right at once, how fast it told the CRM, how fresh its sources are: figures of docs/marts.md."""

from __future__ import annotations

from decimal import Decimal

import pytest

from resources.warehouse import Connection, Warehouse
from tests.marts.company import insert

pytest_plugins = ("tests.marts.fixtures",)

AS_OF = "2026-02-10 00:00Z"
VERIFIED = "approved sent confirmed verified"
HEALTH = "select subject, value, sentence from marts.integration_health_as_of(%s) where section = %s order by position"
# document, deal, kind, action: the states that it came to
WRITTEN = [
    ("a", "d1", "invoice", "create", VERIFIED),
    ("b", "d2", "invoice", "create", "approved sent rejected planned " + VERIFIED),
    ("c", "d3", "invoice", "create", VERIFIED),
    ("c", "d3", "invoice", "update", VERIFIED),
    ("d", "d5", "invoice", "create", "held planned " + VERIFIED),  # the gate held it before
    ("e", "d6", "invoice", "create", "approved sent uncertain confirmed held verified"),
    ("f", "d8", "invoice", "create", "approved sent confirmed"),  # not read back yet
    ("r", "d1", "realization", "create", VERIFIED),
    ("s", "d2", "realization", "create", VERIFIED),
    ("s-", "d2", "return", "create", VERIFIED),
]


def _write(conn: Connection, number: int, target: str, row: tuple[str, ...], hours: int) -> None:
    """An operation planned at the beginning of 9 February that comes to its last state `hours` later."""
    key, deal_id, kind, action, states = row
    operation_id = f"00000000-0000-0000-0000-00000001{number:04d}"
    insert(
        conn,
        "ops.operation",
        {"target": target, "planned_at": "2026-02-09 00:00Z"},
        "operation_id key subject kind action",
        [(operation_id, key, deal_id, kind, action)],
    )
    before = "planned"
    at = f"2026-02-09 {hours:02d}:00Z"
    for state in states.split():
        insert(
            conn,
            "ops.operation_event",
            {"operation_id": operation_id, "at": at},
            "from_state to_state",
            [(before, state)],
        )
        before = state


@pytest.fixture
def written(own_company: Warehouse) -> Warehouse:
    with own_company.transaction() as conn:
        for number, row in enumerate(WRITTEN):
            _write(conn, number, "onec", row, 1)
    return own_company


def test_a_document_is_right_at_once_or_it_is_told_what_came_between(written: Warehouse) -> None:
    rows = written.rows(
        "select document_key, rejected, uncertain, differed, updated, corrected, is_right"
        " from marts.first_time_right order by kind, document_key"
    )
    assert rows == [
        ("a", 0, 0, 0, 0, 0, True),
        ("b", 1, 0, 0, 0, 0, False),
        ("c", 0, 0, 0, 1, 0, False),
        ("d", 0, 0, 0, 0, 0, True),
        ("e", 0, 1, 1, 0, 0, False),
        ("r", 0, 0, 0, 0, 0, True),
        ("s", 0, 0, 0, 0, 1, False),
        ("s-", 0, 0, 0, 0, 0, True),
    ]


def test_health_tells_the_share_that_was_right_at_once(written: Warehouse) -> None:
    rows = written.rows(HEALTH, [AS_OF, "first time right"])
    assert [row[:2] for row in rows] == [
        ("return", 1),
        ("realization", Decimal("0.5")),
        ("invoice", Decimal("0.4")),
    ]
    assert rows[2][2] == (
        "2 of 5 documents verified in 30 days were right at once; refused 1, without an answer 1,"
        " read back otherwise 1, updated 1, corrected 0"
    )
    assert written.rows(HEALTH, ["2026-04-10", "first time right"]) == []


def test_health_tells_how_long_a_crm_waits_for_what_accounting_says(own_company: Warehouse) -> None:
    with own_company.transaction() as conn:
        for number, hours in enumerate((1, 2, 6)):
            row = (f"d{number}", f"d{number}", "deal", "update", "")
            _write(conn, number, "crm", row, hours)
            for state in VERIFIED.split():
                conn.execute(
                    "update ops.operation set state = %s where target = 'crm' and key = %s", [state, row[0]]
                )
            at = f"2026-02-09 {hours:02d}:00Z"
            conn.execute(
                "update ops.operation set changed_at = %s where target = 'crm' and key = %s", [at, row[0]]
            )
    rows = own_company.rows(HEALTH, [AS_OF, "write-back"])
    # 90 %: 2 + 0.8 * (6 - 2)
    assert [row[:2] for row in rows] == [("crm, deal, 90 %", Decimal("5.2")), ("crm, deal, median", 2)]
    assert (
        rows[1][2]
        == "crm, deal: 2.00 hours from planned to read back in the CRM (median of 3 writes in 30 days)"
    )


def test_a_source_is_as_fresh_as_its_least_fresh_entity(own_company: Warehouse) -> None:
    with own_company.transaction() as conn:
        insert(
            conn,
            "ops.cursor",
            {},
            "source entity read_until",
            [
                ("crm", "deal", "2026-02-09 20:00Z"),
                ("crm", "company", "2026-02-09 12:00Z"),
                ("onec", "invoice", "2026-02-09 06:00Z"),
            ],
        )
        insert(
            conn,
            "ops.look",
            {"first_at": "2026-02-01 00:00Z"},
            "system read_until error",
            [
                ("crm", "2026-02-09 22:00Z", None),  # found nothing new
                ("onec", "2026-02-09 23:00Z", "503"),  # its last reading failed: a look proves nothing
                ("shop", None, None),
            ],
        )
    rows = own_company.rows(HEALTH, [AS_OF, "freshness"])
    assert rows == [
        ("shop", 216, "shop was never read"),
        (
            "onec",
            18,
            (
                "onec, invoice is read until 2026-02-09 06:00 UTC, the least fresh of 1 entities;"
                " its last reading failed; the last look was not answered: 503"
            ),
        ),
        ("crm", 2, "crm, company is read until 2026-02-09 22:00 UTC, the least fresh of 2 entities"),
    ]
