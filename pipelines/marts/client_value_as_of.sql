-- What each client is worth: its margin to date, and what clients of its age brought in the months that lie ahead of it.
-- All figures are of the months that were over on `as_of`. expected_margin is the sum, over the next `months_ahead` months
-- of the client's life, of what clients brought on average in that month of theirs: all clients old enough, those that did
-- not buy in it with 0, so that whoever left is counted. value = margin + expected_margin. Months that nobody has lived yet
-- add nothing: `expected_months` says how many could be told. Currencies are apart.
--
-- @owner sales-ops
-- @arguments as_of date
-- @planned by hash
-- @column buyer_key text -- marts.buyer: the client, else the counterparty
-- @column buyer text -- its name
-- @column client_id text -- core.client; null: none is known
-- @column counterparty_key text -- core.accounting_counterparty; null: the row is a client's
-- @column currency text -- ISO 4217 letters
-- @column cohort date -- first day of the month of the first realization
-- @column months bigint -- months of its life that are over
-- @column months_bought bigint -- months of these with a realization
-- @column documents numeric -- posted realizations
-- @column revenue numeric -- without VAT, less what was taken back
-- @column margin numeric -- margin to date; null: the cost of something is not known
-- @column expected_months bigint -- of the months ahead, how many some client has lived
-- @column expected_revenue numeric -- of these months; null: there are none
-- @column expected_margin numeric -- of these months, by clients whose margin is known; null: there are none
-- @column value numeric -- margin + expected_margin; null where either is
-- @column reason text -- why value is null: no cost, or no older client
-- @changed marts.client_life_as_of marts.buyer marts.buyer_rule
-- @rows
with life as (
    select l.*, bool_and(l.margin is not null) over (partition by l.buyer_key, l.currency) as is_costed
    from marts.client_life_as_of(as_of) l
    where l.is_over
), usual as (
    select currency, age, avg(revenue) as revenue, avg(margin) filter (where is_costed) as margin
    from life
    group by currency, age
), lived as (
    select buyer_key, currency, min(cohort) as cohort, count(*) as months, count(*) filter (where documents > 0) as months_bought,
           sum(documents) as documents, sum(revenue) as revenue, case when bool_and(is_costed) then sum(margin) end as margin
    from life
    group by buyer_key, currency
), ahead as (
    select v.buyer_key, v.currency, count(*) as expected_months, sum(u.revenue) as revenue, sum(u.margin) as margin
    from lived v
    cross join marts.buyer_rule r
    join usual u on u.currency is not distinct from v.currency and u.age >= v.months and u.age < v.months + r.months_ahead
    group by v.buyer_key, v.currency
)
select
    v.buyer_key,
    b.buyer,
    b.client_id,
    b.counterparty_key,
    v.currency,
    v.cohort,
    v.months,
    v.months_bought,
    v.documents,
    v.revenue,
    v.margin,
    coalesce(a.expected_months, 0) as expected_months,
    round(a.revenue, 2) as expected_revenue,
    round(a.margin, 2) as expected_margin,
    round(v.margin + a.margin, 2) as value,
    case when v.margin is null then 'no cost' when a.margin is null then 'no older client' end as reason
from lived v
left join ahead a on a.buyer_key = v.buyer_key and a.currency is not distinct from v.currency
left join marts.buyer b on b.buyer_key = v.buyer_key
