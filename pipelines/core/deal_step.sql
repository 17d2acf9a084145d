-- Steps of deals through the stages of their pipelines: a row is a time during which the CRM told one stage, manager and lead source
-- of a deal, read off its versions (docs/history.md). Steps of one stay in a stage have the same `visit`. What follows a
-- stay stands beside it, so that how things stood on any day is read row by row.
--
-- @owner sales-ops
-- @scope deal_id
create table core.deal_step (
    step_key       text not null primary key,     -- deal_id/number of the step
    deal_id        text not null,                 -- core.deal
    source         text not null,                 -- connected CRM
    pipeline_code  text not null,                 -- pipeline's id in the source; empty where there is none
    stage_code     text,                          -- stage's id in the source
    is_deleted     boolean not null,              -- gone from the CRM meanwhile
    employee_id    text,                          -- responsible manager, core.employee
    lead_source_id text,                          -- core.lead_source
    visit          bigint not null,               -- number of the stay among those of the deal
    visit_of_stage bigint,                        -- number of the stay among those in this stage; null while it is gone
    created_at     timestamptz,                   -- when the deal was created, as told at the beginning of the stay
    entered_from   timestamptz not null,          -- since when the stay is told
    told_from      timestamptz not null,          -- since when this step is told
    told_to        timestamptz,                   -- until when; null: until now
    next_told_from timestamptz,                   -- since when the next step is told, of the same stay or not
    next_from      timestamptz,                   -- since when the next stay is told; null: there is none
    next_pipeline_code text,                      -- where it is
    next_stage_code    text,                      -- where it is
    next_is_deleted    boolean                    -- whether the deal is gone then
);

create index deal_step_deal on core.deal_step (deal_id);

-- @changed core.deal core.deal.versions ops.row_version
select key from change
;

-- @all
select deal_id as key from core.deal
union
select key from ops.row_version where table_name = 'core.deal'
;

-- @rows
with told as (
    select d.deal_id, d.source, coalesce(d.pipeline_code, '') as pipeline_code, d.stage_code, d.is_deleted, d.employee_id, d.lead_source_id,
           d.created_at, coalesce(d.said_from, '-infinity') as said_from, d.known_from, true as is_there
    from scope
    join core.deal d on d.deal_id = scope.key
    union all
    select v.key, r.source, coalesce(r.pipeline_code, ''), r.stage_code, r.is_deleted, r.employee_id, r.lead_source_id, r.created_at,
           v.said_from, v.known_from, v.row is not null
    from scope
    join ops.row_version v on v.table_name = 'core.deal' and v.key = scope.key
    cross join lateral jsonb_to_record(coalesce(v.row, '{}')) as r(source text, pipeline_code text, stage_code text, is_deleted boolean,
                                                                    employee_id text, lead_source_id text, created_at timestamptz)
), timed as (
    select t.*,
           min(said_from) over (partition by deal_id order by said_from groups between 1 following and unbounded following) as said_to,
           lead(known_from) over (partition by deal_id, said_from order by known_from) as known_to
    from told t
), versions as (
    select t.*, (lag(pipeline_code) over deal, lag(stage_code) over deal, lag(is_deleted) over deal)
               is distinct from (pipeline_code, stage_code, is_deleted) as begins,
           (lag(employee_id) over deal, lag(lead_source_id) over deal, lag(said_to) over deal)
               is distinct from (employee_id, lead_source_id, said_from) as differs
    from timed t
    where is_there and known_to is null
    window deal as (partition by deal_id order by said_from)
), numbered as (
    select v.*, count(*) filter (where begins) over deal as visit, count(*) filter (where begins or differs) over deal as step
    from versions v
    window deal as (partition by deal_id order by said_from)
), steps as (
    select deal_id, visit, step, min(source) as source, min(pipeline_code) as pipeline_code, min(stage_code) as stage_code,
           bool_or(is_deleted) as is_deleted, min(employee_id) as employee_id, min(lead_source_id) as lead_source_id,
           (array_agg(created_at order by said_from))[1] as created_at, min(said_from) as told_from,
           (array_agg(said_to order by said_from desc))[1] as told_to
    from numbered
    group by deal_id, visit, step
), stays as (
    select deal_id, visit, told_from as entered_from, created_at,
           lead(told_from) over deal as next_from, lead(pipeline_code) over deal as next_pipeline_code,
           lead(stage_code) over deal as next_stage_code, lead(is_deleted) over deal as next_is_deleted
    from (select distinct on (deal_id, visit) * from steps order by deal_id, visit, step) first_steps
    window deal as (partition by deal_id order by visit)
)
select
    s.deal_id || '/' || s.step as step_key,
    s.deal_id,
    s.source,
    s.pipeline_code,
    s.stage_code,
    s.is_deleted,
    s.employee_id,
    s.lead_source_id,
    s.visit,
    case when not s.is_deleted
         then dense_rank() over (partition by s.deal_id, s.pipeline_code, s.stage_code, s.is_deleted order by s.visit) end as visit_of_stage,
    t.created_at,
    t.entered_from,
    s.told_from,
    s.told_to,
    lead(s.told_from) over (partition by s.deal_id order by s.step) as next_told_from,
    t.next_from,
    t.next_pipeline_code,
    t.next_stage_code,
    t.next_is_deleted
from steps s
join stays t on t.deal_id = s.deal_id and t.visit = s.visit
