"""What accounting changed of documents that we wrote, and whose the changed fields are.

A document that accounting holds is compared with what we last wrote of it. A version that our own last write gave says
that nobody else was there; where it is another one, the content says what was changed. Each field belongs to whom the
mapping file names (`owner`): a change of accounting's own is accepted, one of the CRM's is written back while the
document is a draft, and stays a variance after that. What was undone (unposted, deleted, given back) is left, asked
about or posted again, as `undone` says. Every change is a row of `ops.edit`.

Works on the temporary tables of `decide`: `written`, `desired`, `standing`.
"""

from __future__ import annotations

from typing import Final

from mappings import System
from mappings.owners import MASTER_FIELDS, governed, owner_of
from pipelines.operations.desired import DOCUMENT_KINDS
from resources.warehouse import Connection, trusted

MAX_WRITTEN_BACK: Final = (
    3  # times a day that one document is written back or posted again; then a person is asked
)

UNDONE: Final = ("unposted", "deleted", "refunded")
"""What may be done to a document in accounting; they stand among the fields of a question."""

WEIGHTY: Final = "'{date,counterparty,amount}'::text[]"  # what nobody owns, and is asked about all the same

# Of `written w`: what we did last, post or unpost.
LAST_STEP: Final = """(
    select x.action from ops.operation x
    where x.target = %(system)s and x.kind = w.kind and x.key = w.key and x.action in ('post', 'unpost') and x.state = 'verified'
    order by x.changed_at desc limit 1)"""

_POSTED: Final = """
    (coalesce(l.is_posted, false) or {ours} or exists (
        select from ops.operation p where p.target = %(system)s and p.kind = w.kind and p.key = w.key
           and p.action = 'post' and p.state in ({states})
    ) or exists (
        select from ops.setting s where s.system = %(system)s and s.name = 'posted_at_once_' || w.kind))
"""

# Of `written w` and `ledger.document l`: whether it is posted, by us or by them, and not taken back by us.
IS_POSTED: Final = _POSTED.format(
    ours=f"coalesce({LAST_STEP} = 'post', false)", states="'sent', 'uncertain', 'confirmed'"
)

# Of the same: whether it is or was, which settles whose its fields are; that we take it back to change it is no matter.
WAS_POSTED: Final = _POSTED.format(ours="false", states="'sent', 'uncertain', 'confirmed', 'verified'")

# Of the same: whether accounting has closed its period.
IS_CLOSED: Final = """exists (
            select from ops.period_lock p
            where p.system = %(system)s
              and p.until >= least(l.document_date, (w.content #>> '{document,document_date}')::date)
              and p.organization in ('', substr(coalesce(l.organization_key, ''), length(%(system)s) + 2)))"""

# Of the same: draft, posted, paid or closed.
STATE: Final = f"""
    case
        when {IS_CLOSED} then 'closed'
        -- Looked up by their indexes; `exists` would be answered from a hash of all allocations there are.
        when (select true from ledger.allocation a where a.document_key = w.document_key limit 1)
            or w.kind = 'realization' and (
                select true from ledger.obligation o join ledger.allocation a on a.document_key = o.document_key
                where o.deal_id = w.deal_id limit 1)
        then 'paid'
        when {IS_POSTED} then 'posted'
        else 'draft'
    end
"""

# Of the creation `o` of a document: somebody is asked about its deal, or a correction, return or change of it has not left.
_UNDECIDED: Final = """
          (exists (select from ops.question q where q.deal_id = o.subject and q.answer is null and q.withdrawn_at is null)
           or exists (select from ops.operation u where u.target = o.target and u.subject = o.subject
                         and u.state in ('planned', 'held', 'approved', 'rejected')
                         and (u.kind in ('correction', 'return')
                              or u.kind = o.kind and u.key = o.key and u.action in ('unpost', 'update'))))
"""

# Given keys of ledger.document as `change`: those that somebody else touched since our last write, where a mapping says
# what follows, somebody is asked about it, or it was deleted when we last looked.
TOUCHED: Final = """
    select o.subject as key
    from change
    join ledger.document l on l.document_key = change.key
    join ops.operation o on o.target = l.source and o.key = substr(l.document_key, length(l.source) + 2)
     and o.action = 'create' and o.state = 'verified' and ops.is_document(o.kind)
    where (exists (select from ops.setting s where s.system = o.target and s.name in ('owner_' || o.kind, 'undone_' || o.kind))
           or exists (select from ops.question q where q.operation_id = o.operation_id and q.answer is null and q.withdrawn_at is null)
           or (select x.found = 'deleted' from ops.edit x
                where x.operation_id = o.operation_id and x.field = 'deletion' order by x.edit_id desc limit 1)
           -- What we were to take back: refused, since they had changed it.
           or exists (select from ops.operation u where u.target = o.target and u.kind = o.kind and u.key = o.key
                         and u.action = 'unpost' and u.state = 'rejected')
           -- What a correction or a return rests on that has not left yet.
           or exists (select from ops.operation u where u.target = o.target and u.subject = o.subject
                         and u.kind in ('correction', 'return') and u.state in ('planned', 'held', 'approved', 'rejected')))
      and l.version is distinct from (
        select x.version from ops.operation x
        where x.target = o.target and x.kind = o.kind and x.key = o.key and x.state = 'verified' and x.version is not null
        order by x.changed_at desc limit 1)
    union
    -- An accountant's own correction or return of a document of ours, about which something is undecided or has not left.
    select o.subject
    from change
    join ledger.document l on l.document_key = change.key and l.kind in ('correction', 'return')
    cross join lateral (
        select l.base_key as key where l.base_key is not null
        union
        select paid.invoice_key from ledger.payment_line used join ledger.payment_line paid on paid.payment_key = used.payment_key
        where used.return_key = l.document_key and paid.invoice_key is not null
    ) base
    join ops.operation o on o.target = l.source and o.key = substr(base.key, length(l.source) + 2)
     and o.action = 'create' and o.state = 'verified' and ops.is_document(o.kind)
    where not exists (select from ops.operation x where x.target = l.source and x.key = substr(l.document_key, length(l.source) + 2))
      and [undecided]
""".replace("[undecided]", _UNDECIDED)

# Given keys of ledger.payment as `change`: deals whose documents a refund names, or that a return was used on or no longer is.
REFUNDED: Final = """
    select o.subject as key
    from change
    join ledger.payment p on p.payment_key = change.key and p.kind = 'refund'
    join ledger.payment_line part on part.payment_key = p.payment_key
    join ops.operation o on o.target = p.source and o.key = substr(part.invoice_key, length(p.source) + 2)
     and o.action = 'create' and o.state = 'verified' and ops.is_document(o.kind)
    where exists (select from ops.setting s where s.system = o.target and s.name = 'undone_' || o.kind)
    union
    select o.subject
    from change
    join ledger.payment_line used on used.payment_key = change.key and used.return_key is not null
    join ledger.payment_line paid on paid.payment_key = used.payment_key
    join ops.operation o on o.target = paid.source and o.key = substr(paid.invoice_key, length(paid.source) + 2)
     and o.action = 'create' and o.state = 'verified' and ops.is_document(o.kind)
    where [undecided]
""".replace("[undecided]", _UNDECIDED)


def find_edits(conn: Connection, accounting: System) -> None:
    """Fill the temporary tables `edited` (documents that accounting changed, and how), `governed` (fields of bodies) and
    `owning` (fields that are accounting's)."""
    conn.execute("drop table if exists pg_temp.edited, pg_temp.governed, pg_temp.owning")
    conn.execute(_OWNING, {"system": accounting.name, "kinds": list(DOCUMENT_KINDS)})
    kinds = [k for k, rule in accounting.write.items() if rule.owner or "undone" in rule.model_fields_set]
    conn.execute(trusted(_EDITED), {"system": accounting.name, "kinds": kinds})
    conn.execute("create temporary table governed (kind text, field text, name text) on commit drop")
    rows = [
        (kind, field, name)
        for kind in accounting.write
        for field, names in governed(accounting.file, kind).items()
        for name in names
    ]
    with conn.cursor() as cursor:
        cursor.executemany("insert into governed (kind, field, name) values (%s, %s, %s)", rows)


def hand_over(conn: Connection, accounting: System) -> None:
    """Add to `standing` the documents whose deals did not change, and that accounting changed: action post, restore or ask."""
    # Where the CRM changed only what is accounting's, nothing is to be decided: that is left.
    conn.execute("delete from standing where fields = '{}'")
    conn.execute(_DELETED)
    conn.execute(trusted(_CAME_TOO_LATE), {"system": accounting.name})
    conn.execute(
        trusted(_HAND_OVER.replace("{weighty}", WEIGHTY)),
        {"system": accounting.name, "most": MAX_WRITTEN_BACK},
    )


def record_edits(conn: Connection, accounting: System, run_id: str = "") -> int:
    """Keep what was seen and what is made of it in `ops.edit`; how many changes are new."""
    return conn.execute(trusted(_RECORD), {"system": accounting.name, "run_id": run_id}).rowcount


def write_back(conn: Connection, accounting: System, run_id: str) -> int:
    """Plan the operations for `standing` rows with the action restore or post; how many. Sends nothing."""
    parameters = {"system": accounting.name, "run_id": run_id, "most": MAX_WRITTEN_BACK}
    count = conn.execute(trusted(_RESTORE), parameters).rowcount
    count += conn.execute(trusted(_POST_AGAIN), parameters).rowcount
    for kind, rule in accounting.write.items():
        fields = [field for field in MASTER_FIELDS.get(kind, ()) if owner_of(rule, field) == "crm"]
        if fields:
            count += conn.execute(trusted(_master_update(kind, fields)), parameters).rowcount
    return count


# By kind, and whether it is posted: the fields that are accounting's.
_OWNING: Final = """
    create temporary table owning on commit drop as
    select kind, is_posted, ops.owned_fields(%(system)s, kind, is_posted) as owned
    from unnest(%(kinds)s::text[]) as k(kind) cross join (values (true), (false)) as p(is_posted)
"""

_EDITED: Final = f"""
    create temporary table edited on commit drop as
    select w.operation_id, w.kind, w.key, w.deal_id, w.document_key, w.content, l.version, l.number, l.document_date, l.amount,
           l.is_deleted, owned.since as was_posted,
           w.is_ended, coalesce(posting.last_step = 'unpost', false) and not coalesce(l.is_posted, false) as is_taken_back,
           coalesce(l.is_posted, false) as is_posted, coalesce(posting.last_step = 'post', false) and not coalesce(l.is_posted, false)
               and not l.is_deleted as is_unposted,
           changed.fields, rule.undone,
           array(select f from unnest(changed.fields) f where ops.owner_of(%(system)s, w.kind, f, owned.since) = 'crm') as crms,
           array(select f from unnest(changed.fields) f where ops.owner_of(%(system)s, w.kind, f, owned.since) = 'accounting')
               as accountings,
           array(select f from unnest(changed.fields) f where ops.owner_of(%(system)s, w.kind, f, owned.since) is null)
               as nobodys,
           exists (select from ops.setting s where s.system = %(system)s and s.name = 'owner_' || w.kind) as is_owned,
           case when rule.undone ->> 'refunded' = 'ask' then (
               select string_agg(p.payment_key, ' ' order by p.payment_key)
               from ledger.payment_line part join ledger.payment p on p.payment_key = part.payment_key
               where part.invoice_key = w.document_key and p.kind = 'refund' and p.is_posted and not p.is_deleted) end as refunds,
           found.body as found,
           {STATE} as state
    from written w
    -- By its key, whatever the planner thinks of how many there are.
    cross join lateral (select x.* from ledger.document x where x.document_key = w.document_key limit 1) l
    cross join lateral (select {WAS_POSTED} as since offset 0) owned  -- each of these once a document
    cross join lateral (
        select {LAST_STEP} as last_step offset 0) posting
    cross join lateral (
        select (select s.value from ops.setting s where s.system = %(system)s and s.name = 'undone_' || w.kind) as undone) rule
    cross join lateral (
        -- The version that our own last write gave: nobody else was there.
        select case when l.version is null or l.version is distinct from w.our_version then
            jsonb_build_object('document', to_jsonb(l), 'lines', (
                select jsonb_agg(to_jsonb(x)) from ledger.document_line x
                where x.document_key = l.document_key and not x.is_deleted)) end as body offset 0) found
    cross join lateral (
        -- A system that reckons the tax of a document and not of its lines may round otherwise.
        select case when l.is_deleted or found.body is null then '{{}}'::text[] else array(
            select f from unnest(ops.edited_fields(w.content, found.body)) f
            where f <> 'amount' or abs(l.amount - (w.content #>> '{{document,amount}}')::numeric) > coalesce((
                select (r.value #>> '{{}}')::numeric from ops.setting r
                where r.system = %(system)s and r.name = 'rounding_up_to'), 0)) end as fields offset 0) changed
    where not w.is_under_way and w.kind <> 'correction'
      and (w.kind = any(%(kinds)s) or l.version is null or l.version is distinct from w.our_version)
"""

# Our update met an edit that was not known yet. Now that it is, both go together.
_CAME_TOO_LATE: Final = """
    update standing s set action = 'restore'
    where s.action = 'update' and s.may_overwrite and exists (
        select from ops.operation o
        where o.target = %(system)s and o.kind = s.kind and o.key = s.key and o.action = 'update'
          and o.state = 'held' and o.reason_code = 'read_back')
"""

# Somebody is asked about a deleted document whatever became of its deal.
_DELETED: Final = """
    delete from standing s using edited e
    where e.operation_id = s.operation_id and s.is_gone and not s.is_cancelled and e.undone ->> 'deleted' = 'ask'
"""

# What a person said of it counts for this very version of the document, in this state; to leave it, in any.
_HAND_OVER: Final = """
    insert into standing (operation_id, kind, key, deal_id, has_content, document_key, wanted_hash, is_cancelled,
                          fields, is_edited, is_gone, state, number, document_date, version, owned, body, kept,
                          may_overwrite, by_accounting, is_taken_back, seen, question_id, action)
    select e.operation_id, e.kind, e.key, e.deal_id, e.content is not null, e.document_key, told.hash, false,
           told.fields, false, e.is_deleted, e.state, e.number, e.document_date, e.version, ours.owned,
           case when cardinality(ours.owned) > 0 then d.body - array(
               select g.name from governed g where g.kind = e.kind and g.field = any(ours.owned)) end,
           case when cardinality(ours.owned) > 0 then ops.content_without(d.content, e.content, ours.owned) end,
           true, true, e.is_taken_back, '', a.question_id,
           case when a.answer = 'update' then 'restore' when a.answer is not null then a.answer
                when told.fields = '{unposted}' and told.rule = 'post' and e.state <> 'closed'
                     and e.crms = '{}' and not e.nobodys && {weighty} and often.times < %(most)s then 'post'
                when told.fields = e.crms and often.times < %(most)s then 'restore'
                else 'ask' end
    from edited e
    left join desired d on d.operation_id = e.operation_id
    cross join lateral (
        select case when e.is_deleted and e.undone ->> 'deleted' = 'ask' then '{deleted}'::text[]
                    when e.is_deleted then '{}'
                    when e.is_unposted and e.undone ->> 'unposted' in ('post', 'ask') then '{unposted}'
                    when e.is_taken_back and e.crms || e.nobodys && '{date,counterparty,amount,lines}' then '{unposted}'
                    when e.state = 'draft' and not e.is_ended then e.crms
                    else '{}' end as done) what
    cross join lateral (
        select case when what.done <> '{}' then what.done when e.refunds is not null then '{refunded}'::text[] else '{}' end as fields
    ) which
    cross join lateral (
        select which.fields, e.undone ->> 'unposted' as rule,
               md5(concat_ws('/', d.content_hash, which.fields::text,
                             case when which.fields = '{refunded}' then e.refunds else coalesce(e.version, e.found::text) end)) as hash
    ) told
    cross join lateral (
        select count(distinct x.version) as times from ops.edit x
        where x.operation_id = e.operation_id and x.outcome in ('written back', 'posted again')
          and x.version is distinct from e.version and x.seen_at > clock_timestamp() - interval '1 day') often
    join owning ours on ours.kind = e.kind and ours.is_posted = (e.state <> 'draft' or e.was_posted)
    left join (
        select distinct on (q.operation_id) q.* from ops.question q
        where q.answer is not null and q.operation_id in (select w.operation_id from written w)
        order by q.operation_id, q.answered_at desc
    ) a on a.operation_id = e.operation_id and a.withdrawn_at is null and a.content_hash = told.hash
       and (a.answer = 'leave' or a.state = e.state)
    where told.fields <> '{}' and (d.content_hash is not null or e.is_ended)
      and not exists (select from standing s where s.operation_id = e.operation_id)
"""

# The same change is recorded once; what we overwrote is a change of its own every time.
_RECORD: Final = """
    with seen as (
        select e.operation_id, e.kind, e.key, e.deal_id, e.version, f.field,
               case f.field when 'lines' then jsonb_array_length(coalesce(e.content -> 'lines', '[]'))::text
                    else coalesce(ops.edit_name(f.field, e.content #>> array['document', c.name]),
                                  e.content #>> array['document', c.name]) end as held,
               case f.field when 'lines' then jsonb_array_length(coalesce(e.found -> 'lines', '[]'))::text
                    else coalesce(ops.edit_name(f.field, e.found #>> array['document', c.name]),
                                  e.found #>> array['document', c.name]) end as found,
               case when f.field = any(e.crms) then 'crm' when f.field = any(e.accountings) then 'accounting' end as owner,
               case when f.field = any(e.accountings) then 'accepted'
                    when s.action = 'restore' and f.field = any(e.crms) then 'written back'
                    when s.action = 'update' and s.may_overwrite and f.field = any(e.crms) then 'written back'
                    when s.action = 'ask' then 'asked' else 'left' end as outcome
        from edited e
        cross join lateral unnest(e.fields) as f(field)
        cross join lateral (select (ops.field_columns(f.field))[1] as name) c
        left join standing s on s.operation_id = e.operation_id
        union all
        select e.operation_id, e.kind, e.key, e.deal_id, e.version, 'posting', 'posted', 'unposted', null,
               case when s.action = 'post' then 'posted again' when s.action = 'ask' then 'asked' else 'left' end
        from edited e left join standing s on s.operation_id = e.operation_id
        where e.is_unposted
        union all
        select e.operation_id, e.kind, e.key, e.deal_id, e.version, 'posting', 'unposted', 'posted', null, 'accepted'
        from edited e
        where e.is_posted and (
            select x.found = 'unposted' and x.outcome <> 'posted again' from ops.edit x
            where x.operation_id = e.operation_id and x.field = 'posting' order by x.edit_id desc limit 1)
        union all
        select e.operation_id, e.kind, e.key, e.deal_id, e.version, 'deletion', 'there', 'deleted', null,
               case when s.action = 'ask' then 'asked' else 'left' end
        from edited e left join standing s on s.operation_id = e.operation_id
        where e.is_deleted
        union all
        select e.operation_id, e.kind, e.key, e.deal_id, e.version, 'deletion', 'deleted', 'there', null, 'accepted'
        from edited e
        where not e.is_deleted and (
            select x.found = 'deleted' from ops.edit x
            where x.operation_id = e.operation_id and x.field = 'deletion' order by x.edit_id desc limit 1)
        union all
        select e.operation_id, e.kind, e.key, e.deal_id, e.version, 'payment', 'paid', e.refunds, null, 'asked'
        from edited e where e.refunds is not null
    )
    insert into ops.edit (operation_id, system, kind, key, deal_id, field, held, found, owner, outcome, version, run_id)
    select s.operation_id, %(system)s, s.kind, s.key, s.deal_id, s.field, s.held, s.found, s.owner, s.outcome, s.version, %(run_id)s
    from seen s
    left join lateral (
        select x.found, x.outcome, x.version from ops.edit x
        where x.operation_id = s.operation_id and x.field = s.field order by x.edit_id desc limit 1) before on true
    where before.outcome is null or (before.found, before.outcome) is distinct from (s.found, s.outcome)
       or (s.outcome in ('written back', 'posted again') and before.version is distinct from s.version)
    order by s.operation_id, s.field
"""

_RESTORE: Final = """
    insert into ops.operation (operation_id, target, kind, action, key, source, source_ref, subject, body, content,
                               content_hash, depends_on, amount, currency, version, run_id)
    select ops.uuid8(d.operation_id, 'restore/' || coalesce(s.version, s.wanted_hash)), %(system)s, d.kind, 'update', d.key,
           d.source, d.source_ref, d.subject, coalesce(s.body, d.body), coalesce(s.kept, d.content), d.content_hash,
           d.depends_on || d.operation_id, d.amount, d.currency, s.version, %(run_id)s
    from standing s
    join desired d on d.operation_id = s.operation_id
    where s.action = 'restore' and d.hold is null
    on conflict do nothing
"""

_POST_AGAIN: Final = """
    insert into ops.operation (operation_id, target, kind, action, key, source, source_ref, subject, depends_on, amount,
                               currency, run_id)
    select ops.uuid8(o.operation_id, 'post again/' || coalesce(s.version, s.wanted_hash)), %(system)s, o.kind, 'post', o.key,
           o.source, o.source_ref, o.subject, array[o.operation_id], o.amount, o.currency, %(run_id)s
    from standing s
    join ops.operation o on o.operation_id = s.operation_id
    left join desired d on d.operation_id = s.operation_id
    where s.action = 'post' and d.hold is null
    on conflict do nothing
"""

# By field of a master: what we hold it to be, and what accounting calls it.
_MASTER_COLUMNS: Final = {
    "counterparty": {"name": ("legal_name", "name"), "tax_number": ("tax_number", "tax_number"), "kpp": ("kpp", "kpp")},
    "product": {"name": ("name", "name"), "code": ("code", "code")},
    "contract": {"name": ("name", "name")},
}  # fmt: skip


def _master_update(kind: str, fields: list[str]) -> str:
    """SQL: an update of each master that we created and that accounting holds otherwise in these fields, which are the CRM's.

    Only these fields are written, whatever version the record has. An empty value of ours says nothing.
    """
    columns = _MASTER_COLUMNS[kind]
    differing = "array_remove(array[{}], null)".format(
        ", ".join(
            f"case when m.{ours} is not null and m.{ours} is distinct from a.{theirs} then '{field}' end"
            for field, (ours, theirs) in columns.items()
            if field in fields
        )
    )
    found = "concat_ws('; ', {})".format(
        ", ".join(f"a.{theirs}" for field, (_, theirs) in columns.items() if field in fields)
    )
    held = "concat_ws('; ', {})".format(
        ", ".join(f"m.{ours}" for field, (ours, _) in columns.items() if field in fields)
    )
    return f"""
    with due as (
        select d.operation_id, d.key, d.subject, d.content_hash, differ.fields, {held} as held, {found} as found,
               (select jsonb_object_agg(b.key, b.value) from jsonb_each(d.body) b
                 where b.key in (select g.name from governed g where g.kind = '{kind}' and g.field = any(differ.fields))) as body,
               (select count(*) from ops.operation x where x.target = %(system)s and x.kind = '{kind}' and x.key = d.key
                   and x.action = 'update') as turn
        from desired d
        join ops.operation o on o.operation_id = d.operation_id and o.state = 'verified'
        join documents.{kind} m on m.{kind}_id = d.subject
        join core.accounting_{kind} a on a.{kind}_key = m.{kind}_key and not a.is_deleted
        cross join lateral (select {differing} as fields) differ
        where d.kind = '{kind}' and cardinality(differ.fields) > 0
          and not exists (
            select from ops.operation x where x.target = %(system)s and x.kind = '{kind}' and x.key = d.key and x.action = 'update'
               and x.content_hash = d.content_hash and x.state in ('planned', 'held', 'approved', 'sent', 'uncertain',
                                                                       'confirmed', 'rejected'))
          and (select count(*) from ops.operation x where x.target = %(system)s and x.kind = '{kind}' and x.key = d.key
                  and x.action = 'update' and x.planned_at > clock_timestamp() - interval '1 day') < %(most)s
    ), told as (
        insert into ops.edit (operation_id, system, kind, key, field, held, found, owner, outcome, run_id)
        select operation_id, %(system)s, '{kind}', key, array_to_string(fields, ', '), held, found, 'crm', 'written back', %(run_id)s
        from due where body is not null
    )
    insert into ops.operation (operation_id, target, kind, action, key, subject, body, content_hash, depends_on, version, run_id)
    select ops.uuid8(operation_id, 'update/' || content_hash || '/' || turn), %(system)s, '{kind}', 'update', key, subject, body,
           content_hash, array[operation_id], '', %(run_id)s
    from due where body is not null
    """
