-- Expected against actual, a counterparty, currency, measure and month: the difference is the sum of its variances.
-- The month is that of the document; of money, that of the document which it pays, else its own. The database refuses
-- a row with anything unexplained, unless it is set apart (ops.apart).
--
-- @owner accountants
-- @scope counterparty_key
-- @money expected currency_key
create table ledger.settlement (
    settlement_key   text not null primary key, -- counterparty/currency/measure/month
    counterparty_key text not null,             -- core.accounting_counterparty; '-' where it is not decided
    currency_key     text not null,             -- core.accounting_currency; '-' where it is not decided
    measure          text not null,             -- ordered, invoiced, realized, vat_invoiced, paid or exchanged
    period           date,                      -- first day of the month; null where no date could be read
    expected         numeric(18,2) not null,    -- what the CRM expects; `paid`: documents paid at least in part; `exchanged`: at their rates
    actual           numeric(18,2) not null,    -- what accounting holds; `paid`: receipts less refunds; `exchanged`: at the payments' rates
    variance         numeric(18,2) not null,    -- sum of the variances
    unexplained      numeric(18,2) not null,    -- expected - actual - variance: must be 0
    constraint adds_up check (unexplained = expected - actual - variance)
);

create index settlement_counterparty on ledger.settlement (counterparty_key);
create index settlement_unexplained on ledger.settlement (settlement_key) where unexplained <> 0;

create constraint trigger every_kopeck_is_explained after insert or update on ledger.settlement
    deferrable initially deferred for each row when (new.unexplained <> 0) execute function ops.refuse_unexplained();

-- @changed ledger.variance.counterparty_key
select coalesce(key, '-') as key from change
;

-- @changed ledger.variance
select coalesce(v.counterparty_key, '-') as key from ledger.variance v join change on v.document_key = change.key
;

-- @changed ledger.position
select coalesce(p.expected_counterparty_key, '-') as key from ledger.position p join change on p.document_key = change.key
union
select coalesce(p.actual_counterparty_key, '-') from ledger.position p join change on p.document_key = change.key
;

-- @changed ledger.position.expected_counterparty_key ledger.position.actual_counterparty_key ledger.obligation.counterparty_key
select key from change
;

-- @changed ledger.payment.counterparty_key
select key from change
;

-- @changed ledger.obligation
select coalesce(o.counterparty_key, '-') as key from ledger.obligation o join change on o.document_key = change.key
union
-- Money counts in the month of the document that it pays, whoever's that is.
select coalesce(a.counterparty_key, '-') from ledger.allocation a join change on a.document_key = change.key
;

-- @changed ledger.allocation
select key from change
;

-- @changed ledger.allocation.document_key
select coalesce(o.counterparty_key, '-') as key from ledger.obligation o join change on o.document_key = change.key
;

-- @changed ledger.payment
select coalesce(p.counterparty_key, '-') as key from ledger.payment p join change on p.payment_key = change.key
;

-- @changed ledger.fx_difference
select key from change
;

-- @all
select coalesce(expected_counterparty_key, '-') as key from ledger.position
union select coalesce(actual_counterparty_key, '-') from ledger.position
union select coalesce(counterparty_key, '-') from ledger.payment
union select '-'
;

-- @rows
with keys as (
    select nullif(key, '-') as key from scope
), has_none as (
    select exists (select from keys where key is null) as yes
), allocated as (
    select a.payment_key, a.document_key, sum(a.amount) as amount
    from ledger.allocation a
    where a.counterparty_key in (select key from scope)
    group by a.payment_key, a.document_key
), facts as (
    select expected_counterparty_key as counterparty_key, expected_currency_key as currency_key,
           ops.measure(kind) as measure, coalesce(actual_date, expected_date) as day,
           expected_amount as expected, 0::numeric as actual, 0::numeric as variance
    from ledger.position
    where expected_amount is not null
      and (expected_counterparty_key in (select key from keys)
           or (expected_counterparty_key is null and (select yes from has_none)))
    union all
    select actual_counterparty_key, actual_currency_key, ops.measure(kind), coalesce(actual_date, expected_date),
           0, actual_amount, 0
    from ledger.position
    where actual_amount is not null and (not is_posting_kind or coalesce(is_posted, false))
      and (actual_counterparty_key in (select key from keys)
           or (actual_counterparty_key is null and (select yes from has_none)))
    union all
    select counterparty_key, currency_key, 'paid', document_date, amount, 0, 0
    from ledger.obligation o
    where (counterparty_key in (select key from keys) or (counterparty_key is null and (select yes from has_none)))
      and exists (select from ledger.allocation a where a.document_key = o.document_key)
    union all
    -- What pays a document, in its month; the rest of a receipt, and what was returned, in its own.
    select p.counterparty_key, p.currency_key, 'paid', o.document_date, 0, a.amount, 0
    from allocated a
    join ledger.payment p on p.payment_key = a.payment_key and p.is_posted and not p.is_deleted and p.kind is distinct from 'refund'
    left join ledger.obligation o on o.document_key = a.document_key
    union all
    select p.counterparty_key, p.currency_key, 'paid', p.paid_on, 0,
           case p.kind when 'refund' then -p.amount else p.amount - coalesce(a.amount, 0) end, 0
    from ledger.payment p
    left join (select payment_key, sum(amount) as amount from allocated group by payment_key) a on a.payment_key = p.payment_key
    where p.is_posted and not p.is_deleted
      and (p.counterparty_key in (select key from keys) or (p.counterparty_key is null and (select yes from has_none)))
    union all
    -- Foreign money that was paid, in accounting's own currency.
    select nullif(counterparty_key, '-'), own_currency_key, 'exchanged', paid_on, own_realized, own_paid, 0
    from ledger.fx_difference
    where counterparty_key in (select key from scope)
    union all
    select counterparty_key, currency_key, measure, period, 0, 0, amount
    from ledger.variance
    where counterparty_key in (select key from keys) or (counterparty_key is null and (select yes from has_none))
), monthly as (
    select f.*, date_trunc('month', day)::date as period from facts f
)
select
    coalesce(counterparty_key, '-') || '/' || coalesce(currency_key, '-') || '/' || measure || '/' || coalesce(to_char(period, 'YYYY-MM'), '-')
        as settlement_key,
    coalesce(counterparty_key, '-') as counterparty_key,
    coalesce(currency_key, '-') as currency_key,
    measure,
    period,
    sum(coalesce(expected, 0)) as expected,
    sum(coalesce(actual, 0)) as actual,
    sum(variance) as variance,
    sum(coalesce(expected, 0)) - sum(coalesce(actual, 0)) - sum(variance) as unexplained
from monthly
group by counterparty_key, currency_key, measure, period
