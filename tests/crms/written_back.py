"""What a CRM is to show of what accounting knows, in the words of its mapping file, to compare with what it shows."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from resources.warehouse import Warehouse

Shown = tuple[str, str, Decimal]  # payment status, shipment status, debt
Task = tuple[str, str]  # deal and responsible employee, ids of the CRM


def to_be_shown(warehouse: Warehouse, file: Path, today: date) -> dict[str, Shown]:
    """By deal what it is to show, of those that accounting has documents of."""
    words = _words(file)
    rows = warehouse.rows(
        "select source_id, case when debt > 0 and due_on < %s then 'overdue' else payment_status end,"
        " shipment_status, debt from feedback.deal where source = %s",
        [today, file.stem],
    )
    return {
        key: (words["payment_status"].get(payment, ""), words["shipment_status"].get(shipment, ""), debt)
        for key, payment, shipment, debt in rows
    }


def to_be_done(warehouse: Warehouse, system: str, today: date) -> Counter[Task]:
    """The tasks that managers are to have, of documents whose day of payment has passed."""
    return Counter(
        warehouse.rows(
            "select source_id, split_part(employee_id, ':', 2) from feedback.task"
            " where source = %s and due_on < %s and employee_id is not null",
            [system, today],
        )
    )


def refused(warehouse: Warehouse, system: str) -> Counter[Task]:
    """Tasks that the CRM refused because the responsible employee has left."""
    return Counter(
        warehouse.rows(
            "select d.source_id, e.source_id from ops.operation o"
            " join documents.document b on b.document_key = o.subject join core.deal d on d.deal_id = b.deal_id"
            " join core.employee e on e.employee_id = d.employee_id"
            " where o.target = %s and o.kind = 'task' and o.state = 'rejected' and not e.is_active",
            [system],
        )
    )


def about_duplicates(warehouse: Warehouse, system: str) -> int:
    """How many tasks the CRM took about clients that it holds twice."""
    count: int = warehouse.scalar(
        "select count(*) from ops.operation o join core.client_record r on r.client_record_id = o.subject"
        " where o.target = %s and o.kind = 'task' and o.state = 'verified'",
        [system],
    )
    return count


def _words(file: Path) -> dict[str, dict[str, str]]:
    fields: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))["feedback"]["deal"]["fields"]
    return {field["from"]: field["map"] for field in fields.values() if "map" in field}
