"""Which planned operations leave without a person: all, those up to a sum, or none; and which a person lets go."""

from __future__ import annotations

from collections.abc import Mapping

from mappings import System
from mappings.schema import Approval
from pipelines.operations.difference import TOLD
from pipelines.refresh import lock_changes
from resources.warehouse import Connection, trusted

ACTOR = "plan"


def approve(conn: Connection, accounting: System, run_id: str) -> int:
    """Let planned operations go where the target needs no person for it; how many."""
    parameters: dict[str, object] = {"system": accounting.name, "run_id": run_id, "actor": ACTOR}
    match accounting.approval:
        case "manual":
            return 0
        case Approval() as by_amount:
            parameters["most"] = by_amount.auto_up_to
            reason = f"sums up to {by_amount.auto_up_to} are approved automatically"
            return move(conn, _TO_APPROVE_UP_TO, "approved", reason, parameters)
        case _:
            return move(conn, _TO_APPROVE, "approved", "the target is approved automatically", parameters)


def approve_shown(conn: Connection, accounting: System, shown: Mapping[str, str], by: str) -> int:
    """Let go what a person was shown; how many. `shown`: by operation what was told of it, as in `Difference.waiting`.

    What was planned since, or means something else by now, was not shown and stays planned.
    """
    lock_changes(conn)  # another process may plan: what it changes or takes back is seen first
    parameters = {"system": accounting.name, "ids": list(shown), "told": list(shown.values())}
    return move(
        conn, _TO_APPROVE_SHOWN, "approved", "approved by hand", {**parameters, "actor": by, "run_id": ""}
    )


def move(
    conn: Connection, statement: str, state: str, reason: str | None, parameters: Mapping[str, object]
) -> int:
    """Move what the statement selects; a second column gives each operation a reason of its own."""
    row = conn.execute(
        trusted(
            f"""
        with chosen as ({statement}),
        told as (select array_agg(operation_id) as ids,
                        {"jsonb_object_agg(operation_id, detail)" if reason is None else "null::jsonb"} as details
                 from chosen having count(*) > 0)
        select ops.move_many(ids, %(to_state)s, %(actor)s, %(reason)s, details, nullif(%(run_id)s, '')) from told
        """
        ),
        {**parameters, "to_state": state, "reason": reason},
    ).fetchone()
    return int(row[0]) if row else 0


_WORTH = """abs(coalesce({amount}, 0)) * coalesce(({content} #>> '{{document,rate}}')::numeric
          / nullif(({content} #>> '{{document,rate_units}}')::numeric, 0), 1)"""

# Masters go with the documents that need them; what is only posted or taken back, by the sum that its document is to have.
# A return goes by itself only where what takes the place of the document that it takes back does.
_TO_APPROVE_UP_TO = f"""
    select o.operation_id from ops.operation o
    left join lateral (
        select w.amount, w.content from ops.operation w
        where o.action in ('post', 'unpost') and w.target = o.target and w.kind = o.kind and w.key = o.key
          and w.action in ('create', 'update') and w.state <> 'superseded'
        order by w.planned_at desc, w.action desc limit 1
    ) written on true
    where o.target = %(system)s and o.state = 'planned' and o.reason_code is null
      and {_WORTH.format(amount="coalesce(written.amount, o.amount)", content="coalesce(written.content, o.content)")} <= %(most)s
      and not (o.kind = 'return' and exists (
        select from ops.operation n cross join unnest(n.depends_on) as needs(parent)
        join ops.operation p on p.operation_id = needs.parent
        where n.target = o.target and n.kind = 'realization' and n.subject = o.subject and n.action = 'create'
          and n.state = 'planned' and {_WORTH.format(amount="n.amount", content="n.content")} > %(most)s
          and p.kind = 'return' and p.key = o.key))
"""

_TO_APPROVE = """
    select operation_id from ops.operation where target = %(system)s and state = 'planned' and reason_code is null
"""

_TO_APPROVE_SHOWN = f"""
    select o.operation_id from ops.operation o
    join unnest(%(ids)s::uuid[], %(told)s::text[]) as shown(operation_id, told) using (operation_id)
    where o.target = %(system)s and o.state = 'planned' and shown.told = {TOLD}
"""
