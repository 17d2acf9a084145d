-- How much of each month was sold to clients who had bought before: in the currency, in an earlier month or on an earlier
-- day of the same. A client is new in the month of its first realization.
--
-- @owner sales-ops
-- @arguments as_of date
-- @planned by hash
-- @column month date -- first day of the month
-- @column currency text -- ISO 4217 letters
-- @column clients bigint -- who bought in the month; documents that name nobody are of no client
-- @column new_clients bigint -- of these, for whom it was the first month
-- @column repeat_clients bigint -- of these, who bought for the second time or later
-- @column repeat_share numeric -- repeat_clients / clients
-- @column documents bigint -- posted realizations
-- @column repeat_documents bigint -- of these, not the client's first
-- @column revenue numeric -- of the realizations, without VAT; what was taken back later is not taken off
-- @column repeat_revenue numeric -- of the repeat documents
-- @column repeat_revenue_share numeric -- repeat_revenue / revenue; null: no revenue above 0
-- @column median_days numeric -- days since the client's realization before, middle of the repeat documents; null: there are none
-- @changed marts.sale_profit
-- @rows
with sold as (
    select buyer_key, currency, document_date, date_trunc('month', document_date)::date as month, net,
           case when buyer_key is not null then row_number() over bought end as place,
           document_date - lag(document_date) over bought as days,
           min(document_date) over (partition by buyer_key, currency) as first_on
    from marts.sale_profit
    where kind = 'realization' and document_date <= as_of
    window bought as (partition by buyer_key, currency order by document_date, document_key)
), months as (
    select month, currency, count(distinct buyer_key) as clients,
           count(distinct buyer_key) filter (where first_on >= month) as new_clients,
           count(distinct buyer_key) filter (where place > 1) as repeat_clients, count(*) as documents,
           count(*) filter (where place > 1) as repeat_documents, sum(net) as revenue,
           coalesce(sum(net) filter (where place > 1), 0) as repeat_revenue,
           (percentile_cont(0.5) within group (order by days) filter (where place > 1))::numeric as median_days
    from sold
    group by month, currency
)
select
    month,
    currency,
    clients,
    new_clients,
    repeat_clients,
    round(repeat_clients::numeric / nullif(clients, 0), 4) as repeat_share,
    documents,
    repeat_documents,
    revenue,
    repeat_revenue,
    case when revenue > 0 then round(repeat_revenue / revenue, 4) end as repeat_revenue_share,
    round(median_days, 1) as median_days
from months
