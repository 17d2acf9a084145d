-- Every document that buyers were asked to pay by a date, paid or not, with what was paid by that date.
-- A day counts whole: documents and payments of `as_of` itself are in. Later ones change nothing, and what became known
-- after `known_at` changes nothing either (infinity: all that is known counts).
--
-- @owner accountants
-- @arguments as_of date, known_at timestamptz default 'infinity'
-- @column document_key text -- ledger.obligation
-- @column kind text -- invoice, else order, else realization or correction; a return only of no deal
-- @column number text -- number shown in accounting
-- @column document_date date -- date of the document
-- @column due_on date -- day by which the client pays
-- @column counterparty_key text -- core.accounting_counterparty that owes
-- @column counterparty text -- its name in accounting
-- @column deal_id text -- core.deal; null: the document is not ours
-- @column deal text -- name of the deal
-- @column client_id text -- core.client of the deal
-- @column client text -- name of the client
-- @column employee_id text -- responsible manager of the deal, core.employee
-- @column manager text -- name of the responsible manager
-- @column currency_key text -- core.accounting_currency
-- @column currency text -- ISO 4217 letters
-- @column amount numeric -- asked for, with VAT, less what was taken back up to `as_of`
-- @column paid numeric -- allocated to it from payments up to `as_of`
-- @column debt numeric -- amount less paid, never below 0
-- @column overpaid numeric -- paid beyond the amount, never below 0
-- @column days_overdue integer -- days since `due_on`, 0 up to that day
-- @column bucket text -- not due, 1-30, 31-60, 61-90, over 90 (days overdue)
-- @changed ledger.obligation ledger.allocation core.accounting_counterparty marts.currency marts.deal_as_known
-- @rows
with allocated as (
    select document_key, sum(amount) as amount
    from ledger.allocation_as_known(known_at)
    where paid_on is null or paid_on <= as_of
    group by document_key
), later as (
    select o.document_key, sum((piece.value ->> 'amount')::numeric) as amount
    from ledger.obligation_as_known(known_at) o
    cross join jsonb_array_elements(o.lowered) as piece(value)
    where o.lowered is not null and (piece.value ->> 'on')::date > as_of
    group by o.document_key
), owed as (
    select o.document_key, o.kind, o.number, o.document_date, o.due_on, o.counterparty_key, o.deal_id, o.currency_key,
           -- What was taken back later lowers nothing yet.
           o.amount + coalesce(later.amount, 0) as amount,
           coalesce(a.amount, 0) as paid, greatest(as_of - o.due_on, 0) as days_overdue
    from ledger.obligation_as_known(known_at) o
    left join later on later.document_key = o.document_key
    left join allocated a on a.document_key = o.document_key
    -- money without a readable date must not disappear
    where o.document_date is null or o.document_date <= as_of
)
select
    o.document_key,
    o.kind,
    o.number,
    o.document_date,
    o.due_on,
    o.counterparty_key,
    p.name as counterparty,
    o.deal_id,
    d.title as deal,
    d.client_id,
    d.client,
    d.employee_id,
    d.manager,
    o.currency_key,
    c.currency,
    o.amount,
    o.paid,
    greatest(o.amount - o.paid, 0) as debt,
    greatest(o.paid - o.amount, 0) as overpaid,
    coalesce(o.days_overdue, 0) as days_overdue,
    case
        when o.days_overdue > 90 then 'over 90'
        when o.days_overdue > 60 then '61-90'
        when o.days_overdue > 30 then '31-60'
        when o.days_overdue > 0 then '1-30'
        else 'not due'
    end as bucket
from owed o
left join core.accounting_counterparty_as_known(known_at) p on p.counterparty_key = o.counterparty_key
left join marts.currency c on c.currency_key = o.currency_key
left join marts.deal_as_known(known_at) d on d.deal_id = o.deal_id
