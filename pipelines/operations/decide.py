"""What becomes of a document that accounting holds and that its deal no longer agrees with.

The mapping file's `policy` decides by the document's state (draft, posted, paid, closed period) and by what
changed: it is updated, a correction is written beside it, it is taken back by a return and written anew, an
accountant is asked (`ops.question`), or it is left. What accounting changed meanwhile is handled by the field's owner
(`edits.py`); where nobody is named, it is always asked about. What is decided about a document that stays is a row of
`ops.revision`; `documents.document` makes of it what follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mappings import System
from mappings.check import ANOTHERS
from pipelines.operations.changes import say_changes
from pipelines.operations.desired import PERIOD_CLOSED, PERIOD_CLOSED_THERE, write_out
from pipelines.operations.edits import (
    LAST_STEP,
    STATE,
    UNDONE,
    WAS_POSTED,
    WEIGHTY,
    find_edits,
    hand_over,
    record_edits,
)
from pipelines.operations.revisions import AMISS, BY_HAND, REVISE, Told, what_is_amiss
from pipelines.refresh import lock_changes
from resources.warehouse import Connection, trusted


@dataclass(frozen=True, slots=True)
class Decided:
    """Deals whose documents are other ones now; how many documents people were asked about anew."""

    deals: Sequence[str] = ()
    asked: int = 0


def decide(conn: Connection, accounting: System, run_id: str = "") -> Decided:
    """Decide about the documents of the deals in `scope`, of which `desired` says what they should be.

    Leaves the temporary table `standing`: each document that differs, its state, what changed and the action. Of those
    that may be written again `desired` says what is written.
    """
    parameters = {"system": accounting.name, "zone": accounting.timezone, "run_id": run_id}
    conn.execute("drop table if exists pg_temp.written, pg_temp.standing")
    conn.execute(trusted(_WRITTEN), parameters)
    conn.execute("analyze written (operation_id, kind, key, deal_id, document_key)")
    find_edits(conn, accounting)
    for statement in (_STANDING, _ACTION):
        conn.execute(trusted(statement), parameters)
    write_out(conn, accounting, _TO_WRITE)
    conn.execute(_KEPT)
    hand_over(conn, accounting)
    conn.execute(trusted(_AMISS), parameters)
    conn.execute("analyze standing (operation_id, kind, key, deal_id, state, action)")
    conn.execute(trusted(_WRITTEN_IN_CLOSED_PERIOD), parameters)
    deals = [row[0] for row in conn.execute(trusted(REVISE), parameters).fetchall()]
    conn.execute(trusted(_WITHDRAW), parameters)
    conn.execute(_SPEND)
    asked = conn.execute(trusted(_ASK), parameters).rowcount if say_changes(conn) else 0
    record_edits(conn, accounting, run_id)
    return Decided(sorted(set(deals)), asked)


def questions(conn: Connection) -> list[Mapping[str, Any]]:
    """Open questions, the oldest first: question_id, deal_id, kind, state, fields, told, told_ru, asked_at."""
    cursor = conn.execute(
        """
        select question_id, deal_id, kind, state, fields, told, told_ru, asked_at from ops.question
        where answer is null and withdrawn_at is null order by asked_at, question_id
        """
    )
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


ANSWERS: Final = ("update", "correction", "reversal", "post", "leave")


def answer(conn: Connection, accounting: System, question: str, action: str, by: str, reason: str) -> Told:
    """Answer an open question, named by its id or the beginning of it. The next sync does what was answered."""
    question = question.strip().lower()
    if not question:
        return Told(False, "no question is named; `sverka questions list` names those that are open")
    lock_changes(conn)  # a plan under way may withdraw it, another person may be answering it
    rows = conn.execute(
        "select question_id, operation_id, deal_id, kind, state, fields from ops.question"
        " where answer is null and withdrawn_at is null and starts_with(question_id::text, %s)",
        [question],
    ).fetchall()
    if len(rows) != 1:
        which = "no open question is" if not rows else f"{len(rows)} open questions are"
        over = "" if rows else _over(conn, question)
        return Told(False, over or f"{which} called {question}; see `sverka questions list`")
    question_id, operation_id, deal, kind, state, fields = rows[0]
    if action not in ANSWERS:
        return Told(False, f"{action} is no answer; there are {', '.join(ANSWERS)}")
    if refusal := _impossible(accounting, kind, state, fields, action):
        return Told(False, refusal)
    if action in ("correction", "reversal") and (amiss := what_is_amiss(conn, operation_id)):
        return Told(
            False,
            f"in accounting it is not as we left it ({amiss}): put that right there first, or answer leave",
        )
    conn.execute(
        "update ops.question set answer = %s, answered_by = %s, answered_at = clock_timestamp(), reason = %s"
        " where question_id = %s",
        [action, by, reason, question_id],
    )
    return Told(
        True,
        f"{deal}, {kind}: {action}; the next sync sees to it, or asks anew if the deal or the document changed",
    )


def _over(conn: Connection, question: str) -> str:
    """What became of the only question of this name, which is open no more; empty where there is none, or several."""
    rows = conn.execute(
        "select deal_id, kind, answer, answered_by from ops.question where starts_with(question_id::text, %s)",
        [question],
    ).fetchall()
    if len(rows) != 1:
        return ""
    deal, kind, action, by = rows[0]
    if action is not None:
        return f"{question} ({deal}, {kind}) was answered before: {action}, by {by}; see `sverka operations show {deal}`"
    return (
        f"{question} ({deal}, {kind}) is withdrawn: the deal or the document changed, or was undone; see"
        " `sverka questions list` for what is asked now"
    )


def _impossible(accounting: System, kind: str, state: str, fields: Sequence[str], action: str) -> str:
    if (action == "post") != (list(fields) == ["unposted"]) and action != "leave":
        return (
            "it was unposted in accounting: answer post or leave"
            if action != "post"
            else "post is for a document that was unposted in accounting; answer update, correction, reversal or leave"
        )
    if fields[0] in UNDONE and action not in ("leave", "post"):
        return "what was undone in accounting is put right there; answer leave"
    if action == "post" and state == "closed":
        return "its period is closed in accounting: nothing is posted there; answer leave"
    if action == "update" and state == "closed":
        return "its period is closed in accounting: nothing is changed there; answer correction, reversal or leave"
    if action == "update" and list(fields) == ["cancelled"]:
        return "the deal no longer calls for it: there is nothing to update it to; answer reversal or leave"
    if action == "correction" and list(fields) == ["cancelled"]:
        return "the deal no longer calls for it: there is nothing to correct it to; answer reversal or leave"
    if action == "correction" and (others := [field for field in ANOTHERS if field in fields]):
        return f"its {' and '.join(others)} changed, and a correction names no other one: answer reversal or leave"
    if action == "reversal" and state == "draft":
        return "it is not posted: there is nothing to take back; answer leave, and mark it for deletion in accounting"
    follows = {"correction": "correction", "reversal": "return"}.get(action)
    if follows and kind not in ("realization", "correction"):
        return f"a {kind} is not followed by a {follows}; answer update or leave"
    if follows and follows not in accounting.write:
        return (
            f"{accounting.source.name} does not say how a {follows} is written; add `{follows}` under `write`"
        )
    return ""


# Every document of the deals in scope that accounting was given and that was not taken back, with what we last wrote. One
# that was corrected stays as it is (`is_ended`), and so does a correction that another one or a return followed: nothing is
# decided about it but what accounting undid.
_WRITTEN: Final = """
    create temporary table written on commit drop as
    select o.operation_id, o.kind, o.key, o.subject as deal_id, w.content, w.content_hash, u.is_under_way,
           coalesce(d.ended = 'corrected', false)
               or o.kind = 'correction' and o.key is distinct from last.correction as is_ended,
           %(system)s || ':' || o.key as document_key,
           (select x.version from ops.operation x
             where x.target = o.target and x.kind = o.kind and x.key = o.key and x.state = 'verified' and x.version is not null
             order by x.changed_at desc limit 1) as our_version
    from ops.operation o
    join scope on scope.key = o.subject
    left join lateral (
        select x.content, x.content_hash from ops.operation x
        where x.target = o.target and x.kind = o.kind and x.key = o.key and x.action in ('create', 'update')
          and x.state = 'verified'
        order by x.planned_at desc, x.action desc limit 1
    ) w on true
    cross join lateral (
        select coalesce(bool_or(x.state in ('sent', 'uncertain', 'confirmed')), false) as is_under_way
        from ops.operation x
        where x.target = o.target and x.kind = o.kind and x.key = o.key
    ) u
    left join lateral (select x.ended from documents.document x where x.document_key = %(system)s || ':' || o.key limit 1) d on true
    left join lateral (
        select case r.ending when 'corrected' then ops.key_of(
                   o.target, 'correction', r.deal_id || '/' || r.kind || '/' || r.revision || '/' || r.number) end::text as correction
        from ops.revision r where o.kind = 'correction' and r.deal_id = o.subject and r.kind = 'realization'
        order by r.revision desc, r.number desc limit 1
    ) last on true
    where o.target = %(system)s and o.action = 'create' and o.state = 'verified' and ops.is_document(o.kind)
      and d.ended is distinct from 'reversed'
"""

# What a line is worth, of `l`: lines of two documents that say the same are equal in any order.
_LINE: Final = "concat_ws('/', l.product_key, {}, l.vat, {})".format(
    ", ".join(f"trim_scale(l.{name})" for name in ("quantity", "price", "amount")), "trim_scale(l.vat_amount)"
)

# What differs between what we last wrote and what is due, in the words of policies.
_FIELDS: Final = """coalesce(nullif(array_remove(array[
                    case when c.document ->> 'document_date' is distinct from due.wanted ->> 'document_date' then 'date' end,
                    case when c.document ->> 'due_on' is distinct from due.wanted ->> 'due_on' then 'due_on' end,
                    case when c.document ->> 'counterparty_key' is distinct from n.counterparty_key then 'counterparty' end,
                    case when c.document ->> 'contract_key' is distinct from n.contract_key then 'contract' end,
                    case when c.document ->> 'currency' is distinct from n.currency then 'currency' end,
                    case when (c.document ->> 'amount')::numeric is distinct from n.amount then 'amount' end,
                    case when held.lines <> due.lines then 'lines' end,
                    case when c.document ->> 'comment' is distinct from n.comment then 'comment' end
                ], null), '{}'), array['other'])"""

_STANDING: Final = f"""
    create temporary table standing on commit drop as
    select w.operation_id, w.kind, w.key, w.deal_id, w.document_key, w.content is not null as has_content,
           d.content_hash as wanted_hash, d.operation_id is null as is_cancelled, changed.fields,
           -- Accounting changed what is nobody's, or of a posted one the CRM's.
           coalesce(e.nobodys && {WEIGHTY} or (place.state <> 'draft' and cardinality(e.crms) > 0), false) as is_edited,
           coalesce(l.is_deleted, false) as is_gone,
           place.state, l.number, l.document_date, l.version, ours.owned, null::jsonb as body, null::jsonb as kept,
           coalesce(place.state = 'draft' and e.is_owned and cardinality(e.nobodys) = 0, false) as may_overwrite,
           false as by_accounting, place.state = 'draft' and coalesce({LAST_STEP} = 'unpost', false) as is_taken_back,
           null::text as action, null::uuid as question_id, null::text as amiss,
           -- What accounting made of it, where that is not as we left it: an answer is good for this alone.
           case when l.is_deleted or e.is_unposted or cardinality(e.nobodys || e.crms) > 0
                  or w.kind = 'correction' and l.version <> w.our_version
                then '/' || coalesce(l.version, md5(e.found::text), '') else '' end as seen
    from written w
    left join desired d on d.operation_id = w.operation_id
    left join needed n on n.operation_id = d.operation_id
    left join lateral (select x.* from ledger.document x where x.document_key = w.document_key limit 1) l on true
    left join edited e on e.operation_id = w.operation_id
    cross join lateral (select {STATE} as state offset 0) place
    join owning ours on ours.kind = w.kind and ours.is_posted = (place.state <> 'draft' or {WAS_POSTED})
    left join lateral jsonb_to_record(w.content) as c(document jsonb, lines jsonb) on true  -- taken apart once
    cross join lateral (
        select array(
            select {_LINE} as line
            from jsonb_to_recordset(case jsonb_typeof(c.lines) when 'array' then c.lines end) as l(
                product_key text, quantity numeric, price numeric, amount numeric, vat text, vat_amount numeric)
            order by line) as lines offset 0) held
    cross join lateral (
        select jsonb_build_object('document_date', n.document_date, 'due_on', n.due_on, 'counterparty_key', n.counterparty_key,
                                  'contract_key', n.contract_key, 'currency', n.currency, 'amount', n.amount,
                                  'comment', n.comment) as wanted,
               case when n.lines is null
                    then array(select {_LINE} as line from documents.document_line l where l.deal_id = n.deal_id order by line)
                    else array(select {_LINE} as line
                               from jsonb_populate_recordset(null::documents.document_line, n.lines) l order by line)
                    end as lines offset 0) due
    cross join lateral (
        select case when d.operation_id is null then array['cancelled']
                    else array(select f from unnest(case when w.content is null then array['other'] else {_FIELDS} end) f
                               where f <> all(ours.owned)) end as fields offset 0) changed
    where not w.is_under_way and not w.is_ended
      and (d.operation_id is null or d.content_hash is distinct from w.content_hash and d.content_hash is not null)
"""

# What is to be written again, and what accounting changed itself.
_TO_WRITE: Final = """
    select s.operation_id from standing s where s.action = 'update' union all select e.operation_id from edited e
"""

# What is accounting's is left out of an update, and stays in its content as we last wrote it.
_KEPT: Final = """
    update standing s
    set body = d.body - array(select g.name from governed g where g.kind = s.kind and g.field = any(s.owned)),
        kept = ops.content_without(d.content, w.content, s.owned)
    from desired d join written w on w.operation_id = d.operation_id
    where d.operation_id = s.operation_id and cardinality(s.owned) > 0
"""

# Of a document that accounting holds: neither the day that it has there nor the one that it is to get may be closed. Its
# steps that have not left wait, till the period is open again.
_WRITTEN_IN_CLOSED_PERIOD: Final = f"""
    update desired d set hold = case when p.until >= there.day then {PERIOD_CLOSED_THERE} else {PERIOD_CLOSED} end
    from ops.period_lock p
    cross join needed n
    join written w on w.operation_id = n.operation_id
    left join standing s on s.operation_id = w.operation_id
    left join lateral (select x.* from ledger.document x where x.document_key = w.document_key limit 1) l on true
    cross join lateral (
        select coalesce(l.document_date, (w.content #>> '{{document,document_date}}')::date) as day) there
    where n.operation_id = d.operation_id and p.system = %(system)s and d.hold is null
      and p.until >= least(there.day,
                           case when s.action in ('update', 'restore') and 'date' <> all(s.owned) or w.is_under_way and not exists (
                               select from owning o where o.kind = w.kind and 'date' = any(o.owned)) then n.document_date end)
      and (p.organization = '' or p.organization in (
          substr(n.organization_key, length(%(system)s) + 2), substr(l.organization_key, length(%(system)s) + 2)))
"""

# The heaviest of what the policy says of each field. A correction or a return stands beside a realization only.
_ACTION: Final = """
    with said as (
        select s.operation_id,
               (array['leave', 'update', 'correction', 'reversal', 'ask'])[max(
                   array_position(array['leave', 'update', 'correction', 'reversal', 'ask'],
                       coalesce(named.action,
                                -- It differs by sums and lines: what is another's is written anew, or asked about.
                                case when other.action = 'correction' and f in ('counterparty', 'contract', 'currency')
                                     then 'ask' else other.action end,
                                case when s.state = 'draft' and f = 'cancelled' and (s.is_taken_back or s.kind = 'correction')
                                     then 'ask'  -- it was in the books, or what it corrects is
                                     when s.state = 'draft' then case f when 'cancelled' then 'leave' else 'update' end
                                     else 'ask' end)))] as action
        from standing s
        cross join unnest(s.fields) as f
        left join ops.policy named
          on named.system = %(system)s and named.kind = case s.kind when 'correction' then 'realization' else s.kind end
         and named.state = s.state and named.field = f
        left join ops.policy other
          on other.system = %(system)s and other.kind = case s.kind when 'correction' then 'realization' else s.kind end
         and other.state = s.state and other.field = '*' and f <> 'cancelled'
        group by s.operation_id
    ), answered as (
        -- To leave it is good in any state: it writes nothing.
        select s.operation_id, q.question_id, q.answer
        from standing s join ops.question q on q.operation_id = s.operation_id
        where q.answer is not null and q.withdrawn_at is null
          and (q.answer = 'leave' or (q.state, q.fields) = (s.state, s.fields))
          and coalesce(s.wanted_hash, '') || s.seen in (q.content_hash, split_part(q.content_hash, '/', 1))
          and not exists (select from ops.question x where x.operation_id = q.operation_id and x.answered_at > q.answered_at)
    )
    update standing s
    set question_id = a.question_id,
        action = case
            when a.answer is not null then a.answer
            when s.is_gone then 'leave'
            when s.is_edited and s.state <> 'draft' then 'ask'
            when said.action in ('correction', 'reversal') and s.kind not in ('realization', 'correction') then 'ask'
            when said.action = 'update' and s.kind in ('correction', 'return')
                 and (s.state <> 'draft' or s.fields && '{counterparty,contract,currency}') then 'ask'
            when said.action = 'update' and s.state = 'closed' then 'ask'
            when not s.has_content and said.action in ('correction', 'reversal') then 'ask'
            else said.action end
    from said left join answered a on a.operation_id = said.operation_id
    where said.operation_id = s.operation_id
"""

OF_SUMS: Final = "'{amount,lines,counterparty,contract,currency}'::text[]"  # fields by which a sale comes to something else

# What follows a document that accounting holds otherwise than we left it would not lead to what the deal says. Nor would a change
# of the sums of one that an accountant corrected or took back by hand, unless he answered so.
_AMISS: Final = f"""
    update standing s set amiss = found.how, action = 'ask', question_id = null
    from (
        select t.operation_id, t.action, {AMISS} as how
        from standing t
        join ops.operation b on b.operation_id = case t.kind when 'correction' then (
            select r.operation_id from ops.revision r where r.deal_id = t.deal_id and r.kind = 'realization'
            order by r.revision desc, r.number desc limit 1) else t.operation_id end
        where t.action in ('correction', 'reversal')
           or t.action = 'update' and t.state <> 'draft' and (t.fields && {OF_SUMS} and t.question_id is null or exists (
               select from edited e where e.operation_id = t.operation_id and e.is_unposted))
    ) found
    where found.operation_id = s.operation_id and found.how is not null
      and (found.action <> 'update' or strpos(found.how, '{BY_HAND}') > 0 or exists (
          select from edited e where e.operation_id = s.operation_id and e.is_unposted))
"""

_WITHDRAW: Final = """
    update ops.question q set withdrawn_at = clock_timestamp()
    where q.answer is null and q.withdrawn_at is null and q.deal_id in (select key from scope)
      and not exists (select from standing s where s.operation_id = q.operation_id and s.action = 'ask'
                         and coalesce(s.wanted_hash, '') || s.seen = q.content_hash and s.state = q.state
                         and s.fields = q.fields)
"""

# An answer that no longer counts is spent: should it all be as it was then, it is asked again. What is being written, or
# is held, says nothing yet.
_SPEND: Final = """
    update ops.question q set withdrawn_at = clock_timestamp()
    from written w left join desired d on d.operation_id = w.operation_id
    where w.operation_id = q.operation_id and q.answer is not null and q.withdrawn_at is null
      and not w.is_under_way and (d.operation_id is null or d.content_hash is not null)
      and (not w.is_ended or q.fields && '{unposted,deleted,refunded}')
      and not exists (select from standing s where s.question_id = q.question_id)
"""

_ASK: Final = """
    insert into ops.question (question_id, operation_id, deal_id, kind, state, fields, content_hash, told, told_ru)
    select ops.uuid8(s.operation_id, 'ask/' || coalesce(s.wanted_hash, '') || '/' || s.state || '/' || s.fields::text || '/'
                     || coalesce(before.questions, 0)),
           s.operation_id, s.deal_id, s.kind, s.state, s.fields, coalesce(s.wanted_hash, '') || s.seen,
           format('%%s %%s of %%s (%%s): %%s%%s', ops.kind_name(s.kind), coalesce(s.number, ''), s.document_date, s.state,
                  case when s.is_cancelled then 'the deal no longer calls for it'
                       when s.fields = '{unposted}' and s.is_taken_back then 'we unposted it to change it, and somebody changed it'
                           ' in accounting since, while the deal says again what it said'
                       when s.fields = '{unposted}' then 'somebody unposted it in accounting, and the deal still calls for it'
                       when s.fields = '{deleted}' then 'somebody deleted it in accounting or marked it for deletion, and the'
                           ' deal still calls for it: restore it there, or change the deal'
                       when s.fields = '{refunded}' then 'its money was given back to the buyer, and the deal still calls for it:'
                           ' change the deal, or leave it'
                       when s.by_accounting then 'accounting changes it again each time that it is written back: ' || worded.changes
                       else 'the deal says otherwise: ' || worded.changes end,
                  case when s.amiss is not null
                       then format('; in accounting it is not as we left it (%%s): put that right there first', s.amiss)
                       when s.is_edited then '; accounting changed it too'
                       when s.is_taken_back and s.fields <> '{unposted}' then '; we unposted it to change it' else '' end),
           format('%%s %%s от %%s (%%s): %%s%%s', ops.kind_name_ru(s.kind), coalesce(s.number, ''),
                  to_char(s.document_date, 'DD.MM.YYYY'),
                  case s.state when 'draft' then 'не проведён' when 'posted' then 'проведён' when 'paid' then 'оплачен'
                               else 'в закрытом периоде' end,
                  case when s.is_cancelled then 'сделка больше не требует этого документа'
                       when s.fields = '{unposted}' and s.is_taken_back then 'проведение отменили мы, чтобы его изменить, после этого'
                           ' его изменили в учёте, а в сделке снова прежнее'
                       when s.fields = '{unposted}' then 'в учёте отменили проведение, а сделка требует документа по-прежнему'
                       when s.fields = '{deleted}' then 'в учёте документ удалили или пометили на удаление, а сделка требует его'
                           ' по-прежнему: восстановите его там или измените сделку'
                       when s.fields = '{refunded}' then 'деньги по нему вернули покупателю, а сделка требует его по-прежнему:'
                           ' измените сделку или оставьте как есть'
                       when s.by_accounting then 'в учёте его меняют снова после каждой обратной записи: ' || worded.changes_ru
                       else 'в сделке теперь иначе: ' || worded.changes_ru end,
                  case when s.amiss is not null then '; в учёте он не таков, каким мы его оставили ('
                           || replace(replace(replace(replace(s.amiss, 'not posted', 'не проведён'), 'deleted', 'удалён'),
                                  'changed', 'изменён'), 'corrected or taken back by hand', 'исправлен или возвращён вручную')
                           || '): сначала исправьте это там'
                       when s.is_edited then '; в учёте документ тоже изменён'
                       when s.is_taken_back and s.fields <> '{unposted}' then '; проведение отменили мы, чтобы его изменить' else '' end)
    from worded
    join standing s on s.operation_id = worded.operation_id
    left join (
        select p.operation_id, count(*) as questions from ops.question p
        where p.operation_id in (select operation_id from worded) group by p.operation_id
    ) before on before.operation_id = s.operation_id
"""
