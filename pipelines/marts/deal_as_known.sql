-- Deals with the names that people ask for: client, manager, stage, lead source; days in the CRM's own time zone.
-- As they were known at a time of ours; infinity: as they are known. Which client a record is, and what it is called, is
-- told as it stands now.
--
-- @owner sales-ops
-- @arguments known_at timestamptz default 'infinity'
-- @column deal_id text -- core.deal
-- @column source text -- connected CRM
-- @column source_id text -- id in that system
-- @column title text -- name shown in the CRM
-- @column client_id text -- core.client; null: the deal names none
-- @column client_record_id text -- core.client_record: the client as the deal's own CRM has it
-- @column client text -- name of the client
-- @column employee_id text -- responsible manager, core.employee; null: none is named
-- @column manager text -- name of the responsible manager
-- @column lead_source_id text -- core.lead_source
-- @column lead_source text -- where the deal comes from, as the CRM names it
-- @column pipeline_code text -- pipeline's id in the source
-- @column stage_code text -- stage's id in the source
-- @column stage text -- name of the stage shown in the CRM; null: the CRM lists no such stage
-- @column stage_position integer -- order of the stage within its pipeline
-- @column outcome text -- open, won or lost; null: the CRM lists no such stage
-- @column amount numeric -- header sum with VAT, major units of `currency`
-- @column currency text -- ISO 4217
-- @column created_on date -- day it was created, in the CRM's time zone
-- @column closed_on date -- day it was won or lost; without one, the day it was last modified; null while open
-- @column days_to_close integer -- from created to closed; null while open
-- @column loss_reason text -- why it was lost, as the CRM names it; null: the CRM does not say
-- @column is_deleted boolean -- gone from the CRM; its documents may live on in accounting
-- @changed core.deal core.client_member core.client core.employee core.lead_source core.stage marts.zone
-- @rows
with stages as (
    -- a stage deleted and made anew has two records: the living one names it
    select distinct on (source, coalesce(pipeline_code, ''), stage_code)
           source, coalesce(pipeline_code, '') as pipeline_code, stage_code, name, position, outcome
    from core.stage_as_known(known_at)
    order by source, coalesce(pipeline_code, ''), stage_code, is_deleted, position, stage_id
), dated as (
    select d.*, s.name as stage, s.position as stage_position, s.outcome,
           (d.created_at at time zone coalesce(z.zone, 'UTC'))::date as created_on,
           case when s.outcome in ('won', 'lost')
                then coalesce(d.closed_on, (d.modified_at at time zone coalesce(z.zone, 'UTC'))::date)
                end as ended_on
    from core.deal_as_known(known_at) d
    left join marts.zone z on z.system = d.source
    left join stages s
      on s.source = d.source and s.pipeline_code = coalesce(d.pipeline_code, '') and s.stage_code = d.stage_code
)
select
    d.deal_id,
    d.source,
    d.source_id,
    d.title,
    coalesce(m.client_id, d.client_record_id) as client_id,
    d.client_record_id,
    c.name as client,
    d.employee_id,
    e.full_name as manager,
    d.lead_source_id,
    l.name as lead_source,
    d.pipeline_code,
    d.stage_code,
    d.stage,
    d.stage_position,
    d.outcome,
    d.amount,
    d.currency,
    d.created_on,
    d.ended_on as closed_on,
    d.ended_on - d.created_on as days_to_close,
    d.loss_reason,
    d.is_deleted
from dated d
left join core.client_member m on m.client_record_id = d.client_record_id
left join core.client c on c.client_id = m.client_id
left join core.employee_as_known(known_at) e on e.employee_id = d.employee_id
left join core.lead_source_as_known(known_at) l on l.lead_source_id = d.lead_source_id
