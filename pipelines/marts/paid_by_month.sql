-- What buyers paid, month by month: posted receipts less refunds, by their own date. A month without payments between others has
-- no row.
--
-- @owner accountants
-- @view
-- @column month date -- first day of the month
-- @column currency text -- ISO 4217 letters; null: accounting names none that is known
-- @column payments bigint -- receipts and refunds
-- @column paid numeric(18,2) -- receipts less refunds
-- @changed ledger.payment marts.currency
-- @rows
select
    date_trunc('month', p.paid_on)::date as month,
    c.currency,
    count(*) as payments,
    coalesce(sum(case when p.kind = 'refund' then -p.amount else p.amount end), 0) as paid
from ledger.payment p
left join marts.currency c on c.currency_key = p.currency_key
where p.kind in ('receipt', 'refund') and p.is_posted and not p.is_deleted and p.paid_on is not null
group by 1, 2
