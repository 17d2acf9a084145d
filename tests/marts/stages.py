"""Deals on their way through the stages of a pipeline, with the versions that CRM told of them. The figures that follow from
it are worked out by hand in docs/marts.md.

Times are UTC, the CRM's own zone is Europe/Moscow.
"""

from __future__ import annotations

import json

from resources.warehouse import Connection, Warehouse
from tests.marts.company import CRM, deploy_empty, insert, worked_out

DEALS = {
    # deal: manager, lead source, created; then when it came to which stage
    "s1": "anna web 2026-01-01: 01-01 NEW 01-03 CALL 01-07 OFFER 01-17 WON",
    "s2": "anna web 2026-01-02: 01-02 NEW 01-06 OFFER 01-20 WON",  # skips CALL
    "s3": "boris - 2026-01-05: 01-05 NEW 01-11 CALL 01-19 NEW 01-21 CALL 01-25 LOST",  # comes back
    "s4": "boris - 2026-01-10: 01-10 NEW",
    "s5": "boris - 2025-11-01: 01-15 CALL 01-20 LOST",  # nobody saw it come to CALL
    "s6": "boris - 2026-01-07: 01-07 NEW 01-09 deleted",
    "s7": "boris - 2025-10-01: 01-05 OFFER",
}


def found_stages(warehouse: Warehouse) -> None:
    deploy_empty(warehouse)
    with worked_out(warehouse) as conn:
        insert(
            conn,
            "core.employee",
            CRM,
            "employee_id full_name",
            [("anna", "Анна Орлова"), ("boris", "Борис Лис")],
        )
        insert(conn, "core.lead_source", CRM, "lead_source_id name", [("web", "Сайт")])
        insert(
            conn,
            "core.stage",
            CRM | {"pipeline_code": "P"},
            "stage_id stage_code name position outcome",
            [
                ("new", "NEW", "Новая", 10, "open"),
                ("call", "CALL", "Звонок", 20, "open"),
                ("offer", "OFFER", "КП", 30, "open"),
                ("won", "WON", "Успех", 40, "won"),
                ("lost", "LOST", "Провал", 15, "lost"),
            ],
        )
        insert(
            conn,
            "ops.setting",
            {},
            "system name value",
            [("onec", "sales_stuck", json.dumps({"share": "0.9", "deals": 3, "forgotten_days": 14}))],
        )
        for deal_id, told in DEALS.items():
            _tell(conn, deal_id, told)
        conn.execute("update core.deal set loss_reason = 'Цена' where deal_id = 's3'")


def _tell(conn: Connection, deal_id: str, told: str) -> None:
    head, _, way = told.partition(": ")
    manager, lead_source, created = head.split()
    steps = way.split()
    stage = ""
    for number, (day, code) in enumerate(zip(steps[::2], steps[1::2], strict=True)):
        at = f"2026-{day} 09:00Z"
        stage = stage if code == "deleted" else code
        row = {
            "deal_id": deal_id,
            "source": "crm",
            "source_id": deal_id,
            "title": f"Сделка {deal_id}",
            "employee_id": manager,
            "lead_source_id": None if lead_source == "-" else lead_source,
            "pipeline_code": "P",
            "stage_code": stage,
            "amount": 100,
            "currency": "RUB",
            "created_at": f"{created} 09:00Z",
            "modified_at": at,
            "closed_on": f"2026-{day}" if stage in ("WON", "LOST") else None,
            "is_deleted": code == "deleted",
        }
        if 2 * number + 2 == len(steps):
            insert(conn, "core.deal", row | {"problems": [], "known_from": at}, "said_from", [(at,)])
            return
        kept = json.dumps(row | {"problems": []})
        insert(
            conn,
            "ops.row_version",
            {"table_name": "core.deal", "key": deal_id, "scope": deal_id, "row": kept},
            "said_from known_from",
            [(at, at)],
        )
