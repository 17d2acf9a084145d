"""Turn what accounting must hold into operations: new, changed, held, no longer due; equal ones stay as they are.

Only deals whose documents changed since the last plan are looked at. Whatever has left us is never
rewritten: a verified draft that changed gets an update operation of its own, a posted one is left to the
accountant and shows as a variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mappings import System, compile_write, lookups
from pipelines.refresh import changed_scope
from pipelines.table import Changed, Column, Table
from resources.warehouse import Connection, Warehouse, trusted

ACTOR = "plan"

# Deals whose documents are held, or wait for a record that is.
_HELD = """
    select o.subject as key from ops.operation o
    where o.state = 'held' and o.kind in ('invoice', 'realization') and exists (select from change)
    union
    select o.subject from ops.operation o cross join unnest(o.depends_on) as needs(parent)
    join ops.operation p on p.operation_id = needs.parent and p.state = 'held'
    where o.kind in ('invoice', 'realization') and exists (select from change)
"""

# The plan as a consumer of changes: what makes it look at a deal again.
CONSUMER = Table(
    name="ops.operation",
    description="One intended write to an outside system.",
    owner="data-team",
    columns=(Column("operation_id", "uuid", "computed identity"),),
    rows="python",
    all_sql="select deal_id as key from documents.deal"
    " union select subject from ops.operation where subject is not null and kind in ('invoice', 'realization')",
    changed=(
        Changed("documents.document", "select key from change"),
        Changed("documents.document_line", "select key from change"),
        Changed("documents.held", "select key from change"),
        Changed(
            "documents.counterparty",
            "select d.deal_id as key from documents.deal d join change on d.counterparty_id = change.key",
        ),
        Changed(
            "documents.contract",
            "select d.deal_id as key from documents.deal d join change on d.contract_id = change.key",
        ),
        Changed(
            "documents.product",
            "select l.deal_id as key from documents.document_line l join change on l.product_id = change.key",
        ),
        # A write that was under way when its deal changed has ended: compare the two now.
        Changed(
            "ops.operation",
            "select o.subject as key from change"
            " join ops.operation o on o.key = substr(change.key, strpos(change.key, ':') + 1)"
            " where o.kind in ('invoice', 'realization') and o.action <> 'post' and o.state = 'verified'",
        ),
        # Documents that name what accounting lacked are looked at again when it has more.
        Changed("core.accounting_account", _HELD),
        Changed("core.accounting_warehouse", _HELD),
        Changed("ops.mapping_version", ""),
    ),
)

DOCUMENT_KINDS = ("invoice", "realization")


@dataclass(frozen=True, slots=True)
class Planned:
    """Counts of operations by what the plan did with them."""

    looked_at: int = 0
    new: int = 0
    changed: int = 0
    updates: int = 0
    held: int = 0
    released: int = 0
    superseded: int = 0
    approved: int = 0
    by_kind: Mapping[str, int] = field(default_factory=dict)

    @property
    def quiet(self) -> bool:
        return self.new + self.changed + self.updates + self.held + self.released + self.superseded == 0


def plan(warehouse: Warehouse, accounting: System, *, run_id: str = "", everything: bool = False) -> Planned:
    """Plan the operations for whatever changed, in one transaction. Sends nothing."""
    with warehouse.transaction() as conn, changed_scope(conn, CONSUMER, everything=everything) as looked_at:
        if not looked_at:  # but what a person put back is let go all the same
            return Planned(approved=_approve(conn, accounting, run_id))
        _desired(conn, accounting)
        return _apply(conn, accounting, looked_at, run_id)


def lacking(conn: Connection, accounting: System, kind: str) -> str | None:
    """What a kind's bodies name and accounting does not have, in a sentence: it would be left out silently."""
    absent = [
        f"{lookup.place} names {lookup.what} '{lookup.value}', which accounting does not have; correct it, or create"
        " it there"
        for lookup in lookups(accounting, kind)
        if conn.execute(trusted(f"select {lookup.sql} is null")).fetchone() == (True,)
    ]
    return "; ".join(absent) or None


def _approve(conn: Connection, accounting: System, run_id: str) -> int:
    """Let planned operations go where the target needs no person for it; how many."""
    if accounting.approval != "auto":
        return 0
    parameters = {"system": accounting.name, "run_id": run_id, "actor": ACTOR}
    return _move(conn, _TO_APPROVE, "approved", "the target is approved automatically", parameters)


def _desired(conn: Connection, accounting: System) -> None:
    """Fill temporary table `desired`: every write that should have happened for the deals in scope."""
    conn.execute("drop table if exists desired, needed, latest")
    conn.execute(
        """
        create temporary table desired (
            operation_id uuid primary key, kind text, key text, subject text, source text, source_ref text,
            body jsonb, content_hash text, depends_on uuid[], amount numeric(18,2), currency text,
            hold text, rank integer
        ) on commit drop
        """
    )
    conn.execute("create index on desired (kind, key)")
    conn.execute("create index on desired (kind, subject)")
    conn.execute(
        """
        create temporary table needed on commit drop as
        select d.*, (select string_agg(h.reason, '; ' order by h.check_name) from documents.held h
                      where h.deal_id = d.deal_id) as hold
        from documents.document d join scope on scope.key = d.deal_id
        """
    )
    system = accounting.name
    for kind, statement in _MASTERS.items():
        if kind in accounting.write:
            conn.execute(
                trusted(statement.format(body=compile_write(accounting, kind), strip=len(system) + 2))
            )
    for rank, kind in enumerate(DOCUMENT_KINDS, start=4):
        if kind in accounting.write:
            statement = _DOCUMENTS.format(
                body=compile_write(accounting, kind), strip=len(system) + 2, kind=kind, rank=rank
            )
            conn.execute(trusted(statement))
    for kind in accounting.write:
        if (absent := lacking(conn, accounting, kind)) is not None:
            conn.execute("update desired set hold = coalesce(hold, %s) where kind = %s", [absent, kind])
    conn.execute("update desired set content_hash = md5(body::text) where body is not null")
    conn.execute("analyze desired")


# Masters are planned once some deal that is not held needs them and accounting has no such record yet.
_MASTERS = {
    "counterparty": """
        insert into desired (operation_id, kind, key, subject, body, depends_on, rank)
        select substr(d.counterparty_key, {strip})::uuid, 'counterparty', substr(d.counterparty_key, {strip}),
               d.counterparty_id, {body}, '{{}}', 1
        from documents.counterparty d
        where d.origin = 'created'
          and d.counterparty_id in (select counterparty_id from needed where hold is null)
        on conflict do nothing
    """,
    "product": """
        insert into desired (operation_id, kind, key, subject, body, depends_on, rank)
        select distinct on (d.product_key) substr(d.product_key, {strip})::uuid, 'product',
               substr(d.product_key, {strip}), d.product_id, {body}, '{{}}'::uuid[], 2
        from documents.product d
        where d.origin = 'created' and d.product_id in (
            select l.product_id from documents.document_line l
            where l.deal_id in (select deal_id from needed where hold is null))
        order by d.product_key, d.product_id
        on conflict do nothing
    """,
    "contract": """
        insert into desired (operation_id, kind, key, subject, body, depends_on, rank)
        select substr(d.contract_key, {strip})::uuid, 'contract', substr(d.contract_key, {strip}),
               d.contract_id, {body},
               array(select p.operation_id from desired p where p.kind = 'counterparty'
                      and p.subject = d.counterparty_id), 3
        from documents.contract d
        where d.origin = 'created'
          and d.contract_id in (select counterparty_id || '/' || currency from needed where hold is null)
        on conflict do nothing
    """,
}

_DOCUMENTS = """
    insert into desired (operation_id, kind, key, subject, source, source_ref, body, depends_on, amount, currency,
                         hold, rank)
    select substr(d.document_key, {strip})::uuid, d.kind, substr(d.document_key, {strip}), d.deal_id,
           split_part(d.deal_id, ':', 1), substr(d.deal_id, strpos(d.deal_id, ':') + 1),
           case when d.hold is null then {body} end,
           array(
               select p.operation_id from desired p where p.kind = 'counterparty' and p.subject = d.counterparty_id
               union all
               select p.operation_id from desired p where p.kind = 'contract'
                  and p.subject = d.counterparty_id || '/' || d.currency
               union all
               select p.operation_id from desired p
                join documents.document_line l on l.deal_id = d.deal_id
                 and p.kind = 'product' and p.key = substr(l.product_key, {strip})
               union all
               select p.operation_id from desired p
                where p.kind = 'invoice' and d.kind = 'realization' and p.subject = d.deal_id
           ),
           d.amount, d.currency, d.hold, {rank}
    from needed d
    where d.kind = '{kind}'
"""


def _apply(conn: Connection, accounting: System, looked_at: int, run_id: str) -> Planned:
    system = accounting.name
    posted = [kind for kind in DOCUMENT_KINDS if kind in accounting.write and accounting.write[kind].post]
    parameters = {"system": system, "run_id": run_id, "posted": posted, "actor": ACTOR}
    conn.execute(
        "select set_config('sverka.actor', %(actor)s, true), set_config('sverka.run_id', %(run_id)s, true)",
        parameters,
    )

    new = _count(conn, _INSERT_CREATE, parameters)
    new_posts = _count(conn, _INSERT_POST, parameters)
    again = ["rejected"] if accounting.approval == "auto" else ["rejected", "approved"]
    released = _move(conn, _DUE_AGAIN, "planned", "the deal calls for it again", parameters)
    _move(conn, _CHANGED_UNSENT, "planned", "its content changed", {**parameters, "again": again})
    changed = _count(conn, _REPLAN, parameters)
    superseded = _move(conn, _STALE_UPDATE, "superseded", "something newer is to be written", parameters)
    updates = _count(conn, _INSERT_UPDATE, parameters)
    superseded += _move(conn, _NO_LONGER_DUE, "superseded", "the deal no longer calls for it", parameters)
    held = _move(conn, _TO_HOLD, "held", None, parameters)
    released += _move(conn, _TO_RELEASE, "planned", "what held it is mended", parameters)
    _move(conn, _TO_WAIT, "held", None, parameters)
    approved = _approve(conn, accounting, run_id)
    kinds = conn.execute(
        "select kind, count(*) from ops.operation where target = %(system)s and state in ('planned', 'approved') group by kind",
        parameters,
    ).fetchall()
    return Planned(
        looked_at, new + new_posts, changed, updates, held, released, superseded, approved, dict(kinds)
    )


_INSERT_CREATE = """
    insert into ops.operation (operation_id, target, kind, action, key, source, source_ref, subject, body,
                               content_hash, depends_on, amount, currency, run_id)
    select operation_id, %(system)s, kind, 'create', key, source, source_ref, subject, body, content_hash,
           depends_on, amount, currency, %(run_id)s
    from desired d
    where not exists (select from ops.operation o where o.operation_id = d.operation_id)
    order by rank
"""

_INSERT_POST = """
    insert into ops.operation (operation_id, target, kind, action, key, source, source_ref, subject,
                               depends_on, amount, currency, run_id)
    select ops.uuid8(d.operation_id, 'post'), %(system)s, d.kind, 'post', d.key, d.source, d.source_ref, d.subject,
           array[d.operation_id], d.amount, d.currency, %(run_id)s
    from desired d
    where d.kind = any(%(posted)s)
      and not exists (select from ops.operation o where o.operation_id = ops.uuid8(d.operation_id, 'post'))
"""

# What was no longer due, and never sent, is due once more: the same deal event is the same operation.
_DUE_AGAIN = """
    select o.operation_id from ops.operation o
    join (
        select operation_id from desired
        union all select ops.uuid8(operation_id, 'post') from desired where kind = any(%(posted)s)
    ) d on d.operation_id = o.operation_id
    where o.state = 'superseded' and o.reason_code is null
"""

# What has not left us yet is planned anew in place: the same identity, the body as it should be now.
_UNSENT = """
    o.operation_id = d.operation_id and d.body is not null
      and (o.content_hash is distinct from d.content_hash or o.depends_on <> d.depends_on)
"""

_CHANGED_UNSENT = f"""
    select o.operation_id from ops.operation o join desired d on {_UNSENT}
    where o.state = any(%(again)s)
"""

_REPLAN = f"""
    update ops.operation o
    set body = d.body, content_hash = d.content_hash, depends_on = d.depends_on, amount = d.amount,
        currency = d.currency, run_id = %(run_id)s
    from desired d
    where {_UNSENT} and o.state in ('planned', 'held', 'approved', 'rejected')
"""

# An update that never left and says something else than is to be written now.
_STALE_UPDATE = """
    select o.operation_id from ops.operation o
    join desired d on d.key = o.key and d.kind = o.kind
    where o.target = %(system)s and o.action = 'update' and o.state in ('planned', 'held', 'approved', 'rejected')
      and coalesce(o.reason_code, 'read_back') = 'read_back'
      and d.body is not null and o.content_hash is distinct from d.content_hash
"""

# A draft that was written and has changed since: an update with an identity of its own content.
_INSERT_UPDATE = """
    insert into ops.operation (operation_id, target, kind, action, key, source, source_ref, subject, body,
                               content_hash, depends_on, amount, currency, run_id)
    select ops.uuid8(d.operation_id, 'update/' || d.content_hash || '/' || latest.updates), %(system)s, d.kind,
           'update', d.key, d.source, d.source_ref, d.subject, d.body, d.content_hash,
           d.depends_on || d.operation_id || latest.under_way, d.amount, d.currency, %(run_id)s
    from desired d
    join ops.operation o on o.operation_id = d.operation_id and o.state = 'verified'
    cross join lateral (
        select (array_agg(w.content_hash order by w.planned_at desc, w.action desc)
                  filter (where w.state <> 'superseded'))[1] as content_hash,
               count(*) filter (where w.action = 'update') as updates,
               coalesce(array_agg(w.operation_id) filter (where w.state in ('sent', 'uncertain', 'confirmed')),
                        '{}') as under_way
        from ops.operation w
        where w.target = %(system)s and w.kind = d.kind and w.key = d.key and w.action in ('create', 'update')
    ) latest
    where d.body is not null and latest.content_hash is distinct from d.content_hash
      and d.kind in ('invoice', 'realization')
      and not exists (select from ops.operation p where p.target = %(system)s and p.key = d.key and p.kind = d.kind
                         and p.action = 'post' and p.state in ('sent', 'uncertain', 'confirmed', 'verified'))
"""

_NO_LONGER_DUE = """
    select o.operation_id from ops.operation o join scope on scope.key = o.subject
    where o.target = %(system)s and o.kind in ('invoice', 'realization')
      and o.state in ('planned', 'held', 'approved', 'rejected')
      and not exists (select from desired d where d.key = o.key)
"""

_TO_HOLD = """
    select o.operation_id, jsonb_build_object('reason', d.hold) as detail from ops.operation o
    join desired d on d.key = o.key and d.kind = o.kind
    where o.target = %(system)s and o.state in ('planned', 'approved') and d.hold is not null
"""

# A write of the same document has left us and is not settled, and means something else than is due now.
_UNDER_WAY = """
    d.body is not null and exists (
        select from ops.operation w
        where w.target = o.target and w.kind = o.kind and w.key = o.key and w.action in ('create', 'update')
          and w.state in ('sent', 'uncertain', 'confirmed') and w.content_hash is distinct from d.content_hash)
"""

_TO_RELEASE = f"""
    select o.operation_id from ops.operation o
    join desired d on d.key = o.key and d.kind = o.kind
    where o.target = %(system)s and o.state = 'held' and d.hold is null and d.body is not null
      and o.reason_code is null and not (o.action = 'post' and {_UNDER_WAY})
"""

# Nothing is posted while its draft is being settled and says something else than it should by now.
_TO_WAIT = f"""
    select o.operation_id, jsonb_build_object('reason',
               'its draft is being written and the deal has changed meanwhile; the draft is updated first') as detail
    from ops.operation o
    join desired d on d.key = o.key and d.kind = o.kind
    where o.target = %(system)s and o.action = 'post' and o.state in ('planned', 'approved') and {_UNDER_WAY}
"""

_TO_APPROVE = """
    select operation_id from ops.operation where target = %(system)s and state = 'planned' and reason_code is null
"""


def _count(conn: Connection, statement: str, parameters: Mapping[str, object]) -> int:
    cursor = conn.execute(trusted(statement), parameters)
    return cursor.rowcount


def _move(
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
