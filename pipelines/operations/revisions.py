"""What follows a document that stays in accounting as it is: a row of `ops.revision`, and whether it may follow.

A decision holds from the moment that something of it left us: a correction, or a return and the document after it. Until
then it is made again with every plan that looks at its deal, as if it had not been made (`reconsider`): the deal may be
lost by now, its buyer another one, its period closed. A decision that comes out equal stays as it was, with its day, unless
that day was closed meanwhile.

A correction or a return rests on what it corrects or takes back: it is decided, and leaves, only while accounting holds that
posted and as we last wrote it (`AMISS`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from mappings import System
from pipelines.refresh import empty_scope, lock_changes, refresh_scopes
from pipelines.table import tables
from resources.warehouse import Connection, trusted


def reconsider(
    conn: Connection, decide_anew: Callable[[], object], zone: str, run_id: str = ""
) -> Sequence[str]:
    """Drop the decisions about deals in `scope` that would not be made again, and of which nothing has left; whose they were.

    `decide_anew` decides about the deals in `scope`; what it writes is taken back. `zone`: of accounting's clock.
    """
    scope = [row[0] for row in conn.execute("select key from scope").fetchall()]
    dated = _date_anew(conn, zone, run_id)
    if dated:
        remake(conn, dated, scope)
    rows = conn.execute(_OPEN).fetchall()
    if not rows:
        return dated
    deals = sorted({row[0] for row in rows})
    with conn.transaction(force_rollback=True):
        _forget(conn, deals)
        remake(conn, deals, deals)
        decide_anew()
        again = set(conn.execute(_LAST, [deals]).fetchall())
    closed = {row[0] for row in conn.execute(trusted(_CLOSED_SINCE.format(rows=_OPEN_ROWS))).fetchall()}
    dropped = sorted({row[0] for row in rows if row not in again} | closed)
    if dropped:
        _drop(conn, dropped, run_id)
        remake(conn, dropped, scope)
    return [*dated, *dropped]


def _date_anew(conn: Connection, zone: str, run_id: str) -> Sequence[str]:
    """Give what a person took back for good a day of today, where its day was closed before anything of it left; whose it was."""
    rows = conn.execute(trusted(_CLOSED_SINCE.format(rows=_FINAL_ROWS))).fetchall()
    deals = sorted({row[0] for row in rows})
    if deals:
        _drop(conn, deals, run_id, _FINAL_ROWS)
        conn.execute(_MADE_ANEW, [zone, deals])
    return deals


def remake(conn: Connection, deals: Sequence[str], scope: Sequence[str]) -> None:
    """Make `documents.document` of these deals anew by what is decided; `scope` holds those given afterwards."""
    refresh_scopes(conn, tables()["documents.document"], deals)
    empty_scope(conn)
    conn.execute("insert into scope select unnest(%s::text[])", [list(scope)])


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a person's decision, in a sentence."""

    done: bool
    sentence: str


def undo(conn: Connection, accounting: System, deal: str, kind: str, by: str, reason: str) -> Told:
    """Take a document back by a return, for good: the deal gets no other of its kind. Nothing is deleted.

    What was decided or planned of the document before and has not left is taken back with it: else it would leave still.
    """
    if kind != "realization" or "return" not in accounting.write:
        return Told(
            False,
            f"a {kind} cannot be taken back by a document of its own in {accounting.name}"
            + ("" if kind != "realization" else f": {accounting.source.name} has no `write: return`")
            + "; take it back in accounting",
        )
    lock_changes(conn)  # a plan under way may decide about it, another person may be undoing it
    parameters = {
        "system": accounting.name, "zone": accounting.timezone, "deal": deal, "by": by, "reason": reason,
    }  # fmt: skip
    empty_scope(conn)
    conn.execute("insert into scope values (%s)", [deal])
    with conn.transaction(force_rollback=True):
        _drop(conn, [deal])
        refusal = _cannot_be_undone(conn, deal, kind, parameters)
    if refusal:
        return Told(False, refusal)
    _drop(conn, [deal])
    conn.execute(trusted(_UNDO), parameters)
    conn.execute(_NOT_LEFT, parameters)
    remake(conn, [deal], [])
    # An answer would decide nothing any more. What is still to be decided the next plan asks anew.
    conn.execute(
        "update ops.question set withdrawn_at = clock_timestamp()"
        " where deal_id = %s and kind in ('realization', 'correction') and answer is null and withdrawn_at is null",
        [deal],
    )
    return Told(True, f"the {kind} of {deal} is taken back by a return; the next sync writes it")


def _cannot_be_undone(conn: Connection, deal: str, kind: str, parameters: Mapping[str, str]) -> str:
    stands = conn.execute(trusted(_STANDS), parameters).fetchone()
    if stands is None:
        return f"accounting holds no {kind} of {deal} that we wrote and that stands; see `sverka plan` and `sverka questions list`"
    last_step, is_under_way, amiss = stands
    if is_under_way:
        return f"the {kind} of {deal} is being written: undo it after the next sync"
    if amiss == "not posted" and last_step == "unpost":
        return (
            f"we unposted the {kind} of {deal} to change it, and it is not posted again yet: there is nothing to take back."
            f" `sverka operations show {deal}` says what it waits for; undo it once it is posted"
        )
    if amiss:
        return (
            f"in accounting the {kind} of {deal}, or a correction of it, is not as we left it ({amiss}): a return would not take"
            " it back. Put that right there first, or take it back there"
        )
    return ""


def what_is_amiss(conn: Connection, operation_id: UUID) -> str:
    """How accounting holds a realization, or what a correction corrects, where that is not as we left it; else empty."""
    row = conn.execute(trusted(_AMISS_OF), {"operation": operation_id}).fetchone()
    return str(row[0]) if row and row[0] else ""


def _drop(conn: Connection, deals: Sequence[str], run_id: str = "", rows: str = "") -> None:
    """Forget what was decided last about the documents of these deals, all in `scope`, where nothing of it has left; it is kept."""
    conn.execute(
        trusted(
            "insert into ops.revision_dropped select v.*, clock_timestamp(), %s"
            f" from ({rows or _OPEN_ROWS}) v where v.deal_id = any(%s)"
        ),
        [run_id, list(deals)],
    )
    _forget(conn, deals, rows)


def _forget(conn: Connection, deals: Sequence[str], rows: str = "") -> None:
    conn.execute(
        trusted(
            f"delete from ops.revision r using ({rows or _OPEN_ROWS}) v where v.deal_id = any(%s)"
            " and (r.deal_id, r.kind, r.revision, r.number) = (v.deal_id, v.kind, v.revision, v.number)"
        ),
        [list(deals)],
    )


# The last decision about each document of the deals in scope, where nothing of what follows it has left us, or what left is a
# draft that was deleted in accounting and never was in the books.
_NOT_LEFT_ROWS: Final = """
    select l.*
    from (
        select distinct on (r.deal_id, r.kind) r.* from ops.revision r join scope on scope.key = r.deal_id
        order by r.deal_id, r.kind, r.revision desc, r.number desc
    ) l
    join ops.operation base on base.operation_id = l.operation_id
    where {which} and not exists (
        select from ops.operation o
        where o.operation_id in (
                case l.ending when 'corrected' then ops.key_of(
                    base.target, 'correction', l.deal_id || '/' || l.kind || '/' || l.revision || '/' || l.number) end::uuid,
                case l.ending when 'reversed' then ops.key_of(
                    base.target, 'return', l.deal_id || '/' || l.kind || '/' || l.revision) end::uuid)
          and (o.state in ('sent', 'uncertain', 'confirmed', 'verified', 'reversed') or o.reason_code = 'read_back')
          and not (o.kind = 'correction' and o.state = 'verified' and exists (
                  select from ledger.document d
                  where d.document_key = o.target || ':' || o.key and d.is_deleted and not d.is_posted)
              and not exists (
                  select from ops.operation p
                  where p.target = o.target and p.kind = o.kind and p.key = o.key and p.action in ('update', 'post')
                    and p.state in ('sent', 'uncertain', 'confirmed', 'verified'))))
"""

# What a person took back for good stays so.
_OPEN_ROWS: Final = _NOT_LEFT_ROWS.format(which="not l.is_final")
_FINAL_ROWS: Final = _NOT_LEFT_ROWS.format(which="l.is_final")

_OPEN: Final = f"""
    select v.deal_id, v.kind, v.revision, v.number, v.ending, v.decided_by, v.reason, md5(v.held::text) from ({_OPEN_ROWS}) v
"""

# Whose decision has a day in a period that was closed before anything of it left: it is made anew, with a day of today.
_CLOSED_SINCE: Final = """
    select v.deal_id from ({rows}) v join ops.operation base on base.operation_id = v.operation_id
    where exists (select from ops.period_lock p
                   where p.system = base.target and p.until >= v.decided_on and p.until < current_date)
"""

_MADE_ANEW: Final = """
    insert into ops.revision (deal_id, kind, revision, number, ending, is_final, held, decided_on, decided_by, reason, operation_id)
    select d.deal_id, d.kind, d.revision, d.number, d.ending, d.is_final, d.held, (clock_timestamp() at time zone %s)::date,
           d.decided_by, d.reason, d.operation_id
    from ops.revision_dropped d
    where d.deal_id = any(%s) and d.is_final and d.dropped_at >= now()
"""

_LAST: Final = """
    select distinct on (r.deal_id, r.kind) r.deal_id, r.kind, r.revision, r.number, r.ending, r.decided_by, r.reason,
           md5(r.held::text)
    from ops.revision r where r.deal_id = any(%s)
    order by r.deal_id, r.kind, r.revision desc, r.number desc
"""

# Of the creation `b` of a realization: how accounting holds it, or a correction of it, where that is not as we last wrote it
# and posted, or followed by a document of an accountant's own; null where all is well. A correction that was never posted
# corrects nothing. What has not been read of it yet is taken to be as we left it.
_AMISS: Final = """(
    select string_agg(distinct said.how, ', ')
    from ops.operation c
    left join ledger.document l on l.document_key = c.target || ':' || c.key
    cross join lateral (
        select (array_agg(x.content order by x.planned_at desc, x.action desc)
                   filter (where x.action in ('create', 'update')))[1] as content,
               (array_agg(x.version order by x.changed_at desc) filter (where x.version is not null))[1] as version,
               (array_agg(x.action order by x.changed_at desc) filter (where x.action in ('post', 'unpost')))[1] as last_step
        from ops.operation x
        where x.target = c.target and x.kind = c.kind and x.key = c.key and x.state = 'verified'
    ) ours
    cross join lateral (
        select c.kind = 'correction' and ours.last_step is null and exists (
            select from ops.setting s where s.system = c.target and s.name = 'post_correction' and s.value = 'true'
        ) as is_draft
    ) left_as
    cross join lateral (
        select case
            when left_as.is_draft and not coalesce(l.is_posted, false) then null
            when l.is_deleted then 'deleted'
            when not coalesce(l.is_posted, ours.last_step = 'post', false) and not exists (
                select from ops.setting s where s.system = c.target and s.name = 'posted_at_once_' || c.kind) then 'not posted'
            when c.kind <> 'correction' and exists (
                select from (
                    select h.* from ledger.document h where h.base_key = c.target || ':' || c.key
                    union all
                    select h.*  -- a credit that is used on it
                    from ledger.payment_line paid
                    join ledger.payment_line used on used.payment_key = paid.payment_key and not used.is_deleted
                    join ledger.document h on h.document_key = used.return_key
                    where paid.invoice_key = c.target || ':' || c.key and not paid.is_deleted
                ) h
                where h.kind in ('correction', 'return') and not h.is_deleted
                  and coalesce(h.is_posted, true) and not exists (
                    select from ops.operation x where x.target = c.target and x.key = substr(h.document_key, length(c.target) + 2))
            ) then '[by_hand]'
            when l.version is null or l.version = ours.version then null
            when left_as.is_draft then 'changed'  -- posted there, not by us
            when exists (
                select from unnest(ops.edited_fields(ours.content, jsonb_build_object('document', to_jsonb(l), 'lines', (
                    select jsonb_agg(to_jsonb(x)) from ledger.document_line x
                    where x.document_key = l.document_key and not x.is_deleted and c.kind <> 'correction')))) f
                where f in ('counterparty', 'currency', 'lines')
                   or f = 'amount' and abs(l.amount - (ours.content #>> '{document,amount}')::numeric) > coalesce((
                       select (r.value #>> '{}')::numeric from ops.setting r
                       where r.system = c.target and r.name = 'rounding_up_to'), 0)) then 'changed'
            end as how
    ) said
    where c.target = b.target and c.action = 'create' and c.state = 'verified' and [but]
      and (c.operation_id = b.operation_id
           or c.kind = 'correction' and c.subject = b.subject
              and c.content #>> '{document,base_key}' = b.target || ':' || b.key))
"""
BY_HAND: Final = "corrected or taken back by hand"
_AMISS_SAID: Final = _AMISS.replace("[by_hand]", BY_HAND)
AMISS: Final = _AMISS_SAID.replace("[but]", "true")
# Leaving out what `o` itself writes or posts.
AMISS_BESIDE: Final = _AMISS_SAID.replace("[but]", "c.key <> o.key")

# Of the creation of a realization or of a correction.
_AMISS_OF: Final = f"""
    select {AMISS} from ops.operation asked
    join ops.operation b on b.operation_id = case asked.kind when 'correction' then (
        select r.operation_id from ops.revision r where r.deal_id = asked.subject and r.kind = 'realization'
        order by r.revision desc, r.number desc limit 1) else asked.operation_id end
    where asked.operation_id = %(operation)s
"""

REVISE: Final = """
    insert into ops.revision (deal_id, kind, revision, number, ending, held, decided_on, decided_by, reason, operation_id)
    select s.deal_id, 'realization', held.revision, coalesce(before.number, 0) + 1,
           case s.action when 'reversal' then 'reversed' else 'corrected' end, held.content,
           -- Decided once before, and put in question in vain: the day stays.
           coalesce((select v.decided_on from ops.revision_dropped v
                      where (v.deal_id, v.kind, v.revision, v.ending) = (
                                s.deal_id, 'realization', held.revision,
                                case s.action when 'reversal' then 'reversed' else 'corrected' end)
                        and v.number = coalesce(before.number, 0) + 1 and v.held = held.content and v.dropped_at >= now()
                        and not exists (select from ops.period_lock p
                                         where p.system = %(system)s and p.until >= v.decided_on and p.until < current_date)
                      limit 1), (clock_timestamp() at time zone %(zone)s)::date),
           coalesce((select q.answered_by from ops.question q where q.question_id = s.question_id), 'policy'),
           array_to_string(s.fields, ', ') || ' changed in the CRM (' || s.state || ')',
           coalesce(before.operation_id, s.operation_id)
    from standing s
    join written w on w.operation_id = s.operation_id
    left join lateral (
        -- A correction that is followed: it belongs to the revision that it corrects.
        select r.* from ops.revision r
        where s.kind = 'correction' and r.deal_id = s.deal_id and r.kind = 'realization'
        order by r.revision desc, r.number desc limit 1
    ) before on true
    cross join lateral (
        select case when before.held is null then w.content
                    else ops.corrected(before.held, w.content) end as content,
               coalesce(before.revision, (w.content #>> '{document,revision}')::int) as revision
    ) held
    where s.action in ('correction', 'reversal') and w.content is not null
      and not (s.action = 'correction' and s.is_cancelled)
      and before.ending is distinct from 'reversed'
    on conflict do nothing
    returning deal_id
"""

# The realization of a deal that stands: what we did last with its posting, whether anything of it is on its way, what is amiss.
_STANDS: Final = f"""
    select (select x.action from ops.operation x
             where x.target = b.target and x.kind = b.kind and x.key = b.key and x.action in ('post', 'unpost')
               and x.state = 'verified'
             order by x.changed_at desc limit 1),
           exists (select from ops.operation x
                    where x.target = b.target and x.subject = b.subject and x.kind in ('realization', 'correction', 'return')
                      and x.state in ('sent', 'uncertain', 'confirmed')),
           {AMISS}
    from ops.operation b
    where b.target = %(system)s and b.subject = %(deal)s and b.kind = 'realization' and b.action = 'create'
      and b.state = 'verified' and (
        select r.ending from ops.revision r where r.operation_id = b.operation_id order by r.number desc limit 1
      ) is distinct from 'reversed'
    order by b.planned_at desc limit 1
"""

_UNDO: Final = """
    insert into ops.revision (deal_id, kind, revision, number, ending, is_final, held, decided_on, decided_by, reason, operation_id)
    select o.subject, o.kind, (w.content #>> '{document,revision}')::int, coalesce(r.number, 0) + 1, 'reversed', true,
           -- A correction that is not in the books led to nothing: what it was to correct is taken back.
           coalesce(after.content, r.held, w.content), (clock_timestamp() at time zone %(zone)s)::date, %(by)s, %(reason)s, o.operation_id
    from ops.operation o
    cross join lateral (
        select x.content from ops.operation x
        where x.target = o.target and x.kind = o.kind and x.key = o.key and x.action in ('create', 'update')
          and x.state = 'verified'
        order by x.planned_at desc, x.action desc limit 1
    ) w
    left join lateral (
        select * from ops.revision p
        where p.deal_id = o.subject and p.kind = o.kind and p.revision = (w.content #>> '{document,revision}')::int
        order by p.number desc limit 1
    ) r on true
    left join lateral (
        -- A correction that was written says what it led to, once it is in the books.
        select ops.corrected(r.held, c.content) as content from ops.operation c
        where c.target = o.target and c.kind = 'correction' and c.subject = o.subject and c.state = 'verified'
          and c.action in ('create', 'update') and r.ending = 'corrected'
          and (exists (select from ops.operation p where p.target = c.target and p.kind = c.kind and p.key = c.key
                          and p.action = 'post' and p.state = 'verified')
               or not exists (select from ops.setting s
                               where s.system = c.target and s.name = 'post_correction' and s.value = 'true'))
          and c.key = ops.key_of(o.target, 'correction', o.subject || '/' || o.kind || '/' || r.revision || '/' || r.number)::text
        order by c.planned_at desc, c.action desc limit 1
    ) after on true
    where o.target = %(system)s and o.subject = %(deal)s and o.kind = 'realization' and o.action = 'create'
      and o.state = 'verified' and w.content is not null and r.ending is distinct from 'reversed'
    order by o.planned_at desc limit 1
    returning deal_id
"""

# What was planned of the document, of its corrections and of the VAT invoice beside it, and has not left. What is due all the
# same is planned again by the next plan.
_NOT_LEFT: Final = """
    select ops.move_many(array_agg(o.operation_id), 'superseded', %(by)s, 'its document is taken back', null, null)
    from ops.operation o
    where o.target = %(system)s and o.subject = %(deal)s and o.kind in ('realization', 'vat_invoice', 'correction', 'return')
      and o.state in ('planned', 'held', 'approved', 'rejected')
      and coalesce(o.reason_code, '') <> 'read_back'  -- accounting holds it, if otherwise than it was sent
    having count(*) > 0
"""
