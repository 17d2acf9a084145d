-- What is known of the balances on a day beyond what was known before: one row a counterparty and currency whose balance
-- differs, and what changed it. The differences sum to that of the two reports marts.receivables_ageing_as_of.
-- difference = documents_change - received_change + refunded_change; item by item: marts.restated_item.
--
-- @owner accountants
-- @arguments as_of date, known_from timestamptz, known_to timestamptz
-- @column counterparty_key text -- core.accounting_counterparty; null: not decided in accounting
-- @column counterparty text -- its name in accounting
-- @column currency text -- ISO 4217 letters
-- @column balance_then numeric -- balance on `as_of` as known at `known_from`: above 0 they owe us
-- @column balance_now numeric -- balance on `as_of` as known at `known_to`
-- @column difference numeric -- balance_now less balance_then
-- @column documents_change numeric -- by how much more is asked for
-- @column received_change numeric -- by how much more was received
-- @column refunded_change numeric -- by how much more was returned to the buyer
-- @column items bigint -- documents and payments that count otherwise
-- @column reason text -- what moved most of it: a reason of marts.restated_item
-- @column sentence text -- what moved it, the five largest by themselves, English
-- @column sentence_ru text -- the same in Russian
-- @changed marts.receivables_ageing_as_of marts.restated_item marts.currency
-- @rows
with sides as (
    select counterparty_key, counterparty, currency, balance, false as is_now
    from marts.receivables_ageing_as_of(as_of, known_from)
    union all
    select counterparty_key, counterparty, currency, balance, true
    from marts.receivables_ageing_as_of(as_of, known_to)
), restated as (
    select counterparty_key, currency,
           (array_agg(counterparty order by is_now desc))[1] as counterparty,
           coalesce(sum(balance) filter (where not is_now), 0) as balance_then,
           coalesce(sum(balance) filter (where is_now), 0) as balance_now
    from sides
    group by counterparty_key, currency
    having coalesce(sum(balance) filter (where not is_now), 0) <> coalesce(sum(balance) filter (where is_now), 0)
), causes as (
    select i.*, c.currency,
           row_number() over (partition by i.counterparty_key, c.currency order by abs(i.difference) desc, i.item_key) as place
    from marts.restated_item(as_of, known_from, known_to) i
    left join marts.currency c on c.currency_key = i.currency_key
), told as (
    select counterparty_key, currency,
           coalesce(sum(difference) filter (where item = 'document'), 0) as documents_change,
           coalesce(-sum(difference) filter (where item = 'payment' and kind is distinct from 'refund'), 0) as received_change,
           coalesce(sum(difference) filter (where item = 'payment' and kind = 'refund'), 0) as refunded_change,
           count(*) as items,
           min(reason) filter (where place = 1) as reason,
           string_agg(named || ': ' || change || format(', %s became %s', abs(coalesce(amount_then, 0)), abs(coalesce(amount_now, 0))), '; '
                      order by place) filter (where place <= 5) as said,
           string_agg(named_ru || ': ' || change_ru || format(', было %s, стало %s', abs(coalesce(amount_then, 0)), abs(coalesce(amount_now, 0))), '; '
                      order by place) filter (where place <= 5) as said_ru
    from causes
    group by counterparty_key, currency
)
select
    r.counterparty_key,
    r.counterparty,
    r.currency,
    r.balance_then,
    r.balance_now,
    r.balance_now - r.balance_then as difference,
    t.documents_change,
    t.received_change,
    t.refunded_change,
    t.items,
    t.reason,
    format('The balance was %s and is %s %s. %s%s.', r.balance_then, r.balance_now, r.currency, t.said,
           case when t.items > 5 then format('; and %s more', t.items - 5) end) as sentence,
    format('Сальдо было %s, стало %s %s. %s%s.', r.balance_then, r.balance_now, r.currency, t.said_ru,
           case when t.items > 5 then format('; и ещё %s', t.items - 5) end) as sentence_ru
from restated r
left join told t on coalesce(t.counterparty_key, '-') = coalesce(r.counterparty_key, '-') and coalesce(t.currency, '-') = coalesce(r.currency, '-')
