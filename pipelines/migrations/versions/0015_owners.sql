-- Targets that are left alone for a while; fields and their owners; what accounting changed of what we wrote.

create table ops.breaker (
    system    text primary key,
    opened_at timestamptz,
    times     integer not null default 0,
    retry_at  timestamptz,
    failures  integer not null default 0,
    reason    text not null default '',
    closed_at timestamptz,
    run_id    text
);
comment on table ops.breaker is 'Systems that did not answer our writes: left alone until `retry_at`, then tried with one operation.'
    ' What waits stays approved.';
comment on column ops.breaker.opened_at is 'Since when nothing is sent there; empty while all is well.';
comment on column ops.breaker.times is 'How often it has opened since it was last well: the pause grows with it.';
comment on column ops.breaker.failures is 'How many failures in a row opened it.';
comment on column ops.breaker.reason is 'The last of them, in its own words.';
comment on column ops.breaker.closed_at is 'When it last got through again, after it had been open.';

create function ops.owner_of(of_system text, of_kind text, of_field text, is_posted boolean) returns text
language sql stable parallel safe as $$
    select case owner when 'state' then case when is_posted then 'accounting' else 'crm' end else owner end
    from (select coalesce(s.value ->> of_field, s.value ->> '*') as owner
          from ops.setting s where s.system = of_system and s.name = 'owner_' || of_kind) said
$$;
comment on function ops.owner_of is 'Who decides about a field of a record that we wrote: crm, accounting; null where the mapping'
    ' file names nobody.';

create function ops.owned_fields(of_system text, of_kind text, is_posted boolean) returns text[]
language sql stable parallel safe as $$
    select coalesce(array_agg(f order by n), '{}')
    from unnest(array['date', 'due_on', 'counterparty', 'contract', 'currency', 'amount', 'lines', 'comment'])
         with ordinality as x(f, n)
    where ops.owner_of(of_system, of_kind, f, is_posted) = 'accounting'
$$;
comment on function ops.owned_fields is 'The fields of a document that are accounting''s.';

create function ops.line_worths(lines jsonb, has_vat boolean, has_vat_amount boolean) returns text[]
language sql immutable parallel safe as $$
    select array_agg(x.worth order by x.worth) from (
        select concat_ws('/', l ->> 'product_key', trim_scale((l ->> 'quantity')::numeric), trim_scale((l ->> 'amount')::numeric),
                         case when has_vat then coalesce(l ->> 'vat', '') end,
                         case when has_vat_amount then trim_scale(coalesce((l ->> 'vat_amount')::numeric, 0)) end) as worth
        from jsonb_array_elements(coalesce(lines, '[]')) as l) x
$$;
comment on function ops.line_worths is 'What lines are worth, in no order. A price is not compared: accounting may keep it rounded.';

-- `held`: content of an operation. `found`: {"document": columns of ledger.document, "lines": rows of ledger.document_line};
-- what is missing there is not read, and so not known.
create function ops.edited_fields(held jsonb, found jsonb) returns text[]
language sql immutable parallel safe as $$
    with d as (select held -> 'document' as h, jsonb_strip_nulls(found -> 'document') as f,
               case when jsonb_typeof(found -> 'lines') = 'array' then found -> 'lines' end as lines),
    known as (
        select bool_and(l ->> 'vat' is not null) as vat, bool_and(l ->> 'vat_amount' is not null) as vat_amount
        from d, jsonb_array_elements(coalesce(d.lines, '[]')) l)
    select case when held is null then '{}' else array_remove(array[
        case when f ->> 'document_date' <> coalesce(h ->> 'document_date', '') then 'date' end,
        case when f ->> 'counterparty_key' <> coalesce(h ->> 'counterparty_key', '') then 'counterparty' end,
        case when f ->> 'contract_key' <> coalesce(h ->> 'contract_key', '') then 'contract' end,
        case when f ->> 'currency_key' <> coalesce(h ->> 'currency_key', '') then 'currency' end,
        case when (f ->> 'amount')::numeric is distinct from (h ->> 'amount')::numeric and f ? 'amount' then 'amount' end,
        case when jsonb_array_length(lines) > 0
              and ops.line_worths(lines, known.vat, known.vat_amount)
                  is distinct from ops.line_worths(held -> 'lines', known.vat, known.vat_amount) then 'lines' end,
        case when f ->> 'comment' <> coalesce(h ->> 'comment', '') then 'comment' end], null) end
    from d, known
$$;
comment on function ops.edited_fields is 'In what accounting''s document differs from what we last wrote, in the words of policies.';

create function ops.field_columns(field text) returns text[]
language sql immutable parallel safe
return case field when 'date' then array['document_date'] when 'due_on' then array['due_on']
                  when 'counterparty' then array['counterparty_key', 'counterparty_id'] when 'contract' then array['contract_key']
                  when 'currency' then array['currency_key', 'currency', 'rate', 'rate_units']
                  when 'amount' then array['amount', 'vat_amount']
                  when 'lines' then array['has_goods', 'has_services'] when 'comment' then array['comment', 'title']
                  else '{}'::text[] end;
comment on function ops.field_columns is 'The columns of documents.document that a field of policies stands for.';

-- What an update says that leaves out some fields: these as we last wrote them.
create function ops.content_without(wanted jsonb, held jsonb, fields text[]) returns jsonb
language sql immutable parallel safe as $$
    with away as (select array(select c from unnest(fields) f, unnest(ops.field_columns(f)) c) as columns)
    select jsonb_build_object(
        'document', ((wanted -> 'document') - columns) || (
            select coalesce(jsonb_object_agg(key, value), '{}') from jsonb_each(held -> 'document') where key = any(columns)),
        'lines', case when 'lines' = any(fields) then held -> 'lines' else wanted -> 'lines' end)
    from away
$$;
comment on function ops.content_without is 'The content of an update that leaves these fields as they are in accounting.';

-- Tables of `core` are made after the migrations, so that they are named at run time only.
create function ops.edit_name(field text, key text) returns text language plpgsql stable as $$
declare
    found text;
begin
    if field in ('counterparty', 'contract') then
        execute format('select name from core.accounting_%I where %I = $1', field, field || '_key') into found using key;
    elsif field = 'currency' then
        execute 'select coalesce(r.code, c.name, c.code) from core.accounting_currency c'
            ' left join ops.currency_rule r on r.system = c.source and r.value = c.code where c.currency_key = $1'
            into found using key;
    end if;
    return found;
end
$$;
comment on function ops.edit_name is 'What people call a counterparty, contract or currency of accounting; null for other fields.';

create table ops.edit (
    edit_id      bigint generated always as identity primary key,
    operation_id uuid not null references ops.operation,
    system       text not null,
    kind         text not null,
    key          text not null,
    deal_id      text,
    field        text not null,
    held         text,
    found        text,
    owner        text check (owner in ('crm', 'accounting')),
    outcome      text not null check (outcome in ('accepted', 'written back', 'posted again', 'asked', 'left')),
    actor        text not null default 'accounting',
    version      text,
    seen_at      timestamptz not null default clock_timestamp(),
    run_id       text
);
create index on ops.edit (operation_id, field, edit_id);
create index on ops.edit (deal_id);
create index on ops.edit (seen_at);
comment on table ops.edit is 'What accounting changed of records that we wrote, as seen before a plan, and what was made of it. Append-only.';
comment on column ops.edit.operation_id is 'The creation of the record.';
comment on column ops.edit.field is 'As in policies; also name, code, tax_number, kpp of a master, and posting, deletion, payment of a document.';
comment on column ops.edit.held is 'As we last wrote it.';
comment on column ops.edit.found is 'As accounting holds it.';
comment on column ops.edit.owner is 'Who decides about the field in this state of the document; empty where the mapping file names nobody.';
comment on column ops.edit.outcome is
    'accepted: it stays, and is no variance; written back: overwritten with what the CRM says; posted again; asked; left: a variance.';
create trigger append_only before update or delete or truncate on ops.edit
    for each statement execute function ops.refuse_rewriting();

alter table ops.question drop constraint question_answer_check,
    add constraint question_answer_check check (answer in ('update', 'correction', 'reversal', 'leave', 'post'));
comment on column ops.question.fields is 'What differs; unposted, deleted, refunded: what was done to it in accounting.';
