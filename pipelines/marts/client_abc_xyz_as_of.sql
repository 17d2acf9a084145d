-- Clients by what they bring and how evenly they buy: ABC, XYZ and BCG of the last whole months up to `as_of`, and how each
-- moved since the period of the same length before. The columns are those of the mart of products, marts.product_abc_xyz_as_of,
-- but for XYZ, which is by the months' revenue in the row's currency.
-- A row is a client and a currency. Months begin with the client's first realization; one without a sale counts as 0.
-- Thresholds are those of `buyers.classes` (docs/mappings.md). A class that cannot be told is null, and `reasons` says why.
--
-- @owner sales-ops
-- @arguments as_of date
-- @planned by hash
-- @column buyer_key text -- marts.buyer: the client, else the counterparty
-- @column buyer text -- its name
-- @column client_id text -- core.client; null: none is known
-- @column counterparty_key text -- core.accounting_counterparty; null: the row is a client's
-- @column currency text -- ISO 4217 letters
-- @column from_day date -- first day of the period
-- @column to_day date -- last day of the period: the end of the last month that was over on as_of
-- @column revenue numeric -- of the period without VAT, less what was taken back
-- @column revenue_share numeric -- of the revenue of all clients in this currency, 0..1; null: there is none
-- @column abc text -- by revenue: A, B or C; null: nothing sold in the period, or nothing brought revenue
-- @column margin numeric -- revenue less accounting's cost; null: the cost of something is not known
-- @column abc_margin text -- by margin, among clients whose margin is known
-- @column months bigint -- months of the period since the client first bought; null: nothing sold in the period
-- @column months_sold bigint -- months with a sale
-- @column mean_revenue numeric -- revenue of a month, mean of `months`
-- @column variation numeric -- standard deviation of the months' revenue / mean_revenue; null: fewer months than the least, or a mean not above 0
-- @column xyz text -- X even, Y changing, Z irregular
-- @column revenue_before numeric -- revenue of the period before
-- @column growth numeric -- revenue / revenue_before - 1; null: there was none before
-- @column bcg text -- star, cow, question or dog; null: nothing sold in the period, or growth or share cannot be told
-- @column abc_before text -- abc of the period before
-- @column xyz_before text -- xyz of the period before
-- @column moved text -- same, new, gone, or both classes then and now: BX -> AY
-- @column reasons text[] -- why a class is null: not sold, no revenue, no cost, few months, no mean, new
-- @changed marts.buyer_rule marts.buyer marts.sale_profit
-- @rows
with rule as (
    select class_months, class_least_months, a_up_to, b_up_to, x_up_to, y_up_to, growth_from, share_from,
           date_trunc('month', as_of + 1)::date as end_day
    from marts.buyer_rule
), periods as (
    select n.period,
           (r.end_day - make_interval(months => r.class_months * (n.period + 1)))::date as start_day,
           (r.end_day - make_interval(months => r.class_months * n.period))::date as end_day
    from rule r
    cross join (values (0), (1)) n(period)
), sold as (
    select buyer_key, currency, date_trunc('month', document_date)::date as month, sum(net) as net,
           count(*) = count(margin) as is_costed, sum(margin) as margin
    from marts.sale_profit
    where document_date is not null and buyer_key is not null
    group by buyer_key, currency, date_trunc('month', document_date)
), sums as (
    select p.period, s.buyer_key, s.currency, sum(s.net) as revenue, case when bool_and(s.is_costed) then sum(s.margin) end as margin
    from sold s
    join periods p on s.month >= p.start_day and s.month < p.end_day
    group by p.period, s.buyer_key, s.currency
), first_sold as (
    select buyer_key, currency, min(month) as month from sold group by buyer_key, currency
), spread as (
    select s.period, s.buyer_key, s.currency, coalesce(m.net, 0) as net, m.month is not null as is_sold
    from sums s
    join periods p on p.period = s.period
    join first_sold f on f.buyer_key = s.buyer_key and f.currency is not distinct from s.currency
    cross join lateral generate_series(greatest(p.start_day, f.month), p.end_day - 1, interval '1 month') as g(month)
    left join sold m on m.buyer_key = s.buyer_key and m.currency is not distinct from s.currency and m.month = g.month::date
), varied as (
    select period, buyer_key, currency, count(*) as months, count(*) filter (where is_sold) as months_sold,
           avg(net) as mean, stddev_pop(net) as deviation
    from spread
    group by period, buyer_key, currency
), rows_of as (
    select t.buyer_key, t.currency, n.period, s.buyer_key is not null as is_sold, coalesce(s.revenue, 0) as revenue, s.margin
    from (select distinct buyer_key, currency from sums) t
    cross join (values (0), (1)) n(period)
    left join sums s on s.period = n.period and s.buyer_key = t.buyer_key and s.currency is not distinct from t.currency
), ranked as (
    select o.*,
           sum(greatest(o.revenue, 0)) over (partition by o.period, o.currency) as whole,
           sum(greatest(o.revenue, 0)) over brings - greatest(o.revenue, 0) as above,
           count(*) filter (where o.is_sold) over (partition by o.period, o.currency) as clients,
           sum(greatest(o.margin, 0)) over (partition by o.period, o.currency) as whole_margin,
           sum(greatest(coalesce(o.margin, 0), 0)) over earns - greatest(coalesce(o.margin, 0), 0) as above_margin
    from rows_of o
    window brings as (partition by o.period, o.currency order by o.revenue desc, o.buyer_key),
           earns as (partition by o.period, o.currency order by o.margin desc nulls last, o.buyer_key)
), classed as (
    select k.*, v.months, v.months_sold, v.mean, case when v.mean > 0 then v.deviation / v.mean end as variation,
           case when not k.is_sold or k.whole = 0 then null
                when k.above / k.whole < r.a_up_to and k.revenue > 0 then 'A'
                when k.above / k.whole < r.b_up_to and k.revenue > 0 then 'B'
                else 'C' end as abc,
           case when k.margin is null or k.whole_margin = 0 then null
                when k.above_margin / k.whole_margin < r.a_up_to and k.margin > 0 then 'A'
                when k.above_margin / k.whole_margin < r.b_up_to and k.margin > 0 then 'B'
                else 'C' end as abc_margin,
           case when v.months < r.class_least_months or v.mean <= 0 then null
                when v.deviation / v.mean <= r.x_up_to then 'X'
                when v.deviation / v.mean <= r.y_up_to then 'Y'
                when v.deviation / v.mean > r.y_up_to then 'Z' end as xyz,
           v.months < r.class_least_months as is_young
    from ranked k
    cross join rule r
    left join varied v on v.period = k.period and v.buyer_key = k.buyer_key and v.currency is not distinct from k.currency
), compared as (
    select n.*, b.is_sold as was_sold, b.revenue as revenue_before, b.abc as abc_before, b.xyz as xyz_before,
           n.revenue / nullif(n.whole, 0) as revenue_share,
           case when b.revenue > 0 then n.revenue / b.revenue - 1 end as growth
    from classed n
    join classed b on b.period = 1 and b.buyer_key = n.buyer_key and b.currency is not distinct from n.currency
    where n.period = 0
)
select
    c.buyer_key,
    p.buyer,
    p.client_id,
    p.counterparty_key,
    c.currency,
    d.start_day as from_day,
    d.end_day - 1 as to_day,
    c.revenue,
    round(c.revenue_share, 4) as revenue_share,
    c.abc,
    c.margin,
    c.abc_margin,
    c.months,
    c.months_sold,
    round(c.mean, 2) as mean_revenue,
    case when not c.is_young then round(c.variation, 4) end as variation,
    c.xyz,
    c.revenue_before,
    round(c.growth, 4) as growth,
    case when not c.is_sold or c.growth is null or c.revenue_share is null then null
         when c.growth >= r.growth_from and c.revenue_share >= coalesce(r.share_from, 1.0 / nullif(c.clients, 0)) then 'star'
         when c.growth >= r.growth_from then 'question'
         when c.revenue_share >= coalesce(r.share_from, 1.0 / nullif(c.clients, 0)) then 'cow'
         else 'dog' end as bcg,
    c.abc_before,
    c.xyz_before,
    case when not c.was_sold then 'new'
         when not c.is_sold then 'gone'
         when c.abc is not distinct from c.abc_before and c.xyz is not distinct from c.xyz_before then 'same'
         else coalesce(c.abc_before, '-') || coalesce(c.xyz_before, '-') || ' -> ' || coalesce(c.abc, '-') || coalesce(c.xyz, '-')
         end as moved,
    array_remove(array[
        case when not c.is_sold then 'not sold' end,
        case when c.is_sold and c.whole = 0 then 'no revenue' end,
        case when c.is_sold and c.margin is null then 'no cost' end,
        case when c.is_sold and c.is_young then 'few months' end,
        case when c.is_sold and c.mean <= 0 then 'no mean' end,
        case when not c.was_sold then 'new' end], null) as reasons
from compared c
join periods d on d.period = 0
cross join rule r
left join marts.buyer p on p.buyer_key = c.buyer_key
