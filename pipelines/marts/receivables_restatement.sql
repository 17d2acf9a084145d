-- What is known of the debt on a day beyond what was known before: one row a document whose debt differs, and what changed it.
-- The differences sum to that of the two reports marts.receivables_as_of.
-- difference = amount_change - paid_change + overpaid_change.
--
-- @owner accountants
-- @arguments as_of date, known_from timestamptz, known_to timestamptz
-- @column counterparty_key text -- core.accounting_counterparty that owes, then or now
-- @column counterparty text -- its name in accounting
-- @column document_key text -- ledger.obligation
-- @column kind text -- invoice, else order, else realization or correction
-- @column number text -- number shown in accounting
-- @column document_date date -- date of the document
-- @column currency text -- ISO 4217 letters
-- @column debt_then numeric -- debt on `as_of` as known at `known_from`
-- @column debt_now numeric -- debt on `as_of` as known at `known_to`
-- @column difference numeric -- debt_now less debt_then
-- @column amount_change numeric -- by how much more is asked for
-- @column paid_change numeric -- by how much more is allocated to it
-- @column overpaid_change numeric -- by how much more of that is beyond the amount
-- @column reason text -- what moved most of it: a reason of marts.restated_item, or allocation_moved
-- @column sentence text -- all that moved it, English
-- @column sentence_ru text -- the same in Russian
-- @changed marts.obligation_as_of marts.restated_item ledger.allocation ledger.payment marts.document_kind
-- @rows
with sides as (
    select document_key, counterparty_key, counterparty, currency_key, currency, kind, number, document_date,
           amount, paid, debt, overpaid, false as is_now
    from marts.obligation_as_of(as_of, known_from)
    union all
    select document_key, counterparty_key, counterparty, currency_key, currency, kind, number, document_date,
           amount, paid, debt, overpaid, true
    from marts.obligation_as_of(as_of, known_to)
), restated as (
    select document_key, counterparty_key, currency_key,
           (array_agg(counterparty order by is_now desc))[1] as counterparty,
           (array_agg(currency order by is_now desc))[1] as currency,
           (array_agg(kind order by is_now desc))[1] as kind,
           (array_agg(number order by is_now desc))[1] as number,
           (array_agg(document_date order by is_now desc))[1] as document_date,
           coalesce(sum(debt) filter (where not is_now), 0) as debt_then,
           coalesce(sum(debt) filter (where is_now), 0) as debt_now,
           sum(case when is_now then amount else -amount end) as amount_change,
           sum(case when is_now then paid else -paid end) as paid_change,
           sum(case when is_now then overpaid else -overpaid end) as overpaid_change,
           count(*) = 2 as is_on_both_sides
    from sides
    group by document_key, counterparty_key, currency_key
    having sum(case when is_now then debt else -debt end) <> 0
), causes as (
    select * from marts.restated_item(as_of, known_from, known_to)
), moved_payments as (
    select distinct on (item_key) item_key, reason, named, named_ru, change, change_ru from causes where item = 'payment'
    order by item_key, amount_now nulls last, counterparty_key
), payments_then as (
    select payment_key, kind, number, paid_on from ledger.payment_as_known(known_from)
), payments_now as (
    select payment_key, kind, number, paid_on from ledger.payment_as_known(known_to)
), allocations as (
    select document_key, payment_key, amount, false as is_now, paid_on from ledger.allocation_as_known(known_from)
    union all
    select document_key, payment_key, amount, true, paid_on from ledger.allocation_as_known(known_to)
), allocated as (
    select document_key, payment_key,
           coalesce(sum(amount) filter (where not is_now), 0) as amount_then,
           coalesce(sum(amount) filter (where is_now), 0) as amount_now
    from allocations
    where paid_on is null or paid_on <= as_of
    group by document_key, payment_key
    having sum(case when is_now then amount else -amount end) <> 0
), parts as (
    select r.document_key, r.counterparty_key, r.currency_key, c.reason, c.difference as effect,
           c.change || format(', %s became %s', coalesce(c.amount_then, 0), coalesce(c.amount_now, 0)) as said,
           c.change_ru || format(', было %s, стало %s', coalesce(c.amount_then, 0), coalesce(c.amount_now, 0)) as said_ru
    from restated r
    join causes c on c.item = 'document' and c.item_key = r.document_key
     and c.counterparty_key is not distinct from r.counterparty_key and c.currency_key is not distinct from r.currency_key
    union all
    -- A document that is owed on one side alone takes its payments with it.
    select r.document_key, r.counterparty_key, r.currency_key, coalesce(m.reason, 'allocation_moved'),
           a.amount_then - a.amount_now,
           coalesce(m.named || ': ' || m.change,
                    'payment' || coalesce(' ' || p.number, '') || coalesce(' of ' || to_char(p.paid_on, 'DD.MM.YYYY'), '')
                    || ': allocated otherwise') || format(', paid %s of it and now pays %s', a.amount_then, a.amount_now),
           coalesce(m.named_ru || ': ' || m.change_ru,
                    'оплата' || coalesce(' ' || p.number, '') || coalesce(' от ' || to_char(p.paid_on, 'DD.MM.YYYY'), '')
                    || ': отнесена иначе') || format(', закрывала %s, теперь закрывает %s', a.amount_then, a.amount_now)
    from restated r
    join allocated a on a.document_key = r.document_key
    left join moved_payments m on m.item_key = a.payment_key
    left join (
        select coalesce(n.payment_key, t.payment_key) as payment_key, coalesce(n.number, t.number) as number,
               coalesce(n.paid_on, t.paid_on) as paid_on
        from payments_now n full join payments_then t on t.payment_key = n.payment_key
    ) p on p.payment_key = a.payment_key
    where r.is_on_both_sides
), told as (
    select document_key, counterparty_key, currency_key,
           (array_agg(reason order by abs(effect) desc, reason))[1] as reason,
           string_agg(said, '; ' order by abs(effect) desc, said) as said,
           string_agg(said_ru, '; ' order by abs(effect) desc, said) as said_ru
    from parts
    group by document_key, counterparty_key, currency_key
)
select
    r.counterparty_key,
    r.counterparty,
    r.document_key,
    r.kind,
    r.number,
    r.document_date,
    r.currency,
    r.debt_then,
    r.debt_now,
    r.debt_now - r.debt_then as difference,
    r.amount_change,
    r.paid_change,
    r.overpaid_change,
    t.reason,
    format('%s%s%s: the debt was %s and is %s %s. %s.', k.name, ' ' || r.number, ' of ' || to_char(r.document_date, 'DD.MM.YYYY'),
           r.debt_then, r.debt_now, r.currency, t.said) as sentence,
    format('%s%s%s: долг был %s, стал %s %s. %s.', k.name_ru, ' ' || r.number, ' от ' || to_char(r.document_date, 'DD.MM.YYYY'),
           r.debt_then, r.debt_now, r.currency, t.said_ru) as sentence_ru
from restated r
left join told t on t.document_key = r.document_key
 and t.counterparty_key is not distinct from r.counterparty_key and t.currency_key is not distinct from r.currency_key
left join marts.document_kind k on k.kind = r.kind
