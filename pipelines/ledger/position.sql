-- Every document of sale from three sides: what the CRM expects, what we sent, what accounting holds.
--
-- @owner accountants
-- @scope document_key
-- @emits deal_id expected_counterparty_key actual_counterparty_key
create table ledger.position (
    document_key              text not null primary key, -- key in accounting, also where it is not there yet
    kind                      text not null,             -- order, invoice, realization, vat_invoice, correction or return
    deal_id                   text,                      -- core.deal; null for documents that are not ours
    number                    text,                      -- number shown in accounting
    expected_counterparty_key text,                      -- whom the CRM expects it with
    actual_counterparty_key   text,                      -- whom accounting holds it with
    expected_currency_key     text,                      -- currency the CRM expects
    actual_currency_key       text,                      -- currency accounting holds
    expected_date             date,                      -- date the CRM expects
    actual_date               date,                      -- date accounting holds
    due_on                    date,                      -- day by which the client pays; as sent where no deal says it any more
    rate                      numeric(18,6),             -- accounting currency for `rate_units`: accounting's, else as sent, else the deal's
    rate_units                numeric(18,4),             -- 1, 10, 100
    expected_amount           numeric(18,2),             -- of a return negative; null: the CRM expects no such document
    sent_amount               numeric(18,2),             -- null: we never wrote it
    actual_amount             numeric(18,2),             -- null: accounting does not hold it (or marked it for deletion)
    is_posted                 boolean,                   -- posted in accounting
    is_posting_kind           boolean not null,          -- it counts when posted: we post its kind, or accounting makes it and says which are
    is_marked                 boolean not null,          -- marked for deletion in accounting
    is_deal_deleted           boolean not null,          -- the deal is gone from the CRM
    operation_state           text,                      -- state of the writing operation
    operation_reason          text,                      -- why it is in that state, English; accounting in its own words
    operation_reason_ru       text,                      -- the same in Russian
    hold_reason               text,                      -- why the gate holds the deal, English
    hold_reason_ru            text,                      -- the same in Russian
    waits_for                 text,                      -- the parent that keeps it from being carried, and why, English
    waits_for_ru              text,                      -- the same in Russian
    copy_of                   text,                      -- our document that this foreign one repeats (same deal in its comment)
    accepted                  text[],                    -- fields that accounting changed and that are its own: as it holds them, they are expected
    has_other_lines           boolean not null,          -- both sides know the lines of the document, and know them otherwise
    is_apart                  boolean not null           -- something differs: ledger.variance looks at these alone
);

create index position_deal on ledger.position (deal_id);
create index position_expected on ledger.position (expected_counterparty_key);
create index position_actual on ledger.position (actual_counterparty_key);
create index position_waiting on ledger.position (document_key) where waits_for is not null;

-- @changed ledger.document
select key from change
union
-- What accounting makes by itself of an order of ours is the document that the deal expects.
select d.document_key
from change
join ledger.document a on a.document_key = change.key
join documents.document o on o.document_key = a.base_key
join documents.document d on d.deal_id = o.deal_id and d.kind = a.kind
union
-- Of several only one is: which, the others decide too.
select other.document_key
from change
join ledger.document a on a.document_key = change.key
join documents.document o on o.document_key = a.base_key
join ledger.document other on other.base_key = a.base_key and other.kind = a.kind
where o.kind = 'order'
;

-- @changed ledger.document_line
select key from change
;

-- @changed documents.document.document_key
select key from change
;

-- @changed documents.document
select d.document_key as key from documents.document d join change on d.deal_id = change.key
union
-- Documents entered by hand that name this deal: whether they repeat one of ours depends on ours.
select l.document_key from ledger.document l join change on l.comment = 'crm:' || change.key
union
select l.document_key
from documents.document o join change on o.deal_id = change.key
join ledger.document l on l.base_key = o.document_key
;

-- @changed documents.document_line
select d.document_key as key from documents.document d join change on d.deal_id = change.key
;

-- @changed documents.held
select d.document_key as key from documents.document d join change on d.deal_id = change.key
;

-- @changed core.deal ops.revision
select p.document_key as key from ledger.position p join change on p.deal_id = change.key
;

-- @changed ops.operation
select key from change
union
-- Documents that wait for what has moved.
select c.target || ':' || c.key
from change
join ops.operation p
  on p.key = substr(change.key, strpos(change.key, ':') + 1) and p.target = split_part(change.key, ':', 1)
join ops.operation c on c.depends_on @> array[p.operation_id]
where ops.is_document(c.kind) and c.state in ('planned', 'approved')
;

-- @changed documents.counterparty documents.contract documents.product
-- The parent that is waited for is called by its name.
select p.document_key as key
from change
join ops.operation o on o.subject = change.key
join ops.operation c on c.depends_on @> array[o.operation_id]
join ledger.position p on p.document_key = c.target || ':' || c.key
where p.waits_for is not null
;

-- @changed ops.setting ops.reason_ru

-- @all
select document_key as key from documents.document
union
select document_key from ledger.document
;

-- @rows
with target as (
    select n.value #>> '{}' as system,
           array(select substr(p.name, 6) from ops.setting p
                  where p.system = n.value #>> '{}' and p.name like 'post\_%' and p.value = 'true') as posting_kinds,
           array(select substr(p.name, 6) from ops.setting p
                  where p.system = n.value #>> '{}' and p.name like 'post\_%') as written_kinds,
           (select c.value #>> '{}' from ops.setting c where c.system = n.value #>> '{}' and c.name = 'currency') as currency
    from ops.setting n where n.name = 'accounting_system'
), followed as (
    -- Made by accounting of an order of ours: one for each document that a deal expects and we do not write.
    select distinct on (d.document_key) d.document_key as expected_key, a.document_key
    from ops.setting n
    join ops.setting x on x.system = n.value #>> '{}' and x.name = 'expects'
    cross join jsonb_array_elements_text(x.value) as made(kind)
    join documents.document d on d.kind = made.kind
    join documents.document o on o.deal_id = d.deal_id and o.kind = 'order'
    join ledger.document a on a.base_key = o.document_key and a.kind = d.kind and not a.is_deleted
    where n.name = 'accounting_system'
      and (select exists (select from ops.setting e where e.name = 'expects' and e.value <> '[]'))  -- else nothing is looked for
      and d.deal_id in (
        select y.deal_id from documents.document y join scope on scope.key = y.document_key
        union all
        select y.deal_id from ledger.document b join scope on scope.key = b.document_key
        join documents.document y on y.document_key = b.base_key)
    order by d.document_key, coalesce(a.is_posted, false) desc, a.document_date, a.document_key
), paired as not materialized (
    -- The document that a deal expects is the one of the same key, or the one that accounting made of it.
    select scope.key as document_key,
           coalesce(made.expected_key, case when elsewhere.expected_key is null then scope.key end) as expected_key
    from scope
    left join followed made on made.document_key = scope.key
    left join followed elsewhere on elsewhere.expected_key = scope.key
), expected as not materialized (
    select d.*
    from documents.document d
    -- What was corrected, and its corrections, are due as long as the deal calls for what the last of these leads to.
    where not ((d.ended is not distinct from 'corrected' or d.kind = 'correction') and exists (
        select from (
            select r.* from ops.revision r
            where r.deal_id = d.deal_id and r.kind = 'realization'
            order by r.revision desc, r.number desc limit 1
        ) last
        cross join lateral (
            select split_part(d.document_key, ':', 1) || ':' || ops.key_of(
                split_part(d.document_key, ':', 1), last.kind, last.deal_id || '/' || last.revision) as document_key
        ) base
        where last.ending = 'corrected' and base.document_key in (d.document_key, d.base_key) and not exists (
            select from documents.document c
            where c.deal_id = d.deal_id and c.kind = 'correction' and c.base_key = base.document_key and c.revision = last.number)))
), operations as not materialized (
    select t.system || ':' || o.key as document_key, o.operation_id, o.kind, o.subject, o.action, o.state, o.reason, o.amount,
           o.planned_at, o.key, o.depends_on, o.state in ('rejected', 'held') as is_stopped
    from ops.operation o
    cross join target t
    join scope on o.key = substr(scope.key, length(t.system) + 2)
    where o.target = t.system and ops.is_document(o.kind)
), written as (
    select scope.key as document_key, min(o.kind) as kind, min(o.subject) as deal_id, count(o.operation_id) as operations,
           count(*) filter (where o.state not in ('verified', 'superseded', 'reversed')) as stands_still,
           min(o.state) filter (where o.state not in ('verified', 'superseded', 'reversed')) as unfinished,
           min(o.reason) filter (where o.state not in ('verified', 'superseded', 'reversed')) as reason,
           bool_or(o.state in ('verified', 'reversed')) as is_written,
           bool_or(o.action = 'post' and o.state in ('sent', 'uncertain', 'confirmed', 'verified')) as is_posted,
           count(*) filter (where o.state in ('verified', 'reversed') and o.action in ('create', 'update')) as writes,
           min(o.amount) filter (where o.state in ('verified', 'reversed') and o.action in ('create', 'update')) as amount,
           min(o.operation_id::text) filter (where o.state = 'verified' and o.action in ('create', 'update')) as content_of
    from scope
    cross join target t
    left join ops.operation o on o.target = t.system and ops.is_document(o.kind) and o.key = substr(scope.key, length(t.system) + 2)
          and left(scope.key, length(t.system) + 1) = t.system || ':'
    group by scope.key
), several as materialized (
    -- Which of several operations says it: of most documents one is written and one is under way, at most.
    select o.document_key,
           -- What stands still says more than what waits for it: the posting of a document that was refused.
           (array_agg(o.state order by o.is_stopped desc, o.action = 'post' desc, o.planned_at desc)
              filter (where o.state not in ('verified', 'superseded', 'reversed')))[1] as unfinished,
           (array_agg(o.reason order by o.is_stopped desc, o.action = 'post' desc, o.planned_at desc)
              filter (where o.state not in ('verified', 'superseded', 'reversed')))[1] as reason,
           (array_agg(o.amount order by o.planned_at desc)
              filter (where o.state in ('verified', 'reversed') and o.action in ('create', 'update')))[1] as sent_amount,
           (array_agg(o.operation_id order by o.planned_at desc, o.action desc)
              filter (where o.state = 'verified' and o.action in ('create', 'update')))[1] as content_of
    from operations o
    where o.document_key in (select w.document_key from written w where w.stands_still > 1 or w.writes > 1)
    group by o.document_key
), writing as not materialized (
    select w.document_key, w.operations, w.kind, w.deal_id, w.is_written, w.is_posted,
           case when m.document_key is null then w.unfinished else m.unfinished end as unfinished,
           case when m.document_key is null then w.reason else m.reason end as reason,
           case when m.document_key is null then w.amount else m.sent_amount end as sent_amount,
           case when m.document_key is null then w.content_of::uuid else m.content_of end as content_of
    from written w
    left join several m on m.document_key = w.document_key
), accepted as (
    -- What accounting changed since we wrote it, of fields that are its own.
    select a.document_key, array_agg(f.field order by f.field) as fields
    from ledger.document a
    join scope on scope.key = a.document_key
    cross join target t
    join ops.setting owners on owners.system = t.system and owners.name = 'owner_' || a.kind
    join writing w on w.document_key = a.document_key
    join ops.operation c on c.operation_id = w.content_of and c.content is not null
    cross join lateral unnest(ops.edited_fields(c.content, jsonb_build_object(
        'document', (select to_jsonb(held) from ledger.document held where held.document_key = a.document_key),
        'lines', (select jsonb_agg(to_jsonb(l)) from ledger.document_line l
                   where l.document_key = a.document_key and not l.is_deleted)))) as f(field)
    where not a.is_deleted
      -- What counts from when it is written and counts no more was voided: its sums are gone, not changed.
      and not (a.is_posted is false and exists (
          select from ops.setting s where s.system = t.system and s.name = 'posted_at_once_' || a.kind))
      and ops.owner_of(t.system, a.kind, f.field, coalesce(a.is_posted, false) or w.is_posted or exists (
          select from ops.setting s where s.system = t.system and s.name = 'posted_at_once_' || a.kind)) = 'accounting'
    group by a.document_key
), waiting as (
    select distinct on (o.document_key) o.document_key, parent.kind, coalesce(parent.reason, '') as reason,
           coalesce(said.reason_ru, parent.reason, '') as reason_ru,
           case parent.state when 'rejected' then ': accounting refused it: ' else ': ' end as why,
           case parent.state when 'rejected' then ': учёт отказал: ' else ': ' end as why_ru,
           case parent.kind when 'counterparty' then 'контрагент' when 'product' then 'номенклатура'
                            when 'contract' then 'договор' else ops.kind_name_ru(parent.kind) end as kind_ru,
           coalesce(cp.legal_name, pr.name, co.name, parent.subject, '') as name
    from operations o
    cross join unnest(o.depends_on) as awaited(operation_id)
    join ops.operation parent on parent.operation_id = awaited.operation_id
    left join ops.reason_ru said on said.reason = parent.reason
    left join documents.counterparty cp on parent.kind = 'counterparty' and cp.counterparty_id = parent.subject
    left join documents.product pr on parent.kind = 'product' and pr.product_id = parent.subject
    left join documents.contract co on parent.kind = 'contract' and co.contract_id = parent.subject
    where o.state in ('planned', 'approved') and parent.key <> o.key
      and (parent.state = 'rejected' or (parent.state = 'held' and parent.reason_code is not null))
    order by o.document_key, ops.kind_order(parent.kind), parent.operation_id
), holding as (
    select h.deal_id, string_agg(h.reason, '; ' order by h.check_name) as reason,
           string_agg(h.reason_ru, '; ' order by h.check_name) as reason_ru
    from documents.held h
    where h.deal_id in (select e.deal_id from paired k join expected e on e.document_key = k.expected_key)
    group by h.deal_id
), suspected as (
    -- Documents of which some line is not the same on both sides in the same place: few, where accounting counts lines as we do.
    -- Their lines are compared as a whole below; what agrees line by line needs no more.
    select distinct coalesce(e.document_key, a.document_key) as document_key
    from (
        select d.document_key, d.document_key || case when l.is_service then '/services/' else '/goods/' end || l.position as line_key,
               l.product_key, l.quantity, l.price, l.amount, l.vat, l.vat_amount
        from scope
        join documents.document d on d.document_key = scope.key
        join documents.document_line l on l.deal_id = d.deal_id
        where d.lines is null
    ) e
    full join (
        select l.* from ledger.document_line l join scope on scope.key = l.document_key where not l.is_deleted
    ) a on a.line_key = e.line_key
    where (e.product_key, e.quantity, e.price, e.amount, e.vat, e.vat_amount)
          is distinct from (a.product_key, a.quantity, a.price, a.amount, a.vat, a.vat_amount)
), position as (
    select
        w.document_key,
        coalesce(e.kind, a.kind, w.kind) as kind,
        coalesce(e.deal_id, w.deal_id) as deal_id,
        a.number,
        case when 'counterparty' = any(own.fields) then a.counterparty_key else e.counterparty_key end as expected_counterparty_key,
        case when not a.is_deleted then a.counterparty_key end as actual_counterparty_key,
        case when 'currency' = any(own.fields) then a.currency_key else e.currency_key end as expected_currency_key,
        case when not a.is_deleted then a.currency_key end as actual_currency_key,
        case when 'date' = any(own.fields) then a.document_date else e.document_date end as expected_date,
        a.document_date as actual_date,
        coalesce(e.due_on, (sent.content #>> '{document,due_on}')::date) as due_on,
        case when a.rate > 0 then a.rate
             when (sent.content #>> '{document,rate}')::numeric > 0 then (sent.content #>> '{document,rate}')::numeric
             when e.rate > 0 then e.rate end as rate,
        case when a.rate > 0 then coalesce(nullif(a.rate_units, 0), 1)
             when (sent.content #>> '{document,rate}')::numeric > 0
             then coalesce(nullif((sent.content #>> '{document,rate_units}')::numeric, 0), 1)
             when e.rate > 0 then coalesce(nullif(e.rate_units, 0), 1) end as rate_units,
        case when 'amount' = any(own.fields) then a.amount else e.amount end * ops.sign(e.kind) as expected_amount,
        w.sent_amount * ops.sign(w.kind) as sent_amount,
        case when not a.is_deleted then a.amount * ops.sign(coalesce(e.kind, a.kind)) end as actual_amount,
        a.is_posted,
        -- A sale that accounting makes by itself is one while it stands in its books: not before, nor after it was cancelled.
        coalesce(e.kind, a.kind, w.kind) = any(t.posting_kinds)
            or coalesce(a.is_posted is not null and ops.measure(a.kind) = 'realized' and a.kind <> all(t.written_kinds), false)
            as is_posting_kind,
        coalesce(a.is_deleted, false) as is_marked,
        deal.deal_id is not null as is_deal_deleted,
        coalesce(w.unfinished, case when w.is_written then 'verified' end) as operation_state,
        w.reason as operation_reason,
        coalesce(why.reason_ru, w.reason) as operation_reason_ru,
        held.reason as hold_reason,
        held.reason_ru as hold_reason_ru,
        waiting.kind || ' ' || waiting.name || waiting.why || waiting.reason as waits_for,
        waiting.kind_ru || ' ' || waiting.name || waiting.why_ru || waiting.reason_ru as waits_for_ru,
        ours.copy_of,
        own.fields as accepted,
        suspected.document_key is not null and e.document_key = w.document_key as is_suspected
    from writing w
    cross join target t
    left join followed made on made.document_key = w.document_key
    left join followed elsewhere on elsewhere.expected_key = w.document_key
    left join expected e
      on e.document_key = coalesce(made.expected_key, case when elsewhere.expected_key is null then w.document_key end)
    left join ledger.document a on a.document_key = w.document_key
    left join ops.reason_ru why on why.reason = w.reason
    left join core.deal deal on deal.deal_id = coalesce(e.deal_id, w.deal_id) and deal.is_deleted
    left join waiting on waiting.document_key = w.document_key
    left join accepted own on own.document_key = w.document_key and e.document_key is not null and e.ended is null
    -- A return for good is not held.
    left join holding held on held.deal_id = e.deal_id
          and not (e.kind = 'return' and exists (select from ops.revision r where r.deal_id = e.deal_id and r.is_final))
    left join suspected on suspected.document_key = w.document_key
    left join lateral (
        -- What we sent is looked at where neither side says all of it: it is long, and there is one of every document. What
        -- stands in our own currency on both sides has no rate.
        select case
            when e.due_on is null or coalesce(a.rate, 0) <= 0 and (e.currency is distinct from t.currency
                                                                  or a.currency_key is distinct from e.currency_key)
            then (select c.content from ops.operation c where c.operation_id = w.content_of) end as content
    ) sent on true
    left join lateral (
        select case when w.operations = 0 and a.comment like 'crm:%' then (
            select min(o.document_key) from documents.document o
            where o.deal_id = substr(a.comment, 5) and o.kind = a.kind and o.document_key <> a.document_key) end as copy_of
    ) ours on true
    where e.document_key is not null or a.document_key is not null
), compared as (
    select p.*, coalesce(
               p.is_suspected and p.expected_amount is not null and p.actual_amount is not null
               and (not p.is_posting_kind or p.is_posted)
               and p.expected_currency_key is not distinct from p.actual_currency_key
               and not coalesce('lines' = any(p.accepted), false)
               and (
                   -- Equal lines cancel out, in whatever order and part they stand.
                   select bool_or(line.ours <> line.theirs) and sum(line.ours) > 0 and sum(line.theirs) > 0
                   from (
                       select count(*) filter (where both_sides.is_ours) as ours, count(*) filter (where not both_sides.is_ours) as theirs
                       from (
                           select true as is_ours, l.product_key, l.quantity, l.price, l.amount, l.vat, l.vat_amount
                           from documents.document d
                           join documents.document_line l on l.deal_id = d.deal_id
                           where d.document_key = p.document_key and d.lines is null
                           union all
                           -- A document that stays as it was, or takes one back, has lines of its own; a correction has no whole ones.
                           select true, l.product_key, l.quantity, l.price, l.amount, l.vat, l.vat_amount
                           from documents.document d
                           cross join jsonb_populate_recordset(null::documents.document_line, d.lines) l
                           where d.document_key = p.document_key and d.lines is not null and d.kind <> 'correction'
                           union all
                           select false, l.product_key, l.quantity, l.price, l.amount, l.vat, l.vat_amount
                           from ledger.document_line l
                           where l.document_key = p.document_key and not l.is_deleted
                       ) both_sides
                       group by product_key, quantity, price, amount, vat, vat_amount
                   ) line
               ), false) as has_other_lines
    from position p
    offset 0  -- worked out once
)
select
    p.document_key, p.kind, p.deal_id, p.number, p.expected_counterparty_key, p.actual_counterparty_key, p.expected_currency_key,
    p.actual_currency_key, p.expected_date, p.actual_date, p.due_on, p.rate, p.rate_units, p.expected_amount, p.sent_amount,
    p.actual_amount, p.is_posted, p.is_posting_kind, p.is_marked, p.is_deal_deleted, p.operation_state, p.operation_reason,
    p.operation_reason_ru, p.hold_reason, p.hold_reason_ru, p.waits_for, p.waits_for_ru, p.copy_of, p.accepted, p.has_other_lines,
    p.expected_amount is null or p.actual_amount is null or p.expected_amount <> p.actual_amount
        or (p.is_posting_kind and not coalesce(p.is_posted, false))
        or p.expected_counterparty_key is distinct from p.actual_counterparty_key
        or p.expected_currency_key is distinct from p.actual_currency_key
        or p.expected_date is distinct from p.actual_date
        or p.has_other_lines as is_apart
from compared p
