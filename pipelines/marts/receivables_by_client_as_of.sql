-- What each client owed on a date, by the manager of the deals and by how long it is overdue. A document without a deal is
-- of the only client that is known to buy by its counterparty, else of the counterparty itself.
-- As far as it was known at `known_at`; infinity: as it is known.
--
-- @owner accountants
-- @arguments as_of date, known_at timestamptz default 'infinity'
-- @column buyer_key text -- marts.buyer: the client, else the counterparty; null: the documents name nobody
-- @column buyer text -- its name
-- @column client_id text -- core.client; null: none is known
-- @column counterparty_key text -- core.accounting_counterparty; null: the row is a client's
-- @column employee_id text -- responsible manager of the deals, core.employee; null: no deal, or none is named
-- @column manager text -- name of the responsible manager
-- @column currency text -- ISO 4217 letters
-- @column documents bigint -- unpaid and partly paid ones
-- @column debt numeric -- amount less paid
-- @column not_due numeric -- debt whose day has not passed
-- @column days_1_30 numeric -- debt 1 to 30 days overdue
-- @column days_31_60 numeric -- debt 31 to 60 days overdue
-- @column days_61_90 numeric -- debt 61 to 90 days overdue
-- @column over_90 numeric -- debt more than 90 days overdue
-- @column overdue numeric -- debt less not_due
-- @column oldest_due_on date -- day by which the oldest of them was to be paid
-- @column days_overdue integer -- days since that day, 0 up to it
-- @changed marts.receivables_as_of marts.counterparty_client marts.buyer
-- @rows
with owed as (
    select coalesce('client ' || coalesce(r.client_id, o.client_id), 'counterparty ' || r.counterparty_key) as buyer_key,
           r.employee_id, r.manager, r.currency, r.debt, r.bucket, r.due_on, r.days_overdue
    from marts.receivables_as_of(as_of, known_at) r
    left join marts.counterparty_client o on o.counterparty_key = r.counterparty_key and r.deal_id is null
), sums as (
    select buyer_key, employee_id, min(manager) as manager, currency, count(*) as documents, sum(debt) as debt,
           coalesce(sum(debt) filter (where bucket = 'not due'), 0) as not_due,
           coalesce(sum(debt) filter (where bucket = '1-30'), 0) as days_1_30,
           coalesce(sum(debt) filter (where bucket = '31-60'), 0) as days_31_60,
           coalesce(sum(debt) filter (where bucket = '61-90'), 0) as days_61_90,
           coalesce(sum(debt) filter (where bucket = 'over 90'), 0) as over_90,
           min(due_on) as oldest_due_on, max(days_overdue) as days_overdue
    from owed
    group by buyer_key, employee_id, currency
)
select
    s.buyer_key,
    b.buyer,
    b.client_id,
    b.counterparty_key,
    s.employee_id,
    s.manager,
    s.currency,
    s.documents,
    s.debt,
    s.not_due,
    s.days_1_30,
    s.days_31_60,
    s.days_61_90,
    s.over_90,
    s.debt - s.not_due as overdue,
    s.oldest_due_on,
    s.days_overdue
from sums s
left join marts.buyer b on b.buyer_key = s.buyer_key
