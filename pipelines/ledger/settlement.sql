-- Expected against actual, a counterparty, currency and measure: the difference is the sum of its variances.
--
-- @owner accountants
-- @scope counterparty_key
-- @money expected currency_key
-- @known
create table ledger.settlement (
    settlement_key   text not null primary key, -- counterparty/currency/measure
    counterparty_key text not null,             -- core.accounting_counterparty; '-' where it is not decided
    currency_key     text not null,             -- core.accounting_currency; '-' where it is not decided
    measure          text not null,             -- ordered, invoiced, realized, vat_invoiced, paid or exchanged
    expected         numeric(18,2) not null,    -- what the CRM expects; `paid`: documents paid at least in part; `exchanged`: at their rates
    actual           numeric(18,2) not null,    -- what accounting holds; `paid`: receipts less refunds; `exchanged`: at the payments' rates
    variance         numeric(18,2) not null,    -- sum of the variances
    unexplained      numeric(18,2) not null     -- expected - actual - variance: must be 0
);

create index settlement_counterparty on ledger.settlement (counterparty_key);

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
), facts as (
    select expected_counterparty_key as counterparty_key, expected_currency_key as currency_key,
           ops.measure(kind) as measure,
           expected_amount as expected, 0::numeric as actual, 0::numeric as variance
    from ledger.position
    where expected_amount is not null
      and (expected_counterparty_key in (select key from keys)
           or (expected_counterparty_key is null and (select yes from has_none)))
    union all
    select actual_counterparty_key, actual_currency_key, ops.measure(kind),
           0, actual_amount, 0
    from ledger.position
    where actual_amount is not null and (not is_posting_kind or coalesce(is_posted, false))
      and (actual_counterparty_key in (select key from keys)
           or (actual_counterparty_key is null and (select yes from has_none)))
    union all
    select counterparty_key, currency_key, 'paid', amount, 0, 0
    from ledger.obligation o
    where (counterparty_key in (select key from keys) or (counterparty_key is null and (select yes from has_none)))
      and exists (select from ledger.allocation a where a.document_key = o.document_key)
    union all
    select counterparty_key, currency_key, 'paid', 0, case kind when 'refund' then -amount else amount end, 0
    from ledger.payment
    where is_posted and not is_deleted
      and (counterparty_key in (select key from keys) or (counterparty_key is null and (select yes from has_none)))
    union all
    -- Foreign money that was paid, in accounting's own currency.
    select counterparty_key, own_currency_key, 'exchanged', own_realized, own_paid, 0
    from ledger.fx_difference
    where counterparty_key in (select key from keys)
    union all
    select counterparty_key, currency_key, measure, 0, 0, amount
    from ledger.variance
    where counterparty_key in (select key from keys) or (counterparty_key is null and (select yes from has_none))
)
select
    coalesce(counterparty_key, '-') || '/' || coalesce(currency_key, '-') || '/' || measure as settlement_key,
    coalesce(counterparty_key, '-') as counterparty_key,
    coalesce(currency_key, '-') as currency_key,
    measure,
    sum(coalesce(expected, 0)) as expected,
    sum(coalesce(actual, 0)) as actual,
    sum(variance) as variance,
    sum(coalesce(expected, 0)) - sum(coalesce(actual, 0)) - sum(variance) as unexplained
from facts
group by counterparty_key, currency_key, measure
