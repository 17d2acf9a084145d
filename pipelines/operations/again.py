"""Try again what a target refused: at night, when the refusal may have lapsed.

A right was given, a field was filled in, a period was opened: nobody tells us. So the night sends refused
operations once more, the longest refused first. Of what was refused because its period is closed only the
latest document of each month is tried; when that one gets through, so does the rest of its month. A person
tries one again at once with `sverka hold release`. Every try is an event of the operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from pipelines.refresh import lock_changes
from resources.warehouse import Connection, Warehouse

ACTOR: Final = "night"
CLOSED: Final = "closed_period"  # the code of a refusal that many documents share
MAX_TRIED: Final = 1_000  # operations of one target that are tried again in one go


@dataclass(frozen=True, slots=True)
class Tried:
    """How many operations go once more, and which of them stand for a closed month."""

    operations: int
    months: Sequence[UUID]


def try_again(warehouse: Warehouse, target: str, run_id: str = "") -> Tried:
    """Let refused operations of a target go once more, if nothing holds their deal. Sends nothing."""
    with warehouse.transaction() as conn:
        lock_changes(conn)  # a plan under way may take back what is chosen here
        open_ones = _ids(
            conn, f"{_REFUSED} select operation_id from refused where not is_closed order by changed_at, operation_id limit %(most)s",
            target,
        )  # fmt: skip
        months = _ids(
            conn,
            f"{_REFUSED} select distinct on (kind, action, month) operation_id from refused where is_closed"
            " order by kind, action, month, document_date desc, operation_id limit %(most)s",
            target,
        )
        _let_go(conn, open_ones + months, "the night tries it again: the refusal may have lapsed", run_id)
    return Tried(len(open_ones) + len(months), months)


def try_reopened(warehouse: Warehouse, target: str, months: Sequence[UUID], run_id: str = "") -> int:
    """Let go the rest of the months of which one document got through; how many. Sends nothing."""
    if not months:
        return 0
    with warehouse.transaction() as conn:
        lock_changes(conn)  # a plan under way may take back what is chosen here
        chosen = _ids(
            conn,
            f"""{_REFUSED}
            select r.operation_id from refused r
            where r.is_closed and exists (
                select from ops.operation o
                join documents.document d on d.document_key = o.target || ':' || o.key
                where o.operation_id = any(%(months)s) and o.state in ('confirmed', 'verified')
                  and (o.kind, o.action) = (r.kind, r.action) and date_trunc('month', d.document_date) = r.month)
            order by r.document_date desc, r.operation_id limit %(most)s""",
            target,
            months=list(months),
        )
        _let_go(conn, chosen, "its period is open again: a document of the same month got through", run_id)
    return len(chosen)


# A document whose deal is held meanwhile is not due; nor is a write that a newer one has taken the place of.
_REFUSED: Final = f"""
    with refused as (
        select o.operation_id, o.kind, o.action, o.changed_at, d.document_date,
               date_trunc('month', d.document_date) as month,
               coalesce((select e.answer ->> 'code' from ops.operation_event e
                          where e.operation_id = o.operation_id and e.to_state = 'rejected'
                          order by e.event_id desc limit 1), '') = '{CLOSED}' as is_closed
        from ops.operation o
        left join documents.document d on d.document_key = o.target || ':' || o.key
        where o.target = %(target)s and o.state = 'rejected'
          and not (ops.is_document(o.kind) and exists (
            select from documents.held h where h.deal_id = o.subject))
          and not exists (
            select from ops.operation w
            where w.target = o.target and w.kind = o.kind and w.key = o.key and w.action = o.action
              and w.planned_at > o.planned_at and w.state <> 'superseded')
    )
"""


def _ids(conn: Connection, statement: str, target: str, **more: Any) -> list[UUID]:
    rows = conn.execute(statement, {"target": target, "most": MAX_TRIED, **more}).fetchall()
    return [row[0] for row in rows]


def _let_go(conn: Connection, operations: Sequence[UUID], reason: str, run_id: str) -> None:
    """What is sent is what was refused, so whoever had to approve it has done so."""
    if not operations:
        return
    for state in ("planned", "approved"):
        conn.execute(
            "select ops.move_many(%s::uuid[], %s, %s, %s, null, %s)",
            [list(operations), state, ACTOR, reason, run_id or None],
        )
