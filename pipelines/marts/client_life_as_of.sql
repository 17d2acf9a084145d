-- Every month of every client since its first purchase, in which it bought or not: what cohorts and values are made of.
-- The cohort is the month of the first posted realization in the currency; month 0 is that month itself. The last month is
-- that of `as_of`, with what was sold in it so far. What was sold to nobody who is named makes no client.
--
-- @owner sales-ops
-- @arguments as_of date
-- @column buyer_key text -- marts.buyer
-- @column currency text -- ISO 4217 letters
-- @column cohort date -- first day of the month of the first realization
-- @column month date -- first day of the month
-- @column age integer -- months since the cohort, 0 in its own
-- @column is_over boolean -- the month was over on as_of
-- @column documents bigint -- posted realizations of the month
-- @column documents_to_date bigint -- those of all months up to it
-- @column revenue numeric -- without VAT, less what was taken back; 0 where nothing was
-- @column margin numeric -- 0 where nothing was sold; null: the cost of something is not known
-- @changed marts.sale_profit
-- @rows
with monthly as (
    select buyer_key, currency, date_trunc('month', document_date)::date as month,
           count(*) filter (where kind = 'realization') as documents, sum(net) as revenue,
           case when count(*) = count(margin) then sum(margin) end as margin
    from marts.sale_profit
    where document_date <= as_of and buyer_key is not null
    group by buyer_key, currency, date_trunc('month', document_date)
), begun as (
    select buyer_key, currency, min(month) as cohort
    from monthly
    where documents > 0
    group by buyer_key, currency
)
select
    b.buyer_key,
    b.currency,
    b.cohort,
    g.month::date as month,
    ((extract(year from g.month) - extract(year from b.cohort)) * 12
     + extract(month from g.month) - extract(month from b.cohort))::integer as age,
    g.month + interval '1 month' <= as_of + 1 as is_over,
    coalesce(m.documents, 0) as documents,
    coalesce(sum(m.documents) over (partition by b.buyer_key, b.currency order by g.month), 0) as documents_to_date,
    coalesce(m.revenue, 0) as revenue,
    case when m.month is null then 0 else m.margin end as margin
from begun b
cross join lateral generate_series(b.cohort, as_of, interval '1 month') as g(month)
left join monthly m on m.buyer_key = b.buyer_key and m.currency is not distinct from b.currency and m.month = g.month::date
