-- Why deals were lost, by the month in which they were closed, and in which stage they stood before.
-- Of CRMs that tell no reasons, and of deals whose manager gave none, `loss_reason` is null.
--
-- @owner sales-ops
-- @view
-- @planned by hash
-- @column month date -- first day of the month in which the deals were lost; null: the CRM gives no day
-- @column source text -- connected CRM
-- @column pipeline_code text -- pipeline's id in the source
-- @column employee_id text -- responsible manager, core.employee
-- @column manager text -- name of the manager
-- @column lead_source text -- where the deals come from; null: not said
-- @column stage_code text -- open stage that the deals were lost from; null: not known
-- @column stage text -- name of that
-- @column loss_reason text -- as the CRM names it; null: not said
-- @column currency text -- ISO 4217 of the deals
-- @column deals bigint -- deals lost for it
-- @column amount numeric(18,2) -- sum of their headers with VAT
-- @column share_of_lost numeric(9,4) -- deals / all that were lost in the month, source and pipeline, 0..1
-- @changed marts.deal marts.stage_time
-- @rows
with lost_from as (
    select distinct on (deal_id) deal_id, stage_code, stage
    from marts.stage_time
    where moved = 'lost' and outcome = 'open'
    order by deal_id, visit desc
), counted as (
    select date_trunc('month', d.closed_on)::date as month, d.source, d.pipeline_code, d.employee_id, d.manager, d.lead_source,
           f.stage_code, f.stage, d.loss_reason, d.currency, count(*) as deals, coalesce(sum(d.amount), 0) as amount
    from marts.deal d
    left join lost_from f on f.deal_id = d.deal_id
    where d.outcome = 'lost' and not d.is_deleted
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
)
select
    month,
    source,
    pipeline_code,
    employee_id,
    manager,
    lead_source,
    stage_code,
    stage,
    loss_reason,
    currency,
    deals,
    amount,
    deals / sum(deals) over (partition by month, source, pipeline_code) as share_of_lost
from counted
