-- A million documents on each side, in the road's own tables: deals with an invoice and a realization each, two lines a
-- deal, what we wrote of them, and what accounting holds. One document in a hundred differs, in every way there is.
-- Parameters: deals.

create temporary table sold as
select i, 'bitrix24:' || i as deal_id, 'onec:' || md5('party' || i %% 5000)::uuid as counterparty_key,
       'onec:' || md5('contract' || i %% 5000)::uuid as contract_key, date '2026-01-01' + i %% 180 as day,
       md5('invoice' || i)::uuid as invoice, md5('realization' || i)::uuid as realization,
       (100 + i * 31::bigint %% 5000)::numeric(18,2) as price
from generate_series(1, %(deals)s) i;

create temporary table wanted as
select i, deal_id, kind, key, counterparty_key, contract_key, day, price, (price * 3)::numeric(18,2) as amount,
       case when i %% 100 = 7 then (i / 100) %% 10 end as apart
from sold cross join lateral (values ('invoice', invoice), ('realization', realization)) d(kind, key);

insert into core.deal (deal_id, source, source_id, title, stage_code, amount, currency, is_deleted, problems)
select deal_id, 'bitrix24', i::text, 'Сделка ' || i, 'WON', price * 3, 'RUB', false, '{}' from sold;

insert into documents.document_line (line_id, deal_id, position, product_name, product_id, product_key, product_matches, is_service,
                                     quantity, price, amount, vat_rate, vat, vat_amount)
select 'bitrix24:' || i || '-' || j, deal_id, j, 'Товар ' || j, 'bitrix24:' || j, 'onec:' || j, 1, false, j, price, price * j, 22,
       'НДС22', round(price * j * 22 / 122, 2)
from sold cross join generate_series(1, 2) j;

insert into documents.document (document_key, deal_id, kind, revision, document_date, due_on, counterparty_key, contract_key,
                                organization_key, currency, currency_key, amount, vat_amount, has_goods, has_services, title, comment)
select 'onec:' || key, deal_id, kind, 1, day, day + 5, counterparty_key, contract_key, 'onec:us', 'RUB', 'onec:643', amount,
       round(amount * 22 / 122, 2), true, false, 'Сделка ' || i, 'crm:' || deal_id
from wanted
where apart is distinct from 9;  -- entered by hand

insert into ops.operation (operation_id, target, kind, action, key, source, source_ref, subject, state, content_hash, amount,
                           currency, version, content)
select key, 'onec', kind, 'create', key::text, 'bitrix24', i::text, deal_id, 'verified', md5(key::text), amount, 'RUB', 'v1',
       jsonb_build_object('document', jsonb_build_object(
           'document_key', 'onec:' || key, 'deal_id', deal_id, 'kind', kind, 'document_date', day, 'due_on', day + 5,
           'counterparty_key', counterparty_key, 'contract_key', contract_key, 'currency_key', 'onec:643', 'amount', amount))
from wanted
where apart is null or apart not in (0, 9);  -- not carried yet; entered by hand

insert into ledger.document (document_key, source, source_id, kind, number, document_date, is_posted, counterparty_key, contract_key,
                             organization_key, currency_key, amount, comment, version, is_deleted, problems)
select 'onec:' || key, 'onec', key::text, kind, lpad(i::text, 9, '0'),
       case when apart = 1 then day + 40 else day end, kind = 'realization' and apart is distinct from 2,
       case when apart = 3 then 'onec:another' else counterparty_key end, contract_key, 'onec:us',
       case when apart = 4 then 'onec:840' else 'onec:643' end,
       case apart when 5 then amount + 0.02 when 6 then amount + price when 7 then amount - 1 else amount end,
       case when apart = 9 then 'вручную' else 'crm:' || deal_id end, 'v1', coalesce(apart = 8, false), '{}'
from wanted
where apart is distinct from 0;

insert into ledger.document_line (line_key, source, source_id, document_key, part, position, product_key, quantity, price, amount,
                                  vat, vat_amount, is_deleted, problems)
select 'onec:' || key || '/goods/' || j, 'onec', key || '/' || j, 'onec:' || key, 'goods', j, 'onec:' || j,
       case when apart = 6 and j = 1 then 2 else j end, price, case when apart = 6 and j = 1 then price * 2 else price * j end, 'НДС22',
       round(price * j * 22 / 122, 2), coalesce(apart = 8, false), '{}'
from wanted cross join generate_series(1, 2) j
where apart is distinct from 0
