-- What each open deal is worth by what became of the deals that stood in its stage before: the share of them that were won, and
-- how long that took. Amounts are those of the deals as they stand now, or as they were known at `known_at`.
--
-- @owner sales-ops
-- @arguments as_of date, known_at timestamptz default 'infinity'
-- @planned by hash
-- @column deal_id text -- core.deal
-- @column deal text -- name of the deal
-- @column source text -- connected CRM
-- @column pipeline_code text -- pipeline's id in the source
-- @column stage_code text -- stage's id in the source
-- @column stage text -- name of the stage
-- @column employee_id text -- responsible manager, core.employee
-- @column manager text -- name of the manager
-- @column currency text -- ISO 4217 of the deal
-- @column amount numeric -- header sum with VAT
-- @column closed bigint -- closed deals that had stood in this stage
-- @column won bigint -- those of them that were won
-- @column chance numeric -- won / closed, 0..1; null where fewer than marts.sales_rule asks for are closed
-- @column expected_amount numeric -- amount times chance
-- @column usual_days numeric -- days from entering the stage to being won, median of the won ones whose beginning is known
-- @column expected_on date -- day on which the deal would be won by that; `as_of` where that has passed; null: not known
-- @column reason text -- why something is not foretold; null: all is
-- @column reason_ru text -- the same in Russian
-- @changed marts.stage_time_as_of marts.deal_as_known marts.sales_rule
-- @rows
with stays as materialized (
    select s.*,
           max(s.outcome) filter (where s.left_at is null and s.outcome in ('won', 'lost')) over deal as ended,
           max(s.entered_at) filter (where s.left_at is null and s.outcome in ('won', 'lost')) over deal as ended_at
    from marts.stage_time_as_of(as_of, known_at) s
    window deal as (partition by s.deal_id)
), seen as (
    -- a deal that came back to a stage counts once there, since it came first
    select source, pipeline_code, stage_code, deal_id, ended as outcome,
           extract(epoch from ended_at - min(entered_at) filter (where is_start_known)) / 86400 as days
    from stays
    where outcome = 'open' and ended is not null
    group by source, pipeline_code, stage_code, deal_id, ended, ended_at
), usual as (
    select source, pipeline_code, stage_code, count(*) as closed, count(*) filter (where outcome = 'won') as won,
           round((percentile_cont(0.5) within group (order by days::double precision)
                  filter (where outcome = 'won'))::numeric, 1) as days
    from seen
    group by source, pipeline_code, stage_code
), standing as (
    select s.deal_id, s.source, s.pipeline_code, s.stage_code, s.stage, s.employee_id, s.manager, s.days,
           d.title, d.currency, d.amount, coalesce(u.closed, 0) as closed, coalesce(u.won, 0) as won, u.days as usual_days,
           r.forecast_deals,
           case when u.closed >= r.forecast_deals then u.won::numeric / u.closed end as chance
    from stays s
    join marts.deal_as_known(known_at) d on d.deal_id = s.deal_id
    cross join marts.sales_rule r
    left join usual u on u.source = s.source and u.pipeline_code is not distinct from s.pipeline_code and u.stage_code = s.stage_code
    where s.left_at is null and s.outcome = 'open'
)
select
    deal_id,
    title as deal,
    source,
    pipeline_code,
    stage_code,
    stage,
    employee_id,
    manager,
    currency,
    amount,
    closed,
    won,
    round(chance, 4) as chance,
    round(amount * chance, 2) as expected_amount,
    usual_days,
    case when chance > 0 then as_of + ceil(greatest(usual_days - coalesce(days, 0), 0))::integer end as expected_on,
    case when chance is null then format('%s of the deals that stood in this stage are closed; %s are needed', closed, forecast_deals)
         when amount is null then 'the deal has no amount'
         when chance = 0 then 'none of the deals that stood in this stage was won'
         when usual_days is null then 'of no won deal is it known when it came to this stage' end as reason,
    case when chance is null then format('закрыто сделок, бывших на этой стадии: %s, нужно %s', closed, forecast_deals)
         when amount is null then 'у сделки нет суммы'
         when chance = 0 then 'ни одна сделка, бывшая на этой стадии, не выиграна'
         when usual_days is null then 'ни у одной выигранной сделки не известно, когда она пришла на эту стадию' end as reason_ru
from standing
