"""A person lets a deal pass the checks that hold it, and tries again what accounting refused of it."""

from __future__ import annotations

from uuid import UUID

from mappings import System
from pipelines.operations.revisions import Told
from pipelines.refresh import lock_changes
from resources.warehouse import Connection


def release(conn: Connection, accounting: System, deal: str, by: str, reason: str, check: str = "") -> Told:
    """Let a deal pass what holds it now (only `check`, where one is named), and what was refused of it go once more."""
    lock_changes(conn)  # a plan under way may take back what waits, a carrier may have sent it
    known = [
        name
        for (name,) in conn.execute(
            "select check_name from documents.held where deal_id = %s order by 1", [deal]
        ).fetchall()
    ]
    waiting = waiting_of(conn, deal)
    if not known and not waiting:
        return Told(
            False,
            f"{deal} is not held by the gate, and accounting refused nothing of it; see `sverka hold list`, and"
            ' docs/gate.md, "A deal is not invoiced: look here"',
        )
    if check and check not in known:
        return Told(False, f"{deal} is not held by {check}, but by {', '.join(known) or 'accounting'}")
    approval = accounting.approval
    after = "" if approval == "auto" else ", once `sverka plan --approve` lets it go"
    if not isinstance(approval, str):
        after += f" (sums above {approval.auto_up_to})"
    told = []
    passed = [check] if check else known
    for name in passed:
        conn.execute(
            "insert into ops.release (deal_id, check_name, actor, reason, at) values (%s, %s, %s, %s, now())",
            [deal, name, by, reason],
        )
    if passed:
        told.append(f"{deal} is released from {', '.join(passed)}; the next sync carries it{after}")
    if waiting and not check:
        conn.execute("update ops.operation set reason_code = null where operation_id = any(%s)", [waiting])
        conn.execute("select ops.move_many(%s, 'planned', %s, %s)", [waiting, by, reason])
        # The plan looks at it first: its period may be closed by now.
        conn.execute("insert into ops.change_log (table_name, key) values ('ops.release', %s)", [deal])
        told.append(f"{len(waiting)} operations of {deal} are tried again by the next sync{after}")
    return Told(True, "\n".join(told))


def waiting_of(conn: Connection, subject: str) -> list[UUID]:
    """Operations about a deal (or a counterparty ...), or that it waits for, which wait for a person."""
    rows = conn.execute(
        """
        select operation_id from ops.operation
        where (state = 'rejected' or (state = 'held' and reason_code is not null))
          and (subject = %s or operation_id in (
            select unnest(c.depends_on) from ops.operation c
            where c.subject = %s and c.state in ('planned', 'approved')))
        """,
        [subject, subject],
    ).fetchall()
    return [row[0] for row in rows]
