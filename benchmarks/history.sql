-- A company's history, straight into raw: deals as the portal sends them, and what accounting holds of them
-- as if they had been carried long ago. Shapes are whole payloads of a company that was really read and
-- carried (bench.shape); only what tells records apart is written anew. Parameters: deals, clients, today.

create temporary table client as
select k, 2000000 + k as company_id, 3000000 + k as requisite_id, 'Клиент ' || k as name, inn, '770101001' as kpp,
       'RU:' || inn || ':770101001' as counterparty_id,
       ops.key_of('onec', 'counterparty', 'RU:' || inn || ':770101001') as counterparty_key,
       ops.key_of('onec', 'contract', 'RU:' || inn || ':770101001/RUB') as contract_key
from (
    select k, base || (
        (2 * d[1] + 4 * d[2] + 10 * d[3] + 3 * d[4] + 5 * d[5] + 9 * d[6] + 4 * d[7] + 6 * d[8] + 8 * d[9]) %% 11 %% 10
    ) as inn
    from generate_series(1, %(clients)s) k
    cross join lateral (select '77' || lpad(k::text, 7, '0') as base) b
    cross join lateral (select string_to_array(base, null)::int[] as d) digits
) numbered;

create temporary table sale as
select i, 1000000 + i as id, stage, stage = 'WON' as is_won, stage in ('WON', 'EXECUTING') as has_invoice,
       created_on, case when stage = 'WON' then created_on + 7 else created_on end as document_date,
       stage = 'WON' and drawn / 20 %% 10 <> 3 as is_paid, drawn / 200 %% 97 = 0 as is_half_paid,
       c.company_id, c.counterparty_key, c.contract_key,
       case when stage in ('WON', 'EXECUTING') then ops.key_of('onec', 'invoice', 'bitrix24:' || 1000000 + i || '/1') end as invoice_key,
       case when stage = 'WON' then ops.key_of('onec', 'realization', 'bitrix24:' || 1000000 + i || '/1') end as realization_key
from (
    select i, drawn, %(today)s::date - (drawn / 20000 %% 500)::int - 10 as created_on,
           case when drawn %% 20 < 12 then 'WON' when drawn %% 20 < 14 then 'EXECUTING'
                when drawn %% 20 < 17 then 'LOSE' else 'NEW' end as stage
    from generate_series(1, %(deals)s) i
    cross join lateral (select abs(hashint4(i)::bigint) as drawn) d
) d
join client c on c.k = 1 + i::bigint * 7919 %% %(clients)s;
create unique index on sale (i);
analyze sale;

create temporary table line as
select s.i, j, 10000000 + s.i::bigint * 3 + j as id, g.product_id, g.product_key, g.unit_key, g.name, 1 + (s.i + j) %% 9 as quantity,
       100 + (s.i * 31 + j * 7) %% 5000 as price, (1 + (s.i + j) %% 9) * (100 + (s.i * 31 + j * 7) %% 5000)::numeric(18,2) as amount,
       case when s.document_date < '2026-01-01' then 20 else 22 end as rate
from sale s
cross join generate_series(1, 3) j
join (select *, row_number() over (order by product_id) - 1 as n, count(*) over () as goods from bench.good) g
  on g.n = (s.i * 3 + j) %% g.goods;
analyze line;

create temporary table sold as
select i, sum(amount) as amount, sum(round(amount * rate / (100 + rate), 2)) as vat,
       jsonb_agg(jsonb_build_object(
           'LineNumber', j::text, 'Номенклатура_Key', product_key, 'ЕдиницаИзмерения_Key', unit_key, 'Количество', quantity,
           'Цена', price, 'Сумма', amount, 'СтавкаНДС', 'НДС' || rate, 'СуммаНДС', round(amount * rate / (100 + rate), 2)
       ) order by j) as lines
from line group by i;
create unique index on sold (i);
analyze sold;

-- %% the portal

insert into bench.record
select 'bitrix24_company', company_id::text, null, %(today)s::date - 400, (select payload from bench.shape where kind = 'bitrix24_company') || jsonb_build_object(
           'id', company_id, 'title', 'ООО «' || name || '»', 'isMyCompany', 'N', 'assignedById', 11 + k %% 5)
from client;

insert into bench.record
select 'bitrix24_requisite', requisite_id::text, company_id::text, %(today)s::date - 400, (select payload from bench.shape where kind = 'bitrix24_requisite') || jsonb_build_object(
           'ID', requisite_id::text, 'ENTITY_ID', company_id::text, 'RQ_INN', inn, 'RQ_KPP', kpp, 'RQ_OGRN', null,
           'RQ_COMPANY_NAME', 'ООО «' || name || '»', 'RQ_COMPANY_FULL_NAME', 'Общество с ограниченной ответственностью «' || name || '»')
from client;

insert into bench.record
select 'bitrix24_deal', s.id::text, null, s.document_date, (select payload from bench.shape where kind = 'bitrix24_deal') || jsonb_build_object(
           'id', s.id, 'title', 'Поставка ' || s.id, 'stageId', s.stage, 'categoryId', 0, 'currencyId', 'RUB',
           'closed', case when s.is_won or s.stage = 'LOSE' then 'Y' else 'N' end,
           'stageSemanticId', case s.stage when 'WON' then 'S' when 'LOSE' then 'F' else 'P' end,
           'companyId', s.company_id, 'contactId', null, 'contactIds', '[]'::jsonb, 'assignedById', 11 + s.i %% 5, 'sourceId', 'CALL',
           'opportunity', m.amount, 'taxValue', m.vat, 'createdTime', s.created_on || 'T12:00:00+03:00',
           'updatedTime', s.document_date || 'T12:00:00+03:00', 'closedate', s.document_date || 'T03:00:00+03:00')
from sale s join sold m on m.i = s.i;

insert into bench.record
select 'bitrix24_deal_line', l.id::text, s.id::text, null, (select payload from bench.shape where kind = 'bitrix24_deal_line') || jsonb_build_object(
           'id', l.id, 'ownerId', s.id, 'sort', l.j * 10, 'productId', l.product_id, 'productName', l.name, 'price', l.price,
           'priceBrutto', l.price, 'priceAccount', l.price, 'quantity', l.quantity, 'taxRate', l.rate, 'taxIncluded', 'Y')
from line l join sale s on s.i = l.i;

-- %% accounting

insert into bench.record
select 'onec_counterparty', counterparty_key, null, null, (select payload from bench.shape where kind = 'onec_counterparty') || jsonb_build_object(
           'Ref_Key', counterparty_key, 'Code', '77-' || lpad(k::text, 6, '0'), 'ИНН', inn, 'КПП', kpp, 'IsFolder', false,
           'Description', upper(name) || ' ООО', 'НаименованиеПолное', 'ООО "' || upper(name) || '"')
from client;

insert into bench.record
select 'onec_contract', contract_key, null, null, (select payload from bench.shape where kind = 'onec_contract') || jsonb_build_object(
           'Ref_Key', contract_key, 'Owner_Key', counterparty_key, 'Code', '77-' || lpad(k::text, 6, '0'))
from client;

insert into bench.record
select 'onec_invoice', s.invoice_key, null, null, (select payload from bench.shape where kind = 'onec_invoice') || jsonb_build_object(
           'Ref_Key', s.invoice_key, 'Number', '0000-' || lpad(s.i::text, 6, '0'), 'Date', s.document_date || 'T00:00:00',
           'Контрагент_Key', s.counterparty_key, 'ДоговорКонтрагента_Key', s.contract_key, 'СуммаДокумента', m.amount,
           'Комментарий', 'crm:bitrix24:' || s.id, 'Товары',
           (select jsonb_agg((select payload from bench.shape where kind = 'invoice_line') || given) from jsonb_array_elements(m.lines) given))
from sale s join sold m on m.i = s.i where s.has_invoice;

insert into bench.record
select 'onec_realization', s.realization_key, null, null, (select payload from bench.shape where kind = 'onec_realization') || jsonb_build_object(
           'Ref_Key', s.realization_key, 'Number', '0000-' || lpad(s.i::text, 6, '0'), 'Date', s.document_date || 'T00:00:00',
           'Контрагент_Key', s.counterparty_key, 'ДоговорКонтрагента_Key', s.contract_key, 'СуммаДокумента', m.amount,
           'Posted', true, 'Комментарий', 'crm:bitrix24:' || s.id, 'Услуги', '[]'::jsonb, 'Товары',
           (select jsonb_agg((select payload from bench.shape where kind = 'realization_line') || given) from jsonb_array_elements(m.lines) given))
from sale s join sold m on m.i = s.i where s.is_won;

create temporary table paid as
select s.i, s.counterparty_key, s.contract_key, s.invoice_key, s.document_date + 3 as paid_on,
       ops.key_of('onec', 'payment', s.id::text) as payment_key,
       case when s.is_half_paid then round(m.amount / 2, 2) else m.amount end as amount
from sale s join sold m on m.i = s.i where s.is_paid;

insert into bench.record
select 'onec_payment', payment_key, null, null, (select payload from bench.shape where kind = 'onec_payment') || jsonb_build_object(
           'Ref_Key', payment_key, 'Number', '0000-' || lpad(i::text, 6, '0'), 'Date', paid_on || 'T12:00:00', 'Posted', true,
           'Контрагент', counterparty_key, 'ДоговорКонтрагента_Key', contract_key, 'СуммаДокумента', amount,
           'РасшифровкаПлатежа', jsonb_build_array((select payload from bench.shape where kind = 'payment_line') || jsonb_build_object(
               'LineNumber', '1', 'СуммаПлатежа', amount, 'СчетНаОплату_Key', invoice_key, 'ДоговорКонтрагента_Key', contract_key)))
from paid;

create temporary table account as
select payload ->> 'Code' as code, source_id as key from raw.onec_account;

insert into bench.record
select 'onec_entry', e.recorder || ':' || e.position, e.recorder, null, (select payload from bench.shape where kind = 'onec_entry') || jsonb_build_object(
           'Recorder', e.recorder, 'LineNumber', e.position::text, 'Period', e.booked_on || 'T00:00:00', 'Сумма', e.amount,
           'AccountDr_Key', dr.key, 'AccountCr_Key', cr.key, 'Содержание', e.content,
           'ExtDimensionDr1', e.dr_counterparty, 'ExtDimensionDr1_Type', case when e.dr_counterparty is not null then 'StandardODATA.Catalog_Контрагенты' end,
           'ExtDimensionCr1', e.cr_counterparty, 'ExtDimensionCr1_Type', case when e.cr_counterparty is not null then 'StandardODATA.Catalog_Контрагенты' end)
from (
    select s.realization_key as recorder, 1 as position, s.document_date as booked_on, m.amount, '62.01' as dr, '90.01.1' as cr,
           s.counterparty_key as dr_counterparty, null::text as cr_counterparty, 'Реализация' as content
    from sale s join sold m on m.i = s.i where s.is_won
    union all
    select s.realization_key, 2, s.document_date, m.vat, '90.03', '68.02', null, null, 'НДС'
    from sale s join sold m on m.i = s.i where s.is_won
    union all
    select payment_key, 1, paid_on, amount, '51', '62.01', null, counterparty_key, 'Оплата' from paid
) e
join account dr on dr.code = e.dr
join account cr on cr.code = e.cr;

insert into bench.record
select 'onec_balance', a.key || ':' || b.counterparty_key, null, null, (select payload from bench.shape where kind = 'onec_balance') || jsonb_build_object(
           'Account_Key', a.key, 'ExtDimension1', b.counterparty_key, 'СуммаBalance', b.amount)
from (
    select counterparty_key, sum(amount) as amount from (
        select s.counterparty_key, m.amount from sale s join sold m on m.i = s.i where s.is_won
        union all select counterparty_key, -amount from paid) moved
    group by counterparty_key
) b
join account a on a.code = '62.01'
