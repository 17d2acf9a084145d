"""The life of a deal's documents: every step of every operation, what people decided, what accounting changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from resources.warehouse import Warehouse

MAX_EVENTS: Final = 2_000  # of one deal, the latest


@dataclass(frozen=True, slots=True)
class Document:
    """A document of the deal as accounting holds it now. `state` is that of its last operation."""

    kind: str
    number: str
    day: date | None
    amount: Decimal | None
    currency: str
    is_posted: bool | None
    is_deleted: bool
    state: str


@dataclass(frozen=True, slots=True)
class Event:
    """One step. `at` is aware, UTC. `to_state` is a state of the ledger; of an edit or a decision what was made of it."""

    at: datetime
    kind: str
    action: str
    from_state: str
    to_state: str
    actor: str
    reason: str
    field: str = ""  # of an edit: what accounting changed
    held: str = ""
    found: str = ""


def documents_of(warehouse: Warehouse, deal: str, target: str) -> list[Document]:
    """The documents that were written for a deal, parents first."""
    rows = warehouse.rows(_DOCUMENTS, {"deal": deal, "target": target})
    return [Document(*row) for row in rows]


def history_of(warehouse: Warehouse, deal: str, target: str) -> Sequence[Event]:
    """What became of a deal's documents, in the order in which it happened; empty for a deal that never called for any."""
    rows = warehouse.rows(_EVENTS, {"deal": deal, "target": target, "most": MAX_EVENTS})
    return [Event(*row) for row in reversed(rows)]


_DOCUMENTS: Final = """
    select o.kind, coalesce(l.number, ''), coalesce(l.document_date, d.document_date), coalesce(l.amount, d.amount, o.amount),
           coalesce(o.currency, ''), l.is_posted, coalesce(l.is_deleted, false),
           (select x.state from ops.operation x where x.target = o.target and x.kind = o.kind and x.key = o.key
             order by (x.state not in ('verified', 'superseded', 'reversed')) desc, x.changed_at desc limit 1)
    from ops.operation o
    left join ledger.document l on l.document_key = o.target || ':' || o.key
    left join documents.document d on d.document_key = o.target || ':' || o.key
    where o.target = %(target)s and o.subject = %(deal)s and o.action = 'create' and ops.is_document(o.kind)
    order by ops.kind_order(o.kind), o.planned_at, o.operation_id
"""

_EVENTS: Final = """
    select at, kind, action, from_state, to_state, actor, reason, field, held, found from (
        select e.at, o.kind, o.action, coalesce(e.from_state, '') as from_state, e.to_state, coalesce(e.actor, '') as actor,
               coalesce(e.reason, '') as reason, '' as field, '' as held, '' as found, 1 as turn, e.event_id as place
        from ops.operation o join ops.operation_event e on e.operation_id = o.operation_id
        where o.target = %(target)s and o.subject = %(deal)s and ops.is_document(o.kind)
        union all
        select x.seen_at, x.kind, 'edit', '', x.outcome, x.actor, '', x.field, coalesce(x.held, ''), coalesce(x.found, ''), 0,
               x.edit_id
        from ops.edit x where x.system = %(target)s and x.deal_id = %(deal)s
        union all
        select r.decided_at, r.kind, 'decision', '', r.ending, r.decided_by, r.reason, '', '', '', 0, r.number
        from ops.revision r where r.deal_id = %(deal)s
        union all
        select q.asked_at, q.kind, 'question', '', 'asked', 'plan', q.told, '', '', '', 0, 0
        from ops.question q where q.deal_id = %(deal)s
        union all
        select q.answered_at, q.kind, 'question', 'asked', q.answer, coalesce(q.answered_by, ''), coalesce(q.reason, ''), '', '',
               '', 0, 1
        from ops.question q where q.deal_id = %(deal)s and q.answer is not null
    ) happened
    order by at desc, turn desc, place desc
    limit %(most)s
"""
