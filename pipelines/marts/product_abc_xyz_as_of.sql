-- Products by what they bring and how evenly they sell: ABC, XYZ and BCG of the last whole months up to `as_of`, and how
-- each moved since the period of the same length before.
-- A row is a product and a currency; revenue and margin are compared within a currency, quantities and XYZ are the
-- product's own whatever it was paid in. Months begin with the product's first sale; one without a sale counts as 0.
-- Thresholds are those of `goods.classes` (docs/mappings.md): 12 months, A to 0.8 and B to 0.95 of the revenue, X to
-- 0.1 and Y to 0.25, growth from 0.1, a share from that which all products would have if all had the same.
-- A class that cannot be told is null, and `reasons` says why.
--
-- @owner sales-ops
-- @arguments as_of date
-- @planned by hash
-- @column product_key text -- core.accounting_product
-- @column code text -- article
-- @column product text -- name in accounting
-- @column is_service boolean -- rendered, not shipped
-- @column currency text -- ISO 4217 letters
-- @column from_day date -- first day of the period
-- @column to_day date -- last day of the period: the end of the last month that was over on as_of
-- @column quantity numeric -- sold in the period in this currency, in the product's unit; null: no line said how much
-- @column revenue numeric -- of the period without VAT
-- @column revenue_share numeric -- of the revenue of all products in this currency, 0..1; null: there is none
-- @column abc text -- by revenue: A, B or C; null: not sold in the period, or nothing brought revenue
-- @column unit_cost numeric -- cost of a unit by the stock that accounting holds now, in its own currency; null: none is known
-- @column margin numeric -- revenue less quantity at unit_cost; null: no cost known, or another currency
-- @column abc_margin text -- by margin, among products whose margin is known
-- @column months bigint -- months of the period since the product was first sold; null: not sold in the period
-- @column months_sold bigint -- months with a sale
-- @column mean_quantity numeric -- sold in a month, mean of `months`
-- @column variation numeric -- standard deviation of the months' quantities / mean_quantity; null: fewer months than the least, or a mean of 0
-- @column xyz text -- X even, Y changing, Z irregular
-- @column revenue_before numeric -- revenue of the period before
-- @column growth numeric -- revenue / revenue_before - 1; null: there was none before
-- @column bcg text -- star, cow, question or dog; null: not sold in the period, or growth or share cannot be told
-- @column abc_before text -- abc of the period before
-- @column xyz_before text -- xyz of the period before
-- @column moved text -- same, new, gone, or both classes then and now: BX -> AY
-- @column reasons text[] -- why a class is null: not sold, no revenue, no cost, other currency, few months, no quantity, new
-- @changed marts.goods_rule marts.revenue_line core.accounting_product ledger.stock
-- @rows
with rule as (
    select own_currency, class_months, class_least_months, a_up_to, b_up_to, x_up_to, y_up_to, growth_from, share_from,
           date_trunc('month', as_of + 1)::date as end_day
    from marts.goods_rule
), periods as (
    select n.period,
           (r.end_day - make_interval(months => r.class_months * (n.period + 1)))::date as start_day,
           (r.end_day - make_interval(months => r.class_months * n.period))::date as end_day
    from rule r
    cross join (values (0), (1)) n(period)
), sold as (
    select product_key, currency, date_trunc('month', document_date)::date as month, sum(quantity) as quantity, sum(net) as net
    from marts.revenue_line
    where product_key is not null
    group by product_key, currency, date_trunc('month', document_date)
), sums as (
    select p.period, s.product_key, s.currency, sum(s.quantity) as quantity, sum(s.net) as revenue
    from sold s
    join periods p on s.month >= p.start_day and s.month < p.end_day
    group by p.period, s.product_key, s.currency
), first_sold as (
    select product_key, min(month) as month from sold group by product_key
), monthly as (
    select product_key, month, sum(quantity) as quantity from sold group by product_key, month
), spread as (
    select s.period, s.product_key, g.month::date as month, coalesce(m.quantity, 0) as quantity, m.month is not null as is_sold
    from (select distinct period, product_key from sums) s
    join periods p on p.period = s.period
    join first_sold f on f.product_key = s.product_key
    cross join lateral generate_series(greatest(p.start_day, f.month), p.end_day - 1, interval '1 month') as g(month)
    left join monthly m on m.product_key = s.product_key and m.month = g.month::date
), varied as (
    select period, product_key, count(*) as months, count(*) filter (where is_sold) as months_sold,
           avg(quantity) as mean, stddev_pop(quantity) as deviation
    from spread
    group by period, product_key
), costs as (
    select product_key, sum(cost) / sum(quantity) as unit_cost
    from ledger.stock
    where not is_deleted and quantity > 0 and cost is not null
    group by product_key
), rows_of as (
    select t.product_key, t.currency, n.period, s.product_key is not null as is_sold, s.quantity, coalesce(s.revenue, 0) as revenue,
           c.unit_cost,
           case when t.currency = r.own_currency then s.revenue - s.quantity * c.unit_cost end as margin
    from (select distinct product_key, currency from sums) t
    cross join (values (0), (1)) n(period)
    cross join rule r
    left join sums s on s.period = n.period and s.product_key = t.product_key and s.currency is not distinct from t.currency
    left join costs c on c.product_key = t.product_key
), ranked as (
    select o.*,
           sum(greatest(o.revenue, 0)) over (partition by o.period, o.currency) as whole,
           sum(greatest(o.revenue, 0)) over brings - greatest(o.revenue, 0) as above,
           count(*) filter (where o.is_sold) over (partition by o.period, o.currency) as products,
           sum(greatest(o.margin, 0)) over (partition by o.period, o.currency) as whole_margin,
           sum(greatest(coalesce(o.margin, 0), 0)) over earns - greatest(coalesce(o.margin, 0), 0) as above_margin
    from rows_of o
    window brings as (partition by o.period, o.currency order by o.revenue desc, o.product_key),
           earns as (partition by o.period, o.currency order by o.margin desc nulls last, o.product_key)
), classed as (
    select k.*, v.months, v.months_sold, v.mean, v.deviation / nullif(v.mean, 0) as variation,
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
    left join varied v on v.period = k.period and v.product_key = k.product_key and k.is_sold
), compared as (
    select n.*, b.is_sold as was_sold, b.revenue as revenue_before, b.abc as abc_before, b.xyz as xyz_before,
           n.revenue / nullif(n.whole, 0) as revenue_share,
           case when b.revenue > 0 then n.revenue / b.revenue - 1 end as growth
    from classed n
    join classed b on b.period = 1 and b.product_key = n.product_key and b.currency is not distinct from n.currency
    where n.period = 0
)
select
    c.product_key,
    p.code,
    p.name as product,
    p.is_service,
    c.currency,
    d.start_day as from_day,
    d.end_day - 1 as to_day,
    c.quantity,
    c.revenue,
    round(c.revenue_share, 4) as revenue_share,
    c.abc,
    round(c.unit_cost, 4) as unit_cost,
    round(c.margin, 2) as margin,
    c.abc_margin,
    c.months,
    c.months_sold,
    round(c.mean, 4) as mean_quantity,
    case when not c.is_young then round(c.variation, 4) end as variation,
    c.xyz,
    c.revenue_before,
    round(c.growth, 4) as growth,
    case when not c.is_sold or c.growth is null or c.revenue_share is null then null
         when c.growth >= r.growth_from and c.revenue_share >= coalesce(r.share_from, 1.0 / nullif(c.products, 0)) then 'star'
         when c.growth >= r.growth_from then 'question'
         when c.revenue_share >= coalesce(r.share_from, 1.0 / nullif(c.products, 0)) then 'cow'
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
        case when c.is_sold and c.currency is distinct from r.own_currency then 'other currency'
             when c.is_sold and c.unit_cost is null then 'no cost' end,
        case when c.is_sold and c.is_young then 'few months' end,
        case when c.is_sold and c.mean <= 0 then 'no quantity' end,
        case when not c.was_sold then 'new' end], null) as reasons
from compared c
join periods d on d.period = 0
cross join rule r
left join core.accounting_product p on p.product_key = c.product_key
