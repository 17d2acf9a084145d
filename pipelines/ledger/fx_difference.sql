-- What a payment in a foreign currency came to more or less than its realization, because the rate had moved:
-- one row a part of a payment that was allocated after the realization. What was paid before is an advance, which
-- the realization takes over at its own rate (PBU 3/2006), so it makes no difference.
--
-- @owner accountants
-- @scope counterparty_key
-- @emits payment_key
-- @money difference own_currency_key
-- @known
create table ledger.fx_difference (
    fx_key               text not null primary key, -- ledger.allocation.allocation_key
    counterparty_key     text not null,             -- who paid; '-' where accounting does not know
    payment_key          text not null,             -- ledger.payment
    document_key         text not null,             -- ledger.obligation
    realization_key      text not null,             -- ledger.document: the sale that is paid
    deal_id              text,                      -- core.deal
    currency_key         text not null,             -- of the payment
    amount               numeric(18,2) not null,    -- in that currency
    realized_on          date not null,             -- day of the realization
    realization_rate     numeric(18,6) not null,    -- accounting currency for `realization_units`
    realization_units    numeric(18,4) not null,    -- 1, 10, 100
    realization_source   text not null,             -- document, or core.currency_rate of that day
    paid_on              date not null,             -- day of the payment
    payment_rate         numeric(18,6) not null,    -- accounting currency for `payment_units`
    payment_units        numeric(18,4) not null,    -- 1, 10, 100
    payment_source       text not null,             -- payment, or core.currency_rate of that day
    own_currency_key     text not null,             -- accounting's own currency, in which the rest is
    own_realized         numeric(18,2) not null,    -- `amount` at the rate of the realization
    own_paid             numeric(18,2) not null,    -- `amount` at the rate of the payment
    difference           numeric(18,2) not null     -- own_paid less own_realized: a gain is positive
);

create index fx_difference_counterparty on ledger.fx_difference (counterparty_key);
create index fx_difference_payment on ledger.fx_difference (payment_key);

-- @changed ledger.allocation
select key from change
;

-- @changed ledger.payment
select coalesce(p.counterparty_key, '-') as key from ledger.payment p join change on p.payment_key = change.key
;

-- @changed ledger.document
select a.counterparty_key as key
from change
join ledger.position p on p.document_key = change.key
join ledger.obligation o on o.document_key = p.document_key or o.deal_id = p.deal_id
join ledger.allocation a on a.document_key = o.document_key
;

-- @changed ledger.position
select a.counterparty_key as key
from change
join ledger.position p on p.document_key = change.key
join ledger.obligation o on o.document_key = p.document_key or o.deal_id = p.deal_id
join ledger.allocation a on a.document_key = o.document_key
;

-- @changed ledger.position.deal_id documents.document
select a.counterparty_key as key
from change
join ledger.obligation o on o.deal_id = change.key
join ledger.allocation a on a.document_key = o.document_key
;

-- @changed ledger.obligation
select a.counterparty_key as key from ledger.allocation a join change on a.document_key = change.key
;

-- @changed core.currency_rate
select a.counterparty_key as key
from change
join core.currency_rate r on r.rate_id = change.key
join ops.currency_rule c on c.code = r.currency
join core.accounting_currency l on l.code = c.value
join ledger.allocation a on a.currency_key = l.currency_key
;

-- @changed ops.setting ops.currency_rule core.accounting_currency

-- @all
select distinct counterparty_key as key from ledger.allocation
;

-- @rows
with own as (
    select n.value #>> '{}' as system, s.value #>> '{}' as currency, min(l.currency_key) as currency_key
    from ops.setting n
    join ops.setting s on s.system = n.value #>> '{}' and s.name = 'currency'
    join ops.currency_rule r on r.system = n.value #>> '{}' and r.code = s.value #>> '{}'
    join core.accounting_currency l on l.source = n.value #>> '{}' and l.code = r.value and not l.is_deleted
    where n.name = 'accounting_system'
    group by n.value, s.value
), foreign_parts as (
    select a.allocation_key, a.counterparty_key, a.payment_key, a.document_key, o.deal_id, a.currency_key, a.amount, a.paid_on,
           nullif(p.rate, 0) as paid_rate, p.rate_units as paid_units, own.currency_key as own_currency_key, letters.currency
    from ledger.allocation a
    join scope on scope.key = a.counterparty_key
    cross join own
    join ledger.payment p on p.payment_key = a.payment_key
    join ledger.obligation o on o.document_key = a.document_key
    cross join lateral (
        select min(r.code) as currency
        from core.accounting_currency l
        join ops.currency_rule r on r.system = own.system and r.value = l.code
        where l.currency_key = a.currency_key) letters
    where a.currency_key <> own.currency_key and a.paid_on is not null
), sold as (
    select f.*, d.document_key as realization_key, d.document_date as realized_on, nullif(d.rate, 0) as sold_rate, d.rate_units as sold_units
    from foreign_parts f
    cross join lateral (
        select d.document_key, d.document_date, d.rate, d.rate_units
        from ledger.position p
        join ledger.document d on d.document_key = p.document_key
        where (p.document_key = f.document_key or p.deal_id = f.deal_id)
          and d.kind = 'realization' and d.is_posted and not d.is_deleted
          and d.currency_key = f.currency_key and d.document_date <= f.paid_on
          -- What a posted return took back is not what is paid; what followed it is.
          and not exists (
            select from ledger.position r
            join documents.document b on b.document_key = r.document_key and b.base_key = d.document_key
            where r.deal_id = p.deal_id and r.kind = 'return' and r.is_posted and not r.is_marked)
        order by d.document_date, d.document_key limit 1) d
), rated as (
    select s.*,
           coalesce(s.sold_rate, listed_sold.rate) as realization_rate,
           case when s.sold_rate > 0 then coalesce(nullif(s.sold_units, 0), 1) else listed_sold.units end as realization_units,
           case when s.sold_rate > 0 then 'document' else 'core.currency_rate' end as realization_source,
           coalesce(s.paid_rate, listed_paid.rate) as payment_rate,
           case when s.paid_rate > 0 then coalesce(nullif(s.paid_units, 0), 1) else listed_paid.units end as payment_units,
           case when s.paid_rate > 0 then 'payment' else 'core.currency_rate' end as payment_source
    from sold s
    left join lateral (
        select r.rate, coalesce(nullif(r.units, 0), 1) as units from core.currency_rate r
        where r.currency = s.currency and r.valid_from <= s.realized_on and not r.is_deleted and r.rate > 0
        order by r.valid_from desc, r.rate_id limit 1) listed_sold on true
    left join lateral (
        select r.rate, coalesce(nullif(r.units, 0), 1) as units from core.currency_rate r
        where r.currency = s.currency and r.valid_from <= s.paid_on and not r.is_deleted and r.rate > 0
        order by r.valid_from desc, r.rate_id limit 1) listed_paid on true
)
select
    r.allocation_key as fx_key,
    r.counterparty_key,
    r.payment_key,
    r.document_key,
    r.realization_key,
    r.deal_id,
    r.currency_key,
    r.amount,
    r.realized_on,
    r.realization_rate,
    r.realization_units,
    r.realization_source,
    r.paid_on,
    r.payment_rate,
    r.payment_units,
    r.payment_source,
    r.own_currency_key,
    round(r.amount * r.realization_rate / r.realization_units, 2) as own_realized,
    round(r.amount * r.payment_rate / r.payment_units, 2) as own_paid,
    round(r.amount * r.payment_rate / r.payment_units, 2)
        - round(r.amount * r.realization_rate / r.realization_units, 2) as difference
from rated r
where r.realization_rate is not null and r.payment_rate is not null
