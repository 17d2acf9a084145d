-- Where the deals of each month stand now, stage by stage: a cohort is the deals that one source, pipeline, lead
-- source and currency created in one month, and has a row for every stage of its pipeline, empty ones included.
-- The CRM tells where a lost deal stands, not which stage it was lost at: `reached` counts open and won deals.
--
-- @owner sales-ops
-- @view
-- @column month date -- first day of the month in which the deals were created; null: the CRM gives no date
-- @column source text -- connected CRM
-- @column pipeline_code text -- pipeline's id in the source
-- @column lead_source text -- where the deals come from; null: not said
-- @column currency text -- ISO 4217 of the deals; null: not said
-- @column stage_order integer -- open stages in the CRM's order, then won, then lost
-- @column stage_code text -- stage's id in the source
-- @column stage text -- name of the stage shown in the CRM
-- @column outcome text -- open, won or lost; null: the CRM lists no such stage
-- @column deals bigint -- deals of the cohort that stand in this stage now
-- @column amount numeric(18,2) -- sum of their headers with VAT, in `currency`
-- @column reached bigint -- open and won deals that stand in this stage or beyond it; null for lost
-- @column went_on bigint -- those of `reached` that stand beyond it; null for won and lost
-- @column conversion numeric(9,4) -- went_on / reached, 0..1; null where nothing reached it
-- @column average_days_to_close numeric(9,1) -- won stage: days from created to closed, mean
-- @column cohort_deals bigint -- deals of the whole cohort; the same on each of its rows: do not add up
-- @column cohort_won bigint -- those that are won so far; do not add up
-- @column share_won numeric(9,4) -- cohort_won / cohort_deals, 0..1: open deals count as not won yet
-- @changed marts.deal core.stage
-- @rows
with deals as (
    select date_trunc('month', created_on)::date as month, source, coalesce(pipeline_code, '') as pipeline_code,
           lead_source, currency, stage_code, stage, stage_position, outcome, amount,
           case when outcome = 'won' then days_to_close end as days_to_close
    from marts.deal
    where not is_deleted
), stages as (
    -- what the CRM lists today, and stages that deals stand in though it lists them no more
    select source, pipeline_code, stage_code, stage, stage_position, outcome from deals
    union
    select * from (
        select distinct on (source, coalesce(pipeline_code, ''), stage_code)
               source, coalesce(pipeline_code, ''), stage_code, name, position, outcome
        from core.stage
        where not is_deleted
        order by source, coalesce(pipeline_code, ''), stage_code, position, stage_id
    ) listed
), cells as (
    select month, source, pipeline_code, lead_source, currency, stage_code, stage, stage_position, outcome,
           1 as deals, amount, days_to_close
    from deals
    union all
    select c.month, c.source, c.pipeline_code, c.lead_source, c.currency,
           s.stage_code, s.stage, s.stage_position, s.outcome, 0, 0, null
    from (select distinct month, source, pipeline_code, lead_source, currency from deals) c
    join stages s using (source, pipeline_code)
), counted as (
    select month, source, pipeline_code, lead_source, currency, stage_code, stage, outcome,
           sum(deals) as deals, coalesce(sum(amount), 0) as amount, avg(days_to_close) as average_days_to_close,
           row_number() over (
               partition by month, source, pipeline_code, lead_source, currency
               order by array_position(array['open', 'won', 'lost'], outcome) nulls last,
                        stage_position nulls last, stage_code) as stage_order
    from cells
    group by month, source, pipeline_code, lead_source, currency, stage_code, stage, stage_position, outcome
), flowed as (
    select *,
           case when outcome in ('open', 'won')
                then sum(deals) filter (where outcome in ('open', 'won')) over onward end as reached,
           sum(deals) over cohort as cohort_deals,
           coalesce(sum(deals) filter (where outcome = 'won') over cohort, 0) as cohort_won
    from counted
    window cohort as (partition by month, source, pipeline_code, lead_source, currency),
           onward as (partition by month, source, pipeline_code, lead_source, currency
                      order by stage_order rows between current row and unbounded following)
)
select
    month,
    source,
    nullif(pipeline_code, '') as pipeline_code,
    lead_source,
    currency,
    stage_order,
    stage_code,
    stage,
    outcome,
    deals,
    amount,
    reached,
    case when outcome = 'open' then reached - deals end as went_on,
    case when outcome = 'open' then (reached - deals) / nullif(reached, 0) end as conversion,
    average_days_to_close,
    cohort_deals,
    cohort_won,
    cohort_won / nullif(cohort_deals, 0) as share_won
from flowed
