-- Which clients are silent for longer than is usual with them: days since the last realization against the intervals
-- between their own. usual_days is the interval than which `silence_share` of them are not longer (0.9: nine of ten).
-- late: silent for longer than usual_days; gone: for more than `gone_times` as long. With fewer intervals than
-- `silence_intervals` nothing is usual yet, and the state is `few sales`. Several realizations of a day are one.
--
-- @owner sales-ops
-- @arguments as_of date
-- @planned by hash
-- @column buyer_key text -- marts.buyer: the client, else the counterparty
-- @column buyer text -- its name
-- @column client_id text -- core.client; null: none is known
-- @column counterparty_key text -- core.accounting_counterparty; null: the row is a client's
-- @column employee_id text -- core.employee who answers for the client
-- @column manager text -- name of the manager
-- @column phone text -- of the client
-- @column first_on date -- day of the first realization
-- @column last_on date -- day of the last one
-- @column silent_days integer -- days since
-- @column intervals bigint -- between days with realizations
-- @column median_days numeric -- middle interval; null: there is none
-- @column usual_days numeric -- see above; null: there are too few intervals
-- @column times_usual numeric -- silent_days / usual_days
-- @column expected_on date -- last_on and usual_days, rounded up
-- @column state text -- usual, late, gone, few sales
-- @changed marts.sale_profit marts.buyer marts.buyer_rule
-- @rows
with days as (
    select distinct buyer_key, document_date as day
    from marts.sale_profit
    where kind = 'realization' and document_date <= as_of and buyer_key is not null
), gaps as (
    select buyer_key, day, day - lag(day) over (partition by buyer_key order by day) as gap
    from days
), told as (
    select g.buyer_key, min(g.day) as first_on, max(g.day) as last_on, count(g.gap) as intervals,
           (percentile_cont(0.5) within group (order by g.gap))::numeric as median_days,
           case when count(g.gap) >= r.silence_intervals
                then (percentile_cont(r.silence_share::double precision) within group (order by g.gap))::numeric end as usual_days
    from gaps g
    cross join marts.buyer_rule r
    group by g.buyer_key, r.silence_share, r.silence_intervals
)
select
    t.buyer_key,
    b.buyer,
    b.client_id,
    b.counterparty_key,
    b.employee_id,
    b.manager,
    b.phone,
    t.first_on,
    t.last_on,
    as_of - t.last_on as silent_days,
    t.intervals,
    round(t.median_days, 1) as median_days,
    round(t.usual_days, 1) as usual_days,
    round((as_of - t.last_on) / t.usual_days, 2) as times_usual,
    t.last_on + ceil(t.usual_days)::integer as expected_on,
    case when t.usual_days is null then 'few sales'
         when as_of - t.last_on > r.gone_times * t.usual_days then 'gone'
         when as_of - t.last_on > t.usual_days then 'late'
         else 'usual' end as state
from told t
cross join marts.buyer_rule r
left join marts.buyer b on b.buyer_key = t.buyer_key
