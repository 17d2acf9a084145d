-- Every stay of a deal in a stage up to a date, as the CRM told it: since when, until when, and where it went from there.
-- A deal that comes back has another stay, one that skips stages has none there. Stays are read off the versions of deals
-- (docs/history.md): of what was before the CRM was first read nothing is known, which `is_start_known` says.
-- The day `as_of` counts whole.
-- As far as it was known at `known_at`; infinity: as it is known.
--
-- @owner sales-ops
-- @arguments as_of date, known_at timestamptz default 'infinity'
-- @column deal_id text -- core.deal
-- @column visit bigint -- 1 for the first stay of the deal in any stage that is known, then 2, 3 ...
-- @column visit_of_stage bigint -- 1 for the first stay in this stage, 2 when it came back ...
-- @column source text -- connected CRM
-- @column pipeline_code text -- pipeline's id in the source
-- @column stage_code text -- stage's id in the source
-- @column stage text -- name of the stage shown in the CRM; null: the CRM lists no such stage
-- @column stage_position integer -- order of the stage within its pipeline
-- @column outcome text -- of the stage: open, won or lost; null: the CRM lists no such stage
-- @column employee_id text -- responsible manager at the end of the stay, core.employee
-- @column manager text -- name of the manager
-- @column lead_source text -- where the deal comes from, as the CRM names it
-- @column month date -- first day of the month of `entered_at`, in the CRM's time zone
-- @column entered_at timestamptz -- since when it stood there; without a known start, since when that is known; null: not even that
-- @column is_start_known boolean -- whether the deal came there at `entered_at`: its versions begin before, or within a day of its creation
-- @column left_at timestamptz -- until when; null: it stands there on `as_of`
-- @column days numeric -- from entered to left, or to the end of `as_of`; without a known start at least so many
-- @column moved text -- on, back, won, lost, reopened; elsewhere: to another pipeline or a stage without order; deleted; null: still there
-- @column next_stage_code text -- the stage that it went to
-- @column next_stage text -- name of that
-- @column skipped bigint -- open stages between this one and that, of on and won; null where the CRM lists one of them no more
-- @changed core.deal core.deal_step core.stage core.employee core.lead_source marts.zone
-- @rows
with stages as (
    -- a stage deleted and made anew has two records: the living one names it
    select distinct on (source, coalesce(pipeline_code, ''), stage_code)
           source, coalesce(pipeline_code, '') as pipeline_code, stage_code, name, position, outcome, is_deleted
    from core.stage_as_known(known_at)
    order by source, coalesce(pipeline_code, ''), stage_code, is_deleted, position, stage_id
), ranked as (
    select s.*, case when outcome = 'open' and not is_deleted then
               count(*) filter (where outcome = 'open' and not is_deleted) over (
                   partition by source, pipeline_code order by position, stage_code) end as place,
           count(*) filter (where outcome = 'open' and not is_deleted) over (partition by source, pipeline_code) as places
    from stages s
), told as (
    -- what was known then is read off the versions; what is known is kept (core.deal_step)
    select v.deal_id, v.source, coalesce(v.pipeline_code, '') as pipeline_code, v.stage_code, v.employee_id, v.lead_source_id,
           v.is_deleted, v.created_at, coalesce(v.said_from, '-infinity') as said_from, v.said_to,
           coalesce(z.zone, 'UTC') as zone, (as_of + 1)::timestamp at time zone coalesce(z.zone, 'UTC') as ends_at
    from core.deal_versions_as_known(known_at) v
    left join marts.zone z on z.system = v.source
    where v.known_to is null and known_at < 'infinity'
), begun as (
    select *, (lag(pipeline_code) over deal, lag(stage_code) over deal, lag(is_deleted) over deal)
              is distinct from (pipeline_code, stage_code, is_deleted) as begins
    from told
    where said_from < ends_at
    window deal as (partition by deal_id order by said_from)
), visited as (
    select *, count(*) filter (where begins) over (partition by deal_id order by said_from) as visit
    from begun
), stays as (
    select deal_id, visit, source, pipeline_code, stage_code, is_deleted, zone, ends_at, min(said_from) as said_from,
           (array_agg(said_to order by said_from desc))[1] as said_to,
           (array_agg(employee_id order by said_from desc))[1] as employee_id,
           (array_agg(lead_source_id order by said_from desc))[1] as lead_source_id,
           (array_agg(created_at order by said_from))[1] as created_at
    from visited
    group by deal_id, visit, source, pipeline_code, stage_code, is_deleted, zone, ends_at
), joined as (
    select *,
           -- What the CRM says within a day of creation is taken to be so since creation.
           visit = 1 and coalesce(said_from between created_at - interval '1 day' and created_at + interval '1 day', false) as is_born,
           lead(said_from) over deal as next_from,
           lead(pipeline_code) over deal as next_pipeline,
           lead(stage_code) over deal as next_stage_code,
           lead(is_deleted) over deal as next_deleted
    from stays
    window deal as (partition by deal_id order by visit)
), steps as (
    select t.*, coalesce(z.zone, 'UTC') as zone, (as_of + 1)::timestamp at time zone coalesce(z.zone, 'UTC') as ends_at
    from core.deal_step t
    left join marts.zone z on z.system = t.source
    where known_at = 'infinity'
), last_steps as (
    -- of each stay its last step by then
    select *, case when next_from < ends_at then next_from end as left_for,
           visit = 1 and coalesce(entered_from between created_at - interval '1 day' and created_at + interval '1 day', false) as is_born
    from steps
    where told_from < ends_at and (next_told_from is null or next_told_from >= ends_at or next_told_from = next_from)
), timed as (
    select deal_id, visit, row_number() over (partition by deal_id, pipeline_code, stage_code order by visit) as visit_of_stage,
           source, pipeline_code, stage_code, employee_id, lead_source_id, zone, ends_at, is_born,
           case when is_born then created_at else nullif(said_from, '-infinity') end as entered_at,
           coalesce(next_from, case when said_to < ends_at then said_to end) as left_at,
           next_from, next_pipeline, next_stage_code, next_deleted
    from joined
    where not is_deleted
    union all
    select deal_id, visit, visit_of_stage,
           source, pipeline_code, stage_code, employee_id, lead_source_id, zone, ends_at, is_born,
           case when is_born then created_at else nullif(entered_from, '-infinity') end,
           coalesce(left_for, case when told_to < ends_at then told_to end),
           left_for, case when left_for is not null then next_pipeline_code end,
           case when left_for is not null then next_stage_code end, case when left_for is not null then next_is_deleted end
    from last_steps
    where not is_deleted
)
select
    t.deal_id,
    t.visit,
    t.visit_of_stage,
    t.source,
    nullif(t.pipeline_code, '') as pipeline_code,
    t.stage_code,
    s.name as stage,
    s.position as stage_position,
    s.outcome,
    t.employee_id,
    e.full_name as manager,
    l.name as lead_source,
    date_trunc('month', t.entered_at at time zone t.zone)::date as month,
    t.entered_at,
    t.visit > 1 or t.is_born as is_start_known,
    t.left_at,
    round(greatest(extract(epoch from coalesce(t.left_at, t.ends_at) - t.entered_at) / 86400, 0), 1) as days,
    case
        when t.left_at is null then null
        when t.next_from is null or t.next_deleted then 'deleted'
        when t.next_pipeline <> t.pipeline_code then 'elsewhere'
        when n.outcome in ('won', 'lost') then n.outcome
        when s.outcome in ('won', 'lost') and n.outcome = 'open' then 'reopened'
        when n.position > s.position then 'on'
        when n.position <= s.position then 'back'
        else 'elsewhere'
    end as moved,
    case when not t.next_deleted then t.next_stage_code end as next_stage_code,
    case when not t.next_deleted then n.name end as next_stage,
    case
        when t.next_pipeline <> t.pipeline_code or t.next_deleted or s.outcome <> 'open' then null
        when n.outcome = 'won' then s.places - s.place
        when n.position > s.position then n.place - s.place - 1
    end as skipped
from timed t
left join ranked s on s.source = t.source and s.pipeline_code = t.pipeline_code and s.stage_code = t.stage_code
left join ranked n on n.source = t.source and n.pipeline_code = t.next_pipeline and n.stage_code = t.next_stage_code
left join core.employee_as_known(known_at) e on e.employee_id = t.employee_id
left join core.lead_source_as_known(known_at) l on l.lead_source_id = t.lead_source_id
