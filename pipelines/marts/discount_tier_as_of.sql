-- How far each buyer is from the next discount: turnover of the months up to `as_of` against the tiers of
-- `goods.discount` (docs/mappings.md). Without tiers there, every turnover stands here without a discount.
-- A buyer is a counterparty, or a client with all its counterparties where the mapping says `by: client`. Whoever bought
-- at any time before has a row, a turnover of 0 included. Returns and corrections are taken off. Each currency has a
-- turnover and tiers of its own.
--
-- @owner sales-ops
-- @arguments as_of date
-- @column client_id text -- core.client; null: none is known, or the row is a counterparty's and it buys for several
-- @column client text -- name of the client
-- @column counterparty_key text -- core.accounting_counterparty; null: the row is a client's
-- @column counterparty text -- its name in accounting
-- @column currency text -- ISO 4217 letters
-- @column from_day date -- first day of the period
-- @column to_day date -- last day of the period, as_of
-- @column documents bigint -- posted realizations of the period
-- @column turnover numeric -- sold in the period with VAT, less what was taken back; below 0 where more came back than went
-- @column turnover_before numeric -- the same of the period of the same length before
-- @column tier_turnover numeric -- turnover from which the present tier begins; null: below the first one
-- @column percent numeric -- discount of the present tier; 0: below the first one; null: no tiers in this currency
-- @column percent_before numeric -- discount by the turnover before
-- @column next_turnover numeric -- turnover from which the next tier begins; null: there is no higher one
-- @column next_percent numeric -- its discount
-- @column missing numeric -- next_turnover less turnover; null: there is no higher one
-- @column state text -- no tiers, below, reached, highest
-- @changed marts.goods_rule marts.discount_rule marts.sold_document core.client core.accounting_counterparty
-- @rows
with rule as (
    select discount_by,
           (as_of - make_interval(months => discount_months))::date as after_day,
           (as_of - make_interval(months => 2 * discount_months))::date as before_day
    from marts.goods_rule
), sold as (
    select case when r.discount_by = 'client' and d.client_id is not null then 'client ' || d.client_id
                else 'counterparty ' || coalesce(d.counterparty_key, '') end as buyer,
           case when r.discount_by = 'client' and d.client_id is not null then null
                else d.counterparty_key end as counterparty_key,
           d.client_id, d.kind, d.gross, d.currency,
           d.document_date > r.after_day as is_now,
           d.document_date > r.before_day and d.document_date <= r.after_day as is_before
    from marts.sold_document d
    cross join rule r
    where d.document_date <= as_of
), turned as (
    select buyer, min(counterparty_key) as counterparty_key,
           case when count(distinct client_id) = 1 then min(client_id) end as client_id, currency,
           count(*) filter (where is_now and kind = 'realization') as documents,
           coalesce(sum(gross) filter (where is_now), 0) as turnover,
           coalesce(sum(gross) filter (where is_before), 0) as turnover_before
    from sold
    group by buyer, currency
), placed as (
    select t.*, (select count(*) from marts.discount_rule x where x.currency = t.currency) as tiers,
           (select max(x.turnover) from marts.discount_rule x where x.currency = t.currency and x.turnover <= t.turnover) as tier_turnover,
           (select max(x.percent) from marts.discount_rule x where x.currency = t.currency and x.turnover <= t.turnover) as percent,
           (select max(x.percent) from marts.discount_rule x
            where x.currency = t.currency and x.turnover <= t.turnover_before) as percent_before,
           (select min(x.turnover) from marts.discount_rule x where x.currency = t.currency and x.turnover > t.turnover) as next_turnover,
           (select min(x.percent) from marts.discount_rule x where x.currency = t.currency and x.turnover > t.turnover) as next_percent
    from turned t
)
select
    p.client_id,
    c.name as client,
    p.counterparty_key,
    k.name as counterparty,
    p.currency,
    r.after_day + 1 as from_day,
    as_of as to_day,
    p.documents,
    p.turnover,
    p.turnover_before,
    p.tier_turnover,
    case when p.tiers > 0 then coalesce(p.percent, 0) end as percent,
    case when p.tiers > 0 then coalesce(p.percent_before, 0) end as percent_before,
    p.next_turnover,
    p.next_percent,
    p.next_turnover - p.turnover as missing,
    case when p.tiers = 0 then 'no tiers'
         when p.next_turnover is null then 'highest'
         when p.tier_turnover is null then 'below'
         else 'reached' end as state
from placed p
cross join rule r
left join core.client c on c.client_id = p.client_id
left join core.accounting_counterparty k on k.counterparty_key = p.counterparty_key
