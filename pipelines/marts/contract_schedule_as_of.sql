-- Contracts with schedules, one row a contract and currency: what was due by a date, what was paid, what is overdue, what comes next.
-- As far as it was known at `known_at`; infinity: as it is known.
--
-- @owner accountants
-- @arguments as_of date, known_at timestamptz default 'infinity'
-- @column agreement_key text -- marts.agreement; null: the source names no contract and no deal
-- @column contract_kind text -- leasing, instalments, shared construction ...
-- @column contract_number text -- as the source has it
-- @column counterparty text -- name in accounting of who pays
-- @column deal_id text -- core.deal
-- @column manager text -- responsible manager of the deal
-- @column currency text -- ISO 4217
-- @column instalments bigint -- of the whole contract
-- @column agreed numeric -- their sum
-- @column due numeric -- of that, to be paid by as_of
-- @column paid numeric -- paid up to as_of, no more than agreed
-- @column paid_ahead numeric -- of that, for instalments whose day has not come
-- @column overdue numeric -- due before as_of and not paid
-- @column instalments_overdue bigint -- of which something is overdue
-- @column days_overdue integer -- of the oldest of them
-- @column left_to_pay numeric -- agreed less paid
-- @column overpaid numeric -- paid up to as_of beyond all that was agreed
-- @column next_due_on date -- day of the next instalment that is not paid in full; null: none is to come
-- @column next_amount numeric -- what is owed of it
-- @column reason text -- not in accounting: neither contract nor deal was found there, or several fit
-- @changed marts.payment_schedule_as_of marts.agreement_payment_as_known
-- @rows
with received as (
    select agreement_key, currency, sum(amount) as amount
    from marts.agreement_payment_as_known(known_at)
    where paid_on is null or paid_on <= as_of
    group by agreement_key, currency
), told as (
    select
        agreement_key,
        min(contract_kind) as contract_kind,
        min(contract_number) as contract_number,
        min(counterparty) as counterparty,
        min(deal_id) as deal_id,
        min(manager) as manager,
        currency,
        count(*) as instalments,
        sum(amount) as agreed,
        coalesce(sum(amount) filter (where due_on <= as_of), 0) as due,
        sum(paid) as paid,
        coalesce(sum(paid) filter (where due_on > as_of), 0) as paid_ahead,
        coalesce(sum(debt) filter (where state = 'overdue'), 0) as overdue,
        count(*) filter (where state = 'overdue') as instalments_overdue,
        max(days_overdue) as days_overdue,
        sum(debt) as left_to_pay,
        min(due_on) filter (where state in ('due today', 'to come')) as next_due_on,
        (array_agg(debt order by due_on, position) filter (where state in ('due today', 'to come')))[1] as next_amount,
        min(reason) as reason
    from marts.payment_schedule_as_of(as_of, known_at)
    group by agreement_key, currency
)
select
    t.agreement_key,
    t.contract_kind,
    t.contract_number,
    t.counterparty,
    t.deal_id,
    t.manager,
    t.currency,
    t.instalments,
    t.agreed,
    t.due,
    t.paid,
    t.paid_ahead,
    t.overdue,
    t.instalments_overdue,
    t.days_overdue,
    t.left_to_pay,
    greatest(coalesce(r.amount, 0) - t.agreed, 0) as overpaid,
    t.next_due_on,
    t.next_amount,
    t.reason
from told t
left join received r on r.agreement_key = t.agreement_key and r.currency = t.currency
