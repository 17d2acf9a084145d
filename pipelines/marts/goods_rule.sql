-- The thresholds by which the marts of goods look: one row, what the mapping file of accounting says under `goods`, and what
-- holds where it says nothing.
--
-- @owner sales-ops
-- @view
-- @column own_currency text -- accounting's own, ISO 4217
-- @column bought_days integer -- bought_together: realizations of so many days
-- @column bought_documents integer -- bought_together: a pair stands on at least so many of them
-- @column bought_confidence numeric(9,4) -- bought_together: the least confidence, 0..1
-- @column bought_lift numeric(9,4) -- bought_together: the least lift
-- @column discount_by text -- discount_tier: counterparty or client
-- @column discount_months integer -- discount_tier: turnover of so many months
-- @column class_months integer -- product_abc_xyz: a period is so many months
-- @column class_least_months integer -- product_abc_xyz: XYZ needs so many of them
-- @column a_up_to numeric(9,4) -- product_abc_xyz: share of the revenue at which A ends
-- @column b_up_to numeric(9,4) -- product_abc_xyz: share of the revenue at which B ends
-- @column x_up_to numeric(9,4) -- product_abc_xyz: variation up to which a product is X
-- @column y_up_to numeric(9,4) -- product_abc_xyz: variation up to which it is Y
-- @column growth_from numeric(9,4) -- product_abc_xyz: growth from which a product grows fast
-- @column share_from numeric(9,4) -- product_abc_xyz: share of the revenue from which it counts much; null: 1 / number of products sold
-- @changed ops.setting
-- @rows
with said as (
    select n.value #>> '{}' as system,
           coalesce((select s.value from ops.setting s where s.system = n.value #>> '{}' and s.name = 'goods_bought_together'),
                    '{}'::jsonb) as bought,
           coalesce((select s.value from ops.setting s where s.system = n.value #>> '{}' and s.name = 'goods_discount'),
                    '{}'::jsonb) as discount,
           coalesce((select s.value from ops.setting s where s.system = n.value #>> '{}' and s.name = 'goods_classes'),
                    '{}'::jsonb) as classes
    from ops.setting n
    where n.name = 'accounting_system'
)
select
    (select s.value #>> '{}' from ops.setting s where s.system = d.system and s.name = 'currency') as own_currency,
    coalesce((d.bought ->> 'days')::integer, 365) as bought_days,
    coalesce((d.bought ->> 'documents')::integer, 3) as bought_documents,
    coalesce((d.bought ->> 'confidence')::numeric, 0.2) as bought_confidence,
    coalesce((d.bought ->> 'lift')::numeric, 1) as bought_lift,
    coalesce(d.discount ->> 'by', 'counterparty') as discount_by,
    coalesce((d.discount ->> 'months')::integer, 3) as discount_months,
    coalesce((d.classes ->> 'months')::integer, 12) as class_months,
    coalesce((d.classes ->> 'least_months')::integer, 3) as class_least_months,
    coalesce((d.classes ->> 'a_up_to')::numeric, 0.8) as a_up_to,
    coalesce((d.classes ->> 'b_up_to')::numeric, 0.95) as b_up_to,
    coalesce((d.classes ->> 'x_up_to')::numeric, 0.1) as x_up_to,
    coalesce((d.classes ->> 'y_up_to')::numeric, 0.25) as y_up_to,
    coalesce((d.classes ->> 'growth_from')::numeric, 0.1) as growth_from,
    (d.classes ->> 'share_from')::numeric as share_from
from said d
