-- A company with a history of three years, in the road's own tables: what the CRM says (deals with lines and the stages that they
-- went through), and what accounting holds (invoices and realizations with lines, payments in parts, entries of 62.01, 62.02, 51
-- and 90). What the road works out of it (positions, obligations, allocations) it works out itself. Few clients buy much, few
-- products are sold often; nine deals in ten are in roubles. Parameters: deals, clients, today.

create function pg_temp.drawn(i bigint, salt bigint) returns double precision immutable parallel safe language sql as
$function$ select abs(hashint8extended(i, salt) %% 1000003) / 1000003.0 $function$;

create temporary table client as
select k, 'bitrix24:C_' || k as record_id, 'Клиент ' || k as name, 'bitrix24:' || (1 + k %% 200) as employee_id,
       'onec:' || md5('party' || k)::uuid as counterparty_key, 'onec:' || md5('contract' || k)::uuid as contract_key,
       case k %% 20 when 18 then 'USD' when 19 then 'EUR' else 'RUB' end as currency
from generate_series(1, %(clients)s) k;

insert into core.employee (employee_id, source, source_id, full_name, is_deleted, problems)
select 'bitrix24:' || n, 'bitrix24', n::text, 'Менеджер ' || n, false, '{}' from generate_series(1, 200) n;

insert into core.lead_source (lead_source_id, source, source_id, name, is_deleted, problems)
select 'bitrix24:' || n, 'bitrix24', n::text, 'Источник ' || n, false, '{}' from generate_series(1, 12) n;

insert into core.stage (stage_id, source, source_id, pipeline_code, stage_code, name, position, outcome, is_deleted, problems)
select 'bitrix24:' || pipeline || '/' || code, 'bitrix24', pipeline || '/' || code, pipeline, code, name, position, outcome, false, '{}'
from (values ('0'), ('4')) p(pipeline)
cross join (values ('NEW', 'Новая', 10, 'open'), ('CALL', 'Звонок', 20, 'open'), ('OFFER', 'Предложение', 30, 'open'),
                   ('EXECUTING', 'Счёт', 40, 'open'), ('WON', 'Успех', 50, 'won'), ('LOSE', 'Провал', 60, 'lost')) s(code, name, position, outcome);

insert into core.accounting_organization (organization_key, source, source_id, name, is_deleted, problems)
values ('onec:us', 'onec', 'us', 'Мы', false, '{}');

insert into core.accounting_currency (currency_key, source, source_id, code, name, is_deleted, problems)
select 'onec:' || code, 'onec', code, code, name, false, '{}' from (values ('643', 'RUB'), ('840', 'USD'), ('978', 'EUR')) c(code, name);

insert into core.accounting_account (account_key, source, source_id, code, name, is_deleted, problems)
select 'onec:' || code, 'onec', code, code, code, false, '{}'
from unnest(array['41.01', '51', '52', '62.01', '62.02', '62.21', '62.22', '68.02', '90.01.1', '90.02.1', '90.03']) code;

insert into core.accounting_product (product_key, source, source_id, code, name, is_deleted, problems)
select 'onec:p' || n, 'onec', 'p' || n, 'P-' || n, 'Товар ' || n, false, '{}' from generate_series(1, 20000) n;

insert into core.product (product_id, source, source_id, name, is_deleted, problems)
select 'bitrix24:' || n, 'bitrix24', n::text, 'Товар ' || n, false, '{}' from generate_series(1, 20000) n;

insert into documents.product (product_id, product_key, origin, matches, is_service)
select 'bitrix24:' || n, 'onec:p' || n, 'found', 1, false from generate_series(1, 20000) n;

insert into core.client_record (client_record_id, source, source_id, name, employee_id, is_deleted, problems)
select record_id, 'bitrix24', 'C_' || k, name, employee_id, false, '{}' from client;

insert into core.client_member (client_record_id, client_id, rule) select record_id, record_id, 'alone' from client;

insert into core.client (client_id, name, employee_id, created_at, records, sources, is_deleted, problems)
select record_id, name, employee_id, now() - interval '4 years', 1, '{bitrix24}', false, '{}' from client;

insert into core.accounting_counterparty (counterparty_key, source, source_id, code, name, is_deleted, problems)
select counterparty_key, 'onec', substr(counterparty_key, 6), k::text, name, false, '{}' from client;

insert into core.accounting_contract (contract_key, source, source_id, code, name, counterparty_key, currency_key, is_deleted, problems)
select contract_key, 'onec', substr(contract_key, 6), k::text, 'Договор ' || k, counterparty_key,
       'onec:' || case currency when 'RUB' then '643' when 'USD' then '840' else '978' end, false, '{}'
from client;

create temporary table sale as
select i, 'bitrix24:' || i as deal_id, c.k, c.record_id, c.counterparty_key, c.contract_key, c.employee_id, c.currency,
       'onec:' || case c.currency when 'RUB' then '643' when 'USD' then '840' else '978' end as currency_key,
       case c.currency when 'RUB' then 1 when 'USD' then 90 else 100 end as rate,
       created_on, created_on + 2 + (s.way * 100)::int as middle_on, created_on + 5 + (s.way * 30)::int as invoiced_on,
       least(created_on + 8 + (s.way * 60)::int, %(today)s::date) as closed_on, s.stage, s.way,
       md5('invoice' || i)::uuid as invoice, md5('realization' || i)::uuid as realization
from (
    select i, created_on, way, 1 + floor(%(clients)s * power(pg_temp.drawn(i, 1), 2))::int as k,
           case when created_on > %(today)s::date - 68 and fate < 0.15 then 'NEW'
                when created_on > %(today)s::date - 68 and fate < 0.40 then 'CALL'
                when created_on > %(today)s::date - 68 and fate < 0.60 then 'EXECUTING'
                when created_on > %(today)s::date - 68 and fate < 0.85 then 'OFFER'
                when fate < 0.68 then 'WON' when fate < 0.99 then 'LOSE' else 'OFFER' end as stage
    from (
        select i::bigint, %(today)s::date - 1 - (1095 * pg_temp.drawn(i, 2))::int as created_on, pg_temp.drawn(i, 3) as fate,
               pg_temp.drawn(i, 4) as way
        from generate_series(1, %(deals)s) i
    ) drawn
) s
join client c on c.k = s.k;

create temporary table sale_line as
select s.i, j, 1 + floor(20000 * power(pg_temp.drawn(s.i * 3 + j, 5), 3))::int as product, 1 + (s.i + j) %% 9 as quantity,
       (100 + (s.i * 31 + j * 7) %% 5000)::numeric(18,2) as price
from sale s cross join generate_series(1, 3) j;

create temporary table total as
select i, sum(quantity * price) as amount, sum(round(quantity * price / 6, 2)) as vat from sale_line group by i;

analyze sale;

analyze total;

-- %% the CRM

insert into core.deal (deal_id, source, source_id, title, client_record_id, employee_id, lead_source_id, pipeline_code, stage_code, amount,
                       currency, loss_reason, created_at, closed_on, modified_at, is_deleted, problems, said_from, known_from)
select deal_id, 'bitrix24', i::text, 'Поставка ' || i, record_id, employee_id, 'bitrix24:' || 1 + i %% 12, case when i %% 5 = 0 then '4' else '0' end,
       stage, t.amount, currency, case when stage = 'LOSE' then 'Причина ' || i %% 7 end, created_on + time '09:00',
       case when stage in ('WON', 'LOSE') then closed_on end, last_on + time '10:00', false, '{}', last_on + time '10:00', last_on + time '10:00'
from sale join total t using (i)
cross join lateral (select case when stage in ('WON', 'LOSE') then closed_on when stage = 'NEW' then created_on else least(middle_on, closed_on) end) l(last_on);

insert into ops.row_version (table_name, key, scope, said_from, known_from, row)
select 'core.deal', s.deal_id, s.deal_id, v.at, v.at,
       to_jsonb(d) - array['said_from', 'known_from'] || jsonb_build_object('stage_code', v.stage, 'modified_at', v.at, 'closed_on', null)
from sale s
join core.deal d on d.deal_id = s.deal_id
cross join lateral (
    select 'NEW', created_on + time '09:00' at time zone 'UTC' where s.stage <> 'NEW'
    union all
    select case when s.i %% 3 = 0 then 'CALL' else 'OFFER' end, least(s.middle_on, s.closed_on) + time '09:30' at time zone 'UTC'
    where s.stage in ('WON', 'LOSE')
) v(stage, at);

insert into core.deal_line (line_id, source, source_id, deal_id, position, product_id, product_name, quantity, price, vat_rate, amount, is_deleted, problems)
select 'bitrix24:' || i || '-' || j, 'bitrix24', i || '-' || j, 'bitrix24:' || i, j, 'bitrix24:' || product, 'Товар ' || product, quantity, price, 20,
       quantity * price, false, '{}'
from sale_line;

-- %% what is to be in accounting, and was written there

create temporary table wanted as
select s.*, t.amount, t.vat, d.kind, d.key, d.day
from sale s
join total t using (i)
cross join lateral (
    select 'invoice', invoice, invoiced_on where stage in ('WON', 'EXECUTING')
    union all
    select 'realization', realization, closed_on where stage = 'WON') d(kind, key, day);

insert into documents.document (document_key, deal_id, kind, revision, document_date, due_on, counterparty_key, contract_key, organization_key,
                                currency, currency_key, amount, vat_amount, has_goods, has_services, title, comment)
select 'onec:' || key, deal_id, kind, 1, day, invoiced_on + 10 + (way * 30)::int, counterparty_key, contract_key, 'onec:us', currency, currency_key,
       amount, vat, true, false, 'Поставка ' || i, 'crm:' || deal_id
from wanted;

insert into ops.operation (operation_id, target, kind, action, key, source, source_ref, subject, state, content_hash, amount, currency,
                           version, content, planned_at, changed_at)
select key, 'onec', kind, 'create', key::text, 'bitrix24', i::text, deal_id, 'verified', md5(key::text), amount, currency, 'v1',
       jsonb_build_object('document', jsonb_build_object(
           'document_key', 'onec:' || key, 'deal_id', deal_id, 'kind', kind, 'document_date', day, 'due_on', invoiced_on + 10 + (way * 30)::int,
           'counterparty_key', counterparty_key, 'contract_key', contract_key, 'currency_key', currency_key, 'amount', amount)),
       day + time '12:00', day + time '12:05'
from wanted;

-- %% accounting

insert into ledger.document (document_key, source, source_id, kind, number, document_date, is_posted, counterparty_key, contract_key,
                             organization_key, currency_key, amount, rate, rate_units, comment, version, is_deleted, problems, said_from, known_from)
select 'onec:' || key, 'onec', key::text, kind, lpad(i::text, 9, '0'), day, kind = 'realization', counterparty_key, contract_key, 'onec:us',
       currency_key, amount, rate, 1, 'crm:' || deal_id, 'v1', false, '{}'::text[], day, day
from wanted
union all
select 'onec:' || md5('return' || i)::uuid, 'onec', md5('return' || i), 'return', 'R' || i, day + 5, true, counterparty_key, contract_key, 'onec:us',
       currency_key, round(amount / 3, 2), rate, 1, null, 'v1', false, '{}'::text[], day, day
from wanted where kind = 'realization' and i %% 50 = 0 and day + 5 <= %(today)s::date;

insert into ledger.document_line (line_key, source, source_id, document_key, part, position, product_key, quantity, price, amount, vat,
                                  vat_amount, is_deleted, problems)
select 'onec:' || w.key || '/goods/' || l.j, 'onec', w.key || '/' || l.j, 'onec:' || w.key, 'goods', l.j, 'onec:p' || l.product, l.quantity, l.price,
       l.quantity * l.price, 'НДС20', round(l.quantity * l.price / 6, 2), false, '{}'
from wanted w join sale_line l using (i);

create temporary table paid as
select w.*, p.part, md5('payment' || i || '-' || part)::uuid as payment, w.day + 3 + 9 * part as paid_on,
       case when part < parts then round(w.amount / parts, 2) else w.amount - (parts - 1) * round(w.amount / parts, 2) end as part_amount
from wanted w
cross join lateral (select case when stage = 'WON' then 1 + i::int %% 5 else 1 end as parts) n
cross join lateral generate_series(1, parts) p(part)
where w.kind = 'invoice' and w.day + 3 + 9 * part <= %(today)s::date and not (i %% 11 = 3 and part = parts);

insert into ledger.payment (payment_key, source, source_id, kind, number, paid_on, is_posted, counterparty_key, organization_key, currency_key,
                            amount, rate, rate_units, purpose, is_deleted, problems, said_from, known_from)
select 'onec:' || payment, 'onec', payment::text, 'receipt', lpad(i::text, 9, '0'), paid_on, true, counterparty_key, 'onec:us', currency_key,
       part_amount, rate, 1, 'Оплата по счёту ' || i, false, '{}', paid_on, paid_on
from paid;

insert into ledger.payment_line (line_key, source, source_id, payment_key, position, contract_key, invoice_key, amount, is_deleted, problems)
select 'onec:' || payment || '/1', 'onec', payment || '/1', 'onec:' || payment, 1, contract_key, 'onec:' || invoice, part_amount, false, '{}'
from paid;

insert into ledger.entry (entry_key, source, source_id, document_key, position, booked_on, account_dr_key, account_cr_key, debit_counterparty_key,
                          credit_counterparty_key, amount, organization_key, debit_contract_key, credit_contract_key, debit_document_key,
                          credit_document_key, debit_currency_key, credit_currency_key, debit_currency_amount, credit_currency_amount, content,
                          is_active, is_deleted, problems)
select 'onec:' || key || ':' || place, 'onec', key || ':' || place, 'onec:' || key, place, day, 'onec:' || dr, 'onec:' || cr,
       case when dr like '62%%' then counterparty_key end, case when cr like '62%%' then counterparty_key end, round(amount * rate, 2), 'onec:us',
       case when dr like '62%%' then contract_key end, case when cr like '62%%' then contract_key end,
       case when dr like '62%%' then 'onec:' || realization end, case when cr like '62%%' then 'onec:' || realization end,
       case when dr like '62%%' and rate > 1 then currency_key end, case when cr like '62%%' and rate > 1 then currency_key end,
       case when dr like '62%%' and rate > 1 then amount end, case when cr like '62%%' and rate > 1 then amount end, said, true, false, '{}'
from (
    select w.key, e.place, w.day, case when w.rate > 1 then e.abroad else e.dr end as dr, e.cr, e.amount, w.rate, w.counterparty_key, w.contract_key,
           w.realization, w.currency_key, e.said
    from wanted w
    cross join lateral (values (1, '62.01', '62.21', '90.01.1', w.amount, 'Реализация'), (2, '90.03', '90.03', '68.02', w.vat, 'НДС'),
                               (3, '90.02.1', '90.02.1', '41.01', round((w.amount - w.vat) * (0.5 + w.way::numeric / 3), 2), 'Себестоимость')
                       ) e(place, dr, abroad, cr, amount, said)
    where w.kind = 'realization'
    union all
    select p.payment, 1, p.paid_on, case when p.rate > 1 then '52' else '51' end,
           case when p.paid_on < p.closed_on then case when p.rate > 1 then '62.22' else '62.02' end
                else case when p.rate > 1 then '62.21' else '62.01' end end,
           p.part_amount, p.rate, p.counterparty_key, p.contract_key, p.realization, p.currency_key, 'Оплата'
    from paid p
    union all
    select a.realization, 4, a.closed_on, case when a.rate > 1 then '62.22' else '62.02' end, case when a.rate > 1 then '62.21' else '62.01' end, a.amount,
           a.rate, a.counterparty_key, a.contract_key, a.realization, a.currency_key, 'Зачёт аванса'
    from (select i, realization, closed_on, rate, counterparty_key, contract_key, currency_key, sum(part_amount) as amount
          from paid where paid_on < closed_on and stage = 'WON' group by 1, 2, 3, 4, 5, 6, 7) a
) made
