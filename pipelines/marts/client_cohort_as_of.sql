-- Clients by the month of their first realization: how many of them bought in each month since, and what it brought.
--
-- @owner sales-ops
-- @arguments as_of date
-- @planned by hash
-- @column cohort date -- first day of the month of the first realization
-- @column currency text -- ISO 4217 letters
-- @column age integer -- months since, 0 in the cohort's own
-- @column month date -- first day of that month
-- @column is_over boolean -- the month was over on as_of
-- @column clients bigint -- clients of the cohort
-- @column active bigint -- of these, who bought in the month
-- @column retention numeric -- active / clients
-- @column repeated bigint -- of these, who had bought more than once by the end of the month
-- @column repeat_share numeric -- repeated / clients
-- @column documents numeric -- posted realizations of the month
-- @column revenue numeric -- of the month without VAT, less what was taken back
-- @column revenue_to_date numeric -- of all months up to it
-- @column margin numeric -- of the month; null: the cost of something is not known
-- @changed marts.client_life_as_of
-- @rows
with months as (
    select cohort, currency, age, month, is_over, count(*) as clients, count(*) filter (where documents > 0) as active,
           count(*) filter (where documents_to_date > 1) as repeated, sum(documents) as documents, sum(revenue) as revenue,
           case when count(*) = count(margin) then sum(margin) end as margin
    from marts.client_life_as_of(as_of)
    group by cohort, currency, age, month, is_over
)
select
    cohort,
    currency,
    age,
    month,
    is_over,
    clients,
    active,
    round(active::numeric / clients, 4) as retention,
    repeated,
    round(repeated::numeric / clients, 4) as repeat_share,
    documents,
    revenue,
    sum(revenue) over (partition by cohort, currency order by age) as revenue_to_date,
    margin
from months
