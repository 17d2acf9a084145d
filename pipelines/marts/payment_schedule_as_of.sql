-- Instalments that contracts agree, and what of each was paid by a date: the oldest first, whatever a payment was for.
-- Payments are accounting's, by the contract, else by the deal. Where neither was found in accounting nothing counts as paid,
-- and `reason` says so.
-- As far as it was known at `known_at`; infinity: as it is known.
--
-- @owner accountants
-- @arguments as_of date, known_at timestamptz default 'infinity'
-- @column instalment_id text -- core.payment_schedule
-- @column agreement_key text -- marts.agreement; null: the source names no contract and no deal
-- @column contract_kind text -- leasing, instalments, shared construction ...
-- @column contract_number text -- as the source has it
-- @column counterparty text -- name in accounting of who pays; null: the contract was not found there
-- @column deal_id text -- core.deal
-- @column manager text -- responsible manager of the deal
-- @column position integer -- place in the contract
-- @column due_on date -- day by which it is to be paid
-- @column currency text -- ISO 4217
-- @column amount numeric -- of the instalment
-- @column paid numeric -- of that, paid up to as_of
-- @column debt numeric -- amount less paid
-- @column paid_on date -- day on which it was paid in full; null: it is not
-- @column days_overdue integer -- days since due_on while something is owed, 0 up to that day
-- @column state text -- paid, overdue, due today, to come
-- @column reason text -- not in accounting: neither contract nor deal was found there, or several fit
-- @changed core.payment_schedule marts.agreement_as_known marts.agreement_payment_as_known core.accounting_counterparty marts.deal_as_known
-- @rows
with agreed as (
    select s.*, case when s.contract_number is not null then 'contract ' || s.contract_number || coalesce(' ' || s.tax_number, '')
                     else 'deal ' || coalesce(s.deal_id, s.deal_number) end as agreement_key
    from core.payment_schedule_as_known(known_at) s
    where s.kind is distinct from 'promised' and not s.is_deleted and s.amount is not null and (s.said_on is null or s.said_on <= as_of)
), placed as (
    select g.*, sum(g.amount) over (
               partition by g.agreement_key, g.currency order by g.due_on, g.position, g.instalment_id) as ends
    from agreed g
), sums as (
    select agreement_key, currency, sum(amount) as paid
    from marts.agreement_payment_as_known(known_at)
    where paid_on is null or paid_on <= as_of
    group by agreement_key, currency
), course as (
    select agreement_key, currency, paid_on, sum(amount) over (partition by agreement_key, currency order by paid_on) as paid_so_far
    from marts.agreement_payment_as_known(known_at)
    where paid_on <= as_of
), told as (
    select p.*, least(greatest(coalesce(s.paid, 0) - (p.ends - p.amount), 0), p.amount) as paid,
           (select min(c.paid_on) from course c
             where c.agreement_key = p.agreement_key and c.currency = p.currency and c.paid_so_far >= p.ends) as paid_in_full_on
    from placed p
    left join sums s on s.agreement_key = p.agreement_key and s.currency = p.currency
)
select
    t.instalment_id,
    t.agreement_key,
    t.contract_kind,
    t.contract_number,
    c.name as counterparty,
    a.deal_id,
    d.manager,
    t.position,
    t.due_on,
    t.currency,
    t.amount,
    t.paid,
    t.amount - t.paid as debt,
    case when t.paid = t.amount then t.paid_in_full_on end as paid_on,
    case when t.paid < t.amount then greatest(as_of - t.due_on, 0) else 0 end as days_overdue,
    case when t.paid >= t.amount then 'paid'
         when t.due_on < as_of then 'overdue'
         when t.due_on = as_of then 'due today'
         else 'to come' end as state,
    case when a.basis is null then 'not in accounting' end as reason
from told t
left join marts.agreement_as_known(known_at) a on a.agreement_key = t.agreement_key
left join core.accounting_counterparty_as_known(known_at) c on c.counterparty_key = a.counterparty_key
left join marts.deal_as_known(known_at) d on d.deal_id = a.deal_id
