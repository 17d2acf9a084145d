-- The thresholds and weights by which the marts of sales look: one row, what the mapping file of accounting says under `sales`,
-- and what holds where it says nothing.
--
-- @owner sales-ops
-- @view
-- @column stuck_share numeric(9,4) -- stuck_deal: longer than this share of the deals that went on, 0..1
-- @column stuck_deals integer -- stuck_deal: at least so many that went on to compare with
-- @column forgotten_days integer -- stuck_deal: so many days without a change
-- @column forecast_months integer -- sales_forecast: so many months ahead
-- @column forecast_deals integer -- open_pipeline: at least so many closed deals that stood in the stage
-- @column rating_months integer -- manager_rating: figures of so many months
-- @column weight_revenue numeric(9,4) -- manager_rating: weight of the revenue
-- @column weight_paid numeric(9,4) -- manager_rating: weight of what was paid
-- @column weight_margin numeric(9,4) -- manager_rating: weight of the margin
-- @column weight_won numeric(9,4) -- manager_rating: weight of the number of won deals
-- @column weight_conversion numeric(9,4) -- manager_rating: weight of won / (won + lost)
-- @column weight_cycle numeric(9,4) -- manager_rating: weight of the days to close, fewer are better
-- @column weight_overdue numeric(9,4) -- manager_rating: weight of the overdue share, less is better
-- @changed ops.setting
-- @rows
with said as (
    select coalesce((select s.value from ops.setting s where s.system = n.value #>> '{}' and s.name = 'sales_stuck'),
                    '{}'::jsonb) as stuck,
           coalesce((select s.value from ops.setting s where s.system = n.value #>> '{}' and s.name = 'sales_rating'),
                    '{}'::jsonb) as rating,
           coalesce((select s.value from ops.setting s where s.system = n.value #>> '{}' and s.name = 'sales_forecast'),
                    '{}'::jsonb) as forecast
    from ops.setting n
    where n.name = 'accounting_system'
)
select
    coalesce((d.stuck ->> 'share')::numeric, 0.9) as stuck_share,
    coalesce((d.stuck ->> 'deals')::integer, 10) as stuck_deals,
    coalesce((d.stuck ->> 'forgotten_days')::integer, 30) as forgotten_days,
    coalesce((d.forecast ->> 'months')::integer, 6) as forecast_months,
    coalesce((d.forecast ->> 'deals')::integer, 5) as forecast_deals,
    coalesce((d.rating ->> 'months')::integer, 3) as rating_months,
    coalesce((d.rating ->> 'revenue')::numeric, 1) as weight_revenue,
    coalesce((d.rating ->> 'paid')::numeric, 1) as weight_paid,
    coalesce((d.rating ->> 'margin')::numeric, 1) as weight_margin,
    coalesce((d.rating ->> 'won')::numeric, 1) as weight_won,
    coalesce((d.rating ->> 'conversion')::numeric, 1) as weight_conversion,
    coalesce((d.rating ->> 'cycle')::numeric, 1) as weight_cycle,
    coalesce((d.rating ->> 'overdue')::numeric, 1) as weight_overdue
from said d
