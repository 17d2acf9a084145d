"""Turn what accounting must hold into operations: new, changed, held, no longer due; equal ones stay as they are.

Only deals whose documents changed since the last plan are looked at. Whatever has left us is never
rewritten: what becomes of a document that accounting holds and that changed is decided in `decide.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mappings import System
from pipelines.operations.approve import ACTOR, approve, move
from pipelines.operations.bases import go_on
from pipelines.operations.decide import Decided, decide
from pipelines.operations.desired import DOCUMENT_KINDS, fill_desired
from pipelines.operations.edits import IS_CLOSED, LAST_STEP, REFUNDED, TOUCHED, write_back
from pipelines.operations.revisions import reconsider, remake
from pipelines.refresh import changed_scope
from pipelines.table import Changed, Column, Table
from resources.warehouse import Connection, Warehouse, trusted

# Deals whose documents are held, or wait for a record that is.
_HELD = """
    select o.subject as key from ops.operation o
    where o.state = 'held' and ops.is_document(o.kind) and exists (select from change)
    union
    select o.subject from ops.operation o cross join unnest(o.depends_on) as needs(parent)
    join ops.operation p on p.operation_id = needs.parent and p.state = 'held'
    where ops.is_document(o.kind) and exists (select from change)
"""

_UNSENT_OR_HELD = """
    select o.subject as key from ops.operation o
    where ops.is_document(o.kind) and o.state in ('held', 'planned', 'approved', 'rejected') and exists (select from change)
"""

# Deals of whose documents the last we did was to take one back to a draft.
_LEFT_UNPOSTED = """
    select o.subject from ops.operation o
    where o.action = 'unpost' and o.state = 'verified' and exists (select from change)
      and not exists (
        select from ops.operation p
        where p.target = o.target and p.kind = o.kind and p.key = o.key and p.action = 'post' and p.state = 'verified'
          and p.changed_at > o.changed_at)
"""

# Deals that need a master which accounting changed, and of which some field is the CRM's, or a document has not left: it is
# held while the master is deleted there.
_OWNED = "exists (select from ops.setting s where s.name = 'owner_{kind}' and s.value::text like '%\"crm\"%')"
_OR_UNSENT = " or exists (select from ops.operation u where u.state in ('held', 'planned', 'approved', 'rejected') and u.subject = "
_NAMED = (
    "select d.deal_id as key from documents.{kind} m join change on m.{kind}_key = change.key"
    " join documents.deal d on d.{kind}_id = m.{kind}_id where m.origin = 'created' and ("
    + _OWNED
    + _OR_UNSENT
    + "d.deal_id))"
)
_NAMED_PRODUCT = (
    "select l.deal_id as key from documents.product m join change on m.product_key = change.key"
    " join documents.document_line l on l.product_id = m.product_id where m.origin = 'created' and ("
    + _OWNED.format(kind="product") + _OR_UNSENT + "l.deal_id))"
)  # fmt: skip

# The plan as a consumer of changes: what makes it look at a deal again.
CONSUMER = Table(
    name="ops.operation",
    description="One intended write to an outside system.",
    owner="data-team",
    columns=(Column("operation_id", "uuid", "computed identity"),),
    rows="python",
    all_sql="select deal_id as key from documents.deal"
    " union select subject from ops.operation where subject is not null and ops.is_document(kind)",
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
        # A write that was under way when its deal changed has ended, or never arrived: compare the two now.
        Changed(
            "ops.operation",
            "select o.subject as key from change"
            " join ops.operation o on o.key = substr(change.key, strpos(change.key, ':') + 1)"
            " where ops.is_document(o.kind) and (o.state = 'verified' or o.state = 'approved' and o.attempts > 0)",
        ),
        # Periods were opened or closed: what is held for it, and what is about to leave.
        Changed(
            "ops.period_lock",
            f"{_UNSENT_OR_HELD} union {_LEFT_UNPOSTED}"
            " union select q.deal_id from ops.question q where q.answer is null and q.withdrawn_at is null"
            " and exists (select from change)",
        ),
        Changed("ops.question", "select key from change"),
        # A person lets something of it go once more.
        Changed("ops.release", "select key from change"),
        # Accounting changed what we wrote, or called a master otherwise, where a mapping says what follows.
        Changed("ledger.document", TOUCHED),
        Changed("ledger.payment", REFUNDED),
        # It is paid now, or is not any more, and something about it is undecided or has not left.
        Changed(
            "ledger.allocation.document_key",
            "select b.deal_id as key from change join ledger.obligation b on b.document_key = change.key"
            " where exists (select from ops.question q"
            " where q.deal_id = b.deal_id and q.answer is null and q.withdrawn_at is null)"
            " or exists (select from ops.operation o where o.subject = b.deal_id and ops.is_document(o.kind)"
            " and o.state in ('planned', 'held', 'approved', 'rejected'))",
        ),
        Changed("core.accounting_counterparty", _NAMED.format(kind="counterparty")),
        Changed("core.accounting_contract", _NAMED.format(kind="contract")),
        Changed("core.accounting_product", _NAMED_PRODUCT),
        # Documents that name what accounting lacked are looked at again when it has more.
        Changed("core.accounting_account", _HELD),
        Changed("core.accounting_warehouse", _HELD),
        # Fields of accounting went, or came back: what is held for it, and what is about to leave.
        Changed("ops.shape", _UNSENT_OR_HELD),
        Changed("ops.mapping_version", ""),
    ),
)


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
    revised: int = 0  # deals whose posted documents are followed by a correction or a return
    asked: int = 0  # documents that an accountant is asked about
    by_kind: Mapping[str, int] = field(default_factory=dict)

    @property
    def quiet(self) -> bool:
        return (
            self.new
            + self.changed
            + self.updates
            + self.held
            + self.released
            + self.superseded
            + self.revised
            + self.asked
            == 0
        )


def plan(warehouse: Warehouse, accounting: System, *, run_id: str = "", everything: bool = False) -> Planned:
    """Plan the operations for whatever changed, in one transaction. Sends nothing."""
    with warehouse.transaction() as conn, changed_scope(conn, CONSUMER, everything=everything) as looked_at:
        if not looked_at:  # but what a person put back is let go all the same
            return Planned(approved=approve(conn, accounting, run_id))

        def decide_anew() -> Decided:
            fill_desired(conn, accounting)
            return decide(conn, accounting, run_id)

        conn.execute("select set_config('sverka.run_id', %s, true)", [run_id])
        dropped = reconsider(conn, decide_anew, accounting.timezone, run_id)
        decided = decide_anew()
        if decided.deals:
            scope = [row[0] for row in conn.execute("select key from scope").fetchall()]
            remake(conn, decided.deals, scope)
            decide_anew()
        decided = Decided(sorted({*decided.deals, *dropped}), decided.asked)
        return _apply(conn, accounting, looked_at, run_id, decided)


def _apply(conn: Connection, accounting: System, looked_at: int, run_id: str, decided: Decided) -> Planned:
    system = accounting.name
    posted = [
        kind for kind in DOCUMENT_KINDS if kind in accounting.write and accounting.write[kind].post is True
    ]
    parameters = {"system": system, "run_id": run_id, "posted": posted, "actor": ACTOR}
    conn.execute(
        "select set_config('sverka.actor', %(actor)s, true), set_config('sverka.run_id', %(run_id)s, true)",
        parameters,
    )

    new = _count(conn, _INSERT_CREATE, parameters)
    new_posts = _count(conn, _INSERT_POST, parameters)
    again = ["rejected"] if accounting.approval == "auto" else ["rejected", "approved"]
    released = move(conn, _DUE_AGAIN, "planned", "the deal calls for it again", parameters)
    move(conn, _CHANGED_UNSENT, "planned", "its content changed", {**parameters, "again": again})
    changed = _count(conn, _REPLAN, parameters)
    _count(conn, _REPLAN_POST, parameters)
    superseded = move(conn, _STALE_UPDATE, "superseded", "something newer is to be written", parameters)
    released += move(conn, _UPDATE_AGAIN, "planned", "it is to be updated after all", parameters)
    _count(conn, _INSERT_UNPOST, parameters)
    updates = _count(conn, _INSERT_UPDATE, parameters)
    _count(conn, _INSERT_POST_AGAIN, parameters)
    updates += _count(conn, _INSERT_POST_BACK, parameters)
    updates += write_back(conn, accounting, run_id)
    released += move(conn, _POST_CHANGED, "planned", "its document is changed first", parameters)
    move(conn, _TAKEN_BACK, "reversed", "a document that takes it back is written", parameters)
    superseded += move(conn, _NO_LONGER_DUE, "superseded", "the deal no longer calls for it", parameters)
    superseded += move(conn, _THERE_BY_NOW, "superseded", "accounting has it by now", parameters)
    held = move(conn, _TO_HOLD, "held", None, parameters)
    released += move(conn, _TO_RELEASE, "planned", "what held it is mended", parameters)
    released += go_on(conn, system, ACTOR, run_id)
    move(conn, _TO_WAIT, "held", None, parameters)
    approved = approve(conn, accounting, run_id)
    kinds = conn.execute(
        "select kind, count(*) from ops.operation where target = %(system)s and state in ('planned', 'approved') group by kind",
        parameters,
    ).fetchall()
    return Planned(
        looked_at, new + new_posts, changed, updates, held, released, superseded, approved,
        len(decided.deals), decided.asked, dict(kinds),
    )  # fmt: skip


# Here and below single rows are looked up by their keys: `exists` might read all operations that there are.
_INSERT_CREATE = """
    insert into ops.operation (operation_id, target, kind, action, key, source, source_ref, subject, body, content,
                               content_hash, depends_on, amount, currency, run_id)
    select operation_id, %(system)s, kind, 'create', key, source, source_ref, subject, body, content, content_hash,
           depends_on, amount, currency, %(run_id)s
    from desired d
    where (select true from ops.operation o where o.operation_id = d.operation_id) is null
    order by rank
"""

_INSERT_POST = """
    insert into ops.operation (operation_id, target, kind, action, key, source, source_ref, subject,
                               depends_on, amount, currency, run_id)
    select ops.uuid8(d.operation_id, 'post'), %(system)s, d.kind, 'post', d.key, d.source, d.source_ref, d.subject,
           array[d.operation_id], d.amount, d.currency, %(run_id)s
    from desired d
    where d.kind = any(%(posted)s)
      and (select true from ops.operation o where o.operation_id = ops.uuid8(d.operation_id, 'post')) is null
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
    set body = d.body, content = d.content, content_hash = d.content_hash, depends_on = d.depends_on, amount = d.amount,
        currency = d.currency, run_id = %(run_id)s
    from desired d
    where {_UNSENT} and o.state in ('planned', 'held', 'approved', 'rejected')
"""

_REPLAN_POST = """
    update ops.operation o set amount = d.amount, currency = d.currency
    from desired d
    where o.key = d.key and o.kind = d.kind and o.action = 'post' and o.operation_id = ops.uuid8(d.operation_id, 'post')
      and o.state in ('planned', 'held', 'approved', 'rejected')
      and (o.amount, o.currency) is distinct from (d.amount, d.currency)
"""

# An update that never left and says something else than is to be written now.
_STALE_UPDATE = """
    with stale as (
        select o.operation_id, o.depends_on from ops.operation o
        join desired d on d.key = o.key and d.kind = o.kind
        left join standing s on s.operation_id = d.operation_id
        where o.target = %(system)s and o.action = 'update' and o.state in ('planned', 'held', 'approved', 'rejected')
          and coalesce(o.reason_code, 'read_back') = 'read_back'
          and d.content_hash is not null and (
            o.content_hash is distinct from d.content_hash or s.action not in ('update', 'restore')
            -- Or came too late: accounting changed what it was to take back, and we know now to what.
            or exists (
                select from ops.operation u
                where u.operation_id = any(o.depends_on) and u.action = 'unpost' and u.state = 'rejected'
                  and u.version <> s.version))
    )
    select operation_id from stale
    union
    -- With it the steps around it: the posting that was to be taken back, and the posting after it.
    select c.operation_id from stale
    join ops.operation c on c.operation_id = any(stale.depends_on) and c.action = 'unpost'
     or c.operation_id = ops.uuid8(stale.operation_id, 'post')
    where c.state in ('planned', 'held', 'approved', 'rejected')
"""

# What was written and has changed since, where the policy lets it be updated: an operation with an identity of its own
# content. A posted document is taken back to a draft first, and posted again after it.
_UPDATED = """
    from desired d
    join ops.operation o on o.operation_id = d.operation_id and o.state = 'verified'
    join standing s on s.operation_id = d.operation_id and s.action = 'update'
    cross join lateral (
        select (array_agg(w.content_hash order by w.planned_at desc, w.action desc)
                  filter (where w.state <> 'superseded'))[1] as content_hash,
               count(*) filter (where w.action = 'update' and w.content_hash is distinct from d.content_hash) as updates,
               coalesce(array_agg(w.operation_id) filter (where w.state in ('sent', 'uncertain', 'confirmed')),
                        '{}') as under_way
        from ops.operation w
        where w.target = %(system)s and w.kind = d.kind and w.key = d.key and w.action in ('create', 'update')
    ) latest
    cross join lateral (
        select 'update/' || d.content_hash || '/' || latest.updates || coalesce('/' || nullif((
                   select count(*) from ops.operation u
                   where u.target = %(system)s and u.kind = d.kind and u.key = d.key and u.action = 'unpost'
                     and u.state = 'verified'), 0), '')
                   || case when s.state <> 'draft' and d.kind = any(%(posted)s) then coalesce('/' || s.version, '') else '' end
                   as name,
               s.state <> 'draft' and d.kind = any(%(posted)s) as is_posted
    ) named
    where d.content_hash is not null and ops.is_document(d.kind)
"""

# A posting of the same document that is still to come.
_IS_TO_BE_POSTED = """exists (
        select from ops.operation x
        where x.target = {o}.target and x.kind = {o}.kind and x.key = {o}.key and x.action = 'post'
          and x.state not in ('verified', 'superseded', 'reversed'))"""

# What was left aside meanwhile is the same step again.
_UPDATE_AGAIN = f"""
    with steps as (
        select ops.uuid8(d.operation_id, named.name) as changed, ops.uuid8(d.operation_id, 'unpost/' || named.name) as taken_back
        {_UPDATED}
    )
    select a.operation_id from steps
    cross join unnest(array[changed, taken_back, ops.uuid8(changed, 'post')]) as step(operation_id)
    join ops.operation a on a.operation_id = step.operation_id
    where a.state = 'superseded' and a.reason_code is null and not (a.action = 'post' and {_IS_TO_BE_POSTED.format(o="a")})
"""

_INSERT_UNPOST = f"""
    insert into ops.operation (operation_id, target, kind, action, key, source, source_ref, subject, depends_on, amount,
                               currency, version, run_id)
    select ops.uuid8(d.operation_id, 'unpost/' || named.name), %(system)s, d.kind, 'unpost', d.key, d.source, d.source_ref,
           d.subject, d.depends_on || d.operation_id, d.amount, d.currency, s.version, %(run_id)s
    {_UPDATED} and named.is_posted and latest.content_hash is distinct from d.content_hash
    on conflict do nothing
"""

_INSERT_UPDATE = f"""
    insert into ops.operation (operation_id, target, kind, action, key, source, source_ref, subject, body, content,
                               content_hash, depends_on, amount, currency, version, run_id)
    select ops.uuid8(d.operation_id, named.name), %(system)s, d.kind, 'update', d.key, d.source, d.source_ref, d.subject,
           coalesce(s.body, d.body), coalesce(s.kept, d.content), d.content_hash,
           d.depends_on || d.operation_id || latest.under_way
           || case when named.is_posted then array[ops.uuid8(d.operation_id, 'unpost/' || named.name)] else '{{}}' end,
           d.amount, d.currency,
           case when s.may_overwrite or s.state <> 'draft' and not named.is_posted then s.version end, %(run_id)s
    {_UPDATED} and latest.content_hash is distinct from d.content_hash
    on conflict do nothing
"""

_INSERT_POST_AGAIN = f"""
    insert into ops.operation (operation_id, target, kind, action, key, source, source_ref, subject, depends_on, amount,
                               currency, run_id)
    select ops.uuid8(u.operation_id, 'post'), %(system)s, u.kind, 'post', u.key, u.source, u.source_ref, u.subject,
           array[u.operation_id], u.amount, u.currency, %(run_id)s
    from desired d
    join ops.operation u on u.target = %(system)s and u.key = d.key and u.kind = d.kind and u.action = 'update'
     and u.state = 'planned'
    join ops.operation p on p.operation_id = any(u.depends_on) and p.action = 'unpost'
    where not exists (select from ops.operation o where o.operation_id = ops.uuid8(u.operation_id, 'post'))
      and not {_IS_TO_BE_POSTED.format(o="u")}
"""

# What we took back to a draft, and what was to follow it is not to be written after all, or came to nothing: it was
# posted, and is again. Not what a person posted, changed or deleted since.
_INSERT_POST_BACK = f"""
    insert into ops.operation (operation_id, target, kind, action, key, source, source_ref, subject, depends_on, amount,
                               currency, run_id)
    select ops.uuid8(d.operation_id, 'post back/' || (
               select count(*) from ops.operation x
               where x.target = w.target and x.kind = d.kind and x.key = d.key
                 and (x.action = 'post' or x.action = 'unpost' and x.state = 'verified'))),
           w.target, d.kind, 'post', d.key, d.source, d.source_ref, d.subject, array[d.operation_id], d.amount, d.currency,
           %(run_id)s
    from desired d
    join (select *, %(system)s as target from written) w on w.operation_id = d.operation_id
    left join ledger.document l on l.document_key = w.document_key
    where w.kind = any(%(posted)s) and {LAST_STEP} = 'unpost' and not {_IS_TO_BE_POSTED.format(o="w")}
      and not coalesce(l.is_deleted, false) and not {IS_CLOSED}
      and (l.version is null and not coalesce(l.is_posted, false) or exists (
          select from ops.operation x
          where x.target = w.target and x.kind = w.kind and x.key = w.key and x.version = l.version
            and x.state = 'verified'))
      and not exists (
        select from ops.operation x
        where x.target = w.target and x.kind = w.kind and x.key = w.key and x.action = 'unpost'
          and x.state not in ('verified', 'superseded', 'reversed'))
"""

# A posting that was refused, of a document that is changed now, or was since: the reason may have gone with the change.
_POST_CHANGED = """
    select p.operation_id from ops.operation p join desired d on d.key = p.key and d.kind = p.kind
    where p.target = %(system)s and p.action = 'post' and p.state = 'rejected'
      and exists (
        select from ops.operation u
        where u.target = p.target and u.kind = p.kind and u.key = p.key and u.action = 'update'
          and (u.state = 'planned' or u.state = 'verified' and u.changed_at > p.changed_at))
      and not exists (
        select from ops.operation w
        where w.target = p.target and w.kind = p.kind and w.key = p.key and w.action = 'post'
          and w.planned_at > p.planned_at and w.state <> 'superseded')
"""

# Everything that was done with a document which a return has taken back.
_TAKEN_BACK = """
    select o.operation_id
    from ops.revision r
    join scope on scope.key = r.deal_id
    join ops.operation base on base.operation_id = r.operation_id
    join ops.operation o on o.target = %(system)s and o.kind = base.kind and o.key = base.key and o.state = 'verified'
    where r.ending = 'reversed' and exists (
        select from ops.operation w
        where w.target = %(system)s and w.kind = 'return' and w.subject = r.deal_id and w.state = 'verified'
          and w.action = case when 'return' = any(%(posted)s) then 'post' else 'create' end
          and w.key = ops.key_of(%(system)s, 'return', r.deal_id || '/' || r.kind || '/' || r.revision)::text)
"""

_NO_LONGER_DUE = """
    select o.operation_id from ops.operation o join scope on scope.key = o.subject
    where o.target = %(system)s and ops.is_document(o.kind)
      and o.state in ('planned', 'held', 'approved', 'rejected')
      and coalesce(o.reason_code, '') <> 'read_back'  -- accounting holds it, if otherwise than it was sent
      and not exists (select from desired d where d.key = o.key)
      -- What stays in the books though it was corrected may have to be posted again; not after an update that is not made.
      and not (o.action = 'post' and exists (select from written w where w.key = o.key and w.is_ended)
               and not exists (select from ops.operation u
                                where u.operation_id = any(o.depends_on) and u.action = 'update' and u.state <> 'verified'))
"""

# Counterparties that never left, and that accounting has by now: somebody entered them there. Or another record is to be
# created for them: others give their tax number with its branch.
_THERE_BY_NOW = """
    select o.operation_id from ops.operation o
    join documents.counterparty c on c.counterparty_id = o.subject
    where o.target = %(system)s and o.kind = 'counterparty' and o.action = 'create'
      and o.state in ('planned', 'held', 'approved', 'rejected') and o.reason_code is null
      and (c.origin <> 'created' or c.counterparty_key <> o.target || ':' || o.key)
"""

_TO_HOLD = """
    select o.operation_id, jsonb_build_object('reason', d.hold) as detail from ops.operation o
    join desired d on d.key = o.key and d.kind = o.kind
    where o.target = %(system)s and o.state in ('planned', 'approved', 'rejected') and d.hold is not null
"""

# A write of the same document has left us and is not settled, and means something else than is due now.
_UNDER_WAY = """
    d.content_hash is not null and exists (
        select from ops.operation w
        where w.target = o.target and w.kind = o.kind and w.key = o.key and w.action in ('create', 'update')
          and w.state in ('sent', 'uncertain', 'confirmed') and w.content_hash is distinct from d.content_hash)
"""

_TO_RELEASE = f"""
    select o.operation_id from ops.operation o
    join desired d on d.key = o.key and d.kind = o.kind
    where o.target = %(system)s and o.state = 'held' and d.hold is null and d.content_hash is not null
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


def _count(conn: Connection, statement: str, parameters: Mapping[str, object]) -> int:
    cursor = conn.execute(trusted(statement), parameters)
    return cursor.rowcount
