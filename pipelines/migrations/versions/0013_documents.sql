-- Kinds of documents, policies, revisions, questions, closed periods.

create or replace function ops.kind_order(kind text) returns integer
language sql immutable parallel safe
return coalesce(array_position(array['counterparty', 'product', 'contract', 'order', 'invoice', 'realization',
                                     'vat_invoice', 'correction', 'return'], kind), 99);

create function ops.is_document(kind text) returns boolean
language sql immutable parallel safe
return kind in ('order', 'invoice', 'realization', 'vat_invoice', 'correction', 'return');
comment on function ops.is_document is 'Whether records of a kind are documents of a deal, not masters.';

create function ops.measure(kind text) returns text
language sql immutable parallel safe
return case kind when 'order' then 'ordered' when 'invoice' then 'invoiced'
                 when 'vat_invoice' then 'vat_invoiced' else 'realized' end;
comment on function ops.measure is 'What the sum of a document counts in: ordered, invoiced, realized, vat_invoiced.';

create function ops.sign(kind text) returns integer
language sql immutable parallel safe
return case kind when 'return' then -1 else 1 end;
comment on function ops.sign is 'By what the sum of a document is multiplied: a return takes away.';

create function ops.kind_name(kind text) returns text
language sql immutable parallel safe
return case kind when 'vat_invoice' then 'VAT invoice' else kind end;
comment on function ops.kind_name is 'What people call a kind of document, English.';

create function ops.kind_name_ru(kind text) returns text
language sql immutable parallel safe
return case kind when 'order' then 'заказ' when 'invoice' then 'счёт' when 'realization' then 'реализация'
                 when 'vat_invoice' then 'счёт-фактура' when 'correction' then 'корректировка'
                 when 'return' then 'возврат' else kind end;
comment on function ops.kind_name_ru is 'What people call a kind of document, Russian.';

create or replace function ops.is_carried(deal text) returns boolean
language sql stable parallel safe
return exists (select from ops.operation o where o.subject = deal and ops.is_document(o.kind)
               and o.state in ('sent', 'uncertain', 'confirmed', 'verified', 'reversed'));

alter table ops.operation drop constraint operation_action_check,
    add constraint operation_action_check check (action in ('create', 'update', 'unpost', 'post', 'void')),
    add column content jsonb;
comment on column ops.operation.action is 'create, update, unpost, post or void.';
comment on column ops.operation.content is
    'Of a document: the row of documents.document and its lines from which body was made, in our words.';

-- Lines before and after, as jsonb of documents.document_line, side by side: the nth of a product with the nth.
create function ops.corrected_lines(held jsonb, wanted jsonb) returns jsonb
language sql immutable parallel safe as $$
    with b as (
        select x.value as line, row_number() over (partition by x.value ->> 'product_key', x.value ->> 'vat' order by x.n) as turn,
               x.n
        from jsonb_array_elements(coalesce(held, '[]')) with ordinality as x(value, n)
    ), a as (
        select x.value as line, row_number() over (partition by x.value ->> 'product_key', x.value ->> 'vat' order by x.n) as turn,
               x.n
        from jsonb_array_elements(coalesce(wanted, '[]')) with ordinality as x(value, n)
    )
    select jsonb_agg(
        coalesce(a.line, b.line || '{"quantity": 0, "amount": 0, "vat_amount": 0}')
        || jsonb_build_object(
            'position', place, 'quantity_before', coalesce(b.line -> 'quantity', '0'),
            'price_before', coalesce(b.line -> 'price', a.line -> 'price'),
            'amount_before', coalesce(b.line -> 'amount', '0'),
            'vat_before', coalesce(b.line -> 'vat_amount', '0'))
        order by place)
    from (
        select a.line, b.line, row_number() over (order by coalesce(b.n, 1000000 + a.n)) as place
        from b full join a
          on a.turn = b.turn and a.line ->> 'product_key' is not distinct from b.line ->> 'product_key'
         and a.line ->> 'vat' is not distinct from b.line ->> 'vat'
    ) as pairs(after_line, before_line, place)
    cross join lateral (select pairs.after_line as line) a
    cross join lateral (select pairs.before_line as line) b
$$;
comment on function ops.corrected_lines is 'Lines of a correction: what they are to be, with what they were; of what went, zero.';

create function ops.line_contents(lines jsonb) returns text[]
language sql immutable parallel safe as $$
    select array_agg(x.content order by x.content) from (
        select concat_ws('/', l ->> 'product_key', trim_scale((l ->> 'quantity')::numeric), trim_scale((l ->> 'price')::numeric),
                         trim_scale((l ->> 'amount')::numeric), l ->> 'vat', trim_scale((l ->> 'vat_amount')::numeric)) as content
        from jsonb_array_elements(coalesce(lines, '[]')) as l) x
$$;
comment on function ops.line_contents is 'What lines say, in no order: equal where they are worth the same.';

-- What we last wrote, after a correction of it: its lines with what they became.
create function ops.corrected(held jsonb, correction jsonb) returns jsonb
language sql immutable parallel safe as $$
    select jsonb_build_object(
        'document', (held -> 'document') || jsonb_strip_nulls(jsonb_build_object(
            'amount', (held #>> '{document,amount}')::numeric + (correction #>> '{document,amount}')::numeric,
            'vat_amount', (held #>> '{document,vat_amount}')::numeric + (correction #>> '{document,vat_amount}')::numeric,
            'due_on', correction #> '{document,due_on}', 'title', correction #> '{document,title}')),
        'lines', (select jsonb_agg((x.value || '{"quantity_before": null, "price_before": null, "amount_before": null,'
                                    ' "vat_before": null}') order by x.n)
                  from jsonb_array_elements(correction -> 'lines') with ordinality as x(value, n)
                  where (x.value ->> 'quantity')::numeric <> 0))
$$;
comment on function ops.corrected is 'A document and its lines as they are after a correction.';

create function ops.changed_fields(held jsonb, wanted jsonb) returns text[]
language sql immutable parallel safe as $$
    with h as (select held -> 'document' as d), w as (select wanted -> 'document' as d),
    found as (
        select array_remove(array[
            case when h.d ->> 'document_date' is distinct from w.d ->> 'document_date' then 'date' end,
            case when h.d ->> 'due_on' is distinct from w.d ->> 'due_on' then 'due_on' end,
            case when h.d ->> 'counterparty_key' is distinct from w.d ->> 'counterparty_key' then 'counterparty' end,
            case when h.d ->> 'contract_key' is distinct from w.d ->> 'contract_key' then 'contract' end,
            case when h.d ->> 'currency' is distinct from w.d ->> 'currency' then 'currency' end,
            case when (h.d ->> 'amount')::numeric is distinct from (w.d ->> 'amount')::numeric then 'amount' end,
            case when ops.line_contents(held -> 'lines') is distinct from ops.line_contents(wanted -> 'lines') then 'lines' end,
            case when h.d ->> 'comment' is distinct from w.d ->> 'comment' then 'comment' end], null) as fields
        from h, w
    )
    select case when held is null or wanted is null or cardinality(fields) = 0 then array['other'] else fields end from found
$$;
comment on function ops.changed_fields is 'What differs between two contents of a document, in the words of policies.';

create function ops.told_changes(held jsonb, wanted jsonb, fields text[]) returns text
language sql immutable parallel safe as $$
    select string_agg(case f
        when 'lines' then format('lines (%s, now %s)', jsonb_array_length(coalesce(held -> 'lines', '[]')),
                                 jsonb_array_length(coalesce(wanted -> 'lines', '[]')))
        when 'other' then 'other fields'
        else format('%s %s -> %s', f,
            coalesce(held -> 'document' ->> c.name, 'none'), coalesce(wanted -> 'document' ->> c.name, 'none')) end, '; ' order by n)
    from unnest(fields) with ordinality as u(f, n)
    cross join lateral (select case f when 'date' then 'document_date' when 'counterparty' then 'counterparty_key'
                                      when 'contract' then 'contract_key' else f end as name) c
$$;
comment on function ops.told_changes is 'The changes of a document, old and new, for a person.';

create table ops.policy (
    system text not null,
    kind   text not null,
    state  text not null check (state in ('draft', 'posted', 'paid', 'closed')),
    field  text not null,
    action text not null check (action in ('update', 'correction', 'reversal', 'ask', 'leave')),
    place  text not null,
    primary key (system, kind, state, field)
);
comment on table ops.policy is 'What is done where the CRM changes a document that accounting holds already, as the mapping file says.';
comment on column ops.policy.field is 'What changed: date, due_on, counterparty, contract, currency, amount, lines, comment, other;'
    ' cancelled: the deal no longer calls for it; *: whatever is not named.';

create table ops.period_lock (
    system       text not null,
    organization text not null default '',
    subject      text not null default '',
    until        date not null,
    read_at      timestamptz not null default now(),
    primary key (system, organization, subject)
);
comment on table ops.period_lock is 'Periods that accounting has closed, as it said when it was last asked: nothing is written'
    ' up to and including `until`.';

create table ops.revision (
    deal_id      text not null,
    kind         text not null,
    revision     integer not null,
    number       integer not null,
    ending       text not null check (ending in ('corrected', 'reversed')),
    is_final     boolean not null default false,
    held         jsonb not null,
    decided_on   date not null,
    decided_by   text not null,
    reason       text not null,
    operation_id uuid not null references ops.operation,
    decided_at   timestamptz not null default clock_timestamp(),
    primary key (deal_id, kind, revision, number)
);
comment on table ops.revision is 'Documents that stay in accounting as they are, and what follows: a correction, or a return and'
    ' a new document of the next revision. Append-only.';
comment on column ops.revision.number is 'Within a revision: 1, and one more for every further correction, and for its reversal.';
comment on column ops.revision.is_final is 'The deal gets no further document of this kind: a person took it back.';
comment on column ops.revision.held is 'The document and its lines as we last wrote them, corrections included.';
comment on column ops.revision.decided_on is 'The day by the clock of accounting: the date of the document that follows.';
comment on column ops.revision.operation_id is 'The creation of the document.';
create trigger append_only before update or delete or truncate on ops.revision
    for each statement execute function ops.refuse_rewriting();
create function ops.tell_revision() returns trigger language plpgsql as $$
begin
    perform ops.lock_changes();
    insert into ops.change_log (table_name, key) values ('ops.revision', new.deal_id);
    return null;
end
$$;
create trigger tell_revision after insert on ops.revision for each row execute function ops.tell_revision();

create table ops.question (
    question_id  uuid primary key,
    operation_id uuid not null references ops.operation,
    deal_id      text not null,
    kind         text not null,
    state        text not null,
    fields       text[] not null,
    content_hash text not null,
    told         text not null,
    told_ru      text not null,
    asked_at     timestamptz not null default clock_timestamp(),
    answer       text check (answer in ('update', 'correction', 'reversal', 'leave')),
    answered_by  text,
    answered_at  timestamptz,
    reason       text,
    withdrawn_at timestamptz
);
create unique index question_open on ops.question (operation_id) where answer is null and withdrawn_at is null;
comment on table ops.question is 'What an accountant is asked: accounting holds a document that the deal no longer agrees with.';
comment on column ops.question.state is 'The document''s: draft, posted, paid or closed.';
comment on column ops.question.fields is 'What differs.';
comment on column ops.question.content_hash is 'Of the body that is due: the answer is good for this one only.';
comment on column ops.question.withdrawn_at is 'When the two agreed again, or differed otherwise.';
create function ops.tell_question() returns trigger language plpgsql as $$
begin
    perform ops.lock_changes();
    insert into ops.change_log (table_name, key) values ('ops.question', new.deal_id);
    return null;
end
$$;
create trigger tell_question after update of answer on ops.question for each row execute function ops.tell_question();
