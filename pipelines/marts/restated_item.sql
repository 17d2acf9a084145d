-- Documents and payments that count otherwise on a day than was known before: each with what changed it.
-- By counterparty and currency the differences sum to that of the balance in marts.receivables_ageing_as_of.
-- A document that moved from one counterparty to another has a row with each.
--
-- @owner accountants
-- @arguments as_of date, known_from timestamptz, known_to timestamptz
-- @column item text -- document or payment
-- @column item_key text -- ledger.obligation or ledger.payment
-- @column kind text -- of a document; of a payment receipt or refund
-- @column number text -- number shown in accounting
-- @column dated date -- its date
-- @column counterparty_key text -- core.accounting_counterparty that it counts with, then or now
-- @column currency_key text -- core.accounting_currency
-- @column amount_then numeric -- what it added to the balance as known at `known_from`; null: it did not count here
-- @column amount_now numeric -- the same as known at `known_to`
-- @column difference numeric -- amount_now less amount_then
-- @column reason text -- document_ or payment_ and entered, edited, deleted, restored, posted, unposted, counterparty, currency, date; document_returned, document_owed, document_not_owed
-- @column known_since timestamptz -- since when accounting's record is known to be as it is known at `known_to`
-- @column named text -- what it is called, English
-- @column named_ru text -- the same in Russian
-- @column change text -- the reason in words, English
-- @column change_ru text -- the same in Russian
-- @changed marts.obligation_as_of ledger.obligation ledger.document ledger.payment marts.document_kind marts.known marts.zone
-- @rows
with asked as (
    -- Before the ledger was worked out nothing counted.
    select not exists (select from marts.known k where k.since > known_from) as counts_then,
           not exists (select from marts.known k where k.since > known_to) as counts_now,
           coalesce((select z.zone from marts.zone z where z.is_accounting), 'UTC') as zone
), payments_then as (
    select * from ledger.payment_as_known(known_from)
), payments_now as (
    select * from ledger.payment_as_known(known_to)
), sides as (
    select 'document' as item, document_key as item_key, kind, number, document_date as dated, counterparty_key,
           currency_key, amount, false as is_now
    from marts.obligation_as_of(as_of, known_from)
    union all
    select 'document', document_key, kind, number, document_date, counterparty_key, currency_key, amount, true
    from marts.obligation_as_of(as_of, known_to)
    union all
    select 'payment', p.payment_key, p.kind, p.number, p.paid_on, p.counterparty_key, p.currency_key,
           case p.kind when 'refund' then p.amount else -p.amount end, false
    from payments_then p
    where p.is_posted and not p.is_deleted and (p.paid_on is null or p.paid_on <= as_of)
      and (select a.counts_then from asked a)
    union all
    select 'payment', p.payment_key, p.kind, p.number, p.paid_on, p.counterparty_key, p.currency_key,
           case p.kind when 'refund' then p.amount else -p.amount end, true
    from payments_now p
    where p.is_posted and not p.is_deleted and (p.paid_on is null or p.paid_on <= as_of)
      and (select a.counts_now from asked a)
), changed as (
    select item, item_key, counterparty_key, currency_key,
           (array_agg(kind order by is_now desc))[1] as kind,
           (array_agg(number order by is_now desc))[1] as number,
           (array_agg(dated order by is_now desc))[1] as dated,
           sum(amount) filter (where not is_now) as amount_then,
           sum(amount) filter (where is_now) as amount_now
    from sides
    group by item, item_key, counterparty_key, currency_key
    having sum(amount) filter (where not is_now) is distinct from sum(amount) filter (where is_now)
), owed_then as (
    select document_key, counterparty_key, currency_key, asked from ledger.obligation_as_known(known_from)
), owed_now as (
    select document_key, counterparty_key, currency_key, asked from ledger.obligation_as_known(known_to)
), held_then as (
    select document_key, is_posted, is_deleted from ledger.document_as_known(known_from)
), held_now as (
    select d.document_key, d.is_posted, d.is_deleted, d.known_from as since from ledger.document_as_known(known_to) d
), documents as (
    select c.*, n.since,
           case
               when c.amount_then is not null and c.amount_now is not null then
                   case when o.asked is distinct from w.asked then 'edited' else 'returned' end
               when o.document_key is not null and w.document_key is not null then
                   case when o.counterparty_key is distinct from w.counterparty_key then 'counterparty'
                        when o.currency_key is distinct from w.currency_key then 'currency'
                        else 'date' end
               when c.amount_now is not null then
                   case when t.document_key is null then 'entered'
                        when t.is_deleted then 'restored'
                        when t.is_posted is not true and n.is_posted then 'posted'
                        else 'owed' end
               when n.document_key is null or n.is_deleted then 'deleted'
               when t.is_posted and n.is_posted is not true then 'unposted'
               else 'not_owed'
           end as code
    from changed c
    left join owed_then o on o.document_key = c.item_key
    left join owed_now w on w.document_key = c.item_key
    left join held_then t on t.document_key = c.item_key
    left join held_now n on n.document_key = c.item_key
    where c.item = 'document'
), payments as (
    select c.*, n.known_from as since,
           case
               when c.amount_then is not null and c.amount_now is not null then 'edited'
               when t.payment_key is null then 'entered'
               when n.payment_key is null or n.is_deleted then 'deleted'
               when t.is_deleted then 'restored'
               when t.is_posted is not true then 'posted'
               when n.is_posted is not true then 'unposted'
               when t.counterparty_key is distinct from n.counterparty_key then 'counterparty'
               when t.currency_key is distinct from n.currency_key then 'currency'
               else 'date'
           end as code
    from changed c
    left join payments_then t on t.payment_key = c.item_key
    left join payments_now n on n.payment_key = c.item_key
    where c.item = 'payment'
), words(code, said, said_ru) as (
    values ('entered', 'entered later', 'введено позднее'),
           ('edited', 'the amount was edited', 'изменена сумма'),
           ('deleted', 'deleted or marked for deletion', 'удалено или помечено на удаление'),
           ('restored', 'no longer marked for deletion', 'пометка удаления снята'),
           ('posted', 'posted later', 'проведено позднее'),
           ('unposted', 'unposted', 'проведение отменено'),
           ('counterparty', 'another counterparty', 'изменён контрагент'),
           ('currency', 'another currency', 'изменена валюта'),
           ('date', 'the date was moved', 'изменена дата'),
           ('returned', 'what was taken back of it changed', 'изменились возвраты по нему'),
           ('owed', 'the debt of its deal is counted by it now', 'долг по сделке теперь считается по нему'),
           ('not_owed', 'the debt of its deal is counted by another document now', 'долг по сделке теперь считается по другому документу')
)
select
    c.item,
    c.item_key,
    c.kind,
    c.number,
    c.dated,
    c.counterparty_key,
    c.currency_key,
    c.amount_then,
    c.amount_now,
    coalesce(c.amount_now, 0) - coalesce(c.amount_then, 0) as difference,
    c.item || '_' || c.code as reason,
    c.since as known_since,
    coalesce(k.name, case c.kind when 'refund' then 'refund' else 'payment' end)
        || coalesce(' ' || c.number, '') || coalesce(' of ' || to_char(c.dated, 'DD.MM.YYYY'), '') as named,
    coalesce(k.name_ru, case c.kind when 'refund' then 'возврат покупателю' else 'оплата' end)
        || coalesce(' ' || c.number, '') || coalesce(' от ' || to_char(c.dated, 'DD.MM.YYYY'), '') as named_ru,
    w.said || coalesce(' (known since ' || to_char(c.since at time zone a.zone, 'DD.MM.YYYY') || ')', '') as change,
    w.said_ru || coalesce(' (известно с ' || to_char(c.since at time zone a.zone, 'DD.MM.YYYY') || ')', '') as change_ru
from (select * from documents union all select * from payments) c
cross join asked a
join words w on w.code = c.code
left join marts.document_kind k on c.item = 'document' and k.kind = c.kind
