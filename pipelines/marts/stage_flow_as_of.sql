-- What came into each open stage in a month, and what became of it up to a date, by pipeline, manager and lead source.
-- A stay counts, not a deal: who comes back is counted again. Told by marts.stage_time_as_of; stays whose beginning
-- nobody saw are counted where they were first seen, and never timed.
-- As far as it was known at `known_at`; infinity: as it is known.
--
-- @owner sales-ops
-- @arguments as_of date, known_at timestamptz default 'infinity'
-- @planned by hash
-- @column month date -- first day of the month in which the stays began
-- @column source text -- connected CRM
-- @column pipeline_code text -- pipeline's id in the source
-- @column stage_position integer -- order of the stage within its pipeline
-- @column stage_code text -- stage's id in the source
-- @column stage text -- name of the stage shown in the CRM
-- @column employee_id text -- manager at the end of the stay, core.employee
-- @column manager text -- name of the manager
-- @column lead_source text -- where the deals come from; null: not said
-- @column entered bigint -- stays that began in the month
-- @column deals bigint -- deals of these; do not add up
-- @column returned bigint -- of `entered`, those of deals that had been in the stage before
-- @column here bigint -- of `entered`, those that last on `as_of`
-- @column left_stage bigint -- of `entered`, those that ended up to `as_of`
-- @column went_on bigint -- of `left_stage`, those that went to a later stage or were won
-- @column skipped bigint -- of `went_on`, those that passed over a stage
-- @column went_back bigint -- of `left_stage`, those that went to an earlier stage
-- @column lost bigint -- of `left_stage`, those that were lost
-- @column gone bigint -- of `left_stage`, those that were deleted, or went where no order tells
-- @column conversion numeric -- went_on / (went_on + went_back + lost), 0..1; null where none of them
-- @column timed bigint -- of those three, the ones whose beginning is known
-- @column average_days numeric -- of the timed ones, mean; null where none
-- @column median_days numeric -- of the timed ones, median; do not add up
-- @changed marts.stage_time_as_of
-- @rows
with stays as (
    select *, moved in ('on', 'won') as is_on,
           case when is_start_known and moved in ('on', 'won', 'back', 'lost') then days end as timed_days
    from marts.stage_time_as_of(as_of, known_at)
    where outcome = 'open'
)
select
    month,
    source,
    pipeline_code,
    stage_position,
    stage_code,
    stage,
    employee_id,
    manager,
    lead_source,
    count(*) as entered,
    count(distinct deal_id) as deals,
    count(*) filter (where visit_of_stage > 1) as returned,
    count(*) filter (where left_at is null) as here,
    count(left_at) as left_stage,
    count(*) filter (where is_on) as went_on,
    count(*) filter (where is_on and skipped > 0) as skipped,
    count(*) filter (where moved = 'back') as went_back,
    count(*) filter (where moved = 'lost') as lost,
    count(*) filter (where moved in ('deleted', 'elsewhere')) as gone,
    round(count(*) filter (where is_on)::numeric / nullif(count(*) filter (where is_on or moved in ('back', 'lost')), 0), 4) as conversion,
    count(timed_days) as timed,
    round(avg(timed_days), 1) as average_days,
    round((percentile_cont(0.5) within group (order by timed_days::double precision))::numeric, 1) as median_days
from stays
group by month, source, pipeline_code, stage_position, stage_code, stage, employee_id, manager, lead_source
