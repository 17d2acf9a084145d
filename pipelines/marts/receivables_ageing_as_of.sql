-- What each counterparty owed on a date, by how long it is overdue, down to its whole balance.
-- As far as it was known at `known_at`; infinity: as it is known; none from before the ledger was first worked out.
-- balance = debt - overpaid - unallocated + refunded + settled_by_others. Less what is owed for documents on which
-- nothing is paid, it is expected less actual of the measure `paid` in ledger.settlement.
--
-- @owner accountants
-- @arguments as_of date, known_at timestamptz default 'infinity'
-- @column counterparty_key text -- core.accounting_counterparty; null: not decided in accounting
-- @column counterparty text -- its name in accounting
-- @column currency text -- ISO 4217 letters
-- @column documents bigint -- unpaid and partly paid ones
-- @column not_due numeric -- debt whose day has not passed
-- @column days_1_30 numeric -- debt 1 to 30 days overdue
-- @column days_31_60 numeric -- debt 31 to 60 days overdue
-- @column days_61_90 numeric -- debt 61 to 90 days overdue
-- @column over_90 numeric -- debt more than 90 days overdue
-- @column debt numeric -- sum of the five
-- @column overdue numeric -- debt less `not_due`
-- @column overpaid numeric -- allocated to documents beyond their amount
-- @column unallocated numeric -- received up to `as_of` for no document that stood then: advances
-- @column refunded numeric -- returned to the buyer up to `as_of`
-- @column settled_by_others numeric -- its documents paid by other counterparties, less what it paid for others
-- @column balance numeric -- asked for less received plus refunded: above 0 they owe us, below 0 we owe them
-- @changed marts.obligation_as_of ledger.allocation ledger.payment core.accounting_counterparty marts.currency marts.known
-- @rows
with owed as (
    select document_key, counterparty_key, currency_key, amount, paid, debt, overpaid, bucket
    from marts.obligation_as_of(as_of, known_at)
), facts as (
    select counterparty_key, currency_key, amount as asked, paid, debt, overpaid, bucket,
           0::numeric as received, 0::numeric as given, 0::numeric as refunded
    from owed
    union all
    select counterparty_key, currency_key, 0, 0, 0, 0, null,
           case when kind = 'refund' then 0 else amount end, 0, case when kind = 'refund' then amount else 0 end
    from ledger.payment_as_known(known_at)
    where is_posted and not is_deleted and (paid_on is null or paid_on <= as_of)
    union all
    -- a payment made before its invoice is an advance until the invoice's day
    select nullif(a.counterparty_key, '-'), a.currency_key, 0, 0, 0, 0, null, 0, a.amount, 0
    from ledger.allocation_as_known(known_at) a
    join owed o on o.document_key = a.document_key
    where a.paid_on is null or a.paid_on <= as_of
), sums as (
    select counterparty_key, currency_key,
           count(*) filter (where debt > 0) as documents,
           coalesce(sum(debt) filter (where bucket = 'not due'), 0) as not_due,
           coalesce(sum(debt) filter (where bucket = '1-30'), 0) as days_1_30,
           coalesce(sum(debt) filter (where bucket = '31-60'), 0) as days_31_60,
           coalesce(sum(debt) filter (where bucket = '61-90'), 0) as days_61_90,
           coalesce(sum(debt) filter (where bucket = 'over 90'), 0) as over_90,
           sum(asked) as asked, sum(paid) as paid, sum(debt) as debt, sum(overpaid) as overpaid,
           coalesce(sum(received), 0) as received, sum(given) as given, coalesce(sum(refunded), 0) as refunded
    from facts
    group by counterparty_key, currency_key
)
select
    s.counterparty_key,
    p.name as counterparty,
    c.currency,
    s.documents,
    s.not_due,
    s.days_1_30,
    s.days_31_60,
    s.days_61_90,
    s.over_90,
    s.debt,
    s.debt - s.not_due as overdue,
    s.overpaid,
    s.received - s.given as unallocated,
    s.refunded,
    s.paid - s.given as settled_by_others,
    s.asked - s.received + s.refunded as balance
from sums s
left join core.accounting_counterparty_as_known(known_at) p on p.counterparty_key = s.counterparty_key
left join marts.currency c on c.currency_key = s.currency_key
where not exists (select from marts.known k where k.since > known_at)
